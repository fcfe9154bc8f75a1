"""AlterConfigs (key 33), versions 0-2.

Behaviour: replaces all overrides of a resource. A broker judges its own settings; the rest is decided by the
controller. The answer is sent when the records are durable.
"""

from __future__ import annotations

from pybroker.common.deferred import Deferred
from pybroker.handlers.context import CLOSE, Context, Request
from pybroker.handlers.forwarding import forward
from pybroker.wire.messages.alter_configs import AlterConfigsRequest, AlterConfigsResponse


def handle(context: Context, request: Request) -> AlterConfigsResponse | Deferred[AlterConfigsResponse]:
    message: AlterConfigsRequest = request.message
    controller = context.controller
    of_broker = not request.connection.routes.controller
    if controller.active or not of_broker:
        return controller.alter_configs(message, request.version, from_client=of_broker)
    answers = controller.configs.answer_full_here(context.metadata, message)
    asked = [resource for resource, answer in zip(message.resources, answers, strict=True) if answer is None]
    if not asked:
        return AlterConfigsResponse(responses=[answer for answer in answers if answer is not None])

    def merged(response: AlterConfigsResponse) -> AlterConfigsResponse:
        if response is not CLOSE:
            others = iter(response.responses)
            found = [answer or next(others, None) for answer in answers]
            response.responses = [answer for answer in found if answer is not None]
        return response

    message = AlterConfigsRequest(resources=asked, validate_only=message.validate_only)
    return forward(context, request, message).map(merged)

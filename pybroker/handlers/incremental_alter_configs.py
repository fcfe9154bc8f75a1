"""IncrementalAlterConfigs (key 44), versions 0-1.

Behaviour: a broker judges its own settings and sets its own log levels; the rest is decided by the
controller. The answer is sent when the records are durable.
"""

from __future__ import annotations

from pybroker.common.deferred import Deferred
from pybroker.handlers.context import CLOSE, Context, Request
from pybroker.handlers.forwarding import forward
from pybroker.wire.messages.incremental_alter_configs import (
    IncrementalAlterConfigsRequest,
    IncrementalAlterConfigsResponse,
)


def handle(
    context: Context, request: Request
) -> IncrementalAlterConfigsResponse | Deferred[IncrementalAlterConfigsResponse]:
    message: IncrementalAlterConfigsRequest = request.message
    controller = context.controller
    of_broker = not request.connection.routes.controller
    if controller.active or not of_broker:
        return controller.incremental_alter_configs(message, request.version, from_client=of_broker)
    answers = controller.configs.answer_here(context.metadata, message)
    asked = [resource for resource, answer in zip(message.resources, answers, strict=True) if answer is None]
    if not asked:
        return IncrementalAlterConfigsResponse(responses=[answer for answer in answers if answer is not None])

    def merged(response: IncrementalAlterConfigsResponse) -> IncrementalAlterConfigsResponse:
        if response is not CLOSE:
            others = iter(response.responses)
            found = [answer or next(others, None) for answer in answers]
            response.responses = [answer for answer in found if answer is not None]
        return response

    message = IncrementalAlterConfigsRequest(resources=asked, validate_only=message.validate_only)
    return forward(context, request, message).map(merged)

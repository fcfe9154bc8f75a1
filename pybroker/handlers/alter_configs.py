"""AlterConfigs (key 33), versions 0-2.

Behaviour: replaces all overrides of a resource. A broker judges its own settings; the rest is decided by the
controller. The answer is sent when the records are durable.
"""

from __future__ import annotations

from pybroker.common.deferred import Deferred
from pybroker.handlers.context import Context, Request
from pybroker.handlers.forwarding import forward_rest
from pybroker.wire.messages.alter_configs import AlterConfigsRequest, AlterConfigsResponse


def handle(context: Context, request: Request) -> AlterConfigsResponse | Deferred[AlterConfigsResponse]:
    message: AlterConfigsRequest = request.message
    controller = context.controller
    of_broker = not request.connection.routes.controller
    if controller.active or not of_broker:
        return controller.alter_configs(message, request.version, from_client=of_broker)
    reply: AlterConfigsResponse | Deferred[AlterConfigsResponse] = forward_rest(
        context, request, controller.configs.answer_full_here(context.metadata, message)
    )
    return reply

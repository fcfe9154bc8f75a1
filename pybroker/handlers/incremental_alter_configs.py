"""IncrementalAlterConfigs (key 44), versions 0-1.

Behaviour: a broker judges its own settings and sets its own log levels; the rest is decided by the
controller. The answer is sent when the records are durable.
"""

from __future__ import annotations

from pybroker.common.deferred import Deferred
from pybroker.handlers.context import Context, Request
from pybroker.handlers.forwarding import forward_rest
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
    reply: IncrementalAlterConfigsResponse | Deferred[IncrementalAlterConfigsResponse] = forward_rest(
        context, request, controller.configs.answer_here(context.metadata, message)
    )
    return reply

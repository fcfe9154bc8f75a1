"""AlterConfigs (key 33), versions 0-2.

Behaviour: decided by the controller; the answer is sent when its records are durable and this broker has
applied them.
"""

from __future__ import annotations

from pybroker.common.deferred import Deferred
from pybroker.handlers.context import Context, Request
from pybroker.wire.messages.alter_configs import AlterConfigsResponse


def handle(context: Context, request: Request) -> Deferred[AlterConfigsResponse]:
    return context.controller.alter_configs(request.message, request.version)

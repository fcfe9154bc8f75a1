"""IncrementalAlterConfigs (key 44), versions 0-1.

Behaviour: decided by the controller; the answer is sent when its records are durable and this broker has
applied them.
"""

from __future__ import annotations

from pybroker.common.deferred import Deferred
from pybroker.handlers.context import Context, Request
from pybroker.wire.messages.incremental_alter_configs import IncrementalAlterConfigsResponse


def handle(context: Context, request: Request) -> Deferred[IncrementalAlterConfigsResponse]:
    return context.controller.incremental_alter_configs(request.message, request.version)

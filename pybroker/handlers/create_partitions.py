"""CreatePartitions (key 37), versions 0-3.

Behaviour: decided by the controller; the answer is sent when its records are durable and this broker has
applied them.
"""

from __future__ import annotations

from pybroker.common.deferred import Deferred
from pybroker.handlers.context import Context, Request
from pybroker.wire.messages.create_partitions import CreatePartitionsResponse


def handle(context: Context, request: Request) -> Deferred[CreatePartitionsResponse]:
    return context.controller.create_partitions(request.message, request.version)

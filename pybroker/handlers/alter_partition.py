"""AlterPartition (key 56), versions 2-3.

Behaviour: decided by the active controller, for the leader of a partition only, under compare and set of its
epochs. Before version 3 the epochs of the proposed brokers are not compared.
"""

from __future__ import annotations

from pybroker.common.deferred import Deferred
from pybroker.handlers.context import Context, Request
from pybroker.wire.messages.alter_partition import AlterPartitionResponse


def handle(context: Context, request: Request) -> Deferred[AlterPartitionResponse]:
    return context.controller.alter_partition(request.message, request.version)

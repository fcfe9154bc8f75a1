"""AlterPartitionReassignments (key 45), versions 0-1.

Behaviour: decided by the active controller; the answer is sent when the move has begun. Version 0 may always
change the replication factor.
"""

from __future__ import annotations

from pybroker.common.deferred import Deferred
from pybroker.handlers.context import Context, Request
from pybroker.wire.messages.alter_partition_reassignments import AlterPartitionReassignmentsResponse


def handle(context: Context, request: Request) -> Deferred[AlterPartitionReassignmentsResponse]:
    return context.controller.alter_partition_reassignments(request.message)

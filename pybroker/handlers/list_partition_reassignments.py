"""ListPartitionReassignments (key 46), version 0.

Behaviour: answered by the active controller; what does not move is left out, unknown topics are no error.
"""

from __future__ import annotations

from pybroker.common.deferred import Deferred
from pybroker.handlers.context import Context, Request
from pybroker.wire.messages.list_partition_reassignments import ListPartitionReassignmentsResponse


def handle(context: Context, request: Request) -> Deferred[ListPartitionReassignmentsResponse]:
    return context.controller.list_partition_reassignments(request.message)

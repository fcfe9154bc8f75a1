"""ListPartitionReassignments (key 46), version 0.

Behaviour: a single node moves no replicas, so nothing is ever under way; unknown topics are no error.
"""

from __future__ import annotations

from pybroker.handlers.context import Context, Request
from pybroker.wire.messages.list_partition_reassignments import ListPartitionReassignmentsResponse


def handle(context: Context, request: Request) -> ListPartitionReassignmentsResponse:
    return ListPartitionReassignmentsResponse(error_message=None)

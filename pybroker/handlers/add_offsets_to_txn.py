"""AddOffsetsToTxn (key 25), versions 0-4.

Behaviour: makes the partition of `__consumer_offsets` that holds a group's offsets part of the transaction.
"""

from __future__ import annotations

from pybroker.common.deferred import Deferred
from pybroker.common.errors import ErrorCode
from pybroker.coordinator.partitioning import partition_for
from pybroker.handlers.context import Context, Request
from pybroker.wire.messages.add_offsets_to_txn import AddOffsetsToTxnRequest, AddOffsetsToTxnResponse


def handle(context: Context, request: Request) -> AddOffsetsToTxnResponse | Deferred[AddOffsetsToTxnResponse]:
    message: AddOffsetsToTxnRequest = request.message
    groups = context.groups
    partition = groups.partition_for(message.group_id)
    if partition < 0:
        # Where it will be. Clients of the older protocol look for the group's coordinator, which makes the
        # topic, only afterwards; a marker for a partition that never came to be is left out.
        partition = partition_for(message.group_id, context.config["offsets.topic.num.partitions"])

    def answer(error: ErrorCode) -> AddOffsetsToTxnResponse:
        if error is ErrorCode.PRODUCER_FENCED and request.version < 2:
            error = ErrorCode.INVALID_PRODUCER_EPOCH
        return AddOffsetsToTxnResponse(error_code=error)

    return context.transactions.add_partitions(
        message.transactional_id, message.producer_id, message.producer_epoch, [(groups.topic, partition)], 0
    ).map(answer)

"""DescribeTransactions (key 65), version 0.

Behaviour: state, producer, timeout, start and partitions of the transactional ids of this coordinator.
"""

from __future__ import annotations

from pybroker.common.deferred import Deferred, gather
from pybroker.common.errors import ErrorCode
from pybroker.handlers.context import Context, Request, Steps, in_slices
from pybroker.transactions.records import Transaction
from pybroker.transactions.transitions import NAMES
from pybroker.wire.messages.describe_transactions import (
    DescribeTransactionsRequest,
    DescribeTransactionsResponse,
    TopicData,
    TransactionState,
)


@in_slices
def handle(context: Context, request: Request) -> Steps[Deferred[DescribeTransactionsResponse]]:
    message: DescribeTransactionsRequest = request.message
    asked = list(dict.fromkeys(message.transactional_ids))
    described = []
    for name in asked:
        yield
        described.append(context.transactions.describe(name))
    return gather(described).map(
        lambda found: DescribeTransactionsResponse(
            transaction_states=[_state(name, state) for name, state in zip(asked, found, strict=True)]
        )
    )


def _state(transactional_id: str, found: Transaction | ErrorCode) -> TransactionState:
    if isinstance(found, ErrorCode):
        return TransactionState(error_code=found, transactional_id=transactional_id)
    topics: dict[str, TopicData] = {}
    for topic, partition in sorted(found.partitions):
        topics.setdefault(topic, TopicData(topic=topic)).partitions.append(partition)
    return TransactionState(
        transactional_id=transactional_id,
        transaction_state=NAMES[found.state],
        transaction_timeout=found.timeout_ms,
        transaction_start_time=found.start_ms,
        producer_id=found.producer_id,
        producer_epoch=found.producer_epoch,
        topics=list(topics.values()),
    )

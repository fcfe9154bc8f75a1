"""AddPartitionsToTxn (key 24), versions 0-5.

Behaviour: makes partitions part of a producer's transaction, all of them or none (OPERATION_NOT_ATTEMPTED for
the rest when one does not exist). Up to v3 for one transaction; from v4 on, meant for brokers, for several.
`verify_only` asks whether the partitions belong to it already.
"""

from __future__ import annotations

from collections.abc import Mapping

from pybroker.common.deferred import Deferred, gather, resolved
from pybroker.common.errors import ErrorCode
from pybroker.handlers.context import Context, Request
from pybroker.transactions.records import TopicPartition
from pybroker.wire.messages.add_partitions_to_txn import (
    AddPartitionsToTxnPartitionResult,
    AddPartitionsToTxnRequest,
    AddPartitionsToTxnResponse,
    AddPartitionsToTxnResult,
    AddPartitionsToTxnTopic,
    AddPartitionsToTxnTopicResult,
    AddPartitionsToTxnTransaction,
)

_FIRST_BATCHED = 4
_UNKNOWN = ErrorCode.UNKNOWN_TOPIC_OR_PARTITION
Errors = Mapping[TopicPartition, ErrorCode]


def handle(context: Context, request: Request) -> Deferred[AddPartitionsToTxnResponse]:
    message: AddPartitionsToTxnRequest = request.message
    version = request.version
    if version < _FIRST_BATCHED:
        only = AddPartitionsToTxnTransaction(
            transactional_id=message.v3_and_below_transactional_id,
            producer_id=message.v3_and_below_producer_id,
            producer_epoch=message.v3_and_below_producer_epoch,
            topics=message.v3_and_below_topics,
        )
        return _serve(context, only, version).map(
            lambda errors: AddPartitionsToTxnResponse(
                results_by_topic_v3_and_below=_results(only.topics, errors)
            )
        )
    transactions = message.transactions
    return gather([_serve(context, asked, version) for asked in transactions]).map(
        lambda errors: AddPartitionsToTxnResponse(
            results_by_transaction=[
                AddPartitionsToTxnResult(
                    transactional_id=asked.transactional_id, topic_results=_results(asked.topics, of_one)
                )
                for asked, of_one in zip(transactions, errors, strict=True)
            ]
        )
    )


def _serve(context: Context, asked: AddPartitionsToTxnTransaction, version: int) -> Deferred[Errors]:
    """The error of each partition of one transaction."""
    partitions = [(topic.name, index) for topic in asked.topics for index in topic.partitions]
    missing = [name for name in partitions if context.missing(*name) is _UNKNOWN]
    if missing:
        errors = dict.fromkeys(partitions, ErrorCode.OPERATION_NOT_ATTEMPTED)
        errors.update(dict.fromkeys(missing, _UNKNOWN))
        return resolved(errors)
    coordinator = context.transactions
    if asked.verify_only:
        return coordinator.verify_partitions(
            asked.transactional_id, asked.producer_id, asked.producer_epoch, partitions
        )

    def for_all(error: ErrorCode) -> Errors:
        if error is ErrorCode.PRODUCER_FENCED and version < 2:
            error = ErrorCode.INVALID_PRODUCER_EPOCH
        return dict.fromkeys(partitions, error)

    return coordinator.add_partitions(
        asked.transactional_id,
        asked.producer_id,
        asked.producer_epoch,
        partitions,
        2 if version >= _FIRST_BATCHED else 0,
    ).map(for_all)


def _results(topics: list[AddPartitionsToTxnTopic], errors: Errors) -> list[AddPartitionsToTxnTopicResult]:
    return [
        AddPartitionsToTxnTopicResult(
            name=topic.name,
            results_by_partition=[
                AddPartitionsToTxnPartitionResult(
                    partition_index=index, partition_error_code=errors[topic.name, index]
                )
                for index in topic.partitions
            ],
        )
        for topic in topics
    ]

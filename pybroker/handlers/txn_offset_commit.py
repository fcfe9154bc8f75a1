"""TxnOffsetCommit (key 28), versions 0-5.

Behaviour: offsets of a group that count when the producer's transaction commits. From v5 on (transactions
v2) the group's partition of `__consumer_offsets` is added to the transaction by this; below it must have been
added by AddOffsetsToTxn.
"""

from __future__ import annotations

from typing import Any, Final

from pybroker.common.deferred import Deferred, resolved
from pybroker.common.errors import ApiError, ErrorCode
from pybroker.handlers.context import Context, Request
from pybroker.log.producer_state import Verification
from pybroker.wire.messages.txn_offset_commit import (
    TxnOffsetCommitRequest,
    TxnOffsetCommitRequestPartition,
    TxnOffsetCommitRequestTopic,
    TxnOffsetCommitResponse,
    TxnOffsetCommitResponsePartition,
    TxnOffsetCommitResponseTopic,
)

_FIRST_WITH_ABORTABLE: Final = 4
_FIRST_IMPLICIT: Final = 5


def handle(context: Context, request: Request) -> TxnOffsetCommitResponse | Deferred[TxnOffsetCommitResponse]:
    message: TxnOffsetCommitRequest = request.message
    version = request.version
    refused = _sort_out(context, message)
    if not message.topics:
        return TxnOffsetCommitResponse(topics=refused)
    if not message.group_id:
        return _answer(message, ApiError(ErrorCode.INVALID_GROUP_ID), refused, version)
    reply: Deferred[TxnOffsetCommitResponse] = Deferred()

    def admitted(outcome: Verification | ErrorCode | None) -> None:
        if isinstance(outcome, ErrorCode):
            reply.resolve(_answer(message, ApiError(outcome), refused, version))
            return
        written = context.groups.write(
            message.group_id,
            lambda shard, now_ms: shard.commit_transactional_offsets(message, version, now_ms),
            producer_id=message.producer_id,
            producer_epoch=message.producer_epoch,
            verification=outcome,
        )
        written.then(lambda answer: reply.resolve(_answer(message, answer, refused, version)))

    _admit(context, message, version).then(admitted)
    return reply


def _admit(
    context: Context, message: TxnOffsetCommitRequest, version: int
) -> Deferred[Verification | ErrorCode | None]:
    """What the append has to bring along, None when the transaction is open already, or why it may not be."""
    groups = context.groups
    index = groups.partition_for(message.group_id)
    name = groups.topic, index
    partition = context.partition(*name) if index >= 0 else None
    if partition is None:
        return resolved(ErrorCode.COORDINATOR_NOT_AVAILABLE)
    implicit = version >= _FIRST_IMPLICIT
    started = partition.start_verification(message.producer_id, message.producer_epoch, 0, strict=False)
    if isinstance(started, ErrorCode):
        fenced = started is ErrorCode.INVALID_PRODUCER_EPOCH
        return resolved(started if fenced else ErrorCode.NOT_COORDINATOR)
    if started is None or not (implicit or context.config["transaction.partition.verification.enable"]):
        return resolved(started)

    def answered(errors: Any) -> Verification | ErrorCode:
        error: ErrorCode = errors[name]
        if error is ErrorCode.PRODUCER_FENCED:
            return ErrorCode.INVALID_PRODUCER_EPOCH
        if error is ErrorCode.TRANSACTION_ABORTABLE and version < _FIRST_WITH_ABORTABLE:
            return ErrorCode.INVALID_TXN_STATE
        return error or started

    return context.admit(
        message.transactional_id, message.producer_id, message.producer_epoch, [name], implicit=implicit
    ).map(answered)


def _sort_out(context: Context, message: TxnOffsetCommitRequest) -> list[TxnOffsetCommitResponseTopic]:
    """Leave in the request what exists; returns the answers of the rest."""
    topics = context.metadata.topics
    known: list[TxnOffsetCommitRequestTopic] = []
    refused: list[TxnOffsetCommitResponseTopic] = []
    for topic in message.topics:
        found = topics.get(topic.name)
        count = 0 if found is None else len(found.partitions)
        good = [entry for entry in topic.partitions if 0 <= entry.partition_index < count]
        bad = [entry for entry in topic.partitions if not 0 <= entry.partition_index < count]
        if bad:
            refused.append(_refused(topic.name, bad, ErrorCode.UNKNOWN_TOPIC_OR_PARTITION))
        if good:
            topic.partitions = good
            known.append(topic)
    message.topics = known
    return refused


def _refused(
    name: str, partitions: list[TxnOffsetCommitRequestPartition], error: ErrorCode
) -> TxnOffsetCommitResponseTopic:
    return TxnOffsetCommitResponseTopic(
        name=name,
        partitions=[
            TxnOffsetCommitResponsePartition(partition_index=entry.partition_index, error_code=error)
            for entry in partitions
        ],
    )


def _answer(
    message: TxnOffsetCommitRequest,
    outcome: TxnOffsetCommitResponse | ApiError,
    refused: list[TxnOffsetCommitResponseTopic],
    version: int,
) -> TxnOffsetCommitResponse:
    if isinstance(outcome, ApiError):
        error = outcome.code
        if error is ErrorCode.COORDINATOR_LOAD_IN_PROGRESS and version < 2:
            # Producers before 2.0 do not know that a coordinator may be loading.
            error = ErrorCode.COORDINATOR_NOT_AVAILABLE
        outcome = TxnOffsetCommitResponse(
            topics=[_refused(topic.name, topic.partitions, error) for topic in message.topics]
        )
    by_name = {topic.name: topic for topic in outcome.topics}
    for topic in refused:
        known = by_name.get(topic.name)
        if known is None:
            outcome.topics.append(topic)
        else:
            known.partitions += topic.partitions
    return outcome

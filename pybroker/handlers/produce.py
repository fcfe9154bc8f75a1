"""Produce (key 0), versions 3-13.

Behaviour: appends each batch to its partition and answers when the requested guarantee holds: acks=0
never answers (and closes the connection after an error), acks=1 and acks=all answer once the high watermark
has passed the batch, which on a single replica is at once with `pybroker.durability=os` and after the group
commit with `fsync`. One partition named twice in a request gets one answer, for the last batch, as in Kafka.
Deviations: null records are answered with INVALID_RECORD, where Kafka never answers.
Transactional batches are refused: there is no transaction coordinator yet.
"""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING, cast

from pybroker.common.deferred import Deferred
from pybroker.common.errors import ErrorCode
from pybroker.handlers.context import CLOSE, Context, Request
from pybroker.records.validation import has_transactional_batch, preflight
from pybroker.wire.messages.produce import (
    BatchIndexAndErrorMessage,
    PartitionProduceData,
    PartitionProduceResponse,
    ProduceRequest,
    ProduceResponse,
    TopicProduceData,
    TopicProduceResponse,
)

if TYPE_CHECKING:
    from pybroker.replication.partition import Partition

_NO_COORDINATOR = (
    "Unable to verify the partition has been added to the transaction. "
    "Underlying error: COORDINATOR_NOT_AVAILABLE"
)


def handle(context: Context, request: Request) -> ProduceResponse | Deferred[ProduceResponse] | object | None:
    message: ProduceRequest = request.message
    acks = message.acks
    by_id = request.version >= 13
    refusal = _whole_request_refusal(message)
    responses: list[TopicProduceResponse] = []
    waiting: list[tuple[Partition, int, PartitionProduceResponse]] = []
    failed = False
    topics = context.topics
    for topic in message.topic_data:
        if by_id:
            local = context.topics_by_id.get(topic.topic_id)
            missing = ErrorCode.UNKNOWN_TOPIC_ID
        else:
            local = topics.get(topic.name)
            missing = ErrorCode.UNKNOWN_TOPIC_OR_PARTITION
        answers: list[PartitionProduceResponse] = []
        for data in _last_of_each(topic):
            index = data.index
            if refusal is not None:
                error, text = refusal
                answers.append(_refused(index, error, text))
                failed = True
                continue
            if local is None or not 0 <= index < len(local.partitions):
                error = missing if local is None else ErrorCode.UNKNOWN_TOPIC_OR_PARTITION
                answers.append(_refused(index, error))
                failed = True
                continue
            partition = local.partitions[index]
            outcome = partition.append(
                cast("memoryview | None", data.records),
                version=request.version,
                walk_policy=request.connection.walk_policy,
                now_ms=context.clock.wall_ms(),
            )
            answer = PartitionProduceResponse(
                index=index,
                error_code=outcome.error,
                base_offset=outcome.base_offset,
                log_append_time=outcome.log_append_time_ms,
                log_start_offset=outcome.log_start_offset,
            )
            if outcome.error:
                failed = True
                answer.error_message = outcome.error_message
                answer.record_errors = [
                    BatchIndexAndErrorMessage(batch_index=at, batch_index_error_message=text)
                    for at, text in outcome.record_errors
                ]
            elif partition.high_watermark < outcome.end_offset:
                waiting.append((partition, outcome.end_offset, answer))
            answers.append(answer)
        if answers:
            responses.append(
                TopicProduceResponse(name=topic.name, topic_id=topic.topic_id, partition_responses=answers)
            )
    if acks == 0:
        return CLOSE if failed else None
    reply = ProduceResponse(responses=responses)
    if waiting:
        return _when_safe(context, message.timeout, waiting, reply)
    return reply


def _refused(index: int, error: ErrorCode, text: str | None = None) -> PartitionProduceResponse:
    """The answer for a partition whose log was not asked."""
    return PartitionProduceResponse(index=index, error_code=error, error_message=text, base_offset=-1)


def _last_of_each(topic: TopicProduceData) -> list[PartitionProduceData]:
    """The partitions of a topic, each once: its last batch, at the place where it was named first."""
    partitions = topic.partition_data
    if len(partitions) < 2:
        return partitions
    return list({data.index: data for data in partitions}.values())


def _whole_request_refusal(message: ProduceRequest) -> tuple[ErrorCode, str | None] | None:
    """What refuses all partitions of a request before any of them is touched."""
    if message.acks not in (-1, 0, 1):
        return ErrorCode.INVALID_REQUIRED_ACKS, None
    for topic in message.topic_data:
        for data in topic.partition_data:
            records = cast("memoryview | None", data.records)
            rejection = preflight(records)
            if rejection is not None and rejection.whole_request:
                return rejection.error_code, rejection.error_message
            if has_transactional_batch(records):
                if message.transactional_id is None:
                    return ErrorCode.TRANSACTIONAL_ID_AUTHORIZATION_FAILED, None
                return ErrorCode.NOT_ENOUGH_REPLICAS, _NO_COORDINATOR
    return None


def _when_safe(
    context: Context,
    timeout_ms: int,
    waiting: list[tuple[Partition, int, PartitionProduceResponse]],
    reply: ProduceResponse,
) -> Deferred[ProduceResponse]:
    """The reply once every partition's high watermark has passed its batch, or the timeout did."""
    deferred: Deferred[ProduceResponse] = Deferred()
    open_answers = {id(answer): answer for _, _, answer in waiting}

    def settle(answer: PartitionProduceResponse, error: ErrorCode) -> None:
        if open_answers.pop(id(answer), None) is None:
            return
        if error:
            answer.error_code = error
            answer.base_offset = -1
        if not open_answers and not deferred.done:
            timer.cancel()
            deferred.resolve(reply)

    def expire() -> None:
        for answer in list(open_answers.values()):
            settle(answer, ErrorCode.REQUEST_TIMED_OUT)

    timer = context.timers.schedule(context.clock.monotonic_ms() + max(timeout_ms, 0), expire)
    for partition, end_offset, answer in waiting:
        partition.on_high_watermark(end_offset, partial(settle, answer))
    return deferred

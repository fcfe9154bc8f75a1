"""Produce (key 0), versions 3-13.

Behaviour: appends each batch to its partition and answers when the requested guarantee holds: acks=0
never answers (and closes the connection after an error), acks=all answers once the high watermark has passed
the batch, acks=1 once the leader counts it for itself: at once with `pybroker.durability=os` and after the
group commit with `fsync`. acks=all with fewer than min.insync.replicas in sync is refused. One partition
named twice in a request gets one answer, for the last batch, as in Kafka.
Deviations: null records are answered with INVALID_RECORD, where Kafka never answers.
A request with a transactional id is admitted by the transaction coordinator first: `produce_transactions`.
"""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING, Any, cast

from pybroker.common.deferred import Deferred
from pybroker.common.errors import ErrorCode
from pybroker.handlers.context import CLOSE, Context, Request, Steps
from pybroker.handlers.nodes import LeaderHints
from pybroker.handlers.parts import join, parts
from pybroker.handlers.produce_transactions import Admission, in_order
from pybroker.records.validation import check_framing, has_transactional_batch, preflight
from pybroker.wire.messages.produce import (
    BatchIndexAndErrorMessage,
    LeaderIdAndEpoch,
    NodeEndpoint,
    PartitionProduceData,
    PartitionProduceResponse,
    ProduceRequest,
    ProduceResponse,
    TopicProduceData,
    TopicProduceResponse,
)

if TYPE_CHECKING:
    from pybroker.replication.partition import Partition

_FIRST_WITH_LEADERS = 10
_ADMIN_CLIENT = "__admin_client"
"""The client id that may write to internal topics."""


def handle(context: Context, request: Request) -> ProduceResponse | Deferred[ProduceResponse] | object | None:
    if request.message.transactional_id is not None:
        reply: Deferred[ProduceResponse] = in_order(context, request, _append)
        return reply
    return _append(context, request, None)


def _append(
    context: Context, request: Request, admission: Admission | None
) -> ProduceResponse | Deferred[ProduceResponse] | object | None:
    message: ProduceRequest = request.message
    acks = message.acks
    by_id = request.version >= 13
    topic_data, overruled = message.topic_data, None
    refusal = _whole_request_refusal(context, request)
    if _names_something_twice(message, by_id):
        topic_data, overruled = _merged(message, request.version)
    if refusal is None and acks not in (-1, 0, 1):
        return _bad_acks(context, request, topic_data, overruled)
    responses: list[TopicProduceResponse] = []
    waiting: list[tuple[Partition, int, PartitionProduceResponse]] = []
    failed = False
    topics = context.topics
    for topic in topic_data:
        if by_id:
            local = context.topics_by_id.get(topic.topic_id)
            missing = ErrorCode.UNKNOWN_TOPIC_ID
        else:
            local = topics.get(topic.name)
            missing = ErrorCode.UNKNOWN_TOPIC_OR_PARTITION
        answers: list[PartitionProduceResponse] = []
        for data in topic.partition_data:
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
            if local.is_internal and request.client_id != _ADMIN_CLIENT:
                answers.append(_refused_internal(data, request.version))
                failed = True
                continue
            if admission is not None and (local.name, index) in admission.errors:
                error, text = admission.errors[local.name, index]
                answers.append(_refused(index, error, text))
                failed = True
                continue
            partition = local.partitions[index]
            if partition is None:
                answers.append(_refused(index, ErrorCode.NOT_LEADER_OR_FOLLOWER))
                failed = True
                continue
            outcome = partition.append(
                cast("memoryview | None", data.records),
                version=request.version,
                walk_policy=request.connection.walk_policy,
                now_ms=context.clock.wall_ms(),
                verification=None if admission is None else admission.verifications.get((local.name, index)),
                verify=admission is None or admission.verify,
                acks=acks,
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
            elif partition.high_watermark < outcome.end_offset and (
                acks != 1 or partition.counted_end_offset < outcome.end_offset
            ):
                waiting.append((partition, outcome.end_offset, answer))
            if overruled and (error_of_another := overruled.get(_place(topic, index))):
                answer = _refused(index, error_of_another)
                failed = True
            answers.append(answer)
        if answers:
            responses.append(
                TopicProduceResponse(name=topic.name, topic_id=topic.topic_id, partition_responses=answers)
            )
    if len(responses) == 1 and not failed and not waiting and partition is not None:
        request.connection.lane.learn(request.version, request.client_id, message, partition)
    if acks == 0:
        return CLOSE if failed else None
    reply = ProduceResponse(responses=responses)
    if waiting:
        return _when_safe(context, request, waiting, reply)
    return _with_leaders(context, request, reply) if failed else reply


def _with_leaders(context: Context, request: Request, reply: ProduceResponse) -> ProduceResponse:
    """Say who leads what this broker does not lead (KIP-951)."""
    if request.version < _FIRST_WITH_LEADERS:
        return reply
    image = context.metadata
    hints: LeaderHints | None = None
    for topic in reply.responses:
        for answer in topic.partition_responses:
            if answer.error_code != ErrorCode.NOT_LEADER_OR_FOLLOWER:
                continue
            if hints is None:
                hints = LeaderHints(image, request.connection.listener)
            by_id = request.version >= 13
            known = image.topics_by_id.get(topic.topic_id) if by_id else image.topics.get(topic.name)
            leader_id, leader_epoch = hints.leader(known, answer.index)
            answer.current_leader = LeaderIdAndEpoch(leader_id=leader_id, leader_epoch=leader_epoch)
    if hints is not None:
        reply.node_endpoints = hints.endpoints(NodeEndpoint)
    return reply


def _refused(index: int, error: ErrorCode, text: str | None = None) -> PartitionProduceResponse:
    """The answer for a partition whose log was not asked."""
    return PartitionProduceResponse(index=index, error_code=error, error_message=text, base_offset=-1)


def _refused_internal(data: PartitionProduceData, version: int) -> PartitionProduceResponse:
    return _refused(data.index, _framing_error(data, version) or ErrorCode.INVALID_TOPIC_EXCEPTION)


def _framing_error(data: PartitionProduceData, version: int) -> ErrorCode:
    """What is wrong with the records before the log is asked."""
    records = cast("memoryview | None", data.records)
    checked = None if records is None else check_framing(records, version)
    if isinstance(checked, int):
        return ErrorCode.NONE
    return ErrorCode.INVALID_RECORD if checked is None else checked.error_code


_Place = tuple[str, bytes, int]


def _place(topic: TopicProduceData, index: int) -> _Place:
    return topic.name, topic.topic_id, index


def _names_something_twice(message: ProduceRequest, by_id: bool) -> bool:
    topics = message.topic_data
    if len(topics) > 1 and len({topic.topic_id if by_id else topic.name for topic in topics}) < len(topics):
        return True
    for topic in topics:
        partitions = topic.partition_data
        if len(partitions) > 1 and len({data.index for data in partitions}) < len(partitions):
            return True
    return False


def _merged(message: ProduceRequest, version: int) -> tuple[list[TopicProduceData], dict[_Place, ErrorCode]]:
    """Every partition once, as the reference does it: the last of its sound record sets is appended, but when
    another one was refused before the log was asked, that error is the answer."""
    chosen: dict[_Place, PartitionProduceData] = {}
    errors: dict[_Place, ErrorCode] = {}
    sound: set[_Place] = set()
    for topic in message.topic_data:
        for data in topic.partition_data:
            place = _place(topic, data.index)
            if error := _framing_error(data, version):
                errors[place] = error
                if place in sound:
                    continue
            else:
                sound.add(place)
            chosen[place] = data
    topics: dict[tuple[str, bytes], TopicProduceData] = {}
    for (name, topic_id, _), data in chosen.items():
        merged = topics.setdefault(
            (name, topic_id), TopicProduceData(name=name, topic_id=topic_id, partition_data=[])
        )
        merged.partition_data.append(data)
    return list(topics.values()), errors


def _bad_acks(
    context: Context,
    request: Request,
    topic_data: list[TopicProduceData],
    overruled: dict[_Place, ErrorCode] | None,
) -> ProduceResponse:
    """The answer when acks is not -1, 0 or 1: what is looked at before the log comes first."""
    by_id = request.version >= 13
    responses: list[TopicProduceResponse] = []
    for topic in topic_data:
        local = context.topics_by_id.get(topic.topic_id) if by_id else context.topics.get(topic.name)
        answers: list[PartitionProduceResponse] = []
        for data in topic.partition_data:
            if local is None and by_id:
                error = ErrorCode.UNKNOWN_TOPIC_ID
            elif local is None or not 0 <= data.index < len(local.partitions):
                error = ErrorCode.UNKNOWN_TOPIC_OR_PARTITION
            else:
                error = (
                    (overruled or {}).get(_place(topic, data.index), ErrorCode.NONE)
                    or _framing_error(data, request.version)
                    or ErrorCode.INVALID_REQUIRED_ACKS
                )
            answers.append(_refused(data.index, error))
        if answers:
            responses.append(
                TopicProduceResponse(name=topic.name, topic_id=topic.topic_id, partition_responses=answers)
            )
    return ProduceResponse(responses=responses)


def _whole_request_refusal(context: Context, request: Request) -> tuple[ErrorCode, str | None] | None:
    """What refuses all partitions of a request before any of them is touched."""
    message: ProduceRequest = request.message
    # Versions without zstd have the codec looked at as well.
    is_plain = request.version >= 7
    for topic in message.topic_data:
        for data in topic.partition_data:
            records = cast("memoryview | None", data.records)
            found = preflight(records)
            if found is False:
                is_plain = False
            elif found is not True:
                return found.error_code, found.error_message
            if message.transactional_id is None and has_transactional_batch(records):
                return ErrorCode.TRANSACTIONAL_ID_AUTHORIZATION_FAILED, None
    return None if is_plain else _second_look(context, request)


def _second_look(context: Context, request: Request) -> tuple[ErrorCode, str | None] | None:
    """What refuses the whole request when it comes to the partitions that there are: an unknown codec in old
    versions, a second batch whose length overflows."""
    by_id = request.version >= 13
    for topic in request.message.topic_data:
        local = context.topics_by_id.get(topic.topic_id) if by_id else context.topics.get(topic.name)
        for data in topic.partition_data:
            if local is None or data.records is None or not 0 <= data.index < len(local.partitions):
                continue
            checked = check_framing(data.records, request.version)
            if not isinstance(checked, int) and checked.whole_request:
                return checked.error_code, checked.error_message
    return None


def _when_safe(
    context: Context,
    request: Request,
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
            deferred.resolve(_with_leaders(context, request, reply))

    def expire() -> None:
        for answer in list(open_answers.values()):
            settle(answer, ErrorCode.REQUEST_TIMED_OUT)

    timeout_ms = max(request.message.timeout, 0)
    timer = context.timers.schedule(context.clock.monotonic_ms() + timeout_ms, expire)
    for partition, end_offset, answer in waiting:
        if request.message.acks == 1:
            partition.on_counted_end(end_offset, partial(settle, answer))
        else:
            partition.on_high_watermark(end_offset, partial(settle, answer))
    return deferred


def large_steps(context: Context, request: Request) -> Steps[ProduceResponse | object | None]:
    """A request with very many partitions is served in parts, as if the client had sent several."""
    message: ProduceRequest = request.message
    responses: list[TopicProduceResponse] = []
    closes = False
    for topics in parts(message.topic_data, lambda topic: len(topic.partition_data), _cut):
        part = ProduceRequest(
            transactional_id=message.transactional_id,
            acks=message.acks,
            timeout=message.timeout,
            topic_data=topics,
        )
        reply: Any = handle(
            context, Request(request.api_key, request.version, request.client_id, part, request.connection)
        )
        if isinstance(reply, Deferred):
            reply = yield reply
        if isinstance(reply, ProduceResponse):
            join(responses, reply.responses, _same_topic, _add_partitions)
        else:
            closes = closes or reply is CLOSE
        yield
    if message.acks == 0:
        return CLOSE if closes else None
    return ProduceResponse(responses=responses)


def _cut(topic: TopicProduceData, start: int, end: int) -> TopicProduceData:
    return TopicProduceData(
        name=topic.name, topic_id=topic.topic_id, partition_data=topic.partition_data[start:end]
    )


def _same_topic(one: TopicProduceResponse, other: TopicProduceResponse) -> bool:
    return one.name == other.name and one.topic_id == other.topic_id


def _add_partitions(one: TopicProduceResponse, other: TopicProduceResponse) -> None:
    one.partition_responses += other.partition_responses

"""Fetch (key 1), versions 4-18.

Behaviour: batches from the one that holds the offset asked for, within the byte budgets of request, partition
and broker; the first batch of the first non-empty partition comes whole even beyond them, after it an
incomplete first batch is left out. Waits up to max_wait for min_bytes. Sessions as KIP-227, topics by id from
v13. A leader epoch is checked (KIP-320), a diverging epoch is answered from v12. Consumers may read from a
follower from v11, up to its high watermark, and are sent there where `replica.selector.class` says so
(KIP-392). A follower reads to the log end; what it asks for is what it has: its leader counts it.
Deviations: none known.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from pybroker.common.deferred import Deferred
from pybroker.common.errors import ErrorCode
from pybroker.handlers.context import Context, LocalTopic, Request, Steps
from pybroker.handlers.fetch_sessions import SESSION_PARTITIONS_MAX, FetchContext, SessionPartition
from pybroker.handlers.nodes import LeaderHints
from pybroker.handlers.parts import join, parts
from pybroker.log.partition_log import ColdRead
from pybroker.replication.partition import READ_LOG_END, Partition
from pybroker.replication.replica_selector import preferred_read_replica
from pybroker.wire.messages.fetch import (
    AbortedTransaction,
    EpochEndOffset,
    FetchableTopicResponse,
    FetchRequest,
    FetchResponse,
    FetchTopic,
    LeaderIdAndEpoch,
    NodeEndpoint,
    PartitionData,
)

_FUTURE_REPLICA_ID = -3
_FIRST_FROM_FOLLOWERS = 11
_FIRST_WITH_LEADERS = 16
_LED_ELSEWHERE = (ErrorCode.NOT_LEADER_OR_FOLLOWER, ErrorCode.FENCED_LEADER_EPOCH)
_READ_COMMITTED = 1
_ZERO_ID = bytes(16)
_LENGTH_END = 12
"""Where the length field of a batch ends: what it counts begins here."""

_Results = list[tuple[SessionPartition, PartitionData]]


def handle(context: Context, request: Request) -> FetchResponse | Deferred[FetchResponse]:
    message: FetchRequest = request.message
    now_ms = context.clock.monotonic_ms()
    fetch_context = context.fetch_sessions.open(message, request.version, now_ms, context.topics_by_id)
    if fetch_context.error == ErrorCode.UNKNOWN_SERVER_ERROR:
        return _refuse_all(message, request.version)
    if fetch_context.error:
        return FetchResponse(error_code=fetch_context.error)
    if message.isolation_level not in (0, 1) and _any_partition_is_there(context, request, fetch_context):
        return _refuse_all(message, request.version)
    results, ready, cold = _read(context, request, fetch_context, is_first=True)
    if cold:
        return _when_warm(context, request, fetch_context, cold)
    if ready or message.max_wait <= 0:
        return _answer(context, request, fetch_context, results)
    return _wait(context, request, fetch_context, now_ms + message.max_wait)


def _read(
    context: Context, request: Request, fetch_context: FetchContext, *, is_first: bool = False
) -> tuple[_Results, bool, list[ColdRead]]:
    """Read every partition once. Returns the results, whether they must be answered without waiting, and the
    reads to be done off the loop first because their bytes are not in memory. When the request comes in and
    `is_first`, nothing blocks and a follower's progress is noted; later reads do block."""
    message: FetchRequest = request.message
    version = request.version
    replica_id = _replica_id(request)
    is_follower = replica_id >= 0
    # The future replica of a log directory reads to the log's end.
    isolation_level = message.isolation_level if replica_id != _FUTURE_REPLICA_ID else 0
    if is_follower:
        isolation_level = READ_LOG_END
    replica_epoch = message.replica_state.replica_epoch
    from_follower = version >= _FIRST_FROM_FOLLOWERS and not is_follower
    rack = message.rack_id if from_follower and context.config["replica.selector.class"] is not None else ""
    budget = min(message.max_bytes, context.config["fetch.max.bytes"])
    min_bytes = min(message.min_bytes, budget)
    by_id = version >= 13
    topics, topics_by_id = context.topics, context.topics_by_id
    results: _Results = []
    unknown: _Results = []
    missing: _Results = []
    read_bytes = 0
    answer_now = False
    cold: list[ColdRead] = []
    # A follower has a session with all that it follows, nearly all of it idle.
    is_incremental = is_follower and fetch_context.session is not None
    for entry in fetch_context.partitions:
        asked = entry.asked
        if (
            is_incremental
            and by_id
            and (idle := _without_news(topics_by_id.get(entry.topic_id), entry)) is not None
            and not idle.check_replica_fetch(replica_id, replica_epoch, told_epoch=True)
        ):
            if is_first:
                offset = asked.fetch_offset
                idle.note_replica_fetch(replica_id, offset, asked.log_start_offset, offset, replica_epoch)
            continue
        data = PartitionData(partition_index=asked.partition, high_watermark=-1)
        local: LocalTopic | None
        if by_id:
            local = topics_by_id.get(entry.topic_id)
        else:
            local = topics.get(entry.name or "")
        if local is None or not 0 <= asked.partition < len(local.partitions):
            data.error_code = _why_missing(context, entry, by_id)
            if data.error_code == ErrorCode.INCONSISTENT_TOPIC_ID:
                results.append((entry, data))
                data.aborted_transactions = None
                answer_now = True
                continue
            data.aborted_transactions = []
            # The reference sorts unknown ids out first, for consumers.
            goes_first = data.error_code == ErrorCode.UNKNOWN_TOPIC_ID and not is_follower
            (unknown if goes_first else missing).append((entry, data))
            continue
        results.append((entry, data))
        data.aborted_transactions = None
        partition = local.partitions[asked.partition]
        if partition is None:
            data.error_code = ErrorCode.NOT_LEADER_OR_FOLLOWER
            answer_now = True
            continue
        epoch = asked.current_leader_epoch
        if epoch >= 0 and (error := partition.check_leader_epoch(epoch)):
            data.error_code = error
            answer_now = True
            continue
        if is_follower and (
            error := partition.check_replica_fetch(replica_id, replica_epoch, told_epoch=epoch >= 0)
        ):
            data.error_code = error
            answer_now = True
            continue
        if rack and partition.replication is not None:
            data.preferred_read_replica = preferred_read_replica(
                partition, context.metadata.brokers, context.broker_id, rack, asked.fetch_offset
            )
            if data.preferred_read_replica >= 0:
                data.high_watermark = partition.high_watermark
                data.last_stable_offset = partition.last_stable_offset
                data.log_start_offset = partition.log_start_offset
                answer_now = True
                continue
        if version >= 12 and asked.last_fetched_epoch >= 0 and (partition.is_leader or from_follower):
            found_epoch, end_offset = partition.epoch_end_offset(asked.last_fetched_epoch)
            if found_epoch < 0 or end_offset < 0 or asked.fetch_offset < partition.log_start_offset:
                data.error_code = ErrorCode.OFFSET_OUT_OF_RANGE
                answer_now = True
                continue
            if found_epoch < asked.last_fetched_epoch or end_offset < asked.fetch_offset:
                data.diverging_epoch = EpochEndOffset(epoch=found_epoch, end_offset=end_offset)
                data.high_watermark = partition.high_watermark
                data.last_stable_offset = partition.last_stable_offset
                data.log_start_offset = partition.log_start_offset
                answer_now = True
                continue
        # A budget below 0 is one of 0 for all partitions but the first.
        limit = min(asked.partition_max_bytes, budget if len(results) == 1 else max(budget - read_bytes, 0))
        log_end_offset = partition.log_end_offset
        outcome = partition.read(
            asked.fetch_offset,
            max(limit, 0),
            isolation=isolation_level,
            min_one_batch=read_bytes == 0 and limit >= 0,
            may_block=not is_first,
            as_follower=from_follower,
        )
        if outcome.cold is not None:
            cold.append(outcome.cold)
        error = outcome.error
        if (
            limit < 0
            and not error
            and asked.fetch_offset
            < (outcome.last_stable_offset if isolation_level == _READ_COMMITTED else outcome.high_watermark)
        ):
            # The reference trips over a negative limit as soon as there is something to read.
            error = ErrorCode.UNKNOWN_SERVER_ERROR
        if error:
            data.error_code = error
            answer_now = True
            continue
        data.high_watermark = outcome.high_watermark
        data.last_stable_offset = outcome.last_stable_offset
        data.log_start_offset = outcome.log_start_offset
        records = outcome.records
        if is_follower:
            if is_first:
                partition.note_replica_fetch(
                    replica_id, asked.fetch_offset, asked.log_start_offset, log_end_offset, replica_epoch
                )
            if partition.holds_back(replica_id, len(records), is_first=is_first):
                continue
        if read_bytes and records and _is_first_batch_cut(records):
            continue
        data.records = records
        read_bytes += len(records)
        if isolation_level == _READ_COMMITTED:
            data.aborted_transactions = [
                AbortedTransaction(producer_id=producer_id, first_offset=first_offset)
                for producer_id, first_offset in outcome.aborted
            ]
    ready = answer_now or read_bytes >= min_bytes or not (results or fetch_context.partitions)
    if unknown or missing:
        results += unknown + missing
    return results, ready, cold


def _without_news(local: LocalTopic | None, entry: SessionPartition) -> Partition | None:
    """The partition, if a follower of it has everything, and knows it."""
    asked = entry.asked
    if local is None or not 0 <= asked.partition < len(local.partitions):
        return None
    partition = local.partitions[asked.partition]
    if partition is None or partition.leader_epoch != asked.current_leader_epoch:
        return None
    log = partition.log
    if (
        asked.fetch_offset != log.log_end_offset
        or entry.high_watermark != log.high_watermark
        or entry.log_start_offset != log.log_start_offset
        or asked.last_fetched_epoch != log.epochs.latest
        or log.blocked
    ):
        return None
    return partition


def _replica_id(request: Request) -> int:
    message: FetchRequest = request.message
    return message.replica_state.replica_id if request.version >= 15 else message.replica_id


def _why_missing(context: Context, entry: SessionPartition, by_id: bool) -> ErrorCode:
    """The error of a partition that is not here. A session that was told an id goes on with the name that the
    topic had then."""
    if not by_id:
        return ErrorCode.UNKNOWN_TOPIC_OR_PARTITION
    if entry.name is None:
        return ErrorCode.UNKNOWN_TOPIC_ID
    local = context.topics.get(entry.name)
    if local is None or not 0 <= entry.asked.partition < len(local.partitions):
        return ErrorCode.UNKNOWN_TOPIC_OR_PARTITION
    return ErrorCode.INCONSISTENT_TOPIC_ID


def _any_partition_is_there(context: Context, request: Request, fetch_context: FetchContext) -> bool:
    by_id = request.version >= 13
    for entry in fetch_context.partitions:
        local = context.topics_by_id.get(entry.topic_id) if by_id else context.topics.get(entry.name or "")
        if local is not None and 0 <= entry.asked.partition < len(local.partitions):
            return True
    return False


def _is_first_batch_cut(records: bytes | memoryview) -> bool:
    size = len(records)
    return size < _LENGTH_END or size < _LENGTH_END + int.from_bytes(records[8:_LENGTH_END], "big")


def _refuse_all(message: FetchRequest, version: int) -> FetchResponse:
    """What the reference says of a request that it cannot make sense of: up to v12 of every partition too."""
    error = ErrorCode.UNKNOWN_SERVER_ERROR
    topics = []
    if version < 13:
        topics = [
            FetchableTopicResponse(
                topic=topic.topic,
                partitions=[
                    PartitionData(
                        partition_index=asked.partition,
                        error_code=error,
                        high_watermark=-1,
                        aborted_transactions=[],
                    )
                    for asked in topic.partitions
                ],
            )
            for topic in message.topics
        ]
    return FetchResponse(error_code=error, session_id=message.session_id, responses=topics)


def _answer(
    context: Context, request: Request, fetch_context: FetchContext, results: _Results
) -> FetchResponse:
    topics: list[FetchableTopicResponse] = []
    current: FetchableTopicResponse | None = None
    name: str | None = None
    if (
        request.version >= 13
        and results
        and results[-1][1].error_code
        and any(entry.topic_id == _ZERO_ID for entry, _ in results[:-1])
    ):
        # The reference trips over an entry without id and name, unless it is the last.
        return _refuse_all(request.message, request.version)
    hints: LeaderHints | None = None
    for entry, data in fetch_context.carried(results, context.clock.monotonic_ms()):
        if data.error_code in _LED_ELSEWHERE and request.version >= _FIRST_WITH_LEADERS:
            image = context.metadata
            if hints is None:
                hints = LeaderHints(image, request.connection.listener)
            known = image.topics_by_id.get(entry.topic_id)
            leader_id, leader_epoch = hints.leader(known, data.partition_index)
            data.current_leader = LeaderIdAndEpoch(leader_id=leader_id, leader_epoch=leader_epoch)
        if current is None or name != entry.name or current.topic_id != entry.topic_id:
            name = entry.name
            current = FetchableTopicResponse(topic=name or "", topic_id=entry.topic_id, partitions=[])
            topics.append(current)
        current.partitions.append(data)
    response = FetchResponse(session_id=fetch_context.session_id, responses=topics)
    if hints is not None and _replica_id(request) < 0:
        # Followers learn addresses from the metadata.
        response.node_endpoints = hints.endpoints(NodeEndpoint)
    return response


def _when_warm(
    context: Context, request: Request, fetch_context: FetchContext, cold: list[ColdRead]
) -> Deferred[FetchResponse]:
    """Bring the bytes into memory off the loop, then read again and answer with what is there."""
    reply: Deferred[FetchResponse] = Deferred()

    def run() -> None:
        for read in cold:
            read.run()

    def done(error: BaseException | None) -> None:
        # A disk that refuses is met again, and answered, by the second read.
        results, _, _ = _read(context, request, fetch_context)
        reply.resolve(_answer(context, request, fetch_context, results))

    context.run_blocking("cold reads", run, done)
    return reply


def _wait(
    context: Context, request: Request, fetch_context: FetchContext, deadline_ms: float
) -> Deferred[FetchResponse]:
    """Answer when an append brings enough bytes, when a partition goes away, or at the deadline."""
    reply: Deferred[FetchResponse] = Deferred()
    connection = request.connection
    timers = context.timers
    watches: list[Callable[[], None]] = []
    retry_scheduled = False

    def stop() -> None:
        deadline.cancel()
        connection.forget(reply)
        for cancel in watches:
            cancel()
        watches.clear()

    def finish() -> None:
        if reply.done:
            return
        results, _, _ = _read(context, request, fetch_context)
        stop()
        reply.resolve(_answer(context, request, fetch_context, results))

    def retry() -> None:
        nonlocal retry_scheduled
        retry_scheduled = False
        if reply.done or connection.closed:
            return
        results, ready, _ = _read(context, request, fetch_context)
        if ready:
            stop()
            reply.resolve(_answer(context, request, fetch_context, results))

    def woken() -> None:
        # Several appends of one loop turn are read together, after it: one answer instead of many.
        nonlocal retry_scheduled
        if not retry_scheduled:
            retry_scheduled = True
            timers.schedule(0.0, retry)

    deadline = timers.schedule(deadline_ms, finish)
    connection.on_close(reply, stop)
    by_id = request.version >= 13
    is_follower = _replica_id(request) >= 0
    for entry in fetch_context.partitions:
        local = context.topics_by_id.get(entry.topic_id) if by_id else context.topics.get(entry.name or "")
        if local is not None and 0 <= entry.asked.partition < len(local.partitions):
            partition = local.partitions[entry.asked.partition]
            if partition is not None:
                watches.append(partition.on_log_end(woken) if is_follower else partition.on_append(woken))
    return reply


def large_steps(context: Context, request: Request) -> Steps[FetchResponse | Deferred[FetchResponse]]:
    """A request with very many partitions. With more than a session may have it is served in parts, as if the
    client had sent several, without a session and without waiting."""
    message: FetchRequest = request.message
    asked = sum(len(topic.partitions) for topic in message.topics)
    if asked <= SESSION_PARTITIONS_MAX:
        return handle(context, request)
    if message.session_epoch > 0:
        return FetchResponse(error_code=ErrorCode.FETCH_SESSION_ID_NOT_FOUND)
    responses: list[FetchableTopicResponse] = []
    room = min(message.max_bytes, context.config["fetch.max.bytes"])
    for topics in parts(message.topics, lambda topic: len(topic.partitions), _cut):
        part = FetchRequest(
            replica_id=message.replica_id,
            replica_state=message.replica_state,
            isolation_level=message.isolation_level,
            max_wait=0,
            min_bytes=0,
            max_bytes=max(room, 0),
            session_id=message.session_id,
            session_epoch=-1,
            topics=topics,
        )
        reply: Any = handle(
            context, Request(request.api_key, request.version, request.client_id, part, request.connection)
        )
        if isinstance(reply, Deferred):
            reply = yield reply
        if reply.error_code:
            return FetchResponse(error_code=reply.error_code)
        for topic in reply.responses:
            for data in topic.partitions:
                if room <= 0:
                    # Each part gives one batch whatever the limit is; this one is for the next request.
                    data.records = b""
                room -= len(data.records or b"")
        join(responses, reply.responses, _same_topic, _add_partitions)
        yield
    return FetchResponse(responses=responses)


def _cut(topic: FetchTopic, start: int, end: int) -> FetchTopic:
    return FetchTopic(topic=topic.topic, topic_id=topic.topic_id, partitions=topic.partitions[start:end])


def _same_topic(one: FetchableTopicResponse, other: FetchableTopicResponse) -> bool:
    return one.topic == other.topic and one.topic_id == other.topic_id


def _add_partitions(one: FetchableTopicResponse, other: FetchableTopicResponse) -> None:
    one.partitions += other.partitions

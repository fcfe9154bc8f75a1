"""Fetching from one leader, for all partitions that this broker follows there.

In: partitions to follow, responses, the clock. Out: Fetch requests (and ListOffsets where a log does not
reach into the leader's), appends and truncations. What must hold:

- what a request asks for is what this replica counts for itself: in its log, and flushed where flushes count;
- a response changes a partition only if that still stands where the request said, in the same leader epoch;
- batches are checked and stored as they are; what the leader does not have is cut where the leader's epochs
  say so, never by the high watermark (KIP-101, KIP-279);
- a broken batch or a disk that refuses delays that partition alone;
- a step appends a bounded number of bytes, so that the loop is free for others in between.

Requests are of version 17: topics by id, incremental sessions (KIP-227), the replica's broker epoch
(KIP-903), current and last fetched leader epoch; truncation is answered in the response (KIP-595).
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterable
from typing import Any, Final, NamedTuple

from pybroker.common.clock import Clock
from pybroker.common.errors import CorruptionError, ErrorCode, StorageError
from pybroker.common.timers import Timer, TimerQueue
from pybroker.replication.partition import EARLIEST, LATEST, Partition
from pybroker.wire.messages.fetch import (
    FetchPartition,
    FetchRequest,
    FetchResponse,
    FetchTopic,
    ForgottenTopic,
    PartitionData,
    ReplicaState,
)
from pybroker.wire.messages.list_offsets import (
    ListOffsetsPartition,
    ListOffsetsRequest,
    ListOffsetsResponse,
    ListOffsetsTopic,
)

FETCH_VERSION: Final = 17
LIST_OFFSETS_VERSION: Final = 9
# What is appended before others have a turn.
_STEP_BYTES: Final = 512 * 1024
# Partitions of a response that are looked at before others have a turn.
_STEP_PARTITIONS: Final = 200
# A leader that does not know its role yet is asked again soon at first: after an election that is what an
# acknowledgement waits for. Doubles up to replica.fetch.backoff.ms.
_FIRST_RETRY_MS: Final = 20
_NOT_YET: Final = frozenset(
    {
        ErrorCode.NOT_LEADER_OR_FOLLOWER,
        ErrorCode.UNKNOWN_LEADER_EPOCH,
        ErrorCode.UNKNOWN_TOPIC_OR_PARTITION,
        ErrorCode.UNKNOWN_TOPIC_ID,
    }
)

Key = tuple[bytes, int]
"""(topic id, partition index)."""

_Asked = tuple[int, int, int, int]
"""(leader epoch, fetch offset, last fetched epoch, log start offset)."""


class FetcherSettings(NamedTuple):
    """Kafka's replica.* configuration; times in milliseconds."""

    wait_max_ms: int = 500
    min_bytes: int = 1
    max_bytes: int = 10_485_760
    partition_max_bytes: int = 1_048_576
    backoff_ms: int = 1000
    socket_timeout_ms: int = 30_000


class FetcherEnvironment(NamedTuple):
    """What fetchers use of the broker around them."""

    node_id: int
    clock: Clock
    timers: TimerQueue
    settings: FetcherSettings
    # The epoch of this broker's registration.
    broker_epoch: Callable[[], int]
    # (broker, message, version, timeout in ms, called once with the response or None): False when the broker
    # cannot be reached at all, and then nothing is called.
    call: Callable[[int, Any, int, float, Callable[[Any], None]], bool]
    report: Callable[[str], None]
    # (partition, bytes): whether a throttled partition has to wait; what was fetched for it.
    is_throttled: Callable[[Partition], bool]
    note_bytes: Callable[[Partition, int], None]


class _Followed:
    """One partition that is fetched."""

    __slots__ = ("failures", "key", "locating", "partition", "reported", "retry_at_ms")

    def __init__(self, key: Key, partition: Partition) -> None:
        self.key = key
        self.partition = partition
        self.retry_at_ms = 0.0
        # Refusals of the leader in a row.
        self.failures = 0
        # The leader is asked where its log starts and ends.
        self.locating = False
        # The trouble that was told of last: once is enough.
        self.reported = ""


class Fetcher:
    """Keeps one request to a leader under way as long as there is something to follow."""

    __slots__ = (
        "_busy",
        "_environment",
        "_followed",
        "_known",
        "_queue",
        "_retry_at_ms",
        "_session_epoch",
        "_session_id",
        "_timer",
        "leader_id",
        "stopped",
    )

    def __init__(self, environment: FetcherEnvironment, leader_id: int) -> None:
        self.leader_id = leader_id
        self.stopped = False
        self._environment = environment
        self._followed: dict[Key, _Followed] = {}
        # A request is under way, or its response is being worked off.
        self._busy = False
        self._queue: deque[tuple[_Followed, _Asked, PartitionData]] = deque()
        self._retry_at_ms = 0.0
        self._timer: Timer | None = None
        self._session_id = 0
        self._session_epoch = 0
        # What the session on the leader's side was told last of each partition.
        self._known: dict[Key, _Asked] = {}

    def __len__(self) -> int:
        return len(self._followed)

    def __contains__(self, key: object) -> bool:
        return key in self._followed

    # ---- what is followed ----------------------------------------------------------------------------

    def follow(self, partition: Partition) -> None:
        """Fetch for a partition, which is a follower of this leader now; again: from where it stands now."""
        key = partition.topic_id, partition.partition
        self._followed[key] = _Followed(key, partition)
        partition.on_counted = self.wake
        self.wake()

    def unfollow(self, key: Key) -> None:
        followed = self._followed.pop(key, None)
        if followed is not None:
            followed.partition.on_counted = None
            # The others may have waited for its flush, which does not wake us any more.
            self.wake()

    def stop(self) -> None:
        """Nothing more is sent, and what arrives is ignored."""
        self.stopped = True
        for key in list(self._followed):
            self.unfollow(key)
        if self._timer is not None:
            self._timer.cancel()

    # ---- requests ------------------------------------------------------------------------------------

    def wake(self) -> None:
        """Something may be due. What happens in one turn of the loop goes into one request."""
        if not self._busy and not self.stopped:
            self._schedule(self._environment.clock.monotonic_ms())

    def retry_now(self) -> None:
        """The leader may be there again: do not wait any longer."""
        self._retry_at_ms = 0.0
        self.wake()

    def _schedule(self, at_ms: float) -> None:
        timer = self._timer
        if timer is not None and timer.callback is not None:
            if timer.deadline_ms <= at_ms:
                return
            timer.cancel()
        self._timer = self._environment.timers.schedule(at_ms, self._send)

    def _send(self) -> None:
        environment = self._environment
        now_ms = environment.clock.monotonic_ms()
        if self._busy or self.stopped:
            return
        if now_ms < self._retry_at_ms:
            self._schedule(self._retry_at_ms)
            return
        ready: dict[Key, _Asked] = {}
        next_ms = float("inf")
        for key, followed in self._followed.items():
            partition = followed.partition
            if followed.locating or not partition.is_follower or partition.log.offline:
                continue
            if followed.retry_at_ms > now_ms:
                next_ms = min(next_ms, followed.retry_at_ms)
                continue
            if not partition.may_fetch:
                # A flush is on its way, and wakes us: one request for all that it is about.
                return
            if environment.is_throttled(partition):
                next_ms = min(next_ms, now_ms + environment.settings.wait_max_ms)
                continue
            log = partition.log
            ready[key] = (
                partition.leader_epoch,
                log.log_end_offset,
                log.epochs.latest,
                log.log_start_offset,
            )
        if not ready:
            if next_ms != float("inf"):
                self._schedule(next_ms)
            return
        request = self._request(ready)
        full = request.session_epoch == 0
        self._busy = True
        timeout_ms = float(environment.settings.socket_timeout_ms)

        def arrived(response: FetchResponse | None) -> None:
            self._arrived(response, ready, full)

        if not environment.call(self.leader_id, request, FETCH_VERSION, timeout_ms, arrived):
            self._busy = False
            self._back_off()

    def _request(self, ready: dict[Key, _Asked]) -> FetchRequest:
        environment = self._environment
        settings = environment.settings
        known = self._known if self._session_epoch else {}
        changed = [key for key, asked in ready.items() if known.get(key) != asked]
        forgotten = [key for key in known if key not in ready]
        topics: dict[bytes, FetchTopic] = {}
        for topic_id, index in changed:
            epoch, offset, last_epoch, log_start_offset = ready[topic_id, index]
            topic = topics.get(topic_id)
            if topic is None:
                topic = topics[topic_id] = FetchTopic(topic_id=topic_id, partitions=[])
            topic.partitions.append(
                FetchPartition(
                    partition=index,
                    current_leader_epoch=epoch,
                    fetch_offset=offset,
                    last_fetched_epoch=last_epoch,
                    log_start_offset=log_start_offset,
                    partition_max_bytes=settings.partition_max_bytes,
                )
            )
        return FetchRequest(
            replica_state=ReplicaState(
                replica_id=environment.node_id, replica_epoch=environment.broker_epoch()
            ),
            max_wait=settings.wait_max_ms,
            min_bytes=settings.min_bytes,
            max_bytes=settings.max_bytes,
            session_id=self._session_id,
            session_epoch=self._session_epoch,
            topics=list(topics.values()),
            forgotten_topics_data=_forgotten(forgotten),
        )

    # ---- responses -----------------------------------------------------------------------------------

    def _arrived(self, response: FetchResponse | None, asked: dict[Key, _Asked], full: bool) -> None:
        if self.stopped:
            return
        error = ErrorCode.NETWORK_EXCEPTION if response is None else response.error_code
        if response is None or error:
            self._busy = False
            # A new session; the old one, if there is one, is closed with it.
            if error == ErrorCode.FETCH_SESSION_ID_NOT_FOUND:
                self._session_id = 0
            self._session_epoch = 0
            self._known = {}
            if error in (ErrorCode.FETCH_SESSION_ID_NOT_FOUND, ErrorCode.INVALID_FETCH_SESSION_EPOCH) and (
                not full
            ):
                self.wake()
            else:
                self._back_off()
            return
        if full:
            self._session_id = response.session_id
            self._session_epoch = 1 if response.session_id else 0
        elif response.session_id != self._session_id:
            self._session_id = self._session_epoch = 0
        else:
            self._session_epoch = self._session_epoch + 1 if self._session_epoch < 2**31 - 1 else 1
        self._known = asked if self._session_epoch else {}
        for topic in response.responses:
            for data in topic.partitions:
                key = topic.topic_id, data.partition_index
                followed = self._followed.get(key)
                if followed is not None and key in asked:
                    self._queue.append((followed, asked[key], data))
        self._step()

    def _back_off(self) -> None:
        """The leader is not there, or does not want us: everything waits."""
        environment = self._environment
        self._retry_at_ms = environment.clock.monotonic_ms() + environment.settings.backoff_ms
        self._schedule(self._retry_at_ms)

    def _step(self) -> None:
        """Work off a part of a response."""
        if self.stopped:
            self._queue.clear()
            return
        room = _STEP_BYTES
        partitions = 0
        while self._queue and room > 0 and partitions < _STEP_PARTITIONS:
            followed, asked, data = self._queue.popleft()
            partitions += 1
            room -= len(data.records or b"")
            if self._followed.get(followed.key) is followed:
                self._take(followed, asked, data)
        if self._queue:
            environment = self._environment
            environment.timers.schedule(environment.clock.monotonic_ms(), self._step)
            return
        self._busy = False
        self._send()

    def _take(self, followed: _Followed, asked: _Asked, data: PartitionData) -> None:
        partition = followed.partition
        log = partition.log
        if not partition.is_follower or asked[:2] != (partition.leader_epoch, log.log_end_offset):
            return
        error = data.error_code
        if error == ErrorCode.OFFSET_OUT_OF_RANGE:
            self._locate(followed)
            return
        if error:
            soon_ms = _FIRST_RETRY_MS << min(followed.failures, 10) if error in _NOT_YET else None
            followed.failures += 1
            self._delay(followed, "", soon_ms)
            return
        followed.failures = 0
        try:
            if data.diverging_epoch.epoch >= 0:
                self._truncate(followed, data)
                return
            records = data.records
            partition.append_from_leader(
                records if records is not None else b"",
                high_watermark=data.high_watermark,
                log_start_offset=data.log_start_offset,
            )
            if records:
                self._environment.note_bytes(partition, len(records))
            followed.reported = ""
        except (CorruptionError, StorageError) as problem:
            self._delay(followed, f"{log.name}: from broker {self.leader_id}: {problem}")

    def _truncate(self, followed: _Followed, data: PartitionData) -> None:
        """The leader's epochs say that the end of this log is not in the leader's."""
        partition = followed.partition
        log = partition.log
        before = log.log_end_offset, log.epochs.latest
        epoch, end_offset = data.diverging_epoch.epoch, data.diverging_epoch.end_offset
        partition.truncate_to_epoch(epoch, end_offset)
        if before == (log.log_end_offset, log.epochs.latest):
            self._delay(
                followed,
                f"{log.name}: broker {self.leader_id} says that epoch {epoch} ends at {end_offset}, "
                f"which changes nothing in a log that ends at {before[0]} in epoch {before[1]}",
            )
        elif log.log_end_offset < before[0]:
            self._environment.report(
                f"{log.name}: truncated from {before[0]} to {log.log_end_offset}, as epoch {epoch} of "
                f"broker {self.leader_id} ends at {end_offset}"
            )

    def _delay(self, followed: _Followed, problem: str, delay_ms: int | None = None) -> None:
        environment = self._environment
        backoff_ms = environment.settings.backoff_ms
        followed.retry_at_ms = environment.clock.monotonic_ms() + (
            backoff_ms if delay_ms is None else min(delay_ms, backoff_ms)
        )
        if problem and problem != followed.reported:
            environment.report(problem)
            followed.reported = problem

    # ---- logs that do not overlap --------------------------------------------------------------------

    def _locate(self, followed: _Followed) -> None:
        """This log's end is outside the leader's: ask where that ends, and where it starts."""
        followed.locating = True
        self._ask_offset(followed, LATEST, self._end_found)

    def _ask_offset(
        self, followed: _Followed, timestamp: int, found: Callable[[_Followed, int], None]
    ) -> None:
        environment = self._environment
        partition = followed.partition
        epoch = partition.leader_epoch
        request = ListOffsetsRequest(
            replica_id=environment.node_id,
            topics=[
                ListOffsetsTopic(
                    name=partition.topic,
                    partitions=[
                        ListOffsetsPartition(
                            partition_index=partition.partition,
                            current_leader_epoch=epoch,
                            timestamp=timestamp,
                        )
                    ],
                )
            ],
        )

        def arrived(response: ListOffsetsResponse | None) -> None:
            if self.stopped or self._followed.get(followed.key) is not followed:
                return
            answers = [answer for topic in response.topics for answer in topic.partitions] if response else []
            if partition.leader_epoch != epoch or not partition.is_follower:
                self._located(followed)
            elif len(answers) != 1 or answers[0].error_code or answers[0].offset < 0:
                self._delay(followed, "")
                self._located(followed)
            else:
                found(followed, answers[0].offset)

        timeout_ms = float(environment.settings.socket_timeout_ms)
        if not environment.call(self.leader_id, request, LIST_OFFSETS_VERSION, timeout_ms, arrived):
            self._delay(followed, "")
            self._located(followed)

    def _end_found(self, followed: _Followed, end_offset: int) -> None:
        partition = followed.partition
        had_offset = partition.log_end_offset
        if end_offset >= had_offset:
            self._ask_offset(followed, EARLIEST, self._start_found)
            return
        self._cut(followed, lambda: partition.truncate_to(end_offset), f"ends at {end_offset}")

    def _start_found(self, followed: _Followed, start_offset: int) -> None:
        partition = followed.partition
        if start_offset > partition.log_end_offset:
            self._cut(
                followed, lambda: partition.start_again_at(start_offset), f"starts at {start_offset} only"
            )
            return
        # It moved in between, or the epochs do not agree: the next fetch tells.
        self._delay(followed, "")
        self._located(followed)

    def _cut(self, followed: _Followed, cut: Callable[[], None], why: str) -> None:
        log = followed.partition.log
        had_offset = log.log_end_offset
        try:
            cut()
            self._environment.report(
                f"{log.name}: goes on at {log.log_end_offset} instead of {had_offset}, as the log of broker "
                f"{self.leader_id} {why}"
            )
        except (CorruptionError, StorageError) as problem:
            self._delay(followed, f"{log.name}: {problem}")
        self._located(followed)

    def _located(self, followed: _Followed) -> None:
        followed.locating = False
        self.wake()


def _forgotten(keys: Iterable[Key]) -> list[ForgottenTopic]:
    topics: dict[bytes, ForgottenTopic] = {}
    for topic_id, index in keys:
        topic = topics.get(topic_id)
        if topic is None:
            topic = topics[topic_id] = ForgottenTopic(topic_id=topic_id, partitions=[])
        topic.partitions.append(index)
    return list(topics.values())

"""One replica of a partition: its role, the high watermark, and the rules between a request and the log.

It leads alone, leads with followers (`replication`), follows, or does neither. Alone is what a single node
has for every partition, and has a way of its own: the high watermark is the log end.

In: the records field of a produce, fetch offsets, timestamps, roles, what a leader sent, outcomes of flushes.
Out: outcomes with Kafka's error codes; calls to waiters. What must hold:

- no input makes `append`, `read` or a lookup raise;
- the high watermark never moves back while this replica leads, never passes the log end, nor what followers
  that count have; where a flush is asked for before an acknowledgement this replica counts for itself only
  what was flushed;
- a follower's log has the batches of its leader, byte for byte, and loses what the leader does not have;
- producer state changes only for batches that are in the log;
- every waiter is called exactly once.
"""

from __future__ import annotations

import heapq
from collections.abc import Callable
from typing import Final, NamedTuple, Protocol

from pybroker.common.errors import CorruptionError, ErrorCode, StorageError
from pybroker.log.config import LONG_MAX, LogConfig
from pybroker.log.partition_log import MAX_RELATIVE_OFFSET, OFFLINE, ColdRead, LogRead, PartitionLog
from pybroker.log.producer_state import ProducerBatch, ProducerEntry, Verification
from pybroker.log.segment import Segment
from pybroker.records.batch import (
    CREATE_TIME,
    HEADER_SIZE,
    LOG_APPEND_TIME,
    TRANSACTIONAL_BIT,
    crc_matches,
    iter_headers,
    read_header,
)
from pybroker.records.control import build_end_transaction
from pybroker.records.validation import ProduceRules, Rejection, WalkPolicy, validate_produce
from pybroker.replication.isr import Replication

LATEST: Final = -1
EARLIEST: Final = -2
MAX_TIMESTAMP: Final = -3
EARLIEST_LOCAL: Final = -4
LATEST_TIERED: Final = -5
EARLIEST_PENDING_UPLOAD: Final = -6

READ_UNCOMMITTED: Final = 0
READ_COMMITTED: Final = 1
# Not on the wire: what a replica reads.
READ_LOG_END: Final = 2

ALL_REPLICAS: Final = -1
"""acks=all."""


class AppendOutcome:
    """The answer to one append. `end_offset` is what the high watermark must reach for acks=all."""

    __slots__ = (
        "base_offset",
        "end_offset",
        "error",
        "error_message",
        "log_append_time_ms",
        "log_start_offset",
        "record_errors",
    )

    def __init__(
        self,
        error: ErrorCode,
        base_offset: int = -1,
        log_append_time_ms: int = -1,
        log_start_offset: int = -1,
        end_offset: int = -1,
        record_errors: tuple[tuple[int, str], ...] = (),
        error_message: str | None = None,
    ) -> None:
        self.error = error
        self.base_offset = base_offset
        self.log_append_time_ms = log_append_time_ms
        self.log_start_offset = log_start_offset
        self.end_offset = end_offset
        self.record_errors = record_errors
        self.error_message = error_message


class ReadOutcome:
    """The answer to one fetch of a partition. `cold`: run it off the loop, then read again."""

    __slots__ = (
        "aborted",
        "cold",
        "error",
        "high_watermark",
        "last_stable_offset",
        "log_start_offset",
        "records",
    )

    def __init__(
        self,
        error: ErrorCode,
        records: bytes | memoryview = b"",
        high_watermark: int = -1,
        last_stable_offset: int = -1,
        log_start_offset: int = -1,
        aborted: list[tuple[int, int]] | None = None,
        cold: ColdRead | None = None,
    ) -> None:
        self.error = error
        self.records = records
        self.high_watermark = high_watermark
        self.last_stable_offset = last_stable_offset
        self.log_start_offset = log_start_offset
        # (producer id, first offset) of aborted transactions, for read_committed.
        self.aborted = aborted if aborted is not None else []
        self.cold = cold


class FoundOffset(NamedTuple):
    """The answer to one offset lookup; -1s when there is none."""

    error: ErrorCode
    timestamp: int = -1
    offset: int = -1
    leader_epoch: int = -1


_NONE: Final = ErrorCode.NONE
_NOT_LEADER: Final = ErrorCode.NOT_LEADER_OR_FOLLOWER
_STORAGE: Final = ErrorCode.KAFKA_STORAGE_ERROR
_TOO_FEW: Final = ErrorCode.NOT_ENOUGH_REPLICAS


class LeaderThrottle(Protocol):
    """What a leader asks before it answers a follower that is not in sync."""

    def is_leader_throttled(self, partition: Partition) -> bool: ...

    def note_sent(self, partition: Partition, count: int) -> None: ...


_Waiter = tuple[int, int, Callable[[ErrorCode], None]]
"""(offset, number, callback)."""


class PlainAppend(NamedTuple):
    """What a batch must keep to, to be stored as it is at the end of `segment`."""

    segment: Segment
    byte_limit: int
    last_offset_limit: int
    # The largest timestamp that does not make the segment roll.
    timestamp_limit: int
    interval_bytes: int
    max_batch_bytes: int
    before_max_ms: int
    after_max_ms: int
    leader_epoch: int


class Partition:
    """One replica. `durability` is `pybroker.durability`: "os" or "fsync"."""

    __slots__ = (
        "_eager",
        "_flush_messages",
        "_fsync",
        "_local_waiters",
        "_low_waiters",
        "_rules",
        "_sequence",
        "_tail_watchers",
        "_waiters",
        "_watcher_number",
        "_watchers",
        "is_follower",
        "is_leader",
        "leader_epoch",
        "log",
        "on_counted",
        "on_proposal",
        "own_end_offset",
        "partition",
        "plain",
        "replication",
        "throttle",
        "topic",
        "topic_id",
    )

    def __init__(
        self, topic: str, partition: int, topic_id: bytes, log: PartitionLog, durability: str = "os"
    ) -> None:
        self.topic = topic
        self.partition = partition
        self.topic_id = topic_id
        self.log = log
        self.is_leader = False
        self.is_follower = False
        self.leader_epoch = -1
        # The followers of a leader that has some.
        self.replication: Replication | None = None
        # As a follower, or a leader with followers: what this replica counts for itself. The log end, or what
        # was flushed where flushes count.
        self.own_end_offset = 0
        # As a follower: `own_end_offset` has reached the log end. Set by the replica manager.
        self.on_counted: Callable[[], None] | None = None
        # As a leader: there is a proposal in `replication` to be sent. Set by the replica manager.
        self.on_proposal: Callable[[Partition], None] | None = None
        # Of the broker, if it has one.
        self.throttle: LeaderThrottle | None = None
        self._fsync = durability == "fsync"
        # Appends waiting for the high watermark: a heap of (offset, number, callback).
        self._waiters: list[_Waiter] = []
        # As above, for `own_end_offset` (acks=1 with followers) and for the low watermark (DeleteRecords).
        self._local_waiters: list[_Waiter] = []
        self._low_waiters: list[_Waiter] = []
        self._sequence = 0
        # Called whenever more can be read, by consumers and by followers.
        self._watchers: dict[int, Callable[[], None]] = {}
        self._tail_watchers: dict[int, Callable[[], None]] = {}
        self._watcher_number = 0
        # The high watermark follows the log end at once.
        self._eager = True
        # What `plan_plain` found; None after whatever changes it.
        self.plain: PlainAppend | None = None
        self._flush_messages = LONG_MAX
        self.update_config(log.config)
        log.on_flush = self.complete_flush
        log.on_offline = self._log_offline

    # ---- configuration and role ----------------------------------------------------------------------

    @property
    def config(self) -> LogConfig:
        return self.log.config

    def update_config(self, config: LogConfig) -> None:
        """The topic's configuration changed."""
        self.plain = None
        self.log.config = config
        self._flush_messages = config.flush_messages
        self._note_eagerness()
        self._rules = ProduceRules(
            topic=self.topic,
            partition=self.partition,
            max_message_bytes=config.max_message_bytes,
            compaction=config.compacts,
            compression_type=config.compression_type,
            gzip_level=config.compression_gzip_level,
            lz4_level=config.compression_lz4_level,
            zstd_level=config.compression_zstd_level,
            timestamp_type=LOG_APPEND_TIME if config.log_append_time else CREATE_TIME,
            before_max_ms=config.message_timestamp_before_max_ms,
            after_max_ms=config.message_timestamp_after_max_ms,
        )
        if not self.is_leader:
            return
        if self.replication is not None:
            self.raise_high_watermark()
        elif self._eager:
            self._advance(self.log.log_end_offset)

    def _note_eagerness(self) -> None:
        self._eager = not self._fsync and self._flush_messages == LONG_MAX and self.replication is None

    def become_leader(self, leader_epoch: int, replication: Replication | None = None) -> None:
        """Lead in this epoch, with the followers of `replication`: the high watermark goes on from where it
        is, when they fetch. As the only replica, what is in the log counts as committed: at once, or once it
        is flushed where flushes count."""
        log = self.log
        self.plain = None
        self.leader_epoch = leader_epoch
        self.is_leader = True
        self.is_follower = False
        self.replication = replication
        self._note_eagerness()
        log.assign_epoch(leader_epoch)
        if replication is not None:
            self._count_from_here()
            self.raise_high_watermark()
            return
        if not self._fsync:
            self._advance(log.log_end_offset)
            return
        self._advance(log.recovery_point)
        if log.high_watermark < log.log_end_offset:
            log.request_flush()

    def become_follower(self, leader_epoch: int) -> None:
        """Follow in this epoch; what the leader does not have is cut when it says so."""
        self.leader_epoch = leader_epoch
        self.is_follower = True
        self._stop_leading(ErrorCode.NOT_LEADER_OR_FOLLOWER)
        self._count_from_here()

    def become_offline(self, error: ErrorCode = ErrorCode.NOT_LEADER_OR_FOLLOWER) -> None:
        """Neither leader nor follower any more (deleted, moved, failed disk): everybody who waits is told."""
        self.is_follower = False
        self._stop_leading(error)

    def _stop_leading(self, error: ErrorCode) -> None:
        self.is_leader = False
        self.plain = None
        self.replication = None
        self._note_eagerness()
        waiters = sorted(self._waiters) + sorted(self._local_waiters) + sorted(self._low_waiters)
        self._waiters, self._local_waiters, self._low_waiters = [], [], []
        for _, _, callback in waiters:
            callback(error)
        self._wake_watchers()
        self._wake_tail_watchers()

    def _count_from_here(self) -> None:
        """Start `own_end_offset`: what is in the log, or known to be flushed where flushes count."""
        log = self.log
        self.own_end_offset = log.recovery_point if self._fsync else log.log_end_offset
        if self.own_end_offset < log.log_end_offset:
            log.request_flush()

    def _log_offline(self) -> None:
        self.become_offline(ErrorCode.KAFKA_STORAGE_ERROR)

    def change_log(self, log: PartitionLog) -> None:
        """Go on with a log that has the same batches and epochs, in another directory. What this replica has
        counted as flushed must be flushed there."""
        before = self.log
        self.log = log
        self.plain = None
        log.high_watermark = before.high_watermark
        # It knows producers whose batches are gone from the log, and verifications that are under way.
        log.producers = before.producers
        log.on_flush = self.complete_flush
        log.on_offline = self._log_offline
        # What was to be told by a flush of the other log.
        log.request_flush()

    @property
    def high_watermark(self) -> int:
        return self.log.high_watermark

    @property
    def log_start_offset(self) -> int:
        return self.log.log_start_offset

    @property
    def log_end_offset(self) -> int:
        return self.log.log_end_offset

    @property
    def last_stable_offset(self) -> int:
        return self.log.last_stable_offset

    def check_leader_epoch(self, epoch: int) -> ErrorCode:
        """What a client gets that believes in this leader epoch; -1 means it did not say."""
        if epoch in (-1, self.leader_epoch):
            return _NONE
        if epoch < self.leader_epoch:
            return ErrorCode.FENCED_LEADER_EPOCH
        return ErrorCode.UNKNOWN_LEADER_EPOCH

    # ---- append --------------------------------------------------------------------------------------

    def append(
        self,
        records: memoryview | None,
        *,
        version: int = 13,
        walk_policy: WalkPolicy | None = None,
        now_ms: int,
        verification: Verification | None = None,
        verify: bool = True,
        acks: int = 1,
    ) -> AppendOutcome:
        """Append the one batch in `records` (a produce's records field). Never raises for bad input.

        A writable view is stamped and corrected in place. When it is stored and `high_watermark` is still
        below the outcome's `end_offset`, an acknowledgement has to wait: see `on_high_watermark`.
        The first batch of a transaction needs the `verification` that was started for it, unless told not to
        `verify` (transaction.partition.verification.enable).
        """
        log = self.log
        if not self.is_leader:
            return AppendOutcome(_STORAGE if log.offline else _NOT_LEADER)
        if acks == ALL_REPLICAS and self._has_too_few_replicas():
            return AppendOutcome(_TOO_FEW)
        walk = walk_policy.should_walk(records) if walk_policy is not None else False
        batch = validate_produce(records, version=version, rules=self._rules, now_ms=now_ms, walk=walk)
        if batch.__class__ is Rejection:
            return self._refuse(batch, walk_policy)
        (_, length, _, _, _, attributes, delta, _, max_timestamp, producer_id, epoch, sequence, _) = (
            batch.header  # type: ignore[union-attr]
        )
        if producer_id >= 0:
            answer = self._check_producer(
                producer_id,
                epoch,
                sequence,
                delta,
                attributes & TRANSACTIONAL_BIT != 0,
                verification,
                verify,
            )
            if answer is not None:
                return answer
        try:
            base_offset = log.append_batch(
                batch.buffer,  # type: ignore[union-attr]
                length + 12,
                delta,
                max_timestamp,
                self.leader_epoch,
            )
        except StorageError:
            return AppendOutcome(_STORAGE)
        if producer_id >= 0:
            log.producers.update(
                producer_id,
                epoch,
                sequence,
                base_offset,
                delta,
                max_timestamp,
                attributes & TRANSACTIONAL_BIT != 0,
            )
        end_offset = base_offset + delta + 1
        self.stored(end_offset)
        return AppendOutcome(
            _NONE,
            base_offset,
            max_timestamp if log.config.log_append_time else -1,
            log.log_start_offset,
            end_offset,
        )

    def plan_plain(self) -> PlainAppend | None:
        """What a batch must keep to, to be appended as it is by `handlers.produce_lane`; None when every
        batch needs a closer look here."""
        log = self.log
        segment = log.segments[-1]
        plain = self.plain
        if plain is not None and plain.segment is segment:
            return plain
        rules = self._rules
        first_timestamp = segment.first_timestamp
        if (
            not self.is_leader
            or not self._eager
            or rules.compaction
            or rules.target_codec is not None
            or rules.timestamp_type != CREATE_TIME
            or not segment.size
            or segment.file is None
            or not segment.indexes_loaded
            or first_timestamp is None
            or first_timestamp < 0
            or log.epochs.latest != self.leader_epoch
        ):
            self.plain = None
            return None
        config = log.config
        # Known from now on: `largest` reads it from the index if need be.
        assert segment.largest is segment.known_largest
        self.plain = PlainAppend(
            segment,
            config.segment_bytes,
            segment.base_offset + MAX_RELATIVE_OFFSET,
            first_timestamp + config.roll_ms - segment.roll_jitter_ms,
            config.index_interval_bytes,
            rules.max_message_bytes,
            rules.before_max_ms,
            rules.after_max_ms,
            self.leader_epoch,
        )
        return self.plain

    @property
    def max_batch_bytes(self) -> int:
        return self.log.config.max_message_bytes

    def append_internal(
        self,
        batch: bytearray,
        *,
        last_offset_delta: int,
        max_timestamp: int,
        producer_id: int = -1,
        producer_epoch: int = -1,
        verification: Verification | None = None,
    ) -> AppendOutcome:
        """Append a batch that a coordinator of this broker built for its internal topic, stamped in place.

        With a producer id it is part of that producer's transaction, which has to be open here, or to be
        opened with the `verification` that was started for it; such batches have no sequences.
        """
        log = self.log
        if not self.is_leader:
            return AppendOutcome(_STORAGE if log.offline else _NOT_LEADER)
        if self._has_too_few_replicas():
            return AppendOutcome(_TOO_FEW)
        if producer_id >= 0:
            refusal = log.producers.check_admitted(producer_id, producer_epoch, verification)
            if refusal is not None:
                return AppendOutcome(refusal, log_start_offset=log.log_start_offset)
        try:
            base_offset = log.append_batch(
                batch, len(batch), last_offset_delta, max_timestamp, self.leader_epoch
            )
        except StorageError:
            return AppendOutcome(_STORAGE)
        if producer_id >= 0:
            log.producers.update(
                producer_id, producer_epoch, -1, base_offset, last_offset_delta, max_timestamp, True
            )
        end_offset = base_offset + last_offset_delta + 1
        self.stored(end_offset)
        return AppendOutcome(_NONE, base_offset, -1, log.log_start_offset, end_offset)

    def stored(self, end_offset: int) -> None:
        """A batch that ends at `end_offset` is in the log."""
        if not self._eager:
            self._appended(end_offset)
            return
        self.log.high_watermark = end_offset
        if self._waiters:
            self._wake_waiters()
        if self._watchers:
            self._wake_watchers()

    def _refuse(self, rejection: Rejection, walk_policy: WalkPolicy | None) -> AppendOutcome:
        if walk_policy is not None:
            walk_policy.batch_refused(rejection)
        return AppendOutcome(
            rejection.error_code,
            log_start_offset=-1 if rejection.plain else self.log.log_start_offset,
            record_errors=rejection.record_errors,
            error_message=rejection.error_message,
        )

    def _check_producer(
        self,
        producer_id: int,
        epoch: int,
        sequence: int,
        delta: int,
        transactional: bool,
        verification: Verification | None,
        verify: bool,
    ) -> AppendOutcome | None:
        """The answer for a duplicate or a batch out of order; None for one to append."""
        log = self.log
        producers = log.producers
        verdict = producers.check(producer_id, epoch, sequence, delta)
        if verdict.__class__ is not ProducerBatch:
            if transactional and verify:
                refusal = producers.check_transactional(producer_id, epoch, sequence, verification)
                if refusal is not None:
                    return AppendOutcome(refusal, log_start_offset=log.log_start_offset)
            if verdict is not None and producers.is_partial(producer_id):
                try:
                    log.complete_producer_windows()
                except (StorageError, CorruptionError, OSError) as error:
                    log.environment.report(f"{log.name}: producer windows cannot be completed: {error}")
                verdict = producers.check(producer_id, epoch, sequence, delta)
        if isinstance(verdict, ProducerBatch):
            return AppendOutcome(
                _NONE,
                verdict.base_offset,
                verdict.timestamp,
                log.log_start_offset,
                verdict.last_offset + 1,
            )
        if verdict is None:
            if transactional or not producers.in_open_transaction(producer_id):
                return None
            verdict = ErrorCode.INVALID_TXN_STATE
        return AppendOutcome(verdict, log_start_offset=log.log_start_offset)

    # ---- transactions --------------------------------------------------------------------------------

    def start_verification(
        self, producer_id: int, epoch: int, sequence: int, *, strict: bool
    ) -> Verification | ErrorCode | None:
        """Before the coordinator is asked whether a producer's transaction includes this partition; None when
        it need not be asked, because the transaction is open here."""
        if not self.is_leader:
            return _STORAGE if self.log.offline else _NOT_LEADER
        now_ms = self.log.environment.clock.wall_ms()
        return self.log.producers.start_verification(producer_id, epoch, sequence, now_ms, strict=strict)

    def append_marker(
        self,
        producer_id: int,
        producer_epoch: int,
        *,
        commit: bool,
        coordinator_epoch: int,
        transaction_version: int,
        now_ms: int,
    ) -> AppendOutcome:
        """End the transaction of a producer here. Only WriteTxnMarkers and the coordinator come this way."""
        log = self.log
        if not self.is_leader:
            return AppendOutcome(_STORAGE if log.offline else _NOT_LEADER)
        if -1 in (producer_id, producer_epoch):
            return AppendOutcome(ErrorCode.UNKNOWN_SERVER_ERROR)  # No batch can say that.
        if self._has_too_few_replicas():
            return AppendOutcome(_TOO_FEW)
        refusal = log.producers.check_marker(
            producer_id, producer_epoch, coordinator_epoch, transaction_version
        )
        if refusal is not None:
            return AppendOutcome(refusal, log_start_offset=log.log_start_offset)
        batch = build_end_transaction(
            producer_id,
            producer_epoch,
            commit=commit,
            timestamp=now_ms,
            coordinator_epoch=coordinator_epoch,
        )
        try:
            where = log.append_records(batch, leader_epoch=self.leader_epoch, assign_offsets=True)
        except StorageError:
            return AppendOutcome(_STORAGE)
        self.stored(where.end_offset)
        return AppendOutcome(_NONE, where.base_offset, -1, log.log_start_offset, where.end_offset)

    def active_producers(self) -> list[ProducerEntry]:
        """What is known of the producers that wrote here (DescribeProducers)."""
        return list(self.log.producers.entries.values())

    # ---- high watermark ------------------------------------------------------------------------------

    def _has_too_few_replicas(self) -> bool:
        """Whether acks=all is to be refused before anything is appended."""
        replication = self.replication
        return replication is not None and replication.is_under_min_isr(self.log.config.min_insync_replicas)

    def _appended(self, end_offset: int) -> None:
        """After an append where flushes or followers count: ask for a flush, or move on when none is due."""
        log = self.log
        if self._fsync or log.unflushed_count >= self._flush_messages:
            log.request_flush()
        else:
            self._count(end_offset)
        if self._tail_watchers:
            self._wake_tail_watchers()

    def complete_flush(self, end_offset: int) -> None:
        """Everything below `end_offset` is durable."""
        log = self.log
        if not self._fsync and log.unflushed_count < self._flush_messages:
            end_offset = log.log_end_offset
        if self.is_leader:
            self._count(end_offset)
        elif self.is_follower:
            self._count_as_follower(end_offset)
        else:
            return
        if not self._eager and self.counted_end_offset < log.log_end_offset:
            log.request_flush()

    @property
    def counts_flushes(self) -> bool:
        """Whether this replica counts for itself only what was flushed."""
        return self._fsync or self._flush_messages != LONG_MAX

    @property
    def counted_end_offset(self) -> int:
        """What this replica counts for itself: acks=1 is answered up to here."""
        if self.replication is None and self.is_leader:
            return self.log.high_watermark
        return self.own_end_offset

    def _count(self, end_offset: int) -> None:
        """As a leader, have everything below `end_offset`."""
        if self.replication is None:
            self._advance(end_offset)
        elif end_offset > self.own_end_offset:
            self.own_end_offset = end_offset
            self._wake(self._local_waiters, end_offset, _NONE)
            self.raise_high_watermark()

    def raise_high_watermark(self) -> None:
        """After a change of what the replicas have, or of which of them count."""
        replication, log = self.replication, self.log
        if replication is not None:
            self._advance(
                replication.high_watermark(
                    self.own_end_offset, log.log_end_offset, log.config.min_insync_replicas
                )
            )

    def _advance(self, offset: int) -> None:
        log = self.log
        if offset > log.high_watermark:
            log.high_watermark = min(offset, log.log_end_offset)
            self._wake_waiters()
            self._wake_watchers()

    def on_high_watermark(self, offset: int, callback: Callable[[ErrorCode], None]) -> None:
        """Call `callback(NONE)` once the high watermark is at or above `offset`, at once if it is; or with an
        error when this replica stops leading before, or leads with too few replicas in sync by then."""
        if not self.is_leader:
            callback(_STORAGE if self.log.offline else _NOT_LEADER)
        elif self.log.high_watermark >= offset:
            callback(self._error_after_append())
        else:
            self._sequence += 1
            heapq.heappush(self._waiters, (offset, self._sequence, callback))

    def on_counted_end(self, offset: int, callback: Callable[[ErrorCode], None]) -> None:
        """As `on_high_watermark`, for `counted_end_offset`: what acks=1 waits for."""
        if self.replication is None or not self.is_leader:
            self.on_high_watermark(offset, callback)
        elif self.own_end_offset >= offset:
            callback(_NONE)
        else:
            self._sequence += 1
            heapq.heappush(self._local_waiters, (offset, self._sequence, callback))

    def _error_after_append(self) -> ErrorCode:
        replication = self.replication
        if replication is None:
            return _NONE
        least = replication.effective_min_isr(self.log.config.min_insync_replicas)
        if len(replication.maximal_isr) < least:
            return ErrorCode.NOT_ENOUGH_REPLICAS_AFTER_APPEND
        return _NONE

    def _wake_waiters(self) -> None:
        if self._waiters:
            self._wake(self._waiters, self.log.high_watermark, self._error_after_append())

    def _wake(self, waiters: list[_Waiter], offset: int, error: ErrorCode) -> None:
        while waiters and waiters[0][0] <= offset:
            heapq.heappop(waiters)[2](error)

    def on_append(self, callback: Callable[[], None]) -> Callable[[], None]:
        """Call `callback()` whenever a consumer can read more, or this replica stops leading, until the
        returned function is called."""
        return self._watch(self._watchers, callback)

    def on_log_end(self, callback: Callable[[], None]) -> Callable[[], None]:
        """As `on_append`, whenever a follower can read more."""
        return self._watch(self._tail_watchers, callback)

    def _watch(
        self, watchers: dict[int, Callable[[], None]], callback: Callable[[], None]
    ) -> Callable[[], None]:
        self._watcher_number += 1
        number = self._watcher_number
        watchers[number] = callback
        return lambda: watchers.pop(number, None) and None

    def _wake_watchers(self) -> None:
        for callback in list(self._watchers.values()):
            callback()

    def _wake_tail_watchers(self) -> None:
        for callback in list(self._tail_watchers.values()):
            callback()

    # ---- followers, as their leader ------------------------------------------------------------------

    def check_replica_fetch(self, broker_id: int, broker_epoch: int, *, told_epoch: bool) -> ErrorCode:
        """Whether a fetch of a follower is served. The leader epoch was checked before."""
        if not self.is_leader:
            return _STORAGE if self.log.offline else _NOT_LEADER
        if self.replication is None:
            return ErrorCode.UNKNOWN_LEADER_EPOCH if told_epoch else _NOT_LEADER
        return self.replication.check_fetch(broker_id, broker_epoch, told_epoch=told_epoch)

    def note_replica_fetch(
        self, broker_id: int, offset: int, log_start_offset: int, leader_end_offset: int, broker_epoch: int
    ) -> None:
        """A follower has everything below `offset`. `leader_end_offset` is the log end before its read."""
        replication = self.replication
        if replication is None or broker_id not in replication.followers:
            return
        had_offset = replication.followers[broker_id].log_end_offset
        replication.note_fetch(broker_id, offset, log_start_offset, leader_end_offset, broker_epoch)
        self._tell_proposal(replication.plan_expand(broker_id, self.log.high_watermark) is not None)
        if offset != had_offset:
            self.raise_high_watermark()
        if self._low_waiters:
            self._wake(self._low_waiters, self.low_watermark, _NONE)

    def holds_back(self, broker_id: int, count: int, *, is_first: bool) -> bool:
        """Whether a follower gets nothing of what it read now, for replication throttles; else `count` bytes
        go there. Followers in sync are never held back."""
        throttle, replication = self.throttle, self.replication
        if throttle is None or replication is None or not count:
            return False
        if broker_id not in replication.isr and throttle.is_leader_throttled(self):
            return True
        if is_first:
            throttle.note_sent(self, count)
        return False

    def isr_changed(self) -> None:
        """The controller committed another ISR, or replicas, of this leader epoch."""
        self.raise_high_watermark()
        self._wake_waiters()
        self._wake_tail_watchers()
        if self._low_waiters:
            self._wake(self._low_waiters, self.low_watermark, _NONE)

    def check_lag(self) -> None:
        """Propose an ISR without those that lag; to be called every replica.lag.time.max.ms / 2."""
        replication = self.replication
        if replication is not None:
            self._tell_proposal(replication.plan_shrink(self.log.log_end_offset) is not None)
            self.raise_high_watermark()
            self._wake(self._low_waiters, self.low_watermark, _NONE)

    def _tell_proposal(self, made: bool) -> None:
        if made and self.on_proposal is not None:
            self.on_proposal(self)

    @property
    def low_watermark(self) -> int:
        """The lowest log start of all replicas that are alive."""
        start_offset = self.log.log_start_offset
        return start_offset if self.replication is None else self.replication.low_watermark(start_offset)

    def on_low_watermark(self, offset: int, callback: Callable[[ErrorCode], None]) -> None:
        """Call `callback(NONE)` once all replicas that are alive start at `offset` or above."""
        if not self.is_leader:
            callback(_STORAGE if self.log.offline else _NOT_LEADER)
        elif self.low_watermark >= offset:
            callback(_NONE)
        else:
            self._sequence += 1
            heapq.heappush(self._low_waiters, (offset, self._sequence, callback))

    # ---- as a follower -------------------------------------------------------------------------------

    @property
    def may_fetch(self) -> bool:
        """Whether the log end may be told to the leader: everything below counts, and more may follow."""
        log = self.log
        return (
            self.is_follower
            and not log.blocked & OFFLINE
            and self.own_end_offset >= log.log_end_offset
            and not log.cut_unsaved
        )

    def append_from_leader(
        self, records: memoryview | bytes, *, high_watermark: int, log_start_offset: int
    ) -> None:
        """Append what a leader sent for this log end, as it is, up to the first cut batch; take its high
        watermark and log start. CorruptionError, and nothing changed: the batches are not what a leader of
        this epoch can have. StorageError."""
        log = self.log
        view = memoryview(records)
        end, first = self._check_from_leader(view, log_start_offset)
        if end:
            restored_start = -1
            if first < log.log_end_offset:
                # The leader's log starts within this batch, and what is here, if anything, is deleted there.
                restored_start = log.log_end_offset
                log.truncate_fully(first)
            log.append_records(view[:end])
            if restored_start >= 0:
                log.high_watermark = max(log.high_watermark, restored_start)
                log.increment_log_start(restored_start)
            if self._fsync or log.unflushed_count >= self._flush_messages:
                log.request_flush()
            else:
                self._count_as_follower(log.log_end_offset)
        known = min(high_watermark, log.log_end_offset)
        if known > log.high_watermark:
            log.high_watermark = known
            self._wake_watchers()
        if log.log_start_offset < log_start_offset <= log.high_watermark:
            log.increment_log_start(log_start_offset)

    def _check_from_leader(self, view: memoryview, leader_start: int) -> tuple[int, int]:
        """(bytes of whole batches to append, base offset of the first). CorruptionError."""
        log = self.log
        position, size = 0, len(view)
        next_offset, epoch = log.log_end_offset, log.epochs.latest
        first_offset = next_offset
        for position, header in iter_headers(view):
            if header.leader_epoch > self.leader_epoch:
                # Of a leader that is not known here yet: it will be asked (KAFKA-18723).
                return position, first_offset
            if header.leader_epoch < epoch:
                raise CorruptionError(
                    f"{log.name}: batch at {header.base_offset} has leader epoch {header.leader_epoch} "
                    f"after {epoch}"
                )
            base_offset = header.base_offset
            if base_offset < next_offset:
                starts_within = (
                    position == 0
                    and max(log.log_start_offset, leader_start) == log.log_end_offset
                    and header.last_offset >= next_offset
                    and base_offset >= 0
                    and crc_matches(view)
                )
                if not starts_within:
                    raise CorruptionError(
                        f"{log.name}: batch {base_offset} to {header.last_offset} where {next_offset} was "
                        "expected"
                    )
            if position == 0:
                first_offset = base_offset
            epoch, next_offset = header.leader_epoch, header.next_offset
            position += header.size
        if position == 0 and size >= HEADER_SIZE:
            header = read_header(view)
            raise CorruptionError(f"{log.name}: batch of {header.size} bytes is cut to {size}")
        return position, first_offset

    def _count_as_follower(self, end_offset: int) -> None:
        self.own_end_offset = min(max(end_offset, self.own_end_offset), self.log.log_end_offset)
        if self.own_end_offset >= self.log.log_end_offset and self.on_counted is not None:
            self.on_counted()

    def truncate_to_epoch(self, epoch: int, end_offset: int) -> None:
        """The leader's log diverges: its largest epoch at or below the last one here is `epoch`, and ends at
        `end_offset` (KIP-101, KIP-279). StorageError."""
        log = self.log
        own_epoch, own_end = log.epochs.end_offset_for(epoch, log.log_end_offset)
        if own_epoch == epoch or own_epoch < 0:
            self.truncate_to(min(own_end, end_offset) if own_end >= 0 else end_offset)
        else:
            # The leader is asked again from there, with an older epoch.
            self.truncate_to(own_end)

    def truncate_to(self, offset: int) -> None:
        """Lose everything from `offset` on. StorageError."""
        log = self.log
        log.truncate_to(min(offset, log.log_end_offset))
        self.own_end_offset = min(self.own_end_offset, log.log_end_offset)

    def start_again_at(self, offset: int) -> None:
        """Lose everything; the log goes on at `offset`, where that of the leader starts. StorageError."""
        self.log.truncate_fully(offset)
        self.own_end_offset = offset

    # ---- read ----------------------------------------------------------------------------------------

    def read(
        self,
        offset: int,
        max_bytes: int,
        *,
        isolation: int = READ_UNCOMMITTED,
        min_one_batch: bool = False,
        may_block: bool = True,
        as_follower: bool = False,
    ) -> ReadOutcome:
        """Bytes for a consumer, from the batch that holds `offset` up to the high watermark (or the last
        stable offset, or the log end), at most `max_bytes`; the last batch may be cut. With `min_one_batch`
        the first comes whole. Without `may_block` the outcome may hold a ColdRead instead. `as_follower`: a
        replica that follows may answer too."""
        log = self.log
        if not self.is_leader and not (as_follower and self.is_follower):
            return ReadOutcome(_STORAGE if log.offline else _NOT_LEADER)
        if log.offline:
            return ReadOutcome(_STORAGE)
        start_offset = log.log_start_offset
        if offset < start_offset or offset > log.log_end_offset:
            return ReadOutcome(ErrorCode.OFFSET_OUT_OF_RANGE)
        high_watermark = log.high_watermark
        stable = log.last_stable_offset
        if isolation == READ_LOG_END:
            bound = log.log_end_offset
        else:
            bound = stable if isolation == READ_COMMITTED else high_watermark
        if offset >= bound:
            return ReadOutcome(_NONE, b"", high_watermark, stable, start_offset)
        try:
            found = log.read(
                offset, max_bytes, end_offset=bound, min_one_batch=min_one_batch, may_block=may_block
            )
            aborted: list[tuple[int, int]] | None = None
            if isolation == READ_COMMITTED and found.records:
                entries = log.aborted_between(offset, bound)
                end_offset = _end_of(found.records, bound) if entries else bound
                aborted = [
                    (entry.producer_id, entry.first_offset)
                    for entry in entries
                    if entry.first_offset < end_offset
                ]
        except StorageError:
            return ReadOutcome(_STORAGE)
        except CorruptionError as error:
            log.environment.report(f"{log.name}: read at offset {offset}: {error}")
            return ReadOutcome(ErrorCode.CORRUPT_MESSAGE)
        return ReadOutcome(_NONE, found.records, high_watermark, stable, start_offset, aborted, found.cold)

    def read_log(self, offset: int, max_bytes: int, *, may_block: bool) -> LogRead:
        """Bytes for the coordinator that loads this partition: up to the log end, the first batch whole.
        StorageError, CorruptionError."""
        return self.log.read(offset, max_bytes, min_one_batch=True, may_block=may_block)

    def available_bytes(self, offset: int, isolation: int = READ_UNCOMMITTED) -> int:
        """About how many bytes a fetch from `offset` would find."""
        log = self.log
        bound = log.last_stable_offset if isolation == READ_COMMITTED else log.high_watermark
        try:
            return log.bytes_between(max(offset, log.log_start_offset), bound)
        except (StorageError, CorruptionError, OSError):
            return 0

    def list_offset(self, timestamp: int, isolation: int = READ_UNCOMMITTED) -> FoundOffset:
        """(error, timestamp, offset, leader epoch) for a timestamp or one of the special ones."""
        log = self.log
        if not self.is_leader or log.offline:
            return FoundOffset(_STORAGE if log.offline else _NOT_LEADER)
        if isolation == READ_LOG_END:
            bound = log.log_end_offset
        else:
            bound = log.last_stable_offset if isolation == READ_COMMITTED else log.high_watermark
        replication = self.replication
        # Where a new leader may not know yet how far its predecessor let consumers read.
        lags = (
            replication is not None
            and isolation != READ_LOG_END
            and log.high_watermark < replication.epoch_start_offset
        )
        if timestamp == LATEST:
            if lags:
                return FoundOffset(ErrorCode.OFFSET_NOT_AVAILABLE)
            return FoundOffset(_NONE, -1, bound, self.leader_epoch)
        if timestamp in (EARLIEST, EARLIEST_LOCAL):
            epoch = log.epochs.epoch_for_offset(log.log_start_offset)
            return FoundOffset(_NONE, -1, log.log_start_offset, epoch)
        if timestamp in (LATEST_TIERED, EARLIEST_PENDING_UPLOAD):
            return FoundOffset(_NONE)
        if timestamp < EARLIEST_PENDING_UPLOAD:
            return FoundOffset(ErrorCode.UNSUPPORTED_VERSION)
        try:
            if timestamp == MAX_TIMESTAMP:
                found = log.offset_of_max_timestamp()
            else:
                found = log.offset_for_timestamp(timestamp)
        except StorageError:
            return FoundOffset(_STORAGE)
        except CorruptionError as error:
            log.environment.report(f"{log.name}: lookup of timestamp {timestamp}: {error}")
            return FoundOffset(ErrorCode.CORRUPT_MESSAGE)
        if found is None or found[1] >= bound:
            return FoundOffset(ErrorCode.OFFSET_NOT_AVAILABLE if lags else _NONE)
        return FoundOffset(_NONE, *found)

    def epoch_end_offset(self, epoch: int) -> tuple[int, int]:
        """(largest known epoch <= `epoch`, its end offset); (-1, -1) when that is not known."""
        return self.log.epochs.end_offset_for(epoch, self.log.log_end_offset)

    def delete_records(self, offset: int) -> tuple[ErrorCode, int]:
        """Raise the log start to `offset` (-1: the high watermark); (error, new log start or -1). Followers
        do the same when they fetch: see `on_low_watermark`."""
        log = self.log
        if not self.is_leader or log.offline:
            return (_STORAGE if log.offline else _NOT_LEADER), -1
        if log.config.compacts and not log.config.deletes:
            return ErrorCode.POLICY_VIOLATION, -1
        if offset == -1:
            offset = log.high_watermark
        if offset < 0 or offset > log.high_watermark:
            return ErrorCode.OFFSET_OUT_OF_RANGE, -1
        log.increment_log_start(offset)
        return _NONE, log.log_start_offset


def _end_of(records: bytes | memoryview, bound: int) -> int:
    """The offset after the last whole batch in what was read; `bound` if the first one is cut."""
    end_offset = bound
    for _, header in iter_headers(records):
        end_offset = header.next_offset
    return end_offset

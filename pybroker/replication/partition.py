"""One replica of a partition: leadership, high watermark, and the rules between a request and the log.

In: the records field of a produce, fetch offsets, timestamps, roles, outcomes of flushes. Out: outcomes
with Kafka's error codes; calls to waiters. What must hold:

- no input makes `append`, `read` or a lookup raise;
- the high watermark never moves back while this replica leads, never passes the log end, and, where a flush
  is asked for before an acknowledgement, never passes what was flushed;
- producer state changes only for batches that are in the log;
- every waiter is called exactly once.
"""

from __future__ import annotations

import heapq
from collections.abc import Callable
from typing import Final, NamedTuple

from pybroker.common.errors import CorruptionError, ErrorCode, StorageError
from pybroker.log.config import LONG_MAX, LogConfig
from pybroker.log.partition_log import MAX_RELATIVE_OFFSET, ColdRead, LogRead, PartitionLog
from pybroker.log.producer_state import ProducerBatch, ProducerEntry, Verification
from pybroker.log.segment import Segment
from pybroker.records.batch import (
    CREATE_TIME,
    LOG_APPEND_TIME,
    TRANSACTIONAL_BIT,
    iter_headers,
)
from pybroker.records.control import build_end_transaction
from pybroker.records.validation import ProduceRules, Rejection, WalkPolicy, validate_produce

LATEST: Final = -1
EARLIEST: Final = -2
MAX_TIMESTAMP: Final = -3
EARLIEST_LOCAL: Final = -4
LATEST_TIERED: Final = -5
EARLIEST_PENDING_UPLOAD: Final = -6

READ_UNCOMMITTED: Final = 0
READ_COMMITTED: Final = 1


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
        "_rules",
        "_sequence",
        "_waiters",
        "_watcher_number",
        "_watchers",
        "is_leader",
        "leader_epoch",
        "log",
        "partition",
        "plain",
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
        self.leader_epoch = -1
        self._fsync = durability == "fsync"
        # Appends waiting for the high watermark: a heap of (offset, number, callback).
        self._waiters: list[tuple[int, int, Callable[[ErrorCode], None]]] = []
        self._sequence = 0
        # Called whenever more can be read.
        self._watchers: dict[int, Callable[[], None]] = {}
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
        self._eager = not self._fsync and config.flush_messages == LONG_MAX
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
        if self._eager and self.is_leader:
            self._advance(self.log.log_end_offset)

    def become_leader(self, leader_epoch: int) -> None:
        """Lead in this epoch. As the only replica, what is in the log counts as committed: at once, or once
        it is flushed where flushes count."""
        log = self.log
        self.plain = None
        self.leader_epoch = leader_epoch
        self.is_leader = True
        log.assign_epoch(leader_epoch)
        if not self._fsync:
            self._advance(log.log_end_offset)
            return
        self._advance(log.recovery_point)
        if log.high_watermark < log.log_end_offset:
            log.request_flush()

    def become_offline(self, error: ErrorCode = ErrorCode.NOT_LEADER_OR_FOLLOWER) -> None:
        """No leader any more (deleted, moved, failed disk): everybody who waits is told."""
        self.is_leader = False
        self.plain = None
        waiters, self._waiters = sorted(self._waiters), []
        for _, _, callback in waiters:
            callback(error)
        self._wake_watchers()

    def _log_offline(self) -> None:
        self.become_offline(ErrorCode.KAFKA_STORAGE_ERROR)

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
        return self.log.producers.start_verification(producer_id, epoch, sequence, strict=strict)

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

    def _appended(self, end_offset: int) -> None:
        """After an append where flushes count: ask for one, or move on when none is due yet."""
        log = self.log
        if self._fsync or log.unflushed_count >= self._flush_messages:
            log.request_flush()
        else:
            self._advance(end_offset)

    # ---- high watermark ------------------------------------------------------------------------------

    def complete_flush(self, end_offset: int) -> None:
        """Everything below `end_offset` is durable."""
        if not self.is_leader:
            return
        log = self.log
        if not self._fsync and log.unflushed_count < self._flush_messages:
            end_offset = log.log_end_offset
        self._advance(end_offset)
        if not self._eager and log.high_watermark < log.log_end_offset:
            log.request_flush()

    def _advance(self, offset: int) -> None:
        log = self.log
        if offset > log.high_watermark:
            log.high_watermark = min(offset, log.log_end_offset)
            self._wake_waiters()
            self._wake_watchers()

    def on_high_watermark(self, offset: int, callback: Callable[[ErrorCode], None]) -> None:
        """Call `callback(NONE)` once the high watermark is at or above `offset`, at once if it is; or with an
        error when this replica stops leading before."""
        if not self.is_leader:
            callback(_STORAGE if self.log.offline else _NOT_LEADER)
        elif self.log.high_watermark >= offset:
            callback(_NONE)
        else:
            self._sequence += 1
            heapq.heappush(self._waiters, (offset, self._sequence, callback))

    def _wake_waiters(self) -> None:
        waiters = self._waiters
        high_watermark = self.log.high_watermark
        while waiters and waiters[0][0] <= high_watermark:
            heapq.heappop(waiters)[2](_NONE)

    def on_append(self, callback: Callable[[], None]) -> Callable[[], None]:
        """Call `callback()` whenever more can be read, or this replica stops leading, until the returned
        function is called."""
        self._watcher_number += 1
        number = self._watcher_number
        self._watchers[number] = callback
        watchers = self._watchers
        return lambda: watchers.pop(number, None) and None

    def _wake_watchers(self) -> None:
        for callback in list(self._watchers.values()):
            callback()

    # ---- read ----------------------------------------------------------------------------------------

    def read(
        self,
        offset: int,
        max_bytes: int,
        *,
        isolation: int = READ_UNCOMMITTED,
        min_one_batch: bool = False,
        may_block: bool = True,
    ) -> ReadOutcome:
        """Bytes for a consumer, from the batch that holds `offset` up to the high watermark (or the last
        stable offset), at most `max_bytes`; the last batch may be cut. With `min_one_batch` the first comes
        whole. Without `may_block` the outcome may hold a ColdRead instead."""
        log = self.log
        if not self.is_leader:
            return ReadOutcome(_STORAGE if log.offline else _NOT_LEADER)
        if log.offline:
            return ReadOutcome(_STORAGE)
        start_offset = log.log_start_offset
        if offset < start_offset or offset > log.log_end_offset:
            return ReadOutcome(ErrorCode.OFFSET_OUT_OF_RANGE)
        high_watermark = log.high_watermark
        stable = log.last_stable_offset
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
        bound = log.last_stable_offset if isolation == READ_COMMITTED else log.high_watermark
        if timestamp == LATEST:
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
            return FoundOffset(_NONE)
        return FoundOffset(_NONE, *found)

    def epoch_end_offset(self, epoch: int) -> tuple[int, int]:
        """(largest known epoch <= `epoch`, its end offset); (-1, -1) when that is not known."""
        return self.log.epochs.end_offset_for(epoch, self.log.log_end_offset)

    def delete_records(self, offset: int) -> tuple[ErrorCode, int]:
        """Raise the log start to `offset` (-1: the high watermark); (error, new low watermark or -1)."""
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

"""Moving replicas from one log directory of this broker to another (AlterReplicaLogDirs, KIP-113, KIP-858).

In: a partition and a directory, ticks of timers, outcomes of syncs. Out: a future log that is filled from the
log, and takes over. What must hold:

- what the log loses (an unclean leader, DeleteRecords) the future log loses too, before it takes over: it is
  cut where the leader epochs of the two say so, as a follower's;
- the log goes on serving meanwhile; a turn of the loop copies a bounded number of bytes, and all moves
  together no more than replica.alter.log.dirs.io.max.bytes.per.second;
- the future log takes over only when the metadata have this replica in its directory, when it has every batch
  of the log, and on the disk what the log has counted as flushed; a mark in it, on the disk before its name
  changes, tells a start which of the two logs goes on;
- a move ends in one of three ways: the future log took over, it was dropped, or its or the log's directory
  failed; whatever the metadata said meanwhile, they are told then where the replica is.

    WAITING    the future log cannot be made yet, or the cleaner is still at work on the log
    COPYING
    ASSIGNING  it has caught up: the controller is asked to have the replica in the other directory
    SETTLING   the controller has agreed: the log counts no flushes until those of the future log are as far

Source: Kafka's ReplicaAlterLogDirsThread. Unlike there a start never prefers an unfinished copy to the log.
"""

from __future__ import annotations

import errno
from collections import deque
from collections.abc import Callable
from enum import Enum
from typing import Final, NamedTuple

from pybroker.common.clock import Clock
from pybroker.common.config import BrokerConfig
from pybroker.common.errors import CorruptionError, StorageError
from pybroker.common.timers import Timer, TimerQueue
from pybroker.log import LogManager
from pybroker.log.environment import DISK_FULL, NO_DESCRIPTORS
from pybroker.log.manager import LogDirectory, directory_uuid
from pybroker.log.partition_log import PartitionLog
from pybroker.replication.partition import Partition
from pybroker.replication.throttle import RATE_OF_MOVES, Rate, rate_of

# What is copied before others have a turn.
_SLICE_BYTES: Final = 512 * 1024
# What may be written before it is synced: the last sync must not have to wait for gigabytes.
_UNSYNCED_BYTES: Final = 64 * 1024 * 1024
_RETRY_MS: Final = 20
_MAKE_AGAIN_MS: Final = 100
_FULL_MS: Final = 1_000
# The answer of the controller is seen in the metadata, which wakes the move; this is for the rest.
_ASK_AGAIN_MS: Final = 1_000
_THROTTLED_MS: Final = 100

Key = tuple[str, int]
"""(topic, partition index)."""


class MoveEnvironment(NamedTuple):
    """What moves use of the broker around them."""

    clock: Clock
    timers: TimerQueue
    logs: LogManager
    config: Callable[[], BrokerConfig]
    # Effect queue, function to run off the loop, function that takes its outcome on the loop.
    run_blocking: Callable[[str, Callable[[], None], Callable[[BaseException | None], None]], None]
    # (topic id, partition index): the id of the directory where the metadata have this broker's replica.
    stated_directory: Callable[[bytes, int], bytes | None]
    # The directory of a replica is, or is to be, another one: see that the metadata have it.
    on_directory: Callable[[bytes, int], None]
    report: Callable[[str], None]


class _State(Enum):
    WAITING = 0
    COPYING = 1
    ASSIGNING = 2
    SETTLING = 3


class _Move:
    """One partition that is moved."""

    __slots__ = (
        "copy",
        "cut_count",
        "due_ms",
        "durable",
        "flushed",
        "partition",
        "reading",
        "state",
        "target",
        "unsynced",
    )

    def __init__(self, partition: Partition, target: LogDirectory) -> None:
        self.partition = partition
        self.target = target
        # The future log, as a follower of the log.
        self.copy: Partition | None = None
        self.state = _State.WAITING
        # How often the log had been cut when the two were compared last; -1: they were not yet.
        self.cut_count = -1
        self.due_ms = 0.0
        # Bytes are brought into memory, off the loop.
        self.reading = False
        self.unsynced = 0
        # How far the future log is on the disk, and how far the log was when it was asked for last.
        self.flushed = 0
        self.durable = 0

    @property
    def key(self) -> Key:
        return self.partition.topic, self.partition.partition


class DirectoryMoves:
    """The moves of one broker. They take turns."""

    __slots__ = ("_environment", "_moves", "_queue", "_rate", "_timer", "stopped")

    def __init__(self, environment: MoveEnvironment) -> None:
        self._environment = environment
        self._moves: dict[Key, _Move] = {}
        self._queue: deque[_Move] = deque()
        self._timer: Timer | None = None
        self._rate = Rate(environment.clock)
        self.stopped = False
        self.configure()

    def configure(self) -> None:
        """The configuration changed."""
        config = self._environment.config()
        window_ms = 1000.0 * config["alter.log.dirs.replication.quota.window.num"]
        window_ms *= config["alter.log.dirs.replication.quota.window.size.seconds"]
        self._rate.configure(rate_of(config, RATE_OF_MOVES), window_ms)

    def __contains__(self, key: object) -> bool:
        return key in self._moves

    def target_of(self, topic: str, index: int) -> bytes | None:
        """The id of the directory that the metadata are to have, where a replica is about to change over."""
        move = self._moves.get((topic, index))
        if move is None or move.state not in (_State.ASSIGNING, _State.SETTLING):
            return None
        return directory_uuid(move.target)

    # ---- begin and end -------------------------------------------------------------------------------

    def start(self, partition: Partition, target: LogDirectory) -> None:
        """Move a partition. To its own directory: a move under way ends. StorageError: it cannot begin."""
        logs = self._environment.logs
        move = self._moves.get((partition.topic, partition.partition))
        if move is not None and move.target is target:
            return
        if move is not None:
            self.cancel(partition.topic, partition.partition)
        if logs.directory_of(partition.topic, partition.partition) is target:
            return
        move = _Move(partition, target)
        try:
            self._make(move)
        except StorageError as error:
            if error.errno != errno.EAGAIN:
                raise
        self._moves[move.key] = move
        self._enqueue(move)

    def resume(self, partition: Partition) -> None:
        """Go on where a former process stopped, if there is a future log of this partition."""
        logs = self._environment.logs
        future = logs.future(partition.topic, partition.partition)
        target = logs.future_directory_of(partition.topic, partition.partition)
        if future is None or target is None or (partition.topic, partition.partition) in self._moves:
            return
        move = _Move(partition, target)
        self._adopt(move, future)
        self._moves[move.key] = move
        self._enqueue(move)

    def cancel(self, topic: str, index: int) -> None:
        """Drop the future log, if there is one."""
        move = self._moves.get((topic, index))
        if move is not None:
            self._end(move)
        self._environment.logs.drop_future(topic, index)
        if move is not None:
            self._environment.logs.cleaner.wake()

    def metadata_changed(self, topic: str) -> None:
        """The metadata of a topic are new: moves may have been waited for."""
        for move in self._moves.values():
            if move.state is _State.ASSIGNING and move.partition.topic == topic:
                self._enqueue(move)

    def directory_failed(self, path: str) -> None:
        """Moves from and to a directory end. What is in the other one stays there for a start to judge."""
        for move in list(self._moves.values()):
            if move.target.path == path or move.partition.log.offline:
                self._end(move)

    def _end(self, move: _Move) -> None:
        """No more of it; the metadata are told if they were to change."""
        del self._moves[move.key]
        self._thaw(move)
        if move.copy is not None:
            move.copy.log.on_flush = None
        if move.state in (_State.ASSIGNING, _State.SETTLING):
            self._environment.on_directory(move.partition.topic_id, move.partition.partition)

    def stop(self) -> None:
        """Nothing more is done; the next start goes on."""
        self.stopped = True
        if self._timer is not None:
            self._timer.cancel()

    def _make(self, move: _Move) -> None:
        self._adopt(move, self._environment.logs.make_future(move.partition.log, move.target))

    def _adopt(self, move: _Move, future: PartitionLog) -> None:
        partition = move.partition
        copy = move.copy = Partition(partition.topic, partition.partition, partition.topic_id, future)
        copy.become_follower(partition.leader_epoch)
        # A mark of an attempt that was interrupted says nothing any more.
        self._environment.logs.unmark(future)
        future.on_flush = lambda end_offset: self._flushed(move, end_offset)

    # ---- turns ---------------------------------------------------------------------------------------

    def _enqueue(self, move: _Move, delay_ms: float = 0) -> None:
        """It has something to do, now or then."""
        if self._moves.get(move.key) is not move or self.stopped:
            return
        move.due_ms = self._environment.clock.monotonic_ms() + delay_ms
        if move not in self._queue:
            self._queue.append(move)
        self._arm()

    def _arm(self) -> None:
        if not self._queue:
            return
        due_ms = min(move.due_ms for move in self._queue)
        timer = self._timer
        if timer is not None and timer.callback is not None:
            if timer.deadline_ms <= due_ms:
                return
            timer.cancel()
        self._timer = self._environment.timers.schedule(due_ms, self._turn)

    def _turn(self) -> None:
        """One slice of one move that is due."""
        if self.stopped:
            return
        now_ms = self._environment.clock.monotonic_ms()
        for _ in range(len(self._queue)):
            move = self._queue.popleft()
            if self._moves.get(move.key) is not move:
                continue
            if move.due_ms > now_ms:
                self._queue.append(move)
                continue
            try:
                delay_ms = self._step(move)
            except (StorageError, CorruptionError) as error:
                delay_ms = self._failed(move, error)
            if delay_ms is not None:
                self._enqueue(move, delay_ms)
            break
        self._arm()

    def _failed(self, move: _Move, error: Exception) -> float | None:
        """What passes is waited for; another move can only be begun by somebody."""
        number = getattr(error, "errno", None)
        if number == errno.EAGAIN or number in DISK_FULL or number in NO_DESCRIPTORS:
            self._thaw(move)
            return _MAKE_AGAIN_MS if number == errno.EAGAIN else _FULL_MS
        if self._moves.get(move.key) is move:
            self._environment.report(f"{move.partition.log.name}: not moved to {move.target.path}: {error}")
            self.cancel(*move.key)
        return None

    # ---- the steps -----------------------------------------------------------------------------------

    def _step(self, move: _Move) -> float | None:
        """Go on with a move; when to come again, in milliseconds, None: something will wake it."""
        if move.copy is None:
            self._make(move)
        copy, log = move.copy, move.partition.log
        assert copy is not None
        if log.offline or copy.log.offline:
            self._end(move)
            return None
        if move.reading:
            return None
        if move.state is _State.WAITING:
            if not self._environment.logs.cleaner.leave(log):
                return _RETRY_MS
            move.state = _State.COPYING
        if move.unsynced >= _UNSYNCED_BYTES:
            # `_flushed` wakes it.
            copy.log.request_flush()
            return None
        if self._rate.is_exceeded:
            return _THROTTLED_MS
        if move.cut_count != log.cut_count or copy.log.epochs.latest > log.epochs.latest:
            self._align(copy.log, log)
            move.flushed = min(move.flushed, copy.log.log_end_offset)
            move.cut_count = log.cut_count
        more = self._copy(move, copy, log)
        if more is not False:
            return more
        return self._caught_up(move, copy.log, log)

    def _align(self, future: PartitionLog, log: PartitionLog) -> None:
        """Cut what the log does not have: as a follower does it, by the epochs of both."""
        while future.log_end_offset > future.log_start_offset:
            epoch = future.epochs.latest
            known_epoch, end_offset = log.epochs.end_offset_for(
                min(epoch, log.epochs.latest), log.log_end_offset
            )
            if known_epoch == epoch >= 0:
                future.truncate_to(min(end_offset, future.log_end_offset))
                return
            if known_epoch < 0:
                future.truncate_fully(log.log_start_offset)
                return
            # The log has nothing of that epoch: what it has of the one before counts.
            own_epoch, own_end = future.epochs.end_offset_for(known_epoch, future.log_end_offset)
            future.truncate_to(min(end_offset, own_end if own_epoch >= 0 else future.log_start_offset))

    def _copy(self, move: _Move, copy: Partition, log: PartitionLog) -> float | bool | None:
        """One slice; False when there was nothing left, else when to come again."""
        future = copy.log
        if future.cut_unsaved:
            return _RETRY_MS
        start_offset, end_offset = log.log_start_offset, log.log_end_offset
        if future.log_end_offset < start_offset or future.log_end_offset > end_offset:
            future.truncate_fully(start_offset)
        budget = _SLICE_BYTES
        while budget > 0 and future.log_end_offset < end_offset:
            found = log.read(future.log_end_offset, budget, min_one_batch=True, may_block=False)
            if found.cold is not None:
                self._warm(move, found.cold.run)
                return None
            if not found.records:
                # No batch reaches the log end: it was cut where compaction had left a gap.
                future.log_end_offset = end_offset
                break
            before = future.size
            copy.leader_epoch = max(copy.leader_epoch, log.epochs.latest)
            copy.append_from_leader(
                found.records, high_watermark=log.high_watermark, log_start_offset=start_offset
            )
            count = max(future.size - before, len(found.records))
            budget -= count
            move.unsynced += count
            self._rate.note(count)
        else:
            if future.log_end_offset < end_offset:
                return 0
        if start_offset > future.log_start_offset:
            future.increment_log_start(start_offset)
        return False

    def _warm(self, move: _Move, read: Callable[[], None]) -> None:
        move.reading = True

        def done(error: BaseException | None) -> None:
            # A disk that refuses is met again by the read that follows.
            move.reading = False
            self._enqueue(move)

        self._environment.run_blocking("cold reads", read, done)

    def _caught_up(self, move: _Move, future: PartitionLog, log: PartitionLog) -> float | None:
        environment = self._environment
        partition = move.partition
        if move.state is _State.COPYING:
            move.state = _State.ASSIGNING
            environment.on_directory(partition.topic_id, partition.partition)
        stated = environment.stated_directory(partition.topic_id, partition.partition)
        if stated != directory_uuid(move.target):
            # Not agreed (yet).
            self._thaw(move)
            return _ASK_AGAIN_MS
        if move.state is _State.ASSIGNING:
            move.state = _State.SETTLING
            # What it counts as flushed stays as it is, so that the future log can get there.
            log.on_flush = None
            move.durable = log.recovery_point
            future.epochs.take(log.epochs)
            try:
                environment.logs.mark(future)
            except OSError as error:
                raise StorageError(f"{future.directory}: cannot be marked: {error}", error.errno) from error
            future.request_flush()
            return None
        return self._settle(move, future, log)

    def _settle(self, move: _Move, future: PartitionLog, log: PartitionLog) -> float | None:
        """Take over as soon as everything is on the disk that has to be."""
        logs, partition = self._environment.logs, move.partition
        if future.syncing or log.syncing or future.cut_unsaved:
            return _RETRY_MS
        if future.epochs.entries != log.epochs.entries:
            future.epochs.take(log.epochs)
        needed = partition.counted_end_offset if partition.counts_flushes else move.durable
        if future.needs_names or move.flushed < min(needed, log.log_end_offset):
            future.request_flush()
            return _RETRY_MS
        if not logs.has_saved_start(future, move.target) or not logs.cleaner.leave(log):
            return _RETRY_MS
        old = logs.directory_of(*move.key)
        assert old is not None
        _, retire = logs.promote(*move.key)
        del self._moves[move.key]
        partition.change_log(future)
        self._environment.report(
            f"{log.name}: moved from {old.path} to {move.target.path}, at offset {future.log_end_offset}"
        )
        self._environment.on_directory(partition.topic_id, partition.partition)
        logs.cleaner.wake()

        def named() -> None:
            if retire is not None:
                retire()
            self._sync(old, lambda: logs.unmark(future))

        # The new name has to be there before the old one goes, and that before the mark.
        self._sync(move.target, named)
        return None

    def _sync(self, directory: LogDirectory, then: Callable[[], None]) -> None:
        logs = self._environment.logs

        def done(error: BaseException | None) -> None:
            if error is None:
                then()
            elif isinstance(error, OSError):
                logs.sync_failed(directory, error)

        files, path = logs.environment.files, directory.path
        self._environment.run_blocking(f"{path} (background)", lambda: files.sync_dir(path), done)

    def _flushed(self, move: _Move, end_offset: int) -> None:
        """A round has synced the future log."""
        move.unsynced = 0
        move.flushed = end_offset
        self._enqueue(move)

    def _thaw(self, move: _Move) -> None:
        """The log counts flushes again."""
        partition = move.partition
        if move.state is not _State.SETTLING:
            return
        move.state = _State.ASSIGNING
        if partition.log.on_flush is None and not partition.log.deleted:
            partition.log.on_flush = partition.complete_flush
            partition.complete_flush(partition.log.recovery_point)

"""The cleaner's state: which logs are clean up to where, the pass under way, and putting its outcome in
place.

In: ticks, outcomes of effects. Out: effects, at most one at a time. What must hold: whatever moment the
process dies in, the next start finds the log before the pass or after it (storage.md section 6.2); a log that
cannot be cleaned is marked, shown and left alone, and never takes the broker down.

A pass has five steps; the first, second and fourth are effects, because they block:

    clean      a `CleaningPass` writes `.cleaned` files and syncs them
    to swap    they are renamed `.swap`, the directory is synced: from now on a start completes the pass
    replace    the old segments are renamed `.deleted`, readers see the new ones
    sync       the directory again: no old segment can come back beside a new one
    in place   the suffix goes, oldest segment first, with a sync of the directory between two; checkpoint
"""

from __future__ import annotations

from collections.abc import Callable, Generator
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final, NamedTuple

from pybroker.common.effects import BlockingCall, Effect
from pybroker.common.errors import CorruptionError, StorageError
from pybroker.common.files import FileSystem
from pybroker.log import checkpoints
from pybroker.log.cleaner import policy
from pybroker.log.cleaner.cleaning import (
    CLEANED,
    SWAP,
    CleaningJob,
    CleaningResult,
    SourceSegment,
    clean,
)
from pybroker.log.environment import DISK_FULL, NO_DESCRIPTORS
from pybroker.log.partition_log import PartitionLog
from pybroker.log.producer_state import ProducerEntry
from pybroker.log.segment import EXTENSIONS, Segment

if TYPE_CHECKING:
    from pybroker.log.manager import LogDirectory, LogManager

QUEUE: Final = "cleaner"
# What may be over a while later.
RETRIED: Final = DISK_FULL | NO_DESCRIPTORS


class DirectorySyncError(OSError):
    """A directory's names may not be durable, and a second try could not tell."""


@dataclass(frozen=True, slots=True)
class CleanerSettings:
    """log.cleaner.*: the pause when nothing is dirty, the memory of the offset map, the speed of a pass."""

    enabled: bool = True
    backoff_ms: int = 15_000
    map_bytes: int = 128 * 1024 * 1024
    max_bytes_per_second: float = float("inf")


class CleanerMetrics(NamedTuple):
    """What operators watch. Those of one pass are of the last one that ended."""

    passes: int
    failures: int
    # 1 after an error that nobody expected: nothing is cleaned until the next start.
    dead: int
    max_dirty_ratio: float
    max_compaction_delay_ms: int
    # Bytes written by bytes read.
    recopy_ratio: float
    # How full the offset map was.
    map_ratio: float
    clean_time_ms: float
    # Since a pass was looked for.
    idle_ms: float
    bytes_read: int
    bytes_written: int


class CleaningPass:
    """The effect that does one pass. `runner` decides where: in this thread, or in another process."""

    __slots__ = ("_complete", "_runner", "cancelled", "job", "max_bytes_per_second", "queue", "result")

    def __init__(
        self,
        job: CleaningJob,
        max_bytes_per_second: float,
        runner: Callable[[CleaningPass], CleaningResult],
        complete: Callable[[BaseException | None], None],
    ) -> None:
        self.queue = QUEUE
        self.job = job
        self.max_bytes_per_second = max_bytes_per_second
        # Set on the loop thread when the result is not wanted any more.
        self.cancelled = False
        self.result: CleaningResult | None = None
        self._runner = runner
        self._complete = complete

    def run(self) -> None:
        self.result = self._runner(self)

    def complete(self, error: BaseException | None) -> None:
        self._complete(error)


def run_here(files: FileSystem) -> Callable[[CleaningPass], CleaningResult]:
    """The runner that does a pass in the calling thread."""

    def run(task: CleaningPass) -> CleaningResult:
        steps = clean(files, task.job)
        while True:
            try:
                next(steps)
            except StopIteration as end:
                result: CleaningResult = end.value
                return result
            if task.cancelled:
                raise InterruptedError("the cleaning pass was stopped")

    return run


class LogCleaner:
    """Cleans the logs of one `LogManager`, one after the other."""

    def __init__(self, manager: LogManager, settings: CleanerSettings) -> None:
        self.settings = settings
        self.runner: Callable[[CleaningPass], CleaningResult] = run_here(manager.environment.files)
        # Called when there is nothing to clean.
        self.on_idle: Callable[[], None] | None = None
        # Where nothing may block, as in memory: passes are done in slices by `tick` and there are no effects.
        self.sliced = False
        self._manager = manager
        self._stopped = False
        self._next_ms = 0.0
        self._task: CleaningPass | None = None
        self._steps: Generator[int, None, CleaningResult] | None = None
        self._log: PartitionLog | None = None
        # Of that log, when the pass began.
        self._cut_count = 0
        self._directory: LogDirectory | None = None
        # Its outcome is in use, and what is left to be renamed was refused by the disk for the moment.
        self._unfinished: CleaningResult | None = None
        self._effects: list[Effect] = []
        # Why a log is left alone, by log: until the next start.
        self._uncleanable: dict[PartitionLog, str] = {}
        # Logs with more keys than the map may hold: how many bytes the next pass should take.
        self._windows: dict[PartitionLog, int] = {}
        self._passes = self._failures = 0
        self._bytes_read = self._bytes_written = 0
        self._recopy_ratio = self._map_ratio = self._clean_time_ms = 0.0
        self._max_dirty_ratio = 0.0
        self._max_delay_ms = 0
        self._looked_ms = self._begun_ms = manager.environment.clock.monotonic_ms()
        self._dead = False

    # ---- choosing --------------------------------------------------------------------------------------

    @property
    def busy(self) -> bool:
        return self._log is not None

    def tick(self, now_ms: float) -> None:
        """Start a pass if one is due and all logs are there. Monotonic milliseconds; cheap if none is."""
        if now_ms < self._next_ms or self._dead or not self._manager.is_loaded:
            return
        if self._unfinished is not None:
            unfinished, self._unfinished = self._unfinished, None
            self._sync_and_settle(unfinished)
            return
        if self._log is not None or not self.settings.enabled:
            return
        self._looked_ms = self._begun_ms = now_ms
        # Should something unexpected come out of it, the caller tells, and it is not tried again.
        self._dead = True
        started = self._start()
        self._dead = False
        if not started:
            self._next_ms = now_ms + self.settings.backoff_ms
            if self.on_idle is not None:
                self.on_idle()

    def wake(self) -> None:
        """Look for work with the next tick."""
        self._next_ms = 0.0

    def candidates(self) -> list[policy.Cleanable]:
        """All logs that compaction applies to and that can be cleaned."""
        wall_ms = self._manager.environment.clock.wall_ms()
        found = []
        for directory in self._manager.directories:
            if directory.offline or directory.full:
                continue
            for key, log in directory.logs.items():
                if (
                    log.config.compacts
                    and log not in self._uncleanable
                    and len(log.segments) > 1
                    and not self._manager.is_moving(*key)
                ):
                    try:
                        found.append(policy.examine(log, directory.clean_offsets.get(key), wall_ms))
                    except OSError as error:
                        self._manager.disk_error(directory, error)
                        if directory.offline:
                            break
        return found

    def _start(self) -> bool:
        candidates = self.candidates()
        self._max_dirty_ratio = max((candidate.dirty_ratio for candidate in candidates), default=0.0)
        self._max_delay_ms = max((candidate.overdue_ms for candidate in candidates), default=0)
        chosen = policy.choose(candidates)
        if chosen is None:
            return False
        log = chosen.log
        self._log = log
        self._cut_count = log.cut_count
        self._directory = self._manager.directory_of(log.topic, log.partition)
        try:
            job = self._job(chosen)
        except (OSError, CorruptionError, StorageError) as error:
            self._failed(error)
            return True
        if self.sliced:
            self._steps = clean(self._manager.environment.files, job)
            return True
        self._task = CleaningPass(job, self.settings.max_bytes_per_second, self.runner, self._cleaned)
        self._submit(self._task)
        return True

    def _job(self, chosen: policy.Cleanable) -> CleaningJob:
        log = chosen.log
        config = log.config
        files = self._manager.environment.files
        sources = []
        for index, segment in enumerate(log.segments[:-1]):
            if segment.base_offset >= chosen.first_uncleanable_offset:
                break
            sources.append(
                SourceSegment(
                    segment.base_offset,
                    log.segments[index + 1].base_offset,
                    segment.size,
                    files.file_size(segment.path(".index")),
                    files.file_size(segment.path(".timeindex")),
                )
            )
        log.producers.expire(self._manager.environment.clock.wall_ms())
        return CleaningJob(
            directory=log.directory,
            sources=tuple(sources),
            first_dirty_offset=chosen.first_dirty_offset,
            aborted=tuple(log.aborted_between(sources[0].base_offset, sources[-1].next_offset)),
            last_batches={
                producer_id: (entry.epoch, _last_committed(entry, log.high_watermark))
                for producer_id, entry in log.producers.entries.items()
            },
            now_ms=self._manager.environment.clock.wall_ms(),
            delete_retention_ms=config.delete_retention_ms,
            segment_bytes=config.segment_bytes,
            segment_index_bytes=config.segment_index_bytes,
            index_interval_bytes=config.index_interval_bytes,
            map_bytes=self.settings.map_bytes,
            window_bytes=self._windows.get(log, 0),
        )

    # ---- effects ---------------------------------------------------------------------------------------

    def take_effects(self) -> list[Effect]:
        """The blocking work to be done now."""
        effects, self._effects = self._effects, []
        return effects

    def _submit(self, effect: Effect) -> None:
        self._effects.append(effect)
        if self._manager.on_work is not None:
            self._manager.on_work()

    def _call(self, function: Callable[[], None], done: Callable[[BaseException | None], None]) -> None:
        if not self.sliced:
            self._submit(BlockingCall(QUEUE, function, done))
            return
        error: BaseException | None = None
        try:
            function()
        except OSError as caught:
            error = caught
        done(error)

    def advance(self, done: Callable[[], bool]) -> bool:
        """In sliced mode: go on with the pass until `done()`; True when there is more to do."""
        steps = self._steps
        if steps is None:
            return False
        try:
            while not done():
                next(steps)
        except StopIteration as end:
            self._steps = None
            self._take(end.value)
        except (OSError, CorruptionError) as error:
            self._steps = None
            self._cleaned(error)
        return self._steps is not None

    def configure(self, settings: CleanerSettings) -> None:
        """New settings. As in Kafka a pass under way starts over with them: it may be a slow one."""
        if self._stopped or settings == self.settings:
            return
        self.settings = settings
        if self._task is not None:
            self._task.cancelled = True
        self.wake()

    def leave(self, log: PartitionLog) -> bool:
        """End a pass over this log, which is to be moved, if there is one; False while its last steps, which
        change the log, are still to be done."""
        if self._log is not log:
            return True
        if self._steps is not None:
            self._steps = None
            self._finish(CLEANED)
            return True
        if self._task is not None:
            self._task.cancelled = True
        return False

    def stop(self) -> None:
        """No more passes; the one under way ends soon, without effect."""
        self._stopped = True
        self.settings = CleanerSettings(enabled=False)
        self._steps = None
        if self._task is not None:
            self._task.cancelled = True

    # ---- the steps after a pass ------------------------------------------------------------------------

    def _cleaned(self, error: BaseException | None) -> None:
        task, self._task = self._task, None
        if error is not None or task is None or task.result is None:
            self._failed(error or RuntimeError("the pass gave no result"))
            return
        self._take(task.result)

    def _take(self, result: CleaningResult) -> None:
        log = self._log
        assert log is not None
        if not self.settings.enabled or not self._still_there(log, result):
            self._finish(CLEANED)
            return
        files = self._manager.environment.files
        directory = log.directory
        renames = [
            f"{directory}/{segment.base_offset:020d}{extension}"
            for segment in result.segments
            for extension in reversed(EXTENSIONS)
            if extension != ".txnindex" or segment.has_txn_index
        ]

        def to_swap() -> None:
            for path in renames:
                files.rename(path + CLEANED, path + SWAP)
            self._sync_directory(directory)

        self._call(to_swap, lambda error: self._swapped(result, error))

    def _sync_directory(self, path: str) -> None:
        try:
            self._manager.environment.files.sync_dir(path)
        except FileNotFoundError:
            # A deleted partition's directory was renamed.
            raise
        except OSError as error:
            raise DirectorySyncError(error.errno, error.strerror, path) from error

    def _still_there(self, log: PartitionLog, result: CleaningResult) -> bool:
        """Whether the log still has every segment that was cleaned (retention may have taken some, and a
        follower's log may have been cut and have others of that name)."""
        if log.deleted or log.offline or log.cut_count != self._cut_count:
            return False
        if self._manager.is_moving(log.topic, log.partition):
            return False
        present = {segment.base_offset for segment in log.segments[:-1]}
        return all(base in present for segment in result.segments for base in segment.sources)

    def _swapped(self, result: CleaningResult, error: BaseException | None) -> None:
        log = self._log
        assert log is not None
        if error is not None:
            # Those that were renamed must not be found by a start that knows newer segments.
            self._failed(error, remove=(CLEANED, SWAP))
            return
        if not self._still_there(log, result):
            self._finish(SWAP)
            return
        new: list[tuple[Segment, tuple[int, ...]]] = []
        for cleaned in result.segments:
            segment = Segment(
                log.environment,
                log.directory,
                cleaned.base_offset,
                index_max_bytes=log.config.segment_index_bytes,
                size=cleaned.size,
                sealed=True,
                created_ms=self._manager.environment.clock.wall_ms(),
            )
            segment.suffix = SWAP
            new.append((segment, cleaned.sources))
        try:
            log.replace_segments(new)
        except StorageError as failure:
            self._failed(failure)
            return
        self._sync_and_settle(result)

    def _sync_and_settle(self, result: CleaningResult) -> None:
        log = self._log
        assert log is not None
        self._call(
            lambda: self._sync_directory(log.directory),
            lambda error: self._in_place(result, error),
        )

    def _in_place(self, result: CleaningResult, error: BaseException | None) -> None:
        log, directory = self._log, self._directory
        assert log is not None
        assert directory is not None
        if error is None and not log.deleted:
            try:
                if log.settle_swapped_segment():
                    self._sync_and_settle(result)
                    return
            except StorageError as failure:
                error = failure
        if error is not None:
            number = getattr(error, "errno", None)
            if number in RETRIED and not isinstance(error, DirectorySyncError) and not log.deleted:
                self._manager.environment.report(f"{log.name}: the end of cleaning is put off: {error}")
                self._next_ms = self._manager.environment.clock.monotonic_ms() + self.settings.backoff_ms
                self._unfinished = result
            else:
                self._failed(error)
            return
        self._passes += 1
        self._bytes_read += result.bytes_read
        self._bytes_written += result.bytes_written
        self._recopy_ratio = result.bytes_written / result.bytes_read if result.bytes_read else 0.0
        self._map_ratio = result.map_ratio
        self._clean_time_ms = self._manager.environment.clock.monotonic_ms() - self._begun_ms
        self._windows.pop(log, None)
        if not log.deleted:
            if result.window_bytes:
                # So that the map becomes nearly full, whatever it was.
                self._windows[log] = int(result.window_bytes * min(0.9 / max(result.map_ratio, 0.1), 4))
            directory.clean_offsets[log.topic, log.partition] = result.end_offset
            directory.wanted_checkpoints[checkpoints.CLEANER] = None
        if result.keyless_count:
            self._manager.environment.report(
                f"{log.name}: compaction removed {result.keyless_count} records without a key"
            )
        self._finish()
        # Without waiting for the next tick: there may be many small logs.
        self.tick(self._manager.environment.clock.monotonic_ms())

    def _failed(self, error: BaseException, remove: tuple[str, ...] = (CLEANED,)) -> None:
        """A pass went wrong: tried again later if the disk was full, else the log is left alone."""
        log = self._log
        assert log is not None
        if log.deleted or isinstance(error, InterruptedError):
            self._finish(*remove)
            return
        self._failures += 1
        number = getattr(error, "errno", None)
        directory = self._directory
        if directory is not None and isinstance(error, DirectorySyncError):
            self._manager.sync_failed(directory, error)
        elif directory is not None and isinstance(error, OSError) and number not in RETRIED:
            self._manager.disk_error(directory, error)
        if number in RETRIED:
            self._manager.environment.report(f"{log.name}: cleaning is put off: {error}")
            self._next_ms = self._manager.environment.clock.monotonic_ms() + self.settings.backoff_ms
        else:
            self._uncleanable[log] = str(error)
            self._manager.environment.report(f"{log.name}: cannot be cleaned, until the next start: {error}")
        self._finish(*remove)

    def _finish(self, *remove: str) -> None:
        """The pass is over; files with the suffixes `remove` are of no use."""
        log, self._log = self._log, None
        self._directory = None
        if log is None or not remove or log.offline:
            return
        files = self._manager.environment.files
        try:
            for name in files.list_dir(log.directory):
                if name.endswith(remove):
                    files.remove(f"{log.directory}/{name}")
        except OSError as error:
            # The next pass or start removes them.
            self._manager.environment.report(f"{log.directory}: {remove} files are left behind: {error}")

    # ---- seen from outside -----------------------------------------------------------------------------

    @property
    def uncleanable(self) -> dict[str, str]:
        """Names of the logs that cannot be cleaned, with the reason."""
        return {log.name: reason for log, reason in self._uncleanable.items() if not log.deleted}

    def uncleanable_logs(self) -> list[PartitionLog]:
        """The logs that are left alone until the next start."""
        return [log for log in self._uncleanable if not log.deleted]

    def metrics(self) -> CleanerMetrics:
        return CleanerMetrics(
            passes=self._passes,
            failures=self._failures,
            dead=int(self._dead),
            max_dirty_ratio=self._max_dirty_ratio,
            max_compaction_delay_ms=self._max_delay_ms,
            recopy_ratio=self._recopy_ratio,
            map_ratio=self._map_ratio,
            clean_time_ms=self._clean_time_ms,
            idle_ms=self._manager.environment.clock.monotonic_ms() - self._looked_ms,
            bytes_read=self._bytes_read,
            bytes_written=self._bytes_written,
        )


def _last_committed(entry: ProducerEntry, high_watermark: int) -> int:
    """The last offset of the last batch of a producer that nothing takes back any more, by whose header it is
    known after a start; -1 if it has none, or only newer ones."""
    return max(
        (batch.last_offset for batch in entry.batches if batch.last_offset < high_watermark), default=-1
    )

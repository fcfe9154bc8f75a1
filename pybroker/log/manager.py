"""All logs of one broker: its log directories, their checkpoints, and the work that must not block the loop.

In: directories, topics coming and going, ticks, outcomes of flush rounds. Out: PartitionLogs, flush rounds.
What must hold:

- a directory is used by one process, and only for the cluster and node that its meta.properties names;
- `.kafka_cleanshutdown` exists only while nothing runs and every log of the directory was closed cleanly;
- a directory with a failed sync is offline until the next start; a full one refuses appends, keeps serving
  reads, and resumes by itself;
- no sync happens on the loop thread, except in `open`, `load` and `close`.

A flush round belongs to one directory. Urgent work (a group commit somebody waits for) has rounds of its own,
and what is only to be durable soon (new partitions, rolled segments, checkpoints, removals) has other, small
ones, so that neither a thousand new topics nor a gigabyte of a rolled segment delays the next commit. A
directory has at most one round of each kind under way, and a log is in at most one of them.
"""

from __future__ import annotations

import errno
import random
import re
from collections.abc import Callable, Iterator, Mapping
from contextlib import suppress
from typing import Final, NamedTuple

from pybroker.common.clock import Clock
from pybroker.common.errors import ConfigError, CorruptionError, ErrorCode, StorageError
from pybroker.common.files import FileSystem, make_dirs_durable, read_file, write_file, write_fully
from pybroker.common.steps import Steps, run_steps
from pybroker.log import checkpoints, meta_properties, recovery, retention
from pybroker.log.cleaner.cleaner import CleanerSettings, LogCleaner
from pybroker.log.config import LONG_MAX, LogConfig
from pybroker.log.environment import DISK_FULL, NO_DESCRIPTORS, LogEnvironment
from pybroker.log.meta_properties import MetaProperties
from pybroker.log.partition_log import (
    DISK_IS_FULL,
    OFFLINE,
    PartitionLog,
    SyncWork,
    decode_uuid,
    encode_uuid,
)

METADATA_TOPIC: Final = "__cluster_metadata"
LOCK_FILE: Final = ".lock"
BALLAST_FILE: Final = ".pybroker-ballast"
BALLAST_BYTES: Final = 4 * 1024 * 1024
_PARTITION_DIRECTORY: Final = re.compile(r"^(.+)-(\d+)$")
_REMOVABLE_DIRECTORY: Final = re.compile(r"^(.+)\.[0-9a-f]{32}-delete$")
_FUTURE_DIRECTORY: Final = re.compile(r"^(.+)-(\d+)\.[0-9a-f]{32}-future$")
# In the directory of a log that came from another one, until the log there is put aside: of two logs of
# a partition it is this one that goes on.
MOVED_HERE: Final = "pybroker-moved-here"
_NAME_MAX: Final = 255
# Logs for which a directory was named before they were there.
_PREFERRED_MAX: Final = 100_000
# Logs of one background round, and files of one round of removals: how long an urgent one may have to wait.
_BACKGROUND_LOGS: Final = 8
_REMOVALS: Final = 16
# After a round that could not remove all of its files.
_REMOVE_AGAIN_MS: Final = 5_000
_RESUME_INTERVAL_MS: Final = 1_000
# Of retention in one tick.
_RETENTION_SLICE_MS: Final = 50
_WORTH_A_SYNC: Final = 1024 * 1024
# Logs that are synced on the loop to free their descriptors when there is none left.
_SYNCED_AT_ONCE: Final = 8
_SPARE_BYTES: Final = 1024 * 1024
_BALLAST_CHUNK: Final = 256 * 1024
_BROKEN_DISK: Final = frozenset(
    {errno.EIO, errno.EROFS, errno.ENXIO, errno.ENODEV, getattr(errno, "EUCLEAN", errno.EIO)}
)
_NOT_THERE: Final = frozenset({errno.ENOENT, errno.ENOTDIR})


class LogSize(NamedTuple):
    """One replica in the report of a log directory."""

    topic: str
    partition: int
    size_bytes: int
    offset_lag: int
    is_future: bool


class LogDirReport(NamedTuple):
    """What DescribeLogDirs says of one directory; -1 where the volume tells nothing."""

    error: ErrorCode
    path: str
    total_bytes: int
    usable_bytes: int
    logs: list[LogSize]


class LogDirectory:
    """State of one log directory."""

    __slots__ = (
        "background",
        "background_under_way",
        "clean",
        "clean_offsets",
        "cut",
        "directory_id",
        "due_removals",
        "full",
        "listed",
        "locked",
        "logs",
        "maybe_listed",
        "metadata_only",
        "not_loaded",
        "notified",
        "offline",
        "parent_dirty",
        "path",
        "recovery_points",
        "removals",
        "retiring",
        "saved",
        "start_offsets",
        "urgent",
        "urgent_under_way",
        "wanted_checkpoints",
        "watermarks",
    )

    def __init__(self, path: str, *, metadata_only: bool = False) -> None:
        self.path = path
        # Named by metadata.log.dir and not by log.dirs: no partition but that of the metadata log is here.
        self.metadata_only = metadata_only
        self.directory_id = ""
        self.clean = False
        # It has logs that were not loaded yet: until then its checkpoints say more than what is known here.
        self.not_loaded = False
        self.offline = False
        self.full = False
        # The lock is ours.
        self.locked = False
        self.logs: dict[tuple[str, int], PartitionLog] = {}
        # Logs with work to do; dicts, because their order is the order of the rounds.
        self.urgent: dict[PartitionLog, None] = {}
        self.background: dict[PartitionLog, None] = {}
        # The shell was told that there is work and has not asked for it yet.
        self.notified = False
        # Rounds that were taken and not completed.
        self.urgent_under_way = False
        self.background_under_way = False
        self.parent_dirty = False
        # (wall time, path): to be removed then.
        self.removals: list[tuple[int, str]] = []
        self.due_removals: list[str] = []
        # Directories of logs that went on elsewhere, still under their own names.
        self.retiring: dict[str, tuple[str, int]] = {}
        # Names of the checkpoint files that the next background round writes; content last written.
        self.wanted_checkpoints: dict[str, None] = {}
        # Logs that wait for the checkpoint of their lower recovery points (`PartitionLog.cut_unsaved`).
        self.cut: dict[PartitionLog, None] = {}
        self.saved: dict[str, bytes] = {}
        # The logs that each of these files names on the disk. They know no topic ids, so a new log of a name
        # has to wait until an older one's offsets are gone.
        self.listed: dict[str, Mapping[tuple[str, int], int]] = {}
        # The logs that these files may name too: somebody began to write them.
        self.maybe_listed: dict[str, set[tuple[str, int]]] = {}
        # What the checkpoints said at the start.
        self.recovery_points: checkpoints.Offsets = {}
        self.start_offsets: checkpoints.Offsets = {}
        self.watermarks: checkpoints.Offsets = {}
        # How far each log is clean, kept up to date by the cleaner.
        self.clean_offsets: checkpoints.Offsets = {}

    @property
    def urgent_ready(self) -> bool:
        return bool(self.urgent) and not self.urgent_under_way

    @property
    def background_ready(self) -> bool:
        return not self.background_under_way and bool(
            self.background or self.due_removals or (self.wanted_checkpoints and not self.not_loaded)
        )

    def checkpoints_of(self, key: tuple[str, int]) -> list[str]:
        """The checkpoint files that name a log on the disk, or may do so."""
        return [
            name
            for name in checkpoints.ALL
            if key in self.listed.get(name, ()) or key in self.maybe_listed.get(name, ())
        ]


def directory_uuid(directory: LogDirectory) -> bytes:
    """The id of a directory as the metadata have it."""
    return decode_uuid(directory.directory_id) or bytes(16)


class FlushRound:
    """Blocking work of one directory, captured on the loop thread. An `Effect`."""

    __slots__ = (
        "_checkpoints",
        "_cuts",
        "_directory",
        "_logs",
        "_manager",
        "_postponed",
        "_removals",
        "_soft_error",
        "_sync_parent",
        "_urgent",
    )

    def __init__(
        self,
        manager: LogManager,
        directory: LogDirectory,
        logs: list[tuple[PartitionLog, SyncWork]],
        sync_parent: bool,
        checkpoint_files: list[tuple[str, bytes, Mapping[tuple[str, int], int]]],
        removals: list[str],
        cuts: list[tuple[PartitionLog, int]],
        *,
        urgent: bool,
    ) -> None:
        self._urgent = urgent
        # (log, its cut count): what the checkpoint of the recovery points settles.
        self._cuts = cuts
        self._manager = manager
        self._directory = directory
        self._logs = logs
        self._sync_parent = sync_parent
        self._checkpoints = checkpoint_files
        self._removals = removals
        self._postponed: set[int] = set()
        self._soft_error: OSError | None = None

    @property
    def queue(self) -> str:
        return self._directory.path if self._urgent else f"{self._directory.path} (background)"

    def run(self) -> None:
        """Runs off the loop thread. OSError: a sync failed, the directory must not be used again."""
        files = self._manager.environment.files
        for index, (log, work) in enumerate(self._logs):
            if not log.sync(work):
                self._postponed.add(index)
        if self._sync_parent:
            files.sync_dir(self._directory.path)
        try:
            for name, content, _ in self._checkpoints:
                write_file(files, f"{self._directory.path}/{name}", content)
            # A segment that is cleaned again within the delay has the same name as before.
            found = [path for path in dict.fromkeys(self._removals) if files.exists(path)]
            # Names in order: were the file gone and the renaming of one before it not on the disk yet, a
            # power loss would leave that one, a hole, and what is still there (`recovery`).
            for parent in dict.fromkeys(path.rpartition("/")[0] for path in found if not files.is_dir(path)):
                files.sync_dir(parent)
            for path in found:
                if files.is_dir(path):
                    files.remove_tree(path)
                else:
                    files.remove(path)
        except OSError as error:
            # These are done again by a later round; whether the disk is full or broken is decided there.
            self._soft_error = error

    def complete(self, error: BaseException | None) -> None:
        """Take the outcome, on the loop thread."""
        if error is None and self._soft_error is None:
            for name, _, keys in self._checkpoints:
                self._directory.listed[name] = keys
                self._directory.maybe_listed.pop(name, None)
            self._manager.cuts_saved(self._directory, self._cuts)
        elif error is None:
            self._manager.remove_again(self._directory, self._removals)
        self._manager.round_completed(
            self._directory, self._logs, self._postponed, error, self._soft_error, self._urgent
        )


class LogManager:
    """The logs of one broker. `open`, then `load`, then the rest; `close` at the end."""

    def __init__(
        self,
        files: FileSystem,
        log_dirs: list[str],
        clock: Clock,
        rng: random.Random,
        defaults: LogConfig | None = None,
        *,
        retention_check_interval_ms: int = 300_000,
        retention_initial_delay_ms: int = 30_000,
        checkpoint_interval_ms: int = 60_000,
        high_watermark_checkpoint_interval_ms: int = 5_000,
        producer_id_expiration_ms: int = 86_400_000,
        producer_id_expiration_check_interval_ms: int = 600_000,
        ballast_bytes: int = BALLAST_BYTES,
        max_open_read_files: int = 512,
        max_open_write_files: int = 4096,
        cleaner: CleanerSettings | None = None,
        metadata_directory: str | None = None,
        report: Callable[[str], None] | None = None,
    ) -> None:
        """`metadata_directory`: where a new metadata log goes, one of `log_dirs` or another (None: any)."""
        self.environment = LogEnvironment(
            files,
            clock,
            rng,
            max_files=max_open_read_files,
            max_write_files=max_open_write_files,
            producer_expiration_ms=producer_id_expiration_ms,
        )
        self.environment.release_files = self._release_files
        if report is not None:
            self.environment.report = report
        self.defaults = defaults or LogConfig()
        self.directories = [LogDirectory(path.rstrip("/") or "/") for path in log_dirs]
        self._metadata_directory = metadata_directory
        if metadata_directory is not None and metadata_directory not in [d.path for d in self.directories]:
            self.directories.append(LogDirectory(metadata_directory, metadata_only=True))
        self.cleaner = LogCleaner(self, cleaner or CleanerSettings())
        self.cluster_id = ""
        self.node_id = -1
        self.broker_epoch = -1
        # There is a flush round to take.
        self.on_work: Callable[[], None] | None = None
        # A directory failed: (path, whether it was the last one).
        self.on_directory_failed: Callable[[str, bool], None] | None = None
        # A log that could not be made for the moment (`get_or_create`) can be now.
        self.on_creatable: Callable[[], None] | None = None
        self._creation_waits = False
        self._by_partition: dict[tuple[str, int], tuple[PartitionLog, LogDirectory]] = {}
        # Logs that are to take over from those above; in `LogDirectory.logs` they are like any other.
        self._futures: dict[tuple[str, int], tuple[PartitionLog, LogDirectory]] = {}
        # Paths of the directories that get no new partitions, and where those not made yet are to go.
        self.cordoned: frozenset[str] = frozenset()
        self._preferred: dict[tuple[str, int], LogDirectory] = {}
        # Too many write descriptors: the logs of the next rounds give theirs back.
        self._release_under_way = False
        # Logs with flush.ms.
        self._timed: dict[PartitionLog, None] = {}
        self._ballast_bytes = ballast_bytes
        self._retention_interval_ms = retention_check_interval_ms
        self._checkpoint_interval_ms = checkpoint_interval_ms
        self._watermark_interval_ms = high_watermark_checkpoint_interval_ms
        self._expiration_interval_ms = producer_id_expiration_check_interval_ms
        now = clock.monotonic_ms()
        self._next_retention_ms = now + retention_initial_delay_ms
        # The rest of a round of retention.
        self._retention: Iterator[None] | None = None
        self._next_checkpoint_ms = now + checkpoint_interval_ms
        self._next_watermark_ms = now + high_watermark_checkpoint_interval_ms
        self._next_expiration_ms = now + producer_id_expiration_check_interval_ms
        self._next_resume_ms = now

    @property
    def log_directories(self) -> list[LogDirectory]:
        """Those of log.dirs, which clients and the other brokers know of."""
        return [directory for directory in self.directories if not directory.metadata_only]

    def metadata_directory(self) -> LogDirectory:
        """Where the metadata log is, or will be. StorageError when that is offline."""
        usable = [directory for directory in self.directories if not directory.offline]
        for directory in usable:
            if self.environment.files.exists(f"{directory.path}/{METADATA_TOPIC}-0"):
                return directory
        for directory in usable:
            if self._metadata_directory in (None, directory.path):
                return directory
        raise StorageError("the directory of the metadata log is offline")

    # ---- start ---------------------------------------------------------------------------------------

    def open(self, node_id: int, cluster_id: str | None = None) -> str:
        """Lock the directories, check or write their meta.properties, read their checkpoints.

        Returns the cluster id: the one on disk, else the one given, else a new one. ConfigError when a
        directory is in use or belongs to another cluster or node; StorageError when the disk refuses; then
        no directory is locked.
        """
        try:
            return self._open(node_id, cluster_id)
        except BaseException:
            self.close(clean=False)
            raise

    def _open(self, node_id: int, cluster_id: str | None) -> str:
        files = self.environment.files
        self.node_id = node_id
        known: list[MetaProperties | None] = []
        try:
            for directory in self.directories:
                path = f"{directory.path}/{meta_properties.FILE_NAME}"
                if not files.exists(path):
                    make_dirs_durable(files, directory.path)
                self._lock(directory)
                found = meta_properties.decode(read_file(files, path), path) if files.exists(path) else None
                if found is not None:
                    if found.node_id != node_id:
                        raise ConfigError(f"{path}: node.id is {found.node_id}, but {node_id} is configured")
                    if found.cluster_id and cluster_id and found.cluster_id != cluster_id:
                        raise ConfigError(f"{path}: cluster.id is {found.cluster_id}, expected {cluster_id}")
                    cluster_id = cluster_id or found.cluster_id
                known.append(found)
            self.cluster_id = cluster_id or encode_uuid(self.random_uuid())
            for directory, found in zip(self.directories, known, strict=True):
                directory.directory_id = (found.directory_id if found else None) or encode_uuid(
                    self.random_uuid()
                )
                wanted = MetaProperties(1, self.cluster_id, node_id, directory.directory_id)
                if found != wanted:
                    content = meta_properties.encode(wanted, self.environment.clock.wall_ms())
                    write_file(files, f"{directory.path}/{meta_properties.FILE_NAME}", content)
                self._read_marks(directory)
                self._take_ballast(directory)
        except OSError as error:
            raise StorageError(f"log directory cannot be opened: {error}", error.errno) from error
        return self.cluster_id

    def random_uuid(self) -> bytes:
        """A version 4 uuid from the generator given; its text form never starts with a dash."""
        while True:
            value = bytearray(self.environment.rng.randbytes(16))
            value[6] = value[6] & 0x0F | 0x40
            value[8] = value[8] & 0x3F | 0x80
            if not encode_uuid(bytes(value)).startswith("-"):
                return bytes(value)

    def _lock(self, directory: LogDirectory) -> None:
        try:
            self.environment.files.lock(f"{directory.path}/{LOCK_FILE}")
        except BlockingIOError as error:
            raise ConfigError(
                f"log directory {directory.path} is in use: another broker holds the lock on {LOCK_FILE}"
            ) from error
        directory.locked = True

    def _read_marks(self, directory: LogDirectory) -> None:
        """The clean-shutdown marker, which goes at once, and the checkpoints."""
        files = self.environment.files
        marker = f"{directory.path}/{checkpoints.CLEAN_SHUTDOWN}"
        if files.exists(marker):
            directory.clean = True
            self.broker_epoch = max(
                self.broker_epoch, checkpoints.decode_clean_shutdown(read_file(files, marker))
            )
            files.remove(marker)
        for name in files.list_dir(directory.path):
            match = _PARTITION_DIRECTORY.match(name)
            if match is not None and match[1] != METADATA_TOPIC:
                directory.not_loaded = True
                break
        # Also without one: a start may have removed it and been killed before it could sync; it must not come
        # back beside what this one changes.
        files.sync_dir(directory.path)
        report = self.environment.report
        for name in checkpoints.ALL:
            path = f"{directory.path}/{name}"
            if not files.exists(path):
                files.open(path, create=True).close()
        directory.recovery_points = checkpoints.read_or_drop(
            files, f"{directory.path}/{checkpoints.RECOVERY_POINT}", report
        )
        directory.start_offsets = checkpoints.read_or_drop(
            files, f"{directory.path}/{checkpoints.LOG_START}", report
        )
        directory.clean_offsets = checkpoints.read_or_drop(
            files, f"{directory.path}/{checkpoints.CLEANER}", report
        )
        directory.watermarks = checkpoints.read_or_drop(
            files, f"{directory.path}/{checkpoints.HIGH_WATERMARK}", report
        )
        directory.listed = {
            checkpoints.RECOVERY_POINT: directory.recovery_points,
            checkpoints.LOG_START: directory.start_offsets,
            checkpoints.CLEANER: dict(directory.clean_offsets),
            checkpoints.HIGH_WATERMARK: directory.watermarks,
        }

    def load(
        self,
        lookup: Callable[[str, int, bytes | None], LogConfig | None],
        assigned: Callable[[str, int], bytes | None] = lambda topic, partition: None,
    ) -> list[PartitionLog]:
        """All of `load_steps` at once."""
        return run_steps(self.load_steps(lookup, assigned))

    def load_steps(
        self,
        lookup: Callable[[str, int, bytes | None], LogConfig | None],
        assigned: Callable[[str, int], bytes | None],
    ) -> Steps[list[PartitionLog]]:
        """Load every partition directory. `lookup(topic, partition, topic id)` gives the configuration, or
        None for a replica that the metadata does not know, which is renamed `-stray` and left alone;
        `assigned(topic, partition)` the id of the directory where the metadata has it.

        Nothing may be asked of the logs, or of new ones, before the last step."""
        loaded: list[PartitionLog] = []
        for directory in self.log_directories:
            # A process that was killed may not have synced the names of its newest logs.
            directory.parent_dirty = directory.parent_dirty or not directory.clean
        superseded = self._superseded(assigned)
        for directory in self.log_directories:
            if directory.offline:
                continue
            try:
                for name in self.environment.files.list_dir(directory.path):
                    log = yield from self._load_name(directory, name, superseded, lookup)
                    if log is not None:
                        loaded.append(log)
                    yield
                    if directory.offline:
                        break
            except (OSError, StorageError, CorruptionError) as error:
                self.environment.report(f"{directory.path}: cannot be loaded: {error}")
                self._fail_directory(directory)
        yield from self._settle_futures(assigned)
        for directory in self.directories:
            directory.not_loaded = False
        return loaded

    def _superseded(self, assigned: Callable[[str, int], bytes | None]) -> dict[str, str]:
        """Of partitions with two logs, the directory that does not go on, and what becomes of it.

        That a move was interrupted is seen from the mark in the log that was to take over.
        """
        if len(self.log_directories) == 1:
            return {}
        files = self.environment.files
        places: dict[tuple[str, int], list[LogDirectory]] = {}
        for directory in self.log_directories:
            try:
                names = files.list_dir(directory.path)
            except OSError as error:
                self.environment.report(f"{directory.path}: cannot be loaded: {error}")
                self._fail_directory(directory)
                continue
            for name in names:
                match = _PARTITION_DIRECTORY.match(name)
                if match is not None and match[1] != METADATA_TOPIC:
                    places.setdefault((match[1], int(match[2])), []).append(directory)
        result: dict[str, str] = {}
        for (topic, partition), directories in places.items():
            if len(directories) > 1:
                name = f"{topic}-{partition}"
                marked = [d for d in directories if files.exists(f"{d.path}/{name}/{MOVED_HERE}")]
                stated = assigned(topic, partition)
                kept = (marked or [d for d in directories if directory_uuid(d) == stated] or directories)[0]
                for other in directories:
                    if other is not kept:
                        result[f"{other.path}/{name}"] = "delete" if marked else "stray"
        return result

    def _load_name(
        self,
        directory: LogDirectory,
        name: str,
        superseded: dict[str, str],
        lookup: Callable[[str, int, bytes | None], LogConfig | None],
    ) -> Steps[PartitionLog | None]:
        """One entry of a log directory; a log if it is one that goes on."""
        files = self.environment.files
        path = f"{directory.path}/{name}"
        if _REMOVABLE_DIRECTORY.match(name):
            self._remove_later(directory, path, self.defaults)
            return None
        future = _FUTURE_DIRECTORY.match(name)
        match = future or _PARTITION_DIRECTORY.match(name)
        if match is None or match[1] == METADATA_TOPIC or not files.is_dir(path):
            return None
        topic, partition = match[1], int(match[2])
        fate = superseded.get(path)
        if fate is not None or (future is not None and (topic, partition) in self._futures):
            self._put_aside(directory, path, topic, partition, fate or "delete")
            self.environment.report(f"{path}: another log of this partition goes on; put aside")
            return None
        topic_id = recovery.read_topic_id(self.environment, path)
        if future is not None and topic_id is None:
            # Stopped when it was made.
            self._put_aside(directory, path, topic, partition, "delete")
            return None
        config = lookup(topic, partition, topic_id)
        if config is None or topic_id is None:
            self._rename_aside(directory, path, topic, partition, "stray")
            self.environment.report(f"{path}: not in the metadata; renamed as a stray")
            return None
        if (topic, partition) in directory.logs:
            # A log and its future one: two names of one partition in one directory, which no move makes.
            self._put_aside(directory, path, topic, partition, "delete")
            return None
        log = yield from self._load_one(
            directory, path, topic, partition, topic_id, config, future=future is not None
        )
        return log if future is None else None

    def _put_aside(self, directory: LogDirectory, path: str, topic: str, partition: int, suffix: str) -> None:
        renamed = self._rename_aside(directory, path, topic, partition, suffix)
        if suffix == "delete":
            self._remove_later(directory, renamed, self.defaults)

    def _settle_futures(self, assigned: Callable[[str, int], bytes | None]) -> Steps[None]:
        """A future log whose log is gone takes over if the metadata say that the partition is there."""
        for key, (log, directory) in list(self._futures.items()):
            if key in self._by_partition:
                continue
            if directory_uuid(directory) == assigned(*key):
                try:
                    self.promote(*key)
                except StorageError as error:
                    self.environment.report(f"{log.directory}: {error}")
                continue
            self._take_away(self._futures, key, "stray")
            self.environment.report(f"{log.directory}: the log that it was copied from is gone; put aside")
        for log, directory in list(self._by_partition.values()):
            if not directory.offline:
                self.unmark(log)
                yield

    def _load_one(
        self,
        directory: LogDirectory,
        path: str,
        topic: str,
        partition: int,
        topic_id: bytes,
        config: LogConfig,
        *,
        future: bool = False,
        guarded: bool = False,
    ) -> Steps[PartitionLog]:
        key = (topic, partition)
        log = yield from recovery.load_log(
            self.environment,
            path,
            topic,
            partition,
            topic_id,
            config,
            clean=directory.clean,
            recovery_point=directory.recovery_points.get(key, 0),
            log_start=directory.start_offsets.get(key, 0),
            cleaned=key in directory.clean_offsets,
            gapless=topic == METADATA_TOPIC,
            guarded=guarded,
        )
        log.guarded = guarded
        watermark = directory.watermarks.get(key, log.log_start_offset)
        log.high_watermark = min(max(watermark, log.log_start_offset), log.log_end_offset)
        if future:
            # What a move takes over has to be durable, names included.
            log.note_directory_changed()
        self._adopt(directory, log, future=future)
        return log

    def _adopt(self, directory: LogDirectory, log: PartitionLog, *, future: bool = False) -> None:
        key = (log.topic, log.partition)
        directory.logs[key] = log
        (self._futures if future else self._by_partition)[key] = (log, directory)

        def work(log: PartitionLog, urgent: bool) -> None:
            if urgent:
                directory.urgent[log] = None
                under_way = directory.urgent_under_way
            else:
                directory.background[log] = None
                under_way = directory.background_under_way
            if not under_way and not directory.notified:
                self._notify(directory)

        log.on_work = work
        log.on_disk_error = lambda error: self.disk_error(directory, error)
        log.on_log_start = lambda: directory.wanted_checkpoints.update({checkpoints.LOG_START: None})
        log.on_cut = lambda: self._cut(directory, log)
        log.last_flush_ms = self.environment.clock.wall_ms()
        if directory.offline:
            log.blocked |= OFFLINE
        if directory.full and log.topic != METADATA_TOPIC:
            log.blocked |= DISK_IS_FULL
        if log.config.flush_ms != LONG_MAX:
            self._timed[log] = None
        if log.needs_names or log.unsynced_bytes >= _WORTH_A_SYNC:
            # After an unclean stop there may be thousands: what is read again in less time than a sync takes
            # waits for the next one that somebody needs.
            work(log, False)

    # ---- topics --------------------------------------------------------------------------------------

    def get(self, topic: str, partition: int) -> PartitionLog | None:
        entry = self._by_partition.get((topic, partition))
        return entry[0] if entry else None

    @property
    def logs(self) -> list[PartitionLog]:
        return [entry[0] for entry in self._by_partition.values()]

    def _all_logs(self) -> list[PartitionLog]:
        """Also those that are to take over."""
        return [entry[0] for logs in (self._by_partition, self._futures) for entry in logs.values()]

    def directory_of(self, topic: str, partition: int) -> LogDirectory | None:
        entry = self._by_partition.get((topic, partition))
        return entry[1] if entry else None

    def get_or_create(
        self,
        topic: str,
        partition: int,
        topic_id: bytes,
        config: LogConfig | None = None,
        *,
        guarded: bool = False,
    ) -> PartitionLog:
        """The log of a partition: the one in memory, or on disk, or a new one in the emptiest directory.

        `guarded` (the metadata log only): nobody else has these records, see `recovery.load_log`;
        CorruptionError. StorageError when it cannot be made; then nothing of it is left. Where an earlier log
        of that name is not forgotten yet, `on_creatable` tells when to try again.
        """
        entry = self._by_partition.get((topic, partition))
        if entry is not None:
            return entry[0]
        config = config or self.defaults
        files = self.environment.files
        name = f"{topic}-{partition}"
        if topic == METADATA_TOPIC:
            # The only one that is asked for before `load`; the others were found by it.
            usable = [self.metadata_directory()]
            path = f"{usable[0].path}/{name}"
            if files.exists(path):
                return run_steps(
                    self._load_one(usable[0], path, topic, partition, topic_id, config, guarded=guarded)
                )
        else:
            usable = self._usable_for(topic, partition)
        directory = min(usable, key=lambda candidate: len(candidate.logs)) if len(usable) > 1 else usable[0]
        if directory.full and topic != METADATA_TOPIC:
            raise StorageError(f"{directory.path}: no space left for {name}", errno.ENOSPC)
        log = self._make(directory, name, topic, partition, topic_id, config)
        log.guarded = guarded
        self._adopt(directory, log)
        self._preferred.pop((topic, partition), None)
        return log

    def _usable_for(self, topic: str, partition: int) -> list[LogDirectory]:
        """Where a new log may be made. StorageError: nowhere."""
        usable = [directory for directory in self.log_directories if not directory.offline]
        if not usable:
            raise StorageError("all log directories are offline")
        preferred = self._preferred.get((topic, partition))
        if preferred in usable:
            return [preferred]
        # All the same where none has space: the caller says so.
        usable = [directory for directory in usable if not directory.full] or usable
        open_ones = [directory for directory in usable if directory.path not in self.cordoned]
        # The controller places nothing on a broker with cordoned directories only; what it did before, or by
        # hand, has to be somewhere.
        return open_ones or usable

    def _make(
        self,
        directory: LogDirectory,
        name: str,
        topic: str,
        partition: int,
        topic_id: bytes,
        config: LogConfig,
        start_offset: int = 0,
    ) -> PartitionLog:
        """A new log in the directory `name`. StorageError when it cannot be made, or not yet."""
        files = self.environment.files
        path = f"{directory.path}/{name}"
        key = topic, partition
        if topic != METADATA_TOPIC and (key in directory.retiring.values() or directory.checkpoints_of(key)):
            self._creation_waits = True
            self._want_checkpoints(*checkpoints.ALL)
            self._background_wanted(directory)
            raise StorageError(
                f"{path}: waits until the checkpoints do not name an earlier {topic}-{partition} any more",
                errno.EAGAIN,
            )
        log = PartitionLog(self.environment, path, topic, partition, topic_id, config)
        try:
            if topic != METADATA_TOPIC and files.exists(path):
                # Of an earlier one that could not be put aside when it was deleted.
                aside = self._rename_aside(directory, path, topic, partition, "delete")
                self._remove_later(directory, aside, config)
            log.create(start_offset)
        except OSError as error:
            log.close()
            with suppress(OSError):
                # What is left of it is put aside by the next try.
                files.remove_tree(path)
            self.disk_error(directory, error)
            raise StorageError(f"{path}: cannot be created: {error}", error.errno) from error
        directory.parent_dirty = True
        return log

    # ---- moves between directories -------------------------------------------------------------------

    def directory_at(self, path: str) -> LogDirectory | None:
        """The directory of log.dirs with exactly this path."""
        return next((directory for directory in self.log_directories if directory.path == path), None)

    def prefer(self, topic: str, partition: int, directory: LogDirectory) -> None:
        """Where a log that is not here yet is to be made."""
        if len(self._preferred) >= _PREFERRED_MAX:
            del self._preferred[next(iter(self._preferred))]
        self._preferred[topic, partition] = directory

    def future(self, topic: str, partition: int) -> PartitionLog | None:
        """The log that is to take over from the one of a partition."""
        entry = self._futures.get((topic, partition))
        return entry[0] if entry else None

    def future_directory_of(self, topic: str, partition: int) -> LogDirectory | None:
        entry = self._futures.get((topic, partition))
        return entry[1] if entry else None

    def is_moving(self, topic: str, partition: int) -> bool:
        """Whether there are two logs of a partition: then neither is cleaned, nor shortened by retention."""
        return (topic, partition) in self._futures

    def make_future(self, log: PartitionLog, directory: LogDirectory) -> PartitionLog:
        """An empty log in another directory that is to take over. StorageError; EAGAIN: not yet."""
        if directory.full:
            raise StorageError(f"{directory.path}: no space left for {log.name}", errno.ENOSPC)
        name = f"{log.name}.{self.random_uuid().hex()}-future"
        future = self._make(
            directory, name, log.topic, log.partition, log.topic_id, log.config, log.log_start_offset
        )
        self._adopt(directory, future, future=True)
        return future

    def drop_future(self, topic: str, partition: int) -> None:
        """No move any more: the future log goes as a deleted one."""
        self._take_away(self._futures, (topic, partition), "delete")

    def has_saved_start(self, log: PartitionLog, directory: LogDirectory) -> bool:
        """Whether a start would find a log's first offset; if not it is seen to."""
        start_offset = log.log_start_offset
        if start_offset <= log.segments[0].base_offset:
            return True
        known = directory.listed[checkpoints.LOG_START].get((log.topic, log.partition))
        if known == start_offset:
            return True
        directory.wanted_checkpoints[checkpoints.LOG_START] = None
        self._background_wanted(directory)
        return False

    def mark(self, log: PartitionLog) -> None:
        """Say in a future log's directory that it is to go on; durable with its next flush. OSError."""
        self.environment.files.open(f"{log.directory}/{MOVED_HERE}", create=True).close()
        log.note_directory_changed()

    def unmark(self, log: PartitionLog) -> None:
        """There is one log only again."""
        try:
            if self.environment.files.exists(f"{log.directory}/{MOVED_HERE}"):
                self.environment.files.remove(f"{log.directory}/{MOVED_HERE}")
        except OSError as error:
            self.environment.report(f"{log.directory}/{MOVED_HERE}: cannot be removed: {error}")

    def promote(self, topic: str, partition: int) -> tuple[PartitionLog, Callable[[], None] | None]:
        """A future log takes over: it has the name of the log from now on. StorageError.

        The directory of the earlier log keeps its name too, until the new name is durable: then the function
        in the result is to be called, which puts it aside. No round may hold either log (`syncing`).
        """
        key = topic, partition
        future, directory = self._futures[key]
        path = f"{directory.path}/{topic}-{partition}"
        try:
            self.environment.files.rename(future.directory, path)
        except OSError as error:
            self.disk_error(directory, error)
            raise StorageError(f"{future.directory}: cannot be renamed: {error}", error.errno) from error
        future.moved(path)
        directory.parent_dirty = True
        del self._futures[key]
        entry = self._by_partition.pop(key, None)
        self._by_partition[key] = (future, directory)
        if entry is None:
            return future, None
        log, before = entry
        if key in before.clean_offsets:
            directory.clean_offsets[key] = before.clean_offsets[key]
            directory.wanted_checkpoints[checkpoints.CLEANER] = None
        self._forget(log, before, key)
        old_path = log.directory
        before.retiring[old_path] = key

        def retire() -> None:
            before.retiring.pop(old_path, None)
            if before.offline:
                return
            try:
                self._put_aside(before, old_path, topic, partition, "delete")
            except OSError as error:
                # The next start finds the mark of the log that goes on, and puts this one aside.
                self.environment.report(f"{old_path}: cannot be renamed for deletion: {error}")
                self.disk_error(before, error)
                return
            self._background_wanted(before)

        return future, retire

    def _forget(self, log: PartitionLog, directory: LogDirectory, key: tuple[str, int]) -> None:
        """A log is not served any more."""
        del directory.logs[key]
        directory.urgent.pop(log, None)
        directory.background.pop(log, None)
        directory.cut.pop(log, None)
        self._timed.pop(log, None)
        directory.clean_offsets.pop(key, None)
        for name in directory.checkpoints_of(key):
            directory.wanted_checkpoints[name] = None
        log.on_work = None
        log.mark_deleted()

    # ---- changes of logs -----------------------------------------------------------------------------

    def update_config(self, log: PartitionLog, config: LogConfig) -> None:
        """New configuration for one log."""
        log.config = config
        future = self.future(log.topic, log.partition)
        if future is not None:
            future.config = config
        self.cleaner.wake()
        if config.flush_ms != LONG_MAX:
            self._timed[log] = None
        else:
            self._timed.pop(log, None)

    def delete(self, topic: str, partition: int) -> None:
        """Take a partition away: renamed `-delete` now, removed after file.delete.delay.ms."""
        self._preferred.pop((topic, partition), None)
        self._take_away(self._futures, (topic, partition), "delete")
        self._take_away(self._by_partition, (topic, partition), "delete")

    def _take_away(
        self,
        logs: dict[tuple[str, int], tuple[PartitionLog, LogDirectory]],
        key: tuple[str, int],
        suffix: str,
    ) -> None:
        entry = logs.pop(key, None)
        if entry is None:
            return
        log, directory = entry
        self._forget(log, directory, key)
        if directory.offline:
            return
        try:
            renamed = self._rename_aside(directory, log.directory, *key, suffix)
        except OSError as error:
            # The next start finds a directory that the metadata does not know and puts it aside.
            self.environment.report(f"{log.directory}: cannot be renamed for deletion: {error}")
            self.disk_error(directory, error)
            return
        log.moved(renamed)
        self._background_wanted(directory)
        if suffix == "delete":
            self._remove_later(directory, renamed, log.config)

    def _remove_later(self, directory: LogDirectory, path: str, config: LogConfig) -> None:
        due = self.environment.clock.wall_ms() + config.file_delete_delay_ms
        directory.removals.append((due, path))

    def delete_topic(self, topic: str) -> None:
        """Take all partitions of a topic away."""
        for name, partition in [key for key in self._by_partition if key[0] == topic]:
            self.delete(name, partition)

    def _rename_aside(
        self, directory: LogDirectory, path: str, topic: str, partition: int, suffix: str
    ) -> str:
        """Rename to `<topic>-<partition>.<uuid>-<suffix>`, the topic cut where the name would be too long."""
        tail = f"-{partition}.{self.random_uuid().hex()}-{suffix}"
        target = f"{directory.path}/{topic[: _NAME_MAX - len(tail)]}{tail}"
        self.environment.files.rename(path, target)
        directory.parent_dirty = True
        return target

    def log_dirs_report(self) -> list[LogDirReport]:
        """State and sizes of all log directories. The metadata log is not a replica and not listed."""
        reports = []
        for directory in self.log_directories:
            total, usable = -1, -1
            error = ErrorCode.KAFKA_STORAGE_ERROR if directory.offline else ErrorCode.NONE
            if not directory.offline:
                try:
                    total, usable = self.environment.files.free_bytes(directory.path)
                except OSError:
                    error = ErrorCode.KAFKA_STORAGE_ERROR
            logs = (
                []
                if error
                else [
                    LogSize(topic, partition, log.size, *self._lag(log))
                    for (topic, partition), log in directory.logs.items()
                    if topic != METADATA_TOPIC
                ]
            )
            reports.append(LogDirReport(error, directory.path, total, usable, logs))
        return reports

    def _lag(self, log: PartitionLog) -> tuple[int, bool]:
        """(offset lag, whether it is a future log), as DescribeLogDirs has them."""
        key = log.topic, log.partition
        if self.future(*key) is not log:
            return max(log.high_watermark - log.log_end_offset, 0), False
        current = self.get(*key)
        return (
            -1 if current is None or current.offline else current.log_end_offset - log.log_end_offset
        ), True

    # ---- time ----------------------------------------------------------------------------------------

    @property
    def is_loaded(self) -> bool:
        """Whether all logs are there: which of them are being moved, and compacted so far, is known then."""
        return not any(directory.not_loaded for directory in self.directories)

    def tick(self, now_ms: float) -> None:
        """Do what is due at `now_ms` (monotonic), but for the cleaner's part. Cheap when nothing is; call it
        about once a second."""
        wall_ms = self.environment.clock.wall_ms()
        for log in self._timed:
            if log.unflushed_count and wall_ms - log.last_flush_ms >= log.config.flush_ms:
                log.request_flush()
        if now_ms >= self._next_retention_ms and self.is_loaded:
            self._next_retention_ms = now_ms + self._retention_interval_ms
            self._retention = self._apply_retention()
        if self._retention is not None:
            self._go_on_with_retention(self._retention)
        if now_ms >= self._next_watermark_ms:
            self._next_watermark_ms = now_ms + self._watermark_interval_ms
            self._want_checkpoints(checkpoints.HIGH_WATERMARK)
        if now_ms >= self._next_checkpoint_ms:
            self._next_checkpoint_ms = now_ms + self._checkpoint_interval_ms
            self._want_checkpoints(checkpoints.RECOVERY_POINT, checkpoints.LOG_START)
        if now_ms >= self._next_expiration_ms:
            self._next_expiration_ms = now_ms + self._expiration_interval_ms
            for log in self._all_logs():
                log.producers.expire(wall_ms)
        for directory in self.directories:
            self._tick_directory(directory, now_ms, wall_ms)
        if now_ms >= self._next_resume_ms:
            self._next_resume_ms = now_ms + _RESUME_INTERVAL_MS
            self._release_under_way = False
            if self.environment.write_file_count > self.environment.max_write_files:
                self._release_files(False)

    def _tick_directory(self, directory: LogDirectory, now_ms: float, wall_ms: int) -> None:
        if directory.offline:
            return
        for log in directory.logs.values():
            if log.has_deleted_files:
                directory.due_removals += log.take_deleted_files(wall_ms)
        if directory.removals and any(due <= wall_ms for due, _ in directory.removals):
            directory.due_removals += [path for due, path in directory.removals if due <= wall_ms]
            directory.removals = [entry for entry in directory.removals if entry[0] > wall_ms]
        if directory.full and now_ms >= self._next_resume_ms:
            self._maybe_resume(directory)
        if directory.urgent_ready or directory.background_ready:
            # Also brings back what was postponed.
            self._notify(directory)

    def apply_retention(self) -> None:
        """Remove the segments whose time, size or log start says so, in all logs."""
        for _ in self._apply_retention():
            pass

    def _go_on_with_retention(self, steps: Iterator[None]) -> None:
        """After days without this broker thousands of logs have something to lose at once."""
        now_ms = self.environment.clock.monotonic_ms
        end_ms = now_ms() + _RETENTION_SLICE_MS
        for _ in steps:
            if now_ms() >= end_ms:
                return
        self._retention = None

    def _apply_retention(self) -> Iterator[None]:
        wall_ms = self.environment.clock.wall_ms()
        for directory in self.directories:
            for key, log in list(directory.logs.items()):
                if key[0] == METADATA_TOPIC or log.offline or log.deleted or key in self._futures:
                    continue
                yield
                try:
                    retention.apply(log, wall_ms)
                except (StorageError, CorruptionError, OSError) as error:
                    self.environment.report(f"{log.name}: retention failed: {error}")

    def set_producer_expiration(self, expiration_ms: int) -> None:
        """`producer.id.expiration.ms` changed."""
        self.environment.producer_expiration_ms = expiration_ms
        for log in self._all_logs():
            log.producers.set_expiration(expiration_ms)

    def _release_files(self, now: bool) -> None:
        """Give back write descriptors, a quarter of them: those of synced logs first. With `now` the others
        are synced here, on the loop, because an append could not go on; else they get a flush round, which
        closes them."""
        if self._release_under_way and not now:
            return
        wanted = max(self.environment.write_file_count // 4, 1)
        dirty: list[PartitionLog] = []
        for log in self._all_logs():
            if log.active.file is None:
                continue
            if log.close_idle_file():
                wanted -= 1
                if not wanted:
                    return
            else:
                dirty.append(log)
        dirty.sort(key=lambda log: log.last_flush_ms)
        if not now:
            for log in dirty[:wanted]:
                if log.on_work is not None:
                    log.on_work(log, False)
                    self._release_under_way = True
            return
        # Each sync may take milliseconds: enough for the reserve, not for comfort.
        wanted = min(wanted, _SYNCED_AT_ONCE)
        for log in dirty:
            directory = next(d for d in self.directories if d.logs.get((log.topic, log.partition)) is log)
            try:
                wanted -= log.close_idle_file(sync=True)
            except OSError as error:
                self.sync_failed(directory, error)
            if wanted <= 0:
                return

    # ---- checkpoints ---------------------------------------------------------------------------------

    def _want_checkpoints(self, *names: str) -> None:
        for directory in self.directories:
            for name in names:
                if directory.not_loaded or directory.offline:
                    continue
                if self._checkpoint_content(directory, name) is not None:
                    directory.wanted_checkpoints[name] = None

    def _checkpoint_content(
        self, directory: LogDirectory, name: str
    ) -> tuple[bytes, Mapping[tuple[str, int], int]] | None:
        """What a checkpoint file should hold, and the logs it names; None when it holds that already."""
        logs = directory.logs.items()
        offsets: checkpoints.Offsets
        if name == checkpoints.RECOVERY_POINT:
            offsets = {
                key: log.recovery_point for key, log in logs if key[0] != METADATA_TOPIC or log.guarded
            }
        elif name == checkpoints.LOG_START:
            offsets = {
                key: log.log_start_offset
                for key, log in logs
                if log.log_start_offset > log.segments[0].base_offset and key[0] != METADATA_TOPIC
            }
        elif name == checkpoints.CLEANER:
            offsets = {
                key: offset for key, offset in directory.clean_offsets.items() if key in directory.logs
            }
        else:
            offsets = {key: log.high_watermark for key, log in logs if key[0] != METADATA_TOPIC}
        content = checkpoints.encode(offsets)
        return None if directory.saved.get(name) == content else (content, offsets)

    def _cut(self, directory: LogDirectory, log: PartitionLog) -> None:
        """A log ends below its recovery point on the disk, which has to be lowered before it grows again."""
        directory.cut[log] = None
        directory.wanted_checkpoints[checkpoints.RECOVERY_POINT] = None
        self._background_wanted(directory)

    def cuts_saved(self, directory: LogDirectory, cuts: list[tuple[PartitionLog, int]]) -> None:
        """The checkpoint of the recovery points has those of these logs, as of their cut counts."""
        for log, count in cuts:
            if log.cut_count == count and log in directory.cut:
                del directory.cut[log]
                log.cut_unsaved = False
                if log.on_flush is not None:
                    log.on_flush(log.recovery_point)

    # ---- flush rounds --------------------------------------------------------------------------------

    def _notify(self, directory: LogDirectory) -> None:
        directory.notified = True
        if self.on_work is not None:
            self.on_work()

    def _background_wanted(self, directory: LogDirectory) -> None:
        """Have somebody come for a background round, if there is one to be taken."""
        if directory.background_ready and not directory.notified:
            self._notify(directory)

    def take_flush_round(self) -> FlushRound | None:
        """The next piece of blocking work, None when there is none that could start now.

        Call it until it gives None whenever `on_work` was called; run each round (rounds of different
        directories may run side by side), then `complete` it on the loop thread.
        """
        for directory in self.directories:
            directory.notified = False
            if directory.offline:
                continue
            if directory.urgent_ready:
                found = self._make_urgent_round(directory)
                if found is not None:
                    return found
            if directory.background_ready:
                found = self._make_background_round(directory)
                if found is not None:
                    return found
        return None

    def _make_urgent_round(self, directory: LogDirectory) -> FlushRound | None:
        """All logs that somebody waits for; data only, as the indexes can wait."""
        logs = self._take_logs(directory, directory.urgent, len(directory.urgent), urgent=True)
        if not logs:
            return None
        # The parent only where a new log's entry is part of what was promised.
        sync_parent = directory.parent_dirty and any(work.sync_directory for _, work in logs)
        if sync_parent:
            directory.parent_dirty = False
        directory.urgent_under_way = True
        return FlushRound(self, directory, logs, sync_parent, [], [], [], urgent=True)

    def _make_background_round(self, directory: LogDirectory) -> FlushRound | None:
        logs = self._take_logs(directory, directory.background, _BACKGROUND_LOGS, urgent=False)
        files: list[tuple[str, bytes, Mapping[tuple[str, int], int]]] = []
        cuts: list[tuple[PartitionLog, int]] = []
        # What is not loaded yet would be forgotten.
        wanted = {} if directory.not_loaded else directory.wanted_checkpoints
        for name in wanted:
            found = self._checkpoint_content(directory, name)
            if name == checkpoints.RECOVERY_POINT:
                cuts = [(log, log.cut_count) for log in directory.cut]
                if found is None:
                    self.cuts_saved(directory, cuts)
            if found is not None:
                files.append((name, *found))
                directory.saved[name] = found[0]
                directory.maybe_listed.setdefault(name, set()).update(found[1])
        if wanted:
            directory.wanted_checkpoints = {}
        removals = directory.due_removals[:_REMOVALS]
        del directory.due_removals[:_REMOVALS]
        if not (logs or files or removals):
            return None
        sync_parent = directory.parent_dirty
        directory.parent_dirty = False
        directory.background_under_way = True
        return FlushRound(self, directory, logs, sync_parent, files, removals, cuts, urgent=False)

    def _take_logs(
        self, directory: LogDirectory, queue: dict[PartitionLog, None], limit: int, *, urgent: bool
    ) -> list[tuple[PartitionLog, SyncWork]]:
        """At most `limit` logs of a queue with what is to be synced now."""
        logs: list[tuple[PartitionLog, SyncWork]] = []
        failed: list[PartitionLog] = []
        for log in list(queue):
            if len(logs) == limit:
                break
            if log.syncing:
                # In a round of the other kind: its completion brings it back.
                continue
            del queue[log]
            if log.offline or not (urgent or log.needs_sync):
                continue
            try:
                logs.append((log, log.take_sync_work(indexes=not urgent)))
            except OSError as error:
                self.disk_error(directory, error)
                failed.append(log)
        for log in failed:
            # Nobody is notified: the next tick tries again.
            queue[log] = None
        return logs

    def remove_again(self, directory: LogDirectory, paths: list[str]) -> None:
        """Some of these could not be removed: try a little later (called by FlushRound only)."""
        due = self.environment.clock.wall_ms() + _REMOVE_AGAIN_MS
        directory.removals += [(due, path) for path in paths]

    def round_completed(
        self,
        directory: LogDirectory,
        logs: list[tuple[PartitionLog, SyncWork]],
        postponed: set[int],
        error: BaseException | None,
        soft_error: OSError | None,
        urgent: bool,
    ) -> None:
        """The outcome of a round (called by FlushRound only)."""
        if urgent:
            directory.urgent_under_way = False
        else:
            directory.background_under_way = False
        if error is not None:
            descriptors = isinstance(error, OSError) and error.errno in NO_DESCRIPTORS
            if not descriptors:
                self.environment.report(
                    f"{directory.path}: sync failed, the directory is offline now: {error}"
                )
                self._fail_directory(directory)
            for log, work in logs:
                log.sync_postponed(work)
                if descriptors and not log.deleted:
                    directory.urgent[log] = None
            return
        self._release_under_way = self.environment.write_file_count > self.environment.max_write_files
        if soft_error is not None:
            directory.saved.clear()
            self.disk_error(directory, soft_error)
        for index, (log, work) in enumerate(logs):
            if index in postponed:
                log.sync_postponed(work)
                if not log.deleted:
                    directory.urgent[log] = None
                continue
            log.synced(work)
            if self._release_under_way:
                log.close_idle_file()
            if not log.deleted and log.recovery_point < work.end_offset:
                # Its indexes are still to be written.
                directory.background[log] = None
        if self._creation_waits and not urgent and soft_error is None:
            self._creation_waits = False
            if self.on_creatable is not None:
                self.on_creatable()
        if (
            not postponed
            and not directory.notified
            and (directory.urgent_ready or directory.background_ready)
        ):
            self._notify(directory)

    # ---- faults --------------------------------------------------------------------------------------

    def disk_error(self, directory: LogDirectory, error: OSError) -> None:
        """The system refused something: a full disk, a broken one, or nothing that concerns the directory."""
        if error.errno in DISK_FULL:
            self._disk_full(directory)
        elif error.errno in _BROKEN_DISK or (error.errno in _NOT_THERE and self._is_gone(directory)):
            self.environment.report(f"{directory.path}: {error}; the directory is offline now")
            self._fail_directory(directory)

    def _is_gone(self, directory: LogDirectory) -> bool:
        """Whether it was the directory itself that is not there any more, or is none."""
        try:
            self.environment.files.list_dir(directory.path)
        except OSError:
            return True
        return False

    def sync_failed(self, directory: LogDirectory, error: OSError) -> None:
        """What was written may be lost, and no second try could tell: the directory is not used any more."""
        self.environment.report(f"{directory.path}: sync failed, the directory is offline now: {error}")
        self._fail_directory(directory)

    def _fail_directory(self, directory: LogDirectory) -> None:
        if directory.offline:
            return
        directory.offline = True
        for log in list(directory.logs.values()):
            log.blocked |= OFFLINE
            if log.on_offline is not None:
                log.on_offline()
        if self.on_directory_failed is not None:
            self.on_directory_failed(directory.path, all(other.offline for other in self.log_directories))

    @property
    def offline_directories(self) -> list[str]:
        return [directory.path for directory in self.directories if directory.offline]

    @property
    def full_directories(self) -> list[str]:
        return [directory.path for directory in self.directories if directory.full]

    def _disk_full(self, directory: LogDirectory) -> None:
        """Refuse appends, and give the ballast's space to the metadata log and the checkpoints."""
        if directory.full:
            return
        directory.full = True
        for (topic, _), log in directory.logs.items():
            if topic != METADATA_TOPIC:
                log.blocked |= DISK_IS_FULL
        try:
            path = f"{directory.path}/{BALLAST_FILE}"
            if self.environment.files.exists(path):
                self.environment.files.remove(path)
        except OSError as error:
            self.environment.report(f"{directory.path}: cannot release the ballast: {error}")
        self.environment.report(f"{directory.path}: no space left; appends are refused until there is")

    def _maybe_resume(self, directory: LogDirectory) -> None:
        try:
            usable = self.environment.files.free_bytes(directory.path)[1]
        except OSError:
            return
        if 0 <= usable < self._ballast_bytes + _SPARE_BYTES or not self._write_ballast(directory):
            return
        directory.full = False
        for log in directory.logs.values():
            log.blocked &= ~DISK_IS_FULL
        self.environment.report(f"{directory.path}: there is space again; appends are accepted")

    def _take_ballast(self, directory: LogDirectory) -> None:
        if self._ballast_bytes <= 0:
            return
        path = f"{directory.path}/{BALLAST_FILE}"
        files = self.environment.files
        usable = files.free_bytes(directory.path)[1]
        taken = files.exists(path) and files.file_size(path) == self._ballast_bytes
        needed = _SPARE_BYTES if taken else _SPARE_BYTES + self._ballast_bytes
        # Recovery and the first records of the new epoch need space too: never take the last of it.
        if 0 <= usable < needed or not (taken or self._write_ballast(directory)):
            self._disk_full(directory)

    def _write_ballast(self, directory: LogDirectory) -> bool:
        """Take the space that is given back when the disk is full. False when there is not enough."""
        if self._ballast_bytes <= 0:
            return True
        path = f"{directory.path}/{BALLAST_FILE}"
        files = self.environment.files
        try:
            file = files.open(path, create=True)
            try:
                for position in range(0, self._ballast_bytes, _BALLAST_CHUNK):
                    # Real bytes: a hole would reserve nothing.
                    write_fully(file, [bytes(min(_BALLAST_CHUNK, self._ballast_bytes - position))], position)
            finally:
                file.close()
        except OSError as error:
            if files.exists(path):
                files.remove(path)
            if error.errno in DISK_FULL or error.errno in NO_DESCRIPTORS:
                return False
            raise
        return True

    # ---- end -----------------------------------------------------------------------------------------

    def close(self, *, clean: bool = True, broker_epoch: int = -1) -> None:
        """Stop. With `clean` everything is synced, checkpointed and marked, so that the next start is quick.

        Blocks. Rounds under way must have been completed. Nothing is raised: a directory that refuses is
        left without its clean-shutdown marker, which makes the next start recover it.
        """
        files = self.environment.files
        self.cleaner.stop()
        for directory in self.directories:
            if clean and not directory.offline:
                try:
                    self._close_directory(directory, broker_epoch)
                except (OSError, StorageError) as error:
                    self.environment.report(f"{directory.path}: not closed cleanly: {error}")
            for log in directory.logs.values():
                log.close()
            if not directory.locked:
                continue
            directory.locked = False
            try:
                files.unlock(f"{directory.path}/{LOCK_FILE}")
            except OSError as error:
                self.environment.report(f"{directory.path}: cannot be unlocked: {error}")

    def _close_directory(self, directory: LogDirectory, broker_epoch: int) -> None:
        files = self.environment.files
        refused = False
        for log in directory.logs.values():
            try:
                log.close_clean()
            except StorageError as error:
                refused = True
                self.environment.report(f"{log.name}: not closed cleanly: {error}")
        for name in checkpoints.ALL:
            found = None if directory.not_loaded else self._checkpoint_content(directory, name)
            if found is not None:
                write_file(files, f"{directory.path}/{name}", found[0])
        # Stopped while it waited for the metadata, it leaves what it did not load as clean as it was.
        if not refused and (directory.clean or not directory.not_loaded):
            marker = f"{directory.path}/{checkpoints.CLEAN_SHUTDOWN}"
            write_file(files, marker, checkpoints.encode_clean_shutdown(broker_epoch))

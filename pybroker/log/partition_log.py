"""One replica's log: segments in a directory, appended at the end, cut at both ends.

In: batches (stamped here with offset and leader epoch), offsets, timestamps. Out: offsets and byte ranges.
What must hold:

- an offset is assigned, and epochs, indexes and producer state change, only after the write succeeded;
- a failed write leaves no byte behind, or `append` refuses until the tail is cut;
- below `log_end_offset` there are whole batches only, in segments without gaps;
- `recovery_point` moves only when everything below it was synced, indexes included.

Nothing here syncs except `flush`, which blocks: the loop thread uses the rounds of `LogManager` instead.
"""

from __future__ import annotations

import base64
import errno
import struct
from bisect import bisect_right
from collections.abc import Callable, Sequence
from contextlib import suppress
from typing import Final, NamedTuple

from pybroker.common.errors import CorruptionError, StorageError
from pybroker.common.files import Buffer, read_file, write_file, write_fully
from pybroker.log.config import LogConfig
from pybroker.log.environment import DISK_FULL, NO_DESCRIPTORS, LogEnvironment
from pybroker.log.leader_epochs import LeaderEpochs
from pybroker.log.producer_state import EMPTY_SNAPSHOT, ProducerBatch, ProducerState, last_sequence
from pybroker.log.segment import EXTENSIONS, Segment, file_prefix
from pybroker.log.txn_index import AbortedTransaction
from pybroker.records.batch import (
    CONTROL_BIT,
    HEADER_SIZE,
    LOG_OVERHEAD,
    TRANSACTIONAL_BIT,
    BatchHeader,
    crc_matches,
    max_timestamp_record,
    read_header,
    timestamp_lookup,
)
from pybroker.records.control import read_end_transaction

EPOCH_FILE: Final = "leader-epoch-checkpoint"
METADATA_FILE: Final = "partition.metadata"
DELETED: Final = ".deleted"
# A start tells them from segments that were removed at the log's begin.
TRUNCATED: Final = ".truncated.deleted"
_PREFIX: Final = struct.Struct(">qii")
_PREFIX_SIZE: Final = _PREFIX.size
MAX_RELATIVE_OFFSET: Final = (1 << 31) - 1
# How much of the log is read again to complete the windows of producers that came from a snapshot.
_WINDOW_SCAN_BYTES: Final = 8 * 1024 * 1024
# Bytes at the end of the log that are taken to be in the page cache.
_HOT_BYTES: Final = 16 * 1024 * 1024
# Bits of `blocked`: why an append may not go ahead.
OFFLINE: Final = 1
DISK_IS_FULL: Final = 2
TAIL_DIRTY: Final = 4


class ColdRead:
    """Blocking read of a byte range that is not in the page cache, to be run off the loop thread; then the
    same `read` is done again. It has its own descriptor, so it does not care what happens to the log."""

    __slots__ = ("_count", "_environment", "_path", "_position")

    def __init__(self, environment: LogEnvironment, path: str, count: int, position: int) -> None:
        self._environment = environment
        self._path = path
        self._count = count
        self._position = position

    def run(self) -> None:
        try:
            file = self._environment.files.open(self._path, read_only=True)
        except FileNotFoundError:
            # Removed by retention meanwhile: the second read will see that.
            return
        try:
            file.pread(self._count, self._position)
        finally:
            file.close()


class LogRead(NamedTuple):
    """What a read found: bytes that begin with a whole batch (or nothing), or a ColdRead to be done first."""

    records: bytes | memoryview
    segment_base_offset: int
    position: int
    cold: ColdRead | None


_NOTHING: Final = LogRead(b"", -1, -1, None)


class AppendInfo(NamedTuple):
    """Where `append_records` put its batches: [base_offset, end_offset)."""

    base_offset: int
    end_offset: int


class SyncWork(NamedTuple):
    """What one flush of a log has to sync; made on the loop thread, done on another, told to `synced`."""

    directory: str
    segments: tuple[tuple[Segment, int], ...]
    paths: tuple[str, ...]
    epochs: bytes | None
    sync_directory: bool
    end_offset: int
    flushed_size: int


class PartitionLog:
    """The log of one partition. Built by `recovery.load_log` or `create`."""

    __slots__ = (
        "_base_offsets",
        "_cut_while_syncing",
        "_deleted_files",
        "_directory_dirty",
        "_names_doubtful",
        "_parent_dirty",
        "_paths_dirty",
        "_unclosed",
        "_undiscarded",
        "blocked",
        "config",
        "cut_count",
        "cut_unsaved",
        "deleted",
        "directory",
        "environment",
        "epochs",
        "guarded",
        "high_watermark",
        "last_flush_ms",
        "log_end_offset",
        "log_start_offset",
        "on_cut",
        "on_disk_error",
        "on_flush",
        "on_log_start",
        "on_offline",
        "on_work",
        "partition",
        "producers",
        "recovery_point",
        "segments",
        "settled_end_offset",
        "syncing",
        "topic",
        "topic_id",
        "unflushed_count",
    )

    def __init__(
        self,
        environment: LogEnvironment,
        directory: str,
        topic: str,
        partition: int,
        topic_id: bytes,
        config: LogConfig,
    ) -> None:
        self.environment = environment
        self.directory = directory
        self.topic = topic
        self.partition = partition
        self.topic_id = topic_id
        self.config = config
        self.segments: list[Segment] = []
        self._base_offsets: list[int] = []
        self.epochs = LeaderEpochs()
        self.producers = ProducerState(environment.producer_expiration_ms)
        self.log_start_offset = 0
        self.log_end_offset = 0
        self.recovery_point = 0
        # Owned by replication.Partition; kept here because retention and truncation depend on it.
        self.high_watermark = 0
        # Records appended and not synced yet; when it was zero last.
        self.unflushed_count = 0
        self.last_flush_ms = 0
        # 0, or bits that say why appends are refused: see OFFLINE and the others.
        self.blocked = 0
        # The log end for which a clean close left everything on disk; -1 when there is something to do.
        self.settled_end_offset = -1
        self.deleted = False
        # A round that holds descriptors of this log is under way: they must not be closed.
        self.syncing = False
        # The log was cut since that round began: what it synced says nothing of what there is now.
        self._cut_while_syncing = False
        # How often the end was cut, and whether the recovery point on the disk may still be beyond the cut: a
        # start would take what was written there since for sound.
        self.cut_count = 0
        self.cut_unsaved = False
        # Nobody else has the records: the recovery point is kept for a start to see damage by (`recovery`).
        self.guarded = False
        self._directory_dirty = False
        # Paths to be synced, and the directory, with what is written next: no work of their own.
        self._names_doubtful: tuple[str, ...] | None = None
        # The directory was made here; rounds of the manager know that by themselves.
        self._parent_dirty = False
        self._paths_dirty: list[str] = []
        self._deleted_files: list[tuple[int, str]] = []
        # Files of removed segments, with their ends, that tell a start what a hole in the log is.
        # (log, urgent): there is something to sync. Set by the manager.
        self.on_work: Callable[[PartitionLog, bool], None] | None = None
        # Everything below this offset is durable now.
        self.on_flush: Callable[[int], None] | None = None
        # The system refused something; the manager decides what that means for the directory.
        self.on_disk_error: Callable[[OSError], None] | None = None
        # The directory failed, everything is refused from now on.
        self.on_offline: Callable[[], None] | None = None
        # The recovery point went back: its checkpoint is to be written soon. Set by the manager.
        self.on_cut: Callable[[], None] | None = None
        # The log start was raised by a request: its checkpoint is to be written soon. Set by the manager.
        self.on_log_start: Callable[[], None] | None = None
        self._unclosed: list[Segment] = []
        # Segments that are not in the log any more, and whether their snapshots stay: the disk refused to
        # rename their files. They are renamed later, and before their names can be those of other segments.
        self._undiscarded: list[tuple[Segment, bool]] = []

    @property
    def name(self) -> str:
        return f"{self.topic}-{self.partition}"

    @property
    def offline(self) -> bool:
        return self.blocked & OFFLINE != 0

    @property
    def active(self) -> Segment:
        return self.segments[-1]

    @property
    def size(self) -> int:
        """Bytes of all segments."""
        return sum(segment.size for segment in self.segments)

    @property
    def unsynced_bytes(self) -> int:
        """Of all segments, as far as is known."""
        return sum(segment.size - segment.synced_size for segment in self.segments)

    @property
    def last_stable_offset(self) -> int:
        """First offset of the oldest transaction that is not ended by a committed marker, or the high
        watermark."""
        return self.producers.last_stable_offset(self.high_watermark)

    # ---- creation ------------------------------------------------------------------------------------

    def create(self, start_offset: int = 0) -> None:
        """Make the directory and its files. OSError leaves it to the caller to remove the directory."""
        files = self.environment.files
        if not files.exists(self.directory):
            files.make_dirs(self.directory)
            self._parent_dirty = True
        if self.topic_id != bytes(16):
            self._write_small(METADATA_FILE, encode_partition_metadata(self.topic_id))
        self.log_start_offset = self.log_end_offset = self.recovery_point = self.high_watermark = start_offset
        segment = self._new_segment(start_offset)
        segment.open_for_write()
        segment.close_file()
        self._add_segment(segment)
        self._directory_dirty = True
        self.distrust_names()
        self.epochs.note_changed()

    def distrust_names(self) -> None:
        """The names in the directory, and what says whose they are, may not survive a power loss: they are
        synced with what is written next, and not before (a start has thousands of logs)."""
        known = self.topic_id != bytes(16)
        self._names_doubtful = (f"{self.directory}/{METADATA_FILE}",) if known else ()

    def _write_small(self, name: str, content: bytes) -> None:
        path = f"{self.directory}/{name}"
        file = self.environment.with_descriptors(lambda: self.environment.files.open(path, create=True))
        try:
            write_fully(file, [content], 0)
        finally:
            file.close()

    def _new_segment(self, base_offset: int) -> Segment:
        config = self.config
        jitter = config.segment_jitter_ms
        segment = Segment(
            self.environment,
            self.directory,
            base_offset,
            index_max_bytes=config.segment_index_bytes,
            created_ms=self.environment.clock.wall_ms(),
            roll_jitter_ms=self.environment.rng.randrange(jitter) if jitter > 0 else 0,
        )
        segment.new_indexes()
        return segment

    def _add_segment(self, segment: Segment) -> None:
        self.segments.append(segment)
        self._base_offsets.append(segment.base_offset)

    def take_segments(self, segments: list[Segment]) -> None:
        """Replace all segments (recovery)."""
        self.segments = segments
        self._base_offsets = [segment.base_offset for segment in segments]

    # ---- append --------------------------------------------------------------------------------------

    def append_batch(
        self,
        batch: bytearray | memoryview,
        total: int,
        last_offset_delta: int,
        max_timestamp: int,
        leader_epoch: int,
    ) -> int:
        """Append one validated batch from a producer; it is stamped in place. Returns its base offset.

        StorageError when the disk refuses; then nothing has changed. Producer state is the caller's to
        update, after this.
        """
        if self.blocked:
            self._make_ready()
        base_offset = self.log_end_offset
        last_offset = base_offset + last_offset_delta
        config = self.config
        segment = self.segments[-1]
        size = segment.size
        if size and (
            size + total > config.segment_bytes
            or segment.index_full
            or last_offset - segment.base_offset > MAX_RELATIVE_OFFSET
            or self._waited(segment, max_timestamp) > config.roll_ms - segment.roll_jitter_ms
        ):
            self.roll()
            segment = self.segments[-1]
        _PREFIX.pack_into(batch, 0, base_offset, total - LOG_OVERHEAD, leader_epoch)
        try:
            segment.append(
                (batch,), total, base_offset, last_offset, max_timestamp, config.index_interval_bytes
            )
        except OSError as error:
            raise self._write_failed(segment, error) from error
        if self.epochs.latest != leader_epoch:
            self.epochs.assign(leader_epoch, base_offset)
        self.log_end_offset = last_offset + 1
        self.unflushed_count += last_offset_delta + 1
        return base_offset

    def append_plain(
        self,
        segment: Segment,
        buffers: Sequence[Buffer],
        total: int,
        next_offset: int,
        largest: tuple[int, int],
        bytes_since_index: int,
        index_entries: list[tuple[int, int, int, int]],
    ) -> None:
        """Append stamped batches to the active segment, which has room for them, with one write.

        The caller did what `append_batch` and `Segment.note_batch` do for a batch: the new log end, largest
        timestamp and bytes since the last index entry, and the index entries (last offset, position, largest
        timestamp and its offset) that are due. StorageError: nothing has changed.
        """
        size = segment.size
        try:
            segment.write(buffers, total)
        except OSError as error:
            raise self._write_failed(segment, error) from error
        segment.remember(self.log_end_offset, size)
        segment.size = size + total
        segment.known_largest = largest
        segment.bytes_since_index = bytes_since_index
        if index_entries:
            segment.add_index_entries(index_entries)
        self.unflushed_count += next_offset - self.log_end_offset
        self.log_end_offset = next_offset

    def _waited(self, segment: Segment, max_timestamp: int) -> int:
        """How long the segment's first batch waits for this one, in milliseconds of their timestamps."""
        first = segment.first_timestamp
        if first is None:
            try:
                first = segment.first_batch_timestamp()
            except OSError as error:
                raise self._storage_error("read failed", error) from error
        if first >= 0:
            return max_timestamp - first
        return self.environment.clock.wall_ms() - segment.created_ms

    def _make_ready(self) -> None:
        """Remove what blocks appends, or say why they are refused."""
        blocked = self.blocked
        if blocked & OFFLINE:
            raise StorageError(f"{self.name}: its log directory is offline")
        if blocked & DISK_IS_FULL:
            raise StorageError(f"{self.name}: no space left in its log directory", errno.ENOSPC)
        if blocked & TAIL_DIRTY:
            try:
                self.active.cut_tail()
            except OSError as error:
                raise self._storage_error("cannot cut a partial append", error) from error
            self.blocked &= ~TAIL_DIRTY

    def _write_failed(self, segment: Segment, error: OSError) -> StorageError:
        """Cut the partial write before anybody is answered."""
        if segment.file is not None:
            try:
                segment.cut_tail()
            except OSError as second:
                self.blocked |= TAIL_DIRTY
                self.environment.report(f"{self.name}: cannot cut a partial append: {second}")
        return self._storage_error("append failed", error)

    def _storage_error(self, what: str, error: OSError) -> StorageError:
        if self.on_disk_error is not None:
            self.on_disk_error(error)
        return StorageError(f"{self.name}: {what}: {error}", error.errno)

    def append_records(
        self, records: Buffer, *, leader_epoch: int | None = None, assign_offsets: bool = False
    ) -> AppendInfo:
        """Append whole batches, which may be several, that somebody else made: a leader, a controller.

        With `assign_offsets` they get the next offsets, and `leader_epoch` if given; without, their offsets
        must not be below the log end (gaps are taken) and epochs and offsets stay. Checksums are checked.
        Nothing is appended if any batch is bad (CorruptionError). Producer state is updated.
        """
        if self.blocked:
            self._make_ready()
        batches: list[tuple[BatchHeader, memoryview]] = []
        view = memoryview(records)
        position = 0
        next_offset = self.log_end_offset
        while position < len(view):
            header = read_header(view, position)
            end = position + header.size
            if end > len(view) or not crc_matches(view, position):
                raise CorruptionError(f"{self.name}: batch at byte {position} of an append is cut or damaged")
            if header.last_offset_delta < 0:
                raise CorruptionError(f"{self.name}: batch has last offset delta {header.last_offset_delta}")
            if assign_offsets:
                header = header._replace(
                    base_offset=next_offset,
                    leader_epoch=header.leader_epoch if leader_epoch is None else leader_epoch,
                )
            elif header.base_offset < next_offset:
                raise CorruptionError(
                    f"{self.name}: batch has base offset {header.base_offset}, {next_offset} was expected"
                )
            batches.append((header, view[position:end]))
            next_offset = header.next_offset
            position = end
        start_offset = self.log_end_offset
        for index, (header, batch) in enumerate(batches):
            if index == 0:
                start_offset = header.base_offset
            self._append_stamped(header, batch)
        return AppendInfo(start_offset, self.log_end_offset)

    def _append_stamped(self, header: BatchHeader, batch: memoryview) -> None:
        segment = self.active
        config = self.config
        if segment.size and (
            segment.size + header.size > config.segment_bytes
            or segment.index_full
            or header.last_offset - segment.base_offset > MAX_RELATIVE_OFFSET
            or self._waited(segment, header.max_timestamp) > config.roll_ms - segment.roll_jitter_ms
        ):
            self.roll()
            segment = self.active
        prefix = _PREFIX.pack(header.base_offset, header.length, header.leader_epoch)
        try:
            segment.append(
                (prefix, batch[_PREFIX_SIZE:]),
                header.size,
                header.base_offset,
                header.last_offset,
                header.max_timestamp,
                config.index_interval_bytes,
            )
        except OSError as error:
            raise self._write_failed(segment, error) from error
        if header.leader_epoch > self.epochs.latest:
            self.epochs.assign(header.leader_epoch, header.base_offset)
        self.log_end_offset = header.next_offset
        self.unflushed_count += header.last_offset_delta + 1
        if header.producer_id >= 0:
            self._note_producer(segment, header, batch)

    def _note_producer(self, segment: Segment, header: BatchHeader, batch: Buffer | None) -> None:
        """Producer state of a batch that is in the log; `batch` None: read it if it is a marker."""
        if header.attributes & CONTROL_BIT:
            if not header.attributes & TRANSACTIONAL_BIT:
                return
            if batch is None:
                batch = segment.read_batch(segment.position_of(header.base_offset))
            marker = read_end_transaction(batch)
            if marker is None:
                return
            first_offset = self.producers.end_transaction(
                marker.producer_id,
                marker.producer_epoch,
                marker.coordinator_epoch,
                marker.timestamp,
                header.last_offset,
            )
            if self.producers.ended_is_full:
                self.producers.forget_ended(self.high_watermark)
            if not marker.commit and first_offset >= 0:
                entry = AbortedTransaction(
                    marker.producer_id, first_offset, header.last_offset, self.producers.first_open_offset
                )
                if entry.last_stable_offset < 0:
                    entry = entry._replace(last_stable_offset=header.next_offset)
                known = segment.txn_index.entries
                if not known or known[-1].last_offset < entry.last_offset:
                    self._note_aborted(segment, entry)
            return
        self.producers.update(
            header.producer_id,
            header.producer_epoch,
            header.base_sequence,
            header.base_offset,
            header.last_offset_delta,
            header.max_timestamp,
            header.is_transactional,
        )

    def _note_aborted(self, segment: Segment, entry: AbortedTransaction) -> None:
        """Into the segment's index; a disk that refuses gets it with the next flush."""
        if not segment.txn_index.entries:
            self._directory_dirty = True
        path = segment.path(".txnindex")
        if path not in self._paths_dirty:
            self._paths_dirty.append(path)
        try:
            segment.txn_index.append(entry)
        except OSError as error:
            self.environment.report(f"{path}: cannot be written yet: {error}")

    def complete_producer_windows(self) -> None:
        """Read the end of the log again for the batches that a snapshot does not name."""
        found: dict[int, list[tuple[int, ProducerBatch]]] = {}
        budget = _WINDOW_SCAN_BYTES
        parts: list[tuple[Segment, int]] = []
        for segment in reversed(self.segments):
            position = (
                segment.offset_index.before_position(segment.size - budget) if segment.size > budget else 0
            )
            parts.append((segment, position))
            budget -= segment.size - position
            if budget <= 0:
                break
        for segment, position in reversed(parts):
            for _, header in segment.scan(position):
                if header.producer_id >= 0 and not header.attributes & CONTROL_BIT:
                    found.setdefault(header.producer_id, []).append(
                        (
                            header.producer_epoch,
                            ProducerBatch(
                                header.base_sequence,
                                last_sequence(header.base_sequence, header.last_offset_delta),
                                header.base_offset,
                                header.last_offset,
                                header.max_timestamp,
                            ),
                        )
                    )
        self.producers.take_batches(found)

    def assign_epoch(self, leader_epoch: int) -> None:
        """A new leader epoch starts at the log end, before anything is appended in it."""
        if leader_epoch > self.epochs.latest:
            self.epochs.assign(leader_epoch, self.log_end_offset)
            if self.epochs.is_due(self.log_end_offset):
                self._want_work(False)

    # ---- roll ----------------------------------------------------------------------------------------

    def roll(self) -> None:
        """Close the active segment and start the next one at the log end. StorageError changes nothing."""
        old = self.active
        if old.size == 0:
            return
        segment = self._new_segment(self.log_end_offset)
        try:
            self._write_snapshot(self.log_end_offset)
            # Last: an empty segment that is not in the log would be its end for the next start.
            segment.open_for_write()
        except OSError as error:
            raise self._storage_error("roll failed", error) from error
        old.sealed = True
        old.index_dirty = True
        old.index_synced = False
        self._add_segment(segment)
        try:
            # At once, because the recovery point may have reached the end of this segment already, and then
            # nobody would rebuild them after a kill. They are synced with the next round.
            self._save_sealed(old)
        except OSError as error:
            self.environment.report(f"{old.path('.index')}: cannot be written yet: {error}")
        self._directory_dirty = True
        self._want_work(False)

    def _write_snapshot(self, offset: int) -> None:
        self._write_small(f"{file_prefix(offset)}.snapshot", self.producers.encode())
        self._paths_dirty.append(f"{self.directory}/{file_prefix(offset)}.snapshot")

    def write_snapshot(self) -> None:
        """Write the producer state as of the log end (recovery). Not synced: without it, or with a damaged
        one, the next recovery does the same as this one, and a clean end writes it again."""
        if self.producers.entries:
            self._write_small(f"{file_prefix(self.log_end_offset)}.snapshot", self.producers.encode())

    def note_directory_changed(self) -> None:
        """Files appeared or went: the directory is to be synced."""
        self._directory_dirty = True

    def _want_work(self, urgent: bool) -> None:
        if self.on_work is not None:
            self.on_work(self, urgent)

    # ---- flush ---------------------------------------------------------------------------------------

    def request_flush(self) -> None:
        """Ask for a flush in the next round; `on_flush` is called when it is done."""
        self._want_work(True)

    @property
    def needs_sync(self) -> bool:
        return self.recovery_point < self.log_end_offset or self.needs_names

    @property
    def needs_names(self) -> bool:
        """Whether names in the directory, small files or epochs are still to be synced."""
        return self._directory_dirty or self.epochs.is_due(self.log_end_offset) or bool(self._paths_dirty)

    def _save_sealed(self, segment: Segment) -> None:
        segment.save_indexes(trim=True)
        self._paths_dirty += [segment.path(".index"), segment.path(".timeindex")]

    def save_indexes(self) -> None:
        """Write the index files of rolled segments, and extend or update those of the active one."""
        for segment in self.segments:
            segment.save_txn_index()
            if segment.sealed:
                if segment.index_dirty:
                    self._save_sealed(segment)
                elif not segment.index_synced and segment.path(".index") not in self._paths_dirty:
                    # A round that synced them was not counted, as the log was cut meanwhile.
                    self._paths_dirty += [segment.path(".index"), segment.path(".timeindex")]
            elif segment.index_dirty or segment.pending_index_count:
                segment.save_indexes(trim=False)

    def take_sync_work(self, *, indexes: bool = True) -> SyncWork:
        """What to sync now. Without `indexes` only data, as a group commit wants it: then the recovery point
        stays behind rolled segments whose indexes are not written yet.

        OSError when an index file cannot be written; nothing is lost, ask again later.
        """
        if indexes:
            self.save_indexes()
        dirty = tuple(
            (segment, segment.size) for segment in self.segments if segment.synced_size < segment.size
        )
        for segment, _ in dirty:
            # Without a descriptor: found by recovery, and not written to since.
            segment.open_for_write()
        epochs = self.epochs.encode() if self.epochs.is_due(self.log_end_offset) else None
        if epochs is not None:
            self.epochs.note_saved()
        paths = (*self._paths_dirty, *(self._names_doubtful or ()))
        self._paths_dirty = []
        sync_directory = self._directory_dirty or self._names_doubtful is not None
        self._directory_dirty = False
        self._names_doubtful = None
        self.syncing = True
        return SyncWork(
            self.directory, dirty, paths, epochs, sync_directory, self.log_end_offset, self.unflushed_count
        )

    def sync(self, work: SyncWork) -> bool:
        """Do the work; False when it has to be done again later for want of space or descriptors.

        May run on another thread: it uses what was captured and files that only rounds touch. An OSError
        comes from a sync that failed, and must not be followed by another try.
        """
        files = self.environment.files
        for segment, _ in work.segments:
            file = segment.file
            if file is not None:
                file.sync()
        for path in work.paths:
            try:
                file = files.open(path)
            except FileNotFoundError:
                continue
            except OSError as error:
                if error.errno in NO_DESCRIPTORS:
                    return False
                raise
            try:
                file.sync()
            finally:
                file.close()
        try:
            # A deleted partition's directory was renamed; one of its name may already be another's.
            if work.epochs is not None and not self.deleted:
                # Syncs the directory, too.
                write_file(files, f"{work.directory}/{EPOCH_FILE}", work.epochs)
            elif work.sync_directory and not self.deleted:
                files.sync_dir(work.directory)
        except FileNotFoundError:
            if not self.deleted and files.exists(work.directory):
                raise
        except OSError as error:
            # The epochs are written anew, so a failed sync of theirs may be repeated.
            if error.errno in NO_DESCRIPTORS or error.errno in DISK_FULL:
                return False
            raise
        return True

    def synced(self, work: SyncWork) -> None:
        """The work was done: move the recovery point, close what was kept open for it, tell the owner."""
        if self._cut_while_syncing:
            self._cut_while_syncing = False
            self.sync_postponed(work)
            if not self.deleted:
                self._want_work(True)
            return
        self._sync_ended()
        for segment, size in work.segments:
            segment.synced_size = max(segment.synced_size, min(size, segment.size))
        for segment in self.segments:
            if segment.sealed and segment.file is not None and segment.synced_size >= segment.size:
                segment.close_file()
        if self.deleted:
            return
        end_offset = min(work.end_offset, self.log_end_offset)
        # Behind a rolled segment whose index is not on disk yet the recovery point must not go.
        limit = end_offset
        for segment in self.segments:
            if segment.sealed and not segment.index_synced:
                segment.index_synced = (
                    not segment.index_dirty
                    and segment.txn_index_saved
                    and segment.path(".index") in work.paths
                )
                if not segment.index_synced:
                    limit = min(limit, segment.base_offset)
        self.recovery_point = max(self.recovery_point, min(end_offset, limit))
        self.unflushed_count = max(self.unflushed_count - work.flushed_size, 0)
        self.last_flush_ms = self.environment.clock.wall_ms()
        if self.on_flush is not None:
            self.on_flush(end_offset)

    def sync_postponed(self, work: SyncWork) -> None:
        """The work was not done, for a reason that is no broken disk: it is still to do."""
        self._cut_while_syncing = False
        self._sync_ended()
        self._paths_dirty += work.paths
        self._directory_dirty = self._directory_dirty or work.sync_directory
        if work.epochs is not None:
            self.epochs.note_changed()

    def _sync_ended(self) -> None:
        """Nobody uses our descriptors any more: close those that had to wait for it."""
        self.syncing = False
        for segment in self._unclosed:
            segment.close_file()
        self._unclosed = []
        if self.deleted:
            self._close_files()

    def flush(self) -> None:
        """Sync everything now. Blocks; StorageError when the disk refuses, and then the log is offline."""
        self._flush(indexes=True)

    def _flush(self, *, indexes: bool) -> None:
        if self.offline:
            raise StorageError(f"{self.name}: its log directory is offline")
        try:
            work = self.take_sync_work(indexes=indexes)
        except OSError as error:
            raise self._storage_error("flush failed", error) from error
        try:
            done = self.sync(work)
            if self._parent_dirty:
                self.environment.files.sync_dir(self.directory.rpartition("/")[0] or "/")
                self._parent_dirty = False
        except OSError as error:
            self.sync_postponed(work)
            # A second try could succeed although the kernel dropped the pages.
            self.blocked |= OFFLINE
            raise self._storage_error("flush failed", error) from error
        if not done:
            self.sync_postponed(work)
            raise StorageError(
                f"{self.directory}: flush failed for want of space or descriptors", errno.ENOSPC
            )
        self.synced(work)

    # ---- read ----------------------------------------------------------------------------------------

    def segment_for(self, offset: int) -> int:
        """Index of the segment that holds `offset` (the first one for offsets below all)."""
        return max(bisect_right(self._base_offsets, offset) - 1, 0)

    def read(
        self,
        offset: int,
        max_bytes: int,
        *,
        end_offset: int | None = None,
        min_one_batch: bool = False,
        may_block: bool = True,
    ) -> LogRead:
        """Bytes from the batch that holds `offset` on, at most `max_bytes`, all below `end_offset`.

        The last batch may be cut. With `min_one_batch` the first one comes whole whatever its size. The
        offset must be within [log start, log end]. Without `may_block` a range that is not in the page
        cache comes back as a ColdRead. StorageError, CorruptionError.
        """
        limit_offset = self.log_end_offset if end_offset is None else min(end_offset, self.log_end_offset)
        if offset >= limit_offset:
            return _NOTHING
        segments = self.segments
        index = len(segments) - 1
        if offset < self._base_offsets[index]:
            index = self.segment_for(offset)
        try:
            while index < len(segments):
                segment = segments[index]
                position = segment.position_of(offset)
                if limit_offset >= self.log_end_offset or (
                    index + 1 < len(segments) and limit_offset >= self._base_offsets[index + 1]
                ):
                    end = segment.size
                else:
                    end = segment.position_of(limit_offset)
                if position < end:
                    return self._read_range(segment, position, end, max_bytes, min_one_batch, may_block)
                index += 1
        except OSError as error:
            raise self._storage_error("read failed", error) from error
        return _NOTHING

    def _read_range(
        self, segment: Segment, position: int, end: int, max_bytes: int, min_one_batch: bool, may_block: bool
    ) -> LogRead:
        count = min(max(max_bytes, LOG_OVERHEAD if min_one_batch else 0), end - position)
        if count <= 0:
            return LogRead(b"", segment.base_offset, position, None)
        if may_block or (segment.file is not None and segment.size - position <= _HOT_BYTES):
            records: bytes | memoryview = segment.read_handle().pread(count, position)
        else:
            ahead = self.environment.read_ahead
            if ahead is not None:
                cached = ahead.read(segment, count, position, end)
            else:
                cached = segment.read_handle().pread_cached(count, position)
            if cached is None:
                return LogRead(
                    b"",
                    segment.base_offset,
                    position,
                    ColdRead(self.environment, segment.path(".log"), count, position),
                )
            records = cached
        if min_one_batch and len(records) >= LOG_OVERHEAD:
            first = int.from_bytes(records[8:12], "big", signed=True) + LOG_OVERHEAD
            if first > len(records) or first < HEADER_SIZE:
                if first > end - position or first < HEADER_SIZE:
                    raise CorruptionError(f"{segment.path('.log')}: cut batch at {position}")
                return self._read_range(segment, position, end, first, False, may_block)
            if max_bytes < LOG_OVERHEAD:
                records = records[:first]
        return LogRead(records, segment.base_offset, position, None)

    def bytes_between(self, start_offset: int, end_offset: int) -> int:
        """About how many bytes a fetch from `start_offset` could get below `end_offset`."""
        if start_offset >= end_offset:
            return 0
        first = self.segment_for(start_offset)
        last = self.segment_for(end_offset)
        low = self.segments[first].position_of(start_offset)
        high = (
            self.segments[last].size
            if end_offset >= self.log_end_offset
            else self.segments[last].position_of(end_offset)
        )
        if first == last:
            return high - low
        return self.segments[first].size - low + sum(s.size for s in self.segments[first + 1 : last]) + high

    def aborted_between(self, start_offset: int, end_offset: int) -> list[AbortedTransaction]:
        """Aborted transactions with records in [start_offset, end_offset). CorruptionError, StorageError."""
        found: list[AbortedTransaction] = []
        try:
            for segment in self.segments[self.segment_for(start_offset) :]:
                entries, complete = segment.txn_index.aborted_in(start_offset, end_offset)
                found += entries
                if complete:
                    break
        except OSError as error:
            raise self._storage_error("transaction index cannot be read", error) from error
        return found

    # ---- timestamps ----------------------------------------------------------------------------------

    def offset_for_timestamp(self, target: int) -> tuple[int, int, int] | None:
        """(timestamp, offset, leader epoch) of the first record at or after `target`, None without one."""
        try:
            for segment in self.segments:
                if segment.size == 0 or segment.largest[0] < target:
                    continue
                found = self._search_timestamp(segment, target)
                if found is not None:
                    return found
        except OSError as error:
            raise self._storage_error("timestamp lookup failed", error) from error
        return None

    def _search_timestamp(self, segment: Segment, target: int) -> tuple[int, int, int] | None:
        """Within one segment. The entry below the target may be the target's own: look from before it."""
        _, offset = segment.time_index.lookup(target - 1)
        start = max(offset, self.log_start_offset)
        position = segment.position_of(start)
        for at, header in segment.scan(position):
            if header.max_timestamp >= target and header.last_offset >= self.log_start_offset:
                found = timestamp_lookup(segment.read_batch(at), target, min_offset=self.log_start_offset)
                if found is not None:
                    return found[0], found[1], header.leader_epoch
        return None

    def offset_of_max_timestamp(self) -> tuple[int, int, int] | None:
        """(timestamp, offset, leader epoch) of the first record with the largest timestamp."""
        try:
            best: Segment | None = None
            for segment in self.segments:
                if segment.size and (best is None or segment.largest[0] > best.largest[0]):
                    best = segment
            if best is None:
                return None
            position = best.position_of(best.largest[1])
            if position >= best.size:
                return None
            batch = best.read_batch(position)
            found = max_timestamp_record(batch)
            if found is None:
                return None
            return found[0], found[1], read_header(batch).leader_epoch
        except OSError as error:
            raise self._storage_error("timestamp lookup failed", error) from error

    # ---- both ends -----------------------------------------------------------------------------------

    def increment_log_start(self, offset: int) -> bool:
        """Raise the first readable offset (DeleteRecords); True if it moved. Segments go with retention."""
        if offset <= self.log_start_offset:
            return False
        self.log_start_offset = min(offset, self.log_end_offset)
        self.epochs.truncate_from_start(self.log_start_offset)
        if self.on_log_start is not None:
            self.on_log_start()
        self._want_work(False)
        return True

    def remove_segments(self, count: int, reason: str) -> int:
        """Drop the oldest `count` segments; a new one is rolled first if all go. Returns their bytes."""
        if count <= 0:
            return 0
        if count >= len(self.segments):
            count = len(self.segments)
            if self.active.size:
                self.roll()
            else:
                count -= 1
        removed = self.segments[:count]
        self.take_segments(self.segments[count:])
        self.log_start_offset = max(self.log_start_offset, self.segments[0].base_offset)
        self.epochs.truncate_from_start(self.log_start_offset)
        freed = 0
        for segment in removed:
            freed += segment.size
            self._discard_soon(segment, keep_snapshot=False)
        if removed:
            self._directory_dirty = True
            self._want_work(False)
            self.environment.report(
                f"{self.name}: {len(removed)} segments, {freed} bytes deleted ({reason}); "
                f"the log starts at {self.log_start_offset}"
            )
        return freed

    def _discard_soon(self, segment: Segment, *, keep_snapshot: bool) -> None:
        """`_discard`, later if the disk refuses it now."""
        self._undiscarded.append((segment, keep_snapshot))
        try:
            self._discard_rest()
        except StorageError as error:
            self.environment.report(f"{error}; tried again later")

    def _discard_rest(self) -> None:
        """Discard what could not be until now. StorageError."""
        while self._undiscarded:
            segment, keep_snapshot = self._undiscarded[0]
            self._discard(segment, keep_snapshot=keep_snapshot)
            del self._undiscarded[0]
            self._directory_dirty = True

    def _discard(self, segment: Segment, *, keep_snapshot: bool, suffix: str = DELETED) -> None:
        """Rename a segment's files; they are removed after file.delete.delay.ms (`take_deleted_files`).
        StorageError: some of them are still to be renamed."""
        files = self.environment.files
        due = self.environment.clock.wall_ms() + self.config.file_delete_delay_ms
        if not self.syncing:
            segment.close_file()
        else:
            self._unclosed.append(segment)
        for extension in EXTENSIONS if keep_snapshot else (*EXTENSIONS, ".snapshot"):
            path = segment.path(extension)
            try:
                files.rename(path, path + suffix)
            except FileNotFoundError:
                continue
            except OSError as error:
                raise self._storage_error("cannot rename a deleted segment", error) from error
            self._deleted_files.append((due, path + suffix))

    def replace_segments(self, cleaned: Sequence[tuple[Segment, tuple[int, ...]]]) -> None:
        """Put cleaned segments, in `.swap` files, in the place of those with the base offsets given."""
        replaced = {base: segment for segment, bases in cleaned for base in bases}
        segments: list[Segment] = []
        for old in self.segments:
            new = replaced.get(old.base_offset)
            if new is None:
                segments.append(old)
            elif new.base_offset == old.base_offset:
                segments.append(new)
        gone = [segment for segment in self.segments if segment.base_offset in replaced]
        self.take_segments(segments)
        for old in gone:
            # The state of producers at the start of a segment that stays is still of use.
            self._discard_soon(old, keep_snapshot=replaced[old.base_offset].base_offset == old.base_offset)
        self._directory_dirty = True
        self._want_work(False)

    def settle_swapped_segment(self) -> bool:
        """Give the oldest cleaned segment its final name; False if there was none left. StorageError: it has
        its old one, try again.

        The directory must be synced before each and after the last: what a start finds under `.swap` names
        must be the end of what was cleaned, as it removes everything else that lies between two of them, and
        must not be there beside what the next pass writes.
        """
        files = self.environment.files
        if self._undiscarded:
            # Files of old segments have the names that are needed.
            self._discard_rest()
            return True
        swapped = [segment for segment in self.segments if segment.suffix]
        for segment in swapped[:1]:
            renamed: list[tuple[str, str]] = []
            for extension in EXTENSIONS:
                path = segment.path(extension)
                target = path.removesuffix(segment.suffix)
                try:
                    files.rename(path, target)
                    renamed.append((target, path))
                except FileNotFoundError:
                    continue
                except OSError as error:
                    self._rename_back(renamed)
                    raise self._storage_error("cannot rename a cleaned segment", error) from error
            segment.put_in_place()
            self._directory_dirty = True
        self._want_work(False)
        return bool(swapped)

    def _rename_back(self, renamed: list[tuple[str, str]]) -> None:
        """Give files the names back under which they are known."""
        try:
            for path, known in reversed(renamed):
                self.environment.files.rename(path, known)
        except OSError as error:
            # Half of a segment has one name and half the other: a start knows what to do, nothing here does.
            raise self._storage_error(
                "cannot undo a renaming", OSError(errno.EIO, f"after {error}", error.filename)
            ) from error

    @property
    def has_deleted_files(self) -> bool:
        return bool(self._deleted_files or self._undiscarded)

    def take_deleted_files(self, now_ms: int) -> list[str]:
        """Paths whose delay is over: to be removed by the caller."""
        if self._undiscarded and not self.offline:
            with suppress(StorageError):
                self._discard_rest()
        due = [path for deadline, path in self._deleted_files if deadline <= now_ms]
        if due:
            self._deleted_files = [entry for entry in self._deleted_files if entry[0] > now_ms]
        return due

    def truncate_to(self, offset: int) -> None:
        """Remove everything at or above `offset`; a batch that holds it goes whole."""
        if offset >= self.log_end_offset:
            # An epoch that was begun here, as leader, and got no records is to go all the same (KAFKA-10706).
            self.epochs.truncate_from_end(self.log_end_offset)
            if self.epochs.is_due(self.log_end_offset):
                self._want_work(False)
            return
        if offset <= self._base_offsets[0]:
            self.truncate_fully(max(offset, 0))
            return
        self._discard_rest()
        try:
            keep = self.segment_for(offset)
            segment = self.segments[keep]
            for gone in reversed(self.segments[keep + 1 :]):
                self._discard(gone, keep_snapshot=True, suffix=TRUNCATED)
            self.take_segments(self.segments[: keep + 1])
            segment.sealed = False
            segment.index_max_bytes = self.config.segment_index_bytes
            position = segment.position_of(offset)
            base_offset = offset
            if position < segment.size:
                base_offset = min(read_header(segment.pread(HEADER_SIZE, position)).base_offset, offset)
            segment.truncate(position, base_offset)
        except OSError as error:
            raise self._storage_error("truncation failed", error) from error
        self._end_at(base_offset)

    def truncate_fully(self, offset: int) -> None:
        """Remove everything and start again, empty, at `offset`."""
        self._discard_rest()
        try:
            for segment in self.segments:
                self._discard(segment, keep_snapshot=False, suffix=TRUNCATED)
            segment = self._new_segment(offset)
            segment.open_for_write().truncate(0)
        except OSError as error:
            raise self._storage_error("truncation failed", error) from error
        self.take_segments([segment])
        self.log_start_offset = offset
        self.epochs.clear()
        self._end_at(offset)
        self.high_watermark = offset

    def _end_at(self, offset: int) -> None:
        """Bring everything derived into line with a log that ends at `offset` now."""
        self._directory_dirty = True
        self._cut_while_syncing = self.syncing
        self.cut_count += 1
        lowered = self.recovery_point > offset
        self.log_end_offset = offset
        self.log_start_offset = min(self.log_start_offset, offset)
        self.recovery_point = min(self.recovery_point, offset)
        self.high_watermark = min(self.high_watermark, offset)
        self.epochs.truncate_from_end(offset)
        self.settled_end_offset = -1
        self.load_producer_state()
        self._want_work(False)
        if lowered and self.on_cut is not None:
            self.cut_unsaved = True
            self.on_cut()

    # ---- producer state ------------------------------------------------------------------------------

    def snapshot_offsets(self) -> list[int]:
        """Offsets of the producer snapshots in the directory, newest first."""
        names = self.environment.files.list_dir(self.directory)
        return snapshot_offsets(names)

    def load_producer_state(self, offsets: list[int] | None = None) -> None:
        """From the newest usable snapshot at or below the log end, plus the batches after it."""
        self.start_producer_state(self.log_end_offset, offsets)

    def start_producer_state(self, end_offset: int, offsets: list[int] | None = None) -> None:
        """The state as it was at `end_offset`."""
        files = self.environment.files
        self.producers.clear()
        # Not the log start: a producer's last batch may lie below it and still be repeated.
        start = first = self._base_offsets[0]
        for offset in self.snapshot_offsets() if offsets is None else offsets:
            path = f"{self.directory}/{file_prefix(offset)}.snapshot"
            if offset > end_offset or offset < first:
                if offset > end_offset:
                    files.remove(path)
                continue
            try:
                content = read_file(files, path)
                if content != EMPTY_SNAPSHOT:
                    self.producers.decode(content, self.environment.clock.wall_ms())
                start = offset
                break
            except CorruptionError as error:
                self.environment.report(f"{path}: {error}; removed")
                files.remove(path)
        if start < end_offset:
            self._replay_producers(start, end_offset)

    def _replay_producers(self, start: int, end_offset: int) -> None:
        for segment in self.segments[self.segment_for(start) :]:
            if segment.base_offset >= end_offset:
                break
            for _, header in segment.scan(segment.position_of(start)):
                if header.base_offset >= end_offset:
                    break
                if header.base_offset >= start and header.producer_id >= 0:
                    self._note_producer(segment, header, None)

    def note_recovered(self, segment: Segment, header: BatchHeader, batch: memoryview) -> None:
        """Recovery found a sound batch: producer state and epochs follow."""
        if header.producer_id >= 0:
            self._note_producer(segment, header, batch)
        if header.leader_epoch > self.epochs.latest:
            self.epochs.assign(header.leader_epoch, header.base_offset)

    # ---- end of life ---------------------------------------------------------------------------------

    def close_clean(self) -> None:
        """Write and sync what the next start needs so that it needs no recovery. StorageError.

        The indexes of an empty segment and an empty snapshot are written but not synced: what a power loss
        makes of them is found to be wrong, and nothing is missing.
        """
        self._discard_rest()
        more = any(segment.suffix for segment in self.segments)
        while more:
            # A cleaning that is not quite over: what replaced the old segments must be there without them.
            try:
                self.environment.files.sync_dir(self.directory)
            except OSError as error:
                raise self._storage_error("clean close failed", error) from error
            more = self.settle_swapped_segment()
        if self.settled_end_offset != self.log_end_offset or self.needs_sync:
            try:
                for segment in self.segments:
                    segment.save_txn_index()
                    if segment.index_dirty or not segment.sealed:
                        segment.save_indexes(trim=True)
                        if segment.size:
                            self._paths_dirty += [segment.path(".index"), segment.path(".timeindex")]
                self._write_small(f"{file_prefix(self.log_end_offset)}.snapshot", self.producers.encode())
                if self.producers.entries:
                    self._paths_dirty.append(f"{self.directory}/{file_prefix(self.log_end_offset)}.snapshot")
            except OSError as error:
                raise self._storage_error("clean close failed", error) from error
            if self.needs_sync:
                self._flush(indexes=False)
        self._close_files()

    def _close_files(self) -> None:
        for segment in self.segments:
            segment.close_file()

    def close(self) -> None:
        """Release descriptors, nothing else (a broker that stops without being clean)."""
        if not self.syncing:
            self._close_files()

    def close_idle_file(self, *, sync: bool = False) -> bool:
        """Release the write descriptor if nothing unsynced is behind it, or `sync` what is (that blocks).

        Never without a sync: an error of the disk could be lost with the descriptor. OSError: it was met.
        """
        segment = self.active
        if segment.file is None or self.syncing or self.offline:
            return False
        if segment.synced_size < segment.size:
            if not sync:
                return False
            segment.file.sync()
            segment.synced_size = segment.size
        segment.close_file()
        return True

    def moved(self, directory: str) -> None:
        """The directory was renamed."""
        self.directory = directory
        for segment in self.segments:
            self.environment.forget(segment)
            segment.directory = directory

    def mark_deleted(self) -> None:
        """The partition is gone; waiters were told by its owner."""
        self.deleted = True
        self.on_flush = None
        self.close()


def snapshot_offsets(names: list[str]) -> list[int]:
    """Offsets of the producer snapshots among file names, newest first."""
    return sorted(
        (
            int(name[:20])
            for name in names
            if name.endswith(".snapshot") and name[:20].isdigit() and len(name) == 29
        ),
        reverse=True,
    )


def encode_partition_metadata(topic_id: bytes) -> bytes:
    """Content of `partition.metadata`: no newline at the end, as Kafka writes it."""
    return b"version: 0\ntopic_id: " + encode_uuid(topic_id).encode()


def decode_partition_metadata(content: bytes) -> bytes | None:
    """The topic id, None when there is none."""
    fields = dict(
        line.split(": ", 1) for line in content.decode("utf-8", "replace").splitlines() if ": " in line
    )
    if fields.get("version") != "0":
        return None
    return decode_uuid(fields.get("topic_id", ""))


def encode_uuid(value: bytes) -> str:
    """Kafka's text form: url-safe base64 without padding, 22 characters."""
    return base64.urlsafe_b64encode(value).rstrip(b"=").decode()


def decode_uuid(text: str) -> bytes | None:
    try:
        value = base64.urlsafe_b64decode(text + "==")
    except ValueError:
        return None
    return value if len(value) == 16 else None

"""One segment: `<base>.log` with its indexes.

In: batches with their offsets in place. Out: positions and bytes. What must hold: `size` is the length of
the valid content; what was written beyond it by a failed append is cut before the next one; the indexes
describe exactly the batches below `size`.

The write descriptor is opened with the first append. It stays the one that is synced: errors of the disk
are reported to the descriptor that wrote, so it may be closed only when nothing unsynced is left.
"""

from __future__ import annotations

import errno
import struct
from collections.abc import Iterator, Sequence
from typing import Final

from pybroker.common.errors import CorruptionError
from pybroker.common.files import Buffer, File
from pybroker.log import offset_index, time_index
from pybroker.log.environment import LogEnvironment
from pybroker.log.offset_index import OffsetIndex
from pybroker.log.time_index import NO_TIMESTAMP, TimeIndex
from pybroker.log.txn_index import TransactionIndex
from pybroker.records.batch import HEADER, HEADER_SIZE, LOG_OVERHEAD, BatchHeader

# The extensions of a segment's files.
EXTENSIONS: Final = (".log", ".index", ".timeindex", ".txnindex")
# Base offset, length, leader epoch, magic, crc, attributes, last offset delta: what a position lookup needs.
_PREFIX: Final = struct.Struct(">qiibIhi")
_SCAN_CHUNK: Final = 64 * 1024
_LOOKUP_CHUNK: Final = 8 * 1024
_MIN_LENGTH: Final = HEADER_SIZE - LOG_OVERHEAD
# Positions remembered of the newest batches, so that consumers at the end of the log need no lookup.
_RECENT_COUNT: Final = 16
# Buffers of less than this together are joined before they are written: cheaper than a vector.
_JOIN_BYTES: Final = 16 * 1024
# index.interval.bytes of an index that turns out to be damaged when a reader needs it.
_REBUILD_INTERVAL: Final = 4096


def file_prefix(base_offset: int) -> str:
    """The name of a segment's files without the extension."""
    return f"{base_offset:020d}"


class Segment:
    """A segment. `first_timestamp` is the first batch's largest timestamp: None when not known yet."""

    __slots__ = (
        "_index_checked",
        "_offset_index",
        "_recent",
        "_time_index",
        "_txn_index",
        "base_offset",
        "bytes_since_index",
        "created_ms",
        "directory",
        "environment",
        "file",
        "first_timestamp",
        "index_dirty",
        "index_full",
        "index_max_bytes",
        "index_synced",
        "known_largest",
        "roll_jitter_ms",
        "sealed",
        "size",
        "suffix",
        "synced_size",
    )

    def __init__(
        self,
        environment: LogEnvironment,
        directory: str,
        base_offset: int,
        *,
        index_max_bytes: int = 10_485_760,
        size: int = 0,
        sealed: bool = False,
        created_ms: int = 0,
        roll_jitter_ms: int = 0,
    ) -> None:
        self.environment = environment
        self.directory = directory
        self.base_offset = base_offset
        # After the extension of every file: the cleaner's segments have one until they are in place.
        self.suffix = ""
        self.size = size
        # Bytes of it that survive a power loss.
        self.synced_size = size
        self.sealed = sealed
        self.created_ms = created_ms
        self.roll_jitter_ms = roll_jitter_ms
        self.first_timestamp: int | None = None
        self.bytes_since_index = 0
        self.file: File | None = None
        # The index files are behind the arrays, or missing, or not cut although the segment is sealed.
        self.index_dirty = False
        # The index files survive a power loss. Of no interest while appends go on.
        self.index_synced = True
        self.index_max_bytes = index_max_bytes
        self.index_full = False
        self.known_largest: tuple[int, int] | None = None
        # The indexes were made anew once, or could not be.
        self._index_checked = False
        self._offset_index: OffsetIndex | None = None
        self._time_index: TimeIndex | None = None
        self._txn_index: TransactionIndex | None = None
        self._recent: dict[int, int] = {}

    def path(self, extension: str) -> str:
        return f"{self.directory}/{self.base_offset:020d}{extension}{self.suffix}"

    # ---- indexes -------------------------------------------------------------------------------------

    def new_indexes(self) -> None:
        """Start with empty indexes (a new segment, or one that is about to be recovered)."""
        self._offset_index = OffsetIndex(self.base_offset, self.index_max_bytes)
        self._time_index = TimeIndex(self.base_offset, self.index_max_bytes)
        # Whatever the files hold has to go.
        self._offset_index.reset()
        self._time_index.reset()
        self.index_full = False
        self._recent = {}
        self.known_largest = (NO_TIMESTAMP, self.base_offset)
        self.bytes_since_index = 0
        self.index_dirty = True
        self.index_synced = False

    def load_indexes(self) -> None:
        """Read both index files. CorruptionError or FileNotFoundError when they have to be rebuilt."""
        files = self.environment.files
        offsets = OffsetIndex(self.base_offset, self.index_max_bytes)
        offsets.load(files, self.path(".index"))
        if offsets.last_position >= max(self.size, 1):
            raise CorruptionError(
                f"{self.path('.index')}: position {offsets.last_position} is beyond the segment"
            )
        times = TimeIndex(self.base_offset, self.index_max_bytes)
        times.load(files, self.path(".timeindex"))
        self._offset_index, self._time_index = offsets, times
        self.index_full = offsets.is_full or times.is_full
        self.bytes_since_index = max(self.size - offsets.last_position, 0)
        if self.known_largest is None:
            self.known_largest = times.last_entry

    def unload_indexes(self) -> None:
        """Drop the arrays of a sealed segment; they are read again when needed."""
        if self.sealed and not self.index_dirty:
            self._offset_index = self._time_index = None

    @property
    def offset_index(self) -> OffsetIndex:
        index = self._offset_index
        if index is None:
            self._reload_indexes()
            index = self._offset_index
            assert index is not None
        elif self.sealed:
            self.environment.note_indexes(self, self._index_memory())
        return index

    @property
    def time_index(self) -> TimeIndex:
        index = self._time_index
        if index is None:
            self._reload_indexes()
            index = self._time_index
            assert index is not None
        return index

    def _index_memory(self) -> int:
        assert self._offset_index is not None
        assert self._time_index is not None
        return self._offset_index.memory_bytes + self._time_index.memory_bytes + 512

    def _reload_indexes(self) -> None:
        try:
            self.load_indexes()
        except (CorruptionError, FileNotFoundError) as error:
            self.environment.report(f"{self.path('.index')} is rebuilt: {error}")
            self.rebuild_indexes(_REBUILD_INTERVAL)
        if self.sealed:
            self.environment.note_indexes(self, self._index_memory())

    def rebuild_indexes(self, interval_bytes: int) -> int:
        """Make both indexes from the batch headers; returns the offset after the last batch."""
        self.new_indexes()
        next_offset = self.base_offset
        for position, header in self.scan(0):
            self.note_batch(position, header.size, header.last_offset, header.max_timestamp, interval_bytes)
            next_offset = header.next_offset
        return next_offset

    def note_batch(
        self, position: int, size: int, last_offset: int, max_timestamp: int, interval_bytes: int
    ) -> None:
        """Update indexes and maxima for a batch whose bytes are in place."""
        if self.first_timestamp is None:
            self.first_timestamp = max_timestamp
        largest = self.known_largest
        if largest is None:
            largest = self.largest
        if max_timestamp > largest[0]:
            self.known_largest = largest = (max_timestamp, last_offset)
        if self.bytes_since_index > interval_bytes:
            offsets, times = self._offset_index, self._time_index
            assert offsets is not None
            assert times is not None
            offsets.append(last_offset, position)
            times.maybe_append(*largest)
            self.bytes_since_index = size
            if offsets.is_full or times.is_full:
                self.index_full = True
        else:
            self.bytes_since_index += size

    @property
    def largest(self) -> tuple[int, int]:
        """(largest timestamp, last offset of the first batch that has it); (-1, base offset) when empty."""
        if self.known_largest is None:
            if self._time_index is not None:
                self.known_largest = self._time_index.last_entry
            else:
                try:
                    self.known_largest = time_index.last_file_entry(
                        self.environment.files, self.path(".timeindex"), self.base_offset
                    )
                except FileNotFoundError:
                    self._reload_indexes()
                    assert self.known_largest is not None
        return self.known_largest

    @largest.setter
    def largest(self, value: tuple[int, int]) -> None:
        self.known_largest = value

    @property
    def indexes_loaded(self) -> bool:
        return self._offset_index is not None

    def save_indexes(self, *, trim: bool) -> None:
        """Write the index files; with `trim` also the closing time entry, as on roll and clean close."""
        if self._offset_index is None or self._time_index is None:
            if not trim or self.sealed:
                # Not loaded since the clean close that wrote them.
                self.index_dirty = False
                return
            self._reload_indexes()
            assert self._offset_index is not None
            assert self._time_index is not None
        if trim:
            self._time_index.maybe_append(*self.largest)
        self.environment.with_descriptors(lambda: self._save(trim))
        self.index_dirty = False
        if self.sealed:
            # From now on they may be dropped, and read again.
            self._recent = {}
            self.environment.note_indexes(self, self._index_memory())

    def _save(self, trim: bool) -> None:
        assert self._offset_index is not None
        assert self._time_index is not None
        self._offset_index.save(self.environment.files, self.path(".index"), trim=trim)
        self._time_index.save(self.environment.files, self.path(".timeindex"), trim=trim)

    @property
    def pending_index_count(self) -> int:
        return 0 if self._offset_index is None else self._offset_index.pending_count

    @property
    def txn_index(self) -> TransactionIndex:
        if self._txn_index is None:
            index = TransactionIndex(self.environment.files, self.path(".txnindex"), self.base_offset)
            index.load()
            self._txn_index = index
        return self._txn_index

    def reset_txn_index(self) -> None:
        """Forget it and remove its file: recovery makes it anew."""
        self._txn_index = None
        files = self.environment.files
        if files.exists(self.path(".txnindex")):
            files.remove(self.path(".txnindex"))

    def put_in_place(self) -> None:
        """The files lost their suffix; what knew the old names is read again."""
        self.suffix = ""
        self._txn_index = None
        self.environment.forget_file(self)

    @property
    def txn_index_saved(self) -> bool:
        """Whether the disk took all that is known of aborted transactions."""
        return self._txn_index is None or self._txn_index.is_saved

    def save_txn_index(self) -> None:
        """Write what the disk refused when it came."""
        if self._txn_index is not None:
            self._txn_index.save()

    # ---- reading -------------------------------------------------------------------------------------

    def read_handle(self) -> File:
        return self.file if self.file is not None else self.environment.read_file(self)

    def pread(self, count: int, position: int) -> bytes:
        """Bytes of the valid content only."""
        return self.read_handle().pread(min(count, self.size - position), position)

    def position_of(self, offset: int) -> int:
        """Position of the first batch whose last offset is at or above `offset`; `size` without one."""
        recent = self._recent.get(offset)
        if recent is not None:
            return recent
        if offset <= self.base_offset:
            return 0
        entry_offset, position = self.offset_index.lookup(offset)
        size = self.size
        indexed = position > 0
        if position >= size > 0 and self._index_was_damaged():
            return self.position_of(offset)
        while position < size:
            data = self.pread(_LOOKUP_CHUNK, position)
            here: int = 0
            if indexed:
                indexed = False
                if not _is_entry(data, entry_offset) and self._index_was_damaged():
                    return self.position_of(offset)
            last = len(data) - HEADER_SIZE
            if last < 0:
                raise CorruptionError(f"{self.path('.log')}: cut batch at {position}")
            while here <= last:
                base, length, _, magic, _, _, delta = _PREFIX.unpack_from(data, here)
                if magic != 2 or length < _MIN_LENGTH or delta < 0:
                    raise CorruptionError(f"{self.path('.log')}: no batch at {position + here}")
                end_offset: int = base + delta
                if end_offset >= offset:
                    return position + here
                here += length + LOG_OVERHEAD
                if end_offset + 1 == offset:
                    return min(position + here, size)
            position += here
        return size

    def _index_was_damaged(self) -> bool:
        """An entry of the offset index does not fit the batch it names: make the indexes anew. False when
        that was done already, or when it is the batches that are damaged."""
        if self._index_checked:
            return False
        self._index_checked = True
        known = self._offset_index, self._time_index, self.known_largest, self.bytes_since_index
        marks = self.index_full, self.index_dirty, self.index_synced
        try:
            self.rebuild_indexes(_REBUILD_INTERVAL)
        except CorruptionError:
            self._offset_index, self._time_index, self.known_largest, self.bytes_since_index = known
            self.index_full, self.index_dirty, self.index_synced = marks
            return False
        self.environment.report(f"{self.path('.index')} does not fit its segment; rebuilt")
        return True

    def scan(self, position: int, end: int | None = None) -> Iterator[tuple[int, BatchHeader]]:
        """(position, header) of the batches from `position` on; a batch that makes no sense ends it with
        CorruptionError. Bodies are skipped, not read, and checksums are not looked at."""
        limit = self.size if end is None else min(end, self.size)
        make = BatchHeader._make
        unpack = HEADER.unpack_from
        while position < limit:
            data = self.pread(_SCAN_CHUNK, position)
            here = 0
            last = len(data) - HEADER_SIZE
            if last < 0:
                raise CorruptionError(f"{self.path('.log')}: cut batch at {position}")
            while here <= last and position + here < limit:
                header = make(unpack(data, here))
                length = header.length
                if header.magic != 2 or length < _MIN_LENGTH:
                    raise CorruptionError(f"{self.path('.log')}: no batch at {position + here}")
                yield position + here, header
                here += length + LOG_OVERHEAD
            position += here

    def read_batch(self, position: int) -> bytes:
        """The whole batch at `position`."""
        head = self.pread(LOG_OVERHEAD, position)
        if len(head) < LOG_OVERHEAD:
            raise CorruptionError(f"{self.path('.log')}: cut batch at {position}")
        size = int.from_bytes(head[8:12], "big", signed=True) + LOG_OVERHEAD
        batch = self.pread(size, position)
        if len(batch) != size or size < HEADER_SIZE:
            raise CorruptionError(f"{self.path('.log')}: cut batch at {position}")
        return batch

    def first_batch_timestamp(self) -> int:
        """The largest timestamp of the first batch, -1 for an empty segment."""
        if self.first_timestamp is None:
            if self.size == 0:
                return NO_TIMESTAMP
            self.first_timestamp = BatchHeader._make(HEADER.unpack(self.pread(HEADER_SIZE, 0))).max_timestamp
        return self.first_timestamp

    def last_modified_ms(self) -> int:
        return self.environment.files.modified_ms(self.path(".log"))

    # ---- writing -------------------------------------------------------------------------------------

    def prepare_append(self) -> File:
        """Open the write descriptor, making the file when missing, and load what appends keep up to date."""
        if self._offset_index is None:
            self._reload_indexes()
        if self.first_timestamp is None and self.size:
            self.first_batch_timestamp()
        return self.open_for_write()

    def open_for_write(self) -> File:
        if self.file is None:
            self.file = self.environment.open_for_write(self.path(".log"))
            # One descriptor is enough.
            self.environment.forget_file(self)
        return self.file

    def append(
        self,
        buffers: Sequence[Buffer],
        total: int,
        base_offset: int,
        last_offset: int,
        max_timestamp: int,
        interval_bytes: int,
    ) -> None:
        """Write one batch. On OSError nothing in memory has changed; the caller cuts the file."""
        position = self.size
        self.write(buffers, total)
        self.size = position + total
        self.remember(base_offset, position)
        self.note_batch(position, total, last_offset, max_timestamp, interval_bytes)

    def write(self, buffers: Sequence[Buffer], total: int) -> None:
        """Write behind the valid content. On OSError the caller cuts the file."""
        file = self.file
        if file is None:
            file = self.prepare_append()
        if len(buffers) > 1 and total < _JOIN_BYTES:
            buffers = (b"".join(buffers),)
        if file.pwrite(buffers, self.size) != total:
            self._write_rest(file, buffers, total)

    def remember(self, base_offset: int, position: int) -> None:
        """A batch was appended at `position`: whoever reads next will ask for it."""
        recent = self._recent
        if len(recent) >= _RECENT_COUNT:
            for old in list(recent)[: _RECENT_COUNT // 2]:
                del recent[old]
        recent[base_offset] = position

    def add_index_entries(self, entries: list[tuple[int, int, int, int]]) -> None:
        """(last offset, position, largest timestamp, its offset) of batches that were appended."""
        offsets, times = self._offset_index, self._time_index
        assert offsets is not None
        assert times is not None
        for last_offset, position, timestamp, offset in entries:
            offsets.append(last_offset, position)
            times.maybe_append(timestamp, offset)
        self.index_full = offsets.is_full or times.is_full

    @property
    def index_room(self) -> int:
        """How many entries fit into both indexes before they are full."""
        offsets, times = self._offset_index, self._time_index
        assert offsets is not None
        assert times is not None
        return min(offsets.max_entries - len(offsets), times.max_entries - 1 - len(times))

    def _write_rest(self, file: File, buffers: Sequence[Buffer], total: int) -> None:
        """After a short write: start over. The system reports a full disk as a short write first."""
        everything = memoryview(b"".join(buffers))
        written = 0
        while written < total:
            count = file.pwrite([everything[written:]], self.size + written)
            if count <= 0:
                raise OSError(errno.EIO, "write of nothing", file.path)
            written += count

    def cut_tail(self) -> None:
        """Remove what a failed append left beyond the valid content."""
        self.open_for_write().truncate(self.size)

    def truncate(self, position: int, offset: int) -> None:
        """Cut the segment at `position`; `offset` is the first one that goes."""
        # The indexes first: they are read from the untouched file if they are not loaded.
        self.offset_index.truncate_to(offset)
        self.time_index.truncate_to(offset)
        self.environment.forget_content(self)
        self.open_for_write().truncate(position)
        self.size = position
        self.synced_size = min(self.synced_size, position)
        self.index_dirty = True
        self._recent = {}
        self.bytes_since_index = max(position - self.offset_index.last_position, 0)
        if position == 0:
            self.first_timestamp = None
        # The maximum may have been in the part that went: the index entry and what follows it tell.
        largest = self.time_index.last_entry
        for _, header in self.scan(self.offset_index.lookup(largest[1])[1]):
            if header.max_timestamp > largest[0]:
                largest = header.max_timestamp, header.last_offset
        self.known_largest = largest
        self.txn_index.truncate_to(offset)

    def close_file(self) -> None:
        """Release all descriptors."""
        file, self.file = self.file, None
        if file is not None:
            self.environment.close_written(file)
        self.environment.forget(self)


def _is_entry(data: bytes, entry_offset: int) -> bool:
    """Whether an entry of the offset index may be of the batch that `data` begins with. One that is too late
    would hide the records between."""
    if len(data) < HEADER_SIZE:
        return False
    base, length, _, magic, _, _, delta = _PREFIX.unpack_from(data)
    return magic == 2 and length >= _MIN_LENGTH and delta >= 0 and bool(base <= entry_offset)


def next_offset_of_trimmed(segment: Segment) -> tuple[int, int]:
    """(next offset, position scanned from) of a segment with a trimmed index file, reading little of it."""
    files = segment.environment.files
    if segment.size == 0:
        return segment.base_offset, 0
    start = offset_index.last_entry_position(files, segment.path(".index"))
    if start >= segment.size:
        raise CorruptionError(f"{segment.path('.index')}: position {start} is beyond the segment")
    next_offset = segment.base_offset
    for _, header in segment.scan(start):
        if header.base_offset < segment.base_offset:
            raise CorruptionError(f"{segment.path('.log')}: base offset {header.base_offset}")
        next_offset = header.next_offset
    return next_offset, start

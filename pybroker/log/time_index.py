"""The time index of a segment: `<base>.timeindex`.

    12 bytes an entry: timestamp i64, relative offset i32, big endian; timestamps strictly increase.

An entry (timestamp, offset) says: no record before that batch's end has a larger timestamp. The last entry
of a rolled segment is the segment's maximum. Arrays in memory and mirror file as in `offset_index`.
"""

from __future__ import annotations

import struct
from array import array
from bisect import bisect_right
from typing import Final

from pybroker.common.errors import CorruptionError
from pybroker.common.files import FileSystem, read_file, write_fully

ENTRY_SIZE: Final = 12
_ENTRY: Final = struct.Struct(">qi")
NO_TIMESTAMP: Final = -1


class TimeIndex:
    """Timestamps to offsets of one segment."""

    __slots__ = ("_base_offset", "_offsets", "_saved_count", "_stale", "_timestamps", "max_entries")

    def __init__(self, base_offset: int, max_bytes: int) -> None:
        self._base_offset = base_offset
        self._timestamps = array("q")
        self._offsets = array("i")
        self.max_entries = max_bytes // ENTRY_SIZE
        self._saved_count = 0
        self._stale = False

    def __len__(self) -> int:
        return len(self._timestamps)

    @property
    def is_full(self) -> bool:
        """One place is kept for the entry that closes the segment."""
        return len(self._timestamps) >= self.max_entries - 1

    @property
    def memory_bytes(self) -> int:
        return len(self._timestamps) * 12

    @property
    def pending_count(self) -> int:
        return len(self._timestamps) - self._saved_count

    @property
    def last_entry(self) -> tuple[int, int]:
        """(timestamp, offset) of the last entry; (-1, base offset) without one."""
        if not self._timestamps:
            return NO_TIMESTAMP, self._base_offset
        return self._timestamps[-1], self._base_offset + self._offsets[-1]

    def maybe_append(self, timestamp: int, offset: int) -> None:
        """Add an entry if it has a larger timestamp than all others."""
        timestamps = self._timestamps
        if timestamp > (timestamps[-1] if timestamps else NO_TIMESTAMP):
            timestamps.append(timestamp)
            self._offsets.append(offset - self._base_offset)

    def lookup(self, timestamp: int) -> tuple[int, int]:
        """The last entry with a timestamp at or before `timestamp`; (-1, base offset) without one."""
        index = bisect_right(self._timestamps, timestamp) - 1
        if index < 0:
            return NO_TIMESTAMP, self._base_offset
        return self._timestamps[index], self._base_offset + self._offsets[index]

    def truncate_to(self, offset: int) -> None:
        """Remove all entries at or above `offset`."""
        count = bisect_right(self._offsets, offset - self._base_offset - 1)
        if count < len(self._offsets):
            del self._timestamps[count:]
            del self._offsets[count:]
            if self._saved_count > count:
                self._saved_count = count
                self._stale = True

    def reset(self) -> None:
        self._timestamps = array("q")
        self._offsets = array("i")
        self._saved_count = 0
        self._stale = True

    def load(self, files: FileSystem, path: str) -> None:
        """Read the file. CorruptionError when what it holds cannot be an index; then rebuild it."""
        data = read_file(files, path)
        size = _content_size(data)
        timestamps, offsets = array("q"), array("i")
        previous, previous_offset = NO_TIMESTAMP, -1
        for timestamp, offset in _ENTRY.iter_unpack(memoryview(data)[:size]):
            if timestamp <= previous or offset < previous_offset:
                raise CorruptionError(f"{path}: entry ({timestamp}, {offset}) after {previous}")
            timestamps.append(timestamp)
            offsets.append(offset)
            previous, previous_offset = timestamp, offset
        self._timestamps, self._offsets = timestamps, offsets
        self._saved_count = len(timestamps)
        self._stale = False

    def save(self, files: FileSystem, path: str, *, trim: bool) -> None:
        """Bring the file up to date, as `OffsetIndex.save`."""
        file = files.open(path, create=True)
        try:
            count = len(self._timestamps)
            if self._stale:
                file.truncate(self._saved_count * ENTRY_SIZE)
                self._stale = False
            if self._saved_count < count:
                pack = _ENTRY.pack
                start = self._saved_count
                part = b"".join(map(pack, self._timestamps[start:], self._offsets[start:]))
                write_fully(file, [part], start * ENTRY_SIZE)
                self._saved_count = count
            file.truncate((count if trim else max(count, self.max_entries)) * ENTRY_SIZE)
        finally:
            file.close()


def last_file_entry(files: FileSystem, path: str, base_offset: int) -> tuple[int, int]:
    """The last entry of a trimmed file, without reading all of it; (-1, base offset) without one."""
    file = files.open(path, read_only=True)
    try:
        size = file.size()
        if size < ENTRY_SIZE:
            return NO_TIMESTAMP, base_offset
        timestamp, offset = _ENTRY.unpack(file.pread(ENTRY_SIZE, size - size % ENTRY_SIZE - ENTRY_SIZE))
        return timestamp, base_offset + offset
    finally:
        file.close()


def _content_size(data: bytes) -> int:
    """Bytes before the zero padding. An entry is never all zeros unless it is the first, (0, base offset):
    that one is told from padding by its follower, or dropped, which only makes lookups start earlier."""
    end = len(data) - len(data) % ENTRY_SIZE
    stripped = len(data[:end].rstrip(b"\0"))
    return min(end, -(-stripped // ENTRY_SIZE) * ENTRY_SIZE)

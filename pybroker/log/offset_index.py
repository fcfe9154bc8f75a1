"""The sparse offset index of a segment: `<base>.index`.

    8 bytes an entry: relative offset i32, position i32, big endian, both strictly increasing.

In: (last offset of a batch, position of that batch in the segment). Out: the entry at or before an offset.
The entries live in two arrays; the file is a mirror that is written by `save` and read by `load`. The file
of an active segment is extended with zeros to its full size and cut when the segment is rolled or closed,
so a reader must not take the padding for entries.
"""

from __future__ import annotations

import sys
from array import array
from bisect import bisect_right
from typing import Final

from pybroker.common.errors import CorruptionError
from pybroker.common.files import FileSystem, read_file, write_fully

ENTRY_SIZE: Final = 8
_SWAP: Final = sys.byteorder == "little"


class OffsetIndex:
    """Offsets to positions of one segment."""

    __slots__ = ("_base_offset", "_offsets", "_positions", "_saved_count", "_stale", "max_entries")

    def __init__(self, base_offset: int, max_bytes: int) -> None:
        self._base_offset = base_offset
        self._offsets = array("i")
        self._positions = array("i")
        self.max_entries = max_bytes // ENTRY_SIZE
        # Entries that the file holds already; `_stale` when it holds more that must go.
        self._saved_count = 0
        self._stale = False

    def __len__(self) -> int:
        return len(self._offsets)

    @property
    def is_full(self) -> bool:
        return len(self._offsets) >= self.max_entries

    @property
    def memory_bytes(self) -> int:
        return len(self._offsets) * 8

    @property
    def pending_count(self) -> int:
        """Entries that the file does not hold yet."""
        return len(self._offsets) - self._saved_count

    @property
    def last_position(self) -> int:
        """Position of the last entry, 0 without one."""
        return self._positions[-1] if self._positions else 0

    @property
    def last_offset(self) -> int:
        """Offset of the last entry, the base offset without one."""
        return self._base_offset + self._offsets[-1] if self._offsets else self._base_offset

    def append(self, offset: int, position: int) -> None:
        """Add an entry beyond all others."""
        self._offsets.append(offset - self._base_offset)
        self._positions.append(position)

    def lookup(self, offset: int) -> tuple[int, int]:
        """(offset, position) of the last entry at or before `offset`; (base offset, 0) without one."""
        index = bisect_right(self._offsets, offset - self._base_offset) - 1
        if index < 0:
            return self._base_offset, 0
        return self._base_offset + self._offsets[index], self._positions[index]

    def before_position(self, position: int) -> int:
        """The last indexed position at or before `position`: a place where a batch starts."""
        index = bisect_right(self._positions, position) - 1
        return self._positions[index] if index >= 0 else 0

    def truncate_to(self, offset: int) -> None:
        """Remove all entries at or above `offset`."""
        count = bisect_right(self._offsets, offset - self._base_offset - 1)
        if count < len(self._offsets):
            del self._offsets[count:]
            del self._positions[count:]
            if self._saved_count > count:
                self._saved_count = count
                self._stale = True

    def reset(self) -> None:
        """Forget everything, also what the file holds."""
        self._offsets = array("i")
        self._positions = array("i")
        self._saved_count = 0
        self._stale = True

    def load(self, files: FileSystem, path: str) -> None:
        """Read the file. CorruptionError when what it holds cannot be an index; then rebuild it."""
        data = read_file(files, path)
        values = array("i")
        values.frombytes(data[: len(data) - len(data) % ENTRY_SIZE])
        if _SWAP:
            values.byteswap()
        offsets, positions = values[0::2], values[1::2]
        # Zero padding: the first position is above 0, as the first batch of a segment gets no entry.
        count = len(positions)
        if count and positions[-1] == 0:
            count = _count_before_padding(positions)
            del offsets[count:]
            del positions[count:]
        if count and (offsets[0] < 0 or positions[0] <= 0):
            raise CorruptionError(f"{path}: first entry is ({offsets[0]}, {positions[0]})")
        if not _increasing(offsets) or not _increasing(positions):
            raise CorruptionError(f"{path}: entries do not increase")
        self._offsets, self._positions = offsets, positions
        self._saved_count = count
        self._stale = False

    def save(self, files: FileSystem, path: str, *, trim: bool) -> None:
        """Bring the file up to date: cut to its entries with `trim`, else extended with zeros."""
        file = files.open(path, create=True)
        try:
            count = len(self._offsets)
            if self._stale:
                file.truncate(self._saved_count * ENTRY_SIZE)
                self._stale = False
            if self._saved_count < count:
                part = array("i", bytes(ENTRY_SIZE * (count - self._saved_count)))
                part[0::2] = self._offsets[self._saved_count :]
                part[1::2] = self._positions[self._saved_count :]
                if _SWAP:
                    part.byteswap()
                write_fully(file, [part.tobytes()], self._saved_count * ENTRY_SIZE)
                self._saved_count = count
            file.truncate((count if trim else max(count, self.max_entries)) * ENTRY_SIZE)
        finally:
            file.close()


def last_entry_position(files: FileSystem, path: str) -> int:
    """Position of the last entry of a trimmed index file, without reading all of it; 0 without entries.

    The caller must check that a sound batch starts there.
    """
    file = files.open(path, read_only=True)
    try:
        size = file.size()
        if size < ENTRY_SIZE:
            return 0
        return int.from_bytes(file.pread(4, size - size % ENTRY_SIZE - 4), "big", signed=True)
    finally:
        file.close()


def _count_before_padding(positions: array[int]) -> int:
    """Entries before the zeros at the end, by bisection: positions increase, then there are only zeros."""
    low, high = 0, len(positions)
    while low < high:
        middle = (low + high) // 2
        if positions[middle] > 0:
            low = middle + 1
        else:
            high = middle
    return low


def _increasing(values: array[int]) -> bool:
    previous = -1
    for value in values:
        if value <= previous:
            return False
        previous = value
    return True

"""The aborted-transaction index of a segment: `<base>.txnindex`.

    34 bytes an entry: version i16 = 0, producerId i64, firstOffset i64, lastOffset i64 (the abort marker),
    lastStableOffset i64, big endian.

The file is made with its first entry, under the segment that holds the marker. Entries are few, so they are
kept as a list and the file is written as they come. What the disk refused is written with the next entry or
the next flush: until then the list is ahead of the file.
"""

from __future__ import annotations

import struct
from typing import Final, NamedTuple

from pybroker.common.errors import CorruptionError
from pybroker.common.files import FileSystem, read_file, write_fully

_ENTRY: Final = struct.Struct(">hqqqq")
ENTRY_SIZE: Final = _ENTRY.size


class AbortedTransaction(NamedTuple):
    """One aborted transaction: the producer's records from first_offset up to the marker at last_offset."""

    producer_id: int
    first_offset: int
    last_offset: int
    last_stable_offset: int


class TransactionIndex:
    """Aborted transactions of one segment."""

    __slots__ = ("_base_offset", "_files", "_path", "_saved_count", "entries")

    def __init__(self, files: FileSystem, path: str, base_offset: int) -> None:
        self._files = files
        self._path = path
        self._base_offset = base_offset
        self.entries: list[AbortedTransaction] = []
        self._saved_count = 0

    def load(self) -> None:
        """Read the file if there is one; CorruptionError when it fails its sanity check."""
        self.entries = []
        if not self._files.exists(self._path):
            return
        data = read_file(self._files, self._path)
        if len(data) % ENTRY_SIZE:
            raise CorruptionError(f"{self._path}: {len(data)} bytes are no whole number of entries")
        previous = -1
        for version, *numbers in _ENTRY.iter_unpack(data):
            entry = AbortedTransaction(*numbers)
            if (
                version != 0
                or entry.last_offset < self._base_offset
                or entry.last_offset <= previous
                or not 0 <= entry.first_offset < entry.last_offset
                or not 0 <= entry.last_stable_offset <= entry.last_offset + 1
            ):
                raise CorruptionError(f"{self._path}: entry {entry} of version {version} is not sound")
            previous = entry.last_offset
            self.entries.append(entry)
        self._saved_count = len(self.entries)

    @property
    def is_saved(self) -> bool:
        """Whether the file has all entries."""
        return self._saved_count == len(self.entries)

    def append(self, entry: AbortedTransaction) -> None:
        """Add an entry; its marker lies beyond all others. OSError: it is known, but not written yet."""
        self.entries.append(entry)
        self.save()

    def save(self) -> None:
        """Write what the file does not have yet. OSError."""
        if self.is_saved:
            return
        first = self._saved_count
        count = len(self.entries)
        file = self._files.open(self._path, create=True)
        try:
            data = b"".join(_ENTRY.pack(0, *entry) for entry in self.entries[first:])
            write_fully(file, [data], first * ENTRY_SIZE)
        finally:
            file.close()
        self._saved_count = count

    def truncate_to(self, offset: int) -> None:
        """Remove the entries whose marker is at or above `offset`."""
        kept = [entry for entry in self.entries if entry.last_offset < offset]
        if len(kept) < len(self.entries):
            self.entries = kept
            self._saved_count = min(self._saved_count, len(kept))
            if not self._files.exists(self._path):
                return
            file = self._files.open(self._path)
            try:
                file.truncate(self._saved_count * ENTRY_SIZE)
            finally:
                file.close()

    def aborted_in(self, start_offset: int, end_offset: int) -> tuple[list[AbortedTransaction], bool]:
        """Transactions that have records in [start_offset, end_offset), and whether later segments have none:
        an entry says from where on everything that was open was written."""
        found: list[AbortedTransaction] = []
        for entry in self.entries:
            if entry.last_offset >= start_offset and entry.first_offset < end_offset:
                found.append(entry)
            if entry.last_stable_offset >= end_offset:
                return found, True
        return found, False

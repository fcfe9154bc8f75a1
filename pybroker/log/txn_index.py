"""The aborted-transaction index of a segment: `<base>.txnindex`.

    34 bytes an entry: version i16 = 0, producerId i64, firstOffset i64, lastOffset i64 (the abort marker),
    lastStableOffset i64, big endian.

The file is made with its first entry, under the segment that holds the marker. Entries are few, so they are
kept as a list and the file is written as they come.
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

    __slots__ = ("_base_offset", "_files", "_path", "entries")

    def __init__(self, files: FileSystem, path: str, base_offset: int) -> None:
        self._files = files
        self._path = path
        self._base_offset = base_offset
        self.entries: list[AbortedTransaction] = []

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
            if version < 0 or entry.last_offset < self._base_offset or entry.last_offset <= previous:
                raise CorruptionError(f"{self._path}: entry {entry} of version {version} is not sound")
            previous = entry.last_offset
            self.entries.append(entry)

    def append(self, entry: AbortedTransaction) -> None:
        """Add an entry; its marker lies beyond all others."""
        position = len(self.entries) * ENTRY_SIZE
        file = self._files.open(self._path, create=True)
        try:
            write_fully(file, [_ENTRY.pack(0, *entry)], position)
        finally:
            file.close()
        self.entries.append(entry)

    def truncate_to(self, offset: int) -> None:
        """Remove the entries whose marker is at or above `offset`."""
        kept = [entry for entry in self.entries if entry.last_offset < offset]
        if len(kept) < len(self.entries):
            self.entries = kept
            file = self._files.open(self._path)
            try:
                file.truncate(len(kept) * ENTRY_SIZE)
            finally:
                file.close()

    def aborted_in(self, start_offset: int, end_offset: int) -> list[AbortedTransaction]:
        """Transactions that have records in [start_offset, end_offset)."""
        return [
            entry
            for entry in self.entries
            if entry.last_offset >= start_offset and entry.first_offset < end_offset
        ]

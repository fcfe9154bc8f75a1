"""The last offset of each key in the dirty part of a log.

In: the uncompressed records of batches. Out: whether a record is the last of its key. What must hold: two
keys are never taken for one another (a collision would delete a live record), and memory stays within the
budget: when the map is full the pass ends there, and the next one goes on.

Keys up to 32 bytes are kept as they are; longer ones as a marker byte and a 32-byte digest, which no short
key can equal because it is longer.
"""

from __future__ import annotations

from array import array
from bisect import bisect_left
from hashlib import blake2b
from typing import Final

from pybroker.common.errors import CorruptionError
from pybroker.log.cleaner.keys import plain_keys
from pybroker.records.batch import read_varint

LONGEST_KEY: Final = 32
# What an entry costs in CPython: its share of the dict, the key object, the offset object (measured: 150 to
# 190 bytes for keys of 8 to 33 bytes).
_ENTRY_BYTES: Final = 192


def stored_key(key: bytes) -> bytes:
    """The key as the map holds it."""
    return key if len(key) <= LONGEST_KEY else b"\0" + blake2b(key, digest_size=LONGEST_KEY).digest()


class OffsetMap:
    """Keys to last offsets. `latest_offset` is the last offset that was taken in, -1 before any."""

    __slots__ = ("_max_entries", "_survivors", "_with_tombstones", "entries", "latest_offset")

    def __init__(self, max_bytes: int) -> None:
        self._max_entries = max(max_bytes // _ENTRY_BYTES, 1)
        self.entries: dict[bytes, int] = {}
        self.latest_offset = -1
        # Base offsets of the batches taken in that have records without a value, or may have.
        self._with_tombstones = array("q")
        self._survivors: array[int] | None = None

    @property
    def full(self) -> bool:
        """Whether the pass has to end here; looked at between batches, so one batch may go beyond."""
        return len(self.entries) >= self._max_entries

    @property
    def fullness(self) -> float:
        """How much of the budget is used, as a fraction."""
        return len(self.entries) / self._max_entries

    def add_batch(self, data: bytes, count: int, base_offset: int, *, dense: bool) -> int:
        """Take in the records of one batch (`data`: uncompressed); returns how many have no key. `dense`: the
        header says that no offset is missing.

        CorruptionError when the records make no sense.
        """
        self._survivors = None
        plain = plain_keys(data, count, dense=True) if dense else None
        if plain is None:
            self._with_tombstones.append(base_offset)
            return self._add_slowly(data, count, base_offset)
        if plain.has_tombstones:
            self._with_tombstones.append(base_offset)
        keys = plain.keys if plain.longest <= LONGEST_KEY else map(stored_key, plain.keys)
        self.entries.update(zip(keys, range(base_offset, base_offset + count), strict=True))
        return 0

    def survivors(self, base_offset: int, last_offset: int) -> array[int] | None:
        """The offsets of a batch that stay, if it was taken in; None when its records have to be looked at,
        because some may be without a value."""
        found = self._survivors
        if found is None:
            found = self._survivors = array("q", sorted(self.entries.values()))
        doubtful = self._with_tombstones
        at = bisect_left(doubtful, base_offset)
        if at < len(doubtful) and doubtful[at] == base_offset:
            return None
        start = bisect_left(found, base_offset)
        return found[start : bisect_left(found, last_offset + 1, start)]

    def _add_slowly(self, data: bytes, count: int, base_offset: int) -> int:
        entries = self.entries
        position = 0
        keyless = 0
        try:
            for _ in range(count):
                number = data[position]
                position += 1
                if number & 0x80:
                    length, position = read_varint(data, position - 1)
                else:
                    length = number >> 1 ^ -(number & 1)
                end = position + length
                if length < 0 or end > len(data):
                    raise CorruptionError(f"record of {length} bytes is beyond its batch")
                # Attributes and timestamp are of no interest.
                position += 1
                while data[position] & 0x80:
                    position += 1
                position += 1
                number = data[position]
                position += 1
                if number & 0x80:
                    delta, position = read_varint(data, position - 1)
                else:
                    delta = number >> 1 ^ -(number & 1)
                number = data[position]
                position += 1
                if number & 0x80:
                    length, position = read_varint(data, position - 1)
                else:
                    length = number >> 1 ^ -(number & 1)
                if length < 0:
                    keyless += 1
                elif length <= LONGEST_KEY:
                    entries[data[position : position + length]] = base_offset + delta
                else:
                    entries[stored_key(data[position : position + length])] = base_offset + delta
                position = end
        except IndexError:
            raise CorruptionError("batch ends within a record") from None
        return keyless

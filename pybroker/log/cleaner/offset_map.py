"""Which records of the dirty part of a log are the last of their key.

In: the uncompressed records of batches, from the last batch to the first. Out: the offsets that stay, and
whether a key comes again later. What must hold: two keys are never taken for one another (a collision would
delete a live record), and memory stays within the budget (looked at every `_ROUND` records): a map that is
overfull is thrown away, and the pass takes a smaller part of the log.

Backwards, a key that was seen already has a later record, so that a set of keys and the offsets of those that
were new are all that is needed: half of what a dict of offsets would be, and nothing of it is ever replaced.

A key of up to 32 bytes is kept as it is behind a byte that tells its length; a longer one as a byte that no
such key begins with and a 32-byte digest.
"""

from __future__ import annotations

from array import array
from bisect import bisect_left
from collections.abc import Sequence
from hashlib import blake2b
from typing import Final

from pybroker.common.errors import CorruptionError
from pybroker.log.cleaner.keys import plain_keys
from pybroker.records.batch import read_varint

LONGEST_KEY: Final = 32
# What an entry costs in CPython at most: its share of the set (also while that grows), the key object, the
# offset.
ENTRY_BYTES: Final = 192
_DIGEST: Final = b"\1"
# Small batches are looked up together until they have so many records, which fit into the processor's caches.
_ROUND: Final = 1_000


def stored_key(key: bytes) -> bytes:
    """The key as the map holds it."""
    if len(key) <= LONGEST_KEY:
        return bytes((len(key) << 1,)) + key
    return _DIGEST + blake2b(key, digest_size=32).digest()


def stored_keys(keys: Sequence[bytes], longest: int) -> Sequence[bytes]:
    """The same for keys that have their length before them, the longest of which has `longest` bytes."""
    return keys if longest <= LONGEST_KEY else [stored_key(key[1:]) for key in keys]


class OffsetMap:
    """The last offsets of the keys of [first_offset, end_offset), which begins and ends with a batch."""

    __slots__ = (
        "_max_entries",
        "_offsets",
        "_pending",
        "_pending_count",
        "_round",
        "_with_tombstones",
        "end_offset",
        "first_offset",
        "keys",
    )

    def __init__(self, max_bytes: int, first_offset: int, end_offset: int) -> None:
        self._max_entries = max(max_bytes // ENTRY_BYTES, 1)
        self._round = min(_ROUND, self._max_entries // 16)
        self.first_offset = first_offset
        self.end_offset = end_offset
        self.keys: set[bytes] = set()
        # Keys and offsets of batches that are not in the map yet.
        self._pending: list[tuple[Sequence[bytes], Sequence[int]]] = []
        self._pending_count = 0
        self._offsets = array("q")
        # Base offsets of the batches taken in that have records without a value, or may have.
        self._with_tombstones: set[int] = set()

    @property
    def overfull(self) -> bool:
        """Whether it holds more than it may."""
        return len(self.keys) > self._max_entries

    @property
    def fullness(self) -> float:
        """How much of the budget is used, as a fraction."""
        return len(self.keys) / self._max_entries

    def add_batch(self, data: bytes, count: int, base_offset: int, *, dense: bool) -> None:
        """Take in the records of one batch (`data`: uncompressed). `dense`: the header says that no offset is
        missing.

        CorruptionError when the records make no sense.
        """
        plain = plain_keys(data, count, dense=True) if dense else None
        if plain is None:
            self._with_tombstones.add(base_offset)
            self._pending.append(_slow_keys(data, count, base_offset))
        else:
            if plain.has_tombstones:
                self._with_tombstones.add(base_offset)
            keys = stored_keys(plain.keys, plain.longest)
            self._pending.append((keys, range(base_offset, base_offset + count)))
        self._pending_count += count
        if self._pending_count > self._round:
            self._compare()

    def _compare(self) -> None:
        """Put what is pending into the map."""
        fresh = set().union(*(keys for keys, _ in self._pending)).difference(self.keys)
        if fresh:
            self.keys |= fresh
            last: dict[bytes, int] = {}
            for keys, offsets in reversed(self._pending):
                if not fresh.isdisjoint(keys):
                    last.update(zip(keys, offsets, strict=True))
            self._offsets.extend(sorted(map(last.__getitem__, fresh), reverse=True))
        self._pending.clear()
        self._pending_count = 0

    def finish(self) -> None:
        """All batches were taken in."""
        self._compare()
        self._offsets.reverse()

    def survivors(self, base_offset: int, last_offset: int) -> array[int]:
        """The offsets of a batch of [first_offset, end_offset) that are the last of their key, in order."""
        found = self._offsets
        start = bisect_left(found, base_offset)
        return found[start : bisect_left(found, last_offset + 1, start)]

    def survivor_from(self, offset: int) -> int:
        """The first offset from this one on that is the last of its key; the map's end if there is none."""
        found = self._offsets
        place = bisect_left(found, offset)
        return found[place] if place < len(found) else self.end_offset

    def may_have_tombstones(self, base_offset: int) -> bool:
        """Whether a batch that was taken in may have records without a value, or without a key."""
        return base_offset in self._with_tombstones


def _slow_keys(data: bytes, count: int, base_offset: int) -> tuple[list[bytes], list[int]]:
    """The keys, as they are stored, and offsets of the records that have one."""
    keys: list[bytes] = []
    offsets: list[int] = []
    position = 0
    try:
        for _ in range(count):
            length, position = read_varint(data, position)
            end = position + length
            if length < 0 or end > len(data):
                raise CorruptionError(f"record of {length} bytes is beyond its batch")
            # Attributes and timestamp are of no interest.
            position += 1
            while data[position] & 0x80:
                position += 1
            delta, position = read_varint(data, position + 1)
            length, position = read_varint(data, position)
            if length >= 0:
                keys.append(stored_key(data[position : position + length]))
                offsets.append(base_offset + delta)
            position = end
    except IndexError:
        raise CorruptionError("batch ends within a record") from None
    return keys, offsets

"""The keys of a batch's records, read with as few steps of the interpreter as possible: a pass over millions
of records spends its time here.

In: the uncompressed records of a batch. Out: their keys, in order. What must hold: a batch that is not of the
plain form (every record with a key of less than 64 bytes) is left to the slow way, never misread.

A record is length, attributes, timestamp delta, offset delta, key length, key, value length, ...; lengths and
deltas are varints. Of a run of records the heads are cut out, all of one size, and put one behind the other:
one regular expression then takes the keys of those that have it in the same place, and columns of bytes tell
whether the offsets follow each other.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from functools import lru_cache
from itertools import repeat
from typing import Final, NamedTuple

# The first and the second byte of the offset deltas 0, 1, 2, ...
_MOST: Final = 8192
_FIRST: Final = bytes(index << 1 & 0x7F | (0x80 if index > 63 else 0) for index in range(_MOST))
_SECOND: Final = bytes(index >> 6 & 0x7F for index in range(_MOST))
# From this index on a delta has two bytes.
_TWO_BYTES_FROM: Final = 64
# Half a length's byte; of a negative length so much that nothing can follow.
_HALF: Final = tuple(1 << 60 if byte & 1 else byte >> 1 for byte in range(128))
# Room for the key in a head: the least that is enough for the first one.
_ROOMS: Final = (16, 32, 63)
# A run that was shorter than this: the next records are looked at one by one.
_SHORT: Final = 8
_PAUSE: Final = 32


class PlainKeys(NamedTuple):
    """The keys of all records of a batch, each behind the byte that tells its length; what no key is longer
    than; whether a record has no value."""

    keys: list[bytes]
    longest: int
    has_tombstones: bool


def plain_keys(data: bytes, count: int, *, dense: bool) -> PlainKeys | None:
    """The keys of `count` records; None when the batch is of another form or makes no sense.

    `dense`: only if the offsets follow each other from the batch's base offset on. Costs 0.25 us a record in
    runs, 0.4 us beside them.
    """
    if count > _MOST:
        return None
    keys: list[bytes] = []
    has_tombstones = False
    position = index = next_run = longest = 0
    try:
        while index < count:
            number = data[position]
            if number < 0x80:
                end = position + 1 + (number >> 1)
                position += 2
            else:
                high = data[position + 1]
                if high >= 0x80:
                    return None
                end = position + 2 + ((number & 0x7F | high << 7) >> 1)
                position += 3
            if number & 1:
                return None
            timestamp = position
            while data[position] >= 0x80:
                position += 1
            position += 1
            delta = position
            if not dense:
                while data[position] >= 0x80:
                    position += 1
                position += 1
            elif index < _TWO_BYTES_FROM:
                if data[position] != index << 1:
                    return None
                position += 1
            else:
                if data[position] != index << 1 & 0x7F | 0x80 or data[position + 1] != index >> 6:
                    return None
                position += 2
            number = data[position]
            if number & 0x81:
                return None
            length_at = position
            stop = position + 1 + (number >> 1)
            if stop >= end:
                return None
            keys.append(data[position:stop])
            longest = max(longest, stop - position - 1)
            if data[stop] == 1:
                has_tombstones = True
            index += 1
            position = end
            # The last record stays for the next turn: its head may be longer than what there is.
            wanted = count - index - 1
            if index >= next_run and wanted >= _SHORT:
                timestamp_width, delta_width = delta - timestamp, length_at - delta
                if dense:
                    delta_width = 1 if index < _TWO_BYTES_FROM else 2
                    if index < _TWO_BYTES_FROM:
                        wanted = min(wanted, _TWO_BYTES_FROM - index)
                form = _form(timestamp_width, delta_width, stop - length_at - 1, has_tombstones)
                run, position = _run(data, position, wanted, form)
                if dense and run.deltas != _deltas(index, len(run.keys), delta_width):
                    return None
                keys += run.keys
                index += len(run.keys)
                longest = max(longest, form.room)
                if len(run.keys) < _SHORT:
                    next_run = index + _PAUSE
    except IndexError:
        return None
    if position != len(data):
        return None
    return PlainKeys(keys, longest, has_tombstones)


class _Form(NamedTuple):
    """Heads of `size` bytes behind a record's length: the finder gives the keys, each with its length, of as
    many as are alike in all widths, and an empty one for the rest. Offset deltas are in these places."""

    size: int
    # For the key.
    room: int
    finder: Callable[[bytes], list[bytes]]
    places: range


@lru_cache(1024)
def _form(timestamp_width: int, delta_width: int, key_length: int, tombstones: bool) -> _Form:
    """The form of records like one that has a key of this length; without values only if `tombstones`."""
    room = next(room for room in _ROOMS if room >= key_length)
    lengths = sorted(range(room + 1), key=lambda length: abs(length - key_length))
    varint = [b"[\x80-\xff]" * (width - 1) + b"[\0-\x7f]" for width in (timestamp_width, delta_width)]
    keys = b"|".join(re.escape(bytes((length << 1,))) + b".{%d}" % length for length in lengths)
    value = b"." if tombstones else b"[^\1]"
    size = 1 + timestamp_width + delta_width + 1 + room + 1
    pattern = b"(?s)(?=.%b(%b)%b).{%d}|.+" % (b"".join(varint), keys, value, size)
    start = 1 + timestamp_width
    return _Form(size, room, re.compile(pattern).findall, range(start, start + delta_width))


class _Run(NamedTuple):
    keys: list[bytes]
    # The columns of the offset deltas.
    deltas: list[bytes]


def _run(data: bytes, position: int, wanted: int, form: _Form) -> tuple[_Run, int]:
    """At most `wanted` records from `position` on that have this form, and where they end."""
    start = position
    size = form.size
    half = _HALF
    heads: list[bytes] = []
    add = heads.append
    for _ in repeat(None, wanted):
        number = data[position]
        if number < 0x80:
            position += 1
            add(data[position : position + size])
            position += half[number]
        else:
            high = data[position + 1]
            if high >= 0x80 or number & 1:
                break
            position += 2
            add(data[position : position + size])
            position += (number & 0x7F | high << 7) >> 1
    whole = len(heads)
    while heads and len(heads[-1]) < size:
        heads.pop()
    joined = b"".join(heads)
    keys = form.finder(joined)
    if keys and not keys[-1]:
        keys.pop()
    if len(keys) < whole:
        position = start
        for _ in keys:
            number = data[position]
            if number < 0x80:
                position += half[number] + 1
            else:
                position += ((number & 0x7F | data[position + 1] << 7) >> 1) + 2
    end = len(keys) * size
    return _Run(keys, [joined[place:end:size] for place in form.places]), position


def _deltas(index: int, count: int, width: int) -> list[bytes]:
    """The columns of the offset deltas index, index + 1, ..."""
    columns = (_FIRST, _SECOND)[:width]
    return [column[index : index + count] for column in columns]

"""What stays of one batch.

In: a batch, the offset map, whether the batch's tombstones have expired. Out: the batch as it is, a smaller
one, or nothing. What must hold (storage.md section 9): base offset, last offset, sequence and epochs stay,
and so do the bytes of surviving records; only where a delete horizon is set are their timestamp deltas
rewritten, because the horizon takes the base timestamp's place (KIP-534).
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final, NamedTuple

from pybroker.common.errors import CorruptionError
from pybroker.log.cleaner.keys import plain_keys
from pybroker.log.cleaner.offset_map import OffsetMap, stored_key, stored_keys
from pybroker.records import compression
from pybroker.records.batch import (
    CODEC_MASK,
    DELETE_HORIZON_BIT,
    HEADER,
    HEADER_SIZE,
    LOG_APPEND_TIME_BIT,
    LOG_OVERHEAD,
    NO_TIMESTAMP,
    BatchHeader,
    read_varint,
    read_varlong,
    recompute_crc,
    wrap_int64,
    write_varint,
)

_TIMESTAMP_MIN: Final = -(1 << 63)


def not_superseded(data: bytes, header: BatchHeader, offsets: OffsetMap) -> Sequence[int] | None:
    """Which records of a batch from before the map stay, by their place in it; None when each has to be
    looked at, because some have no key or no value."""
    plain = plain_keys(data, header.record_count, dense=False)
    if plain is None or plain.has_tombstones:
        return None
    keys = stored_keys(plain.keys, plain.longest)
    gone = set(keys).intersection(offsets.keys)
    if not gone:
        return range(header.record_count)
    return [place for place, key in enumerate(keys) if key not in gone]


def with_only(header: BatchHeader, data: bytes, places: Sequence[int]) -> bytes:
    """The batch with only the records at these places, one at least. Of what goes nothing is read but the
    lengths. CorruptionError when the records make no sense."""
    pieces: list[bytes] = []
    position = start = end = index = 0
    largest = _TIMESTAMP_MIN
    try:
        for wanted in places:
            while index < wanted:
                number = data[position]
                if number < 0x80:
                    position += 1 + (number >> 1)
                else:
                    length, position = read_varint(data, position)
                    position += length
                index += 1
            if position != end:
                pieces.append(data[start:end])
                start = position
            length, body = read_varint(data, position)
            delta, _ = read_varlong(data, body + 1)
            if delta > largest:
                largest = delta
            position = end = body + length
            index += 1
    except IndexError:
        raise CorruptionError("batch ends within a record") from None
    pieces.append(data[start:end])
    records = b"".join(pieces)
    max_timestamp = header.max_timestamp
    if not header.attributes & LOG_APPEND_TIME_BIT:
        max_timestamp = max(wrap_int64(header.base_timestamp + largest), NO_TIMESTAMP)
    return _batch(header, header.attributes, header.base_timestamp, max_timestamp, len(places), records)


class Survivors(NamedTuple):
    """The records of a batch that stay: (start, end) in the uncompressed records, in order."""

    ranges: list[tuple[int, int]]
    has_tombstones: bool
    keyless_count: int


def survivors(data: bytes, header: BatchHeader, offsets: OffsetMap, *, keep_tombstones: bool) -> Survivors:
    """Which records of a batch below the map's end stay: the last of each key, tombstones while they are
    kept."""
    keys = offsets.keys
    base_offset = header.base_offset
    # Of a batch that was taken in the map knows the offsets, of one before it whether the keys come again.
    wanted = None
    if header.last_offset >= offsets.first_offset:
        wanted = set(offsets.survivors(base_offset, header.last_offset))
    ranges: list[tuple[int, int]] = []
    has_tombstones = False
    keyless = 0
    position = 0
    size = len(data)
    try:
        for _ in range(header.record_count):
            start = position
            length, position = read_varint(data, position)
            end = position + length
            if length < 0 or end > size:
                raise CorruptionError(f"record of {length} bytes is beyond its batch")
            position += 1
            while data[position] & 0x80:
                position += 1
            delta, position = read_varint(data, position + 1)
            length, position = read_varint(data, position)
            if length < 0:
                # A compacted topic takes no such record; one that had another policy before may hold them.
                keyless += 1
                position = end
                continue
            key_end = position + length
            tombstone = data[key_end] == 1
            if wanted is None:
                last = stored_key(data[position:key_end]) not in keys
            else:
                last = base_offset + delta in wanted
            if last and (keep_tombstones or not tombstone):
                ranges.append((start, end))
                if tombstone:
                    has_tombstones = True
            position = end
    except IndexError:
        raise CorruptionError("batch ends within a record") from None
    if position != size:
        raise CorruptionError(f"{size - position} bytes follow the last record")
    return Survivors(ranges, has_tombstones, keyless)


def rebuilt(
    header: BatchHeader, data: bytes, ranges: list[tuple[int, int]], delete_horizon_ms: int | None
) -> bytes:
    """The batch with only these records; with a delete horizon (None: as it was) in its base timestamp."""
    attributes = header.attributes
    append_time = attributes & LOG_APPEND_TIME_BIT
    base_timestamp = header.base_timestamp
    max_timestamp = NO_TIMESTAMP
    parts: list[bytes | bytearray] = []
    for start, end in ranges:
        _, position = read_varint(data, start)
        timestamp_delta, after = read_varlong(data, position + 1)
        max_timestamp = max(max_timestamp, base_timestamp + timestamp_delta)
        if delete_horizon_ms is None:
            parts.append(data[start:end])
            continue
        body = bytearray(data[position : position + 1])
        write_varint(body, wrap_int64(base_timestamp + timestamp_delta - delete_horizon_ms))
        body += data[after:end]
        record = bytearray()
        write_varint(record, len(body))
        record += body
        parts.append(record)
    if delete_horizon_ms is not None:
        attributes |= DELETE_HORIZON_BIT
        base_timestamp = delete_horizon_ms
    if append_time:
        max_timestamp = header.max_timestamp
    return _batch(header, attributes, base_timestamp, max_timestamp, len(ranges), b"".join(parts))


def emptied(header: BatchHeader) -> bytes:
    """The header alone: it keeps a producer's sequence and epoch, or the end offset of the pass."""
    # As Kafka writes an empty batch: no codec, no delete horizon, and no base timestamp.
    attributes = header.attributes & ~DELETE_HORIZON_BIT & ~CODEC_MASK
    return _batch(header, attributes, NO_TIMESTAMP, header.max_timestamp, 0, b"")


def _batch(
    header: BatchHeader,
    attributes: int,
    base_timestamp: int,
    max_timestamp: int,
    record_count: int,
    records: bytes,
) -> bytes:
    records = compression.compress(attributes & CODEC_MASK, records)
    out = bytearray(HEADER_SIZE + len(records))
    HEADER.pack_into(
        out,
        0,
        header.base_offset,
        len(out) - LOG_OVERHEAD,
        header.leader_epoch,
        header.magic,
        0,
        attributes,
        header.last_offset_delta,
        base_timestamp,
        max_timestamp,
        header.producer_id,
        header.producer_epoch,
        header.base_sequence,
        record_count,
    )
    out[HEADER_SIZE:] = records
    recompute_crc(out)
    return bytes(out)

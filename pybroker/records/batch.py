"""Record batches of format version 2: header, records, building.

In: a view whose first byte is a batch's base offset. Out: `BatchHeader`, `Record`s, or a new batch. What
must hold: nothing outside the view is read, every malformed batch is a CorruptionError, and what is built
is byte for byte what Kafka's own writer makes for the same records (apart from the compressor's choices).
"""

from __future__ import annotations

import struct
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import Final, NamedTuple

from crc32c import crc32c

from pybroker.common.errors import CorruptionError
from pybroker.records import compression

Buffer = bytes | bytearray | memoryview

HEADER_SIZE: Final = 61
# Bytes before and within the length field: `length` counts what follows.
LOG_OVERHEAD: Final = 12
# Base offset, length and leader epoch lie before the magic byte, which is at this position.
MAGIC_POSITION: Final = 16
CRC_POSITION: Final = 17
ATTRIBUTES_POSITION: Final = 21
RECORD_COUNT_POSITION: Final = 57
CURRENT_MAGIC: Final = 2

CODEC_MASK: Final = 0x07
LOG_APPEND_TIME_BIT: Final = 0x08
TRANSACTIONAL_BIT: Final = 0x10
CONTROL_BIT: Final = 0x20
DELETE_HORIZON_BIT: Final = 0x40

CREATE_TIME: Final = 0
LOG_APPEND_TIME: Final = 1
NO_TIMESTAMP: Final = -1

HEADER: Final = struct.Struct(">qiibIhiqqqhii")
_UINT32: Final = struct.Struct(">I")
_INT32: Final = struct.Struct(">i")
_INT64: Final = struct.Struct(">q")
_UINT64_MASK: Final = (1 << 64) - 1
_INT64_MAX: Final = (1 << 63) - 1
_INT64_MIN: Final = -(1 << 63)


def codec(attributes: int) -> int:
    """The codec number (0 none, 1 gzip, 2 snappy, 3 lz4, 4 zstd; 5 to 7 mean nothing)."""
    return attributes & CODEC_MASK


def is_transactional(attributes: int) -> bool:
    return attributes & TRANSACTIONAL_BIT != 0


def is_control(attributes: int) -> bool:
    return attributes & CONTROL_BIT != 0


class BatchHeader(NamedTuple):
    """The 61 bytes before the records, in their order."""

    base_offset: int
    length: int
    leader_epoch: int
    magic: int
    crc: int
    attributes: int
    last_offset_delta: int
    base_timestamp: int
    max_timestamp: int
    producer_id: int
    producer_epoch: int
    base_sequence: int
    record_count: int

    @property
    def size(self) -> int:
        """Bytes of the whole batch."""
        return self.length + LOG_OVERHEAD

    @property
    def last_offset(self) -> int:
        return self.base_offset + self.last_offset_delta

    @property
    def next_offset(self) -> int:
        return self.base_offset + self.last_offset_delta + 1

    @property
    def codec(self) -> int:
        return self.attributes & CODEC_MASK

    @property
    def timestamp_type(self) -> int:
        return LOG_APPEND_TIME if self.attributes & LOG_APPEND_TIME_BIT else CREATE_TIME

    @property
    def is_transactional(self) -> bool:
        return self.attributes & TRANSACTIONAL_BIT != 0

    @property
    def is_control(self) -> bool:
        return self.attributes & CONTROL_BIT != 0

    @property
    def delete_horizon_ms(self) -> int | None:
        """When the cleaner may drop the tombstones; kept in the base timestamp's place."""
        return self.base_timestamp if self.attributes & DELETE_HORIZON_BIT else None

    @property
    def last_sequence(self) -> int:
        """Sequence of the last record; sequences wrap from 2^31-1 to 0. -1 without sequences."""
        if self.base_sequence < 0:
            return -1
        return (self.base_sequence + self.last_offset_delta) & 0x7FFFFFFF


@dataclass(slots=True)
class Record:
    """One record with its absolute offset and timestamp. Header keys are raw UTF-8 bytes."""

    offset: int = 0
    timestamp: int = NO_TIMESTAMP
    key: bytes | None = None
    value: bytes | None = None
    headers: tuple[tuple[bytes, bytes | None], ...] = ()


def read_header(buf: Buffer, pos: int = 0) -> BatchHeader:
    """The header at `pos`. Checks that 61 bytes are there, the magic byte and the length; not the CRC."""
    if len(buf) - pos < HEADER_SIZE or pos < 0:
        raise CorruptionError(f"{len(buf) - pos} bytes are too few for a batch header")
    header = BatchHeader._make(HEADER.unpack_from(buf, pos))
    if header.magic != CURRENT_MAGIC:
        raise CorruptionError(f"batch has magic {header.magic}")
    if header.length < HEADER_SIZE - LOG_OVERHEAD:
        raise CorruptionError(f"batch has length {header.length}")
    return header


def iter_headers(buf: Buffer, pos: int = 0) -> Iterator[tuple[int, BatchHeader]]:
    """(position, header) of the batches that lie back to back in `buf`; a cut last one is left out."""
    size = len(buf)
    while size - pos >= HEADER_SIZE:
        header = read_header(buf, pos)
        end = pos + header.length + LOG_OVERHEAD
        if end > size:
            return
        yield pos, header
        pos = end


def crc_matches(buf: Buffer, pos: int = 0) -> bool:
    """Whether the stored checksum is that of the bytes from the attributes to the end of the batch."""
    (length,) = _INT32.unpack_from(buf, pos + 8)
    end = pos + LOG_OVERHEAD + length
    if length < HEADER_SIZE - LOG_OVERHEAD or end > len(buf):
        return False
    stored: int = _UINT32.unpack_from(buf, pos + CRC_POSITION)[0]
    computed: int = crc32c(memoryview(buf)[pos + ATTRIBUTES_POSITION : end])
    return stored == computed


def stamp(buf: bytearray | memoryview, base_offset: int, leader_epoch: int) -> None:
    """Write base offset and leader epoch into a batch; both lie outside the CRC."""
    _INT64.pack_into(buf, 0, base_offset)
    _INT32.pack_into(buf, 12, leader_epoch)


def recompute_crc(buf: bytearray | memoryview) -> int:
    """Store the checksum of a batch that fills `buf` exactly; returns it."""
    checksum: int = crc32c(memoryview(buf)[ATTRIBUTES_POSITION:])
    _UINT32.pack_into(buf, CRC_POSITION, checksum)
    return checksum


def batch_body(batch: Buffer, header: BatchHeader, max_bytes: int = compression.DEFAULT_MAX_OUTPUT) -> bytes:
    """The records of a batch as bytes, decompressed when needed, never more than `max_bytes`."""
    if header.length + LOG_OVERHEAD > len(batch):
        raise CorruptionError(f"batch of {header.size} bytes is cut to {len(batch)}")
    body = memoryview(batch)[HEADER_SIZE : header.length + LOG_OVERHEAD]
    number = header.attributes & CODEC_MASK
    return compression.decompress(number, body, max_bytes) if number else bytes(body)


def iter_records(
    batch: Buffer, *, max_bytes: int = compression.DEFAULT_MAX_OUTPUT, header: BatchHeader | None = None
) -> Iterator[Record]:
    """The records of the batch at the start of `batch`, with absolute offsets and timestamps.

    Bytes after the batch are ignored; the CRC is not checked. A record count that does not agree with the
    content is a CorruptionError, raised when the iteration comes to it.
    """
    if header is None:
        header = read_header(batch)
    data = batch_body(batch, header, max_bytes)
    base_offset = header.base_offset
    base_timestamp = header.base_timestamp
    append_time = header.max_timestamp if header.attributes & LOG_APPEND_TIME_BIT else None
    pos = 0
    size = len(data)
    key: bytes | None
    value: bytes | None
    headers: tuple[tuple[bytes, bytes | None], ...]
    # Small numbers are read in line: a call per field would double the cost.
    try:
        for _ in range(header.record_count):
            length = data[pos]
            if length < 0x80:
                length = length >> 1 ^ -(length & 1)
                pos += 1
            else:
                length, pos = read_varint(data, pos)
            end = pos + length
            if length < 0 or end > size:
                raise CorruptionError(f"record of {length} bytes is beyond the batch")
            timestamp, pos = read_varlong(data, pos + 1)
            if append_time is None:
                timestamp += base_timestamp
                if not _INT64_MIN <= timestamp <= _INT64_MAX:
                    timestamp = wrap_int64(timestamp)
            else:
                timestamp = append_time
            offset_delta, pos = read_varint(data, pos)
            length = data[pos]
            if length < 0x80:
                length = length >> 1 ^ -(length & 1)
                pos += 1
            else:
                length, pos = read_varint(data, pos)
            if length >= 0:
                key = data[pos : pos + length]
                pos += length
            else:
                key = None
            length = data[pos]
            if length < 0x80:
                length = length >> 1 ^ -(length & 1)
                pos += 1
            else:
                length, pos = read_varint(data, pos)
            if length >= 0:
                value = data[pos : pos + length]
                pos += length
            else:
                value = None
            if data[pos]:
                headers, pos = _read_headers(data, pos, end)
            else:
                headers = ()
                pos += 1
            if pos != end:
                raise CorruptionError("record length does not agree with its fields")
            yield Record(base_offset + offset_delta, timestamp, key, value, headers)
    except IndexError:
        raise CorruptionError("batch ends within a record") from None
    if pos != size:
        raise CorruptionError(f"{size - pos} bytes follow the last record")


def _read_headers(data: bytes, pos: int, end: int) -> tuple[tuple[tuple[bytes, bytes | None], ...], int]:
    """(headers, next position); `pos` is that of their count."""
    count, pos = read_varint(data, pos)
    if count < 0 or count > end - pos:
        raise CorruptionError(f"record has {count} headers in {end - pos} bytes")
    headers: list[tuple[bytes, bytes | None]] = []
    for _ in range(count):
        length, pos = read_varint(data, pos)
        if length < 0 or pos + length > end:
            raise CorruptionError(f"header key has length {length}")
        key = data[pos : pos + length]
        pos += length
        length, pos = read_varint(data, pos)
        value: bytes | None = None
        if length >= 0:
            value = data[pos : pos + length]
            pos += length
            if pos > end:
                raise CorruptionError(f"header value has length {length}")
        headers.append((key, value))
    return tuple(headers), pos


def wrap_int64(value: int) -> int:
    """The value as a Java long after overflow: what Kafka makes of a timestamp that does not fit."""
    return (value + (1 << 63) & _UINT64_MASK) - (1 << 63)


def read_varint(data: bytes | bytearray, pos: int) -> tuple[int, int]:
    """(value, next position) of a zigzag varint of at most 5 bytes; IndexError beyond the end.

    Long forms of small numbers are accepted and bits above 32 dropped, as Kafka does.
    """
    byte = data[pos]
    if byte < 0x80:
        return (byte >> 1) ^ -(byte & 1), pos + 1
    value = byte & 0x7F
    shift = 7
    for index in range(pos + 1, pos + 5):
        byte = data[index]
        value |= (byte & 0x7F) << shift
        if byte < 0x80:
            value &= 0xFFFFFFFF
            return (value >> 1) ^ -(value & 1), index + 1
        shift += 7
    raise CorruptionError("varint is longer than 5 bytes")


def read_varlong(data: bytes | bytearray, pos: int) -> tuple[int, int]:
    """(value, next position) of a zigzag varlong of at most 10 bytes; IndexError beyond the end."""
    byte = data[pos]
    if byte < 0x80:
        return (byte >> 1) ^ -(byte & 1), pos + 1
    value = byte & 0x7F
    shift = 7
    for index in range(pos + 1, pos + 10):
        byte = data[index]
        value |= (byte & 0x7F) << shift
        if byte < 0x80:
            value &= _UINT64_MASK
            return (value >> 1) ^ -(value & 1), index + 1
        shift += 7
    raise CorruptionError("varlong is longer than 10 bytes")


def write_varint(out: bytearray, value: int) -> None:
    """Append a zigzag varint (for 32-bit and 64-bit values alike)."""
    number = value << 1 if value >= 0 else (-value << 1) - 1
    while number > 0x7F:
        out.append(number & 0x7F | 0x80)
        number >>= 7
    out.append(number)


def encode_record(out: bytearray, record: Record, offset_delta: int, timestamp_delta: int) -> None:
    """Append one record in its length-prefixed form."""
    body = bytearray(1)
    write_varint(body, timestamp_delta)
    write_varint(body, offset_delta)
    key = record.key
    if key is None:
        body.append(1)
    else:
        write_varint(body, len(key))
        body += key
    value = record.value
    if value is None:
        body.append(1)
    else:
        write_varint(body, len(value))
        body += value
    write_varint(body, len(record.headers))
    for header_key, header_value in record.headers:
        write_varint(body, len(header_key))
        body += header_key
        if header_value is None:
            body.append(1)
        else:
            write_varint(body, len(header_value))
            body += header_value
    write_varint(out, len(body))
    out += body


def build_batch(
    records: Iterable[Record],
    *,
    base_offset: int = 0,
    codec: int = 0,
    timestamp_type: int = CREATE_TIME,
    producer_id: int = -1,
    producer_epoch: int = -1,
    base_sequence: int = -1,
    transactional: bool = False,
    control: bool = False,
    leader_epoch: int = 0,
    level: int | None = None,
    keep_offsets: bool = False,
    last_offset_delta: int | None = None,
    max_timestamp: int | None = None,
    delete_horizon_ms: int | None = None,
) -> bytes:
    """A whole batch with its CRC.

    The records get the offsets `base_offset`, `base_offset` + 1, ... whatever their own say, unless
    `keep_offsets` (the cleaner: their own offsets stay, with gaps; `last_offset_delta` is then the original
    one). `max_timestamp` is computed unless given, as it must be for timestamp type 1. Without records a
    batch with count 0 comes out: the cleaner keeps those for a producer's last sequence.
    """
    out = bytearray(HEADER_SIZE)
    base_timestamp = delete_horizon_ms
    largest = NO_TIMESTAMP
    count = 0
    offset_delta = -1
    for record in records:
        timestamp = record.timestamp
        if base_timestamp is None:
            base_timestamp = timestamp
        if timestamp > largest:
            largest = timestamp
        offset_delta = record.offset - base_offset if keep_offsets else count
        encode_record(out, record, offset_delta, timestamp - base_timestamp)
        count += 1
    if codec:
        body = compression.compress(codec, memoryview(out)[HEADER_SIZE:], level)
        out = bytearray(HEADER_SIZE) + body
    attributes = codec
    if timestamp_type == LOG_APPEND_TIME:
        attributes |= LOG_APPEND_TIME_BIT
    if transactional:
        attributes |= TRANSACTIONAL_BIT
    if control:
        attributes |= CONTROL_BIT
    if delete_horizon_ms is not None:
        attributes |= DELETE_HORIZON_BIT
    HEADER.pack_into(
        out,
        0,
        base_offset,
        len(out) - LOG_OVERHEAD,
        leader_epoch,
        CURRENT_MAGIC,
        0,
        attributes,
        offset_delta if last_offset_delta is None else last_offset_delta,
        NO_TIMESTAMP if base_timestamp is None else base_timestamp,
        largest if max_timestamp is None else max_timestamp,
        producer_id,
        producer_epoch,
        base_sequence,
        count,
    )
    recompute_crc(out)
    return bytes(out)


def timestamp_lookup(
    batch: Buffer, target: int, *, min_offset: int = 0, max_bytes: int = compression.DEFAULT_MAX_OUTPUT
) -> tuple[int, int] | None:
    """(timestamp, offset) of the first record at or after `target` and `min_offset`; None without one."""
    header = read_header(batch)
    if header.max_timestamp < target:
        return None
    if header.attributes & LOG_APPEND_TIME_BIT and min_offset <= header.base_offset:
        return header.max_timestamp, header.base_offset
    for record in iter_records(batch, max_bytes=max_bytes, header=header):
        if record.timestamp >= target and record.offset >= min_offset:
            return record.timestamp, record.offset
    return None


def max_timestamp_record(
    batch: Buffer, *, max_bytes: int = compression.DEFAULT_MAX_OUTPUT
) -> tuple[int, int] | None:
    """(timestamp, offset) of the first record that has the largest timestamp; None for an empty batch."""
    header = read_header(batch)
    if header.record_count <= 0:
        return None
    if header.attributes & LOG_APPEND_TIME_BIT:
        return header.max_timestamp, header.base_offset
    best: tuple[int, int] | None = None
    for record in iter_records(batch, max_bytes=max_bytes, header=header):
        if best is None or record.timestamp > best[0]:
            best = record.timestamp, record.offset
    return best

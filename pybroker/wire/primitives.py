"""Varints and the tagged-field section: what the compiled codecs and the fast codecs share.

In: a buffer and a position. Out: values with the position behind them, or bytes. What must hold: nothing is
allocated from a declared size, and only ProtocolError, IndexError or struct.error leave a read function (the
codec turns the last two, which mean "the buffer ended", into ProtocolError).

    varint: 7 bits per byte, least significant first, the high bit says that another byte follows
"""

from __future__ import annotations

from typing import TypeAlias

from pybroker.common.errors import ProtocolError
from pybroker.wire.limits import MAX_TAGGED_FIELDS

Buffer: TypeAlias = bytes | bytearray | memoryview


def read_unsigned_varint(buf: Buffer, pos: int) -> tuple[int, int]:
    """An unsigned 32-bit varint, at most 5 bytes. Non-minimal ones pass, surplus bits drop, as in Kafka."""
    value = 0
    shift = 0
    while True:
        byte = buf[pos]
        pos += 1
        if byte < 0x80:
            return (value | byte << shift) & 0xFFFFFFFF, pos
        if shift == 28:
            raise ProtocolError("varint longer than 5 bytes")
        value |= (byte & 0x7F) << shift
        shift += 7


def read_compact_length(buf: Buffer, pos: int) -> tuple[int, int]:
    """A compact length: the varint less one, as a signed 32-bit number (negative means null)."""
    value, pos = read_unsigned_varint(buf, pos)
    # Kafka computes in 32 bits: above 2^31 the length is negative, at 2^31 exactly it wraps to the largest.
    return (value - 1 if value <= 0x80000000 else value - 0x100000001), pos


def read_varint(buf: Buffer, pos: int) -> tuple[int, int]:
    """A zigzag 32-bit varint."""
    value, pos = read_unsigned_varint(buf, pos)
    return (value >> 1) ^ -(value & 1), pos


def read_varlong(buf: Buffer, pos: int) -> tuple[int, int]:
    """A zigzag 64-bit varint of at most 10 bytes."""
    value = 0
    shift = 0
    while True:
        byte = buf[pos]
        pos += 1
        if byte < 0x80:
            value = (value | byte << shift) & 0xFFFFFFFFFFFFFFFF
            return (value >> 1) ^ -(value & 1), pos
        if shift == 63:
            raise ProtocolError("varlong longer than 10 bytes")
        value |= (byte & 0x7F) << shift
        shift += 7


def encode_unsigned_varint(value: int) -> bytes:
    if value < 0x80:
        return _ONE_BYTE[value]
    out = bytearray()
    while value >= 0x80:
        out.append(value & 0x7F | 0x80)
        value >>= 7
    out.append(value)
    return bytes(out)


_ONE_BYTE = tuple(bytes((value,)) for value in range(0x80))


def encode_varint(value: int) -> bytes:
    """Zigzag, 32 bits."""
    return encode_unsigned_varint((value << 1) ^ (value >> 31))


def encode_varlong(value: int) -> bytes:
    """Zigzag, 64 bits."""
    return encode_unsigned_varint((value << 1) ^ (value >> 63))


def skip_tagged_fields(buf: Buffer, pos: int, end: int) -> int:
    """Skip a section of tagged fields none of which is known. Returns the position behind it."""
    count, pos = read_unsigned_varint(buf, pos)
    if count > MAX_TAGGED_FIELDS:
        raise ProtocolError(f"{count} tagged fields")
    for _ in range(count):
        _, pos = read_unsigned_varint(buf, pos)
        pos = skip_tag(buf, pos, end)
    return pos


def skip_tag(buf: Buffer, pos: int, end: int) -> int:
    """Skip size and content of one tagged field."""
    size, pos = read_unsigned_varint(buf, pos)
    if size > end - pos:
        raise ProtocolError(f"tagged field of {size} bytes where {end - pos} remain")
    return pos + size

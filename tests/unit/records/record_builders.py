"""Batches for the tests, sound ones and ones that no writer would make."""

from __future__ import annotations

import struct

from crc32c import crc32c

from pybroker.records import compression
from pybroker.records.batch import HEADER, HEADER_SIZE, BatchHeader

NOW = 1_700_000_000_000


def varint(value: int) -> bytes:
    number = value << 1 if value >= 0 else (-value << 1) - 1
    out = bytearray()
    while number > 0x7F:
        out.append(number & 0x7F | 0x80)
        number >>= 7
    out.append(number)
    return bytes(out)


def nullable(content: bytes | None) -> bytes:
    return varint(-1) if content is None else varint(len(content)) + content


def raw_record(
    index: int = 0,
    key: bytes | None = b"k",
    value: bytes | None = b"v",
    *,
    timestamp_delta: int = 0,
    attributes: int = 0,
    headers: bytes = b"\x00",
    length: int | None = None,
    key_bytes: bytes | None = None,
    length_bytes: bytes | None = None,
) -> bytes:
    body = bytes([attributes]) + varint(timestamp_delta) + varint(index)
    body += (nullable(key) if key_bytes is None else key_bytes) + nullable(value) + headers
    prefix = varint(len(body) if length is None else length) if length_bytes is None else length_bytes
    return prefix + body


def raw_batch(
    *records: bytes, codec: int = 0, body: bytes | None = None, bad_crc: bool = False, **fields: int
) -> bytearray:
    """A batch whose header fields may be anything; the checksum fits unless `bad_crc`."""
    if body is None:
        body = compression.compress(codec, b"".join(records))
    values = {
        "base_offset": 0,
        "length": HEADER_SIZE - 12 + len(body),
        "leader_epoch": -1,
        "magic": 2,
        "crc": 0,
        "attributes": codec,
        "last_offset_delta": len(records) - 1,
        "base_timestamp": NOW,
        "max_timestamp": NOW,
        "producer_id": -1,
        "producer_epoch": -1,
        "base_sequence": -1,
        "record_count": len(records),
    }
    values |= fields
    out = bytearray(HEADER.pack(*BatchHeader(**values))) + body
    struct.pack_into(">I", out, 17, crc32c(bytes(out[21:])) ^ (1 if bad_crc else 0))
    return out

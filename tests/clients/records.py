"""The records that every client writes and must get back byte for byte, and the form they are compared in."""

from __future__ import annotations

import base64
import random
import time
from typing import Any, NamedTuple

CODECS = ("none", "gzip", "snappy", "lz4", "zstd")
# An hour ago: old enough to be no timestamp that a broker made, young enough for the default retention.
BASE_TIMESTAMP = int(time.time() * 1000) - 3_600_000


class Record(NamedTuple):
    """What a client wrote, or read when `offset` is not -1. None and empty are different keys and values."""

    partition: int
    key: bytes | None
    value: bytes | None
    headers: tuple[tuple[str, bytes | None], ...] = ()
    timestamp: int = BASE_TIMESTAMP
    offset: int = -1


def mixed_records(
    count: int, partitions: int, *, null_header_values: bool = True, null_records: bool = True
) -> list[Record]:
    """Records of every shape, spread over the partitions, each ten milliseconds after the one before."""
    generator = random.Random(4711)
    binary = bytes(range(256))
    shapes: list[tuple[bytes | None, bytes | None, tuple[tuple[str, bytes | None], ...]]] = [
        (b"key", b"value", ()),
        (None, b"no key", ()),
        (b"no value", None, ()),
        (b"", b"", ()),
        (b"k", b"one header", (("name", b"content"),)),
        ("schlüssel".encode(), "größe 大きさ".encode(), (("überschrift", b"wert"), ("empty", b""))),
        (b"k", b"repeated header", (("twice", b"1"), ("twice", b"2"))),
        (binary, binary * 8, (("binary", binary),)),
        (b"k", b"compressible " * 400, ()),
        (b"k", generator.randbytes(5_000), ()),
    ]
    if null_records:
        shapes.append((None, None, ()))
    if null_header_values:
        shapes.append((b"k", b"null header", (("nothing", None),)))
    return [
        Record(i % partitions, key, value, headers, BASE_TIMESTAMP + 10 * i)
        for i, (key, value, headers) in ((i, shapes[i % len(shapes)]) for i in range(count))
    ]


def big_records() -> list[Record]:
    """One megabyte that no codec makes smaller, one that becomes next to nothing, and an empty one."""
    noise = random.Random(17).randbytes(1 << 20)
    values = (noise, b"\0" * (1 << 20), b"")
    return [Record(0, None, value, (), BASE_TIMESTAMP + i) for i, value in enumerate(values)]


def with_offsets(records: list[Record], offsets: list[int]) -> list[Record]:
    assert len(offsets) == len(records)
    return [record._replace(offset=offset) for record, offset in zip(records, offsets, strict=True)]


def in_partition(records: list[Record], partition: int) -> list[Record]:
    return [record for record in records if record.partition == partition]


def _text(content: bytes | None) -> str | None:
    return None if content is None else base64.b64encode(content).decode()


def _bytes(text: str | None) -> bytes | None:
    return None if text is None else base64.b64decode(text)


def to_json(record: Record) -> dict[str, Any]:
    return {
        "partition": record.partition,
        "key": _text(record.key),
        "value": _text(record.value),
        "headers": [[name, _text(content)] for name, content in record.headers],
        "timestamp": record.timestamp,
    }


def from_json(answer: dict[str, Any]) -> Record:
    headers = tuple((name, _bytes(content)) for name, content in answer["headers"])
    return Record(
        answer["partition"],
        _bytes(answer["key"]),
        _bytes(answer["value"]),
        headers,
        answer["timestamp"],
        answer["offset"],
    )

"""Which partition of an internal topic owns a group, a transactional id or a share key.

Kafka's rule, that tools and mixed clusters rely on: Java's `String.hashCode` over UTF-16 code units, made
positive (the smallest int counts as 0), modulo the number of partitions. The same hash decides the order in
which Kafka meets names, and with it which of two equals wins.
"""

from __future__ import annotations

import struct
from collections.abc import Iterable

_SMALLEST = -(1 << 31)


def java_string_hash(text: str) -> int:
    """Java's `String.hashCode`: a signed 32-bit int."""
    result = 0
    if text.isascii():
        for unit in text.encode():
            result = (31 * result + unit) & 0xFFFFFFFF
    else:
        raw = text.encode("utf-16-be", "surrogatepass")
        for unit in struct.unpack(f">{len(raw) // 2}H", raw):
            result = (31 * result + unit) & 0xFFFFFFFF
    return result - (1 << 32) if result & 0x80000000 else result


def java_hash_order(names: Iterable[str]) -> list[str]:
    """The names (each once) as an iteration over a `java.util.HashMap` meets them that they were put into."""
    found = list(names)
    buckets = 16
    while len(found) > buckets * 3 // 4:
        buckets *= 2

    def bucket(name: str) -> int:
        hashed = java_string_hash(name) & 0xFFFFFFFF
        return (hashed ^ hashed >> 16) & (buckets - 1)

    return sorted(found, key=bucket)


def partition_for(key: str, count: int) -> int:
    """The partition, of `count`, that owns a key."""
    hashed = java_string_hash(key)
    return 0 if hashed == _SMALLEST else abs(hashed) % count

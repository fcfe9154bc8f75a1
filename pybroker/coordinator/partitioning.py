"""Which partition of an internal topic owns a group, a transactional id or a share key.

Kafka's rule, that tools and mixed clusters rely on: Java's `String.hashCode` over UTF-16 code units, made
positive (the smallest int counts as 0), modulo the number of partitions.
"""

from __future__ import annotations

import struct

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


def partition_for(key: str, count: int) -> int:
    """The partition, of `count`, that owns a key."""
    hashed = java_string_hash(key)
    return 0 if hashed == _SMALLEST else abs(hashed) % count

"""The hash of what a group's assignment depends on: ids, names, partition counts and racks of its topics.

In: topics of a metadata image. Out: signed 64-bit numbers, as Kafka 4.3.0 computes and stores them
(KIP-1101), so that a group that moves between brokers does not rebalance for nothing. What must hold: byte
for byte the layout below; XXH3 with seed 0; strings are UTF-16 little endian, followed by their length in
units (int32).

    topic: magic 0 (int8) | id as two int64 | name | partition count (int32)
           then for each partition: number (int32) | sorted racks, each: length (int32), string
    group: the topic hashes (int64) in the order of the topic names
"""

from __future__ import annotations

import struct
from collections.abc import Iterable, Mapping
from typing import Final

import xxhash

from pybroker.metadata.image import MetadataImage, TopicImage

_INT32: Final = struct.Struct("<i")
_INT64: Final = struct.Struct("<q")
_ID: Final = struct.Struct(">qq")
_ID_LITTLE: Final = struct.Struct("<qq")


def topic_hash(topic: TopicImage, image: MetadataImage) -> int:
    """The hash of one topic."""
    parts = [b"\0", _ID_LITTLE.pack(*_ID.unpack(topic.topic_id)), _string(topic.name)]
    parts.append(_INT32.pack(len(topic.partitions)))
    brokers = image.brokers
    racks = {broker_id: broker.rack for broker_id, broker in brokers.items() if broker.rack is not None}
    for index, partition in enumerate(topic.partitions):
        parts.append(_INT32.pack(index))
        if racks:
            for rack in sorted(racks[replica] for replica in partition.replicas if replica in racks):
                text = _string(rack)
                parts += (text[-4:], text)
    return _signed(xxhash.xxh3_64_intdigest(b"".join(parts)))


def group_hash(topic_hashes: Mapping[str, int]) -> int:
    """The hash of the existing topics of a group; 0 when there are none."""
    if not topic_hashes:
        return 0
    ordered: Iterable[int] = (topic_hashes[name] for name in sorted(topic_hashes))
    return _signed(xxhash.xxh3_64_intdigest(b"".join(map(_INT64.pack, ordered))))


def _string(text: str) -> bytes:
    units = text.encode("utf-16-le", "surrogatepass")
    return units + _INT32.pack(len(units) // 2)


def _signed(value: int) -> int:
    return value - (1 << 64) if value >> 63 else value

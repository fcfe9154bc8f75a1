"""The record of a committed offset, written by hand: a commit has one for each partition.

In: group, topic, partition and what is committed. Out: key and value (version 4, what Kafka 4.3 writes). What
must hold: the bytes are those of the compiled codec (`wire.schemas.coordinator_records`), its plain twin.

    key:   type 1 (int16) | group (int16 length) | topic (int16 length) | partition (int32)
    value: version 4 (int16) | offset (int64) | leader epoch (int32) | metadata (compact)
           | commit time (int64) | tagged fields: none, or the topic id as tag 0
"""

from __future__ import annotations

import struct
from typing import Final

from pybroker.wire.message import ZERO_UUID
from pybroker.wire.primitives import encode_unsigned_varint

_STRING: Final = struct.Struct(">h")
_PARTITION: Final = struct.Struct(">i").pack
_START: Final = struct.Struct(">hqi").pack
_TIME: Final = struct.Struct(">q").pack
_TYPE: Final = b"\0\1"
_VERSION: Final = 4
_TOPIC_ID_TAG: Final = b"\x01\x00\x10"


def key_prefix(group: str, topic: str) -> bytes:
    """The key up to its partition. ValueError when a name does not fit."""
    parts = [_TYPE]
    for text in (group, topic):
        data = text.encode()
        if len(data) > 0x7FFF:
            raise ValueError(f"a name of {len(data)} bytes does not fit into a key")
        parts += (_STRING.pack(len(data)), data)
    return b"".join(parts)


def encode_key(prefix: bytes, partition: int) -> bytes:
    return prefix + _PARTITION(partition)


def encode_value(
    offset: int, leader_epoch: int, metadata: str, commit_timestamp: int, topic_id: bytes
) -> bytes:
    data = metadata.encode()
    tags = b"\0" if topic_id == ZERO_UUID else _TOPIC_ID_TAG + topic_id
    start = _START(_VERSION, offset, leader_epoch)
    return b"".join((start, encode_unsigned_varint(len(data) + 1), data, _TIME(commit_timestamp), tags))

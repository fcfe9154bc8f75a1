"""The records of `__consumer_offsets`, with their framing.

In: key and value objects, or the bytes of a record. Out: the bytes, or objects. What must hold: what is
written here is byte for byte what Kafka 4.3 writes; a key of an unknown type is told apart from a damaged
one, because records of newer brokers are tolerated.

    key:   record type (int16) | body of the key
    value: version (int16)     | body of the value in that version
"""

from __future__ import annotations

import struct
from typing import Final

from pybroker.common.errors import ProtocolError
from pybroker.wire import codec
from pybroker.wire.message import Message
from pybroker.wire.primitives import Buffer
from pybroker.wire.schemas.coordinator_record_types import (
    RECORD_TYPES,
    GroupMetadataKey,
    LegacyOffsetCommitKey,
    OffsetCommitKey,
)

_INT16: Final = struct.Struct(">h")
_TYPE_OF_KEY: Final = {key: number for number, (key, _) in RECORD_TYPES.items()}
_PREFIX_OF_KEY: Final = {key: _INT16.pack(number) for key, number in _TYPE_OF_KEY.items()}
_PREFIX_OF_VERSION: Final = [_INT16.pack(version) for version in range(8)]

LEGACY_OFFSET_COMMIT: Final = _TYPE_OF_KEY[LegacyOffsetCommitKey]
OFFSET_COMMIT: Final = _TYPE_OF_KEY[OffsetCommitKey]
GROUP_METADATA: Final = _TYPE_OF_KEY[GroupMetadataKey]

# The value versions that Kafka 4.3.0 writes are the newest, but for group metadata.
GROUP_METADATA_VERSION: Final = 3


def encode_key(key: Message) -> bytes:
    """The key of a record: its type is that of the class."""
    return _PREFIX_OF_KEY[type(key)] + codec.encode(key, 0)


def encode_value(value: Message, version: int | None = None) -> bytes:
    """The value of a record, in `version` or else in the newest one of its class."""
    if version is None:
        version = value.VERSIONS[1]
    return _PREFIX_OF_VERSION[version] + codec.encode(value, version)


def record_type(key: Buffer) -> int:
    """The record type at the start of a key; ProtocolError when there is none."""
    if len(key) < 2:
        raise ProtocolError(f"a coordinator record has a key of {len(key)} bytes")
    number: int = _INT16.unpack_from(key)[0]
    return number


def decode_key(key: Buffer) -> Message | None:
    """The key of a record; None when its type is not one that is known here."""
    known = RECORD_TYPES.get(record_type(key))
    return None if known is None else codec.decode(known[0], 0, key, 2)[0]


def decode_value(number: int, value: Buffer) -> Message:
    """The value of a record whose key has the (known) type `number`. ProtocolError when it cannot be read."""
    if len(value) < 2:
        raise ProtocolError(f"a coordinator record has a value of {len(value)} bytes")
    version: int = _INT16.unpack_from(value)[0]
    cls = RECORD_TYPES[number][1]
    if not cls.VERSIONS[0] <= version <= cls.VERSIONS[1]:
        raise ProtocolError(f"{cls.__name__} has unknown version {version}")
    return codec.decode(cls, version, value, 2)[0]

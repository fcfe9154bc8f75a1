"""The records of KRaft's metadata log and of its control batches, with their framing.

In: a record object, or the value of a record of `__cluster_metadata`. Out: the value, or the object. What
must hold: an unknown key, frame version or record version is refused loudly, never skipped, because an image
that lacks a record would be wrong.

    metadata record value: frame version (uvarint, 1) | record key (uvarint) | record version (uvarint) | body

Control records (leader change, snapshot header and footer, KRaft version, voters) are plain bodies: their
type is in the key of the record. `encode_control` and `decode_control` are for them.
"""

from __future__ import annotations

from typing import Final

from pybroker.common.errors import ProtocolError
from pybroker.wire import codec
from pybroker.wire.message import Message
from pybroker.wire.primitives import Buffer, encode_unsigned_varint, read_unsigned_varint
from pybroker.wire.schemas.control_records import (
    Endpoint,
    KRaftVersionFeature,
    KRaftVersionRecord,
    LeaderChangeMessage,
    LeaderChangeVoter,
    SnapshotFooterRecord,
    SnapshotHeaderRecord,
    VotersRecord,
    VotersVoter,
)
from pybroker.wire.schemas.metadata_record_types import (
    RECORD_TYPES,
    AbortTransactionRecord,
    AccessControlEntryRecord,
    BeginTransactionRecord,
    BrokerEndpoint,
    BrokerFeature,
    BrokerRegistrationChangeRecord,
    ClearElrRecord,
    ClientQuotaEntity,
    ClientQuotaRecord,
    ConfigRecord,
    ControllerEndpoint,
    ControllerFeature,
    DelegationTokenRecord,
    EndTransactionRecord,
    FeatureLevelRecord,
    FenceBrokerRecord,
    NoOpRecord,
    PartitionChangeRecord,
    PartitionRecord,
    ProducerIdsRecord,
    RegisterBrokerRecord,
    RegisterControllerRecord,
    RemoveAccessControlEntryRecord,
    RemoveDelegationTokenRecord,
    RemoveTopicRecord,
    RemoveUserScramCredentialRecord,
    TopicRecord,
    UnfenceBrokerRecord,
    UnregisterBrokerRecord,
    UserScramCredentialRecord,
    ZkMigrationStateRecord,
)

__all__ = [
    "CONTROL_TYPES",
    "RECORD_KEYS",
    "RECORD_TYPES",
    "AbortTransactionRecord",
    "AccessControlEntryRecord",
    "BeginTransactionRecord",
    "BrokerEndpoint",
    "BrokerFeature",
    "BrokerRegistrationChangeRecord",
    "ClearElrRecord",
    "ClientQuotaEntity",
    "ClientQuotaRecord",
    "ConfigRecord",
    "ControllerEndpoint",
    "ControllerFeature",
    "DelegationTokenRecord",
    "EndTransactionRecord",
    "Endpoint",
    "FeatureLevelRecord",
    "FenceBrokerRecord",
    "KRaftVersionFeature",
    "KRaftVersionRecord",
    "LeaderChangeMessage",
    "LeaderChangeVoter",
    "NoOpRecord",
    "PartitionChangeRecord",
    "PartitionRecord",
    "ProducerIdsRecord",
    "RegisterBrokerRecord",
    "RegisterControllerRecord",
    "RemoveAccessControlEntryRecord",
    "RemoveDelegationTokenRecord",
    "RemoveTopicRecord",
    "RemoveUserScramCredentialRecord",
    "SnapshotFooterRecord",
    "SnapshotHeaderRecord",
    "TopicRecord",
    "UnfenceBrokerRecord",
    "UnregisterBrokerRecord",
    "UserScramCredentialRecord",
    "VotersRecord",
    "VotersVoter",
    "ZkMigrationStateRecord",
    "decode_control",
    "decode_record",
    "encode_control",
    "encode_record",
]

FRAME_VERSION: Final = 1

RECORD_KEYS: Final[dict[type[Message], int]] = {cls: key for key, cls in RECORD_TYPES.items()}

CONTROL_TYPES: Final[dict[int, type[Message]]] = {
    2: LeaderChangeMessage,
    3: SnapshotHeaderRecord,
    4: SnapshotFooterRecord,
    5: KRaftVersionRecord,
    6: VotersRecord,
}
"""Type in the key of a control record -> class of its body."""


def encode_record(record: Message, version: int | None = None) -> bytes:
    """The value of a metadata record, in `version` or else in the newest version of the record."""
    if version is None:
        version = record.VERSIONS[1]
    prefix = bytes((FRAME_VERSION,)) + encode_unsigned_varint(RECORD_KEYS[type(record)])
    return prefix + encode_unsigned_varint(version) + codec.encode(record, version)


def decode_record(value: Buffer) -> Message:
    """The record in the value of a metadata record. ProtocolError when it is not one that this code knows."""
    try:
        frame_version, pos = read_unsigned_varint(value, 0)
        key, pos = read_unsigned_varint(value, pos)
        version, pos = read_unsigned_varint(value, pos)
    except IndexError as error:
        raise ProtocolError("metadata record ends inside its frame") from error
    if frame_version != FRAME_VERSION:
        raise ProtocolError(f"metadata record has frame version {frame_version}")
    cls = RECORD_TYPES.get(key)
    if cls is None:
        raise ProtocolError(f"metadata record of unknown key {key}")
    record, end = codec.decode(cls, version, value, pos)
    if end != len(value):
        raise ProtocolError(f"{len(value) - end} bytes after {cls.__name__} version {version}")
    return record


def encode_control(record: Message, version: int = 0) -> bytes:
    """The value of a control record. Kafka 4.3 writes version 0 of all of them (with `version=0` inside)."""
    return codec.encode(record, version)


def decode_control(control_type: int, value: Buffer) -> Message:
    """The body of a control record of the given type (2-6); its version is its own first field."""
    cls = CONTROL_TYPES.get(control_type)
    if cls is None:
        raise ProtocolError(f"control record of unknown type {control_type}")
    version = int.from_bytes(value[:2], "big", signed=True)
    # A newer body is read as the newest known one, as Kafka does: what was added is at its end or tagged.
    return codec.decode(cls, min(version, cls.VERSIONS[1]), value)[0]

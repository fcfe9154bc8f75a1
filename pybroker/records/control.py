"""Control records: the markers that end transactions and the control batches of the metadata log.

In and out: bytes of keys, values and whole batches. The values of the metadata log's control records
(LeaderChange, SnapshotHeader, ...) are encoded by `pybroker.wire`; here they are opaque.
"""

from __future__ import annotations

import struct
from collections.abc import Iterable
from enum import IntEnum
from typing import Final, NamedTuple

from pybroker.common.errors import CorruptionError
from pybroker.records.batch import Buffer, Record, build_batch, iter_records, read_header

_KEY: Final = struct.Struct(">hh")
_END_TRANSACTION: Final = struct.Struct(">hi")


class ControlType(IntEnum):
    """The type number in a control record's key."""

    ABORT = 0
    COMMIT = 1
    LEADER_CHANGE = 2
    SNAPSHOT_HEADER = 3
    SNAPSHOT_FOOTER = 4
    KRAFT_VERSION = 5
    KRAFT_VOTERS = 6


class EndTransactionMarker(NamedTuple):
    """What a marker says; producer and coordinator are named by id and epoch."""

    producer_id: int
    producer_epoch: int
    coordinator_epoch: int
    commit: bool
    timestamp: int


class ControlRecord(NamedTuple):
    """A control record of any type; `type` is a plain number because a newer writer may have more."""

    offset: int
    timestamp: int
    type: int
    version: int
    value: bytes


def encode_key(control_type: int, version: int = 0) -> bytes:
    return _KEY.pack(version, control_type)


def decode_key(key: bytes | None) -> tuple[int, int]:
    """(version, type) of a control record's key; longer keys of later versions are accepted."""
    if key is None or len(key) < _KEY.size:
        raise CorruptionError("control record has no usable key")
    version, control_type = _KEY.unpack_from(key)
    if version < 0:
        raise CorruptionError(f"control record key has version {version}")
    return version, control_type


def build_end_transaction(
    producer_id: int,
    producer_epoch: int,
    *,
    commit: bool,
    timestamp: int,
    coordinator_epoch: int = 0,
    base_offset: int = 0,
    leader_epoch: int = 0,
) -> bytes:
    """The one-record batch that ends a transaction of `producer_id` in one partition."""
    key = encode_key(ControlType.COMMIT if commit else ControlType.ABORT)
    record = Record(base_offset, timestamp, key, _END_TRANSACTION.pack(0, coordinator_epoch))
    return build_batch(
        (record,),
        base_offset=base_offset,
        producer_id=producer_id,
        producer_epoch=producer_epoch,
        transactional=True,
        control=True,
        leader_epoch=leader_epoch,
    )


def read_end_transaction(batch: Buffer) -> EndTransactionMarker | None:
    """The marker in a batch; None when the batch is not one (data, or another control record)."""
    header = read_header(batch)
    if not header.is_control or not header.is_transactional:
        return None
    record = next(iter_records(batch, header=header), None)
    if record is None:
        return None
    _, control_type = decode_key(record.key)
    if control_type not in (ControlType.ABORT, ControlType.COMMIT):
        return None
    if record.value is None or len(record.value) < _END_TRANSACTION.size:
        raise CorruptionError("end-transaction marker has no usable value")
    version, coordinator_epoch = _END_TRANSACTION.unpack_from(record.value)
    if version < 0:
        raise CorruptionError(f"end-transaction marker has version {version}")
    return EndTransactionMarker(
        header.producer_id,
        header.producer_epoch,
        coordinator_epoch,
        control_type == ControlType.COMMIT,
        record.timestamp,
    )


def build_control_batch(
    records: Iterable[tuple[int, bytes]], *, timestamp: int, base_offset: int = 0, leader_epoch: int = 0
) -> bytes:
    """A control batch of the metadata log from (type, encoded value) pairs."""
    return build_batch(
        [Record(0, timestamp, encode_key(control_type), value) for control_type, value in records],
        base_offset=base_offset,
        control=True,
        leader_epoch=leader_epoch,
    )


def read_control_batch(batch: Buffer) -> list[ControlRecord]:
    """All control records of a control batch, of any type."""
    header = read_header(batch)
    if not header.is_control:
        raise CorruptionError("batch is not a control batch")
    found: list[ControlRecord] = []
    for record in iter_records(batch, header=header):
        version, control_type = decode_key(record.key)
        found.append(
            ControlRecord(record.offset, record.timestamp, control_type, version, record.value or b"")
        )
    return found

"""Control records against the bytes of Kafka's formats."""

from __future__ import annotations

import struct

import pytest

from pybroker.common.errors import CorruptionError
from pybroker.records.batch import Record, build_batch, crc_matches, iter_records, read_header
from pybroker.records.control import (
    ControlRecord,
    ControlType,
    EndTransactionMarker,
    build_control_batch,
    build_end_transaction,
    decode_key,
    encode_key,
    read_control_batch,
    read_end_transaction,
)
from tests.unit.records.record_builders import NOW


@pytest.mark.parametrize("commit", [True, False])
def test_end_transaction(commit):
    batch = build_end_transaction(
        7, 3, commit=commit, timestamp=NOW, coordinator_epoch=11, base_offset=40, leader_epoch=2
    )
    header = read_header(batch)
    assert crc_matches(batch)
    assert header.is_control
    assert header.is_transactional
    assert (header.base_offset, header.leader_epoch, header.base_sequence) == (40, 2, -1)
    (record,) = iter_records(batch)
    assert record.key == struct.pack(">hh", 0, int(commit))
    assert record.value == struct.pack(">hi", 0, 11)
    # Kafka's marker batches have 78 bytes.
    assert len(batch) == 78
    assert read_end_transaction(batch) == EndTransactionMarker(7, 3, 11, commit, NOW)


def test_other_batches_are_no_marker():
    assert read_end_transaction(build_batch([Record(value=b"x")])) is None
    assert read_end_transaction(build_batch([Record(value=b"x")], transactional=True)) is None
    assert read_end_transaction(build_control_batch([(2, b"x")], timestamp=NOW)) is None
    other = build_batch([Record(key=encode_key(6), value=b"")], transactional=True, control=True)
    assert read_end_transaction(other) is None
    empty = build_batch([], transactional=True, control=True, last_offset_delta=0)
    assert read_end_transaction(empty) is None


@pytest.mark.parametrize(
    ("key", "value"),
    [
        (None, bytes(6)),
        (b"\0\0\0", bytes(6)),
        (b"\xff\xff\0\0", bytes(6)),
        (bytes(4), None),
        (bytes(4), bytes(5)),
        (bytes(4), b"\xff\xff" + bytes(4)),
    ],
)
def test_broken_markers(key, value):
    batch = build_batch([Record(key=key, value=value)], transactional=True, control=True)
    with pytest.raises(CorruptionError):
        read_end_transaction(batch)


def test_longer_keys_and_values_of_later_versions():
    batch = build_batch(
        [Record(key=struct.pack(">hhi", 1, 1, 5), value=struct.pack(">hiq", 1, 9, 5))],
        transactional=True,
        control=True,
    )
    marker = read_end_transaction(batch)
    assert marker is not None
    assert marker.commit
    assert marker.coordinator_epoch == 9


def test_control_batch():
    batch = build_control_batch(
        [(ControlType.LEADER_CHANGE, b"a"), (ControlType.KRAFT_VERSION, b"b"), (99, b"")],
        timestamp=NOW,
        base_offset=5,
        leader_epoch=4,
    )
    header = read_header(batch)
    assert header.is_control
    assert not header.is_transactional
    assert header.leader_epoch == 4
    assert read_control_batch(batch) == [
        ControlRecord(5, NOW, 2, 0, b"a"),
        ControlRecord(6, NOW, 5, 0, b"b"),
        ControlRecord(7, NOW, 99, 0, b""),
    ]
    with pytest.raises(CorruptionError):
        read_control_batch(build_batch([Record()]))


def test_key():
    assert decode_key(encode_key(ControlType.SNAPSHOT_FOOTER, 3)) == (3, 4)

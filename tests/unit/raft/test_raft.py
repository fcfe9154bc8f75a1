"""The quorum of one: hard state, elections, what counts as committed, snapshots."""

from __future__ import annotations

import pytest

from pybroker.common.errors import ConfigError, CorruptionError, InvariantError
from pybroker.common.memory_files import MemoryFileSystem
from pybroker.raft.hard_state import (
    HardState,
    decode_hard_state,
    encode_hard_state,
    load_hard_state,
    store_hard_state,
)
from pybroker.raft.log import MemoryRaftLog
from pybroker.raft.single_voter import Node, Role
from pybroker.raft.snapshot import (
    SnapshotId,
    decode_snapshot,
    encode_snapshot,
    list_snapshots,
    load_latest_snapshot,
    remove_partial_snapshots,
    write_snapshot,
)
from pybroker.raft.voters import Voter
from pybroker.records.batch import crc_matches, iter_headers, iter_records, read_header
from pybroker.records.control import ControlType, read_control_batch
from pybroker.wire.schemas.metadata_records import decode_control

SETTLED = (
    b'{"leaderId":1,"leaderEpoch":1,"votedId":-1,'
    b'"votedDirectoryId":"AAAAAAAAAAAAAAAAAAAAAA","data_version":1}'
)
VOTER = Voter(1, b"d" * 16, (("CONTROLLER", "localhost", 9093),))


def make_node(hard_state=None, *, log_end_offset=0, last_epoch=0):
    return Node(1, [VOTER], hard_state, log_end_offset=log_end_offset, last_epoch=last_epoch)


# Hard state


def test_quorum_state_is_kafkas():
    assert encode_hard_state(HardState(1, 1)) == SETTLED
    assert len(SETTLED) == 104
    assert decode_hard_state(SETTLED) == HardState(1, 1)
    voted = HardState(-1, 7, 2, bytes(range(16)))
    assert decode_hard_state(encode_hard_state(voted)) == voted
    old = (
        b'{"clusterId":"","leaderId":1,"leaderEpoch":4,"votedId":-1,'
        b'"appliedOffset":0,"currentVoters":[],"data_version":0}'
    )
    assert decode_hard_state(old) == HardState(1, 4)


@pytest.mark.parametrize("content", [b"", b"{", b"[]", b"{}", SETTLED.replace(b":1}", b":2}"), SETTLED[:-20]])
def test_bad_quorum_state(content):
    with pytest.raises(CorruptionError):
        decode_hard_state(content)


def test_quorum_state_file():
    files = MemoryFileSystem()
    files.make_dirs("/m")
    assert load_hard_state(files, "/m") is None
    store_hard_state(files, "/m", HardState(1, 3))
    assert load_hard_state(files, "/m") == HardState(1, 3)
    assert files.list_dir("/m") == ["quorum-state"]


# Node


def test_first_election():
    node = make_node()
    assert node.role is Role.UNATTACHED
    node.tick(5)
    ready = node.take_ready()
    assert node.is_leader
    assert ready.hard_state == HardState(1, 1)
    assert ready.high_watermark == 0
    (entry,) = ready.entries
    header = read_header(entry.batch)
    assert (header.base_offset, header.last_offset, header.leader_epoch) == (0, 2, 1)
    assert header.is_control
    assert crc_matches(entry.batch)
    records = read_control_batch(entry.batch)
    assert [record.type for record in records] == [
        ControlType.LEADER_CHANGE,
        ControlType.KRAFT_VERSION,
        ControlType.KRAFT_VOTERS,
    ]
    assert decode_control(6, records[2].value).voters[0].endpoints[0].port == 9093
    assert node.take_ready().entries == ()
    node.tick(6)
    assert node.take_ready() == (None, (), 0)


def test_restart_is_a_new_epoch_with_a_leader_change_alone():
    node = make_node(HardState(1, 4), log_end_offset=10, last_epoch=4)
    assert node.role is Role.RESIGNED
    node.tick(0)
    ready = node.take_ready()
    assert ready.hard_state == HardState(1, 5)
    assert [(e.base_offset, e.last_offset, e.epoch) for e in ready.entries] == [(10, 10, 5)]


def test_a_lost_quorum_state_does_not_bring_an_epoch_back():
    node = make_node(None, log_end_offset=10, last_epoch=7)
    node.tick(0)
    assert node.take_ready().hard_state == HardState(1, 8)


def test_flush_first_count_second():
    node = make_node(HardState(1, 1), log_end_offset=10, last_epoch=1)
    node.tick(0)
    node.take_ready()
    # What an earlier epoch left is not committed by being durable, but by a record of this epoch.
    node.persisted(10)
    assert node.take_ready().high_watermark == 0
    entry = node.propose([b"x", b"y"], 3)
    assert (entry.base_offset, entry.last_offset) == (11, 12)
    assert [record.value for record in iter_records(entry.batch)] == [b"x", b"y"]
    assert node.take_ready().high_watermark == 0
    node.persisted(11)
    assert node.take_ready().high_watermark == 11
    node.persisted(13)
    assert node.take_ready().high_watermark == 13
    node.persisted(12)
    assert node.take_ready().high_watermark == 13


def test_misuse():
    node = make_node()
    with pytest.raises(InvariantError):
        node.propose([b""], 0)
    node.tick(0)
    with pytest.raises(InvariantError):
        node.persisted(4)
    with pytest.raises(ConfigError):
        Node(1, [VOTER, Voter(2, b"e" * 16)], None, log_end_offset=0, last_epoch=0)


def test_failed_append_gives_the_offsets_back():
    node = make_node()
    node.tick(0)
    first = node.propose([b"x"], 0)
    node.append_failed(first)
    assert node.propose([b"y"], 0).base_offset == first.base_offset
    second = node.propose([b"z"], 0)
    with pytest.raises(InvariantError):
        node.append_failed(first)
    node.append_failed(second)


def test_memory_log_drops_a_torn_tail():
    node = make_node()
    node.tick(0)
    log = MemoryRaftLog()
    for entry in (*node.take_ready().entries, node.propose([b"x" * 50], 0)):
        log.append(entry.batch)
    assert log.end_offset == 4
    assert log.read(0, 1) == bytes(log.data)[: read_header(log.data).size]
    assert log.read(3, 10_000) == bytes(log.data)[read_header(log.data).size :]
    torn = MemoryRaftLog(bytes(log.data)[:-1])
    assert torn.end_offset == 3
    assert torn.read(3, 100) == b""


# Snapshots


def snapshot_bytes(values, **options):
    fields = {"epoch": 2, "now_ms": 5, "last_timestamp_ms": 4, **options}
    return b"".join(encode_snapshot(values, **fields))


def test_snapshot_round_trip():
    values = [bytes([number % 256]) * 1000 for number in range(3000)]
    content = snapshot_bytes(values)
    found = decode_snapshot(content)
    assert found.values == values
    assert found.control_records == []
    offset = position = batches = 0
    while position < len(content):
        header = read_header(content, position)
        assert header.base_offset == offset
        assert header.leader_epoch == 2
        offset, position, batches = header.next_offset, position + header.size, batches + 1
    assert batches == 2 + 3
    assert decode_snapshot(snapshot_bytes([])).values == []


def test_a_cut_or_damaged_snapshot_is_refused():
    content = snapshot_bytes([b"value"])
    for size in range(len(content)):
        with pytest.raises(CorruptionError):
            decode_snapshot(content[:size])
    # Base offset and leader epoch of a batch are outside its checksum, and mean nothing in a snapshot.
    unchecked = {start + at for start, _ in iter_headers(content) for at in (*range(8), *range(12, 16))}
    for position in sorted(set(range(len(content))) - unchecked):
        damaged = bytearray(content)
        damaged[position] ^= 0x10
        with pytest.raises(CorruptionError):
            decode_snapshot(bytes(damaged))
    with pytest.raises(CorruptionError):
        decode_snapshot(content + content)


def test_the_newest_whole_snapshot_is_loaded():
    files = MemoryFileSystem()
    files.make_dirs("/m")
    assert load_latest_snapshot(files, "/m") is None
    for offset in (5, 300):
        name = SnapshotId(offset, 2).file_name
        write_snapshot(
            files, f"/m/{name}", encode_snapshot([b"%d" % offset], epoch=2, now_ms=0, last_timestamp_ms=0)
        )
    assert files.list_dir("/m") == [
        "00000000000000000005-0000000002.checkpoint",
        "00000000000000000300-0000000002.checkpoint",
    ]
    snapshot, content = load_latest_snapshot(files, "/m")
    assert (snapshot, content.values) == (SnapshotId(300, 2), [b"300"])
    path = "/m/00000000000000000300-0000000002.checkpoint"
    files.open(path).truncate(70)
    snapshot, content = load_latest_snapshot(files, "/m")
    assert (snapshot, content.values) == (SnapshotId(5, 2), [b"5"])
    files.open("/m/00000000000000000400-0000000002.checkpoint.part", create=True)
    remove_partial_snapshots(files, "/m")
    assert list_snapshots(files, "/m") == [SnapshotId(5, 2), SnapshotId(300, 2)]
    assert len(files.list_dir("/m")) == 2

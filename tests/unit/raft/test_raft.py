"""The quorum of one: hard state, elections, what counts as committed, snapshots."""

from __future__ import annotations

import pytest

from pybroker.common.errors import CorruptionError
from pybroker.common.memory_files import MemoryFileSystem
from pybroker.raft.hard_state import (
    HardState,
    decode_hard_state,
    encode_hard_state,
    load_hard_state,
    store_hard_state,
)
from pybroker.raft.log import MemoryRaftLog
from pybroker.raft.snapshot import (
    SnapshotId,
    decode_snapshot,
    encode_snapshot,
    list_snapshots,
    load_latest_snapshot,
    remove_partial_snapshots,
    write_snapshot,
)
from pybroker.records.batch import Record, build_batch, iter_headers, read_header

SETTLED = (
    b'{"leaderId":1,"leaderEpoch":1,"votedId":-1,'
    b'"votedDirectoryId":"AAAAAAAAAAAAAAAAAAAAAA","data_version":1}'
)


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


# Log


def test_memory_log_drops_a_torn_tail():
    first, second = (
        build_batch([Record(0, 0, None, b"x" * 50)], base_offset=at, leader_epoch=1) for at in (0, 1)
    )
    log = MemoryRaftLog()
    log.append(first)
    log.append(second)
    assert log.end_offset == 2
    assert log.read(0, 1) == first
    assert log.read(1, 10_000) == second
    torn = MemoryRaftLog(bytes(log.data)[:-1])
    assert torn.end_offset == 1
    assert torn.read(1, 100) == b""


def test_epochs_and_cuts():
    log = MemoryRaftLog()
    for offset, epoch in ((0, 1), (1, 1), (2, 4), (3, 6)):
        log.append(build_batch([Record()], base_offset=offset, leader_epoch=epoch))
    assert [log.end_offset_for_epoch(epoch) for epoch in (0, 1, 3, 4, 5, 6, 9)] == [
        (0, 0),
        (1, 2),
        (1, 2),
        (4, 3),
        (4, 3),
        (6, 4),
        (6, 4),
    ]
    log.truncate(3)
    assert (log.end_offset, log.last_epoch) == (3, 4)
    log.reset(9)
    assert (log.start_offset, log.end_offset, log.last_epoch, log.data) == (9, 9, 0, b"")


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
    assert load_latest_snapshot(files, "/m").snapshot is None
    for offset in (5, 300):
        name = SnapshotId(offset, 2).file_name
        write_snapshot(
            files, f"/m/{name}", encode_snapshot([b"%d" % offset], epoch=2, now_ms=0, last_timestamp_ms=0)
        )
    assert files.list_dir("/m") == [
        "00000000000000000005-0000000002.checkpoint",
        "00000000000000000300-0000000002.checkpoint",
    ]
    snapshot, content, damaged = load_latest_snapshot(files, "/m")
    assert (snapshot, content.values, damaged) == (SnapshotId(300, 2), [b"300"], {})
    path = "/m/00000000000000000300-0000000002.checkpoint"
    files.open(path).truncate(70)
    snapshot, content, damaged = load_latest_snapshot(files, "/m")
    assert (snapshot, content.values, list(damaged)) == (SnapshotId(5, 2), [b"5"], [SnapshotId(300, 2)])
    assert path in damaged[SnapshotId(300, 2)]
    files.open("/m/00000000000000000400-0000000002.checkpoint.part", create=True)
    remove_partial_snapshots(files, "/m")
    assert list_snapshots(files, "/m") == [SnapshotId(5, 2), SnapshotId(300, 2)]
    assert len(files.list_dir("/m")) == 2

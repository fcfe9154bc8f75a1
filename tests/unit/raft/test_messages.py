"""The quorum's messages have the bytes that Apache Kafka 4.3.0 makes of the same values (its RaftUtil)."""

from __future__ import annotations

import pytest

from pybroker.common.clock import ManualClock
from pybroker.raft import messages, voter_changes
from pybroker.raft.node import QuorumSettings
from pybroker.raft.snapshot import SnapshotId
from pybroker.raft.voters import ReplicaKey
from pybroker.wire import codec

CLUSTER = "p6Nw5LUySK6tgCEMc8JZ5w"
FIRST, SECOND, THIRD = (ReplicaKey(number, bytes([number]) * 16) for number in (1, 2, 3))
ENDPOINTS = (("CONTROLLER", "host1", 9093),)


class FakeNode:
    """What an UpdateRaftVoter request is made of."""

    cluster_id = CLUSTER
    epoch = 7
    node_id = 1
    key = FIRST
    endpoints = ENDPOINTS
    settings = QuorumSettings()
    clock = ManualClock()


MESSAGES = {
    "vote": lambda version: messages.vote_request(CLUSTER, SECOND, FIRST, 7, (6, 42), pre_vote=version == 2),
    "begin_quorum_epoch": lambda _: messages.begin_quorum_epoch_request(CLUSTER, SECOND, 1, 7, ENDPOINTS),
    "end_quorum_epoch": lambda _: messages.end_quorum_epoch_request(CLUSTER, 1, 7, [SECOND, THIRD]),
    "fetch": lambda _: messages.fetch_request(
        CLUSTER, SECOND, 7, (6, 42), high_watermark=40, max_wait_ms=500, max_bytes=8388608
    ),
    "fetch_snapshot": lambda _: messages.fetch_snapshot_request(
        CLUSTER, SECOND, 7, SnapshotId(1000, 5), 4096, 8388608
    ),
    "update_raft_voter": lambda _: voter_changes.update_request(FakeNode()),
    "vote_response": lambda _: messages.vote_response(74, 7, 1, ENDPOINTS, granted=False),
    "begin_quorum_epoch_response": lambda _: messages.begin_quorum_epoch_response(0, 7, 1, ENDPOINTS),
    "end_quorum_epoch_response": lambda _: messages.end_quorum_epoch_response(0, 7, 1, ENDPOINTS),
    "fetch_response": lambda _: messages.fetch_response(
        0, 7, 1, ENDPOINTS, log_start_offset=3, high_watermark=40, diverging=(5, 30)
    ),
    "fetch_snapshot_response": lambda _: messages.fetch_snapshot_response(
        0, 7, 1, ENDPOINTS, snapshot=SnapshotId(1000, 5), size=5000, position=4096, data=b"\x01\x02\x03"
    ),
}

FRAMES = {
    ("vote", 0): (
        "1770364e77354c5579534b36746743454d63384a5a357702135f5f636c75737465725f6d657461646174610200000000"
        "000000070000000100000006000000000000002a000000"
    ),
    ("vote", 1): (
        "1770364e77354c5579534b36746743454d63384a5a35770000000202135f5f636c75737465725f6d6574616461746102"
        "000000000000000700000001010101010101010101010101010101010202020202020202020202020202020200000006"
        "000000000000002a000000"
    ),
    ("vote", 2): (
        "1770364e77354c5579534b36746743454d63384a5a35770000000202135f5f636c75737465725f6d6574616461746102"
        "000000000000000700000001010101010101010101010101010101010202020202020202020202020202020200000006"
        "000000000000002a01000000"
    ),
    ("begin_quorum_epoch", 0): (
        "001670364e77354c5579534b36746743454d63384a5a35770000000100125f5f636c75737465725f6d65746164617461"
        "00000001000000000000000100000007"
    ),
    ("begin_quorum_epoch", 1): (
        "1770364e77354c5579534b36746743454d63384a5a35770000000202135f5f636c75737465725f6d6574616461746102"
        "000000000202020202020202020202020202020200000001000000070000020b434f4e54524f4c4c455206686f737431"
        "23850000"
    ),
    ("end_quorum_epoch", 0): (
        "001670364e77354c5579534b36746743454d63384a5a35770000000100125f5f636c75737465725f6d65746164617461"
        "00000001000000000000000100000007000000020000000200000003"
    ),
    ("end_quorum_epoch", 1): (
        "1770364e77354c5579534b36746743454d63384a5a357702135f5f636c75737465725f6d657461646174610200000000"
        "000000010000000703000000020202020202020202020202020202020200000000030303030303030303030303030303"
        "03030000000100"
    ),
    ("fetch_snapshot", 0): (
        "000000020080000002135f5f636c75737465725f6d6574616461746102000000000000000700000000000003e8000000"
        "0500000000000000100000000100171770364e77354c5579534b36746743454d63384a5a3577"
    ),
    ("fetch_snapshot", 1): (
        "000000020080000002135f5f636c75737465725f6d6574616461746102000000000000000700000000000003e8000000"
        "0500000000000000100001001002020202020202020202020202020202000100171770364e77354c5579534b36746743"
        "454d63384a5a3577"
    ),
    ("update_raft_voter", 0): (
        "1770364e77354c5579534b36746743454d63384a5a357700000007000000010101010101010101010101010101010102"
        "0b434f4e54524f4c4c455206686f737431238500000000010000"
    ),
    ("vote_response", 0): (
        "000002135f5f636c75737465725f6d657461646174610200000000004a000000010000000700000000"
    ),
    ("vote_response", 1): (
        "000002135f5f636c75737465725f6d657461646174610200000000004a000000010000000700000001000e0200000001"
        "06686f737431238500"
    ),
    ("vote_response", 2): (
        "000002135f5f636c75737465725f6d657461646174610200000000004a000000010000000700000001000e0200000001"
        "06686f737431238500"
    ),
    ("begin_quorum_epoch_response", 0): (
        "00000000000100125f5f636c75737465725f6d65746164617461000000010000000000000000000100000007"
    ),
    ("begin_quorum_epoch_response", 1): (
        "000002135f5f636c75737465725f6d65746164617461020000000000000000000100000007000001000e020000000106"
        "686f737431238500"
    ),
    ("end_quorum_epoch_response", 0): (
        "00000000000100125f5f636c75737465725f6d65746164617461000000010000000000000000000100000007"
    ),
    ("end_quorum_epoch_response", 1): (
        "000002135f5f636c75737465725f6d65746164617461020000000000000000000100000007000001000e020000000106"
        "686f737431238500"
    ),
    ("fetch_snapshot_response", 1): (
        "00000000000002135f5f636c75737465725f6d657461646174610200000000000000000000000003e800000005000000"
        "0000000013880000000000001000040102030100090000000100000007000001000e020000000106686f737431238500"
    ),
}


@pytest.mark.parametrize(("name", "version"), FRAMES)
def test_kafkas_bytes(name, version):
    message = MESSAGES[name](version)
    expected = bytes.fromhex(FRAMES[name, version])
    assert codec.encode(message, version).hex() == expected.hex()
    assert codec.encode(codec.decode(type(message), version, expected)[0], version) == expected

"""The records of `__consumer_offsets`: bytes as Apache Kafka 4.3.0's own classes write them."""

from __future__ import annotations

import pytest

from pybroker.common.errors import ProtocolError
from pybroker.wire.schemas import coordinator_record_types as types
from pybroker.wire.schemas.coordinator_records import (
    decode_key,
    decode_value,
    encode_key,
    encode_value,
    record_type,
)

ID = bytes(range(16))

KEYS = [
    (types.OffsetCommitKey(group="g", topic="t", partition=7), "000100016700017400000007"),
    (types.GroupMetadataKey(group="g"), "0002000167"),
    (types.ConsumerGroupMetadataKey(group_id="g"), "0003000167"),
    (types.ConsumerGroupMemberMetadataKey(group_id="g", member_id="m"), "000500016700016d"),
    (types.ConsumerGroupTargetAssignmentMetadataKey(group_id="g"), "0006000167"),
    (types.ConsumerGroupTargetAssignmentMemberKey(group_id="g", member_id="m"), "000700016700016d"),
    (types.ConsumerGroupCurrentMemberAssignmentKey(group_id="g", member_id="m"), "000800016700016d"),
    (
        types.ConsumerGroupRegularExpressionKey(group_id="g", regular_expression="x.*"),
        "00100001670003782e2a",
    ),
]


def offset(version):
    value = types.OffsetCommitValue(offset=42, metadata="m", commit_timestamp=1000)
    if version == 1:
        value.expire_timestamp = 2000
    if version >= 3:
        value.leader_epoch = 5
    if version >= 4:
        value.topic_id = ID
    return value


def group(version):
    member = types.GroupMetadataMember(
        member_id="m",
        client_id="c",
        client_host="/127.0.0.1",
        session_timeout=10000,
        subscription=b"\1\2",
        assignment=b"\3",
    )
    if version >= 1:
        member.rebalance_timeout = 300000
    if version >= 3:
        member.group_instance_id = "i"
    value = types.GroupMetadataValue(
        protocol_type="consumer", generation=3, protocol="range", leader="m", members=[member]
    )
    if version >= 2:
        value.current_state_timestamp = 1000
    return value


def member_metadata(**options):
    return types.ConsumerGroupMemberMetadataValue(
        client_id="c", client_host="h", rebalance_timeout_ms=5000, **options
    )


VALUES = [
    (1, 0, offset(0), "0000000000000000002a00016d00000000000003e8"),
    (1, 1, offset(1), "0001000000000000002a00016d00000000000003e800000000000007d0"),
    (1, 2, offset(2), "0002000000000000002a00016d00000000000003e8"),
    (1, 3, offset(3), "0003000000000000002a0000000500016d00000000000003e8"),
    (
        1,
        4,
        offset(4),
        "0004000000000000002a00000005026d00000000000003e8010010000102030405060708090a0b0c0d0e0f",
    ),
    (
        2,
        0,
        group(0),
        "00000008636f6e73756d657200000003000572616e676500016d0000000100016d000163000a2f3132372e302e302e31"
        "000027100000000201020000000103",
    ),
    (
        2,
        1,
        group(1),
        "00010008636f6e73756d657200000003000572616e676500016d0000000100016d000163000a2f3132372e302e302e31"
        "000493e0000027100000000201020000000103",
    ),
    (
        2,
        2,
        group(2),
        "00020008636f6e73756d657200000003000572616e676500016d00000000000003e80000000100016d000163000a2f31"
        "32372e302e302e31000493e0000027100000000201020000000103",
    ),
    (
        2,
        3,
        group(3),
        "00030008636f6e73756d657200000003000572616e676500016d00000000000003e80000000100016d00016900016300"
        "0a2f3132372e302e302e31000493e0000027100000000201020000000103",
    ),
    (
        2,
        4,
        group(4),
        "000409636f6e73756d6572000000030672616e6765026d00000000000003e802026d026902630b2f3132372e302e302e"
        "31000493e00000271003010202030000",
    ),
    (
        3,
        0,
        types.ConsumerGroupMetadataValue(epoch=3, metadata_hash=99),
        "0000000000030100080000000000000063",
    ),
    (
        5,
        0,
        member_metadata(
            instance_id=None,
            rack_id="r",
            subscribed_topic_names=["a", "b"],
            subscribed_topic_regex="x.*",
            server_assignor="uniform",
        ),
        "000000027202630268030261026204782e2a0000138808756e69666f726d00",
    ),
    (
        5,
        0,
        member_metadata(
            subscribed_topic_names=["a"],
            server_assignor=None,
            classic_member_metadata=types.ClassicMemberMetadata(
                session_timeout_ms=9,
                supported_protocols=[types.ClassicProtocol(name="range", metadata=b"\1")],
            ),
        ),
        "00000101026302680202610100001388000100100100000009020672616e676502010000",
    ),
    (
        6,
        0,
        types.ConsumerGroupTargetAssignmentMetadataValue(assignment_epoch=4, assignment_timestamp=77),
        "000000000004010008000000000000004d",
    ),
    (
        7,
        0,
        types.ConsumerGroupTargetAssignmentMemberValue(
            topic_partitions=[types.TargetPartitions(topic_id=ID, partitions=[0, 1])]
        ),
        "000002000102030405060708090a0b0c0d0e0f0300000000000000010000",
    ),
    (
        8,
        0,
        types.ConsumerGroupCurrentMemberAssignmentValue(
            member_epoch=5,
            previous_member_epoch=4,
            state=1,
            assigned_partitions=[
                types.CurrentPartitions(topic_id=ID, partitions=[0, 1], assignment_epochs=[5, 5])
            ],
            partitions_pending_revocation=[types.CurrentPartitions(topic_id=ID, partitions=[2])],
        ),
        "000000000005000000040102000102030405060708090a0b0c0d0e0f0300000000000000010100090300000005000000"
        "0502000102030405060708090a0b0c0d0e0f02000000020000",
    ),
    (
        16,
        0,
        types.ConsumerGroupRegularExpressionValue(topics=["xa"], version=8, timestamp=9),
        "0000020378610000000000000008000000000000000900",
    ),
]


@pytest.mark.parametrize(("key", "text"), KEYS, ids=lambda value: type(value).__name__)
def test_keys(key, text):
    assert encode_key(key).hex() == text
    assert encode_key(decode_key(bytes.fromhex(text))).hex() == text


@pytest.mark.parametrize(("number", "version", "value", "text"), VALUES)
def test_values(number, version, value, text):
    assert encode_value(value, version).hex() == text
    assert encode_value(decode_value(number, bytes.fromhex(text)), version).hex() == text


def test_unknown_and_damaged_records():
    assert decode_key(b"\0\x0b\0\1g") is None
    assert record_type(b"\0\x0b\0\1g") == 11
    for damaged in (b"", b"\0", b"\0\1\0\5g", b"\0\2"):
        with pytest.raises(ProtocolError):
            decode_key(damaged)
    for damaged in (b"", b"\0", b"\0\5", b"\0\3\0\0", b"\xff\xff"):
        with pytest.raises(ProtocolError):
            decode_value(1, damaged)

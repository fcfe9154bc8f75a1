"""KRaft's records. The bytes in `metadata_records.txt` were written by Apache Kafka 4.3.0's own classes."""

from __future__ import annotations

from pathlib import Path

import pytest

from pybroker.common.errors import ProtocolError
from pybroker.wire import codec
from pybroker.wire.schemas import metadata_records as records

TOPIC_ID = bytes(range(0x01, 0x11))
DIRECTORY = bytes(range(0x11, 0x21))
LINES = [line.split() for line in (Path(__file__).parent / "metadata_records.txt").read_text().splitlines()]


def broker(version):
    return records.RegisterBrokerRecord(
        broker_id=1,
        incarnation_id=TOPIC_ID,
        broker_epoch=77,
        rack=None if version == 0 else "r",
        end_points=[records.BrokerEndpoint(name="PLAINTEXT", host="h", port=9092)],
        features=[
            records.BrokerFeature(name="metadata.version", min_supported_version=7, max_supported_version=30)
        ],
        in_controlled_shutdown=version >= 1,
        log_dirs=[DIRECTORY] if version >= 3 else [],
        cordoned_log_dirs=[] if version >= 4 else None,
    )


def partition(version):
    return records.PartitionRecord(
        partition_id=5,
        topic_id=TOPIC_ID,
        replicas=[1, 2],
        isr=[1],
        leader=1,
        leader_epoch=2,
        partition_epoch=3,
        leader_recovery_state=1,
        directories=[DIRECTORY] * 2 if version >= 1 else [],
        eligible_leader_replicas=[2] if version >= 2 else None,
        last_known_elr=[1] if version >= 2 else None,
    )


def change(version):
    return records.PartitionChangeRecord(
        partition_id=5,
        topic_id=TOPIC_ID,
        isr=[1],
        leader=-1,
        replicas=[2],
        removing_replicas=[],
        adding_replicas=[9],
        leader_recovery_state=0,
        directories=[DIRECTORY] if version >= 1 else None,
        eligible_leader_replicas=[2] if version >= 2 else None,
        last_known_elr=[1] if version >= 2 else None,
    )


def registration_change(version):
    return records.BrokerRegistrationChangeRecord(
        broker_id=1,
        broker_epoch=6,
        fenced=-1,
        in_controlled_shutdown=int(version >= 1),
        log_dirs=[DIRECTORY] if version >= 2 else [],
        cordoned_log_dirs=[] if version >= 3 else None,
    )


def leader_change(version):
    voter = records.LeaderChangeVoter(voter_id=1, voter_directory_id=DIRECTORY if version else bytes(16))
    return records.LeaderChangeMessage(version=version, leader_id=1, voters=[voter], granting_voters=[voter])


def voters(version):
    return records.VotersRecord(
        voters=[
            records.VotersVoter(
                voter_id=1,
                voter_directory_id=DIRECTORY,
                endpoints=[records.Endpoint(name="CONTROLLER", host="localhost", port=9093)],
                k_raft_version_feature=records.KRaftVersionFeature(max_supported_version=1),
            )
        ]
    )


EXPECTED = {
    "RegisterBrokerRecord": broker,
    "UnregisterBrokerRecord": lambda _: records.UnregisterBrokerRecord(broker_id=3, broker_epoch=9),
    "TopicRecord": lambda _: records.TopicRecord(name="a", topic_id=TOPIC_ID),
    "PartitionRecord": partition,
    "ConfigRecord": lambda _: records.ConfigRecord(
        resource_type=2, resource_name="a", name="retention.ms", value=None
    ),
    "PartitionChangeRecord": change,
    "RemoveTopicRecord": lambda _: records.RemoveTopicRecord(topic_id=TOPIC_ID),
    "UserScramCredentialRecord": lambda _: records.UserScramCredentialRecord(
        name="u", mechanism=1, salt=b"\1", stored_key=b"\2\3", server_key=b"", iterations=4096
    ),
    "FeatureLevelRecord": lambda _: records.FeatureLevelRecord(name="metadata.version", feature_level=30),
    "ClientQuotaRecord": lambda _: records.ClientQuotaRecord(
        entity=[records.ClientQuotaEntity(entity_type="user", entity_name=None)],
        key="producer_byte_rate",
        value=1.5,
    ),
    "ProducerIdsRecord": lambda _: records.ProducerIdsRecord(
        broker_id=1, broker_epoch=6, next_producer_id=1000
    ),
    "BrokerRegistrationChangeRecord": registration_change,
    "AccessControlEntryRecord": lambda _: records.AccessControlEntryRecord(
        id=TOPIC_ID,
        resource_type=2,
        resource_name="a",
        pattern_type=3,
        principal="User:x",
        host="*",
        operation=4,
        permission_type=3,
    ),
    "NoOpRecord": lambda _: records.NoOpRecord(),
    "BeginTransactionRecord": lambda _: records.BeginTransactionRecord(name="Bootstrap records"),
    "EndTransactionRecord": lambda _: records.EndTransactionRecord(),
    "AbortTransactionRecord": lambda _: records.AbortTransactionRecord(),
    "RegisterControllerRecord": lambda _: records.RegisterControllerRecord(
        controller_id=1,
        incarnation_id=TOPIC_ID,
        end_points=[records.ControllerEndpoint(name="C", host="h", port=65535, security_protocol=3)],
        features=[records.ControllerFeature(name="f", max_supported_version=1)],
    ),
    "ClearElrRecord": lambda _: records.ClearElrRecord(),
    "LeaderChangeMessage": leader_change,
    "SnapshotHeaderRecord": lambda _: records.SnapshotHeaderRecord(last_contained_log_timestamp=12345),
    "SnapshotFooterRecord": lambda _: records.SnapshotFooterRecord(),
    "KRaftVersionRecord": lambda _: records.KRaftVersionRecord(k_raft_version=1),
    "VotersRecord": voters,
}
CONTROL_OF = {cls.__name__: control_type for control_type, cls in records.CONTROL_TYPES.items()}


@pytest.mark.parametrize(
    ("name", "version", "golden"), LINES, ids=[f"{line[0]}-v{line[1]}" for line in LINES]
)
def test_bytes_of_kafka(name, version, golden):
    version, golden = int(version), bytes.fromhex(golden)
    record = EXPECTED[name](version)
    if name in CONTROL_OF:
        assert records.encode_control(record, version) == golden
        assert records.decode_control(CONTROL_OF[name], golden) == record
    else:
        assert records.encode_record(record, version) == golden
        assert records.decode_record(golden) == record
        if version == record.VERSIONS[1]:
            assert records.encode_record(record) == golden


def test_every_record_of_kafka_is_there():
    assert sorted(records.RECORD_TYPES) == [
        *range(6), *range(7, 13), 14, 15, *range(17, 29)
    ]  # fmt: skip
    tops = {key: cls.VERSIONS[1] for key, cls in records.RECORD_TYPES.items() if cls.VERSIONS[1]}
    assert tops == {0: 4, 3: 2, 5: 2, 17: 3}


@pytest.mark.parametrize(
    "value",
    [
        "",
        "01",
        "0114",
        "011400",
        "02140000",
        "00140000",
        "01060000",
        "011d0000",
        "01140100",
        "0114000000",
        "01ffffffff0f0000",
        "010c00ffffffff0f",
    ],
)
def test_what_is_not_known_is_refused(value):
    with pytest.raises(ProtocolError):
        records.decode_record(bytes.fromhex(value))


def test_unknown_control_type():
    with pytest.raises(ProtocolError):
        records.decode_control(7, b"\0\0\0")
    with pytest.raises(ProtocolError):
        records.decode_control(2, b"")


def test_truncated_records_are_refused():
    for name, _, golden in LINES:
        if name in CONTROL_OF:
            continue
        value = bytes.fromhex(golden)
        for size in range(len(value)):
            with pytest.raises(ProtocolError):
                records.decode_record(value[:size])


def test_versions_of_control_records_that_are_newer_are_read():
    newer = b"\x00\x09" + codec.encode(records.SnapshotFooterRecord(), 0)[2:]
    assert records.decode_control(4, newer).version == 9

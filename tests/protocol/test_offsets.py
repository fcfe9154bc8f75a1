"""ListOffsets, OffsetForLeaderEpoch and DeleteRecords: protocol.md sections 10.4 and 10.5."""

from __future__ import annotations

from typing import Any

import pytest

from tests.protocol import raw
from tests.protocol.raw import (
    DELETE_RECORDS,
    GZIP,
    LIST_OFFSETS,
    OFFSET_FOR_LEADER_EPOCH,
    Connection,
    batch,
    record,
)

BASE = 1_700_000_000_000


def list_offsets(
    connection: Connection, topic: str, timestamp: int, *, version: int = 11, partition: int = 0, **extra: Any
) -> dict[str, Any]:
    data = {"partition_index": partition, "timestamp": timestamp, **extra.pop("partition_extra", {})}
    values = {"replica_id": -1, "topics": [{"name": topic, "partitions": [data]}], **extra}
    if version >= 2:
        values.setdefault("isolation_level", 0)
    return connection.call(LIST_OFFSETS, version, values)["topics"][0]["partitions"][0]


@pytest.fixture(scope="module")
def filled(address: str) -> str:
    """Six records in three batches with the timestamps BASE + 0, 10, 50, 20, 30, 40."""
    name, _ = raw.create_topic(address, configs={"retention.ms": "-1"})
    with Connection(address) as connection:
        for first, second in ((0, 10), (50, 20), (30, 40)):
            records = [record(timestamp_delta=first), record(offset_delta=1, timestamp_delta=second)]
            answer = raw.produce(
                connection, name, batch(*records, base_timestamp=BASE, attributes=0 if first else GZIP)
            )
            assert answer["error_code"] == 0
    return name


@pytest.mark.parametrize(
    ("timestamp", "found"),
    [
        (-1, (-1, 6, 0)),
        (-2, (-1, 0, 0)),
        (-3, (BASE + 50, 2, 0)),
        (-4, (-1, 0, 0)),
        (-5, (-1, -1, -1)),
        (-6, (-1, -1, -1)),
        (0, (BASE, 0, 0)),
        (BASE, (BASE, 0, 0)),
        (BASE + 1, (BASE + 10, 1, 0)),
        (BASE + 11, (BASE + 50, 2, 0)),
        (BASE + 25, (BASE + 50, 2, 0)),
        (BASE + 50, (BASE + 50, 2, 0)),
        (BASE + 51, (-1, -1, -1)),
        (2**63 - 1, (-1, -1, -1)),
    ],
)
def test_every_timestamp(
    connection: Connection, filled: str, timestamp: int, found: tuple[int, int, int]
) -> None:
    answer = list_offsets(connection, filled, timestamp)
    assert answer["error_code"] == 0
    # "earliest pending upload" has no epoch of its own without tiering.
    assert (answer["timestamp"], answer["offset"], answer["leader_epoch"]) == found


@pytest.mark.parametrize("version", range(1, 12))
def test_every_version(connection: Connection, filled: str, version: int) -> None:
    answer = list_offsets(connection, filled, -1, version=version)
    assert (answer["error_code"], answer["timestamp"], answer["offset"]) == (0, -1, 6)
    assert answer.get("leader_epoch", 0) == 0
    assert list_offsets(connection, filled, BASE + 11, version=version)["offset"] == 2


@pytest.mark.parametrize(
    ("version", "timestamp"),
    [(11, -7), (11, -100), (6, -3), (7, -4), (8, -5), (10, -6), (1, -3), (11, -(2**63))],
)
def test_timestamps_a_version_does_not_know(
    connection: Connection, filled: str, version: int, timestamp: int
) -> None:
    answer = list_offsets(connection, filled, timestamp, version=version)
    assert (answer["error_code"], answer["timestamp"], answer["offset"]) == (35, -1, -1)


def test_an_empty_log(connection: Connection, topic: str) -> None:
    for timestamp in (-3, 0, 5):
        answer = list_offsets(connection, topic, timestamp)
        assert (answer["error_code"], answer["timestamp"], answer["offset"]) == (0, -1, -1)
    for timestamp in (-1, -2, -4):
        assert list_offsets(connection, topic, timestamp)["offset"] == 0


def test_refusals(connection: Connection, filled: str) -> None:
    for name, partition in (("does-not-exist-at-all", 0), (filled, 9), (filled, -1)):
        answer = list_offsets(connection, name, -1, partition=partition)
        assert (answer["error_code"], answer["timestamp"], answer["offset"], answer["leader_epoch"]) == (
            3,
            -1,
            -1,
            -1,
        )
    assert (
        list_offsets(connection, filled, -1, partition_extra={"current_leader_epoch": 9})["error_code"] == 75
    )
    assert list_offsets(connection, filled, -1, isolation_level=9)["error_code"] == -1


def test_the_same_partition_twice(connection: Connection, filled: str) -> None:
    data = {"partition_index": 0, "timestamp": -1}
    values = {
        "replica_id": -1,
        "isolation_level": 0,
        "topics": [{"name": filled, "partitions": [data, data]}],
    }
    partitions = connection.call(LIST_OFFSETS, 11, values)["topics"][0]["partitions"]
    assert [p["error_code"] for p in partitions] == [42]
    values["topics"] = [{"name": filled, "partitions": [data]}] * 2
    (topic,) = connection.call(LIST_OFFSETS, 11, values)["topics"]
    assert [p["error_code"] for p in topic["partitions"]] == [42]


def test_read_committed_without_transactions(connection: Connection, filled: str) -> None:
    assert list_offsets(connection, filled, -1, isolation_level=1)["offset"] == 6


# OffsetForLeaderEpoch


@pytest.mark.parametrize("version", [2, 3, 4])
def test_epoch_end_offsets(connection: Connection, filled: str, version: int) -> None:
    def ask(name: str, epoch: int, current: int = -1, partition: int = 0) -> tuple[int, int, int]:
        data = {"partition": partition, "current_leader_epoch": current, "leader_epoch": epoch}
        values: dict[str, Any] = {"topics": [{"topic": name, "partitions": [data]}]}
        if version >= 3:
            values["replica_id"] = -1
        (found,) = connection.call(OFFSET_FOR_LEADER_EPOCH, version, values)["topics"][0]["partitions"]
        assert found["partition"] == partition
        return found["error_code"], found["leader_epoch"], found["end_offset"]

    assert ask(filled, 0) == (0, 0, 6)
    assert ask(filled, 0, current=0) == (0, 0, 6)
    assert ask(filled, 5) == (0, -1, -1)
    assert ask(filled, -1) == (0, -1, -1)
    assert ask(filled, 0, current=5) == (75, -1, -1)
    assert ask("does-not-exist-at-all", 0) == (3, -1, -1)
    assert ask(filled, 0, partition=9) == (3, -1, -1)


# DeleteRecords


def delete_records(
    connection: Connection, topic: str, offset: int, version: int = 2, partition: int = 0
) -> tuple[int, int]:
    data = {"partition_index": partition, "offset": offset}
    values = {"topics": [{"name": topic, "partitions": [data]}], "timeout": 5000}
    (found,) = connection.call(DELETE_RECORDS, version, values)["topics"][0]["partitions"]
    assert found["partition_index"] == partition
    return found["error_code"], found["low_watermark"]


@pytest.mark.parametrize("version", [0, 1, 2])
def test_delete_records(connection: Connection, topic: str, version: int) -> None:
    for _ in range(5):
        raw.produce(connection, topic, batch())
    assert delete_records(connection, topic, 2, version) == (0, 2)
    assert delete_records(connection, topic, 1, version) == (0, 2)
    assert list_offsets(connection, topic, -2)["offset"] == 2
    answer = raw.fetch(connection, topic, 0)
    assert (answer["error_code"], answer["records"]) == (1, b"")
    assert raw.fetch(connection, topic, 2)["log_start_offset"] == 2
    assert delete_records(connection, topic, 6, version) == (1, -1)
    assert delete_records(connection, topic, -2, version) == (1, -1)
    assert delete_records(connection, topic, -1, version) == (0, 5)
    assert list_offsets(connection, topic, -2)["offset"] == 5
    assert raw.produce(connection, topic, batch())["base_offset"] == 5
    assert raw.produce(connection, topic, batch())["log_start_offset"] == 5


def test_delete_records_inside_a_batch(connection: Connection, topic: str) -> None:
    raw.produce(connection, topic, raw.simple_batch(4))
    assert delete_records(connection, topic, 2) == (0, 2)
    answer = raw.fetch(connection, topic, 2)
    assert [b.base_offset for b in raw.parse_batches(answer["records"])] == [0]
    assert raw.fetch(connection, topic, 1)["error_code"] == 1


def test_delete_records_refused(connection: Connection) -> None:
    assert delete_records(connection, "does-not-exist-at-all", 0) == (3, -1)
    compacted, _ = raw.create_topic(connection, configs={"cleanup.policy": "compact"})
    assert delete_records(connection, compacted, 0) == (44, -1)
    both, _ = raw.create_topic(connection, configs={"cleanup.policy": "compact,delete"})
    assert delete_records(connection, both, 0) == (0, 0)
    assert delete_records(connection, both, 0, partition=7) == (3, -1)

"""Metadata, DescribeTopicPartitions, DescribeCluster, DescribeLogDirs and the small ones: protocol.md 10.4
and 10.5.
"""

from __future__ import annotations

import time
from typing import Any

import pytest

from tests.protocol import raw
from tests.protocol.raw import (
    CLOSED,
    DESCRIBE_CLUSTER,
    DESCRIBE_LOG_DIRS,
    DESCRIBE_TOPIC_PARTITIONS,
    GET_TELEMETRY_SUBSCRIPTIONS,
    LIST_PARTITION_REASSIGNMENTS,
    METADATA,
    PUSH_TELEMETRY,
    ZERO_UUID,
    Connection,
)

NOT_ASKED = -2147483648
ILLEGAL = ["", ".", "..", "a/b", "a b", "x" * 250, "ü"]


def metadata(connection: Connection, version: int, names: list[str] | None, **extra: Any) -> dict[str, Any]:
    topics = None if names is None else [{"name": name} for name in names]
    if version >= 4:
        extra.setdefault("allow_auto_topic_creation", False)
    return connection.call(METADATA, version, {"topics": topics, **extra})


@pytest.mark.parametrize("version", range(14))
def test_every_version(connection: Connection, version: int) -> None:
    name, topic_id = raw.create_topic(connection, partitions=2)
    answer = metadata(connection, version, [name])
    (broker,) = answer["brokers"]
    assert f"{broker['host']}:{broker['port']}" == connection.address
    (topic,) = answer["topics"]
    assert (topic["error_code"], topic["name"]) == (0, name)
    assert topic.get("topic_id", topic_id) == topic_id
    assert topic.get("is_internal", False) is False
    assert topic.get("topic_authorized_operations", NOT_ASKED) == NOT_ASKED
    assert sorted(p["partition_index"] for p in topic["partitions"]) == [0, 1]
    for partition in topic["partitions"]:
        assert partition["error_code"] == 0
        assert partition["leader_id"] == broker["node_id"]
        assert partition["replica_nodes"] == partition["isr_nodes"] == [broker["node_id"]]
        assert partition.get("leader_epoch", 0) == 0
        assert partition.get("offline_replicas", []) == []
    if version >= 1:
        assert broker["rack"] is None
        assert answer["controller_id"] == broker["node_id"]
    if version >= 2:
        assert len(answer["cluster_id"]) == 22


def test_all_topics_and_none(connection: Connection, shared_topic: tuple[str, bytes]) -> None:
    assert shared_topic[0] in {t["name"] for t in metadata(connection, 0, [])["topics"]}
    for version in (1, 4, 9, 12):
        assert metadata(connection, version, [])["topics"] == []
        assert shared_topic[0] in {t["name"] for t in metadata(connection, version, None)["topics"]}


def test_a_null_list_at_version_0(connection: Connection) -> None:
    answer = connection.call(METADATA, 0, b"\xff\xff\xff\xff")
    assert answer is CLOSED or isinstance(answer, dict)


def test_unknown_and_illegal_names(connection: Connection) -> None:
    for version in (4, 8, 9, 12):
        for name, error in [("does-not-exist-at-all", 3)] + [(name, 17) for name in ILLEGAL]:
            (topic,) = metadata(connection, version, [name])["topics"]
            assert (topic["error_code"], topic["name"], topic["partitions"]) == (error, name, [])
            assert topic.get("topic_id", ZERO_UUID) == ZERO_UUID


@pytest.mark.parametrize("version", [10, 12, 13])
def test_by_id(connection: Connection, version: int) -> None:
    name, topic_id = raw.create_topic(connection)

    def ask(topic_id: bytes, name: str | None) -> dict[str, Any]:
        values = {"topics": [{"topic_id": topic_id, "name": name}], "allow_auto_topic_creation": False}
        return connection.call(METADATA, version, values)

    if version == 10:
        answer = ask(topic_id, "")
        assert answer["controller_id"] == -1 or answer["topics"][0]["error_code"] in (0, 42)
        return
    for given in (None, "another-name"):
        (topic,) = ask(topic_id, given)["topics"]
        assert (topic["error_code"], topic["name"], topic["topic_id"]) == (0, name, topic_id)
    (topic,) = ask(b"\7" * 16, None)["topics"]
    assert (topic["error_code"], topic["name"], topic["topic_id"], topic["partitions"]) == (
        100,
        None,
        b"\7" * 16,
        [],
    )


def test_neither_name_nor_id(connection: Connection) -> None:
    values = {"topics": [{"topic_id": ZERO_UUID, "name": None}], "allow_auto_topic_creation": False}
    answer = connection.call(METADATA, 12, values)
    assert [t["error_code"] for t in answer["topics"]] == [-1]


def test_a_topic_by_id_below_version_12(connection: Connection, shared_topic: tuple[str, bytes]) -> None:
    values = {"topics": [{"topic_id": shared_topic[1], "name": None}], "allow_auto_topic_creation": False}
    answer = connection.call(METADATA, 10, values)
    assert answer["controller_id"] == -1
    assert [t["error_code"] for t in answer["topics"]] == [42]


@pytest.mark.parametrize("version", [0, 3, 4, 12])
def test_creation_on_demand(connection: Connection, version: int) -> None:
    name = raw.unique("demand")
    extra = {"allow_auto_topic_creation": True} if version >= 4 else {}
    (first,) = metadata(connection, version, [name], **extra)["topics"]
    assert (first["error_code"], first["partitions"]) == (3, [])
    deadline = time.monotonic() + 10
    while True:
        (topic,) = metadata(connection, version, [name], **extra)["topics"]
        if topic["error_code"] == 0:
            break
        assert topic["error_code"] in (3, 5)
        assert time.monotonic() < deadline
        time.sleep(0.02)
    assert len(topic["partitions"]) == 1


def test_nothing_is_created_by_version_4_when_it_says_so(connection: Connection) -> None:
    name = raw.unique("not-created")
    for _ in range(2):
        assert metadata(connection, 4, [name])["topics"][0]["error_code"] == 3
        time.sleep(0.1)


def test_authorized_operations(connection: Connection, shared_topic: tuple[str, bytes]) -> None:
    asked = metadata(connection, 8, [shared_topic[0]], include_topic_authorized_operations=True)
    assert asked["topics"][0]["topic_authorized_operations"] == 3576
    cluster = metadata(connection, 8, [], include_cluster_authorized_operations=True)
    assert cluster["cluster_authorized_operations"] not in (0, NOT_ASKED)
    assert metadata(connection, 8, [])["cluster_authorized_operations"] == NOT_ASKED


def test_authorized_operations_of_what_is_not_there(connection: Connection) -> None:
    """They are told before anybody looks whether there is such a topic."""
    for name in ("does-not-exist-at-all", "a/b"):
        asked = metadata(connection, 9, [name], include_topic_authorized_operations=True)
        assert asked["topics"][0]["topic_authorized_operations"] == 3576
        assert describe(connection, [name])["topics"][0]["topic_authorized_operations"] == 3576


def test_entries_without_an_id_beside_one_that_has_one(connection: Connection) -> None:
    """One id is enough for the request to be by id: the others are passed over."""
    name, topic_id = raw.create_topic(connection)
    topics = [{"name": None, "topic_id": ZERO_UUID}, {"name": name, "topic_id": topic_id}]
    for version in (12, 13):
        answer = connection.call(METADATA, version, {"topics": topics, "allow_auto_topic_creation": False})
        assert [(t["error_code"], t["name"]) for t in answer["topics"]] == [(0, name)]


def test_the_same_name_twice(connection: Connection, shared_topic: tuple[str, bytes]) -> None:
    assert len(metadata(connection, 9, [shared_topic[0]] * 2)["topics"]) == 1


# DescribeTopicPartitions


def describe(
    connection: Connection, names: list[str], limit: int = 2000, cursor: tuple[str, int] | None = None
) -> dict[str, Any]:
    values = {
        "topics": [{"name": name} for name in names],
        "response_partition_limit": limit,
        "cursor": None if cursor is None else {"topic_name": cursor[0], "partition_index": cursor[1]},
    }
    return connection.call(DESCRIBE_TOPIC_PARTITIONS, 0, values)


def test_describe_topic_partitions(connection: Connection) -> None:
    prefix = raw.unique("dtp")
    first, first_id = raw.create_topic(connection, f"{prefix}-a", partitions=3)
    second, _ = raw.create_topic(connection, f"{prefix}-b")
    answer = describe(connection, [second, first])
    assert [t["name"] for t in answer["topics"]] == [first, second]
    assert answer["next_cursor"] is None
    topic = answer["topics"][0]
    assert (topic["error_code"], topic["topic_id"], topic["is_internal"]) == (0, first_id, False)
    assert topic["topic_authorized_operations"] == 3576
    for index, partition in enumerate(topic["partitions"]):
        assert partition["partition_index"] == index
        assert partition["eligible_leader_replicas"] == []
        assert partition["last_known_elr"] == []
    limited = describe(connection, [first, second], limit=1)
    assert [len(t["partitions"]) for t in limited["topics"]] == [1]
    assert limited["next_cursor"] == {"topic_name": first, "partition_index": 1}
    three = describe(connection, [first, second], limit=3)
    assert three["next_cursor"] == {"topic_name": second, "partition_index": 0}
    rest = describe(connection, [first, second], cursor=(first, 2))
    assert [[p["partition_index"] for p in t["partitions"]] for t in rest["topics"]] == [[2], [0]]


def test_describe_topic_partitions_refused(connection: Connection, shared_topic: tuple[str, bytes]) -> None:
    (topic,) = describe(connection, ["does-not-exist-at-all"])["topics"]
    assert (topic["error_code"], topic["topic_id"], topic["partitions"]) == (3, ZERO_UUID, [])
    answer = describe(connection, [shared_topic[0]], cursor=(shared_topic[0], -1))
    assert {t["error_code"] for t in answer["topics"]} == {42}
    # A cursor must be at one of the topics asked for.
    answer = describe(connection, [shared_topic[0], "ü"], cursor=("another", 0))
    assert [t["error_code"] for t in answer["topics"]] == [42, 42]
    answer = describe(connection, [shared_topic[0]], cursor=(shared_topic[0], 9))
    assert [(t["error_code"], t["partitions"]) for t in answer["topics"]] == [(0, [])]
    (topic,) = describe(connection, ["a/b"])["topics"]
    assert topic["error_code"] == 17
    # The empty name is more than the reference can take.
    answer = describe(connection, [shared_topic[0], ""])
    assert [t["error_code"] for t in answer["topics"]] == [-1, -1]


@pytest.mark.parametrize("limit", [0, -1])
def test_a_limit_below_one_is_one(connection: Connection, limit: int) -> None:
    name, _ = raw.create_topic(connection, partitions=2)
    answer = describe(connection, [name], limit=limit)
    assert len(answer["topics"][0]["partitions"]) == 1
    assert answer["next_cursor"] == {"topic_name": name, "partition_index": 1}


# DescribeCluster


@pytest.mark.parametrize("version", [0, 1, 2])
def test_describe_cluster(connection: Connection, version: int) -> None:
    answer = connection.call(DESCRIBE_CLUSTER, version, {})
    assert (answer["error_code"], answer["error_message"]) == (0, None)
    (broker,) = answer["brokers"]
    assert f"{broker['host']}:{broker['port']}" == connection.address
    assert answer["controller_id"] == broker["broker_id"]
    assert answer["cluster_authorized_operations"] == NOT_ASKED
    assert answer.get("endpoint_type", 1) == 1
    assert broker.get("is_fenced", False) is False
    asked = connection.call(DESCRIBE_CLUSTER, version, {"include_cluster_authorized_operations": True})
    assert asked["cluster_authorized_operations"] not in (0, NOT_ASKED)


@pytest.mark.parametrize(("endpoint_type", "error"), [(2, 114), (9, 115)])
def test_describe_cluster_of_another_endpoint_type(
    connection: Connection, endpoint_type: int, error: int
) -> None:
    for version in (1, 2):
        assert (
            connection.call(DESCRIBE_CLUSTER, version, {"endpoint_type": endpoint_type})["error_code"]
            == error
        )


# DescribeLogDirs


@pytest.mark.parametrize("version", range(1, 6))
def test_describe_log_dirs(connection: Connection, version: int) -> None:
    name, _ = raw.create_topic(connection, partitions=2)
    raw.produce(connection, name, raw.batch())
    answer = connection.call(
        DESCRIBE_LOG_DIRS, version, {"topics": [{"topic": name, "partitions": [0, 1, 9]}]}
    )
    assert answer.get("error_code", 0) == 0
    (directory,) = answer["results"]
    assert directory["error_code"] == 0
    assert directory["log_dir"]
    (topic,) = directory["topics"]
    assert topic["name"] == name
    sizes = {p["partition_index"]: p["partition_size"] for p in topic["partitions"]}
    assert sizes == {0: len(raw.batch()), 1: 0}
    assert all((p["offset_lag"], p["is_future_key"]) == (0, False) for p in topic["partitions"])
    if version >= 4:
        assert directory["total_bytes"] > directory["usable_bytes"] > 0


def test_describe_log_dirs_of_unknown_and_all_topics(
    connection: Connection, shared_topic: tuple[str, bytes]
) -> None:
    unknown = {"topics": [{"topic": "does-not-exist-at-all", "partitions": [0]}]}
    (directory,) = connection.call(DESCRIBE_LOG_DIRS, 4, unknown)["results"]
    assert (directory["error_code"], directory["topics"]) == (0, [])
    (directory,) = connection.call(DESCRIBE_LOG_DIRS, 4, {"topics": None})["results"]
    assert shared_topic[0] in {t["name"] for t in directory["topics"]}


# ListPartitionReassignments, telemetry


def test_no_reassignments(connection: Connection, shared_topic: tuple[str, bytes]) -> None:
    for topics in (None, [{"name": shared_topic[0], "partition_indexes": [0]}]):
        answer = connection.call(LIST_PARTITION_REASSIGNMENTS, 0, {"timeout": 1000, "topics": topics})
        assert (answer["error_code"], answer["error_message"], answer["topics"]) == (0, None, [])


def test_telemetry_without_a_receiver(connection: Connection) -> None:
    answer = connection.call(GET_TELEMETRY_SUBSCRIPTIONS, 0, {"client_instance_id": ZERO_UUID})
    assert answer["error_code"] == 0
    assert answer["client_instance_id"] != ZERO_UUID
    assert answer["accepted_compression_types"] == [4, 3, 1, 2]
    assert answer["push_interval"] == 300000
    assert answer["telemetry_max_bytes"] == 1048576
    assert answer["requested_metrics"] == []
    values = {
        "client_instance_id": answer["client_instance_id"],
        "subscription_id": answer["subscription_id"] + 1,
        "metrics": b"",
    }
    assert connection.call(PUSH_TELEMETRY, 0, values)["error_code"] == 117

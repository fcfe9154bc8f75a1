"""CreateTopics, CreatePartitions and DeleteTopics: protocol.md section 10.5."""

from __future__ import annotations

import time
from typing import Any

import pytest

from tests.protocol import raw
from tests.protocol.raw import (
    CREATE_PARTITIONS,
    CREATE_TOPICS,
    DELETE_TOPICS,
    METADATA,
    ZERO_UUID,
    Connection,
)


def topic(name: str, partitions: int = 1, factor: int = 1, **extra: Any) -> dict[str, Any]:
    assignments = [
        {"partition_index": index, "broker_ids": brokers}
        for index, brokers in extra.pop("assignments", {}).items()
    ]
    configs = [{"name": key, "value": value} for key, value in extra.pop("configs", {}).items()]
    return {
        "name": name,
        "num_partitions": partitions,
        "replication_factor": factor,
        "assignments": assignments,
        "configs": configs,
        **extra,
    }


def create(
    connection: Connection,
    *topics: dict[str, Any],
    version: int = 7,
    timeout: int = 10000,
    validate_only: bool = False,
) -> list[dict[str, Any]]:
    values = {"topics": list(topics), "timeout": timeout, "validate_only": validate_only}
    return connection.call(CREATE_TOPICS, version, values)["topics"]


def exists(connection: Connection, name: str) -> bool:
    values = {"topics": [{"name": name}], "allow_auto_topic_creation": False}
    return connection.call(METADATA, 9, values)["topics"][0]["error_code"] == 0


def node_id(connection: Connection) -> int:
    return connection.call(METADATA, 1, {"topics": []})["controller_id"]


def check_refused(answer: dict[str, Any], error: int) -> None:
    assert answer["error_code"] == error, answer
    assert answer["topic_id"] == ZERO_UUID
    assert (answer["num_partitions"], answer["replication_factor"]) == (-1, -1)
    assert answer["configs"] == []


@pytest.mark.parametrize("version", range(2, 8))
def test_every_version(connection: Connection, version: int) -> None:
    name = raw.unique()
    (answer,) = create(connection, topic(name, 2), version=version)
    assert (answer["name"], answer["error_code"], answer["error_message"]) == (name, 0, None)
    if version >= 5:
        assert (answer["num_partitions"], answer["replication_factor"]) == (2, 1)
        assert len(answer["configs"]) == 33
        retention = next(c for c in answer["configs"] if c["name"] == "retention.ms")
        assert retention == {
            "name": "retention.ms",
            "value": "604800000",
            "read_only": False,
            "config_source": 5,
            "is_sensitive": False,
        }
    if version >= 7:
        assert answer["topic_id"] != ZERO_UUID
    (again,) = create(connection, topic(name), version=version)
    assert again["error_code"] == 36
    assert again["error_message"] == f"Topic '{name}' already exists."


def test_configs_of_a_new_topic(connection: Connection) -> None:
    (answer,) = create(
        connection, topic(raw.unique(), configs={"retention.ms": "5000", "cleanup.policy": "compact"})
    )
    configs = {c["name"]: (c["value"], c["config_source"]) for c in answer["configs"]}
    assert configs["retention.ms"] == ("5000", 1)
    assert configs["cleanup.policy"] == ("compact", 1)
    assert configs["min.insync.replicas"][1] in (3, 5)


@pytest.mark.parametrize("version", [2, 7])
def test_validate_only(connection: Connection, version: int) -> None:
    name = raw.unique()
    (answer,) = create(connection, topic(name, 3), version=version, validate_only=True)
    assert answer["error_code"] == 0
    if version == 7:
        assert answer["topic_id"] != ZERO_UUID
        assert (answer["num_partitions"], len(answer["configs"])) == (3, 33)
    assert not exists(connection, name)
    (bad,) = create(connection, topic(name, 0), version=version, validate_only=True)
    assert bad["error_code"] == 37


@pytest.mark.parametrize("name", ["", ".", "..", "a/b", "a b", "x" * 250, "ü"])
def test_illegal_names(connection: Connection, name: str) -> None:
    (answer,) = create(connection, topic(name))
    check_refused(answer, 17)
    assert answer["error_message"]


def test_the_longest_name(connection: Connection) -> None:
    name = (raw.unique() + "x" * 249)[:249]
    assert create(connection, topic(name))[0]["error_code"] == 0


def test_names_that_collide(connection: Connection) -> None:
    name = raw.unique("co.ll")
    assert create(connection, topic(name))[0]["error_code"] == 0
    (answer,) = create(connection, topic(name.replace(".", "_")))
    check_refused(answer, 17)
    assert "collide" in answer["error_message"]
    name = raw.unique("bo.th")
    answers = create(connection, topic(name), topic(name.replace(".", "_")))
    assert [a["error_code"] for a in answers] == [0, 0]


def test_internal_names(connection: Connection) -> None:
    check_refused(create(connection, topic("__cluster_metadata"))[0], 42)
    assert create(connection, topic(raw.unique("__own")))[0]["error_code"] == 0


@pytest.mark.parametrize(("partitions", "error"), [(0, 37), (-2, 37), (10_001, 44), (2**31 - 1, 44)])
def test_partition_counts(connection: Connection, partitions: int, error: int) -> None:
    check_refused(create(connection, topic(raw.unique(), partitions))[0], error)


@pytest.mark.parametrize("factor", [0, -2, 2, 32767])
def test_replication_factors(connection: Connection, factor: int) -> None:
    check_refused(create(connection, topic(raw.unique(), 1, factor))[0], 38)


def test_defaults(connection: Connection) -> None:
    (answer,) = create(connection, topic(raw.unique(), -1, -1))
    assert (answer["error_code"], answer["num_partitions"], answer["replication_factor"]) == (0, 1, 1)


def test_manual_assignment(connection: Connection) -> None:
    node = node_id(connection)
    name = raw.unique()
    (answer,) = create(connection, topic(name, -1, -1, assignments={0: [node], 1: [node]}))
    assert (answer["error_code"], answer["num_partitions"], answer["replication_factor"]) == (0, 2, 1)
    check_refused(create(connection, topic(raw.unique(), 1, -1, assignments={0: [node]}))[0], 42)
    check_refused(create(connection, topic(raw.unique(), -1, 1, assignments={0: [node]}))[0], 42)


def test_assignments_that_do_not_fit(connection: Connection) -> None:
    node = node_id(connection)
    for assignments in ({0: [node + 77]}, {0: [node, node]}, {1: [node]}, {0: []}, {0: [node], 2: [node]}):
        check_refused(create(connection, topic(raw.unique(), -1, -1, assignments=assignments))[0], 39)
    twice = topic(raw.unique(), -1, -1)
    twice["assignments"] = [{"partition_index": 0, "broker_ids": [node]}] * 2
    check_refused(create(connection, twice)[0], 39)


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("no.such.config", "1"),
        ("retention.ms", "soon"),
        ("retention.ms", None),
        ("retention.ms", "-2"),
        ("cleanup.policy", "none"),
        ("segment.bytes", "1048575"),
        ("compression.type", "brotli"),
        ("remote.storage.enable", "true"),
        ("min.insync.replicas", "0"),
        ("unclean.leader.election.enable", "maybe"),
        ("segment.bytes", "99999999999"),
    ],
)
def test_bad_configs(connection: Connection, name: str, value: str | None) -> None:
    (answer,) = create(connection, topic(raw.unique(), configs={name: value}))
    check_refused(answer, 40)
    assert answer["error_message"]


def test_configs_that_contradict(connection: Connection) -> None:
    configs = {"min.compaction.lag.ms": "100", "max.compaction.lag.ms": "50"}
    check_refused(create(connection, topic(raw.unique(), configs=configs))[0], 40)


def test_an_empty_cleanup_policy_is_legal(connection: Connection) -> None:
    assert create(connection, topic(raw.unique(), configs={"cleanup.policy": ""}))[0]["error_code"] == 0


def test_good_and_bad_in_one_request(connection: Connection) -> None:
    good, bad, twice = raw.unique(), raw.unique(), raw.unique()
    answers = create(connection, topic(good), topic(bad, 0), topic(twice), topic(twice), topic("a/b"))
    assert {(a["name"], a["error_code"]) for a in answers} == {(good, 0), (bad, 37), (twice, 42), ("a/b", 17)}
    assert len(answers) == 4
    raw.wait_for_topic(connection, good)
    assert not exists(connection, twice)


@pytest.mark.parametrize("timeout", [0, -1])
def test_no_time_at_all(connection: Connection, timeout: int) -> None:
    name = raw.unique()
    (answer,) = create(connection, topic(name), timeout=timeout)
    assert answer["error_code"] == 7
    time.sleep(0.2)
    assert not exists(connection, name)


def test_an_empty_list(connection: Connection) -> None:
    assert create(connection) == []


# CreatePartitions


def create_partitions(
    connection: Connection, *topics: tuple[str, int, Any], version: int = 3, **extra: Any
) -> list[Any]:
    entries = [{"name": name, "count": count, "assignments": given} for name, count, given in topics]
    values = {"topics": entries, "timeout": 10000, "validate_only": False, **extra}
    return connection.call(CREATE_PARTITIONS, version, values)["results"]


@pytest.mark.parametrize("version", range(4))
def test_more_partitions(connection: Connection, version: int) -> None:
    name, _ = raw.create_topic(connection)
    (checked,) = create_partitions(connection, (name, 3, None), version=version, validate_only=True)
    assert (checked["name"], checked["error_code"], checked["error_message"]) == (name, 0, None)
    (answer,) = create_partitions(connection, (name, 3, None), version=version)
    assert (answer["error_code"], answer["error_message"]) == (0, None)
    raw.wait_for_topic(connection, name, 3)
    assert raw.produce(connection, name, {2: raw.batch()})["base_offset"] == 0


def test_partition_changes_refused(connection: Connection) -> None:
    name, _ = raw.create_topic(connection, partitions=2)
    node = node_id(connection)
    for count in (2, 1, 0, -1):
        (answer,) = create_partitions(connection, (name, count, None))
        assert answer["error_code"] == 37
        assert answer["error_message"]
    assert create_partitions(connection, ("does-not-exist-at-all", 3, None))[0]["error_code"] == 3
    for given in ([], [[node]], [[node + 77], [node]], [[node], []]):
        assignments = [{"broker_ids": brokers} for brokers in given]
        assert create_partitions(connection, (name, 4, assignments))[0]["error_code"] == 39, given
    (twice,) = create_partitions(connection, (name, 3, None), (name, 4, None))
    assert (twice["name"], twice["error_code"]) == (name, 42)
    assert create_partitions(connection) == []


def test_manual_assignment_of_new_partitions(connection: Connection) -> None:
    name, _ = raw.create_topic(connection)
    (answer,) = create_partitions(connection, (name, 2, [{"broker_ids": [node_id(connection)]}]))
    assert answer["error_code"] == 0


def test_good_and_bad_partition_changes_in_one_request(connection: Connection) -> None:
    name, _ = raw.create_topic(connection)
    answers = create_partitions(connection, (name, 2, None), ("does-not-exist-at-all", 2, None))
    assert {(a["name"], a["error_code"]) for a in answers} == {(name, 0), ("does-not-exist-at-all", 3)}


# DeleteTopics


def wait_until_gone(connection: Connection, name: str) -> None:
    deadline = time.monotonic() + 10
    while exists(connection, name):
        assert time.monotonic() < deadline
        time.sleep(0.01)


@pytest.mark.parametrize("version", range(1, 7))
def test_delete_by_name(connection: Connection, version: int) -> None:
    name, topic_id = raw.create_topic(connection)
    values: dict[str, Any] = {"timeout": 10000}
    if version >= 6:
        values["topics"] = [{"name": name, "topic_id": ZERO_UUID}]
    else:
        values["topic_names"] = [name]
    (answer,) = connection.call(DELETE_TOPICS, version, values)["responses"]
    assert (answer["name"], answer["error_code"]) == (name, 0)
    assert answer.get("error_message") is None
    assert answer.get("topic_id", topic_id) == topic_id
    wait_until_gone(connection, name)
    (again,) = create(connection, topic(name))
    assert again["error_code"] == 0
    assert again["topic_id"] != topic_id


def delete(
    connection: Connection, *topics: tuple[str | None, bytes], timeout: int = 10000
) -> list[dict[str, Any]]:
    values = {
        "topics": [{"name": name, "topic_id": topic_id} for name, topic_id in topics],
        "timeout": timeout,
    }
    return connection.call(DELETE_TOPICS, 6, values)["responses"]


def test_delete_by_id(connection: Connection) -> None:
    name, topic_id = raw.create_topic(connection)
    (answer,) = delete(connection, (None, topic_id))
    assert (answer["name"], answer["topic_id"], answer["error_code"]) == (name, topic_id, 0)
    wait_until_gone(connection, name)
    assert delete(connection, (None, topic_id))[0]["error_code"] == 100


def test_delete_refused(connection: Connection) -> None:
    name, topic_id = raw.create_topic(connection)
    for unknown in ("does-not-exist-at-all", "a/b", ""):
        (answer,) = delete(connection, (unknown, ZERO_UUID))
        assert (answer["name"], answer["error_code"]) == (unknown, 3)
        assert answer["error_message"]
    (answer,) = delete(connection, (None, b"\7" * 16))
    assert (answer["name"], answer["topic_id"], answer["error_code"]) == (None, b"\7" * 16, 100)
    for wrong in ((None, ZERO_UUID), (name, topic_id)):
        (answer,) = delete(connection, wrong)
        assert answer["error_code"] == 42
    assert [a["error_code"] for a in delete(connection, (name, ZERO_UUID), (name, ZERO_UUID))] == [42]
    assert delete(connection) == []
    assert exists(connection, name)


def test_good_and_bad_deletions_in_one_request(connection: Connection) -> None:
    name, _ = raw.create_topic(connection)
    answers = delete(connection, (name, ZERO_UUID), ("does-not-exist-at-all", ZERO_UUID))
    assert {(a["name"], a["error_code"]) for a in answers} == {(name, 0), ("does-not-exist-at-all", 3)}

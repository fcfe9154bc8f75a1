"""The config APIs, 32, 33, 44 and 74: config-reference.md section 1."""

from __future__ import annotations

import contextlib
import time
from collections.abc import Iterator
from typing import Any

import pytest

from tests.protocol import raw
from tests.protocol.raw import (
    ALTER_CONFIGS,
    DESCRIBE_CONFIGS,
    INCREMENTAL_ALTER_CONFIGS,
    LIST_CONFIG_RESOURCES,
    Connection,
)

TOPIC, BROKER, LOGGER, CLIENT_METRICS, GROUP = 2, 4, 8, 16, 32
SET, DELETE, APPEND, SUBTRACT = 0, 1, 2, 3


def describe(
    connection: Connection,
    resource_type: int,
    name: str,
    keys: list[str] | None = None,
    version: int = 4,
    **extra: Any,
) -> dict[str, Any]:
    resource = {"resource_type": resource_type, "resource_name": name, "configuration_keys": keys}
    (result,) = connection.call(DESCRIBE_CONFIGS, version, {"resources": [resource], **extra})["results"]
    assert (result["resource_type"], result["resource_name"]) == (resource_type, name)
    return result


def configs_of(result: dict[str, Any]) -> dict[str, dict[str, Any]]:
    assert result["error_code"] == 0, result
    return {config["name"]: config for config in result["configs"]}


def change(
    connection: Connection,
    resource_type: int,
    name: str,
    *operations: tuple[str, int, str | None],
    **extra: Any,
) -> int:
    configs = [{"name": key, "config_operation": op, "value": value} for key, op, value in operations]
    resource = {"resource_type": resource_type, "resource_name": name, "configs": configs}
    values = {"resources": [resource], "validate_only": False, **extra}
    (answer,) = connection.call(INCREMENTAL_ALTER_CONFIGS, 1, values)["responses"]
    assert (answer["resource_type"], answer["resource_name"]) == (resource_type, name)
    if answer["error_code"] >= 0:
        assert (answer["error_message"] is None) == (answer["error_code"] == 0)
    return answer["error_code"]


def wait_for(
    connection: Connection, resource_type: int, name: str, key: str, value: str | None
) -> dict[str, Any]:
    deadline = time.monotonic() + 10
    while True:
        config = configs_of(describe(connection, resource_type, name, [key])).get(key)
        if (config["value"] if config else None) == value:
            return config or {}
        assert time.monotonic() < deadline, config
        time.sleep(0.01)


@pytest.fixture(scope="module")
def node(address: str) -> str:
    return str(raw.call(address, raw.METADATA, 1, {"topics": []})["controller_id"])


# Describe


@pytest.mark.parametrize("version", range(1, 5))
def test_a_topic(connection: Connection, topic: str, version: int) -> None:
    result = describe(connection, TOPIC, topic, version=version)
    assert result["error_message"] == ""
    configs = configs_of(result)
    assert len(configs) == 33
    segment = configs["segment.bytes"]
    assert (segment["value"], segment["config_source"]) == ("1073741824", 5)
    assert (segment["read_only"], segment["is_sensitive"], segment["synonyms"]) == (False, False, [])
    if version >= 3:
        types = {name: config["config_type"] for name, config in configs.items()}
        assert types["segment.bytes"] == 3
        assert types["retention.ms"] == 5
        assert types["cleanup.policy"] == 7
        assert types["preallocate"] == 1
        assert types["compression.type"] == 2
        assert types["min.cleanable.dirty.ratio"] == 6
        assert segment["documentation"] is None
        described = configs_of(
            describe(connection, TOPIC, topic, version=version, include_documentation=True)
        )
        assert all(config["documentation"] for config in described.values())


def test_every_broker_name(connection: Connection, node: str) -> None:
    configs = configs_of(describe(connection, BROKER, node))
    # Everything else that is listed was put there by a test or by the file of properties.
    assert len([name for name in configs if configs[name]["config_type"] != 0]) >= 340
    assert configs["node.id"]["value"] == node
    assert configs["node.id"]["read_only"] is True
    assert configs["log.cleaner.threads"]["read_only"] is False
    password = configs["ssl.keystore.password"]
    assert (password["value"], password["is_sensitive"], password["config_type"]) == (None, True, 9)


def test_synonyms(connection: Connection, topic: str) -> None:
    change(connection, TOPIC, topic, ("retention.ms", SET, "1234567"))
    wait_for(connection, TOPIC, topic, "retention.ms", "1234567")
    result = describe(connection, TOPIC, topic, ["retention.ms", "segment.bytes"], include_synonyms=True)
    configs = configs_of(result)
    assert configs["retention.ms"]["config_source"] == 1
    synonyms = [(s["name"], s["value"], s["source"]) for s in configs["retention.ms"]["synonyms"]]
    assert synonyms == [("retention.ms", "1234567", 1)]
    synonyms = [(s["name"], s["value"], s["source"]) for s in configs["segment.bytes"]["synonyms"]]
    assert synonyms == [("log.segment.bytes", "1073741824", 5)]


def test_names_asked_for(connection: Connection, topic: str) -> None:
    asked = configs_of(describe(connection, TOPIC, topic, ["retention.ms", "no.such.name"]))
    assert set(asked) == {"retention.ms"}
    assert len(configs_of(describe(connection, TOPIC, topic, []))) == 33


def test_resources_that_are_not_there(connection: Connection) -> None:
    for resource_type, name, error in (
        (TOPIC, "does-not-exist-at-all", 3),
        (TOPIC, "a/b", 17),
        (BROKER, "77", 42),
        (BROKER, "one", 42),
        (0, "x", 42),
        (99, "x", 42),
        (GROUP, "", 42),
        (CLIENT_METRICS, "", 42),
    ):
        result = describe(connection, resource_type, name)
        assert (result["error_code"], result["configs"]) == (error, []), (resource_type, name)


def test_groups_and_client_metrics_answer_with_defaults(connection: Connection) -> None:
    assert len(configs_of(describe(connection, GROUP, "some-group"))) == 17
    assert len(configs_of(describe(connection, CLIENT_METRICS, "some-subscription"))) == 3


def test_the_cluster_level_lists_what_is_set(connection: Connection) -> None:
    configs = configs_of(describe(connection, BROKER, ""))
    assert all(config["config_source"] == 3 for config in configs.values())


# Incremental changes


def test_set_and_delete(connection: Connection, topic: str) -> None:
    assert (
        change(connection, TOPIC, topic, ("retention.ms", SET, "5000"), ("max.message.bytes", SET, "2000"))
        == 0
    )
    config = wait_for(connection, TOPIC, topic, "retention.ms", "5000")
    assert (config["config_source"], config["value"]) == (1, "5000")
    assert raw.produce(connection, topic, raw.simple_batch(1, size=3000))["error_code"] == 10
    assert change(connection, TOPIC, topic, ("max.message.bytes", DELETE, None)) == 0
    wait_for(connection, TOPIC, topic, "max.message.bytes", "1048588")
    assert raw.produce(connection, topic, raw.simple_batch(1, size=3000))["error_code"] == 0
    assert change(connection, TOPIC, topic, ("no.such.name", DELETE, None)) == 0


def test_lists(connection: Connection, topic: str) -> None:
    assert change(connection, TOPIC, topic, ("cleanup.policy", APPEND, "compact")) == 0
    assert wait_for(connection, TOPIC, topic, "cleanup.policy", "delete,compact")
    assert change(connection, TOPIC, topic, ("cleanup.policy", SUBTRACT, "delete")) == 0
    assert wait_for(connection, TOPIC, topic, "cleanup.policy", "compact")


@pytest.mark.parametrize(
    ("operation", "error"),
    [
        (("retention.ms", APPEND, "1"), 40),
        (("retention.ms", SUBTRACT, "1"), 40),
        (("retention.ms", SET, None), 42),
        (("retention.ms", SET, "soon"), 40),
        (("no.such.name", SET, "1"), 40),
        (("retention.ms", 9, "1"), -1),
    ],
)
def test_refused_changes(
    connection: Connection, topic: str, operation: tuple[str, int, str | None], error: int
) -> None:
    assert change(connection, TOPIC, topic, ("segment.ms", SET, "100000"), operation) == error
    config = configs_of(describe(connection, TOPIC, topic, ["segment.ms"]))["segment.ms"]
    assert config["value"] == "604800000", "nothing of a refused resource is applied"


def test_the_same_name_and_the_same_resource_twice(connection: Connection, topic: str) -> None:
    assert change(connection, TOPIC, topic, ("retention.ms", SET, "1"), ("retention.ms", SET, "2")) == 42
    configs = [{"name": "retention.ms", "config_operation": SET, "value": "1"}]
    resource = {"resource_type": TOPIC, "resource_name": topic, "configs": configs}
    values = {"resources": [resource, resource], "validate_only": False}
    answer = connection.call(INCREMENTAL_ALTER_CONFIGS, 1, values)
    assert {r["error_code"] for r in answer["responses"]} == {42}


def test_changes_of_resources_that_are_not_there(connection: Connection) -> None:
    for resource_type, name, error in (
        (TOPIC, "does-not-exist-at-all", 3),
        (BROKER, "77", 42),
        (BROKER, "one", 42),
        (0, "x", 42),
        (99, "x", 42),
    ):
        assert change(connection, resource_type, name, ("retention.ms", SET, "1")) == error, (
            resource_type,
            name,
        )


def test_validate_only(connection: Connection, topic: str) -> None:
    assert change(connection, TOPIC, topic, ("retention.ms", SET, "5000"), validate_only=True) == 0
    assert change(connection, TOPIC, topic, ("retention.ms", SET, "soon"), validate_only=True) == 40
    assert (
        configs_of(describe(connection, TOPIC, topic, ["retention.ms"]))["retention.ms"]["config_source"] == 5
    )


# The broker's own


@contextlib.contextmanager
def changed(connection: Connection, name: str, key: str, value: str) -> Iterator[None]:
    assert change(connection, BROKER, name, (key, SET, value)) == 0
    try:
        yield
    finally:
        assert change(connection, BROKER, name, (key, DELETE, None)) == 0


def test_a_dynamic_broker_config(connection: Connection, node: str, topic: str) -> None:
    with changed(connection, "", "log.retention.ms", "777777"):
        config = wait_for(connection, BROKER, node, "log.retention.ms", "777777")
        assert config["config_source"] == 3
        inherited = wait_for(connection, TOPIC, topic, "retention.ms", "777777")
        assert inherited["config_source"] == 3
        with changed(connection, node, "log.retention.ms", "888888"):
            assert wait_for(connection, BROKER, node, "log.retention.ms", "888888")["config_source"] == 2
            assert wait_for(connection, TOPIC, topic, "retention.ms", "888888")["config_source"] == 2
        wait_for(connection, BROKER, node, "log.retention.ms", "777777")
    wait_for(connection, BROKER, node, "log.retention.ms", None)


def test_a_message_limit_of_the_broker_takes_effect(connection: Connection, topic: str) -> None:
    with changed(connection, "", "message.max.bytes", "3000"):
        wait_for(connection, TOPIC, topic, "max.message.bytes", "3000")
        assert raw.produce(connection, topic, raw.simple_batch(1, size=4000))["error_code"] == 10
    wait_for(connection, TOPIC, topic, "max.message.bytes", "1048588")
    assert raw.produce(connection, topic, raw.simple_batch(1, size=4000))["error_code"] == 0


@pytest.mark.parametrize(
    ("at_node", "key", "value", "error"),
    [
        (True, "node.id", "5", 42),
        (True, "log.dirs", "/elsewhere", 42),
        (False, "log.dirs", "/elsewhere", 42),
        (True, "log.retention.ms", "soon", 42),
        (False, "listeners", "PLAINTEXT://:1", 42),
        (True, "num.io.threads", "999", 42),
        (True, "num.io.threads", "1", 42),
    ],
)
def test_refused_broker_changes(
    connection: Connection, node: str, at_node: bool, key: str, value: str, error: int
) -> None:
    assert change(connection, BROKER, node if at_node else "", (key, SET, value)) == error


def test_an_unknown_broker_name_is_kept(connection: Connection, node: str) -> None:
    with changed(connection, node, "some.plugin.name", "x"):
        deadline = time.monotonic() + 10
        while True:
            found = configs_of(describe(connection, BROKER, node)).get("some.plugin.name")
            if found or time.monotonic() > deadline:
                break
        assert found is not None
        assert (found["config_type"], found["read_only"], found["is_sensitive"]) == (0, True, True)
        assert found["value"] is None


# AlterConfigs


@pytest.mark.parametrize("version", range(3))
def test_alter_configs_replaces(connection: Connection, topic: str, version: int) -> None:
    def alter(configs: dict[str, str | None], name: str = topic, **extra: Any) -> int:
        entries = [{"name": key, "value": value} for key, value in configs.items()]
        resource = {"resource_type": TOPIC, "resource_name": name, "configs": entries}
        values = {"resources": [resource], "validate_only": False, **extra}
        (answer,) = connection.call(ALTER_CONFIGS, version, values)["responses"]
        return answer["error_code"]

    assert alter({"retention.ms": "5000", "segment.ms": "100000"}) == 0
    wait_for(connection, TOPIC, topic, "segment.ms", "100000")
    assert alter({"retention.ms": "6000"}, validate_only=True) == 0
    assert alter({"retention.ms": "6000"}) == 0
    wait_for(connection, TOPIC, topic, "retention.ms", "6000")
    wait_for(connection, TOPIC, topic, "segment.ms", "604800000")
    assert alter({"retention.ms": "soon"}) == 40
    assert alter({"no.such.name": "1"}) == 40
    assert alter({"retention.ms": "1"}, name="does-not-exist-at-all") == 3
    assert configs_of(describe(connection, TOPIC, topic, ["retention.ms"]))["retention.ms"]["value"] == "6000"
    assert alter({}) == 0
    wait_for(connection, TOPIC, topic, "retention.ms", "604800000")


# ListConfigResources


def test_list_config_resources(connection: Connection, topic: str, node: str) -> None:
    old = connection.call(LIST_CONFIG_RESOURCES, 0, {})
    assert old["error_code"] == 0
    everything = connection.call(LIST_CONFIG_RESOURCES, 1, {"resource_types": []})
    found = {(r["resource_type"], r["resource_name"]) for r in everything["config_resources"]}
    assert {(TOPIC, topic), (BROKER, node), (LOGGER, node)} <= found
    topics = connection.call(LIST_CONFIG_RESOURCES, 1, {"resource_types": [TOPIC]})["config_resources"]
    assert {r["resource_type"] for r in topics} == {TOPIC}
    unknown = connection.call(LIST_CONFIG_RESOURCES, 1, {"resource_types": [99]})
    assert (unknown["error_code"], unknown["config_resources"]) == (35, [])

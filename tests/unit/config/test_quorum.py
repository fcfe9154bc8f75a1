"""Who votes, where the quorum is asked for, and Kafka 4.3's rules about roles and the controller's listeners."""

from __future__ import annotations

import pytest

from pybroker.common.config import BrokerConfig
from pybroker.common.errors import ConfigError

THREE = "1@a:9093,2@b:9093,3@[::1]:9093"
BOTH = "PLAINTEXT://:9092,CONTROLLER://:9093"


def load(**properties: str) -> BrokerConfig:
    named = {name.replace("_", "."): value for name, value in properties.items()}
    return BrokerConfig.from_properties({"listeners": BOTH} | named)


def refusal(**properties: str) -> str:
    with pytest.raises(ConfigError) as caught:
        load(**properties)
    return str(caught.value)


def test_static_voters():
    config = load(controller_quorum_voters=THREE)
    voters = {1: ("a", 9093), 2: ("b", 9093), 3: ("::1", 9093)}
    assert config.quorum_voters() == voters
    assert config.quorum_bootstrap_servers() == list(voters.values())
    assert not config.is_alone


def test_bootstrap_servers():
    config = load(controller_quorum_bootstrap_servers="a:9093,b:9094")
    assert config.quorum_voters() == {}
    assert config.quorum_bootstrap_servers() == [("a", 9093), ("b", 9094)]
    assert not config.is_alone


@pytest.mark.parametrize(
    "properties",
    [
        {},
        {"listeners": "PLAINTEXT://:9092"},
        {"controller_quorum_voters": "1@anything:5"},
        {"controller_quorum_bootstrap_servers": "localhost:9093"},
        {"controller_quorum_bootstrap_servers": "[::1]:9093,127.0.0.1:9093"},
        {
            "controller_quorum_bootstrap_servers": "me:9093",
            "advertised_listeners": "PLAINTEXT://me:9092,CONTROLLER://me:9093",
        },
    ],
)
def test_a_node_that_names_nobody_else_is_alone(properties):
    assert load(**properties).is_alone


@pytest.mark.parametrize(
    "properties",
    [
        {"controller_quorum_voters": THREE},
        {"controller_quorum_bootstrap_servers": "localhost:9094"},
        {"controller_quorum_bootstrap_servers": "other:9093"},
        {
            "process_roles": "controller",
            "listeners": "CONTROLLER://:9093",
            "controller_quorum_voters": "1@a:1",
        },
        {"process_roles": "broker", "listeners": "PLAINTEXT://:9092", "controller_quorum_voters": "2@a:1"},
    ],
)
def test_a_node_that_names_others_is_not_alone(properties):
    assert not load(**properties).is_alone


def test_where_the_controller_listens_and_what_others_are_told():
    config = load(
        controller_quorum_voters=THREE,
        controller_listener_names="SECOND,CONTROLLER",
        listeners="CONTROLLER://:9093,PLAINTEXT://:9092,SECOND://127.0.0.1:9094",
        listener_security_protocol_map="PLAINTEXT:PLAINTEXT,CONTROLLER:PLAINTEXT,SECOND:PLAINTEXT",
        advertised_listeners="PLAINTEXT://me:9092,CONTROLLER://me:19093",
    )
    assert [listener.name for listener in config.listeners()] == ["PLAINTEXT"]
    assert [listener.name for listener in config.controller_listeners()] == ["CONTROLLER", "SECOND"]
    told = [listener[:3] for listener in config.advertised_controller_listeners()]
    assert told == [("SECOND", "127.0.0.1", 9094), ("CONTROLLER", "me", 19093)]
    assert [listener[:3] for listener in config.advertised_listeners()] == [("PLAINTEXT", "me", 9092)]


def test_a_controller_alone_has_no_listener_for_clients():
    config = load(process_roles="controller", listeners="CONTROLLER://:9093", controller_quorum_voters=THREE)
    assert config.listeners() == []
    assert config.advertised_listeners() == []


BROKER = {"process_roles": "broker", "listeners": "PLAINTEXT://:9092", "node_id": "4"}


@pytest.mark.parametrize(
    ("properties", "message"),
    [
        (
            {**BROKER},
            "If using process.roles, either controller.quorum.bootstrap.servers must contain the set of bootstrap "
            "controllers or controller.quorum.voters must contain a parseable set of controllers.",
        ),
        (
            {"controller_quorum_voters": THREE, "node_id": "4"},
            "If process.roles contains the 'controller' role, the node id 4 must be included in the set of voters "
            "controller.quorum.voters=Set(1, 2, 3)",
        ),
        (
            {"controller_quorum_voters": THREE, "listeners": "PLAINTEXT://:9092"},
            "controller.listener.names must contain at least one value appearing in the 'listeners' configuration "
            "when running the KRaft controller role",
        ),
        (
            {
                "controller_quorum_voters": THREE,
                "controller_listener_names": "CONTROLLER,OTHER",
                "listener_security_protocol_map": "PLAINTEXT:PLAINTEXT,CONTROLLER:PLAINTEXT,OTHER:PLAINTEXT",
            },
            "controller.listener.names must only contain values appearing in the 'listeners' configuration when "
            "running the KRaft controller role",
        ),
        (
            {**BROKER, "controller_quorum_voters": THREE, "node_id": "2"},
            "If process.roles contains just the 'broker' role, the node id 2 must not be included in the set of "
            "voters controller.quorum.voters=Set(1, 2, 3)",
        ),
        (
            {**BROKER, "controller_quorum_voters": THREE, "listeners": BOTH},
            "controller.listener.names must not contain a value appearing in the 'listeners' configuration when "
            "running KRaft with just the broker role",
        ),
        (
            {
                **BROKER,
                "controller_quorum_voters": THREE,
                "listener_security_protocol_map": "PLAINTEXT:PLAINTEXT",
            },
            "Controller listener with name CONTROLLER defined in controller.listener.names not found in",
        ),
        (
            {**BROKER, "controller_quorum_voters": THREE, "controller_quorum_auto_join_enable": "true"},
            "controller.quorum.auto.join.enable is only supported when process.roles contains the 'controller' role.",
        ),
        (
            {"process_roles": "controller", "controller_quorum_voters": THREE},
            "The listeners config must only contain KRaft controller listeners from controller.listener.names when "
            "process.roles=controller",
        ),
        (
            {"listeners": "CONTROLLER://:9093"},
            "There must be at least one broker advertised listener. Perhaps all listeners appear in "
            "controller.listener.names?",
        ),
        ({"controller_quorum_voters": "1"}, "Each entry should be in the form `{id}@{host}:{port}`."),
        ({"controller_quorum_voters": "1@a@b:5"}, "Each entry should be in the form `{id}@{host}:{port}`."),
        ({"controller_quorum_voters": "x@a:5"}, "Failed to parse voter ID as an integer from x"),
        ({"controller_quorum_voters": "1@a"}, "Failed to parse host name"),
        ({"controller_quorum_voters": "1@:5"}, "Failed to parse host name"),
        ({"controller_quorum_voters": "1@a:b"}, "Failed to parse host port"),
        ({"controller_quorum_voters": "1@a:70000"}, "Failed to parse host port"),
        ({"controller_quorum_voters": "1@0.0.0.0:5"}, "Host string (0.0.0.0) is not routeable"),
        ({"controller_quorum_bootstrap_servers": "a"}, "Failed to parse host name"),
        ({"controller_quorum_bootstrap_servers": "a:"}, "Failed to parse host port"),
    ],
)
def test_kafkas_rules(properties, message):
    assert message in refusal(**properties)

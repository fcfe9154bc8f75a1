"""KAFKA_... variables as properties, and the listeners of a container."""

from __future__ import annotations

import pytest

from pybroker.common.config import BrokerConfig, add_container_listeners, properties_from_environment
from pybroker.common.errors import ConfigError


@pytest.mark.parametrize(
    ("variable", "name"),
    [
        ("KAFKA_LOG_RETENTION_HOURS", "log.retention.hours"),
        ("KAFKA_ADVERTISED_LISTENERS", "advertised.listeners"),
        ("KAFKA_PYBROKER_HTTP_LISTENER", "pybroker.http.listener"),
        ("KAFKA_LISTENER_NAME_PLAINTEXT_MAX_CONNECTIONS", "listener.name.plaintext.max.connections"),
        # A plug-in's name may have anything; two underscores are one, three a dash.
        (
            "KAFKA_LISTENER_NAME_PLAINTEXT__HOST_MAX_CONNECTIONS",
            "listener.name.plaintext_host.max.connections",
        ),
        ("KAFKA_LISTENER_NAME_MY___OWN_MAX_CONNECTIONS", "listener.name.my-own.max.connections"),
    ],
)
def test_names(variable, name):
    found = properties_from_environment({variable: "5", "PATH": "/bin", "kafka_node_id": "3"})
    assert found == ({name: "5"}, [])


def test_what_is_no_property_is_left_out():
    of_images = {"KAFKA_OPTS": "-X", "KAFKA_HEAP_OPTS": "-Xmx1g", "KAFKA_JMX_PORT": "9", "KAFKA_VERSION": "4"}
    of_kubernetes = {"KAFKA_SERVICE_HOST": "10.0.0.1", "KAFKA_PORT_9092_TCP": "tcp://10.0.0.1:9092"}
    found = properties_from_environment({**of_images, **of_kubernetes, "CLUSTER_ID": "x"})
    assert found.properties == {}
    assert found.unknown == sorted(of_kubernetes)


def listeners(properties, name="box"):
    add_container_listeners(properties, name)
    config = BrokerConfig.from_properties(properties)
    return [[(each.name, each.host, each.port) for each in found] for found in
            (config.listeners(), config.advertised_listeners())]  # fmt: skip


def test_host_and_other_containers_are_told_what_they_reach():
    bound, told = listeners({})
    assert bound == [("PLAINTEXT", "", 19092), ("PLAINTEXT_HOST", "", 9092)]
    assert told == [("PLAINTEXT", "box", 19092), ("PLAINTEXT_HOST", "localhost", 9092)]


def test_advertised_listeners_alone():
    bound, told = listeners({"advertised.listeners": "PLAINTEXT://localhost:31234"})
    assert bound == [("PLAINTEXT", "", 9092)]
    assert told == [("PLAINTEXT", "localhost", 31234)]
    two = "PLAINTEXT://localhost:9092,INSIDE://kafka:19092"
    protocols = {"listener.security.protocol.map": "PLAINTEXT:PLAINTEXT,INSIDE:PLAINTEXT"}
    bound, told = listeners({"advertised.listeners": two, **protocols})
    assert bound == [("PLAINTEXT", "", 9092), ("INSIDE", "", 19092)]
    with pytest.raises(ConfigError, match="for 3 set listeners too"):
        add_container_listeners({"advertised.listeners": f"{two},MORE://x:1"}, "box")


def test_given_listeners_are_left_alone():
    properties = {"listeners": "PLAINTEXT://:9092,CONTROLLER://:9093"}
    bound, told = listeners(properties)
    assert bound == told == [("PLAINTEXT", "", 9092)]

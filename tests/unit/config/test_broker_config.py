"""The properties file, what is derived from it, and dynamic values on top."""

from __future__ import annotations

import dataclasses

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pybroker.common.config import (
    BROKER_KEYS,
    BrokerConfig,
    Listener,
    log_config_from,
    parse_properties,
)
from pybroker.common.errors import ConfigError
from pybroker.log.config import LogConfig

LONG_MAX = (1 << 63) - 1


def config(**properties: str) -> BrokerConfig:
    """Names with "_" for "."."""
    return BrokerConfig.from_properties({name.replace("_", "."): text for name, text in properties.items()})


def refusal(properties: dict[str, str]) -> str:
    with pytest.raises(ConfigError) as caught:
        BrokerConfig.from_properties(properties)
    return str(caught.value)


def test_nothing_is_required():
    empty = BrokerConfig.from_properties({})
    assert (empty.node_id, empty["broker.id"], empty["process.roles"]) == (1, 1, ["broker", "controller"])
    assert empty.listeners() == [Listener("PLAINTEXT", "", 9092, "PLAINTEXT")]
    assert empty.advertised_listeners() == empty.listeners()
    assert empty.log_dirs == ["/tmp/kafka-logs"]
    assert empty["metadata.log.dir"] == "/tmp/kafka-logs"
    assert empty.unused == []
    assert empty["num.partitions"] == 1
    assert empty["broker.rack"] is None


KAFKA_FILE = """
# a comment
process.roles=broker,controller
node.id=7
controller.quorum.bootstrap.servers=localhost:9093
listeners=PLAINTEXT://:9092,CONTROLLER://:9093
inter.broker.listener.name=PLAINTEXT
advertised.listeners=PLAINTEXT://localhost:9092,CONTROLLER://localhost:9093
controller.listener.names=CONTROLLER
listener.security.protocol.map=CONTROLLER:PLAINTEXT,PLAINTEXT:PLAINTEXT,SSL:SSL
num.network.threads=3
socket.request.max.bytes=104857600
log.dirs=/data/one, /data/two
num.partitions=4
offsets.topic.replication.factor=1
log.retention.hours=168
"""


def test_a_properties_file_of_a_kafka_installation():
    loaded = BrokerConfig.from_properties(parse_properties(KAFKA_FILE))
    assert loaded.node_id == 7
    assert [listener.name for listener in loaded.listeners()] == ["PLAINTEXT"]
    assert [listener.name for listener in loaded.controller_listeners()] == ["CONTROLLER"]
    assert loaded.advertised_listeners() == [Listener("PLAINTEXT", "localhost", 9092, "PLAINTEXT")]
    assert loaded.log_dirs == ["/data/one", "/data/two"]
    assert loaded["num.replica.alter.log.dirs.threads"] == 2
    assert loaded.unused == ["num.network.threads"]
    assert loaded.is_alone


@pytest.mark.parametrize(
    ("properties", "name", "value"),
    [
        ({}, "log.retention.ms", 604_800_000),
        ({"log.retention.hours": "2"}, "log.retention.ms", 7_200_000),
        ({"log.retention.hours": "2", "log.retention.minutes": "3"}, "log.retention.ms", 180_000),
        ({"log.retention.minutes": "3", "log.retention.ms": "4"}, "log.retention.ms", 4),
        ({"log.retention.hours": "-1"}, "log.retention.ms", -1),
        ({"log.retention.ms": "-9"}, "log.retention.ms", -1),
        ({"log.roll.hours": "1"}, "log.roll.ms", 3_600_000),
        ({"log.roll.hours": "1", "log.roll.ms": "5"}, "log.roll.ms", 5),
        ({"log.roll.jitter.hours": "1"}, "log.roll.jitter.ms", 3_600_000),
        ({}, "log.flush.interval.ms", LONG_MAX),
        ({"log.flush.scheduler.interval.ms": "9"}, "log.flush.interval.ms", 9),
        ({"log.dir": "/a"}, "log.dirs", ["/a"]),
        ({"log.dir": "/a", "log.dirs": "/b,/c"}, "log.dirs", ["/b", "/c"]),
        ({"log.dir": "/a", "log.dirs": "/b,/c"}, "metadata.log.dir", "/b"),
        ({"metadata.log.dir": "/m"}, "metadata.log.dir", "/m"),
        ({"broker.id": "4"}, "node.id", 4),
        ({"node.id": "4"}, "broker.id", 4),
        ({"listeners": "PLAINTEXT://h:1"}, "advertised.listeners", ["PLAINTEXT://h:1"]),
        ({}, "max.connections", 10_000),
        ({"max.connections": "50"}, "max.connections", 50),
        ({"pybroker.connections.max": "60"}, "max.connections", 60),
        ({}, "max.connections.per.ip", 10_000),
        ({}, "queued.max.request.bytes", -1),
        ({"queued.max.request.bytes": "200000000"}, "queued.max.request.bytes", 200_000_000),
    ],
)
def test_derived_values(properties, name, value):
    assert BrokerConfig.from_properties(properties)[name] == value


def test_what_was_configured_is_kept_beside_what_is_derived():
    loaded = config(log_retention_minutes="3")
    assert loaded.configured("log.retention.ms") is None
    assert loaded.configured("max.connections") == (1 << 31) - 1


def test_an_unknown_name_is_a_key_error_unless_a_default_is_given():
    loaded = config()
    with pytest.raises(KeyError):
        loaded["num.partition"]
    with pytest.raises(KeyError):
        loaded.get("num.partition")
    assert loaded.get("num.partition", 5) == 5
    assert loaded.get("broker.rack") is None


@pytest.mark.parametrize(
    ("properties", "parts"),
    [
        ({"num.partition": "3"}, ["num.partition=3", "num.partitions"]),
        ({"auto.create.topic.enable": "true"}, ["auto.create.topics.enable"]),
        ({"pybroker.durabilty": "os"}, ["pybroker.durability"]),
        ({"zookeeper.connect": "z:2181"}, ["Unknown configuration zookeeper.connect=z:2181"]),
        ({"listener.name.plaintext.nonsense": "1"}, ["listener.name.plaintext.nonsense"]),
        ({"listener.name.": "1"}, ["listener.name."]),
        ({"": "1"}, ["Unknown configuration"]),
        ({"num.partitions": "0"}, ["num.partitions", "0", "at least 1"]),
        ({"num.partitions": "many"}, ["num.partitions", "many", "INT"]),
        ({"compression.type": "brotli"}, ["compression.type", "brotli", "zstd"]),
        ({"pybroker.durability": "maybe"}, ["pybroker.durability", "maybe", "os, fsync"]),
        ({"log.segment.bytes": "100"}, ["log.segment.bytes", "100", "1048576"]),
        (
            {"listener.name.plaintext.max.connections": "-1"},
            ["listener.name.plaintext.max.connections", "at least 0"],
        ),
        ({"log.retention.ms": "0"}, ["log.retention.ms=0", "-1"]),
        ({"log.roll.ms": "0"}, ["log.roll.ms=0", "1"]),
        ({"log.cleaner.threads": "0"}, ["log.cleaner.threads=0", "at least 1"]),
        ({"log.cleaner.dedupe.buffer.size": "5"}, ["log.cleaner.dedupe.buffer.size=5", "1MB"]),
        (
            {"queued.max.request.bytes": "5"},
            ["queued.max.request.bytes=5", "socket.request.max.bytes=104857600"],
        ),
        ({"max.connections.per.ip": "0"}, ["max.connections.per.ip=0"]),
        ({"max.connections.per.ip.overrides": "host"}, ["max.connections.per.ip.overrides=host"]),
        ({"max.connections.per.ip.overrides": "host:many"}, ["max.connections.per.ip.overrides=host:many"]),
        ({"cordoned.log.dirs": "/nowhere"}, ["cordoned.log.dirs=/nowhere", "log.dirs"]),
        ({"cordoned.log.dirs": "*,/a"}, ["cordoned.log.dirs=*,/a"]),
        (
            {"group.consumer.session.timeout.ms": "5"},
            ["group.consumer.session.timeout.ms=5", "group.consumer.min.session.timeout.ms=45000"],
        ),
        ({"node.id": "-1"}, ["node.id", "-1", "at least 0"]),
        ({"node.id": "1", "broker.id": "2"}, ["broker.id=2", "node.id=1"]),
        ({"process.roles": "controller"}, ["process.roles=controller", "controller.quorum.voters must"]),
        ({"process.roles": "emperor"}, ["process.roles", "emperor"]),
        ({"log.dir": ""}, ["log.dir", "must not be empty"]),
        ({"listeners": ""}, ["listeners", "must not be empty"]),
        ({"listeners": "localhost:9092"}, ["localhost:9092", "NAME://HOST:PORT"]),
        ({"listeners": "PLAINTEXT://localhost"}, ["NAME://HOST:PORT"]),
        ({"listeners": "PLAINTEXT://localhost:99999"}, ["65535"]),
        ({"listeners": "PLAINTEXT://localhost:" + "9" * 5000}, ["NAME://HOST:PORT"]),
        ({"listeners": "PLAINTEXT://::1:9092"}, ["brackets"]),
        ({"listeners": "PLAINTEXT://a:1,PLAINTEXT://b:2"}, ["different name"]),
        (
            {"listeners": "A://a:1,B://b:1", "listener.security.protocol.map": "A:PLAINTEXT,B:PLAINTEXT"},
            ["different port"],
        ),
        ({"listeners": "MINE://a:1"}, ["No security protocol defined for listener MINE"]),
        ({"listeners": "SSL://a:1"}, ["listeners=SSL://a:1", "only PLAINTEXT is supported"]),
        ({"listeners": "CONTROLLER://a:1"}, ["no listener for clients"]),
        ({"listener.security.protocol.map": "A:ROT13"}, ["listener.security.protocol.map", "A:ROT13"]),
        (
            {
                "advertised.listeners": "OTHER://a:1",
                "listener.security.protocol.map": "OTHER:PLAINTEXT,PLAINTEXT:PLAINTEXT",
            },
            ["OTHER"],
        ),
        ({"advertised.listeners": "PLAINTEXT://0.0.0.0:1"}, ["advertised.listeners", "0.0.0.0"]),
        ({"inter.broker.listener.name": "OTHER"}, ["inter.broker.listener.name=OTHER"]),
        (
            {"inter.broker.listener.name": "PLAINTEXT", "security.inter.broker.protocol": "PLAINTEXT"},
            ["Only one of"],
        ),
    ],
)
def test_a_refusal_names_key_value_and_bound(properties, parts):
    message = refusal(properties)
    for part in parts:
        assert part in message


def test_names_of_the_authorizer_of_plugins_and_of_listeners_are_accepted_and_unused():
    properties = {
        "super.users": "User:a",
        "allow.everyone.if.no.acl.found": "true",
        "listener.name.plaintext.max.connections": "5",
        "listener.name.plaintext.scram-sha-256.sasl.jaas.config": "x",
        "listener.name.plaintext.plain.connections.max.reauth.ms": "5",
        "rsm.config.bucket": "b",
        "config.providers.file.class": "x.Y",
        "remote.log.manager.task.retry.jitter": "0.1",
    }
    used = {"listener.name.plaintext.max.connections"}
    assert BrokerConfig.from_properties(properties).unused == sorted(set(properties) - used)


def test_a_value_for_one_listener():
    loaded = config(**{"max.connections": "9", "listener.name.plaintext.max.connections": "5"})
    assert loaded.for_listener("PLAINTEXT", "max.connections") == 5
    assert loaded.for_listener("OTHER", "max.connections") == 9
    changed = loaded.with_dynamic(
        {"listener.name.plaintext.max.connections": "3"}, {"listener.name.plaintext.max.connections": "4"}
    )
    assert changed.for_listener("PLAINTEXT", "max.connections") == 3


def test_an_ipv6_listener():
    loaded = config(listeners="PLAINTEXT://[::1]:0")
    assert loaded.listeners() == [Listener("PLAINTEXT", "::1", 0, "PLAINTEXT")]


def test_a_lower_case_listener_name():
    loaded = config(listeners="plaintext://h:1")
    assert loaded.listeners()[0].name == "PLAINTEXT"


def test_one_port_for_an_ipv4_and_an_ipv6_listener():
    loaded = config(
        listeners="A://127.0.0.1:5,B://[::1]:5", listener_security_protocol_map="A:PLAINTEXT,B:PLAINTEXT"
    )
    assert len(loaded.listeners()) == 2


class TestDynamic:
    def test_the_levels(self):
        loaded = config(message_max_bytes="10")
        assert loaded["message.max.bytes"] == 10
        assert loaded.with_dynamic({}, {"message.max.bytes": "20"})["message.max.bytes"] == 20
        both = loaded.with_dynamic({"message.max.bytes": "30"}, {"message.max.bytes": "20"})
        assert both["message.max.bytes"] == 30
        assert loaded["message.max.bytes"] == 10

    def test_overrides_replace_earlier_ones(self):
        loaded = config().with_dynamic({"message.max.bytes": "30"}, {})
        assert loaded.with_dynamic({}, {})["message.max.bytes"] == 1_048_588
        assert loaded.with_dynamic({"message.max.bytes": "30"}, {}) is loaded

    def test_a_dynamic_value_hides_its_synonyms(self):
        loaded = config(log_retention_hours="48").with_dynamic({"log.retention.ms": "5"}, {})
        assert loaded["log.retention.ms"] == 5
        assert loaded.configured("log.retention.hours") == 168

    @pytest.mark.parametrize(
        ("name", "text"), [("node.id", "9"), ("message.max.bytes", "many"), ("num.partitions", "9")]
    )
    def test_what_cannot_be_dynamic_is_ignored(self, name, text):
        loaded = config().with_dynamic({name: text}, {name: text})
        assert loaded[name] == config()[name]
        assert loaded.dynamic_broker == {}

    def test_an_unknown_name_is_kept_for_plugins(self):
        assert config().with_dynamic({"my.plugin": "1"}, {}).dynamic_broker == {"my.plugin": "1"}


class TestTopics:
    def test_defaults(self):
        values = config().topic_values({})
        assert len(values) == 33
        assert LogConfig(**log_config_from(values)) == LogConfig()

    def test_precedence(self):
        static = config(log_retention_hours="1")

        def resolve(topic, broker, cluster):
            return static.with_dynamic(broker, cluster).topic_values(topic)["retention.ms"]

        cluster, broker, topic = {"log.retention.ms": "2"}, {"log.retention.ms": "3"}, {"retention.ms": "4"}
        assert resolve({}, {}, {}) == 3_600_000
        assert resolve({}, {}, cluster) == 2
        assert resolve({}, broker, cluster) == 3
        assert resolve(topic, broker, cluster) == 4

    def test_every_broker_name_reaches_its_topic_name(self):
        values = config(
            log_cleanup_policy="compact,delete",
            log_flush_interval_messages="5",
            log_flush_scheduler_interval_ms="6",
            log_roll_hours="1",
            log_roll_jitter_hours="1",
            log_index_size_max_bytes="8",
            log_cleaner_min_cleanable_ratio=".75",
            log_message_timestamp_type="LogAppendTime",
            log_preallocate="true",
            min_insync_replicas="2",
        ).topic_values({})
        arguments = log_config_from(values)
        assert arguments["cleanup_policy"] == ("compact", "delete")
        assert (arguments["flush_messages"], arguments["flush_ms"]) == (5, 6)
        assert (arguments["segment_ms"], arguments["segment_jitter_ms"]) == (3_600_000, 3_600_000)
        assert (arguments["segment_index_bytes"], arguments["min_cleanable_dirty_ratio"]) == (8, 0.75)
        assert (arguments["message_timestamp_type"], arguments["preallocate"]) == ("LogAppendTime", True)
        assert arguments["min_insync_replicas"] == 2

    def test_the_arguments_are_those_of_log_config(self):
        fields = {field.name for field in dataclasses.fields(LogConfig) if field.init}
        assert set(log_config_from(config().topic_values({}))) == fields

    def test_the_internal_segment_size_wins(self):
        values = config().topic_values({"segment.bytes": "2000000", "internal.segment.bytes": "100"})
        assert log_config_from(values)["segment_bytes"] == 100
        assert LogConfig.from_values(values).segment_bytes == 100

    def test_an_override_that_does_not_parse_is_ignored(self):
        values = config().topic_values({"retention.ms": "soon", "nonsense": "1"})
        assert values == config().topic_values({})

    def test_one_topic_does_not_change_another(self):
        loaded = config()
        loaded.topic_values({"retention.ms": "5"})["cleanup.policy"] = []
        assert loaded.topic_values({})["retention.ms"] == 604_800_000
        assert loaded.topic_values({})["cleanup.policy"] == ["delete"]


@settings(deadline=None)
@given(st.dictionaries(st.sampled_from(sorted(BROKER_KEYS)), st.text(max_size=30), max_size=5))
def test_any_file_is_a_configuration_or_a_config_error(properties):
    try:
        loaded = BrokerConfig.from_properties(properties)
    except ConfigError:
        return
    loaded.topic_values({})
    loaded.listeners()


@settings(deadline=None)
@given(
    st.dictionaries(st.sampled_from(sorted(BROKER_KEYS)), st.text(max_size=20), max_size=5),
    st.dictionaries(st.text(max_size=20), st.text(max_size=20), max_size=5),
)
def test_no_stored_override_stops_the_broker(broker, cluster):
    config().with_dynamic(broker, cluster).topic_values({})


def test_a_long_unknown_name_is_refused_quickly_and_cut_short():
    assert len(refusal({"x" * 100_000: "y" * 100_000})) < 1000


def test_replica_selector():
    selector = "org.apache.kafka.common.replica.RackAwareReplicaSelector"
    assert config(replica_selector_class=selector)["replica.selector.class"] == selector
    for name in ("no.such.Selector", "", "java.lang.String"):
        assert refusal({"replica.selector.class": name}) == (
            f"Invalid configuration replica.selector.class={name}: java.lang.ClassNotFoundException: {name}"
        )

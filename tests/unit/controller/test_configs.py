"""IncrementalAlterConfigs and AlterConfigs: every answer as Apache Kafka 4.3.0 gives it."""

from __future__ import annotations

import logging

import pytest

from tests.unit.controller.harness import APPEND, DELETE, SET, SUBTRACT, Harness, topic

TOPIC, BROKER, LOGGER, METRICS, GROUP = 2, 4, 8, 16, 32
GOOD = (0, None)
TWICE = (42, "Each resource must appear at most once.")
ELR = "while ELR is enabled."


@pytest.fixture
def harness():
    harness = Harness()
    harness.create(topic("t"), topic("u"))
    return harness


def overrides(harness, kind=TOPIC, name="t"):
    return dict(harness.image.config(kind, name))


# Topics


def test_set_and_delete(harness):
    assert harness.alter((TOPIC, "t", [("retention.ms", SET, "5")])) == [GOOD]
    assert overrides(harness) == {"retention.ms": "5"}
    assert harness.published[-1][1].changed_configs == ((TOPIC, "t"),)
    assert harness.alter((TOPIC, "t", [("retention.ms", DELETE, "7"), ("segment.ms", SET, "9")])) == [GOOD]
    assert overrides(harness) == {"segment.ms": "9"}
    assert harness.alter((TOPIC, "t", [("no", DELETE, None)])) == [GOOD]
    assert harness.alter((TOPIC, "t", [])) == [GOOD]
    assert harness.alter() == []


def test_nothing_is_written_without_need(harness):
    harness.alter((TOPIC, "t", [("retention.ms", SET, "5")]))
    end = harness.log.end_offset
    harness.alter((TOPIC, "t", [("retention.ms", SET, "5")]))
    harness.alter((TOPIC, "t", [("segment.ms", DELETE, None)]))
    harness.alter((TOPIC, "t", [("retention.ms", SET, "6")]), validate_only=True)
    harness.replace((TOPIC, "t", [("retention.ms", "5")]))
    assert harness.log.end_offset == end


def test_list_operations(harness):
    def step(operation, value):
        assert harness.alter((TOPIC, "t", [("cleanup.policy", operation, value)])) == [GOOD]
        return overrides(harness).get("cleanup.policy")

    # From the built-in default, "delete".
    assert step(APPEND, "compact") == "delete,compact"
    assert step(APPEND, "compact,delete") == "delete,compact"
    assert step(SUBTRACT, "delete") == "compact"
    assert step(SUBTRACT, "compact") == ""
    assert step(SUBTRACT, "compact") == ""
    assert step(DELETE, None) is None
    assert step(SUBTRACT, "delete") == ""
    assert step(SET, "compact, delete") == "compact, delete"


@pytest.mark.parametrize(
    ("entries", "code", "message"),
    [
        ([("no", SET, "5")], 40, "Unknown topic config name: no"),
        ([("", SET, "5")], 40, "Unknown topic config name: "),
        (
            [("retention.ms", SET, "x")],
            40,
            "Invalid value x for configuration retention.ms: Not a number of type LONG",
        ),
        ([("retention.ms", SET, None)], 42, "Null value not supported for : retention.ms"),
        ([("cleanup.policy", APPEND, None)], 42, "Null value not supported for : cleanup.policy"),
        (
            [("retention.ms", SET, None), ("segment.ms", SET, None)],
            42,
            "Null value not supported for : retention.ms, segment.ms",
        ),
        (
            [("retention.ms", APPEND, "5")],
            40,
            "Can't APPEND to key retention.ms because its type is not LIST.",
        ),
        (
            [("retention.ms", SUBTRACT, "5")],
            40,
            "Can't SUBTRACT to key retention.ms because its type is not LIST.",
        ),
        ([("no", APPEND, "5")], 40, "Can't APPEND to key no because its type is not LIST."),
        (
            [("cleanup.policy", APPEND, "foo")],
            40,
            "Invalid value foo for configuration cleanup.policy: String must be one of: compact, delete",
        ),
        ([("retention.ms", SET, "5"), ("retention.ms", SET, "6")], 42, "Error due to duplicate config keys"),
        ([("retention.ms", SET, None), ("retention.ms", SET, "6")], 42, "Error due to duplicate config keys"),
        (
            [("retention.ms", DELETE, None), ("retention.ms", SET, "6")],
            42,
            "Error due to duplicate config keys",
        ),
        ([("retention.ms", 7, "5")], -1, None),
        ([("retention.ms", -1, "5")], -1, None),
        (
            [("retention.ms", SET, "99"), ("segment.ms", SET, "x")],
            40,
            "Invalid value x for configuration segment.ms: Not a number of type LONG",
        ),
        (
            [("min.compaction.lag.ms", SET, "10"), ("max.compaction.lag.ms", SET, "5")],
            40,
            "conflict topic config setting min.compaction.lag.ms (10) > max.compaction.lag.ms (5)",
        ),
    ],
)
@pytest.mark.parametrize("validate_only", [False, True])
def test_refused_entries(harness, entries, code, message, validate_only):
    end = harness.log.end_offset
    assert harness.alter((TOPIC, "t", entries), validate_only=validate_only) == [(code, message)]
    assert overrides(harness) == {}
    assert harness.log.end_offset == end


@pytest.mark.parametrize(
    ("resource", "code", "message"),
    [
        ((TOPIC, "no"), 3, "The topic 'no' does not exist."),
        ((TOPIC, "__cluster_metadata"), 3, "The topic '__cluster_metadata' does not exist."),
        (
            (TOPIC, "a/b"),
            17,
            "Topic name is invalid: 'a/b' contains one or more characters other than ASCII alphanumerics, "
            "'.', '_' and '-'",
        ),
        ((TOPIC, ""), 42, "Default topic resources are not allowed."),
        ((0, "t"), 42, "Unknown resource type 0"),
        ((1, "t"), 42, "Unknown resource type 1"),
        ((3, "t"), 42, "Unknown resource type 3"),
        ((33, "t"), 42, "Unknown resource type 33"),
        ((-1, "t"), 42, "Unknown resource type -1"),
        ((BROKER, "2"), 42, "Unexpected broker id, expected 1, but received 2"),
        ((BROKER, "-1"), 42, "Unexpected broker id, expected 1, but received -1"),
        ((BROKER, "x"), 42, "Node id must be an integer, but it is: x"),
        ((BROKER, " 1"), 42, "Node id must be an integer, but it is:  1"),
        ((BROKER, "1_0"), 42, "Node id must be an integer, but it is: 1_0"),
        ((BROKER, "4294967297"), 42, "Node id must be an integer, but it is: 4294967297"),
        ((GROUP, ""), 42, "Default group resources are not allowed."),
        ((METRICS, ""), 42, "Subscription name can't be empty"),
    ],
)
def test_refused_resources(harness, resource, code, message):
    names = {BROKER: "log.retention.ms", GROUP: "consumer.session.timeout.ms", METRICS: "interval.ms"}
    key = names.get(resource[0], "retention.ms")
    assert harness.alter((*resource, [(key, SET, "50000")])) == [(code, message)]
    assert harness.replace((*resource, [(key, "50000")])) == [(code, message)]


def test_values_are_checked_before_existence(harness):
    unknown = (40, "Unknown topic config name: no")
    assert harness.alter((TOPIC, "none", [("no", SET, "5")])) == [unknown]
    assert harness.replace((TOPIC, "none", [("no", "5")])) == [unknown]


def test_each_resource_its_own_answer(harness):
    assert harness.alter(
        (TOPIC, "none", [("retention.ms", SET, "5")]),
        (BROKER, "1", [("log.retention.ms", SET, "1000")]),
        (TOPIC, "t", [("retention.ms", SET, "6")]),
        (0, "q", []),
        (TOPIC, "u", [("segment.ms", SET, "x")]),
    ) == [
        (3, "The topic 'none' does not exist."),
        GOOD,
        GOOD,
        (42, "Unknown resource type 0"),
        (40, "Invalid value x for configuration segment.ms: Not a number of type LONG"),
    ]
    assert overrides(harness) == {"retention.ms": "6"}
    assert overrides(harness, BROKER, "1") == {"log.retention.ms": "1000"}


def test_repeated_resource(harness):
    change = (TOPIC, "t", [("retention.ms", SET, "5")])
    assert harness.alter(change, (TOPIC, "u", [("retention.ms", SET, "5")]), change) == [TWICE, GOOD, TWICE]
    assert harness.replace((TOPIC, "t", []), (TOPIC, "t", [])) == [TWICE, TWICE]
    assert overrides(harness) == {}


def test_unknown_operation_breaks_what_goes_to_the_controller(harness):
    assert harness.alter(
        (TOPIC, "t", [("retention.ms", 9, "5")]),
        (TOPIC, "u", [("retention.ms", SET, "6")]),
        (BROKER, "2", []),
        (GROUP, "g", [("no", SET, "6")]),
    ) == [(-1, None), (-1, None), (42, "Unexpected broker id, expected 1, but received 2"), (-1, None)]
    assert overrides(harness, name="u") == {}
    assert harness.alter((BROKER, "1", [("log.retention.ms", 9, "5")])) == [(42, "Unknown operations type 9")]
    assert harness.alter((LOGGER, "1", [("root", 9, "INFO")])) == [(-1, None)]


def test_a_list_can_outgrow_a_string(harness):
    name = "leader.replication.throttled.replicas"
    first, second = (",".join(f"{n}:{broker}" for n in range(4000)) for broker in (1, 2))
    assert harness.alter((TOPIC, "t", [(name, SET, first)])) == [GOOD]
    message = (
        "The configuration value cannot be added because it exceeds the maximum value size of 32767 bytes."
    )
    assert harness.alter((TOPIC, "t", [(name, APPEND, second)])) == [(40, message)]
    assert overrides(harness) == {name: first}


def test_replace(harness):
    assert harness.replace((TOPIC, "t", [("retention.ms", "5"), ("segment.ms", "1000")])) == [GOOD]
    assert harness.replace((TOPIC, "t", [("retention.ms", "6")])) == [GOOD]
    assert overrides(harness) == {"retention.ms": "6"}
    assert harness.replace((TOPIC, "t", [("retention.ms", "7")]), validate_only=True) == [GOOD]
    assert harness.replace((TOPIC, "t", [("retention.ms", None)])) == [
        (42, "Null value not supported for : retention.ms")
    ]
    assert harness.replace((TOPIC, "t", [("retention.ms", None), ("retention.ms", "5")])) == [
        (42, "Error due to duplicate config keys")
    ]
    assert overrides(harness) == {"retention.ms": "6"}
    assert harness.replace((TOPIC, "t", [])) == [GOOD]
    assert overrides(harness) == {}
    assert harness.replace((LOGGER, "1", [])) == [(42, "Unknown resource type 8")]


# Brokers


def test_broker_levels(harness):
    assert harness.alter((BROKER, "1", [("log.retention.ms", SET, "100000")])) == [GOOD]
    assert harness.alter((BROKER, "", [("log.retention.ms", SET, "200000")])) == [GOOD]
    assert overrides(harness, BROKER, "1") == {"log.retention.ms": "100000"}
    assert overrides(harness, BROKER, "") == {"log.retention.ms": "200000", "min.insync.replicas": "1"}
    (answer,) = harness.create_raw(topic("n")).value.topics
    assert ("retention.ms", "100000", 2) in [(c.name, c.value, c.config_source) for c in answer.configs]
    assert harness.replace((BROKER, "1", [])) == [GOOD]
    (answer,) = harness.create_raw(topic("m")).value.topics
    assert ("retention.ms", "200000", 3) in [(c.name, c.value, c.config_source) for c in answer.configs]


def test_a_broker_hears_again_what_it_knows(harness):
    """Setting what is set makes a record: a file of the same name may have changed (KAFKA-14136)."""
    change = (BROKER, "1", [("log.retention.ms", SET, "100000")])
    harness.alter(change)
    end = harness.log.end_offset
    harness.alter(change)
    assert harness.log.end_offset == end + 1


@pytest.mark.parametrize(
    ("name", "entries", "code", "message"),
    [
        ("1", [("node.id", SET, "5")], 42, "Cannot update these configs dynamically: [node.id]"),
        ("", [("node.id", SET, "5")], 42, "Cannot update these configs dynamically: [node.id]"),
        (
            "1",
            [("node.id", SET, "5"), ("log.dirs", SET, "x")],
            42,
            "Cannot update these configs dynamically: [node.id, log.dirs]",
        ),
        (
            "1",
            [("log.retention.ms", SET, "x")],
            42,
            "Invalid value x for configuration log.retention.ms: Not a number of type LONG",
        ),
        ("1", [("log.retention.ms", SET, None)], 42, "Null value not supported for : log.retention.ms"),
        (
            "1",
            [("log.retention.ms", APPEND, "5")],
            40,
            "Config value append is not allowed for config key: log.retention.ms",
        ),
        (
            "1",
            [("log.retention.ms", SUBTRACT, "5")],
            40,
            "Config value subtract is not allowed for config key: log.retention.ms",
        ),
        ("1", [("my.plugin", APPEND, "5")], 40, "Unknown config name: my.plugin"),
        (
            "1",
            [("log.cleanup.policy", APPEND, "foo")],
            42,
            "Invalid value foo for configuration log.cleanup.policy: String must be one of: compact, delete",
        ),
        (
            "",
            [("ssl.keystore.type", SET, "JKS")],
            42,
            "These security configs can be dynamically updated only per-listener using the listener prefix: "
            "[ssl.keystore.type]",
        ),
        (
            "",
            [("listener.name.plaintext.ssl.keystore.type", SET, "JKS")],
            42,
            "Cannot update these configs at default cluster level, broker id must be specified: "
            "[listener.name.plaintext.ssl.keystore.type]",
        ),
        (
            "1",
            [("num.io.threads", SET, "100")],
            42,
            "Invalid value org.apache.kafka.common.config.ConfigException: Dynamic thread count update "
            "validation failed for num.io.threads=100, value should not be greater than double the current "
            "value 8 for configuration Invalid dynamic configuration",
        ),
        (
            "1",
            [("min.insync.replicas", SET, "2")],
            40,
            f"Broker-level min.insync.replicas cannot be altered {ELR}",
        ),
        (
            "1",
            [("min.insync.replicas", DELETE, None)],
            40,
            f"Broker-level min.insync.replicas cannot be altered {ELR}",
        ),
        (
            "",
            [("min.insync.replicas", DELETE, None)],
            40,
            f"Cluster-level min.insync.replicas cannot be removed {ELR}",
        ),
        (
            "",
            [("min.insync.replicas", SET, "0")],
            42,
            "Invalid value 0 for configuration min.insync.replicas: Value must be at least 1",
        ),
    ],
)
def test_refused_broker_entries(harness, name, entries, code, message):
    assert harness.alter((BROKER, name, entries)) == [(code, message)]
    assert overrides(harness, BROKER, "1") == {}
    assert overrides(harness, BROKER, "") == {"min.insync.replicas": "1"}


def test_accepted_broker_entries(harness):
    for entries in (
        [("my.plugin", SET, "5")],
        [("node.id", DELETE, None)],
        [("nothing.here", DELETE, None)],
        [("log.cleanup.policy", APPEND, "compact")],
        [("num.io.threads", SET, "10")],
        [("listener.name.plaintext.max.connections", SET, "55")],
    ):
        assert harness.alter((BROKER, "1", entries)) == [GOOD], entries
    assert overrides(harness, BROKER, "1") == {
        "my.plugin": "5",
        "log.cleanup.policy": "delete,compact",
        "num.io.threads": "10",
        "listener.name.plaintext.max.connections": "55",
    }


def test_cluster_wide_min_insync_replicas(harness):
    assert harness.alter((BROKER, "", [("min.insync.replicas", SET, "2")])) == [GOOD]
    (answer,) = harness.create_raw(topic("n")).value.topics
    assert ("min.insync.replicas", "2", 3) in [(c.name, c.value, c.config_source) for c in answer.configs]
    removed = (40, f"Cluster-level min.insync.replicas cannot be removed {ELR}")
    assert harness.replace((BROKER, "", [])) == [removed]
    assert harness.replace((BROKER, "", [("min.insync.replicas", "1"), ("log.retention.ms", "7")])) == [GOOD]
    altered = (40, f"Broker-level min.insync.replicas cannot be altered {ELR}")
    assert harness.replace((BROKER, "1", [("min.insync.replicas", "1")])) == [altered]
    assert harness.alter((TOPIC, "t", [("min.insync.replicas", SET, "2")])) == [GOOD]
    assert harness.alter((TOPIC, "t", [("min.insync.replicas", DELETE, None)])) == [GOOD]


# Groups, client metrics, loggers


def test_groups(harness):
    name = "consumer.session.timeout.ms"
    assert harness.alter((GROUP, "g", [(name, SET, "50000")])) == [GOOD]
    assert overrides(harness, GROUP, "g") == {name: "50000"}
    low = f"{name} must be greater than or equal to group.consumer.min.session.timeout.ms"
    assert harness.alter((GROUP, "g", [(name, SET, "5")])) == [(40, low)]
    assert harness.alter((GROUP, "g", [("no", SET, "5")])) == [(40, "Unknown group config name: no")]
    assert harness.alter((GROUP, "g", [("no", DELETE, None)])) == [GOOD]
    append = f"Can't APPEND to key {name} because its type is not LIST."
    assert harness.alter((GROUP, "g", [(name, APPEND, "5")])) == [(40, append)]
    assert harness.alter((GROUP, "g", [(name, DELETE, None)])) == [GOOD]
    assert (GROUP, "g") not in harness.image.configs


def test_client_metrics(harness):
    entries = [("interval.ms", SET, "1000"), ("metrics", SET, "*"), ("match", SET, "client_id=x.*")]
    assert harness.alter((METRICS, "m", entries)) == [GOOD]
    assert overrides(harness, METRICS, "m") == {
        "interval.ms": "1000",
        "metrics": "*",
        "match": "client_id=x.*",
    }
    for entry, code, message in (
        (
            ("interval.ms", SET, "10"),
            42,
            "Invalid value 10 for interval.ms, interval must be between 100 and 3600000 (1 hour)",
        ),
        (("no", SET, "1"), 42, "Unknown client metrics configuration: no"),
        (("match", SET, "foo=x"), 40, "Illegal client matching pattern: foo=x"),
        (("match", SET, "client_id=["), 40, "Illegal client matching pattern: client_id=["),
        (("metrics", APPEND, "a.b"), 40, "Can't APPEND to key metrics because its type is not LIST."),
    ):
        assert harness.alter((METRICS, "m", [entry])) == [(code, message)]


def test_loggers(harness):
    logger = logging.getLogger("pybroker.test_loggers")
    name = logger.name
    try:
        assert harness.alter((LOGGER, "1", [(name, SET, "ERROR")]), (TOPIC, "t", [])) == [GOOD, GOOD]
        assert logger.level == logging.ERROR
        assert harness.alter((LOGGER, "1", [(name, SET, "DEBUG")]), validate_only=True) == [GOOD]
        assert logger.level == logging.ERROR
        assert harness.alter((LOGGER, "1", [(name, DELETE, None)])) == [GOOD]
        assert logger.level == logging.NOTSET
    finally:
        logger.setLevel(logging.NOTSET)
    for entry, code, message in (
        (
            ("root", SET, "x"),
            40,
            "Cannot set the log level of root to x as it is not a supported log level. Valid log levels are "
            "DEBUG, ERROR, FATAL, INFO, TRACE, WARN",
        ),
        (("no.such", SET, "INFO"), 40, "Logger no.such does not exist!"),
        (("root", APPEND, "INFO"), 42, "APPEND operation is not allowed for the BROKER_LOGGER resource"),
        (("root", DELETE, None), 42, "Removing the log level of the root logger is not allowed"),
        (("root", SET, None), 42, "Null value not supported for : root"),
    ):
        assert harness.alter((LOGGER, "1", [entry])) == [(code, message)]
    assert harness.alter((LOGGER, "2", [])) == [(42, "Unexpected node id. Expected 1, but received 2")]
    assert harness.alter((LOGGER, "", [])) == [(42, "Node id must be an integer, but it is: ")]
    assert not [key for key in harness.image.configs if key[0] == LOGGER]

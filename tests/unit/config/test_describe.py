"""DescribeConfigs entries: every rule observed at Apache Kafka 4.3.0."""

from __future__ import annotations

import pytest

from pybroker.common.config import BROKER_KEYS, BrokerConfig, ConfigSource, ConfigType
from pybroker.common.config.describe import (
    describe_broker,
    describe_broker_loggers,
    describe_client_metrics,
    describe_cluster,
    describe_created_topic,
    describe_group,
    describe_topic,
)

ELR = {"min.insync.replicas": "1"}


def make(properties=None, broker=None, cluster=None) -> BrokerConfig:
    return BrokerConfig.from_properties(properties or {}).with_dynamic(broker or {}, cluster or ELR)


def brief(entry):
    return (
        entry.value,
        int(entry.source),
        [(name, value, int(source)) for name, value, source in entry.synonyms],
    )


def topic(name, properties=None, broker=None, cluster=None, overrides=None):
    (entry,) = describe_topic(make(properties, broker, cluster), overrides or {}, [name])
    return brief(entry)


def broker(name, properties=None, per_broker=None, cluster=None):
    (entry,) = describe_broker(make(properties, per_broker, cluster), [name])
    return entry


class TestTopic:
    def test_all_names_sorted(self):
        entries = describe_topic(make(), {})
        assert len(entries) == 33
        assert [entry.name for entry in entries] == sorted(entry.name for entry in entries)
        assert not any(entry.read_only or entry.sensitive for entry in entries)

    @pytest.mark.parametrize("wanted", [None, [], ()])
    def test_no_names_are_all_names(self, wanted):
        assert len(describe_topic(make(), {}, wanted)) == 33

    def test_unknown_and_repeated_names(self):
        assert [
            entry.name for entry in describe_topic(make(), {}, ["retention.ms", "nope", "retention.ms"])
        ] == ["retention.ms"]

    def test_a_default_has_the_broker_name_as_synonym(self):
        assert topic("compression.type") == ("producer", 5, [("compression.type", "producer", 5)])
        assert topic("min.cleanable.dirty.ratio")[2] == [("log.cleaner.min.cleanable.ratio", "0.5", 5)]

    @pytest.mark.parametrize(
        "name", ["retention.ms", "segment.jitter.ms", "flush.ms", "remote.storage.enable"]
    )
    def test_no_synonyms_while_the_first_broker_name_is_unset(self, name):
        _, source, synonyms = topic(name)
        assert (source, synonyms) == (5, [])

    def test_hours_of_the_file_count_and_stay_the_default(self):
        assert topic("retention.ms", {"log.retention.hours": "48"}) == ("172800000", 5, [])

    def test_milliseconds_of_the_file(self):
        assert topic("segment.ms", {"log.roll.ms": "86400000"}) == (
            "86400000",
            4,
            [("log.roll.ms", "86400000", 4), ("log.roll.hours", "168", 5)],
        )

    def test_every_level_from_the_winner_downwards(self):
        assert topic(
            "retention.ms",
            {"log.retention.hours": "48"},
            {"log.retention.ms": " 1000000 "},
            {"log.retention.ms": "2000000"},
            {"retention.ms": " 777 "},
        ) == (
            "777",
            1,
            [
                ("retention.ms", "777", 1),
                ("log.retention.ms", " 1000000 ", 2),
                ("log.retention.ms", "2000000", 3),
                ("log.retention.hours", "48", 4),
                ("log.retention.hours", "168", 5),
            ],
        )

    def test_the_cluster_wide_minimum_of_elr(self):
        assert topic("min.insync.replicas") == (
            "1",
            3,
            [("min.insync.replicas", "1", 3), ("min.insync.replicas", "1", 5)],
        )

    @pytest.mark.parametrize(
        ("name", "text", "shown"),
        [
            ("cleanup.policy", " compact , delete,delete", "compact,delete"),
            ("cleanup.policy", "", ""),
            ("min.cleanable.dirty.ratio", "1e-1", "0.1"),
            ("preallocate", "TRUE", "true"),
            ("max.compaction.lag.ms", "+50", "50"),
            ("follower.replication.throttled.replicas", "0:1 , 1:1", "0:1,1:1"),
        ],
    )
    def test_overrides_are_printed_as_kafka_prints_them(self, name, text, shown):
        assert topic(name, overrides={name: text})[0] == shown

    def test_the_internal_name_is_listed_once_it_is_set(self):
        entries = describe_topic(make(), {"internal.segment.bytes": "2000000"})
        assert len(entries) == 34
        (entry,) = (entry for entry in entries if entry.name == "internal.segment.bytes")
        assert brief(entry) == ("2000000", 1, [("internal.segment.bytes", "2000000", 1)])

    def test_types_and_documentation(self):
        (entry,) = describe_topic(make(), {}, ["retention.ms"])
        assert entry.config_type is ConfigType.LONG
        assert entry.documentation
        assert entry.is_default


class TestBroker:
    def test_all_public_names(self):
        entries = describe_broker(make())
        assert [entry.name for entry in entries] == sorted(BROKER_KEYS)

    def test_read_only_is_the_mode_of_the_table(self):
        for entry in describe_broker(make()):
            assert entry.read_only == (BROKER_KEYS[entry.name].mode == "ro"), entry.name

    def test_required_names_are_static(self):
        assert brief(broker("node.id")) == ("1", 4, [("node.id", "1", 4)])
        assert brief(broker("process.roles")) == (
            "broker,controller",
            4,
            [("process.roles", "broker,controller", 4)],
        )
        assert brief(broker("broker.id")) == ("1", 4, [("broker.id", "1", 4), ("broker.id", "-1", 5)])

    def test_unset_is_null_without_synonyms(self):
        assert brief(broker("log.retention.ms", {"log.retention.hours": "4"})) == (None, 5, [])
        assert brief(broker("advertised.listeners")) == (None, 5, [])
        assert brief(broker("log.dirs")) == (None, 5, [])
        assert brief(broker("max.connections"))[0] == "2147483647"

    def test_an_empty_list_is_the_empty_string(self):
        assert brief(broker("kafka.metrics.reporters")) == ("", 5, [("kafka.metrics.reporters", "", 5)])

    def test_secrets_are_never_shown(self):
        for entry in (broker("ssl.key.password"), broker("ssl.key.password", {"ssl.key.password": "zzz"})):
            assert (entry.value, entry.sensitive, entry.read_only) == (None, True, False)
            assert all(synonym.value is None for synonym in entry.synonyms)
        assert int(broker("ssl.key.password", {"ssl.key.password": "zzz"}).source) == 4

    def test_texts_in_synonyms_are_as_they_were_written(self):
        assert brief(broker("log.cleanup.policy", {"log.cleanup.policy": "delete,delete , compact"})) == (
            "delete,compact",
            4,
            [("log.cleanup.policy", "delete,delete , compact", 4), ("log.cleanup.policy", "delete", 5)],
        )
        assert (
            broker("log.cleaner.min.cleanable.ratio", {"log.cleaner.min.cleanable.ratio": ".75"}).value
            == "0.75"
        )

    def test_a_dynamic_value_hides_its_synonym_but_not_in_the_list(self):
        assert brief(
            broker("log.retention.hours", {"log.retention.hours": "48"}, {"log.retention.ms": "5"})
        ) == (
            "168",
            4,
            [("log.retention.hours", "48", 4), ("log.retention.hours", "168", 5)],
        )

    def test_a_listeners_own_value(self):
        name = "listener.name.plaintext.max.connections"
        entry = broker(name, {name: "500"}, {name: "5"}, {**ELR, name: "7"})
        assert brief(entry) == (
            "5",
            2,
            [(name, "5", 2), (name, "7", 3), (name, "500", 4), ("max.connections", "2147483647", 5)],
        )
        assert (entry.config_type, entry.read_only, entry.documentation) == (ConfigType.INT, True, None)

    def test_what_only_a_plugin_knows_is_treated_as_a_secret(self):
        for name, entry in (
            ("my.plugin", broker("my.plugin", per_broker={"my.plugin": "1"})),
            ("super.users", broker("super.users", {"super.users": "User:a"})),
        ):
            assert (entry.value, entry.sensitive, entry.read_only, entry.config_type) == (None, True, True, 0)
            assert [synonym.name for synonym in entry.synonyms] == [name]

    def test_a_replication_quota(self):
        entry = broker(
            "leader.replication.throttled.rate", per_broker={"leader.replication.throttled.rate": "500"}
        )
        assert brief(entry) == ("500", 2, [("leader.replication.throttled.rate", "500", 2)])
        assert (entry.read_only, entry.config_type, entry.documentation) == (False, ConfigType.LONG, None)

    def test_internal_names_and_our_own_are_listed_when_they_are_set(self):
        entry = broker("log.initial.task.delay.ms", {"log.initial.task.delay.ms": "29000"})
        assert brief(entry)[:2] == ("29000", 4)
        entry = broker("pybroker.durability", {"pybroker.durability": "fsync"})
        assert (entry.value, entry.read_only, entry.sensitive) == ("fsync", True, False)

    def test_the_cluster_wide_level_lists_only_what_is_set_there(self):
        config = make(
            {"log.retention.hours": "48"},
            {"log.retention.ms": "5"},
            {**ELR, "log.retention.ms": " 6 ", "foo": "x"},
        )
        entries = {entry.name: entry for entry in describe_cluster(config)}
        assert brief(entries["min.insync.replicas"]) == ("1", 3, [("min.insync.replicas", "1", 3)])
        assert brief(entries["log.retention.ms"]) == (" 6 ", 3, [("log.retention.ms", " 6 ", 3)])
        assert brief(entries["foo"]) == (None, 3, [("foo", None, 3)])
        assert len(entries) == 3
        assert describe_cluster(config, ["node.id"]) == []


class TestGroupsAndTheRest:
    def test_defaults_of_a_group_come_from_the_broker(self):
        entries = {
            entry.name: entry
            for entry in describe_group(make({"group.consumer.heartbeat.interval.ms": "6000"}), {})
        }
        assert len(entries) == 17
        assert brief(entries["consumer.heartbeat.interval.ms"]) == (
            "6000",
            4,
            [
                ("group.consumer.heartbeat.interval.ms", "6000", 4),
                ("group.consumer.heartbeat.interval.ms", "5000", 5),
            ],
        )
        assert brief(entries["share.isolation.level"]) == (
            "read_uncommitted",
            5,
            [("share.isolation.level", "read_uncommitted", 5)],
        )

    def test_a_groups_own_value(self):
        (entry,) = describe_group(
            make(), {"consumer.session.timeout.ms": " 50000 "}, ["consumer.session.timeout.ms"]
        )
        assert brief(entry) == (
            "50000",
            8,
            [("consumer.session.timeout.ms", "50000", 8), ("group.consumer.session.timeout.ms", "45000", 5)],
        )

    def test_client_metrics(self):
        assert [brief(entry) for entry in describe_client_metrics({"interval.ms": "1000"})] == [
            ("1000", 7, [("interval.ms", "1000", 7)]),
            ("", 5, []),
            ("", 5, []),
        ]

    def test_broker_loggers(self):
        (entry,) = describe_broker_loggers(["root"])
        assert (entry.source, entry.config_type, entry.documentation) == (
            ConfigSource.DYNAMIC_BROKER_LOGGER,
            0,
            "",
        )


class TestCreateTopics:
    def test_all_names_and_sources(self):
        config = make(
            {
                "log.retention.hours": "48",
                "log.roll.ms": "86400000",
                "log.cleanup.policy": "delete,delete , compact",
            }
        )
        entries = describe_created_topic(config, {"max.message.bytes": " 5 "})
        assert [entry.name for entry in entries] == sorted(entry.name for entry in entries)
        assert len(entries) == 33
        assert {
            entry.name: (entry.value, int(entry.source))
            for entry in entries
            if entry.source is not ConfigSource.DEFAULT
        } == {
            "max.message.bytes": (" 5 ", 1),
            "min.insync.replicas": ("1", 3),
            "retention.ms": ("172800000", 4),
            "segment.ms": ("86400000", 4),
            "cleanup.policy": ("delete,delete , compact", 4),
        }

    def test_dynamic_levels(self):
        config = make(
            None, {"log.retention.ms": " 1 "}, {**ELR, "log.retention.ms": "2", "compression.type": "zstd"}
        )
        found = {entry.name: (entry.value, int(entry.source)) for entry in describe_created_topic(config, {})}
        assert found["retention.ms"] == (" 1 ", 2)
        assert found["compression.type"] == ("zstd", 3)

    def test_the_internal_name_is_listed_once_it_is_set(self):
        assert len(describe_created_topic(make(), {"internal.segment.bytes": "100"})) == 34

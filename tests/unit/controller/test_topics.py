"""CreateTopics, CreatePartitions and DeleteTopics: every answer as Apache Kafka 4.3.0 gives it."""

from __future__ import annotations

import base64
import random

import pytest

from pybroker.controller.topics import random_id
from pybroker.metadata.image import TOPIC_RESOURCE
from tests.unit.controller.harness import DIRECTORY_ID, ZERO, Harness, topic

ILLEGAL = "contains one or more characters other than ASCII alphanumerics, '.', '_' and '-'"
NOT_HOSTED = "This server does not host this topic-partition."


@pytest.fixture
def harness():
    return Harness()


# CreateTopics


def test_create_topic(harness):
    (answer,) = harness.create_raw(
        topic("t", 3, 1, configs=[("retention.ms", "1000"), ("cleanup.policy", "compact")])
    ).value.topics
    made = harness.image.topics["t"]
    assert (answer.error_code, answer.error_message) == (0, None)
    assert (answer.num_partitions, answer.replication_factor) == (3, 1)
    assert answer.topic_id == made.topic_id != ZERO
    assert len(made.partitions) == 3
    partition = made.partitions[0]
    assert (partition.replicas, partition.isr, partition.leader) == ((1,), (1,), 1)
    assert (partition.leader_epoch, partition.partition_epoch) == (0, 0)
    assert partition.directories == (DIRECTORY_ID,)
    assert harness.image.config(TOPIC_RESOURCE, "t") == {"retention.ms": "1000", "cleanup.policy": "compact"}
    assert [entry.name for entry in answer.configs] == sorted(entry.name for entry in answer.configs)
    assert len(answer.configs) == 33
    sources = {
        entry.name: (entry.value, entry.config_source) for entry in answer.configs if entry.config_source != 5
    }
    assert sources == {
        "cleanup.policy": ("compact", 1),
        "retention.ms": ("1000", 1),
        "min.insync.replicas": ("1", 3),
    }


def test_validate_only(harness):
    (answer,) = harness.create_raw(topic("t", 3), validate_only=True).value.topics
    assert (answer.error_code, answer.num_partitions, len(answer.configs)) == (0, 3, 33)
    assert answer.topic_id != ZERO
    assert not harness.image.topics
    harness.create(topic("t"))
    assert harness.create(topic("t"), validate_only=True) == [("t", 36, "Topic 't' already exists.")]


def test_defaults():
    harness = Harness(properties={"num.partitions": "4"})
    (answer,) = harness.create_raw(topic("t", -1, -1)).value.topics
    assert (answer.num_partitions, answer.replication_factor) == (4, 1)


def test_old_versions_get_no_configs(harness):
    (answer,) = harness.create_raw(topic("t"), version=4).value.topics
    assert answer.configs == []


@pytest.mark.parametrize(
    ("name", "problem"),
    [
        ("", "the empty string is not allowed"),
        (".", "'.' is not allowed"),
        ("..", "'..' is not allowed"),
        ("a b", f"'a b' {ILLEGAL}"),
        ("a/b", f"'a/b' {ILLEGAL}"),
        ("é", f"'é' {ILLEGAL}"),
        ("a\n", f"'a\n' {ILLEGAL}"),
        ("x" * 250, f"the length of '{'x' * 250}' is longer than the max allowed length 249"),
    ],
)
def test_illegal_names(harness, name, problem):
    assert harness.create(topic(name), topic("good")) == [
        (name, 17, f"Topic name is invalid: {problem}"),
        ("good", 0, None),
    ]


def test_longest_name(harness):
    assert harness.create(topic("x" * 249)) == [("x" * 249, 0, None)]


def test_collisions(harness):
    assert harness.create(topic("a.b")) == [("a.b", 0, None)]
    assert harness.create(topic("a_b", 0, configs=[("no", "1")])) == [
        ("a_b", 17, "Topic 'a_b' collides with existing topic: a.b")
    ]
    # Both new in one request are accepted, also by Kafka.
    assert harness.create(topic("c.d"), topic("c_d")) == [("c.d", 0, None), ("c_d", 0, None)]
    assert harness.create(topic("c.d")) == [("c.d", 36, "Topic 'c.d' already exists.")]
    harness.delete("a.b")
    assert harness.create(topic("a_b")) == [("a_b", 0, None)]
    assert harness.restart().create(topic("a.b"))[0][1] == 17


def test_internal_names(harness):
    names = ["__cluster_metadata", "__foo", "__consumer_offsets"]
    assert harness.create(*(topic(name) for name in names)) == [
        ("__foo", 0, None),
        ("__consumer_offsets", 0, None),
        ("__cluster_metadata", 42, "Creation of internal topic __cluster_metadata is prohibited."),
    ]
    assert harness.create(topic("__cluster_metadata"), timeout=0)[0][1] == 42
    assert harness.create(topic("__consumer_offsets"))[0][1] == 36


TOO_FEW = (
    "Unable to replicate the partition {0} time(s): The target replication factor of {0} cannot be reached "
    "because only 1 broker(s) are registered or some brokers have all their log directories cordoned."
)
MUST_BE_POSITIVE = "Number of partitions was set to an invalid non-positive value."
FACTOR = "Replication factor must be larger than 0, or -1 to use the default value."
WITH_COUNT = "A manual partition assignment was specified, but numPartitions was not set to -1."
WITH_FACTOR = "A manual partition assignment was specified, but replication factor was not set to -1."
MORE_THAN_ONCE = "The manual partition assignment includes the broker 1 more than once."
UNKNOWN_BROKER = "The manual partition assignment includes broker {}, but no such broker is registered."
CONSECUTIVE = "partitions should be a consecutive 0-based integer sequence"


@pytest.mark.parametrize(
    ("request_", "code", "message"),
    [
        (topic("t", 0), 37, MUST_BE_POSITIVE),
        (topic("t", -2), 37, MUST_BE_POSITIVE),
        (topic("t", 1, 0), 38, FACTOR),
        (topic("t", 1, -2), 38, FACTOR),
        (topic("t", 0, 0), 38, FACTOR),
        (topic("t", 1, 2), 38, TOO_FEW.format(2)),
        (topic("t", -1, 3), 38, TOO_FEW.format(3)),
        (topic("t", 10_001), 44, "Excessively large number of partitions per request."),
        (topic("t", 10_000), 44, "Unable to perform excessively large batch operation."),
        (topic("t", 1, -1, [(0, [1])]), 42, WITH_COUNT),
        (topic("t", -1, 1, [(0, [1])]), 42, WITH_FACTOR),
        (topic("t", 1, 1, [(0, [1])]), 42, WITH_FACTOR),
        (topic("t", -1, -1, [(0, [2])]), 39, UNKNOWN_BROKER.format(2)),
        (topic("t", -1, -1, [(0, [-1])]), 39, UNKNOWN_BROKER.format(-1)),
        (topic("t", -1, -1, [(0, [1, 1])]), 39, MORE_THAN_ONCE),
        (topic("t", -1, -1, [(0, [1]), (2, [1])]), 39, CONSECUTIVE),
        (topic("t", -1, -1, [(1, [1])]), 39, CONSECUTIVE),
        (
            topic("t", -1, -1, [(0, [])]),
            39,
            "The manual partition assignment includes an empty replica list.",
        ),
        (
            topic("t", -1, -1, [(0, [1]), (0, [1])]),
            39,
            "Found multiple manual partition assignments for partition 0",
        ),
        (topic("t", configs=[("no", "1")]), 40, "Unknown topic config name: no"),
        (topic("t", 0, configs=[("no", "1")]), 40, "Unknown topic config name: no"),
        (
            topic("t", configs=[("retention.ms", "x")]),
            40,
            "Invalid value x for configuration retention.ms: Not a number of type LONG",
        ),
        (
            topic("t", configs=[("retention.ms", None), ("no", "1"), ("segment.ms", None)]),
            40,
            "Null value not supported for topic configs: retention.ms,segment.ms",
        ),
        (
            topic("t", configs=[("segment.bytes", "100")]),
            40,
            "Invalid value 100 for configuration segment.bytes: Value must be at least 1048576",
        ),
        (
            topic("t", configs=[("cleanup.policy", "none")]),
            40,
            "Invalid value none for configuration cleanup.policy: String must be one of: compact, delete",
        ),
        (
            topic("t", configs=[("min.compaction.lag.ms", "10"), ("max.compaction.lag.ms", "5")]),
            40,
            "conflict topic config setting min.compaction.lag.ms (10) > max.compaction.lag.ms (5)",
        ),
        (
            topic("t", configs=[("remote.storage.enable", "true")]),
            40,
            "Tiered Storage functionality is disabled in the broker. Topic cannot be configured with remote "
            "log storage.",
        ),
    ],
)
def test_refused_topics(harness, request_, code, message):
    (answer,) = harness.create_raw(request_).value.topics
    assert (answer.name, answer.error_code, answer.error_message) == ("t", code, message)
    assert (answer.topic_id, answer.num_partitions, answer.replication_factor) == (ZERO, -1, -1)
    assert answer.configs == []
    assert not harness.image.topics


def test_manual_assignment(harness):
    assert harness.create(topic("t", -1, -1, [(1, [1]), (0, [1])])) == [("t", 0, None)]
    assert [partition.replicas for partition in harness.image.topics["t"].partitions] == [(1,), (1,)]


def test_empty_policy_and_repeated_config(harness):
    configs = [("cleanup.policy", ""), ("retention.ms", "5"), ("retention.ms", "6")]
    assert harness.create(topic("t", configs=configs)) == [("t", 0, None)]
    assert harness.image.config(TOPIC_RESOURCE, "t") == {"cleanup.policy": "", "retention.ms": "6"}


def test_mixed_and_repeated_topics(harness):
    assert harness.create(topic("a"), topic("b", 0), topic("c"), topic("a"), topic("d")) == [
        ("b", 37, MUST_BE_POSITIVE),
        ("c", 0, None),
        ("d", 0, None),
        ("a", 42, "Duplicate topic name."),
    ]
    assert sorted(harness.image.topics) == ["c", "d"]
    assert harness.create(topic("."), topic(".")) == [(".", 42, "Duplicate topic name.")]
    assert harness.create() == []


@pytest.mark.parametrize("timeout", [0, -1])
def test_no_time(harness, timeout):
    assert harness.create(topic(""), topic("t"), timeout=timeout) == [("", 7, None), ("t", 7, None)]
    assert harness.create(topic("t"), timeout=timeout, validate_only=True) == [("t", 7, None)]
    assert harness.create(timeout=timeout) == []
    # Nothing is left to decide when all are repeated.
    assert harness.create(topic("t"), topic("t"), timeout=timeout) == [("t", 42, "Duplicate topic name.")]
    assert not harness.image.topics


def test_too_many_partitions_refuse_all_entries(harness):
    topics = [topic("n"), topic("n"), topic("__cluster_metadata"), topic("s", 6000), topic(".", 6000)]
    message = "Excessively large number of partitions per request."
    assert harness.create(*topics) == [(t.name, 44, message) for t in topics]
    # Repeated ones do not count.
    assert harness.create(topic("n", 10_001), topic("n", 10_001), topic("s"))[0] == ("s", 0, None)


def test_batch_too_large(harness, monkeypatch):
    monkeypatch.setattr("pybroker.controller.controller.MAX_BATCH_BYTES", 1000)
    message = "The change needs a batch of {} bytes, more than the limit of 1000."
    answers = harness.create(*(topic(f"t{number:02}") for number in range(20)))
    assert answers == [(f"t{number:02}", 44, message.format(20 * (24 + 65))) for number in range(20)]
    assert not harness.image.topics
    assert harness.create(topic("t")) == [("t", 0, None)]


def test_topic_ids():
    rng = random.Random(3)
    for _ in range(2000):
        raw = random_id(rng)
        assert len(raw) == 16
        assert raw[6] >> 4 == 4
        assert raw[8] >> 6 == 2
        assert not base64.urlsafe_b64encode(raw).startswith(b"-")


def test_several_brokers_take_turns():
    harness = Harness()
    controller = harness.controller
    broker = harness.image.brokers[1]
    controller._latest = controller._latest._replace(
        brokers={number: broker._replace(broker_id=number, fenced=number == 3) for number in (1, 2, 3)}
    )
    assert harness.create(topic("t", 4, 2), topic("u", 1, 3)) == [("t", 0, None), ("u", 0, None)]
    partitions = harness.image.topics["t"].partitions
    assert {partition.replicas for partition in partitions} == {(1, 2), (2, 1)}
    assert [p.leader for p in partitions[:2]] in ([1, 2], [2, 1])
    (last,) = harness.image.topics["u"].partitions
    assert last.replicas[2] == 3
    assert 3 not in last.isr
    fenced = "All brokers specified in the manual partition assignment for partition 0 are fenced or in "
    assert harness.create(topic("v", -1, -1, [(0, [3])])) == [("v", 39, fenced + "controlled shutdown.")]
    uneven = [(0, [1, 2]), (1, [1])]
    message = (
        "The manual partition assignment includes a partition with 1 replica(s), but this is not consistent "
        "with previous partitions, which have 2 replica(s)."
    )
    assert harness.create(topic("v", -1, -1, uneven)) == [("v", 39, message)]


# Auto creation


def test_auto_create():
    harness = Harness(properties={"num.partitions": "3", "offsets.topic.replication.factor": "1"})
    harness.log.inline = False
    controller = harness.controller
    answers = [controller.auto_create_topics(["t", "__consumer_offsets", "t", "a/b"])]
    answers.append(controller.auto_create_topics(["t"]))
    assert not harness.image.topics
    harness.log.flush()
    assert [(t.name, t.error_code) for t in answers[0].value.topics] == [
        ("t", 0),
        ("__consumer_offsets", 0),
        ("a/b", 17),
    ]
    assert answers[1].value.topics == []
    assert len(harness.image.topics["t"].partitions) == 3
    assert len(harness.image.topics["__consumer_offsets"].partitions) == 50
    assert harness.image.config(TOPIC_RESOURCE, "__consumer_offsets")["cleanup.policy"] == "compact"


# CreatePartitions


@pytest.fixture
def with_topic(harness):
    harness.create(topic("t", 3), topic("u"))
    return harness


@pytest.mark.parametrize(
    ("entry", "code", "message"),
    [
        (("t", 3, None), 37, "Topic already has 3 partition(s)."),
        (("t", 2, None), 37, "The topic t currently has 3 partition(s); 2 would not be an increase."),
        (("t", -1, None), 37, "The topic t currently has 3 partition(s); -1 would not be an increase."),
        (("no", 3, None), 3, None),
        (("a/b", 3, None), 3, None),
        (("", 3, None), 3, None),
        (
            ("t", 5, [[1]]),
            39,
            "Attempted to add 2 additional partition(s), but only 1 assignment(s) were specified.",
        ),
        (
            ("t", 4, []),
            39,
            "Attempted to add 1 additional partition(s), but only 0 assignment(s) were specified.",
        ),
        (("t", 4, [[2]]), 39, UNKNOWN_BROKER.format(2)),
        (("t", 4, [[1, 1]]), 39, MORE_THAN_ONCE),
        (("t", 4, [[]]), 39, "The manual partition assignment includes an empty replica list."),
        (("t", 20_000, None), -1, None),
    ],
)
def test_refused_partitions(with_topic, entry, code, message):
    assert with_topic.create_partitions(entry) == [(entry[0], code, message)]
    assert len(with_topic.image.topics["t"].partitions) == 3


def test_create_partitions(with_topic):
    assert with_topic.create_partitions(("t", 4, None), ("u", 2, [[1]])) == [("t", 0, None), ("u", 0, None)]
    assert [len(t.partitions) for t in with_topic.image.topics.values()] == [4, 2]
    assert with_topic.image.topics["t"].partitions[3] == with_topic.image.topics["t"].partitions[0]
    assert with_topic.create_partitions(("t", 9, None), validate_only=True) == [("t", 0, None)]
    assert len(with_topic.image.topics["t"].partitions) == 4
    assert with_topic.create_partitions() == []
    assert with_topic.create_partitions(("t", 5, None), ("t", 5, None), ("u", 3, None)) == [
        ("t", 42, "Duplicate topic name."),
        ("u", 0, None),
    ]
    for timeout in (0, -1):
        assert with_topic.create_partitions(("t", 9, None), timeout=timeout) == [("t", 7, None)]
    assert with_topic.create_partitions(("t", 5, None), ("t", 5, None), timeout=0)[0][1] == 42


# DeleteTopics


def test_delete_by_name_and_id(with_topic):
    ids = {name: made.topic_id for name, made in with_topic.image.topics.items()}
    assert with_topic.delete("t", ids["u"]) == [("u", ids["u"], 0, None), ("t", ids["t"], 0, None)]
    assert not with_topic.image.topics
    assert with_topic.create(topic("t"))[0][1] == 0


def test_delete_takes_configs(harness):
    harness.create(topic("t", configs=[("retention.ms", "5")]))
    harness.delete("t")
    assert (TOPIC_RESOURCE, "t") not in harness.image.configs


def test_refused_deletions(with_topic):
    known, unknown = with_topic.image.topics["t"].topic_id, b"\1" * 16
    for name in ("no", "a/b", "", "__cluster_metadata"):
        assert with_topic.delete(name) == [(name, ZERO, 3, NOT_HOSTED)]
    assert with_topic.delete(unknown) == [(None, unknown, 100, "This server does not host this topic ID.")]
    neither = (None, ZERO, 42, "Neither topic name nor id were specified.")
    assert with_topic.delete((None, ZERO), (None, ZERO)) == [neither, neither]
    both = ("t", unknown, 42, "You may not specify both topic name and topic id.")
    assert with_topic.delete(("t", unknown)) == [both]
    assert with_topic.delete("t", "t") == [("t", ZERO, 42, "Duplicate topic name.")]
    assert with_topic.delete(known, known) == [(None, known, 42, "Duplicate topic id.")]
    assert with_topic.delete("t", known) == [
        ("t", known, 42, "The provided topic name maps to an ID that was already supplied.")
    ]
    for timeout in (0, -1):
        assert with_topic.delete("t", unknown, timeout=timeout) == [
            ("t", ZERO, 7, None),
            (None, unknown, 7, None),
        ]
    assert with_topic.delete("t", "t", timeout=0)[0][2] == 42
    assert with_topic.delete() == []
    assert len(with_topic.image.topics) == 2


def test_delete_old_versions(with_topic):
    assert [(a[0], a[2]) for a in with_topic.delete("t", "no", version=5)] == [("t", 0), ("no", 3)]


@pytest.mark.parametrize(("version", "code"), [(1, 42), (2, 42), (3, 73), (6, 73)])
def test_deletion_disabled(version, code):
    harness = Harness(properties={"delete.topic.enable": "false"})
    harness.create(topic("t"))
    assert [(a[0], a[2], a[3]) for a in harness.delete("t", version=version)] == [
        ("t", code, "Topic deletion is disabled.")
    ]

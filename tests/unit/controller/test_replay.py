"""Replay equals live state, over random operations; and a crash at any byte leaves a committed prefix."""

from __future__ import annotations

from hypothesis import given, settings
from hypothesis import strategies as st

from pybroker.controller.loader import load
from pybroker.records.batch import iter_headers
from pybroker.wire.messages.create_partitions import CreatePartitionsRequest, CreatePartitionsTopic
from pybroker.wire.messages.delete_topics import DeleteTopicsRequest, DeleteTopicState
from pybroker.wire.messages.incremental_alter_configs import (
    AlterableConfig,
    AlterConfigsResource,
    IncrementalAlterConfigsRequest,
)
from tests.unit.controller.harness import APPEND, CLUSTER, DELETE, SET, SUBTRACT, Harness, state, topic

NAMES = st.sampled_from(["a", "b", "c.d", "c_d"])
VALUES = {
    "retention.ms": ["5", "6", "x"],
    "cleanup.policy": ["compact", "delete", ""],
    "min.insync.replicas": ["1", "2"],
}

create = st.tuples(
    st.just("create"),
    st.lists(
        st.tuples(NAMES, st.integers(-1, 3), st.sampled_from([[], [("retention.ms", "7")]])), max_size=3
    ),
)
partitions = st.tuples(st.just("partitions"), st.tuples(NAMES, st.integers(0, 6)))
delete = st.tuples(st.just("delete"), st.lists(NAMES, max_size=2))
alter = st.sampled_from(sorted(VALUES)).flatmap(
    lambda key: st.tuples(
        st.just("alter"),
        st.tuples(
            st.sampled_from([(2, "a"), (2, "b"), (4, ""), (4, "1"), (32, "g")]),
            st.just(key),
            st.sampled_from([SET, DELETE, APPEND, SUBTRACT]),
            st.sampled_from(VALUES[key]),
        ),
    )
)
others = st.sampled_from([("ids", None), ("flush", None), ("restart", None), ("snapshot", None)])
operations = st.lists(st.one_of(create, partitions, delete, alter, others), max_size=25)


def perform(harness, kind, argument):
    if kind == "create":
        harness.create_raw(*(topic(name, count, configs=configs) for name, count, configs in argument))
    elif kind == "partitions":
        harness.controller.create_partitions(partitions_request(*argument))
    elif kind == "delete":
        harness.controller.delete_topics(delete_request(argument), 6)
    elif kind == "alter":
        (resource, name), key, operation, value = argument
        harness.controller.incremental_alter_configs(alter_request(resource, name, key, operation, value))
    elif kind == "ids":
        harness.controller.allocate_producer_ids()
    elif kind == "flush":
        harness.log.flush()


def partitions_request(name, count):
    entry = CreatePartitionsTopic(name=name, count=count, assignments=None)
    return CreatePartitionsRequest(topics=[entry], timeout=1)


def delete_request(names):
    return DeleteTopicsRequest(topics=[DeleteTopicState(name=name) for name in names], timeout=1)


def alter_request(resource, name, key, operation, value):
    config = AlterableConfig(name=key, config_operation=operation, value=value)
    return IncrementalAlterConfigsRequest(
        resources=[AlterConfigsResource(resource_type=resource, resource_name=name, configs=[config])]
    )


@settings(max_examples=60, deadline=None)
@given(operations)
def test_replay_equals_live_state(steps):
    harness = Harness(inline=False)
    for kind, argument in steps:
        perform(harness, kind, argument)
        if kind == "restart":
            harness.log.flush()
            before = harness.image
            harness = harness.restart(inline=False, previous_epoch=before.brokers[1].epoch)
            assert state(harness.image) == state(before)
        elif kind == "snapshot":
            harness.log.flush()
            harness.quorum.maybe_snapshot(force=True)
            if (effect := harness.take_effect()) is not None:
                effect.run()
                effect.complete(None)
    harness.log.flush()
    loaded = load(harness.files, harness.log, CLUSTER).image
    assert loaded == harness.image
    assert list(loaded.topics) == list(harness.image.topics)
    assert {t.topic_id: t for t in loaded.topics.values()} == loaded.topics_by_id
    # The deltas, applied to the set of topics, give the set of topics.
    topics = {}
    for _, delta in harness.published:
        for gone in delta.deleted_topics:
            if topics.get(gone.name) == gone:
                del topics[gone.name]
        for made in delta.created_topics:
            topics[made.name] = made
        for change in delta.changed_topics:
            topics[change.new.name] = change.new
    start = {made.name for made in topics.values()}
    assert start <= set(harness.image.topics)
    assert all(harness.image.topics[name] == made for name, made in topics.items())


@settings(max_examples=15, deadline=None)
@given(operations, st.data())
def test_a_crash_at_any_byte_leaves_a_committed_prefix(steps, data):
    """Whatever part of the log's bytes survives beyond the last sync, and in whatever batch it ends."""
    harness = Harness(inline=False)
    states = {harness.log.end_offset: state(harness.image)}
    harness.quorum.on_image(lambda image, delta: states.setdefault(image.offset + 1, state(image)))
    acknowledged = (len(harness.log.data), state(harness.image))
    for kind, argument in steps:
        if kind in ("restart", "snapshot"):
            continue
        perform(harness, kind, argument)
        if kind == "flush":
            acknowledged = (harness.log.durable_size, state(harness.image))
    content = bytes(harness.log.data)
    harness.log.flush()  # only to learn the states that were proposed
    durable_size, acknowledged_state = acknowledged
    size = data.draw(st.integers(durable_size, len(content)), label="bytes that survive")
    after = harness.restart(content[:size], previous_epoch=harness.image.brokers[1].epoch)
    whole = max(
        (header.next_offset for start, header in iter_headers(content) if start + header.size <= size),
        default=0,
    )
    assert state(after.image) == states[whole]
    if size == durable_size:
        assert state(after.image) == acknowledged_state
    # And it goes on from there.
    assert after.create(topic("after-the-crash"))[0][1] == 0
    assert after.controller.epoch == 2


def test_a_crash_at_every_byte_of_the_first_start():
    """Half a bootstrap is no bootstrap: the next start does it again."""
    content = bytes(Harness().log.data)
    expected = state(Harness().image)
    for size in range(0, len(content), 7):
        harness = Harness().restart(content[:size])
        assert state(harness.image) == expected
        assert not harness.image.brokers[1].fenced
        assert harness.create(topic("a"))[0][1] == 0
        again = harness.restart(previous_epoch=harness.image.brokers[1].epoch)
        assert state(again.image) == state(harness.image)

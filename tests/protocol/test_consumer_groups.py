"""The consumer protocol (KIP-848) over the raw client: docs of the wire answers and of the records."""

from __future__ import annotations

import struct
import time

import pytest
import xxhash

from tests.protocol import groups, raw
from tests.protocol.consumer_groups import (
    DESCRIBE_CONFIGS,
    GROUP_RESOURCE,
    Consumer,
    assigned,
    beat,
    describe,
    join,
    new_group,
    records,
    set_group_config,
    settle,
    types,
)
from tests.protocol.groups import DELETE_GROUPS, DESCRIBE_GROUPS, LIST_GROUPS, OFFSET_FETCH, call
from tests.protocol.raw import Connection


@pytest.fixture
def group(connection: Connection) -> str:
    return new_group(connection)


@pytest.fixture
def foo(address: str) -> tuple[str, bytes]:
    """A topic with four partitions; its name and id."""
    return raw.create_topic(address, partitions=4)


def code(answer) -> int:
    return answer["error_code"]


# Joining


def test_join_alone(connection, group, foo):
    answer = join(connection, group, "m1", [foo[0]])
    assert (code(answer), answer["error_message"], answer["member_id"]) == (0, None, "m1")
    assert (answer["member_epoch"], answer["heartbeat_interval"]) == (2, 5_000)
    assert assigned(answer) == {foo[1]: [0, 1, 2, 3]}


def test_join_without_member_id(connection, group, foo):
    answer = join(connection, group, "", [foo[0]], version=0)
    assert code(answer) == 0
    assert len(answer["member_id"]) == 22
    answer = join(connection, group, "", [foo[0]], version=1)
    assert (code(answer), answer["error_message"]) == (42, "MemberId can't be empty.")
    assert (answer["member_id"], answer["member_epoch"], answer["heartbeat_interval"]) == (None, 0, 0)


@pytest.mark.parametrize(
    ("fields", "expected", "message"),
    [
        ({"rebalance_timeout": -1}, 42, "RebalanceTimeoutMs must be provided in first request."),
        ({"owned": None}, 42, "TopicPartitions must be empty when (re-)joining."),
        ({"owned": {b"i" * 16: [0]}}, 42, "TopicPartitions must be empty when (re-)joining."),
        (
            {"topics": None},
            42,
            "Either SubscribedTopicNames or SubscribedTopicRegex must be non-null when (re-)joining.",
        ),
        ({"instance_id": ""}, 42, "InstanceId can't be empty."),
        ({"rack_id": " "}, 42, "RackId can't be empty."),
        (
            {"assignor": "sticky"},
            112,
            "ServerAssignor sticky is not supported. Supported assignors: uniform, range.",
        ),
        ({"assignor": ""}, 112, "ServerAssignor  is not supported. Supported assignors: uniform, range."),
        (
            {"regex": "a["},
            128,
            "SubscribedTopicRegex `a[` is not a valid regular expression: missing closing ].",
        ),
        (
            {"regex": "a**"},
            128,
            "SubscribedTopicRegex `a**` is not a valid regular expression: invalid nested repetition operator.",
        ),
    ],
)
def test_joins_that_make_no_sense(connection, group, foo, fields, expected, message):
    fields = {"rebalance_timeout": 1_000, "topics": [foo[0]], "owned": {}, **fields}
    answer = beat(connection, group, "m1", 0, **fields)
    assert (code(answer), answer["error_message"]) == (expected, message)


def test_empty_group_id(connection, foo):
    answer = join(connection, "", "m1", [foo[0]])
    assert (code(answer), answer["error_message"]) == (42, "GroupId can't be empty.")


def test_epochs_that_make_no_sense(connection, group, foo):
    join(connection, group, "m1", [foo[0]])
    answer = beat(connection, group, "m1", -3)
    assert (code(answer), answer["error_message"]) == (42, "MemberEpoch is invalid.")
    answer = beat(connection, group, "m1", -2)
    assert (code(answer), answer["error_message"]) == (42, "InstanceId can't be null.")
    for epoch, word in ((3, "greater"), (1, "smaller")):
        answer = beat(connection, group, "m1", epoch)
        assert (code(answer), answer["error_message"]) == (
            110,
            f"The consumer group member has a {word} member epoch ({epoch}) than the one known by the group "
            "coordinator (2). The member must abandon all its partitions and rejoin.",
        )
    answer = beat(connection, group, "m2", 2)
    assert (code(answer), answer["error_message"]) == (25, f"Member m2 is not a member of group {group}.")
    other = raw.unique("cg")
    answer = beat(connection, other, "m1", 2)
    assert (code(answer), answer["error_message"]) == (69, f"Consumer group {other} not found.")
    answer = beat(connection, other, "m1", -1)
    assert (code(answer), answer["error_message"]) == (69, f"Group {other} not found.")


def test_quiet_heartbeat(connection, group, foo):
    join(connection, group, "m1", [foo[0]])
    before = len(records(connection, group))
    answer = beat(connection, group, "m1", 2)
    assert (code(answer), answer["member_epoch"], answer["assignment"]) == (0, 2, None)
    assert len(records(connection, group)) == before


def test_full_heartbeat_has_the_assignment(connection, group, foo):
    join(connection, group, "m1", [foo[0]])
    answer = beat(connection, group, "m1", 2, rebalance_timeout=60_000, topics=[foo[0]], owned={})
    assert assigned(answer) == {foo[1]: [0, 1, 2, 3]}


# Records


def topic_hash(topic, partitions):
    """The metadata hash of a group with one topic on brokers without racks."""
    name, topic_id = topic
    most, least = struct.unpack(">qq", topic_id)
    data = struct.pack("<bqq", 0, most, least)
    data += name.encode("utf-16-le") + struct.pack("<ii", len(name), partitions)
    data += struct.pack(f"<{partitions}i", *range(partitions))
    one = xxhash.xxh3_64_intdigest(data)
    return struct.unpack("<q", struct.pack("<Q", xxhash.xxh3_64_intdigest(struct.pack("<Q", one))))[0]


def test_records_of_a_join(connection, group, foo):
    join(connection, group, "m1", [foo[0]], instance_id="i1", rack_id="r1", assignor="range")
    found = records(connection, group)
    assert types(found) == [5, 3, 7, 6, 8]
    subscription, epoch, target, target_epoch, current = (value for _, _, value in found)
    assert (subscription.instance_id, subscription.rack_id) == ("i1", "r1")
    assert (subscription.client_id, subscription.client_host) == ("raw", "/127.0.0.1")
    assert (subscription.subscribed_topic_names, subscription.subscribed_topic_regex) == ([foo[0]], "")
    assert (subscription.rebalance_timeout_ms, subscription.server_assignor) == (60_000, "range")
    assert subscription.classic_member_metadata is None
    assert (epoch.epoch, epoch.metadata_hash) == (2, topic_hash(foo, 4))
    assert [(entry.topic_id, sorted(entry.partitions)) for entry in target.topic_partitions] == [
        (foo[1], [0, 1, 2, 3])
    ]
    assert target_epoch.assignment_epoch == 2
    assert abs(target_epoch.assignment_timestamp - raw.now_ms()) < 60_000
    assert (current.member_epoch, current.previous_member_epoch, current.state) == (2, 0, 0)
    (entry,) = current.assigned_partitions
    assert (sorted(entry.partitions), entry.assignment_epochs) == ([0, 1, 2, 3], [2, 2, 2, 2])
    assert current.partitions_pending_revocation == []


def test_records_of_a_leave(connection, group, foo):
    join(connection, group, "m1", [foo[0]])
    answer = beat(connection, group, "m1", -1)
    assert (code(answer), answer["member_id"], answer["member_epoch"]) == (0, "m1", -1)
    found = records(connection, group)[5:]
    assert types(found) == [-8, -7, -5, 3]
    assert (found[3][2].epoch, found[3][2].metadata_hash) == (3, 0)
    assert code(beat(connection, group, "m1", -1)) == 25


def test_records_of_a_second_member(connection, group, foo):
    join(connection, group, "m1", [foo[0]])
    answer = join(connection, group, "m2", [foo[0]])
    assert (answer["member_epoch"], assigned(answer)) == (3, {})
    assert types(records(connection, group)[5:]) == [5, 3, 7, 7, 6, 8]
    answer = beat(connection, group, "m1", 2)
    assert answer["member_epoch"] == 2
    assert len(assigned(answer)[foo[1]]) == 2
    (current,) = records(connection, group)[11:]
    assert (current[0], current[2].state, current[2].member_epoch) == (8, 1, 2)
    assert len(current[2].partitions_pending_revocation[0].partitions) == 2


# Moving partitions


def test_partitions_move_only_after_they_were_given_back(connection, group, foo):
    join(connection, group, "m1", [foo[0]])
    join(connection, group, "m2", [foo[0]])
    kept = assigned(beat(connection, group, "m1", 2))
    assert assigned(beat(connection, group, "m2", 3)) in (None, {})
    # Not said, or not all given back.
    assert beat(connection, group, "m1", 2)["member_epoch"] == 2
    assert beat(connection, group, "m1", 2, owned={foo[1]: [0, 1, 2, 3]})["member_epoch"] == 2
    assert beat(connection, group, "m1", 2, owned=kept)["member_epoch"] == 3
    rest = assigned(beat(connection, group, "m2", 3))
    assert sorted(kept[foo[1]] + rest[foo[1]]) == [0, 1, 2, 3]
    # The answer may be lost: one epoch behind is all right for who owns nothing wrong.
    assert beat(connection, group, "m1", 2, owned=kept)["member_epoch"] == 3
    assert code(beat(connection, group, "m1", 2)) == 110


def test_two_assignments_in_a_row_are_a_second_apart(connection, foo):
    group = raw.unique("cg")
    groups.find_coordinator(connection, group)
    join(connection, group, "m1", [foo[0]])
    answer = join(connection, group, "m2", [foo[0]])
    assert (answer["member_epoch"], assigned(answer)) == (2, {})
    assert describe(connection, group)["group_state"] == "Assigning"
    time.sleep(1.05)
    assert len(assigned(beat(connection, group, "m1", 2))[foo[1]]) == 2


def test_members_share_evenly(connection, group, foo):
    members = [Consumer(connection, group, f"m{index}", topics=[foo[0]]) for index in range(3)]
    settle(*members)
    shares = [member.owned.get(foo[1], []) for member in members]
    assert sorted(map(len, shares)) == [1, 1, 2]
    assert sorted(partition for share in shares for partition in share) == [0, 1, 2, 3]
    assert describe(connection, group)["group_state"] == "Stable"


def test_range_gives_copartitioned_ranges(connection, group, foo, address):
    bar = raw.create_topic(address, partitions=4)
    members = [
        Consumer(connection, group, name, topics=[foo[0], bar[0]], assignor="range") for name in ("m1", "m2")
    ]
    settle(*members)
    assert members[0].owned == {foo[1]: [0, 1], bar[1]: [0, 1]}
    assert members[1].owned == {foo[1]: [2, 3], bar[1]: [2, 3]}


def test_unsubscribed_topics_are_taken_at_once(connection, foo, address):
    bar = raw.create_topic(address, partitions=2)
    group = raw.unique("cg")
    groups.find_coordinator(connection, group)
    join(connection, group, "m1", [foo[0], bar[0]])
    answer = beat(connection, group, "m1", 2, topics=[bar[0]])
    assert (answer["member_epoch"], assigned(answer)) == (2, {bar[1]: [0, 1]})


def test_new_partitions_and_topics_are_noticed(connection, group, foo):
    later = raw.unique()
    member = Consumer(connection, group, "m1", topics=[foo[0], later])
    settle(member)
    assert member.owned == {foo[1]: [0, 1, 2, 3]}
    answer = call(
        connection,
        37,
        3,
        {
            "topics": [{"name": foo[0], "count": 6, "assignments": None}],
            "timeout": 10_000,
            "validate_only": False,
        },
    )
    assert answer["results"][0]["error_code"] == 0
    _, later_id = raw.create_topic(connection, later)
    deadline = time.monotonic() + 10
    while member.owned != {foo[1]: [0, 1, 2, 3, 4, 5], later_id: [0]}:
        member.beat()
        assert time.monotonic() < deadline, member.owned
    raw.delete_topic(connection, later)
    while member.owned != {foo[1]: [0, 1, 2, 3, 4, 5]}:
        member.beat()
        assert time.monotonic() < deadline, member.owned


# Static members


def test_static_member_leaves_and_comes_back(connection, group, foo):
    join(connection, group, "m1", [foo[0]], instance_id="i1")
    assert code(join(connection, group, "m2", [foo[0]], instance_id="i1")) == 111
    answer = beat(connection, group, "m1", -2, instance_id="i1")
    assert (code(answer), answer["member_epoch"]) == (0, -2)
    answer = join(connection, group, "m2", [foo[0]], instance_id="i1")
    assert (code(answer), answer["member_epoch"]) == (0, 2)
    assert assigned(answer) == {foo[1]: [0, 1, 2, 3]}
    assert types(records(connection, group)[5:]) == [8, -8, -7, -5, 5, 7, 8, 8]
    answer = beat(connection, group, "m1", 2, instance_id="i1")
    assert (code(answer), answer["error_message"]) == (
        82,
        "Static member m1 with instance id i1 was fenced by member m2.",
    )
    answer = beat(connection, group, "m3", 2, instance_id="i9")
    assert (code(answer), answer["error_message"]) == (25, "Instance id i9 is unknown.")


# Regular expressions


def test_regex_subscription(connection, group, address):
    prefix = raw.unique("rx")
    one = raw.create_topic(address, f"{prefix}.one", partitions=2)
    raw.create_topic(address, f"not-{prefix}", partitions=2)
    answer = join(connection, group, "m1", None, regex=rf"{prefix}\..*")
    assert (code(answer), answer["member_epoch"], assigned(answer)) == (0, 1, {})
    member = Consumer(connection, group, "m1", topics=[], regex=rf"{prefix}\..*")
    member.epoch = 1
    deadline = time.monotonic() + 10
    while member.owned != {one[1]: [0, 1]}:
        member.beat()
        assert time.monotonic() < deadline, member.owned
    found = records(connection, group)
    assert types(found)[:4] == [5, 8, 16, 3]
    regex = found[2]
    assert regex[1].regular_expression == rf"{prefix}\..*"
    assert regex[2].topics == [f"{prefix}.one"]
    assert regex[2].version > 0
    assert describe(connection, group)["members"][0]["subscribed_topic_regex"] == rf"{prefix}\..*"
    beat(connection, group, "m1", -1)
    assert types(records(connection, group))[-5:] == [-8, -7, -5, -16, 3]


# Administration


def test_describe(connection, group, foo):
    join(connection, group, "m1", [foo[0]], instance_id="i1", rack_id="r1")
    join(connection, group, "m2", [foo[0]])
    found = describe(connection, group)
    assert (found["error_code"], found["error_message"], found["group_id"]) == (0, None, group)
    assert (found["group_state"], found["group_epoch"], found["assignment_epoch"]) == ("Reconciling", 3, 3)
    assert found["assignor_name"] == "uniform"
    assert found["authorized_operations"] == -(2**31)
    one, two = sorted(found["members"], key=lambda member: member["member_id"])
    assert (one["instance_id"], one["rack_id"], one["member_epoch"]) == ("i1", "r1", 2)
    assert (one["client_id"], one["client_host"]) == ("raw", "/127.0.0.1")
    assert (one["subscribed_topic_names"], one["subscribed_topic_regex"]) == ([foo[0]], "")
    assert (one["member_type"], two["member_type"]) == (1, 1)
    (topic,) = one["assignment"]["topic_partitions"]
    assert (topic["topic_id"], topic["topic_name"], sorted(topic["partitions"])) == (
        foo[1],
        foo[0],
        [0, 1, 2, 3],
    )
    (topic,) = one["target_assignment"]["topic_partitions"]
    assert len(topic["partitions"]) == 2
    assert (two["member_epoch"], two["assignment"]["topic_partitions"]) == (3, [])


@pytest.mark.parametrize("version", [0, 1])
def test_describe_of_other_groups(connection, group, address, version):
    assert describe(connection, "", version)["error_code"] == 24
    unknown = raw.unique("cg")
    found = describe(connection, unknown, version)
    assert (found["error_code"], found["error_message"]) == (69, f"Group {unknown} not found.")
    member = groups.alone(address, group)
    found = describe(connection, group, version)
    assert (found["error_code"], found["error_message"]) == (69, f"Group {group} is not a consumer group.")
    member.close()


def test_describe_groups_does_not_know_consumer_groups(connection, group, foo):
    join(connection, group, "m1", [foo[0]])
    (found,) = call(connection, DESCRIBE_GROUPS, 6, {"groups": [group]})["groups"]
    assert (found["error_code"], found["group_state"]) == (69, "Dead")
    assert found["error_message"] == f"Group {group} is not a classic group."


def test_list_groups_by_type_and_state(connection, group, foo):
    join(connection, group, "m1", [foo[0]])

    def listed(states, types):
        answer = call(connection, LIST_GROUPS, 5, {"states_filter": states, "types_filter": types})
        return [entry for entry in answer["groups"] if entry["group_id"] == group]

    (entry,) = listed([], ["Consumer"])
    assert (entry["protocol_type"], entry["group_state"], entry["group_type"]) == (
        "consumer",
        "Stable",
        "consumer",
    )
    assert listed([], ["classic"]) == []
    assert listed(["STABLE"], [])
    assert listed(["empty"], []) == []


def test_delete_groups(connection, group, foo):
    join(connection, group, "m1", [foo[0]])

    def delete():
        return call(connection, DELETE_GROUPS, 2, {"groups_names": [group]})["results"][0]["error_code"]

    assert delete() == 68
    beat(connection, group, "m1", -1)
    assert delete() == 0
    assert types(records(connection, group))[-3:] == [-6, -4, -3]
    assert delete() == 69


def test_group_settings(connection, foo):
    group = new_group(connection, consumer_session_timeout_ms="46000", consumer_heartbeat_interval_ms="6000")
    assert join(connection, group, "m1", [foo[0]])["heartbeat_interval"] == 6_000
    assert set_group_config(connection, group, consumer_heartbeat_interval_ms="15001") == [40]
    assert set_group_config(connection, group, consumer_session_timeout_ms="44999") == [40]
    assert set_group_config(connection, group, consumer_heartbeat_interval_ms="7000") == [0]
    deadline = time.monotonic() + 10
    while beat(connection, group, "m1", 2)["heartbeat_interval"] != 7_000:
        assert time.monotonic() < deadline
    answer = call(
        connection,
        DESCRIBE_CONFIGS,
        4,
        {
            "resources": [
                {
                    "resource_type": GROUP_RESOURCE,
                    "resource_name": group,
                    "configuration_keys": ["consumer.heartbeat.interval.ms", "consumer.session.timeout.ms"],
                }
            ],
            "include_synonyms": False,
            "include_documentation": False,
        },
    )
    values = {
        entry["name"]: (entry["value"], entry["config_source"]) for entry in answer["results"][0]["configs"]
    }
    assert values == {
        "consumer.heartbeat.interval.ms": ("7000", 8),
        "consumer.session.timeout.ms": ("46000", 8),
    }


# Offsets


def test_offsets_of_members(connection, group, foo):
    def commit(member, epoch, *, index=0, version=9):
        return groups.commit(
            connection, group, foo[0], 5, member=member, generation=epoch, first=index, version=version
        )

    first = Consumer(connection, group, "m1", topics=[foo[0]])
    first.beat()
    assert commit("m1", 2) == [0]
    assert commit("m1", 3) == [113]
    assert commit("m2", 2) == [25]
    assert commit("", -1) == [25]
    assert commit("m1", 2, version=8) == [35]
    second = Consumer(connection, group, "m2", topics=[foo[0]])
    settle(first, second)
    # In an older epoch for what was held then and is held still (KIP-1251).
    mine, other = first.owned[foo[1]][0], second.owned[foo[1]][0]
    assert commit("m1", 2, index=mine) == [0]
    assert commit("m1", 2, index=other) == [113]
    assert commit("m2", 2, index=other) == [113]
    assert commit("m2", 3, index=other) == [0]


def test_offsets_are_fetched_in_the_members_epoch(connection, group, foo):
    join(connection, group, "m1", [foo[0]])
    groups.commit(connection, group, foo[0], 5, member="m1", generation=2)

    def fetched(member, epoch):
        request = groups.fetch_request(group, {foo[0]: [0]}, member_id=member, member_epoch=epoch)
        (answer,) = call(connection, OFFSET_FETCH, 9, request)["groups"]
        return answer["error_code"], [
            partition["committed_offset"] for topic in answer["topics"] for partition in topic["partitions"]
        ]

    assert fetched("m1", 2) == (0, [5])
    assert fetched(None, -1) == (0, [5])
    assert fetched("m1", 1) == (113, [])
    assert fetched("m2", 2) == (25, [])


def test_offsets_of_subscribed_topics_are_not_deleted(connection, group, foo, address):
    bar = raw.create_topic(address)
    join(connection, group, "m1", [foo[0]])
    groups.commit(connection, group, foo[0], 5, member="m1", generation=2)
    groups.commit(connection, group, bar[0], 5, member="m1", generation=2)
    answer = call(
        connection,
        47,
        0,
        {
            "group_id": group,
            "topics": [{"name": name, "partitions": [{"partition_index": 0}]} for name in (foo[0], bar[0])],
        },
    )
    codes = {topic["name"]: topic["partitions"][0]["error_code"] for topic in answer["topics"]}
    assert codes == {foo[0]: 86, bar[0]: 0}


# Classic and consumer members together


def test_empty_classic_group_becomes_a_consumer_group(connection, group, foo, address):
    member = groups.alone(address, group)
    member.leave()
    member.close()
    answer = join(connection, group, "m1", [foo[0]])
    assert (code(answer), answer["member_epoch"]) == (0, 2)
    assert types(records(connection, group))[-6:] == [-2, 5, 3, 7, 6, 8]


def assignment(topic: str, *partitions: int) -> bytes:
    data = struct.pack(">hih", 0, 1, len(topic)) + topic.encode()
    return data + struct.pack(f">i{len(partitions)}i", len(partitions), *partitions) + struct.pack(">i", -1)


def test_live_classic_group_becomes_a_consumer_group_and_classic_again(connection, group, foo, address):
    offered = groups.protocols("range", metadata=groups.subscription(foo[0]))
    old = groups.Member(address, group, offered=offered)
    old.join()
    old.sync({old.member_id: assignment(foo[0], 0, 1, 2, 3)})
    generation = old.generation
    before = len(records(connection, group))
    answer = join(connection, group, "m1", [foo[0]])
    assert (code(answer), answer["member_epoch"], assigned(answer)) == (0, generation + 1, {})
    assert types(records(connection, group)[before:]) == [-2, 5, 3, 7, 6, 8, 5, 3, 7, 7, 6, 8]
    by_type = {
        member["member_id"]: member["member_type"] for member in describe(connection, group)["members"]
    }
    assert by_type == {old.member_id: 0, "m1": 1}
    assert old.heartbeat() == 27
    # It reports nothing as owned, so it gives back what it has to and is in the new epoch at once.
    answer = old.join()
    assert (answer["generation_id"], answer["leader"], answer["members"]) == (generation + 1, "", [])
    old.answer = answer
    kept = old.sync()
    assert kept.startswith(struct.pack(">hih", 0, 1, len(foo[0])) + foo[0].encode() + struct.pack(">i", 2))
    assert old.heartbeat() == 0
    assert len(assigned(beat(connection, group, "m1", generation + 1))[foo[1]]) == 2
    before = len(records(connection, group))
    assert code(beat(connection, group, "m1", -1)) == 0
    found = records(connection, group)[before:]
    assert types(found) == [-8, -8, -7, -7, -6, -5, -5, -4, -3, 2]
    (described,) = call(connection, DESCRIBE_GROUPS, 6, {"groups": [group]})["groups"]
    assert (described["error_code"], described["group_state"]) == (0, "PreparingRebalance")
    assert old.heartbeat() == 27
    answer = old.join()
    assert answer["generation_id"] == generation + 2
    old.sync({old.member_id: assignment(foo[0], 0, 1, 2, 3)})
    old.close()


def test_classic_member_in_a_consumer_group(connection, group, foo, address):
    join(connection, group, "m1", [foo[0]])
    offered = groups.protocols("range", metadata=groups.subscription(foo[0]))
    member = groups.Member(address, group, offered=offered)
    answer = member.join()
    assert len(member.member_id) == 22
    assert (answer["generation_id"], answer["protocol_type"], answer["protocol_name"]) == (
        3,
        "consumer",
        "range",
    )
    assert member.sync() == struct.pack(">hii", 0, 0, -1)
    assert member.heartbeat() == 0
    other = call(
        connection,
        groups.HEARTBEAT,
        4,
        {"group_id": group, "generation_id": 2, "member_id": "m1", "group_instance_id": None},
    )
    assert code(other) == 25
    wrong = groups.join_request(group, kind="connect")
    assert code(call(connection, groups.JOIN_GROUP, 9, wrong)) == 23
    left = call(
        connection,
        groups.LEAVE_GROUP,
        5,
        {
            "group_id": group,
            "members": [
                {"member_id": name, "group_instance_id": None, "reason": None} for name in ("m1", "nobody")
            ],
        },
    )
    assert [entry["error_code"] for entry in left["members"]] == [0, 25]
    member.close()


def test_heartbeats_of_classic_groups(connection, group, foo, address):
    member = groups.alone(address, group, kind="connect")
    answer = join(connection, group, "m1", [foo[0]])
    assert (code(answer), answer["error_message"]) == (
        69,
        f"Cannot upgrade classic group {group} to consumer group because the group does not use the consumer "
        "embedded protocol.",
    )
    answer = beat(connection, group, "m1", 2)
    assert (code(answer), answer["error_message"]) == (69, f"Group {group} is not a consumer group.")
    member.close()

"""Committed offsets: OffsetCommit, OffsetFetch and OffsetDelete, answer by answer."""

from __future__ import annotations

import pytest

from tests.protocol import groups, raw
from tests.protocol.groups import (
    OFFSET_COMMIT,
    OFFSET_DELETE,
    OFFSET_FETCH,
    Member,
    alone,
    call,
    commit,
    commit_request,
    committed,
    fetch_request,
    protocols,
    subscription,
)
from tests.protocol.raw import ZERO_UUID, Connection


@pytest.fixture
def group(connection: Connection) -> str:
    name = raw.unique("g")
    groups.find_coordinator(connection, name)
    return name


@pytest.mark.parametrize("version", range(2, 11))
def test_commit_and_fetch(connection, group, version):
    topic, topic_id = raw.create_topic(connection, partitions=2)
    assert commit(connection, group, topic, 5, 7, version=version, metadata="note", topic_id=topic_id) == [
        0,
        0,
    ]
    for fetch_version in range(1, 8):
        request = {"group_id": group, "topics": [{"name": topic, "partition_indexes": [1, 0, 9]}]}
        answer = call(connection, OFFSET_FETCH, fetch_version, {**request, "require_stable": False})
        (found,) = answer["topics"]
        assert [
            (p["partition_index"], p["committed_offset"], p["metadata"], p["error_code"])
            for p in found["partitions"]
        ] == [(1, 7, "note", 0), (0, 5, "note", 0), (9, -1, "", 0)]
        if fetch_version >= 5:
            epoch = 0 if version >= 6 else -1
            assert [p["committed_leader_epoch"] for p in found["partitions"]] == [epoch, epoch, -1]
        if fetch_version >= 2:
            assert answer["error_code"] == 0
            answer = call(
                connection, OFFSET_FETCH, fetch_version, {**request, "topics": None, "require_stable": False}
            )
            assert {p["partition_index"] for p in answer["topics"][0]["partitions"]} == {0, 1}
    for fetch_version in (8, 9):
        assert committed(connection, group, {topic: [0, 1, 9]}, fetch_version) == {topic: {0: 5, 1: 7, 9: -1}}
        assert committed(connection, group, None, fetch_version) == {topic: {0: 5, 1: 7}}
    request = fetch_request(group, {topic: [0, 1]})
    request["groups"][0]["topics"][0]["topic_id"] = topic_id
    (answer,) = call(connection, OFFSET_FETCH, 10, request)["groups"]
    assert answer["topics"][0]["topic_id"] == topic_id
    assert [p["committed_offset"] for p in answer["topics"][0]["partitions"]] == [5, 7]
    (answer,) = call(connection, OFFSET_FETCH, 10, fetch_request(group, None))["groups"]
    assert [found["topic_id"] for found in answer["topics"]] == [topic_id]


def test_unknown_topics(connection, group, topic):
    unknown = raw.unique("unknown")
    assert commit(connection, group, unknown, 1) == [3]
    assert commit(connection, group, topic, 1, 2) == [3, 0] or commit(connection, group, topic, 1, 2) == [
        0,
        3,
    ]
    request = commit_request(group, topic, 1, topic_id=bytes(range(16)))
    (answer,) = call(connection, OFFSET_COMMIT, 10, request)["topics"]
    assert (answer["topic_id"], answer["partitions"][0]["error_code"]) == (bytes(range(16)), 100)
    assert committed(connection, group, {unknown: [0]}) == {unknown: {0: -1}}
    request = fetch_request(group, {topic: [0]})
    request["groups"][0]["topics"][0]["topic_id"] = bytes(range(16))
    (answer,) = call(connection, OFFSET_FETCH, 10, request)["groups"]
    (found,) = answer["topics"]
    assert found["topic_id"] == bytes(range(16))
    assert [(p["committed_offset"], p["error_code"]) for p in found["partitions"]] == [(-1, 100)]


def test_answers_of_known_and_unknown_topics_together(connection, group, topic):
    unknown = raw.unique("unknown")
    request = commit_request(group, topic, 4)
    request["topics"] += commit_request(group, unknown, 4)["topics"]
    request["topics"] += commit_request(group, topic, 5, first=1)["topics"]
    answer = call(connection, OFFSET_COMMIT, 9, request)
    found = {}
    for entry in answer["topics"]:
        for partition in entry["partitions"]:
            found[entry["name"], partition["partition_index"]] = partition["error_code"]
    assert found == {(topic, 0): 0, (unknown, 0): 3, (topic, 1): 3}


def test_metadata(connection, group, topic):
    assert commit(connection, group, topic, 1, metadata="x" * 4096) == [0]
    assert commit(connection, group, topic, 2, metadata="x" * 4097) == [12]
    assert committed(connection, group, {topic: [0]}) == {topic: {0: 1}}
    assert commit(connection, group, topic, 3, metadata="ü" * 4096) == [0]
    assert commit(connection, group, topic, 4, metadata="😀" * 2048) == [0]
    assert commit(connection, group, topic, 5, metadata="😀" * 2049) == [12]
    assert commit(connection, group, topic, -5, metadata=None) == [0]
    (answer,) = call(connection, OFFSET_FETCH, 8, fetch_request(group, {topic: [0]}))["groups"]
    (found,) = answer["topics"][0]["partitions"]
    assert (found["committed_offset"], found["metadata"]) == (-5, "")


def test_empty_group_id(connection, group, topic):
    groups.find_coordinator(connection, "")
    assert commit(connection, "", topic, 3) == [0]
    assert committed(connection, "", {topic: [0]}) == {topic: {0: 3}}
    for error in (0, 69):
        (answer,) = call(connection, groups.DELETE_GROUPS, 2, {"groups_names": [""]})["results"]
        assert answer["error_code"] == error
    (found,) = call(connection, groups.DESCRIBE_GROUPS, 6, {"groups": [""]})["groups"]
    assert (found["error_code"], found["group_state"]) == (69, "Dead")


def test_generation_on_an_unknown_group(connection, group, topic):
    for version in range(2, 11):
        options = {"version": version, "generation": 3, "member": "m"}
        if version == 10:
            options["topic_id"] = raw.create_topic(connection)[1]
        assert commit(connection, raw.unique("g"), topic, 1, **options) == [69 if version >= 9 else 22]


def test_fetch_of_an_unknown_group(connection, group, topic):
    none = raw.unique("none")
    assert committed(connection, none, {topic: [0]}) == {topic: {0: -1}}
    assert committed(connection, none, None) == {}
    (answer,) = call(connection, OFFSET_FETCH, 8, fetch_request(none, {topic: [0]}))["groups"]
    (found,) = answer["topics"][0]["partitions"]
    assert (found["committed_leader_epoch"], found["metadata"], found["error_code"]) == (-1, "", 0)


def test_several_groups_in_one_fetch(connection, group, topic):
    other = raw.unique("g")
    commit(connection, group, topic, 1)
    commit(connection, other, topic, 2)
    request = fetch_request(group, {topic: [0]})
    request["groups"] += fetch_request(other, None)["groups"] + fetch_request(group, {})["groups"]
    answer = call(connection, OFFSET_FETCH, 9, request)["groups"]
    assert [entry["group_id"] for entry in answer] == [group, other, group]
    assert [len(entry["topics"]) for entry in answer] == [1, 1, 0]


def test_commits_of_members(address, connection, group, topic):
    member = alone(address, group)
    who = {"member": member.member_id, "generation": member.generation}
    assert commit(connection, group, topic, 10, **who) == [0]
    assert commit(connection, group, topic, 11, **{**who, "generation": 9}) == [22]
    assert commit(connection, group, topic, 11, **{**who, "generation": -1}) == [22]
    assert commit(connection, group, topic, 11, **{**who, "member": "unknown"}) == [25]
    assert commit(connection, group, topic, 11, **who, instance="unknown") == [25]
    assert commit(connection, group, topic, 11) == [25]
    assert commit(connection, group, topic, 11, generation=member.generation) == [25]
    assert committed(connection, group, {topic: [0]}) == {topic: {0: 10}}
    member.leave()
    assert commit(connection, group, topic, 12, **who) == [25]
    assert commit(connection, group, topic, 12) == [0]


def test_commits_while_the_group_rebalances(address, connection, group, topic):
    first, second = Member(address, group), Member(address, group)
    first.join()
    who = {"member": first.member_id, "generation": first.generation}
    # The leader has not assigned yet.
    assert commit(connection, group, topic, 1, **who) == [27]
    first.sync({})
    second.start_join()
    groups_wait(lambda: first.heartbeat() == 27)
    # The old owner may still store what it has done.
    assert commit(connection, group, topic, 2, **who) == [0]
    first.start_join()
    first.end_join(), second.end_join()
    assert commit(connection, group, topic, 3, **who) == [22]


def groups_wait(condition):
    from tests.protocol.test_groups import raw_wait

    raw_wait(condition)


def test_commit_of_a_fenced_static_member(address, connection, group, topic):
    old = alone(address, group, instance="one")
    new = Member(address, group, instance="one")
    new.join()
    new.sync()
    who = {"generation": 1, "instance": "one"}
    assert commit(connection, group, topic, 5, member=old.member_id, **who) == [82]
    assert commit(connection, group, topic, 6, member=new.member_id, **who) == [0]
    assert committed(connection, group, {topic: [0]}) == {topic: {0: 6}}


def test_offsets_of_a_topic_that_was_made_again(connection, group):
    name, _ = raw.create_topic(connection)
    assert commit(connection, group, name, 5) == [0]
    raw.delete_topic(connection, name)
    raw.create_topic(connection, name)
    groups_wait(lambda: committed(connection, group, {name: [0]}) == {name: {0: -1}})


def delete(connection, group, *partitions):
    topics = {}
    for topic, partition in partitions:
        topics.setdefault(topic, []).append({"partition_index": partition})
    request = {
        "group_id": group,
        "topics": [{"name": topic, "partitions": indexes} for topic, indexes in topics.items()],
    }
    answer = call(connection, OFFSET_DELETE, 0, request)
    return answer["error_code"], {
        (topic["name"], partition["partition_index"]): partition["error_code"]
        for topic in answer["topics"]
        for partition in topic["partitions"]
    }


def test_delete_offsets(connection, group, topic):
    unknown = raw.unique("unknown")
    assert delete(connection, group, (topic, 0)) == (69, {})
    commit(connection, group, topic, 5)
    asked = [(unknown, 0), (topic, 0), (topic, 7)]
    assert delete(connection, group, *asked) == (0, {(unknown, 0): 3, (topic, 0): 0, (topic, 7): 3})
    assert committed(connection, group, {topic: [0]}) == {topic: {0: -1}}
    assert delete(connection, group, (topic, 0)) == (0, {(topic, 0): 0})
    assert delete(connection, group) == (0, {})


def test_delete_offsets_of_a_live_group(address, connection, group, topic):
    other, _ = raw.create_topic(connection)
    commit(connection, group, topic, 5)
    commit(connection, group, other, 6)
    offered = protocols("range", metadata=subscription(topic))
    member = alone(address, group, offered=offered)
    assert delete(connection, group, (topic, 0), (other, 0)) == (0, {(topic, 0): 86, (other, 0): 0})
    assert committed(connection, group, None) == {topic: {0: 5}}
    member.leave()
    assert delete(connection, group, (topic, 0)) == (0, {(topic, 0): 0})


def test_delete_offsets_of_a_live_group_of_another_type(address, connection, group, topic):
    commit(connection, group, topic, 5)
    alone(address, group, kind="connect")
    assert delete(connection, group, (topic, 0)) == (68, {})


def test_the_zero_topic_id(connection, group, topic):
    request = commit_request(group, topic, 1, topic_id=ZERO_UUID)
    (answer,) = call(connection, OFFSET_COMMIT, 10, request)["topics"]
    assert answer["partitions"][0]["error_code"] == 100


def test_a_refused_commit_makes_the_group(connection, group):
    topic, _ = raw.create_topic(connection)
    assert commit(connection, group, topic, 5, metadata="x" * 4097) == [12]
    (described,) = call(connection, groups.DESCRIBE_GROUPS, 5, {"groups": [group]})["groups"]
    assert described["group_state"] == "Empty"


def test_delete_of_offsets_without_a_group_id(connection):
    assert call(connection, OFFSET_DELETE, 0, {"group_id": "", "topics": []})["error_code"] == 24


def test_offsets_of_topics_that_an_unreadable_subscription_may_hold_stay(connection, address, group):
    topic, _ = raw.create_topic(connection)
    member = alone(address, group, offered=protocols("range", metadata=b""))
    entry = {"name": topic, "partitions": [{"partition_index": 0}]}
    answer = call(connection, OFFSET_DELETE, 0, {"group_id": group, "topics": [entry]})
    assert answer["topics"][0]["partitions"][0]["error_code"] == 86
    member.close()

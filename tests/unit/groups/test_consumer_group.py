"""Consumer groups of KIP-848: transcripts of heartbeats, with the answers and records of Kafka 4.3.0."""

from __future__ import annotations

import functools
import operator

import pytest

from pybroker.common.errors import ApiError, ErrorCode
from tests.unit.groups.consumer_world import GROUP, World, partitions

E = ErrorCode


@pytest.fixture
def world():
    made = World()
    made.set_topic("foo", 4)
    made.set_topic("bar", 2)
    return made


def refused(call, *args, **fields):
    with pytest.raises(ApiError) as error:
        call(*args, **fields)
    return error.value.code


def settle(world, members, topics=("foo",), *, rounds=12):
    """Let members (id to epoch) do what they are told until nothing moves."""
    owned = {member_id: {} for member_id in members}
    for _ in range(rounds):
        world.advance(1_000)
        for member_id in list(members):
            answer = world.beat(
                member_id,
                members[member_id],
                rebalance_timeout=60_000,
                topics=list(topics),
                owned=owned[member_id],
            )
            members[member_id] = answer.member_epoch
            if answer.assignment is not None:
                owned[member_id] = partitions(world, answer)
    return owned


# --- joining ---


def test_first_join_has_epoch_two_and_everything_at_once(world):
    answer = world.join("m1", ["foo"])
    assert (answer.member_id, answer.member_epoch, answer.heartbeat_interval) == ("m1", 2, 5_000)
    assert partitions(world, answer) == {"foo": [0, 1, 2, 3]}
    assert world.types(0) == [5, 3, 7, 6, 8]
    assert world.group.state == "Stable"


def test_records_of_a_join_hold_what_kafka_writes(world):
    world.join(
        "m1", ["foo", "bar"], rack_id="r1", instance_id="i1", assignor="range", rebalance_timeout=7_000
    )
    subscription, epoch, target, target_epoch, current = world.tail(0)
    value = subscription[2]
    assert (subscription[1].group_id, subscription[1].member_id) == (GROUP, "m1")
    assert (value.instance_id, value.rack_id, value.client_id, value.client_host) == (
        "i1",
        "r1",
        "client",
        "/127.0.0.1",
    )
    assert (value.subscribed_topic_names, value.subscribed_topic_regex) == (["bar", "foo"], "")
    assert (value.rebalance_timeout_ms, value.server_assignor) == (7_000, "range")
    assert value.classic_member_metadata is None
    assert epoch[2].epoch == 2
    assert epoch[2].metadata_hash != 0
    foo, bar = world.topic_id("foo"), world.topic_id("bar")
    assert [(entry.topic_id, entry.partitions) for entry in target[2].topic_partitions] == [
        (bar, [0, 1]),
        (foo, [0, 1, 2, 3]),
    ]
    assert target_epoch[2].assignment_epoch == 2
    assert target_epoch[2].assignment_timestamp == world.clock.wall_ms()
    assert (current[2].member_epoch, current[2].previous_member_epoch, current[2].state) == (2, 0, 0)
    assert [entry.assignment_epochs for entry in current[2].assigned_partitions] == [[2, 2], [2, 2, 2, 2]]


def test_member_id_is_made_up_for_version_0_only(world):
    answer = world.beat("", 0, version=0, topics=["foo"], owned={}, rebalance_timeout=1)
    assert len(answer.member_id) == 22
    assert refused(world.beat, "", 0, topics=["foo"], owned={}, rebalance_timeout=1) == E.INVALID_REQUEST


@pytest.mark.parametrize(
    ("fields", "code"),
    [
        ({"rebalance_timeout": -1}, E.INVALID_REQUEST),
        ({"owned": None}, E.INVALID_REQUEST),
        ({"owned": {"foo": [0]}}, E.INVALID_REQUEST),
        ({"topics": None}, E.INVALID_REQUEST),
        ({"group_id": ""}, E.INVALID_REQUEST),
        ({"instance_id": " "}, E.INVALID_REQUEST),
        ({"rack_id": ""}, E.INVALID_REQUEST),
        ({"assignor": "sticky"}, E.UNSUPPORTED_ASSIGNOR),
        ({"assignor": ""}, E.UNSUPPORTED_ASSIGNOR),
        ({"topics": None, "regex": "["}, E.INVALID_REGULAR_EXPRESSION),
    ],
)
def test_joins_that_make_no_sense(world, fields, code):
    request = {"rebalance_timeout": 1_000, "topics": ["foo"], "owned": {}, **fields}
    assert refused(world.beat, "m1", 0, **request) == code
    assert world.group is None


def test_epochs_that_make_no_sense(world):
    world.join("m1", ["foo"])
    assert refused(world.beat, "m1", -3) == E.INVALID_REQUEST
    assert refused(world.beat, "m1", -2) == E.INVALID_REQUEST
    assert refused(world.beat, "m1", 3) == E.FENCED_MEMBER_EPOCH
    assert refused(world.beat, "m1", 1) == E.FENCED_MEMBER_EPOCH
    assert refused(world.beat, "m2", 2) == E.UNKNOWN_MEMBER_ID
    assert refused(world.beat, "m1", 2, group_id="other") == E.GROUP_ID_NOT_FOUND


def test_quiet_heartbeat_writes_nothing_and_has_no_assignment(world):
    world.join("m1", ["foo"])
    start = len(world.log)
    answer = world.beat("m1", 2)
    assert (answer.member_epoch, answer.assignment) == (2, None)
    assert world.types(start) == []


def test_full_heartbeat_is_told_its_assignment_again(world):
    world.join("m1", ["foo"])
    answer = world.beat("m1", 2, rebalance_timeout=60_000, topics=["foo"], owned={"foo": [0]})
    assert partitions(world, answer) == {"foo": [0, 1, 2, 3]}


def test_unknown_topics_are_assigned_when_they_appear(world):
    answer = world.join("m1", ["later"])
    assert partitions(world, answer) == {}
    world.set_topic("later", 3)
    world.advance(1_000)
    answer = world.beat("m1", answer.member_epoch)
    assert partitions(world, answer) == {"later": [0, 1, 2]}


def test_group_has_room_for_so_many():
    world = World(group_consumer_max_size=1)
    world.join("m1", ["foo"])
    assert refused(world.join, "m2", ["foo"]) == E.GROUP_MAX_SIZE_REACHED
    world.join("m1", ["foo"])


# --- moving partitions ---


def test_a_partition_moves_only_after_its_owner_gave_it_back(world):
    world.join("m1", ["foo"])
    world.advance(1_000)
    answer = world.join("m2", ["foo"])
    # All is still held by m1: m2 is in the new epoch and waits.
    assert answer.member_epoch == 3
    assert partitions(world, answer) == {}
    assert world.group.state == "Reconciling"
    answer = world.beat("m1", 2)
    assert (answer.member_epoch, partitions(world, answer)) == (2, {"foo": [0, 1]})
    assert partitions(world, world.beat("m2", 3, owned={})) in (None, {})
    # m1 says nothing of what it owns, or still owns it: nothing happens.
    world.beat("m1", 2)
    world.beat("m1", 2, owned={"foo": [0, 1, 2]})
    assert world.group.members["m1"].member_epoch == 2
    answer = world.beat("m1", 2, owned={"foo": [0, 1]})
    assert answer.member_epoch == 3
    answer = world.beat("m2", 3, owned={})
    assert (answer.member_epoch, partitions(world, answer)) == (3, {"foo": [2, 3]})
    assert world.group.state == "Stable"


def test_a_new_assignment_waits_for_the_interval(world):
    world.join("m1", ["foo"])
    answer = world.join("m2", ["foo"])
    assert (answer.member_epoch, partitions(world, answer)) == (2, {})
    assert world.group.state == "Assigning"
    world.advance(999)
    assert world.beat("m1", 2).assignment is None
    world.advance(1)
    assert partitions(world, world.beat("m1", 2)) == {"foo": [0, 1]}


def test_the_interval_is_a_setting_of_the_group(world):
    world.set_group_config(consumer_assignment_interval_ms=0, consumer_heartbeat_interval_ms=6_000)
    assert world.join("m1", ["foo"]).heartbeat_interval == 6_000
    assert world.join("m2", ["foo"]).member_epoch == 3


def test_lost_answer_is_repeated_to_a_member_that_is_one_epoch_behind(world):
    world.join("m1", ["foo"])
    world.advance(1_000)
    world.join("m2", ["foo"])
    world.beat("m1", 2)
    world.beat("m1", 2, owned={"foo": [0, 1]})
    assert world.group.members["m1"].member_epoch == 3
    # The answer with epoch 3 was lost.
    assert world.beat("m1", 2, owned={"foo": [0, 1]}).member_epoch == 3
    assert refused(world.beat, "m1", 2, owned={"foo": [0, 1, 2]}) == E.FENCED_MEMBER_EPOCH
    assert refused(world.beat, "m1", 2) == E.FENCED_MEMBER_EPOCH


def test_unsubscribed_topics_are_taken_away_at_once(world):
    world.join("m1", ["foo", "bar"])
    # The assignment interval holds the new target back, but not the revocation.
    answer = world.beat("m1", 2, topics=["bar"])
    assert (answer.member_epoch, partitions(world, answer)) == (2, {"bar": [0, 1]})
    assert world.group.members["m1"].state == 1
    world.advance(1_000)
    answer = world.beat("m1", 2, owned={"bar": [0, 1]})
    assert answer.member_epoch == 3


def test_more_partitions_and_deleted_topics_are_noticed_at_the_next_heartbeat(world):
    world.join("m1", ["foo", "bar"])
    world.set_topic("foo", 6)
    world.advance(1_000)
    answer = world.beat("m1", 2)
    assert (answer.member_epoch, partitions(world, answer)["foo"]) == (3, [0, 1, 2, 3, 4, 5])
    world.delete_topic("bar")
    world.advance(1_000)
    answer = world.beat("m1", 3)
    assert list(partitions(world, answer)) == ["foo"]


def test_a_topic_created_anew_has_other_partitions(world):
    world.join("m1", ["foo"])
    world.set_topic("foo", 4, topic_id=b"another topic id")
    world.advance(1_000)
    answer = world.beat("m1", 2)
    assert [entry.topic_id for entry in answer.assignment.topic_partitions] in ([], [b"another topic id"])
    world.beat("m1", 2, owned={})
    assert list(world.group.members["m1"].assigned) == [b"another topic id"]


def test_metadata_that_makes_no_difference_moves_nothing(world):
    world.join("m1", ["foo"])
    start = len(world.log)
    world.set_topic("unrelated", 1)
    world.set_topic("foo", 4)
    world.advance(1_000)
    world.beat("m1", 2)
    assert world.types(start) == []


def test_members_share_evenly_and_come_to_rest(world):
    members = {}
    for name in ("m1", "m2", "m3"):
        members[name] = world.join(name, ["foo"]).member_epoch
    owned = settle(world, members)
    assert sorted(len(topics.get("foo", [])) for topics in owned.values()) == [1, 1, 2]
    assert sorted(
        functools.reduce(operator.iadd, (topics.get("foo", []) for topics in owned.values()), [])
    ) == [0, 1, 2, 3]
    assert world.group.state == "Stable"


def test_majority_chooses_the_assignor(world):
    world.join("m1", ["foo", "bar"], assignor="range")
    assert world.describe().assignor_name == "range"
    world.join("m2", ["foo", "bar"])
    world.advance(1_000)
    world.beat("m1", 2)
    assert {len(target) for target in world.group.targets.values()} == {2}
    world.join("m3", ["foo", "bar"], assignor="uniform")
    world.join("m4", ["foo", "bar"], assignor="uniform")
    assert world.describe().assignor_name == "uniform"


# --- leaving ---


def test_leave_writes_tombstones_and_a_new_epoch(world):
    world.join("m1", ["foo"])
    start = len(world.log)
    answer = world.beat("m1", -1)
    assert (answer.member_id, answer.member_epoch) == ("m1", -1)
    assert world.types(start) == [-8, -7, -5, 3]
    assert world.group.state == "Empty"
    assert world.tail(start)[3][2].metadata_hash == 0
    assert refused(world.beat, "m1", -1) == E.UNKNOWN_MEMBER_ID
    assert not [key for key in world.timers.due if "m1" in key]


def test_partitions_of_a_leaver_are_free_at_once(world):
    world.join("m1", ["foo"])
    world.advance(1_000)
    world.join("m2", ["foo"])
    world.beat("m1", -1)
    world.advance(1_000)
    answer = world.beat("m2", 3, owned={})
    assert partitions(world, answer) == {"foo": [0, 1, 2, 3]}


def test_session_timeout_fences(world):
    world.join("m1", ["foo"])
    world.advance(40_000)
    world.beat("m1", 2)
    world.advance(44_999)
    assert "m1" in world.group.members
    world.advance(1)
    assert world.group.is_empty
    assert refused(world.beat, "m1", 2) == E.UNKNOWN_MEMBER_ID


def test_session_timeout_is_a_setting_of_the_group(world):
    world.set_group_config(consumer_session_timeout_ms=50_000)
    world.join("m1", ["foo"])
    world.advance(49_999)
    assert not world.group.is_empty
    world.advance(1)
    assert world.group.is_empty


def test_member_that_does_not_revoke_within_its_rebalance_timeout_is_fenced(world):
    world.join("m1", ["foo"], rebalance_timeout=5_000)
    world.advance(1_000)
    world.join("m2", ["foo"])
    world.beat("m1", 2)
    world.advance(4_999)
    world.beat("m1", 2)
    assert "m1" in world.group.members
    world.advance(1)
    assert "m1" not in world.group.members


def test_member_that_revokes_in_time_is_not_fenced(world):
    world.join("m1", ["foo"], rebalance_timeout=5_000)
    world.advance(1_000)
    world.join("m2", ["foo"])
    world.beat("m1", 2)
    world.beat("m1", 2, owned={"foo": [0, 1]})
    world.advance(10_000)
    assert "m1" in world.group.members


# --- static members ---


def test_static_member_comes_back_to_its_partitions(world):
    world.join("m1", ["foo"], instance_id="i1")
    world.advance(1_000)
    world.join("m2", ["foo"], instance_id="i2")
    world.beat("m1", 2, instance_id="i1")
    world.beat("m1", 2, instance_id="i1", owned={"foo": [0, 1]})
    world.beat("m2", 3, instance_id="i2", owned={})
    start = len(world.log)
    answer = world.beat("m1", -2, instance_id="i1")
    assert answer.member_epoch == -2
    assert world.types(start) == [8]
    # Others are not given what it has.
    world.advance(1_000)
    assert world.beat("m2", 3, instance_id="i2").assignment is None
    start = len(world.log)
    answer = world.join("m1b", ["foo"], instance_id="i1")
    assert (answer.member_epoch, partitions(world, answer)) == (3, {"foo": [0, 1]})
    assert world.types(start) == [-8, -7, -5, 5, 7, 8, 8]
    assert set(world.group.members) == {"m2", "m1b"}
    assert refused(world.beat, "m1", 3, instance_id="i1") == E.FENCED_INSTANCE_ID
    assert refused(world.beat, "m1", -1, instance_id="i1") == E.FENCED_INSTANCE_ID


def test_static_member_that_did_not_leave_keeps_its_instance_id(world):
    world.join("m1", ["foo"], instance_id="i1")
    assert refused(world.join, "m2", ["foo"], instance_id="i1") == E.UNRELEASED_INSTANCE_ID
    assert refused(world.beat, "m1", 2, instance_id="unknown") == E.UNKNOWN_MEMBER_ID


def test_static_member_that_stays_away_is_fenced(world):
    world.join("m1", ["foo"], instance_id="i1")
    world.beat("m1", -2, instance_id="i1")
    world.advance(45_000)
    assert world.group.is_empty
    assert world.group.static_members == {}


def test_static_member_leaves_for_good(world):
    world.join("m1", ["foo"], instance_id="i1")
    world.beat("m1", -1, instance_id="i1")
    assert world.group.is_empty
    world.join("m2", ["foo"], instance_id="i1")


def test_static_member_comes_back_with_another_subscription(world):
    world.join("m1", ["foo"], instance_id="i1")
    world.beat("m1", -2, instance_id="i1")
    world.advance(1_000)
    answer = world.join("m2", ["bar"], instance_id="i1")
    assert partitions(world, answer) == {"bar": [0, 1]}


# --- offsets ---


def validate(world, member_id, epoch, *, version=9, transactional=False):
    return world.group.validate_offset_commit(
        member_id, None, epoch, transactional=transactional, version=version
    )


def test_commits_in_the_members_epoch(world):
    world.join("m1", ["foo"])
    assert validate(world, "m1", 2) is None
    assert refused(validate, world, "m1", 3) == E.STALE_MEMBER_EPOCH
    assert refused(validate, world, "m2", 2) == E.UNKNOWN_MEMBER_ID
    assert refused(validate, world, "m1", 2, version=8) == E.UNSUPPORTED_VERSION
    assert refused(validate, world, "", -1) == E.UNKNOWN_MEMBER_ID
    assert validate(world, "", -1, transactional=True) is None


def test_commits_in_an_older_epoch_count_for_what_was_held_then(world):
    world.join("m1", ["foo"])
    world.advance(1_000)
    world.join("m2", ["foo"])
    world.beat("m1", 2)
    world.beat("m1", 2, owned={"foo": [0, 1]})
    world.beat("m2", 3, owned={})
    foo = world.topic_id("foo")
    check = validate(world, "m1", 2)
    check("foo", foo, 0)
    with pytest.raises(ApiError) as error:
        check("foo", foo, 2)
    assert error.value.code == E.STALE_MEMBER_EPOCH
    check = validate(world, "m2", 2)
    with pytest.raises(ApiError) as error:
        check("foo", foo, 2)
    assert error.value.code == E.STALE_MEMBER_EPOCH


def test_offsets_are_fetched_in_the_members_epoch(world):
    world.join("m1", ["foo"])
    group = world.group
    group.validate_offset_fetch(None, -1)
    group.validate_offset_fetch("m1", 2)
    assert refused(group.validate_offset_fetch, "m1", 1) == E.STALE_MEMBER_EPOCH
    assert refused(group.validate_offset_fetch, "m2", 2) == E.UNKNOWN_MEMBER_ID
    assert refused(group.validate_offset_fetch, "", 2) == E.UNKNOWN_MEMBER_ID


def test_anybody_commits_to_an_empty_group(world):
    world.join("m1", ["foo"])
    world.beat("m1", -1)
    assert validate(world, "", -1) is None
    assert refused(validate, world, "m1", 2) == E.UNKNOWN_MEMBER_ID


# --- administration ---


def test_groups_with_members_are_not_deleted(world):
    world.join("m1", ["foo"])
    assert refused(world.group.validate_delete) == E.NON_EMPTY_GROUP
    world.beat("m1", -1)
    start = len(world.log)
    world.write(lambda shard, now: shard.delete_group(GROUP))
    assert world.types(start) == [-6, -4, -3]
    assert world.group is None


def test_describe_shows_what_members_have_and_shall_have(world):
    world.join("m1", ["foo"], instance_id="i1", rack_id="r1")
    world.advance(1_000)
    world.join("m2", ["foo"])
    world.beat("m1", 2, instance_id="i1")
    described = world.describe()
    assert (described.group_state, described.group_epoch, described.assignment_epoch) == ("Reconciling", 3, 3)
    assert described.assignor_name == "uniform"
    one, two = described.members
    assert (one.member_id, one.instance_id, one.rack_id, one.member_epoch) == ("m1", "i1", "r1", 2)
    assert (one.subscribed_topic_names, one.subscribed_topic_regex, one.member_type) == (["foo"], "", 1)
    # What is being given back is still there.
    assert [(t.topic_name, t.partitions) for t in one.assignment.topic_partitions] == [("foo", [0, 1, 2, 3])]
    assert [(t.topic_name, t.partitions) for t in one.target_assignment.topic_partitions] == [("foo", [0, 1])]
    assert (two.member_epoch, two.assignment.topic_partitions) == (3, [])
    unknown = world.describe("other")
    assert (unknown.error_code, unknown.error_message) == (E.GROUP_ID_NOT_FOUND, "Group other not found.")


def test_listed_with_its_type_and_state(world):
    world.join("m1", ["foo"])
    listed = world.shard.list_groups([], ["consumer"])
    assert [
        (group.group_id, group.group_type, group.group_state, group.protocol_type) for group in listed
    ] == [(GROUP, "consumer", "Stable", "consumer")]
    assert world.shard.list_groups([], ["classic"]) == []
    assert world.shard.list_groups(["assigning"], []) == []


# --- regular expressions ---


def test_regex_is_resolved_by_the_coordinator(world):
    answer = world.join("m1", regex="f.*")
    assert (answer.member_epoch, partitions(world, answer)) == (1, {})
    assert world.types(0) == [5, 8]
    start = len(world.log)
    world.advance(5)
    assert world.types(start) == [16, 3]
    record = world.tail(start)[0]
    assert record[1].regular_expression == "f.*"
    assert (record[2].topics, record[2].version) == (["foo"], world.image.offset)
    answer = world.beat("m1", 1)
    assert (answer.member_epoch, partitions(world, answer)) == (2, {"foo": [0, 1, 2, 3]})


def test_regex_finds_topics_that_are_created_later(world):
    world.join("m1", regex="f.*")
    world.advance(5)
    world.beat("m1", 1)
    world.set_topic("fresh", 1)
    # Not before the pause is over.
    world.advance(9_000)
    assert world.beat("m1", 2).assignment is None
    world.advance(2_000)
    world.beat("m1", 2)
    world.advance(5)
    answer = world.beat("m1", 2)
    assert partitions(world, answer) == {"foo": [0, 1, 2, 3], "fresh": [0]}


def test_regex_drops_topics_that_are_gone(world):
    world.join("m1", regex="(foo|bar)")
    world.advance(5)
    world.beat("m1", 1)
    world.delete_topic("bar")
    world.advance(1_000)
    assert partitions(world, world.beat("m1", 2)) == {"foo": [0, 1, 2, 3]}


def test_regex_of_another_member_is_shared(world):
    world.join("m1", regex="f.*")
    world.advance(1_005)
    world.beat("m1", 1)
    world.advance(1_000)
    start = len(world.log)
    answer = world.join("m2", regex="f.*")
    # Known already: the group epoch moves with the join.
    assert answer.member_epoch == 3
    assert 16 not in world.types(start)


def test_regex_that_becomes_empty_moves_the_group_kafka_19891(world):
    world.join("m1", regex="f.*")
    world.advance(1_005)
    world.beat("m1", 1)
    world.advance(1_000)
    start = len(world.log)
    answer = world.beat("m1", 2, regex="", topics=["bar"])
    assert world.types(start)[:3] == [5, -16, 3]
    assert world.group.epoch == 3
    assert partitions(world, answer) == {}
    answer = world.beat("m1", 2, owned={})
    assert partitions(world, answer) == {"bar": [0, 1]}


def test_regex_that_only_becomes_empty_moves_the_group_too(world):
    answer = world.join("m1", regex="f.*", topics=["bar"])
    world.advance(1_005)
    world.beat("m1", answer.member_epoch)
    epoch = world.group.epoch
    world.advance(1_000)
    world.beat("m1", world.group.members["m1"].member_epoch, regex="")
    assert world.group.epoch == epoch + 1
    assert world.group.regexes == {}
    assert not world.group.is_subscribed_to("foo")


def test_regex_goes_with_its_last_member(world):
    world.join("m1", regex="f.*")
    world.join("m2", regex="f.*")
    world.advance(5)
    start = len(world.log)
    world.beat("m1", -1)
    assert world.types(start) == [-8, -7, -5, 3]
    start = len(world.log)
    world.beat("m2", -1)
    assert world.types(start) == [-8, -7, -5, -16, 3]
    assert world.group.subscribed_topics == set()


def test_regex_result_for_a_group_that_is_gone_is_dropped(world):
    world.join("m1", regex="f.*")
    world.beat("m1", -1)
    start = len(world.log)
    world.advance(5)
    assert world.types(start) == []


def test_regex_refresh_is_done_in_pieces():
    world = World()
    for number in range(3_000):
        world.set_topic(f"topic-{number}", 1)
    world.join("m1", regex="topic-.*7")
    world.advance(0)
    # More names than one piece has room for.
    assert world.group.regexes == {}
    world.advance(50)
    assert len(world.group.regexes["topic-.*7"].topics) == 300


# --- failures and reload ---


def test_refused_append_changes_nothing(world):
    world.join("m1", ["foo"])
    world.fail = ApiError(E.COORDINATOR_NOT_AVAILABLE)
    assert refused(world.join, "m2", ["foo"]) == E.COORDINATOR_NOT_AVAILABLE
    assert refused(world.beat, "m1", 2, topics=["bar"]) == E.COORDINATOR_NOT_AVAILABLE
    assert refused(world.beat, "m1", -1) == E.COORDINATOR_NOT_AVAILABLE
    assert world.group.members["m1"].topics == {"foo"}
    world.fail = None
    world.advance(1_000)
    world.beat("m1", 2, topics=["bar"], owned={"foo": [0, 1, 2, 3]})
    assert world.group.epoch == 3


def test_fencing_is_tried_again_when_the_disk_refuses(world):
    world.join("m1", ["foo"])
    world.fail = ApiError(E.COORDINATOR_NOT_AVAILABLE)
    world.advance(45_000)
    assert "m1" in world.group.members
    world.fail = None
    world.advance(500)
    assert world.group.is_empty


def test_reload_gives_the_same_group_with_sessions(world):
    world.join("m1", ["foo"], instance_id="i1")
    world.advance(1_000)
    world.join("m2", regex="b.*")
    world.advance(1_005)
    world.beat("m1", 2, instance_id="i1")
    before = vars(world.group)
    epoch = world.group.members["m1"].member_epoch
    world.reload()
    after = vars(world.group)
    for name in (
        "members",
        "targets",
        "regexes",
        "epoch",
        "target_epoch",
        "metadata_hash",
        "owners",
        "_subscribed",
    ):
        assert after[name] == before[name], name
    assert world.beat("m1", epoch, instance_id="i1").member_epoch >= epoch
    world.advance(45_000)
    assert world.group.is_empty


def test_reload_keeps_the_time_limit_of_a_revocation(world):
    world.join("m1", ["foo"], rebalance_timeout=5_000)
    world.advance(1_000)
    world.join("m2", ["foo"])
    world.beat("m1", 2)
    world.reload()
    world.advance(5_000)
    assert "m1" not in world.group.members


def test_a_group_is_gone_after_its_tombstones_and_a_reload(world):
    world.join("m1", ["foo"])
    world.beat("m1", -1)
    world.write(lambda shard, now: shard.delete_group(GROUP))
    world.reload()
    assert world.group is None

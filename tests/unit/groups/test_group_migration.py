"""Classic and consumer members in one group, and groups that change their kind while their members go on."""

from __future__ import annotations

import pytest

from pybroker.common.deferred import Deferred
from pybroker.common.errors import ApiError, ErrorCode
from pybroker.groups.classic.group import ClassicGroup
from pybroker.groups.consumer.group import ConsumerGroup
from tests.unit.groups.consumer_world import GROUP, World, partitions, read_assignment

E = ErrorCode


def make_world(**properties):
    made = World(group_initial_rebalance_delay_ms=0, **properties)
    made.set_topic("foo", 4)
    made.set_topic("bar", 2)
    return made


@pytest.fixture
def world():
    return make_world()


def refused(call, *args, **fields):
    with pytest.raises(ApiError) as error:
        call(*args, **fields)
    return error.value.code


def classic_group(world, assignment, *, topics=("foo",), **fields):
    """A stable classic group of one member per entry (its topics); returns (member ids, generation)."""
    member_ids = []
    parked = []
    for _ in assignment:
        member_id = world.classic_join("", topics, **fields).member_id
        member_ids.append(member_id)
        parked.append(world.classic_join(member_id, topics, **fields))
        world.advance(1)
    for index, member_id in enumerate(member_ids[:-1]):
        # A later member made the group rebalance again.
        if not isinstance(parked[index], Deferred) or parked[index].done:
            parked[index] = world.classic_join(member_id, topics, **fields)
    world.advance(1)
    generation = world.group.generation
    given = dict(zip(member_ids, assignment, strict=True))
    leader = world.group.leader
    world.classic_sync(leader, generation, given)
    for member_id in member_ids:
        if member_id != leader:
            world.classic_sync(member_id, generation)
    assert world.group.state == "Stable"
    return member_ids, generation


# --- up ---


def test_empty_classic_group_becomes_a_consumer_group(world):
    (member_id,), _ = classic_group(world, [{"foo": [0, 1, 2, 3]}])
    world.classic_leave((member_id, None))
    assert world.group.state == "Empty"
    start = len(world.log)
    answer = world.join("m1", ["foo"])
    assert (answer.member_epoch, partitions(world, answer)) == (2, {"foo": [0, 1, 2, 3]})
    assert world.types(start) == [-2, 5, 3, 7, 6, 8]
    assert isinstance(world.group, ConsumerGroup)


def test_live_classic_group_becomes_a_consumer_group(world):
    (old,), generation = classic_group(world, [{"foo": [0, 1, 2, 3]}])
    start = len(world.log)
    answer = world.join("m1", ["foo"])
    assert world.types(start) == [-2, 5, 3, 7, 6, 8, 5, 3, 7, 7, 6, 8]
    group = world.group
    assert isinstance(group, ConsumerGroup)
    assert (group.epoch, group.members[old].member_epoch) == (generation + 1, generation)
    assert group.members[old].classic.session_timeout_ms == 10_000
    assert (answer.member_epoch, partitions(world, answer)) == (generation + 1, {})
    described = {member.member_id: member.member_type for member in world.describe().members}
    assert described == {old: 0, "m1": 1}
    # The classic member is told to come again, gives back half, comes again, and the other gets it.
    assert world.classic_beat(old, generation) == E.REBALANCE_IN_PROGRESS
    joined = world.classic_join(old, ["foo"], owned={"foo": [0, 1, 2, 3]})
    assert (joined.error_code, joined.generation_id, joined.protocol_name) == (0, generation, "range")
    assert (joined.leader, joined.members) == ("", [])
    synced = world.classic_sync(old, generation)
    assert read_assignment(synced.assignment) == {"foo": [0, 1]}
    assert partitions(world, world.beat("m1", generation + 1, owned={})) in (None, {})
    assert world.classic_beat(old, generation) == E.REBALANCE_IN_PROGRESS
    joined = world.classic_join(old, ["foo"], owned={"foo": [0, 1]})
    assert joined.generation_id == generation + 1
    assert read_assignment(world.classic_sync(old, generation + 1).assignment) == {"foo": [0, 1]}
    assert world.classic_beat(old, generation + 1) == 0
    answer = world.beat("m1", generation + 1, owned={})
    assert partitions(world, answer) == {"foo": [2, 3]}
    assert group.state == "Stable"


def test_members_that_wait_are_told_to_come_again(world):
    (one, _two), _generation = classic_group(world, [{"foo": [0, 1]}, {"foo": [2, 3]}])
    waiting = world.classic_join(one, ["foo", "bar"])
    assert isinstance(waiting, Deferred)
    world.join("m1", ["foo"])
    assert waiting.value.error_code == E.REBALANCE_IN_PROGRESS
    assert not [key for key in world.timers.due if key.startswith("heartbeat")]
    world.advance(10_000)
    # Their sessions go on in the new kind of group, with their own timeout.
    assert set(world.group.members) == {"m1"}


def test_group_of_the_first_join_phase_becomes_a_consumer_group():
    world = World()
    world.set_topic("foo", 4)
    member_id = world.classic_join("", ["foo"]).member_id
    waiting = world.classic_join(member_id, ["foo"])
    answer = world.join("m1", ["foo"])
    assert answer.member_epoch > 0
    assert waiting.value.error_code == E.REBALANCE_IN_PROGRESS
    assert set(world.group.members) == {member_id, "m1"}


@pytest.mark.parametrize("policy", ["disabled", "downgrade"])
def test_policy_can_forbid_the_upgrade(policy):
    world = make_world(group_consumer_migration_policy=policy)
    (old,), generation = classic_group(world, [{"foo": [0]}])
    assert refused(world.join, "m1", ["foo"]) == E.GROUP_ID_NOT_FOUND
    assert world.classic_beat(old, generation) == 0


def test_upgrade_needs_room():
    world = make_world(group_consumer_max_size=1)
    classic_group(world, [{"foo": [0]}, {"foo": [1]}])
    assert refused(world.join, "m1", ["foo"]) == E.GROUP_ID_NOT_FOUND


def test_other_protocol_types_are_not_upgraded(world):
    classic_group(world, [{"foo": [0]}])
    world.group.protocol_type = "connect"
    assert refused(world.join, "m1", ["foo"]) == E.GROUP_ID_NOT_FOUND


@pytest.mark.parametrize("metadata", [b"", b"\0", b"\0\1\0\0", b"\xff\xff\0\0\0\0"])
def test_unreadable_subscriptions_are_not_upgraded(world, metadata):
    classic_group(world, [{"foo": [0]}], metadata=metadata)
    assert refused(world.join, "m1", ["foo"]) == E.GROUP_ID_NOT_FOUND
    assert isinstance(world.group, ClassicGroup)


def test_assignments_of_custom_assignors_are_not_upgraded(world):
    (member_id,), _ = classic_group(world, [{"foo": [0]}])
    # User data at the end of the assignment.
    member = world.group.members[member_id]
    member.assignment = member.assignment[:-4] + b"\0\0\0\1x"
    assert refused(world.join, "m1", ["foo"]) == E.GROUP_ID_NOT_FOUND


def test_what_two_classic_members_own_stays_with_one(world):
    (_one, two), _ = classic_group(world, [{"foo": [0, 1, 2, 3]}, {"foo": [0, 1]}])
    world.join("m1", ["foo"])
    assert len(world.group.owners[world.topic_id("foo")]) == 4
    assert world.group.members[two].assigned == {}


def test_refused_append_leaves_the_classic_group(world):
    (old,), generation = classic_group(world, [{"foo": [0]}])
    world.fail = ApiError(E.COORDINATOR_NOT_AVAILABLE)
    assert refused(world.join, "m1", ["foo"]) == E.COORDINATOR_NOT_AVAILABLE
    world.fail = None
    assert isinstance(world.group, ClassicGroup)
    assert world.classic_beat(old, generation) == 0


def test_upgrade_survives_a_reload(world):
    (old,), generation = classic_group(world, [{"foo": [0, 1, 2, 3]}])
    world.join("m1", ["foo"])
    before = dict(world.group.members)
    world.reload()
    assert world.group.members == before
    assert world.classic_beat(old, generation) == E.REBALANCE_IN_PROGRESS


# --- classic members of a consumer group ---


def test_classic_member_joins_a_consumer_group(world):
    world.join("m1", ["foo"])
    world.advance(1_000)
    first = world.classic_join("", ["foo"])
    assert (first.error_code, first.generation_id) == (E.MEMBER_ID_REQUIRED, -1)
    assert set(world.group.members) == {"m1"}
    joined = world.classic_join(first.member_id, ["foo"])
    assert (joined.error_code, joined.generation_id, joined.protocol_type) == (0, 3, "consumer")
    assert read_assignment(world.classic_sync(first.member_id, 3).assignment) == {}
    world.beat("m1", 2)
    world.beat("m1", 2, owned={"foo": [0, 1]})
    assert world.classic_beat(first.member_id, 3) == E.REBALANCE_IN_PROGRESS
    joined = world.classic_join(first.member_id, ["foo"])
    assert joined.generation_id == 3
    assert read_assignment(world.classic_sync(first.member_id, 3).assignment) == {"foo": [2, 3]}
    assert world.classic_beat(first.member_id, 3) == 0


def test_old_clients_join_a_consumer_group_at_once(world):
    world.join("m1", ["foo"])
    joined = world.classic_join("", ["foo"], version=3)
    assert joined.error_code == 0
    assert len(joined.member_id) == 22


def test_classic_member_needs_a_common_protocol(world):
    world.join("m1", ["foo"])
    one = world.classic_join("", ["foo"], version=3, names=("range", "roundrobin")).member_id
    assert (
        refused(world.classic_join, "", ["foo"], version=3, names=("sticky",))
        == E.INCONSISTENT_GROUP_PROTOCOL
    )
    world.classic_join("", ["foo"], version=3, names=("roundrobin",))
    # The first member may not leave what the second one needs.
    assert refused(world.classic_join, one, ["foo"], names=("range",)) == E.INCONSISTENT_GROUP_PROTOCOL


def test_classic_requests_are_checked(world):
    world.join("m1", ["foo"])
    member_id = world.classic_join("", ["foo"], version=3).member_id
    epoch = world.group.members[member_id].member_epoch
    assert refused(world.classic_beat, member_id, epoch + 1) == E.ILLEGAL_GENERATION
    assert refused(world.classic_beat, "nobody", epoch) == E.UNKNOWN_MEMBER_ID
    assert refused(world.classic_beat, "m1", 2) == E.UNKNOWN_MEMBER_ID
    assert refused(world.classic_sync, member_id, epoch + 1) == E.ILLEGAL_GENERATION
    assert (
        refused(world.classic_sync, member_id, epoch, protocol_type="connect")
        == E.INCONSISTENT_GROUP_PROTOCOL
    )
    assert (
        refused(world.classic_sync, member_id, epoch, protocol_name="sticky") == E.INCONSISTENT_GROUP_PROTOCOL
    )
    assert refused(world.classic_sync, "m1", 2) == E.UNKNOWN_MEMBER_ID
    assert refused(world.classic_join, "", ["foo"], version=3, metadata=b"\0") == E.UNKNOWN_SERVER_ERROR
    assert world.classic_leave(("nobody", None), ("", "unknown")) == [E.UNKNOWN_MEMBER_ID] * 2


def test_classic_member_that_does_not_ask_for_its_assignment_is_fenced(world):
    world.join("m1", ["foo"])
    member_id = world.classic_join("", ["foo"], version=3, rebalance_timeout=8_000).member_id
    world.advance(7_999)
    assert member_id in world.group.members
    world.advance(1)
    assert member_id not in world.group.members


def test_classic_member_that_does_not_rejoin_is_fenced(world):
    world.join("m1", ["foo"])
    world.advance(1_000)
    joined = world.classic_join("", ["foo"], version=3, rebalance_timeout=8_000)
    member_id = joined.member_id
    world.classic_sync(member_id, joined.generation_id)
    world.advance(1_000)
    world.join("m2", ["foo"])
    for _ in range(4):
        assert world.classic_beat(member_id, joined.generation_id) == E.REBALANCE_IN_PROGRESS
        world.advance(1_999)
    assert member_id in world.group.members
    world.advance(10)
    assert member_id not in world.group.members


def test_classic_session_ends_with_its_own_timeout(world):
    world.join("m1", ["foo"])
    joined = world.classic_join("", ["foo"], version=3, session_timeout=7_000)
    world.classic_sync(joined.member_id, joined.generation_id)
    world.advance(6_000)
    world.classic_beat(joined.member_id, joined.generation_id)
    world.advance(6_999)
    assert joined.member_id in world.group.members
    world.advance(1)
    assert joined.member_id not in world.group.members


def test_classic_member_changes_to_the_consumer_protocol_in_place(world):
    world.join("m1", ["foo"])
    world.advance(1_000)
    joined = world.classic_join("", ["foo"], version=3, instance_id="i1")
    answer = world.join("m2", ["foo"], instance_id="i1")
    assert set(world.group.members) == {"m1", "m2"}
    assert world.group.members["m2"].classic is None
    assert refused(world.classic_sync, joined.member_id, joined.generation_id, group_instance_id="i1") == (
        E.FENCED_INSTANCE_ID
    )
    assert answer.member_epoch > 0


def test_commits_of_classic_members(world):
    world.join("m1", ["foo"])
    joined = world.classic_join("", ["foo"], version=3)
    epoch = joined.generation_id
    group = world.group

    def check(generation, version=5):
        return group.validate_offset_commit(
            joined.member_id, None, generation, transactional=False, version=version
        )

    assert check(epoch) is None
    assert refused(check, epoch + 1) == E.ILLEGAL_GENERATION
    with pytest.raises(ApiError) as error:
        check(epoch - 1)("foo", world.topic_id("foo"), 0)
    assert error.value.code == E.ILLEGAL_GENERATION


# --- down ---


def test_group_becomes_classic_when_the_last_consumer_member_leaves(world):
    world.join("m1", ["foo"])
    world.advance(1_000)
    joined = world.classic_join("", ["foo"], version=3)
    member_id = joined.member_id
    world.classic_sync(member_id, joined.generation_id)
    start = len(world.log)
    answer = world.beat("m1", -1)
    assert answer.member_epoch == -1
    assert world.types(start) == [-8, -8, -7, -7, -6, -5, -5, -4, -3, 2]
    group = world.group
    assert isinstance(group, ClassicGroup)
    assert (group.state, list(group.members), group.generation) == ("PreparingRebalance", [member_id], 3)
    assert not [key for key in world.timers.due if key.startswith("session")]
    assert world.classic_beat(member_id, 3) == E.REBALANCE_IN_PROGRESS
    joined = world.classic_join(member_id, ["foo"])
    joined = joined.value if isinstance(joined, Deferred) else joined
    assert (joined.generation_id, joined.leader) == (4, member_id)
    synced = world.classic_sync(member_id, 4, {member_id: {"foo": [0, 1, 2, 3]}})
    synced = synced.value if isinstance(synced, Deferred) else synced
    assert read_assignment(synced.assignment) == {"foo": [0, 1, 2, 3]}


def test_group_becomes_classic_when_the_last_consumer_member_is_fenced(world):
    world.join("m1", ["foo"])
    joined = world.classic_join("", ["foo"], version=3, session_timeout=100_000)
    world.classic_sync(joined.member_id, joined.generation_id)
    world.advance(45_000)
    assert isinstance(world.group, ClassicGroup)
    assert list(world.group.members) == [joined.member_id]


def test_group_becomes_classic_when_an_administrator_removes_the_consumer_members(world):
    world.join("m1", ["foo"], instance_id="i1")
    world.join("m2", ["foo"])
    joined = world.classic_join("", ["foo"], version=3)
    assert world.classic_leave(("", "i1"), ("m2", None), ("m1", "i1")) == [0, 0, 0]
    assert list(world.group.members) == [joined.member_id]
    assert isinstance(world.group, ClassicGroup)


def test_static_member_that_comes_back_with_the_classic_protocol_makes_the_group_classic(world):
    world.join("m1", ["foo"], instance_id="i1")
    world.beat("m1", -2, instance_id="i1")
    start = len(world.log)
    joined = world.classic_join("", ["foo"], version=5, instance_id="i1")
    assert (joined.error_code, joined.generation_id) == (0, 2)
    group = world.group
    assert isinstance(group, ClassicGroup)
    assert (group.state, group.generation, list(group.members)) == ("Stable", 2, [joined.member_id])
    synced = world.classic_sync(joined.member_id, 2)
    assert read_assignment(synced.assignment) == {"foo": [0, 1, 2, 3]}
    tombstones = [key for number, key, value in world.tail(start) if number == 8 and value is None]
    assert {key.member_id for key in tombstones} == {"m1", joined.member_id}
    world.reload()
    assert isinstance(world.group, ClassicGroup)
    assert list(world.group.members) == [joined.member_id]


@pytest.mark.parametrize("policy", ["disabled", "upgrade"])
def test_policy_can_forbid_the_downgrade(policy):
    world = make_world(group_consumer_migration_policy=policy)
    world.join("m1", ["foo"])
    joined = world.classic_join("", ["foo"], version=3)
    world.beat("m1", -1)
    assert isinstance(world.group, ConsumerGroup)
    assert list(world.group.members) == [joined.member_id]


def test_refused_append_leaves_the_consumer_group(world):
    world.join("m1", ["foo"])
    joined = world.classic_join("", ["foo"], version=3)
    world.fail = ApiError(E.COORDINATOR_NOT_AVAILABLE)
    assert refused(world.beat, "m1", -1) == E.COORDINATOR_NOT_AVAILABLE
    world.fail = None
    assert isinstance(world.group, ConsumerGroup)
    assert set(world.group.members) == {"m1", joined.member_id}
    assert any(key.startswith("session") for key in world.timers.due)
    world.beat("m1", -1)
    assert isinstance(world.group, ClassicGroup)


def test_empty_consumer_group_becomes_classic_by_a_join(world):
    world.join("m1", ["foo"])
    world.beat("m1", -1)
    answer = world.classic_join("m1", ["foo"])
    assert answer.error_code == E.UNKNOWN_MEMBER_ID
    assert isinstance(world.group, ConsumerGroup)
    start = len(world.log)
    answer = world.classic_join("", ["foo"])
    assert answer.error_code == E.MEMBER_ID_REQUIRED
    assert world.types(start) == [-6, -4, -3, 2]
    assert isinstance(world.group, ClassicGroup)
    world.reload()
    assert isinstance(world.group, ClassicGroup)


def test_empty_consumer_group_stays_when_the_append_is_refused(world):
    world.join("m1", ["foo"])
    world.beat("m1", -1)
    world.fail = ApiError(E.COORDINATOR_NOT_AVAILABLE)
    refused(world.classic_join, "", ["foo"])
    assert isinstance(world.group, ConsumerGroup)


def test_rolling_from_classic_to_consumer_and_back(world):
    (one, two), _generation = classic_group(world, [{"foo": [0, 1]}, {"foo": [2, 3]}])
    assert GROUP in world.shard.groups
    world.join("c1", ["foo"])
    world.classic_leave((one, None))
    world.advance(1_000)
    world.join("c2", ["foo"])
    world.classic_leave((two, None))
    assert set(world.group.members) == {"c1", "c2"}
    for _ in range(4):
        world.advance(1_000)
        for name in ("c1", "c2"):
            member = world.group.members[name]
            owned = {"foo": sorted(member.assigned.get(world.topic_id("foo"), ()))}
            world.beat(name, member.member_epoch, owned=owned)
    assert world.group.state == "Stable"
    epoch = world.group.epoch
    back = world.classic_join("", ["foo"], version=3).member_id
    world.beat("c1", -1)
    world.beat("c2", -1)
    assert isinstance(world.group, ClassicGroup)
    assert list(world.group.members) == [back]
    assert world.group.generation > epoch

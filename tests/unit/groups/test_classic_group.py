"""The classic group: what members see, step by step, and what is in the log."""

from __future__ import annotations

import pytest

from pybroker.common.errors import ErrorCode, InvariantError
from pybroker.groups.classic.group import TRANSITIONS, ClassicGroup, ClassicMember
from pybroker.groups.group import COMPLETING_REBALANCE, DEAD, EMPTY, PREPARING_REBALANCE, STABLE
from tests.unit.groups.world import GROUP, World, code, subscription
from tests.unit.log.log_helpers import run_rounds

E = ErrorCode
DELAY = 3_000


@pytest.fixture
def world():
    return World()


def new_member(world, **options):
    """A member id that was handed out."""
    answer = world.join(**options)
    assert code(answer) == E.MEMBER_ID_REQUIRED
    return answer.value.member_id


def stable_group(world, count=1, **options):
    """(member ids, generation) of a stable group; the first is the leader."""
    members = [new_member(world, **options) for _ in range(count)]
    waiting = [world.join(member, **options) for member in members]
    world.advance(DELAY * 2)
    assert [code(answer) for answer in waiting] == [0] * count
    generation = waiting[0].value.generation_id
    assignments = {member: b"of " + member.encode() for member in members}
    followers = [world.sync(member, generation) for member in members[1:]]
    leader = world.sync(members[0], generation, assignments)
    answers = [leader, *followers]
    assert [answer.value.assignment for answer in answers] == list(assignments.values())
    assert world.group.state == STABLE
    return members, generation


def test_transitions_are_those_of_the_table():
    group = ClassicGroup(GROUP)
    assert set(TRANSITIONS) == {EMPTY, PREPARING_REBALANCE, COMPLETING_REBALANCE, STABLE, DEAD}
    with pytest.raises(InvariantError):
        group.enter(STABLE, 0)
    group.enter(PREPARING_REBALANCE, 1)
    group.enter(COMPLETING_REBALANCE, 2)
    group.enter(STABLE, 3)
    assert (group.previous_state, group.state_timestamp) == (COMPLETING_REBALANCE, 3)


def test_first_join_waits_for_more_members(world):
    first = new_member(world)
    waiting = world.join(first)
    world.advance(DELAY - 1)
    assert not waiting.done
    world.advance(1)
    answer = waiting.value
    assert (answer.generation_id, answer.leader, answer.protocol_name) == (1, first, "range")


def test_the_delay_is_extended_while_members_come(world):
    waiting = [world.join(new_member(world))]
    for _ in range(3):
        world.advance(DELAY - 100)
        waiting.append(world.join(new_member(world)))
    assert not any(answer.done for answer in waiting)
    world.advance(2 * DELAY)
    assert all(answer.done for answer in waiting)
    assert {answer.value.generation_id for answer in waiting} == {1}
    assert len(waiting[0].value.members) == 4


def test_the_delay_ends_with_the_rebalance_timeout(world):
    waiting = [world.join(new_member(world), rebalance=7_000)]
    for _ in range(10):
        world.advance(1_000)
        waiting.append(world.join(new_member(world), rebalance=7_000))
        if waiting[0].done:
            break
    assert waiting[0].done
    assert world.clock.wall_ms() - world.group.state_timestamp < 1_000


def test_records_of_a_group_s_life(world):
    (member,), _ = stable_group(world)
    assert world.leave(member) == [0]
    kinds = [
        (number, value.generation, value.protocol, value.leader, len(value.members))
        for number, _, value in world.records()
    ]
    assert kinds == [
        (2, 0, None, None, 0),
        (2, 1, "range", member, 1),
        (2, 2, None, None, 0),
    ]
    stored = world.records()[1][2]
    assert stored.protocol_type == "consumer"
    assert bytes(stored.members[0].assignment) == b"of " + member.encode()
    assert stored.members[0].client_host == "/127.0.0.1"
    assert world.records()[2][2].protocol_type == "consumer"


def test_crash_keeps_members_and_generation(world):
    members, generation = stable_group(world, 3)
    world.crash()
    assert world.group.state == STABLE
    assert [world.heartbeat(member, generation) for member in members] == [0, 0, 0]
    for member in members:
        assert world.sync(member, generation).value.assignment == b"of " + member.encode()
    # Their sessions begin anew.
    world.advance(9_000)
    assert world.heartbeat(members[0], generation) == 0
    world.advance(2_000)
    assert world.heartbeat(members[0], generation) == E.REBALANCE_IN_PROGRESS
    assert world.heartbeat(members[1], generation) == E.UNKNOWN_MEMBER_ID


def test_crash_before_the_assignment_is_stored(world):
    member = new_member(world)
    waiting = world.join(member)
    world.advance(DELAY)
    assert waiting.value.generation_id == 1
    world.crash()
    assert world.group.state == EMPTY
    assert world.heartbeat(member, 1) == E.UNKNOWN_MEMBER_ID
    assert code(world.sync(member, 1)) == E.UNKNOWN_MEMBER_ID


def test_loading_equals_living(world):
    stable_group(world, 3, protocols={"range": subscription("t"), "sticky": b"s"})
    before = world.group
    world.crash()
    after = world.group
    assert after.record({}).value is not None
    assignments = {m.member_id: m.assignment for m in before.members.values()}
    assert after.record(assignments) == before.record(assignments)
    assert (after.leader, after.protocol_type, after.subscribed_topics) == (
        before.leader,
        before.protocol_type,
        before.subscribed_topics,
    )


def test_session_timeout_means_a_rebalance(world):
    (first, second), generation = stable_group(world, 2)
    for _ in range(4):
        world.advance(4_000)
        answer = world.heartbeat(first, generation)
        if answer:
            break
    assert answer == E.REBALANCE_IN_PROGRESS
    assert world.heartbeat(second, generation) == E.UNKNOWN_MEMBER_ID
    again = world.join(first)
    assert (again.value.generation_id, [m.member_id for m in again.value.members]) == (2, [first])


def test_waiting_members_do_not_time_out(world):
    (first, second), _ = stable_group(world, 2, session=6_000)
    world.join(first, session=6_000)  # The leader asks for a rebalance.
    waiting = world.join(first, session=6_000)
    for _ in range(8):
        world.advance(5_000)
        if world.heartbeat(second, 1) != E.REBALANCE_IN_PROGRESS:
            break
    # The second one lives and does not rejoin: at the rebalance timeout it is out.
    world.advance(60_000)
    assert [m.member_id for m in waiting.value.members] == [first]


def test_a_repeated_join_replaces_the_one_that_waits(world):
    (first, _), _ = stable_group(world, 2)
    early = world.join(first)
    late = world.join(first)
    assert code(early) == E.REBALANCE_IN_PROGRESS
    assert not late.done
    world.advance(60_000)
    assert code(late) == 0


def test_member_ids_that_nobody_uses_expire(world):
    member = new_member(world)
    waiting = world.join(new_member(world))
    world.advance(DELAY)
    # The first rebalance does not wait for those that did not come back.
    assert waiting.done
    world.advance(10_000)
    assert code(world.join(member)) == E.UNKNOWN_MEMBER_ID


def test_rebalance_waits_for_handed_out_ids(world):
    (first,), _ = stable_group(world)
    pending = new_member(world)
    waiting = world.join(first)
    assert not waiting.done
    assert code(world.join(pending)) == 0
    assert code(waiting) == 0


def test_new_member_is_given_up_after_five_minutes(world):
    members, _ = stable_group(world, 1, rebalance=1_800_000, session=1_800_000)
    new = new_member(world, rebalance=1_800_000, session=1_800_000)
    waiting = world.join(new, rebalance=1_800_000, session=1_800_000)
    world.advance(299_999)
    assert not waiting.done
    world.advance(1)
    assert code(waiting) == E.UNKNOWN_MEMBER_ID
    assert list(world.group.members) == members


def test_sync_expires(world):
    (first, second), _ = stable_group(world, 2)
    waiting = [world.join(first), world.join(second)]
    assert {answer.value.generation_id for answer in waiting} == {2}
    follower = world.sync(second, 2)
    for _ in range(12):
        world.advance(5_000)
        world.heartbeat(first, 2)
    # The leader never assigned: it is out, the follower comes again.
    assert code(follower) == E.REBALANCE_IN_PROGRESS
    assert world.heartbeat(first, 2) == E.UNKNOWN_MEMBER_ID
    again = world.join(second)
    assert again.value.leader == second


def test_group_is_full():
    world = World(group_max_size=2)
    stable_group(world, 2)
    refused = world.join(version=3)
    assert code(refused) == E.GROUP_MAX_SIZE_REACHED
    assert refused.value.member_id == ""


def test_group_that_is_too_big_after_a_restart():
    world = World()
    members, _ = stable_group(world, 3)
    world.config = World(group_max_size=2).config
    world.crash()
    assert world.group.state == PREPARING_REBALANCE
    waiting = [world.join(member) for member in members]
    assert code(waiting[2]) == E.GROUP_MAX_SIZE_REACHED
    assert [code(answer) for answer in waiting[:2]] == [0, 0]


def test_leader_that_leaves(world):
    (first, second, third), _ = stable_group(world, 3)
    assert world.leave(first) == [0]
    waiting = [world.join(third), world.join(second)]
    assert {answer.value.leader for answer in waiting} == {second}


def test_leave_of_several_at_once(world):
    (first, second, third), _ = stable_group(world, 3)
    pending = new_member(world)
    assert world.leave(first, "unknown", pending, second) == [0, E.UNKNOWN_MEMBER_ID, 0, 0]
    assert list(world.group.members) == [third]


def test_member_that_is_removed_while_it_waits(world):
    (first, second), _ = stable_group(world, 2)
    waiting = world.join(first)
    assert world.leave(first) == [0]
    assert code(waiting) == E.UNKNOWN_MEMBER_ID
    assert code(world.join(second)) == 0
    follower = world.join(new_member(world))
    world.join(second)
    assert code(follower) == 0
    parked = world.sync(follower.value.member_id, follower.value.generation_id)
    assert world.leave(follower.value.member_id) == [0]
    assert parked.done


# Static members


def static_group(world, *instances, **options):
    waiting = [world.join(instance=instance, **options) for instance in instances]
    world.advance(DELAY * 2)
    generation = waiting[0].value.generation_id
    members = [answer.value.member_id for answer in waiting]
    leader = waiting[0].value.leader
    assignments = {member: member.encode() for member in members}
    for member, instance in zip(members, instances, strict=True):
        if member != leader:
            world.sync(member, generation, instance=instance)
    world.sync(leader, generation, assignments)
    assert world.group.state == STABLE
    return members, generation


def test_static_follower_comes_back(world):
    (first, second), generation = static_group(world, "one", "two")
    start = world.partition.log_end_offset
    again = world.join(instance="two").value
    assert (again.error_code, again.generation_id, again.leader) == (0, generation, first)
    assert (again.members, again.skip_assignment) == ([], False)
    assert again.member_id != second
    assert world.heartbeat(second, generation, instance="two") == E.FENCED_INSTANCE_ID
    assert world.heartbeat(second, generation) == E.UNKNOWN_MEMBER_ID
    assert world.commit(1, member=second, generation=generation, instance="two") == E.FENCED_INSTANCE_ID
    assert world.sync(again.member_id, generation).value.assignment == second.encode()
    ((number, _, value),) = world.records(start)
    assert number == 2
    assert {m.member_id for m in value.members} == {first, again.member_id}
    world.crash()
    assert world.group.static_members["two"] == again.member_id


def test_static_member_outlives_a_rebalance_without_it(world):
    (first, second), generation = static_group(world, "one", "two", session=30_000, rebalance=10_000)
    waiting = world.join(first, instance="one", session=30_000, rebalance=10_000)
    world.advance(10_000)
    assert waiting.value.generation_id == generation + 1
    assert {m.member_id for m in waiting.value.members} == {first, second}
    world.advance(30_000)
    assert "two" not in world.group.static_members


def test_static_member_that_comes_back_during_a_rebalance(world):
    (first, _), generation = static_group(world, "one", "two")
    waiting = world.join(first, instance="one", protocols={"range": b"new"})
    again = world.join(instance="two")
    assert code(waiting) == code(again) == 0
    assert again.value.generation_id == waiting.value.generation_id == generation + 1


def test_static_member_that_comes_back_while_the_leader_assigns(world):
    first, second = (world.join(instance=name) for name in ("one", "two"))
    world.advance(DELAY * 2)
    parked = world.sync(second.value.member_id, 1, instance="two")
    again = world.join(instance="two")
    assert code(parked) == E.FENCED_INSTANCE_ID
    assert not again.done
    assert code(world.sync(first.value.member_id, 1)) == E.REBALANCE_IN_PROGRESS
    rejoined = world.join(first.value.member_id, instance="one")
    assert rejoined.value.generation_id == again.value.generation_id == 2


def test_static_member_whose_record_cannot_be_written(world):
    (member,), generation = static_group(world, "one")
    world.partition.log.blocked |= 2
    assert code(world.join(instance="one")) == E.NOT_COORDINATOR
    world.partition.log.blocked = 0
    assert world.heartbeat(member, generation, instance="one") == 0
    assert world.group.static_members == {"one": member}


# Writes that fail or wait


def test_assignment_that_cannot_be_written(world):
    (first, second), _ = stable_group(world, 2)
    waiting = [world.join(first), world.join(second)]
    assert [code(answer) for answer in waiting] == [0, 0]
    follower = world.sync(second, 2)
    world.partition.log.blocked |= 2
    assert code(world.sync(first, 2, {})) == E.NOT_COORDINATOR
    assert code(follower) == E.NOT_COORDINATOR
    assert world.group.state == PREPARING_REBALANCE
    world.partition.log.blocked = 0
    waiting = [world.join(first), world.join(second)]
    assert {answer.value.generation_id for answer in waiting} == {3}


def test_group_that_cannot_be_created(world):
    world.partition.log.blocked |= 2
    assert code(world.join(version=3)) == E.NOT_COORDINATOR
    world.partition.log.blocked = 0
    waiting = world.join(version=3)
    world.advance(DELAY * 3)
    assert [m.member_id for m in waiting.value.members] == [waiting.value.member_id]


def test_assignment_is_given_when_it_is_durable():
    world = World(durability="fsync")
    waiting = world.join(version=3)
    run_rounds(world.manager)
    world.advance(DELAY)
    member = waiting.value.member_id
    parked = world.sync(member, 1, {member: b"mine"})
    assert not parked.done
    assert world.group.state == COMPLETING_REBALANCE
    run_rounds(world.manager)
    assert parked.value.assignment == b"mine"
    assert world.group.state == STABLE


def test_rebalance_while_the_assignment_is_being_stored():
    world = World(durability="fsync")
    waiting = world.join(version=3)
    run_rounds(world.manager)
    world.advance(DELAY)
    member = waiting.value.member_id
    parked = world.sync(member, 1, {member: b"mine"})
    other = world.join(version=3)
    run_rounds(world.manager)
    assert code(parked) == E.REBALANCE_IN_PROGRESS
    assert world.group.state == PREPARING_REBALANCE
    again = world.join(member)
    run_rounds(world.manager)
    assert again.value.generation_id == other.value.generation_id == 2


def test_lost_leadership_answers_everybody(world):
    (first, second, third), _ = stable_group(world, 3)
    joins = [world.join(first), world.join(second)]
    world.partition.become_offline()
    world.host.check_leaders()
    assert [code(answer) for answer in joins] == [E.NOT_COORDINATOR] * 2
    assert world.heartbeat(third, 1) == E.NOT_COORDINATOR


def test_other_protocol_types(world):
    (member,), _ = stable_group(world, 1, kind="connect", protocols={"sessioned": b"\0\xff"})
    assert world.group.subscribed_topics is None
    described = world.shard.describe_group(GROUP, 6)
    assert (described.protocol_type, described.members[0].member_metadata) == ("connect", b"\0\xff")
    assert code(world.join(member, kind="consumer")) == E.INCONSISTENT_GROUP_PROTOCOL


@pytest.mark.parametrize(
    ("metadata", "topics"),
    [
        (subscription("a", "b"), {"a", "b"}),
        (b"\0\5" + subscription("a")[2:] + bytes(50), {"a"}),
        (b"", None),
        (b"\0", None),
        (b"\xff\xff" + bytes(20), None),
        (b"\0\0\x7f\xff\xff\xff", None),
    ],
)
def test_subscriptions(world, metadata, topics):
    stable_group(world, 1, protocols={"range": metadata})
    assert world.group.subscribed_topics == (None if topics is None else frozenset(topics))


def test_protocol_without_a_common_one():
    group = ClassicGroup(GROUP)
    for index in range(2):
        member = ClassicMember(f"m{index}", None, "c", "h", 1, 1, ((f"p{index}", b""),))
        group.add(member, "consumer")
    with pytest.raises(InvariantError):
        group.select_protocol()


def test_keys_of_timers_do_not_clash(world):
    first = world.join(group="a b", version=3, client="c")
    second = world.join(group="a", version=3, client="b c")
    world.advance(DELAY)
    assert code(first) == code(second) == 0
    assert first.value.member_id.startswith("c-")
    assert second.value.member_id.startswith("b c-")

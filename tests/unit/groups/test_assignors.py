"""The server-side assignors: properties over random groups, and small cases that can be read."""

from __future__ import annotations

import itertools

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pybroker.groups.assignors import ASSIGNORS, GroupSpec, MemberSpec

A, B, C = (bytes([letter]) * 16 for letter in b"abc")


def spec(counts, members):
    return GroupSpec({name: MemberSpec(*member) for name, member in members.items()}, counts)


def flat(target):
    return {(topic, partition) for topic, partitions in target.items() for partition in partitions}


def check_complete(group, targets):
    """Every partition of a subscribed topic has one owner, who subscribes to it."""
    assert set(targets) == set(group.members)
    seen = set()
    for member_id, target in targets.items():
        assert all(target.values())
        assert set(target) <= group.members[member_id].topics
        assert not flat(target) & seen
        seen |= flat(target)
    wanted = {topic for member in group.members.values() for topic in member.topics}
    assert seen == {(topic, index) for topic in wanted for index in range(group.partition_counts[topic])}


@st.composite
def groups(draw, *, equal):
    topics = [bytes([index]) * 16 for index in range(draw(st.integers(1, 4)))]
    counts = {topic: draw(st.integers(1, 9)) for topic in topics}
    names = [f"m{index}" for index in range(draw(st.integers(1, 6)))]
    chosen = st.sets(st.sampled_from(topics), min_size=int(equal)).map(frozenset)
    common = draw(chosen)
    subscriptions = {name: common if equal else draw(chosen) for name in names}
    # What each had before, topics it has left included; nothing twice.
    owners = draw(
        st.dictionaries(
            st.sampled_from([(topic, index) for topic in topics for index in range(counts[topic])]),
            st.sampled_from(names),
        )
    )
    members = {}
    for name in names:
        before = {}
        for (topic, index), owner in owners.items():
            if owner == name:
                before.setdefault(topic, set()).add(index)
        frozen = {topic: frozenset(indexes) for topic, indexes in before.items()}
        members[name] = MemberSpec(subscriptions[name], frozen)
    return GroupSpec(members, counts)


@settings(max_examples=200, deadline=None)
@given(st.one_of(groups(equal=True), groups(equal=False)), st.sampled_from(sorted(ASSIGNORS)))
def test_every_partition_has_one_subscribed_owner(group, name):
    targets = ASSIGNORS[name](group)
    check_complete(group, targets)
    # The order of the members must not matter.
    shuffled = GroupSpec(dict(reversed(group.members.items())), group.partition_counts)
    assert ASSIGNORS[name](shuffled) == targets


@settings(max_examples=200, deadline=None)
@given(groups(equal=True))
def test_uniform_is_even_and_moves_as_little_as_that_allows(group):
    targets = ASSIGNORS["uniform"](group)
    sizes = [len(flat(target)) for target in targets.values()]
    assert max(sizes) - min(sizes) <= 1
    kept_before = {
        name: {pair for pair in flat(member.target) if pair[0] in member.topics}
        for name, member in group.members.items()
    }
    stayed = sum(len(flat(targets[name]) & kept_before[name]) for name in targets)
    # Brute force: over all choices of who gets the longer share.
    share, extra = divmod(sum(sizes), len(sizes))
    best = max(
        sum(min(len(kept_before[name]), share + (name in longer)) for name in targets)
        for longer in itertools.combinations(targets, extra)
    )
    assert stayed == best


@settings(max_examples=200, deadline=None)
@given(groups(equal=False))
def test_uniform_with_different_subscriptions_leaves_no_better_single_move(group):
    targets = ASSIGNORS["uniform"](group)
    sizes = {name: len(flat(target)) for name, target in targets.items()}
    for giver, taker in itertools.permutations(targets, 2):
        for topic in targets[giver]:
            if topic in group.members[taker].topics:
                assert sizes[giver] - sizes[taker] <= 1


@settings(max_examples=100, deadline=None)
@given(st.one_of(groups(equal=True), groups(equal=False)), st.sampled_from(sorted(ASSIGNORS)))
def test_nothing_moves_when_nothing_changes(group, name):
    targets = ASSIGNORS[name](group)
    again = {
        member_id: member._replace(target=targets[member_id]) for member_id, member in group.members.items()
    }
    assert ASSIGNORS[name](GroupSpec(again, group.partition_counts)) == targets


def test_uniform_joining_member_takes_only_what_it_needs():
    before = {"m1": {A: frozenset(range(3))}, "m2": {A: frozenset(range(3, 6))}}
    group = spec({A: 6}, {"m1": ({A}, before["m1"]), "m2": ({A}, before["m2"]), "m3": ({A},)})
    targets = ASSIGNORS["uniform"](group)
    assert targets["m1"] == {A: frozenset({0, 1})}
    assert targets["m2"] == {A: frozenset({3, 4})}
    assert targets["m3"] == {A: frozenset({2, 5})}


def test_uniform_fills_the_idle_where_subscriptions_differ():
    group = spec({A: 4, B: 2}, {"m1": ({A, B},), "m2": ({A},), "m3": ({B},)})
    sizes = {name: len(flat(target)) for name, target in ASSIGNORS["uniform"](group).items()}
    assert sizes == {"m1": 2, "m2": 2, "m3": 2}


def test_range_gives_equal_partition_numbers_of_copartitioned_topics():
    group = spec({A: 5, B: 5}, {"m2": ({A, B},), "m1": ({A, B},)})
    targets = ASSIGNORS["range"](group)
    assert targets["m1"] == {A: frozenset({0, 1, 2}), B: frozenset({0, 1, 2})}
    assert targets["m2"] == {A: frozenset({3, 4}), B: frozenset({3, 4})}


def test_range_orders_static_members_first_by_instance():
    group = spec({A: 3}, {"a": ({A},), "z": ({A}, {}, "i2"), "y": ({A}, {}, "i1")})
    assert {name: sorted(target.get(A, ())) for name, target in ASSIGNORS["range"](group).items()} == {
        "y": [0],
        "z": [1],
        "a": [2],
    }


def test_range_leaves_members_without_when_there_are_too_many():
    group = spec({A: 1}, {"m1": ({A},), "m2": ({A},)})
    assert ASSIGNORS["range"](group) == {"m1": {A: frozenset({0})}, "m2": {}}


@pytest.mark.parametrize("name", sorted(ASSIGNORS))
def test_empty_groups_and_subscriptions(name):
    assert ASSIGNORS[name](GroupSpec({}, {})) == {}
    assert ASSIGNORS[name](spec({}, {"m1": (frozenset(),)})) == {"m1": {}}


@pytest.mark.parametrize("name", sorted(ASSIGNORS))
def test_partitions_that_a_damaged_log_invented_are_dropped(name):
    group = spec({A: 2, B: 1}, {"m1": ({A}, {A: frozenset({0, 7})}), "m2": ({B},)})
    check_complete(group, ASSIGNORS[name](group))

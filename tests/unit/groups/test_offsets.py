"""Committed offsets: transactions, expiry (KIP-211), deletion, and what replay makes of the records."""

from __future__ import annotations

import pytest

from pybroker.common.errors import ErrorCode
from pybroker.groups.classic.group import ClassicGroup
from pybroker.groups.group import EMPTY, STABLE
from pybroker.metadata.delta import MetadataDelta
from pybroker.metadata.image import TopicImage
from pybroker.wire.messages.offset_commit import (
    OffsetCommitRequest,
    OffsetCommitRequestPartition,
    OffsetCommitRequestTopic,
)
from pybroker.wire.messages.offset_delete import (
    OffsetDeleteRequest,
    OffsetDeleteRequestPartition,
    OffsetDeleteRequestTopic,
)
from tests.unit.groups.test_classic_group import stable_group
from tests.unit.groups.world import GROUP, World, code, subscription
from tests.unit.log.log_helpers import run_rounds

E = ErrorCode
DAY = 86_400_000
CHECK = 600_000
NONE = -1


@pytest.fixture
def world():
    return World()


def test_commit_and_fetch(world):
    assert world.commit(5) == 0
    assert world.commit(7, partition=1) == 0
    assert world.fetch(0, 1, 2) == {0: 5, 1: 7, 2: NONE}
    assert world.fetch() == {("t", 0): 5, ("t", 1): 7}
    assert world.commit(3) == 0
    world.crash()
    assert world.fetch() == {("t", 0): 3, ("t", 1): 7}
    # Committing does not make a group record.
    assert {number for number, _, _ in world.records()} == {1}
    assert isinstance(world.group, ClassicGroup)
    assert world.group.is_simple


def test_stored_form(world):
    world.commit(5, topic_id=bytes(range(16)))
    world.commit(6, retention=1_000)
    (_, key, value), (_, _, expiring) = world.records()
    assert (key.group, key.topic, key.partition) == (GROUP, "t", 0)
    assert (value.offset, value.metadata, value.topic_id) == (5, "m", bytes(range(16)))
    assert value.expire_timestamp == NONE
    assert expiring.expire_timestamp == world.clock.wall_ms() + 1_000


def test_commit_waits_for_the_flush():
    world = World(durability="fsync")
    written = world.commit(5)
    assert not written.done
    run_rounds(world.manager)
    assert code(written) == 0


def test_refused_commit_is_not_stored(world):
    (member,), generation = stable_group(world)
    start = world.partition.log_end_offset
    assert world.commit(5) == E.UNKNOWN_MEMBER_ID
    assert world.commit(5, member=member, generation=generation - 1) == E.ILLEGAL_GENERATION
    assert world.commit(5, member="x", generation=generation) == E.UNKNOWN_MEMBER_ID
    assert world.partition.log_end_offset == start
    assert world.commit(5, member=member, generation=generation) == 0


def test_a_commit_counts_as_a_heartbeat(world):
    (member,), generation = stable_group(world)
    for offset in range(10):
        world.advance(9_000)
        assert world.commit(offset, member=member, generation=generation) == 0


# Transactions


def test_transactional_offsets_wait_for_the_marker(world):
    world.commit(1)
    assert world.commit_in_transaction(5) == 0
    assert world.fetch(0) == {0: 1}
    assert world.fetch(0, stable=True) == {0: E.UNSTABLE_OFFSET_COMMIT}
    assert world.fetch(0, 1, stable=True) == {0: E.UNSTABLE_OFFSET_COMMIT, 1: NONE}
    world.crash()
    assert world.fetch(0) == {0: 1}
    assert world.fetch(0, stable=True) == {0: E.UNSTABLE_OFFSET_COMMIT}
    world.end_transaction(commit=True)
    assert world.fetch(0, stable=True) == {0: 5}
    world.crash()
    assert world.fetch(0, stable=True) == {0: 5}


def test_aborted_offsets_are_gone(world):
    world.commit(1)
    world.commit_in_transaction(5)
    world.commit_in_transaction(6, partition=1)
    world.end_transaction(commit=False)
    assert world.fetch(0, 1, stable=True) == {0: 1, 1: NONE}
    world.crash()
    assert world.fetch(0, 1, stable=True) == {0: 1, 1: NONE}


def test_a_newer_commit_is_not_replaced_by_an_older_transaction(world):
    world.commit_in_transaction(5)
    world.commit(9)
    world.end_transaction(commit=True)
    assert world.fetch(0) == {0: 9}
    world.crash()
    assert world.fetch(0) == {0: 9}


def test_two_producers_with_the_same_partition(world):
    world.commit_in_transaction(5, producer=5)
    world.commit_in_transaction(6, producer=6)
    world.end_transaction(commit=True, producer=6)
    assert world.fetch(0, stable=True) == {0: E.UNSTABLE_OFFSET_COMMIT}
    assert world.fetch(0) == {0: 6}
    world.end_transaction(commit=True, producer=5)
    assert world.fetch(0, stable=True) == {0: 6}


def test_stale_producer_epoch(world):
    assert world.commit_in_transaction(5, epoch=3) == 0
    world.end_transaction(commit=True, epoch=3)
    assert world.commit_in_transaction(6, epoch=2) == E.INVALID_PRODUCER_EPOCH
    assert world.fetch(0, stable=True) == {0: 5}


def test_members_of_transactional_commits(world):
    (member,), generation = stable_group(world)
    who = {"member_id": member, "generation_id": generation}
    assert world.commit_in_transaction(5, **who) == 0
    assert world.commit_in_transaction(5, **{**who, "generation_id": 9}) == E.ILLEGAL_GENERATION
    assert world.commit_in_transaction(5, **{**who, "member_id": "x"}) == E.UNKNOWN_MEMBER_ID
    # Old clients do not say who they are.
    assert world.commit_in_transaction(5) == 0
    assert world.commit_in_transaction(5, group="other", generation_id=3) == E.ILLEGAL_GENERATION
    assert world.commit_in_transaction(5, group="other") == 0


# Deletion


def delete(world, *partitions, topic="t"):
    request = OffsetDeleteRequest(
        group_id=GROUP,
        topics=[
            OffsetDeleteRequestTopic(
                name=topic,
                partitions=[OffsetDeleteRequestPartition(partition_index=index) for index in partitions],
            )
        ],
    )
    answer = world.write(lambda shard, now: shard.delete_offsets(request))
    return answer.value.topics[0].partitions[0].error_code


def test_delete_offsets(world):
    world.commit(5)
    world.commit_in_transaction(6)
    assert delete(world, 0) == 0
    world.end_transaction(commit=True)
    assert world.fetch(0, stable=True) == {0: NONE}
    world.crash()
    assert world.fetch(0, stable=True) == {0: NONE}


def test_delete_group(world):
    (member,), _ = stable_group(world)
    world.commit(5, group="other")

    def remove():
        return code(world.write(lambda shard, now: shard.delete_group(GROUP)))

    assert remove() == E.NON_EMPTY_GROUP
    world.leave(member)
    world.commit(5)
    world.commit_in_transaction(5, partition=3)
    assert remove() == 0
    assert remove() == E.GROUP_ID_NOT_FOUND
    world.crash()
    assert list(world.shard.groups) == ["other"]
    assert world.fetch(0) == {0: NONE}
    assert world.fetch(0, group="other") == {0: 5}


def test_offsets_of_a_deleted_topic_go(world):
    world.commit(5, topic="gone")
    world.commit(6, topic="gone", partition=2, group="other")
    world.commit_in_transaction(7, topic="gone", partition=3)
    world.commit(8, topic="kept")
    delta = MetadataDelta(deleted_topics=(TopicImage("gone", bytes(16), ()),))
    world.host.on_metadata(None, delta)
    world.advance(1)
    assert world.fetch() == {("kept", 0): 8}
    assert world.fetch(group="other") == {}
    world.end_transaction(commit=True)
    world.crash()
    assert world.fetch() == {("kept", 0): 8}


# Expiry


def test_offsets_of_a_simple_consumer_expire_by_their_commit(world):
    world.commit(5)
    world.advance(3 * DAY)
    world.commit(6, partition=1)
    world.advance(4 * DAY - CHECK)
    assert world.fetch(0, 1) == {0: 5, 1: 6}
    world.advance(2 * CHECK)
    assert world.fetch(0, 1) == {0: NONE, 1: 6}
    world.advance(3 * DAY)
    assert world.fetch(0, 1) == {0: NONE, 1: NONE}
    assert GROUP not in world.shard.groups
    world.crash()
    assert GROUP not in world.shard.groups
    assert world.fetch() == {}


def test_offsets_of_a_live_group_do_not_expire(world):
    options = {"protocols": {"range": subscription("t")}, "session": 1_800_000}
    (member,), generation = stable_group(world, **options)
    who = {"member": member, "generation": generation}
    assert world.commit(5, **who) == 0
    assert world.commit(6, topic="other", **who) == 0
    start = world.clock.wall_ms()
    while world.clock.wall_ms() - start < 7 * DAY + 2 * CHECK:
        world.advance(1_700_000)
        assert world.heartbeat(member, generation) == 0
    # What nobody reads any more does, also in a live group.
    assert world.fetch() == {("t", 0): 5}


def test_offsets_of_an_empty_group_expire_when_it_became_empty(world):
    (member,), generation = stable_group(world)
    world.commit(5, member=member, generation=generation)
    world.advance(1)
    world.leave(member)
    world.crash()
    assert world.group.state == EMPTY
    world.advance(7 * DAY - CHECK)
    assert world.fetch(0) == {0: 5}
    world.advance(3 * CHECK)
    assert world.fetch(0) == {0: NONE}
    assert GROUP not in world.shard.groups


def test_own_retention_of_a_commit(world):
    world.commit(5, retention=CHECK * 2)
    world.commit(6, partition=1, retention=30 * DAY)
    world.advance(CHECK)
    assert world.fetch(0) == {0: 5}
    world.advance(2 * CHECK)
    assert world.fetch(0, 1) == {0: NONE, 1: 6}
    world.advance(10 * DAY)
    assert world.fetch(1) == {1: 6}


def test_pending_offsets_keep_what_they_replace(world):
    world.commit(5)
    world.commit_in_transaction(6)
    world.advance(8 * DAY)
    assert world.fetch(0) == {0: 5}
    world.end_transaction(commit=False)
    world.advance(2 * CHECK)
    assert world.fetch(0) == {0: NONE}


def test_empty_group_without_offsets_goes(world):
    (member,), _ = stable_group(world)
    world.leave(member)
    world.advance(2 * CHECK)
    assert GROUP not in world.shard.groups
    number, key, value = world.records()[-1]
    assert (number, key.group, value) == (2, GROUP, None)


def test_other_protocol_types_do_not_expire_while_they_live(world):
    (member,), generation = stable_group(world, kind="connect")
    world.commit(5, member=member, generation=generation)
    assert world.group.state == STABLE
    assert world.group.offset_expiration_base() is None


def test_metadata_limit():
    world = World(offset_metadata_max_bytes=3)
    assert world.commit(5) == 0
    assert world.shard.offsets.is_metadata_too_long("abcd")
    assert not world.shard.offsets.is_metadata_too_long("abc")
    assert world.shard.offsets.is_metadata_too_long("😀😀")
    assert not world.shard.offsets.is_metadata_too_long("é😀")


def test_partition_named_twice_in_one_commit(world):
    request = OffsetCommitRequest(
        group_id=GROUP,
        topics=[
            OffsetCommitRequestTopic(
                name="t",
                partitions=[
                    OffsetCommitRequestPartition(partition_index=0, committed_offset=offset)
                    for offset in (5, 6)
                ],
            )
        ],
    )
    world.write(lambda shard, now: shard.commit_offsets(request, 9, now))
    assert world.fetch(0) == {0: 6}
    world.crash()
    assert world.fetch(0) == {0: 6}

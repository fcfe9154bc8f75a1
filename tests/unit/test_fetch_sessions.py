"""Fetch sessions (KIP-227): which one gives way when the cache is full, and what a follower is told again."""

from __future__ import annotations

import random

import pytest

from pybroker.handlers.fetch_sessions import FetchSessionCache, SessionPartition
from pybroker.wire.messages.fetch import (
    FetchPartition,
    FetchRequest,
    FetchTopic,
    PartitionData,
    ReplicaState,
)

STALE_MS = 120_001


def results(count):
    return [
        (SessionPartition("t", bytes(16), FetchPartition(partition=index)), PartitionData())
        for index in range(count)
    ]


class World:
    def __init__(self, slots):
        self.cache = FetchSessionCache(slots, random.Random(1))

    def create(self, size, now_ms, *, privileged=False):
        return self.cache.create(False, results(size), now_ms, privileged=privileged)

    def lives(self, session):
        return session.session_id in self.cache._sessions


def test_a_follower_takes_the_place_of_the_smallest_consumer():
    world = World(3)
    large, small, follower = world.create(5, 0), world.create(2, 0), world.create(9, 0, privileged=True)
    assert world.create(50, 1) is None
    other = world.create(1, 1, privileged=True)
    assert [world.lives(s) for s in (large, small, follower, other)] == [True, False, True, True]
    third = world.create(1, 2, privileged=True)
    assert not world.lives(large)
    # Followers do not take each other's places while they are young.
    assert world.create(100, 3, privileged=True) is None
    assert all(world.lives(s) for s in (follower, other, third))
    assert world.cache.partition_count == 11


def test_what_is_old_gives_way_to_what_is_larger():
    world = World(2)
    consumer, follower = world.create(5, 0), world.create(1, 0, privileged=True)
    for session in (consumer, follower):
        session.last_used_ms = STALE_MS
    assert world.create(5, STALE_MS) is None
    larger = world.create(6, STALE_MS)
    assert [world.lives(s) for s in (consumer, follower, larger)] == [False, True, True]
    larger.created_ms = 0
    larger.partitions.popitem()
    # A consumer never takes the place of a follower that is in use.
    larger.privileged = True
    assert world.create(1000, STALE_MS) is None


def test_what_is_unused_gives_way():
    world = World(1)
    follower = world.create(3, 0, privileged=True)
    assert world.create(1, STALE_MS - 1) is None
    assert world.create(1, STALE_MS) is not None
    assert not world.lives(follower)


@pytest.mark.parametrize(("replica_id", "told"), [(2, [199]), (-1, [])], ids=["follower", "consumer"])
def test_what_was_told_in_another_leader_epoch_is_told_again_to_followers(replica_id, told):
    cache = FetchSessionCache(1, random.Random(1))

    def fetch(session_id, epoch, leader_epoch):
        asked = FetchPartition(partition=0, fetch_offset=199, current_leader_epoch=leader_epoch)
        message = FetchRequest(
            replica_state=ReplicaState(replica_id=replica_id),
            session_id=session_id,
            session_epoch=epoch,
            topics=[FetchTopic(topic_id=bytes(16), partitions=[asked])],
        )
        context = cache.open(message, 17, 0.0, {})
        results = [(entry, PartitionData(high_watermark=199)) for entry in context.partitions]
        return context.session_id, [data.high_watermark for _, data in context.carried(results, 0.0)]

    _, carried = fetch(0, 0, 0)
    (session_id,) = cache._sessions
    assert carried == [199]
    assert fetch(session_id, 1, 0) == (session_id, [])
    # The follower may have learned of epoch 1 before the answer came, and dropped that.
    assert fetch(session_id, 2, 1) == (session_id, told)
    assert fetch(session_id, 3, 1) == (session_id, [])

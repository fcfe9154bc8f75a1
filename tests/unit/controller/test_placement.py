"""Replicas of new partitions over brokers and racks."""

from __future__ import annotations

import random
from collections import Counter

import pytest

from pybroker.common.errors import ApiError
from pybroker.controller.placement import new_partition, place
from pybroker.metadata.image import UNASSIGNED_DIRECTORY, BrokerImage


def broker(number, rack=None, **fields):
    values = {
        "broker_id": number,
        "epoch": number,
        "incarnation_id": bytes(16),
        "endpoints": (),
        "features": (),
        "rack": rack,
        "fenced": False,
        "in_controlled_shutdown": False,
        "log_dirs": (bytes([number]) * 16,),
        **fields,
    }
    return BrokerImage(**values)


def cluster(*brokers):
    return {one.broker_id: one for one in brokers}


@pytest.mark.parametrize("seed", range(20))
def test_replicas_of_a_partition_are_in_different_racks(seed):
    racks = {1: "a", 2: "a", 3: "b", 4: "b", 5: "c", 6: "c"}
    brokers = cluster(*(broker(number, rack) for number, rack in racks.items()))
    lists = place(brokers, 60, 3, random.Random(seed))
    assert all(len({racks[replica] for replica in replicas}) == 3 for replicas in lists)
    assert Counter(replicas[0] for replicas in lists) == dict.fromkeys(racks, 10)
    assert max(Counter(replica for replicas in lists for replica in replicas).values()) <= 40


@pytest.mark.parametrize("seed", range(20))
def test_one_rack_serves_twice_when_it_must(seed):
    brokers = cluster(broker(1, "a"), broker(2, "a"), broker(3, "b"))
    for replicas in place(brokers, 9, 3, random.Random(seed)):
        assert sorted(replicas) == [1, 2, 3]
    for replicas in place(brokers, 9, 2, random.Random(seed)):
        assert 3 in replicas


@pytest.mark.parametrize("seed", range(20))
def test_fenced_brokers_do_not_lead_and_come_last_in_their_rack(seed):
    brokers = cluster(
        broker(1, "a", fenced=True),
        broker(2, "a"),
        broker(3, "b"),
        broker(4, "b"),
        broker(5, "c", fenced=True),
    )
    for replicas in place(brokers, 12, 2, random.Random(seed)):
        assert replicas[0] in (2, 3, 4)
        assert 1 not in replicas
    for replicas in place(brokers, 12, 5, random.Random(seed)):
        assert sorted(replicas) == [1, 2, 3, 4, 5]


def test_who_gets_none():
    brokers = cluster(
        broker(1),
        broker(2, in_controlled_shutdown=True),
        broker(3, cordoned_log_dirs=(bytes([3]) * 16,)),
        broker(4, cordoned_log_dirs=()),
    )
    assert set(place(brokers, 9, 2, random.Random(0))) == {(1, 4), (4, 1)}
    with pytest.raises(ApiError, match="factor of 3 cannot be reached because only 2 broker") as raised:
        place(brokers, 1, 3, random.Random(0))
    assert raised.value.code == 38
    with pytest.raises(ApiError, match="All brokers are currently fenced, or have all"):
        place(cluster(broker(1, fenced=True)), 1, 2, random.Random(0))
    with pytest.raises(ApiError, match="All brokers are currently fenced, or have all"):
        place({}, 1, 1, random.Random(0))


def test_directories():
    brokers = cluster(broker(1), broker(2, log_dirs=(b"a" * 16, b"b" * 16)))
    assert new_partition(0, (1, 2), brokers).directories == (bytes([1]) * 16, UNASSIGNED_DIRECTORY)

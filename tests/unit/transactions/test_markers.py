"""Markers are written once: not again while the completion waits for its commit."""

from __future__ import annotations

from pybroker.common.clock import ManualClock
from pybroker.common.errors import ErrorCode
from pybroker.common.timers import TimerQueue
from pybroker.transactions.markers import MarkerWriter
from pybroker.transactions.records import Transaction
from pybroker.transactions.transitions import State
from tests.unit.transactions.harness import Producer, World


def test_a_transaction_is_left_alone_until_its_completion_is_noted():
    sent = []
    completed = []

    def send(marker, partitions, done):
        sent.append(partitions)
        done(dict.fromkeys(partitions, ErrorCode.NONE))

    world = World()
    producer = Producer(world, version=0)
    producer.init()
    producer.add(0)
    known = world.transaction("a")
    assert isinstance(known, Transaction)
    prepared = known._replace(state=State.PREPARE_COMMIT)
    writer = MarkerWriter(send, ManualClock(), TimerQueue(), print)
    writer.start(prepared, 3, completed.append)
    writer.start(prepared, 3, completed.append)
    assert completed == [prepared]
    assert len(sent) == 1
    # Another transaction of the id has nothing to do with it.
    writer.finished(prepared._replace(producer_epoch=prepared.producer_epoch + 1))
    assert len(writer) == 1
    writer.finished(prepared)
    assert len(writer) == 0


def test_what_was_completed_while_the_look_waited_is_not_begun_anew():
    world = World(durability="fsync")
    producer = Producer(world, version=0)
    producer.init()
    producer.add(0)
    producer.send(0)
    world.markers_paused = True
    producer.end()
    assert len(world.paused) == 1
    # Something that is not committed yet: the look at what is to be done waits for it.
    world.coordinator.init_producer("b", 60_000, None)
    world.coordinator._resume(0)
    shard = world.coordinator.host.active_shards[0][1]
    prepared = shard.transactions["a"]
    world.coordinator._markers.forget(["a"])
    shard.transactions["a"] = prepared._replace(state=State.COMPLETE_COMMIT)
    world.flush()
    assert len(world.paused) == 1

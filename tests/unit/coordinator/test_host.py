"""The coordinator host over a real partition in memory: commits, failures, loading, timers."""

from __future__ import annotations

import random
import struct
from types import SimpleNamespace

import pytest

from pybroker.common.clock import ManualClock
from pybroker.common.deferred import Deferred
from pybroker.common.errors import ApiError, CorruptionError, ErrorCode
from pybroker.common.memory_files import MemoryFileSystem
from pybroker.common.timers import TimerQueue
from pybroker.coordinator.host import CoordinatorHost, HostEnvironment, HostSettings
from pybroker.coordinator.result import CoordinatorRecord, Result
from pybroker.log import LogConfig
from pybroker.records.control import build_end_transaction
from pybroker.replication.partition import Partition
from tests.unit.log.log_helpers import NOW, TOPIC_ID, make_manager, run_rounds

E = ErrorCode
KEY = "group"


class CounterShard:
    """Adds up what is replayed: the smallest shard there can be."""

    def __init__(self):
        self.totals = {}
        self.pending = {}
        self.replayed = []
        self.active = None
        self.parked = []

    def replay(self, key, value, *, offset, timestamp, producer_id, producer_epoch):
        if key == b"bad":
            raise CorruptionError("bad key")
        self.replayed.append(offset)
        if producer_id >= 0:
            self.pending.setdefault(producer_id, {})[key] = value
        else:
            self.totals[key] = value

    def replay_end_transaction(self, producer_id, producer_epoch, committed):
        pending = self.pending.pop(producer_id, {})
        if committed:
            self.totals.update(pending)

    def become_active(self, now_ms):
        self.active = True
        return []

    def become_inactive(self):
        self.active = False
        for parked in self.parked:
            parked.resolve(ApiError(E.NOT_COORDINATOR))

    def on_metadata(self, image, delta, now_ms):
        pass


class World:
    def __init__(self, durability="os", partitions=1, **config):
        self.files = MemoryFileSystem()
        self.clock = ManualClock(NOW)
        self.config = LogConfig(**config)
        self.durability = durability
        self.created = []
        self.reports = []
        self.count = partitions
        self.start(make_manager(self.files, clock=self.clock))

    def start(self, manager, *, elect=True):
        self.manager = manager
        self.manager.open(1)
        self.manager.load(lambda *_: self.config)
        self.timers = TimerQueue()
        self.partitions = {}
        self.blocking = []
        self.host = CoordinatorHost(
            HostSettings("T"),
            HostEnvironment(
                clock=self.clock,
                timers=self.timers,
                image=lambda: SimpleNamespace(topics=self.topics()),
                partition=lambda topic, index: self.partitions.get(index),
                create_topic=self.created.append,
                run_blocking=lambda queue, function, done: self.blocking.append((function, done)),
                report=self.reports.append,
            ),
            self.make_shard,
        )
        self.shards = {}
        for index in range(self.count):
            log = self.manager.get_or_create("T", index, TOPIC_ID, self.config)
            self.partitions[index] = Partition("T", index, TOPIC_ID, log, self.durability)
            self.partitions[index].become_leader(0)
            if elect:
                self.host.elect(index)

    def topics(self):
        if not self.count:
            return {}
        return {"T": SimpleNamespace(partitions=[SimpleNamespace(leader=1)] * self.count)}

    def make_shard(self, index, timers):
        shard = CounterShard()
        shard.timers = timers
        self.shards[index] = shard
        return shard

    def restart(self, *, clean=True, elect=True):
        self.manager.close(clean=clean)
        self.start(make_manager(self.files, clock=self.clock), elect=elect)

    @property
    def shard(self):
        return self.shards[0]

    def step(self):
        self.timers.advance(self.clock.monotonic_ms())

    def run_timers(self):
        while self.timers.next_deadline_ms() is not None:
            self.step()

    def settle(self):
        while self.host.loading:
            before = self.timers.next_deadline_ms()
            assert before is not None
            self.step()
            while self.blocking:
                function, done = self.blocking.pop(0)
                function()
                done(None)

    def put(self, key, value, **options):
        records = [CoordinatorRecord(key, value)]
        return self.host.write(0, lambda shard, now: Result("done", records, **options))


def failure(deferred):
    assert isinstance(deferred.value, ApiError)
    return deferred.value.code


def test_missing_topic_is_created_on_first_need():
    world = World(partitions=0)
    assert world.host.find(KEY) == (E.COORDINATOR_NOT_AVAILABLE, -1)
    assert world.created == ["T"]
    assert failure(world.host.write(KEY, None)) == E.NOT_COORDINATOR


def test_operations_find_their_shard():
    world = World(partitions=3)
    assert world.host.find("x") == (E.NONE, 1)
    seen = world.host.read("x", lambda shard, now: shard)
    assert seen.value is world.shards[world.host.partition_for("x")]
    world.host.resign(1)
    assert failure(world.host.read(1, None)) == E.NOT_COORDINATOR


def test_records_are_replayed_and_committed():
    world = World()
    assert world.put(b"a", b"1").value == "done"
    assert world.put(b"a", None).value == "done"
    assert world.shard.totals == {b"a": None}
    assert world.shard.replayed == [0, 1]
    assert world.partitions[0].log_end_offset == 2


def test_response_waits_for_the_flush():
    world = World(durability="fsync")
    order = []
    written = world.put(b"a", b"1", on_append=order.append)
    seen = world.host.read(0, lambda shard, now: dict(shard.totals))
    assert not written.done
    assert not seen.done
    assert world.shard.totals == {b"a": b"1"}
    run_rounds(world.manager)
    assert (written.value, seen.value, order) == ("done", {b"a": b"1"}, [None])


def test_write_that_is_not_committed_in_time():
    world = World(durability="fsync")
    errors = []
    written = world.put(b"a", b"1", on_append=errors.append)
    world.clock.advance(5_000)
    world.step()
    assert failure(written) == E.COORDINATOR_NOT_AVAILABLE
    assert [error.code for error in errors] == [E.COORDINATOR_NOT_AVAILABLE]
    run_rounds(world.manager)
    assert len(errors) == 1


def test_parked_response():
    world = World()
    parked = Deferred()
    written = world.host.write(0, lambda shard, now: Result(parked, [CoordinatorRecord(b"a", b"1")]))
    assert not written.done
    parked.resolve("late")
    assert written.value == "late"


def test_refused_operation_changes_nothing():
    world = World()

    def refuse(shard, now):
        raise ApiError(E.UNKNOWN_MEMBER_ID)

    assert failure(world.host.write(0, refuse)) == E.UNKNOWN_MEMBER_ID
    assert world.partitions[0].log_end_offset == 0


def test_append_that_fails_replays_nothing():
    world = World()
    errors = []
    world.partitions[0].log.blocked |= 2
    assert failure(world.put(b"a", b"1", on_append=errors.append)) == E.NOT_COORDINATOR
    assert world.shard.totals == {}
    assert [error.code for error in errors] == [E.NOT_COORDINATOR]
    world.partitions[0].log.blocked = 0
    assert world.put(b"a", b"2").value == "done"


def test_size_of_a_batch():
    world = World(max_message_bytes=1_000)
    assert failure(world.put(b"a", bytes(1_000))) == E.UNKNOWN_SERVER_ERROR
    records = [CoordinatorRecord(b"%d" % index, bytes(100)) for index in range(30)]
    assert failure(world.host.write(0, lambda *_: Result(1, records))) == E.UNKNOWN_SERVER_ERROR
    assert world.shard.totals == {}
    assert world.host.write(0, lambda *_: Result(1, records, atomic=False)).value == 1
    assert len(world.shard.totals) == 30
    assert world.shard.replayed == list(range(30))


def test_without_replay_the_shard_is_left_alone():
    world = World()
    assert world.put(b"a", b"1", replay=False).value == "done"
    assert world.shard.totals == {}
    world.restart()
    world.settle()
    assert world.shard.totals == {b"a": b"1"}


@pytest.mark.parametrize("clean", [True, False])
def test_loading_replays_everything(clean):
    world = World(segment_bytes=4_096)
    for index in range(1_000):
        world.put(b"%d" % (index % 70), b"%d" % index)
    before = dict(world.shard.totals)
    world.restart(clean=clean)
    assert failure(world.put(b"a", b"1")) == E.COORDINATOR_LOAD_IN_PROGRESS
    world.step()
    assert 0 < len(world.shard.replayed) < 1_000
    assert world.shard.active is None
    world.settle()
    assert (world.shard.totals, world.shard.active) == (before, True)
    assert world.shard.replayed == list(range(1_000))
    assert world.put(b"a", b"1").value == "done"


def test_a_big_batch_is_loaded_in_slices_too():
    world = World()
    records = [CoordinatorRecord(b"%d" % index, b"v") for index in range(2_000)]
    world.host.write(0, lambda *_: Result(1, records))
    world.restart()
    world.step()
    assert 0 < len(world.shard.replayed) < 500
    world.settle()
    assert len(world.shard.totals) == 2_000


def test_loading_waits_until_what_it_read_is_committed():
    world = World(durability="fsync")
    world.put(b"a", b"1")
    run_rounds(world.manager)
    world.restart(clean=False)
    for _ in range(5):
        world.step()
    run_rounds(world.manager)
    world.settle()
    assert world.shard.totals == {b"a": b"1"}


class Replicated:
    """A partition whose high watermark comes when it is told to, and with the error that it is told."""

    def __init__(self, partition):
        self.partition = partition
        self.waiting = []

    def __getattr__(self, name):
        return getattr(self.partition, name)

    def on_high_watermark(self, offset, callback):
        self.waiting.append(callback)


@pytest.mark.parametrize("error", [E.NONE, E.NOT_ENOUGH_REPLICAS_AFTER_APPEND, E.NOT_LEADER_OR_FOLLOWER])
def test_loading_ends_when_what_it_read_is_committed_with_few_replicas_too(error):
    """Simulated cluster of three, seed 2: the coordinator was in load for ever."""
    world = World()
    world.put(b"a", b"1")
    world.restart(elect=False)
    replicated = world.partitions[0] = Replicated(world.partitions[0])
    world.host.elect(0)
    world.run_timers()
    assert world.shard.active is None
    replicated.waiting.pop()(error)
    world.run_timers()
    assert world.shard.active is (None if error == E.NOT_LEADER_OR_FOLLOWER else True)


def test_a_marker_that_comes_before_the_load_is_committed_counts():
    world = World()
    world.host.write(
        KEY,
        lambda shard, now: Result(None, [CoordinatorRecord(b"a", b"1")]),
        producer_id=7,
        producer_epoch=0,
        verification=world.partitions[0].start_verification(7, 0, -1, strict=False),
    )
    world.restart(elect=False)
    replicated = world.partitions[0] = Replicated(world.partitions[0])
    world.host.elect(0)
    world.run_timers()
    outcome = replicated.append_marker(
        7, 1, commit=True, coordinator_epoch=0, transaction_version=2, now_ms=NOW
    )
    assert not outcome.error
    world.host.end_transaction(0, 7, 1, True)
    while replicated.waiting:
        replicated.waiting.pop()(E.NONE)
        world.run_timers()
    assert world.shard.active
    assert world.shard.totals == {b"a": b"1"}


def test_unknown_records_are_skipped_and_reported():
    world = World()
    world.put(b"bad", b"1", replay=False)
    world.put(b"a", b"1")
    world.restart()
    world.settle()
    assert world.shard.totals == {b"a": b"1"}
    assert any("offset 0 is skipped: bad key" in line for line in world.reports)


def test_damaged_log_is_not_served():
    world = World()
    world.put(b"a", b"1")
    world.put(b"b", b"1")
    path = world.partitions[0].log.active.path(".log")
    world.restart(elect=False)
    file = world.files.open(path)
    file.pwrite([struct.pack(">i", 3)], 57)
    file.close()
    world.host.elect(0)
    world.settle()
    assert failure(world.put(b"a", b"1")) == E.NOT_COORDINATOR
    assert any("cannot be loaded" in line for line in world.reports)


def test_new_epoch_loads_again():
    world = World()
    world.put(b"a", b"1")
    first = world.shard
    world.host.elect(0)
    assert world.shard is first
    world.partitions[0].become_leader(3)
    world.host.elect(0)
    assert first.active is False
    world.settle()
    assert world.shard is not first
    assert world.shard.totals == {b"a": b"1"}


def test_transactional_records_count_when_their_transaction_commits():
    world = World()
    partition = world.partitions[0]

    def end(producer_id, commit):
        marker = build_end_transaction(producer_id, 0, commit=commit, timestamp=NOW)
        partition.log.append_records(marker, assign_offsets=True, leader_epoch=0)
        partition.log.high_watermark = partition.log_end_offset
        world.host.end_transaction(0, producer_id, 0, commit)

    def put(producer_id, key):
        records = [CoordinatorRecord(key, b"1")]
        return world.host.write(
            0,
            lambda *_: Result("done", records),
            producer_id=producer_id,
            producer_epoch=0,
            verification=partition.start_verification(producer_id, 0, 0, strict=False),
        )

    assert put(7, b"a").value == "done"
    put(8, b"b")
    put(9, b"c")
    assert world.shard.totals == {}
    assert partition.last_stable_offset == 0
    end(7, True)
    end(8, False)
    assert world.shard.totals == {b"a": b"1"}
    world.restart()
    world.settle()
    assert world.shard.totals == {b"a": b"1"}
    assert world.shard.pending == {9: {b"c": b"1"}}


def test_timers():
    world = World()
    fired = []

    def operation(name):
        def run(shard, now):
            fired.append(name)
            return Result(None, [CoordinatorRecord(name.encode(), b"1")])

        return run

    timers = world.shard.timers
    timers.schedule("a", 100, operation("a"))
    timers.schedule("b", 100, operation("b"))
    timers.schedule_if_absent("b", 50, operation("never"))
    timers.schedule("b", 200, operation("b2"))
    timers.schedule("c", 100, operation("c"))
    timers.cancel("c")
    timers.cancel("unknown")
    assert timers.is_scheduled("b")
    world.clock.advance(100)
    world.step()
    assert fired == ["a"]
    world.clock.advance(100)
    world.step()
    assert fired == ["a", "b2"]
    assert set(world.shard.totals) == {b"a", b"b2"}


def test_timer_is_repeated_when_the_append_fails():
    world = World()
    world.shard.timers.schedule("a", 100, lambda *_: Result(None, [CoordinatorRecord(b"a", b"1")]))
    world.partitions[0].log.blocked |= 2
    world.clock.advance(100)
    world.step()
    assert world.shard.totals == {}
    world.partitions[0].log.blocked = 0
    world.clock.advance(500)
    world.step()
    assert world.shard.totals == {b"a": b"1"}


def test_timers_end_with_the_leadership():
    world = World()
    parked = Deferred()
    world.shard.parked.append(parked)
    world.shard.timers.schedule("a", 100, lambda *_: Result(None, [CoordinatorRecord(b"a", b"1")]))
    waiting = world.host.write(0, lambda *_: Result(parked))
    world.partitions[0].become_offline()
    world.host.check_leaders()
    assert failure(waiting) == E.NOT_COORDINATOR
    world.clock.advance(1_000)
    world.step()
    assert world.partitions[0].log_end_offset == 0


def test_write_after_the_log_went_offline():
    world = World()
    world.partitions[0].become_offline()
    assert failure(world.put(b"a", b"1")) == E.NOT_COORDINATOR
    assert world.shard.active is False


def test_random_order_of_writes_and_restarts():
    rng = random.Random(5)
    world = World(segment_bytes=2_048)
    model = {}
    for _ in range(300):
        if rng.random() < 0.02:
            world.restart(clean=rng.random() < 0.5)
            world.settle()
        key, value = b"%d" % rng.randrange(9), rng.choice([None, b"%d" % rng.randrange(99)])
        assert world.put(key, value).value == "done"
        model[key] = value
        assert world.shard.totals == model

"""Moves of a replica between log directories, on a simulated disk: every end of a move, and a stop at every change
of the disk on the way."""

from __future__ import annotations

import os
import random

import pytest

from pybroker.common.clock import ManualClock
from pybroker.common.config import BrokerConfig
from pybroker.common.errors import ErrorCode, StorageError
from pybroker.common.timers import TimerQueue
from pybroker.log import LogConfig, LogManager
from pybroker.log.manager import MOVED_HERE, directory_uuid
from pybroker.replication.moves import DirectoryMoves, MoveEnvironment
from pybroker.replication.partition import Partition
from pybroker.replication.throttle import Rate
from tests.sim.disk import SimDisk
from tests.unit.log.log_helpers import NOW, TOPIC_ID, make_batch

# PYBROKER_MOVES=1: a stop at every change instead of one in five.
ALL_STOPS = bool(os.environ.get("PYBROKER_MOVES"))
STRIDE = 5
BROKER = BrokerConfig.from_properties({"log.dirs": "/x", "node.id": "1"})
CONFIG = LogConfig(segment_bytes=600, index_interval_bytes=100, file_delete_delay_ms=1_000)


class World:
    """One broker's directories /a and /b with partition t-0, which begins in /a."""

    def __init__(self, disk=None, *, durability="fsync", stated=None, rate=None, paths=("/a", "/b")):
        self.disk = disk or SimDisk(1)
        self.clock = ManualClock(NOW)
        self.timers = TimerQueue()
        self.durability = durability
        self.paths = list(paths)
        self.lines = []
        self.calls = []
        # What was acknowledged: (end offset), by the high watermark of what is promised.
        self.acknowledged = 0
        self.agreeing = True
        self.metadata = {} if stated is None else stated
        self.rate = rate
        self.open()

    def open(self):
        self.logs = LogManager(
            self.disk,
            self.paths,
            self.clock,
            random.Random(5),
            CONFIG,
            ballast_bytes=0,
            report=self.lines.append,
        )
        self.logs.open(1)
        dynamic = {} if self.rate is None else {"replica.alter.log.dirs.io.max.bytes.per.second": self.rate}
        config = BROKER.with_dynamic({}, dynamic)
        self.moves = DirectoryMoves(
            MoveEnvironment(
                clock=self.clock,
                timers=self.timers,
                logs=self.logs,
                config=lambda: config,
                run_blocking=lambda queue, run, done: self.calls.append((run, done)),
                stated_directory=lambda topic_id, index: self.metadata.get(index),
                on_directory=self._on_directory,
                report=self.lines.append,
            )
        )
        self.logs.load(lambda *_: CONFIG, lambda topic, index: self.metadata.get(index))
        if self.logs.get("t", 0) is None:
            self.logs.prefer("t", 0, self.logs.directories[0])
        log = self.logs.get_or_create("t", 0, TOPIC_ID, CONFIG)
        self.partition = Partition("t", 0, TOPIC_ID, log, self.durability)
        self.partition.become_leader(self.epoch())
        self.moves.resume(self.partition)

    def epoch(self):
        return self.logs.get("t", 0).epochs.latest + 1

    def _on_directory(self, topic_id, index):
        if self.agreeing:
            self.agree(index)

    def agree(self, index=0):
        """The controller takes what the broker says."""
        target = self.moves.target_of("t", index)
        self.metadata[index] = target or directory_uuid(self.logs.directory_of("t", index))
        self.moves.metadata_changed("t")

    def append(self, count=1, size=60):
        for _ in range(count):
            outcome = self.partition.append(
                memoryview(bytearray(make_batch(1, size=size))), now_ms=self.clock.wall_ms()
            )
            assert outcome.error == 0

    def settle(self):
        """Effects and timers that are due; what is acknowledged by then must never be lost."""
        while True:
            busy = False
            while (work := self.logs.take_flush_round()) is not None:
                busy = True
                try:
                    work.run()
                    work.complete(None)
                except OSError as error:
                    work.complete(error)
            calls, self.calls = self.calls, []
            for run, done in calls:
                run()
                done(None)
            busy = bool(calls) or self.timers.advance(self.clock.monotonic_ms()) > 0 or busy
            self.acknowledged = max(self.acknowledged, self.partition.high_watermark)
            if not busy:
                return

    def run(self, milliseconds=3_000):
        end = self.clock.monotonic_ms() + milliseconds
        while True:
            self.settle()
            now = self.clock.monotonic_ms()
            if now >= end:
                return
            self.clock.advance(25)
            self.logs.tick(self.clock.monotonic_ms())

    def directory(self, path):
        return self.logs.directory_at(path)

    def move(self, path="/b"):
        self.moves.start(self.partition, self.directory(path))

    @property
    def place(self):
        return self.logs.directory_of("t", 0).path

    def content(self, log=None):
        log = log or self.partition.log
        offset, found = log.log_start_offset, b""
        while offset < log.log_end_offset:
            part = bytes(log.read(offset, 1 << 20, min_one_batch=True).records)
            if not part:
                break
            found += part
            offset = log.segments[log.segment_for(offset)].base_offset
            following = [s.base_offset for s in log.segments if s.base_offset > offset]
            offset = following[0] if following else log.log_end_offset
        return found

    def names(self, path):
        return [name for name in self.disk.list_dir(path) if name.startswith("t-0")]


@pytest.mark.parametrize("durability", ["os", "fsync"])
def test_a_move(durability):
    world = World(durability=durability)
    world.append(30)
    world.run(100)
    before = world.content()
    log, reports = world.partition.log, []
    world.agreeing = False
    world.move()
    world.run(300)
    future = world.logs.future("t", 0)
    assert (world.place, future.log_end_offset, world.content(future)) == ("/a", 30, before)
    assert world.moves.target_of("t", 0) == directory_uuid(world.directory("/b"))
    world.append(3)
    sizes = {r.path: [(s.offset_lag, s.is_future) for s in r.logs] for r in world.logs.log_dirs_report()}
    assert sizes == {"/a": [(0, False)], "/b": [(3, True)]}
    world.partition.on_high_watermark(34, reports.append)
    world.agree()
    world.append(1)
    world.run()
    assert (world.place, world.partition.log, world.partition.log_end_offset) == ("/b", future, 34)
    assert world.content().startswith(before)
    assert reports == [ErrorCode.NONE]
    assert log.deleted
    assert world.names("/a") == []
    assert world.names("/b") == ["t-0"]
    assert not world.disk.exists(f"/b/t-0/{MOVED_HERE}")
    assert future.epochs.entries == [(0, 0)]
    world.append(1)
    world.run()
    assert world.partition.high_watermark == 35
    # And back, where the checkpoints named it before.
    world.agreeing = True
    world.move("/a")
    world.run()
    assert (world.place, world.partition.log_end_offset) == ("/a", 35)


def test_ends_of_a_move():
    world = World(paths=("/a", "/b", "/c"))
    world.agreeing = False
    world.append(5)
    world.move("/b")
    world.run(100)
    first = world.logs.future("t", 0)
    world.move("/b")
    assert world.logs.future("t", 0) is first
    world.move("/c")
    assert first.deleted
    world.run(100)
    assert world.logs.future_directory_of("t", 0).path == "/c"
    world.move("/a")
    assert world.logs.future("t", 0) is None
    assert ("t", 0) not in world.moves
    world.run()
    assert (world.names("/a"), world.names("/b"), world.names("/c")) == (["t-0"], [], [])
    # A partition that is deleted meanwhile.
    world.move("/b")
    world.run(100)
    world.moves.cancel("t", 0)
    world.logs.delete("t", 0)
    world.run()
    assert (world.names("/a"), world.names("/b")) == ([], [])


@pytest.mark.parametrize("broken", ["/a", "/b"])
def test_a_directory_fails(broken):
    world = World()
    world.agreeing = False
    world.append(5)
    world.move()
    world.run(100)
    world.agree()
    assert world.metadata[0] == directory_uuid(world.directory("/b"))
    world.agreeing = True
    world.logs.on_directory_failed = lambda path, last: world.moves.directory_failed(path)
    world.logs.sync_failed(world.directory(broken), OSError("gone"))
    world.run()
    assert ("t", 0) not in world.moves
    # Whatever had been agreed: it is known again where the replica is.
    assert world.metadata[0] == directory_uuid(world.directory("/a"))
    assert world.partition.is_leader is (broken == "/b")
    if broken == "/b":
        world.append(1)
        world.run()
        assert world.partition.high_watermark == 6


def test_what_the_log_loses_the_future_log_loses():
    world = World()
    world.agreeing = False
    world.append(20)
    world.run(100)
    world.move()
    world.run(100)
    assert world.logs.future("t", 0).log_end_offset == 20
    world.partition.become_follower(5)
    world.partition.truncate_to(12)
    world.partition.become_leader(7)
    world.append(10, size=33)
    world.partition.delete_records(4)
    world.agree()
    world.run()
    log = world.partition.log
    assert (world.place, log.log_start_offset, log.log_end_offset) == ("/b", 4, 22)
    assert log.epochs.entries == [(0, 4), (7, 12)]
    world.logs.close()
    world.open()
    assert (world.place, world.partition.log_start_offset, world.partition.log_end_offset) == ("/b", 4, 22)


def test_epochs_without_records_go_along():
    world = World()
    world.agreeing = False
    world.append(2)
    world.move()
    world.run(100)
    world.partition.become_leader(9)
    world.agree()
    world.run()
    assert (world.place, world.partition.log.epochs.entries) == ("/b", [(0, 0), (9, 2)])


def test_the_rate_is_kept():
    world = World(rate="1000")
    world.append(40)
    size = world.partition.log.size
    assert size > 4_000
    world.run(100)
    world.move()
    world.run(5_000)
    # A slice is at most half a megabyte: all of this log; what comes after has to wait.
    assert world.logs.future("t", 0) is None
    world.append(200, size=100)
    world.move("/a")
    world.run(11_000 - 5_000)
    assert world.place == "/b"
    world.run(40_000)
    assert world.place == "/a"


def test_what_was_moved_counts_when_a_limit_comes():
    clock = ManualClock(1_000)
    rate = Rate(clock)
    for _ in range(1_000):
        rate.note(1_000)
        clock.advance(1)
    assert not rate.is_exceeded
    rate.configure(90_000, 11_000)
    assert rate.is_exceeded
    clock.advance(11_000)
    assert not rate.is_exceeded


def test_no_space():
    world = World()
    world.append(5)
    world.directory("/b").full = True
    with pytest.raises(StorageError):
        world.move()
    assert ("t", 0) not in world.moves


def _life(disk, metadata, world=None):
    """A broker's life with a move in it."""
    world = World(disk, stated=metadata)
    world.append(12)
    world.run(60)
    yield world
    world.move()
    world.append(3)
    world.run(30)
    world.append(3)
    world.run(1_200)
    world.append(2)
    world.run(50)


@pytest.mark.parametrize("power_loss", [False, True])
def test_a_stop_at_every_change_of_the_disk(power_loss):
    """Whatever the disk has then: one log goes on, with all that was acknowledged, and the move ends well."""
    at = 0 if ALL_STOPS else random.Random(power_loss).randint(-STRIDE + 1, 0)
    places = set()
    while True:
        at += 1 if ALL_STOPS else STRIDE
        disk = SimDisk(at)
        metadata = {}
        life = _life(disk, metadata)
        world = next(life)
        with disk.dies_after(at - 1):
            next(life, None)
        if not disk.dead:
            break
        rng = random.Random(at)
        acknowledged = world.acknowledged
        after = disk.after_power_loss(rng) if power_loss else disk.after_kill(rng)
        again = World(after, stated=dict(metadata))
        assert again.partition.log_end_offset >= acknowledged, at
        again.append(1)
        again.run(1_500)
        places.add(again.place)
        assert again.logs.future("t", 0) is None, at
        assert again.partition.high_watermark == again.partition.log_end_offset
        kept = [name for path in again.paths for name in again.names(path)]
        assert kept == ["t-0"], (at, kept)
    assert "/b" in places
    assert at > 100

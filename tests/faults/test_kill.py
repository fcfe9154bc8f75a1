"""kill -9 again and again while idempotent and plain producers and an administrator work; with a disk that
fills up in between, too.

`PYBROKER_KILL_CYCLES` sets the number of cycles (10 without it; the figures in docs/reliability.md are from
200).
"""

from __future__ import annotations

import contextlib
import os
import random
import time
from pathlib import Path

import pytest

from tests.faults import load
from tests.faults.test_resources import OnDisk, small_disk
from tests.processes import PybrokerProcess
from tests.protocol import raw
from tests.protocol.raw import Connection

CYCLES = int(os.environ.get("PYBROKER_KILL_CYCLES", "10"))
PARTITIONS = 4
PRODUCERS = 3


@pytest.mark.slow
@pytest.mark.timeout(120 + CYCLES * 20)
@pytest.mark.parametrize("durability", ["os", "fsync"])
def test_kill_9_under_load(tmp_path: Path, durability: str, record_property: pytest.RecordProperty) -> None:
    choice = random.Random(CYCLES)
    properties = {
        "pybroker.durability": durability,
        # Small segments, so that a kill meets rolls, index files and snapshots too.
        "log.segment.bytes": "1048576",
        "log.index.interval.bytes": "512",
        "log.segment.delete.delay.ms": "100",
    }
    server = PybrokerProcess(tmp_path / "broker", properties)
    try:
        address = server.bootstrap
        with Connection(address) as connection:
            for topic in ("idempotent", "plain"):
                raw.create_topic(connection, topic, partitions=PARTITIONS)
        pause = 0.002
        producers = [
            load.IdempotentProducer(address, number, "idempotent", list(range(PARTITIONS)), pause)
            for number in range(PRODUCERS)
        ]
        plain = load.PlainProducer(address, "plain", pause)
        administrator = load.Administrator(address)
        workers: list[load.Worker] = [*producers, administrator]
        for thread in (*workers, plain):
            thread.start()
        starts = []
        for cycle in range(CYCLES):
            before = [worker.acknowledged for worker in workers]
            deadline = time.monotonic() + choice.uniform(0.15, 0.6)
            while time.monotonic() < deadline or [w.acknowledged for w in workers] == before:
                assert not [w.failure for w in workers if w.failure]
                assert time.monotonic() < deadline + 20, f"no progress in cycle {cycle}"
                time.sleep(0.005)
            server.kill()
            started = time.monotonic()
            server.start()
            starts.append(time.monotonic() - started)
        for worker in workers:
            worker.stop()
        plain.stop()
        assert not [w.failure for w in workers if w.failure]
        with Connection(address) as connection:
            total = load.check_idempotent(connection, "idempotent", PARTITIONS, producers)
            total += load.check_plain(connection, "plain", PARTITIONS, plain)
            administrator.check(connection)
        server.restart()
        with Connection(address) as connection:
            assert load.check_idempotent(connection, "idempotent", PARTITIONS, producers)
            administrator.check(connection)
    finally:
        server.kill()
    duplicates = sum(p.duplicates_answered for p in producers)
    record_property("records", total)
    print(
        f"{durability}: {CYCLES} kills, {total} records read back, {duplicates} repeats recognised, "
        f"{administrator.acknowledged} topic changes, longest start {max(starts):.2f} s"
    )


class Filler:
    """Takes all of a disk but a few kilobytes, and gives it back."""

    def __init__(self, disk: Path) -> None:
        self.disk = disk
        self.path = disk / "ballast"

    def fill(self, spare: int) -> None:
        with self.path.open("ab", buffering=0) as file, contextlib.suppress(OSError):
            left = os.statvfs(self.disk).f_bavail * 4096 - spare
            while left > 0:
                left -= file.write(bytes(min(left, 1 << 20)))

    def free(self) -> None:
        self.path.unlink(missing_ok=True)


@pytest.mark.slow
@pytest.mark.timeout(180 + CYCLES * 30)
@pytest.mark.parametrize("durability", ["os", "fsync"])
def test_kill_9_while_the_disk_fills_up(
    tmp_path: Path, durability: str, record_property: pytest.RecordProperty
) -> None:
    choice = random.Random(CYCLES)
    properties = {
        "pybroker.durability": durability,
        "log.segment.bytes": "1048576",
        "log.index.interval.bytes": "512",
    }
    with small_disk(tmp_path / "disk", 64 + CYCLES) as disk:
        server = OnDisk(tmp_path / "broker", disk, properties)
        filler = Filler(disk)
        try:
            address = server.bootstrap
            with Connection(address) as connection:
                for topic in ("idempotent", "plain"):
                    raw.create_topic(connection, topic, partitions=PARTITIONS)
            producers = [
                load.IdempotentProducer(address, number, "idempotent", list(range(PARTITIONS)), 0.005)
                for number in range(PRODUCERS)
            ]
            plain = load.PlainProducer(address, "plain", 0.005)
            for thread in (*producers, plain):
                thread.start()
            full = 0
            for cycle in range(CYCLES):
                filler.fill(choice.choice([0, 5_000, 100_000, 500_000]))
                time.sleep(choice.uniform(0.05, 0.4))
                before = [producer.acknowledged for producer in producers]
                time.sleep(0.05)
                full += [producer.acknowledged for producer in producers] == before
                frees_first = choice.random() < 0.5
                server.kill()
                if frees_first:
                    filler.free()
                server.start()
                time.sleep(choice.uniform(0, 0.1))
                filler.free()
                before = [producer.acknowledged for producer in producers]
                deadline = time.monotonic() + 30
                while any(p.acknowledged == b for p, b in zip(producers, before, strict=True)):
                    assert not [p.failure for p in producers if p.failure]
                    assert time.monotonic() < deadline, f"no service after cycle {cycle}"
                    time.sleep(0.01)
            for producer in producers:
                producer.stop()
            plain.stop()
            assert not [p.failure for p in producers if p.failure]
            with Connection(address) as connection:
                total = load.check_idempotent(connection, "idempotent", PARTITIONS, producers)
                total += load.check_plain(connection, "plain", PARTITIONS, plain)
            server.restart()
            with Connection(address) as connection:
                assert load.check_idempotent(connection, "idempotent", PARTITIONS, producers)
        finally:
            server.kill()
    assert full > 0, "the disk was never full"
    record_property("records", total)
    print(f"{durability}: {CYCLES} kills, {full} of them on a full disk, {total} records read back")

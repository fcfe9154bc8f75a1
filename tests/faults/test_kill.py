"""kill -9 again and again while idempotent and plain producers and an administrator work.

`PYBROKER_KILL_CYCLES` sets the number of cycles (10 without it; the figures in docs/conformance.md are from
200).
"""

from __future__ import annotations

import os
import random
import time
from pathlib import Path

import pytest

from tests.faults import load
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

"""Cost of the log's hot paths: `pytest bench/micro/test_log.py`. Budgets are for two cores of a shared machine.

Append covers checks of the header, checksum, producer state, stamping, index and one write to the page cache.
"""

from __future__ import annotations

import os
import random

import pytest

from pybroker.common.clock import ManualClock
from pybroker.log import LogConfig, LogManager
from pybroker.records.batch import Record, build_batch
from pybroker.replication.partition import Partition
from pybroker.runtime.disk import DiskFileSystem

NOW = 1_700_000_000_000
TOPIC_ID = bytes(range(16))


@pytest.fixture
def partition(tmp_path):
    manager = LogManager(
        DiskFileSystem(),
        [str(tmp_path)],
        ManualClock(NOW),
        random.Random(1),
        LogConfig(segment_bytes=64 << 20),
    )
    manager.open(1)
    log = manager.get_or_create("t", 0, TOPIC_ID)
    replica = Partition("t", 0, TOPIC_ID, log)
    replica.become_leader(0)
    yield replica
    manager.close(clean=False)


def batch_of(size: int, **options) -> bytes:
    return build_batch([Record(0, NOW, None, os.urandom(size - 75))], **options)


@pytest.mark.parametrize(("size", "budget_us"), [(100, 20), (16 * 1024, 40)])
def test_append(benchmark, partition, size, budget_us):
    batch = bytearray(batch_of(size))

    def append():
        # As from a new frame: the last append stamped the batch in place.
        batch[:8] = bytes(8)
        assert partition.append(memoryview(batch), now_ms=NOW).error == 0

    benchmark.extra_info["budget_us"] = budget_us
    benchmark(append)


def test_append_idempotent_100_bytes(benchmark, partition):
    batches = [
        bytearray(batch_of(100, producer_id=1, producer_epoch=0, base_sequence=number))
        for number in range(20_000)
    ]
    source = iter(batches)

    def setup():
        return (memoryview(next(source)),), {}

    def append(view):
        assert partition.append(view, now_ms=NOW).error == 0

    benchmark.pedantic(append, setup=setup, rounds=5_000)


def test_read_16_kib(benchmark, partition):
    batch = batch_of(16 * 1024)
    size = len(batch)
    count = 2_000
    for _ in range(count):
        partition.append(memoryview(bytearray(batch)), now_ms=NOW)
    generator = random.Random(1)

    def read():
        outcome = partition.read(generator.randrange(count), size, min_one_batch=True)
        assert len(outcome.records) == size

    benchmark.extra_info["budget_us"] = 15
    benchmark(read)


def test_read_1_mib_of_an_old_segment(benchmark, tmp_path):
    """Beyond the tail of a log a read must not wait for the disk; the memory it uses is used again."""
    files = DiskFileSystem()
    file = files.open(str(tmp_path / "segment"), create=True)
    file.pwrite([os.urandom(1 << 20)], 0)
    assert benchmark(file.pread_cached, 1 << 20, 0) is not None
    benchmark.extra_info["budget_us"] = 150
    file.close()


def test_create_partition(benchmark, tmp_path):
    manager = LogManager(DiskFileSystem(), [str(tmp_path)], ManualClock(NOW), random.Random(1))
    manager.open(1)
    numbers = iter(range(1_000_000))

    def create():
        log = manager.get_or_create("t", next(numbers), TOPIC_ID)
        Partition("t", log.partition, TOPIC_ID, log).become_leader(0)

    benchmark.extra_info["budget_us"] = 250
    benchmark.pedantic(create, rounds=500)
    manager.close(clean=False)

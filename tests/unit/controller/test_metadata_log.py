"""The controller on a real PartitionLog, flushed by the rounds of its LogManager, and cut like by a crash."""

from __future__ import annotations

import random

import pytest

from pybroker.common.clock import ManualClock
from pybroker.common.memory_files import MemoryFileSystem
from pybroker.controller.metadata_log import CLUSTER_METADATA_ID, open_metadata_log
from pybroker.log.manager import LogManager
from tests.unit.controller.harness import CLUSTER, METADATA_DIR, Harness, state, topic

LOG_FILE = f"{METADATA_DIR}/00000000000000000000.log"


class DiskHarness(Harness):
    def __init__(self, files=None, previous_epoch=-1):
        files = files or MemoryFileSystem()
        self.logs = LogManager(files, ["/data"], ManualClock(), random.Random(2), ballast_bytes=0)
        self.logs.open(1, CLUSTER)
        log = open_metadata_log(self.logs)
        super().__init__(log=log, files=files, start=False)
        self.start(previous_epoch)

    def rounds(self):
        while (work := self.logs.take_flush_round()) is not None:
            work.run()
            work.complete(None)

    def again(self, *, clean):
        epoch = self.image.brokers[1].epoch
        self.logs.close(clean=clean, broker_epoch=epoch)
        return DiskHarness(self.files, epoch if clean else -1)


def test_files_and_rounds():
    harness = DiskHarness()
    answer = harness.create_raw(topic("a", 2))
    assert not answer.done
    harness.rounds()
    assert answer.value.topics[0].error_code == 0
    metadata = harness.files.open(f"{METADATA_DIR}/partition.metadata").pread(100, 0)
    assert metadata == b"version: 0\ntopic_id: AAAAAAAAAAAAAAAAAAAAAQ"
    assert CLUSTER_METADATA_ID[-1] == 1
    assert "quorum-state" in harness.files.list_dir(METADATA_DIR)


@pytest.mark.parametrize("clean", [True, False])
def test_restart(clean):
    harness = DiskHarness()
    harness.create_raw(topic("a", 2), topic("b"))
    harness.controller.allocate_producer_ids()
    harness.rounds()
    before = state(harness.image)
    harness = harness.again(clean=clean)
    assert harness.controller.epoch == 2
    assert [p.leader_epoch for p in harness.image.topics["a"].partitions] == [0 if clean else 1] * 2
    assert harness.image.topics.keys() == before.topics.keys()
    assert harness.image.next_producer_id == before.next_producer_id
    answer = harness.create_raw(topic("c"))
    harness.rounds()
    assert answer.value.topics[0].error_code == 0
    assert list(harness.again(clean=not clean).image.topics) == ["a", "b", "c"]


def test_torn_and_zeroed_tails():
    harness = DiskHarness()
    harness.create_raw(topic("a"))
    harness.rounds()
    kept = harness.files.file_size(LOG_FILE)
    harness.create_raw(topic("b", 20))
    harness.logs.close(clean=False)
    content = harness.files.open(LOG_FILE).pread(1 << 20, 0)
    rng = random.Random(4)
    for size in [kept, kept + 1, kept + 61, len(content) - 1, *rng.sample(range(kept, len(content)), 10)]:
        for tail in (b"", bytes(200)):
            file = harness.files.open(LOG_FILE)
            file.truncate(0)
            file.pwrite([content[:size] + tail], 0)
            after = DiskHarness(harness.files)
            # A batch may end with zeros: then the zeros make it whole.
            whole = (content[:size] + tail).startswith(content)
            assert list(after.image.topics) == (["a", "b"] if whole else ["a"])
            assert after.controller.epoch > harness.controller.epoch
            after.logs.close(clean=False)
    file = harness.files.open(LOG_FILE)
    file.truncate(0)
    file.pwrite([content], 0)
    # Written, never synced, never acknowledged, and all there: it may count.
    assert list(DiskHarness(harness.files).image.topics) == ["a", "b"]

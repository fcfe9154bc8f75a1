"""A crash at every write while the metadata log grows, rolls, is snapshot and trimmed loses nothing.

`PYBROKER_CRASH_POINTS=all` takes every point; without it about sixty are taken.
"""

from __future__ import annotations

import contextlib
import os
import random

import pytest

from pybroker.common.clock import ManualClock
from pybroker.common.config import BrokerConfig
from pybroker.common.effects import BlockingCall
from pybroker.common.memory_files import MemoryFileSystem
from pybroker.common.timers import TimerQueue
from pybroker.controller import Controller, ControllerSettings
from pybroker.controller.metadata_log import open_metadata_log
from pybroker.controller.quorum import MetadataQuorum
from pybroker.log.manager import LogManager
from pybroker.raft.snapshot import list_snapshots
from pybroker.wire.messages.create_topics import CreateTopicsRequest
from pybroker.wire.messages.delete_topics import DeleteTopicsRequest, DeleteTopicState
from tests.crashing_files import Crash, CrashingFileSystem
from tests.unit.controller.harness import CLUSTER, METADATA_DIR, quorum_options, registration, topic

NOW = 1_700_000_000_000
SEGMENT_BYTES = 1500
PROPERTIES = {"metadata.log.max.record.bytes.between.snapshots": "2500"}


class Metadata:
    """A controller on its log, with every piece of blocking work done when it comes up."""

    def __init__(self, files, seed, directory="/data"):
        self.files = files
        self.clock = ManualClock(NOW)
        self.logs = LogManager(
            files,
            [directory],
            self.clock,
            random.Random(seed),
            ballast_bytes=0,
        )
        self.logs.open(1, CLUSTER)
        self.log = open_metadata_log(self.logs, segment_bytes=SEGMENT_BYTES)
        self.effects = []
        config = BrokerConfig.from_properties(PROPERTIES)
        rng = random.Random(seed)
        self.quorum = MetadataQuorum(
            quorum_options(config, endpoints=()),
            files=files,
            log=self.log,
            clock=self.clock,
            rng=rng,
            timers=TimerQueue(),
            run_blocking=lambda *call: self.effects.append(BlockingCall(*call)),
        )
        self.controller = Controller(
            ControllerSettings(), quorum=self.quorum, files=files, rng=rng, config=config
        )
        self.quorum.start()
        self.controller.register_own_broker(registration())
        self.quorum.flush()
        self.work()

    def work(self):
        for _ in range(100):
            effect = self.logs.take_flush_round() or (self.effects and self.effects.pop(0)) or None
            if effect is None:
                return
            error = None
            try:
                effect.run()
            except OSError as caught:
                error = caught
            effect.complete(error)
        raise AssertionError("no end of work")

    def create(self, name):
        request = CreateTopicsRequest(topics=[topic(name, 2)], timeout=1)
        answer = self.controller.create_topics(request, 7)
        self.work()
        assert answer.value.topics[0].error_code == 0

    def delete(self, name):
        request = DeleteTopicsRequest(topics=[DeleteTopicState(name=name)], timeout=1)
        answer = self.controller.delete_topics(request, 6)
        self.work()
        assert answer.value.responses[0].error_code == 0

    def pass_time(self, milliseconds):
        self.clock.advance(milliseconds)
        self.logs.tick(self.clock.monotonic_ms())
        self.quorum.tick(self.clock.monotonic_ms())
        self.work()


class Load:
    """What was asked for and what was promised."""

    def __init__(self):
        self.present: dict[str, None] = {}
        self.gone: set[str] = set()
        self.open: str | None = None

    def run(self, metadata):
        for number in range(40):
            name = f"topic-{number:03d}-{'x' * 60}"
            self.open = name
            metadata.create(name)
            self.present[name] = None
            if number % 4 == 3:
                oldest = next(iter(self.present))
                self.open = oldest
                del self.present[oldest]
                metadata.delete(oldest)
                self.gone.add(oldest)
            self.open = None
            metadata.pass_time(20_000)

    def check(self, image):
        names = set(image.topics)
        if self.open is not None:
            # Asked for and not answered: it may be there or not.
            names.discard(self.open)
        assert names == set(self.present) - {self.open}
        assert not names & self.gone
        assert all(len(image.topics[name].partitions) == 2 for name in names)


def new_disk():
    files = CrashingFileSystem()
    first = Metadata(files, seed=1)
    first.create("before")
    first.logs.close(clean=False)
    files.settle()
    return files


def test_the_log_is_trimmed_and_read_again():
    files = new_disk()
    load = Load()
    load.present["before"] = None
    metadata = Metadata(files, seed=2)
    load.run(metadata)
    load.check(metadata.controller.image)
    snapshots = list_snapshots(files, METADATA_DIR)
    assert len(snapshots) == 2
    assert metadata.log.start_offset == snapshots[0].end_offset > 100
    names = [name for name in files.list_dir(METADATA_DIR) if name.endswith(".log")]
    assert len(names) < 10
    before = metadata.controller.image
    metadata.logs.close(clean=True)
    again = Metadata(files, seed=3)
    load.check(again.controller.image)
    assert again.controller.image.topics == before.topics or again.controller.epoch > before.epoch
    again.create("after")
    again.logs.close(clean=False)
    # The newest snapshot alone is not what everything hangs on.
    files.remove(f"{METADATA_DIR}/{list_snapshots(files, METADATA_DIR)[-1].file_name}")
    load.present["after"] = None
    load.check(Metadata(files, seed=4).controller.image)


def crash_points():
    """How many changes the whole load makes: the crash may come before each."""
    files = new_disk()
    load = Load()
    load.run(Metadata(files, seed=2))
    return files.changes


@pytest.mark.parametrize("power_loss", [False, True], ids=["kill", "power loss"])
def test_a_crash_at_any_write(power_loss):
    total = crash_points()
    assert total > 300
    everything = os.environ.get("PYBROKER_CRASH_POINTS") == "all"
    for point in range(1, total, 1 if everything else total // 30):
        files = new_disk()
        files.crash_at = point
        load = Load()
        load.present["before"] = None
        with contextlib.suppress(Crash):
            load.run(Metadata(files, seed=2))
        assert files.crashed
        rng = random.Random(point)
        left = files.after_power_loss(rng) if power_loss else files.after_kill()
        assert isinstance(left, MemoryFileSystem)
        after = Metadata(left, seed=3)
        load.check(after.controller.image)
        after.create("after the crash".replace(" ", "-"))
        after.logs.close(clean=False)

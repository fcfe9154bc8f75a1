"""Crashes, failures and flipped bits of the metadata log of a quorum of one, on the simulated disk.

In: a seed (a schedule of requests, time and restarts, and all chances). Out: counts, or a `Found` with what repeats
it. What must hold after any of it: every image that was published, and so everything that was acknowledged, is there;
the state is one that the requests made, whole, from whichever snapshot it is replayed; epochs and producer ids are
not given out twice; the node starts and goes on, or says which file keeps it from that.

    python -m tests.sim metadata [--seconds N] [--seed N]
    python -m tests.sim metadata failures | flips [FRACTION]
"""

from __future__ import annotations

import argparse
import errno
import random
import time
from collections import deque
from collections.abc import Callable
from functools import partial
from typing import Any, Final

from pybroker.common.clock import ManualClock
from pybroker.common.config import BrokerConfig
from pybroker.common.effects import BlockingCall
from pybroker.common.errors import ConfigError, CorruptionError, PybrokerError, StorageError
from pybroker.common.files import read_file
from pybroker.common.timers import TimerQueue
from pybroker.controller import Controller, ControllerSettings, loader
from pybroker.controller.formatting import Format, format_directories
from pybroker.controller.metadata_log import open_metadata_log
from pybroker.controller.quorum import MetadataQuorum
from pybroker.controller.replay import Replay, snapshot_image
from pybroker.log import meta_properties
from pybroker.log.manager import LogManager, directory_uuid
from pybroker.metadata.features import BOOTSTRAP_FEATURES
from pybroker.metadata.image import MetadataImage
from pybroker.raft.snapshot import decode_snapshot, list_snapshots
from pybroker.raft.voters import Voter
from pybroker.wire.messages import incremental_alter_configs as incremental
from pybroker.wire.messages.create_topics import CreateTopicsRequest
from pybroker.wire.messages.delete_topics import DeleteTopicsRequest, DeleteTopicState
from tests.sim import flips
from tests.sim.disk import SimDisk
from tests.sim.explorer import Counts, Explorer, Found
from tests.sim.failures import ERRORS, Failures, steps_of
from tests.sim.world import NOW, Step, Violation, any_step
from tests.unit.controller.harness import CLUSTER, quorum_options, registration, topic

DATA: Final = "/data"
METADATA: Final = f"{DATA}/__cluster_metadata-0"
SEGMENT_BYTES: Final = 1200
BALLAST_BYTES: Final = 3000
PROPERTIES: Final = {"metadata.log.max.record.bytes.between.snapshots": "2500", "node.id": "1"}
REFUSALS: Final = (ConfigError, StorageError, CorruptionError, OSError)


def content_of(image: MetadataImage) -> MetadataImage:
    """What an image says, wherever in the log it is."""
    return image._replace(offset=0, epoch=0)


def decided(image: MetadataImage) -> tuple[Any, ...]:
    """What clients have decided: no start changes it."""
    topics = {name: (found.topic_id, len(found.partitions)) for name, found in sorted(image.topics.items())}
    return topics, dict(image.configs.items()), image.next_producer_id, dict(image.features)


class Promises:
    """What the lives of a node have made and told."""

    def __init__(self) -> None:
        self.images: dict[int, MetadataImage] = {}
        """What was appended made of the state, by the offset of its last record."""
        self.published = -1
        """Everything up to this offset was told to somebody."""
        self.epoch = 0
        self.ids = 0
        self.acknowledged = 0
        # Found in survivors of the moment when the batch was being written: what it makes is known a little later.
        self._foreseen: list[MetadataImage] = []

    def fork(self) -> Promises:
        other = Promises()
        other.__dict__.update(self.__dict__, images=dict(self.images), _foreseen=[])
        return other

    def survived(self, image: MetadataImage, found_by: Promises | None = None) -> None:
        """A start, of the life `found_by` or of this one, has found this. Violation."""
        if image.offset < self.published:
            raise Violation(f"the log ends with {image.offset}, {self.published} was published")
        at = max((offset for offset in self.images if offset <= image.offset), default=-1)
        if at >= 0 and content_of(self.images[at]) != content_of(image):
            if found_by is None or image.offset <= max(self.images):
                raise Violation(f"at {image.offset} is another state than the records made at {at}")
            self._foreseen.append(image)
        mine = found_by or self
        mine.images = {offset: made for offset, made in self.images.items() if offset <= image.offset}
        mine.images[image.offset] = image

    def appended(self, image: MetadataImage) -> None:
        for other in self._foreseen:
            if content_of(other) != content_of(image) or other.offset != image.offset:
                raise Violation(f"{other.offset} was found, {image.offset} is appended, or they differ")
        self._foreseen = []
        self.images[image.offset] = image

    def publish(self, image: MetadataImage) -> None:
        known = self.images.setdefault(image.offset, image)
        if content_of(known) != content_of(image):
            raise Violation(f"two images at offset {image.offset}")
        self.published = max(self.published, image.offset)
        self.epoch = max(self.epoch, image.epoch)


class Node:
    """One life of a node on a disk. Blocking work is done by steps; the loop goes on within it, by chance."""

    def __init__(
        self, disk: SimDisk, clock: ManualClock, seed: object, promises: Promises, *, data: str = DATA
    ) -> None:
        self.disk = disk
        self.data = data
        self.clock = clock
        self.promises = promises
        self.rng = random.Random(f"node {seed}")
        self.reports: list[str] = []
        self.effects: dict[str, deque[Any]] = {}
        self.timers = TimerQueue()
        self.running = False
        self.refused = 0
        self._inside = False
        self._notified = False
        # The disk may keep it from leading for a while.
        self.patient = False

    # Start and end

    def open(self) -> None:
        self.logs = LogManager(
            self.disk,
            [self.data],
            self.clock,
            self.rng,
            ballast_bytes=BALLAST_BYTES,
            report=self.reports.append,
        )
        self.logs.on_work = self._notify
        self.logs.open(1, self.cluster_id)
        self.log = open_metadata_log(self.logs, segment_bytes=SEGMENT_BYTES, alone=True)

    cluster_id: str | None = CLUSTER

    def format(self) -> None:
        """As kafka-storage format, unless that was done."""
        rng = random.Random("format")
        voter = Voter(1, b"directory-id-16b", (("CONTROLLER", "localhost", 9093),))
        wanted = Format(CLUSTER, 1, [self.data], self.data, BOOTSTRAP_FEATURES, [voter])
        if not self.disk.exists(f"{self.data}/{meta_properties.FILE_NAME}"):
            for _ in format_directories(self.disk, rng, self.clock.wall_ms(), wanted):
                pass

    def look(self) -> MetadataImage:
        """What the directory holds, from every snapshot in it. Opens the directory, and closes it again."""
        self.open()
        try:
            loaded = loader.load(self.disk, self.log, CLUSTER)
            for snapshot in list_snapshots(self.disk, self.log.directory)[-2:]:
                if snapshot.end_offset < self.log.start_offset or snapshot.end_offset > self.log.end_offset:
                    continue
                content = decode_snapshot(read_file(self.disk, f"{self.log.directory}/{snapshot.file_name}"))
                replay = Replay(snapshot_image(CLUSTER, snapshot, content))
                while replay.end_offset < self.log.end_offset:
                    replay.batches(self.log.read(replay.end_offset, 100_000), self.log.end_offset)
                if content_of(replay.image) != content_of(loaded.image):
                    raise Violation(f"{snapshot.file_name} and the log after it make another state")
            return loaded.image
        finally:
            self.logs.close(clean=False)

    def start(self) -> None:
        """As `Broker` starts a node that is the whole cluster. One of REFUSALS."""
        self.open()
        config = BrokerConfig.from_properties(PROPERTIES)
        self.quorum = MetadataQuorum(
            quorum_options(
                config,
                cluster_id=self.logs.cluster_id,
                directory_id=directory_uuid(self.logs.metadata_directory()),
            ),
            files=self.disk,
            log=self.log,
            clock=self.clock,
            rng=self.rng,
            timers=self.timers,
            run_blocking=lambda *call: self._submit(BlockingCall(*call)),
            report=self.reports.append,
        )
        self.controller = Controller(
            ControllerSettings(), quorum=self.quorum, files=self.disk, rng=self.rng, config=config
        )
        self.quorum.on_image(lambda image, delta: self.promises.publish(image))
        self.logs.on_directory_failed = lambda path, last: self.quorum.storage_failed(
            StorageError(f"{path} is offline")
        )
        propose = self.quorum.propose

        def noted(values: Any, apply: Callable[[int, int], Any]) -> None:
            def make(last_offset: int, epoch: int) -> Any:
                image, delta = apply(last_offset, epoch)
                self.promises.appended(image)
                return image, delta

            propose(values, make)

        # In place of the method: what each proposal makes is noted.
        self.quorum.propose = noted  # type: ignore[method-assign]
        before = self.promises.epoch
        self.quorum.start()
        if not self.quorum.is_active:
            raise Violation("the only voter does not lead after its start")
        if self.quorum.epoch <= before:
            raise Violation(f"epoch {self.quorum.epoch} comes after {before}")
        answer = self.controller.register_own_broker(
            registration(cluster_id=self.logs.cluster_id, incarnation_id=self.rng.randbytes(16))
        )
        self.quorum.flush()
        if not answer.done or answer.value.error_code:
            raise ConfigError(
                f"{self.data}: registration is refused: {answer.value if answer.done else None}"
            )
        self.running = True

    @property
    def failed(self) -> bool:
        return self.quorum.failure is not None

    def stop(self) -> None:
        self.settle()
        self.logs.close(clean=True, broker_epoch=5)
        self.quorum.close()
        self.running = False

    # Blocking work

    def _submit(self, effect: Any) -> None:
        self.effects.setdefault(effect.queue, deque()).append(effect)

    def take(self) -> None:
        """As the shell does, when there is said to be something."""
        if self._notified:
            self._notified = False
            while (effect := self.logs.take_flush_round()) is not None:
                self._submit(effect)

    def _notify(self) -> None:
        self._notified = True

    def work(self, choice: int, *, alone: bool) -> bool:
        """Run and complete the first effect of one queue; whether there was one."""
        self.take()
        waiting = [queue for queue in sorted(self.effects) if self.effects[queue]]
        if not waiting:
            return False
        effect = self.effects[waiting[choice % len(waiting)]].popleft()
        error: BaseException | None = None
        if not alone:
            self.disk.on_operation = self._loop_goes_on
        try:
            effect.run()
        except Exception as caught:  # as the shell's threads do
            error = caught
        finally:
            if not alone:
                self.disk.on_operation = None
        effect.complete(error)
        return True

    def _loop_goes_on(self) -> None:
        if self._inside or self.rng.random() > 0.15:
            return
        self._inside = True
        try:
            name = self.rng.choice(("create", "create", "delete", "config", "ids", "tick", "snapshot"))
            self.step(any_step(name, self.rng))
        finally:
            self._inside = False

    def settle(self) -> None:
        for _ in range(1000):
            if not self.work(0, alone=True):
                return
        raise Violation("the blocking work has no end")

    # Steps

    def step(self, step: Step) -> None:
        name, first, second, third = step
        getattr(self, f"_step_{name}")(first, second, third)

    def _told(self, code: int, holds: bool, what: str) -> None:
        """An answer has come."""
        if code == 0:
            self.promises.acknowledged += 1
            if self.failed:
                raise Violation(f"{what} is acknowledged after the failure of the disk")
            if not holds:
                raise Violation(f"{what} is acknowledged and not in the image")
        else:
            self.refused += 1

    def _step_create(self, first: int, second: int, third: int) -> None:
        name = f"topic-{first % 12:02d}"
        configs = [("retention.ms", str(third))] if second % 3 == 0 else []
        request = CreateTopicsRequest(topics=[topic(name, 1 + second % 3, configs=configs)], timeout=5_000)

        def answered(answer: Any) -> None:
            found = self.controller.image.topics.get(name)
            code = answer.topics[0].error_code
            same = found is not None and found.topic_id == answer.topics[0].topic_id
            self._told(code, same, name)

        self.controller.create_topics(request, 7).then(answered)

    def _step_delete(self, first: int, second: int, third: int) -> None:
        name = f"topic-{first % 12:02d}"
        request = DeleteTopicsRequest(topics=[DeleteTopicState(name=name)], timeout=5_000)
        self.controller.delete_topics(request, 6).then(
            lambda answer: self._told(answer.responses[0].error_code, True, name)
        )

    def _step_config(self, first: int, second: int, third: int) -> None:
        name = f"topic-{first % 12:02d}"
        entry = incremental.AlterableConfig(
            name=("retention.ms", "segment.bytes")[second % 2], config_operation=0, value=str(100_000 + third)
        )
        resource = incremental.AlterConfigsResource(resource_type=2, resource_name=name, configs=[entry])
        self.controller.incremental_alter_configs(
            incremental.IncrementalAlterConfigsRequest(resources=[resource])
        ).then(lambda answer: self._told(answer.responses[0].error_code, True, name))

    def _step_ids(self, first: int, second: int, third: int) -> None:
        def given(block: Any) -> None:
            if block[1] <= 0:
                self.refused += 1
                return
            start, end = block[0], block[0] + block[1]
            self._told(0, end <= self.controller.image.next_producer_id, f"producer ids {start} to {end}")
            if start < self.promises.ids:
                raise Violation(f"producer ids {start} to {end} are given out again")
            self.promises.ids = end

        self.controller.allocate_producer_ids().then(given)

    def _step_effect(self, first: int, second: int, third: int) -> None:
        self.work(first, alone=False)

    def _step_rounds(self, first: int, second: int, third: int) -> None:
        self.settle()

    def _step_tick(self, first: int, second: int, third: int) -> None:
        self.clock.advance((10, 3_000, 20_000, 61_000)[first % 4])
        now_ms = self.clock.monotonic_ms()
        self.logs.tick(now_ms)
        self.quorum.tick(now_ms)
        self.timers.advance(now_ms)

    def _step_snapshot(self, first: int, second: int, third: int) -> None:
        self.quorum.maybe_snapshot(force=True)

    def _step_resign(self, first: int, second: int, third: int) -> None:
        if not self.controller.active:
            return
        self.quorum.resign()
        for _ in range(20):
            self.settle()
            if self.controller.active or self.failed:
                return
            self._step_tick(1, 0, 0)
        if self.patient:
            return
        raise Violation("the only voter does not lead again")


WEIGHTS: Final = {
    "create": 8,
    "delete": 3,
    "config": 4,
    "ids": 2,
    "effect": 9,
    "rounds": 2,
    "tick": 4,
    "snapshot": 1,
    "resign": 0.5,
    "restart": 0.7,
}


def make_steps(seed: object, length: int) -> list[Step]:
    rng = random.Random(f"metadata {seed}")
    names = rng.choices(list(WEIGHTS), list(WEIGHTS.values()), k=length)
    return [any_step(name, rng) for name in names]


class MetadataExplorer(Explorer):
    """One schedule, with a kill and several power losses at each change of the disk, or at `fraction` of them."""

    def __init__(self, seed: int, *, length: int = 60, power_losses: int = 4, fraction: float = 1.0) -> None:
        steps = make_steps(seed, length)
        super().__init__(seed, steps=steps, power_losses=power_losses, fraction=fraction)
        self.formatted = seed % 2 == 1
        self._lives = 0

    def run(self) -> Counts:
        """The whole schedule. Found."""
        self.clock = ManualClock(NOW)
        self.disk = SimDisk(f"metadata {self.seed}", clock=self.clock)
        self.disk.cold = self.disk.slow = True
        self.promises = Promises()
        self.disk.on_change = self._at
        try:
            self._begin()
            for number, step in enumerate(self.steps):
                self._where = f"step {number} {step[0]}"
                if step[0] == "restart":
                    self._restart(step[1])
                else:
                    self.node.step(step)
                self.node.take()
            self._where = "end"
            self.node.settle()
            self._explore("end", "")
        except (Violation, PybrokerError, OSError, AssertionError) as error:
            raise Found(
                error, f"seed {self.seed}, {self._where}, operation {self.disk.operations}"
            ) from error
        self.counts.acknowledged = self.promises.acknowledged
        return self.counts

    def _begin(self) -> None:
        self._lives += 1
        self.node = Node(self.disk, self.clock, f"{self.seed} {self._lives}", self.promises)
        if self.formatted:
            self.node.format()
        self.node.start()

    def _restart(self, how: int) -> None:
        if how % 2:
            self.node.stop()
        self.disk.locked.clear()
        self._begin()

    def _node_on(self, disk: SimDisk, rng: random.Random, promises: Promises) -> Node:
        disk.clock = clock = ManualClock(self.clock.wall_ms(), self.clock.monotonic_ms())
        node = Node(disk, clock, rng.random(), promises)
        if self.formatted:
            node.format()
        return node

    def _examine(self, disk: SimDisk, rng: random.Random, *, power_loss: bool) -> None:
        promises = self.promises.fork()
        extra = rng.randrange(4)
        # A first look leaves nothing on the disk.
        look = disk.after_kill(random.Random(0))
        self.promises.survived(self._node_on(look, rng, promises).look(), promises)
        if extra == 0:
            # The start is interrupted too.
            with disk.dies_after(rng.randrange(30)):
                self._node_on(disk, rng, promises).start()
            self.counts.interrupted += disk.dead
            disk = disk.after_power_loss(rng) if rng.random() < 0.7 else disk.after_kill(rng)
            # What that start was writing at its end nobody knows.
            promises.survived(self._node_on(disk, rng, promises).look(), promises)
            promises._foreseen = []
        node = self._node_on(disk, rng, promises)
        node.start()
        if extra == 1:
            self.counts.repeated += 1
            left = disk.after_power_loss(rng)
            promises.survived(self._node_on(left, rng, promises).look())
        elif extra == 2:
            goes_on(node)
            left = disk.after_power_loss(rng)
            promises.survived(self._node_on(left, rng, promises).look())


def goes_on(node: Node) -> None:
    """It serves."""
    before = node.promises.acknowledged
    for number in range(3):
        node.step(("create", 13 * number, 1, number))
        node.step(("delete", 13 * number, 1, number))
    node.step(("snapshot", 0, 0, 0))
    node.step(("ids", 0, 0, 0))
    node.settle()
    if node.promises.acknowledged < before + 4:
        raise Violation(f"requests are still refused: {node.reports[-3:]}")


# ---- failures --------------------------------------------------------------------------------------------

STORIES: Final = {
    "requests": "create:0:0 ids config:0 rounds create:1 delete:0 effect create:2 ids rounds",
    "snapshots": "create:0:2 create:1:1 rounds create:2:2 create:3:2 rounds snapshot rounds create:4:2 create:5:2 config:5 "
    "rounds snapshot rounds create:6:2 create:7:2 rounds snapshot rounds tick:3 rounds create:8 rounds tick:3 rounds",
    "epochs": "create:0 rounds resign:0 create:1 rounds resign:0 ids rounds",
    "restarts": "create:0:2 create:1:2 create:2:2 rounds snapshot rounds restart:1 create:3 rounds restart:0 create:4 rounds",
}


class Story:
    """A schedule in which one operation fails, or every one that opens a file from one on to its end."""

    def __init__(self, name: str, *, formatted: bool) -> None:
        self.name = name
        self.formatted = formatted
        self.steps = steps_of(STORIES[name])

    def tell(self, fault: Callable[[str, str, int], int], *, lasting: bool = False) -> None:
        """One of REFUSALS: a start is refused."""
        self.clock = ManualClock(NOW)
        self.disk = SimDisk(f"story {self.name}", clock=self.clock)
        self.disk.cold = True
        self.disk.make_dirs(DATA)
        self.disk.sync_dir("/")
        self.disk.fault = fault
        self.promises = Promises()
        self.lives = 0
        self._begin(lasting)
        for step in self.steps:
            if step[0] != "restart":
                self.node.step(step)
            elif not self.node.failed:
                if step[1] % 2:
                    self.node.stop()
                self._begin(lasting)
        self.node.settle()

    def _begin(self, lasting: bool = False) -> None:
        self.disk.locked.clear()
        self.lives += 1
        self.node = Node(self.disk, self.clock, f"{self.name} {self.lives}", self.promises)
        self.node.patient = lasting
        if self.formatted:
            self.node.format()
        self.node.start()

    def cases(self) -> list[tuple[int, int, bool]]:
        """(number of the operation, error, whether it lasts) of all that can fail."""
        kinds: list[str] = []

        def count(kind: str, path: str, number: int) -> int:
            kinds.append(kind)
            return 0

        self.tell(count)
        if self.node.failed or self.promises.acknowledged < 3:
            raise Violation(f"{self.name}: {self.promises.acknowledged} acknowledged, {self.node.reports}")
        single = [
            (number, error, False)
            for number, kind in enumerate(kinds)
            for error, failing in ERRORS.items()
            if kind in failing
        ]
        return single + [(number, errno.EMFILE, True) for number, kind in enumerate(kinds) if kind == "open"]

    def fail(self, number: int, error: int, lasting: bool, counts: Failures) -> None:
        """Tell it with that failure. Found."""
        name = f"{errno.errorcode[error]}{' that lasts' if lasting else ''}"
        where = f"metadata story {self.name!r}, formatted {self.formatted}, operation {number}, {name}"
        failed: list[tuple[str, str]] = []
        seen = 0

        def fault(kind: str, path: str, _: int) -> int:
            nonlocal seen
            seen += 1
            if seen - 1 == number or (lasting and seen > number and kind == "open"):
                failed.append((kind, path))
                return error
            return 0

        try:
            self._live(fault, failed, error, lasting, counts)
            self._go_on(random.Random(where), counts)
        except (Violation, PybrokerError, OSError, AssertionError) as found:
            raise Found(found, f"{where} {failed[:1]}, {self.node.reports[-3:]}") from found
        counts.failures += 1
        counts.by_error[name] += 1

    def _live(
        self,
        fault: Callable[[str, str, int], int],
        failed: list[tuple[str, str]],
        error: int,
        lasting: bool,
        counts: Failures,
    ) -> None:
        try:
            self.tell(fault, lasting=lasting)
        except REFUSALS as refusal:
            if self.node.running:
                raise
            if not any(place in f"{refusal} {self.node.reports}" for place in (DATA, repr(failed[0][1]))):
                raise Violation(f"the refusal does not say where: {refusal}") from refusal
            counts.refused_starts += 1
            return
        finally:
            self.disk.fault = None
        kind, path = failed[0]
        if self.node.failed:
            counts.halted += 1
            if error == errno.EMFILE or (error == errno.ENOSPC and kind not in ("sync", "sync_dir")):
                raise Violation(f"{errno.errorcode[error]} was taken for a broken disk")
            self._refuses_all()
            return
        stopping = any("not closed cleanly" in line for line in self.node.reports)
        if kind == "sync" and path.endswith(".log") and not stopping and self.lives == 1:
            raise Violation("a failed sync of the log is not the end")
        counts.went_on += 1
        for _ in range(8):
            self.node.step(("tick", 1, 0, 0))
            self.node.settle()
        goes_on(self.node)

    def _refuses_all(self) -> None:
        """Whoever asks is told that it is the disk; `Node` sees to it that nothing is acknowledged."""
        refused = self.node.refused
        for number in range(3):
            self.node.step(("create", 13 * number, 1, number))
        self.node.settle()
        if self.node.refused != refused + 3:
            raise Violation("requests wait for ever")

    def _go_on(self, rng: random.Random, counts: Failures) -> None:
        """The next start, after a clean stop, a kill or a power loss."""
        ending = rng.randrange(3)
        if ending == 0 and self.node.running and not self.node.failed:
            self.node.stop()
        self.disk = self.disk.after_power_loss(rng) if ending == 2 else self.disk.after_kill(rng)
        self.disk.clock = self.clock
        look = Node(self.disk.after_kill(random.Random(0)), self.clock, 0, self.promises.fork())
        if self.formatted:
            look.format()
        self.promises.survived(look.look())
        self._begin()
        counts.later_lives += 1
        goes_on(self.node)


def fail_all(fraction: float = 1.0, *, stop_at_first: bool = True) -> tuple[Failures, int]:
    """Every failure of every story, or a part of them; what was done, and how many were found wrong."""
    counts = Failures()
    bad = 0
    for name in STORIES:
        for formatted in (True, False):
            story = Story(name, formatted=formatted)
            cases = story.cases()
            counts.stories += 1
            if fraction < 1:
                cases = random.Random(name).sample(cases, max(int(len(cases) * fraction), 1))
            for case in cases:
                try:
                    story.fail(*case, counts)
                except Found as found:
                    if stop_at_first:
                        raise
                    bad += 1
                    print(found, flush=True)
    return counts, bad


# ---- flipped bits ----------------------------------------------------------------------------------------

_FLIPS: Final = f"{STORIES['snapshots']} create:9:2 config:9 ids rounds resign:0 delete:1 rounds tick:3 rounds create:10 ids rounds"


class Directory:
    """A data directory after a clean stop or a kill, and one flipped bit in it."""

    def __init__(self, ending: str) -> None:
        self.ending = ending
        clock = ManualClock(NOW)
        disk = SimDisk(f"flips {ending}", clock=clock)
        node = Node(disk, clock, 1, Promises())
        node.format()
        node.start()
        for step in steps_of(_FLIPS):
            node.step(step)
        node.settle()
        if ending == "stop":
            node.stop()
        self.epoch = node.quorum.epoch
        self.expected = decided(node.controller.image)
        self.disk = disk.after_kill(random.Random(1))

    def flip(self, path: str, position: int, bit: int) -> str:
        """What becomes of it. Found."""
        disk = self.disk.after_kill(random.Random(1))
        disk.clock = clock = ManualClock(NOW + 1_000_000)
        disk.flip_bit(path, position, bit)
        promises = Promises()
        promises.epoch = self.epoch
        node = Node(disk, clock, 2, promises)
        node.cluster_id = None
        try:
            return self._outcome(node, path)
        except (Violation, OSError, PybrokerError, AssertionError) as found:
            raise Found(found, f"metadata after a {self.ending}, {path} byte {position} bit {bit}") from found

    def _outcome(self, node: Node, path: str) -> str:
        try:
            node.start()
        except REFUSALS as refusal:
            if path not in str(refusal):
                raise Violation(f"the refusal does not name the file: {refusal}") from refusal
            return "start refused"
        image = node.controller.image
        told = any(path in line for line in node.reports)
        if decided(image) != self.expected:
            if self.ending == "kill" and told:
                return "cut after the recovery point, reported"
            raise Violation(f"another state, reported: {node.reports}")
        if image.cluster_id != CLUSTER:
            return "another cluster id (no checksum)"
        goes_on(node)
        return "right state, reported" if told else "right state"


DIRECTORIES: Final = (partial(Directory, "stop"), partial(Directory, "kill"))


# ---- the command -----------------------------------------------------------------------------------------


def main(arguments: list[str]) -> int:
    if arguments[:1] == ["failures"]:
        counts, bad = fail_all(float(arguments[1]) if arguments[1:] else 1.0, stop_at_first=False)
        print(f"{counts}; {bad} found wrong")
        return 1 if bad else 0
    if arguments[:1] == ["flips"]:
        return flips.main(arguments[1:], 0.03, DIRECTORIES)
    parser = argparse.ArgumentParser(prog="python -m tests.sim metadata", description=__doc__)
    parser.add_argument("--seconds", type=float, default=60.0)
    parser.add_argument("--seed", type=int, default=None, help="the first one; by default the time of day")
    options = parser.parse_args(arguments)
    seed = first = int(time.time()) if options.seed is None else options.seed
    end = time.monotonic() + options.seconds
    total = Counts()
    while True:
        explorer = MetadataExplorer(seed)
        try:
            total.add(explorer.run())
        except Found as found:
            print(f"\n{found}\nagain: python -m tests.sim metadata --seed {seed} --seconds 0", flush=True)
            return 1
        seed += 1
        print(
            f"\rmetadata seeds {first} to {seed - 1}: {total.points} points, {total.kills} kills, "
            f"{total.power_losses} power losses, {total.interrupted} interrupted starts, "
            f"{total.acknowledged} acknowledged, all sound",
            end="",
            flush=True,
        )
        if time.monotonic() >= end:
            print()
            return 0

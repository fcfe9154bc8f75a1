"""Metadata quorums of several nodes in one process: real logs, snapshots and controllers on simulated disks, with
a simulated network and clock.

In: a seed, and what is to happen. Out: the trace's hash. What must hold, checked all the time: at one offset
every node has the same image; nothing that was acknowledged is lost or done twice.
"""

from __future__ import annotations

import hashlib
import heapq
import math
import random
from collections import deque
from collections.abc import Callable, Sequence
from typing import Any

from pybroker.common.clock import ManualClock
from pybroker.common.config import BrokerConfig
from pybroker.common.deferred import Deferred
from pybroker.common.effects import BlockingCall
from pybroker.common.timers import TimerQueue
from pybroker.controller import Controller, ControllerSettings, bootstrap
from pybroker.controller.metadata_log import PartitionRaftLog, open_metadata_log
from pybroker.controller.quorum import MetadataQuorum, QuorumOptions
from pybroker.log.manager import LogManager
from pybroker.metadata.features import BOOTSTRAP_FEATURES, SUPPORTED_FEATURES
from pybroker.metadata.image import EndpointImage, MetadataImage
from pybroker.raft.node import QuorumSettings
from pybroker.raft.voters import NO_VOTERS, Voter, VoterSet
from pybroker.wire import codec
from pybroker.wire.client import PeerClient
from pybroker.wire.headers import parse_request_header, response_header
from pybroker.wire.messages.api_versions import ApiVersionsResponse, SupportedFeatureKey
from pybroker.wire.messages.broker_registration import BrokerRegistrationRequest, Feature, Listener
from pybroker.wire.messages.create_topics import CreatableTopic, CreateTopicsRequest
from tests.sim.disk import SimDisk

CLUSTER = "AAECAwQFBgcICQoLDA0ODw"
LISTENER = "CONTROLLER"
DIRECTORY = "/data"
METADATA = "/data/__cluster_metadata-0"
API_VERSIONS = 18
LATENCY_MS = (1, 8)
DISK_MS = (0, 6)


class Member:
    """One machine: a disk that outlives crashes, and a quorum with its controller while the process runs."""

    def __init__(self, world: World, node_id: int) -> None:
        self.world = world
        self.node_id = node_id
        self.directory_id = bytes([node_id]) * 16
        self.address = (f"host{node_id}", 9093)
        self.disk = SimDisk(f"{world.seed} {node_id}", clock=world.clock)
        self.life = 0
        self.running = False
        self.timers = TimerQueue()
        self.effects: dict[str, deque[Any]] = {}
        self.reports: list[str] = []
        self.published: list[tuple[MetadataImage, Any]] = []
        self.logs: LogManager
        self.log: PartitionRaftLog
        self.quorum: MetadataQuorum
        self.controller: Controller

    @property
    def endpoints(self) -> tuple[tuple[str, str, int], ...]:
        return ((LISTENER, *self.address),)

    def start(self) -> None:
        world = self.world
        self.life += 1
        self.running = True
        self.timers = TimerQueue()
        self.effects = {}
        self.published = []
        rng = random.Random(f"{world.seed}/{self.node_id}/{self.life}")
        self.logs = LogManager(self.disk, [DIRECTORY], world.clock, rng, ballast_bytes=0)
        self.logs.open(self.node_id, CLUSTER)
        self.logs.on_work = self._take_rounds
        self.log = open_metadata_log(self.logs, segment_bytes=world.segment_bytes)
        if world.kraft_version and self.node_id in world.voter_ids:
            bootstrap.format_directory(
                self.disk, DIRECTORY, METADATA, BOOTSTRAP_FEATURES, world.voters, world.clock.wall_ms()
            )
        self.quorum = MetadataQuorum(
            QuorumOptions(
                node_id=self.node_id,
                cluster_id=CLUSTER,
                directory_id=self.directory_id,
                endpoints=self.endpoints,
                voters=NO_VOTERS if world.kraft_version else world.voters,
                bootstrap=tuple(world.members[voter].address for voter in world.voter_ids),
                snapshot_bytes=world.snapshot_bytes,
                node=world.settings,
            ),
            files=self.disk,
            log=self.log,
            clock=world.clock,
            rng=rng,
            timers=self.timers,
            run_blocking=lambda *call: self._submit(BlockingCall(*call)),
            client=PeerClient(_Network(world, self), f"node-{self.node_id}"),
            report=self.reports.append,
        )
        self.controller = Controller(
            ControllerSettings((EndpointImage(LISTENER, *self.address, 0),)),
            quorum=self.quorum,
            files=self.disk,
            rng=rng,
            # The broker that holds the topics is not there, so it sends no heartbeats.
            config=BrokerConfig.from_properties(
                {"node.id": str(self.node_id), "broker.session.timeout.ms": "1000000000"}
            ),
        )
        self.quorum.on_image(self._image)
        self.quorum.start()
        world.check_image(self.quorum.image)

    def stop(self, *, power: bool = False) -> None:
        """Kill the process, or cut the power."""
        if not self.running:
            return
        self.running = False
        self.disk.kill()
        rng = self.world.rng
        self.disk = self.disk.after_power_loss(rng) if power else self.disk.after_kill(rng)

    def replace_disk(self) -> None:
        self.disk = SimDisk(f"{self.world.seed} {self.node_id} {self.life}", clock=self.world.clock)

    def _image(self, image: MetadataImage, delta: Any) -> None:
        if self.world.keep_deltas:
            self.published.append((image, delta))
        self.world.check_image(image)

    # Blocking work: each piece runs and is told a little later, those of one queue one after the other.

    def _take_rounds(self) -> None:
        world, life = self.world, self.life

        def take() -> None:
            if self.running and self.life == life:
                while (effect := self.logs.take_flush_round()) is not None:
                    self._submit(effect)

        world.later(0, take)

    def _submit(self, effect: Any) -> None:
        queue = self.effects.setdefault(effect.queue, deque())
        queue.append(effect)
        if len(queue) == 1:
            self._run_next(queue)

    def _run_next(self, queue: deque[Any]) -> None:
        world, life = self.world, self.life

        def run() -> None:
            if not self.running or self.life != life:
                return
            error: BaseException | None = None
            try:
                queue[0].run()
            except OSError as caught:
                error = caught
            world.later(world.rng.randint(*DISK_MS), lambda: complete(error))

        def complete(error: BaseException | None) -> None:
            if not self.running or self.life != life:
                return
            effect = queue.popleft()
            if queue:
                self._run_next(queue)
            effect.complete(error)

        world.later(world.rng.randint(*DISK_MS), run)

    # Requests of clients

    def register(self, broker_id: int) -> Deferred[Any]:
        return self.controller.register_own_broker(
            BrokerRegistrationRequest(
                broker_id=broker_id,
                cluster_id=CLUSTER,
                incarnation_id=bytes([broker_id]) * 16,
                listeners=[Listener(name="PLAINTEXT", host="localhost", port=9092)],
                features=[
                    Feature(name=name, min_supported_version=low, max_supported_version=high)
                    for name, (low, high) in SUPPORTED_FEATURES.items()
                ],
                log_dirs=[bytes([100 + broker_id]) * 16],
            )
        )

    def create(self, name: str) -> Deferred[Any]:
        """Ask for a topic; the error code."""
        topic = CreatableTopic(name=name, num_partitions=1, replication_factor=1)
        request = CreateTopicsRequest(topics=[topic], timeout=1_000)
        return self.controller.create_topics(request, 7).map(lambda answer: answer.topics[0].error_code)


class _Network:
    """`Peers` of one member's process."""

    def __init__(self, world: World, source: Member) -> None:
        self._world = world
        self._source = source
        self._life = source.life

    def send(
        self,
        channel: str,
        address: tuple[str, int],
        frame: Sequence[bytes | bytearray | memoryview],
        timeout_ms: float,
        done: Callable[[memoryview | None], None],
    ) -> None:
        world, source, life = self._world, self._source, self._life
        target = world.by_address.get(address)
        content = b"".join(frame)
        ended = False

        def end(answer: bytes | None) -> None:
            nonlocal ended
            if ended or not source.running or source.life != life:
                return
            ended = True
            done(None if answer is None else memoryview(bytearray(answer)))

        def arrive() -> None:
            if target is None or not target.running or not world.reaches(source, target):
                if target is not None and not target.running:
                    end(None)
                return
            target_life = target.life

            def answer(response: bytes) -> None:
                world.later(world.rng.randint(*LATENCY_MS), lambda: back(response))

            def back(response: bytes) -> None:
                if target is not None and target.life == target_life and world.reaches(target, source):
                    end(response)

            world.serve(target, content, answer)

        world.later(world.rng.randint(*LATENCY_MS), arrive)
        world.later(timeout_ms, lambda: end(None))


class World:
    """All members, what happens to them, and what must hold."""

    def __init__(
        self,
        seed: int,
        *,
        voters: int = 3,
        observers: int = 0,
        kraft_version: int = 1,
        snapshot_bytes: int = 1 << 30,
        segment_bytes: int = 2_000,
        keep_deltas: bool = False,
        start: bool = True,
    ) -> None:
        self.seed = seed
        self.rng = random.Random(f"quorum {seed}")
        self.clock = ManualClock()
        self.settings = QuorumSettings()
        self.kraft_version = kraft_version
        self.snapshot_bytes = snapshot_bytes
        self.segment_bytes = segment_bytes
        self.keep_deltas = keep_deltas
        self.voter_ids = range(1, voters + 1)
        self.members = {node_id: Member(self, node_id) for node_id in range(1, voters + observers + 1)}
        self.by_address = {member.address: member for member in self.members.values()}
        self.voters = VoterSet(
            Voter(
                node_id,
                self.members[node_id].directory_id if kraft_version else bytes(16),
                self.members[node_id].endpoints,
            )
            for node_id in self.voter_ids
        )
        self.cut: set[tuple[int, int]] = set()
        self.images: dict[int, MetadataImage] = {}
        self.trace = hashlib.sha256()
        self._events: list[tuple[float, int, Callable[[], None]]] = []
        self._sequence = 0
        if start:
            for member in self.members.values():
                member.start()

    # Time

    @property
    def now(self) -> float:
        return self.clock.monotonic_ms()

    def later(self, delay_ms: float, callback: Callable[[], None]) -> None:
        self._sequence += 1
        heapq.heappush(self._events, (self.now + delay_ms, self._sequence, callback))

    def step(self) -> None:
        """The next thing that happens, a message or a timer."""
        deadlines = [
            (deadline, member)
            for member in self.members.values()
            if member.running and (deadline := member.timers.next_deadline_ms()) is not None
        ]
        deadline, member = min(deadlines, key=lambda item: item[0], default=(float("inf"), None))
        at = self._events[0][0] if self._events else float("inf")
        self.clock.advance(max(math.ceil(min(at, deadline) - self.now), 0))
        if at <= deadline:
            heapq.heappop(self._events)[2]()
        elif member is not None:
            member.timers.advance(self.now)

    def run(self, milliseconds: float) -> None:
        end = self.now + milliseconds
        self.later(milliseconds, lambda: None)
        while self.now < end:
            self.step()

    def until(self, condition: Callable[[], Any], limit_ms: float = 60_000) -> Any:
        """Go on until there is something; AssertionError when it takes too long."""
        end = self.now + limit_ms
        while not (found := condition()):
            assert self.now < end, f"not within {limit_ms} ms: {self.describe()}"
            self.step()
        return found

    # The network

    def reaches(self, source: Member, target: Member) -> bool:
        return (source.node_id, target.node_id) not in self.cut

    def isolate(self, *node_ids: int) -> None:
        """Cut these off from the others, both ways; those that were cut off before are not any more."""
        others = [node_id for node_id in self.members if node_id not in node_ids]
        self.cut = {pair for a in node_ids for b in others for pair in ((a, b), (b, a))}

    def heal(self) -> None:
        self.cut = set()

    def serve(self, target: Member, frame: bytes, answer: Callable[[bytes], None]) -> None:
        """What a controller listener does with a frame."""
        header = parse_request_header(frame)
        key, version = header.api_key, header.api_version
        self.trace.update(b"%d %d %d " % (target.node_id, int(self.now), key) + frame)

        def respond(message: Any) -> None:
            body = codec.encode_response(message, version)
            answer(response_header(key, version, header.correlation_id) + body)

        if key == API_VERSIONS:
            feature = SupportedFeatureKey(name="kraft.version", min_version=0, max_version=1)
            respond(ApiVersionsResponse(supported_features=[feature]))
            return
        request = codec.decode_request(key, version, frame, header.body_offset)
        target.quorum.handle(request).then(respond)

    # What must hold

    def check_image(self, image: MetadataImage) -> None:
        if image.offset < 0:
            # What formatting has left differs: who votes is there, or not.
            return
        known = self.images.setdefault(image.offset, image)
        assert image == known, f"two images at offset {image.offset}"

    def active(self) -> Member | None:
        """The active controller; after a partition the one of the latest epoch."""
        found = [m for m in self.members.values() if m.running and m.controller.active]
        return max(found, key=lambda member: member.quorum.epoch, default=None)

    def elect(self) -> Member:
        found: Member = self.until(self.active)
        return found

    def settled(self) -> bool:
        """Whether all that run have the same, newest image."""
        leader = self.active()
        if leader is None:
            return False
        end = leader.log.end_offset
        return all(m.quorum.image.offset + 1 == end for m in self.members.values() if m.running)

    def settle(self) -> Member:
        """Heal everything, start everybody, and wait until all agree."""
        self.heal()
        for member in self.members.values():
            if not member.running:
                member.start()
        self.until(self.settled)
        leader = self.active()
        assert leader is not None
        images = [member.quorum.image for member in self.members.values()]
        assert all(image == images[0] for image in images)
        return leader

    def describe(self) -> str:
        return "; ".join(
            f"{m.node_id}: down"
            if not m.running
            else f"{m.node_id}: {m.quorum.node.role.value} epoch {m.quorum.epoch} end {m.log.end_offset} "
            f"image {m.quorum.image.offset} {m.quorum.failure or ''}"
            for m in self.members.values()
        )

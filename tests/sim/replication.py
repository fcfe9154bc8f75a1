"""Three replicas of one partition, on simulated disks, with lossy connections and an ideal controller.

In: a seed, or steps chosen by somebody else. Out: a `Violation` with what was done. What is real: the replica
manager, the fetchers, the Fetch and ListOffsets handlers with their codecs, partitions and logs. What is ideal:
the controller (compare-and-set on the partition epoch, KIP-903 broker epochs, KIP-966 eligible leader
replicas, elections from ISR and ELR only). What goes wrong: requests and responses are lost or late, also after
their sender gave up; metadata reaches each broker when it likes; processes are killed; power fails.

At most one broker at a time is damaged: from an unclean stop until it is in the ISR again. That is what
min.insync.replicas = 2 promises to survive (with flushes, all may lose power at once).

What must hold, whatever happens:

- a broker that the controller elects has every acknowledged record, and so has, after a blackout with flushes,
  every member of the ISR; who joins the ISR has them, and a record is acknowledged when the whole ISR has it (of
  those that run, the damaged one aside);
- what a follower has told its leader of an epoch is so: its log does not end below the leader's high watermark;
- the ISR of the controller is within the maximal ISR of the leader that it has elected;
- what is below a recovery point, and with flushes what a broker counts for itself, is on its disk;
- log start <= high watermark <= log end;
- what some consumer could read at an offset is what every consumer reads there, for ever, on leader or follower;
- a high watermark never goes back while its process lives;
- when everything heals, all logs are equal byte for byte, everything acknowledged is there, and there is an ISR
  of three.
"""

from __future__ import annotations

import random
from collections import deque
from collections.abc import Callable
from types import SimpleNamespace
from typing import Any

from pybroker.common.clock import ManualClock
from pybroker.common.config import BrokerConfig
from pybroker.common.deferred import Deferred
from pybroker.common.errors import ErrorCode
from pybroker.common.steps import run_steps
from pybroker.common.timers import TimerQueue
from pybroker.handlers import fetch, list_offsets
from pybroker.handlers.context import Connection, Context, LocalTopic, Request
from pybroker.handlers.fetch_sessions import FetchSessionCache
from pybroker.log import LogConfig, LogManager
from pybroker.metadata.delta import MetadataDelta, TopicChange
from pybroker.metadata.image import (
    BrokerImage,
    EndpointImage,
    MetadataImage,
    PartitionImage,
    TopicImage,
    empty_image,
)
from pybroker.records.batch import Record, build_batch, crc_matches, iter_headers, iter_records
from pybroker.records.validation import WalkPolicy
from pybroker.replication.replicas import ReplicaEnvironment, ReplicaManager
from pybroker.wire import codec
from pybroker.wire.client import api_key_of
from pybroker.wire.messages.alter_partition import (
    AlterPartitionResponse,
    ResponsePartitionData,
    ResponseTopicData,
)
from tests.sim.disk import SimDisk, is_on_disk

TOPIC = "T"
TOPIC_ID = bytes(range(16))
NODES = (1, 2, 3)
MIN_ISR = 2
NOW = 1_700_000_000_000
LAG_MS = 1000
_HANDLERS = {1: fetch.handle, 2: list_offsets.handle}


class Violation(AssertionError):
    """What must hold did not."""


class Call:
    """A request between brokers, or its response, on its way."""

    def __init__(self, source: Node, target: int, key: int, version: int, frame: bytes, done: Any) -> None:
        self.source = source
        self.target = target
        self.key = key
        self.version = version
        self.frame = frame
        # None: the sender has given up.
        self.done: Callable[[Any], None] | None = done
        self.sent = False
        self.reply: bytes | None = None


class Client:
    """In the place of `PeerClient`: calls wait in the world until they are delivered."""

    def __init__(self, world: World, node: Node) -> None:
        self.world = world
        self.node = node

    def call(
        self, channel: str, address: Any, message: Any, version: int, timeout_ms: float, done: Any
    ) -> None:
        frame = codec.encode(message, version)
        self.world.calls.append(Call(self.node, address[1], api_key_of(message), version, frame, done))


class Node:
    """One process of a broker."""

    def __init__(self, world: World, node_id: int, disk: SimDisk) -> None:
        self.world = world
        self.node_id = node_id
        self.disk = disk
        self.alive = True
        self.timers = TimerQueue()
        self.broker_epoch = -1
        self.highest = 0
        self.counted = (0, 0)
        self.waiting: list[tuple[int, list[bytes]]] = []
        self.images: deque[MetadataImage] = deque()
        # Flush rounds that were done and whose outcome was not told yet.
        self.rounds: list[Any] = []
        self.config = BrokerConfig.from_properties(
            {
                "node.id": str(node_id),
                "replica.lag.time.max.ms": str(LAG_MS),
                "replica.fetch.backoff.ms": "100",
                "replica.fetch.max.bytes": "300",
                "replica.fetch.response.max.bytes": "1000",
                "pybroker.durability": world.durability,
                "listeners": "PLAINTEXT://localhost:9092",
            }
        )
        self.log_config = LogConfig(
            segment_bytes=world.segment_bytes, min_insync_replicas=MIN_ISR, index_interval_bytes=200
        )
        self.logs = LogManager(
            disk,
            ["/data"],
            world.clock,
            random.Random(world.rng.getrandbits(32)),
            self.log_config,
            ballast_bytes=0,
            high_watermark_checkpoint_interval_ms=500,
            checkpoint_interval_ms=300,
            report=lambda line: world.note(f"{node_id}: {line}"),
        )
        self.logs.open(node_id)
        context = self.context = Context()
        context.broker_id = node_id
        context.clock = world.clock
        context.config = self.config
        context.timers = self.timers
        context.topics = {}
        context.topics_by_id = {}
        context.metadata = world.image
        context.fetch_sessions = FetchSessionCache(100, random.Random(node_id))
        context.run_blocking = lambda queue, function, done: (function(), done(None))  # type: ignore[assignment]
        self.connection = Connection(
            "h", 1, "PLAINTEXT", WalkPolicy("header"), world.clock.wall_ms, SimpleNamespace()
        )
        self.image = world.image
        self.replicas = ReplicaManager(
            ReplicaEnvironment(
                node_id=node_id,
                clock=world.clock,
                timers=self.timers,
                logs=self.logs,
                config=lambda: self.config,
                log_config=lambda image, topic: self.log_config,
                broker_epoch=lambda: self.broker_epoch,
                client=Client(world, self),  # type: ignore[arg-type]
                ask_controller=self._ask,
                on_hosted=self._on_hosted,
                on_role=lambda partition: None,
                report=lambda line: world.note(f"{node_id}: {line}"),
            )
        )
        self.logs.load(lambda *key: self.replicas.log_config_of(self.image, *key))
        # Before the first image it has no role, as a broker that has not caught up with the metadata.
        self.started = False

    def _ask(self, request: Any, version: int) -> Deferred[Any]:
        answer: Deferred[Any] = Deferred()
        frame = codec.encode(request, version)
        self.world.proposals.append((self, codec.decode(type(request), version, frame)[0], answer))
        return answer

    def _on_hosted(self, topic: TopicImage, index: int, partition: Any) -> None:
        local = self.context.topics.setdefault(TOPIC, LocalTopic(TOPIC, topic.topic_id))
        local.partitions[index : index + 1] = [partition]
        self.context.topics_by_id[topic.topic_id] = local

    @property
    def partition(self) -> Any:
        return self.replicas.partition(TOPIC_ID, 0)

    def take_image(self) -> None:
        """The newest of the images that wait, or the next one."""
        image = self.images.popleft()
        old, self.image = self.image, image
        self.context.metadata = image
        if not self.started:
            self.started = True
            run_steps(self.replicas.start(image))
            return
        delta = MetadataDelta(
            changed_topics=(TopicChange(old.topics[TOPIC], image.topics[TOPIC]),), brokers_changed=True
        )
        run_steps(self.replicas.apply(image, delta))

    def flush(self, *, halfway: bool = False) -> None:
        """Sync what is to be synced; `halfway`: the outcome of one round is told later."""
        rounds, self.rounds = self.rounds, []
        for work in rounds:
            work.complete(None)
        while (work := self.logs.take_flush_round()) is not None:
            work.run()
            if halfway:
                self.rounds.append(work)
                return
            work.complete(None)

    def content(self, first: int = 0) -> list[tuple[int, bytes]]:
        """(offset, value) of all records from an offset on, straight from the log."""
        log = self.partition.log if self.partition is not None else self.logs.get(TOPIC, 0)
        return (
            records_of(log, max(first, log.log_start_offset), log.log_end_offset) if log is not None else []
        )


def bytes_of(log: Any, start: int, end: int) -> bytes:
    found = b""
    while start < end:
        part = bytes(log.read(start, 1 << 20, end_offset=end, min_one_batch=True).records)
        if not part:
            break
        found += part
        for _, header in iter_headers(part):
            start = header.next_offset
    return found


def records_of(log: Any, start: int, end: int) -> list[tuple[int, bytes]]:
    data = bytes_of(log, start, end)
    found = []
    for position, header in iter_headers(data):
        for record in iter_records(data[position : position + header.size]):
            if start <= record.offset < end:
                found.append((record.offset, record.value or b""))
    return found


class World:
    """The brokers, what is between them, and the model."""

    def __init__(
        self, seed: int = 0, *, durability: str = "os", segment_bytes: int = 1000, companion: bool = False
    ) -> None:
        self.rng = random.Random(f"replication {seed}")
        self.durability = durability
        self.segment_bytes = segment_bytes
        self.clock = ManualClock(NOW)
        self.history: deque[str] = deque(maxlen=300)
        self.calls: list[Call] = []
        self.proposals: list[tuple[Node, Any, Deferred[Any]]] = []
        self.answers: list[tuple[Node, Any, Deferred[Any]]] = []
        # The controller.
        self.next_epoch = 10
        self.brokers = dict.fromkeys(NODES, 0)
        self.fenced = set(NODES)
        self.wanted = PartitionImage(NODES, NODES, 1, 0, 0)
        # A second partition, without records, which keeps fetchers alive while the first one moves.
        self.companion = PartitionImage(NODES, NODES, 1, 0, 0) if companion else None
        # (follower, leader): responses that are late.
        self.stalled: set[tuple[int, int]] = set()
        self.offset = 0
        self.damaged: int | None = None
        # The model.
        self.counter = 0
        self.acked: dict[int, bytes] = {}
        # Below it consumers have had records deleted.
        self.deleted = 0
        self.seen: dict[int, bytes] = {}
        self.elections = 0
        self.image = self._make_image()
        self.nodes = {node_id: Node(self, node_id, SimDisk(f"{seed} {node_id}")) for node_id in NODES}
        for node_id in NODES:
            self._register(node_id)
            self.unfence(node_id)
        self.heal()

    def note(self, line: str) -> None:
        self.history.append(line)

    # ---- the controller ------------------------------------------------------------------------------

    def _make_image(self) -> MetadataImage:
        partitions = (self.wanted,) if self.companion is None else (self.wanted, self.companion)
        topic = TopicImage(TOPIC, TOPIC_ID, partitions)
        return empty_image("c")._replace(
            offset=self.offset,
            topics={TOPIC: topic},  # type: ignore[arg-type]
            topics_by_id={TOPIC_ID: topic},  # type: ignore[arg-type]
            brokers={
                node_id: BrokerImage(
                    node_id,
                    epoch,
                    bytes(16),
                    (EndpointImage("PLAINTEXT", "n", node_id, 0),),
                    (),
                    None,
                    node_id in self.fenced,
                    False,
                    (),
                )
                for node_id, epoch in self.brokers.items()
                if epoch
            },
        )

    def _publish(self) -> None:
        self._move_companion()
        self.offset += 1
        self.image = self._make_image()
        for node in self.nodes.values():
            if node.alive:
                node.images.append(self.image)

    def _move_companion(self, gone: int = -1) -> None:
        """Anybody can lead it: there is nothing in it."""
        old = self.companion
        if old is None or (old.leader not in self.fenced and old.leader != gone):
            return
        leader = next((b for b in NODES if b not in self.fenced and b != gone), old.leader)
        if leader != old.leader or old.leader == gone:
            self.companion = old._replace(
                isr=(leader,),
                leader=leader,
                leader_epoch=old.leader_epoch + 1,
                partition_epoch=old.partition_epoch + 1,
            )

    def elect(self, choice: int) -> None:
        """Another member of the ISR leads, and the old leader goes on."""
        usable = [b for b in self.wanted.isr if b not in self.fenced and b != self.wanted.leader]
        if not usable or self.wanted.leader < 0:
            return
        leader = usable[choice % len(usable)]
        if self.companion is not None and self.companion.leader in usable and choice % 3:
            # Whoever follows it has a fetcher there already.
            leader = self.companion.leader
        self.wanted = self.wanted._replace(
            leader=leader,
            leader_epoch=self.wanted.leader_epoch + 1,
            partition_epoch=self.wanted.partition_epoch + 1,
        )
        self.note(f"controller elects {leader} of {self.wanted.isr}, epoch {self.wanted.leader_epoch}")
        self.elections += 1
        self._check_has_all(leader, "elected")
        self._publish()

    def _change(self, isr: tuple[int, ...], elr: tuple[int, ...]) -> None:
        """Set ISR and ELR, and elect if the leader is not among them."""
        old = self.wanted
        lost = [b for b in old.isr if b not in isr and b not in elr]
        if len(isr) < MIN_ISR:
            elr = tuple(dict.fromkeys((*elr, *(b for b in lost if b != self._gone))))
        else:
            elr = ()
        elr = tuple(b for b in elr if b not in isr)
        leader, leader_epoch = old.leader, old.leader_epoch
        if leader not in isr or leader in self.fenced:
            leader = -1
            for candidates in (isr, elr):
                usable = [b for b in old.replicas if b in candidates and b not in self.fenced]
                if usable:
                    leader = usable[0]
                    break
            if leader >= 0 and leader not in isr:
                isr = (*isr, leader)
                elr = tuple(b for b in elr if b != leader)
            if leader != old.leader:
                leader_epoch += 1
        # A member that leaves while nobody is elected anew does not change the leader epoch.
        new = old._replace(
            isr=isr,
            eligible_leader_replicas=elr,
            leader=leader,
            leader_epoch=leader_epoch,
            partition_epoch=old.partition_epoch + 1,
        )
        if new._replace(partition_epoch=old.partition_epoch) == old:
            return
        self.wanted = new
        self.note(
            f"controller: isr {isr} elr {elr} leader {leader} epoch {leader_epoch}/{new.partition_epoch}"
        )
        if leader >= 0 and leader_epoch != old.leader_epoch:
            self.elections += 1
            self._check_has_all(leader, "elected")
        if self.damaged in self.wanted.isr and not self.damage_is_secret:
            self.damaged = None

    _gone = -1
    # The damaged broker has not registered again: the controller does not know yet.
    damage_is_secret = False

    def fence(self, node_id: int) -> None:
        if node_id in self.fenced:
            return
        self.note(f"controller fences {node_id}")
        self.fenced.add(node_id)
        self._change(tuple(b for b in self.wanted.isr if b != node_id), self.wanted.eligible_leader_replicas)
        self._publish()

    def unfence(self, node_id: int) -> None:
        if node_id not in self.fenced or not self.nodes[node_id].alive:
            return
        self.note(f"controller unfences {node_id}")
        self.fenced.discard(node_id)
        self._change(self.wanted.isr, self.wanted.eligible_leader_replicas)
        self._publish()

    def _register(self, node_id: int, *, clean: bool = True) -> None:
        """A new incarnation; an unclean one leaves ISR and ELR."""
        self.fenced.add(node_id)
        if node_id == self.damaged:
            self.damage_is_secret = False
        self._gone = -1 if clean else node_id
        isr = tuple(b for b in self.wanted.isr if b != node_id)
        elr = self.wanted.eligible_leader_replicas
        if clean and self.brokers[node_id]:
            self._change(isr, elr)
        elif not clean:
            self._change(isr, tuple(b for b in elr if b != node_id))
        self._gone = -1
        self._move_companion(node_id)
        self.next_epoch += 1
        self.brokers[node_id] = self.next_epoch
        self.nodes[node_id].broker_epoch = self.next_epoch
        self._publish()

    def decide(self) -> None:
        """The controller takes the oldest AlterPartition request."""
        node, request, answer = self.proposals.pop(0)
        if not node.alive:
            return
        if request.broker_epoch != self.brokers[node.node_id]:
            response = AlterPartitionResponse(error_code=ErrorCode.STALE_BROKER_EPOCH)
        else:
            partitions = []
            for asked in request.topics[0].partitions:
                is_first = asked.partition_index == 0
                alter = self._alter if is_first else self._alter_companion
                error = alter(node.node_id, asked)
                wanted = self.wanted if is_first else self.companion
                partitions.append(
                    ResponsePartitionData(
                        partition_index=asked.partition_index,
                        error_code=error,
                        leader_id=wanted.leader,
                        leader_epoch=wanted.leader_epoch,
                        isr=list(wanted.isr),
                        partition_epoch=wanted.partition_epoch,
                    )
                )
            response = AlterPartitionResponse(
                topics=[ResponseTopicData(topic_id=TOPIC_ID, partitions=partitions)]
            )
        self.answers.append((node, response, answer))

    def _alter(self, broker_id: int, asked: Any) -> ErrorCode:
        wanted = self.wanted
        if asked.leader_epoch != wanted.leader_epoch or wanted.leader != broker_id:
            return ErrorCode.FENCED_LEADER_EPOCH
        if asked.partition_epoch != wanted.partition_epoch:
            return ErrorCode.INVALID_UPDATE_VERSION
        for member in asked.new_isr_with_epochs:
            if member.broker_id in self.fenced:
                return ErrorCode.INELIGIBLE_REPLICA
            if member.broker_epoch not in (-1, self.brokers[member.broker_id]):
                return ErrorCode.INELIGIBLE_REPLICA
        isr = tuple(member.broker_id for member in asked.new_isr_with_epochs)
        for node_id in isr:
            if node_id not in wanted.isr and self.nodes[node_id].alive:
                self._check_has_all(node_id, "joining the ISR")
        self._change(isr, wanted.eligible_leader_replicas)
        self._publish()
        return ErrorCode.NONE

    def _alter_companion(self, broker_id: int, asked: Any) -> ErrorCode:
        wanted = self.companion
        assert wanted is not None
        if asked.leader_epoch != wanted.leader_epoch or wanted.leader != broker_id:
            return ErrorCode.FENCED_LEADER_EPOCH
        if asked.partition_epoch != wanted.partition_epoch:
            return ErrorCode.INVALID_UPDATE_VERSION
        isr = tuple(member.broker_id for member in asked.new_isr_with_epochs)
        if any(node_id in self.fenced for node_id in isr):
            return ErrorCode.INELIGIBLE_REPLICA
        self.companion = wanted._replace(isr=isr, partition_epoch=wanted.partition_epoch + 1)
        self._publish()
        return ErrorCode.NONE

    def answer(self, lost: bool) -> None:
        node, response, answer = self.answers.pop(0)
        if node.alive:
            answer.resolve(None if lost else response)

    # ---- connections ---------------------------------------------------------------------------------

    def deliver(self, choice: int) -> None:
        """A request reaches its broker, or a response its sender; in order on each connection."""
        heads: dict[tuple[int, int, bool], Call] = {}
        for call in self.calls:
            if (call.source.node_id, call.target) in self.stalled and call.sent:
                continue
            if not call.sent or call.reply is not None:
                heads.setdefault((id(call.source), call.target, call.sent), call)
        if not heads:
            return
        call = list(heads.values())[choice % len(heads)]
        if call.sent:
            self.calls.remove(call)
            if call.done is not None and call.source.alive:
                assert call.reply is not None
                answer = codec.decode(codec.response_class(call.key), call.version, memoryview(call.reply))[0]
                call.done(answer)
            return
        target = self.nodes[call.target]
        if not target.alive or not target.started:
            self.fail(call)
            return
        call.sent = True
        message = codec.decode_request(call.key, call.version, memoryview(bytearray(call.frame)))
        request = Request(call.key, call.version, "replica", message, target.connection)
        reply = _HANDLERS[call.key](target.context, request)

        def done(response: Any) -> None:
            call.reply = codec.encode(response, call.version)

        reply.then(done) if isinstance(reply, Deferred) else done(reply)

    def fail(self, call: Call) -> None:
        """The connection of a call breaks: all that is under way on it is lost, or goes on as a ghost."""
        for other in list(self.calls):
            if other.source is call.source and other.target == call.target:
                done, other.done = other.done, None
                if other.sent or self.rng.random() < 0.7:
                    self.calls.remove(other)
                if done is not None and other.source.alive:
                    done(None)

    def lose(self, choice: int) -> None:
        if self.calls:
            self.fail(self.calls[choice % len(self.calls)])

    # ---- brokers -------------------------------------------------------------------------------------

    def advance(self, milliseconds: int) -> None:
        self.clock.advance(milliseconds)
        now = self.clock.monotonic_ms()
        for node in self.nodes.values():
            if node.alive:
                node.timers.advance(now)
                node.logs.tick(now)

    def settle_timers(self) -> None:
        for node in self.nodes.values():
            while node.alive and node.timers.advance(self.clock.monotonic_ms()):
                pass

    def _stop(self, node: Node) -> None:
        node.alive = False
        node.replicas.stop()
        for call in [call for call in self.calls if call.target == node.node_id and call.done is not None]:
            if call in self.calls and not (not call.sent and self.rng.random() < 0.3):
                self.fail(call)
        self.answers = [entry for entry in self.answers if entry[0] is not node]

    def stop(self, node_id: int, how: str) -> None:
        """how: clean, kill, power. Only one broker may be damaged at a time."""
        node = self.nodes[node_id]
        if not node.alive or (how != "clean" and self.damaged not in (None, node_id)):
            return
        self.note(f"{node_id}: stops ({how})")
        if how == "clean":
            self.fence(node_id)
            self._stop(node)
            node.flush()
            node.logs.close(clean=True, broker_epoch=node.broker_epoch)
        else:
            self.damaged, self.damage_is_secret = node_id, True
            self._stop(node)
            node.disk = (
                node.disk.after_kill(self.rng) if how == "kill" else node.disk.after_power_loss(self.rng)
            )
        node.how = how  # type: ignore[attr-defined]

    def restart(self, node_id: int) -> None:
        old = self.nodes[node_id]
        if old.alive:
            return
        how = old.how  # type: ignore[attr-defined]
        self.note(f"{node_id}: starts again")
        old.disk.locked.clear()
        node = self.nodes[node_id] = Node(self, node_id, old.disk)
        if self.nodes[node_id].logs.get(TOPIC, 0) is not None:
            self._check_sound(node)
        self._register(node_id, clean=how == "clean")

    def blackout(self) -> None:
        """Everybody loses power, and the controller forgets nothing: with flushes nobody may have lost any of
        what was acknowledged and who is in the ISR keeps it."""
        if self.durability != "fsync" or self.damaged or not all(node.alive for node in self.nodes.values()):
            return
        self.note("blackout")
        isr = self.wanted.isr
        for node_id, node in list(self.nodes.items()):
            self._stop(node)
            disk = node.disk.after_power_loss(self.rng)
            self.nodes[node_id] = Node(self, node_id, disk)
        self.calls, self.proposals, self.answers = [], [], []
        for node_id in isr:
            self._check_has_all(node_id, "in the ISR of a blackout")
        for node_id in NODES:
            # As if the stop had been clean.
            self._register(node_id)
        self.damaged = None

    # ---- clients -------------------------------------------------------------------------------------

    def produce(self, node_id: int, size: int) -> None:
        node = self.nodes[node_id]
        partition = node.partition
        if not node.alive or partition is None:
            return
        values = []
        for _ in range(1 + size % 3):
            self.counter += 1
            values.append(b"%d" % self.counter + b"." * (size % 50))
        batch = build_batch([Record(0, self.clock.wall_ms(), None, value) for value in values])
        outcome = partition.append(memoryview(bytearray(batch)), now_ms=self.clock.wall_ms(), acks=-1)
        if outcome.error:
            return

        def settled(error: ErrorCode) -> None:
            if error:
                return
            for offset, value in enumerate(values, outcome.base_offset):
                self.acked[offset] = value
                self._see(offset, value, f"acknowledged by {node_id}")
            for member in self.wanted.isr:
                if member != self.damaged and self.nodes[member].alive:
                    self._check_has_all(member, "in the ISR at an acknowledgement", outcome.base_offset)

        partition.on_high_watermark(outcome.end_offset, settled)

    def read(self, node_id: int) -> None:
        """A consumer reads all that it is shown."""
        node = self.nodes[node_id]
        partition = node.partition
        if not node.alive or partition is None or not (partition.is_leader or partition.is_follower):
            return
        found = partition.read(partition.log_start_offset, 1 << 20, min_one_batch=True, as_follower=True)
        if found.error:
            return
        if found.high_watermark > partition.log_end_offset:
            raise Violation(f"{node_id}: high watermark {found.high_watermark} beyond the log end")
        for offset, value in records_of(partition.log, partition.log_start_offset, found.high_watermark):
            self._see(offset, value, f"read from {node_id}")

    def delete(self, node_id: int, choice: int) -> None:
        """A consumer has everything below an offset deleted."""
        node = self.nodes[node_id]
        partition = node.partition
        if not node.alive or partition is None or not partition.is_leader:
            return
        offset = partition.log_start_offset + choice % 7
        error, _ = partition.delete_records(min(offset, partition.high_watermark))
        if not error:
            self.deleted = max(self.deleted, partition.log_start_offset)
            node.logs.tick(self.clock.monotonic_ms())

    def _see(self, offset: int, value: bytes, where: str) -> None:
        known = self.seen.setdefault(offset, value)
        if known != value:
            raise Violation(f"offset {offset}: {value!r} {where}, {known!r} before")

    # ---- checks --------------------------------------------------------------------------------------

    def stall(self, node_id: int, choice: int) -> None:
        """What the leader of the second partition answers this broker is late from now on; or it comes."""
        if self.stalled:
            self.stalled.clear()
        elif self.companion is not None:
            self.stalled.add((node_id, self.companion.leader))

    def _check_has_all(self, node_id: int, why: str, first: int = 0) -> None:
        has = dict(self.nodes[node_id].content(first))
        for offset, value in self.acked.items():
            if offset >= max(first, self.deleted) and has.get(offset) != value:
                raise Violation(
                    f"broker {node_id}, {why}, has {has.get(offset)!r} at {offset}, {value!r} was acknowledged"
                )

    def _check_sound(self, node: Node) -> None:
        log = node.logs.get(TOPIC, 0)
        assert log is not None
        data = bytes_of(log, log.log_start_offset, log.log_end_offset)
        end = log.log_start_offset
        for position, header in iter_headers(data):
            end = header.next_offset
            if not crc_matches(data, position):
                raise Violation(f"{node.node_id}: starts with a broken batch at {header.base_offset}")
        if end != log.log_end_offset:
            raise Violation(f"{node.node_id}: batches up to {end} in a log that ends at {log.log_end_offset}")

    def check(self) -> None:
        for node in self.nodes.values():
            partition = node.partition
            if not node.alive or partition is None:
                continue
            watermark = partition.high_watermark
            if watermark < node.highest:
                raise Violation(f"{node.node_id}: high watermark {watermark} after {node.highest}")
            node.highest = watermark
            log = partition.log
            if not log.log_start_offset <= watermark <= log.log_end_offset:
                raise Violation(
                    f"{node.node_id}: log start {log.log_start_offset}, high watermark {watermark}, log end "
                    f"{log.log_end_offset}"
                )
            own_end = partition.own_end_offset if self.durability == "fsync" else 0
            counted = (max(own_end, log.recovery_point), log.cut_count)
            if counted != node.counted:
                node.counted = counted
                if not is_on_disk(node.disk, log, counted[0]):
                    raise Violation(f"{node.node_id}: counts {counted[0]}, which is not on its disk")
            if partition.is_leader and partition.leader_epoch == self.wanted.leader_epoch:
                self._check_beliefs(node, watermark)

    def _check_beliefs(self, leader: Node, watermark: int) -> None:
        """It counts whoever is in the ISR, and they have everything below the high watermark if they follow it."""
        if not {*self.wanted.isr} <= {*leader.partition.replication.maximal_isr}:
            raise Violation(
                f"{leader.node_id}: the ISR is {self.wanted.isr}, its leader counts "
                f"{leader.partition.replication.maximal_isr}"
            )
        for member in leader.partition.replication.isr:
            node = self.nodes[member]
            partition = node.partition
            if (
                node.alive
                and member not in (leader.node_id, self.damaged)
                and partition is not None
                and partition.leader_epoch == leader.partition.leader_epoch
                and partition.log_end_offset < watermark
            ):
                raise Violation(
                    f"{member}: its log ends at {partition.log_end_offset}, the high watermark of its leader "
                    f"{leader.node_id} is {watermark}"
                )

    # ---- the end -------------------------------------------------------------------------------------

    def round(self) -> None:
        """Everything that can go well does."""
        for _ in range(6):
            for node in self.nodes.values():
                while node.alive and node.images:
                    node.take_image()
            self.settle_timers()
            while self.proposals:
                self.decide()
            while self.answers:
                self.answer(lost=False)
            for _ in range(40):
                if not any(not call.sent or call.reply is not None for call in self.calls):
                    break
                self.deliver(0)
                self.settle_timers()
            for node in self.nodes.values():
                if node.alive:
                    node.flush()
            self.settle_timers()
            self.check()
        self.advance(100)

    def heal(self) -> None:
        """Bring everything back and let it settle."""
        self.stalled.clear()
        for node_id in NODES:
            self.restart(node_id)
            self.unfence(node_id)
        for _ in range(60):
            self.round()
            logs = [node.partition.log for node in self.nodes.values()]
            ends = {(log.log_end_offset, log.high_watermark) for log in logs}
            if set(self.wanted.isr) == set(NODES) and len(ends) == 1 and len(set(ends.pop())) == 1:
                return
        raise Violation(
            f"it does not heal: isr {self.wanted.isr}, leader {self.wanted.leader}, "
            f"{[(n.node_id, n.partition.log_end_offset, n.partition.high_watermark) for n in self.nodes.values()]}"
        )

    def finish(self) -> None:
        self.heal()
        for node_id in NODES:
            self.read(node_id)
            self._check_has_all(node_id, "at the end")
        logs = [node.partition.log for node in self.nodes.values()]
        start = max(log.log_start_offset for log in logs)
        contents = {bytes_of(log, start, log.log_end_offset) for log in logs}
        if len(contents) != 1:
            raise Violation("the logs differ at the end")

    # ---- steps ---------------------------------------------------------------------------------------

    def step(self, action: str, choice: int) -> None:
        """Do one thing; `choice` says with whom or what."""
        node_id = NODES[choice % 3]
        node = self.nodes[node_id]
        if action == "produce":
            self.produce(self.wanted.leader if choice % 5 and self.wanted.leader > 0 else node_id, choice)
        elif action == "deliver":
            self.deliver(choice)
        elif action == "lose":
            self.lose(choice)
        elif action == "image" and node.alive and node.images:
            node.take_image()
        elif action == "decide" and self.proposals:
            self.decide()
        elif action == "answer" and self.answers:
            self.answer(lost=choice % 4 == 0)
        elif action == "advance":
            self.advance((1, 20, 100, 500, 1100)[choice % 5])
        elif action == "flush" and node.alive:
            node.flush(halfway=choice % 2 == 1)
        elif action == "read":
            self.read(node_id)
        elif action == "delete":
            self.delete(self.wanted.leader if self.wanted.leader > 0 else node_id, choice)
        elif action == "fence":
            self.fence(node_id)
        elif action == "unfence":
            self.unfence(node_id)
        elif action in ("clean", "kill", "power"):
            self.stop(node_id, action)
        elif action == "restart":
            self.restart(node_id)
        elif action == "bounce" and node.alive:
            # Back before anybody has missed it, with less in its log (KIP-903).
            self.stop(node_id, "power")
            self.restart(node_id)
            self.unfence(node_id)
        elif action == "blackout":
            self.blackout()
        elif action == "round":
            self.round()
        elif action == "elect":
            self.elect(choice)
        elif action == "stall":
            self.stall(node_id, choice)
        self.settle_timers()
        self.check()


# Action -> how often, in a random walk.
WEIGHTS = {
    "produce": 20,
    "deliver": 60,
    "lose": 2,
    "image": 20,
    "decide": 8,
    "answer": 8,
    "advance": 10,
    "flush": 12,
    "read": 6,
    "delete": 3,
    "fence": 3,
    "unfence": 6,
    "clean": 2,
    "kill": 2,
    "power": 2,
    "bounce": 2,
    "restart": 8,
    "blackout": 3,
    "round": 2,
    # Of walks with a second partition.
    "elect": 0,
    "stall": 0,
}


def walk(seed: int, length: int = 300, *, companion: bool = False) -> World:
    """A random walk; Violation (with `.history`) when something did not hold. `companion`: with a second
    partition, elections while nobody is gone, and responses that are late."""
    rng = random.Random(f"walk {seed}")
    world = World(
        seed,
        durability="fsync" if seed % 2 else "os",
        segment_bytes=rng.choice((400, 1000, 1 << 20)),
        companion=companion,
    )
    # A few of the troubles at a time.
    weights = {
        name: 0
        if name in ("lose", "delete", "fence", "clean", "kill", "power", "bounce", "blackout")
        and rng.random() < 0.4
        else weight
        for name, weight in WEIGHTS.items()
    }
    # Some controllers are slow, and so is some metadata.
    for name in ("decide", "answer", "image"):
        weights[name] = max(1, weights[name] // rng.choice((1, 1, 4, 8)))
    if companion:
        weights |= {"elect": 14, "stall": 4, "round": 8}
    names, chances = list(weights), list(weights.values())
    try:
        for _ in range(length):
            action, choice = rng.choices(names, chances)[0], rng.randrange(1000)
            world.note(f"{action} {choice}")
            world.step(action, choice)
        world.finish()
    except Violation as violation:
        violation.world = world  # type: ignore[attr-defined]
        raise
    return world


def main() -> None:
    """python -m tests.sim.replication [first seed] [count]: every other walk with a second partition"""
    import sys
    import traceback

    first = int(sys.argv[1]) if len(sys.argv) > 1 else 0
    count = int(sys.argv[2]) if len(sys.argv) > 2 else 100
    bad = acked = elections = 0
    for seed in range(first, first + count):
        try:
            world = walk(seed, companion=seed % 4 >= 2)
            acked += len(world.acked)
            elections += world.elections
        except Violation as violation:
            bad += 1
            print(f"seed {seed}: {violation}", flush=True)
        except Exception:
            bad += 1
            print(f"seed {seed}:", flush=True)
            traceback.print_exc()
    print(f"{count} walks, {acked} records acknowledged, {elections} elections, {bad} bad")


if __name__ == "__main__":
    main()

"""Several whole brokers in one process: one clock, files in memory, frames handed from one to the other.

In: properties, the passing of time, requests to any of them. Out: their answers. Everything happens in `run`;
there is no network that could fail by itself: tests cut links, stop nodes and start them again.
"""

from __future__ import annotations

import math
import random
from collections.abc import Callable, Sequence
from typing import Any

from pybroker.broker import CLOSE, Broker
from pybroker.common.clock import ManualClock
from pybroker.common.config import BrokerConfig
from pybroker.common.deferred import Deferred
from pybroker.common.files import write_file
from pybroker.common.memory_files import MemoryFileSystem
from pybroker.common.timers import TimerQueue
from pybroker.controller.formatting import Format, format_directories, random_uuid
from pybroker.log import meta_properties
from pybroker.log.manager import LOCK_FILE
from pybroker.log.meta_properties import MetaProperties
from pybroker.log.partition_log import encode_uuid
from pybroker.metadata.releases import LATEST_RELEASE, initial_features, release_level
from pybroker.raft.voters import Voter
from pybroker.wire import codec
from pybroker.wire.client import api_key_of
from pybroker.wire.headers import parse_response_header, request_header
from pybroker.wire.message import Message

CLIENTS_PORT = 9092
CONTROLLER_PORT = 9093
LATENCY_MS = 1
START_MS = 1_700_000_000_000
CLUSTER_ID = "c2V2ZXJhbC1icm9rZXJzAA"


class Link:
    """`Peers` of one node: frames go straight to the other broker, in order, in a later turn."""

    def __init__(self, cluster: Cluster, node_id: int) -> None:
        self._cluster = cluster
        self._node_id = node_id
        self._connections: dict[tuple[str, Any], Any] = {}

    def send(
        self,
        channel: str,
        address: tuple[str, int],
        frame: Sequence[Any],
        timeout_ms: float,
        done: Callable[[memoryview | None], None],
    ) -> None:
        cluster = self._cluster
        own = cluster.nodes[self._node_id].broker
        data = memoryview(bytearray(b"".join(frame)))
        finished = False
        timer = own.timers.schedule(cluster.clock.monotonic_ms() + timeout_ms, lambda: finish(None))

        def finish(answer: memoryview | None) -> None:
            nonlocal finished
            if not finished:
                finished = True
                timer.cancel()
                if cluster.nodes[self._node_id].broker is own:
                    done(answer)

        def arrive() -> None:
            other = cluster.reachable(self._node_id, address)
            if other is None:
                finish(None)
                return
            if (self._node_id, other.number) in cluster.silent:
                return
            cluster.answer(other, address, data, lambda reply: cluster.later(lambda: finish(reply)))

        cluster.later(arrive)


class Node:
    """One broker and its files."""

    def __init__(self, cluster: Cluster, number: int, properties: dict[str, str]) -> None:
        self.cluster = cluster
        self.number = number
        self.host = f"host{number}"
        self.properties = properties
        self.files = MemoryFileSystem()
        self.broker: Any = None
        self.lines: list[str] = []
        self.starts = 0

    def format(self, rng: random.Random, voters: Sequence[Voter] = ()) -> None:
        """As `pybroker storage format` for a dynamic quorum of these voters; bare directories without any."""
        config = BrokerConfig.from_properties(self.properties)
        if voters:
            features = initial_features(release_level(LATEST_RELEASE), {})
            wanted = Format(CLUSTER_ID, self.number, config.log_dirs, config.log_dirs[0], features, voters)
            for _ in format_directories(self.files, rng, START_MS, wanted):
                pass
            return
        for path in config.log_dirs:
            self.files.make_dirs(path)
            properties = MetaProperties(1, CLUSTER_ID, self.number, encode_uuid(rng.randbytes(16)))
            content = meta_properties.encode(properties, START_MS)
            write_file(self.files, f"{path}/{meta_properties.FILE_NAME}", content)

    def start(self) -> None:
        self.starts += 1
        config = BrokerConfig.from_properties(self.properties)
        broker = Broker(
            config, self.files, self.cluster.clock, random.Random(self.number * 100 + self.starts)
        )
        broker.report = self.lines.append
        for listener in config.listeners():
            broker.set_listener_port(listener.name, self.host, CLIENTS_PORT)
        for listener in config.controller_listeners():
            broker.set_listener_port(listener.name, self.host, CONTROLLER_PORT)
        broker.peers = Link(self.cluster, self.number)
        self.broker = broker
        broker.start()

    def kill(self) -> None:
        """kill -9; everything that was written is still there."""
        self.broker = None
        for path in BrokerConfig.from_properties(self.properties).log_dirs:
            self.files.unlock(f"{path}/{LOCK_FILE}")

    @property
    def image(self) -> Any:
        return self.broker._context.metadata


class Cluster:
    """Nodes 1 to N, all with both roles unless told otherwise."""

    def __init__(
        self,
        count: int = 3,
        *,
        roles: dict[int, str] | None = None,
        dynamic: bool = False,
        **properties: str,
    ) -> None:
        """The voters are static ones (kraft.version 0), or with `dynamic` on record."""
        self.clock = ManualClock(START_MS)
        self._network = TimerQueue()
        # (from, to): nothing arrives, and nobody is told.
        self.silent: set[tuple[int, int]] = set()
        # (from, to): refused.
        self.cut: set[tuple[int, int]] = set()
        self.nodes: dict[int, Node] = {}
        self._connections: dict[tuple[int, str], Any] = {}
        given = {number: (roles or {}).get(number, "broker,controller") for number in range(1, count + 1)}
        controllers = [number for number, role in given.items() if "controller" in role]
        if dynamic:
            name = "controller.quorum.bootstrap.servers"
            addresses = [f"host{number}:{CONTROLLER_PORT}" for number in controllers]
        else:
            name = "controller.quorum.voters"
            addresses = [f"{number}@host{number}:{CONTROLLER_PORT}" for number in controllers]
        for number, role in given.items():
            listeners = []
            if "broker" in role:
                listeners.append(f"PLAINTEXT://host{number}:{CLIENTS_PORT}")
            if "controller" in role:
                listeners.append(f"CONTROLLER://host{number}:{CONTROLLER_PORT}")
            self.nodes[number] = Node(
                self,
                number,
                {
                    "process.roles": role,
                    "node.id": str(number),
                    "controller.listener.names": "CONTROLLER",
                    name: ",".join(addresses),
                    "listeners": ",".join(listeners),
                    "listener.security.protocol.map": "CONTROLLER:PLAINTEXT,PLAINTEXT:PLAINTEXT",
                    "log.dirs": "/data",
                    "default.replication.factor": str(min(count, 3)),
                    "offsets.topic.num.partitions": "2",
                    "transaction.state.log.num.partitions": "2",
                    "log.cleaner.enable": "false",
                    **properties,
                },
            )
        rng = random.Random(7)
        voters = [
            Voter(number, random_uuid(rng), (("CONTROLLER", f"host{number}", CONTROLLER_PORT),))
            for number in controllers
        ]
        for node in self.nodes.values():
            node.format(rng, voters if dynamic else ())

    # ---- time ----------------------------------------------------------------------------------------

    def later(self, call: Callable[[], None]) -> None:
        """What takes its way through the network."""
        self._network.schedule(self.clock.monotonic_ms() + LATENCY_MS, call)

    def _settle(self) -> bool:
        """Do what is to be done without the passing of time; False when nothing was."""
        busy = bool(self._network.advance(self.clock.monotonic_ms()))
        for node in self.nodes.values():
            broker = node.broker
            if broker is None:
                continue
            effects = broker.take_effects()
            for effect in effects:
                error: BaseException | None = None
                try:
                    effect.run()
                except Exception as caught:
                    error = caught
                effect.complete(error)
            busy = busy or bool(effects)
            busy = bool(broker.timers.advance(self.clock.monotonic_ms())) or busy
        return busy

    def run(self, milliseconds: float = 0, until: Callable[[], bool] | None = None) -> None:
        """Let time pass, until something holds. AssertionError when it never did."""
        end_ms = self.clock.monotonic_ms() + milliseconds
        next_tick_ms = self.clock.monotonic_ms()
        while True:
            for _ in range(10_000):
                if until is not None and until():
                    return
                if not self._settle():
                    break
            else:
                raise AssertionError("it goes on for ever without the passing of time")
            now_ms = self.clock.monotonic_ms()
            if now_ms >= end_ms:
                assert until is None, f"not within {milliseconds} ms"
                return
            if now_ms >= next_tick_ms:
                next_tick_ms = now_ms + 250
                for node in self.nodes.values():
                    if node.broker is not None:
                        node.broker.tick(now_ms)
            dues = [end_ms, next_tick_ms]
            if (due := self._network.next_deadline_ms()) is not None:
                dues.append(due)
            for node in self.nodes.values():
                if node.broker is not None and (due := node.broker.timers.next_deadline_ms()) is not None:
                    dues.append(due)
            self.clock.advance(max(math.ceil(min(dues) - now_ms), 1))

    # ---- network -------------------------------------------------------------------------------------

    def reachable(self, number: int, address: tuple[str, int]) -> Node | None:
        for node in self.nodes.values():
            if node.host == address[0]:
                up = node.broker is not None and (number, node.number) not in self.cut
                return node if up else None
        return None

    def isolate(self, number: int) -> None:
        """Nothing goes to a node or comes from it, and nobody is told."""
        for other in self.nodes:
            if other != number:
                self.silent |= {(number, other), (other, number)}

    def heal(self) -> None:
        self.silent.clear()
        self.cut.clear()

    def answer(
        self, node: Node, address: tuple[str, int], frame: memoryview, done: Callable[[Any], None]
    ) -> None:
        """Hand a frame to a broker, as from a connection of its own."""
        broker = node.broker
        listener = "CONTROLLER" if address[1] == CONTROLLER_PORT else "PLAINTEXT"
        connection = broker.connect("peer", 1, listener)
        reply = broker.handle(connection, frame)

        def arrived(buffers: Any) -> None:
            if node.broker is not broker:
                done(None)
            else:
                done(None if buffers is None or buffers is CLOSE else _joined(buffers))

        if isinstance(reply, Deferred):
            reply.then(arrived)
        else:
            arrived(reply)

    # ---- clients -------------------------------------------------------------------------------------

    def ask(self, number: int, message: Message, version: int, *, port: int = CLIENTS_PORT) -> list[Any]:
        """Send a client's request; the answer is put into the list when it is there."""
        answers: list[Any] = []
        api_key = api_key_of(message)
        frame = memoryview(
            bytearray(request_header(api_key, version, 5, "client") + codec.encode(message, version))
        )

        def arrived(reply: memoryview | None) -> None:
            if reply is None:
                answers.append(None)
                return
            _, position = parse_response_header(reply, api_key, version)
            answers.append(codec.decode(codec.response_class(api_key), version, reply, position)[0])

        node = self.nodes[number]
        self.later(lambda: self.answer(node, (node.host, port), frame, arrived))
        return answers

    def call(
        self,
        number: int,
        message: Message,
        version: int,
        *,
        within_ms: float = 20_000,
        port: int = CLIENTS_PORT,
    ) -> Any:
        answers = self.ask(number, message, version, port=port)
        self.run(within_ms, lambda: bool(answers))
        return answers[0]

    # ---- nodes ---------------------------------------------------------------------------------------

    def start(self, within_ms: float = 30_000) -> Cluster:
        for node in self.nodes.values():
            node.start()
        self.run(within_ms, lambda: all(node.broker.ready.done for node in self.nodes.values()))
        for node in self.nodes.values():
            assert node.broker.ready.value is None, node.broker.ready.value
        return self

    @property
    def alive(self) -> list[Node]:
        return [node for node in self.nodes.values() if node.broker is not None]

    @property
    def active(self) -> Node | None:
        """The node of the active controller."""
        for node in self.alive:
            if node.broker._context.controller.active:
                return node
        return None


def _joined(buffers: Any) -> memoryview:
    return memoryview(bytearray(b"".join(buffers)))

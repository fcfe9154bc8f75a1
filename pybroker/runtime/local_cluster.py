"""A cluster of broker processes on this machine: started, watched, restarted, stopped together.

In: how many nodes, a directory, ports, properties. Out: lines that say what the processes and the cluster do.
What must hold: what was formatted once is used again with the same ports; a stop reaches every process, by
SIGTERM first and SIGKILL when that takes too long or is asked for.

The first three nodes are brokers and controllers, the others are brokers.
"""

from __future__ import annotations

import asyncio
import contextlib
import json
import random
import signal
import socket
import sys
import time
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, Final, NamedTuple

from pybroker.common.errors import ConfigError
from pybroker.controller.formatting import Format, format_directories, random_uuid
from pybroker.log.partition_log import encode_uuid
from pybroker.metadata.releases import LATEST_RELEASE, initial_features, release_level
from pybroker.raft.messages import PARTITION, TOPIC
from pybroker.raft.voters import Voter
from pybroker.runtime.disk import DiskFileSystem
from pybroker.runtime.peers import SocketPeers
from pybroker.wire.client import PeerClient
from pybroker.wire.messages import describe_cluster, describe_quorum

HOST: Final = "127.0.0.1"
_VOTERS_MAX: Final = 3
_STATE_FILE: Final = "cluster.json"
_POLL_SECONDS: Final = 1.0
_POLL_TIMEOUT_MS: Final = 900.0
_STOP_SECONDS: Final = 30.0
# A node that ends at once is not started again and again.
_RESTART_SECONDS: Final = 1.0
_RESTART_SECONDS_MAX: Final = 30.0

Say = Callable[[str], None]


class ClusterOptions(NamedTuple):
    """What the user asked for. `base_port` 0 takes free ports; None those of the last time, else 9092."""

    brokers: int
    directory: Path
    base_port: int | None = None
    restart: bool = False
    properties: Mapping[str, str] = {}


class _Ports(NamedTuple):
    broker: int
    controller: int


class _Node:
    """One process and what is known about it."""

    def __init__(self, node_id: int, ports: _Ports, directory: Path) -> None:
        self.node_id = node_id
        self.ports = ports
        self.directory = directory
        self.process: asyncio.subprocess.Process | None = None
        self.state = "stopped"


class LocalCluster:
    """All of it. `run` ends when `stop` was called and every process is gone."""

    def __init__(self, options: ClusterOptions, say: Say) -> None:
        self._options = options
        self._say = say
        self._rng = random.SystemRandom()
        self._stopping = asyncio.Event()
        self._nodes: dict[int, _Node] = {}
        self._seen: dict[str, str] = {}
        self._watchers: list[asyncio.Task[None]] = []
        self.cluster_id = ""

    @property
    def bootstrap(self) -> str:
        return ",".join(f"{HOST}:{node.ports.broker}" for node in self._nodes.values())

    def prepare(self) -> None:
        """Choose ports, format directories that are not yet. ConfigError, OSError."""
        options = self._options
        options.directory.mkdir(parents=True, exist_ok=True)
        path = options.directory / _STATE_FILE
        stored = json.loads(path.read_text(encoding="utf-8")) if path.exists() else None
        if stored is None:
            ports = self._choose_ports()
            self.cluster_id = encode_uuid(random_uuid(self._rng))
            directory_ids = [
                encode_uuid(random_uuid(self._rng)) for _ in range(min(options.brokers, _VOTERS_MAX))
            ]
            stored = {"cluster_id": self.cluster_id, "ports": ports, "voters": directory_ids}
        else:
            self._check_stored(stored, path)
            self.cluster_id = stored["cluster_id"]
            for index in range(len(stored["ports"]), options.brokers):
                stored["ports"].append(self._next_ports(index, stored["ports"]))
        for index, ports in enumerate(stored["ports"][: options.brokers], start=1):
            self._nodes[index] = _Node(index, _Ports(*ports), options.directory / f"node-{index}")
        text = json.dumps(stored)
        temporary = path.with_name(path.name + ".tmp")
        temporary.write_text(text + "\n", encoding="utf-8")
        temporary.replace(path)
        self._format([bytes_of(text) for text in stored["voters"]])

    def _check_stored(self, stored: dict[str, Any], path: Path) -> None:
        options = self._options
        if len(stored["voters"]) > options.brokers:
            raise ConfigError(
                f"{path}: this cluster has {len(stored['voters'])} voters and cannot run with "
                f"{options.brokers} brokers"
            )
        first = stored["ports"][0][0]
        if options.base_port not in (None, 0, first):
            raise ConfigError(f"{path}: this cluster has its ports from {first} on, not {options.base_port}")

    def _choose_ports(self) -> list[tuple[int, int]]:
        options = self._options
        if options.base_port == 0:
            free = _free_ports(2 * options.brokers)
            return list(zip(free[::2], free[1::2], strict=True))
        base = 9092 if options.base_port is None else options.base_port
        last = base + 1_000 + options.brokers
        if last > 65_535:
            raise ConfigError(f"base port {base}: ports up to {last} are needed, and 65535 is the last one")
        # The controllers' own stay out of the way of brokers that are added later.
        return [(base + index, base + 1_000 + index) for index in range(options.brokers)]

    def _next_ports(self, index: int, known: list[tuple[int, int]]) -> tuple[int, int]:
        if self._options.base_port == 0:
            first, second = _free_ports(2)
            return first, second
        return known[0][0] + index, known[0][1] + index

    def _format(self, voter_directories: list[bytes]) -> None:
        voters = [
            Voter(index, directory_id, (("CONTROLLER", HOST, self._nodes[index].ports.controller),))
            for index, directory_id in enumerate(voter_directories, start=1)
        ]
        features = initial_features(release_level(LATEST_RELEASE), {})
        for node in self._nodes.values():
            data = node.directory / "data"
            node.directory.mkdir(parents=True, exist_ok=True)
            is_voter = node.node_id <= len(voters)
            wanted = Format(
                self.cluster_id,
                node.node_id,
                [str(data)],
                str(data),
                features,
                voters if is_voter else (),
                ignore_formatted=True,
            )
            for _ in format_directories(DiskFileSystem(), self._rng, int(time.time() * 1000), wanted):
                pass
            lines = [f"{name}={value}\n" for name, value in self._properties(node, len(voters)).items()]
            (node.directory / "server.properties").write_text("".join(lines), encoding="utf-8")

    def _properties(self, node: _Node, voters: int) -> dict[str, str]:
        replicas = min(self._options.brokers, 3)
        in_sync = 2 if self._options.brokers >= 3 else 1
        listeners = [f"PLAINTEXT://{HOST}:{node.ports.broker}"]
        if node.node_id <= voters:
            listeners.append(f"CONTROLLER://{HOST}:{node.ports.controller}")
        return {
            "process.roles": "broker,controller" if node.node_id <= voters else "broker",
            "node.id": str(node.node_id),
            "listeners": ",".join(listeners),
            "controller.listener.names": "CONTROLLER",
            "controller.quorum.bootstrap.servers": ",".join(
                f"{HOST}:{self._nodes[index].ports.controller}" for index in range(1, voters + 1)
            ),
            "log.dirs": str(node.directory / "data"),
            "default.replication.factor": str(replicas),
            "min.insync.replicas": str(in_sync),
            "offsets.topic.replication.factor": str(replicas),
            "transaction.state.log.replication.factor": str(replicas),
            "transaction.state.log.min.isr": str(in_sync),
            **self._options.properties,
        }

    # --- running ---

    async def run(self) -> int:
        """Start everything, watch it, stop it; returns the exit status."""
        self._say(f"bootstrap servers: {self.bootstrap}")
        self._say(f"cluster {self.cluster_id}, data in {self._options.directory}")
        loop = asyncio.get_running_loop()
        for number in (signal.SIGTERM, signal.SIGINT):
            loop.add_signal_handler(number, self.stop)
        watching = [asyncio.ensure_future(self._keep(node)) for node in self._nodes.values()]
        polling = asyncio.ensure_future(self._poll())
        try:
            await asyncio.wait(watching)
        finally:
            polling.cancel()
            await asyncio.wait([polling])
        failed = [task.result() for task in watching if task.result()]
        return 1 if failed else 0

    def stop(self) -> None:
        """Stop all nodes; a second call kills them."""
        if self._stopping.is_set():
            self._signal(signal.SIGKILL)
            return
        self._say("stopping")
        self._stopping.set()
        self._signal(signal.SIGTERM)

    def _signal(self, number: int) -> None:
        for node in self._nodes.values():
            if node.process is not None and node.process.returncode is None:
                with contextlib.suppress(ProcessLookupError):
                    node.process.send_signal(number)

    async def _keep(self, node: _Node) -> int:
        """Run one node until the end of the cluster, or of the node; returns its last exit status."""
        pause = _RESTART_SECONDS
        while True:
            started = time.monotonic()
            status = await self._run_once(node)
            if self._stopping.is_set() or not self._options.restart:
                return 0 if self._stopping.is_set() and status in (0, -signal.SIGTERM) else status
            if time.monotonic() - started > _RESTART_SECONDS_MAX:
                pause = _RESTART_SECONDS
            self._say(f"node {node.node_id}: started again in {pause:g} s")
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(pause):
                    await self._stopping.wait()
                return 0
            pause = min(pause * 2, _RESTART_SECONDS_MAX)

    async def _run_once(self, node: _Node) -> int:
        with (node.directory / "server.log").open("ab") as log:
            node.process = process = await asyncio.create_subprocess_exec(
                sys.executable,
                "-m",
                "pybroker",
                "start",
                "--config",
                str(node.directory / "server.properties"),
                stdin=asyncio.subprocess.DEVNULL,
                stdout=asyncio.subprocess.PIPE,
                stderr=log,
                # Ctrl-C goes to this process, which tells the nodes.
                start_new_session=True,
            )
        self._show(node, f"starting, pid {process.pid}")
        if self._stopping.is_set():
            process.terminate()
        assert process.stdout is not None
        reading = asyncio.ensure_future(self._read(node, process.stdout))
        status = await self._ended(process)
        await reading
        self._show(node, _ending(status) + f", log in {node.directory / 'server.log'}")
        return status

    async def _read(self, node: _Node, stream: asyncio.StreamReader) -> None:
        while line := await stream.readline():
            if b" ready: " in line:
                self._show(node, f"ready, {HOST}:{node.ports.broker}")

    async def _ended(self, process: asyncio.subprocess.Process) -> int:
        waiting = asyncio.ensure_future(process.wait())
        stopping = asyncio.ensure_future(self._stopping.wait())
        await asyncio.wait([waiting, stopping], return_when=asyncio.FIRST_COMPLETED)
        stopping.cancel()
        if not waiting.done():
            await asyncio.wait([waiting], timeout=_STOP_SECONDS)
            if not waiting.done():
                with contextlib.suppress(ProcessLookupError):
                    process.kill()
        return await waiting

    def _show(self, node: _Node, state: str) -> None:
        if node.state != state:
            node.state = state
            self._say(f"node {node.node_id}: {state}")

    # --- what the cluster says about itself ---

    async def _poll(self) -> None:
        """Ask now and then who controls the cluster and which brokers are fenced; say what has changed."""
        loop = asyncio.get_running_loop()
        peers = SocketPeers(loop, random.Random(), lambda error: None)
        client = PeerClient(peers, "pybroker-cluster")
        try:
            while True:
                await asyncio.sleep(_POLL_SECONDS)
                if self._stopping.is_set():
                    return
                await self._ask(client)
        finally:
            peers.close()

    async def _ask(self, client: PeerClient) -> None:
        quorum = describe_quorum.DescribeQuorumRequest(
            topics=[
                describe_quorum.RequestTopicData(
                    topic_name=TOPIC,
                    partitions=[describe_quorum.RequestPartitionData(partition_index=PARTITION)],
                )
            ]
        )
        brokers = describe_cluster.DescribeClusterRequest(include_fenced_brokers=True)
        for node in self._nodes.values():
            if not node.state.startswith("ready"):
                continue
            answer = await self._call(client, node, brokers, 2)
            if answer is None or answer.error_code:
                continue
            for broker in answer.brokers:
                # The processes say what they do; here it is what the controller makes of it.
                name = f"broker {broker.broker_id}"
                self._changed(name, "fenced" if broker.is_fenced else "in service")
            leader = await self._call(client, node, quorum, 2)
            if leader is not None and leader.topics and leader.topics[0].partitions:
                partition = leader.topics[0].partitions[0]
                if not partition.error_code:
                    self._changed("controller", f"node {partition.leader_id}, epoch {partition.leader_epoch}")
            return

    def _changed(self, name: str, state: str) -> None:
        if self._seen.get(name) != state:
            self._seen[name] = state
            self._say(f"{name}: {state}")

    async def _call(self, client: PeerClient, node: _Node, message: Any, version: int) -> Any:
        answered: asyncio.Future[Any] = asyncio.get_running_loop().create_future()

        def done(answer: Any) -> None:
            if not answered.done():
                answered.set_result(answer)

        client.call("poll", (HOST, node.ports.broker), message, version, _POLL_TIMEOUT_MS, done)
        return await answered


def _ending(status: int) -> str:
    if status < 0:
        with contextlib.suppress(ValueError):
            return f"ended by {signal.Signals(-status).name}"
    return f"ended with status {status}"


def _free_ports(count: int) -> list[int]:
    with contextlib.ExitStack() as stack:
        sockets = [stack.enter_context(socket.socket()) for _ in range(count)]
        for one in sockets:
            one.bind((HOST, 0))
        return [int(one.getsockname()[1]) for one in sockets]


def bytes_of(text: str) -> bytes:
    """A uuid from Kafka's text form. ConfigError."""
    from pybroker.log.partition_log import decode_uuid

    value = decode_uuid(text)
    if value is None:
        raise ConfigError(f"{text} is no id")
    return value

"""Clusters of real processes: `pybroker start` several times, each with its own directory and ports.

In: how many nodes, what roles, properties. Out: `Cluster` with its `Node`s: start, kill -9, SIGSTOP, stop,
restart, an empty disk, cuts of the network. What must hold: directories are formatted as `pybroker storage
format --initial-controllers` does; no process and no namespace outlives the test run.

With `network=True` each node lives in a network namespace of its own (`tests.cluster.network`, facility
"netns"), so that the network between nodes can be cut; otherwise all of them share the loopback address.
"""

from __future__ import annotations

import contextlib
import os
import random
import shutil
import signal
import sys
import time
from collections.abc import Callable, Iterable, Mapping
from pathlib import Path
from typing import Any

from pybroker.controller.formatting import Format, format_directories, random_uuid
from pybroker.log.partition_log import encode_uuid
from pybroker.metadata.releases import LATEST_RELEASE, initial_features, release_level
from pybroker.raft.voters import Voter
from pybroker.runtime.disk import DiskFileSystem
from tests import facilities
from tests.cluster.network import Network
from tests.processes import Server, free_port, wait_until
from tests.protocol import raw

DESCRIBE_QUORUM = 55
# Failures are found in a second or two here, on a machine that is not overloaded; Kafka's defaults are 9 s.
QUICK = {
    "broker.session.timeout.ms": "3000",
    "broker.heartbeat.interval.ms": "500",
    "controller.quorum.election.timeout.ms": "500",
    "controller.quorum.fetch.timeout.ms": "1000",
    "replica.lag.time.max.ms": "5000",
    "offsets.topic.num.partitions": "3",
    "transaction.state.log.num.partitions": "3",
    "group.initial.rebalance.delay.ms": "0",
}


class Node(Server):
    """One node as a process. `bootstrap` is where its clients connect."""

    name = "pybroker node"

    def __init__(self, cluster: Cluster, node_id: int, roles: str) -> None:
        host = cluster.network.address(node_id) if cluster.network else "127.0.0.1"
        super().__init__(
            host, 9092 if cluster.network else free_port(), cluster.directory / f"node{node_id}/data"
        )
        self.cluster = cluster
        self.node_id = node_id
        self.roles = roles
        self.controller_port = 9093 if cluster.network else free_port()
        self.directory = cluster.directory / f"node{node_id}"
        self.directory.mkdir(parents=True, exist_ok=True)
        self.log_path = self.directory / "server.log"
        self.ready_file = self.directory / "ready"
        self.directory_id = random_uuid(random.SystemRandom())
        self.stopped = False

    @property
    def is_controller(self) -> bool:
        return "controller" in self.roles

    @property
    def is_broker(self) -> bool:
        return "broker" in self.roles

    @property
    def controller_address(self) -> tuple[str, int]:
        return self.host, self.controller_port

    def properties(self) -> dict[str, str]:
        listeners = [f"PLAINTEXT://{self.bootstrap}"] * self.is_broker
        listeners += [f"CONTROLLER://{self.host}:{self.controller_port}"] * self.is_controller
        return {
            "process.roles": self.roles,
            "node.id": str(self.node_id),
            "listeners": ",".join(listeners),
            "controller.listener.names": "CONTROLLER",
            "log.dirs": str(self.data_dir),
            **{
                name: value.replace("{node}", str(self.node_id))
                for name, value in self.cluster.properties.items()
            },
        }

    def format(self, voters: Iterable[Voter] = ()) -> None:
        """As `pybroker storage format --initial-controllers`, or with `--no-initial-controllers`."""
        features = initial_features(release_level(LATEST_RELEASE), {})
        wanted = Format(
            self.cluster.cluster_id,
            self.node_id,
            [str(self.data_dir)],
            str(self.data_dir),
            features,
            list(voters),
        )
        for _ in format_directories(DiskFileSystem(), random.SystemRandom(), 1_700_000_000_000, wanted):
            pass

    def launch(self) -> None:
        """Start the process without waiting for it to serve."""
        self.ready_file.unlink(missing_ok=True)
        config = self.directory / "server.properties"
        config.write_text("".join(f"{name}={value}\n" for name, value in self.properties().items()))
        prefix = self.cluster.network.command(self.node_id) if self.cluster.network else []
        command = [sys.executable, "-m", "pybroker", "start", "--config", str(config)]
        assert self.log_path is not None
        self.process = self._launch([*prefix, *command, "--ready-file", str(self.ready_file)], self.log_path)

    def start(self) -> None:
        self.launch()
        self.await_ready()

    def await_ready(self) -> None:
        self._await(lambda: self.ready_file.exists() and self.ready_file.read_text().strip())

    @property
    def alive(self) -> bool:
        return self.process is not None and self.process.poll() is None and not self.stopped

    def pause(self) -> None:
        """SIGSTOP: it holds its connections and its lock and says nothing."""
        os.kill(self.pid, signal.SIGSTOP)
        self.stopped = True

    def resume(self) -> None:
        os.kill(self.pid, signal.SIGCONT)
        self.stopped = False

    def kill(self) -> None:
        super().kill()
        self.stopped = False

    def wipe(self) -> None:
        """An empty disk in place of the old one. The node keeps its id; its directory gets a new one."""
        assert not self.alive
        assert self.data_dir is not None
        shutil.rmtree(self.data_dir)
        self.directory_id = random_uuid(random.SystemRandom())
        self.format()


class Cluster:
    """`nodes` are by their ids, from 1 on. All of them are formatted; none runs before `start`."""

    def __init__(
        self,
        directory: Path,
        roles: Iterable[str] = ("broker,controller",) * 3,
        properties: Mapping[str, str] | None = None,
        *,
        network: bool = False,
        static_voters: bool = False,
    ) -> None:
        """With `static_voters` the quorum is that of `controller.quorum.voters` (kraft.version 0). `{node}` in the
        value of a property is the node's id."""
        self.directory = directory
        all_roles = list(roles)
        if network:
            facilities.require("netns")
        self.network = Network(list(range(1, len(all_roles) + 1))) if network else None
        self.cluster_id = encode_uuid(random_uuid(random.SystemRandom()))
        self.properties = dict(QUICK)
        self.nodes = {
            node_id: Node(self, node_id, of_node) for node_id, of_node in enumerate(all_roles, start=1)
        }
        brokers = sum(node.is_broker for node in self.nodes.values())
        replicas = str(min(max(brokers, 1), 3))
        self.properties |= {
            "default.replication.factor": replicas,
            "min.insync.replicas": "2" if brokers >= 3 else "1",
            "offsets.topic.replication.factor": replicas,
            "transaction.state.log.replication.factor": replicas,
            "transaction.state.log.min.isr": "2" if brokers >= 3 else "1",
        }
        controllers = [node for node in self.nodes.values() if node.is_controller]
        if static_voters:
            self.properties["controller.quorum.voters"] = ",".join(
                f"{node.node_id}@{node.host}:{node.controller_port}" for node in controllers
            )
        else:
            self.properties["controller.quorum.bootstrap.servers"] = ",".join(
                f"{node.host}:{node.controller_port}" for node in controllers
            )
        self.properties |= properties or {}
        self.voters = [
            Voter(node.node_id, node.directory_id, (("CONTROLLER", *node.controller_address),))
            for node in controllers
        ]
        for node in self.nodes.values():
            node.format(() if static_voters or not node.is_controller else self.voters)

    def __enter__(self) -> Cluster:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def start(self) -> None:
        """All at once; returns when every node serves."""
        for node in self.nodes.values():
            node.launch()
        for node in self.nodes.values():
            node.await_ready()

    def close(self) -> None:
        """Kill what still runs, take the network away. Harmless twice."""
        for node in self.nodes.values():
            with contextlib.suppress(ProcessLookupError):
                node.kill()
        if self.network is not None:
            self.network.close()
            self.network = None

    @property
    def bootstrap(self) -> str:
        """Of the brokers whose processes run."""
        running = [node for node in self.nodes.values() if node.is_broker and node.alive]
        return ",".join(node.bootstrap for node in running or self.nodes.values())

    def logs(self) -> str:
        """The end of every node's log, for messages of failures."""
        return "\n".join(
            f"--- node {node.node_id}\n{node.log_text()[-3000:]}" for node in self.nodes.values()
        )

    # --- what the cluster says about itself ---

    def quorum(self, node: Node) -> dict[str, Any] | None:
        """The quorum's state as the controller of a node answers it; None when it does not lead or answer."""
        request = {"topics": [{"topic_name": "__cluster_metadata", "partitions": [{"partition_index": 0}]}]}
        address = f"{node.host}:{node.controller_port}"
        try:
            answer = raw.call(address, DESCRIBE_QUORUM, 2, request, timeout=2.0)
        except OSError:
            return None
        if not answer or answer["error_code"]:
            return None
        partition: dict[str, Any] = answer["topics"][0]["partitions"][0]
        return partition if partition["error_code"] == 0 else None

    def leader(self) -> tuple[int, int] | None:
        """(id, epoch) of the active controller; of several that think so the one of the newest epoch."""
        found = [
            (quorum["leader_epoch"], quorum["leader_id"])
            for node in self.nodes.values()
            if node.is_controller and node.alive and (quorum := self.quorum(node)) is not None
        ]
        if not found:
            return None
        epoch, leader_id = max(found)
        return leader_id, epoch

    def await_leader(self, *, other_than: int | None = None, timeout_s: float = 30.0) -> tuple[int, int]:
        """The active controller, when there is one that is not the node given."""

        def ready() -> Any:
            found = self.leader()
            return found if found is not None and found[0] != other_than else None

        return self.wait(ready, "a leader of the quorum", timeout_s)

    def wait(self, condition: Callable[[], Any], what: str, timeout_s: float = 30.0) -> Any:
        """As `wait_until`, and a failure shows the nodes' logs."""
        try:
            return wait_until(condition, what, timeout_s, 0.05)
        except AssertionError as error:
            raise AssertionError(f"{error}\n{self.logs()}") from None

    def measure(self, condition: Callable[[], Any], what: str, timeout_s: float = 30.0) -> float:
        """Seconds of wall time until the condition holds."""
        start = time.monotonic()
        self.wait(condition, what, timeout_s)
        return time.monotonic() - start

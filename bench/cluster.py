"""Three nodes beside three nodes of Apache Kafka: throughput with three replicas, failover; and what more brokers
on one machine, and many partitions on one node, cost.

In: what `make bench` needs. Out: a table; with `--write` the parts of bench/README.md and docs/scale.md between
their marks, and bench/cluster.json. What must hold: both clusters have the same properties, the same clients do the
same to them, one cluster after the other; a failover is counted from the kill to the first acknowledgement that comes
after it from the new leader; a part that fails or takes too long is named and does not end the others; all of it ends
within `--minutes`.

    python -m bench.cluster --write                              # 12 minutes at most
    python -m bench.cluster --parts many --only kafka --write    # one part again: other rows stay as they were
"""

from __future__ import annotations

import argparse
import base64
import datetime
import json
import os
import shutil
import signal
import subprocess
import sys
import tempfile
import threading
import time
import traceback
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from statistics import median
from typing import Any

from confluent_kafka import KafkaException, Producer
from confluent_kafka.admin import AdminClient, NewTopic

from bench import load_tools, machine
from bench.packaging import write_part
from bench.subjects import JVM_OPTIONS
from tests.processes import (
    KAFKA_DEFAULTS,
    KafkaProcess,
    PybrokerProcess,
    Server,
    die_with_parent,
    free_port,
    java_command,
    wait_until,
)
from tests.protocol.raw import call
from tools import interop

BEGIN, END = "<!-- cluster: written by python -m bench.cluster -->", "<!-- end of cluster -->"
RESULTS = interop.REPOSITORY / "bench" / "cluster.json"
SCALE = interop.REPOSITORY / "docs" / "scale.md"
NODES = 3
HEAP = "768m"
# Shorter than the defaults (9 s and 2 s), so that a kill can be repeated; the same for both.
TIMEOUTS = {"broker.session.timeout.ms": "3000", "broker.heartbeat.interval.ms": "500"}
REPLICATED = {
    "offsets.topic.replication.factor": "3",
    "transaction.state.log.replication.factor": "3",
    "transaction.state.log.min.isr": "2",
    "default.replication.factor": "3",
    "min.insync.replicas": "2",
    "log.segment.delete.delay.ms": "100",
}
SESSION_S = int(TIMEOUTS["broker.session.timeout.ms"]) / 1000
FAILOVER_S = 30.0


class Ports:
    """Where the nodes of a cluster are: known before they start, for each has to name the others."""

    def __init__(self, count: int) -> None:
        self.brokers = [free_port() for _ in range(count)]
        self.controllers = [free_port() for _ in range(count)]
        self.cluster_id = base64.urlsafe_b64encode(os.urandom(16)).decode().rstrip("=").replace("-", "x")

    def properties(self, index: int, data: Path, more: Mapping[str, str]) -> dict[str, str]:
        return {
            **KAFKA_DEFAULTS,
            **REPLICATED,
            **TIMEOUTS,
            "node.id": str(index + 1),
            "listeners": f"PLAINTEXT://127.0.0.1:{self.brokers[index]},"
            f"CONTROLLER://127.0.0.1:{self.controllers[index]}",
            "controller.quorum.voters": ",".join(
                f"{number}@127.0.0.1:{port}" for number, port in enumerate(self.controllers, 1)
            ),
            "log.dirs": str(data),
            **more,
        }


class PybrokerNode(PybrokerProcess):
    def __init__(self, directory: Path, ports: Ports, index: int, more: Mapping[str, str]) -> None:
        self.ports, self.index, self.more = ports, index, more
        super().__init__(directory, port=ports.brokers[index])

    def command(self) -> list[str]:
        return [
            *self.program(),
            "start",
            "--config",
            str(self._configuration),
            "--ready-file",
            str(self.ready_file),
        ]

    def program(self) -> list[str]:
        return [sys.executable, "-m", "pybroker"]

    def launch(self) -> None:
        """Start without waiting: a quorum needs a majority."""
        assert self.data_dir is not None
        assert self.log_path is not None
        self._configuration = self.directory / "server.properties"
        properties = self.ports.properties(self.index, self.data_dir, self.more)
        self._configuration.write_text("".join(f"{key}={value}\n" for key, value in properties.items()))
        if not (self.data_dir / "meta.properties").exists():
            words = ["storage", "format", "-t", self.ports.cluster_id, "-c", str(self._configuration)]
            subprocess.run([*self.program(), *words], check=True, capture_output=True)
        self.ready_file.unlink(missing_ok=True)
        self.process = self._launch(self.command(), self.log_path)

    def start(self) -> None:
        self.launch()

    def await_ready(self) -> None:
        self._await(lambda: self.ready_file.exists() and self.ready_file.read_text().strip())


class KafkaNode(KafkaProcess):
    def __init__(self, directory: Path, ports: Ports, index: int, more: Mapping[str, str]) -> None:
        self.ports, self.index, self.more = ports, index, more
        super().__init__(directory, port=ports.brokers[index], heap=HEAP)

    def start(self) -> None:
        assert self.data_dir is not None
        assert self.log_path is not None
        configuration = self.directory / "server.properties"
        properties = self.ports.properties(self.index, self.data_dir, self.more)
        configuration.write_text("".join(f"{key}={value}\n" for key, value in properties.items()))
        if not (self.data_dir / "meta.properties").exists():
            command = [*java_command(self.directory), "kafka.tools.StorageTool", "format"]
            command += ["-t", self.ports.cluster_id, "-c", str(configuration)]
            subprocess.run(command, check=True, capture_output=True, stdin=subprocess.DEVNULL)
        options = (f"-Xmx{self.heap}", f"-Xms{self.heap}", "-XX:+UseG1GC", *JVM_OPTIONS)
        command = [*java_command(self.directory, *options), "kafka.Kafka", str(configuration)]
        self.process = self._launch(command, self.log_path)

    def await_ready(self) -> None:
        self._await(lambda: in_sync(self.bootstrap) is not None)


Node = PybrokerNode | KafkaNode


def in_sync(bootstrap: str) -> int | None:
    """Brokers that are not fenced, as one of them says; None while it does not answer."""
    try:
        admin = AdminClient({"bootstrap.servers": bootstrap, "socket.timeout.ms": 2000, "log_level": 0})
        return len(admin.list_topics(timeout=2).brokers)
    except KafkaException:
        return None


class Cluster:
    """`count` combined nodes; all of them vote."""

    def __init__(self, kind: Callable[..., Node], folder: Path, count: int = NODES, **more: str) -> None:
        self.name = "pybroker" if kind is PybrokerNode else "kafka"
        ports = Ports(count)
        properties = {key.replace("_", "."): value for key, value in more.items()}
        self.nodes: list[Node] = []
        try:
            for index in range(count):
                self.nodes.append(kind(folder / str(index), ports, index, properties))
            for node in self.nodes:
                node.await_ready()
            wait_until(lambda: in_sync(self.bootstrap) == count, "all brokers to be there", 60)
        except BaseException:
            self.close()
            raise
        self.admin = AdminClient({"bootstrap.servers": self.bootstrap, "log_level": 0})

    @property
    def bootstrap(self) -> str:
        return ",".join(node.bootstrap for node in self.nodes)

    def create(self, topic: str, partitions: int, replicas: int) -> None:
        self.admin.create_topics([NewTopic(topic, partitions, replicas)])[topic].result(30)
        wait_until(lambda: self.leaders(topic, partitions), f"leaders of {topic}", 30)

    def create_led_by(self, topic: str, leader: int) -> None:
        """One partition with a replica on every node."""
        others = [number for number in range(1, len(self.nodes) + 1) if number != leader]
        wanted = NewTopic(topic, 1, replica_assignment=[[leader, *others]])
        self.admin.create_topics([wanted])[topic].result(30)
        wait_until(lambda: self.leaders(topic, 1), f"the leader of {topic}", 30)

    def partitions(self, topic: str) -> dict[int, Any]:
        try:
            found: dict[int, Any] = self.admin.list_topics(topic, timeout=5).topics[topic].partitions
            return found
        except KafkaException:
            return {}

    def leaders(self, topic: str, count: int) -> bool:
        found = self.partitions(topic)
        return len(found) == count and all(each.leader > 0 for each in found.values())

    def await_in_sync(self, topic: str, replicas: int) -> None:
        wait_until(
            lambda: (
                (found := self.partitions(topic))
                and all(len(each.isrs) == replicas for each in found.values())
            ),
            f"all replicas of {topic} to be in sync",
            120,
        )

    def leading_controller(self) -> int:
        """The node id of the active controller (DescribeQuorum)."""
        for node in self.nodes:
            if node.process is None or node.process.poll() is not None:
                continue
            asked = {"topic_name": "__cluster_metadata", "partitions": [{"partition_index": 0}]}
            answer = call(node.bootstrap, 55, 0, {"topics": [asked]})
            leader: int = answer["topics"][0]["partitions"][0]["leader_id"]
            if leader > 0:
                return leader
        raise LookupError("no node knows the active controller")

    def cpu_s(self) -> float:
        return sum(machine.process_cpu_s(node.pid) for node in self.nodes)

    def resident_mib(self) -> float:
        return sum(machine.resident_mib(node.pid) for node in self.nodes)

    def close(self) -> None:
        for node in self.nodes:
            node.kill()


# ---- failover ------------------------------------------------------------------------------------------


class Stream:
    """An idempotent producer that writes to one partition all the time, and when each record was acknowledged."""

    def __init__(self, bootstrap: str, topic: str) -> None:
        self.acknowledged: list[float] = []
        self.failed = 0
        self._producer = Producer(
            {
                "bootstrap.servers": bootstrap,
                "acks": "all",
                "enable.idempotence": True,
                "linger.ms": 0,
                "retry.backoff.ms": 20,
                "retry.backoff.max.ms": 100,
                "reconnect.backoff.ms": 20,
                "reconnect.backoff.max.ms": 200,
                "log_level": 0,
            }
        )
        self._topic = topic
        self._ended = threading.Event()
        self._thread = threading.Thread(target=self._run, daemon=True)
        self._thread.start()

    def _run(self) -> None:
        def done(error: Any, _: Any) -> None:
            if error is None:
                self.acknowledged.append(time.monotonic())
            else:
                self.failed += 1

        while not self._ended.is_set():
            self._producer.produce(self._topic, b"x" * 100, partition=0, on_delivery=done)
            self._producer.poll(0.01)

    def after(self, moment: float, timeout_s: float = FAILOVER_S) -> float:
        """Seconds from a moment to the first acknowledgement after it."""

        def found() -> float | None:
            return next((at for at in reversed(self.acknowledged[-200:]) if at > moment), None)

        wait_until(lambda: found() is not None, "an acknowledgement after the kill", timeout_s, 0.005)
        return min(at for at in self.acknowledged[-2000:] if at > moment) - moment

    def close(self) -> None:
        self._ended.set()
        self._thread.join()
        self._producer.flush(10)


def failover(cluster: Cluster, kills: int, until: float, *, controller: bool) -> list[dict[str, float]]:
    """What the loss of a node costs, for each kill: `leader` is the time without acknowledgements of a partition that
    it led. Without `controller` another node is the active controller; with it that is killed too, and
    `create` is the time until a topic can be created. No kill after `until`, but two there are."""
    outages: list[dict[str, float]] = []
    for number in range(kills):
        if time.monotonic() > until and number >= 2:
            break
        wait_until(lambda: in_sync(cluster.bootstrap) == NODES, "all brokers to be in service", 60)
        active = cluster.leading_controller()
        victim = active if controller else 1 + active % NODES
        topic = f"failover-{'controller' if controller else 'leader'}-{number}"
        cluster.create_led_by(topic, victim)
        cluster.await_in_sync(topic, NODES)
        node, other = cluster.nodes[victim - 1], cluster.nodes[victim % NODES]
        stream = Stream(cluster.bootstrap, topic)
        try:
            stream.after(time.monotonic())
            moment = time.monotonic()
            node.kill()
            outage = {}
            if controller:
                outage["create"] = _created(other, f"after-{number}", moment)
            # What was acknowledged before the kill may be told right after it.
            outage["leader"] = 0.1 + stream.after(moment + 0.1)
            outages.append(outage)
        finally:
            stream.close()
        assert stream.failed == 0, f"{stream.failed} records were not acknowledged"
        node.start()
        node.await_ready()
    return outages


def _created(node: Node, topic: str, since: float) -> float:
    """Seconds from a moment until a topic could be created."""
    wanted = {"name": topic, "num_partitions": 1, "replication_factor": 1, "assignments": [], "configs": []}
    while True:
        try:
            answer = call(node.bootstrap, 19, 7, {"topics": [wanted], "timeout": 500}, timeout=2)
            if answer["topics"][0]["error_code"] in (0, 36):
                return time.monotonic() - since
        except (TypeError, OSError):
            pass
        assert time.monotonic() < since + FAILOVER_S, "no topic can be created after the kill"
        time.sleep(0.005)


def leader_failover(cluster: Cluster, kills: int, until: float) -> dict[str, float]:
    found = failover(cluster, kills, until, controller=False)
    return _percentiles("leader", [outage["leader"] for outage in found])


def controller_failover(cluster: Cluster, kills: int, until: float) -> dict[str, float]:
    found = failover(cluster, kills, until, controller=True)
    return {
        **_percentiles("controller", [outage["create"] for outage in found]),
        **_percentiles("both", [outage["leader"] for outage in found]),
    }


def _percentiles(name: str, values: list[float]) -> dict[str, float]:
    values.sort()
    return {
        f"{name}_p50": median(values),
        f"{name}_p99": values[min(len(values) - 1, round(0.99 * len(values)))],
        f"{name}_kills": len(values),
    }


# ---- throughput ----------------------------------------------------------------------------------------


def replicated(cluster: Cluster, seconds: float) -> dict[str, float]:
    """Three replicas, acks=all: a partition led by each node, a librdkafka producer for each."""
    found = {}
    for size, per_second in ((100, 300_000), (1024, 60_000)):
        topic = f"replicated-{size}"
        wanted = NewTopic(topic, NODES, replica_assignment=[[1, 2, 3], [2, 3, 1], [3, 1, 2]])
        cluster.admin.create_topics([wanted])[topic].result(30)
        wait_until(lambda topic=topic: cluster.leaders(topic, NODES), f"leaders of {topic}", 30)
        # The first two warm: a JVM gets from 40 to 11 us a record with them.
        for _ in range(3):
            before = cluster.cpu_s()
            count = int(per_second * seconds) // NODES
            moved = _produce_to_all(cluster.bootstrap, topic, NODES, size, count, "all")
        found[f"produce_{size}"] = moved.records / moved.seconds
        found[f"produce_{size}_cpu"] = (cluster.cpu_s() - before) / moved.records * 1e6
    found["memory"] = cluster.resident_mib()
    return found


def _produce_to_all(
    bootstrap: str, topic: str, partitions: int, size: int, count: int, acks: str
) -> load_tools.Transfer:
    """`count` records to each partition, by one producer process for each, all at once."""
    runs: list[load_tools.Transfer] = []

    def run(partition: int) -> None:
        runs.append(
            load_tools.rdkafka_produce(
                bootstrap,
                topic,
                size=size,
                count=count,
                acks=acks,
                codec="none",
                timeout_s=60,
                partition=partition,
            )
        )

    threads = [threading.Thread(target=run, args=(partition,)) for partition in range(partitions)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(runs) == partitions, "a producer failed"
    return load_tools.Transfer(count * partitions, max(each.seconds for each in runs), 0.0)


@contextmanager
def local_cluster(folder: Path, brokers: int) -> Iterator[tuple[str, list[int]]]:
    """`pybroker cluster` as a user starts it; its bootstrap servers and the pids of its brokers."""
    folder.mkdir(parents=True)
    settings = ["default.replication.factor=1", "min.insync.replicas=1", "offsets.topic.replication.factor=1"]
    command = [sys.executable, "-m", "pybroker", "cluster", "--brokers", str(brokers), "--base-port", "0"]
    command += ["--data-dir", str(folder / "data"), *(f"--set={setting}" for setting in settings)]
    said = folder / "said"
    with said.open("wb") as out:
        process = subprocess.Popen(
            command, stdin=subprocess.DEVNULL, stdout=out, stderr=out, preexec_fn=die_with_parent
        )
    try:

        def ready() -> bool:
            assert process.poll() is None, f"pybroker cluster ended: {said.read_text()[-1000:]}"
            return said.read_text().count(": ready, ") == brokers

        wait_until(ready, f"{brokers} brokers to be ready", 60)
        bootstrap = said.read_text().partition("bootstrap servers: ")[2].split()[0]
        wait_until(lambda: in_sync(bootstrap) == brokers, "all brokers to be in service", 60)
        pids = Path(f"/proc/{process.pid}/task/{process.pid}/children").read_text().split()
        yield bootstrap, [int(pid) for pid in pids]
    finally:
        process.terminate()
        try:
            process.wait(40)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()


def spread(folder: Path, seconds: float) -> dict[str, float]:
    """`pybroker cluster` with one broker and with two on the same cores: records of 1 KB, one replica, one producer
    for each of four partitions."""
    found = {}
    for brokers in (1, 2):
        with local_cluster(folder / str(brokers), brokers) as (bootstrap, pids):
            admin = AdminClient({"bootstrap.servers": bootstrap, "log_level": 0})
            leaders = [[1 + number % brokers] for number in range(4)]
            wanted = NewTopic("spread", 4, replica_assignment=leaders)
            admin.create_topics([wanted])["spread"].result(30)
            described = partial(admin.list_topics, "spread", timeout=5)
            wait_until(
                lambda ask=described: len(ask().topics["spread"].partitions) == 4, "its partitions", 30
            )
            for part in (4, 1):
                before = sum(machine.process_cpu_s(pid) for pid in pids)
                moved = _produce_to_all(bootstrap, "spread", 4, 1024, int(50_000 * seconds) // part, "1")
            found[f"spread_{brokers}"] = moved.records / moved.seconds
            spent = sum(machine.process_cpu_s(pid) for pid in pids) - before
            found[f"spread_{brokers}_cpu"] = spent / moved.records * 1e6
            found[f"spread_{brokers}_memory"] = sum(machine.resident_mib(pid) for pid in pids)
    return found


# ---- many partitions -----------------------------------------------------------------------------------


def many_partitions(cluster: Cluster, count: int) -> dict[str, float]:
    """`count` partitions of one replica on one of the nodes: created, seen everywhere, loaded again."""
    per_topic = 500
    node = cluster.nodes[0]
    memory = machine.resident_mib(node.pid)
    spent = cluster.cpu_s()
    started = time.monotonic()
    for number in range(count // per_topic):
        cluster.admin.create_topics(
            [NewTopic(f"many-{number}", per_topic, replica_assignment=[[1]] * per_topic)]
        )[f"many-{number}"].result(60)
    created = time.monotonic()
    last = f"many-{count // per_topic - 1}"

    def seen(node: Server) -> bool:
        admin = AdminClient({"bootstrap.servers": node.bootstrap, "log_level": 0})
        return len(admin.list_topics(last, timeout=10).topics[last].partitions) == per_topic

    for each in cluster.nodes:
        wait_until(lambda each=each: seen(each), "the partitions to be known", 60)
    known = time.monotonic()
    spent = cluster.cpu_s() - spent
    grown = machine.resident_mib(node.pid)
    node.kill()
    restarted = time.monotonic()
    node.start()
    node.await_ready()
    stream = Stream(cluster.bootstrap, last)
    try:
        first = stream.after(restarted, 120)
    finally:
        stream.close()
    return {
        "create": count / (created - started),
        "create_cpu": spent,
        "propagation": known - created,
        "memory": grown,
        "memory_each": (grown - memory) / count * 1024,
        "restart": first,
        "restart_cpu": machine.process_cpu_s(node.pid),
        "restart_memory": machine.resident_mib(node.pid),
    }


# ---- the table -----------------------------------------------------------------------------------------

ROWS = (
    ("produce_100", "three librdkafka producers, 100 B, 3 replicas, acks all, records/s", "{:,.0f}", True),
    ("produce_100_cpu", "processor time of the three nodes, us a record", "{:.2f}", False),
    ("produce_1024", "three librdkafka producers, 1 KB, 3 replicas, acks all, records/s", "{:,.0f}", True),
    ("produce_1024_cpu", "processor time of the three nodes, us a record", "{:.2f}", False),
    ("memory", "memory of the three nodes after it, MiB", "{:,.0f}", False),
    ("leader_p50", "leader killed: time without acknowledgements, p50, s", "{:.2f}", False),
    ("leader_p99", "leader killed: time without acknowledgements, p99, s", "{:.2f}", False),
    (
        "controller_p50",
        "active controller killed: time until a topic can be created, p50, s",
        "{:.2f}",
        False,
    ),
    (
        "controller_p99",
        "active controller killed: time until a topic can be created, p99, s",
        "{:.2f}",
        False,
    ),
    ("both_p50", "... and time without acknowledgements of a partition that it led, p50, s", "{:.2f}", False),
    ("both_p99", "... and time without acknowledgements of a partition that it led, p99, s", "{:.2f}", False),
    ("many_create", "{many} partitions on one node: created, partitions/s", "{:,.0f}", True),
    ("many_create_cpu", "{many} partitions: processor time of the three nodes for it, s", "{:.2f}", False),
    ("many_propagation", "{many} partitions: known to all nodes after the last answer, s", "{:.2f}", False),
    ("many_memory", "{many} partitions: memory of the node, MiB", "{:,.0f}", False),
    ("many_memory_each", "{many} partitions: memory of the node, KiB more for each", "{:.1f}", False),
    ("many_restart", "{many} partitions: kill -9 to first acknowledged record, s", "{:.1f}", False),
    ("many_restart_cpu", "{many} partitions: processor time of the node until then, s", "{:.1f}", False),
)
Figures = dict[str, float]


def table(ours: Figures, kafka: Figures, many: int) -> str:
    lines = ["| | pybroker | Kafka | times better |", "|---|---|---|---|"]
    for key, title, form, more_is_better in ROWS:
        one, other = ours.get(key), kafka.get(key)
        if one is None and other is None:
            continue
        ratio = ""
        if one and other:
            ratio = f"{one / other if more_is_better else other / one:.2f}"
        cells = ["" if value is None else form.format(value) for value in (one, other)]
        lines.append(f"| {title.format(many=f'{many:,}')} | {cells[0]} | {cells[1]} | {ratio} |")
    return "\n".join(lines)


def spread_words(ours: Figures) -> list[str]:
    if "spread_2" not in ours:
        return []
    one, two = (
        f"{ours[f'spread_{count}']:,.0f} records/s ({ours[f'spread_{count}_cpu']:.2f} us of the brokers' processor "
        f"each, {ours[f'spread_{count}_memory']:,.0f} MiB)"
        for count in (1, 2)
    )
    return [
        "",
        f"`pybroker cluster` on the same {os.cpu_count()} cores as its four producers, records of 1 KB, acks=1, no "
        f"codec: --brokers 1 {one}, --brokers 2 {two}: {ours['spread_2'] / ours['spread_1']:.2f} times.",
    ]


def scale_table(ours: Figures, many: int, date: str) -> str:
    """What docs/scale.md takes from here."""

    def given(form: str, *keys: str) -> str:
        values = [ours.get(key) for key in keys]
        return "not measured" if None in values else form.format(*values)

    rows = (
        (
            "1 KB record with 3 replicas, acks=all, no codec: processor of the three nodes / rate with the clients "
            "on the same two cores",
            given("{:.1f} us / {:,.0f} a second", "produce_1024_cpu", "produce_1024"),
        ),
        (
            "100 B record, the same",
            given("{:.2f} us / {:,.0f} a second", "produce_100_cpu", "produce_100"),
        ),
        (
            f"{many:,} partitions on one node: processor to create, of three nodes / memory for each",
            given("{:.1f} s / {:.1f} KiB", "many_create_cpu", "many_memory_each"),
        ),
        ("... known to all nodes after the answer", given("{:.2f} s", "many_propagation")),
        (
            "... kill -9 to the first acknowledged record / processor of it / memory after it",
            given(
                "{:.1f} s / {:.1f} s / {:.0f} MiB", "many_restart", "many_restart_cpu", "many_restart_memory"
            ),
        ),
        (
            f"failover of a leader / of the controller / of both at once, session timeout {SESSION_S:g} s (p50)",
            given("{:.1f} s / {:.1f} s / {:.1f} s", "leader_p50", "controller_p50", "both_p50"),
        ),
    )
    lines = [f"By `python -m bench.cluster`, {date}:", "", "| what | figure |", "|---|---|"]
    return "\n".join([*lines, *(f"| {title} | {figure} |" for title, figure in rows)])


# ---- running it ----------------------------------------------------------------------------------------


class TookTooLong(Exception):
    """A part has used its time up."""


@contextmanager
def time_limit(seconds: float) -> Iterator[None]:
    """TookTooLong in the main thread after so long, wherever it is."""

    def over(*_: object) -> None:
        raise TookTooLong(f"not done after {seconds:.0f} s")

    before = signal.signal(signal.SIGALRM, over)
    signal.setitimer(signal.ITIMER_REAL, max(seconds, 0.001))
    try:
        yield
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)
        signal.signal(signal.SIGALRM, before)


class Runner:
    """Runs one part after the other; remembers what failed."""

    def __init__(self, minutes: float) -> None:
        self.began = time.monotonic()
        # What is left is for ending the last part, and for writing.
        self.ends = self.began + minutes * 60 - 15
        self.failures: list[str] = []

    def say(self, line: str) -> None:
        print(f"[{time.monotonic() - self.began:4.0f} s] {line}", flush=True)

    def run(self, name: str, limit_s: float, part: Callable[[], Figures]) -> Figures | None:
        """What a part found; None when it failed, which has been told."""
        left = self.ends - time.monotonic()
        if left < min(limit_s, 20):
            return self._failed(name, "no time left")
        self.say(f"{name} ...")
        try:
            with time_limit(min(limit_s, left)):
                found = part()
        except Exception as error:
            traceback.print_exc()
            return self._failed(name, f"{type(error).__name__}: {str(error).partition(chr(10))[0][:300]}")
        self.say(f"{name}: " + ", ".join(f"{key} {value:.4g}" for key, value in found.items()))
        return found

    def _failed(self, name: str, why: str) -> None:
        self.failures.append(f"{name}: {why}")
        self.say(f"!!!! FAILED: {name}: {why}")


Measure = Callable[[Cluster], Figures]
KINDS: dict[str, Callable[..., Node]] = {"pybroker": PybrokerNode, "kafka": KafkaNode}
# Soft and hard seconds of the failover parts, and hard ones of the others: a JVM starts slowly.
SECONDS = {"pybroker": (50, 90, 60), "kafka": (80, 120, 90)}


def parts_of(name: str, options: argparse.Namespace) -> dict[str, tuple[float, Measure]]:
    """(seconds at most, part) by name, in order."""
    soft, hard, other = SECONDS[name]

    def leader(cluster: Cluster) -> Figures:
        return leader_failover(cluster, options.kills, time.monotonic() + soft)

    def controller(cluster: Cluster) -> Figures:
        return controller_failover(cluster, options.kills, time.monotonic() + soft)

    def many(cluster: Cluster) -> Figures:
        found = many_partitions(cluster, options.partitions)
        return {f"many_{key}": value for key, value in found.items()}

    parts: dict[str, tuple[float, Measure]] = {
        "replicated": (other, lambda cluster: replicated(cluster, options.seconds)),
        "leader": (hard, leader),
        "controller": (hard, controller),
        "many": (other * 1.5, many),
    }
    return {part: todo for part, todo in parts.items() if part in options.parts.split(",")}


def run_cluster(runner: Runner, name: str, options: argparse.Namespace, folder: Path) -> Figures:
    """All parts on one cluster; on a fresh one after a part that failed, for nobody knows what that has left."""
    figures: Figures = {}
    clusters: list[Cluster] = []

    def start() -> Figures:
        clusters.append(Cluster(KINDS[name], folder / str(len(runner.failures))))
        return {}

    try:
        for part, (limit_s, measure) in parts_of(name, options).items():
            if not clusters and runner.run(f"{name}: start", 60, start) is None:
                continue
            found = runner.run(f"{name}: {part}", limit_s, partial(measure, clusters[0]))
            if found is None:
                clusters.pop().close()
            else:
                figures.update(found)
    finally:
        for cluster in clusters:
            cluster.close()
        shutil.rmtree(folder, ignore_errors=True)
    return figures


def run_all(runner: Runner, options: argparse.Namespace, base: Path) -> dict[str, Figures]:
    results: dict[str, Figures] = {"pybroker": {}, "kafka": {}}
    for name in options.only.split(","):
        results[name].update(run_cluster(runner, name, options, base / name))
        if name == "pybroker" and "spread" in options.parts.split(","):
            found = runner.run("spread", 60, lambda: spread(base / "spread", options.seconds))
            results[name].update(found or {})
    return results


def main() -> int:
    parser = argparse.ArgumentParser(prog="bench.cluster", description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--write", action="store_true", help="into bench/README.md and docs/scale.md")
    parser.add_argument("--minutes", type=float, default=12.0, help="at most")
    parser.add_argument(
        "--kills", type=int, default=8, help="of a leader, and of a controller; fewer if it takes long"
    )
    parser.add_argument("--seconds", type=float, default=5.0, help="of each load, about")
    parser.add_argument("--partitions", type=int, default=10_000)
    parser.add_argument("--only", default="pybroker,kafka")
    parser.add_argument("--parts", default="replicated,leader,controller,many,spread")
    options = parser.parse_args()
    is_whole = all(getattr(options, name) == parser.get_default(name) for name in ("only", "parts"))
    base = Path(tempfile.mkdtemp(prefix="pybroker-bench-"))
    date = f"{datetime.datetime.now(datetime.UTC):%Y-%m-%d %H:%M} UTC"
    runner = Runner(options.minutes)
    load_before = os.getloadavg()[0]
    try:
        results = run_all(runner, options, base)
    finally:
        shutil.rmtree(base, ignore_errors=True)
    runner.say("done")
    notes = [] if is_whole else [f"- Rows of another date: all but {options.parts} of {options.only}."]
    if not is_whole and RESULTS.exists():
        known = json.loads(RESULTS.read_text())
        results = {name: {**known.get(name, {}), **figures} for name, figures in results.items()}
    ours, kafka = results["pybroker"], results["kafka"]
    kills = ", ".join(
        f"{figures[f'{key}_kills']:.0f} of a {key}, {name}"
        for name, figures in results.items()
        for key in ("leader", "controller")
        if f"{key}_kills" in figures
    )
    lines = [
        f"- Date: {date}; `python -m bench.cluster`; pybroker {machine.versions()['pybroker']}",
        f"- Three combined nodes on this machine each, broker.session.timeout.ms={SESSION_S * 1000:.0f}, "
        f"broker.heartbeat.interval.ms={TIMEOUTS['broker.heartbeat.interval.ms']}, otherwise the defaults; JVM heap "
        f"{HEAP} each; kills, each after all replicas were in sync again: {kills}",
        f"- load of the machine before: {load_before:.1f}",
        *notes,
        *(f"- **failed**: {failure}" for failure in runner.failures),
        "",
        table(ours, kafka, options.partitions),
        *spread_words(ours),
    ]
    text = "\n".join(lines)
    measured = scale_table(ours, options.partitions, date)
    print(text, measured, sep="\n\n")
    if options.write:
        RESULTS.write_text(json.dumps(results, indent=1, sort_keys=True) + "\n")
        write_part(BEGIN, END, text)
        write_part(BEGIN, END, measured, SCALE)
    return 1 if runner.failures else 0


if __name__ == "__main__":
    raise SystemExit(main())

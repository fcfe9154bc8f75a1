"""Three nodes beside three nodes of Apache Kafka: throughput with three replicas, failover; and what more brokers
on one machine, and many partitions on one node, cost.

In: what `make bench` needs. Out: a table; with `--write` the part of bench/README.md between its two marks. What
must hold: both clusters have the same properties, the same clients do the same to them, one cluster after the
other; a failover is counted from the kill to the first acknowledgement that comes after it from the new leader.

    python -m bench.cluster --write           # about ten minutes
"""

from __future__ import annotations

import argparse
import base64
import datetime
import os
import shutil
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Callable, Mapping
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
    free_port,
    java_command,
    wait_until,
)
from tests.protocol.raw import call

BEGIN, END = "<!-- cluster: written by python -m bench.cluster -->", "<!-- end of cluster -->"
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
FAILOVER_S = 60.0


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
        self.nodes = [kind(folder / str(index), ports, index, properties) for index in range(count)]
        for node in self.nodes:
            node.await_ready()
        wait_until(lambda: in_sync(self.bootstrap) == count, "all brokers to be there", 60)
        self.admin = AdminClient({"bootstrap.servers": self.bootstrap, "log_level": 0})

    @property
    def bootstrap(self) -> str:
        return ",".join(node.bootstrap for node in self.nodes)

    def create(self, topic: str, partitions: int, replicas: int) -> None:
        self.admin.create_topics([NewTopic(topic, partitions, replicas)])[topic].result(30)
        wait_until(lambda: self.leaders(topic, partitions), f"leaders of {topic}", 30)

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
        self._producer.flush(30)


def leader_loss(cluster: Cluster, kills: int) -> list[float]:
    """Seconds without acknowledgements when the leader of a partition is killed."""
    topic = "failover-leader"
    cluster.create(topic, 1, NODES)
    stream = Stream(cluster.bootstrap, topic)
    outages = []
    try:
        for _ in range(kills):
            cluster.await_in_sync(topic, NODES)
            stream.after(time.monotonic())
            leader = cluster.nodes[cluster.partitions(topic)[0].leader - 1]
            moment = time.monotonic()
            leader.kill()
            # What was acknowledged before the kill may be told right after it.
            outages.append(0.1 + stream.after(moment + 0.1))
            leader.start()
            leader.await_ready()
    finally:
        stream.close()
    assert stream.failed == 0, f"{stream.failed} records were not acknowledged"
    return outages


def controller_loss(cluster: Cluster, kills: int) -> list[float]:
    """Seconds until a topic can be created when the active controller is killed."""
    outages = []
    cluster.create("failover-controller", 1, NODES)
    for count in range(kills):
        cluster.await_in_sync("failover-controller", NODES)
        leader = cluster.nodes[cluster.leading_controller() - 1]
        other = next(node for node in cluster.nodes if node is not leader)
        moment = time.monotonic()
        leader.kill()
        while True:
            topic = {"name": f"after-{count}", "num_partitions": 1, "replication_factor": 1}
            try:
                answer = call(
                    other.bootstrap,
                    19,
                    7,
                    {"topics": [{**topic, "assignments": [], "configs": []}], "timeout": 500},
                    timeout=2,
                )
                if answer["topics"][0]["error_code"] in (0, 36):
                    break
            except (TypeError, OSError):
                pass
            assert time.monotonic() < moment + FAILOVER_S, "no topic can be created after the kill"
        outages.append(time.monotonic() - moment)
        leader.start()
        leader.await_ready()
    return outages


def failover(cluster: Cluster, kills: int) -> dict[str, float]:
    found = {}
    for name, outages in (
        ("leader", leader_loss(cluster, kills)),
        ("controller", controller_loss(cluster, kills)),
    ):
        outages.sort()
        found[f"{name}_p50"] = median(outages)
        found[f"{name}_p99"] = outages[min(len(outages) - 1, round(0.99 * len(outages)))]
    return found


# ---- throughput ----------------------------------------------------------------------------------------


def replicated(cluster: Cluster, seconds: float) -> dict[str, float]:
    """Three replicas, acks=all: librdkafka's producer with records of 100 B and 1 KB, and single records."""
    found = {}
    for size, per_second in ((100, 300_000), (1024, 60_000)):
        topic = f"replicated-{size}"
        cluster.create(topic, 6, NODES)
        count = int(per_second * seconds)
        # A first run warms.
        for part in (4, 1):
            before = cluster.cpu_s()
            moved = load_tools.rdkafka_produce(
                cluster.bootstrap,
                topic,
                size=size,
                count=count // part,
                acks="all",
                codec="none",
                timeout_s=120,
            )
        found[f"produce_{size}"] = moved.records / moved.seconds
        found[f"produce_{size}_cpu"] = (cluster.cpu_s() - before) / moved.records * 1e6
    found["memory"] = cluster.resident_mib()
    return found


def spread(folder: Path, seconds: float) -> dict[str, float]:
    """One broker beside two on the same two cores: records of 1 KB, one replica, from two producers."""
    found = {}
    for brokers in (1, 2):
        cluster = Cluster(
            PybrokerNode,
            folder / str(brokers),
            brokers,
            default_replication_factor="1",
            min_insync_replicas="1",
            offsets_topic_replication_factor="1",
        )
        try:
            cluster.create("spread", 4, 1)
            count = int(300_000 * seconds)
            for part in (4, 1):
                moved = load_tools.rdkafka_produce(
                    cluster.bootstrap,
                    "spread",
                    size=1024,
                    count=count // part,
                    acks="1",
                    codec="none",
                    timeout_s=120,
                )
            found[f"brokers_{brokers}"] = moved.records / moved.seconds
        finally:
            cluster.close()
    return found


# ---- many partitions -----------------------------------------------------------------------------------


def many_partitions(cluster: Cluster, count: int) -> dict[str, float]:
    """`count` partitions of one replica on one of the nodes: created, seen everywhere, loaded again."""
    per_topic = 500
    before = cluster.resident_mib()
    started = time.monotonic()
    for number in range(count // per_topic):
        cluster.admin.create_topics(
            [NewTopic(f"many-{number}", per_topic, replica_assignment=[[1]] * per_topic)]
        )[f"many-{number}"].result(120)
    created = time.monotonic()
    last = f"many-{count // per_topic - 1}"

    def seen(node: Server) -> bool:
        admin = AdminClient({"bootstrap.servers": node.bootstrap, "log_level": 0})
        return len(admin.list_topics(last, timeout=10).topics[last].partitions) == per_topic

    for node in cluster.nodes:
        wait_until(lambda node=node: seen(node), "the partitions to be known", 120)
    known = time.monotonic()
    node = cluster.nodes[0]
    memory = machine.resident_mib(node.pid)
    node.kill()
    restarted = time.monotonic()
    node.start()
    node.await_ready()
    stream = Stream(cluster.bootstrap, last)
    first = stream.after(restarted, 180)
    stream.close()
    return {
        "create": count / (created - started),
        "propagation": known - created,
        "memory": memory,
        "memory_each": (cluster.resident_mib() - before) / count * 1024,
        "restart": first,
    }


# ---- the table -----------------------------------------------------------------------------------------

ROWS = (
    ("produce_100", "librdkafka producer, 100 B, 3 replicas, acks all, records/s", "{:,.0f}", True),
    ("produce_100_cpu", "processor time of the three nodes, us a record", "{:.2f}", False),
    ("produce_1024", "librdkafka producer, 1 KB, 3 replicas, acks all, records/s", "{:,.0f}", True),
    ("produce_1024_cpu", "processor time of the three nodes, us a record", "{:.2f}", False),
    ("memory", "memory of the three nodes after it, MiB", "{:,.0f}", False),
    ("leader_p50", "leader killed: time without acknowledgements, p50, s", "{:.2f}", False),
    ("leader_p99", "leader killed: time without acknowledgements, p99, s", "{:.2f}", False),
    ("controller_p50", "controller killed: time until a topic can be created, p50, s", "{:.2f}", False),
    ("controller_p99", "controller killed: time until a topic can be created, p99, s", "{:.2f}", False),
    ("many_create", "{many} partitions on one node: created, partitions/s", "{:,.0f}", True),
    ("many_propagation", "{many} partitions: known to all nodes after the last answer, s", "{:.2f}", False),
    ("many_memory", "{many} partitions: memory of the node, MiB", "{:,.0f}", False),
    ("many_restart", "{many} partitions: kill -9 to first acknowledged record, s", "{:.1f}", False),
)


def table(ours: dict[str, float], kafka: dict[str, float], many: int) -> str:
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


def main() -> int:
    parser = argparse.ArgumentParser(prog="bench.cluster", description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--write", action="store_true", help="put the table into bench/README.md")
    parser.add_argument("--kills", type=int, default=8, help="of a leader, and of a controller")
    parser.add_argument("--seconds", type=float, default=5.0, help="of each load, about")
    parser.add_argument("--partitions", type=int, default=10_000)
    parser.add_argument("--only", default="pybroker,kafka")
    parser.add_argument("--parts", default="replicated,failover,many,spread")
    options = parser.parse_args()
    parts = options.parts.split(",")
    base = Path(tempfile.mkdtemp(prefix="pybroker-bench-"))
    started = datetime.datetime.now(datetime.UTC)
    results: dict[str, dict[str, float]] = {"pybroker": {}, "kafka": {}}
    words = []
    try:
        for kind in (PybrokerNode, KafkaNode):
            name = "pybroker" if kind is PybrokerNode else "kafka"
            if name not in options.only.split(","):
                continue
            cluster = Cluster(kind, base / name)
            try:
                figures = results[name]
                if "replicated" in parts:
                    figures.update(replicated(cluster, options.seconds))
                    print(name, figures, flush=True)
                if "failover" in parts:
                    figures.update(failover(cluster, options.kills))
                    print(name, figures, flush=True)
                if "many" in parts:
                    found = many_partitions(cluster, options.partitions)
                    figures.update({f"many_{key}": value for key, value in found.items()})
                    print(name, figures, flush=True)
            finally:
                cluster.close()
                shutil.rmtree(base / name, ignore_errors=True)
        if "spread" in parts and "pybroker" in options.only:
            found = spread(base / "spread", options.seconds)
            words.append(
                f"`pybroker cluster --brokers 2` beside one broker on the same {os.cpu_count()} cores, records of 1 KB, "
                f"acks=1, no codec: {found['brokers_2']:,.0f} and {found['brokers_1']:,.0f} records/s, "
                f"{found['brokers_2'] / found['brokers_1']:.2f} times."
            )
    finally:
        shutil.rmtree(base, ignore_errors=True)
    session, beat = TIMEOUTS.values()
    lines = [
        f"- Date: {started:%Y-%m-%d %H:%M} UTC; `python -m bench.cluster`; {machine.versions()['pybroker']}",
        f"- Three combined nodes on this machine each, broker.session.timeout.ms={session}, "
        f"broker.heartbeat.interval.ms={beat}, otherwise the defaults; JVM heap {HEAP} each; {options.kills} kills of "
        "a kind, each after all replicas were in sync again",
        "",
        table(results["pybroker"], results["kafka"], options.partitions),
    ]
    text = "\n".join([*lines, *(["", *words] if words else [])])
    print(text)
    if options.write:
        write_part(BEGIN, END, text)
    return 0


if __name__ == "__main__":
    raise SystemExit(main())

"""The rows of the table: what is done to a broker, what is measured, and what has to come out.

In: a `Bench` (the broker, the length of the run, a topic name of its own). Out: a dictionary of figures,
whose keys `Metric` names. What must hold: a row uses its own topics or its own process only, and ends in
bounded time or raises.
"""

from __future__ import annotations

import subprocess
import time
from collections.abc import Callable
from functools import partial
from typing import Any, NamedTuple

from bench import group_rows, log_rows, machine
from bench.load_tools import Transfer, load, load_program, rdkafka_consume, rdkafka_produce
from bench.subjects import Subject
from tests.processes import Server, die_with_parent


class Metric(NamedTuple):
    """`goal` is the least advantage over Kafka (a factor), `limit` an absolute bound. Without both it is
    for information."""

    key: str
    unit: str
    less_is_better: bool = False
    goal: float | None = None
    limit: float | None = None
    label: str = ""


class Bench(NamedTuple):
    subject: Subject
    seconds: float
    topic: str
    quick: bool

    @property
    def timeout_s(self) -> float:
        return 60 + 12 * self.seconds

    def load(self, server: Server, command: str, **flags: Any) -> dict[str, float]:
        return load(command, server.bootstrap, self.timeout_s, **flags)

    def topic_for(self, server: Server, **flags: Any) -> None:
        self.load(server, "create", topic=self.topic, ready=True, **flags)


class Row(NamedTuple):
    name: str
    title: str
    run: Callable[[Bench], dict[str, float]]
    metrics: tuple[Metric, ...]
    work: str = ""  # what the broker's processor time is counted for
    # How often `run` is called in a round. Brokers take turns run by run: the machine is faster in one minute than
    # in the next.
    turns: int = 1
    # Makes what every turn uses, the bench's topic, which is deleted after the last one.
    prepare: Callable[[Bench], None] | None = None


# Records a second that the faster of two ordinary runs came to on two cores; they only fix how much work a
# run is, which is the same for every broker.
PRODUCE_RATES = {
    (100, "none"): 2_000_000,
    (100, "lz4"): 2_000_000,
    (100, "zstd"): 1_600_000,
    (1_000, "none"): 450_000,
    (1_000, "lz4"): 1_500_000,
    (1_000, "zstd"): 900_000,
    (10_000, "none"): 55_000,
    (10_000, "lz4"): 250_000,
    (10_000, "zstd"): 200_000,
}
# Consumers are limited by what may lie in a log, so that a run takes half a second to one and a half.
CONSUMER_LOG_BYTES = {"none": 1_000_000_000, "lz4": 4_000_000_000, "zstd": 4_000_000_000}


def broker_cost(server: Server, before: float, count: float) -> float:
    """Microseconds of the broker's processor time per record or request."""
    return (machine.process_cpu_s(server.pid) - before) / count * 1e6


def produce(bench: Bench, size: int, acks: str, codec: str) -> dict[str, float]:
    server = bench.subject.server()
    bench.topic_for(server)
    before = machine.process_cpu_s(server.pid)
    count = int(PRODUCE_RATES[size, codec] * bench.seconds)
    moved = rdkafka_produce(
        server.bootstrap,
        bench.topic,
        size=size,
        count=count,
        acks=acks,
        codec=codec,
        timeout_s=bench.timeout_s,
    )
    figures = transfer_figures(server, before, moved)
    bench.load(server, "delete", topic=bench.topic)
    return figures


def consumer_count(bench: Bench, size: int, codec: str) -> int:
    return min(int(PRODUCE_RATES[size, codec] * bench.seconds), CONSUMER_LOG_BYTES[codec] // size)


def fill(bench: Bench, size: int, codec: str) -> None:
    """What `consume` reads."""
    server = bench.subject.server()
    bench.topic_for(server)
    rdkafka_produce(
        server.bootstrap,
        bench.topic,
        size=size,
        count=consumer_count(bench, size, codec),
        acks="1",
        codec=codec,
        timeout_s=bench.timeout_s,
    )
    time.sleep(0.2)


def consume(bench: Bench, size: int, codec: str) -> dict[str, float]:
    server = bench.subject.server()
    count = consumer_count(bench, size, codec)
    before = machine.process_cpu_s(server.pid)
    run = rdkafka_consume(server.bootstrap, bench.topic, count=count, timeout_s=bench.timeout_s)
    return transfer_figures(server, before, run)


def transfer_figures(server: Server, before: float, moved: Transfer) -> dict[str, float]:
    return {
        "records_per_s": moved.records / moved.seconds,
        "broker_cpu_us": broker_cost(server, before, moved.records),
        "client_cpu_us": moved.client_cpu_s / moved.records * 1e6,
        "client_cpu_s": moved.client_cpu_s,
    }


def raw(bench: Bench, connections: int, inflight: int, size: int, records: int) -> dict[str, float]:
    server = bench.subject.server()
    partitions = min(connections, 16)
    bench.topic_for(server, partitions=partitions)
    before = machine.process_cpu_s(server.pid)
    figures = bench.load(
        server,
        "produce",
        topic=bench.topic,
        partitions=partitions,
        connections=connections,
        inflight=inflight,
        size=size,
        records=records,
        seconds=bench.seconds,
        warm=min(1.0, bench.seconds),
    )
    figures["broker_cpu_us"] = broker_cost(server, before, figures["total_requests"])
    figures["client_cpu_us"] = figures["client_cpu_s"] / figures["total_requests"] * 1e6
    bench.load(server, "delete", topic=bench.topic)
    return figures


def latency(bench: Bench) -> dict[str, float]:
    server = bench.subject.server()
    bench.topic_for(server)
    before = machine.process_cpu_s(server.pid)
    warm = 1 if bench.quick else 3
    # 10,000 records at least, so that a hundred of them are beyond p99.
    seconds = 3 if bench.quick else max(10, int(2 * bench.seconds))
    figures = bench.load(
        server, "latency", topic=bench.topic, rate=1000, seconds=seconds, warm=warm, size=100
    )
    figures["broker_cpu_us"] = broker_cost(server, before, figures["total_records"])
    bench.load(server, "delete", topic=bench.topic)
    return figures


def start_to_first_record(bench: Bench, server: Server) -> float:
    """Starts the (stopped) server while a client tries all the time."""
    command = [
        str(load_program()),
        "first",
        "-addr",
        server.bootstrap,
        "-topic",
        bench.topic,
        "-seconds",
        "60",
    ]
    client = subprocess.Popen(
        command,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        preexec_fn=die_with_parent,
    )
    try:
        time.sleep(0.05)
        server.start()
        out, err = client.communicate(timeout=70)
    finally:
        if client.poll() is None:
            client.kill()
            client.communicate()
    if client.returncode:
        raise RuntimeError(err.decode(errors="replace").strip())
    marks = dict(part.split(":") for part in out.decode().strip("{}\n").replace('"', "").split(","))
    return float(marks["acknowledged_at"]) - server.launched_at  # type: ignore[attr-defined]


def start(bench: Bench) -> dict[str, float]:
    # The first start formats the directory (a program of its own with Apache Kafka): the second is measured.
    server = bench.subject.fresh()
    try:
        server.stop()
        return {"seconds": start_to_first_record(bench, server)}
    finally:
        bench.subject.discard(server)


def restart(bench: Bench) -> dict[str, float]:
    server = bench.subject.fresh()
    try:
        bench.topic_for(server, count=1000, request=1000)
        bench.load(server, "fill", topic=bench.topic, count=1000)
        server.stop()
        # It also writes to a new topic; what takes the time is loading the thousand.
        return {"seconds": start_to_first_record(bench, server)}
    finally:
        # See `create`.
        bench.subject.discard(server, keep_files=True)


def memory(bench: Bench) -> dict[str, float]:
    server = bench.subject.fresh()
    try:
        time.sleep(0.5 if bench.quick else 2)
        figures = {"after_start_mib": machine.resident_mib(server.pid)}
        bench.topic_for(server, partitions=16)
        flags = {"topic": bench.topic, "partitions": 16, "seconds": bench.seconds, "warm": 0.5}
        bench.load(server, "produce", connections=16, inflight=16, size=100, records=1, **flags)
        bench.load(server, "produce", connections=4, inflight=16, size=1000, records=15, **flags)
        bench.load(server, "create", topic=bench.topic + "-bulk", ready=True)
        for size, codec in ((1_000, "none"), (10_000, "lz4")):
            rdkafka_produce(
                server.bootstrap,
                bench.topic + "-bulk",
                size=size,
                count=int(PRODUCE_RATES[size, codec] * bench.seconds),
                acks="all",
                codec=codec,
                timeout_s=bench.timeout_s,
            )
        rdkafka_consume(
            server.bootstrap,
            bench.topic + "-bulk",
            count=int(PRODUCE_RATES[1_000, "none"] * bench.seconds),
            timeout_s=bench.timeout_s,
        )
        figures["after_load_mib"] = machine.resident_mib(server.pid)
        figures["highest_mib"] = machine.resident_mib(server.pid, "VmHWM")
        return figures
    finally:
        bench.subject.discard(server)


def create(bench: Bench, count: int, request: int) -> dict[str, float]:
    server = bench.subject.fresh()
    try:
        # The way of creating topics is warmed too, in both forms.
        bench.load(server, "create", topic=bench.topic + "-warm", count=50, request=1)
        bench.load(server, "create", topic=bench.topic + "-more", count=200, request=100)
        time.sleep(0.3)
        before = machine.process_cpu_s(server.pid)
        figures = bench.load(server, "create", topic=bench.topic, count=count, request=request)
        figures["broker_cpu_us"] = broker_cost(server, before, count)
        return figures
    finally:
        # For minutes ext4 looks at each inode that was removed before it gives out a new one: thousands of them
        # would make the next turn ten times slower, for the broker that answers when the files are there.
        bench.subject.discard(server, keep_files=True)


def _size(size: int) -> str:
    return f"{size} B" if size < 1000 else f"{size // 1000} KB"


def _all_rows() -> list[Row]:
    rows: list[Row] = []
    sizes, codecs = (100, 1_000, 10_000), ("none", "lz4", "zstd")
    behind_none = (Metric("records_per_s", "records/s", goal=1),)
    # First: see `create`.
    for name, count, request, goal, title in (
        ("create/one-request", 1000, 1000, 1, "create 1,000 topics in one request"),
        ("create/one-by-one", 100, 1, 10, "create 100 topics one by one"),
    ):
        work = partial(create, count=count, request=request)
        rows.append(
            Row(name, title, work, (Metric("topics_per_s", "topics/s", goal=goal),), "topic", turns=3)
        )
    for size in sizes:
        for acks in ("1", "all"):
            for codec in codecs:
                name = f"producer/{_size(size).replace(' ', '')}/acks-{acks}/{codec}"
                title = f"librdkafka producer, {_size(size)}, acks {acks}, {codec}"
                work = partial(produce, size=size, acks=acks, codec=codec)
                rows.append(Row(name, title, work, behind_none, "record", turns=6 if size == 100 else 3))
    for size in sizes:
        for codec in codecs:
            name = f"consumer/{_size(size).replace(' ', '')}/{codec}"
            work = partial(consume, size=size, codec=codec)
            title = f"librdkafka consumer, {_size(size)}, {codec}"
            prepare = partial(fill, size=size, codec=codec)
            rows.append(Row(name, title, work, behind_none, "record", turns=24, prepare=prepare))
    for connections, inflight, size, records, goal, title in (
        (1, 1, 100, 1, 1.3, "one 100 B record a request, 1 connection in step"),
        (1, 64, 100, 1, 3, "one 100 B record a request, 1 connection, 64 in flight"),
        (16, 1, 100, 1, 1, "one 100 B record a request, 16 connections in step"),
        (16, 16, 100, 1, 1.3, "one 100 B record a request, 16 connections, 16 in flight each"),
        (256, 1, 100, 1, 1, "one 100 B record a request, 256 connections in step"),
        (4, 16, 1_000, 15, 1.2, "15 KB batches, 4 connections, 16 in flight each"),
        (4, 5, 100_000, 1, 1, "100 KB records, 4 connections, 5 in flight each"),
    ):
        kind = "raw" if size == 100 else "batch" if records > 1 else "large"
        metrics = (
            Metric("requests_per_s", "requests/s", goal=goal),
            Metric("p50_ms", "ms", less_is_better=True, label="p50"),
            Metric("p99_ms", "ms", less_is_better=True, label="p99"),
        )
        work = partial(raw, connections=connections, inflight=inflight, size=size, records=records)
        rows.append(Row(f"{kind}/{connections}x{inflight}", title, work, metrics, "request", turns=3))
    rows.append(
        Row(
            "latency",
            "end to end at 1,000 records/s",
            latency,
            (
                Metric("p50_ms", "ms", less_is_better=True, goal=1, label="p50"),
                Metric("p99_ms", "ms", less_is_better=True, goal=3, label="p99"),
                Metric("p999_ms", "ms", less_is_better=True, goal=1, label="p99.9"),
            ),
            "record",
            turns=3,
        )
    )
    rows.append(
        Row(
            "start",
            "start to first acknowledged record",
            start,
            (Metric("seconds", "s", less_is_better=True, limit=0.4),),
        )
    )
    rows.append(
        Row(
            "memory",
            "memory",
            memory,
            (
                Metric("after_start_mib", "MiB", less_is_better=True, limit=70, label="after start"),
                Metric("after_load_mib", "MiB", less_is_better=True, limit=200, label="after the load"),
                Metric("highest_mib", "MiB", less_is_better=True, label="highest"),
            ),
        )
    )
    for members in (1, 10, 100):
        title = f"rebalance of a group of {members}: join and sync, p50"
        metrics = (Metric("p50_ms", "ms", less_is_better=True, goal=1),)
        work = partial(group_rows.rebalance, members=members)
        rows.append(Row(f"group/rebalance/{members}", title, work, metrics, "member", turns=3))
    for members in (1, 10, 100):
        title = f"a new group of {members}: join and sync beyond the initial delay, p50"
        work = partial(group_rows.join, members=members)
        rows.append(Row(f"group/join/{members}", title, work, metrics, "member", turns=3))
    for inflight, partitions, title in (
        (1, 1, "offset commits of one partition, in step"),
        (16, 1, "offset commits of one partition, 16 in flight"),
        (16, 10, "offset commits of ten partitions, 16 in flight"),
    ):
        work = partial(group_rows.commits, inflight=inflight, partitions=partitions)
        metrics = (Metric("commits_per_s", "commits/s", goal=1),)
        rows.append(Row(f"group/commit/{partitions}x{inflight}", title, work, metrics, "commit"))
    for producers in (1, 10):
        of = "one producer" if producers == 1 else f"{producers} producers"
        metrics = (
            Metric("transactions_per_s", "transactions/s", goal=1),
            Metric("p50_ms", "ms", less_is_better=True, label="p50"),
            Metric("p99_ms", "ms", less_is_better=True, label="p99"),
        )
        work = partial(group_rows.transactions, producers=producers)
        title = f"transactions of one record, {of} (Java)"
        rows.append(Row(f"transactions/{producers}", title, work, metrics, "transaction", turns=3))
    rows.append(
        Row(
            "group/consumer/1KB",
            "librdkafka consumer in a group, 1 KB",
            partial(group_rows.consume_in_a_group, size=1_000),
            behind_none,
            "record",
            turns=12,
            prepare=partial(fill, size=1_000, codec="none"),
        )
    )
    rows.append(
        Row(
            "restart",
            "restart with 1,000 partitions, to first acknowledged record",
            restart,
            (Metric("seconds", "s", less_is_better=True, goal=3),),
        )
    )
    for name, records, size, keys, title in (
        ("1GB", 1_000_000, 1_000, 100_000, "compaction of 1 GB in records of 1 KB"),
        ("10M", 10_000_000, 20, 500_000, "compaction of 10 million records of 20 B"),
    ):
        metrics = (
            Metric("seconds", "s", less_is_better=True, goal=1),
            Metric("cpu_s", "s", less_is_better=True, goal=1, label="processor time"),
            Metric("meanwhile_p99_ms", "ms", less_is_better=True, goal=1, label="end to end p99 meanwhile"),
        )
        work = partial(log_rows.compaction, records=records, size=size, keys=keys)
        rows.append(Row(f"compaction/{name}", title, work, metrics))
    rows.append(
        Row(
            "recovery",
            "kill -9 to first acknowledged record, per GiB to be checked",
            partial(log_rows.recovery, start_to_first_record=start_to_first_record),
            (
                Metric("seconds_per_gib", "s", less_is_better=True, goal=1),
                Metric("cpu_s", "s", less_is_better=True, label="processor time"),
            ),
        )
    )
    return rows


ROWS = _all_rows()


def warm(server: Server, seconds: float) -> None:
    """Load of every kind before anything is measured: a JVM compiles what it has seen often."""
    topic = "warm"
    load("create", server.bootstrap, 60, topic=topic, partitions=16, ready=True)
    flags = {"topic": topic, "partitions": 16, "warm": 0, "seconds": seconds}
    timeout_s = 60 + 10 * seconds
    load("produce", server.bootstrap, timeout_s, connections=16, inflight=1, **flags)
    load("produce", server.bootstrap, timeout_s, connections=1, inflight=64, **flags)
    load("produce", server.bootstrap, timeout_s, connections=4, inflight=16, size=1000, records=15, **flags)
    load("create", server.bootstrap, 60, topic=topic + "-tail", ready=True)
    load("latency", server.bootstrap, timeout_s, topic=topic + "-tail", seconds=max(1, int(seconds)), warm=0)
    for size, acks, codec in (
        (100, "1", "none"),
        (1_000, "all", "none"),
        (10_000, "1", "zstd"),
        (1_000, "all", "lz4"),
    ):
        each = f"{topic}-{size}-{codec}"
        load("create", server.bootstrap, 60, topic=each, ready=True)
        count = int(PRODUCE_RATES[size, codec] * seconds)
        rdkafka_produce(
            server.bootstrap, each, size=size, count=count, acks=acks, codec=codec, timeout_s=timeout_s
        )
        rdkafka_consume(server.bootstrap, each, count=count, timeout_s=timeout_s)
        load("delete", server.bootstrap, 60, topic=each)
    for each in (topic, topic + "-tail"):
        load("delete", server.bootstrap, 60, topic=each)

"""Rows per second of Connect's JDBC sink and source: our worker and a Java worker, in one run.

In: databases started here (PostgreSQL, SQLite), a pybroker, `--rows`, `--rounds`. Out: a table on standard
output, and with `--write` in bench/README.md. Both workers read the same topic from the same broker into the same
server, and take turns; a ratio is formed inside a round and the median of the rounds is shown. The records are
JSON with schemas, of about 880 bytes and 10 columns.

The Java sink is Debezium's, the only JDBC sink in Maven's central repository; it does not know SQLite. There is no
Java JDBC source there, so the Java worker's source is `bench/java/PlainJdbcSource.java`, which does nothing but
read the table: no connector can be quicker. Time runs from the first row that has arrived to the last, so neither
worker's start counts. Processor time is that of the worker with all its threads, from the connector's creation on,
and that of the PostgreSQL server.

    python -m bench.connect --rows 200000 --rounds 3 --write       about eight minutes
"""

from __future__ import annotations

import argparse
import contextlib
import datetime
import json
import os
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path
from statistics import median
from typing import Any, NamedTuple

from confluent_kafka import Consumer, Producer, TopicPartition
from confluent_kafka.admin import AdminClient, NewTopic

from bench import machine
from tests.connect.jdbc.databases import PostgresDatabase, PostgresServer, SqliteDatabase, TestDatabase
from tests.connect.workers import JavaWorker, PythonWorker, Worker
from tests.processes import PybrokerProcess, compile_java, java_command
from tools import interop

DIRECTORY = Path(__file__).resolve().parent
BEGIN, END = "<!-- connect: written by python -m bench.connect -->", "<!-- end of connect -->"
OURS, JAVA = "pybroker", "Java"
TIMEOUT_S = 300
FIELDS = (
    ("id", "int64"), ("customer", "int32"), ("name", "string"), ("city", "string"), ("email", "string"),
    ("active", "boolean"), ("score", "double"), ("amount", "double"), ("note", "string"), ("at", "int64"),
)  # fmt: skip
TIMESTAMP = {"name": "org.apache.kafka.connect.data.Timestamp", "version": 1}
SCHEMA = {
    "type": "struct",
    "fields": [
        {"type": kind, "optional": name != "id", **(TIMESTAMP if name == "at" else {}), "field": name}
        for name, kind in FIELDS
    ],
    "optional": False,
    "name": "row",
}
CONVERTERS = {
    "key.converter": "org.apache.kafka.connect.storage.StringConverter",
    "value.converter": "org.apache.kafka.connect.json.JsonConverter",
}


class JavaBench(JavaWorker):
    """With the optimising compiler and room, unlike the worker of the tests."""

    name = "Java worker"
    start_timeout_s = 180.0

    def command(self, configuration: Path) -> list[str]:
        services = self.directory / "services" / "META-INF" / "services"
        services.mkdir(parents=True, exist_ok=True)
        (services / "org.apache.kafka.connect.source.SourceConnector").write_text("PlainJdbcSource\n")
        found = [
            services.parent.parent,
            compile_java(DIRECTORY / "java" / "PlainJdbcSource.java"),
            *interop.jdbc_drivers_directory().glob("postgresql-*.jar"),
        ]
        command = java_command(self.directory, "-Xmx1g", "-Xms1g")
        at = command.index("-cp") + 1
        command[at] = os.pathsep.join([*map(str, found), command[at]])
        return [*command, "org.apache.kafka.connect.cli.ConnectStandalone", str(configuration)]


def record(n: int) -> bytes:
    row = {
        "id": n, "customer": n % 1000, "name": f"Customer number {n}", "city": "Lisboa",
        "email": f"customer{n}@example.org", "active": n % 2 == 0, "score": n / 7, "amount": n * 1.25,
        "note": f"a note of a length that is usual, for row {n}", "at": 1_700_000_000_000 + n,
    }  # fmt: skip
    return json.dumps({"schema": SCHEMA, "payload": row}, separators=(",", ":")).encode()


def produce(bootstrap: str, topic: str, rows: int) -> int:
    producer = Producer({"bootstrap.servers": bootstrap, "linger.ms": 20})
    size = 0
    for n in range(rows):
        value = record(n)
        size += len(value)
        while True:
            try:
                producer.produce(topic, value, key=str(n))
                break
            except BufferError:
                producer.poll(0.1)
    producer.flush(120)
    return size // rows


def ours(database: TestDatabase, topic: str, mode: str) -> dict[str, str]:
    return {
        "connector.class": "io.confluent.connect.jdbc.JdbcSinkConnector", **database.config(), "topics": topic,
        "insert.mode": mode, "auto.create": "true", "pk.mode": "record_value" if mode == "upsert" else "none",
        "pk.fields": "id" if mode == "upsert" else "", "table.name.format": topic,
    }  # fmt: skip


def debezium(database: TestDatabase, topic: str, mode: str) -> dict[str, str]:
    config = database.config()
    return {
        "connector.class": "io.debezium.connector.jdbc.JdbcSinkConnector", "topics": topic, "insert.mode": mode,
        "connection.url": config["connection.url"], "connection.username": config["connection.user"],
        "connection.password": config["connection.password"], "schema.evolution": "basic",
        "primary.key.mode": "record_value" if mode == "upsert" else "none",
        **({"primary.key.fields": "id"} if mode == "upsert" else {}), "collection.name.format": topic,
    }  # fmt: skip


class Figures(NamedTuple):
    """Rows per second, and microseconds of processor time per row of the worker and of PostgreSQL."""

    rate: float
    worker_us: float
    database_us: float


class Bench:
    def __init__(self, directory: Path, rows: int) -> None:
        self.rows = rows
        self.stack = contextlib.ExitStack()
        self.broker = PybrokerProcess(directory / "broker")
        self.stack.callback(self.broker.stop)
        self.server = PostgresServer()
        self.stack.callback(self.server.stop)
        self.postgres, self.sqlite = PostgresDatabase(self.server), SqliteDatabase(directory)
        self.stack.callback(self.postgres.close)
        self.stack.callback(self.sqlite.close)
        self.runs = 0

    def sink(self, worker: Worker, database: TestDatabase, config: dict[str, str], rows: int = 0) -> Figures:
        """From the first row in the table to the last."""
        rows = rows or self.rows
        table = config["topics"]
        # Each run reads from the beginning: by a consumer group of its own.
        name = self._name("sink")
        with self._spending(worker) as spent:
            created = worker.rest.create(name, config)
            assert created.status == 201, created
            first: tuple[float, int] | None = None
            deadline = time.monotonic() + TIMEOUT_S
            try:
                while True:
                    count = 0
                    with contextlib.suppress(Exception):  # Not created yet.
                        count = database.query(f"SELECT COUNT(*) FROM {database.quote(table)}")[0][0]
                    now = time.monotonic()
                    if count and first is None:
                        first = now, count
                    if count >= rows:
                        assert first is not None
                        rate = (rows - first[1]) / max(now - first[0], 1e-9)
                        break
                    self._check(worker, name, now < deadline, f"{count} of {rows} rows after {TIMEOUT_S} s")
                    time.sleep(0.05)
            finally:
                worker.rest.delete(f"/connectors/{name}")
        database.execute(f"DROP TABLE {database.quote(table)}")
        return Figures(rate, spent[0] / rows * 1e6, spent[1] / rows * 1e6)

    def source(self, worker: Worker, database: TestDatabase, connector_class: str) -> Figures:
        """From the first record in the topic to the last."""
        columns = "id BIGINT PRIMARY KEY, customer INT, name TEXT, city TEXT, email TEXT, active BOOLEAN, " \
            "score DOUBLE PRECISION, amount DOUBLE PRECISION, note TEXT, at TIMESTAMP"  # fmt: skip
        database.execute(f"CREATE TABLE bench_rows ({columns})")
        many = f"WITH RECURSIVE g(n) AS (SELECT 0 UNION ALL SELECT n + 1 FROM g WHERE n + 1 < {self.rows})"
        true = "n % 2 = 0" if database.kind == "postgresql" else "(n % 2 = 0)"
        database.execute(
            f"INSERT INTO bench_rows {many} SELECT n, n % 1000, 'Customer number ' || n, 'Lisboa', "
            f"'customer' || n || '@example.org', {true}, n / 7.0, n * 1.25, 'a note of a length that is usual, "
            "for row ' || n, '2024-01-01 00:00:00.123' FROM g"
        )
        name = self._name("source")
        config = {
            "connector.class": connector_class, **database.config(), "mode": "incrementing",
            "incrementing.column.name": "id", "table.whitelist": "bench_rows", "topic.prefix": f"{name}-",
            "batch.max.rows": "2000",
        }  # fmt: skip
        if connector_class == "PlainJdbcSource":
            del config["schema.pattern"]
        place = TopicPartition(f"{name}-bench_rows", 0)
        admin = AdminClient({"bootstrap.servers": self.broker.bootstrap})
        admin.create_topics([NewTopic(place.topic, 1, 1)])[place.topic].result(30)
        consumer = Consumer({"bootstrap.servers": self.broker.bootstrap, "group.id": name})
        with self._spending(worker) as spent:
            created = worker.rest.create(name, config)
            assert created.status == 201, created
            first: tuple[float, int] | None = None
            deadline = time.monotonic() + TIMEOUT_S
            while True:
                count = consumer.get_watermark_offsets(place, 30)[1]
                now = time.monotonic()
                if count and first is None:
                    first = now, count
                if count >= self.rows:
                    assert first is not None
                    rate = (count - first[1]) / max(now - first[0], 1e-9)
                    break
                if not count:
                    self._check(worker, name, now < deadline, f"{count} of {self.rows} after {TIMEOUT_S} s")
                assert now < deadline, f"{count} of {self.rows} after {TIMEOUT_S} s"
                time.sleep(0.02)
        consumer.close()
        worker.rest.delete(f"/connectors/{name}")
        database.execute("DROP TABLE bench_rows")
        return Figures(rate, spent[0] / self.rows * 1e6, spent[1] / self.rows * 1e6)

    def _name(self, kind: str) -> str:
        self.runs += 1
        return f"{kind}-{self.runs}"

    @staticmethod
    def _check(worker: Worker, name: str, in_time: bool, text: str) -> None:
        status = worker.rest.call("GET", f"/connectors/{name}/status").body
        failed = [task for task in status.get("tasks", []) if task["state"] == "FAILED"]
        assert not failed, failed
        assert in_time, text

    @contextlib.contextmanager
    def _spending(self, worker: Worker) -> Iterator[list[float]]:
        """Afterwards the list holds the processor seconds of the worker and of PostgreSQL."""
        assert worker.process is not None
        before = machine.process_cpu_s(worker.process.pid), self._database_cpu_s()
        spent: list[float] = []
        yield spent
        spent.append(machine.process_cpu_s(worker.process.pid) - before[0])
        spent.append(max(0.0, self._database_cpu_s() - before[1]))

    def _database_cpu_s(self) -> float:
        """The server's processes that are alive, and by its own account those that have ended."""
        assert self.server.process is not None
        parent = self.server.process.pid
        total = 0.0
        for entry in Path("/proc").iterdir():
            if not entry.name.isdigit():
                continue
            with contextlib.suppress(OSError):
                fields = (entry / "stat").read_text().rpartition(")")[2].split()
                if int(entry.name) == parent:
                    total += sum(map(int, fields[11:15])) / machine.TICKS
                elif int(fields[1]) == parent:
                    total += sum(map(int, fields[11:13])) / machine.TICKS
        return total


Results = dict[str, dict[str, list[Figures]]]


def measure(bench: Bench, python: Worker, java: Worker | None, turn: int, results: Results) -> None:
    """One round: each row by each worker; who begins changes from round to round."""

    def note(row: str, subject: str, figures: Figures) -> None:
        results.setdefault(row, {}).setdefault(subject, []).append(figures)
        print(
            f"  {row}, {subject}: {figures.rate:,.0f} rows/s; {figures.worker_us:.1f} us of the worker's and "
            f"{figures.database_us:.1f} us of PostgreSQL's processor time per row",
            flush=True,
        )

    def by_turns(row: str, first: Any, second: Any) -> None:
        pairs = [(OURS, first)] + ([(JAVA, second)] if java is not None else [])
        for subject, run in pairs if turn % 2 == 0 else reversed(pairs):
            note(row, subject, run())

    postgres, sqlite = bench.postgres, bench.sqlite
    for mode in ("insert", "upsert"):
        by_turns(
            f"sink, PostgreSQL, {mode}",
            lambda mode=mode: bench.sink(python, postgres, ours(postgres, "bench", mode)),
            lambda mode=mode: bench.sink(java, postgres, debezium(postgres, "bench", mode)),  # type: ignore[arg-type]
        )
    by_turns(
        "source, PostgreSQL",
        lambda: bench.source(python, postgres, "io.confluent.connect.jdbc.JdbcSourceConnector"),
        lambda: bench.source(java, postgres, "PlainJdbcSource"),  # type: ignore[arg-type]
    )
    for mode in ("insert", "upsert"):
        note(f"sink, SQLite, {mode}", OURS, bench.sink(python, sqlite, ours(sqlite, "bench", mode)))
    source = bench.source(python, sqlite, "io.confluent.connect.jdbc.JdbcSourceConnector")
    note("source, SQLite", OURS, source)


GOALS = {"sink, PostgreSQL, insert": 2.0, "sink, PostgreSQL, upsert": 2.0, "source, PostgreSQL": 1.0}


def table(results: Results) -> str:
    lines = [
        "| | pybroker rows/s | Java rows/s | times Java's rate | goal | met | worker CPU us per row, pybroker / Java "
        "| PostgreSQL CPU us per row, pybroker / Java |",
        "|---|---|---|---|---|---|---|---|",
    ]
    for row, found in results.items():
        mine, java = found[OURS], found.get(JAVA, [])
        ratios = [a.rate / b.rate for a, b in zip(mine, java, strict=False)]
        ratio = f"{median(ratios):.2f}" if ratios else ""
        if len(ratios) > 1:
            ratio += f" ({min(ratios):.2f} - {max(ratios):.2f})"
        goal = GOALS.get(row)
        met = "" if goal is None or not ratios else "yes" if round(median(ratios), 2) >= goal else "**no**"
        cells = [row, _rate(mine), _rate(java), ratio, f"{goal:g}" if goal else "", met]
        cells.append(" / ".join(f"{median(f.worker_us for f in each):.1f}" for each in (mine, java) if each))
        if "SQLite" not in row:
            cells.append(
                " / ".join(f"{median(f.database_us for f in each):.1f}" for each in (mine, java) if each)
            )
        else:
            cells.append("")
        lines.append("| " + " | ".join(cells) + " |")
    return "\n".join(lines)


def _rate(figures: list[Figures]) -> str:
    if not figures:
        return ""
    rates = [each.rate for each in figures]
    spread = f" ({min(rates):,.0f} - {max(rates):,.0f})" if len(rates) > 1 else ""
    return f"{median(rates):,.0f}{spread}"


def write(text: str) -> None:
    page = DIRECTORY / "README.md"
    before, _, rest = page.read_text().partition(BEGIN)
    page.write_text(f"{before}{BEGIN}\n\n{text}\n\n{END}{rest.partition(END)[2]}")


@contextlib.contextmanager
def running(worker: Worker) -> Iterator[Worker]:
    try:
        yield worker
    finally:
        worker.stop()


def main() -> None:
    parser = argparse.ArgumentParser(description="Rows per second of the JDBC connectors.")
    parser.add_argument("--rows", type=int, default=100_000)
    parser.add_argument("--rounds", type=int, default=1, help="the workers take turns; medians are shown")
    parser.add_argument("--no-java", action="store_true", help="only our worker")
    parser.add_argument("--write", action="store_true", help="into bench/README.md")
    options = parser.parse_args()
    begun = time.monotonic()
    started = datetime.datetime.now(datetime.UTC)
    load = os.getloadavg()[0]
    results: Results = {}
    with tempfile.TemporaryDirectory(prefix="pybroker-bench-") as folder, contextlib.ExitStack() as stack:
        directory = Path(folder)
        bench = Bench(directory, options.rows)
        stack.enter_context(bench.stack)
        size = produce(bench.broker.bootstrap, "bench", options.rows)
        warm = min(options.rows, 50_000)
        produce(bench.broker.bootstrap, "warm", warm)
        print(f"{options.rows} records of {size} bytes, {len(FIELDS)} columns", flush=True)
        bootstrap = bench.broker.bootstrap
        python = stack.enter_context(
            running(PythonWorker(directory / "python", bootstrap, CONVERTERS, distributed=False))
        )
        java = None
        if not options.no_java:
            properties = {**CONVERTERS, "plugin.path": str(interop.debezium_jdbc_directory())}
            java = stack.enter_context(
                running(JavaBench(directory / "java", bootstrap, properties, distributed=False))
            )
            # The first rows of a JVM are interpreted.
            bench.sink(java, bench.postgres, debezium(bench.postgres, "warm", "upsert"), warm)
        bench.sink(python, bench.postgres, ours(bench.postgres, "warm", "upsert"), warm)
        for turn in range(options.rounds):
            print(f"round {turn + 1} of {options.rounds}, {time.monotonic() - begun:.0f} s", flush=True)
            measure(bench, python, java, turn, results)
    facts = {**machine.description(), "Java": machine.versions().get("Java", "none")}
    lines = [
        f"Date: {started:%Y-%m-%d %H:%M} UTC",
        f"Command: `python -m bench.connect {' '.join(sys.argv[1:])}`",
        *(f"{name}: {value}" for name, value in facts.items()),
        f"{options.rows} records of {size} bytes, {len(FIELDS)} columns, {options.rounds} rounds, one task",
        f"load of the machine before: {load:.1f}",
    ]
    text = "\n".join(f"- {line}" for line in lines) + "\n\n" + table(results)
    print(f"\n{text}\n\n{time.monotonic() - begun:.0f} s", flush=True)
    if options.write:
        write(text)
        print(f"written to {DIRECTORY / 'README.md'}")


if __name__ == "__main__":
    main()

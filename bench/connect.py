"""Rows per second of Connect's JDBC sink and source: our worker, and a Java worker with Debezium's JDBC sink.

In: databases started here (PostgreSQL, SQLite), a pybroker, `--rows`. Out: a table on standard output. Both
workers read the same topic from the same broker into the same server, one after the other, so that their
ratio means something on a machine that is busy with other things as well; absolute figures do not.

Measured is the time from the first row in the table to the last, so neither worker's start counts; the
source's time begins with the connector. The records are JSON with schemas, of about 880 bytes and 10
columns. There is no Java JDBC source in Maven's central repository to compare with: the source's figure
stands alone.

    python -m bench.connect --rows 200000
"""

from __future__ import annotations

import argparse
import contextlib
import json
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

from confluent_kafka import Consumer, Producer

from tests.connect.jdbc.databases import PostgresDatabase, PostgresServer, SqliteDatabase, TestDatabase
from tests.connect.workers import JavaWorker, PythonWorker, Worker
from tests.processes import PybrokerProcess, java_command
from tools import interop

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


class JavaDebezium(JavaWorker):
    """With the optimising compiler and room, unlike the worker of the tests."""

    name = "Java, Debezium"

    def command(self, configuration: Path) -> list[str]:
        command = java_command(self.directory, "-Xmx1g", "-Xms1g")
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


def sink_rate(worker: Worker, database: TestDatabase, topic: str, rows: int, config: dict[str, str]) -> float:
    """Rows per second from the first row in the table to the last."""
    # Each run reads from the beginning: by a consumer group of its own.
    name = f"{worker.directory.name}-{database.kind}-{config['insert.mode']}"
    created = worker.rest.create(name, config)
    assert created.status == 201, created
    first: tuple[float, int] | None = None
    deadline = time.monotonic() + 300
    try:
        while True:
            try:
                count = database.query(f"SELECT COUNT(*) FROM {database.quote(topic)}")[0][0]
            except Exception:  # Not created yet.
                count = 0
            now = time.monotonic()
            if count and first is None:
                first = now, count
            if count >= rows:
                assert first is not None
                return (rows - first[1]) / max(now - first[0], 1e-9)
            status = worker.rest.call("GET", f"/connectors/{name}/status").body
            failed = [task for task in status.get("tasks", []) if task["state"] == "FAILED"]
            assert not failed, failed
            assert now < deadline, f"{count} of {rows} rows after 300 s"
            time.sleep(0.05)
    finally:
        worker.rest.delete(f"/connectors/{name}")
        with contextlib.suppress(Exception):
            database.execute(f"DROP TABLE {database.quote(topic)}")


def source_rate(worker: Worker, database: TestDatabase, bootstrap: str, rows: int) -> float:
    """Rows per second from the creation of the connector, its start included, to the last record."""
    columns = "id BIGINT PRIMARY KEY, customer INT, name TEXT, city TEXT, email TEXT, active BOOLEAN, " \
        "score DOUBLE PRECISION, amount DOUBLE PRECISION, note TEXT, at TIMESTAMP"  # fmt: skip
    database.execute(f"CREATE TABLE bench_rows ({columns})")
    many = f"WITH RECURSIVE g(n) AS (SELECT 0 UNION ALL SELECT n + 1 FROM g WHERE n + 1 < {rows})"
    true = "n % 2 = 0" if database.kind == "postgresql" else "(n % 2 = 0)"
    database.execute(
        f"INSERT INTO bench_rows {many} SELECT n, n % 1000, 'Customer number ' || n, 'Lisboa', "
        f"'customer' || n || '@example.org', {true}, n / 7.0, n * 1.25, 'a note of a length that is usual, for row ' "
        "|| n, '2024-01-01 00:00:00.123' FROM g"
    )
    prefix = f"{database.kind}-source-"
    begin = time.monotonic()
    created = worker.rest.create(
        f"{prefix}bench",
        {
            "connector.class": "io.confluent.connect.jdbc.JdbcSourceConnector", **database.config(),
            "mode": "incrementing", "incrementing.column.name": "id", "table.whitelist": "bench_rows",
            "topic.prefix": prefix, "batch.max.rows": "2000",
        },
    )  # fmt: skip
    assert created.status == 201, created
    consumer = Consumer(
        {"bootstrap.servers": bootstrap, "group.id": prefix, "auto.offset.reset": "earliest",
         "topic.metadata.refresh.interval.ms": "100"}
    )  # fmt: skip
    consumer.subscribe([f"{prefix}bench_rows"])
    count = 0
    deadline = time.monotonic() + 300
    while count < rows:
        messages = consumer.consume(5000, timeout=0.1)
        count += sum(1 for message in messages if message.error() is None)
        assert time.monotonic() < deadline, f"{count} of {rows} records after 300 s"
    rate = count / (time.monotonic() - begin)
    consumer.close()
    worker.rest.delete(f"/connectors/{prefix}bench")
    database.execute("DROP TABLE bench_rows")
    return rate


@contextlib.contextmanager
def running(worker: Worker) -> Iterator[Worker]:
    try:
        yield worker
    finally:
        worker.stop()


def main() -> None:
    parser = argparse.ArgumentParser(description="Rows per second of the JDBC connectors.")
    parser.add_argument("--rows", type=int, default=100_000)
    parser.add_argument(
        "--rounds", type=int, default=1, help="the workers take turns; the best of each counts"
    )
    options = parser.parse_args()
    results: dict[tuple[str, str], float] = {}
    with tempfile.TemporaryDirectory(prefix="pybroker-bench-") as folder, contextlib.ExitStack() as stack:
        directory = Path(folder)
        broker = PybrokerProcess(directory / "broker")
        stack.callback(broker.stop)
        server = PostgresServer()
        stack.callback(server.stop)
        postgres, sqlite = PostgresDatabase(server), SqliteDatabase(directory)
        size = produce(broker.bootstrap, "bench", options.rows)
        print(f"{options.rows} records of {size} bytes, {len(FIELDS)} columns", flush=True)
        for turn in range(options.rounds):
            with running(
                PythonWorker(directory / f"python-{turn}", broker.bootstrap, CONVERTERS, distributed=False)
            ) as worker:
                for mode in ("insert", "upsert"):
                    for database in (postgres, sqlite):
                        config = ours(database, "bench", mode)
                        rate = sink_rate(worker, database, "bench", options.rows, config)
                        keep(results, f"sink {database.kind} {mode}", "pybroker", rate)
                for database in (postgres, sqlite):
                    if turn == 0:
                        rate = source_rate(worker, database, broker.bootstrap, options.rows)
                        keep(results, f"source {database.kind}", "pybroker", rate)
            properties = {**CONVERTERS, "plugin.path": str(interop.debezium_jdbc_directory())}
            with running(
                JavaDebezium(directory / f"java-{turn}", broker.bootstrap, properties, distributed=False)
            ) as worker:
                for mode in ("insert", "upsert"):
                    rate = sink_rate(
                        worker, postgres, "bench", options.rows, debezium(postgres, "bench", mode)
                    )
                    keep(results, f"sink postgresql {mode}", "Java, Debezium", rate)
        print("\n| | pybroker rows/s | Java, Debezium rows/s | ratio |\n|---|---|---|---|")
        for row in dict.fromkeys(row for row, _ in results):
            mine, java = results[row, "pybroker"], results.get((row, "Java, Debezium"))
            ratio = f"{mine / java:.2f}" if java else ""
            print(f"| {row} | {mine:,.0f} | {f'{java:,.0f}' if java else ''} | {ratio} |")
        postgres.close()
        sqlite.close()


def keep(results: dict[tuple[str, str], float], row: str, subject: str, rate: float) -> None:
    print(f"{row}, {subject}: {rate:,.0f} rows/s", flush=True)
    results[row, subject] = max(rate, results.get((row, subject), 0.0))


if __name__ == "__main__":
    main()

"""Two whole stories with a broker and a standalone Connect worker, and the demo.

The connectors' JSON is that of the reference connectors' documentation: only names of tables, topics and
columns are the story's own.
"""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from confluent_kafka import Consumer, Producer

from tests.connect.jdbc.databases import TestDatabase
from tests.connect.workers import PythonWorker
from tests.processes import Server, wait_until

JSON_CONVERTERS = {
    "key.converter": "org.apache.kafka.connect.json.JsonConverter",
    "value.converter": "org.apache.kafka.connect.json.JsonConverter",
    "consumer.metadata.max.age.ms": "500",
}


@pytest.fixture(scope="module")
def worker(broker: Server, tmp_path_factory: pytest.TempPathFactory) -> Iterator[PythonWorker]:
    running = PythonWorker(
        tmp_path_factory.mktemp("connect"), broker.bootstrap, JSON_CONVERTERS, distributed=False
    )
    yield running
    running.stop()


def consume(bootstrap: str, topic: str, count: int, group: str) -> list[tuple[Any, Any]]:
    consumer = Consumer(
        {"bootstrap.servers": bootstrap, "group.id": group, "auto.offset.reset": "earliest",
         "topic.metadata.refresh.interval.ms": "500"}
    )  # fmt: skip
    consumer.subscribe([topic])
    found: list[tuple[Any, Any]] = []

    def enough() -> bool:
        for message in consumer.consume(500, timeout=0.2):
            if message.error() is None:
                key = message.key()
                found.append((json.loads(key) if key else None, json.loads(message.value())))
        return len(found) >= count

    try:
        wait_until(enough, f"{count} records in {topic}", 60, 0.01)
    finally:
        consumer.close()
    return found


def test_product_listings_go_from_a_database_to_consumers(
    broker: Server, worker: PythonWorker, postgres: TestDatabase, topic_name: str
) -> None:
    """A shop's listings: the first load, new products, changed prices, read by two consumers of their own
    pace."""
    postgres.execute(
        "CREATE TABLE listings (id SERIAL PRIMARY KEY, title TEXT NOT NULL, price NUMERIC(10,2) NOT NULL, "
        "modified TIMESTAMP NOT NULL DEFAULT clock_timestamp())"
    )
    postgres.execute(
        "INSERT INTO listings (title, price) SELECT 'Listing ' || n, n * 1.5 FROM generate_series(1, 500) n"
    )
    prefix = f"{topic_name}-"
    created = worker.rest.create(
        topic_name,
        {
            "connector.class": "io.confluent.connect.jdbc.JdbcSourceConnector",
            **postgres.config(),
            "mode": "timestamp+incrementing",
            "timestamp.column.name": "modified",
            "incrementing.column.name": "id",
            "table.whitelist": "listings",
            "topic.prefix": prefix,
            "poll.interval.ms": "50",
            "numeric.mapping": "best_fit",
            "transforms": "createKey,extractInt",
            "transforms.createKey.type": "org.apache.kafka.connect.transforms.ValueToKey",
            "transforms.createKey.fields": "id",
            "transforms.extractInt.type": "org.apache.kafka.connect.transforms.ExtractField$Key",
            "transforms.extractInt.field": "id",
        },
    )
    assert created.status == 201, created
    topic = f"{prefix}listings"
    first = consume(broker.bootstrap, topic, 500, f"{topic}-search")
    assert [value["payload"]["id"] for _, value in first] == list(range(1, 501))
    assert first[9][0]["payload"] == 10
    assert first[9][1]["payload"]["price"] == 15.0
    assert first[9][1]["schema"]["name"] == "listings"
    postgres.execute("UPDATE listings SET price = 9.99, modified = clock_timestamp() WHERE id = 7")
    postgres.execute("INSERT INTO listings (title, price) VALUES ('New', 1)")
    later = consume(broker.bootstrap, topic, 502, f"{topic}-prices")
    assert sorted(key["payload"] for key, _ in later[500:]) == [7, 501]
    assert {value["payload"]["id"]: value["payload"]["price"] for _, value in later}[7] == 9.99
    # Stored every offset.flush.interval.ms.
    offsets = wait_until(
        lambda: worker.rest.get(f"/connectors/{topic_name}/offsets")["offsets"], "the offset", 30, 0.1
    )
    assert [item["partition"]["protocol"] for item in offsets] == ["1"]
    assert worker.rest.delete(f"/connectors/{topic_name}").status == 204


def test_patient_readings_of_several_producers_end_in_one_table(
    broker: Server, worker: PythonWorker, database: TestDatabase, topic_name: str
) -> None:
    """Devices send readings, some of them again; the table holds the last of each patient and measurement."""
    name = f"readings-{database.kind}-{topic_name[-12:]}"
    fields = [
        {"field": "patient", "type": "int32", "optional": False},
        {"field": "kind", "type": "string", "optional": False},
        {"field": "value", "type": "double", "optional": True},
        {
            "field": "taken",
            "type": "int64",
            "optional": False,
            "name": "org.apache.kafka.connect.data.Timestamp",
            "version": 1,
        },
    ]
    schema = {"type": "struct", "name": "reading", "optional": False, "fields": fields}
    expected: dict[tuple[int, str], float] = {}
    producers = [
        Producer({"bootstrap.servers": broker.bootstrap, "client.id": f"device-{n}"}) for n in range(3)
    ]
    for n in range(600):
        patient, kind, value = n % 50, ("pulse", "oxygen", "temperature")[n % 3], n / 4
        payload = {"patient": patient, "kind": kind, "value": value, "taken": 1_700_000_000_000 + n}
        # A device stays with its patients, and a patient's readings stay in order.
        producer = producers[patient % 3]
        record = json.dumps({"schema": schema, "payload": payload}).encode()
        producer.produce(name, record, key=json.dumps({"schema": None, "payload": None}), partition=0)
        if n % 100 == 0:
            producer.produce(name, record, key=json.dumps({"schema": None, "payload": None}), partition=0)
        expected[patient, kind] = value
    for producer in producers:
        producer.flush(30)
    created = worker.rest.create(
        name,
        {
            "connector.class": "io.aiven.connect.jdbc.JdbcSinkConnector",
            **database.config(),
            "topics": name,
            "table.name.format": "readings",
            "insert.mode": "upsert",
            "pk.mode": "record_value",
            "pk.fields": "patient,kind",
            "auto.create": "true",
            "tasks.max": "1",
        },
    )
    assert created.status == 201, created

    def arrived() -> bool:
        try:
            found = database.query("SELECT patient, kind, value FROM readings")
        except Exception:  # Not created yet.
            return False
        return {(row[0], row[1]): row[2] for row in found} == expected

    try:
        wait_until(arrived, "the readings in the table", 60, 0.05)
    except AssertionError:
        pytest.fail(f"{worker.rest.get(f'/connectors/{name}/status')}\n{worker.log_text()[-3000:]}")
    worker.rest.await_states(name, "RUNNING", ["RUNNING"])
    worker.rest.delete(f"/connectors/{name}")


def test_a_task_fails_alone_and_says_why(
    worker: PythonWorker, make_database: Callable[[str], TestDatabase], topic_name: str
) -> None:
    """One connector loses its table, another meets a value that is too large for a message, another has a wrong
    password: their status says so, a fourth goes on."""
    good, dropped, large = make_database("sqlite"), make_database("sqlite"), make_database("sqlite")
    for database in (good, dropped, large):
        database.execute("CREATE TABLE items (id INTEGER PRIMARY KEY, name TEXT)")
        database.execute("INSERT INTO items (name) VALUES ('a')")

    def config(database: TestDatabase) -> dict[str, str]:
        return {
            "connector.class": "JdbcSource", **database.config(), "mode": "incrementing", "table.whitelist": "items",
            "incrementing.column.name": "id", "topic.prefix": f"{topic_name}-", "poll.interval.ms": "50",
        }  # fmt: skip

    names = [f"{topic_name}-{kind}" for kind in ("good", "dropped", "refused", "large")]
    assert worker.rest.create(names[0], config(good)).status == 201
    assert worker.rest.create(names[1], config(dropped)).status == 201
    refused = {**config(make_database("postgresql")), "connection.password": "hunter2"}
    assert worker.rest.create(names[2], refused).status == 201
    worker.rest.await_states(names[1], "RUNNING", ["RUNNING"])
    large.execute(f"INSERT INTO items (name) VALUES ('{'x' * 5000}'), ('b')")
    small = {**config(large), "producer.override.max.request.size": "4000"}
    assert worker.rest.create(names[3], small).status == 201
    dropped.execute("DROP TABLE items")
    worker.rest.await_states(names[1], "RUNNING", ["FAILED"])
    trace = worker.rest.get(f"/connectors/{names[1]}/status")["tasks"][0]["trace"]
    # Seen before the read, or by it: it depends on the moment in which the table goes.
    assert "the table items does not exist" in trace or "reading the table items: no such table" in trace
    worker.rest.await_states(names[3], "RUNNING", ["FAILED"])
    trace = worker.rest.get(f"/connectors/{names[3]}/status")["tasks"][0]["trace"]
    assert "send the record of {'protocol': '1', 'table': 'items'} at {'incrementing': 2} to topic" in trace
    assert "MSG_SIZE_TOO_LARGE" in trace
    worker.rest.await_states(names[2], "FAILED", [])
    trace = worker.rest.get(f"/connectors/{names[2]}/status")["connector"]["trace"]
    assert "cannot connect to postgresql://127.0.0.1" in trace
    assert "password authentication failed" in trace
    assert "hunter2" not in trace
    worker.rest.await_states(names[0], "RUNNING", ["RUNNING"])
    for name in names:
        worker.rest.delete(f"/connectors/{name}")


def test_a_sink_without_its_table_fails_alone_and_goes_on_where_it_was(
    broker: Server, worker: PythonWorker, postgres: TestDatabase, topic_name: str
) -> None:
    """Two sinks read one topic; the table of one is dropped. Nothing is lost when it is there again."""
    producer = Producer({"bootstrap.servers": broker.bootstrap})

    def produce(first: int, end: int) -> None:
        for number in range(first, end):
            producer.produce(topic_name, json.dumps({"id": number}).encode())
        assert producer.flush(30) == 0

    def numbers(table: str) -> list[int]:
        return sorted(row[0] for row in postgres.query(f"SELECT id FROM {table}"))

    produce(0, 10)
    names = {table: f"{topic_name}-{table}" for table in ("kept", "dropped")}
    for table, name in names.items():
        postgres.execute(f"CREATE TABLE {table} (id INT PRIMARY KEY)")
        created = worker.rest.create(
            name,
            {
                "connector.class": "JdbcSink", **postgres.config(), "topics": topic_name, "table.name.format": table,
                "insert.mode": "upsert", "pk.mode": "record_value", "pk.fields": "id", "max.retries": "0",
                "value.converter": "org.apache.kafka.connect.json.JsonConverter",
                "value.converter.schemas.enable": "false",
            },
        )  # fmt: skip
        assert created.status == 201, created
    for table in names:
        wait_until(lambda table=table: numbers(table) == list(range(10)), f"10 rows in {table}", 60, 0.05)
    postgres.execute("DROP TABLE dropped")
    produce(10, 20)
    worker.rest.await_states(names["dropped"], "RUNNING", ["FAILED"])
    trace = worker.rest.get(f"/connectors/{names['dropped']}/status")["tasks"][0]["trace"]
    assert "dropped" in trace
    wait_until(lambda: numbers("kept") == list(range(20)), "20 rows in kept", 60, 0.05)
    worker.rest.await_states(names["kept"], "RUNNING", ["RUNNING"])
    postgres.execute("CREATE TABLE dropped (id INT PRIMARY KEY)")
    assert worker.rest.post(f"/connectors/{names['dropped']}/tasks/0/restart").status == 204
    wait_until(lambda: set(numbers("dropped")) >= set(range(10, 20)), "what it missed", 60, 0.05)
    for name in names.values():
        worker.rest.delete(f"/connectors/{name}")


def test_bad_records_go_to_the_dead_letter_topic(
    broker: Server, worker: PythonWorker, postgres: TestDatabase, topic_name: str
) -> None:
    postgres.execute("CREATE TABLE items (id INT PRIMARY KEY, name VARCHAR(5) NOT NULL)")
    producer = Producer({"bootstrap.servers": broker.bootstrap})
    names = ["ok"] * 40
    names[13] = "far too long"
    records: list[bytes] = [json.dumps({"id": n, "name": name}).encode() for n, name in enumerate(names)]
    records[20] = b"{ no JSON"
    records[30] = b'{"id": null, "name": "x"}'
    for record in records:
        producer.produce(topic_name, record, partition=0)
    producer.flush(30)
    created = worker.rest.create(
        topic_name,
        {
            "connector.class": "JdbcSink", **postgres.config(), "topics": topic_name, "table.name.format": "items",
            "insert.mode": "upsert", "pk.mode": "record_value", "pk.fields": "id",
            "value.converter": "org.apache.kafka.connect.json.JsonConverter", "value.converter.schemas.enable": "false",
            "errors.tolerance": "all", "errors.deadletterqueue.topic.name": f"{topic_name}-dead",
            "errors.deadletterqueue.topic.replication.factor": "1",
            "errors.deadletterqueue.context.headers.enable": "true",
        },
    )  # fmt: skip
    assert created.status == 201, created
    wait_until(lambda: len(postgres.query("SELECT * FROM items")) == 37, "37 rows", 60, 0.05)
    consumer = Consumer(
        {
            "bootstrap.servers": broker.bootstrap,
            "group.id": f"{topic_name}-dead",
            "auto.offset.reset": "earliest",
        }
    )
    consumer.subscribe([f"{topic_name}-dead"])
    dead: dict[bytes, dict[str, bytes]] = {}

    def three() -> bool:
        for message in consumer.consume(10, timeout=0.2):
            dead[message.value()] = dict(message.headers() or [])
        return len(dead) == 3

    wait_until(three, "three dead letters", 30, 0.01)
    consumer.close()
    assert set(dead) == {records[13], records[20], records[30]}
    headers = dead[records[13]]
    assert headers["__connect.errors.offset"] == b"13"
    assert headers["__connect.errors.stage"] == b"TASK_PUT"
    assert b"value too long" in headers["__connect.errors.exception.message"]
    worker.rest.delete(f"/connectors/{topic_name}")


def test_the_demo_ends_with_equal_databases(tmp_path: Path) -> None:
    result = subprocess.run(
        [sys.executable, "-m", "tools.demo", "--seconds", "2"], capture_output=True, text=True, timeout=120
    )
    assert result.returncode == 0, result.stdout + result.stderr
    assert "both databases are equal" in result.stdout

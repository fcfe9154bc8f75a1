"""Workers and the broker are killed -9 while rows flow from one database through topics into another.

The rows of four tables go by the JDBC source into topics and out of them by two sinks: one upserts (at least
once), one inserts into tables without any key and keeps its offsets beside the rows (exactly once), so that a
row written twice would stay. Rows are still inserted while all this runs. In the end both targets equal the
source, and with exactly-once sources a read_committed reader sees every row once.

    make chaos                    a million rows, with exactly-once sources and without
    PYBROKER_CHAOS_ROWS=200000 PYBROKER_CHAOS_SEED=7 pytest tests/connect/jdbc/test_chaos.py -s
"""

from __future__ import annotations

import json
import os
import random
import threading
import time
from collections import Counter
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest
from confluent_kafka import Consumer, KafkaError, TopicPartition
from confluent_kafka.admin import AdminClient, NewTopic, OffsetSpec

from tests.connect.jdbc.databases import TestDatabase
from tests.connect.workers import PythonWorker
from tests.processes import PybrokerProcess, wait_until

ROWS = int(os.environ.get("PYBROKER_CHAOS_ROWS", "12000"))
SEED = int(os.environ.get("PYBROKER_CHAOS_SEED", "1"))
LONG = "PYBROKER_CHAOS_ROWS" in os.environ
TABLES = 4
KILLS = 2 if not LONG else max(3, ROWS // 25_000)
pytestmark = pytest.mark.timeout(240 if not LONG else 4 * 3600)

PLACES = [TopicPartition(f"chaos-rows{n}", partition, 0) for n in range(TABLES) for partition in range(2)]
# What a table holds, in numbers that are equal only when the rows are.
DIGEST = (
    "SELECT COUNT(*), COUNT(DISTINCT id), COALESCE(SUM(hashtextextended(ROW(id, name, score, at)::text, 0)), 0) "
    "FROM {}"
)


class Cluster:
    """A broker and workers, any of which may be killed and is started again."""

    def __init__(self, directory: Path, workers: int, exactly_once: bool) -> None:
        self.broker = PybrokerProcess(
            directory / "broker",
            {"group.min.session.timeout.ms": "1000", "group.initial.rebalance.delay.ms": "0"},
        )
        properties = {
            "key.converter": "org.apache.kafka.connect.json.JsonConverter",
            "value.converter": "org.apache.kafka.connect.json.JsonConverter",
            "exactly.once.source.support": "enabled" if exactly_once else "disabled",
            "session.timeout.ms": "3000", "heartbeat.interval.ms": "500", "offset.flush.interval.ms": "1000",
            "scheduled.rebalance.max.delay.ms": "0", "consumer.session.timeout.ms": "3000",
            "consumer.heartbeat.interval.ms": "500",
        }  # fmt: skip

        def start(n: int) -> PythonWorker:
            return PythonWorker(directory / f"worker-{n}", self.broker.bootstrap, properties, group="chaos")

        # A worker ends with the thread that started it, so they are kept.
        self.pool = ThreadPoolExecutor(workers)
        self.workers = list(self.pool.map(start, range(workers)))
        self.kills: Counter[str] = Counter()

    def kill(self, what: str, which: int) -> None:
        self.kills[what] += 1
        victim = self.broker if what == "broker" else self.workers[which]
        victim.kill()
        victim.start()

    def stop(self) -> None:
        for worker in self.workers:
            worker.stop()
        self.broker.stop()
        self.pool.shutdown()


@pytest.fixture
def cluster(tmp_path: Path, request: pytest.FixtureRequest) -> Any:
    made = Cluster(tmp_path, 3 if LONG else 2, request.param == "exactly-once")
    yield made
    made.stop()


def source_of(database: TestDatabase, exactly_once: bool) -> dict[str, str]:
    return {
        "connector.class": "io.confluent.connect.jdbc.JdbcSourceConnector", **database.config(),
        "mode": "incrementing", "incrementing.column.name": "id", "topic.prefix": "chaos-", "tasks.max": str(TABLES),
        "table.whitelist": ",".join(f"rows{n}" for n in range(TABLES)), "poll.interval.ms": "100",
        **({"exactly.once.support": "required"} if exactly_once else {}),
    }  # fmt: skip


def sink_to(database: TestDatabase, **settings: str) -> dict[str, str]:
    return {
        "connector.class": "io.confluent.connect.jdbc.JdbcSinkConnector", **database.config(), "tasks.max": "2",
        "topics": ",".join(f"chaos-rows{n}" for n in range(TABLES)), "retry.backoff.ms": "500",
        "consumer.override.isolation.level": "read_committed",
        **{key.replace("__", "."): value for key, value in settings.items()},
    }  # fmt: skip


def insert(database: TestDatabase, first: int, count: int) -> None:
    for table in range(TABLES):
        database.execute(
            f"INSERT INTO rows{table} (name, score, at) SELECT 'row ' || n, n / 7.0, "
            f"TIMESTAMP '2024-01-01' + n * INTERVAL '1 ms' FROM generate_series({first}, {first + count - 1}) n"
        )


def digests(database: TestDatabase, prefix: str) -> list[tuple[Any, ...]]:
    return [database.query(DIGEST.format(f'"{prefix}rows{n}"'))[0] for n in range(TABLES)]


def counted(database: TestDatabase, prefix: str) -> int:
    return sum(database.query(f'SELECT COUNT(*) FROM "{prefix}rows{n}"')[0][0] for n in range(TABLES))


def ids_in_topics(bootstrap: str) -> list[Counter[int]]:
    """How often each id is in each table's topic, for a read_committed reader."""
    found: list[Counter[int]] = [Counter() for _ in range(TABLES)]
    consumer = Consumer(
        {"bootstrap.servers": bootstrap, "group.id": "check", "isolation.level": "read_committed",
         "enable.partition.eof": True, "enable.auto.commit": False}
    )  # fmt: skip
    consumer.assign(PLACES)
    open_places = {(place.topic, place.partition) for place in PLACES}
    deadline = time.monotonic() + (60 if not LONG else 600)
    while open_places:
        assert time.monotonic() < deadline, f"no end of {open_places}"
        for message in consumer.consume(1000, timeout=0.2):
            error = message.error()
            if error is None:
                found[int(message.topic()[-1])][json.loads(message.value())["payload"]["id"]] += 1
            elif error.code() == KafkaError._PARTITION_EOF:
                open_places.discard((message.topic(), message.partition()))
    consumer.close()
    return found


@pytest.mark.slow
@pytest.mark.parametrize(
    "cluster", ["exactly-once", "at-least-once"] if LONG else ["exactly-once"], indirect=True
)
def test_nothing_is_lost_or_doubled_when_workers_and_broker_are_killed(
    cluster: Cluster, make_database: Callable[[str], TestDatabase], request: pytest.FixtureRequest
) -> None:
    exactly_once = "exactly-once" in request.node.name
    chance = random.Random(SEED)
    source, target = make_database("postgresql"), make_database("postgresql")
    for n in range(TABLES):
        source.execute(
            f"CREATE TABLE rows{n} (id BIGSERIAL PRIMARY KEY, name TEXT, score DOUBLE PRECISION, at TIMESTAMP)"
        )
        for kind, key in (("u-", "PRIMARY KEY"), ("x-", "")):
            target.execute(
                f'CREATE TABLE "{kind}chaos-rows{n}" (id BIGINT {key}, name TEXT, score DOUBLE PRECISION, at TIMESTAMP)'
            )
    admin = AdminClient({"bootstrap.servers": cluster.broker.bootstrap})
    for future in admin.create_topics([NewTopic(f"chaos-rows{n}", 2, 1) for n in range(TABLES)]).values():
        future.result(30)
    share = ROWS // TABLES
    insert(source, 0, share // 2)
    begin = time.monotonic()
    rest = cluster.workers[0].rest
    upsert = sink_to(
        target,
        insert__mode="upsert",
        pk__mode="record_value",
        pk__fields="id",
        table__name__format="u-${topic}",
    )
    once = sink_to(target, exactly__once="true", table__name__format="x-${topic}")
    for name, config in (("source", source_of(source, exactly_once)), ("upsert", upsert), ("once", once)):
        created = rest.create(name, config)
        assert created.status == 201, created

    # The other half of the rows comes while everything runs.
    def go_on_inserting() -> None:
        connection = source.connect()  # type: ignore[attr-defined]
        step = max(share // 100, 1)
        for first in range(share // 2, share, step):
            for table in range(TABLES):
                connection.execute(
                    f"INSERT INTO rows{table} (name, score, at) SELECT 'row ' || n, n / 7.0, "
                    f"TIMESTAMP '2024-01-01' + n * INTERVAL '1 ms' "
                    f"FROM generate_series({first}, {min(first + step, share) - 1}) n"
                )
        connection.close()

    inserting = threading.Thread(target=go_on_inserting)
    inserting.start()
    # A kill whenever another part of the rows has arrived, so that all of them fall into the work.
    for number in range(KILLS):
        wanted = ROWS * (number + 1) // (KILLS + 2)
        limit_s = 120 if not LONG else 1200
        wait_until(lambda n=wanted: counted(target, "u-chaos-") >= n, f"{wanted} rows", limit_s, 0.05)
        what = "broker" if number % 3 == 1 else "worker"
        cluster.kill(what, chance.randrange(len(cluster.workers)))
        if LONG:
            print(f"{time.monotonic() - begin:6.0f} s: {what} killed at {wanted} rows", flush=True)
    inserting.join()
    expected = digests(source, "")
    assert sum(row[0] for row in expected) == share * TABLES

    def done() -> bool:
        return counted(target, "u-chaos-") >= share * TABLES and counted(target, "x-chaos-") >= share * TABLES

    try:
        wait_until(done, "all rows", 120 if not LONG else 1800, 0.2)
    except AssertionError as error:
        status = cluster.workers[0].rest.get("/connectors?expand=status")
        counts = counted(target, "u-chaos-"), counted(target, "x-chaos-")
        raise AssertionError(f"{error}; there are {counts}: {json.dumps(status)}") from None
    seconds = time.monotonic() - begin
    assert digests(target, "u-chaos-") == expected
    topics = ids_in_topics(cluster.broker.bootstrap)
    doubled = sum(count - 1 for found in topics for count in found.values())
    for found in topics:
        assert found.keys() == set(range(1, share + 1))
    if exactly_once:
        assert doubled == 0
        assert digests(target, "x-chaos-") == expected
    else:  # The exactly-once sink writes what the topic holds, once.
        assert counted(target, "x-chaos-") == share * TABLES + doubled
    ends = admin.list_offsets({place: OffsetSpec.latest() for place in PLACES})
    stored = sum(end.result(30).offset for end in ends.values())
    for name, tasks in (("source", TABLES), ("upsert", 2), ("once", 2)):
        cluster.workers[0].rest.await_states(name, "RUNNING", ["RUNNING"] * tasks, 60)
    print(
        f"\n{share * TABLES} rows, {dict(cluster.kills)} killed, {seconds:.0f} s, lost 0, doubled in topics "
        f"{doubled}, offsets used {stored} (aborted records and markers included)"
    )

"""The JDBC source on real servers: modes, offsets, tables, types, and the rows that are easily lost."""

from __future__ import annotations

import datetime
import decimal
import json
import threading
import time
from collections.abc import Callable
from typing import Any

import pytest

from connect.api.connector import ExactlyOnceSupport
from connect.api.data import Date, Decimal, Struct, Time, Timestamp, Type
from connect.api.errors import ConfigError, ConnectError
from connect.jdbc.source import querier
from connect.jdbc.source.connector import AivenJdbcSourceConnector, JdbcSourceConnector
from tests.connect.jdbc.databases import TestDatabase
from tests.connect.jdbc.harness import Source, column, values

INCREMENTING = {"mode": "incrementing", "incrementing.column.name": "id", "table.whitelist": "items"}
TIMESTAMP = {"mode": "timestamp", "timestamp.column.name": "changed", "table.whitelist": "items"}
BOTH = {**INCREMENTING, **TIMESTAMP, "mode": "timestamp+incrementing"}

TIME_TYPE = {"postgresql": "TIMESTAMP(3)", "mariadb": "DATETIME(3)", "sqlite": "TIMESTAMP"}


def create_items(database: TestDatabase) -> None:
    database.execute(
        f"CREATE TABLE items (id INTEGER PRIMARY KEY, name VARCHAR(40), changed {TIME_TYPE[database.kind]} NOT NULL)"
    )


def insert(database: TestDatabase, id: int, when: str = "2024-01-01 10:00:00.000", name: str = "n") -> None:
    database.execute("INSERT INTO items VALUES (%s, %s, %s)", id, name, when)


def insert_many(database: TestDatabase, ids: range, when: str = "2024-01-01 10:00:00.000") -> None:
    database.execute("INSERT INTO items VALUES " + ", ".join(f"({id}, 'n', '{when}')" for id in ids))


def test_bulk_reads_everything_each_time(database: TestDatabase) -> None:
    create_items(database)
    insert_many(database, range(5))
    source = Source({**database.config(), "mode": "bulk", "table.whitelist": "items"})
    first = source.read(5)
    assert column(first, "id") == [0, 1, 2, 3, 4]
    assert {record.topic for record in first} == {"t-items"}
    assert all(record.source_offset is None for record in first)
    insert(database, 5)
    assert column(source.read(6), "id") == [0, 1, 2, 3, 4, 5]
    source.stop()


def test_incrementing_reads_only_new_rows_in_order(database: TestDatabase) -> None:
    create_items(database)
    insert_many(database, range(1, 251))
    source = Source({**database.config(), **INCREMENTING, "batch.max.rows": "100"})
    batches = [source.poll() for _ in range(3)]
    assert [len(batch) for batch in batches] == [100, 100, 50]
    assert [id for batch in batches for id in column(batch, "id")] == list(range(1, 251))
    last = batches[2][-1]
    assert last.source_offset == {"incrementing": 250}
    assert last.source_partition is not None
    assert last.source_partition["protocol"] == "1"
    assert last.source_partition["table"].endswith("items")
    source.nothing()
    insert(database, 251)
    assert column(source.read(1), "id") == [251]
    source.stop()


def test_a_restart_goes_on_where_it_was(database: TestDatabase) -> None:
    create_items(database)
    insert_many(database, range(1, 31))
    stored: dict[str, Any] = {}
    source = Source({**database.config(), **INCREMENTING, "batch.max.rows": "10"}, stored)
    source.acknowledge(source.poll())
    source.poll()  # Never acknowledged: as if the worker had been killed.
    source.stop()
    again = Source({**database.config(), **INCREMENTING}, stored)
    assert column(again.read(20), "id") == list(range(11, 31))
    again.stop()


@pytest.mark.parametrize("mode", ["incrementing", "timestamp", "timestamp+incrementing"])
def test_first_rows_at_zero_and_below_are_read(database: TestDatabase, mode: str) -> None:
    create_items(database)
    for id, when in (
        (-5, "1969-12-31 23:00:00"),
        (-1, "1970-01-01 00:00:00"),
        (0, "1970-01-01 00:00:00"),
        (1, "2024-01-01 00:00:00"),
    ):
        insert(database, id, when)
    source = Source({**database.config(), **BOTH, "mode": mode})
    records = source.read(4)
    assert sorted(column(records, "id")) == [-5, -1, 0, 1]
    source.stop()


def test_initial_values_are_honoured(database: TestDatabase) -> None:
    create_items(database)
    for id in range(10):
        insert(database, id, f"2024-01-01 00:00:{id:02d}")
    source = Source({**database.config(), **INCREMENTING, "incrementing.initial": "6"})
    assert column(source.read(3), "id") == [7, 8, 9]
    source.stop()
    start = int(datetime.datetime(2024, 1, 1, 0, 0, 4, tzinfo=datetime.UTC).timestamp() * 1000)
    for key in ("timestamp.initial", "timestamp.initial.ms"):
        source = Source({**database.config(), **TIMESTAMP, key: str(start)})
        assert column(source.read(5), "id") == [5, 6, 7, 8, 9]
        source.stop()
    source = Source({**database.config(), **TIMESTAMP, "timestamp.initial": "-1"})
    source.nothing()
    source.stop()


# ---- equal timestamps ----


def test_equal_timestamps_are_never_lost_over_a_restart(database: TestDatabase) -> None:
    """Batches smaller than the group, and a kill after every batch: every row comes, and in timestamp mode
    each exactly once, because a batch ends with a complete timestamp."""
    create_items(database)
    moments = ["2024-01-01 10:00:00.000"] * 7 + ["2024-01-01 10:00:01.500"] * 5 + ["2024-01-01 10:00:02.000"]
    for id, when in enumerate(moments):
        insert(database, id, when)
    stored: dict[str, Any] = {}
    seen: list[int] = []
    for _ in range(8):
        source = Source({**database.config(), **TIMESTAMP, "batch.max.rows": "2"}, stored)
        batch = source.poll()
        source.acknowledge(batch)
        source.poll()
        source.stop()
        seen += column(batch, "id")
        if len(seen) >= len(moments):
            break
    assert sorted(seen) == list(range(len(moments)))


def test_a_kill_in_the_middle_of_equal_timestamps_repeats_but_never_loses(database: TestDatabase) -> None:
    create_items(database)
    insert_many(database, range(10))
    for acknowledged in range(10):
        stored: dict[str, Any] = {}
        source = Source({**database.config(), **TIMESTAMP, "batch.max.rows": "3"}, stored)
        batch = source.poll()
        source.acknowledge(batch[:acknowledged])
        source.stop()
        again = Source({**database.config(), **TIMESTAMP}, stored)
        assert sorted(column(again.read(10), "id")) == list(range(10))
        again.stop()


def test_a_huge_group_of_one_timestamp_is_cut_and_not_lost(
    database: TestDatabase, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(querier, "MAX_GROUP", 6)
    create_items(database)
    insert_many(database, range(20))
    source = Source({**database.config(), **TIMESTAMP, "batch.max.rows": "2"})
    first = source.poll()
    assert 6 <= len(first) < 20
    assert first[-1].source_offset is None
    rest = source.read(20 - len(first))
    assert sorted(column([*first, *rest], "id")) == list(range(20))
    assert rest[-1].source_offset is not None
    source.stop()


def test_timestamp_and_incrementing_stops_anywhere(database: TestDatabase) -> None:
    create_items(database)
    insert_many(database, range(10))
    stored: dict[str, Any] = {}
    seen: list[int] = []
    for _ in range(10):
        source = Source({**database.config(), **BOTH, "batch.max.rows": "3"}, stored)
        batch = source.poll()
        source.acknowledge(batch[:1])
        seen += column(batch[:1], "id")
        source.stop()
    assert seen == list(range(10))
    assert set(batch[0].source_offset or {}) == {"timestamp", "timestamp_nanos", "incrementing"}
    database.execute("UPDATE items SET changed = '2024-01-02 00:00:00' WHERE id = 4")
    source = Source({**database.config(), **BOTH}, stored)
    assert column(source.read(1), "id") == [4]
    source.stop()


def test_rows_of_the_present_wait_until_their_time_is_over(database: TestDatabase) -> None:
    """Two rows within what the column can tell apart, one before and one after a poll: neither is lost."""
    if database.kind == "postgresql":
        database.execute(
            "CREATE TABLE items (id SERIAL PRIMARY KEY, changed TIMESTAMP(0) NOT NULL DEFAULT date_trunc('second', now()))"
        )
    elif database.kind == "mariadb":
        database.execute(
            "CREATE TABLE items (id INT AUTO_INCREMENT PRIMARY KEY, changed DATETIME NOT NULL DEFAULT CURRENT_TIMESTAMP)"
        )
    else:
        database.execute(
            "CREATE TABLE items (id INTEGER PRIMARY KEY, changed DATETIME NOT NULL DEFAULT CURRENT_TIMESTAMP)"
        )
    source = Source({**database.config(), **TIMESTAMP})
    seen: list[int] = []
    deadline = time.monotonic() + 2.3
    count = 0
    while time.monotonic() < deadline:
        database.execute(
            "INSERT INTO items (changed) VALUES ("
            + {
                "postgresql": "date_trunc('second', now())",
                "mariadb": "NOW()",
                "sqlite": "CURRENT_TIMESTAMP",
            }[database.kind]
            + ")"
        )
        count += 1
        seen += column(source.poll(), "id")
    seen += column(source.read(count - len(seen)), "id")
    assert sorted(seen) == list(range(1, count + 1))
    source.stop()


def test_timestamp_delay(database: TestDatabase) -> None:
    create_items(database)
    insert(database, 1, "2024-01-01 00:00:00")
    now = {
        "postgresql": "clock_timestamp()::timestamp",
        "mariadb": "NOW(3)",
        "sqlite": "strftime('%Y-%m-%d %H:%M:%f', 'now')",
    }
    database.execute(f"INSERT INTO items SELECT 2, 'n', {now[database.kind]}")
    source = Source({**database.config(), **TIMESTAMP, "timestamp.delay.interval.ms": "60000"})
    assert column(source.read(1), "id") == [1]
    source.nothing()
    source.stop()


# ---- late commits ----


@pytest.mark.parametrize("config", [INCREMENTING, BOTH, TIMESTAMP], ids=["incrementing", "both", "timestamp"])
@pytest.mark.parametrize("kind", ["postgresql", "mariadb"])
def test_rows_committed_late_are_not_lost(
    make_database: Callable[[str], TestDatabase], kind: str, config: dict[str, str]
) -> None:
    """A transaction takes the smaller id and the earlier time and ends last: its row comes first all the
    same."""
    database: Any = make_database(kind)
    create_items(database)
    source = Source({**database.config(), **config})
    slow = database.connect()
    if kind == "postgresql":
        slow.autocommit = False
    else:
        slow.autocommit(False)
    with slow.cursor() as cursor:
        cursor.execute("INSERT INTO items VALUES (1, 'slow', '2024-01-01 00:00:01')")
    insert(database, 2, "2024-01-01 00:00:02", "quick")
    for _ in range(3):
        source.nothing()
    slow.commit()
    insert(database, 3, "2024-01-01 00:00:03", "later")
    assert column(source.read(3), "id") == [1, 2, 3]
    slow.close()
    source.stop()


def test_late_commits_of_many_writers(postgres: TestDatabase) -> None:
    """Writers whose transactions overlap in every way, while the source polls: every row comes once."""
    postgres.execute("CREATE TABLE items (id SERIAL PRIMARY KEY, name TEXT)")
    source = Source({**postgres.config(), **INCREMENTING, "batch.max.rows": "7"})
    per_writer, writers = 25, 4

    def write(number: int) -> None:
        connection = postgres.connect()  # type: ignore[attr-defined]
        connection.autocommit = False
        for n in range(per_writer):
            connection.execute("INSERT INTO items (name) VALUES (%s)", [f"{number}-{n}"])
            time.sleep(0.001 * ((n * 7 + number * 3) % 5))
            if n % 3 == 0:
                connection.commit()
        connection.commit()
        connection.close()

    threads = [threading.Thread(target=write, args=(n,)) for n in range(writers)]
    for thread in threads:
        thread.start()
    seen = column(source.read(per_writer * writers, timeout_s=30), "name")
    for thread in threads:
        thread.join()
    assert len(seen) == len(set(seen)) == per_writer * writers
    source.stop()


def test_waiting_for_transactions_can_be_switched_off(postgres: TestDatabase) -> None:
    create_items(postgres)
    slow = postgres.connect()  # type: ignore[attr-defined]
    slow.autocommit = False
    slow.execute("INSERT INTO items VALUES (1, 'slow', '2024-01-01')")
    insert(postgres, 2)
    source = Source({**postgres.config(), **INCREMENTING, "wait.for.open.transactions": "false"})
    assert column(source.read(1), "id") == [2]
    slow.rollback()
    slow.close()
    source.stop()


# ---- offsets of the Java connectors ----


def test_offsets_of_the_java_connectors_are_taken_over(database: TestDatabase) -> None:
    create_items(database)
    for id in range(6):
        insert(database, id, f"2024-01-01 00:00:0{id}.250")
    name = Source({**database.config(), **INCREMENTING}).poll()[0].source_partition["table"]  # type: ignore[index]
    for partition in ({"table": name, "protocol": "1"}, {"table": "items"}):
        stored = {json.dumps(partition, sort_keys=True): {"incrementing": 3}}
        source = Source({**database.config(), **INCREMENTING}, stored)
        assert column(source.read(2), "id") == [4, 5]
        source.stop()
    moment = int(datetime.datetime(2024, 1, 1, 0, 0, 3, 250000, tzinfo=datetime.UTC).timestamp() * 1000)
    for offset in ({"timestamp": moment, "timestamp_nanos": 250_000_000}, {"timestamp": moment}):
        stored = {json.dumps({"table": name, "protocol": "1"}, sort_keys=True): offset}
        source = Source({**database.config(), **TIMESTAMP}, stored)
        records = source.read(2)
        assert column(records, "id") == [4, 5]
        assert records[0].source_offset == {"timestamp": moment + 1000, "timestamp_nanos": 250_000_000}
        source.stop()


def test_offsets_are_written_with_microseconds(postgres: TestDatabase) -> None:
    postgres.execute("CREATE TABLE items (id INT PRIMARY KEY, changed TIMESTAMP NOT NULL)")
    for id in range(4):
        postgres.execute(f"INSERT INTO items VALUES ({id}, '2024-01-01 00:00:00.12345{id}')")
    stored: dict[str, Any] = {}
    seen = []
    for _ in range(4):
        source = Source({**postgres.config(), **TIMESTAMP, "batch.max.rows": "1"}, stored)
        batch = source.poll()
        source.acknowledge(batch)
        seen += column(batch, "id")
        source.stop()
    assert seen == [0, 1, 2, 3]
    assert (batch[0].source_offset or {})["timestamp_nanos"] == 123_453_000


def test_alter_offsets_checks_the_shape() -> None:
    connector = JdbcSourceConnector()
    assert connector.alter_offsets({}, {Partition(table="t", protocol="1"): {"incrementing": 5}}) is True
    assert connector.alter_offsets({}, {Partition(query="query"): None}) is True
    for partition, offset in (
        (Partition(nonsense="x"), None),
        (Partition(table="t"), {"position": 1}),
        (Partition(table="t"), {"incrementing": "five"}),
        (Partition(table="t"), {"timestamp": 5, "timestamp_nanos": 1_000_000_000}),
    ):
        with pytest.raises(ConnectError):
            connector.alter_offsets({}, {partition: offset})


class Partition(dict[str, str]):
    def __hash__(self) -> int:  # type: ignore[override]
        return hash(tuple(self.items()))


def test_exactly_once_support() -> None:
    connector = JdbcSourceConnector()
    assert connector.exactly_once_support({"mode": "bulk"}) is ExactlyOnceSupport.UNSUPPORTED
    for mode in ("incrementing", "timestamp", "timestamp+incrementing"):
        assert connector.exactly_once_support({"mode": mode}) is ExactlyOnceSupport.SUPPORTED


# ---- queries ----


def test_a_query_in_every_mode(database: TestDatabase) -> None:
    create_items(database)
    for id in range(8):
        insert(database, id, f"2024-01-01 00:00:0{id}")
    query = {
        "query": "SELECT id, changed, name AS label FROM items WHERE id % 2 = 0",
        "topic.prefix": "the-topic",
    }
    for mode in ("bulk", "incrementing", "timestamp", "timestamp+incrementing"):
        config = {**database.config(), **query, "mode": mode}
        if "incrementing" in mode:
            config["incrementing.column.name"] = "id"
        if "timestamp" in mode:
            config["timestamp.column.name"] = "changed"
        stored: dict[str, Any] = {}
        source = Source(config, stored)
        records = source.read(4)
        assert column(records, "id") == [0, 2, 4, 6]
        assert column(records, "label") == ["n"] * 4
        assert {record.topic for record in records} == {"the-topic"}
        assert records[0].source_partition == {"query": "query"}
        source.stop()
        if mode != "bulk":
            assert list(stored) == ['{"query": "query"}']
            again = Source(config, stored)
            again.nothing()
            again.stop()


def test_a_query_with_a_suffix_and_percent_signs(postgres: TestDatabase) -> None:
    create_items(postgres)
    insert_many(postgres, range(10))
    source = Source(
        {**postgres.config(), "mode": "incrementing", "incrementing.column.name": "id", "query.suffix": "LIMIT 3",
         "query": "SELECT *, '100%s ?' AS odd FROM items WHERE name LIKE '%n%'"}
    )  # fmt: skip
    records = source.read(10)
    assert column(records, "id") == list(range(10))
    assert records[0].value.get("odd") == "100%s ?"
    source.stop()


# ---- tables ----


def make_tables(database: TestDatabase) -> None:
    for name in ("alpha", "Beta", "gamma_1", "weird name"):
        database.execute(f"CREATE TABLE {database.quote(name)} (id INTEGER PRIMARY KEY)")
        database.execute(f"INSERT INTO {database.quote(name)} VALUES (1)")
    database.execute("CREATE VIEW v AS SELECT id FROM alpha")


@pytest.mark.parametrize(
    ("config", "expected"),
    [
        ({}, {"alpha", "Beta", "gamma_1", "weird name"}),
        ({"table.whitelist": "alpha,BETA"}, {"alpha", "Beta"}),
        ({"table.blacklist": "alpha, gamma_1"}, {"Beta", "weird name"}),
        ({"table.include.list": ".*a.*", "table.exclude.list": ".*gamma.*"}, {"alpha", "Beta", "weird name"}),
        ({"table.types": "VIEW"}, {"v"}),
        ({"table.types": "TABLE,VIEW", "table.whitelist": "v,alpha"}, {"v", "alpha"}),
    ],
)
def test_which_tables_are_read(database: TestDatabase, config: dict[str, str], expected: set[str]) -> None:
    make_tables(database)
    source = Source({**database.config(), "mode": "bulk", **config})
    records = source.read(len(expected))
    assert {record.topic.removeprefix("t-") for record in records} == expected
    source.stop()


def test_tables_are_shared_out_over_the_tasks(database: TestDatabase) -> None:
    make_tables(database)
    config = {**database.config(), "mode": "bulk", "table.whitelist": "alpha,Beta,gamma_1,weird name"}
    for count, sizes in ((1, [4]), (3, [2, 1, 1]), (9, [1, 1, 1, 1])):
        source = Source({**config, "tasks.max": str(count)})
        assert [len(json.loads(task["tables"])) for task in source.task_configs] == sizes
        source.stop()


def test_new_and_removed_tables_are_noticed(database: TestDatabase) -> None:
    make_tables(database)
    source = Source(
        {**database.config(), "mode": "bulk", "table.poll.interval.ms": "20", "table.whitelist": "alpha,late"}
    )
    database.execute("CREATE TABLE late (id INTEGER PRIMARY KEY)")
    wait_for(lambda: source.connector_context.reconfigurations == 1)
    (config,) = source.connector.task_configs(1)
    assert [name for *_, name in json.loads(config["tables"])] == ["alpha", "late"]
    database.execute("DROP TABLE late")
    wait_for(lambda: source.connector_context.reconfigurations == 2)
    source.stop()


def wait_for(condition: Callable[[], bool]) -> None:
    deadline = time.monotonic() + 10
    while not condition():
        assert time.monotonic() < deadline
        time.sleep(0.01)


def test_no_table_yet(database: TestDatabase) -> None:
    source = Source({**database.config(), "mode": "bulk", "table.whitelist": "not_there"})
    assert source.task_configs == []
    source.stop()


def test_hostile_names_of_tables_and_columns(database: TestDatabase) -> None:
    name = 'it\'s "a" `table`; DROP TABLE x -- %s ? größe'
    quote = database.quote
    names = ['a"b', "a`b", "%s %", "id?", "select", "x; DROP TABLE y"]
    columns = ", ".join(f"{quote(column)} VARCHAR(20)" for column in names)
    database.execute(f"CREATE TABLE {quote(name)} ({quote('the id')} INTEGER PRIMARY KEY, {columns})")
    marks = ", ".join(f"'{n}'" for n in range(len(names)))
    database.execute(f"INSERT INTO {quote(name)} VALUES (1, {marks})")
    source = Source({**database.config(), "mode": "incrementing", "incrementing.column.name": "the id"})
    (record,) = source.read(1)
    assert record.topic == f"t-{name}"
    assert values([record])[0] == {"the id": 1, **{column: str(n) for n, column in enumerate(names)}}
    source.stop()


def test_keys(database: TestDatabase) -> None:
    database.execute(
        "CREATE TABLE items (a INTEGER NOT NULL, b VARCHAR(5) NOT NULL, c VARCHAR(5), PRIMARY KEY (a, b))"
    )
    database.execute("INSERT INTO items VALUES (1, 'x', 'y')")
    bulk = {**database.config(), "mode": "bulk", "table.whitelist": "items"}
    for keys, expected in (
        ("", None),
        ("b", "x"),
        ("primary-key", {"a": 1, "b": "x"}),
        ("C,a", {"c": "y", "a": 1}),
    ):
        source = Source({**bulk, "key.columns": keys})
        (record,) = source.read(1)
        key = record.key
        if isinstance(key, Struct):
            key.validate()
            key = {field.name: key.get(field) for field in key.schema.fields}
        assert key == expected
        source.stop()


# ---- types ----


def test_types_of_postgresql(postgres: TestDatabase) -> None:
    postgres.execute(
        "CREATE TABLE items (id BIGSERIAL PRIMARY KEY, b BOOLEAN, i2 SMALLINT, i4 INT, f4 REAL, f8 FLOAT8, "
        "n NUMERIC(10,3), free NUMERIC, t TEXT, c CHAR(3), raw BYTEA, d DATE, tm TIME, ts TIMESTAMP, tz TIMESTAMPTZ, "
        "u UUID, j JSONB, a INT[], iv INTERVAL, ip INET)"
    )
    postgres.execute(
        "INSERT INTO items VALUES (1, true, 2, 3, 1.5, 2.5, 12.345, 1.5, 'täxt', 'abc', '\\x00ff', '2024-02-29', "
        "'12:34:56.789', '2024-02-29 12:34:56.789', '2024-02-29 12:34:56.789+02', "
        "'0f0e0d0c-0b0a-0908-0706-050403020100', '{\"x\": [1]}', '{1,NULL,3}', '1 day 02:00', '10.0.0.1')"
    )
    postgres.execute("INSERT INTO items (id) VALUES (2)")
    source = Source({**postgres.config(), **INCREMENTING})
    records = source.read(2)
    for record in records:
        record.value.validate()
    found = values(records)
    utc = datetime.datetime(2024, 2, 29, 12, 34, 56, 789000, tzinfo=datetime.UTC)
    assert found[0] == {
        "id": 1, "b": True, "i2": 2, "i4": 3, "f4": 1.5, "f8": 2.5, "n": decimal.Decimal("12.345"),
        "free": decimal.Decimal("1.5"), "t": "täxt", "c": "abc", "raw": b"\x00\xff", "d": datetime.date(2024, 2, 29),
        "tm": datetime.time(12, 34, 56, 789000), "ts": utc, "tz": utc - datetime.timedelta(hours=2),
        "u": "0f0e0d0c-0b0a-0908-0706-050403020100", "j": '{"x": [1]}', "a": [1, None, 3], "iv": "1 day 02:00:00",
        "ip": "10.0.0.1/32",
    }  # fmt: skip
    assert all(value is None for name, value in found[1].items() if name != "id")
    schema = records[0].value_schema
    assert schema is not None
    assert schema.name == "items"
    kinds = {field.name: (field.schema.type, field.schema.name) for field in schema.fields}
    assert kinds["id"] == (Type.INT64, None)
    assert kinds["i2"] == (Type.INT16, None)
    assert kinds["f4"] == (Type.FLOAT32, None)
    assert kinds["n"] == (Type.BYTES, Decimal.LOGICAL_NAME)
    assert kinds["d"] == (Type.INT32, Date.LOGICAL_NAME)
    assert kinds["tm"] == (Type.INT32, Time.LOGICAL_NAME)
    assert kinds["ts"] == (Type.INT64, Timestamp.LOGICAL_NAME)
    source.stop()
    skipping = Source({**postgres.config(), **INCREMENTING, "other.types": "skip"})
    names = skipping.read(2)[0].value.schema.field_names()
    assert not {"u", "j", "a", "iv", "ip"} & set(names)
    skipping.stop()


def test_types_of_mariadb(mariadb: TestDatabase) -> None:
    mariadb.execute(
        "CREATE TABLE items (id BIGINT UNSIGNED AUTO_INCREMENT PRIMARY KEY, flag BIT(1), tiny TINYINT, utiny TINYINT "
        "UNSIGNED, usmall SMALLINT UNSIGNED, uint INT UNSIGNED, f FLOAT, d DOUBLE, n DECIMAL(10,3), t TEXT, e "
        "ENUM('a','b'), raw VARBINARY(10), day DATE, tm TIME(3), dt DATETIME(3), ts TIMESTAMP NULL, j JSON, y YEAR)"
    )
    mariadb.execute("SET time_zone = '+00:00'")
    mariadb.execute(
        "INSERT INTO items VALUES (1, b'1', -5, 200, 60000, 4000000000, 1.5, 2.5, 12.345, 'täxt 😀', 'b', x'00ff', "
        "'2024-02-29', '12:34:56.789', '2024-02-29 12:34:56.789', '2024-02-29 12:34:56', '{\"x\": 1}', 2024)"
    )
    source = Source({**mariadb.config(), "mode": "incrementing", "table.whitelist": "items"})
    (record,) = source.read(1)
    record.value.validate()
    utc = datetime.datetime(2024, 2, 29, 12, 34, 56, 789000, tzinfo=datetime.UTC)
    found = values([record])[0]
    assert found == {
        "id": 1, "flag": 1, "tiny": -5, "utiny": 200, "usmall": 60000, "uint": 4_000_000_000, "f": 1.5, "d": 2.5,
        "n": decimal.Decimal("12.345"), "t": "täxt 😀", "e": "b", "raw": b"\x00\xff", "day": datetime.date(2024, 2, 29),
        "tm": datetime.time(12, 34, 56, 789000), "dt": utc, "ts": utc.replace(microsecond=0), "j": '{"x": 1}',
        "y": 2024,
    }  # fmt: skip
    source.stop()


def test_types_of_sqlite(sqlite: TestDatabase) -> None:
    sqlite.execute(
        "CREATE TABLE items (id INTEGER PRIMARY KEY, big BIGINT, ok BOOLEAN, f REAL, n DECIMAL(10,2), t TEXT, raw BLOB, "
        "d DATE, dt DATETIME, ms TIMESTAMP, any, tm TIME)"
    )
    sqlite.execute(
        "INSERT INTO items VALUES (1, 9223372036854775807, 1, 1.5, 12.5, 'x', x'00ff', '2024-02-29', "
        "'2024-02-29 12:34:56', 1709210096789, 'text', '12:34:56')"
    )
    source = Source({**sqlite.config(), **INCREMENTING})
    (record,) = source.read(1)
    record.value.validate()
    assert values([record])[0] == {
        "id": 1, "big": 9223372036854775807, "ok": True, "f": 1.5, "n": decimal.Decimal("12.50"), "t": "x",
        "raw": b"\x00\xff", "d": datetime.date(2024, 2, 29),
        "dt": datetime.datetime(2024, 2, 29, 12, 34, 56, tzinfo=datetime.UTC),
        "ms": datetime.datetime(2024, 2, 29, 12, 34, 56, 789000, tzinfo=datetime.UTC), "any": "text",
        "tm": datetime.time(12, 34, 56),
    }  # fmt: skip
    source.stop()


@pytest.mark.parametrize(
    ("mapping", "expected"),
    [
        ("none", [Decimal.LOGICAL_NAME] * 6),
        (
            "precision_only",
            [Type.INT8, Type.INT16, Type.INT32, Type.INT64, Decimal.LOGICAL_NAME, Decimal.LOGICAL_NAME],
        ),
        ("best_fit", [Type.INT8, Type.INT16, Type.INT32, Type.INT64, Type.FLOAT64, Decimal.LOGICAL_NAME]),
        (
            "best_fit_eager_double",
            [Type.INT8, Type.INT16, Type.INT32, Type.INT64, Type.FLOAT64, Type.FLOAT64],
        ),
    ],
)
def test_numeric_mapping(postgres: TestDatabase, mapping: str, expected: list[Any]) -> None:
    postgres.execute(
        "CREATE TABLE items (a NUMERIC(2), b NUMERIC(4), c NUMERIC(9), d NUMERIC(18), e NUMERIC(10,2), f NUMERIC(30,2))"
    )
    postgres.execute("INSERT INTO items VALUES (-9, 9999, 999999999, 999999999999999999, 1.25, 1.5)")
    source = Source(
        {**postgres.config(), "mode": "bulk", "table.whitelist": "items", "numeric.mapping": mapping}
    )
    (record,) = source.read(1)
    record.value.validate()
    assert [field.schema.name or field.schema.type for field in record.value.schema.fields] == expected
    wanted = ["-9", "9999", "999999999", "999999999999999999", "1.25", "1.5"]
    assert [decimal.Decimal(str(value)) for value in record.value.values()] == [
        decimal.Decimal(n) for n in wanted
    ]
    source.stop()


@pytest.mark.parametrize(
    ("granularity", "expected"),
    [
        ("connect_logical", datetime.datetime(2024, 1, 1, 0, 0, 0, 123456, tzinfo=datetime.UTC)),
        ("micros_long", 1704067200123456),
        ("micros_string", "1704067200123456"),
        ("micros_iso_datetime_string", "2024-01-01T00:00:00.123456"),
        ("nanos_long", 1704067200123456000),
        ("nanos_string", "1704067200123456000"),
        ("nanos_iso_datetime_string", "2024-01-01T00:00:00.123456000"),
    ],
)
def test_timestamp_granularity(postgres: TestDatabase, granularity: str, expected: Any) -> None:
    postgres.execute("CREATE TABLE items (changed TIMESTAMP NOT NULL)")
    postgres.execute("INSERT INTO items VALUES ('2024-01-01 00:00:00.123456')")
    source = Source({**postgres.config(), **TIMESTAMP, "timestamp.granularity": granularity})
    assert column(source.read(1), "changed") == [expected]
    source.stop()


def test_time_zone(postgres: TestDatabase) -> None:
    postgres.execute("CREATE TABLE items (id INT PRIMARY KEY, changed TIMESTAMP NOT NULL)")
    postgres.execute("INSERT INTO items VALUES (1, '2024-03-10 03:30:00'), (2, '2024-11-03 01:30:00')")
    source = Source({**postgres.config(), **BOTH, "db.timezone": "America/New_York"})
    records = source.read(2)
    assert column(records, "changed") == [
        datetime.datetime(2024, 3, 10, 7, 30, tzinfo=datetime.UTC),
        datetime.datetime(2024, 11, 3, 5, 30, tzinfo=datetime.UTC),
    ]
    source.nothing()
    source.stop()


def test_a_time_with_zone(postgres: TestDatabase) -> None:
    postgres.execute("CREATE TABLE items (id INT PRIMARY KEY, changed TIMESTAMPTZ NOT NULL)")
    postgres.execute("INSERT INTO items VALUES (1, '2024-03-10 03:30:00+05'), (2, '2024-03-10 03:30:00+00')")
    stored: dict[str, Any] = {}
    source = Source({**postgres.config(), **BOTH, "db.timezone": "Asia/Tokyo"}, stored)
    assert column(source.read(2), "id") == [1, 2]
    source.stop()
    again = Source({**postgres.config(), **BOTH, "db.timezone": "Asia/Tokyo"}, stored)
    again.nothing()
    again.stop()


def test_several_timestamp_columns(database: TestDatabase) -> None:
    kind = TIME_TYPE[database.kind]
    database.execute(
        f"CREATE TABLE items (id INTEGER PRIMARY KEY, changed {kind} NULL, made {kind} NOT NULL)"
    )
    database.execute(
        "INSERT INTO items VALUES (1, NULL, '2024-01-03 00:00:00'), (2, '2024-01-02 00:00:00', '2024-01-01 00:00:00')"
    )
    source = Source({**database.config(), **TIMESTAMP, "timestamp.column.name": "changed,made"})
    assert column(source.read(2), "id") == [2, 1]
    source.stop()


# ---- changes and failures ----


def test_a_column_that_is_added_is_read(database: TestDatabase) -> None:
    create_items(database)
    insert(database, 1)
    source = Source({**database.config(), **INCREMENTING})
    source.read(1)
    database.execute("ALTER TABLE items ADD extra VARCHAR(10)")
    database.execute("INSERT INTO items VALUES (2, 'n', '2024-01-01 00:00:00', 'new')")
    assert values(source.read(1))[0]["extra"] == "new"
    source.stop()


def test_a_column_whose_type_changes(postgres: TestDatabase) -> None:
    create_items(postgres)
    insert(postgres, 1)
    source = Source({**postgres.config(), **INCREMENTING})
    first = source.read(1)
    postgres.execute("ALTER TABLE items ALTER COLUMN name TYPE INT USING 5")
    insert(postgres, 2, name="7")
    second = source.read(1)
    assert column(second, "name") == [7]
    assert first[0].value_schema != second[0].value_schema
    source.stop()


def test_a_dropped_table_fails_the_task_by_name(database: TestDatabase) -> None:
    create_items(database)
    insert(database, 1)
    source = Source({**database.config(), **INCREMENTING})
    source.read(1)
    database.execute("DROP TABLE items")
    with pytest.raises(ConnectError, match=r"the table .*items does not exist"):
        for _ in range(3):
            source.poll()
    source.stop()


def test_a_lost_connection_is_made_again(postgres: TestDatabase) -> None:
    create_items(postgres)
    insert_many(postgres, range(1, 6))
    source = Source({**postgres.config(), **INCREMENTING, "batch.max.rows": "2"})
    seen = column(source.poll(), "id")
    postgres.execute(
        "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE application_name = 'pybroker'"
    )
    seen += column(source.read(3), "id")
    assert seen == [1, 2, 3, 4, 5]
    source.stop()


def test_sqlite_values_that_do_not_fit_their_column(sqlite: TestDatabase) -> None:
    sqlite.execute("CREATE TABLE items (id INTEGER PRIMARY KEY, n INT)")
    sqlite.execute("INSERT INTO items VALUES (1, 5), (2, 'no number')")
    source = Source({**sqlite.config(), **INCREMENTING})
    with pytest.raises(ConnectError, match=r"the table items, the row id=2, n='no number'.*column 'n'"):
        source.poll()
    source.stop()


@pytest.mark.parametrize(
    ("ddl", "config", "text"),
    [
        ("id INTEGER NOT NULL, v INTEGER", {"mode": "incrementing", "incrementing.column.name": "nope"}, "no column 'nope'; it has id, v"),
        ("id INTEGER NOT NULL, v INTEGER", {"mode": "incrementing"}, "exactly one auto-increment column; it has none"),
        ("id INTEGER NOT NULL, v INTEGER", {"mode": "incrementing", "incrementing.column.name": "v"}, "may be null"),
        ("id INTEGER NOT NULL, v VARCHAR(5) NOT NULL", {"mode": "incrementing", "incrementing.column.name": "v"}, "must be an integer"),
        ("id INTEGER NOT NULL, v DATE", {"mode": "timestamp", "timestamp.column.name": "v"}, "may be null"),
        ("id INTEGER NOT NULL, v DATE", {"mode": "timestamp", "timestamp.column.name": "w"}, "no column 'w'"),
        ("id INTEGER NOT NULL, v DATE", {"mode": "bulk", "key.columns": "w"}, "no column 'w'"),
        ("id INTEGER NOT NULL, v DATE", {"mode": "bulk", "key.columns": "primary-key"}, "has no primary key"),
    ],
)  # fmt: skip
def test_tables_that_do_not_suit_the_mode(
    database: TestDatabase, ddl: str, config: dict[str, str], text: str
) -> None:
    database.execute(f"CREATE TABLE items ({ddl})")
    source = Source({**database.config(), "table.whitelist": "items", **config})
    with pytest.raises(ConnectError, match=text):
        source.poll()
    source.stop()


@pytest.mark.parametrize("kind", ["postgresql", "mariadb"])
def test_wrong_credentials(make_database: Callable[[str], TestDatabase], kind: str) -> None:
    database = make_database(kind)
    with pytest.raises(ConnectError, match=r"cannot connect to .*(authentication failed|denied)") as caught:
        Source({**database.config(), "connection.password": "hunter2", "mode": "bulk"})
    assert "hunter2" not in str(caught.value)


@pytest.mark.parametrize(
    ("config", "key", "text"),
    [
        ({"mode": "sometimes"}, "mode", "must be one of"),
        ({"table.whitelist": "a", "table.blacklist": "b"}, "table.blacklist", "exclusive"),
        ({"query": "SELECT 1", "table.whitelist": "a"}, "query", "exclusive"),
        ({"mode": "timestamp"}, "timestamp.column.name", "needs at least one"),
        (
            {"mode": "incrementing", "query": "SELECT 1"},
            "incrementing.column.name",
            "needs the column's name",
        ),
        ({"incrementing.column.name": "id"}, "incrementing.column.name", "no use for this column"),
        ({"topic.prefix": "a b"}, "topic.prefix", "letters, digits"),
        ({"query": "SELECT 1", "topic.prefix": ""}, "topic.prefix", "has to have a name"),
        ({"table.include.list": "("}, "table.include.list", "regular expression"),
        ({"batch.max.rows": "0"}, "batch.max.rows", "at least 1"),
        ({"numeric.mapping": "most"}, "numeric.mapping", "must be one of"),
        ({"transaction.isolation.mode": "SOME"}, "transaction.isolation.mode", "must be one of"),
    ],
)
def test_validation_names_the_key(config: dict[str, str], key: str, text: str) -> None:
    base = {"connection.url": "jdbc:sqlite:x.db", "mode": "bulk", "topic.prefix": "p-"}
    results = {result.name: result for result in JdbcSourceConnector().validate({**base, **config})}
    assert [name for name, result in results.items() if result.error_messages] == [key]
    assert text in results[key].error_messages[0]


def test_required_keys() -> None:
    results = {result.name: result for result in JdbcSourceConnector().validate({})}
    assert {name for name, result in results.items() if result.error_messages} == {
        "connection.url",
        "mode",
        "topic.prefix",
    }
    with pytest.raises(ConfigError, match=r"connection\.url"):
        JdbcSourceConnector().start({})


def test_defaults_follow_the_vendor() -> None:
    assert AivenJdbcSourceConnector().config_def().keys["batch.max.rows"].default_value == 100
    assert JdbcSourceConnector().config_def().keys["batch.max.rows"].default_value == 1000


@pytest.mark.parametrize("level", ["READ_UNCOMMITTED", "READ_COMMITTED", "REPEATABLE_READ", "SERIALIZABLE"])
def test_isolation(database: TestDatabase, level: str) -> None:
    create_items(database)
    insert_many(database, range(1, 4))
    source = Source({**database.config(), **INCREMENTING, "transaction.isolation.mode": level})
    assert column(source.read(3), "id") == [1, 2, 3]
    insert(database, 4)
    assert column(source.read(1), "id") == [4]
    source.stop()


def test_stop_ends_a_poll_soon(sqlite: TestDatabase) -> None:
    create_items(sqlite)
    source = Source({**sqlite.config(), **INCREMENTING, "poll.interval.ms": "60000"})
    source.nothing()
    started = time.monotonic()
    threading.Timer(0.05, source.task.stop).start()
    source.poll()
    assert time.monotonic() - started < 0.9
    source.stop()


def test_a_fetch_that_takes_long_does_not_hold_up_the_end(postgres: TestDatabase) -> None:
    """The next rows are fetched while those before are used; at the end nobody waits for them."""
    source = Source({
        **postgres.config(), "mode": "bulk", "batch.max.rows": "3",
        "query": "SELECT n, pg_sleep(CASE WHEN n > 3 THEN 60 ELSE 0 END)::text AS slept FROM generate_series(1, 9) n",
    })  # fmt: skip
    assert column(source.read(3), "n") == [1, 2, 3]
    begun = time.monotonic()
    source.stop()
    assert time.monotonic() - begun < 30

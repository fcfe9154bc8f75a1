"""The JDBC sink on real servers: modes, keys, definitions, bad records, order, retries, exactly once."""

from __future__ import annotations

import datetime
import decimal
import random
import time
from typing import Any

import pytest

from connect.api.data import (
    BOOLEAN_SCHEMA,
    BYTES_SCHEMA,
    FLOAT64_SCHEMA,
    INT8_SCHEMA,
    INT32_SCHEMA,
    INT64_SCHEMA,
    OPTIONAL_INT32_SCHEMA,
    OPTIONAL_STRING_SCHEMA,
    STRING_SCHEMA,
    Date,
    Decimal,
    Schema,
    SchemaBuilder,
    Struct,
    Time,
    Timestamp,
    Type,
)
from connect.api.errors import ConfigError, ConnectError, RetriableError
from connect.api.records import SinkRecord
from connect.api.sink import TopicPartition
from connect.jdbc.sink.connector import (
    AivenJdbcSinkConnector,
    ConfluentJdbcSinkConnector,
    JdbcSinkConnector,
    JdbcSinkTask,
)
from tests.connect.jdbc.databases import TestDatabase
from tests.connect.jdbc.harness import Sink, SinkContext, struct

THING = (
    SchemaBuilder.struct()
    .name("thing")
    .field("id", INT32_SCHEMA)
    .field("name", OPTIONAL_STRING_SCHEMA)
    .build()
)
WIDE = (
    SchemaBuilder.struct().name("thing").field("id", INT32_SCHEMA).field("name", OPTIONAL_STRING_SCHEMA)
    .field("size", OPTIONAL_INT32_SCHEMA).build()
)  # fmt: skip
UPSERT = {"insert.mode": "upsert", "pk.mode": "record_key", "pk.fields": "id"}
NOW = datetime.datetime(2024, 2, 29, 23, 59, 58, 123000, tzinfo=datetime.UTC)


def thing(id: int, name: str | None = "x") -> Struct:
    return Struct.of(THING, [id, name])


def wide(id: int, name: str | None, size: int | None) -> Struct:
    return Struct.of(WIDE, [id, name, size])


def keyed(sink: Sink, id: int, value: Any) -> SinkRecord:
    return sink.record(value, id, key_schema=INT32_SCHEMA)


def rows(database: TestDatabase, columns: str = "id, name", table: str = "things") -> list[tuple[Any, ...]]:
    return [tuple(row) for row in database.query(f"SELECT {columns} FROM {table} ORDER BY 1")]


@pytest.mark.parametrize("count", [1, 3, 50, 1500])
def test_insert_creates_the_table_and_writes_every_row(database: TestDatabase, count: int) -> None:
    sink = Sink({**database.config(), "auto.create": "true"})
    sink.put(*[sink.record(thing(n, f"name {n}")) for n in range(count)])
    assert rows(database) == [(n, f"name {n}") for n in range(count)]
    sink.stop()


def test_every_type_is_created_and_kept(database: TestDatabase) -> None:
    value = struct(
        "everything", i8=(INT8_SCHEMA, -7), i32=(INT32_SCHEMA, -(1 << 31)), i64=(INT64_SCHEMA, (1 << 63) - 1),
        f=(FLOAT64_SCHEMA, 0.1), flag=(BOOLEAN_SCHEMA, True), text=(STRING_SCHEMA, "grüße 'quoted' \\ %s ? 日本"),
        raw=(BYTES_SCHEMA, b"\x00\xff'\\"), amount=(Decimal.schema(2), decimal.Decimal("-12345.67")),
        day=(Date.SCHEMA, NOW.date()), at=(Time.SCHEMA, NOW.time()), moment=(Timestamp.SCHEMA, NOW),
    )  # fmt: skip
    sink = Sink({**database.config(), "auto.create": "true"})
    sink.put(*[sink.record(value) for _ in range(10)])
    found = database.query(
        "SELECT i8, i32, i64, f, flag, text, raw, amount, day, at, moment FROM things".replace(
            "at, moment", f"{database.quote('at')}, moment"
        )
    )
    assert len(found) == 10
    row = found[0]
    assert row[:4] == (-7, -(1 << 31), (1 << 63) - 1, 0.1)
    assert bool(row[4]) is True
    assert row[5] == "grüße 'quoted' \\ %s ? 日本"
    assert bytes(row[6]) == b"\x00\xff'\\"
    assert decimal.Decimal(str(row[7])) == decimal.Decimal("-12345.67")
    if database.kind == "sqlite":  # Milliseconds, as the Java connectors write there.
        millis = int(NOW.timestamp() * 1000)
        assert row[8:] == (millis // 86_400_000 * 86_400_000, millis % 86_400_000, millis)
    else:
        assert row[8] == NOW.date()
        assert str(row[9])[:12] == "23:59:58.123"
        assert row[10] == NOW.replace(tzinfo=None)
    sink.stop()


def test_upsert_changes_and_adds_and_keeps_unlisted_columns(database: TestDatabase) -> None:
    database.execute(
        "CREATE TABLE things (id INT PRIMARY KEY, name VARCHAR(20), note VARCHAR(20) DEFAULT 'mine')"
    )
    database.execute("INSERT INTO things VALUES (1, 'old', 'kept'), (2, 'old', 'kept')")
    sink = Sink({**database.config(), **UPSERT})
    sink.put(*[keyed(sink, n, thing(n, "new")) for n in range(2, 40)])
    assert rows(database, "id, name, note")[:3] == [
        (1, "old", "kept"),
        (2, "new", "kept"),
        (3, "new", "mine"),
    ]
    assert len(rows(database)) == 39
    sink.stop()


def test_the_last_of_a_key_wins_in_one_batch(database: TestDatabase) -> None:
    sink = Sink({**database.config(), **UPSERT, "auto.create": "true"})
    sink.put(*[keyed(sink, n % 7, thing(n % 7, f"v{n}")) for n in range(50)])
    assert rows(database) == sorted((n % 7, f"v{n}") for n in range(43, 50))
    sink.stop()


def test_replay_changes_nothing(database: TestDatabase) -> None:
    sink = Sink({**database.config(), **UPSERT, "auto.create": "true", "delete.enabled": "true"})
    records = [keyed(sink, n % 9, thing(n % 9, f"v{n}")) for n in range(30)] + [keyed(sink, 3, None)]
    sink.put(*records)
    before = rows(database)
    sink.put(*records)
    sink.put(*records[10:])
    assert rows(database) == before
    assert [row[0] for row in before] == [0, 1, 2, 4, 5, 6, 7, 8]
    sink.stop()


@pytest.mark.parametrize("mode", ["upsert", "insert"])
def test_delete_then_insert_of_one_key_ends_inserted(database: TestDatabase, mode: str) -> None:
    database.execute("CREATE TABLE things (id INT PRIMARY KEY, name VARCHAR(20), note VARCHAR(20))")
    database.execute("INSERT INTO things VALUES (1, 'old', 'old'), (2, 'old', 'old')")
    sink = Sink({**database.config(), **UPSERT, "insert.mode": mode, "delete.enabled": "true"})
    sink.put(keyed(sink, 1, None), keyed(sink, 1, thing(1, "new")), keyed(sink, 2, None))
    # The row is a new one: what the record does not name is gone.
    assert rows(database, "id, name, note") == [(1, "new", None)]
    sink.put(keyed(sink, 3, thing(3, "a")), keyed(sink, 3, None), keyed(sink, 3, thing(3, "b")))
    sink.put(keyed(sink, 4, thing(4, "a")), keyed(sink, 4, None))
    assert rows(database) == [(1, "new"), (3, "b")]
    sink.stop()


def test_any_order_of_changes_ends_as_one_by_one(database: TestDatabase) -> None:
    """Random records in batches, two shapes mixed, against a dictionary that takes them one by one."""
    database.execute("CREATE TABLE things (id INT PRIMARY KEY, name VARCHAR(20), size INT)")
    sink = Sink({**database.config(), **UPSERT, "delete.enabled": "true"})
    rng = random.Random(7)
    expected: dict[int, list[Any]] = {}
    for _ in range(12):
        batch = []
        for _ in range(rng.randrange(1, 60)):
            id, choice = rng.randrange(8), rng.randrange(5)
            if choice == 0:
                batch.append(keyed(sink, id, None))
                expected.pop(id, None)
            elif choice < 3:
                name = f"n{sink.next_offset}"
                batch.append(keyed(sink, id, thing(id, name)))
                expected.setdefault(id, [None, None])[0] = name
            else:
                name, size = f"w{sink.next_offset}", sink.next_offset
                batch.append(keyed(sink, id, wide(id, name, size)))
                expected[id] = [name, size]
        sink.put(*batch)
        assert rows(database, "id, name, size") == [(id, *found) for id, found in sorted(expected.items())]
    sink.stop()


def test_update_changes_only_what_is_there(database: TestDatabase) -> None:
    database.execute("CREATE TABLE things (id INT PRIMARY KEY, name VARCHAR(20))")
    database.execute("INSERT INTO things VALUES (1, 'old')")
    sink = Sink({**database.config(), "insert.mode": "update", "pk.mode": "record_value", "pk.fields": "id"})
    sink.put(sink.record(thing(1, "a")), sink.record(thing(2, "b")), sink.record(thing(1, "c")))
    assert rows(database) == [(1, "c")]
    sink.stop()


def test_pk_mode_kafka_makes_inserts_idempotent(database: TestDatabase) -> None:
    sink = Sink({**database.config(), "insert.mode": "upsert", "pk.mode": "kafka", "auto.create": "true"})
    records = [sink.record(thing(5, f"v{n}")) for n in range(20)]
    sink.put(*records)
    sink.put(*records)
    found = rows(database, "__connect_offset, __connect_topic, __connect_partition, name")
    assert found == [(n, "things", 0, f"v{n}") for n in range(20)]
    sink.stop()


def test_keys_of_several_fields_and_of_the_value(database: TestDatabase) -> None:
    sink = Sink(
        {**database.config(), "insert.mode": "upsert", "pk.mode": "record_key", "auto.create": "true",
         "fields.whitelist": "amount"}
    )  # fmt: skip
    key = struct("k", country=(STRING_SCHEMA, "pt"), number=(INT32_SCHEMA, 5))
    value = struct("v", amount=(INT32_SCHEMA, 1), ignored=(STRING_SCHEMA, "no"))
    sink.put(*[sink.record(value, key) for _ in range(12)])
    assert database.query("SELECT * FROM things") == [("pt", 5, 1)]
    sink.stop()


def test_evolve_adds_columns_and_only_adds(database: TestDatabase) -> None:
    sink = Sink({**database.config(), "auto.create": "true", "auto.evolve": "true"})
    sink.put(sink.record(thing(1, "a")))
    sink.put(sink.record(wide(2, "b", 7)), sink.record(thing(3, "c")))
    assert rows(database, "id, name, size") == [(1, "a", None), (2, "b", 7), (3, "c", None)]
    required = SchemaBuilder.struct().field("id", INT32_SCHEMA).field("must", STRING_SCHEMA).build()
    with pytest.raises(ConnectError, match=r"'must'.*neither optional nor has it a default"):
        sink.put(sink.record(Struct.of(required, [4, "x"])))
    sink.stop()


def test_without_evolve_the_missing_column_is_named(database: TestDatabase) -> None:
    database.execute("CREATE TABLE things (id INT)")
    sink = Sink(database.config())
    with pytest.raises(
        ConnectError, match=r"things-0 offset 0.*no column for 'name', and auto.evolve is false"
    ):
        sink.put(sink.record(thing(1)))
    sink.stop()


def test_a_missing_table_is_named(database: TestDatabase) -> None:
    sink = Sink(database.config())
    with pytest.raises(ConnectError, match=r"the table things does not exist, and auto.create is false"):
        sink.put(sink.record(thing(1)))
    sink.stop()


def test_defaults_are_created_and_used(database: TestDatabase) -> None:
    schema = (
        SchemaBuilder.struct().field("id", INT32_SCHEMA)
        .field("text", SchemaBuilder.string().default("it's \\ 100%").build())
        .field("n", SchemaBuilder.int32().default(42).build()).build()
    )  # fmt: skip
    sink = Sink({**database.config(), "auto.create": "true"})
    sink.put(sink.record(Struct.of(schema, [1, None, None])))
    database.execute("INSERT INTO things (id) VALUES (2)")
    assert rows(database, "id, text, n") == [(1, "it's \\ 100%", 42), (2, "it's \\ 100%", 42)]
    sink.stop()


# ---- bad records ----


def test_one_bad_row_of_three_thousand_goes_to_the_dead_letters(database: TestDatabase) -> None:
    database.execute("CREATE TABLE things (id INT PRIMARY KEY, name VARCHAR(10) CHECK (length(name) <= 10))")
    sink = Sink(database.config(), dead_letters=True)
    records = [sink.record(thing(n, f"n{n}")) for n in range(3000)]
    records[1777] = SinkRecord("things", 0, None, None, THING, thing(1777, "far too long a name"), 1777)
    sink.put(*records)
    assert sink.reporter.offsets == [1777]
    assert "things-0 offset 1777" in str(sink.reporter.reported[0][1])
    found = rows(database)
    assert len(found) == 2999
    assert (1777,) not in {row[:1] for row in found}
    sink.stop()


@pytest.mark.parametrize("mode", ["insert", "upsert"])
def test_many_bad_rows_of_every_kind(database: TestDatabase, mode: str) -> None:
    database.execute(
        "CREATE TABLE things (id INT PRIMARY KEY, name VARCHAR(10) NOT NULL CHECK (name <> 'bad'))"
    )
    sink = Sink({**database.config(), **UPSERT, "insert.mode": mode}, dead_letters=True)
    good = [keyed(sink, n, thing(n, f"n{n}")) for n in range(20)]
    other = struct("o", id=(INT32_SCHEMA, 100), unknown=(STRING_SCHEMA, "column"))
    bad = [
        keyed(sink, 30, thing(30, None)),
        keyed(sink, 31, thing(31, "bad")),
        sink.record(thing(32, "no key")),
        keyed(sink, 100, other),
        keyed(sink, 33, "no struct"),
        sink.record(thing(34, "null key"), struct("k", id=(OPTIONAL_INT32_SCHEMA, None))),
    ]
    more = [keyed(sink, n, thing(n, f"n{n}")) for n in range(40, 50)]
    sink.put(*good[:10], *bad[:3], *good[10:], *bad[3:], *more)
    assert sorted(sink.reporter.offsets) == [record.kafka_offset for record in bad]
    assert [row[0] for row in rows(database)] == [*range(20), *range(40, 50)]
    sink.stop()


def test_without_dead_letters_the_row_and_reason_are_named_and_nothing_is_written(
    database: TestDatabase,
) -> None:
    database.execute("CREATE TABLE things (id INT PRIMARY KEY, name VARCHAR(10) NOT NULL)")
    sink = Sink(database.config())
    records = [sink.record(thing(n, None if n == 25 else "ok")) for n in range(40)]
    with pytest.raises(
        ConnectError, match=r"the record at things-0 offset 25 cannot be written: .*(name|NULL)"
    ):
        sink.put(*records)
    assert rows(database) == []
    sink.stop()


@pytest.mark.parametrize("kind", ["postgresql", "mariadb"])
def test_values_that_do_not_fit(make_database: Any, kind: str) -> None:
    """Oversized and ill-typed values: an error for their record, and never a shortened value. (SQLite takes
    any value in any column.)"""
    database = make_database(kind)
    database.execute(
        "CREATE TABLE things (id INT PRIMARY KEY, small SMALLINT, short VARCHAR(5), amount DECIMAL(5,2))"
    )
    schema = (
        SchemaBuilder.struct().field("id", INT32_SCHEMA).field("small", OPTIONAL_INT32_SCHEMA)
        .field("short", OPTIONAL_STRING_SCHEMA).field("amount", OPTIONAL_STRING_SCHEMA).build()
    )  # fmt: skip
    sink = Sink(database.config(), dead_letters=True)
    cases = [
        [1, 32767, "12345", "999.99"], [2, 32768, None, None], [3, None, "123456", None], [4, None, None, "1000.00"],
        [5, None, None, "no number"], [6, None, "x", None], [7, 1 << 30, "x" * 100_000, "NaN"],
    ]  # fmt: skip
    sink.put(*[sink.record(Struct.of(schema, list(case))) for case in cases])
    assert [row[0] for row in rows(database, "id", "things")] == [1, 6]
    assert sorted(sink.reporter.offsets) == [1, 2, 3, 4, 6]
    sink.stop()


def test_nul_characters_and_lone_surrogates_are_refused_alone(postgres: TestDatabase) -> None:
    sink = Sink({**postgres.config(), "auto.create": "true"}, dead_letters=True)
    names = ["a", "b\x00c", "d", "e\ud800f", *[f"g{n}" for n in range(20)]]
    sink.put(*[sink.record(thing(n, name)) for n, name in enumerate(names)])
    assert sink.reporter.offsets == [1, 3]
    assert len(rows(postgres)) == 22
    sink.stop()


def test_hostile_names_of_columns_and_tables(database: TestDatabase) -> None:
    names = [
        'a"b',
        "a`b",
        "a'b",
        "x); DROP TABLE things; --",
        "50% off",
        "what?",
        "größe",
        "select",
        "Ma\\il",
        "%s",
        "a.b",
    ]
    builder = SchemaBuilder.struct().field("id", INT32_SCHEMA)
    for name in names:
        builder.field(name, OPTIONAL_STRING_SCHEMA)
    schema = builder.build()
    topic = "thin'g%s\"`; DROP TABLE x"
    sink = Sink({**database.config(), **UPSERT, "auto.create": "true"}, topic=topic)
    for start in (0, 40):  # A second time for the statements of an update.
        sink.put(
            *[
                sink.record(
                    Struct.of(schema, [n % 40, *[f"{name}{n}" for name in names]]),
                    n % 40,
                    key_schema=INT32_SCHEMA,
                )
                for n in range(start, start + 40)
            ]
        )
    sink.put(*[sink.record(Struct.of(schema, [1, *names]), 1, key_schema=INT32_SCHEMA)])
    found = database.query(f"SELECT * FROM {database.quote(topic)} ORDER BY id")
    assert len(found) == 40
    assert found[1] == (1, *names)
    assert found[39] == (39, *[f"{name}79" for name in names])
    sink.stop()


def test_quoting_never_refuses_what_needs_quotes(database: TestDatabase) -> None:
    schema = SchemaBuilder.struct().field("id; DROP TABLE x", INT32_SCHEMA).build()
    sink = Sink({**database.config(), "auto.create": "true", "quote.sql.identifiers": "never"})
    with pytest.raises(ConnectError, match=r"can only be used in quotes"):
        sink.put(sink.record(Struct.of(schema, [1])))
    sink.stop()


def test_columns_are_matched_without_regard_to_case(database: TestDatabase) -> None:
    database.execute(
        f"CREATE TABLE things ({database.quote('ID')} INT PRIMARY KEY, {database.quote('Name')} VARCHAR(20))"
    )
    sink = Sink({**database.config(), **UPSERT})
    sink.put(*[keyed(sink, n, thing(n, "x")) for n in range(12)])
    assert len(database.query("SELECT * FROM things")) == 12
    sink.stop()


def test_schemaless_maps_take_their_types_from_the_table(database: TestDatabase) -> None:
    database.execute(
        "CREATE TABLE things (id INT PRIMARY KEY, name VARCHAR(20), price DECIMAL(9,2), born DATE)"
    )
    sink = Sink({**database.config(), "insert.mode": "upsert", "pk.mode": "record_value", "pk.fields": "id"})
    sink.put(
        *[sink.record({"id": n, "name": f"n{n}", "price": n + 0.5, "born": "2020-01-02"}) for n in range(12)],
        sink.record({"id": 3, "name": "changed"}),
        sink.record({"id": 50}),
    )
    found = rows(database, "id, name, price, born")
    assert [row[0] for row in found] == [*range(12), 50]
    assert found[3][1] == "changed"
    assert float(found[3][2]) == 3.5
    assert str(found[4][3]) == "2020-01-02"
    sink.stop()


def test_schemaless_maps_cannot_create_a_table(database: TestDatabase) -> None:
    sink = Sink({**database.config(), "auto.create": "true"})
    with pytest.raises(ConnectError, match="cannot be created from records without schema"):
        sink.put(sink.record({"id": 1}))
    sink.stop()


def test_tombstones_are_skipped_unless_deletes_are_enabled(database: TestDatabase) -> None:
    sink = Sink({**database.config(), **UPSERT, "auto.create": "true"})
    sink.put(keyed(sink, 1, thing(1, "a")), keyed(sink, 1, None))
    assert rows(database) == [(1, "a")]
    sink.stop()


# ---- tables ----


def test_names_of_tables(postgres: TestDatabase) -> None:
    postgres.execute("CREATE TABLE kafka_orders (id INT, name TEXT)")
    sink = Sink({**postgres.config(), "table.name.format": "kafka_${topic}"}, topic="orders")
    sink.put(sink.record(thing(1)))
    assert rows(postgres, table="kafka_orders") == [(1, "x")]
    sink.stop()
    sink = Sink(
        {**postgres.config(), "auto.create": "true", "topics.to.tables.mapping": "a.b:plain,c:other",
         "table.name.normalize": "true"}
    )  # fmt: skip
    sink.put(
        sink.record(thing(1), topic="a.b"),
        sink.record(thing(2), topic="c"),
        sink.record(thing(3), topic="d.e-f"),
    )
    for number, table in enumerate(("plain", "other", "d_e_f"), 1):
        assert rows(postgres, table=table) == [(number, "x")]
    sink.stop()


def test_a_table_in_another_schema_and_a_partitioned_one(postgres: TestDatabase) -> None:
    schema = postgres.schema + "_other"  # type: ignore[attr-defined]
    postgres.execute(f"CREATE SCHEMA {schema}")
    postgres.execute(
        f"CREATE TABLE {schema}.things (id INT, name TEXT, PRIMARY KEY (id)) PARTITION BY RANGE (id)"
    )
    postgres.execute(f"CREATE TABLE {schema}.low PARTITION OF {schema}.things FOR VALUES FROM (0) TO (10)")
    postgres.execute(f"CREATE TABLE {schema}.high PARTITION OF {schema}.things FOR VALUES FROM (10) TO (100)")
    sink = Sink({**postgres.config(), **UPSERT, "table.name.format": schema + ".${topic}"}, dead_letters=True)
    sink.put(*[keyed(sink, n, thing(n)) for n in [*range(5, 30), 500]])
    assert len(rows(postgres, table=f"{schema}.things")) == 25
    assert sink.reporter.offsets == [25]
    postgres.execute(f"DROP SCHEMA {schema} CASCADE")
    sink.stop()


def test_types_that_only_postgresql_has(postgres: TestDatabase) -> None:
    postgres.execute("CREATE TYPE mood AS ENUM ('sad', 'ok')")
    postgres.execute(
        "CREATE TABLE things (id UUID PRIMARY KEY, doc JSONB, tags TEXT[], feeling mood, host INET, span INTERVAL, "
        "at TIMESTAMPTZ, n NUMERIC(6,2), flag BOOLEAN)"
    )
    id = "0f0e0d0c-0b0a-0908-0706-050403020100"
    value = struct(
        "v", doc=(STRING_SCHEMA, '{"a": [1, 2]}'), feeling=(STRING_SCHEMA, "ok"), host=(STRING_SCHEMA, "10.0.0.1"),
        tags=(SchemaBuilder.array(STRING_SCHEMA).build(), ["x", 'y"z', "{}"]), span=(STRING_SCHEMA, "1 day"),
        at=(Timestamp.SCHEMA, NOW), n=(FLOAT64_SCHEMA, 1.25), flag=(INT8_SCHEMA, 1),
    )  # fmt: skip
    sink = Sink({**postgres.config(), **UPSERT, "delete.enabled": "true"}, dead_letters=True)
    other = "1f0e0d0c-0b0a-0908-0706-050403020100"
    keys = [id, other, "not a uuid", *[f"{n:08d}-0b0a-0908-0706-050403020100" for n in range(20)]]
    sink.put(*[sink.record(value, key, key_schema=STRING_SCHEMA) for key in keys])
    assert sink.reporter.offsets == [2]
    sink.put(sink.record(None, other, key_schema=STRING_SCHEMA))
    (row,) = postgres.query(
        "SELECT doc->'a'->>1, feeling::text, host::text, tags, span::text, at, n::text, flag FROM things "
        f"WHERE id = '{id}'"
    )
    assert row == ("2", "ok", "10.0.0.1/32", ["x", 'y"z', "{}"], "1 day", NOW, "1.25", True)
    assert len(rows(postgres, "id")) == 21
    sink.stop()


def test_time_zones(postgres: TestDatabase) -> None:
    postgres.execute("CREATE TABLE things (id INT, plain TIMESTAMP, zoned TIMESTAMPTZ)")
    schema = (
        SchemaBuilder.struct().field("id", INT32_SCHEMA).field("plain", Timestamp.SCHEMA)
        .field("zoned", Timestamp.SCHEMA).build()
    )  # fmt: skip
    sink = Sink({**postgres.config(), "db.timezone": "America/New_York"})
    moments = [NOW, datetime.datetime(2024, 7, 1, 12, tzinfo=datetime.UTC)] * 6
    sink.put(*[sink.record(Struct.of(schema, [n, moment, moment])) for n, moment in enumerate(moments)])
    found = postgres.query("SELECT plain, zoned FROM things ORDER BY id")
    assert found[0] == (datetime.datetime(2024, 2, 29, 18, 59, 58, 123000), NOW)
    assert found[1][0] == datetime.datetime(2024, 7, 1, 8)
    sink.stop()


# ---- failures ----


def test_a_lost_connection_is_retried_and_nothing_is_lost_or_doubled(postgres: TestDatabase) -> None:
    sink = Sink({**postgres.config(), "auto.create": "true", "retry.backoff.ms": "5"})
    sink.put(sink.record(thing(0)))
    postgres.execute(
        "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE pid <> pg_backend_pid() "
        "AND application_name = 'pybroker'"
    )
    records = [sink.record(thing(n)) for n in range(1, 30)]
    with pytest.raises(RetriableError):
        sink.put(*records)
    assert sink.context.timeouts == [5]
    sink.put_again(records)
    assert [row[0] for row in rows(postgres)] == list(range(30))
    sink.stop()


def test_a_table_dropped_and_made_anew_is_found_again(database: TestDatabase) -> None:
    sink = Sink({**database.config(), "auto.create": "true", "retry.backoff.ms": "1"})
    sink.put(sink.record(thing(1)))
    database.execute("DROP TABLE things")
    sink.put_again([sink.record(thing(n)) for n in range(2, 20)])
    assert len(rows(database)) == 18
    database.execute("DROP TABLE things")
    database.execute("CREATE TABLE things (id BIGINT, name VARCHAR(50), more INT)")
    sink.put_again([sink.record(thing(n)) for n in range(20)])
    assert len(rows(database)) == 20
    sink.stop()


@pytest.mark.parametrize("kind", ["postgresql", "mariadb"])
def test_a_column_whose_type_changes_while_rows_flow(make_database: Any, kind: str) -> None:
    """What still fits goes on, the rest goes to the dead letters with row and reason."""
    database = make_database(kind)
    database.execute("CREATE TABLE things (id INT, name VARCHAR(50))")
    sink = Sink({**database.config(), "retry.backoff.ms": "1"}, dead_letters=True)
    sink.put(*[sink.record(thing(n, str(n))) for n in range(20)])
    database.execute("ALTER TABLE things DROP COLUMN name")
    database.execute("ALTER TABLE things ADD name INT")
    sink.put_again([sink.record(thing(n, "no number" if n == 25 else str(n))) for n in range(20, 40)])
    assert rows(database)[20:25] == [(n, n) for n in range(20, 25)]
    assert len(rows(database)) == 39
    assert sink.reporter.offsets == [25]
    assert "things-0 offset 25 cannot be written" in str(sink.reporter.reported[0][1])
    assert "name" in str(sink.reporter.reported[0][1])
    sink.stop()


def test_retries_run_out(database: TestDatabase) -> None:
    sink = Sink({**database.config(), "auto.create": "true", "retry.backoff.ms": "1", "max.retries": "2"})
    sink.put(sink.record(thing(1)))
    database.execute("DROP TABLE things")
    database.execute("CREATE VIEW things AS SELECT 1 AS id, 'x' AS name")
    records = [sink.record(thing(n)) for n in range(2)]
    for _ in range(2):
        with pytest.raises(RetriableError):
            sink.put(*records)
    with pytest.raises(ConnectError, match=r"the record at things-0 offset 1 cannot be written"):
        sink.put(*records)
    sink.stop()


@pytest.mark.parametrize("kind", ["postgresql", "mariadb"])
def test_wrong_credentials_are_named_without_the_password(make_database: Any, kind: str) -> None:
    database = make_database(kind)
    config = {**database.config(), "connection.password": "wrong-s3cret", "connection.backoff.ms": "60000"}
    started = time.monotonic()
    with pytest.raises(
        ConnectError, match=r"cannot connect to \w+://127.0.0.1.*(authentication failed|denied)"
    ) as caught:
        Sink(config)
    assert "s3cret" not in str(caught.value)
    assert time.monotonic() - started < 10


def test_no_server(tmp_path: Any) -> None:
    config = {"connection.attempts": "2", "connection.backoff.ms": "1"}
    for url in (
        "jdbc:postgresql://127.0.0.1:1/x",
        "jdbc:mysql://127.0.0.1:1/x",
        f"jdbc:sqlite:{tmp_path}/no/where.db",
    ):
        with pytest.raises(ConnectError, match=r"cannot (connect|open)"):
            Sink({**config, "connection.url": url})


def test_two_sinks_create_one_table(database: TestDatabase) -> None:
    sinks = [
        Sink({**database.config(), **UPSERT, "auto.create": "true", "retry.backoff.ms": "1"})
        for _ in range(2)
    ]
    sinks[0].put_again([keyed(sinks[0], n, thing(n, "a")) for n in range(10)])
    sinks[1].put_again([keyed(sinks[1], n, thing(n, "b")) for n in range(5, 15)])
    assert len(rows(database)) == 15
    for sink in sinks:
        sink.stop()


# ---- exactly once ----


def test_exactly_once_ignores_what_was_written(database: TestDatabase) -> None:
    config = {**database.config(), "auto.create": "true", "exactly.once": "true"}
    sink = Sink(config)
    records = [sink.record(thing(n)) for n in range(30)]
    sink.put(*records[:20])
    sink.stop()
    again = Sink(config)
    assert again.context.sought == {TopicPartition("things", 0): 20}
    again.put(*records)  # As if the committed offset had been lost.
    assert [row[0] for row in rows(database)] == list(range(30))
    again.stop()


def test_exactly_once_fences_a_task_that_was_replaced(database: TestDatabase) -> None:
    config = {**database.config(), "auto.create": "true", "exactly.once": "true"}
    old = Sink(config)
    records = [old.record(thing(n)) for n in range(40)]
    old.put(*records[:10])
    new = Sink(config)
    with pytest.raises(ConnectError, match="another task has taken over things-0"):
        old.put(*records[10:30])
    new.put(*records[10:])
    assert [row[0] for row in rows(database)] == list(range(40))
    old.stop()
    new.stop()


def test_offsets_altered_by_rest_are_altered_beside_the_rows(database: TestDatabase) -> None:
    config = {
        **database.config(),
        "auto.create": "true",
        "exactly.once": "true",
        "name": "sink",
        "topics": "things",
    }
    sink = Sink(config)
    sink.put(*[sink.record(thing(n)) for n in range(10)])
    sink.stop()
    partition = TopicPartition("things", 0)
    assert JdbcSinkConnector().alter_offsets(config, {partition: 4}) is True
    again = Sink(config)
    assert again.context.sought == {partition: 4}
    again.stop()
    assert JdbcSinkConnector().alter_offsets(config, {partition: None}) is True
    third = Sink(config)
    assert third.context.sought == {}
    third.stop()


# ---- validation ----


@pytest.mark.parametrize(
    ("config", "key", "text"),
    [
        ({"delete.enabled": "true"}, "delete.enabled", "pk.mode record_key"),
        ({"insert.mode": "upsert"}, "pk.mode", "needs a primary key"),
        ({"insert.mode": "merge"}, "insert.mode", "String must be one of"),
        ({"pk.mode": "kafka", "pk.fields": "a,b"}, "pk.fields", "three"),
        ({"batch.size": "0"}, "batch.size", "at least 1"),
        ({"connection.url": "jdbc:nosuch:x"}, "connection.url", "pybroker\\[jdbc\\]"),
        ({"connection.url": "postgres"}, "connection.url", "expected jdbc:"),
        ({"connection.url": "jdbc:oracle:thin:@h:1521:x"}, "connection.url", "install oracledb"),
        ({"db.timezone": "Mars/Olympus"}, "db.timezone", "time zone"),
        ({"dialect.name": "Nosuch"}, "dialect.name", "Unknown dialect"),
        ({"topics.to.tables.mapping": "nocolon"}, "topics.to.tables.mapping", "topic:table"),
    ],
)
def test_validation_names_the_key(config: dict[str, str], key: str, text: str) -> None:
    results = {
        result.name: result
        for result in JdbcSinkConnector().validate({"connection.url": "jdbc:sqlite:x.db", **config})
    }
    assert len(results[key].error_messages) == 1
    import re

    assert re.search(text, results[key].error_messages[0])
    assert [name for name, result in results.items() if result.error_messages] == [key]


def test_validation_never_shows_a_password() -> None:
    config = {"connection.url": "jdbc:postgresql://u:hunter2@:x/y?password=hunter3"}
    results = JdbcSinkConnector().validate(config)
    errors = [text for result in results for text in result.error_messages]
    assert errors
    assert "hunter" not in "".join(errors)


def test_both_vendors_names_and_modes() -> None:
    assert AivenJdbcSinkConnector.java_class_name == "io.aiven.connect.jdbc.JdbcSinkConnector"
    assert ConfluentJdbcSinkConnector.java_class_name == "io.confluent.connect.jdbc.JdbcSinkConnector"
    connector = AivenJdbcSinkConnector()
    connector.start(
        {"connection.url": "jdbc:sqlite:x.db", "insert.mode": "multi", "sql.quote.identifiers": "true"}
    )
    assert len(connector.task_configs(3)) == 3
    with pytest.raises(ConfigError, match="needs a primary key"):
        connector.start({"connection.url": "jdbc:sqlite:x.db", "insert.mode": "upsert"})


def test_a_task_that_never_started_can_be_stopped() -> None:
    task = JdbcSinkTask()
    task.initialize(SinkContext({}, None))
    with pytest.raises(ConfigError):
        task.start({})
    task.stop()


def test_empty_shape_is_refused(sqlite: TestDatabase) -> None:
    sink = Sink({**sqlite.config(), "auto.create": "true"})
    with pytest.raises(ConnectError, match="no field to write"):
        sink.put(sink.record(Struct(SchemaBuilder.struct().build())))
    with pytest.raises(ConnectError, match="needs a Struct or a map"):
        sink.put(sink.record(5, schema=Schema(Type.INT32)))
    sink.stop()

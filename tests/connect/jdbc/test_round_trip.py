"""Values of every type go through the sink into a table and come back through the source as they were."""

from __future__ import annotations

import datetime
import decimal
from collections.abc import Callable
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from connect.api.data import (
    OPTIONAL_BOOLEAN_SCHEMA,
    OPTIONAL_BYTES_SCHEMA,
    OPTIONAL_FLOAT32_SCHEMA,
    OPTIONAL_FLOAT64_SCHEMA,
    OPTIONAL_INT8_SCHEMA,
    OPTIONAL_INT16_SCHEMA,
    OPTIONAL_INT32_SCHEMA,
    OPTIONAL_INT64_SCHEMA,
    OPTIONAL_STRING_SCHEMA,
    Date,
    Decimal,
    SchemaBuilder,
    Struct,
    Time,
    Timestamp,
)
from connect.jdbc.sink.connector import JdbcSinkTask
from tests.connect.jdbc.databases import TestDatabase
from tests.connect.jdbc.harness import Sink, Source

UTC = datetime.UTC
SCHEMA = (
    SchemaBuilder.struct().name("row")
    .field("id", SchemaBuilder.int64().build())
    .field("i8", OPTIONAL_INT8_SCHEMA).field("i16", OPTIONAL_INT16_SCHEMA)
    .field("i32", OPTIONAL_INT32_SCHEMA).field("i64", OPTIONAL_INT64_SCHEMA)
    .field("f32", OPTIONAL_FLOAT32_SCHEMA).field("f64", OPTIONAL_FLOAT64_SCHEMA)
    .field("flag", OPTIONAL_BOOLEAN_SCHEMA).field("text", OPTIONAL_STRING_SCHEMA)
    .field("raw", OPTIONAL_BYTES_SCHEMA)
    .field("amount", Decimal.builder(6).optional().build())
    .field("day", Date.builder().optional().build())
    .field("tod", Time.builder().optional().build())
    .field("moment", Timestamp.builder().optional().build())
    .build()
)  # fmt: skip

# Columns of types that keep what the fields hold.
DDL = {
    "postgresql": "id BIGINT PRIMARY KEY, i8 SMALLINT, i16 SMALLINT, i32 INT, i64 BIGINT, f32 REAL, f64 FLOAT8, "
    "flag BOOLEAN, text TEXT, raw BYTEA, amount NUMERIC(30,6), day DATE, tod TIME(3), moment TIMESTAMP(3)",
    "mariadb": "id BIGINT PRIMARY KEY, i8 TINYINT, i16 SMALLINT, i32 INT, i64 BIGINT, f32 DOUBLE, f64 DOUBLE, "
    "flag TINYINT, text LONGTEXT, raw LONGBLOB, amount DECIMAL(30,6), day DATE, tod TIME(3), moment DATETIME(3)",
    "sqlite": "id INTEGER PRIMARY KEY, i8 TINYINT, i16 SMALLINT, i32 INT, i64 BIGINT, f32 REAL, f64 REAL, "
    "flag BOOLEAN, text TEXT, raw BLOB, amount TEXT, day DATE, tod TIME, moment TIMESTAMP",
}


def milliseconds(value: Any) -> Any:
    return value.replace(microsecond=value.microsecond // 1000 * 1000)


def rows(first_year: int) -> st.SearchStrategy[list[list[Any]]]:
    def integer(bits: int) -> st.SearchStrategy[int]:
        return st.integers(-(1 << (bits - 1)), (1 << (bits - 1)) - 1)

    finite = {"allow_nan": False, "allow_infinity": False}
    text = st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\x00"), max_size=40)
    start = datetime.datetime(first_year, 1, 1)
    fields: list[st.SearchStrategy[Any]] = [
        integer(8), integer(16), integer(32), integer(64), st.floats(width=32, **finite),
        st.floats(**finite).map(lambda f: f + 0.0), st.booleans(), text, st.binary(max_size=40),
        st.decimals(min_value=-(10**17), max_value=10**17, places=6),
        st.dates(min_value=start.date()), st.times().map(milliseconds),
        st.datetimes(min_value=start, timezones=st.just(UTC)).map(milliseconds),
    ]  # fmt: skip
    return st.lists(st.tuples(*[st.none() | field for field in fields]).map(list), min_size=1, max_size=24)


@pytest.mark.parametrize("mode", ["insert", "upsert"])
@pytest.mark.parametrize("kind", ["postgresql", "mariadb", "sqlite"])
def test_values_come_back_as_they_were(
    make_database: Callable[[str], TestDatabase], kind: str, mode: str
) -> None:
    database = make_database(kind)
    database.execute(f"CREATE TABLE things ({DDL[kind]})")
    config = {"insert.mode": mode, "pk.mode": "record_value", "pk.fields": "id"}
    sink = Sink({**database.config(), **config})
    assert isinstance(sink.task, JdbcSinkTask)

    # SQLite's own functions and MySQL's DATETIME begin later than Python's.
    @settings(max_examples=12, deadline=None, suppress_health_check=list(HealthCheck))
    @given(rows(1000 if kind == "mariadb" else 1))
    def check(values: list[list[Any]]) -> None:
        database.execute("DELETE FROM things")
        sink.put(*[sink.record(Struct.of(SCHEMA, [at, *row])) for at, row in enumerate(values)])
        source = Source({**database.config(), "mode": "incrementing", "incrementing.column.name": "id",
                         "table.whitelist": "things"})  # fmt: skip
        try:
            found = [record.value.values()[1:] for record in source.read(len(values))]
        finally:
            source.stop()
        for before, after in zip(values, found, strict=True):
            for field, wanted, got in zip(SCHEMA.fields[1:], before, after, strict=True):
                if wanted is not None and field.name == "flag":
                    got = bool(got)
                elif wanted is not None and field.name == "amount":
                    got = decimal.Decimal(got)
                assert got == wanted, field.name

    check()
    sink.stop()

"""Schemas, structs, logical types and projection: what fits and what is refused."""

from __future__ import annotations

import datetime
import decimal

import pytest
from hypothesis import given
from hypothesis import strategies as st

from connect.api.data import (
    INT8_SCHEMA,
    INT32_SCHEMA,
    INT64_SCHEMA,
    OPTIONAL_STRING_SCHEMA,
    STRING_SCHEMA,
    Date,
    Decimal,
    Schema,
    SchemaBuilder,
    Struct,
    Time,
    Timestamp,
    decimal_of,
    project,
    validate_value,
)
from connect.api.errors import DataError, SchemaBuilderError, SchemaProjectorError
from connect.api.records import Headers, SinkRecord, SourceRecord

ROW = (
    SchemaBuilder.struct().name("row").field("id", INT32_SCHEMA).field("name", OPTIONAL_STRING_SCHEMA).build()
)


def test_struct() -> None:
    row = Struct(ROW).put("id", 7)
    assert (row["id"], row["name"]) == (7, None)
    assert repr(row) == "Struct{id=7}"
    row.validate()
    assert row == Struct(ROW).put("id", 7)
    assert row != Struct(ROW).put("id", 8)
    with pytest.raises(DataError, match="nope is not a valid field name"):
        row.get("nope")
    with pytest.raises(DataError, match='null used for required field: "id"'):
        Struct(ROW).validate()


@pytest.mark.parametrize(
    ("schema", "value"),
    [
        (INT8_SCHEMA, 128),
        (INT32_SCHEMA, True),
        (INT32_SCHEMA, 1.0),
        (INT64_SCHEMA, 1 << 63),
        (STRING_SCHEMA, b"x"),
        (STRING_SCHEMA, None),
        (Date.SCHEMA, datetime.datetime(2024, 1, 1)),
        (Date.SCHEMA, 5),
        (Decimal.schema(2), 1.5),
        (SchemaBuilder.array(INT32_SCHEMA).build(), ["x"]),
        (SchemaBuilder.map(STRING_SCHEMA, INT32_SCHEMA).build(), {"a": None}),
    ],
)
def test_refused(schema: Schema, value: object) -> None:
    with pytest.raises(DataError):
        validate_value("f", schema, value)


def test_defaults_make_optional_and_are_checked() -> None:
    assert SchemaBuilder.int32().default(5).build().optional
    with pytest.raises(SchemaBuilderError, match="Invalid default value"):
        SchemaBuilder.int8().default(1000).build()
    with pytest.raises(SchemaBuilderError, match="name has already been set"):
        SchemaBuilder.int8().name("a").name("b")


def test_equality_and_hash() -> None:
    twin = (
        SchemaBuilder.struct()
        .name("row")
        .field("id", INT32_SCHEMA)
        .field("name", OPTIONAL_STRING_SCHEMA)
        .build()
    )
    assert twin == ROW
    assert hash(twin) == hash(ROW)
    assert SchemaBuilder.string().doc("x").build() != STRING_SCHEMA


@given(st.integers(-(1 << 200), 1 << 200), st.integers(-5, 40))
def test_decimal_round_trip(unscaled: int, scale: int) -> None:
    schema = Decimal.schema(scale)
    value = decimal_of(unscaled, scale)
    assert Decimal.to_logical(schema, Decimal.from_logical(schema, value)) == value


def test_decimal_bytes_and_scale() -> None:
    schema = Decimal.schema(2)
    assert Decimal.from_logical(schema, decimal.Decimal("1.56")) == b"\x00\x9c"
    assert Decimal.from_logical(schema, decimal.Decimal("-1.56")) == b"\xff\x64"
    with pytest.raises(DataError, match="mismatching scale"):
        Decimal.from_logical(schema, decimal.Decimal("1.5"))


@given(st.datetimes(timezones=st.just(datetime.UTC)))
def test_timestamp_round_trip(value: datetime.datetime) -> None:
    kept = Timestamp.to_logical(Timestamp.SCHEMA, Timestamp.from_logical(Timestamp.SCHEMA, value))
    assert datetime.timedelta(0) <= value - kept < datetime.timedelta(milliseconds=1)


def test_date_and_time() -> None:
    assert Date.from_logical(Date.SCHEMA, datetime.date(1970, 1, 2)) == 1
    assert Date.to_logical(Date.SCHEMA, -1) == datetime.date(1969, 12, 31)
    assert Time.from_logical(Time.SCHEMA, datetime.time(1, 2, 3, 4567)) == 3_723_004
    assert Time.to_logical(Time.SCHEMA, 3_723_004) == datetime.time(1, 2, 3, 4000)
    with pytest.raises(DataError):
        Time.to_logical(Time.SCHEMA, 86_400_000)


def test_projection() -> None:
    wider = (
        SchemaBuilder.struct()
        .name("row")
        .field("id", INT64_SCHEMA)
        .field("name", OPTIONAL_STRING_SCHEMA)
        .field("n", SchemaBuilder.int32().default(3).build())
        .build()
    )
    assert project(ROW, Struct(ROW).put("id", 7).put("name", "x"), wider) == (
        Struct(wider).put("id", 7).put("name", "x").put("n", 3)
    )
    with pytest.raises(SchemaProjectorError, match="type mismatch"):
        project(INT64_SCHEMA, 1, INT32_SCHEMA)


def test_new_record_keeps_the_source() -> None:
    source = SourceRecord({"p": 1}, {"o": 2}, "t", value="x", headers=Headers().add_string("h", "1"))
    changed = source.new_record(topic="u", value=None)
    assert (changed.topic, changed.value, changed.source_offset, source.topic) == ("u", None, {"o": 2}, "t")
    changed.headers.add_string("h", "2")
    assert len(source.headers) == 1
    sink = SinkRecord("t", 0, None, None, None, b"v", 5)
    assert sink.new_record(topic="u").original_topic == "t"
    with pytest.raises(TypeError):
        sink.new_record(kafka_offset=6)


def test_headers() -> None:
    headers = Headers().add_string("a", "1").add_string("b", "2").add_string("a", "3")
    assert [h.value for h in headers.all_with_name("a")] == ["1", "3"]
    assert [h.value for h in headers.duplicate().retain_latest()] == ["2", "3"]
    assert [h.value for h in headers.remove("a")] == ["2"]

"""Every transform and predicate: on keys and values, with and without schemas, tombstones, bad settings."""

from __future__ import annotations

import datetime
import decimal
from typing import Any

import pytest

from connect.api.data import (
    INT32_SCHEMA,
    INT64_SCHEMA,
    OPTIONAL_STRING_SCHEMA,
    STRING_SCHEMA,
    Decimal,
    SchemaBuilder,
    Struct,
    Timestamp,
    Type,
)
from connect.api.errors import ConfigError, DataError
from connect.api.records import Header, SinkRecord, SourceRecord
from connect.api.transform import Transformation
from connect.core.registry import PREDICATE, TRANSFORMATION
from connect.runtime.plugins import load_plugins
from connect.transforms.cast import cast
from connect.transforms.dates import DateFormat

REGISTRY = load_plugins(None)
ROW = (
    SchemaBuilder.struct().name("row").version(1).field("id", INT32_SCHEMA).field("name", OPTIONAL_STRING_SCHEMA)
    .field("n", SchemaBuilder.int32().optional().default(5).build()).build()
)  # fmt: skip
NOW = 1_700_000_000_123
MOMENT = datetime.datetime(2023, 11, 14, 22, 13, 20, 123000, tzinfo=datetime.UTC)


def make(name: str, **settings: str) -> Transformation:
    cls = REGISTRY.find(TRANSFORMATION, f"org.apache.kafka.connect.transforms.{name}")
    assert cls is not None, name
    transform: Transformation = cls()
    transform.configure({key.replace("__", "."): value for key, value in settings.items()})
    return transform


def source(value: Any, schema: Any = None, **more: Any) -> SourceRecord:
    return SourceRecord(
        {"p": 1}, {"o": 1}, "topic", 3, value_schema=schema, value=value, timestamp=NOW, **more
    )


def row(**values: Any) -> Struct:
    struct = Struct(ROW)
    for name, value in values.items():
        struct.put(name, value)
    return struct


def applied(transform: Transformation, record: Any) -> Any:
    changed = transform.apply(record)
    assert changed is not None
    return changed


@pytest.mark.parametrize(
    ("name", "settings", "given", "expected"),
    [
        ("Cast$Value", {"spec": "a:int32,b:string"}, {"a": "7", "b": 1.0, "c": 1}, {"a": 7, "b": "1.0", "c": 1}),
        ("Cast$Value", {"spec": "int8"}, 300, 44),
        ("ExtractField$Value", {"field": "a"}, {"a": {"b": 1}}, {"b": 1}),
        ("ExtractField$Value", {"field": "x"}, {"a": 1}, None),
        ("ExtractField$Value", {"field": "a.`b.c`", "field.syntax.version": "v2"}, {"a": {"b.c": 1}}, 1),
        ("Flatten$Value", {}, {"a": {"b": 1, "c": {"d": None}}, "e": [1]}, {"a.b": 1, "a.c.d": None, "e": [1]}),
        ("Flatten$Value", {"delimiter": "_"}, {"a": {"b": 1}}, {"a_b": 1}),
        ("HoistField$Value", {"field": "v"}, 5, {"v": 5}),
        (
            "InsertField$Value",
            {"topic.field": "t", "partition.field": "p!", "timestamp.field": "ts", "static.field": "s", "static.value": "x"},
            {"a": 1},
            {"a": 1, "t": "topic", "p": 3, "ts": NOW, "s": "x"},
        ),
        ("MaskField$Value", {"fields": "a,b,c"}, {"a": 1, "b": "x", "c": [1], "d": 2}, {"a": 0, "b": "", "c": [], "d": 2}),
        ("MaskField$Value", {"fields": "a,b", "replacement": "9"}, {"a": 1, "b": "x"}, {"a": 9, "b": "9"}),
        ("ReplaceField$Value", {"exclude": "a", "renames": "b:z"}, {"a": 1, "b": 2, "c": 3}, {"z": 2, "c": 3}),
        ("ReplaceField$Value", {"include": "b"}, {"a": 1, "b": 2}, {"b": 2}),
        ("TimestampConverter$Value", {"field": "t", "target.type": "string", "format": "yyyy-MM-dd'T'HH:mm:ss.SSS"}, {"t": NOW}, {"t": "2023-11-14T22:13:20.123"}),
        ("TimestampConverter$Value", {"target.type": "unix", "format": "yyyy-MM-dd"}, "2023-11-14", 1_699_920_000_000),
        ("TimestampConverter$Value", {"target.type": "unix", "unix.precision": "seconds"}, MOMENT, 1_700_000_000),
        ("TimestampConverter$Value", {"target.type": "Timestamp", "unix.precision": "microseconds"}, NOW * 1000, MOMENT),
        ("TimestampConverter$Value", {"target.type": "Date"}, NOW, MOMENT.date()),
        ("TimestampConverter$Value", {"target.type": "Time"}, NOW, MOMENT.time()),
    ],
)  # fmt: skip
def test_without_schema(name: str, settings: dict[str, str], given: Any, expected: Any) -> None:
    changed = applied(make(name, **settings), source(given))
    assert changed.value == expected
    assert changed.value_schema is None
    on_key = applied(
        make(name.replace("Value", "Key"), **settings),
        SourceRecord(None, None, "topic", 3, None, given, None, "v", NOW),
    )
    assert (on_key.key, on_key.value) == (expected, "v")


def test_cast_with_schema() -> None:
    changed = applied(make("Cast$Value", spec="id:string,n:float64"), source(row(id=1), ROW))
    assert changed.value.values() == ["1", None, 5.0]
    assert changed.value_schema.field("id").schema.type is Type.STRING
    assert changed.value_schema.field("n").schema.default == 5.0
    assert (changed.value_schema.name, changed.value_schema.version) == ("row", 1)


@pytest.mark.parametrize(
    ("value", "target", "expected"),
    [
        (True, Type.INT8, 1), (1.9, Type.INT32, 1), (1e20, Type.INT64, (1 << 63) - 1), (1 << 40, Type.INT32, 0),
        ("TRUE", Type.BOOLEAN, True), (0, Type.BOOLEAN, False), ("1.5", Type.FLOAT64, 1.5), (b"a", Type.STRING, "YQ=="),
        (MOMENT, Type.INT64, NOW), (MOMENT.date(), Type.STRING, "2023-11-14"), (decimal.Decimal("1.50"), Type.STRING, "1.50"),
    ],
)  # fmt: skip
def test_cast(value: Any, target: Type, expected: Any) -> None:
    assert cast(value, target) == expected


@pytest.mark.parametrize(
    ("value", "target"), [("x", Type.INT32), ("300", Type.INT8), ([1], Type.INT32), ({}, Type.BOOLEAN)]
)
def test_cast_refused(value: Any, target: Type) -> None:
    with pytest.raises(DataError):
        cast(value, target)


def test_fields_with_schema() -> None:
    record = source(row(id=1, name="x"), ROW)
    inserted = applied(make("InsertField$Value", topic__field="t!", timestamp__field="ts"), record)
    assert inserted.value.values() == [1, "x", 5, "topic", MOMENT]
    assert inserted.value_schema.field("ts").schema == Timestamp.builder().optional().build()
    assert not inserted.value_schema.field("t").schema.optional
    replaced = applied(make("ReplaceField$Value", exclude="n", renames="id:key"), record)
    assert replaced.value_schema.field_names() == ["key", "name"]
    assert replaced.value.values() == [1, "x"]
    extracted = applied(make("ExtractField$Value", field="n"), record)
    assert (extracted.value, extracted.value_schema.default) == (5, 5)
    with pytest.raises(DataError, match="Unknown field: zz"):
        make("ExtractField$Value", field="zz").apply(record)
    hoisted = applied(make("HoistField$Value", field="v"), record)
    assert hoisted.value["v"] == record.value
    masked = applied(make("MaskField$Value", fields="id,name"), record)
    assert masked.value.values() == [0, "", 5]
    named = applied(make("SetSchemaMetadata$Value", schema__name="new", schema__version="9"), record)
    assert (named.value_schema.name, named.value_schema.version, named.value.schema.name) == ("new", 9, "new")


def test_null_stays_null_when_told() -> None:
    kept = applied(
        make("ReplaceField$Value", exclude="name", replace__null__with__default="false"),
        source(row(id=1), ROW),
    )
    assert kept.value.values() == [1, None]


def test_flatten_with_schema() -> None:
    inner = SchemaBuilder.struct().optional().field("c", INT32_SCHEMA).build()
    outer = SchemaBuilder.struct().field("a", inner).field("b", STRING_SCHEMA).build()
    flat = applied(make("Flatten$Value"), source(Struct(outer).put("b", "x"), outer))
    assert flat.value_schema.field_names() == ["a.c", "b"]
    assert flat.value_schema.field("a.c").schema.optional
    assert flat.value.values() == [None, "x"]


def test_mask_keeps_a_decimals_scale() -> None:
    schema = SchemaBuilder.struct().field("d", Decimal.schema(2)).build()
    masked = applied(
        make("MaskField$Value", fields="d"), source(Struct(schema).put("d", decimal.Decimal("1.23")), schema)
    )
    assert masked.value["d"].as_tuple().exponent == -2


@pytest.mark.parametrize(
    ("name", "settings"),
    [
        ("Cast$Value", {"spec": "id:int64"}), ("ReplaceField$Value", {"exclude": "a"}), ("MaskField$Value", {"fields": "a"}),
        ("InsertField$Value", {"topic.field": "t"}), ("Flatten$Value", {}),
        ("TimestampConverter$Value", {"field": "a", "target.type": "unix"}),
    ],
)  # fmt: skip
def test_tombstones_pass(name: str, settings: dict[str, str]) -> None:
    assert applied(make(name, **settings), source(None)).value is None


def test_routers() -> None:
    assert applied(make("RegexRouter", regex="(t)op(.*)", replacement="x-$2-$1"), source(1)).topic == "x-ic-t"
    assert applied(make("RegexRouter", regex="op", replacement="x"), source(1)).topic == "topic"
    assert applied(make("TimestampRouter"), source(1)).topic == "topic-20231114"
    routed = make(
        "TimestampRouter", **{"topic.format": "${timestamp}/${topic}", "timestamp.format": "yyyy-MM"}
    )
    assert applied(routed, source(1)).topic == "2023-11/topic"


def test_headers() -> None:
    record = source(row(id=1, name="x"), ROW, headers=[Header("a", 1), Header("b", 2)])
    assert [h.key for h in applied(make("DropHeaders", headers="a"), record).headers] == ["b"]
    assert list(applied(make("InsertHeader", header="c", value__literal="5"), record).headers)[-1].value == 5
    moved = applied(make("HeaderFrom$Value", fields="name", headers="h", operation="move"), record)
    assert moved.value_schema.field_names() == ["id", "n"]
    assert moved.headers.last_with_name("h") == Header("h", "x", OPTIONAL_STRING_SCHEMA)
    copied = applied(make("HeaderFrom$Value", fields="a", headers="h", operation="copy"), source({"a": 1}))
    assert (copied.value, copied.headers.last_with_name("h").value) == ({"a": 1}, 1)


def test_value_to_key() -> None:
    assert applied(make("ValueToKey", fields="a,b"), source({"a": 1, "c": 2})).key == {"a": 1, "b": None}
    keyed = applied(make("ValueToKey", fields="id"), source(row(id=7), ROW))
    assert keyed.key.values() == [7]
    assert keyed.key_schema.field_names() == ["id"]


def test_filter() -> None:
    assert make("Filter").apply(source(1)) is None


@pytest.mark.parametrize(
    ("name", "settings"),
    [
        ("Cast$Value", {}), ("Cast$Value", {"spec": "a:int99"}), ("Cast$Value", {"spec": "int8,int16"}), ("DropHeaders", {"headers": ""}),
        ("HeaderFrom$Value", {"fields": "a", "headers": "x,y", "operation": "move"}), ("InsertField$Value", {}),
        ("RegexRouter", {"regex": "(", "replacement": "x"}), ("ReplaceField$Value", {"renames": "a"}), ("SetSchemaMetadata$Value", {}),
        ("TimestampConverter$Value", {"target.type": "string"}), ("TimestampConverter$Value", {"target.type": "unix", "format": "YYYY"}),
        ("TimestampConverter$Value", {"target.type": "x"}), ("ValueToKey", {"fields": ""}),
    ],
)  # fmt: skip
def test_bad_settings(name: str, settings: dict[str, str]) -> None:
    with pytest.raises(ConfigError):
        make(name, **settings)


def predicate(kind: str, /, **settings: str) -> Any:
    cls = REGISTRY.find(PREDICATE, kind)
    assert cls is not None
    made = cls()
    made.configure(settings)
    return made


def test_predicates() -> None:
    record = SinkRecord("orders-eu", 0, None, None, INT64_SCHEMA, 1, 5, headers=[Header("h", 1)])
    assert predicate("TopicNameMatches", pattern="orders-.*").test(record)
    assert not predicate("TopicNameMatches", pattern="orders").test(record)
    assert predicate("HasHeaderKey", name="h").test(record)
    assert not predicate("RecordIsTombstone").test(record)
    assert predicate("RecordIsTombstone").test(record.new_record(value=None))


@pytest.mark.parametrize(
    ("pattern", "text"),
    [
        ("yyyy-MM-dd HH:mm:ss.SSS", "2023-11-14 22:13:20.123"), ("EEE, d MMM yyyy hh:mm a", "Tue, 14 Nov 2023 10:13 PM"),
        ("yyyyMMddHHmmss", "20231114221320"), ("yy/M/d", "23/11/14"), ("D''yyyy", "318'2023"), ("yyyy-MM-dd'T'HH:mm:ssX", "2023-11-14T22:13:20Z"),
        ("HH 'o''clock' Z", "22 o'clock +0000"), ("MMMM EEEE", "November Tuesday"),
    ],
)  # fmt: skip
def test_date_formats(pattern: str, text: str) -> None:
    format_ = DateFormat(pattern)
    assert format_.format(MOMENT) == text
    if "y" in pattern:
        assert format_.format(format_.parse(text)) == text


def test_date_parsing() -> None:
    assert DateFormat("yyyy-MM-dd'T'HH:mmZ").parse("2024-01-01T02:00+0200") == datetime.datetime(
        2024, 1, 1, tzinfo=datetime.UTC
    )
    assert DateFormat("yyyy-MM-dd").parse("2024-01-32").day == 1
    for pattern, text in (("yyyy-MM-dd", "x"), ("yyyy-MM-dd", "2024"), ("HH:mm", "12-30")):
        with pytest.raises(DataError):
            DateFormat(pattern).parse(text)

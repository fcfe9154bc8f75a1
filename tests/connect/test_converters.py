"""Converters: bytes as Kafka's write them, values back, and what is refused."""

from __future__ import annotations

import datetime
import decimal
import json
from typing import Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from connect.api.data import (
    BYTES_SCHEMA,
    FLOAT64_SCHEMA,
    INT32_SCHEMA,
    INT64_SCHEMA,
    OPTIONAL_INT32_SCHEMA,
    OPTIONAL_STRING_SCHEMA,
    STRING_SCHEMA,
    Date,
    Decimal,
    Schema,
    SchemaAndValue,
    SchemaBuilder,
    Struct,
    Time,
    Timestamp,
    decimal_of,
)
from connect.api.errors import DataError
from connect.converters import (
    BooleanConverter,
    ByteArrayConverter,
    DoubleConverter,
    IntegerConverter,
    JsonConverter,
    LongConverter,
    SimpleHeaderConverter,
    StringConverter,
)

EVERYTHING = (
    SchemaBuilder.struct().name("all").version(2).doc("d").parameter("k", "v")
    .field("i", INT32_SCHEMA).field("l", INT64_SCHEMA).field("f", FLOAT64_SCHEMA).field("s", OPTIONAL_STRING_SCHEMA)
    .field("b", BYTES_SCHEMA).field("dec", Decimal.schema(2)).field("day", Date.SCHEMA).field("time", Time.SCHEMA)
    .field("ts", Timestamp.builder().optional().build()).field("list", SchemaBuilder.array(OPTIONAL_INT32_SCHEMA).build())
    .field("map", SchemaBuilder.map(STRING_SCHEMA, INT32_SCHEMA).build()).field("pairs", SchemaBuilder.map(INT32_SCHEMA, STRING_SCHEMA).build())
    .field("d5", SchemaBuilder.int32().default(5).build()).build()
)  # fmt: skip


def json_converter(**settings: Any) -> JsonConverter:
    converter = JsonConverter()
    converter.configure({key.replace("__", "."): str(value) for key, value in settings.items()})
    return converter


def everything() -> Struct:
    values = [
        -7, 1 << 62, 0.1, "é\"\n", b"\x00\xff", decimal.Decimal("-12.34"), datetime.date(2024, 2, 29), datetime.time(1, 2, 3, 4000),
        datetime.datetime(2024, 1, 2, 3, 4, 5, 6000, tzinfo=datetime.UTC), [1, None], {"a": 1}, {1: "x"}, 5,
    ]  # fmt: skip
    return Struct.of(EVERYTHING, values)


@pytest.mark.parametrize("settings", [{}, {"decimal__format": "NUMERIC"}])
def test_json_round_trip(settings: dict[str, str]) -> None:
    converter = json_converter(**settings)
    for _ in range(3):  # The second time schemas come from the caches.
        data = converter.from_connect_data("t", EVERYTHING, everything())
        assert converter.to_connect_data("t", data) == SchemaAndValue(EVERYTHING, everything())


def test_json_text() -> None:
    schema = (
        SchemaBuilder.struct().name("row").field("id", INT32_SCHEMA).field("dec", Decimal.schema(1)).build()
    )
    row = Struct(schema).put("id", 1).put("dec", decimal.Decimal("0.5"))
    assert json_converter().from_connect_data("t", schema, row) == (
        b'{"schema":{"type":"struct","fields":[{"type":"int32","optional":false,"field":"id"},{"type":"bytes",'
        b'"optional":false,"name":"org.apache.kafka.connect.data.Decimal","version":1,"parameters":{"scale":"1"},'
        b'"field":"dec"}],"optional":false,"name":"row"},"payload":{"id":1,"dec":"BQ=="}}'
    )
    plain = json_converter(schemas__enable="false", decimal__format="numeric")
    assert plain.from_connect_data("t", schema, row) == b'{"id":1,"dec":0.5}'
    assert (
        plain.from_connect_data("t", None, {"a": [1, 1.5, None, True, b"x"]})
        == b'{"a":[1,1.5,null,true,"eA=="]}'
    )
    assert json_converter().from_connect_data("t", None, 5) == b'{"schema":null,"payload":5}'


def test_json_nulls() -> None:
    converter = json_converter()
    assert converter.from_connect_data("t", None, None) is None
    assert converter.to_connect_data("t", None) == SchemaAndValue(None, None)
    assert converter.from_connect_data("t", OPTIONAL_STRING_SCHEMA, None) == (
        b'{"schema":{"type":"string","optional":true},"payload":null}'
    )
    default = SchemaBuilder.struct().field("a", SchemaBuilder.int32().default(5).build()).build()
    for replace, expected in (("true", 5), ("false", None)):
        data = json_converter(replace__null__with__default=replace).from_connect_data(
            "t", default, Struct(default)
        )
        assert data is not None
        assert json.loads(data)["payload"] == {"a": expected}
        assert json_converter(replace__null__with__default=replace).to_connect_data(
            "t", data
        ).value.values() == [expected]


@given(st.recursive(st.none() | st.booleans() | st.integers(-(1 << 63), (1 << 63) - 1) | st.floats(allow_nan=False, allow_infinity=False) | st.text(), lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(), inner, max_size=4), max_leaves=15))  # fmt: skip
def test_json_schemaless_round_trip(value: Any) -> None:
    converter = json_converter(schemas__enable="false")
    if value is not None:
        assert converter.to_connect_data(
            "t", converter.from_connect_data("t", None, value)
        ) == SchemaAndValue(None, value)


@pytest.mark.parametrize(
    "broken",
    [
        b"", b"{", b"\xff", b"5", b'{"schema":null}', b'{"schema":null,"payload":1,"x":2}', b'{"schema":{"type":"x"},"payload":1}',
        b'{"schema":{"type":"int8"},"payload":300}', b'{"schema":{"type":"string"},"payload":5}', b'{"schema":{"type":"int32"},"payload":null}',
        b'{"schema":{"type":"bytes"},"payload":"?"}', b'{"schema":{"type":"array"},"payload":[]}', b'{"schema":{},"payload":1}',
        b'{"schema":{"type":"struct","fields":[{"type":"int32"}]},"payload":{}}', b"[" * 100_000,
    ],
)  # fmt: skip
def test_json_refused(broken: bytes) -> None:
    converter = json_converter()
    converter.to_connect_data("t", b'{"schema":{"type":"int32"},"payload":1}')
    with pytest.raises(DataError):
        converter.to_connect_data("t", broken)


def test_json_cached_start_is_not_trusted_blindly() -> None:
    converter = json_converter()
    start = b'{"schema":{"type":"int32"},"payload":'
    assert converter.to_connect_data("t", start + b"1}").value == 1
    assert converter.to_connect_data("t", start + b"2}").value == 2
    for broken in (b'1,"x":2}', b"1", b"1}}", b"}"):
        with pytest.raises(DataError):
            converter.to_connect_data("t", start + broken)


def test_json_fixed_schema() -> None:
    converter = json_converter(schema__content='{"type":"struct","fields":[{"type":"int32","field":"a"}]}')
    assert converter.to_connect_data("t", b'{"a":5}').value["a"] == 5


def test_json_refuses_what_does_not_fit() -> None:
    converter = json_converter()
    for schema, value in (
        (INT32_SCHEMA, "x"),
        (INT32_SCHEMA, None),
        (EVERYTHING, {"i": 1}),
        (None, object()),
    ):
        with pytest.raises(DataError):
            converter.from_connect_data("t", schema, value)


@pytest.mark.parametrize(
    ("converter", "value", "data"),
    [
        (StringConverter(), "é", "é".encode()), (ByteArrayConverter(), b"x", b"x"), (BooleanConverter(), True, b"\x01"),
        (IntegerConverter(), -1, b"\xff\xff\xff\xff"), (LongConverter(), 258, b"\0\0\0\0\0\0\1\2"), (DoubleConverter(), 1.5, b"\x3f\xf8\0\0\0\0\0\0"),
    ],
)  # fmt: skip
def test_primitives(converter: Any, value: Any, data: bytes) -> None:
    assert converter.from_connect_data("t", None, value) == data
    assert converter.to_connect_data("t", data).value == value
    assert converter.from_connect_data("t", None, None) is None
    assert converter.to_connect_data("t", None).value is None


def test_string_converter_shows_values_as_java() -> None:
    converter = StringConverter()
    schema = SchemaBuilder.struct().field("a", INT32_SCHEMA).field("b", OPTIONAL_STRING_SCHEMA).build()
    for value, text in (
        (True, b"true"),
        ({"a": None}, b"{a=null}"),
        ([1, "x"], b"[1, x]"),
        (Struct(schema).put("a", 1), b"Struct{a=1}"),
    ):
        assert converter.from_connect_data("t", None, value) == text


@pytest.mark.parametrize(
    ("converter", "value"),
    [
        (IntegerConverter(), "x"),
        (IntegerConverter(), 1 << 31),
        (BooleanConverter(), 1),
        (ByteArrayConverter(), "x"),
    ],
)
def test_primitives_refused(converter: Any, value: Any) -> None:
    with pytest.raises(DataError):
        converter.from_connect_data("t", None, value)
    with pytest.raises(DataError):
        IntegerConverter().to_connect_data("t", b"123")


@pytest.mark.parametrize(
    ("text", "type_name", "value"),
    [
        ("5", "INT8", 5), ("300", "INT16", 300), ("70000", "INT32", 70000), ("1.5", "FLOAT32", 1.5), ("1e300", "FLOAT64", 1e300),
        ("true", "BOOLEAN", True), ("text", "STRING", "text"), ("", "STRING", ""), ("[1,2]", "ARRAY", [1, 2]), ('{"a":1}', "MAP", {"a": 1}),
        ('"5"', "STRING", "5"), ("2024-01-31", "INT32", datetime.date(2024, 1, 31)), ("[1,", "STRING", "[1,"), ("1.2.3", "STRING", "1.2.3"),
        ("99999999999999999999", "BYTES", decimal.Decimal("99999999999999999999")),
    ],
)  # fmt: skip
def test_simple_headers(text: str, type_name: str, value: Any) -> None:
    read = SimpleHeaderConverter().to_connect_header("t", "h", text.encode())
    assert read.schema is not None
    assert (read.schema.type.name, read.value) == (type_name, value)


def test_simple_headers_written() -> None:
    write = SimpleHeaderConverter().from_connect_header
    for value, text in (
        (5, b"5"),
        ("x", b"x"),
        ([1, "a"], b'[1,"a"]'),
        ({"k": True}, b'{"k":true}'),
        (1.0, b"1.0"),
        (None, None),
    ):
        assert write("t", "h", None, value) == text
    assert SimpleHeaderConverter().to_connect_header("t", "h", b"null") == SchemaAndValue(None, None)


@given(st.integers(0, 1 << 70))
def test_numeric_decimals_are_exact(unscaled: int) -> None:
    converter = json_converter(decimal__format="NUMERIC")
    schema: Schema = Decimal.schema(10)
    value = decimal_of(unscaled, 10)
    read = converter.to_connect_data("t", converter.from_connect_data("t", schema, value))
    assert read.value == value


def test_json_envelopes_with_blanks_and_of_changing_schemas() -> None:
    """Other writers put blanks between the members; the start of an envelope is remembered all the same."""
    converter = JsonConverter()
    converter.configure({"schemas.enable": "true"}, is_key=False)
    number = {
        "type": "struct",
        "optional": False,
        "fields": [{"field": "a", "type": "int32", "optional": True}],
    }
    text = {
        "type": "struct",
        "optional": False,
        "fields": [{"field": "a", "type": "string", "optional": True}],
    }
    for indent in (None, 2):
        for schema, value in (
            (number, 1),
            (number, None),
            (text, "}"),
            (number, -5),
            (text, "é"),
            (None, [1]),
        ):
            payload: Any = {"a": value} if schema is not None else value
            raw = json.dumps({"schema": schema, "payload": payload}, indent=indent).encode()
            for spelled in (raw, raw + b"\n ", b" " + raw):
                found = converter.to_connect_data("t", spelled)
                assert (found.value.get("a") if schema is not None else found.value) == value
            with pytest.raises(DataError):
                converter.to_connect_data("t", raw + b"x")
            with pytest.raises(DataError):
                converter.to_connect_data("t", raw[:-1])
    with pytest.raises(DataError, match=r"field 'a'"):
        converter.to_connect_data("t", json.dumps({"schema": number, "payload": {"a": 1 << 31}}).encode())
    with pytest.raises(DataError, match=r"field 'a'"):
        converter.to_connect_data("t", json.dumps({"schema": number, "payload": {"a": True}}).encode())


PLAIN_ROW = (
    SchemaBuilder.struct().name("plain").field("b", SchemaBuilder.int8().build()).field("i", OPTIONAL_INT32_SCHEMA)
    .field("l", INT64_SCHEMA).field("x", SchemaBuilder.float64().optional().build()).field("s", OPTIONAL_STRING_SCHEMA)
    .field("ts", Timestamp.builder().optional().build()).field("yes", SchemaBuilder.boolean().optional().build()).build()
)  # fmt: skip
_leaves = (
    st.none() | st.booleans() | st.text(max_size=4) | st.integers(-(1 << 66), 1 << 66) | st.integers(-200, 200)
    | st.floats() | st.sampled_from(["NaN", "Infinity", 2**63 - 1, -(2**63), 253_402_300_800_000])
    | st.lists(st.integers(), max_size=1)
)  # fmt: skip
_payload = st.dictionaries(st.sampled_from(["b", "i", "l", "x", "s", "ts", "yes", "more"]), _leaves)
_texts = (
    _payload.map(lambda value: json.dumps({"b": 1, "l": 2, **value}))
    | _payload.map(json.dumps)
    | st.sampled_from(
        [
            "null", "[]", "1", "", "{", '{"b":1,"l":2}}', '{"b":1,"l":2},"x":1', '{"b":1,"b":2,"l":3}',
            '{"b":1.0,"l":2}', '{"b":1.7,"l":2e0}', '{"b":1,"l":2,"s":"\\ud800"}', '{"b":1,"l":2,"s":"a\nb"}',
            '{"b":1,"l":2,"x":1e999}', '{"b":Infinity,"l":2}', '{"b":1e999,"l":2}', '{"b":1,"l":NaN}', '{"b":1,"l":2,"x":-0}', ' {"b" : 1 , "l" : 2 } ', '{"b":01,"l":2}',
        ]
    )
)  # fmt: skip


@given(_texts)
def test_plain_structs_are_read_alike_both_ways(text: str) -> None:
    """The decoder that reads a struct straight from the bytes gives what the careful reader gives, or leaves
    the message to it."""
    described = json.dumps(json_converter().schema_to_json(PLAIN_ROW), separators=(",", ":"))

    def envelope(payload: str) -> bytes:
        return f'{{"schema":{described},"payload":{payload}}}'.encode("utf-8", "surrogatepass")

    def read(converter: JsonConverter) -> Any:
        try:
            return repr(converter.to_connect_data("t", envelope(text)))
        except DataError as error:
            return str(error)

    quick, careful = json_converter(), json_converter()
    quick.to_connect_data("t", envelope('{"b":0,"l":0}'))  # From here on it knows how envelopes begin.
    assert quick._direct is not None
    assert read(quick) == read(careful)


def test_names_that_json_escapes_are_read() -> None:
    schema = (
        SchemaBuilder.struct().field('a"; DROP TABLE x; --', INT32_SCHEMA).field("\\\n", INT32_SCHEMA).build()
    )
    converter = json_converter()
    for n in range(3):
        row = Struct(schema).put('a"; DROP TABLE x; --', n).put("\\\n", -n)
        written = converter.from_connect_data("t", schema, row)
        assert converter.to_connect_data("t", written) == SchemaAndValue(schema, row)


def test_schemas_that_take_turns_are_read() -> None:
    converter = json_converter()
    schemas = [SchemaBuilder.struct().field(name, INT32_SCHEMA).build() for name in "abc"]
    for n in range(9):
        schema = schemas[n % 3]
        row = Struct(schema).put(schema.fields[0].name, n)
        written = converter.from_connect_data("t", schema, row)
        assert converter.to_connect_data("t", written) == SchemaAndValue(schema, row)


_values = st.tuples(
    st.none() | st.integers(-128, 127),
    st.none() | st.integers(-(1 << 31), (1 << 31) - 1),
    st.none() | st.integers(-(1 << 63), (1 << 63) - 1),
    st.none() | st.floats() | st.integers(-5, 5),
    st.none() | st.text(max_size=5),
    st.none()
    | st.datetimes(timezones=st.sampled_from([None, datetime.UTC, datetime.timezone(datetime.timedelta(hours=-7))])),
    st.none() | st.booleans(),
)  # fmt: skip


@given(_values)
def test_plain_structs_are_written_alike_both_ways(values: tuple[Any, ...]) -> None:
    """The function that is put together for a schema writes what the writers of its fields write."""

    def careful() -> Any:
        converter = json_converter(schemas__enable="false")
        fields = zip(PLAIN_ROW.fields, values, strict=True)
        try:
            return msgspec.json.encode(
                {field.name: converter._writer(field.schema)(value) for field, value in fields}
            )
        except DataError:
            return DataError

    def quick() -> Any:
        converter = json_converter(schemas__enable="false")
        try:
            return converter.from_connect_data("t", PLAIN_ROW, Struct.of(PLAIN_ROW, list(values)))
        except DataError:
            return DataError

    assert quick() == careful()

"""JSON, with the schema beside each value (`schemas.enable`) or without, as Kafka's JsonConverter has it.

In: schemas and values, or JSON bytes. Out: `{"schema": ..., "payload": ...}` or plain JSON, and back. What
must hold: a schema is translated once and kept (`schemas.cache.size`); what one of the two implementations
writes the other reads to the same value.

Hot code: for each schema one function is put together that turns values into what msgspec's encoder takes,
and one for the way back. A struct of plain fields is read straight from the bytes by a decoder made for it;
whatever that does not take is read again by the standard library's, which knows the exceptions and the words
for errors.
"""

from __future__ import annotations

import base64
import binascii
import datetime
import decimal
import json
import math
import re
import sys
from collections.abc import Callable, Mapping
from typing import Annotated, Any, Final

import msgspec

from connect.api.config_def import (
    ConfigDef,
    Importance,
    Width,
    case_insensitive_valid_string,
)
from connect.api.config_def import Type as ConfigType
from connect.api.converter import RawHeaders
from connect.api.data import (
    EPOCH,
    FROM_LOGICAL,
    INTEGER_RANGES,
    TO_LOGICAL,
    Decimal,
    Field,
    Schema,
    SchemaAndValue,
    SchemaBuilder,
    Struct,
    Timestamp,
    Type,
    validate_value,
)
from connect.api.errors import DataError
from connect.converters.base import BothConverter, converter_config
from connect.core.java import json_text

Write = Callable[[Any], Any]
# How a schema's values are written: a function that makes what the encoder takes, the encoder, the beginning
# of the envelope, and for structs a function from their values instead.
_Writing = tuple[Write, Callable[[Any], bytes], bytes, Write | None]

# JSON's names of the types: float and double instead of float32 and float64.
_TYPE_NAMES: Final = {
    type_: {Type.FLOAT32: "float", Type.FLOAT64: "double"}.get(type_, type_.value) for type_ in Type
}
_TYPES: Final = {name: type_ for type_, name in _TYPE_NAMES.items()}
_INTEGER_TYPES: Final = frozenset((Type.INT8, Type.INT16, Type.INT32, Type.INT64))
_encode = msgspec.json.encode
_key_of = json.JSONEncoder(separators=(",", ":"), check_circular=False).encode


def _refuse_constant(text: str) -> None:
    raise ValueError(f"{text} is no JSON")


_decoder = json.JSONDecoder(parse_constant=_refuse_constant)
_decode = _decoder.decode
_decode_exactly = json.JSONDecoder(parse_float=decimal.Decimal, parse_constant=_refuse_constant).decode
_scan = _decoder.raw_decode
_ENVELOPE_START: Final = '{"schema":'
_PAYLOAD_START: Final = ',"payload":'
# The same with the blanks that other writers put there.
_ANY_START: Final = re.compile(r'\s*\{\s*"schema"\s*:\s*')
_ANY_PAYLOAD: Final = re.compile(r'\s*,\s*"payload"\s*:\s*')
_ANY_END: Final = re.compile(r"\s*\}\s*")


class JsonConverter(BothConverter):
    java_class_name = "org.apache.kafka.connect.json.JsonConverter"

    def __init__(self) -> None:
        self._schemas_enabled = True
        self._cache_size = 1000
        self._numeric_decimals = False
        self._replace_nulls = True
        self._fixed_schema: Schema | None = None
        self._writers: dict[Schema | None, _Writing] = {}
        self._last_written: Schema | None = None
        self._last_writer: _Writing | None = None
        self._schemas: dict[str, Schema] = {}
        self._readers: dict[Schema, Write] = {}
        # What the last envelope began with, and the schema it meant: most envelopes of a topic begin alike,
        # so most schemas need not be parsed.
        self._last_start = ""
        self._last_schema: Schema | None = None
        # The same beginning as bytes, and the decoder of what follows it.
        self._direct_start = b""
        self._direct_length = 0
        self._direct: DirectReader | None = None
        self._direct_readers: dict[Schema, DirectReader | None] = {}
        self._last_read: Schema | None = None
        self._last_reader: Write = _as_it_is

    def config_def(self) -> ConfigDef:
        definition = converter_config()
        rows: tuple[tuple[str, ConfigType, Any, Importance, str, int, str, str], ...] = (
            (
                "schemas.enable",
                ConfigType.BOOLEAN,
                True,
                Importance.HIGH,
                "Schemas",
                0,
                "Enable Schemas",
                "Whether each key and value carries its schema.",
            ),
            (
                "schemas.cache.size",
                ConfigType.INT,
                1000,
                Importance.HIGH,
                "Schemas",
                1,
                "Schema Cache Size",
                "How many schemas are kept translated.",
            ),
            (
                "schema.content",
                ConfigType.STRING,
                None,
                Importance.HIGH,
                "Schemas",
                2,
                "Schema Content",
                "A schema in JSON for all messages of a sink; they are then read without envelope.",
            ),
            (
                "decimal.format",
                ConfigType.STRING,
                "BASE64",
                Importance.LOW,
                "Serialization",
                0,
                "Decimal Format",
                "How decimals are written: BASE64 (exact bytes) or NUMERIC (a JSON number).",
            ),
            (
                "replace.null.with.default",
                ConfigType.BOOLEAN,
                True,
                Importance.LOW,
                "Serialization",
                1,
                "Replace null with default",
                "Whether a null in a field that has a default is written as the default.",
            ),
        )
        for name, type_, default, importance, group, order, display, doc in rows:
            definition.define(
                name,
                type_,
                default,
                validator=case_insensitive_valid_string("BASE64", "NUMERIC")
                if name == "decimal.format"
                else None,
                importance=importance,
                doc=doc,
                group=group,
                order_in_group=order,
                width=Width.MEDIUM,
                display_name=display,
            )
        return definition

    def configure(self, configs: Mapping[str, Any], is_key: bool = False) -> None:
        given = {"converter.type": "key" if is_key else "value", **configs}
        parsed = self.config_def().parse(given)
        self._schemas_enabled = parsed["schemas.enable"]
        self._cache_size = max(1, parsed["schemas.cache.size"])
        self._numeric_decimals = parsed["decimal.format"].upper() == "NUMERIC"
        self._replace_nulls = parsed["replace.null.with.default"]
        content = parsed["schema.content"]
        if content:
            try:
                self._fixed_schema = schema_from_json(_decode(content))
            except ValueError as error:
                raise DataError(f"schema.content is no JSON: {error}") from error

    # Writing.

    def from_connect_data(
        self, topic: str, schema: Schema | None, value: Any, headers: RawHeaders | None = None
    ) -> bytes | None:
        if schema is None and value is None:
            return None
        if schema is self._last_written and self._last_writer is not None:
            known = self._last_writer
        else:
            known = self._writers.get(schema) or self._prepare_writer(schema)
            self._last_written, self._last_writer = schema, known
        write, encode, start, write_values = known
        try:
            if write_values is not None and type(value) is Struct and value.schema is schema:
                written = encode(write_values(value._values))
                return b"%b%b}" % (start, written) if start else written
            if schema is not None:
                if schema.type is Type.STRUCT and value is not None:
                    if not isinstance(value, Struct) or (
                        value.schema is not schema and value.schema != schema
                    ):
                        raise DataError("Mismatching schema.")
                else:
                    validate_value(None, schema, value)
            written = encode(write(value))
            return b"%b%b}" % (start, written) if start else written
        except (TypeError, ValueError) as error:
            raise DataError(f"Converting Kafka Connect data to byte[] failed: {error}") from error

    def _prepare_writer(self, schema: Schema | None) -> _Writing:
        if len(self._writers) >= self._cache_size:
            self._writers.clear()
        start = b""
        if self._schemas_enabled:
            described = "null" if schema is None else json_text(self.schema_to_json(schema))
            start = f"{_ENVELOPE_START}{described}{_PAYLOAD_START}".encode()
        if schema is None:
            known: _Writing = (_write_schemaless, _encode, start, None)
        else:
            slow = self._numeric_decimals and _has_decimal(schema)
            is_struct = schema.type is Type.STRUCT and schema.name not in FROM_LOGICAL
            write_values = self._values_writer(schema) if is_struct else None
            known = (self._writer(schema), _encode_exactly if slow else _encode, start, write_values)
        self._writers[schema] = known
        return known

    def _writer(self, schema: Schema) -> Write:
        inner = self._writer_of_present(schema)
        default = schema.default if self._replace_nulls else None
        written_default = None if default is None else inner(default)
        optional = schema.optional or schema.default is not None

        def write(value: Any) -> Any:
            if value is None:
                if written_default is not None:
                    return written_default
                if optional:
                    return None
                raise DataError(
                    "Conversion error: null value for field that is required and has no default value"
                )
            return inner(value)

        return write

    def _writer_of_present(self, schema: Schema) -> Write:
        logical = FROM_LOGICAL.get(schema.name) if schema.name is not None else None
        if logical is not None:
            if schema.name == Decimal.LOGICAL_NAME:
                if self._numeric_decimals:
                    return lambda value: value
                return lambda value: base64.b64encode(Decimal.from_logical(schema, value)).decode()
            return lambda value: logical(schema, value)
        if schema.type in (Type.FLOAT32, Type.FLOAT64):
            return _write_float
        if schema.type is Type.BYTES:
            return _write_bytes
        if schema.type is Type.ARRAY:
            assert schema.value_schema is not None
            item = self._writer(schema.value_schema)
            return lambda values: [item(value) for value in values]
        if schema.type is Type.MAP:
            assert schema.key_schema is not None
            assert schema.value_schema is not None
            write_key, write_value = self._writer(schema.key_schema), self._writer(schema.value_schema)
            if schema.key_schema.type is Type.STRING:
                return lambda values: {key: write_value(value) for key, value in values.items()}
            return lambda values: [[write_key(key), write_value(value)] for key, value in values.items()]
        if schema.type is Type.STRUCT:
            write = self._values_writer(schema)
            return lambda value: write(value.values())
        return _as_it_is

    def _values_writer(self, schema: Schema) -> Write:
        """From the values of a struct."""
        return _values_writer(
            schema, [_plain_writer(field.schema) or self._writer(field.schema) for field in schema.fields]
        )

    def schema_to_json(self, schema: Schema) -> dict[str, Any]:
        """A schema as the envelope describes it."""
        result: dict[str, Any] = {"type": _TYPE_NAMES[schema.type]}
        if schema.type is Type.ARRAY:
            assert schema.value_schema is not None
            result["items"] = self.schema_to_json(schema.value_schema)
        elif schema.type is Type.MAP:
            assert schema.key_schema is not None
            assert schema.value_schema is not None
            result["keys"] = self.schema_to_json(schema.key_schema)
            result["values"] = self.schema_to_json(schema.value_schema)
        elif schema.type is Type.STRUCT:
            result["fields"] = [
                {**self.schema_to_json(field.schema), "field": field.name} for field in schema.fields
            ]
        result["optional"] = schema.optional
        for name in ("name", "version", "doc", "parameters"):
            value = getattr(schema, name)
            if value is not None:
                result[name] = value
        if schema.default is not None:
            result["default"] = self._writer_of_present(schema)(schema.default)
        return result

    # Reading.

    def to_connect_data(
        self, topic: str, value: bytes | None, headers: RawHeaders | None = None
    ) -> SchemaAndValue:
        if value is None:
            return SchemaAndValue(None, None)
        if self._direct is not None and value.startswith(self._direct_start) and value.endswith(b"}"):
            try:
                return self._direct(value[self._direct_length : -1])
            except (msgspec.MsgspecError, ValueError, RecursionError):
                pass  # Said below in the converter's words, unless it can be read after all.
        try:
            text = bytes(value).decode()
            if not self._schemas_enabled:
                return SchemaAndValue(None, _read_schemaless(_decode(text)))
            if self._fixed_schema is not None:
                return self._read(self._fixed_schema, text)
            schema, start, end, payload = self._open_envelope(text)
            if schema is None:
                return SchemaAndValue(None, _read_schemaless(payload))
            try:
                return SchemaAndValue(schema, self._reader(schema)(payload))
            except _InexactError:
                # A decimal as a JSON number: read again without going through binary floats.
                exact = _decode_exactly(text[start:end]) if end else _decode_exactly(text)["payload"]
                return SchemaAndValue(schema, self._reader(schema)(exact))
        except RecursionError:
            raise DataError(f"JSON of {len(value)} bytes is nested too deeply") from None
        except (ValueError, OverflowError, binascii.Error) as error:
            raise DataError(
                f"Converting byte[] to Kafka Connect data failed due to serialization error: {error}"
            ) from error

    def _read(self, schema: Schema, text: str) -> SchemaAndValue:
        try:
            return SchemaAndValue(schema, self._reader(schema)(_decode(text)))
        except _InexactError:
            return SchemaAndValue(schema, self._reader(schema)(_decode_exactly(text)))

    def _reader(self, schema: Schema) -> Write:
        if schema is self._last_read:
            return self._last_reader
        reader = self._readers.get(schema)
        if reader is None:
            if len(self._readers) >= self._cache_size:
                self._readers.clear()
            reader = self._readers[schema] = _reader(schema, self._replace_nulls)
        self._last_read, self._last_reader = schema, reader
        return reader

    def _open_envelope(self, text: str) -> tuple[Schema | None, int, int, Any]:
        """The schema, where the payload's text begins and ends (0, 0 when that is not known), and the
        payload."""
        start = len(self._last_start)
        if start and text.startswith(self._last_start):
            try:
                payload, end = _scan(text, start)
            except ValueError:
                end = 0
            if end and (text[end:] == "}" or _ANY_END.fullmatch(text, end)):
                return self._last_schema, start, end, payload
        envelope = _decode(text)
        if not isinstance(envelope, dict) or envelope.keys() != {"schema", "payload"}:
            raise DataError(
                'JsonConverter with schemas.enable requires "schema" and "payload" fields and may not '
                "contain additional fields. If you are trying to deserialize plain JSON data, set "
                "schemas.enable=false in your converter configuration."
            )
        schema = self._schema(envelope["schema"])
        begins = _ANY_START.match(text)
        if begins is not None:
            _, end = _scan(text, begins.end())
            follows = _ANY_PAYLOAD.match(text, end)
            if follows is not None:
                start = follows.end()
                _, end = _scan(text, start)
                if _ANY_END.fullmatch(text, end):
                    self._last_start, self._last_schema = text[:start], schema
                    self._direct_start = self._last_start.encode()
                    self._direct_length = len(self._direct_start)
                    self._direct = self._direct_of(schema)
                    return schema, start, end, envelope["payload"]
        return schema, 0, 0, envelope["payload"]

    def _direct_of(self, schema: Schema | None) -> DirectReader | None:
        if schema is None:
            return None
        if schema not in self._direct_readers:
            if len(self._direct_readers) >= self._cache_size:
                self._direct_readers.clear()
            self._direct_readers[schema] = _direct_reader(schema)
        return self._direct_readers[schema]

    def _schema(self, described: Any) -> Schema | None:
        if described is None:
            return None
        key = _key_of(described)
        schema = self._schemas.get(key)
        if schema is None:
            if len(self._schemas) >= self._cache_size:
                self._schemas.clear()
            schema = self._schemas[key] = schema_from_json(described)
        return schema


def _encode_exactly(value: Any) -> bytes:
    return json_text(value).encode()


class _InexactError(Exception):
    """A number was read as a binary float where a decimal was meant."""


def _as_it_is(value: Any) -> Any:
    return value


def _plain_writer(schema: Schema) -> Write | None:
    """For types whose values go to the encoder as they are, null included."""
    if schema.name in FROM_LOGICAL or schema.default is not None:
        return None
    if schema.type in (*_INTEGER_TYPES, Type.STRING, Type.BOOLEAN):
        return _as_it_is
    return None


def _values_writer(schema: Schema, writers: list[Write]) -> Write:
    """One function for all fields, put together as text: a finite float goes to the encoder as it is, a value
    of a plain type too unless it is a null that may not be, an instant in UTC as its milliseconds, and every
    other value to the field's own writer. `writers` is the plain twin: calling them all gives the same."""
    lines = ["def write(items):"]
    pairs = []
    for at, (field, writer) in enumerate(zip(schema.fields, writers, strict=True)):
        pairs.append(f"n{at}: v{at}")
        lines.append(f"    v{at} = items[{at}]")
        if writer is _as_it_is:
            if not field.schema.optional:
                lines.append(f"    if v{at} is None: refuse(n{at})")
        elif field.schema.type in (Type.FLOAT32, Type.FLOAT64):
            lines.append(
                f"    if not (type(v{at}) is float and -most <= v{at} <= most): v{at} = w{at}(v{at})"
            )
        elif field.schema.name == Timestamp.LOGICAL_NAME:
            known = f"type(v{at}) is instant and v{at}.tzinfo is utc"
            lines.append(f"    v{at} = (v{at} - epoch) // millisecond if {known} else w{at}(v{at})")
        else:
            lines.append(f"    v{at} = w{at}(v{at})")
    lines.append(f"    return {{{', '.join(pairs)}}}")
    names: dict[str, Any] = {
        "refuse": _refuse_null, "most": sys.float_info.max, "instant": datetime.datetime,
        "utc": datetime.UTC, "epoch": EPOCH, "millisecond": datetime.timedelta(milliseconds=1),
    }  # fmt: skip
    for at, (field, writer) in enumerate(zip(schema.fields, writers, strict=True)):
        names[f"n{at}"], names[f"w{at}"] = field.name, writer
    exec("\n".join(lines), names)
    write: Write = names["write"]
    return write


def _refuse_null(name: str) -> None:
    raise DataError(
        f"Conversion error: null value for field {name!r} that is required and has no default value"
    )


def _write_float(value: Any) -> Any:
    number = float(value)
    if math.isfinite(number):
        return number
    return "NaN" if number != number else "Infinity" if number > 0 else "-Infinity"


def _write_bytes(value: Any) -> str:
    return base64.b64encode(value).decode()


def _write_schemaless(value: Any) -> Any:
    if value is None or isinstance(value, bool | int | str):
        return value
    if isinstance(value, float):
        return _write_float(value)
    if isinstance(value, bytes | bytearray | memoryview):
        return _write_bytes(value)
    if isinstance(value, list | tuple):
        return [_write_schemaless(item) for item in value]
    if isinstance(value, dict):
        if all(isinstance(key, str) for key in value):
            return {key: _write_schemaless(item) for key, item in value.items()}
        return [[_write_schemaless(key), _write_schemaless(item)] for key, item in value.items()]
    if isinstance(value, Struct):
        return {
            field.name: _write_schemaless(item)
            for field, item in zip(value.schema.fields, value.values(), strict=True)
        }
    raise DataError(f"Python class {type(value).__name__} does not have corresponding schema type.")


def _read_schemaless(value: Any) -> Any:
    if isinstance(value, dict):
        return {key: _read_schemaless(item) for key, item in value.items()}
    if isinstance(value, list):
        return [_read_schemaless(item) for item in value]
    if isinstance(value, int) and not isinstance(value, bool) and not -(1 << 63) <= value < 1 << 63:
        raise DataError(f"The integer {value} does not fit 64 bits")
    return value


def _has_decimal(schema: Schema) -> bool:
    if schema.name == Decimal.LOGICAL_NAME:
        return True
    inner = [field.schema for field in schema.fields] + [schema.key_schema, schema.value_schema]
    return any(child is not None and _has_decimal(child) for child in inner)


def _reader(schema: Schema, replace_nulls: bool) -> Write:
    inner = _reader_of_present(schema, replace_nulls)
    default, optional = schema.default, schema.optional

    def read(node: Any) -> Any:
        if node is None:
            if default is not None and replace_nulls:
                return default
            if optional or default is not None:
                return None
            raise DataError(f"Invalid null value for required {schema.type.name} field")
        return inner(node)

    return read


def _reader_of_present(schema: Schema, replace_nulls: bool) -> Write:
    type_ = schema.type
    logical = TO_LOGICAL.get(schema.name) if schema.name is not None else None
    if logical is not None:
        if schema.name == Decimal.LOGICAL_NAME:

            def read_decimal(node: Any) -> Any:
                if isinstance(node, str):
                    return Decimal.to_logical(schema, base64.b64decode(node, validate=True))
                if isinstance(node, decimal.Decimal):
                    return node
                if isinstance(node, bool) or not isinstance(node, int | float):
                    raise DataError(f"Invalid type for Decimal: {type(node).__name__}")
                if isinstance(node, float):
                    raise _InexactError
                return decimal.Decimal(node)

            return read_decimal

        def read_logical(node: Any) -> Any:
            if not isinstance(node, int) or isinstance(node, bool):
                raise DataError(
                    f"Invalid type for {schema.name}, underlying representation should be integer but was "
                    f"{type(node).__name__}"
                )
            return logical(schema, node)

        return read_logical
    if type_ in _INTEGER_TYPES:
        low, high = INTEGER_RANGES[type_]

        def read_integer(node: Any) -> Any:
            if isinstance(node, bool) or not isinstance(node, int | float | decimal.Decimal):
                raise DataError(f"Invalid type for {type_.name}: {type(node).__name__}")
            number = int(node)
            if not low <= number <= high:
                validate_value(None, schema, number)
            return number

        return read_integer
    if type_ in (Type.FLOAT32, Type.FLOAT64):

        def read_float(node: Any) -> Any:
            if node in ("NaN", "Infinity", "-Infinity"):
                return float(node)
            if isinstance(node, bool) or not isinstance(node, int | float | decimal.Decimal):
                raise DataError(f"Invalid type for {type_.name}: {type(node).__name__}")
            return float(node)

        return read_float
    if type_ is Type.BOOLEAN:
        return _expect(bool, type_)
    if type_ is Type.STRING:
        return _expect(str, type_)
    if type_ is Type.BYTES:
        text = _expect(str, type_)
        return lambda node: base64.b64decode(text(node), validate=True)
    if type_ is Type.ARRAY:
        assert schema.value_schema is not None
        item, is_list = _reader(schema.value_schema, replace_nulls), _expect(list, type_)
        return lambda node: [item(value) for value in is_list(node)]
    if type_ is Type.MAP:
        assert schema.key_schema is not None
        assert schema.value_schema is not None
        read_key = _reader(schema.key_schema, replace_nulls)
        read_value = _reader(schema.value_schema, replace_nulls)
        if schema.key_schema.type is Type.STRING:
            is_object = _expect(dict, type_)
            return lambda node: {key: read_value(value) for key, value in is_object(node).items()}

        def read_pairs(node: Any) -> Any:
            if not isinstance(node, list) or not all(isinstance(p, list) and len(p) == 2 for p in node):
                raise DataError("Maps with non-string fields should be encoded as JSON array of tuples")
            return {read_key(pair[0]): read_value(pair[1]) for pair in node}

        return read_pairs
    return _struct_reader(schema, replace_nulls)


# The instants that a datetime holds, in milliseconds since 1970.
_FIRST_MS: Final = -62_135_596_800_000
_LAST_MS: Final = 253_402_300_799_999
# The types whose JSON needs no change, with the test that a present and fitting value passes.
_FITTING: Final = {
    **{
        type_: f"type({{0}}) is int and {low} <= {{0}} <= {high}"
        for type_, (low, high) in INTEGER_RANGES.items()
    },
    Type.STRING: "type({0}) is str",
    Type.BOOLEAN: "type({0}) is bool",
    Type.FLOAT32: "type({0}) is float",
    Type.FLOAT64: "type({0}) is float",
}


def _struct_reader(schema: Schema, replace_nulls: bool) -> Write:
    """One function for all fields, put together as text: a value that passes its type's test is taken as it
    is, every other goes to the field's own reader, which changes, replaces or refuses it. `readers` is the
    plain twin: calling it for every field gives the same."""
    fields = [(field.name, _reader(field.schema, replace_nulls)) for field in schema.fields]
    lines = ["def read(node):", "    get = node.get"]
    for at, field in enumerate(schema.fields):
        lines.append(f"    v{at} = get(n{at})")
        if field.schema.name == Timestamp.LOGICAL_NAME:
            known = f"type(v{at}) is int and {_FIRST_MS} <= v{at} <= {_LAST_MS}"
            lines.append(f"    v{at} = epoch + delta(0, 0, 0, v{at}) if {known} else r{at}(v{at})")
            continue
        fitting = _FITTING.get(field.schema.type) if field.schema.name not in TO_LOGICAL else None
        test = f"    if not ({fitting.format(f'v{at}')}):\n    " if fitting is not None else ""
        lines.append(f"{test}    v{at} = r{at}(v{at})")
    lines.append(f"    return of(schema, [{', '.join(f'v{at}' for at in range(len(fields)))}])")
    names: dict[str, Any] = {"of": Struct.of, "schema": schema, "epoch": EPOCH, "delta": datetime.timedelta}
    for at, (name, reader) in enumerate(fields):
        names[f"n{at}"], names[f"r{at}"] = name, reader
    exec("\n".join(lines), names)
    read: Write = names["read"]

    def read_struct(node: Any) -> Any:
        if not isinstance(node, dict):
            raise DataError(f"Structs should be encoded as JSON objects, but found {type(node).__name__}")
        try:
            return read(node)
        except DataError as error:
            for name, reader in fields:
                try:
                    reader(node.get(name))
                except DataError as cause:
                    raise DataError(f"{cause} (field {name!r})") from error
            raise

    return read_struct


_PLAIN: Final[dict[Type, Any]] = {
    **{type_: Annotated[int, msgspec.Meta(ge=low, le=high)] for type_, (low, high) in INTEGER_RANGES.items()},
    Type.STRING: str,
    Type.BOOLEAN: bool,
    Type.FLOAT32: float,
    Type.FLOAT64: float,
}
_INSTANT: Final = Annotated[int, msgspec.Meta(ge=_FIRST_MS, le=_LAST_MS)]


DirectReader = Callable[[bytes], SchemaAndValue]


def _direct_reader(schema: Schema) -> DirectReader | None:
    """From JSON in bytes to a struct in one step; None for schemas with fields that need more than a test of
    their type. It reads what `_struct_reader` reads to the same values, or raises msgspec's errors."""
    if schema.type is not Type.STRUCT or schema.name in TO_LOGICAL or not schema.fields:
        return None
    fields: list[Any] = []
    instants = []
    for at, field in enumerate(schema.fields):
        kind = field.schema
        if kind.name == Timestamp.LOGICAL_NAME:
            instants.append(at)
            type_ = _INSTANT
        elif kind.name in TO_LOGICAL or kind.default is not None or kind.type not in _PLAIN:
            return None
        else:
            type_ = _PLAIN[kind.type]
        fields.append((f"f{at}", type_ | None, None) if kind.optional else (f"f{at}", type_))
    rename = {f"f{at}": field.name for at, field in enumerate(schema.fields)}
    try:
        row = msgspec.defstruct("Row", fields, rename=rename, kw_only=True, gc=False)
    except ValueError:  # A name with characters that JSON escapes.
        return None
    lines = ["def read(payload):", "    values = list(values_of(decode(payload)))"]
    lines += [
        f"    if values[{at}] is not None: values[{at}] = epoch + delta(0, 0, 0, values[{at}])"
        for at in instants
    ]
    lines += ["    struct = new(Struct)", "    struct.schema, struct._values = schema, values"]
    lines.append("    return pair(Pair, (schema, struct))")
    names: dict[str, Any] = {
        "decode": msgspec.json.Decoder(row).decode, "values_of": msgspec.structs.astuple, "epoch": EPOCH,
        "delta": datetime.timedelta, "new": Struct.__new__, "Struct": Struct, "schema": schema,
        "pair": tuple.__new__, "Pair": SchemaAndValue,
    }  # fmt: skip
    exec("\n".join(lines), names)
    read: DirectReader = names["read"]
    return read


def _expect(wanted: type, type_: Type) -> Write:
    def check(node: Any) -> Any:
        if not isinstance(node, wanted):
            raise DataError(f"Invalid type for {type_.name}: {type(node).__name__}")
        return node

    return check


def schema_from_json(described: Any) -> Schema:
    """The schema that an envelope describes. DataError when it makes no sense."""
    if not isinstance(described, dict) or not isinstance(described.get("type"), str):
        raise DataError("Schema must contain 'type' field")
    type_ = _TYPES.get(described["type"])
    if type_ is None:
        raise DataError(f"Unknown schema type: {described['type']}")
    key_schema = value_schema = None
    fields = []
    if type_ is Type.ARRAY:
        if not isinstance(described.get("items"), dict):
            raise DataError("Array schema did not specify the element type")
        value_schema = schema_from_json(described["items"])
    elif type_ is Type.MAP:
        if not isinstance(described.get("keys"), dict):
            raise DataError("Map schema did not specify the key type")
        if not isinstance(described.get("values"), dict):
            raise DataError("Map schema did not specify the value type")
        key_schema, value_schema = schema_from_json(described["keys"]), schema_from_json(described["values"])
    elif type_ is Type.STRUCT:
        listed = described.get("fields")
        if not isinstance(listed, list):
            raise DataError('Struct schema\'s "fields" argument is not an array.')
        for index, field in enumerate(listed):
            if not isinstance(field, dict) or not isinstance(field.get("field"), str):
                raise DataError("Struct schema's field name not specified properly")
            fields.append(Field(field["field"], index, schema_from_json(field)))
    optional, name, version = (described.get(key) for key in ("optional", "name", "version"))
    doc, parameters = described.get("doc"), described.get("parameters")
    if name is not None and not isinstance(name, str):
        raise DataError("Invalid schema name: must be a string")
    if version is not None and (not isinstance(version, int) or isinstance(version, bool)):
        raise DataError("Invalid Struct schema version: must be an integer")
    if parameters is not None and not (
        isinstance(parameters, dict) and all(isinstance(v, str) for v in parameters.values())
    ):
        raise DataError("Schema parameters must be a JSON object of strings")
    plain = Schema(
        type_,
        optional=optional is True,
        name=name,
        version=version,
        doc=doc if isinstance(doc, str) else None,
        parameters=parameters,
        fields=fields,
        key_schema=key_schema,
        value_schema=value_schema,
    )
    if described.get("default") is None:
        return plain
    try:
        default = _reader_of_present(plain, True)(described["default"])
    except _InexactError:
        default = decimal.Decimal(repr(described["default"]))
    builder = SchemaBuilder(type_)
    builder._fields = {field.name: field for field in fields}
    builder._key_schema, builder._value_schema = key_schema, value_schema
    builder.name(name).version(version).doc(plain.doc).parameters(parameters)
    builder = builder.optional() if plain.optional else builder.required()
    return builder.default(default).build()

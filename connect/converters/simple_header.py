"""Headers as text: whatever the type, written as text, and read back as what the text looks like.

In: `42`, `1.5`, `true`, `"text"`, `[1,2]`, `{"a":1}`, `2024-01-31`, or any other text. Out: the smallest type
that holds it, as Kafka's SimpleHeaderConverter infers it. What must hold: text that is nothing else is a
string; reading never fails.
"""

from __future__ import annotations

import base64
import datetime
import decimal
import json
import math
import re
import struct
from typing import Any, Final

from connect.api.converter import HeaderConverter
from connect.api.data import (
    BOOLEAN_SCHEMA,
    FLOAT32_SCHEMA,
    FLOAT64_SCHEMA,
    INT8_SCHEMA,
    INT16_SCHEMA,
    INT32_SCHEMA,
    INT64_SCHEMA,
    STRING_SCHEMA,
    Date,
    Decimal,
    Schema,
    SchemaAndValue,
    SchemaBuilder,
    Struct,
    Time,
    Timestamp,
)
from connect.api.errors import DataError
from connect.converters.base import KAFKA_VERSION
from connect.core.java import double_text, json_text

_NUMBER: Final = re.compile(r"[+-]?(?:\d+\.?\d*|\.\d+)(?:[eE][+-]?\d{1,5})?")
_DATE: Final = re.compile(r"\d{4}-\d\d-\d\d")
_TIME: Final = re.compile(r"\d\d:\d\d:\d\d\.\d{3}Z")
_TIMESTAMP: Final = re.compile(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z")
# Longer texts are strings without further looking: a header is no place for documents.
_MAX_PARSED: Final = 1 << 16


class SimpleHeaderConverter(HeaderConverter):
    java_class_name = "org.apache.kafka.connect.storage.SimpleHeaderConverter"
    version = KAFKA_VERSION

    def from_connect_header(self, topic: str, key: str, schema: Schema | None, value: Any) -> bytes | None:
        return None if value is None else to_text(value, embedded=False).encode()

    def to_connect_header(self, topic: str, key: str, value: bytes | None) -> SchemaAndValue:
        if value is None:
            return SchemaAndValue(None, None)
        try:
            text = value.decode()
        except UnicodeDecodeError:
            return SchemaAndValue(None, value)
        return parse_text(text)


def to_text(value: Any, embedded: bool) -> str:
    """A value as text; inside lists and maps strings are quoted."""
    if value is None:
        return "null"
    if isinstance(value, str):
        return json_text(value) if embedded else value
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, float):
        return double_text(value)
    if isinstance(value, datetime.datetime):
        moment = value.astimezone(datetime.UTC) if value.tzinfo else value
        return moment.strftime("%Y-%m-%dT%H:%M:%S.") + f"{moment.microsecond // 1000:03d}Z"
    if isinstance(value, datetime.date):
        return value.isoformat()
    if isinstance(value, datetime.time):
        return value.strftime("%H:%M:%S.") + f"{value.microsecond // 1000:03d}Z"
    if isinstance(value, bytes | bytearray | memoryview):
        return base64.b64encode(value).decode()
    if isinstance(value, list | tuple):
        return "[" + ",".join(to_text(item, True) for item in value) + "]"
    if isinstance(value, dict):
        return "{" + ",".join(f"{to_text(k, True)}:{to_text(v, True)}" for k, v in value.items()) + "}"
    if isinstance(value, Struct):
        named = {field.name: value.get(field) for field in value.schema.fields}
        return to_text({name: item for name, item in named.items() if item is not None}, embedded)
    return str(value)


def parse_text(text: str) -> SchemaAndValue:
    """What a text looks like."""
    if not text or len(text) > _MAX_PARSED:
        return SchemaAndValue(STRING_SCHEMA, text)
    stripped = text.strip()
    if stripped == "null":
        return SchemaAndValue(None, None)
    if stripped in ("true", "false"):
        return SchemaAndValue(BOOLEAN_SCHEMA, stripped == "true")
    if _NUMBER.fullmatch(stripped):
        return _parse_number(decimal.Decimal(stripped))
    try:
        if _DATE.fullmatch(stripped):
            return SchemaAndValue(Date.SCHEMA, datetime.date.fromisoformat(stripped))
        if _TIME.fullmatch(stripped):
            return SchemaAndValue(Time.SCHEMA, datetime.time.fromisoformat(stripped[:-1]))
        if _TIMESTAMP.fullmatch(stripped):
            return SchemaAndValue(Timestamp.SCHEMA, datetime.datetime.fromisoformat(stripped))
        if stripped[0] in '[{"':
            return _describe(json.loads(stripped, parse_float=decimal.Decimal))
    except (ValueError, RecursionError, DataError):
        pass
    return SchemaAndValue(STRING_SCHEMA, text)


def _parse_number(number: decimal.Decimal) -> SchemaAndValue:
    if number == number.to_integral_value() and abs(number) < 10**19:
        whole = int(number)
        for bits, schema in ((8, INT8_SCHEMA), (16, INT16_SCHEMA), (32, INT32_SCHEMA), (64, INT64_SCHEMA)):
            if -(1 << (bits - 1)) <= whole < 1 << (bits - 1):
                return SchemaAndValue(schema, whole)
    exponent = number.as_tuple().exponent
    assert isinstance(exponent, int)
    as_double = float(number)
    if exponent != 0:
        try:
            return SchemaAndValue(FLOAT32_SCHEMA, struct.unpack(">f", struct.pack(">f", as_double))[0])
        except OverflowError:
            if math.isfinite(as_double):
                return SchemaAndValue(FLOAT64_SCHEMA, as_double)
    return SchemaAndValue(Decimal.schema(-exponent), number)


def _describe(value: Any) -> SchemaAndValue:
    """Values of a list or map that are of one type give it that schema; otherwise it has none."""
    if isinstance(value, str):
        return SchemaAndValue(STRING_SCHEMA, value)
    if isinstance(value, bool):
        return SchemaAndValue(BOOLEAN_SCHEMA, value)
    if isinstance(value, int | decimal.Decimal):
        return _parse_number(decimal.Decimal(value))
    if isinstance(value, list):
        described = [_describe(item) for item in value]
        items = [item.value for item in described]
        common = _common([item.schema for item in described])
        return SchemaAndValue(SchemaBuilder.array(common).build() if common else None, items)
    if isinstance(value, dict):
        described = [_describe(item) for item in value.values()]
        items_by_key = {key: item.value for key, item in zip(value, described, strict=True)}
        common = _common([item.schema for item in described])
        return SchemaAndValue(
            SchemaBuilder.map(STRING_SCHEMA, common).build() if common else None, items_by_key
        )
    return SchemaAndValue(None, None)


_WIDENING: Final = (INT8_SCHEMA, INT16_SCHEMA, INT32_SCHEMA, INT64_SCHEMA, FLOAT32_SCHEMA, FLOAT64_SCHEMA)


def _common(schemas: list[Schema | None]) -> Schema | None:
    if not schemas or None in schemas:
        return None
    if all(schema == schemas[0] for schema in schemas):
        return schemas[0]
    if all(schema in _WIDENING for schema in schemas):
        widest: Schema = max((s for s in schemas if s is not None), key=_WIDENING.index)
        return widest
    return None

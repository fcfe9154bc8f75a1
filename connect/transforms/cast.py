"""Cast: a whole key or value, or some of its fields, to another primitive type."""

from __future__ import annotations

import base64
import datetime
import decimal
import math
import struct
from typing import Any, Final

from connect.api.config_def import ConfigDef
from connect.api.data import (
    INTEGER_RANGES,
    Schema,
    SchemaBuilder,
    Struct,
    Time,
    Type,
    value_to_text,
)
from connect.api.data import Date as DateType
from connect.api.data import Timestamp as TimestampType
from connect.api.errors import ConfigError, DataError
from connect.api.records import ConnectRecord
from connect.converters.simple_header import to_text
from connect.core.java import double_text
from connect.transforms.base import (
    KeyOrValue,
    SchemaCache,
    copy_basics,
    define_replace,
    list_setting,
    require_map,
    require_struct,
    variants,
)

_TARGETS: Final = {
    type_.value: type_
    for type_ in (
        Type.INT8,
        Type.INT16,
        Type.INT32,
        Type.INT64,
        Type.FLOAT32,
        Type.FLOAT64,
        Type.BOOLEAN,
        Type.STRING,
    )
}
_TRUE: Final = "true"


def _parse_spec(spec: list[str]) -> tuple[Type | None, dict[str, Type]]:
    """The type of the whole value, or types by field. ConfigError."""
    whole: Type | None = None
    fields: dict[str, Type] = {}
    for item in spec:
        name, colon, wanted = item.rpartition(":")
        type_ = _TARGETS.get(wanted.strip().lower())
        if type_ is None:
            raise ConfigError(
                name="spec", value=item, message=f"Invalid target type {wanted.strip()!r} for Cast"
            )
        if colon:
            fields[name.strip()] = type_
        elif whole is not None:
            raise ConfigError(
                "Cast transformations that specify a type to cast the entire value to may only specify a "
                "single cast in their spec"
            )
        else:
            whole = type_
    if whole is not None and fields:
        raise ConfigError(
            "Cast transformations that specify a type to cast the entire value to may only specify a single "
            "cast in their spec"
        )
    return whole, fields


def _check_spec(name: str, value: Any) -> None:
    if not value:
        raise ConfigError("Must specify at least one field to cast.")
    _parse_spec(value)


class Cast(KeyOrValue):
    definition = define_replace(
        list_setting(ConfigDef(), "spec", "field:type pairs, or one type for the whole value.", _check_spec)
    )

    def prepare(self) -> None:
        self._whole, self._fields = _parse_spec(self.settings["spec"])
        self._schemas = SchemaCache()

    def apply(self, record: ConnectRecord) -> ConnectRecord | None:
        value, schema = self.value_of(record), self.schema_of(record)
        if value is None:
            return record
        if schema is None:
            if self._whole is not None:
                return self.changed(record, None, cast(value, self._whole))
            given = require_map(value, "cast types")
            return self.changed(
                record,
                None,
                {k: cast(v, self._fields[k]) if k in self._fields else v for k, v in given.items()},
            )
        updated = self._schemas.get(schema) or self._schemas.put(schema, self._updated(schema))
        if self._whole is not None:
            return self.changed(record, updated, cast(value, self._whole))
        source = require_struct(value, "cast types")
        values = self.all_values(source)
        for field in source.schema.fields:
            if field.name in self._fields:
                values[field.index] = cast(values[field.index], self._fields[field.name])
        return self.changed(record, updated, Struct.of(updated, values))

    def _updated(self, schema: Schema) -> Schema:
        if self._whole is not None:
            return self._cast_schema(schema, self._whole)
        builder = copy_basics(schema, SchemaBuilder.struct())
        for field in schema.fields:
            target = self._fields.get(field.name)
            builder.field(
                field.name, field.schema if target is None else self._cast_schema(field.schema, target)
            )
        if schema.optional:
            builder.optional()
        return builder.build()

    @staticmethod
    def _cast_schema(schema: Schema, target: Type) -> Schema:
        builder = SchemaBuilder(target)
        if schema.optional:
            builder.optional()
        if schema.default is not None:
            if not schema.optional:
                builder.required()
            builder.default(cast(schema.default, target))
        return builder.build()


def cast(value: Any, target: Type) -> Any:
    """DataError for what cannot be cast; numbers wrap as Java's casts do."""
    if value is None:
        return None
    try:
        if target is Type.STRING:
            return _to_text(value)
        if target is Type.BOOLEAN:
            return _to_boolean(value)
        number = _to_number(value)
        if target in (Type.FLOAT32, Type.FLOAT64):
            as_float = float(number)
            return struct.unpack(">f", struct.pack(">f", as_float))[0] if target is Type.FLOAT32 else as_float
        return _to_integer(number, target, isinstance(value, str))
    except (ValueError, OverflowError, struct.error, decimal.InvalidOperation) as error:
        raise DataError(f"Value ({value!r}) was out of range or no number for {target.value}") from error


def _to_integer(number: Any, target: Type, strict: bool) -> int:
    low, high = INTEGER_RANGES[target]
    if isinstance(number, float):
        if math.isnan(number):
            return 0
        # Java saturates floating point numbers (at int for the small types), and wraps integers.
        inner_low, inner_high = INTEGER_RANGES[Type.INT64 if target is Type.INT64 else Type.INT32]
        number = int(max(inner_low, min(inner_high, number)))
    whole = int(number)
    if strict and not low <= whole <= high:
        raise ValueError(whole)
    span = high - low + 1
    return (whole - low) % span + low


def _to_number(value: Any) -> Any:
    if isinstance(value, bool):
        return 1 if value else 0
    if isinstance(value, int | float | decimal.Decimal):
        return value
    if isinstance(value, datetime.datetime):
        return TimestampType.from_logical(TimestampType.SCHEMA, value)
    if isinstance(value, datetime.date):
        return DateType.from_logical(DateType.SCHEMA, value)
    if isinstance(value, datetime.time):
        return Time.from_logical(Time.SCHEMA, value)
    if isinstance(value, str):
        text = value.strip()
        try:
            return int(text)
        except ValueError:
            return float(text)
    raise DataError(f"Unexpected type in Cast transformation: {type(value).__name__}")


def _to_boolean(value: Any) -> bool:
    if isinstance(value, str):
        return value.lower() == _TRUE
    if isinstance(value, bool | int | float | decimal.Decimal):
        return bool(value)
    raise DataError(f"Unexpected type in Cast transformation: {type(value).__name__}")


def _to_text(value: Any) -> str:
    if isinstance(value, datetime.date | datetime.time):
        return to_text(value, False)
    if isinstance(value, float):
        return double_text(value)
    if isinstance(value, bytes | bytearray | memoryview):
        return base64.b64encode(value).decode()
    return value_to_text(value)


PLUGINS: tuple[type, ...] = variants(Cast, "Cast")

"""Values of records made fit for columns.

In: the schema of a field and the column it goes to. Out: a function from the field's value to what the driver
takes for that column, or None when values can go as they are. What must hold: a value that does not fit is a
`DataError` that names the column, or an error of the database; it is never silently changed into another.
"""

from __future__ import annotations

import datetime
import decimal
import json
import math
import uuid
from collections.abc import Callable
from typing import Any

from connect.api.data import Schema, Struct, Type
from connect.api.errors import DataError
from connect.jdbc.dialects.base import DATE, DECIMAL, TIME, TIMESTAMP
from connect.jdbc.types import INTEGER_TYPES, Column, SqlType

Bind = Callable[[Any], Any]

_EPOCH = datetime.datetime(1970, 1, 1, tzinfo=datetime.UTC)
_WALL_EPOCH = datetime.datetime(1970, 1, 1)
_EPOCH_DATE = datetime.date(1970, 1, 1)
_INTEGERS = (Type.INT8, Type.INT16, Type.INT32, Type.INT64)
_FLOATS = (Type.FLOAT32, Type.FLOAT64)


class Binder:
    """Makes the functions for one kind of driver and one time zone of the database's times without zone."""

    def __init__(self, driver: str, zone: datetime.tzinfo, *, replace_null_with_default: bool = True) -> None:
        self.driver = driver
        self.zone = zone
        self.replace_null_with_default = replace_null_with_default

    def bind(self, schema: Schema | None, column: Column) -> Bind | None:
        """The function for a field of this schema; without schema, one that looks at each value."""
        if schema is None:
            return self._schemaless(column)
        made = self._by_schema(schema, column)
        if schema.default is not None and self.replace_null_with_default:
            default = schema.default if made is None else made(schema.default)
            inner = made or _same
            return lambda value: default if value is None else inner(value)
        if made is None or made is _utc_wall:
            return made
        function = made
        return lambda value: None if value is None else function(value)

    def _schemaless(self, column: Column) -> Bind:
        made: dict[type, Bind] = {}

        def bind(value: Any) -> Any:
            if value is None:
                return None
            function = made.get(type(value))
            if function is None:
                schema = _SCHEMA_OF.get(type(value))
                if schema is None:
                    raise DataError(f"column {column.name!r}: a value of type {type(value).__name__}")
                function = made[type(value)] = self._by_schema(schema, column) or _same
            return function(value)

        return bind

    # ---- by the field's type ----

    def _by_schema(self, schema: Schema, column: Column) -> Bind | None:
        name, type_ = schema.name, schema.type
        if name == DECIMAL:
            return self._decimal(column)
        if name == DATE:
            return self._date(column)
        if name == TIME:
            return self._time(column)
        if name == TIMESTAMP:
            return self._timestamp(column)
        if type_ in _INTEGERS:
            return self._integer(column)
        if type_ in _FLOATS:
            return self._float(column)
        if type_ is Type.BOOLEAN:
            return self._boolean(column)
        if type_ is Type.STRING:
            return self._string(column)
        if type_ is Type.BYTES:
            return self._bytes(column)
        return self._nested(schema, column)

    def _integer(self, column: Column) -> Bind | None:
        to = column.type
        if to in INTEGER_TYPES:
            return None
        if to in (SqlType.NUMERIC, SqlType.DECIMAL, SqlType.BIT):
            return None
        if to is SqlType.BOOLEAN:
            return bool if self.driver in ("psycopg", "jpype") else None
        if to in (SqlType.REAL, SqlType.DOUBLE):
            return float
        if to is SqlType.TEXT:
            return str
        if self.driver == "sqlite" and to is not SqlType.BINARY:
            return None
        if to is SqlType.TIMESTAMP:
            return lambda value: self._wall(_from_millis(value, column))
        if to is SqlType.TIMESTAMP_TZ:
            return lambda value: _from_millis(value, column)
        return self._other(column, "an integer", str)

    def _float(self, column: Column) -> Bind | None:
        to = column.type
        if self.driver == "sqlite" and to is not SqlType.BINARY:
            return str if to is SqlType.TEXT else None
        if to in (SqlType.REAL, SqlType.DOUBLE):
            return _finite(column) if self.driver == "pymysql" else None
        if to in (SqlType.NUMERIC, SqlType.DECIMAL):
            return lambda value: decimal.Decimal(repr(value))
        if to is SqlType.TEXT:
            return str
        if to in INTEGER_TYPES:
            return lambda value: _whole(value, column)
        return self._other(column, "a floating point number", str)

    def _boolean(self, column: Column) -> Bind | None:
        to = column.type
        if to is SqlType.BOOLEAN:
            return int if self.driver == "sqlite" else None
        if to in INTEGER_TYPES or to in (SqlType.NUMERIC, SqlType.DECIMAL, SqlType.BIT):
            return int
        if to in (SqlType.REAL, SqlType.DOUBLE):
            return float
        return self._other(column, "a boolean", lambda value: "true" if value else "false")

    def _string(self, column: Column) -> Bind | None:
        to = column.type
        if to is SqlType.TEXT or self.driver == "sqlite":
            return None
        if to in INTEGER_TYPES:
            return lambda value: _parsed(int, value, column)
        if to in (SqlType.NUMERIC, SqlType.DECIMAL):
            return lambda value: _parsed(decimal.Decimal, value, column)
        if to in (SqlType.REAL, SqlType.DOUBLE):
            return lambda value: _parsed(float, value, column)
        if to is SqlType.BOOLEAN:
            return lambda value: _parsed(_truth, value, column)
        if to is SqlType.DATE:
            return lambda value: _parsed(datetime.date.fromisoformat, value, column)
        if to is SqlType.TIME:
            return lambda value: _parsed(datetime.time.fromisoformat, value, column)
        if to in (SqlType.TIMESTAMP, SqlType.TIMESTAMP_TZ):
            return lambda value: self._parsed_timestamp(value, column)
        if to is SqlType.UUID and self.driver == "psycopg":
            return lambda value: _parsed(uuid.UUID, value, column)
        return self._other(column, "a string", None)

    def _bytes(self, column: Column) -> Bind | None:
        if column.type is SqlType.BINARY:
            return bytes
        if self.driver == "sqlite":
            return bytes
        if column.type is SqlType.UUID:
            return lambda value: _parsed(lambda raw: uuid.UUID(bytes=bytes(raw)), value, column)
        return self._refuse(column, "bytes")

    def _decimal(self, column: Column) -> Bind | None:
        to = column.type
        if self.driver == "sqlite":
            # As text: a column for numbers takes it as a number, one for text keeps every digit.
            return lambda value: format(value, "f")
        if to in (SqlType.NUMERIC, SqlType.DECIMAL):
            return None
        if to in (SqlType.REAL, SqlType.DOUBLE):
            return float
        if to in INTEGER_TYPES:
            return lambda value: _whole(value, column)
        if to is SqlType.TEXT:
            return lambda value: format(value, "f")
        return self._other(column, "a decimal", lambda value: format(value, "f"))

    def _date(self, column: Column) -> Bind | None:
        to = column.type
        if self.driver == "sqlite":
            if to in (SqlType.TEXT, SqlType.DATE, SqlType.TIMESTAMP):
                return datetime.date.isoformat
            return lambda value: (value - _EPOCH_DATE).days * 86_400_000
        if to is SqlType.DATE:
            return None
        if to is SqlType.TIMESTAMP:
            return lambda value: datetime.datetime(value.year, value.month, value.day)
        if to is SqlType.TIMESTAMP_TZ:
            return lambda value: datetime.datetime(value.year, value.month, value.day, tzinfo=self.zone)
        return self._other(column, "a date", datetime.date.isoformat)

    def _time(self, column: Column) -> Bind | None:
        to = column.type
        if self.driver == "sqlite":
            if to in (SqlType.TEXT, SqlType.TIME):
                return lambda value: value.isoformat("milliseconds")
            return _millis_of_day
        if to is SqlType.TIME:
            return None
        if to in (SqlType.TIMESTAMP, SqlType.DATE):  # Oracle has no type for a time of day.
            return lambda value: datetime.datetime.combine(_EPOCH_DATE, value)
        return self._other(column, "a time of day", lambda value: value.isoformat("milliseconds"))

    def _timestamp(self, column: Column) -> Bind | None:
        to = column.type
        if self.driver == "sqlite":
            if to in (SqlType.TEXT, SqlType.TIMESTAMP, SqlType.DATE):
                return lambda value: self._wall(value).isoformat(" ", "milliseconds")
            return _to_millis
        if to is SqlType.TIMESTAMP:
            if self.driver == "pymysql" and column.type_name == "timestamp":  # The session is in UTC.
                return lambda value: _utc(value).replace(tzinfo=None)
            return _utc_wall if self.zone is datetime.UTC else self._wall
        if to is SqlType.TIMESTAMP_TZ:
            return None
        if to is SqlType.DATE:
            return lambda value: self._wall(value).date()
        if to is SqlType.TIME:
            return lambda value: self._wall(value).time()
        if to in (SqlType.BIGINT, SqlType.NUMERIC, SqlType.DECIMAL):
            return _to_millis
        return self._other(
            column, "a timestamp", lambda value: self._wall(value).isoformat(" ", "milliseconds")
        )

    def _nested(self, schema: Schema, column: Column) -> Bind:
        if column.type is SqlType.ARRAY and schema.type is Type.ARRAY and schema.value_schema is not None:
            item = self.bind(
                schema.value_schema,
                Column(column.name, column.element or SqlType.OTHER, column.type_name.removesuffix("[]")),
            )
            return lambda value: list(value) if item is None else [item(part) for part in value]
        if column.type is SqlType.JSON or (column.type is SqlType.TEXT and schema.type is Type.ARRAY):
            return lambda value: json.dumps(plain(value), ensure_ascii=False)
        raise DataError(
            f"column {column.name!r} ({column.type_name}) cannot take a value of type {schema.type.name}; "
            "flatten it with a transform, or use a JSON column"
        )

    def _other(self, column: Column, what: str, to_text: Bind | None) -> Bind | None:
        """Types that the database reads from text."""
        if column.type in (SqlType.TEXT, SqlType.JSON, SqlType.UUID, SqlType.OTHER):
            return to_text
        return self._refuse(column, what)

    def _refuse(self, column: Column, what: str) -> Bind:
        raise DataError(f"column {column.name!r} ({column.type_name}) cannot take {what}")

    def _wall(self, value: datetime.datetime) -> datetime.datetime:
        return _utc(value).astimezone(self.zone).replace(tzinfo=None)

    def _parsed_timestamp(self, value: str, column: Column) -> datetime.datetime:
        parsed: datetime.datetime = _parsed(datetime.datetime.fromisoformat, value, column)
        if column.type is SqlType.TIMESTAMP_TZ:
            return parsed if parsed.tzinfo is not None else parsed.replace(tzinfo=self.zone)
        return parsed if parsed.tzinfo is None else self._wall(parsed)


def _same(value: Any) -> Any:
    return value


def _utc(value: datetime.datetime) -> datetime.datetime:
    return value.replace(tzinfo=datetime.UTC) if value.tzinfo is None else value


def _utc_wall(value: datetime.datetime | None) -> datetime.datetime | None:
    if value is None:
        return None
    zone = value.tzinfo
    if zone is datetime.UTC:
        return _WALL_EPOCH + (value - _EPOCH)  # Quicker than replace.
    if zone is None:
        return value
    return value.astimezone(datetime.UTC).replace(tzinfo=None)


def _to_millis(value: datetime.datetime) -> int:
    since = _utc(value) - _EPOCH
    return since.days * 86_400_000 + since.seconds * 1000 + since.microseconds // 1000


def _from_millis(value: int, column: Column) -> datetime.datetime:
    try:
        return _EPOCH + datetime.timedelta(milliseconds=value)
    except OverflowError:
        raise DataError(f"column {column.name!r}: {value} ms is outside the years 1 to 9999") from None


def _millis_of_day(value: datetime.time) -> int:
    return ((value.hour * 60 + value.minute) * 60 + value.second) * 1000 + value.microsecond // 1000


def _finite(column: Column) -> Bind:
    def check(value: float) -> float:
        if not math.isfinite(value):
            raise DataError(f"column {column.name!r}: {value} is no number that this database can hold")
        return value

    return check


def _whole(value: Any, column: Column) -> int:
    try:
        whole = int(value)
    except (ValueError, OverflowError, decimal.InvalidOperation):
        whole = None
    if whole is None or whole != value:
        raise DataError(
            f"column {column.name!r} ({column.type_name}) takes whole numbers, and the value is {value}"
        )
    return whole


def _truth(text: str) -> bool:
    lowered = text.strip().lower()
    if lowered in ("true", "t", "1", "yes", "y", "on"):
        return True
    if lowered in ("false", "f", "0", "no", "n", "off"):
        return False
    raise ValueError(text)


def _parsed(parse: Callable[[Any], Any], value: Any, column: Column) -> Any:
    try:
        return parse(value)
    except (ValueError, TypeError, decimal.InvalidOperation):
        shown = repr(value) if len(repr(value)) <= 60 else repr(value)[:57] + "..."
        raise DataError(
            f"column {column.name!r} ({column.type_name}) cannot take the value {shown}"
        ) from None


def plain(value: Any) -> Any:
    """A value as JSON has it."""
    if isinstance(value, Struct):
        return {field.name: plain(value.get(field)) for field in value.schema.fields}
    if isinstance(value, dict):
        return {str(key): plain(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [plain(item) for item in value]
    if isinstance(value, bytes | bytearray | memoryview):
        return bytes(value).hex()
    if isinstance(value, datetime.date | datetime.time):
        return value.isoformat()
    if isinstance(value, decimal.Decimal):
        return format(value, "f")
    return value


_SCHEMA_OF: dict[type, Schema] = {
    bool: Schema(Type.BOOLEAN),
    int: Schema(Type.INT64),
    float: Schema(Type.FLOAT64),
    str: Schema(Type.STRING),
    bytes: Schema(Type.BYTES),
    decimal.Decimal: Schema(Type.BYTES, name=DECIMAL, version=1, parameters={"scale": "0"}),
    datetime.date: Schema(Type.INT32, name=DATE, version=1),
    datetime.time: Schema(Type.INT32, name=TIME, version=1),
    datetime.datetime: Schema(Type.INT64, name=TIMESTAMP, version=1),
    list: Schema(Type.ARRAY, value_schema=Schema(Type.STRING)),
    dict: Schema(Type.MAP, key_schema=Schema(Type.STRING), value_schema=Schema(Type.STRING)),
}

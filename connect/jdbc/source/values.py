"""What rows become: the schema of a table's records, and values made to fit it.

In: columns, and rows as a driver gives them. Out: a `RowReader`, which makes Structs. What must hold: the
schema comes from the columns alone, never from a row; a value that does not fit is a `DataError` that names
the column.
"""

from __future__ import annotations

import datetime
import decimal
from collections.abc import Callable, Sequence
from typing import Any

from connect.api.data import Date, Decimal, Schema, SchemaBuilder, Struct, Time, Timestamp, Type
from connect.api.errors import ConnectError, DataError
from connect.jdbc.identifiers import match_columns
from connect.jdbc.source.config import SourceSettings
from connect.jdbc.source.offsets import to_micros
from connect.jdbc.types import Column, SqlType

Convert = Callable[[Any], Any]

# The scale of a decimal column that names none: no digit is lost.
UNSET_SCALE = 127
_EXACT = decimal.Context(prec=1200, traps=[decimal.InvalidOperation, decimal.Inexact])
_INTEGERS = {
    SqlType.TINYINT: (Type.INT8, Type.INT16),
    SqlType.SMALLINT: (Type.INT16, Type.INT32),
    SqlType.INTEGER: (Type.INT32, Type.INT64),
    SqlType.BIGINT: (Type.INT64, Type.INT64),
}
_LIMITS = {Type.INT8: 1 << 7, Type.INT16: 1 << 15, Type.INT32: 1 << 31, Type.INT64: 1 << 63}
_EPOCH = datetime.datetime(1970, 1, 1, tzinfo=datetime.UTC)
_WALL_EPOCH = datetime.datetime(1970, 1, 1)


class RowReader:
    """Rows of one table with these columns, as Structs of one schema."""

    def __init__(
        self, name: str | None, columns: Sequence[Column], settings: SourceSettings, zone: datetime.tzinfo,
        driver: str,
    ) -> None:  # fmt: skip
        self.columns: list[Column] = []
        builder = SchemaBuilder.struct().name(name)
        self._converts: list[tuple[int, Convert, str]] = []
        for column in columns:
            if settings.skip_other_types and column.type in (
                SqlType.ARRAY, SqlType.OTHER, SqlType.UUID, SqlType.JSON,
            ):  # fmt: skip
                continue
            schema, convert = field_of(column, settings, zone, driver)
            if builder.has_field(column.name):
                raise ConnectError(f"two columns are called {column.name!r}: give one of them an alias")
            builder.field(column.name, schema)
            if convert is not None:
                self._converts.append((len(self.columns), convert, column.name))
            self.columns.append(column)
        if not self.columns:
            raise ConnectError(f"{name or 'the query'} has no column that can be read")
        self.schema = builder.build()
        self._width = len(self.columns)
        self._all: Callable[[Sequence[Sequence[Any]]], list[Struct]] | None = None
        self._set_key(name, columns, settings)

    def _set_key(self, name: str | None, columns: Sequence[Column], settings: SourceSettings) -> None:
        self.key_schema: Schema | None = None
        self._key_places: list[int] = []
        names = settings.key_columns
        if names == ("primary-key",):
            keys = sorted((column for column in columns if column.key_position), key=lambda c: c.key_position)
            names = tuple(column.name for column in keys)
            if not names:
                raise ConnectError(f"key.columns=primary-key, and {name or 'a query'} has no primary key")
        if not names:
            return
        matched = match_columns(names, self.columns)
        fields = []
        for wanted, column in matched.items():
            if column is None:
                raise ConnectError(f"key.columns: {name or 'the query'} has no column {wanted!r}")
            field = self.schema.field(column.name)
            assert field is not None
            fields.append(field)
        self._key_places = [field.index for field in fields]
        if len(fields) == 1:
            self.key_schema = fields[0].schema
        else:
            builder = SchemaBuilder.struct().name(f"{name}.key" if name else None)
            for field in fields:
                builder.field(field.name, field.schema)
            self.key_schema = builder.build()

    def read(self, row: Sequence[Any]) -> Struct:
        """DataError when a value does not fit its column."""
        values = list(row) if len(row) == self._width else list(row[: self._width])
        for at, convert, name in self._converts:
            value = values[at]
            if value is not None:
                try:
                    values[at] = convert(value)
                except (ValueError, TypeError, ArithmeticError, DataError) as error:
                    shown = repr(value)
                    raise DataError(
                        f"column {name!r} ({self.columns[at].type_name}) holds {shown[:80]}: "
                        f"{error or 'no such value'}"
                    ) from None
        return Struct.of(self.schema, values)

    def read_all(self, rows: Sequence[Sequence[Any]]) -> list[Struct]:
        """The same for many rows. An error means that one of them does not fit: `read` says which."""
        if self._all is None:
            self._all = self._rows_function()
        return self._all(rows)

    def _rows_function(self) -> Callable[[Sequence[Sequence[Any]]], list[Struct]]:
        """Put together as text; `read` is the plain twin."""
        lines = ["def read(rows):", "    found = []", "    for row in rows:"]
        lines.append(
            f"        values = list(row) if len(row) == {self._width} else list(row[:{self._width}])"
        )
        for at, _, _ in self._converts:
            lines.append(f"        if values[{at}] is not None: values[{at}] = c{at}(values[{at}])")
        lines += ["        struct = new(Struct)", "        struct.schema, struct._values = schema, values"]
        lines += ["        found.append(struct)", "    return found"]
        names: dict[str, Any] = {f"c{at}": convert for at, convert, _ in self._converts}
        names |= {"new": Struct.__new__, "Struct": Struct, "schema": self.schema}
        exec("\n".join(lines), names)
        read: Callable[[Sequence[Sequence[Any]]], list[Struct]] = names["read"]
        return read

    def key(self, value: Struct) -> Any:
        if self.key_schema is None:
            return None
        values = value.values()
        if len(self._key_places) == 1:
            return values[self._key_places[0]]
        return Struct.of(self.key_schema, [values[place] for place in self._key_places])


def field_of(
    column: Column, settings: SourceSettings, zone: datetime.tzinfo, driver: str
) -> tuple[Schema, Convert | None]:
    """The schema of a column's field and what makes its values fit."""
    builder, convert = _builder_of(column, settings, zone, driver)
    if column.nullable:
        builder.optional()
    return builder.build(), convert


def _builder_of(
    column: Column, settings: SourceSettings, zone: datetime.tzinfo, driver: str
) -> tuple[SchemaBuilder, Convert | None]:
    kind = column.type
    if kind in _INTEGERS:
        type_ = _INTEGERS[kind][1 if column.unsigned else 0]
        if kind is SqlType.BIGINT and column.unsigned:
            return SchemaBuilder(type_), _integer(type_)
        # SQLite keeps anything in a column of integers.
        return SchemaBuilder(type_), _integer(type_) if driver in ("sqlite", "sqlalchemy", "jpype") else None
    if kind is SqlType.BOOLEAN:
        return SchemaBuilder.boolean(), None if driver == "psycopg" else _boolean
    if kind is SqlType.BIT:
        return SchemaBuilder.int8(), _bit
    if kind is SqlType.REAL:
        return SchemaBuilder.float32(), float
    if kind is SqlType.DOUBLE:
        return SchemaBuilder.float64(), None if driver == "psycopg" else float
    if kind in (SqlType.DECIMAL, SqlType.NUMERIC):
        return _numeric(column, settings)
    if kind is SqlType.BINARY:
        return SchemaBuilder.bytes(), None if driver == "psycopg" else _bytes
    if kind is SqlType.DATE:
        return Date.builder(), None if driver == "psycopg" else lambda value: _date(value, zone)
    if kind is SqlType.TIME:
        return Time.builder(), None if driver == "psycopg" else _time
    if kind in (SqlType.TIMESTAMP, SqlType.TIMESTAMP_TZ):
        return _timestamp(settings.granularity, zone)
    if kind is SqlType.ARRAY and column.element is not None:
        item = Column(column.name, column.element, column.type_name, True)
        schema, convert = field_of(item, settings, zone, driver)
        return SchemaBuilder.array(schema), None if convert is None else lambda value: _items(value, convert)
    if kind is SqlType.TEXT:
        return SchemaBuilder.string(), None if driver in ("psycopg", "pymysql") else _text
    return SchemaBuilder.string(), _text


def _numeric(column: Column, settings: SourceSettings) -> tuple[SchemaBuilder, Convert | None]:
    precision, scale = column.precision, column.scale
    mapping = settings.numeric_mapping
    if column.type is SqlType.NUMERIC and mapping != "none" and precision is not None and precision > 0:
        places = scale or 0
        if precision < 19 and (places == 0 or (places < 0 and mapping != "precision_only")):
            width = precision - min(places, 0)
            type_ = (
                Type.INT8
                if width <= 2
                else Type.INT16
                if width <= 4
                else Type.INT32
                if width <= 9
                else Type.INT64
            )
            if width < 19:
                return SchemaBuilder(type_), _integer(type_)
        if places > 0 and ((mapping == "best_fit" and precision < 19) or mapping == "best_fit_eager_double"):
            return SchemaBuilder.float64(), float
    if column.type is SqlType.NUMERIC and mapping == "best_fit_eager_double" and precision is None:
        return SchemaBuilder.float64(), float
    if scale is None:
        scale = UNSET_SCALE
    unit = decimal.Decimal(1).scaleb(-scale)

    def convert(value: Any) -> decimal.Decimal:
        number = value if isinstance(value, decimal.Decimal) else decimal.Decimal(str(value))
        if not number.is_finite():
            raise DataError("no finite number")
        if number.as_tuple().exponent == -scale:
            return number
        try:
            return number.quantize(unit, context=_EXACT)
        except (decimal.InvalidOperation, decimal.Inexact):
            raise DataError(f"more digits than a scale of {scale} holds") from None

    return Decimal.builder(scale), convert


def _timestamp(granularity: str, zone: datetime.tzinfo) -> tuple[SchemaBuilder, Convert | None]:
    if granularity == "connect_logical":
        if zone is datetime.UTC:
            return Timestamp.builder(), _utc_instant
        return Timestamp.builder(), lambda value: instant(value, zone)
    unit, _, form = granularity.partition("_")
    factor = 1000 if unit == "nanos" else 1
    if form == "long":
        return SchemaBuilder.int64(), lambda value: to_micros(instant(value, zone)) * factor
    if form == "string":
        return SchemaBuilder.string(), lambda value: str(to_micros(instant(value, zone)) * factor)
    digits = "000" if unit == "nanos" else ""
    return (
        SchemaBuilder.string(),
        lambda value: instant(value, zone).replace(tzinfo=None).isoformat("T", "microseconds") + digits,
    )


def _utc_instant(value: Any) -> datetime.datetime:
    """The same as `instant` for times in UTC, quicker for what most drivers give."""
    if type(value) is datetime.datetime and value.tzinfo is None:
        return _EPOCH + (value - _WALL_EPOCH)
    return instant(value, datetime.UTC)


def instant(value: Any, zone: datetime.tzinfo) -> datetime.datetime:
    """A timestamp of the database as an instant in UTC."""
    if isinstance(value, str):
        value = datetime.datetime.fromisoformat(value)
    elif isinstance(value, int | float):
        return _EPOCH + datetime.timedelta(milliseconds=value)
    elif not isinstance(value, datetime.datetime) and isinstance(value, datetime.date):
        value = datetime.datetime(value.year, value.month, value.day)
    found: datetime.datetime = value
    if found.tzinfo is None:
        if zone is datetime.UTC:
            return found.replace(tzinfo=datetime.UTC)
        found = found.replace(tzinfo=zone)
    return found.astimezone(datetime.UTC)


def _integer(type_: Type) -> Convert:
    limit = _LIMITS[type_]

    def convert(value: Any) -> int:
        number = int(value)
        if number != value and not isinstance(value, str):
            raise DataError("no whole number")
        if not -limit <= number < limit:
            raise DataError(f"beyond {type_.name}")
        return number

    return convert


def _boolean(value: Any) -> bool:
    if isinstance(value, str):
        lowered = value.strip().lower()
        if lowered in ("true", "t", "1", "yes", "y", "on"):
            return True
        if lowered in ("false", "f", "0", "no", "n", "off"):
            return False
        raise DataError("no truth value")
    return bool(value)


def _bit(value: Any) -> int:
    return int.from_bytes(value, "big") if isinstance(value, bytes) else int(value)


def _bytes(value: Any) -> bytes:
    return value.encode() if isinstance(value, str) else bytes(value)


def _text(value: Any) -> str:
    if isinstance(value, bytes):
        return value.decode()
    return value if isinstance(value, str) else str(value)


def _date(value: Any, zone: datetime.tzinfo) -> datetime.date:
    if isinstance(value, datetime.datetime):
        return value.date()
    if isinstance(value, datetime.date):
        return value
    if isinstance(value, str):
        return datetime.datetime.fromisoformat(value).date()
    if isinstance(value, int | float):  # Milliseconds, as the Java driver of SQLite writes them.
        return (_EPOCH + datetime.timedelta(milliseconds=value)).date()
    raise DataError("no date")


def _time(value: Any) -> datetime.time:
    if isinstance(value, datetime.time):
        return value.replace(tzinfo=None)
    if isinstance(value, datetime.timedelta):
        if not datetime.timedelta(0) <= value < datetime.timedelta(days=1):
            raise DataError("no time of day")
        return (datetime.datetime.min + value).time()
    if isinstance(value, datetime.datetime):
        return value.time()
    if isinstance(value, str):
        return datetime.time.fromisoformat(value)
    if isinstance(value, int | float):
        return (_EPOCH + datetime.timedelta(milliseconds=value)).time()
    raise DataError("no time of day")


def _items(value: Any, convert: Convert) -> list[Any]:
    return [None if item is None else convert(item) for item in value]

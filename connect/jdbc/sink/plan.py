"""How records of one shape become rows of one table.

In: the topic and the schemas of a record's key and value, and the table's columns. Out: a `RowPlan`, which
turns records of that shape into rows. What must hold: a plan is made once per shape and used for many
records; a record that does not fit raises `DataError` or `ConnectError` with the reason, and touches no
other record.
"""

from __future__ import annotations

import datetime
import re
from collections.abc import Callable, Sequence
from operator import itemgetter
from typing import Any

from connect.api.data import Schema, Struct, Timestamp, Type
from connect.api.errors import ConnectError, DataError
from connect.api.records import SinkRecord
from connect.jdbc.dialects import Dialect, FieldSpec
from connect.jdbc.identifiers import match_columns
from connect.jdbc.sink.binding import Bind, Binder
from connect.jdbc.sink.config import KAFKA_COLUMNS, SinkSettings
from connect.jdbc.types import Column, SqlType, TableId

Row = Sequence[Any]
_INT32 = Schema(Type.INT32)
_INT64 = Schema(Type.INT64)
_STRING = Schema(Type.STRING)
_UNIT = {"milliseconds": 1_000, "microseconds": 1, "nanoseconds": 0}


class Shape:
    """Which fields a record of these schemas has, and where each comes from.

    `fields` are the columns to have, keys first. The places count through the value's fields, then the key's,
    then topic, partition and offset: `RowPlan.row` lists a record's values in this order.
    """

    __slots__ = ("fields", "key_fields", "places", "schemaless", "uses_kafka", "uses_key", "value_names")

    def __init__(self, record: SinkRecord, settings: SinkSettings) -> None:
        self.value_names: tuple[str, ...] = ()
        self.schemaless = False
        self.uses_key = False
        self.uses_kafka = False
        self.fields: list[FieldSpec] = []
        self.places: list[int] = []
        self.key_fields: list[str] = []
        deletes = record.value is None
        value_fields = [] if deletes else self._value_fields(record, settings)
        mode = settings.pk_mode
        by_name = {name: (at, schema) for at, (name, schema) in enumerate(value_fields)}
        if mode == "kafka":
            self.uses_kafka = True
            start = len(value_fields)
            for at, (name, schema) in enumerate(
                zip(settings.pk_fields or KAFKA_COLUMNS, (_STRING, _INT32, _INT64), strict=True)
            ):
                self._add(name, schema, start + at, key=True)
        elif mode == "record_key":
            self.uses_key = True
            for at, name, key_schema in _key_fields(record, settings):
                self._add(name, key_schema, len(value_fields) + at, key=True)
        elif mode == "record_value":
            for name in settings.pk_fields or tuple(by_name):
                found = by_name.get(name)
                if found is None:
                    raise ConnectError(
                        f"pk.mode=record_value: the value has no field {name!r} of pk.fields; it has "
                        f"{', '.join(by_name) or 'none'}"
                    )
                self._add(name, found[1], found[0], key=True)
        for name, (at, field_schema) in by_name.items():
            if name in self.key_fields or (
                settings.fields_whitelist and name not in settings.fields_whitelist
            ):
                continue
            self._add(name, field_schema, at, key=False)
        if not self.fields:
            raise ConnectError("the record has no field to write (see pk.mode and fields.whitelist)")

    def _add(self, name: str, schema: Schema | None, place: int, *, key: bool) -> None:
        if key:
            self.key_fields.append(name)
        self.fields.append(FieldSpec(name, schema, key))  # type: ignore[arg-type]
        self.places.append(place)

    def _value_fields(self, record: SinkRecord, settings: SinkSettings) -> list[tuple[str, Schema | None]]:
        value, schema = record.value, record.value_schema
        if isinstance(value, Struct):
            return [(field.name, field.schema) for field in value.schema.fields]
        if isinstance(value, dict) and (schema is None or schema.type is Type.MAP):
            self.schemaless = True
            if not all(isinstance(name, str) and name for name in value):
                raise DataError("the names in a map must be text and not empty")
            self.value_names = tuple(value)
            return [(name, None) for name in self.value_names]
        if isinstance(value, str) and schema is not None and schema.type is Type.STRING:
            return [(settings.string_column, schema)]
        shown = type(value).__name__ if schema is None else schema.type.name
        raise DataError(
            f"the value is {shown}, and a table needs a Struct or a map: use a converter with "
            "schemas, such as "
            "JsonConverter with value.converter.schemas.enable=true"
        )


def _key_fields(record: SinkRecord, settings: SinkSettings) -> list[tuple[int, str, Schema | None]]:
    key, schema = record.key, record.key_schema
    if key is None:
        raise DataError("pk.mode=record_key, and the record's key is null")
    names = settings.pk_fields
    if isinstance(key, Struct):
        by_name = {field.name: field for field in key.schema.fields}
        missing = [name for name in names if name not in by_name]
        if missing:
            raise ConnectError(
                f"pk.mode=record_key: the key has no field {missing[0]!r} of pk.fields; it has "
                f"{', '.join(by_name)}"
            )
        return [(by_name[name].index, name, by_name[name].schema) for name in names or tuple(by_name)]
    if isinstance(key, dict):
        wanted = names or tuple(key)
        missing = [name for name in wanted if name not in key]
        if missing:
            raise ConnectError(f"pk.mode=record_key: the key has no member {missing[0]!r} of pk.fields")
        order = list(key)
        return [(order.index(name), name, None) for name in wanted]
    if len(names) != 1:
        raise ConnectError(
            "pk.mode=record_key: the record's key is a single value, so pk.fields must name exactly "
            "one column, "
            f"not {len(names)}"
        )
    return [(0, names[0], schema)]


class RowPlan:
    """Makes rows. `keys` and `others` are the table's columns; a row's values come in the order keys,
    others."""

    __slots__ = (
        "_binds",
        "_many",
        "_pick",
        "columns",
        "index",
        "key_count",
        "key_of",
        "keys",
        "names",
        "others",
        "shape",
        "table",
    )

    def __init__(
        self, table: TableId, shape: Shape, columns: dict[str, Column], binder: Binder, settings: SinkSettings
    ) -> None:
        self.table = table
        self.shape = shape
        self.keys = [columns[field.name] for field in shape.fields if field.key]
        self.others = [columns[field.name] for field in shape.fields if not field.key]
        self.columns = [*self.keys, *self.others]
        self.names = frozenset(column.name for column in self.columns)
        self.key_count = len(self.keys)
        self.index = 0
        self._pick = _picker(shape.places)
        self._binds: list[tuple[int, Bind]] = []
        for at, (field, column) in enumerate(zip(shape.fields, self.columns, strict=True)):
            schema: Schema | None = field.schema
            if field.name in settings.timestamp_fields and schema is not None:
                bind = _instant(schema, column, settings.timestamp_unit, binder)
            else:
                bind = binder.bind(schema, column)
            if bind is not None:
                self._binds.append((at, bind))
        # Made when it is needed: False until then, None where rows are made one by one.
        self._many: Callable[[Sequence[SinkRecord]], list[Row]] | bool | None = False
        self.key_of: Callable[[Row], Any] = (
            itemgetter(0)
            if self.key_count == 1
            else itemgetter(*range(self.key_count))
            if self.key_count
            else tuple
        )

    def row(self, record: SinkRecord) -> Row:
        """The record's row; DataError when a value does not fit."""
        shape = self.shape
        value = record.value
        if value is None:
            values: list[Any] = []
        elif shape.schemaless:
            values = [value[name] for name in shape.value_names]
        elif isinstance(value, Struct):
            values = value.values()
        else:
            values = [value]
        if shape.uses_key:
            key = record.key
            if isinstance(key, Struct):
                values = values + key.values()
            elif isinstance(key, dict):
                values = [*values, *key.values()]
            else:
                values = [*values, key]
        elif shape.uses_kafka:
            values = [*values, record.topic, record.kafka_partition, record.kafka_offset]
        row = self._pick(values)
        if self._binds:
            bound = list(row)
            try:
                for at, bind in self._binds:
                    bound[at] = bind(bound[at])
            except (ValueError, TypeError, ArithmeticError) as error:
                raise DataError(f"column {self.columns[at].name!r}: {error}") from None
            row = bound
        for at in range(self.key_count):
            if row[at] is None:
                raise DataError(f"the primary key field {self.shape.fields[at].name!r} is null")
        return row

    def rows(self, records: Sequence[SinkRecord]) -> list[Row] | None:
        """The rows of records whose topic, schemas and kinds of key and value are those of the first, all at
        once; None when they have to be made one by one, because one of them does not fit or the shape is
        not a usual one. `row` is the plain twin."""
        many = self._many
        if many is False:
            many = self._many = self._rows_function(records[0])
        if not callable(many):
            return None
        try:
            rows = many(records)
        except Exception:  # `row` says which record it is, and why.
            return None
        for at in range(self.key_count):
            if None in [row[at] for row in rows]:
                return None
        return rows

    def _rows_function(self, record: SinkRecord) -> Callable[[Sequence[SinkRecord]], list[Row]] | None:
        """Put together as text, so that a row costs one expression."""
        shape, key = self.shape, record.key
        if type(record.value) is not Struct or (shape.uses_key and isinstance(key, dict)):
            return None
        width = len(record.value.values())
        after = ["record.topic", "record.kafka_partition", "record.kafka_offset"] if shape.uses_kafka else []
        if shape.uses_key:
            after = [f"k[{at}]" for at in range(len(key.values()))] if type(key) is Struct else ["k"]
        binds = dict(self._binds)
        names: dict[str, Any] = {f"b{at}": bind for at, bind in binds.items()}
        parts = []
        for at, place in enumerate(shape.places):
            value = f"v[{place}]" if place < width else after[place - width]
            parts.append(f"b{at}({value}), " if at in binds else f"{value}, ")
        loops = "for record in records for v in (record.value._values,)"
        if shape.uses_key:
            loops += " for k in (record.key._values,)" if type(key) is Struct else " for k in (record.key,)"
        exec(f"def rows(records):\n    return [({''.join(parts)}) {loops}]", names)
        function: Callable[[Sequence[SinkRecord]], list[Row]] = names["rows"]
        return function


def _picker(places: list[int]) -> Callable[[Sequence[Any]], Row]:
    if len(places) == 1:
        place = places[0]
        return lambda values: (values[place],)
    return itemgetter(*places)


def _instant(schema: Schema, column: Column, unit: str, binder: Binder) -> Bind | None:
    """For timestamp.fields.list: an integer or a text that is an instant."""
    as_timestamp = binder.bind(Timestamp.SCHEMA, column)
    epoch = datetime.datetime(1970, 1, 1, tzinfo=datetime.UTC)

    def bind(value: Any) -> Any:
        if value is None:
            return None
        if isinstance(value, int):
            micros = value // 1000 if unit == "nanoseconds" else value * _UNIT[unit]
            try:
                value = epoch + datetime.timedelta(microseconds=micros)
            except OverflowError:
                raise DataError(
                    f"column {column.name!r}: {value} is no instant of the years 1 to 9999"
                ) from None
        elif isinstance(value, str):
            try:
                value = datetime.datetime.fromisoformat(value)
            except ValueError:
                raise DataError(f"column {column.name!r}: {value[:60]!r} is no instant") from None
            value = value if value.tzinfo is not None else value.replace(tzinfo=binder.zone)
        return value if as_timestamp is None else as_timestamp(value)

    return bind


def table_of(topic: str, settings: SinkSettings, dialect: Dialect) -> TableId:
    """The table of a topic."""
    named = settings.tables_by_topic.get(topic)
    if named is None:
        base = re.sub(r"[^A-Za-z0-9_]", "_", topic) if settings.table_name_normalize else topic
        if settings.table_name_format == "${topic}" and settings.table_name_normalize:
            return TableId(None, None, base)
        named = settings.table_name_format.replace("${topic}", base)
    return dialect.parse_table(named)


def match_fields(
    fields: Sequence[FieldSpec], columns: Sequence[Column]
) -> tuple[dict[str, Column], list[FieldSpec]]:
    """The column of each field, and the fields that have none."""
    matched = match_columns([field.name for field in fields], columns)
    missing = [field for field in fields if matched[field.name] is None]
    return {name: column for name, column in matched.items() if column is not None}, missing


__all__ = ["FieldSpec", "RowPlan", "Shape", "SqlType", "match_fields", "table_of"]

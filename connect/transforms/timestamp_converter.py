"""TimestampConverter: moments between text, unix numbers and Connect's logical types."""

from __future__ import annotations

import datetime
from typing import Any, Final

from connect.api.config_def import ConfigDef, Importance, Type, valid_string
from connect.api.data import EPOCH, Date, Schema, SchemaBuilder, Struct, Time, Timestamp
from connect.api.data import Type as SchemaType
from connect.api.errors import ConfigError, DataError
from connect.api.records import ConnectRecord
from connect.transforms.base import (
    KeyOrValue,
    SchemaCache,
    copy_basics,
    define_replace,
    require_map,
    require_struct,
    variants,
)
from connect.transforms.dates import DateFormat

_TARGETS: Final = ("string", "unix", "Date", "Time", "Timestamp")
_PER_SECOND: Final = {"seconds": 1, "milliseconds": 1000, "microseconds": 10**6, "nanoseconds": 10**9}


class TimestampConverter(KeyOrValue):
    definition = define_replace(
        ConfigDef()
        .define(
            "field",
            Type.STRING,
            "",
            importance=Importance.HIGH,
            doc="The field to convert; empty for the whole value.",
        )
        .define(
            "target.type",
            Type.STRING,
            importance=Importance.HIGH,
            validator=valid_string(*_TARGETS),
            doc="What it is converted to.",
        )
        .define(
            "format",
            Type.STRING,
            "",
            importance=Importance.MEDIUM,
            doc="The format of texts, as SimpleDateFormat has it.",
        )
        .define(
            "unix.precision",
            Type.STRING,
            "milliseconds",
            importance=Importance.LOW,
            validator=valid_string("nanoseconds", "microseconds", "milliseconds", "seconds"),
            doc="The unit of unix numbers.",
        )
    )

    def prepare(self) -> None:
        self._target: str = self.settings["target.type"]
        pattern = self.settings["format"]
        if self._target == "string" and not pattern:
            raise ConfigError(
                "TimestampConverter requires format option to be specified when using string timestamps"
            )
        self._format = DateFormat(pattern) if pattern else None
        self._unit = _PER_SECOND[self.settings["unix.precision"]]
        self._schemas = SchemaCache()

    def apply(self, record: ConnectRecord) -> ConnectRecord | None:
        value, schema = self.value_of(record), self.schema_of(record)
        name = self.settings["field"]
        if schema is None:
            if not name:
                return self.changed(record, None, self._convert(value))
            if value is None:
                return record
            given = dict(require_map(value, "converting timestamp formats"))
            given[name] = self._convert(given.get(name))
            return self.changed(record, None, given)
        if not name:
            return self.changed(record, self._target_schema(schema.optional), self._convert(value))
        if value is None:
            return record
        struct = require_struct(value, "converting timestamp formats")
        updated = self._schemas.get(struct.schema)
        if updated is None:
            builder = copy_basics(struct.schema, SchemaBuilder.struct())
            for field in struct.schema.fields:
                own = field.schema
                builder.field(field.name, self._target_schema(own.optional) if field.name == name else own)
            if struct.schema.optional:
                builder.optional()
            updated = self._schemas.put(struct.schema, builder.build())
        values = self.all_values(struct)
        converted = struct.schema.field(name)
        if converted is not None:
            values[converted.index] = self._convert(values[converted.index])
        return self.changed(record, updated, Struct.of(updated, values))

    def _target_schema(self, optional: bool) -> Schema:
        builder = {
            "string": lambda: SchemaBuilder(SchemaType.STRING),
            "unix": lambda: SchemaBuilder(SchemaType.INT64),
            "Date": Date.builder,
            "Time": Time.builder,
            "Timestamp": Timestamp.builder,
        }[self._target]()
        return (builder.optional() if optional else builder).build()

    def _convert(self, value: Any) -> Any:
        if value is None:
            return None
        moment = self._moment(value)
        if self._target == "Timestamp":
            return moment
        if self._target == "Date":
            return moment.date()
        if self._target == "Time":
            return moment.time()
        if self._target == "unix":
            since = moment - EPOCH
            microseconds = (since.days * 86_400 + since.seconds) * 10**6 + since.microseconds // 1000 * 1000
            return microseconds * self._unit // 10**6
        assert self._format is not None
        return self._format.format(moment)

    def _moment(self, value: Any) -> datetime.datetime:
        if isinstance(value, datetime.datetime):
            return value if value.tzinfo is not None else value.replace(tzinfo=datetime.UTC)
        if isinstance(value, datetime.date):
            return datetime.datetime(value.year, value.month, value.day, tzinfo=datetime.UTC)
        if isinstance(value, datetime.time):
            return datetime.datetime.combine(EPOCH.date(), value, datetime.UTC)
        if isinstance(value, int) and not isinstance(value, bool):
            try:
                return EPOCH + datetime.timedelta(milliseconds=value * 1000 // self._unit)
            except OverflowError as error:
                raise DataError(f"{value} {self.settings['unix.precision']} is out of range") from error
        if isinstance(value, str):
            if self._format is None:
                raise DataError("TimestampConverter needs a format to read text")
            return self._format.parse(value)
        raise DataError(f"TimestampConverter does not support values of type {type(value).__name__}")


PLUGINS: tuple[type, ...] = variants(TimestampConverter, "TimestampConverter")

"""Transforms of whole records: routing, headers, filters, keys out of values."""

from __future__ import annotations

import datetime
from collections.abc import Mapping
from typing import Any, ClassVar

from connect.api.config_def import ConfigDef, Importance, Type, non_null, valid_string
from connect.api.data import EPOCH, Schema, SchemaBuilder, Struct
from connect.api.errors import ConfigError, DataError
from connect.api.records import ConnectRecord
from connect.api.transform import Transformation
from connect.converters.simple_header import parse_text
from connect.core import regex
from connect.transforms.base import (
    PACKAGE,
    KeyOrValue,
    SchemaCache,
    copy_basics,
    define_replace,
    list_setting,
    require_map,
    require_struct,
    variants,
)
from connect.transforms.dates import DateFormat

_STRING = Type.STRING
_HIGH = Importance.HIGH


class _Whole(Transformation):
    version = "4.3.0"
    definition: ClassVar[ConfigDef] = ConfigDef()
    settings: dict[str, Any]

    def config_def(self) -> ConfigDef:
        return self.definition

    def configure(self, configs: Mapping[str, Any]) -> None:
        self.settings = self.definition.parse(configs)
        self.prepare()

    def prepare(self) -> None: ...


class Filter(_Whole):
    """Drops every record; meant with a predicate."""

    java_class_name = PACKAGE + "Filter"

    def apply(self, record: ConnectRecord) -> ConnectRecord | None:
        return None


class DropHeaders(_Whole):
    java_class_name = PACKAGE + "DropHeaders"
    definition = list_setting(ConfigDef(), "headers", "The names of the headers to drop.")

    def prepare(self) -> None:
        self._dropped = set(self.settings["headers"])

    def apply(self, record: ConnectRecord) -> ConnectRecord | None:
        return record.new_record(headers=[h for h in record.headers if h.key not in self._dropped])


class InsertHeader(_Whole):
    java_class_name = PACKAGE + "InsertHeader"
    definition = (
        ConfigDef()
        .define("header", _STRING, importance=_HIGH, validator=non_null, doc="The header's name.")
        .define("value.literal", _STRING, importance=_HIGH, validator=non_null, doc="Its value, as text.")
    )

    def prepare(self) -> None:
        self._literal = parse_text(self.settings["value.literal"])

    def apply(self, record: ConnectRecord) -> ConnectRecord | None:
        changed = record.new_record()
        changed.headers.add(self.settings["header"], self._literal.value, self._literal.schema)
        return changed


def require_regex(name: str, value: Any) -> None:
    try:
        regex.compile_java(value)
    except regex.JavaRegexError as error:
        raise ConfigError(name=name, value=value, message=f"Invalid regex: {error}") from None


class RegexRouter(_Whole):
    java_class_name = PACKAGE + "RegexRouter"
    definition = (
        ConfigDef()
        .define(
            "regex",
            _STRING,
            importance=_HIGH,
            validator=require_regex,
            doc="What the whole topic name has to match.",
        )
        .define("replacement", _STRING, importance=_HIGH, doc="The new name; $1 stands for the first group.")
    )

    def prepare(self) -> None:
        self._pattern = regex.compile_java(self.settings["regex"])

    def apply(self, record: ConnectRecord) -> ConnectRecord | None:
        match = self._pattern.fullmatch(record.topic)
        if match is None:
            return record
        try:
            return record.new_record(topic=regex.expand(self.settings["replacement"], match))
        except regex.JavaRegexError as error:
            raise DataError(str(error)) from error


class TimestampRouter(_Whole):
    java_class_name = PACKAGE + "TimestampRouter"
    definition = (
        ConfigDef()
        .define(
            "topic.format",
            _STRING,
            "${topic}-${timestamp}",
            importance=_HIGH,
            doc="The new name; ${topic} and ${timestamp} are replaced.",
        )
        .define(
            "timestamp.format",
            _STRING,
            "yyyyMMdd",
            importance=_HIGH,
            doc="The format of the timestamp, as SimpleDateFormat has it; the zone is UTC.",
        )
    )

    def prepare(self) -> None:
        self._format = DateFormat(self.settings["timestamp.format"])

    def apply(self, record: ConnectRecord) -> ConnectRecord | None:
        if record.timestamp is None:
            raise DataError("Timestamp missing on record: " + repr(record))
        moment = EPOCH + datetime.timedelta(milliseconds=record.timestamp)
        topic = self.settings["topic.format"].replace("${topic}", record.topic)
        return record.new_record(topic=topic.replace("${timestamp}", self._format.format(moment)))


class ValueToKey(_Whole):
    java_class_name = PACKAGE + "ValueToKey"
    definition = define_replace(
        list_setting(ConfigDef(), "fields", "The fields of the value that make up the key.")
    )

    def prepare(self) -> None:
        self._fields = self.settings["fields"]
        self._schemas = SchemaCache()

    def apply(self, record: ConnectRecord) -> ConnectRecord | None:
        purpose = "copying fields from value to key"
        if record.value_schema is None:
            value = require_map(record.value, purpose)
            return record.new_record(key_schema=None, key={name: value.get(name) for name in self._fields})
        value_struct = require_struct(record.value, purpose)
        key_schema = self._schemas.get(value_struct.schema)
        if key_schema is None:
            builder = SchemaBuilder.struct()
            for name in self._fields:
                field = value_struct.schema.field(name)
                if field is None:
                    raise DataError("Field does not exist: " + name)
                builder.field(name, field.schema)
            key_schema = self._schemas.put(value_struct.schema, builder.build())
        with_defaults = self.settings["replace.null.with.default"]
        take = value_struct.get if with_defaults else value_struct.get_without_default
        return record.new_record(
            key_schema=key_schema, key=Struct.of(key_schema, [take(name) for name in self._fields])
        )


class HeaderFrom(KeyOrValue):
    definition = define_replace(
        list_setting(
            list_setting(ConfigDef(), "fields", "The fields to move or copy."),
            "headers",
            "The headers' names, one for each field.",
        ).define(
            "operation",
            _STRING,
            importance=_HIGH,
            validator=valid_string("move", "copy"),
            doc="move takes the fields out of the record, copy leaves them.",
        )
    )

    def prepare(self) -> None:
        self._fields, self._headers = self.settings["fields"], self.settings["headers"]
        if len(self._fields) != len(self._headers):
            raise ConfigError("'fields' config must have the same number of elements as 'headers' config.")
        self._move = self.settings["operation"] == "move"
        self._schemas = SchemaCache()

    def apply(self, record: ConnectRecord) -> ConnectRecord | None:
        value, schema = self.value_of(record), self.schema_of(record)
        changed = record.new_record()
        pairs = list(zip(self._fields, self._headers, strict=True))
        if schema is None:
            given = require_map(value, "header from")
            for name, header in pairs:
                changed.headers.add(header, given.get(name))
            rest = {k: v for k, v in given.items() if not self._move or k not in self._fields}
            return self.changed(changed, None, rest)
        source = require_struct(value, "header from")
        for name, header in pairs:
            field = source.schema.field(name)
            if field is None:
                raise DataError(f"{name} is not a valid field name")
            changed.headers.add(header, self.field_value(source, name), field.schema)
        if not self._move:
            return changed
        updated = self._schemas.get(source.schema) or self._schemas.put(
            source.schema, self._without(source.schema)
        )
        values = [
            item
            for field, item in zip(source.schema.fields, self.all_values(source), strict=True)
            if field.name not in self._fields
        ]
        return self.changed(changed, updated, Struct.of(updated, values))

    def _without(self, schema: Schema) -> Schema:
        builder = copy_basics(schema, SchemaBuilder.struct())
        for field in schema.fields:
            if field.name not in self._fields:
                builder.field(field.name, field.schema)
        return builder.build()


PLUGINS: tuple[type, ...] = (
    DropHeaders,
    Filter,
    *variants(HeaderFrom, "HeaderFrom"),
    InsertHeader,
    RegexRouter,
    TimestampRouter,
    ValueToKey,
)

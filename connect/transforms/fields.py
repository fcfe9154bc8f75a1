"""Transforms that change the fields of a key or value: InsertField, ReplaceField, ExtractField, HoistField,
MaskField, Flatten, SetSchemaMetadata."""

from __future__ import annotations

import datetime
import decimal
import re
from typing import Any, Final

from connect.api.config_def import (
    ConfigDef,
    Importance,
    Type,
    case_insensitive_valid_string,
    non_empty_string,
)
from connect.api.data import (
    EPOCH,
    INT32_SCHEMA,
    INT64_SCHEMA,
    OPTIONAL_INT64_SCHEMA,
    OPTIONAL_STRING_SCHEMA,
    STRING_SCHEMA,
    Schema,
    SchemaBuilder,
    Struct,
    Timestamp,
    decimal_of,
    validate_value,
)
from connect.api.data import Type as SchemaType
from connect.api.errors import ConfigError, DataError
from connect.api.records import ConnectRecord, SinkRecord
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

_STRING, _LIST = Type.STRING, Type.LIST
_MEDIUM, _HIGH, _LOW = Importance.MEDIUM, Importance.HIGH, Importance.LOW
_OPTIONAL_TIMESTAMP: Final = Timestamp.builder().optional().build()


def _insertions() -> ConfigDef:
    definition = ConfigDef()
    suffix = "A ! at its end makes it required, a ? (the default) optional."
    for name, doc in (
        ("topic.field", "The field for the topic's name. "),
        ("partition.field", "The field for the partition. "),
        ("offset.field", "The field for the offset; only for sinks. "),
        ("timestamp.field", "The field for the record's timestamp. "),
        ("static.field", "The field for a fixed text. "),
    ):
        definition.define(name, _STRING, None, importance=_MEDIUM, doc=doc + suffix)
    definition.define("static.value", _STRING, None, importance=_MEDIUM, doc="That fixed text.")
    return define_replace(definition)


class InsertField(KeyOrValue):
    definition = _insertions()

    def prepare(self) -> None:
        # (field, schema when required, schema when optional, what it takes)
        self._inserted: list[tuple[str, Schema, str]] = []
        rows = (
            ("topic.field", STRING_SCHEMA, OPTIONAL_STRING_SCHEMA),
            ("partition.field", INT32_SCHEMA, SchemaBuilder.int32().optional().build()),
            ("offset.field", INT64_SCHEMA, OPTIONAL_INT64_SCHEMA),
            ("timestamp.field", Timestamp.SCHEMA, _OPTIONAL_TIMESTAMP),
            ("static.field", STRING_SCHEMA, OPTIONAL_STRING_SCHEMA),
        )
        for setting, required, optional in rows:
            spec = self.settings[setting]
            if spec is None:
                continue
            name = spec.rstrip("!?") if spec[-1:] in "!?" else spec
            self._inserted.append((name, required if spec.endswith("!") else optional, setting))
        if not self._inserted:
            raise ConfigError("No field insertion configured")
        if self.settings["static.field"] is not None and self.settings["static.value"] is None:
            raise ConfigError(
                name="static.value", value=None, message="No value specified for static field: static.field"
            )
        self._schemas = SchemaCache()

    def _value(self, record: ConnectRecord, setting: str) -> Any:
        if setting == "topic.field":
            return record.topic
        if setting == "partition.field":
            return record.kafka_partition
        if setting == "offset.field":
            if not isinstance(record, SinkRecord):
                raise DataError("Offset insertion is only possible for sink records")
            return record.kafka_offset
        if setting == "timestamp.field":
            return record.timestamp
        return self.settings["static.value"]

    def apply(self, record: ConnectRecord) -> ConnectRecord | None:
        value, schema = self.value_of(record), self.schema_of(record)
        if value is None:
            return record
        if schema is None:
            extended = dict(require_map(value, "field insertion"))
            for name, _, setting in self._inserted:
                inserted = self._value(record, setting)
                if inserted is not None or setting != "partition.field":
                    extended[name] = inserted
            return self.changed(record, None, extended)
        struct = require_struct(value, "field insertion")
        updated = self._schemas.get(struct.schema)
        if updated is None:
            builder = copy_basics(struct.schema, SchemaBuilder.struct())
            for field in struct.schema.fields:
                builder.field(field.name, field.schema)
            for name, inserted_schema, _ in self._inserted:
                builder.field(name, inserted_schema)
            updated = self._schemas.put(struct.schema, builder.build())
        values = self.all_values(struct)
        for name, inserted_schema, setting in self._inserted:
            inserted = self._value(record, setting)
            if setting == "timestamp.field" and inserted is not None:
                inserted = Timestamp.to_logical(Timestamp.SCHEMA, inserted)
            validate_value(name, inserted_schema, inserted)
            values.append(inserted)
        return self.changed(record, updated, Struct.of(updated, values))


def _replacements() -> ConfigDef:
    definition = ConfigDef()
    for name, doc in (
        ("exclude", "Fields to leave out; this goes before include."),
        ("include", "Fields to keep; all when it is empty."),
        ("renames", "old:new pairs."),
    ):
        definition.define(
            name, _LIST, "", importance=_MEDIUM, doc=doc, validator=_pairs if name == "renames" else None
        )
    return define_replace(definition)


def _pairs(name: str, value: Any) -> None:
    for pair in value:
        if len(pair.split(":")) != 2:
            raise ConfigError(name=name, value=value, message=f"Invalid rename mapping: {pair}")


class ReplaceField(KeyOrValue):
    definition = _replacements()

    def prepare(self) -> None:
        self._exclude, self._include = set(self.settings["exclude"]), set(self.settings["include"])
        self._renames = dict(pair.split(":") for pair in self.settings["renames"])
        self._schemas = SchemaCache()

    def _kept(self, name: str) -> bool:
        return name not in self._exclude and (not self._include or name in self._include)

    def apply(self, record: ConnectRecord) -> ConnectRecord | None:
        value, schema = self.value_of(record), self.schema_of(record)
        if value is None:
            return record
        if schema is None:
            given = require_map(value, "field replacement")
            kept = {self._renames.get(k, k): item for k, item in given.items() if self._kept(k)}
            return self.changed(record, None, kept)
        struct = require_struct(value, "field replacement")
        updated = self._schemas.get(struct.schema)
        if updated is None:
            builder = copy_basics(struct.schema, SchemaBuilder.struct())
            if struct.schema.optional:
                builder.optional()
            for field in struct.schema.fields:
                if self._kept(field.name):
                    builder.field(self._renames.get(field.name, field.name), field.schema)
            updated = self._schemas.put(struct.schema, builder.build())
        values = [
            item
            for field, item in zip(struct.schema.fields, self.all_values(struct), strict=True)
            if self._kept(field.name)
        ]
        return self.changed(record, updated, Struct.of(updated, values))


class ExtractField(KeyOrValue):
    definition = define_replace(
        ConfigDef().define("field", _STRING, importance=_MEDIUM, doc="The field to take out.")
    ).define(
        "field.syntax.version",
        _STRING,
        "V1",
        importance=_HIGH,
        validator=case_insensitive_valid_string("V1", "V2"),
        doc="V2: dots lead into nested fields, backticks quote names that hold dots (KIP-821).",
    )

    def prepare(self) -> None:
        field = self.settings["field"]
        v2 = self.settings["field.syntax.version"].upper() == "V2"
        self._path = _field_path(field) if v2 else [field]

    def apply(self, record: ConnectRecord) -> ConnectRecord | None:
        value, schema = self.value_of(record), self.schema_of(record)
        if schema is None:
            for name in self._path:
                if value is not None:
                    value = require_map(value, "field extraction").get(name)
            return self.changed(record, None, value)
        current: Schema | None = schema
        for name in self._path:
            assert current is not None
            field = current.field(name) if current.type is SchemaType.STRUCT else None
            if field is None:
                raise DataError(f"Unknown field: {self.settings['field']}")
            if value is not None:
                value = self.field_value(require_struct(value, "field extraction"), name)
            current = field.schema
        return self.changed(record, current, value)


_STEP: Final = re.compile(r"`((?:[^`]|`(?![.]|$))*)`(?:\.|$)|([^.]*)(?:\.|$)")


def _field_path(path: str) -> list[str]:
    """The steps of a V2 path."""
    steps = []
    at = 0
    while at < len(path):
        match = _STEP.match(path, at)
        if match is None or match.end() == at:
            raise ConfigError(name="field", value=path, message=f"Incomplete backtick pair at position {at}")
        steps.append(match[1] if match[1] is not None else match[2])
        at = match.end()
    return steps


class HoistField(KeyOrValue):
    definition = ConfigDef().define(
        "field", _STRING, importance=_MEDIUM, doc="The one field of the struct or map that is made."
    )

    def prepare(self) -> None:
        self._schemas = SchemaCache()

    def apply(self, record: ConnectRecord) -> ConnectRecord | None:
        value, schema = self.value_of(record), self.schema_of(record)
        name = self.settings["field"]
        if schema is None:
            return self.changed(record, None, {name: value})
        updated = self._schemas.get(schema) or self._schemas.put(
            schema, SchemaBuilder.struct().field(name, schema).build()
        )
        return self.changed(record, updated, Struct(updated).put(name, value))


_EMPTY_VALUES: Final[dict[type, Any]] = {
    bool: False,
    int: 0,
    float: 0.0,
    str: "",
    decimal.Decimal: decimal.Decimal(0),
    datetime.datetime: EPOCH,
    datetime.date: EPOCH.date(),
    datetime.time: datetime.time(),
    list: [],
    dict: {},
}


class MaskField(KeyOrValue):
    definition = define_replace(
        list_setting(ConfigDef(), "fields", "The fields to mask.").define(
            "replacement",
            _STRING,
            None,
            importance=_LOW,
            validator=non_empty_string,
            doc="What is put instead, for numbers and texts; without it the type's empty value.",
        )
    )

    def prepare(self) -> None:
        self._masked = set(self.settings["fields"])

    def _mask(self, value: Any) -> Any:
        if value is None:
            return None
        replacement = self.settings["replacement"]
        if replacement is None:
            if isinstance(value, decimal.Decimal):
                exponent = value.as_tuple().exponent
                return decimal_of(0, -exponent if isinstance(exponent, int) else 0)
            for kind, empty in _EMPTY_VALUES.items():
                if type(value) is kind:
                    return type(empty)() if kind in (list, dict) else empty
            raise DataError(f"Cannot mask value of type: {type(value).__name__}")
        try:
            if isinstance(value, bool):
                raise ValueError
            if isinstance(value, int):
                return int(replacement)
            if isinstance(value, float):
                return float(replacement)
            if isinstance(value, decimal.Decimal):
                return decimal.Decimal(replacement)
        except (ValueError, decimal.InvalidOperation):
            raise DataError(f"Unable to convert {replacement} ({type(value).__name__}) to number") from None
        if isinstance(value, str):
            return replacement
        raise DataError(f"Cannot mask value of type {type(value).__name__} with custom replacement.")

    def apply(self, record: ConnectRecord) -> ConnectRecord | None:
        value, schema = self.value_of(record), self.schema_of(record)
        if value is None:
            return record
        if schema is None:
            given = require_map(value, "mask fields")
            masked = {k: self._mask(item) if k in self._masked else item for k, item in given.items()}
            return self.changed(record, None, masked)
        struct = require_struct(value, "mask fields")
        values = self.all_values(struct)
        for field in struct.schema.fields:
            if field.name in self._masked:
                values[field.index] = self._mask(values[field.index])
                validate_value(field.name, field.schema, values[field.index])
        return self.changed(record, schema, Struct.of(struct.schema, values))


class Flatten(KeyOrValue):
    definition = ConfigDef().define(
        "delimiter", _STRING, ".", importance=_MEDIUM, doc="What goes between the names of nested fields."
    )

    def prepare(self) -> None:
        self._schemas = SchemaCache()

    def _joined(self, prefix: str, name: str) -> str:
        return f"{prefix}{self.settings['delimiter']}{name}" if prefix else name

    def apply(self, record: ConnectRecord) -> ConnectRecord | None:
        value, schema = self.value_of(record), self.schema_of(record)
        if value is None and (schema is None or schema.type is not SchemaType.STRUCT):
            return record
        if schema is None:
            flat: dict[str, Any] = {}
            self._flatten_map(require_map(value, "flattening"), "", flat)
            return self.changed(record, None, flat)
        updated = self._schemas.get(schema)
        if updated is None:
            builder = copy_basics(schema, SchemaBuilder.struct())
            if schema.optional:
                builder.optional()
            self._flatten_schema(schema, "", schema.optional, builder)
            updated = self._schemas.put(schema, builder.build())
        if value is None:
            return self.changed(record, updated, None)
        values: list[Any] = []
        self._flatten_struct(require_struct(value, "flattening"), schema, values)
        return self.changed(record, updated, Struct.of(updated, values))

    def _flatten_map(self, value: dict[str, Any], prefix: str, out: dict[str, Any]) -> None:
        for name, item in value.items():
            joined = self._joined(prefix, str(name))
            if isinstance(item, dict):
                self._flatten_map(item, joined, out)
            elif item is None or isinstance(item, bool | int | float | str | bytes | list):
                out[joined] = item
            else:
                raise DataError(
                    f"Flatten transformation does not support {type(item).__name__} for record without "
                    f"schemas (for field {joined})."
                )

    def _flatten_schema(self, schema: Schema, prefix: str, optional: bool, out: SchemaBuilder) -> None:
        for field in schema.fields:
            joined = self._joined(prefix, field.name)
            inner_optional = optional or field.schema.optional
            if field.schema.type is SchemaType.STRUCT:
                self._flatten_schema(field.schema, joined, inner_optional, out)
                continue
            own = field.schema
            if inner_optional and not own.optional:
                own = Schema(
                    own.type,
                    optional=True,
                    name=own.name,
                    version=own.version,
                    default=own.default,
                    doc=own.doc,
                    parameters=own.parameters,
                    key_schema=own.key_schema,
                    value_schema=own.value_schema,
                )
            out.field(joined, own)

    def _flatten_struct(self, value: Struct | None, schema: Schema, out: list[Any]) -> None:
        for field in schema.fields:
            item = value.get(field) if value is not None else None
            if field.schema.type is SchemaType.STRUCT:
                self._flatten_struct(item, field.schema, out)
            else:
                out.append(item)


class SetSchemaMetadata(KeyOrValue):
    definition = define_replace(
        ConfigDef()
        .define("schema.name", _STRING, None, importance=_HIGH, doc="The schema's new name.")
        .define("schema.version", Type.INT, None, importance=_HIGH, doc="The schema's new version.")
    )

    def prepare(self) -> None:
        if self.settings["schema.name"] is None and self.settings["schema.version"] is None:
            raise ConfigError("Neither schema name nor version configured")

    def apply(self, record: ConnectRecord) -> ConnectRecord | None:
        value, schema = self.value_of(record), self.schema_of(record)
        if schema is None:
            if value is None:
                return record
            raise DataError("Schema required for [updating schema metadata]")
        name, version = self.settings["schema.name"], self.settings["schema.version"]
        updated = Schema(
            schema.type,
            optional=schema.optional,
            name=name if name is not None else schema.name,
            version=version if version is not None else schema.version,
            doc=schema.doc,
            parameters=schema.parameters,
            fields=schema.fields,
            key_schema=schema.key_schema,
            value_schema=schema.value_schema,
        )
        if schema.default is not None and schema.type is not SchemaType.STRUCT:
            updated.default = schema.default
        if isinstance(value, Struct):
            value = Struct.of(updated, self.all_values(value))
        return self.changed(record, updated, value)


PLUGINS: tuple[type, ...] = (
    *variants(ExtractField, "ExtractField"),
    *variants(Flatten, "Flatten"),
    *variants(HoistField, "HoistField"),
    *variants(InsertField, "InsertField"),
    *variants(MaskField, "MaskField"),
    *variants(ReplaceField, "ReplaceField"),
    *variants(SetSchemaMetadata, "SetSchemaMetadata"),
)

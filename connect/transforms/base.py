"""What transforms share: working on the key or the value of a record, and checks of what they were given.

A transform that exists for keys and values is one class with a `Key` and a `Value` class below it, named as
Java names them (`Cast$Key`).
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, ClassVar, Final

from connect.api.config_def import ConfigDef, Importance, Type, Validator, non_empty_list
from connect.api.data import Schema, SchemaBuilder, Struct
from connect.api.errors import DataError
from connect.api.records import ConnectRecord
from connect.api.transform import Transformation

PACKAGE: Final = "org.apache.kafka.connect.transforms."
_REPLACE: Final = "replace.null.with.default"


class KeyOrValue(Transformation):
    """`side` is "key" or "value"."""

    version = "4.3.0"
    side: ClassVar[str] = "value"
    definition: ClassVar[ConfigDef]
    settings: dict[str, Any]

    def config_def(self) -> ConfigDef:
        return self.definition

    def configure(self, configs: Mapping[str, Any]) -> None:
        self.settings = self.definition.parse(configs)
        self.prepare()

    def prepare(self) -> None:
        """Called once when the settings are known."""

    def schema_of(self, record: ConnectRecord) -> Schema | None:
        return record.key_schema if self.side == "key" else record.value_schema

    def value_of(self, record: ConnectRecord) -> Any:
        return record.key if self.side == "key" else record.value

    def changed(self, record: ConnectRecord, schema: Schema | None, value: Any) -> ConnectRecord:
        if self.side == "key":
            return record.new_record(key_schema=schema, key=value)
        return record.new_record(value_schema=schema, value=value)

    def field_value(self, struct: Struct, name: str) -> Any:
        """A field's value; a null as the schema's default, if the settings say so."""
        return struct.get(name) if self.settings.get(_REPLACE, True) else struct.get_without_default(name)

    def all_values(self, struct: Struct) -> list[Any]:
        if not self.settings.get(_REPLACE, True):
            return list(struct.values())
        return [
            field.schema.default if value is None else value
            for field, value in zip(struct.schema.fields, struct.values(), strict=True)
        ]


def define_replace(definition: ConfigDef) -> ConfigDef:
    return definition.define(
        _REPLACE,
        Type.BOOLEAN,
        True,
        importance=Importance.MEDIUM,
        doc="Whether a null in a field that has a default is taken as the default.",
    )


def list_setting(
    definition: ConfigDef, name: str, doc: str, validator: Validator = non_empty_list
) -> ConfigDef:
    return definition.define(name, Type.LIST, importance=Importance.HIGH, validator=validator, doc=doc)


def require_map(value: Any, purpose: str) -> dict[str, Any]:
    if not isinstance(value, dict):
        raise DataError(
            f"Only Map objects supported in absence of schema for [{purpose}], found: {_shown(value)}"
        )
    return value


def require_struct(value: Any, purpose: str) -> Struct:
    if not isinstance(value, Struct):
        raise DataError(f"Only Struct objects supported for [{purpose}], found: {_shown(value)}")
    return value


def _shown(value: Any) -> str:
    return "null" if value is None else type(value).__name__


def copy_basics(schema: Schema, builder: SchemaBuilder) -> SchemaBuilder:
    """Name, version, documentation and parameters go over to a changed schema."""
    builder.name(schema.name).version(schema.version).doc(schema.doc)
    return builder.parameters(schema.parameters)


class SchemaCache:
    """The changed schemas of the last schemas seen."""

    def __init__(self, size: int = 16) -> None:
        self._size = size
        self._known: dict[Schema, Schema] = {}

    def get(self, schema: Schema) -> Schema | None:
        return self._known.get(schema)

    def put(self, schema: Schema, changed: Schema) -> Schema:
        if len(self._known) >= self._size:
            self._known.pop(next(iter(self._known)))
        self._known[schema] = changed
        return changed


def variants(base: type[KeyOrValue], name: str) -> tuple[type[KeyOrValue], type[KeyOrValue]]:
    """The two classes `<name>$Key` and `<name>$Value` of a transform."""
    made = []
    for side in ("Key", "Value"):
        body = {
            "side": side.lower(),
            "java_class_name": f"{PACKAGE}{name}${side}",
            "__doc__": f"{name} for record {side.lower()}s.",
            "__module__": base.__module__,
            "__qualname__": f"{base.__qualname__}.{side}",
        }
        cls = type(side, (base,), body)
        setattr(base, side, cls)
        made.append(cls)
    return made[0], made[1]

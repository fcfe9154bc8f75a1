"""What the converters here share: a converter of values that is a converter of headers, too."""

from __future__ import annotations

from typing import Any, Final

from connect.api.config_def import ConfigDef, Importance, Type, valid_string
from connect.api.converter import Converter, HeaderConverter
from connect.api.data import Schema, SchemaAndValue

KAFKA_VERSION: Final = "4.3.0"


def converter_config() -> ConfigDef:
    """The one key that all converters have; the worker sets it."""
    return ConfigDef().define(
        "converter.type",
        Type.STRING,
        validator=valid_string("key", "value", "header"),
        importance=Importance.LOW,
        doc="What this converter is used for: key, value or header.",
    )


class BothConverter(Converter, HeaderConverter):
    """Converts headers as it converts values."""

    version = KAFKA_VERSION

    def config_def(self) -> ConfigDef:
        return converter_config()

    def from_connect_header(self, topic: str, key: str, schema: Schema | None, value: Any) -> bytes | None:
        return self.from_connect_data(topic, schema, value)

    def to_connect_header(self, topic: str, key: str, value: bytes | None) -> SchemaAndValue:
        return self.to_connect_data(topic, value)

    def close(self) -> None: ...

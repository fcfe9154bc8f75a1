"""Strings, raw bytes, booleans and numbers in Kafka's serializer formats (big-endian, null stays null)."""

from __future__ import annotations

import codecs
import struct
from collections.abc import Mapping
from typing import Any, ClassVar, Final

from connect.api.config_def import ConfigDef, Importance, Type
from connect.api.converter import RawHeaders
from connect.api.data import (
    OPTIONAL_BOOLEAN_SCHEMA,
    OPTIONAL_BYTES_SCHEMA,
    OPTIONAL_FLOAT32_SCHEMA,
    OPTIONAL_FLOAT64_SCHEMA,
    OPTIONAL_INT16_SCHEMA,
    OPTIONAL_INT32_SCHEMA,
    OPTIONAL_INT64_SCHEMA,
    OPTIONAL_STRING_SCHEMA,
    Schema,
    SchemaAndValue,
    value_to_text,
)
from connect.api.data import Type as SchemaType
from connect.api.errors import ConfigError, DataError
from connect.converters.base import BothConverter, converter_config

# A tuple of a class without the detour through the class's own function.
_new: Final[Any] = tuple.__new__


class StringConverter(BothConverter):
    """Text; anything that is no string is written as Java's toString shows it."""

    java_class_name = "org.apache.kafka.connect.storage.StringConverter"

    def __init__(self) -> None:
        self._encoding = "utf-8"

    def config_def(self) -> ConfigDef:
        return converter_config().define(
            "converter.encoding",
            Type.STRING,
            "UTF-8",
            importance=Importance.HIGH,
            doc="The name of the character set of the text in the topic.",
        )

    def configure(self, configs: Mapping[str, Any], is_key: bool = False) -> None:
        encoding = str(configs.get("converter.encoding", "UTF-8"))
        try:
            self._encoding = codecs.lookup(encoding).name
        except LookupError:
            raise ConfigError(
                name="converter.encoding", value=encoding, message="Unknown character set"
            ) from None

    def from_connect_data(
        self, topic: str, schema: Schema | None, value: Any, headers: RawHeaders | None = None
    ) -> bytes | None:
        if value is None:
            return None
        text = value if isinstance(value, str) else value_to_text(value)
        try:
            return text.encode(self._encoding)
        except UnicodeEncodeError as error:
            raise DataError(f"Failed to serialize to a string: {error}") from error

    def to_connect_data(
        self, topic: str, value: bytes | None, headers: RawHeaders | None = None
    ) -> SchemaAndValue:
        # Like Java, bytes that are no text become U+FFFD; use ByteArrayConverter to keep them.
        text = None if value is None else value.decode(self._encoding, "replace")
        found: SchemaAndValue = _new(SchemaAndValue, (OPTIONAL_STRING_SCHEMA, text))
        return found


class ByteArrayConverter(BothConverter):
    """Bytes as they are."""

    java_class_name = "org.apache.kafka.connect.converters.ByteArrayConverter"

    def from_connect_data(
        self, topic: str, schema: Schema | None, value: Any, headers: RawHeaders | None = None
    ) -> bytes | None:
        if schema is not None and schema.type is not SchemaType.BYTES:
            raise DataError(f"Invalid schema type for ByteArrayConverter: {schema.type.name}")
        if value is None or isinstance(value, bytes):
            return value
        if isinstance(value, bytearray | memoryview):
            return bytes(value)
        raise DataError(f"ByteArrayConverter is not compatible with objects of type {type(value).__name__}")

    def to_connect_data(
        self, topic: str, value: bytes | None, headers: RawHeaders | None = None
    ) -> SchemaAndValue:
        return SchemaAndValue(OPTIONAL_BYTES_SCHEMA, value)


class BooleanConverter(BothConverter):
    """One byte, 0 or 1."""

    java_class_name = "org.apache.kafka.connect.converters.BooleanConverter"

    def from_connect_data(
        self, topic: str, schema: Schema | None, value: Any, headers: RawHeaders | None = None
    ) -> bytes | None:
        if schema is not None and schema.type is not SchemaType.BOOLEAN:
            raise DataError(f"Invalid schema type for BooleanConverter: {schema.type.name}")
        if value is None:
            return None
        if not isinstance(value, bool):
            raise DataError(f"BooleanConverter is not compatible with objects of type {type(value).__name__}")
        return b"\x01" if value else b"\x00"

    def to_connect_data(
        self, topic: str, value: bytes | None, headers: RawHeaders | None = None
    ) -> SchemaAndValue:
        if value is not None and value not in (b"\x00", b"\x01"):
            raise DataError(f"Failed to deserialize boolean: {len(value)} bytes {value[:8]!r}")
        return SchemaAndValue(OPTIONAL_BOOLEAN_SCHEMA, None if value is None else value == b"\x01")


class _NumberConverter(BothConverter):
    format: ClassVar[struct.Struct]
    schema: ClassVar[Schema]
    type_name: ClassVar[str]

    def from_connect_data(
        self, topic: str, schema: Schema | None, value: Any, headers: RawHeaders | None = None
    ) -> bytes | None:
        if value is None:
            return None
        expected: tuple[type, ...] = (int,) if self.format.format[-1] in "hiq" else (float, int)
        if not isinstance(value, expected) or isinstance(value, bool):
            raise DataError(f"Failed to serialize to {self.type_name} (was {type(value).__name__})")
        try:
            return self.format.pack(value)
        except (struct.error, OverflowError) as error:
            raise DataError(f"Failed to serialize {value} to {self.type_name}: {error}") from error

    def to_connect_data(
        self, topic: str, value: bytes | None, headers: RawHeaders | None = None
    ) -> SchemaAndValue:
        if value is None:
            return SchemaAndValue(self.schema, None)
        if len(value) != self.format.size:
            raise DataError(
                f"Failed to deserialize {self.type_name}: {len(value)} bytes instead of {self.format.size}"
            )
        return SchemaAndValue(self.schema, self.format.unpack(value)[0])


class ShortConverter(_NumberConverter):
    java_class_name = "org.apache.kafka.connect.converters.ShortConverter"
    format, schema, type_name = struct.Struct(">h"), OPTIONAL_INT16_SCHEMA, "short"


class IntegerConverter(_NumberConverter):
    java_class_name = "org.apache.kafka.connect.converters.IntegerConverter"
    format, schema, type_name = struct.Struct(">i"), OPTIONAL_INT32_SCHEMA, "integer"


class LongConverter(_NumberConverter):
    java_class_name = "org.apache.kafka.connect.converters.LongConverter"
    format, schema, type_name = struct.Struct(">q"), OPTIONAL_INT64_SCHEMA, "long"


class FloatConverter(_NumberConverter):
    java_class_name = "org.apache.kafka.connect.converters.FloatConverter"
    format, schema, type_name = struct.Struct(">f"), OPTIONAL_FLOAT32_SCHEMA, "float"


class DoubleConverter(_NumberConverter):
    java_class_name = "org.apache.kafka.connect.converters.DoubleConverter"
    format, schema, type_name = struct.Struct(">d"), OPTIONAL_FLOAT64_SCHEMA, "double"

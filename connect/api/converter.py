"""Converters: between bytes in topics and values with schemas.

In: `from_connect_data` gets a schema and a value, `to_connect_data` bytes. Out: bytes or None (Kafka's
null), and `SchemaAndValue`. What must hold: one instance serves one task, in one thread; the same schema
and value give the same bytes. DataError for what cannot be converted.
"""

from __future__ import annotations

import abc
from collections.abc import Mapping
from typing import Any

from connect.api.config_def import ConfigDef
from connect.api.connector import Plugin
from connect.api.data import Schema, SchemaAndValue

__all__ = ["Converter", "HeaderConverter", "RawHeaders"]

# A record's headers as they are on the wire.
RawHeaders = list[tuple[str, bytes | None]]


class Converter(Plugin, abc.ABC):
    def configure(self, configs: Mapping[str, Any], is_key: bool = False) -> None:
        """Called once before use; keys come without their prefix (`schemas.enable`)."""

    def config_def(self) -> ConfigDef:
        return ConfigDef()

    @abc.abstractmethod
    def from_connect_data(
        self, topic: str, schema: Schema | None, value: Any, headers: RawHeaders | None = None
    ) -> bytes | None:
        """`headers` may be added to by converters that keep their schema's id there."""

    @abc.abstractmethod
    def to_connect_data(
        self, topic: str, value: bytes | None, headers: RawHeaders | None = None
    ) -> SchemaAndValue: ...

    def close(self) -> None: ...


class HeaderConverter(Plugin, abc.ABC):
    def configure(self, configs: Mapping[str, Any], is_key: bool = False) -> None: ...

    def config_def(self) -> ConfigDef:
        return ConfigDef()

    @abc.abstractmethod
    def from_connect_header(
        self, topic: str, key: str, schema: Schema | None, value: Any
    ) -> bytes | None: ...

    @abc.abstractmethod
    def to_connect_header(self, topic: str, key: str, value: bytes | None) -> SchemaAndValue: ...

    def close(self) -> None: ...

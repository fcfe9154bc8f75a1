"""DescribeClientQuotasRequest 0-1 and DescribeClientQuotasResponse 0-1 (API key 48).

Written by `tools/generate_wire.py`: change that, not this.
"""

# ruff: noqa: RUF023 (slots are in wire order)
from __future__ import annotations

from pybroker.wire.message import EMPTY, Message

API_KEY = 48


class ComponentData(Message):
    """Versions 0-1, flexible from 1."""

    __slots__ = ("entity_type", "match_type", "match")
    VERSIONS = (0, 1)
    FLEXIBLE_FROM = 1
    FIELDS = (
        ("entity_type", "string", 0, 1, -1, -1, ""),
        ("match_type", "int8", 0, 1, -1, -1, 0),
        ("match", "string", 0, 1, 0, -1, ""),
    )

    def __init__(
        self,
        *,
        entity_type: str = "",
        match_type: int = 0,
        match: str | None = "",
    ) -> None:
        self.entity_type = entity_type
        self.match_type = match_type
        self.match = match


class DescribeClientQuotasRequest(Message):
    """Versions 0-1, flexible from 1."""

    __slots__ = ("components", "strict")
    VERSIONS = (0, 1)
    FLEXIBLE_FROM = 1
    FIELDS = (
        ("components", "[]ComponentData", 0, 1, -1, -1, ()),
        ("strict", "bool", 0, 1, -1, -1, False),
    )

    def __init__(
        self,
        *,
        components: list[ComponentData] = EMPTY,
        strict: bool = False,
    ) -> None:
        self.components: list[ComponentData] = [] if components is EMPTY else components
        self.strict = strict


class EntityData(Message):
    """Versions 0-1, flexible from 1."""

    __slots__ = ("entity_type", "entity_name")
    VERSIONS = (0, 1)
    FLEXIBLE_FROM = 1
    FIELDS = (
        ("entity_type", "string", 0, 1, -1, -1, ""),
        ("entity_name", "string", 0, 1, 0, -1, ""),
    )

    def __init__(
        self,
        *,
        entity_type: str = "",
        entity_name: str | None = "",
    ) -> None:
        self.entity_type = entity_type
        self.entity_name = entity_name


class ValueData(Message):
    """Versions 0-1, flexible from 1."""

    __slots__ = ("key", "value")
    VERSIONS = (0, 1)
    FLEXIBLE_FROM = 1
    FIELDS = (
        ("key", "string", 0, 1, -1, -1, ""),
        ("value", "float64", 0, 1, -1, -1, 0.0),
    )

    def __init__(
        self,
        *,
        key: str = "",
        value: float = 0.0,
    ) -> None:
        self.key = key
        self.value = value


class EntryData(Message):
    """Versions 0-1, flexible from 1."""

    __slots__ = ("entity", "values")
    VERSIONS = (0, 1)
    FLEXIBLE_FROM = 1
    FIELDS = (
        ("entity", "[]EntityData", 0, 1, -1, -1, ()),
        ("values", "[]ValueData", 0, 1, -1, -1, ()),
    )

    def __init__(
        self,
        *,
        entity: list[EntityData] = EMPTY,
        values: list[ValueData] = EMPTY,
    ) -> None:
        self.entity: list[EntityData] = [] if entity is EMPTY else entity
        self.values: list[ValueData] = [] if values is EMPTY else values


class DescribeClientQuotasResponse(Message):
    """Versions 0-1, flexible from 1."""

    __slots__ = ("throttle_time", "error_code", "error_message", "entries")
    VERSIONS = (0, 1)
    FLEXIBLE_FROM = 1
    FIELDS = (
        ("throttle_time", "int32", 0, 1, -1, -1, 0),
        ("error_code", "int16", 0, 1, -1, -1, 0),
        ("error_message", "string", 0, 1, 0, -1, ""),
        ("entries", "[]EntryData", 0, 1, 0, -1, ()),
    )

    def __init__(
        self,
        *,
        throttle_time: int = 0,
        error_code: int = 0,
        error_message: str | None = "",
        entries: list[EntryData] | None = EMPTY,
    ) -> None:
        self.throttle_time = throttle_time
        self.error_code = error_code
        self.error_message = error_message
        self.entries: list[EntryData] | None = [] if entries is EMPTY else entries

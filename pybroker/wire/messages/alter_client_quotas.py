"""AlterClientQuotasRequest 0-1 and AlterClientQuotasResponse 0-1 (API key 49).

Written by `tools/generate_wire.py`: change that, not this.
"""

# ruff: noqa: RUF023 (slots are in wire order)
from __future__ import annotations

from pybroker.wire.message import EMPTY, Message

API_KEY = 49


class RequestEntityData(Message):
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


class OpData(Message):
    """Versions 0-1, flexible from 1."""

    __slots__ = ("key", "value", "remove")
    VERSIONS = (0, 1)
    FLEXIBLE_FROM = 1
    FIELDS = (
        ("key", "string", 0, 1, -1, -1, ""),
        ("value", "float64", 0, 1, -1, -1, 0.0),
        ("remove", "bool", 0, 1, -1, -1, False),
    )

    def __init__(
        self,
        *,
        key: str = "",
        value: float = 0.0,
        remove: bool = False,
    ) -> None:
        self.key = key
        self.value = value
        self.remove = remove


class RequestEntryData(Message):
    """Versions 0-1, flexible from 1."""

    __slots__ = ("entity", "ops")
    VERSIONS = (0, 1)
    FLEXIBLE_FROM = 1
    FIELDS = (
        ("entity", "[]RequestEntityData", 0, 1, -1, -1, ()),
        ("ops", "[]OpData", 0, 1, -1, -1, ()),
    )

    def __init__(
        self,
        *,
        entity: list[RequestEntityData] = EMPTY,
        ops: list[OpData] = EMPTY,
    ) -> None:
        self.entity: list[RequestEntityData] = [] if entity is EMPTY else entity
        self.ops: list[OpData] = [] if ops is EMPTY else ops


class AlterClientQuotasRequest(Message):
    """Versions 0-1, flexible from 1."""

    __slots__ = ("entries", "validate_only")
    VERSIONS = (0, 1)
    FLEXIBLE_FROM = 1
    FIELDS = (
        ("entries", "[]RequestEntryData", 0, 1, -1, -1, ()),
        ("validate_only", "bool", 0, 1, -1, -1, False),
    )

    def __init__(
        self,
        *,
        entries: list[RequestEntryData] = EMPTY,
        validate_only: bool = False,
    ) -> None:
        self.entries: list[RequestEntryData] = [] if entries is EMPTY else entries
        self.validate_only = validate_only


class ResponseEntityData(Message):
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


class ResponseEntryData(Message):
    """Versions 0-1, flexible from 1."""

    __slots__ = ("error_code", "error_message", "entity")
    VERSIONS = (0, 1)
    FLEXIBLE_FROM = 1
    FIELDS = (
        ("error_code", "int16", 0, 1, -1, -1, 0),
        ("error_message", "string", 0, 1, 0, -1, ""),
        ("entity", "[]ResponseEntityData", 0, 1, -1, -1, ()),
    )

    def __init__(
        self,
        *,
        error_code: int = 0,
        error_message: str | None = "",
        entity: list[ResponseEntityData] = EMPTY,
    ) -> None:
        self.error_code = error_code
        self.error_message = error_message
        self.entity: list[ResponseEntityData] = [] if entity is EMPTY else entity


class AlterClientQuotasResponse(Message):
    """Versions 0-1, flexible from 1."""

    __slots__ = ("throttle_time", "entries")
    VERSIONS = (0, 1)
    FLEXIBLE_FROM = 1
    FIELDS = (
        ("throttle_time", "int32", 0, 1, -1, -1, 0),
        ("entries", "[]ResponseEntryData", 0, 1, -1, -1, ()),
    )

    def __init__(
        self,
        *,
        throttle_time: int = 0,
        entries: list[ResponseEntryData] = EMPTY,
    ) -> None:
        self.throttle_time = throttle_time
        self.entries: list[ResponseEntryData] = [] if entries is EMPTY else entries

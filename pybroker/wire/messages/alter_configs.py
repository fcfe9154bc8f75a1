"""AlterConfigsRequest 0-2 and AlterConfigsResponse 0-2 (API key 33).

Written by `tools/generate_wire.py`: change that, not this.
"""

# ruff: noqa: RUF023 (slots are in wire order)
from __future__ import annotations

from pybroker.wire.message import EMPTY, Message

API_KEY = 33


class AlterableConfig(Message):
    """Versions 0-2, flexible from 2."""

    __slots__ = ("name", "value")
    VERSIONS = (0, 2)
    FLEXIBLE_FROM = 2
    FIELDS = (
        ("name", "string", 0, 2, -1, -1, ""),
        ("value", "string", 0, 2, 0, -1, ""),
    )

    def __init__(
        self,
        *,
        name: str = "",
        value: str | None = "",
    ) -> None:
        self.name = name
        self.value = value


class AlterConfigsResource(Message):
    """Versions 0-2, flexible from 2."""

    __slots__ = ("resource_type", "resource_name", "configs")
    VERSIONS = (0, 2)
    FLEXIBLE_FROM = 2
    FIELDS = (
        ("resource_type", "int8", 0, 2, -1, -1, 0),
        ("resource_name", "string", 0, 2, -1, -1, ""),
        ("configs", "[]AlterableConfig", 0, 2, -1, -1, ()),
    )

    def __init__(
        self,
        *,
        resource_type: int = 0,
        resource_name: str = "",
        configs: list[AlterableConfig] = EMPTY,
    ) -> None:
        self.resource_type = resource_type
        self.resource_name = resource_name
        self.configs: list[AlterableConfig] = [] if configs is EMPTY else configs


class AlterConfigsRequest(Message):
    """Versions 0-2, flexible from 2."""

    __slots__ = ("resources", "validate_only")
    VERSIONS = (0, 2)
    FLEXIBLE_FROM = 2
    FIELDS = (
        ("resources", "[]AlterConfigsResource", 0, 2, -1, -1, ()),
        ("validate_only", "bool", 0, 2, -1, -1, False),
    )

    def __init__(
        self,
        *,
        resources: list[AlterConfigsResource] = EMPTY,
        validate_only: bool = False,
    ) -> None:
        self.resources: list[AlterConfigsResource] = [] if resources is EMPTY else resources
        self.validate_only = validate_only


class AlterConfigsResourceResponse(Message):
    """Versions 0-2, flexible from 2."""

    __slots__ = ("error_code", "error_message", "resource_type", "resource_name")
    VERSIONS = (0, 2)
    FLEXIBLE_FROM = 2
    FIELDS = (
        ("error_code", "int16", 0, 2, -1, -1, 0),
        ("error_message", "string", 0, 2, 0, -1, ""),
        ("resource_type", "int8", 0, 2, -1, -1, 0),
        ("resource_name", "string", 0, 2, -1, -1, ""),
    )

    def __init__(
        self,
        *,
        error_code: int = 0,
        error_message: str | None = "",
        resource_type: int = 0,
        resource_name: str = "",
    ) -> None:
        self.error_code = error_code
        self.error_message = error_message
        self.resource_type = resource_type
        self.resource_name = resource_name


class AlterConfigsResponse(Message):
    """Versions 0-2, flexible from 2."""

    __slots__ = ("throttle_time", "responses")
    VERSIONS = (0, 2)
    FLEXIBLE_FROM = 2
    FIELDS = (
        ("throttle_time", "int32", 0, 2, -1, -1, 0),
        ("responses", "[]AlterConfigsResourceResponse", 0, 2, -1, -1, ()),
    )

    def __init__(
        self,
        *,
        throttle_time: int = 0,
        responses: list[AlterConfigsResourceResponse] = EMPTY,
    ) -> None:
        self.throttle_time = throttle_time
        self.responses: list[AlterConfigsResourceResponse] = [] if responses is EMPTY else responses

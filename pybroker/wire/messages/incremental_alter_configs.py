"""IncrementalAlterConfigsRequest 0-1 and IncrementalAlterConfigsResponse 0-1 (API key 44).

Written by `tools/generate_wire.py`: change that, not this.
"""

# ruff: noqa: RUF023 (slots are in wire order)
from __future__ import annotations

from pybroker.wire.message import EMPTY, Message

API_KEY = 44


class AlterableConfig(Message):
    """Versions 0-1, flexible from 1."""

    __slots__ = ("name", "config_operation", "value")
    VERSIONS = (0, 1)
    FLEXIBLE_FROM = 1
    FIELDS = (
        ("name", "string", 0, 1, -1, -1, ""),
        ("config_operation", "int8", 0, 1, -1, -1, 0),
        ("value", "string", 0, 1, 0, -1, ""),
    )

    def __init__(
        self,
        *,
        name: str = "",
        config_operation: int = 0,
        value: str | None = "",
    ) -> None:
        self.name = name
        self.config_operation = config_operation
        self.value = value


class AlterConfigsResource(Message):
    """Versions 0-1, flexible from 1."""

    __slots__ = ("resource_type", "resource_name", "configs")
    VERSIONS = (0, 1)
    FLEXIBLE_FROM = 1
    FIELDS = (
        ("resource_type", "int8", 0, 1, -1, -1, 0),
        ("resource_name", "string", 0, 1, -1, -1, ""),
        ("configs", "[]AlterableConfig", 0, 1, -1, -1, ()),
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


class IncrementalAlterConfigsRequest(Message):
    """Versions 0-1, flexible from 1."""

    __slots__ = ("resources", "validate_only")
    VERSIONS = (0, 1)
    FLEXIBLE_FROM = 1
    FIELDS = (
        ("resources", "[]AlterConfigsResource", 0, 1, -1, -1, ()),
        ("validate_only", "bool", 0, 1, -1, -1, False),
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
    """Versions 0-1, flexible from 1."""

    __slots__ = ("error_code", "error_message", "resource_type", "resource_name")
    VERSIONS = (0, 1)
    FLEXIBLE_FROM = 1
    FIELDS = (
        ("error_code", "int16", 0, 1, -1, -1, 0),
        ("error_message", "string", 0, 1, 0, -1, ""),
        ("resource_type", "int8", 0, 1, -1, -1, 0),
        ("resource_name", "string", 0, 1, -1, -1, ""),
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


class IncrementalAlterConfigsResponse(Message):
    """Versions 0-1, flexible from 1."""

    __slots__ = ("throttle_time", "responses")
    VERSIONS = (0, 1)
    FLEXIBLE_FROM = 1
    FIELDS = (
        ("throttle_time", "int32", 0, 1, -1, -1, 0),
        ("responses", "[]AlterConfigsResourceResponse", 0, 1, -1, -1, ()),
    )

    def __init__(
        self,
        *,
        throttle_time: int = 0,
        responses: list[AlterConfigsResourceResponse] = EMPTY,
    ) -> None:
        self.throttle_time = throttle_time
        self.responses: list[AlterConfigsResourceResponse] = [] if responses is EMPTY else responses

"""ListConfigResourcesRequest 0-1 and ListConfigResourcesResponse 0-1 (API key 74).

Written by `tools/generate_wire.py`: change that, not this.
"""

# ruff: noqa: RUF023 (slots are in wire order)
from __future__ import annotations

from pybroker.wire.message import EMPTY, Message

API_KEY = 74


class ListConfigResourcesRequest(Message):
    """Versions 0-1, flexible from 0."""

    __slots__ = ("resource_types",)
    VERSIONS = (0, 1)
    FLEXIBLE_FROM = 0
    FIELDS = (("resource_types", "[]int8", 1, 1, -1, -1, ()),)

    def __init__(
        self,
        *,
        resource_types: list[int] = EMPTY,
    ) -> None:
        self.resource_types: list[int] = [] if resource_types is EMPTY else resource_types


class ConfigResource(Message):
    """Versions 0-1, flexible from 0."""

    __slots__ = ("resource_name", "resource_type")
    VERSIONS = (0, 1)
    FLEXIBLE_FROM = 0
    FIELDS = (
        ("resource_name", "string", 0, 1, -1, -1, ""),
        ("resource_type", "int8", 1, 1, -1, -1, 16),
    )

    def __init__(
        self,
        *,
        resource_name: str = "",
        resource_type: int = 16,
    ) -> None:
        self.resource_name = resource_name
        self.resource_type = resource_type


class ListConfigResourcesResponse(Message):
    """Versions 0-1, flexible from 0."""

    __slots__ = ("throttle_time", "error_code", "config_resources")
    VERSIONS = (0, 1)
    FLEXIBLE_FROM = 0
    FIELDS = (
        ("throttle_time", "int32", 0, 1, -1, -1, 0),
        ("error_code", "int16", 0, 1, -1, -1, 0),
        ("config_resources", "[]ConfigResource", 0, 1, -1, -1, ()),
    )

    def __init__(
        self,
        *,
        throttle_time: int = 0,
        error_code: int = 0,
        config_resources: list[ConfigResource] = EMPTY,
    ) -> None:
        self.throttle_time = throttle_time
        self.error_code = error_code
        self.config_resources: list[ConfigResource] = [] if config_resources is EMPTY else config_resources

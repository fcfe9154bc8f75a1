"""DescribeConfigsRequest 1-4 and DescribeConfigsResponse 1-4 (API key 32).

Written by `tools/generate_wire.py`: change that, not this.
"""

# ruff: noqa: RUF023 (slots are in wire order)
from __future__ import annotations

from pybroker.wire.message import EMPTY, Message

API_KEY = 32


class DescribeConfigsResource(Message):
    """Versions 1-4, flexible from 4."""

    __slots__ = ("resource_type", "resource_name", "configuration_keys")
    VERSIONS = (1, 4)
    FLEXIBLE_FROM = 4
    FIELDS = (
        ("resource_type", "int8", 1, 4, -1, -1, 0),
        ("resource_name", "string", 1, 4, -1, -1, ""),
        ("configuration_keys", "[]string", 1, 4, 1, -1, ()),
    )

    def __init__(
        self,
        *,
        resource_type: int = 0,
        resource_name: str = "",
        configuration_keys: list[str] | None = EMPTY,
    ) -> None:
        self.resource_type = resource_type
        self.resource_name = resource_name
        self.configuration_keys: list[str] | None = [] if configuration_keys is EMPTY else configuration_keys


class DescribeConfigsRequest(Message):
    """Versions 1-4, flexible from 4."""

    __slots__ = ("resources", "include_synonyms", "include_documentation")
    VERSIONS = (1, 4)
    FLEXIBLE_FROM = 4
    FIELDS = (
        ("resources", "[]DescribeConfigsResource", 1, 4, -1, -1, ()),
        ("include_synonyms", "bool", 1, 4, -1, -1, False),
        ("include_documentation", "bool", 3, 4, -1, -1, False),
    )

    def __init__(
        self,
        *,
        resources: list[DescribeConfigsResource] = EMPTY,
        include_synonyms: bool = False,
        include_documentation: bool = False,
    ) -> None:
        self.resources: list[DescribeConfigsResource] = [] if resources is EMPTY else resources
        self.include_synonyms = include_synonyms
        self.include_documentation = include_documentation


class DescribeConfigsSynonym(Message):
    """Versions 1-4, flexible from 4."""

    __slots__ = ("name", "value", "source")
    VERSIONS = (1, 4)
    FLEXIBLE_FROM = 4
    FIELDS = (
        ("name", "string", 1, 4, -1, -1, ""),
        ("value", "string", 1, 4, 1, -1, ""),
        ("source", "int8", 1, 4, -1, -1, 0),
    )

    def __init__(
        self,
        *,
        name: str = "",
        value: str | None = "",
        source: int = 0,
    ) -> None:
        self.name = name
        self.value = value
        self.source = source


class DescribeConfigsResourceResult(Message):
    """Versions 1-4, flexible from 4."""

    __slots__ = (
        "name",
        "value",
        "read_only",
        "config_source",
        "is_sensitive",
        "synonyms",
        "config_type",
        "documentation",
    )
    VERSIONS = (1, 4)
    FLEXIBLE_FROM = 4
    FIELDS = (
        ("name", "string", 1, 4, -1, -1, ""),
        ("value", "string", 1, 4, 1, -1, ""),
        ("read_only", "bool", 1, 4, -1, -1, False),
        ("config_source", "int8", 1, 4, -1, -1, -1),
        ("is_sensitive", "bool", 1, 4, -1, -1, False),
        ("synonyms", "[]DescribeConfigsSynonym", 1, 4, -1, -1, ()),
        ("config_type", "int8", 3, 4, -1, -1, 0),
        ("documentation", "string", 3, 4, 3, -1, ""),
    )

    def __init__(
        self,
        *,
        name: str = "",
        value: str | None = "",
        read_only: bool = False,
        config_source: int = -1,
        is_sensitive: bool = False,
        synonyms: list[DescribeConfigsSynonym] = EMPTY,
        config_type: int = 0,
        documentation: str | None = "",
    ) -> None:
        self.name = name
        self.value = value
        self.read_only = read_only
        self.config_source = config_source
        self.is_sensitive = is_sensitive
        self.synonyms: list[DescribeConfigsSynonym] = [] if synonyms is EMPTY else synonyms
        self.config_type = config_type
        self.documentation = documentation


class DescribeConfigsResult(Message):
    """Versions 1-4, flexible from 4."""

    __slots__ = ("error_code", "error_message", "resource_type", "resource_name", "configs")
    VERSIONS = (1, 4)
    FLEXIBLE_FROM = 4
    FIELDS = (
        ("error_code", "int16", 1, 4, -1, -1, 0),
        ("error_message", "string", 1, 4, 1, -1, ""),
        ("resource_type", "int8", 1, 4, -1, -1, 0),
        ("resource_name", "string", 1, 4, -1, -1, ""),
        ("configs", "[]DescribeConfigsResourceResult", 1, 4, -1, -1, ()),
    )

    def __init__(
        self,
        *,
        error_code: int = 0,
        error_message: str | None = "",
        resource_type: int = 0,
        resource_name: str = "",
        configs: list[DescribeConfigsResourceResult] = EMPTY,
    ) -> None:
        self.error_code = error_code
        self.error_message = error_message
        self.resource_type = resource_type
        self.resource_name = resource_name
        self.configs: list[DescribeConfigsResourceResult] = [] if configs is EMPTY else configs


class DescribeConfigsResponse(Message):
    """Versions 1-4, flexible from 4."""

    __slots__ = ("throttle_time", "results")
    VERSIONS = (1, 4)
    FLEXIBLE_FROM = 4
    FIELDS = (
        ("throttle_time", "int32", 1, 4, -1, -1, 0),
        ("results", "[]DescribeConfigsResult", 1, 4, -1, -1, ()),
    )

    def __init__(
        self,
        *,
        throttle_time: int = 0,
        results: list[DescribeConfigsResult] = EMPTY,
    ) -> None:
        self.throttle_time = throttle_time
        self.results: list[DescribeConfigsResult] = [] if results is EMPTY else results

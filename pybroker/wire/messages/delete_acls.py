"""DeleteAclsRequest 1-3 and DeleteAclsResponse 1-3 (API key 31).

Written by `tools/generate_wire.py`: change that, not this.
"""

# ruff: noqa: RUF023 (slots are in wire order)
from __future__ import annotations

from pybroker.wire.message import EMPTY, Message

API_KEY = 31


class DeleteAclsFilter(Message):
    """Versions 1-3, flexible from 2."""

    __slots__ = (
        "resource_type_filter",
        "resource_name_filter",
        "pattern_type_filter",
        "principal_filter",
        "host_filter",
        "operation",
        "permission_type",
    )
    VERSIONS = (1, 3)
    FLEXIBLE_FROM = 2
    FIELDS = (
        ("resource_type_filter", "int8", 1, 3, -1, -1, 0),
        ("resource_name_filter", "string", 1, 3, 1, -1, ""),
        ("pattern_type_filter", "int8", 1, 3, -1, -1, 3),
        ("principal_filter", "string", 1, 3, 1, -1, ""),
        ("host_filter", "string", 1, 3, 1, -1, ""),
        ("operation", "int8", 1, 3, -1, -1, 0),
        ("permission_type", "int8", 1, 3, -1, -1, 0),
    )

    def __init__(
        self,
        *,
        resource_type_filter: int = 0,
        resource_name_filter: str | None = "",
        pattern_type_filter: int = 3,
        principal_filter: str | None = "",
        host_filter: str | None = "",
        operation: int = 0,
        permission_type: int = 0,
    ) -> None:
        self.resource_type_filter = resource_type_filter
        self.resource_name_filter = resource_name_filter
        self.pattern_type_filter = pattern_type_filter
        self.principal_filter = principal_filter
        self.host_filter = host_filter
        self.operation = operation
        self.permission_type = permission_type


class DeleteAclsRequest(Message):
    """Versions 1-3, flexible from 2."""

    __slots__ = ("filters",)
    VERSIONS = (1, 3)
    FLEXIBLE_FROM = 2
    FIELDS = (("filters", "[]DeleteAclsFilter", 1, 3, -1, -1, ()),)

    def __init__(
        self,
        *,
        filters: list[DeleteAclsFilter] = EMPTY,
    ) -> None:
        self.filters: list[DeleteAclsFilter] = [] if filters is EMPTY else filters


class DeleteAclsMatchingAcl(Message):
    """Versions 1-3, flexible from 2."""

    __slots__ = (
        "error_code",
        "error_message",
        "resource_type",
        "resource_name",
        "pattern_type",
        "principal",
        "host",
        "operation",
        "permission_type",
    )
    VERSIONS = (1, 3)
    FLEXIBLE_FROM = 2
    FIELDS = (
        ("error_code", "int16", 1, 3, -1, -1, 0),
        ("error_message", "string", 1, 3, 1, -1, ""),
        ("resource_type", "int8", 1, 3, -1, -1, 0),
        ("resource_name", "string", 1, 3, -1, -1, ""),
        ("pattern_type", "int8", 1, 3, -1, -1, 3),
        ("principal", "string", 1, 3, -1, -1, ""),
        ("host", "string", 1, 3, -1, -1, ""),
        ("operation", "int8", 1, 3, -1, -1, 0),
        ("permission_type", "int8", 1, 3, -1, -1, 0),
    )

    def __init__(
        self,
        *,
        error_code: int = 0,
        error_message: str | None = "",
        resource_type: int = 0,
        resource_name: str = "",
        pattern_type: int = 3,
        principal: str = "",
        host: str = "",
        operation: int = 0,
        permission_type: int = 0,
    ) -> None:
        self.error_code = error_code
        self.error_message = error_message
        self.resource_type = resource_type
        self.resource_name = resource_name
        self.pattern_type = pattern_type
        self.principal = principal
        self.host = host
        self.operation = operation
        self.permission_type = permission_type


class DeleteAclsFilterResult(Message):
    """Versions 1-3, flexible from 2."""

    __slots__ = ("error_code", "error_message", "matching_acls")
    VERSIONS = (1, 3)
    FLEXIBLE_FROM = 2
    FIELDS = (
        ("error_code", "int16", 1, 3, -1, -1, 0),
        ("error_message", "string", 1, 3, 1, -1, ""),
        ("matching_acls", "[]DeleteAclsMatchingAcl", 1, 3, -1, -1, ()),
    )

    def __init__(
        self,
        *,
        error_code: int = 0,
        error_message: str | None = "",
        matching_acls: list[DeleteAclsMatchingAcl] = EMPTY,
    ) -> None:
        self.error_code = error_code
        self.error_message = error_message
        self.matching_acls: list[DeleteAclsMatchingAcl] = [] if matching_acls is EMPTY else matching_acls


class DeleteAclsResponse(Message):
    """Versions 1-3, flexible from 2."""

    __slots__ = ("throttle_time", "filter_results")
    VERSIONS = (1, 3)
    FLEXIBLE_FROM = 2
    FIELDS = (
        ("throttle_time", "int32", 1, 3, -1, -1, 0),
        ("filter_results", "[]DeleteAclsFilterResult", 1, 3, -1, -1, ()),
    )

    def __init__(
        self,
        *,
        throttle_time: int = 0,
        filter_results: list[DeleteAclsFilterResult] = EMPTY,
    ) -> None:
        self.throttle_time = throttle_time
        self.filter_results: list[DeleteAclsFilterResult] = [] if filter_results is EMPTY else filter_results

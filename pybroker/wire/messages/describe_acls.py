"""DescribeAclsRequest 1-3 and DescribeAclsResponse 1-3 (API key 29).

Written by `tools/generate_wire.py`: change that, not this.
"""

# ruff: noqa: RUF023 (slots are in wire order)
from __future__ import annotations

from pybroker.wire.message import EMPTY, Message

API_KEY = 29


class DescribeAclsRequest(Message):
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


class AclDescription(Message):
    """Versions 1-3, flexible from 2."""

    __slots__ = ("principal", "host", "operation", "permission_type")
    VERSIONS = (1, 3)
    FLEXIBLE_FROM = 2
    FIELDS = (
        ("principal", "string", 1, 3, -1, -1, ""),
        ("host", "string", 1, 3, -1, -1, ""),
        ("operation", "int8", 1, 3, -1, -1, 0),
        ("permission_type", "int8", 1, 3, -1, -1, 0),
    )

    def __init__(
        self,
        *,
        principal: str = "",
        host: str = "",
        operation: int = 0,
        permission_type: int = 0,
    ) -> None:
        self.principal = principal
        self.host = host
        self.operation = operation
        self.permission_type = permission_type


class DescribeAclsResource(Message):
    """Versions 1-3, flexible from 2."""

    __slots__ = ("resource_type", "resource_name", "pattern_type", "acls")
    VERSIONS = (1, 3)
    FLEXIBLE_FROM = 2
    FIELDS = (
        ("resource_type", "int8", 1, 3, -1, -1, 0),
        ("resource_name", "string", 1, 3, -1, -1, ""),
        ("pattern_type", "int8", 1, 3, -1, -1, 3),
        ("acls", "[]AclDescription", 1, 3, -1, -1, ()),
    )

    def __init__(
        self,
        *,
        resource_type: int = 0,
        resource_name: str = "",
        pattern_type: int = 3,
        acls: list[AclDescription] = EMPTY,
    ) -> None:
        self.resource_type = resource_type
        self.resource_name = resource_name
        self.pattern_type = pattern_type
        self.acls: list[AclDescription] = [] if acls is EMPTY else acls


class DescribeAclsResponse(Message):
    """Versions 1-3, flexible from 2."""

    __slots__ = ("throttle_time", "error_code", "error_message", "resources")
    VERSIONS = (1, 3)
    FLEXIBLE_FROM = 2
    FIELDS = (
        ("throttle_time", "int32", 1, 3, -1, -1, 0),
        ("error_code", "int16", 1, 3, -1, -1, 0),
        ("error_message", "string", 1, 3, 1, -1, ""),
        ("resources", "[]DescribeAclsResource", 1, 3, -1, -1, ()),
    )

    def __init__(
        self,
        *,
        throttle_time: int = 0,
        error_code: int = 0,
        error_message: str | None = "",
        resources: list[DescribeAclsResource] = EMPTY,
    ) -> None:
        self.throttle_time = throttle_time
        self.error_code = error_code
        self.error_message = error_message
        self.resources: list[DescribeAclsResource] = [] if resources is EMPTY else resources

"""CreateAclsRequest 1-3 and CreateAclsResponse 1-3 (API key 30).

Written by `tools/generate_wire.py`: change that, not this.
"""

# ruff: noqa: RUF023 (slots are in wire order)
from __future__ import annotations

from pybroker.wire.message import EMPTY, Message

API_KEY = 30


class AclCreation(Message):
    """Versions 1-3, flexible from 2."""

    __slots__ = (
        "resource_type",
        "resource_name",
        "resource_pattern_type",
        "principal",
        "host",
        "operation",
        "permission_type",
    )
    VERSIONS = (1, 3)
    FLEXIBLE_FROM = 2
    FIELDS = (
        ("resource_type", "int8", 1, 3, -1, -1, 0),
        ("resource_name", "string", 1, 3, -1, -1, ""),
        ("resource_pattern_type", "int8", 1, 3, -1, -1, 3),
        ("principal", "string", 1, 3, -1, -1, ""),
        ("host", "string", 1, 3, -1, -1, ""),
        ("operation", "int8", 1, 3, -1, -1, 0),
        ("permission_type", "int8", 1, 3, -1, -1, 0),
    )

    def __init__(
        self,
        *,
        resource_type: int = 0,
        resource_name: str = "",
        resource_pattern_type: int = 3,
        principal: str = "",
        host: str = "",
        operation: int = 0,
        permission_type: int = 0,
    ) -> None:
        self.resource_type = resource_type
        self.resource_name = resource_name
        self.resource_pattern_type = resource_pattern_type
        self.principal = principal
        self.host = host
        self.operation = operation
        self.permission_type = permission_type


class CreateAclsRequest(Message):
    """Versions 1-3, flexible from 2."""

    __slots__ = ("creations",)
    VERSIONS = (1, 3)
    FLEXIBLE_FROM = 2
    FIELDS = (("creations", "[]AclCreation", 1, 3, -1, -1, ()),)

    def __init__(
        self,
        *,
        creations: list[AclCreation] = EMPTY,
    ) -> None:
        self.creations: list[AclCreation] = [] if creations is EMPTY else creations


class AclCreationResult(Message):
    """Versions 1-3, flexible from 2."""

    __slots__ = ("error_code", "error_message")
    VERSIONS = (1, 3)
    FLEXIBLE_FROM = 2
    FIELDS = (
        ("error_code", "int16", 1, 3, -1, -1, 0),
        ("error_message", "string", 1, 3, 1, -1, ""),
    )

    def __init__(
        self,
        *,
        error_code: int = 0,
        error_message: str | None = "",
    ) -> None:
        self.error_code = error_code
        self.error_message = error_message


class CreateAclsResponse(Message):
    """Versions 1-3, flexible from 2."""

    __slots__ = ("throttle_time", "results")
    VERSIONS = (1, 3)
    FLEXIBLE_FROM = 2
    FIELDS = (
        ("throttle_time", "int32", 1, 3, -1, -1, 0),
        ("results", "[]AclCreationResult", 1, 3, -1, -1, ()),
    )

    def __init__(
        self,
        *,
        throttle_time: int = 0,
        results: list[AclCreationResult] = EMPTY,
    ) -> None:
        self.throttle_time = throttle_time
        self.results: list[AclCreationResult] = [] if results is EMPTY else results

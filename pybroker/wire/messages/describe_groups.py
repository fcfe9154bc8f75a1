"""DescribeGroupsRequest 0-6 and DescribeGroupsResponse 0-6 (API key 15).

Written by `tools/generate_wire.py`: change that, not this.
"""

# ruff: noqa: RUF023 (slots are in wire order)
from __future__ import annotations

from pybroker.wire.message import EMPTY, Message

API_KEY = 15


class DescribeGroupsRequest(Message):
    """Versions 0-6, flexible from 5."""

    __slots__ = ("groups", "include_authorized_operations")
    VERSIONS = (0, 6)
    FLEXIBLE_FROM = 5
    FIELDS = (
        ("groups", "[]string", 0, 6, -1, -1, ()),
        ("include_authorized_operations", "bool", 3, 6, -1, -1, False),
    )

    def __init__(
        self,
        *,
        groups: list[str] = EMPTY,
        include_authorized_operations: bool = False,
    ) -> None:
        self.groups: list[str] = [] if groups is EMPTY else groups
        self.include_authorized_operations = include_authorized_operations


class DescribedGroupMember(Message):
    """Versions 0-6, flexible from 5."""

    __slots__ = (
        "member_id",
        "group_instance_id",
        "client_id",
        "client_host",
        "member_metadata",
        "member_assignment",
    )
    VERSIONS = (0, 6)
    FLEXIBLE_FROM = 5
    FIELDS = (
        ("member_id", "string", 0, 6, -1, -1, ""),
        ("group_instance_id", "string", 4, 6, 4, -1, None),
        ("client_id", "string", 0, 6, -1, -1, ""),
        ("client_host", "string", 0, 6, -1, -1, ""),
        ("member_metadata", "bytes", 0, 6, -1, -1, b""),
        ("member_assignment", "bytes", 0, 6, -1, -1, b""),
    )

    def __init__(
        self,
        *,
        member_id: str = "",
        group_instance_id: str | None = None,
        client_id: str = "",
        client_host: str = "",
        member_metadata: bytes | memoryview = b"",
        member_assignment: bytes | memoryview = b"",
    ) -> None:
        self.member_id = member_id
        self.group_instance_id = group_instance_id
        self.client_id = client_id
        self.client_host = client_host
        self.member_metadata = member_metadata
        self.member_assignment = member_assignment


class DescribedGroup(Message):
    """Versions 0-6, flexible from 5."""

    __slots__ = (
        "error_code",
        "error_message",
        "group_id",
        "group_state",
        "protocol_type",
        "protocol_data",
        "members",
        "authorized_operations",
    )
    VERSIONS = (0, 6)
    FLEXIBLE_FROM = 5
    FIELDS = (
        ("error_code", "int16", 0, 6, -1, -1, 0),
        ("error_message", "string", 6, 6, 6, -1, None),
        ("group_id", "string", 0, 6, -1, -1, ""),
        ("group_state", "string", 0, 6, -1, -1, ""),
        ("protocol_type", "string", 0, 6, -1, -1, ""),
        ("protocol_data", "string", 0, 6, -1, -1, ""),
        ("members", "[]DescribedGroupMember", 0, 6, -1, -1, ()),
        ("authorized_operations", "int32", 3, 6, -1, -1, -2147483648),
    )

    def __init__(
        self,
        *,
        error_code: int = 0,
        error_message: str | None = None,
        group_id: str = "",
        group_state: str = "",
        protocol_type: str = "",
        protocol_data: str = "",
        members: list[DescribedGroupMember] = EMPTY,
        authorized_operations: int = -2147483648,
    ) -> None:
        self.error_code = error_code
        self.error_message = error_message
        self.group_id = group_id
        self.group_state = group_state
        self.protocol_type = protocol_type
        self.protocol_data = protocol_data
        self.members: list[DescribedGroupMember] = [] if members is EMPTY else members
        self.authorized_operations = authorized_operations


class DescribeGroupsResponse(Message):
    """Versions 0-6, flexible from 5."""

    __slots__ = ("throttle_time", "groups")
    VERSIONS = (0, 6)
    FLEXIBLE_FROM = 5
    FIELDS = (
        ("throttle_time", "int32", 1, 6, -1, -1, 0),
        ("groups", "[]DescribedGroup", 0, 6, -1, -1, ()),
    )

    def __init__(
        self,
        *,
        throttle_time: int = 0,
        groups: list[DescribedGroup] = EMPTY,
    ) -> None:
        self.throttle_time = throttle_time
        self.groups: list[DescribedGroup] = [] if groups is EMPTY else groups

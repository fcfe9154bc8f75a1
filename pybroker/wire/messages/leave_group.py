"""LeaveGroupRequest 0-5 and LeaveGroupResponse 0-5 (API key 13).

Written by `tools/generate_wire.py`: change that, not this.
"""

# ruff: noqa: RUF023 (slots are in wire order)
from __future__ import annotations

from pybroker.wire.message import EMPTY, Message

API_KEY = 13


class MemberIdentity(Message):
    """Versions 3-5, flexible from 4."""

    __slots__ = ("member_id", "group_instance_id", "reason")
    VERSIONS = (3, 5)
    FLEXIBLE_FROM = 4
    FIELDS = (
        ("member_id", "string", 3, 5, -1, -1, ""),
        ("group_instance_id", "string", 3, 5, 3, -1, None),
        ("reason", "string", 5, 5, 5, -1, None),
    )

    def __init__(
        self,
        *,
        member_id: str = "",
        group_instance_id: str | None = None,
        reason: str | None = None,
    ) -> None:
        self.member_id = member_id
        self.group_instance_id = group_instance_id
        self.reason = reason


class LeaveGroupRequest(Message):
    """Versions 0-5, flexible from 4."""

    __slots__ = ("group_id", "member_id", "members")
    VERSIONS = (0, 5)
    FLEXIBLE_FROM = 4
    FIELDS = (
        ("group_id", "string", 0, 5, -1, -1, ""),
        ("member_id", "string", 0, 2, -1, -1, ""),
        ("members", "[]MemberIdentity", 3, 5, -1, -1, ()),
    )

    def __init__(
        self,
        *,
        group_id: str = "",
        member_id: str = "",
        members: list[MemberIdentity] = EMPTY,
    ) -> None:
        self.group_id = group_id
        self.member_id = member_id
        self.members: list[MemberIdentity] = [] if members is EMPTY else members


class MemberResponse(Message):
    """Versions 3-5, flexible from 4."""

    __slots__ = ("member_id", "group_instance_id", "error_code")
    VERSIONS = (3, 5)
    FLEXIBLE_FROM = 4
    FIELDS = (
        ("member_id", "string", 3, 5, -1, -1, ""),
        ("group_instance_id", "string", 3, 5, 3, -1, ""),
        ("error_code", "int16", 3, 5, -1, -1, 0),
    )

    def __init__(
        self,
        *,
        member_id: str = "",
        group_instance_id: str | None = "",
        error_code: int = 0,
    ) -> None:
        self.member_id = member_id
        self.group_instance_id = group_instance_id
        self.error_code = error_code


class LeaveGroupResponse(Message):
    """Versions 0-5, flexible from 4."""

    __slots__ = ("throttle_time", "error_code", "members")
    VERSIONS = (0, 5)
    FLEXIBLE_FROM = 4
    FIELDS = (
        ("throttle_time", "int32", 1, 5, -1, -1, 0),
        ("error_code", "int16", 0, 5, -1, -1, 0),
        ("members", "[]MemberResponse", 3, 5, -1, -1, ()),
    )

    def __init__(
        self,
        *,
        throttle_time: int = 0,
        error_code: int = 0,
        members: list[MemberResponse] = EMPTY,
    ) -> None:
        self.throttle_time = throttle_time
        self.error_code = error_code
        self.members: list[MemberResponse] = [] if members is EMPTY else members

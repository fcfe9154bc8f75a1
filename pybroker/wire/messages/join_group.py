"""JoinGroupRequest 0-9 and JoinGroupResponse 0-9 (API key 11).

Written by `tools/generate_wire.py`: change that, not this.
"""

# ruff: noqa: RUF023 (slots are in wire order)
from __future__ import annotations

from pybroker.wire.message import EMPTY, Message

API_KEY = 11


class JoinGroupRequestProtocol(Message):
    """Versions 0-9, flexible from 6."""

    __slots__ = ("name", "metadata")
    VERSIONS = (0, 9)
    FLEXIBLE_FROM = 6
    FIELDS = (
        ("name", "string", 0, 9, -1, -1, ""),
        ("metadata", "bytes", 0, 9, -1, -1, b""),
    )

    def __init__(
        self,
        *,
        name: str = "",
        metadata: bytes | memoryview = b"",
    ) -> None:
        self.name = name
        self.metadata = metadata


class JoinGroupRequest(Message):
    """Versions 0-9, flexible from 6."""

    __slots__ = (
        "group_id",
        "session_timeout",
        "rebalance_timeout",
        "member_id",
        "group_instance_id",
        "protocol_type",
        "protocols",
        "reason",
    )
    VERSIONS = (0, 9)
    FLEXIBLE_FROM = 6
    FIELDS = (
        ("group_id", "string", 0, 9, -1, -1, ""),
        ("session_timeout", "int32", 0, 9, -1, -1, 0),
        ("rebalance_timeout", "int32", 1, 9, -1, -1, -1),
        ("member_id", "string", 0, 9, -1, -1, ""),
        ("group_instance_id", "string", 5, 9, 5, -1, None),
        ("protocol_type", "string", 0, 9, -1, -1, ""),
        ("protocols", "[]JoinGroupRequestProtocol", 0, 9, -1, -1, ()),
        ("reason", "string", 8, 9, 8, -1, None),
    )

    def __init__(
        self,
        *,
        group_id: str = "",
        session_timeout: int = 0,
        rebalance_timeout: int = -1,
        member_id: str = "",
        group_instance_id: str | None = None,
        protocol_type: str = "",
        protocols: list[JoinGroupRequestProtocol] = EMPTY,
        reason: str | None = None,
    ) -> None:
        self.group_id = group_id
        self.session_timeout = session_timeout
        self.rebalance_timeout = rebalance_timeout
        self.member_id = member_id
        self.group_instance_id = group_instance_id
        self.protocol_type = protocol_type
        self.protocols: list[JoinGroupRequestProtocol] = [] if protocols is EMPTY else protocols
        self.reason = reason


class JoinGroupResponseMember(Message):
    """Versions 0-9, flexible from 6."""

    __slots__ = ("member_id", "group_instance_id", "metadata")
    VERSIONS = (0, 9)
    FLEXIBLE_FROM = 6
    FIELDS = (
        ("member_id", "string", 0, 9, -1, -1, ""),
        ("group_instance_id", "string", 5, 9, 5, -1, None),
        ("metadata", "bytes", 0, 9, -1, -1, b""),
    )

    def __init__(
        self,
        *,
        member_id: str = "",
        group_instance_id: str | None = None,
        metadata: bytes | memoryview = b"",
    ) -> None:
        self.member_id = member_id
        self.group_instance_id = group_instance_id
        self.metadata = metadata


class JoinGroupResponse(Message):
    """Versions 0-9, flexible from 6."""

    __slots__ = (
        "throttle_time",
        "error_code",
        "generation_id",
        "protocol_type",
        "protocol_name",
        "leader",
        "skip_assignment",
        "member_id",
        "members",
    )
    VERSIONS = (0, 9)
    FLEXIBLE_FROM = 6
    FIELDS = (
        ("throttle_time", "int32", 2, 9, -1, -1, 0),
        ("error_code", "int16", 0, 9, -1, -1, 0),
        ("generation_id", "int32", 0, 9, -1, -1, -1),
        ("protocol_type", "string", 7, 9, 7, -1, None),
        ("protocol_name", "string", 0, 9, 7, -1, ""),
        ("leader", "string", 0, 9, -1, -1, ""),
        ("skip_assignment", "bool", 9, 9, -1, -1, False),
        ("member_id", "string", 0, 9, -1, -1, ""),
        ("members", "[]JoinGroupResponseMember", 0, 9, -1, -1, ()),
    )

    def __init__(
        self,
        *,
        throttle_time: int = 0,
        error_code: int = 0,
        generation_id: int = -1,
        protocol_type: str | None = None,
        protocol_name: str | None = "",
        leader: str = "",
        skip_assignment: bool = False,
        member_id: str = "",
        members: list[JoinGroupResponseMember] = EMPTY,
    ) -> None:
        self.throttle_time = throttle_time
        self.error_code = error_code
        self.generation_id = generation_id
        self.protocol_type = protocol_type
        self.protocol_name = protocol_name
        self.leader = leader
        self.skip_assignment = skip_assignment
        self.member_id = member_id
        self.members: list[JoinGroupResponseMember] = [] if members is EMPTY else members

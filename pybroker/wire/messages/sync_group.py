"""SyncGroupRequest 0-5 and SyncGroupResponse 0-5 (API key 14).

Written by `tools/generate_wire.py`: change that, not this.
"""

# ruff: noqa: RUF023 (slots are in wire order)
from __future__ import annotations

from pybroker.wire.message import EMPTY, Message

API_KEY = 14


class SyncGroupRequestAssignment(Message):
    """Versions 0-5, flexible from 4."""

    __slots__ = ("member_id", "assignment")
    VERSIONS = (0, 5)
    FLEXIBLE_FROM = 4
    FIELDS = (
        ("member_id", "string", 0, 5, -1, -1, ""),
        ("assignment", "bytes", 0, 5, -1, -1, b""),
    )

    def __init__(
        self,
        *,
        member_id: str = "",
        assignment: bytes | memoryview = b"",
    ) -> None:
        self.member_id = member_id
        self.assignment = assignment


class SyncGroupRequest(Message):
    """Versions 0-5, flexible from 4."""

    __slots__ = (
        "group_id",
        "generation_id",
        "member_id",
        "group_instance_id",
        "protocol_type",
        "protocol_name",
        "assignments",
    )
    VERSIONS = (0, 5)
    FLEXIBLE_FROM = 4
    FIELDS = (
        ("group_id", "string", 0, 5, -1, -1, ""),
        ("generation_id", "int32", 0, 5, -1, -1, 0),
        ("member_id", "string", 0, 5, -1, -1, ""),
        ("group_instance_id", "string", 3, 5, 3, -1, None),
        ("protocol_type", "string", 5, 5, 5, -1, None),
        ("protocol_name", "string", 5, 5, 5, -1, None),
        ("assignments", "[]SyncGroupRequestAssignment", 0, 5, -1, -1, ()),
    )

    def __init__(
        self,
        *,
        group_id: str = "",
        generation_id: int = 0,
        member_id: str = "",
        group_instance_id: str | None = None,
        protocol_type: str | None = None,
        protocol_name: str | None = None,
        assignments: list[SyncGroupRequestAssignment] = EMPTY,
    ) -> None:
        self.group_id = group_id
        self.generation_id = generation_id
        self.member_id = member_id
        self.group_instance_id = group_instance_id
        self.protocol_type = protocol_type
        self.protocol_name = protocol_name
        self.assignments: list[SyncGroupRequestAssignment] = [] if assignments is EMPTY else assignments


class SyncGroupResponse(Message):
    """Versions 0-5, flexible from 4."""

    __slots__ = ("throttle_time", "error_code", "protocol_type", "protocol_name", "assignment")
    VERSIONS = (0, 5)
    FLEXIBLE_FROM = 4
    FIELDS = (
        ("throttle_time", "int32", 1, 5, -1, -1, 0),
        ("error_code", "int16", 0, 5, -1, -1, 0),
        ("protocol_type", "string", 5, 5, 5, -1, None),
        ("protocol_name", "string", 5, 5, 5, -1, None),
        ("assignment", "bytes", 0, 5, -1, -1, b""),
    )

    def __init__(
        self,
        *,
        throttle_time: int = 0,
        error_code: int = 0,
        protocol_type: str | None = None,
        protocol_name: str | None = None,
        assignment: bytes | memoryview = b"",
    ) -> None:
        self.throttle_time = throttle_time
        self.error_code = error_code
        self.protocol_type = protocol_type
        self.protocol_name = protocol_name
        self.assignment = assignment

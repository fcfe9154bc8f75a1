"""HeartbeatRequest 0-4 and HeartbeatResponse 0-4 (API key 12).

Written by `tools/generate_wire.py`: change that, not this.
"""

# ruff: noqa: RUF023 (slots are in wire order)
from __future__ import annotations

from pybroker.wire.message import Message

API_KEY = 12


class HeartbeatRequest(Message):
    """Versions 0-4, flexible from 4."""

    __slots__ = ("group_id", "generation_id", "member_id", "group_instance_id")
    VERSIONS = (0, 4)
    FLEXIBLE_FROM = 4
    FIELDS = (
        ("group_id", "string", 0, 4, -1, -1, ""),
        ("generation_id", "int32", 0, 4, -1, -1, 0),
        ("member_id", "string", 0, 4, -1, -1, ""),
        ("group_instance_id", "string", 3, 4, 3, -1, None),
    )

    def __init__(
        self,
        *,
        group_id: str = "",
        generation_id: int = 0,
        member_id: str = "",
        group_instance_id: str | None = None,
    ) -> None:
        self.group_id = group_id
        self.generation_id = generation_id
        self.member_id = member_id
        self.group_instance_id = group_instance_id


class HeartbeatResponse(Message):
    """Versions 0-4, flexible from 4."""

    __slots__ = ("throttle_time", "error_code")
    VERSIONS = (0, 4)
    FLEXIBLE_FROM = 4
    FIELDS = (
        ("throttle_time", "int32", 1, 4, -1, -1, 0),
        ("error_code", "int16", 0, 4, -1, -1, 0),
    )

    def __init__(
        self,
        *,
        throttle_time: int = 0,
        error_code: int = 0,
    ) -> None:
        self.throttle_time = throttle_time
        self.error_code = error_code

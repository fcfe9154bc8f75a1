"""ListGroupsRequest 0-5 and ListGroupsResponse 0-5 (API key 16).

Written by `tools/generate_wire.py`: change that, not this.
"""

# ruff: noqa: RUF023 (slots are in wire order)
from __future__ import annotations

from pybroker.wire.message import EMPTY, Message

API_KEY = 16


class ListGroupsRequest(Message):
    """Versions 0-5, flexible from 3."""

    __slots__ = ("states_filter", "types_filter")
    VERSIONS = (0, 5)
    FLEXIBLE_FROM = 3
    FIELDS = (
        ("states_filter", "[]string", 4, 5, -1, -1, ()),
        ("types_filter", "[]string", 5, 5, -1, -1, ()),
    )

    def __init__(
        self,
        *,
        states_filter: list[str] = EMPTY,
        types_filter: list[str] = EMPTY,
    ) -> None:
        self.states_filter: list[str] = [] if states_filter is EMPTY else states_filter
        self.types_filter: list[str] = [] if types_filter is EMPTY else types_filter


class ListedGroup(Message):
    """Versions 0-5, flexible from 3."""

    __slots__ = ("group_id", "protocol_type", "group_state", "group_type")
    VERSIONS = (0, 5)
    FLEXIBLE_FROM = 3
    FIELDS = (
        ("group_id", "string", 0, 5, -1, -1, ""),
        ("protocol_type", "string", 0, 5, -1, -1, ""),
        ("group_state", "string", 4, 5, -1, -1, ""),
        ("group_type", "string", 5, 5, -1, -1, ""),
    )

    def __init__(
        self,
        *,
        group_id: str = "",
        protocol_type: str = "",
        group_state: str = "",
        group_type: str = "",
    ) -> None:
        self.group_id = group_id
        self.protocol_type = protocol_type
        self.group_state = group_state
        self.group_type = group_type


class ListGroupsResponse(Message):
    """Versions 0-5, flexible from 3."""

    __slots__ = ("throttle_time", "error_code", "groups")
    VERSIONS = (0, 5)
    FLEXIBLE_FROM = 3
    FIELDS = (
        ("throttle_time", "int32", 1, 5, -1, -1, 0),
        ("error_code", "int16", 0, 5, -1, -1, 0),
        ("groups", "[]ListedGroup", 0, 5, -1, -1, ()),
    )

    def __init__(
        self,
        *,
        throttle_time: int = 0,
        error_code: int = 0,
        groups: list[ListedGroup] = EMPTY,
    ) -> None:
        self.throttle_time = throttle_time
        self.error_code = error_code
        self.groups: list[ListedGroup] = [] if groups is EMPTY else groups

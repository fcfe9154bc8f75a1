"""DeleteGroupsRequest 0-2 and DeleteGroupsResponse 0-2 (API key 42).

Written by `tools/generate_wire.py`: change that, not this.
"""

# ruff: noqa: RUF023 (slots are in wire order)
from __future__ import annotations

from pybroker.wire.message import EMPTY, Message

API_KEY = 42


class DeleteGroupsRequest(Message):
    """Versions 0-2, flexible from 2."""

    __slots__ = ("groups_names",)
    VERSIONS = (0, 2)
    FLEXIBLE_FROM = 2
    FIELDS = (("groups_names", "[]string", 0, 2, -1, -1, ()),)

    def __init__(
        self,
        *,
        groups_names: list[str] = EMPTY,
    ) -> None:
        self.groups_names: list[str] = [] if groups_names is EMPTY else groups_names


class DeletableGroupResult(Message):
    """Versions 0-2, flexible from 2."""

    __slots__ = ("group_id", "error_code")
    VERSIONS = (0, 2)
    FLEXIBLE_FROM = 2
    FIELDS = (
        ("group_id", "string", 0, 2, -1, -1, ""),
        ("error_code", "int16", 0, 2, -1, -1, 0),
    )

    def __init__(
        self,
        *,
        group_id: str = "",
        error_code: int = 0,
    ) -> None:
        self.group_id = group_id
        self.error_code = error_code


class DeleteGroupsResponse(Message):
    """Versions 0-2, flexible from 2."""

    __slots__ = ("throttle_time", "results")
    VERSIONS = (0, 2)
    FLEXIBLE_FROM = 2
    FIELDS = (
        ("throttle_time", "int32", 0, 2, -1, -1, 0),
        ("results", "[]DeletableGroupResult", 0, 2, -1, -1, ()),
    )

    def __init__(
        self,
        *,
        throttle_time: int = 0,
        results: list[DeletableGroupResult] = EMPTY,
    ) -> None:
        self.throttle_time = throttle_time
        self.results: list[DeletableGroupResult] = [] if results is EMPTY else results

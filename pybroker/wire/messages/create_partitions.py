"""CreatePartitionsRequest 0-3 and CreatePartitionsResponse 0-3 (API key 37).

Written by `tools/generate_wire.py`: change that, not this.
"""

# ruff: noqa: RUF023 (slots are in wire order)
from __future__ import annotations

from pybroker.wire.message import EMPTY, Message

API_KEY = 37


class CreatePartitionsAssignment(Message):
    """Versions 0-3, flexible from 2."""

    __slots__ = ("broker_ids",)
    VERSIONS = (0, 3)
    FLEXIBLE_FROM = 2
    FIELDS = (("broker_ids", "[]int32", 0, 3, -1, -1, ()),)

    def __init__(
        self,
        *,
        broker_ids: list[int] = EMPTY,
    ) -> None:
        self.broker_ids: list[int] = [] if broker_ids is EMPTY else broker_ids


class CreatePartitionsTopic(Message):
    """Versions 0-3, flexible from 2."""

    __slots__ = ("name", "count", "assignments")
    VERSIONS = (0, 3)
    FLEXIBLE_FROM = 2
    FIELDS = (
        ("name", "string", 0, 3, -1, -1, ""),
        ("count", "int32", 0, 3, -1, -1, 0),
        ("assignments", "[]CreatePartitionsAssignment", 0, 3, 0, -1, ()),
    )

    def __init__(
        self,
        *,
        name: str = "",
        count: int = 0,
        assignments: list[CreatePartitionsAssignment] | None = EMPTY,
    ) -> None:
        self.name = name
        self.count = count
        self.assignments: list[CreatePartitionsAssignment] | None = (
            [] if assignments is EMPTY else assignments
        )


class CreatePartitionsRequest(Message):
    """Versions 0-3, flexible from 2."""

    __slots__ = ("topics", "timeout", "validate_only")
    VERSIONS = (0, 3)
    FLEXIBLE_FROM = 2
    FIELDS = (
        ("topics", "[]CreatePartitionsTopic", 0, 3, -1, -1, ()),
        ("timeout", "int32", 0, 3, -1, -1, 0),
        ("validate_only", "bool", 0, 3, -1, -1, False),
    )

    def __init__(
        self,
        *,
        topics: list[CreatePartitionsTopic] = EMPTY,
        timeout: int = 0,
        validate_only: bool = False,
    ) -> None:
        self.topics: list[CreatePartitionsTopic] = [] if topics is EMPTY else topics
        self.timeout = timeout
        self.validate_only = validate_only


class CreatePartitionsTopicResult(Message):
    """Versions 0-3, flexible from 2."""

    __slots__ = ("name", "error_code", "error_message")
    VERSIONS = (0, 3)
    FLEXIBLE_FROM = 2
    FIELDS = (
        ("name", "string", 0, 3, -1, -1, ""),
        ("error_code", "int16", 0, 3, -1, -1, 0),
        ("error_message", "string", 0, 3, 0, -1, None),
    )

    def __init__(
        self,
        *,
        name: str = "",
        error_code: int = 0,
        error_message: str | None = None,
    ) -> None:
        self.name = name
        self.error_code = error_code
        self.error_message = error_message


class CreatePartitionsResponse(Message):
    """Versions 0-3, flexible from 2."""

    __slots__ = ("throttle_time", "results")
    VERSIONS = (0, 3)
    FLEXIBLE_FROM = 2
    FIELDS = (
        ("throttle_time", "int32", 0, 3, -1, -1, 0),
        ("results", "[]CreatePartitionsTopicResult", 0, 3, -1, -1, ()),
    )

    def __init__(
        self,
        *,
        throttle_time: int = 0,
        results: list[CreatePartitionsTopicResult] = EMPTY,
    ) -> None:
        self.throttle_time = throttle_time
        self.results: list[CreatePartitionsTopicResult] = [] if results is EMPTY else results

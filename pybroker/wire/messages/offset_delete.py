"""OffsetDeleteRequest 0-0 and OffsetDeleteResponse 0-0 (API key 47).

Written by `tools/generate_wire.py`: change that, not this.
"""

# ruff: noqa: RUF023 (slots are in wire order)
from __future__ import annotations

from pybroker.wire.message import EMPTY, NEVER, Message

API_KEY = 47


class OffsetDeleteRequestPartition(Message):
    """Version 0."""

    __slots__ = ("partition_index",)
    VERSIONS = (0, 0)
    FLEXIBLE_FROM = NEVER
    FIELDS = (("partition_index", "int32", 0, 0, -1, -1, 0),)

    def __init__(
        self,
        *,
        partition_index: int = 0,
    ) -> None:
        self.partition_index = partition_index


class OffsetDeleteRequestTopic(Message):
    """Version 0."""

    __slots__ = ("name", "partitions")
    VERSIONS = (0, 0)
    FLEXIBLE_FROM = NEVER
    FIELDS = (
        ("name", "string", 0, 0, -1, -1, ""),
        ("partitions", "[]OffsetDeleteRequestPartition", 0, 0, -1, -1, ()),
    )

    def __init__(
        self,
        *,
        name: str = "",
        partitions: list[OffsetDeleteRequestPartition] = EMPTY,
    ) -> None:
        self.name = name
        self.partitions: list[OffsetDeleteRequestPartition] = [] if partitions is EMPTY else partitions


class OffsetDeleteRequest(Message):
    """Version 0."""

    __slots__ = ("group_id", "topics")
    VERSIONS = (0, 0)
    FLEXIBLE_FROM = NEVER
    FIELDS = (
        ("group_id", "string", 0, 0, -1, -1, ""),
        ("topics", "[]OffsetDeleteRequestTopic", 0, 0, -1, -1, ()),
    )

    def __init__(
        self,
        *,
        group_id: str = "",
        topics: list[OffsetDeleteRequestTopic] = EMPTY,
    ) -> None:
        self.group_id = group_id
        self.topics: list[OffsetDeleteRequestTopic] = [] if topics is EMPTY else topics


class OffsetDeleteResponsePartition(Message):
    """Version 0."""

    __slots__ = ("partition_index", "error_code")
    VERSIONS = (0, 0)
    FLEXIBLE_FROM = NEVER
    FIELDS = (
        ("partition_index", "int32", 0, 0, -1, -1, 0),
        ("error_code", "int16", 0, 0, -1, -1, 0),
    )

    def __init__(
        self,
        *,
        partition_index: int = 0,
        error_code: int = 0,
    ) -> None:
        self.partition_index = partition_index
        self.error_code = error_code


class OffsetDeleteResponseTopic(Message):
    """Version 0."""

    __slots__ = ("name", "partitions")
    VERSIONS = (0, 0)
    FLEXIBLE_FROM = NEVER
    FIELDS = (
        ("name", "string", 0, 0, -1, -1, ""),
        ("partitions", "[]OffsetDeleteResponsePartition", 0, 0, -1, -1, ()),
    )

    def __init__(
        self,
        *,
        name: str = "",
        partitions: list[OffsetDeleteResponsePartition] = EMPTY,
    ) -> None:
        self.name = name
        self.partitions: list[OffsetDeleteResponsePartition] = [] if partitions is EMPTY else partitions


class OffsetDeleteResponse(Message):
    """Version 0."""

    __slots__ = ("error_code", "throttle_time", "topics")
    VERSIONS = (0, 0)
    FLEXIBLE_FROM = NEVER
    FIELDS = (
        ("error_code", "int16", 0, 0, -1, -1, 0),
        ("throttle_time", "int32", 0, 0, -1, -1, 0),
        ("topics", "[]OffsetDeleteResponseTopic", 0, 0, -1, -1, ()),
    )

    def __init__(
        self,
        *,
        error_code: int = 0,
        throttle_time: int = 0,
        topics: list[OffsetDeleteResponseTopic] = EMPTY,
    ) -> None:
        self.error_code = error_code
        self.throttle_time = throttle_time
        self.topics: list[OffsetDeleteResponseTopic] = [] if topics is EMPTY else topics

"""DescribeShareGroupOffsetsRequest 0-1 and DescribeShareGroupOffsetsResponse 0-1 (API key 90).

Written by `tools/generate_wire.py`: change that, not this.
"""

# ruff: noqa: RUF023 (slots are in wire order)
from __future__ import annotations

from pybroker.wire.message import EMPTY, ZERO_UUID, Message

API_KEY = 90


class DescribeShareGroupOffsetsRequestTopic(Message):
    """Versions 0-1, flexible from 0."""

    __slots__ = ("topic_name", "partitions")
    VERSIONS = (0, 1)
    FLEXIBLE_FROM = 0
    FIELDS = (
        ("topic_name", "string", 0, 1, -1, -1, ""),
        ("partitions", "[]int32", 0, 1, -1, -1, ()),
    )

    def __init__(
        self,
        *,
        topic_name: str = "",
        partitions: list[int] = EMPTY,
    ) -> None:
        self.topic_name = topic_name
        self.partitions: list[int] = [] if partitions is EMPTY else partitions


class DescribeShareGroupOffsetsRequestGroup(Message):
    """Versions 0-1, flexible from 0."""

    __slots__ = ("group_id", "topics")
    VERSIONS = (0, 1)
    FLEXIBLE_FROM = 0
    FIELDS = (
        ("group_id", "string", 0, 1, -1, -1, ""),
        ("topics", "[]DescribeShareGroupOffsetsRequestTopic", 0, 1, 0, -1, ()),
    )

    def __init__(
        self,
        *,
        group_id: str = "",
        topics: list[DescribeShareGroupOffsetsRequestTopic] | None = EMPTY,
    ) -> None:
        self.group_id = group_id
        self.topics: list[DescribeShareGroupOffsetsRequestTopic] | None = [] if topics is EMPTY else topics


class DescribeShareGroupOffsetsRequest(Message):
    """Versions 0-1, flexible from 0."""

    __slots__ = ("groups",)
    VERSIONS = (0, 1)
    FLEXIBLE_FROM = 0
    FIELDS = (("groups", "[]DescribeShareGroupOffsetsRequestGroup", 0, 1, -1, -1, ()),)

    def __init__(
        self,
        *,
        groups: list[DescribeShareGroupOffsetsRequestGroup] = EMPTY,
    ) -> None:
        self.groups: list[DescribeShareGroupOffsetsRequestGroup] = [] if groups is EMPTY else groups


class DescribeShareGroupOffsetsResponsePartition(Message):
    """Versions 0-1, flexible from 0."""

    __slots__ = ("partition_index", "start_offset", "leader_epoch", "lag", "error_code", "error_message")
    VERSIONS = (0, 1)
    FLEXIBLE_FROM = 0
    FIELDS = (
        ("partition_index", "int32", 0, 1, -1, -1, 0),
        ("start_offset", "int64", 0, 1, -1, -1, 0),
        ("leader_epoch", "int32", 0, 1, -1, -1, 0),
        ("lag", "int64", 1, 1, -1, -1, -1),
        ("error_code", "int16", 0, 1, -1, -1, 0),
        ("error_message", "string", 0, 1, 0, -1, None),
    )

    def __init__(
        self,
        *,
        partition_index: int = 0,
        start_offset: int = 0,
        leader_epoch: int = 0,
        lag: int = -1,
        error_code: int = 0,
        error_message: str | None = None,
    ) -> None:
        self.partition_index = partition_index
        self.start_offset = start_offset
        self.leader_epoch = leader_epoch
        self.lag = lag
        self.error_code = error_code
        self.error_message = error_message


class DescribeShareGroupOffsetsResponseTopic(Message):
    """Versions 0-1, flexible from 0."""

    __slots__ = ("topic_name", "topic_id", "partitions")
    VERSIONS = (0, 1)
    FLEXIBLE_FROM = 0
    FIELDS = (
        ("topic_name", "string", 0, 1, -1, -1, ""),
        ("topic_id", "uuid", 0, 1, -1, -1, None),
        ("partitions", "[]DescribeShareGroupOffsetsResponsePartition", 0, 1, -1, -1, ()),
    )

    def __init__(
        self,
        *,
        topic_name: str = "",
        topic_id: bytes = ZERO_UUID,
        partitions: list[DescribeShareGroupOffsetsResponsePartition] = EMPTY,
    ) -> None:
        self.topic_name = topic_name
        self.topic_id = topic_id
        self.partitions: list[DescribeShareGroupOffsetsResponsePartition] = (
            [] if partitions is EMPTY else partitions
        )


class DescribeShareGroupOffsetsResponseGroup(Message):
    """Versions 0-1, flexible from 0."""

    __slots__ = ("group_id", "topics", "error_code", "error_message")
    VERSIONS = (0, 1)
    FLEXIBLE_FROM = 0
    FIELDS = (
        ("group_id", "string", 0, 1, -1, -1, ""),
        ("topics", "[]DescribeShareGroupOffsetsResponseTopic", 0, 1, -1, -1, ()),
        ("error_code", "int16", 0, 1, -1, -1, 0),
        ("error_message", "string", 0, 1, 0, -1, None),
    )

    def __init__(
        self,
        *,
        group_id: str = "",
        topics: list[DescribeShareGroupOffsetsResponseTopic] = EMPTY,
        error_code: int = 0,
        error_message: str | None = None,
    ) -> None:
        self.group_id = group_id
        self.topics: list[DescribeShareGroupOffsetsResponseTopic] = [] if topics is EMPTY else topics
        self.error_code = error_code
        self.error_message = error_message


class DescribeShareGroupOffsetsResponse(Message):
    """Versions 0-1, flexible from 0."""

    __slots__ = ("throttle_time", "groups")
    VERSIONS = (0, 1)
    FLEXIBLE_FROM = 0
    FIELDS = (
        ("throttle_time", "int32", 0, 1, -1, -1, 0),
        ("groups", "[]DescribeShareGroupOffsetsResponseGroup", 0, 1, -1, -1, ()),
    )

    def __init__(
        self,
        *,
        throttle_time: int = 0,
        groups: list[DescribeShareGroupOffsetsResponseGroup] = EMPTY,
    ) -> None:
        self.throttle_time = throttle_time
        self.groups: list[DescribeShareGroupOffsetsResponseGroup] = [] if groups is EMPTY else groups

"""OffsetFetchRequest 1-10 and OffsetFetchResponse 1-10 (API key 9).

Written by `tools/generate_wire.py`: change that, not this.
"""

# ruff: noqa: RUF023 (slots are in wire order)
from __future__ import annotations

from pybroker.wire.message import EMPTY, ZERO_UUID, Message

API_KEY = 9


class OffsetFetchRequestTopics(Message):
    """Versions 8-10, flexible from 6."""

    __slots__ = ("name", "topic_id", "partition_indexes")
    VERSIONS = (8, 10)
    FLEXIBLE_FROM = 6
    FIELDS = (
        ("name", "string", 8, 9, -1, -1, ""),
        ("topic_id", "uuid", 10, 10, -1, -1, None),
        ("partition_indexes", "[]int32", 8, 10, -1, -1, ()),
    )

    def __init__(
        self,
        *,
        name: str = "",
        topic_id: bytes = ZERO_UUID,
        partition_indexes: list[int] = EMPTY,
    ) -> None:
        self.name = name
        self.topic_id = topic_id
        self.partition_indexes: list[int] = [] if partition_indexes is EMPTY else partition_indexes


class OffsetFetchRequestGroup(Message):
    """Versions 8-10, flexible from 6."""

    __slots__ = ("group_id", "member_id", "member_epoch", "topics")
    VERSIONS = (8, 10)
    FLEXIBLE_FROM = 6
    FIELDS = (
        ("group_id", "string", 8, 10, -1, -1, ""),
        ("member_id", "string", 9, 10, 9, -1, None),
        ("member_epoch", "int32", 9, 10, -1, -1, -1),
        ("topics", "[]OffsetFetchRequestTopics", 8, 10, 8, -1, ()),
    )

    def __init__(
        self,
        *,
        group_id: str = "",
        member_id: str | None = None,
        member_epoch: int = -1,
        topics: list[OffsetFetchRequestTopics] | None = EMPTY,
    ) -> None:
        self.group_id = group_id
        self.member_id = member_id
        self.member_epoch = member_epoch
        self.topics: list[OffsetFetchRequestTopics] | None = [] if topics is EMPTY else topics


class OffsetFetchRequestTopic(Message):
    """Versions 1-7, flexible from 6."""

    __slots__ = ("name", "partition_indexes")
    VERSIONS = (1, 7)
    FLEXIBLE_FROM = 6
    FIELDS = (
        ("name", "string", 1, 7, -1, -1, ""),
        ("partition_indexes", "[]int32", 1, 7, -1, -1, ()),
    )

    def __init__(
        self,
        *,
        name: str = "",
        partition_indexes: list[int] = EMPTY,
    ) -> None:
        self.name = name
        self.partition_indexes: list[int] = [] if partition_indexes is EMPTY else partition_indexes


class OffsetFetchRequest(Message):
    """Versions 1-10, flexible from 6."""

    __slots__ = ("group_id", "topics", "groups", "require_stable")
    VERSIONS = (1, 10)
    FLEXIBLE_FROM = 6
    FIELDS = (
        ("group_id", "string", 1, 7, -1, -1, ""),
        ("topics", "[]OffsetFetchRequestTopic", 1, 7, 2, -1, ()),
        ("groups", "[]OffsetFetchRequestGroup", 8, 10, -1, -1, ()),
        ("require_stable", "bool", 7, 10, -1, -1, False),
    )

    def __init__(
        self,
        *,
        group_id: str = "",
        topics: list[OffsetFetchRequestTopic] | None = EMPTY,
        groups: list[OffsetFetchRequestGroup] = EMPTY,
        require_stable: bool = False,
    ) -> None:
        self.group_id = group_id
        self.topics: list[OffsetFetchRequestTopic] | None = [] if topics is EMPTY else topics
        self.groups: list[OffsetFetchRequestGroup] = [] if groups is EMPTY else groups
        self.require_stable = require_stable


class OffsetFetchResponsePartitions(Message):
    """Versions 8-10, flexible from 6."""

    __slots__ = ("partition_index", "committed_offset", "committed_leader_epoch", "metadata", "error_code")
    VERSIONS = (8, 10)
    FLEXIBLE_FROM = 6
    FIELDS = (
        ("partition_index", "int32", 8, 10, -1, -1, 0),
        ("committed_offset", "int64", 8, 10, -1, -1, 0),
        ("committed_leader_epoch", "int32", 8, 10, -1, -1, -1),
        ("metadata", "string", 8, 10, 8, -1, ""),
        ("error_code", "int16", 8, 10, -1, -1, 0),
    )

    def __init__(
        self,
        *,
        partition_index: int = 0,
        committed_offset: int = 0,
        committed_leader_epoch: int = -1,
        metadata: str | None = "",
        error_code: int = 0,
    ) -> None:
        self.partition_index = partition_index
        self.committed_offset = committed_offset
        self.committed_leader_epoch = committed_leader_epoch
        self.metadata = metadata
        self.error_code = error_code


class OffsetFetchResponseTopics(Message):
    """Versions 8-10, flexible from 6."""

    __slots__ = ("name", "topic_id", "partitions")
    VERSIONS = (8, 10)
    FLEXIBLE_FROM = 6
    FIELDS = (
        ("name", "string", 8, 9, -1, -1, ""),
        ("topic_id", "uuid", 10, 10, -1, -1, None),
        ("partitions", "[]OffsetFetchResponsePartitions", 8, 10, -1, -1, ()),
    )

    def __init__(
        self,
        *,
        name: str = "",
        topic_id: bytes = ZERO_UUID,
        partitions: list[OffsetFetchResponsePartitions] = EMPTY,
    ) -> None:
        self.name = name
        self.topic_id = topic_id
        self.partitions: list[OffsetFetchResponsePartitions] = [] if partitions is EMPTY else partitions


class OffsetFetchResponseGroup(Message):
    """Versions 8-10, flexible from 6."""

    __slots__ = ("group_id", "topics", "error_code")
    VERSIONS = (8, 10)
    FLEXIBLE_FROM = 6
    FIELDS = (
        ("group_id", "string", 8, 10, -1, -1, ""),
        ("topics", "[]OffsetFetchResponseTopics", 8, 10, -1, -1, ()),
        ("error_code", "int16", 8, 10, -1, -1, 0),
    )

    def __init__(
        self,
        *,
        group_id: str = "",
        topics: list[OffsetFetchResponseTopics] = EMPTY,
        error_code: int = 0,
    ) -> None:
        self.group_id = group_id
        self.topics: list[OffsetFetchResponseTopics] = [] if topics is EMPTY else topics
        self.error_code = error_code


class OffsetFetchResponsePartition(Message):
    """Versions 1-7, flexible from 6."""

    __slots__ = ("partition_index", "committed_offset", "committed_leader_epoch", "metadata", "error_code")
    VERSIONS = (1, 7)
    FLEXIBLE_FROM = 6
    FIELDS = (
        ("partition_index", "int32", 1, 7, -1, -1, 0),
        ("committed_offset", "int64", 1, 7, -1, -1, 0),
        ("committed_leader_epoch", "int32", 5, 7, -1, -1, -1),
        ("metadata", "string", 1, 7, 1, -1, ""),
        ("error_code", "int16", 1, 7, -1, -1, 0),
    )

    def __init__(
        self,
        *,
        partition_index: int = 0,
        committed_offset: int = 0,
        committed_leader_epoch: int = -1,
        metadata: str | None = "",
        error_code: int = 0,
    ) -> None:
        self.partition_index = partition_index
        self.committed_offset = committed_offset
        self.committed_leader_epoch = committed_leader_epoch
        self.metadata = metadata
        self.error_code = error_code


class OffsetFetchResponseTopic(Message):
    """Versions 1-7, flexible from 6."""

    __slots__ = ("name", "partitions")
    VERSIONS = (1, 7)
    FLEXIBLE_FROM = 6
    FIELDS = (
        ("name", "string", 1, 7, -1, -1, ""),
        ("partitions", "[]OffsetFetchResponsePartition", 1, 7, -1, -1, ()),
    )

    def __init__(
        self,
        *,
        name: str = "",
        partitions: list[OffsetFetchResponsePartition] = EMPTY,
    ) -> None:
        self.name = name
        self.partitions: list[OffsetFetchResponsePartition] = [] if partitions is EMPTY else partitions


class OffsetFetchResponse(Message):
    """Versions 1-10, flexible from 6."""

    __slots__ = ("throttle_time", "topics", "error_code", "groups")
    VERSIONS = (1, 10)
    FLEXIBLE_FROM = 6
    FIELDS = (
        ("throttle_time", "int32", 3, 10, -1, -1, 0),
        ("topics", "[]OffsetFetchResponseTopic", 1, 7, -1, -1, ()),
        ("error_code", "int16", 2, 7, -1, -1, 0),
        ("groups", "[]OffsetFetchResponseGroup", 8, 10, -1, -1, ()),
    )

    def __init__(
        self,
        *,
        throttle_time: int = 0,
        topics: list[OffsetFetchResponseTopic] = EMPTY,
        error_code: int = 0,
        groups: list[OffsetFetchResponseGroup] = EMPTY,
    ) -> None:
        self.throttle_time = throttle_time
        self.topics: list[OffsetFetchResponseTopic] = [] if topics is EMPTY else topics
        self.error_code = error_code
        self.groups: list[OffsetFetchResponseGroup] = [] if groups is EMPTY else groups

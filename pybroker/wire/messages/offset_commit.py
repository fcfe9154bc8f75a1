"""OffsetCommitRequest 2-10 and OffsetCommitResponse 2-10 (API key 8).

Written by `tools/generate_wire.py`: change that, not this.
"""

# ruff: noqa: RUF023 (slots are in wire order)
from __future__ import annotations

from pybroker.wire.message import EMPTY, ZERO_UUID, Message

API_KEY = 8


class OffsetCommitRequestPartition(Message):
    """Versions 2-10, flexible from 8."""

    __slots__ = ("partition_index", "committed_offset", "committed_leader_epoch", "committed_metadata")
    VERSIONS = (2, 10)
    FLEXIBLE_FROM = 8
    FIELDS = (
        ("partition_index", "int32", 2, 10, -1, -1, 0),
        ("committed_offset", "int64", 2, 10, -1, -1, 0),
        ("committed_leader_epoch", "int32", 6, 10, -1, -1, -1),
        ("committed_metadata", "string", 2, 10, 2, -1, ""),
    )

    def __init__(
        self,
        *,
        partition_index: int = 0,
        committed_offset: int = 0,
        committed_leader_epoch: int = -1,
        committed_metadata: str | None = "",
    ) -> None:
        self.partition_index = partition_index
        self.committed_offset = committed_offset
        self.committed_leader_epoch = committed_leader_epoch
        self.committed_metadata = committed_metadata


class OffsetCommitRequestTopic(Message):
    """Versions 2-10, flexible from 8."""

    __slots__ = ("name", "topic_id", "partitions")
    VERSIONS = (2, 10)
    FLEXIBLE_FROM = 8
    FIELDS = (
        ("name", "string", 2, 9, -1, -1, ""),
        ("topic_id", "uuid", 10, 10, -1, -1, None),
        ("partitions", "[]OffsetCommitRequestPartition", 2, 10, -1, -1, ()),
    )

    def __init__(
        self,
        *,
        name: str = "",
        topic_id: bytes = ZERO_UUID,
        partitions: list[OffsetCommitRequestPartition] = EMPTY,
    ) -> None:
        self.name = name
        self.topic_id = topic_id
        self.partitions: list[OffsetCommitRequestPartition] = [] if partitions is EMPTY else partitions


class OffsetCommitRequest(Message):
    """Versions 2-10, flexible from 8."""

    __slots__ = (
        "group_id",
        "generation_id_or_member_epoch",
        "member_id",
        "retention_time",
        "group_instance_id",
        "topics",
    )
    VERSIONS = (2, 10)
    FLEXIBLE_FROM = 8
    FIELDS = (
        ("group_id", "string", 2, 10, -1, -1, ""),
        ("generation_id_or_member_epoch", "int32", 2, 10, -1, -1, -1),
        ("member_id", "string", 2, 10, -1, -1, ""),
        ("retention_time", "int64", 2, 4, -1, -1, -1),
        ("group_instance_id", "string", 7, 10, 7, -1, None),
        ("topics", "[]OffsetCommitRequestTopic", 2, 10, -1, -1, ()),
    )

    def __init__(
        self,
        *,
        group_id: str = "",
        generation_id_or_member_epoch: int = -1,
        member_id: str = "",
        retention_time: int = -1,
        group_instance_id: str | None = None,
        topics: list[OffsetCommitRequestTopic] = EMPTY,
    ) -> None:
        self.group_id = group_id
        self.generation_id_or_member_epoch = generation_id_or_member_epoch
        self.member_id = member_id
        self.retention_time = retention_time
        self.group_instance_id = group_instance_id
        self.topics: list[OffsetCommitRequestTopic] = [] if topics is EMPTY else topics


class OffsetCommitResponsePartition(Message):
    """Versions 2-10, flexible from 8."""

    __slots__ = ("partition_index", "error_code")
    VERSIONS = (2, 10)
    FLEXIBLE_FROM = 8
    FIELDS = (
        ("partition_index", "int32", 2, 10, -1, -1, 0),
        ("error_code", "int16", 2, 10, -1, -1, 0),
    )

    def __init__(
        self,
        *,
        partition_index: int = 0,
        error_code: int = 0,
    ) -> None:
        self.partition_index = partition_index
        self.error_code = error_code


class OffsetCommitResponseTopic(Message):
    """Versions 2-10, flexible from 8."""

    __slots__ = ("name", "topic_id", "partitions")
    VERSIONS = (2, 10)
    FLEXIBLE_FROM = 8
    FIELDS = (
        ("name", "string", 2, 9, -1, -1, ""),
        ("topic_id", "uuid", 10, 10, -1, -1, None),
        ("partitions", "[]OffsetCommitResponsePartition", 2, 10, -1, -1, ()),
    )

    def __init__(
        self,
        *,
        name: str = "",
        topic_id: bytes = ZERO_UUID,
        partitions: list[OffsetCommitResponsePartition] = EMPTY,
    ) -> None:
        self.name = name
        self.topic_id = topic_id
        self.partitions: list[OffsetCommitResponsePartition] = [] if partitions is EMPTY else partitions


class OffsetCommitResponse(Message):
    """Versions 2-10, flexible from 8."""

    __slots__ = ("throttle_time", "topics")
    VERSIONS = (2, 10)
    FLEXIBLE_FROM = 8
    FIELDS = (
        ("throttle_time", "int32", 3, 10, -1, -1, 0),
        ("topics", "[]OffsetCommitResponseTopic", 2, 10, -1, -1, ()),
    )

    def __init__(
        self,
        *,
        throttle_time: int = 0,
        topics: list[OffsetCommitResponseTopic] = EMPTY,
    ) -> None:
        self.throttle_time = throttle_time
        self.topics: list[OffsetCommitResponseTopic] = [] if topics is EMPTY else topics

"""OffsetForLeaderEpochRequest 2-4 and OffsetForLeaderEpochResponse 2-4 (API key 23).

Written by `tools/generate_wire.py`: change that, not this.
"""

# ruff: noqa: RUF023 (slots are in wire order)
from __future__ import annotations

from pybroker.wire.message import EMPTY, Message

API_KEY = 23


class OffsetForLeaderPartition(Message):
    """Versions 2-4, flexible from 4."""

    __slots__ = ("partition", "current_leader_epoch", "leader_epoch")
    VERSIONS = (2, 4)
    FLEXIBLE_FROM = 4
    FIELDS = (
        ("partition", "int32", 2, 4, -1, -1, 0),
        ("current_leader_epoch", "int32", 2, 4, -1, -1, -1),
        ("leader_epoch", "int32", 2, 4, -1, -1, 0),
    )

    def __init__(
        self,
        *,
        partition: int = 0,
        current_leader_epoch: int = -1,
        leader_epoch: int = 0,
    ) -> None:
        self.partition = partition
        self.current_leader_epoch = current_leader_epoch
        self.leader_epoch = leader_epoch


class OffsetForLeaderTopic(Message):
    """Versions 2-4, flexible from 4."""

    __slots__ = ("topic", "partitions")
    VERSIONS = (2, 4)
    FLEXIBLE_FROM = 4
    FIELDS = (
        ("topic", "string", 2, 4, -1, -1, ""),
        ("partitions", "[]OffsetForLeaderPartition", 2, 4, -1, -1, ()),
    )

    def __init__(
        self,
        *,
        topic: str = "",
        partitions: list[OffsetForLeaderPartition] = EMPTY,
    ) -> None:
        self.topic = topic
        self.partitions: list[OffsetForLeaderPartition] = [] if partitions is EMPTY else partitions


class OffsetForLeaderEpochRequest(Message):
    """Versions 2-4, flexible from 4."""

    __slots__ = ("replica_id", "topics")
    VERSIONS = (2, 4)
    FLEXIBLE_FROM = 4
    FIELDS = (
        ("replica_id", "int32", 3, 4, -1, -1, -2),
        ("topics", "[]OffsetForLeaderTopic", 2, 4, -1, -1, ()),
    )

    def __init__(
        self,
        *,
        replica_id: int = -2,
        topics: list[OffsetForLeaderTopic] = EMPTY,
    ) -> None:
        self.replica_id = replica_id
        self.topics: list[OffsetForLeaderTopic] = [] if topics is EMPTY else topics


class EpochEndOffset(Message):
    """Versions 2-4, flexible from 4."""

    __slots__ = ("error_code", "partition", "leader_epoch", "end_offset")
    VERSIONS = (2, 4)
    FLEXIBLE_FROM = 4
    FIELDS = (
        ("error_code", "int16", 2, 4, -1, -1, 0),
        ("partition", "int32", 2, 4, -1, -1, 0),
        ("leader_epoch", "int32", 2, 4, -1, -1, -1),
        ("end_offset", "int64", 2, 4, -1, -1, -1),
    )

    def __init__(
        self,
        *,
        error_code: int = 0,
        partition: int = 0,
        leader_epoch: int = -1,
        end_offset: int = -1,
    ) -> None:
        self.error_code = error_code
        self.partition = partition
        self.leader_epoch = leader_epoch
        self.end_offset = end_offset


class OffsetForLeaderTopicResult(Message):
    """Versions 2-4, flexible from 4."""

    __slots__ = ("topic", "partitions")
    VERSIONS = (2, 4)
    FLEXIBLE_FROM = 4
    FIELDS = (
        ("topic", "string", 2, 4, -1, -1, ""),
        ("partitions", "[]EpochEndOffset", 2, 4, -1, -1, ()),
    )

    def __init__(
        self,
        *,
        topic: str = "",
        partitions: list[EpochEndOffset] = EMPTY,
    ) -> None:
        self.topic = topic
        self.partitions: list[EpochEndOffset] = [] if partitions is EMPTY else partitions


class OffsetForLeaderEpochResponse(Message):
    """Versions 2-4, flexible from 4."""

    __slots__ = ("throttle_time", "topics")
    VERSIONS = (2, 4)
    FLEXIBLE_FROM = 4
    FIELDS = (
        ("throttle_time", "int32", 2, 4, -1, -1, 0),
        ("topics", "[]OffsetForLeaderTopicResult", 2, 4, -1, -1, ()),
    )

    def __init__(
        self,
        *,
        throttle_time: int = 0,
        topics: list[OffsetForLeaderTopicResult] = EMPTY,
    ) -> None:
        self.throttle_time = throttle_time
        self.topics: list[OffsetForLeaderTopicResult] = [] if topics is EMPTY else topics

"""ListOffsetsRequest 1-11 and ListOffsetsResponse 1-11 (API key 2).

Written by `tools/generate_wire.py`: change that, not this.
"""

# ruff: noqa: RUF023 (slots are in wire order)
from __future__ import annotations

from pybroker.wire.message import EMPTY, Message

API_KEY = 2


class ListOffsetsPartition(Message):
    """Versions 1-11, flexible from 6."""

    __slots__ = ("partition_index", "current_leader_epoch", "timestamp")
    VERSIONS = (1, 11)
    FLEXIBLE_FROM = 6
    FIELDS = (
        ("partition_index", "int32", 1, 11, -1, -1, 0),
        ("current_leader_epoch", "int32", 4, 11, -1, -1, -1),
        ("timestamp", "int64", 1, 11, -1, -1, 0),
    )

    def __init__(
        self,
        *,
        partition_index: int = 0,
        current_leader_epoch: int = -1,
        timestamp: int = 0,
    ) -> None:
        self.partition_index = partition_index
        self.current_leader_epoch = current_leader_epoch
        self.timestamp = timestamp


class ListOffsetsTopic(Message):
    """Versions 1-11, flexible from 6."""

    __slots__ = ("name", "partitions")
    VERSIONS = (1, 11)
    FLEXIBLE_FROM = 6
    FIELDS = (
        ("name", "string", 1, 11, -1, -1, ""),
        ("partitions", "[]ListOffsetsPartition", 1, 11, -1, -1, ()),
    )

    def __init__(
        self,
        *,
        name: str = "",
        partitions: list[ListOffsetsPartition] = EMPTY,
    ) -> None:
        self.name = name
        self.partitions: list[ListOffsetsPartition] = [] if partitions is EMPTY else partitions


class ListOffsetsRequest(Message):
    """Versions 1-11, flexible from 6."""

    __slots__ = ("replica_id", "isolation_level", "topics", "timeout")
    VERSIONS = (1, 11)
    FLEXIBLE_FROM = 6
    FIELDS = (
        ("replica_id", "int32", 1, 11, -1, -1, 0),
        ("isolation_level", "int8", 2, 11, -1, -1, 0),
        ("topics", "[]ListOffsetsTopic", 1, 11, -1, -1, ()),
        ("timeout", "int32", 10, 11, -1, -1, 0),
    )

    def __init__(
        self,
        *,
        replica_id: int = 0,
        isolation_level: int = 0,
        topics: list[ListOffsetsTopic] = EMPTY,
        timeout: int = 0,
    ) -> None:
        self.replica_id = replica_id
        self.isolation_level = isolation_level
        self.topics: list[ListOffsetsTopic] = [] if topics is EMPTY else topics
        self.timeout = timeout


class ListOffsetsPartitionResponse(Message):
    """Versions 1-11, flexible from 6."""

    __slots__ = ("partition_index", "error_code", "timestamp", "offset", "leader_epoch")
    VERSIONS = (1, 11)
    FLEXIBLE_FROM = 6
    FIELDS = (
        ("partition_index", "int32", 1, 11, -1, -1, 0),
        ("error_code", "int16", 1, 11, -1, -1, 0),
        ("timestamp", "int64", 1, 11, -1, -1, -1),
        ("offset", "int64", 1, 11, -1, -1, -1),
        ("leader_epoch", "int32", 4, 11, -1, -1, -1),
    )

    def __init__(
        self,
        *,
        partition_index: int = 0,
        error_code: int = 0,
        timestamp: int = -1,
        offset: int = -1,
        leader_epoch: int = -1,
    ) -> None:
        self.partition_index = partition_index
        self.error_code = error_code
        self.timestamp = timestamp
        self.offset = offset
        self.leader_epoch = leader_epoch


class ListOffsetsTopicResponse(Message):
    """Versions 1-11, flexible from 6."""

    __slots__ = ("name", "partitions")
    VERSIONS = (1, 11)
    FLEXIBLE_FROM = 6
    FIELDS = (
        ("name", "string", 1, 11, -1, -1, ""),
        ("partitions", "[]ListOffsetsPartitionResponse", 1, 11, -1, -1, ()),
    )

    def __init__(
        self,
        *,
        name: str = "",
        partitions: list[ListOffsetsPartitionResponse] = EMPTY,
    ) -> None:
        self.name = name
        self.partitions: list[ListOffsetsPartitionResponse] = [] if partitions is EMPTY else partitions


class ListOffsetsResponse(Message):
    """Versions 1-11, flexible from 6."""

    __slots__ = ("throttle_time", "topics")
    VERSIONS = (1, 11)
    FLEXIBLE_FROM = 6
    FIELDS = (
        ("throttle_time", "int32", 2, 11, -1, -1, 0),
        ("topics", "[]ListOffsetsTopicResponse", 1, 11, -1, -1, ()),
    )

    def __init__(
        self,
        *,
        throttle_time: int = 0,
        topics: list[ListOffsetsTopicResponse] = EMPTY,
    ) -> None:
        self.throttle_time = throttle_time
        self.topics: list[ListOffsetsTopicResponse] = [] if topics is EMPTY else topics

"""AssignReplicasToDirsRequest 0-0 and AssignReplicasToDirsResponse 0-0 (API key 73).

Written by `tools/generate_wire.py`: change that, not this.
"""

# ruff: noqa: RUF023 (slots are in wire order)
from __future__ import annotations

from pybroker.wire.message import EMPTY, ZERO_UUID, Message

API_KEY = 73


class RequestPartitionData(Message):
    """Version 0, flexible from 0."""

    __slots__ = ("partition_index",)
    VERSIONS = (0, 0)
    FLEXIBLE_FROM = 0
    FIELDS = (("partition_index", "int32", 0, 0, -1, -1, 0),)

    def __init__(
        self,
        *,
        partition_index: int = 0,
    ) -> None:
        self.partition_index = partition_index


class RequestTopicData(Message):
    """Version 0, flexible from 0."""

    __slots__ = ("topic_id", "partitions")
    VERSIONS = (0, 0)
    FLEXIBLE_FROM = 0
    FIELDS = (
        ("topic_id", "uuid", 0, 0, -1, -1, None),
        ("partitions", "[]RequestPartitionData", 0, 0, -1, -1, ()),
    )

    def __init__(
        self,
        *,
        topic_id: bytes = ZERO_UUID,
        partitions: list[RequestPartitionData] = EMPTY,
    ) -> None:
        self.topic_id = topic_id
        self.partitions: list[RequestPartitionData] = [] if partitions is EMPTY else partitions


class RequestDirectoryData(Message):
    """Version 0, flexible from 0."""

    __slots__ = ("id_", "topics")
    VERSIONS = (0, 0)
    FLEXIBLE_FROM = 0
    FIELDS = (
        ("id_", "uuid", 0, 0, -1, -1, None),
        ("topics", "[]RequestTopicData", 0, 0, -1, -1, ()),
    )

    def __init__(
        self,
        *,
        id_: bytes = ZERO_UUID,
        topics: list[RequestTopicData] = EMPTY,
    ) -> None:
        self.id_ = id_
        self.topics: list[RequestTopicData] = [] if topics is EMPTY else topics


class AssignReplicasToDirsRequest(Message):
    """Version 0, flexible from 0."""

    __slots__ = ("broker_id", "broker_epoch", "directories")
    VERSIONS = (0, 0)
    FLEXIBLE_FROM = 0
    FIELDS = (
        ("broker_id", "int32", 0, 0, -1, -1, 0),
        ("broker_epoch", "int64", 0, 0, -1, -1, -1),
        ("directories", "[]RequestDirectoryData", 0, 0, -1, -1, ()),
    )

    def __init__(
        self,
        *,
        broker_id: int = 0,
        broker_epoch: int = -1,
        directories: list[RequestDirectoryData] = EMPTY,
    ) -> None:
        self.broker_id = broker_id
        self.broker_epoch = broker_epoch
        self.directories: list[RequestDirectoryData] = [] if directories is EMPTY else directories


class ResponsePartitionData(Message):
    """Version 0, flexible from 0."""

    __slots__ = ("partition_index", "error_code")
    VERSIONS = (0, 0)
    FLEXIBLE_FROM = 0
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


class ResponseTopicData(Message):
    """Version 0, flexible from 0."""

    __slots__ = ("topic_id", "partitions")
    VERSIONS = (0, 0)
    FLEXIBLE_FROM = 0
    FIELDS = (
        ("topic_id", "uuid", 0, 0, -1, -1, None),
        ("partitions", "[]ResponsePartitionData", 0, 0, -1, -1, ()),
    )

    def __init__(
        self,
        *,
        topic_id: bytes = ZERO_UUID,
        partitions: list[ResponsePartitionData] = EMPTY,
    ) -> None:
        self.topic_id = topic_id
        self.partitions: list[ResponsePartitionData] = [] if partitions is EMPTY else partitions


class ResponseDirectoryData(Message):
    """Version 0, flexible from 0."""

    __slots__ = ("id_", "topics")
    VERSIONS = (0, 0)
    FLEXIBLE_FROM = 0
    FIELDS = (
        ("id_", "uuid", 0, 0, -1, -1, None),
        ("topics", "[]ResponseTopicData", 0, 0, -1, -1, ()),
    )

    def __init__(
        self,
        *,
        id_: bytes = ZERO_UUID,
        topics: list[ResponseTopicData] = EMPTY,
    ) -> None:
        self.id_ = id_
        self.topics: list[ResponseTopicData] = [] if topics is EMPTY else topics


class AssignReplicasToDirsResponse(Message):
    """Version 0, flexible from 0."""

    __slots__ = ("throttle_time", "error_code", "directories")
    VERSIONS = (0, 0)
    FLEXIBLE_FROM = 0
    FIELDS = (
        ("throttle_time", "int32", 0, 0, -1, -1, 0),
        ("error_code", "int16", 0, 0, -1, -1, 0),
        ("directories", "[]ResponseDirectoryData", 0, 0, -1, -1, ()),
    )

    def __init__(
        self,
        *,
        throttle_time: int = 0,
        error_code: int = 0,
        directories: list[ResponseDirectoryData] = EMPTY,
    ) -> None:
        self.throttle_time = throttle_time
        self.error_code = error_code
        self.directories: list[ResponseDirectoryData] = [] if directories is EMPTY else directories

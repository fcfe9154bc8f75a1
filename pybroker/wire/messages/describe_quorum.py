"""DescribeQuorumRequest 0-2 and DescribeQuorumResponse 0-2 (API key 55).

Written by `tools/generate_wire.py`: change that, not this.
"""

# ruff: noqa: RUF023 (slots are in wire order)
from __future__ import annotations

from pybroker.wire.message import EMPTY, ZERO_UUID, Message

API_KEY = 55


class RequestPartitionData(Message):
    """Versions 0-2, flexible from 0."""

    __slots__ = ("partition_index",)
    VERSIONS = (0, 2)
    FLEXIBLE_FROM = 0
    FIELDS = (("partition_index", "int32", 0, 2, -1, -1, 0),)

    def __init__(
        self,
        *,
        partition_index: int = 0,
    ) -> None:
        self.partition_index = partition_index


class RequestTopicData(Message):
    """Versions 0-2, flexible from 0."""

    __slots__ = ("topic_name", "partitions")
    VERSIONS = (0, 2)
    FLEXIBLE_FROM = 0
    FIELDS = (
        ("topic_name", "string", 0, 2, -1, -1, ""),
        ("partitions", "[]RequestPartitionData", 0, 2, -1, -1, ()),
    )

    def __init__(
        self,
        *,
        topic_name: str = "",
        partitions: list[RequestPartitionData] = EMPTY,
    ) -> None:
        self.topic_name = topic_name
        self.partitions: list[RequestPartitionData] = [] if partitions is EMPTY else partitions


class DescribeQuorumRequest(Message):
    """Versions 0-2, flexible from 0."""

    __slots__ = ("topics",)
    VERSIONS = (0, 2)
    FLEXIBLE_FROM = 0
    FIELDS = (("topics", "[]RequestTopicData", 0, 2, -1, -1, ()),)

    def __init__(
        self,
        *,
        topics: list[RequestTopicData] = EMPTY,
    ) -> None:
        self.topics: list[RequestTopicData] = [] if topics is EMPTY else topics


class ReplicaState(Message):
    """Versions 0-2, flexible from 0."""

    __slots__ = (
        "replica_id",
        "replica_directory_id",
        "log_end_offset",
        "last_fetch_timestamp",
        "last_caught_up_timestamp",
    )
    VERSIONS = (0, 2)
    FLEXIBLE_FROM = 0
    FIELDS = (
        ("replica_id", "int32", 0, 2, -1, -1, 0),
        ("replica_directory_id", "uuid", 2, 2, -1, -1, None),
        ("log_end_offset", "int64", 0, 2, -1, -1, 0),
        ("last_fetch_timestamp", "int64", 1, 2, -1, -1, -1),
        ("last_caught_up_timestamp", "int64", 1, 2, -1, -1, -1),
    )

    def __init__(
        self,
        *,
        replica_id: int = 0,
        replica_directory_id: bytes = ZERO_UUID,
        log_end_offset: int = 0,
        last_fetch_timestamp: int = -1,
        last_caught_up_timestamp: int = -1,
    ) -> None:
        self.replica_id = replica_id
        self.replica_directory_id = replica_directory_id
        self.log_end_offset = log_end_offset
        self.last_fetch_timestamp = last_fetch_timestamp
        self.last_caught_up_timestamp = last_caught_up_timestamp


class ResponsePartitionData(Message):
    """Versions 0-2, flexible from 0."""

    __slots__ = (
        "partition_index",
        "error_code",
        "error_message",
        "leader_id",
        "leader_epoch",
        "high_watermark",
        "current_voters",
        "observers",
    )
    VERSIONS = (0, 2)
    FLEXIBLE_FROM = 0
    FIELDS = (
        ("partition_index", "int32", 0, 2, -1, -1, 0),
        ("error_code", "int16", 0, 2, -1, -1, 0),
        ("error_message", "string", 2, 2, 2, -1, ""),
        ("leader_id", "int32", 0, 2, -1, -1, 0),
        ("leader_epoch", "int32", 0, 2, -1, -1, 0),
        ("high_watermark", "int64", 0, 2, -1, -1, 0),
        ("current_voters", "[]ReplicaState", 0, 2, -1, -1, ()),
        ("observers", "[]ReplicaState", 0, 2, -1, -1, ()),
    )

    def __init__(
        self,
        *,
        partition_index: int = 0,
        error_code: int = 0,
        error_message: str | None = "",
        leader_id: int = 0,
        leader_epoch: int = 0,
        high_watermark: int = 0,
        current_voters: list[ReplicaState] = EMPTY,
        observers: list[ReplicaState] = EMPTY,
    ) -> None:
        self.partition_index = partition_index
        self.error_code = error_code
        self.error_message = error_message
        self.leader_id = leader_id
        self.leader_epoch = leader_epoch
        self.high_watermark = high_watermark
        self.current_voters: list[ReplicaState] = [] if current_voters is EMPTY else current_voters
        self.observers: list[ReplicaState] = [] if observers is EMPTY else observers


class ResponseTopicData(Message):
    """Versions 0-2, flexible from 0."""

    __slots__ = ("topic_name", "partitions")
    VERSIONS = (0, 2)
    FLEXIBLE_FROM = 0
    FIELDS = (
        ("topic_name", "string", 0, 2, -1, -1, ""),
        ("partitions", "[]ResponsePartitionData", 0, 2, -1, -1, ()),
    )

    def __init__(
        self,
        *,
        topic_name: str = "",
        partitions: list[ResponsePartitionData] = EMPTY,
    ) -> None:
        self.topic_name = topic_name
        self.partitions: list[ResponsePartitionData] = [] if partitions is EMPTY else partitions


class Listener(Message):
    """Version 2, flexible from 0."""

    __slots__ = ("name", "host", "port")
    VERSIONS = (2, 2)
    FLEXIBLE_FROM = 0
    FIELDS = (
        ("name", "string", 2, 2, -1, -1, ""),
        ("host", "string", 2, 2, -1, -1, ""),
        ("port", "uint16", 2, 2, -1, -1, 0),
    )

    def __init__(
        self,
        *,
        name: str = "",
        host: str = "",
        port: int = 0,
    ) -> None:
        self.name = name
        self.host = host
        self.port = port


class Node(Message):
    """Version 2, flexible from 0."""

    __slots__ = ("node_id", "listeners")
    VERSIONS = (2, 2)
    FLEXIBLE_FROM = 0
    FIELDS = (
        ("node_id", "int32", 2, 2, -1, -1, 0),
        ("listeners", "[]Listener", 2, 2, -1, -1, ()),
    )

    def __init__(
        self,
        *,
        node_id: int = 0,
        listeners: list[Listener] = EMPTY,
    ) -> None:
        self.node_id = node_id
        self.listeners: list[Listener] = [] if listeners is EMPTY else listeners


class DescribeQuorumResponse(Message):
    """Versions 0-2, flexible from 0."""

    __slots__ = ("error_code", "error_message", "topics", "nodes")
    VERSIONS = (0, 2)
    FLEXIBLE_FROM = 0
    FIELDS = (
        ("error_code", "int16", 0, 2, -1, -1, 0),
        ("error_message", "string", 2, 2, 2, -1, ""),
        ("topics", "[]ResponseTopicData", 0, 2, -1, -1, ()),
        ("nodes", "[]Node", 2, 2, -1, -1, ()),
    )

    def __init__(
        self,
        *,
        error_code: int = 0,
        error_message: str | None = "",
        topics: list[ResponseTopicData] = EMPTY,
        nodes: list[Node] = EMPTY,
    ) -> None:
        self.error_code = error_code
        self.error_message = error_message
        self.topics: list[ResponseTopicData] = [] if topics is EMPTY else topics
        self.nodes: list[Node] = [] if nodes is EMPTY else nodes

"""VoteRequest 0-2 and VoteResponse 0-2 (API key 52).

Written by `tools/generate_wire.py`: change that, not this.
"""

# ruff: noqa: RUF023 (slots are in wire order)
from __future__ import annotations

from pybroker.wire.message import EMPTY, ZERO_UUID, Message

API_KEY = 52


class RequestPartitionData(Message):
    """Versions 0-2, flexible from 0."""

    __slots__ = (
        "partition_index",
        "replica_epoch",
        "replica_id",
        "replica_directory_id",
        "voter_directory_id",
        "last_offset_epoch",
        "last_offset",
        "pre_vote",
    )
    VERSIONS = (0, 2)
    FLEXIBLE_FROM = 0
    FIELDS = (
        ("partition_index", "int32", 0, 2, -1, -1, 0),
        ("replica_epoch", "int32", 0, 2, -1, -1, 0),
        ("replica_id", "int32", 0, 2, -1, -1, 0),
        ("replica_directory_id", "uuid", 1, 2, -1, -1, None),
        ("voter_directory_id", "uuid", 1, 2, -1, -1, None),
        ("last_offset_epoch", "int32", 0, 2, -1, -1, 0),
        ("last_offset", "int64", 0, 2, -1, -1, 0),
        ("pre_vote", "bool", 2, 2, -1, -1, False),
    )

    def __init__(
        self,
        *,
        partition_index: int = 0,
        replica_epoch: int = 0,
        replica_id: int = 0,
        replica_directory_id: bytes = ZERO_UUID,
        voter_directory_id: bytes = ZERO_UUID,
        last_offset_epoch: int = 0,
        last_offset: int = 0,
        pre_vote: bool = False,
    ) -> None:
        self.partition_index = partition_index
        self.replica_epoch = replica_epoch
        self.replica_id = replica_id
        self.replica_directory_id = replica_directory_id
        self.voter_directory_id = voter_directory_id
        self.last_offset_epoch = last_offset_epoch
        self.last_offset = last_offset
        self.pre_vote = pre_vote


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


class VoteRequest(Message):
    """Versions 0-2, flexible from 0."""

    __slots__ = ("cluster_id", "voter_id", "topics")
    VERSIONS = (0, 2)
    FLEXIBLE_FROM = 0
    FIELDS = (
        ("cluster_id", "string", 0, 2, 0, -1, None),
        ("voter_id", "int32", 1, 2, -1, -1, -1),
        ("topics", "[]RequestTopicData", 0, 2, -1, -1, ()),
    )

    def __init__(
        self,
        *,
        cluster_id: str | None = None,
        voter_id: int = -1,
        topics: list[RequestTopicData] = EMPTY,
    ) -> None:
        self.cluster_id = cluster_id
        self.voter_id = voter_id
        self.topics: list[RequestTopicData] = [] if topics is EMPTY else topics


class ResponsePartitionData(Message):
    """Versions 0-2, flexible from 0."""

    __slots__ = ("partition_index", "error_code", "leader_id", "leader_epoch", "vote_granted")
    VERSIONS = (0, 2)
    FLEXIBLE_FROM = 0
    FIELDS = (
        ("partition_index", "int32", 0, 2, -1, -1, 0),
        ("error_code", "int16", 0, 2, -1, -1, 0),
        ("leader_id", "int32", 0, 2, -1, -1, 0),
        ("leader_epoch", "int32", 0, 2, -1, -1, 0),
        ("vote_granted", "bool", 0, 2, -1, -1, False),
    )

    def __init__(
        self,
        *,
        partition_index: int = 0,
        error_code: int = 0,
        leader_id: int = 0,
        leader_epoch: int = 0,
        vote_granted: bool = False,
    ) -> None:
        self.partition_index = partition_index
        self.error_code = error_code
        self.leader_id = leader_id
        self.leader_epoch = leader_epoch
        self.vote_granted = vote_granted


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


class NodeEndpoint(Message):
    """Versions 1-2, flexible from 0."""

    __slots__ = ("node_id", "host", "port")
    VERSIONS = (1, 2)
    FLEXIBLE_FROM = 0
    FIELDS = (
        ("node_id", "int32", 1, 2, -1, -1, 0),
        ("host", "string", 1, 2, -1, -1, ""),
        ("port", "uint16", 1, 2, -1, -1, 0),
    )

    def __init__(
        self,
        *,
        node_id: int = 0,
        host: str = "",
        port: int = 0,
    ) -> None:
        self.node_id = node_id
        self.host = host
        self.port = port


class VoteResponse(Message):
    """Versions 0-2, flexible from 0."""

    __slots__ = ("error_code", "topics", "node_endpoints")
    VERSIONS = (0, 2)
    FLEXIBLE_FROM = 0
    FIELDS = (
        ("error_code", "int16", 0, 2, -1, -1, 0),
        ("topics", "[]ResponseTopicData", 0, 2, -1, -1, ()),
        ("node_endpoints", "[]NodeEndpoint", 1, 2, -1, 0, ()),
    )

    def __init__(
        self,
        *,
        error_code: int = 0,
        topics: list[ResponseTopicData] = EMPTY,
        node_endpoints: list[NodeEndpoint] = EMPTY,
    ) -> None:
        self.error_code = error_code
        self.topics: list[ResponseTopicData] = [] if topics is EMPTY else topics
        self.node_endpoints: list[NodeEndpoint] = [] if node_endpoints is EMPTY else node_endpoints

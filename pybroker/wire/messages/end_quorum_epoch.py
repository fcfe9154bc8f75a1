"""EndQuorumEpochRequest 0-1 and EndQuorumEpochResponse 0-1 (API key 54).

Written by `tools/generate_wire.py`: change that, not this.
"""

# ruff: noqa: RUF023 (slots are in wire order)
from __future__ import annotations

from pybroker.wire.message import EMPTY, ZERO_UUID, Message

API_KEY = 54


class ReplicaInfo(Message):
    """Version 1, flexible from 1."""

    __slots__ = ("candidate_id", "candidate_directory_id")
    VERSIONS = (1, 1)
    FLEXIBLE_FROM = 1
    FIELDS = (
        ("candidate_id", "int32", 1, 1, -1, -1, 0),
        ("candidate_directory_id", "uuid", 1, 1, -1, -1, None),
    )

    def __init__(
        self,
        *,
        candidate_id: int = 0,
        candidate_directory_id: bytes = ZERO_UUID,
    ) -> None:
        self.candidate_id = candidate_id
        self.candidate_directory_id = candidate_directory_id


class RequestPartitionData(Message):
    """Versions 0-1, flexible from 1."""

    __slots__ = (
        "partition_index",
        "leader_id",
        "leader_epoch",
        "preferred_successors",
        "preferred_candidates",
    )
    VERSIONS = (0, 1)
    FLEXIBLE_FROM = 1
    FIELDS = (
        ("partition_index", "int32", 0, 1, -1, -1, 0),
        ("leader_id", "int32", 0, 1, -1, -1, 0),
        ("leader_epoch", "int32", 0, 1, -1, -1, 0),
        ("preferred_successors", "[]int32", 0, 0, -1, -1, ()),
        ("preferred_candidates", "[]ReplicaInfo", 1, 1, -1, -1, ()),
    )

    def __init__(
        self,
        *,
        partition_index: int = 0,
        leader_id: int = 0,
        leader_epoch: int = 0,
        preferred_successors: list[int] = EMPTY,
        preferred_candidates: list[ReplicaInfo] = EMPTY,
    ) -> None:
        self.partition_index = partition_index
        self.leader_id = leader_id
        self.leader_epoch = leader_epoch
        self.preferred_successors: list[int] = [] if preferred_successors is EMPTY else preferred_successors
        self.preferred_candidates: list[ReplicaInfo] = (
            [] if preferred_candidates is EMPTY else preferred_candidates
        )


class RequestTopicData(Message):
    """Versions 0-1, flexible from 1."""

    __slots__ = ("topic_name", "partitions")
    VERSIONS = (0, 1)
    FLEXIBLE_FROM = 1
    FIELDS = (
        ("topic_name", "string", 0, 1, -1, -1, ""),
        ("partitions", "[]RequestPartitionData", 0, 1, -1, -1, ()),
    )

    def __init__(
        self,
        *,
        topic_name: str = "",
        partitions: list[RequestPartitionData] = EMPTY,
    ) -> None:
        self.topic_name = topic_name
        self.partitions: list[RequestPartitionData] = [] if partitions is EMPTY else partitions


class LeaderEndpoint(Message):
    """Version 1, flexible from 1."""

    __slots__ = ("name", "host", "port")
    VERSIONS = (1, 1)
    FLEXIBLE_FROM = 1
    FIELDS = (
        ("name", "string", 1, 1, -1, -1, ""),
        ("host", "string", 1, 1, -1, -1, ""),
        ("port", "uint16", 1, 1, -1, -1, 0),
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


class EndQuorumEpochRequest(Message):
    """Versions 0-1, flexible from 1."""

    __slots__ = ("cluster_id", "topics", "leader_endpoints")
    VERSIONS = (0, 1)
    FLEXIBLE_FROM = 1
    FIELDS = (
        ("cluster_id", "string", 0, 1, 0, -1, None),
        ("topics", "[]RequestTopicData", 0, 1, -1, -1, ()),
        ("leader_endpoints", "[]LeaderEndpoint", 1, 1, -1, -1, ()),
    )

    def __init__(
        self,
        *,
        cluster_id: str | None = None,
        topics: list[RequestTopicData] = EMPTY,
        leader_endpoints: list[LeaderEndpoint] = EMPTY,
    ) -> None:
        self.cluster_id = cluster_id
        self.topics: list[RequestTopicData] = [] if topics is EMPTY else topics
        self.leader_endpoints: list[LeaderEndpoint] = [] if leader_endpoints is EMPTY else leader_endpoints


class ResponsePartitionData(Message):
    """Versions 0-1, flexible from 1."""

    __slots__ = ("partition_index", "error_code", "leader_id", "leader_epoch")
    VERSIONS = (0, 1)
    FLEXIBLE_FROM = 1
    FIELDS = (
        ("partition_index", "int32", 0, 1, -1, -1, 0),
        ("error_code", "int16", 0, 1, -1, -1, 0),
        ("leader_id", "int32", 0, 1, -1, -1, 0),
        ("leader_epoch", "int32", 0, 1, -1, -1, 0),
    )

    def __init__(
        self,
        *,
        partition_index: int = 0,
        error_code: int = 0,
        leader_id: int = 0,
        leader_epoch: int = 0,
    ) -> None:
        self.partition_index = partition_index
        self.error_code = error_code
        self.leader_id = leader_id
        self.leader_epoch = leader_epoch


class ResponseTopicData(Message):
    """Versions 0-1, flexible from 1."""

    __slots__ = ("topic_name", "partitions")
    VERSIONS = (0, 1)
    FLEXIBLE_FROM = 1
    FIELDS = (
        ("topic_name", "string", 0, 1, -1, -1, ""),
        ("partitions", "[]ResponsePartitionData", 0, 1, -1, -1, ()),
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
    """Version 1, flexible from 1."""

    __slots__ = ("node_id", "host", "port")
    VERSIONS = (1, 1)
    FLEXIBLE_FROM = 1
    FIELDS = (
        ("node_id", "int32", 1, 1, -1, -1, 0),
        ("host", "string", 1, 1, -1, -1, ""),
        ("port", "uint16", 1, 1, -1, -1, 0),
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


class EndQuorumEpochResponse(Message):
    """Versions 0-1, flexible from 1."""

    __slots__ = ("error_code", "topics", "node_endpoints")
    VERSIONS = (0, 1)
    FLEXIBLE_FROM = 1
    FIELDS = (
        ("error_code", "int16", 0, 1, -1, -1, 0),
        ("topics", "[]ResponseTopicData", 0, 1, -1, -1, ()),
        ("node_endpoints", "[]NodeEndpoint", 1, 1, -1, 0, ()),
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

"""MetadataRequest 0-13 and MetadataResponse 0-13 (API key 3).

Written by `tools/generate_wire.py`: change that, not this.
"""

# ruff: noqa: RUF023 (slots are in wire order)
from __future__ import annotations

from pybroker.wire.message import EMPTY, ZERO_UUID, Message

API_KEY = 3


class MetadataRequestTopic(Message):
    """Versions 0-13, flexible from 9."""

    __slots__ = ("topic_id", "name")
    VERSIONS = (0, 13)
    FLEXIBLE_FROM = 9
    FIELDS = (
        ("topic_id", "uuid", 10, 13, -1, -1, None),
        ("name", "string", 0, 13, 10, -1, ""),
    )

    def __init__(
        self,
        *,
        topic_id: bytes = ZERO_UUID,
        name: str | None = "",
    ) -> None:
        self.topic_id = topic_id
        self.name = name


class MetadataRequest(Message):
    """Versions 0-13, flexible from 9."""

    __slots__ = (
        "topics",
        "allow_auto_topic_creation",
        "include_cluster_authorized_operations",
        "include_topic_authorized_operations",
    )
    VERSIONS = (0, 13)
    FLEXIBLE_FROM = 9
    FIELDS = (
        ("topics", "[]MetadataRequestTopic", 0, 13, 1, -1, ()),
        ("allow_auto_topic_creation", "bool", 4, 13, -1, -1, True),
        ("include_cluster_authorized_operations", "bool", 8, 10, -1, -1, False),
        ("include_topic_authorized_operations", "bool", 8, 13, -1, -1, False),
    )

    def __init__(
        self,
        *,
        topics: list[MetadataRequestTopic] | None = EMPTY,
        allow_auto_topic_creation: bool = True,
        include_cluster_authorized_operations: bool = False,
        include_topic_authorized_operations: bool = False,
    ) -> None:
        self.topics: list[MetadataRequestTopic] | None = [] if topics is EMPTY else topics
        self.allow_auto_topic_creation = allow_auto_topic_creation
        self.include_cluster_authorized_operations = include_cluster_authorized_operations
        self.include_topic_authorized_operations = include_topic_authorized_operations


class MetadataResponseBroker(Message):
    """Versions 0-13, flexible from 9."""

    __slots__ = ("node_id", "host", "port", "rack")
    VERSIONS = (0, 13)
    FLEXIBLE_FROM = 9
    FIELDS = (
        ("node_id", "int32", 0, 13, -1, -1, 0),
        ("host", "string", 0, 13, -1, -1, ""),
        ("port", "int32", 0, 13, -1, -1, 0),
        ("rack", "string", 1, 13, 1, -1, None),
    )

    def __init__(
        self,
        *,
        node_id: int = 0,
        host: str = "",
        port: int = 0,
        rack: str | None = None,
    ) -> None:
        self.node_id = node_id
        self.host = host
        self.port = port
        self.rack = rack


class MetadataResponsePartition(Message):
    """Versions 0-13, flexible from 9."""

    __slots__ = (
        "error_code",
        "partition_index",
        "leader_id",
        "leader_epoch",
        "replica_nodes",
        "isr_nodes",
        "offline_replicas",
    )
    VERSIONS = (0, 13)
    FLEXIBLE_FROM = 9
    FIELDS = (
        ("error_code", "int16", 0, 13, -1, -1, 0),
        ("partition_index", "int32", 0, 13, -1, -1, 0),
        ("leader_id", "int32", 0, 13, -1, -1, 0),
        ("leader_epoch", "int32", 7, 13, -1, -1, -1),
        ("replica_nodes", "[]int32", 0, 13, -1, -1, ()),
        ("isr_nodes", "[]int32", 0, 13, -1, -1, ()),
        ("offline_replicas", "[]int32", 5, 13, -1, -1, ()),
    )

    def __init__(
        self,
        *,
        error_code: int = 0,
        partition_index: int = 0,
        leader_id: int = 0,
        leader_epoch: int = -1,
        replica_nodes: list[int] = EMPTY,
        isr_nodes: list[int] = EMPTY,
        offline_replicas: list[int] = EMPTY,
    ) -> None:
        self.error_code = error_code
        self.partition_index = partition_index
        self.leader_id = leader_id
        self.leader_epoch = leader_epoch
        self.replica_nodes: list[int] = [] if replica_nodes is EMPTY else replica_nodes
        self.isr_nodes: list[int] = [] if isr_nodes is EMPTY else isr_nodes
        self.offline_replicas: list[int] = [] if offline_replicas is EMPTY else offline_replicas


class MetadataResponseTopic(Message):
    """Versions 0-13, flexible from 9."""

    __slots__ = ("error_code", "name", "topic_id", "is_internal", "partitions", "topic_authorized_operations")
    VERSIONS = (0, 13)
    FLEXIBLE_FROM = 9
    FIELDS = (
        ("error_code", "int16", 0, 13, -1, -1, 0),
        ("name", "string", 0, 13, 12, -1, ""),
        ("topic_id", "uuid", 10, 13, -1, -1, None),
        ("is_internal", "bool", 1, 13, -1, -1, False),
        ("partitions", "[]MetadataResponsePartition", 0, 13, -1, -1, ()),
        ("topic_authorized_operations", "int32", 8, 13, -1, -1, -2147483648),
    )

    def __init__(
        self,
        *,
        error_code: int = 0,
        name: str | None = "",
        topic_id: bytes = ZERO_UUID,
        is_internal: bool = False,
        partitions: list[MetadataResponsePartition] = EMPTY,
        topic_authorized_operations: int = -2147483648,
    ) -> None:
        self.error_code = error_code
        self.name = name
        self.topic_id = topic_id
        self.is_internal = is_internal
        self.partitions: list[MetadataResponsePartition] = [] if partitions is EMPTY else partitions
        self.topic_authorized_operations = topic_authorized_operations


class MetadataResponse(Message):
    """Versions 0-13, flexible from 9."""

    __slots__ = (
        "throttle_time",
        "brokers",
        "cluster_id",
        "controller_id",
        "topics",
        "cluster_authorized_operations",
        "error_code",
    )
    VERSIONS = (0, 13)
    FLEXIBLE_FROM = 9
    FIELDS = (
        ("throttle_time", "int32", 3, 13, -1, -1, 0),
        ("brokers", "[]MetadataResponseBroker", 0, 13, -1, -1, ()),
        ("cluster_id", "string", 2, 13, 2, -1, None),
        ("controller_id", "int32", 1, 13, -1, -1, -1),
        ("topics", "[]MetadataResponseTopic", 0, 13, -1, -1, ()),
        ("cluster_authorized_operations", "int32", 8, 10, -1, -1, -2147483648),
        ("error_code", "int16", 13, 13, -1, -1, 0),
    )

    def __init__(
        self,
        *,
        throttle_time: int = 0,
        brokers: list[MetadataResponseBroker] = EMPTY,
        cluster_id: str | None = None,
        controller_id: int = -1,
        topics: list[MetadataResponseTopic] = EMPTY,
        cluster_authorized_operations: int = -2147483648,
        error_code: int = 0,
    ) -> None:
        self.throttle_time = throttle_time
        self.brokers: list[MetadataResponseBroker] = [] if brokers is EMPTY else brokers
        self.cluster_id = cluster_id
        self.controller_id = controller_id
        self.topics: list[MetadataResponseTopic] = [] if topics is EMPTY else topics
        self.cluster_authorized_operations = cluster_authorized_operations
        self.error_code = error_code

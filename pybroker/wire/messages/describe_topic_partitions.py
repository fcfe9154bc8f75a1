"""DescribeTopicPartitionsRequest 0-0 and DescribeTopicPartitionsResponse 0-0 (API key 75).

Written by `tools/generate_wire.py`: change that, not this.
"""

# ruff: noqa: RUF023 (slots are in wire order)
from __future__ import annotations

from pybroker.wire.message import EMPTY, ZERO_UUID, Message

API_KEY = 75


class TopicRequest(Message):
    """Version 0, flexible from 0."""

    __slots__ = ("name",)
    VERSIONS = (0, 0)
    FLEXIBLE_FROM = 0
    FIELDS = (("name", "string", 0, 0, -1, -1, ""),)

    def __init__(
        self,
        *,
        name: str = "",
    ) -> None:
        self.name = name


class RequestCursor(Message):
    """Version 0, flexible from 0."""

    __slots__ = ("topic_name", "partition_index")
    VERSIONS = (0, 0)
    FLEXIBLE_FROM = 0
    FIELDS = (
        ("topic_name", "string", 0, 0, -1, -1, ""),
        ("partition_index", "int32", 0, 0, -1, -1, 0),
    )

    def __init__(
        self,
        *,
        topic_name: str = "",
        partition_index: int = 0,
    ) -> None:
        self.topic_name = topic_name
        self.partition_index = partition_index


class DescribeTopicPartitionsRequest(Message):
    """Version 0, flexible from 0."""

    __slots__ = ("topics", "response_partition_limit", "cursor")
    VERSIONS = (0, 0)
    FLEXIBLE_FROM = 0
    FIELDS = (
        ("topics", "[]TopicRequest", 0, 0, -1, -1, ()),
        ("response_partition_limit", "int32", 0, 0, -1, -1, 2000),
        ("cursor", "RequestCursor", 0, 0, 0, -1, None),
    )

    def __init__(
        self,
        *,
        topics: list[TopicRequest] = EMPTY,
        response_partition_limit: int = 2000,
        cursor: RequestCursor | None = None,
    ) -> None:
        self.topics: list[TopicRequest] = [] if topics is EMPTY else topics
        self.response_partition_limit = response_partition_limit
        self.cursor = cursor


class DescribeTopicPartitionsResponsePartition(Message):
    """Version 0, flexible from 0."""

    __slots__ = (
        "error_code",
        "partition_index",
        "leader_id",
        "leader_epoch",
        "replica_nodes",
        "isr_nodes",
        "eligible_leader_replicas",
        "last_known_elr",
        "offline_replicas",
    )
    VERSIONS = (0, 0)
    FLEXIBLE_FROM = 0
    FIELDS = (
        ("error_code", "int16", 0, 0, -1, -1, 0),
        ("partition_index", "int32", 0, 0, -1, -1, 0),
        ("leader_id", "int32", 0, 0, -1, -1, 0),
        ("leader_epoch", "int32", 0, 0, -1, -1, -1),
        ("replica_nodes", "[]int32", 0, 0, -1, -1, ()),
        ("isr_nodes", "[]int32", 0, 0, -1, -1, ()),
        ("eligible_leader_replicas", "[]int32", 0, 0, 0, -1, None),
        ("last_known_elr", "[]int32", 0, 0, 0, -1, None),
        ("offline_replicas", "[]int32", 0, 0, -1, -1, ()),
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
        eligible_leader_replicas: list[int] | None = None,
        last_known_elr: list[int] | None = None,
        offline_replicas: list[int] = EMPTY,
    ) -> None:
        self.error_code = error_code
        self.partition_index = partition_index
        self.leader_id = leader_id
        self.leader_epoch = leader_epoch
        self.replica_nodes: list[int] = [] if replica_nodes is EMPTY else replica_nodes
        self.isr_nodes: list[int] = [] if isr_nodes is EMPTY else isr_nodes
        self.eligible_leader_replicas = eligible_leader_replicas
        self.last_known_elr = last_known_elr
        self.offline_replicas: list[int] = [] if offline_replicas is EMPTY else offline_replicas


class DescribeTopicPartitionsResponseTopic(Message):
    """Version 0, flexible from 0."""

    __slots__ = ("error_code", "name", "topic_id", "is_internal", "partitions", "topic_authorized_operations")
    VERSIONS = (0, 0)
    FLEXIBLE_FROM = 0
    FIELDS = (
        ("error_code", "int16", 0, 0, -1, -1, 0),
        ("name", "string", 0, 0, 0, -1, ""),
        ("topic_id", "uuid", 0, 0, -1, -1, None),
        ("is_internal", "bool", 0, 0, -1, -1, False),
        ("partitions", "[]DescribeTopicPartitionsResponsePartition", 0, 0, -1, -1, ()),
        ("topic_authorized_operations", "int32", 0, 0, -1, -1, -2147483648),
    )

    def __init__(
        self,
        *,
        error_code: int = 0,
        name: str | None = "",
        topic_id: bytes = ZERO_UUID,
        is_internal: bool = False,
        partitions: list[DescribeTopicPartitionsResponsePartition] = EMPTY,
        topic_authorized_operations: int = -2147483648,
    ) -> None:
        self.error_code = error_code
        self.name = name
        self.topic_id = topic_id
        self.is_internal = is_internal
        self.partitions: list[DescribeTopicPartitionsResponsePartition] = (
            [] if partitions is EMPTY else partitions
        )
        self.topic_authorized_operations = topic_authorized_operations


class ResponseCursor(Message):
    """Version 0, flexible from 0."""

    __slots__ = ("topic_name", "partition_index")
    VERSIONS = (0, 0)
    FLEXIBLE_FROM = 0
    FIELDS = (
        ("topic_name", "string", 0, 0, -1, -1, ""),
        ("partition_index", "int32", 0, 0, -1, -1, 0),
    )

    def __init__(
        self,
        *,
        topic_name: str = "",
        partition_index: int = 0,
    ) -> None:
        self.topic_name = topic_name
        self.partition_index = partition_index


class DescribeTopicPartitionsResponse(Message):
    """Version 0, flexible from 0."""

    __slots__ = ("throttle_time", "topics", "next_cursor")
    VERSIONS = (0, 0)
    FLEXIBLE_FROM = 0
    FIELDS = (
        ("throttle_time", "int32", 0, 0, -1, -1, 0),
        ("topics", "[]DescribeTopicPartitionsResponseTopic", 0, 0, -1, -1, ()),
        ("next_cursor", "ResponseCursor", 0, 0, 0, -1, None),
    )

    def __init__(
        self,
        *,
        throttle_time: int = 0,
        topics: list[DescribeTopicPartitionsResponseTopic] = EMPTY,
        next_cursor: ResponseCursor | None = None,
    ) -> None:
        self.throttle_time = throttle_time
        self.topics: list[DescribeTopicPartitionsResponseTopic] = [] if topics is EMPTY else topics
        self.next_cursor = next_cursor

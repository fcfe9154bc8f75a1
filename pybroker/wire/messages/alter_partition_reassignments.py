"""AlterPartitionReassignmentsRequest 0-1 and AlterPartitionReassignmentsResponse 0-1 (API key 45).

Written by `tools/generate_wire.py`: change that, not this.
"""

# ruff: noqa: RUF023 (slots are in wire order)
from __future__ import annotations

from pybroker.wire.message import EMPTY, Message

API_KEY = 45


class ReassignablePartition(Message):
    """Versions 0-1, flexible from 0."""

    __slots__ = ("partition_index", "replicas")
    VERSIONS = (0, 1)
    FLEXIBLE_FROM = 0
    FIELDS = (
        ("partition_index", "int32", 0, 1, -1, -1, 0),
        ("replicas", "[]int32", 0, 1, 0, -1, None),
    )

    def __init__(
        self,
        *,
        partition_index: int = 0,
        replicas: list[int] | None = None,
    ) -> None:
        self.partition_index = partition_index
        self.replicas = replicas


class ReassignableTopic(Message):
    """Versions 0-1, flexible from 0."""

    __slots__ = ("name", "partitions")
    VERSIONS = (0, 1)
    FLEXIBLE_FROM = 0
    FIELDS = (
        ("name", "string", 0, 1, -1, -1, ""),
        ("partitions", "[]ReassignablePartition", 0, 1, -1, -1, ()),
    )

    def __init__(
        self,
        *,
        name: str = "",
        partitions: list[ReassignablePartition] = EMPTY,
    ) -> None:
        self.name = name
        self.partitions: list[ReassignablePartition] = [] if partitions is EMPTY else partitions


class AlterPartitionReassignmentsRequest(Message):
    """Versions 0-1, flexible from 0."""

    __slots__ = ("timeout", "allow_replication_factor_change", "topics")
    VERSIONS = (0, 1)
    FLEXIBLE_FROM = 0
    FIELDS = (
        ("timeout", "int32", 0, 1, -1, -1, 60000),
        ("allow_replication_factor_change", "bool", 1, 1, -1, -1, True),
        ("topics", "[]ReassignableTopic", 0, 1, -1, -1, ()),
    )

    def __init__(
        self,
        *,
        timeout: int = 60000,
        allow_replication_factor_change: bool = True,
        topics: list[ReassignableTopic] = EMPTY,
    ) -> None:
        self.timeout = timeout
        self.allow_replication_factor_change = allow_replication_factor_change
        self.topics: list[ReassignableTopic] = [] if topics is EMPTY else topics


class ReassignablePartitionResponse(Message):
    """Versions 0-1, flexible from 0."""

    __slots__ = ("partition_index", "error_code", "error_message")
    VERSIONS = (0, 1)
    FLEXIBLE_FROM = 0
    FIELDS = (
        ("partition_index", "int32", 0, 1, -1, -1, 0),
        ("error_code", "int16", 0, 1, -1, -1, 0),
        ("error_message", "string", 0, 1, 0, -1, ""),
    )

    def __init__(
        self,
        *,
        partition_index: int = 0,
        error_code: int = 0,
        error_message: str | None = "",
    ) -> None:
        self.partition_index = partition_index
        self.error_code = error_code
        self.error_message = error_message


class ReassignableTopicResponse(Message):
    """Versions 0-1, flexible from 0."""

    __slots__ = ("name", "partitions")
    VERSIONS = (0, 1)
    FLEXIBLE_FROM = 0
    FIELDS = (
        ("name", "string", 0, 1, -1, -1, ""),
        ("partitions", "[]ReassignablePartitionResponse", 0, 1, -1, -1, ()),
    )

    def __init__(
        self,
        *,
        name: str = "",
        partitions: list[ReassignablePartitionResponse] = EMPTY,
    ) -> None:
        self.name = name
        self.partitions: list[ReassignablePartitionResponse] = [] if partitions is EMPTY else partitions


class AlterPartitionReassignmentsResponse(Message):
    """Versions 0-1, flexible from 0."""

    __slots__ = (
        "throttle_time",
        "allow_replication_factor_change",
        "error_code",
        "error_message",
        "responses",
    )
    VERSIONS = (0, 1)
    FLEXIBLE_FROM = 0
    FIELDS = (
        ("throttle_time", "int32", 0, 1, -1, -1, 0),
        ("allow_replication_factor_change", "bool", 1, 1, -1, -1, True),
        ("error_code", "int16", 0, 1, -1, -1, 0),
        ("error_message", "string", 0, 1, 0, -1, ""),
        ("responses", "[]ReassignableTopicResponse", 0, 1, -1, -1, ()),
    )

    def __init__(
        self,
        *,
        throttle_time: int = 0,
        allow_replication_factor_change: bool = True,
        error_code: int = 0,
        error_message: str | None = "",
        responses: list[ReassignableTopicResponse] = EMPTY,
    ) -> None:
        self.throttle_time = throttle_time
        self.allow_replication_factor_change = allow_replication_factor_change
        self.error_code = error_code
        self.error_message = error_message
        self.responses: list[ReassignableTopicResponse] = [] if responses is EMPTY else responses

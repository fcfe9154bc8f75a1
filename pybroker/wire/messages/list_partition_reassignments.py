"""ListPartitionReassignmentsRequest 0-0 and ListPartitionReassignmentsResponse 0-0 (API key 46).

Written by `tools/generate_wire.py`: change that, not this.
"""

# ruff: noqa: RUF023 (slots are in wire order)
from __future__ import annotations

from pybroker.wire.message import EMPTY, Message

API_KEY = 46


class ListPartitionReassignmentsTopics(Message):
    """Version 0, flexible from 0."""

    __slots__ = ("name", "partition_indexes")
    VERSIONS = (0, 0)
    FLEXIBLE_FROM = 0
    FIELDS = (
        ("name", "string", 0, 0, -1, -1, ""),
        ("partition_indexes", "[]int32", 0, 0, -1, -1, ()),
    )

    def __init__(
        self,
        *,
        name: str = "",
        partition_indexes: list[int] = EMPTY,
    ) -> None:
        self.name = name
        self.partition_indexes: list[int] = [] if partition_indexes is EMPTY else partition_indexes


class ListPartitionReassignmentsRequest(Message):
    """Version 0, flexible from 0."""

    __slots__ = ("timeout", "topics")
    VERSIONS = (0, 0)
    FLEXIBLE_FROM = 0
    FIELDS = (
        ("timeout", "int32", 0, 0, -1, -1, 60000),
        ("topics", "[]ListPartitionReassignmentsTopics", 0, 0, 0, -1, None),
    )

    def __init__(
        self,
        *,
        timeout: int = 60000,
        topics: list[ListPartitionReassignmentsTopics] | None = None,
    ) -> None:
        self.timeout = timeout
        self.topics = topics


class OngoingPartitionReassignment(Message):
    """Version 0, flexible from 0."""

    __slots__ = ("partition_index", "replicas", "adding_replicas", "removing_replicas")
    VERSIONS = (0, 0)
    FLEXIBLE_FROM = 0
    FIELDS = (
        ("partition_index", "int32", 0, 0, -1, -1, 0),
        ("replicas", "[]int32", 0, 0, -1, -1, ()),
        ("adding_replicas", "[]int32", 0, 0, -1, -1, ()),
        ("removing_replicas", "[]int32", 0, 0, -1, -1, ()),
    )

    def __init__(
        self,
        *,
        partition_index: int = 0,
        replicas: list[int] = EMPTY,
        adding_replicas: list[int] = EMPTY,
        removing_replicas: list[int] = EMPTY,
    ) -> None:
        self.partition_index = partition_index
        self.replicas: list[int] = [] if replicas is EMPTY else replicas
        self.adding_replicas: list[int] = [] if adding_replicas is EMPTY else adding_replicas
        self.removing_replicas: list[int] = [] if removing_replicas is EMPTY else removing_replicas


class OngoingTopicReassignment(Message):
    """Version 0, flexible from 0."""

    __slots__ = ("name", "partitions")
    VERSIONS = (0, 0)
    FLEXIBLE_FROM = 0
    FIELDS = (
        ("name", "string", 0, 0, -1, -1, ""),
        ("partitions", "[]OngoingPartitionReassignment", 0, 0, -1, -1, ()),
    )

    def __init__(
        self,
        *,
        name: str = "",
        partitions: list[OngoingPartitionReassignment] = EMPTY,
    ) -> None:
        self.name = name
        self.partitions: list[OngoingPartitionReassignment] = [] if partitions is EMPTY else partitions


class ListPartitionReassignmentsResponse(Message):
    """Version 0, flexible from 0."""

    __slots__ = ("throttle_time", "error_code", "error_message", "topics")
    VERSIONS = (0, 0)
    FLEXIBLE_FROM = 0
    FIELDS = (
        ("throttle_time", "int32", 0, 0, -1, -1, 0),
        ("error_code", "int16", 0, 0, -1, -1, 0),
        ("error_message", "string", 0, 0, 0, -1, ""),
        ("topics", "[]OngoingTopicReassignment", 0, 0, -1, -1, ()),
    )

    def __init__(
        self,
        *,
        throttle_time: int = 0,
        error_code: int = 0,
        error_message: str | None = "",
        topics: list[OngoingTopicReassignment] = EMPTY,
    ) -> None:
        self.throttle_time = throttle_time
        self.error_code = error_code
        self.error_message = error_message
        self.topics: list[OngoingTopicReassignment] = [] if topics is EMPTY else topics

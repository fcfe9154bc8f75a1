"""DescribeProducersRequest 0-0 and DescribeProducersResponse 0-0 (API key 61).

Written by `tools/generate_wire.py`: change that, not this.
"""

# ruff: noqa: RUF023 (slots are in wire order)
from __future__ import annotations

from pybroker.wire.message import EMPTY, Message

API_KEY = 61


class TopicRequest(Message):
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


class DescribeProducersRequest(Message):
    """Version 0, flexible from 0."""

    __slots__ = ("topics",)
    VERSIONS = (0, 0)
    FLEXIBLE_FROM = 0
    FIELDS = (("topics", "[]TopicRequest", 0, 0, -1, -1, ()),)

    def __init__(
        self,
        *,
        topics: list[TopicRequest] = EMPTY,
    ) -> None:
        self.topics: list[TopicRequest] = [] if topics is EMPTY else topics


class ProducerState(Message):
    """Version 0, flexible from 0."""

    __slots__ = (
        "producer_id",
        "producer_epoch",
        "last_sequence",
        "last_timestamp",
        "coordinator_epoch",
        "current_txn_start_offset",
    )
    VERSIONS = (0, 0)
    FLEXIBLE_FROM = 0
    FIELDS = (
        ("producer_id", "int64", 0, 0, -1, -1, 0),
        ("producer_epoch", "int32", 0, 0, -1, -1, 0),
        ("last_sequence", "int32", 0, 0, -1, -1, -1),
        ("last_timestamp", "int64", 0, 0, -1, -1, -1),
        ("coordinator_epoch", "int32", 0, 0, -1, -1, 0),
        ("current_txn_start_offset", "int64", 0, 0, -1, -1, -1),
    )

    def __init__(
        self,
        *,
        producer_id: int = 0,
        producer_epoch: int = 0,
        last_sequence: int = -1,
        last_timestamp: int = -1,
        coordinator_epoch: int = 0,
        current_txn_start_offset: int = -1,
    ) -> None:
        self.producer_id = producer_id
        self.producer_epoch = producer_epoch
        self.last_sequence = last_sequence
        self.last_timestamp = last_timestamp
        self.coordinator_epoch = coordinator_epoch
        self.current_txn_start_offset = current_txn_start_offset


class PartitionResponse(Message):
    """Version 0, flexible from 0."""

    __slots__ = ("partition_index", "error_code", "error_message", "active_producers")
    VERSIONS = (0, 0)
    FLEXIBLE_FROM = 0
    FIELDS = (
        ("partition_index", "int32", 0, 0, -1, -1, 0),
        ("error_code", "int16", 0, 0, -1, -1, 0),
        ("error_message", "string", 0, 0, 0, -1, None),
        ("active_producers", "[]ProducerState", 0, 0, -1, -1, ()),
    )

    def __init__(
        self,
        *,
        partition_index: int = 0,
        error_code: int = 0,
        error_message: str | None = None,
        active_producers: list[ProducerState] = EMPTY,
    ) -> None:
        self.partition_index = partition_index
        self.error_code = error_code
        self.error_message = error_message
        self.active_producers: list[ProducerState] = [] if active_producers is EMPTY else active_producers


class TopicResponse(Message):
    """Version 0, flexible from 0."""

    __slots__ = ("name", "partitions")
    VERSIONS = (0, 0)
    FLEXIBLE_FROM = 0
    FIELDS = (
        ("name", "string", 0, 0, -1, -1, ""),
        ("partitions", "[]PartitionResponse", 0, 0, -1, -1, ()),
    )

    def __init__(
        self,
        *,
        name: str = "",
        partitions: list[PartitionResponse] = EMPTY,
    ) -> None:
        self.name = name
        self.partitions: list[PartitionResponse] = [] if partitions is EMPTY else partitions


class DescribeProducersResponse(Message):
    """Version 0, flexible from 0."""

    __slots__ = ("throttle_time", "topics")
    VERSIONS = (0, 0)
    FLEXIBLE_FROM = 0
    FIELDS = (
        ("throttle_time", "int32", 0, 0, -1, -1, 0),
        ("topics", "[]TopicResponse", 0, 0, -1, -1, ()),
    )

    def __init__(
        self,
        *,
        throttle_time: int = 0,
        topics: list[TopicResponse] = EMPTY,
    ) -> None:
        self.throttle_time = throttle_time
        self.topics: list[TopicResponse] = [] if topics is EMPTY else topics

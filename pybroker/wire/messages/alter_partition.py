"""AlterPartitionRequest 2-3 and AlterPartitionResponse 2-3 (API key 56).

Written by `tools/generate_wire.py`: change that, not this.
"""

# ruff: noqa: RUF023 (slots are in wire order)
from __future__ import annotations

from pybroker.wire.message import EMPTY, ZERO_UUID, Message

API_KEY = 56


class BrokerState(Message):
    """Version 3, flexible from 2."""

    __slots__ = ("broker_id", "broker_epoch")
    VERSIONS = (3, 3)
    FLEXIBLE_FROM = 2
    FIELDS = (
        ("broker_id", "int32", 3, 3, -1, -1, 0),
        ("broker_epoch", "int64", 3, 3, -1, -1, -1),
    )

    def __init__(
        self,
        *,
        broker_id: int = 0,
        broker_epoch: int = -1,
    ) -> None:
        self.broker_id = broker_id
        self.broker_epoch = broker_epoch


class RequestPartitionData(Message):
    """Versions 2-3, flexible from 2."""

    __slots__ = (
        "partition_index",
        "leader_epoch",
        "new_isr",
        "new_isr_with_epochs",
        "leader_recovery_state",
        "partition_epoch",
    )
    VERSIONS = (2, 3)
    FLEXIBLE_FROM = 2
    FIELDS = (
        ("partition_index", "int32", 2, 3, -1, -1, 0),
        ("leader_epoch", "int32", 2, 3, -1, -1, 0),
        ("new_isr", "[]int32", 2, 2, -1, -1, ()),
        ("new_isr_with_epochs", "[]BrokerState", 3, 3, -1, -1, ()),
        ("leader_recovery_state", "int8", 2, 3, -1, -1, 0),
        ("partition_epoch", "int32", 2, 3, -1, -1, 0),
    )

    def __init__(
        self,
        *,
        partition_index: int = 0,
        leader_epoch: int = 0,
        new_isr: list[int] = EMPTY,
        new_isr_with_epochs: list[BrokerState] = EMPTY,
        leader_recovery_state: int = 0,
        partition_epoch: int = 0,
    ) -> None:
        self.partition_index = partition_index
        self.leader_epoch = leader_epoch
        self.new_isr: list[int] = [] if new_isr is EMPTY else new_isr
        self.new_isr_with_epochs: list[BrokerState] = (
            [] if new_isr_with_epochs is EMPTY else new_isr_with_epochs
        )
        self.leader_recovery_state = leader_recovery_state
        self.partition_epoch = partition_epoch


class RequestTopicData(Message):
    """Versions 2-3, flexible from 2."""

    __slots__ = ("topic_id", "partitions")
    VERSIONS = (2, 3)
    FLEXIBLE_FROM = 2
    FIELDS = (
        ("topic_id", "uuid", 2, 3, -1, -1, None),
        ("partitions", "[]RequestPartitionData", 2, 3, -1, -1, ()),
    )

    def __init__(
        self,
        *,
        topic_id: bytes = ZERO_UUID,
        partitions: list[RequestPartitionData] = EMPTY,
    ) -> None:
        self.topic_id = topic_id
        self.partitions: list[RequestPartitionData] = [] if partitions is EMPTY else partitions


class AlterPartitionRequest(Message):
    """Versions 2-3, flexible from 2."""

    __slots__ = ("broker_id", "broker_epoch", "topics")
    VERSIONS = (2, 3)
    FLEXIBLE_FROM = 2
    FIELDS = (
        ("broker_id", "int32", 2, 3, -1, -1, 0),
        ("broker_epoch", "int64", 2, 3, -1, -1, -1),
        ("topics", "[]RequestTopicData", 2, 3, -1, -1, ()),
    )

    def __init__(
        self,
        *,
        broker_id: int = 0,
        broker_epoch: int = -1,
        topics: list[RequestTopicData] = EMPTY,
    ) -> None:
        self.broker_id = broker_id
        self.broker_epoch = broker_epoch
        self.topics: list[RequestTopicData] = [] if topics is EMPTY else topics


class ResponsePartitionData(Message):
    """Versions 2-3, flexible from 2."""

    __slots__ = (
        "partition_index",
        "error_code",
        "leader_id",
        "leader_epoch",
        "isr",
        "leader_recovery_state",
        "partition_epoch",
    )
    VERSIONS = (2, 3)
    FLEXIBLE_FROM = 2
    FIELDS = (
        ("partition_index", "int32", 2, 3, -1, -1, 0),
        ("error_code", "int16", 2, 3, -1, -1, 0),
        ("leader_id", "int32", 2, 3, -1, -1, 0),
        ("leader_epoch", "int32", 2, 3, -1, -1, 0),
        ("isr", "[]int32", 2, 3, -1, -1, ()),
        ("leader_recovery_state", "int8", 2, 3, -1, -1, 0),
        ("partition_epoch", "int32", 2, 3, -1, -1, 0),
    )

    def __init__(
        self,
        *,
        partition_index: int = 0,
        error_code: int = 0,
        leader_id: int = 0,
        leader_epoch: int = 0,
        isr: list[int] = EMPTY,
        leader_recovery_state: int = 0,
        partition_epoch: int = 0,
    ) -> None:
        self.partition_index = partition_index
        self.error_code = error_code
        self.leader_id = leader_id
        self.leader_epoch = leader_epoch
        self.isr: list[int] = [] if isr is EMPTY else isr
        self.leader_recovery_state = leader_recovery_state
        self.partition_epoch = partition_epoch


class ResponseTopicData(Message):
    """Versions 2-3, flexible from 2."""

    __slots__ = ("topic_id", "partitions")
    VERSIONS = (2, 3)
    FLEXIBLE_FROM = 2
    FIELDS = (
        ("topic_id", "uuid", 2, 3, -1, -1, None),
        ("partitions", "[]ResponsePartitionData", 2, 3, -1, -1, ()),
    )

    def __init__(
        self,
        *,
        topic_id: bytes = ZERO_UUID,
        partitions: list[ResponsePartitionData] = EMPTY,
    ) -> None:
        self.topic_id = topic_id
        self.partitions: list[ResponsePartitionData] = [] if partitions is EMPTY else partitions


class AlterPartitionResponse(Message):
    """Versions 2-3, flexible from 2."""

    __slots__ = ("throttle_time", "error_code", "topics")
    VERSIONS = (2, 3)
    FLEXIBLE_FROM = 2
    FIELDS = (
        ("throttle_time", "int32", 2, 3, -1, -1, 0),
        ("error_code", "int16", 2, 3, -1, -1, 0),
        ("topics", "[]ResponseTopicData", 2, 3, -1, -1, ()),
    )

    def __init__(
        self,
        *,
        throttle_time: int = 0,
        error_code: int = 0,
        topics: list[ResponseTopicData] = EMPTY,
    ) -> None:
        self.throttle_time = throttle_time
        self.error_code = error_code
        self.topics: list[ResponseTopicData] = [] if topics is EMPTY else topics

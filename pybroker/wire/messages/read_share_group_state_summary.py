"""ReadShareGroupStateSummaryRequest 0-1 and ReadShareGroupStateSummaryResponse 0-1 (API key 87).

Written by `tools/generate_wire.py`: change that, not this.
"""

# ruff: noqa: RUF023 (slots are in wire order)
from __future__ import annotations

from pybroker.wire.message import EMPTY, ZERO_UUID, Message

API_KEY = 87


class PartitionData(Message):
    """Versions 0-1, flexible from 0."""

    __slots__ = ("partition", "leader_epoch")
    VERSIONS = (0, 1)
    FLEXIBLE_FROM = 0
    FIELDS = (
        ("partition", "int32", 0, 1, -1, -1, 0),
        ("leader_epoch", "int32", 0, 1, -1, -1, 0),
    )

    def __init__(
        self,
        *,
        partition: int = 0,
        leader_epoch: int = 0,
    ) -> None:
        self.partition = partition
        self.leader_epoch = leader_epoch


class ReadStateSummaryData(Message):
    """Versions 0-1, flexible from 0."""

    __slots__ = ("topic_id", "partitions")
    VERSIONS = (0, 1)
    FLEXIBLE_FROM = 0
    FIELDS = (
        ("topic_id", "uuid", 0, 1, -1, -1, None),
        ("partitions", "[]PartitionData", 0, 1, -1, -1, ()),
    )

    def __init__(
        self,
        *,
        topic_id: bytes = ZERO_UUID,
        partitions: list[PartitionData] = EMPTY,
    ) -> None:
        self.topic_id = topic_id
        self.partitions: list[PartitionData] = [] if partitions is EMPTY else partitions


class ReadShareGroupStateSummaryRequest(Message):
    """Versions 0-1, flexible from 0."""

    __slots__ = ("group_id", "topics")
    VERSIONS = (0, 1)
    FLEXIBLE_FROM = 0
    FIELDS = (
        ("group_id", "string", 0, 1, -1, -1, ""),
        ("topics", "[]ReadStateSummaryData", 0, 1, -1, -1, ()),
    )

    def __init__(
        self,
        *,
        group_id: str = "",
        topics: list[ReadStateSummaryData] = EMPTY,
    ) -> None:
        self.group_id = group_id
        self.topics: list[ReadStateSummaryData] = [] if topics is EMPTY else topics


class PartitionResult(Message):
    """Versions 0-1, flexible from 0."""

    __slots__ = (
        "partition",
        "error_code",
        "error_message",
        "state_epoch",
        "leader_epoch",
        "start_offset",
        "delivery_complete_count",
    )
    VERSIONS = (0, 1)
    FLEXIBLE_FROM = 0
    FIELDS = (
        ("partition", "int32", 0, 1, -1, -1, 0),
        ("error_code", "int16", 0, 1, -1, -1, 0),
        ("error_message", "string", 0, 1, 0, -1, None),
        ("state_epoch", "int32", 0, 1, -1, -1, 0),
        ("leader_epoch", "int32", 0, 1, -1, -1, 0),
        ("start_offset", "int64", 0, 1, -1, -1, 0),
        ("delivery_complete_count", "int32", 1, 1, -1, -1, -1),
    )

    def __init__(
        self,
        *,
        partition: int = 0,
        error_code: int = 0,
        error_message: str | None = None,
        state_epoch: int = 0,
        leader_epoch: int = 0,
        start_offset: int = 0,
        delivery_complete_count: int = -1,
    ) -> None:
        self.partition = partition
        self.error_code = error_code
        self.error_message = error_message
        self.state_epoch = state_epoch
        self.leader_epoch = leader_epoch
        self.start_offset = start_offset
        self.delivery_complete_count = delivery_complete_count


class ReadStateSummaryResult(Message):
    """Versions 0-1, flexible from 0."""

    __slots__ = ("topic_id", "partitions")
    VERSIONS = (0, 1)
    FLEXIBLE_FROM = 0
    FIELDS = (
        ("topic_id", "uuid", 0, 1, -1, -1, None),
        ("partitions", "[]PartitionResult", 0, 1, -1, -1, ()),
    )

    def __init__(
        self,
        *,
        topic_id: bytes = ZERO_UUID,
        partitions: list[PartitionResult] = EMPTY,
    ) -> None:
        self.topic_id = topic_id
        self.partitions: list[PartitionResult] = [] if partitions is EMPTY else partitions


class ReadShareGroupStateSummaryResponse(Message):
    """Versions 0-1, flexible from 0."""

    __slots__ = ("results",)
    VERSIONS = (0, 1)
    FLEXIBLE_FROM = 0
    FIELDS = (("results", "[]ReadStateSummaryResult", 0, 1, -1, -1, ()),)

    def __init__(
        self,
        *,
        results: list[ReadStateSummaryResult] = EMPTY,
    ) -> None:
        self.results: list[ReadStateSummaryResult] = [] if results is EMPTY else results

"""WriteTxnMarkersRequest 1-2 and WriteTxnMarkersResponse 1-2 (API key 27).

Written by `tools/generate_wire.py`: change that, not this.
"""

# ruff: noqa: RUF023 (slots are in wire order)
from __future__ import annotations

from pybroker.wire.message import EMPTY, Message

API_KEY = 27


class WritableTxnMarkerTopic(Message):
    """Versions 1-2, flexible from 1."""

    __slots__ = ("name", "partition_indexes")
    VERSIONS = (1, 2)
    FLEXIBLE_FROM = 1
    FIELDS = (
        ("name", "string", 1, 2, -1, -1, ""),
        ("partition_indexes", "[]int32", 1, 2, -1, -1, ()),
    )

    def __init__(
        self,
        *,
        name: str = "",
        partition_indexes: list[int] = EMPTY,
    ) -> None:
        self.name = name
        self.partition_indexes: list[int] = [] if partition_indexes is EMPTY else partition_indexes


class WritableTxnMarker(Message):
    """Versions 1-2, flexible from 1."""

    __slots__ = (
        "producer_id",
        "producer_epoch",
        "transaction_result",
        "topics",
        "coordinator_epoch",
        "transaction_version",
    )
    VERSIONS = (1, 2)
    FLEXIBLE_FROM = 1
    FIELDS = (
        ("producer_id", "int64", 1, 2, -1, -1, 0),
        ("producer_epoch", "int16", 1, 2, -1, -1, 0),
        ("transaction_result", "bool", 1, 2, -1, -1, False),
        ("topics", "[]WritableTxnMarkerTopic", 1, 2, -1, -1, ()),
        ("coordinator_epoch", "int32", 1, 2, -1, -1, 0),
        ("transaction_version", "int8", 2, 2, -1, -1, 0),
    )

    def __init__(
        self,
        *,
        producer_id: int = 0,
        producer_epoch: int = 0,
        transaction_result: bool = False,
        topics: list[WritableTxnMarkerTopic] = EMPTY,
        coordinator_epoch: int = 0,
        transaction_version: int = 0,
    ) -> None:
        self.producer_id = producer_id
        self.producer_epoch = producer_epoch
        self.transaction_result = transaction_result
        self.topics: list[WritableTxnMarkerTopic] = [] if topics is EMPTY else topics
        self.coordinator_epoch = coordinator_epoch
        self.transaction_version = transaction_version


class WriteTxnMarkersRequest(Message):
    """Versions 1-2, flexible from 1."""

    __slots__ = ("markers",)
    VERSIONS = (1, 2)
    FLEXIBLE_FROM = 1
    FIELDS = (("markers", "[]WritableTxnMarker", 1, 2, -1, -1, ()),)

    def __init__(
        self,
        *,
        markers: list[WritableTxnMarker] = EMPTY,
    ) -> None:
        self.markers: list[WritableTxnMarker] = [] if markers is EMPTY else markers


class WritableTxnMarkerPartitionResult(Message):
    """Versions 1-2, flexible from 1."""

    __slots__ = ("partition_index", "error_code")
    VERSIONS = (1, 2)
    FLEXIBLE_FROM = 1
    FIELDS = (
        ("partition_index", "int32", 1, 2, -1, -1, 0),
        ("error_code", "int16", 1, 2, -1, -1, 0),
    )

    def __init__(
        self,
        *,
        partition_index: int = 0,
        error_code: int = 0,
    ) -> None:
        self.partition_index = partition_index
        self.error_code = error_code


class WritableTxnMarkerTopicResult(Message):
    """Versions 1-2, flexible from 1."""

    __slots__ = ("name", "partitions")
    VERSIONS = (1, 2)
    FLEXIBLE_FROM = 1
    FIELDS = (
        ("name", "string", 1, 2, -1, -1, ""),
        ("partitions", "[]WritableTxnMarkerPartitionResult", 1, 2, -1, -1, ()),
    )

    def __init__(
        self,
        *,
        name: str = "",
        partitions: list[WritableTxnMarkerPartitionResult] = EMPTY,
    ) -> None:
        self.name = name
        self.partitions: list[WritableTxnMarkerPartitionResult] = [] if partitions is EMPTY else partitions


class WritableTxnMarkerResult(Message):
    """Versions 1-2, flexible from 1."""

    __slots__ = ("producer_id", "topics")
    VERSIONS = (1, 2)
    FLEXIBLE_FROM = 1
    FIELDS = (
        ("producer_id", "int64", 1, 2, -1, -1, 0),
        ("topics", "[]WritableTxnMarkerTopicResult", 1, 2, -1, -1, ()),
    )

    def __init__(
        self,
        *,
        producer_id: int = 0,
        topics: list[WritableTxnMarkerTopicResult] = EMPTY,
    ) -> None:
        self.producer_id = producer_id
        self.topics: list[WritableTxnMarkerTopicResult] = [] if topics is EMPTY else topics


class WriteTxnMarkersResponse(Message):
    """Versions 1-2, flexible from 1."""

    __slots__ = ("markers",)
    VERSIONS = (1, 2)
    FLEXIBLE_FROM = 1
    FIELDS = (("markers", "[]WritableTxnMarkerResult", 1, 2, -1, -1, ()),)

    def __init__(
        self,
        *,
        markers: list[WritableTxnMarkerResult] = EMPTY,
    ) -> None:
        self.markers: list[WritableTxnMarkerResult] = [] if markers is EMPTY else markers

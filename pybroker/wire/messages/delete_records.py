"""DeleteRecordsRequest 0-2 and DeleteRecordsResponse 0-2 (API key 21).

Written by `tools/generate_wire.py`: change that, not this.
"""

# ruff: noqa: RUF023 (slots are in wire order)
from __future__ import annotations

from pybroker.wire.message import EMPTY, Message

API_KEY = 21


class DeleteRecordsPartition(Message):
    """Versions 0-2, flexible from 2."""

    __slots__ = ("partition_index", "offset")
    VERSIONS = (0, 2)
    FLEXIBLE_FROM = 2
    FIELDS = (
        ("partition_index", "int32", 0, 2, -1, -1, 0),
        ("offset", "int64", 0, 2, -1, -1, 0),
    )

    def __init__(
        self,
        *,
        partition_index: int = 0,
        offset: int = 0,
    ) -> None:
        self.partition_index = partition_index
        self.offset = offset


class DeleteRecordsTopic(Message):
    """Versions 0-2, flexible from 2."""

    __slots__ = ("name", "partitions")
    VERSIONS = (0, 2)
    FLEXIBLE_FROM = 2
    FIELDS = (
        ("name", "string", 0, 2, -1, -1, ""),
        ("partitions", "[]DeleteRecordsPartition", 0, 2, -1, -1, ()),
    )

    def __init__(
        self,
        *,
        name: str = "",
        partitions: list[DeleteRecordsPartition] = EMPTY,
    ) -> None:
        self.name = name
        self.partitions: list[DeleteRecordsPartition] = [] if partitions is EMPTY else partitions


class DeleteRecordsRequest(Message):
    """Versions 0-2, flexible from 2."""

    __slots__ = ("topics", "timeout")
    VERSIONS = (0, 2)
    FLEXIBLE_FROM = 2
    FIELDS = (
        ("topics", "[]DeleteRecordsTopic", 0, 2, -1, -1, ()),
        ("timeout", "int32", 0, 2, -1, -1, 0),
    )

    def __init__(
        self,
        *,
        topics: list[DeleteRecordsTopic] = EMPTY,
        timeout: int = 0,
    ) -> None:
        self.topics: list[DeleteRecordsTopic] = [] if topics is EMPTY else topics
        self.timeout = timeout


class DeleteRecordsPartitionResult(Message):
    """Versions 0-2, flexible from 2."""

    __slots__ = ("partition_index", "low_watermark", "error_code")
    VERSIONS = (0, 2)
    FLEXIBLE_FROM = 2
    FIELDS = (
        ("partition_index", "int32", 0, 2, -1, -1, 0),
        ("low_watermark", "int64", 0, 2, -1, -1, 0),
        ("error_code", "int16", 0, 2, -1, -1, 0),
    )

    def __init__(
        self,
        *,
        partition_index: int = 0,
        low_watermark: int = 0,
        error_code: int = 0,
    ) -> None:
        self.partition_index = partition_index
        self.low_watermark = low_watermark
        self.error_code = error_code


class DeleteRecordsTopicResult(Message):
    """Versions 0-2, flexible from 2."""

    __slots__ = ("name", "partitions")
    VERSIONS = (0, 2)
    FLEXIBLE_FROM = 2
    FIELDS = (
        ("name", "string", 0, 2, -1, -1, ""),
        ("partitions", "[]DeleteRecordsPartitionResult", 0, 2, -1, -1, ()),
    )

    def __init__(
        self,
        *,
        name: str = "",
        partitions: list[DeleteRecordsPartitionResult] = EMPTY,
    ) -> None:
        self.name = name
        self.partitions: list[DeleteRecordsPartitionResult] = [] if partitions is EMPTY else partitions


class DeleteRecordsResponse(Message):
    """Versions 0-2, flexible from 2."""

    __slots__ = ("throttle_time", "topics")
    VERSIONS = (0, 2)
    FLEXIBLE_FROM = 2
    FIELDS = (
        ("throttle_time", "int32", 0, 2, -1, -1, 0),
        ("topics", "[]DeleteRecordsTopicResult", 0, 2, -1, -1, ()),
    )

    def __init__(
        self,
        *,
        throttle_time: int = 0,
        topics: list[DeleteRecordsTopicResult] = EMPTY,
    ) -> None:
        self.throttle_time = throttle_time
        self.topics: list[DeleteRecordsTopicResult] = [] if topics is EMPTY else topics

"""DescribeLogDirsRequest 1-5 and DescribeLogDirsResponse 1-5 (API key 35).

Written by `tools/generate_wire.py`: change that, not this.
"""

# ruff: noqa: RUF023 (slots are in wire order)
from __future__ import annotations

from pybroker.wire.message import EMPTY, Message

API_KEY = 35


class DescribableLogDirTopic(Message):
    """Versions 1-5, flexible from 2."""

    __slots__ = ("topic", "partitions")
    VERSIONS = (1, 5)
    FLEXIBLE_FROM = 2
    FIELDS = (
        ("topic", "string", 1, 5, -1, -1, ""),
        ("partitions", "[]int32", 1, 5, -1, -1, ()),
    )

    def __init__(
        self,
        *,
        topic: str = "",
        partitions: list[int] = EMPTY,
    ) -> None:
        self.topic = topic
        self.partitions: list[int] = [] if partitions is EMPTY else partitions


class DescribeLogDirsRequest(Message):
    """Versions 1-5, flexible from 2."""

    __slots__ = ("topics",)
    VERSIONS = (1, 5)
    FLEXIBLE_FROM = 2
    FIELDS = (("topics", "[]DescribableLogDirTopic", 1, 5, 1, -1, ()),)

    def __init__(
        self,
        *,
        topics: list[DescribableLogDirTopic] | None = EMPTY,
    ) -> None:
        self.topics: list[DescribableLogDirTopic] | None = [] if topics is EMPTY else topics


class DescribeLogDirsPartition(Message):
    """Versions 1-5, flexible from 2."""

    __slots__ = ("partition_index", "partition_size", "offset_lag", "is_future_key")
    VERSIONS = (1, 5)
    FLEXIBLE_FROM = 2
    FIELDS = (
        ("partition_index", "int32", 1, 5, -1, -1, 0),
        ("partition_size", "int64", 1, 5, -1, -1, 0),
        ("offset_lag", "int64", 1, 5, -1, -1, 0),
        ("is_future_key", "bool", 1, 5, -1, -1, False),
    )

    def __init__(
        self,
        *,
        partition_index: int = 0,
        partition_size: int = 0,
        offset_lag: int = 0,
        is_future_key: bool = False,
    ) -> None:
        self.partition_index = partition_index
        self.partition_size = partition_size
        self.offset_lag = offset_lag
        self.is_future_key = is_future_key


class DescribeLogDirsTopic(Message):
    """Versions 1-5, flexible from 2."""

    __slots__ = ("name", "partitions")
    VERSIONS = (1, 5)
    FLEXIBLE_FROM = 2
    FIELDS = (
        ("name", "string", 1, 5, -1, -1, ""),
        ("partitions", "[]DescribeLogDirsPartition", 1, 5, -1, -1, ()),
    )

    def __init__(
        self,
        *,
        name: str = "",
        partitions: list[DescribeLogDirsPartition] = EMPTY,
    ) -> None:
        self.name = name
        self.partitions: list[DescribeLogDirsPartition] = [] if partitions is EMPTY else partitions


class DescribeLogDirsResult(Message):
    """Versions 1-5, flexible from 2."""

    __slots__ = ("error_code", "log_dir", "topics", "total_bytes", "usable_bytes", "is_cordoned")
    VERSIONS = (1, 5)
    FLEXIBLE_FROM = 2
    FIELDS = (
        ("error_code", "int16", 1, 5, -1, -1, 0),
        ("log_dir", "string", 1, 5, -1, -1, ""),
        ("topics", "[]DescribeLogDirsTopic", 1, 5, -1, -1, ()),
        ("total_bytes", "int64", 4, 5, -1, -1, -1),
        ("usable_bytes", "int64", 4, 5, -1, -1, -1),
        ("is_cordoned", "bool", 5, 5, -1, -1, False),
    )

    def __init__(
        self,
        *,
        error_code: int = 0,
        log_dir: str = "",
        topics: list[DescribeLogDirsTopic] = EMPTY,
        total_bytes: int = -1,
        usable_bytes: int = -1,
        is_cordoned: bool = False,
    ) -> None:
        self.error_code = error_code
        self.log_dir = log_dir
        self.topics: list[DescribeLogDirsTopic] = [] if topics is EMPTY else topics
        self.total_bytes = total_bytes
        self.usable_bytes = usable_bytes
        self.is_cordoned = is_cordoned


class DescribeLogDirsResponse(Message):
    """Versions 1-5, flexible from 2."""

    __slots__ = ("throttle_time", "error_code", "results")
    VERSIONS = (1, 5)
    FLEXIBLE_FROM = 2
    FIELDS = (
        ("throttle_time", "int32", 1, 5, -1, -1, 0),
        ("error_code", "int16", 3, 5, -1, -1, 0),
        ("results", "[]DescribeLogDirsResult", 1, 5, -1, -1, ()),
    )

    def __init__(
        self,
        *,
        throttle_time: int = 0,
        error_code: int = 0,
        results: list[DescribeLogDirsResult] = EMPTY,
    ) -> None:
        self.throttle_time = throttle_time
        self.error_code = error_code
        self.results: list[DescribeLogDirsResult] = [] if results is EMPTY else results

"""AlterReplicaLogDirsRequest 1-2 and AlterReplicaLogDirsResponse 1-2 (API key 34).

Written by `tools/generate_wire.py`: change that, not this.
"""

# ruff: noqa: RUF023 (slots are in wire order)
from __future__ import annotations

from pybroker.wire.message import EMPTY, Message

API_KEY = 34


class AlterReplicaLogDirTopic(Message):
    """Versions 1-2, flexible from 2."""

    __slots__ = ("name", "partitions")
    VERSIONS = (1, 2)
    FLEXIBLE_FROM = 2
    FIELDS = (
        ("name", "string", 1, 2, -1, -1, ""),
        ("partitions", "[]int32", 1, 2, -1, -1, ()),
    )

    def __init__(
        self,
        *,
        name: str = "",
        partitions: list[int] = EMPTY,
    ) -> None:
        self.name = name
        self.partitions: list[int] = [] if partitions is EMPTY else partitions


class AlterReplicaLogDir(Message):
    """Versions 1-2, flexible from 2."""

    __slots__ = ("path", "topics")
    VERSIONS = (1, 2)
    FLEXIBLE_FROM = 2
    FIELDS = (
        ("path", "string", 1, 2, -1, -1, ""),
        ("topics", "[]AlterReplicaLogDirTopic", 1, 2, -1, -1, ()),
    )

    def __init__(
        self,
        *,
        path: str = "",
        topics: list[AlterReplicaLogDirTopic] = EMPTY,
    ) -> None:
        self.path = path
        self.topics: list[AlterReplicaLogDirTopic] = [] if topics is EMPTY else topics


class AlterReplicaLogDirsRequest(Message):
    """Versions 1-2, flexible from 2."""

    __slots__ = ("dirs",)
    VERSIONS = (1, 2)
    FLEXIBLE_FROM = 2
    FIELDS = (("dirs", "[]AlterReplicaLogDir", 1, 2, -1, -1, ()),)

    def __init__(
        self,
        *,
        dirs: list[AlterReplicaLogDir] = EMPTY,
    ) -> None:
        self.dirs: list[AlterReplicaLogDir] = [] if dirs is EMPTY else dirs


class AlterReplicaLogDirPartitionResult(Message):
    """Versions 1-2, flexible from 2."""

    __slots__ = ("partition_index", "error_code")
    VERSIONS = (1, 2)
    FLEXIBLE_FROM = 2
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


class AlterReplicaLogDirTopicResult(Message):
    """Versions 1-2, flexible from 2."""

    __slots__ = ("topic_name", "partitions")
    VERSIONS = (1, 2)
    FLEXIBLE_FROM = 2
    FIELDS = (
        ("topic_name", "string", 1, 2, -1, -1, ""),
        ("partitions", "[]AlterReplicaLogDirPartitionResult", 1, 2, -1, -1, ()),
    )

    def __init__(
        self,
        *,
        topic_name: str = "",
        partitions: list[AlterReplicaLogDirPartitionResult] = EMPTY,
    ) -> None:
        self.topic_name = topic_name
        self.partitions: list[AlterReplicaLogDirPartitionResult] = [] if partitions is EMPTY else partitions


class AlterReplicaLogDirsResponse(Message):
    """Versions 1-2, flexible from 2."""

    __slots__ = ("throttle_time", "results")
    VERSIONS = (1, 2)
    FLEXIBLE_FROM = 2
    FIELDS = (
        ("throttle_time", "int32", 1, 2, -1, -1, 0),
        ("results", "[]AlterReplicaLogDirTopicResult", 1, 2, -1, -1, ()),
    )

    def __init__(
        self,
        *,
        throttle_time: int = 0,
        results: list[AlterReplicaLogDirTopicResult] = EMPTY,
    ) -> None:
        self.throttle_time = throttle_time
        self.results: list[AlterReplicaLogDirTopicResult] = [] if results is EMPTY else results

"""DeleteShareGroupStateRequest 0-0 and DeleteShareGroupStateResponse 0-0 (API key 86).

Written by `tools/generate_wire.py`: change that, not this.
"""

# ruff: noqa: RUF023 (slots are in wire order)
from __future__ import annotations

from pybroker.wire.message import EMPTY, ZERO_UUID, Message

API_KEY = 86


class PartitionData(Message):
    """Version 0, flexible from 0."""

    __slots__ = ("partition",)
    VERSIONS = (0, 0)
    FLEXIBLE_FROM = 0
    FIELDS = (("partition", "int32", 0, 0, -1, -1, 0),)

    def __init__(
        self,
        *,
        partition: int = 0,
    ) -> None:
        self.partition = partition


class DeleteStateData(Message):
    """Version 0, flexible from 0."""

    __slots__ = ("topic_id", "partitions")
    VERSIONS = (0, 0)
    FLEXIBLE_FROM = 0
    FIELDS = (
        ("topic_id", "uuid", 0, 0, -1, -1, None),
        ("partitions", "[]PartitionData", 0, 0, -1, -1, ()),
    )

    def __init__(
        self,
        *,
        topic_id: bytes = ZERO_UUID,
        partitions: list[PartitionData] = EMPTY,
    ) -> None:
        self.topic_id = topic_id
        self.partitions: list[PartitionData] = [] if partitions is EMPTY else partitions


class DeleteShareGroupStateRequest(Message):
    """Version 0, flexible from 0."""

    __slots__ = ("group_id", "topics")
    VERSIONS = (0, 0)
    FLEXIBLE_FROM = 0
    FIELDS = (
        ("group_id", "string", 0, 0, -1, -1, ""),
        ("topics", "[]DeleteStateData", 0, 0, -1, -1, ()),
    )

    def __init__(
        self,
        *,
        group_id: str = "",
        topics: list[DeleteStateData] = EMPTY,
    ) -> None:
        self.group_id = group_id
        self.topics: list[DeleteStateData] = [] if topics is EMPTY else topics


class PartitionResult(Message):
    """Version 0, flexible from 0."""

    __slots__ = ("partition", "error_code", "error_message")
    VERSIONS = (0, 0)
    FLEXIBLE_FROM = 0
    FIELDS = (
        ("partition", "int32", 0, 0, -1, -1, 0),
        ("error_code", "int16", 0, 0, -1, -1, 0),
        ("error_message", "string", 0, 0, 0, -1, None),
    )

    def __init__(
        self,
        *,
        partition: int = 0,
        error_code: int = 0,
        error_message: str | None = None,
    ) -> None:
        self.partition = partition
        self.error_code = error_code
        self.error_message = error_message


class DeleteStateResult(Message):
    """Version 0, flexible from 0."""

    __slots__ = ("topic_id", "partitions")
    VERSIONS = (0, 0)
    FLEXIBLE_FROM = 0
    FIELDS = (
        ("topic_id", "uuid", 0, 0, -1, -1, None),
        ("partitions", "[]PartitionResult", 0, 0, -1, -1, ()),
    )

    def __init__(
        self,
        *,
        topic_id: bytes = ZERO_UUID,
        partitions: list[PartitionResult] = EMPTY,
    ) -> None:
        self.topic_id = topic_id
        self.partitions: list[PartitionResult] = [] if partitions is EMPTY else partitions


class DeleteShareGroupStateResponse(Message):
    """Version 0, flexible from 0."""

    __slots__ = ("results",)
    VERSIONS = (0, 0)
    FLEXIBLE_FROM = 0
    FIELDS = (("results", "[]DeleteStateResult", 0, 0, -1, -1, ()),)

    def __init__(
        self,
        *,
        results: list[DeleteStateResult] = EMPTY,
    ) -> None:
        self.results: list[DeleteStateResult] = [] if results is EMPTY else results

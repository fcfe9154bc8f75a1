"""TxnOffsetCommitRequest 0-5 and TxnOffsetCommitResponse 0-5 (API key 28).

Written by `tools/generate_wire.py`: change that, not this.
"""

# ruff: noqa: RUF023 (slots are in wire order)
from __future__ import annotations

from pybroker.wire.message import EMPTY, Message

API_KEY = 28


class TxnOffsetCommitRequestPartition(Message):
    """Versions 0-5, flexible from 3."""

    __slots__ = ("partition_index", "committed_offset", "committed_leader_epoch", "committed_metadata")
    VERSIONS = (0, 5)
    FLEXIBLE_FROM = 3
    FIELDS = (
        ("partition_index", "int32", 0, 5, -1, -1, 0),
        ("committed_offset", "int64", 0, 5, -1, -1, 0),
        ("committed_leader_epoch", "int32", 2, 5, -1, -1, -1),
        ("committed_metadata", "string", 0, 5, 0, -1, ""),
    )

    def __init__(
        self,
        *,
        partition_index: int = 0,
        committed_offset: int = 0,
        committed_leader_epoch: int = -1,
        committed_metadata: str | None = "",
    ) -> None:
        self.partition_index = partition_index
        self.committed_offset = committed_offset
        self.committed_leader_epoch = committed_leader_epoch
        self.committed_metadata = committed_metadata


class TxnOffsetCommitRequestTopic(Message):
    """Versions 0-5, flexible from 3."""

    __slots__ = ("name", "partitions")
    VERSIONS = (0, 5)
    FLEXIBLE_FROM = 3
    FIELDS = (
        ("name", "string", 0, 5, -1, -1, ""),
        ("partitions", "[]TxnOffsetCommitRequestPartition", 0, 5, -1, -1, ()),
    )

    def __init__(
        self,
        *,
        name: str = "",
        partitions: list[TxnOffsetCommitRequestPartition] = EMPTY,
    ) -> None:
        self.name = name
        self.partitions: list[TxnOffsetCommitRequestPartition] = [] if partitions is EMPTY else partitions


class TxnOffsetCommitRequest(Message):
    """Versions 0-5, flexible from 3."""

    __slots__ = (
        "transactional_id",
        "group_id",
        "producer_id",
        "producer_epoch",
        "generation_id",
        "member_id",
        "group_instance_id",
        "topics",
    )
    VERSIONS = (0, 5)
    FLEXIBLE_FROM = 3
    FIELDS = (
        ("transactional_id", "string", 0, 5, -1, -1, ""),
        ("group_id", "string", 0, 5, -1, -1, ""),
        ("producer_id", "int64", 0, 5, -1, -1, 0),
        ("producer_epoch", "int16", 0, 5, -1, -1, 0),
        ("generation_id", "int32", 3, 5, -1, -1, -1),
        ("member_id", "string", 3, 5, -1, -1, ""),
        ("group_instance_id", "string", 3, 5, 3, -1, None),
        ("topics", "[]TxnOffsetCommitRequestTopic", 0, 5, -1, -1, ()),
    )

    def __init__(
        self,
        *,
        transactional_id: str = "",
        group_id: str = "",
        producer_id: int = 0,
        producer_epoch: int = 0,
        generation_id: int = -1,
        member_id: str = "",
        group_instance_id: str | None = None,
        topics: list[TxnOffsetCommitRequestTopic] = EMPTY,
    ) -> None:
        self.transactional_id = transactional_id
        self.group_id = group_id
        self.producer_id = producer_id
        self.producer_epoch = producer_epoch
        self.generation_id = generation_id
        self.member_id = member_id
        self.group_instance_id = group_instance_id
        self.topics: list[TxnOffsetCommitRequestTopic] = [] if topics is EMPTY else topics


class TxnOffsetCommitResponsePartition(Message):
    """Versions 0-5, flexible from 3."""

    __slots__ = ("partition_index", "error_code")
    VERSIONS = (0, 5)
    FLEXIBLE_FROM = 3
    FIELDS = (
        ("partition_index", "int32", 0, 5, -1, -1, 0),
        ("error_code", "int16", 0, 5, -1, -1, 0),
    )

    def __init__(
        self,
        *,
        partition_index: int = 0,
        error_code: int = 0,
    ) -> None:
        self.partition_index = partition_index
        self.error_code = error_code


class TxnOffsetCommitResponseTopic(Message):
    """Versions 0-5, flexible from 3."""

    __slots__ = ("name", "partitions")
    VERSIONS = (0, 5)
    FLEXIBLE_FROM = 3
    FIELDS = (
        ("name", "string", 0, 5, -1, -1, ""),
        ("partitions", "[]TxnOffsetCommitResponsePartition", 0, 5, -1, -1, ()),
    )

    def __init__(
        self,
        *,
        name: str = "",
        partitions: list[TxnOffsetCommitResponsePartition] = EMPTY,
    ) -> None:
        self.name = name
        self.partitions: list[TxnOffsetCommitResponsePartition] = [] if partitions is EMPTY else partitions


class TxnOffsetCommitResponse(Message):
    """Versions 0-5, flexible from 3."""

    __slots__ = ("throttle_time", "topics")
    VERSIONS = (0, 5)
    FLEXIBLE_FROM = 3
    FIELDS = (
        ("throttle_time", "int32", 0, 5, -1, -1, 0),
        ("topics", "[]TxnOffsetCommitResponseTopic", 0, 5, -1, -1, ()),
    )

    def __init__(
        self,
        *,
        throttle_time: int = 0,
        topics: list[TxnOffsetCommitResponseTopic] = EMPTY,
    ) -> None:
        self.throttle_time = throttle_time
        self.topics: list[TxnOffsetCommitResponseTopic] = [] if topics is EMPTY else topics

"""ElectLeadersRequest 0-2 and ElectLeadersResponse 0-2 (API key 43).

Written by `tools/generate_wire.py`: change that, not this.
"""

# ruff: noqa: RUF023 (slots are in wire order)
from __future__ import annotations

from pybroker.wire.message import EMPTY, Message

API_KEY = 43


class TopicPartitions(Message):
    """Versions 0-2, flexible from 2."""

    __slots__ = ("topic", "partitions")
    VERSIONS = (0, 2)
    FLEXIBLE_FROM = 2
    FIELDS = (
        ("topic", "string", 0, 2, -1, -1, ""),
        ("partitions", "[]int32", 0, 2, -1, -1, ()),
    )

    def __init__(
        self,
        *,
        topic: str = "",
        partitions: list[int] = EMPTY,
    ) -> None:
        self.topic = topic
        self.partitions: list[int] = [] if partitions is EMPTY else partitions


class ElectLeadersRequest(Message):
    """Versions 0-2, flexible from 2."""

    __slots__ = ("election_type", "topic_partitions", "timeout")
    VERSIONS = (0, 2)
    FLEXIBLE_FROM = 2
    FIELDS = (
        ("election_type", "int8", 1, 2, -1, -1, 0),
        ("topic_partitions", "[]TopicPartitions", 0, 2, 0, -1, ()),
        ("timeout", "int32", 0, 2, -1, -1, 60000),
    )

    def __init__(
        self,
        *,
        election_type: int = 0,
        topic_partitions: list[TopicPartitions] | None = EMPTY,
        timeout: int = 60000,
    ) -> None:
        self.election_type = election_type
        self.topic_partitions: list[TopicPartitions] | None = (
            [] if topic_partitions is EMPTY else topic_partitions
        )
        self.timeout = timeout


class PartitionResult(Message):
    """Versions 0-2, flexible from 2."""

    __slots__ = ("partition_id", "error_code", "error_message")
    VERSIONS = (0, 2)
    FLEXIBLE_FROM = 2
    FIELDS = (
        ("partition_id", "int32", 0, 2, -1, -1, 0),
        ("error_code", "int16", 0, 2, -1, -1, 0),
        ("error_message", "string", 0, 2, 0, -1, ""),
    )

    def __init__(
        self,
        *,
        partition_id: int = 0,
        error_code: int = 0,
        error_message: str | None = "",
    ) -> None:
        self.partition_id = partition_id
        self.error_code = error_code
        self.error_message = error_message


class ReplicaElectionResult(Message):
    """Versions 0-2, flexible from 2."""

    __slots__ = ("topic", "partition_result")
    VERSIONS = (0, 2)
    FLEXIBLE_FROM = 2
    FIELDS = (
        ("topic", "string", 0, 2, -1, -1, ""),
        ("partition_result", "[]PartitionResult", 0, 2, -1, -1, ()),
    )

    def __init__(
        self,
        *,
        topic: str = "",
        partition_result: list[PartitionResult] = EMPTY,
    ) -> None:
        self.topic = topic
        self.partition_result: list[PartitionResult] = [] if partition_result is EMPTY else partition_result


class ElectLeadersResponse(Message):
    """Versions 0-2, flexible from 2."""

    __slots__ = ("throttle_time", "error_code", "replica_election_results")
    VERSIONS = (0, 2)
    FLEXIBLE_FROM = 2
    FIELDS = (
        ("throttle_time", "int32", 0, 2, -1, -1, 0),
        ("error_code", "int16", 1, 2, -1, -1, 0),
        ("replica_election_results", "[]ReplicaElectionResult", 0, 2, -1, -1, ()),
    )

    def __init__(
        self,
        *,
        throttle_time: int = 0,
        error_code: int = 0,
        replica_election_results: list[ReplicaElectionResult] = EMPTY,
    ) -> None:
        self.throttle_time = throttle_time
        self.error_code = error_code
        self.replica_election_results: list[ReplicaElectionResult] = (
            [] if replica_election_results is EMPTY else replica_election_results
        )

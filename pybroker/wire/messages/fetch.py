"""FetchRequest 4-18 and FetchResponse 4-18 (API key 1).

Written by `tools/generate_wire.py`: change that, not this.
"""

# ruff: noqa: RUF023 (slots are in wire order)
from __future__ import annotations

from pybroker.wire.message import DEFAULT, EMPTY, ZERO_UUID, Message

API_KEY = 1


class ReplicaState(Message):
    """Versions 15-18, flexible from 12."""

    __slots__ = ("replica_id", "replica_epoch")
    VERSIONS = (15, 18)
    FLEXIBLE_FROM = 12
    FIELDS = (
        ("replica_id", "int32", 15, 18, -1, -1, -1),
        ("replica_epoch", "int64", 15, 18, -1, -1, -1),
    )

    def __init__(
        self,
        *,
        replica_id: int = -1,
        replica_epoch: int = -1,
    ) -> None:
        self.replica_id = replica_id
        self.replica_epoch = replica_epoch


class FetchPartition(Message):
    """Versions 4-18, flexible from 12."""

    __slots__ = (
        "partition",
        "current_leader_epoch",
        "fetch_offset",
        "last_fetched_epoch",
        "log_start_offset",
        "partition_max_bytes",
        "replica_directory_id",
        "high_watermark",
    )
    VERSIONS = (4, 18)
    FLEXIBLE_FROM = 12
    FIELDS = (
        ("partition", "int32", 4, 18, -1, -1, 0),
        ("current_leader_epoch", "int32", 9, 18, -1, -1, -1),
        ("fetch_offset", "int64", 4, 18, -1, -1, 0),
        ("last_fetched_epoch", "int32", 12, 18, -1, -1, -1),
        ("log_start_offset", "int64", 5, 18, -1, -1, -1),
        ("partition_max_bytes", "int32", 4, 18, -1, -1, 0),
        ("replica_directory_id", "uuid", 17, 18, -1, 0, None),
        ("high_watermark", "int64", 18, 18, -1, 1, 9223372036854775807),
    )

    def __init__(
        self,
        *,
        partition: int = 0,
        current_leader_epoch: int = -1,
        fetch_offset: int = 0,
        last_fetched_epoch: int = -1,
        log_start_offset: int = -1,
        partition_max_bytes: int = 0,
        replica_directory_id: bytes = ZERO_UUID,
        high_watermark: int = 9223372036854775807,
    ) -> None:
        self.partition = partition
        self.current_leader_epoch = current_leader_epoch
        self.fetch_offset = fetch_offset
        self.last_fetched_epoch = last_fetched_epoch
        self.log_start_offset = log_start_offset
        self.partition_max_bytes = partition_max_bytes
        self.replica_directory_id = replica_directory_id
        self.high_watermark = high_watermark


class FetchTopic(Message):
    """Versions 4-18, flexible from 12."""

    __slots__ = ("topic", "topic_id", "partitions")
    VERSIONS = (4, 18)
    FLEXIBLE_FROM = 12
    FIELDS = (
        ("topic", "string", 4, 12, -1, -1, ""),
        ("topic_id", "uuid", 13, 18, -1, -1, None),
        ("partitions", "[]FetchPartition", 4, 18, -1, -1, ()),
    )

    def __init__(
        self,
        *,
        topic: str = "",
        topic_id: bytes = ZERO_UUID,
        partitions: list[FetchPartition] = EMPTY,
    ) -> None:
        self.topic = topic
        self.topic_id = topic_id
        self.partitions: list[FetchPartition] = [] if partitions is EMPTY else partitions


class ForgottenTopic(Message):
    """Versions 7-18, flexible from 12."""

    __slots__ = ("topic", "topic_id", "partitions")
    VERSIONS = (7, 18)
    FLEXIBLE_FROM = 12
    FIELDS = (
        ("topic", "string", 7, 12, -1, -1, ""),
        ("topic_id", "uuid", 13, 18, -1, -1, None),
        ("partitions", "[]int32", 7, 18, -1, -1, ()),
    )

    def __init__(
        self,
        *,
        topic: str = "",
        topic_id: bytes = ZERO_UUID,
        partitions: list[int] = EMPTY,
    ) -> None:
        self.topic = topic
        self.topic_id = topic_id
        self.partitions: list[int] = [] if partitions is EMPTY else partitions


class FetchRequest(Message):
    """Versions 4-18, flexible from 12."""

    __slots__ = (
        "cluster_id",
        "replica_id",
        "replica_state",
        "max_wait",
        "min_bytes",
        "max_bytes",
        "isolation_level",
        "session_id",
        "session_epoch",
        "topics",
        "forgotten_topics_data",
        "rack_id",
    )
    VERSIONS = (4, 18)
    FLEXIBLE_FROM = 12
    FIELDS = (
        ("cluster_id", "string", 12, 18, 12, 0, None),
        ("replica_id", "int32", 4, 14, -1, -1, -1),
        ("replica_state", "ReplicaState", 15, 18, -1, 1, ...),
        ("max_wait", "int32", 4, 18, -1, -1, 0),
        ("min_bytes", "int32", 4, 18, -1, -1, 0),
        ("max_bytes", "int32", 4, 18, -1, -1, 2147483647),
        ("isolation_level", "int8", 4, 18, -1, -1, 0),
        ("session_id", "int32", 7, 18, -1, -1, 0),
        ("session_epoch", "int32", 7, 18, -1, -1, -1),
        ("topics", "[]FetchTopic", 4, 18, -1, -1, ()),
        ("forgotten_topics_data", "[]ForgottenTopic", 7, 18, -1, -1, ()),
        ("rack_id", "string", 11, 18, -1, -1, ""),
    )

    def __init__(
        self,
        *,
        cluster_id: str | None = None,
        replica_id: int = -1,
        replica_state: ReplicaState = DEFAULT,
        max_wait: int = 0,
        min_bytes: int = 0,
        max_bytes: int = 2147483647,
        isolation_level: int = 0,
        session_id: int = 0,
        session_epoch: int = -1,
        topics: list[FetchTopic] = EMPTY,
        forgotten_topics_data: list[ForgottenTopic] = EMPTY,
        rack_id: str = "",
    ) -> None:
        self.cluster_id = cluster_id
        self.replica_id = replica_id
        self.replica_state: ReplicaState = ReplicaState() if replica_state is DEFAULT else replica_state
        self.max_wait = max_wait
        self.min_bytes = min_bytes
        self.max_bytes = max_bytes
        self.isolation_level = isolation_level
        self.session_id = session_id
        self.session_epoch = session_epoch
        self.topics: list[FetchTopic] = [] if topics is EMPTY else topics
        self.forgotten_topics_data: list[ForgottenTopic] = (
            [] if forgotten_topics_data is EMPTY else forgotten_topics_data
        )
        self.rack_id = rack_id


class EpochEndOffset(Message):
    """Versions 12-18, flexible from 12."""

    __slots__ = ("epoch", "end_offset")
    VERSIONS = (12, 18)
    FLEXIBLE_FROM = 12
    FIELDS = (
        ("epoch", "int32", 12, 18, -1, -1, -1),
        ("end_offset", "int64", 12, 18, -1, -1, -1),
    )

    def __init__(
        self,
        *,
        epoch: int = -1,
        end_offset: int = -1,
    ) -> None:
        self.epoch = epoch
        self.end_offset = end_offset


class LeaderIdAndEpoch(Message):
    """Versions 12-18, flexible from 12."""

    __slots__ = ("leader_id", "leader_epoch")
    VERSIONS = (12, 18)
    FLEXIBLE_FROM = 12
    FIELDS = (
        ("leader_id", "int32", 12, 18, -1, -1, -1),
        ("leader_epoch", "int32", 12, 18, -1, -1, -1),
    )

    def __init__(
        self,
        *,
        leader_id: int = -1,
        leader_epoch: int = -1,
    ) -> None:
        self.leader_id = leader_id
        self.leader_epoch = leader_epoch


class SnapshotId(Message):
    """Versions 12-18, flexible from 12."""

    __slots__ = ("end_offset", "epoch")
    VERSIONS = (12, 18)
    FLEXIBLE_FROM = 12
    FIELDS = (
        ("end_offset", "int64", 12, 18, -1, -1, -1),
        ("epoch", "int32", 12, 18, -1, -1, -1),
    )

    def __init__(
        self,
        *,
        end_offset: int = -1,
        epoch: int = -1,
    ) -> None:
        self.end_offset = end_offset
        self.epoch = epoch


class AbortedTransaction(Message):
    """Versions 4-18, flexible from 12."""

    __slots__ = ("producer_id", "first_offset")
    VERSIONS = (4, 18)
    FLEXIBLE_FROM = 12
    FIELDS = (
        ("producer_id", "int64", 4, 18, -1, -1, 0),
        ("first_offset", "int64", 4, 18, -1, -1, 0),
    )

    def __init__(
        self,
        *,
        producer_id: int = 0,
        first_offset: int = 0,
    ) -> None:
        self.producer_id = producer_id
        self.first_offset = first_offset


class PartitionData(Message):
    """Versions 4-18, flexible from 12."""

    __slots__ = (
        "partition_index",
        "error_code",
        "high_watermark",
        "last_stable_offset",
        "log_start_offset",
        "diverging_epoch",
        "current_leader",
        "snapshot_id",
        "aborted_transactions",
        "preferred_read_replica",
        "records",
    )
    VERSIONS = (4, 18)
    FLEXIBLE_FROM = 12
    FIELDS = (
        ("partition_index", "int32", 4, 18, -1, -1, 0),
        ("error_code", "int16", 4, 18, -1, -1, 0),
        ("high_watermark", "int64", 4, 18, -1, -1, 0),
        ("last_stable_offset", "int64", 4, 18, -1, -1, -1),
        ("log_start_offset", "int64", 5, 18, -1, -1, -1),
        ("diverging_epoch", "EpochEndOffset", 12, 18, -1, 0, ...),
        ("current_leader", "LeaderIdAndEpoch", 12, 18, -1, 1, ...),
        ("snapshot_id", "SnapshotId", 12, 18, -1, 2, ...),
        ("aborted_transactions", "[]AbortedTransaction", 4, 18, 4, -1, ()),
        ("preferred_read_replica", "int32", 11, 18, -1, -1, -1),
        ("records", "records", 4, 18, 4, -1, b""),
    )

    def __init__(
        self,
        *,
        partition_index: int = 0,
        error_code: int = 0,
        high_watermark: int = 0,
        last_stable_offset: int = -1,
        log_start_offset: int = -1,
        diverging_epoch: EpochEndOffset = DEFAULT,
        current_leader: LeaderIdAndEpoch = DEFAULT,
        snapshot_id: SnapshotId = DEFAULT,
        aborted_transactions: list[AbortedTransaction] | None = EMPTY,
        preferred_read_replica: int = -1,
        records: bytes | memoryview | None = b"",
    ) -> None:
        self.partition_index = partition_index
        self.error_code = error_code
        self.high_watermark = high_watermark
        self.last_stable_offset = last_stable_offset
        self.log_start_offset = log_start_offset
        self.diverging_epoch: EpochEndOffset = (
            EpochEndOffset() if diverging_epoch is DEFAULT else diverging_epoch
        )
        self.current_leader: LeaderIdAndEpoch = (
            LeaderIdAndEpoch() if current_leader is DEFAULT else current_leader
        )
        self.snapshot_id: SnapshotId = SnapshotId() if snapshot_id is DEFAULT else snapshot_id
        self.aborted_transactions: list[AbortedTransaction] | None = (
            [] if aborted_transactions is EMPTY else aborted_transactions
        )
        self.preferred_read_replica = preferred_read_replica
        self.records = records


class FetchableTopicResponse(Message):
    """Versions 4-18, flexible from 12."""

    __slots__ = ("topic", "topic_id", "partitions")
    VERSIONS = (4, 18)
    FLEXIBLE_FROM = 12
    FIELDS = (
        ("topic", "string", 4, 12, -1, -1, ""),
        ("topic_id", "uuid", 13, 18, -1, -1, None),
        ("partitions", "[]PartitionData", 4, 18, -1, -1, ()),
    )

    def __init__(
        self,
        *,
        topic: str = "",
        topic_id: bytes = ZERO_UUID,
        partitions: list[PartitionData] = EMPTY,
    ) -> None:
        self.topic = topic
        self.topic_id = topic_id
        self.partitions: list[PartitionData] = [] if partitions is EMPTY else partitions


class NodeEndpoint(Message):
    """Versions 16-18, flexible from 12."""

    __slots__ = ("node_id", "host", "port", "rack")
    VERSIONS = (16, 18)
    FLEXIBLE_FROM = 12
    FIELDS = (
        ("node_id", "int32", 16, 18, -1, -1, 0),
        ("host", "string", 16, 18, -1, -1, ""),
        ("port", "int32", 16, 18, -1, -1, 0),
        ("rack", "string", 16, 18, 16, -1, None),
    )

    def __init__(
        self,
        *,
        node_id: int = 0,
        host: str = "",
        port: int = 0,
        rack: str | None = None,
    ) -> None:
        self.node_id = node_id
        self.host = host
        self.port = port
        self.rack = rack


class FetchResponse(Message):
    """Versions 4-18, flexible from 12."""

    __slots__ = ("throttle_time", "error_code", "session_id", "responses", "node_endpoints")
    VERSIONS = (4, 18)
    FLEXIBLE_FROM = 12
    FIELDS = (
        ("throttle_time", "int32", 4, 18, -1, -1, 0),
        ("error_code", "int16", 7, 18, -1, -1, 0),
        ("session_id", "int32", 7, 18, -1, -1, 0),
        ("responses", "[]FetchableTopicResponse", 4, 18, -1, -1, ()),
        ("node_endpoints", "[]NodeEndpoint", 16, 18, -1, 0, ()),
    )

    def __init__(
        self,
        *,
        throttle_time: int = 0,
        error_code: int = 0,
        session_id: int = 0,
        responses: list[FetchableTopicResponse] = EMPTY,
        node_endpoints: list[NodeEndpoint] = EMPTY,
    ) -> None:
        self.throttle_time = throttle_time
        self.error_code = error_code
        self.session_id = session_id
        self.responses: list[FetchableTopicResponse] = [] if responses is EMPTY else responses
        self.node_endpoints: list[NodeEndpoint] = [] if node_endpoints is EMPTY else node_endpoints

"""ShareFetchRequest 1-2 and ShareFetchResponse 1-2 (API key 78).

Written by `tools/generate_wire.py`: change that, not this.
"""

# ruff: noqa: RUF023 (slots are in wire order)
from __future__ import annotations

from pybroker.wire.message import DEFAULT, EMPTY, ZERO_UUID, Message

API_KEY = 78


class AcknowledgementBatch(Message):
    """Versions 1-2, flexible from 1."""

    __slots__ = ("first_offset", "last_offset", "acknowledge_types")
    VERSIONS = (1, 2)
    FLEXIBLE_FROM = 1
    FIELDS = (
        ("first_offset", "int64", 1, 2, -1, -1, 0),
        ("last_offset", "int64", 1, 2, -1, -1, 0),
        ("acknowledge_types", "[]int8", 1, 2, -1, -1, ()),
    )

    def __init__(
        self,
        *,
        first_offset: int = 0,
        last_offset: int = 0,
        acknowledge_types: list[int] = EMPTY,
    ) -> None:
        self.first_offset = first_offset
        self.last_offset = last_offset
        self.acknowledge_types: list[int] = [] if acknowledge_types is EMPTY else acknowledge_types


class FetchPartition(Message):
    """Versions 1-2, flexible from 1."""

    __slots__ = ("partition_index", "acknowledgement_batches")
    VERSIONS = (1, 2)
    FLEXIBLE_FROM = 1
    FIELDS = (
        ("partition_index", "int32", 1, 2, -1, -1, 0),
        ("acknowledgement_batches", "[]AcknowledgementBatch", 1, 2, -1, -1, ()),
    )

    def __init__(
        self,
        *,
        partition_index: int = 0,
        acknowledgement_batches: list[AcknowledgementBatch] = EMPTY,
    ) -> None:
        self.partition_index = partition_index
        self.acknowledgement_batches: list[AcknowledgementBatch] = (
            [] if acknowledgement_batches is EMPTY else acknowledgement_batches
        )


class FetchTopic(Message):
    """Versions 1-2, flexible from 1."""

    __slots__ = ("topic_id", "partitions")
    VERSIONS = (1, 2)
    FLEXIBLE_FROM = 1
    FIELDS = (
        ("topic_id", "uuid", 1, 2, -1, -1, None),
        ("partitions", "[]FetchPartition", 1, 2, -1, -1, ()),
    )

    def __init__(
        self,
        *,
        topic_id: bytes = ZERO_UUID,
        partitions: list[FetchPartition] = EMPTY,
    ) -> None:
        self.topic_id = topic_id
        self.partitions: list[FetchPartition] = [] if partitions is EMPTY else partitions


class ForgottenTopic(Message):
    """Versions 1-2, flexible from 1."""

    __slots__ = ("topic_id", "partitions")
    VERSIONS = (1, 2)
    FLEXIBLE_FROM = 1
    FIELDS = (
        ("topic_id", "uuid", 1, 2, -1, -1, None),
        ("partitions", "[]int32", 1, 2, -1, -1, ()),
    )

    def __init__(
        self,
        *,
        topic_id: bytes = ZERO_UUID,
        partitions: list[int] = EMPTY,
    ) -> None:
        self.topic_id = topic_id
        self.partitions: list[int] = [] if partitions is EMPTY else partitions


class ShareFetchRequest(Message):
    """Versions 1-2, flexible from 1."""

    __slots__ = (
        "group_id",
        "member_id",
        "share_session_epoch",
        "max_wait",
        "min_bytes",
        "max_bytes",
        "max_records",
        "batch_size",
        "share_acquire_mode",
        "is_renew_ack",
        "topics",
        "forgotten_topics_data",
    )
    VERSIONS = (1, 2)
    FLEXIBLE_FROM = 1
    FIELDS = (
        ("group_id", "string", 1, 2, 1, -1, None),
        ("member_id", "string", 1, 2, 1, -1, ""),
        ("share_session_epoch", "int32", 1, 2, -1, -1, 0),
        ("max_wait", "int32", 1, 2, -1, -1, 0),
        ("min_bytes", "int32", 1, 2, -1, -1, 0),
        ("max_bytes", "int32", 1, 2, -1, -1, 2147483647),
        ("max_records", "int32", 1, 2, -1, -1, 0),
        ("batch_size", "int32", 1, 2, -1, -1, 0),
        ("share_acquire_mode", "int8", 2, 2, -1, -1, 0),
        ("is_renew_ack", "bool", 2, 2, -1, -1, False),
        ("topics", "[]FetchTopic", 1, 2, -1, -1, ()),
        ("forgotten_topics_data", "[]ForgottenTopic", 1, 2, -1, -1, ()),
    )

    def __init__(
        self,
        *,
        group_id: str | None = None,
        member_id: str | None = "",
        share_session_epoch: int = 0,
        max_wait: int = 0,
        min_bytes: int = 0,
        max_bytes: int = 2147483647,
        max_records: int = 0,
        batch_size: int = 0,
        share_acquire_mode: int = 0,
        is_renew_ack: bool = False,
        topics: list[FetchTopic] = EMPTY,
        forgotten_topics_data: list[ForgottenTopic] = EMPTY,
    ) -> None:
        self.group_id = group_id
        self.member_id = member_id
        self.share_session_epoch = share_session_epoch
        self.max_wait = max_wait
        self.min_bytes = min_bytes
        self.max_bytes = max_bytes
        self.max_records = max_records
        self.batch_size = batch_size
        self.share_acquire_mode = share_acquire_mode
        self.is_renew_ack = is_renew_ack
        self.topics: list[FetchTopic] = [] if topics is EMPTY else topics
        self.forgotten_topics_data: list[ForgottenTopic] = (
            [] if forgotten_topics_data is EMPTY else forgotten_topics_data
        )


class LeaderIdAndEpoch(Message):
    """Versions 1-2, flexible from 1."""

    __slots__ = ("leader_id", "leader_epoch")
    VERSIONS = (1, 2)
    FLEXIBLE_FROM = 1
    FIELDS = (
        ("leader_id", "int32", 1, 2, -1, -1, 0),
        ("leader_epoch", "int32", 1, 2, -1, -1, 0),
    )

    def __init__(
        self,
        *,
        leader_id: int = 0,
        leader_epoch: int = 0,
    ) -> None:
        self.leader_id = leader_id
        self.leader_epoch = leader_epoch


class AcquiredRecords(Message):
    """Versions 1-2, flexible from 1."""

    __slots__ = ("first_offset", "last_offset", "delivery_count")
    VERSIONS = (1, 2)
    FLEXIBLE_FROM = 1
    FIELDS = (
        ("first_offset", "int64", 1, 2, -1, -1, 0),
        ("last_offset", "int64", 1, 2, -1, -1, 0),
        ("delivery_count", "int16", 1, 2, -1, -1, 0),
    )

    def __init__(
        self,
        *,
        first_offset: int = 0,
        last_offset: int = 0,
        delivery_count: int = 0,
    ) -> None:
        self.first_offset = first_offset
        self.last_offset = last_offset
        self.delivery_count = delivery_count


class PartitionData(Message):
    """Versions 1-2, flexible from 1."""

    __slots__ = (
        "partition_index",
        "error_code",
        "error_message",
        "acknowledge_error_code",
        "acknowledge_error_message",
        "current_leader",
        "records",
        "acquired_records",
    )
    VERSIONS = (1, 2)
    FLEXIBLE_FROM = 1
    FIELDS = (
        ("partition_index", "int32", 1, 2, -1, -1, 0),
        ("error_code", "int16", 1, 2, -1, -1, 0),
        ("error_message", "string", 1, 2, 1, -1, None),
        ("acknowledge_error_code", "int16", 1, 2, -1, -1, 0),
        ("acknowledge_error_message", "string", 1, 2, 1, -1, None),
        ("current_leader", "LeaderIdAndEpoch", 1, 2, -1, -1, ...),
        ("records", "records", 1, 2, 1, -1, b""),
        ("acquired_records", "[]AcquiredRecords", 1, 2, -1, -1, ()),
    )

    def __init__(
        self,
        *,
        partition_index: int = 0,
        error_code: int = 0,
        error_message: str | None = None,
        acknowledge_error_code: int = 0,
        acknowledge_error_message: str | None = None,
        current_leader: LeaderIdAndEpoch = DEFAULT,
        records: bytes | memoryview | None = b"",
        acquired_records: list[AcquiredRecords] = EMPTY,
    ) -> None:
        self.partition_index = partition_index
        self.error_code = error_code
        self.error_message = error_message
        self.acknowledge_error_code = acknowledge_error_code
        self.acknowledge_error_message = acknowledge_error_message
        self.current_leader: LeaderIdAndEpoch = (
            LeaderIdAndEpoch() if current_leader is DEFAULT else current_leader
        )
        self.records = records
        self.acquired_records: list[AcquiredRecords] = [] if acquired_records is EMPTY else acquired_records


class ShareFetchableTopicResponse(Message):
    """Versions 1-2, flexible from 1."""

    __slots__ = ("topic_id", "partitions")
    VERSIONS = (1, 2)
    FLEXIBLE_FROM = 1
    FIELDS = (
        ("topic_id", "uuid", 1, 2, -1, -1, None),
        ("partitions", "[]PartitionData", 1, 2, -1, -1, ()),
    )

    def __init__(
        self,
        *,
        topic_id: bytes = ZERO_UUID,
        partitions: list[PartitionData] = EMPTY,
    ) -> None:
        self.topic_id = topic_id
        self.partitions: list[PartitionData] = [] if partitions is EMPTY else partitions


class NodeEndpoint(Message):
    """Versions 1-2, flexible from 1."""

    __slots__ = ("node_id", "host", "port", "rack")
    VERSIONS = (1, 2)
    FLEXIBLE_FROM = 1
    FIELDS = (
        ("node_id", "int32", 1, 2, -1, -1, 0),
        ("host", "string", 1, 2, -1, -1, ""),
        ("port", "int32", 1, 2, -1, -1, 0),
        ("rack", "string", 1, 2, 1, -1, None),
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


class ShareFetchResponse(Message):
    """Versions 1-2, flexible from 1."""

    __slots__ = (
        "throttle_time",
        "error_code",
        "error_message",
        "acquisition_lock_timeout",
        "responses",
        "node_endpoints",
    )
    VERSIONS = (1, 2)
    FLEXIBLE_FROM = 1
    FIELDS = (
        ("throttle_time", "int32", 1, 2, -1, -1, 0),
        ("error_code", "int16", 1, 2, -1, -1, 0),
        ("error_message", "string", 1, 2, 1, -1, None),
        ("acquisition_lock_timeout", "int32", 1, 2, -1, -1, 0),
        ("responses", "[]ShareFetchableTopicResponse", 1, 2, -1, -1, ()),
        ("node_endpoints", "[]NodeEndpoint", 1, 2, -1, -1, ()),
    )

    def __init__(
        self,
        *,
        throttle_time: int = 0,
        error_code: int = 0,
        error_message: str | None = None,
        acquisition_lock_timeout: int = 0,
        responses: list[ShareFetchableTopicResponse] = EMPTY,
        node_endpoints: list[NodeEndpoint] = EMPTY,
    ) -> None:
        self.throttle_time = throttle_time
        self.error_code = error_code
        self.error_message = error_message
        self.acquisition_lock_timeout = acquisition_lock_timeout
        self.responses: list[ShareFetchableTopicResponse] = [] if responses is EMPTY else responses
        self.node_endpoints: list[NodeEndpoint] = [] if node_endpoints is EMPTY else node_endpoints

"""ProduceRequest 3-13 and ProduceResponse 3-13 (API key 0).

Written by `tools/generate_wire.py`: change that, not this.
"""

# ruff: noqa: RUF023 (slots are in wire order)
from __future__ import annotations

from pybroker.wire.message import DEFAULT, EMPTY, ZERO_UUID, Message

API_KEY = 0


class PartitionProduceData(Message):
    """Versions 3-13, flexible from 9."""

    __slots__ = ("index", "records")
    VERSIONS = (3, 13)
    FLEXIBLE_FROM = 9
    FIELDS = (
        ("index", "int32", 3, 13, -1, -1, 0),
        ("records", "records", 3, 13, 3, -1, b""),
    )

    def __init__(
        self,
        *,
        index: int = 0,
        records: bytes | memoryview | None = b"",
    ) -> None:
        self.index = index
        self.records = records


class TopicProduceData(Message):
    """Versions 3-13, flexible from 9."""

    __slots__ = ("name", "topic_id", "partition_data")
    VERSIONS = (3, 13)
    FLEXIBLE_FROM = 9
    FIELDS = (
        ("name", "string", 3, 12, -1, -1, ""),
        ("topic_id", "uuid", 13, 13, -1, -1, None),
        ("partition_data", "[]PartitionProduceData", 3, 13, -1, -1, ()),
    )

    def __init__(
        self,
        *,
        name: str = "",
        topic_id: bytes = ZERO_UUID,
        partition_data: list[PartitionProduceData] = EMPTY,
    ) -> None:
        self.name = name
        self.topic_id = topic_id
        self.partition_data: list[PartitionProduceData] = [] if partition_data is EMPTY else partition_data


class ProduceRequest(Message):
    """Versions 3-13, flexible from 9."""

    __slots__ = ("transactional_id", "acks", "timeout", "topic_data")
    VERSIONS = (3, 13)
    FLEXIBLE_FROM = 9
    FIELDS = (
        ("transactional_id", "string", 3, 13, 3, -1, None),
        ("acks", "int16", 3, 13, -1, -1, 0),
        ("timeout", "int32", 3, 13, -1, -1, 0),
        ("topic_data", "[]TopicProduceData", 3, 13, -1, -1, ()),
    )

    def __init__(
        self,
        *,
        transactional_id: str | None = None,
        acks: int = 0,
        timeout: int = 0,
        topic_data: list[TopicProduceData] = EMPTY,
    ) -> None:
        self.transactional_id = transactional_id
        self.acks = acks
        self.timeout = timeout
        self.topic_data: list[TopicProduceData] = [] if topic_data is EMPTY else topic_data


class BatchIndexAndErrorMessage(Message):
    """Versions 8-13, flexible from 9."""

    __slots__ = ("batch_index", "batch_index_error_message")
    VERSIONS = (8, 13)
    FLEXIBLE_FROM = 9
    FIELDS = (
        ("batch_index", "int32", 8, 13, -1, -1, 0),
        ("batch_index_error_message", "string", 8, 13, 8, -1, None),
    )

    def __init__(
        self,
        *,
        batch_index: int = 0,
        batch_index_error_message: str | None = None,
    ) -> None:
        self.batch_index = batch_index
        self.batch_index_error_message = batch_index_error_message


class LeaderIdAndEpoch(Message):
    """Versions 10-13, flexible from 9."""

    __slots__ = ("leader_id", "leader_epoch")
    VERSIONS = (10, 13)
    FLEXIBLE_FROM = 9
    FIELDS = (
        ("leader_id", "int32", 10, 13, -1, -1, -1),
        ("leader_epoch", "int32", 10, 13, -1, -1, -1),
    )

    def __init__(
        self,
        *,
        leader_id: int = -1,
        leader_epoch: int = -1,
    ) -> None:
        self.leader_id = leader_id
        self.leader_epoch = leader_epoch


class PartitionProduceResponse(Message):
    """Versions 3-13, flexible from 9."""

    __slots__ = (
        "index",
        "error_code",
        "base_offset",
        "log_append_time",
        "log_start_offset",
        "record_errors",
        "error_message",
        "current_leader",
    )
    VERSIONS = (3, 13)
    FLEXIBLE_FROM = 9
    FIELDS = (
        ("index", "int32", 3, 13, -1, -1, 0),
        ("error_code", "int16", 3, 13, -1, -1, 0),
        ("base_offset", "int64", 3, 13, -1, -1, 0),
        ("log_append_time", "int64", 3, 13, -1, -1, -1),
        ("log_start_offset", "int64", 5, 13, -1, -1, -1),
        ("record_errors", "[]BatchIndexAndErrorMessage", 8, 13, -1, -1, ()),
        ("error_message", "string", 8, 13, 8, -1, None),
        ("current_leader", "LeaderIdAndEpoch", 10, 13, -1, 0, ...),
    )

    def __init__(
        self,
        *,
        index: int = 0,
        error_code: int = 0,
        base_offset: int = 0,
        log_append_time: int = -1,
        log_start_offset: int = -1,
        record_errors: list[BatchIndexAndErrorMessage] = EMPTY,
        error_message: str | None = None,
        current_leader: LeaderIdAndEpoch = DEFAULT,
    ) -> None:
        self.index = index
        self.error_code = error_code
        self.base_offset = base_offset
        self.log_append_time = log_append_time
        self.log_start_offset = log_start_offset
        self.record_errors: list[BatchIndexAndErrorMessage] = [] if record_errors is EMPTY else record_errors
        self.error_message = error_message
        self.current_leader: LeaderIdAndEpoch = (
            LeaderIdAndEpoch() if current_leader is DEFAULT else current_leader
        )


class TopicProduceResponse(Message):
    """Versions 3-13, flexible from 9."""

    __slots__ = ("name", "topic_id", "partition_responses")
    VERSIONS = (3, 13)
    FLEXIBLE_FROM = 9
    FIELDS = (
        ("name", "string", 3, 12, -1, -1, ""),
        ("topic_id", "uuid", 13, 13, -1, -1, None),
        ("partition_responses", "[]PartitionProduceResponse", 3, 13, -1, -1, ()),
    )

    def __init__(
        self,
        *,
        name: str = "",
        topic_id: bytes = ZERO_UUID,
        partition_responses: list[PartitionProduceResponse] = EMPTY,
    ) -> None:
        self.name = name
        self.topic_id = topic_id
        self.partition_responses: list[PartitionProduceResponse] = (
            [] if partition_responses is EMPTY else partition_responses
        )


class NodeEndpoint(Message):
    """Versions 10-13, flexible from 9."""

    __slots__ = ("node_id", "host", "port", "rack")
    VERSIONS = (10, 13)
    FLEXIBLE_FROM = 9
    FIELDS = (
        ("node_id", "int32", 10, 13, -1, -1, 0),
        ("host", "string", 10, 13, -1, -1, ""),
        ("port", "int32", 10, 13, -1, -1, 0),
        ("rack", "string", 10, 13, 10, -1, None),
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


class ProduceResponse(Message):
    """Versions 3-13, flexible from 9."""

    __slots__ = ("responses", "throttle_time", "node_endpoints")
    VERSIONS = (3, 13)
    FLEXIBLE_FROM = 9
    FIELDS = (
        ("responses", "[]TopicProduceResponse", 3, 13, -1, -1, ()),
        ("throttle_time", "int32", 3, 13, -1, -1, 0),
        ("node_endpoints", "[]NodeEndpoint", 10, 13, -1, 0, ()),
    )

    def __init__(
        self,
        *,
        responses: list[TopicProduceResponse] = EMPTY,
        throttle_time: int = 0,
        node_endpoints: list[NodeEndpoint] = EMPTY,
    ) -> None:
        self.responses: list[TopicProduceResponse] = [] if responses is EMPTY else responses
        self.throttle_time = throttle_time
        self.node_endpoints: list[NodeEndpoint] = [] if node_endpoints is EMPTY else node_endpoints

"""FetchSnapshotRequest 0-1 and FetchSnapshotResponse 0-1 (API key 59).

Written by `tools/generate_wire.py`: change that, not this.
"""

# ruff: noqa: RUF023 (slots are in wire order)
from __future__ import annotations

from pybroker.wire.message import DEFAULT, EMPTY, ZERO_UUID, Message

API_KEY = 59


class RequestSnapshotId(Message):
    """Versions 0-1, flexible from 0."""

    __slots__ = ("end_offset", "epoch")
    VERSIONS = (0, 1)
    FLEXIBLE_FROM = 0
    FIELDS = (
        ("end_offset", "int64", 0, 1, -1, -1, 0),
        ("epoch", "int32", 0, 1, -1, -1, 0),
    )

    def __init__(
        self,
        *,
        end_offset: int = 0,
        epoch: int = 0,
    ) -> None:
        self.end_offset = end_offset
        self.epoch = epoch


class RequestPartitionSnapshot(Message):
    """Versions 0-1, flexible from 0."""

    __slots__ = ("partition", "current_leader_epoch", "snapshot_id", "position", "replica_directory_id")
    VERSIONS = (0, 1)
    FLEXIBLE_FROM = 0
    FIELDS = (
        ("partition", "int32", 0, 1, -1, -1, 0),
        ("current_leader_epoch", "int32", 0, 1, -1, -1, 0),
        ("snapshot_id", "RequestSnapshotId", 0, 1, -1, -1, ...),
        ("position", "int64", 0, 1, -1, -1, 0),
        ("replica_directory_id", "uuid", 1, 1, -1, 0, None),
    )

    def __init__(
        self,
        *,
        partition: int = 0,
        current_leader_epoch: int = 0,
        snapshot_id: RequestSnapshotId = DEFAULT,
        position: int = 0,
        replica_directory_id: bytes = ZERO_UUID,
    ) -> None:
        self.partition = partition
        self.current_leader_epoch = current_leader_epoch
        self.snapshot_id: RequestSnapshotId = RequestSnapshotId() if snapshot_id is DEFAULT else snapshot_id
        self.position = position
        self.replica_directory_id = replica_directory_id


class RequestTopicSnapshot(Message):
    """Versions 0-1, flexible from 0."""

    __slots__ = ("name", "partitions")
    VERSIONS = (0, 1)
    FLEXIBLE_FROM = 0
    FIELDS = (
        ("name", "string", 0, 1, -1, -1, ""),
        ("partitions", "[]RequestPartitionSnapshot", 0, 1, -1, -1, ()),
    )

    def __init__(
        self,
        *,
        name: str = "",
        partitions: list[RequestPartitionSnapshot] = EMPTY,
    ) -> None:
        self.name = name
        self.partitions: list[RequestPartitionSnapshot] = [] if partitions is EMPTY else partitions


class FetchSnapshotRequest(Message):
    """Versions 0-1, flexible from 0."""

    __slots__ = ("cluster_id", "replica_id", "max_bytes", "topics")
    VERSIONS = (0, 1)
    FLEXIBLE_FROM = 0
    FIELDS = (
        ("cluster_id", "string", 0, 1, 0, 0, None),
        ("replica_id", "int32", 0, 1, -1, -1, -1),
        ("max_bytes", "int32", 0, 1, -1, -1, 2147483647),
        ("topics", "[]RequestTopicSnapshot", 0, 1, -1, -1, ()),
    )

    def __init__(
        self,
        *,
        cluster_id: str | None = None,
        replica_id: int = -1,
        max_bytes: int = 2147483647,
        topics: list[RequestTopicSnapshot] = EMPTY,
    ) -> None:
        self.cluster_id = cluster_id
        self.replica_id = replica_id
        self.max_bytes = max_bytes
        self.topics: list[RequestTopicSnapshot] = [] if topics is EMPTY else topics


class ResponseSnapshotId(Message):
    """Versions 0-1, flexible from 0."""

    __slots__ = ("end_offset", "epoch")
    VERSIONS = (0, 1)
    FLEXIBLE_FROM = 0
    FIELDS = (
        ("end_offset", "int64", 0, 1, -1, -1, 0),
        ("epoch", "int32", 0, 1, -1, -1, 0),
    )

    def __init__(
        self,
        *,
        end_offset: int = 0,
        epoch: int = 0,
    ) -> None:
        self.end_offset = end_offset
        self.epoch = epoch


class LeaderIdAndEpoch(Message):
    """Versions 0-1, flexible from 0."""

    __slots__ = ("leader_id", "leader_epoch")
    VERSIONS = (0, 1)
    FLEXIBLE_FROM = 0
    FIELDS = (
        ("leader_id", "int32", 0, 1, -1, -1, 0),
        ("leader_epoch", "int32", 0, 1, -1, -1, 0),
    )

    def __init__(
        self,
        *,
        leader_id: int = 0,
        leader_epoch: int = 0,
    ) -> None:
        self.leader_id = leader_id
        self.leader_epoch = leader_epoch


class ResponsePartitionSnapshot(Message):
    """Versions 0-1, flexible from 0."""

    __slots__ = (
        "index",
        "error_code",
        "snapshot_id",
        "current_leader",
        "size",
        "position",
        "unaligned_records",
    )
    VERSIONS = (0, 1)
    FLEXIBLE_FROM = 0
    FIELDS = (
        ("index", "int32", 0, 1, -1, -1, 0),
        ("error_code", "int16", 0, 1, -1, -1, 0),
        ("snapshot_id", "ResponseSnapshotId", 0, 1, -1, -1, ...),
        ("current_leader", "LeaderIdAndEpoch", 0, 1, -1, 0, ...),
        ("size", "int64", 0, 1, -1, -1, 0),
        ("position", "int64", 0, 1, -1, -1, 0),
        ("unaligned_records", "records", 0, 1, -1, -1, b""),
    )

    def __init__(
        self,
        *,
        index: int = 0,
        error_code: int = 0,
        snapshot_id: ResponseSnapshotId = DEFAULT,
        current_leader: LeaderIdAndEpoch = DEFAULT,
        size: int = 0,
        position: int = 0,
        unaligned_records: bytes | memoryview = b"",
    ) -> None:
        self.index = index
        self.error_code = error_code
        self.snapshot_id: ResponseSnapshotId = ResponseSnapshotId() if snapshot_id is DEFAULT else snapshot_id
        self.current_leader: LeaderIdAndEpoch = (
            LeaderIdAndEpoch() if current_leader is DEFAULT else current_leader
        )
        self.size = size
        self.position = position
        self.unaligned_records = unaligned_records


class ResponseTopicSnapshot(Message):
    """Versions 0-1, flexible from 0."""

    __slots__ = ("name", "partitions")
    VERSIONS = (0, 1)
    FLEXIBLE_FROM = 0
    FIELDS = (
        ("name", "string", 0, 1, -1, -1, ""),
        ("partitions", "[]ResponsePartitionSnapshot", 0, 1, -1, -1, ()),
    )

    def __init__(
        self,
        *,
        name: str = "",
        partitions: list[ResponsePartitionSnapshot] = EMPTY,
    ) -> None:
        self.name = name
        self.partitions: list[ResponsePartitionSnapshot] = [] if partitions is EMPTY else partitions


class NodeEndpoint(Message):
    """Version 1, flexible from 0."""

    __slots__ = ("node_id", "host", "port")
    VERSIONS = (1, 1)
    FLEXIBLE_FROM = 0
    FIELDS = (
        ("node_id", "int32", 1, 1, -1, -1, 0),
        ("host", "string", 1, 1, -1, -1, ""),
        ("port", "uint16", 1, 1, -1, -1, 0),
    )

    def __init__(
        self,
        *,
        node_id: int = 0,
        host: str = "",
        port: int = 0,
    ) -> None:
        self.node_id = node_id
        self.host = host
        self.port = port


class FetchSnapshotResponse(Message):
    """Versions 0-1, flexible from 0."""

    __slots__ = ("throttle_time", "error_code", "topics", "node_endpoints")
    VERSIONS = (0, 1)
    FLEXIBLE_FROM = 0
    FIELDS = (
        ("throttle_time", "int32", 0, 1, -1, -1, 0),
        ("error_code", "int16", 0, 1, -1, -1, 0),
        ("topics", "[]ResponseTopicSnapshot", 0, 1, -1, -1, ()),
        ("node_endpoints", "[]NodeEndpoint", 1, 1, -1, 0, ()),
    )

    def __init__(
        self,
        *,
        throttle_time: int = 0,
        error_code: int = 0,
        topics: list[ResponseTopicSnapshot] = EMPTY,
        node_endpoints: list[NodeEndpoint] = EMPTY,
    ) -> None:
        self.throttle_time = throttle_time
        self.error_code = error_code
        self.topics: list[ResponseTopicSnapshot] = [] if topics is EMPTY else topics
        self.node_endpoints: list[NodeEndpoint] = [] if node_endpoints is EMPTY else node_endpoints

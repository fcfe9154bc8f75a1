"""UpdateRaftVoterRequest 0-0 and UpdateRaftVoterResponse 0-0 (API key 82).

Written by `tools/generate_wire.py`: change that, not this.
"""

# ruff: noqa: RUF023 (slots are in wire order)
from __future__ import annotations

from pybroker.wire.message import DEFAULT, EMPTY, ZERO_UUID, Message

API_KEY = 82


class Listener(Message):
    """Version 0, flexible from 0."""

    __slots__ = ("name", "host", "port")
    VERSIONS = (0, 0)
    FLEXIBLE_FROM = 0
    FIELDS = (
        ("name", "string", 0, 0, -1, -1, ""),
        ("host", "string", 0, 0, -1, -1, ""),
        ("port", "uint16", 0, 0, -1, -1, 0),
    )

    def __init__(
        self,
        *,
        name: str = "",
        host: str = "",
        port: int = 0,
    ) -> None:
        self.name = name
        self.host = host
        self.port = port


class KRaftVersionFeature(Message):
    """Version 0, flexible from 0."""

    __slots__ = ("min_supported_version", "max_supported_version")
    VERSIONS = (0, 0)
    FLEXIBLE_FROM = 0
    FIELDS = (
        ("min_supported_version", "int16", 0, 0, -1, -1, 0),
        ("max_supported_version", "int16", 0, 0, -1, -1, 0),
    )

    def __init__(
        self,
        *,
        min_supported_version: int = 0,
        max_supported_version: int = 0,
    ) -> None:
        self.min_supported_version = min_supported_version
        self.max_supported_version = max_supported_version


class UpdateRaftVoterRequest(Message):
    """Version 0, flexible from 0."""

    __slots__ = (
        "cluster_id",
        "current_leader_epoch",
        "voter_id",
        "voter_directory_id",
        "listeners",
        "k_raft_version_feature",
    )
    VERSIONS = (0, 0)
    FLEXIBLE_FROM = 0
    FIELDS = (
        ("cluster_id", "string", 0, 0, 0, -1, ""),
        ("current_leader_epoch", "int32", 0, 0, -1, -1, 0),
        ("voter_id", "int32", 0, 0, -1, -1, 0),
        ("voter_directory_id", "uuid", 0, 0, -1, -1, None),
        ("listeners", "[]Listener", 0, 0, -1, -1, ()),
        ("k_raft_version_feature", "KRaftVersionFeature", 0, 0, -1, -1, ...),
    )

    def __init__(
        self,
        *,
        cluster_id: str | None = "",
        current_leader_epoch: int = 0,
        voter_id: int = 0,
        voter_directory_id: bytes = ZERO_UUID,
        listeners: list[Listener] = EMPTY,
        k_raft_version_feature: KRaftVersionFeature = DEFAULT,
    ) -> None:
        self.cluster_id = cluster_id
        self.current_leader_epoch = current_leader_epoch
        self.voter_id = voter_id
        self.voter_directory_id = voter_directory_id
        self.listeners: list[Listener] = [] if listeners is EMPTY else listeners
        self.k_raft_version_feature: KRaftVersionFeature = (
            KRaftVersionFeature() if k_raft_version_feature is DEFAULT else k_raft_version_feature
        )


class CurrentLeader(Message):
    """Version 0, flexible from 0."""

    __slots__ = ("leader_id", "leader_epoch", "host", "port")
    VERSIONS = (0, 0)
    FLEXIBLE_FROM = 0
    FIELDS = (
        ("leader_id", "int32", 0, 0, -1, -1, -1),
        ("leader_epoch", "int32", 0, 0, -1, -1, -1),
        ("host", "string", 0, 0, -1, -1, ""),
        ("port", "int32", 0, 0, -1, -1, 0),
    )

    def __init__(
        self,
        *,
        leader_id: int = -1,
        leader_epoch: int = -1,
        host: str = "",
        port: int = 0,
    ) -> None:
        self.leader_id = leader_id
        self.leader_epoch = leader_epoch
        self.host = host
        self.port = port


class UpdateRaftVoterResponse(Message):
    """Version 0, flexible from 0."""

    __slots__ = ("throttle_time", "error_code", "current_leader")
    VERSIONS = (0, 0)
    FLEXIBLE_FROM = 0
    FIELDS = (
        ("throttle_time", "int32", 0, 0, -1, -1, 0),
        ("error_code", "int16", 0, 0, -1, -1, 0),
        ("current_leader", "CurrentLeader", 0, 0, -1, 0, ...),
    )

    def __init__(
        self,
        *,
        throttle_time: int = 0,
        error_code: int = 0,
        current_leader: CurrentLeader = DEFAULT,
    ) -> None:
        self.throttle_time = throttle_time
        self.error_code = error_code
        self.current_leader: CurrentLeader = CurrentLeader() if current_leader is DEFAULT else current_leader

"""Control records: bodies of the records of control batches.

Written by `tools/generate_wire.py`: change that, not this.
"""

# ruff: noqa: RUF023 (slots are in wire order)
from __future__ import annotations

from pybroker.wire.message import DEFAULT, EMPTY, NEVER, ZERO_UUID, Message


class LeaderChangeVoter(Message):
    """Versions 0-1, flexible from 0."""

    __slots__ = ("voter_id", "voter_directory_id")
    VERSIONS = (0, 1)
    FLEXIBLE_FROM = 0
    FIELDS = (
        ("voter_id", "int32", 0, 1, -1, -1, 0),
        ("voter_directory_id", "uuid", 1, 1, -1, -1, None),
    )

    def __init__(
        self,
        *,
        voter_id: int = 0,
        voter_directory_id: bytes = ZERO_UUID,
    ) -> None:
        self.voter_id = voter_id
        self.voter_directory_id = voter_directory_id


class LeaderChangeMessage(Message):
    """Versions 0-1, flexible from 0."""

    __slots__ = ("version", "leader_id", "voters", "granting_voters")
    VERSIONS = (0, 1)
    FLEXIBLE_FROM = 0
    FIELDS = (
        ("version", "int16", 0, 1, -1, -1, 0),
        ("leader_id", "int32", 0, 1, -1, -1, 0),
        ("voters", "[]LeaderChangeVoter", 0, 1, -1, -1, ()),
        ("granting_voters", "[]LeaderChangeVoter", 0, 1, -1, -1, ()),
    )

    def __init__(
        self,
        *,
        version: int = 0,
        leader_id: int = 0,
        voters: list[LeaderChangeVoter] = EMPTY,
        granting_voters: list[LeaderChangeVoter] = EMPTY,
    ) -> None:
        self.version = version
        self.leader_id = leader_id
        self.voters: list[LeaderChangeVoter] = [] if voters is EMPTY else voters
        self.granting_voters: list[LeaderChangeVoter] = [] if granting_voters is EMPTY else granting_voters


class SnapshotHeaderRecord(Message):
    """Version 0, flexible from 0."""

    __slots__ = ("version", "last_contained_log_timestamp")
    VERSIONS = (0, 0)
    FLEXIBLE_FROM = 0
    FIELDS = (
        ("version", "int16", 0, 0, -1, -1, 0),
        ("last_contained_log_timestamp", "int64", 0, 0, -1, -1, 0),
    )

    def __init__(
        self,
        *,
        version: int = 0,
        last_contained_log_timestamp: int = 0,
    ) -> None:
        self.version = version
        self.last_contained_log_timestamp = last_contained_log_timestamp


class SnapshotFooterRecord(Message):
    """Version 0, flexible from 0."""

    __slots__ = ("version",)
    VERSIONS = (0, 0)
    FLEXIBLE_FROM = 0
    FIELDS = (("version", "int16", 0, 0, -1, -1, 0),)

    def __init__(
        self,
        *,
        version: int = 0,
    ) -> None:
        self.version = version


class KRaftVersionRecord(Message):
    """Version 0, flexible from 0."""

    __slots__ = ("version", "k_raft_version")
    VERSIONS = (0, 0)
    FLEXIBLE_FROM = 0
    FIELDS = (
        ("version", "int16", 0, 0, -1, -1, 0),
        ("k_raft_version", "int16", 0, 0, -1, -1, 0),
    )

    def __init__(
        self,
        *,
        version: int = 0,
        k_raft_version: int = 0,
    ) -> None:
        self.version = version
        self.k_raft_version = k_raft_version


class Endpoint(Message):
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


class VotersVoter(Message):
    """Version 0, flexible from 0."""

    __slots__ = ("voter_id", "voter_directory_id", "endpoints", "k_raft_version_feature")
    VERSIONS = (0, 0)
    FLEXIBLE_FROM = 0
    FIELDS = (
        ("voter_id", "int32", 0, 0, -1, -1, 0),
        ("voter_directory_id", "uuid", 0, 0, -1, -1, None),
        ("endpoints", "[]Endpoint", 0, 0, -1, -1, ()),
        ("k_raft_version_feature", "KRaftVersionFeature", 0, 0, -1, -1, ...),
    )

    def __init__(
        self,
        *,
        voter_id: int = 0,
        voter_directory_id: bytes = ZERO_UUID,
        endpoints: list[Endpoint] = EMPTY,
        k_raft_version_feature: KRaftVersionFeature = DEFAULT,
    ) -> None:
        self.voter_id = voter_id
        self.voter_directory_id = voter_directory_id
        self.endpoints: list[Endpoint] = [] if endpoints is EMPTY else endpoints
        self.k_raft_version_feature: KRaftVersionFeature = (
            KRaftVersionFeature() if k_raft_version_feature is DEFAULT else k_raft_version_feature
        )


class VotersRecord(Message):
    """Version 0, flexible from 0."""

    __slots__ = ("version", "voters")
    VERSIONS = (0, 0)
    FLEXIBLE_FROM = 0
    FIELDS = (
        ("version", "int16", 0, 0, -1, -1, 0),
        ("voters", "[]VotersVoter", 0, 0, -1, -1, ()),
    )

    def __init__(
        self,
        *,
        version: int = 0,
        voters: list[VotersVoter] = EMPTY,
    ) -> None:
        self.version = version
        self.voters: list[VotersVoter] = [] if voters is EMPTY else voters


class EndTxnMarker(Message):
    """Version 0."""

    __slots__ = ("coordinator_epoch",)
    VERSIONS = (0, 0)
    FLEXIBLE_FROM = NEVER
    FIELDS = (("coordinator_epoch", "int32", 0, 0, -1, -1, 0),)

    def __init__(
        self,
        *,
        coordinator_epoch: int = 0,
    ) -> None:
        self.coordinator_epoch = coordinator_epoch


class ControlRecordTypeSchema(Message):
    """Version 0."""

    __slots__ = ("type_",)
    VERSIONS = (0, 0)
    FLEXIBLE_FROM = NEVER
    FIELDS = (("type_", "int16", 0, 0, -1, -1, 0),)

    def __init__(
        self,
        *,
        type_: int = 0,
    ) -> None:
        self.type_ = type_

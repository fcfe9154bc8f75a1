"""AddRaftVoterRequest 0-1 and AddRaftVoterResponse 0-1 (API key 80).

Written by `tools/generate_wire.py`: change that, not this.
"""

# ruff: noqa: RUF023 (slots are in wire order)
from __future__ import annotations

from pybroker.wire.message import EMPTY, ZERO_UUID, Message

API_KEY = 80


class Listener(Message):
    """Versions 0-1, flexible from 0."""

    __slots__ = ("name", "host", "port")
    VERSIONS = (0, 1)
    FLEXIBLE_FROM = 0
    FIELDS = (
        ("name", "string", 0, 1, -1, -1, ""),
        ("host", "string", 0, 1, -1, -1, ""),
        ("port", "uint16", 0, 1, -1, -1, 0),
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


class AddRaftVoterRequest(Message):
    """Versions 0-1, flexible from 0."""

    __slots__ = ("cluster_id", "timeout", "voter_id", "voter_directory_id", "listeners", "ack_when_committed")
    VERSIONS = (0, 1)
    FLEXIBLE_FROM = 0
    FIELDS = (
        ("cluster_id", "string", 0, 1, 0, -1, ""),
        ("timeout", "int32", 0, 1, -1, -1, 0),
        ("voter_id", "int32", 0, 1, -1, -1, 0),
        ("voter_directory_id", "uuid", 0, 1, -1, -1, None),
        ("listeners", "[]Listener", 0, 1, -1, -1, ()),
        ("ack_when_committed", "bool", 1, 1, -1, -1, True),
    )

    def __init__(
        self,
        *,
        cluster_id: str | None = "",
        timeout: int = 0,
        voter_id: int = 0,
        voter_directory_id: bytes = ZERO_UUID,
        listeners: list[Listener] = EMPTY,
        ack_when_committed: bool = True,
    ) -> None:
        self.cluster_id = cluster_id
        self.timeout = timeout
        self.voter_id = voter_id
        self.voter_directory_id = voter_directory_id
        self.listeners: list[Listener] = [] if listeners is EMPTY else listeners
        self.ack_when_committed = ack_when_committed


class AddRaftVoterResponse(Message):
    """Versions 0-1, flexible from 0."""

    __slots__ = ("throttle_time", "error_code", "error_message")
    VERSIONS = (0, 1)
    FLEXIBLE_FROM = 0
    FIELDS = (
        ("throttle_time", "int32", 0, 1, -1, -1, 0),
        ("error_code", "int16", 0, 1, -1, -1, 0),
        ("error_message", "string", 0, 1, 0, -1, ""),
    )

    def __init__(
        self,
        *,
        throttle_time: int = 0,
        error_code: int = 0,
        error_message: str | None = "",
    ) -> None:
        self.throttle_time = throttle_time
        self.error_code = error_code
        self.error_message = error_message

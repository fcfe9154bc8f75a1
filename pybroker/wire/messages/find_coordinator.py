"""FindCoordinatorRequest 0-6 and FindCoordinatorResponse 0-6 (API key 10).

Written by `tools/generate_wire.py`: change that, not this.
"""

# ruff: noqa: RUF023 (slots are in wire order)
from __future__ import annotations

from pybroker.wire.message import EMPTY, Message

API_KEY = 10


class FindCoordinatorRequest(Message):
    """Versions 0-6, flexible from 3."""

    __slots__ = ("key", "key_type", "coordinator_keys")
    VERSIONS = (0, 6)
    FLEXIBLE_FROM = 3
    FIELDS = (
        ("key", "string", 0, 3, -1, -1, ""),
        ("key_type", "int8", 1, 6, -1, -1, 0),
        ("coordinator_keys", "[]string", 4, 6, -1, -1, ()),
    )

    def __init__(
        self,
        *,
        key: str = "",
        key_type: int = 0,
        coordinator_keys: list[str] = EMPTY,
    ) -> None:
        self.key = key
        self.key_type = key_type
        self.coordinator_keys: list[str] = [] if coordinator_keys is EMPTY else coordinator_keys


class Coordinator(Message):
    """Versions 4-6, flexible from 3."""

    __slots__ = ("key", "node_id", "host", "port", "error_code", "error_message")
    VERSIONS = (4, 6)
    FLEXIBLE_FROM = 3
    FIELDS = (
        ("key", "string", 4, 6, -1, -1, ""),
        ("node_id", "int32", 4, 6, -1, -1, 0),
        ("host", "string", 4, 6, -1, -1, ""),
        ("port", "int32", 4, 6, -1, -1, 0),
        ("error_code", "int16", 4, 6, -1, -1, 0),
        ("error_message", "string", 4, 6, 4, -1, ""),
    )

    def __init__(
        self,
        *,
        key: str = "",
        node_id: int = 0,
        host: str = "",
        port: int = 0,
        error_code: int = 0,
        error_message: str | None = "",
    ) -> None:
        self.key = key
        self.node_id = node_id
        self.host = host
        self.port = port
        self.error_code = error_code
        self.error_message = error_message


class FindCoordinatorResponse(Message):
    """Versions 0-6, flexible from 3."""

    __slots__ = ("throttle_time", "error_code", "error_message", "node_id", "host", "port", "coordinators")
    VERSIONS = (0, 6)
    FLEXIBLE_FROM = 3
    FIELDS = (
        ("throttle_time", "int32", 1, 6, -1, -1, 0),
        ("error_code", "int16", 0, 3, -1, -1, 0),
        ("error_message", "string", 1, 3, 1, -1, ""),
        ("node_id", "int32", 0, 3, -1, -1, 0),
        ("host", "string", 0, 3, -1, -1, ""),
        ("port", "int32", 0, 3, -1, -1, 0),
        ("coordinators", "[]Coordinator", 4, 6, -1, -1, ()),
    )

    def __init__(
        self,
        *,
        throttle_time: int = 0,
        error_code: int = 0,
        error_message: str | None = "",
        node_id: int = 0,
        host: str = "",
        port: int = 0,
        coordinators: list[Coordinator] = EMPTY,
    ) -> None:
        self.throttle_time = throttle_time
        self.error_code = error_code
        self.error_message = error_message
        self.node_id = node_id
        self.host = host
        self.port = port
        self.coordinators: list[Coordinator] = [] if coordinators is EMPTY else coordinators

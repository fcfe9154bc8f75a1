"""SaslAuthenticateRequest 0-2 and SaslAuthenticateResponse 0-2 (API key 36).

Written by `tools/generate_wire.py`: change that, not this.
"""

# ruff: noqa: RUF023 (slots are in wire order)
from __future__ import annotations

from pybroker.wire.message import Message

API_KEY = 36


class SaslAuthenticateRequest(Message):
    """Versions 0-2, flexible from 2."""

    __slots__ = ("auth_bytes",)
    VERSIONS = (0, 2)
    FLEXIBLE_FROM = 2
    FIELDS = (("auth_bytes", "bytes", 0, 2, -1, -1, b""),)

    def __init__(
        self,
        *,
        auth_bytes: bytes | memoryview = b"",
    ) -> None:
        self.auth_bytes = auth_bytes


class SaslAuthenticateResponse(Message):
    """Versions 0-2, flexible from 2."""

    __slots__ = ("error_code", "error_message", "auth_bytes", "session_lifetime")
    VERSIONS = (0, 2)
    FLEXIBLE_FROM = 2
    FIELDS = (
        ("error_code", "int16", 0, 2, -1, -1, 0),
        ("error_message", "string", 0, 2, 0, -1, ""),
        ("auth_bytes", "bytes", 0, 2, -1, -1, b""),
        ("session_lifetime", "int64", 1, 2, -1, -1, 0),
    )

    def __init__(
        self,
        *,
        error_code: int = 0,
        error_message: str | None = "",
        auth_bytes: bytes | memoryview = b"",
        session_lifetime: int = 0,
    ) -> None:
        self.error_code = error_code
        self.error_message = error_message
        self.auth_bytes = auth_bytes
        self.session_lifetime = session_lifetime

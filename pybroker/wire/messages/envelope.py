"""EnvelopeRequest 0-0 and EnvelopeResponse 0-0 (API key 58).

Written by `tools/generate_wire.py`: change that, not this.
"""

# ruff: noqa: RUF023 (slots are in wire order)
from __future__ import annotations

from pybroker.wire.message import Message

API_KEY = 58


class EnvelopeRequest(Message):
    """Version 0, flexible from 0."""

    __slots__ = ("request_data", "request_principal", "client_host_address")
    VERSIONS = (0, 0)
    FLEXIBLE_FROM = 0
    FIELDS = (
        ("request_data", "bytes", 0, 0, -1, -1, b""),
        ("request_principal", "bytes", 0, 0, 0, -1, b""),
        ("client_host_address", "bytes", 0, 0, -1, -1, b""),
    )

    def __init__(
        self,
        *,
        request_data: bytes | memoryview = b"",
        request_principal: bytes | memoryview | None = b"",
        client_host_address: bytes | memoryview = b"",
    ) -> None:
        self.request_data = request_data
        self.request_principal = request_principal
        self.client_host_address = client_host_address


class EnvelopeResponse(Message):
    """Version 0, flexible from 0."""

    __slots__ = ("response_data", "error_code")
    VERSIONS = (0, 0)
    FLEXIBLE_FROM = 0
    FIELDS = (
        ("response_data", "bytes", 0, 0, 0, -1, None),
        ("error_code", "int16", 0, 0, -1, -1, 0),
    )

    def __init__(
        self,
        *,
        response_data: bytes | memoryview | None = None,
        error_code: int = 0,
    ) -> None:
        self.response_data = response_data
        self.error_code = error_code

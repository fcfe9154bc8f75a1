"""ExpireDelegationTokenRequest 1-2 and ExpireDelegationTokenResponse 1-2 (API key 40).

Written by `tools/generate_wire.py`: change that, not this.
"""

# ruff: noqa: RUF023 (slots are in wire order)
from __future__ import annotations

from pybroker.wire.message import Message

API_KEY = 40


class ExpireDelegationTokenRequest(Message):
    """Versions 1-2, flexible from 2."""

    __slots__ = ("hmac", "expiry_time_period")
    VERSIONS = (1, 2)
    FLEXIBLE_FROM = 2
    FIELDS = (
        ("hmac", "bytes", 1, 2, -1, -1, b""),
        ("expiry_time_period", "int64", 1, 2, -1, -1, 0),
    )

    def __init__(
        self,
        *,
        hmac: bytes | memoryview = b"",
        expiry_time_period: int = 0,
    ) -> None:
        self.hmac = hmac
        self.expiry_time_period = expiry_time_period


class ExpireDelegationTokenResponse(Message):
    """Versions 1-2, flexible from 2."""

    __slots__ = ("error_code", "expiry_timestamp", "throttle_time")
    VERSIONS = (1, 2)
    FLEXIBLE_FROM = 2
    FIELDS = (
        ("error_code", "int16", 1, 2, -1, -1, 0),
        ("expiry_timestamp", "int64", 1, 2, -1, -1, 0),
        ("throttle_time", "int32", 1, 2, -1, -1, 0),
    )

    def __init__(
        self,
        *,
        error_code: int = 0,
        expiry_timestamp: int = 0,
        throttle_time: int = 0,
    ) -> None:
        self.error_code = error_code
        self.expiry_timestamp = expiry_timestamp
        self.throttle_time = throttle_time

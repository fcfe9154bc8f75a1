"""PushTelemetryRequest 0-0 and PushTelemetryResponse 0-0 (API key 72).

Written by `tools/generate_wire.py`: change that, not this.
"""

# ruff: noqa: RUF023 (slots are in wire order)
from __future__ import annotations

from pybroker.wire.message import ZERO_UUID, Message

API_KEY = 72


class PushTelemetryRequest(Message):
    """Version 0, flexible from 0."""

    __slots__ = ("client_instance_id", "subscription_id", "terminating", "compression_type", "metrics")
    VERSIONS = (0, 0)
    FLEXIBLE_FROM = 0
    FIELDS = (
        ("client_instance_id", "uuid", 0, 0, -1, -1, None),
        ("subscription_id", "int32", 0, 0, -1, -1, 0),
        ("terminating", "bool", 0, 0, -1, -1, False),
        ("compression_type", "int8", 0, 0, -1, -1, 0),
        ("metrics", "bytes", 0, 0, -1, -1, b""),
    )

    def __init__(
        self,
        *,
        client_instance_id: bytes = ZERO_UUID,
        subscription_id: int = 0,
        terminating: bool = False,
        compression_type: int = 0,
        metrics: bytes | memoryview = b"",
    ) -> None:
        self.client_instance_id = client_instance_id
        self.subscription_id = subscription_id
        self.terminating = terminating
        self.compression_type = compression_type
        self.metrics = metrics


class PushTelemetryResponse(Message):
    """Version 0, flexible from 0."""

    __slots__ = ("throttle_time", "error_code")
    VERSIONS = (0, 0)
    FLEXIBLE_FROM = 0
    FIELDS = (
        ("throttle_time", "int32", 0, 0, -1, -1, 0),
        ("error_code", "int16", 0, 0, -1, -1, 0),
    )

    def __init__(
        self,
        *,
        throttle_time: int = 0,
        error_code: int = 0,
    ) -> None:
        self.throttle_time = throttle_time
        self.error_code = error_code

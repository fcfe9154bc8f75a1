"""GetTelemetrySubscriptionsRequest 0-0 and GetTelemetrySubscriptionsResponse 0-0 (API key 71).

Written by `tools/generate_wire.py`: change that, not this.
"""

# ruff: noqa: RUF023 (slots are in wire order)
from __future__ import annotations

from pybroker.wire.message import EMPTY, ZERO_UUID, Message

API_KEY = 71


class GetTelemetrySubscriptionsRequest(Message):
    """Version 0, flexible from 0."""

    __slots__ = ("client_instance_id",)
    VERSIONS = (0, 0)
    FLEXIBLE_FROM = 0
    FIELDS = (("client_instance_id", "uuid", 0, 0, -1, -1, None),)

    def __init__(
        self,
        *,
        client_instance_id: bytes = ZERO_UUID,
    ) -> None:
        self.client_instance_id = client_instance_id


class GetTelemetrySubscriptionsResponse(Message):
    """Version 0, flexible from 0."""

    __slots__ = (
        "throttle_time",
        "error_code",
        "client_instance_id",
        "subscription_id",
        "accepted_compression_types",
        "push_interval",
        "telemetry_max_bytes",
        "delta_temporality",
        "requested_metrics",
    )
    VERSIONS = (0, 0)
    FLEXIBLE_FROM = 0
    FIELDS = (
        ("throttle_time", "int32", 0, 0, -1, -1, 0),
        ("error_code", "int16", 0, 0, -1, -1, 0),
        ("client_instance_id", "uuid", 0, 0, -1, -1, None),
        ("subscription_id", "int32", 0, 0, -1, -1, 0),
        ("accepted_compression_types", "[]int8", 0, 0, -1, -1, ()),
        ("push_interval", "int32", 0, 0, -1, -1, 0),
        ("telemetry_max_bytes", "int32", 0, 0, -1, -1, 0),
        ("delta_temporality", "bool", 0, 0, -1, -1, False),
        ("requested_metrics", "[]string", 0, 0, -1, -1, ()),
    )

    def __init__(
        self,
        *,
        throttle_time: int = 0,
        error_code: int = 0,
        client_instance_id: bytes = ZERO_UUID,
        subscription_id: int = 0,
        accepted_compression_types: list[int] = EMPTY,
        push_interval: int = 0,
        telemetry_max_bytes: int = 0,
        delta_temporality: bool = False,
        requested_metrics: list[str] = EMPTY,
    ) -> None:
        self.throttle_time = throttle_time
        self.error_code = error_code
        self.client_instance_id = client_instance_id
        self.subscription_id = subscription_id
        self.accepted_compression_types: list[int] = (
            [] if accepted_compression_types is EMPTY else accepted_compression_types
        )
        self.push_interval = push_interval
        self.telemetry_max_bytes = telemetry_max_bytes
        self.delta_temporality = delta_temporality
        self.requested_metrics: list[str] = [] if requested_metrics is EMPTY else requested_metrics

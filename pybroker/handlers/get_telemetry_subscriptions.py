"""GetTelemetrySubscriptions (key 71), version 0. Served and not advertised, as without a receiver in Kafka.

Behaviour: no metrics are asked for. A client without an id gets one. Deviation: asking again before the push
interval is over is not throttled, and client-metrics subscriptions do not change the answer.
"""

from __future__ import annotations

import hashlib

from pybroker.handlers.context import Context, Request
from pybroker.handlers.telemetry import COMPRESSION_TYPES, PUSH_INTERVAL_MS, subscription_id
from pybroker.wire.messages.get_telemetry_subscriptions import (
    GetTelemetrySubscriptionsRequest,
    GetTelemetrySubscriptionsResponse,
)


def handle(context: Context, request: Request) -> GetTelemetrySubscriptionsResponse:
    message: GetTelemetrySubscriptionsRequest = request.message
    client_id = message.client_instance_id
    if not any(client_id):
        client_id = _new_id(context, request)
    return GetTelemetrySubscriptionsResponse(
        client_instance_id=client_id,
        subscription_id=subscription_id(client_id),
        accepted_compression_types=list(COMPRESSION_TYPES),
        push_interval=PUSH_INTERVAL_MS,
        telemetry_max_bytes=context.config["telemetry.max.bytes"],
        delta_temporality=True,
    )


def _new_id(context: Context, request: Request) -> bytes:
    """A UUID in the form of version 4 that no other client gets: port and both clocks are in it."""
    connection = request.connection
    seed = (
        f"{context.cluster_id} {connection.peer_host} {connection.peer_port} "
        f"{context.clock.wall_ms()} {context.clock.monotonic_ms()}"
    )
    digest = bytearray(hashlib.sha256(seed.encode()).digest()[:16])
    digest[6] = digest[6] & 0x0F | 0x40
    digest[8] = digest[8] & 0x3F | 0x80
    return bytes(digest)

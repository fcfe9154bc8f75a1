"""GetTelemetrySubscriptions (key 71), version 0. Served and not advertised, as without a receiver in Kafka.

Behaviour: asks for the metrics that the cluster's client-metrics configurations name for this client, none
without any. A client without an id gets one. Asking again before the push interval is over is throttled, but
not after a push that was refused for its subscription or its codec.
"""

from __future__ import annotations

import hashlib

from pybroker.common.errors import ErrorCode
from pybroker.handlers.context import Context, Request
from pybroker.handlers.telemetry import COMPRESSION_TYPES
from pybroker.wire.messages.get_telemetry_subscriptions import (
    GetTelemetrySubscriptionsRequest,
    GetTelemetrySubscriptionsResponse,
)

_MAY_ASK_AGAIN = (ErrorCode.UNKNOWN_SUBSCRIPTION_ID, ErrorCode.UNSUPPORTED_COMPRESSION_TYPE)


def handle(context: Context, request: Request) -> GetTelemetrySubscriptionsResponse:
    message: GetTelemetrySubscriptionsRequest = request.message
    client_id = message.client_instance_id
    if not any(client_id):
        client_id = _new_id(context, request)
    now_ms = context.clock.monotonic_ms()
    instance = context.telemetry.instance(context, request, client_id, now_ms)
    if not instance.may_get(now_ms) and instance.last_error not in _MAY_ASK_AGAIN:
        return GetTelemetrySubscriptionsResponse(error_code=ErrorCode.THROTTLING_QUOTA_EXCEEDED)
    instance.last_error = ErrorCode.NONE
    return GetTelemetrySubscriptionsResponse(
        client_instance_id=client_id,
        subscription_id=instance.subscription_id,
        accepted_compression_types=list(COMPRESSION_TYPES),
        push_interval=instance.push_interval_ms,
        telemetry_max_bytes=context.config["telemetry.max.bytes"],
        delta_temporality=True,
        requested_metrics=instance.metrics,
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

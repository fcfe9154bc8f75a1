"""PushTelemetry (key 72), version 0. Served and not advertised, as without a receiver in Kafka.

Behaviour: metrics are checked and dropped. A client without an id is INVALID_REQUEST, and so is one that has
said that it ends. Pushing more often than the interval says is throttled; another subscription than the
client's is UNKNOWN_SUBSCRIPTION_ID.
"""

from __future__ import annotations

from pybroker.common.errors import ErrorCode
from pybroker.handlers.context import Context, Request
from pybroker.handlers.telemetry import COMPRESSION_TYPES, ClientInstance
from pybroker.wire.messages.push_telemetry import PushTelemetryRequest, PushTelemetryResponse

_NO_COMPRESSION = 0
_RESERVED_IDS = (bytes(16), bytes(15) + b"\x01")


def handle(context: Context, request: Request) -> PushTelemetryResponse:
    message: PushTelemetryRequest = request.message
    if message.client_instance_id in _RESERVED_IDS:
        return PushTelemetryResponse(error_code=ErrorCode.INVALID_REQUEST)
    now_ms = context.clock.monotonic_ms()
    instance = context.telemetry.instance(context, request, message.client_instance_id, now_ms)
    instance.last_error = _error(message, instance, now_ms, context.config["telemetry.max.bytes"])
    instance.terminating = message.terminating
    return PushTelemetryResponse(error_code=instance.last_error)


def _error(
    message: PushTelemetryRequest, instance: ClientInstance, now_ms: float, max_bytes: int
) -> ErrorCode:
    if instance.terminating:
        return ErrorCode.INVALID_REQUEST
    if not instance.may_push(now_ms) and not message.terminating:
        return ErrorCode.THROTTLING_QUOTA_EXCEEDED
    if message.subscription_id != instance.subscription_id:
        return ErrorCode.UNKNOWN_SUBSCRIPTION_ID
    if message.compression_type not in (_NO_COMPRESSION, *COMPRESSION_TYPES):
        return ErrorCode.UNSUPPORTED_COMPRESSION_TYPE
    if len(message.metrics) > max_bytes:
        return ErrorCode.TELEMETRY_TOO_LARGE
    return ErrorCode.NONE

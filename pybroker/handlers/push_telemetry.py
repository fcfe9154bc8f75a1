"""PushTelemetry (key 72), version 0. Served and not advertised, as without a receiver in Kafka.

Behaviour: metrics are checked and dropped. A client without an id is INVALID_REQUEST, another subscription
than the client's UNKNOWN_SUBSCRIPTION_ID. Deviation: pushing too often is not throttled.
"""

from __future__ import annotations

from pybroker.common.errors import ErrorCode
from pybroker.handlers.context import Context, Request
from pybroker.handlers.telemetry import COMPRESSION_TYPES, subscription_id
from pybroker.wire.messages.push_telemetry import PushTelemetryRequest, PushTelemetryResponse

_NO_COMPRESSION = 0


def handle(context: Context, request: Request) -> PushTelemetryResponse:
    message: PushTelemetryRequest = request.message
    return PushTelemetryResponse(error_code=_error(message, context.config["telemetry.max.bytes"]))


def _error(message: PushTelemetryRequest, max_bytes: int) -> ErrorCode:
    if not any(message.client_instance_id):
        return ErrorCode.INVALID_REQUEST
    if message.subscription_id != subscription_id(message.client_instance_id):
        return ErrorCode.UNKNOWN_SUBSCRIPTION_ID
    if message.compression_type not in (_NO_COMPRESSION, *COMPRESSION_TYPES):
        return ErrorCode.UNSUPPORTED_COMPRESSION_TYPE
    if len(message.metrics) > max_bytes:
        return ErrorCode.TELEMETRY_TOO_LARGE
    return ErrorCode.NONE

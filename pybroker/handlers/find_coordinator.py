"""FindCoordinator (key 10), versions 0-6.

Behaviour: no broker of this version is a coordinator, so every key is answered with
COORDINATOR_NOT_AVAILABLE, as Kafka does while its internal topics do not exist. A key type that Kafka does
not know is INVALID_REQUEST. The key is served because librdkafka compresses with lz4 only for brokers that
have it: see docs/adr/0006-find-coordinator-without-coordinators.md.
"""

from __future__ import annotations

from pybroker.common.errors import ErrorCode
from pybroker.handlers.context import Context, Request
from pybroker.wire.messages.find_coordinator import (
    Coordinator,
    FindCoordinatorRequest,
    FindCoordinatorResponse,
)

_KNOWN_KEY_TYPES = (0, 1, 2)
"""Groups, transactions, share groups."""


def handle(context: Context, request: Request) -> FindCoordinatorResponse:
    message: FindCoordinatorRequest = request.message
    if message.key_type in _KNOWN_KEY_TYPES:
        error, text = ErrorCode.COORDINATOR_NOT_AVAILABLE, "The coordinator is not available."
    else:
        error, text = ErrorCode.INVALID_REQUEST, f"Unknown coordinator type {message.key_type}"
    if request.version < 4:
        return FindCoordinatorResponse(error_code=error, error_message=text, node_id=-1, host="", port=-1)
    return FindCoordinatorResponse(
        coordinators=[
            Coordinator(key=key, node_id=-1, host="", port=-1, error_code=error, error_message="")
            for key in message.coordinator_keys
        ]
    )

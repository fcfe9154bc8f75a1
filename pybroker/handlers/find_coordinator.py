"""FindCoordinator (key 10), versions 0-6.

Behaviour: the broker that leads the internal topic's partition of a transactional id (type 1). The first
question creates the topic and is answered with COORDINATOR_NOT_AVAILABLE, as are groups (type 0) and share
groups (type 2), whose coordinators are not there yet. Any other type is INVALID_REQUEST.
"""

from __future__ import annotations

from typing import Final

from pybroker.common.errors import ErrorCode
from pybroker.handlers.context import Context, Request
from pybroker.wire.messages.find_coordinator import (
    Coordinator,
    FindCoordinatorRequest,
    FindCoordinatorResponse,
)

_GROUP: Final = 0
_TRANSACTION: Final = 1
_SHARE: Final = 2
_FIRST_BATCHED: Final = 4
_NOT_AVAILABLE: Final = "The coordinator is not available."


def handle(context: Context, request: Request) -> FindCoordinatorResponse:
    message: FindCoordinatorRequest = request.message
    listener = request.connection.listener
    if request.version >= _FIRST_BATCHED:
        return FindCoordinatorResponse(
            coordinators=[_find(context, message.key_type, key, listener) for key in message.coordinator_keys]
        )
    found = _find(context, message.key_type, message.key, listener)
    text = "NONE"
    if found.error_code == ErrorCode.COORDINATOR_NOT_AVAILABLE:
        text = _NOT_AVAILABLE
    elif found.error_code:
        text = f"Unknown coordinator type {message.key_type}"
    return FindCoordinatorResponse(
        error_code=found.error_code,
        error_message=text,
        node_id=found.node_id,
        host=found.host,
        port=found.port,
    )


def _find(context: Context, key_type: int, key: str, listener: str) -> Coordinator:
    node = -1
    if key_type == _TRANSACTION:
        error, node = context.transactions.host.find(key)
    else:
        known = key_type in (_GROUP, _SHARE)
        error = ErrorCode.COORDINATOR_NOT_AVAILABLE if known else ErrorCode.INVALID_REQUEST
    if error:
        return Coordinator(key=key, node_id=-1, host="", port=-1, error_code=error, error_message="")
    host, port = context.endpoints[listener]
    return Coordinator(key=key, node_id=node, host=host, port=port, error_message="")

"""FindCoordinator (key 10), versions 0-6.

Behaviour: the leader of the internal topic's partition that owns the key. The topic is created on first need,
and until it is there the answer is COORDINATOR_NOT_AVAILABLE. From v4 on many keys are asked for at once. Key
type 0 is a group, 1 a transactional id, 2 (v6) a share group's partition, which no broker of this version
coordinates: its well formed keys are answered with COORDINATOR_NOT_AVAILABLE, as Kafka does while the topic
for them does not exist. An unknown type is INVALID_REQUEST.
"""

from __future__ import annotations

from typing import Final

from pybroker.common.errors import ErrorCode
from pybroker.handlers.context import Context, Request, Steps, in_slices
from pybroker.handlers.nodes import Node, alive_node
from pybroker.log.partition_log import decode_uuid
from pybroker.wire.messages.find_coordinator import (
    Coordinator,
    FindCoordinatorRequest,
    FindCoordinatorResponse,
)

GROUP: Final = 0
TRANSACTION: Final = 1
SHARE: Final = 2

_NOBODY: Final = Node(-1, "", -1, None)
_BATCHED_FROM: Final = 4
_SHARE_FROM: Final = 6
_TYPES: Final = (GROUP, TRANSACTION, SHARE)
_TEXTS: Final = {
    ErrorCode.NONE: "NONE",
    ErrorCode.COORDINATOR_NOT_AVAILABLE: "The coordinator is not available.",
    ErrorCode.INVALID_REQUEST: (
        "This most likely occurs because of a request being malformed by the client library or the message "
        "was sent to an incompatible broker. See the broker logs for more details."
    ),
}


@in_slices
def handle(context: Context, request: Request) -> Steps[FindCoordinatorResponse]:
    message: FindCoordinatorRequest = request.message
    version = request.version
    listener = request.connection.listener
    if version < _BATCHED_FROM:
        error, node = _find(context, version, message.key_type, message.key, listener)
        return FindCoordinatorResponse(
            error_code=error,
            error_message=_TEXTS[error],
            node_id=node.node_id,
            host=node.host,
            port=node.port,
        )
    answers = []
    for key in message.coordinator_keys:
        yield
        error, node = _find(context, version, message.key_type, key, listener)
        answer = Coordinator(key=key, node_id=node.node_id, host=node.host, port=node.port, error_code=error)
        # Kafka says it in words only when the type, not the key, is wrong.
        answer.error_message = _TEXTS[error] if message.key_type not in _TYPES else ""
        answers.append(answer)
    return FindCoordinatorResponse(coordinators=answers)


def _find(context: Context, version: int, key_type: int, key: str, listener: str) -> tuple[ErrorCode, Node]:
    """(error, coordinator) for one key."""
    if key_type == GROUP:
        error, node_id = context.groups.find(key)
    elif key_type == TRANSACTION:
        error, node_id = context.transactions.host.find(key)
    elif key_type == SHARE and version >= _SHARE_FROM and _is_share_key(key):
        error, node_id = ErrorCode.COORDINATOR_NOT_AVAILABLE, -1
    else:
        error, node_id = ErrorCode.INVALID_REQUEST, -1
    if error:
        return error, _NOBODY
    node = alive_node(context.metadata, node_id, listener)
    return (ErrorCode.COORDINATOR_NOT_AVAILABLE, _NOBODY) if node is None else (ErrorCode.NONE, node)


def _is_share_key(key: str) -> bool:
    """group:topic id:partition"""
    parts = key.rsplit(":", 2)
    return len(parts) == 3 and bool(parts[0]) and decode_uuid(parts[1]) is not None and parts[2].isdecimal()

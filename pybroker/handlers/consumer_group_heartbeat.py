"""ConsumerGroupHeartbeat (key 68), versions 0-1.

Behaviour: members of the consumer protocol (KIP-848) join with epoch 0, report what they own, learn what they
are to own, and leave with -1, or -2 for static members that will be back. In v0 the coordinator makes the
member id; v1 adds regular expressions. UNSUPPORTED_VERSION while the feature `group.version` is below 1 or
`group.coordinator.rebalance.protocols` leaves `consumer` out.
"""

from __future__ import annotations

from pybroker.common.deferred import Deferred
from pybroker.common.errors import ApiError, ErrorCode
from pybroker.groups.consumer.coordinator import Caller, validate_heartbeat
from pybroker.handlers.context import Context, Request
from pybroker.metadata.features import GROUP_VERSION
from pybroker.wire.messages.consumer_group_heartbeat import (
    ConsumerGroupHeartbeatRequest,
    ConsumerGroupHeartbeatResponse,
)


def handle(
    context: Context, request: Request
) -> ConsumerGroupHeartbeatResponse | Deferred[ConsumerGroupHeartbeatResponse]:
    message: ConsumerGroupHeartbeatRequest = request.message
    if not is_enabled(context):
        return ConsumerGroupHeartbeatResponse(error_code=ErrorCode.UNSUPPORTED_VERSION)
    try:
        validate_heartbeat(message, request.version, context.config["group.consumer.assignors"])
    except ApiError as error:
        return _refused(error)
    caller = Caller(request.version, request.client_id or "", f"/{request.connection.peer_host}")
    written = context.groups.write(
        message.group_id, lambda shard, now: shard.consumer.heartbeat(message, caller, now)
    )
    return written.map(lambda outcome: _refused(outcome) if isinstance(outcome, ApiError) else outcome)


def _refused(error: ApiError) -> ConsumerGroupHeartbeatResponse:
    return ConsumerGroupHeartbeatResponse(error_code=error.code, error_message=error.message)


def is_enabled(context: Context) -> bool:
    """Whether the consumer protocol is switched on in this cluster and on this broker."""
    return (
        context.metadata.features.get(GROUP_VERSION, 0) >= 1
        and "consumer" in context.config["group.coordinator.rebalance.protocols"]
    )

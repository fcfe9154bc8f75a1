"""Heartbeat (key 12), versions 0-4.

Behaviour: a member of a classic group is alive, and learns of a rebalance. While the coordinator loads the
answer is no error, as in Kafka: the member has nothing to do but to come again.
"""

from __future__ import annotations

from pybroker.common.deferred import Deferred
from pybroker.common.errors import ApiError, ErrorCode
from pybroker.handlers.context import Context, Request
from pybroker.wire.messages.heartbeat import HeartbeatRequest, HeartbeatResponse


def handle(context: Context, request: Request) -> HeartbeatResponse | Deferred[HeartbeatResponse]:
    message: HeartbeatRequest = request.message
    if not message.group_id:
        return HeartbeatResponse(error_code=ErrorCode.INVALID_GROUP_ID)
    answered = context.groups.read(message.group_id, lambda shard, now: shard.heartbeat(message))
    return answered.map(_answer)


def _answer(outcome: HeartbeatResponse | ApiError) -> HeartbeatResponse:
    if not isinstance(outcome, ApiError):
        return outcome
    if outcome.code == ErrorCode.COORDINATOR_LOAD_IN_PROGRESS:
        return HeartbeatResponse()
    return HeartbeatResponse(error_code=outcome.code)

"""LeaveGroup (key 13), versions 0-5.

Behaviour: a member leaves; from v3 on several at once, each with its own answer, static ones by their
instance id (KIP-345).
"""

from __future__ import annotations

from pybroker.common.deferred import Deferred
from pybroker.common.errors import ApiError, ErrorCode
from pybroker.handlers.context import Context, Request
from pybroker.wire.messages.leave_group import LeaveGroupRequest, LeaveGroupResponse, MemberIdentity

_MANY_FROM = 3


def handle(context: Context, request: Request) -> LeaveGroupResponse | Deferred[LeaveGroupResponse]:
    message: LeaveGroupRequest = request.message
    version = request.version
    if not message.group_id:
        return LeaveGroupResponse(error_code=ErrorCode.INVALID_GROUP_ID)
    if version < _MANY_FROM:
        message.members = [MemberIdentity(member_id=message.member_id)]
    written = context.groups.write(message.group_id, lambda shard, now: shard.leave(message, now))
    return written.map(lambda outcome: _answer(outcome, version))


def _answer(outcome: LeaveGroupResponse | ApiError, version: int) -> LeaveGroupResponse:
    if isinstance(outcome, ApiError):
        return LeaveGroupResponse(error_code=outcome.code)
    if version < _MANY_FROM:
        outcome.error_code = outcome.error_code or outcome.members[0].error_code
    return outcome

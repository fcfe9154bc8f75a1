"""SyncGroup (key 14), versions 0-5.

Behaviour: the leader brings the assignments of a generation, every member gets its own when they are stored.
From v5 on protocol type and name must be given.
"""

from __future__ import annotations

from pybroker.common.deferred import Deferred
from pybroker.common.errors import ApiError, ErrorCode
from pybroker.handlers.context import Context, Request
from pybroker.wire.messages.sync_group import SyncGroupRequest, SyncGroupResponse

_PROTOCOL_REQUIRED_FROM = 5


def handle(context: Context, request: Request) -> SyncGroupResponse | Deferred[SyncGroupResponse]:
    message: SyncGroupRequest = request.message
    if request.version >= _PROTOCOL_REQUIRED_FROM and (
        message.protocol_type is None or message.protocol_name is None
    ):
        return SyncGroupResponse(error_code=ErrorCode.INCONSISTENT_GROUP_PROTOCOL)
    if not message.group_id:
        return SyncGroupResponse(error_code=ErrorCode.INVALID_GROUP_ID)
    written = context.groups.write(message.group_id, lambda shard, now: shard.sync(message, now))
    return written.map(
        lambda outcome: (
            SyncGroupResponse(error_code=outcome.code) if isinstance(outcome, ApiError) else outcome
        )
    )

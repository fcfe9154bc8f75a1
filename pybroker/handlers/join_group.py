"""JoinGroup (key 11), versions 0-9.

Behaviour: a member joins a group and waits for the end of the join phase; the leader learns the members. From
v4 on a member without an id is first given one (MEMBER_ID_REQUIRED, KIP-394), static members (v5) join at
once. In v0 the session timeout is also the rebalance timeout.
"""

from __future__ import annotations

from pybroker.common.deferred import Deferred
from pybroker.common.errors import ApiError, ErrorCode
from pybroker.groups.classic.coordinator import JoinContext
from pybroker.groups.classic.group import refused_join
from pybroker.handlers.context import Context, Request
from pybroker.wire.messages.join_group import JoinGroupRequest, JoinGroupResponse

_NULLABLE_PROTOCOL_FROM = 7


def handle(context: Context, request: Request) -> JoinGroupResponse | Deferred[JoinGroupResponse]:
    message: JoinGroupRequest = request.message
    version = request.version
    if refusal := _refusal(context, message):
        return _answer(refused_join(message.member_id, refusal), version)
    if version == 0:
        message.rebalance_timeout = message.session_timeout
    who = JoinContext(version, request.client_id or "", f"/{request.connection.peer_host}")
    written = context.groups.write(message.group_id, lambda shard, now: shard.join(message, who, now))
    return written.map(
        lambda outcome: _answer(
            refused_join("", outcome.code) if isinstance(outcome, ApiError) else outcome,
            version,
        )
    )


def _refusal(context: Context, message: JoinGroupRequest) -> ErrorCode:
    if not message.group_id:
        return ErrorCode.INVALID_GROUP_ID
    config = context.config
    if not (
        config["group.min.session.timeout.ms"]
        <= message.session_timeout
        <= config["group.max.session.timeout.ms"]
    ):
        return ErrorCode.INVALID_SESSION_TIMEOUT
    return ErrorCode.NONE


def _answer(response: JoinGroupResponse, version: int) -> JoinGroupResponse:
    if version < _NULLABLE_PROTOCOL_FROM and response.protocol_name is None:
        response.protocol_name = ""
    return response

"""ListGroups (key 16), versions 0-5.

Behaviour: the groups that this broker coordinates; from v4 on only those in some states, from v5 on only
those of some types. A filter that means nothing matches nothing. While a part of the groups is being loaded
the answer is COORDINATOR_LOAD_IN_PROGRESS, because a list without them would look complete.
"""

from __future__ import annotations

from pybroker.common.deferred import Deferred, gather
from pybroker.common.errors import ApiError, ErrorCode
from pybroker.handlers.context import Context, Request
from pybroker.wire.messages.list_groups import ListedGroup, ListGroupsRequest, ListGroupsResponse


def handle(context: Context, request: Request) -> Deferred[ListGroupsResponse]:
    message: ListGroupsRequest = request.message
    states = [state.lower() for state in message.states_filter]
    types = [name.lower() for name in message.types_filter]
    parts = [
        context.groups.read(index, lambda shard, now: shard.list_groups(states, types))
        for index in context.groups.partitions
    ]
    return gather(parts).map(_answer)


def _answer(parts: list[list[ListedGroup] | ApiError]) -> ListGroupsResponse:
    groups: list[ListedGroup] = []
    for part in parts:
        if not isinstance(part, ApiError):
            groups += part
        elif part.code != ErrorCode.NOT_COORDINATOR:
            return ListGroupsResponse(error_code=part.code)
    return ListGroupsResponse(groups=groups)

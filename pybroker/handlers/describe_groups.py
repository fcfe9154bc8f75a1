"""DescribeGroups (key 15), versions 0-6.

Behaviour: classic groups with their members, whose metadata and assignments are shown while the group is
stable. A group that does not exist, or is of another kind, is Dead, from v6 on with GROUP_ID_NOT_FOUND.
"""

from __future__ import annotations

from pybroker.common.deferred import Deferred, gather
from pybroker.common.errors import ApiError
from pybroker.handlers.authorized_operations import ALL_GROUP_OPERATIONS
from pybroker.handlers.context import Context, Request, Steps, in_slices
from pybroker.wire.messages.describe_groups import (
    DescribedGroup,
    DescribeGroupsRequest,
    DescribeGroupsResponse,
)


@in_slices
def handle(context: Context, request: Request) -> Steps[Deferred[DescribeGroupsResponse]]:
    message: DescribeGroupsRequest = request.message
    with_operations = message.include_authorized_operations
    described = []
    for group_id in message.groups:
        yield
        described.append(_describe(context, group_id, request.version))

    def answer(groups: list[DescribedGroup]) -> DescribeGroupsResponse:
        for group in groups:
            if with_operations and not group.error_code:
                group.authorized_operations = ALL_GROUP_OPERATIONS
        return DescribeGroupsResponse(groups=groups)

    return gather(described).map(answer)


def _describe(context: Context, group_id: str, version: int) -> Deferred[DescribedGroup]:
    answered = context.groups.read(group_id, lambda shard, now: shard.describe_group(group_id, version))
    return answered.map(
        lambda outcome: (
            DescribedGroup(group_id=group_id, error_code=outcome.code)
            if isinstance(outcome, ApiError)
            else outcome
        )
    )

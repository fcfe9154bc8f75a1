"""ConsumerGroupDescribe (key 69), versions 0-1.

Behaviour: consumer groups with their members, what each has and what it is to have; v1 tells classic members
from others. A group that does not exist or is of another kind is GROUP_ID_NOT_FOUND, so that tools ask
DescribeGroups next. UNSUPPORTED_VERSION where the consumer protocol is switched off.
"""

from __future__ import annotations

from pybroker.common.deferred import Deferred, gather, resolved
from pybroker.common.errors import ApiError, ErrorCode
from pybroker.handlers.authorized_operations import ALL_GROUP_OPERATIONS
from pybroker.handlers.consumer_group_heartbeat import is_enabled
from pybroker.handlers.context import Context, Request, Steps, in_slices
from pybroker.wire.messages.consumer_group_describe import (
    ConsumerGroupDescribeRequest,
    ConsumerGroupDescribeResponse,
    DescribedGroup,
)


@in_slices
def handle(
    context: Context, request: Request
) -> Steps[ConsumerGroupDescribeResponse | Deferred[ConsumerGroupDescribeResponse]]:
    message: ConsumerGroupDescribeRequest = request.message
    if not is_enabled(context):
        return ConsumerGroupDescribeResponse(
            groups=[_refused(group_id, ErrorCode.UNSUPPORTED_VERSION) for group_id in message.group_ids]
        )
    with_operations = message.include_authorized_operations

    def answer(groups: list[DescribedGroup]) -> ConsumerGroupDescribeResponse:
        for group in groups:
            if with_operations and not group.error_code:
                group.authorized_operations = ALL_GROUP_OPERATIONS
        return ConsumerGroupDescribeResponse(groups=groups)

    described = []
    for group_id in message.group_ids:
        yield
        described.append(_describe(context, group_id))
    return gather(described).map(answer)


def _describe(context: Context, group_id: str) -> Deferred[DescribedGroup]:
    if not group_id:
        return resolved(_refused("", ErrorCode.INVALID_GROUP_ID))
    answered = context.groups.read(group_id, lambda shard, now: shard.consumer.describe(group_id))
    return answered.map(
        lambda outcome: _refused(group_id, outcome.code) if isinstance(outcome, ApiError) else outcome
    )


def _refused(group_id: str, error: ErrorCode) -> DescribedGroup:
    return DescribedGroup(group_id=group_id, error_code=error)

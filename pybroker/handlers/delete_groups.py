"""DeleteGroups (key 42), versions 0-2.

Behaviour: empty groups are removed with their offsets; each group gets its own answer.
"""

from __future__ import annotations

from pybroker.common.deferred import Deferred, gather
from pybroker.common.errors import ApiError, ErrorCode
from pybroker.handlers.context import Context, Request, Steps, in_slices
from pybroker.wire.messages.delete_groups import (
    DeletableGroupResult,
    DeleteGroupsRequest,
    DeleteGroupsResponse,
)


@in_slices
def handle(context: Context, request: Request) -> Steps[Deferred[DeleteGroupsResponse]]:
    message: DeleteGroupsRequest = request.message
    answers = []
    for group_id in dict.fromkeys(message.groups_names):
        yield
        answers.append(_delete(context, group_id))
    return gather(answers).map(lambda results: DeleteGroupsResponse(results=results))


def _delete(context: Context, group_id: str) -> Deferred[DeletableGroupResult]:
    written = context.groups.write(group_id, lambda shard, now: shard.delete_group(group_id))
    return written.map(
        lambda outcome: DeletableGroupResult(
            group_id=group_id,
            error_code=outcome.code if isinstance(outcome, ApiError) else ErrorCode.NONE,
        )
    )

"""OffsetDelete (key 47), version 0.

Behaviour: committed offsets of a group are removed, except those of topics that its live members read.
"""

from __future__ import annotations

from pybroker.common.deferred import Deferred
from pybroker.common.errors import ApiError, ErrorCode
from pybroker.handlers.context import Context, Request
from pybroker.wire.messages.offset_delete import (
    OffsetDeleteRequest,
    OffsetDeleteRequestTopic,
    OffsetDeleteResponse,
    OffsetDeleteResponsePartition,
    OffsetDeleteResponseTopic,
)


def handle(context: Context, request: Request) -> OffsetDeleteResponse | Deferred[OffsetDeleteResponse]:
    message: OffsetDeleteRequest = request.message
    if not message.group_id:
        return OffsetDeleteResponse(error_code=ErrorCode.INVALID_GROUP_ID)
    refused: dict[str, OffsetDeleteResponseTopic] = {}
    known: list[OffsetDeleteRequestTopic] = []
    for topic in message.topics:
        found = context.metadata.topics.get(topic.name)
        count = 0 if found is None else len(found.partitions)
        good = [entry for entry in topic.partitions if 0 <= entry.partition_index < count]
        bad = [entry for entry in topic.partitions if not 0 <= entry.partition_index < count]
        if good:
            known.append(OffsetDeleteRequestTopic(name=topic.name, partitions=good))
        if bad:
            error = ErrorCode.UNKNOWN_TOPIC_OR_PARTITION
            refused[topic.name] = OffsetDeleteResponseTopic(
                name=topic.name,
                partitions=[
                    OffsetDeleteResponsePartition(partition_index=entry.partition_index, error_code=error)
                    for entry in bad
                ],
            )
    message.topics = known
    written = context.groups.write(message.group_id, lambda shard, now: shard.delete_offsets(message))
    return written.map(lambda outcome: _answer(outcome, refused))


def _answer(
    outcome: OffsetDeleteResponse | ApiError, refused: dict[str, OffsetDeleteResponseTopic]
) -> OffsetDeleteResponse:
    if isinstance(outcome, ApiError):
        return OffsetDeleteResponse(error_code=outcome.code)
    for topic in outcome.topics:
        first = refused.setdefault(topic.name, topic)
        if first is not topic:
            first.partitions += topic.partitions
    return OffsetDeleteResponse(topics=list(refused.values()))

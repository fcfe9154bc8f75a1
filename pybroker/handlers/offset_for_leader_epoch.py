"""OffsetForLeaderEpoch (key 23), versions 2-4.

Behaviour: the largest epoch at or below the one asked for, and the offset where it ends (KIP-279, KIP-320).
An epoch this log never had answers (-1, -1) without an error.
"""

from __future__ import annotations

from pybroker.common.errors import ErrorCode
from pybroker.handlers.context import Context, Request, Steps, in_slices
from pybroker.wire.messages.offset_for_leader_epoch import (
    EpochEndOffset,
    OffsetForLeaderEpochRequest,
    OffsetForLeaderEpochResponse,
    OffsetForLeaderTopicResult,
)


@in_slices
def handle(context: Context, request: Request) -> Steps[OffsetForLeaderEpochResponse]:
    message: OffsetForLeaderEpochRequest = request.message
    topics = []
    for topic in message.topics:
        answers = []
        yield
        for asked in topic.partitions:
            yield
            answer = EpochEndOffset(partition=asked.partition)
            partition = context.partition(topic.topic, asked.partition)
            if partition is None:
                answer.error_code = context.missing(topic.topic, asked.partition)
            elif error := partition.check_leader_epoch(asked.current_leader_epoch):
                answer.error_code = error
            elif not partition.is_leader:
                answer.error_code = ErrorCode.NOT_LEADER_OR_FOLLOWER
            else:
                answer.leader_epoch, answer.end_offset = partition.epoch_end_offset(asked.leader_epoch)
            answers.append(answer)
        topics.append(OffsetForLeaderTopicResult(topic=topic.topic, partitions=answers))
    return OffsetForLeaderEpochResponse(topics=topics)

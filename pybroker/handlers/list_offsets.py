"""ListOffsets (key 2), versions 1-11.

Behaviour: offset by timestamp, or by one of the special timestamps -1 latest, -2 earliest, -3 maximum
timestamp (v7), -4 earliest local (v8), -5 latest tiered (v9), -6 earliest pending upload (v11); one below
its version, or unknown, is UNSUPPORTED_VERSION for the partition. A partition named twice is INVALID_REQUEST.
"""

from __future__ import annotations

from collections import Counter

from pybroker.common.errors import ErrorCode
from pybroker.handlers.context import Context, Request
from pybroker.wire.messages.list_offsets import (
    ListOffsetsPartition,
    ListOffsetsPartitionResponse,
    ListOffsetsRequest,
    ListOffsetsResponse,
    ListOffsetsTopicResponse,
)

_FIRST_VERSION_OF = {-1: 1, -2: 1, -3: 7, -4: 8, -5: 9, -6: 11}


def handle(context: Context, request: Request) -> ListOffsetsResponse:
    message: ListOffsetsRequest = request.message
    times_named = Counter(
        (topic.name, partition.partition_index) for topic in message.topics for partition in topic.partitions
    )
    isolation_known = message.isolation_level in (0, 1)
    topics = []
    for topic in message.topics:
        answers = []
        for asked in topic.partitions:
            if not isolation_known:
                error = ErrorCode.UNKNOWN_SERVER_ERROR
                answer = ListOffsetsPartitionResponse(partition_index=asked.partition_index, error_code=error)
            elif times_named[topic.name, asked.partition_index] > 1:
                error = ErrorCode.INVALID_REQUEST
                answer = ListOffsetsPartitionResponse(partition_index=asked.partition_index, error_code=error)
            else:
                answer = _look_up(context, request.version, message.isolation_level, topic.name, asked)
            answers.append(answer)
        topics.append(ListOffsetsTopicResponse(name=topic.name, partitions=answers))
    return ListOffsetsResponse(topics=topics)


def _look_up(
    context: Context, version: int, isolation_level: int, topic: str, asked: ListOffsetsPartition
) -> ListOffsetsPartitionResponse:
    answer = ListOffsetsPartitionResponse(partition_index=asked.partition_index)
    timestamp = asked.timestamp
    partition = context.partition(topic, asked.partition_index)
    if timestamp < 0 and version < _FIRST_VERSION_OF.get(timestamp, 1 << 15):
        answer.error_code = ErrorCode.UNSUPPORTED_VERSION
    elif partition is None:
        answer.error_code = ErrorCode.UNKNOWN_TOPIC_OR_PARTITION
    elif error := partition.check_leader_epoch(asked.current_leader_epoch):
        answer.error_code = error
    else:
        found = partition.list_offset(timestamp, isolation_level)
        answer.error_code, answer.timestamp, answer.offset, answer.leader_epoch = found
    return answer

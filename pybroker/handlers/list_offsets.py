"""ListOffsets (key 2), versions 1-11.

Behaviour: offset by timestamp, or by one of the special timestamps -1 latest, -2 earliest, -3 maximum
timestamp (v7), -4 earliest local (v8), -5 latest tiered (v9), -6 earliest pending upload (v11); one below
its version, or unknown, is UNSUPPORTED_VERSION for the partition. OFFSET_NOT_AVAILABLE (v5) while a new
leader does not know yet how far its predecessor had committed. A partition named twice is INVALID_REQUEST,
answered once; a topic named twice is one topic.
"""

from __future__ import annotations

from pybroker.common.errors import ErrorCode
from pybroker.handlers.context import Context, Request, Steps, in_slices
from pybroker.replication.partition import READ_LOG_END
from pybroker.wire.messages.list_offsets import (
    ListOffsetsPartition,
    ListOffsetsPartitionResponse,
    ListOffsetsRequest,
    ListOffsetsResponse,
    ListOffsetsTopicResponse,
)

_FIRST_NOT_AVAILABLE = 5
_FIRST_VERSION_OF = {-1: 1, -2: 1, -3: 7, -4: 8, -5: 9, -6: 11}


@in_slices
def handle(context: Context, request: Request) -> Steps[ListOffsetsResponse]:
    message: ListOffsetsRequest = request.message
    if message.isolation_level not in (0, 1):
        return _refuse_all(message, ErrorCode.UNKNOWN_SERVER_ERROR)
    named: set[tuple[str, int]] = set()
    repeated: set[tuple[str, int]] = set()
    for topic in message.topics:
        for asked in topic.partitions:
            yield
            key = topic.name, asked.partition_index
            (repeated if key in named else named).add(key)
    answers: dict[str, dict[int, ListOffsetsPartitionResponse]] = {}
    for topic in message.topics:
        yield
        for asked in topic.partitions:
            yield
            index = asked.partition_index
            if (topic.name, index) in repeated:
                answer = ListOffsetsPartitionResponse(
                    partition_index=index, error_code=ErrorCode.INVALID_REQUEST
                )
            else:
                answer = _look_up(context, request.version, message, topic.name, asked)
            answers.setdefault(topic.name, {})[index] = answer
    return ListOffsetsResponse(
        topics=[
            ListOffsetsTopicResponse(name=name, partitions=list(found.values()))
            for name, found in answers.items()
        ]
    )


def _refuse_all(message: ListOffsetsRequest, error: ErrorCode) -> ListOffsetsResponse:
    return ListOffsetsResponse(
        topics=[
            ListOffsetsTopicResponse(
                name=topic.name,
                partitions=[
                    ListOffsetsPartitionResponse(partition_index=asked.partition_index, error_code=error)
                    for asked in topic.partitions
                ],
            )
            for topic in message.topics
        ]
    )


def _look_up(
    context: Context, version: int, message: ListOffsetsRequest, topic: str, asked: ListOffsetsPartition
) -> ListOffsetsPartitionResponse:
    answer = ListOffsetsPartitionResponse(partition_index=asked.partition_index)
    timestamp = asked.timestamp
    partition = context.partition(topic, asked.partition_index)
    if timestamp < 0 and version < _FIRST_VERSION_OF.get(timestamp, 1 << 15):
        answer.error_code = ErrorCode.UNSUPPORTED_VERSION
    elif partition is None:
        answer.error_code = context.missing(topic, asked.partition_index)
    elif error := partition.check_leader_epoch(asked.current_leader_epoch):
        answer.error_code = error
    else:
        # Only consumers have an isolation level; replicas see the whole log.
        isolation = message.isolation_level if message.replica_id == -1 else READ_LOG_END
        found = partition.list_offset(timestamp, isolation)
        answer.error_code, answer.timestamp, answer.offset, answer.leader_epoch = found
        if answer.error_code == ErrorCode.OFFSET_NOT_AVAILABLE and version < _FIRST_NOT_AVAILABLE:
            answer.error_code = ErrorCode.LEADER_NOT_AVAILABLE
    return answer

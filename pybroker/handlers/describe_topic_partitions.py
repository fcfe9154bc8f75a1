"""DescribeTopicPartitions (key 75), version 0 (KIP-966).

Behaviour: topics by name in order, at most `response_partition_limit` partitions (and never more than
max.request.partition.size.limit), with a cursor where the answer was cut.
"""

from __future__ import annotations

from pybroker.common.errors import ErrorCode
from pybroker.controller.topic_names import INTERNAL_TOPICS, topic_name_problem
from pybroker.handlers.authorized_operations import ALL_TOPIC_OPERATIONS
from pybroker.handlers.context import Context, Request
from pybroker.wire.messages.describe_topic_partitions import (
    DescribeTopicPartitionsRequest,
    DescribeTopicPartitionsResponse,
    DescribeTopicPartitionsResponsePartition,
    DescribeTopicPartitionsResponseTopic,
    ResponseCursor,
)


def handle(context: Context, request: Request) -> DescribeTopicPartitionsResponse:
    message: DescribeTopicPartitionsRequest = request.message
    cursor = message.cursor
    if cursor is not None and cursor.partition_index < 0:
        return DescribeTopicPartitionsResponse(
            topics=[
                DescribeTopicPartitionsResponseTopic(error_code=ErrorCode.INVALID_REQUEST, name=topic.name)
                for topic in message.topics
            ]
        )
    image = context.metadata
    names = sorted({topic.name for topic in message.topics}) if message.topics else sorted(image.topics)
    first_partition = 0
    if cursor is not None:
        names = [name for name in names if name >= cursor.topic_name]
        if names and names[0] == cursor.topic_name:
            first_partition = cursor.partition_index
    ceiling: int = context.config["max.request.partition.size.limit"]
    room = max(min(message.response_partition_limit, ceiling), 1)
    answers = []
    next_cursor = None
    for name in names:
        if room == 0:
            next_cursor = ResponseCursor(topic_name=name, partition_index=0)
            break
        start, first_partition = first_partition, 0
        topic = image.topics.get(name)
        if topic is None:
            invalid = topic_name_problem(name) is not None
            error = ErrorCode.INVALID_TOPIC_EXCEPTION if invalid else ErrorCode.UNKNOWN_TOPIC_OR_PARTITION
            answers.append(DescribeTopicPartitionsResponseTopic(error_code=error, name=name))
            continue
        end = min(start + room, len(topic.partitions))
        answers.append(
            DescribeTopicPartitionsResponseTopic(
                name=name,
                topic_id=topic.topic_id,
                is_internal=name in INTERNAL_TOPICS,
                topic_authorized_operations=ALL_TOPIC_OPERATIONS,
                partitions=[
                    DescribeTopicPartitionsResponsePartition(
                        partition_index=index,
                        leader_id=topic.partitions[index].leader,
                        leader_epoch=topic.partitions[index].leader_epoch,
                        replica_nodes=list(topic.partitions[index].replicas),
                        isr_nodes=list(topic.partitions[index].isr),
                        eligible_leader_replicas=[],
                        last_known_elr=[],
                    )
                    for index in range(start, end)
                ],
            )
        )
        room -= max(end - start, 0)
        if end < len(topic.partitions):
            next_cursor = ResponseCursor(topic_name=name, partition_index=end)
            break
    return DescribeTopicPartitionsResponse(topics=answers, next_cursor=next_cursor)

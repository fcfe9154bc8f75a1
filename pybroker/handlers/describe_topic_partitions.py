"""DescribeTopicPartitions (key 75), version 0 (KIP-966).

Behaviour: topics by name in order, at most `response_partition_limit` partitions (and never more than
max.request.partition.size.limit), with a cursor where the answer was cut.
"""

from __future__ import annotations

from pybroker.common.errors import ErrorCode
from pybroker.controller.topic_names import INTERNAL_TOPICS, topic_name_problem
from pybroker.handlers.authorized_operations import ALL_TOPIC_OPERATIONS
from pybroker.handlers.context import Context, Request, Steps, in_slices
from pybroker.handlers.nodes import Replicas
from pybroker.metadata.image import NO_LEADER, PartitionImage
from pybroker.wire.messages.describe_topic_partitions import (
    DescribeTopicPartitionsRequest,
    DescribeTopicPartitionsResponse,
    DescribeTopicPartitionsResponsePartition,
    DescribeTopicPartitionsResponseTopic,
    ResponseCursor,
)


@in_slices
def handle(context: Context, request: Request) -> Steps[DescribeTopicPartitionsResponse]:
    message: DescribeTopicPartitionsRequest = request.message
    cursor = message.cursor
    image = context.metadata
    everything = not message.topics
    names = sorted(image.topics if everything else {topic.name for topic in message.topics}, key=_java_order)
    first_partition = 0
    if cursor is not None:
        cursor_place = _java_order(cursor.topic_name)
        names = [name for name in names if _java_order(name) >= cursor_place]
        named = cursor.topic_name in names
        if cursor.partition_index < 0 or not (named or everything):
            return _refuse_all(message, ErrorCode.INVALID_REQUEST)
        if named:
            first_partition = cursor.partition_index
    elif "" in names:
        # The reference takes the empty name for that of the cursor, which is not there.
        return _refuse_all(message, ErrorCode.UNKNOWN_SERVER_ERROR)
    replicas = Replicas(image, request.connection.listener)
    ceiling: int = context.config["max.request.partition.size.limit"]
    room = max(min(message.response_partition_limit, ceiling), 1)
    answers = []
    next_cursor = None
    for name in names:
        yield
        if room == 0:
            next_cursor = ResponseCursor(topic_name=name, partition_index=0)
            break
        start, first_partition = first_partition, 0
        topic = image.topics.get(name)
        if topic is None:
            invalid = topic_name_problem(name) is not None
            error = ErrorCode.INVALID_TOPIC_EXCEPTION if invalid else ErrorCode.UNKNOWN_TOPIC_OR_PARTITION
            answers.append(
                DescribeTopicPartitionsResponseTopic(
                    error_code=error,
                    name=name,
                    is_internal=name in INTERNAL_TOPICS,
                    topic_authorized_operations=ALL_TOPIC_OPERATIONS,
                )
            )
            continue
        end = min(_wrapped(start + room), len(topic.partitions))
        answers.append(
            DescribeTopicPartitionsResponseTopic(
                name=name,
                topic_id=topic.topic_id,
                is_internal=name in INTERNAL_TOPICS,
                topic_authorized_operations=ALL_TOPIC_OPERATIONS,
                partitions=[
                    _partition(index, topic.partitions[index], replicas) for index in range(start, end)
                ],
            )
        )
        room -= max(end - start, 0)
        if end < len(topic.partitions) and end != -1:
            next_cursor = ResponseCursor(topic_name=name, partition_index=end)
            break
    return DescribeTopicPartitionsResponse(topics=answers, next_cursor=next_cursor)


def _partition(
    index: int, partition: PartitionImage, replicas: Replicas
) -> DescribeTopicPartitionsResponsePartition:
    has_leader = replicas.reachable(partition.leader)
    error = ErrorCode.NONE
    if not has_leader:
        known = replicas.registered(partition.leader)
        error = ErrorCode.LISTENER_NOT_FOUND if known else ErrorCode.LEADER_NOT_AVAILABLE
    return DescribeTopicPartitionsResponsePartition(
        error_code=error,
        partition_index=index,
        leader_id=partition.leader if has_leader else NO_LEADER,
        leader_epoch=partition.leader_epoch,
        replica_nodes=list(partition.replicas),
        isr_nodes=list(partition.isr),
        eligible_leader_replicas=list(partition.eligible_leader_replicas),
        last_known_elr=list(partition.last_known_elr),
        offline_replicas=replicas.offline(partition),
    )


def _java_order(name: str) -> bytes:
    """Sorts as the reference does: by UTF-16 code units."""
    return name.encode("utf-16-be", "surrogatepass")


def _wrapped(number: int) -> int:
    return (number + 2**31) % 2**32 - 2**31


def _refuse_all(message: DescribeTopicPartitionsRequest, error: ErrorCode) -> DescribeTopicPartitionsResponse:
    return DescribeTopicPartitionsResponse(
        topics=[
            DescribeTopicPartitionsResponseTopic(error_code=error, name=topic.name)
            for topic in message.topics
        ]
    )

"""DescribeProducers (key 61), version 0.

Behaviour: the producers that a partition's leader knows, with the start of the transaction that each has
open: this is how a transaction that hangs is found (KIP-664).
"""

from __future__ import annotations

from pybroker.common.errors import ErrorCode
from pybroker.controller.topic_names import topic_name_problem
from pybroker.handlers.context import Context, Request, Steps, in_slices
from pybroker.wire.messages.describe_producers import (
    DescribeProducersRequest,
    DescribeProducersResponse,
    PartitionResponse,
    ProducerState,
    TopicResponse,
)


@in_slices
def handle(context: Context, request: Request) -> Steps[DescribeProducersResponse]:
    message: DescribeProducersRequest = request.message
    topics = []
    for topic in message.topics:
        answers = []
        for index in topic.partition_indexes:
            yield
            answers.append(_partition(context, topic.name, index))
        topics.append(TopicResponse(name=topic.name, partitions=answers))
    return DescribeProducersResponse(topics=topics)


def _partition(context: Context, topic: str, index: int) -> PartitionResponse:
    answer = PartitionResponse(partition_index=index)
    if problem := topic_name_problem(topic):
        answer.error_code = ErrorCode.INVALID_TOPIC_EXCEPTION
        answer.error_message = problem
        return answer
    partition = context.partition(topic, index)
    if partition is None:
        answer.error_code = context.missing(topic, index)
        if topic not in context.metadata.topics:
            answer.error_message = "This server does not host this topic-partition."
    elif not partition.is_leader:
        answer.error_code = ErrorCode.NOT_LEADER_OR_FOLLOWER
    else:
        answer.active_producers = [
            ProducerState(
                producer_id=entry.producer_id,
                producer_epoch=entry.epoch,
                last_sequence=entry.last_sequence,
                last_timestamp=entry.last_timestamp,
                coordinator_epoch=entry.coordinator_epoch,
                current_txn_start_offset=entry.transaction_first_offset,
            )
            for entry in partition.active_producers()
        ]
    return answer

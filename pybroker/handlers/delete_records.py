"""DeleteRecords (key 21), versions 0-2.

Behaviour: raises the log start offset to the one given, -1 meaning the high watermark, and answers the new
low watermark. A topic that is only compacted refuses (POLICY_VIOLATION).
"""

from __future__ import annotations

from pybroker.common.errors import ErrorCode
from pybroker.handlers.context import Context, Request, Steps, in_slices
from pybroker.wire.messages.delete_records import (
    DeleteRecordsPartitionResult,
    DeleteRecordsRequest,
    DeleteRecordsResponse,
    DeleteRecordsTopicResult,
)


@in_slices
def handle(context: Context, request: Request) -> Steps[DeleteRecordsResponse]:
    message: DeleteRecordsRequest = request.message
    topics = []
    for topic in message.topics:
        answers = []
        yield
        for asked in topic.partitions:
            yield
            partition = context.partition(topic.name, asked.partition_index)
            if partition is None:
                error, low_watermark = ErrorCode.UNKNOWN_TOPIC_OR_PARTITION, -1
            else:
                error, low_watermark = partition.delete_records(asked.offset)
            answers.append(
                DeleteRecordsPartitionResult(
                    partition_index=asked.partition_index, error_code=error, low_watermark=low_watermark
                )
            )
        topics.append(DeleteRecordsTopicResult(name=topic.name, partitions=answers))
    return DeleteRecordsResponse(topics=topics)

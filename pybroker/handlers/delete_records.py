"""DeleteRecords (key 21), versions 0-2.

Behaviour: raises the log start offset to the one given, -1 meaning the high watermark, and answers the new
low watermark. A topic that is only compacted refuses (POLICY_VIOLATION).
"""

from __future__ import annotations

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
    # A partition that is named twice is answered once, for the last offset; a topic named twice is one.
    topics: dict[str, dict[int, int]] = {}
    for topic in message.topics:
        yield
        offsets = topics.setdefault(topic.name, {})
        for asked in topic.partitions:
            offsets[asked.partition_index] = asked.offset
    results = []
    for name, offsets in topics.items():
        answers = []
        for index, offset in offsets.items():
            yield
            answers.append(_delete(context, name, index, offset))
        if answers:
            results.append(DeleteRecordsTopicResult(name=name, partitions=answers))
    return DeleteRecordsResponse(topics=results)


def _delete(context: Context, topic: str, index: int, offset: int) -> DeleteRecordsPartitionResult:
    partition = context.partition(topic, index)
    if partition is None:
        error, low_watermark = context.missing(topic, index), -1
    else:
        error, low_watermark = partition.delete_records(offset)
    return DeleteRecordsPartitionResult(partition_index=index, error_code=error, low_watermark=low_watermark)

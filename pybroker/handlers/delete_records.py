"""DeleteRecords (key 21), versions 0-2.

Behaviour: raises the log start offset to the one given, -1 meaning the high watermark, and answers the new
low watermark once all replicas that are alive have raised theirs, or REQUEST_TIMED_OUT. A topic that is only
compacted refuses (POLICY_VIOLATION).
"""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING

from pybroker.common.deferred import Deferred
from pybroker.common.errors import ErrorCode
from pybroker.handlers.context import Context, Request, Steps, in_slices
from pybroker.wire.messages.delete_records import (
    DeleteRecordsPartitionResult,
    DeleteRecordsRequest,
    DeleteRecordsResponse,
    DeleteRecordsTopicResult,
)

if TYPE_CHECKING:
    from pybroker.replication.partition import Partition


@in_slices
def handle(
    context: Context, request: Request
) -> Steps[DeleteRecordsResponse | Deferred[DeleteRecordsResponse]]:
    message: DeleteRecordsRequest = request.message
    # A partition that is named twice is answered once, for the last offset; a topic named twice is one.
    topics: dict[str, dict[int, int]] = {}
    for topic in message.topics:
        yield
        offsets = topics.setdefault(topic.name, {})
        for asked in topic.partitions:
            offsets[asked.partition_index] = asked.offset
    results = []
    waiting: list[tuple[Partition, int, DeleteRecordsPartitionResult]] = []
    for name, offsets in topics.items():
        answers = []
        for index, offset in offsets.items():
            yield
            partition = context.partition(name, index)
            answer = DeleteRecordsPartitionResult(partition_index=index, low_watermark=-1)
            if partition is None:
                answer.error_code = context.missing(name, index)
            else:
                answer.error_code, start_offset = partition.delete_records(offset)
                if not answer.error_code:
                    answer.low_watermark = partition.low_watermark
                    if answer.low_watermark < start_offset:
                        waiting.append((partition, start_offset, answer))
            answers.append(answer)
        if answers:
            results.append(DeleteRecordsTopicResult(name=name, partitions=answers))
    response = DeleteRecordsResponse(topics=results)
    return _when_followed(context, message.timeout, waiting, response) if waiting else response


def _when_followed(
    context: Context,
    timeout_ms: int,
    waiting: list[tuple[Partition, int, DeleteRecordsPartitionResult]],
    response: DeleteRecordsResponse,
) -> Deferred[DeleteRecordsResponse]:
    """The response once every partition's low watermark is where it was asked for, or the timeout passed."""
    deferred: Deferred[DeleteRecordsResponse] = Deferred()
    open_answers = {id(answer): answer for _, _, answer in waiting}

    def settle(partition: Partition, answer: DeleteRecordsPartitionResult, error: ErrorCode) -> None:
        if open_answers.pop(id(answer), None) is None:
            return
        answer.error_code = error
        answer.low_watermark = -1 if error else partition.low_watermark
        if not open_answers:
            timer.cancel()
            deferred.resolve(response)

    def expire() -> None:
        for answer in open_answers.values():
            answer.error_code = ErrorCode.REQUEST_TIMED_OUT
        open_answers.clear()
        deferred.resolve(response)

    timer = context.timers.schedule(context.clock.monotonic_ms() + max(timeout_ms, 0), expire)
    for partition, offset, answer in waiting:
        partition.on_low_watermark(offset, partial(settle, partition, answer))
    return deferred

"""OffsetCommit (key 8), versions 2-10.

Behaviour: offsets of a group are stored for topics that exist; by name, from v10 on by topic id. In v2-v4 the
request may bring its own retention. An empty group id is allowed, as it always was.
"""

from __future__ import annotations

from pybroker.common.deferred import Deferred
from pybroker.common.errors import ApiError, ErrorCode
from pybroker.handlers.context import Context, Request
from pybroker.wire.messages.offset_commit import (
    OffsetCommitRequest,
    OffsetCommitRequestPartition,
    OffsetCommitRequestTopic,
    OffsetCommitResponse,
    OffsetCommitResponsePartition,
    OffsetCommitResponseTopic,
)

_TOPIC_IDS_FROM = 10


def handle(context: Context, request: Request) -> OffsetCommitResponse | Deferred[OffsetCommitResponse]:
    message: OffsetCommitRequest = request.message
    refused = _sort_out(context, message, request.version)
    if not message.topics:
        return OffsetCommitResponse(topics=refused)
    version = request.version
    written = context.groups.write(
        message.group_id, lambda shard, now: shard.commit_offsets(message, version, now)
    )
    return written.map(lambda outcome: _answer(message, outcome, refused))


def _sort_out(
    context: Context, message: OffsetCommitRequest, version: int
) -> list[OffsetCommitResponseTopic]:
    """Leave in the request what exists, with names and ids; returns the answers of the rest."""
    image = context.metadata
    known: list[OffsetCommitRequestTopic] = []
    refused: list[OffsetCommitResponseTopic] = []
    for topic in message.topics:
        if version >= _TOPIC_IDS_FROM:
            found = image.topics_by_id.get(topic.topic_id)
            missing = ErrorCode.UNKNOWN_TOPIC_ID
        else:
            found = image.topics.get(topic.name)
            missing = ErrorCode.UNKNOWN_TOPIC_OR_PARTITION
        if found is None:
            refused.append(_refused(topic, topic.partitions, missing))
            continue
        topic.name, topic.topic_id = found.name, found.topic_id
        count = len(found.partitions)
        good = [entry for entry in topic.partitions if 0 <= entry.partition_index < count]
        if len(good) < len(topic.partitions):
            bad = [entry for entry in topic.partitions if not 0 <= entry.partition_index < count]
            refused.append(_refused(topic, bad, ErrorCode.UNKNOWN_TOPIC_OR_PARTITION))
            topic.partitions = good
        if good:
            known.append(topic)
    message.topics = known
    return refused


def _refused(
    topic: OffsetCommitRequestTopic, partitions: list[OffsetCommitRequestPartition], error: ErrorCode
) -> OffsetCommitResponseTopic:
    return OffsetCommitResponseTopic(
        name=topic.name,
        topic_id=topic.topic_id,
        partitions=[
            OffsetCommitResponsePartition(partition_index=partition.partition_index, error_code=error)
            for partition in partitions
        ],
    )


def _answer(
    message: OffsetCommitRequest,
    outcome: OffsetCommitResponse | ApiError,
    refused: list[OffsetCommitResponseTopic],
) -> OffsetCommitResponse:
    if isinstance(outcome, ApiError):
        topics = [_refused(topic, topic.partitions, outcome.code) for topic in message.topics]
    else:
        topics = outcome.topics
    if not refused:
        return OffsetCommitResponse(topics=topics)
    merged = {(topic.name, topic.topic_id): topic for topic in refused}
    for topic in topics:
        first = merged.setdefault((topic.name, topic.topic_id), topic)
        if first is not topic:
            first.partitions += topic.partitions
    return OffsetCommitResponse(topics=list(merged.values()))

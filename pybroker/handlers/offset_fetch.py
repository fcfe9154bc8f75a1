"""OffsetFetch (key 9), versions 1-10.

Behaviour: the committed offsets of a group, of several from v8 on; of all its topics when none are named
(null, v2). By topic id from v10 on. With require_stable (v7) an offset that an open transaction may change is
answered with UNSTABLE_OFFSET_COMMIT. What has no offset, and what does not exist, is offset -1 without error.
"""

from __future__ import annotations

from pybroker.common.deferred import Deferred, gather
from pybroker.common.errors import ApiError, ErrorCode
from pybroker.groups.offsets import no_offset
from pybroker.handlers.context import Context, Request
from pybroker.metadata.image import MetadataImage
from pybroker.wire.messages.offset_fetch import (
    OffsetFetchRequest,
    OffsetFetchRequestGroup,
    OffsetFetchRequestTopics,
    OffsetFetchResponse,
    OffsetFetchResponseGroup,
    OffsetFetchResponsePartition,
    OffsetFetchResponseTopic,
    OffsetFetchResponseTopics,
)

_TOP_LEVEL_ERROR_FROM = 2
_MANY_FROM = 8
_TOPIC_IDS_FROM = 10


def handle(context: Context, request: Request) -> Deferred[OffsetFetchResponse]:
    message: OffsetFetchRequest = request.message
    version = request.version
    stable = message.require_stable
    if version >= _MANY_FROM:
        answers = gather([_fetch(context, group, version, stable) for group in message.groups])
        return answers.map(lambda groups: OffsetFetchResponse(groups=groups))
    topics = message.topics
    group = OffsetFetchRequestGroup(
        group_id=message.group_id,
        topics=None
        if topics is None
        else [
            OffsetFetchRequestTopics(name=topic.name, partition_indexes=topic.partition_indexes)
            for topic in topics
        ],
    )
    return _fetch(context, group, version, stable).map(_single)


def _single(group: OffsetFetchResponseGroup) -> OffsetFetchResponse:
    """The answer of the versions with one group."""
    return OffsetFetchResponse(
        error_code=group.error_code,
        topics=[
            OffsetFetchResponseTopic(
                name=topic.name,
                partitions=[
                    OffsetFetchResponsePartition(
                        partition_index=partition.partition_index,
                        committed_offset=partition.committed_offset,
                        committed_leader_epoch=partition.committed_leader_epoch,
                        metadata=partition.metadata,
                        error_code=partition.error_code,
                    )
                    for partition in topic.partitions
                ],
            )
            for topic in group.topics
        ],
    )


def _fetch(
    context: Context, group: OffsetFetchRequestGroup, version: int, stable: bool
) -> Deferred[OffsetFetchResponseGroup]:
    unknown: list[OffsetFetchResponseTopics] = []
    if version >= _TOPIC_IDS_FROM and group.topics is not None:
        unknown = _name_topics(context.metadata, group)
    answered = context.groups.read(group.group_id, lambda shard, now: shard.fetch_offsets(group, stable))

    def answer(outcome: OffsetFetchResponseGroup | ApiError) -> OffsetFetchResponseGroup:
        if isinstance(outcome, ApiError):
            return _failed(group, outcome.code, version)
        if version >= _TOPIC_IDS_FROM and group.topics is None:
            _identify(context.metadata, outcome)
        outcome.topics = unknown + outcome.topics
        return outcome

    return answered.map(answer)


def _name_topics(image: MetadataImage, group: OffsetFetchRequestGroup) -> list[OffsetFetchResponseTopics]:
    """Fill in the names of the topics of a request; those without one leave it and are answered."""
    known: list[OffsetFetchRequestTopics] = []
    unknown: list[OffsetFetchResponseTopics] = []
    for topic in group.topics or ():
        found = image.topics_by_id.get(topic.topic_id)
        if found is not None:
            topic.name = found.name
            known.append(topic)
            continue
        partitions = [no_offset(index, ErrorCode.UNKNOWN_TOPIC_ID) for index in topic.partition_indexes]
        unknown.append(OffsetFetchResponseTopics(topic_id=topic.topic_id, partitions=partitions))
    group.topics = known
    return unknown


def _identify(image: MetadataImage, answer: OffsetFetchResponseGroup) -> None:
    """Fill in the ids of the topics of an answer; those that are no more leave it."""
    known = []
    for topic in answer.topics:
        found = image.topics.get(topic.name)
        if found is not None:
            topic.topic_id = found.topic_id
            known.append(topic)
    answer.topics = known


def _failed(group: OffsetFetchRequestGroup, error: ErrorCode, version: int) -> OffsetFetchResponseGroup:
    if version >= _TOP_LEVEL_ERROR_FROM:
        return OffsetFetchResponseGroup(group_id=group.group_id, error_code=error)
    return OffsetFetchResponseGroup(
        group_id=group.group_id,
        topics=[
            OffsetFetchResponseTopics(
                name=topic.name, partitions=[no_offset(index, error) for index in topic.partition_indexes]
            )
            for topic in group.topics or ()
        ],
    )

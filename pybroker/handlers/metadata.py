"""Metadata (key 3), versions 0-13.

Behaviour: brokers, cluster id, controller and topics. In v0 an empty list means all topics; later null means
all and an empty list none. Topics by id from v12 (v10 and v11 refuse ids): one id is enough for the whole
request to be by id, and entries without one are passed over. A topic that does not exist is created where
request and configuration allow it (v0-v3 always allow it): this call still answers
UNKNOWN_TOPIC_OR_PARTITION, the next one finds it, as in Kafka.
"""

from __future__ import annotations

from pybroker.common.errors import ErrorCode
from pybroker.controller.topic_names import INTERNAL_TOPICS, topic_name_problem
from pybroker.handlers.authorized_operations import (
    ALL_CLUSTER_OPERATIONS,
    ALL_TOPIC_OPERATIONS,
    NOT_ASKED,
)
from pybroker.handlers.context import Context, Request, Steps, in_slices
from pybroker.metadata.image import PartitionImage, TopicImage
from pybroker.wire.messages.metadata import (
    MetadataRequest,
    MetadataRequestTopic,
    MetadataResponse,
    MetadataResponseBroker,
    MetadataResponsePartition,
    MetadataResponseTopic,
)

_ZERO_ID = bytes(16)


@in_slices
def handle(context: Context, request: Request) -> Steps[MetadataResponse]:
    message: MetadataRequest = request.message
    version = request.version
    asked = message.topics
    everything = asked is None or (version == 0 and not asked)
    if asked is not None and (refusal := _refusal(asked, version)):
        return MetadataResponse(
            error_code=refusal,
            controller_id=-1,
            topics=[
                MetadataResponseTopic(error_code=refusal, name=topic.name or "", topic_id=topic.topic_id)
                for topic in asked
            ],
        )
    image = context.metadata
    if everything:
        topics = []
        for _, topic in sorted(image.topics.items()):
            topics.append((yield from _topic(topic)))
    else:
        assert asked is not None
        topics = yield from _named(context, version, message, asked)
    if message.include_topic_authorized_operations:
        for answer in topics:
            yield
            # Also of topics that are not there, but not of unknown ids: those have no name to look up.
            if answer.name is not None:
                answer.topic_authorized_operations = ALL_TOPIC_OPERATIONS
    host, port = context.endpoints[request.connection.listener]
    rack = context.config["broker.rack"]
    asks_cluster = 8 <= version <= 10 and message.include_cluster_authorized_operations
    return MetadataResponse(
        brokers=[MetadataResponseBroker(node_id=context.broker_id, host=host, port=port, rack=rack)],
        cluster_id=image.cluster_id,
        controller_id=context.broker_id,
        topics=topics,
        cluster_authorized_operations=ALL_CLUSTER_OPERATIONS if asks_cluster else NOT_ASKED,
    )


def _refusal(asked: list[MetadataRequestTopic], version: int) -> ErrorCode:
    """What refuses the whole request: ids below v12, or a null name where no entry has an id."""
    if version < 10:
        return ErrorCode.NONE
    has_id = any(topic.topic_id != _ZERO_ID for topic in asked)
    has_null_name = any(topic.name is None for topic in asked)
    if version < 12:
        return ErrorCode.INVALID_REQUEST if has_id or has_null_name else ErrorCode.NONE
    return ErrorCode.UNKNOWN_SERVER_ERROR if has_null_name and not has_id else ErrorCode.NONE


def _named(
    context: Context, version: int, message: MetadataRequest, asked: list[MetadataRequestTopic]
) -> Steps[list[MetadataResponseTopic]]:
    image = context.metadata
    answers: list[MetadataResponseTopic] = []
    unknown: list[MetadataResponseTopic] = []
    seen: set[object] = set()
    may_create = version < 4 or message.allow_auto_topic_creation
    missing: list[str] = []
    by_id = any(entry.topic_id != _ZERO_ID for entry in asked)
    for entry in asked:
        yield
        if by_id and entry.topic_id == _ZERO_ID:
            continue
        key: object = entry.topic_id if by_id else entry.name
        if key in seen:
            continue
        seen.add(key)
        topic = image.topics_by_id.get(entry.topic_id) if by_id else image.topics.get(entry.name or "")
        if topic is not None:
            answers.append((yield from _topic(topic)))
        elif by_id:
            unknown.append(
                MetadataResponseTopic(
                    error_code=ErrorCode.UNKNOWN_TOPIC_ID, name=None, topic_id=entry.topic_id
                )
            )
        else:
            name = entry.name or ""
            error = ErrorCode.UNKNOWN_TOPIC_OR_PARTITION
            if topic_name_problem(name) is not None:
                error = ErrorCode.INVALID_TOPIC_EXCEPTION
            elif may_create and context.config["auto.create.topics.enable"]:
                missing.append(name)
            unknown.append(
                MetadataResponseTopic(error_code=error, name=name, is_internal=name in INTERNAL_TOPICS)
            )
    if missing:
        context.controller.auto_create_topics(missing)
    return answers + unknown


def _topic(topic: TopicImage) -> Steps[MetadataResponseTopic]:
    partitions = []
    for index, partition in enumerate(topic.partitions):
        yield
        partitions.append(_partition(index, partition))
    return MetadataResponseTopic(
        name=topic.name,
        topic_id=topic.topic_id,
        is_internal=topic.name in INTERNAL_TOPICS,
        partitions=partitions,
    )


def _partition(index: int, partition: PartitionImage) -> MetadataResponsePartition:
    return MetadataResponsePartition(
        partition_index=index,
        leader_id=partition.leader,
        leader_epoch=partition.leader_epoch,
        replica_nodes=list(partition.replicas),
        isr_nodes=list(partition.isr),
    )

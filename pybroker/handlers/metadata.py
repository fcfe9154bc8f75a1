"""Metadata (key 3), versions 0-13.

Behaviour: brokers that are not fenced, cluster id, and topics with their leaders, in-sync and offline
replicas (LEADER_NOT_AVAILABLE where nobody leads); as the controller a broker is named, which passes on
what is the active controller's to decide. In v0 an empty list means all topics; later null means all and an
empty list none. Topics by id from v12 (v10 and v11 refuse ids): one id is enough for the whole request to
be by id, and entries without one are passed over. A topic that does not exist is created where request and
configuration allow it (v0-v3 always allow it): this call still answers UNKNOWN_TOPIC_OR_PARTITION, the next
one finds it, as in Kafka.
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
from pybroker.handlers.nodes import Replicas, admin_node_id, alive_nodes
from pybroker.metadata.image import NO_LEADER, MetadataImage, PartitionImage, TopicImage
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
    listener = request.connection.listener
    replicas = Replicas(image, listener)
    if everything:
        topics = []
        for _, topic in sorted(image.topics.items()):
            topics.append((yield from _topic(topic, replicas, version)))
    else:
        assert asked is not None
        topics = yield from _named(context, image, replicas, version, message, asked)
    if message.include_topic_authorized_operations:
        for answer in topics:
            yield
            # Also of topics that are not there, but not of unknown ids: those have no name to look up.
            if answer.name is not None:
                answer.topic_authorized_operations = ALL_TOPIC_OPERATIONS
    asks_cluster = 8 <= version <= 10 and message.include_cluster_authorized_operations
    return MetadataResponse(
        brokers=[MetadataResponseBroker(**node._asdict()) for node in alive_nodes(image, listener)],
        cluster_id=image.cluster_id,
        controller_id=admin_node_id(image, context.broker_id),
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
    context: Context,
    image: MetadataImage,
    replicas: Replicas,
    version: int,
    message: MetadataRequest,
    asked: list[MetadataRequestTopic],
) -> Steps[list[MetadataResponseTopic]]:
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
            answers.append((yield from _topic(topic, replicas, version)))
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
        context.auto_create_topics(missing)
    return answers + unknown


def _topic(topic: TopicImage, replicas: Replicas, version: int) -> Steps[MetadataResponseTopic]:
    partitions = []
    for index, partition in enumerate(topic.partitions):
        yield
        partitions.append(_partition(index, partition, replicas, version))
    return MetadataResponseTopic(
        name=topic.name,
        topic_id=topic.topic_id,
        is_internal=topic.name in INTERNAL_TOPICS,
        partitions=partitions,
    )


def _partition(
    index: int, partition: PartitionImage, replicas: Replicas, version: int
) -> MetadataResponsePartition:
    leader = partition.leader
    error = ErrorCode.NONE
    nodes, isr = list(partition.replicas), list(partition.isr)
    if version == 0:
        # The oldest clients need an address for whatever they are told of.
        nodes = [broker_id for broker_id in nodes if replicas.reachable(broker_id)]
        isr = [broker_id for broker_id in isr if replicas.reachable(broker_id)]
    if not replicas.reachable(leader):
        error = ErrorCode.LEADER_NOT_AVAILABLE
        if version >= 6 and replicas.registered(leader):
            error = ErrorCode.LISTENER_NOT_FOUND
        leader = NO_LEADER
    elif len(nodes) < len(partition.replicas) or len(isr) < len(partition.isr):
        error = ErrorCode.REPLICA_NOT_AVAILABLE
    return MetadataResponsePartition(
        error_code=error,
        partition_index=index,
        leader_id=leader,
        leader_epoch=partition.leader_epoch,
        replica_nodes=nodes,
        isr_nodes=isr,
        offline_replicas=replicas.offline(partition),
    )

"""Decisions about where brokers keep their replicas (AssignReplicasToDirs, KIP-858).

In: the latest image and a request. Out: a `Decision`. What must hold: only the broker itself says where its
replica is; a replica in a directory that is down leads nothing and is in sync nowhere.
"""

from __future__ import annotations

from pybroker.common.config import BrokerConfig
from pybroker.common.errors import ApiError, ErrorCode
from pybroker.controller.brokers import check_broker_epoch
from pybroker.controller.decision import Decision
from pybroker.controller.partition_changes import PartitionChanges, TopicPartition, is_online
from pybroker.controller.partitions import Target
from pybroker.metadata.image import MetadataImage
from pybroker.wire.messages.assign_replicas_to_dirs import (
    AssignReplicasToDirsRequest,
    AssignReplicasToDirsResponse,
    ResponseDirectoryData,
    ResponsePartitionData,
    ResponseTopicData,
)


def assign(
    image: MetadataImage, request: AssignReplicasToDirsRequest, config: BrokerConfig
) -> Decision[AssignReplicasToDirsResponse]:
    try:
        broker = check_broker_epoch(image, request.broker_id, request.broker_epoch)
    except ApiError as error:
        return refuse(error.code, error.message)
    changes = PartitionChanges(image, config)
    down: dict[tuple[bytes, int], TopicPartition] = {}
    directories: list[ResponseDirectoryData] = []
    for directory in request.directories:
        online = is_online(broker, directory.id_)
        topics: list[ResponseTopicData] = []
        for asked in directory.topics:
            topic = image.topics_by_id.get(asked.topic_id)
            partitions: list[ResponsePartitionData] = []
            for entry in asked.partitions:
                index = entry.partition_index
                code = ErrorCode.UNKNOWN_TOPIC_ID
                if topic is not None:
                    partition = changes.partition(topic, index)
                    if partition is None:
                        code = ErrorCode.UNKNOWN_TOPIC_OR_PARTITION
                    elif broker.broker_id not in partition.replicas:
                        code = ErrorCode.NOT_LEADER_OR_FOLLOWER
                    else:
                        code = ErrorCode.NONE
                        target = Target(directories={broker.broker_id: directory.id_})
                        changes.plan(topic, index, target)
                        if not online:
                            down[topic.topic_id, index] = topic, index
                partitions.append(ResponsePartitionData(partition_index=index, error_code=code))
            topics.append(ResponseTopicData(topic_id=asked.topic_id, partitions=partitions))
        directories.append(ResponseDirectoryData(id_=directory.id_, topics=topics))
    changes.react(down.values(), gone=broker.broker_id)
    return Decision(changes.records, AssignReplicasToDirsResponse(directories=directories), atomic=False)


def refuse(code: int, message: str | None = None) -> Decision[AssignReplicasToDirsResponse]:
    """The response has no place for the message."""
    return Decision([], AssignReplicasToDirsResponse(error_code=code))

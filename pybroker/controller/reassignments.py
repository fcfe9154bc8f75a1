"""Decisions about moving replicas: begin, change and cancel a reassignment; what is under way (KIP-455).

In: the latest image and a request. Out: a `Decision`. What must hold: the replicas that are to go stay until
those that are to come are in sync (`partitions.plan_change` ends it); every entry of a request gets its own
answer.

One difference from Kafka 4.3: a new target takes the place of the old one entirely. Kafka keeps what the old
one wanted to add or remove when the new one by itself adds or removes nothing.
"""

from __future__ import annotations

from pybroker.common.config import BrokerConfig
from pybroker.common.errors import ApiError, ErrorCode
from pybroker.controller.decision import Decision
from pybroker.controller.partition_changes import PartitionChanges
from pybroker.controller.partitions import Election, Target, reassigning
from pybroker.controller.placement import check_assignment
from pybroker.metadata.image import MetadataImage, PartitionImage, TopicImage
from pybroker.wire.messages.alter_partition_reassignments import (
    AlterPartitionReassignmentsRequest,
    AlterPartitionReassignmentsResponse,
    ReassignablePartition,
    ReassignablePartitionResponse,
    ReassignableTopicResponse,
)
from pybroker.wire.messages.list_partition_reassignments import (
    ListPartitionReassignmentsRequest,
    ListPartitionReassignmentsResponse,
    OngoingPartitionReassignment,
    OngoingTopicReassignment,
)


def alter(
    image: MetadataImage, request: AlterPartitionReassignmentsRequest, config: BrokerConfig
) -> Decision[AlterPartitionReassignmentsResponse]:
    if not request.topics:
        return Decision([], AlterPartitionReassignmentsResponse())
    if request.timeout <= 0:
        return refuse_alter(request, ErrorCode.REQUEST_TIMED_OUT)
    changes = PartitionChanges(image, config)
    may_resize = request.allow_replication_factor_change
    responses: list[ReassignableTopicResponse] = []
    for asked in request.topics:
        answers: list[ReassignablePartitionResponse] = []
        for entry in asked.partitions:
            answer = ReassignablePartitionResponse(partition_index=entry.partition_index, error_message=None)
            try:
                _alter_one(image, changes, asked.name, entry, may_resize=may_resize)
            except ApiError as error:
                answer.error_code, answer.error_message = error.code, error.message
            answers.append(answer)
        responses.append(ReassignableTopicResponse(name=asked.name, partitions=answers))
    return Decision(
        changes.records,
        AlterPartitionReassignmentsResponse(
            allow_replication_factor_change=may_resize, error_message=None, responses=responses
        ),
    )


def _alter_one(
    image: MetadataImage,
    changes: PartitionChanges,
    name: str,
    entry: ReassignablePartition,
    *,
    may_resize: bool,
) -> None:
    unknown = ErrorCode.UNKNOWN_TOPIC_OR_PARTITION
    topic = image.topics.get(name)
    if topic is None:
        raise ApiError(unknown, f"Unable to find a topic named {name}.")
    index = entry.partition_index
    partition = changes.partition(topic, index)
    if partition is None:
        raise ApiError(unknown, f"Unable to find partition {name}:{index}.")
    if entry.replicas is None:
        _cancel(changes, topic, index, partition)
        return
    wanted = entry.replicas
    check_assignment(wanted, image.brokers, None)
    if not may_resize:
        size = len(set(partition.replicas) - set(partition.removing_replicas))
        if size != len(wanted):
            raise ApiError(
                ErrorCode.INVALID_REPLICATION_FACTOR,
                f"The replication factor is changed from {size} to {len(wanted)}",
            )
    removing = sorted(set(partition.replicas) - set(wanted))
    settled = set(partition.replicas) - set(partition.adding_replicas)
    adding = sorted(set(wanted) - settled)
    changes.plan(topic, index, Target(replicas=[*wanted, *removing], removing=removing, adding=adding))


def _cancel(changes: PartitionChanges, topic: TopicImage, index: int, partition: PartitionImage) -> None:
    """Back to the replicas from before. The ISR may only consist of those that were to come."""
    if not reassigning(partition):
        raise ApiError(ErrorCode.NO_REASSIGNMENT_IN_PROGRESS)
    adding = set(partition.adding_replicas)
    replicas = [replica for replica in partition.replicas if replica not in adding]
    isr = [replica for replica in partition.isr if replica not in adding]
    code = ErrorCode.INVALID_REPLICA_ASSIGNMENT
    if not replicas:
        raise ApiError(code, "Invalid replica assignment: addingReplicas contains all replicas.")
    uncleanly = changes.may_elect_uncleanly(topic)
    if not isr and partition.isr:
        if not uncleanly:
            raise ApiError(
                code,
                f"Unable to revert partition assignment for {topic.name}:{index} because it would require an "
                "unclean leader election.",
            )
        # An unclean election follows. Without ELR somebody must stay listed.
        isr = [] if changes.with_elr else [replicas[0]]
    changes.plan(
        topic,
        index,
        Target(
            isr=isr,
            replicas=replicas,
            removing=(),
            adding=(),
            election=Election.UNCLEAN if uncleanly else Election.ONLINE,
        ),
    )


def refuse_alter(
    request: AlterPartitionReassignmentsRequest, code: int, message: str | None = None
) -> Decision[AlterPartitionReassignmentsResponse]:
    responses = [
        ReassignableTopicResponse(
            name=asked.name,
            partitions=[
                ReassignablePartitionResponse(
                    partition_index=entry.partition_index, error_code=code, error_message=message
                )
                for entry in asked.partitions
            ],
        )
        for asked in request.topics
    ]
    return Decision(
        [],
        AlterPartitionReassignmentsResponse(error_code=code, error_message=message, responses=responses),
    )


def list_ongoing(
    image: MetadataImage, request: ListPartitionReassignmentsRequest
) -> Decision[ListPartitionReassignmentsResponse]:
    """Unknown topics and partitions, and those that do not move, are left out."""
    found: list[OngoingTopicReassignment] = []
    if request.topics is None:
        for topic in image.topics.values():
            found += _ongoing(topic, range(len(topic.partitions)))
    else:
        for asked in request.topics:
            known = image.topics.get(asked.name)
            if known is not None:
                found += _ongoing(known, asked.partition_indexes)
    return Decision([], ListPartitionReassignmentsResponse(error_message=None, topics=found))


def _ongoing(topic: TopicImage, indexes: list[int] | range) -> list[OngoingTopicReassignment]:
    partitions = [
        OngoingPartitionReassignment(
            partition_index=index,
            replicas=list(topic.partitions[index].replicas),
            adding_replicas=list(topic.partitions[index].adding_replicas),
            removing_replicas=list(topic.partitions[index].removing_replicas),
        )
        for index in indexes
        if 0 <= index < len(topic.partitions) and reassigning(topic.partitions[index])
    ]
    return [OngoingTopicReassignment(name=topic.name, partitions=partitions)] if partitions else []


def refuse_list(code: int, message: str | None = None) -> Decision[ListPartitionReassignmentsResponse]:
    return Decision([], ListPartitionReassignmentsResponse(error_code=code, error_message=message))

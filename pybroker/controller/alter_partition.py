"""Decisions about the in-sync replicas that leaders propose (AlterPartition).

In: the latest image and a request. Out: a `Decision`. What must hold: a proposal counts only under the leader
epoch and the partition epoch that it was made in (compare and set), and only when every replica in it is in
service in the very incarnation that the leader heard of (KIP-903): one that came back with less than it had
must not slip into the ISR on the strength of what it said before.

Sources: KIP-497, KIP-704, KIP-841, KIP-903.
"""

from __future__ import annotations

from collections.abc import Sequence

from pybroker.common.config import BrokerConfig
from pybroker.common.errors import ApiError, ErrorCode
from pybroker.controller.brokers import check_broker_epoch
from pybroker.controller.decision import Decision
from pybroker.controller.partition_changes import PartitionChanges, is_active
from pybroker.controller.partitions import RECOVERED, RECOVERING, Election, Target
from pybroker.metadata.image import MetadataImage, PartitionImage, TopicImage
from pybroker.metadata.records import NO_LEADER_CHANGE
from pybroker.wire.messages.alter_partition import (
    AlterPartitionRequest,
    AlterPartitionResponse,
    BrokerState,
    RequestPartitionData,
    ResponsePartitionData,
    ResponseTopicData,
)

_ANY_EPOCH = -1
"""The leader does not know the broker epoch: it is not compared."""


def alter(
    image: MetadataImage, request: AlterPartitionRequest, version: int, config: BrokerConfig
) -> Decision[AlterPartitionResponse]:
    if not request.topics:
        return Decision([], AlterPartitionResponse())
    try:
        check_broker_epoch(image, request.broker_id, request.broker_epoch)
    except ApiError as error:
        return refuse(error.code, error.message)
    changes = PartitionChanges(image, config)
    answers: list[ResponseTopicData] = []
    for asked in request.topics:
        topic = image.topics_by_id.get(asked.topic_id)
        answers.append(
            ResponseTopicData(
                topic_id=asked.topic_id,
                partitions=[
                    ResponsePartitionData(
                        partition_index=proposal.partition_index, error_code=ErrorCode.UNKNOWN_TOPIC_ID
                    )
                    if topic is None
                    else _alter_one(image, changes, topic, request.broker_id, proposal, version)
                    for proposal in asked.partitions
                ],
            )
        )
    return Decision(changes.records, AlterPartitionResponse(topics=answers), atomic=False)


def refuse(code: int, message: str | None = None) -> Decision[AlterPartitionResponse]:
    """The response has no place for the message."""
    return Decision([], AlterPartitionResponse(error_code=code))


def _alter_one(
    image: MetadataImage,
    changes: PartitionChanges,
    topic: TopicImage,
    broker_id: int,
    proposal: RequestPartitionData,
    version: int,
) -> ResponsePartitionData:
    index = proposal.partition_index
    partition = changes.partition(topic, index)
    if partition is None:
        return ResponsePartitionData(partition_index=index, error_code=ErrorCode.UNKNOWN_TOPIC_OR_PARTITION)
    states = (
        proposal.new_isr_with_epochs
        if version >= 3
        else [BrokerState(broker_id=replica, broker_epoch=_ANY_EPOCH) for replica in proposal.new_isr]
    )
    isr = [state.broker_id for state in states]
    code = _problem(partition, broker_id, proposal, isr) or _ineligible(image, states)
    if code:
        return ResponsePartitionData(partition_index=index, error_code=code)
    target = Target(
        isr=isr,
        leader_recovery_state=proposal.leader_recovery_state,
        election=Election.UNCLEAN if changes.may_elect_uncleanly(topic) else Election.ONLINE,
    )
    record = changes.plan(topic, index, target)
    if record is not None and record.leader not in (NO_LEADER_CHANGE, broker_id):
        # The change completed a reassignment that takes the leader away. It is made, and the leader must look
        # at the new state before it goes on.
        return ResponsePartitionData(partition_index=index, error_code=ErrorCode.NEW_LEADER_ELECTED)
    after = changes.partition(topic, index)
    assert after is not None
    return ResponsePartitionData(
        partition_index=index,
        leader_id=after.leader,
        leader_epoch=after.leader_epoch,
        isr=list(after.isr),
        leader_recovery_state=after.leader_recovery_state,
        partition_epoch=after.partition_epoch,
    )


def _problem(
    partition: PartitionImage, broker_id: int, proposal: RequestPartitionData, isr: Sequence[int]
) -> ErrorCode:
    """Why a proposal does not fit the partition; NONE when it does."""
    if proposal.leader_epoch > partition.leader_epoch or proposal.partition_epoch > partition.partition_epoch:
        # The leader has seen more than this controller: there must be another one by now.
        return ErrorCode.NOT_CONTROLLER
    if proposal.leader_epoch < partition.leader_epoch:
        return ErrorCode.FENCED_LEADER_EPOCH
    if broker_id != partition.leader:
        return ErrorCode.INVALID_REQUEST
    if proposal.partition_epoch < partition.partition_epoch:
        return ErrorCode.INVALID_UPDATE_VERSION
    members = set(isr)
    if len(members) < len(isr) or not members <= set(partition.replicas) or broker_id not in members:
        return ErrorCode.INVALID_REQUEST
    state = proposal.leader_recovery_state
    if state not in (RECOVERED, RECOVERING):
        return ErrorCode.INVALID_REQUEST
    if state == RECOVERING and (len(isr) > 1 or partition.leader_recovery_state == RECOVERED):
        return ErrorCode.INVALID_REQUEST
    return ErrorCode.NONE


def _ineligible(image: MetadataImage, states: Sequence[BrokerState]) -> ErrorCode:
    for state in states:
        broker = image.brokers.get(state.broker_id)
        if broker is None or not is_active(broker):
            return ErrorCode.INELIGIBLE_REPLICA
        if state.broker_epoch not in (_ANY_EPOCH, broker.epoch):
            return ErrorCode.INELIGIBLE_REPLICA
    return ErrorCode.NONE

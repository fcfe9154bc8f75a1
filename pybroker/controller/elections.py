"""Elections that somebody asks for (ElectLeaders), and those that are due by time.

In: the latest image, a request or nothing. Out: a `Decision`. What must hold: an election that is not needed
is said to be so and bumps no epoch; the work of one timed round is bounded.
"""

from __future__ import annotations

from typing import Final

from pybroker.common.config import BrokerConfig
from pybroker.common.errors import ErrorCode
from pybroker.controller.decision import Decision
from pybroker.controller.partition_changes import PartitionChanges, without_leader
from pybroker.controller.partitions import Election, Target
from pybroker.metadata.image import NO_LEADER, MetadataImage, PartitionImage, TopicImage
from pybroker.wire.message import Message
from pybroker.wire.messages.elect_leaders import (
    ElectLeadersRequest,
    ElectLeadersResponse,
    PartitionResult,
    ReplicaElectionResult,
)

PREFERRED: Final = 0
UNCLEAN: Final = 1

MAX_TIMED_ELECTIONS: Final = 1_000
"""Of one round; what is left is for the next."""

_ELECTIONS: Final = {PREFERRED: Election.PREFERRED, UNCLEAN: Election.UNCLEAN}
_MESSAGES: Final = {
    ErrorCode.ELECTION_NOT_NEEDED: "Leader election not needed for topic partition.",
    ErrorCode.PREFERRED_LEADER_NOT_AVAILABLE: "The preferred leader was not available.",
    ErrorCode.ELIGIBLE_LEADERS_NOT_AVAILABLE: "Eligible topic partition leaders are not available.",
}


def elect(
    image: MetadataImage, request: ElectLeadersRequest, config: BrokerConfig
) -> Decision[ElectLeadersResponse]:
    """KIP-183 and KIP-460. Of all partitions (null) those that need no election are left out."""
    kind = request.election_type
    if request.topic_partitions is not None and not request.topic_partitions:
        return Decision([], ElectLeadersResponse())
    if request.timeout <= 0:
        return refuse_election(request, ErrorCode.REQUEST_TIMED_OUT)
    if kind not in _ELECTIONS:
        return refuse_election(request, ErrorCode.INVALID_REQUEST, f"Unknown election type {kind}")
    changes = PartitionChanges(image, config)
    results: list[ReplicaElectionResult] = []
    if request.topic_partitions is None:
        for topic in image.topics.values():
            found = [_elect_one(image, changes, topic.name, i, kind) for i in range(len(topic.partitions))]
            results.append(
                ReplicaElectionResult(
                    topic=topic.name,
                    partition_result=[r for r in found if r.error_code != ErrorCode.ELECTION_NOT_NEEDED],
                )
            )
    else:
        results += [
            ReplicaElectionResult(
                topic=asked.topic,
                partition_result=[
                    _elect_one(image, changes, asked.topic, index, kind) for index in asked.partitions
                ],
            )
            for asked in request.topic_partitions
        ]
    return Decision(changes.records, ElectLeadersResponse(replica_election_results=results), atomic=False)


def _elect_one(
    image: MetadataImage, changes: PartitionChanges, name: str, index: int, kind: int
) -> PartitionResult:
    unknown = ErrorCode.UNKNOWN_TOPIC_OR_PARTITION
    topic = image.topics.get(name)
    if topic is None:
        return PartitionResult(
            partition_id=index, error_code=unknown, error_message=f"No such topic as {name}"
        )
    partition = changes.partition(topic, index)
    if partition is None:
        return PartitionResult(
            partition_id=index, error_code=unknown, error_message=f"No such partition as {name}-{index}"
        )
    code = _election(changes, topic, index, partition, kind)
    return PartitionResult(partition_id=index, error_code=code, error_message=_MESSAGES.get(code))


def _election(
    changes: PartitionChanges, topic: TopicImage, index: int, partition: PartitionImage, kind: int
) -> ErrorCode:
    if kind == PREFERRED:
        if partition.leader == partition.replicas[0]:
            return ErrorCode.ELECTION_NOT_NEEDED
    elif partition.leader != NO_LEADER:
        return ErrorCode.ELECTION_NOT_NEEDED
    if changes.plan(topic, index, Target(election=_ELECTIONS[kind])) is not None:
        return ErrorCode.NONE
    if kind == PREFERRED:
        return ErrorCode.PREFERRED_LEADER_NOT_AVAILABLE
    return ErrorCode.ELIGIBLE_LEADERS_NOT_AVAILABLE


def refuse_election(
    request: ElectLeadersRequest, code: int, message: str | None = None
) -> Decision[ElectLeadersResponse]:
    results = [
        ReplicaElectionResult(
            topic=asked.topic,
            partition_result=[
                PartitionResult(partition_id=index, error_code=code, error_message=message)
                for index in asked.partitions
            ],
        )
        for asked in request.topic_partitions or ()
    ]
    return Decision([], ElectLeadersResponse(error_code=code, replica_election_results=results))


def balance(image: MetadataImage, config: BrokerConfig) -> list[Message]:
    """Give leadership back to the first replicas that can take it (`auto.leader.rebalance.enable`)."""
    changes = PartitionChanges(image, config)
    preferred = Target(election=Election.PREFERRED)
    for topic, index in changes.partitions(lambda partition: partition.leader != partition.replicas[0]):
        changes.plan(topic, index, preferred)
        if len(changes.records) >= MAX_TIMED_ELECTIONS:
            break
    return changes.records


def recover_uncleanly(image: MetadataImage, config: BrokerConfig) -> list[Message]:
    """Elect someone for what has no leader, where `unclean.leader.election.enable` allows it."""
    changes = PartitionChanges(image, config)
    unclean = Target(election=Election.UNCLEAN)
    for topic, index in changes.partitions(without_leader):
        if changes.may_elect_uncleanly(topic):
            changes.plan(topic, index, unclean)
            if len(changes.records) >= MAX_TIMED_ELECTIONS:
                break
    return changes.records

"""The requests that a member serves: Vote, BeginQuorumEpoch, EndQuorumEpoch, Fetch, FetchSnapshot,
DescribeQuorum, and (in `voter_changes.py`) those that change the voter set.

In: decoded requests, checked here as far as the decoder does not. Out: answers with Kafka's error codes. What
must hold: no request raises; one that names another cluster or partition changes nothing; a later epoch is
taken over from any member, and answered only when that is durable.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from pybroker.common.errors import ErrorCode
from pybroker.raft import messages, voter_changes
from pybroker.raft.checks import accept_leader, foreign_cluster, leader_only
from pybroker.raft.hard_state import NOBODY
from pybroker.raft.leader import Replica
from pybroker.raft.role import Role
from pybroker.raft.snapshot import SnapshotId
from pybroker.raft.voters import ReplicaKey
from pybroker.wire.message import ZERO_UUID, Message
from pybroker.wire.messages import add_raft_voter, remove_raft_voter, update_raft_voter
from pybroker.wire.messages.begin_quorum_epoch import BeginQuorumEpochRequest, BeginQuorumEpochResponse
from pybroker.wire.messages.describe_quorum import (
    DescribeQuorumRequest,
    DescribeQuorumResponse,
    Listener,
    ReplicaState,
    ResponsePartitionData,
    ResponseTopicData,
)
from pybroker.wire.messages.describe_quorum import Node as DescribedNode
from pybroker.wire.messages.end_quorum_epoch import EndQuorumEpochRequest, EndQuorumEpochResponse
from pybroker.wire.messages.fetch import FetchPartition, FetchRequest, FetchResponse
from pybroker.wire.messages.fetch_snapshot import FetchSnapshotRequest, FetchSnapshotResponse
from pybroker.wire.messages.vote import VoteRequest, VoteResponse

if TYPE_CHECKING:
    from pybroker.raft.node import Node

BOOTSTRAP_SNAPSHOT = SnapshotId(0, 0)
"""What formatting leaves: it is not replicated, its content is in the log."""


def handle(node: Node, token: object, message: Message) -> None:
    """Serve one request; the answer goes to the node's outbox, now or later."""
    if isinstance(message, FetchRequest):
        _fetch(node, token, message)
    elif isinstance(message, add_raft_voter.AddRaftVoterRequest):
        voter_changes.add_voter(node, token, message)
    elif isinstance(message, remove_raft_voter.RemoveRaftVoterRequest):
        voter_changes.remove_voter(node, token, message)
    elif isinstance(message, update_raft_voter.UpdateRaftVoterRequest):
        voter_changes.update_voter(node, token, message)
    else:
        node.reply(token, _HANDLERS[type(message)](node, message))


def _voter_only(node: Node, remote_id: int, epoch: int) -> int:
    """The check of requests that establish a leader."""
    if epoch < node.epoch:
        return ErrorCode.FENCED_LEADER_EPOCH
    return ErrorCode.INVALID_REQUEST if remote_id < 0 else ErrorCode.NONE


def _is_me(node: Node, voter_id: int, directory_id: bytes) -> bool:
    """Whether a request is meant for this replica; -1 (before KIP-853) is for whoever gets it."""
    if voter_id < 0:
        return True
    return voter_id == node.node_id and directory_id in (ZERO_UUID, node.key.directory_id)


# ------------------------------------------------------------------------------------------------ elections


def _vote(node: Node, request: VoteRequest) -> VoteResponse:
    """INCONSISTENT_CLUSTER_ID, INVALID_REQUEST, FENCED_LEADER_EPOCH, INVALID_VOTER_KEY; else the vote."""
    if foreign_cluster(node, request.cluster_id):
        return VoteResponse(error_code=ErrorCode.INCONSISTENT_CLUSTER_ID)
    partition = messages.only_partition(request.topics)
    if partition is None:
        return VoteResponse(error_code=ErrorCode.INVALID_REQUEST)
    epoch, last_epoch = partition.replica_epoch, partition.last_offset_epoch
    # A candidate has raised its epoch above that of its log, a prospective one has not.
    illegal = last_epoch > epoch if partition.pre_vote else last_epoch >= epoch
    if illegal or last_epoch < 0 or partition.last_offset < 0:
        return _vote_answer(node, ErrorCode.INVALID_REQUEST)
    error = _voter_only(node, partition.replica_id, epoch)
    if error:
        return _vote_answer(node, error)
    if epoch > node.epoch:
        node.become_unattached(epoch)
    if not _is_me(node, request.voter_id, partition.voter_directory_id):
        return _vote_answer(node, ErrorCode.INVALID_VOTER_KEY)
    candidate = ReplicaKey(partition.replica_id, partition.replica_directory_id)
    up_to_date = node.log_is_up_to_date(last_epoch, partition.last_offset)
    granted = node.can_grant(candidate, up_to_date, pre_vote=partition.pre_vote)
    if granted and not partition.pre_vote:
        node.grant(candidate)
    return _vote_answer(node, ErrorCode.NONE, granted=granted)


def _vote_answer(node: Node, error: int, *, granted: bool = False) -> VoteResponse:
    return messages.vote_response(error, node.epoch, node.leader_id, node.leader_endpoints, granted=granted)


def _begin_quorum_epoch(node: Node, request: BeginQuorumEpochRequest) -> BeginQuorumEpochResponse:
    if foreign_cluster(node, request.cluster_id):
        return BeginQuorumEpochResponse(error_code=ErrorCode.INCONSISTENT_CLUSTER_ID)
    partition = messages.only_partition(request.topics)
    if partition is None:
        return BeginQuorumEpochResponse(error_code=ErrorCode.INVALID_REQUEST)
    error = _voter_only(node, partition.leader_id, partition.leader_epoch)
    if not error:
        endpoints = tuple((item.name, item.host, item.port) for item in request.leader_endpoints)
        if not accept_leader(node, partition.leader_id, partition.leader_epoch, endpoints):
            error = ErrorCode.INVALID_REQUEST
        elif not _is_me(node, request.voter_id, partition.voter_directory_id):
            error = ErrorCode.INVALID_VOTER_KEY
    return messages.begin_quorum_epoch_response(error, node.epoch, node.leader_id, node.leader_endpoints)


def _end_quorum_epoch(node: Node, request: EndQuorumEpochRequest) -> EndQuorumEpochResponse:
    if foreign_cluster(node, request.cluster_id):
        return EndQuorumEpochResponse(error_code=ErrorCode.INCONSISTENT_CLUSTER_ID)
    partition = messages.only_partition(request.topics)
    if partition is None:
        return EndQuorumEpochResponse(error_code=ErrorCode.INVALID_REQUEST)
    error = _voter_only(node, partition.leader_id, partition.leader_epoch)
    if not error:
        endpoints = tuple((item.name, item.host, item.port) for item in request.leader_endpoints)
        if not accept_leader(node, partition.leader_id, partition.leader_epoch, endpoints):
            error = ErrorCode.INVALID_REQUEST
        elif node.role is Role.FOLLOWER and node.leader_id == partition.leader_id:
            candidates = [
                ReplicaKey(item.candidate_id, item.candidate_directory_id)
                for item in partition.preferred_candidates
            ] or [ReplicaKey(node_id) for node_id in partition.preferred_successors]
            node.fetch_deadline = node.now() + _succession_delay(node, candidates)
    return messages.end_quorum_epoch_response(error, node.epoch, node.leader_id, node.leader_endpoints)


def _succession_delay(node: Node, candidates: list[ReplicaKey]) -> float:
    """Nothing for the first candidate, longer and longer for the next, the maximum for everybody else."""
    longest = node.settings.election_backoff_max_ms
    for position, key in enumerate(candidates):
        if key.node_id == node.node_id and key.directory_id in (ZERO_UUID, node.key.directory_id):
            if position == 0:
                return 0
            step: int = longest >> min(len(candidates) - 1, 30)
            return min(longest, step << min(position - 1, 30))
    return longest


# ---------------------------------------------------------------------------------------------- replication


def _fetch(node: Node, token: object, request: FetchRequest) -> None:
    if foreign_cluster(node, request.cluster_id):
        node.reply(token, FetchResponse(error_code=ErrorCode.INCONSISTENT_CLUSTER_ID))
        return
    partition = messages.fetch_partition(request)
    if partition is None:
        node.reply(token, FetchResponse(error_code=ErrorCode.INVALID_REQUEST))
        return
    if (
        request.max_wait < 0
        or partition.fetch_offset < 0
        or not 0 <= partition.last_fetched_epoch <= partition.current_leader_epoch
    ):
        node.reply(token, _fetch_answer(node, ErrorCode.INVALID_REQUEST))
        return
    # The id moved into a struct of its own in version 15.
    replica_id = request.replica_state.replica_id
    key = ReplicaKey(replica_id if replica_id >= 0 else request.replica_id, partition.replica_directory_id)
    response = complete_fetch(node, key, partition)
    answer = response.responses[0].partitions[0]
    at_once = (
        answer.error_code
        or answer.records
        or request.max_wait == 0
        or answer.diverging_epoch.epoch >= 0
        or answer.snapshot_id.end_offset >= 0
        # A follower that is behind in this only learns it at once (KIP-1166).
        or partition.high_watermark < answer.high_watermark
    )
    if at_once or not node.wait(token, key, partition, request.max_wait):
        node.reply(token, response)


def complete_fetch(
    node: Node, key: ReplicaKey, partition: FetchPartition, *, late: bool = False
) -> FetchResponse:
    """The answer as of now. `late`: to a request that has waited, and has been counted when it came."""
    error = leader_only(node, partition.current_leader_epoch)
    leader = node.leader
    if error or leader is None:
        return _fetch_answer(node, error or ErrorCode.NOT_LEADER_OR_FOLLOWER)
    offset, epoch, log = partition.fetch_offset, partition.last_fetched_epoch, node.log
    latest = node.snapshots.latest()
    if latest is not None and latest != BOOTSTRAP_SNAPSHOT and _needs_snapshot(node, offset, epoch):
        return _fetch_answer(node, snapshot=latest)
    if offset != log.start_offset:
        known_epoch, end_offset = node.end_offset_for_epoch(epoch)
        if known_epoch != epoch or end_offset < offset:
            return _fetch_answer(node, diverging=(known_epoch, end_offset))
    if key.node_id == node.node_id:
        # Another process with this node's id: as Kafka, which finds that it would be its own replica.
        return _fetch_answer(node, ErrorCode.UNKNOWN_SERVER_ERROR)
    if not late and leader.fetched(key, node.now(), offset, log.end_offset):
        node.high_watermark_moved()
    # Answering others may have ended the leadership.
    error = leader_only(node, partition.current_leader_epoch)
    if error:
        return _fetch_answer(node, error)
    return _fetch_answer(node, records=log.read(offset, node.settings.fetch_max_bytes))


def _needs_snapshot(node: Node, offset: int, epoch: int) -> bool:
    """Whether a replica whose log ends with `epoch` at `offset` cannot go on from the log here."""
    start_offset = node.log.start_offset
    if offset == 0 or offset < start_offset:
        # An empty log is filled faster from a snapshot, even when the log is all there.
        return True
    below = node.snapshots.ending_at(start_offset)
    if below is None:
        # What came before the log is not known, so it cannot be compared.
        return offset == start_offset > 0
    return epoch < below.epoch or (offset == start_offset and epoch != below.epoch)


def _fetch_answer(
    node: Node,
    error: int = 0,
    *,
    records: bytes = b"",
    diverging: tuple[int, int] | None = None,
    snapshot: SnapshotId | None = None,
) -> FetchResponse:
    known = error == 0 and node.leader is not None
    return messages.fetch_response(
        error,
        node.epoch,
        node.leader_id,
        node.leader_endpoints,
        log_start_offset=node.log.start_offset,
        high_watermark=node.leader.high_watermark if known and node.leader is not None else -1,
        records=records,
        diverging=diverging,
        snapshot=snapshot,
    )


def _fetch_snapshot(node: Node, request: FetchSnapshotRequest) -> FetchSnapshotResponse:
    """One chunk. No list of the request may be taken for filled (CVE-2026-83525)."""
    if foreign_cluster(node, request.cluster_id):
        return FetchSnapshotResponse(error_code=ErrorCode.INCONSISTENT_CLUSTER_ID)
    topics = request.topics
    if len(topics) != 1 or len(topics[0].partitions) != 1:
        return FetchSnapshotResponse(error_code=ErrorCode.INVALID_REQUEST)
    partition = topics[0].partitions[0]
    leader_id, endpoints = node.leader_id, node.leader_endpoints
    if topics[0].name != messages.TOPIC or partition.partition != messages.PARTITION:
        return messages.fetch_snapshot_response(
            ErrorCode.UNKNOWN_TOPIC_OR_PARTITION,
            -1,
            NOBODY,
            (),
            name=topics[0].name,
            partition=partition.partition,
        )
    error = leader_only(node, partition.current_leader_epoch)
    wanted = SnapshotId(partition.snapshot_id.end_offset, partition.snapshot_id.epoch)
    size = None if error or wanted == BOOTSTRAP_SNAPSHOT else node.snapshots.size(wanted)
    if not error and size is None:
        error = ErrorCode.SNAPSHOT_NOT_FOUND
    if error or size is None:
        return messages.fetch_snapshot_response(error, node.epoch, leader_id, endpoints)
    if not 0 <= partition.position < size:
        return messages.fetch_snapshot_response(
            ErrorCode.POSITION_OUT_OF_RANGE, node.epoch, leader_id, endpoints
        )
    most = max(0, min(request.max_bytes, node.settings.fetch_max_bytes))
    data = node.snapshots.read(wanted, partition.position, most)
    if node.leader is not None:
        node.leader.heard_from(ReplicaKey(request.replica_id, partition.replica_directory_id), node.now())
    return messages.fetch_snapshot_response(
        ErrorCode.NONE,
        node.epoch,
        leader_id,
        endpoints,
        snapshot=wanted,
        size=size,
        position=partition.position,
        data=data,
    )


# ------------------------------------------------------------------------------------------------- describe


def describe_quorum(node: Node, request: DescribeQuorumRequest) -> DescribeQuorumResponse:
    """UNKNOWN_TOPIC_OR_PARTITION for another topic, NOT_LEADER_OR_FOLLOWER on a node that does not lead."""
    if messages.only_partition(request.topics) is None:
        error = ErrorCode.UNKNOWN_TOPIC_OR_PARTITION
        return DescribeQuorumResponse(
            topics=[
                ResponseTopicData(
                    topic_name=topic.topic_name,
                    partitions=[
                        ResponsePartitionData(
                            partition_index=partition.partition_index,
                            error_code=error,
                            error_message=UNKNOWN_PARTITION_MESSAGE,
                        )
                        for partition in topic.partitions
                    ],
                )
                for topic in request.topics
            ]
        )
    leader = node.leader
    if not node.is_leader or leader is None:
        return messages.describe_quorum_error(ErrorCode.NOT_LEADER_OR_FOLLOWER, NOT_LEADER_MESSAGE)
    now = node.now()
    leader.forget_observers(now)
    # Kept in monotonic time, told in wall time.
    shift = node.clock.wall_ms() - now

    def state(replica: Replica) -> ReplicaState:
        own = replica.key.node_id == node.node_id
        return ReplicaState(
            replica_id=replica.key.node_id,
            replica_directory_id=replica.key.directory_id,
            log_end_offset=node.log.end_offset if own else replica.end_offset,
            last_fetch_timestamp=_wall(now if own else replica.fetched_ms, shift),
            last_caught_up_timestamp=_wall(now if own else replica.caught_up_ms, shift),
        )

    partition = ResponsePartitionData(
        partition_index=messages.PARTITION,
        error_code=0,
        leader_id=node.node_id,
        leader_epoch=node.epoch,
        high_watermark=leader.high_watermark,
        current_voters=[state(replica) for _, replica in sorted(leader.voters_by_id.items())],
        observers=[state(replica) for _, replica in sorted(leader.observers.items())],
    )
    return DescribeQuorumResponse(
        topics=[ResponseTopicData(topic_name=messages.TOPIC, partitions=[partition])],
        nodes=[
            DescribedNode(
                node_id=voter.voter_id,
                listeners=[Listener(name=name, host=host, port=port) for name, host, port in voter.endpoints],
            )
            for voter in leader.voters
        ],
    )


def _wall(monotonic_ms: float, shift: float) -> int:
    return -1 if monotonic_ms < 0 else int(monotonic_ms + shift)


UNKNOWN_PARTITION_MESSAGE = "This server does not host this topic-partition."
NOT_LEADER_MESSAGE = (
    "For requests intended only for the leader, this error indicates that the broker is not the current "
    "leader. For requests intended for any replica, this error indicates that the broker is not a replica of "
    "the topic partition."
)

_HANDLERS: dict[type[Message], Any] = {
    VoteRequest: _vote,
    BeginQuorumEpochRequest: _begin_quorum_epoch,
    EndQuorumEpochRequest: _end_quorum_epoch,
    FetchSnapshotRequest: _fetch_snapshot,
    DescribeQuorumRequest: describe_quorum,
}

"""Kafka's quorum requests and responses for the one partition there is: `__cluster_metadata`-0.

In: plain values. Out: messages; and the one partition of a message that came in, or None when it does not
have exactly that one. What must hold: nothing that a peer sends makes these functions raise.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any, Final

from pybroker.common.errors import ErrorCode
from pybroker.raft.snapshot import SnapshotId
from pybroker.raft.voters import ReplicaKey
from pybroker.wire.messages import (
    begin_quorum_epoch,
    describe_quorum,
    end_quorum_epoch,
    fetch,
    fetch_snapshot,
    vote,
)

TOPIC: Final = "__cluster_metadata"
TOPIC_ID: Final = bytes(15) + b"\x01"
PARTITION: Final = 0
NOBODY: Final = -1

Endpoints = tuple[tuple[str, str, int], ...]
"""(listener name, host, port)"""


# ------------------------------------------------------------------------------------------------ requests


def vote_request(
    cluster_id: str,
    voter: ReplicaKey,
    candidate: ReplicaKey,
    epoch: int,
    log_end: tuple[int, int],
    *,
    pre_vote: bool,
) -> vote.VoteRequest:
    """`log_end` is (epoch of the last record, end offset)."""
    return vote.VoteRequest(
        cluster_id=cluster_id,
        voter_id=voter.node_id,
        topics=[
            vote.RequestTopicData(
                topic_name=TOPIC,
                partitions=[
                    vote.RequestPartitionData(
                        partition_index=PARTITION,
                        replica_epoch=epoch,
                        replica_id=candidate.node_id,
                        replica_directory_id=candidate.directory_id,
                        voter_directory_id=voter.directory_id,
                        last_offset_epoch=log_end[0],
                        last_offset=log_end[1],
                        pre_vote=pre_vote,
                    )
                ],
            )
        ],
    )


def begin_quorum_epoch_request(
    cluster_id: str, voter: ReplicaKey, leader_id: int, epoch: int, endpoints: Endpoints
) -> begin_quorum_epoch.BeginQuorumEpochRequest:
    return begin_quorum_epoch.BeginQuorumEpochRequest(
        cluster_id=cluster_id,
        voter_id=voter.node_id,
        topics=[
            begin_quorum_epoch.RequestTopicData(
                topic_name=TOPIC,
                partitions=[
                    begin_quorum_epoch.RequestPartitionData(
                        partition_index=PARTITION,
                        voter_directory_id=voter.directory_id,
                        leader_id=leader_id,
                        leader_epoch=epoch,
                    )
                ],
            )
        ],
        leader_endpoints=[
            begin_quorum_epoch.LeaderEndpoint(name=name, host=host, port=port)
            for name, host, port in endpoints
        ],
    )


def end_quorum_epoch_request(
    cluster_id: str, leader_id: int, epoch: int, candidates: Iterable[ReplicaKey]
) -> end_quorum_epoch.EndQuorumEpochRequest:
    """`candidates`: who should stand first, best one first."""
    candidates = tuple(candidates)
    return end_quorum_epoch.EndQuorumEpochRequest(
        cluster_id=cluster_id,
        topics=[
            end_quorum_epoch.RequestTopicData(
                topic_name=TOPIC,
                partitions=[
                    end_quorum_epoch.RequestPartitionData(
                        partition_index=PARTITION,
                        leader_id=leader_id,
                        leader_epoch=epoch,
                        preferred_successors=[key.node_id for key in candidates],
                        preferred_candidates=[
                            end_quorum_epoch.ReplicaInfo(
                                candidate_id=key.node_id, candidate_directory_id=key.directory_id
                            )
                            for key in candidates
                        ],
                    )
                ],
            )
        ],
    )


def fetch_request(
    cluster_id: str,
    replica: ReplicaKey,
    epoch: int,
    log_end: tuple[int, int],
    *,
    high_watermark: int,
    max_wait_ms: int,
    max_bytes: int,
) -> fetch.FetchRequest:
    return fetch.FetchRequest(
        cluster_id=cluster_id,
        replica_id=replica.node_id,
        replica_state=fetch.ReplicaState(replica_id=replica.node_id),
        max_wait=max_wait_ms,
        min_bytes=0,
        max_bytes=max_bytes,
        topics=[
            fetch.FetchTopic(
                topic=TOPIC,
                topic_id=TOPIC_ID,
                partitions=[
                    fetch.FetchPartition(
                        partition=PARTITION,
                        current_leader_epoch=epoch,
                        fetch_offset=log_end[1],
                        last_fetched_epoch=log_end[0],
                        replica_directory_id=replica.directory_id,
                        high_watermark=high_watermark,
                    )
                ],
            )
        ],
    )


def fetch_snapshot_request(
    cluster_id: str, replica: ReplicaKey, epoch: int, snapshot: SnapshotId, position: int, max_bytes: int
) -> fetch_snapshot.FetchSnapshotRequest:
    return fetch_snapshot.FetchSnapshotRequest(
        cluster_id=cluster_id,
        replica_id=replica.node_id,
        max_bytes=max_bytes,
        topics=[
            fetch_snapshot.RequestTopicSnapshot(
                name=TOPIC,
                partitions=[
                    fetch_snapshot.RequestPartitionSnapshot(
                        partition=PARTITION,
                        current_leader_epoch=epoch,
                        snapshot_id=fetch_snapshot.RequestSnapshotId(
                            end_offset=snapshot.end_offset, epoch=snapshot.epoch
                        ),
                        position=position,
                        replica_directory_id=replica.directory_id,
                    )
                ],
            )
        ],
    )


# ----------------------------------------------------------------------------------------------- responses


def vote_response(
    error: int, epoch: int, leader_id: int, endpoints: Endpoints, *, granted: bool
) -> vote.VoteResponse:
    return vote.VoteResponse(
        topics=[
            vote.ResponseTopicData(
                topic_name=TOPIC,
                partitions=[
                    vote.ResponsePartitionData(
                        partition_index=PARTITION,
                        error_code=error,
                        leader_id=leader_id,
                        leader_epoch=epoch,
                        vote_granted=granted,
                    )
                ],
            )
        ],
        node_endpoints=[
            vote.NodeEndpoint(node_id=leader_id, host=host, port=port) for _, host, port in endpoints[:1]
        ],
    )


def begin_quorum_epoch_response(
    error: int, epoch: int, leader_id: int, endpoints: Endpoints
) -> begin_quorum_epoch.BeginQuorumEpochResponse:
    return begin_quorum_epoch.BeginQuorumEpochResponse(
        topics=[
            begin_quorum_epoch.ResponseTopicData(
                topic_name=TOPIC,
                partitions=[
                    begin_quorum_epoch.ResponsePartitionData(
                        partition_index=PARTITION,
                        error_code=error,
                        leader_id=leader_id,
                        leader_epoch=epoch,
                    )
                ],
            )
        ],
        node_endpoints=[
            begin_quorum_epoch.NodeEndpoint(node_id=leader_id, host=host, port=port)
            for _, host, port in endpoints[:1]
        ],
    )


def end_quorum_epoch_response(
    error: int, epoch: int, leader_id: int, endpoints: Endpoints
) -> end_quorum_epoch.EndQuorumEpochResponse:
    return end_quorum_epoch.EndQuorumEpochResponse(
        topics=[
            end_quorum_epoch.ResponseTopicData(
                topic_name=TOPIC,
                partitions=[
                    end_quorum_epoch.ResponsePartitionData(
                        partition_index=PARTITION,
                        error_code=error,
                        leader_id=leader_id,
                        leader_epoch=epoch,
                    )
                ],
            )
        ],
        node_endpoints=[
            end_quorum_epoch.NodeEndpoint(node_id=leader_id, host=host, port=port)
            for _, host, port in endpoints[:1]
        ],
    )


def fetch_response(
    error: int,
    epoch: int,
    leader_id: int,
    endpoints: Endpoints,
    *,
    log_start_offset: int,
    high_watermark: int = -1,
    records: bytes = b"",
    diverging: tuple[int, int] | None = None,
    snapshot: SnapshotId | None = None,
) -> fetch.FetchResponse:
    """`diverging` is (epoch, its end offset)."""
    partition = fetch.PartitionData(
        partition_index=PARTITION,
        error_code=error,
        high_watermark=high_watermark,
        log_start_offset=log_start_offset,
        current_leader=fetch.LeaderIdAndEpoch(leader_id=leader_id, leader_epoch=epoch),
        records=records,
    )
    if diverging is not None:
        partition.diverging_epoch = fetch.EpochEndOffset(epoch=diverging[0], end_offset=diverging[1])
    if snapshot is not None:
        partition.snapshot_id = fetch.SnapshotId(epoch=snapshot.epoch, end_offset=snapshot.end_offset)
    return fetch.FetchResponse(
        responses=[fetch.FetchableTopicResponse(topic=TOPIC, topic_id=TOPIC_ID, partitions=[partition])],
        node_endpoints=[
            fetch.NodeEndpoint(node_id=leader_id, host=host, port=port) for _, host, port in endpoints[:1]
        ],
    )


def fetch_snapshot_response(
    error: int,
    epoch: int,
    leader_id: int,
    endpoints: Endpoints,
    *,
    snapshot: SnapshotId | None = None,
    size: int = 0,
    position: int = 0,
    data: bytes = b"",
    name: str = TOPIC,
    partition: int = PARTITION,
) -> fetch_snapshot.FetchSnapshotResponse:
    answer = fetch_snapshot.ResponsePartitionSnapshot(
        index=partition,
        error_code=error,
        current_leader=fetch_snapshot.LeaderIdAndEpoch(leader_id=leader_id, leader_epoch=epoch),
        size=size,
        position=position,
        unaligned_records=data,
    )
    if snapshot is not None:
        answer.snapshot_id = fetch_snapshot.ResponseSnapshotId(
            end_offset=snapshot.end_offset, epoch=snapshot.epoch
        )
    return fetch_snapshot.FetchSnapshotResponse(
        topics=[fetch_snapshot.ResponseTopicSnapshot(name=name, partitions=[answer])],
        node_endpoints=[
            fetch_snapshot.NodeEndpoint(node_id=leader_id, host=host, port=port)
            for _, host, port in endpoints[:1]
        ],
    )


def describe_quorum_error(error: ErrorCode, message: str | None) -> describe_quorum.DescribeQuorumResponse:
    """The answer for the one partition, refused."""
    return describe_quorum.DescribeQuorumResponse(
        topics=[
            describe_quorum.ResponseTopicData(
                topic_name=TOPIC,
                partitions=[
                    describe_quorum.ResponsePartitionData(
                        partition_index=PARTITION, error_code=error, error_message=message
                    )
                ],
            )
        ]
    )


# ------------------------------------------------------------------------------------ the one partition in it


def only_partition(topics: list[Any]) -> Any | None:
    """The one partition of Vote, BeginQuorumEpoch and EndQuorumEpoch, requests and responses."""
    if len(topics) != 1 or topics[0].topic_name != TOPIC or len(topics[0].partitions) != 1:
        return None
    partition = topics[0].partitions[0]
    return partition if partition.partition_index == PARTITION else None


def fetch_partition(request: fetch.FetchRequest) -> fetch.FetchPartition | None:
    """The topic is named by its id from version 13 on, by its name before."""
    topics = request.topics
    if len(topics) != 1 or len(topics[0].partitions) != 1 or topics[0].topic_id != TOPIC_ID:
        return None
    partition: fetch.FetchPartition = topics[0].partitions[0]
    return partition if partition.partition == PARTITION else None


def fetch_answer(response: fetch.FetchResponse) -> fetch.PartitionData | None:
    topics = response.responses
    if len(topics) != 1 or len(topics[0].partitions) != 1 or topics[0].topic_id != TOPIC_ID:
        return None
    partition: fetch.PartitionData = topics[0].partitions[0]
    return partition if partition.partition_index == PARTITION else None


def fetch_snapshot_answer(
    response: fetch_snapshot.FetchSnapshotResponse,
) -> fetch_snapshot.ResponsePartitionSnapshot | None:
    topics = response.topics
    if len(topics) != 1 or topics[0].name != TOPIC or len(topics[0].partitions) != 1:
        return None
    partition: fetch_snapshot.ResponsePartitionSnapshot = topics[0].partitions[0]
    return partition if partition.index == PARTITION else None

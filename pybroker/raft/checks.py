"""What several requests and answers have in common: whom they concern, and what they say of the leader.

In: fields of messages. Out: error codes; the node's epoch and leader, where a message knows better. What must
hold: one leader in an epoch; a message that says otherwise is refused.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from pybroker.common.errors import ErrorCode
from pybroker.raft.hard_state import NOBODY
from pybroker.raft.messages import Endpoints
from pybroker.raft.role import Role

if TYPE_CHECKING:
    from pybroker.raft.node import Node


def foreign_cluster(node: Node, cluster_id: str | None) -> bool:
    return cluster_id is not None and cluster_id != node.cluster_id


def leader_only(node: Node, epoch: int) -> int:
    """The check of requests that only the leader of `epoch` serves."""
    if epoch < node.epoch:
        return ErrorCode.FENCED_LEADER_EPOCH
    if epoch > node.epoch:
        return ErrorCode.UNKNOWN_LEADER_EPOCH
    if not node.is_leader:
        return ErrorCode.NOT_LEADER_OR_FOLLOWER
    return ErrorCode.BROKER_NOT_AVAILABLE if node.shutting_down else ErrorCode.NONE


def accept_leader(node: Node, leader_id: int, epoch: int, endpoints: Endpoints) -> bool:
    """Take over what a message says of the leader; False when it contradicts what is known here."""
    if epoch == node.epoch:
        if leader_id == node.node_id:
            consistent = node.role in (Role.LEADER, Role.RESIGNED)
        else:
            consistent = NOBODY in (leader_id, node.leader_id) or leader_id == node.leader_id
    else:
        consistent = leader_id != node.node_id
    if not consistent:
        node.fault(f"leader {leader_id} in epoch {epoch}, here {node.leader_id} in epoch {node.epoch}")
        return False
    if not endpoints and (voter := node.voters.get(leader_id)) is not None:
        endpoints = voter.endpoints
    if epoch > node.epoch:
        if leader_id == NOBODY:
            node.become_unattached(epoch)
        else:
            node.become_follower(epoch, leader_id, endpoints)
    elif leader_id != NOBODY and node.leader_id == NOBODY:
        node.become_follower(epoch, leader_id, endpoints)
    elif leader_id == node.leader_id and len(endpoints) > len(node.leader_endpoints):
        node.leader_endpoints = endpoints
    return True

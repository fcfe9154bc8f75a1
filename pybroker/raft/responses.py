"""The answers of other members to the requests of this one.

In: decoded responses that are expected. Out: True when the member may be asked again at once, False when it
should be left alone for a moment. What must hold: no response raises, however wrong it is; an answer of an
earlier epoch changes nothing.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from pybroker.common.errors import ErrorCode, StorageError
from pybroker.raft import messages, voter_changes
from pybroker.raft.checks import accept_leader
from pybroker.raft.hard_state import NOBODY
from pybroker.raft.messages import Endpoints
from pybroker.raft.role import Role
from pybroker.raft.snapshot import SnapshotId
from pybroker.wire.message import Message
from pybroker.wire.messages.api_versions import ApiVersionsResponse
from pybroker.wire.messages.begin_quorum_epoch import BeginQuorumEpochResponse
from pybroker.wire.messages.end_quorum_epoch import EndQuorumEpochResponse
from pybroker.wire.messages.fetch import FetchResponse
from pybroker.wire.messages.fetch_snapshot import FetchSnapshotResponse
from pybroker.wire.messages.update_raft_voter import UpdateRaftVoterResponse
from pybroker.wire.messages.vote import VoteResponse

if TYPE_CHECKING:
    from pybroker.raft.node import Node


def handle(node: Node, source_id: int, message: Message) -> bool:
    """Take an answer in."""
    handler = _HANDLERS.get(type(message))
    if handler is None:
        node.fault(f"unexpected {type(message).__name__} from {source_id}")
        return False
    if getattr(message, "error_code", 0) and not isinstance(message, UpdateRaftVoterResponse):
        return isinstance(message, ApiVersionsResponse) and bool(handler(node, source_id, message))
    return bool(handler(node, source_id, message))


def _endpoints(node: Node, leader_id: int, given: list[Any]) -> Endpoints:
    return tuple(
        (node.settings.listener, item.host, item.port) for item in given if item.node_id == leader_id
    )[:1]


def _settled(node: Node, error: int, leader_id: int, epoch: int, endpoints: Endpoints) -> bool | None:
    """What all answers have in common: None when the answer itself is still to be looked at."""
    if epoch < node.epoch or error == ErrorCode.UNKNOWN_LEADER_EPOCH:
        return True
    if epoch > node.epoch or error in (ErrorCode.FENCED_LEADER_EPOCH, ErrorCode.NOT_LEADER_OR_FOLLOWER):
        accepted = accept_leader(node, max(leader_id, NOBODY), epoch, endpoints)
        # Who does not lead and does not know who does need not be asked again at once.
        return accepted and (leader_id != NOBODY or error == 0)
    if leader_id >= 0 and node.leader_id == NOBODY:
        if not accept_leader(node, leader_id, epoch, endpoints):
            return False
        return None if error == 0 else True
    if error == ErrorCode.BROKER_NOT_AVAILABLE:
        return False
    if error == ErrorCode.INVALID_VOTER_KEY:
        return True
    if error:
        node.last_fault = f"error {error} from another member"
        return False
    return None


def _vote(node: Node, source_id: int, response: VoteResponse) -> bool:
    answer = messages.only_partition(response.topics)
    if answer is None:
        return False
    endpoints = _endpoints(node, answer.leader_id, response.node_endpoints)
    settled = _settled(node, answer.error_code, answer.leader_id, answer.leader_epoch, endpoints)
    if settled is not None:
        return settled
    if node.role in (Role.PROSPECTIVE, Role.CANDIDATE):
        node.count_vote(source_id, bool(answer.vote_granted))
    return True


def _begin_quorum_epoch(node: Node, source_id: int, response: BeginQuorumEpochResponse) -> bool:
    answer = messages.only_partition(response.topics)
    if answer is None:
        return False
    endpoints = _endpoints(node, answer.leader_id, response.node_endpoints)
    settled = _settled(node, answer.error_code, answer.leader_id, answer.leader_epoch, endpoints)
    return True if settled is None else settled


def _end_quorum_epoch(node: Node, source_id: int, response: EndQuorumEpochResponse) -> bool:
    answer = messages.only_partition(response.topics)
    if answer is None:
        return False
    endpoints = _endpoints(node, answer.leader_id, response.node_endpoints)
    settled = _settled(node, answer.error_code, answer.leader_id, answer.leader_epoch, endpoints)
    if settled is None and node.role is Role.RESIGNED:
        node.acknowledged[source_id] = None
    return True if settled is None else settled


def _fetch(node: Node, source_id: int, response: FetchResponse) -> bool:
    answer = messages.fetch_answer(response)
    if answer is None:
        return False
    current = answer.current_leader
    endpoints = _endpoints(node, current.leader_id, response.node_endpoints)
    known = node.epoch, node.leader_id, node.leader_endpoints
    settled = _settled(node, answer.error_code, current.leader_id, current.leader_epoch, endpoints)
    # Who has nothing new to tell would say so again and again, as fast as it can be asked.
    is_news = known != (node.epoch, node.leader_id, node.leader_endpoints)
    if settled is not None:
        return settled and is_news
    if node.role is not Role.FOLLOWER or source_id != node.leader_id:
        # Another member told who leads; what else it says does not count.
        return is_news
    if answer.diverging_epoch.epoch >= 0:
        if not node.truncate(answer.diverging_epoch.epoch, answer.diverging_epoch.end_offset):
            return False
    elif answer.snapshot_id.epoch >= 0 or answer.snapshot_id.end_offset >= 0:
        if not _begin_download(node, SnapshotId(answer.snapshot_id.end_offset, answer.snapshot_id.epoch)):
            return False
    else:
        if answer.records and not node.append_fetched(answer.records):
            return False
        node.follower_high_watermark(answer.high_watermark)
    _heard_from_leader(node)
    return True


def _heard_from_leader(node: Node) -> None:
    node.has_fetched = True
    node.lost_vote = False
    node.new_fetch_deadline()


def _begin_download(node: Node, snapshot: SnapshotId) -> bool:
    from pybroker.raft.node import Download

    if snapshot.epoch < 0 or snapshot.end_offset < 0:
        node.fault(f"leader {node.leader_id} names the snapshot {snapshot}")
        return False
    if node.is_installing:
        # One of an earlier leader: its file must not be written to meanwhile.
        return False
    if node.snapshots.size(snapshot) is not None:
        # It is here: all that is left is to start from it.
        node.download = Download(snapshot, 0, 0, complete=True)
        return True
    try:
        node.snapshots.begin(snapshot)
    except StorageError as error:
        node.fault(f"snapshot {snapshot} cannot be stored: {error}")
        return False
    node.download = Download(snapshot, 0, -1, complete=False)
    return True


def _fetch_snapshot(node: Node, source_id: int, response: FetchSnapshotResponse) -> bool:
    answer = messages.fetch_snapshot_answer(response)
    if answer is None:
        return False
    current = answer.current_leader
    endpoints = _endpoints(node, current.leader_id, response.node_endpoints)
    error = answer.error_code
    gone = error in (ErrorCode.SNAPSHOT_NOT_FOUND, ErrorCode.POSITION_OUT_OF_RANGE)
    settled = _settled(node, 0 if gone else error, current.leader_id, current.leader_epoch, endpoints)
    if settled is not None:
        return settled
    download = node.download
    if node.role is not Role.FOLLOWER or source_id != node.leader_id or download is None:
        return True
    snapshot = SnapshotId(answer.snapshot_id.end_offset, answer.snapshot_id.epoch)
    data = answer.unaligned_records or b""
    end = download.position + len(data)
    if gone:
        # The leader has a newer one by now: the next Fetch tells.
        node.download = None
        _heard_from_leader(node)
        return True
    if (
        snapshot != download.snapshot
        or answer.position != download.position
        or not 0 < answer.size <= node.settings.snapshot_max_bytes
        or download.size not in (-1, answer.size)
        or not data
        or end > answer.size
    ):
        node.download = None
        node.fault(
            f"leader {source_id} sent {len(data)} bytes at {answer.position} of {answer.size} of {snapshot}, "
            f"expected was {download}"
        )
        return False
    try:
        node.snapshots.append(snapshot, download.position, bytes(data))
    except StorageError as failure:
        node.download = None
        node.fault(f"snapshot {snapshot} cannot be stored: {failure}")
        return False
    node.download = download._replace(position=end, size=answer.size, complete=end == answer.size)
    _heard_from_leader(node)
    return True


def _update_voter(node: Node, source_id: int, response: UpdateRaftVoterResponse) -> bool:
    current = response.current_leader
    settled = _settled(node, response.error_code, current.leader_id, current.leader_epoch, ())
    return True if settled is None else settled


_HANDLERS: dict[type[Message], Any] = {
    VoteResponse: _vote,
    BeginQuorumEpochResponse: _begin_quorum_epoch,
    EndQuorumEpochResponse: _end_quorum_epoch,
    FetchResponse: _fetch,
    FetchSnapshotResponse: _fetch_snapshot,
    UpdateRaftVoterResponse: _update_voter,
    ApiVersionsResponse: voter_changes.api_versions_answer,
}

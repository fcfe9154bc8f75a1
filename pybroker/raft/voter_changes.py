"""Changes of the voter set (KIP-853): AddRaftVoter, RemoveRaftVoter, UpdateRaftVoter.

In: requests, and the answer of a new voter to ApiVersions. Out: one VotersRecord for each change, and the
answer when it is committed. What must hold: one change at a time, each of one voter, and none before a record
of the leader's own epoch is committed: then the majorities before and after a change always meet.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from pybroker.common.errors import ErrorCode, StorageError
from pybroker.raft.checks import foreign_cluster, leader_only
from pybroker.raft.messages import Endpoints
from pybroker.raft.voters import KRAFT_VERSION_MAX, ReplicaKey, Voter, VoterSet, encode_voters
from pybroker.wire.message import ZERO_UUID, Message
from pybroker.wire.messages.add_raft_voter import AddRaftVoterRequest, AddRaftVoterResponse
from pybroker.wire.messages.api_versions import (
    ApiVersionsRequest,
    ApiVersionsResponse,
    SupportedFeatureKey,
)
from pybroker.wire.messages.remove_raft_voter import RemoveRaftVoterRequest, RemoveRaftVoterResponse
from pybroker.wire.messages.update_raft_voter import (
    CurrentLeader,
    KRaftVersionFeature,
    Listener,
    UpdateRaftVoterRequest,
    UpdateRaftVoterResponse,
)

if TYPE_CHECKING:
    from pybroker.raft.node import Node

KRAFT_VERSION = "kraft.version"
_PREVIOUS = "Request timed out waiting for leader to handle previous voter change request"
_FENCE = "Request timed out waiting for leader to establish HWM and fence previous voter changes"


class PendingChange:
    """An addition or removal that is not answered yet."""

    __slots__ = ("asked", "deadline", "new_voter", "offset", "token", "when_committed")

    def __init__(
        self, token: object, deadline: float, new_voter: Voter | None, *, when_committed: bool = True
    ) -> None:
        self.token = token
        self.deadline = deadline
        self.new_voter = new_voter
        """The voter to add, None for a removal."""
        self.when_committed = when_committed
        self.asked = False
        """Whether the new voter has been asked what it knows."""
        self.offset = -1
        """Of the VotersRecord, once it is appended."""

    def answer(self, error: int, message: str | None) -> Message:
        if self.new_voter is not None:
            return AddRaftVoterResponse(error_code=error, error_message=message)
        return RemoveRaftVoterResponse(error_code=error, error_message=message)

    def refuse(self, node: Node, error: int, message: str | None) -> None:
        """It is given up here; the record, once appended, may still be committed."""
        if self.token is not None:
            node.reply(self.token, self.answer(error, message))

    def committed(self, node: Node) -> None:
        self.refuse(node, ErrorCode.NONE, None)


def _not_here(node: Node, cluster_id: str | None) -> tuple[int, str | None] | None:
    """Why this is not the member to ask."""
    if foreign_cluster(node, cluster_id):
        return ErrorCode.INCONSISTENT_CLUSTER_ID, _foreign(node, cluster_id)
    error = leader_only(node, node.epoch)
    return (error, None) if error else None


def _not_now(node: Node, doing: str) -> tuple[int, str] | None:
    """Why no change may begin now, as Kafka words it; `doing` is what is asked for."""
    leader = node.leader
    if node.pending_change is not None:
        return ErrorCode.REQUEST_TIMED_OUT, _PREVIOUS
    if leader is None or leader.high_watermark < 0:
        return ErrorCode.REQUEST_TIMED_OUT, _FENCE
    if node.history.kraft_version < 1:
        return (
            ErrorCode.UNSUPPORTED_VERSION,
            f"Cluster doesn't support {doing} voter because the {KRAFT_VERSION} feature is "
            f"{node.history.kraft_version}",
        )
    if node.history.voters_offset >= leader.high_watermark:
        return (
            ErrorCode.REQUEST_TIMED_OUT,
            f"Request timed out waiting for voters to commit the latest voter change at "
            f"{node.history.voters_offset} with HWM {leader.high_watermark}",
        )
    return None


def _append(node: Node, voters: VoterSet) -> int:
    """The offset of the new set's record. StorageError."""
    return node.append_control([encode_voters(voters)])


def _on_listener(node: Node, endpoints: Endpoints) -> tuple[str, int] | None:
    return next(((host, port) for name, host, port in endpoints if name == node.settings.listener), None)


def _shown(endpoints: Endpoints) -> str:
    """As Kafka's messages show them."""
    shown = ", ".join(f"ListenerName({name})={host}/<unresolved>:{port}" for name, host, port in endpoints)
    return f"Endpoints(endpoints={{{shown}}})"


# --------------------------------------------------------------------------------------------------- adding


def add_voter(node: Node, token: object, request: AddRaftVoterRequest) -> None:
    """Answered when the new set is committed (or appended, KIP-1186); the observer must be caught up."""

    def refuse(error: int, message: str | None) -> None:
        node.reply(token, AddRaftVoterResponse(error_code=error, error_message=message))

    obstacle = _not_here(node, request.cluster_id)
    if obstacle is not None:
        refuse(*obstacle)
        return
    if request.voter_id < 0 or request.voter_directory_id == ZERO_UUID:
        refuse(ErrorCode.INVALID_REQUEST, "Add voter request didn't include a valid voter")
        return
    endpoints = tuple((item.name, item.host, item.port) for item in request.listeners)
    if _on_listener(node, endpoints) is None:
        refuse(
            ErrorCode.INVALID_REQUEST,
            f"Add voter request didn't include the endpoint ({_shown(endpoints)}) for the default listener "
            f"ListenerName({node.settings.listener})",
        )
        return
    obstacle = _not_now(node, "adding")
    if obstacle is not None:
        refuse(*obstacle)
        return
    key = ReplicaKey(request.voter_id, request.voter_directory_id)
    if node.voters.get(key.node_id) is not None:
        refuse(
            ErrorCode.DUPLICATE_VOTER,
            f"The voter id for {key} is already part of the set of voters {node.voters}.",
        )
        return
    node.pending_change = PendingChange(
        token,
        node.now() + node.settings.request_timeout_ms,
        Voter(key.node_id, key.directory_id, endpoints),
        when_committed=bool(request.ack_when_committed),
    )
    ask_new_voter(node)


def ask_new_voter(node: Node) -> None:
    """Ask the voter that is to be added which levels of kraft.version it knows, as soon as that can be.

    A request may still be under way to the replica that had its id before, and was removed because it is
    dead: Kafka refuses the new one then, here the change waits.
    """
    change = node.pending_change
    if change is None or change.new_voter is None or change.asked:
        return
    change.asked = node.send(
        change.new_voter.voter_id,
        ApiVersionsRequest(client_software_name="pybroker", client_software_version="1"),
        _on_listener(node, change.new_voter.endpoints),
    )


def new_voter_failed(node: Node, node_id: int) -> None:
    """A request to this node has failed: if it was what `ask_new_voter` asks, the voter cannot be added."""
    change = node.pending_change
    if change is None or change.new_voter is None or not change.asked or change.offset >= 0:
        return
    if change.new_voter.voter_id == node_id:
        node.pending_change = None
        change.refuse(node, ErrorCode.REQUEST_TIMED_OUT, _failed("BROKER_NOT_AVAILABLE"))


def _failed(error: str) -> str:
    return f"Aborted add voter operation for since API_VERSIONS returned an error {error}"


def api_versions_answer(node: Node, source_id: int, response: ApiVersionsResponse) -> bool:
    """The new voter has told which levels of kraft.version it knows: now it may vote."""
    change, leader = node.pending_change, node.leader
    if change is None or leader is None or change.offset >= 0:
        return True
    voter = change.new_voter
    if voter is None or voter.voter_id != source_id:
        return True
    level = node.history.kraft_version
    ranges = [item for item in response.supported_features if item.name == KRAFT_VERSION]
    error, message = ErrorCode.NONE, None
    if response.error_code:
        error = ErrorCode.REQUEST_TIMED_OUT
        message = _failed(str(response.error_code))
    elif not ranges or not ranges[0].min_version <= level <= ranges[0].max_version:
        error = ErrorCode.INVALID_REQUEST
        message = (
            f"Aborted add voter operation for {voter.key} since the {KRAFT_VERSION} range "
            f"{_range(ranges)} doesn't support the finalized version {level}"
        )
    elif not leader.is_caught_up(voter.key, node.now()):
        error = ErrorCode.REQUEST_TIMED_OUT
        message = f"Aborted add voter operation for {voter.key} since it is lagging behind"
    if error:
        node.pending_change = None
        change.refuse(node, error, message)
        return error != ErrorCode.REQUEST_TIMED_OUT
    voter = voter._replace(kraft_versions=(ranges[0].min_version, ranges[0].max_version))
    _begin(node, change, node.voters.with_voter(voter))
    return True


def _range(ranges: list[SupportedFeatureKey]) -> str:
    low, high = (ranges[0].min_version, ranges[0].max_version) if ranges else (0, 0)
    return f"(min: {low}, max: {high})"


def _begin(node: Node, change: PendingChange, voters: VoterSet) -> None:
    """Append the new set; the change is answered when that is committed."""
    node.pending_change = change
    try:
        change.offset = _append(node, voters)
    except StorageError as failure:
        node.pending_change = None
        change.refuse(node, ErrorCode.KAFKA_STORAGE_ERROR, str(failure))
        return
    if not change.when_committed:
        change.committed(node)
        change.token = None


# ------------------------------------------------------------------------------------------------- removing


def remove_voter(node: Node, token: object, request: RemoveRaftVoterRequest) -> None:
    """Answered when the new set is committed; a leader that removes itself resigns then."""

    def refuse(error: int, message: str | None) -> None:
        node.reply(token, RemoveRaftVoterResponse(error_code=error, error_message=message))

    obstacle = _not_here(node, request.cluster_id)
    if obstacle is not None:
        refuse(*obstacle)
        return
    key = ReplicaKey(request.voter_id, request.voter_directory_id)
    if key.node_id < 0 or key.directory_id == ZERO_UUID:
        refuse(ErrorCode.INVALID_REQUEST, "Remove voter request didn't include a valid voter")
        return
    obstacle = _not_now(node, "removing")
    if obstacle is not None:
        refuse(*obstacle)
        return
    remaining = node.voters.without(key)
    # Nobody could decide anything any more without a voter.
    if len(remaining) == len(node.voters) or not remaining:
        refuse(
            ErrorCode.VOTER_NOT_FOUND,
            f"Cannot remove voter {key} from the set of voters {node.voters}",
        )
        return
    _begin(node, PendingChange(token, node.now() + node.settings.request_timeout_ms, None), remaining)


# ------------------------------------------------------------------------------------------------- updating


def update_request(node: Node) -> UpdateRaftVoterRequest:
    """What a voter tells the leader when its listeners are others than the set says."""
    return UpdateRaftVoterRequest(
        cluster_id=node.cluster_id,
        current_leader_epoch=node.epoch,
        voter_id=node.node_id,
        voter_directory_id=node.key.directory_id,
        listeners=[Listener(name=name, host=host, port=port) for name, host, port in node.endpoints],
        k_raft_version_feature=KRaftVersionFeature(
            min_supported_version=0, max_supported_version=KRAFT_VERSION_MAX
        ),
    )


def update_voter(node: Node, token: object, request: UpdateRaftVoterRequest) -> None:
    """Answered at once: the voter asks again when the change is lost."""
    node.reply(token, _update_answer(node, _update(node, request)))


def _update(node: Node, request: UpdateRaftVoterRequest) -> int:
    if foreign_cluster(node, request.cluster_id):
        return ErrorCode.INCONSISTENT_CLUSTER_ID
    error = leader_only(node, request.current_leader_epoch)
    if error:
        return error
    endpoints = tuple((item.name, item.host, item.port) for item in request.listeners)
    versions = request.k_raft_version_feature
    low, high = versions.min_supported_version, versions.max_supported_version
    if (
        request.voter_id < 0
        or request.voter_directory_id == ZERO_UUID
        or _on_listener(node, endpoints) is None
        or not 0 <= low <= high
    ):
        return ErrorCode.INVALID_REQUEST
    obstacle = _not_now(node, "updating")
    if obstacle is not None:
        return obstacle[0]
    if not low <= node.history.kraft_version <= high:
        return ErrorCode.INVALID_REQUEST
    voter = Voter(request.voter_id, request.voter_directory_id, endpoints, (low, high))
    known = node.voters.get(voter.voter_id)
    if known is None or known.key != voter.key:
        return ErrorCode.VOTER_NOT_FOUND
    try:
        _append(node, node.voters.replaced(voter))
    except StorageError:
        return ErrorCode.KAFKA_STORAGE_ERROR
    return ErrorCode.NONE


def _update_answer(node: Node, error: int) -> UpdateRaftVoterResponse:
    host, port = _on_listener(node, node.leader_endpoints) or ("", 0)
    return UpdateRaftVoterResponse(
        error_code=error,
        current_leader=CurrentLeader(leader_id=node.leader_id, leader_epoch=node.epoch, host=host, port=port),
    )


def _foreign(node: Node, cluster_id: str | None) -> str:
    return f'The given id "{cluster_id}" doesn\'t match the cluster id "{node.cluster_id}"'

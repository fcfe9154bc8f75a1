"""Members of a consumer group that use the classic protocol: JoinGroup, SyncGroup, Heartbeat, LeaveGroup.

In: requests of the classic protocol to a consumer group. Out: `Result`s. What must hold: a classic member
sees an epoch as a generation; it is told to rejoin by REBALANCE_IN_PROGRESS whenever it has a step to take,
takes it with its JoinGroup, and learns its assignment by its SyncGroup; there is no leader among them. It
is fenced when it neither rejoins nor asks for its assignment within its rebalance timeout.

Source: KIP-848, "Supporting Online Consumer Group Upgrade"; Kafka 4.3.0.
"""

from __future__ import annotations

from typing import Final

from pybroker.common.config import BrokerConfig
from pybroker.common.errors import ApiError, ErrorCode, ProtocolError
from pybroker.coordinator.result import Result
from pybroker.groups.classic.group import refused_join
from pybroker.groups.consumer import migration
from pybroker.groups.consumer.coordinator import Caller, ConsumerGroups, Records, refuse_if_fenced
from pybroker.groups.consumer.group import PROTOCOL_TYPE, ConsumerGroup
from pybroker.groups.consumer.member import (
    UNRELEASED_PARTITIONS,
    UNREVOKED_PARTITIONS,
    ClassicDetails,
    ConsumerMember,
)
from pybroker.wire.messages.heartbeat import HeartbeatRequest, HeartbeatResponse
from pybroker.wire.messages.join_group import JoinGroupRequest, JoinGroupResponse
from pybroker.wire.messages.leave_group import LeaveGroupRequest, MemberResponse
from pybroker.wire.messages.sync_group import SyncGroupRequest, SyncGroupResponse

_MEMBER_ID_REQUIRED_FROM: Final = 4


class Joined:
    """What became of a JoinGroup, up to the records. `downgrade`: the member is the last that kept the group
    from being a classic one, and `rebalance` says whether that one has to rebalance."""

    __slots__ = ("downgrade", "member", "rebalance", "written")

    def __init__(self, member: ConsumerMember, written: Records, downgrade: bool, rebalance: bool) -> None:
        self.member = member
        self.written = written
        self.downgrade = downgrade
        self.rebalance = rebalance

    @property
    def response(self) -> JoinGroupResponse:
        assert self.member.classic is not None
        return JoinGroupResponse(
            member_id=self.member.member_id,
            generation_id=self.member.member_epoch,
            protocol_type=PROTOCOL_TYPE,
            protocol_name=self.member.classic.protocols[0][0],
        )


def join(
    consumers: ConsumerGroups,
    group: ConsumerGroup,
    request: JoinGroupRequest,
    caller: Caller,
    config: BrokerConfig,
    now_ms: int,
) -> Joined | JoinGroupResponse:
    """A classic member joins or takes its next step; a response when it is only given a member id."""
    instance_id, is_new = request.group_instance_id, not request.member_id
    member_id = request.member_id or consumers.new_member_id()
    # Copied: the request's bytes are a view of its frame.
    protocols = tuple((protocol.name, bytes(protocol.metadata)) for protocol in request.protocols)
    consumers.refuse_if_full(group, member_id)
    if not group.supports_classic(request.protocol_type, dict(protocols)):
        raise ApiError(
            ErrorCode.INCONSISTENT_GROUP_PROTOCOL, f"Member {member_id}'s protocols are not supported."
        )
    if is_new and instance_id is None and caller.version >= _MEMBER_ID_REQUIRED_FROM:
        return refused_join(member_id, ErrorCode.MEMBER_ID_REQUIRED)
    written: Records = []
    if instance_id is None:
        member = group.members.get(member_id) or ConsumerMember(member_id)
    else:
        member = consumers.static_member(group, member_id, instance_id, written, joins=is_new, classic=True)
    former = group.static_member(instance_id)
    downgrade = former is not None and migration.may_downgrade_with(group, former, config)
    try:
        subscription = migration.read_subscription(protocols[0][1])
    except ProtocolError:
        raise ApiError(
            ErrorCode.UNKNOWN_SERVER_ERROR,
            "Malformed embedded consumer protocol in subscription deserialization.",
        ) from None
    topics = consumers.image().topics
    owned = [
        (topics[entry.topic].topic_id, entry.partitions)
        for entry in subscription.owned_partitions
        if entry.topic in topics
    ]
    updated = member._replace(
        instance_id=member.instance_id if instance_id is None else instance_id,
        rack_id=subscription.rack_id or member.rack_id,
        rebalance_timeout_ms=member.rebalance_timeout_ms
        if request.rebalance_timeout == -1
        else request.rebalance_timeout,
        topics=frozenset(subscription.topics),
        regex="",
        client_id=caller.client_id,
        client_host=caller.client_host,
        classic=ClassicDetails(request.session_timeout, protocols),
    )
    changed = consumers.update_subscription(group, member, updated, written, now_ms)
    bump = changed.names or changed.regex
    epoch = consumers.update_epoch(group, member, updated, written, now_ms, bump=bump)
    rebalance = False
    if not downgrade:
        target_epoch, target = consumers.update_target(group, epoch, member, updated, written, now_ms)
        updated = consumers.reconcile(group, updated, target_epoch, target, bump, owned, written)
    elif group.target_epoch < epoch:
        rebalance = True
    else:
        updated = consumers.reconcile(
            group, updated, group.target_epoch, group.target_of(updated), bump, owned, written
        )
    return Joined(updated, written, downgrade, rebalance)


def sync(
    consumers: ConsumerGroups, group: ConsumerGroup, request: SyncGroupRequest
) -> Result[SyncGroupResponse]:
    """A classic member asks for its assignment."""
    group_id = group.group_id
    member, classic = _classic_member(group, request.member_id, request.group_instance_id)
    _refuse_generation(member, request.generation_id)
    name = classic.protocols[0][0]
    if request.protocol_type not in (None, PROTOCOL_TYPE) or request.protocol_name not in (None, name):
        raise ApiError(ErrorCode.INCONSISTENT_GROUP_PROTOCOL)
    if group.target_epoch > member.member_epoch and member.state != UNREVOKED_PARTITIONS:
        consumers.expect_join(group_id, member)
        raise ApiError(
            ErrorCode.REBALANCE_IN_PROGRESS,
            f"A new rebalance is triggered in group {group_id} and member {member.member_id} should rejoin "
            "to catch up.",
        )
    consumers.synced(group_id, member.member_id)
    consumers.expect_heartbeat(group_id, member.member_id, classic.session_timeout_ms)
    assignment = migration.write_assignment(member.assigned, classic.protocols[0][1], consumers.image())
    return Result(
        SyncGroupResponse(
            protocol_type=request.protocol_type, protocol_name=request.protocol_name, assignment=assignment
        )
    )


def heartbeat(
    consumers: ConsumerGroups, group: ConsumerGroup, request: HeartbeatRequest
) -> HeartbeatResponse:
    """A classic member is alive, and learns whether it has a step to take."""
    group_id = group.group_id
    member, classic = _classic_member(group, request.member_id, request.group_instance_id)
    _refuse_generation(member, request.generation_id)
    consumers.expect_heartbeat(group_id, member.member_id, classic.session_timeout_ms)
    if (
        member.member_epoch < group.target_epoch
        or member.state == UNREVOKED_PARTITIONS
        or (member.state == UNRELEASED_PARTITIONS and not group.waits_for_others(member))
    ):
        consumers.expect_join(group_id, member)
        return HeartbeatResponse(error_code=ErrorCode.REBALANCE_IN_PROGRESS)
    return HeartbeatResponse()


def leaving(
    group: ConsumerGroup, request: LeaveGroupRequest
) -> tuple[list[ConsumerMember], list[MemberResponse]]:
    """The members that a LeaveGroup removes, of any protocol, and the answer for each that it names."""
    found: dict[str, ConsumerMember] = {}
    answers: list[MemberResponse] = []
    for identity in request.members:
        member_id, instance_id = identity.member_id, identity.group_instance_id
        answer = MemberResponse(member_id=member_id, group_instance_id=instance_id)
        try:
            if instance_id is None:
                member = group.member(member_id)
            else:
                known = group.static_member(instance_id)
                if known is None:
                    raise ApiError(ErrorCode.UNKNOWN_MEMBER_ID)
                if member_id:
                    refuse_if_fenced(known, member_id, instance_id)
                member = known
            found[member.member_id] = member
        except ApiError as error:
            answer.error_code = error.code
        answers.append(answer)
    return list(found.values()), answers


def _classic_member(
    group: ConsumerGroup, member_id: str, instance_id: str | None
) -> tuple[ConsumerMember, ClassicDetails]:
    if instance_id is None:
        member = group.member(member_id)
    else:
        known = group.static_member(instance_id)
        if known is None:
            raise ApiError(
                ErrorCode.UNKNOWN_MEMBER_ID,
                f"Member with instance id {instance_id} is not a member of group {group.group_id}.",
            )
        refuse_if_fenced(known, member_id, instance_id)
        member = known
    if member.classic is None:
        raise ApiError(ErrorCode.UNKNOWN_MEMBER_ID, f"Member {member_id} does not use the classic protocol.")
    return member, member.classic


def _refuse_generation(member: ConsumerMember, generation: int) -> None:
    if generation != member.member_epoch:
        raise ApiError(
            ErrorCode.ILLEGAL_GENERATION,
            f"The request generation id {generation} is not equal to the member epoch {member.member_epoch} "
            f"of member {member.member_id}.",
        )

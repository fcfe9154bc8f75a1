"""What a shard asks of its consumer groups: requests of both protocols, and changes of the kind of group.

In: requests, timers that fire, records to replay. Out: `Result`s. What must hold: a group id has one group at
any time; a group changes its kind with the records of one batch, or not at all.
"""

from __future__ import annotations

import random
from collections.abc import Callable
from typing import TYPE_CHECKING, Any, TypeVar

from pybroker.common.config import BrokerConfig
from pybroker.common.deferred import Deferred
from pybroker.common.errors import ApiError, ErrorCode
from pybroker.coordinator.result import CoordinatorRecord, Result
from pybroker.groups.classic.coordinator import ClassicGroups
from pybroker.groups.classic.group import ClassicGroup, refused_join
from pybroker.groups.consumer import classic_members, migration, replay
from pybroker.groups.consumer.coordinator import Caller, ConsumerGroups
from pybroker.groups.consumer.describe import described_group
from pybroker.groups.consumer.group import ConsumerGroup
from pybroker.groups.consumer.member import ConsumerMember
from pybroker.groups.group import Group
from pybroker.wire.messages.consumer_group_describe import DescribedGroup
from pybroker.wire.messages.consumer_group_heartbeat import (
    ConsumerGroupHeartbeatRequest,
    ConsumerGroupHeartbeatResponse,
)
from pybroker.wire.messages.heartbeat import HeartbeatRequest, HeartbeatResponse
from pybroker.wire.messages.join_group import JoinGroupRequest, JoinGroupResponse
from pybroker.wire.messages.leave_group import LeaveGroupRequest, LeaveGroupResponse
from pybroker.wire.messages.sync_group import SyncGroupRequest, SyncGroupResponse

if TYPE_CHECKING:
    from pybroker.coordinator.shard import Timers
    from pybroker.metadata.delta import MetadataDelta
    from pybroker.metadata.image import MetadataImage

T = TypeVar("T")


class ConsumerProtocol:
    """The consumer groups of one shard, beside its classic ones."""

    def __init__(
        self,
        config: Callable[[], BrokerConfig],
        image: Callable[[], MetadataImage],
        timers: Timers,
        rng: random.Random,
        groups: dict[str, Group],
        classic: ClassicGroups,
    ) -> None:
        """`groups`: the shard's table of all its groups; `config`: the settings as they are now."""
        self._config = config
        self._image = image
        self._groups = groups
        self._classic = classic
        self._members = ConsumerGroups(config, image, timers, rng, groups.get)

    # ---- the consumer protocol -----------------------------------------------------------------------

    def heartbeat(
        self, request: ConsumerGroupHeartbeatRequest, caller: Caller, now_ms: int
    ) -> Result[ConsumerGroupHeartbeatResponse]:
        """ConsumerGroupHeartbeat, validated before."""
        if request.member_epoch < 0:
            return self._leave(request, now_ms)
        known = self._groups.get(request.group_id)
        group, written = self._group_for(request.group_id, known, joins=request.member_epoch == 0)
        result = self._members.heartbeat(group, request, caller, now_ms)
        result.records[:0] = written
        if isinstance(known, ClassicGroup):
            # Nothing can fail any more but the append: who waits has to come again, to the new kind of group.
            known.answer_all(ErrorCode.REBALANCE_IN_PROGRESS)
            for member in group.members.values():
                if member.classic is not None:
                    timeout_ms = member.classic.session_timeout_ms
                    self._members.expect_heartbeat(group.group_id, member.member_id, timeout_ms)
        return result

    def _group_for(
        self, group_id: str, known: Group | None, *, joins: bool
    ) -> tuple[ConsumerGroup, list[CoordinatorRecord]]:
        """The group of a heartbeat, or what it will be once the returned records are replayed."""
        if isinstance(known, ConsumerGroup):
            return known, []
        if known is None and joins:
            return ConsumerGroup(group_id), []
        if joins and isinstance(known, ClassicGroup):
            if known.is_empty:
                return ConsumerGroup(group_id), known.tombstones()
            migration.refuse_upgrade(known, self._config())
            return migration.upgraded(known, self._image(), self._members.hash_of)
        if known is None:
            raise ApiError(ErrorCode.GROUP_ID_NOT_FOUND, f"Consumer group {group_id} not found.")
        raise _not_a_consumer_group(group_id)

    def _leave(
        self, request: ConsumerGroupHeartbeatRequest, now_ms: int
    ) -> Result[ConsumerGroupHeartbeatResponse]:
        group = self._consumer_group(request.group_id)
        member, away = self._members.leave(group, request)
        if away is not None:
            return away
        response = ConsumerGroupHeartbeatResponse(
            member_id=request.member_id, member_epoch=request.member_epoch
        )
        return self._fence(group, [member], response, now_ms)

    def _consumer_group(self, group_id: str) -> ConsumerGroup:
        group = self._groups.get(group_id)
        if group is None:
            raise ApiError(ErrorCode.GROUP_ID_NOT_FOUND, f"Group {group_id} not found.")
        if not isinstance(group, ConsumerGroup):
            raise _not_a_consumer_group(group_id)
        return group

    def describe(self, group_id: str) -> DescribedGroup:
        """ConsumerGroupDescribe of one group."""
        try:
            group = self._consumer_group(group_id)
        except ApiError as error:
            return DescribedGroup(group_id=group_id, error_code=error.code, error_message=error.message)
        return described_group(group, self._config()["group.consumer.assignors"][0], self._image())

    # ---- members that go -----------------------------------------------------------------------------

    def expire(self, group_id: str, member_id: str, member_epoch: int | None, now_ms: int) -> Result[None]:
        """A timer of a member has fired; with an epoch it counts only if the member is still in it."""
        group = self._groups.get(group_id)
        if not isinstance(group, ConsumerGroup):
            return Result(None)
        member = group.members.get(member_id)
        if member is None or (member_epoch is not None and member.member_epoch != member_epoch):
            return Result(None)
        return self._fence(group, [member], None, now_ms)

    def _fence(
        self, group: ConsumerGroup, members: list[ConsumerMember], response: T, now_ms: int
    ) -> Result[T]:
        """Remove members; without them the group may become a classic one."""
        if not members:
            return Result(response)
        if not migration.may_downgrade(group, members, self._config()):
            return Result(response, self._members.fenced(group, members))
        made, written = migration.downgraded(group, members, None, self._image(), now_ms)
        return self._downgrade(group, made, written, response, now_ms, rebalance=True)

    def _downgrade(
        self,
        group: ConsumerGroup,
        made: ClassicGroup,
        written: list[CoordinatorRecord],
        response: T | Deferred[T],
        now_ms: int,
        *,
        rebalance: bool,
        on_append: Callable[[ApiError | None], None] | None = None,
    ) -> Result[T]:
        """Put a classic group in the place of a consumer group; back again when its records are refused."""
        group_id = group.group_id

        def appended(error: ApiError | None) -> None:
            if error is not None and self._groups.get(group_id) is made:
                self._classic.drop(made, now_ms, error.code)
                self._groups[group_id] = group
                self._members.activate(group)
            if on_append is not None:
                on_append(error)

        for member_id in group.members:
            self._members.cancel_timers(group_id, member_id)
        self._groups[group_id] = made
        self._classic.activate(made, now_ms)
        if rebalance:
            self._classic.rebalance(made, now_ms)
        return Result(response, written, replay=False, on_append=appended)

    # ---- members of the classic protocol -------------------------------------------------------------

    def join(
        self, group: ConsumerGroup, request: JoinGroupRequest, caller: Caller, now_ms: int
    ) -> Result[JoinGroupResponse]:
        """JoinGroup to a consumer group with members."""
        members, group_id = self._members, group.group_id
        joined = classic_members.join(members, group, request, caller, self._config(), now_ms)
        if isinstance(joined, JoinGroupResponse):
            return Result(joined)
        member, response = joined.member, joined.response
        reply: Deferred[JoinGroupResponse] = Deferred()

        def appended(error: ApiError | None) -> None:
            if error is not None:
                # The host answers with the error.
                return
            if not joined.downgrade and self._groups.get(group_id) is group:
                members.joined(group_id, member.member_id)
                members.expect_heartbeat(group_id, member.member_id, request.session_timeout)
                members.expect_sync(group_id, member.member_id, member.rebalance_timeout_ms)
            reply.resolve(response)

        if not joined.downgrade:
            return Result(reply, joined.written, on_append=appended)
        made, written = migration.downgraded(group, [], member, self._image(), now_ms)
        return self._downgrade(
            group,
            made,
            joined.written + written,
            reply,
            now_ms,
            rebalance=joined.rebalance,
            on_append=appended,
        )

    def sync(self, group: ConsumerGroup, request: SyncGroupRequest) -> Result[SyncGroupResponse]:
        """SyncGroup to a consumer group."""
        return classic_members.sync(self._members, group, request)

    def classic_heartbeat(self, group: ConsumerGroup, request: HeartbeatRequest) -> HeartbeatResponse:
        """Heartbeat to a consumer group."""
        return classic_members.heartbeat(self._members, group, request)

    def leave(
        self, group: ConsumerGroup, request: LeaveGroupRequest, now_ms: int
    ) -> Result[LeaveGroupResponse]:
        """LeaveGroup to a consumer group; administrators remove members of any protocol by it."""
        gone, answers = classic_members.leaving(group, request)
        return self._fence(group, gone, LeaveGroupResponse(members=answers), now_ms)

    def refused_join(self, group: ConsumerGroup, request: JoinGroupRequest) -> JoinGroupResponse | None:
        """An empty consumer group becomes a classic one by a JoinGroup; not by that of a former member."""
        if request.member_id:
            return refused_join(request.member_id, ErrorCode.UNKNOWN_MEMBER_ID)
        return None

    # ---- replay, leadership, metadata ----------------------------------------------------------------

    def replay(self, number: int, key: Any, value: Any) -> None:
        """Apply a record of one of `replay.RECORD_TYPES`."""
        replay.replay(self._groups, number, key, value)
        if value is None and number == replay.SUBSCRIPTION:
            self._members.cancel_timers(key.group_id, key.member_id)

    def become_active(self) -> None:
        """Loaded: sessions begin."""
        self._members.loaded()
        for group in self._groups.values():
            if isinstance(group, ConsumerGroup):
                self._members.activate(group)

    def on_metadata(self, image: MetadataImage, delta: MetadataDelta, now_ms: int) -> None:
        """Topics changed."""
        self._members.on_metadata(self._groups.values(), image, delta, now_ms)


def _not_a_consumer_group(group_id: str) -> ApiError:
    return ApiError(ErrorCode.GROUP_ID_NOT_FOUND, f"Group {group_id} is not a consumer group.")

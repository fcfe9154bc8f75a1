"""JoinGroup, SyncGroup, Heartbeat and LeaveGroup of classic groups, and the timers between them.

In: requests, timers that fire. Out: `Result`s whose response may be parked in a member. What must hold: a
parked reply is answered exactly once, whatever becomes of its member; a group's metadata is written when it
comes into being, when a generation has its assignment and when it becomes empty, and nothing else of it is
hard state; a member is removed only on its leave, its silence, or an administrator's word.

The classic group changes in the operation, not in `replay`: its records carry what members were already told
to do, so their `Result`s have `replay` False and take the change back when the append fails.

Sources: Kafka 4.3's classic group; KIP-62, KIP-345, KIP-394, KIP-800, KIP-814.
"""

from __future__ import annotations

import random
from collections.abc import Callable
from typing import TYPE_CHECKING, Final, NamedTuple, TypeVar

from pybroker.common.config import BrokerConfig
from pybroker.common.deferred import Deferred
from pybroker.common.errors import ApiError, ErrorCode
from pybroker.coordinator.result import CoordinatorRecord, Result
from pybroker.groups.classic.group import ClassicGroup, ClassicMember, Protocols, refused_join
from pybroker.groups.group import COMPLETING_REBALANCE, DEAD, EMPTY, PREPARING_REBALANCE, STABLE
from pybroker.wire.messages.heartbeat import HeartbeatRequest, HeartbeatResponse
from pybroker.wire.messages.join_group import JoinGroupRequest, JoinGroupResponse
from pybroker.wire.messages.leave_group import LeaveGroupRequest, LeaveGroupResponse, MemberResponse
from pybroker.wire.messages.sync_group import SyncGroupRequest, SyncGroupResponse

if TYPE_CHECKING:
    from pybroker.coordinator.shard import Timers

# A JoinGroup of a new member is given up after this time, because its client may be gone.
_NEW_MEMBER_TIMEOUT_MS: Final = 300_000
_MEMBER_ID_REQUIRED_FROM: Final = 4
_SKIP_ASSIGNMENT_FROM: Final = 9


class JoinContext(NamedTuple):
    """Who joins, and how it asked."""

    version: int
    client_id: str
    client_host: str


Records = list[CoordinatorRecord]
T = TypeVar("T")


class ClassicGroups:
    """The classic groups of one shard."""

    __slots__ = ("_forget", "_initial_delay_ms", "_max_size", "_rng", "_timers")

    def __init__(
        self, config: BrokerConfig, timers: Timers, rng: random.Random, forget: Callable[[str], None]
    ) -> None:
        """`forget` removes a group that did not come into being."""
        self._forget = forget
        self._timers = timers
        self._rng = rng
        self._max_size: int = config["group.max.size"]
        self._initial_delay_ms: int = config["group.initial.rebalance.delay.ms"]

    # ---- JoinGroup -----------------------------------------------------------------------------------

    def join(
        self,
        group: ClassicGroup,
        request: JoinGroupRequest,
        context: JoinContext,
        now_ms: int,
        *,
        created: bool,
    ) -> Result[JoinGroupResponse]:
        """A member joins. `created`: the group did not exist before this request."""
        reply: Deferred[JoinGroupResponse] = Deferred()
        result: Result[JoinGroupResponse]
        member_id = request.member_id
        if not self._accepts(group, member_id):
            group.remove(member_id)
            reply.resolve(refused_join("", ErrorCode.GROUP_MAX_SIZE_REACHED))
            # It may have been the last one that the others waited for.
            result = _result(reply, self._maybe_complete_join(group, now_ms))
        elif not member_id:
            result = self._join_new(group, request, context, now_ms, reply)
        else:
            result = self._join_known(group, request, context, now_ms, reply)
        if not created or result.records:
            return result

        def appended(error: ApiError | None) -> None:
            if error is not None:
                self._withdraw(group, reply, error)

        return Result(reply, [group.first_record()], replay=False, on_append=appended)

    def _withdraw(self, group: ClassicGroup, reply: Deferred[JoinGroupResponse], error: ApiError) -> None:
        """The first record of a group could not be written: its member is refused and comes again."""
        for member in list(group.members.values()):
            if member.join is reply:
                self._timers.cancel(_heartbeat_key(group.group_id, member.member_id))
                group.answer_join(member, refused_join("", error.code))
                group.remove(member.member_id)
        if not group.members:
            self._forget(group.group_id)

    def _accepts(self, group: ClassicGroup, member_id: str) -> bool:
        """Whether the group is small enough for this member."""
        member = group.members.get(member_id)
        if group.state in (EMPTY, DEAD):
            return True
        if group.state == PREPARING_REBALANCE:
            # Those that wait count, not the members: so the last to rejoin is the one that is turned away
            # when the limit has become smaller.
            return (member is not None and member.join is not None) or (
                group.awaiting_join_count < self._max_size
            )
        return member is not None or len(group.members) < self._max_size

    def _join_new(
        self,
        group: ClassicGroup,
        request: JoinGroupRequest,
        context: JoinContext,
        now_ms: int,
        reply: Deferred[JoinGroupResponse],
    ) -> Result[JoinGroupResponse]:
        """A member without a member id."""
        protocols = _protocols(request)
        if not group.supports(request.protocol_type, protocols):
            reply.resolve(refused_join("", ErrorCode.INCONSISTENT_GROUP_PROTOCOL))
            return Result(reply)
        instance_id = request.group_instance_id
        member_id = f"{context.client_id if instance_id is None else instance_id}-{_uuid(self._rng)}"
        if instance_id is not None:
            known = group.static_members.get(instance_id)
            if known is not None:
                return self._rejoin_static(
                    group, request, context, known, member_id, instance_id, now_ms, reply
                )
        elif context.version >= _MEMBER_ID_REQUIRED_FROM:
            group.pending_joins[member_id] = None
            self._timers.schedule(
                _heartbeat_key(group.group_id, member_id),
                request.session_timeout,
                lambda shard, now: self.expire_member(group, member_id, now),
            )
            reply.resolve(refused_join(member_id, ErrorCode.MEMBER_ID_REQUIRED))
            return Result(reply)
        return self._add(group, request, context, member_id, now_ms, reply)

    def _join_known(
        self,
        group: ClassicGroup,
        request: JoinGroupRequest,
        context: JoinContext,
        now_ms: int,
        reply: Deferred[JoinGroupResponse],
    ) -> Result[JoinGroupResponse]:
        """A member that brings its member id."""
        member_id = request.member_id
        protocols = _protocols(request)
        if not group.supports(request.protocol_type, protocols):
            reply.resolve(refused_join(member_id, ErrorCode.INCONSISTENT_GROUP_PROTOCOL))
            return Result(reply)
        if member_id in group.pending_joins and request.group_instance_id is None:
            return self._add(group, request, context, member_id, now_ms, reply)
        try:
            group.validate_member(member_id, request.group_instance_id)
        except ApiError as error:
            reply.resolve(refused_join(member_id, error.code))
            return Result(reply)
        member = group.members[member_id]
        changed = member.protocols != protocols
        if (
            group.state == PREPARING_REBALANCE
            or (group.state == COMPLETING_REBALANCE and changed)
            # The leader asks for a rebalance when something changed that its own metadata does not show.
            or (group.state == STABLE and (changed or group.leader == member_id))
        ):
            self._update(group, member, request, protocols, reply)
            return _result(reply, self._rebalance_or_complete(group, now_ms))
        if group.state in (COMPLETING_REBALANCE, STABLE):
            # It may not have got the reply to its first request.
            reply.resolve(self._joined(group, member, with_members=group.state == COMPLETING_REBALANCE))
        else:
            reply.resolve(refused_join(member_id, ErrorCode.UNKNOWN_MEMBER_ID))
        return Result(reply)

    @staticmethod
    def _joined(
        group: ClassicGroup, member: ClassicMember, *, with_members: bool = True
    ) -> JoinGroupResponse:
        """The answer of the current generation; the leader gets the members."""
        is_leader = group.leader == member.member_id
        return JoinGroupResponse(
            generation_id=group.generation,
            protocol_type=group.protocol_type,
            protocol_name=group.protocol_name,
            leader=group.leader or "",
            member_id=member.member_id,
            members=group.described_members() if is_leader and with_members else [],
        )

    def _add(
        self,
        group: ClassicGroup,
        request: JoinGroupRequest,
        context: JoinContext,
        member_id: str,
        now_ms: int,
        reply: Deferred[JoinGroupResponse],
    ) -> Result[JoinGroupResponse]:
        member = ClassicMember(
            member_id,
            request.group_instance_id,
            context.client_id,
            context.client_host,
            request.rebalance_timeout,
            request.session_timeout,
            _protocols(request),
        )
        member.is_new = True
        member.join = reply
        if group.state == PREPARING_REBALANCE and group.previous_state == EMPTY:
            group.new_member_added = True
        group.add(member, request.protocol_type)
        self._expect_heartbeat(group, member, _NEW_MEMBER_TIMEOUT_MS)
        return _result(reply, self._rebalance_or_complete(group, now_ms))

    @staticmethod
    def _update(
        group: ClassicGroup,
        member: ClassicMember,
        request: JoinGroupRequest,
        protocols: Protocols,
        reply: Deferred[JoinGroupResponse],
    ) -> None:
        group.update(member, protocols, request.rebalance_timeout, request.session_timeout)
        group.park_join(member, reply)

    def _rejoin_static(
        self,
        group: ClassicGroup,
        request: JoinGroupRequest,
        context: JoinContext,
        old_id: str,
        new_id: str,
        instance_id: str,
        now_ms: int,
        reply: Deferred[JoinGroupResponse],
    ) -> Result[JoinGroupResponse]:
        """A static member comes back under a new member id: without a rebalance if nothing changes by it."""
        leader_before = group.leader
        old = group.members[old_id]
        # Who still uses the old member id is fenced.
        group.answer_join(old, refused_join(old_id, ErrorCode.FENCED_INSTANCE_ID))
        group.answer_sync(old, SyncGroupResponse(error_code=ErrorCode.FENCED_INSTANCE_ID))
        self._timers.cancel(_heartbeat_key(group.group_id, old_id))
        member = group.replace_static(instance_id, old_id, new_id)
        self._expect_heartbeat(group, member)
        before = (member.protocols, member.rebalance_timeout_ms, member.session_timeout_ms)
        self._update(group, member, request, _protocols(request), reply)
        if group.state == COMPLETING_REBALANCE:
            # The leader may be assigning to the old member id.
            return _result(reply, self._prepare(group, now_ms))
        if group.state == PREPARING_REBALANCE:
            return _result(reply, self._maybe_complete_join(group, now_ms))
        if group.select_protocol() != group.protocol_name:
            return _result(reply, self._rebalance_or_complete(group, now_ms))

        def appended(error: ApiError | None) -> None:
            if group.members.get(new_id) is not member or group.state != STABLE:
                # Gone, or part of a rebalance that answers it.
                return
            if error is None:
                skips = context.version >= _SKIP_ASSIGNMENT_FROM
                response = self._joined(group, member, with_members=skips)
                if skips:
                    response.skip_assignment = group.leader == new_id
                else:
                    # Told the old leader, the member takes itself for a follower and asks for its assignment.
                    response.leader = leader_before or ""
                group.answer_join(member, response)
                return
            group.answer_join(member, refused_join("", error.code))
            group.update(member, *before)
            self._timers.cancel(_heartbeat_key(group.group_id, new_id))
            self._expect_heartbeat(group, group.replace_static(instance_id, new_id, old_id))

        assignments = {known.member_id: known.assignment for known in group.members.values()}
        return Result(reply, [group.record(assignments)], replay=False, on_append=appended)

    # ---- the join phase ------------------------------------------------------------------------------

    def _rebalance_or_complete(self, group: ClassicGroup, now_ms: int) -> Records:
        if group.can_rebalance:
            return self._prepare(group, now_ms)
        return self._maybe_complete_join(group, now_ms)

    def _prepare(self, group: ClassicGroup, now_ms: int) -> Records:
        """Start a rebalance. Returns the record of a group that is empty now."""
        if group.state == COMPLETING_REBALANCE:
            self._reset_assignment(group, ErrorCode.REBALANCE_IN_PROGRESS)
        self._timers.cancel(_sync_key(group.group_id))
        initial = group.state == EMPTY
        group.enter(PREPARING_REBALANCE, now_ms)
        if not initial:
            return self._complete_or_wait(group, now_ms)
        # New: more members may be about to come.
        group.new_member_added = False
        delay_ms = self._initial_delay_ms
        self._delay_first_join(group, delay_ms, max(group.rebalance_timeout_ms - delay_ms, 0))
        return []

    def _delay_first_join(self, group: ClassicGroup, delay_ms: int, remaining_ms: int) -> None:
        def elapsed(shard: object, now_ms: int) -> Result[None]:
            if group.state != PREPARING_REBALANCE:
                return Result(None)
            if group.new_member_added and remaining_ms:
                group.new_member_added = False
                self._delay_first_join(
                    group, min(self._initial_delay_ms, remaining_ms), max(remaining_ms - delay_ms, 0)
                )
                return Result(None)
            return _result(None, self._complete_join(group, now_ms))

        self._timers.schedule(_join_key(group.group_id), delay_ms, elapsed)

    def _complete_or_wait(self, group: ClassicGroup, now_ms: int) -> Records:
        if group.has_all_joined:
            return self._complete_join(group, now_ms)
        self._await_join(group)
        return []

    def _await_join(self, group: ClassicGroup) -> None:
        def elapsed(shard: object, now_ms: int) -> Result[None]:
            return _result(None, self._complete_join(group, now_ms))

        self._timers.schedule(_join_key(group.group_id), group.rebalance_timeout_ms, elapsed)

    def _maybe_complete_join(self, group: ClassicGroup, now_ms: int) -> Records:
        """Complete the join phase if nobody is missing; the first one of a group ends by its delay only."""
        if group.state == PREPARING_REBALANCE and group.has_all_joined and group.previous_state != EMPTY:
            return self._complete_join(group, now_ms)
        return []

    def _complete_join(self, group: ClassicGroup, now_ms: int) -> Records:
        """End the join phase: who is not back is out, the others learn the new generation."""
        self._timers.cancel(_join_key(group.group_id))
        if group.state != PREPARING_REBALANCE:
            return []
        for missing in group.not_rejoined():
            if missing.instance_id is None:
                group.remove(missing.member_id)
                self._timers.cancel(_heartbeat_key(group.group_id, missing.member_id))
        if group.members and not group.elect_rejoined_leader():
            # Only static members, and none of them is back: wait until their sessions end.
            self._await_join(group)
            return []
        group.next_generation(now_ms)
        if group.state == EMPTY:
            return [group.record({})]
        for member in group.members.values():
            # Pending until its SyncGroup comes, also a static member that did not rejoin.
            group.pending_syncs[member.member_id] = None
            member.is_new = False
            self._expect_heartbeat(group, member)
        for member in list(group.members.values()):
            if member.join is not None:
                group.answer_join(member, self._joined(group, member))
        generation = group.generation
        self._timers.schedule(
            _sync_key(group.group_id),
            group.rebalance_timeout_ms,
            lambda shard, now: self._expire_sync(group, generation, now),
        )
        return []

    def _expire_sync(self, group: ClassicGroup, generation: int, now_ms: int) -> Result[None]:
        """The rebalance timeout is over: members without a SyncGroup are out."""
        if (
            group.generation != generation
            or group.state not in (COMPLETING_REBALANCE, STABLE)
            or not group.pending_syncs
        ):
            return Result(None)
        for member_id in list(group.pending_syncs):
            self._remove(group, member_id, ErrorCode.UNKNOWN_MEMBER_ID)
        return _result(None, self._prepare(group, now_ms))

    # ---- SyncGroup -----------------------------------------------------------------------------------

    def sync(self, group: ClassicGroup, request: SyncGroupRequest, now_ms: int) -> Result[SyncGroupResponse]:
        """A member asks for its assignment; the leader brings those of all."""
        member_id = request.member_id
        group.validate_member(member_id, request.group_instance_id)
        if request.generation_id != group.generation:
            raise ApiError(ErrorCode.ILLEGAL_GENERATION)
        if (request.protocol_type is not None and request.protocol_type != group.protocol_type) or (
            request.protocol_name is not None and request.protocol_name != group.protocol_name
        ):
            raise ApiError(ErrorCode.INCONSISTENT_GROUP_PROTOCOL)
        member = group.members[member_id]
        if group.state == PREPARING_REBALANCE:
            raise ApiError(ErrorCode.REBALANCE_IN_PROGRESS)
        group.pending_syncs.pop(member_id, None)
        if not group.pending_syncs:
            self._timers.cancel(_sync_key(group.group_id))
        if group.state == STABLE:
            return Result(_synced(group, member))
        reply: Deferred[SyncGroupResponse] = Deferred()
        older, member.sync = member.sync, reply
        if older is not None:
            older.resolve(SyncGroupResponse(error_code=ErrorCode.REBALANCE_IN_PROGRESS))
        if group.leader != member_id:
            return Result(reply)
        given = {entry.member_id: bytes(entry.assignment) for entry in request.assignments}
        assignments = {known: given.get(known, b"") for known in group.members}
        generation = group.generation

        def appended(error: ApiError | None) -> None:
            if group.state != COMPLETING_REBALANCE or group.generation != generation:
                # Another rebalance began meanwhile, and told everybody.
                return
            if error is None:
                self._distribute(group, assignments, now_ms)
            else:
                self._reset_assignment(group, error.code)
                self._prepare(group, now_ms)

        return Result(reply, [group.record(assignments)], replay=False, on_append=appended)

    def _distribute(self, group: ClassicGroup, assignments: dict[str, bytes], now_ms: int) -> None:
        for member in group.members.values():
            member.assignment = assignments.get(member.member_id, b"")
        group.enter(STABLE, now_ms)
        for member in list(group.members.values()):
            if group.answer_sync(member, _synced(group, member)):
                # It counted as alive while it waited, so its time begins now.
                self._expect_heartbeat(group, member)

    def _reset_assignment(self, group: ClassicGroup, error: ErrorCode) -> None:
        """Whoever waits for an assignment is told that there will be none in this generation."""
        for member in list(group.members.values()):
            member.assignment = b""
            if group.answer_sync(member, SyncGroupResponse(error_code=error)):
                self._expect_heartbeat(group, member)

    # ---- Heartbeat and sessions ----------------------------------------------------------------------

    def heartbeat(self, group: ClassicGroup, request: HeartbeatRequest) -> HeartbeatResponse:
        """A member is alive."""
        group.validate_member(request.member_id, request.group_instance_id)
        if request.generation_id != group.generation:
            raise ApiError(ErrorCode.ILLEGAL_GENERATION)
        self._expect_heartbeat(group, group.members[request.member_id])
        if group.state == PREPARING_REBALANCE:
            return HeartbeatResponse(error_code=ErrorCode.REBALANCE_IN_PROGRESS)
        return HeartbeatResponse()

    def note_alive(self, group: ClassicGroup, member_id: str) -> None:
        """A commit counts as a heartbeat."""
        member = group.members.get(member_id)
        if member is not None and group.state in (STABLE, PREPARING_REBALANCE):
            self._expect_heartbeat(group, member)

    def _expect_heartbeat(
        self, group: ClassicGroup, member: ClassicMember, timeout_ms: int | None = None
    ) -> None:
        """The member's session ends unless it is heard of in time."""
        member_id = member.member_id
        self._timers.schedule(
            _heartbeat_key(group.group_id, member_id),
            member.session_timeout_ms if timeout_ms is None else timeout_ms,
            lambda shard, now: self.expire_member(group, member_id, now),
        )

    def expire_member(self, group: ClassicGroup, member_id: str, now_ms: int) -> Result[None]:
        """A session is over."""
        if member_id in group.pending_joins:
            group.remove(member_id)
            return _result(None, self._maybe_complete_join(group, now_ms))
        member = group.members.get(member_id)
        if member is None or member.heartbeat_satisfied:
            return Result(None)
        self._remove(group, member_id, ErrorCode.UNKNOWN_MEMBER_ID)
        return _result(None, self._after_removal(group, now_ms))

    def _remove(self, group: ClassicGroup, member_id: str, error: ErrorCode) -> None:
        """Take a member out; what it waits for is answered with an error."""
        self._timers.cancel(_heartbeat_key(group.group_id, member_id))
        member = group.members.get(member_id)
        if member is not None:
            group.answer_join(member, refused_join("", error))
            group.answer_sync(member, SyncGroupResponse(error_code=error))
        group.remove(member_id)

    def _after_removal(self, group: ClassicGroup, now_ms: int) -> Records:
        if group.state in (STABLE, COMPLETING_REBALANCE):
            return self._prepare(group, now_ms)
        return self._maybe_complete_join(group, now_ms)

    # ---- LeaveGroup ----------------------------------------------------------------------------------

    def leave(
        self, group: ClassicGroup, request: LeaveGroupRequest, now_ms: int
    ) -> Result[LeaveGroupResponse]:
        """Members leave, or an administrator removes them (by instance id without a member id)."""
        answers: list[MemberResponse] = []
        left = False
        for identity in request.members:
            error = ErrorCode.NONE
            try:
                self._leave_one(group, identity.member_id, identity.group_instance_id)
                left = True
            except ApiError as refusal:
                error = refusal.code
            answers.append(
                MemberResponse(
                    member_id=identity.member_id,
                    group_instance_id=identity.group_instance_id,
                    error_code=error,
                )
            )
        records = self._after_removal(group, now_ms) if left else []
        return _result(LeaveGroupResponse(members=answers), records)

    def _leave_one(self, group: ClassicGroup, member_id: str, instance_id: str | None) -> None:
        if not member_id:
            known = group.static_members.get(instance_id) if instance_id is not None else None
            if known is None:
                raise ApiError(ErrorCode.UNKNOWN_MEMBER_ID)
            member_id = known
        elif member_id not in group.pending_joins:
            group.validate_member(member_id, instance_id)
        self._remove(group, member_id, ErrorCode.UNKNOWN_MEMBER_ID)

    # ---- from and to a consumer group ----------------------------------------------------------------

    def rebalance(self, group: ClassicGroup, now_ms: int) -> None:
        """A group of stable members has to rebalance."""
        self._prepare(group, now_ms)

    # ---- leadership of the shard ---------------------------------------------------------------------

    def activate(self, group: ClassicGroup, now_ms: int) -> None:
        """The group was loaded: its members have a session from now on."""
        for member in group.members.values():
            self._expect_heartbeat(group, member)
        if len(group.members) > self._max_size:
            self._prepare(group, now_ms)

    def drop(self, group: ClassicGroup, now_ms: int, error: ErrorCode) -> None:
        """The group is removed, or no longer ours: everybody who waits is told."""
        self._timers.cancel(_join_key(group.group_id))
        self._timers.cancel(_sync_key(group.group_id))
        for member_id in [*group.members, *group.pending_joins]:
            self._timers.cancel(_heartbeat_key(group.group_id, member_id))
        for member in list(group.members.values()):
            group.answer_join(member, refused_join(member.member_id, error))
            group.answer_sync(member, SyncGroupResponse(error_code=error))
        if group.state != DEAD:
            group.enter(DEAD, now_ms)


def _result(response: T | Deferred[T], records: Records) -> Result[T]:
    return Result(response, records, replay=False)


def _synced(group: ClassicGroup, member: ClassicMember) -> SyncGroupResponse:
    return SyncGroupResponse(
        protocol_type=group.protocol_type, protocol_name=group.protocol_name, assignment=member.assignment
    )


def _protocols(request: JoinGroupRequest) -> Protocols:
    # Copied: the request's bytes are a view of its frame.
    return tuple((protocol.name, bytes(protocol.metadata)) for protocol in request.protocols)


def _uuid(rng: random.Random) -> str:
    """A version 4 uuid as text."""
    raw = bytearray(rng.randbytes(16))
    raw[6] = raw[6] & 0x0F | 0x40
    raw[8] = raw[8] & 0x3F | 0x80
    text = raw.hex()
    return f"{text[:8]}-{text[8:12]}-{text[12:16]}-{text[16:20]}-{text[20:]}"


def _heartbeat_key(group_id: str, member_id: str) -> str:
    # With the length, so that no two pairs share a key.
    return f"heartbeat {len(group_id)} {group_id} {member_id}"


def _join_key(group_id: str) -> str:
    return f"join {group_id}"


def _sync_key(group_id: str) -> str:
    return f"sync {group_id}"

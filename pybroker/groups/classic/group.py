"""A classic group and its members: who is there, what they support, in what state the group is.

In: members coming and going, generations. Out: answers about them. What must hold: the counts (members that
wait in JoinGroup, protocols that all support) agree with the members; a static member's instance id belongs
to exactly one member; the state changes along `TRANSITIONS` only. No timers and no records here: see
`coordinator.py`.

Sources: the group state machine of Kafka 4.3, KIP-345 (static members), KIP-394 (member ids).
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Final

from pybroker.common.deferred import Deferred
from pybroker.common.errors import ApiError, ErrorCode, InvariantError
from pybroker.coordinator.partitioning import java_hash_order
from pybroker.coordinator.result import CoordinatorRecord
from pybroker.groups.classic.subscription import CONSUMER_PROTOCOL, subscribed_topics
from pybroker.groups.group import (
    CLASSIC,
    COMPLETING_REBALANCE,
    DEAD,
    EMPTY,
    PREPARING_REBALANCE,
    STABLE,
)
from pybroker.wire.messages.join_group import JoinGroupResponse, JoinGroupResponseMember
from pybroker.wire.messages.sync_group import SyncGroupResponse
from pybroker.wire.schemas.coordinator_record_types import (
    GroupMetadataKey,
    GroupMetadataMember,
    GroupMetadataValue,
)
from pybroker.wire.schemas.coordinator_records import GROUP_METADATA_VERSION, encode_key, encode_value

if TYPE_CHECKING:
    from pybroker.groups.offsets import CommittedOffset

TRANSITIONS: Final[dict[str, tuple[str, ...]]] = {
    EMPTY: (PREPARING_REBALANCE, DEAD),
    PREPARING_REBALANCE: (COMPLETING_REBALANCE, EMPTY, DEAD),
    COMPLETING_REBALANCE: (STABLE, PREPARING_REBALANCE, DEAD),
    STABLE: (PREPARING_REBALANCE, DEAD),
    DEAD: (),
}
"""From a state to those that may follow it."""

Protocols = tuple[tuple[str, bytes], ...]
"""(name, metadata) of what a member supports, most wanted first."""


class ClassicMember:
    """One member. Times in milliseconds."""

    __slots__ = (
        "assignment",
        "client_host",
        "client_id",
        "instance_id",
        "is_new",
        "join",
        "member_id",
        "protocols",
        "rebalance_timeout_ms",
        "session_timeout_ms",
        "sync",
    )

    def __init__(
        self,
        member_id: str,
        instance_id: str | None,
        client_id: str,
        client_host: str,
        rebalance_timeout_ms: int,
        session_timeout_ms: int,
        protocols: Protocols,
        assignment: bytes = b"",
    ) -> None:
        self.member_id = member_id
        self.instance_id = instance_id
        self.client_id = client_id
        self.client_host = client_host
        self.rebalance_timeout_ms = rebalance_timeout_ms
        self.session_timeout_ms = session_timeout_ms
        self.protocols = protocols
        self.assignment = assignment
        # Not through its first rebalance yet: it cannot send heartbeats, so its JoinGroup has a time limit.
        self.is_new = False
        # Parked replies.
        self.join: Deferred[JoinGroupResponse] | None = None
        self.sync: Deferred[SyncGroupResponse] | None = None

    def metadata(self, protocol: str) -> bytes:
        """What the member said for a protocol; InvariantError when it does not support it."""
        for name, metadata in self.protocols:
            if name == protocol:
                return metadata
        raise InvariantError(f"member {self.member_id} does not support protocol {protocol}")

    @property
    def heartbeat_satisfied(self) -> bool:
        """Whether the member counts as alive without a heartbeat: it waits for a reply of ours."""
        return not self.is_new and (self.join is not None or self.sync is not None)


class ClassicGroup:
    """One classic group."""

    __slots__ = (
        "_supported",
        "awaiting_join_count",
        "generation",
        "group_id",
        "leader",
        "members",
        "new_member_added",
        "pending_joins",
        "pending_syncs",
        "previous_state",
        "protocol_name",
        "protocol_type",
        "state",
        "state_timestamp",
        "static_members",
        "subscribed_topics",
    )

    def __init__(
        self, group_id: str, state: str = EMPTY, *, generation: int = 0, state_timestamp: int = -1
    ) -> None:
        self.group_id = group_id
        self.state = state
        self.previous_state = DEAD
        # When the state was entered, wall milliseconds; -1 when that is not known.
        self.state_timestamp = state_timestamp
        self.generation = generation
        self.protocol_type: str | None = None
        self.protocol_name: str | None = None
        self.leader: str | None = None
        self.members: dict[str, ClassicMember] = {}
        # Instance id -> member id.
        self.static_members: dict[str, str] = {}
        # Member ids that were handed out and have not come back, and members whose SyncGroup is missing.
        self.pending_joins: dict[str, None] = {}
        self.pending_syncs: dict[str, None] = {}
        self.awaiting_join_count = 0
        # During the first rebalance: somebody came since the delay was last extended.
        self.new_member_added = False
        # None: not a consumer group, or its metadata cannot be read.
        self.subscribed_topics: frozenset[str] | None = None
        # Protocol name -> how many members support it.
        self._supported: dict[str, int] = {}

    # ---- as any group --------------------------------------------------------------------------------

    @property
    def kind(self) -> str:
        return CLASSIC

    @property
    def protocol_type_text(self) -> str:
        return self.protocol_type or ""

    @property
    def is_empty(self) -> bool:
        return self.state == EMPTY

    @property
    def is_simple(self) -> bool:
        """Only offsets: nobody ever joined."""
        return self.state == EMPTY and not self.pending_joins and self.protocol_type is None

    @property
    def is_consumer_protocol(self) -> bool:
        return self.protocol_type == CONSUMER_PROTOCOL

    def is_subscribed_to(self, topic: str) -> bool:
        if self.subscribed_topics is None:
            # Consumers whose subscriptions cannot be read may read anything.
            return self.is_consumer_protocol
        return topic in self.subscribed_topics

    def validate_offset_commit(
        self, member_id: str, instance_id: str | None, generation: int, *, transactional: bool, version: int
    ) -> None:
        if generation < 0 and self.state == EMPTY:
            # A tool, or a consumer that does not use groups.
            return
        if generation >= 0 or member_id or instance_id is not None:
            self.validate_member(member_id, instance_id)
            if generation != self.generation:
                raise ApiError(ErrorCode.ILLEGAL_GENERATION)
        elif not transactional and self.state != EMPTY:
            # Old transactional clients do not say who they are.
            raise ApiError(ErrorCode.UNKNOWN_MEMBER_ID)
        if not transactional and self.state == COMPLETING_REBALANCE:
            raise ApiError(ErrorCode.REBALANCE_IN_PROGRESS)

    def validate_offset_fetch(self, member_id: str | None, member_epoch: int) -> None:
        """Anybody may."""

    def validate_offset_delete(self) -> None:
        if self.state != EMPTY and not self.is_consumer_protocol:
            raise ApiError(ErrorCode.NON_EMPTY_GROUP)

    def validate_delete(self) -> None:
        if self.state != EMPTY:
            raise ApiError(ErrorCode.NON_EMPTY_GROUP)

    def offset_expiration_base(self) -> Callable[[CommittedOffset], int] | None:
        if self.protocol_type is None:
            return _commit_time
        if self.state == EMPTY:
            since = self.state_timestamp
            return _commit_time if since < 0 else lambda offset: since
        if self.is_consumer_protocol and self.subscribed_topics is not None and self.state == STABLE:
            return _commit_time
        return None

    def tombstones(self) -> list[CoordinatorRecord]:
        return [CoordinatorRecord(encode_key(GroupMetadataKey(group=self.group_id)), None)]

    # ---- state ---------------------------------------------------------------------------------------

    def enter(self, state: str, now_ms: int) -> None:
        """Change the state; InvariantError for a change that the table does not have."""
        if state not in TRANSITIONS[self.state]:
            raise InvariantError(f"group {self.group_id} cannot go from {self.state} to {state}")
        self.previous_state = self.state
        self.state = state
        self.state_timestamp = now_ms

    @property
    def can_rebalance(self) -> bool:
        return PREPARING_REBALANCE in TRANSITIONS[self.state]

    def next_generation(self, now_ms: int) -> None:
        """The join phase is over: a new generation, or an empty group."""
        self.generation += 1
        self.pending_syncs.clear()
        if self.members:
            self.protocol_name = self.select_protocol()
            self.subscribed_topics = self._subscribed_topics()
            self.enter(COMPLETING_REBALANCE, now_ms)
        else:
            self.protocol_name = None
            self.subscribed_topics = self._subscribed_topics()
            self.enter(EMPTY, now_ms)

    def loaded(self) -> None:
        """All members of a record were added."""
        self.subscribed_topics = self._subscribed_topics()

    def _subscribed_topics(self) -> frozenset[str] | None:
        if not self.is_consumer_protocol:
            return None
        if not self.members:
            return frozenset()
        name = self.protocol_name
        if name is None:
            return None
        return subscribed_topics(member.metadata(name) for member in self.members.values())

    # ---- members -------------------------------------------------------------------------------------

    def validate_member(self, member_id: str, instance_id: str | None) -> None:
        """ApiError unless this is a member, and the one that holds the instance id if there is one."""
        if instance_id is not None:
            known = self.static_members.get(instance_id)
            if known is None:
                raise ApiError(ErrorCode.UNKNOWN_MEMBER_ID)
            if known != member_id:
                raise ApiError(ErrorCode.FENCED_INSTANCE_ID)
        if member_id not in self.members:
            raise ApiError(ErrorCode.UNKNOWN_MEMBER_ID)

    def add(self, member: ClassicMember, protocol_type: str) -> None:
        """A member joins."""
        if member.instance_id is not None:
            if member.instance_id in self.static_members:
                raise InvariantError(f"static member {member.instance_id} joins {self.group_id} twice")
            self.static_members[member.instance_id] = member.member_id
        if not self.members:
            self.protocol_type = protocol_type
        if self.leader is None:
            self.leader = member.member_id
        self.members[member.member_id] = member
        self._count_protocols(member, 1)
        if member.join is not None:
            self.awaiting_join_count += 1
        self.pending_joins.pop(member.member_id, None)

    def remove(self, member_id: str) -> ClassicMember | None:
        """A member (or a member id that was only handed out) goes. Its parked replies are the caller's."""
        self.pending_joins.pop(member_id, None)
        self.pending_syncs.pop(member_id, None)
        member = self.members.pop(member_id, None)
        if member is None:
            return None
        self._count_protocols(member, -1)
        if member.join is not None:
            self.awaiting_join_count -= 1
        if member.instance_id is not None and self.static_members.get(member.instance_id) == member_id:
            del self.static_members[member.instance_id]
        if self.leader == member_id:
            self.leader = next(iter(self.members), None)
        return member

    def update(
        self,
        member: ClassicMember,
        protocols: Protocols,
        rebalance_timeout_ms: int,
        session_timeout_ms: int,
    ) -> None:
        """A member says anew what it supports."""
        self._count_protocols(member, -1)
        member.protocols = protocols
        self._count_protocols(member, 1)
        member.rebalance_timeout_ms = rebalance_timeout_ms
        member.session_timeout_ms = session_timeout_ms

    def replace_static(self, instance_id: str, old_id: str, new_id: str) -> ClassicMember:
        """A static member comes back: the same member under a new id, without parked replies."""
        old = self.members.pop(old_id)
        if old.join is not None or old.sync is not None:
            raise InvariantError(f"static member {old_id} is replaced while it waits")
        new = ClassicMember(
            new_id,
            instance_id,
            old.client_id,
            old.client_host,
            old.rebalance_timeout_ms,
            old.session_timeout_ms,
            old.protocols,
            old.assignment,
        )
        new.is_new = old.is_new
        self.members[new_id] = new
        self.static_members[instance_id] = new_id
        if self.leader == old_id:
            self.leader = new_id
        if self.pending_syncs.pop(old_id, 0) is None:
            self.pending_syncs[new_id] = None
        return new

    def _count_protocols(self, member: ClassicMember, step: int) -> None:
        supported = self._supported
        for name in dict.fromkeys(name for name, _ in member.protocols):
            count = supported.get(name, 0) + step
            if count:
                supported[name] = count
            else:
                del supported[name]

    # ---- parked replies ------------------------------------------------------------------------------

    def park_join(self, member: ClassicMember, reply: Deferred[JoinGroupResponse]) -> None:
        """The member waits for the end of the join phase. An older request of its is told to come again."""
        older = member.join
        member.join = reply
        if older is None:
            self.awaiting_join_count += 1
        else:
            older.resolve(refused_join(member.member_id, ErrorCode.REBALANCE_IN_PROGRESS))

    def answer_join(self, member: ClassicMember, response: JoinGroupResponse) -> None:
        """Answer the member's parked JoinGroup, if there is one."""
        reply = member.join
        if reply is not None:
            member.join = None
            self.awaiting_join_count -= 1
            reply.resolve(response)

    @staticmethod
    def answer_sync(member: ClassicMember, response: SyncGroupResponse) -> bool:
        """Answer the member's parked SyncGroup; False when there is none."""
        reply = member.sync
        if reply is None:
            return False
        member.sync = None
        reply.resolve(response)
        return True

    def answer_all(self, error: ErrorCode) -> None:
        """Answer everybody who waits with an error."""
        for member in list(self.members.values()):
            self.answer_join(member, refused_join(member.member_id, error))
            self.answer_sync(member, SyncGroupResponse(error_code=error))

    # ---- rebalance -----------------------------------------------------------------------------------

    @property
    def has_all_joined(self) -> bool:
        return self.awaiting_join_count == len(self.members) and not self.pending_joins

    def not_rejoined(self) -> list[ClassicMember]:
        return [member for member in self.members.values() if member.join is None]

    @property
    def rebalance_timeout_ms(self) -> int:
        """The longest any member needs."""
        return max((member.rebalance_timeout_ms for member in self.members.values()), default=0)

    def elect_rejoined_leader(self) -> bool:
        """Make sure that the leader is one of those that rejoined; False when nobody did."""
        if self.leader is None:
            return False
        if self.members[self.leader].join is not None:
            return True
        for member in self.members.values():
            if member.join is not None:
                self.leader = member.member_id
                return True
        return False

    def supports(self, protocol_type: str, protocols: Sequence[tuple[str, bytes]]) -> bool:
        """Whether a member with these protocols can be in the group."""
        if self.state == EMPTY:
            return bool(protocol_type) and bool(protocols)
        if self.protocol_type != protocol_type:
            return False
        count = len(self.members)
        return any(self._supported.get(name) == count for name, _ in protocols)

    def select_protocol(self) -> str:
        """The protocol that most members like best among those that all support; of several Kafka's first."""
        count = len(self.members)
        candidates = {name for name, supporters in self._supported.items() if supporters == count}
        votes: dict[str, int] = {}
        for member in self.members.values():
            for name, _ in member.protocols:
                if name in candidates:
                    votes[name] = votes.get(name, 0) + 1
                    break
        if not votes:
            raise InvariantError(f"the members of group {self.group_id} have no protocol in common")
        return max(java_hash_order(votes), key=lambda name: votes[name])

    def described_members(self) -> list[JoinGroupResponseMember]:
        """What the leader is told."""
        name = self.protocol_name or ""
        return [
            JoinGroupResponseMember(
                member_id=member.member_id,
                group_instance_id=member.instance_id,
                metadata=member.metadata(name),
            )
            for member in self.members.values()
        ]

    # ---- records -------------------------------------------------------------------------------------

    def record(self, assignments: dict[str, bytes]) -> CoordinatorRecord:
        """The group with its members and these assignments."""
        name = self.protocol_name
        return self._record(
            GroupMetadataValue(
                protocol_type=self.protocol_type or "",
                generation=self.generation,
                protocol=name,
                leader=self.leader,
                current_state_timestamp=self.state_timestamp,
                members=[
                    GroupMetadataMember(
                        member_id=member.member_id,
                        group_instance_id=member.instance_id,
                        client_id=member.client_id,
                        client_host=member.client_host,
                        rebalance_timeout=member.rebalance_timeout_ms,
                        session_timeout=member.session_timeout_ms,
                        subscription=member.metadata(name) if name is not None else b"",
                        assignment=assignments.get(member.member_id, b""),
                    )
                    for member in self.members.values()
                ],
            )
        )

    def first_record(self) -> CoordinatorRecord:
        """The group as it comes into being, before anybody is through a rebalance."""
        return self._record(
            GroupMetadataValue(protocol=None, leader=None, current_state_timestamp=self.state_timestamp)
        )

    def _record(self, value: GroupMetadataValue) -> CoordinatorRecord:
        key = encode_key(GroupMetadataKey(group=self.group_id))
        return CoordinatorRecord(key, encode_value(value, GROUP_METADATA_VERSION))


def from_record(group_id: str, value: GroupMetadataValue) -> ClassicGroup:
    """The group of a record."""
    group = ClassicGroup(
        group_id,
        STABLE if value.members else EMPTY,
        generation=value.generation,
        state_timestamp=value.current_state_timestamp,
    )
    group.protocol_type = value.protocol_type or None
    group.protocol_name = value.protocol
    group.leader = value.leader
    for read in value.members:
        member = ClassicMember(
            read.member_id,
            read.group_instance_id,
            read.client_id,
            read.client_host,
            read.session_timeout if read.rebalance_timeout == -1 else read.rebalance_timeout,
            read.session_timeout,
            ((value.protocol or "", bytes(read.subscription)),),
            bytes(read.assignment),
        )
        group.add(member, value.protocol_type)
    group.loaded()
    return group


def refused_join(member_id: str, error: ErrorCode) -> JoinGroupResponse:
    """A JoinGroup that failed."""
    return JoinGroupResponse(
        error_code=error, generation_id=-1, protocol_type=None, protocol_name=None, member_id=member_id
    )


def _commit_time(offset: CommittedOffset) -> int:
    return offset.commit_timestamp

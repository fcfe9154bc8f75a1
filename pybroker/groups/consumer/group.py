"""The state of one consumer group, changed only by replaying its records.

In: members, targets, epochs and regular expressions as the records have them. Out: the questions that the
coordinator and the administrative APIs ask. What must hold: everything derived (who subscribes to what, who
owns what, static members) follows from the records alone, so that loading gives the same group as living
through it; what does not survive a restart is marked as soft.

    group epoch       moves when members, subscriptions or topics change
    assignment epoch  the group epoch that the target assignment was computed for
    member epoch      the assignment epoch that a member has reached

The state is Empty without members, Assigning while the target is older than the group, Reconciling while some
member has not reached the target, else Stable.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import TYPE_CHECKING, Final

from pybroker.common.errors import ApiError, ErrorCode
from pybroker.coordinator.result import CoordinatorRecord
from pybroker.groups.assignors import Target
from pybroker.groups.assignors.spec import NO_PARTITIONS
from pybroker.groups.consumer import records
from pybroker.groups.consumer.member import ConsumerMember, Epochs
from pybroker.groups.consumer.records import NEVER_RESOLVED, ResolvedRegex
from pybroker.groups.group import CONSUMER, EMPTY, STABLE, CommitValidator

if TYPE_CHECKING:
    from pybroker.groups.offsets import CommittedOffset

ASSIGNING: Final = "Assigning"
RECONCILING: Final = "Reconciling"

PROTOCOL_TYPE: Final = "consumer"
_INITIAL_EPOCH: Final = 1


class ConsumerGroup:
    """One group of the consumer protocol. Members that use the classic protocol may be among the others."""

    def __init__(self, group_id: str) -> None:
        self.group_id = group_id
        self.epoch = _INITIAL_EPOCH
        self.metadata_hash = 0
        self.target_epoch = _INITIAL_EPOCH
        # When the target was computed, wall ms; 0 is never.
        self.target_timestamp = 0
        self.members: dict[str, ConsumerMember] = {}
        self.targets: dict[str, Target] = {}
        self.regexes: dict[str, ResolvedRegex] = {}
        self.has_partition_metadata_record = False
        # Derived.
        self.static_members: dict[str, str] = {}
        self.assignors: dict[str, int] = {}
        self.regex_subscribers: dict[str, int] = {}
        self.classic_count = 0
        self.classic_protocols: dict[str, int] = {}
        # Topic id to partition to the member that holds it, the ones it has to give back included.
        self.owners: dict[bytes, dict[int, str]] = {}
        # Topic to the number of members and regular expressions that name it.
        self._subscribed: dict[str, int] = {}
        # Soft: whether the hash was compared with the metadata at this group epoch, and until when (wall ms)
        # that is enough.
        self.refreshed_epoch = 0
        self.refresh_deadline_ms = 0

    # ---- what every kind of group is asked -----------------------------------------------------------

    @property
    def kind(self) -> str:
        return CONSUMER

    @property
    def state(self) -> str:
        if not self.members:
            return EMPTY
        if self.epoch > self.target_epoch:
            return ASSIGNING
        if all(member.is_reconciled_to(self.target_epoch) for member in self.members.values()):
            return STABLE
        return RECONCILING

    @property
    def protocol_type_text(self) -> str:
        return PROTOCOL_TYPE

    @property
    def is_empty(self) -> bool:
        return not self.members

    def is_subscribed_to(self, topic: str) -> bool:
        return topic in self._subscribed

    def validate_offset_commit(
        self, member_id: str, instance_id: str | None, generation: int, *, transactional: bool, version: int
    ) -> CommitValidator | None:
        """ApiError when this member may not commit at all; else what to ask for each partition, if anything.

        A member may commit in an older epoch for what it has held since then (KIP-1251)."""
        if generation < 0 and not self.members:
            return None
        if transactional and generation == -1 and member_id == "" and instance_id is None:
            # Old transactional clients do not say who they are.
            return None
        member = self.member(member_id)
        if not transactional and member.classic is None and version < 9:
            raise ApiError(
                ErrorCode.UNSUPPORTED_VERSION,
                "OffsetCommit version 9 or above must be used by members using the consumer group protocol",
            )
        if generation == member.member_epoch:
            return None
        if generation > member.member_epoch:
            raise _stale(
                member,
                f"Received generation id {generation} is newer than current member epoch "
                f"{member.member_epoch}.",
                f"Received member epoch {generation} is newer than current member epoch "
                f"{member.member_epoch}.",
            )

        def validate(topic: str, topic_id: bytes, partition: int) -> None:
            since = member.assignment_epoch(topic_id, partition)
            if since is None:
                text = f"Partition {topic}-{partition} is not assigned or pending revocation for member."
                raise _stale(member, text, text)
            if generation < since:
                rest = (
                    f"{generation} is older than assignment epoch {since} for partition {topic}-{partition}."
                )
                raise _stale(member, f"Received generation id {rest}", f"Received member epoch {rest}")

        return validate

    def validate_offset_fetch(self, member_id: str | None, member_epoch: int) -> None:
        if member_id is None and member_epoch < 0:
            return
        member = self.member(member_id or "")
        if member_epoch != member.member_epoch:
            rest = f"{member_epoch} does not match the expected member epoch {member.member_epoch}."
            raise _stale(member, f"The received generation id {rest}", f"The received member epoch {rest}")

    def validate_offset_delete(self) -> None:
        """Offsets of topics that nobody subscribes to may go at any time."""

    def validate_delete(self) -> None:
        if self.members:
            raise ApiError(ErrorCode.NON_EMPTY_GROUP)

    def offset_expiration_base(self) -> Callable[[CommittedOffset], int] | None:
        return lambda offset: offset.commit_timestamp

    def tombstones(self, renamed: dict[str, str] | None = None) -> list[CoordinatorRecord]:
        """The records that remove the group. `renamed`: member ids that records before these changed."""
        group_id = self.group_id
        member_ids = [(renamed or {}).get(member_id, member_id) for member_id in self.members]
        return [
            *(records.current_tombstone(group_id, member_id) for member_id in member_ids),
            *(records.target_tombstone(group_id, member_id) for member_id in member_ids),
            records.target_epoch_tombstone(group_id),
            *(records.subscription_tombstone(group_id, member_id) for member_id in member_ids),
            *(records.regex_tombstone(group_id, pattern) for pattern in self.regexes),
            records.partition_metadata_tombstone(group_id),
            records.group_epoch_tombstone(group_id),
        ]

    # ---- members and subscriptions -------------------------------------------------------------------

    def member(self, member_id: str) -> ConsumerMember:
        """ApiError(UNKNOWN_MEMBER_ID) when it is not one."""
        member = self.members.get(member_id)
        if member is None:
            raise ApiError(
                ErrorCode.UNKNOWN_MEMBER_ID, f"Member {member_id} is not a member of group {self.group_id}."
            )
        return member

    def static_member(self, instance_id: str | None) -> ConsumerMember | None:
        """The member that holds an instance id."""
        member_id = None if instance_id is None else self.static_members.get(instance_id)
        return None if member_id is None else self.members.get(member_id)

    def target_of(self, member: ConsumerMember) -> Target:
        """What a member is to have; a static member that comes back inherits it from its former self."""
        member_id: str | None = member.member_id
        if member.instance_id is not None:
            member_id = self.static_members.get(member.instance_id)
        return NO_PARTITIONS if member_id is None else self.targets.get(member_id, NO_PARTITIONS)

    def topics_of(self, member: ConsumerMember) -> frozenset[str]:
        """The topics a member wants, by name or by what its regular expression has matched."""
        resolved = self.regexes.get(member.regex) if member.regex else None
        if resolved is None or not resolved.topics:
            return member.topics
        return member.topics | resolved.topics if member.topics else resolved.topics

    @property
    def subscribed_topics(self) -> set[str]:
        """All topics that the group wants."""
        return set(self._subscribed)

    def subscribed_topics_after(
        self,
        *,
        removed: Iterable[ConsumerMember] = (),
        added: ConsumerMember | None = None,
        removed_regexes: Iterable[str] = (),
        resolved: dict[str, ResolvedRegex] | None = None,
    ) -> set[str]:
        """All topics that the group would want after these changes."""
        changes: dict[str, int] = {}
        for member in removed:
            _count(changes, member.topics, -1)
        if added is not None:
            _count(changes, added.topics, 1)
        for pattern in removed_regexes:
            _count(changes, self.regexes.get(pattern, NEVER_RESOLVED).topics, -1)
        for pattern, new in (resolved or {}).items():
            _count(changes, self.regexes.get(pattern, NEVER_RESOLVED).topics, -1)
            _count(changes, new.topics, 1)
        topics = set(self._subscribed)
        for topic, change in changes.items():
            if self._subscribed.get(topic, 0) + change > 0:
                topics.add(topic)
            else:
                topics.discard(topic)
        return topics

    @property
    def preferred_assignor(self) -> str | None:
        """The server assignor that most members ask for."""
        return _most_wanted(self.assignors)

    def preferred_assignor_after(self, old: ConsumerMember | None, new: ConsumerMember) -> str | None:
        """The same once `new` has taken the place of `old`."""
        counts = dict(self.assignors)
        if old is not None and old.assignor is not None:
            _count(counts, (old.assignor,), -1)
        if new.assignor is not None:
            _count(counts, (new.assignor,), 1)
        return _most_wanted(counts)

    def is_owned(self, topic_id: bytes, partition: int) -> bool:
        """Whether some member holds a partition, or has yet to give it back."""
        return partition in self.owners.get(topic_id, ())

    def waits_for_others(self, member: ConsumerMember) -> bool:
        """Whether a partition that a member is to have is still held by another one."""
        for topic_id, partitions in self.targets.get(member.member_id, NO_PARTITIONS).items():
            assigned = member.assigned.get(topic_id, {})
            if any(p not in assigned and self.is_owned(topic_id, p) for p in partitions):
                return True
        return False

    def supports_classic(self, protocol_type: str, names: Iterable[str]) -> bool:
        """Whether a classic member with these protocols can join."""
        if protocol_type != PROTOCOL_TYPE:
            return False
        if not self.members:
            return bool(list(names))
        return any(self.classic_protocols.get(name, 0) == self.classic_count for name in names)

    def only_classic_without(self, leaving: Iterable[ConsumerMember]) -> bool:
        """Whether, once these have left, all members use the classic protocol."""
        gone = list(leaving)
        gone_classic = sum(member.classic is not None for member in gone)
        return self.classic_count - gone_classic == len(self.members) - len(gone)

    def is_refresh_due(self, now_ms: int) -> bool:
        """Whether the metadata may have changed since the hash was computed."""
        return now_ms >= self.refresh_deadline_ms or self.epoch < self.refreshed_epoch

    def request_refresh(self) -> None:
        """A topic of the group changed."""
        self.refresh_deadline_ms = 0
        self.refreshed_epoch = 0

    # ---- replay --------------------------------------------------------------------------------------

    def put_member(self, member: ConsumerMember) -> None:
        """A member as a record has it."""
        old = self.members.get(member.member_id)
        if old is not None:
            self._count_member(old, -1)
            self._release(old)
        self.members[member.member_id] = member
        self._count_member(member, 1)
        if old is not None and old.instance_id is not None and old.instance_id != member.instance_id:
            self._forget_static(old)
        if member.instance_id is not None:
            self.static_members[member.instance_id] = member.member_id
        for epochs in (member.assigned, member.revoking):
            self._own(epochs, member.member_id)

    def drop_member(self, member_id: str) -> None:
        """A member's subscription record is gone."""
        old = self.members.pop(member_id, None)
        if old is not None:
            self._count_member(old, -1)
            self._release(old)
            self._forget_static(old)

    def put_regex(self, pattern: str, resolved: ResolvedRegex | None) -> None:
        """What a regular expression has matched; None when nobody uses it any more."""
        _count(self._subscribed, self.regexes.pop(pattern, NEVER_RESOLVED).topics, -1)
        if resolved is not None:
            self.regexes[pattern] = resolved
            _count(self._subscribed, resolved.topics, 1)

    def _count_member(self, member: ConsumerMember, step: int) -> None:
        _count(self._subscribed, member.topics, step)
        if member.regex:
            _count(self.regex_subscribers, (member.regex,), step)
        if member.assignor is not None:
            _count(self.assignors, (member.assignor,), step)
        if member.classic is not None:
            self.classic_count += step
            _count(self.classic_protocols, dict.fromkeys(name for name, _ in member.classic.protocols), step)

    def _forget_static(self, member: ConsumerMember) -> None:
        instance_id = member.instance_id
        if instance_id is not None and self.static_members.get(instance_id) == member.member_id:
            del self.static_members[instance_id]

    def _own(self, epochs: Epochs, member_id: str) -> None:
        for topic_id, partitions in epochs.items():
            owners = self.owners.setdefault(topic_id, {})
            for partition in partitions:
                owners[partition] = member_id

    def _release(self, member: ConsumerMember) -> None:
        for epochs in (member.assigned, member.revoking):
            for topic_id, partitions in epochs.items():
                owners = self.owners.get(topic_id)
                if owners is None:
                    continue
                for partition in partitions:
                    # A log that was compacted half may show the next owner before this one lets go.
                    if owners.get(partition) == member.member_id:
                        del owners[partition]
                if not owners:
                    del self.owners[topic_id]


def _count(counts: dict[str, int], names: Iterable[str], step: int) -> None:
    """Add `step` to the counts of some names; those that come to 0 are dropped."""
    for name in names:
        count = counts.get(name, 0) + step
        if count:
            counts[name] = count
        else:
            counts.pop(name, None)


def _most_wanted(counts: dict[str, int]) -> str | None:
    """The name with the highest count; of `uniform` and `range` with equal counts Kafka's map meets `uniform`
    first, which is the last in the alphabet."""
    return max(counts, key=lambda name: (counts[name], name)) if counts else None


def _stale(member: ConsumerMember, classic_message: str, message: str) -> ApiError:
    """What a member with a wrong epoch is told, in the words of its protocol."""
    if member.classic is not None:
        return ApiError(ErrorCode.ILLEGAL_GENERATION, classic_message)
    return ApiError(ErrorCode.STALE_MEMBER_EPOCH, message)

"""ConsumerGroupHeartbeat: members join, move towards their assignment, leave, and are fenced.

In: heartbeats, timers that fire, changed topics. Out: `Result`s. What must hold:

- hard state changes only when the records of an operation are replayed;
- the records of one heartbeat are in Kafka's order: subscription, regular expression, group epoch, targets
  with their epoch, current assignment; those of a leave: tombstones of current assignment, target and
  subscription, then the group epoch;
- a member is fenced when its session ends, or when it does not give partitions back within its rebalance
  timeout.

Sources: KIP-848; KIP-1082 (the client makes the member id); the behaviour of Kafka 4.3.0, with its least
interval between two assignments of a group.
"""

from __future__ import annotations

import base64
import random
from collections.abc import Callable
from typing import TYPE_CHECKING, Final, NamedTuple, TypeVar

from pybroker.common.config import BrokerConfig
from pybroker.common.errors import ApiError, ErrorCode
from pybroker.coordinator.result import CoordinatorRecord, Result
from pybroker.groups.assignors import ASSIGNORS, GroupSpec, MemberSpec, Target
from pybroker.groups.assignors.spec import NO_PARTITIONS
from pybroker.groups.consumer import records
from pybroker.groups.consumer.group import ConsumerGroup
from pybroker.groups.consumer.member import (
    LEAVING,
    NO_EPOCHS,
    STATIC_LEAVING,
    UNREVOKED_PARTITIONS,
    ConsumerMember,
    Epochs,
)
from pybroker.groups.consumer.metadata_hash import group_hash, topic_hash
from pybroker.groups.consumer.reconcile import Owned, next_step
from pybroker.groups.consumer.regex_resolution import Resolution
from pybroker.groups.regex import Regex, RegexError
from pybroker.metadata.image import GROUP_RESOURCE
from pybroker.wire.messages.consumer_group_heartbeat import (
    Assignment,
    ConsumerGroupHeartbeatRequest,
    ConsumerGroupHeartbeatResponse,
    ResponseTopicPartitions,
)

if TYPE_CHECKING:
    from collections.abc import Iterable

    from pybroker.coordinator.shard import Timers
    from pybroker.metadata.delta import MetadataDelta
    from pybroker.metadata.image import MetadataImage

Records = list[CoordinatorRecord]
T = TypeVar("T")

_REGEX_PAUSE_MS: Final = 10_000
"""The least time between two refreshes of a group's regular expressions."""
_REFRESH_INTERVAL_MS: Final = 2_147_483_647
_REGEX_SLICE_PAUSE_MS: Final = 1
_MEMBER_ID_BY_CLIENT_FROM: Final = 1


class Caller(NamedTuple):
    """Who sent a request, and in what version."""

    version: int
    client_id: str
    client_host: str


class Changed(NamedTuple):
    """What became of a member's subscription."""

    names: bool
    regex: bool
    regex_resolved: bool
    """The changed regular expression is known already, or there is none any more."""


def validate_heartbeat(
    request: ConsumerGroupHeartbeatRequest, version: int, assignors: Iterable[str]
) -> None:
    """ApiError when the request makes no sense, whatever the group."""
    epoch = request.member_epoch
    if version >= _MEMBER_ID_BY_CLIENT_FROM or epoch > 0 or epoch == LEAVING:
        _refuse_empty(request.member_id, "MemberId")
    _refuse_empty(request.group_id, "GroupId")
    _refuse_empty(request.instance_id, "InstanceId")
    _refuse_empty(request.rack_id, "RackId")
    if epoch == 0:
        if request.rebalance_timeout == -1:
            raise _invalid("RebalanceTimeoutMs must be provided in first request.")
        if request.topic_partitions is None or request.topic_partitions:
            raise _invalid("TopicPartitions must be empty when (re-)joining.")
        if request.subscribed_topic_names is None and request.subscribed_topic_regex is None:
            raise _invalid(
                "Either SubscribedTopicNames or SubscribedTopicRegex must be non-null when (re-)joining."
            )
    elif epoch == STATIC_LEAVING:
        if request.instance_id is None:
            raise _invalid("InstanceId can't be null.")
    elif epoch < STATIC_LEAVING:
        raise _invalid("MemberEpoch is invalid.")
    assignor = request.server_assignor
    if assignor is not None and assignor not in list(assignors):
        raise ApiError(
            ErrorCode.UNSUPPORTED_ASSIGNOR,
            f"ServerAssignor {assignor} is not supported. Supported assignors: {', '.join(assignors)}.",
        )


def _refuse_empty(text: str | None, name: str) -> None:
    if text is not None and not text.strip():
        raise _invalid(f"{name} can't be empty.")


def _invalid(message: str) -> ApiError:
    return ApiError(ErrorCode.INVALID_REQUEST, message)


class ConsumerGroups:
    """The consumer groups of one shard. The migration to and from classic groups is in `migration.py`."""

    def __init__(
        self,
        config: Callable[[], BrokerConfig],
        image: Callable[[], MetadataImage],
        timers: Timers,
        rng: random.Random,
        find: Callable[[str], object | None],
    ) -> None:
        """`find`: the group of an id, of whatever kind, as the shard has it."""
        self.config = config
        self.image = image
        self.timers = timers
        self.find = find
        self._rng = rng
        # Soft: topic hashes of the present metadata; running refreshes of regular expressions.
        self._topic_hashes: dict[str, int] = {}
        self._resolutions: dict[str, Resolution] = {}
        # The offset of the image that last brought new topics.
        self._new_topics_version = image().offset

    # ---- heartbeat -----------------------------------------------------------------------------------

    def heartbeat(
        self, group: ConsumerGroup, request: ConsumerGroupHeartbeatRequest, caller: Caller, now_ms: int
    ) -> Result[ConsumerGroupHeartbeatResponse]:
        """A member joins or is alive. `group` may be a new one that no record has made yet."""
        written: Records = []
        joins = request.member_epoch == 0
        self.refuse_if_full(group, request.member_id)
        member_id = request.member_id or self.new_member_id()
        owned: Owned = None
        if request.topic_partitions is not None:
            owned = [(topic.topic_id, topic.partitions) for topic in request.topic_partitions]
        if request.instance_id is None:
            member = group.members.get(member_id) or ConsumerMember(member_id)
            if not joins:
                member = group.member(member_id)
            _validate_epoch(member, request.member_epoch, owned)
        else:
            member = self.static_member(
                group, member_id, request.instance_id, written, joins=joins, classic=False
            )
            if not joins:
                _validate_epoch(member, request.member_epoch, owned)
        updated = member._replace(
            instance_id=member.instance_id if request.instance_id is None else request.instance_id,
            rack_id=member.rack_id if request.rack_id is None else request.rack_id,
            rebalance_timeout_ms=member.rebalance_timeout_ms
            if request.rebalance_timeout == -1
            else request.rebalance_timeout,
            topics=member.topics
            if request.subscribed_topic_names is None
            else frozenset(request.subscribed_topic_names),
            regex=member.regex if request.subscribed_topic_regex is None else request.subscribed_topic_regex,
            assignor=member.assignor if request.server_assignor is None else request.server_assignor,
            client_id=caller.client_id,
            client_host=caller.client_host,
            classic=None,
        )
        changed = self.update_subscription(group, member, updated, written, now_ms)
        epoch = self.update_epoch(
            group, member, updated, written, now_ms, bump=changed.names or changed.regex_resolved
        )
        target_epoch, target = self.update_target(group, epoch, member, updated, written, now_ms)
        updated = self.reconcile(
            group, updated, target_epoch, target, changed.names or changed.regex, owned, written
        )
        self.expect_heartbeat(group.group_id, member_id)
        response = ConsumerGroupHeartbeatResponse(
            member_id=member_id,
            member_epoch=updated.member_epoch,
            heartbeat_interval=self.group_setting(group.group_id, "consumer.heartbeat.interval.ms"),
        )
        is_full = (
            request.rebalance_timeout != -1
            and (request.subscribed_topic_names is not None or request.subscribed_topic_regex is not None)
            and request.topic_partitions is not None
        )
        if joins or is_full or member.assigned != updated.assigned:
            response.assignment = _assignment(updated.assigned)
        return Result(response, written)

    def refuse_if_full(self, group: ConsumerGroup, member_id: str) -> None:
        """ApiError(GROUP_MAX_SIZE_REACHED) when there is no room for a new member."""
        limit: int = self.config()["group.consumer.max.size"]
        if len(group.members) >= limit and member_id not in group.members:
            raise ApiError(
                ErrorCode.GROUP_MAX_SIZE_REACHED,
                f"The consumer group has reached its maximum capacity of {limit} members.",
            )

    def new_member_id(self) -> str:
        """A uuid in Kafka's form: 22 characters of base64."""
        while True:
            raw = bytearray(self._rng.randbytes(16))
            raw[6] = raw[6] & 0x0F | 0x40
            raw[8] = raw[8] & 0x3F | 0x80
            text = base64.urlsafe_b64encode(raw).rstrip(b"=").decode()
            # Kafka avoids those that look like an option on a command line.
            if not text.startswith("-"):
                return text

    def static_member(
        self,
        group: ConsumerGroup,
        member_id: str,
        instance_id: str,
        written: Records,
        *,
        joins: bool,
        classic: bool,
    ) -> ConsumerMember:
        """The member of an instance id; one that joins takes the place of its former self."""
        known = group.static_member(instance_id)
        if not joins:
            if known is None:
                raise ApiError(ErrorCode.UNKNOWN_MEMBER_ID, f"Instance id {instance_id} is unknown.")
            refuse_if_fenced(known, member_id, instance_id)
            return known
        if known is None:
            return group.members.get(member_id) or ConsumerMember(member_id)
        if not classic and known.classic is None and known.member_epoch != STATIC_LEAVING:
            raise ApiError(
                ErrorCode.UNRELEASED_INSTANCE_ID,
                f"Static member {member_id} with instance id {instance_id} cannot join the group because the "
                f"instance id is owned by {known.member_id} member.",
            )
        member = known._replace(member_id=member_id, member_epoch=0, previous_member_epoch=0)
        group_id = group.group_id
        written += self.removed_member(group_id, known.member_id)
        written.append(records.subscription(group_id, member))
        written.append(records.target(group_id, member_id, group.targets.get(known.member_id, NO_PARTITIONS)))
        written.append(records.current(group_id, member))
        return member

    # ---- subscription --------------------------------------------------------------------------------

    def update_subscription(
        self,
        group: ConsumerGroup,
        member: ConsumerMember,
        updated: ConsumerMember,
        written: Records,
        now_ms: int,
    ) -> Changed:
        """Write what a member says of itself; start to resolve regular expressions where that is due."""
        # A new member is compared with the blank one it starts from, and differs at least in its client host.
        if updated != member:
            written.append(records.subscription(group.group_id, updated))
        old, new = member.regex, updated.regex
        resolved = False
        is_new_regex = False
        if old != new:
            if old and group.regex_subscribers.get(old, 0) == 1:
                written.append(records.regex_tombstone(group.group_id, old))
            if not new:
                # Without one there is nothing to wait for (KAFKA-19891).
                resolved = True
            elif group.regex_subscribers.get(new, 0) == 0:
                _validate_regex(new)
                is_new_regex = True
            else:
                resolved = new in group.regexes
        if is_new_regex or group.regex_subscribers:
            self._maybe_resolve(group, old, new, is_new_regex, now_ms)
        return Changed(updated.topics != member.topics, old != new, resolved)

    def _maybe_resolve(
        self, group: ConsumerGroup, old: str, new: str, is_new_regex: bool, now_ms: int
    ) -> None:
        """Refresh the regular expressions of a group, unless that was done just now."""
        group_id = group.group_id
        if group_id in self._resolutions:
            return
        # All are refreshed together, so any of them tells when and at which metadata.
        last = next(iter(group.regexes.values()), None)
        if last is not None and now_ms <= last.timestamp + _REGEX_PAUSE_MS:
            return
        subscribers = dict(group.regex_subscribers)
        for pattern, step in ((old, -1), (new, 1)):
            if pattern:
                subscribers[pattern] = subscribers.get(pattern, 0) + step
        patterns = sorted(pattern for pattern, count in subscribers.items() if count > 0)
        interval_ms: int = self.config()["group.consumer.regex.refresh.interval.ms"]
        due = (
            is_new_regex
            or len(patterns) != len(group.regexes)
            or last is None
            or last.version < self._new_topics_version
            or now_ms > last.timestamp + interval_ms
        )
        if not due or not patterns:
            return
        image = self.image()
        self._resolutions[group_id] = Resolution(
            dict(group.regexes), patterns, list(image.topics), image.offset, now_ms
        )
        self._schedule_resolution(group_id, 0)

    def _schedule_resolution(self, group_id: str, delay_ms: int) -> None:
        self.timers.schedule(
            f"regex {group_id}", delay_ms, lambda shard, now: self._advance_resolution(group_id, now)
        )

    def _advance_resolution(self, group_id: str, now_ms: int) -> Result[None]:
        resolution = self._resolutions.get(group_id)
        if resolution is None:
            return Result(None)
        if not resolution.advance():
            self._schedule_resolution(group_id, _REGEX_SLICE_PAUSE_MS)
            return Result(None)
        group = self.find(group_id)
        written: Records = []
        if isinstance(group, ConsumerGroup):
            written = self._resolved(group, resolution.result(), now_ms)

        def appended(error: ApiError | None) -> None:
            # When the append failed the timer fires again, with the same result.
            if error is None:
                self._resolutions.pop(group_id, None)

        return Result(None, written, on_append=appended)

    def _resolved(
        self, group: ConsumerGroup, result: dict[str, records.ResolvedRegex], now_ms: int
    ) -> Records:
        """The records of what regular expressions have matched."""
        group_id = group.group_id
        used = {pattern: new for pattern, new in result.items() if pattern in group.regex_subscribers}
        written = [records.regex(group_id, pattern, new) for pattern, new in used.items()]
        metadata_hash = self.hash_of(group.subscribed_topics_after(resolved=used))
        bump = metadata_hash != group.metadata_hash or any(
            group.regexes.get(pattern, records.NEVER_RESOLVED).topics != new.topics
            for pattern, new in used.items()
        )
        if bump:
            epoch = group.epoch + 1
            written.append(records.group_epoch(group_id, epoch, metadata_hash))
            _refreshed(group, epoch, now_ms)
        return written

    def update_epoch(
        self,
        group: ConsumerGroup,
        member: ConsumerMember,
        updated: ConsumerMember,
        written: Records,
        now_ms: int,
        *,
        bump: bool,
    ) -> int:
        """The group epoch, a new one if subscriptions or topics changed."""
        if not bump and not group.is_refresh_due(now_ms):
            return group.epoch
        epoch = group.epoch
        dropped_regexes = []
        if member.regex and member.regex != updated.regex and group.regex_subscribers.get(member.regex) == 1:
            dropped_regexes.append(member.regex)
        metadata_hash = self.hash_of(
            group.subscribed_topics_after(removed=(member,), added=updated, removed_regexes=dropped_regexes)
        )
        if bump or metadata_hash != group.metadata_hash:
            epoch += 1
            written.append(records.group_epoch(group.group_id, epoch, metadata_hash))
        _refreshed(group, epoch, now_ms)
        if group.has_partition_metadata_record:
            written.append(records.partition_metadata_tombstone(group.group_id))
        return epoch

    def hash_of(self, topics: Iterable[str]) -> int:
        """The metadata hash of those topics that exist."""
        image, cache = self.image(), self._topic_hashes
        hashes: dict[str, int] = {}
        for name in topics:
            known = cache.get(name)
            if known is None:
                topic = image.topics.get(name)
                if topic is None:
                    continue
                known = cache[name] = topic_hash(topic, image)
            hashes[name] = known
        return group_hash(hashes)

    # ---- assignment ----------------------------------------------------------------------------------

    def update_target(
        self,
        group: ConsumerGroup,
        epoch: int,
        member: ConsumerMember | None,
        updated: ConsumerMember,
        written: Records,
        now_ms: int,
    ) -> tuple[int, Target]:
        """The target of a member, computed anew for the group when it is too old and the last time is not."""
        group_id = group.group_id
        interval_ms = self.group_setting(group_id, "consumer.assignment.interval.ms")
        too_soon = (
            group.target_timestamp != 0 and interval_ms != 0 and now_ms < group.target_timestamp + interval_ms
        )
        if group.target_epoch >= epoch or too_soon:
            return group.target_epoch, group.target_of(updated)
        offered: list[str] = self.config()["group.consumer.assignors"]
        name = group.preferred_assignor_after(member, updated)
        if name not in ASSIGNORS:
            # None is asked for, or a newer broker knew it.
            name = offered[0] if offered and offered[0] in ASSIGNORS else "uniform"
        members = dict(group.members)
        previous = group.static_member(updated.instance_id)
        if previous is not None:
            members.pop(previous.member_id, None)
        members[updated.member_id] = updated
        targets = ASSIGNORS[name](self._spec(group, members, updated))
        for member_id in members:
            if targets[member_id] != group.targets.get(member_id):
                written.append(records.target(group_id, member_id, targets[member_id]))
        written.append(records.target_epoch(group_id, epoch, now_ms))
        return epoch, targets[updated.member_id]

    def _spec(
        self, group: ConsumerGroup, members: dict[str, ConsumerMember], updated: ConsumerMember
    ) -> GroupSpec:
        counts: dict[bytes, int] = {}
        # Members mostly have the same subscription: it is looked up once, and compared by identity later.
        known: dict[tuple[frozenset[str], str], frozenset[bytes]] = {}
        image = self.image()
        specs: dict[str, MemberSpec] = {}
        for member_id, member in members.items():
            key = (member.topics, member.regex)
            topic_ids = known.get(key)
            if topic_ids is None:
                found = {}
                for name in group.topics_of(member):
                    topic = image.topics.get(name)
                    if topic is not None:
                        found[topic.topic_id] = len(topic.partitions)
                counts.update(found)
                topic_ids = known[key] = frozenset(found)
            target = group.target_of(member) if member is updated else group.targets.get(member_id)
            specs[member_id] = MemberSpec(topic_ids, target or NO_PARTITIONS, member.instance_id)
        return GroupSpec(specs, counts)

    def reconcile(
        self,
        group: ConsumerGroup,
        member: ConsumerMember,
        target_epoch: int,
        target: Target,
        subscription_changed: bool,
        owned: Owned,
        written: Records,
    ) -> ConsumerMember:
        """Let a member take its next step."""
        if not subscription_changed and member.is_reconciled_to(target_epoch):
            return member
        topics = self.image().topics
        subscribed = {topics[name].topic_id for name in group.topics_of(member) if name in topics}
        updated = next_step(
            member,
            target_epoch=target_epoch,
            target=target,
            subscribed=subscribed,
            subscription_changed=subscription_changed,
            is_owned=group.is_owned,
            owned=owned,
        )
        if updated != member:
            written.append(records.current(group.group_id, updated))
            if updated.classic is None:
                if updated.state == UNREVOKED_PARTITIONS:
                    self._expect_revocation(group.group_id, updated)
                else:
                    self.timers.cancel(_rebalance_key(group.group_id, updated.member_id))
        return updated

    # ---- leaving and fencing -------------------------------------------------------------------------

    def leave(
        self, group: ConsumerGroup, request: ConsumerGroupHeartbeatRequest
    ) -> tuple[ConsumerMember, Result[ConsumerGroupHeartbeatResponse] | None]:
        """The member that leaves; with the result when it is a static member that will come back."""
        member_id, instance_id = request.member_id, request.instance_id
        if instance_id is None:
            return group.member(member_id), None
        member = group.static_member(instance_id)
        if member is None:
            raise ApiError(ErrorCode.UNKNOWN_MEMBER_ID, f"Instance id {instance_id} is unknown.")
        refuse_if_fenced(member, member_id, instance_id)
        if request.member_epoch != STATIC_LEAVING:
            return member, None
        away = member._replace(
            member_epoch=STATIC_LEAVING,
            assigned={topic_id: dict.fromkeys(epochs, 0) for topic_id, epochs in member.assigned.items()},
            revoking=NO_EPOCHS,
        )
        response = ConsumerGroupHeartbeatResponse(member_id=member.member_id, member_epoch=STATIC_LEAVING)
        return member, Result(response, [records.current(group.group_id, away)])

    def fenced(self, group: ConsumerGroup, members: list[ConsumerMember]) -> Records:
        """The records that remove members and start a rebalance."""
        group_id = group.group_id
        written: Records = []
        leaving: dict[str, int] = {}
        for member in members:
            written += self.removed_member(group_id, member.member_id)
            if member.regex:
                leaving[member.regex] = leaving.get(member.regex, 0) + 1
        unused = [
            pattern for pattern, count in leaving.items() if group.regex_subscribers.get(pattern) == count
        ]
        written += [records.regex_tombstone(group_id, pattern) for pattern in unused]
        metadata_hash = self.hash_of(group.subscribed_topics_after(removed=members, removed_regexes=unused))
        written.append(records.group_epoch(group_id, group.epoch + 1, metadata_hash))
        return written

    @staticmethod
    def removed_member(group_id: str, member_id: str) -> Records:
        """The tombstones of one member."""
        return [
            records.current_tombstone(group_id, member_id),
            records.target_tombstone(group_id, member_id),
            records.subscription_tombstone(group_id, member_id),
        ]

    # ---- timers --------------------------------------------------------------------------------------
    # They come back by the shard, because a fenced member may be the last one that keeps its group from being
    # a classic one.

    def expect_heartbeat(self, group_id: str, member_id: str, timeout_ms: int | None = None) -> None:
        """The member's session ends unless it is heard of in time."""
        if timeout_ms is None:
            timeout_ms = self.group_setting(group_id, "consumer.session.timeout.ms")
        self.timers.schedule(
            _session_key(group_id, member_id),
            timeout_ms,
            lambda shard, now: shard.consumer.expire(group_id, member_id, None, now),
        )

    def _expect_revocation(self, group_id: str, member: ConsumerMember) -> None:
        """The member has to give partitions back within its rebalance timeout."""
        member_id, member_epoch = member.member_id, member.member_epoch
        self.timers.schedule(
            _rebalance_key(group_id, member_id),
            member.rebalance_timeout_ms,
            lambda shard, now: shard.consumer.expire(group_id, member_id, member_epoch, now),
        )

    def expect_join(self, group_id: str, member: ConsumerMember) -> None:
        """A classic member was told to rejoin."""
        member_id = member.member_id
        self.timers.schedule_if_absent(
            _join_key(group_id, member_id),
            member.rebalance_timeout_ms,
            lambda shard, now: shard.consumer.expire(group_id, member_id, None, now),
        )

    def joined(self, group_id: str, member_id: str) -> None:
        """A classic member has rejoined."""
        self.timers.cancel(_join_key(group_id, member_id))

    def expect_sync(self, group_id: str, member_id: str, timeout_ms: int) -> None:
        """A classic member has to ask for its assignment."""
        self.timers.schedule(
            _sync_key(group_id, member_id),
            timeout_ms,
            lambda shard, now: shard.consumer.expire(group_id, member_id, None, now),
        )

    def synced(self, group_id: str, member_id: str) -> None:
        """A classic member has asked for its assignment."""
        self.timers.cancel(_sync_key(group_id, member_id))

    def cancel_timers(self, group_id: str, member_id: str) -> None:
        """The member is gone."""
        for key in (_session_key, _rebalance_key, _join_key, _sync_key):
            self.timers.cancel(key(group_id, member_id))

    def activate(self, group: ConsumerGroup) -> None:
        """The group was loaded: its members have a session from now on."""
        for member in group.members.values():
            self.expect_heartbeat(group.group_id, member.member_id)
            if member.state == UNREVOKED_PARTITIONS:
                self._expect_revocation(group.group_id, member)

    # ---- settings and metadata -----------------------------------------------------------------------

    def group_setting(self, group_id: str, name: str) -> int:
        """A setting of a group; of the broker where the group has none."""
        own = self.image().config(GROUP_RESOURCE, group_id).get(name)
        if own is not None:
            return int(own)
        value: int = self.config()[f"group.{name}"]
        return value

    def loaded(self) -> None:
        """The shard is active: regular expressions are compared with the topics of now."""
        self._new_topics_version = self.image().offset

    def on_metadata(
        self, groups: Iterable[object], image: MetadataImage, delta: MetadataDelta, now_ms: int
    ) -> None:
        """Topics changed: the groups that want them look at the next heartbeat whether that matters."""
        if delta.created_topics:
            self._new_topics_version = image.offset
        names = [
            *(topic.name for topic in delta.created_topics),
            *(topic.name for topic in delta.deleted_topics),
            *(change.new.name for change in delta.changed_topics),
        ]
        for name in names:
            self._topic_hashes.pop(name, None)
        if delta.brokers_changed:
            # Racks of brokers are part of every topic's hash.
            self._topic_hashes.clear()
        if names:
            for group in groups:
                if isinstance(group, ConsumerGroup) and any(map(group.is_subscribed_to, names)):
                    group.request_refresh()


def refuse_if_fenced(member: ConsumerMember, member_id: str, instance_id: str) -> None:
    """ApiError(FENCED_INSTANCE_ID) when another member holds the instance id."""
    if member.member_id != member_id:
        raise ApiError(
            ErrorCode.FENCED_INSTANCE_ID,
            f"Static member {member_id} with instance id {instance_id} was fenced by member "
            f"{member.member_id}.",
        )


def _validate_epoch(member: ConsumerMember, received: int, owned: Owned) -> None:
    """ApiError(FENCED_MEMBER_EPOCH) unless the member is where we think it is. It may be one epoch behind
    when our last answer was lost: then it reports nothing that it should not have."""
    if received in (0, member.member_epoch):
        return
    if received < member.member_epoch:
        if received == member.previous_member_epoch and _is_subset(owned, member.assigned):
            return
        relation = "smaller"
    else:
        relation = "greater"
    raise ApiError(
        ErrorCode.FENCED_MEMBER_EPOCH,
        f"The consumer group member has a {relation} member epoch ({received}) than the one known by the "
        f"group coordinator ({member.member_epoch}). The member must abandon all its partitions and rejoin.",
    )


def _is_subset(owned: Owned, assigned: Epochs) -> bool:
    if owned is None:
        return False
    return all(
        topic_id in assigned and all(partition in assigned[topic_id] for partition in partitions)
        for topic_id, partitions in owned
    )


def _validate_regex(pattern: str) -> None:
    try:
        Regex(pattern)
    except RegexError as error:
        raise ApiError(
            ErrorCode.INVALID_REGULAR_EXPRESSION,
            f"SubscribedTopicRegex `{pattern}` is not a valid regular expression: {error}.",
        ) from None


def _refreshed(group: ConsumerGroup, epoch: int, now_ms: int) -> None:
    group.refreshed_epoch = epoch
    group.refresh_deadline_ms = now_ms + _REFRESH_INTERVAL_MS


def _assignment(assigned: Epochs) -> Assignment:
    return Assignment(
        topic_partitions=[
            ResponseTopicPartitions(topic_id=topic_id, partitions=sorted(assigned[topic_id]))
            for topic_id in sorted(assigned)
        ]
    )


# With the length of the group id, so that no two pairs share a key.
def _session_key(group_id: str, member_id: str) -> str:
    return f"session {len(group_id)} {group_id} {member_id}"


def _rebalance_key(group_id: str, member_id: str) -> str:
    return f"rebalance {len(group_id)} {group_id} {member_id}"


def _join_key(group_id: str, member_id: str) -> str:
    return f"rejoin {len(group_id)} {group_id} {member_id}"


def _sync_key(group_id: str, member_id: str) -> str:
    return f"resync {len(group_id)} {group_id} {member_id}"

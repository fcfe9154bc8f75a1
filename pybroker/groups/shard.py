"""One partition of `__consumer_offsets`: its groups and their offsets.

In: records to replay, requests, timers, metadata. Out: `Result`s and answers. What must hold: loading equals
replaying; every group id belongs to one group of one kind; records of types that are not known here are
tolerated.

A new record type is a line in `_REPLAY`; a new kind of group is a class with the shape of `group.Group`.
"""

from __future__ import annotations

import random
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any, Final

from pybroker.common.config import BrokerConfig
from pybroker.common.errors import ApiError, ErrorCode
from pybroker.coordinator.result import CoordinatorRecord, Result
from pybroker.groups.classic.coordinator import ClassicGroups, JoinContext
from pybroker.groups.classic.group import ClassicGroup, from_record, refused_join
from pybroker.groups.consumer import replay as consumer_records
from pybroker.groups.consumer.coordinator import Caller
from pybroker.groups.consumer.group import ConsumerGroup
from pybroker.groups.consumer.protocol import ConsumerProtocol
from pybroker.groups.group import DEAD, STABLE, CommitValidator, Group
from pybroker.groups.offsets import OffsetStore, no_offset
from pybroker.wire.messages.describe_groups import DescribedGroup, DescribedGroupMember
from pybroker.wire.messages.heartbeat import HeartbeatRequest, HeartbeatResponse
from pybroker.wire.messages.join_group import JoinGroupRequest, JoinGroupResponse
from pybroker.wire.messages.leave_group import LeaveGroupRequest, LeaveGroupResponse, MemberResponse
from pybroker.wire.messages.list_groups import ListedGroup
from pybroker.wire.messages.offset_commit import OffsetCommitRequest, OffsetCommitResponse
from pybroker.wire.messages.offset_delete import (
    OffsetDeleteRequest,
    OffsetDeleteResponse,
    OffsetDeleteResponsePartition,
    OffsetDeleteResponseTopic,
)
from pybroker.wire.messages.offset_fetch import (
    OffsetFetchRequestGroup,
    OffsetFetchResponseGroup,
    OffsetFetchResponseTopics,
)
from pybroker.wire.messages.sync_group import SyncGroupRequest, SyncGroupResponse
from pybroker.wire.messages.txn_offset_commit import (
    TxnOffsetCommitRequest,
    TxnOffsetCommitResponse,
)
from pybroker.wire.schemas.coordinator_record_types import (
    GroupMetadataKey,
    GroupMetadataValue,
    OffsetCommitKey,
    OffsetCommitValue,
)
from pybroker.wire.schemas.coordinator_records import (
    GROUP_METADATA,
    OFFSET_COMMIT,
    decode_key,
    decode_value,
    record_type,
)

if TYPE_CHECKING:
    from pybroker.coordinator.shard import Timers
    from pybroker.metadata.delta import MetadataDelta
    from pybroker.metadata.image import MetadataImage

_MINUTE_MS: Final = 60_000
_EXPIRY_TIMER: Final = "expire offsets"
_DELETED_TOPICS_TIMER: Final = "offsets of deleted topics"
# From this version of OffsetCommit on, an unknown group is told apart from an old generation.
_GROUP_ID_NOT_FOUND_FROM: Final = 9
_DESCRIBE_NOT_FOUND_FROM: Final = 6


class GroupShard:
    """The groups whose ids hash to one partition."""

    def __init__(
        self,
        config: BrokerConfig,
        image: Callable[[], MetadataImage],
        timers: Timers,
        rng: random.Random,
        live_config: Callable[[], BrokerConfig] | None = None,
    ) -> None:
        """`live_config`: the settings as they are now, for those that may change."""
        self.config = config
        self.image = image
        self.timers = timers
        self.rng = rng
        self.groups: dict[str, Group] = {}
        self.offsets = OffsetStore(
            config["offset.metadata.max.bytes"], config["offsets.retention.minutes"] * _MINUTE_MS
        )
        self.classic = ClassicGroups(config, timers, rng, self.remove_group)
        self.consumer = ConsumerProtocol(
            live_config or (lambda: config), image, timers, rng, self.groups, self.classic
        )
        self._expiry_interval_ms: int = config["offsets.retention.check.interval.ms"]
        self._deleted_topics: dict[str, None] = {}

    # ---- replay --------------------------------------------------------------------------------------

    def replay(
        self,
        key: bytes,
        value: bytes | None,
        *,
        offset: int,
        timestamp: int,
        producer_id: int,
        producer_epoch: int,
    ) -> None:
        """Apply a record of the log."""
        fresh = self.offsets.take_fresh(key, value)
        if fresh is not None:
            self._ensure_group(fresh[0].group)
            self.offsets.replay_fresh(*fresh, offset, producer_id)
            return
        number = record_type(key)
        apply = _REPLAY.get(number)
        if apply is None and number not in consumer_records.RECORD_TYPES:
            return
        decoded = decode_key(key)
        read = None if value is None else decode_value(number, value)
        if apply is not None:
            apply(self, decoded, read, offset, producer_id)
        else:
            self.consumer.replay(number, decoded, read)

    def _replay_offset(
        self, key: OffsetCommitKey, value: OffsetCommitValue | None, offset: int, producer_id: int
    ) -> None:
        if value is not None:
            self._ensure_group(key.group)
        self.offsets.replay(key, value, offset, producer_id)

    def _ensure_group(self, group_id: str) -> None:
        """Offsets need a group: a simple one, if nobody ever joined it."""
        if group_id not in self.groups:
            self.groups[group_id] = ClassicGroup(group_id)

    def _replay_classic_group(
        self, key: GroupMetadataKey, value: GroupMetadataValue | None, offset: int, producer_id: int
    ) -> None:
        if value is None:
            self.remove_group(key.group)
        else:
            self.groups[key.group] = from_record(key.group, value)

    def remove_group(self, group_id: str) -> None:
        """Forget a group; its offsets have tombstones of their own."""
        group = self.groups.pop(group_id, None)
        if isinstance(group, ClassicGroup):
            self.classic.drop(group, group.state_timestamp, ErrorCode.UNKNOWN_MEMBER_ID)

    def replay_end_transaction(self, producer_id: int, producer_epoch: int, committed: bool) -> None:
        """A transaction's marker is in the log."""
        self.offsets.replay_end_transaction(producer_id, committed)

    # ---- leadership, time and metadata ---------------------------------------------------------------

    def become_active(self, now_ms: int) -> list[CoordinatorRecord]:
        """Loaded: sessions begin, offsets may expire."""
        for group in list(self.groups.values()):
            if isinstance(group, ClassicGroup):
                self.classic.activate(group, now_ms)
        self.consumer.become_active()
        self.timers.schedule(_EXPIRY_TIMER, self._expiry_interval_ms, _expire)
        return []

    def become_inactive(self) -> None:
        """Not the coordinator any more: who waits is told to look for the new one."""
        for group in list(self.groups.values()):
            if isinstance(group, ClassicGroup):
                self.classic.drop(group, group.state_timestamp, ErrorCode.NOT_COORDINATOR)

    def expire(self, now_ms: int) -> Result[None]:
        """Remove what is too old: offsets, and empty groups without offsets."""
        self.timers.schedule(_EXPIRY_TIMER, self._expiry_interval_ms, _expire)
        records: list[CoordinatorRecord] = []
        for group in list(self.groups.values()):
            expired, nothing_left = self.offsets.expired(group, now_ms)
            records += expired
            if nothing_left and group.is_empty:
                records += group.tombstones()
        return Result(None, records, atomic=False)

    def on_metadata(self, image: MetadataImage, delta: MetadataDelta, now_ms: int) -> None:
        """Topics changed: the offsets of those that are gone go too."""
        self.consumer.on_metadata(image, delta, now_ms)
        if delta.deleted_topics:
            # A new topic of that name may be there when the timer fires: only what is committed by now goes.
            self._deleted_topics.update((topic.name, None) for topic in delta.deleted_topics)
            self.timers.schedule(_DELETED_TOPICS_TIMER, 0, _delete_topics)

    def delete_topics(self) -> Result[None]:
        """Tombstones of the offsets of deleted topics."""
        names = list(self._deleted_topics)

        def appended(error: ApiError | None) -> None:
            if error is None:
                for name in names:
                    self._deleted_topics.pop(name, None)

        return Result(None, self.offsets.delete_topics(names), atomic=False, on_append=appended)

    # ---- groups --------------------------------------------------------------------------------------

    def group(self, group_id: str) -> Group:
        """The group of an id; GROUP_ID_NOT_FOUND when there is none."""
        group = self.groups.get(group_id)
        if group is None:
            raise ApiError(ErrorCode.GROUP_ID_NOT_FOUND, f"Group {group_id} not found.")
        return group

    def join(self, request: JoinGroupRequest, context: JoinContext, now_ms: int) -> Result[JoinGroupResponse]:
        """JoinGroup."""
        group_id = request.group_id
        group = self.groups.get(group_id)
        if isinstance(group, ConsumerGroup) and not group.is_empty:
            return self.consumer.join(group, request, Caller(*context), now_ms)
        if isinstance(group, ClassicGroup):
            return self.classic.join(group, request, context, now_ms, created=False)
        if request.member_id:
            return Result(refused_join(request.member_id, ErrorCode.UNKNOWN_MEMBER_ID))
        former = group
        made = self.groups[group_id] = ClassicGroup(group_id, state_timestamp=now_ms)
        result = self.classic.join(made, request, context, now_ms, created=True)
        if former is None:
            return result
        # An empty consumer group becomes a classic one.
        return self._replacing(former, made, result)

    def _replacing(
        self, former: Group, made: ClassicGroup, result: Result[JoinGroupResponse]
    ) -> Result[JoinGroupResponse]:
        """`result` with the records that remove the former group, which is back when they are refused."""
        on_append = result.on_append

        def appended(error: ApiError | None) -> None:
            if on_append is not None:
                on_append(error)
            if error is not None and self.groups.get(former.group_id, made) is made:
                self.classic.drop(made, made.state_timestamp, error.code)
                self.groups[former.group_id] = former

        result.records[:0] = former.tombstones()
        result.on_append = appended
        return result

    def _classic(self, group_id: str) -> ClassicGroup:
        """The classic group that a member talks about; it knows none when there is none."""
        group = self.groups.get(group_id)
        if not isinstance(group, ClassicGroup):
            raise ApiError(ErrorCode.UNKNOWN_MEMBER_ID)
        return group

    def sync(self, request: SyncGroupRequest, now_ms: int) -> Result[SyncGroupResponse]:
        """SyncGroup."""
        group = self.groups.get(request.group_id)
        if isinstance(group, ConsumerGroup):
            return self.consumer.sync(group, request)
        return self.classic.sync(self._classic(request.group_id), request, now_ms)

    def heartbeat(self, request: HeartbeatRequest) -> HeartbeatResponse:
        """Heartbeat."""
        group = self.groups.get(request.group_id)
        if isinstance(group, ConsumerGroup):
            return self.consumer.classic_heartbeat(group, request)
        return self.classic.heartbeat(self._classic(request.group_id), request)

    def leave(self, request: LeaveGroupRequest, now_ms: int) -> Result[LeaveGroupResponse]:
        """LeaveGroup, with the members of v3 and later."""
        group = self.groups.get(request.group_id)
        if isinstance(group, ConsumerGroup):
            return self.consumer.leave(group, request, now_ms)
        if not isinstance(group, ClassicGroup):
            return Result(
                LeaveGroupResponse(
                    members=[
                        MemberResponse(
                            member_id=member.member_id,
                            group_instance_id=member.group_instance_id,
                            error_code=ErrorCode.UNKNOWN_MEMBER_ID,
                        )
                        for member in request.members
                    ]
                )
            )
        return self.classic.leave(group, request, now_ms)

    # ---- offsets -------------------------------------------------------------------------------------

    def commit_offsets(
        self, request: OffsetCommitRequest, version: int, now_ms: int
    ) -> Result[OffsetCommitResponse]:
        """OffsetCommit of topics that exist."""
        group_id, member_id = request.group_id, request.member_id
        generation = request.generation_id_or_member_epoch
        group = self.groups.get(group_id)
        if group is None:
            if generation >= 0:
                code = ErrorCode.GROUP_ID_NOT_FOUND
                raise ApiError(code if version >= _GROUP_ID_NOT_FOUND_FROM else ErrorCode.ILLEGAL_GENERATION)
        else:
            validate = group.validate_offset_commit(
                member_id, request.group_instance_id, generation, transactional=False, version=version
            )
            if validate is not None:
                for topic in request.topics:
                    for partition in topic.partitions:
                        if not self.offsets.is_metadata_too_long(partition.committed_metadata or ""):
                            validate(topic.name, topic.topic_id, partition.partition_index)
            if isinstance(group, ClassicGroup):
                self.classic.note_alive(group, member_id)
        answers, records = self.offsets.commit(group_id, request.topics, request.retention_time, now_ms)
        self._create_simple(group_id, records, now_ms)
        return Result(OffsetCommitResponse(topics=answers), records)

    def commit_transactional_offsets(
        self, request: TxnOffsetCommitRequest, version: int, now_ms: int
    ) -> Result[TxnOffsetCommitResponse]:
        """TxnOffsetCommit of topics that exist. To be run with the request's producer id and epoch, so that
        the offsets wait for the end of its transaction."""
        group_id = request.group_id
        group = self.groups.get(group_id)
        if group is None:
            if request.generation_id >= 0:
                raise ApiError(ErrorCode.ILLEGAL_GENERATION)
        else:
            try:
                validate = group.validate_offset_commit(
                    request.member_id,
                    request.group_instance_id,
                    request.generation_id,
                    transactional=True,
                    version=version,
                )
                if validate is not None:
                    self._validate_transactional(request, validate)
            except ApiError as error:
                if error.code == ErrorCode.STALE_MEMBER_EPOCH:
                    raise ApiError(ErrorCode.ILLEGAL_GENERATION) from None
                raise
        answers, records = self.offsets.commit_transactional(group_id, request.topics, now_ms)
        self._create_simple(group_id, records, now_ms)
        return Result(TxnOffsetCommitResponse(topics=answers), records)

    def _create_simple(self, group_id: str, records: Sequence[CoordinatorRecord], now_ms: int) -> None:
        """A commit makes its group also when none of its offsets is kept; else their records do."""
        if not records and group_id not in self.groups:
            self.groups[group_id] = ClassicGroup(group_id, state_timestamp=now_ms)

    def _validate_transactional(self, request: TxnOffsetCommitRequest, validate: CommitValidator) -> None:
        """Ask for each partition whether the member may commit."""
        topics = self.image().topics
        for topic in request.topics:
            known = topics.get(topic.name)
            if known is None:
                raise ApiError(ErrorCode.ILLEGAL_GENERATION)
            for partition in topic.partitions:
                if not self.offsets.is_metadata_too_long(partition.committed_metadata or ""):
                    validate(topic.name, known.topic_id, partition.partition_index)

    def fetch_offsets(
        self, request: OffsetFetchRequestGroup, require_stable: bool
    ) -> OffsetFetchResponseGroup:
        """One group of an OffsetFetch; topics None: all."""
        group_id = request.group_id
        group = self.groups.get(group_id)
        if group is None:
            topics = [
                OffsetFetchResponseTopics(
                    name=topic.name,
                    topic_id=topic.topic_id,
                    partitions=[no_offset(index) for index in topic.partition_indexes],
                )
                for topic in request.topics or ()
            ]
            return OffsetFetchResponseGroup(group_id=group_id, topics=topics)
        group.validate_offset_fetch(request.member_id, request.member_epoch)
        if request.topics is None:
            topics = self.offsets.fetch_all(group_id, require_stable)
        else:
            topics = self.offsets.fetch(group_id, request.topics, require_stable)
        return OffsetFetchResponseGroup(group_id=group_id, topics=topics)

    def delete_offsets(self, request: OffsetDeleteRequest) -> Result[OffsetDeleteResponse]:
        """OffsetDelete of topics that exist."""
        group = self.group(request.group_id)
        group.validate_offset_delete()
        records: list[CoordinatorRecord] = []
        topics = []
        for topic in request.topics:
            error = ErrorCode.NONE
            if group.is_subscribed_to(topic.name):
                error = ErrorCode.GROUP_SUBSCRIBED_TO_TOPIC
            answers = []
            for partition in topic.partitions:
                index = partition.partition_index
                answers.append(OffsetDeleteResponsePartition(partition_index=index, error_code=error))
                if not error:
                    records += self.offsets.delete(request.group_id, topic.name, index)
            topics.append(OffsetDeleteResponseTopic(name=topic.name, partitions=answers))
        return Result(OffsetDeleteResponse(topics=topics), records)

    # ---- administration ------------------------------------------------------------------------------

    def list_groups(self, states: list[str], types: list[str]) -> list[ListedGroup]:
        """The groups in one of the states and of one of the types (lower case; empty: any)."""
        return [
            ListedGroup(
                group_id=group.group_id,
                protocol_type=group.protocol_type_text,
                group_state=group.state,
                group_type=group.kind,
            )
            for group in self.groups.values()
            if (not states or group.state.lower() in states) and (not types or group.kind.lower() in types)
        ]

    def describe_group(self, group_id: str, version: int) -> DescribedGroup:
        """DescribeGroups of one classic group; to it groups of other kinds do not exist."""
        group = self.groups.get(group_id)
        if not isinstance(group, ClassicGroup):
            if version < _DESCRIBE_NOT_FOUND_FROM:
                return DescribedGroup(group_id=group_id, group_state=DEAD)
            what = "not found" if group is None else "is not a classic group"
            return DescribedGroup(
                group_id=group_id,
                group_state=DEAD,
                error_code=ErrorCode.GROUP_ID_NOT_FOUND,
                error_message=f"Group {group_id} {what}.",
            )
        name = group.protocol_name if group.state == STABLE else None
        return DescribedGroup(
            group_id=group_id,
            group_state=group.state,
            protocol_type=group.protocol_type_text,
            protocol_data=name or "",
            members=[
                DescribedGroupMember(
                    member_id=member.member_id,
                    group_instance_id=member.instance_id,
                    client_id=member.client_id,
                    client_host=member.client_host,
                    member_metadata=member.metadata(name) if name is not None else b"",
                    member_assignment=member.assignment,
                )
                for member in group.members.values()
            ],
        )

    def delete_group(self, group_id: str) -> Result[None]:
        """DeleteGroups of one group, with its offsets."""
        group = self.group(group_id)
        group.validate_delete()
        return Result(None, [*self.offsets.delete_all(group_id), *group.tombstones()], atomic=False)


def _expire(shard: GroupShard, now_ms: int) -> Result[None]:
    return shard.expire(now_ms)


def _delete_topics(shard: GroupShard, now_ms: int) -> Result[None]:
    return shard.delete_topics()


_REPLAY: Final[dict[int, Callable[[GroupShard, Any, Any, int, int], None]]] = {
    OFFSET_COMMIT: GroupShard._replay_offset,
    GROUP_METADATA: GroupShard._replay_classic_group,
}
"""Record type -> what applies it: (shard, key, value or None, offset in the log, producer id or -1)."""

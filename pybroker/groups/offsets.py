"""Committed offsets of the groups of one shard, and those that wait for their transaction to end.

In: commits, fetches, deletions, records to replay, markers of transactions. Out: records, answers. What must
hold:

- offsets change only in `replay` and `replay_end_transaction`;
- a transactional offset counts from its commit marker on, and never replaces one that was written after it;
- an offset with a pending transactional commit is answered as unstable to who asks for stable ones, and does
  not expire.

Sources: KIP-211 (expiry), KIP-447 (stable offsets), KIP-848 and KIP-1251 (topic ids); Kafka 4.3's answers.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import TYPE_CHECKING, Final, NamedTuple

from pybroker.common.errors import ErrorCode
from pybroker.coordinator.result import CoordinatorRecord
from pybroker.groups.expiry import is_expired
from pybroker.wire.fast import offset_commit_record as fast
from pybroker.wire.message import ZERO_UUID
from pybroker.wire.messages.offset_commit import (
    OffsetCommitRequestPartition,
    OffsetCommitRequestTopic,
    OffsetCommitResponsePartition,
    OffsetCommitResponseTopic,
)
from pybroker.wire.messages.offset_fetch import (
    OffsetFetchRequestTopics,
    OffsetFetchResponsePartitions,
    OffsetFetchResponseTopics,
)
from pybroker.wire.messages.txn_offset_commit import (
    TxnOffsetCommitRequestPartition,
    TxnOffsetCommitRequestTopic,
    TxnOffsetCommitResponsePartition,
    TxnOffsetCommitResponseTopic,
)
from pybroker.wire.schemas.coordinator_record_types import OffsetCommitKey, OffsetCommitValue
from pybroker.wire.schemas.coordinator_records import encode_key, encode_value

if TYPE_CHECKING:
    from pybroker.groups.group import Group

NO_OFFSET: Final = -1
# A commit with its own retention is written as version 1, the only one that has a place for it.
_EXPIRING_VERSION: Final = 1


class CommittedOffset(NamedTuple):
    """One committed offset. `log_offset` is where its record lies; times are wall milliseconds or -1."""

    offset: int
    leader_epoch: int
    metadata: str
    commit_timestamp: int
    expire_timestamp: int
    topic_id: bytes
    log_offset: int


# The fields of a CommittedOffset but for the last.
_Content = tuple[int, int, str, int, int, bytes]
# topic -> partition -> offset
TopicOffsets = dict[str, dict[int, CommittedOffset]]


def offset_tombstone(group_id: str, topic: str, partition: int) -> CoordinatorRecord:
    """The record that removes a committed offset."""
    return CoordinatorRecord(
        encode_key(OffsetCommitKey(group=group_id, topic=topic, partition=partition)), None
    )


class OffsetStore:
    """The offsets of one shard."""

    __slots__ = ("_by_group", "_fresh", "_metadata_max_bytes", "_open_producers", "_pending", "_retention_ms")

    def __init__(self, metadata_max_bytes: int, retention_ms: int) -> None:
        self._metadata_max_bytes = metadata_max_bytes
        self._retention_ms = retention_ms
        self._by_group: dict[str, TopicOffsets] = {}
        # producer id -> group -> offsets of its open transaction
        self._pending: dict[int, dict[str, TopicOffsets]] = {}
        # group -> producers with pending offsets; a dict, because its order is that of the records
        self._open_producers: dict[str, dict[int, None]] = {}
        # What was just encoded, by key, so that its replay need not decode it: value, key, what it says.
        self._fresh: dict[bytes, tuple[bytes, OffsetCommitKey, _Content]] = {}

    # ---- state ---------------------------------------------------------------------------------------

    def replay(
        self,
        key: OffsetCommitKey,
        value: OffsetCommitValue | None,
        log_offset: int,
        producer_id: int,
    ) -> None:
        """Apply a commit (of an open transaction when `producer_id` >= 0) or a tombstone."""
        group_id, topic, partition = key.group, key.topic, key.partition
        if value is None:
            _remove(self._by_group, group_id, topic, partition)
            for producer in list(self._open_producers.get(group_id, ())):
                self._remove_pending(producer, group_id, topic, partition)
            return
        content = (
            value.offset,
            value.leader_epoch,
            value.metadata,
            value.commit_timestamp,
            value.expire_timestamp,
            value.topic_id,
        )
        self._put(key, CommittedOffset(*content, log_offset), producer_id)

    def take_fresh(self, key: bytes, value: bytes | None) -> tuple[OffsetCommitKey, _Content] | None:
        """What a record says that was made by the last commit, None for any other."""
        fresh = self._fresh.pop(key, None)
        return fresh[1:] if fresh is not None and fresh[0] is value else None

    def replay_fresh(
        self, key: OffsetCommitKey, content: _Content, log_offset: int, producer_id: int
    ) -> None:
        """As `replay`, with what `take_fresh` gave."""
        self._put(key, CommittedOffset(*content, log_offset), producer_id)

    def _put(self, key: OffsetCommitKey, committed: CommittedOffset, producer_id: int) -> None:
        group_id, topic, partition = key.group, key.topic, key.partition
        if producer_id < 0:
            groups = self._by_group
        else:
            groups = self._pending.setdefault(producer_id, {})
            self._open_producers.setdefault(group_id, {})[producer_id] = None
        groups.setdefault(group_id, {}).setdefault(topic, {})[partition] = committed

    def replay_end_transaction(self, producer_id: int, committed: bool) -> None:
        """The transaction of a producer ended: its pending offsets count, or are gone."""
        for group_id, topics in self._pending.pop(producer_id, {}).items():
            self._forget_producer(group_id, producer_id)
            if not committed:
                continue
            offsets = self._by_group.setdefault(group_id, {})
            for topic, partitions in topics.items():
                known = offsets.setdefault(topic, {})
                for partition, offset in partitions.items():
                    # The newest record wins, also when compaction has brought their order to light late.
                    existing = known.get(partition)
                    if existing is None or offset.log_offset > existing.log_offset:
                        known[partition] = offset

    def _remove_pending(self, producer_id: int, group_id: str, topic: str, partition: int) -> None:
        groups = self._pending[producer_id]
        _remove(groups, group_id, topic, partition)
        if group_id not in groups:
            self._forget_producer(group_id, producer_id)
        if not groups:
            del self._pending[producer_id]

    def _forget_producer(self, group_id: str, producer_id: int) -> None:
        producers = self._open_producers[group_id]
        del producers[producer_id]
        if not producers:
            del self._open_producers[group_id]

    def get(self, group_id: str, topic: str, partition: int) -> CommittedOffset | None:
        return self._by_group.get(group_id, {}).get(topic, {}).get(partition)

    def of_group(self, group_id: str) -> TopicOffsets:
        """All committed offsets of a group; not to be changed."""
        return self._by_group.get(group_id, {})

    @property
    def group_ids(self) -> list[str]:
        """The groups that have offsets, committed or pending."""
        return list({**self._by_group, **self._open_producers})

    def has_pending(self, group_id: str) -> bool:
        """Whether some transaction with offsets of the group is open."""
        return group_id in self._open_producers

    def is_unstable(self, group_id: str, topic: str, partition: int) -> bool:
        """Whether an open transaction may change this offset."""
        producers = self._open_producers.get(group_id)
        if not producers:
            return False
        return any(partition in self._pending[producer][group_id].get(topic, {}) for producer in producers)

    # ---- requests ------------------------------------------------------------------------------------

    def commit(
        self, group_id: str, topics: Iterable[OffsetCommitRequestTopic], retention_ms: int, now_ms: int
    ) -> tuple[list[OffsetCommitResponseTopic], list[CoordinatorRecord]]:
        """The answers and records of a commit that its group allows; `retention_ms` -1: the default."""
        expire_timestamp = -1 if retention_ms < 0 else now_ms + retention_ms
        answers: list[OffsetCommitResponseTopic] = []
        records = self._start_commit()
        for topic in topics:
            partitions = [
                OffsetCommitResponsePartition(partition_index=index, error_code=error)
                for index, error in self._commit_topic(
                    group_id, topic.name, topic.topic_id, topic.partitions, expire_timestamp, now_ms, records
                )
            ]
            answers.append(
                OffsetCommitResponseTopic(name=topic.name, topic_id=topic.topic_id, partitions=partitions)
            )
        return answers, records

    def commit_transactional(
        self, group_id: str, topics: Iterable[TxnOffsetCommitRequestTopic], now_ms: int
    ) -> tuple[list[TxnOffsetCommitResponseTopic], list[CoordinatorRecord]]:
        """As `commit`, for TxnOffsetCommit: the records are to be replayed with their producer id."""
        answers: list[TxnOffsetCommitResponseTopic] = []
        records = self._start_commit()
        for topic in topics:
            partitions = [
                TxnOffsetCommitResponsePartition(partition_index=index, error_code=error)
                for index, error in self._commit_topic(
                    group_id, topic.name, ZERO_UUID, topic.partitions, -1, now_ms, records
                )
            ]
            answers.append(TxnOffsetCommitResponseTopic(name=topic.name, partitions=partitions))
        return answers, records

    def _start_commit(self) -> list[CoordinatorRecord]:
        # Left behind by a commit whose append failed.
        self._fresh.clear()
        return []

    def _commit_topic(
        self,
        group_id: str,
        topic: str,
        topic_id: bytes,
        partitions: Iterable[OffsetCommitRequestPartition | TxnOffsetCommitRequestPartition],
        expire_timestamp: int,
        now_ms: int,
        records: list[CoordinatorRecord],
    ) -> Iterator[tuple[int, ErrorCode]]:
        """Add the records of one topic; (partition, error) of each."""
        prefix = fast.key_prefix(group_id, topic)
        for wanted in partitions:
            index = wanted.partition_index
            metadata = wanted.committed_metadata or ""
            if metadata and self.is_metadata_too_long(metadata):
                yield index, ErrorCode.OFFSET_METADATA_TOO_LARGE
                continue
            offset, epoch = wanted.committed_offset, wanted.committed_leader_epoch
            if expire_timestamp >= 0:
                # Version 1 has no room for the epoch and the topic id.
                epoch, topic_id = -1, ZERO_UUID
                value = encode_value(
                    OffsetCommitValue(
                        offset=offset,
                        metadata=metadata,
                        commit_timestamp=now_ms,
                        expire_timestamp=expire_timestamp,
                    ),
                    _EXPIRING_VERSION,
                )
            else:
                value = fast.encode_value(offset, epoch, metadata, now_ms, topic_id)
            key = fast.encode_key(prefix, index)
            self._fresh[key] = (
                value,
                OffsetCommitKey(group=group_id, topic=topic, partition=index),
                (offset, epoch, metadata, now_ms, expire_timestamp, topic_id),
            )
            records.append(CoordinatorRecord(key, value))
            yield index, ErrorCode.NONE

    def is_metadata_too_long(self, metadata: str) -> bool:
        """Whether the text of a commit is longer than `offset.metadata.max.bytes`."""
        length = len(metadata)
        if length * 2 > self._metadata_max_bytes and not metadata.isascii():
            length = len(metadata.encode("utf-16-le", "surrogatepass")) // 2
        return length > self._metadata_max_bytes

    def fetch(
        self, group_id: str, topics: Iterable[OffsetFetchRequestTopics], require_stable: bool
    ) -> list[OffsetFetchResponseTopics]:
        """The offsets that were asked for; -1 where there is none."""
        offsets = self.of_group(group_id)
        answers = []
        for topic in topics:
            known = offsets.get(topic.name, {})
            answers.append(
                OffsetFetchResponseTopics(
                    name=topic.name,
                    topic_id=topic.topic_id,
                    partitions=[
                        self._answer(
                            group_id, topic.name, index, known.get(index), topic.topic_id, require_stable
                        )
                        for index in topic.partition_indexes
                    ],
                )
            )
        return answers

    def fetch_all(self, group_id: str, require_stable: bool) -> list[OffsetFetchResponseTopics]:
        """All offsets of a group."""
        return [
            OffsetFetchResponseTopics(
                name=topic,
                partitions=[
                    self._answer(group_id, topic, index, offset, ZERO_UUID, require_stable)
                    for index, offset in partitions.items()
                ],
            )
            for topic, partitions in self.of_group(group_id).items()
        ]

    def _answer(
        self,
        group_id: str,
        topic: str,
        partition: int,
        offset: CommittedOffset | None,
        topic_id: bytes,
        require_stable: bool,
    ) -> OffsetFetchResponsePartitions:
        if require_stable and self.is_unstable(group_id, topic, partition):
            return no_offset(partition, ErrorCode.UNSTABLE_OFFSET_COMMIT)
        if offset is None or (
            # Committed for another topic of this name.
            offset.topic_id != topic_id and topic_id != ZERO_UUID and offset.topic_id != ZERO_UUID
        ):
            return no_offset(partition)
        return OffsetFetchResponsePartitions(
            partition_index=partition,
            committed_offset=offset.offset,
            committed_leader_epoch=offset.leader_epoch,
            metadata=offset.metadata,
        )

    def delete(self, group_id: str, topic: str, partition: int) -> list[CoordinatorRecord]:
        """The tombstone of an offset, nothing when there is none."""
        if self.get(group_id, topic, partition) is None and not self.is_unstable(group_id, topic, partition):
            return []
        return [offset_tombstone(group_id, topic, partition)]

    def delete_all(self, group_id: str) -> list[CoordinatorRecord]:
        """Tombstones of everything a group has, pending offsets included."""
        found: dict[tuple[str, int], None] = {}
        for topics in self._all_of(group_id):
            for topic, partitions in topics.items():
                for partition in partitions:
                    found[topic, partition] = None
        return [offset_tombstone(group_id, topic, partition) for topic, partition in found]

    def _all_of(self, group_id: str) -> list[TopicOffsets]:
        pending = [self._pending[producer][group_id] for producer in self._open_producers.get(group_id, ())]
        return [self.of_group(group_id), *pending]

    def delete_topics(self, topics: Iterable[str]) -> list[CoordinatorRecord]:
        """Tombstones of the offsets of topics that are no more."""
        records = []
        names = list(topics)
        for group_id in self.group_ids:
            found: dict[tuple[str, int], None] = {}
            for offsets in self._all_of(group_id):
                for topic in names:
                    for partition in offsets.get(topic, ()):
                        found[topic, partition] = None
            records += [offset_tombstone(group_id, topic, partition) for topic, partition in found]
        return records

    def expired(self, group: Group, now_ms: int) -> tuple[list[CoordinatorRecord], bool]:
        """Tombstones of a group's expired offsets, and whether the group has no offset left after them."""
        group_id = group.group_id
        pending = self.has_pending(group_id)
        offsets = self._by_group.get(group_id)
        if not offsets:
            return [], not pending
        base_of = group.offset_expiration_base()
        if base_of is None:
            return [], False
        records: list[CoordinatorRecord] = []
        kept = False
        for topic, partitions in offsets.items():
            if group.is_subscribed_to(topic):
                kept = True
                continue
            for partition, offset in partitions.items():
                if self.is_unstable(group_id, topic, partition) or not is_expired(
                    offset, base_of(offset), now_ms, self._retention_ms
                ):
                    kept = True
                else:
                    records.append(offset_tombstone(group_id, topic, partition))
        return records, not kept and not pending


def no_offset(partition: int, error: ErrorCode = ErrorCode.NONE) -> OffsetFetchResponsePartitions:
    """The answer for a partition without a committed offset."""
    return OffsetFetchResponsePartitions(
        partition_index=partition,
        committed_offset=NO_OFFSET,
        committed_leader_epoch=-1,
        metadata="",
        error_code=error,
    )


def _remove(groups: dict[str, TopicOffsets], group_id: str, topic: str, partition: int) -> None:
    """Remove one offset, and what becomes empty with it."""
    topics = groups.get(group_id)
    partitions = topics.get(topic) if topics else None
    if topics is None or partitions is None or partitions.pop(partition, None) is None:
        return
    if not partitions:
        del topics[topic]
        if not topics:
            del groups[group_id]

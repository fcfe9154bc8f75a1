"""The records of consumer groups (types 3 and 5 to 8 and 16), made and read.

In: members, targets, epochs. Out: `CoordinatorRecord`s in the versions that Kafka 4.3.0 writes; the same
values from their messages. What must hold: lists that have no order of their own are written sorted, so
that equal states give equal bytes.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Final, NamedTuple

from pybroker.coordinator.result import CoordinatorRecord
from pybroker.groups.assignors import Target
from pybroker.groups.consumer.member import ClassicDetails, ConsumerMember, Epochs
from pybroker.wire.message import Message
from pybroker.wire.schemas import coordinator_record_types as types
from pybroker.wire.schemas.coordinator_records import encode_key, encode_value


class ResolvedRegex(NamedTuple):
    """What a regular expression matched, as of the metadata of offset `version`, at `timestamp` (wall ms)."""

    topics: frozenset[str]
    version: int
    timestamp: int


NEVER_RESOLVED: Final = ResolvedRegex(frozenset(), -1, -1)


def _record(key: Message, value: Message | None) -> CoordinatorRecord:
    return CoordinatorRecord(encode_key(key), None if value is None else encode_value(value))


# --- the group ---


def group_epoch(group_id: str, epoch: int, metadata_hash: int) -> CoordinatorRecord:
    return _record(
        types.ConsumerGroupMetadataKey(group_id=group_id),
        types.ConsumerGroupMetadataValue(epoch=epoch, metadata_hash=metadata_hash),
    )


def group_epoch_tombstone(group_id: str) -> CoordinatorRecord:
    return _record(types.ConsumerGroupMetadataKey(group_id=group_id), None)


def partition_metadata_tombstone(group_id: str) -> CoordinatorRecord:
    """Of the record that the hash in the group epoch has replaced."""
    return _record(types.ConsumerGroupPartitionMetadataKey(group_id=group_id), None)


def target_epoch(group_id: str, epoch: int, timestamp: int) -> CoordinatorRecord:
    return _record(
        types.ConsumerGroupTargetAssignmentMetadataKey(group_id=group_id),
        types.ConsumerGroupTargetAssignmentMetadataValue(
            assignment_epoch=epoch, assignment_timestamp=timestamp
        ),
    )


def target_epoch_tombstone(group_id: str) -> CoordinatorRecord:
    return _record(types.ConsumerGroupTargetAssignmentMetadataKey(group_id=group_id), None)


def regex(group_id: str, pattern: str, resolved: ResolvedRegex) -> CoordinatorRecord:
    return _record(
        types.ConsumerGroupRegularExpressionKey(group_id=group_id, regular_expression=pattern),
        types.ConsumerGroupRegularExpressionValue(
            topics=sorted(resolved.topics), version=resolved.version, timestamp=resolved.timestamp
        ),
    )


def regex_tombstone(group_id: str, pattern: str) -> CoordinatorRecord:
    return _record(
        types.ConsumerGroupRegularExpressionKey(group_id=group_id, regular_expression=pattern), None
    )


def read_regex(value: types.ConsumerGroupRegularExpressionValue) -> ResolvedRegex:
    return ResolvedRegex(frozenset(value.topics), value.version, value.timestamp)


# --- a member ---


def subscription(group_id: str, member: ConsumerMember) -> CoordinatorRecord:
    classic = member.classic
    return _record(
        types.ConsumerGroupMemberMetadataKey(group_id=group_id, member_id=member.member_id),
        types.ConsumerGroupMemberMetadataValue(
            instance_id=member.instance_id,
            rack_id=member.rack_id,
            client_id=member.client_id,
            client_host=member.client_host,
            subscribed_topic_names=sorted(member.topics),
            subscribed_topic_regex=member.regex,
            rebalance_timeout_ms=member.rebalance_timeout_ms,
            server_assignor=member.assignor,
            classic_member_metadata=None
            if classic is None
            else types.ClassicMemberMetadata(
                session_timeout_ms=classic.session_timeout_ms,
                supported_protocols=[
                    types.ClassicProtocol(name=name, metadata=metadata)
                    for name, metadata in classic.protocols
                ],
            ),
        ),
    )


def subscription_tombstone(group_id: str, member_id: str) -> CoordinatorRecord:
    return _record(types.ConsumerGroupMemberMetadataKey(group_id=group_id, member_id=member_id), None)


def with_subscription(
    member: ConsumerMember, value: types.ConsumerGroupMemberMetadataValue
) -> ConsumerMember:
    """The member as its subscription record says."""
    classic = value.classic_member_metadata
    return member._replace(
        instance_id=value.instance_id,
        rack_id=value.rack_id,
        client_id=value.client_id,
        client_host=value.client_host,
        topics=frozenset(value.subscribed_topic_names),
        regex=value.subscribed_topic_regex or "",
        rebalance_timeout_ms=value.rebalance_timeout_ms,
        assignor=value.server_assignor,
        classic=None
        if classic is None
        else ClassicDetails(
            classic.session_timeout_ms,
            tuple((protocol.name, bytes(protocol.metadata)) for protocol in classic.supported_protocols),
        ),
    )


def target(group_id: str, member_id: str, partitions: Target) -> CoordinatorRecord:
    return _record(
        types.ConsumerGroupTargetAssignmentMemberKey(group_id=group_id, member_id=member_id),
        types.ConsumerGroupTargetAssignmentMemberValue(
            topic_partitions=[
                types.TargetPartitions(topic_id=topic_id, partitions=sorted(partitions[topic_id]))
                for topic_id in sorted(partitions)
            ]
        ),
    )


def target_tombstone(group_id: str, member_id: str) -> CoordinatorRecord:
    return _record(types.ConsumerGroupTargetAssignmentMemberKey(group_id=group_id, member_id=member_id), None)


def read_target(value: types.ConsumerGroupTargetAssignmentMemberValue) -> Target:
    return {topic.topic_id: frozenset(topic.partitions) for topic in value.topic_partitions}


def current(group_id: str, member: ConsumerMember) -> CoordinatorRecord:
    return _record(
        types.ConsumerGroupCurrentMemberAssignmentKey(group_id=group_id, member_id=member.member_id),
        types.ConsumerGroupCurrentMemberAssignmentValue(
            member_epoch=member.member_epoch,
            previous_member_epoch=member.previous_member_epoch,
            state=member.state,
            assigned_partitions=_written(member.assigned),
            partitions_pending_revocation=_written(member.revoking),
        ),
    )


def current_tombstone(group_id: str, member_id: str) -> CoordinatorRecord:
    return _record(
        types.ConsumerGroupCurrentMemberAssignmentKey(group_id=group_id, member_id=member_id), None
    )


def with_current(
    member: ConsumerMember, value: types.ConsumerGroupCurrentMemberAssignmentValue
) -> ConsumerMember:
    """The member as its current-assignment record says."""
    return member._replace(
        member_epoch=value.member_epoch,
        previous_member_epoch=value.previous_member_epoch,
        state=value.state,
        assigned=_read(value.assigned_partitions, value.member_epoch),
        revoking=_read(value.partitions_pending_revocation, value.member_epoch),
    )


def _written(epochs: Epochs) -> list[types.CurrentPartitions]:
    return [
        types.CurrentPartitions(
            topic_id=topic_id,
            partitions=sorted(epochs[topic_id]),
            assignment_epochs=[epochs[topic_id][partition] for partition in sorted(epochs[topic_id])],
        )
        for topic_id in sorted(epochs)
    ]


def _read(topics: Iterable[types.CurrentPartitions], member_epoch: int) -> Epochs:
    """Records of before KIP-1251 have no assignment epochs: the member's stands for them."""
    read: dict[bytes, dict[int, int]] = {}
    for topic in topics:
        epochs = topic.assignment_epochs
        if epochs is None or len(epochs) != len(topic.partitions):
            epochs = [max(member_epoch, 0)] * len(topic.partitions)
        read[topic.topic_id] = dict(zip(topic.partitions, epochs, strict=True))
    return read

"""From a classic group to a consumer group and back, while its members go on (KIP-848, "Online Migration").

In: a group of the one kind. Out: the group of the other kind, and the records that make it. What must hold:
the members that stay keep their partitions; a generation becomes an epoch and an epoch a generation, so
that none is seen twice.

A classic group becomes a consumer group when the first member of the consumer protocol joins; a consumer
group becomes a classic one when its last member of the consumer protocol is gone.
`group.consumer.migration.policy` says which of the two may happen.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable
from typing import Final

from pybroker.common.config import BrokerConfig
from pybroker.common.errors import ApiError, ErrorCode, ProtocolError
from pybroker.coordinator.result import CoordinatorRecord
from pybroker.groups.assignors import Target
from pybroker.groups.assignors.spec import NO_PARTITIONS
from pybroker.groups.classic.group import ClassicGroup, ClassicMember
from pybroker.groups.consumer import records
from pybroker.groups.consumer.group import PROTOCOL_TYPE, ConsumerGroup
from pybroker.groups.consumer.member import ClassicDetails, ConsumerMember, Epochs
from pybroker.groups.group import STABLE
from pybroker.metadata.image import MetadataImage
from pybroker.wire import codec
from pybroker.wire.message import Message
from pybroker.wire.schemas.consumer_protocol import (
    AssignmentTopicPartition,
    ConsumerProtocolAssignment,
    ConsumerProtocolSubscription,
)

UPGRADES: Final = ("upgrade", "bidirectional")
DOWNGRADES: Final = ("downgrade", "bidirectional")

# --- what members tell each other in the classic protocol ---


def _read(cls: type[Message], data: bytes) -> Message:
    """A versioned message; what newer versions add lies at its end. ProtocolError when it cannot be read."""
    if len(data) < 2:
        raise ProtocolError(f"{len(data)} bytes are no {cls.__name__}")
    version = int.from_bytes(data[:2], "big", signed=True)
    if version < 0:
        raise ProtocolError(f"{cls.__name__} has version {version}")
    return codec.decode(cls, min(version, cls.VERSIONS[1]), data, 2)[0]


def read_subscription(data: bytes) -> ConsumerProtocolSubscription:
    """ProtocolError when it cannot be read."""
    read = _read(ConsumerProtocolSubscription, data)
    assert isinstance(read, ConsumerProtocolSubscription)
    return read


def _read_assignment(data: bytes) -> ConsumerProtocolAssignment:
    read = _read(ConsumerProtocolAssignment, data)
    assert isinstance(read, ConsumerProtocolAssignment)
    return read


def write_assignment(partitions: Target | Epochs, subscription: bytes, image: MetadataImage) -> bytes:
    """An assignment of the classic protocol in the version of the member's subscription."""
    version = max(int.from_bytes(subscription[:2], "big", signed=True), 0)
    version = min(version, ConsumerProtocolAssignment.VERSIONS[1])
    named = [
        AssignmentTopicPartition(topic=topic.name, partitions=sorted(partitions[topic_id]))
        for topic_id in sorted(partitions)
        if (topic := image.topics_by_id.get(topic_id)) is not None
    ]
    body = codec.encode(ConsumerProtocolAssignment(assigned_partitions=named), version)
    return version.to_bytes(2, "big") + body


# --- up ---


def refuse_upgrade(group: ClassicGroup, config: BrokerConfig) -> None:
    """ApiError(GROUP_ID_NOT_FOUND) when a classic group may not become a consumer group."""
    reason = None
    if str(config["group.consumer.migration.policy"]).lower() not in UPGRADES:
        reason = "online upgrade is disabled"
    elif not group.is_consumer_protocol:
        reason = "the group does not use the consumer embedded protocol"
    elif len(group.members) > config["group.consumer.max.size"]:
        reason = "the group size exceeds the consumer group maximum size"
    if reason is not None:
        raise _not_upgraded(group, reason)


def _not_upgraded(group: ClassicGroup, reason: str) -> ApiError:
    return ApiError(
        ErrorCode.GROUP_ID_NOT_FOUND,
        f"Cannot upgrade classic group {group.group_id} to consumer group because {reason}.",
    )


def upgraded(
    group: ClassicGroup, image: MetadataImage, hash_of: Callable[[Iterable[str]], int]
) -> tuple[ConsumerGroup, list[CoordinatorRecord]]:
    """The consumer group with the classic members, and the records that replace the classic group by it."""
    made = ConsumerGroup(group.group_id)
    made.epoch = made.target_epoch = group.generation
    # In the first join phase no protocol is chosen yet.
    protocol = group.protocol_name or group.select_protocol()
    try:
        for member in group.members.values():
            _add_upgraded(made, member, protocol, image)
    except ProtocolError:
        raise _not_upgraded(group, "the embedded consumer protocol is malformed") from None
    made.metadata_hash = hash_of(made.subscribed_topics)
    group_id, members = group.group_id, made.members.values()
    return made, [
        *group.tombstones(),
        *(records.subscription(group_id, member) for member in members),
        records.group_epoch(group_id, made.epoch, made.metadata_hash),
        *(records.target(group_id, member_id, target) for member_id, target in made.targets.items()),
        records.target_epoch(group_id, made.target_epoch, made.target_timestamp),
        *(records.current(group_id, member) for member in members),
    ]


def _add_upgraded(made: ConsumerGroup, member: ClassicMember, protocol: str, image: MetadataImage) -> None:
    subscription = read_subscription(member.metadata(protocol))
    assigned: dict[bytes, dict[int, int]] = {}
    if member.assignment:
        assignment = _read_assignment(member.assignment)
        if assignment.user_data:
            raise ApiError(
                ErrorCode.GROUP_ID_NOT_FOUND,
                f"Cannot upgrade classic group {made.group_id} to consumer group because an unsupported "
                "custom assignor is in use. Please refer to the documentation or switch to a default "
                "assignor before re-attempting the upgrade.",
            )
        for entry in assignment.assigned_partitions:
            topic = image.topics.get(entry.topic)
            if topic is None:
                continue
            # The members chose this assignment: one of them alone keeps what they gave to two.
            free = [index for index in entry.partitions if not made.is_owned(topic.topic_id, index)]
            if free:
                assigned.setdefault(topic.topic_id, {}).update(dict.fromkeys(free, made.epoch))
    made.targets[member.member_id] = {
        topic_id: frozenset(partitions) for topic_id, partitions in assigned.items()
    }
    made.put_member(
        ConsumerMember(
            member.member_id,
            member_epoch=made.epoch,
            previous_member_epoch=made.epoch,
            instance_id=member.instance_id,
            rack_id=subscription.rack_id or None,
            rebalance_timeout_ms=member.rebalance_timeout_ms,
            client_id=member.client_id,
            client_host=member.client_host,
            topics=frozenset(subscription.topics),
            assigned=assigned,
            classic=ClassicDetails(member.session_timeout_ms, member.protocols),
        )
    )


# --- down ---


def may_downgrade(group: ConsumerGroup, gone: Collection[ConsumerMember], config: BrokerConfig) -> bool:
    """Whether the group becomes a classic one when these members are gone."""
    left = len(group.members) - len(gone)
    return (
        0 < left <= config["group.max.size"]
        and group.only_classic_without(gone)
        and str(config["group.consumer.migration.policy"]).lower() in DOWNGRADES
    )


def may_downgrade_with(group: ConsumerGroup, replaced: ConsumerMember, config: BrokerConfig) -> bool:
    """The same when a static member comes back with the classic protocol."""
    return (
        replaced.classic is None
        and group.classic_count == len(group.members) - 1
        and len(group.members) <= config["group.max.size"]
        and str(config["group.consumer.migration.policy"]).lower() in DOWNGRADES
    )


def downgraded(
    group: ConsumerGroup,
    leaving: Collection[ConsumerMember],
    joining: ConsumerMember | None,
    image: MetadataImage,
    now_ms: int,
) -> tuple[ClassicGroup, list[CoordinatorRecord]]:
    """The stable classic group of the members that stay, and the records that replace the consumer group.
    `joining`: the classic static member that takes the place of its former self."""
    former = None if joining is None else group.static_member(joining.instance_id)
    gone = {member.member_id for member in leaving}
    members = [member for member in group.members.values() if member.member_id not in gone]
    renamed: dict[str, str] = {}
    if joining is not None and former is not None:
        renamed[former.member_id] = joining.member_id
        members = [member for member in members if member.member_id != former.member_id]
        members.append(joining)
    made = ClassicGroup(group.group_id, STABLE, generation=group.epoch, state_timestamp=now_ms)
    for member in members:
        assert member.classic is not None
        made.add(
            ClassicMember(
                member.member_id,
                member.instance_id,
                member.client_id,
                member.client_host,
                member.rebalance_timeout_ms,
                member.classic.session_timeout_ms,
                member.classic.protocols,
            ),
            PROTOCOL_TYPE,
        )
    made.protocol_name = made.select_protocol()
    made.loaded()
    former_ids = {new: old for old, new in renamed.items()}
    for classic in made.members.values():
        target = group.targets.get(former_ids.get(classic.member_id, classic.member_id), NO_PARTITIONS)
        classic.assignment = write_assignment(target, classic.metadata(made.protocol_name), image)
    assignments = {member.member_id: member.assignment for member in made.members.values()}
    return made, [*group.tombstones(renamed), made.record(assignments)]

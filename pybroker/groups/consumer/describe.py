"""ConsumerGroupDescribe: a consumer group as the administrative tools see it."""

from __future__ import annotations

from pybroker.groups.assignors import Target
from pybroker.groups.assignors.spec import NO_PARTITIONS
from pybroker.groups.consumer.group import ConsumerGroup
from pybroker.groups.consumer.member import ConsumerMember
from pybroker.metadata.image import MetadataImage
from pybroker.wire.messages.consumer_group_describe import (
    Assignment,
    DescribedGroup,
    Member,
    TopicPartitions,
)

_CLASSIC_MEMBER, _CONSUMER_MEMBER = 0, 1


def described_group(group: ConsumerGroup, default_assignor: str, image: MetadataImage) -> DescribedGroup:
    """The group with its members; topics that do not exist any more are left out."""
    return DescribedGroup(
        group_id=group.group_id,
        group_state=group.state,
        group_epoch=group.epoch,
        assignment_epoch=group.target_epoch,
        assignor_name=group.preferred_assignor or default_assignor,
        members=[_described_member(group, member, image) for member in group.members.values()],
    )


def _described_member(group: ConsumerGroup, member: ConsumerMember, image: MetadataImage) -> Member:
    held: dict[bytes, frozenset[int]] = {}
    for epochs in (member.assigned, member.revoking):
        for topic_id, partitions in epochs.items():
            held[topic_id] = held.get(topic_id, frozenset()) | frozenset(partitions)
    return Member(
        member_id=member.member_id,
        instance_id=member.instance_id,
        rack_id=member.rack_id,
        member_epoch=member.member_epoch,
        client_id=member.client_id,
        client_host=member.client_host,
        subscribed_topic_names=sorted(member.topics),
        subscribed_topic_regex=member.regex,
        assignment=_assignment(held, image),
        target_assignment=_assignment(group.targets.get(member.member_id, NO_PARTITIONS), image),
        member_type=_CONSUMER_MEMBER if member.classic is None else _CLASSIC_MEMBER,
    )


def _assignment(target: Target, image: MetadataImage) -> Assignment:
    return Assignment(
        topic_partitions=[
            TopicPartitions(topic_id=topic_id, topic_name=topic.name, partitions=sorted(target[topic_id]))
            for topic_id in sorted(target)
            if (topic := image.topics_by_id.get(topic_id)) is not None
        ]
    )

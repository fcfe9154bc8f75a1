"""The next step of a member towards its target assignment.

In: a member, the target and its epoch, the topics it subscribes to, who owns what, and what the member says
it owns. Out: the member after the step (the same object when it can take none). What must hold: a partition
is added only when nobody holds it; a member with partitions to give back stays in its epoch until it
reports that it has. So no partition is ever held by two members.

Source: KIP-848, "Member State Machine"; Kafka 4.3.0's current-assignment builder.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable, Mapping

from pybroker.common.errors import ApiError, ErrorCode
from pybroker.groups.assignors import Target
from pybroker.groups.consumer.member import (
    NO_EPOCHS,
    STABLE,
    UNRELEASED_PARTITIONS,
    UNREVOKED_PARTITIONS,
    ConsumerMember,
    Epochs,
)

Owned = Iterable[tuple[bytes, Iterable[int]]] | None
"""What a member reports: (topic id, partitions); None when it reports nothing."""


def next_step(
    member: ConsumerMember,
    *,
    target_epoch: int,
    target: Target,
    subscribed: Collection[bytes],
    subscription_changed: bool,
    is_owned: Callable[[bytes, int], bool],
    owned: Owned,
) -> ConsumerMember:
    """The member after one step; ApiError(FENCED_MEMBER_EPOCH) from a state that is not known here."""
    if member.state == STABLE and member.member_epoch == target_epoch:
        return _without_unsubscribed(member, subscribed, owned) if subscription_changed else member
    if member.state == UNREVOKED_PARTITIONS and _still_owns(owned, member.revoking):
        return _without_unsubscribed(member, subscribed, owned) if subscription_changed else member
    member_epoch = member.member_epoch
    if member.state not in (STABLE, UNREVOKED_PARTITIONS, UNRELEASED_PARTITIONS):
        # A newer coordinator wrote the state. The member is put back to the start.
        if owned is None or any(partitions for _, partitions in owned):
            raise ApiError(
                ErrorCode.FENCED_MEMBER_EPOCH,
                "The consumer group member is in a unknown state. "
                "The member must abandon all its partitions and rejoin.",
            )
        member_epoch = target_epoch

    kept: dict[bytes, Mapping[int, int]] = {}
    revoking: dict[bytes, Mapping[int, int]] = {}
    added: dict[bytes, dict[int, int]] = {}
    waiting = False
    for topic_id in dict.fromkeys((*target, *member.assigned)):
        wanted = target.get(topic_id, frozenset()) if topic_id in subscribed else frozenset()
        current = member.assigned.get(topic_id, {})
        kept_here = {partition: epoch for partition, epoch in current.items() if partition in wanted}
        if kept_here:
            kept[topic_id] = kept_here
        if len(kept_here) < len(current):
            revoking[topic_id] = {
                partition: epoch for partition, epoch in current.items() if partition not in wanted
            }
        # What this member is giving back is free for it: only one member can hold a partition.
        being_returned = member.revoking.get(topic_id, {})
        for partition in sorted(wanted):
            if partition in current:
                continue
            if partition not in being_returned and is_owned(topic_id, partition):
                waiting = True
            else:
                added.setdefault(topic_id, {})[partition] = target_epoch

    if revoking and _still_owns(owned, revoking):
        return member.at_epoch(member_epoch, UNREVOKED_PARTITIONS, kept, revoking)
    for topic_id, epochs in added.items():
        kept[topic_id] = {**kept.get(topic_id, {}), **epochs}
    return member.at_epoch(target_epoch, UNRELEASED_PARTITIONS if waiting else STABLE, kept)


def _still_owns(owned: Owned, revoking: Epochs) -> bool:
    """Whether the member may still hold some of what it has to give back."""
    if owned is None:
        return True
    return any(
        partition in revoking[topic_id]
        for topic_id, partitions in owned
        if topic_id in revoking
        for partition in partitions
    )


def _without_unsubscribed(
    member: ConsumerMember, subscribed: Collection[bytes], owned: Owned
) -> ConsumerMember:
    """Take away at once what the member does not subscribe to any more, in the epoch it is in."""
    gone = {topic_id: epochs for topic_id, epochs in member.assigned.items() if topic_id not in subscribed}
    if not gone:
        return member
    assigned = {topic_id: epochs for topic_id, epochs in member.assigned.items() if topic_id in subscribed}
    revoking = dict(member.revoking)
    for topic_id, epochs in gone.items():
        revoking[topic_id] = {**revoking.get(topic_id, {}), **epochs}
    if _still_owns(owned, revoking):
        return member.at_epoch(member.member_epoch, UNREVOKED_PARTITIONS, assigned, revoking)
    # It has given them back already.
    return member.at_epoch(member.member_epoch, member.state, assigned, member.revoking or NO_EPOCHS)

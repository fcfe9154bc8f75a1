"""The range assignor: each topic is cut into ranges, one per subscriber.

In: a `GroupSpec`. Out: targets. What must hold: the subscribers of a topic, sorted, get consecutive ranges
whose sizes differ by at most one, the longer ones first; so members with equal subscriptions get the same
partition numbers of all topics with equal counts (co-partitioning). Static members come first, by instance
id, so that their ranges survive a restart; the others follow by member id. There is no stickiness beyond that
order, as in Kafka 4.3.0.
"""

from __future__ import annotations

from pybroker.groups.assignors.spec import GroupSpec, Target


def assign_range(group: GroupSpec) -> dict[str, Target]:
    """The target of every member."""
    members = sorted(
        group.members,
        key=lambda member_id: _order(member_id, group.members[member_id].instance_id),
    )
    subscriber_counts: dict[bytes, int] = {}
    for member_id in members:
        for topic_id in group.members[member_id].topics:
            subscriber_counts[topic_id] = subscriber_counts.get(topic_id, 0) + 1
    # Topic id to the number of subscribers served and the first partition that is still free.
    progress = dict.fromkeys(subscriber_counts, (0, 0))
    targets: dict[str, Target] = {}
    for member_id in members:
        target: dict[bytes, frozenset[int]] = {}
        for topic_id in sorted(group.members[member_id].topics):
            served, start = progress[topic_id]
            share, longer = divmod(group.partition_counts[topic_id], subscriber_counts[topic_id])
            end = start + share + (served < longer)
            progress[topic_id] = (served + 1, end)
            if start < end:
                target[topic_id] = frozenset(range(start, end))
        targets[member_id] = target
    return targets


def _order(member_id: str, instance_id: str | None) -> tuple[bool, str]:
    return (instance_id is None, member_id if instance_id is None else instance_id)

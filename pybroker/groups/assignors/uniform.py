"""The uniform assignor: equal shares, with as few moves as that allows.

In: a `GroupSpec`. Out: targets. What must hold: partitions stay with a member as long as it subscribes to
their topic and its share is not too large. With equal subscriptions the shares differ by at most one. With
different ones no single partition could move to a subscriber that has at least two partitions less, unless
`_MAX_ROUNDS` rounds were not enough (Kafka's bound; balancing one topic can unbalance another).

Where Kafka hands the extra partitions of a division that does not come out even to the first members in hash
order, the members that already hold more than the minimum come first here: fewer moves, same balance.
"""

from __future__ import annotations

import heapq

from pybroker.groups.assignors.spec import GroupSpec, Target

_MAX_ROUNDS = 16


def assign_uniform(group: GroupSpec) -> dict[str, Target]:
    """The target of every member."""
    if not group.members:
        return {}
    return _assign_equal_subscriptions(group) if group.homogeneous else _Builder(group).build()


def _assign_equal_subscriptions(group: GroupSpec) -> dict[str, Target]:
    topics = sorted(next(iter(group.members.values())).topics)
    counts = group.partition_counts
    share, extra_count = divmod(sum(counts[topic_id] for topic_id in topics), len(group.members))
    kept = {member_id: _kept(group, member_id) for member_id in group.members}
    sizes = {
        member_id: sum(len(partitions) for partitions in target.values())
        for member_id, target in kept.items()
    }
    quotas = dict.fromkeys(group.members, share)
    for member_id in sorted(group.members, key=lambda member_id: (sizes[member_id] <= share, member_id)):
        if extra_count == 0:
            break
        quotas[member_id] += 1
        extra_count -= 1

    targets: dict[str, Target] = {}
    taken: dict[bytes, set[int]] = {topic_id: set() for topic_id in topics}
    hungry: list[tuple[str, int]] = []
    for member_id in sorted(group.members):
        target, quota = kept[member_id], quotas[member_id]
        if sizes[member_id] > quota:
            target, sizes[member_id] = _trimmed(target, quota), quota
        for topic_id, partitions in target.items():
            taken[topic_id] |= partitions
        targets[member_id] = target
        if sizes[member_id] < quota:
            hungry.append((member_id, quota - sizes[member_id]))
    if not hungry:
        return targets

    free = iter(
        [
            (topic_id, partition)
            for topic_id in topics
            for partition in range(counts[topic_id])
            if partition not in taken[topic_id]
        ]
    )
    for member_id, missing in hungry:
        grown = {topic_id: set(partitions) for topic_id, partitions in targets[member_id].items()}
        for _ in range(missing):
            topic_id, partition = next(free)
            grown.setdefault(topic_id, set()).add(partition)
        targets[member_id] = {topic_id: frozenset(partitions) for topic_id, partitions in grown.items()}
    return targets


def _kept(group: GroupSpec, member_id: str) -> Target:
    """The part of a member's present target that exists and that it subscribes to."""
    member = group.members[member_id]
    if all(topic_id in member.topics for topic_id in member.target):
        kept = member.target
    else:
        kept = {topic_id: p for topic_id, p in member.target.items() if topic_id in member.topics}
    counts = group.partition_counts
    if any(max(partitions, default=0) >= counts[topic_id] for topic_id, partitions in kept.items()):
        # Only a damaged log can name a partition that the topic does not have.
        kept = {
            topic_id: frozenset(partition for partition in partitions if partition < counts[topic_id])
            for topic_id, partitions in kept.items()
        }
    return kept


def _trimmed(target: Target, quota: int) -> Target:
    """The first `quota` partitions of a target."""
    trimmed: dict[bytes, frozenset[int]] = {}
    for topic_id in sorted(target):
        partitions = target[topic_id]
        if quota <= 0:
            break
        if len(partitions) > quota:
            partitions = frozenset(sorted(partitions)[:quota])
        trimmed[topic_id] = partitions
        quota -= len(partitions)
    return trimmed


class _Builder:
    """Different subscriptions: keep, hand out topic by topic, then move from the loaded to the idle."""

    def __init__(self, group: GroupSpec) -> None:
        self._group = group
        self._members = sorted(group.members)
        self._sizes = [0] * len(self._members)
        self._subscribers: dict[bytes, list[int]] = {}
        for index, member_id in enumerate(self._members):
            for topic_id in group.members[member_id].topics:
                self._subscribers.setdefault(topic_id, []).append(index)
        counts = group.partition_counts
        # Topic id to the index of the owner of each partition, -1 while there is none.
        self._owners = {topic_id: [-1] * counts[topic_id] for topic_id in self._subscribers}
        # Those with the most partitions per subscriber first: what is left can then even out.
        self._topics = sorted(
            self._subscribers,
            key=lambda topic_id: (
                -counts[topic_id] / len(self._subscribers[topic_id]),
                len(self._subscribers[topic_id]),
                topic_id,
            ),
        )

    def build(self) -> dict[str, Target]:
        for index, member_id in enumerate(self._members):
            for topic_id, partitions in _kept(self._group, member_id).items():
                owners = self._owners[topic_id]
                for partition in partitions:
                    owners[partition] = index
                self._sizes[index] += len(partitions)
        for topic_id in self._topics:
            self._hand_out(topic_id)
        shared = [topic_id for topic_id in self._topics if len(self._subscribers[topic_id]) > 1]
        for _ in range(_MAX_ROUNDS):
            moved = False
            for topic_id in shared:
                moved |= self._balance(topic_id)
            if not moved:
                break
        return self._targets()

    def _hand_out(self, topic_id: bytes) -> None:
        """Give the free partitions of a topic to its least loaded subscribers."""
        sizes, owners = self._sizes, self._owners[topic_id]
        idle = [(sizes[index], index) for index in self._subscribers[topic_id]]
        heapq.heapify(idle)
        for partition, owner in enumerate(owners):
            if owner == -1:
                size, index = idle[0]
                owners[partition] = index
                sizes[index] = size + 1
                heapq.heapreplace(idle, (size + 1, index))

    def _balance(self, topic_id: bytes) -> bool:
        """Move partitions of one topic while that evens out its subscribers; whether any moved."""
        sizes, owners = self._sizes, self._owners[topic_id]
        subscribers = self._subscribers[topic_id]
        if max(sizes[index] for index in subscribers) - min(sizes[index] for index in subscribers) <= 1:
            return False
        owned: dict[int, list[int]] = {}
        for partition, owner in enumerate(owners):
            owned.setdefault(owner, []).append(partition)
        loaded = [(-sizes[index], index) for index in owned]
        idle = [(sizes[index], index) for index in subscribers]
        heapq.heapify(loaded)
        heapq.heapify(idle)
        moved = False
        while loaded:
            most, giver = loaded[0]
            least, taker = idle[0]
            if -most != sizes[giver]:
                heapq.heapreplace(loaded, (-sizes[giver], giver))
            elif least != sizes[taker]:
                heapq.heapreplace(idle, (sizes[taker], taker))
            elif -most - least <= 1:
                break
            elif not owned[giver]:
                heapq.heappop(loaded)
            else:
                owners[owned[giver].pop()] = taker
                sizes[giver] -= 1
                sizes[taker] += 1
                moved = True
        return moved

    def _targets(self) -> dict[str, Target]:
        targets: list[dict[bytes, set[int]]] = [{} for _ in self._members]
        for topic_id in self._topics:
            for partition, owner in enumerate(self._owners[topic_id]):
                targets[owner].setdefault(topic_id, set()).add(partition)
        return {
            member_id: {topic_id: frozenset(partitions) for topic_id, partitions in target.items()}
            for member_id, target in zip(self._members, targets, strict=True)
        }

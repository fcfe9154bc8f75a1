"""Which brokers hold the replicas of new partitions.

In: the registered brokers, the number of replicas. Out: replica lists; the checks of lists that a client
gave. What must hold: no list holds a broker twice; the replicas of a partition are in as many racks as can
be; leaders and followers of a topic spread over racks and brokers in turn; no fenced broker is first, and
none is taken while its rack has one in service.

The brokers of a rack take turns as on a ring, and so do the racks. After as many partitions as there are
brokers in service the rings are shuffled: else the same brokers would follow each other for ever.
"""

from __future__ import annotations

import random
from collections.abc import Mapping, Sequence

from pybroker.common.errors import ApiError, ErrorCode
from pybroker.controller.partition_changes import default_directory, is_active
from pybroker.metadata.image import BrokerImage, PartitionImage


class _Ring:
    """Brokers that take turns; one partition never gets the same one twice."""

    __slots__ = ("_brokers", "_partition", "_start", "_taken")

    def __init__(self, brokers: list[int], rng: random.Random) -> None:
        self._brokers = brokers
        self._start = rng.randrange(len(brokers)) if len(brokers) > 1 else 0
        self._taken = 0
        self._partition = -1

    def shuffle(self, rng: random.Random) -> None:
        rng.shuffle(self._brokers)

    def next(self, partition: int) -> int | None:
        """The next broker for a partition; None when it has them all."""
        brokers = self._brokers
        if partition != self._partition:
            self._partition = partition
            self._taken = 0
            self._start += 1
        if self._taken >= len(brokers):
            return None
        self._taken += 1
        return brokers[(self._start + self._taken - 1) % len(brokers)]


class _Rack:
    __slots__ = ("active", "fenced")

    def __init__(self, brokers: Sequence[BrokerImage], rng: random.Random) -> None:
        self.active = _Ring([broker.broker_id for broker in brokers if not broker.fenced], rng)
        self.fenced = _Ring([broker.broker_id for broker in brokers if broker.fenced], rng)

    def next(self, partition: int) -> int | None:
        found = self.active.next(partition)
        return self.fenced.next(partition) if found is None else found

    def shuffle(self, rng: random.Random) -> None:
        self.active.shuffle(rng)
        self.fenced.shuffle(rng)


def _takes_replicas(broker: BrokerImage) -> bool:
    """A fenced broker may be back soon; one that stops, or whose directories are all cordoned, gets none."""
    if broker.in_controlled_shutdown and not broker.fenced:
        return False
    cordoned = broker.cordoned_log_dirs
    return not broker.log_dirs or cordoned is None or not set(broker.log_dirs) <= set(cordoned)


def place(
    brokers: Mapping[int, BrokerImage], count: int, replication_factor: int, rng: random.Random
) -> list[tuple[int, ...]]:
    """Replica lists for `count` partitions. ApiError when there are too few brokers."""
    candidates = [brokers[broker_id] for broker_id in sorted(brokers) if _takes_replicas(brokers[broker_id])]
    active = sum(not broker.fenced for broker in candidates)
    if not active:
        raise ApiError(
            ErrorCode.INVALID_REPLICATION_FACTOR,
            "All brokers are currently fenced, or have all their log directories cordoned.",
        )
    if replication_factor > len(candidates):
        raise ApiError(
            ErrorCode.INVALID_REPLICATION_FACTOR,
            f"The target replication factor of {replication_factor} cannot be reached because only "
            f"{len(candidates)} broker(s) are registered or some brokers have all their log directories "
            "cordoned.",
        )
    # No rack is a rack of its own, before all others.
    names = sorted({broker.rack for broker in candidates}, key=lambda name: (name is not None, name or ""))
    racks = [_Rack([broker for broker in candidates if broker.rack == name], rng) for name in names]
    first_rack = rng.randrange(len(racks)) if len(racks) > 1 else 0
    lists: list[tuple[int, ...]] = []
    for index in range(count):
        if index and index % active == 0:
            rng.shuffle(racks)
            for rack in racks:
                rack.shuffle(rng)
        lists.append(_place_one(racks, (first_rack + index) % len(racks), index, replication_factor))
    return lists


def _place_one(
    racks: list[_Rack], first_rack: int, partition: int, replication_factor: int
) -> tuple[int, ...]:
    leader_rack = first_rack
    while (leader := racks[leader_rack].active.next(partition)) is None:
        leader_rack = (leader_rack + 1) % len(racks)
    replicas = [leader]
    rack = first_rack
    skip = leader_rack
    while len(replicas) < replication_factor:
        if rack == skip:
            # The leader's rack has had its turn in the first round.
            skip = -1
        else:
            found = racks[rack].next(partition)
            if found is not None:
                replicas.append(found)
        rack = (rack + 1) % len(racks)
    return tuple(replicas)


def check_assignment(
    replicas: Sequence[int], brokers: Mapping[int, BrokerImage], replication_factor: int | None
) -> None:
    """A replica list that a client gave; `replication_factor` is that of the topic's other partitions."""
    code = ErrorCode.INVALID_REPLICA_ASSIGNMENT
    if not replicas:
        raise ApiError(code, "The manual partition assignment includes an empty replica list.")
    previous: int | None = None
    for broker_id in sorted(replicas):
        if broker_id not in brokers:
            raise ApiError(
                code,
                f"The manual partition assignment includes broker {broker_id}, but no such broker is "
                "registered.",
            )
        if broker_id == previous:
            raise ApiError(
                code, f"The manual partition assignment includes the broker {broker_id} more than once."
            )
        previous = broker_id
    if replication_factor is not None and len(replicas) != replication_factor:
        raise ApiError(
            code,
            f"The manual partition assignment includes a partition with {len(replicas)} replica(s), but this "
            f"is not consistent with previous partitions, which have {replication_factor} replica(s).",
        )


def new_partition(index: int, replicas: Sequence[int], brokers: Mapping[int, BrokerImage]) -> PartitionImage:
    """A partition as it begins: all its usable replicas in the ISR, the first of them leads."""
    isr = tuple(broker_id for broker_id in replicas if is_active(brokers.get(broker_id)))
    if not isr:
        raise ApiError(
            ErrorCode.INVALID_REPLICA_ASSIGNMENT,
            f"All brokers specified in the manual partition assignment for partition {index} are fenced or "
            "in controlled shutdown.",
        )
    return PartitionImage(
        replicas=tuple(replicas),
        isr=isr,
        leader=isr[0],
        leader_epoch=0,
        partition_epoch=0,
        directories=tuple(default_directory(brokers.get(broker_id)) for broker_id in replicas),
    )

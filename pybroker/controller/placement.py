"""Which brokers hold the replicas of new partitions.

In: the registered brokers, the number of replicas. Out: replica lists; the checks of lists that a client
gave. What must hold: no list holds a broker twice; leaders of a topic spread over the brokers in turn.
"""

from __future__ import annotations

import random
from collections.abc import Mapping, Sequence

from pybroker.common.errors import ApiError, ErrorCode
from pybroker.metadata.image import NO_LEADER, BrokerImage, PartitionImage

UNASSIGNED_DIRECTORY = bytes(16)


def usable(broker: BrokerImage | None) -> bool:
    """Whether a broker may lead or join an ISR now."""
    return broker is not None and not broker.fenced and not broker.in_controlled_shutdown


def place(
    brokers: Mapping[int, BrokerImage], count: int, replication_factor: int, rng: random.Random
) -> list[tuple[int, ...]]:
    """Replica lists for `count` partitions. ApiError when there are too few brokers."""
    candidates = sorted(brokers)
    total = len(candidates)
    if replication_factor > total:
        raise ApiError(
            ErrorCode.INVALID_REPLICATION_FACTOR,
            f"Unable to replicate the partition {replication_factor} time(s): The target replication factor "
            f"of {replication_factor} cannot be reached because only {total} broker(s) are registered or "
            "some brokers have all their log directories cordoned.",
        )
    # Fenced brokers come last: a topic can be made while they are away, but others should lead.
    candidates = [b for b in candidates if usable(brokers[b])] + [
        b for b in candidates if not usable(brokers[b])
    ]
    active = sum(usable(brokers[b]) for b in candidates)
    if not active:
        raise ApiError(
            ErrorCode.INVALID_REPLICATION_FACTOR,
            f"Unable to replicate the partition {replication_factor} time(s): All brokers are currently "
            "fenced.",
        )
    start = rng.randrange(active) if active > 1 else 0
    lists: list[tuple[int, ...]] = []
    for index in range(count):
        first = (start + index) % active
        order = candidates[first:active] + candidates[:first] + candidates[active:]
        lists.append(tuple(order[:replication_factor]))
    return lists


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
    isr = tuple(broker_id for broker_id in replicas if usable(brokers.get(broker_id)))
    if not isr:
        raise ApiError(
            ErrorCode.INVALID_REPLICA_ASSIGNMENT,
            f"All brokers specified in the manual partition assignment for partition {index} are fenced or "
            "in controlled shutdown.",
        )
    return PartitionImage(
        replicas=tuple(replicas),
        isr=isr,
        leader=isr[0] if isr else NO_LEADER,
        leader_epoch=0,
        partition_epoch=0,
        directories=tuple(_directory(brokers.get(broker_id)) for broker_id in replicas),
    )


def _directory(broker: BrokerImage | None) -> bytes:
    """A broker with one directory uses that one; with more it chooses itself and reports it."""
    if broker is not None and len(broker.log_dirs) == 1:
        return broker.log_dirs[0]
    return UNASSIGNED_DIRECTORY

"""Which replica a consumer is to read from (KIP-392), where `replica.selector.class` is the rack-aware one.

In: the consumer's rack, a partition that is led here, the brokers of the image. Out: a broker id, or -1 for
this leader. What must hold: a follower is named only if it is in sync and has the offset asked for.
"""

from __future__ import annotations

from collections.abc import Mapping

from pybroker.metadata.image import BrokerImage
from pybroker.replication.partition import Partition


def preferred_read_replica(
    partition: Partition, brokers: Mapping[int, BrokerImage], node_id: int, rack: str, fetch_offset: int
) -> int:
    """By rack: the leader if it is there, else the follower there that is furthest; -1: the leader."""
    replication = partition.replication
    leader = brokers.get(node_id)
    if replication is None or not rack or (leader is not None and leader.rack == rack):
        return -1
    found = [
        (follower.log_end_offset, follower.last_caught_up_ms, broker_id)
        for broker_id, follower in replication.followers.items()
        if broker_id in replication.isr
        and (broker := brokers.get(broker_id)) is not None
        and not broker.fenced
        and broker.rack == rack
        and follower.log_start_offset <= fetch_offset <= follower.log_end_offset
    ]
    return max(found)[2] if found else -1

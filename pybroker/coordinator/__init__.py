"""The contract shared by groups and transactions: a coordinator is one partition of an internal topic."""

from __future__ import annotations

from pybroker.coordinator.host import CoordinatorHost
from pybroker.coordinator.partitioning import java_hash_order, java_string_hash, partition_for
from pybroker.coordinator.result import CoordinatorRecord, Result
from pybroker.coordinator.shard import Shard, Timers

__all__ = [
    "CoordinatorHost",
    "CoordinatorRecord",
    "Result",
    "Shard",
    "Timers",
    "java_hash_order",
    "java_string_hash",
    "partition_for",
]

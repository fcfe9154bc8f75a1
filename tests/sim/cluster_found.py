"""What simulated clusters found in the broker: named schedules, each with the bug put back by a patch.

In: nothing. Out: `FOUND`, whose schedules are sound today and fail with their bugs put back (`test_cluster.py`).
"""

from __future__ import annotations

from collections.abc import Callable
from typing import NamedTuple

import pytest

from pybroker.broker import Broker
from pybroker.common.errors import ApiError
from pybroker.transactions.coordinator import TransactionCoordinator
from pybroker.transactions.markers import MarkerWriter, _Pending
from pybroker.transactions.records import Transaction
from tests.sim.cluster_world import Fault, Options


def leads_before_it_has_registered(patch: pytest.MonkeyPatch) -> None:
    """A broker that is back before its session has ended leads what its former incarnation led, in the same leader
    epoch, with a log that a power loss has made shorter."""

    def caught_up(self: Broker) -> None:
        self._load()
        if self._lifecycle is not None and not self._lifecycle.is_registered:
            self._lifecycle.start()

    patch.setattr(Broker, "_caught_up", caught_up)


def markers_are_begun_anew_before_the_end_is_noted(patch: pytest.MonkeyPatch) -> None:
    """What is decided and not complete is looked for now and then, and that answer waits for a commit. A transaction
    that was completed meanwhile was taken for one that nobody sees to: its markers came a second time, and ended
    the next transaction, where that has the same epoch (version 1)."""
    original = MarkerWriter._go_on

    def go_on(self: MarkerWriter, pending: _Pending) -> None:
        transactional_id = pending.prepared.transactional_id
        if self._pending.get(transactional_id) is pending and not pending.missing:
            del self._pending[transactional_id]
            pending.complete(pending.prepared)
        else:
            original(self, pending)

    def resume(self: TransactionCoordinator, index: int) -> None:
        partition = self._environment.partition(self.host.topic, index)
        if partition is None or not partition.is_leader:
            return
        epoch = partition.leader_epoch

        def committed(prepared: list[Transaction] | ApiError) -> None:
            if isinstance(prepared, list):
                for transaction in prepared:
                    self._markers.start(transaction, epoch, lambda done: self._complete(index, done))

        self.host.read(index, lambda shard, now_ms: shard.prepared()).then(committed)

    patch.setattr(MarkerWriter, "_go_on", go_on)
    patch.setattr(TransactionCoordinator, "_resume", resume)


class Found(NamedTuple):
    """A bug, what it takes, and the words of the failure."""

    bug: Callable[[pytest.MonkeyPatch], None]
    options: Options
    faults: list[Fault]
    words: str


FOUND = (
    # Seed 3000086 of commit 09c2de8, whose times were others.
    Found(
        leads_before_it_has_registered,
        Options(
            seed=3000018,
            nodes=3,
            workers=4,
            topics=1,
            durability="fsync",
            transactions=0.0,
            offsets_in_transactions=False,
            segment_bytes=4096,
            compression=4,
            produce_version=9,
            late_one_in=2000,
            disk_slow=True,
            pause_between_ms=5,
            request_ms=600,
            transaction_ms=10_000,
        ),
        [(696, "slow_disk", 3, 60, 668151622), (1340, "crash_power", 1, 60, 434975311)],
        "I5: ('t0', 1) offset 100: 197 is read, and 198 was there before",
    ),
    Found(
        markers_are_begun_anew_before_the_end_is_noted,
        Options(
            seed=10001348,
            nodes=3,
            workers=4,
            topics=1,
            transactions=1.0,
            transaction_version=1,
            segment_bytes=1024,
            churn=True,
            produce_version=11,
            fetch_version=12,
            pause_between_ms=40,
            operation_ms=2000,
            transaction_ms=3000,
        ),
        [
            (571, "kill", 3, 400, 903740633),
            (1213, "drop", 1, 400, 613623512),
            (1507, "slow_disk", 2, 400, 41518915),
            (1750, "kill", 3, 60, 515535740),
        ],
        "G1a",
    ),
)

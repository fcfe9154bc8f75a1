"""What simulated clusters found in the broker: named schedules, each with the bug put back by a patch.

In: nothing. Out: `FOUND`, whose schedules are sound today and fail with their bugs put back (`test_cluster.py`).
"""

from __future__ import annotations

from collections.abc import Callable
from typing import NamedTuple

import pytest

from pybroker.broker import Broker
from tests.sim.cluster_world import Fault, Options


def leads_before_it_has_registered(patch: pytest.MonkeyPatch) -> None:
    """A broker that is back before its session has ended leads what its former incarnation led, in the same leader
    epoch, with a log that a power loss has made shorter."""

    def caught_up(self: Broker) -> None:
        self._load()
        if self._lifecycle is not None and not self._lifecycle.is_registered:
            self._lifecycle.start()

    patch.setattr(Broker, "_caught_up", caught_up)


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
)

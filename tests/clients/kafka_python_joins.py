"""One correction of kafka-python 3.0.12, whose consumer can forget that it is joining its group.

The leader of a group that has seen new partitions must join again: `need_rejoin` says so because what it assigned
differs from what it knows. The join runs in the background, and `poll` waits for it no longer than its own timeout.
When the answer to JoinGroup comes between two polls, the background assigns, and the two are equal again: the
next poll finds no need to join, so nobody takes the answer of SyncGroup up, and heartbeats stay switched off. The
broker removes the member when its session ends, and the consumer polls for ever without partitions, whatever the
broker: one start of two members at once in ten, on a loaded machine. Seen in a live process (state REBALANCING,
`rejoining` set, the task of the join done, `need_rejoin()` false); corrected, a join that has begun is finished.

Loaded by `pytest -p` into the client's own test suite; `install` serves tests here.
"""

from __future__ import annotations

from typing import Any

from kafka.coordinator.consumer import ConsumerCoordinator


def install() -> None:
    """Idempotent."""
    original = ConsumerCoordinator.need_rejoin
    if getattr(original, "finishes", False):
        return

    def need_rejoin(self: Any) -> bool:
        return bool(self.rejoining or original(self))

    need_rejoin.finishes = True  # type: ignore[attr-defined]
    ConsumerCoordinator.need_rejoin = need_rejoin


def pytest_configure() -> None:
    install()

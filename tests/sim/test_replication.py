"""Replication under faults: random walks, and the zoo of its bugs, each caught by the walk that is named."""

from __future__ import annotations

import os

import pytest

from tests.sim.replication import walk
from tests.sim.replication_zoo import catches

# More with PYBROKER_REPLICATION_WALKS (about 60 ms of a core each).
WALKS = int(os.environ.get("PYBROKER_REPLICATION_WALKS", "12"))


@pytest.mark.parametrize("first", range(0, WALKS, 4))
def test_walks(first):
    acknowledged = sum(
        len(walk(seed, companion=seed % 4 == 3).acked) for seed in range(first, min(first + 4, WALKS))
    )
    assert acknowledged


def test_a_power_loss_leaves_no_hole():
    """Found by this walk: a hole between segments, which no epoch showed to the other replicas."""
    walk(20128)


# Those that few walks find; `python -m tests.sim.replication_zoo` looks for all.
@pytest.mark.parametrize(
    "name",
    [
        "high_watermark_ignores_followers",
        "acknowledged_below_min_isr",
        "truncation_by_high_watermark",
        "nothing_is_truncated",
        "no_epochs_in_fetches",
        "follower_tells_before_it_flushed",
        "epoch_without_records_stays",
    ],
)
def test_bug_is_caught(name):
    assert any(catches(name, seed) for seed in range(60))

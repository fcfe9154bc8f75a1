"""A few of the flips of `flips.py`; `make sim` has more (docs/testing.md)."""

from __future__ import annotations

from tests.sim.flips import explore


def test_some_flipped_bits():
    counts, bad = explore(0.002)
    assert not bad
    assert counts.total() > 100

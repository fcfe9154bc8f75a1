"""A few of the failures of `failures.py`; `make sim` has all of them fail (docs/testing.md)."""

from __future__ import annotations

from tests.sim.failures import explore


def test_some_operations_fail_once():
    counts = explore(0.004)
    assert counts.failures > 30
    assert counts.later_lives == counts.failures
    assert counts.went_on
    assert counts.halted

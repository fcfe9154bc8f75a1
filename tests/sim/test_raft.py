"""The quorum's core under random and exhaustive schedules, and what the harness itself can find."""

from __future__ import annotations

import pytest

from tests.sim.raft_exhaustive import SMALL, Bounds, elect, explore
from tests.sim.raft_random import replay, run, shrink
from tests.sim.raft_world import Options
from tests.sim.raft_zoo import ZOO, Mutation, mutated

QUICK = 60
"""Mutations that this many seeds find are checked here, the others by `python -m tests.sim.raft --zoo`."""


@pytest.mark.parametrize("first", [0, 10_000, 20_000])
def test_random_schedules(first):
    for seed in range(first, first + 20):
        outcome = run(seed)
        assert outcome.violation is None, f"seed {seed}: {outcome.violation}"


def test_same_seed_same_trace():
    for seed in (3, 4, 5):
        assert run(seed).trace == run(seed).trace
    assert run(3).trace != run(4).trace


@pytest.mark.parametrize("mutation", [m for m in ZOO if m.seeds <= QUICK], ids=lambda m: m.name)
def test_zoo(mutation: Mutation):
    with mutated(mutation):
        assert any(_is_caught(seed) for seed in range(mutation.seeds))


def _is_caught(seed: int) -> bool:
    try:
        return run(seed).violation is not None
    except Exception:
        # A mutated core may also trip over one of its own checks.
        return True


def test_a_failing_schedule_is_shrunk():
    (mutation,) = [m for m in ZOO if m.name == "half is a majority"]
    with mutated(mutation):
        outcome = next(o for o in map(run, range(mutation.seeds)) if o.violation is not None)
        actions = shrink(outcome, tries=90)
        assert len(actions) < len(outcome.actions) / 2
        found = replay(outcome.options, outcome.seed, actions)
        assert found is not None
        assert found.invariant == outcome.violation.invariant


def test_exhaustively():
    options = Options(voters=3, sync_store=True, settings=SMALL)
    fresh = explore(Bounds(timeouts=1, crashes=1, proposals=0, states=1_500), options)
    assert fresh.violation is None, fresh.actions
    led = explore(
        Bounds(timeouts=1, proposals=1, duplicates=1, states=1_500), options, prefix=elect(1, (2, 3))
    )
    assert led.violation is None, led.actions


def test_exploration_finds_a_mistake():
    (mutation,) = [m for m in ZOO if m.name == "half is a majority"]
    with mutated(mutation):
        report = explore(
            Bounds(timeouts=1, crashes=0, proposals=0, depth=7),
            Options(voters=3, sync_store=True, settings=SMALL),
        )
    assert report.violation is not None
    assert report.violation.invariant == "durable majority"
    assert len(report.actions) <= 7

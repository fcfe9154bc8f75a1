"""Runs seeds of the quorum's simulation: python -m tests.sim.raft --seeds 1000 --from 0

    --zoo              every mutation of the zoo, each with as many seeds as it is given
    --exhaustive N     breadth first from a fresh quorum and from one with a leader, up to N states each
    --replay FILE      a schedule that was saved, action by action

A failing seed is shrunk and saved as `raft-SEED.json` in the present directory. Ends with 1 on a violation.
"""

from __future__ import annotations

import argparse
import json
import sys
import time
from collections import Counter
from pathlib import Path

from tests.sim.raft_exhaustive import SMALL, Bounds, elect, explore
from tests.sim.raft_random import run, shrink, swarm
from tests.sim.raft_world import Options, Violation, World
from tests.sim.raft_zoo import ZOO, mutated


def seeds(first: int, count: int) -> int:
    """Run them; 1 when one failed."""
    started = time.process_time()
    totals: Counter[str] = Counter()
    failed = 0
    for seed in range(first, first + count):
        outcome = run(seed)
        world = outcome.world
        totals.update(
            actions=len(outcome.actions),
            elections=world.elections,
            committed=world.committed_end,
            acknowledged=len(world.acknowledged),
            snapshots_fetched=world.installed,
            voter_changes=world.changes,
        )
        totals.update(f"action {action[0]}" for action in outcome.actions)
        if outcome.violation is not None:
            failed = 1
            actions = shrink(outcome) if outcome.violation.invariant != "liveness" else outcome.actions
            path = Path(f"raft-{seed}.json")
            path.write_text(
                json.dumps({"seed": seed, "violation": str(outcome.violation), "actions": actions})
            )
            print(f"seed {seed}: {outcome.violation} ({len(actions)} actions in {path})")
    print(f"{count} seeds from {first}: {time.process_time() - started:.1f} s of CPU; {dict(totals)}")
    return failed


def zoo() -> int:
    """Every mutation must be caught; 1 when one was not."""
    missed = 0
    for mutation in ZOO:
        started = time.process_time()
        with mutated(mutation):
            caught = next((seed for seed in range(mutation.seeds) if is_caught(seed)), None)
        found = f"seed {caught}" if caught is not None else f"NOT within {mutation.seeds} seeds"
        missed += caught is None
        print(f"{mutation.name:45} {found:25} {time.process_time() - started:6.1f} s", flush=True)
    print(f"{len(ZOO) - missed} of {len(ZOO)}")
    return int(missed > 0)


def is_caught(seed: int) -> bool:
    """A mutated core may also fail one of its own checks."""
    try:
        return run(seed).violation is not None
    except Exception:
        return True


def exhaustive(states: int) -> int:
    """From a fresh quorum, and from one that has a leader."""
    options = Options(voters=3, sync_store=True, settings=SMALL)
    failed = 0
    for name, bounds, chosen, prefix in (
        ("elections", Bounds(timeouts=3, crashes=0, proposals=0, states=states), options, ()),
        (
            "elections, stores apart",
            Bounds(timeouts=2, crashes=1, proposals=0, states=states),
            options._replace(sync_store=False),
            (),
        ),
        (
            "replication",
            Bounds(timeouts=1, crashes=1, proposals=2, duplicates=1, states=states),
            options,
            elect(1, (2, 3)),
        ),
        (
            "resignation",
            Bounds(timeouts=1, crashes=0, proposals=1, resigns=1, states=states),
            options,
            elect(1, (2, 3)),
        ),
        (
            "voters",
            Bounds(timeouts=1, crashes=0, proposals=0, changes=1, states=states),
            options,
            elect(1, (2, 3)),
        ),
    ):
        started = time.process_time()
        report = explore(bounds, chosen, prefix=prefix)
        failed |= report.violation is not None
        print(
            f"{name}: {report.states} states, {report.transitions} transitions, depth {report.depth}, "
            f"{'complete' if report.complete else 'cut off'}, {time.process_time() - started:.1f} s of CPU; "
            f"{report.violation or 'no violation'} {report.actions}",
            flush=True,
        )
    return int(failed)


def replay_file(path: Path) -> int:
    """Print what a saved schedule does."""
    saved = json.loads(path.read_text())
    draw, _ = swarm(saved["seed"], Options())
    world = World(draw.options, saved["seed"])
    try:
        for action in saved["actions"]:
            world.apply(tuple(action))
            print(tuple(action), "->", world.describe())
        world.settle()
    except Violation as violation:
        print(violation)
        return 1
    return 0


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m tests.sim.raft", description=__doc__.split("\n")[0])
    parser.add_argument("--seeds", type=int, default=1000)
    parser.add_argument("--from", type=int, default=0, dest="first")
    parser.add_argument("--zoo", action="store_true")
    parser.add_argument("--exhaustive", type=int, default=0, metavar="STATES")
    parser.add_argument("--replay", type=Path)
    arguments = parser.parse_args()
    if arguments.replay is not None:
        return replay_file(arguments.replay)
    if arguments.zoo:
        return zoo()
    if arguments.exhaustive:
        return exhaustive(arguments.exhaustive)
    return seeds(arguments.first, arguments.seeds)


if __name__ == "__main__":
    sys.exit(main())

"""`make sim`: simulations with fresh seeds until the time is over.

python -m tests.sim --seconds 600 [--seed N]             crashes of the log at every change of the disk
python -m tests.sim metadata --seconds 600 [--seed N]    the metadata log; also: failures, flips
python -m tests.sim cluster --seconds 600 [--seed N]     whole clusters
One seed: --seed N --seconds 0.
"""

from __future__ import annotations

import argparse
import sys
import time

from tests.sim import cluster, metadata
from tests.sim.explorer import Counts, Explorer, Found
from tests.sim.world import Step, make_compacting_steps, make_steps

LENGTH = 60
POWER_LOSSES = 4


def explore(seed: int, steps: list[Step], fsync: bool) -> tuple[Counts, Found | None]:
    explorer = Explorer(seed, fsync=fsync, steps=steps, power_losses=POWER_LOSSES)
    try:
        explorer.run()
    except Found as found:
        return explorer.counts, found
    return explorer.counts, None


def shrunk(seed: int, steps: list[Step], fsync: bool, seconds: float) -> list[Step]:
    """A shorter schedule that still fails: pieces are left out as long as there is time."""
    end = time.monotonic() + seconds
    size = len(steps) // 2
    while size and time.monotonic() < end:
        for start in range(0, len(steps), size):
            shorter = steps[:start] + steps[start + size :]
            if shorter and explore(seed, shorter, fsync)[1] is not None:
                steps = shorter
                break
            if time.monotonic() > end:
                return steps
        else:
            size //= 2
    return steps


def main() -> int:
    if sys.argv[1:2] == ["metadata"]:
        return metadata.main(sys.argv[2:])
    if sys.argv[1:2] == ["cluster"]:
        return cluster.main(sys.argv[2:])
    parser = argparse.ArgumentParser(prog="python -m tests.sim", description=__doc__)
    parser.add_argument("--seconds", type=float, default=60.0)
    parser.add_argument("--seed", type=int, default=None, help="the first one; by default the time of day")
    options = parser.parse_args()
    seed = first = int(time.time()) if options.seed is None else options.seed
    end = time.monotonic() + options.seconds
    total = Counts()
    while True:
        for fsync in (True, False):
            # Every fourth schedule does nothing but compact.
            steps = make_compacting_steps(seed) if seed % 4 == 3 else make_steps(seed, LENGTH)
            counts, found = explore(seed, steps, fsync)
            total.add(counts)
            if found is not None:
                print(f"\n{found}\nagain: python -m tests.sim --seed {seed} --seconds 0", flush=True)
                for step in shrunk(seed, steps, fsync, 60.0):
                    print(f"    {step}")
                return 1
        seed += 1
        print(
            f"\rseeds {first} to {seed - 1}: {total.points} points, {total.kills} kills, {total.power_losses} power "
            f"losses, {total.interrupted} interrupted and {total.repeated} second recoveries, all sound",
            end="",
            flush=True,
        )
        if time.monotonic() >= end:
            print()
            return 0


if __name__ == "__main__":
    sys.exit(main())

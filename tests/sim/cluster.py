"""Whole clusters with fresh seeds until the time is over.

python -m tests.sim cluster --seconds 600 [--seed N] [--nodes N]      one seed: --seed N --seconds 0
"""

from __future__ import annotations

import argparse
import json
import time
from collections.abc import Sequence
from dataclasses import asdict, dataclass, field

from tests.sim.cluster_world import Failure, Result, World, options_of, shrunk

SIZES = (1, 3)


@dataclass
class Totals:
    """What was done."""

    seeds: int = 0
    virtual_ms: float = 0.0
    events: int = 0
    acked: int = 0
    read: int = 0
    compared: int = 0
    requests: int = 0
    operations: dict[str, int] = field(default_factory=dict)
    faults: dict[str, int] = field(default_factory=dict)
    slowest_recovery_ms: float = 0.0

    def add(self, result: Result) -> None:
        self.seeds += 1
        self.virtual_ms += result.virtual_ms
        self.events += result.events
        self.acked += result.acked
        self.read += result.read
        self.compared += result.compared
        self.requests += result.requests
        self.slowest_recovery_ms = max(self.slowest_recovery_ms, result.slowest_recovery_ms)
        for mine, its in ((self.operations, result.operations), (self.faults, result.faults)):
            for name, count in its.items():
                mine[name] = mine.get(name, 0) + count

    def __str__(self) -> str:
        return (
            f"{self.seeds} seeds, {self.virtual_ms / 3_600_000:.2f} virtual hours, {self.events} events, "
            f"{self.requests} requests, {sum(self.operations.values())} operations, {sum(self.faults.values())} "
            f"faults, {self.acked} records acknowledged, {self.read} read, {self.compared} batches compared"
        )


def run_seed(seed: int, nodes: int) -> Result:
    """One seed; one in a hundred runs twice and must leave the same trace (I18)."""
    result = World(options_of(seed, nodes)).run()
    if seed % 100 == 7:
        again = World(options_of(seed, nodes)).run()
        if again.trace != result.trace:
            raise AssertionError(f"I18: seed {seed} left the traces {result.trace} and {again.trace}")
    return result


def describe(failure: Failure) -> str:
    """Everything that is needed to see it again."""
    options = json.dumps(asdict(failure.options))
    return "\n".join(
        [
            str(failure),
            f"options {options}",
            *(f"    {line}" for line in failure.recent),
            f"faults {failure.faults}",
        ]
    )


def main(arguments: Sequence[str]) -> int:
    parser = argparse.ArgumentParser(prog="python -m tests.sim cluster", description=__doc__)
    parser.add_argument("--seconds", type=float, default=60.0)
    parser.add_argument("--seed", type=int, default=None, help="the first one; by default the time of day")
    parser.add_argument(
        "--nodes", type=int, default=None, help="brokers; by default one size after the other"
    )
    parser.add_argument("--stride", type=int, default=1, help="only every so many seeds, to share them out")
    options = parser.parse_args(arguments)
    seed = first = int(time.time()) if options.seed is None else options.seed
    sizes = SIZES if options.nodes is None else (options.nodes,)
    end = time.monotonic() + options.seconds
    cpu = time.process_time()
    totals = Totals()
    while True:
        for nodes in sizes:
            try:
                totals.add(run_seed(seed, nodes))
            except Failure as failure:
                print(f"\n{describe(failure)}", flush=True)
                print(
                    f"again: python -m tests.sim cluster --seed {seed} --nodes {nodes} --seconds 0",
                    flush=True,
                )
                if options.seconds:
                    print(f"\nshorter:\n{describe(shrunk(failure))}", flush=True)
                return 1
        seed += options.stride
        if time.monotonic() >= end:
            cpu = time.process_time() - cpu
            print(f"seeds {first} to {seed - options.stride}: {totals}, {cpu:.0f} s of CPU, all sound")
            print(
                f"operations {dict(sorted(totals.operations.items()))}\nfaults {dict(sorted(totals.faults.items()))}"
            )
            return 0

"""Whole clusters with fresh seeds until the time is over.

python -m tests.sim cluster --seconds 600 [--seed N] [--nodes N]      one seed: --seed N --seconds 0
python -m tests.sim cluster --seconds 600 --soak FILE [--seed N]      of 1, 3 and 5 nodes; a failing one is noted in
    FILE, with the counts, and the next one follows; with the FILE of an earlier run from where that ended
"""

from __future__ import annotations

import argparse
import json
import os
import time
from collections.abc import Sequence
from dataclasses import asdict, dataclass, field

from tests.sim.cluster_world import Failure, Result, World, options_of, shrunk

SIZES = (1, 3)
# Of a soak, one after the other.
SOAK_SIZES = (3, 1, 3, 5)
# Seconds after which a soak writes down how far it is.
_NOTE_EVERY = 10.0


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
    owned: int = 0
    passes: int = 0
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
        self.owned += result.owned
        self.passes += result.passes
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


def soak(path: str, seconds: float, first: int | None) -> int:
    """Seeds until the time is over. The file: {"first", "next": seeds, "sizes": nodes -> seeds, "cpu": seconds,
    "totals", "failures": [{"seed", "nodes", "what"}]}; beside it, in FILE.txt, what is needed to see failures again."""
    if os.path.exists(path):
        with open(path) as file:
            state = json.load(file)
    else:
        state = {
            "first": int(time.time()) if first is None else first,
            "sizes": {},
            "cpu": 0.0,
            "failures": [],
        }
        state["next"] = state["first"]
        state["totals"] = asdict(Totals())
    totals = Totals(**state["totals"])
    end = time.monotonic() + seconds
    written = time.monotonic()
    cpu = time.process_time()
    while True:
        seed = state["next"]
        nodes = SOAK_SIZES[seed % len(SOAK_SIZES)]
        try:
            totals.add(run_seed(seed, nodes))
        except (Failure, AssertionError) as failure:
            state["failures"].append({"seed": seed, "nodes": nodes, "what": str(failure)})
            with open(f"{path}.txt", "a") as file:
                print(describe(failure) if isinstance(failure, Failure) else failure, file=file)
            written = 0.0
        state["next"] = seed + 1
        state["sizes"][str(nodes)] = state["sizes"].get(str(nodes), 0) + 1
        now = time.monotonic()
        if now >= end or now - written >= _NOTE_EVERY:
            written = now
            state["cpu"] += time.process_time() - cpu
            cpu = time.process_time()
            state["totals"] = asdict(totals)
            with open(f"{path}.new", "w") as file:
                json.dump(state, file, indent=1)
            os.replace(f"{path}.new", path)
        if now >= end:
            print(f"seeds {state['first']} to {seed}: {totals}, {state['cpu']:.0f} s of CPU")
            for found in state["failures"]:
                print(f"seed {found['seed']}, {found['nodes']} nodes: {found['what']}")
            return 1 if state["failures"] else 0


def main(arguments: Sequence[str]) -> int:
    parser = argparse.ArgumentParser(prog="python -m tests.sim cluster", description=__doc__)
    parser.add_argument("--seconds", type=float, default=60.0)
    parser.add_argument("--seed", type=int, default=None, help="the first one; by default the time of day")
    parser.add_argument(
        "--nodes", type=int, default=None, help="brokers; by default one size after the other"
    )
    parser.add_argument("--stride", type=int, default=1, help="only every so many seeds, to share them out")
    parser.add_argument("--soak", metavar="FILE", help="go on after failures, and keep the counts here")
    options = parser.parse_args(arguments)
    if options.soak is not None:
        return soak(options.soak, options.seconds, options.seed)
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

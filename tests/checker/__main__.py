"""`python -m tests.checker --seed N --minutes M`: run the workload and say what is wrong with its history."""

from __future__ import annotations

import argparse
import json
import sys
import tempfile
from collections.abc import Sequence
from pathlib import Path

from tests.checker.analysis import Analysis
from tests.checker.history import FAIL, INFO, OK
from tests.checker.workload import PROPERTIES, BrokerNemesis, Outcome, run
from tests.processes import PybrokerProcess


def check(
    directory: Path,
    seed: int,
    seconds: float,
    *,
    transactional: bool,
    libraries: Sequence[str] = ("confluent",) * 4,
) -> dict[str, list[str]]:
    """Anomalies of one run; the history is kept beside the broker's files."""
    durability = "fsync" if seed % 3 == 0 else "os"
    server = PybrokerProcess(directory / "broker", {**PROPERTIES, "pybroker.durability": durability})
    try:
        outcome = run(
            server.bootstrap,
            lambda workers, of: BrokerNemesis(server, workers, of),
            seed,
            seconds,
            transactional=transactional,
            libraries=libraries,
            directory=directory,
        )
    finally:
        server.stop()
    return judge(directory, seed, outcome, transactional=transactional)


def judge(directory: Path, seed: int, outcome: Outcome, *, transactional: bool) -> dict[str, list[str]]:
    """The anomalies of a history, which is kept in the directory."""
    with (directory / "history.jsonl").open("w") as file:
        for operation in outcome.history:
            file.write(json.dumps(operation.to_json()) + "\n")
    found = Analysis(outcome.history, complete=outcome.complete).run()
    if not outcome.complete:
        found.setdefault("not-finished", []).append("the final reader did not come past everything known")
    print(summary(seed, transactional, outcome, found), flush=True)
    return found


def summary(seed: int, transactional: bool, outcome: Outcome, found: dict[str, list[str]]) -> str:
    counts = {kind: sum(op.outcome == kind for op in outcome.history) for kind in (OK, FAIL, INFO)}
    sends = sum(len(op.sends) for op in outcome.history)
    polled = sum(len(r) for op in outcome.history for poll in op.polls for r in poll.records.values())
    mode = "transactions" if transactional else "plain"
    return (
        f"seed {seed} {mode}: operations {counts}, sends {sends}, records polled {polled}, "
        f"faults {outcome.faults}, anomalies { {name: len(what) for name, what in found.items()} or 'none' }"
    )


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--minutes", type=float, default=1.0)
    parser.add_argument("--plain", action="store_true", help="sends and polls without transactions")
    parser.add_argument(
        "--libraries", default=",".join(["confluent"] * 4), help="a worker each: java, go too"
    )
    options = parser.parse_args()
    directory = Path(tempfile.mkdtemp(prefix=f"checker-{options.seed}-"))
    found = check(
        directory,
        options.seed,
        options.minutes * 60,
        transactional=not options.plain,
        libraries=options.libraries.split(","),
    )
    for name, what in found.items():
        print(f"{name}: {len(what)}")
        for line in what[:10]:
            print(f"  {line}")
    if found:
        print(f"history and broker files: {directory}")
    return 1 if found else 0


if __name__ == "__main__":
    sys.exit(main())

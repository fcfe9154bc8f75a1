"""`python -m tests.conformance --requests N --seed S [--self] [--write-docs]`: the differential test as a
program.
"""

from __future__ import annotations

import argparse
import dataclasses
import sys
import tempfile
from pathlib import Path

from tests.conformance import docs
from tests.conformance.run import PROPERTIES, Difference, run, run_scenes, short
from tests.conformance.symbols import Records
from tests.processes import KafkaProcess, PybrokerProcess
from tests.protocol.raw import Batch


def show(difference: Difference) -> str:
    step = difference.step
    damage = f" {step.damage} {step.parameter}" if step.damage else ""
    lines = [
        f"  #{difference.number} key {step.key} version {step.version}{damage}: {short_values(step.values)}"
    ]
    lines += [
        f"      {path}: {short(first)} != {short(second)}" for path, first, second in difference.found[:6]
    ]
    return "\n".join(lines)


def short_values(values: object) -> str:
    text = repr(_summary(values))
    return text if len(text) <= 1500 else f"{text[:1497]}..."


def _summary(value: object) -> object:
    """The same without the contents of records."""
    if isinstance(value, Batch):
        fields = dataclasses.asdict(value)
        plain = dataclasses.asdict(Batch())
        shown = {name: item for name, item in fields.items() if name != "records" and item != plain[name]}
        return f"Batch of {[len(r) for r in value.records]} {shown}"
    if isinstance(value, Records):
        extra = {"tail": value.tail, "keep": value.keep} if value.tail or value.keep is not None else ""
        return [*map(_summary, value.batches), *([extra] if extra else [])]
    if isinstance(value, dict):
        return {name: _summary(item) for name, item in value.items()}
    if isinstance(value, list):
        return [_summary(item) for item in value]
    return value


def main(arguments: list[str] | None = None) -> int:
    parser = argparse.ArgumentParser(prog="python -m tests.conformance", description=__doc__)
    parser.add_argument("--requests", type=int, default=2000)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--scenes", type=int, default=2000, help="requests about groups and transactions")
    parser.add_argument("--self", dest="itself", action="store_true", help="Apache Kafka against itself")
    parser.add_argument("--only", type=int, nargs="*", help="these keys (and Produce and CreateTopics) only")
    parser.add_argument(
        "--examples", type=int, default=1, help="examples shown of every group of differences"
    )
    parser.add_argument("--in-order", type=int, metavar="N", help="show the first N differences instead")
    parser.add_argument(
        "--nodes", nargs=2, metavar="HOST:PORT", help="running nodes, fresh ones, instead of new ones"
    )
    parser.add_argument("--write-docs", action="store_true", help="write the table to docs/conformance.md")
    parser.add_argument(
        "--write-lists", action="store_true", help="write only the lists of docs/conformance.md, send nothing"
    )
    options = parser.parse_args(arguments)
    if options.write_lists:
        docs.write_lists()
        return 0
    only = set(options.only) if options.only else None
    if options.nodes:
        report = run(*options.nodes, options.requests, options.seed, only=only)
        report.add(run_scenes(*options.nodes, options.scenes, options.seed))
    else:
        with tempfile.TemporaryDirectory(prefix="conformance-") as directory:
            reference = KafkaProcess(Path(directory) / "kafka", PROPERTIES)
            try:
                kind = KafkaProcess if options.itself else PybrokerProcess
                other = kind(Path(directory) / "other", PROPERTIES)
                try:
                    report = run(
                        reference.bootstrap, other.bootstrap, options.requests, options.seed, only=only
                    )
                    report.add(run_scenes(reference.bootstrap, other.bootstrap, options.scenes, options.seed))
                finally:
                    other.kill()
            finally:
                reference.kill()
    print(report.table())
    print(
        f"\n{sum(report.requests.values())} requests, seed {options.seed}, {len(report.versions)} versions, "
        f"{report.seconds:.0f} s\n"
    )
    if options.in_order:
        for difference in report.found[: options.in_order]:
            print(show(difference))
    for signature, group in report.groups().items() if not options.in_order else ():
        print(f"{len(group)} x {signature}")
        for difference in group[: options.examples]:
            print(show(difference))
    if options.write_docs:
        docs.write(report, options.seed)
    return 1 if report.found else 0


if __name__ == "__main__":
    sys.exit(main())

"""Runs the rows and reports.

    python -m bench [--rows PATTERN] [--seconds S] [--rounds R] [--minutes M] [--only BROKERS] [--quick]
                    [--no-kfake] [--directory DIR] [--write | --no-write]
    python -m bench --list

The brokers take turns, as often as the row says, and which of them goes first changes from turn to turn;
while one works the others are idle. A row that fails is reported as failed and the rest go on. The exit
status is 1 if a row of pybroker failed. A round is begun only if, at the pace so far, it ends within the
minutes.
"""

from __future__ import annotations

import argparse
import contextlib
import datetime
import os
import re
import shutil
import sys
import tempfile
import time
from fnmatch import fnmatchcase
from pathlib import Path
from typing import Any

from bench import machine, report
from bench.load_tools import kfake_program, load_program, rdkafka_program
from bench.rows import ROWS, Bench, Row, warm
from bench.subjects import HEAP, JVM_OPTIONS, PROPERTIES, Subject, subjects


def options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m bench", description=(__doc__ or "").split("\n")[0])
    parser.add_argument(
        "--rows", default="*", help="which rows: names or patterns with *, separated by commas"
    )
    parser.add_argument(
        "--seconds", type=float, default=0, help="length of a measured span (default 2; quick: 1)"
    )
    parser.add_argument("--rounds", type=int, default=1, help="how often all of the rows are run (default 1)")
    parser.add_argument(
        "--minutes", type=float, default=60, help="begin no round that would not end within (default 60)"
    )
    parser.add_argument(
        "--only", default="", help="only these brokers: pybroker, kafka, kfake, separated by commas"
    )
    parser.add_argument("--quick", action="store_true", help="short and coarse, to see that everything works")
    parser.add_argument(
        "--kfake",
        action=argparse.BooleanOptionalAction,
        default=True,
        help="a third column, in the first round only: franz-go's in-memory broker",
    )
    parser.add_argument(
        "--directory", type=Path, help="where the brokers' data goes (default: a temporary directory)"
    )
    parser.add_argument(
        "--write",
        action=argparse.BooleanOptionalAction,
        help="store the rows in bench/results.json and README.md (default: if all are run, not quick)",
    )
    parser.add_argument("--list", action="store_true", help="show the rows and end")
    parsed = parser.parse_args()
    parsed.seconds = parsed.seconds or (1.0 if parsed.quick else 2.0)
    return parsed


def chosen_rows(patterns: str) -> list[Row]:
    wanted = [pattern.strip() for pattern in patterns.split(",")]
    return [
        row
        for row in ROWS
        if any(fnmatchcase(row.name, pattern) or fnmatchcase(row.name, pattern + "/*") for pattern in wanted)
    ]


def chosen_subjects(only: str, with_kfake: bool) -> list[str]:
    if not only:
        return ["kafka", "pybroker", *(["kfake"] if with_kfake else [])]
    names = [name.strip() for name in only.split(",")]
    unknown = sorted(set(names) - {"kafka", "pybroker", "kfake"})
    if unknown:
        raise SystemExit(f"no broker {', '.join(unknown)}: there are pybroker, kafka, kfake")
    return names


def measure(row: Row, subject: Subject, bench: Bench) -> dict[str, Any]:
    """One turn of a row on one broker. Whatever goes wrong becomes the turn's result."""
    try:
        server = subject.server() if row.work and not row.name.startswith("create") else None
        own, busy, started = time.process_time(), machine.machine_cpu_s(), time.monotonic()
        broker = machine.process_cpu_s(server.pid) if server else 0.0
        children = os.times()
        figures: dict[str, Any] = row.run(bench)
        if server:
            # Everything that was neither the broker nor a tool: a disturbed row is marked in the report.
            ended = os.times()
            tool = (
                ended.children_user
                + ended.children_system
                - children.children_user
                - children.children_system
            )
            broker = machine.process_cpu_s(server.pid) - broker
            others = machine.machine_cpu_s() - busy - broker - tool - (time.process_time() - own)
            figures["others_cpu"] = max(0.0, others) / ((time.monotonic() - started) * (os.cpu_count() or 1))
        return {key: round(value, 6) for key, value in figures.items()}
    except (Exception, AssertionError) as error:
        return failure(subject, error)


def failure(subject: Subject, error: BaseException) -> dict[str, Any]:
    reason = re.sub(r"\s+", " ", str(error) or type(error).__name__)
    if subject.has_died():
        reason += " (the broker is dead: " + re.sub(r"\s+", " ", subject.last_words()) + ")"
    return {"failed": reason[:600]}


def measure_turns(row: Row, benches: list[Bench], first: int, results: report.Turns) -> None:
    """All turns of a row; the brokers go in their order when `first` is even. After a failure there are no more
    turns."""
    try:
        for bench in benches:
            try:
                if row.prepare is not None:
                    row.prepare(bench)
            except (Exception, AssertionError) as error:
                results[bench.subject.name].append(failure(bench.subject, error))
                return
        for turn in range(min(row.turns, 2) if benches[0].quick else row.turns):
            # A broker in memory is there for orientation: once is enough.
            taking_part = [bench for bench in benches if not (turn and bench.subject.keeps_memory)]
            for bench in taking_part if (first + turn) % 2 == 0 else reversed(taking_part):
                if row.prepare is None:
                    # Topics, and groups, are those of the turn.
                    bench = bench._replace(topic=f"{bench.topic}-{turn}")
                results[bench.subject.name].append(measure(row, bench.subject, bench))
                if row.prepare is None:
                    with contextlib.suppress(Exception):
                        bench.subject.end_of_row(bench.topic)
            if any("failed" in results[bench.subject.name][-1] for bench in taking_part):
                return
    finally:
        if row.prepare is not None:
            for bench in benches:
                with contextlib.suppress(Exception):
                    bench.load(bench.subject.server(), "delete", topic=bench.topic)
                    bench.subject.end_of_row(bench.topic)


def main() -> int:
    chosen = options()
    # Some environments set it for development; an installed broker has its compiled modules.
    os.environ.pop("PYTHONDONTWRITEBYTECODE", None)
    if chosen.list:
        for row in ROWS:
            print(f"{row.name:32} {row.title}")
        return 0
    rows = chosen_rows(chosen.rows)
    if not rows:
        raise SystemExit(f"no row is named {chosen.rows!r}; --list shows them")
    names = chosen_subjects(chosen.only, chosen.kfake)
    load_program()
    if "kfake" in names:
        kfake_program()
    if not rdkafka_program().exists() and any(
        "librdkafka" in row.title or row.name == "memory" for row in rows
    ):
        raise SystemExit("rdkafka_performance is missing: python -m tools.interop fetch node-rdkafka")

    started = datetime.datetime.now(datetime.UTC)
    base = Path(tempfile.mkdtemp(prefix="pybroker-bench-", dir=chosen.directory))
    brokers = subjects(names, base)
    results: dict[str, report.Turns] = {row.name: {name: [] for name in names} for row in rows}
    touched_mib = 1024 if chosen.quick else 8192
    warm_seconds = 0.5 if chosen.quick else 2.0
    for broker in brokers:
        if not broker.keeps_memory:
            broker.warmer = lambda server: warm(server, warm_seconds)
    try:
        machine.touch_memory(touched_mib)
        begun = time.monotonic()
        for rounds_done in range(chosen.rounds):
            spent = time.monotonic() - begun
            if rounds_done and spent * (rounds_done + 1) / rounds_done > chosen.minutes * 60:
                print(f"no time for round {rounds_done + 1}: {spent / 60:.0f} minutes are over", flush=True)
                break
            taking_part = [broker for broker in brokers if not (rounds_done and broker.keeps_memory)]
            for row in rows:
                # Not the row's slashes: the name is a topic's.
                topic = f"{row.name.replace('/', '-')}-{rounds_done}"
                benches = [Bench(broker, chosen.seconds, topic, chosen.quick) for broker in taking_part]
                measure_turns(row, benches, rounds_done, results[row.name])
                print(report.plain(row, results[row.name]), flush=True)
                for broker in taking_part:
                    if (turns := results[row.name][broker.name]) and "failed" in turns[-1]:
                        print(f"    {broker.name} failed: {turns[-1]['failed']}", flush=True)
    finally:
        for broker in brokers:
            broker.close()
        shutil.rmtree(base, ignore_errors=True)

    took = datetime.datetime.now(datetime.UTC) - started
    common = ", ".join(f"{key}={value}" for key, value in PROPERTIES.items())
    settings = {
        "spans": f"{chosen.seconds:g} s; before: {warm_seconds:g} s of each kind of load",
        "run": f"{took.total_seconds() / 60:.0f} minutes; {touched_mib} MiB of memory touched beforehand",
        "both brokers": f"{common}, otherwise the defaults",
        "JVM": f"-Xmx{HEAP} -Xms{HEAP} -XX:+UseG1GC {' '.join(JVM_OPTIONS)}",
    }
    output = {
        "date": started.strftime("%Y-%m-%d %H:%M UTC"),
        "command": "python -m bench " + " ".join(sys.argv[1:]),
        "machine": machine.description(),
        "versions": machine.versions(),
        "settings": settings,
        "rows": {
            name: {"date": started.strftime("%Y-%m-%d"), "turns": turns} for name, turns in results.items()
        },
    }
    complete = len(rows) == len(ROWS) and not chosen.quick and not chosen.only
    if chosen.write if chosen.write is not None else complete:
        report.write(output, merge=len(rows) != len(ROWS))
        print(f"written to {report.DIRECTORY / 'results.json'} and README.md")
    failed = [
        name for name, turns in results.items() if any("failed" in f for f in turns.get("pybroker", ()))
    ]
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())

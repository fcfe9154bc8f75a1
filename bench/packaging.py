"""The binary and the wheel beside Apache Kafka and kfake: size, start, memory, throughput.

In: `dist/pybroker` and `dist/*.whl` (`make binary dist`), what `make bench` needs, and further programs that are
called as `pybroker` is (`--also NAME=PATH`). Out: a table; with `--write` the part of bench/README.md between
its two marks. What must hold: the brokers take turns, so that a machine that is busy with other things as well
treats them alike; a first start finds none of the program's files in memory.

    python -m bench.packaging --write        # less than four minutes
"""

from __future__ import annotations

import argparse
import datetime
import os
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Callable, Sequence
from pathlib import Path
from statistics import median
from typing import Any, NamedTuple

from bench import load_tools, machine
from bench.rows import Bench, start_to_first_record
from bench.subjects import PROPERTIES, Kafka, Kfake, Pybroker
from tests.processes import Server
from tools import interop

BEGIN, END = "<!-- packaging: written by python -m bench.packaging -->", "<!-- end of packaging -->"
README = Path(__file__).resolve().parent / "README.md"
DIST = interop.REPOSITORY / "dist"


class Program(Pybroker):
    """`pybroker start` by any program, kept in `program`."""

    program = ""

    def command(self) -> list[str]:
        return [self.program, *super().command()[3:]]


class Subject(NamedTuple):
    name: str
    create: Callable[[Path], Server]
    files: list[Path]
    """What a start reads: pushed out of memory before a first start. The first is what is downloaded."""


def _program(name: str, path: Path, files: Sequence[Path] = ()) -> Subject:
    kind = type(name, (Program,), {"program": str(path), "name": name})
    return Subject(name, lambda folder: kind(folder, PROPERTIES), [path, *files])


def _wheel(folder: Path) -> Subject:
    """The wheel in a virtual environment of its own, made with the interpreter that runs this."""
    wheels = sorted(DIST.glob("*.whl"))
    if not wheels:
        raise SystemExit("dist has no wheel: make dist")
    subprocess.run([sys.executable, "-m", "venv", str(folder)], check=True)
    pip = [str(folder / "bin" / "pip"), "--disable-pip-version-check", "install", "--quiet"]
    subprocess.run([*pip, str(wheels[-1])], check=True)
    base = Path(sys.base_prefix)
    subject = _program("wheel", folder / "bin" / "pybroker", [folder / "lib", base / "bin", base / "lib"])
    return subject._replace(files=[wheels[-1], *subject.files])


def _evict(files: Sequence[Path]) -> None:
    """Takes files out of the page cache; those that are in use stay."""
    for each in files:
        for path in each.rglob("*") if each.is_dir() else [each]:
            if path.is_file():
                descriptor = os.open(path, os.O_RDONLY)
                os.posix_fadvise(descriptor, 0, 0, os.POSIX_FADV_DONTNEED)
                os.close(descriptor)


def _tree(pid: int) -> list[int]:
    """The process and its children: some programs unpack themselves and start what they have unpacked."""
    found = [pid]
    for tasks in Path(f"/proc/{pid}/task").glob("*/children"):
        for child in tasks.read_text().split():
            found += _tree(int(child))
    return found


def _cpu_s(server: Server) -> float:
    return sum(machine.process_cpu_s(pid) for pid in _tree(server.pid))


def _resident_mib(server: Server) -> float:
    return sum(machine.resident_mib(pid) for pid in _tree(server.pid))


def _size_mb(path: Path) -> float:
    files = path.rglob("*") if path.is_dir() else [path]
    return sum(file.stat().st_size for file in files if file.is_file() and not file.is_symlink()) / 1e6


def _start(subject: Subject, folder: Path, *, first: bool, topic: str) -> dict[str, float]:
    # The first start makes the data directory (with Apache Kafka, a program of its own does).
    server = subject.create(folder)
    try:
        server.stop()
        if first:
            _evict(subject.files)
        seconds = start_to_first_record(Bench(None, 1.0, topic, False), server)  # type: ignore[arg-type]
        cpu = _cpu_s(server)
        if first:
            return {"first": seconds}
        return {"start": seconds, "start_cpu": cpu, "memory": _resident_mib(server)}
    finally:
        server.kill()
        shutil.rmtree(folder, ignore_errors=True)


def _throughput(subject: Subject, folder: Path, seconds: float) -> dict[str, float]:
    server = subject.create(folder)
    try:
        found: dict[str, float] = {}
        flags: dict[str, Any] = {"partitions": 16, "seconds": seconds, "warm": 0.5}
        load = {"single": (16, 16, 100, 1), "batch": (4, 16, 1000, 15)}
        load_tools.load("create", server.bootstrap, 60, topic="warm", ready=True, partitions=16)
        load_tools.load("produce", server.bootstrap, 60, topic="warm", connections=16, inflight=16, **flags)
        for name, (connections, inflight, size, records) in load.items():
            load_tools.load("create", server.bootstrap, 60, topic=name, ready=True, partitions=16)
            shape = {"connections": connections, "inflight": inflight, "size": size, "records": records}
            before = _cpu_s(server)
            figures = load_tools.load("produce", server.bootstrap, 60, topic=name, **shape, **flags)
            found[name] = figures["requests_per_s"]
            found[f"{name}_cpu"] = (_cpu_s(server) - before) / figures["total_requests"] * 1e6
        found["memory_after"] = _resident_mib(server)
        return found
    finally:
        server.kill()
        shutil.rmtree(folder, ignore_errors=True)


COLUMNS = (
    ("size", "size, MB", "{:.1f}"),
    ("first", "first start, s", "{:.2f}"),
    ("start", "later starts, s", "{:.2f}"),
    ("start_cpu", "CPU of a start, s", "{:.2f}"),
    ("memory", "memory after the start, MiB", "{:.0f}"),
    ("memory_after", "after the load, MiB", "{:.0f}"),
    ("single", "single records, requests/s", "{:,.0f}"),
    ("single_cpu", "broker CPU us each", "{:.2f}"),
    ("batch", "15 KB batches, requests/s", "{:,.0f}"),
    ("batch_cpu", "broker CPU us each", "{:.1f}"),
)


def table(results: dict[str, dict[str, list[float]]]) -> str:
    lines = ["| | " + " | ".join(title for _, title, _ in COLUMNS) + " |", "|---" * (len(COLUMNS) + 1) + "|"]
    for name, figures in results.items():
        cells = [form.format(median(figures[key])) if figures.get(key) else "" for key, _, form in COLUMNS]
        lines.append(f"| {name} | " + " | ".join(cells) + " |")
    return "\n".join(lines)


def write_part(begin: str, end: str, text: str, page: Path = README) -> None:
    """Put a text between two marks of a page, or at its end where they are not there yet."""
    old = page.read_text()
    if begin in old:
        head, rest = old.split(begin)
        tail = rest.split(end)[1]
    else:
        head, tail = old.rstrip("\n") + "\n\n", "\n"
    page.write_text(f"{head}{begin}\n\n{text}\n\n{end}{tail}")


def main() -> int:
    parser = argparse.ArgumentParser(prog="bench.packaging", description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--write", action="store_true", help="put the table into bench/README.md")
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--starts", type=int, default=3, help="later starts in each round")
    parser.add_argument("--seconds", type=float, default=1.5, help="of each load")
    parser.add_argument("--only", default="wheel,binary,kafka,kfake")
    parser.add_argument("--also", action="append", default=[], metavar="NAME=PATH")
    options = parser.parse_args()
    os.environ.pop("PYTHONDONTWRITEBYTECODE", None)
    load_tools.load_program()
    base = Path(tempfile.mkdtemp(prefix="pybroker-bench-"))
    started = datetime.datetime.now(datetime.UTC)
    try:
        makers: dict[str, Callable[[], Subject]] = {
            "wheel": lambda: _wheel(base / "wheel-environment"),
            "binary": lambda: _program("binary", DIST / "pybroker"),
            "kafka": lambda: Subject(
                "Apache Kafka", lambda folder: Kafka(folder, PROPERTIES), [interop.kafka_lib()]
            ),
            "kfake": lambda: Subject("kfake", Kfake, [load_tools.kfake_program()]),
        }
        subjects = [makers[name]() for name in options.only.split(",") if name]
        subjects += [_program(name, Path(path)) for name, _, path in (a.partition("=") for a in options.also)]
        results: dict[str, dict[str, list[float]]] = {
            s.name: {"size": [_size_mb(s.files[0])]} for s in subjects
        }
        count = 0
        for turn in range(options.rounds):
            for subject in subjects if turn % 2 == 0 else reversed(subjects):
                found = [_throughput(subject, base / f"t{count}", options.seconds)]
                # A JVM takes its time; its starts differ little.
                starts = 1 if subject.name == "Apache Kafka" else options.starts
                for each in range(starts + 1):
                    count += 1
                    topic = f"first-{count}"
                    found.append(_start(subject, base / f"s{count}", first=each == 0, topic=topic))
                for figures in found:
                    for key, value in figures.items():
                        results[subject.name].setdefault(key, []).append(value)
            print(f"round {turn + 1}\n{table(results)}\n", flush=True)
    finally:
        shutil.rmtree(base, ignore_errors=True)
    facts = {**machine.description(), **machine.versions()}
    took = (datetime.datetime.now(datetime.UTC) - started).total_seconds()
    lines = [
        "## Binary and wheel",
        "",
        "Starts are from the launch to the first acknowledged record, the first one with none of the program's files",
        "in memory. The wheel runs on the interpreter named below, the binary on its own. What a wheel and Kafka's jars",
        "need besides (Python and packages, a Java runtime) is not in their size. Medians of the rounds.",
        "",
        f"- Date: {started.strftime('%Y-%m-%d %H:%M UTC')}, {took:.0f} s, {options.rounds} rounds",
        *(f"- {key}: {facts[key]}" for key in ("processor", "kernel", "pybroker", "Python", "Java")),
        "",
        table(results),
    ]
    if options.write:
        write_part(BEGIN, END, "\n".join(lines))
        print(f"written to {README}")
    return 0


if __name__ == "__main__":
    sys.exit(main())

"""The load tools: rdkafka_performance, and the programs (Go, Java) of bench/load and bench/kfake.

In: a broker's address and a load. Out: the tool's own figures, plus the processor time it used. What must
hold: each run ends within its time limit, and a run that did not do all of its work raises `ToolError` with
the reason.
"""

from __future__ import annotations

import json
import os
import re
import resource
import shutil
import subprocess
from collections.abc import Mapping
from pathlib import Path
from typing import Any, NamedTuple

from tests.processes import compile_java, die_with_parent, java_command
from tools import interop


class ToolError(Exception):
    """A load tool failed, or reported less than it was told to do."""


class Run(NamedTuple):
    out: str
    cpu_s: float


def _children_cpu_s() -> float:
    usage = resource.getrusage(resource.RUSAGE_CHILDREN)
    return usage.ru_utime + usage.ru_stime


def run(command: list[str], timeout_s: float, environment: Mapping[str, str] | None = None) -> Run:
    before = _children_cpu_s()
    try:
        result = subprocess.run(
            command,
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            errors="replace",
            timeout=timeout_s,
            env={**os.environ, **(environment or {})},
            preexec_fn=die_with_parent,
        )
    except subprocess.TimeoutExpired:
        raise ToolError(f"{Path(command[0]).name} did not end within {timeout_s:.0f} s") from None
    if result.returncode:
        lines = (result.stderr.strip() or result.stdout.strip()).splitlines()[-3:]
        raise ToolError(f"{Path(command[0]).name} ended with {result.returncode}: {' | '.join(lines)}")
    return Run(result.stdout, _children_cpu_s() - before)


def _build(name: str) -> Path:
    source = interop.REPOSITORY / "bench" / name
    program = interop.cache_directory() / "bench" / name
    inputs = [path for path in source.iterdir() if path.suffix in (".go", ".mod", ".sum")]
    if program.exists() and all(path.stat().st_mtime <= program.stat().st_mtime for path in inputs):
        return program
    program.parent.mkdir(parents=True, exist_ok=True)
    if shutil.which("go") is None:
        raise ToolError("the benchmarks need Go (see tools/interop.py)")
    result = subprocess.run(
        ["go", "build", "-buildvcs=false", "-o", str(program), "."],
        cwd=source,
        capture_output=True,
        text=True,
    )
    if result.returncode:
        raise ToolError(f"go build of bench/{name} failed: {result.stderr[-2000:]}")
    return program


def load_program() -> Path:
    return _build("load")


def kfake_program() -> Path:
    return _build("kfake")


def rdkafka_program() -> Path:
    return interop.node_rdkafka_directory() / "examples" / "rdkafka_performance"


def load(command: str, address: str, timeout_s: float, **flags: Any) -> dict[str, float]:
    """One run of bench/load; a failed one raises, so every figure that comes back is of a complete run."""
    words = [
        f"-{name}={str(value).lower() if isinstance(value, bool) else value}" for name, value in flags.items()
    ]
    result = run([str(load_program()), command, "-addr", address, *words], timeout_s)
    answer: dict[str, float] = json.loads(result.out)
    answer["client_cpu_s"] = result.cpu_s
    return answer


def java_transactions(
    address: str, topic: str, producers: int, seconds: float, timeout_s: float
) -> dict[str, float]:
    """Transactions of Java's producers, after two seconds in which the JVM compiles what it needs."""
    classes = compile_java(interop.REPOSITORY / "bench" / "load" / "Transactions.java")
    directory = interop.cache_directory() / "bench"
    directory.mkdir(parents=True, exist_ok=True)
    command = java_command(directory, "-Xmx512m", extra_class_path=classes)
    result = run([*command, "Transactions", address, topic, str(producers), "2", str(seconds)], timeout_s)
    answer: dict[str, float] = json.loads(result.out.splitlines()[-1])
    answer["client_cpu_s"] = result.cpu_s
    return answer


def _rdkafka(arguments: list[str], timeout_s: float, partition: int = 0) -> Run:
    program = rdkafka_program()
    libraries = interop.node_rdkafka_directory() / "src"
    # The interval keeps it from printing, and from asking for statistics, while it measures.
    command = [str(program), *arguments, "-p", str(partition), "-i", "600000"]
    return run(command, timeout_s, {"LD_LIBRARY_PATH": str(libraries)})


_PRODUCED = re.compile(r"(\d+) delivered \(offset -?\d+, (\d+) failed\) in (\d+)ms: (\d+) msgs/s")
_CONSUMED = re.compile(r"% (\d+) messages \(\d+ bytes\) consumed in (\d+)ms: (\d+) msgs/s")


class Transfer(NamedTuple):
    """What rdkafka_performance moved, by its own clock."""

    records: int
    seconds: float
    client_cpu_s: float


def rdkafka_produce(
    address: str,
    topic: str,
    *,
    size: int,
    count: int,
    acks: str,
    codec: str,
    timeout_s: float,
    partition: int = 0,
) -> Transfer:
    arguments = ["-P", "-t", topic, "-b", address, "-s", str(size), "-c", str(count)]
    arguments += ["-a", "-1" if acks == "all" else acks, "-z", codec]
    result = _rdkafka(arguments, timeout_s, partition)
    found = _PRODUCED.findall(result.out)
    if not found:
        raise ToolError(f"rdkafka_performance printed no summary: {result.out[-300:]!r}")
    delivered, failed, milliseconds, _ = (int(word) for word in found[-1])
    if delivered != count or failed:
        raise ToolError(f"{delivered} of {count} records delivered, {failed} failed")
    return Transfer(delivered, max(milliseconds, 1) / 1000, result.cpu_s)


# With its defaults librdkafka pauses a whole second when 64 MiB are waiting for the application: that would be
# all that is measured.
_UNHINDERED = ["-X", "queued.max.messages.kbytes=1048576", "-X", "fetch.queue.backoff.ms=2"]


def rdkafka_consume(address: str, topic: str, *, count: int, timeout_s: float) -> Transfer:
    arguments = ["-C", "-t", topic, "-b", address, "-c", str(count), "-o", "beginning", *_UNHINDERED]
    return _consumed(arguments, count, timeout_s)


def rdkafka_group_consume(address: str, topic: str, group: str, *, count: int, timeout_s: float) -> Transfer:
    arguments = [
        "-G",
        group,
        "-t",
        topic,
        "-b",
        address,
        "-c",
        str(count),
        "-X",
        "auto.offset.reset=earliest",
    ]
    return _consumed([*arguments, *_UNHINDERED], count, timeout_s)


def _consumed(arguments: list[str], count: int, timeout_s: float) -> Transfer:
    result = _rdkafka(arguments, timeout_s)
    found = _CONSUMED.findall(result.out)
    if not found:
        raise ToolError(f"rdkafka_performance printed no summary: {result.out[-300:]!r}")
    consumed, milliseconds, _ = (int(word) for word in found[-1])
    if consumed < count:
        raise ToolError(f"{consumed} of {count} records consumed")
    return Transfer(consumed, max(milliseconds, 1) / 1000, result.cpu_s)

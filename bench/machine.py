"""The machine under the benchmark: what it is, who uses its processors, and memory that has been touched.

In: nothing, or a process id. Out: plain figures from /proc. What must hold: reading them costs far less
than a millisecond, so that it can stand right before and after a measured span.
"""

from __future__ import annotations

import mmap
import os
import platform
import subprocess
from pathlib import Path

from pybroker.version import VERSION
from tools import interop

TICKS = os.sysconf("SC_CLK_TCK")
MIB = 1 << 20


def process_cpu_s(pid: int) -> float:
    """User and system time of the process with all its threads, since it began."""
    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / TICKS


def family_cpu_s(pid: int) -> float:
    """The same with that of its children, as far as they have ended."""
    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return sum(int(field) for field in fields[11:15]) / TICKS


def has_children(pid: int) -> bool:
    return any(path.read_text().strip() for path in Path(f"/proc/{pid}/task").glob("*/children"))


def machine_cpu_s() -> float:
    """Busy time of all processors together."""
    user, nice, system, _, _, irq, softirq, *_ = (
        int(n) for n in Path("/proc/stat").read_text().split("\n")[0].split()[1:]
    )
    return (user + nice + system + irq + softirq) / TICKS


def resident_mib(pid: int, field: str = "VmRSS") -> float:
    """Resident memory now (VmRSS) or at its highest (VmHWM)."""
    for line in Path(f"/proc/{pid}/status").read_text().splitlines():
        if line.startswith(field + ":"):
            return int(line.split()[1]) / 1024
    raise LookupError(f"process {pid} has no {field}")


def available_mib() -> int:
    for line in Path("/proc/meminfo").read_text().splitlines():
        if line.startswith("MemAvailable:"):
            return int(line.split()[1]) // 1024
    return 0


def touch_memory(mib: int) -> None:
    """Writes to so much memory once and gives it back.

    A virtual machine gets its memory from the host at the first touch, which is slow: without this the
    first rows would measure the host.
    """
    chunk = bytes(16 * MIB)
    count = min(mib, available_mib() // 2) // 16
    if count <= 0:
        return
    with mmap.mmap(-1, count * len(chunk)) as area:
        for i in range(count):
            area[i * len(chunk) : (i + 1) * len(chunk)] = chunk


def _first_line(*command: str) -> str:
    try:
        result = subprocess.run(command, capture_output=True, text=True, stdin=subprocess.DEVNULL, timeout=30)
    except (OSError, subprocess.TimeoutExpired):
        return "not there"
    return (result.stdout + result.stderr).strip().partition("\n")[0]


def _processor() -> str:
    for line in Path("/proc/cpuinfo").read_text().splitlines():
        if line.startswith("model name"):
            return line.partition(":")[2].strip()
    return platform.processor() or "unknown"


def description() -> dict[str, str]:
    total = os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE") / (1 << 30)
    return {
        "processor": f"{os.cpu_count()} x {_processor()}",
        "memory": f"{total:.0f} GiB",
        "kernel": f"{platform.system()} {platform.release()}",
    }


def versions() -> dict[str, str]:
    commit = _first_line("git", "-C", str(interop.REPOSITORY), "rev-parse", "--short=12", "HEAD")
    changed = _first_line("git", "-C", str(interop.REPOSITORY), "status", "--porcelain", "--", "pybroker")
    return {
        "pybroker": f"{VERSION}, commit {commit}{' with changes' if changed else ''}",
        "Python": f"{platform.python_implementation()} {platform.python_version()}",
        "Apache Kafka": interop.KAFKA_VERSION,
        "Java": _first_line("java", "-version"),
        "librdkafka": f"the one of node-rdkafka {interop.NODE_RDKAFKA_VERSION}",
        "Go": _first_line("go", "version"),
    }

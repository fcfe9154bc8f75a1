"""The rows about what happens to a log behind its clients' backs: compaction, and recovery after kill -9.

In: a `Bench`. Out: figures. What must hold: a row has a broker of its own, starts the work at a moment of its
choice, sees its end in the files, and leaves nothing on the disk.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING

from bench import machine
from bench.load_tools import load
from tests.processes import Server
from tests.protocol import raw

if TYPE_CHECKING:
    from bench.rows import Bench

_SEGMENT_BYTES = 104_857_600
_BATCH_BYTES = 16_000
# What a record has beside its value: lengths, deltas, a key of twelve bytes.
_OVERHEAD = 21
_INCREMENTAL_ALTER_CONFIGS = 44
_TOPIC, _BROKER = 2, 4
_FILL_TIMEOUT_S = 600


def _set(connection: raw.Connection, resource: int, name: str, **values: str) -> None:
    configs = [
        {"name": key.replace("_", "."), "config_operation": 0, "value": value}
        for key, value in values.items()
    ]
    request = {
        "resources": [{"resource_type": resource, "resource_name": name, "configs": configs}],
        "validate_only": False,
    }
    answer = connection.call(_INCREMENTAL_ALTER_CONFIGS, 1, request)
    assert [each["error_code"] for each in answer["responses"]] == [0], answer


def _log_bytes(directory: Path) -> int:
    """Bytes of the segments that are in place; some may go while they are counted."""
    total = 0
    for path in directory.glob("*.log"):
        try:
            total += path.stat().st_size
        except FileNotFoundError:
            continue
    return total


def compaction(bench: Bench, records: int, size: int, keys: int) -> dict[str, float]:
    """Records with keys that come again, in segments of 100 MiB, are compacted in one go, while a producer sends a
    thousand records a second to another topic."""
    if bench.quick:
        records, keys = records // 10, keys // 10
    server = bench.subject.fresh()
    try:
        return _compaction(bench, server, records, size, keys)
    finally:
        bench.subject.discard(server)


def _compaction(bench: Bench, server: Server, records: int, size: int, keys: int) -> dict[str, float]:
    with raw.Connection(server.bootstrap, timeout=60) as connection:
        _set(connection, _BROKER, "", log_cleaner_backoff_ms="100")
        configs = {
            "cleanup.policy": "compact",
            "segment.bytes": str(_SEGMENT_BYTES),
            # Not yet: no log is dirtier.
            "min.cleanable.dirty.ratio": "1",
        }
        raw.create_topic(connection, bench.topic, configs=configs)
        other = f"{bench.topic}-other"
        raw.create_topic(connection, other)
        load(
            "keyed",
            server.bootstrap,
            _FILL_TIMEOUT_S,
            topic=bench.topic,
            count=records,
            size=size,
            keys=keys,
            records=max(1, _BATCH_BYTES // (size + _OVERHEAD)),
        )
        directory = server.log_dir / f"{bench.topic}-0"
        before_bytes = _log_bytes(directory)
        # The last segment ends here, so that everything is in rolled ones.
        _set(connection, _TOPIC, bench.topic, segment_ms="1")
        segments = len(list(directory.glob("*.log")))
        started = time.monotonic()
        while len(list(directory.glob("*.log"))) == segments:
            # Kafka applies a configuration some time after its answer.
            assert time.monotonic() - started < 60, "the last segment does not end"
            time.sleep(0.1)
            raw.produce(connection, bench.topic, raw.batch(raw.record(b"last", b"record")))
        _set(connection, _TOPIC, bench.topic, segment_ms="604800000")
        # Each key once, with room for what the choice of the last value does to the size.
        enough = keys * (size + _OVERHEAD) * 1.3 + 100_000
        assert before_bytes > 2 * enough, f"{before_bytes} bytes leave nothing to do"
        meanwhile: dict[str, float] = {}
        seconds = 1 if bench.quick else 3
        # A JVM compiles what it has seen often: its first answers would be all that is measured.
        raw.create_topic(connection, f"{other}-warm")
        bench.load(server, "latency", topic=f"{other}-warm", rate=1000, seconds=2 * seconds, warm=0, size=100)
        client = threading.Thread(
            target=lambda: meanwhile.update(
                bench.load(server, "latency", topic=other, rate=1000, seconds=seconds, warm=0, size=100)
            )
        )
        cpu = machine.family_cpu_s(server.pid)
        started = time.monotonic()
        _set(connection, _TOPIC, bench.topic, min_cleanable_dirty_ratio="0.01")
        client.start()
        while _log_bytes(directory) > enough or any(directory.glob("*.cleaned")):
            if time.monotonic() - started > 600:
                raise RuntimeError(f"not compacted: {_log_bytes(directory)} bytes are left")
            time.sleep(0.02)
        ended = time.monotonic()
        client.join()
        # Compaction may have had a process of its own, whose time counts when it has ended.
        while machine.has_children(server.pid):
            if time.monotonic() - ended > 60:
                raise RuntimeError("the cleaning process does not end")
            time.sleep(0.05)
        cpu = machine.family_cpu_s(server.pid) - cpu
    return {
        "seconds": ended - started,
        "mib_per_s": before_bytes / machine.MIB / (ended - started),
        "cpu_s": cpu,
        "broker_cpu_us": cpu / records * 1e6,
        "meanwhile_p99_ms": meanwhile["p99_ms"],
        "written_mib": before_bytes / machine.MIB,
    }


def recovery(bench: Bench, start_to_first_record: Callable[[Bench, Server], float]) -> dict[str, float]:
    """One segment of nearly 1 GiB, kill -9, and the time to the first acknowledged record after the start."""
    server = bench.subject.fresh()
    try:
        with raw.Connection(server.bootstrap) as connection:
            raw.create_topic(connection, bench.topic + "-log", configs={"segment.bytes": "1073741824"})
        count = 95_000 if bench.quick else 950_000
        bench.load(
            server, "keyed", topic=bench.topic + "-log", count=count, size=1_000, keys=1_000, records=16
        )
        size = _log_bytes(server.log_dir / f"{bench.topic}-log-0")
        server.kill()
        seconds = start_to_first_record(bench, server)
        return {"seconds_per_gib": seconds / size * (1 << 30), "cpu_s": machine.process_cpu_s(server.pid)}
    finally:
        bench.subject.discard(server)

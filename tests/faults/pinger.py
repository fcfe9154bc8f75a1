"""`python -m tests.faults.pinger HOST:PORT PID`: an ordinary client that asks for ApiVersions and Metadata in
turn. PID is the server's process.

For each line on standard input it prints one line, `count longest p99` in milliseconds since the last one,
and starts anew. A process of its own, so that what the attacker's process does cannot slow it. The time in
which the machine gave neither the server's main thread nor this process a processor is not counted: a busy
machine is not the server's doing. What must hold: one connection is kept from beginning to end; if it is lost
or an answer does not come, the process ends with an error.
"""

from __future__ import annotations

import contextlib
import os
import select
import sys
import time

from tests.protocol.raw import API_VERSIONS, METADATA, Connection


def run_queue_seconds(*processes: int) -> float:
    """How long their main threads were ready to run and did not; 0 where the system does not tell."""
    total = 0
    for process in processes:
        with contextlib.suppress(OSError), open(f"/proc/{process}/task/{process}/schedstat") as file:
            total += int(file.read().split()[1])
    return total / 1e9


def main() -> None:
    waits: list[float] = []
    processes = (int(sys.argv[2]), os.getpid())
    with Connection(sys.argv[1], timeout=30) as connection:
        while True:
            for key, version, values in ((API_VERSIONS, 0, {}), (METADATA, 1, {"topics": []})):
                queued = run_queue_seconds(*processes)
                started = time.perf_counter()
                answer = connection.call(key, version, values)
                elapsed = time.perf_counter() - started
                assert answer, f"the ping's connection: {answer}"
                waits.append(max(elapsed - (run_queue_seconds(*processes) - queued), 0.0) * 1000)
            ready, _, _ = select.select([sys.stdin], [], [], 0.002)
            if ready:
                if not sys.stdin.readline():
                    return
                waits.sort()
                print(len(waits), f"{waits[-1]:.1f}", f"{waits[len(waits) * 99 // 100]:.1f}", flush=True)
                waits = []


if __name__ == "__main__":
    main()

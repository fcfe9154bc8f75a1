"""`python -m tests.faults.pinger HOST:PORT`: an ordinary client that asks for ApiVersions and Metadata in
turn.

For each line on standard input it prints one line, `count longest p99` in milliseconds since the last one,
and starts anew. A process of its own, so that what the attacker's process does cannot slow it. What must
hold: one connection is kept from beginning to end; if it is lost or an answer does not come, the process ends
with an error.
"""

from __future__ import annotations

import select
import sys
import time

from tests.protocol.raw import API_VERSIONS, METADATA, Connection


def main() -> None:
    waits: list[float] = []
    with Connection(sys.argv[1], timeout=30) as connection:
        while True:
            for key, version, values in ((API_VERSIONS, 0, {}), (METADATA, 1, {"topics": []})):
                started = time.perf_counter()
                answer = connection.call(key, version, values)
                assert answer, f"the ping's connection: {answer}"
                waits.append((time.perf_counter() - started) * 1000)
            ready, _, _ = select.select([sys.stdin], [], [], 0.002)
            if ready:
                if not sys.stdin.readline():
                    return
                waits.sort()
                print(len(waits), f"{waits[-1]:.1f}", f"{waits[len(waits) * 99 // 100]:.1f}", flush=True)
                waits = []


if __name__ == "__main__":
    main()

"""SIGTERM while clients are connected and their requests wait: what was acknowledged stays, and it ends soon."""

from __future__ import annotations

import struct
import threading
import time
from pathlib import Path

import pytest

from tests.processes import PybrokerProcess
from tests.protocol import raw
from tests.protocol.raw import FETCH, PRODUCE, Connection


@pytest.mark.parametrize("durability", ["os", "fsync"])
def test_sigterm_with_requests_under_way(tmp_path: Path, is_pybroker: bool, durability: str) -> None:
    if not is_pybroker:
        pytest.skip("about this broker's own process")
    server = PybrokerProcess(tmp_path / "broker", {"pybroker.durability": durability})
    address = server.bootstrap
    topic, _ = raw.create_topic(address)
    parked = [Connection(address, timeout=30) for _ in range(20)]
    for connection in parked[:10]:
        # Waits for records that never come, for a minute.
        connection.send(FETCH, 12, raw.fetch_values(topic, offset=0, max_wait=60_000, min_bytes=1 << 30))
    for connection in parked[10:15]:
        connection.send_bytes(struct.pack(">i", 1000) + b"half a request")
    acknowledged: list[int] = []

    def write() -> None:
        with Connection(address, timeout=30) as connection:
            data = raw.produce_values(topic, raw.batch(raw.record(value=b"v" * 100)))
            for _ in range(100_000):
                correlations = [connection.send(PRODUCE, 9, data) for _ in range(20)]
                for correlation in correlations:
                    answer = connection.receive(PRODUCE, 9, correlation)
                    if not answer:
                        return
                    (partition,) = answer["responses"][0]["partition_responses"]
                    if partition["error_code"] == 0:
                        acknowledged.append(partition["base_offset"])

    def guarded() -> None:
        try:
            write()
        except OSError:
            # The connection was closed in the middle of a request.
            return

    writer = threading.Thread(target=guarded)
    writer.start()
    while len(acknowledged) < 200:
        time.sleep(0.01)
    started = time.monotonic()
    # Checks the exit status.
    server.stop()
    elapsed = time.monotonic() - started
    writer.join()
    for connection in parked:
        connection.close()
    assert elapsed < 15, f"it took {elapsed:.1f} s to stop"
    assert (server.log_dir / ".kafka_cleanshutdown").exists()
    server.start()
    with Connection(address) as connection:
        raw.wait_for_topic(connection, topic)
        end = raw.high_watermark(connection, topic)
    server.stop()
    assert acknowledged == list(range(len(acknowledged)))
    assert end >= len(acknowledged)

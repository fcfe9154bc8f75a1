"""What /health and /metrics of a running broker say, read as Prometheus reads it."""

from __future__ import annotations

import urllib.error
import urllib.request
from pathlib import Path

import pytest
from prometheus_client.parser import text_string_to_metric_families

from tests.processes import PybrokerProcess, Server, free_port
from tests.protocol import raw
from tests.protocol.raw import Connection

Metrics = dict[tuple[str, tuple[tuple[str, str], ...]], float]


def scrape(port: int) -> Metrics:
    with urllib.request.urlopen(f"http://127.0.0.1:{port}/metrics", timeout=10) as answer:
        assert answer.headers["Content-Type"].startswith("text/plain; version=0.0.4")
        text = answer.read().decode()
    families = list(text_string_to_metric_families(text))
    assert len({family.name for family in families}) == len(families)
    return {
        (sample.name, tuple(sorted(sample.labels.items()))): sample.value
        for family in families
        for sample in family.samples
    }


def value(metrics: Metrics, name: str, **labels: str) -> float:
    return metrics[name, tuple(sorted(labels.items()))]


def test_health_and_metrics(tmp_path: Path, is_pybroker: bool) -> None:
    if not is_pybroker:
        pytest.skip("pybroker's own pages")
    port = free_port()
    server = PybrokerProcess(
        tmp_path / "broker",
        {"pybroker.http.listener": f"127.0.0.1:{port}", "log.segment.bytes": "1048576"},
    )
    try:
        with urllib.request.urlopen(f"http://127.0.0.1:{port}/health", timeout=10) as answer:
            assert answer.status == 200
            assert answer.read() == b'{"status":"ok"}\n'
        with pytest.raises(urllib.error.HTTPError, match="404"):
            urllib.request.urlopen(f"http://127.0.0.1:{port}/other", timeout=10)
        with Connection(server.bootstrap) as connection:
            topic, _ = raw.create_topic(connection, partitions=2)
            before = scrape(port)
            for _ in range(30):
                raw.produce(connection, topic, raw.batch(raw.record(value=bytes(50_000))))
            answer = raw.fetch(connection, topic, 0, partition_max_bytes=1_000_000)
            received = len(answer["records"])
            after = scrape(port)
            check_requests(before, after, received)
            check_logs(server, after, topic)
    finally:
        server.stop()


def check_requests(before: Metrics, after: Metrics, received: int) -> None:
    """Requests, bytes and latency histograms by API; loop stalls."""

    def grown(name: str, **labels: str) -> float:
        return value(after, name, **labels) - before.get((name, tuple(sorted(labels.items()))), 0)

    assert grown("pybroker_requests_total", api="Produce") == 30
    assert 30 * 50_000 < grown("pybroker_request_bytes_total", api="Produce") < 30 * 51_000
    assert 0 < grown("pybroker_response_bytes_total", api="Produce") < 30 * 200
    assert received <= grown("pybroker_response_bytes_total", api="Fetch") < received + 1000
    assert value(after, "pybroker_request_seconds_count", api="Produce") == 30
    assert value(after, "pybroker_request_seconds_bucket", api="Produce", le="+Inf") == 30
    buckets = [
        (float(dict(labels)["le"]), count)
        for (name, labels), count in after.items()
        if name == "pybroker_request_seconds_bucket" and dict(labels)["api"] == "Produce"
    ]
    assert [count for _, count in sorted(buckets)] == sorted(count for _, count in buckets)
    assert 0 < value(after, "pybroker_request_seconds_sum", api="Produce") < 10
    assert value(after, "pybroker_loop_stall_seconds_count") > 0
    assert value(after, "pybroker_loop_stall_max_seconds") >= 0
    assert value(after, "pybroker_connections") >= 1


def check_logs(server: Server, metrics: Metrics, topic: str) -> None:
    """Log sizes, offsets and segments by partition; partitions; directories."""
    first, second = {"topic": topic, "partition": "0"}, {"topic": topic, "partition": "1"}
    on_disk = sum(path.stat().st_size for path in (server.log_dir / f"{topic}-0").glob("*.log"))
    assert value(metrics, "pybroker_log_size_bytes", **first) == on_disk > 30 * 50_000
    assert value(metrics, "pybroker_log_segments", **first) == 2
    assert value(metrics, "pybroker_log_start_offset", **first) == 0
    assert value(metrics, "pybroker_log_end_offset", **first) == 30
    assert value(metrics, "pybroker_log_end_offset", **second) == 0
    assert value(metrics, "pybroker_log_size_bytes", **second) == 0
    assert value(metrics, "pybroker_topics") == 1
    assert value(metrics, "pybroker_partitions") == 2
    assert value(metrics, "pybroker_partitions_missing") == 0
    directory = {"directory": str(server.log_dir)}
    assert value(metrics, "pybroker_log_directory_offline", **directory) == 0
    assert value(metrics, "pybroker_log_directory_full", **directory) == 0
    assert value(metrics, "pybroker_log_directory_partitions", **directory) == 3
    assert value(metrics, "pybroker_metadata_offset") > 5

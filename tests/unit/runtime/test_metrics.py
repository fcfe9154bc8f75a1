"""The exposition is what a Prometheus parser understands."""

from __future__ import annotations

from prometheus_client.parser import text_string_to_metric_families

from pybroker.runtime.metrics import ServerMetrics, render_metrics


def parse(metrics, names=None, families=()):
    text = "".join(render_metrics(metrics, names or {}, families))
    return {
        (sample.name, *sorted(sample.labels.items())): sample.value
        for family in text_string_to_metric_families(text)
        for sample in family.samples
    }


def test_counters_and_histograms():
    metrics = ServerMetrics()
    produce = metrics.api(0)
    for nanoseconds in (900, 1500, 3_000_000):
        produce.latency[nanoseconds.bit_length()] += 1
        produce.latency_sum_ns += nanoseconds
    produce.bytes_in = 77
    metrics.protocol_errors = 3
    found = parse(metrics, {0: "Produce"})
    api = ("api", "Produce")
    assert found["pybroker_requests_total", api] == 3
    assert found["pybroker_request_bytes_total", api] == 77
    assert found["pybroker_protocol_errors_total",] == 3
    assert found["pybroker_request_seconds_count", api] == 3
    assert found["pybroker_request_seconds_bucket", api, ("le", "1.024e-06")] == 1
    assert found["pybroker_request_seconds_bucket", api, ("le", "2.048e-06")] == 2
    assert found["pybroker_request_seconds_bucket", api, ("le", "+Inf")] == 3
    assert abs(found["pybroker_request_seconds_sum", api] - 0.0030024) < 1e-9


def test_every_latency_has_a_bucket():
    metrics = ServerMetrics()
    for bits in range(40):
        metrics.api(1).latency[bits] += 1
    found = parse(metrics)
    counts = [value for key, value in found.items() if key[0] == "pybroker_request_seconds_bucket"]
    assert counts == sorted(counts)
    assert counts[-1] == 40


def test_keys_out_of_range_share_one_object():
    metrics = ServerMetrics()
    assert metrics.api(-5) is metrics.api(30_000) is metrics.other_api
    metrics.other_api.latency[12] += 1
    assert parse(metrics)["pybroker_requests_total", ("api", "other")] == 1


def test_families_of_the_broker_and_odd_label_values():
    family = ("pybroker_log_size_bytes", "gauge", "Size.", [({"topic": 'a"b\\c\nd', "partition": 0}, 5)])
    found = parse(ServerMetrics(), families=[family])
    assert found["pybroker_log_size_bytes", ("partition", "0"), ("topic", 'a"b\\c\nd')] == 5


def test_worst_stall_is_kept():
    metrics = ServerMetrics()
    for nanoseconds in (5, 7_000_000, 3_000):
        metrics.observe_stall(nanoseconds)
    found = parse(metrics)
    assert found["pybroker_loop_stall_max_seconds",] == 0.007
    assert found["pybroker_loop_stall_seconds_count",] == 3

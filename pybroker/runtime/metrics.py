"""Counters of the shell, and the Prometheus text made from them.

Counting is on the path of every request, so a counter is a plain int in a slots object and a latency
histogram is a list indexed by `nanoseconds.bit_length()`: buckets double, and no search is needed.
Rendering is a generator of metric families, so that the HTTP responder can let the loop run in between.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from typing import Final

# Index of a latency list: bit length of the nanoseconds; 2**40 ns is 18 minutes.
LATENCY_SLOT_COUNT: Final = 48
# The buckets that are printed: 2**k ns from 1 us to 34 s, every power of two up to a second.
_PRINTED_BITS: Final = (*range(10, 31), 32, 35)

API_SLOT_COUNT: Final = 128
# With thousands of partitions a family takes milliseconds.
_SAMPLES_PER_PIECE: Final = 500

Sample = tuple[Mapping[str, object], float | int]
# name, type (counter, gauge), help, samples
Family = tuple[str, str, str, Iterable[Sample]]


class ApiMetrics:
    """What one API did. `latency` counts requests by the bit length of their nanoseconds."""

    __slots__ = ("bytes_in", "bytes_out", "latency", "latency_sum_ns")

    def __init__(self) -> None:
        self.bytes_in = 0
        self.bytes_out = 0
        self.latency = [0] * LATENCY_SLOT_COUNT
        self.latency_sum_ns = 0

    @property
    def request_count(self) -> int:
        return sum(self.latency)


class ServerMetrics:
    """Everything that the shell counts; one object per broker, changed on the loop thread only."""

    __slots__ = (
        "apis",
        "connections",
        "connections_accepted",
        "connections_evicted",
        "connections_idle_closed",
        "connections_refused",
        "connections_timed_out",
        "effect_errors",
        "effects",
        "handler_errors",
        "other_api",
        "protocol_errors",
        "reading_pauses",
        "request_bytes_held",
        "response_bytes_unsent",
        "stall",
        "stall_max_ns",
        "stall_sum_ns",
        "timer_errors",
    )

    def __init__(self) -> None:
        self.apis: list[ApiMetrics | None] = [None] * API_SLOT_COUNT
        self.other_api = ApiMetrics()
        self.connections = 0
        self.connections_accepted = 0
        self.connections_refused = 0
        self.connections_idle_closed = 0
        self.connections_timed_out = 0
        self.connections_evicted = 0
        self.protocol_errors = 0
        self.handler_errors = 0
        self.reading_pauses = 0
        self.request_bytes_held = 0
        self.response_bytes_unsent = 0
        self.stall = [0] * LATENCY_SLOT_COUNT
        self.stall_max_ns = 0
        self.stall_sum_ns = 0
        self.effects = 0
        self.effect_errors = 0
        self.timer_errors = 0

    def api(self, api_key: int) -> ApiMetrics:
        """The counters of an API; keys out of range share one object, so a peer cannot make them grow."""
        if not 0 <= api_key < API_SLOT_COUNT:
            return self.other_api
        found = self.apis[api_key]
        if found is None:
            found = self.apis[api_key] = ApiMetrics()
        return found

    def observe_stall(self, late_ns: int) -> None:
        """The loop came back this much later than it should have."""
        self.stall[min(late_ns.bit_length(), LATENCY_SLOT_COUNT - 1)] += 1
        self.stall_sum_ns += late_ns
        if late_ns > self.stall_max_ns:
            self.stall_max_ns = late_ns


def render_metrics(
    metrics: ServerMetrics, api_names: Mapping[int, str], families: Iterable[Family] = ()
) -> Iterator[str]:
    """The exposition, one metric family (or one API's histogram) per item."""
    named = [(api_names.get(key, str(key)), api) for key, api in enumerate(metrics.apis) if api is not None]
    if metrics.other_api.request_count:
        named.append(("other", metrics.other_api))
    yield _family(
        "pybroker_requests_total",
        "counter",
        "Requests handled.",
        [({"api": name}, api.request_count) for name, api in named],
    )
    yield _family(
        "pybroker_request_bytes_total",
        "counter",
        "Bytes of requests, with their length prefix.",
        [({"api": name}, api.bytes_in) for name, api in named],
    )
    yield _family(
        "pybroker_response_bytes_total",
        "counter",
        "Bytes of replies, with their length prefix.",
        [({"api": name}, api.bytes_out) for name, api in named],
    )
    yield "# HELP pybroker_request_seconds From a whole request to its reply.\n" + (
        "# TYPE pybroker_request_seconds histogram\n"
    )
    for name, api in named:
        yield _histogram("pybroker_request_seconds", {"api": name}, api.latency, api.latency_sum_ns)
    yield (
        "# HELP pybroker_loop_stall_seconds How late the event loop's heartbeat came.\n"
        + ("# TYPE pybroker_loop_stall_seconds histogram\n")
        + _histogram("pybroker_loop_stall_seconds", {}, metrics.stall, metrics.stall_sum_ns)
    )
    for name, kind, text, value in (
        ("loop_stall_max_seconds", "gauge", "Worst event loop stall.", metrics.stall_max_ns / 1e9),
        ("connections", "gauge", "Open connections.", metrics.connections),
        ("connections_accepted_total", "counter", "Connections accepted.", metrics.connections_accepted),
        ("connections_refused_total", "counter", "Connections over a limit.", metrics.connections_refused),
        (
            "connections_idle_closed_total",
            "counter",
            "Connections closed for idleness.",
            metrics.connections_idle_closed,
        ),
        (
            "connections_timed_out_total",
            "counter",
            "Connections that sent a request too slowly.",
            metrics.connections_timed_out,
        ),
        (
            "connections_evicted_total",
            "counter",
            "Connections closed because buffers were full.",
            metrics.connections_evicted,
        ),
        (
            "protocol_errors_total",
            "counter",
            "Connections closed for broken framing or encoding.",
            metrics.protocol_errors,
        ),
        ("handler_errors_total", "counter", "Unexpected errors in handlers.", metrics.handler_errors),
        ("timer_errors_total", "counter", "Unexpected errors in timers.", metrics.timer_errors),
        ("reading_pauses_total", "counter", "Times a connection was paused.", metrics.reading_pauses),
        ("request_bytes_held", "gauge", "Bytes of unfinished requests.", metrics.request_bytes_held),
        (
            "response_bytes_unsent",
            "gauge",
            "Bytes of replies that slow peers have not taken.",
            metrics.response_bytes_unsent,
        ),
        ("effects_total", "counter", "Blocking operations done on I/O threads.", metrics.effects),
        ("effect_errors_total", "counter", "Blocking operations that failed.", metrics.effect_errors),
    ):
        yield _family(f"pybroker_{name}", kind, text, [({}, value)])
    for name, kind, text, samples in families:
        yield _family(name, kind, text, ())
        lines = []
        for labels, value in samples:
            lines.append(f"{name}{_labels(labels)} {value}\n")
            if len(lines) == _SAMPLES_PER_PIECE:
                yield "".join(lines)
                lines = []
        yield "".join(lines)


def _family(name: str, kind: str, text: str, samples: Iterable[Sample]) -> str:
    lines = [f"# HELP {name} {text}\n# TYPE {name} {kind}\n"]
    lines.extend(f"{name}{_labels(labels)} {value}\n" for labels, value in samples)
    return "".join(lines)


def _histogram(name: str, labels: Mapping[str, object], counts: list[int], sum_ns: int) -> str:
    lines = []
    below = 0
    bit = 0
    for printed in _PRINTED_BITS:
        # Everything of bit length <= printed is below 2**printed.
        while bit <= printed:
            below += counts[bit]
            bit += 1
        lines.append(f"{name}_bucket{_labels({**labels, 'le': f'{2**printed / 1e9:.9g}'})} {below}\n")
    total = sum(counts)
    lines.append(f"{name}_bucket{_labels({**labels, 'le': '+Inf'})} {total}\n")
    lines.append(f"{name}_sum{_labels(labels)} {sum_ns / 1e9:.9f}\n{name}_count{_labels(labels)} {total}\n")
    return "".join(lines)


def _labels(labels: Mapping[str, object]) -> str:
    if not labels:
        return ""
    parts = []
    for name, value in labels.items():
        text = str(value).replace("\\", "\\\\").replace('"', '\\"').replace("\n", "\\n")
        parts.append(f'{name}="{text}"')
    return "{" + ",".join(parts) + "}"

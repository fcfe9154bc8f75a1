"""Figures of connectors, tasks and the worker, kept by name and shown as Prometheus text.

In: counters, maxima and averages as tasks record them. Out: lines `kafka_connect_<group>_<name>{...}
value`. What must hold: recording is cheap and may happen in any thread; a figure may be one record behind,
never wrong for good.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from typing import Final


class Statistic:
    """Count, sum, minimum and maximum of a series."""

    __slots__ = ("count", "maximum", "minimum", "total")

    def __init__(self) -> None:
        self.count = 0
        self.total = 0.0
        self.maximum = 0.0
        self.minimum = 0.0

    def record(self, value: float) -> None:
        self.count += 1
        self.total += value
        if value > self.maximum:
            self.maximum = value
        if self.count == 1 or value < self.minimum:
            self.minimum = value

    @property
    def average(self) -> float:
        return self.total / self.count if self.count else 0.0


class TaskMetrics:
    """What a task records; which names it shows depends on its kind."""

    def __init__(self) -> None:
        self.batch_size = Statistic()
        self.commit_ms = Statistic()
        self.commit_successes = 0
        self.commit_failures = 0
        self.commit_skips = 0
        self.commit_sequence = 0
        self.polled = 0  # Records from poll, or read from topics.
        self.written = 0  # Records acknowledged, or put.
        self.active = Statistic()
        self.active_now = 0
        self.batch_ms = Statistic()  # Of poll, or of put.
        self.transaction_size = Statistic()
        self.partitions = 0
        self.running_ms = 0
        self.paused_ms = 0

    def samples(self, is_source: bool, transactions: bool) -> dict[tuple[str, str], float]:
        """(group, name): value."""
        task, own = "connector-task-metrics", "source-task-metrics" if is_source else "sink-task-metrics"
        commits = self.commit_successes + self.commit_failures
        lived = max(1, self.running_ms + self.paused_ms)
        found: dict[tuple[str, str], float] = {
            (task, "batch-size-max"): self.batch_size.maximum,
            (task, "batch-size-avg"): self.batch_size.average,
            (task, "offset-commit-max-time-ms"): self.commit_ms.maximum,
            (task, "offset-commit-avg-time-ms"): self.commit_ms.average,
            (task, "offset-commit-success-percentage"): self.commit_successes / commits if commits else 0,
            (task, "offset-commit-failure-percentage"): self.commit_failures / commits if commits else 0,
            (task, "running-ratio"): self.running_ms / lived,
            (task, "pause-ratio"): self.paused_ms / lived,
        }
        if is_source:
            found |= {
                (own, "source-record-poll-total"): self.polled,
                (own, "source-record-write-total"): self.written,
                (own, "poll-batch-max-time-ms"): self.batch_ms.maximum,
                (own, "poll-batch-avg-time-ms"): self.batch_ms.average,
                (own, "source-record-active-count"): self.active_now,
                (own, "source-record-active-count-max"): self.active.maximum,
                (own, "source-record-active-count-avg"): self.active.average,
            }
            if transactions:
                found |= {
                    (own, "transaction-size-min"): self.transaction_size.minimum,
                    (own, "transaction-size-max"): self.transaction_size.maximum,
                    (own, "transaction-size-avg"): self.transaction_size.average,
                }
        else:
            found |= {
                (own, "sink-record-read-total"): self.polled,
                (own, "sink-record-send-total"): self.written,
                (own, "partition-count"): self.partitions,
                (own, "offset-commit-seq-no"): self.commit_sequence,
                (own, "offset-commit-completion-total"): self.commit_successes,
                (own, "offset-commit-skip-total"): self.commit_skips,
                (own, "put-batch-max-time-ms"): self.batch_ms.maximum,
                (own, "put-batch-avg-time-ms"): self.batch_ms.average,
                (own, "sink-record-active-count"): self.active_now,
                (own, "sink-record-active-count-max"): self.active.maximum,
                (own, "sink-record-active-count-avg"): self.active.average,
            }
        return found


class WorkerMetrics:
    def __init__(self) -> None:
        self.starts = {"connector": 0, "task": 0}
        self.successes = {"connector": 0, "task": 0}
        self.completed_rebalances = 0
        self.rebalance_ms = Statistic()
        self.rebalancing = False
        self.last_rebalance_ms: int | None = None
        self.epoch = 0

    def attempt(self, kind: str, success: bool) -> None:
        self.starts[kind] += 1
        if success:
            self.successes[kind] += 1

    def samples(self) -> dict[tuple[str, str], float]:
        group = "connect-worker-metrics"
        found: dict[tuple[str, str], float] = {}
        for kind, attempts in self.starts.items():
            success = self.successes[kind]
            failed = attempts - success
            found |= {
                (group, f"{kind}-startup-attempts-total"): attempts,
                (group, f"{kind}-startup-success-total"): success,
                (group, f"{kind}-startup-failure-total"): failed,
                (group, f"{kind}-startup-success-percentage"): success / attempts if attempts else 0,
                (group, f"{kind}-startup-failure-percentage"): failed / attempts if attempts else 0,
            }
        return found


# (group, name, labels, value)
Sample = tuple[str, str, Mapping[str, str], float]
_NOT_NAME: Final = re.compile(r"[^a-zA-Z0-9_]")


def prometheus_text(samples: Iterable[Sample]) -> str:
    """The text exposition format 0.0.4."""
    by_name: dict[str, list[str]] = {}
    for group, name, labels, value in samples:
        metric = _NOT_NAME.sub("_", f"kafka_connect_{group}_{name}")
        shown = ",".join(f'{_NOT_NAME.sub("_", key)}="{_escape(text)}"' for key, text in labels.items())
        number = str(int(value)) if float(value).is_integer() else repr(float(value))
        by_name.setdefault(metric, []).append(
            f"{metric}{{{shown}}} {number}" if shown else f"{metric} {number}"
        )
    lines = []
    for metric, rows in by_name.items():
        lines.append(f"# TYPE {metric} {'counter' if metric.endswith('_total') else 'gauge'}")
        lines += rows
    return "\n".join(lines) + "\n"


def _escape(text: str) -> str:
    return text.replace("\\", "\\\\").replace('"', '\\"').replace("\n", "\\n")

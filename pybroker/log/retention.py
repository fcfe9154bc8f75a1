"""Which segments may go: by log start, by size, by time, in this order.

In: a log and the time. Out: how many of its oldest segments to remove, and why. Pure; the manager removes.
What must hold: a segment goes only if the high watermark has passed it, the first that must stay ends the
search, and a non-empty active segment may go (a new one is rolled first) but an empty one never does.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import NamedTuple

from pybroker.log.partition_log import PartitionLog
from pybroker.log.segment import Segment


class RetentionStep(NamedTuple):
    """Remove this many of the oldest segments."""

    segment_count: int
    reason: str


def plan_log_start(log: PartitionLog) -> RetentionStep:
    """Segments that lie below the log start (DeleteRecords). Applies whatever the cleanup policy."""
    count = 0
    for segment, upper in _deletable(log):
        if segment is log.active or upper > log.log_start_offset:
            break
        count += 1
    return RetentionStep(count, "below the log start")


def plan_size(log: PartitionLog) -> RetentionStep:
    """The oldest segments while the excess over retention.bytes covers them whole."""
    limit = log.config.retention_bytes
    count = 0
    if limit >= 0:
        excess = log.size - limit
        for segment, _ in _deletable(log):
            if excess - segment.size < 0:
                break
            excess -= segment.size
            count += 1
    return RetentionStep(count, "retention.bytes")


def plan_time(log: PartitionLog, now_ms: int) -> RetentionStep:
    """Segments whose largest timestamp is older than retention.ms; the file's own time without timestamps."""
    limit = log.config.retention_ms
    count = 0
    if limit >= 0:
        for segment, _ in _deletable(log):
            largest = segment.largest[0]
            if now_ms - (largest if largest >= 0 else segment.last_modified_ms()) <= limit:
                break
            count += 1
    return RetentionStep(count, "retention.ms")


def apply(log: PartitionLog, now_ms: int) -> int:
    """Remove what may go; returns the bytes freed."""
    step = plan_log_start(log)
    freed = log.remove_segments(step.segment_count, step.reason)
    if log.config.deletes:
        step = plan_size(log)
        freed += log.remove_segments(step.segment_count, step.reason)
        step = plan_time(log, now_ms)
        freed += log.remove_segments(step.segment_count, step.reason)
    return freed


def _deletable(log: PartitionLog) -> Iterator[tuple[Segment, int]]:
    """The oldest segments with their upper bound, as far as the high watermark allows."""
    segments = log.segments
    for index, segment in enumerate(segments):
        last = index + 1 == len(segments)
        if last and segment.size == 0:
            return
        upper = log.log_end_offset if last else segments[index + 1].base_offset
        if log.high_watermark < upper:
            return
        yield segment, upper

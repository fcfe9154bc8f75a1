"""Which log is to be cleaned next, and how far (Kafka's rules).

In: logs, how far each is clean, the time. Out: the dirtiest one. What must hold: the active segment,
everything from the last stable offset on, and what is younger than min.compaction.lag.ms stay as they are.
"""

from __future__ import annotations

from typing import NamedTuple

from pybroker.log.config import LONG_MAX
from pybroker.log.partition_log import PartitionLog


class Cleanable(NamedTuple):
    """A log's state for the cleaner: [0, first_dirty_offset) is clean, up to first_uncleanable_offset it can
    be.

    `overdue_ms`: by how much a dirty record is older than max.compaction.lag.ms, 0 if none is.
    """

    log: PartitionLog
    first_dirty_offset: int
    first_uncleanable_offset: int
    clean_bytes: int
    cleanable_bytes: int
    overdue_ms: int

    @property
    def dirty_ratio(self) -> float:
        total = self.clean_bytes + self.cleanable_bytes
        return self.cleanable_bytes / total if total else 0.0

    @property
    def due(self) -> bool:
        if self.cleanable_bytes <= 0:
            return False
        return self.overdue_ms > 0 or self.dirty_ratio > self.log.config.min_cleanable_dirty_ratio


def examine(log: PartitionLog, clean_offset: int | None, now_ms: int) -> Cleanable:
    """A log's state; `clean_offset` is how far it was cleaned according to the checkpoint."""
    start = log.segments[0].base_offset
    first_dirty = log.log_start_offset if clean_offset is None else clean_offset
    if not log.log_start_offset <= first_dirty <= log.log_end_offset:
        # The log was cut since: what is there now may be dirty from its start.
        first_dirty = log.log_start_offset
    last_stable_offset = log.last_stable_offset
    lag_ms = log.config.min_compaction_lag_ms
    first_uncleanable = start
    clean_bytes = cleanable_bytes = 0
    segments = log.segments
    for index, segment in enumerate(segments[:-1]):
        upper = segments[index + 1].base_offset
        if upper > last_stable_offset:
            break
        if lag_ms > 0 and upper > first_dirty and segment.largest[0] > now_ms - lag_ms:
            break
        if upper <= first_dirty:
            clean_bytes += segment.size
        else:
            cleanable_bytes += segment.size
        first_uncleanable = upper
    overdue_ms = 0
    max_lag_ms = log.config.max_compaction_lag_ms
    if cleanable_bytes and max_lag_ms < LONG_MAX:
        limit = now_ms - max(max_lag_ms, 0)
        for index, segment in enumerate(segments[:-1]):
            if first_dirty < segments[index + 1].base_offset <= first_uncleanable:
                first_timestamp = segment.first_batch_timestamp()
                if first_timestamp > 0:
                    overdue_ms = max(overdue_ms, limit - first_timestamp)
    return Cleanable(log, first_dirty, first_uncleanable, clean_bytes, cleanable_bytes, overdue_ms)


def choose(candidates: list[Cleanable]) -> Cleanable | None:
    """The one to be cleaned next, None when none is due."""
    due = [candidate for candidate in candidates if candidate.due]
    return max(due, key=lambda candidate: candidate.dirty_ratio) if due else None

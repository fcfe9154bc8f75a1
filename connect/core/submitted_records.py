"""Which source offsets may be stored: those behind which every record is acknowledged.

In: records as they are sent, in order and several of one source partition at a time, and their
acknowledgements in any order. Out: for each source partition the last offset whose records, and all before
them of that partition, are acknowledged. What must hold: never an offset beyond an unacknowledged record. Not
thread-safe: the caller holds a lock.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Mapping
from typing import Any

from connect.core.offsets import canonical


class Submitted:
    """Records that were sent together, and how many of them are not acknowledged yet. `offset` is that of the
    last one."""

    __slots__ = ("offset", "partition", "waiting")

    def __init__(self, partition: Any, offset: Any, waiting: int) -> None:
        self.partition = partition
        self.offset = offset
        self.waiting = waiting


class SubmittedRecords:
    def __init__(self) -> None:
        self._queues: dict[Any, deque[Submitted]] = {}
        # Records come in runs of one partition: the map of the last one, as it was, and what it is known by.
        self._last: Mapping[str, Any] | None = None
        self._last_copy: dict[str, Any] = {}
        self._last_identity: Any = canonical(None)
        self.unacked = 0

    def submit(
        self, partition: Mapping[str, Any] | None, offset: Mapping[str, Any] | None, count: int = 1
    ) -> Submitted:
        """`count` records with one source partition, the last of them with this offset. None of them may be
        waiting for an acknowledgement: they were dropped on the way."""
        if partition is not self._last or (partition is not None and partition != self._last_copy):
            self._last, self._last_copy = partition, dict(partition or {})
            self._last_identity = canonical(partition)
        queue = self._queues.get(self._last_identity)
        if queue is None:
            queue = self._queues[self._last_identity] = deque()
        submitted = Submitted(partition, offset, count)
        queue.append(submitted)
        self.unacked += count
        return submitted

    def ack(self, submitted: Submitted) -> None:
        """One record of these is acknowledged."""
        submitted.waiting -= 1
        self.unacked -= 1

    def committable(self) -> list[tuple[Any, Any]]:
        """Takes what may be stored out of the queues: (partition, offset) pairs."""
        result = []
        for identity, queue in list(self._queues.items()):
            last = None
            while queue and not queue[0].waiting:
                last = queue.popleft()
            if last is not None:
                result.append((last.partition, last.offset))
            if not queue:
                del self._queues[identity]
        return result

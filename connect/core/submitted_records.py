"""Which source offsets may be stored: those behind which every record is acknowledged.

In: records as they are sent, in order, and their acknowledgements in any order. Out: for each source
partition the last offset whose record, and all before it of that partition, are acknowledged. What must
hold: never an offset beyond an unacknowledged record; removing a record that was not sent leaves the others
as they are. Not thread-safe: the caller holds a lock.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Mapping
from typing import Any

from connect.core.offsets import canonical


class SubmittedRecord:
    __slots__ = ("acked", "offset", "partition", "queue")

    def __init__(self, partition: Any, offset: Any, queue: deque[SubmittedRecord]) -> None:
        self.partition = partition
        self.offset = offset
        self.queue = queue
        self.acked = False


class SubmittedRecords:
    def __init__(self) -> None:
        self._queues: dict[Any, deque[SubmittedRecord]] = {}
        # Records come in runs of one partition: the map of the last one, as it was, and what it is known by.
        self._last: Mapping[str, Any] | None = None
        self._last_copy: dict[str, Any] = {}
        self._last_identity: Any = canonical(None)
        self.unacked = 0

    def submit(
        self, partition: Mapping[str, Any] | None, offset: Mapping[str, Any] | None
    ) -> SubmittedRecord:
        if partition is not self._last or (partition is not None and partition != self._last_copy):
            self._last, self._last_copy = partition, dict(partition or {})
            self._last_identity = canonical(partition)
        queue = self._queues.get(self._last_identity)
        if queue is None:
            queue = self._queues[self._last_identity] = deque()
        record = SubmittedRecord(partition, offset, queue)
        queue.append(record)
        self.unacked += 1
        return record

    def ack(self, record: SubmittedRecord) -> None:
        if not record.acked:
            record.acked = True
            self.unacked -= 1

    def drop(self, record: SubmittedRecord) -> None:
        """Forgets a record that was not sent after all; it must be the last of its partition."""
        if record.queue and record.queue[-1] is record:
            record.queue.pop()
            if not record.acked:
                self.unacked -= 1

    def committable(self) -> list[tuple[Any, Any]]:
        """Takes what may be stored out of the queues: (partition, offset) pairs."""
        result = []
        for identity, queue in list(self._queues.items()):
            last = None
            while queue and queue[0].acked:
                last = queue.popleft()
            if last is not None:
                result.append((last.partition, last.offset))
            if not queue:
                del self._queues[identity]
        return result

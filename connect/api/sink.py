"""Sink connectors and tasks: data from topics to elsewhere.

In: `SinkTask.put` gets records of the partitions that `open` announced. Out: offsets that may be committed,
by `pre_commit`. What must hold: whatever is committed has reached its target, so after a crash records may
come again but none is missed.
"""

from __future__ import annotations

import abc
from collections.abc import Iterable, Mapping
from concurrent.futures import Future
from typing import Any, NamedTuple, Protocol

from connect.api.connector import Connector, Task
from connect.api.records import SinkRecord

__all__ = [
    "ErrantRecordReporter",
    "SinkConnector",
    "SinkRecord",
    "SinkTask",
    "SinkTaskContext",
    "TopicPartition",
]


class TopicPartition(NamedTuple):
    topic: str
    partition: int


class ErrantRecordReporter(Protocol):
    """Takes records that cannot be written (KIP-610): to the log and the dead letter topic."""

    def report(self, record: SinkRecord, error: BaseException) -> Future[None]:
        """Returns at once. The future is done when the report is stored; offsets of the record are not
        committed before. ConnectError when errors.tolerance is none: let it pass, it fails the task."""


class SinkTaskContext(Protocol):
    """Called by the task's own thread, but for `request_commit`, which any may call."""

    def configs(self) -> dict[str, str]: ...

    def offset(self, offsets: Mapping[TopicPartition, int]) -> None:
        """Reads on from these offsets, before the next `put`."""

    def timeout(self, timeout_ms: int) -> None:
        """After a RetriableError, wait this long before `put` is called again."""

    def assignment(self) -> set[TopicPartition]: ...

    def pause(self, *partitions: TopicPartition) -> None: ...

    def resume(self, *partitions: TopicPartition) -> None: ...

    def request_commit(self) -> None:
        """Commit soon, without waiting for offset.flush.interval.ms."""

    def errant_record_reporter(self) -> ErrantRecordReporter | None:
        """None when neither a dead letter topic nor the error log is configured."""


class SinkTask(Task):
    """Writes. All methods are called by the task's own thread."""

    context: SinkTaskContext

    def initialize(self, context: SinkTaskContext) -> None:
        self.context = context

    def open(self, partitions: Iterable[TopicPartition]) -> None:
        """These partitions are ours from now on."""

    @abc.abstractmethod
    def put(self, records: list[SinkRecord]) -> None:
        """Takes records, in order per partition; may keep them until `flush` or `pre_commit`. Called with an
        empty list, too, so that time-outs can be acted upon. RetriableError: the same list comes again."""

    def flush(self, offsets: dict[TopicPartition, int]) -> None:
        """Writes everything that was put before. `offsets` = the next offset to read of each partition."""

    def pre_commit(self, offsets: dict[TopicPartition, int]) -> dict[TopicPartition, int]:
        """Which offsets may be committed; the default flushes and allows all. Partitions that are missing are
        not committed."""
        self.flush(offsets)
        return offsets

    def close(self, partitions: Iterable[TopicPartition]) -> None:
        """These partitions are ours no more; nothing of them may be written after this."""


class SinkConnector(Connector):
    def task_class(self) -> type[SinkTask]:
        raise NotImplementedError

    def alter_offsets(self, props: dict[str, str], offsets: dict[TopicPartition, int | None]) -> bool:
        """Called before consumer group offsets are changed by the REST API (KIP-875); None resets. Raise
        ConnectError to refuse; return True when the connector keeps no offsets of its own, or has changed
        them; False when it cannot tell."""
        return False


def sink_offsets(offsets: Mapping[TopicPartition, Any]) -> dict[TopicPartition, int]:
    """A copy with plain integers."""
    return {partition: int(offset) for partition, offset in offsets.items()}

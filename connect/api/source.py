"""Source connectors and tasks: data from elsewhere into topics.

In: `SourceTask.poll` returns records, each with the source partition and offset that it stands for. Out:
after a restart the task finds its last stored offsets through `context.offset_storage_reader()`. What must
hold: an offset is stored only when all records up to it are acknowledged (at least once), or in the same
transaction as they are (exactly once, KIP-618).
"""

from __future__ import annotations

import abc
from collections.abc import Iterable, Mapping
from typing import Any, NamedTuple, Protocol

from connect.api.connector import Connector, ConnectorTransactionBoundaries, ExactlyOnceSupport, Task
from connect.api.records import SourceRecord

__all__ = [
    "ConnectorTransactionBoundaries",
    "ExactlyOnceSupport",
    "OffsetStorageReader",
    "RecordMetadata",
    "SourceConnector",
    "SourceRecord",
    "SourceTask",
    "SourceTaskContext",
    "TransactionContext",
]


class OffsetStorageReader(Protocol):
    """Blocks until the offset topic is read to its end; ConnectError when that fails."""

    def offset(self, partition: Mapping[str, Any]) -> dict[str, Any] | None:
        """The stored offset of a source partition, None when there is none."""

    def offsets(self, partitions: Iterable[Mapping[str, Any]]) -> list[dict[str, Any] | None]:
        """The same for many at once, in their order."""


class TransactionContext(Protocol):
    """For tasks that set `transaction.boundary=connector`: where transactions end."""

    def commit_transaction(self, record: SourceRecord | None = None) -> None:
        """After this record, or (None) after the batch that the next poll returns."""

    def abort_transaction(self, record: SourceRecord | None = None) -> None:
        """As above, but the transaction's records are dropped; their offsets are stored all the same."""


class SourceTaskContext(Protocol):
    def configs(self) -> dict[str, str]:
        """The task's configuration as it is now."""

    def offset_storage_reader(self) -> OffsetStorageReader: ...

    def transaction_context(self) -> TransactionContext | None:
        """None unless exactly-once is on and the task's boundary is `connector`."""


class RecordMetadata(NamedTuple):
    """Where a record went."""

    topic: str
    partition: int
    offset: int


class SourceTask(Task):
    """Reads. All methods but `stop` are called by the task's own thread."""

    context: SourceTaskContext

    def initialize(self, context: SourceTaskContext) -> None:
        self.context = context

    @abc.abstractmethod
    def poll(self) -> list[SourceRecord] | None:
        """The next records; an empty list or None when there are none now. May block for a while, but should
        come back within a second or so, so that pause and commit are not held up, and soon after `stop`."""

    def commit(self) -> None:
        """Offsets up to the last poll have been stored."""

    def commit_record(self, record: SourceRecord, metadata: RecordMetadata | None) -> None:
        """A record was acknowledged, or (metadata None) dropped by a transform or skipped as bad."""

    @abc.abstractmethod
    def stop(self) -> None:
        """Asks the task to end: called from **another thread**, possibly while `poll` runs, so it should only
        set a flag and wake `poll`. What `start` took is given back in `close`."""

    def close(self) -> None:
        """Called by the task's own thread when no poll will come any more."""


class SourceConnector(Connector):
    def task_class(self) -> type[SourceTask]:
        raise NotImplementedError

    def exactly_once_support(self, props: dict[str, str]) -> ExactlyOnceSupport | None:
        """None = the connector does not know (KIP-618)."""
        return None

    def can_define_transaction_boundaries(self, props: dict[str, str]) -> ConnectorTransactionBoundaries:
        return ConnectorTransactionBoundaries.UNSUPPORTED

    def alter_offsets(
        self,
        props: dict[str, str],
        offsets: dict[Any, dict[str, Any] | None],
    ) -> bool:
        """Called before offsets are written by the REST API (KIP-875). `offsets` maps a `SourcePartition` (a
        read-only mapping) to its new offset, None to forget it. Raise ConnectError to refuse; return True
        when the offsets make sense to this connector, False when it cannot tell."""
        return False

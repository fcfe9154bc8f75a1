"""Writing the markers of transactions that are decided, until every partition has its one.

In: transactions in PrepareCommit or PrepareAbort whose record is committed. Out: batches of markers for the
partitions' leaders (`send`, the boundary to this broker's own partitions and to other brokers), and the call
that notes the completion. What must hold: a transaction completes only when every partition that still exists
has its marker; what is refused for the time being is tried again for ever.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from typing import Final, NamedTuple

from pybroker.common.clock import Clock
from pybroker.common.errors import ErrorCode
from pybroker.common.timers import TimerQueue
from pybroker.transactions.records import TopicPartition, Transaction
from pybroker.transactions.transitions import State

_RETRY_MS: Final = 100
# The partition is gone: there is nothing to end any more.
_GONE: Final = frozenset({ErrorCode.UNKNOWN_TOPIC_OR_PARTITION, ErrorCode.UNKNOWN_TOPIC_ID})
# Somebody knows better than this coordinator: a later one, or a later epoch of the producer.
_OVERTAKEN: Final = frozenset({ErrorCode.INVALID_PRODUCER_EPOCH, ErrorCode.TRANSACTION_COORDINATOR_FENCED})


class Marker(NamedTuple):
    """What one marker says."""

    producer_id: int
    producer_epoch: int
    commit: bool
    coordinator_epoch: int
    transaction_version: int


Outcomes = Mapping[TopicPartition, ErrorCode]
Send = Callable[[Marker, list[TopicPartition], Callable[[Outcomes], None]], None]
"""Marker, partitions, and what to call with the outcome for each once its marker is committed or refused."""


class MarkerWriter:
    """The transactions whose markers are on their way."""

    __slots__ = ("_clock", "_pending", "_report", "_send", "_timers")

    def __init__(self, send: Send, clock: Clock, timers: TimerQueue, report: Callable[[str], None]) -> None:
        self._send = send
        self._clock = clock
        self._timers = timers
        self._report = report
        # Transactional id -> what is being written.
        self._pending: dict[str, _Pending] = {}

    def __len__(self) -> int:
        return len(self._pending)

    def start(
        self, prepared: Transaction, coordinator_epoch: int, complete: Callable[[Transaction], None]
    ) -> None:
        """Write the markers of a decided transaction, then call `complete`. A transaction that is under way
        in the same coordinator epoch, and not `finished`, is left alone."""
        known = self._pending.get(prepared.transactional_id)
        if known is not None and known.prepared == prepared and known.coordinator_epoch == coordinator_epoch:
            return
        pending = _Pending(prepared, coordinator_epoch, complete)
        self._pending[prepared.transactional_id] = pending
        self._go_on(pending)

    def finished(self, prepared: Transaction) -> None:
        """That it is complete was noted. Before that its markers must not be begun anew: the second ones
        would end the next transaction where that has the same epoch."""
        known = self._pending.get(prepared.transactional_id)
        if known is not None and known.prepared == prepared and not known.missing:
            del self._pending[prepared.transactional_id]

    def forget(self, transactional_ids: Iterable[str]) -> None:
        """Not the coordinator of these any more."""
        for transactional_id in transactional_ids:
            self._pending.pop(transactional_id, None)

    def _go_on(self, pending: _Pending) -> None:
        prepared = pending.prepared
        if self._pending.get(prepared.transactional_id) is not pending:
            return
        if not pending.missing:
            pending.complete(prepared)
            return
        marker = Marker(
            prepared.producer_id,
            prepared.producer_epoch,
            prepared.state == State.PREPARE_COMMIT,
            pending.coordinator_epoch,
            prepared.client_version,
        )
        self._send(marker, list(pending.missing), lambda outcomes: self._answered(pending, outcomes))

    def _answered(self, pending: _Pending, outcomes: Outcomes) -> None:
        transactional_id = pending.prepared.transactional_id
        if self._pending.get(transactional_id) is not pending:
            return
        for partition, error in outcomes.items():
            if not error or error in _GONE:
                pending.missing.pop(partition, None)
            elif error in _OVERTAKEN:
                # As Kafka: left as it is. A coordinator that loads this again tries again.
                self._report(
                    f"transaction {transactional_id!r}: marker of epoch {pending.prepared.producer_epoch} "
                    f"refused by {partition[0]}-{partition[1]} with {error.name}"
                )
                del self._pending[transactional_id]
                return
        if pending.missing:
            self._timers.schedule(self._clock.monotonic_ms() + _RETRY_MS, lambda: self._go_on(pending))
        else:
            self._go_on(pending)


class _Pending:
    """One transaction and the partitions that have no marker yet, in order."""

    __slots__ = ("complete", "coordinator_epoch", "missing", "prepared")

    def __init__(
        self, prepared: Transaction, coordinator_epoch: int, complete: Callable[[Transaction], None]
    ) -> None:
        self.prepared = prepared
        self.coordinator_epoch = coordinator_epoch
        self.complete = complete
        self.missing: dict[TopicPartition, None] = dict.fromkeys(sorted(prepared.partitions))

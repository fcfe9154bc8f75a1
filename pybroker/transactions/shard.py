"""One partition of `__transaction_state`: its transactional ids, as a synchronous state machine.

In: records to replay, operations with the time. Out: `Result`s whose records bring the new state. What must
hold:

- a state changes only in `replay`, along the table in `transitions.py`;
- the record of PrepareCommit or PrepareAbort decides: after it the answer can only be that one;
- an epoch that was fenced is never accepted again, and 32767 is never given to a producer;
- with transactions v2 (KIP-890) every end of a transaction takes a new epoch, so that nothing that is late
  can belong to the next transaction.

An operation that needs a new producer id and was not given one answers NEED_PRODUCER_ID and changes nothing.
Sources: KIP-98, KIP-360, KIP-890, and the answers of Kafka 4.3.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import TYPE_CHECKING, Any, Final, NamedTuple

from pybroker.common.errors import ApiError, ErrorCode, InvariantError
from pybroker.coordinator.result import CoordinatorRecord, Result
from pybroker.transactions.records import (
    EPOCH_MAX,
    NO_EPOCH,
    NO_ID,
    TopicPartition,
    Transaction,
    decode_key,
    decode_value,
    encode_key,
    encode_value,
)
from pybroker.transactions.transitions import NAMES, NEXT, PREPARED, RESTING, State

if TYPE_CHECKING:
    from pybroker.metadata.delta import MetadataDelta
    from pybroker.metadata.image import MetadataImage

EPOCH_BUMP_VERSION: Final = 2
"""From this transaction.version on every end of a transaction takes a new epoch."""

_NONE: Final = ErrorCode.NONE


class ProducerAnswer(NamedTuple):
    """A producer id and epoch, or why there is none. `prepared`: markers are to be written now."""

    error: ErrorCode
    producer_id: int = NO_ID
    producer_epoch: int = NO_EPOCH
    prepared: bool = False


NEED_PRODUCER_ID: Final = ProducerAnswer(ErrorCode.COORDINATOR_LOAD_IN_PROGRESS)
"""Compared by identity: the operation is to be repeated with a fresh producer id."""


class Listing(NamedTuple):
    """One row of ListTransactions."""

    transactional_id: str
    producer_id: int
    state: str


class TransactionShard:
    """The transactional ids that hash to one partition. `level()` is the finalized transaction.version."""

    __slots__ = ("_decided", "_last_epochs", "_level", "_on_active", "transactions")

    def __init__(self, level: Callable[[], int], on_active: Callable[[], None]) -> None:
        self._level = level
        self._on_active = on_active
        self.transactions: dict[str, Transaction] = {}
        # The ids in PrepareCommit and PrepareAbort.
        self._decided: dict[str, None] = {}
        # The epoch that a producer had before it asked for its next one (KIP-360): lets it ask again. Not in
        # the log, as in Kafka: after a move of the coordinator such a repetition is fenced.
        self._last_epochs: dict[str, int] = {}

    # ---- the contract of a shard ---------------------------------------------------------------------

    def replay(
        self,
        key: bytes,
        value: bytes | None,
        *,
        offset: int,
        timestamp: int,
        producer_id: int,
        producer_epoch: int,
    ) -> None:
        transactional_id = decode_key(key)
        self._decided.pop(transactional_id, None)
        if value is None:
            self.transactions.pop(transactional_id, None)
            self._last_epochs.pop(transactional_id, None)
            return
        new = self.transactions[transactional_id] = decode_value(transactional_id, value)
        if new.state in PREPARED:
            self._decided[transactional_id] = None

    def replay_end_transaction(self, producer_id: int, producer_epoch: int, committed: bool) -> None:
        """Nobody writes transactions into this topic."""

    def become_active(self, now_ms: int) -> list[CoordinatorRecord]:
        self._on_active()
        return []

    def become_inactive(self) -> None:
        """Nothing is parked here."""

    def on_metadata(self, image: MetadataImage, delta: MetadataDelta, now_ms: int) -> None:
        """Of no interest."""

    def _write(self, new: Transaction, response: Any) -> Result[Any]:
        """A result whose record brings `new`."""
        old = self.transactions.get(new.transactional_id)
        if old is not None and new.state not in NEXT[old.state]:
            raise InvariantError(
                f"{new.transactional_id!r} cannot go from {NAMES[old.state]} to {NAMES[new.state]}"
            )
        version = 1 if self._level() >= 1 else 0
        record = CoordinatorRecord(encode_key(new.transactional_id), encode_value(new, version))
        return Result(response, [record])

    # ---- producers -----------------------------------------------------------------------------------

    def init_producer(
        self,
        transactional_id: str,
        timeout_ms: int,
        expected: tuple[int, int] | None,
        fresh_id: int | None,
        now_ms: int,
    ) -> Result[ProducerAnswer]:
        """The producer id and the next epoch for a transactional id; an open transaction is aborted first.

        `expected` is the (id, epoch) that a producer has and wants to go on with (KIP-360).
        """
        known = self.transactions.get(transactional_id)
        if known is None:
            if fresh_id is None:
                return Result(NEED_PRODUCER_ID)
            new = Transaction(transactional_id, fresh_id, 0, timeout_ms, State.EMPTY, frozenset(), -1, now_ms)
            return self._initialized(new, NO_EPOCH)
        last_epoch = self._last_epochs.get(transactional_id, NO_EPOCH)
        if expected is not None:
            goes_on = expected[0] == known.producer_id
            repeats = expected[0] == known.previous_producer_id and expected[1] >= EPOCH_MAX - 1
            if not goes_on and not repeats:
                return Result(ProducerAnswer(ErrorCode.PRODUCER_FENCED))
        if known.state in PREPARED:
            return Result(ProducerAnswer(ErrorCode.CONCURRENT_TRANSACTIONS))
        if known.state == State.ONGOING:
            result = self._fence(known, fresh_id, now_ms)
            if result.response is not NEED_PRODUCER_ID:
                # The client comes again when the abort is through.
                result.response = ProducerAnswer(ErrorCode.CONCURRENT_TRANSACTIONS, prepared=True)
            return result
        rested = known._replace(
            state=State.EMPTY,
            timeout_ms=timeout_ms,
            partitions=frozenset(),
            start_ms=-1,
            last_update_ms=now_ms,
            previous_producer_id=known.producer_id,
            next_producer_id=NO_ID,
        )
        if known.epoch_exhausted and (expected is None or expected[1] == known.producer_epoch):
            if fresh_id is None:
                return Result(NEED_PRODUCER_ID)
            new = rested._replace(producer_id=fresh_id, producer_epoch=0)
            return self._initialized(new, NO_EPOCH if expected is None else known.producer_epoch)
        if expected is None:
            return self._initialized(rested._replace(producer_epoch=known.producer_epoch + 1), NO_EPOCH)
        if expected[1] == known.producer_epoch:
            new = rested._replace(producer_epoch=known.producer_epoch + 1)
            return self._initialized(new, known.producer_epoch)
        if expected[1] == last_epoch:
            # Asked again: nobody else came in between, or the last epoch would be forgotten.
            rested = rested._replace(previous_producer_id=known.previous_producer_id)
            return self._initialized(rested, last_epoch)
        return Result(ProducerAnswer(ErrorCode.PRODUCER_FENCED))

    def _initialized(self, new: Transaction, last_epoch: int) -> Result[ProducerAnswer]:
        result = self._write(new, ProducerAnswer(_NONE, new.producer_id, new.producer_epoch))
        return self._remembering(result, new.transactional_id, last_epoch)

    def _remembering(
        self, result: Result[ProducerAnswer], transactional_id: str, last_epoch: int
    ) -> Result[ProducerAnswer]:
        """Have the last epoch change with the append of a result."""
        before = self._last_epochs.get(transactional_id, NO_EPOCH)
        self._last_epochs[transactional_id] = last_epoch

        def appended(error: ApiError | None) -> None:
            if error is not None:
                self._last_epochs[transactional_id] = before

        result.on_append = appended
        return result

    # ---- partitions ----------------------------------------------------------------------------------

    def _of_producer(self, transactional_id: str, producer_id: int, producer_epoch: int) -> Transaction:
        """The transaction of exactly this producer; ApiError."""
        if not transactional_id:
            raise ApiError(ErrorCode.INVALID_REQUEST)
        known = self.transactions.get(transactional_id)
        if known is None or known.producer_id != producer_id:
            raise ApiError(ErrorCode.INVALID_PRODUCER_ID_MAPPING)
        if known.producer_epoch != producer_epoch or producer_epoch == EPOCH_MAX:
            raise ApiError(ErrorCode.PRODUCER_FENCED)
        if known.state in PREPARED:
            raise ApiError(ErrorCode.CONCURRENT_TRANSACTIONS)
        return known

    def add_partitions(
        self,
        transactional_id: str,
        producer_id: int,
        producer_epoch: int,
        partitions: Iterable[TopicPartition],
        client_version: int,
        now_ms: int,
    ) -> Result[ErrorCode]:
        """Make partitions part of the transaction, which begins with the first of them. ApiError."""
        known = self._of_producer(transactional_id, producer_id, producer_epoch)
        added = known.partitions.union(partitions)
        if known.state == State.ONGOING and added == known.partitions:
            return Result(_NONE)
        new = known._replace(
            state=State.ONGOING,
            partitions=added,
            start_ms=known.start_ms if known.state == State.ONGOING else now_ms,
            last_update_ms=now_ms,
            previous_producer_id=known.producer_id,
            client_version=client_version,
        )
        return self._write(new, _NONE)

    def verify_partitions(
        self,
        transactional_id: str,
        producer_id: int,
        producer_epoch: int,
        partitions: Iterable[TopicPartition],
    ) -> dict[TopicPartition, ErrorCode]:
        """Whether each partition is part of the producer's open transaction. ApiError."""
        known = self._of_producer(transactional_id, producer_id, producer_epoch)
        return {
            partition: _NONE if partition in known.partitions else ErrorCode.TRANSACTION_ABORTABLE
            for partition in partitions
        }

    # ---- the end -------------------------------------------------------------------------------------

    def end(
        self,
        transactional_id: str,
        producer_id: int,
        producer_epoch: int,
        commit: bool,
        client_version: int,
        fresh_id: int | None,
        now_ms: int,
    ) -> Result[ProducerAnswer]:
        """EndTxn: decide. With transactions v2 the answer has the producer's next id and epoch."""
        if not transactional_id:
            return Result(ProducerAnswer(ErrorCode.INVALID_REQUEST))
        known = self.transactions.get(transactional_id)
        if known is None:
            return Result(ProducerAnswer(ErrorCode.INVALID_PRODUCER_ID_MAPPING))
        if client_version >= EPOCH_BUMP_VERSION:
            return self._end_with_bump(known, producer_id, producer_epoch, commit, fresh_id, now_ms)
        return self._end_without_bump(known, producer_id, producer_epoch, commit, now_ms)

    def _end_without_bump(
        self, known: Transaction, producer_id: int, producer_epoch: int, commit: bool, now_ms: int
    ) -> Result[ProducerAnswer]:
        """Transactions v0 and v1: the epoch stays. A late EndTxn cannot be told from the next transaction's
        (KAFKA-17754); that is what v2 is for."""
        if known.producer_id != producer_id:
            return Result(ProducerAnswer(ErrorCode.INVALID_PRODUCER_ID_MAPPING))
        if known.producer_epoch != producer_epoch:
            return Result(ProducerAnswer(ErrorCode.PRODUCER_FENCED))
        if known.state == State.ONGOING:
            new = self._prepared(known, commit, now_ms)._replace(client_version=0)
            return self._write(new, ProducerAnswer(_NONE, prepared=True))
        if known.state == (State.COMPLETE_COMMIT if commit else State.COMPLETE_ABORT):
            return Result(ProducerAnswer(_NONE))
        if known.state == (State.PREPARE_COMMIT if commit else State.PREPARE_ABORT):
            return Result(ProducerAnswer(ErrorCode.CONCURRENT_TRANSACTIONS))
        return Result(ProducerAnswer(ErrorCode.INVALID_TXN_STATE))

    def _end_with_bump(
        self,
        known: Transaction,
        producer_id: int,
        producer_epoch: int,
        commit: bool,
        fresh_id: int | None,
        now_ms: int,
    ) -> Result[ProducerAnswer]:
        """Transactions v2. A repetition has the epoch before the current one; the current epoch in a resting
        state means the next transaction, in which nothing was written."""
        state = known.state
        # The repetition of the end that used up the epochs: the producer id is a new one since.
        repeats_overflow = (
            known.previous_producer_id == producer_id
            and producer_epoch == EPOCH_MAX - 1
            and known.producer_epoch == 0
            and state in RESTING
        )
        if known.producer_id != producer_id and not repeats_overflow:
            return Result(ProducerAnswer(ErrorCode.INVALID_PRODUCER_ID_MAPPING))
        repeats = repeats_overflow or (
            known.producer_epoch == producer_epoch + 1
            # 32767 in a resting state fenced somebody: it is nobody's next epoch (KAFKA-20090).
            and (known.producer_epoch < EPOCH_MAX or state in PREPARED)
        )
        current = known.producer_epoch == producer_epoch
        if state in PREPARED:
            valid = repeats
        elif state in (State.COMPLETE_COMMIT, State.COMPLETE_ABORT):
            valid = repeats or current
        else:
            valid = current
        if not valid:
            return Result(ProducerAnswer(ErrorCode.PRODUCER_FENCED))
        if state == State.ONGOING:
            return self._bumped(known, commit, fresh_id, now_ms)
        if state in PREPARED:
            same = state == (State.PREPARE_COMMIT if commit else State.PREPARE_ABORT)
            error = ErrorCode.CONCURRENT_TRANSACTIONS if same else ErrorCode.INVALID_TXN_STATE
            return Result(ProducerAnswer(error))
        if state != State.EMPTY and repeats:
            if state == (State.COMPLETE_COMMIT if commit else State.COMPLETE_ABORT):
                return Result(ProducerAnswer(_NONE, known.producer_id, known.producer_epoch))
            return Result(ProducerAnswer(ErrorCode.INVALID_TXN_STATE))
        if commit:
            return Result(ProducerAnswer(ErrorCode.INVALID_TXN_STATE))
        return self._bumped(known, False, fresh_id, now_ms)

    def _prepared(self, known: Transaction, commit: bool, now_ms: int) -> Transaction:
        return known._replace(
            state=State.PREPARE_COMMIT if commit else State.PREPARE_ABORT,
            start_ms=known.start_ms if known.state == State.ONGOING else now_ms,
            last_update_ms=now_ms,
            previous_producer_id=known.producer_id,
        )

    def _bumped(
        self, known: Transaction, commit: bool, fresh_id: int | None, now_ms: int
    ) -> Result[ProducerAnswer]:
        """Prepare with the next epoch. Where the epochs are used up the markers have 32767, and the producer
        goes on with a fresh id at epoch 0 (KAFKA-18660, KAFKA-19367, KAFKA-20090)."""
        new = self._prepared(known, commit, now_ms)._replace(
            producer_epoch=min(known.producer_epoch + 1, EPOCH_MAX), client_version=EPOCH_BUMP_VERSION
        )
        answer = ProducerAnswer(_NONE, new.producer_id, new.producer_epoch, prepared=True)
        if known.epoch_exhausted:
            if fresh_id is None:
                return Result(NEED_PRODUCER_ID)
            new = new._replace(next_producer_id=fresh_id)
            answer = ProducerAnswer(_NONE, fresh_id, 0, prepared=True)
        return self._remembering(self._write(new, answer), known.transactional_id, known.producer_epoch)

    def _fence(self, known: Transaction, fresh_id: int | None, now_ms: int) -> Result[ProducerAnswer]:
        """Abort an open transaction from here, with an epoch that its producer does not have."""
        if self._level() >= EPOCH_BUMP_VERSION:
            return self._bumped(known, False, fresh_id, now_ms)
        new = self._prepared(known, False, now_ms)._replace(
            producer_epoch=min(known.producer_epoch + 1, EPOCH_MAX), client_version=0
        )
        result = self._write(new, ProducerAnswer(_NONE, prepared=True))
        return self._remembering(result, known.transactional_id, NO_EPOCH)

    def complete(self, transactional_id: str, prepared: Transaction, now_ms: int) -> Result[bool]:
        """All markers of `prepared` are written; True if that was still to be noted."""
        known = self.transactions.get(transactional_id)
        if known != prepared or known is None:
            return Result(False)
        new = known._replace(
            state=State.COMPLETE_COMMIT if known.state == State.PREPARE_COMMIT else State.COMPLETE_ABORT,
            partitions=frozenset(),
            last_update_ms=now_ms,
            previous_producer_id=known.producer_id,
            next_producer_id=NO_ID,
        )
        if known.next_producer_id != NO_ID and known.client_version >= EPOCH_BUMP_VERSION:
            new = new._replace(producer_id=known.next_producer_id, producer_epoch=0)
        return self._write(new, True)

    # ---- time ----------------------------------------------------------------------------------------

    def prepared(self) -> list[Transaction]:
        """What was decided and is not complete: its markers are to be written."""
        return [self.transactions[transactional_id] for transactional_id in self._decided]

    def timed_out(self, now_ms: int) -> list[Transaction]:
        """Open transactions that took longer than their producer's timeout."""
        return [
            entry
            for entry in self.transactions.values()
            if entry.state == State.ONGOING and entry.start_ms + entry.timeout_ms < now_ms
        ]

    def abort_timed_out(
        self, timed_out: Transaction, fresh_id: int | None, now_ms: int
    ) -> Result[ProducerAnswer]:
        """Fence and abort a transaction that `timed_out` returned, unless it moved on since."""
        known = self.transactions.get(timed_out.transactional_id)
        if known is None or (known.producer_id, known.producer_epoch, known.state, known.start_ms) != (
            timed_out.producer_id,
            timed_out.producer_epoch,
            State.ONGOING,
            timed_out.start_ms,
        ):
            return Result(ProducerAnswer(_NONE))
        return self._fence(known, fresh_id, now_ms)

    def expire(self, expiration_ms: int, now_ms: int) -> Result[int]:
        """Forget ids that were not used for so long; the number of them."""
        limit = now_ms - expiration_ms
        records = [
            CoordinatorRecord(encode_key(entry.transactional_id), None)
            for entry in self.transactions.values()
            if entry.state in RESTING and entry.last_update_ms <= limit
        ]
        return Result(len(records), records, atomic=False)

    # ---- looking -------------------------------------------------------------------------------------

    def listing(
        self, states: frozenset[State] | None, producer_ids: frozenset[int], duration_ms: int, now_ms: int
    ) -> list[Listing]:
        """The transactional ids that pass the filters; None, no ids and a negative duration pass all."""
        return [
            Listing(entry.transactional_id, entry.producer_id, NAMES[entry.state])
            for entry in self.transactions.values()
            if (states is None or entry.state in states)
            and (not producer_ids or entry.producer_id in producer_ids)
            and (duration_ms < 0 or now_ms - entry.start_ms > duration_ms)
        ]

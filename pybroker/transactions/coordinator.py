"""The transaction coordinator of this broker: shards over `__transaction_state`, markers, timeouts, expiry.

In: what the transaction requests ask, for the transactional ids whose partition this broker leads. Out:
Deferreds of answers. What must hold: markers are written only after the decision is committed, and again
after a reload until the completion is committed too; so a decision that a client was told is never lost.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from typing import Final

from pybroker.common.config import BrokerConfig
from pybroker.common.deferred import Deferred, resolved
from pybroker.common.errors import ApiError, ErrorCode
from pybroker.coordinator.host import CoordinatorHost, HostEnvironment, HostSettings
from pybroker.coordinator.result import Result
from pybroker.transactions.markers import MarkerWriter, Send
from pybroker.transactions.records import TopicPartition, Transaction
from pybroker.transactions.shard import (
    EPOCH_BUMP_VERSION,
    NEED_PRODUCER_ID,
    Listing,
    ProducerAnswer,
    TransactionShard,
)
from pybroker.transactions.transitions import State

TakeProducerId = Callable[[Callable[[int], None]], None]
Errors = Mapping[TopicPartition, ErrorCode]
Ask = Callable[[str, int, int, "Iterable[TopicPartition]", bool], "Deferred[Errors]"]
"""Transactional id, producer id and epoch, partitions, and whether they are to be added (or only checked)."""
Operation = Callable[[TransactionShard, int | None, int], Result[ProducerAnswer]]

_COMPLETE_RETRY_MS: Final = 500


class TransactionCoordinator:
    """`level()` is the finalized transaction.version; `take_producer_id` gives a fresh id, or -1."""

    __slots__ = ("_ask", "_config", "_environment", "_level", "_markers", "_take_producer_id", "host")

    def __init__(
        self,
        settings: HostSettings,
        environment: HostEnvironment,
        config: BrokerConfig,
        *,
        level: Callable[[], int],
        take_producer_id: TakeProducerId,
        send_markers: Send,
        ask: Ask | None = None,
    ) -> None:
        """`ask` reaches the coordinator of any transactional id, None: all are here."""
        self._config = config
        self._environment = environment
        self._level = level
        self._take_producer_id = take_producer_id
        self._ask = ask or self.ask
        self._markers = MarkerWriter(send_markers, environment.clock, environment.timers, environment.report)
        self.host: CoordinatorHost[TransactionShard] = CoordinatorHost(
            settings,
            environment,
            lambda index, timers: TransactionShard(
                level, lambda: self._after(0, lambda: self._resume(index))
            ),
        )
        self.host.on_resign = lambda shard: self._markers.forget(shard.transactions)
        self._every(config["transaction.abort.timed.out.transaction.cleanup.interval.ms"], self._look_after)
        self._every(config["transaction.remove.expired.transaction.cleanup.interval.ms"], self._expire)

    def _after(self, delay_ms: float, function: Callable[[], None]) -> None:
        self._environment.timers.schedule(self._environment.clock.monotonic_ms() + delay_ms, function)

    def _every(self, interval_ms: float, function: Callable[[], None]) -> None:
        def due() -> None:
            function()
            self._after(interval_ms, due)

        self._after(interval_ms, due)

    # ---- requests ------------------------------------------------------------------------------------

    def init_producer(
        self, transactional_id: str, timeout_ms: int, expected: tuple[int, int] | None
    ) -> Deferred[ProducerAnswer]:
        return self._decide(
            transactional_id,
            lambda shard, fresh_id, now_ms: shard.init_producer(
                transactional_id, timeout_ms, expected, fresh_id, now_ms
            ),
        )

    def end(
        self,
        transactional_id: str,
        producer_id: int,
        producer_epoch: int,
        *,
        commit: bool,
        client_version: int,
    ) -> Deferred[ProducerAnswer]:
        return self._decide(
            transactional_id,
            lambda shard, fresh_id, now_ms: shard.end(
                transactional_id, producer_id, producer_epoch, commit, client_version, fresh_id, now_ms
            ),
        )

    def add_partitions(
        self,
        transactional_id: str,
        producer_id: int,
        producer_epoch: int,
        partitions: Iterable[TopicPartition],
        client_version: int,
    ) -> Deferred[ErrorCode]:
        added = tuple(partitions)
        return self.host.write(
            transactional_id,
            lambda shard, now_ms: shard.add_partitions(
                transactional_id, producer_id, producer_epoch, added, client_version, now_ms
            ),
        ).map(_code)

    def verify_partitions(
        self,
        transactional_id: str,
        producer_id: int,
        producer_epoch: int,
        partitions: Iterable[TopicPartition],
    ) -> Deferred[Errors]:
        asked = tuple(partitions)

        def all_of(
            answer: Mapping[TopicPartition, ErrorCode] | ApiError,
        ) -> Mapping[TopicPartition, ErrorCode]:
            return dict.fromkeys(asked, answer.code) if isinstance(answer, ApiError) else answer

        return self.host.read(
            transactional_id,
            lambda shard, now_ms: shard.verify_partitions(
                transactional_id, producer_id, producer_epoch, asked
            ),
        ).map(all_of)

    def ask(
        self,
        transactional_id: str,
        producer_id: int,
        producer_epoch: int,
        partitions: Iterable[TopicPartition],
        implicit: bool,
    ) -> Deferred[Errors]:
        """Add partitions to a transaction of this coordinator (`implicit`), or see that they were added."""
        asked = tuple(partitions)
        if not implicit:
            return self.verify_partitions(transactional_id, producer_id, producer_epoch, asked)
        return self.add_partitions(
            transactional_id, producer_id, producer_epoch, asked, EPOCH_BUMP_VERSION
        ).map(lambda error: dict.fromkeys(asked, error))

    def admit(
        self,
        transactional_id: str,
        producer_id: int,
        producer_epoch: int,
        partitions: Iterable[TopicPartition],
        *,
        implicit: bool,
    ) -> Deferred[Errors]:
        """Before the first write of a transaction to partitions: make them part of it (`implicit`, which is
        transactions v2), or see that they are. While the transaction before completes this waits a little."""
        asked = tuple(partitions)
        clock = self._environment.clock
        pause_ms: int = self._config["add.partitions.to.txn.retry.backoff.ms"]
        limit_ms: int = self._config["add.partitions.to.txn.retry.backoff.max.ms"]
        deadline_ms = clock.monotonic_ms() + limit_ms
        answer: Deferred[Errors] = Deferred()

        def ask() -> None:
            self._ask(transactional_id, producer_id, producer_epoch, asked, implicit).then(answered)

        def answered(errors: Errors) -> None:
            busy = ErrorCode.CONCURRENT_TRANSACTIONS in errors.values()
            if busy and clock.monotonic_ms() < deadline_ms:
                self._after(pause_ms, ask)
            else:
                answer.resolve(errors)

        ask()
        return answer

    def describe(self, transactional_id: str) -> Deferred[Transaction | ErrorCode]:
        if not transactional_id:
            return resolved(ErrorCode.INVALID_REQUEST)

        def found(answer: Transaction | ApiError | None) -> Transaction | ErrorCode:
            if isinstance(answer, ApiError):
                return answer.code
            return ErrorCode.TRANSACTIONAL_ID_NOT_FOUND if answer is None else answer

        return self.host.read(
            transactional_id, lambda shard, now_ms: shard.transactions.get(transactional_id)
        ).map(found)

    def listing(
        self, states: frozenset[State] | None, producer_ids: frozenset[int], duration_ms: int
    ) -> list[Listing] | ErrorCode:
        """The transactional ids of this coordinator; COORDINATOR_LOAD_IN_PROGRESS while some are loaded."""
        if self.host.loading:
            return ErrorCode.COORDINATOR_LOAD_IN_PROGRESS
        now_ms = self._environment.clock.wall_ms()
        return [
            row
            for _, shard in self.host.active_shards
            for row in shard.listing(states, producer_ids, duration_ms, now_ms)
        ]

    # ---- decisions and their markers -----------------------------------------------------------------

    def _decide(self, key: str | int, operation: Operation) -> Deferred[ProducerAnswer]:
        """Run an operation that may need a fresh producer id, and may leave a transaction prepared."""
        answer: Deferred[ProducerAnswer] = Deferred()

        def run(fresh_id: int | None) -> None:
            self.host.write(key, lambda shard, now_ms: operation(shard, fresh_id, now_ms)).then(answered)

        def answered(outcome: ProducerAnswer | ApiError) -> None:
            if isinstance(outcome, ApiError):
                outcome = ProducerAnswer(outcome.code)
            elif outcome is NEED_PRODUCER_ID:
                self._take_producer_id(took)
                return
            elif outcome.prepared:
                self._resume(self.host.partition_for(key) if isinstance(key, str) else key)
            answer.resolve(outcome)

        def took(fresh_id: int) -> None:
            if fresh_id < 0:
                answer.resolve(ProducerAnswer(ErrorCode.COORDINATOR_LOAD_IN_PROGRESS))
            else:
                run(fresh_id)

        run(None)
        return answer

    def _resume(self, index: int) -> None:
        """Write the markers of everything that is decided in a shard, once that is committed."""
        partition = self._environment.partition(self.host.topic, index)
        if partition is None or not partition.is_leader:
            return
        epoch = partition.leader_epoch

        def committed(prepared: list[Transaction] | ApiError) -> None:
            shard = self.host.active_shard(index)
            if isinstance(prepared, ApiError) or shard is None:
                return
            for transaction in prepared:
                # It may have been completed while this waited for the commit.
                if shard.transactions.get(transaction.transactional_id) == transaction:
                    self._markers.start(transaction, epoch, lambda done: self._complete(index, done))

        self.host.read(index, lambda shard, now_ms: shard.prepared()).then(committed)

    def _complete(self, index: int, prepared: Transaction) -> None:
        """Note that all markers are written; again and again while the log refuses."""

        def noted(answer: bool | ApiError) -> None:
            if isinstance(answer, ApiError) and answer.code is not ErrorCode.NOT_COORDINATOR:
                self._after(_COMPLETE_RETRY_MS, lambda: self._complete(index, prepared))
            else:
                self._markers.finished(prepared)

        self.host.write(
            index, lambda shard, now_ms: shard.complete(prepared.transactional_id, prepared, now_ms)
        ).then(noted)

    # ---- time ----------------------------------------------------------------------------------------

    def _look_after(self) -> None:
        """Abort what timed out; see to markers that nobody is writing (an answer that came too late)."""
        now_ms = self._environment.clock.wall_ms()
        for index, shard in self.host.active_shards:
            for timed_out in shard.timed_out(now_ms):
                self._abort(index, timed_out)
            if shard.prepared():
                self._resume(index)

    def _abort(self, index: int, timed_out: Transaction) -> None:
        self._decide(
            index, lambda shard, fresh_id, now_ms: shard.abort_timed_out(timed_out, fresh_id, now_ms)
        )

    def _expire(self) -> None:
        expiration_ms = self._config["transactional.id.expiration.ms"]
        for index, _ in self.host.active_shards:
            self.host.write(index, lambda shard, now_ms: shard.expire(expiration_ms, now_ms))


def _code(answer: ErrorCode | ApiError) -> ErrorCode:
    return answer.code if isinstance(answer, ApiError) else answer

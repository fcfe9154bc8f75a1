"""The bug zoo of whole clusters: bugs, each put back by a patch from outside, which the simulation must catch.

python -m tests.sim.cluster_zoo [names]       catches each and prints the score
"""

from __future__ import annotations

import sys
from collections.abc import Callable
from dataclasses import replace
from typing import NamedTuple

import pytest

from pybroker.coordinator.host import CoordinatorHost
from pybroker.log.partition_log import PartitionLog
from pybroker.log.producer_state import ProducerState
from pybroker.replication.partition import Partition
from pybroker.transactions.coordinator import TransactionCoordinator
from pybroker.transactions.shard import TransactionShard
from tests.sim.cluster_world import Failure, Options, World, options_of

# Seeds that a bug may need to be seen.
SEEDS_MAX = 60


def ack_before_flush(patch: pytest.MonkeyPatch) -> None:
    patch.setattr(Partition, "_appended", lambda self, end_offset: self._advance(end_offset))


def window_of_duplicates_is_lost(patch: pytest.MonkeyPatch) -> None:
    patch.setattr(PartitionLog, "complete_producer_windows", lambda self: None)


def recovery_forgets_producers(patch: pytest.MonkeyPatch) -> None:
    def note_recovered(self, segment, header, batch):  # type: ignore[no-untyped-def]
        if header.leader_epoch > self.epochs.latest:
            self.epochs.assign(header.leader_epoch, header.base_offset)

    patch.setattr(PartitionLog, "note_recovered", note_recovered)


def duplicates_are_stored(patch: pytest.MonkeyPatch) -> None:
    patch.setattr(ProducerState, "check", lambda self, *a: None)


def reads_past_the_last_stable_offset(patch: pytest.MonkeyPatch) -> None:
    patch.setattr(PartitionLog, "last_stable_offset", property(lambda self: self.high_watermark))


def aborted_list_is_empty(patch: pytest.MonkeyPatch) -> None:
    patch.setattr(PartitionLog, "aborted_between", lambda self, *a: [])


def next_transaction_shows_the_open_one(patch: pytest.MonkeyPatch) -> None:
    """The last stable offset forgets transactions whose marker is not committed yet."""

    def last_stable_offset(self, high_watermark):  # type: ignore[no-untyped-def]
        return min([high_watermark, *list(self._open_transactions.values())[1:]])

    patch.setattr(ProducerState, "last_stable_offset", last_stable_offset)


def new_producer_does_not_abort(patch: pytest.MonkeyPatch) -> None:
    """InitProducerId takes the open transaction over instead of ending it."""
    original = TransactionShard.init_producer

    def init_producer(self, transactional_id, *a):  # type: ignore[no-untyped-def]
        known = self.transactions.get(transactional_id)
        if known is not None and known.state.name == "ONGOING":
            self.transactions[transactional_id] = known._replace(state=type(known.state).EMPTY)
        return original(self, transactional_id, *a)

    patch.setattr(TransactionShard, "init_producer", init_producer)


def old_epochs_may_write(patch: pytest.MonkeyPatch) -> None:
    """KAFKA-17754 in kind: what a fenced producer sent late is part of the next transaction."""
    original = ProducerState.check

    def check(self, producer_id, epoch, *a):  # type: ignore[no-untyped-def]
        entry = self.entries.get(producer_id)
        if entry is not None and epoch < entry.epoch:
            return None
        return original(self, producer_id, epoch, *a)

    patch.setattr(ProducerState, "check", check)
    patch.setattr(ProducerState, "check_admitted", lambda self, *a: None)
    patch.setattr(ProducerState, "check_transactional", lambda self, *a: None)
    patch.setattr(ProducerState, "start_verification", lambda self, *a, **k: None)


def late_end_ends_the_next_transaction(patch: pytest.MonkeyPatch) -> None:
    """KAFKA-17754: transactions keep their epoch, and EndTxn may be repeated."""
    original = TransactionShard._end_with_bump

    def end_with_bump(self, known, producer_id, producer_epoch, *a):  # type: ignore[no-untyped-def]
        if known.state.name == "ONGOING" and producer_epoch < known.producer_epoch:
            producer_epoch = known.producer_epoch
        return original(self, known, producer_id, producer_epoch, *a)

    patch.setattr(TransactionShard, "_end_with_bump", end_with_bump)


def decided_transactions_are_forgotten(patch: pytest.MonkeyPatch) -> None:
    """After a restart nobody writes the markers of what was decided before."""
    patch.setattr(TransactionCoordinator, "_resume", lambda self, index: None)


def marker_is_not_written_everywhere(patch: pytest.MonkeyPatch) -> None:
    original = Partition.append_marker

    def append_marker(self, producer_id, *a, **k):  # type: ignore[no-untyped-def]
        if self.partition == 1 and producer_id % 2 == 1 and not self.topic.startswith("__"):
            k["commit"] = False
        return original(self, producer_id, *a, **k)

    patch.setattr(Partition, "append_marker", append_marker)


def coordinator_answers_before_it_is_committed(patch: pytest.MonkeyPatch) -> None:
    original = CoordinatorHost._when_committed

    def when_committed(self, hosted, result):  # type: ignore[no-untyped-def]
        from pybroker.common.deferred import resolved

        original(self, hosted, result)
        return resolved(result.response)

    patch.setattr(CoordinatorHost, "_when_committed", when_committed)


def offsets_of_aborted_transactions_count(patch: pytest.MonkeyPatch) -> None:
    original = CoordinatorHost.end_transaction
    patch.setattr(
        CoordinatorHost,
        "end_transaction",
        lambda self, index, producer_id, epoch, committed: original(self, index, producer_id, epoch, True),
    )


class Bug(NamedTuple):
    """A patch, and what a run needs to have for the bug to be possible at all."""

    patch: Callable[[pytest.MonkeyPatch], None]
    needs: dict[str, object]


_POWER = {"durability": "fsync", "faults": ("power", "crash_power")}
_LATE = {
    "faults": ("kill", "drop", "slow_link", "cut", "cut_one_way"),
    "request_ms": 600,
    "transaction_ms": 10_000,
}
_TRANSACTIONS = {"transactions": 1.0, "transaction_version": 2}

ZOO: dict[str, Bug] = {
    patch.__name__: Bug(patch, needs)
    for patch, needs in (
        (ack_before_flush, _POWER),
        (window_of_duplicates_is_lost, {"transactions": 0.0, "faults": ("kill", "drop", "cut_one_way")}),
        (recovery_forgets_producers, {"transactions": 0.0, "faults": ("kill",)}),
        (duplicates_are_stored, {"transactions": 0.0, **_LATE}),
        (reads_past_the_last_stable_offset, _TRANSACTIONS),
        (aborted_list_is_empty, _TRANSACTIONS),
        (next_transaction_shows_the_open_one, _TRANSACTIONS),
        (new_producer_does_not_abort, _TRANSACTIONS),
        (old_epochs_may_write, {**_TRANSACTIONS, **_LATE}),
        (
            late_end_ends_the_next_transaction,
            {
                **_TRANSACTIONS,
                **_LATE,
                "faults": ("cut_one_way", "cut"),
                "fault_every_ms": 400,
                "pause_between_ms": 5,
            },
        ),
        (decided_transactions_are_forgotten, {**_TRANSACTIONS, "faults": ("kill", "crash_kill")}),
        (marker_is_not_written_everywhere, _TRANSACTIONS),
        (coordinator_answers_before_it_is_committed, {**_TRANSACTIONS, **_POWER}),
        (offsets_of_aborted_transactions_count, {**_TRANSACTIONS, "offsets_in_transactions": True}),
    )
}


def seeds_to_catch(name: str, first_seed: int = 0, most: int = SEEDS_MAX) -> int | None:
    """How many seeds it takes; None if so many are too few."""
    bug = ZOO[name]
    for count in range(1, most + 1):
        options: Options = replace(options_of(first_seed + count - 1), **bug.needs)  # type: ignore[arg-type]
        with pytest.MonkeyPatch.context() as patch:
            bug.patch(patch)
            try:
                World(options).run()
            except Failure as failure:
                print(f"{name}: {count} {str(failure)[:150]}", flush=True)
                return count
    print(f"{name}: not caught", flush=True)
    return None


if __name__ == "__main__":
    for chosen in sys.argv[1:] or ZOO:
        seeds_to_catch(chosen)

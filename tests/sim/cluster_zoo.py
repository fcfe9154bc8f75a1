"""The bug zoo of whole clusters: bugs, each put back by a patch from outside, which the simulation must catch.

python -m tests.sim.cluster_zoo [names]       catches each and prints the score
"""

# The methods that take the places of sound ones take and give what those do.
# mypy: allow-untyped-defs

from __future__ import annotations

import sys
from collections.abc import Callable
from dataclasses import replace
from typing import NamedTuple

import pytest

from pybroker.common.errors import ErrorCode
from pybroker.controller.partitions import _Change
from pybroker.coordinator.host import CoordinatorHost
from pybroker.log.partition_log import PartitionLog
from pybroker.log.producer_state import ProducerState
from pybroker.replication.isr import Follower, Replication
from pybroker.replication.partition import Partition
from pybroker.transactions.coordinator import TransactionCoordinator
from pybroker.transactions.shard import TransactionShard
from tests.sim.cluster_world import Failure, Options, World, options_of
from tests.sim.raft_zoo import ZOO as RAFT_ZOO

# Seeds that a bug may need to be seen.
SEEDS_MAX = 60


def ack_before_flush(patch: pytest.MonkeyPatch) -> None:
    patch.setattr(Partition, "_appended", lambda self, end_offset: self._advance(end_offset))


def window_of_duplicates_is_lost(patch: pytest.MonkeyPatch) -> None:
    patch.setattr(PartitionLog, "complete_producer_windows", lambda self: None)


def recovery_forgets_producers(patch: pytest.MonkeyPatch) -> None:
    def note_recovered(self, segment, header, batch):
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

    def last_stable_offset(self, high_watermark):
        return min([high_watermark, *list(self._open_transactions.values())[1:]])

    patch.setattr(ProducerState, "last_stable_offset", last_stable_offset)


def new_producer_does_not_abort(patch: pytest.MonkeyPatch) -> None:
    """InitProducerId takes the open transaction over instead of ending it."""
    original = TransactionShard.init_producer

    def init_producer(self, transactional_id, *a):
        known = self.transactions.get(transactional_id)
        if known is not None and known.state.name == "ONGOING":
            self.transactions[transactional_id] = known._replace(state=type(known.state).EMPTY)
        return original(self, transactional_id, *a)

    patch.setattr(TransactionShard, "init_producer", init_producer)


def old_epochs_may_write(patch: pytest.MonkeyPatch) -> None:
    """KAFKA-17754 in kind: what a fenced producer sent late is part of the next transaction."""
    original = ProducerState.check

    def check(self, producer_id, epoch, *a):
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

    def end_with_bump(self, known, producer_id, producer_epoch, *a):
        if known.state.name == "ONGOING" and producer_epoch < known.producer_epoch:
            producer_epoch = known.producer_epoch
        return original(self, known, producer_id, producer_epoch, *a)

    patch.setattr(TransactionShard, "_end_with_bump", end_with_bump)


def decided_transactions_are_forgotten(patch: pytest.MonkeyPatch) -> None:
    """After a restart nobody writes the markers of what was decided before."""
    patch.setattr(TransactionCoordinator, "_resume", lambda self, index: None)


def marker_is_not_written_everywhere(patch: pytest.MonkeyPatch) -> None:
    original = Partition.append_marker

    def append_marker(self, producer_id, *a, **k):
        if self.partition == 1 and producer_id % 2 == 1 and not self.topic.startswith("__"):
            k["commit"] = False
        return original(self, producer_id, *a, **k)

    patch.setattr(Partition, "append_marker", append_marker)


def coordinator_answers_before_it_is_committed(patch: pytest.MonkeyPatch) -> None:
    original = CoordinatorHost._when_committed

    def when_committed(self, hosted, result):
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


def acknowledged_before_the_followers_have_it(patch: pytest.MonkeyPatch) -> None:
    patch.setattr(Replication, "high_watermark", lambda self, own_end_offset, *a: own_end_offset)


def cut_at_the_high_watermark(patch: pytest.MonkeyPatch) -> None:
    """KIP-101."""
    original = Partition.become_follower

    def become_follower(self, leader_epoch):
        if not self.is_follower:
            self.truncate_to(self.high_watermark)
        original(self, leader_epoch)

    patch.setattr(Partition, "become_follower", become_follower)


def divergence_is_not_told(patch: pytest.MonkeyPatch) -> None:
    """Before KIP-101: a follower keeps what its leader never had."""
    patch.setattr(Partition, "epoch_end_offset", lambda self, epoch: (epoch, 1 << 62))


def anybody_may_lead(patch: pytest.MonkeyPatch) -> None:
    """An election outside of the replicas in sync, which nobody asked for."""
    patch.setattr(_Change, "is_valid_leader", lambda self, replica: self.rules.may_lead(replica))


def leader_counts_the_committed_replicas_only(patch: pytest.MonkeyPatch) -> None:
    """The high watermark passes who is in the ISR by now, but not as far as the leader knows."""
    patch.setattr(Replication, "maximal_isr", property(lambda self: self.isr[:1]))
    patch.setattr(Follower, "is_caught_up", lambda self, *a: False)


def isr_grows_too_early(patch: pytest.MonkeyPatch) -> None:
    """Who fetches at all is in sync."""

    def plan_expand(self, broker_id, high_watermark):
        follower = self.followers.get(broker_id)
        if self.proposal is not None or follower is None or broker_id in self.isr:
            return None
        return self._propose((*self.isr, broker_id))

    patch.setattr(Replication, "plan_expand", plan_expand)
    # The high watermark does not wait for it.
    patch.setattr(Replication, "maximal_isr", property(lambda self: (self.node_id,)))


def follower_counts_what_is_not_flushed(patch: pytest.MonkeyPatch) -> None:
    patch.setattr(Partition, "_count_as_follower", Partition._count_as_follower)
    original = Partition.append_from_leader

    def append_from_leader(self, *a, **k):
        found = original(self, *a, **k)
        self.own_end_offset = self.log.log_end_offset
        return found

    patch.setattr(Partition, "append_from_leader", append_from_leader)
    patch.setattr(Partition, "may_fetch", property(lambda self: self.is_follower))


def reads_above_the_high_watermark(patch: pytest.MonkeyPatch) -> None:
    original = Partition.read

    def read(self, offset, *a, **k):
        before = self.log.high_watermark
        self.log.high_watermark = self.log.log_end_offset
        try:
            return original(self, offset, *a, **k)
        finally:
            self.log.high_watermark = before

    patch.setattr(Partition, "read", read)


def acks_do_not_wait_for_a_minimum(patch: pytest.MonkeyPatch) -> None:
    """The high watermark moves and writes are acknowledged below min.insync.replicas; a leader that is alone then
    loses its disk's cache (KIP-966, last replica standing)."""
    patch.setattr(Replication, "effective_min_isr", lambda self, least: 1)


def old_leader_is_not_fenced(patch: pytest.MonkeyPatch) -> None:
    """A fetch of another epoch is answered, and counts (KIP-320)."""
    patch.setattr(Partition, "check_leader_epoch", lambda self, epoch: ErrorCode.NONE)


def _of_raft(name: str) -> Callable[[pytest.MonkeyPatch], None]:
    """A mistake of the quorum's own zoo."""
    mutation = next(mutation for mutation in RAFT_ZOO if mutation.name == name)

    def patch_raft(patch: pytest.MonkeyPatch) -> None:
        for owner, attribute, value in mutation.patches():
            patch.setattr(owner, attribute, value)

    patch_raft.__name__ = name.replace(" ", "_").replace("-", "_")
    return patch_raft


class Bug(NamedTuple):
    """A patch, and what a run needs to have for the bug to be possible at all."""

    patch: Callable[[pytest.MonkeyPatch], None]
    needs: dict[str, object]
    nodes: int = 1


_POWER = {"durability": "fsync", "faults": ("power", "crash_power")}
_LATE = {
    "faults": ("kill", "drop", "slow_link", "cut", "cut_one_way"),
    "request_ms": 600,
    "transaction_ms": 10_000,
}
_FAILOVER = {
    "faults": (
        "kill_leader",
        "kill_controller",
        "isolate_leader",
        "isolate_controller",
        "pause",
        "cut",
        "kill",
    ),
    "fault_every_ms": 700,
    "load_ms": 12_000,
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
ZOO |= {
    patch.__name__: Bug(patch, needs, 3)
    for patch, needs in (
        (acknowledged_before_the_followers_have_it, _FAILOVER),
        (cut_at_the_high_watermark, _FAILOVER),
        (divergence_is_not_told, _FAILOVER),
        (anybody_may_lead, _FAILOVER),
        (leader_counts_the_committed_replicas_only, _FAILOVER),
        (isr_grows_too_early, _FAILOVER),
        (
            follower_counts_what_is_not_flushed,
            {**_FAILOVER, "durability": "fsync", "faults": ("power", "crash_power")},
        ),
        (reads_above_the_high_watermark, _FAILOVER),
        (
            acks_do_not_wait_for_a_minimum,
            {**_FAILOVER, "durability": "os", "faults": ("power_one", "isolate_leader")},
        ),
        (old_leader_is_not_fenced, _FAILOVER),
        (_of_raft("vote not stored"), _FAILOVER),
        (_of_raft("votes twice in an epoch"), _FAILOVER),
        (_of_raft("log not compared for a vote"), _FAILOVER),
        (_of_raft("leader counts what is not synced"), {**_FAILOVER, **_POWER}),
        (_of_raft("follower fetches past what is synced"), {**_FAILOVER, **_POWER}),
        (_of_raft("divergence not told"), _FAILOVER),
        (_of_raft("half is a majority"), _FAILOVER),
    )
}


def seeds_to_catch(name: str, first_seed: int = 0, most: int = SEEDS_MAX) -> int | None:
    """How many seeds it takes; None if so many are too few."""
    bug = ZOO[name]
    for count in range(1, most + 1):
        options: Options = replace(options_of(first_seed + count - 1, bug.nodes), **bug.needs)  # type: ignore[arg-type]
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

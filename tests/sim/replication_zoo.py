"""The bug zoo of replication: rules of our own, or of Kafka's history, each broken by a patch from outside.

python -m tests.sim.replication_zoo        finds the first walk of `tests.sim.replication` that catches each
"""

# The methods that take the places of sound ones take and give what those do.
# mypy: allow-untyped-defs

from __future__ import annotations

import sys
from collections.abc import Callable

import pytest

from pybroker.handlers.fetch_sessions import SessionPartition
from pybroker.log.partition_log import PartitionLog
from pybroker.replication import follower, isr, replicas
from pybroker.replication.follower import Fetcher
from pybroker.replication.isr import Replication
from pybroker.replication.partition import Partition
from tests.sim.replication import Violation, walk

RUNS_MAX = 1000


def high_watermark_ignores_followers(patch: pytest.MonkeyPatch) -> None:
    patch.setattr(Replication, "high_watermark", lambda self, own_end, *others: own_end)


def only_the_committed_isr_counts(patch: pytest.MonkeyPatch) -> None:
    """Neither who was proposed nor who is about to be: a record may be acknowledged without a new member."""
    patch.setattr(Replication, "maximal_isr", property(lambda self: self.isr))
    patch.setattr(replicas._Brokers, "may_join", lambda self, broker_id, epoch: not _in_watermark())


def _in_watermark() -> bool:
    return sys._getframe(2).f_code.co_name == "high_watermark"


def high_watermark_moves_below_min_isr(patch: pytest.MonkeyPatch) -> None:
    """KIP-966: the last replica standing."""
    patch.setattr(
        Replication,
        "is_under_min_isr",
        lambda self, least: (
            sys._getframe(1).f_code.co_name != "high_watermark"
            and len(self.isr) < self.effective_min_isr(least)
        ),
    )


def acknowledged_below_min_isr(patch: pytest.MonkeyPatch) -> None:
    patch.setattr(Replication, "is_under_min_isr", lambda self, least: False)


def truncation_by_high_watermark(patch: pytest.MonkeyPatch) -> None:
    """Before KIP-101."""
    original = Partition.become_follower

    def become_follower(self, leader_epoch):
        self.log.truncate_to(self.log.high_watermark)
        original(self, leader_epoch)

    patch.setattr(Partition, "become_follower", become_follower)


def nothing_is_truncated(patch: pytest.MonkeyPatch) -> None:
    patch.setattr(Partition, "truncate_to_epoch", lambda self, epoch, end_offset: None)


def no_epochs_in_fetches(patch: pytest.MonkeyPatch) -> None:
    """Neither the leader's epoch nor the last one here is told: nobody can be fenced or diverge."""
    original = follower.FetchPartition

    def fetch_partition(**fields):
        return original(**{**fields, "current_leader_epoch": -1, "last_fetched_epoch": -1})

    patch.setattr(follower, "FetchPartition", fetch_partition)


def joins_before_it_caught_up(patch: pytest.MonkeyPatch) -> None:
    original = Replication.plan_expand

    def plan_expand(self, broker_id, high_watermark):
        self.epoch_start_offset = 0
        return original(self, broker_id, 0)

    patch.setattr(Replication, "plan_expand", plan_expand)


def follower_tells_before_it_flushed(patch: pytest.MonkeyPatch) -> None:
    patch.setattr(Partition, "may_fetch", property(lambda self: self.is_follower and not self.log.offline))


def leader_counts_before_it_flushed(patch: pytest.MonkeyPatch) -> None:
    def appended(self, end_offset):
        self.log.request_flush()
        self._count(end_offset)
        self._wake_tail_watchers()

    patch.setattr(Partition, "_appended", appended)


def epoch_without_records_stays(patch: pytest.MonkeyPatch) -> None:
    """KAFKA-10706."""
    original = PartitionLog.truncate_to

    def truncate_to(self, offset):
        if offset < self.log_end_offset:
            original(self, offset)

    patch.setattr(PartitionLog, "truncate_to", truncate_to)


def flush_counts_what_was_cut(patch: pytest.MonkeyPatch) -> None:
    original = PartitionLog.synced

    def synced(self, work):
        self._cut_while_syncing = False
        original(self, work)

    patch.setattr(PartitionLog, "synced", synced)


def new_leader_commits_its_log(patch: pytest.MonkeyPatch) -> None:
    original = Partition.become_leader

    def become_leader(self, leader_epoch, replication=None):
        original(self, leader_epoch, replication)
        self._advance(self.log.log_end_offset)

    patch.setattr(Partition, "become_leader", become_leader)


def session_forgets_what_diverged(patch: pytest.MonkeyPatch) -> None:
    """Kafka's own: a follower that truncated learns the high watermark only when it moves again."""

    def changed_by(self, data):
        changed = bool(data.records) or bool(data.error_code) or data.diverging_epoch.epoch >= 0
        changed = changed or data.high_watermark != self.high_watermark
        self.high_watermark, self.log_start_offset = data.high_watermark, data.log_start_offset
        return changed

    patch.setattr(SessionPartition, "changed_by", changed_by)


def unanswered_proposal_is_forgotten(patch: pytest.MonkeyPatch) -> None:
    """No answer is taken for a refusal, while the controller carried it out."""
    original = replicas.ReplicaManager._answered

    def answered(self, asked, response):
        if response is None:
            for _, replication, proposal in asked.values():
                if replication.proposal is proposal:
                    replication.proposal = None
        original(self, asked, response)

    patch.setattr(replicas.ReplicaManager, "_answered", answered)
    patch.setattr(replicas._Brokers, "may_join", lambda self, broker_id, epoch: not _in_watermark())


def late_responses_are_taken(patch: pytest.MonkeyPatch) -> None:
    """Whatever became of the log since the request."""
    original = Fetcher._take

    def take(self, followed, asked, data):
        partition = followed.partition
        original(self, followed, (partition.leader_epoch, partition.log.log_end_offset, *asked[2:]), data)

    patch.setattr(Fetcher, "_take", take)


def older_metadata_is_taken(patch: pytest.MonkeyPatch) -> None:
    """The image of a partition epoch that the controller's answer has overtaken."""
    original = isr.Replication.assign

    def assign(self, replica_ids, isr_ids, partition_epoch):
        self.partition_epoch = -1
        return original(self, replica_ids, isr_ids, partition_epoch)

    patch.setattr(Replication, "assign", assign)
    patch.setattr(replicas._Brokers, "may_join", lambda self, broker_id, epoch: not _in_watermark())


def truncation_by_end_offset_alone(patch: pytest.MonkeyPatch) -> None:
    """KIP-279: asked for an epoch that it never had, the leader tells an end, and not of which epoch that is."""
    original = Partition.epoch_end_offset

    def epoch_end_offset(self, epoch):
        found = original(self, epoch)
        return found if found[0] < 0 else (epoch, found[1])

    patch.setattr(Partition, "epoch_end_offset", epoch_end_offset)


def former_incarnation_joins(patch: pytest.MonkeyPatch) -> None:
    """Before KIP-903: what a broker fetched in its former life counts after it has lost that."""
    original = Replication._propose
    may_join = replicas._Brokers.may_join

    def propose(self, isr_ids):
        found = original(self, isr_ids)
        self.proposal = found._replace(members=tuple((broker_id, -1) for broker_id, _ in found.members))
        return self.proposal

    patch.setattr(Replication, "_propose", propose)
    patch.setattr(replicas._Brokers, "may_join", lambda self, broker_id, epoch: may_join(self, broker_id, -1))
    patch.setattr(replicas._Brokers, "is_stale", lambda self, broker_id, epoch: False)


def high_watermark_stays_below_the_log(patch: pytest.MonkeyPatch) -> None:
    """KAFKA-9491: a log that starts again later keeps the high watermark that it had."""
    original = PartitionLog.truncate_fully

    def truncate_fully(self, offset):
        before = self.high_watermark
        original(self, offset)
        self.high_watermark = min(before, offset)

    patch.setattr(PartitionLog, "truncate_fully", truncate_fully)


ZOO: dict[str, Callable[[pytest.MonkeyPatch], None]] = {
    function.__name__: function
    for function in (
        high_watermark_ignores_followers,
        high_watermark_moves_below_min_isr,
        acknowledged_below_min_isr,
        truncation_by_high_watermark,
        nothing_is_truncated,
        no_epochs_in_fetches,
        follower_tells_before_it_flushed,
        leader_counts_before_it_flushed,
        epoch_without_records_stays,
        new_leader_commits_its_log,
        session_forgets_what_diverged,
        only_the_committed_isr_counts,
        truncation_by_end_offset_alone,
        former_incarnation_joins,
        high_watermark_stays_below_the_log,
        joins_before_it_caught_up,
        flush_counts_what_was_cut,
        unanswered_proposal_is_forgotten,
        older_metadata_is_taken,
        late_responses_are_taken,
    )
}

# A fetcher ends with its last partition, and a response of a former epoch finds nobody there: these need a second one.
WITH_COMPANION = (late_responses_are_taken.__name__,)


def catches(name: str, seed: int) -> str:
    """What the walk of a seed finds with the bug in place; empty for nothing."""
    with pytest.MonkeyPatch.context() as patch:
        ZOO[name](patch)
        try:
            walk(seed, companion=name in WITH_COMPANION)
        except Violation as violation:
            return str(violation)
        except Exception as error:  # A bug may also show as a crash of the code around it.
            return f"{type(error).__name__}: {error}"
    return ""


def main() -> None:
    missed = 0
    for name in sys.argv[1:] or ZOO:
        for seed in range(RUNS_MAX):
            found = catches(name, seed)
            if found:
                print(f"{name}: seed {seed}: {found[:120]}", flush=True)
                break
        else:
            missed += 1
            print(f"{name}: not caught in {RUNS_MAX} walks", flush=True)
    sys.exit(missed)


if __name__ == "__main__":
    main()

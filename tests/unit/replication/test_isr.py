"""The rules of a leader with followers, and of a log that is cut, one by one."""

from __future__ import annotations

import pytest

from pybroker.common.clock import ManualClock
from pybroker.common.errors import CorruptionError, ErrorCode
from pybroker.common.memory_files import MemoryFileSystem
from pybroker.replication.isr import Replication
from pybroker.replication.partition import Partition
from tests.unit.log.log_helpers import NOW, TOPIC_ID, make_batch, make_manager, run_rounds

E = ErrorCode
LAG_MS = 1000


class Brokers:
    """Broker 2 has epoch 20, broker 3 epoch 30."""

    def __init__(self):
        self.fenced = set()

    def may_join(self, broker_id, broker_epoch):
        return broker_id not in self.fenced and broker_epoch in (-1, broker_id * 10)

    def is_alive(self, broker_id):
        return broker_id not in self.fenced

    def is_stale(self, broker_id, broker_epoch):
        return broker_epoch < broker_id * 10


def leading(isr=(1, 2, 3), *, epoch_start=0):
    clock = ManualClock(NOW)
    replication = Replication(1, 5, epoch_start, lag_max_ms=LAG_MS, clock=clock, brokers=Brokers())
    assert replication.assign((1, 2, 3), isr, 7)
    return replication, clock


def fetched(replication, broker_id, offset, end=10, epoch=None):
    replication.note_fetch(broker_id, offset, 0, end, broker_id * 10 if epoch is None else epoch)


def test_high_watermark_is_what_the_isr_has():
    replication, clock = leading((1, 2))
    assert replication.high_watermark(10, 10, 1) == -1
    fetched(replication, 2, 7)
    assert replication.high_watermark(10, 10, 1) == 7
    assert replication.high_watermark(5, 10, 1) == 5
    # Caught up once and about to join: it is waited for, until it lags for too long.
    fetched(replication, 3, 10)
    fetched(replication, 3, 6, end=20)
    assert replication.high_watermark(10, 20, 1) == 6
    clock.advance(LAG_MS + 1)
    assert replication.high_watermark(10, 20, 1) == 7


def test_high_watermark_stands_still_below_the_minimum():
    replication, _ = leading((1,))
    assert replication.high_watermark(10, 10, 2) == -1
    assert replication.high_watermark(10, 10, 1) == 10
    assert replication.effective_min_isr(5) == 3


@pytest.mark.parametrize(
    ("offset", "watermark", "epoch", "joins"),
    [(10, 10, 30, True), (9, 10, 30, False), (4, 3, 30, False), (10, 10, 29, False), (10, 10, -1, True)],
    ids=["caught-up", "below-watermark", "below-epoch-start", "older-incarnation", "epoch-not-told"],
)
def test_who_may_join(offset, watermark, epoch, joins):
    replication, _ = leading((1, 2), epoch_start=5)
    fetched(replication, 3, offset, epoch=epoch)
    proposal = replication.plan_expand(3, watermark)
    assert (proposal is not None) == joins
    if proposal is not None:
        assert (proposal.isr, proposal.partition_epoch, proposal.members[2]) == ((1, 2, 3), 7, (3, epoch))
        # One at a time; and it counts from now on, whatever becomes of it.
        assert replication.plan_expand(3, watermark) is None
        assert replication.maximal_isr == (1, 2, 3)


def test_fenced_followers_stay_out():
    replication, _ = leading((1, 2))
    replication._brokers.fenced.add(3)
    fetched(replication, 3, 10)
    assert replication.plan_expand(3, 0) is None


def test_who_lags_leaves_when_the_controller_says_so():
    replication, clock = leading()
    fetched(replication, 2, 10)
    fetched(replication, 3, 4)
    assert replication.plan_shrink(10) is None
    clock.advance(LAG_MS + 1)
    proposal = replication.plan_shrink(10)
    assert proposal.isr == (1, 2)
    assert replication.maximal_isr == (1, 2, 3)
    assert replication.high_watermark(10, 10, 1) == 4
    assert replication.accepted(proposal, 5, (1, 2), 8)
    assert replication.high_watermark(10, 10, 1) == 10
    assert not replication.accepted(proposal, 5, (1, 2, 3), 8)


@pytest.mark.parametrize(
    ("error", "again", "open_after"),
    [
        (E.INELIGIBLE_REPLICA, False, False),
        (E.OPERATION_NOT_ATTEMPTED, False, False),
        (E.INVALID_UPDATE_VERSION, False, True),
        (E.FENCED_LEADER_EPOCH, False, True),
        (E.NEW_LEADER_ELECTED, False, True),
        (E.UNKNOWN_SERVER_ERROR, True, True),
        (E.REQUEST_TIMED_OUT, True, True),
    ],
)
def test_refused_proposals(error, again, open_after):
    replication, _ = leading((1, 2))
    fetched(replication, 3, 10)
    proposal = replication.plan_expand(3, 10)
    assert replication.refused(proposal, error) == again
    assert (replication.proposal is proposal) == open_after
    # Metadata of the very epoch says nothing of it; the next one settles it.
    assert not replication.assign((1, 2, 3), (1, 2), 7)
    assert (replication.proposal is proposal) == open_after
    assert replication.assign((1, 2, 3), (1, 2), 8)
    assert replication.proposal is None


def test_fetches_of_strangers_and_of_the_past():
    replication, _ = leading()
    assert replication.check_fetch(9, -1, told_epoch=True) == E.UNKNOWN_LEADER_EPOCH
    assert replication.check_fetch(9, -1, told_epoch=False) == E.NOT_LEADER_OR_FOLLOWER
    assert replication.check_fetch(2, 19, told_epoch=True) == E.NOT_LEADER_OR_FOLLOWER
    assert replication.check_fetch(2, 20, told_epoch=True) == E.NONE


def test_low_watermark_counts_who_is_alive():
    replication, _ = leading()
    replication.note_fetch(2, 10, 6, 10, 20)
    assert replication.low_watermark(8) == -1
    replication._brokers.fenced.add(3)
    assert replication.low_watermark(8) == 6


# ---- followers ----------------------------------------------------------------------------------------


class Follower:
    """One replica that follows in epoch 3."""

    def __init__(self, durability="os"):
        self.manager = make_manager(MemoryFileSystem(), clock=ManualClock(NOW))
        self.manager.open(1)
        self.log = self.manager.get_or_create("T", 0, TOPIC_ID)
        self.partition = Partition("T", 0, TOPIC_ID, self.log, durability)
        self.partition.become_follower(3)

    def take(self, *batches, high_watermark=0, log_start_offset=0):
        self.partition.append_from_leader(
            b"".join(batches), high_watermark=high_watermark, log_start_offset=log_start_offset
        )


def batch(offset, epoch, count=1):
    return make_batch(count, base_offset=offset, leader_epoch=epoch)


def test_follower_stores_what_the_leader_sent():
    follower = Follower()
    data = batch(0, 1, 2) + batch(2, 3)
    follower.take(data, batch(3, 3)[:-5], high_watermark=9)
    assert (follower.log.log_end_offset, follower.log.high_watermark) == (3, 3)
    assert bytes(follower.log.read(0, 10_000).records) == data
    assert follower.log.epochs.entries == [(1, 0), (3, 2)]
    follower.take(high_watermark=2, log_start_offset=1)
    assert (follower.log.high_watermark, follower.log.log_start_offset) == (3, 1)


@pytest.mark.parametrize(
    "data",
    [batch(1, 3), batch(0, 1), batch(2, 3)[:-1] + b"\1", batch(2, 3)[:-1]],
    ids=["offset", "epoch", "checksum", "cut"],
)
def test_follower_refuses_what_no_leader_sends(data):
    follower = Follower()
    follower.take(batch(0, 2, 2))
    with pytest.raises(CorruptionError):
        follower.take(data)
    assert follower.log.log_end_offset == 2


def test_follower_leaves_later_epochs_to_their_leader():
    follower = Follower()
    follower.take(batch(0, 3), batch(1, 4))
    assert follower.log.log_end_offset == 1


def test_follower_starts_within_a_batch():
    follower = Follower()
    follower.partition.start_again_at(5)
    follower.take(batch(3, 2, 4), high_watermark=7, log_start_offset=5)
    log = follower.log
    assert (log.log_start_offset, log.log_end_offset, log.high_watermark) == (5, 7, 7)


def test_follower_gives_up_a_log_that_the_leader_has_deleted():
    """Records were deleted up to the middle of a batch, just where this log ends, whose own end the leader never had:
    the batch was refused for ever (walk 718 of `tests.sim.replication` with a second partition)."""
    follower = Follower()
    follower.take(batch(0, 1, 3), batch(3, 1, 2))
    follower.take(batch(3, 3, 4), high_watermark=7, log_start_offset=5)
    log = follower.log
    assert (log.log_start_offset, log.log_end_offset, log.high_watermark) == (5, 7, 7)
    assert log.epochs.entries == [(3, 5)]


def test_follower_with_flushes_asks_for_what_is_flushed():
    follower = Follower("fsync")
    told = []
    follower.partition.on_counted = lambda: told.append(follower.partition.own_end_offset)
    follower.take(batch(0, 3))
    assert not follower.partition.may_fetch
    run_rounds(follower.manager)
    assert (told, follower.partition.may_fetch) == ([1], True)


def test_truncation_by_epochs():
    follower = Follower()
    follower.take(batch(0, 1, 3), batch(3, 2, 3))
    # The leader has nothing of epoch 2 (KIP-101), or has less of it.
    follower.partition.truncate_to_epoch(2, 5)
    assert follower.log.log_end_offset == 3
    follower.take(batch(3, 3))
    follower.partition.truncate_to_epoch(2, 9)
    assert (follower.log.log_end_offset, follower.log.epochs.latest) == (3, 1)


def test_epoch_without_records_goes():
    """KAFKA-10706."""
    follower = Follower()
    follower.take(batch(0, 1))
    follower.partition.become_leader(4)
    follower.partition.become_follower(5)
    assert follower.log.epochs.entries == [(1, 0), (4, 1)]
    follower.partition.truncate_to_epoch(1, 1)
    assert follower.log.epochs.entries == [(1, 0)]


def test_flush_under_way_says_nothing_of_what_was_cut_since():
    follower = Follower("fsync")
    follower.take(batch(0, 1, 5))
    work = follower.manager.take_flush_round()
    work.run()
    follower.partition.truncate_to(0)
    follower.take(batch(0, 3, 5))
    work.complete(None)
    assert (follower.log.recovery_point, follower.partition.may_fetch) == (0, False)
    run_rounds(follower.manager)
    assert (follower.log.recovery_point, follower.partition.may_fetch) == (5, True)


def test_log_that_was_cut_grows_when_its_recovery_point_is_saved():
    follower = Follower()
    follower.take(batch(0, 1, 5))
    follower.log.request_flush()
    run_rounds(follower.manager)
    assert follower.log.recovery_point == 5
    follower.partition.truncate_to(2)
    assert not follower.partition.may_fetch
    run_rounds(follower.manager)
    assert follower.partition.may_fetch

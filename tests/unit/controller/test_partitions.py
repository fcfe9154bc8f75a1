"""One change of one partition: elections, ELR, reassignment, epochs."""

from __future__ import annotations

import pytest

from pybroker.controller.partitions import (
    RECOVERED,
    RECOVERING,
    Election,
    Rules,
    Target,
    plan_change,
)
from pybroker.metadata.image import MIGRATING_DIRECTORY, NO_LEADER, PartitionImage
from pybroker.metadata.records import NO_LEADER_CHANGE, changed_partition

TOPIC = b"t" * 16


def partition(replicas, isr, leader, **fields):
    directories = tuple(bytes([replica]) * 16 for replica in replicas)
    return PartitionImage(tuple(replicas), tuple(isr), leader, 5, 7, directories, **fields)


def change(old, up, *, minimum=1, elr=True, **target):
    """(record or None, the partition after it)."""
    rules = Rules(minimum, elr, lambda broker: broker in up, lambda broker: bytes([broker]) * 16)
    record = plan_change(TOPIC, 3, old, Target(**target), rules)
    if record is None:
        return None, old
    assert (record.topic_id, record.partition_id) == (TOPIC, 3)
    return record, changed_partition(old, record)


def test_nothing_to_do():
    assert change(partition([1, 2], [1, 2], 1), {1, 2})[0] is None


def test_a_follower_leaves_without_a_new_leader_epoch():
    record, after = change(partition([1, 2, 3], [1, 2, 3], 1), {1, 2}, isr=[1, 2])
    assert record.leader == NO_LEADER_CHANGE
    assert (after.isr, after.leader, after.leader_epoch, after.partition_epoch) == ((1, 2), 1, 5, 8)


def test_the_leader_leaves():
    _, after = change(partition([1, 2, 3], [1, 2, 3], 1), {2, 3}, isr=[2, 3])
    assert (after.leader, after.leader_epoch, after.isr) == (2, 6, (2, 3))


def test_the_first_in_assignment_order_is_elected():
    _, after = change(partition([3, 1, 2], [1, 2, 3], 1), {2, 3}, isr=[2, 3])
    assert after.leader == 3


@pytest.mark.parametrize("election", [Election.ONLINE, Election.UNCLEAN])
def test_a_good_leader_stays(election):
    assert change(partition([1, 2], [1, 2], 2), {1, 2}, election=election)[0] is None


def test_preferred_election():
    record, after = change(partition([1, 2], [1, 2], 2), {1, 2}, election=Election.PREFERRED)
    assert (after.leader, after.leader_epoch, record.isr) == (1, 6, None)
    # Not in sync, not up: the present one goes on.
    assert change(partition([1, 2], [2], 2), {1, 2}, election=Election.PREFERRED)[0] is None
    assert change(partition([1, 2], [1, 2], 2), {2}, election=Election.PREFERRED)[0] is None


# Without ELR


def test_without_elr_the_last_member_stays_listed():
    record, after = change(partition([1, 2], [1], 1), {2}, elr=False, isr=[])
    assert record.isr is None
    assert (after.isr, after.leader, after.eligible_leader_replicas) == ((1,), NO_LEADER, ())
    assert after.last_known_elr == ()
    # And leads again when it is back, in sync and recovered.
    _, back = change(after, {1, 2}, elr=False)
    assert (back.leader, back.leader_epoch, back.leader_recovery_state) == (1, 7, RECOVERED)


def test_without_elr_eligible_replicas_are_cleared():
    old = partition([1, 2], [1], 1, eligible_leader_replicas=(2,))
    assert change(old, {1, 2}, elr=False)[1].eligible_leader_replicas == ()


def test_unclean_election():
    old = partition([1, 2, 3], [1], NO_LEADER)
    assert change(old, {2, 3}, elr=False)[0] is None
    _, after = change(old, {2, 3}, elr=False, election=Election.UNCLEAN)
    assert (after.leader, after.isr, after.leader_recovery_state) == (2, (2,), RECOVERING)
    assert after.leader_epoch == 6


# ELR


def test_below_the_minimum_who_leaves_becomes_eligible():
    old = partition([1, 2, 3], [1, 2, 3], 1)
    _, two = change(old, {1, 2}, minimum=2, isr=[1, 2])
    assert two.eligible_leader_replicas == ()
    _, one = change(two, {1}, minimum=2, isr=[1])
    assert (one.isr, one.eligible_leader_replicas) == ((1,), (2,))
    _, none = change(one, set(), minimum=2, isr=[])
    assert (none.isr, none.eligible_leader_replicas, none.leader) == ((), (1, 2), NO_LEADER)
    assert none.last_known_elr == (1,)
    # Whoever is back first leads alone, without a mark: it has all that was committed.
    _, back = change(none, {2}, minimum=2)
    assert (back.leader, back.isr, back.eligible_leader_replicas) == (2, (2,), (1,))
    assert (back.leader_recovery_state, back.last_known_elr) == (RECOVERED, ())
    # At the minimum again nobody else is eligible any more.
    _, full = change(back, {1, 2}, minimum=2, isr=[2, 3])
    assert full.eligible_leader_replicas == ()


def test_replica_three_is_not_eligible_because_the_mark_moved_without_it():
    old = partition([1, 2, 3], [1, 2], 1)
    _, after = change(old, {1, 2, 3}, minimum=2, isr=[1])
    assert after.eligible_leader_replicas == (2,)


def test_the_minimum_is_capped_by_the_replicas():
    _, after = change(partition([1], [1], 1), set(), minimum=2, isr=[])
    assert (after.isr, after.eligible_leader_replicas) == ((), (1,))
    _, after = change(partition([1, 2], [1, 2], 1), {1}, minimum=5, isr=[1])
    assert after.eligible_leader_replicas == (2,)
    _, after = change(after, {1, 2}, minimum=5, isr=[1, 2])
    assert after.eligible_leader_replicas == ()


def test_an_unclean_stop_ends_eligibility():
    old = partition([1, 2], [1], 1, eligible_leader_replicas=(2,))
    _, after = change(old, {1}, minimum=2, unclean_shutdown=(2,))
    assert (after.eligible_leader_replicas, after.leader, after.leader_epoch) == ((), 1, 5)


def test_kill_and_restart_of_the_only_replica():
    """The sequence of a single Apache Kafka 4.3 node: fenced, registered without a clean stop, unfenced."""
    _, fenced = change(partition([1], [1], 1), set(), isr=[])
    assert (fenced.isr, fenced.leader, fenced.eligible_leader_replicas) == ((), NO_LEADER, (1,))
    assert fenced.last_known_elr == (1,)
    _, registered = change(fenced, set(), isr=[], unclean_shutdown=(1,))
    assert (registered.eligible_leader_replicas, registered.last_known_elr) == ((), (1,))
    _, led = change(registered, {1})
    assert (led.leader, led.isr, led.leader_recovery_state) == (1, (1,), RECOVERING)
    assert (led.leader_epoch, led.eligible_leader_replicas, led.last_known_elr) == (7, (), ())


def test_the_last_known_leader_waits_for_eligible_replicas():
    old = partition([1, 2], [], NO_LEADER, eligible_leader_replicas=(2,), last_known_elr=(1,))
    assert change(old, {1}, minimum=2)[0] is None
    _, after = change(old, {1, 2}, minimum=2)
    assert (after.leader, after.leader_recovery_state) == (2, RECOVERED)


def test_the_last_known_leader_must_hold_a_replica_and_be_up():
    old = partition([2, 3], [], NO_LEADER, last_known_elr=(1,))
    assert change(old, {1, 2, 3})[0] is None
    assert change(old._replace(last_known_elr=(3,)), {2})[0] is None
    assert change(old._replace(last_known_elr=(2, 3)), {2, 3})[0] is None


def test_the_leader_is_asked_for_once():
    """It stays the one that led last while the partition has no leader."""
    old = partition([1, 2], [], NO_LEADER, last_known_elr=(1,), eligible_leader_replicas=(2,))
    record, after = change(old, set(), minimum=2, unclean_shutdown=(2,))
    assert record.last_known_elr is None
    assert after.last_known_elr == (1,)


# Recovery


def test_the_leader_says_that_it_has_recovered():
    old = partition([1, 2], [1], 1, leader_recovery_state=RECOVERING)
    record, after = change(old, {1, 2}, leader_recovery_state=RECOVERED)
    assert (record.leader, after.leader_recovery_state) == (NO_LEADER_CHANGE, RECOVERED)


def test_a_recovering_partition_is_led_by_another():
    """The mark stays until a leader takes it away."""
    old = partition([1, 2], [1], 1, leader_recovery_state=RECOVERING)
    _, after = change(old, {2}, elr=False, isr=[], election=Election.UNCLEAN)
    assert (after.leader, after.leader_recovery_state) == (2, RECOVERING)


# Reassignment


def begin(old, up, replicas, adding, removing, **options):
    return change(old, up, replicas=replicas, adding=adding, removing=removing, **options)


def test_a_reassignment_ends_when_the_new_replicas_are_in_sync():
    up = {1, 2, 3, 4}
    _, moving = begin(partition([1, 2], [1, 2], 1), up, [3, 4, 1, 2], [3, 4], [1, 2])
    assert (moving.replicas, moving.leader, moving.leader_epoch) == ((3, 4, 1, 2), 1, 5)
    assert [directory[0] for directory in moving.directories] == [3, 4, 1, 2]
    _, half = change(moving, up, isr=[1, 2, 3])
    assert (half.replicas, half.adding_replicas) == ((3, 4, 1, 2), (3, 4))
    _, done = change(half, up, isr=[1, 2, 3, 4])
    assert (done.replicas, done.isr, done.adding_replicas, done.removing_replicas) == ((3, 4), (3, 4), (), ())
    assert (done.leader, done.leader_epoch, done.eligible_leader_replicas) == (3, 6, ())
    assert [directory[0] for directory in done.directories] == [3, 4]


def test_a_new_order_is_done_at_once():
    record, after = change(partition([1, 2], [1, 2], 1), {1, 2}, replicas=[2, 1])
    assert (after.replicas, after.leader, after.leader_epoch, record.isr) == ((2, 1), 1, 5, None)


def test_a_replica_that_is_taken_away_means_a_new_leader_epoch():
    _, after = begin(partition([1, 2, 3], [1, 2, 3], 1), {1, 2, 3}, [1, 2, 3], [], [3])
    assert (after.replicas, after.isr, after.leader, after.leader_epoch) == ((1, 2), (1, 2), 1, 6)
    # Without a leader there is none to bump.
    old = partition([1, 2, 3], [], NO_LEADER, eligible_leader_replicas=(1,), removing_replicas=(3,))
    _, after = change(old, set(), replicas=[1, 2], removing=[], adding=[], minimum=2)
    assert (after.leader, after.leader_epoch, after.last_known_elr) == (NO_LEADER, 5, ())


def test_fewer_replicas_wait_for_all_that_stay():
    old = partition([1, 2, 3], [1, 3], 1)
    _, waiting = begin(old, {1, 2, 3}, [1, 2, 3], [], [3])
    assert (waiting.replicas, waiting.removing_replicas) == ((1, 2, 3), (3,))
    _, done = change(waiting, {1, 2, 3}, isr=[1, 2, 3])
    assert (done.replicas, done.isr) == ((1, 2), (1, 2))


def test_who_is_removed_is_not_eligible():
    old = partition([3, 1, 2], [1, 2], 1, adding_replicas=(3,), removing_replicas=(1, 2))
    _, after = change(old, {1, 2, 3}, minimum=2, isr=[1, 2, 3])
    assert (after.replicas, after.isr, after.eligible_leader_replicas) == ((3,), (3,), ())


# Directories


def test_a_replica_is_told_where_it_is():
    record, after = change(partition([1, 2], [1, 2], 1), {1, 2}, directories={2: b"n" * 16})
    assert (record.leader, after.directories) == (NO_LEADER_CHANGE, (bytes([1]) * 16, b"n" * 16))


def test_a_partition_from_before_directories():
    old = partition([1, 2], [1, 2], 1)._replace(directories=())
    record, after = change(old, {1, 2}, isr=[1])
    assert (record.directories, after.directories) == (None, ())
    _, after = change(old, {1, 2}, replicas=[1, 2, 3], adding=[3])
    assert after.directories == (MIGRATING_DIRECTORY, MIGRATING_DIRECTORY, bytes([3]) * 16)

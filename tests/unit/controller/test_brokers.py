"""Registration, sessions, fencing, controlled shutdown, removal, directories."""

from __future__ import annotations

import pytest

from pybroker.controller.heartbeats import BrokerSessions
from pybroker.metadata.image import NO_LEADER
from pybroker.wire.messages.broker_registration import Feature
from tests.unit.controller.cluster import SESSION_MS, Cluster, directory


@pytest.fixture
def three():
    cluster = Cluster()
    cluster.start(1, 2, 3)
    cluster.topic("t", (1, 2, 3))
    return cluster


def isr_and_leader(cluster):
    partition = cluster.partition()
    return partition.isr, partition.leader


# Registration


def test_the_epoch_is_the_offset_of_the_registration():
    cluster = Cluster()
    answer = cluster.register(1)
    assert answer.broker_epoch == cluster.image.offset
    broker = cluster.image.brokers[1]
    assert (broker.epoch, broker.fenced, broker.cordoned_log_dirs) == (answer.broker_epoch, True, None)


def feature(name, low, high):
    return Feature(name=name, min_supported_version=low, max_supported_version=high)


@pytest.mark.parametrize(
    ("fields", "code"),
    [
        ({"cluster_id": "other"}, 104),
        ({"is_migrating_zk_broker": True}, 102),
        ({"log_dirs": []}, 119),
        ({"log_dirs": [directory(1), directory(1)]}, 119),
        ({"log_dirs": [bytes(15) + b"\x02"]}, 119),
        ({"log_dirs": [directory(2)]}, 119),
        ({"features": []}, 119),
        ({"features": [feature("metadata.version", 7, 29)]}, 35),
        # The finalized features that it does not name are features it does not support.
        ({"features": [feature("metadata.version", 7, 30)]}, 35),
    ],
)
def test_refused_registrations(fields, code):
    cluster = Cluster()
    cluster.start(2)
    before = cluster.image
    answer = cluster.register(1, **fields)
    assert (answer.error_code, answer.broker_epoch) == (code, -1)
    assert cluster.image is before


def test_one_incarnation_at_a_time(three):
    assert three.register(1, incarnation=2).error_code == 101
    # The same one may say something new about itself, and stays what it is.
    epoch = three.image.brokers[1].epoch
    answer = three.register(1, rack="r")
    assert (answer.error_code, answer.broker_epoch) == (0, epoch)
    assert (three.image.brokers[1].rack, three.image.brokers[1].fenced) == ("r", False)
    three.pass_time(SESSION_MS + 2000, 2, 3)
    assert three.image.brokers[1].fenced
    assert three.register(1, incarnation=2).error_code == 0


def test_after_a_failover_everybody_has_a_full_session(three):
    three.pass_time(SESSION_MS - 1000, 2, 3)
    three.fail_over()
    assert three.register(1, incarnation=2).error_code == 101
    three.pass_time(SESSION_MS - 1000, 2, 3)
    assert not three.image.brokers[1].fenced
    three.pass_time(3000, 2, 3)
    assert three.image.brokers[1].fenced


@pytest.mark.parametrize(("clean", "eligible"), [(True, (2,)), (False, ())])
def test_an_unclean_restart_ends_eligibility(three, clean, eligible):
    assert three.alter_isr([1, 2]) == 0
    epoch = three.image.brokers[2].epoch
    three.pass_time(SESSION_MS + 2000, 1, 3)
    assert isr_and_leader(three) == ((1,), 1)
    assert three.partition().eligible_leader_replicas == (2,)
    three.register(2, incarnation=2, previous_broker_epoch=epoch if clean else -1)
    assert three.partition().eligible_leader_replicas == eligible


def test_old_requests_cannot_tell_a_clean_stop(three):
    assert three.alter_isr([1, 2]) == 0
    epoch = three.image.brokers[2].epoch
    three.pass_time(SESSION_MS + 2000, 1, 3)
    three.register(2, incarnation=2, version=2, previous_broker_epoch=epoch)
    assert three.partition().eligible_leader_replicas == ()


def test_a_new_incarnation_leaves_before_it_may_lead(three):
    """Its session was not known to be over, and it was still in sync."""
    three.control.sessions.end(1)
    three.register(1, incarnation=2)
    assert isr_and_leader(three) == ((2, 3), 2)
    assert three.image.brokers[1].fenced


def test_without_elr_the_only_member_stays_listed():
    cluster = Cluster(elr=False)
    cluster.start(1)
    cluster.topic("t", (1,))
    cluster.pass_time(SESSION_MS + 2000)
    assert isr_and_leader(cluster) == ((1,), NO_LEADER)
    cluster.register(1, incarnation=2)
    assert isr_and_leader(cluster) == ((1,), NO_LEADER)
    cluster.heartbeat(1)
    assert isr_and_leader(cluster) == ((1,), 1)


def test_the_only_node_after_a_kill():
    """The records of Apache Kafka 4.3 (ELR, last known leader, recovery mark; leader epoch + 2)."""
    cluster = Cluster(minimum=1)
    cluster.start(1)
    cluster.topic("t", (1,))
    cluster.pass_time(SESSION_MS + 2000)
    partition = cluster.partition()
    assert (partition.isr, partition.leader, partition.eligible_leader_replicas) == ((), NO_LEADER, (1,))
    cluster.start(1, incarnation=2)
    partition = cluster.partition()
    assert (partition.isr, partition.leader, partition.leader_recovery_state) == ((1,), 1, 1)
    assert (partition.leader_epoch, partition.eligible_leader_replicas, partition.last_known_elr) == (
        2,
        (),
        (),
    )


# Heartbeats


def test_unfenced_when_caught_up():
    cluster = Cluster()
    epoch = cluster.register(1).broker_epoch
    answer = cluster.heartbeat(1, offset=epoch - 1)
    assert (answer.is_caught_up, answer.is_fenced) == (False, True)
    answer = cluster.heartbeat(1, offset=epoch, want_fence=True)
    assert (answer.is_caught_up, answer.is_fenced) == (True, True)
    answer = cluster.heartbeat(1, offset=epoch)
    assert (answer.is_caught_up, answer.is_fenced, answer.should_shut_down) == (True, False, False)
    assert not cluster.image.brokers[1].fenced


def test_stale_epochs(three):
    assert three.heartbeat(1, epoch=0).error_code == 77
    three.unregister(1)
    assert three.heartbeat(1, epoch=0).error_code == 77


def test_fenced_when_it_asks(three):
    assert three.heartbeat(1, want_fence=True).is_fenced
    assert isr_and_leader(three) == ((2, 3), 2)
    # And again: nothing is written.
    before = three.image
    assert three.heartbeat(1, want_fence=True).is_fenced
    assert three.image is before


def test_two_sessions_end_at_once(three):
    three.pass_time(SESSION_MS + 2000, 3)
    assert isr_and_leader(three) == ((3,), 3)
    assert [three.image.brokers[number].fenced for number in (1, 2, 3)] == [True, True, False]
    assert three.partition().eligible_leader_replicas in ((1,), (2,))


def test_everybody_goes_and_one_comes_back(three):
    three.pass_time(SESSION_MS + 2000)
    partition = three.partition()
    assert (partition.isr, partition.leader) == ((), NO_LEADER)
    back = partition.eligible_leader_replicas[0]
    assert not three.heartbeat(back).is_fenced
    assert isr_and_leader(three) == ((back,), back)


def test_a_stall_of_the_controller_fences_nobody(three):
    three.pass_time(2000, 1, 2, 3)
    three.clock.advance(60_000)
    three.tick()
    assert not any(broker.fenced for broker in three.image.brokers.values())
    three.pass_time(SESSION_MS, 1, 2)
    assert [three.image.brokers[number].fenced for number in (1, 2, 3)] == [False, False, True]


def test_a_session_is_checked_when_it_ends(three):
    three.pass_time(SESSION_MS - 1000, 1, 2)
    # 3 was heard of at its start only.
    three.clock.advance(1000)
    three.tick()
    assert not three.image.brokers[3].fenced
    assert three.control.next_due_ms == three.clock.monotonic_ms() + 1
    three.clock.advance(1)
    three.tick()
    assert three.image.brokers[3].fenced


def test_brokers_are_fenced_one_at_a_time(three):
    for _ in range(3):
        three.clock.advance(SESSION_MS / 3)
        three.tick()
    three.clock.advance(1)
    for fenced in (1, 2, 3):
        assert three.control.next_due_ms <= three.clock.monotonic_ms()
        three.tick()
        assert sum(broker.fenced for broker in three.image.brokers.values()) == fenced
    assert three.control.next_due_ms > three.clock.monotonic_ms()


def test_the_broker_of_this_process_does_not_expire():
    cluster = Cluster(local=1)
    cluster.start(1, 2)
    cluster.pass_time(SESSION_MS * 2)
    assert [cluster.image.brokers[number].fenced for number in (1, 2)] == [False, True]


def test_sessions_of_other_epochs():
    sessions = BrokerSessions(1000)
    sessions.touch(1, 5, 0)
    assert sessions.is_valid(1, 5, 1000)
    assert not sessions.is_valid(1, 5, 1001)
    assert not sessions.is_valid(1, 4, 10)
    sessions.touch(1, 6, 500)
    assert not sessions.is_valid(1, 5, 600)
    assert sessions.controlled_shutdown_offset(1) is None


# Controlled shutdown


def test_controlled_shutdown_moves_the_leaders_first(three):
    three.topic("u", (1, 2))
    answer = three.heartbeat(1, want_shut_down=True)
    assert (answer.should_shut_down, answer.is_fenced) == (False, False)
    assert three.image.brokers[1].in_controlled_shutdown
    assert isr_and_leader(three) == ((2, 3), 2)
    # The others must have seen it.
    for number in (2, 3):
        three.heartbeat(number, offset=three.image.offset - 1)
    assert not three.heartbeat(1, want_shut_down=True).should_shut_down
    three.heartbeat(2)
    assert not three.heartbeat(1, want_shut_down=True).should_shut_down
    three.heartbeat(3)
    answer = three.heartbeat(1, want_shut_down=True)
    assert (answer.should_shut_down, answer.is_fenced) == (True, True)
    assert three.image.brokers[1].fenced


def test_a_follower_may_stop_at_once(three):
    answer = three.heartbeat(3, want_shut_down=True)
    assert (answer.should_shut_down, answer.is_fenced) == (True, True)
    assert isr_and_leader(three) == ((1, 2), 1)


def test_a_fenced_broker_may_stop_at_once(three):
    three.heartbeat(1, want_fence=True)
    assert three.heartbeat(1, want_shut_down=True).should_shut_down


def test_who_stops_joins_no_isr(three):
    three.heartbeat(2, want_shut_down=True)
    three.heartbeat(1, want_shut_down=True)
    assert isr_and_leader(three) == ((3,), 3)
    assert three.alter_isr([3, 1]) == 107
    assert three.elect(0, 0) == {("t", 0): 80}


def test_controlled_shutdown_goes_on_after_a_failover(three):
    three.heartbeat(1, want_shut_down=True)
    three.fail_over()
    assert three.heartbeat(1, want_shut_down=True).should_shut_down


def test_the_last_leader_is_not_kept(three):
    """There is nobody to take over: the partition loses its leader, and the broker may go."""
    for number in (2, 3):
        three.heartbeat(number, want_shut_down=True)
    three.heartbeat(1, want_shut_down=True)
    partition = three.partition()
    assert (partition.isr, partition.leader) == ((), NO_LEADER)
    assert three.heartbeat(1, want_shut_down=True).should_shut_down
    assert 1 in partition.eligible_leader_replicas
    three.start(1, incarnation=2, previous_broker_epoch=three.image.brokers[1].epoch)
    assert isr_and_leader(three) == ((1,), 1)


# Removal


def test_unregister(three):
    assert three.alter_isr([1, 2]) == 0
    assert three.unregister(9) == 102
    assert three.unregister(1) == 0
    assert sorted(three.image.brokers) == [2, 3]
    assert isr_and_leader(three) == ((2,), 2)
    assert three.partition().eligible_leader_replicas == ()
    assert three.partition().replicas == (1, 2, 3)


# Directories


def test_offline_directories(three):
    other = b"x" * 16
    three.register(1, log_dirs=[directory(1), other])
    three.heartbeat(1, offline_log_dirs=[directory(1)])
    assert three.image.brokers[1].log_dirs == (other,)
    assert isr_and_leader(three) == ((2, 3), 2)
    assert three.elect(0, 0) == {("t", 0): 80}


def test_a_directory_fails_in_the_heartbeat_that_unfences(three):
    three.heartbeat(1, want_fence=True)
    for number in (2, 3):
        three.heartbeat(number, want_fence=True)
    assert three.partition().leader == NO_LEADER
    other = b"x" * 16
    three.register(1, log_dirs=[directory(1), other])
    three.heartbeat(1, offline_log_dirs=[directory(1)])
    assert three.partition().leader == NO_LEADER


def test_cordoned_directories(three):
    three.heartbeat(1, cordoned_log_dirs=[])
    assert three.image.brokers[1].cordoned_log_dirs == ()
    before = three.image
    three.heartbeat(1, cordoned_log_dirs=[])
    assert three.image is before
    three.heartbeat(1, cordoned_log_dirs=[directory(1)])
    assert three.image.brokers[1].cordoned_log_dirs == (directory(1),)

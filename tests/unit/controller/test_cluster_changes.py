"""ISR proposals, elections, reassignments, directories of replicas."""

from __future__ import annotations

import pytest

from pybroker.controller import features
from pybroker.controller.alter_partition import alter
from pybroker.controller.directories import assign
from pybroker.controller.elections import MAX_TIMED_ELECTIONS
from pybroker.controller.producer_ids import allocate_for
from pybroker.controller.reassignments import list_ongoing
from pybroker.metadata.features import SUPPORTED_FEATURES
from pybroker.metadata.image import NO_LEADER
from pybroker.wire.messages.allocate_producer_ids import AllocateProducerIdsRequest
from pybroker.wire.messages.alter_partition import AlterPartitionRequest
from pybroker.wire.messages.assign_replicas_to_dirs import (
    AssignReplicasToDirsRequest,
    RequestDirectoryData,
    RequestPartitionData,
    RequestTopicData,
)
from pybroker.wire.messages.broker_registration import Feature
from pybroker.wire.messages.list_partition_reassignments import (
    ListPartitionReassignmentsRequest,
    ListPartitionReassignmentsTopics,
)
from pybroker.wire.messages.update_features import FeatureUpdateKey, UpdateFeaturesRequest
from pybroker.wire.schemas.metadata_records import PartitionChangeRecord
from tests.unit.controller.cluster import SESSION_MS, Cluster, directory


@pytest.fixture
def four():
    cluster = Cluster()
    cluster.start(1, 2, 3, 4)
    cluster.topic("t", (1, 2, 3), (2, 3, 1))
    return cluster


# AlterPartition


def test_isr_shrinks_and_grows(four):
    assert four.alter_isr([1, 2]) == 0
    answer = four.answer.topics[0].partitions[0]
    assert (answer.leader_id, answer.leader_epoch, answer.partition_epoch, answer.isr) == (1, 0, 1, [1, 2])
    assert four.alter_isr([1, 2, 3]) == 0
    assert four.alter_isr([1, 3], version=2) == 0
    assert (four.partition().isr, four.partition().partition_epoch) == ((1, 3), 3)
    # What it is already: no record, and no new epoch.
    assert four.alter_isr([1, 3]) == 0
    assert four.partition().partition_epoch == 3


@pytest.mark.parametrize(
    ("isr", "fields", "code"),
    [
        ([1, 2], {"leader_epoch": 1}, 41),
        ([1, 2], {"partition_epoch": 2}, 41),
        ([1, 2], {"leader_epoch": -1}, 74),
        ([1, 2], {"partition_epoch": 0}, 95),
        ([1, 2], {"sender": 2}, 42),
        ([1, 2], {"broker_epoch": 1}, 77),
        ([1, 2], {"topic_id": b"?" * 16}, 100),
        ([1, 2], {"partition_index": 7}, 3),
        ([1, 2], {"partition_index": -1}, 3),
        ([1, 1], {}, 42),
        ([1, 4], {}, 42),
        ([2, 3], {}, 42),
        ([], {}, 42),
        ([1], {"leader_recovery_state": 1}, 42),
        ([1], {"leader_recovery_state": 7}, 42),
        ([1, (2, 999)], {}, 107),
    ],
)
def test_refused_proposals(four, isr, fields, code):
    assert four.alter_isr([1, 3]) == 0
    before = four.image
    assert four.alter_isr(isr, **fields) == code
    assert four.image is before


def test_who_may_not_join(four):
    assert four.alter_isr([1, 2]) == 0
    four.heartbeat(3, want_fence=True)
    assert four.alter_isr([1, 2, 3]) == 107
    assert four.alter_isr([1, 2, (3, -1)]) == 107
    four.unregister(3)
    assert four.alter_isr([1, 2, (3, -1)]) == 107


def test_any_epoch_of_an_old_request(four):
    assert four.alter_isr([1, 2]) == 0
    assert four.alter_isr([1, 2, (3, -1)]) == 0


def test_the_same_partition_twice_in_one_request(four):
    """The second is stale by the first."""
    assert four.alter_isr([1, 2], times=2) == 95
    assert (four.partition().isr, four.partition().partition_epoch) == ((1, 2), 1)


def test_nothing_asked(four):
    answer = alter(four.image, AlterPartitionRequest(broker_id=9), 3, four.config).response
    assert (answer.error_code, answer.topics) == (0, [])


def test_recovering_ends_with_a_proposal():
    cluster = Cluster(minimum=1)
    cluster.start(1, 2)
    cluster.topic("t", (1, 2))
    assert cluster.alter_isr([1]) == 0
    cluster.pass_time(SESSION_MS + 2000, 2)
    cluster.start(1, incarnation=2)
    assert cluster.partition().leader_recovery_state == 1
    assert cluster.alter_isr([1, 2], leader_recovery_state=1) == 42
    assert cluster.alter_isr([1, 2]) == 0
    assert cluster.partition().leader_recovery_state == 0


# ElectLeaders


def test_elections_that_are_not_needed(four):
    assert four.elect(0, 0, 9) == {("t", 0): 84, ("t", 9): 3}
    assert four.elect(1, 0) == {("t", 0): 84}
    assert four.elect(0, 0, name="?") == {("?", 0): 3}
    assert four.elect(7, 0) == {("t", 0): 42}
    assert four.elect(0) == {}


def test_preferred_election(four):
    four.heartbeat(1, want_fence=True)
    assert four.partition().leader == 2
    assert four.elect(0, 0) == {("t", 0): 80}
    four.heartbeat(1)
    assert four.elect(0, 0) == {("t", 0): 80}
    assert four.alter_isr([2, 3, 1]) == 0
    assert four.elect(0) == {("t", 0): 0}
    assert (four.partition().leader, four.partition().leader_epoch) == (1, 2)


def lose_all_but_one_with_nothing():
    """Broker 3 was out of the ISR long before; 1 and 2 are gone."""
    cluster = Cluster()
    cluster.start(1, 2, 3)
    cluster.topic("t", (1, 2, 3))
    cluster.alter_isr([1, 2])
    for number in (1, 2):
        cluster.heartbeat(number, want_fence=True)
    assert cluster.partition().leader == NO_LEADER
    return cluster


def test_unclean_election_on_demand():
    cluster = lose_all_but_one_with_nothing()
    assert cluster.elect(0, 0) == {("t", 0): 80}
    assert cluster.elect(1, 0) == {("t", 0): 0}
    partition = cluster.partition()
    assert (partition.leader, partition.isr, partition.leader_recovery_state) == (3, (3,), 1)
    cluster = lose_all_but_one_with_nothing()
    cluster.heartbeat(3, want_fence=True)
    assert cluster.elect(1, 0) == {("t", 0): 83}


def test_unclean_elections_by_time():
    cluster = lose_all_but_one_with_nothing()
    cluster.pass_time(301_000, 3)
    assert cluster.partition().leader == NO_LEADER
    cluster.properties["unclean.leader.election.enable"] = "true"
    cluster.fail_over()
    cluster.pass_time(301_000, 3)
    assert cluster.partition().leader == 3


@pytest.mark.parametrize(("value", "leader"), [("true", 3), ("false", NO_LEADER)])
def test_the_topic_says_whether_elections_may_be_unclean(value, leader):
    cluster = Cluster(unclean=value == "false")
    cluster.start(1, 2, 3)
    cluster.topic("t", (1, 2, 3), unclean_leader_election_enable=value)
    cluster.alter_isr([1, 2])
    for number in (1, 2):
        cluster.heartbeat(number, want_fence=True)
    assert cluster.partition().leader == leader


# Balance


def test_leaders_are_balanced_by_time(four):
    four.heartbeat(1, want_fence=True)
    four.heartbeat(1)
    assert four.alter_isr([2, 3, 1]) == 0
    four.pass_time(301_000, 1, 2, 3, 4)
    assert four.partition().leader == 1


def test_no_balance_unless_asked(four):
    four.properties["auto.leader.rebalance.enable"] = "false"
    four.fail_over()
    four.heartbeat(1, want_fence=True)
    four.heartbeat(1)
    assert four.alter_isr([2, 3, 1]) == 0
    four.pass_time(301_000, 1, 2, 3, 4)
    assert four.partition().leader == 2


def test_a_round_of_balance_is_bounded():
    cluster = Cluster()
    cluster.start(1, 2)
    cluster.topic("t", *[(1, 2)] * (MAX_TIMED_ELECTIONS + 10))
    topic_id = cluster.image.topics["t"].topic_id
    cluster.commit(
        [
            PartitionChangeRecord(partition_id=index, topic_id=topic_id, leader=2)
            for index in range(MAX_TIMED_ELECTIONS + 10)
        ]
    )
    cluster.clock.advance(301_000)
    cluster.tick()
    leaders = [partition.leader for partition in cluster.image.topics["t"].partitions]
    assert leaders.count(1) == MAX_TIMED_ELECTIONS
    cluster.tick()
    assert {partition.leader for partition in cluster.image.topics["t"].partitions} == {1}


# Reassignment


def ongoing(cluster, topics=None):
    request = ListPartitionReassignmentsRequest(
        topics=None
        if topics is None
        else [
            ListPartitionReassignmentsTopics(name=name, partition_indexes=indexes) for name, indexes in topics
        ]
    )
    answer = list_ongoing(cluster.image, request).response
    assert (answer.error_code, answer.error_message) == (0, None)
    return [
        (topic.name, p.partition_index, p.replicas, p.adding_replicas, p.removing_replicas)
        for topic in answer.topics
        for p in topic.partitions
    ]


def test_reassignment(four):
    assert four.reassign([4, 3, 2]) == (0, None)
    assert ongoing(four) == [("t", 0, [4, 3, 2, 1], [4], [1])]
    assert ongoing(four, [("t", [0, 1, 8, -1]), ("?", [0])]) == ongoing(four)
    assert ongoing(four, [("t", [1])]) == ongoing(four, []) == []
    assert four.partition().directories == tuple(map(directory, (4, 3, 2, 1)))
    # The same again changes nothing.
    before = four.image
    assert four.reassign([4, 3, 2]) == (0, None)
    assert four.image is before
    # The leader is told to look at the new state: it is not the leader any more.
    assert four.alter_isr([1, 2, 3, 4]) == 108
    partition = four.partition()
    assert (partition.replicas, partition.isr, partition.leader) == ((4, 3, 2), (2, 3, 4), 4)
    assert ongoing(four) == []


def test_cancel(four):
    assert four.reassign(None) == (85, None)
    four.reassign([4, 3, 2])
    assert four.alter_isr([1, 3]) == 0
    assert four.reassign(None) == (0, None)
    partition = four.partition()
    assert (partition.replicas, partition.isr, partition.leader) == ((3, 2, 1), (1, 3), 1)
    assert (partition.adding_replicas, partition.removing_replicas) == ((), ())


def test_cancel_with_only_new_replicas_in_sync():
    cluster = Cluster(elr=False)
    cluster.start(1, 2)
    cluster.topic("t", (1,), unclean_leader_election_enable="false")
    topic_id = cluster.image.topics["t"].topic_id
    cluster.commit(
        [
            PartitionChangeRecord(
                partition_id=0,
                topic_id=topic_id,
                replicas=[2, 1],
                directories=[directory(2), directory(1)],
                isr=[2],
                leader=2,
                adding_replicas=[2],
            )
        ]
    )
    code, message = cluster.reassign(None)
    assert code == 39
    assert "unclean leader election" in message


def test_a_new_target_takes_the_place_of_the_old_one(four):
    four.reassign([4, 1, 2])
    assert four.reassign([4, 1, 2, 3]) == (0, None)
    partition = four.partition()
    assert (partition.replicas, partition.adding_replicas, partition.removing_replicas) == (
        (4, 1, 2, 3),
        (4,),
        (),
    )


@pytest.mark.parametrize(
    ("replicas", "options", "code"),
    [
        ([], {}, 39),
        ([1, 9], {}, 39),
        ([1, 1], {}, 39),
        ([1], {"index": 9}, 3),
        ([1], {"index": -1}, 3),
        ([1], {"name": "?"}, 3),
        ([1, 2], {"may_resize": False}, 38),
        ([1, 2, 4], {"may_resize": False}, 0),
    ],
)
def test_reassignments_that_are_checked(four, replicas, options, code):
    assert four.reassign(replicas, **options)[0] == code


def test_the_size_that_counts_is_that_of_the_end(four):
    four.reassign([4, 3, 2])
    assert four.reassign([1, 2, 4], may_resize=False)[0] == 0
    assert four.reassign([1, 2, 4, 3], may_resize=False) == (
        38,
        "The replication factor is changed from 3 to 4",
    )


def test_fewer_replicas(four):
    assert four.reassign([1, 2]) == (0, None)
    assert (four.partition().replicas, four.partition().leader_epoch) == ((1, 2), 1)


# Directories of replicas


def assigned(cluster, directory_id, *partitions, broker_id=1, epoch=None, topic_id=None):
    request = AssignReplicasToDirsRequest(
        broker_id=broker_id,
        broker_epoch=cluster.image.brokers[broker_id].epoch if epoch is None else epoch,
        directories=[
            RequestDirectoryData(
                id_=directory_id,
                topics=[
                    RequestTopicData(
                        topic_id=topic_id or cluster.image.topics["t"].topic_id,
                        partitions=[RequestPartitionData(partition_index=index) for index in partitions],
                    )
                ],
            )
        ],
    )
    answer = cluster.decide(assign(cluster.image, request, cluster.config))
    if answer.error_code:
        return answer.error_code
    return [p.error_code for p in answer.directories[0].topics[0].partitions]


def test_assigned_directories(four):
    four.topic("u", (2,))
    other = b"o" * 16
    four.register(1, log_dirs=[directory(1), other])
    assert assigned(four, other, 0, 1, 2, -1) == [0, 0, 3, 3]
    assert (four.partition().directories[0], four.partition().leader) == (other, 1)
    assert assigned(four, other, 0, topic_id=b"?" * 16) == [100]
    assert assigned(four, other, 0, topic_id=four.image.topics["u"].topic_id) == [6]
    assert assigned(four, other, 0, epoch=0) == 77


def test_a_replica_in_a_directory_that_is_down(four):
    assert assigned(four, b"?" * 16, 0) == [0]
    assert (four.partition().leader, four.partition().isr) == (2, (2, 3))


def test_reserved_directory_ids(four):
    """0 and 1 say where a replica may be, 2 that it is lost."""
    for reserved in (0, 1):
        assert assigned(four, bytes(15) + bytes([reserved]), 0) == [0]
        assert four.partition().leader == 1
    assert assigned(four, bytes(15) + b"\2", 0) == [0]
    assert (four.partition().leader, four.partition().isr) == (2, (2, 3))


# Producer ids


def test_producer_id_blocks(four):
    def allocate(**fields):
        request = AllocateProducerIdsRequest(
            **{"broker_id": 2, "broker_epoch": four.image.brokers[2].epoch, **fields}
        )
        answer = four.decide(allocate_for(four.image, request))
        return answer.error_code, answer.producer_id_start, answer.producer_id_len

    assert allocate() == (0, 0, 1000)
    assert allocate() == (0, 1000, 1000)
    assert allocate(broker_epoch=1) == (77, 0, 0)
    assert allocate(broker_id=9) == (77, 0, 0)
    four.image = four.image._replace(next_producer_id=(1 << 63) - 500)
    assert allocate() == (-1, 0, 0)


# Features


def test_no_level_that_a_registered_node_lacks():
    def update(image, level):
        request = UpdateFeaturesRequest(
            feature_updates=[
                FeatureUpdateKey(feature="transaction.version", max_version_level=level, upgrade_type=2)
            ]
        )
        answer = features.update(
            image, request, supported=SUPPORTED_FEATURES, node_id=100, min_insync_replicas="1"
        ).response
        return answer.error_code, answer.error_message

    cluster = Cluster()
    ranges = {**SUPPORTED_FEATURES, "transaction.version": (1, 2)}
    cluster.start(1)
    assert update(cluster.image, 0) == (0, None)
    cluster.start(
        2,
        features=[
            Feature(name=name, min_supported_version=low, max_supported_version=high)
            for name, (low, high) in ranges.items()
        ],
    )
    assert update(cluster.image, 1) == (0, None)
    code, message = update(cluster.image, 0)
    assert code == 95
    assert message.endswith("Broker 2 only supports versions 1-2")

"""What clients see of replicas: requests to the brokers of a cluster of three, in one process."""

from __future__ import annotations

import pytest

from pybroker.common.errors import ErrorCode
from pybroker.records.batch import Record, build_batch, iter_records
from pybroker.wire.messages.create_topics import CreatableTopic, CreatableTopicConfig, CreateTopicsRequest
from pybroker.wire.messages.delete_records import (
    DeleteRecordsPartition,
    DeleteRecordsRequest,
    DeleteRecordsTopic,
)
from pybroker.wire.messages.fetch import FetchPartition, FetchRequest, FetchTopic, ReplicaState
from pybroker.wire.messages.list_offsets import ListOffsetsPartition, ListOffsetsRequest, ListOffsetsTopic
from pybroker.wire.messages.produce import PartitionProduceData, ProduceRequest, TopicProduceData
from tests.several_brokers import START_MS, Cluster

RACK_AWARE = "org.apache.kafka.common.replica.RackAwareReplicaSelector"
E = ErrorCode


class World:
    """Topic `t` with one partition on three brokers, each in a rack of its own."""

    def __init__(self, min_isr):
        cluster = self.cluster = Cluster(
            3, **{"replica.selector.class": RACK_AWARE, "replica.lag.time.max.ms": "2000"}
        )
        for number, node in cluster.nodes.items():
            node.properties["broker.rack"] = f"rack{number}"
        cluster.start()
        config = CreatableTopicConfig(name="min.insync.replicas", value=str(min_isr))
        topic = CreatableTopic(name="t", num_partitions=1, replication_factor=3, configs=[config])
        answer = cluster.call(1, CreateTopicsRequest(topics=[topic], timeout=10_000), 7)
        assert answer.topics[0].error_code == E.NONE
        self.topic_id = answer.topics[0].topic_id
        cluster.run(10_000, lambda: all(len(self.state(n).isr) == 3 for n in cluster.nodes))
        self.leader = self.state(1).leader
        cluster.run(
            10_000,
            lambda: all(
                (p := self.partition(n)) is not None and (p.is_leader or p.is_follower) for n in cluster.nodes
            ),
        )
        # One that neither leads nor is the active controller.
        self.follower = next(n for n in cluster.nodes if n not in (self.leader, cluster.active.number))

    def state(self, number):
        return self.cluster.nodes[number].image.topics["t"].partitions[0]

    def partition(self, number):
        local = self.cluster.nodes[number].broker._context.topics.get("t")
        return local.partitions[0] if local is not None and local.partitions else None

    def produce(self, value, *, acks=-1, to=None, timeout_ms=5000):
        batch = build_batch([Record(0, START_MS, None, value)])
        data = PartitionProduceData(index=0, records=batch)
        message = ProduceRequest(
            acks=acks,
            timeout=timeout_ms,
            topic_data=[TopicProduceData(name="t", partition_data=[data])],
        )
        reply = self.cluster.call(to or self.leader, message, 12)
        return reply.responses[0].partition_responses[0]

    def fetch(self, to, offset, *, rack="", replica=None, epoch=-1, version=17, max_wait=0):
        asked = FetchPartition(
            partition=0, fetch_offset=offset, partition_max_bytes=10_000, current_leader_epoch=epoch
        )
        message = FetchRequest(
            max_wait=max_wait,
            max_bytes=100_000,
            rack_id=rack,
            topics=[FetchTopic(topic="t", topic_id=self.topic_id, partitions=[asked])],
        )
        if replica is not None:
            message.replica_state = ReplicaState(replica_id=replica, replica_epoch=-1)
        reply = self.cluster.call(to, message, version)
        return reply.responses[0].partitions[0]

    def delete(self, offset, timeout_ms):
        asked = DeleteRecordsPartition(partition_index=0, offset=offset)
        message = DeleteRecordsRequest(
            topics=[DeleteRecordsTopic(name="t", partitions=[asked])], timeout=timeout_ms
        )
        return self.cluster.call(self.leader, message, 2).topics[0].partitions[0]

    def list_offset(self, timestamp, replica=-1, version=9):
        asked = ListOffsetsPartition(partition_index=0, timestamp=timestamp)
        message = ListOffsetsRequest(
            replica_id=replica, topics=[ListOffsetsTopic(name="t", partitions=[asked])]
        )
        return self.cluster.call(self.leader, message, version).topics[0].partitions[0]


@pytest.fixture(scope="module")
def world():
    return World(2)


def values(data):
    return [record.value for record in iter_records(data.records)] if data.records else []


def test_acknowledged_by_all_and_read_from_a_follower(world):
    answer = world.produce(b"one")
    offset, end = answer.base_offset, answer.base_offset + 1
    assert answer.error_code == E.NONE
    assert world.partition(world.leader).high_watermark == end
    # Followers learn the high watermark with their next fetch.
    world.cluster.run(2000, lambda: all(world.partition(n).high_watermark == end for n in (1, 2, 3)))
    rack = f"rack{world.follower}"
    told = world.fetch(world.leader, offset, rack=rack)
    assert (told.error_code, told.preferred_read_replica, bytes(told.records)) == (
        E.NONE,
        world.follower,
        b"",
    )
    assert told.high_watermark == end
    assert values(world.fetch(world.follower, offset, rack=rack)) == [b"one"]
    assert values(world.fetch(world.leader, offset, rack=f"rack{world.leader}")) == [b"one"]
    assert values(world.fetch(world.leader, offset, rack="elsewhere")) == [b"one"]
    assert values(world.fetch(world.leader, offset)) == [b"one"]
    assert world.fetch(world.follower, offset, version=10).error_code == E.NOT_LEADER_OR_FOLLOWER
    assert world.fetch(world.follower, end + 1).error_code == E.OFFSET_OUT_OF_RANGE


def test_who_is_no_follower(world):
    epoch = world.state(1).leader_epoch
    assert world.fetch(world.leader, 0, replica=9).error_code == E.NOT_LEADER_OR_FOLLOWER
    assert world.fetch(world.leader, 0, replica=9, epoch=epoch).error_code == E.UNKNOWN_LEADER_EPOCH
    assert world.fetch(world.leader, 0, replica=world.follower, epoch=epoch + 1).error_code == 75
    assert world.fetch(world.follower, 0, replica=9).error_code == E.NOT_LEADER_OR_FOLLOWER
    answer = world.produce(b"x", to=world.follower)
    assert answer.error_code == E.NOT_LEADER_OR_FOLLOWER
    assert (answer.current_leader.leader_id, answer.current_leader.leader_epoch) == (world.leader, epoch)


def test_a_fetch_counts_for_what_comes_after_an_unknown_topic(world):
    partition = world.partition(world.leader)
    follower = partition.replication.followers[world.follower]
    world.cluster.run(5000, lambda: follower.broker_epoch >= 0)
    assert follower.broker_epoch >= 0
    asked = FetchPartition(partition=0, fetch_offset=partition.log_end_offset)
    message = FetchRequest(
        replica_state=ReplicaState(replica_id=world.follower, replica_epoch=-1),
        max_bytes=100_000,
        topics=[
            FetchTopic(topic_id=topic_id, partitions=[asked]) for topic_id in (b"?" * 16, world.topic_id)
        ],
    )
    world.cluster.call(world.leader, message, 17)
    assert follower.broker_epoch == -1


def test_records_are_deleted_on_all_replicas(world):
    end = world.produce(b"two").base_offset + 1
    answer = world.delete(end, 5000)
    assert (answer.error_code, answer.low_watermark) == (E.NONE, end)
    assert [world.partition(n).log_start_offset for n in (1, 2, 3)] == [end] * 3
    again = world.delete(end, 5000)
    assert (again.error_code, again.low_watermark) == (E.NONE, end)
    more = world.produce(b"three").base_offset + 1
    world.cluster.isolate(world.follower)
    late = world.delete(more, 300)
    assert (late.error_code, late.low_watermark) == (E.REQUEST_TIMED_OUT, end)
    world.cluster.heal()
    world.cluster.run(30_000, lambda: len(world.state(world.leader).isr) == 3)


def test_too_few_replicas_in_sync():
    world = World(3)
    assert world.produce(b"one").error_code == E.NONE
    world.cluster.isolate(world.follower)
    slow = world.produce(b"two", timeout_ms=500)
    assert slow.error_code == E.REQUEST_TIMED_OUT
    assert world.fetch(world.leader, 1).high_watermark == 1
    world.cluster.run(30_000, lambda: len(world.partition(world.leader).replication.isr) == 2)
    assert world.produce(b"three").error_code == E.NOT_ENOUGH_REPLICAS
    assert world.produce(b"four", acks=1).error_code == E.NONE
    # Frozen (KIP-966): what the others have is not committed, for it is below the minimum.
    world.cluster.run(3000)
    assert world.partition(world.leader).high_watermark == 1
    assert world.list_offset(-1).offset == 1
    assert world.list_offset(-1, replica=2).offset == 3
    world.cluster.heal()
    world.cluster.run(60_000, lambda: world.partition(world.leader).high_watermark == 3)
    assert values(world.fetch(world.leader, 1)) == [b"two"]


def test_new_leader_does_not_know_yet():
    world = World(2)
    for value in (b"one", b"two"):
        assert world.produce(value).error_code == E.NONE
    epoch = world.state(world.follower).leader_epoch
    world.cluster.nodes[world.leader].kill()
    old = world.leader
    others = [n for n in (1, 2, 3) if n != old]
    world.cluster.run(60_000, lambda: all(world.state(n).leader not in (old, -1) for n in others))
    world.leader = world.state(others[0]).leader
    world.cluster.run(10_000, lambda: world.partition(world.leader).is_leader)
    assert world.state(world.leader).leader_epoch > epoch
    world.cluster.run(10_000, lambda: world.partition(world.leader).high_watermark == 2)
    assert world.produce(b"three").error_code == E.NONE
    assert world.list_offset(-1).offset == 3
    world.cluster.nodes[old].start()
    world.cluster.run(60_000, lambda: len(world.state(world.leader).isr) == 3)
    assert world.partition(old).log_end_offset == 3
    partition = world.partition(world.leader)
    partition.log.high_watermark = 1
    partition.replication.epoch_start_offset = 2
    assert world.list_offset(-1).error_code == E.OFFSET_NOT_AVAILABLE
    assert world.list_offset(-1, version=4).error_code == E.LEADER_NOT_AVAILABLE
    assert world.list_offset(-2).error_code == E.NONE

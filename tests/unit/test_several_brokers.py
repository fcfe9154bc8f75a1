"""Three whole brokers in one process: what only several of them show. The simulation has the faults."""

from __future__ import annotations

import pytest

from pybroker.common.errors import ErrorCode, InvariantError
from pybroker.lifecycle import BrokerState
from pybroker.log.partition_log import decode_uuid
from pybroker.records.batch import Record, build_batch
from pybroker.wire.messages.add_offsets_to_txn import AddOffsetsToTxnRequest
from pybroker.wire.messages.alter_replica_log_dirs import (
    AlterReplicaLogDir,
    AlterReplicaLogDirsRequest,
    AlterReplicaLogDirTopic,
)
from pybroker.wire.messages.create_topics import CreatableTopic, CreateTopicsRequest
from pybroker.wire.messages.describe_cluster import DescribeClusterRequest
from pybroker.wire.messages.end_txn import EndTxnRequest
from pybroker.wire.messages.fetch import FetchPartition, FetchRequest, FetchTopic
from pybroker.wire.messages.find_coordinator import FindCoordinatorRequest
from pybroker.wire.messages.init_producer_id import InitProducerIdRequest
from pybroker.wire.messages.join_group import JoinGroupRequest, JoinGroupRequestProtocol
from pybroker.wire.messages.list_offsets import (
    ListOffsetsPartition,
    ListOffsetsRequest,
    ListOffsetsTopic,
)
from pybroker.wire.messages.metadata import MetadataRequest, MetadataRequestTopic
from pybroker.wire.messages.offset_commit import (
    OffsetCommitRequest,
    OffsetCommitRequestPartition,
    OffsetCommitRequestTopic,
)
from pybroker.wire.messages.offset_fetch import (
    OffsetFetchRequest,
    OffsetFetchRequestGroup,
    OffsetFetchRequestTopics,
)
from pybroker.wire.messages.produce import PartitionProduceData, ProduceRequest, TopicProduceData
from tests.several_brokers import START_MS, Cluster

NONE = ErrorCode.NONE
FAST = {
    "broker.session.timeout.ms": "1500",
    "broker.heartbeat.interval.ms": "200",
    "controller.quorum.election.timeout.ms": "300",
    "controller.quorum.fetch.timeout.ms": "600",
    "controller.quorum.election.backoff.max.ms": "200",
    "replica.fetch.backoff.ms": "50",
}


@pytest.fixture
def cluster():
    return Cluster(3, **FAST).start()


def create(cluster, name, partitions=3, factor=3, **configs):
    topic = CreatableTopic(name=name, num_partitions=partitions, replication_factor=factor)
    answer = cluster.call(1, CreateTopicsRequest(topics=[topic], timeout=5_000), 7).topics[0]
    assert answer.error_code == NONE, answer.error_message
    cluster.run(5_000, lambda: all(name in node.image.topics for node in cluster.alive))


def partition_of(cluster, topic, index=0):
    newest = max(cluster.alive, key=lambda node: node.image.offset)
    return newest.image.topics[topic].partitions[index]


def led_by(cluster, topic, index=0, without=()):
    """The leader, once every living node knows one."""

    def agreed():
        topics = [node.image.topics.get(topic) for node in cluster.alive]
        leaders = {-1 if known is None else known.partitions[index].leader for known in topics}
        return len(leaders) == 1 and not leaders & {-1, *without}

    cluster.run(20_000, agreed)
    return partition_of(cluster, topic, index).leader


def batch(value, *, producer=(-1, -1), sequence=-1, transactional=False):
    return memoryview(
        bytearray(
            build_batch(
                [Record(0, START_MS, None, value)],
                producer_id=producer[0],
                producer_epoch=producer[1],
                base_sequence=sequence,
                transactional=transactional,
            )
        )
    )


def produce(cluster, number, topic, index, records, *, acks=-1, transactional_id=None, version=12):
    data = PartitionProduceData(index=index, records=records)
    request = ProduceRequest(
        transactional_id=transactional_id,
        acks=acks,
        timeout=10_000,
        topic_data=[TopicProduceData(name=topic, partition_data=[data])],
    )
    answer = cluster.call(number, request, version)
    return answer, answer.responses[0].partition_responses[0]


def offset(cluster, number, topic, index=0, isolation=0):
    asked = ListOffsetsPartition(partition_index=index, timestamp=-1)
    request = ListOffsetsRequest(
        replica_id=-1,
        isolation_level=isolation,
        topics=[ListOffsetsTopic(name=topic, partitions=[asked])],
    )
    found = cluster.call(number, request, 8).topics[0].partitions[0]
    return found.error_code, found.offset


def wait_for_stable(cluster, number, topic, index, wanted):
    """Until the last stable offset is there."""

    def call():
        error, found = offset(cluster, number, topic, index, isolation=1)
        return found, error or (ErrorCode.OFFSET_NOT_AVAILABLE if found < wanted else error)

    assert again(cluster, call, ErrorCode.OFFSET_NOT_AVAILABLE) == wanted


def coordinator(cluster, number, key, key_type=0):
    """The node that coordinates a group or a transactional id, once there is one."""
    for _ in range(100):
        request = FindCoordinatorRequest(key_type=key_type, coordinator_keys=[key])
        (answer,) = cluster.call(number, request, 4).coordinators
        if not answer.error_code and answer.node_id in {node.number for node in cluster.alive}:
            assert answer.host == f"host{answer.node_id}"
            return answer.node_id
        cluster.run(100)
    raise AssertionError(f"no coordinator for {key}")


def again(cluster, call, *errors):
    """The answer of a call that is repeated while it has one of these errors."""
    for _ in range(200):
        answer, error = call()
        if error not in errors:
            return answer
        cluster.run(50)
    raise AssertionError(f"still {error}")


class TestMetadata:
    def test_every_broker_tells_of_all(self, cluster):
        create(cluster, "t")
        for number in (1, 2, 3):
            answer = cluster.call(number, MetadataRequest(topics=None), 12)
            assert [broker.node_id for broker in answer.brokers] == [1, 2, 3]
            assert answer.controller_id == number
            (topic,) = answer.topics
            assert sorted(partition.leader_id for partition in topic.partitions) == [1, 2, 3]
            assert all(sorted(partition.isr_nodes) == [1, 2, 3] for partition in topic.partitions)
            assert not any(partition.offline_replicas for partition in topic.partitions)

    def test_a_dead_broker_is_fenced_and_left_out(self, cluster):
        create(cluster, "t")
        create(cluster, "alone", partitions=3, factor=1)
        cluster.nodes[3].kill()
        cluster.run(20_000, lambda: cluster.nodes[1].image.brokers[3].fenced)
        answer = cluster.call(1, MetadataRequest(topics=None), 12)
        assert [broker.node_id for broker in answer.brokers] == [1, 2]
        topics = {topic.name: topic for topic in answer.topics}
        for partition in topics["t"].partitions:
            assert partition.offline_replicas == [3]
            assert 3 not in partition.isr_nodes
            assert partition.leader_id in (1, 2)
        lost = [p for p in topics["alone"].partitions if p.replica_nodes == [3]]
        assert [(p.error_code, p.leader_id) for p in lost] == [(ErrorCode.LEADER_NOT_AVAILABLE, -1)]
        described = cluster.call(1, DescribeClusterRequest(include_fenced_brokers=True), 2)
        assert [(b.broker_id, b.is_fenced) for b in described.brokers] == [(1, False), (2, False), (3, True)]
        assert len(cluster.call(1, DescribeClusterRequest(), 1).brokers) == 2

    def test_topics_are_made_by_whoever_is_asked(self, cluster):
        for number in (1, 2, 3):
            name = f"auto{number}"
            request = MetadataRequest(topics=[MetadataRequestTopic(name=name)])
            assert cluster.call(number, request, 9).topics[0].error_code == 3
            cluster.run(5_000, lambda name=name: all(name in node.image.topics for node in cluster.alive))
            assert len(partition_of(cluster, name).replicas) == 3


class TestLeaders:
    def test_the_others_point_to_the_leader(self, cluster):
        create(cluster, "t", partitions=1)
        leader = led_by(cluster, "t")
        for number in (1, 2, 3):
            answer, partition = produce(cluster, number, "t", 0, batch(b"x"))
            if number == leader:
                assert partition.error_code == NONE
                assert not answer.node_endpoints
            else:
                assert partition.error_code == ErrorCode.NOT_LEADER_OR_FOLLOWER
                assert partition.current_leader.leader_id == leader
                assert [(n.node_id, n.host) for n in answer.node_endpoints] == [(leader, f"host{leader}")]
                assert offset(cluster, number, "t")[0] == ErrorCode.NOT_LEADER_OR_FOLLOWER
        assert offset(cluster, leader, "t") == (NONE, 1)

    def test_a_broker_without_a_replica_points_to_the_leader(self, cluster):
        create(cluster, "t", partitions=1, factor=1)
        leader = led_by(cluster, "t")
        other = leader % 3 + 1
        answer, partition = produce(cluster, other, "t", 0, batch(b"x"))
        assert partition.error_code == ErrorCode.NOT_LEADER_OR_FOLLOWER
        assert partition.current_leader.leader_id == leader
        topic_id = cluster.nodes[1].image.topics["t"].topic_id
        asked = FetchTopic(topic_id=topic_id, partitions=[FetchPartition(partition=0)])
        answer = cluster.call(other, FetchRequest(max_wait=0, topics=[asked]), 16)
        (found,) = answer.responses[0].partitions
        assert found.error_code == ErrorCode.NOT_LEADER_OR_FOLLOWER
        assert found.current_leader.leader_id == leader
        assert [node.node_id for node in answer.node_endpoints] == [leader]
        _, unknown = produce(cluster, other, "t", 1, batch(b"x"))
        assert unknown.error_code == ErrorCode.UNKNOWN_TOPIC_OR_PARTITION

    def test_what_was_acknowledged_outlives_the_leader(self, cluster):
        create(cluster, "t", partitions=1)
        leader = led_by(cluster, "t")
        for value in range(5):
            assert produce(cluster, leader, "t", 0, batch(b"%d" % value))[1].error_code == NONE
        cluster.nodes[leader].kill()
        second = led_by(cluster, "t", without=(leader,))
        again(cluster, lambda: (None, produce(cluster, second, "t", 0, batch(b"more"))[1].error_code), 6)
        assert offset(cluster, second, "t")[1] >= 6
        cluster.nodes[leader].start()
        cluster.run(20_000, lambda: len(partition_of(cluster, "t").isr) == 3)
        cluster.nodes[second].kill()
        third = led_by(cluster, "t", without=(second,))
        assert again(cluster, lambda: offset(cluster, third, "t")[::-1], ErrorCode.OFFSET_NOT_AVAILABLE) >= 6

    def test_one_that_comes_back_within_its_session_does_not_lead_on(self, cluster):
        """The metadata still name it, but it may have lost the end of its log (found by the simulation)."""
        create(cluster, "t", partitions=1)
        leader = led_by(cluster, "t")
        node = cluster.nodes[leader]
        assert produce(cluster, leader, "t", 0, batch(b"x"))[1].error_code == NONE
        node.kill()
        node.start()
        cluster.run(500)
        assert node.broker._context.quorum.caught_up
        assert node.broker._context.partition("t", 0) is None
        cluster.run(20_000, lambda: node.broker.ready.done)
        assert partition_of(cluster, "t").leader_epoch > 0

    def test_a_controlled_shutdown_leaves_no_gap(self, cluster):
        create(cluster, "t")
        node = cluster.nodes[2]
        stopped = node.broker.begin_shutdown()
        cluster.run(10_000, lambda: stopped.done)
        others = [other for other in cluster.alive if other is not node]
        cluster.run(5_000, lambda: others[0].image.offset == others[1].image.offset)
        for partition in others[0].image.topics["t"].partitions:
            assert partition.leader in (1, 3)
            assert 2 not in partition.isr
        node.broker.stop_cleaning()
        cluster.run()
        node.broker.shutdown()
        node.broker = None
        # It comes back as one that has lost nothing.
        node.start()
        cluster.run(10_000, lambda: node.broker.ready.done)
        assert node.broker._lifecycle.state is BrokerState.RUNNING
        cluster.run(20_000, lambda: all(len(p.isr) == 3 for p in node.image.topics["t"].partitions))


class TestController:
    def test_another_one_takes_over(self, cluster):
        first = cluster.active
        first.kill()
        cluster.run(20_000, lambda: cluster.active is not None)
        assert cluster.active is not first
        create_on = cluster.alive[0].number
        topic = CreatableTopic(name="after", num_partitions=1, replication_factor=2)
        answer = cluster.call(create_on, CreateTopicsRequest(topics=[topic], timeout=5_000), 7)
        assert answer.topics[0].error_code == NONE

    def test_an_isolated_one_is_not_obeyed(self, cluster):
        create(cluster, "t", partitions=1)
        first = cluster.active
        cluster.isolate(first.number)
        others = [node for node in cluster.alive if node is not first]
        cluster.run(20_000, lambda: any(node.broker._context.controller.active for node in others))
        cluster.run(20_000, lambda: others[0].image.brokers[first.number].fenced)
        # It does not even believe in itself any more.
        assert not first.broker._context.controller.active
        cluster.heal()
        cluster.run(20_000, lambda: not others[0].image.brokers[first.number].fenced)
        # A fetch that was lost on its way is waited for: replica.socket.timeout.ms.
        cluster.run(40_000, lambda: len(partition_of(cluster, "t").isr) == 3)

    def test_a_majority_is_needed(self, cluster):
        cluster.nodes[1].kill()
        cluster.nodes[2].kill()
        cluster.run(5_000)
        assert cluster.active is None
        topic = CreatableTopic(name="t", num_partitions=1, replication_factor=1)
        asked = cluster.ask(3, CreateTopicsRequest(topics=[topic], timeout=1_000), 7)
        cluster.run(3_000)
        assert "t" not in cluster.nodes[3].image.topics
        cluster.nodes[1].start()
        cluster.run(20_000, lambda: cluster.active is not None)
        cluster.run(60_000, lambda: bool(asked))

    def test_roles_of_their_own(self):
        """Three controllers without a broker, two brokers without a controller."""
        roles = {1: "controller", 2: "controller", 3: "controller", 4: "broker", 5: "broker"}
        cluster = Cluster(5, roles=roles, **{**FAST, "default.replication.factor": "2"}).start()
        assert cluster.active.number in (1, 2, 3)
        answer = cluster.call(4, MetadataRequest(topics=[MetadataRequestTopic(name="t")]), 9)
        assert [broker.node_id for broker in answer.brokers] == [4, 5]
        cluster.run(5_000, lambda: "t" in cluster.nodes[4].image.topics)
        leader = cluster.nodes[4].image.topics["t"].partitions[0].leader
        assert produce(cluster, leader, "t", 0, batch(b"x"))[1].error_code == NONE
        cluster.active.kill()
        cluster.run(20_000, lambda: cluster.active is not None)
        create_on = CreatableTopic(name="u", num_partitions=1, replication_factor=2)
        answer = cluster.call(5, CreateTopicsRequest(topics=[create_on], timeout=10_000), 7)
        assert answer.topics[0].error_code == NONE

    def test_controllers_tell_of_themselves(self, cluster):
        cluster.run(5_000, lambda: len(cluster.nodes[2].image.controllers) == 3)
        answer = cluster.call(2, DescribeClusterRequest(endpoint_type=2), 2, port=9093)
        told = [(b.broker_id, b.host, b.port) for b in answer.brokers]
        assert told == [(number, f"host{number}", 9093) for number in (1, 2, 3)]
        assert (answer.controller_id, answer.endpoint_type) == (cluster.active.number, 2)
        assert cluster.call(2, DescribeClusterRequest(), 2, port=9093).error_code == 114


class TestDirectories:
    def test_the_controller_is_told_where_replicas_are(self):
        """With two directories the controller cannot know; when one fails its leaders move."""
        cluster = Cluster(3, **FAST, **{"log.dirs": "/a,/b"}).start()
        create(cluster, "t", partitions=6)
        for node in cluster.alive:
            logs = node.broker._context.logs
            ids = {d.path: decode_uuid(d.directory_id) for d in logs.log_directories}

            def told(node=node, logs=logs, ids=ids):
                return all(
                    partition.directories[partition.replicas.index(node.number)]
                    == ids[logs.directory_of("t", index).path]
                    for index, partition in enumerate(node.image.topics["t"].partitions)
                )

            cluster.run(5_000, told)
        node = cluster.nodes[3]
        logs = node.broker._context.logs
        # Not that of the metadata log, which would end the process.
        broken = next(d for d in logs.log_directories if ("__cluster_metadata", 0) not in d.logs)
        lost = {index for index in range(6) if logs.directory_of("t", index) is broken}
        assert lost
        logs._fail_directory(broken)

        def moved():
            partitions = cluster.nodes[1].image.topics["t"].partitions
            return all((3 in partitions[index].isr) is (index not in lost) for index in range(6))

        cluster.run(20_000, moved)
        leaders = [partition.leader for partition in cluster.nodes[1].image.topics["t"].partitions]
        assert all(leaders[index] in (1, 2) for index in lost)
        # The metadata log's directory: this node could only go on with what it knew, and ends.
        with pytest.raises(InvariantError, match="the directory of the metadata log failed"):
            logs._fail_directory(logs.metadata_directory())

    def move(self, cluster, number, topic, path, index=0):
        wanted = AlterReplicaLogDirTopic(name=topic, partitions=[index])
        request = AlterReplicaLogDirsRequest(dirs=[AlterReplicaLogDir(path=path, topics=[wanted])])
        return cluster.call(number, request, 2).results[0].partitions[0].error_code

    def test_a_replica_moves_to_another_directory(self):
        """The leader's and a follower's, while records come; the metadata have the new directories."""
        cluster = Cluster(3, **FAST, **{"log.dirs": "/a,/b"}).start()
        create(cluster, "t", partitions=1)
        leader = led_by(cluster, "t")
        follower = leader % 3 + 1
        ids = {}
        for number in (leader, follower):
            logs = cluster.nodes[number].broker._context.logs
            before = logs.directory_of("t", 0)
            target = next(d for d in logs.log_directories if d is not before)
            ids[number] = decode_uuid(target.directory_id)
            assert produce(cluster, leader, "t", 0, batch(b"x"))[1].error_code == NONE
            assert self.move(cluster, number, "t", target.path) == NONE
            assert produce(cluster, leader, "t", 0, batch(b"y"))[1].error_code == NONE
            cluster.run(10_000, lambda logs=logs, target=target: logs.directory_of("t", 0) is target)

        def told():
            found = partition_of(cluster, "t")
            return all(found.directory_of(number) == ids[number] for number in ids)

        cluster.run(5_000, told)
        assert set(partition_of(cluster, "t").isr) == {1, 2, 3}
        assert produce(cluster, leader, "t", 0, batch(b"z"))[1].error_code == NONE
        ends = {node.broker._context.logs.get("t", 0).log_end_offset for node in cluster.alive}
        assert ends == {5}
        create(cluster, "elsewhere", partitions=1, factor=1)
        other = led_by(cluster, "elsewhere") % 3 + 1
        assert self.move(cluster, other, "elsewhere", "/a") == ErrorCode.REPLICA_NOT_AVAILABLE
        # The next start finds it there.
        cluster.nodes[follower].kill()
        cluster.nodes[follower].start()
        logs = cluster.nodes[follower].broker._context.logs
        cluster.run(20_000, lambda: logs.directory_of("t", 0) is not None)
        assert decode_uuid(logs.directory_of("t", 0).directory_id) == ids[follower]

    def test_moves_that_are_refused(self):
        cluster = Cluster(1, **FAST, **{"log.dirs": "/a,/b,/c", "cordoned.log.dirs": "/c"}).start()
        create(cluster, "t", partitions=1, factor=1)
        assert self.move(cluster, 1, "t", "/d") == ErrorCode.LOG_DIR_NOT_FOUND
        assert self.move(cluster, 1, "t", "/a/") == ErrorCode.LOG_DIR_NOT_FOUND
        assert self.move(cluster, 1, "t", "/c") == ErrorCode.INVALID_REPLICA_ASSIGNMENT
        assert self.move(cluster, 1, "t" * 214, "/a") == ErrorCode.INVALID_TOPIC_EXCEPTION
        assert self.move(cluster, 1, "t" * 213, "/a") == ErrorCode.UNKNOWN_TOPIC_OR_PARTITION
        assert self.move(cluster, 1, "t", "/b", 1) == ErrorCode.UNKNOWN_TOPIC_OR_PARTITION
        # It was said before where these are to be.
        for path in ("/b", "/a"):
            assert self.move(cluster, 1, path[1:], path) == ErrorCode.UNKNOWN_TOPIC_OR_PARTITION
            create(cluster, path[1:], partitions=1, factor=1)
        logs = cluster.nodes[1].broker._context.logs
        assert [logs.directory_of(topic, 0).path for topic in "ba"] == ["/b", "/a"]
        cordoned = decode_uuid(logs.directory_at("/c").directory_id)
        cluster.run(5_000, lambda: cluster.nodes[1].image.brokers[1].cordoned_log_dirs == (cordoned,))
        here = logs.directory_of("t", 0).path
        other = "/a" if here == "/b" else "/b"
        assert self.move(cluster, 1, "t", here) == NONE
        logs.directory_at(other).offline = True
        assert self.move(cluster, 1, "t", other) == ErrorCode.KAFKA_STORAGE_ERROR
        logs.directory_at(other).offline = False
        assert self.move(cluster, 1, "t", other) == NONE
        cluster.run(10_000, lambda: logs.directory_of("t", 0).path == other)


class TestProducerIds:
    def test_no_two_brokers_give_the_same(self, cluster):
        given = []
        for number in (1, 2, 3, 1, 2, 3):
            answer = cluster.call(number, InitProducerIdRequest(transactional_id=None), 4)
            assert answer.error_code == NONE
            given.append(answer.producer_id)
        assert len(set(given)) == 6


class TestGroups:
    def commit(self, cluster, number, value):
        entry = OffsetCommitRequestPartition(partition_index=0, committed_offset=value)
        topic = OffsetCommitRequestTopic(name="t", partitions=[entry])
        answer = cluster.call(number, OffsetCommitRequest(group_id="g", topics=[topic]), 7)
        return answer, answer.topics[0].partitions[0].error_code

    def committed(self, cluster, number):
        topic = OffsetFetchRequestTopics(name="t", partition_indexes=[0])
        group = OffsetFetchRequestGroup(group_id="g", topics=[topic])
        answer = cluster.call(number, OffsetFetchRequest(groups=[group]), 8).groups[0]
        error = answer.error_code
        return (answer.topics[0].partitions[0].committed_offset if not error else None), error

    def test_offsets_move_with_their_coordinator(self, cluster):
        create(cluster, "t", partitions=1)
        first = coordinator(cluster, 1, "g")
        assert len(partition_of(cluster, "__consumer_offsets").replicas) == 3
        busy = (ErrorCode.COORDINATOR_LOAD_IN_PROGRESS, ErrorCode.NOT_COORDINATOR)
        again(cluster, lambda: self.commit(cluster, first, 42), *busy)
        other = first % 3 + 1
        assert self.commit(cluster, other, 43)[1] == ErrorCode.NOT_COORDINATOR
        cluster.nodes[first].kill()
        number = cluster.alive[0].number
        cluster.run(20_000, lambda: cluster.nodes[number].image.brokers[first].fenced)
        second = coordinator(cluster, number, "g")
        assert second != first
        assert again(cluster, lambda: self.committed(cluster, second), *busy) == 42
        again(cluster, lambda: self.commit(cluster, second, 44), *busy)

    def test_parked_joins_are_answered_when_the_coordinator_moves(self, cluster):
        first = coordinator(cluster, 1, "g")
        request = JoinGroupRequest(
            group_id="g",
            session_timeout=10_000,
            rebalance_timeout=10_000,
            protocol_type="consumer",
            protocols=[JoinGroupRequestProtocol(name="range", metadata=b"")],
        )
        for _ in range(50):
            parked = cluster.ask(first, request, 3)
            cluster.run(100)
            if not parked:
                break
        assert not parked
        cluster.nodes[first].broker.begin_shutdown()
        cluster.run(10_000, lambda: bool(parked))
        assert parked[0].error_code == ErrorCode.NOT_COORDINATOR


class TestTransactions:
    BUSY = (
        ErrorCode.COORDINATOR_LOAD_IN_PROGRESS,
        ErrorCode.NOT_COORDINATOR,
        ErrorCode.CONCURRENT_TRANSACTIONS,
        ErrorCode.COORDINATOR_NOT_AVAILABLE,
        ErrorCode.NOT_ENOUGH_REPLICAS,
    )

    def begin(self, cluster, where, key="x"):
        def call():
            answer = cluster.call(
                where, InitProducerIdRequest(transactional_id=key, transaction_timeout=60_000), 5
            )
            return answer, answer.error_code

        answer = again(cluster, call, *self.BUSY)
        assert answer.error_code == NONE
        return answer.producer_id, answer.producer_epoch

    def write(self, cluster, producer, topic, index, sequence, *, version=12):
        leader = led_by(cluster, topic, index)

        def call():
            _, answer = produce(
                cluster,
                leader,
                topic,
                index,
                batch(b"v", producer=producer, sequence=sequence, transactional=True),
                transactional_id="x",
                version=version,
            )
            return answer, answer.error_code

        return again(cluster, call, *self.BUSY)

    def end(self, cluster, where, producer, *, commit):
        def call():
            answer = cluster.call(
                where,
                EndTxnRequest(
                    transactional_id="x",
                    producer_id=producer[0],
                    producer_epoch=producer[1],
                    committed=commit,
                ),
                5,
            )
            return answer, answer.error_code

        answer = again(cluster, call, *self.BUSY)
        assert answer.error_code == NONE
        return answer.producer_id, answer.producer_epoch

    @pytest.mark.parametrize("commit", [True, False])
    def test_markers_reach_all_brokers(self, cluster, commit):
        """Three partitions with three leaders: they are added, verified and ended over the network."""
        create(cluster, "t")
        where = coordinator(cluster, 2, "x", 1)
        producer = self.begin(cluster, where)
        for index in range(3):
            assert self.write(cluster, producer, "t", index, 0).error_code == NONE
            leader = led_by(cluster, "t", index)
            assert offset(cluster, leader, "t", index, isolation=1) == (NONE, 0)
        after = self.end(cluster, where, producer, commit=commit)
        assert after == (producer[0], producer[1] + 1)
        for index in range(3):
            leader = led_by(cluster, "t", index)
            wait_for_stable(cluster, leader, "t", index, 2)

    def test_what_was_not_added_is_refused_by_the_other_broker(self, cluster):
        create(cluster, "t")
        where = coordinator(cluster, 2, "x", 1)
        producer = self.begin(cluster, where)
        index = next(i for i in range(3) if led_by(cluster, "t", i) != where)
        answer = self.write(cluster, producer, "t", index, 0, version=11)
        assert answer.error_code == ErrorCode.TRANSACTION_ABORTABLE

    def test_a_decision_is_carried_out_by_the_next_coordinator(self, cluster):
        create(cluster, "t")
        where = coordinator(cluster, 2, "x", 1)
        producer = self.begin(cluster, where)
        index = next(i for i in range(3) if led_by(cluster, "t", i) != where)
        leader = led_by(cluster, "t", index)
        assert self.write(cluster, producer, "t", index, 0).error_code == NONE
        # The markers cannot leave: the decision is committed, and then its coordinator dies.
        cluster.silent |= {(where, leader)}
        decided = cluster.ask(
            where,
            EndTxnRequest(
                transactional_id="x", producer_id=producer[0], producer_epoch=producer[1], committed=True
            ),
            5,
        )
        cluster.run(1_000)
        assert offset(cluster, leader, "t", index, isolation=1) == (NONE, 0)
        cluster.nodes[where].kill()
        cluster.heal()
        assert decided
        led = led_by(cluster, "t", index, without=(where,))
        wait_for_stable(cluster, led, "t", index, 2)

    def test_offsets_of_a_transaction(self, cluster):
        create(cluster, "t", partitions=1)
        where = coordinator(cluster, 2, "x", 1)
        coordinator(cluster, 2, "g")
        producer = self.begin(cluster, where)

        def call():
            answer = cluster.call(
                where,
                AddOffsetsToTxnRequest(
                    transactional_id="x", producer_id=producer[0], producer_epoch=producer[1], group_id="g"
                ),
                3,
            )
            return answer, answer.error_code

        assert again(cluster, call, *self.BUSY).error_code == NONE
        self.end(cluster, where, producer, commit=True)

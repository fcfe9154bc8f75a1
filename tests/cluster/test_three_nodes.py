"""Three nodes that are brokers and controllers, as real processes: the whole way through in one cluster, because
its start is what costs. What fails tells which step it was.
"""

from __future__ import annotations

import pytest
from confluent_kafka.admin import (
    AdminClient,
    AlterConfigOpType,
    ConfigEntry,
    ConfigResource,
    NewTopic,
    ResourceType,
)

from tests.cluster import workload
from tests.cluster.harness import Cluster
from tests.processes import wait_until
from tests.protocol import raw

TOPIC = "t"
PARTITIONS = 3


@pytest.fixture
def cluster(tmp_path):
    with Cluster(tmp_path) as started:
        started.start()
        yield started


def test_from_the_first_election_to_the_return_of_a_killed_leader(cluster):
    leader, epoch = cluster.await_leader()
    voters = cluster.quorum(cluster.nodes[leader])["current_voters"]
    assert [voter["replica_id"] for voter in voters] == [1, 2, 3]

    every_broker_forwards_to_the_controller(cluster, leader)
    workload.create_topic(cluster.bootstrap, TOPIC, PARTITIONS)
    writer = workload.Writer(cluster.bootstrap, TOPIC, PARTITIONS)
    writer.write(300)
    writer.flush()

    # The active controller, which leads partitions too, is killed while records are on their way.
    writer.write(300)
    cluster.nodes[leader].kill()
    writer.write(300)
    successor, later = cluster.await_leader(other_than=leader)
    assert later > epoch
    writer.flush()
    others = cluster.bootstrap
    leaders = {found[0] for found in workload.assignments(others, TOPIC).values()}
    assert leader not in leaders
    assert workload.read_all(others, TOPIC, PARTITIONS, 900) == writer.acknowledged

    # It comes back, catches up, and the other one that holds everything may go.
    cluster.nodes[leader].start()
    cluster.wait(
        lambda: all(
            isr == [1, 2, 3] for _, _, isr in workload.assignments(cluster.bootstrap, TOPIC).values()
        ),
        "everybody in sync again",
    )
    cluster.nodes[successor].kill()
    cluster.await_leader(other_than=successor)
    assert workload.read_all(cluster.bootstrap, TOPIC, PARTITIONS, 900) == writer.acknowledged
    cluster.nodes[successor].start()
    for node in cluster.nodes.values():
        node.stop()


def every_broker_forwards_to_the_controller(cluster: Cluster, leader: int) -> None:
    """Admin requests to each broker alone, and what each says of the quorum."""
    for node in cluster.nodes.values():
        # This client asks the broker it is given, as older clients ask any.
        answer = raw.call(
            node.bootstrap,
            19,
            7,
            {
                "topics": [{"name": f"by-{node.node_id}", "num_partitions": 1, "replication_factor": 3}],
                "timeout": 10_000,
            },
        )
        assert [topic["error_code"] for topic in answer["topics"]] == [0], cluster.logs()
        request = {"topics": [{"topic_name": "__cluster_metadata", "partitions": [{"partition_index": 0}]}]}
        quorum = raw.call(node.bootstrap, 55, 2, request)
        assert quorum["topics"][0]["partitions"][0]["leader_id"] == leader
    admin = AdminClient({"bootstrap.servers": cluster.bootstrap})
    # Each broker judges its own settings.
    name, value = "log.cleaner.threads", "2"

    def setting(broker_id: int) -> str | None:
        resource = ConfigResource(ResourceType.BROKER, str(broker_id))
        found: str | None = admin.describe_configs([resource])[resource].result(30)[name].value
        return found

    for broker_id in cluster.nodes:
        entry = ConfigEntry(name, value, incremental_operation=AlterConfigOpType.SET)
        resource = ConfigResource(ResourceType.BROKER, str(broker_id), incremental_configs=[entry])
        admin.incremental_alter_configs([resource])[resource].result(30)
    # The controller has answered; the brokers hear of it with their next fetch of the metadata.
    wait_until(
        lambda: {setting(broker_id) for broker_id in cluster.nodes} == {value}, f"{name} of all brokers"
    )
    created = admin.create_topics([NewTopic("by-1", 1, 3)])["by-1"]
    with pytest.raises(Exception, match="already exists"):
        created.result(30)

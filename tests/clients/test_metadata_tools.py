"""Apache Kafka's tools on the metadata of three nodes: kafka-dump-log and the metadata shell read the log and the
snapshot of each node, after elections, changes of voters, topics, configurations, reassignments and fencings.

The cluster is one of `tests/several_brokers.py`; only the tools cost something.
"""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import pytest

from pybroker.common.errors import ErrorCode
from pybroker.wire.messages import add_raft_voter, remove_raft_voter
from pybroker.wire.messages import alter_partition_reassignments as reassignments
from pybroker.wire.messages import incremental_alter_configs as configs
from pybroker.wire.messages.create_topics import CreatableTopic, CreateTopicsRequest
from pybroker.wire.messages.delete_topics import DeleteTopicsRequest, DeleteTopicState
from pybroker.wire.messages.init_producer_id import InitProducerIdRequest
from tests.processes import KafkaTools
from tests.several_brokers import CONTROLLER_PORT, Cluster, Node

pytestmark = [pytest.mark.interop, pytest.mark.slow]
METADATA = "/data/__cluster_metadata-0"
FAST = {
    "broker.session.timeout.ms": "1500",
    "broker.heartbeat.interval.ms": "200",
    "controller.quorum.election.timeout.ms": "300",
    "controller.quorum.fetch.timeout.ms": "600",
}


def change_everything(cluster: Cluster) -> None:
    """One record of most kinds, over three leaders of the quorum."""

    def create(name: str, **arguments: Any) -> None:
        topic = CreatableTopic(name=name, num_partitions=3, replication_factor=2, **arguments)
        request = CreateTopicsRequest(topics=[topic], timeout=10_000)
        answer = cluster.call(cluster.alive[0].number, request, 7)
        assert answer.topics[0].error_code == 0, answer.topics[0].error_message

    def new_leader() -> None:
        """Its leader is killed, and comes back when another one leads."""
        old = cluster.active
        assert old is not None
        old.kill()
        cluster.run(20_000, lambda: cluster.active is not None)
        create(f"while-{old.number}-is-away")
        old.start()
        cluster.run(20_000, lambda: bool(old.broker.ready.done))

    create("kept")
    create("gone")
    cluster.call(1, DeleteTopicsRequest(topics=[DeleteTopicState(name="gone")], timeout=10_000), 6)
    retention = configs.AlterableConfig(name="retention.ms", config_operation=0, value="77777")
    resources = [
        configs.AlterConfigsResource(resource_type=2, resource_name="kept", configs=[retention]),
        configs.AlterConfigsResource(
            resource_type=4,
            resource_name="",
            configs=[configs.AlterableConfig(name="log.retention.ms", config_operation=0, value="88888")],
        ),
    ]
    answer = cluster.call(1, configs.IncrementalAlterConfigsRequest(resources=resources), 1)
    assert [found.error_code for found in answer.responses] == [0, 0]
    new_leader()
    kept = cluster.nodes[1].image.topics["kept"].partitions[0].replicas
    target = [number for number in cluster.nodes if number != kept[0]]
    moved = reassignments.ReassignablePartition(partition_index=0, replicas=target)
    answer = cluster.call(
        1,
        reassignments.AlterPartitionReassignmentsRequest(
            topics=[reassignments.ReassignableTopic(name="kept", partitions=[moved])], timeout=10_000
        ),
        0,
    )
    assert answer.responses[0].partitions[0].error_code == 0
    cluster.run(
        20_000,
        lambda: list(cluster.nodes[1].image.topics["kept"].partitions[0].replicas) == target,
    )
    cluster.call(1, InitProducerIdRequest(transactional_id=None, transaction_timeout=60_000), 5)
    change_voters(cluster)
    new_leader()
    create("last")


def change_voters(cluster: Cluster) -> None:
    """Take a voter out that does not lead, and in again."""
    active = cluster.active
    assert active is not None
    node = next(node for node in cluster.nodes.values() if node is not active)
    directory_id = node.broker._context.quorum.node.key.directory_id
    request: Any = remove_raft_voter.RemoveRaftVoterRequest(
        cluster_id=None, voter_id=node.number, voter_directory_id=directory_id
    )
    assert cluster.call(active.number, request, 0, port=CONTROLLER_PORT).error_code == 0
    listener = add_raft_voter.Listener(name="CONTROLLER", host=node.host, port=CONTROLLER_PORT)
    request = add_raft_voter.AddRaftVoterRequest(
        cluster_id=None,
        timeout=5_000,
        voter_id=node.number,
        voter_directory_id=directory_id,
        listeners=[listener],
    )
    answer = cluster.call(active.number, request, 1, port=CONTROLLER_PORT)
    assert answer.error_code == ErrorCode.NONE, answer.error_message


def save(node: Node, directory: Path) -> tuple[Path, Path]:
    """Write a node's metadata as files: its log, and its newest snapshot."""
    directory.mkdir()
    for name in node.files.list_dir(METADATA):
        if name.endswith((".log", ".checkpoint")):
            file = node.files.open(f"{METADATA}/{name}", read_only=True)
            (directory / name).write_bytes(file.pread(file.size(), 0))
    (log,) = directory.glob("*.log")
    return log, max(directory.glob("*.checkpoint"))


def test_the_metadata_of_three_nodes(kafka: KafkaTools, tmp_path: Path) -> None:
    cluster = Cluster(3, dynamic=True, **FAST).start()
    change_everything(cluster)
    for node in cluster.nodes.values():
        node.broker._context.quorum.maybe_snapshot(force=True)
    end = max(node.image.offset for node in cluster.nodes.values())
    cluster.run(5_000, lambda: all(node.image.offset >= end for node in cluster.nodes.values()))
    cluster.run(100)
    files = {number: save(node, tmp_path / str(number)) for number, node in cluster.nodes.items()}

    for number, (log, snapshot) in files.items():
        dumps = []
        for path in (log, snapshot):
            dumps.append(kafka.run("DumpLogSegments", "--cluster-metadata-decoder", "--files", str(path)))
            assert dumps[-1].status == 0, dumps[-1]
            assert "isvalid: false" not in dumps[-1].out
            assert "Exception" not in dumps[-1].out + dumps[-1].err
        # Every record that this code has an image of is there by its name.
        kinds = set(re.findall(r'"type":"(\w+)"', dumps[0].out))
        wanted = (
            "FEATURE_LEVEL REGISTER_BROKER BROKER_REGISTRATION_CHANGE REGISTER_CONTROLLER TOPIC PARTITION"
        )
        wanted += " PARTITION_CHANGE REMOVE_TOPIC CONFIG PRODUCER_IDS"
        assert {f"{name}_RECORD" for name in wanted.split()} <= kinds, number
        assert dumps[0].out.count("LeaderChange") >= 3
        assert dumps[0].out.count("KRaftVoters") >= 3
        assert {"SnapshotHeader", "SnapshotFooter", "KRaftVersion", "KRaftVoters"} <= set(
            re.findall(r"SnapshotHeader|SnapshotFooter|KRaftVersion|KRaftVoters", dumps[1].out)
        )

    # Kafka's own images of the log and of the snapshot agree with ours, and so with each other.
    for number, (log, snapshot) in files.items():
        image = cluster.nodes[number].image
        for path in (log, snapshot):
            shown = kafka.run("Scenario$Shell", str(path), "tree", "/image").check()
            names = set(re.findall(r"(?m)^    ([\w-]+):$", shown.partition("  byName:")[2]))
            assert names == set(image.topics), path
            assert all(f"id={number}," in shown for number in image.brokers)
            assert "77777" in shown
            for topic in image.topics.values():
                for partition in topic.partitions:
                    replicas = ", ".join(map(str, partition.replicas))
                    in_sync = ", ".join(map(str, partition.isr))
                    found = f"replicas=[{replicas}]"
                    assert found in shown
                    assert f"isr=[{in_sync}]" in shown

"""Kafka's tools that move replicas, elect leaders and remove brokers, against four real nodes.

With a JVM and four processes, so only with PYBROKER_NEMESES=1 (`make cluster`).
"""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from confluent_kafka.admin import AdminClient, NewTopic

from tests.cluster import workload
from tests.cluster.harness import Cluster
from tests.processes import KafkaTools
from tests.protocol import raw

pytestmark = [
    pytest.mark.interop,
    pytest.mark.slow,
    pytest.mark.timeout(600),
]
TOPIC = "moved"
RECORDS = 600


@pytest.fixture
def cluster(tmp_path):
    with Cluster(tmp_path, roles=["broker,controller"] * 3 + ["broker"]) as started:
        started.start()
        yield started


def reassignment(tmp_path: Path, name: str, *replica_lists: list[int]) -> str:
    path = tmp_path / f"{name}.json"
    plan = {
        "version": 1,
        "partitions": [
            {"topic": TOPIC, "partition": index, "replicas": replicas}
            for index, replicas in enumerate(replica_lists)
        ],
    }
    path.write_text(json.dumps(plan))
    return str(path)


def test_moves_elections_and_removal(cluster: Cluster, kafka: KafkaTools, tmp_path: Path) -> None:
    before = [[1, 2, 3], [2, 3, 1]]
    topic = NewTopic(TOPIC, num_partitions=2, replica_assignment=before)
    admin = AdminClient({"bootstrap.servers": cluster.bootstrap})
    admin.create_topics([topic])[TOPIC].result(60)
    writer = workload.Writer(cluster.bootstrap, TOPIC, 2)
    writer.write(RECORDS)
    writer.flush()

    def run(tool: str, *arguments: str) -> str:
        return kafka.run(tool, "--bootstrap-server", cluster.bootstrap, *arguments).check()

    def state() -> list[tuple[int, list[int], list[int]]]:
        return [found for _, found in sorted(workload.assignments(cluster.bootstrap, TOPIC).items())]

    # Broker 4 takes the place of the first replica of both partitions.
    wanted = [[4, *replicas[1:]] for replicas in before]
    plan = reassignment(tmp_path, "plan", *wanted)
    started = run("ReassignPartitionsCommand", "--reassignment-json-file", plan, "--execute")
    assert "Successfully started partition reassignments" in started
    cluster.wait(
        lambda: (
            "is still in progress"
            not in run("ReassignPartitionsCommand", "--reassignment-json-file", plan, "--verify")
        ),
        "the end of the reassignment",
    )
    cluster.wait(lambda: [replicas for _, replicas, _ in state()] == wanted, "the new replicas everywhere")
    assert "No partition reassignments found." in run("ReassignPartitionsCommand", "--list")
    writer.write(RECORDS)
    writer.flush()
    assert workload.read_all(cluster.bootstrap, TOPIC, 2, 2 * RECORDS) == writer.acknowledged

    # Kill it: others lead. It comes back in sync, and leads again when it is told to.
    cluster.nodes[4].kill()
    cluster.wait(lambda: all(leader not in (4, -1) for leader, _, _ in state()), "other leaders")
    cluster.nodes[4].start()
    cluster.wait(lambda: all(4 in isr for _, _, isr in state()), "broker 4 in sync")
    elected = run("LeaderElectionCommand", "--election-type", "preferred", "--all-topic-partitions")
    assert "Successfully completed leader election (PREFERRED)" in elected
    cluster.wait(lambda: [leader for leader, _, _ in state()] == [4, 4], "broker 4 leading")
    again = run("LeaderElectionCommand", "--election-type", "preferred", "--topic", TOPIC, "--partition", "0")
    assert "Valid replica already elected for partitions" in again

    # A move to a broker that is down waits, and is cancelled.
    cluster.nodes[4].stop()
    cluster.wait(lambda: all(leader not in (4, -1) for leader, _, _ in state()), "other leaders")
    run(
        "ReassignPartitionsCommand",
        "--reassignment-json-file",
        reassignment(tmp_path, "away", *before),
        "--execute",
    )
    cluster.wait(
        lambda: "No partition reassignments found." in run("ReassignPartitionsCommand", "--list"),
        "the replicas back where they were",
    )
    stuck = reassignment(tmp_path, "stuck", [4, *before[0][1:]])
    # The tool would not begin with a broker that is down.
    move = {"name": TOPIC, "partitions": [{"partition_index": 0, "replicas": [4, *before[0][1:]]}]}
    asked = {"timeout": 30_000, "allow_replication_factor_change": True, "topics": [move]}
    answer = raw.call(cluster.nodes[1].bootstrap, 45, 1, asked)
    assert answer["responses"][0]["partitions"][0]["error_code"] == 0
    assert f"{TOPIC}-0" in run("ReassignPartitionsCommand", "--list")
    cancelled = run(
        "ReassignPartitionsCommand", "--reassignment-json-file", stuck, "--cancel", "--preserve-throttles"
    )
    assert "Successfully cancelled partition reassignment for: moved-0" in cancelled
    assert [sorted(replicas) for _, replicas, _ in state()] == [sorted(replicas) for replicas in before]

    # And it is removed from the cluster for good.
    gone = kafka.run(
        "ClusterTool", "unregister", "--bootstrap-server", cluster.bootstrap, "--id", "4"
    ).check()
    assert "Broker 4 is no longer registered." in gone
    assert workload.read_all(cluster.bootstrap, TOPIC, 2, 2 * RECORDS) == writer.acknowledged

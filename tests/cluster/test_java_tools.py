"""Kafka's tools that move replicas, elect leaders, remove brokers and change features, against real nodes.

With a JVM and four processes, so only with PYBROKER_NEMESES=1 (`make cluster`).
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable
from pathlib import Path

import pytest
from confluent_kafka.admin import AdminClient, NewTopic

from tests.cluster import workload
from tests.cluster.harness import Cluster
from tests.processes import KafkaTools, ToolResult
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


def write_to_topic(cluster: Cluster, replica_lists: list[list[int]]) -> workload.Writer:
    """The topic is made, and has records."""
    topic = NewTopic(TOPIC, num_partitions=2, replica_assignment=replica_lists)
    admin = AdminClient({"bootstrap.servers": cluster.bootstrap})
    admin.create_topics([topic])[TOPIC].result(60)
    writer = workload.Writer(cluster.bootstrap, TOPIC, 2)
    writer.write(RECORDS)
    writer.flush()
    return writer


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
    writer = write_to_topic(cluster, before)

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


def test_replicas_between_directories(
    start_cluster: Callable[..., Cluster], kafka: KafkaTools, tmp_path: Path
) -> None:
    """Within brokers and between them, in one plan; with a throttle, and over a kill -9."""
    place = f"{tmp_path}/cluster0/node{{node}}/data"
    cluster = start_cluster(properties={"log.dirs": f"{place},{place}2"})
    writer = write_to_topic(cluster, [[1, 2], [1, 2]])

    def run(tool: str, *arguments: str) -> str:
        return kafka.run(tool, "--bootstrap-server", cluster.bootstrap, *arguments).check()

    def directory(node: int, second: bool = True) -> str:
        return place.format(node=node) + ("2" if second else "")

    def places() -> dict[tuple[int, int], list[tuple[str, bool]]]:
        """(broker, partition): its directories, and whether they are those of future replicas."""
        out = run("LogDirsCommand", "--describe", "--topic-list", TOPIC)
        found: dict[tuple[int, int], list[tuple[str, bool]]] = {}
        for node in json.loads(out[out.index('{"') :])["brokers"]:
            for described in node["logDirs"]:
                for replica in described["partitions"]:
                    key = node["broker"], int(replica["partition"].rpartition("-")[2])
                    found.setdefault(key, []).append((described["logDir"], replica["isFuture"]))
        return found

    def verified(file: str, *options: str) -> str:
        return run("ReassignPartitionsCommand", "--reassignment-json-file", file, "--verify", *options)

    # Partition 0 to the other directory of both brokers, partition 1 to broker 3 in place of 2.
    before = places()
    other = {node: before[node, 0][0][0] != directory(node) for node in (1, 2)}
    wanted = {(node, 0): [(directory(node, other[node]), False)] for node in (1, 2)}
    wanted |= {(1, 1): before[1, 1], (3, 1): [(directory(3), False)]}
    plan = [
        {
            "topic": TOPIC,
            "partition": 0,
            "replicas": [1, 2],
            "log_dirs": [directory(node, other[node]) for node in (1, 2)],
        },
        {"topic": TOPIC, "partition": 1, "replicas": [1, 3], "log_dirs": ["any", directory(3)]},
    ]
    file = tmp_path / "plan.json"
    file.write_text(json.dumps({"version": 1, "partitions": plan}))
    options = ("--throttle", "50000000", "--replica-alter-log-dirs-throttle", "50000000")
    out = run("ReassignPartitionsCommand", "--reassignment-json-file", str(file), "--execute", *options)
    for node in (1, 2):
        assert f"Successfully started moving log directory to {directory(node, other[node])}" in out
    writer.write(RECORDS)
    writer.flush()
    cluster.wait(
        lambda: "is still in progress" not in verified(str(file), "--preserve-throttles"), "the moves"
    )
    out = verified(str(file))
    assert "Reassignment of partition moved-1 is completed." in out
    for node in (1, 2):
        assert f"Reassignment of replica moved-0-{node} completed successfully." in out
        assert "throttled" not in run("ConfigCommand", "--describe", "--broker", str(node))
    cluster.wait(lambda: places() == wanted, f"{wanted}")
    # A start finds them where they are.
    cluster.nodes[3].kill()
    writer.write(RECORDS)
    cluster.nodes[3].start()
    writer.flush()
    cluster.wait(
        lambda: (
            [isr for _, _, isr in workload.assignments(cluster.bootstrap, TOPIC).values()] == [[1, 2], [1, 3]]
        ),
        "broker 3 in sync",
    )
    assert places() == wanted
    assert workload.read_all(cluster.bootstrap, TOPIC, 2, 3 * RECORDS) == writer.acknowledged


def test_features(start_cluster: Callable[..., Cluster], kafka: KafkaTools) -> None:
    cluster = start_cluster()

    def features(command: str, *options: str, node: int = 1) -> ToolResult:
        bootstrap = cluster.nodes[node].bootstrap
        return kafka.run("FeatureCommand", "--bootstrap-server", bootstrap, command, *options)

    def levels(node: int = 1) -> dict[str, str]:
        out = features("describe", node=node).check()
        return dict(re.findall(r"Feature: (\S+).*FinalizedVersionLevel: (\S+)", out))

    def refused(*arguments: str) -> str:
        result = features(*arguments)
        assert result.status == 1, result
        return result.out + result.err

    assert {levels(node)["transaction.version"] for node in (1, 2, 3)} == {"2"}
    lower = ("--feature", "transaction.version=1", "--feature", "group.version=0")
    out = features("downgrade", *lower).check()
    assert "transaction.version was downgraded to 1." in out
    # With a node down: it is registered, and knows the levels. It learns of them at its start.
    cluster.nodes[3].kill()
    leader, _ = cluster.await_leader()
    higher = ("--feature", "transaction.version=2")
    out = features("upgrade", *higher).check()
    assert "transaction.version was upgraded to 2." in out
    cluster.nodes[3].start()
    cluster.wait(lambda: levels(3) == levels(1), "the levels at node 3")
    assert (levels(3)["transaction.version"], levels(3)["group.version"]) == ("2", "0")

    leader, _ = cluster.await_leader()
    only = f"Local controller {leader} only supports versions"
    assert f"{only} 0-2" in refused("upgrade", "--feature", "transaction.version=3")
    assert "Can't downgrade the version of this feature" in refused(
        "upgrade", "--feature", "transaction.version=1"
    )
    assert "Unsupported metadata.version downgrade from 30 to 25." in refused(
        "downgrade", "--metadata", "4.0"
    )
    unknown = ("--feature", "no.such.version=1", "--feature", "group.version=1")
    assert f"Local controller {leader} does not support this feature." in refused("upgrade", *unknown)
    # All or nothing.
    assert levels(2)["group.version"] == "0"
    # What a controller decided survives its end.
    cluster.nodes[leader].kill()
    node = leader % 3 + 1
    cluster.await_leader(other_than=leader)
    out = features("upgrade", "--feature", "group.version=1", node=node).check()
    assert "group.version was upgraded to 1." in out
    assert (levels(node)["transaction.version"], levels(node)["group.version"]) == ("2", "1")

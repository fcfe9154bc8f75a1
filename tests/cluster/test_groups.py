"""Groups on three nodes, of the classic and of the new protocol, under load, while their coordinators move: the node
that coordinates is killed -9, stopped in order, paused, and members join and die meanwhile.

What must hold: every record is seen in each group, no partition is owned by two members at a time, and the members share
all partitions after each fault. Minutes, so only with PYBROKER_NEMESES=1 (`make cluster`).
"""

from __future__ import annotations

from pathlib import Path

import pytest
from confluent_kafka.admin import AdminClient, NewTopic

from tests.clients import test_group_processes as processes
from tests.clients.test_group_processes import GROUPS, PARTITIONS, Load, Process, member_command
from tests.cluster.harness import Cluster, Node
from tests.cluster.workload import assignments

pytestmark = [pytest.mark.interop, pytest.mark.slow, pytest.mark.timeout(900)]
OFFSETS = "__consumer_offsets"


def kill(cluster: Cluster, node: Node) -> None:
    node.kill()
    moved(cluster, node)
    node.start()


def stop(cluster: Cluster, node: Node) -> None:
    node.stop()
    moved(cluster, node)
    node.start()


def pause(cluster: Cluster, node: Node) -> None:
    node.pause()
    moved(cluster, node)
    node.resume()


def moved(cluster: Cluster, node: Node) -> None:
    """Until the node coordinates nothing."""
    cluster.wait(lambda: node.node_id not in coordinators(cluster), "other coordinators")


def coordinators(cluster: Cluster) -> list[int]:
    return sorted(leader for leader, _, _ in assignments(cluster.bootstrap, OFFSETS).values())


def back(cluster: Cluster) -> None:
    """Until all replicas of the groups' topic are in sync."""
    cluster.wait(
        lambda: all(len(isr) == 3 for _, _, isr in assignments(cluster.bootstrap, OFFSETS).values()),
        "everybody in sync",
        90.0,
    )


@pytest.mark.parametrize("language", ["python", "java"])
def test_coordinators_move(tmp_path: Path, language: str) -> None:
    names = [name for name in GROUPS[language] if name.startswith(("confluent:", "java:"))]
    groups = [name.replace(":", "-") for name in names]
    everybody: list[Process] = []
    with Cluster(tmp_path / "cluster", properties=processes.QUICK) as cluster:
        cluster.start()
        cluster.await_leader()
        bootstrap = cluster.bootstrap
        admin = AdminClient({"bootstrap.servers": bootstrap})
        for made in admin.create_topics([NewTopic(group, PARTITIONS, 3) for group in groups]).values():
            made.result(30)
        command, environment = member_command(language, tmp_path)

        def start(rank: int) -> Process:
            arguments = [bootstrap, f"rank-{rank}", *names]
            everybody.append(Process([*command, *arguments], tmp_path, environment))
            return everybody[-1]

        def goes_on(load: Load, members: list[Process], what: str) -> None:
            """All that was written until now is seen, and the members share the partitions."""
            written = load.count
            cluster.wait(
                lambda: not processes.missing(groups, everybody, written), f"records after {what}", 90.0
            )
            processes.settled(groups, members, what)
            back(cluster)

        load = Load(bootstrap, groups)
        try:
            one, two = start(0), start(1)
            processes.settled(groups, [one, two], "two members")
            back(cluster)
            for fault in (kill, stop, pause):
                for node in cluster.nodes.values():
                    fault(cluster, node)
                    goes_on(load, [one, two], f"{fault.__name__} of node {node.node_id}")
            # A member joins, and another one dies, while a coordinator is away.
            victim = cluster.nodes[coordinators(cluster)[0]]
            victim.kill()
            three = start(2)
            two.kill()
            moved(cluster, victim)
            goes_on_with = [one, three]
            processes.settled(groups, goes_on_with, "another member")
            victim.start()
            goes_on(load, goes_on_with, "the return of the node")
            written = load.stop()
            cluster.wait(lambda: not processes.missing(groups, everybody, written), "every record", 90.0)
            for member in goes_on_with:
                member.close()
            found = [line for group in groups for line in processes.overlaps(everybody, group)]
            assert found == [], cluster.logs()
            print(
                f"{language}: {len(groups)} groups, {written} records each, 10 faults, no partition owned twice"
            )
        finally:
            for process in everybody:
                process.process.kill()
                process.process.wait()
            load.stop()

"""Groups on three nodes, of the classic and of the new protocol, under load, while their coordinators move: the node
that coordinates is killed -9, stopped in order, paused, and members join and die meanwhile.

What must hold: every record is seen in each group, no partition is owned by two members at a time, and the members share
all partitions after each fault. Minutes, so only with PYBROKER_NEMESES=1 (`make cluster`).
"""

from __future__ import annotations

import os
import random
import time
from collections import Counter
from collections.abc import Callable
from pathlib import Path

import pytest
from confluent_kafka.admin import AdminClient, NewTopic

from tests.clients import test_group_processes as processes
from tests.clients.test_group_processes import GROUPS, PARTITIONS, Load, Process, member_command
from tests.cluster.harness import Cluster, Node
from tests.cluster.network import Network
from tests.cluster.workload import assignments

pytestmark = [pytest.mark.interop, pytest.mark.slow, pytest.mark.timeout(900)]
OFFSETS = "__consumer_offsets"
SECONDS = float(os.environ.get("PYBROKER_CLUSTER_GROUPS_SECONDS", "60"))
SEED = int(os.environ.get("PYBROKER_CLUSTER_GROUPS_SEED", "1"))


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


# What cuts do to the node that coordinates most. Clients reach it except where it is unplugged.


def isolate(network: Network, node: int, others: list[int]) -> None:
    network.isolate(node)


def cut_what_it_sends(network: Network, node: int, others: list[int]) -> None:
    for other in others:
        network.cut(node, other)


def cut_what_it_hears(network: Network, node: int, others: list[int]) -> None:
    for other in others:
        network.cut(other, node)


def cut_from_one(network: Network, node: int, others: list[int]) -> None:
    network.partition(node, others[0])


def unplug(network: Network, node: int, others: list[int]) -> None:
    network.unplug(node)


CUTS: list[Callable[[Network, int, list[int]], None]] = [
    isolate,
    cut_what_it_sends,
    cut_what_it_hears,
    cut_from_one,
    unplug,
]


class Groups:
    """A cluster with members in a group for each kind that a language knows, and with load."""

    def __init__(self, directory: Path, language: str, *, network: bool = False) -> None:
        self.names = [name for name in GROUPS[language] if name.startswith(("confluent:", "java:"))]
        self.groups = [name.replace(":", "-") for name in self.names]
        self.directory = directory
        self.everybody: list[Process] = []
        self.command, self.environment = member_command(language, directory)
        if network:
            # librdkafka drops an answer that took longer than two heartbeats, and does not ask again what it is to give
            # back: until this time is over nobody gets it, by default five minutes.
            self.environment = {**self.environment, "GROUP_MEMBER_POLL_INTERVAL_MS": "46000"}
        self.load: Load | None = None
        self.cluster = Cluster(directory / "cluster", properties=processes.QUICK, network=network)

    def __enter__(self) -> Groups:
        self.cluster.start()
        self.cluster.await_leader()
        self.bootstrap = self.cluster.bootstrap
        admin = AdminClient({"bootstrap.servers": self.bootstrap})
        for made in admin.create_topics([NewTopic(group, PARTITIONS, 3) for group in self.groups]).values():
            made.result(30)
        self.load = Load(self.bootstrap, self.groups)
        return self

    def __exit__(self, *_: object) -> None:
        for process in self.everybody:
            process.process.kill()
            process.process.wait()
        if self.load is not None:
            self.load.stop()
        self.cluster.close()

    def start(self, rank: int) -> Process:
        arguments = [self.bootstrap, f"rank-{rank}", *self.names]
        self.everybody.append(Process([*self.command, *arguments], self.directory, self.environment))
        return self.everybody[-1]

    def all_seen(self, written: int, what: str) -> None:
        try:
            self.cluster.wait(lambda: not processes.missing(self.groups, self.everybody, written), what, 90.0)
        except AssertionError as error:
            seen = {
                group: {value for process in self.everybody for value in process.seen.get(group, ())}
                for group in self.groups
            }
            lost = {group: sorted(set(range(written)) - values)[:5] for group, values in seen.items()}
            counts = processes.missing(self.groups, self.everybody, written)
            raise AssertionError(f"of {written} not seen: {counts}, first {lost}\n{error}") from None

    def goes_on(self, members: list[Process], what: str) -> None:
        """All that was written until now is seen, and the members share the partitions."""
        assert self.load is not None
        self.all_seen(self.load.count, f"records after {what}")
        processes.settled(self.groups, members, what)
        back(self.cluster)

    def end(self, members: list[Process]) -> tuple[int, list[str]]:
        """How many records each group has seen, all of them, and what two members owned at a time."""
        assert self.load is not None
        written = self.load.stop()
        self.all_seen(written, "every record")
        for member in members:
            member.close()
        return written, [line for group in self.groups for line in processes.overlaps(self.everybody, group)]


@pytest.mark.parametrize("language", ["python", "java"])
def test_coordinators_move(tmp_path: Path, language: str) -> None:
    with Groups(tmp_path, language) as world:
        cluster, groups = world.cluster, world.groups
        one, two = world.start(0), world.start(1)
        processes.settled(groups, [one, two], "two members")
        back(cluster)
        for fault in (kill, stop, pause):
            for node in cluster.nodes.values():
                fault(cluster, node)
                world.goes_on([one, two], f"{fault.__name__} of node {node.node_id}")
        # A member joins, and another one dies, while a coordinator is away.
        victim = cluster.nodes[coordinators(cluster)[0]]
        victim.kill()
        three = world.start(2)
        two.kill()
        moved(cluster, victim)
        processes.settled(groups, [one, three], "another member")
        victim.start()
        world.goes_on([one, three], "the return of the node")
        written, found = world.end([one, three])
        assert found == [], cluster.logs()
        print(
            f"{language}: {len(groups)} groups, {written} records each, 10 faults, no partition owned twice"
        )


@pytest.mark.timeout(SECONDS + 600)
@pytest.mark.parametrize("language", ["python", "java"])
def test_networks_are_cut(tmp_path: Path, language: str) -> None:
    """For PYBROKER_CLUSTER_GROUPS_SECONDS. Every record is seen: nothing was committed for a member that had not seen it.

    A coordinator that clients still reach and its cluster does not goes on telling its members that all is well, as
    Kafka's does, while another one gives their partitions to others: partitions owned twice are told, not judged.
    """
    rng = random.Random(SEED)
    with Groups(tmp_path, language, network=True) as world:
        cluster, network = world.cluster, world.cluster.network
        assert network is not None
        members = [world.start(0), world.start(1)]
        processes.settled(world.groups, members, "two members")
        back(cluster)
        done: Counter[str] = Counter()
        end = time.monotonic() + SECONDS
        while time.monotonic() < end:
            cut = rng.choice(CUTS)
            found = coordinators(cluster)
            node = max(found, key=found.count)
            others = [other for other in cluster.nodes if other != node]
            rng.shuffle(others)
            cut(network, node, others)
            if rng.random() < 0.5:
                # A member comes for one that dies.
                members.append(world.start(len(world.everybody)))
                members.pop(0).kill()
            time.sleep(rng.choice((2.0, 8.0, 12.0)))
            network.heal()
            world.goes_on(members, f"{cut.__name__} of node {node}")
            done[cut.__name__] += 1
        written, owned_twice = world.end(members)
        print(
            f"{language}: {len(world.groups)} groups, {written} records each, {dict(done)}, "
            f"{len(owned_twice)} times a partition was owned twice"
        )

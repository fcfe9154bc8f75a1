"""What networks, kernels and operators do to three nodes while a producer with acks=all writes: nothing that was
acknowledged is lost, doubled or out of order, and writing goes on.

Minutes, so only with PYBROKER_NEMESES=1 (`make cluster`). Each node is in a network namespace of its own.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable

import pytest
from confluent_kafka import KafkaException
from confluent_kafka.admin import AdminClient

from tests.cluster import workload
from tests.cluster.harness import Cluster

pytestmark = [pytest.mark.slow, pytest.mark.timeout(600)]
TOPIC = "t0"
PARTITIONS = 3
CUT_S = 8.0


class Load:
    """A producer that writes all the time, in a thread of its own."""

    def __init__(self, cluster: Cluster) -> None:
        # All brokers, also those that are away for now.
        self.bootstrap = ",".join(node.bootstrap for node in cluster.nodes.values())
        self.writer = workload.Writer(self.bootstrap, TOPIC, PARTITIONS)
        self._end = threading.Event()
        self._thread = threading.Thread(target=self._run)
        self._thread.start()

    def _run(self) -> None:
        while not self._end.wait(0.02):
            self.writer.write(6)

    @property
    def acknowledged(self) -> int:
        return sum(map(len, self.writer.acknowledged.values()))

    def finish(self) -> dict[int, list[int]]:
        self._end.set()
        self._thread.join()
        self.writer.flush()
        return self.writer.acknowledged


def kill_the_controller(cluster: Cluster) -> None:
    leader, _ = cluster.await_leader()
    cluster.nodes[leader].kill()
    cluster.await_leader(other_than=leader)
    cluster.nodes[leader].start()


def stop_the_controller_in_its_tracks(cluster: Cluster) -> None:
    leader, _ = cluster.await_leader()
    cluster.nodes[leader].pause()
    cluster.await_leader(other_than=leader)
    time.sleep(CUT_S)
    cluster.nodes[leader].resume()


def isolate_the_controller(cluster: Cluster) -> None:
    assert cluster.network is not None
    leader, _ = cluster.await_leader()
    cluster.network.isolate(leader)
    cluster.await_leader(other_than=leader)
    time.sleep(CUT_S)
    cluster.network.heal()


def isolate_a_leader(cluster: Cluster) -> None:
    """It goes on answering clients; without the others in sync it must acknowledge nothing."""
    assert cluster.network is not None
    controller, _ = cluster.await_leader()
    leaders = {found[0] for found in workload.assignments(cluster.bootstrap, TOPIC).values()}
    cluster.network.isolate(next(iter(leaders - {controller}), controller))
    time.sleep(CUT_S)
    cluster.network.heal()


def cut_one_way(cluster: Cluster) -> None:
    """The controller hears the others, and they do not hear it."""
    assert cluster.network is not None
    leader, _ = cluster.await_leader()
    for other in cluster.nodes:
        if other != leader:
            cluster.network.cut(leader, other)
    cluster.await_leader(other_than=leader)
    time.sleep(CUT_S)
    cluster.network.heal()


def cut_between_two(cluster: Cluster) -> None:
    """Two nodes do not reach each other; the third one reaches both."""
    assert cluster.network is not None
    leader, _ = cluster.await_leader()
    other = next(node for node in cluster.nodes if node != leader)
    cluster.network.partition(leader, other)
    time.sleep(CUT_S)
    cluster.network.heal()


def unplug(cluster: Cluster) -> None:
    assert cluster.network is not None
    leader, _ = cluster.await_leader()
    cluster.network.unplug(leader)
    cluster.await_leader(other_than=leader)
    time.sleep(CUT_S)
    cluster.network.heal()


def restart_one_after_the_other(cluster: Cluster) -> None:
    for node in cluster.nodes.values():
        node.stop()
        node.start()
        in_sync(cluster)


def an_empty_disk(cluster: Cluster) -> None:
    leader, _ = cluster.await_leader()
    node = cluster.nodes[leader]
    node.kill()
    cluster.await_leader(other_than=leader)
    node.wipe()
    node.start()


def in_sync(cluster: Cluster, known: str = TOPIC) -> None:
    """Every partition of every topic, also of the internal ones, with all its replicas; `known` is one of them."""

    def done() -> bool:
        try:
            topics = AdminClient({"bootstrap.servers": cluster.bootstrap}).list_topics(timeout=10).topics
        except KafkaException:
            return False
        return known in topics and all(
            len(partition.isrs) == len(cluster.nodes)
            for topic in topics.values()
            for partition in topic.partitions.values()
        )

    cluster.wait(done, "everybody in sync", 90.0)


@pytest.mark.parametrize(
    "nemesis",
    [
        kill_the_controller,
        stop_the_controller_in_its_tracks,
        isolate_the_controller,
        isolate_a_leader,
        cut_one_way,
        cut_between_two,
        unplug,
        restart_one_after_the_other,
        an_empty_disk,
    ],
    ids=lambda nemesis: nemesis.__name__,
)
def test_nothing_acknowledged_is_lost(tmp_path, nemesis: Callable[[Cluster], None]):
    with Cluster(tmp_path, network=True) as cluster:
        cluster.start()
        cluster.await_leader()
        workload.create_topic(cluster.bootstrap, TOPIC, PARTITIONS)
        load = Load(cluster)
        try:
            cluster.wait(lambda: load.acknowledged > 100, "the first records")
            nemesis(cluster)
            in_sync(cluster)
            before = load.acknowledged
            cluster.wait(lambda: load.acknowledged > before + 100, "records after it")
        finally:
            acknowledged = load.finish()
        found = workload.read_all(load.bootstrap, TOPIC, PARTITIONS, sum(map(len, acknowledged.values())))
        assert found == acknowledged, cluster.logs()

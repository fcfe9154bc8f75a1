"""Quorums of other shapes than three combined nodes: a fixed set of voters; controllers and brokers apart."""

from __future__ import annotations

import pytest

from tests.cluster import workload
from tests.cluster.harness import Cluster

pytestmark = pytest.mark.slow


@pytest.mark.parametrize(
    ("roles", "static"),
    [
        (["broker,controller"] * 3, True),
        (["controller"] * 3 + ["broker"] * 3, False),
        (["controller"] * 3 + ["broker"] * 3, True),
    ],
    ids=["static", "apart", "apart-static"],
)
def test_controllers_and_brokers_come_and_go(tmp_path, roles, static):
    with Cluster(tmp_path, roles, static_voters=static) as cluster:
        cluster.start()
        leader, _ = cluster.await_leader()
        workload.create_topic(cluster.bootstrap, "t")
        writer = workload.Writer(cluster.bootstrap, "t")
        writer.write(300)
        writer.flush()
        cluster.nodes[leader].kill()
        cluster.await_leader(other_than=leader)
        workload.create_topic(cluster.bootstrap, "u", replication=2)
        leaders = {found[0] for found in workload.assignments(cluster.bootstrap, "t").values()}
        cluster.nodes[leader].start()
        victim = cluster.nodes[min(leaders)]
        victim.kill()
        writer.write(300)
        writer.flush()
        victim.start()
        found = workload.read_all(cluster.bootstrap, "t", 3, 600)
        assert found == writer.acknowledged
        for node in cluster.nodes.values():
            node.stop()

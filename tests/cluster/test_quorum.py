"""Three controllers that are processes: they elect a leader, and another one when that is gone."""

from __future__ import annotations


def test_a_leader_and_its_successor(start_cluster):
    cluster = start_cluster(roles=["controller"] * 3)
    leader, epoch = cluster.await_leader()
    quorum = cluster.quorum(cluster.nodes[leader])
    assert [voter["replica_id"] for voter in quorum["current_voters"]] == [1, 2, 3]
    cluster.nodes[leader].kill()
    successor, later = cluster.await_leader(other_than=leader)
    assert successor != leader
    assert later > epoch
    cluster.nodes[leader].start()
    cluster.wait(lambda: cluster.leader() is not None, "a leader after the return of the old one")

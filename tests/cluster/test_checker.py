"""The workload of tests/checker on three nodes, with workers on confluent-kafka, the Java client and franz-go, in
transactions and without, while the nemeses of test_nemeses.py strike and clients crash: no anomaly.

Minutes each, so only with PYBROKER_NEMESES=1 (`make cluster`); PYBROKER_CLUSTER_CHECKER_SECONDS is how long each runs,
PYBROKER_CLUSTER_CHECKER_SEED which seed.
"""

from __future__ import annotations

import itertools
import os
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.checker.__main__ import judge
from tests.checker.history import OK
from tests.checker.workload import PROPERTIES, Nemesis, Worker, run
from tests.cluster import test_nemeses as nemeses
from tests.cluster.harness import QUICK, Cluster

SECONDS = float(os.environ.get("PYBROKER_CLUSTER_CHECKER_SECONDS", "40"))
SEED = int(os.environ.get("PYBROKER_CLUSTER_CHECKER_SEED", "1"))
LIBRARIES = ("confluent", "java", "go", "confluent")

pytestmark = [pytest.mark.interop, pytest.mark.slow, pytest.mark.timeout(SECONDS + 500)]


def kill_any(cluster: Cluster) -> None:
    """kill -9 of one node after the other, also of those that lead partitions or coordinate only."""
    node = cluster.nodes[next(_turns) % len(cluster.nodes) + 1]
    node.kill()
    node.start()


_turns = itertools.count()


FAULTS: list[Callable[[Cluster], None]] = [
    kill_any,
    nemeses.kill_the_controller,
    nemeses.stop_the_controller_in_its_tracks,
    nemeses.isolate_the_controller,
    nemeses.isolate_a_leader,
    nemeses.cut_one_way,
    nemeses.cut_between_two,
    nemeses.unplug,
    nemeses.restart_one_after_the_other,
    nemeses.an_empty_disk,
]


class ClusterNemesis(Nemesis):
    """Does one of some faults, again and again, each when everybody is in sync after the one before."""

    def __init__(
        self, cluster: Cluster, faults: list[Callable[[Cluster], None]], workers: list[Worker], seed: int
    ) -> None:
        super().__init__(workers, seed)
        self.cluster = cluster
        self.faults = faults

    def strike(self) -> str:
        fault = self.random.choice(self.faults)
        if fault is nemeses.an_empty_disk and self.done.get(fault.__name__):
            # Who lost its disk is no voter any more: a second one would be half of the voters that are left.
            return self.crash_a_client()
        nemeses.in_sync(self.cluster)
        fault(self.cluster)
        return fault.__name__


@pytest.mark.parametrize("transactional", [True, False], ids=["transactions", "plain"])
@pytest.mark.parametrize(
    "faults",
    # With one voter less there is no quorum without another one: the empty disk stays for itself.
    [*([fault] for fault in FAULTS), FAULTS[:-1]],
    ids=lambda faults: faults[0].__name__ if len(faults) == 1 else "all_of_them",
)
def test_no_anomaly(tmp_path: Path, faults: list[Callable[[Cluster], None]], transactional: bool) -> None:
    properties = {name: value for name, value in PROPERTIES.items() if name not in QUICK}
    with Cluster(tmp_path, properties=properties, network=True) as cluster:
        cluster.start()
        cluster.await_leader()
        outcome = run(
            ",".join(node.bootstrap for node in cluster.nodes.values()),
            lambda workers, seed: ClusterNemesis(cluster, faults, workers, seed),
            SEED,
            SECONDS,
            transactional=transactional,
            libraries=LIBRARIES,
            replication=3,
            directory=tmp_path,
        )
        found = judge(tmp_path, SEED, outcome, transactional=transactional)
        assert found == {}, cluster.logs()
        # A worker that never gets anything done finds nothing either.
        done = [0] * len(LIBRARIES)
        for operation in outcome.history:
            if operation.outcome == OK and not operation.final:
                done[operation.worker] += len(operation.sends)
        assert min(done) >= 5, done

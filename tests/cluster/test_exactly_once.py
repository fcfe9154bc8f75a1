"""The copying applications of tests/exactly_once on three nodes: each kill -9 takes the node that coordinates the
application's transactions, so that they, its group and the leaders move. The output is the input, once.

Minutes, so only with PYBROKER_NEMESES=1 (`make cluster`); PYBROKER_EXACTLY_ONCE_RECORDS as there.
"""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.cluster.harness import Cluster
from tests.cluster.test_nemeses import in_sync
from tests.cluster.workload import assignments
from tests.exactly_once.test_exactly_once import LIMIT_S, copied_once

pytestmark = [pytest.mark.interop, pytest.mark.slow, pytest.mark.timeout(LIMIT_S + 120)]
TRANSACTIONS = "__transaction_state"


@pytest.mark.parametrize("library", ["confluent-kafka", "java"])
def test_the_output_is_the_input_once(tmp_path: Path, library: str) -> None:
    with Cluster(tmp_path / "cluster", properties={"transaction.state.log.num.partitions": "1"}) as cluster:
        cluster.start()
        cluster.await_leader()

        def kill_the_coordinator() -> None:
            in_sync(cluster, "input")
            victim = cluster.nodes[assignments(cluster.bootstrap, TRANSACTIONS)[0][0]]
            victim.kill()
            cluster.wait(
                lambda: assignments(cluster.bootstrap, TRANSACTIONS)[0][0] not in (victim.node_id, -1),
                "another coordinator",
            )
            victim.start()

        print(copied_once(tmp_path, library, cluster.bootstrap, kill_the_coordinator, replication=3))

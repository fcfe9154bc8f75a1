"""How long a cluster of three processes is without a controller, or a partition without a leader, after kill -9.

`python -m tests.cluster.failover --rounds 10` prints p50 and the worst, with Kafka's default timeouts (a session of
9 s) and with those of `harness.QUICK`. Wall time, so only figures of a quiet machine mean anything.
"""

from __future__ import annotations

import argparse
import statistics
import tempfile
import time
from pathlib import Path

from tests.cluster import workload
from tests.cluster.harness import QUICK, Cluster
from tests.cluster.test_nemeses import TOPIC, in_sync

DEFAULTS = {
    "broker.session.timeout.ms": "9000",
    "broker.heartbeat.interval.ms": "2000",
    "controller.quorum.election.timeout.ms": "1000",
    "controller.quorum.fetch.timeout.ms": "2000",
}


def controller(cluster: Cluster) -> float:
    """Seconds until another controller answers."""
    leader, _ = cluster.await_leader()
    start = time.monotonic()
    cluster.nodes[leader].kill()
    cluster.await_leader(other_than=leader)
    seconds = time.monotonic() - start
    cluster.nodes[leader].start()
    return seconds


def partition(cluster: Cluster) -> float:
    """Seconds until a record of a partition whose leader was killed is acknowledged by all in sync."""
    active, _ = cluster.await_leader()
    found = workload.assignments(cluster.bootstrap, TOPIC)
    # Without the controller: that is the other figure.
    index, victim = next((index, of[0]) for index, of in found.items() if of[0] != active)
    bootstrap = ",".join(node.bootstrap for node in cluster.nodes.values())
    writer = workload.Writer(bootstrap, TOPIC, 3)
    writer.write(3)
    writer.flush()
    start = time.monotonic()
    cluster.nodes[victim].kill()
    before = len(writer.acknowledged[index])
    writer.write(3)
    writer.flush()
    seconds = time.monotonic() - start
    assert len(writer.acknowledged[index]) == before + 1
    cluster.nodes[victim].start()
    return seconds


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rounds", type=int, default=5)
    arguments = parser.parse_args()
    for name, properties in (("defaults", DEFAULTS), ("quick", QUICK)):
        with (
            tempfile.TemporaryDirectory() as directory,
            Cluster(Path(directory), properties=properties) as cluster,
        ):
            cluster.start()
            cluster.await_leader()
            workload.create_topic(cluster.bootstrap, TOPIC)
            for what in (controller, partition):
                seconds = []
                for _ in range(arguments.rounds):
                    in_sync(cluster)
                    seconds.append(what(cluster))
                print(
                    f"{name:8} {what.__name__:10} rounds {len(seconds)} "
                    f"p50 {statistics.median(seconds):.2f} s, worst {max(seconds):.2f} s",
                    flush=True,
                )


if __name__ == "__main__":
    main()

"""`metadata.log.dir`: the metadata log in a directory that holds nothing else."""

from __future__ import annotations

import re
from collections.abc import Callable
from pathlib import Path

from tests.processes import Server, wait_until
from tests.protocol import raw
from tests.protocol.raw import DESCRIBE_LOG_DIRS, Connection


def ids(directory: Path) -> dict[str, str]:
    return dict(re.findall(r"(?m)^([\w.]+)=(.*)$", (directory / "meta.properties").read_text()))


def end_offset(connection: Connection, topic: str) -> int:
    """-1 while the partition has no leader after the start."""
    partition = {"partition_index": 0, "current_leader_epoch": -1, "timestamp": -1}
    values = {"replica_id": -1, "isolation_level": 0, "topics": [{"name": topic, "partitions": [partition]}]}
    return int(connection.call(raw.LIST_OFFSETS, 5, values)["topics"][0]["partitions"][0]["offset"])


def test_metadata_log_in_a_directory_of_its_own(start_broker: Callable[..., Server], tmp_path: Path) -> None:
    place = tmp_path / "metadata"
    server = start_broker(**{"metadata.log.dir": str(place)})
    topic, topic_id = raw.create_topic(server.bootstrap, partitions=2)
    assert raw.produce(server.bootstrap, topic, raw.simple_batch())["error_code"] == 0
    for end in (server.kill, server.stop):
        end()
        server.start()
        with Connection(server.bootstrap) as connection:
            wait_until(lambda connection=connection: end_offset(connection, topic) == 1, "the record")
            found = connection.call(raw.METADATA, 12, {"topics": [{"name": topic, "topic_id": bytes(16)}]})[
                "topics"
            ][0]
            assert (found["topic_id"], len(found["partitions"])) == (topic_id, 2)
            answer = connection.call(DESCRIBE_LOG_DIRS, 4, {"topics": None})
            assert [entry["log_dir"] for entry in answer["results"]] == [str(server.log_dir)]
    assert [path.name for path in place.glob("*-0")] == ["__cluster_metadata-0"]
    assert not (server.log_dir / "__cluster_metadata-0").exists()
    assert not list(place.glob("*-stray"))
    own, other = ids(place), ids(server.log_dir)
    assert (own["cluster.id"], own["node.id"]) == (other["cluster.id"], other["node.id"])
    assert own["directory.id"] != other["directory.id"]

"""What FetchSnapshot brings of a metadata snapshot: the same bytes from whoever serves the directory.

In: a running node. Out: the answers to requests for parts of its newest snapshot, those to bad ones included, without what
differs from one leader epoch to the next. Apache Kafka cannot encode its own answer to a request that it refuses (its
records are null) and answers an unknown error, so of these only that there is one is told.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any, NamedTuple

from tests.moves.node import Node
from tests.protocol.raw import ZERO_UUID, Connection

_DESCRIBE_QUORUM, _FETCH_SNAPSHOT = 55, 59
_METADATA = "__cluster_metadata"


class Snapshot(NamedTuple):
    end_offset: int
    epoch: int
    content: bytes


def newest(node: Node) -> Snapshot | None:
    """None when there is none but that of the format."""
    found = sorted((node.log_dir / f"{_METADATA}-0").glob("*.checkpoint"))
    if not found:
        return None
    path: Path = found[-1]
    end_offset, epoch = map(int, path.stem.split("-"))
    return Snapshot(end_offset, epoch, path.read_bytes()) if end_offset else None


def fetched(node: Node, snapshot: Snapshot) -> list[Any]:
    """The answers to requests for it, in order."""
    with Connection(node.controller) as connection:
        described = connection.call(
            _DESCRIBE_QUORUM,
            2,
            {"topics": [{"topic_name": _METADATA, "partitions": [{"partition_index": 0}]}]},
        )
        epoch = described["topics"][0]["partitions"][0]["leader_epoch"]
        size = len(snapshot.content)
        answers = []
        for position in (0, 1, size // 2, size - 1, size, -1, 1 << 40):
            for most in (1 << 20, 100, 1, 0):
                for version in (0, 1):
                    partition: dict[str, Any] = {
                        "partition": 0,
                        "current_leader_epoch": epoch,
                        "snapshot_id": {"end_offset": snapshot.end_offset, "epoch": snapshot.epoch},
                        "position": position,
                    }
                    if version == 1:
                        partition["replica_directory_id"] = ZERO_UUID
                    values = {
                        "cluster_id": None,
                        "replica_id": -1,
                        "max_bytes": most,
                        "topics": [{"name": _METADATA, "partitions": [partition]}],
                    }
                    answers.append(_plain(connection.call(_FETCH_SNAPSHOT, version, values), epoch))
        return answers


def _plain(answer: dict[str, Any], epoch: int) -> Any:
    partitions = [partition for topic in answer["topics"] for partition in topic["partitions"]]
    if answer["error_code"] or any(partition["error_code"] for partition in partitions):
        return "refused"
    for partition in partitions:
        assert partition["current_leader"]["leader_epoch"] in (-1, epoch), answer
        partition["current_leader"]["leader_epoch"] = "<epoch>"
    return answer

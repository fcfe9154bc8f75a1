"""A directory goes from Apache Kafka 4.3 to pybroker and back, stopped and killed, with its clients alive."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.moves import snapshots
from tests.moves.node import KAFKA, PYBROKER, Node
from tests.moves.world import World, assert_same
from tests.processes import KafkaTools

pytestmark = [pytest.mark.interop, pytest.mark.slow, pytest.mark.timeout(400)]


@pytest.mark.parametrize("first", [KAFKA, PYBROKER])
def test_there_and_back_again(tmp_path: Path, kafka: KafkaTools, first: str) -> None:
    """Each broker takes over from the other once after a clean stop and once after kill -9."""
    second = PYBROKER if first == KAFKA else KAFKA
    node = Node(tmp_path / "node")
    try:
        if first == KAFKA:
            node.format()
        node.start(first)
        world = World(node, kafka)
        world.fill()
        if first == KAFKA:
            world.configure_kafka_only()
            kept = world.kafka_only()
        steps = [("clean", second), ("killed", first), ("killed", second), ("clean", first)]
        if first == PYBROKER:
            steps = [("killed", KAFKA), ("clean", PYBROKER)]
        for how, following in steps:
            before = world.picture()
            world.check_content(before)
            snapshot = snapshots.newest(node)
            fetched = snapshots.fetched(node, snapshot) if snapshot is not None else []
            node.end(how)
            node.start(following)
            if snapshot is not None:
                # Of the 56 requests those within the file.
                assert len(fetched) - fetched.count("refused") == 32
                assert snapshots.fetched(node, snapshot) == fetched
            assert_same(before, world.picture())
            if following == KAFKA and first == KAFKA:
                assert world.kafka_only() == kept
            world.go_on()
            world.wait_for_compaction()
        world.check_content(world.picture())
        node.end("clean")
    finally:
        node.kill()

"""An observer of a live Apache Kafka quorum: it mirrors the metadata, byte for byte, from the log and from a
snapshot (cluster.md, section 10, stage a)."""

from __future__ import annotations

import asyncio
import random
from pathlib import Path
from typing import Any

import pytest

from pybroker.common.effects import BlockingCall
from pybroker.common.timers import TimerQueue
from pybroker.controller.metadata_log import open_metadata_log
from pybroker.controller.quorum import MetadataQuorum, QuorumOptions
from pybroker.log.manager import LogManager
from pybroker.raft.snapshot import list_snapshots
from pybroker.runtime.disk import DiskFileSystem
from pybroker.runtime.loop import LoopDriver
from pybroker.runtime.metrics import ServerMetrics
from pybroker.runtime.peers import SocketPeers
from pybroker.runtime.system import SystemClock
from pybroker.wire.client import PeerClient
from pybroker.wire.messages import describe_quorum
from pybroker.wire.messages.create_topics import CreatableTopic, CreatableTopicConfig, CreateTopicsRequest
from pybroker.wire.messages.delete_topics import DeleteTopicsRequest, DeleteTopicState
from pybroker.wire.messages.init_producer_id import InitProducerIdRequest
from tests import facilities
from tests.processes import KafkaProcess, KafkaTools

pytestmark = [pytest.mark.interop, pytest.mark.slow]
DEADLINE_S = 60.0
METADATA = "__cluster_metadata-0"


class Observer:
    """A node that is neither voter nor broker: only the quorum of a broker, in the shell of one."""

    def __init__(self, node_id: int, directory: Path, cluster_id: str, controller: tuple[str, int]) -> None:
        loop = asyncio.get_running_loop()
        self.directory = directory
        self.clock = SystemClock()
        self.timers = TimerQueue()
        self.on_effects: Any = None
        self.run_timers: Any = None
        self.errors: list[BaseException] = []
        self.reports: list[str] = []
        self.changed = asyncio.Event()
        self._calls: list[Any] = []
        rng = random.Random(node_id)
        self.logs = LogManager(DiskFileSystem(), [str(directory)], self.clock, rng, ballast_bytes=0)
        self.logs.open(node_id, cluster_id)
        self.logs.on_work = self._effects_wait
        self.peers = SocketPeers(loop, rng, self.errors.append)
        self.client = PeerClient(self.peers, f"observer-{node_id}")
        self.log = open_metadata_log(self.logs)
        self.quorum = MetadataQuorum(
            QuorumOptions(
                node_id=node_id,
                cluster_id=cluster_id,
                directory_id=bytes([node_id]) * 16,
                bootstrap=(controller,),
            ),
            files=DiskFileSystem(),
            log=self.log,
            clock=self.clock,
            rng=rng,
            timers=self.timers,
            run_blocking=self._run_blocking,
            client=self.client,
            report=self.reports.append,
        )
        self.quorum.on_image(lambda image, delta: self.changed.set())
        self.driver = LoopDriver(
            loop, self.clock, self, ServerMetrics(), on_fatal=self.errors.append, on_full=lambda full: None
        )
        self.quorum.start()
        self.driver.start()

    def _run_blocking(self, *call: Any) -> None:
        self._calls.append(BlockingCall(*call))
        self._effects_wait()

    def _effects_wait(self) -> None:
        if self.on_effects is not None:
            self.on_effects()

    def tick(self, now_ms: float) -> None:
        self.logs.tick(now_ms)
        self.quorum.tick(now_ms)

    def take_effects(self) -> list[Any]:
        effects, self._calls = self._calls, []
        while (flush_round := self.logs.take_flush_round()) is not None:
            effects.append(flush_round)
        return effects

    async def until(self, condition: Any) -> None:
        async with asyncio.timeout(DEADLINE_S):
            while not condition():
                assert not self.errors
                self.changed.clear()
                await self.changed.wait()

    async def ask(self, address: tuple[str, int], message: Any, version: int) -> Any:
        answer: asyncio.Future[Any] = asyncio.get_running_loop().create_future()
        self.client.call("test", address, message, version, 20_000, answer.set_result)
        found = await answer
        assert found is not None
        return found

    def stop(self) -> None:
        self.quorum.close()
        self.driver.stop()
        self.peers.close()
        self.logs.close(clean=True)
        assert self.errors == []
        assert self.reports == []


def log_bytes(directory: Path) -> bytes:
    return b"".join(path.read_bytes() for path in sorted((directory / METADATA).glob("*.log")))


async def mirror(server: KafkaProcess, tmp_path: Path) -> None:
    assert server.data_dir is not None
    properties = (server.data_dir / "meta.properties").read_text()
    cluster_id = next(
        line.partition("=")[2] for line in properties.splitlines() if line.startswith("cluster.id=")
    )
    host, _, port = server.properties["controller.quorum.bootstrap.servers"].rpartition(":")
    controller = (host, int(port))
    broker = (server.host, server.port)
    first = Observer(101, tmp_path / "first", cluster_id, controller)
    await first.until(lambda: first.quorum.caught_up and first.quorum.image.brokers)
    image = first.quorum.image
    assert first.quorum.leader == (1, image.epoch, controller)
    assert image.features["metadata.version"] == 30
    assert image.features["kraft.version"] == 1
    assert list(image.brokers) == list(image.controllers) == [1]
    assert first.log.start_offset == 0

    # What Kafka decides arrives: topics with configurations, partitions, removals, producer ids.
    topics = [
        CreatableTopic(
            name=f"t{number}",
            num_partitions=number % 5 + 1,
            replication_factor=1,
            configs=[CreatableTopicConfig(name="retention.ms", value=str(number + 1))],
        )
        for number in range(150)
    ]
    created = await first.ask(broker, CreateTopicsRequest(topics=topics, timeout=20_000), 7)
    ids = {topic.name: topic.topic_id for topic in created.topics}
    assert all(topic.error_code == 0 for topic in created.topics)
    gone = [DeleteTopicState(name=f"t{number}") for number in range(0, 150, 3)]
    deleted = await first.ask(broker, DeleteTopicsRequest(topics=gone, timeout=20_000), 6)
    assert all(topic.error_code == 0 for topic in deleted.responses)
    left = {name: topic_id for name, topic_id in ids.items() if int(name[1:]) % 3}
    await first.ask(broker, InitProducerIdRequest(transactional_id=None, transaction_timeout=60_000), 5)

    def is_mirrored(observer: Observer) -> bool:
        found = observer.quorum.image.topics
        return {name: topic.topic_id for name, topic in found.items()} == left

    await first.until(lambda: is_mirrored(first))
    await first.until(lambda: first.quorum.image.next_producer_id > 0)
    image = first.quorum.image
    for name, topic in image.topics.items():
        number = int(name[1:])
        assert len(topic.partitions) == number % 5 + 1
        assert image.config(2, name) == {"retention.ms": str(number + 1)}
        assert {partition.leader for partition in topic.partitions} == {1}

    # A second one gets a snapshot, and has the same image at the same offset.
    kafka_log = server.data_dir / METADATA
    async with asyncio.timeout(DEADLINE_S):
        while len(list(kafka_log.glob("*.checkpoint"))) < 2:
            first.changed.clear()
            await first.changed.wait()
    second = Observer(102, tmp_path / "second", cluster_id, controller)
    await second.until(lambda: second.quorum.caught_up and is_mirrored(second))
    assert second.log.start_offset > 0
    images = {image.offset: image}
    for observer in (first, second):
        observer.quorum.on_image(lambda image, delta: images.setdefault(image.offset, image))
    await first.until(lambda: first.quorum.image.offset in images)
    async with asyncio.timeout(DEADLINE_S):
        while first.quorum.image.offset != second.quorum.image.offset:
            second.changed.clear()
            await second.changed.wait()
    assert first.quorum.image._replace(topics={}, topics_by_id={}, configs={}) == (
        second.quorum.image._replace(topics={}, topics_by_id={}, configs={})
    )
    for part in ("topics", "topics_by_id", "configs"):
        assert dict(getattr(first.quorum.image, part)) == dict(getattr(second.quorum.image, part))

    # Kafka knows them, and what they hold are its own bytes.
    about = describe_quorum.RequestTopicData(
        topic_name=METADATA[:-2], partitions=[describe_quorum.RequestPartitionData(partition_index=0)]
    )
    described = await first.ask(controller, describe_quorum.DescribeQuorumRequest(topics=[about]), 2)
    observers = described.topics[0].partitions[0].observers
    assert {101, 102} <= {observer.replica_id for observer in observers}
    for observer in (first, second):
        observer.quorum.flush()
        ours = log_bytes(observer.directory)
        assert len(ours) > 500
        assert ours in log_bytes(server.data_dir)
    fetched = list_snapshots(DiskFileSystem(), str(second.directory / METADATA))[0]
    assert (second.directory / METADATA / fetched.file_name).read_bytes() == (
        kafka_log / fetched.file_name
    ).read_bytes()

    # It goes on where it was, from its own disk.
    second.stop()
    again = Observer(102, tmp_path / "second", cluster_id, controller)
    await again.until(lambda: again.quorum.caught_up and is_mirrored(again))
    again.quorum.maybe_snapshot(force=True)
    await again.until(lambda: len(list_snapshots(DiskFileSystem(), str(again.directory / METADATA))) == 2)
    again.stop()
    first.stop()


def test_an_observer_mirrors_a_live_kafka_quorum(tmp_path: Path, kafka: KafkaTools) -> None:
    facilities.require("kafka")
    properties = {"metadata.log.max.record.bytes.between.snapshots": "20000"}
    server = KafkaProcess(tmp_path / "kafka", properties, heap="256m")
    try:
        asyncio.run(mirror(server, tmp_path))
    finally:
        server.kill()
    # And Kafka's tool reads what the observer has written.
    directory = tmp_path / "second" / METADATA
    own = sorted(directory.glob("*.checkpoint"))[-1]
    logs = sorted(directory.glob("*.log"))
    for path in (own, *logs):
        result = kafka.run("DumpLogSegments", "--cluster-metadata-decoder", "--files", str(path))
        assert result.status == 0, result
        assert "isvalid: false" not in result.out
        assert "Exception" not in result.out + result.err

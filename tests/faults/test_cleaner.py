"""Compaction of a running broker: the textbook example, small maps, the throttle, what cannot be cleaned."""

from __future__ import annotations

import re
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from confluent_kafka import OFFSET_BEGINNING, Consumer, Producer, TopicPartition
from confluent_kafka.admin import AdminClient, NewTopic

from tests.faults.test_kill import Filler
from tests.faults.test_resources import FewDescriptors, OnDisk, small_disk
from tests.processes import PybrokerProcess, free_port, wait_until
from tests.protocol import raw
from tests.protocol.raw import Connection
from tests.protocol.test_metrics import Metrics, scrape, value

COMPACT = {"cleanup.policy": "compact", "segment.ms": "200", "min.cleanable.dirty.ratio": "0.01"}


class Compacting:
    def __init__(
        self, make: Callable[[dict[str, str]], PybrokerProcess], properties: dict[str, str] | None = None
    ) -> None:
        self.http = free_port()
        self.server = make(
            {
                "pybroker.http.listener": f"127.0.0.1:{self.http}",
                "log.cleaner.backoff.ms": "100",
                **(properties or {}),
            }
        )
        self.base = {"bootstrap.servers": self.server.bootstrap, "log_level": 0}
        self.admin = AdminClient(self.base)
        self.producer = Producer({**self.base, "linger.ms": 0})

    def create(self, topic: str, partitions: int = 1, **configs: str) -> None:
        wanted = {**COMPACT, **{name.replace("_", "."): text for name, text in configs.items()}}
        for future in self.admin.create_topics([NewTopic(topic, partitions, 1, config=wanted)]).values():
            future.result(30)

    def send(self, topic: str, *pairs: tuple[str, str | None]) -> None:
        for key, text in pairs:
            self.producer.produce(topic, text, key=key)
        assert self.producer.flush(30) == 0

    def end_segment(self, topic: str) -> None:
        """The next record after segment.ms begins another one: only what is before it is cleaned."""
        time.sleep(0.25)
        self.send(topic, ("last", "record"))

    def read(self, topic: str) -> list[tuple[int, str, str | None]]:
        consumer = Consumer({**self.base, "group.id": "reader", "enable.partition.eof": True})
        consumer.assign([TopicPartition(topic, 0, OFFSET_BEGINNING)])
        found = []
        while True:
            message = consumer.poll(30)
            assert message is not None
            if message.error():
                consumer.close()
                return found
            text = message.value()
            found.append((message.offset(), message.key().decode(), text and text.decode()))

    def metrics(self) -> Metrics:
        return scrape(self.http)

    def metric(self, name: str) -> float:
        return value(self.metrics(), f"pybroker_log_cleaner_{name}")

    def set(self, name: str, text: str) -> None:
        with Connection(self.server.bootstrap) as connection:
            config = {"name": name, "config_operation": 0, "value": text}
            resource = {"resource_type": 4, "resource_name": "", "configs": [config]}
            answer = connection.call(44, 1, {"resources": [resource], "validate_only": False})
        assert [entry["error_code"] for entry in answer["responses"]] == [0]


@pytest.fixture(scope="module")
def compacting(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Compacting]:
    directory = tmp_path_factory.mktemp("compacting")
    # The least there may be: 5461 keys.
    smallest = {"log.cleaner.dedupe.buffer.size": "1048577"}
    found = Compacting(lambda properties: PybrokerProcess(directory, properties), smallest)
    yield found
    found.server.stop()


def test_the_textbook_example(compacting: Compacting) -> None:
    compacting.create("textbook")
    keys = ["Alpha", "Sigma", "Beta", "Alpha", "Omega", "Alpha", "Delta", "Delta", "Beta", "Omega", "Omega"]
    for offset, key in enumerate(keys):
        compacting.send("textbook", (key, f"value {offset}"))
    compacting.end_segment("textbook")
    wait_until(lambda: len(compacting.read("textbook")) == 6, "compaction")
    found = compacting.read("textbook")
    assert [offset for offset, _, _ in found] == [1, 5, 7, 8, 10, 11]
    assert all(key == keys[offset] and text == f"value {offset}" for offset, key, text in found[:-1])


def test_more_keys_than_the_map_takes(compacting: Compacting) -> None:
    """Partial passes, each within the budget, until everything is clean."""
    compacting.create("wide")
    before = compacting.metric("passes_total")
    for turn in range(2):
        for number in range(20_000):
            compacting.producer.produce("wide", f"{turn}", key=f"key {number}")
            if number % 5_000 == 0:
                compacting.producer.poll(0)
        assert compacting.producer.flush(60) == 0
        time.sleep(0.2)
    compacting.end_segment("wide")
    wait_until(lambda: len(compacting.read("wide")) == 20_001, "compaction", 60, 0.5)
    assert all(text == "1" for _, _, text in compacting.read("wide")[:-1])
    assert compacting.metric("passes_total") - before >= 4
    # Looked at between batches, so one batch may go beyond.
    assert 0 < compacting.metric("max_buffer_utilization_percent") < 150
    assert compacting.metric("max_dirty_percent") < 100
    assert compacting.metric("dead_thread_count") == 0


def test_the_throttle_is_held_and_can_be_changed(compacting: Compacting) -> None:
    # The map of another test's keys may still take a pass.
    wait_until(lambda: compacting.metric("max_dirty_percent") == 0, "the other logs to be clean")
    compacting.create("slow")
    for number in range(2_000):
        compacting.producer.produce("slow", bytes(1_000), key=f"key {number % 100}")
    assert compacting.producer.flush(60) == 0
    # Two readings of 2 MB: half an hour.
    compacting.set("log.cleaner.io.max.bytes.per.second", "2000")
    compacting.end_segment("slow")
    passes = compacting.metric("passes_total")
    time.sleep(1.5)
    assert compacting.metric("passes_total") == passes
    assert len(compacting.read("slow")) == 2_001
    # The pass under way starts over at the new speed; nobody waits for the old one.
    compacting.set("log.cleaner.io.max.bytes.per.second", "2000000")
    changed = time.monotonic()
    wait_until(lambda: len(compacting.read("slow")) == 101, "compaction", 60, 0.1)
    assert time.monotonic() - changed > 1.5
    assert compacting.metric("max_clean_time_secs") > 1.5
    assert 0 < compacting.metric("recopy_percent") < 20
    compacting.set("log.cleaner.io.max.bytes.per.second", "1e9")


def test_a_damaged_log_is_shown_and_the_others_are_cleaned(compacting: Compacting) -> None:
    compacting.create("damaged", min_cleanable_dirty_ratio="1")
    compacting.create("sound")
    for number in range(50):
        compacting.send("damaged", (f"key {number % 3}", "value"))
    compacting.end_segment("damaged")
    path = compacting.server.log_dir / "damaged-0" / f"{0:020d}.log"
    content = bytearray(path.read_bytes())
    content[100] ^= 1
    with path.open("r+b") as file:
        file.write(content)
    compacting.send("sound", *[(f"key {number % 3}", "value") for number in range(50)])
    compacting.end_segment("sound")
    with Connection(compacting.server.bootstrap) as connection:
        config = {"name": "min.cleanable.dirty.ratio", "config_operation": 0, "value": "0.01"}
        resource = {"resource_type": 2, "resource_name": "damaged", "configs": [config]}
        connection.call(44, 1, {"resources": [resource], "validate_only": False})
    directory = str(compacting.server.data_dir)

    def shown() -> bool:
        metrics = compacting.metrics()
        name = "pybroker_log_cleaner_uncleanable_partitions_count"
        return value(metrics, name, directory=directory) == 1

    wait_until(shown, "the damaged log to be shown")
    metrics = compacting.metrics()
    assert value(metrics, "pybroker_log_cleaner_uncleanable", topic="damaged", partition="0") == 1
    size = value(metrics, "pybroker_log_size_bytes", topic="damaged", partition="0")
    assert value(metrics, "pybroker_log_cleaner_uncleanable_bytes", directory=directory) == size
    assert re.search("damaged-0: cannot be cleaned.*checksum", compacting.server.log_text())
    wait_until(lambda: len(compacting.read("sound")) == 4, "compaction of the other log")
    with Connection(compacting.server.bootstrap) as connection:
        assert raw.produce(connection, "damaged", raw.batch(raw.record(b"k", b"v")))["error_code"] == 0


def test_a_disk_too_full_for_a_pass(tmp_path: Path) -> None:
    """It is put off, the log stays as it was; with the space it is done."""
    with small_disk(tmp_path / "disk", 48) as disk:
        compacting = Compacting(lambda properties: OnDisk(tmp_path / "broker", disk, properties))
        try:
            compacting.create("big", min_cleanable_dirty_ratio="1")
            for turn in range(2):
                for number in range(6_000):
                    compacting.producer.produce("big", bytes(1_000) + b"%d" % turn, key=f"key {number}")
                    compacting.producer.poll(0)
                assert compacting.producer.flush(60) == 0
            compacting.end_segment("big")
            before = compacting.read("big")
            filler = Filler(disk)
            # A pass needs more than twice that.
            filler.fill(2_500_000)
            with Connection(compacting.server.bootstrap) as connection:
                config = {"name": "min.cleanable.dirty.ratio", "config_operation": 0, "value": "0.01"}
                resource = {"resource_type": 2, "resource_name": "big", "configs": [config]}
                connection.call(44, 1, {"resources": [resource], "validate_only": False})
            wait_until(lambda: compacting.metric("failures_total") >= 1, "a pass without space")
            assert compacting.read("big") == before
            filler.free()
            wait_until(lambda: len(compacting.read("big")) == 6_001, "compaction", 60, 0.2)
            directory = str(compacting.server.data_dir)
            shown = "pybroker_log_cleaner_uncleanable_partitions_count"
            assert value(compacting.metrics(), shown, directory=directory) == 0
            compacting.server.stop()
        finally:
            compacting.server.kill()


def test_few_descriptors_many_compacted_logs(tmp_path: Path) -> None:
    """128 descriptors, 60 partitions of several segments, all of them cleaned."""
    compacting = Compacting(lambda properties: FewDescriptors(tmp_path / "broker", properties))
    try:
        compacting.create("many", 60, min_cleanable_dirty_ratio="1")
        with Connection(compacting.server.bootstrap) as connection:
            for turn in range(3):
                time.sleep(0.25)
                data = {index: raw.batch(raw.record(b"k", b"%d" % turn)) for index in range(60)}
                answer = connection.call(raw.PRODUCE, 9, raw.produce_values("many", data))
                assert {p["error_code"] for p in answer["responses"][0]["partition_responses"]} == {0}
            config = {"name": "min.cleanable.dirty.ratio", "config_operation": 0, "value": "0.01"}
            resource = {"resource_type": 2, "resource_name": "many", "configs": [config]}
            connection.call(44, 1, {"resources": [resource], "validate_only": False})
            # The first value is superseded by the second, the third is in the last segment.
            wait_until(lambda: compacting.metric("passes_total") >= 60, "all logs to be cleaned", 120, 0.3)
            for index in (0, 31, 59):
                found = []
                # An answer ends with its segment.
                for offset in (0, 2):
                    stored = raw.fetch(connection, "many", offset, partition=index)["records"]
                    found += [
                        each for batch in raw.parse_batches(stored) for each in raw.parse_records(batch)
                    ]
                assert [text for _, _, _, text in found] == [b"1", b"2"]
        assert compacting.metric("failures_total") == 0
        compacting.server.stop()
    finally:
        compacting.server.kill()

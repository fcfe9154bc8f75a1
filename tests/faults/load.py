"""Clients that write while a broker is killed, and the check that nothing they were promised is missing.

In: the address of a broker that comes and goes. Out: threads that note every acknowledged write, and `check`,
which reads everything back. What must hold: an acknowledged record is there; a record of an idempotent
producer is there once; a record that was never sent is not; offsets have no gaps; a topic whose creation
(deletion) was acknowledged is there (gone).
"""

from __future__ import annotations

import contextlib
import threading
import time
from collections import Counter
from typing import Any

from tests.protocol import raw
from tests.protocol.raw import (
    CREATE_TOPICS,
    DELETE_TOPICS,
    INIT_PRODUCER_ID,
    METADATA,
    PRODUCE,
    ZERO_UUID,
    Connection,
)

# Errors after which the same batch is sent again; anything else is a failure of the test.
RETRIED = {5, 6, 7, 13, 14, 19, 56, 3}


class Worker(threading.Thread):
    """A client in a loop that survives the loss of its broker. `failure` is what it could not explain."""

    def __init__(self, address: str, name: str) -> None:
        super().__init__(name=name, daemon=True)
        self.address = address
        self.stopping = threading.Event()
        self.failure: str | None = None
        self.acknowledged = 0

    def connect(self) -> Connection | None:
        while not self.stopping.is_set():
            try:
                return Connection(self.address, timeout=20)
            except OSError:
                time.sleep(0.01)
        return None

    def run(self) -> None:
        try:
            while not self.stopping.is_set():
                connection = self.connect()
                if connection is None:
                    return
                with contextlib.closing(connection), contextlib.suppress(OSError):
                    self.work(connection)
        except Exception as error:
            self.failure = f"{self.name}: {error!r}"

    def work(self, connection: Connection) -> None:
        """Returns when the connection is of no more use."""
        raise NotImplementedError

    def stop(self) -> None:
        self.stopping.set()
        self.join(30)
        assert not self.is_alive(), f"{self.name} does not end"


class IdempotentProducer(Worker):
    """One producer id over some partitions, one batch in flight on each, sent again until it is acknowledged.

    One in flight, because after a crash a broker remembers (as Apache Kafka does) only the last batch of a
    producer.
    """

    def __init__(self, address: str, number: int, topic: str, partitions: list[int], pause: float) -> None:
        super().__init__(address, f"idempotent-{number}")
        self.number = number
        self.topic = topic
        self.partitions = partitions
        self.pause = pause
        self.producer_id = -1
        self.sequences = dict.fromkeys(partitions, 0)
        self.pending: dict[int, tuple[int, list[bytes]]] = {}
        # Acknowledged values by partition with the offset promised.
        self.written: dict[int, list[tuple[int, bytes]]] = {index: [] for index in partitions}
        self.duplicates_answered = 0

    def work(self, connection: Connection) -> None:
        while self.producer_id < 0:
            values = {
                "transactional_id": None,
                "transaction_timeout": 60000,
                "producer_id": -1,
                "producer_epoch": -1,
            }
            answer = connection.call(INIT_PRODUCER_ID, 4, values)
            if not answer or self.stopping.is_set():
                return
            if answer["error_code"] == 0:
                self.producer_id = answer["producer_id"]
        while not self.stopping.is_set():
            for index in self.partitions:
                if index not in self.pending:
                    first = self.sequences[index]
                    count = 1 + (first + index) % 3
                    values = [b"%d:%d:%d" % (self.number, index, first + i) for i in range(count)]
                    self.pending[index] = (first, values)
            answers = self.exchange(connection)
            if answers is None:
                return
            for partition in answers:
                self.acknowledge(partition)
            time.sleep(self.pause)

    def exchange(self, connection: Connection) -> list[dict[str, Any]] | None:
        data: dict[int, bytes | None] = {
            index: raw.batch(
                *(raw.record(b"k", value, offset_delta=i) for i, value in enumerate(values)),
                producer_id=self.producer_id,
                producer_epoch=0,
                base_sequence=first,
            )
            for index, (first, values) in self.pending.items()
        }
        answer = connection.call(PRODUCE, 9, raw.produce_values(self.topic, data))
        return answer["responses"][0]["partition_responses"] if answer else None

    def acknowledge(self, partition: dict[str, Any]) -> None:
        index = partition["index"]
        if partition["error_code"] in RETRIED:
            return
        assert partition["error_code"] == 0, partition
        first, values = self.pending.pop(index)
        base = partition["base_offset"]
        self.duplicates_answered += partition["log_append_time"] != -1
        self.written[index] += [(base + i, value) for i, value in enumerate(values)]
        self.sequences[index] = first + len(values)
        self.acknowledged += len(values)


class Administrator(Worker):
    """Creates topics, changes their configs and deletes them again."""

    def __init__(self, address: str, keep: int = 10) -> None:
        super().__init__(address, "administrator")
        self.keep = keep
        self.counter = 0
        self.present: dict[str, bytes] = {}
        self.gone: set[str] = set()
        self.deleting: str | None = None

    def work(self, connection: Connection) -> None:
        while not self.stopping.is_set():
            if len(self.present) < self.keep:
                self.counter += 1
                name = f"made-{self.counter}"
                topic = {
                    "name": name,
                    "num_partitions": 1 + self.counter % 2,
                    "replication_factor": 1,
                    "assignments": [],
                    "configs": [{"name": "retention.ms", "value": str(10**10 + self.counter)}],
                }
                answer = connection.call(
                    CREATE_TOPICS, 7, {"topics": [topic], "timeout": 10000, "validate_only": False}
                )
                if not answer:
                    return
                assert answer["topics"][0]["error_code"] == 0, answer
                self.present[name] = answer["topics"][0]["topic_id"]
            else:
                name = next(iter(self.present))
                # From here on it may be gone, whatever the answer is.
                self.deleting = name
                self.present.pop(name)
                values = {"topics": [{"name": name, "topic_id": ZERO_UUID}], "timeout": 10000}
                answer = connection.call(DELETE_TOPICS, 6, values)
                if not answer:
                    return
                assert answer["responses"][0]["error_code"] == 0, answer
                self.gone.add(name)
            self.acknowledged += 1
            time.sleep(0.02)

    def check(self, connection: Connection) -> None:
        topics = connection.call(METADATA, 12, {"topics": None, "allow_auto_topic_creation": False})["topics"]
        found = {t["name"]: t["topic_id"] for t in topics}
        missing = {name for name, topic_id in self.present.items() if found.get(name) != topic_id}
        assert not missing, f"created and acknowledged, but lost: {missing}"
        back = self.gone & set(found)
        assert not back, f"deleted and acknowledged, but back: {back}"
        for name in self.present:
            resource = {"resource_type": 2, "resource_name": name, "configuration_keys": ["retention.ms"]}
            (result,) = connection.call(raw.DESCRIBE_CONFIGS, 4, {"resources": [resource]})["results"]
            assert result["configs"][0]["value"] == str(10**10 + int(name.partition("-")[2])), name


class PlainProducer(threading.Thread):
    """confluent-kafka with acks=all and its own retries; duplicates are allowed, losses are not."""

    def __init__(self, address: str, topic: str, pause: float) -> None:
        super().__init__(name="plain", daemon=True)
        import confluent_kafka

        self.producer = confluent_kafka.Producer(
            {
                "bootstrap.servers": address,
                "acks": "all",
                "enable.idempotence": False,
                "message.timeout.ms": 600_000,
                "reconnect.backoff.ms": 10,
                "reconnect.backoff.max.ms": 100,
                "retry.backoff.ms": 10,
                "linger.ms": 1,
                "log_level": 0,
            }
        )
        self.topic = topic
        self.pause = pause
        self.stopping = threading.Event()
        self.written: set[bytes] = set()
        self.failures: list[str] = []
        self.counter = 0

    def run(self) -> None:
        while not self.stopping.is_set():
            value = b"plain:%d" % self.counter
            try:
                self.producer.produce(
                    self.topic, value, b"k%d" % (self.counter % 50), on_delivery=self.delivered
                )
            except BufferError:
                # Kills that follow each other fast leave it little time: 100,000 records are waiting.
                self.producer.poll(0.1)
                continue
            self.counter += 1
            self.producer.poll(0)
            time.sleep(self.pause)

    def delivered(self, error: Any, message: Any) -> None:
        if error is None:
            self.written.add(message.value())
        else:
            self.failures.append(str(error))

    def stop(self) -> None:
        self.stopping.set()
        self.join(30)
        left = self.producer.flush(60)
        assert left == 0, f"{left} messages of confluent-kafka were never delivered"


def read_everything(connection: Connection, topic: str, partition: int) -> list[tuple[int, bytes]]:
    """(offset, value) of every record from the log start on; whole batches, good checksums, no gaps."""
    found: list[tuple[int, bytes]] = []
    end = raw.high_watermark(connection, topic, partition)
    offset = 0
    while offset < end:
        answer = raw.fetch(
            connection, topic, offset, partition=partition, partition_max_bytes=8 << 20, max_wait=1000
        )
        assert answer, f"{answer} for offset {offset} of {topic}-{partition}"
        assert answer["error_code"] == 0, answer
        batches = raw.parse_batches(answer["records"])
        assert batches, f"nothing at {offset} of {topic}-{partition}, whose end is {end}"
        for batch in batches:
            assert batch.crc_good, f"bad checksum at {batch.base_offset} of {topic}-{partition}"
            assert batch.base_offset == offset, f"{batch.base_offset} follows {offset} in {topic}-{partition}"
            found += [(o, v or b"") for o, _, _, v in raw.parse_records(batch)]
            offset = batch.end_offset
    return found


def check_idempotent(
    connection: Connection, topic: str, partitions: int, producers: list[IdempotentProducer]
) -> int:
    """Everything acknowledged is there, at its offset, once. The number of records read."""
    total = 0
    for index in range(partitions):
        found = read_everything(connection, topic, index)
        total += len(found)
        repeated = [value for value, count in Counter(v for _, v in found).items() if count > 1]
        assert not repeated, f"{len(repeated)} duplicates in partition {index}, the first {repeated[:3]}"
        there = dict(found)
        unexpected = {v for _, v in found}
        for producer in producers:
            for offset, value in producer.written.get(index, ()):
                assert there.get(offset) == value, (
                    f"{value!r} was acknowledged at {offset}; there is {there.get(offset)!r}"
                )
                unexpected.discard(value)
            # The batch in flight may be there or not, but whole.
            _, values = producer.pending.get(index, (0, []))
            assert len(unexpected & set(values)) in (0, len(values)), "a torn batch"
            unexpected -= set(values)
        assert not unexpected, f"records nobody sent: {sorted(unexpected)[:3]}"
    return total


def check_plain(connection: Connection, topic: str, partitions: int, producer: PlainProducer) -> int:
    found = [v for index in range(partitions) for _, v in read_everything(connection, topic, index)]
    lost = producer.written - set(found)
    assert not lost, f"{len(lost)} acknowledged records are lost, the first {sorted(lost)[:3]}"
    assert not producer.failures, producer.failures[:3]
    return len(found)

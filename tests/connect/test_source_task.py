"""How a source task hands records to the producer: in runs, in order, and what their acknowledgements allow."""

from __future__ import annotations

from collections.abc import Callable
from random import Random
from typing import Any, cast

import pytest
from confluent_kafka import KafkaError, KafkaException, Message, Producer
from hypothesis import given
from hypothesis import strategies as st

from connect.api.errors import ConnectError
from connect.api.records import SourceRecord
from connect.api.source import RecordMetadata, SourceTask
from connect.core.config_state import STARTED, TaskId
from connect.core.error_policy import ErrorPolicy
from connect.core.pipeline import OutgoingRecord
from connect.runtime.source_task import SourceSettings, SourceWorkerTask


class PlainTask(SourceTask):
    version = "1"

    def start(self, props: dict[str, str]) -> None: ...

    def poll(self) -> list[SourceRecord] | None:
        return None

    def stop(self) -> None: ...


class CountingTask(PlainTask):
    def __init__(self) -> None:
        self.told: list[tuple[Any, RecordMetadata | None]] = []

    def commit_record(self, record: SourceRecord, metadata: RecordMetadata | None) -> None:
        self.told.append((record.value, metadata))


class Delivered:
    def __init__(self, topic: str) -> None:
        self._topic = topic

    def topic(self) -> str:
        return self._topic

    def partition(self) -> int:
        return 0

    def offset(self) -> int:
        return 7


class FakeProducer:
    """Takes `room` messages, then is full until it is polled. Acknowledges what the test says."""

    def __init__(self, room: int) -> None:
        self.room = self.left = room
        self.sent: list[tuple[str, dict[str, Any]]] = []
        self.waiting: list[tuple[str, Callable[[KafkaError | None, Message], None]]] = []
        self.refuse: Any = None

    def produce_batch(self, topic: str, messages: list[dict[str, Any]]) -> int:
        good, full = 0, False
        for message in messages:
            assert set(message) == {"value", "key", "callback"}
            if message["value"] == self.refuse:
                message["_error"] = KafkaError(KafkaError.MSG_SIZE_TOO_LARGE, "too large")
                continue
            full = full or self.left == 0
            if full:
                message["_error"] = KafkaError(KafkaError._QUEUE_FULL)
                continue
            self.produce(topic, **message)
            good += 1
        return good

    def produce(self, topic: str, *, callback: Any, **message: Any) -> None:
        if message["value"] == self.refuse:
            raise KafkaException(KafkaError(KafkaError.MSG_SIZE_TOO_LARGE, "too large"))
        if self.left == 0:
            raise BufferError
        self.left -= 1
        self.sent.append((topic, message))
        self.waiting.append((topic, callback))

    def poll(self, timeout_s: float) -> int:
        self.left = self.room
        return 0

    def acknowledge(self, at: int, error: KafkaError | None = None) -> None:
        topic, callback = self.waiting.pop(at)
        callback(error, cast("Message", Delivered(topic)))


class FakePipeline:
    """The record's value says what comes out."""

    def process(self, record: SourceRecord) -> OutgoingRecord | None:
        if record.value == b"bad":
            raise ConnectError("Tolerance exceeded in error handler")
        if record.value == b"drop":
            return None
        return OutgoingRecord(
            record.topic, record.kafka_partition, record.key, record.value, list(record.headers), record.timestamp
        )  # fmt: skip

    def close(self) -> None: ...


class Topics:
    def ensure(self, topic: str) -> None: ...


def worker_task(task: SourceTask, producer: FakeProducer, *, tolerate: bool = False) -> SourceWorkerTask:
    settings: Any = SourceSettings(
        {}, cast("Any", FakePipeline()), lambda: cast("Producer", producer), cast("Any", Topics()),
        cast("Any", None), 60_000, 5_000, False, cast("Any", None), dict,
    )  # fmt: skip
    made = SourceWorkerTask(
        TaskId("c", 0),
        task,
        "T",
        ErrorPolicy(tolerate_all=tolerate),
        STARTED,
        cast("Any", None),
        settings,
    )
    made.producer = cast("Producer", producer)
    return made


_records = st.lists(
    st.tuples(
        st.integers(0, 1),  # the source partition
        st.sampled_from(["a", "b"]),
        st.sampled_from([b"x", b"x", b"x", b"drop"]),
        st.sampled_from([None, None, None, 3]),  # the Kafka partition
        st.sampled_from([None, None, 5]),  # the timestamp
    ),
    max_size=30,
)


@given(_records, st.integers(1, 7), st.randoms(use_true_random=False))
def test_runs_keep_the_order_and_the_offsets(
    described: list[tuple[int, str, bytes, int | None, int | None]], room: int, random: Random
) -> None:
    producer = FakeProducer(room)
    task = worker_task(PlainTask(), producer)
    batch = [
        SourceRecord({"p": p}, {"o": n}, topic, partition, None, b"%d" % n, None, value, timestamp)
        for n, (p, topic, value, partition, timestamp) in enumerate(described)
    ]
    task._send_batch(batch)
    kept = [record for record in batch if record.value != b"drop"]
    assert [(topic, message["key"]) for topic, message in producer.sent] == [(r.topic, r.key) for r in kept]
    for (_, message), record in zip(producer.sent, kept, strict=True):
        assert (message.get("partition"), message.get("timestamp")) == (
            record.kafka_partition,
            record.timestamp,
        )
    # Whatever the order of the acknowledgements: no offset is passed that stands for an open record.
    unacknowledged = {record.key: record for record in kept}
    order = list(kept)
    stored: dict[int, int] = {}
    while True:
        stored.update({p["p"]: o["o"] for p, o in task._submitted.committable()})
        for partition, reached in stored.items():
            for record in unacknowledged.values():
                assert record.source_partition != {"p": partition} or record.source_offset["o"] > reached  # type: ignore[index]
        if not order:
            break
        at = random.randrange(len(order))
        producer.acknowledge(at)
        del unacknowledged[order.pop(at).key]
    assert stored == {record.source_partition["p"]: record.source_offset["o"] for record in batch}  # type: ignore[index]
    assert (task.metrics.written, task.metrics.active_now) == (len(kept), 0)
    assert task._submitted.unacked == 0


def plain(*values: bytes) -> list[SourceRecord]:
    return [SourceRecord({"p": 0}, {"o": n}, "t", value=value) for n, value in enumerate(values)]


def test_records_before_one_that_cannot_be_converted_are_sent() -> None:
    producer = FakeProducer(100)
    task = worker_task(PlainTask(), producer)
    with pytest.raises(ConnectError, match="Tolerance exceeded"):
        task._send_batch(plain(b"1", b"2", b"bad", b"4"))
    assert [message["value"] for _, message in producer.sent] == [b"1", b"2"]
    producer.acknowledge(0)
    producer.acknowledge(0)
    assert task._submitted.committable() == [({"p": 0}, {"o": 1})]


def test_a_record_that_the_producer_refuses_fails_the_task_and_holds_the_offsets_back() -> None:
    for timestamp in (None, 5):
        producer = FakeProducer(2)
        producer.refuse = b"2"
        task = worker_task(PlainTask(), producer)
        batch = plain(b"1", b"2", b"3", b"4")
        for record in batch:
            record.timestamp = timestamp
        with pytest.raises(ConnectError, match=r"send .*'o': 1} to topic t: .*MSG_SIZE_TOO"):
            task._send_batch(batch)
        while producer.waiting:
            producer.acknowledge(0)
        assert task._submitted.committable() == []


def test_a_record_that_is_not_delivered_is_reported_with_itself() -> None:
    lost = KafkaError(KafkaError.MSG_SIZE_TOO_LARGE)
    producer = FakeProducer(100)
    task = worker_task(PlainTask(), producer)
    seen: list[Any] = []
    task.errors.reporters.append(lambda context: seen.append(context.original))
    batch = plain(b"1", b"2", b"3")
    task._send_batch(batch)
    producer.acknowledge(1, lost)
    assert seen == [batch[1]]
    with pytest.raises(ConnectError, match=r"send callback for the record .*'o': 1}"):
        task._raise_send_error()
    producer.acknowledge(0)
    producer.acknowledge(0)
    assert task._submitted.committable() == []

    producer = FakeProducer(100)
    tolerant = CountingTask()
    task = worker_task(tolerant, producer, tolerate=True)
    task._send_batch(plain(b"1", b"2", b"drop"))
    producer.acknowledge(1, lost)
    producer.acknowledge(0)
    task._serve_acknowledgements()
    assert tolerant.told == [(b"drop", None), (b"2", None), (b"1", RecordMetadata("t", 0, 7))]
    assert task._submitted.committable() == [({"p": 0}, {"o": 2})]

"""A consume-transform-produce application on confluent-kafka: `python copy_app.py BOOTSTRAP GROUP INPUT OUTPUT`.

It copies INPUT to OUTPUT in transactions that also commit its position, until it is killed. An error that can
only be answered by a new producer makes it start over within the process, as the library's manual says. A call
that does not come back ends the process: after a broker was away, librdkafka 2.16's send_offsets_to_transaction
may hang far beyond its timeout (seen with Apache Kafka 4.3 too), and only a supervisor helps.
"""

from __future__ import annotations

import os
import sys
import threading
import time
from typing import Any

from confluent_kafka import Consumer, KafkaError, KafkaException, Producer, TopicPartition

BATCH = 100
STALLED_S = 25.0


class Watchdog(threading.Thread):
    """Ends the process when nothing was reported for too long."""

    def __init__(self) -> None:
        super().__init__(daemon=True)
        self.alive = time.monotonic()

    def run(self) -> None:
        while time.monotonic() - self.alive < STALLED_S:
            time.sleep(0.5)
        print("stalled: giving up", file=sys.stderr, flush=True)
        os._exit(3)


WATCHDOG = Watchdog()


def make(bootstrap: str, group: str) -> tuple[Any, Any]:
    consumer = Consumer(
        {
            "bootstrap.servers": bootstrap,
            "group.id": group,
            "enable.auto.commit": False,
            "isolation.level": "read_committed",
            "auto.offset.reset": "earliest",
            "session.timeout.ms": 6000,
            "heartbeat.interval.ms": 1000,
            "reconnect.backoff.max.ms": 500,
        }
    )
    producer = Producer(
        {
            "bootstrap.servers": bootstrap,
            "transactional.id": group,
            "transaction.timeout.ms": 20000,
            "reconnect.backoff.max.ms": 500,
            "linger.ms": 1,
        }
    )
    return consumer, producer


def retried(action: Any) -> None:
    """Call until it works; errors that need an abort or a new producer come through."""
    while True:
        try:
            action()
            WATCHDOG.alive = time.monotonic()
            return
        except KafkaException as error:
            if not error.args[0].retriable():
                raise
            time.sleep(0.05)


def copy(consumer: Any, producer: Any, source: str, target: str) -> None:
    consumer.subscribe([source])
    while True:
        WATCHDOG.alive = time.monotonic()
        messages = [m for m in consumer.consume(BATCH, timeout=0.5) if m.error() is None]
        if not messages:
            continue
        producer.begin_transaction()
        try:
            for message in messages:
                while True:
                    try:
                        producer.produce(
                            target, value=message.value(), key=message.key(), partition=message.partition()
                        )
                        break
                    except BufferError:
                        producer.poll(0.05)
            ends: dict[int, int] = {}
            for message in messages:
                ends[message.partition()] = message.offset() + 1
            positions = [TopicPartition(source, partition, end) for partition, end in ends.items()]
            retried(
                lambda positions=positions: producer.send_offsets_to_transaction(
                    positions, consumer.consumer_group_metadata(), 10
                )
            )
            retried(lambda: producer.commit_transaction(10))
        except KafkaException as error:
            if not error.args[0].txn_requires_abort():
                raise
            retried(lambda: producer.abort_transaction(10))
            rewind(consumer, messages)


def rewind(consumer: Any, messages: list[Any]) -> None:
    """Back to the first of the messages that were not committed, as far as the partitions are still ours."""
    first: dict[int, int] = {}
    topic = messages[0].topic()
    for message in messages:
        first.setdefault(message.partition(), message.offset())
    owned = {entry.partition for entry in consumer.assignment()}
    for partition, offset in first.items():
        if partition in owned:
            consumer.seek(TopicPartition(topic, partition, offset))


def main() -> None:
    bootstrap, group, source, target = sys.argv[1:]
    WATCHDOG.start()
    while True:
        consumer, producer = make(bootstrap, group)
        try:
            retried(lambda producer=producer: producer.init_transactions(30))
            copy(consumer, producer, source, target)
        except KafkaException as error:
            code = error.args[0]
            print(f"starting over: {code}", file=sys.stderr, flush=True)
            if code.code() in (KafkaError._FATAL, KafkaError._FENCED):
                time.sleep(0.2)
        consumer.close()


if __name__ == "__main__":
    main()

"""Records in, records out: what was acknowledged must come back, each once, in order.

In: bootstrap servers, a topic. Out: `Writer`, which remembers what was acknowledged, and `read_all`.
"""

from __future__ import annotations

import time
from typing import Any

from confluent_kafka import Consumer, Producer, TopicPartition
from confluent_kafka.admin import AdminClient, NewTopic

TIMEOUT_S = 60.0


def create_topic(bootstrap: str, name: str, partitions: int = 3, replication: int = 3, **config: str) -> None:
    admin = AdminClient({"bootstrap.servers": bootstrap})
    named = {key.replace("_", "."): value for key, value in config.items()}
    topic = NewTopic(name, num_partitions=partitions, replication_factor=replication, config=named)
    admin.create_topics([topic], operation_timeout=30, request_timeout=40)[name].result(TIMEOUT_S)


def assignments(bootstrap: str, topic: str) -> dict[int, tuple[int, list[int], list[int]]]:
    """Partition to (leader, replicas, ISR)."""
    admin = AdminClient({"bootstrap.servers": bootstrap})
    found = admin.list_topics(topic, timeout=TIMEOUT_S).topics[topic].partitions
    return {
        index: (partition.leader, list(partition.replicas), sorted(partition.isrs))
        for index, partition in found.items()
    }


class Writer:
    """An idempotent producer with acks=all. Values count up; `acknowledged` has those that were confirmed."""

    def __init__(self, bootstrap: str, topic: str, partitions: int = 3) -> None:
        self.topic = topic
        self.partitions = partitions
        self.sent = 0
        self.acknowledged: dict[int, list[int]] = {index: [] for index in range(partitions)}
        self.errors: list[Any] = []
        self._producer = Producer(
            {
                "bootstrap.servers": bootstrap,
                "acks": "all",
                "enable.idempotence": True,
                "linger.ms": 2,
                "message.timeout.ms": int(TIMEOUT_S * 1000),
                "topic.metadata.refresh.interval.ms": 1000,
                "reconnect.backoff.max.ms": 500,
                "log_level": 0,
            }
        )

    def write(self, count: int) -> None:
        for _ in range(count):
            number = self.sent
            self.sent += 1
            partition = number % self.partitions
            self._producer.produce(
                self.topic,
                b"%d" % number,
                partition=partition,
                on_delivery=lambda error, _, number=number, partition=partition: (
                    self.errors.append(error) if error else self.acknowledged[partition].append(number)
                ),
            )
        self._producer.poll(0)

    def flush(self) -> None:
        left = self._producer.flush(TIMEOUT_S)
        assert (left, self.errors) == (0, [])


def read_all(bootstrap: str, topic: str, partitions: int, count: int) -> dict[int, list[int]]:
    """What is in the topic, once `count` records were read and nothing more comes for a moment."""
    consumer = Consumer(
        {
            "bootstrap.servers": bootstrap,
            "group.id": "reader",
            "enable.auto.commit": False,
            "auto.offset.reset": "earliest",
            "log_level": 0,
        }
    )
    consumer.assign([TopicPartition(topic, index, 0) for index in range(partitions)])
    found: dict[int, list[int]] = {index: [] for index in range(partitions)}
    deadline = time.monotonic() + TIMEOUT_S
    try:
        while time.monotonic() < deadline:
            message = consumer.poll(0.5)
            if message is None:
                if sum(map(len, found.values())) >= count:
                    return found
            elif message.error() is None:
                found[message.partition()].append(int(message.value()))
    finally:
        consumer.close()
    raise AssertionError(f"{sum(map(len, found.values()))} of {count} records were read within {TIMEOUT_S} s")

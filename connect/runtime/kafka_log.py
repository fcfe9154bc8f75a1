"""A topic that is read from its beginning and followed: what the three internal topics are made of.

In: a topic, client settings, and a function that takes each record. Out: `read_to_end`, `produce`. What must
hold: records are taken by one thread, in the order of each partition; `read_to_end` returns when everything
that was in the topic at the time of the call has been taken, markers of transactions included.
"""

from __future__ import annotations

import concurrent.futures
import logging
import threading
import time
from collections.abc import Callable, Mapping, Sequence
from typing import Any, Final

from confluent_kafka import (
    OFFSET_BEGINNING,
    Consumer,
    IsolationLevel,
    KafkaError,
    KafkaException,
    Message,
    Producer,
    TopicPartition,
)
from confluent_kafka.admin import AdminClient, ConfigResource, NewTopic, OffsetSpec, ResourceType

from connect.api.errors import ConfigError, ConnectError
from connect.runtime.clients import make_consumer, make_producer

log = logging.getLogger(__name__)

_POLL_S: Final = 0.1
TakeRecord = Callable[[Message], None]


class KafkaLog:
    """`start` blocks until the topic has been read to its end once."""

    def __init__(
        self,
        topic: str,
        consumer_props: Mapping[str, Any],
        producer_props: Mapping[str, Any] | None,
        admin: AdminClient,
        take: TakeRecord,
        *,
        timeout_s: float = 60.0,
    ) -> None:
        self.topic = topic
        self._consumer_props = {
            "group.id": "unused",
            "auto.offset.reset": "earliest",
            **consumer_props,
            "enable.auto.commit": "false",
            "rdkafka.enable.partition.eof": "true",
            "rdkafka.fetch.error.backoff.ms": "50",
        }
        self._read_committed = consumer_props.get("isolation.level") == "read_committed"
        self._producer_props = producer_props
        self._admin = admin
        self._take = take
        self._timeout_s = timeout_s
        self._positions: dict[int, int] = {}
        self._moved = threading.Condition()
        self._closing = threading.Event()
        self._consumer: Consumer | None = None
        self.producer: Producer | None = None
        self._thread: threading.Thread | None = None
        self.error: BaseException | None = None

    def start(self) -> None:
        deadline = time.monotonic() + self._timeout_s
        partitions = self._partitions(deadline)
        if self._producer_props is not None:
            self.producer = make_producer(self._producer_props)
        self._consumer = make_consumer(self._consumer_props)
        self._consumer.assign([TopicPartition(self.topic, n, OFFSET_BEGINNING) for n in partitions])
        self._positions = dict.fromkeys(partitions, 0)
        self._thread = threading.Thread(target=self._run, name=f"log-{self.topic}", daemon=True)
        self._thread.start()
        self.read_to_end()

    def _partitions(self, deadline: float) -> list[int]:
        while True:
            found = self._admin.list_topics(self.topic, timeout=10).topics.get(self.topic)
            if found is not None and found.error is None and found.partitions:
                return sorted(found.partitions)
            if time.monotonic() > deadline:
                raise ConnectError(f"Topic {self.topic} has no partitions after {self._timeout_s} s")
            time.sleep(0.1)

    def _run(self) -> None:
        assert self._consumer is not None
        while not self._closing.is_set():
            try:
                # `consume` alone would wait for the whole batch or the whole time.
                first = self._consumer.poll(_POLL_S)
                messages = [] if first is None else [first, *self._consumer.consume(500, 0)]
            except KafkaException as error:
                self.error = error
                log.error("Reading %s failed: %s", self.topic, error)
                time.sleep(_POLL_S)
                continue
            if self.producer is not None:
                self.producer.poll(0)
            if messages:
                self._take_all(messages)

    def _take_all(self, messages: Sequence[Message]) -> None:
        for message in messages:
            error = message.error()
            partition, offset = message.partition(), message.offset()
            assert partition is not None
            if error is not None:
                if error.code() == KafkaError._PARTITION_EOF:
                    with self._moved:
                        self._positions[partition] = max(self._positions[partition], offset or 0)
                        self._moved.notify_all()
                else:
                    log.warning("Reading %s: %s", self.topic, error)
                continue
            try:
                self._take(message)
            except Exception:
                # One record that cannot be understood must not keep the others from being read.
                log.exception("Record %s-%s@%s could not be taken", self.topic, partition, offset)
            with self._moved:
                self._positions[partition] = (offset or 0) + 1
                self._moved.notify_all()

    def end_offsets(self, timeout_s: float) -> dict[int, int]:
        level = IsolationLevel.READ_COMMITTED if self._read_committed else IsolationLevel.READ_UNCOMMITTED
        wanted = {TopicPartition(self.topic, n): OffsetSpec.latest() for n in self._positions}
        futures = self._admin.list_offsets(wanted, isolation_level=level, request_timeout=timeout_s)
        return {partition.partition: future.result().offset for partition, future in futures.items()}

    def read_to_end(self, timeout_s: float | None = None) -> None:
        """ConnectError when it takes longer than the timeout."""
        limit = self._timeout_s if timeout_s is None else timeout_s
        deadline = time.monotonic() + limit
        while True:
            try:
                ends = self.end_offsets(max(0.1, min(10.0, deadline - time.monotonic())))
                break
            except (KafkaException, concurrent.futures.TimeoutError) as error:
                if time.monotonic() > deadline:
                    raise ConnectError(f"Failed to read the end offsets of {self.topic}: {error}") from error
                time.sleep(0.1)
        with self._moved:
            while not all(self._positions[n] >= end for n, end in ends.items()):
                remaining = deadline - time.monotonic()
                if remaining <= 0 or self._closing.is_set():
                    raise ConnectError(
                        f"Topic {self.topic} could not be read to its end in {limit} s: at "
                        f"{self._positions}, end {ends}"
                    )
                self._moved.wait(remaining)

    def produce(
        self,
        records: Sequence[tuple[bytes | None, bytes | None]],
        on_done: Callable[[BaseException | None], None] | None = None,
    ) -> None:
        """Sends records; `on_done` is called once, by whichever thread, with the first error or None."""
        assert self.producer is not None
        remaining = len(records)
        first_error: BaseException | None = None

        def delivered(error: KafkaError | None, message: Message) -> None:
            nonlocal remaining, first_error
            remaining -= 1
            if error is not None and first_error is None:
                first_error = KafkaException(error)
            if remaining == 0 and on_done is not None:
                on_done(first_error)

        for key, value in records:
            self.producer.produce(self.topic, value=value, key=key, on_delivery=delivered)

    def write(self, records: Sequence[tuple[bytes | None, bytes | None]], timeout_s: float) -> None:
        """Sends records and waits until they are acknowledged. ConnectError when they are not."""
        done: concurrent.futures.Future[None] = concurrent.futures.Future()

        def finished(error: BaseException | None) -> None:
            if error is None:
                done.set_result(None)
            else:
                done.set_exception(error)

        self.produce(records, finished)
        deadline = time.monotonic() + timeout_s
        assert self.producer is not None
        while not done.done() and time.monotonic() < deadline:
            self.producer.poll(0.05)
        if not done.done():
            raise ConnectError(f"Writing to {self.topic} took longer than {timeout_s} s")
        try:
            done.result()
        except KafkaException as error:
            raise ConnectError(f"Writing to {self.topic} failed: {error}") from error

    def stop(self) -> None:
        self._closing.set()
        if self._thread is not None:
            self._thread.join(10)
        if self.producer is not None:
            self.producer.flush(5)
        if self._consumer is not None:
            self._consumer.close()


def ensure_topic(
    admin: AdminClient,
    topic: str,
    partitions: int,
    replication_factor: int,
    settings: Mapping[str, str],
    purpose: str,
    *,
    single_partition: bool = False,
    timeout_s: float = 30.0,
) -> None:
    """Creates an internal topic unless it exists, and checks that it is compacted (and, if asked, that it
    has one partition). ConfigError names topic, key and value found."""
    new = NewTopic(
        topic,
        num_partitions=partitions,
        replication_factor=replication_factor,
        config=dict(settings),
    )
    try:
        admin.create_topics([new], operation_timeout=timeout_s, request_timeout=timeout_s)[topic].result()
        log.info("Created topic %s with %s partitions", topic, partitions)
    except KafkaException as error:
        code = error.args[0].code()
        if code != KafkaError.TOPIC_ALREADY_EXISTS:
            exists = admin.list_topics(topic, timeout=timeout_s).topics.get(topic)
            if exists is None or exists.error is not None:
                raise ConnectError(f"Topic {topic} ({purpose}) cannot be created: {error}") from error
    policy = _cleanup_policy(admin, topic, timeout_s)
    if policy != "compact":
        raise ConfigError(
            f"Topic '{topic}' supplied via the '{purpose}' property is required to have "
            f"'cleanup.policy=compact' to guarantee consistency and durability of the data it holds, "
            f"but found the topic currently has 'cleanup.policy={policy}'."
        )
    if single_partition:
        found = admin.list_topics(topic, timeout=timeout_s).topics[topic]
        if found.partitions and len(found.partitions) > 1:
            raise ConfigError(
                f"Topic '{topic}' supplied via the '{purpose}' property is required to have a single "
                f"partition in order to guarantee consistency of connector configurations, but found "
                f"{len(found.partitions)} partitions."
            )


def _cleanup_policy(admin: AdminClient, topic: str, timeout_s: float) -> str | None:
    """Brokers may hear of a new topic one after the other, so for a while it may be unknown."""
    resource = ConfigResource(ResourceType.TOPIC, topic)
    deadline = time.monotonic() + timeout_s
    while True:
        try:
            described = admin.describe_configs([resource], request_timeout=timeout_s)[resource].result()
        except KafkaException as error:
            code = error.args[0].code()
            if code != KafkaError.UNKNOWN_TOPIC_OR_PART or time.monotonic() > deadline:
                raise ConnectError(f"The settings of topic {topic} cannot be read: {error}") from error
            time.sleep(0.1)
            continue
        entry = described.get("cleanup.policy")
        return entry.value if entry is not None else None

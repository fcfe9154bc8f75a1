"""One client library each behind the same small interface, so that one scenario can be asked of all of them.

In: HOST:PORT and plain values. Out: plain values and `Record`s. What must hold: an adapter uses its library
as its users do, changes nothing of what the library returns, and says in its docstring what the library
cannot do.
"""

from __future__ import annotations

import asyncio
import os
import shutil
import time
from collections.abc import Callable, Coroutine, Iterable
from pathlib import Path
from typing import Any

from tests import facilities
from tests.clients import records as r
from tests.clients.records import Record
from tests.processes import JsonProcess, wait_until
from tools import interop

READ_TIMEOUT_S = 30.0
LIMIT_BYTES = 16 * 1024 * 1024
EARLIEST = -2
# A consumer that is closed waits for the fetch that is under way.
FETCH_WAIT_MS = 50


class Adapter:
    """What test_scenario.py asks of a client; programs.md describes the operations."""

    name = ""
    codecs: tuple[str, ...] = r.CODECS
    null_header_values = True
    null_records = True

    def __init__(self, bootstrap: str) -> None:
        self.bootstrap = bootstrap

    def close(self) -> None: ...

    def make_topic(self, topic: str, partitions: int, configs: dict[str, str] | None = None) -> None:
        """Creates a topic and waits until it is listed: Kafka answers before its own view of it has
        changed."""
        self.create_topic(topic, partitions, configs or {})
        wait_until(lambda: topic in self.list_topics(), f"topic {topic}")

    def mixed_records(self, count: int, partitions: int) -> list[Record]:
        """Records of every shape that the library can write."""
        return r.mixed_records(
            count, partitions, null_header_values=self.null_header_values, null_records=self.null_records
        )

    def create_topic(self, topic: str, partitions: int, configs: dict[str, str]) -> None:
        raise NotImplementedError

    def list_topics(self) -> list[str]:
        raise NotImplementedError

    def describe_topic(self, topic: str) -> list[dict[str, Any]]:
        raise NotImplementedError

    def describe_config(self, topic: str) -> dict[str, str]:
        raise NotImplementedError

    def alter_config(self, topic: str, configs: dict[str, str]) -> None:
        raise NotImplementedError

    def create_partitions(self, topic: str, total: int) -> None:
        raise NotImplementedError

    def delete_records(self, topic: str, partition: int, offset: int) -> int:
        raise NotImplementedError

    def delete_topic(self, topic: str) -> None:
        raise NotImplementedError

    def describe_cluster(self) -> dict[str, Any]:
        raise NotImplementedError

    def offsets(self, topic: str, partition: int) -> list[int]:
        raise NotImplementedError

    def offset_for_timestamp(self, topic: str, partition: int, timestamp: int) -> int:
        raise NotImplementedError

    def produce(
        self, topic: str, records: list[Record], *, codec: str = "none", idempotent: bool = False
    ) -> list[int]:
        raise NotImplementedError

    def consume(self, topic: str, partition: int, offset: int, count: int) -> list[Record]:
        raise NotImplementedError


class ConfluentKafka(Adapter):
    """confluent-kafka (librdkafka)."""

    name = "confluent-kafka"

    def __init__(self, bootstrap: str) -> None:
        super().__init__(bootstrap)
        from confluent_kafka.admin import AdminClient

        # Quiet: it outlives the broker by a moment and would say so.
        self.admin = AdminClient({"bootstrap.servers": bootstrap, "log_level": 0})

    @staticmethod
    def _one(futures: dict[Any, Any]) -> Any:
        (future,) = futures.values()
        return future.result(READ_TIMEOUT_S)

    @staticmethod
    def _resource(topic: str) -> Any:
        from confluent_kafka.admin import ConfigResource, ResourceType

        return ConfigResource(ResourceType.TOPIC, topic)

    def create_topic(self, topic: str, partitions: int, configs: dict[str, str]) -> None:
        from confluent_kafka.admin import NewTopic

        self._one(self.admin.create_topics([NewTopic(topic, partitions, 1, config=configs)]))

    def list_topics(self) -> list[str]:
        return list(self.admin.list_topics(timeout=READ_TIMEOUT_S).topics)

    def describe_topic(self, topic: str) -> list[dict[str, Any]]:
        from confluent_kafka import TopicCollection

        described = self._one(self.admin.describe_topics(TopicCollection([topic])))
        return [
            {
                "partition": partition.id,
                "leader": partition.leader.id,
                "replicas": [node.id for node in partition.replicas],
                "isr": [node.id for node in partition.isr],
            }
            for partition in described.partitions
        ]

    def describe_config(self, topic: str) -> dict[str, str]:
        entries = self._one(self.admin.describe_configs([self._resource(topic)]))
        return {name: entry.value for name, entry in entries.items()}

    def alter_config(self, topic: str, configs: dict[str, str]) -> None:
        from confluent_kafka.admin import AlterConfigOpType, ConfigEntry

        resource = self._resource(topic)
        for name, value in configs.items():
            resource.add_incremental_config(
                ConfigEntry(name, value, incremental_operation=AlterConfigOpType.SET)
            )
        self._one(self.admin.incremental_alter_configs([resource]))

    def create_partitions(self, topic: str, total: int) -> None:
        from confluent_kafka.admin import NewPartitions

        self._one(self.admin.create_partitions([NewPartitions(topic, total)]))

    def delete_records(self, topic: str, partition: int, offset: int) -> int:
        from confluent_kafka import TopicPartition

        deleted = self._one(self.admin.delete_records([TopicPartition(topic, partition, offset)]))
        return int(deleted.low_watermark)

    def delete_topic(self, topic: str) -> None:
        self._one(self.admin.delete_topics([topic]))

    def describe_cluster(self) -> dict[str, Any]:
        described = self.admin.describe_cluster().result(READ_TIMEOUT_S)
        return {
            "cluster_id": described.cluster_id,
            "controller": described.controller.id,
            "nodes": [[node.id, node.host, node.port] for node in described.nodes],
        }

    def _consumer(self) -> Any:
        from confluent_kafka import Consumer

        # The name of a group is obligatory; with assigned partitions and without commits it is never used.
        return Consumer(
            {
                "bootstrap.servers": self.bootstrap,
                "group.id": "unused",
                "enable.auto.commit": False,
                "fetch.message.max.bytes": LIMIT_BYTES,
                "fetch.wait.max.ms": FETCH_WAIT_MS,
            }
        )

    def offsets(self, topic: str, partition: int) -> list[int]:
        from confluent_kafka import TopicPartition

        consumer = self._consumer()
        try:
            return list(
                consumer.get_watermark_offsets(TopicPartition(topic, partition), timeout=READ_TIMEOUT_S)
            )
        finally:
            consumer.close()

    def offset_for_timestamp(self, topic: str, partition: int, timestamp: int) -> int:
        from confluent_kafka import TopicPartition

        consumer = self._consumer()
        try:
            (found,) = consumer.offsets_for_times(
                [TopicPartition(topic, partition, timestamp)], timeout=READ_TIMEOUT_S
            )
            return int(found.offset)
        finally:
            consumer.close()

    def produce(
        self, topic: str, records: list[Record], *, codec: str = "none", idempotent: bool = False
    ) -> list[int]:
        from confluent_kafka import Producer

        offsets: dict[int, int] = {}

        def delivered(index: int) -> Callable[[Any, Any], None]:
            def report(error: Any, message: Any) -> None:
                assert error is None, error
                offsets[index] = message.offset()

            return report

        producer = Producer(
            {
                "bootstrap.servers": self.bootstrap,
                "compression.type": codec,
                "enable.idempotence": idempotent,
                "acks": "all" if idempotent else "1",
                "message.max.bytes": LIMIT_BYTES,
                "linger.ms": 5,
            }
        )
        for index, record in enumerate(records):
            producer.produce(
                topic,
                value=record.value,
                key=record.key,
                partition=record.partition,
                on_delivery=delivered(index),
                timestamp=record.timestamp,
                headers=list(record.headers),
            )
        assert producer.flush(READ_TIMEOUT_S) == 0
        return [offsets[index] for index in range(len(records))]

    def consume(self, topic: str, partition: int, offset: int, count: int) -> list[Record]:
        from confluent_kafka import TopicPartition

        consumer = self._consumer()
        found: list[Record] = []
        deadline = time.monotonic() + READ_TIMEOUT_S
        try:
            consumer.assign([TopicPartition(topic, partition, offset)])
            while len(found) < count and time.monotonic() < deadline:
                for message in consumer.consume(count - len(found), 0.5):
                    assert message.error() is None, message.error()
                    headers = tuple((name, content) for name, content in message.headers() or ())
                    found.append(
                        Record(
                            message.partition(),
                            message.key(),
                            message.value(),
                            headers,
                            message.timestamp()[1],
                            message.offset(),
                        )
                    )
        finally:
            consumer.close()
        return found


class KafkaPython(Adapter):
    """kafka-python 3; its producer refuses null header values, and records with neither a key nor a value."""

    name = "kafka-python"
    null_header_values = False
    null_records = False

    def __init__(self, bootstrap: str) -> None:
        facilities.require("python-snappy")
        super().__init__(bootstrap)
        from kafka import KafkaAdminClient

        self.admin = KafkaAdminClient(bootstrap_servers=bootstrap)

    def close(self) -> None:
        self.admin.close()

    def create_topic(self, topic: str, partitions: int, configs: dict[str, str]) -> None:
        options = {"num_partitions": partitions, "replication_factor": 1, "configs": configs}
        self.admin.create_topics({topic: options})

    def list_topics(self) -> list[str]:
        return list(self.admin.list_topics())

    def describe_topic(self, topic: str) -> list[dict[str, Any]]:
        (described,) = self.admin.describe_topics([topic])
        return [
            {
                "partition": partition["partition_index"],
                "leader": partition["leader_id"],
                "replicas": partition["replica_nodes"],
                "isr": partition["isr_nodes"],
            }
            for partition in sorted(described["partitions"], key=lambda p: p["partition_index"])
        ]

    def _resource(self, topic: str, configs: dict[str, str] | None = None) -> Any:
        from kafka.admin import ConfigResource, ConfigResourceType

        return ConfigResource(ConfigResourceType.TOPIC, topic, configs=configs)

    def describe_config(self, topic: str) -> dict[str, str]:
        described = self.admin.describe_configs([self._resource(topic)], config_filter="all")
        return {name: entry["value"] for name, entry in described["topic"][topic].items()}

    def alter_config(self, topic: str, configs: dict[str, str]) -> None:
        answer = self.admin.alter_configs([self._resource(topic, configs)])
        assert answer == {"topic": {topic: "OK"}}

    def create_partitions(self, topic: str, total: int) -> None:
        self.admin.create_partitions({topic: total})

    def delete_records(self, topic: str, partition: int, offset: int) -> int:
        from kafka import TopicPartition

        one = TopicPartition(topic, partition)
        return int(self.admin.delete_records({one: offset})[one]["low_watermark"])

    def delete_topic(self, topic: str) -> None:
        self.admin.delete_topics([topic])

    def describe_cluster(self) -> dict[str, Any]:
        described = self.admin.describe_cluster()
        return {
            "cluster_id": described["cluster_id"],
            "controller": described["controller_id"],
            "nodes": [[node["broker_id"], node["host"], node["port"]] for node in described["brokers"]],
        }

    def _consumer(self) -> Any:
        from kafka import KafkaConsumer

        return KafkaConsumer(
            bootstrap_servers=self.bootstrap,
            group_id=None,
            enable_auto_commit=False,
            max_partition_fetch_bytes=LIMIT_BYTES,
            fetch_max_wait_ms=FETCH_WAIT_MS,
        )

    def offsets(self, topic: str, partition: int) -> list[int]:
        from kafka import TopicPartition

        one = TopicPartition(topic, partition)
        consumer = self._consumer()
        try:
            return [consumer.beginning_offsets([one])[one], consumer.end_offsets([one])[one]]
        finally:
            consumer.close()

    def offset_for_timestamp(self, topic: str, partition: int, timestamp: int) -> int:
        from kafka import TopicPartition

        one = TopicPartition(topic, partition)
        consumer = self._consumer()
        try:
            found = consumer.offsets_for_times({one: timestamp})[one]
            return -1 if found is None else int(found.offset)
        finally:
            consumer.close()

    def produce(
        self, topic: str, records: list[Record], *, codec: str = "none", idempotent: bool = False
    ) -> list[int]:
        from kafka import KafkaProducer

        producer = KafkaProducer(
            bootstrap_servers=self.bootstrap,
            compression_type=None if codec == "none" else codec,
            enable_idempotence=idempotent,
            acks="all" if idempotent else 1,
            max_request_size=LIMIT_BYTES,
            linger_ms=5,
        )
        try:
            futures = [
                producer.send(
                    topic,
                    value=record.value,
                    key=record.key,
                    partition=record.partition,
                    headers=list(record.headers),
                    timestamp_ms=record.timestamp,
                )
                for record in records
            ]
            producer.flush(timeout=READ_TIMEOUT_S)
            return [future.get(READ_TIMEOUT_S).offset for future in futures]
        finally:
            producer.close()

    def consume(self, topic: str, partition: int, offset: int, count: int) -> list[Record]:
        from kafka import TopicPartition

        one = TopicPartition(topic, partition)
        consumer = self._consumer()
        found: list[Record] = []
        deadline = time.monotonic() + READ_TIMEOUT_S
        try:
            consumer.assign([one])
            if offset == EARLIEST:
                consumer.seek_to_beginning(one)
            else:
                consumer.seek(one, offset)
            while len(found) < count and time.monotonic() < deadline:
                polled = consumer.poll(timeout_ms=500, max_records=count - len(found))
                found.extend(_from_python_client(message) for message in polled.get(one, ()))
        finally:
            consumer.close()
        return found


def _from_python_client(message: Any) -> Record:
    headers = tuple((name, content) for name, content in message.headers)
    return Record(message.partition, message.key, message.value, headers, message.timestamp, message.offset)


class AioKafka(Adapter):
    """aiokafka; its producer refuses a record that has neither a key nor a value."""

    name = "aiokafka"
    null_records = False

    def __init__(self, bootstrap: str) -> None:
        super().__init__(bootstrap)
        self.loop = asyncio.new_event_loop()
        self.admin: Any = self._run(self._start_admin())

    def close(self) -> None:
        self._run(self.admin.close())
        self.loop.close()

    def _run(self, work: Coroutine[Any, Any, Any]) -> Any:
        return self.loop.run_until_complete(asyncio.wait_for(work, READ_TIMEOUT_S + 10))

    async def _start_admin(self) -> Any:
        from aiokafka.admin import AIOKafkaAdminClient

        admin = AIOKafkaAdminClient(bootstrap_servers=self.bootstrap)
        await admin.start()
        return admin

    @staticmethod
    def _check(errors: Iterable[tuple[Any, ...]]) -> None:
        for entry in errors:
            assert entry[1] == 0, entry

    def create_topic(self, topic: str, partitions: int, configs: dict[str, str]) -> None:
        from aiokafka.admin import NewTopic

        new = NewTopic(topic, partitions, 1, topic_configs=configs)
        self._check(self._run(self.admin.create_topics([new])).topic_errors)

    def list_topics(self) -> list[str]:
        return list(self._run(self.admin.list_topics()))

    def describe_topic(self, topic: str) -> list[dict[str, Any]]:
        (described,) = self._run(self.admin.describe_topics([topic]))
        return [
            {
                "partition": partition["partition"],
                "leader": partition["leader"],
                "replicas": partition["replicas"],
                "isr": partition["isr"],
            }
            for partition in sorted(described["partitions"], key=lambda p: p["partition"])
        ]

    def _resource(self, topic: str, configs: dict[str, str] | None = None) -> Any:
        from aiokafka.admin.config_resource import ConfigResource, ConfigResourceType

        return ConfigResource(ConfigResourceType.TOPIC, topic, configs=configs)

    def describe_config(self, topic: str) -> dict[str, str]:
        (answer,) = self._run(self.admin.describe_configs([self._resource(topic)]))
        ((code, message, _, _, entries),) = answer.resources
        assert code == 0, message
        return {entry[0]: entry[1] for entry in entries}

    def alter_config(self, topic: str, configs: dict[str, str]) -> None:
        (answer,) = self._run(self.admin.alter_configs([self._resource(topic, configs)]))
        for code, message, *_ in answer.resources:
            assert code == 0, message

    def create_partitions(self, topic: str, total: int) -> None:
        from aiokafka.admin import NewPartitions

        self._check(self._run(self.admin.create_partitions({topic: NewPartitions(total)})).topic_errors)

    def delete_records(self, topic: str, partition: int, offset: int) -> int:
        from aiokafka import TopicPartition
        from aiokafka.admin.records_to_delete import RecordsToDelete

        one = TopicPartition(topic, partition)
        return int(self._run(self.admin.delete_records({one: RecordsToDelete(before_offset=offset)}))[one])

    def delete_topic(self, topic: str) -> None:
        self._check(self._run(self.admin.delete_topics([topic])).topic_error_codes)

    def describe_cluster(self) -> dict[str, Any]:
        described = self._run(self.admin.describe_cluster())
        return {
            "cluster_id": described["cluster_id"],
            "controller": described["controller_id"],
            "nodes": [[node["node_id"], node["host"], node["port"]] for node in described["brokers"]],
        }

    async def _with_consumer(self, work: Callable[[Any], Coroutine[Any, Any, Any]]) -> Any:
        from aiokafka import AIOKafkaConsumer

        consumer = AIOKafkaConsumer(
            bootstrap_servers=self.bootstrap,
            group_id=None,
            enable_auto_commit=False,
            max_partition_fetch_bytes=LIMIT_BYTES,
            fetch_max_wait_ms=FETCH_WAIT_MS,
        )
        await consumer.start()
        try:
            return await work(consumer)
        finally:
            await consumer.stop()

    def offsets(self, topic: str, partition: int) -> list[int]:
        from aiokafka import TopicPartition

        one = TopicPartition(topic, partition)

        async def ask(consumer: Any) -> list[int]:
            return [(await consumer.beginning_offsets([one]))[one], (await consumer.end_offsets([one]))[one]]

        return list(self._run(self._with_consumer(ask)))

    def offset_for_timestamp(self, topic: str, partition: int, timestamp: int) -> int:
        from aiokafka import TopicPartition

        one = TopicPartition(topic, partition)

        async def ask(consumer: Any) -> int:
            found = (await consumer.offsets_for_times({one: timestamp}))[one]
            return -1 if found is None else int(found.offset)

        return int(self._run(self._with_consumer(ask)))

    def produce(
        self, topic: str, records: list[Record], *, codec: str = "none", idempotent: bool = False
    ) -> list[int]:
        async def send() -> list[int]:
            from aiokafka import AIOKafkaProducer

            producer = AIOKafkaProducer(
                bootstrap_servers=self.bootstrap,
                compression_type=None if codec == "none" else codec,
                enable_idempotence=idempotent,
                acks="all" if idempotent else 1,
                max_request_size=LIMIT_BYTES,
                max_batch_size=4 * 1024 * 1024,
                linger_ms=5,
            )
            await producer.start()
            try:
                futures = [
                    await producer.send(
                        topic,
                        value=record.value,
                        key=record.key,
                        partition=record.partition,
                        timestamp_ms=record.timestamp,
                        headers=list(record.headers),
                    )
                    for record in records
                ]
                return [(await future).offset for future in futures]
            finally:
                await producer.stop()

        return list(self._run(send()))

    def consume(self, topic: str, partition: int, offset: int, count: int) -> list[Record]:
        from aiokafka import TopicPartition

        one = TopicPartition(topic, partition)

        async def read(consumer: Any) -> list[Record]:
            consumer.assign([one])
            if offset == EARLIEST:
                await consumer.seek_to_beginning(one)
            else:
                consumer.seek(one, offset)
            found: list[Record] = []
            deadline = time.monotonic() + READ_TIMEOUT_S
            while len(found) < count and time.monotonic() < deadline:
                fetched = await consumer.getmany(one, timeout_ms=500, max_records=count - len(found))
                found.extend(_from_python_client(message) for message in fetched.get(one, ()))
            return found

        return list(self._run(self._with_consumer(read)))


class ProgramAdapter(Adapter):
    """A client of another language in a helper program; the operations are those of programs.md."""

    def __init__(self, bootstrap: str, program: JsonProcess) -> None:
        super().__init__(bootstrap)
        self.program = program

    def call(self, op: str, **arguments: Any) -> Any:
        return self.program.call(op, bootstrap=self.bootstrap, **arguments)

    def create_topic(self, topic: str, partitions: int, configs: dict[str, str]) -> None:
        self.call("create_topic", topic=topic, partitions=partitions, configs=configs)

    def list_topics(self) -> list[str]:
        return list(self.call("list_topics"))

    def describe_topic(self, topic: str) -> list[dict[str, Any]]:
        return list(self.call("describe_topic", topic=topic))

    def describe_config(self, topic: str) -> dict[str, str]:
        return dict(self.call("describe_config", topic=topic))

    def alter_config(self, topic: str, configs: dict[str, str]) -> None:
        self.call("alter_config", topic=topic, configs=configs)

    def create_partitions(self, topic: str, total: int) -> None:
        self.call("create_partitions", topic=topic, total=total)

    def delete_records(self, topic: str, partition: int, offset: int) -> int:
        return int(self.call("delete_records", topic=topic, partition=partition, offset=offset))

    def delete_topic(self, topic: str) -> None:
        self.call("delete_topic", topic=topic)

    def describe_cluster(self) -> dict[str, Any]:
        return dict(self.call("describe_cluster"))

    def offsets(self, topic: str, partition: int) -> list[int]:
        return list(self.call("offsets", topic=topic, partition=partition))

    def offset_for_timestamp(self, topic: str, partition: int, timestamp: int) -> int:
        return int(self.call("offset_for_timestamp", topic=topic, partition=partition, timestamp=timestamp))

    def produce(
        self, topic: str, records: list[Record], *, codec: str = "none", idempotent: bool = False
    ) -> list[int]:
        sent = [r.to_json(record) for record in records]
        return list(self.call("produce", topic=topic, codec=codec, idempotent=idempotent, records=sent))

    def consume(self, topic: str, partition: int, offset: int, count: int) -> list[Record]:
        answer = self.call("consume", topic=topic, partition=partition, offset=offset, count=count)
        return [r.from_json(record) for record in answer]


class JavaClient(ProgramAdapter):
    """Apache Kafka's own client library, in the JVM that also runs its tools."""

    name = "java"


class FranzGo(ProgramAdapter):
    """franz-go."""

    name = "franz-go"

    def __init__(self, bootstrap: str, directory: Path) -> None:
        facilities.require("go")
        super().__init__(bootstrap, JsonProcess([str(interop.franz_go_binary())], directory / "franz-go.log"))

    def close(self) -> None:
        self.program.close()


class KafkaJs(ProgramAdapter):
    """kafkajs; its consumers always join a group, so records are read one level below (see
    node/scenario.js)."""

    name = "kafkajs"
    # It asks for the length of every header value.
    null_header_values = False

    def __init__(self, bootstrap: str, directory: Path) -> None:
        facilities.require("kafkajs")
        node = shutil.which("node")
        assert node is not None
        script = Path(__file__).parent / "node" / "scenario.js"
        modules = {"NODE_PATH": os.fspath(interop.kafkajs_directory() / "node_modules")}
        super().__init__(bootstrap, JsonProcess([node, str(script)], directory / "kafkajs.log", modules))

    def close(self) -> None:
        self.program.close()

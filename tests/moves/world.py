"""What a broker is filled with before another one takes its directory over, and how the two are compared.

In: a `Node` that runs. Out: topics of every codec and kind, transactions in every state, groups of both
protocols, configurations of every level; and a `Picture` of all of it as clients see it. What must hold: a
picture is complete (every record from log start to log end), so that equal pictures mean equal content.
"""

from __future__ import annotations

import time
from typing import Any, NamedTuple

from confluent_kafka import (
    OFFSET_BEGINNING,
    Consumer,
    ConsumerGroupTopicPartitions,
    KafkaError,
    KafkaException,
    Producer,
    TopicPartition,
)
from confluent_kafka.admin import (
    AdminClient,
    AlterConfigOpType,
    ConfigEntry,
    ConfigResource,
    NewTopic,
    OffsetSpec,
    ResourceType,
)

from tests.moves.node import Node
from tests.processes import KafkaTools, wait_until

TIMEOUT_S = 60
CODECS = ("none", "gzip", "snappy", "lz4", "zstd")
COMPACTED = "compacted"
# What takes part in no compaction must stay as it is, down to the timestamps.
CLEANED = {COMPACTED}
GROUPS = {"classic-group": "classic", "consumer-group": "consumer"}
QUICK = {"reconnect.backoff.ms": 50, "reconnect.backoff.max.ms": 200, "log_level": 0}

COORDINATOR_IS_NOT_READY = {14, 15, 16}

Key = tuple[str, int]
Row = tuple[int, tuple[int, int], bytes | None, bytes | None, Any]


class Picture(NamedTuple):
    """All that clients can see. Offsets are (log start, log end, last stable)."""

    records: dict[Key, list[Row]]
    committed: dict[Key, list[Row]]
    offsets: dict[Key, tuple[int, int, int]]
    group_offsets: dict[str, dict[Key, int]]
    group_types: dict[str, str]
    topics: dict[str, Any]
    broker: dict[str, Any]
    default: str


class World:
    """The clients of a node; they live through its changes."""

    def __init__(self, node: Node, tools: KafkaTools) -> None:
        self.node = node
        self.tools = tools
        self.base = {"bootstrap.servers": node.bootstrap, **QUICK}
        self.admin = AdminClient(self.base)
        self.idempotent = Producer({**self.base, "enable.idempotence": True, "linger.ms": 1})
        self.numbers = {0: 0, 1: 0}
        self.transactional = Producer({**self.base, "transactional.id": "crosses"})
        self.idle = Producer(
            {**self.base, "transactional.id": "left-open", "transaction.timeout.ms": 600_000}
        )
        self.last_values: dict[bytes, bytes | None] = {}
        self.written = 0
        self.turn = 0
        self.group_positions: dict[str, int] = {}

    # ---- filling ---------------------------------------------------------------------------------------

    def _done(self, futures: dict[Any, Any]) -> None:
        for future in futures.values():
            future.result(TIMEOUT_S)

    def fill(self) -> None:
        small = {"segment.bytes": "1048576", "index.interval.bytes": "512"}
        compact = {
            "cleanup.policy": "compact",
            "segment.ms": "100",
            "min.cleanable.dirty.ratio": "0.01",
            "delete.retention.ms": "600000",
        }
        topics = [NewTopic(codec, 2, 1, config=small) for codec in CODECS]
        topics += [
            NewTopic("idempotent", 2, 1, config={"segment.bytes": "1048576", "max.message.bytes": "900000"}),
            NewTopic("transactions", 2, 1),
            NewTopic("left-open", 1, 1),
            NewTopic("cut", 1, 1, config=small),
            NewTopic("gone", 2, 1, config={"retention.ms": "1000"}),
            NewTopic("append-time", 1, 1, config={"message.timestamp.type": "LogAppendTime"}),
            NewTopic(COMPACTED, 1, 1, config=compact),
        ]
        self._done(self.admin.create_topics(topics))
        for codec in CODECS:
            self._fill_codec(codec)
        producer = Producer(self.base)
        for number in range(30):
            producer.produce("cut", b"%d" % number)
            producer.produce("gone", b"%d" % number)
            producer.produce("append-time", b"%d" % number, timestamp=1_000)
        producer.flush(TIMEOUT_S)
        self._done(self.admin.delete_records([TopicPartition("cut", 0, 7)]))
        self._done(self.admin.delete_topics(["gone"]))
        self._configure()
        self.transactional.init_transactions(TIMEOUT_S)
        for turn in range(4):
            self._transaction(b"first %d" % turn, commit=turn % 2 == 0)
        self.idle.init_transactions(TIMEOUT_S)
        self.idle.begin_transaction()
        self.idle.produce("left-open", b"never")
        self.idle.flush(TIMEOUT_S)
        self.go_on()

    def _fill_codec(self, codec: str) -> None:
        producer = Producer({**self.base, "compression.type": codec, "linger.ms": 5, "batch.size": 40_000})
        for number in range(900):
            # More than a segment, little of it compressible.
            value = bytes((number * 7919 + i * i * 31 + (i ^ number) * 13) & 0xFF for i in range(50)) * 64
            producer.produce(
                codec,
                b"%d" % number + value,
                key=b"key %d" % (number % 50),
                partition=number % 2,
                headers=[("number", b"%d" % number), ("nothing", None), ("number", b"")],
                timestamp=1_700_000_000_000 + number,
            )
            producer.poll(0)
        assert producer.flush(TIMEOUT_S) == 0

    def _configure(self) -> None:
        resource = ConfigResource(ResourceType.BROKER, "1")
        resource.add_incremental_config(
            ConfigEntry(
                "log.cleaner.io.max.bytes.per.second",
                "123456789",
                incremental_operation=AlterConfigOpType.SET,
            )
        )
        self._done(self.admin.incremental_alter_configs([resource]))
        self.tool(
            "--entity-type",
            "brokers",
            "--entity-default",
            "--alter",
            "--add-config",
            "message.max.bytes=987654",
        )
        self.tool(
            "--entity-type",
            "groups",
            "--entity-name",
            "consumer-group",
            "--alter",
            "--add-config",
            "consumer.session.timeout.ms=47000",
        )

    def configure_kafka_only(self) -> None:
        """What pybroker carries along without using it."""
        self.tool(
            "--entity-type",
            "clients",
            "--entity-default",
            "--alter",
            "--add-config",
            "producer_byte_rate=1000000000",
        )
        self.tool(
            "--entity-type",
            "users",
            "--entity-name",
            "ann",
            "--alter",
            "--add-config",
            "SCRAM-SHA-256=[iterations=4096,password=secret]",
        )

        self.tool(
            "--entity-type",
            "groups",
            "--entity-name",
            "share-group",
            "--alter",
            "--add-config",
            "share.auto.offset.reset=earliest",
        )
        # A share group keeps its state in a topic of its own, and records among those of the other groups.
        out = self.tools.run(
            "org.apache.kafka.tools.consumer.ConsoleShareConsumer",
            "--bootstrap-server",
            self.node.bootstrap,
            *("--topic", "cut", "--group", "share-group", "--max-messages", "3", "--timeout-ms", "40000"),
        ).check()
        assert out.split() == ["7", "8", "9"]

    def kafka_only(self) -> list[str]:
        """What is there of it again when Apache Kafka runs."""
        described = self.tools.run(
            "org.apache.kafka.tools.consumer.group.ShareGroupCommand",
            "--bootstrap-server",
            self.node.bootstrap,
            *("--describe", "--offsets", "--group", "share-group"),
        ).check()
        assert "share-group" in described
        return [
            self.tool("--entity-type", "clients", "--entity-default", "--describe"),
            self.tool("--entity-type", "users", "--entity-name", "ann", "--describe"),
            described,
        ]

    def tool(self, *arguments: str) -> str:
        return self.tools.run("ConfigCommand", "--bootstrap-server", self.node.bootstrap, *arguments).check()

    # ---- going on --------------------------------------------------------------------------------------

    def _transaction(self, value: bytes, *, commit: bool) -> None:
        self.transactional.begin_transaction()
        for partition in (0, 1):
            self.transactional.produce("transactions", value, partition=partition)
        if commit:
            self.transactional.commit_transaction(TIMEOUT_S)
        else:
            assert self.transactional.flush(TIMEOUT_S) == 0
            self.transactional.abort_transaction(TIMEOUT_S)

    def go_on(self) -> None:
        """More of everything, by the same clients. Leaves a transaction open, which the next turn ends:
        every other one is committed."""
        if self.turn:
            if self.turn % 2:
                self.transactional.commit_transaction(TIMEOUT_S)
            else:
                self.transactional.abort_transaction(TIMEOUT_S)
        self.turn += 1
        self._transaction(b"whole %d" % self.turn, commit=True)
        errors: list[KafkaError] = []
        for _ in range(20):
            for partition in self.numbers:
                self.idempotent.produce(
                    "idempotent",
                    b"%d" % self.numbers[partition],
                    partition=partition,
                    on_delivery=lambda error, _: errors.append(error) if error else None,
                )
                self.numbers[partition] += 1
            self.idempotent.poll(0)
        assert self.idempotent.flush(TIMEOUT_S) == 0
        assert not errors, errors
        self.compactable()
        for group, protocol in GROUPS.items():
            self._consume(group, protocol)
        self.transactional.begin_transaction()
        self.transactional.produce("transactions", b"open %d" % self.turn, partition=0)
        assert self.transactional.flush(TIMEOUT_S) == 0

    def compactable(self) -> None:
        """Keys written over and over, and a few deleted, in several segments."""
        producer = Producer(self.base)
        for _ in range(4):
            for number in range(40):
                key = b"key %d" % (number % 17)
                value = None if (number + self.written) % 11 == 0 else b"value %d" % self.written
                self.written += 1
                producer.produce(COMPACTED, value, key=key)
                self.last_values[key] = value
            assert producer.flush(TIMEOUT_S) == 0
            time.sleep(0.11)

    def wait_for_compaction(self) -> None:
        """Until the running broker's cleaner has removed all that was superseded."""
        partition = TopicPartition(COMPACTED, 0)
        key = (COMPACTED, 0)
        end = self._offsets([partition])[key][1]
        self.compactable()

        def done() -> bool:
            rows = self.read([partition], "read_uncommitted")[key]
            return all(row[0] >= end for row in rows)

        wait_until(done, "compaction", TIMEOUT_S, 0.3)

    def _consume(self, group: str, protocol: str) -> None:
        """Ten more records by a member of the group, which commits and leaves."""
        settings = {
            **self.base,
            "group.id": group,
            "group.protocol": protocol,
            "enable.auto.commit": False,
            "auto.offset.reset": "earliest",
        }
        consumer = Consumer(settings)
        consumer.subscribe(["cut"])
        expected = self.group_positions.get(group, 7)
        deadline = time.monotonic() + TIMEOUT_S
        found: list[int] = []
        while len(found) < 2:
            assert time.monotonic() < deadline, f"{group} reads nothing"
            found += [
                message.offset() for message in consumer.consume(2 - len(found), 0.5) if not message.error()
            ]
        assert found == [expected, expected + 1]
        self.group_positions[group] = expected + 2
        consumer.commit(offsets=[TopicPartition("cut", 0, expected + 2)], asynchronous=False)
        consumer.close()

    # ---- looking ---------------------------------------------------------------------------------------

    def picture(self) -> Picture:
        # A new one each time: librdkafka 2.16's may never find its coordinator again after a restart.
        self.admin = AdminClient(self.base)
        topics = {
            name: len(topic.partitions)
            for name, topic in self.admin.list_topics(timeout=TIMEOUT_S).topics.items()
        }
        partitions = [TopicPartition(name, index) for name, count in topics.items() for index in range(count)]
        plain = [p for p in partitions if not p.topic.startswith("__")]
        resources = [ConfigResource(ResourceType.TOPIC, name) for name in topics]
        described = self.admin.describe_configs([*resources, ConfigResource(ResourceType.BROKER, "1")])
        configs = {resource: future.result(TIMEOUT_S) for resource, future in described.items()}
        return Picture(
            records=self.read(plain, "read_uncommitted"),
            committed=self.read(plain, "read_committed"),
            offsets=self._offsets(plain),
            group_offsets={group: self._group_offsets(group) for group in GROUPS},
            group_types=self._group_types(),
            topics={
                resource.name: (
                    topics[resource.name],
                    {name: entry.value for name, entry in values.items() if entry.source == 1},
                )
                for resource, values in configs.items()
                if resource.restype == ResourceType.TOPIC and not resource.name.startswith("__")
            },
            broker={
                name: (entry.value, entry.source)
                for resource, values in configs.items()
                if resource.restype == ResourceType.BROKER
                for name, entry in values.items()
                if entry.source in (2, 3)
            },
            default=self.tool("--entity-type", "groups", "--entity-name", "consumer-group", "--describe"),
        )

    def _offsets(self, partitions: list[TopicPartition]) -> dict[Key, tuple[int, int, int]]:
        found = []
        for spec, level in (
            (OffsetSpec.earliest(), 0),
            (OffsetSpec.latest(), 0),
            (OffsetSpec.latest(), 1),
        ):
            from confluent_kafka import IsolationLevel

            isolation = IsolationLevel.READ_COMMITTED if level else IsolationLevel.READ_UNCOMMITTED
            futures = self.admin.list_offsets(
                {TopicPartition(p.topic, p.partition): spec for p in partitions}, isolation_level=isolation
            )
            found.append(
                {(p.topic, p.partition): future.result(TIMEOUT_S).offset for p, future in futures.items()}
            )
        return {key: (found[0][key], found[1][key], found[2][key]) for key in found[0]}

    def _group_offsets(self, group: str) -> dict[Key, int]:
        def attempt() -> dict[Key, int] | None:
            (future,) = self.admin.list_consumer_group_offsets([ConsumerGroupTopicPartitions(group)]).values()
            try:
                answer = future.result(TIMEOUT_S)
            except KafkaException as error:
                # A coordinator that has just come up reads its log first.
                if error.args[0].code() in COORDINATOR_IS_NOT_READY:
                    return None
                raise
            return {(p.topic, p.partition): p.offset for p in answer.topic_partitions if not p.error} or None

        return wait_until(attempt, f"offsets of {group}")

    def _group_types(self) -> dict[str, str]:
        answer = self.admin.list_consumer_groups().result(TIMEOUT_S)
        assert not answer.errors, answer.errors
        return {group.group_id: str(group.type) for group in answer.valid if group.group_id in GROUPS}

    def read(self, partitions: list[TopicPartition], isolation: str) -> dict[Key, list[Row]]:
        """Every record of the partitions, from the log start up to where nothing more is shown."""
        consumer = Consumer(
            {
                **self.base,
                "group.id": "reader",
                "isolation.level": isolation,
                "enable.auto.commit": False,
                "enable.partition.eof": True,
                "auto.offset.reset": "error",
                "fetch.wait.max.ms": 50,
            }
        )
        found: dict[Key, list[Row]] = {(p.topic, p.partition): [] for p in partitions}
        consumer.assign([TopicPartition(p.topic, p.partition, OFFSET_BEGINNING) for p in partitions])
        left = set(found)
        deadline = time.monotonic() + TIMEOUT_S
        while left:
            assert time.monotonic() < deadline, f"no end of {left}"
            for message in consumer.consume(1000, 0.2):
                key = (message.topic(), message.partition())
                error = message.error()
                if error is None:
                    row = message.offset(), message.timestamp(), message.key(), message.value()
                    found[key].append((*row, message.headers()))
                elif error.code() == KafkaError._PARTITION_EOF:
                    left.discard(key)
                else:
                    raise AssertionError(f"{key}: {error}")
        consumer.close()
        return found

    # ---- checking --------------------------------------------------------------------------------------

    def check_content(self, picture: Picture) -> None:
        """What was written by our own clients is there once, in order."""
        for partition, count in self.numbers.items():
            values = [row[3] for row in picture.records["idempotent", partition]]
            assert values == [b"%d" % number for number in range(count)]
        values = [row[3] for row in picture.committed["transactions", 0]]
        expected = [b"first 0", b"first 2"]
        for turn in range(1, self.turn + 1):
            expected.append(b"whole %d" % turn)
            if turn % 2 and turn < self.turn:
                expected.append(b"open %d" % turn)
        assert values == expected
        assert picture.committed["left-open", 0] == []
        last = {row[2]: row[3] for row in picture.records[COMPACTED, 0]}
        assert {key: value for key, value in last.items() if value is not None} == {
            key: value for key, value in self.last_values.items() if value is not None
        }
        for group, position in self.group_positions.items():
            assert picture.group_offsets[group] == {("cut", 0): position}


def assert_same(before: Picture, after: Picture) -> None:
    """The second broker shows what the first one showed; only compaction may have gone on."""
    for name in ("records", "committed"):
        old, new = getattr(before, name), getattr(after, name)
        assert old.keys() == new.keys()
        for key in old:
            if key[0] in CLEANED:
                assert set(map(str, new[key])) <= set(map(str, old[key])), key
            else:
                assert old[key] == new[key], (name, key, len(old[key]), len(new[key]))
    for name in ("offsets", "group_offsets", "group_types", "topics", "broker", "default"):
        assert getattr(before, name) == getattr(after, name), name

"""Consumer groups of real clients: members that join, leave, crash and pause under load; Kafka's group tools.

Every assignor, eager and cooperative, and static members, with confluent-kafka; one group each in kafka-python and
aiokafka; franz-go's own group tests; kafka-consumer-groups, the console consumer and VerifiableConsumer.
"""

from __future__ import annotations

import asyncio
import json
import os
import re
import subprocess
import threading
import time
from collections import Counter
from collections.abc import Callable
from typing import Any

import pytest

from tests import facilities
from tests.clients import records as r
from tests.clients.adapters import ConfluentKafka
from tests.processes import KafkaTools, Server, die_with_parent, wait_until
from tools import interop

pytestmark = [pytest.mark.interop, pytest.mark.timeout(120)]

PARTITIONS = 6
WAIT_S = 60.0
# What librdkafka says of a consumer that did not poll for too long.
PAUSED = "_MAX_POLL_EXCEEDED"


class Load:
    """Writes numbered records without a pause, until it is told to stop."""

    def __init__(self, bootstrap: str, topic: str) -> None:
        from confluent_kafka import Producer

        self.topic = topic
        self.count = 0
        # Else a record whose answer was lost with the broker is there twice.
        self._producer = Producer(
            {"bootstrap.servers": bootstrap, "linger.ms": 5, "enable.idempotence": True}
        )
        self._stopped = threading.Event()
        self._thread = threading.Thread(target=self._run, daemon=True)
        self._thread.start()

    def _run(self) -> None:
        while not self._stopped.wait(0.002):
            self._producer.produce(self.topic, b"%d" % self.count, partition=self.count % PARTITIONS)
            self.count += 1
            self._producer.poll(0)

    def stop(self) -> int:
        """How many records were written."""
        self._stopped.set()
        self._thread.join()
        assert self._producer.flush(30) == 0
        return self.count


class Member:
    """A consumer in a thread of its own; commits what it has handed on."""

    def __init__(self, bootstrap: str, topic: str, group: str, seen: Counter[int], **settings: Any) -> None:
        from confluent_kafka import Consumer

        self.seen = seen
        self.owned: set[int] = set()
        self.cooperative = settings.get("partition.assignment.strategy") == "cooperative-sticky"
        self.errors: list[str] = []
        self._consumer = Consumer(
            {
                "bootstrap.servers": bootstrap,
                "group.id": group,
                "enable.auto.commit": False,
                "auto.offset.reset": "earliest",
                "session.timeout.ms": 6000,
                "heartbeat.interval.ms": 500,
                "fetch.wait.max.ms": 50,
                "log_level": 0,
                **settings,
            }
        )
        self._consumer.subscribe(
            [topic], on_assign=self._assigned, on_revoke=self._revoked, on_lost=self._lost
        )
        self._stopped = threading.Event()
        self.paused = threading.Event()
        self._thread = threading.Thread(target=self._run, daemon=True)
        self._thread.start()

    def _assigned(self, consumer: Any, partitions: Any) -> None:
        self.owned |= {partition.partition for partition in partitions}

    def _revoked(self, consumer: Any, partitions: Any) -> None:
        self.owned -= {partition.partition for partition in partitions}

    _lost = _revoked

    def _run(self) -> None:
        from confluent_kafka import KafkaException

        while not self._stopped.is_set():
            if self.paused.is_set():
                time.sleep(0.05)
                continue
            messages = self._consumer.consume(200, 0.1)
            for message in messages:
                if message.error() is not None:
                    self.errors.append(message.error().name())
                else:
                    self.seen[int(message.value())] += 1
            if messages:
                try:
                    self._consumer.commit(asynchronous=False)
                except KafkaException as error:
                    # Another member has the partitions now, or there was nothing to commit.
                    self.errors.append(error.args[0].name())

    def close(self) -> None:
        """Leave the group (a static member does not)."""
        self.crash()
        self._consumer.close()

    def crash(self) -> None:
        """Stop without a word: no poll, so at the latest max.poll.interval.ms tells the group."""
        self._stopped.set()
        self._thread.join()


def settled(members: list[Member]) -> bool:
    """Whether the members have all partitions, each once, and none is left over."""
    owned = [partition for member in members for partition in member.owned]
    return sorted(owned) == list(range(PARTITIONS)) and all(member.owned for member in members)


@pytest.mark.parametrize("strategy", ["range", "roundrobin", "cooperative-sticky"])
def test_members_come_and_go_under_load(broker: Server, topic_name: str, strategy: str) -> None:
    ConfluentKafka(broker.bootstrap).make_topic(topic_name, PARTITIONS)
    load = Load(broker.bootstrap, topic_name)
    seen: Counter[int] = Counter()

    def join(**settings: Any) -> Member:
        strategies = {"partition.assignment.strategy": strategy, "max.poll.interval.ms": 6000}
        return Member(broker.bootstrap, topic_name, topic_name, seen, **strategies, **settings)

    members = [join()]
    wait_until(lambda: settled(members), "the first member", WAIT_S)
    members += [join(), join()]
    wait_until(lambda: settled(members), "three members", WAIT_S)
    members.pop(0).close()
    wait_until(lambda: settled(members), "two members after one left", WAIT_S)
    paused, other = members
    paused.paused.set()
    wait_until(lambda: other.owned == set(range(PARTITIONS)), "the other one to have everything", WAIT_S)
    paused.paused.clear()
    wait_until(lambda: settled(members), "two members after the pause", WAIT_S)
    written = load.stop()
    wait_until(lambda: len(seen) == written, "every record to be read", WAIT_S)
    assert set(seen) == set(range(written))
    for member in members:
        member.close()
    expected = {"ILLEGAL_GENERATION", "UNKNOWN_MEMBER_ID", "REBALANCE_IN_PROGRESS", "_NO_OFFSET", PAUSED}
    assert {error for member in members for error in member.errors} <= expected


def test_static_members(broker: Server, topic_name: str) -> None:
    """One that restarts within its session gets its partitions back, and the others notice nothing."""
    ConfluentKafka(broker.bootstrap).make_topic(topic_name, PARTITIONS)
    load = Load(broker.bootstrap, topic_name)
    seen: Counter[int] = Counter()

    def join(name: str) -> Member:
        settings = {"group.instance.id": name, "session.timeout.ms": 30000}
        return Member(broker.bootstrap, topic_name, topic_name, seen, **settings)

    one, two = join("one"), join("two")
    wait_until(lambda: settled([one, two]), "two static members", WAIT_S)
    before = set(two.owned), set(one.owned)
    two.close()
    assert set(one.owned) == before[1]
    two = join("two")
    wait_until(lambda: two.owned == before[0], "the partitions to be given back", WAIT_S)
    assert set(one.owned) == before[1]
    written = load.stop()
    wait_until(lambda: len(seen) == written, "every record to be read", WAIT_S)
    one.close()
    two.close()


def test_committed_offsets_survive_a_kill(start_broker: Callable[..., Server], topic_name: str) -> None:
    from confluent_kafka import Consumer, TopicPartition

    server = start_broker(**{"group.initial.rebalance.delay.ms": "0"})
    ConfluentKafka(server.bootstrap).make_topic(topic_name, PARTITIONS)
    load = Load(server.bootstrap, topic_name)
    seen: Counter[int] = Counter()
    members = [Member(server.bootstrap, topic_name, "g", seen) for _ in range(2)]
    wait_until(lambda: settled(members), "two members", WAIT_S)
    for _ in range(2):
        already = len(seen)
        wait_until(lambda already=already: len(seen) > already + 200, "some progress", WAIT_S)
        server.kill()
        server.start()
    already = len(seen)
    wait_until(lambda: len(seen) > already + 200, "progress after the restart", WAIT_S)
    written = load.stop()
    wait_until(lambda: len(seen) == written, "every record to be read", WAIT_S)
    for member in members:
        member.close()
    consumer = Consumer({"bootstrap.servers": server.bootstrap, "group.id": "g"})
    partitions = [TopicPartition(topic_name, index) for index in range(PARTITIONS)]
    assert sum(found.offset for found in consumer.committed(partitions, WAIT_S)) == written
    consumer.close()


def test_kafka_python_and_aiokafka(broker: Server, topic_name: str) -> None:
    """Two members of one group each; together they read everything, and continue where they were."""
    facilities.require("python-snappy")
    from aiokafka import AIOKafkaConsumer
    from kafka import KafkaConsumer

    from tests.clients import kafka_python_joins, kafka_python_metadata

    kafka_python_joins.install()
    kafka_python_metadata.install()
    client = ConfluentKafka(broker.bootstrap)
    client.make_topic(topic_name, 4)
    records = r.mixed_records(80, 4)
    client.produce(topic_name, records)

    consumers = [
        KafkaConsumer(
            topic_name,
            bootstrap_servers=broker.bootstrap,
            group_id=f"{topic_name}-kafka-python",
            auto_offset_reset="earliest",
            session_timeout_ms=6000,
            heartbeat_interval_ms=500,
        )
        for _ in range(2)
    ]
    found: Counter[tuple[int, int]] = Counter()
    deadline = time.monotonic() + WAIT_S
    while len(found) < len(records) or not all(len(c.assignment()) == 2 for c in consumers):
        assert time.monotonic() < deadline
        for consumer in consumers:
            for messages in consumer.poll(timeout_ms=100).values():
                found.update((message.partition, message.offset) for message in messages)
    for consumer in consumers:
        consumer.close()

    async def read() -> None:
        members = [
            AIOKafkaConsumer(
                topic_name,
                bootstrap_servers=broker.bootstrap,
                group_id=f"{topic_name}-aiokafka",
                auto_offset_reset="earliest",
                session_timeout_ms=6000,
                heartbeat_interval_ms=500,
                metadata_max_age_ms=1000,
            )
            for _ in range(2)
        ]
        for member in members:
            await member.start()
        got: Counter[tuple[int, int]] = Counter()
        async with asyncio.timeout(WAIT_S):
            while len(got) < len(records) or not all(len(member.assignment()) == 2 for member in members):
                for member in members:
                    for messages in (await member.getmany(timeout_ms=100)).values():
                        got.update((message.partition, message.offset) for message in messages)
        for member in members:
            await member.commit()
            await member.stop()

    asyncio.run(read())


# Kafka's tools


@pytest.fixture
def groups_tool(kafka: KafkaTools, broker: Server) -> Callable[..., str]:
    def run(*arguments: str, status: int = 0) -> str:
        result = kafka.run("ConsumerGroupCommand", "--bootstrap-server", broker.bootstrap, *arguments)
        assert result.status == status, result.out + result.err
        return result.out + result.err

    return run


def test_kafka_consumer_groups(
    groups_tool: Callable[..., str], kafka: KafkaTools, broker: Server, topic_name: str
) -> None:
    client = ConfluentKafka(broker.bootstrap)
    client.make_topic(topic_name, 1)
    client.produce(topic_name, r.mixed_records(20, 1))
    group = f"group-{topic_name}"
    kafka.run(
        "ConsoleConsumer",
        *("--bootstrap-server", broker.bootstrap, "--topic", topic_name, "--group", group),
        *("--from-beginning", "--max-messages", "20"),
    ).check()
    wait_until(lambda: re.search(rf"{group}\s+Empty", groups_tool("--list", "--state")), "the group to empty")
    assert re.search(rf"{group}\s+classic", groups_tool("--list", "--type"), re.IGNORECASE)
    described = groups_tool("--describe", "--group", group)
    assert re.search(rf"{topic_name}\s+0\s+(-\s+)?20\s+20\s+0", described)
    seen: Counter[int] = Counter()
    client.produce(topic_name, [r.Record(0, None, b"%d" % i) for i in range(5)])
    member = Member(broker.bootstrap, topic_name, group, seen)
    wait_until(lambda: member.owned, "the member")
    state = groups_tool("--describe", "--group", group, "--state")
    assert re.search(rf"{group}\s+\S+\s+\(\d+\)\s+range\s+Stable\s+1", state)
    assert "/127.0.0.1" in groups_tool("--describe", "--group", group, "--members", "--verbose")
    reset = ("--reset-offsets", "--group", group, "--topic", topic_name, "--execute")
    assert "can only be reset if the group" in groups_tool(*reset, "--to-earliest")
    assert "The group is not empty" in groups_tool("--delete", "--group", group)
    wait_until(lambda: len(seen) == 5, "the records")
    member.close()
    assert re.search(rf"{topic_name}\s+0\s+7", groups_tool(*reset, "--to-offset", "7"))
    assert re.search(rf"{topic_name}\s+0\s+0", groups_tool(*reset, "--to-earliest"))
    assert re.search(rf"{topic_name}\s+0\s+25", groups_tool(*reset, "--to-latest"))
    assert re.search(rf"{topic_name}\s+0\s+22", groups_tool(*reset, "--shift-by", "-3"))
    deleted = groups_tool("--delete-offsets", "--group", group, "--topic", topic_name)
    assert "Successful" in deleted
    assert "Deletion of requested consumer groups" in groups_tool("--delete", "--group", group)
    assert group not in groups_tool("--list").split()


def test_verifiable_consumer(kafka: KafkaTools, broker: Server, topic_name: str) -> None:
    client = ConfluentKafka(broker.bootstrap)
    client.make_topic(topic_name, 2)
    client.produce(topic_name, r.mixed_records(100, 2))
    out = kafka.run_apart(
        "VerifiableConsumer",
        *("--bootstrap-server", broker.bootstrap, "--topic", topic_name, "--group-id", topic_name),
        *("--reset-policy", "earliest", "--max-messages", "100"),
    ).check()
    events = [json.loads(line) for line in out.splitlines() if line.startswith("{")]
    assert sum(event["count"] for event in events if event["name"] == "records_consumed") == 100
    committed = [event for event in events if event["name"] == "offsets_committed"]
    assert committed
    assert all(event["success"] for event in committed)
    assert {event["name"] for event in events} >= {"partitions_assigned", "partitions_revoked"}


# franz-go; the two with ETL run its assignors, static members and the consumer protocol, the second in transactions.
FRANZ_GO_TESTS = (
    "TestGroupSimple",
    "TestIssue337",
    "TestConsumeRegex",
    "Test848RegexBrokerResolves",
    "TestGroupETL",
    "TestTxnEtl",
)


@pytest.fixture(scope="module")
def franz_go_tests() -> str:
    facilities.require("franz-go-tests")
    return str(interop.franz_go_tests_binary())


@pytest.mark.slow
@pytest.mark.timeout(400)
@pytest.mark.parametrize("name", FRANZ_GO_TESTS)
def test_franz_go_s_own_tests(franz_go_tests: str, broker: Server, name: str) -> None:
    result = subprocess.run(
        [franz_go_tests, "-test.run", f"^{name}$", "-test.v", "-test.timeout", "300s"],
        env={
            **os.environ,
            "KGO_SEEDS": broker.bootstrap,
            "KGO_TEST_RF": "1",
            "KGO_TEST_RECORDS": os.environ.get("PYBROKER_FRANZ_GO_RECORDS", "5000"),
            "KGO_LOG_LEVEL": "none",
        },
        capture_output=True,
        text=True,
        stdin=subprocess.DEVNULL,
        preexec_fn=die_with_parent,
    )
    assert result.returncode == 0, result.stdout[-4000:] + result.stderr[-2000:]
    assert f"--- PASS: {name}" in result.stdout

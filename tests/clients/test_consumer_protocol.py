"""The consumer protocol (KIP-848) with real clients: confluent-kafka, Java's console consumer and group tool.

Classic and consumer members share a group while it is rolled from one protocol to the other and back, under
load: every record is delivered, and at rest every partition has one owner.
"""

from __future__ import annotations

import threading
import time

import pytest
from confluent_kafka import Consumer, KafkaError, Producer
from confluent_kafka.admin import AdminClient, NewTopic

from tests.conftest import make_server
from tests.processes import wait_until

# Heartbeats every 5 s, as by default, would make every step of these tests take that long.
QUICK = {
    "group.initial.rebalance.delay.ms": "0",
    "group.consumer.heartbeat.interval.ms": "500",
    "group.consumer.min.heartbeat.interval.ms": "500",
    "group.consumer.assignment.interval.ms": "100",
}


@pytest.fixture(scope="module")
def quick(pytestconfig, tmp_path_factory):
    """A broker of these tests alone."""
    server = make_server(pytestconfig, tmp_path_factory.mktemp("quick"), dict(QUICK))
    yield server
    server.stop()


def make_topic(bootstrap, name, partitions):
    admin = AdminClient({"bootstrap.servers": bootstrap})
    admin.create_topics([NewTopic(name, partitions, 1)])[name].result(20)


class Member:
    """A consumer that polls in a thread of its own until it is closed."""

    def __init__(self, bootstrap, group, topic, *, protocol="consumer", **config):
        settings = {
            "bootstrap.servers": bootstrap,
            "group.id": group,
            "group.protocol": protocol,
            "auto.offset.reset": "earliest",
            **{name.replace("_", "."): value for name, value in config.items()},
        }
        if protocol == "classic":
            # Not cooperative-sticky: librdkafka's puts user data into assignments, which no upgrade accepts.
            settings.setdefault("partition.assignment.strategy", "range")
            settings.setdefault("session.timeout.ms", 6_000)
            settings.setdefault("heartbeat.interval.ms", 500)
        self.consumer = Consumer(settings)
        self.values = []
        self.errors = []
        self.owned = frozenset()
        self._stop = threading.Event()
        self.consumer.subscribe([topic])
        self._thread = threading.Thread(target=self._run, daemon=True)
        self._thread.start()

    def _run(self):
        while not self._stop.is_set():
            message = self.consumer.poll(0.1)
            self.owned = frozenset(entry.partition for entry in self.consumer.assignment())
            if message is None:
                continue
            if message.error() is None:
                self.values.append(message.value())
            elif message.error().code() != KafkaError._PARTITION_EOF:
                self.errors.append(message.error())
        self.consumer.close()

    def close(self):
        self._stop.set()
        self._thread.join(30)
        assert not self._thread.is_alive()


class Load:
    """Numbered records all the time."""

    def __init__(self, bootstrap, topic):
        self.producer = Producer({"bootstrap.servers": bootstrap, "linger.ms": 5})
        self.topic = topic
        self.sent = 0
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._run, daemon=True)
        self._thread.start()

    def _run(self):
        while not self._stop.is_set():
            self.producer.produce(self.topic, str(self.sent).encode())
            self.sent += 1
            self.producer.poll(0)
            time.sleep(0.005)
        self.producer.flush(20)

    def stop(self):
        self._stop.set()
        self._thread.join(30)
        return self.sent


def shared_out(members, partitions):
    """Whether the members own all partitions, each once and evenly."""
    owned = [partition for member in members for partition in member.owned]
    sizes = [len(member.owned) for member in members]
    return sorted(owned) == list(range(partitions)) and max(sizes) - min(sizes) <= 1


def describe(kafka, bootstrap, group, *what):
    result = kafka.run(
        "ConsumerGroupCommand", "--bootstrap-server", bootstrap, "--describe", "--group", group, *what
    )
    return result.check()


def test_members_come_and_go(quick, topic_name):
    make_topic(quick.bootstrap, topic_name, 6)
    load = Load(quick.bootstrap, topic_name)
    group = f"g-{topic_name}"
    members = [Member(quick.bootstrap, group, topic_name) for _ in range(2)]
    wait_until(lambda: shared_out(members, 6), "two members share", 40)
    members.append(Member(quick.bootstrap, group, topic_name))
    wait_until(lambda: shared_out(members, 6), "three members share", 40)
    gone = members.pop(0)
    gone.close()
    wait_until(lambda: shared_out(members, 6), "the rest share", 40)
    sent = load.stop()
    everybody = [gone, *members]

    def seen():
        return {value for member in everybody for value in member.values}

    wait_until(lambda: len(seen()) == sent, "all records", 30)
    for member in members:
        member.close()
    assert [error for member in everybody for error in member.errors] == []
    # Delivered twice is what was not committed when a partition moved: never much.
    assert sum(len(member.values) for member in everybody) < sent * 1.5


def test_regular_expression_and_static_members(quick, topic_name):
    make_topic(quick.bootstrap, f"{topic_name}-one", 2)
    group = f"g-{topic_name}"
    first = Member(quick.bootstrap, group, f"^{topic_name}-.*", **{"group.instance.id": "i1"})
    wait_until(lambda: len(first.owned) == 2, "the first topic", 40)
    first.close()
    again = Member(quick.bootstrap, group, f"^{topic_name}-.*", **{"group.instance.id": "i1"})
    wait_until(lambda: len(again.owned) == 2, "the same partitions again", 40)
    again.close()


@pytest.mark.interop
def test_tools_see_the_group(quick, kafka, topic_name):
    make_topic(quick.bootstrap, topic_name, 4)
    group = f"g-{topic_name}"
    producer = Producer({"bootstrap.servers": quick.bootstrap})
    for number in range(40):
        producer.produce(topic_name, str(number).encode(), partition=number % 4)
    producer.flush(20)
    java = kafka.run(
        "ConsoleConsumer",
        "--bootstrap-server",
        quick.bootstrap,
        "--topic",
        topic_name,
        "--group",
        group,
        "--from-beginning",
        "--max-messages",
        "40",
        "--timeout-ms",
        "30000",
        "--command-property",
        "group.protocol=consumer",
    )
    assert sorted(int(line) for line in java.check().split()) == list(range(40))
    member = Member(quick.bootstrap, group, topic_name, **{"client.id": "seen"})
    wait_until(lambda: len(member.owned) == 4, "assignment", 40)
    state = describe(kafka, quick.bootstrap, group, "--state")
    assert "Stable" in state
    assert "uniform" in state
    shown = describe(kafka, quick.bootstrap, group, "--members", "--verbose")
    assert "seen" in shown
    assert f"{topic_name}:0,1,2,3" in shown.replace("(", ":").replace(")", "")
    offsets = describe(kafka, quick.bootstrap, group, "--offsets")
    assert offsets.count(topic_name) >= 4
    listed = kafka.run(
        "ConsumerGroupCommand",
        "--bootstrap-server",
        quick.bootstrap,
        "--list",
        "--type",
        "consumer",
        "--state",
    ).check()
    assert group in listed
    member.close()
    deleted = kafka.run(
        "ConsumerGroupCommand", "--bootstrap-server", quick.bootstrap, "--delete", "--group", group
    ).check()
    assert "successful" in deleted


@pytest.mark.slow
def test_rolling_from_classic_to_consumer_and_back_under_load(quick, topic_name):
    make_topic(quick.bootstrap, topic_name, 4)
    load = Load(quick.bootstrap, topic_name)
    group = f"g-{topic_name}"
    everybody = []

    def start(protocol):
        member = Member(quick.bootstrap, group, topic_name, protocol=protocol)
        everybody.append(member)
        return member

    members = [start("classic"), start("classic")]
    wait_until(lambda: shared_out(members, 4), "classic members share", 40)
    for protocol in ("consumer", "classic"):
        for _ in range(2):
            members.pop(0).close()
            members.append(start(protocol))
            wait_until(lambda: shared_out(members, 4), f"on the way to {protocol}", 60)
    sent = load.stop()

    def seen():
        return {value for member in everybody for value in member.values}

    wait_until(lambda: len(seen()) == sent, "all records", 30)
    for member in members:
        member.close()
    assert [error for member in everybody for error in member.errors] == []


@pytest.mark.slow
def test_kill_of_the_broker(start_broker, topic_name):
    server = start_broker(**QUICK)
    make_topic(server.bootstrap, topic_name, 4)
    load = Load(server.bootstrap, topic_name)
    group = f"g-{topic_name}"
    members = [Member(server.bootstrap, group, topic_name) for _ in range(2)]
    wait_until(lambda: shared_out(members, 4), "members share", 40)
    before = [member.owned for member in members]
    server.kill()
    server.start()
    count = [len(member.values) for member in members]
    wait_until(
        lambda: all(len(member.values) > n for member, n in zip(members, count, strict=True)), "more", 60
    )
    # The group was rebuilt from the log: nobody moved.
    assert [member.owned for member in members] == before
    sent = load.stop()

    def seen():
        return {value for member in members for value in member.values}

    wait_until(lambda: len(seen()) == sent, "all records", 60)
    for member in members:
        member.close()
    server.stop()

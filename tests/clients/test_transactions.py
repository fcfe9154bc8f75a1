"""Transactions with client libraries and with Kafka's own tools."""

from __future__ import annotations

import asyncio
import base64
import os
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner
from confluent_kafka import Consumer, TopicPartition

from pybroker.cli.dump_log import dump_log
from tests.clients.adapters import KafkaJs
from tests.clients.conftest import Clients
from tests.processes import KafkaTools, Server, wait_until
from tests.protocol import raw
from tests.protocol.raw import Connection

# kafka-python reads its schemas in a way that Python no longer likes.
pytestmark = pytest.mark.filterwarnings("ignore:.*is deprecated. Use files:DeprecationWarning")

# Of each transaction: what it writes, and whether it commits.
TURNS = [([b"a1", b"a2"], True), ([b"b1", b"b2"], False), ([b"c1"], True), ([b"d1"], False), ([b"e1"], True)]
COMMITTED = [value for values, commit in TURNS if commit for value in values]


def with_confluent_kafka(bootstrap: str, topic: str, name: str) -> list[bytes]:
    from confluent_kafka import OFFSET_BEGINNING, Consumer, Producer, TopicPartition

    producer = Producer({"bootstrap.servers": bootstrap, "transactional.id": name})
    producer.init_transactions(30)
    for values, commit in TURNS:
        producer.begin_transaction()
        for value in values:
            producer.produce(topic, value=value, partition=0)
        if commit:
            producer.commit_transaction(30)
        else:
            producer.flush(30)
            producer.abort_transaction(30)
    consumer = Consumer(
        {"bootstrap.servers": bootstrap, "group.id": name, "isolation.level": "read_committed"}
    )
    consumer.assign([TopicPartition(topic, 0, OFFSET_BEGINNING)])
    found: list[bytes] = []
    deadline = time.monotonic() + 30
    while len(found) < len(COMMITTED) and time.monotonic() < deadline:
        found += [message.value() for message in consumer.consume(10, 0.5) if not message.error()]
    consumer.close()
    return found


def with_kafka_python(bootstrap: str, topic: str, name: str) -> list[bytes]:
    from kafka import KafkaConsumer, KafkaProducer, TopicPartition

    producer = KafkaProducer(bootstrap_servers=bootstrap, transactional_id=name)
    producer.init_transactions()
    for values, commit in TURNS:
        producer.begin_transaction()
        for value in values:
            producer.send(topic, value=value, partition=0)
        if commit:
            producer.commit_transaction()
        else:
            producer.flush(30)
            producer.abort_transaction()
    producer.close()
    consumer = KafkaConsumer(
        bootstrap_servers=bootstrap, isolation_level="read_committed", consumer_timeout_ms=10_000
    )
    partition = TopicPartition(topic, 0)
    consumer.assign([partition])
    consumer.seek_to_beginning(partition)
    found: list[bytes] = []
    for message in consumer:
        found.append(message.value)
        if len(found) == len(COMMITTED):
            break
    consumer.close()
    return found


def with_aiokafka(bootstrap: str, topic: str, name: str) -> list[bytes]:
    from aiokafka import AIOKafkaConsumer, AIOKafkaProducer, TopicPartition

    async def work() -> list[bytes]:
        producer = AIOKafkaProducer(bootstrap_servers=bootstrap, transactional_id=name)
        await producer.start()
        for values, commit in TURNS:
            await producer.begin_transaction()
            for value in values:
                await producer.send_and_wait(topic, value=value, partition=0)
            if commit:
                await producer.commit_transaction()
            else:
                await producer.abort_transaction()
        await producer.stop()
        consumer = AIOKafkaConsumer(bootstrap_servers=bootstrap, isolation_level="read_committed")
        await consumer.start()
        consumer.assign([TopicPartition(topic, 0)])
        await consumer.seek_to_beginning()
        found: list[bytes] = []
        while len(found) < len(COMMITTED):
            message = await asyncio.wait_for(consumer.getone(), 20)
            found.append(message.value)
        await consumer.stop()
        return found

    return asyncio.run(asyncio.wait_for(work(), 60))


@pytest.mark.parametrize("library", [with_confluent_kafka, with_kafka_python, with_aiokafka])
def test_committed_and_aborted(
    broker: Server, topic_name: str, library: Callable[[str, str, str], list[bytes]]
) -> None:
    raw.create_topic(broker.bootstrap, topic_name)
    assert library(broker.bootstrap, topic_name, f"txn-{topic_name}") == COMMITTED


def test_offsets_with_confluent_kafka(broker: Server, topic_name: str) -> None:
    from confluent_kafka import Consumer, Producer, TopicPartition

    raw.create_topic(broker.bootstrap, topic_name)
    name = f"txn-{topic_name}"
    producer = Producer({"bootstrap.servers": broker.bootstrap, "transactional.id": name})
    consumer = Consumer({"bootstrap.servers": broker.bootstrap, "group.id": name})
    producer.init_transactions(30)
    one = TopicPartition(topic_name, 0)
    for offset, commit in ((5, True), (9, False)):
        producer.begin_transaction()
        producer.send_offsets_to_transaction(
            [TopicPartition(topic_name, 0, offset)], consumer.consumer_group_metadata(), 30
        )
        (producer.commit_transaction if commit else producer.abort_transaction)(30)
        assert consumer.committed([one], 30)[0].offset == 5
    consumer.close()


@pytest.mark.interop
def test_kafkajs(broker: Server, clients: Clients, topic_name: str) -> None:
    """Transactions with offsets, read by a member of a group of the same library."""
    raw.create_topic(broker.bootstrap, topic_name)
    program = clients.get(KafkaJs)
    assert isinstance(program, KafkaJs)
    name = f"txn-{topic_name}"
    turns = [
        {
            "values": [base64.b64encode(value).decode() for value in values],
            "offset": number + 10,
            "commit": commit,
        }
        for number, (values, commit) in enumerate(TURNS)
    ]
    program.call("transact", topic=topic_name, id=name, turns=turns)
    found = program.call("read_in_group", topic=topic_name, group=f"g-{topic_name}", count=len(COMMITTED))
    assert [base64.b64decode(value) for value in found] == COMMITTED
    consumer = Consumer({"bootstrap.servers": broker.bootstrap, "group.id": name})
    # The offset of the last transaction that was committed.
    assert consumer.committed([TopicPartition(topic_name, 0)], 30)[0].offset == 14
    consumer.close()


# Kafka's tools


def open_transaction(bootstrap: str, topic: str, name: str) -> Any:
    from confluent_kafka import Producer

    producer = Producer({"bootstrap.servers": bootstrap, "transactional.id": name})
    producer.init_transactions(30)
    producer.begin_transaction()
    producer.produce(topic, value=b"x", partition=0)
    producer.flush(30)
    return producer


@pytest.mark.interop
def test_kafka_transactions_tool(broker: Server, kafka: KafkaTools, topic_name: str) -> None:
    bootstrap = broker.bootstrap
    raw.create_topic(bootstrap, topic_name)
    name = f"txn-{topic_name}"
    producer = open_transaction(bootstrap, topic_name, name)

    def tool(*arguments: str) -> str:
        return kafka.run("TransactionsCommand", "--bootstrap-server", bootstrap, *arguments).check()

    listed = [line.split() for line in tool("list").splitlines()]
    (row,) = [line for line in listed if line and line[0] == name]
    assert row[-1] == "Ongoing"
    described = tool("describe", "--transactional-id", name)
    assert "Ongoing" in described
    assert f"{topic_name}-0" in described
    producers = tool("describe-producers", "--topic", topic_name, "--partition", "0")
    assert len(producers.strip().splitlines()) == 2
    assert name not in tool("find-hanging", "--broker-id", "1", "--max-transaction-timeout", "15")
    tool("abort", "--topic", topic_name, "--partition", "0", "--start-offset", "0")
    with Connection(bootstrap) as connection:
        found = raw.fetch(connection, topic_name, isolation_level=1)
    assert (found["last_stable_offset"], len(found["aborted_transactions"])) == (2, 1)
    producer.abort_transaction(30)
    wait_until(lambda: "CompleteAbort" in tool("describe", "--transactional-id", name), "the abort")


@pytest.mark.interop
def test_kafka_dump_log_reads_transactions(
    start_broker: Callable[..., Server], kafka: KafkaTools, topic_name: str
) -> None:
    server = start_broker(**{"transaction.state.log.num.partitions": "1"})
    raw.create_topic(server.bootstrap, topic_name)
    assert with_confluent_kafka(server.bootstrap, topic_name, "teller") == COMMITTED
    server.stop()
    assert server.data_dir is not None
    state = Path(server.data_dir) / "__transaction_state-0" / f"{0:020d}.log"
    index = Path(server.data_dir) / f"{topic_name}-0" / f"{0:020d}.txnindex"
    out = kafka.run_apart("DumpLogSegments", "--transaction-log-decoder", "--files", os.fspath(state)).check()
    assert "teller" in out
    # PrepareAbort and CompleteCommit.
    assert '"transactionStatus":3' in out
    assert '"transactionStatus":4' in out
    # Ours says the same, and the state's name.
    ours = CliRunner().invoke(dump_log, ["--print-data-log", os.fspath(state)])
    assert ours.exit_code == 0
    assert '{"transactionalId":"teller"}' in ours.output
    assert "CompleteCommit" in ours.output
    out = kafka.run_apart("DumpLogSegments", "--files", os.fspath(index)).check()
    assert out.count("producerId") == 2
    log = os.fspath(index.with_suffix(".log"))
    out = kafka.run_apart("DumpLogSegments", "--print-data-log", "--files", log).check()
    assert out.count("endTxnMarker: COMMIT") == 3
    assert out.count("endTxnMarker: ABORT") == 2

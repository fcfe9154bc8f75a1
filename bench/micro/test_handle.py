"""Cost of whole requests, from the bytes of a connection to the bytes of its reply, without sockets.

`pytest bench/micro/test_handle.py`. Budgets are for one of two cores of a shared machine; with
PYBROKER_BENCH_BUDGETS=1 a test fails when its fastest round is above them.
"""

from __future__ import annotations

import asyncio
import os
import random
import time
from types import SimpleNamespace

import pytest

from pybroker.broker import CLOSE, Broker
from pybroker.common.config import BrokerConfig
from pybroker.records.batch import Record, build_batch
from pybroker.runtime.disk import DiskFileSystem
from pybroker.runtime.metrics import ServerMetrics
from pybroker.runtime.system import SystemClock
from pybroker.server.connection import Connection, handle_gathered
from pybroker.server.gate import Gate
from pybroker.server.limits import ServerLimits
from pybroker.wire import codec
from pybroker.wire.headers import request_header
from pybroker.wire.messages.create_topics import CreatableTopic, CreateTopicsRequest
from pybroker.wire.messages.fetch import FetchPartition, FetchRequest, FetchTopic
from pybroker.wire.messages.produce import PartitionProduceData, ProduceRequest, TopicProduceData

TOPIC = "topic"


class Transport:
    """Takes what is written, at once."""

    def __init__(self):
        self.taken = 0
        self.last = b""

    def get_extra_info(self, name):
        return ("127.0.0.1", 1) if name == "peername" else None

    def set_write_buffer_limits(self, **limits):
        pass

    def get_write_buffer_size(self):
        return 0

    def write(self, data):
        self.taken += len(data)
        self.last = data

    def writelines(self, parts):
        self.last = parts[-1]
        self.taken += sum(map(len, parts))

    def pause_reading(self):
        pass

    resume_reading = abort = close = pause_reading


class Door:
    """A broker with one connection and one topic of one partition."""

    def __init__(self, directory):
        config = BrokerConfig.from_properties(
            {"log.dirs": str(directory), "listeners": "PLAINTEXT://127.0.0.1:9092"}
        )
        self.broker = Broker(config, DiskFileSystem(), SystemClock(), random.Random(1))
        self.broker.set_listener_port("PLAINTEXT", "127.0.0.1", 9092)
        self.broker.start()
        self.loop = asyncio.new_event_loop()
        self.gate = Gate(self.broker, self.loop, ServerLimits(), ServerMetrics(), print, CLOSE)
        self.transport = Transport()
        self.connection = Connection(self.gate, "PLAINTEXT")
        self.connection.connection_made(self.transport)
        self.receive = self.connection.data_received
        topic = CreatableTopic(name=TOPIC, num_partitions=1, replication_factor=1)
        self.receive(frame(19, 7, CreateTopicsRequest(topics=[topic])))
        while not self.transport.taken:
            for effect in self.broker.take_effects():
                effect.run()
                effect.complete(None)
            self.loop.run_until_complete(asyncio.sleep(0))

    def close(self):
        self.connection.connection_lost(None)
        self.gate.close()
        self.loop.close()
        self.broker.shutdown()


@pytest.fixture
def door(tmp_path):
    door = Door(tmp_path)
    yield door
    door.close()


def frame(key, version, message):
    body = request_header(key, version, 1, "client") + codec.encode(message, version)
    return len(body).to_bytes(4, "big") + body


def produce_frame(count, size):
    now_ms = time.time_ns() // 1_000_000
    partition = PartitionProduceData(
        index=0, records=build_batch([Record(0, now_ms, None, bytes(size)) for _ in range(count)])
    )
    topic = TopicProduceData(name=TOPIC, partition_data=[partition])
    return frame(0, 9, ProduceRequest(acks=-1, timeout=1000, topic_data=[topic]))


def fetch_frame(offset, max_bytes):
    partition = FetchPartition(partition=0, fetch_offset=offset, partition_max_bytes=max_bytes)
    topic = FetchTopic(topic=TOPIC, partitions=[partition])
    return frame(
        1, 12, FetchRequest(max_wait=0, min_bytes=1, max_bytes=max_bytes, session_epoch=-1, topics=[topic])
    )


def within(benchmark, budget_us, requests=1):
    benchmark.extra_info["budget_us"] = budget_us
    if os.environ.get("PYBROKER_BENCH_BUDGETS") and not benchmark.disabled:
        assert benchmark.stats.stats.min * 1e6 / requests <= budget_us


@pytest.mark.parametrize(
    ("count", "size", "together", "budget_us"),
    [(1, 100, 1, 15), (1, 100, 64, 8), (15, 1_000, 1, 50), (1, 100_000, 1, 90)],
    ids=["100 B", "100 B, 64 together", "15 KB", "100 KB"],
)
def test_produce(benchmark, door, count, size, together, budget_us):
    one = produce_frame(count, size)
    for _ in range(100):
        # Beyond the batches that are looked at because the connection is new.
        door.receive(one)
    data = one * together
    taken = door.transport.taken
    benchmark(door.receive, data)
    assert door.transport.taken > taken
    within(benchmark, budget_us, together)


def test_produce_of_many_connections_at_once(benchmark, door):
    one = produce_frame(1, 100)
    connections = [Connection(door.gate, "PLAINTEXT") for _ in range(32)]
    for connection in connections:
        connection.connection_made(Transport())
        for _ in range(100):
            connection.data_received(one)

    def receive():
        door.gate.gathers = True
        for connection in connections:
            connection.data_received(one)
        handle_gathered(door.gate)

    # What the loop would call then was called already.
    door.gate.loop = SimpleNamespace(call_soon=lambda *call: None, call_later=door.loop.call_later)
    benchmark(receive)
    within(benchmark, 10, len(connections))
    for connection in connections:
        connection.connection_lost(None)


@pytest.mark.parametrize(
    ("max_bytes", "budget_us"), [(1_000, 60), (1 << 20, 400)], ids=["one record", "1 MiB"]
)
def test_fetch(benchmark, door, max_bytes, budget_us):
    for _ in range(200):
        door.receive(produce_frame(15, 1_000))
    data = fetch_frame(30, max_bytes)
    before = door.transport.taken
    door.receive(data)
    assert door.transport.taken - before > max_bytes
    benchmark(door.receive, data)
    within(benchmark, budget_us)

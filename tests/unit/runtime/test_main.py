"""A running broker put together around the fake one: order of start and stop, addresses, failures."""

from __future__ import annotations

import asyncio
import socket

import pytest

from pybroker.common.config import BrokerConfig
from pybroker.common.errors import ConfigError, InvariantError
from pybroker.common.memory_files import MemoryFileSystem
from pybroker.runtime.main import RunningBroker, limits_of
from tests.unit.server.fake_broker import (
    DEFERRED_VERSION,
    INVARIANT_ERROR,
    METADATA,
    PRODUCE,
    FakeBroker,
    request,
)
from tests.unit.server.harness import LOOPS, Client, run, until


def make_config(**values):
    properties = {key.replace("_", "."): value for key, value in values.items()}
    return BrokerConfig.from_properties({"listeners": "PLAINTEXT://127.0.0.1:0"} | properties)


def make(broker=None, **config):
    return RunningBroker(
        make_config(**config), MemoryFileSystem(), in_memory=True, broker=broker or FakeBroker()
    )


async def connect(running):
    return Client(*await asyncio.open_connection(*running.address))


@pytest.mark.parametrize("loop", LOOPS)
def test_serves_and_stops_cleanly(loop):
    async def scenario():
        broker = FakeBroker()
        running = make(broker)
        await running.start()
        assert broker.started
        assert broker.ports == {"PLAINTEXT": running.address}
        client = await connect(running)
        client.send(METADATA, 5, b"x")
        assert await client.reply() == (5, b"x")
        client.send(PRODUCE, 6, version=DEFERRED_VERSION)
        await until(lambda: broker.waiting)
        stopping = asyncio.ensure_future(running.stop())
        await asyncio.sleep(0)
        assert not broker.stopped
        broker.resolve()
        assert await client.reply() == (6, b"late")
        assert await client.closed() == b""
        await stopping
        assert broker.stopped
        with pytest.raises(ConnectionRefusedError):
            await connect(running)
        await client.close()

    run(scenario(), loop)


def test_the_drain_is_bounded():
    async def scenario():
        broker = FakeBroker()
        running = make(broker)
        await running.start()
        client = await connect(running)
        client.send(PRODUCE, 6, version=DEFERRED_VERSION)
        await until(lambda: broker.waiting)
        await running.stop(drain_seconds=0.05)
        assert broker.stopped
        assert await client.closed() == b""
        await client.close()

    run(scenario())


def test_invariant_error_ends_it_without_a_clean_shutdown():
    async def scenario():
        broker = FakeBroker()
        running = make(broker)
        await running.start()
        client = await connect(running)
        client.send(INVARIANT_ERROR, 1)
        await running.ended.wait()
        await running.stop()
        assert isinstance(running.fatal, InvariantError)
        assert not broker.stopped
        await client.close()

    run(scenario())


def test_several_listeners_and_what_is_advertised(monkeypatch):
    monkeypatch.setattr(socket, "gethostname", lambda: "localhost")

    async def scenario():
        broker = FakeBroker()
        running = make(
            broker,
            listeners="PLAINTEXT://0.0.0.0:0,EXTERNAL://127.0.0.1:0,CONTROLLER://127.0.0.1:0",
            advertised_listeners="EXTERNAL://kafka.example:9999,PLAINTEXT://:0",
            listener_security_protocol_map=("PLAINTEXT:PLAINTEXT,EXTERNAL:PLAINTEXT,CONTROLLER:PLAINTEXT"),
        )
        await running.start()
        assert broker.ports["EXTERNAL"] == ("kafka.example", 9999)
        host, port = broker.ports["PLAINTEXT"]
        assert host == "localhost"
        assert port == running.address[1] > 0
        assert broker.ports["CONTROLLER"][0] == "127.0.0.1"
        assert broker.ports["CONTROLLER"][1] not in (0, port)
        await running.stop()

    run(scenario())


def test_a_bad_http_address():
    async def scenario():
        broker = FakeBroker()
        running = make(broker, pybroker_http_listener="nonsense")
        with pytest.raises(ConfigError, match=r"pybroker\.http\.listener=nonsense"):
            await running.start()
        assert not broker.started

    run(scenario())


def test_a_port_in_use_leaves_nothing_behind():
    async def scenario():
        first = make()
        await first.start()
        port = first.address[1]
        broker = FakeBroker()
        second = make(broker, listeners=f"PLAINTEXT://127.0.0.1:{port}")
        with pytest.raises(OSError, match=f"cannot listen on 127.0.0.1:{port}"):
            await second.start()
        assert not broker.started
        await first.stop()

    run(scenario())


def test_http_next_to_the_broker():
    async def scenario():
        running = make(pybroker_http_listener="127.0.0.1:0")
        await running.start()
        client = await connect(running)
        client.send_raw(request(METADATA, 1))
        await client.reply()
        host, _, port = running.http_address.rpartition(":")
        reader, writer = await asyncio.open_connection(host, int(port))
        writer.write(b"GET /metrics HTTP/1.1\r\n\r\n")
        text = (await reader.read()).decode()
        assert 'pybroker_requests_total{api="Metadata"} 1\n' in text
        assert 'pybroker_log_size_bytes{topic="t",partition="0"} 5\n' in text
        writer.close()
        await running.stop()
        await client.close()

    run(scenario())


def test_limits_come_from_the_configuration():
    limits = limits_of(make_config())
    assert limits.request_max_bytes == 100 << 20
    assert limits.held_request_max_bytes == 64 << 20
    assert limits.connections_max == 10_000
    assert limits.idle_ms == 600_000
    limits = limits_of(
        make_config(
            socket_request_max_bytes="5000",
            max_connections_per_ip="7",
            max_connections_per_ip_overrides="10.0.0.1:3,[::1]:4",
            connections_max_idle_ms="-1",
        )
    )
    assert limits.request_max_bytes == 5000
    assert limits.connections_per_ip_max == 7
    assert dict(limits.connections_per_ip_overrides) == {"10.0.0.1": 3, "::1": 4}
    assert limits.idle_ms > 10**15

"""Peers that do not play fair: bad lengths, slow senders, slow readers, too many connections."""

from __future__ import annotations

import asyncio
import socket

import pytest

from tests.unit.server.fake_broker import BIG, DEFERRED_VERSION, FETCH, METADATA, PRODUCE, FakeBroker, request
from tests.unit.server.harness import LOOPS, run, serving, until

pytestmark = pytest.mark.parametrize("loop", LOOPS)

TLS_HELLO = bytes.fromhex("16030100c8010000c40303") + bytes(200)


@pytest.mark.parametrize(
    "garbage",
    [
        pytest.param(TLS_HELLO, id="tls"),
        pytest.param(b"GET / HTTP/1.1\r\n\r\n", id="http"),
        pytest.param(b"\xff\xff\xff\xff", id="length-minus-one"),
        pytest.param(b"\x80\x00\x00\x00" + bytes(20), id="length-minimum"),
        pytest.param(b"\x7f\xff\xff\xff", id="two-gigabytes"),
        pytest.param(b"\x00\x00\x00\x00", id="empty-frame"),
        pytest.param(b"\x00\x00\x00\x07" + bytes(7), id="too-short-for-a-header"),
        pytest.param((1_000_001).to_bytes(4, "big"), id="one-above-the-limit"),
    ],
)
def test_bad_framing_closes_the_connection_only(loop, garbage):
    async def scenario():
        async with serving(request_max_bytes=1_000_000) as server:
            good, bad = await server.client(), await server.client()
            bad.send(METADATA, 1, b"fine")
            bad.send_raw(garbage)
            assert await bad.reply() == (1, b"fine")
            assert await bad.closed() == b""
            assert server.metrics.protocol_errors == 1
            good.send(METADATA, 2)
            assert (await good.reply())[0] == 2

    run(scenario(), loop)


def test_bad_length_byte_by_byte(loop):
    async def scenario():
        async with serving() as server:
            client = await server.client()
            for byte in b"\x7f\xff\xff\xff":
                client.send_raw(bytes([byte]))
                await asyncio.sleep(0.001)
            assert await client.closed() == b""
            assert server.metrics.protocol_errors == 1

    run(scenario(), loop)


def test_largest_frame_is_accepted(loop):
    async def scenario():
        async with serving(request_max_bytes=1000) as server:
            client = await server.client()
            client.send(METADATA, 1, b"x" * 992)
            assert (await client.reply())[0] == 1
            client.send(METADATA, 1, b"x" * 993)
            assert await client.closed() == b""

    run(scenario(), loop)


def test_a_declared_length_allocates_nothing(loop):
    async def scenario():
        async with serving() as server:
            clients = [await server.client() for _ in range(20)]
            for client in clients:
                client.send_raw((100 << 20).to_bytes(4, "big") + b"\x00\x03\x00\x00")
            await until(lambda: server.metrics.request_bytes_held)
            await until(lambda: server.gate.connection_count == 20)
            assert server.metrics.request_bytes_held <= 20 * 8

    run(scenario(), loop)


def test_slow_request_is_cut_off(loop):
    async def scenario():
        async with serving(frame_timeout_ms=100, frame_min_bytes_per_second=1_000_000) as server:
            client = await server.client()
            client.send_raw(request(METADATA, 1, bytes(1000))[:100])
            assert await client.closed() == b""
            assert server.metrics.connections_timed_out == 1

    run(scenario(), loop)


def test_large_request_at_the_minimum_rate_is_not_cut_off(loop):
    frame = request(METADATA, 1, bytes(50_000))

    async def scenario():
        async with serving(frame_timeout_ms=50, frame_min_bytes_per_second=10_000) as server:
            client = await server.client()
            for position in range(0, len(frame), 5_000):
                client.send_raw(frame[position : position + 5_000])
                await asyncio.sleep(0.05)
            assert (await client.reply())[0] == 1

    run(scenario(), loop)


def test_idle_connection_is_closed_and_a_waiting_one_is_not(loop):
    async def scenario():
        async with serving(idle_ms=200) as server:
            idle, waiting = await server.client(), await server.client()
            waiting.send(FETCH, 1, version=DEFERRED_VERSION)
            idle.send(METADATA, 1)
            await idle.reply()
            assert await idle.closed() == b""
            assert server.metrics.connections_idle_closed == 1
            server.broker.resolve()
            assert await waiting.reply() == (1, b"late")

    run(scenario(), loop)


def test_connection_limits(loop):
    async def scenario():
        async with serving(connections_per_ip_max=3) as server:
            clients = [await server.client() for _ in range(3)]
            await until(lambda: server.gate.connection_count == 3)
            refused = await server.client()
            assert await refused.closed() == b""
            assert server.metrics.connections_refused == 1
            await clients[0].close()
            await until(lambda: server.gate.connection_count == 2)
            again = await server.client()
            again.send(METADATA, 1)
            assert (await again.reply())[0] == 1

        async with serving(connections_max=1, connections_per_ip_overrides={"127.0.0.1": 5}) as server:
            await server.client()
            await until(lambda: server.gate.connection_count == 1)
            refused = await server.client()
            assert await refused.closed() == b""

    run(scenario(), loop)


def test_per_ip_override_wins(loop):
    async def scenario():
        async with serving(connections_per_ip_max=1, connections_per_ip_overrides={"127.0.0.1": 2}) as server:
            clients = [await server.client() for _ in range(2)]
            for client in clients:
                client.send(METADATA, 1)
                await client.reply()
            refused = await server.client()
            assert await refused.closed() == b""

    run(scenario(), loop)


async def _client_that_does_not_read(server):
    """A raw socket with small buffers."""
    raw = socket.socket()
    raw.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
    raw.setblocking(False)
    await asyncio.get_running_loop().sock_connect(raw, ("127.0.0.1", server.port))
    return raw


def test_a_peer_that_does_not_read_holds_little(loop):
    """It asks for 2 GB; what the broker keeps for it is one reply beyond the write buffer."""

    async def scenario():
        async with serving() as server:
            raw = await _client_that_does_not_read(server)
            asked = b"".join(request(BIG, number) for number in range(2000))
            await asyncio.get_running_loop().sock_sendall(raw, asked)
            await until(lambda: server.metrics.response_bytes_unsent)
            other = await server.client()
            for _ in range(50):
                other.send(METADATA, 1)
                await other.reply()
            # What the two sockets' buffers took, and the reply that filled the transport's.
            assert len(server.broker.handled) - 50 < 20
            assert server.metrics.response_bytes_unsent <= 2 * len(server.broker.big)
            handled = len(server.broker.handled)

            # Nothing is lost: when it reads, it gets everything it asked for.
            loop_ = asyncio.get_running_loop()
            left = 30 * (len(server.broker.big) + 8)
            while left > 0:
                left -= len(await loop_.sock_recv(raw, 1 << 20))
            assert len(server.broker.handled) > handled
            raw.close()

    run(scenario(), loop)


def test_reading_stops_behind_a_reply_that_is_not_taken(loop):
    """A peer that sends and never reads is not read from for long either."""

    async def scenario():
        async with serving() as server:
            raw = await _client_that_does_not_read(server)

            async def flood():
                data = request(BIG, 1, bytes(1000)) * 100
                while True:
                    await asyncio.get_running_loop().sock_sendall(raw, data)

            flooding = asyncio.ensure_future(flood())
            await until(lambda: server.metrics.reading_pauses)
            held = server.metrics.request_bytes_held
            assert held < 1_000_000
            for _ in range(100):
                await asyncio.sleep(0.001)
            assert server.metrics.request_bytes_held == held
            flooding.cancel()
            raw.close()

    run(scenario(), loop)


def test_slow_readers_are_evicted_when_replies_fill_the_budget(loop):
    async def scenario():
        broker = FakeBroker(big_size=4 << 20)
        async with serving(broker, unsent_response_max_bytes=10 << 20, eviction_patience_ms=100) as server:
            stuck = [await _client_that_does_not_read(server) for _ in range(8)]
            for raw in stuck:
                await asyncio.get_running_loop().sock_sendall(raw, request(FETCH, 1) * 3)
            await until(lambda: server.gate.responses_full())
            # At most the budget and the one reply that exceeded it.
            assert server.metrics.response_bytes_unsent <= (10 << 20) + 2 * (4 << 20)
            honest = await server.client()
            for number in range(5):
                honest.send(FETCH, number)
                assert (await honest.reply())[0] == number
            assert server.metrics.connections_evicted
            for raw in stuck:
                raw.close()

    run(scenario(), loop)


def test_unfinished_requests_are_evicted_when_they_fill_the_budget(loop):
    async def scenario():
        async with serving(held_request_max_bytes=4 << 20, eviction_patience_ms=100) as server:
            head = request(METADATA, 1, bytes(8 << 20))[: 1 << 20]
            attackers = [await server.client() for _ in range(10)]
            for attacker in attackers:
                attacker.send_raw(head)
            await until(lambda: server.gate.requests_full())
            honest = await server.client()
            body = bytes(2 << 20)
            honest.send(METADATA, 7, body)
            assert await honest.reply() == (7, body)
            assert server.metrics.connections_evicted
            assert server.metrics.request_bytes_held < 12 << 20

    run(scenario(), loop)


def test_a_request_larger_than_the_budget_gets_through(loop):
    async def scenario():
        async with serving(held_request_max_bytes=1 << 20, eviction_patience_ms=60_000) as server:
            client = await server.client()
            body = bytes(5 << 20)
            for number in range(3):
                client.send(METADATA, number, body)
                assert await client.reply() == (number, body)

    run(scenario(), loop)


def test_large_requests_of_many_connections_take_turns(loop):
    async def scenario():
        async with serving(held_request_max_bytes=1 << 20, eviction_patience_ms=60_000) as server:
            clients = [await server.client() for _ in range(6)]
            body = bytes(4 << 20)
            for client in clients:
                client.send(METADATA, 1, body)
            for client in clients:
                assert (await client.reply())[1] == body
            assert server.metrics.reading_pauses

    run(scenario(), loop)


def test_small_requests_are_served_while_the_request_budget_is_full(loop):
    async def scenario():
        async with serving(held_request_max_bytes=1 << 20, eviction_patience_ms=60_000) as server:
            attackers = [await server.client() for _ in range(3)]
            for attacker in attackers:
                attacker.send_raw(request(METADATA, 1, bytes(8 << 20))[: 1 << 20])
            await until(lambda: server.gate.requests_full())
            honest = await server.client()
            for number in range(20):
                honest.send(METADATA, number, bytes(1000))
                assert (await honest.reply())[0] == number

    run(scenario(), loop)


def test_requests_wait_while_the_io_threads_are_full(loop):
    async def scenario():
        async with serving() as server:
            client = await server.client()
            server.gate.hold_requests = True
            client.send(PRODUCE, 1)
            await until(lambda: server.metrics.request_bytes_held)
            assert server.broker.handled == []
            server.gate.release_requests()
            assert (await client.reply())[0] == 1

    run(scenario(), loop)


def test_reconnect_storm(loop):
    async def scenario():
        async with serving() as server:
            for _ in range(200):
                client = await server.client()
                client.send_raw(b"\x00\x00\x00")
                client.writer.transport.abort()
            server.clients.clear()
            await until(lambda: server.metrics.connections_accepted == 200)
            await until(lambda: server.gate.connection_count == 0)
            assert all(state.closed for state in server.broker.states)

    run(scenario(), loop)


def test_drain_sends_what_is_owed_and_drops_long_polls(loop):
    async def scenario():
        async with serving() as server:
            idle, polling, producing = [await server.client() for _ in range(3)]
            polling.send(FETCH, 1, version=DEFERRED_VERSION)
            await server.handled(1)
            producing.send(PRODUCE, 2, version=DEFERRED_VERSION)
            await server.handled(2)
            await until(lambda: server.gate.connection_count == 3)
            server.gate.drain()
            assert await idle.closed() == b""
            assert await polling.closed() == b""
            producing.send(METADATA, 3)
            server.broker.resolve(1)
            assert await producing.reply() == (2, b"late")
            assert await producing.closed() == b""
            await until(lambda: server.gate.connection_count == 0)
            late = await server.client()
            assert await late.closed() == b""
            assert (METADATA, 3) not in server.broker.handled

    run(scenario(), loop)

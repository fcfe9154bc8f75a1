"""Requests and replies of one connection: framing, order, overlap, errors."""

from __future__ import annotations

import asyncio
import random

import pytest

from tests.unit.server.fake_broker import (
    BIG,
    CLOSES,
    DEFERRED_VERSION,
    DONE_DEFERRED,
    FETCH,
    INVARIANT_ERROR,
    METADATA,
    NO_REPLY,
    PRODUCE,
    PROTOCOL_ERROR,
    RAISES,
    WRITES,
    FakeBroker,
    request,
)
from tests.unit.server.harness import LOOPS, run, serving, until

pytestmark = pytest.mark.parametrize("loop", LOOPS)


def test_replies_echo_in_order_when_pipelined(loop):
    async def scenario():
        async with serving() as server:
            client = await server.client()
            for number in range(500):
                client.send(METADATA, number, b"x" * (number % 50))
            for number in range(500):
                assert await client.reply() == (number, b"x" * (number % 50))
            api = server.metrics.api(METADATA)
            assert api.request_count == 500
            assert api.bytes_in == api.bytes_out + 500 * 4

    run(scenario(), loop)


def test_any_split_of_the_stream_gives_the_same_frames(loop):
    random_numbers = random.Random(5)
    bodies = [bytes([n % 251]) * random_numbers.choice([0, 1, 3, 30, 700, 40_000]) for n in range(60)]
    stream = b"".join(request(METADATA, number, body) for number, body in enumerate(bodies))

    async def scenario():
        async with serving() as server:
            client = await server.client()

            async def send():
                position = 0
                while position < len(stream):
                    size = random_numbers.choice([1, 2, 3, 4, 5, 7, 11, 100, 5000, 100_000])
                    client.send_raw(stream[position : position + size])
                    position += size
                    await asyncio.sleep(0)
                    await asyncio.sleep(0)

            sending = asyncio.ensure_future(send())
            for number, body in enumerate(bodies):
                assert await client.reply() == (number, body)
            await sending

    run(scenario(), loop)


def test_large_frame_in_many_reads(loop):
    body = random.Random(1).randbytes(5_000_000)

    async def scenario():
        async with serving() as server:
            client = await server.client()
            client.send_raw(request(METADATA, 1, body) + request(METADATA, 2, b"tail"))
            assert await client.reply() == (1, body)
            assert await client.reply() == (2, b"tail")

    run(scenario(), loop)


@pytest.mark.parametrize("size", [10, 300_000, 2_000_000])
def test_frames_are_writable_in_place(loop, size):
    async def scenario():
        async with serving() as server:
            client = await server.client()
            client.send_raw(
                request(METADATA, 1, b"before")
                + request(WRITES, 2, b"o" * size)
                + request(METADATA, 3, b"after")
            )
            assert await client.reply() == (1, b"before")
            assert await client.reply() == (2, b"w" * size)
            assert await client.reply() == (3, b"after")

    run(scenario(), loop)


def test_deferred_produce_keeps_its_place_while_later_ones_are_handled(loop):
    async def scenario():
        async with serving() as server:
            client = await server.client()
            client.send(PRODUCE, 1, version=DEFERRED_VERSION)
            client.send(PRODUCE, 2, b"now")
            client.send(PRODUCE, 3, version=DEFERRED_VERSION)
            await server.handled(3)
            server.broker.resolve(1, b"third")
            await asyncio.sleep(0)
            server.broker.resolve(0, b"first")
            assert await client.reply() == (1, b"first")
            assert await client.reply() == (2, b"now")
            assert await client.reply() == (3, b"third")

    run(scenario(), loop)


def test_nothing_is_handled_behind_a_deferred_that_is_not_a_produce(loop):
    async def scenario():
        async with serving() as server:
            client = await server.client()
            for number in range(4):
                client.send(METADATA, number, version=DEFERRED_VERSION)
            other = await server.client()
            for number in range(4):
                await server.handled(number + 1 + (number > 0))
                other.send(METADATA, 100, b"other clients are served")
                await other.reply()
                assert [n for key, n in server.broker.handled if n < 100] == list(range(number + 1))
                server.broker.resolve()
                assert await client.reply() == (number, b"late")
                server.broker.handled = [entry for entry in server.broker.handled if entry[1] < 100]
                if number < 3:
                    await server.handled(number + 2)
                    server.broker.handled.append((METADATA, 100))

    run(scenario(), loop)


def test_a_request_waits_for_the_produces_before_it(loop):
    async def scenario():
        async with serving() as server:
            client = await server.client()
            client.send(PRODUCE, 1, version=DEFERRED_VERSION)
            client.send(METADATA, 2)
            client.send(PRODUCE, 3)
            other = await server.client()
            await server.handled(1)
            other.send(METADATA, 9)
            await other.reply()
            assert server.broker.handled == [(PRODUCE, 1), (METADATA, 9)]
            server.broker.resolve()
            assert [(await client.reply())[0] for _ in range(3)] == [1, 2, 3]

    run(scenario(), loop)


def test_a_deferred_resolved_by_another_connections_request(loop):
    async def scenario():
        async with serving() as server:
            reader, writer = await server.client(), await server.client()
            reader.send(FETCH, 1, version=DEFERRED_VERSION)
            await server.handled(1)
            server.broker.on_handled = lambda: server.broker.waiting and server.broker.resolve()
            writer.send(METADATA, 2)
            assert await reader.reply() == (1, b"late")
            assert (await writer.reply())[0] == 2

    run(scenario(), loop)


def test_deferred_without_reply_and_requests_without_reply(loop):
    async def scenario():
        async with serving() as server:
            client = await server.client()
            client.send(NO_REPLY, 1)
            client.send(PRODUCE, 2, version=DEFERRED_VERSION)
            client.send(DONE_DEFERRED, 3)
            await server.handled(2)
            server.broker.resolve(body=None)
            assert await client.reply() == (3, b"done")

    run(scenario(), loop)


def test_pending_produces_of_a_connection_are_bounded(loop):
    async def scenario():
        async with serving(pending_requests_max=10) as server:
            client = await server.client()
            for number in range(1000):
                client.send(PRODUCE, number, b"p" * 1000, version=DEFERRED_VERSION)
            await server.handled(10)
            await until(lambda: server.metrics.reading_pauses)
            assert len(server.broker.handled) == 10
            assert server.metrics.request_bytes_held < 1_000_000

            async def resolve():
                while len(server.broker.handled) < 1000 or server.broker.waiting:
                    while server.broker.waiting:
                        server.broker.resolve()
                    await asyncio.sleep(0)

            resolving = asyncio.ensure_future(resolve())
            assert [(await client.reply())[0] for _ in range(1000)] == list(range(1000))
            await resolving

    run(scenario(), loop)


@pytest.mark.parametrize(
    ("key", "counter"),
    [(RAISES, "handler_errors"), (PROTOCOL_ERROR, "protocol_errors"), (CLOSES, "connections_accepted")],
)
def test_a_failed_request_closes_after_the_earlier_replies(loop, key, counter):
    async def scenario():
        async with serving() as server:
            client = await server.client()
            client.send(PRODUCE, 1, version=DEFERRED_VERSION)
            client.send(PRODUCE, 2, b"two")
            await server.handled(2)
            client.send(key, 3)
            client.send(METADATA, 4)
            server.broker.resolve()
            assert await client.reply() == (1, b"late")
            assert await client.reply() == (2, b"two")
            assert await client.closed() == b""
            assert getattr(server.metrics, counter) == 1
            assert (METADATA, 4) not in server.broker.handled
            await until(lambda: server.broker.states[0].closed)

    run(scenario(), loop)


def test_replies_of_the_same_read_leave_before_the_close(loop):
    async def scenario():
        async with serving() as server:
            client = await server.client()
            client.send_raw(request(METADATA, 1, b"one") + request(BIG, 2) + request(PROTOCOL_ERROR, 3))
            assert await client.reply() == (1, b"one")
            assert await client.reply() == (2, server.broker.big)
            assert await client.closed() == b""

    run(scenario(), loop)


def test_invariant_error_is_handed_to_the_process(loop):
    async def scenario():
        async with serving() as server:
            client = await server.client()
            client.send(INVARIANT_ERROR, 1)
            assert await client.closed() == b""
            assert [str(error) for error in server.fatal] == ["broken"]

    run(scenario(), loop)


def test_late_deferred_of_a_closed_connection_is_ignored(loop):
    async def scenario():
        async with serving() as server:
            client = await server.client()
            client.send(PRODUCE, 1, version=DEFERRED_VERSION)
            await server.handled(1)
            await client.close()
            await until(lambda: server.broker.states[0].closed)
            server.broker.resolve()
            other = await server.client()
            other.send(METADATA, 2)
            assert (await other.reply())[0] == 2

    run(scenario(), loop)


def test_a_long_pipeline_lets_other_connections_have_a_turn(loop):
    """One connection's flood is cut into rounds, so a second connection is answered in between."""

    class SlowBroker(FakeBroker):
        def handle(self, state, frame):
            for _ in range(2000):
                pass
            return super().handle(state, frame)

    async def scenario():
        async with serving(SlowBroker()) as server:
            flood, other = await server.client(), await server.client()
            flood.send_raw(b"".join(request(METADATA, number) for number in range(5000)))
            other.send(METADATA, 99_999)
            await other.reply()
            position = server.broker.handled.index((METADATA, 99_999))
            assert position < 5000
            assert [(await flood.reply())[0] for _ in range(5000)] == list(range(5000))

    run(scenario(), loop)


def test_the_broker_knows_peer_and_listener(loop):
    async def scenario():
        async with serving() as server:
            client = await server.client()
            client.send(METADATA, 1)
            await client.reply()
            state = server.broker.states[0]
            assert (state.peer_host, state.listener) == ("127.0.0.1", "PLAINTEXT")
            assert state.peer_port == client.writer.get_extra_info("sockname")[1]

    run(scenario(), loop)

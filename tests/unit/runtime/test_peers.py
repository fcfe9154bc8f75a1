"""`SocketPeers` against scripted nodes on loopback: order, failures, bounds, and what broken peers send."""

from __future__ import annotations

import asyncio
import random
import struct
from collections.abc import Awaitable, Callable
from typing import Any

import pytest

from pybroker.common.errors import InvariantError
from pybroker.runtime import peers as peers_module
from pybroker.runtime.main import new_event_loop
from pybroker.runtime.peers import PeerLimits, SocketPeers

LIMITS = PeerLimits(
    response_max_bytes=1 << 20,
    outstanding_requests_max=5,
    outstanding_bytes_max=1 << 20,
    connect_seconds=5.0,
    backoff_seconds=0.001,
    backoff_max_seconds=0.004,
)
LONG_MS = 60_000.0


class Node(asyncio.Protocol):
    """The other side of one connection: frames it got, and a script that answers them."""

    def __init__(self, world: World) -> None:
        self.world = world
        self.received = bytearray()
        self.transport: Any = None

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self.transport = transport
        self.world.connections.append(self)
        self.world.changed()

    def connection_lost(self, exc: Exception | None) -> None:
        self.world.lost.append(self)
        self.world.changed()

    def data_received(self, data: bytes) -> None:
        self.received += data
        while len(self.received) >= 4:
            size = int.from_bytes(self.received[:4], "big")
            if len(self.received) < 4 + size:
                break
            frame = bytes(self.received[4 : 4 + size])
            del self.received[: 4 + size]
            self.world.frames.append((self, frame))
            if self.world.echo:
                self.reply(frame)
        self.world.changed()

    def reply(self, frame: bytes, body: bytes = b"") -> None:
        self.write(frame[4:8] + (body or frame[8:]))

    def write(self, body: bytes) -> None:
        self.transport.write(struct.pack(">i", len(body)) + body)


class World:
    """One listening node and the peers under test."""

    def __init__(self, limits: PeerLimits = LIMITS) -> None:
        self.connections: list[Node] = []
        self.lost: list[Node] = []
        self.frames: list[tuple[Node, bytes]] = []
        self.answers: list[tuple[int, bytes | None]] = []
        self.fatal: list[BaseException] = []
        self.echo = True
        self._limits = limits
        self._changed = asyncio.Event()
        self._sent = 0

    async def start(self) -> None:
        loop = asyncio.get_running_loop()
        self.server = await loop.create_server(lambda: Node(self), "127.0.0.1", 0)
        self.address = self.server.sockets[0].getsockname()[:2]
        self.peers = SocketPeers(loop, random.Random(1), self.fatal.append, self._limits)

    def changed(self) -> None:
        self._changed.set()

    async def until(self, condition: Callable[[], bool]) -> None:
        while not condition():
            self._changed.clear()
            await self._changed.wait()

    def send(
        self, body: bytes = b"ping", timeout_ms: float = LONG_MS, channel: str = "raft", address: Any = None
    ) -> int:
        number = self._sent
        self._sent += 1
        inside = True

        def done(frame: memoryview | None) -> None:
            assert not inside
            self.answers.append((number, None if frame is None else bytes(frame[4:])))
            self.changed()

        header = struct.pack(">hhi", 52, 0, number)
        self.peers.send(channel, address or self.address, [header, body], timeout_ms, done)
        inside = False
        return number

    async def answered(self, count: int) -> list[tuple[int, bytes | None]]:
        await self.until(lambda: len(self.answers) >= count)
        return self.answers


def run(script: Callable[[World], Awaitable[None]], limits: PeerLimits = LIMITS) -> None:
    async def whole() -> None:
        world = World(limits)
        await world.start()
        try:
            async with asyncio.timeout(60):
                await script(world)
        finally:
            world.peers.close()
            world.server.close()
            for connection in world.connections:
                connection.transport.abort()
        assert world.fatal == []

    loop = new_event_loop()
    try:
        loop.run_until_complete(whole())
    finally:
        loop.close()


def test_answers_come_in_order_over_one_connection():
    async def script(world: World) -> None:
        for number in range(5):
            world.send(b"request %d" % number)
        assert await world.answered(5) == [(number, b"request %d" % number) for number in range(5)]
        world.send(b"later")
        await world.answered(6)
        assert len(world.connections) == 1

    run(script)


def test_each_channel_has_its_own_connection():
    async def script(world: World) -> None:
        for channel in ("raft", "fetch-0", "fetch-1"):
            world.send(channel=channel)
        await world.answered(3)
        assert len(world.connections) == 3

    run(script)


def test_a_channel_does_not_wait_for_another():
    async def script(world: World) -> None:
        world.echo = False
        world.send(channel="fetch-0")
        await world.until(lambda: len(world.frames) == 1)
        world.echo = True
        vote = world.send(channel="raft")
        assert await world.answered(1) == [(vote, b"ping")]

    run(script)


@pytest.mark.parametrize("piece", [1, 3, 1000])
def test_answers_in_pieces_and_large_ones(piece):
    async def script(world: World) -> None:
        world.echo = False
        bodies = [b"a", bytes(range(256)) * 20, b"bc"]
        for body in bodies:
            world.send(body)
        await world.until(lambda: len(world.frames) == 3)
        node = world.connections[0]
        stream = b"".join(
            struct.pack(">i", len(frame) - 4) + frame[4:8] + frame[8:] for _, frame in world.frames
        )
        for start in range(0, len(stream), piece):
            node.transport.write(stream[start : start + piece])
            await asyncio.sleep(0)
        assert await world.answered(3) == list(enumerate(bodies))

    run(script)


@pytest.mark.parametrize("piece", [15_000, 70_001, 10_000_000])
def test_answers_around_the_sizes_of_the_buffers(piece):
    sizes = [peers_module._READ_BYTES - 8 + more for more in (-5, -4, -1, 0, 1, 100)]
    sizes += [peers_module._AHEAD_BYTES + more for more in (-9, -8, -7, 0, 1_000_000)]
    bodies = [bytes([number]) * size for number, size in enumerate(sizes)]

    async def script(world: World) -> None:
        world.echo = False
        for _ in bodies:
            world.send(b"")
        await world.until(lambda: len(world.frames) == len(bodies))
        stream = b"".join(
            struct.pack(">i", len(body) + 4) + frame[4:8] + body
            for (_, frame), body in zip(world.frames, bodies, strict=True)
        )
        for start in range(0, len(stream), piece):
            world.connections[0].transport.write(stream[start : start + piece])
            await asyncio.sleep(0)
        assert await world.answered(len(bodies)) == list(enumerate(bodies))

    run(script, PeerLimits())


def test_what_is_given_back_belongs_to_the_caller():
    async def script(world: World) -> None:
        frames: list[Any] = []

        def done(frame: memoryview | None) -> None:
            frames.append(frame)
            world.changed()

        for _ in range(2):
            world.peers.send("raft", world.address, [bytes(8), b"same"], LONG_MS, done)
        await world.until(lambda: len(frames) == 2)
        frames[0][4:8] = b"mine"
        assert bytes(frames[1][4:]) == b"same"

    run(script)


def test_nobody_listens_there():
    async def script(world: World) -> None:
        world.server.close()
        await world.server.wait_closed()
        world.send()
        world.send()
        assert await world.answered(2) == [(0, None), (1, None)]

    run(script)


@pytest.mark.parametrize("address", [("127.0.0.1", 70_000), ("127.0.0.1", -1), ("a" * 300, 1), ("", 0)])
def test_an_address_that_is_none(address):
    async def script(world: World) -> None:
        world.send(address=address)
        assert await world.answered(1) == [(0, None)]

    run(script)


def test_the_other_side_closes():
    async def script(world: World) -> None:
        world.echo = False
        world.send()
        world.send()
        await world.until(lambda: len(world.frames) == 2)
        node, frame = world.frames[0]
        node.reply(frame)
        node.transport.close()
        assert await world.answered(2) == [(0, b"ping"), (1, None)]
        # And is asked again over a new connection.
        world.echo = True
        world.send()
        assert (await world.answered(3))[2] == (2, b"ping")

    run(script)


def test_closed_while_nothing_was_asked_is_no_failure():
    async def script(world: World) -> None:
        world.send()
        await world.answered(1)
        world.connections[0].transport.close()
        await world.until(lambda: len(world.lost) == 1)
        await asyncio.sleep(0)
        world.send()
        assert (await world.answered(2))[1] == (1, b"ping")

    run(script)


def test_a_late_answer_ends_everything_behind_it_and_the_connection():
    async def script(world: World) -> None:
        world.echo = False
        world.send(timeout_ms=LONG_MS)
        world.send(timeout_ms=20)
        world.send(timeout_ms=LONG_MS)
        assert await world.answered(3) == [(0, None), (1, None), (2, None)]
        await world.until(lambda: len(world.lost) == 1)
        world.echo = True
        world.send()
        assert (await world.answered(4))[3] == (3, b"ping")
        assert len(world.connections) == 2

    run(script)


def test_waiting_in_the_pause_counts_against_the_request_itself_only():
    limits = LIMITS._replace(backoff_seconds=0.3, backoff_max_seconds=0.3)

    async def script(world: World) -> None:
        world.echo = False
        world.send()
        await world.until(lambda: len(world.connections) == 1)
        world.connections[0].transport.abort()
        await world.answered(1)
        world.echo = True
        short = world.send(timeout_ms=10)
        patient = world.send(timeout_ms=LONG_MS)
        assert (await world.answered(3))[1:] == [(short, None), (patient, b"ping")]
        assert len(world.connections) == 2

    run(script, limits)


def test_more_than_the_bound_fails_at_once():
    async def script(world: World) -> None:
        world.echo = False
        for _ in range(6):
            world.send()
        assert await world.answered(1) == [(5, None)]
        await world.until(lambda: len(world.frames) == 5)
        for node, frame in world.frames:
            node.reply(frame)
        await world.answered(6)
        # Bytes count too; a single request may have as many as it likes.
        world.echo = True
        world.send(bytes(3 << 20), channel="markers")
        world.send(channel="markers")
        await world.answered(7)
        assert world.answers[6] == (7, None)
        await world.until(lambda: len(world.frames) == 6)

    run(script, LIMITS._replace(response_max_bytes=8 << 20))


BROKEN = {
    "another correlation id": lambda frame: struct.pack(">i", 8) + b"\xff" * 8,
    "negative length": lambda frame: struct.pack(">i", -1) + frame[4:8],
    "empty": lambda frame: struct.pack(">i", 0),
    "too short for a header": lambda frame: struct.pack(">i", 3) + frame[4:7],
    "too long": lambda frame: struct.pack(">i", (1 << 20) + 1) + frame[4:8],
    "not the protocol": lambda frame: b"HTTP/1.1 400 Bad Request\r\n\r\n",
    "two answers": lambda frame: (struct.pack(">i", 8) + frame[4:8] + b"pong") * 2,
}


@pytest.mark.parametrize("name", BROKEN)
def test_a_broken_answer_closes_its_connection_and_no_more(name):
    async def script(world: World) -> None:
        other = world.send(channel="fetch-0")
        await world.answered(1)
        world.echo = False
        world.send()
        world.send()
        await world.until(lambda: len(world.frames) == 3)
        node, frame = world.frames[1]
        node.transport.write(BROKEN[name](frame))
        await world.answered(3)
        first = b"pong" if name == "two answers" else None
        assert world.answers == [(other, b"ping"), (1, first), (2, None)]
        await world.until(lambda: world.lost == [node])
        world.echo = True
        world.send()
        world.send(channel="fetch-0")
        await world.answered(5)
        assert [answer for _, answer in world.answers[3:]] == [b"ping", b"ping"]

    run(script)


def test_an_answer_that_nobody_asked_for():
    async def script(world: World) -> None:
        world.send()
        await world.answered(1)
        world.connections[0].write(b"surprise")
        await world.until(lambda: len(world.lost) == 1)
        world.send()
        assert (await world.answered(2))[1] == (1, b"ping")

    run(script)


def test_errors_of_a_callback_do_not_reach_the_others():
    async def script(world: World) -> None:
        def fails(frame: memoryview | None) -> None:
            raise RuntimeError("no")

        def breaks(frame: memoryview | None) -> None:
            raise InvariantError("no")

        header = struct.pack(">hhi", 52, 0, 0)
        world.peers.send("raft", world.address, [header], LONG_MS, fails)
        world.peers.send("raft", world.address, [header], LONG_MS, breaks)
        world.send()
        await world.answered(1)
        assert world.answers == [(0, b"ping")]
        assert [str(error) for error in world.fatal] == ["no"]
        world.fatal.clear()

    run(script)


def test_close_ends_what_is_outstanding_and_what_comes_after():
    async def script(world: World) -> None:
        world.echo = False
        world.send()
        await world.until(lambda: len(world.frames) == 1)
        world.send(address=("127.0.0.1", 1))
        world.peers.close()
        world.send()
        assert await world.answered(3) == [(0, None), (1, None), (2, None)]
        await world.until(lambda: len(world.lost) == 1)

    run(script)


def test_links_to_nodes_that_left_are_forgotten(monkeypatch):
    monkeypatch.setattr("pybroker.runtime.peers._IDLE_LINKS_MAX", 2)

    async def script(world: World) -> None:
        for number in range(6):
            world.send(channel=f"fetch-{number}")
            await world.answered(number + 1)
        await world.until(lambda: len(world.lost) >= 4)
        assert len(world.connections) == 6

    run(script)

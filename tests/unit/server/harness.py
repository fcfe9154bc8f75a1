"""A server with a fake broker on a real loopback socket, and clients that speak raw frames."""

from __future__ import annotations

import asyncio
import contextlib

from pybroker.runtime.main import new_event_loop
from pybroker.runtime.metrics import ServerMetrics
from pybroker.server.connection import Connection
from pybroker.server.gate import Gate
from pybroker.server.limits import ServerLimits
from tests.unit.server.fake_broker import CLOSE, FakeBroker, request

DEADLINE_S = 10

LOOPS = {"uvloop": new_event_loop, "asyncio": asyncio.new_event_loop}


def run(scenario, loop_name="uvloop"):
    """Run a coroutine on a fresh loop, with a deadline."""
    loop = LOOPS[loop_name]()
    try:
        return loop.run_until_complete(asyncio.wait_for(scenario, DEADLINE_S))
    finally:
        loop.close()


class Client:
    def __init__(self, reader, writer):
        self.reader = reader
        self.writer = writer

    def send(self, key, correlation_id=0, body=b"", version=0):
        self.writer.write(request(key, correlation_id, body, version))

    def send_raw(self, data):
        self.writer.write(data)

    async def reply(self):
        """(correlation id, body) of the next reply."""
        size = int.from_bytes(await self.reader.readexactly(4), "big")
        frame = await self.reader.readexactly(size)
        return int.from_bytes(frame[:4], "big"), frame[4:]

    async def closed(self):
        """Wait for the end of the stream; returns what came before it."""
        try:
            return await self.reader.read()
        except ConnectionError:
            return b""

    async def close(self):
        self.writer.close()
        with contextlib.suppress(ConnectionError):
            await self.writer.wait_closed()


class Server:
    def __init__(self, broker, gate, port, fatal):
        self.broker = broker
        self.gate = gate
        self.port = port
        self.fatal = fatal
        self.clients = []

    @property
    def metrics(self):
        return self.gate.metrics

    async def client(self, **options):
        client = Client(*await asyncio.open_connection("127.0.0.1", self.port, **options))
        self.clients.append(client)
        return client

    async def handled(self, count):
        """Wait until the broker has handled that many requests in all."""
        if len(self.broker.handled) >= count:
            return
        done = asyncio.get_running_loop().create_future()

        def check():
            if len(self.broker.handled) >= count and not done.done():
                done.set_result(None)

        self.broker.on_handled = check
        await done


async def until(condition):
    """Let the loop run until a condition holds; the scenario's deadline bounds it."""
    while not condition():
        await asyncio.sleep(0.001)


@contextlib.asynccontextmanager
async def serving(broker=None, **limits):
    loop = asyncio.get_running_loop()
    broker = broker or FakeBroker()
    fatal = []
    gate = Gate(broker, loop, ServerLimits(**limits), ServerMetrics(), fatal.append, CLOSE)
    listener = await loop.create_server(lambda: Connection(gate, "PLAINTEXT"), "127.0.0.1", 0)
    server = Server(broker, gate, listener.sockets[0].getsockname()[1], fatal)
    try:
        yield server
    finally:
        for client in server.clients:
            await client.close()
        gate.close()
        await until(lambda: gate.connection_count == 0)
        listener.close()
        assert gate.metrics.request_bytes_held == 0
        assert gate.metrics.response_bytes_unsent == 0

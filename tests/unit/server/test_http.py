"""The responder for /health and /metrics."""

from __future__ import annotations

import asyncio
import contextlib

import pytest

from pybroker.server.http import HttpResponder
from tests.unit.server.harness import LOOPS, run

pytestmark = pytest.mark.parametrize("loop", LOOPS)


@contextlib.asynccontextmanager
async def responding(healthy=lambda: True, metrics=lambda: iter(["a 1\n", "b 2\n"])):
    loop = asyncio.get_running_loop()
    responder = HttpResponder(loop, healthy, metrics)
    server = await loop.create_server(responder.make_protocol, "127.0.0.1", 0)

    async def ask(data):
        reader, writer = await asyncio.open_connection(*server.sockets[0].getsockname()[:2])
        writer.write(data)
        try:
            answer = await reader.read()
        except ConnectionError:
            answer = b""
        writer.close()
        head, _, body = answer.partition(b"\r\n\r\n")
        return head.split(b"\r\n")[0], head, body

    try:
        yield ask
    finally:
        responder.close()
        server.close()


def get(path, method="GET"):
    return f"{method} {path} HTTP/1.1\r\nHost: x\r\n\r\n".encode()


def test_health(loop):
    async def scenario():
        healthy = [True]
        async with responding(lambda: healthy[0]) as ask:
            assert (await ask(get("/health")))[::2] == (b"HTTP/1.1 200 OK", b'{"status":"ok"}\n')
            healthy[0] = False
            assert (await ask(get("/health")))[0] == b"HTTP/1.1 503 Service Unavailable"

    run(scenario(), loop)


def test_metrics_in_pieces(loop):
    pieces = [f"x{number} {'9' * 1000}\n" for number in range(2000)]

    async def scenario():
        async with responding(metrics=lambda: iter(pieces)) as ask:
            status, head, body = await ask(get("/metrics?x=1"))
            assert status == b"HTTP/1.1 200 OK"
            assert b"text/plain; version=0.0.4" in head
            assert body.decode() == "".join(pieces)

    run(scenario(), loop)


@pytest.mark.parametrize(
    ("data", "status"),
    [
        (get("/nothing"), b"HTTP/1.1 404 Not Found"),
        (get("/metrics", "POST"), b"HTTP/1.1 405 Method Not Allowed"),
        (b"nonsense\r\n\r\n", b"HTTP/1.1 400 Bad Request"),
        (b"GET /health SMTP\r\n\r\n", b"HTTP/1.1 400 Bad Request"),
        (b"GET /" + b"x" * 9000, b"HTTP/1.1 431 Request Header Fields Too Large"),
    ],
)
def test_refusals(loop, data, status):
    async def scenario():
        async with responding() as ask:
            assert (await ask(data))[0] == status

    run(scenario(), loop)


def test_head_has_no_body(loop):
    async def scenario():
        async with responding() as ask:
            status, _, body = await ask(get("/metrics", "HEAD"))
            assert (status, body) == (b"HTTP/1.1 200 OK", b"")

    run(scenario(), loop)


def test_too_many_connections_are_refused(loop, monkeypatch):
    monkeypatch.setattr("pybroker.server.http._CONNECTIONS_MAX", 0)

    async def scenario():
        async with responding() as ask:
            assert (await ask(get("/health")))[0] == b""

    run(scenario(), loop)


def test_a_request_that_never_ends_is_cut_off(loop, monkeypatch):
    monkeypatch.setattr("pybroker.server.http._DEADLINE_SECONDS", 0.05)

    async def scenario():
        async with responding() as ask:
            assert (await ask(b"GET /health HTTP/1.1\r\nHost:"))[0] == b""

    run(scenario(), loop)

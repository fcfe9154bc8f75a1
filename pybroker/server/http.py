"""/health and /metrics over a responder for HTTP GET, on the broker's own loop.

In: one small request per connection. Out: one response, then the connection closes. What must hold: a
request has at most 8 KiB and ten seconds; a long exposition lets the loop run between metric families.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterator
from typing import Final, cast

_HEADER_MAX_BYTES: Final = 8 * 1024
_DEADLINE_SECONDS: Final = 10.0
_CONNECTIONS_MAX: Final = 64

# content type and the pieces of the body
Page = tuple[str, Iterator[str]]
_REASONS: Final = {
    200: "OK",
    400: "Bad Request",
    404: "Not Found",
    405: "Method Not Allowed",
    431: "Request Header Fields Too Large",
    503: "Service Unavailable",
}


class HttpResponder:
    """The pages, and the connections that ask for them."""

    def __init__(
        self,
        loop: asyncio.AbstractEventLoop,
        is_healthy: Callable[[], bool],
        metrics: Callable[[], Iterator[str]],
    ) -> None:
        self.loop = loop
        self._is_healthy = is_healthy
        self._metrics = metrics
        self.connections: dict[_HttpConnection, None] = {}

    def page(self, path: str) -> tuple[int, str, Iterator[str]]:
        """Status, content type, pieces of the body."""
        if path == "/health":
            healthy = self._is_healthy()
            body = '{"status":"ok"}\n' if healthy else '{"status":"stopping"}\n'
            return 200 if healthy else 503, "application/json", iter([body])
        if path == "/metrics":
            return 200, "text/plain; version=0.0.4; charset=utf-8", self._metrics()
        return 404, "text/plain; charset=utf-8", iter(["not found\n"])

    def make_protocol(self) -> asyncio.Protocol:
        return _HttpConnection(self)

    def close(self) -> None:
        for connection in list(self.connections):
            connection.abort()


class _HttpConnection(asyncio.Protocol):
    def __init__(self, responder: HttpResponder) -> None:
        self._responder = responder
        self._transport: asyncio.Transport | None = None
        self._received = b""
        self._answered = False
        self._write_paused = False
        self._pieces: Iterator[str] = iter(())
        self._deadline: asyncio.TimerHandle | None = None

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast(asyncio.Transport, transport)
        if len(self._responder.connections) >= _CONNECTIONS_MAX:
            self._transport.abort()
            return
        self._responder.connections[self] = None
        # For the whole exchange, so that a scraper that does not read cannot stay.
        self._deadline = self._responder.loop.call_later(_DEADLINE_SECONDS, self.abort)

    def connection_lost(self, exc: BaseException | None) -> None:
        self._transport = None
        self._responder.connections.pop(self, None)
        if self._deadline is not None:
            self._deadline.cancel()

    def abort(self) -> None:
        if self._transport is not None:
            self._transport.abort()

    def data_received(self, data: bytes) -> None:
        if self._answered:
            return
        self._received += data
        head, separator, _ = self._received.partition(b"\r\n\r\n")
        if not separator:
            if len(self._received) > _HEADER_MAX_BYTES:
                self._answer(431, "text/plain; charset=utf-8", iter(["header too large\n"]))
            return
        parts = head.split(b"\r\n", 1)[0].split(b" ")
        if len(parts) != 3 or not parts[2].startswith(b"HTTP/1."):
            self._answer(400, "text/plain; charset=utf-8", iter(["bad request\n"]))
        elif parts[0] not in (b"GET", b"HEAD"):
            self._answer(405, "text/plain; charset=utf-8", iter(["only GET is served\n"]))
        else:
            path = parts[1].decode("latin-1").partition("?")[0]
            status, content_type, pieces = self._responder.page(path)
            self._answer(status, content_type, iter(()) if parts[0] == b"HEAD" else pieces)

    def _answer(self, status: int, content_type: str, pieces: Iterator[str]) -> None:
        self._answered = True
        assert self._transport is not None
        # The end of the connection is the end of the body: its length is not known before it is made.
        self._transport.write(
            f"HTTP/1.1 {status} {_REASONS[status]}\r\nContent-Type: {content_type}\r\n"
            "Cache-Control: no-store\r\nConnection: close\r\n\r\n".encode("latin-1")
        )
        self._pieces = pieces
        self._write_next()

    def pause_writing(self) -> None:
        self._write_paused = True

    def resume_writing(self) -> None:
        self._write_paused = False
        self._write_next()

    def _write_next(self) -> None:
        if self._transport is None or self._write_paused or self._transport.is_closing():
            return
        piece = next(self._pieces, None)
        if piece is None:
            self._transport.close()
            return
        self._transport.write(piece.encode())
        self._responder.loop.call_soon(self._write_next)

"""Sockets to the other nodes: `pybroker.common.peers.Peers` on an asyncio loop.

In: frames for (channel, address). Out: response frames, or None. What must hold, besides the rules of the
protocol:

- one connection per (channel, address), made when something is to be sent, made again after a failure, but
  not before a pause that grows from 50 ms to a second (Kafka's reconnect.backoff.ms and its maximum) until
  an answer arrives; what is sent in the pause waits for it as long as its own timeout allows;
- a request that is not answered in time closes its connection: answers come in order, so what follows it
  would be late as well, and after a cut of the network only a new connection is known to work;
- nothing that the other side sends gets further than its connection: lengths are bounded, buffers grow with
  the bytes received, an answer must carry the correlation id of the oldest request.

    out: | length i32 | api key i16 | api version i16 | correlation id i32 | ... |
    in:  | length i32 | correlation id i32 | ... |
"""

from __future__ import annotations

import asyncio
import logging
import random
import socket
import struct
from collections import deque
from collections.abc import Callable, Sequence
from typing import Final, NamedTuple, cast

from pybroker.common.peers import Address, Done
from pybroker.runtime.loop import call_core

logger = logging.getLogger("pybroker.runtime")

_LENGTH: Final = struct.Struct(">i")
_CORRELATION_AT: Final = slice(4, 8)
_CORRELATION_BYTES: Final = 4
# Small frames are joined: cheaper than a vector.
_JOIN_BYTES: Final = 16 * 1024
# What a connection reads at once between large answers.
_READ_BYTES: Final = 16 * 1024
# Room for a large answer that is made before its bytes are there; beyond it twice what has come.
_AHEAD_BYTES: Final = 2 * 1024 * 1024
# Links that have nothing to do are forgotten beyond this many: addresses come from other nodes.
_IDLE_LINKS_MAX: Final = 1_000
# A node that fails is mentioned at most so often for each channel.
_REPORT_SECONDS: Final = 10.0


class PeerLimits(NamedTuple):
    """What other nodes may make us hold, and how patient we are. Times in seconds."""

    response_max_bytes: int = 128 * 1024 * 1024
    outstanding_requests_max: int = 1_000
    outstanding_bytes_max: int = 128 * 1024 * 1024
    connect_seconds: float = 10.0
    backoff_seconds: float = 0.05
    backoff_max_seconds: float = 1.0


class _Outstanding:
    """A request without an answer."""

    __slots__ = ("correlation", "deadline", "done", "frame", "size")

    def __init__(self, frame: list[bytes | bytearray | memoryview], deadline: float, done: Done) -> None:
        # Until it is written.
        self.frame: list[bytes | bytearray | memoryview] | None = frame
        self.size = sum(map(len, frame))
        self.correlation = bytes(frame[0][_CORRELATION_AT])
        self.deadline = deadline
        self.done = done


class SocketPeers:
    """All connections from this node to others. Every call is on the loop thread."""

    def __init__(
        self,
        loop: asyncio.AbstractEventLoop,
        rng: random.Random,
        on_fatal: Callable[[BaseException], None],
        limits: PeerLimits = PeerLimits(),  # noqa: B008 (immutable)
    ) -> None:
        """`on_fatal` takes an InvariantError that a `done` raised: the process must stop."""
        self.loop = loop
        self.rng = rng
        self.limits = limits
        self._on_fatal = on_fatal
        self._links: dict[tuple[str, Address], _Link] = {}
        self._closed = False

    def send(
        self,
        channel: str,
        address: Address,
        frame: Sequence[bytes | bytearray | memoryview],
        timeout_ms: float,
        done: Done,
    ) -> None:
        """See `pybroker.common.peers.Peers`."""
        request = _Outstanding(list(frame), self.loop.time() + timeout_ms / 1000.0, done)
        if self._closed:
            self.loop.call_soon(self.finish, request, None)
            return
        link = self._links.get((channel, address))
        if link is None:
            if len(self._links) >= _IDLE_LINKS_MAX:
                self._forget_idle()
            link = self._links[(channel, address)] = _Link(self, channel, address)
        link.send(request)

    def close(self) -> None:
        """Close every connection; what is outstanding ends with None. Nothing is sent any more."""
        self._closed = True
        links, self._links = self._links, {}
        for link in links.values():
            link.close()

    def finish(self, request: _Outstanding, response: memoryview | None) -> None:
        """Tell whoever asked. Its errors end neither the loop nor the other requests."""
        call_core("answer of another node", self._on_fatal, request.done, response)

    def _forget_idle(self) -> None:
        for key, link in list(self._links.items()):
            if link.idle:
                link.close()
                del self._links[key]


class _Link:
    """One (channel, address): what is outstanding, and the connection if there is one."""

    def __init__(self, peers: SocketPeers, channel: str, address: Address) -> None:
        self._peers = peers
        self._loop = peers.loop
        self._limits = peers.limits
        self._name = f"{address[0]}:{address[1]} ({channel})"
        self._address = address
        # Oldest first. While there is a connection all of them have been written.
        self._outstanding: deque[_Outstanding] = deque()
        self._outstanding_bytes = 0
        self._socket: _Socket | None = None
        self._connecting: asyncio.Task[None] | None = None
        self._attempt = 0
        self._pause: asyncio.TimerHandle | None = None
        self._pause_until = 0.0
        self._failures = 0
        self._reported_at = -_REPORT_SECONDS
        self._reported = False
        self._timer: asyncio.TimerHandle | None = None
        self._timer_at = 0.0

    @property
    def idle(self) -> bool:
        """Nothing waits for an answer."""
        return not self._outstanding

    def send(self, request: _Outstanding) -> None:
        limits = self._limits
        if self._outstanding and (
            len(self._outstanding) >= limits.outstanding_requests_max
            or self._outstanding_bytes + request.size > limits.outstanding_bytes_max
        ):
            self._report(f"{len(self._outstanding)} requests are outstanding, no more are sent")
            self._loop.call_soon(self._peers.finish, request, None)
            return
        self._outstanding.append(request)
        self._outstanding_bytes += request.size
        self._arm(request.deadline)
        if self._socket is not None:
            self._socket.write(request)
        elif self._connecting is None and self._pause is None:
            self._connect_later()

    def close(self) -> None:
        self._end_connection()
        if self._pause is not None:
            self._pause.cancel()
            self._pause = None
        self._fail_all()

    # --- connecting ---

    def _connect_later(self) -> None:
        now = self._loop.time()
        if now < self._pause_until:
            self._pause = self._loop.call_at(self._pause_until, self._connect)
        else:
            self._connect()

    def _connect(self) -> None:
        self._pause = None
        if self._outstanding:
            self._attempt += 1
            self._connecting = self._loop.create_task(self._open(self._attempt))

    async def _open(self, attempt: int) -> None:
        host, port = self._address
        try:
            async with asyncio.timeout(self._limits.connect_seconds):
                await self._loop.create_connection(lambda: _Socket(self, attempt, self._limits), host, port)
        except TimeoutError:
            self._connecting = None
            self._failed(f"no connection within {self._limits.connect_seconds:g} s")
        except (OSError, ValueError, OverflowError) as error:
            # The last two: a host or port that no resolver takes.
            self._connecting = None
            self._failed(str(error))

    def opened(self, opened: _Socket) -> None:
        """The connection is there: write what has waited for it."""
        if self._connecting is None or opened.attempt != self._attempt:
            # Given up in the meantime.
            opened.abort()
            return
        self._connecting = None
        self._socket = opened
        for request in self._outstanding:
            opened.write(request)

    # --- answers ---

    def received(self, frame: memoryview) -> str | None:
        """One frame of the other side; returns what is wrong with it."""
        if not self._outstanding:
            return "an answer to nothing"
        request = self._outstanding[0]
        if frame[:_CORRELATION_BYTES] != request.correlation:
            return f"an answer to {bytes(frame[:4]).hex()} where {request.correlation.hex()} was asked"
        self._outstanding.popleft()
        self._outstanding_bytes -= request.size
        if self._failures:
            self._failures = 0
            if self._reported:
                self._reported = False
                logger.info("node answers again node=%s", self._name)
        self._peers.finish(request, frame)
        return None

    # --- failures ---

    def lost(self, lost: _Socket, reason: str) -> None:
        """A connection ended, or has to."""
        if lost is not self._socket:
            return
        if self._outstanding:
            self._failed(reason)
        else:
            # Closed for idleness, or at its end: the next request finds out.
            self._end_connection()

    def _failed(self, reason: str) -> None:
        limits = self._limits
        self._end_connection()
        pause = min(limits.backoff_seconds * 2.0 ** min(self._failures, 30), limits.backoff_max_seconds)
        # As Kafka: a fifth more or less, so that many nodes do not come back as one.
        self._pause_until = self._loop.time() + pause * self._peers.rng.uniform(0.8, 1.2)
        self._failures += 1
        self._report(reason)
        self._fail_all()

    def _report(self, reason: str) -> None:
        now = self._loop.time()
        if now - self._reported_at >= _REPORT_SECONDS:
            self._reported_at = now
            self._reported = True
            logger.warning('node does not answer node=%s reason="%s"', self._name, reason)

    def _end_connection(self) -> None:
        ended, self._socket = self._socket, None
        if ended is not None:
            ended.abort()
        if self._connecting is not None:
            self._connecting.cancel()
            self._connecting = None

    def _fail_all(self) -> None:
        failed, self._outstanding = self._outstanding, deque()
        self._outstanding_bytes = 0
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
        for request in failed:
            self._peers.finish(request, None)

    # --- time ---

    def _arm(self, deadline: float) -> None:
        if self._timer is not None:
            if self._timer_at <= deadline:
                return
            self._timer.cancel()
        self._timer_at = deadline
        self._timer = self._loop.call_at(deadline, self._check_deadlines)

    def _check_deadlines(self) -> None:
        self._timer = None
        now = self._loop.time()
        late = [request for request in self._outstanding if request.deadline <= now]
        if late and self._socket is not None:
            self._failed("a request was not answered in time")
            return
        if late:
            # Nothing was written: these only have waited too long for a connection.
            self._outstanding = deque(request for request in self._outstanding if request.deadline > now)
            self._outstanding_bytes -= sum(request.size for request in late)
            if not self._outstanding and self._connecting is not None:
                # A new attempt is more likely to succeed than one that may have begun before a cut healed.
                self._failed("no connection in time")
        if self._outstanding:
            self._arm(min(request.deadline for request in self._outstanding))
        for request in late:
            self._peers.finish(request, None)


class _Socket(asyncio.BufferedProtocol):
    """One connection: bytes out, frames in. A large answer is received where it stays, without a copy."""

    def __init__(self, link: _Link, attempt: int, limits: PeerLimits) -> None:
        self._link = link
        self.attempt = attempt
        self._limits = limits
        self._transport: asyncio.Transport = cast(asyncio.Transport, None)
        # Small answers; the first `_held` bytes are the beginning of the next one.
        self._small = memoryview(bytearray(_READ_BYTES))
        self._held = 0
        # The large answer that is being received, with its prefix, and how far it is.
        self._large: bytearray | None = None
        self._need = 0
        self._filled = 0
        self._ended = False

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast(asyncio.Transport, transport)
        raw = transport.get_extra_info("socket")
        if raw is not None and raw.family in (socket.AF_INET, socket.AF_INET6):
            raw.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            raw.setsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1)
        self._link.opened(self)

    def connection_lost(self, exc: Exception | None) -> None:
        self._ended = True
        self._large = None
        self._link.lost(self, "connection closed" if exc is None else str(exc))

    def abort(self) -> None:
        self._ended = True
        self._transport.abort()

    def write(self, request: _Outstanding) -> None:
        frame, request.frame = request.frame, None
        if frame is None:
            return
        prefix = _LENGTH.pack(request.size)
        if request.size <= _JOIN_BYTES:
            self._transport.write(b"".join((prefix, *frame)))
        else:
            self._transport.writelines((prefix, *frame))

    def get_buffer(self, sizehint: int) -> memoryview:
        large = self._large
        if large is None:
            return self._small[self._held :]
        if self._filled == len(large):
            large.extend(bytes(min(self._need, 2 * len(large)) - len(large)))
        return memoryview(large)[self._filled :]

    def buffer_updated(self, nbytes: int) -> None:
        if self._large is None:
            self._take(self._held + nbytes)
            return
        self._filled += nbytes
        if self._filled == self._need:
            large, self._large = self._large, None
            self._deliver(memoryview(large)[4:])

    def _deliver(self, frame: memoryview) -> bool:
        """Give one frame to the link; whether the connection goes on."""
        problem = self._link.received(frame)
        if problem is not None:
            self._link.lost(self, problem)
        return not self._ended

    def _take(self, end: int) -> None:
        """Give the whole frames of the first `end` bytes to the link; keep what is left."""
        small = self._small
        most = self._limits.response_max_bytes
        position = 0
        # Answers belong to whoever asked, and are writable.
        own: memoryview | None = None
        while end - position >= 4:
            (size,) = _LENGTH.unpack_from(small, position)
            if not _CORRELATION_BYTES <= size <= most:
                self._link.lost(self, f"an answer of {size} bytes, expected 4 to {most}")
                return
            if end - position - 4 < size:
                if size + 4 > len(small):
                    self._begin_large(size + 4, small[position:end])
                    return
                break
            if own is None:
                own = memoryview(bytearray(small[:end]))
            if not self._deliver(own[position + 4 : position + 4 + size]):
                return
            position += 4 + size
        self._held = end - position
        if position and self._held:
            small[: self._held] = bytes(small[position:end])

    def _begin_large(self, need: int, begin: memoryview) -> None:
        self._held = 0
        self._need = need
        self._filled = len(begin)
        self._large = bytearray(min(need, _AHEAD_BYTES))
        self._large[: len(begin)] = begin

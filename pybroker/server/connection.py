"""One client connection: bytes in, frames to the broker, replies out in request order.

In: bytes from the transport. Out: one write per round of received bytes. What must hold:
- replies leave in request order; a Deferred keeps its place, and what is behind it waits;
- as in Kafka one request of a connection is worked on at a time, except that produce requests are handled
  while earlier ones wait for their Deferred, so that they share a sync of the log;
- a frame given to the broker is a view of private, writable memory (produce batches are stamped in place);
- buffers grow with the bytes received, never with a length that a peer declares;
- while the peer does not take its replies nothing more of it is handled, and soon nothing more is read.

Frame:  | length int32 | api key int16 | api version int16 | correlation id int32 | ... |
        length counts what follows it; replies carry the same prefix.

This is hot code: one long loop with local names. No task, no thread hop and no log line per request.
"""

from __future__ import annotations

import asyncio
import logging
import socket
from collections import deque
from struct import Struct
from time import perf_counter_ns
from typing import Any, Final, cast

from pybroker.common.deferred import Deferred
from pybroker.common.errors import InvariantError, ProtocolError
from pybroker.handlers.produce_lane import Turn, run
from pybroker.large_requests import LargeReply
from pybroker.runtime.metrics import API_SLOT_COUNT, ApiMetrics
from pybroker.server.gate import Gate

logger = logging.getLogger("pybroker.server")

_LENGTH_AND_KEY: Final = Struct(">ih")
_LENGTH: Final = Struct(">i")
_unpack_length_and_key = _LENGTH_AND_KEY.unpack_from
_pack_length = _LENGTH.pack

_PRODUCE: Final = 0
_FETCH: Final = 1
# api key, api version, correlation id
_FRAME_MIN_BYTES: Final = 8
# A round that took this long lets the other connections have their turn.
_ROUND_NS: Final = 5_000_000
# Replies below this are joined to one buffer: cheaper than a vector. Above, bodies are not copied.
_JOIN_BYTES: Final = 16 * 1024
# A round with this many reply bytes hands them to the transport before it goes on.
_FLUSH_BYTES: Final = 256 * 1024
# Frames of this size count as held until they are answered.
_LARGE_FRAME_BYTES: Final = 16 * 1024
# Who was given so much leaves this turn of the loop to the others.
_TURN_BYTES: Final = 2 * 1024 * 1024
# Reads up to this size are gathered, when many connections send at once.
_GATHERED_BYTES: Final = 2048
# A closing connection may take this long to send what is left.
_CLOSING_NS: Final = 10_000_000_000

# Progress of a slow reader: at the pace of one sweep, the rest would be taken within this many sweeps.
_DRAIN_SWEEPS: Final = 120

_WAITING: Final = object()


class _Slot:
    """The place of one reply in the order of a connection."""

    __slots__ = ("connection", "metrics", "reply", "serial", "started_ns")

    def __init__(
        self, connection: Connection, reply: Any, metrics: ApiMetrics, started_ns: int, serial: bool
    ) -> None:
        self.connection = connection
        self.reply = reply
        self.metrics = metrics
        self.started_ns = started_ns
        # Nothing behind it may be handled before it is answered.
        self.serial = serial

    def resolve(self, reply: Any) -> None:
        if isinstance(reply, Exception):
            reply = self.connection.request_failed(reply)
        elapsed = perf_counter_ns() - self.started_ns
        self.metrics.latency[elapsed.bit_length()] += 1
        self.metrics.latency_sum_ns += elapsed
        self.reply = reply
        self.connection.slot_resolved(self)


class Connection(asyncio.Protocol):
    """An accepted connection of one listener."""

    __slots__ = (
        "_api_metrics",
        "_closed",
        "_dirty",
        "_ended",
        "_ended_ns",
        "_frame_limit",
        "_frame_started_ns",
        "_gate",
        "_gathered",
        "_handle",
        "_in_round",
        "_lane",
        "_memory_paused",
        "_out",
        "_out_bytes",
        "_partial",
        "_partial_need",
        "_pending",
        "_reading_paused",
        "_rest",
        "_rest_bytes",
        "_state",
        "_swept_unsent",
        "_transport",
        "_waiting_bytes",
        "_write_paused",
        "active_ns",
        "held_bytes",
        "listener",
        "peer",
        "progress_ns",
        "unsent_bytes",
    )

    def __init__(self, gate: Gate, listener: str) -> None:
        self._gate = gate
        self.listener = listener
        self._frame_limit = gate.limits.request_max_bytes
        self._handle = gate.broker.handle
        self._api_metrics = gate.metrics.apis
        self._state: Any = None
        # handlers.produce_lane, where the broker has it.
        self._lane: Any = None
        self._transport: asyncio.Transport = cast(asyncio.Transport, None)
        self.peer = "?"
        # Replies that are ready to leave, with their prefixes.
        self._out: list[Any] = []
        self._out_bytes = 0
        # Replies that are not, in request order; empty nearly always.
        self._pending: deque[_Slot] = deque()
        # The incomplete frame at the end of the stream, with its prefix, and how many bytes it will have.
        self._partial: bytearray | None = None
        self._partial_need = 0
        self._frame_started_ns = 0
        # Bytes received that cannot be handled yet.
        self._rest: list[Any] = []
        self._rest_bytes = 0
        # The frame of a request that is answered later, if it is a large one.
        self._waiting_bytes = 0
        # What this connection has in the two budgets of the gate.
        self.held_bytes = 0
        self.unsent_bytes = 0
        # What the transport held when the gate last swept.
        self._swept_unsent = 0
        self._write_paused = False
        self._memory_paused = False
        self._reading_paused = False
        self._in_round = False
        self._dirty = False
        self._gathered = False
        # No more requests: closing, as soon as what is owed is sent.
        self._ended = False
        self._ended_ns = 0
        self._closed = False
        self.active_ns = self.progress_ns = perf_counter_ns()

    # --- the transport's calls ---

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast(asyncio.Transport, transport)
        address = transport.get_extra_info("peername")
        host, port = (str(address[0]), int(address[1])) if address else ("?", 0)
        self.peer = f"{host}:{port}"
        if not self._gate.admit(self, host, self.listener):
            self._closed = self._ended = True
            self._transport.abort()
            return
        raw = transport.get_extra_info("socket")
        if raw is not None and raw.family in (socket.AF_INET, socket.AF_INET6):
            raw.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            raw.setsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1)
            if self._gate.limits.send_buffer_bytes > 0:
                raw.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, self._gate.limits.send_buffer_bytes)
        high = self._gate.limits.write_buffer_bytes
        self._transport.set_write_buffer_limits(high=high, low=high // 4)
        self._state = self._gate.broker.connect(host, port, self.listener)
        self._lane = getattr(self._state, "lane", None)
        delay_seconds = self._gate.delay_seconds(self.listener)
        if delay_seconds > 0:
            # As if it did not take its replies: what it sends is kept and not handled.
            self._write_paused = True
            self._gate.loop.call_later(delay_seconds, self.resume_writing)

    def connection_lost(self, exc: BaseException | None) -> None:
        was_open = self._state is not None
        self._closed = self._ended = True
        self._partial = None
        self._rest.clear()
        self._rest_bytes = self._waiting_bytes = 0
        self._out.clear()
        self._pending.clear()
        self._set_held(0)
        self._set_unsent(0)
        self._gate.remove(self)
        if was_open:
            state, self._state = self._state, None
            self._gate.broker.disconnect(state)

    def data_received(self, data: bytes) -> None:
        gate = self._gate
        if self._gathered:
            # In order.
            handle_gathered(gate)
        elif (
            gate.gathers
            and len(data) <= _GATHERED_BYTES
            and self._lane is not None
            and self._partial is None
            and not self._pending
        ):
            self._gathered = True
            if not gate.gathered:
                gate.loop.call_soon(handle_gathered, gate)
            gate.gathered.append((self, data))
            return
        self._receive(data)

    def _receive(self, data: bytes) -> None:
        if self._rest_bytes or self._write_paused or self._ended:
            self._hold(data)
            return
        self._in_round = True
        if self._partial is None:
            self._take(data)
        else:
            self._fill(data)
        self._in_round = False
        if self._out or self._pending:
            self._send()

    def pause_writing(self) -> None:
        self._write_paused = True

    def resume_writing(self) -> None:
        self._write_paused = False
        self.active_ns = self.progress_ns = perf_counter_ns()
        if not self._closed:
            self._set_unsent(self._transport.get_write_buffer_size())
            if self._rest_bytes:
                self.wake()

    # --- frames ---

    def _take(self, data: bytes | bytearray) -> None:
        """Handle the whole frames in `data`; keep what is left. A bytearray is given away."""
        position = 0
        gate = self._gate
        if self._lane is not None and not (self._pending or gate.hold_requests or gate.draining):
            position = self._take_plain(data)
            if position == len(data):
                return
        if data.__class__ is bytearray:
            self._process(memoryview(data)[position:])
        else:
            self._process(memoryview(bytearray(memoryview(data)[position:] if position else data)))

    def _take_plain(self, data: bytes | bytearray) -> int:
        """Handle the plain produce requests at the front of `data` the short way; returns their end."""
        started_ns = perf_counter_ns()
        turns = ((self._lane, data, self._out),)
        limit = self._frame_limit
        position = count = reply_bytes = 0
        try:
            while True:
                index, done, handled, size = run(turns, 0, position, limit)
                if not handled:
                    break
                count += handled
                reply_bytes += size
                if index:
                    position = len(data)
                    break
                position = done
        except Exception as error:
            self.fail(error)
            return len(data)
        if count:
            now_ns = self.active_ns = self.progress_ns = perf_counter_ns()
            self._gate.count_plain(count, now_ns - started_ns, position, reply_bytes)
            self._out_bytes += reply_bytes
        return position

    def _process(self, view: memoryview) -> None:
        """Handle the whole frames in `view`, a view of private writable memory; keep what is left."""
        handle = self._handle
        state = self._state
        out = self._out
        append = out.append
        pending = self._pending
        all_metrics = self._api_metrics
        limit = self._frame_limit
        gate = self._gate
        waits = gate.hold_requests or gate.draining
        end = len(view)
        position = 0
        out_bytes = self._out_bytes
        now_ns = perf_counter_ns()
        round_end_ns = now_ns + _ROUND_NS
        must_wait = breaks_off = False
        try:
            while end - position >= 6:
                size, api_key = _unpack_length_and_key(view, position)
                if not _FRAME_MIN_BYTES <= size <= limit:
                    self._refuse_length(size)
                body = position + 4
                frame_end = body + size
                if frame_end > end:
                    break
                if waits or (pending and self._is_behind(api_key)):
                    must_wait = True
                    break
                if api_key == _FETCH and gate.fetches_wait:
                    gate.wait_for_turn(self)
                    must_wait = True
                    break
                reply = handle(state, view[body:frame_end])
                position = frame_end

                if 0 <= api_key < API_SLOT_COUNT:
                    metrics = all_metrics[api_key]
                    if metrics is None:
                        metrics = gate.metrics.api(api_key)
                else:
                    metrics = gate.metrics.other_api
                metrics.bytes_in += size + 4

                if type(reply) is not list and isinstance(reply, Deferred):
                    if not reply.done:
                        serial = api_key != _PRODUCE or type(reply) is LargeReply
                        slot = _Slot(self, _WAITING, metrics, now_ns, serial)
                        if serial and size > _LARGE_FRAME_BYTES:
                            self._waiting_bytes = size
                            self._note_held()
                        pending.append(slot)
                        reply.then(slot.resolve)
                        now_ns = perf_counter_ns()
                        continue
                    reply = reply.value
                previous_ns = now_ns
                now_ns = perf_counter_ns()
                elapsed = now_ns - previous_ns
                metrics.latency[elapsed.bit_length()] += 1
                metrics.latency_sum_ns += elapsed

                if type(reply) is not list:
                    if reply is None:
                        continue
                    if reply is gate.close_marker:
                        breaks_off = True
                        break
                    reply = list(reply)
                if pending:
                    # Behind a reply that is not there yet.
                    pending.append(_Slot(self, reply, metrics, now_ns, False))
                    continue
                if len(reply) == 1:
                    buffer = reply[0]
                    size = len(buffer)
                    append(_pack_length(size))
                    append(buffer)
                else:
                    size = sum(map(len, reply))
                    append(_pack_length(size))
                    out.extend(reply)
                metrics.bytes_out += size + 4
                out_bytes += size + 4

                if out_bytes >= _FLUSH_BYTES:
                    if out_bytes >= _TURN_BYTES:
                        gate.take_turn()
                    self._out_bytes = out_bytes
                    self._send()
                    out = self._out
                    append = out.append
                    out_bytes = 0
                    if self._write_paused or self._ended:
                        must_wait = True
                        break
                if now_ns > round_end_ns:
                    must_wait = True
                    break
            if position < end and not must_wait and not breaks_off:
                self._start_partial(view[position:], now_ns)
        except ProtocolError as error:
            gate.metrics.protocol_errors += 1
            gate.log_limited("protocol error, closing the connection", self.peer, error)
            breaks_off = True
        except InvariantError as error:
            gate.on_fatal(error)
            breaks_off = True
        except Exception:
            gate.metrics.handler_errors += 1
            logger.exception("request failed, closing the connection peer=%s", self.peer)
            breaks_off = True
        self._out_bytes = out_bytes
        if position:
            self.progress_ns = now_ns
        self.active_ns = now_ns
        if breaks_off:
            self._end_in_order()
        elif must_wait and position < end:
            self._keep_rest(view[position:])
            if now_ns > round_end_ns:
                self.wake()

    def request_failed(self, error: Exception) -> object:
        """A request that was not answered at once has failed: what to answer instead."""
        if isinstance(error, ProtocolError):
            self._gate.metrics.protocol_errors += 1
            self._gate.log_limited("protocol error, closing the connection", self.peer, error)
        else:
            self._gate.metrics.handler_errors += 1
            logger.error("request failed, closing the connection peer=%s", self.peer, exc_info=error)
        return self._gate.close_marker

    def _is_behind(self, api_key: int) -> bool:
        """Whether a request must wait because earlier ones have no reply yet."""
        pending = self._pending
        return (
            api_key != _PRODUCE
            or pending[-1].serial
            or len(pending) >= self._gate.limits.pending_requests_max
        )

    def _refuse_length(self, size: int) -> None:
        if size < 0:
            raise ProtocolError(f"negative request length {size}")
        if size < _FRAME_MIN_BYTES:
            raise ProtocolError(f"request of {size} bytes is too short for its header")
        raise ProtocolError(f"request length {size} is above {self._frame_limit}")

    def _start_partial(self, view: memoryview, now_ns: int) -> None:
        """Keep an incomplete frame; its declared length is checked as soon as it is there."""
        need = 4
        if len(view) >= 4:
            size = _LENGTH.unpack_from(view)[0]
            if not _FRAME_MIN_BYTES <= size <= self._frame_limit:
                self._refuse_length(size)
            need = size + 4
        self._partial = bytearray(view)
        self._partial_need = need
        self._frame_started_ns = now_ns
        self._note_held()

    def _fill(self, data: bytes) -> None:
        """Go on with the incomplete frame."""
        partial = self._partial
        assert partial is not None
        missing = self._partial_need - len(partial)
        if len(data) < missing:
            partial += data
            self.active_ns = perf_counter_ns()
            self._note_held()
            if self._gate.requests_full() and not self._gate.may_exceed(self):
                self._pause_for_memory()
            return
        self._partial = None
        self._note_held()
        if self._partial_need == 4 or len(data) - missing < len(partial):
            # A cut prefix, or a tail so short that a second round costs more than moving it.
            partial += data
            self._take(partial)
            return
        source = memoryview(data)
        partial += source[:missing]
        self._take(partial)
        if missing < len(data):
            tail = source[missing:]
            if self._rest_bytes or self._write_paused or self._ended:
                self._hold(tail)
            else:
                self._take(bytearray(tail))

    # --- what cannot be handled yet ---

    def _keep_rest(self, view: memoryview) -> None:
        """Frames that must wait, from the front of the stream."""
        if self._ended:
            return
        self._rest.insert(0, view)
        self._rest_bytes += len(view)
        self._after_hold()

    def _hold(self, data: bytes | memoryview) -> None:
        """Bytes that came while nothing can be handled."""
        if self._ended:
            # Read and forget, so that the peer gets what we still owe instead of a reset.
            return
        self._rest.append(data)
        self._rest_bytes += len(data)
        self.active_ns = perf_counter_ns()
        self._after_hold()

    def _after_hold(self) -> None:
        self._note_held()
        if self._rest_bytes > self._gate.limits.read_ahead_bytes:
            self._pause_reading()
        elif self._gate.requests_full():
            self._pause_for_memory()

    def _take_rest(self) -> None:
        """Handle what was kept."""
        rest, self._rest = self._rest, []
        self._rest_bytes = 0
        self._note_held()
        if self._partial is not None:
            self._fill(b"".join(rest))
        elif len(rest) == 1 and isinstance(rest[0], memoryview) and not rest[0].readonly:
            self._process(rest[0])
        else:
            self._process(memoryview(bytearray().join(rest)))

    def _pause_reading(self) -> None:
        if not self._reading_paused:
            self._reading_paused = True
            self._gate.metrics.reading_pauses += 1
            self._transport.pause_reading()

    def _maybe_resume_reading(self) -> None:
        if (
            self._reading_paused
            and not self._memory_paused
            and self._rest_bytes <= self._gate.limits.read_ahead_bytes
        ):
            self._reading_paused = False
            # The peer is not to blame for the time in which nobody read.
            self._frame_started_ns = self.active_ns = perf_counter_ns()
            self._transport.resume_reading()

    def _pause_for_memory(self) -> None:
        if not self._memory_paused:
            self._memory_paused = True
            self._gate.wait_for_memory(self)
            self._pause_reading()

    def memory_available(self) -> None:
        """The gate's call: requests may be received again."""
        self._memory_paused = False
        if not self._closed:
            if self._gate.requests_full() and self.held_bytes and not self._gate.may_exceed(self):
                self._pause_for_memory()
            else:
                self._maybe_resume_reading()

    # --- replies ---

    def slot_resolved(self, slot: _Slot) -> None:
        """A Deferred got its value, perhaps in the middle of another connection's request."""
        pending = self._pending
        if pending and pending[0] is slot and not self._in_round:
            self.wake()

    def wake(self) -> None:
        """Go on soon, after whatever runs now: replies that get ready together leave together."""
        if not self._dirty and not self._closed:
            self._dirty = True
            self._gate.mark_dirty(self)

    def advance(self) -> None:
        """Send what is ready and handle what no longer has to wait."""
        self._dirty = False
        if self._closed:
            return
        self._in_round = True
        self._collect()
        if self._rest_bytes and not self._write_paused and not self._ended:
            self._take_rest()
        self._in_round = False
        self._send()
        self._maybe_resume_reading()

    def _collect(self) -> None:
        """Move the replies at the front of the queue that are there to the output."""
        pending = self._pending
        out = self._out
        while pending and not self._ended:
            slot = pending[0]
            reply = slot.reply
            if reply is _WAITING:
                return
            pending.popleft()
            if self._waiting_bytes:
                self._waiting_bytes = 0
                self._note_held()
            if reply is None:
                continue
            if reply is self._gate.close_marker:
                self._end()
                return
            size = sum(map(len, reply))
            out.append(_pack_length(size))
            out.extend(reply)
            slot.metrics.bytes_out += size + 4
            self._out_bytes += size + 4

    def _send(self) -> None:
        """Give the transport everything that is ready, in one write."""
        pending = self._pending
        if pending and pending[0].reply is not _WAITING:
            self._collect()
            if self._rest_bytes and not self._in_round:
                self.wake()
        out = self._out
        if not out or self._closed:
            return
        size = self._out_bytes
        self._out_bytes = 0
        transport = self._transport
        if size < _JOIN_BYTES:
            transport.write(b"".join(out))
            out.clear()
            if self.unsent_bytes or self._write_paused:
                self._set_unsent(transport.get_write_buffer_size())
        else:
            self._out = []
            transport.writelines(out)
            self._set_unsent(transport.get_write_buffer_size())

    # --- budgets and deadlines ---

    def _note_held(self) -> None:
        partial = self._partial
        self._set_held(self._rest_bytes + self._waiting_bytes + (0 if partial is None else len(partial)))

    def _set_held(self, count: int) -> None:
        difference = count - self.held_bytes
        if difference:
            self.held_bytes = count
            self._gate.change_held(self, difference)

    def _set_unsent(self, count: int) -> None:
        difference = count - self.unsent_bytes
        if difference:
            if count > self.unsent_bytes:
                self._swept_unsent = count
            self.unsent_bytes = count
            self._gate.change_unsent(difference)
            if count:
                self._gate.slow_readers[self] = None
            else:
                self._gate.slow_readers.pop(self, None)

    def note_sent(self, now_ns: int) -> None:
        """The sweep's look at how much the peer has taken."""
        if self._closed:
            return
        left = self._transport.get_write_buffer_size()
        taken = self._swept_unsent - left
        if taken > 0:
            self.active_ns = now_ns
            if taken * _DRAIN_SWEEPS >= left:
                self.progress_ns = now_ns
        self._swept_unsent = left
        self._set_unsent(left)

    def check_deadlines(self, now_ns: int) -> None:
        """Close a connection that is idle, sends a request too slowly, or takes too long to end."""
        limits = self._gate.limits
        if self._ended:
            if now_ns - self._ended_ns > _CLOSING_NS:
                self.abort()
            return
        partial = self._partial
        if partial is not None and not self._reading_paused:
            elapsed_ms = (now_ns - self._frame_started_ns) // 1_000_000
            if (
                elapsed_ms > limits.frame_timeout_ms
                and len(partial) * 1000 < elapsed_ms * limits.frame_min_bytes_per_second
            ):
                self._gate.metrics.connections_timed_out += 1
                self._gate.log_limited("request too slow", self.peer, f"{len(partial)} B in {elapsed_ms} ms")
                self.abort()
                return
        if now_ns - self.active_ns > limits.idle_ms * 1_000_000 and not self._pending:
            self._gate.metrics.connections_idle_closed += 1
            self.abort()

    # --- the end ---

    def _end_in_order(self) -> None:
        """Close once the replies before this point have left."""
        if self._pending:
            # Serial: nothing behind it is handled.
            self._pending.append(_Slot(self, self._gate.close_marker, ApiMetrics(), 0, True))
            self._pause_reading()
        else:
            self._end()

    def _end(self) -> None:
        """Send what is ready and close; late Deferreds are ignored."""
        if self._ended:
            return
        self._ended = True
        self._ended_ns = perf_counter_ns()
        self._pending.clear()
        self._partial = None
        self._rest.clear()
        self._rest_bytes = self._waiting_bytes = 0
        self._set_held(0)
        self._send()
        self._transport.close()

    def abort(self) -> None:
        """Close at once, dropping what is unsent."""
        if not self._closed:
            self._closed = self._ended = True
            self._transport.abort()

    def drain(self) -> None:
        """Handle nothing more. A fetch that waits for records is dropped; other requests get their reply."""
        if self._closed or self._ended:
            return
        if self._pending and self._pending[0].metrics is not self._api_metrics[_FETCH]:
            self._pending.append(_Slot(self, self._gate.close_marker, ApiMetrics(), 0, True))
        else:
            self._end()

    # --- together with others ---

    def go_on(self, data: bytes | bytearray, position: int) -> None:
        """The lane has handled `data` up to `position`: handle the rest, send the replies."""
        self.active_ns = self.progress_ns = perf_counter_ns()
        self._out_bytes = sum(map(len, self._out))
        if position < len(data):
            self._in_round = True
            self._process(memoryview(bytearray(memoryview(data)[position:])))
            self._in_round = False
        if self._out or self._pending:
            self._send()

    def take_gathered(self, data: bytes) -> Turn | None:
        """What was gathered, for the lane; None if it was handled here."""
        self._gathered = False
        if self._closed or self._ended:
            return None
        gate = self._gate
        if gate.hold_requests or gate.draining or self._pending or self._write_paused:
            self._receive(data)
            return None
        return self._lane, data, self._out

    def fail(self, error: Exception) -> None:
        """A plain request could not be handled."""
        if isinstance(error, InvariantError):
            self._gate.on_fatal(error)
        else:
            self._gate.metrics.handler_errors += 1
            logger.error("request failed, closing the connection peer=%s", self.peer, exc_info=error)
        self._end_in_order()


def handle_gathered(gate: Gate) -> None:
    """Handle what connections received in this turn of the loop: requests for one partition share a write."""
    groups: dict[int, tuple[list[Connection], list[Turn]]] = {}
    for connection, data in gate.take_gathered():
        turn = connection.take_gathered(data)
        if turn is not None:
            entry = turn[0].last
            connections, turns = groups.setdefault(id(entry and entry.plain), ([], []))
            connections.append(connection)
            turns.append(turn)
    for connections, turns in groups.values():
        _handle_group(gate, connections, turns)


def _handle_group(gate: Gate, connections: list[Connection], turns: list[Turn]) -> None:
    """Turns that are probably for one partition, in order."""
    limit = gate.limits.request_max_bytes
    index = position = 0
    while index < len(turns):
        started_ns = perf_counter_ns()
        try:
            reached, done, count, reply_bytes = run(turns, index, position, limit)
        except Exception as error:
            for connection in connections[index:]:
                connection.fail(error)
            return
        if not count:
            connections[index].go_on(turns[index][1], position)
            index += 1
            position = 0
            continue
        size = sum(len(turn[1]) for turn in turns[index:reached]) + done - position
        gate.count_plain(count, perf_counter_ns() - started_ns, size, reply_bytes)
        for at in range(index, reached):
            connections[at].go_on(turns[at][1], len(turns[at][1]))
        index, position = reached, done

"""What the connections of one broker share: limits, counters, the table of connections, byte budgets.

In: connections that come and go and report what they hold. Out: refusals, evictions, wake-ups. What must
hold: memory held for peers stays within the two byte budgets plus one request or reply per connection that
is making progress; nobody who makes progress is evicted while somebody who does not is there.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable
from time import perf_counter_ns
from typing import TYPE_CHECKING, Any, Protocol

from pybroker.runtime.metrics import ServerMetrics
from pybroker.server.limits import ServerLimits

if TYPE_CHECKING:
    from pybroker.server.connection import Connection

logger = logging.getLogger("pybroker.server")

SWEEP_INTERVAL_SECONDS = 0.25
_PRODUCE = 0
_LOG_INTERVAL_NS = 1_000_000_000
# After so many reads one turn of the loop is looked at: do so many more come in it?
_READS_PER_LOOK = 64
_GATHER_FROM = 24
# With fewer it is better not to wait for the others.
_GATHER_BELOW = 16


class BrokerDoor(Protocol):
    """The part of `pybroker.broker.Broker` that the server needs."""

    def connect(self, peer_host: str, peer_port: int, listener: str, /) -> Any: ...

    def disconnect(self, state: Any, /) -> None: ...

    def handle(self, state: Any, frame: memoryview, /) -> Any: ...


class _Rate:
    """How long a new connection has to wait: at most so many a second, after a burst of a second's worth."""

    __slots__ = ("_next_ns",)

    def __init__(self) -> None:
        self._next_ns = 0.0

    def delay_seconds(self, now_ns: int, per_second: int) -> float:
        self._next_ns = max(self._next_ns, now_ns - 1e9) + 1e9 / per_second
        return max(self._next_ns - now_ns, 0.0) / 1e9


class Gate:
    """Shared state of all connections; everything happens on the loop thread."""

    __slots__ = (
        "_checks_often",
        "_connections",
        "_dirty",
        "_exceeding",
        "_last_log_ns",
        "_memory_waiters",
        "_per_ip",
        "_per_listener",
        "_plain_reads",
        "_rates",
        "_suppressed",
        "_sweep_count",
        "_sweep_handle",
        "_turn_taken",
        "_turn_waiters",
        "api_metrics",
        "broker",
        "close_marker",
        "draining",
        "fetches_wait",
        "gathered",
        "gathers",
        "hold_requests",
        "limits",
        "loop",
        "metrics",
        "on_fatal",
        "slow_readers",
    )

    def __init__(
        self,
        broker: BrokerDoor,
        loop: asyncio.AbstractEventLoop,
        limits: ServerLimits,
        metrics: ServerMetrics,
        on_fatal: Callable[[BaseException], None],
        close_marker: object,
    ) -> None:
        """`on_fatal` takes an InvariantError: the process must stop. `close_marker` is broker.CLOSE."""
        self.broker = broker
        self.loop = loop
        self.limits = limits
        self.metrics = metrics
        self.on_fatal = on_fatal
        self.close_marker = close_marker
        self.draining = False
        # Set while the I/O threads cannot take more work: nothing new is handled.
        self.hold_requests = False
        # Replies take too much memory, or this turn of the loop has read enough.
        self.fetches_wait = False
        self._turn_taken = False
        self._turn_waiters: dict[Connection, None] = {}
        # Connections whose peers do not take their replies fast enough (a dict for its order).
        self.slow_readers: dict[Connection, None] = {}
        self._connections: dict[Connection, str] = {}
        self._per_ip: dict[str, int] = {}
        self._per_listener: dict[str, int] = {}
        # By listener; the empty name is for all of them.
        self._rates: dict[str, _Rate] = {}
        self._dirty: list[Connection] = []
        # Whether small reads wait for the end of this turn of the loop, and those that do: what many
        # connections send at once is handled together (`connection.handle_gathered`).
        self.gathers = False
        self.gathered: list[tuple[Connection, bytes]] = []
        self._plain_reads = 0
        self._memory_waiters: dict[Connection, None] = {}
        self._exceeding: Connection | None = None
        self._sweep_handle: asyncio.TimerHandle | None = None
        self._last_log_ns = -_LOG_INTERVAL_NS
        self._suppressed = 0
        self._sweep_count = 0
        # With thousands of connections a look at each costs milliseconds: once a second is enough for
        # deadlines of many seconds.
        self._checks_often = min(limits.idle_ms, limits.frame_timeout_ms) < 8_000

    # --- the table ---

    def admit(self, connection: Connection, ip: str, listener: str) -> bool:
        """Enter a connection in the table, or say no: a limit is reached or the broker is stopping."""
        limits = self.limits
        count = self._per_ip.get(ip, 0)
        per_ip_max = limits.connections_per_ip_overrides.get(ip, limits.connections_per_ip_max)
        of_listener = self._per_listener.get(listener, 0)
        if (
            self.draining
            or len(self._connections) >= limits.connections_max
            or count >= per_ip_max
            or of_listener >= limits.listener_connections_max.get(listener, limits.connections_max)
        ):
            self.metrics.connections_refused += 1
            if not self.draining:
                self.log_limited("connection refused", ip, f"limit reached, {count} open from there")
            return False
        self._per_ip[ip] = count + 1
        self._per_listener[listener] = of_listener + 1
        self._connections[connection] = ip
        self.metrics.connections_accepted += 1
        self.metrics.connections = len(self._connections)
        if self._sweep_handle is None:
            self._sweep_handle = self.loop.call_later(SWEEP_INTERVAL_SECONDS, self._sweep)
        return True

    def delay_seconds(self, listener: str) -> float:
        """How long a connection that was just admitted must wait before it is served."""
        limits = self.limits
        delay = 0.0
        rates = {
            "": limits.connection_rate_max,
            listener: limits.listener_connection_rate_max.get(listener, 0),
        }
        for name, per_second in rates.items():
            if per_second:
                rate = self._rates.setdefault(name, _Rate())
                delay = max(delay, rate.delay_seconds(perf_counter_ns(), per_second))
        return delay

    def remove(self, connection: Connection) -> None:
        """The connection is gone."""
        ip = self._connections.pop(connection, None)
        if ip is None:
            return
        self._per_listener[connection.listener] -= 1
        left = self._per_ip[ip] - 1
        if left:
            self._per_ip[ip] = left
        else:
            del self._per_ip[ip]
        self.slow_readers.pop(connection, None)
        self._memory_waiters.pop(connection, None)
        self._turn_waiters.pop(connection, None)
        if self._exceeding is connection:
            self._pass_on()
        self.metrics.connections = len(self._connections)

    # --- many connections at once ---

    def count_plain(self, count: int, elapsed_ns: int, bytes_in: int, bytes_out: int) -> None:
        """Plain produce requests were handled together."""
        metrics = self.metrics.apis[_PRODUCE] or self.metrics.api(_PRODUCE)
        # Each took that long.
        metrics.latency[elapsed_ns.bit_length()] += count
        metrics.latency_sum_ns += elapsed_ns
        metrics.bytes_in += bytes_in
        metrics.bytes_out += bytes_out
        # Now and then: how many more come in one turn of the loop?
        self._plain_reads += 1
        if self._plain_reads % _READS_PER_LOOK == 0 and not self.gathers:
            self.loop.call_soon(self._turn_seen, self._plain_reads)

    def _turn_seen(self, reads_before: int) -> None:
        if self._plain_reads - reads_before >= _GATHER_FROM:
            self.gathers = True

    def take_gathered(self) -> list[tuple[Connection, bytes]]:
        gathered, self.gathered = self.gathered, []
        if len(gathered) < _GATHER_BELOW:
            self.gathers = False
        return gathered

    # --- waking ---

    def mark_dirty(self, connection: Connection) -> None:
        """Call `connection.advance` soon: a reply is ready or a reason to wait is gone."""
        if not self._dirty:
            self.loop.call_soon(self._advance_dirty)
        self._dirty.append(connection)

    def _advance_dirty(self) -> None:
        dirty, self._dirty = self._dirty, []
        for connection in dirty:
            connection.advance()

    def release_requests(self) -> None:
        """The I/O threads take work again."""
        self.hold_requests = False
        for connection in list(self._connections):
            connection.wake()

    # --- byte budgets ---

    def change_held(self, connection: Connection, difference: int) -> None:
        """A connection holds this many bytes more (or fewer) of requests not handled yet."""
        metrics = self.metrics
        metrics.request_bytes_held += difference
        if connection is self._exceeding and not connection.held_bytes:
            self._pass_on()
        if self._memory_waiters and metrics.request_bytes_held <= self.limits.held_request_max_bytes:
            waiters, self._memory_waiters = self._memory_waiters, {}
            for connection in waiters:
                self.loop.call_soon(connection.memory_available)

    def requests_full(self) -> bool:
        return self.metrics.request_bytes_held > self.limits.held_request_max_bytes

    def may_exceed(self, connection: Connection) -> bool:
        """Whether this is the one connection that may go on over the budget, so that somebody finishes."""
        if self._exceeding is None:
            self._exceeding = connection
        return self._exceeding is connection

    def _pass_on(self) -> None:
        """The connection that was over the budget is done: the next one may be."""
        self._exceeding = None
        for connection in self._memory_waiters:
            del self._memory_waiters[connection]
            self.loop.call_soon(connection.memory_available)
            return

    def wait_for_memory(self, connection: Connection) -> None:
        """The connection stopped reading until the held bytes are below the limit."""
        self._memory_waiters[connection] = None

    def change_unsent(self, difference: int) -> None:
        """A connection's transport holds this many bytes more (or fewer) of replies."""
        metrics = self.metrics
        metrics.response_bytes_unsent += difference
        if not self._turn_taken:
            full = self.responses_full()
            if self.fetches_wait and not full:
                self._wake_fetches()
            self.fetches_wait = full

    def responses_full(self) -> bool:
        return self.metrics.response_bytes_unsent > self.limits.unsent_response_max_bytes // 2

    def take_turn(self) -> None:
        """A large reply was given: the next one comes after everything else that is ready."""
        if not self._turn_taken:
            self._turn_taken = self.fetches_wait = True
            self.loop.call_soon(self._end_turn)

    def _end_turn(self) -> None:
        self._turn_taken = False
        self.fetches_wait = self.responses_full()
        if not self.fetches_wait:
            self._wake_fetches()

    def wait_for_turn(self, connection: Connection) -> None:
        """The connection has a fetch to be handled when `fetches_wait` is over."""
        self._turn_waiters[connection] = None

    def _wake_fetches(self) -> None:
        waiters, self._turn_waiters = self._turn_waiters, {}
        for connection in waiters:
            connection.wake()

    # --- the sweep ---

    def _sweep(self) -> None:
        """Look at every connection a few times a second: deadlines, and room when buffers are full."""
        self._sweep_handle = None
        now_ns = perf_counter_ns()
        for connection in list(self.slow_readers):
            connection.note_sent(now_ns)
        self._sweep_count += 1
        if self._checks_often or self._sweep_count % 4 == 0:
            for connection in list(self._connections):
                connection.check_deadlines(now_ns)
        metrics, limits = self.metrics, self.limits
        self._evict(
            now_ns,
            metrics.request_bytes_held,
            limits.held_request_max_bytes,
            lambda connection: connection.held_bytes,
        )
        self._evict(
            now_ns,
            metrics.response_bytes_unsent,
            limits.unsent_response_max_bytes // 2,
            lambda connection: connection.unsent_bytes,
        )
        if self._connections:
            self._sweep_handle = self.loop.call_later(SWEEP_INTERVAL_SECONDS, self._sweep)

    def _evict(self, now_ns: int, used: int, limit: int, size_of: Callable[[Connection], int]) -> None:
        """When a budget is exceeded, close those longest without progress until there is room again."""
        if used <= limit:
            return
        patience_ns = self.limits.eviction_patience_ms * 1_000_000
        stuck = [
            connection
            for connection in self._connections
            if size_of(connection) and now_ns - connection.progress_ns >= patience_ns
        ]
        stuck.sort(key=lambda connection: connection.progress_ns)
        # Below the limit by a quarter, so that those who were waiting for room get some.
        to_free = used - limit * 3 // 4
        for connection in stuck:
            if to_free <= 0:
                break
            to_free -= size_of(connection)
            self.metrics.connections_evicted += 1
            self.log_limited("connection evicted", connection.peer, "buffers are full and it is stuck")
            connection.abort()

    # --- logging that a peer can cause: at most a line a second ---

    def log_limited(self, event: str, peer: str, reason: object) -> None:
        """One line, unless one was written within the last second; the next one says how many were not."""
        now_ns = perf_counter_ns()
        if now_ns - self._last_log_ns < _LOG_INTERVAL_NS:
            self._suppressed += 1
            return
        self._last_log_ns = now_ns
        suppressed, self._suppressed = self._suppressed, 0
        logger.warning('%s peer=%s reason="%s" suppressed=%d', event, peer, reason, suppressed)

    # --- the end ---

    def drain(self) -> None:
        """Handle nothing more; connections close when what they owe is sent."""
        self.draining = True
        for connection in list(self._connections):
            connection.drain()

    @property
    def connection_count(self) -> int:
        return len(self._connections)

    def close(self) -> None:
        """Drop whoever is still there."""
        for connection in list(self._connections):
            connection.abort()
        if self._sweep_handle is not None:
            self._sweep_handle.cancel()
            self._sweep_handle = None

"""A simulated network: connections as TCP gives them, between hosts of which any two may be cut off.

In: connects, frames, closes; latencies, cuts, slow links; hosts that die, with or without their kernel. Out:
frames at the other end, in order, none twice, or the end of the connection. What must hold:

- what one end sent arrives in order, as a whole prefix of what was sent;
- while a direction of a link is cut nothing arrives through it, and everything sent meanwhile does after it is
  healed, late, unless the connection has ended;
- who closes does not take back what is on its way: a request of a client that has given up and sends it again on
  a new connection may arrive after the second one;
- a process that ends closes its connections, a machine that loses power does not: its peers wait for their time
  limits.
"""

from __future__ import annotations

import random
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from tests.sim.cluster_time import Scheduler

Address = tuple[str, int]
# What travels: ("data", frame), ("end", b"") as a FIN, ("reset", b"").
Item = tuple[str, bytes]
DATA, END, RESET = "data", "end", "reset"

_CONNECT_TIMEOUT_MS = 3_000.0
# How long TCP may wait before it tries again after a cut is healed.
_RETRANSMISSION_MS = 1_000.0


@dataclass
class Weather:
    """How the links are: (shortest, mean above it) milliseconds; one in so many frames is late by up to that."""

    latency_ms: tuple[float, float] = (0.05, 0.4)
    late_one_in: int = 200
    late_ms: float = 60.0


class Pipe:
    """One direction of a connection."""

    __slots__ = ("_armed", "_queue", "_ready_ms", "deliver", "destination", "ended", "network", "source")

    def __init__(self, network: Network, source: str, destination: str) -> None:
        self.network = network
        self.source = source
        self.destination = destination
        self.deliver: Callable[[Item], None] = _nowhere
        self.ended = False
        self._queue: deque[tuple[float, Item]] = deque()
        self._ready_ms = 0.0
        self._armed = False

    def push(self, item: Item) -> None:
        if self.ended:
            return
        if item[0] != DATA:
            self.ended = True
        if item[0] == RESET:
            # It overtakes: what the receiver has not taken is gone.
            self._queue.clear()
        network = self.network
        delay_ms = network.latency_ms(self.source, self.destination, len(item[1]))
        self._ready_ms = max(self._ready_ms, network.scheduler.now_ms + delay_ms)
        self._queue.append((self._ready_ms, item))
        self._arm(0.0)

    def _arm(self, extra_ms: float) -> None:
        if not self._armed and self._queue:
            self._armed = True
            scheduler = self.network.scheduler
            scheduler.after(max(self._queue[0][0] - scheduler.now_ms, 0.0) + extra_ms, self._arrive)

    def _arrive(self) -> None:
        self._armed = False
        network = self.network
        if (self.source, self.destination) in network.cut_links:
            network.stalled.append(self)
            return
        if self._queue and self._queue[0][0] <= network.scheduler.now_ms:
            item = self._queue.popleft()[1]
            self.deliver(item)
        self._arm(0.0)

    def retransmit(self) -> None:
        """The link is whole again."""
        self._arm(self.network.rng.random() * _RETRANSMISSION_MS)


class End:
    """One end of a connection: `send`, `close`; and what its owner is told: `on_frame`, `on_closed`."""

    __slots__ = ("_inbound", "_outbound", "local", "on_closed", "on_frame", "open", "peer")

    def __init__(self, local: Address, peer: Address, outbound: Pipe, inbound: Pipe) -> None:
        self.local = local
        self.peer = peer
        self._outbound = outbound
        self._inbound = inbound
        self.open = True
        self.on_frame: Callable[[bytes], None] = _nowhere
        self.on_closed: Callable[[], None] = _nothing
        inbound.deliver = self._receive

    def _receive(self, item: Item) -> None:
        if not self.open:
            if item[0] == DATA:
                self._outbound.push((RESET, b""))
            return
        if item[0] == DATA:
            self.on_frame(item[1])
        else:
            self.open = False
            self._outbound.push((END, b""))
            self.on_closed()

    def send(self, frame: bytes) -> None:
        if self.open:
            self._outbound.push((DATA, frame))

    def close(self) -> None:
        """Nothing more is sent or received; what was sent still travels."""
        if self.open:
            self.open = False
            self._outbound.push((END, b""))

    def vanish(self) -> None:
        """The machine is gone: nobody is told."""
        self.open = False


class Network:
    """All hosts by name. A host listens on ports; it is `down` while its machine has no power."""

    def __init__(self, scheduler: Scheduler, rng: random.Random, weather: Weather) -> None:
        self.scheduler = scheduler
        self.rng = rng
        self.weather = weather
        self.listeners: dict[Address, Callable[[End], None]] = {}
        self.down: set[str] = set()
        # Directed links through which nothing comes, and factors of the latency of slow ones.
        self.cut_links: set[tuple[str, str]] = set()
        self.slow_links: dict[tuple[str, str], float] = {}
        self.stalled: list[Pipe] = []
        self.connections = 0
        self._port = 40_000

    # --- what the nemesis does ---

    def cut(self, source: str, destination: str) -> None:
        self.cut_links.add((source, destination))

    def mend(self, source: str, destination: str) -> None:
        self.cut_links.discard((source, destination))
        stalled, self.stalled = self.stalled, []
        for pipe in stalled:
            if (pipe.source, pipe.destination) in self.cut_links:
                self.stalled.append(pipe)
            else:
                pipe.retransmit()

    def heal(self) -> None:
        """Everybody reaches everybody, fast."""
        for source, destination in sorted(self.cut_links):
            self.mend(source, destination)
        self.slow_links.clear()

    # --- what hosts do ---

    def latency_ms(self, source: str, destination: str, size: int) -> float:
        shortest, mean = self.weather.latency_ms
        rng = self.rng
        delay = shortest + mean * rng.expovariate(1.0) + size / 100_000
        if rng.randrange(self.weather.late_one_in) == 0:
            delay += rng.random() * self.weather.late_ms
        return delay * self.slow_links.get((source, destination), 1.0)

    def connect(self, source: str, address: Address, done: Callable[[End | None], None]) -> None:
        """Call `done` with the connection, or None when it is refused or nobody answers in time."""
        host = address[0]
        there = self.latency_ms(source, host, 0)
        back = self.latency_ms(host, source, 0)
        started_ms = self.scheduler.now_ms

        def arrive() -> None:
            cut = (source, host) in self.cut_links or (host, source) in self.cut_links
            if cut or host in self.down:
                # The SYN is sent again now and then.
                if self.scheduler.now_ms - started_ms >= _CONNECT_TIMEOUT_MS:
                    done(None)
                else:
                    self.scheduler.after(1_000.0, arrive)
                return
            accept = self.listeners.get(address)
            if accept is None:
                self.scheduler.after(back, lambda: done(None))
                return
            self.connections += 1
            self._port += 1
            local = (source, self._port)
            out, into = Pipe(self, source, host), Pipe(self, host, source)
            client, server = End(local, address, out, into), End(address, local, into, out)
            # What the server sends first comes after the client knows that it is connected.
            into._ready_ms = self.scheduler.now_ms + back
            accept(server)
            self.scheduler.after(back, lambda: done(client))

        self.scheduler.after(there, arrive)


def _nowhere(_: Any) -> None:
    """Nobody listens."""


def _nothing() -> None:
    """Nobody listens."""


class Caller:
    """Frames out, frames back, in order, on one connection that is made anew after it has failed.

    `send` answers every frame exactly once, later: with the reply, or None (refused, closed, too late). A failure
    of the connection fails all frames that are outstanding on it.
    """

    def __init__(self, network: Network, host: str, address: Address, alive: Callable[[], bool]) -> None:
        self.network = network
        self.host = host
        self.address = address
        # Whether whoever calls still lives: nothing is told to the dead.
        self._alive = alive
        self._end: End | None = None
        self._connecting = False
        self._unsent: list[bytes] = []
        # Outstanding, in order: (done, number); a call that timed out fails the connection.
        self._outstanding: deque[tuple[Callable[[Any], None], int]] = deque()
        self._number = 0
        self._failures = 0
        self._not_before_ms = 0.0

    def send(self, frame: bytes, timeout_ms: float, done: Callable[[memoryview | None], None]) -> None:
        self._number += 1
        number = self._number
        self._outstanding.append((done, number))
        scheduler = self.network.scheduler
        scheduler.after(timeout_ms, lambda: self._timed_out(number))
        if self._end is not None:
            self._end.send(frame)
            return
        self._unsent.append(frame)
        if not self._connecting:
            self._connecting = True
            wait_ms = max(self._not_before_ms - scheduler.now_ms, 0.0)
            if wait_ms:
                scheduler.after(wait_ms, self._connect)
            else:
                self._connect()

    def _connect(self) -> None:
        if self._alive():
            self.network.connect(self.host, self.address, self._connected)

    def _connected(self, end: End | None) -> None:
        if not self._alive():
            if end is not None:
                end.close()
            return
        self._connecting = False
        if end is None or not end.open:
            self._failures += 1
            backoff_ms = min(50.0 * 2 ** min(self._failures, 5), 1_000.0) * (
                0.8 + 0.4 * self.network.rng.random()
            )
            self._not_before_ms = self.network.scheduler.now_ms + backoff_ms
            self._fail()
            return
        if not self._outstanding:
            end.close()
            return
        self._failures = 0
        self._end = end
        end.on_frame = self._frame
        end.on_closed = self._closed
        unsent, self._unsent = self._unsent, []
        for frame in unsent:
            end.send(frame)

    def _frame(self, frame: bytes) -> None:
        if not self._alive():
            return
        if not self._outstanding:
            self.close()
            return
        done, _ = self._outstanding.popleft()
        done(memoryview(bytearray(frame)))

    def _closed(self) -> None:
        if self._alive():
            self._end = None
            self._fail()

    def _timed_out(self, number: int) -> None:
        if (
            self._outstanding
            and self._outstanding[0][1] <= number <= self._outstanding[-1][1]
            and self._alive()
        ):
            self.close()

    def close(self) -> None:
        """Give the connection up; what is outstanding has failed."""
        end, self._end = self._end, None
        if end is not None:
            end.close()
        self._fail()

    def _fail(self) -> None:
        self._unsent.clear()
        outstanding, self._outstanding = self._outstanding, deque()
        for done, _ in outstanding:
            done(None)

    def vanish(self) -> None:
        """The machine has lost its power."""
        if self._end is not None:
            self._end.vanish()
            self._end = None
        self._outstanding.clear()

    def end_process(self) -> None:
        """The process is gone; its kernel says good-bye."""
        if self._end is not None:
            self._end.close()
            self._end = None
        self._outstanding.clear()

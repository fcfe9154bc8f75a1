"""One machine of a simulated cluster: a disk, a clock, and at most one process with a broker in it.

In: connections and frames of the network, what the nemesis does. Out: replies; and, after every step of the
broker, a call of `on_step`. It is the shell of the broker, as `pybroker.runtime` and `pybroker.server` are: timers,
ticks, effects in their queues, replies in the order of the requests. What must hold: nothing of a dead process
runs; what a paused one missed comes at once when it goes on.
"""

from __future__ import annotations

import math
import random
import struct
from collections import deque
from collections.abc import Callable, Sequence
from typing import Any

from pybroker.broker import CLOSE, Broker
from pybroker.common.config import BrokerConfig
from pybroker.common.deferred import Deferred
from pybroker.common.effects import Effect
from pybroker.common.errors import InvariantError, ProtocolError
from pybroker.common.files import Buffer
from pybroker.controller.formatting import Format, format_directories
from pybroker.handlers.produce_lane import run as run_lane
from pybroker.log.manager import BALLAST_BYTES, BALLAST_FILE
from pybroker.metadata.releases import LATEST_RELEASE, initial_features, release_level
from tests.sim.cluster_net import Address, Caller, End, Network
from tests.sim.cluster_time import Scheduler
from tests.sim.disk import Crash, SimDisk

PORT = 9092
CONTROLLER_PORT = 9093
# The listeners of a node; the second one only where there are several nodes.
LISTENERS = {"PLAINTEXT": PORT, "CONTROLLER": CONTROLLER_PORT}
CLUSTER_ID = "4L6g3nShT-eMCtK--X86sw"
WALL_MS = 1_700_000_000_000
_TICK_MS = 250.0
_FRAME_LIMIT = 100 << 20
_PRODUCE = 0
_PENDING_MAX = 64


class NodeClock:
    """The clocks of one machine: wrong by an offset (wall), and by a rate (both)."""

    __slots__ = ("_scheduler", "rate", "skew_ms")

    def __init__(self, scheduler: Scheduler) -> None:
        self._scheduler = scheduler
        self.skew_ms = 0
        self.rate = 1.0

    def wall_ms(self) -> int:
        return WALL_MS + self.skew_ms + int(self._scheduler.now_ms * self.rate)

    def monotonic_ms(self) -> float:
        return self._scheduler.now_ms * self.rate

    def delay_ms(self, deadline_ms: float) -> float:
        """How long the world waits until this clock shows the deadline."""
        return max(deadline_ms / self.rate - self._scheduler.now_ms, 0.0)


class BrokenInside(Exception):
    """The broker raised what it must never raise."""


class Node:
    """One machine. `properties` are those of its broker; `on_step` looks at it after each step."""

    def __init__(
        self,
        scheduler: Scheduler,
        network: Network,
        number: int,
        properties: dict[str, str],
        seed: str,
        on_step: Callable[[Process], None],
    ) -> None:
        self.scheduler = scheduler
        self.network = network
        self.number = number
        self.host = f"10.0.0.{number}"
        self.properties = properties
        self.seed = seed
        self.rng = random.Random(f"node {number} {seed}")
        self.clock = NodeClock(scheduler)
        self.disk = SimDisk(f"{number} {seed}", clock=self.clock)  # type: ignore[arg-type]
        self.format()
        # (shortest, mean above it) milliseconds of an effect.
        self.disk_ms = (0.1, 2.0)
        self.on_step = on_step
        # Retention and compaction look for work with every tick, not once a second.
        self.eager_ticks = False
        # Told of a process that has shut its broker down.
        self.on_stopped: Callable[[Process], None] = _ignore
        self.process: Process | None = None
        self.starts = 0
        self._stopping = self._start_again = False
        # When it crashes within a write: "kill" or "power", after so many changes of the disk.
        self._crash: tuple[str, int] | None = None

    def format(self) -> None:
        """As `pybroker storage format`, where there are several nodes; the file that takes space, which no start then
        has to write."""
        self.disk.make_dirs("/data")
        ballast = self.disk.open(f"/data/{BALLAST_FILE}", create=True)
        ballast.truncate(BALLAST_BYTES)
        ballast.sync()
        ballast.close()
        self.disk.sync_dir("/data")
        self.disk.sync_dir("/")
        config = BrokerConfig.from_properties(self.properties)
        if not config.is_alone:
            features = initial_features(release_level(LATEST_RELEASE), {})
            wanted = Format(CLUSTER_ID, self.number, ["/data"], "/data", features)
            for _ in format_directories(self.disk, self.rng, WALL_MS, wanted):
                pass

    @property
    def running(self) -> bool:
        return self.process is not None

    @property
    def serving(self) -> bool:
        return self.process is not None and self.process.serving

    def start(self) -> None:
        """Start a broker on what the disk has."""
        if self.process is not None:
            # While it stops: as soon as it has.
            self._start_again = self._stopping
            return
        self._stopping = self._start_again = False
        self.network.down.discard(self.host)
        self.starts += 1
        self.scheduler.note(f"node {self.number} starts")
        self.disk.on_change = self._before_change
        self.process = process = Process(self)
        process.start()

    def kill(self) -> None:
        """kill -9: the page cache survives."""
        process = self.process
        if process is None:
            return
        self.scheduler.note(f"node {self.number} is killed")
        self.process = None
        self._crash = None
        process.die(power=False)
        old = self.disk
        self._replace(old.after_kill(self.rng))
        old.kill()

    def stop(self) -> None:
        """A controlled shutdown, as SIGTERM asks for: leaders move, everything is flushed, the mark is left."""
        process = self.process
        if process is not None and process.serving and not process.paused:
            self.scheduler.note(f"node {self.number} is asked to stop")
            self._stopping = True
            process.stop()

    def stopped(self) -> None:
        """The process has ended by itself."""
        process = self.process
        assert process is not None
        self.scheduler.note(f"node {self.number} has stopped")
        self.process = None
        self._crash = None
        process.die(power=False)
        old = self.disk
        self._replace(old.after_kill(self.rng))
        old.kill()
        if self._start_again:
            self.scheduler.after(50.0, self.start)

    def lose_power(self) -> None:
        """What was synced survives, and of the rest what chance says. Nobody is told."""
        self.scheduler.note(f"node {self.number} loses power")
        self.network.down.add(self.host)
        process, self.process = self.process, None
        self._crash = None
        if process is not None:
            process.die(power=True)
        old = self.disk
        self._replace(old.after_power_loss(self.rng))
        old.kill()

    def lose_disk(self) -> None:
        """The machine is replaced by one with an empty disk."""
        self.kill()
        self._replace(SimDisk(self.rng.getrandbits(32), clock=self.clock))  # type: ignore[arg-type]
        self.format()

    def crash_within(self, kind: str, changes: int) -> None:
        """Kill or lose power at the change of the disk that comes after so many more."""
        self._crash = (kind, changes)

    def _replace(self, disk: SimDisk) -> None:
        # The checksum of what was done goes on.
        disk.trace = self.disk.trace
        disk.operations = self.disk.operations
        self.disk = disk

    def _before_change(self, kind: str, path: str) -> None:
        if self._crash is None or self.process is None:
            return
        how, left = self._crash
        if left:
            self._crash = (how, left - 1)
            return
        self.scheduler.note(f"node {self.number} crashes before {kind} {path}")
        if how == "power":
            self.lose_power()
        else:
            self.kill()
        raise Crash

    def pause(self) -> None:
        if self.process is not None:
            self.scheduler.note(f"node {self.number} is paused")
            self.process.paused = True

    def resume(self) -> None:
        if self.process is not None and self.process.paused:
            self.scheduler.note(f"node {self.number} goes on")
            self.process.resume()


class Process:
    """A broker and its shell."""

    def __init__(self, node: Node) -> None:
        self.node = node
        self.alive = True
        self.paused = False
        self.serving = False
        self._held: deque[Callable[[], None]] = deque()
        self._connections: dict[ServerConnection, None] = {}
        self._callers: dict[tuple[str, Address], Caller] = {}
        self._armed_ms = math.inf
        self._pumping = False
        self._queues: dict[str, deque[Effect]] = {}
        rng = random.Random(f"broker {node.number} {node.starts} {node.seed}")
        config = BrokerConfig.from_properties(node.properties)
        self._alone = config.is_alone
        broker = self.broker = Broker(config, node.disk, node.clock, rng)
        broker.report = self._report
        broker.waits_to_serve = True
        self._is_controller = not self._alone and "controller" in config["process.roles"]
        for name in LISTENERS if self._is_controller else ("PLAINTEXT",):
            broker.set_listener_port(name, node.host, LISTENERS[name])
        if not self._alone:
            broker.peers = self

    def _report(self, line: str) -> None:
        self.node.scheduler.note(f"node {self.node.number} reports: {line}")

    # --- turns ---

    def step(self, call: Callable[[], None]) -> None:
        """Let the broker do something, and look at it."""
        try:
            call()
        except Crash:
            return
        except InvariantError as error:
            if self.alive:
                raise BrokenInside(f"node {self.node.number}: {error!r}") from error
        if self.alive:
            self.node.on_step(self)

    def later(self, delay_ms: float, call: Callable[[], None]) -> None:
        """A step after a delay, unless the process is dead by then."""

        def due() -> None:
            if not self.alive:
                return
            if self.paused:
                self._held.append(call)
            else:
                self.step(call)

        self.node.scheduler.after(delay_ms, due)

    def resume(self) -> None:
        self.paused = False
        while self._held and self.alive and not self.paused:
            self.step(self._held.popleft())

    def start(self) -> None:
        # Starting takes time; what other nodes do meanwhile does not reach it.
        self.later(self.node.rng.random() * 200.0, self._start)

    def _start(self) -> None:
        broker = self.broker
        broker.start()
        broker.timers.on_earlier = self._arm
        broker.on_effects = self._effects_wait
        deadline_ms = broker.timers.next_deadline_ms()
        if deadline_ms is not None:
            self._arm(deadline_ms)
        self._effects_wait()
        self._tick()
        if self._is_controller:
            self._listen("CONTROLLER")
        broker.loaded.then(self._loaded)

    def _loaded(self, problem: Exception | None) -> None:
        if not self.alive:
            return
        node = self.node
        if problem is not None:
            raise BrokenInside(f"node {node.number} cannot start: {problem!r}") from problem
        self.serving = True
        self._listen("PLAINTEXT")
        node.scheduler.note(f"node {node.number} serves")
        self.broker.serving()

    def stop(self) -> None:
        def left(_: None) -> None:
            self.later(0.1, self._end)

        self.step(lambda: self.broker.begin_shutdown().then(left))

    def _end(self) -> None:
        """What is under way is finished, nothing new is begun."""
        broker = self.broker
        broker.stop_cleaning()
        effects = [effect for queue in self._queues.values() for effect in queue]
        for queue in self._queues.values():
            queue.clear()
        while effects:
            for effect in effects:
                error: BaseException | None = None
                try:
                    effect.run()
                except Exception as caught:
                    error = caught
                effect.complete(error)
            effects = broker.take_effects()
        broker.shutdown()
        self.node.on_stopped(self)
        self.node.stopped()

    def _listen(self, listener: str) -> None:
        self.node.network.listeners[self.node.host, LISTENERS[listener]] = lambda end: self._accept(
            end, listener
        )

    def die(self, *, power: bool) -> None:
        """The end, from outside."""
        self.alive = False
        self.serving = False
        self._held.clear()
        for port in LISTENERS.values():
            self.node.network.listeners.pop((self.node.host, port), None)
        for connection in self._connections:
            if power:
                connection.end.vanish()
            else:
                connection.end.close()
        for caller in self._callers.values():
            if power:
                caller.vanish()
            else:
                caller.end_process()

    # --- timers and ticks ---

    def _arm(self, deadline_ms: float) -> None:
        if deadline_ms < self._armed_ms:
            self._armed_ms = deadline_ms
            self.later(math.ceil(self.node.clock.delay_ms(deadline_ms)), lambda: self._fire(deadline_ms))

    def _fire(self, armed_ms: float) -> None:
        if armed_ms != self._armed_ms:
            # An earlier one took its place.
            return
        self._armed_ms = math.inf
        timers = self.broker.timers
        timers.advance(self.node.clock.monotonic_ms())
        deadline_ms = timers.next_deadline_ms()
        if deadline_ms is not None:
            self._arm(deadline_ms)

    def _tick(self) -> None:
        if self.node.eager_ticks:
            self.broker._next_tick_ms = 0.0
        self.broker.tick(self.node.clock.monotonic_ms())
        self.later(_TICK_MS, self._tick)

    # --- effects ---

    def _effects_wait(self) -> None:
        if not self._pumping:
            self._pumping = True
            self.later(0.02, self._pump)

    def _pump(self) -> None:
        self._pumping = False
        for effect in self.broker.take_effects():
            queue = self._queues.get(effect.queue)
            if queue is None:
                queue = self._queues[effect.queue] = deque()
            queue.append(effect)
            if len(queue) == 1:
                self._run_next(queue)

    def _run_next(self, queue: deque[Effect]) -> None:
        """The first effect of a queue is done at some moment of the time that it takes."""
        rng = self.node.rng
        shortest, mean = self.node.disk_ms
        delay_ms = shortest + rng.expovariate(1.0) * mean
        before_ms = rng.random() * delay_ms

        def work() -> None:
            error: BaseException | None = None
            if not queue:
                # Done at the end of the process.
                return
            try:
                queue[0].run()
            except Exception as caught:
                error = caught
            self.later(delay_ms - before_ms, lambda: self._completed(queue, error))

        self.later(before_ms, work)

    def _completed(self, queue: deque[Effect], error: BaseException | None) -> None:
        if not queue:
            return
        effect = queue.popleft()
        if queue:
            self._run_next(queue)
        effect.complete(error)

    # --- clients ---

    def _accept(self, end: End, listener: str) -> None:
        def accepted() -> None:
            self._connections[ServerConnection(self, end, listener)] = None

        if self.paused:
            # The kernel has accepted; what arrives is kept.
            frames: list[bytes] = []
            end.on_frame = frames.append

            def go_on() -> None:
                if end.open:
                    accepted()
                    for frame in frames:
                        end.on_frame(frame)

            self._held.append(go_on)
        else:
            self.step(accepted)

    def forget(self, connection: ServerConnection) -> None:
        self._connections.pop(connection, None)

    # --- other nodes: pybroker.common.peers.Peers ---

    def send(
        self,
        channel: str,
        address: tuple[str, int],
        frame: Sequence[Buffer],
        timeout_ms: float,
        done: Callable[[memoryview | None], None],
    ) -> None:
        caller = self._callers.get((channel, address))
        if caller is None:
            node = self.node
            caller = Caller(node.network, node.host, address, lambda: self.alive)
            self._callers[channel, address] = caller

        def answered(reply: memoryview | None) -> None:
            if not self.alive:
                return
            if self.paused:
                self._held.append(lambda: done(reply))
            else:
                self.step(lambda: done(reply))

        caller.send(b"".join(frame), timeout_ms, answered)


class ServerConnection:
    """What `pybroker.server.connection` is for the broker: frames in, replies in their order."""

    def __init__(self, process: Process, end: End, listener: str) -> None:
        self.process = process
        self.end = end
        self.state = process.broker.connect(end.peer[0], end.peer[1], listener)
        self._frames: deque[bytes] = deque()
        # Replies in the order of their requests: [reply or None, whether it is there, serial].
        self._pending: deque[list[Any]] = deque()
        self._busy = False
        end.on_frame = self._frame
        end.on_closed = self._closed

    def _frame(self, frame: bytes) -> None:
        process = self.process
        if not process.alive:
            return
        if process.paused:
            process._held.append(lambda: self._take(frame))
        else:
            process.step(lambda: self._take(frame))

    def _take(self, frame: bytes) -> None:
        self._frames.append(frame)
        self._advance()

    def _closed(self) -> None:
        process = self.process
        if not process.alive:
            return
        if process.paused:
            process._held.append(self._disconnect)
        else:
            process.step(self._disconnect)

    def _disconnect(self) -> None:
        self.process.forget(self)
        self._frames.clear()
        self._pending.clear()
        self.process.broker.disconnect(self.state)

    def _may_handle(self, frame: bytes) -> bool:
        if not self._pending:
            return True
        is_produce = frame[:2] == b"\0\0"
        return is_produce and not self._pending[-1][2] and len(self._pending) < _PENDING_MAX

    def _advance(self) -> None:
        if self._busy:
            return
        self._busy = True
        try:
            while self._frames and self._may_handle(self._frames[0]) and self.end.open:
                self._handle(self._frames.popleft())
        finally:
            self._busy = False
        self._flush()

    def _handle(self, frame: bytes) -> None:
        if not self._pending and frame[:2] == b"\0\0" and self._short_way(frame):
            return
        try:
            reply = self.process.broker.handle(self.state, memoryview(bytearray(frame)))
        except ProtocolError as error:
            raise BrokenInside(f"a sound frame is refused: {error}") from error
        slot: list[Any] = [None, False, frame[:2] != b"\0\0"]
        self._pending.append(slot)
        if isinstance(reply, Deferred):

            def resolved(value: Any) -> None:
                slot[0], slot[1] = value, True
                if self.process.alive and not self._busy:
                    self._flush()

            reply.then(resolved)
        else:
            slot[0], slot[1] = reply, True
        self._flush()

    def _short_way(self, frame: bytes) -> bool:
        """As the real server: plain produce requests."""
        out: list[Any] = []
        data = struct.pack(">i", len(frame)) + frame
        _, _, handled, _ = run_lane(((self.state.lane, data, out),), 0, 0, _FRAME_LIMIT)
        if not handled:
            return False
        if out:
            self.end.send(b"".join(out)[4:])
        return True

    def _flush(self) -> None:
        pending = self._pending
        while pending and pending[0][1]:
            reply = pending.popleft()[0]
            if isinstance(reply, Exception):
                raise BrokenInside(f"a request failed: {reply!r}") from reply
            if reply is CLOSE:
                self.end.close()
                self._disconnect()
                return
            if reply is not None:
                self.end.send(b"".join(reply))
        if self._frames and not self._busy and self._may_handle(self._frames[0]) and self.end.open:
            self._advance()


def _ignore(_: Process) -> None:
    """Nobody looks."""

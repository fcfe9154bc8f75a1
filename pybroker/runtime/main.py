"""A running broker: the steppable broker, its loop driver, its listeners, put together and taken apart.

In: a configuration and a file system. Out: a broker that serves on sockets until `stop`. What must hold:
nothing is accepted before the broker has started; on `stop` accepted requests get their replies (within a
bound), then everything is flushed and the clean-shutdown marker is written. The same code runs `pybroker
start` and the embedded broker.
"""

from __future__ import annotations

import asyncio
import dataclasses
import logging
import random
import socket
import time
from collections.abc import Iterator, Mapping
from typing import TYPE_CHECKING, Any, Final

from pybroker.handlers.context import CLOSE
from pybroker.runtime.loop import LoopDriver
from pybroker.runtime.metrics import ServerMetrics, render_metrics
from pybroker.runtime.peers import SocketPeers
from pybroker.runtime.system import SystemClock, open_file_limit, share_out
from pybroker.server.gate import Gate
from pybroker.server.limits import ServerLimits
from pybroker.server.listener import Listener, advertised_host, bind_sockets, format_address, parse_address

if TYPE_CHECKING:
    from pybroker.common.clock import Clock
    from pybroker.common.config import BrokerConfig
    from pybroker.common.deferred import Deferred
    from pybroker.common.files import FileSystem
    from pybroker.log.cleaner.cleaner import CleaningPass
    from pybroker.log.cleaner.cleaning import CleaningResult
    from pybroker.runtime.cleaner_process import CleanerProcess

logger = logging.getLogger("pybroker.runtime")

DRAIN_SECONDS: Final = 5.0
_DRAIN_POLL_SECONDS: Final = 0.01


class RunningBroker:
    """One broker on the running loop."""

    def __init__(
        self,
        config: BrokerConfig,
        files: FileSystem,
        *,
        in_memory: bool = False,
        clock: Clock | None = None,
        rng: random.Random | None = None,
        broker: Any = None,
    ) -> None:
        """With `in_memory` the files are in memory, so that no work needs a thread. `broker` is for tests."""
        self.config = config
        self.metrics = ServerMetrics()
        # Completed by the first fatal error: the process must stop, without the marker of a clean end.
        self.fatal: BaseException | None = None
        self.ended = asyncio.Event()
        # Set by an error while the end is waited for.
        self._broken: asyncio.Event | None = None
        self._files = files
        self._in_memory = in_memory
        self._open_files = share_out(open_file_limit())
        self._clock: Clock = clock or SystemClock()
        self._rng = rng or random.Random()
        self._given_broker = broker
        self.broker: Any = None
        self._cleaner: CleanerProcess | None = None
        self._gate: Gate | None = None
        # Of the controller's listeners: they serve before the broker does and until it has ended.
        self._controller_gate: Gate | None = None
        self._driver: LoopDriver | None = None
        self._peers: SocketPeers | None = None
        self._listeners: list[Listener] = []
        self._controller_listeners: list[Listener] = []
        self._http: Any = None
        self._http_server: asyncio.Server | None = None
        self._http_socket: socket.socket | None = None
        self.http_address: str | None = None
        self._broker_started = False
        self._serving = False

    async def start(self) -> None:
        """Bind, start the broker (lock, recovery), serve. Raises ConfigError or OSError; nothing is left."""
        try:
            await self._start()
        except BaseException:
            if self._broker_started:
                self._stop_broker()
            self._release()
            raise

    async def _start(self) -> None:
        loop = asyncio.get_running_loop()
        config = self.config
        broker = self.broker = self._given_broker or self._make_broker()
        broker.report = logger.warning
        for configured in config.listeners():
            self._listeners.append(Listener(configured.name, configured.host, configured.port))
        for configured in config.controller_listeners():
            self._controller_listeners.append(Listener(configured.name, configured.host, configured.port))
        for listener_name, (host, port) in self._advertised().items():
            broker.set_listener_port(listener_name, host, port)
        self._peers = broker.peers = SocketPeers(loop, self._rng, self.fail)
        limits = self._limits(config)
        if limits.connections_max < config["max.connections"]:
            logger.info("limited by open files connections=%d", limits.connections_max)
        gate = self._gate = Gate(broker, loop, limits, self.metrics, self.fail, CLOSE)
        if self._controller_listeners:
            # Counted apart: what clients do must not keep the quorum waiting.
            self._controller_gate = Gate(broker, loop, limits, ServerMetrics(), self.fail, CLOSE)
        broker.on_config = self._config_changed
        self._driver = LoopDriver(
            loop,
            self._clock,
            broker,
            self.metrics,
            on_fatal=self.fail,
            on_full=self._effects_full,
            inline_effects=self._in_memory,
        )
        http_socket = self._bind_http()
        broker.waits_to_serve = True
        broker.start()
        self._broker_started = True
        self._driver.start()
        for listener in self._controller_listeners:
            assert self._controller_gate is not None
            await listener.serve(self._controller_gate)
        if http_socket is not None:
            from pybroker.server.http import HttpResponder

            self._http = HttpResponder(loop, lambda: self._serving, self._render_metrics)
            self._http_server = await loop.create_server(self._http.make_protocol, sock=http_socket)
        # Where this node is not alone these wait for the quorum, and for the active controller.
        if not await self._outcome(broker.loaded):
            return
        for listener in self._listeners:
            await listener.serve(gate)
        broker.serving()
        self._serving = await self._outcome(broker.ready)

    async def _outcome(self, deferred: Deferred[Exception | None]) -> bool:
        """Wait for a step of the start, and raise what prevented it; False when told to end meanwhile."""
        if not deferred.done:
            arrived = asyncio.Event()
            deferred.then(lambda _: arrived.set())
            await self._first_of(arrived, self.ended)
        if self.ended.is_set():
            return False
        if deferred.value is not None:
            raise deferred.value
        return True

    async def _first_of(self, *events: asyncio.Event) -> None:
        waiting = [asyncio.ensure_future(event.wait()) for event in events]
        try:
            await asyncio.wait(waiting, return_when=asyncio.FIRST_COMPLETED)
        finally:
            for task in waiting:
                task.cancel()

    def _make_broker(self) -> Any:
        from pybroker.broker import Broker

        _, read, write = self._open_files
        broker = Broker(
            self.config,
            self._files,
            self._clock,
            self._rng,
            open_read_files_max=read,
            open_write_files_max=write,
        )
        broker.clean_in_slices = self._in_memory
        broker.run_cleaning_pass = self._run_cleaning_pass
        broker.on_cleaner_idle = self._cleaner_is_idle
        return broker

    def _run_cleaning_pass(self, task: CleaningPass) -> CleaningResult:
        if self._cleaner is None:
            from pybroker.runtime.cleaner_process import CleanerProcess

            self._cleaner = CleanerProcess(self._files)
        return self._cleaner.run(task)

    def _cleaner_is_idle(self) -> None:
        if self._cleaner is not None:
            self._cleaner.reap()

    def _limits(self, config: BrokerConfig) -> ServerLimits:
        limits = limits_of(config)
        most = min(limits.connections_max, self._open_files.connections)
        return dataclasses.replace(limits, connections_max=most)

    def _config_changed(self, config: BrokerConfig) -> None:
        if self._gate is not None:
            self._gate.limits = self._limits(config)

    def _advertised(self) -> dict[str, tuple[str, int]]:
        """What clients and other nodes are told for each listener: host and port."""
        bound = {listener.name: listener.port for listener in (*self._listeners, *self._controller_listeners)}
        told = (*self.config.advertised_listeners(), *self.config.advertised_controller_listeners())
        return {
            advertised.name: (advertised_host(advertised.host), advertised.port or bound[advertised.name])
            for advertised in told
        }

    def _bind_http(self) -> socket.socket | None:
        text = self.config["pybroker.http.listener"]
        if not text:
            return None
        host, port = parse_address(text, f"pybroker.http.listener={text}")
        try:
            bound = bind_sockets(host, port)[0]
        except OSError as error:
            raise OSError(error.errno, f"cannot listen on {text}: {error.strerror or error}") from error
        self._http_socket = bound
        self.http_address = format_address(host, int(bound.getsockname()[1]))
        return bound

    def _render_metrics(self) -> Iterator[str]:
        snapshot = getattr(self.broker, "metrics_snapshot", None)
        return render_metrics(self.metrics, _api_names(), snapshot() if snapshot is not None else ())

    def _effects_full(self, full: bool) -> None:
        if self._gate is not None:
            if full:
                logger.warning("the disk is behind: new requests wait")
                self._gate.hold_requests = True
            else:
                self._gate.release_requests()

    def fail(self, error: BaseException) -> None:
        """An invariant is broken: stop at once, do not write the marker of a clean end."""
        if self.fatal is None:
            self.fatal = error
            logger.critical("invariant broken, stopping", exc_info=error)
        self.ended.set()
        if self._broken is not None:
            self._broken.set()

    @property
    def address(self) -> tuple[str, int]:
        """Where the first listener can be reached from here: the host it is bound to, and the real port."""
        first = (self._listeners or self._controller_listeners)[0]
        return advertised_host(first.host), first.port

    async def stop(self, drain_seconds: float = DRAIN_SECONDS) -> None:
        """Drain, flush, write the clean-shutdown marker (unless something is broken), release everything."""
        self._serving = False
        try:
            if self._broker_started and self.fatal is None:
                await self._leave_cluster()
            for listener in self._listeners:
                listener.close()
            gate = self._gate
            if gate is not None and self.fatal is None:
                gate.drain()
                give_up_at = time.monotonic() + drain_seconds
                while gate.connection_count and time.monotonic() < give_up_at and self.fatal is None:
                    await asyncio.sleep(_DRAIN_POLL_SECONDS)
                if gate.connection_count:
                    logger.warning("connections dropped at the end count=%d", gate.connection_count)
            if self._broker_started:
                self._stop_broker()
        finally:
            self._release()

    async def _leave_cluster(self) -> None:
        """Have the leaders moved to other brokers, where there are any; ends early when something breaks."""
        left = self.broker.begin_shutdown()
        if not left.done:
            logger.info("controlled shutdown")
            arrived, broken = asyncio.Event(), asyncio.Event()
            left.then(lambda _: arrived.set())
            self._broken = broken
            await self._first_of(arrived, broken)

    def _stop_broker(self) -> None:
        self._broker_started = False
        self.broker.stop_cleaning()
        if self._peers is not None:
            self._peers.close()
        if self._driver is not None:
            self._driver.stop()
        if self._cleaner is not None:
            self._cleaner.close()
        if self.fatal is None:
            self.broker.shutdown()

    def _release(self) -> None:
        """Sockets and hooks; harmless twice."""
        for listener in (*self._listeners, *self._controller_listeners):
            listener.close()
        if self._peers is not None:
            self._peers.close()
        if self._http_server is not None:
            self._http_server.close()
            self._http.close()
        if self._http_socket is not None:
            self._http_socket.close()
        for gate in (self._gate, self._controller_gate):
            if gate is not None:
                gate.close()
        self._driver = None


def limits_of(config: BrokerConfig) -> ServerLimits:
    """The door's limits from the configuration."""
    overrides = {}
    for entry in filter(None, config["max.connections.per.ip.overrides"].split(",")):
        host, _, count = entry.strip().rpartition(":")
        overrides[host.removeprefix("[").removesuffix("]")] = int(count)
    idle_ms = config["connections.max.idle.ms"]
    listeners = [listener.name for listener in (*config.listeners(), *config.controller_listeners())]

    def rate(per_second: int) -> int:
        # Kafka's "no limit"; and a limit of 0 would wait for ever.
        return max(per_second, 1) if per_second < (1 << 31) - 1 else 0

    def buffer_bytes(name: str) -> int:
        # Kafka's default, 100 KiB, would turn the system's own adjustment off.
        return int(config[name]) if name in config.static else -1

    queued_bytes: int = config["queued.max.request.bytes"]
    in_flight_bytes: int = config["pybroker.request.bytes.in.flight.max"]
    return ServerLimits(
        request_max_bytes=config["socket.request.max.bytes"],
        held_request_max_bytes=queued_bytes if queued_bytes > 0 else in_flight_bytes,
        unsent_response_max_bytes=config["pybroker.unsent.response.max.bytes"],
        write_buffer_bytes=config["pybroker.connection.write.buffer.bytes"],
        pending_requests_max=config["pybroker.connection.max.pending.requests"],
        read_ahead_bytes=config["pybroker.connection.read.ahead.bytes"],
        connections_max=config["max.connections"],
        connections_per_ip_max=config["max.connections.per.ip"],
        connections_per_ip_overrides=overrides,
        listener_connections_max={name: config.for_listener(name, "max.connections") for name in listeners},
        connection_rate_max=rate(config["max.connection.creation.rate"]),
        listener_connection_rate_max={
            name: rate(config.for_listener(name, "max.connection.creation.rate")) for name in listeners
        },
        send_buffer_bytes=buffer_bytes("socket.send.buffer.bytes"),
        receive_buffer_bytes=buffer_bytes("socket.receive.buffer.bytes"),
        # Negative means for ever.
        idle_ms=idle_ms if idle_ms >= 0 else 1 << 62,
        frame_timeout_ms=config["pybroker.frame.timeout.ms"],
        frame_min_bytes_per_second=config["pybroker.frame.min.bytes.per.second"],
        # Kafka's 50 loses connections when a thousand clients come back at once.
        listen_backlog=max(1_024, config["socket.listen.backlog.size"]),
    )


def _api_names() -> Mapping[int, str]:
    from pybroker.wire.api_keys import ApiKey

    return {int(key): key.name.title().replace("_", "") for key in ApiKey}


def new_event_loop() -> asyncio.AbstractEventLoop:
    """uvloop's where it is installed, else the standard one."""
    try:
        import uvloop
    except ImportError:
        return asyncio.new_event_loop()
    loop: asyncio.AbstractEventLoop = uvloop.new_event_loop()
    return loop

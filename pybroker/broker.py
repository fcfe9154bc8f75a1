"""The house: all rooms of one broker as one object that can be stepped.

In: frames of connections, ticks of the clock, outcomes of effects. Out: replies (lists of buffers), Deferreds
of them, effects. It has no loop, no socket and no thread, so a test or the simulation drives it the same way
as `pybroker.runtime` does.

What must hold: a reply that promises durability is given only after the effect that made it so; every request
is answered from one metadata image; topics exist here as soon as, and not before, their records are committed.
"""

from __future__ import annotations

import random
from collections.abc import Callable
from typing import Any

from pybroker.common.clock import Clock
from pybroker.common.config import BrokerConfig
from pybroker.common.deferred import Deferred
from pybroker.common.effects import Effect
from pybroker.common.errors import ProtocolError
from pybroker.common.files import Buffer, FileSystem
from pybroker.common.timers import TimerQueue
from pybroker.handlers import registry
from pybroker.handlers.context import CLOSE, Connection, Context, LocalTopic, ProducerIds, Request
from pybroker.handlers.fetch_sessions import FetchSessionCache
from pybroker.records.validation import WalkPolicy
from pybroker.wire import codec
from pybroker.wire.headers import parse_request_header, response_header

__all__ = ["CLOSE", "Broker"]

_API_VERSIONS = 18


class Broker:
    """One broker. `start` loads its directories; `handle` serves frames until `shutdown`."""

    def __init__(self, config: BrokerConfig, files: FileSystem, clock: Clock, rng: random.Random) -> None:
        self.config = config
        self.clock = clock
        self.timers = TimerQueue()
        self.on_effects: Callable[[], None] | None = None
        self._files = files
        self._rng = rng
        self._routes: dict[int, registry.Route] = {}
        self._walk_mode: str = config["pybroker.record.validation"]
        context = self._context = Context()
        context.clock = clock
        context.config = config
        context.timers = self.timers
        context.topics = {}
        context.topics_by_id = {}
        context.endpoints = {}
        context.fetch_sessions = FetchSessionCache(config["max.incremental.fetch.session.cache.slots"], rng)

    # --- connections ---

    def connect(self, peer_host: str, peer_port: int, listener: str) -> Connection:
        """A client connected to a listener; the result goes with all its frames."""
        return Connection(peer_host, peer_port, listener, WalkPolicy(self._walk_mode))

    def disconnect(self, connection: Connection) -> None:
        """The connection is gone; what waits on its behalf is released."""
        connection.close()

    def handle(self, connection: Connection, frame: memoryview) -> Any:
        """Serve one frame (without its length prefix; writable, never reused by the caller).

        Returns the reply as a list of buffers without a length prefix, None when there is none, CLOSE to
        close without a reply, or a Deferred of one of these. ProtocolError: close the connection.
        """
        header = parse_request_header(frame)
        api_key, version, correlation_id = header.api_key, header.api_version, header.correlation_id
        route = self._routes.get(api_key << 16 | (version & 0xFFFF))
        if route is None:
            route = registry.route(api_key, version)
            if route is None:
                if api_key == _API_VERSIONS:
                    return self._unsupported_api_versions(correlation_id)
                raise ProtocolError(f"request with api key {api_key} and version {version} is not served")
            self._routes[api_key << 16 | version] = route
        message = route.decode(frame, header.body_offset)
        reply = route.handle(self._context, Request(api_key, version, header.client_id, message, connection))
        if reply is None or reply is CLOSE:
            return reply
        if isinstance(reply, Deferred):
            if not reply.done:
                return reply.map(lambda late: self._encoded(route, correlation_id, late))
            reply = reply.value
        return self._encoded(route, correlation_id, reply)

    def _encoded(self, route: registry.Route, correlation_id: int, reply: Any) -> list[Buffer]:
        buffers = route.encode(reply)
        buffers.insert(0, response_header(route.api_key, route.version, correlation_id))
        return buffers

    def _unsupported_api_versions(self, correlation_id: int) -> list[Buffer]:
        from pybroker.handlers import api_versions

        body = codec.encode_response(api_versions.unsupported(), 0)
        return [response_header(_API_VERSIONS, 0, correlation_id), body]

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
from pybroker.wire import codec
from pybroker.wire.headers import parse_request_header, response_header

Reply = list[Buffer] | None

_API_VERSIONS = 18
_HEADER_PREFIX_BYTES = 8


class Broker:
    """One broker. `start` loads its directories; `handle` serves frames until `shutdown`."""

    def __init__(
        self,
        config: BrokerConfig,
        files: FileSystem,
        clock: Clock,
        rng: random.Random,
    ) -> None:
        self.config = config
        self.clock = clock
        self.timers = TimerQueue()
        self.on_effects: Callable[[], None] | None = None
        self._routes: dict[int, registry.Route] = {}
        self._files = files
        self._rng = rng
        self._stopped = False

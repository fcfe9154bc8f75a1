"""A broker that the server tests can steer: same interface as pybroker.broker.Broker, trivial answers.

The api key of a request decides: Produce with version 1 waits for `resolve`, others echo their frame.
"""

from __future__ import annotations

from struct import Struct

from pybroker.common.deferred import Deferred, resolved
from pybroker.common.errors import InvariantError, ProtocolError
from pybroker.common.timers import TimerQueue

CLOSE = object()

PRODUCE = 0
FETCH = 1
METADATA = 3
# Keys with a meaning only here.
BIG = 10
RAISES = 11
PROTOCOL_ERROR = 12
INVARIANT_ERROR = 13
CLOSES = 14
NO_REPLY = 15
DONE_DEFERRED = 16
WRITES = 17

DEFERRED_VERSION = 1

HEADER = Struct(">hhi")


class FakeConnectionState:
    def __init__(self, peer_host, peer_port, listener):
        self.peer_host = peer_host
        self.peer_port = peer_port
        self.listener = listener
        self.closed = False


class FakeBroker:
    def __init__(self, big_size=1 << 20):
        self.timers = TimerQueue()
        self.on_effects = None
        self.run_timers = None
        self.effects = []
        self.states = []
        self.handled = []
        self.waiting = []
        self.ticks = 0
        self.on_handled = None
        self.big = bytes(big_size)
        self.started = self.stopped = False
        self.ports = {}
        self.node_id = 1
        self.cluster_id = "fake"
        self.loaded = self.ready = resolved(None)

    def serving(self):
        """Nobody has to be told."""

    def begin_shutdown(self):
        return resolved(None)

    def connect(self, peer_host, peer_port, listener):
        state = FakeConnectionState(peer_host, peer_port, listener)
        self.states.append(state)
        return state

    def disconnect(self, state):
        state.closed = True

    def handle(self, state, frame):
        key, version, correlation_id = HEADER.unpack_from(frame)
        self.handled.append((key, correlation_id))
        if self.on_handled is not None:
            self.on_handled()
        head = correlation_id.to_bytes(4, "big")
        if version == DEFERRED_VERSION:
            deferred = Deferred()
            self.waiting.append((deferred, correlation_id))
            return deferred
        if key in (BIG, FETCH):
            return [head, self.big]
        if key == RAISES:
            raise ValueError("a bug")
        if key == PROTOCOL_ERROR:
            raise ProtocolError("bad body")
        if key == INVARIANT_ERROR:
            raise InvariantError("broken")
        if key == CLOSES:
            return CLOSE
        if key == NO_REPLY:
            return None
        if key == DONE_DEFERRED:
            deferred = Deferred()
            deferred.resolve([head, b"done"])
            return deferred
        if key == WRITES:
            frame[8:] = b"w" * (len(frame) - 8)
        return [head, bytes(frame[8:])]

    def resolve(self, index=0, body=b"late"):
        deferred, correlation_id = self.waiting.pop(index)
        deferred.resolve(None if body is None else [correlation_id.to_bytes(4, "big"), body])

    def tick(self, now_ms):
        self.ticks += 1

    def take_effects(self):
        effects, self.effects = self.effects, []
        return effects

    def add_effect(self, effect):
        self.effects.append(effect)
        if len(self.effects) == 1 and self.on_effects is not None:
            self.on_effects()

    def start(self):
        self.started = True

    def stop_cleaning(self):
        pass

    def shutdown(self):
        self.stopped = True

    def set_listener_port(self, listener, host, port):
        self.ports[listener] = (host, port)

    def metrics_snapshot(self):
        yield ("pybroker_log_size_bytes", "gauge", "Size.", [({"topic": "t", "partition": 0}, 5)])


def request(key, correlation_id, body=b"", version=0):
    """A frame with its prefix."""
    frame = HEADER.pack(key, version, correlation_id) + body
    return len(frame).to_bytes(4, "big") + frame

"""What the broker does around a request: loading its handler, running the timers that are due."""

from __future__ import annotations

import errno
import importlib
import random

from pybroker.broker import Broker
from pybroker.common.clock import ManualClock
from pybroker.common.config import BrokerConfig
from pybroker.common.memory_files import MemoryFileSystem
from pybroker.handlers import registry

NOW = 1_700_000_000_000
# Metadata 12: all topics; Fetch 4: of nothing, answered at once.
METADATA = b"\0\x03\0\x0c\0\0\0\x07\xff\xff\0\0\0\0\0"
FETCH = b"\0\x01\0\x04\0\0\0\x07\xff\xff" + b"\xff\xff\xff\xff" + bytes(17)


def started(clock):
    config = BrokerConfig.from_properties({"log.dirs": "/data", "node.id": "1"})
    broker = Broker(config, MemoryFileSystem(), clock, random.Random(1))
    broker.set_listener_port("PLAINTEXT", "127.0.0.1", 9092)
    broker.start()
    return broker


def test_the_code_of_a_handler_is_read_when_others_gave_a_descriptor_back(monkeypatch):
    """The first request of a kind loads its handler: no descriptor for that must not cost the connection."""
    broker = started(ManualClock(NOW))
    real = importlib.import_module
    refused = []

    def import_module(name):
        if not refused:
            refused.append(name)
            raise OSError(errno.EMFILE, "Too many open files", name)
        return real(name)

    monkeypatch.setattr(registry.importlib, "import_module", import_module)
    connection = broker.connect("127.0.0.1", 1, "PLAINTEXT")
    reply = broker.handle(connection, memoryview(bytearray(METADATA)))
    assert refused == ["pybroker.handlers.metadata"]
    assert b"".join(reply).startswith(b"\0\0\0\x07")


def test_what_has_ended_by_the_clock_has_ended_for_a_request():
    """The loop's timer may be late; a session that was over when the request came must not answer it."""
    clock = ManualClock(NOW)
    broker = started(clock)
    broker.run_timers = lambda: broker.timers.advance(clock.monotonic_ms())
    connection = broker.connect("127.0.0.1", 1, "PLAINTEXT")
    ended = []
    broker.timers.schedule(clock.monotonic_ms() + 6_000, lambda: ended.append(clock.monotonic_ms()))
    clock.advance(5_999)
    broker.handle(connection, memoryview(bytearray(METADATA)))
    assert not ended
    clock.advance(1)
    broker.handle(connection, memoryview(bytearray(FETCH)))
    assert not ended  # The hot requests wait for no timer and do not pay for one.
    broker.handle(connection, memoryview(bytearray(METADATA)))
    assert ended == [clock.monotonic_ms()]

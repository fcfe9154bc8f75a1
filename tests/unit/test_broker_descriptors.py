"""A broker that has run out of descriptors when it needs one for something of its own."""

from __future__ import annotations

import errno
import importlib
import random

from pybroker.broker import Broker
from pybroker.common.clock import ManualClock
from pybroker.common.config import BrokerConfig
from pybroker.common.memory_files import MemoryFileSystem
from pybroker.handlers import registry


def test_the_code_of_a_handler_is_read_when_others_gave_a_descriptor_back(monkeypatch):
    """The first request of a kind loads its handler: no descriptor for that must not cost the connection."""
    config = BrokerConfig.from_properties({"log.dirs": "/data", "node.id": "1"})
    broker = Broker(config, MemoryFileSystem(), ManualClock(1_700_000_000_000), random.Random(1))
    broker.set_listener_port("PLAINTEXT", "127.0.0.1", 9092)
    broker.start()
    real = importlib.import_module
    refused = []

    def import_module(name):
        if not refused:
            refused.append(name)
            raise OSError(errno.EMFILE, "Too many open files", name)
        return real(name)

    monkeypatch.setattr(registry.importlib, "import_module", import_module)
    connection = broker.connect("127.0.0.1", 1, "PLAINTEXT")
    # Metadata 12: all topics.
    frame = bytearray(b"\0\x03\0\x0c\0\0\0\x07\xff\xff\0\0\0\0\0")
    reply = broker.handle(connection, memoryview(frame))
    assert refused == ["pybroker.handlers.metadata"]
    assert b"".join(reply).startswith(b"\0\0\0\x07")

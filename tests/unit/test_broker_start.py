"""The composed broker: what a start that fails half way leaves behind."""

from __future__ import annotations

import random

import pytest

from pybroker.broker import Broker
from pybroker.common.clock import ManualClock
from pybroker.common.config import BrokerConfig
from pybroker.common.errors import ConfigError, PybrokerError
from pybroker.common.files import read_file
from pybroker.common.memory_files import MemoryFileSystem
from pybroker.controller.topic_names import CONSUMER_OFFSETS
from pybroker.log import LogManager, meta_properties
from tests.unit.log.log_helpers import FaultyFileSystem, make_manager

NOW = 1_700_000_000_000


def make_broker(files, **properties):
    config = BrokerConfig.from_properties({"log.dirs": "/a,/b", "listeners": "PLAINTEXT://:0", **properties})
    broker = Broker(config, files, ManualClock(NOW), random.Random(1))
    broker.set_listener_port("PLAINTEXT", "localhost", 9092)
    return broker


def test_a_directory_in_use_leaves_the_other_ones_free():
    files = MemoryFileSystem()
    other = make_manager(files, directories=["/b"])
    other.open(1)
    with pytest.raises(ConfigError, match="/b is in use"):
        make_manager(files, directories=["/a", "/b"]).open(1)
    # /a is free again, /b is still the other one's.
    make_manager(files, directories=["/a"]).open(1)
    with pytest.raises(ConfigError, match="in use"):
        make_manager(files, directories=["/b"]).open(1)


@pytest.mark.parametrize("nth", range(1, 80, 3))
def test_a_start_that_fails_anywhere_can_be_repeated(nth):
    """The Nth opening of a file fails; a second broker on the same directories starts all the same."""
    files = FaultyFileSystem()
    count = 0
    plain = files.inner.open

    def failing(path, **options):
        nonlocal count
        count += 1
        if count == nth:
            raise OSError(5, "broken", path)
        return plain(path, **options)

    files.inner.open = failing
    broker = make_broker(files)
    try:
        broker.start()
    except (PybrokerError, OSError):
        pass
    else:
        broker.shutdown()
    files.inner.open = plain
    again = make_broker(files)
    again.start()
    again.shutdown()


def test_a_failed_load_gives_the_locks_back(monkeypatch):
    files = MemoryFileSystem()

    def fail(self, lookup, assigned):
        raise RuntimeError("broken")

    with monkeypatch.context() as patch:
        patch.setattr(LogManager, "load_steps", fail)
        with pytest.raises(RuntimeError, match="broken"):
            make_broker(files).start()
    broker = make_broker(files)
    broker.start()
    broker.shutdown()


def test_a_log_that_cannot_be_made_is_reported_once_and_tried_again():
    broker = make_broker(MemoryFileSystem(), **{"log.dirs": "/a", "offsets.topic.num.partitions": "2"})
    lines = []
    broker.start()
    broker.report = lines.append
    logs = broker._context.logs
    logs.directories[0].full = True
    broker._create_topics([CONSUMER_OFFSETS])
    for second in range(5):
        for effect in broker.take_effects():
            effect.run()
            effect.complete(None)
        broker.timers.advance(broker.clock.monotonic_ms())
        broker.clock.advance(1000)
        # It would see that there is space.
        logs.directories[0].full = second < 4
        broker.tick(broker.clock.monotonic_ms())
    broker.shutdown()
    assert len([line for line in lines if "no space left for" in line]) == 2, lines
    assert logs.get(CONSUMER_OFFSETS, 1) is not None


def test_the_metadata_log_may_have_any_of_the_directories():
    files = MemoryFileSystem()
    broker = make_broker(files, **{"metadata.log.dir": "/b/"})
    broker.start()
    broker.shutdown()
    assert files.exists("/b/__cluster_metadata-0")
    assert not files.exists("/a/__cluster_metadata-0")
    # It is found where it is, whatever the name says later.
    broker = make_broker(files)
    broker.start()
    broker.shutdown()
    assert not files.exists("/a/__cluster_metadata-0")


def test_the_metadata_log_may_have_a_directory_of_its_own():
    """It is known to nobody else: not to clients, not to other brokers, and no partition comes there."""
    files = MemoryFileSystem()
    for _ in range(2):
        broker = make_broker(files, **{"metadata.log.dir": "/meta"})
        broker.start()
        logs, image = broker._context.logs, broker._context.controller.image
        assert [report.path for report in logs.log_dirs_report()] == ["/a", "/b"]
        assert len(image.brokers[1].log_dirs) == 2
        assert logs.directory_of("__cluster_metadata", 0).path == "/meta"
        broker.shutdown()
    assert files.exists("/meta/__cluster_metadata-0")
    assert not files.exists("/a/__cluster_metadata-0")
    ids = [
        meta_properties.decode(read_file(files, f"{path}/meta.properties"), path)
        for path in ("/a", "/b", "/meta")
    ]
    assert len({one.directory_id for one in ids}) == 3
    assert len({one.cluster_id for one in ids}) == 1


def test_the_loss_of_the_metadata_directory_stops_the_controller_only():
    files = MemoryFileSystem()
    broker = make_broker(files, **{"metadata.log.dir": "/meta"})
    broker.start()
    logs = broker._context.logs
    logs._fail_directory(logs.metadata_directory())
    assert logs.offline_directories == ["/meta"]
    assert broker._context.quorum.failure is not None
    broker.shutdown()


def test_a_clean_end_is_on_record():
    """Apache Kafka would otherwise wait for the end of this broker's session before it serves."""
    files = MemoryFileSystem()
    for _ in range(2):
        broker = make_broker(files)
        broker.start()
        assert not broker._context.controller.image.brokers[1].fenced
        broker.shutdown()
        assert broker._context.controller.image.brokers[1].fenced

"""A broker inside this process."""

from __future__ import annotations

import socket
import subprocess
import sys
import threading
import time

import pytest

import pybroker
from pybroker.common.errors import ConfigError, CorruptionError
from tests.unit.server.fake_broker import request


def accepts(address):
    host, _, port = address.rpartition(":")
    with socket.create_connection((host, int(port)), timeout=10) as client:
        # ApiVersions version 0.
        client.sendall(request(18, 7, b"\xff\xff"))
        return client.recv(8)[4:] == (7).to_bytes(4, "big")


def test_in_memory():
    with pybroker.Broker() as broker:
        assert broker.bootstrap_servers == f"{broker.host}:{broker.port}"
        assert accepts(broker.bootstrap_servers)
        address = (broker.host, broker.port)
    with pytest.raises(RuntimeError, match="not running"):
        _ = broker.bootstrap_servers
    with pytest.raises(ConnectionRefusedError):
        socket.create_connection(address)


def test_several_at_a_time_on_directories(tmp_path):
    with (
        pybroker.Broker(tmp_path / "a", config={"num.partitions": 2}) as first,
        pybroker.Broker(tmp_path / "b") as second,
        pybroker.Broker() as third,
    ):
        addresses = [broker.bootstrap_servers for broker in (first, second, third)]
        assert len(set(addresses)) == 3
        assert all(accepts(address) for address in addresses)
    assert (tmp_path / "a" / ".kafka_cleanshutdown").exists()


def test_a_directory_in_use(tmp_path):
    with pybroker.Broker(tmp_path), pytest.raises(ConfigError, match="in use"):
        pybroker.Broker(tmp_path).start()
    with pybroker.Broker(tmp_path):
        pass


def test_after_a_start_that_failed(tmp_path):
    """What a broken start had locked and opened is free: the same process starts on the directory again."""
    with pybroker.Broker(tmp_path):
        pass
    quorum_state = tmp_path / "__cluster_metadata-0" / "quorum-state"
    content = quorum_state.read_bytes()
    quorum_state.write_bytes(b"not JSON")
    before = threading.active_count()
    broken = pybroker.Broker(tmp_path)
    for _ in range(2):
        with pytest.raises(CorruptionError, match="quorum-state"):
            broken.start()
    assert threading.active_count() == before
    quorum_state.write_bytes(content)
    with broken as broker, pybroker.Broker() as other:
        assert accepts(broker.bootstrap_servers)
        assert accepts(other.bootstrap_servers)


def test_start_again_keeps_the_data(tmp_path):
    broker = pybroker.Broker(tmp_path)
    for _ in range(2):
        broker.start()
        assert accepts(broker.bootstrap_servers)
        broker.stop()
        broker.stop()


def test_wrong_configuration_is_refused_at_once():
    with pytest.raises(ConfigError, match=r"num\.partitions"):
        pybroker.Broker(config={"num.partitions": 0})


def test_it_leaves_no_thread():
    before = threading.active_count()
    with pybroker.Broker():
        pass
    assert threading.active_count() == before


def test_it_starts_and_stops_quickly():
    with pybroker.Broker():
        pass
    started, worked = time.perf_counter(), time.process_time()
    with pybroker.Broker():
        # Time of the processor, so that a busy machine does not count.
        assert time.process_time() - worked < 0.1
        up = time.perf_counter()
    down = time.perf_counter()
    # The goal is 100 ms; a loaded machine gets some more.
    assert up - started < 1
    assert down - up < 1


def test_importing_the_package_imports_nothing_else():
    script = (
        "import sys; before = set(sys.modules); import pybroker; "
        "new = {name.partition('.')[0] for name in set(sys.modules) - before}; "
        "assert 'asyncio' not in new and 'click' not in new, new; "
        "assert {n for n in sys.modules if n.startswith('pybroker')} == {'pybroker', 'pybroker.version'}"
    )
    subprocess.run([sys.executable, "-c", script], check=True)


def test_what_a_start_imports_is_counted():
    # 0.3 to 0.5 ms of processor each. More is a decision: import what a start does not need where it is used.
    script = (
        "import sys; import pybroker\n"
        "with pybroker.Broker(): pass\n"
        "print(*(name for name in sys.modules if name.startswith('pybroker.')))"
    )
    done = subprocess.run([sys.executable, "-c", script], check=True, capture_output=True, text=True)
    names = done.stdout.split()
    assert len(names) <= 250, sorted(names)
    spared = {"pybroker.cli", "pybroker.runtime.local_cluster", "pybroker.runtime.cleaner_process"}
    assert not spared & set(names)

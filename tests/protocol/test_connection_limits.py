"""Limits on connections as real clients meet them: set at the start, for one listener, changed on the way."""

from __future__ import annotations

import contextlib
import time
from pathlib import Path

import pytest

from tests.processes import PybrokerProcess
from tests.protocol import raw
from tests.protocol.raw import API_VERSIONS, INCREMENTAL_ALTER_CONFIGS, Connection

pytestmark = pytest.mark.usefixtures("only_pybroker")


@pytest.fixture
def only_pybroker(is_pybroker: bool) -> None:
    if not is_pybroker:
        # Apache Kafka lets them wait, this broker refuses them.
        pytest.skip("what a client over a limit meets differs")


def served(address: str) -> Connection | None:
    """A connection that gets an answer, or None when it is refused."""
    with contextlib.suppress(OSError):
        connection = Connection(address, timeout=5)
        if connection.call(API_VERSIONS, 0, {}):
            return connection
        connection.close()
    return None


def alter(connection: Connection, name: str, value: str, resource: str = "") -> None:
    values = {
        "resources": [
            {
                "resource_type": 4,
                "resource_name": resource,
                "configs": [{"name": name, "config_operation": 0, "value": value}],
            }
        ],
        "validate_only": False,
    }
    (answer,) = connection.call(INCREMENTAL_ALTER_CONFIGS, 1, values)["responses"]
    assert answer["error_code"] == 0, answer


def count_served(address: str, wanted: int) -> int:
    """How many of `wanted` further connections are served at once."""
    with contextlib.ExitStack() as stack:
        found = [served(address) for _ in range(wanted)]
        for connection in found:
            if connection is not None:
                stack.enter_context(connection)
        return sum(connection is not None for connection in found)


def settled(address: str, wanted: int, expected: int) -> None:
    """Closed connections take a moment to be counted as gone."""
    deadline = time.monotonic() + 10
    while (found := count_served(address, wanted)) != expected:
        assert time.monotonic() < deadline, f"{found} connections are served, not {expected}"
        time.sleep(0.02)


def test_limits_that_change_while_it_runs(tmp_path: Path) -> None:
    server = PybrokerProcess(tmp_path / "broker", {"listener.name.plaintext.max.connections": "6"})
    try:
        with Connection(server.bootstrap) as admin:
            admin.call(API_VERSIONS, 0, {})
            settled(server.bootstrap, 9, 5)
            alter(admin, "listener.name.plaintext.max.connections", "8", resource="1")
            settled(server.bootstrap, 9, 7)
            alter(admin, "max.connections", "4")
            settled(server.bootstrap, 6, 3)
            alter(admin, "max.connections", "100")
            alter(admin, "max.connections.per.ip", "3")
            settled(server.bootstrap, 5, 2)
            alter(admin, "max.connections.per.ip.overrides", "127.0.0.1:5")
            settled(server.bootstrap, 6, 4)
        # What was set dynamically is there after a restart.
        server.restart()
        settled(server.bootstrap, 7, 5)
    finally:
        server.stop()


def test_new_connections_above_their_rate_wait(tmp_path: Path) -> None:
    server = PybrokerProcess(tmp_path / "broker", {"max.connection.creation.rate": "20"})
    try:
        started = time.monotonic()
        for _ in range(30):
            connection = served(server.bootstrap)
            assert connection is not None
            connection.close()
        # A burst of a second's worth, one from the start of the server, then twenty a second.
        assert 0.3 < time.monotonic() - started < 5
        with Connection(server.bootstrap, timeout=20) as admin:
            alter(admin, "max.connection.creation.rate", "100000")
            started = time.monotonic()
            for _ in range(100):
                connection = served(server.bootstrap)
                assert connection is not None
                connection.close()
            assert time.monotonic() - started < 5
    finally:
        server.stop()


def test_names_without_effect_are_told_in_one_line(tmp_path: Path) -> None:
    properties = {
        "num.network.threads": "4",
        "num.io.threads": "9",
        "listener.name.plaintext.num.network.threads": "2",
        "listener.name.plaintext.max.connections": "50",
        "max.connection.creation.rate": "1000",
        "socket.send.buffer.bytes": "200000",
        "socket.receive.buffer.bytes": "200000",
        "connections.max.idle.ms": "500000",
    }
    server = PybrokerProcess(tmp_path / "broker", properties)
    try:
        with Connection(server.bootstrap) as connection:
            topic, _ = raw.create_topic(connection)
            for _ in range(5):
                assert (
                    raw.produce(connection, topic, raw.batch(raw.record(value=bytes(500_000))))["error_code"]
                    == 0
                )
    finally:
        server.stop()
    (line,) = [line for line in server.log_text().splitlines() if "properties without effect" in line]
    names = line.partition("names=")[2].split(",")
    unused = {"num.network.threads", "num.io.threads", "listener.name.plaintext.num.network.threads"}
    assert unused <= set(names)
    assert not set(names) & (set(properties) - unused)

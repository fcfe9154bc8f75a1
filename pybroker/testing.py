"""A broker for tests: a pytest plug-in, loaded by itself where pybroker and pytest are installed.

    def test_order_is_announced(kafka_broker, kafka_topic):
        producer = SomeKafkaClient(bootstrap_servers=kafka_broker.bootstrap_servers)
        producer.send(kafka_topic, b"order 1")

Fixtures:

- `kafka_broker` (session): a running `pybroker.Broker`, inside the test process, on a free port. Each process
  of pytest-xdist has its own. It serves tests with threads and with an event loop alike.
- `kafka_topic` (function): the name of a topic that exists, is empty, and is deleted after the test. Its
  partitions and settings: `@pytest.mark.kafka_topic(partitions=3, config={"cleanup.policy": "compact"})`.
- `kafka_properties` (session): Kafka's property names and values for the broker. Override it in a
  conftest.py, or write lines `name=value` into pytest's setting `kafka_properties`.

`--kafka-storage=directory` (or the setting `kafka_storage`) keeps the data in a temporary directory instead
of in memory. `create_topic` and `delete_topic` work against any broker.

What must hold: importing this imports no room of the broker (that comes with the first use of a fixture);
whatever a test does, no process, thread, port or directory is left after the session.
"""

from __future__ import annotations

import itertools
import os
import re
import shutil
import socket
import struct
import tempfile
from collections.abc import Iterator, Mapping
from typing import TYPE_CHECKING, Any, Final

import pytest

if TYPE_CHECKING:
    from pybroker.embedding import Broker

__all__ = ["create_topic", "delete_topic"]

# A group of a test starts with the members that it has.
_DEFAULTS: Final = {"group.initial.rebalance.delay.ms": "0"}
_TIMEOUT_S: Final = 30.0
_CREATE_TOPICS: Final = 19
_DELETE_TOPICS: Final = 20
_counter = itertools.count()


def pytest_addoption(parser: pytest.Parser) -> None:
    group = parser.getgroup("pybroker")
    group.addoption(
        "--kafka-storage",
        choices=["memory", "directory"],
        help="where the kafka_broker fixture keeps its data [memory]",
    )
    parser.addini("kafka_storage", "as --kafka-storage", default="memory")
    parser.addini("kafka_properties", "properties of the kafka_broker fixture: name=value", type="linelist")


def pytest_configure(config: pytest.Config) -> None:
    config.addinivalue_line(
        "markers", "kafka_topic(partitions=1, config=None): how the kafka_topic fixture makes its topic"
    )


@pytest.fixture(scope="session")
def kafka_properties(pytestconfig: pytest.Config) -> dict[str, str]:
    """What the broker is configured with, by Kafka's names; override it to change them."""
    properties = dict(_DEFAULTS)
    for line in pytestconfig.getini("kafka_properties"):
        name, separator, value = line.partition("=")
        if not separator:
            raise pytest.UsageError(f"kafka_properties: {line!r} is not name=value")
        properties[name.strip()] = value.strip()
    return properties


@pytest.fixture(scope="session")
def kafka_broker(pytestconfig: pytest.Config, kafka_properties: Mapping[str, object]) -> Iterator[Broker]:
    """A running broker; `kafka_broker.bootstrap_servers` is what clients need."""
    from pybroker.embedding import Broker

    storage = pytestconfig.getoption("--kafka-storage") or pytestconfig.getini("kafka_storage")
    if storage not in ("memory", "directory"):
        raise pytest.UsageError(f"kafka_storage is memory or directory, not {storage!r}")
    directory = tempfile.mkdtemp(prefix="pybroker-test-") if storage == "directory" else None
    try:
        with Broker(directory, config=kafka_properties) as broker:
            yield broker
    finally:
        if directory is not None:
            shutil.rmtree(directory, ignore_errors=True)


@pytest.fixture
def kafka_topic(request: pytest.FixtureRequest, kafka_broker: Broker) -> Iterator[str]:
    """The name of a new topic that only this test uses."""
    name = re.sub(r"[^a-zA-Z0-9._-]+", "-", request.node.name).strip("-")[:150]
    topic = f"{name}-{os.getpid()}-{next(_counter)}"
    marker = request.node.get_closest_marker("kafka_topic")
    address = kafka_broker.bootstrap_servers
    create_topic(address, topic, **(marker.kwargs if marker else {}))
    yield topic
    # The test may have deleted the topic, or stopped the broker.
    delete_topic(address, topic, missing_ok=True)


def create_topic(
    bootstrap_servers: str,
    topic: str,
    *,
    partitions: int = 1,
    replication_factor: int = -1,
    config: Mapping[str, object] | None = None,
) -> None:
    """Make a topic; -1 is the broker's default. RuntimeError with its reason, OSError without an answer."""
    from pybroker.wire.messages.create_topics import (
        CreatableTopic,
        CreatableTopicConfig,
        CreateTopicsRequest,
    )

    configs = [
        CreatableTopicConfig(name=name, value=str(value).lower() if isinstance(value, bool) else str(value))
        for name, value in (config or {}).items()
    ]
    wanted = CreatableTopic(
        name=topic, num_partitions=partitions, replication_factor=replication_factor, configs=configs
    )
    request = CreateTopicsRequest(topics=[wanted], timeout=int(_TIMEOUT_S * 1000))
    answer = _ask(bootstrap_servers, _CREATE_TOPICS, 7, request)
    _check(answer.topics[0], topic)


def delete_topic(bootstrap_servers: str, topic: str, *, missing_ok: bool = False) -> None:
    """Delete a topic. With `missing_ok` neither its absence nor that of the broker is an error."""
    from pybroker.common.errors import ErrorCode
    from pybroker.wire.messages.delete_topics import DeleteTopicsRequest, DeleteTopicState

    request = DeleteTopicsRequest(topics=[DeleteTopicState(name=topic)], timeout=int(_TIMEOUT_S * 1000))
    try:
        found = _ask(bootstrap_servers, _DELETE_TOPICS, 6, request).responses[0]
    except OSError:
        if missing_ok:
            return
        raise
    if not (missing_ok and found.error_code == ErrorCode.UNKNOWN_TOPIC_OR_PARTITION):
        _check(found, topic)


def _check(answer: Any, topic: str) -> None:
    from pybroker.common.errors import ErrorCode

    if answer.error_code:
        raise RuntimeError(f"topic {topic}: {ErrorCode(answer.error_code).name}: {answer.error_message}")


def _ask(bootstrap_servers: str, api_key: int, version: int, message: Any) -> Any:
    """One request to the first of the servers, on a connection of its own."""
    from pybroker.server.listener import parse_address
    from pybroker.wire import codec
    from pybroker.wire.headers import parse_response_header, request_header

    address = parse_address(bootstrap_servers.partition(",")[0], f"bootstrap_servers={bootstrap_servers}")
    frame = request_header(api_key, version, 1, "pybroker.testing") + codec.encode(message, version)
    with socket.create_connection(address, _TIMEOUT_S) as connection:
        connection.sendall(struct.pack(">i", len(frame)) + frame)
        (size,) = struct.unpack(">i", _read(connection, 4))
        answer = memoryview(_read(connection, size))
    _, position = parse_response_header(answer, api_key, version)
    return codec.decode(codec.response_class(api_key), version, answer, position)[0]


def _read(connection: socket.socket, size: int) -> bytes:
    found = bytearray()
    while len(found) < size:
        piece = connection.recv(size - len(found))
        if not piece:
            raise ConnectionError("the broker has closed the connection")
        found += piece
    return bytes(found)

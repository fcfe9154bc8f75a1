"""The broker that the protocol tests talk to (the `broker` fixture of tests/conftest.py) and topics on it."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from tests.processes import Server
from tests.protocol import raw


@pytest.fixture(scope="session")
def address(broker: Server) -> str:
    return broker.bootstrap


@pytest.fixture(scope="session")
def is_pybroker(pytestconfig: pytest.Config) -> bool:
    """False with --against: the few rows where pybroker differs on purpose ask for it."""
    return not pytestconfig.getoption("--against")


@pytest.fixture
def connection(address: str) -> Iterator[raw.Connection]:
    with raw.Connection(address) as opened:
        yield opened


@pytest.fixture(scope="session")
def shared_topic(address: str) -> tuple[str, bytes]:
    """A topic with one partition for tests that do not mind what else is written to it; its name and id."""
    return raw.create_topic(address)


@pytest.fixture
def topic(address: str) -> str:
    """A topic of this test alone."""
    return raw.create_topic(address)[0]

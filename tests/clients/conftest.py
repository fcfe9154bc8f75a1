"""The clients, each started once for all its tests."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from tests.clients.adapters import (
    Adapter,
    AioKafka,
    ConfluentKafka,
    FranzGo,
    JavaClient,
    KafkaJs,
    KafkaPython,
)
from tests.processes import KafkaTools, Server

ADAPTERS: tuple[type[Adapter], ...] = (ConfluentKafka, AioKafka, KafkaPython, JavaClient, FranzGo, KafkaJs)
FOREIGN = (JavaClient, FranzGo, KafkaJs)


def marks(adapter: type[Adapter]) -> list[pytest.MarkDecorator]:
    return [pytest.mark.interop] if adapter in FOREIGN else []


CLIENTS = [pytest.param(adapter, id=adapter.name, marks=marks(adapter)) for adapter in ADAPTERS]
CLIENT_CODECS = [
    pytest.param((adapter, codec), id=f"{adapter.name}-{codec}", marks=marks(adapter))
    for adapter in ADAPTERS
    for codec in adapter.codecs
]


class Clients:
    """Starts an adapter when it is first asked for and keeps it."""

    def __init__(
        self, request: pytest.FixtureRequest, broker: Server, directory: pytest.TempPathFactory
    ) -> None:
        self.request = request
        self.broker = broker
        self.directory = directory.mktemp("clients")
        self.started: dict[type[Adapter], Adapter] = {}

    def get(self, adapter: type[Adapter]) -> Adapter:
        if adapter not in self.started:
            if adapter is JavaClient:
                tools: KafkaTools = self.request.getfixturevalue("kafka")
                self.started[adapter] = JavaClient(self.broker.bootstrap, tools.process)
            elif adapter in (FranzGo, KafkaJs):
                self.started[adapter] = adapter(self.broker.bootstrap, self.directory)  # type: ignore[call-arg]
            else:
                self.started[adapter] = adapter(self.broker.bootstrap)
        return self.started[adapter]

    def close(self) -> None:
        for adapter in self.started.values():
            adapter.close()


@pytest.fixture(scope="session")
def clients(
    request: pytest.FixtureRequest, broker: Server, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Clients]:
    started = Clients(request, broker, tmp_path_factory)
    yield started
    started.close()


@pytest.fixture
def client(request: pytest.FixtureRequest, clients: Clients) -> Adapter:
    """The client under test; parametrize it indirectly with CLIENTS."""
    return clients.get(request.param)


@pytest.fixture
def client_and_codec(request: pytest.FixtureRequest, clients: Clients) -> tuple[Adapter, str]:
    adapter, codec = request.param
    return clients.get(adapter), codec

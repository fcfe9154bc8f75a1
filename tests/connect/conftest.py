"""Workers for the tests of Connect.

The contract tests run against our worker and against Apache Kafka's, both in both modes, on one broker:
pybroker, or Apache Kafka with `--against=kafka`, or whatever cluster `--against=HOST:PORT` names. Without Java
the Java workers are skipped, or fail under PYBROKER_REQUIRE_ALL=1.
"""

from __future__ import annotations

import uuid
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from tests import facilities
from tests.conftest import SHARED_PROPERTIES
from tests.connect.workers import JavaWorker, PythonWorker, Worker
from tests.processes import KafkaProcess, PybrokerProcess, Server


@pytest.fixture(scope="session")
def connect_broker(pytestconfig: pytest.Config, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    """The broker that Connect's topics live in: pybroker, or what `--against` says."""
    server: Server
    against = str(pytestconfig.getoption("--against") or "")
    if ":" in against:
        host, _, port = against.rpartition(":")
        yield Server(host, int(port))
        return
    if against == "kafka":
        facilities.require("kafka")
        server = KafkaProcess(tmp_path_factory.mktemp("connect-kafka"), SHARED_PROPERTIES)
    else:
        server = PybrokerProcess(tmp_path_factory.mktemp("connect-broker"), SHARED_PROPERTIES)
    yield server
    server.stop()


@pytest.fixture
def start_worker(connect_broker: Server, tmp_path: Path) -> Iterator[Callable[..., Worker]]:
    """A factory: `start_worker(PythonWorker, **properties)`; workers of one test share a group of their own."""
    workers: list[Worker] = []
    group = f"group-{uuid.uuid4().hex[:8]}-{tmp_path.name}"[:80]

    def start(
        kind: type[Worker] = PythonWorker,
        *,
        distributed: bool = True,
        files: list[Path] | None = None,
        directory: Path | None = None,
        **properties: str,
    ) -> Worker:
        if kind is JavaWorker:
            facilities.require("kafka")
        worker = kind(
            directory or tmp_path / f"worker-{len(workers)}",
            connect_broker.bootstrap,
            {key.replace("__", "."): value for key, value in properties.items()},
            distributed=distributed,
            group=group,
            files=files,
        )
        workers.append(worker)
        return worker

    yield start
    for worker in workers:
        worker.stop()


KINDS = {
    "python": (PythonWorker, True),
    "python-standalone": (PythonWorker, False),
    "java": (JavaWorker, True),
    "java-standalone": (JavaWorker, False),
}


@pytest.fixture(scope="session", params=list(KINDS))
def contract_worker(
    request: pytest.FixtureRequest, connect_broker: Server, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Worker]:
    """One worker of each kind for all contract tests: connectors need names of their own."""
    kind, distributed = KINDS[request.param]
    if kind is JavaWorker:
        facilities.require("kafka")
    number = uuid.uuid4().hex[:8]
    worker = kind(
        tmp_path_factory.mktemp(f"contract-{request.param}"),
        connect_broker.bootstrap,
        {"connector.client.config.override.policy": "All"},
        distributed=distributed,
        group=f"contract-{number}-{request.param}",
    )
    yield worker
    worker.stop()

"""A worker as a process: everything put together, run until a signal, and taken apart again.

In: the worker's configuration; for a standalone worker also the connectors' files. Out: a running worker.
What must hold: what was started is stopped in reverse order; the process ends even if a plug-in never
returns.
"""

from __future__ import annotations

import asyncio
import contextlib
import hashlib
import json
import logging
import signal
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from connect.api.errors import ConfigError, ConnectError
from connect.core.config_state import TaskId
from connect.core.connector_config import NAME
from connect.core.metrics import Sample
from connect.core.worker_config import WorkerConfig, parse_properties
from connect.rest.app import RestServer, RestTimeouts
from connect.runtime.blocking import run_blocking
from connect.runtime.clients import make_admin, worker_client_props
from connect.runtime.herder import Herder, RestError
from connect.runtime.loggers import Loggers
from connect.runtime.membership import Alone
from connect.runtime.plugins import load_plugins, make_transformer
from connect.runtime.stores import ConfigStore, FileOffsetStore, StatusStore
from connect.runtime.worker import Worker

log = logging.getLogger(__name__)


class StandaloneProcess:
    """One worker on its own: states in memory, source offsets in a file."""

    def __init__(self, config: WorkerConfig, timeouts: RestTimeouts | None = None) -> None:
        self.config = config
        self.loggers = Loggers()
        self.rest = RestServer(config, self.loggers, build_id(), self._samples, timeouts)
        self.herder: Herder | None = None

    def _samples(self) -> list[Sample]:
        return self.herder.worker.samples() if self.herder is not None else []

    async def start(self) -> None:
        config = self.config
        await self.rest.bind()
        plugins = await run_blocking(load_plugins, config["plugin.path"])
        transformer = make_transformer(config)
        later: list[Herder] = []

        # The worker and the stores tell the herder, which needs them to be made.
        def on_events(events: list[Any]) -> None:
            if later:
                later[0].on_events(events)

        def reconfigure(name: str) -> None:
            if later:
                later[0].request_reconfiguration(name)

        config_store = ConfigStore(on_events)
        status = StatusStore()
        offsets = FileOffsetStore(Path(config["offset.storage.file.filename"]))
        await run_blocking(offsets.start)

        def current(task: TaskId) -> dict[str, str]:
            return config_store.snapshot().task_configs.get(task, {})

        worker = Worker(
            config,
            self.rest.worker_id,
            plugins,
            transformer,
            status,
            offsets,
            lambda: 0,
            current,
            reconfigure,
        )
        cluster_id = await run_blocking(find_cluster_id, config)
        herder = Herder(
            config,
            plugins,
            config_store,
            status,
            worker,
            Alone(self.rest.advertised_url),
            set_level(self.loggers),
            cluster_id,
        )
        later.append(herder)
        self.herder = self.rest.herder = herder
        herder.start()

    async def create(self, file: Path) -> None:
        """Creates the connector of a file. ConfigError when the file or the configuration is no good."""
        assert self.herder is not None
        config, initial = read_connector_file(file)
        name = config.get(NAME, "")
        try:
            await self.herder.put_connector(name, config, initial, replace=True)
        except RestError as error:
            raise ConfigError(f"Connector {name or file} cannot be created: {error}") from error
        log.info("Created connector %s", name)

    async def stop(self) -> None:
        if self.herder is not None:
            await self.herder.stop()
        await self.rest.close()


def set_level(loggers: Loggers) -> Callable[[str, str], None]:
    def apply(namespace: str, level: str) -> None:
        loggers.set_level(namespace, level)

    return apply


def find_cluster_id(config: WorkerConfig) -> str:
    """ConnectError when no broker answers within half a minute."""
    admin = make_admin(worker_client_props(config.strings))
    try:
        return str(admin.describe_cluster(request_timeout=30).result(31).cluster_id)
    except Exception as error:
        raise ConnectError(
            f"Failed to connect to and describe Kafka cluster {config.strings['bootstrap.servers']}. Check "
            f"worker's broker connection and security properties: {error}"
        ) from error


def build_id() -> str:
    """Sixteen hexadecimal digits that change with the code of the runtime."""
    digest = hashlib.sha256()
    for path in sorted(Path(__file__).parent.rglob("*.py")):
        digest.update(path.read_bytes())
    return digest.hexdigest()[:16]


def read_connector_file(file: Path) -> tuple[dict[str, str], str | None]:
    """Properties, or JSON in the shape of a POST body or of a PUT body. The configuration and the initial
    target state. ConfigError."""
    try:
        text = file.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise ConfigError(f"{file} cannot be read: {error}") from error
    if file.suffix.lower() != ".json":
        return parse_properties(text), None
    try:
        body = json.loads(text, parse_int=str, parse_float=str)
    except ValueError as error:
        raise ConfigError(f"{file} is no JSON: {error}") from error
    if not isinstance(body, dict):
        raise ConfigError(f"{file} has to hold a JSON object")
    initial = None
    if isinstance(body.get("config"), dict) and "name" in body:
        given = body.get("initial_state")
        if given is not None:
            targets = {"RUNNING": "STARTED", "PAUSED": "PAUSED", "STOPPED": "STOPPED"}
            if str(given).upper() not in targets:
                raise ConfigError(f"{file}: initial_state {given!r} is none of {', '.join(targets)}")
            initial = targets[str(given).upper()]
        body = {"name": body["name"], **body["config"]}
    config = {}
    for key, value in body.items():
        if isinstance(value, bool):
            config[key] = "true" if value else "false"
        elif isinstance(value, str):
            config[key] = value
        else:
            raise ConfigError(f"{file}: the value of {key!r} has to be a text")
    return config, initial


async def run_until_signal(start: Callable[[], Any], stop: Callable[[], Any]) -> None:
    """Runs `start`, waits for SIGINT or SIGTERM, runs `stop`."""
    ended = asyncio.Event()
    loop = asyncio.get_running_loop()
    for number in (signal.SIGINT, signal.SIGTERM):
        loop.add_signal_handler(number, ended.set)
    try:
        await start()
        await ended.wait()
    finally:
        with contextlib.suppress(Exception):
            await stop()


async def run_standalone(config: WorkerConfig, files: Sequence[Path]) -> None:
    process = StandaloneProcess(config)

    async def start() -> None:
        await process.start()
        for file in files:
            await process.create(file)
        log.info("Kafka Connect started: %s", process.rest.advertised_url)

    await run_until_signal(start, process.stop)

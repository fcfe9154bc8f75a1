"""A worker as a process: everything put together, run until a signal, and taken apart again.

In: the worker's configuration; for a standalone worker also the connectors' files. Out: a running worker.
What must hold: what was started is stopped in reverse order; the process ends even if a plug-in never
returns.
"""

from __future__ import annotations

import asyncio
import base64
import contextlib
import gc
import hashlib
import json
import logging
import signal
import sys
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any, Final

from connect.api.errors import ConfigError, ConnectError
from connect.core import signatures
from connect.core.config_state import ConfigEvent, TaskId
from connect.core.connector_config import NAME
from connect.core.java import json_bytes
from connect.core.metrics import Sample
from connect.core.worker_config import WorkerConfig, parse_properties
from connect.rest.app import RestServer, RestTimeouts
from connect.runtime.blocking import run_blocking
from connect.runtime.clients import make_admin, worker_client_props
from connect.runtime.group import GroupMembership
from connect.runtime.herder import Herder, RestError
from connect.runtime.loggers import Loggers
from connect.runtime.membership import Alone, Membership
from connect.runtime.plugins import load_plugins, make_transformer
from connect.runtime.stores import (
    ConfigStore,
    FileOffsetStore,
    KafkaConfigStore,
    KafkaOffsetStore,
    KafkaStatusStore,
    OffsetStore,
    StatusStore,
)
from connect.runtime.worker import Worker

log = logging.getLogger(__name__)

_SWITCH_INTERVAL_S: Final = 0.001


class WorkerProcess:
    """What both modes share. `start` returns when the REST API answers; `stop` undoes it."""

    def __init__(self, config: WorkerConfig, timeouts: RestTimeouts | None = None) -> None:
        self.config = config
        self.loggers = Loggers()
        self.rest = RestServer(config, self.loggers, build_id(), self._samples, timeouts)
        self._herder: Herder | None = None
        self._membership: Membership | None = None

    @property
    def herder(self) -> Herder:
        assert self._herder is not None
        return self._herder

    def _samples(self) -> list[Sample]:
        if self._herder is None:
            return []
        samples = self._herder.worker.samples()
        membership = self._membership
        if isinstance(membership, GroupMembership):
            samples += membership.samples()
        return samples

    # The worker and the stores tell the herder, which needs them to be made.

    def _on_events(self, events: list[ConfigEvent]) -> None:
        if self._herder is not None:
            self._herder.on_events(events)

    def _reconfigure(self, name: str) -> None:
        if self._herder is not None:
            self._herder.request_reconfiguration(name)

    def _generation(self) -> int:
        return self._membership.generation if self._membership is not None else 0

    async def _assemble(
        self,
        config_store: ConfigStore,
        status: StatusStore,
        offsets: OffsetStore,
        make_membership: Callable[[Worker], Membership],
    ) -> Herder:
        config = self.config
        plugins = await run_blocking(load_plugins, config["plugin.path"])
        transformer = make_transformer(config)

        def current(task: TaskId) -> dict[str, str]:
            return config_store.snapshot().task_configs.get(task, {})

        worker = Worker(
            config,
            self.rest.worker_id,
            plugins,
            transformer,
            status,
            offsets,
            self._generation,
            current,
            self._reconfigure,
        )
        self._membership = make_membership(worker)
        cluster_id = await run_blocking(find_cluster_id, config)
        herder = Herder(
            config,
            plugins,
            config_store,
            status,
            worker,
            self._membership,
            set_level(self.loggers),
            cluster_id,
        )
        self._herder = self.rest.herder = herder
        return herder

    async def start(self) -> None:
        raise NotImplementedError

    async def stop(self) -> None:
        if self._herder is not None:
            await self._herder.stop()
        await self.rest.close()


class StandaloneProcess(WorkerProcess):
    """One worker on its own: states in memory, source offsets in a file."""

    async def start(self) -> None:
        await self.rest.bind()
        offsets = FileOffsetStore(Path(self.config["offset.storage.file.filename"]))
        await run_blocking(offsets.start)
        url = self.rest.advertised_url
        herder = await self._assemble(
            ConfigStore(self._on_events), StatusStore(), offsets, lambda worker: Alone(url)
        )
        herder.start()

    async def create(self, file: Path) -> None:
        """Creates the connector of a file. ConfigError when the file or the configuration is no good."""
        config, initial = read_connector_file(file)
        name = config.get(NAME, "")
        try:
            await self.herder.put_connector(name, config, initial, replace=True)
        except RestError as error:
            raise ConfigError(f"Connector {name or file} cannot be created: {error}") from error
        log.info("Created connector %s", name)


class DistributedProcess(WorkerProcess):
    """One worker of a group: everything is in Kafka's topics."""

    def __init__(self, config: WorkerConfig, timeouts: RestTimeouts | None = None) -> None:
        super().__init__(config, timeouts)
        self._group: GroupMembership | None = None
        self._group_task: asyncio.Task[None] | None = None
        self._stores: list[ConfigStore | StatusStore | OffsetStore] = []

    async def start(self) -> None:
        config = self.config
        await self.rest.bind()
        admin = make_admin(
            {**worker_client_props(config.strings), "client.id": f"{config['group.id']}-shared-admin"}
        )
        config_store = KafkaConfigStore(config, admin, self._on_events)
        status = KafkaStatusStore(config, admin)
        offsets = KafkaOffsetStore.of_worker(config, admin)
        self._stores = [offsets, status, config_store]
        # Before anything is said about them in the herder: it needs the state to be complete.
        for store in self._stores:
            await run_blocking(store.start)
        client_id = config["client.id"] or f"connect-{self.rest.worker_id}"
        url = self.rest.advertised_url

        def join(worker: Worker) -> Membership:
            self._group = GroupMembership(config, url, client_id, config_store, worker.metrics)
            return self._group

        herder = await self._assemble(config_store, status, offsets, join)
        assert self._group is not None
        self._group.revoke = herder.revoke
        self._group.changed = herder.wake
        herder.publish_tasks = self._publish_tasks
        herder.request_fencing = self._request_fencing
        herder.fence_producers = self._group.fence_producers
        self._group_task = asyncio.create_task(self._group.run(), name="group")
        await self._group.settled()
        herder.start()

    def _signed(self, body: bytes) -> dict[str, str]:
        membership = self._membership
        if membership is None or not membership.sessioned:
            return {}
        key = self.herder.config_store.snapshot().session_key
        if key is None:
            raise RestError(503, "No session key has been read yet")
        algorithm = self.config["inter.worker.signature.algorithm"]
        signature = base64.b64encode(signatures.sign(key, algorithm, body)).decode()
        return {signatures.SIGNATURE_HEADER: signature, signatures.ALGORITHM_HEADER: algorithm}

    async def _publish_tasks(self, url: str, name: str, configs: Sequence[Mapping[str, str]]) -> None:
        body = json_bytes(list(configs))
        await self.rest.call_worker("POST", url, ["connectors", name, "tasks"], body, self._signed(body))

    async def _request_fencing(self, url: str, name: str) -> None:
        await self.rest.call_worker("PUT", url, ["connectors", name, "fence"], b"", self._signed(b""))

    async def stop(self) -> None:
        await super().stop()
        if self._group is not None:
            await self._group.close()
        if self._group_task is not None:
            self._group_task.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await self._group_task
        for store in self._stores:
            await run_blocking(store.stop)


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
    # A thread that converts records must not keep one waiting that got an answer from its database.
    sys.setswitchinterval(_SWITCH_INTERVAL_S)
    ended = asyncio.Event()
    loop = asyncio.get_running_loop()
    for number in (signal.SIGINT, signal.SIGTERM):
        loop.add_signal_handler(number, ended.set)
    try:
        await start()
        # What exists now stays: the collector need not look at it again. And records make no cycles.
        gc.collect()
        gc.freeze()
        gc.set_threshold(50_000, 25, 50)
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


async def run_distributed(config: WorkerConfig) -> None:
    process = DistributedProcess(config)

    async def start() -> None:
        await process.start()
        log.info("Kafka Connect started: %s", process.rest.advertised_url)

    await run_until_signal(start, process.stop)

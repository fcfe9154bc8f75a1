"""The herder: answers the REST API's wishes and keeps what runs in step with what the config topic says.

In: requests, events of the config topic, changes of the assignment. Out: records in the topics, and orders
to the worker. What must hold: it lives on the event loop and never blocks it; writes are made by the leader
only, one at a time; a request to the wrong worker ends in `NotHereError`, which says where to go.
"""

from __future__ import annotations

import asyncio
import base64
import contextlib
import logging
import secrets
import time
from collections.abc import Awaitable, Callable, Mapping, Sequence
from typing import Any, Final, TypeVar

from connect.api.errors import ConnectError
from connect.api.sink import SinkConnector
from connect.api.sink import TopicPartition as SinkPartition
from connect.api.source import SourceConnector
from connect.core import config_state as cs
from connect.core import connector_config as cc
from connect.core import status as states
from connect.core.config_state import ConfigEvent, ConfigState, SessionKey, TaskId
from connect.core.herder import Running, make_plan, restart_plan
from connect.core.registry import PluginNotFoundError, PluginRegistry
from connect.core.signatures import session_key_bits
from connect.core.status import Status
from connect.core.worker_config import WorkerConfig
from connect.runtime.blocking import run_blocking
from connect.runtime.membership import Assigned, Membership
from connect.runtime.stores import ConfigStore, StatusStore
from connect.runtime.worker import Worker

log = logging.getLogger(__name__)

Result = TypeVar("Result")
_RETRY_FIRST_S: Final = 0.25
_RETRY_MAX_S: Final = 60.0
_READ_TIMEOUT_S: Final = 30.0
_REBALANCE_WAIT_S: Final = 60.0
_STOP_MARGIN_S: Final = 5.0


class RestError(ConnectError):
    """An answer other than success: HTTP status and message."""

    def __init__(self, status: int, message: str) -> None:
        super().__init__(message)
        self.status = status


class NotHereError(ConnectError):
    """Another worker has to do this; `url` is None when nobody knows which."""

    def __init__(self, message: str, url: str | None) -> None:
        super().__init__(message)
        self.url = url


# Sends task configurations, or a request to fence, to the leader (only distributed).
PublishTasks = Callable[[str, str, Sequence[Mapping[str, str]]], Awaitable[None]]
RequestFencing = Callable[[str, str], Awaitable[None]]
# Takes transactional ids over from whoever used them.
FenceProducers = Callable[[list[str]], Awaitable[None]]


class Herder:
    def __init__(
        self,
        config: WorkerConfig,
        plugins: PluginRegistry,
        config_store: ConfigStore,
        status: StatusStore,
        worker: Worker,
        membership: Membership,
        set_logger_level: Callable[[str, str], None],
        cluster_id: str | None = None,
    ) -> None:
        self.config = config
        self.plugins = plugins
        self.config_store = config_store
        self.status = status
        self.worker = worker
        self.membership = membership
        self.cluster_id = cluster_id
        self.publish_tasks: PublishTasks | None = None
        self.request_fencing: RequestFencing | None = None
        self.fence_producers: FenceProducers | None = None
        self.ready = False
        self.stage = "starting up"
        self._set_logger_level = set_logger_level
        self._loop = asyncio.get_running_loop()
        self._lock = asyncio.Lock()
        self._reconciling = asyncio.Lock()
        self._wake = asyncio.Event()
        self._stopping = False
        # What was there before this worker came: anything else in an event is new.
        self._known = set(config_store.snapshot().connectors)
        self._running_connectors: dict[str, Mapping[str, str]] = {}
        self._running_tasks: dict[TaskId, int] = {}
        self._targets: dict[str, str] = {}
        self._background: set[asyncio.Task[Any]] = set()
        self._key_expires_ms: int | None = None
        self._ticker: asyncio.Task[None] | None = None

    # Life.

    def start(self) -> None:
        """Begins to follow the config topic; the stores have been read before."""
        self.ready = True
        self._ticker = asyncio.create_task(self._tick(), name="herder")

    async def _tick(self) -> None:
        while not self._stopping:
            self._wake.clear()
            try:
                await self._maintain()
                await self.reconcile()
            except asyncio.CancelledError:
                raise
            except Exception:
                log.exception("The herder could not do all it should and tries again")
                await asyncio.sleep(1)
                continue
            with contextlib.suppress(TimeoutError):
                await asyncio.wait_for(self._wake.wait(), self._seconds_to_next_work())

    def _seconds_to_next_work(self) -> float:
        if self._key_expires_ms is None or not self.membership.is_leader:
            return 60.0
        return max(0.1, self._key_expires_ms / 1000 - time.time())

    async def stop(self) -> None:
        self._stopping = True
        self._wake.set()
        # A call under way goes on in its thread when its caller is cancelled: what it starts would run on,
        # and the UNASSIGNED of what it stops would come after the RUNNING of whoever takes over.
        locked = await self._await_calls_under_way()
        try:
            if self._ticker is not None:
                self._ticker.cancel()
                with contextlib.suppress(asyncio.CancelledError):
                    await self._ticker
            for task in list(self._background):
                task.cancel()
            await run_blocking(self.worker.stop)
            self._running_connectors.clear()
            self._running_tasks.clear()
            await run_blocking(self.status.flush)
        finally:
            if locked:
                self._reconciling.release()

    async def _await_calls_under_way(self) -> bool:
        """Takes the lock under which everything starts and stops. False when that would take too long; alone,
        a worker has nobody to wait for."""
        if not self.config.distributed:
            return False
        limit_s = self.config["task.shutdown.graceful.timeout.ms"] / 1000 + _STOP_MARGIN_S
        try:
            await asyncio.wait_for(self._reconciling.acquire(), limit_s)
        except TimeoutError:
            return False
        return True

    def _require_not_stopping(self) -> None:
        if self._stopping:
            raise RestError(503, "The worker is shutting down")

    def wake(self) -> None:
        self._wake.set()

    def on_events(self, events: list[ConfigEvent]) -> None:
        """Called by whichever thread reads the config topic."""
        with contextlib.suppress(RuntimeError):  # The loop is closed: the worker has ended.
            self._loop.call_soon_threadsafe(self._take_events, events)

    def _take_events(self, events: list[ConfigEvent]) -> None:
        for event in events:
            if isinstance(event, cs.ConnectorUpdated):
                if event.name not in self._known:
                    self._known.add(event.name)
                    self.membership.request_rejoin(f"connector {event.name} is new")
            elif isinstance(event, cs.ConnectorRemoved):
                self._known.discard(event.name)
                self.membership.request_rejoin(f"connector {event.name} is gone")
            elif isinstance(event, cs.TasksUpdated):
                self.membership.request_rejoin(f"tasks of connector {event.name} changed")
            elif isinstance(event, cs.RestartRequested):
                self._spawn(self._restart_here(event))
            elif isinstance(event, cs.LoggerLevelSet):
                try:
                    self._set_logger_level(event.namespace, event.level)
                except ValueError as error:
                    log.warning("A log level from the config topic is not taken: %s", error)
            elif isinstance(event, cs.SessionKeyChanged):
                key = self.config_store.snapshot().session_key
                if key is not None:
                    self._key_expires_ms = key.created_ms + self.config["inter.worker.key.ttl.ms"]
        self._wake.set()

    def _spawn(self, coroutine: Any) -> None:
        task = asyncio.create_task(coroutine)
        self._background.add(task)
        task.add_done_callback(self._background.discard)

    # Keeping in step.

    async def _maintain(self) -> None:
        """What only the leader does: session keys, and states of things that are gone."""
        if not self.config.distributed or not self.membership.is_leader or self.membership.rebalancing:
            return
        state = self.config_store.snapshot()
        if self.membership.sessioned:
            now_ms = int(time.time() * 1000)
            key = state.session_key
            ttl = self.config["inter.worker.key.ttl.ms"]
            algorithm = self.config["inter.worker.key.generation.algorithm"]
            bits = session_key_bits(algorithm, self.config["inter.worker.key.size"])
            if key is None or (ttl and now_ms >= key.created_ms + ttl) or key.algorithm != algorithm:
                secret = base64.b64encode(secrets.token_bytes(bits // 8)).decode()
                async with self._lock:
                    await run_blocking(
                        self.config_store.put_session_key, SessionKey(secret, algorithm, now_ms)
                    )
                self._key_expires_ms = now_ms + ttl
            else:
                self._key_expires_ms = key.created_ms + ttl

    async def _remove_stale_states(self, state: ConfigState) -> None:
        if not self.membership.is_leader or self.membership.rebalancing:
            return
        connectors, tasks = self.status.known()
        gone = [name for name in connectors if name not in state.connectors]
        stale = [task for task in tasks if task not in state.tasks(task.connector)]
        if gone or stale:
            await run_blocking(self._write_tombstones, gone, stale)

    def _write_tombstones(self, gone: list[str], stale: list[TaskId]) -> None:
        for name in gone:
            self.status.put_connector(name, None)
            for topic in self.status.topics(name):
                self.status.remove_topic(name, topic)
        for task in stale:
            self.status.put_task(task, None)

    async def reconcile(self) -> None:
        """Starts and stops until nothing is left to do."""
        async with self._reconciling:
            for _ in range(20):
                if self._stopping:
                    return
                state = self.config_store.snapshot()
                assigned = self.membership.assigned(state)
                if assigned is None:
                    return
                running = Running(self._running_connectors, self._running_tasks, self._targets)
                plan = make_plan(state, assigned.connectors, assigned.tasks, running)
                if not plan:
                    break
                await self._stop(plan.stop_connectors, plan.stop_tasks)
                for name in plan.retarget:
                    self._retarget(name, state.target_state(name))
                starts = [self._start_connector(name, state) for name in plan.start_connectors]
                starts += [self._start_task(task, state) for task in plan.start_tasks]
                await asyncio.gather(*starts)
                if self.config.distributed:
                    break
            await self._remove_stale_states(self.config_store.snapshot())

    async def _stop(self, connectors: Sequence[str], tasks: Sequence[TaskId]) -> None:
        for name in connectors:
            self._running_connectors.pop(name, None)
        for task in tasks:
            self._running_tasks.pop(task, None)
        if tasks:
            await run_blocking(self.worker.stop_tasks, list(tasks))
        if connectors:
            await run_blocking(self.worker.stop_connectors, list(connectors))

    async def revoke(self, connectors: Sequence[str], tasks: Sequence[TaskId]) -> None:
        """Gives up what another worker is to run. Returns when it has stopped."""
        async with self._reconciling:
            known_tasks = [task for task in tasks if task in self._running_tasks]
            await self._stop([name for name in connectors if name in self._running_connectors], known_tasks)
            # Our UNASSIGNED must not come after the RUNNING of whoever takes over.
            await run_blocking(self.status.flush)

    def _retarget(self, name: str, target: str) -> None:
        before = self._targets.get(name)
        self._targets[name] = target
        future = self.worker.set_target_state(name, target)
        if future is not None and target == cs.STARTED and before != target:
            self._spawn(self._reconfigure_after(name, future))

    async def _reconfigure_after(self, name: str, started: Any) -> None:
        with contextlib.suppress(Exception):
            await asyncio.wrap_future(started)
            await self._reconfigure(name)

    async def _start_connector(self, name: str, state: ConfigState) -> None:
        raw = state.connectors[name]
        target = state.target_state(name)
        self._running_connectors[name] = raw
        self._targets[name] = target
        future = await run_blocking(self.worker.start_connector, name, raw, target)
        if self.config.distributed:
            # A plug-in that blocks in start must not keep the others from starting.
            self._spawn(self._finish_start(name, target, future))
        else:
            await self._finish_start(name, target, future)

    async def _finish_start(self, name: str, target: str, future: Any) -> None:
        try:
            await asyncio.wrap_future(future)
        except Exception as error:
            log.debug("Connector %s did not start: %s", name, error)
            return
        if target == cs.STARTED:
            await self._reconfigure(name)

    async def _reconfigure(self, name: str) -> None:
        """Asks the connector for its tasks, and publishes them if they differ from what is known. Tries again
        until it succeeds, or the connector runs here no more."""
        delay = _RETRY_FIRST_S
        while not self._stopping and name in self._running_connectors and self.worker.is_running(name):
            try:
                configs = await asyncio.wrap_future(
                    await run_blocking(self.worker.connector_task_configs, name)
                )
                await self._publish(name, configs)
                return
            except asyncio.CancelledError:
                raise
            except Exception as error:
                thread = self.worker.connectors.get(name)
                if not isinstance(error, RestError | NotHereError) and thread is not None:
                    # The plug-in could not say what its tasks are.
                    thread.fail(error)
                    log.exception("Connector %s could not be asked for its tasks", name)
                    return
                log.info("Tasks of connector %s are not published yet: %s", name, error)
            await asyncio.sleep(delay)
            delay = min(delay * 2, _RETRY_MAX_S)

    async def _publish(self, name: str, configs: list[dict[str, str]]) -> None:
        state = self.config_store.snapshot()
        if name not in state.connectors or state.target_state(name) == cs.STOPPED:
            return
        raw = _restore_references(state.connectors[name], configs)
        if not cs.tasks_changed(state, name, raw):
            return
        if self.membership.is_leader:
            async with self._lock:
                await self._store(self.config_store.put_tasks, name, raw)
        else:
            url = self.membership.leader_url
            if url is None or self.publish_tasks is None:
                raise NotHereError("The leader is not known", None)
            await self.publish_tasks(url, name, raw)

    def request_reconfiguration(self, name: str) -> None:
        """Called by a connector's thread."""
        self._loop.call_soon_threadsafe(lambda: self._spawn(self._reconfigure(name)))

    async def _start_task(self, task: TaskId, state: ConfigState) -> None:
        self._running_tasks[task] = state.task_revisions.get(task.connector, 0)
        self._targets.setdefault(task.connector, state.target_state(task.connector))
        config = state.connectors[task.connector]
        prepare = None
        if self.config.exactly_once_source and self._is_source(config):
            prepare = self._preparation(task.connector, state.task_revisions.get(task.connector, 0))
        await run_blocking(
            self.worker.start_task,
            task,
            config,
            state.task_configs[task],
            state.target_state(task.connector),
            prepare,
            _too_many_tasks(task.connector, config, state.task_counts.get(task.connector, 0)),
        )

    def _is_source(self, config: Mapping[str, str]) -> bool:
        try:
            cls = self.plugins.connector_class(config.get(cc.CONNECTOR_CLASS, ""))
        except ConnectError:
            return False
        return issubclass(cls, SourceConnector)

    def _preparation(self, name: str, revision: int) -> Callable[[], None]:
        """Before a transactional task begins: older tasks are fenced off, by the leader."""

        def prepare() -> None:
            done = asyncio.run_coroutine_threadsafe(self._ensure_fenced(name, revision), self._loop)
            done.result()

        return prepare

    async def _ensure_fenced(self, name: str, revision: int) -> None:
        delay = _RETRY_FIRST_S
        while True:
            try:
                await self._fence_once(name)
                break
            except (RestError, NotHereError) as error:
                if isinstance(error, RestError) and error.status == 404:
                    raise
                log.info("Older tasks of %s are not fenced off yet: %s", name, error)
            await asyncio.sleep(delay)
            delay = min(delay * 2, 5.0)
        await run_blocking(self.config_store.refresh, _READ_TIMEOUT_S)
        state = self.config_store.snapshot()
        if state.task_revisions.get(name, 0) != revision:
            raise ConnectError(
                f"Tasks of connector {name} have changed since this one was assigned, it gives way"
            )

    async def _fence_once(self, name: str) -> None:
        if name not in self.config_store.snapshot().pending_fencing:
            return
        if self.membership.is_leader:
            await self.fence_zombies(name)
            return
        url = self.membership.leader_url
        if url is None or self.request_fencing is None:
            raise NotHereError("The leader is not known", None)
        await self.request_fencing(url, name)

    async def check_alive(self) -> None:
        """Returns when nothing holds the herder up."""
        async with self._lock:
            pass

    # Requests.

    async def _require_settled(self) -> None:
        """Waits for a rebalance to end, as long as the client waits (and some at most)."""
        self.stage = "waiting for a rebalance to complete"
        try:
            await asyncio.wait_for(self.membership.settled(), _REBALANCE_WAIT_S)
        except TimeoutError:
            raise RestError(409, "Request cannot be completed because a rebalance is expected") from None
        finally:
            self.stage = "idle"

    async def _require_leader(self) -> None:
        await self._require_settled()
        if not self.membership.is_leader:
            raise NotHereError("Only the leader can do this request.", self.membership.leader_url)

    async def _store(self, write: Callable[..., None], *args: Any) -> None:
        """A write to the config topic, read back."""
        self.stage = "writing to the config topic"
        try:
            await run_blocking(write, *args)
        except ConnectError as error:
            raise RestError(500, str(error)) from error
        finally:
            self.stage = "idle"

    def _state_of(self, name: str, message: str = "Connector {} not found") -> ConfigState:
        state = self.config_store.snapshot()
        if name not in state.connectors:
            raise RestError(404, message.format(name))
        return state

    def connector_type(self, config: Mapping[str, str] | None) -> str:
        try:
            cls = self.plugins.connector_class((config or {}).get(cc.CONNECTOR_CLASS) or "")
        except PluginNotFoundError:
            return "unknown"
        return "source" if issubclass(cls, SourceConnector) else "sink"

    def connectors(self) -> list[str]:
        return list(self.config_store.snapshot().connectors)

    def connector_info(self, name: str) -> dict[str, Any]:
        state = self._state_of(name)
        return self._info(name, state.connectors[name], state)

    def _info(self, name: str, config: Mapping[str, str], state: ConfigState) -> dict[str, Any]:
        return {
            "name": name,
            "config": dict(config),
            "tasks": [{"connector": task.connector, "task": task.task} for task in state.tasks(name)],
            "type": self.connector_type(config),
        }

    def connector_config(self, name: str) -> dict[str, str]:
        return dict(self._state_of(name).connectors[name])

    def task_configs(self, name: str) -> list[dict[str, Any]]:
        state = self._state_of(name)
        return [
            {"id": {"connector": task.connector, "task": task.task}, "config": state.task_configs[task]}
            for task in state.tasks(name)
        ]

    def connector_status(self, name: str) -> dict[str, Any]:
        state = self.config_store.snapshot()
        status = self.status.connector(name)
        if status is None or name not in state.connectors:
            raise RestError(404, f"No status found for connector {name}")
        return {
            "name": name,
            "connector": _status_json(status),
            "tasks": [
                {"id": task.task, **_status_json(found)} for task, found in self.status.tasks(name).items()
            ],
            "type": self.connector_type(state.connectors[name]),
        }

    def task_status(self, name: str, number: int) -> dict[str, Any]:
        status = self.status.task(TaskId(name, number))
        if status is None:
            raise RestError(404, f"No status found for task {name}-{number}")
        return {"id": number, **_status_json(status)}

    async def validate(self, props: dict[str, str]) -> cc.ConfigInfos:
        """RestError 400 when there is no connector to ask."""
        transformed = await run_blocking(self.worker.transformer.transform, props)
        context = cc.ValidationContext(
            self.plugins,
            {key: value for key, value in self.config.strings.items() if value is not None}
            | {"header.converter": self.config["header.converter"]},
            self.worker.policy,
            self.config.exactly_once_source,
            self.config.distributed,
            self.config["group.id"] if self.config.distributed else None,
        )
        try:
            return await run_blocking(cc.validate_connector, transformed, context)
        except cc.BadConfigError as error:
            raise RestError(400, str(error)) from error

    async def _require_valid(self, props: dict[str, str]) -> None:
        self.stage = "validating a connector's configuration"
        infos = await self.validate(props)
        if infos.error_count:
            errors = "".join(f"\n{message}" for message in infos.errors())
            raise RestError(
                400,
                f"Connector configuration is invalid and contains the following {infos.error_count} "
                f"error(s):{errors}\nYou can also find the above list of errors at the endpoint "
                "`/connector-plugins/{connectorType}/config/validate`",
            )

    async def put_connector(
        self, name: str, config: dict[str, str], initial_state: str | None, replace: bool
    ) -> tuple[bool, dict[str, Any]]:
        """(created, info)."""
        await self._require_valid(config)
        await self._require_leader()
        async with self._lock:
            await self._require_leader()
            state = self.config_store.snapshot()
            exists = name in state.connectors
            if exists and not replace:
                raise RestError(409, f"Connector {name} already exists")
            await self._store(self.config_store.put_connector, name, config, initial_state)
        if not self.config.distributed:
            await self.reconcile()
            state = self.config_store.snapshot()
        return not exists, self._info(name, config, state)

    async def patch_config(self, name: str, patch: Mapping[str, str | None]) -> dict[str, Any]:
        await self._require_leader()
        state = self._state_of(name)
        config = dict(state.connectors[name])
        for key, value in patch.items():
            if value is None:
                config.pop(key, None)
            else:
                config[key] = value
        await self._require_valid(config)
        async with self._lock:
            await self._require_leader()
            state = self._state_of(name)
            await self._store(self.config_store.put_connector, name, config, None)
        if not self.config.distributed:
            await self.reconcile()
            state = self.config_store.snapshot()
        return self._info(name, config, state)

    async def delete_connector(self, name: str) -> None:
        async with self._lock:
            await self._require_leader()
            self._state_of(name)
            await self._store(self.config_store.remove_connector, name)
        if not self.config.distributed:
            await self.reconcile()

    async def set_target_state(self, name: str, target: str) -> None:
        self._state_of(name, "Unknown connector {}")
        async with self._lock:
            await self._store(self.config_store.put_target_state, name, target)
        if not self.config.distributed:
            await self.reconcile()

    async def stop_connector(self, name: str) -> None:
        async with self._lock:
            await self._require_leader()
            message = "Unknown connector {}"
            if not self.config.distributed and name not in self.config_store.snapshot().connectors:
                raise RestError(500, message.format(name))
            self._state_of(name, message)
            # Tasks first: they must not come back when the leader changes in between.
            await self._store(self.config_store.put_tasks, name, [])
            await self._store(self.config_store.put_target_state, name, cs.STOPPED)
        if not self.config.distributed:
            await self.reconcile()

    async def restart_connector(self, name: str) -> None:
        """The plain restart, of the connector alone, by the worker that runs it."""
        await self._require_settled()
        state = self.config_store.snapshot()
        if name not in state.connectors:
            raise RestError(404 if self.config.distributed else 500, f"Unknown connector: {name}")
        assigned = self.membership.assigned(state)
        if assigned is None or name not in assigned.connectors:
            raise NotHereError(
                "Cannot restart connector since it is not assigned to this worker",
                self.membership.owner_of_connector(name),
            )
        await self._restart_connector_here(name, state)

    async def _restart_connector_here(self, name: str, state: ConfigState) -> None:
        async with self._reconciling:
            self._require_not_stopping()
            await run_blocking(self.worker.stop_connectors, [name])
            await self._start_connector(name, state)

    async def restart_task(self, name: str, number: int) -> None:
        await self._require_settled()
        task = TaskId(name, number)
        state = self.config_store.snapshot()
        if name not in state.connectors:
            raise RestError(404 if self.config.distributed else 500, f"Unknown connector: {name}")
        if task not in state.tasks(name):
            if not self.config.distributed:
                raise RestError(404, f"Task {task} not found")
            raise RestError(404, f"Unknown task: {task}")
        assigned = self.membership.assigned(state)
        if assigned is None or task not in assigned.tasks:
            raise NotHereError(
                "Cannot restart task since it is not assigned to this worker",
                self.membership.owner_of_task(task),
            )
        async with self._reconciling:
            self._require_not_stopping()
            await run_blocking(self.worker.stop_tasks, [task])
            await self._start_task(task, state)

    async def restart_connector_and_tasks(
        self, name: str, include_tasks: bool, only_failed: bool
    ) -> dict[str, Any]:
        """Asks all workers, by the config topic, to restart what they run of it. The status that is answered
        shows what will be restarted."""
        async with self._lock:
            await self._require_leader()
            self._state_of(name, "Unknown connector: {}")
            shown = self.connector_status(name)
            status = self.status.connector(name)
            assert status is not None
            plan = restart_plan(include_tasks, only_failed, status, self.status.tasks(name))
            if plan.connector:
                shown["connector"]["state"] = states.RESTARTING
            for row in shown["tasks"]:
                if TaskId(name, row["id"]) in plan.tasks:
                    row["state"] = states.RESTARTING
            await self._store(self.config_store.put_restart, name, include_tasks, only_failed)
        return shown

    async def _restart_here(self, event: cs.RestartRequested) -> None:
        state = self.config_store.snapshot()
        status = self.status.connector(event.name)
        if event.name not in state.connectors or status is None:
            return
        plan = restart_plan(event.include_tasks, event.only_failed, status, self.status.tasks(event.name))
        assigned = self.membership.assigned(state) or Assigned((), ())
        connector = plan.connector and event.name in assigned.connectors
        tasks = [task for task in plan.tasks if task in assigned.tasks and task in state.tasks(event.name)]
        if not connector and not tasks:
            return
        async with self._reconciling:
            if self._stopping:
                return
            if tasks:
                await run_blocking(self.worker.stop_tasks, tasks)
            if connector:
                await run_blocking(self.worker.stop_connectors, [event.name])
            names = [event.name] if connector else []
            await run_blocking(self.worker.mark_restarting, names, tasks)
            state = self.config_store.snapshot()
            if connector:
                await self._start_connector(event.name, state)
            await asyncio.gather(*(self._start_task(task, state) for task in tasks))

    # Offsets.

    async def connector_offsets(self, name: str) -> dict[str, Any]:
        config = self._state_of(name).connectors[name]
        found = await run_blocking(self.worker.connector_offsets, name, config)
        return {"offsets": found}

    async def alter_offsets(self, name: str, offsets: list[tuple[Any, Any]] | None) -> str:
        """The message of success. None resets all."""
        await self._require_settled()
        state = self._state_of(name)
        async with self._lock:
            await self._require_leader()
            await run_blocking(self.config_store.refresh, _READ_TIMEOUT_S)
            state = self._state_of(name)
            what = "reset" if offsets is None else "altered"
            verb = "reset" if offsets is None else "modified"
            if state.target_state(name) != cs.STOPPED or state.task_counts.get(name, 0) != 0:
                raise RestError(
                    400,
                    "Connectors must be in the STOPPED state before their offsets can be "
                    f"{verb} externally. This can be done for the specified connector by issuing a 'PUT' "
                    f"request to the '/connectors/{name}/stop' endpoint",
                )
            config = state.connectors[name]
            self.stage = "altering offsets"
            try:
                agreed = await self._alter(name, config, offsets)
            finally:
                self.stage = "idle"
        if agreed:
            return f"The offsets for this connector have been {what} successfully"
        return (
            f"The Connect framework-managed offsets for this connector have been {what} successfully. "
            "However, if this connector manages offsets externally, they will need to be manually "
            f"{what} in the system that the connector uses."
        )

    async def _alter(
        self, name: str, config: Mapping[str, str], offsets: list[tuple[Any, Any]] | None
    ) -> bool:
        try:
            cls = self.plugins.connector_class(config.get(cc.CONNECTOR_CLASS) or "")
        except PluginNotFoundError as error:
            raise RestError(500, str(error)) from error
        try:
            if issubclass(cls, SinkConnector):
                wanted = parse_sink_offsets(offsets) if offsets is not None else None
                return await run_blocking(self.worker.alter_sink_offsets, name, config, wanted)
            if self.config.exactly_once_source:
                await self._fence_all(name)
            return await run_blocking(self.worker.alter_source_offsets, name, config, offsets)
        except ConnectError as error:
            if isinstance(error, RestError):
                raise
            raise RestError(500, str(error)) from error

    # Zombies.

    async def fence_zombies(self, name: str) -> None:
        """Only the leader: no older task of this connector can commit a transaction after this."""
        async with self._lock:
            await self._require_leader()
            await run_blocking(self.config_store.refresh, _READ_TIMEOUT_S)
            self._state_of(name)
            state = self.config_store.snapshot()
            if name not in state.pending_fencing:
                return
            await self._fence_all(name)
            await self._store(self.config_store.put_fencing, name, state.task_counts.get(name, 0))

    async def _fence_all(self, name: str) -> None:
        state = self.config_store.snapshot()
        count = state.fenced_task_counts.get(name)
        if count is None:
            count = state.task_counts.get(name, 0)
        if self.fence_producers is None:
            return
        group = self.config["group.id"]
        ids = [f"{group}-{name}-{n}" for n in range(count)]
        if ids:
            await self.fence_producers(ids)

    async def put_task_configs(self, name: str, configs: list[dict[str, str]]) -> None:
        """From a follower that runs the connector."""
        async with self._lock:
            await self._require_leader()
            self._state_of(name)
            await self._store(self.config_store.put_tasks, name, configs)

    # Topics.

    def active_topics(self, name: str) -> dict[str, Any]:
        if not self.config["topic.tracking.enable"]:
            raise RestError(403, "Topic tracking is disabled.")
        return {name: {"topics": list(self.status.topics(name))}}

    async def reset_topics(self, name: str) -> None:
        if not self.config["topic.tracking.enable"]:
            raise RestError(403, "Topic tracking is disabled.")
        if not self.config["topic.tracking.allow.reset"]:
            raise RestError(403, "Topic tracking reset is disabled.")
        self.worker.topics_were_reset(name)
        await run_blocking(self._forget_topics, name)

    def _forget_topics(self, name: str) -> None:
        for topic in self.status.topics(name):
            self.status.remove_topic(name, topic)

    async def set_cluster_log_level(self, namespace: str, level: str) -> None:
        async with self._lock:
            await self._store(self.config_store.put_logger_level, namespace, level)


def _status_json(status: Status) -> dict[str, Any]:
    shown: dict[str, Any] = {"state": status.state, "worker_id": status.worker_id, "version": status.version}
    if status.trace:
        shown["trace"] = status.trace
    return shown


def _restore_references(raw: Mapping[str, str], configs: list[dict[str, str]]) -> list[dict[str, str]]:
    """Task configurations go to the topic with references instead of secrets, where the connector's own
    configuration has references (CVE-2019-12399)."""
    references = {key: value for key, value in raw.items() if isinstance(value, str) and "${" in value}
    if not references:
        return configs
    return [{key: references.get(key, value) for key, value in config.items()} for config in configs]


def _too_many_tasks(name: str, config: Mapping[str, str], count: int) -> str | None:
    try:
        allowed = int(config.get(cc.TASKS_MAX) or 1)
    except ValueError:
        return None
    if count <= allowed or str(config.get("tasks.max.enforce", "true")).lower() == "false":
        return None
    return (
        f"The connector {name} has generated {count} tasks, which is greater than {allowed}, the maximum "
        "number of tasks it is configured to create."
    )


def parse_sink_offsets(offsets: list[tuple[Any, Any]]) -> dict[SinkPartition, int | None]:
    """RestError 400 for what is no Kafka partition and offset."""
    result: dict[SinkPartition, int | None] = {}
    for partition, offset in offsets:
        if not isinstance(partition, Mapping):
            raise RestError(400, "The partition for a sink connector offset cannot be null or missing")
        for key in ("kafka_topic", "kafka_partition"):
            if partition.get(key) is None:
                raise RestError(
                    400,
                    f"The partition for a sink connector offset must contain the keys 'kafka_topic' and "
                    f"'kafka_partition', but {key} is missing",
                )
        number = _integer(partition["kafka_partition"])
        if number is None:
            raise RestError(
                400,
                f"Failed to parse the following Kafka partition value in the provided offsets: "
                f"'{partition['kafka_partition']}'. Partition values for sink connectors need to be "
                "integers.",
            )
        value: int | None = None
        if offset is not None:
            if not isinstance(offset, Mapping) or offset.get("kafka_offset") is None:
                raise RestError(
                    400,
                    "The offset for a sink connector should either be null or contain the key 'kafka_offset'",
                )
            value = _integer(offset["kafka_offset"])
            if value is None:
                raise RestError(
                    400,
                    f"Failed to parse the following Kafka offset value in the provided offsets: "
                    f"'{offset['kafka_offset']}'. Offset values for sink connectors need to be integers.",
                )
        result[SinkPartition(str(partition["kafka_topic"]), number)] = value
    return result


def _integer(value: Any) -> int | None:
    try:
        number = int(str(value))
    except ValueError:
        return None
    return number if -(1 << 63) <= number < 1 << 63 else None

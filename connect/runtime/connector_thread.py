"""A running connector: its plug-in lives in one thread, which follows the target state.

In: a configuration and target states. Out: states, told to a listener, and task configurations. What must
hold: whatever the plug-in does, however long it blocks, the caller only waits for futures.
"""

from __future__ import annotations

import logging
import queue
import threading
from collections.abc import Callable
from concurrent.futures import Future
from typing import Any, Protocol, TypeVar

from connect.api.connector import Connector
from connect.api.errors import ConnectError
from connect.core import config_state
from connect.core.java import as_hash_map
from connect.core.registry import class_name
from connect.runtime.source_task import StoredOffsets

log = logging.getLogger(__name__)

Result = TypeVar("Result")


class SingleThread:
    """Runs functions one after the other in a daemon thread; a blocked one never keeps the process alive."""

    def __init__(self, name: str) -> None:
        self._jobs: queue.SimpleQueue[tuple[Callable[[], Any], Future[Any]] | None] = queue.SimpleQueue()
        self._thread = threading.Thread(target=self._run, name=name, daemon=True)
        self._thread.start()

    def submit(self, job: Callable[[], Result]) -> Future[Result]:
        future: Future[Result] = Future()
        self._jobs.put((job, future))
        return future

    def _run(self) -> None:
        while True:
            item = self._jobs.get()
            if item is None:
                return
            job, future = item
            if not future.set_running_or_notify_cancel():
                continue
            try:
                future.set_result(job())
            except BaseException as error:
                future.set_exception(error)

    def close(self) -> None:
        """Ends the thread after what was submitted before."""
        self._jobs.put(None)


class ConnectorListener(Protocol):
    """Told by the connector's thread."""

    def on_connector_state(self, name: str, state: str, error: BaseException | None) -> None: ...


class ConnectorContextImpl:
    """The `ConnectorContext` of a running connector."""

    def __init__(
        self,
        owner: ConnectorThread,
        reconfigure: Callable[[str], None],
        offsets: StoredOffsets | None,
    ) -> None:
        self._owner = owner
        self._reconfigure = reconfigure
        self._offsets = offsets

    def request_task_reconfiguration(self) -> None:
        if not self._owner.cancelled:
            self._reconfigure(self._owner.name)

    def raise_error(self, error: BaseException) -> None:
        self._owner.fail(error)

    def offset_storage_reader(self) -> StoredOffsets:
        if self._offsets is None:
            raise ConnectError("Only source connectors have stored offsets")
        return self._offsets


class ConnectorThread:
    def __init__(
        self,
        name: str,
        connector: Connector,
        config: dict[str, str],
        listener: ConnectorListener,
        reconfigure: Callable[[str], None],
        offsets: StoredOffsets | None,
    ) -> None:
        self.name = name
        self.connector = connector
        self.config = config
        self.version = str(connector.version)
        self.cancelled = False
        self.failed = False
        self._running = False
        self._initialized = False
        self._listener = listener
        self._speaking = threading.Lock()
        self._context = ConnectorContextImpl(self, reconfigure, offsets)
        self._thread = SingleThread(f"connector-thread-{name}")

    @property
    def running(self) -> bool:
        return self._running

    def transition_to(self, target: str) -> Future[None]:
        """Starts or stops the plug-in as the target state asks; the future fails when that fails."""
        return self._thread.submit(lambda: self._transition(target))

    def _transition(self, target: str) -> None:
        if self.cancelled:
            return
        try:
            if not self._initialized:
                self.connector.initialize(self._context)
                self._initialized = True
            if target == config_state.STARTED:
                if not self._running:
                    self.connector.start(dict(self.config))
                    self._running = True
                self.failed = False
                self._tell("RUNNING", None)
            else:
                if self._running:
                    self._running = False
                    self.connector.stop()
                if not self.failed or target == config_state.STOPPED:
                    self._tell("STOPPED" if target == config_state.STOPPED else "PAUSED", None)
        except BaseException as error:
            self.fail(error)
            raise

    def task_configs(self, max_tasks: int, enforce: bool) -> Future[list[dict[str, str]]]:
        return self._thread.submit(lambda: self._task_configs(max_tasks, enforce))

    def _task_configs(self, max_tasks: int, enforce: bool) -> list[dict[str, str]]:
        configs = self.connector.task_configs(max_tasks)
        if len(configs) > max_tasks:
            message = (
                f"The connector {self.name} has generated {len(configs)} tasks, which is greater than "
                f"{max_tasks}, the maximum number of tasks it is configured to create. "
            )
            if enforce:
                raise ConnectError(
                    message + "This behaviour should be considered a bug and is disallowed. If necessary, it "
                    "can be permitted by reconfiguring the connector with 'tasks.max.enforce' set to false; "
                    "however, this option will be removed in a future release of Kafka Connect."
                )
            log.warning("%s", message)
        task_class = class_name(self.connector.task_class())
        result = []
        for config in configs:
            complete = {**config, "task.class": task_class}
            for key in ("topics", "topics.regex"):
                if key in self.config:
                    complete[key] = self.config[key]
            result.append(as_hash_map(complete))
        return result

    def call(self, what: Callable[[Connector], Result]) -> Future[Result]:
        return self._thread.submit(lambda: what(self.connector))

    def fail(self, error: BaseException) -> None:
        if self.cancelled:
            return
        self.failed = True
        self._tell("FAILED", error)

    def _tell(self, state: str, error: BaseException | None) -> None:
        with self._speaking:
            if not self.cancelled:
                self._listener.on_connector_state(self.name, state, error)

    def shutdown(self) -> Future[None]:
        """Stops the plug-in and ends the thread."""
        future = self._thread.submit(self._shutdown)
        self._thread.close()
        return future

    def _shutdown(self) -> None:
        if self._running:
            self._running = False
            try:
                self.connector.stop()
            except Exception:
                log.exception("Connector %s did not stop cleanly", self.name)
        self._tell("UNASSIGNED", None)

    def cancel(self) -> None:
        """Gives up on a plug-in that blocks. When this returns it says nothing any more."""
        with self._speaking:
            self.cancelled = True

"""Tasks, each in a thread of its own: what source and sink tasks have in common.

In: a plug-in's task, its configuration, and a target state that may change. Out: states, told to a
listener; what a task moves goes through Kafka clients. What must hold: all methods of a task but `stop` of
a source task run in its thread; a task that raises anything ends FAILED and takes nothing else with it; a
task that does not stop in time is cancelled, and whatever it still does is told to nobody.
"""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Callable
from random import Random
from typing import Any, Final, Protocol

from connect.core import config_state
from connect.core.config_state import TaskId
from connect.core.error_policy import (
    ErrorHandler,
    ErrorPolicy,
    ProcessingContext,
    exception_class_name,
)
from connect.core.metrics import TaskMetrics

log = logging.getLogger(__name__)


def now_ms() -> int:
    return int(time.time() * 1000)


def monotonic_ms() -> int:
    return int(time.monotonic() * 1000)


class TaskListener(Protocol):
    """Told by the task's thread."""

    def on_startup(self, task: TaskId) -> None: ...

    def on_pause(self, task: TaskId) -> None: ...

    def on_resume(self, task: TaskId) -> None: ...

    def on_shutdown(self, task: TaskId) -> None: ...

    def on_failure(self, task: TaskId, error: BaseException) -> None: ...


class WorkerTask(threading.Thread):
    """`start` runs the task until `request_stop`, an error, or `cancel`."""

    is_source: bool

    def __init__(
        self,
        task_id: TaskId,
        version: str,
        class_name: str,
        policy: ErrorPolicy,
        target_state: str,
        listener: TaskListener,
    ) -> None:
        super().__init__(name=f"task-thread-{task_id}", daemon=True)
        self.id = task_id
        self.version = version
        self.class_name = class_name
        self.metrics = TaskMetrics()
        self.failed = False
        self.started_ok = False
        self.cancelled = False
        self.stopping = threading.Event()
        # Set when the thread should look up from whatever it waits for.
        self.attention = threading.Event()
        self.errors = ErrorHandler(policy, monotonic_ms, self._wait_ms, Random())
        self._listener = listener
        self._speaking = threading.Lock()
        self._target_state = target_state
        self._state_changed = threading.Condition()
        self._state_since = monotonic_ms()

    # Called by the worker.

    def request_stop(self) -> None:
        self.stopping.set()
        self.attention.set()
        with self._state_changed:
            self._state_changed.notify_all()

    def transition_to(self, state: str) -> None:
        with self._state_changed:
            self._target_state = state
            self._state_changed.notify_all()
        self.attention.set()

    def await_stop(self, timeout_s: float) -> bool:
        if self.ident is not None:
            self.join(max(0.0, timeout_s))
        return not self.is_alive()

    def cancel(self) -> None:
        """Gives up on a task that does not stop: nothing that it does counts any more. When this returns it
        says nothing any more, either: another worker may have begun to speak of the same task."""
        with self._speaking:
            self.cancelled = True

    # The task's own thread.

    def run(self) -> None:
        try:
            try:
                self._run_task()
            finally:
                self._close_quietly()
        except BaseException as error:
            self.failed = True
            if self.cancelled:
                log.warning("Task %s failed after it was cancelled: %s", self.id, error)
                return
            log.error("Task %s failed and will not go on until it is restarted", self.id, exc_info=error)
            failure = error
            self._tell(lambda: self._listener.on_failure(self.id, failure))
        else:
            self._tell(lambda: self._listener.on_shutdown(self.id))

    def _tell(self, what: Callable[[], None]) -> None:
        with self._speaking:
            if self.cancelled:
                return
            try:
                what()
            except Exception:
                log.exception("The state of task %s could not be recorded", self.id)

    def _run_task(self) -> None:
        if self.stopping.is_set():
            return
        if self.should_pause():
            self._tell(lambda: self._listener.on_pause(self.id))
            if not self.await_unpause():
                return
        self.initialize_and_start()
        self.started_ok = True
        self._tell(lambda: self._listener.on_startup(self.id))
        self._state_since = monotonic_ms()
        self.execute()

    def initialize_and_start(self) -> None:
        raise NotImplementedError

    def execute(self) -> None:
        raise NotImplementedError

    def close(self) -> None:
        raise NotImplementedError

    def _close_quietly(self) -> None:
        try:
            self.close()
        except Exception:
            log.exception("Task %s did not close cleanly", self.id)

    def should_pause(self) -> bool:
        return self._target_state != config_state.STARTED

    def await_unpause(self) -> bool:
        """False when the task is to stop instead."""
        with self._state_changed:
            while self.should_pause() and not self.stopping.is_set():
                self._state_changed.wait()
        return not self.stopping.is_set()

    def on_pause(self) -> None:
        now = monotonic_ms()
        self.metrics.running_ms += now - self._state_since
        self._state_since = now
        self._tell(lambda: self._listener.on_pause(self.id))

    def on_resume(self) -> None:
        now = monotonic_ms()
        self.metrics.paused_ms += now - self._state_since
        self._state_since = now
        self._tell(lambda: self._listener.on_resume(self.id))

    def _wait_ms(self, delay_ms: int) -> bool:
        return self.stopping.wait(delay_ms / 1000)

    def log_error(self, context: ProcessingContext) -> None:
        """The reporter that errors.log.enable switches on."""
        text = (
            f"Error encountered in task {self.id}. Executing stage '{context.stage}' with class "
            f"'{context.class_name}'"
        )
        if self.errors.policy.log_include_messages:
            text += f", where the record is {_describe(context.original)}"
        error = context.error
        if error is not None:
            text += f": {exception_class_name(error)}: {error}"
        self.errors.metrics.errors_logged += 1
        log.error("%s", text)


_SHOWN: Final = 1000


def _describe(record: Any) -> str:
    text = repr(record)
    return text if len(text) <= _SHOWN else text[:_SHOWN] + f"... ({len(text)} characters)"

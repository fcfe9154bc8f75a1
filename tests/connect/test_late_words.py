"""What overruns its stop limit says nothing any more: its successor on another worker already speaks."""

from __future__ import annotations

import threading
from collections.abc import Callable
from typing import Any

import pytest

from connect.api.config_def import ConfigDef
from connect.api.connector import Connector
from connect.api.source import SourceConnector, SourceTask
from connect.core.config_state import STARTED, TaskId
from connect.core.error_policy import ErrorPolicy
from connect.core.policies import ConfigTransformer
from connect.core.registry import PluginRegistry
from connect.core.status import Status
from connect.core.worker_config import WorkerConfig
from connect.runtime.connector_thread import ConnectorThread
from connect.runtime.stores import OffsetStore, StatusStore
from connect.runtime.tasks import WorkerTask
from connect.runtime.worker import Worker

TASK = TaskId("x", 0)


class Said:
    """A listener that notes what it is told."""

    def __init__(self) -> None:
        self.words: list[str] = []

    def __getattr__(self, name: str) -> Callable[..., None]:
        return lambda *_: self.words.append(name)


class Gated(WorkerTask):
    """Blocks in one of its methods until the test lets it go on."""

    is_source = True

    def __init__(self, where: str, fails: bool, said: Said) -> None:
        super().__init__(TASK, "1", "X", ErrorPolicy(), STARTED, said)
        self.where, self.fails = where, fails
        self.inside, self.gate = threading.Event(), threading.Event()

    def _pass(self, where: str) -> None:
        if where == self.where:
            self.inside.set()
            assert self.gate.wait(20)
            if self.fails:
                raise ValueError("late")

    def initialize_and_start(self) -> None:
        self._pass("start")

    def execute(self) -> None:
        self._pass("execute")

    def close(self) -> None:
        self._pass("close")


@pytest.mark.parametrize("fails", [False, True])
@pytest.mark.parametrize("where", ["start", "execute", "close"])
def test_a_task_that_is_given_up_says_nothing(where: str, fails: bool) -> None:
    said = Said()
    task = Gated(where, fails, said)
    task.start()
    assert task.inside.wait(20)
    task.request_stop()
    assert not task.await_stop(0.05)
    task.cancel()
    before = list(said.words)
    task.gate.set()
    task.join(20)
    assert not task.is_alive()
    assert said.words == before
    assert set(before) <= {"on_startup"}


class Slow(SourceConnector):
    """Blocks in `stop`."""

    version = "1"
    inside = threading.Event()
    gate = threading.Event()

    def start(self, props: dict[str, str]) -> None: ...

    def task_class(self) -> type[SourceTask]:
        return SourceTask

    def task_configs(self, max_tasks: int) -> list[dict[str, str]]:
        return []

    def stop(self) -> None:
        self.inside.set()
        assert self.gate.wait(20)

    def config_def(self) -> ConfigDef:
        return ConfigDef()


def test_a_connector_that_is_given_up_says_nothing() -> None:
    said = Said()
    connector: Connector = Slow()
    thread = ConnectorThread("x", connector, {}, said, lambda name: None, None)
    thread.transition_to(STARTED).result(20)
    ended = thread.shutdown()
    assert Slow.inside.wait(20)
    thread.cancel()
    Slow.gate.set()
    ended.result(20)
    assert said.words == ["on_connector_state"]  # RUNNING.


def test_a_worker_that_has_ended_starts_and_says_nothing() -> None:
    config = WorkerConfig(
        {
            "bootstrap.servers": "127.0.0.1:1", "offset.storage.file.filename": "/dev/null",
            "key.converter": "StringConverter", "value.converter": "StringConverter",
        },
        distributed=False,
    )  # fmt: skip
    status = StatusStore()
    current: dict[str, Any] = {}
    worker = Worker(
        config, "here", PluginRegistry(), ConfigTransformer({}), status, OffsetStore(), lambda: 7,
        lambda task: current, lambda name: None,
    )  # fmt: skip
    worker.stop()
    # A call that the end did not wait for: it fails, and another worker has the task by now.
    status.put_task(TASK, Status("RUNNING", "there", 8))
    status.put_connector("x", Status("RUNNING", "there", 8))
    assert not worker.start_task(TASK, {"connector.class": "Nothing"}, {}, STARTED)
    assert worker.start_connector("x", {"connector.class": "Nothing"}, STARTED).exception(20) is not None
    worker.on_startup(TASK)
    worker.on_connector_state("x", "RUNNING", None)
    assert status.task(TASK) == Status("RUNNING", "there", 8)
    assert status.connector("x") == Status("RUNNING", "there", 8)
    assert worker.tasks == {}

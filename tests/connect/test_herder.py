"""The herder and its membership on an event loop of the test: a fake worker says when its calls end."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Iterable, Mapping
from concurrent.futures import Future
from typing import Any, cast

import pytest

from connect.core import protocol
from connect.core.config_state import TaskId
from connect.core.metrics import WorkerMetrics
from connect.core.protocol import Assignment
from connect.core.registry import PluginRegistry
from connect.core.worker_config import WorkerConfig
from connect.runtime.group import GroupMembership
from connect.runtime.herder import Herder
from connect.runtime.membership import Alone, Assigned
from connect.runtime.stores import ConfigStore, StatusStore
from connect.runtime.worker import Worker

CONFIG = {
    "bootstrap.servers": "127.0.0.1:1",
    "group.id": "g",
    "config.storage.topic": "c",
    "offset.storage.topic": "o",
    "status.storage.topic": "s",
    "key.converter": "org.apache.kafka.connect.storage.StringConverter",
    "value.converter": "org.apache.kafka.connect.storage.StringConverter",
}
TASK = TaskId("x", 0)


class FakeWorker:
    """Calls are noted when they end; `gate` holds up those that stop or start tasks."""

    def __init__(self) -> None:
        self.calls: list[str] = []
        self.gate = threading.Event()
        self.gate.set()
        self.begun = threading.Event()

    def _call(self, name: str) -> None:
        self.begun.set()
        assert self.gate.wait(20)
        self.calls.append(name)

    def start_connector(self, name: str, raw: Mapping[str, str], target: str) -> Future[None]:
        failed: Future[None] = Future()
        failed.set_exception(ValueError("Nobody is to ask for its tasks"))
        return failed

    def start_task(self, task: TaskId, *_: Any) -> bool:
        self._call("start")
        return True

    def stop_tasks(self, tasks: Iterable[TaskId]) -> None:
        self._call("stop")

    def stop_connectors(self, names: Iterable[str]) -> None: ...

    def stop(self) -> None:
        self.calls.append("end")


def worker_config() -> WorkerConfig:
    return WorkerConfig(CONFIG, distributed=True)


async def until(event: threading.Event) -> None:
    assert await asyncio.to_thread(event.wait, 20)


@pytest.mark.parametrize("held_up", ["start", "stop"])
def test_the_end_waits_for_calls_under_way(held_up: str) -> None:
    """What a worker was stopping when it was told to end has said UNASSIGNED, and what it was starting is
    stopped, before it leaves its group."""

    async def run() -> list[str]:
        worker = FakeWorker()
        herder: Herder
        store = ConfigStore(lambda events: herder.on_events(events))
        herder = Herder(
            worker_config(),
            PluginRegistry(),
            store,
            StatusStore(),
            cast(Worker, worker),
            Alone("http://here"),
            lambda namespace, level: None,
        )
        store.put_connector("x", {"connector.class": "X"}, None)
        if held_up == "stop":
            store.put_tasks("x", [{}])
            await herder.reconcile()
            assert worker.calls == ["start"]
        worker.gate.clear()
        worker.begun.clear()
        store.put_tasks("x", [{"changed": "yes"}])
        herder.start()
        await until(worker.begun)
        stopping = asyncio.create_task(herder.stop())
        await asyncio.wait((stopping,), timeout=0.2)
        assert "end" not in worker.calls
        worker.gate.set()
        await stopping
        await herder.revoke(["x"], [TASK])  # A rebalance that comes late finds nothing to give up.
        return worker.calls

    calls = asyncio.run(run())
    assert calls[-1] == "end"
    assert held_up in calls[:-1]


@pytest.mark.parametrize("version", [protocol.EAGER, protocol.COMPATIBLE])
def test_what_is_given_up_is_not_assigned_any_more(version: int, monkeypatch: pytest.MonkeyPatch) -> None:
    """A reconciliation that comes right after the revocation must not start it again."""

    async def run() -> list[Assigned | None]:
        store = ConfigStore(lambda events: None)
        store.put_connector("x", {}, None)
        group = GroupMembership(worker_config(), "http://here", "me", store, WorkerMetrics())
        seen: list[Assigned | None] = []

        async def revoke(*_: Any) -> None:
            seen.append(group.assigned(store.snapshot()))

        async def join() -> None:
            return None

        group.revoke = revoke
        group._version = version
        group._assignment = Assignment("me", "http://here", -1, ("x", "y"), (TASK,))
        if version == protocol.EAGER:
            monkeypatch.setattr(group, "_send_join", join)
            await group._join()
        else:
            await group._take(
                Assignment("me", "http://here", -1, revoked_connectors=("x",), revoked_tasks=(TASK,))
            )
        return seen

    kept = () if version == protocol.EAGER else ("y",)
    assert asyncio.run(run()) == [Assigned(kept, ())]

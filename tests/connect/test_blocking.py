"""Plug-ins that never return: the REST API goes on, and says what a request waits for."""

from __future__ import annotations

import time
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.connect.workers import PythonWorker, Worker
from tests.processes import Server, wait_until

pytestmark = [pytest.mark.interop, pytest.mark.timeout(200)]

PLUGIN = """
import threading
from connect.api.config_def import ConfigDef, Type
from connect.api.sink import SinkConnector, SinkTask
from connect.api.source import SourceConnector, SourceTask

FOREVER = threading.Event()
CONFIG = ConfigDef().define("where", Type.STRING, "", doc="Where it blocks.")


class Common:
    version = "1"

    def start(self, props):
        self.props = props
        if props.get("where") == "start":
            FOREVER.wait()

    def task_configs(self, count):
        if self.props.get("where") == "tasks":
            FOREVER.wait()
        return [self.props]

    def stop(self):
        if self.props.get("where") == "stop":
            FOREVER.wait()

    def config_def(self):
        return CONFIG

    def validate(self, props):
        if props.get("where") == "validate":
            FOREVER.wait()
        return CONFIG.validate(props)


class BlockingSource(Common, SourceConnector):
    def task_class(self):
        return BlockingSourceTask


class BlockingSourceTask(SourceTask):
    version = "1"

    def start(self, props):
        if props.get("where") == "task.start":
            FOREVER.wait()
        self.where = props.get("where")

    def poll(self):
        FOREVER.wait(None if self.where == "poll" else 0.05)

    def stop(self):
        if self.where == "task.stop":
            FOREVER.wait()


PLUGINS = (BlockingSource,)
"""


def test_blocked_plugins_do_not_block_the_worker(
    start_worker: Callable[..., Worker], connect_broker: Server, tmp_path: Path
) -> None:
    folder = tmp_path / "plugins"
    folder.mkdir()
    (folder / "blocking_plugin.py").write_text(PLUGIN)
    worker = start_worker(PythonWorker, plugin__path=str(folder), task__shutdown__graceful__timeout__ms="500")
    rest = worker.rest
    for where in ("start", "tasks", "stop", "task.start", "poll"):
        answer = rest.create(f"b-{where}", {"connector.class": "BlockingSource", "where": where})
        assert answer.status == 201, where
    (tmp_path / "in.txt").write_text("x\n")
    good = {"connector.class": "FileStreamSource", "file": str(tmp_path / "in.txt"), "topic": "blocking"}
    assert rest.create("good", good).status == 201
    rest.await_states("good", "RUNNING", ["RUNNING"], 60)
    rest.await_states("b-poll", "RUNNING", ["RUNNING"], 60)
    assert rest.get("/health")["status"] == "healthy"
    begin = time.monotonic()
    assert rest.post("/connectors/good/restart").status == 204
    assert rest.put("/connectors/good/config", {**good, "batch.size": "5"}).status == 200
    rest.await_states("good", "RUNNING", ["RUNNING"], 30)
    assert time.monotonic() - begin < 20
    for where in ("start", "tasks", "stop", "task.start", "poll"):
        assert rest.delete(f"/connectors/b-{where}").status == 204
    wait_until(lambda: rest.get("/connectors") == ["good"], "only the good one to be left", 30, 0.1)
    # It still ends by itself when told to: the fixture stops it.

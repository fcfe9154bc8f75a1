"""The plug-in of docs/connect.md: it is taken from the page, put on plugin.path, and run."""

from __future__ import annotations

import re
import uuid
from collections.abc import Callable
from pathlib import Path

import pytest

from connect.api.data import Struct
from connect.api.source import SourceTask
from connect.core.registry import PluginRegistry
from connect.runtime.plugins import load_plugins
from tests.connect.workers import PythonWorker, Worker
from tests.processes import Server, wait_until

PAGE = Path(__file__).resolve().parents[2] / "docs" / "connect.md"


def example(folder: Path) -> str:
    """Writes the page's example as a module; its name is new, because imports are cached."""
    (code,) = re.findall(r"```python\n(.*?)```", PAGE.read_text(encoding="utf-8"), re.DOTALL)
    name = f"numbers_{uuid.uuid4().hex[:8]}"
    (folder / f"{name}.py").write_text(code)
    return name


def test_the_example_called_directly(tmp_path: Path) -> None:
    name = example(tmp_path)
    (tmp_path / "broken_plugin.py").write_text("raise RuntimeError('broken')\n")
    registry: PluginRegistry = load_plugins([str(tmp_path), str(tmp_path / "absent")])
    connector = registry.connector_class("Numbers")()
    assert registry.connector_class(f"{name}.NumbersConnector") is type(connector)
    connector.start({"topic": "t"})
    (config,) = connector.task_configs(3)
    task = connector.task_class()()
    assert isinstance(task, SourceTask)

    class Context:
        def configs(self) -> dict[str, str]:
            return config

        def offset_storage_reader(self) -> Context:
            return self

        def offset(self, partition: object) -> dict[str, int] | None:
            return {"n": 3}

        def transaction_context(self) -> None:
            return None

    task.initialize(Context())  # type: ignore[arg-type]
    task.start(config)
    records = task.poll()
    assert records is not None
    assert records[0].source_offset == {"n": 4}
    assert isinstance(records[0].value, Struct)
    assert records[0].value["square"] == 16


@pytest.mark.interop
def test_the_example_in_a_worker(
    start_worker: Callable[..., Worker], connect_broker: Server, tmp_path: Path
) -> None:
    folder = tmp_path / "plugins"
    folder.mkdir()
    name = example(folder)
    worker = start_worker(PythonWorker, distributed=False, plugin__path=str(folder))
    found = [row for row in worker.rest.get("/connector-plugins") if row["class"].startswith(name)]
    assert found == [{"class": f"{name}.NumbersConnector", "type": "source", "version": "1.0"}]
    config = {"connector.class": "Numbers", "topic": f"numbers-{name}", "limit": "5"}
    assert worker.rest.create("n", config).status == 201
    worker.rest.await_states("n", "RUNNING", ["RUNNING"])
    expected = [{"partition": {"counter": "main"}, "offset": {"n": 4}}]
    wait_until(
        lambda: worker.rest.get("/connectors/n/offsets")["offsets"] == expected, "five numbers", 30, 0.1
    )
    assert "Invalid value 0" in worker.rest.create("m", {**config, "limit": "0"}).message

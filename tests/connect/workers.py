"""Connect workers as real processes: ours and Apache Kafka's, which look the same from outside.

`PythonWorker` is `python -m connect`, `JavaWorker` Kafka's own main classes; both are ready when the constructor
returns. A `Client` speaks their REST API.
"""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import urllib.error
import urllib.request
from collections.abc import Mapping
from pathlib import Path
from typing import Any, ClassVar, NamedTuple

from tests.processes import die_with_parent, free_port, java_command, wait_until

START_TIMEOUT_S = 60.0
STOP_TIMEOUT_S = 30.0


class Answer(NamedTuple):
    status: int
    body: Any
    headers: Mapping[str, str]

    @property
    def message(self) -> str:
        return str(self.body["message"])


class Client:
    """The REST API of one worker; bodies that are JSON come decoded, others as text."""

    def __init__(self, url: str) -> None:
        self.url = url.rstrip("/")

    def call(
        self,
        method: str,
        path: str,
        body: Any = None,
        *,
        raw: bytes | None = None,
        headers: Mapping[str, str] | None = None,
    ) -> Answer:
        data = raw if raw is not None else None if body is None else json.dumps(body).encode()
        request = urllib.request.Request(self.url + path, data=data, method=method)
        request.add_header("Accept", "application/json")
        if data is not None:
            request.add_header("Content-Type", "application/json")
        for name, value in (headers or {}).items():
            request.add_header(name, value)
        try:
            with urllib.request.urlopen(request, timeout=100) as response:
                return self._answer(response.status, response.read(), response.headers)
        except urllib.error.HTTPError as error:
            with error:
                return self._answer(error.code, error.read(), error.headers)

    @staticmethod
    def _answer(status: int, content: bytes, headers: Any) -> Answer:
        body: Any = None
        if content:
            try:
                body = json.loads(content)
            except ValueError:
                body = content.decode()
        return Answer(status, body, dict(headers.items()))

    def get(self, path: str) -> Any:
        """The body of an answer that has to be 200. A Java worker that is about to rebalance asks, with a
        status of 409 or 500, to come again."""
        answer = wait_until(lambda: self._settled(path), f"the end of the rebalance before {path}", 60, 0.1)
        assert answer.status == 200, (path, answer)
        return answer.body

    def _settled(self, path: str) -> Answer | None:
        answer = self.call("GET", path)
        rebalancing = isinstance(answer.body, dict) and "rebalance is expected" in answer.body.get(
            "message", ""
        )
        return None if rebalancing else answer

    def post(self, path: str, body: Any = None) -> Answer:
        return self.call("POST", path, body)

    def put(self, path: str, body: Any = None) -> Answer:
        return self.call("PUT", path, body)

    def patch(self, path: str, body: Any = None) -> Answer:
        return self.call("PATCH", path, body)

    def delete(self, path: str) -> Answer:
        return self.call("DELETE", path)

    def create(self, name: str, config: Mapping[str, Any], **more: Any) -> Answer:
        return self.post("/connectors", {"name": name, "config": dict(config), **more})

    def states(self, name: str) -> tuple[str, list[str]] | None:
        """(state of the connector, states of its tasks); None without a status."""
        answer = self.call("GET", f"/connectors/{name}/status")
        if answer.status != 200:
            return None
        return answer.body["connector"]["state"], [task["state"] for task in answer.body["tasks"]]

    def await_states(self, name: str, connector: str, tasks: list[str], timeout_s: float = 30) -> None:
        seen: list[Any] = [None]

        def reached() -> bool:
            seen[0] = self.states(name)
            return bool(seen[0] == (connector, tasks))

        try:
            wait_until(reached, f"{name} to be {connector} {tasks}", timeout_s, 0.1)
        except AssertionError as error:
            status = self.call("GET", f"/connectors/{name}/status").body
            raise AssertionError(f"{error}; it is {seen[0]}: {status}") from None


class Worker:
    """A worker process. `distributed` or standalone; `rest` is its client."""

    name = ""
    start_timeout_s = START_TIMEOUT_S
    defaults: ClassVar[Mapping[str, str]] = {}

    def __init__(
        self,
        directory: Path,
        bootstrap: str,
        properties: Mapping[str, str] | None = None,
        *,
        distributed: bool = True,
        group: str = "connect-cluster",
        files: list[Path] | None = None,
        port: int = 0,
    ) -> None:
        directory.mkdir(parents=True, exist_ok=True)
        self.directory = directory
        self.distributed = distributed
        self.port = port or free_port()
        self.files = files or []
        self.rest = Client(f"http://127.0.0.1:{self.port}")
        self.log_path = directory / "worker.log"
        self.properties = {
            "bootstrap.servers": bootstrap,
            "key.converter": "org.apache.kafka.connect.storage.StringConverter",
            "value.converter": "org.apache.kafka.connect.storage.StringConverter",
            "listeners": f"http://127.0.0.1:{self.port}",
            "offset.flush.interval.ms": "500",
            "consumer.metadata.max.age.ms": "1000",
            **self.defaults,
            **(
                {
                    "group.id": group,
                    "config.storage.topic": f"{group}-configs",
                    "offset.storage.topic": f"{group}-offsets",
                    "status.storage.topic": f"{group}-status",
                    "config.storage.replication.factor": "1",
                    "offset.storage.replication.factor": "1",
                    "status.storage.replication.factor": "1",
                    "offset.storage.partitions": "3",
                    "scheduled.rebalance.max.delay.ms": "2000",
                    "heartbeat.interval.ms": "300",  # How soon a member hears of a rebalance.
                }
                if distributed
                else {"offset.storage.file.filename": str(directory / "offsets")}
            ),
            **(properties or {}),
        }
        self.process: subprocess.Popen[bytes] | None = None
        self.start()

    def command(self, configuration: Path) -> list[str]:
        raise NotImplementedError

    def environment(self) -> dict[str, str]:
        return dict(os.environ)

    def start(self) -> None:
        configuration = self.directory / "worker.properties"
        configuration.write_text("".join(f"{key}={value}\n" for key, value in self.properties.items()))
        with self.log_path.open("ab") as log:
            self.process = subprocess.Popen(
                [*self.command(configuration), *(str(file) for file in self.files)],
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                env=self.environment(),
                preexec_fn=die_with_parent,
            )
        wait_until(self._ready, f"{self.name} to be ready", self.start_timeout_s, 0.1)

    def _ready(self) -> bool:
        assert self.process is not None
        status = self.process.poll()
        assert status is None, f"{self.name} ended with {status}\n{self.log_text()[-4000:]}"
        try:
            return self.rest.call("GET", "/health").status == 200
        except OSError:
            return False

    def log_text(self) -> str:
        return self.log_path.read_text(errors="replace")

    def kill(self) -> None:
        assert self.process is not None
        self.process.kill()
        self.process.wait()

    def stop(self) -> None:
        """SIGTERM; the process has to end by itself."""
        if self.process is None or self.process.poll() is not None:
            return
        self.process.send_signal(signal.SIGTERM)
        try:
            self.process.wait(STOP_TIMEOUT_S)
        except subprocess.TimeoutExpired:
            self.kill()
            raise AssertionError(f"{self.name} ignored SIGTERM\n{self.log_text()[-4000:]}") from None

    @property
    def worker_id(self) -> str:
        return f"127.0.0.1:{self.port}"


class PythonWorker(Worker):
    name = "pybroker connect"

    def command(self, configuration: Path) -> list[str]:
        mode = "distributed" if self.distributed else "standalone"
        return [sys.executable, "-m", "connect", mode, str(configuration)]


class JavaWorker(Worker):
    name = "Kafka Connect"
    start_timeout_s = 120.0
    # It finds the same plug-ins without looking into every jar, which would double the time of its start.
    defaults: ClassVar = {"plugin.discovery": "service_load"}

    def command(self, configuration: Path) -> list[str]:
        main = "ConnectDistributed" if self.distributed else "ConnectStandalone"
        options = ("-Xmx512m", "-XX:TieredStopAtLevel=1", "-Xshare:auto")
        command = java_command(self.directory, *options)
        return [*command, f"org.apache.kafka.connect.cli.{main}", str(configuration)]

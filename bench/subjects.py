"""The brokers that are compared, each as a source of processes: one kept warm for the throughput rows,
others for one row.

In: a directory and the row's wish. Out: `Server` objects of tests/processes.py that also know when they
were launched. What must hold: a broker that died is noticed at the next use and replaced, and nothing is
left running or on disk at the end.
"""

from __future__ import annotations

import shutil
import subprocess
import time
from collections.abc import Callable
from pathlib import Path

from bench import load_tools
from tests.processes import KafkaProcess, PybrokerProcess, Server, accepts, die_with_parent, free_port

HEAP = "1g"
# A gigabyte may have to be read first.
START_TIMEOUT_S = 180.0

# What Kafka's own start script gives to the JVM (kafka-run-class.sh), next to the heap of
# kafka-server-start.sh.
JVM_OPTIONS = [
    "-server",
    "-XX:MaxGCPauseMillis=20",
    "-XX:InitiatingHeapOccupancyPercent=35",
    "-XX:+ExplicitGCInvokesConcurrent",
    "-XX:MaxInlineLevel=15",
    "-Djava.awt.headless=true",
]

# Deleted topics give their space back between two rows, on both brokers alike.
# The members of a new group all come within the delay.
PROPERTIES = {"log.segment.delete.delay.ms": "100", "group.initial.rebalance.delay.ms": "1000"}


class Pybroker(PybrokerProcess):
    launched_at = 0.0
    start_timeout_s = START_TIMEOUT_S

    def _launch(self, command: list[str], log_path: Path) -> subprocess.Popen[bytes]:
        self.launched_at = time.time()
        return super()._launch(command, log_path)


class Kafka(KafkaProcess):
    launched_at = 0.0
    start_timeout_s = START_TIMEOUT_S

    def _launch(self, command: list[str], log_path: Path) -> subprocess.Popen[bytes]:
        self.launched_at = time.time()
        return super()._launch([command[0], *JVM_OPTIONS, *command[1:]], log_path)


class Kfake(Server):
    """The in-memory broker of franz-go; it keeps nothing, so a restart is a new one on the same port."""

    name = "kfake"
    launched_at = 0.0

    def __init__(self, directory: Path) -> None:
        directory.mkdir(parents=True, exist_ok=True)
        super().__init__("127.0.0.1", free_port(), directory)
        self.log_path = directory / "server.log"
        self.start()

    def start(self) -> None:
        assert self.log_path is not None
        with self.log_path.open("ab") as log:
            self.launched_at = time.time()
            self.process = subprocess.Popen(
                [str(load_tools.kfake_program()), str(self.port)],
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                preexec_fn=die_with_parent,
            )
        self._await(lambda: accepts(self.host, self.port))


class Subject:
    """One of the compared brokers. `server` is the warm one; `fresh` starts another, which the row stops
    itself."""

    def __init__(
        self, name: str, create: Callable[[Path], Server], directory: Path, *, keeps_memory: bool = False
    ) -> None:
        self.name = name
        self.create = create
        self.directory = directory / name
        self.directory.mkdir(parents=True)
        # A broker that keeps all data in memory gets a new process for every row.
        self.keeps_memory = keeps_memory
        self.warmer: Callable[[Server], None] | None = None
        self._server: Server | None = None
        self._count = 0

    def _next_directory(self) -> Path:
        self._count += 1
        return self.directory / str(self._count)

    def server(self) -> Server:
        if self._server is not None and (
            self._server.process is None or self._server.process.poll() is not None
        ):
            self._server = None
        if self._server is None:
            self._server = self.create(self._next_directory())
            if self.warmer is not None:
                self.warmer(self._server)
        return self._server

    def fresh(self) -> Server:
        return self.create(self._next_directory())

    def discard(self, server: Server, *, keep_files: bool = False) -> None:
        """Ends a server for good; how it ends is no matter of a benchmark, the tests look at that."""
        if server is self._server:
            self._server = None
        server.kill()
        if keep_files:
            return
        shutil.rmtree(getattr(server, "directory", server.data_dir), ignore_errors=True)

    def has_died(self) -> bool:
        return (
            self._server is not None
            and self._server.process is not None
            and self._server.process.poll() is not None
        )

    def last_words(self) -> str:
        return self._server.log_text()[-400:] if self._server is not None else ""

    def end_of_row(self, topics: str) -> None:
        """Waits until the files of the row's topics are gone."""
        server = self._server
        if server is None:
            return
        if self.keeps_memory:
            self.discard(server)
            return
        deadline = time.monotonic() + 10
        while time.monotonic() < deadline and any(server.log_dir.glob(f"{topics}*")):
            time.sleep(0.05)

    def close(self) -> None:
        if self._server is not None:
            self.discard(self._server)


def subjects(names: list[str], directory: Path) -> list[Subject]:
    create: dict[str, tuple[Callable[[Path], Server], bool]] = {
        "pybroker": (lambda path: Pybroker(path, PROPERTIES), False),
        "kafka": (lambda path: Kafka(path, PROPERTIES, heap=HEAP), False),
        "kfake": (Kfake, True),
    }
    return [Subject(name, create[name][0], directory, keeps_memory=create[name][1]) for name in names]

"""One data directory and one server.properties, served now by Apache Kafka and now by pybroker.

In: a directory. Out: a running broker at an address that never changes. What must hold: both get the same
properties file, and nothing else is done to the directory between one and the other.
"""

from __future__ import annotations

import shutil
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path

from tests.processes import (
    KAFKA_DEFAULTS,
    Server,
    accepts,
    free_port,
    java_command,
)

KAFKA, PYBROKER = "kafka", "pybroker"

PROPERTIES = {
    "offsets.topic.num.partitions": "3",
    "transaction.state.log.num.partitions": "3",
    "share.coordinator.state.topic.num.partitions": "3",
    "log.cleaner.backoff.ms": "200",
    # Snapshots and a trimmed log of the metadata.
    "metadata.log.max.record.bytes.between.snapshots": "3000",
    "internal.metadata.log.segment.bytes": "8192",
    "metadata.max.retention.bytes": "20000",
    # After kill -9 Apache Kafka waits until the session of the old process is over.
    "broker.session.timeout.ms": "2000",
    "broker.heartbeat.interval.ms": "500",
    "group.consumer.min.heartbeat.interval.ms": "500",
    "group.consumer.heartbeat.interval.ms": "500",
}


class Node(Server):
    """The node. `start(KAFKA)` or `start(PYBROKER)`; between them `stop` or `kill`."""

    start_timeout_s = 120.0

    def __init__(self, directory: Path, properties: Mapping[str, str] | None = None) -> None:
        directory.mkdir(parents=True, exist_ok=True)
        super().__init__("127.0.0.1", free_port(), directory / "data")
        self.directory = directory
        self.log_path = directory / "server.log"
        self.ready_file = directory / "ready"
        self.configuration = directory / "server.properties"
        self.running = ""
        self.controller = f"127.0.0.1:{free_port()}"
        values = {
            **KAFKA_DEFAULTS,
            **PROPERTIES,
            "listeners": f"PLAINTEXT://{self.bootstrap},CONTROLLER://{self.controller}",
            "controller.quorum.bootstrap.servers": self.controller,
            "log.dirs": str(self.data_dir),
            **(properties or {}),
        }
        self.configuration.write_text("".join(f"{key}={value}\n" for key, value in values.items()))

    def format(self) -> None:
        """As kafka-storage format --standalone does; pybroker's first start needs none."""
        command = [*java_command(self.directory), "kafka.tools.StorageTool", "format", "--standalone"]
        command += ["-t", "MkU3OEVBNTcwNTJENDM2Qg", "-c", str(self.configuration)]
        done = subprocess.run(command, capture_output=True, text=True, stdin=subprocess.DEVNULL)
        assert done.returncode == 0, done.stdout + done.stderr

    def start(self, kind: str = PYBROKER) -> None:
        self.running = self.name = kind
        if kind == KAFKA:
            command = [*java_command(self.directory, "-Xmx512m", "-XX:TieredStopAtLevel=1"), "kafka.Kafka"]
            self.process = self._launch([*command, str(self.configuration)], self.log_path)
            self._await(lambda: accepts(self.host, self.port))
            return
        self.ready_file.unlink(missing_ok=True)
        command = [sys.executable, "-m", "pybroker", "start", "--config", str(self.configuration)]
        self.process = self._launch([*command, "--ready-file", str(self.ready_file)], self.log_path)
        self._await(lambda: self.ready_file.exists() and self.ready_file.read_text().strip())

    def stop(self, expected_status: int | None = None) -> None:
        # A JVM that ended cleanly on SIGTERM says 128 + 15.
        super().stop(143 if self.running == KAFKA else 0)

    def end(self, how: str) -> None:
        """ "clean" or "killed"."""
        if how == "killed":
            self.kill()
        else:
            self.stop()
        text = self.log_text()
        for word in ("Traceback", "stopping\n"):
            assert word not in text, text[-6000:]

    def copy(self, target: Path) -> Path:
        """The directory as it lies there now."""
        return shutil.copytree(self.log_dir, target)

"""Brokers as real processes, and one JVM that runs Kafka's own tools, for every test that needs them.

`PybrokerProcess` is `pybroker start` on a free port and `KafkaProcess` is Apache Kafka; both look the same
from outside (`Server`), so a test can run against either. What must hold: a server that is stopped ended by
itself with status 0, and no process outlives the test run, even when that is killed.
"""

from __future__ import annotations

import base64
import ctypes
import hashlib
import json
import os
import signal
import socket
import struct
import subprocess
import sys
import time
from collections.abc import Mapping
from pathlib import Path
from typing import IO, Any, ClassVar, NamedTuple

from tools import interop

START_TIMEOUT_S = 90.0
STOP_TIMEOUT_S = 30.0

_PR_SET_PDEATHSIG = 1
_libc = ctypes.CDLL(None) if sys.platform == "linux" else None


def die_with_parent() -> None:
    """For `preexec_fn`: the kernel kills the child when the test run ends in whatever way."""
    if _libc is not None:
        _libc.prctl(_PR_SET_PDEATHSIG, signal.SIGKILL)


def free_port() -> int:
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        port: int = listener.getsockname()[1]
        return port


def accepts(host: str, port: int) -> bool:
    with socket.socket() as client:
        client.settimeout(1)
        return client.connect_ex((host, port)) == 0


def wait_until(condition: Any, what: str, timeout_s: float = 30.0, interval_s: float = 0.02) -> Any:
    """Polls until the condition is true and returns its value; AssertionError names what was waited for."""
    deadline = time.monotonic() + timeout_s
    while True:
        value = condition()
        if value:
            return value
        if time.monotonic() > deadline:
            raise AssertionError(f"waited {timeout_s} s for {what}")
        time.sleep(interval_s)


class Server:
    """A running broker. `bootstrap` is HOST:PORT; `data_dir` is None when somebody else started it."""

    name = "external"
    start_timeout_s = START_TIMEOUT_S

    def __init__(self, host: str, port: int, data_dir: Path | None = None) -> None:
        self.host = host
        self.port = port
        self.data_dir = data_dir
        self.process: subprocess.Popen[bytes] | None = None
        self.log_path: Path | None = None

    @property
    def bootstrap(self) -> str:
        return f"{self.host}:{self.port}"

    @property
    def pid(self) -> int:
        assert self.process is not None
        return self.process.pid

    @property
    def log_dir(self) -> Path:
        """The directory that holds the partitions' folders."""
        assert self.data_dir is not None
        return self.data_dir

    def stored_codecs(self, topic: str, partition: int = 0) -> set[int]:
        """The compression codecs of the batches in a partition's files, by their numbers."""
        codecs = set()
        for segment in self.log_dir.glob(f"{topic}-{partition}/*.log"):
            content = segment.read_bytes()
            at = 0
            # Base offset, length of what follows it, leader epoch, magic, CRC, attributes.
            while at + 23 <= len(content):
                _, length, _, magic, _, attributes = struct.unpack_from(">qiibIh", content, at)
                if magic != 2:  # Preallocated and not yet written.
                    break
                codecs.add(attributes & 7)
                at += 12 + length
        return codecs

    def log_text(self) -> str:
        return self.log_path.read_text(errors="replace") if self.log_path and self.log_path.exists() else ""

    def start(self) -> None:
        raise NotImplementedError

    def kill(self) -> None:
        """kill -9; the data directory is left as it is."""
        if self.process is not None and self.process.poll() is None:
            self.process.kill()
        if self.process is not None:
            self.process.wait()

    def stop(self, expected_status: int = 0) -> None:
        """SIGTERM, and the process must end by itself with the expected status."""
        if self.process is None:
            return
        process, self.process = self.process, None
        if process.poll() is None:
            process.send_signal(signal.SIGTERM)
        try:
            status = process.wait(STOP_TIMEOUT_S)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()
            raise AssertionError(
                f"{self.name} ignored SIGTERM for {STOP_TIMEOUT_S} s\n{self.log_text()[-4000:]}"
            ) from None
        assert status == expected_status, f"{self.name} ended with {status}\n{self.log_text()[-4000:]}"

    def restart(self) -> None:
        self.stop()
        self.start()

    def _launch(self, command: list[str], log_path: Path) -> subprocess.Popen[bytes]:
        with log_path.open("ab") as log:
            return subprocess.Popen(
                command, stdin=subprocess.DEVNULL, stdout=log, stderr=log, preexec_fn=die_with_parent
            )

    def _await(self, condition: Any) -> None:
        def ready() -> bool:
            assert self.process is not None
            status = self.process.poll()
            assert status is None, f"{self.name} ended with {status} at its start\n{self.log_text()[-4000:]}"
            return bool(condition())

        wait_until(ready, f"{self.name} to be ready", self.start_timeout_s)


class PybrokerProcess(Server):
    """`pybroker start` with the given properties, on a free port, ready when the constructor returns."""

    name = "pybroker"

    def __init__(
        self,
        directory: Path,
        properties: Mapping[str, str] | None = None,
        *,
        port: int = 0,
        arguments: list[str] | None = None,
    ) -> None:
        directory.mkdir(parents=True, exist_ok=True)
        super().__init__("127.0.0.1", port, directory / "data")
        self.directory = directory
        self.properties = dict(properties or {})
        self.arguments = arguments or []
        self.log_path = directory / "server.log"
        self.ready_file = directory / "ready"
        self.start()

    def command(self) -> list[str]:
        command = [sys.executable, "-m", "pybroker", "start"]
        if "log.dirs" not in self.properties:
            command += ["--data-dir", str(self.data_dir)]
        command += ["--ready-file", str(self.ready_file)]
        if "listeners" in self.properties:
            pass
        elif "advertised.listeners" in self.properties:  # --listen would put itself in its place.
            command += ["--set", f"listeners=PLAINTEXT://{self.bootstrap}"]
        else:
            command += ["--listen", self.bootstrap]
        for key, value in self.properties.items():
            command += ["--set", f"{key}={value}"]
        return command + self.arguments

    def start(self) -> None:
        self.ready_file.unlink(missing_ok=True)
        assert self.log_path is not None
        self.process = self._launch(self.command(), self.log_path)
        self._await(lambda: self.ready_file.exists() and self.ready_file.read_text().strip())
        host, _, port = self.ready_file.read_text().strip().rpartition(":")
        # A restart keeps the port, as it does for clients in real life.
        self.host, self.port = host, int(port)
        self._await(lambda: f" ready: {self.bootstrap} " in self.log_text())


LOG4J_PROPERTIES = """\
appender.stderr.type = Console
appender.stderr.name = STDERR
appender.stderr.target = SYSTEM_ERR
appender.stderr.layout.type = PatternLayout
appender.stderr.layout.pattern = %p %c{1} %m%n
rootLogger.level = WARN
rootLogger.appenderRef.stderr.ref = STDERR
"""

KAFKA_DEFAULTS = {
    "process.roles": "broker,controller",
    "node.id": "1",
    "controller.listener.names": "CONTROLLER",
    "listener.security.protocol.map": "PLAINTEXT:PLAINTEXT,CONTROLLER:PLAINTEXT",
    "offsets.topic.replication.factor": "1",
    "offsets.topic.num.partitions": "5",
    "transaction.state.log.replication.factor": "1",
    "transaction.state.log.min.isr": "1",
    "transaction.state.log.num.partitions": "5",
    "share.coordinator.state.topic.replication.factor": "1",
    "share.coordinator.state.topic.min.isr": "1",
    "share.coordinator.state.topic.num.partitions": "5",
    "group.initial.rebalance.delay.ms": "0",
}


def log4j_file(directory: Path) -> Path:
    path = directory / "log4j2.properties"
    if not path.exists():
        path.write_text(LOG4J_PROPERTIES)
    return path


def java_command(directory: Path, *options: str, extra_class_path: Path | None = None) -> list[str]:
    """The beginning of a command line that runs a class out of Kafka's jars."""
    class_path = f"{interop.kafka_lib()}/*"
    if extra_class_path is not None:
        class_path = f"{extra_class_path}:{class_path}"
    # These two make a short-lived JVM start in half the time and keep it from taking a quarter of the memory.
    quick = ["-XX:TieredStopAtLevel=1", "-Xshare:auto"] if not options else list(options)
    return ["java", *quick, f"-Dlog4j2.configurationFile={log4j_file(directory)}", "-cp", class_path]


class KafkaProcess(Server):
    """Apache Kafka, one node, formatted on the first start, listening when the constructor returns."""

    name = "Apache Kafka"

    def __init__(
        self,
        directory: Path,
        properties: Mapping[str, str] | None = None,
        *,
        port: int = 0,
        heap: str = "512m",
    ) -> None:
        directory.mkdir(parents=True, exist_ok=True)
        super().__init__("127.0.0.1", port or free_port(), directory / "data")
        self.directory = directory
        self.heap = heap
        controller = free_port()
        self.properties = {
            **KAFKA_DEFAULTS,
            "listeners": f"PLAINTEXT://{self.bootstrap},CONTROLLER://127.0.0.1:{controller}",
            "controller.quorum.bootstrap.servers": f"127.0.0.1:{controller}",
            "log.dirs": str(self.data_dir),
            # pybroker's own keys have no meaning here.
            **{key: value for key, value in (properties or {}).items() if not key.startswith("pybroker.")},
        }
        self.log_path = directory / "server.log"
        self.start()

    def start(self) -> None:
        configuration = self.directory / "server.properties"
        configuration.write_text("".join(f"{key}={value}\n" for key, value in self.properties.items()))
        assert self.data_dir is not None
        assert self.log_path is not None
        if not (self.data_dir / "meta.properties").exists():
            cluster_id = base64.urlsafe_b64encode(os.urandom(16)).decode().rstrip("=").replace("-", "x")
            command = [*java_command(self.directory), "kafka.tools.StorageTool", "format", "-t", cluster_id]
            command += ["-c", str(configuration), "--standalone"]
            formatted = subprocess.run(command, capture_output=True, text=True, stdin=subprocess.DEVNULL)
            assert formatted.returncode == 0, formatted.stdout + formatted.stderr
        options = (f"-Xmx{self.heap}", f"-Xms{self.heap}", "-XX:+UseG1GC")
        command = [*java_command(self.directory, *options), "kafka.Kafka", str(configuration)]
        self.process = self._launch(command, self.log_path)
        self._await(lambda: accepts(self.host, self.port))

    def stop(self, expected_status: int = 143) -> None:
        # A JVM that ended cleanly on SIGTERM says 128 + 15.
        super().stop(expected_status)


class ToolResult(NamedTuple):
    status: int
    out: str
    err: str

    def check(self, status: int = 0) -> str:
        """The standard output of a run that ended as expected."""
        assert self.status == status, f"ended with {self.status}\n{self.out}\n{self.err}"
        return self.out


class JsonProcess:
    """A helper program that answers each line of JSON with one line of JSON (see
    tests/clients/programs.md)."""

    def __init__(
        self, command: list[str], log_path: Path, environment: Mapping[str, str] | None = None
    ) -> None:
        self.log_path = log_path
        self.log: IO[bytes] = log_path.open("ab")
        self.process = subprocess.Popen(
            command,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=self.log,
            env={**os.environ, **(environment or {})},
            preexec_fn=die_with_parent,
        )

    def call(self, op: str, **arguments: Any) -> Any:
        stdin, stdout = self.process.stdin, self.process.stdout
        assert stdin is not None
        assert stdout is not None
        stdin.write(json.dumps({"op": op, **arguments}).encode() + b"\n")
        stdin.flush()
        line = stdout.readline()
        if not line:
            status = self.process.wait()
            raise AssertionError(
                f"the program ended with {status}\n{self.log_path.read_text(errors='replace')[-4000:]}"
            )
        answer = json.loads(line)
        if "error" in answer:
            raise AssertionError(
                f"{op}: {answer['error']}\n{self.log_path.read_text(errors='replace')[-2000:]}"
            )
        return answer["result"]

    def close(self) -> None:
        stdin, stdout = self.process.stdin, self.process.stdout
        assert stdin is not None
        assert stdout is not None
        stdin.close()
        try:
            self.process.wait(20)
        except subprocess.TimeoutExpired:
            self.process.kill()
            self.process.wait()
        stdout.close()
        self.log.close()


def compile_java(source: Path) -> Path:
    """Compiles a source file against Kafka's jars; the classes are kept in the cache by the source's
    checksum."""
    checksum = hashlib.sha256(source.read_bytes()).hexdigest()[:16]
    target = interop.cache_directory() / "classes" / f"{source.stem}-{checksum}"
    if not (target / ".complete").exists():
        target.mkdir(parents=True, exist_ok=True)
        result = subprocess.run(
            [
                "javac",
                "-nowarn",
                "-proc:none",
                "-cp",
                f"{interop.kafka_lib()}/*",
                "-d",
                str(target),
                str(source),
            ],
            capture_output=True,
            text=True,
            stdin=subprocess.DEVNULL,
        )
        assert result.returncode == 0, result.stdout + result.stderr
        (target / ".complete").touch()
    return target


class KafkaTools:
    """Kafka's command-line tools, many of them in one JVM (a JVM of their own costs each a second or two).

    `run("TopicCommand", "--list", ...)` takes the class name with or without its package. A tool that calls
    exit ends with that status; what it printed comes back.
    """

    PACKAGES: ClassVar[dict[str, str]] = {
        "ConfigCommand": "kafka.admin.",
        "StorageTool": "kafka.tools.",
        "Scenario$Shell": "",
        "ConsoleConsumer": "org.apache.kafka.tools.consumer.",
        "ConsumerGroupCommand": "org.apache.kafka.tools.consumer.group.",
        "ReassignPartitionsCommand": "org.apache.kafka.tools.reassign.",
    }

    def __init__(self, directory: Path) -> None:
        directory.mkdir(parents=True, exist_ok=True)
        self.directory = directory
        classes = compile_java(Path(__file__).parent / "clients" / "java" / "Scenario.java")
        command = java_command(directory, "-XX:TieredStopAtLevel=1", "-Xmx768m", extra_class_path=classes)
        self.process = JsonProcess([*command, "Scenario"], directory / "jvm.log")

    def class_name(self, tool: str) -> str:
        return tool if "." in tool else self.PACKAGES.get(tool, "org.apache.kafka.tools.") + tool

    def run(self, tool: str, *arguments: str, send: str = "") -> ToolResult:
        answer = self.process.call(
            "tool", className=self.class_name(tool), arguments=list(arguments), input=send
        )
        return ToolResult(answer["status"], answer["out"], answer["err"])

    def run_apart(self, tool: str, *arguments: str, timeout_s: float = 60.0) -> ToolResult:
        """The same in a JVM of its own, for tools that do not survive company."""
        command = [*java_command(self.directory), self.class_name(tool), *arguments]
        result = subprocess.run(
            command, capture_output=True, text=True, stdin=subprocess.DEVNULL, timeout=timeout_s
        )
        return ToolResult(result.returncode, result.stdout, result.stderr)

    def close(self) -> None:
        self.process.close()

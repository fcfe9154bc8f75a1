"""The workers' clients in Java and franz-go, behind the part of confluent-kafka's interface that the workload uses.

In: calls of the workload. Out: lines of JSON to a program (programs.md), failures as KafkaException. What must hold:
nothing is told as delivered that the library did not say; a program that was killed ends the worker.
"""

from __future__ import annotations

import functools
import hashlib
import os
import subprocess
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any

from confluent_kafka import KafkaError, KafkaException, TopicPartition

from tests import facilities
from tests.processes import JsonProcess, compile_java, java_command
from tools import interop

HERE = Path(__file__).parent
CLIENTS = HERE.parent / "clients"
LIBRARIES = ("confluent", "java", "go")


@functools.cache
def command_of(library: str, directory: Path) -> list[str]:
    """The command line of a worker's program; compiles it when it is not."""
    if library == "java":
        facilities.require("kafka")
        classes = compile_java(CLIENTS / "java" / "Worker.java")
        options = ("-XX:TieredStopAtLevel=1", "-Xshare:auto", "-XX:+UseSerialGC", "-Xmx192m")
        return [*java_command(directory, *options, extra_class_path=classes), "Worker"]
    facilities.require("go")
    source = CLIENTS / "go" / "worker" / "main.go"
    checksum = hashlib.sha256(source.read_bytes()).hexdigest()[:16]
    binary = interop.cache_directory() / "classes" / f"worker-{checksum}"
    if not binary.exists():
        unfinished = binary.with_name(f"{binary.name}-{os.getpid()}")
        build = ["go", "build", "-mod=readonly", "-buildvcs=false", "-o", str(unfinished), "./worker"]
        result = subprocess.run(build, cwd=source.parents[1], capture_output=True, text=True)
        assert result.returncode == 0, result.stdout + result.stderr
        unfinished.rename(binary)
    return [str(binary)]


class Record:
    """A record that was read or written, as confluent-kafka's messages tell of it."""

    def __init__(self, topic: str, partition: int, offset: int, value: int) -> None:
        self._topic = topic
        self._partition = partition
        self._offset = offset
        self._value = value

    def error(self) -> None:
        return None

    def topic(self) -> str:
        return self._topic

    def partition(self) -> int:
        return self._partition

    def offset(self) -> int:
        return self._offset

    def value(self) -> int:
        return self._value


def positions_of(partitions: Iterable[TopicPartition]) -> list[dict[str, Any]]:
    return [{"topic": one.topic, "partition": one.partition, "offset": one.offset} for one in partitions]


class Program:
    """One process, which is both the producer and the consumer of a worker."""

    def __init__(self, library: str, directory: Path, bootstrap: str, transactional_id: str) -> None:
        self.process = JsonProcess(command_of(library, directory), directory / f"{library}.log")
        self.killed = False
        self.sent = 0
        self.waiting: dict[int, tuple[Callable[[Any, Any], None], str, int, int]] = {}
        self.on_change: Callable[[Any, list[TopicPartition]], None] | None = None
        self.call("open", bootstrap=bootstrap, transactional=transactional_id)

    def kill(self) -> None:
        """kill -9: nothing is flushed, committed or aborted."""
        self.killed = True
        self.process.process.kill()
        self.process.process.wait()

    def call(self, op: str, **arguments: Any) -> Any:
        try:
            answer = self.process.call(op, **arguments)
        except (AssertionError, OSError, ValueError):
            if self.killed:
                raise SystemExit from None
            raise
        for number, offset in answer["delivered"] or ():
            report, *where, value = self.waiting.pop(number)
            report(None, Record(*where, offset, value))
        changed = [TopicPartition(one["topic"], one["partition"]) for one in answer["rebalanced"] or ()]
        if changed and self.on_change is not None:
            self.on_change(None, changed)
        if answer.get("failed"):
            code = KafkaError._TIMED_OUT if answer["retriable"] else KafkaError._FAIL
            raise KafkaException(
                KafkaError(
                    code,
                    answer["failed"],
                    retriable=bool(answer["retriable"]),
                    txn_requires_abort=bool(answer["abortable"]),
                )
            )
        return answer["value"]

    # ---- the producer --------------------------------------------------------------------------------

    def init_transactions(self, _timeout: float) -> None:
        self.call("init")

    def begin_transaction(self) -> None:
        self.call("begin")

    def produce(self, topic: str, *, value: bytes, partition: int, on_delivery: Any) -> None:
        self.sent += 1
        self.waiting[self.sent] = on_delivery, topic, partition, int(value)
        self.call("send", topic=topic, partition=partition, value=value.decode(), number=self.sent)

    def flush(self, _timeout: float) -> None:
        self.call("flush")

    def send_offsets_to_transaction(
        self, partitions: list[TopicPartition], _metadata: None, _timeout: float
    ) -> None:
        self.call("offsets", positions=positions_of(partitions))

    def commit_transaction(self, _timeout: float) -> None:
        self.call("commit")

    def abort_transaction(self, _timeout: float) -> None:
        self.call("abort")

    def purge(self) -> None:
        self.kill()

    # ---- the consumer --------------------------------------------------------------------------------

    def assign(self, partitions: list[TopicPartition]) -> None:
        self.call("assign", positions=positions_of(partitions))

    def subscribe(self, topics: list[str], *, on_assign: Any, on_revoke: Any, on_lost: Any) -> None:
        self.on_change = on_assign
        self.call("subscribe", topics=topics)

    def unsubscribe(self) -> None:
        self.call("unsubscribe")

    def unassign(self) -> None:
        self.call("unsubscribe")

    def position(self, partitions: list[TopicPartition]) -> list[TopicPartition]:
        found = self.call("position", positions=positions_of(partitions))
        return [TopicPartition(one["topic"], one["partition"], one["offset"]) for one in found]

    def consume(self, count: int, *, timeout: float) -> list[Record]:
        return [Record(*one) for one in self.call("poll", ms=int(timeout * 1000), count=count)]

    def commit(self, *, offsets: list[TopicPartition], asynchronous: bool) -> None:
        self.call("commit_positions", positions=positions_of(offsets))

    def consumer_group_metadata(self) -> None:
        """The program takes that of its own consumer."""

    def seek(self, partition: TopicPartition) -> None:
        self.call("seek", positions=positions_of([partition]))

    def close(self) -> None:
        self.kill()

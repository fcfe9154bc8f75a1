"""Applications of the Java world that live off groups and transactions: Kafka Streams, a Kafka Connect worker.

Both go on where they were when the broker is killed -9 under them.
"""

from __future__ import annotations

import itertools
import subprocess
import threading
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from confluent_kafka import Consumer, Producer
from confluent_kafka.admin import AdminClient, NewTopic

from tests import facilities
from tests.connect.workers import JavaWorker
from tests.processes import Server, compile_java, die_with_parent, java_command, wait_until

pytestmark = [pytest.mark.interop, pytest.mark.slow, pytest.mark.timeout(240)]

WAIT_S = 90.0
HERE = Path(__file__).parent


def make_topics(bootstrap: str, **partitions: int) -> None:
    admin = AdminClient({"bootstrap.servers": bootstrap})
    new = [NewTopic(name, count, 1) for name, count in partitions.items()]
    for future in admin.create_topics(new).values():
        future.result(30)


class Lines:
    """Writes lines of known words without a pause until it is told to stop."""

    WORDS = ("to", "be", "or", "not", "that", "is", "the", "question")

    def __init__(self, bootstrap: str, topic: str) -> None:
        self.topic = topic
        self.counts: Counter[str] = Counter()
        self._producer = Producer(
            {"bootstrap.servers": bootstrap, "enable.idempotence": True, "linger.ms": 5}
        )
        self._stopped = threading.Event()
        self._thread = threading.Thread(target=self._run, daemon=True)
        self._thread.start()

    def _run(self) -> None:
        for number in itertools.count():
            if self._stopped.wait(0.005):
                return
            words = [self.WORDS[number % 8], self.WORDS[number * 3 % 7]]
            self._producer.produce(self.topic, " ".join(words).encode())
            self._producer.poll(0)
            self.counts.update(words)

    def stop(self) -> Counter[str]:
        """How often each word was written."""
        self._stopped.set()
        self._thread.join()
        assert self._producer.flush(60) == 0
        return self.counts


class Changes:
    """The changes of counts in a topic, committed ones only, as they come."""

    def __init__(self, bootstrap: str, topic: str) -> None:
        self.seen: dict[str, list[int]] = {}
        self._consumer: Any = Consumer(
            {
                "bootstrap.servers": bootstrap,
                "group.id": f"reader-of-{topic}",
                "enable.auto.commit": False,
                "auto.offset.reset": "earliest",
                "isolation.level": "read_committed",
            }
        )
        self._consumer.subscribe([topic])

    def total(self) -> int:
        """The sum of the last counts, after reading what there is."""
        for message in self._consumer.consume(500, 0.2):
            if message.error() is None:
                self.seen.setdefault(message.key().decode(), []).append(int(message.value()))
        return sum(changes[-1] for changes in self.seen.values())

    def last(self) -> dict[str, int]:
        return {word: changes[-1] for word, changes in self.seen.items()}

    def close(self) -> None:
        self._consumer.close()


def test_streams_word_count(tmp_path: Path, start_broker: Callable[..., Server]) -> None:
    """Both guarantees at the same time; a third application asks for the streams protocol (KIP-1071), which is
    refused."""
    facilities.require("kafka")
    classes = compile_java(HERE / "java" / "WordCount.java")
    server = start_broker(**{"group.initial.rebalance.delay.ms": "0"})
    make_topics(server.bootstrap, lines=2, least=2, exact=2, refused=1)
    lines = Lines(server.bootstrap, "lines")
    log = tmp_path / "streams.log"
    applications = ["least:at_least_once:classic", "exact:exactly_once_v2:classic"]
    if server.name == "pybroker":
        applications.append("refused:at_least_once:streams")
    options = ("-Xmx384m", "-XX:TieredStopAtLevel=1", "-Xshare:auto")
    command = [*java_command(tmp_path, *options, extra_class_path=classes), "WordCount", server.bootstrap]
    with log.open("ab") as output:
        process = subprocess.Popen(
            [*command, str(tmp_path / "state"), "lines", *applications],
            stdin=subprocess.PIPE,
            stdout=output,
            stderr=output,
            preexec_fn=die_with_parent,
        )
    outputs = {name: Changes(server.bootstrap, name) for name in ("least", "exact")}
    try:

        def reach(total: int, what: str) -> None:
            for name, changes in outputs.items():
                message = f"{name} to have counted {what}\n{log.read_text()[-3000:]}"
                wait_until(lambda changes=changes: changes.total() >= total, message, WAIT_S)

        reach(200, "a little")
        server.kill()
        server.start()
        reach(max(changes.total() for changes in outputs.values()) + 200, "more after the kill")
        expected = dict(lines.stop())
        reach(sum(expected.values()), "everything")
        assert outputs["exact"].last() == expected
        # A count that was written twice, or taken back, would be one that does not grow.
        for changes in outputs["exact"].seen.values():
            assert changes == sorted(set(changes))
        # At least once: what was under way may have been counted again.
        least = outputs["least"].last()
        assert least.keys() == expected.keys()
        assert all(least[word] >= count for word, count in expected.items())
    finally:
        for changes in outputs.values():
            changes.close()
        assert process.stdin is not None
        process.stdin.close()
        try:
            process.wait(60)
        finally:
            process.kill()
            process.wait()
    said = log.read_text()
    assert process.returncode == 0, said[-3000:]
    assert "closed: true" in said
    if server.name == "pybroker":
        assert "does not support the STREAMS group protocol" in said
        assert "refused is ERROR" in said


def test_connect_worker(tmp_path: Path, start_broker: Callable[..., Server]) -> None:
    """The lines of a file go through a topic into another file, across a kill of the broker and a restart of the
    worker."""
    facilities.require("kafka")
    server = start_broker(**{"group.initial.rebalance.delay.ms": "0"})
    source, sink = tmp_path / "source.txt", tmp_path / "sink.txt"
    source.write_text("")
    written: list[str] = []

    def write(count: int) -> None:
        fresh = [f"line {number}" for number in range(len(written), len(written) + count)]
        with source.open("a") as stream:
            stream.writelines(f"{line}\n" for line in fresh)
        written.extend(fresh)

    def copied(worker: JavaWorker) -> None:
        def done() -> bool:
            # Everything is there; what is delivered again after a kill comes again as a whole run of lines.
            return sink.exists() and set(written) <= set(sink.read_text().splitlines())

        wait_until(done, f"all {len(written)} lines\n{worker.log_text()[-2000:]}", WAIT_S)

    worker = JavaWorker(tmp_path / "worker", server.bootstrap, {"reconnect.backoff.max.ms": "500"})
    try:
        for name, config in {
            "in": {"connector.class": "FileStreamSource", "topic": "lines", "file": str(source)},
            "out": {"connector.class": "FileStreamSink", "topics": "lines", "file": str(sink)},
        }.items():
            assert worker.rest.create(name, {**config, "tasks.max": "1"}).status == 201
        for name in ("in", "out"):
            worker.rest.await_states(name, "RUNNING", ["RUNNING"], WAIT_S)
        write(500)
        copied(worker)
        server.kill()
        write(500)
        server.start()
        copied(worker)
        for name in ("in", "out"):
            worker.rest.await_states(name, "RUNNING", ["RUNNING"], WAIT_S)
        worker.stop()
        before = len(sink.read_text().splitlines())
        write(500)
        worker.start()
        for name in ("in", "out"):
            worker.rest.await_states(name, "RUNNING", ["RUNNING"], WAIT_S)
        copied(worker)
        # A worker that was stopped goes on exactly where it was.
        assert sink.read_text().splitlines()[before:] == written[1000:]
        # And each line was first written in its turn.
        assert list(dict.fromkeys(sink.read_text().splitlines())) == written
    finally:
        worker.stop()

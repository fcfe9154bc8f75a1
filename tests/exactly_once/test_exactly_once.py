"""Exactly once: an application copies a topic while the broker, and the application itself, are killed -9.

The output must be the input, once, in the order of each partition. `PYBROKER_EXACTLY_ONCE_RECORDS=200000` (with
ten kills of the broker and five of the application) is the long form; the default is a short one.
"""

from __future__ import annotations

import os
import random
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from tests import facilities
from tests.processes import PybrokerProcess, compile_java, java_command

RECORDS = int(os.environ.get("PYBROKER_EXACTLY_ONCE_RECORDS", "4000"))
LONG = RECORDS > 20_000
BROKER_KILLS = 10 if LONG else 2
APP_KILLS = 5 if LONG else 1
PARTITIONS = 3
LIMIT_S = 1800 if LONG else 150
HERE = Path(__file__).parent


class Application:
    """The copying program, which is killed and started again."""

    def __init__(self, command: list[str], log: Path) -> None:
        self.command = command
        self.log = log
        self.start()

    def start(self) -> None:
        with self.log.open("ab") as log:
            self.process = subprocess.Popen(self.command, stdout=log, stderr=log, stdin=subprocess.DEVNULL)

    def kill(self) -> None:
        self.process.kill()
        self.process.wait()

    def supervise(self) -> bool:
        """Start it again if it ended by itself; whether it had."""
        if self.process.poll() is None:
            return False
        self.start()
        return True


def python_command() -> list[str]:
    return [sys.executable, str(HERE / "copy_app.py")]


def command_of(library: str, directory: Path) -> list[str]:
    if library == "confluent-kafka":
        return python_command()
    facilities.require("kafka")
    classes = compile_java(HERE / "Copy.java")
    return [*java_command(directory, "-Xmx256m", extra_class_path=classes), "Copy"]


def fill(bootstrap: str, topic: str) -> None:
    from confluent_kafka import Producer

    producer = Producer({"bootstrap.servers": bootstrap, "enable.idempotence": True, "linger.ms": 20})
    for number in range(RECORDS):
        while True:
            try:
                producer.produce(topic, value=b"%d" % number, partition=number % PARTITIONS)
                break
            except BufferError:
                producer.poll(0.1)
    assert producer.flush(120) == 0


class Output:
    """What a read_committed consumer finds in the output, as it grows."""

    def __init__(self, bootstrap: str, topic: str) -> None:
        from confluent_kafka import OFFSET_BEGINNING, Consumer, TopicPartition

        self.values: dict[int, list[int]] = {partition: [] for partition in range(PARTITIONS)}
        self.consumer: Any = Consumer(
            {
                "bootstrap.servers": bootstrap,
                "group.id": "the-reader-of-the-output",
                "enable.auto.commit": False,
                "isolation.level": "read_committed",
                "reconnect.backoff.max.ms": 500,
            }
        )
        self.consumer.assign([TopicPartition(topic, p, OFFSET_BEGINNING) for p in range(PARTITIONS)])

    def read(self) -> int:
        for message in self.consumer.consume(200, timeout=0.1):
            if message.error() is None:
                self.values[message.partition()].append(int(message.value()))
        return sum(len(values) for values in self.values.values())


def copied_once(
    directory: Path,
    library: str,
    bootstrap: str,
    kill_a_broker: Callable[[], None],
    *,
    replication: int = 1,
) -> str:
    """Copies RECORDS records while brokers and application are killed, compares, and says what was done."""
    command = command_of(library, directory)
    application = None
    output = None
    choice = random.Random(RECORDS)
    try:
        from confluent_kafka.admin import AdminClient, NewTopic

        admin = AdminClient({"bootstrap.servers": bootstrap})
        topics = [NewTopic(name, PARTITIONS, replication) for name in ("input", "output")]
        for future in admin.create_topics(topics).values():
            future.result(30)
        fill(bootstrap, "input")
        application = Application([*command, bootstrap, "copier", "input", "output"], directory / "app.log")
        output = Output(bootstrap, "output")
        # At which count of copied records what is killed.
        kills = sorted(
            [(choice.uniform(0.05, 0.7), "broker") for _ in range(BROKER_KILLS)]
            + [(choice.uniform(0.05, 0.7), "application") for _ in range(APP_KILLS)]
        )
        start = time.monotonic()
        done = []
        restarts = 0
        while (count := output.read()) < RECORDS:
            assert time.monotonic() - start < LIMIT_S, (
                f"{count} of {RECORDS} records after {LIMIT_S} s; {(directory / 'app.log').read_text()[-2000:]}"
            )
            restarts += application.supervise()
            if kills and count >= kills[0][0] * RECORDS:
                _, victim = kills.pop(0)
                done.append(victim)
                if victim == "broker":
                    kill_a_broker()
                else:
                    application.kill()
                    application.start()
        seconds = time.monotonic() - start
        # Nothing more may come: a repetition would be the last thing that was copied.
        quiet = time.monotonic() + 2
        while time.monotonic() < quiet:
            output.read()
        for partition, values in output.values.items():
            assert values == list(range(partition, RECORDS, PARTITIONS)), f"partition {partition}"
        assert done.count("broker") == BROKER_KILLS
        assert done.count("application") == APP_KILLS
        return f"{library}: {RECORDS} records, kills {done}, {restarts} stalls, {seconds:.1f} s"
    finally:
        if application is not None:
            application.kill()
        if output is not None:
            output.consumer.close()


@pytest.mark.slow
@pytest.mark.timeout(LIMIT_S + 60)
@pytest.mark.parametrize(
    "library",
    ["confluent-kafka", pytest.param("java", marks=pytest.mark.interop)],
)
def test_the_output_is_the_input_once(tmp_path: Path, library: str) -> None:
    server = PybrokerProcess(tmp_path / "broker", {"group.initial.rebalance.delay.ms": "0"})

    def kill() -> None:
        server.kill()
        server.start()

    try:
        print(copied_once(tmp_path, library, server.bootstrap, kill))
    finally:
        server.stop()

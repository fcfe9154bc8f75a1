"""The pytest plug-in, seen from a project that uses it: fixtures, isolation, xdist, and nothing left behind."""

from __future__ import annotations

import os
import subprocess
import sys
import time
from pathlib import Path

import pytest

import pybroker

TESTS = """\
import asyncio, threading
import pytest
from confluent_kafka import Consumer, Producer, TopicPartition

BROKERS = set()

def write(address, topic, *values):
    producer = Producer({"bootstrap.servers": address})
    for value in values:
        producer.produce(topic, value)
    assert producer.flush(30) == 0

def read(address, topic, count):
    consumer = Consumer({"bootstrap.servers": address, "group.id": topic, "auto.offset.reset": "earliest"})
    consumer.subscribe([topic])
    found = []
    while len(found) < count:
        found += [m.value() for m in consumer.consume(count - len(found), 1) if m.error() is None]
    consumer.close()
    return found

def end(address, topic, partition=0):
    consumer = Consumer({"bootstrap.servers": address, "group.id": "end"})
    offsets = consumer.get_watermark_offsets(TopicPartition(topic, partition), timeout=30)
    consumer.close()
    return offsets

@pytest.mark.parametrize("number", range(4))
def test_topics_are_new(kafka_broker, kafka_topic, number):
    BROKERS.add(kafka_broker.port)
    assert len(BROKERS) == 1
    address = kafka_broker.bootstrap_servers
    assert end(address, kafka_topic) == (0, 0)
    write(address, kafka_topic, b"of this test")
    assert read(address, kafka_topic, 1) == [b"of this test"]

@pytest.mark.kafka_topic(partitions=3, config={"cleanup.policy": "compact"})
def test_marker(kafka_broker, kafka_topic):
    assert end(kafka_broker.bootstrap_servers, kafka_topic, 2) == (0, 0)

def test_threads(kafka_broker, kafka_topic):
    address = kafka_broker.bootstrap_servers
    writers = [threading.Thread(target=write, args=(address, kafka_topic, b"%d" % n)) for n in range(4)]
    for writer in writers: writer.start()
    for writer in writers: writer.join()
    assert sorted(read(address, kafka_topic, 4)) == [b"0", b"1", b"2", b"3"]

def test_event_loop(kafka_broker, kafka_topic):
    aiokafka = pytest.importorskip("aiokafka")
    async def talk():
        options = {"bootstrap_servers": kafka_broker.bootstrap_servers}
        async with aiokafka.AIOKafkaProducer(**options) as producer:
            await producer.send_and_wait(kafka_topic, b"async")
        async with aiokafka.AIOKafkaConsumer(kafka_topic, auto_offset_reset="earliest", **options) as consumer:
            return (await consumer.getone()).value
    assert asyncio.run(talk()) == b"async"

def test_settings(kafka_properties):
    assert kafka_properties["num.partitions"] == "7"
"""
SETTINGS = "[pytest]\nkafka_properties =\n    num.partitions=7\n    log.retention.hours = 1\n"


def run(folder: Path, *options: str, **variables: str) -> tuple[int, str]:
    """pytest in a process of its own; what it started must have ended with it."""
    command = [
        sys.executable,
        "-m",
        "pytest",
        "-p",
        "no:cacheprovider",
        "-p",
        "no:randomly",
        "--rootdir",
        ".",
    ]
    environment = {**os.environ, "PYTEST_ADDOPTS": "", **variables}
    process = subprocess.Popen(
        [*command, *options],
        cwd=folder,
        env=environment,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        start_new_session=True,
    )
    out, _ = process.communicate(timeout=150)
    for status in Path("/proc").glob("[0-9]*/stat"):
        try:
            session = int(status.read_text().rpartition(")")[2].split()[3])
        except OSError:
            continue
        assert session != process.pid, f"{status.parent.name} is still there\n{out}"
    return process.returncode, out


@pytest.mark.parametrize(
    "options", [("-q",), ("-n", "2"), ("--kafka-storage=directory",)], ids=["", "xdist", "disk"]
)
def test_fixtures(tmp_path: Path, options: tuple[str, ...]) -> None:
    (tmp_path / "test_it.py").write_text(TESTS)
    (tmp_path / "pytest.ini").write_text(SETTINGS)
    temporary = tmp_path / "temporary"
    temporary.mkdir()
    status, out = run(tmp_path, *options, TMPDIR=str(temporary))
    assert "8 passed" in out, out
    assert status == 0
    left = [path.name for path in temporary.iterdir() if not path.name.startswith("pytest-of-")]
    assert left == []


def test_a_failing_test_leaves_nothing(tmp_path: Path) -> None:
    (tmp_path / "test_it.py").write_text(
        "from pathlib import Path\n"
        "import tempfile\n"
        "def test_fails(kafka_broker, kafka_topic):\n"
        "    assert list(Path(tempfile.gettempdir()).glob(f'pybroker-test-*/{kafka_topic}-0'))\n"
        "    raise RuntimeError('as planned')\n"
        "def test_stops(kafka_broker, kafka_topic):\n"
        "    kafka_broker.stop()\n"
        "    raise SystemExit(5)\n"
    )
    temporary = tmp_path / "temporary"
    temporary.mkdir()
    status, out = run(tmp_path, "--kafka-storage=directory", TMPDIR=str(temporary))
    assert "2 failed" in out, out
    assert "as planned" in out
    assert status == 1
    assert "error" not in out.splitlines()[-1]
    assert list(temporary.iterdir()) == []


def test_a_wrong_setting_is_named(tmp_path: Path) -> None:
    (tmp_path / "test_it.py").write_text("def test_it(kafka_broker): pass\n")
    (tmp_path / "pytest.ini").write_text("[pytest]\nkafka_properties =\n    log.retention.hour=1\n")
    status, out = run(tmp_path)
    assert status == 1
    assert "did you mean log.retention.hours" in out


def test_start_is_quick() -> None:
    """Far below 100 ms of processor time, once the modules are there; wall time is the machine's."""
    with pybroker.Broker():
        pass
    before = time.process_time()
    with pybroker.Broker():
        took = time.process_time() - before
    assert took < 0.1


FORBIDDEN = (
    "asyncio",
    "ssl",
    "uvloop",
    "logging",
    "click",
    "socket",
    "cramjam",
    "zstandard",
    "pybroker.embedding",
)


def imported_by(module: str) -> set[str]:
    """What importing it brings, beyond what the interpreter has at its start."""
    program = f"import sys; old = set(sys.modules); import {module}; print(*(set(sys.modules) - old))"
    root = str(Path(pybroker.__file__).parents[1])
    command = [sys.executable, "-c", f"import sys; sys.path.insert(0, {root!r}); {program}"]
    return set(subprocess.check_output(command, text=True).split())


def test_importing_pybroker_is_cheap() -> None:
    found = imported_by("pybroker")
    assert {name for name in found if name.startswith(("pybroker", "connect"))} == {
        "pybroker",
        "pybroker.version",
    }
    assert found.isdisjoint(FORBIDDEN)


def test_importing_the_plug_in_imports_no_room() -> None:
    found = imported_by("pybroker.testing")
    assert {name for name in found if name.startswith("pybroker")} == {
        "pybroker",
        "pybroker.version",
        "pybroker.testing",
    }
    assert found.isdisjoint({"uvloop", "click", "cramjam", "zstandard", "confluent_kafka"})

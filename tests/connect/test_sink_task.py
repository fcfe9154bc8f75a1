"""What a sink task can ask for, in a worker: offsets of its own, retries, pauses, commits, dead letters."""

from __future__ import annotations

import json
import uuid
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from confluent_kafka import Producer

from tests.connect.workers import PythonWorker, Worker
from tests.processes import Server, wait_until

pytestmark = [pytest.mark.interop, pytest.mark.timeout(150)]

PLUGIN = """
import json
from connect.api.config_def import ConfigDef, Type
from connect.api.errors import RetriableError
from connect.api.sink import SinkConnector, SinkTask

CONFIG = ConfigDef().define("log", Type.STRING, doc="A file of events.").define("begin", Type.LONG, -1, doc="Offset.")


class AskingSink(SinkConnector):
    version = "1"

    def start(self, props):
        self.props = props

    def task_class(self):
        return AskingTask

    def task_configs(self, count):
        return [self.props]

    def stop(self):
        pass

    def config_def(self):
        return CONFIG


class AskingTask(SinkTask):
    version = "1"

    def start(self, props):
        config = CONFIG.parse(props)
        self.begin = config["begin"]
        self.stream = open(config["log"], "a", buffering=1)
        self.refused = 0
        self.seen = set()

    def tell(self, what, value):
        self.stream.write(json.dumps([what, value]) + "\\n")

    def open(self, partitions):
        self.tell("open", sorted(p.partition for p in partitions))
        if self.begin >= 0:
            self.context.offset({p: self.begin for p in partitions})

    def put(self, records):
        for record in records:
            if record.value == "bad":
                self.context.errant_record_reporter().report(record, ValueError("bad value"))
        if any(record.value == "retry" for record in records) and self.refused < 2:
            self.refused += 1
            self.tell("refuse", [r.kafka_offset for r in records])
            self.context.timeout(100)
            # Asked for while everything is paused: what comes has to wait its turn.
            self.context.resume(*self.context.assignment())
            raise RetriableError("again, please")
        for record in records:
            self.tell("put", [record.kafka_offset, record.value])
        if records:
            self.context.request_commit()

    def pre_commit(self, offsets):
        self.tell("commit", sorted(offsets.values()))
        return offsets

    def close(self, partitions):
        self.tell("close", sorted(p.partition for p in partitions))

    def stop(self):
        self.stream.close()
"""


def events(path: Path) -> list[Any]:
    return [json.loads(line) for line in path.read_text().splitlines()] if path.exists() else []


def puts(path: Path) -> list[Any]:
    return [value for what, value in events(path) if what == "put"]


def test_what_a_sink_task_asks_for(
    start_worker: Callable[..., Worker], connect_broker: Server, tmp_path: Path
) -> None:
    folder = tmp_path / "plugins"
    folder.mkdir()
    (folder / f"asking_{uuid.uuid4().hex[:8]}.py").write_text(PLUGIN)
    topic = name = f"ask-{uuid.uuid4().hex[:8]}"  # The name makes the consumer group.
    producer = Producer({"bootstrap.servers": connect_broker.bootstrap})

    def send(*values: str) -> None:
        for value in values:
            producer.produce(topic, value)
        assert producer.flush(20) == 0

    send("zero", "one", "two", "three")
    worker = start_worker(PythonWorker, distributed=False, plugin__path=str(folder))
    log = tmp_path / "log"
    config = {
        "connector.class": "AskingSink", "topics": topic, "log": str(log), "begin": "2", "errors.tolerance": "all",
        "errors.deadletterqueue.topic.name": f"dlq-{topic}", "errors.deadletterqueue.topic.replication.factor": "1",
    }  # fmt: skip
    assert worker.rest.create(name, config).status == 201
    wait_until(lambda: len(puts(log)) == 2, "the records from the offset that open asked for", 60, 0.1)
    assert puts(log) == [[2, "two"], [3, "three"]]
    send("retry")
    wait_until(lambda: any(what == "refuse" for what, _ in events(log)), "the first refusal", 30, 0.02)
    send("after", "bad", "last")
    wait_until(lambda: puts(log) and puts(log)[-1] == [7, "last"], "the last record", 60, 0.1)
    assert puts(log) == [[2, "two"], [3, "three"], [4, "retry"], [5, "after"], [6, "bad"], [7, "last"]]
    where = {"kafka_partition": 0, "kafka_topic": topic}
    stored = {"offsets": [{"partition": where, "offset": {"kafka_offset": 8}}]}
    wait_until(
        lambda: worker.rest.get(f"/connectors/{name}/offsets") == stored,
        "the commit that was asked for",
        30,
        0.1,
    )
    assert f'deadletterqueue_produce_requests{{connector="{name}",task="0"}} 1' in worker.rest.get("/metrics")
    assert worker.rest.put(f"/connectors/{name}/stop").status == 204
    worker.rest.await_states(name, "STOPPED", [])
    assert events(log)[-1] == ["close", [0]]

"""What is promised when things go wrong: exactly-once sources, tolerance of errors, dead letters, secrets."""

from __future__ import annotations

import itertools
import json
import time
import uuid
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from confluent_kafka import Consumer, KafkaError, Producer, TopicPartition

from tests.connect.workers import PythonWorker, Worker
from tests.processes import Server, wait_until

pytestmark = pytest.mark.timeout(300)

Start = Callable[..., Worker]
# Not much older than now, or the broker's retention would delete the record.
STAMP = int(time.time() * 1000) - 60_000


# Kafka's groups and names, but for its rates: they follow from the totals.
WORKER_METRICS = {
    "connect-worker-metrics": "connector-count task-count "
    + " ".join(
        f"{kind}-startup-{figure}"
        for kind in ("connector", "task")
        for figure in (
            ["attempts-total", "success-total", "failure-total", "success-percentage", "failure-percentage"]
        )
    )
    + "".join(
        f" connector-{state}-task-count"
        for state in ["total", "running", "paused", "failed", "unassigned", "destroyed", "restarting"]
    ),
    "connector-metrics": "status",
    "connector-task-metrics": "status running-ratio pause-ratio offset-commit-max-time-ms offset-commit-avg-time-ms "
    "offset-commit-failure-percentage offset-commit-success-percentage batch-size-max batch-size-avg",
    "task-error-metrics": "total-record-failures total-record-errors total-records-skipped total-retries "
    "total-errors-logged deadletterqueue-produce-requests deadletterqueue-produce-failures last-error-timestamp",
}
SOURCE_METRICS = {
    "source-task-metrics": "source-record-poll-total source-record-write-total poll-batch-max-time-ms "
    "poll-batch-avg-time-ms source-record-active-count source-record-active-count-max source-record-active-count-avg "
    "transaction-size-min transaction-size-max transaction-size-avg",
    "connect-worker-rebalance-metrics": "leader-name epoch completed-rebalances-total rebalancing rebalance-max-time-ms "
    "rebalance-avg-time-ms time-since-last-rebalance-ms",
}
SINK_METRICS = {
    "sink-task-metrics": "sink-record-read-total sink-record-send-total partition-count offset-commit-seq-no "
    "offset-commit-completion-total offset-commit-skip-total put-batch-max-time-ms put-batch-avg-time-ms "
    "sink-record-active-count sink-record-active-count-max sink-record-active-count-avg",
}


def missing_metrics(worker: Worker, *groups: dict[str, str]) -> set[str]:
    text = worker.rest.get("/metrics")
    shown = {line.partition("{")[0].split()[0] for line in text.splitlines() if not line.startswith("#")}
    wanted = {
        f"kafka_connect_{group}_{name}".replace("-", "_")
        for named in groups
        for group, names in named.items()
        for name in names.split()
    }
    return wanted - shown


def read_all(server: Server, topic: str, isolation: str = "read_committed") -> list[Any]:
    """Every record of partition 0, up to the end as it is now."""
    consumer = Consumer(
        {
            "bootstrap.servers": server.bootstrap,
            "group.id": uuid.uuid4().hex,
            "isolation.level": isolation,
            "enable.partition.eof": True,
            "auto.offset.reset": "earliest",
        }
    )
    consumer.assign([TopicPartition(topic, 0, 0)])
    found = []
    deadline = time.monotonic() + 20
    while time.monotonic() < deadline:
        message = consumer.poll(1)
        if message is None:
            continue
        error = message.error()
        if error is None:
            found.append(message)
        elif error.code() == KafkaError._PARTITION_EOF:
            break
    consumer.close()
    return found


def values(server: Server, topic: str) -> list[str]:
    return [message.value().decode() for message in read_all(server, topic)]


@pytest.mark.interop
@pytest.mark.parametrize("boundary", ["poll", "interval"])
def test_exactly_once_source(
    start_worker: Start, connect_broker: Server, tmp_path: Path, boundary: str
) -> None:
    """kill -9 in the middle of transactions: a reader of committed records sees each line once, in order."""
    properties = {
        "exactly__once__source__support": "enabled", "session__timeout__ms": "6000", "heartbeat__interval__ms": "1000", "scheduled__rebalance__max__delay__ms": "0",
    }  # fmt: skip
    workers = [start_worker(PythonWorker, **properties) for _ in range(2)]
    file, topic = tmp_path / "in.txt", f"eos-{boundary}-{uuid.uuid4().hex[:8]}"
    file.write_text("")
    config = {
        "connector.class": "FileStreamSource", "file": str(file), "topic": topic, "batch.size": "50", "exactly.once.support": "required",
        "transaction.boundary": boundary, "transaction.boundary.interval.ms": "200",
    }  # fmt: skip
    answer = workers[0].rest.create("eos", config)
    assert answer.status == 201, answer
    workers[0].rest.await_states("eos", "RUNNING", ["RUNNING"], 60)
    written = 0

    def write(count: int) -> None:
        nonlocal written
        with file.open("a") as stream:
            stream.writelines(f"{n}\n" for n in range(written, written + count))
        written += count

    for _ in range(2):
        write(3000)
        wait_until(
            lambda: len(read_all(connect_broker, topic, "read_uncommitted")) > written - 2900,
            "some lines",
            60,
            0.05,
        )
        status = next(w for w in workers if w.process and w.process.poll() is None).rest.get(
            "/connectors/eos/status"
        )
        victim = next(w for w in workers if w.worker_id == status["tasks"][0]["worker_id"])
        survivor = next(w for w in workers if w is not victim)
        victim.kill()
        write(3000)
        survivor.rest.await_states("eos", "RUNNING", ["RUNNING"], 90)
        workers[workers.index(victim)] = start_worker(PythonWorker, directory=victim.directory, **properties)
        survivor.rest.await_states("eos", "RUNNING", ["RUNNING"], 90)
    expected = [str(n) for n in range(written)]
    wait_until(lambda: len(values(connect_broker, topic)) >= written, f"{written} lines", 90, 0.3)
    assert values(connect_broker, topic) == expected
    for worker in workers:
        assert worker.rest.put("/connectors/eos/stop").status == 204
    workers[0].rest.await_states("eos", "STOPPED", [])
    assert workers[1].rest.delete("/connectors/eos/offsets").status == 200


@pytest.mark.interop
def test_exactly_once_is_switched_on_worker_by_worker(
    start_worker: Start, connect_broker: Server, tmp_path: Path
) -> None:
    """disabled -> preparing -> enabled, one rolling restart each, while lines flow and the key with which the
    workers sign their requests to each other changes every second."""
    properties = {"inter__worker__key__ttl__ms": "1000", "scheduled__rebalance__max__delay__ms": "0"}
    workers = [start_worker(PythonWorker, **properties) for _ in range(2)]
    prefix = f"roll-{uuid.uuid4().hex[:8]}"
    written = 0

    def config(name: str) -> dict[str, str]:
        return {
            "connector.class": "FileStreamSource",
            "file": str(tmp_path / name),
            "topic": f"{prefix}-{name}",
        }

    def write_and_await(what: str) -> None:
        nonlocal written
        written += 100
        for name in ("a", "b"):
            with (tmp_path / name).open("a") as stream:
                stream.writelines(f"{n}\n" for n in range(written - 100, written))
        for name in ("a", "b"):
            wait_until(
                lambda name=name: str(written - 1) in values(connect_broker, f"{prefix}-{name}")[-1:],
                f"the lines of {name} after {what}",
                60,
                0.1,
            )

    for name in ("a", "b"):  # One on each worker, so one of them is the leader's follower.
        assert workers[0].rest.create(name, config(name)).status == 201
        workers[0].rest.await_states(name, "RUNNING", ["RUNNING"], 60)
    write_and_await("the start")
    refused = workers[0].rest.create("c", {**config("a"), "exactly.once.support": "required"})
    assert refused.status == 400
    for stage in ("preparing", "enabled"):
        for worker in workers:
            worker.stop()
            worker.properties["exactly.once.source.support"] = stage
            worker.start()
            for name in ("a", "b"):
                worker.rest.await_states(name, "RUNNING", ["RUNNING"], 60)
            write_and_await(f"{worker.worker_id} was {stage}")
    once = written
    for name in ("a", "b"):  # The tasks' new configurations go to the leader in a signed request.
        changed = {**config(name), "batch.size": "7", "exactly.once.support": "required"}
        assert workers[0].rest.put(f"/connectors/{name}/config", changed).status == 200
        wait_until(
            lambda name=name: (
                workers[0].rest.get(f"/connectors/{name}/tasks")[0]["config"].get("batch.size") == "7"
            ),
            "the task's new configuration",
            60,
            0.1,
        )
        workers[0].rest.await_states(name, "RUNNING", ["RUNNING"], 60)
    write_and_await("all were enabled")
    expected = [str(n) for n in range(written)]
    for name in ("a", "b"):
        found = values(connect_broker, f"{prefix}-{name}")
        assert list(dict.fromkeys(found)) == expected
        assert [line for line in found if int(line) >= once] == expected[once:]
    records = read_all(connect_broker, workers[0].properties["config.storage.topic"])
    keys = [json.loads(record.value()) for record in records if record.key() == b"session-key"]
    stamps = [key["creation-timestamp"] for key in keys]
    assert len(keys) >= 4
    assert len({key["key"] for key in keys}) == len(keys)
    assert all(later - earlier >= 1000 for earlier, later in itertools.pairwise(stamps))
    fenced = {record.key().decode() for record in records if record.key().startswith(b"tasks-fencing-")}
    assert fenced == {"tasks-fencing-a", "tasks-fencing-b"}


@pytest.fixture
def produce(connect_broker: Server) -> Callable[..., None]:
    def send(topic: str, *records: bytes, headers: Any = None) -> None:
        producer = Producer({"bootstrap.servers": connect_broker.bootstrap})
        for record in records:
            producer.produce(topic, record, b"key", headers=headers, timestamp=STAMP)
        assert producer.flush(20) == 0

    return send


@pytest.mark.interop
def test_dead_letters(
    start_worker: Start, connect_broker: Server, tmp_path: Path, produce: Callable[..., None]
) -> None:
    worker = start_worker(PythonWorker, distributed=False)
    topic, letters, out = f"d-{uuid.uuid4().hex[:8]}", f"dlq-{uuid.uuid4().hex[:8]}", tmp_path / "out.txt"
    produce(topic, b'{"a":1}', b"broken", b'{"a":2}', headers=[("own", b"1")])
    config = {
        "connector.class": "FileStreamSink", "topics": topic, "file": str(out), "value.converter": "JsonConverter", "value.converter.schemas.enable": "false",
        "errors.tolerance": "all", "errors.log.enable": "true", "errors.deadletterqueue.topic.name": letters,
        "errors.deadletterqueue.topic.replication.factor": "1", "errors.deadletterqueue.context.headers.enable": "true",
    }  # fmt: skip
    assert worker.rest.create("dead", config).status == 201
    wait_until(lambda: out.exists() and out.read_text() == "{a=1}\n{a=2}\n", "the good records", 60, 0.1)
    wait_until(lambda: read_all(connect_broker, letters), "the dead letter", 30, 0.2)
    (letter,) = read_all(connect_broker, letters)
    assert (letter.key(), letter.value(), letter.timestamp()[1]) == (b"key", b"broken", STAMP)
    headers = dict(letter.headers())
    prefix = "__connect.errors."
    assert list(headers) == ["own"] + [
        prefix + name
        for name in (
            "topic", "partition", "offset", "connector.name", "task.id", "stage", "class.name", "exception.class.name", "exception.message", "exception.stacktrace",
        )
    ]  # fmt: skip
    assert headers[prefix + "topic"] == topic.encode()
    assert (headers[prefix + "offset"], headers[prefix + "stage"], headers[prefix + "task.id"]) == (
        b"1",
        b"VALUE_CONVERTER",
        b"0",
    )
    assert headers[prefix + "class.name"] == b"org.apache.kafka.connect.json.JsonConverter"
    assert headers[prefix + "exception.class.name"] == b"org.apache.kafka.connect.errors.DataException"
    assert "Error encountered in task dead-0" in worker.log_text()
    metrics = worker.rest.get("/metrics")
    assert 'kafka_connect_task_error_metrics_total_records_skipped{connector="dead",task="0"} 1' in metrics
    assert (
        'kafka_connect_task_error_metrics_deadletterqueue_produce_requests{connector="dead",task="0"} 1'
        in metrics
    )
    assert 'kafka_connect_sink_task_metrics_sink_record_send_total{connector="dead",task="0"} 2' in metrics
    assert missing_metrics(worker, WORKER_METRICS, SINK_METRICS) == set()
    active = 'kafka_connect_sink_task_metrics_sink_record_active_count{connector="dead",task="0"}'
    wait_until(lambda: f"{active} 0" in worker.rest.get("/metrics"), "all to be committed", 30, 0.1)
    assert f"{active.replace('count{', 'count_max{')} 0" not in worker.rest.get("/metrics")


@pytest.mark.interop
def test_no_tolerance(start_worker: Start, tmp_path: Path, produce: Callable[..., None]) -> None:
    worker = start_worker(PythonWorker, distributed=False)
    topic = f"n-{uuid.uuid4().hex[:8]}"
    produce(topic, b"broken")
    config = {
        "connector.class": "FileStreamSink",
        "topics": topic,
        "file": str(tmp_path / "o"),
        "value.converter": "JsonConverter",
    }
    assert worker.rest.create("strict", config).status == 201
    worker.rest.await_states("strict", "RUNNING", ["FAILED"], 60)
    trace = worker.rest.get("/connectors/strict/status")["tasks"][0]["trace"]
    assert trace.startswith(
        "org.apache.kafka.connect.errors.ConnectException: Tolerance exceeded in error handler"
    )
    assert "Caused by: org.apache.kafka.connect.errors.DataException" in trace


@pytest.mark.interop
def test_transforms_in_a_chain(start_worker: Start, connect_broker: Server, tmp_path: Path) -> None:
    worker = start_worker(PythonWorker, distributed=False)
    (tmp_path / "in.txt").write_text("a\nb\n")
    topic = f"chain-{uuid.uuid4().hex[:8]}"
    package = "org.apache.kafka.connect.transforms."
    config = {
        "connector.class": "FileStreamSource", "file": str(tmp_path / "in.txt"), "topic": "raw", "value.converter": "JsonConverter",
        "value.converter.schemas.enable": "false", "transforms": "hoist,mark,route,drop", "transforms.hoist.type": f"{package}HoistField$Value",
        "transforms.hoist.field": "line", "transforms.mark.type": f"{package}InsertField$Value", "transforms.mark.static.field": "by",
        "transforms.mark.static.value": "test", "transforms.route.type": "RegexRouter", "transforms.route.regex": "raw", "transforms.route.replacement": topic,
        "transforms.drop.type": "Filter", "transforms.drop.predicate": "other", "predicates": "other", "predicates.other.type": "TopicNameMatches",
        "predicates.other.pattern": topic, "transforms.drop.negate": "true", "topic.creation.default.partitions": "1", "topic.creation.default.replication.factor": "1",
    }  # fmt: skip
    answer = worker.rest.create("chain", config)
    assert answer.status == 201, answer
    worker.rest.await_states("chain", "RUNNING", ["RUNNING"])
    wait_until(lambda: len(read_all(connect_broker, topic)) == 2, "both records", 30, 0.2)
    assert [json.loads(text) for text in values(connect_broker, topic)] == [
        {"line": "a", "by": "test"},
        {"line": "b", "by": "test"},
    ]
    bad = {**config, "transforms.drop.predicate": "nobody"}
    assert "Predicate is not among" in worker.rest.create("chain2", bad).message


@pytest.mark.interop
def test_secrets_stay_references(start_worker: Start, connect_broker: Server, tmp_path: Path) -> None:
    secrets = tmp_path / "secrets"
    secrets.mkdir()
    (secrets / "s.properties").write_text(f"file={tmp_path}/in.txt\n")
    (tmp_path / "outside.properties").write_text("file=x\n")
    (tmp_path / "in.txt").write_text("line\n")
    providers = {
        "config.providers": "f", "config.providers.f.class": "FileConfigProvider", "config.providers.f.param.allowed.paths": str(secrets),
    }  # fmt: skip
    worker = start_worker(PythonWorker, distributed=False, **providers)
    topic = f"secret-{uuid.uuid4().hex[:8]}"
    reference = f"${{f:{secrets}/s.properties:file}}"
    assert (
        worker.rest.create(
            "s", {"connector.class": "FileStreamSource", "file": reference, "topic": topic}
        ).status
        == 201
    )
    worker.rest.await_states("s", "RUNNING", ["RUNNING"])
    wait_until(lambda: worker.rest.get("/connectors/s/offsets")["offsets"], "the offset", 30, 0.1)
    assert worker.rest.get("/connectors/s/config")["file"] == reference
    assert worker.rest.get("/connectors/s/tasks")[0]["config"]["file"] == reference
    escape = f"${{f:{secrets}/../outside.properties:file}}"
    answer = worker.rest.create("t", {"connector.class": "FileStreamSource", "file": escape, "topic": topic})
    assert answer.status >= 400
    assert "not allowed by allowed.paths" in answer.message


@pytest.mark.interop
def test_standalone_restart_goes_on(start_worker: Start, connect_broker: Server, tmp_path: Path) -> None:
    """Connector files of all three forms; offsets survive a restart in the file."""
    topic = f"alone-{uuid.uuid4().hex[:8]}"
    (tmp_path / "in.txt").write_text("one\n")
    common = {"connector.class": "FileStreamSource", "file": str(tmp_path / "in.txt"), "topic": topic}
    properties, posted, put = tmp_path / "a.properties", tmp_path / "b.json", tmp_path / "c.json"
    properties.write_text("".join(f"{k}={v}\n" for k, v in {"name": "a", **common}.items()))
    posted.write_text(
        json.dumps({"name": "b", "config": {**common, "topic": topic + "-b"}, "initial_state": "STOPPED"})
    )
    put.write_text(json.dumps({"name": "c", **common, "topic": topic + "-c"}))
    worker = start_worker(PythonWorker, distributed=False, files=[properties, posted, put])
    worker.rest.await_states("a", "RUNNING", ["RUNNING"])
    worker.rest.await_states("b", "STOPPED", [])
    worker.rest.await_states("c", "RUNNING", ["RUNNING"])
    wait_until(lambda: worker.rest.get("/connectors/a/offsets")["offsets"], "the offset", 30, 0.1)
    worker.stop()
    with (tmp_path / "in.txt").open("a") as file:
        file.write("two\n")
    again = start_worker(PythonWorker, distributed=False, files=[properties], directory=worker.directory)
    again.rest.await_states("a", "RUNNING", ["RUNNING"])
    wait_until(lambda: len(values(connect_broker, topic)) == 2, "two lines", 30, 0.2)
    assert values(connect_broker, topic) == ["one", "two"]


@pytest.mark.interop
def test_bad_worker_topics(connect_broker: Server, tmp_path: Path, start_worker: Start) -> None:
    """A config topic with two partitions, or one that is not compacted, keeps the worker from starting."""
    from confluent_kafka.admin import AdminClient, NewTopic

    admin = AdminClient({"bootstrap.servers": connect_broker.bootstrap})
    two, deleting = f"two-{uuid.uuid4().hex[:8]}", f"deleting-{uuid.uuid4().hex[:8]}"
    made = admin.create_topics(
        [NewTopic(two, 2, 1, config={"cleanup.policy": "compact"}), NewTopic(deleting, 1, 1)]
    )
    for future in made.values():
        future.result()
    for topic, reason in ((two, "required to have a single partition"), (deleting, "cleanup.policy=delete")):
        with pytest.raises(AssertionError, match="ended with 3") as caught:
            start_worker(PythonWorker, config__storage__topic=topic, directory=tmp_path / topic)
        assert reason in str(caught.value)
        assert topic in str(caught.value)


BOUNDARIES = """
from connect.api.config_def import ConfigDef, Type
from connect.api.connector import ConnectorTransactionBoundaries
from connect.api.data import STRING_SCHEMA
from connect.api.source import ExactlyOnceSupport, SourceConnector, SourceRecord, SourceTask

CONFIG = ConfigDef().define("topic", Type.STRING, doc="t")


class Deciding(SourceConnector):
    version = "1"

    def start(self, props):
        self.props = props

    def task_class(self):
        return DecidingTask

    def task_configs(self, count):
        return [self.props]

    def stop(self):
        pass

    def config_def(self):
        return CONFIG

    def exactly_once_support(self, props):
        return ExactlyOnceSupport.SUPPORTED

    def can_define_transaction_boundaries(self, props):
        return ConnectorTransactionBoundaries.SUPPORTED


class DecidingTask(SourceTask):
    version = "1"

    def start(self, props):
        self.topic = props["topic"]
        stored = self.context.offset_storage_reader().offset({"p": "x"})
        self.batch = (stored or {"n": -1})["n"] + 1

    def poll(self):
        if self.batch > 3:
            import time

            time.sleep(0.05)
            return None
        batch, self.batch = self.batch, self.batch + 1
        records = [
            SourceRecord({"p": "x"}, {"n": batch}, self.topic, value_schema=STRING_SCHEMA, value=f"{batch}-{n}") for n in range(3)
        ]
        context = self.context.transaction_context()
        if batch == 1:
            context.abort_transaction()
        elif batch == 2:
            context.commit_transaction(records[0])
            context.abort_transaction(records[2])
        else:
            context.commit_transaction()
        return records

    def stop(self):
        pass
"""


@pytest.mark.interop
def test_boundaries_of_the_connector(start_worker: Start, connect_broker: Server, tmp_path: Path) -> None:
    """What is aborted is never seen, and does not come again after a restart."""
    (tmp_path / f"deciding_{uuid.uuid4().hex[:8]}.py").write_text(BOUNDARIES)
    worker = start_worker(PythonWorker, exactly__once__source__support="enabled", plugin__path=str(tmp_path))
    topic = f"bounds-{uuid.uuid4().hex[:8]}"
    config = {
        "connector.class": "Deciding",
        "topic": topic,
        "exactly.once.support": "required",
        "transaction.boundary": "connector",
    }
    answer = worker.rest.create("d", config)
    assert answer.status == 201, answer
    expected = ["0-0", "0-1", "0-2", "2-0", "3-0", "3-1", "3-2"]
    worker.rest.await_states("d", "RUNNING", ["RUNNING"], 60)
    wait_until(lambda: values(connect_broker, topic) == expected, "the committed records", 60, 0.3)
    assert worker.rest.get("/connectors/d/offsets") == {
        "offsets": [{"partition": {"p": "x"}, "offset": {"n": 3}}]
    }
    assert missing_metrics(worker, WORKER_METRICS, SOURCE_METRICS) == set()
    assert worker.rest.post("/connectors/d/restart?includeTasks=true").status == 202
    worker.rest.await_states("d", "RUNNING", ["RUNNING"], 60)
    assert values(connect_broker, topic) == expected
    files = {
        "connector.class": "FileStreamSource",
        "file": "f",
        "topic": topic,
        "transaction.boundary": "connector",
    }
    assert (
        "does not support connector-defined transaction boundaries" in worker.rest.create("e", files).message
    )

"""The REST API's contract: the same tests pass on our worker and on Apache Kafka's, in both modes.

Rows of the design's table of observed answers. Where the two differ on purpose (malformed JSON is a 400 here and
a 500 there), the test says so; docs/connect.md lists these differences.
"""

from __future__ import annotations

import itertools
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.connect.workers import Client, JavaWorker, Worker
from tests.processes import wait_until

pytestmark = [pytest.mark.interop, pytest.mark.timeout(240)]

_numbers = itertools.count()
SOURCE = "org.apache.kafka.connect.file.FileStreamSourceConnector"
SINK = "org.apache.kafka.connect.file.FileStreamSinkConnector"


@pytest.fixture
def rest(contract_worker: Worker) -> Client:
    return contract_worker.rest


@pytest.fixture
def is_java(contract_worker: Worker) -> bool:
    return isinstance(contract_worker, JavaWorker)


@pytest.fixture
def distributed(contract_worker: Worker) -> bool:
    return contract_worker.distributed


@pytest.fixture
def name(contract_worker: Worker) -> Iterator[str]:
    """A connector's name, removed in the end."""
    chosen = f"c{next(_numbers)}"
    yield chosen
    contract_worker.rest.delete(f"/connectors/{chosen}")


def source(tmp_path: Path, name: str, **more: Any) -> dict[str, Any]:
    file = tmp_path / f"{name}.txt"
    if not file.exists():
        file.write_text("one\ntwo\nthree\n")
    return {"connector.class": "FileStreamSource", "file": str(file), "topic": f"topic-{name}", **more}


def sink(tmp_path: Path, name: str, topics: str, **more: Any) -> dict[str, Any]:
    return {
        "connector.class": "FileStreamSink",
        "file": str(tmp_path / f"{name}.out"),
        "topics": topics,
        **more,
    }


def is_error(answer: Any, status: int, message: str | None = None) -> None:
    assert answer.status == status, answer
    assert answer.body["error_code"] == status
    if message is not None:
        assert answer.message == message


def is_invalid(answer: Any, *lines: str, count: int | None = None) -> None:
    assert answer.status == 400, answer
    text = answer.message.splitlines()
    number = count if count is not None else len(lines)
    assert text[0] == f"Connector configuration is invalid and contains the following {number} error(s):", (
        answer
    )
    assert text[-1].endswith("`/connector-plugins/{connectorType}/config/validate`")
    for line in lines:
        assert any(line in given for given in text[1:-1]), (line, text)


# Root, unknown paths, content.


def test_root(rest: Client) -> None:
    body = rest.get("/")
    assert list(body) == ["version", "commit", "kafka_cluster_id"]
    assert body["version"] == "4.3.0"
    assert len(body["commit"]) == 16


def test_health(rest: Client) -> None:
    body = rest.get("/health")
    assert body["status"] == "healthy"
    assert body["message"]


@pytest.mark.parametrize(
    "path",
    [
        "/nothing",
        "/connector-plugins/X",
        "/connectors/c/tasks/0",
        "/connectors/c/tasks-config",
        "/application.wadl",
    ],
)
def test_unknown_path(rest: Client, path: str) -> None:
    is_error(rest.call("GET", path), 404, "HTTP 404 Not Found")


@pytest.mark.parametrize(
    ("method", "path"),
    [
        ("DELETE", "/connectors"),
        ("POST", "/connector-plugins/X/config/validate"),
        ("PUT", "/connectors/c/offsets"),
        ("GET", "/connectors/c/topics/reset"),
    ],
)
def test_wrong_method(rest: Client, method: str, path: str) -> None:
    is_error(rest.call(method, path), 405, "HTTP 405 Method Not Allowed")


def test_content_types(rest: Client) -> None:
    is_error(
        rest.call("POST", "/connectors", raw=b"{}", headers={"Content-Type": "text/plain"}),
        415,
        "HTTP 415 Unsupported Media Type",
    )
    is_error(
        rest.call("GET", "/connectors", headers={"Accept": "text/plain"}), 406, "HTTP 406 Not Acceptable"
    )
    answer = rest.call(
        "POST",
        "/connectors",
        raw=b'{"name":"","config":{}}',
        headers={"Content-Type": "application/json; charset=utf-8"},
    )
    assert answer.status == 400
    assert rest.get("/connectors/") == rest.get("/connectors")
    assert rest.call("HEAD", "/connectors").status == 200


def test_options(rest: Client) -> None:
    answer = rest.call("OPTIONS", "/connectors", headers={"Accept": "*/*"})
    assert answer.status == 200
    assert set(answer.headers["Allow"].replace(" ", "").split(",")) == {"HEAD", "POST", "GET", "OPTIONS"}


@pytest.mark.parametrize(
    "body",
    [
        b"{bad",
        b"[]",
        b'"x"',
        b'{"name":"a","config":{}} x',
        b'{"name":"a","config":{},"other":1}',
        b'{"name":"a","config":[]}',
        b"null",
    ],
)
def test_malformed_bodies(rest: Client, is_java: bool, body: bytes) -> None:
    is_error(rest.call("POST", "/connectors", raw=body), 500 if is_java else 400)


# POST.


def test_create(rest: Client, tmp_path: Path, name: str, distributed: bool) -> None:
    config = source(tmp_path, name)
    answer = rest.create(name, config)
    assert answer.status == 201
    assert answer.headers["Location"] == f"{rest.url}/connectors/{name}"
    assert list(answer.body) == ["name", "config", "tasks", "type"]
    assert list(answer.body["config"].items()) == [*config.items(), ("name", name)]
    assert answer.body["type"] == "source"
    assert answer.body["tasks"] == ([] if distributed else [{"connector": name, "task": 0}])
    is_error(rest.create(name, config), 409, f"Connector {name} already exists")
    rest.await_states(name, "RUNNING", ["RUNNING"])
    info = rest.get(f"/connectors/{name}")
    assert info == {
        "name": name,
        "config": {**config, "name": name},
        "tasks": [{"connector": name, "task": 0}],
        "type": "source",
    }
    assert rest.get(f"/connectors/{name}/config") == {**config, "name": name}
    (task,) = rest.get(f"/connectors/{name}/tasks")
    assert task["id"] == {"connector": name, "task": 0}
    assert task["config"]["task.class"] == "org.apache.kafka.connect.file.FileStreamSourceTask"
    assert name in rest.get("/connectors")


def test_names(rest: Client, tmp_path: Path, name: str) -> None:
    config = source(tmp_path, name)
    for body in ({"config": config}, {"name": "", "config": config}, {"name": "  ", "config": config}):
        is_invalid(
            rest.post("/connectors", body), "Invalid value  for configuration name: String may not be empty"
        )
    is_invalid(rest.create("a\x01b", config), "may not contain control sequences")
    is_error(
        rest.create("a", {**config, "name": "b"}),
        400,
        "Connector name configuration (b) doesn't match connector name in the URL (a)",
    )
    odd = f" {name} "
    assert rest.create(odd, config).body["name"] == name


def test_name_with_spaces_and_unicode(rest: Client, tmp_path: Path) -> None:
    name = "my ñame+x"
    assert rest.create(name, source(tmp_path, "odd")).status == 201
    path = "/connectors/my%20%C3%B1ame+x"
    try:
        rest_name = rest.get(path)["name"]
        assert rest_name == name
    finally:
        assert rest.delete(path).status == 204


def test_connector_class(rest: Client, name: str) -> None:
    is_error(rest.create("a", {}), 400, "Connector config {name=a} contains no connector type")
    for cls in ("Nope", ""):
        answer = rest.create(name, {"connector.class": cls, "topic": "t"})
        is_error(answer, 400)
        assert SOURCE in answer.message
        assert SINK in answer.message


def test_bad_values(rest: Client, tmp_path: Path, name: str) -> None:
    no_topic = {"connector.class": SOURCE, "file": "f"}
    is_invalid(
        rest.create(name, no_topic), 'Missing required configuration "topic" which has no default value.'
    )
    bad = source(
        tmp_path, name, **{"tasks.max": "0", "errors.tolerance": "most", "batch.size": "abc", "topic": ""}
    )
    is_invalid(
        rest.create(name, bad),
        "Invalid value 0 for configuration tasks.max: Value must be at least 1",
        "Invalid value most for configuration errors.tolerance: String must be one of: none, all",
        "Invalid value abc for configuration batch.size: Not a number of type INT",
        "Invalid value  for configuration topic: String must be non-empty",
    )


def test_converters(rest: Client, tmp_path: Path, name: str) -> None:
    config = source(tmp_path, name)
    is_invalid(
        rest.create(name, {**config, "value.converter": "com.x.Nope"}),
        "Invalid value com.x.Nope for configuration value.converter: Class com.x.Nope could not be found.",
    )
    other = "org.apache.kafka.connect.transforms.RegexRouter"
    is_invalid(rest.create(name, {**config, "value.converter": other}), other)
    is_invalid(
        rest.create(
            name, {**config, "value.converter": "JsonConverter", "value.converter.schemas.enable": "maybe"}
        ),
        "Invalid value maybe for configuration schemas.enable: Expected value to be either true or false",
    )


def test_transforms(rest: Client, tmp_path: Path, name: str) -> None:
    config = source(tmp_path, name)
    is_invalid(rest.create(name, {**config, "transforms": "x"}), "transforms.x.type")
    is_invalid(
        rest.create(name, {**config, "transforms": "x", "transforms.x.type": "a.Nope"}),
        "Class a.Nope could not be found.",
    )
    hoist = "org.apache.kafka.connect.transforms.HoistField$Value"
    is_invalid(
        rest.create(name, {**config, "transforms": "x", "transforms.x.type": hoist}), "transforms.x.field"
    )
    answer = rest.create(
        name, {**config, "transforms": "x,x", "transforms.x.type": hoist, "transforms.x.field": "f"}
    )
    is_invalid(answer, "Duplicate alias provided.")


def test_sink_topics(rest: Client, tmp_path: Path, name: str) -> None:
    config = sink(tmp_path, name, "t")
    none = {key: value for key, value in config.items() if key != "topics"}
    is_invalid(rest.create(name, none), "Must configure one of topics or topics.regex", count=2)
    is_invalid(
        rest.create(name, {**config, "topics.regex": "t.*"}),
        "topics and topics.regex are mutually exclusive options, but both are set.",
        count=2,
    )
    is_invalid(
        rest.create(name, {**config, "errors.deadletterqueue.topic.name": "t"}),
        "The DLQ topic 't' may not be included in the list of topics",
    )
    is_invalid(
        rest.create(name, {**none, "topics.regex": "t.*", "errors.deadletterqueue.topic.name": "tx"}),
        "The DLQ topic 'tx' may not be matched by the regex",
    )
    is_invalid(rest.create(name, {**none, "topics.regex": "["}), "topics.regex")


def test_exactly_once_required(rest: Client, tmp_path: Path, name: str, distributed: bool) -> None:
    answer = rest.create(name, source(tmp_path, name, **{"exactly.once.support": "required"}))
    if distributed:
        is_invalid(answer, "exactly-once", count=1)
    else:
        assert answer.status == 201


@pytest.mark.parametrize(
    ("given", "state"), [("STOPPED", "STOPPED"), ("paused", "PAUSED"), (None, "RUNNING")]
)
def test_initial_state(rest: Client, tmp_path: Path, name: str, given: str | None, state: str) -> None:
    assert rest.create(name, source(tmp_path, name), initial_state=given).status == 201
    rest.await_states(name, state, [] if given else ["RUNNING"])


def test_unknown_initial_state(rest: Client, tmp_path: Path, name: str, is_java: bool) -> None:
    is_error(rest.create(name, source(tmp_path, name), initial_state="GONE"), 500 if is_java else 400)


def test_values_may_be_numbers(rest: Client, tmp_path: Path, name: str) -> None:
    assert (
        rest.create(name, source(tmp_path, name, **{"tasks.max": 1, "errors.log.enable": True})).status == 201
    )
    config = rest.get(f"/connectors/{name}/config")
    assert (config["tasks.max"], config["errors.log.enable"]) == ("1", "true")


# Config.


def test_expand(rest: Client, tmp_path: Path, name: str) -> None:
    rest.create(name, source(tmp_path, name))
    rest.await_states(name, "RUNNING", ["RUNNING"])
    assert rest.get("/connectors?expand=x")[name] == {}
    both = rest.get("/connectors?expand=status&expand=info")[name]
    assert both == {"status": rest.get(f"/connectors/{name}/status"), "info": rest.get(f"/connectors/{name}")}


@pytest.mark.parametrize(
    ("method", "path"),
    [
        ("GET", ""),
        ("GET", "/config"),
        ("GET", "/tasks"),
        ("GET", "/offsets"),
        ("DELETE", ""),
        ("PATCH", "/config"),
    ],
)
def test_unknown_connector(rest: Client, method: str, path: str) -> None:
    is_error(
        rest.call(method, f"/connectors/nope{path}", {} if method == "PATCH" else None),
        404,
        "Connector nope not found",
    )


def test_put_config(rest: Client, tmp_path: Path, name: str) -> None:
    config = source(tmp_path, name)
    created = rest.put(f"/connectors/{name}/config", config)
    assert (created.status, created.headers["Location"]) == (201, f"{rest.url}/connectors/{name}")
    rest.await_states(name, "RUNNING", ["RUNNING"])
    changed = rest.put(f"/connectors/{name}/config", {**config, "batch.size": "7"})
    assert changed.status == 200
    assert changed.body["tasks"] == [{"connector": name, "task": 0}]
    wait_until(
        lambda: rest.get(f"/connectors/{name}/tasks")[0]["config"].get("batch.size") == "7",
        "the task's new configuration",
    )
    is_error(rest.put(f"/connectors/{name}/config", {}), 400)
    other = rest.put(f"/connectors/{name}/config", sink(tmp_path, name, f"topic-{name}"))
    assert (other.status, other.body["type"]) == (200, "sink")


def test_patch_config(rest: Client, tmp_path: Path, name: str) -> None:
    rest.create(name, source(tmp_path, name))
    path = f"/connectors/{name}/config"
    assert rest.patch(path, {"k": "v"}).body["config"]["k"] == "v"
    assert "k" not in rest.patch(path, {"k": None}).body["config"]
    for patch in ({"unknown": None}, {}):
        assert rest.patch(path, patch).status == 200
    assert rest.patch(path, {"tasks.max": 2}).body["config"]["tasks.max"] == "2"
    is_invalid(rest.patch(path, {"topic": None}), "topic")
    is_invalid(rest.patch(path, {"batch.size": "x"}), "batch.size")


def test_delete(rest: Client, tmp_path: Path, name: str) -> None:
    rest.create(name, source(tmp_path, name))
    rest.await_states(name, "RUNNING", ["RUNNING"])
    assert rest.delete(f"/connectors/{name}").status == 204
    is_error(rest.delete(f"/connectors/{name}"), 404, f"Connector {name} not found")
    wait_until(
        lambda: rest.call("GET", f"/connectors/{name}/status").status == 404, "the status to go", 20, 0.1
    )


# State.


def test_status(rest: Client, tmp_path: Path, name: str, contract_worker: Worker) -> None:
    is_error(rest.call("GET", "/connectors/nope/status"), 404, "No status found for connector nope")
    rest.create(name, source(tmp_path, name))
    rest.await_states(name, "RUNNING", ["RUNNING"])
    worker = contract_worker.worker_id
    running = {"state": "RUNNING", "worker_id": worker, "version": "4.3.0"}
    assert rest.get(f"/connectors/{name}/status") == {
        "name": name,
        "connector": running,
        "tasks": [{"id": 0, **running}],
        "type": "source",
    }
    assert rest.get(f"/connectors/{name}/tasks/0/status") == {"id": 0, **running}
    is_error(
        rest.call("GET", f"/connectors/{name}/tasks/9/status"), 404, f"No status found for task {name}-9"
    )
    is_error(rest.call("GET", f"/connectors/{name}/tasks/x/status"), 404, "HTTP 404 Not Found")


def test_pause_resume_stop(rest: Client, tmp_path: Path, name: str) -> None:
    rest.create(name, source(tmp_path, name))
    rest.await_states(name, "RUNNING", ["RUNNING"])
    path = f"/connectors/{name}"
    for _ in range(2):
        answer = rest.put(f"{path}/pause")
        assert (answer.status, answer.body) == (202, None)
    rest.await_states(name, "PAUSED", ["PAUSED"])
    assert rest.patch(f"{path}/config", {"x": "y"}).status == 200
    rest.await_states(name, "PAUSED", ["PAUSED"])
    assert rest.put(f"{path}/resume").status == 202
    rest.await_states(name, "RUNNING", ["RUNNING"])
    for _ in range(2):
        answer = rest.put(f"{path}/stop")
        assert (answer.status, answer.body) == (204, None)
    rest.await_states(name, "STOPPED", [])
    assert rest.get(f"{path}/config")["x"] == "y"
    assert rest.get(f"{path}/tasks") == []
    assert rest.put(f"{path}/resume").status == 202
    rest.await_states(name, "RUNNING", ["RUNNING"])


def test_states_of_an_unknown_connector(rest: Client, distributed: bool) -> None:
    for action in ("pause", "resume"):
        is_error(rest.put(f"/connectors/nope/{action}"), 404, "Unknown connector nope")
    stop = rest.put("/connectors/nope/stop")
    assert stop.status == (404 if distributed else 500)
    restart = rest.post("/connectors/nope/restart")
    is_error(restart, 404 if distributed else 500)
    if distributed:
        assert restart.message == "Unknown connector: nope"
    is_error(rest.post("/connectors/nope/restart?includeTasks=true"), 404)


def test_restart(rest: Client, tmp_path: Path, name: str, distributed: bool) -> None:
    rest.create(name, source(tmp_path, name))
    rest.await_states(name, "RUNNING", ["RUNNING"])
    path = f"/connectors/{name}"
    for query in ("", "?includeTasks=x", "?includeTasks="):
        answer = rest.post(f"{path}/restart{query}")
        assert (answer.status, answer.body) == (204, None)
        rest.await_states(name, "RUNNING", ["RUNNING"])
    answer = rest.post(f"{path}/restart?includeTasks=TRUE")
    assert answer.status == 202
    assert answer.body["connector"]["state"] == "RESTARTING"
    assert [task["state"] for task in answer.body["tasks"]] == ["RESTARTING"]
    rest.await_states(name, "RUNNING", ["RUNNING"])
    answer = rest.post(f"{path}/restart?onlyFailed=true")
    assert (answer.status, answer.body["connector"]["state"]) == (202, "RUNNING")
    assert rest.post(f"{path}/tasks/0/restart").status == 204
    rest.await_states(name, "RUNNING", ["RUNNING"])
    missing = rest.post(f"{path}/tasks/9/restart")
    is_error(missing, 404, f"Unknown task: {name}-9" if distributed else f"Task {name}-9 not found")


def test_failed_task(rest: Client, tmp_path: Path, name: str) -> None:
    folder = tmp_path / "folder"
    folder.mkdir()
    config = {"connector.class": "FileStreamSink", "topics": f"topic-{name}", "file": str(folder)}
    rest.create(name, config)
    rest.await_states(name, "RUNNING", ["FAILED"])
    assert str(folder) in rest.get(f"/connectors/{name}/tasks/0/status")["trace"]
    answer = rest.post(f"/connectors/{name}/restart?includeTasks=true&onlyFailed=true")
    assert answer.status == 202
    assert answer.body["connector"]["state"] == "RUNNING"
    assert answer.body["tasks"][0]["state"] == "RESTARTING"
    assert answer.body["tasks"][0]["trace"]
    rest.await_states(name, "RUNNING", ["FAILED"])
    folder.rmdir()
    rest.post(f"/connectors/{name}/tasks/0/restart")
    rest.await_states(name, "RUNNING", ["RUNNING"])


def test_topic_creation_needs_both_defaults(
    rest: Client, tmp_path: Path, name: str, contract_worker: Worker
) -> None:
    answer = rest.create(name, source(tmp_path, name, **{"topic.creation.default.partitions": "2"}))
    if isinstance(contract_worker, JavaWorker) and not contract_worker.distributed:
        is_error(answer, 500)
        return
    assert answer.status == 201
    rest.await_states(name, "FAILED", [])


# Data, offsets, topics.


def test_data_flows_and_follows_the_configuration(rest: Client, tmp_path: Path, name: str) -> None:
    out = tmp_path / "out.txt"
    target = f"{name}-sink"
    rest.create(name, source(tmp_path, name))
    rest.create(target, {"connector.class": SINK, "topics": f"topic-{name}", "file": str(out)})
    try:
        wait_until(lambda: out.exists() and out.read_text() == "one\ntwo\nthree\n", "three lines", 60, 0.1)
        second = tmp_path / "second.txt"
        second.write_text("four\n")
        rest.put(f"/connectors/{name}/config", {**source(tmp_path, name), "file": str(second)})
        wait_until(
            lambda: out.read_text() == "one\ntwo\nthree\nfour\n", "the line of the second file", 60, 0.1
        )
        wait_until(
            lambda: len(rest.get(f"/connectors/{name}/offsets")["offsets"]) == 2, "both offsets", 20, 0.1
        )
        expected = {
            "partition": {"kafka_partition": 0, "kafka_topic": f"topic-{name}"},
            "offset": {"kafka_offset": 4},
        }
        wait_until(
            lambda: rest.get(f"/connectors/{target}/offsets") == {"offsets": [expected]},
            "the sink's offset",
            30,
            0.1,
        )
        assert rest.get(f"/connectors/{name}/topics") == {name: {"topics": [f"topic-{name}"]}}
        assert rest.get(f"/connectors/{target}/topics") == {target: {"topics": [f"topic-{name}"]}}
    finally:
        rest.delete(f"/connectors/{target}")


def test_source_offsets(rest: Client, tmp_path: Path, name: str) -> None:
    config = source(tmp_path, name)
    rest.create(name, config)
    path = f"/connectors/{name}/offsets"
    partition = {"filename": config["file"]}
    stored = {"offsets": [{"partition": partition, "offset": {"position": 14}}]}
    wait_until(lambda: rest.get(path) == stored, "the offset", 30, 0.1)
    change = {"offsets": [{"partition": partition, "offset": {"position": 4}}]}
    for body in (change, None):
        answer = rest.patch(path, body) if body else rest.delete(path)
        is_error(answer, 400)
        assert f"/connectors/{name}/stop" in answer.message
    rest.put(f"/connectors/{name}/stop")
    rest.await_states(name, "STOPPED", [])
    assert rest.patch(path, change).body == {
        "message": "The offsets for this connector have been altered successfully"
    }
    assert rest.get(path) == change
    twice = {"offsets": [*change["offsets"], {"partition": partition, "offset": {"position": 8}}]}
    assert rest.patch(path, twice).status == 200
    assert rest.get(path)["offsets"][0]["offset"] == {"position": 8}
    refused = {"offsets": [{"partition": partition, "offset": {"position": -1}}]}
    is_error(rest.patch(path, refused), 500)
    nested = {"offsets": [{"partition": partition, "offset": {"position": {"a": 1}}}]}
    is_error(rest.patch(path, nested), 500)
    is_error(rest.patch(path, {"offsets": [{"partition": partition, "offset": {"position": 1 << 70}}]}), 500)
    rest.put(f"/connectors/{name}/resume")
    rest.await_states(name, "RUNNING", ["RUNNING"])
    wait_until(lambda: rest.get(path) == stored, "the offset again", 30, 0.1)
    rest.put(f"/connectors/{name}/stop")
    rest.await_states(name, "STOPPED", [])
    for _ in range(2):
        assert rest.delete(path).body == {
            "message": "The offsets for this connector have been reset successfully"
        }
        assert rest.get(path) == {"offsets": []}


@pytest.mark.parametrize("body", [{"offsets": []}, {"offsets": None}, {}])
def test_empty_offsets(rest: Client, tmp_path: Path, name: str, body: Any) -> None:
    rest.create(name, source(tmp_path, name))
    is_error(rest.patch(f"/connectors/{name}/offsets", body), 400)


def test_sink_offsets(rest: Client, tmp_path: Path, name: str) -> None:
    topic = f"topic-{name}"
    feeder = f"{name}-feed"
    rest.create(feeder, source(tmp_path, name))
    rest.create(name, sink(tmp_path, name, topic))
    path = f"/connectors/{name}/offsets"

    def body(partition: Any, offset: Any) -> dict[str, Any]:
        return {"offsets": [{"partition": partition, "offset": offset}]}

    where = {"kafka_topic": topic, "kafka_partition": 0}
    try:
        wait_until(lambda: rest.get(path)["offsets"], "the offset", 60, 0.1)
        rest.put(f"/connectors/{name}/stop")
        rest.await_states(name, "STOPPED", [])
        answer = rest.patch(path, body({"kafka_topic": topic, "kafka_partition": "0"}, {"kafka_offset": "1"}))
        assert answer.body == {"message": "The offsets for this connector have been altered successfully"}
        assert rest.get(path)["offsets"][0]["offset"] == {"kafka_offset": 1}
        for partition, offset in (
            ({"kafka_topic": topic, "kafka_partition": "x"}, {"kafka_offset": 1}), (where, {"kafka_offset": 1.5}), (where, {}),
            ({"kafka_topic": topic}, {"kafka_offset": 1}), (None, {"kafka_offset": 1}),
        ):  # fmt: skip
            is_error(rest.patch(path, body(partition, offset)), 400)
        is_error(rest.patch(path, body(where, {"kafka_offset": -5})), 500)
        is_error(
            rest.patch(path, body({"kafka_topic": topic, "kafka_partition": 77}, {"kafka_offset": 1})), 500
        )
        assert rest.patch(path, body(where, None)).status == 200
        assert rest.get(path) == {"offsets": []}
        assert rest.delete(path).body == {
            "message": "The offsets for this connector have been reset successfully"
        }
    finally:
        rest.delete(f"/connectors/{feeder}")


def test_topics(rest: Client, tmp_path: Path, name: str) -> None:
    assert rest.get("/connectors/nope/topics") == {"nope": {"topics": []}}
    rest.create(name, source(tmp_path, name))
    path = f"/connectors/{name}/topics"
    used = {name: {"topics": [f"topic-{name}"]}}
    wait_until(lambda: rest.get(path) == used, "the topic", 30, 0.1)
    rest.put(f"/connectors/{name}/stop")
    rest.await_states(name, "STOPPED", [])
    assert rest.get(path) == used
    answer = rest.put(f"{path}/reset")
    assert (answer.status, answer.body) == (202, None)
    wait_until(lambda: rest.get(path) == {name: {"topics": []}}, "the list to be empty", 10, 0.1)


# Plug-ins and loggers.

COMMON_SOURCE = """name connector.class connector.plugin.version tasks.max tasks.max.enforce key.converter key.converter.plugin.version
    value.converter value.converter.plugin.version header.converter header.converter.plugin.version transforms predicates
    config.action.reload errors.retry.timeout errors.retry.delay.max.ms errors.tolerance errors.log.enable errors.log.include.messages"""
SOURCE_KEYS = f"""{COMMON_SOURCE} topic.creation.groups exactly.once.support transaction.boundary transaction.boundary.interval.ms
    offsets.storage.topic file topic batch.size""".split()
SINK_KEYS = f"""{COMMON_SOURCE} topics topics.regex errors.deadletterqueue.topic.name errors.deadletterqueue.topic.replication.factor
    errors.deadletterqueue.context.headers.enable file""".split()


def test_plugins(rest: Client) -> None:
    connectors = rest.get("/connector-plugins")
    assert {"class": SOURCE, "type": "source", "version": "4.3.0"} in connectors
    assert {"class": SINK, "type": "sink", "version": "4.3.0"} in connectors
    assert {row["type"] for row in connectors} == {"source", "sink"}
    everything = rest.get("/connector-plugins?connectorsOnly=FALSE")
    kinds = [row["type"] for row in everything]
    order = ["sink", "source", "transformation", "predicate", "converter", "header_converter"]
    assert kinds == sorted(kinds, key=order.index)
    apache = [
        row["class"]
        for row in everything
        if row["class"].startswith("org.apache.kafka.connect.transforms.") and row["type"] == "transformation"
    ]
    assert apache == sorted(apache)
    assert len(apache) == 26
    assert {
        "class": "org.apache.kafka.connect.json.JsonConverter",
        "type": "converter",
        "version": "4.3.0",
    } in everything


def comparable(definition: dict[str, Any]) -> dict[str, Any]:
    """Without the words of the documentation, which are each one's own."""
    return {key: value for key, value in definition.items() if key != "documentation"}


def expected_definition(name: str, **changed: Any) -> dict[str, Any]:
    return {
        "name": name, "type": "STRING", "required": False, "default_value": None, "importance": "MEDIUM", "group": None,
        "order_in_group": -1, "width": "NONE", "display_name": name, "dependents": [], **changed,
    }  # fmt: skip


def test_validate_source(rest: Client) -> None:
    config = {"connector.class": "FileStreamSource", "name": "x", "topic": "t", "tasks.max": "1"}
    answer = rest.put("/connector-plugins/FileStreamSource/config/validate", config)
    assert answer.status == 200
    body = answer.body
    assert list(body) == ["name", "error_count", "groups", "configs"]
    assert (body["name"], body["error_count"]) == ("FileStreamSource", 0)
    assert [row["definition"]["name"] for row in body["configs"]] == SOURCE_KEYS
    assert body["groups"] == [
        "Common",
        "Transforms",
        "Predicates",
        "Error Handling",
        "Topic Creation",
        "Exactly Once Support",
        "offsets.topic",
    ]
    rows = {row["definition"]["name"]: row for row in body["configs"]}
    assert comparable(rows["topic"]["definition"]) == expected_definition(
        "topic", required=True, importance="HIGH"
    )
    assert rows["topic"]["value"] == {
        "name": "topic",
        "value": "t",
        "recommended_values": [],
        "errors": [],
        "visible": True,
    }
    assert comparable(rows["tasks.max"]["definition"]) == expected_definition(
        "tasks.max",
        type="INT",
        default_value="1",
        importance="HIGH",
        group="Common",
        order_in_group=4,
        width="SHORT",
        display_name="Tasks max",
    )
    assert comparable(rows["errors.tolerance"]["definition"]) == expected_definition(
        "errors.tolerance",
        default_value="none",
        group="Error Handling",
        order_in_group=3,
        width="SHORT",
        display_name="Error Tolerance",
    )
    assert rows["connector.plugin.version"]["value"]["recommended_values"] == ["4.3.0"]
    assert (
        rows["key.converter"]["definition"]["default_value"]
        == "org.apache.kafka.connect.storage.StringConverter"
    )
    assert rows["transforms"]["definition"]["default_value"] == ""


def test_validate_sink(rest: Client) -> None:
    config = {"connector.class": SINK, "name": "x", "topics": "t"}
    body = rest.put("/connector-plugins/FileStreamSink/config/validate", config).body
    assert (body["name"], body["error_count"]) == (SINK, 0)
    assert [row["definition"]["name"] for row in body["configs"]] == SINK_KEYS
    assert body["groups"] == ["Common", "Transforms", "Predicates", "Error Handling"]


def test_validate_errors_at_their_keys(rest: Client) -> None:
    config = {
        "connector.class": "FileStreamSource", "name": "x", "tasks.max": "zero", "value.converter": "JsonConverter", "value.converter.schemas.enable": "no",
        "transforms": "t", "transforms.t.type": "org.apache.kafka.connect.transforms.HoistField$Value", "producer.override.acks": "1",
    }  # fmt: skip
    body = rest.put("/connector-plugins/FileStreamSource/config/validate", config).body
    rows = {row["value"]["name"]: row for row in body["configs"]}
    assert body["error_count"] == 5
    assert rows["tasks.max"]["value"]["value"] is None
    assert rows["tasks.max"]["value"]["errors"] == [
        "Invalid value zero for configuration tasks.max: Not a number of type INT",
        "Invalid value null for configuration tasks.max: Value must be non-null",
    ]
    assert len(rows["transforms.t.field"]["value"]["errors"]) == 1
    assert rows["topic"]["value"]["errors"] == [
        'Missing required configuration "topic" which has no default value.'
    ]
    (error,) = rows["value.converter.schemas.enable"]["value"]["errors"]
    assert (
        error
        == "Invalid value no for configuration schemas.enable: Expected value to be either true or false"
    )
    assert rows["producer.override.acks"]["value"]["errors"] == []
    assert rows["value.converter"]["value"]["value"] == "org.apache.kafka.connect.json.JsonConverter"
    assert comparable(rows["transforms.t.type"]["definition"]) == expected_definition(
        "transforms.t.type",
        type="CLASS",
        required=True,
        importance="HIGH",
        group="Transforms: t",
        order_in_group=0,
        width="LONG",
        display_name="Transformation type for t",
    )
    assert "Transforms: t" in body["groups"]
    assert set(body["groups"][-2:]) == {"Schemas", "Serialization"}


def test_validate_other_class(rest: Client) -> None:
    path = "/connector-plugins/FileStreamSource/config/validate"
    is_error(
        rest.put(path, {"connector.class": SINK}),
        400,
        f"Included connector type {SINK} does not match request type FileStreamSource",
    )
    is_error(rest.put(path, {"name": "x"}), 500)
    is_error(rest.put("/connector-plugins/Nope/config/validate", {"connector.class": "Nope"}), 500)
    assert rest.put(path, {"connector.class": SOURCE}).status == 200
    is_error(
        rest.put(f"/connector-plugins/{SOURCE}/config/validate", {"connector.class": "FileStreamSource"}), 400
    )


def test_plugin_config(rest: Client) -> None:
    is_error(rest.call("GET", "/connector-plugins/nope/config"), 404, "Unknown plugin nope.")
    keys = rest.get("/connector-plugins/FileStreamSource/config")
    assert [key["name"] for key in keys[:3]] == ["file", "topic", "batch.size"]
    assert [key["name"] for key in keys[3:]] == SOURCE_KEYS[:-3]
    assert comparable(keys[2]) == expected_definition(
        "batch.size", type="INT", default_value="2000", importance="LOW"
    )
    cast = rest.get("/connector-plugins/org.apache.kafka.connect.transforms.Cast$Value/config")
    assert [key["name"] for key in cast] == ["spec", "replace.null.with.default"]
    json_keys = rest.get("/connector-plugins/JsonConverter/config")
    assert {key["name"] for key in json_keys} == {
        "converter.type",
        "schemas.enable",
        "schemas.cache.size",
        "schema.content",
        "decimal.format",
        "replace.null.with.default",
    }
    is_error(rest.call("GET", "/connector-plugins/FileStreamSource/config?version=4.2.0"), 400)
    assert rest.call("GET", "/connector-plugins/FileStreamSource/config?version=4.3.0").status == 200


TRANSFORMS = {
    "Cast$Key": ["spec", "replace.null.with.default"], "DropHeaders": ["headers"], "ExtractField$Value": ["field", "replace.null.with.default", "field.syntax.version"],
    "Filter": [], "Flatten$Value": ["delimiter"], "HeaderFrom$Value": ["fields", "headers", "operation", "replace.null.with.default"], "HoistField$Key": ["field"],
    "InsertField$Value": ["topic.field", "partition.field", "offset.field", "timestamp.field", "static.field", "static.value", "replace.null.with.default"],
    "InsertHeader": ["header", "value.literal"], "MaskField$Value": ["fields", "replacement", "replace.null.with.default"], "RegexRouter": ["regex", "replacement"],
    "ReplaceField$Value": ["exclude", "include", "renames", "replace.null.with.default"], "SetSchemaMetadata$Value": ["schema.name", "schema.version", "replace.null.with.default"],
    "TimestampConverter$Value": ["field", "target.type", "format", "unix.precision", "replace.null.with.default"], "TimestampRouter": ["topic.format", "timestamp.format"],
    "ValueToKey": ["fields", "replace.null.with.default"], "predicates.HasHeaderKey": ["name"], "predicates.RecordIsTombstone": [], "predicates.TopicNameMatches": ["pattern"],
}  # fmt: skip


def test_keys_of_transforms(rest: Client) -> None:
    for cls, names in TRANSFORMS.items():
        keys = rest.get(f"/connector-plugins/org.apache.kafka.connect.transforms.{cls}/config")
        assert sorted(key["name"] for key in keys) == sorted(names), cls


def test_loggers(rest: Client) -> None:
    logger = f"my.logger.{next(_numbers)}"
    is_error(rest.call("GET", f"/admin/loggers/{logger}"), 404)
    before = int(time.time() * 1000)
    assert rest.put(f"/admin/loggers/{logger}", {"level": "debug"}).body == [logger]
    assert rest.put(f"/admin/loggers/{logger}", {"level": "DEBUG"}).body == []
    shown = rest.get(f"/admin/loggers/{logger}")
    assert shown["level"] == "DEBUG"
    assert shown["last_modified"] >= before - 1000
    everything = rest.get("/admin/loggers")
    assert everything[logger] == shown
    assert "root" in everything
    rest.put(f"/admin/loggers/{logger}.child", {"level": "WARN"})
    assert rest.put(f"/admin/loggers/{logger}", {"level": "ERROR"}).body == [logger, f"{logger}.child"]
    is_error(rest.put(f"/admin/loggers/{logger}", {"level": "LOUD"}), 404, "invalid log level 'LOUD'.")
    is_error(rest.put(f"/admin/loggers/{logger}", {}), 400)


# Between workers.


def test_internal_requests_are_signed(rest: Client, distributed: bool) -> None:
    if not distributed:
        assert rest.post("/connectors/c/tasks", []).status == 500
        assert rest.put("/connectors/c/fence").status == 500
        return
    is_error(rest.post("/connectors/c/tasks", []), 400, "Internal request missing required signature")
    is_error(rest.put("/connectors/c/fence"), 400, "Internal request missing required signature")
    headers = {"X-Connect-Authorization": "AAAA", "X-Connect-Request-Signature-Algorithm": "HmacSHA256"}
    is_error(
        rest.call("POST", "/connectors/c/tasks", [], headers=headers),
        403,
        "Internal request contained invalid signature.",
    )
    headers["X-Connect-Request-Signature-Algorithm"] = "HmacMD5"
    is_error(rest.call("POST", "/connectors/c/tasks", [], headers=headers), 400)
    headers["X-Connect-Authorization"] = "?"
    is_error(rest.call("POST", "/connectors/c/tasks", [], headers=headers), 400)

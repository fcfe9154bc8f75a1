"""Several workers: shares, rebalances that leave the rest alone, forwarding, mixed groups with Java, kill -9.

The topics that one implementation wrote are read by the other, in both directions.
"""

from __future__ import annotations

import json
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from confluent_kafka import Consumer, KafkaError, TopicPartition

from tests import facilities
from tests.connect.workers import JavaWorker, PythonWorker, Worker
from tests.processes import wait_until

pytestmark = [pytest.mark.interop, pytest.mark.timeout(400)]

Start = Callable[..., Worker]


def create_sources(worker: Worker, tmp_path: Path, prefix: str, count: int) -> list[str]:
    names = [f"{prefix}{n}" for n in range(count)]
    for name in names:
        (tmp_path / f"{name}.txt").write_text("one\ntwo\n")
        config = {
            "connector.class": "FileStreamSource",
            "file": str(tmp_path / f"{name}.txt"),
            "topic": f"{prefix}-{tmp_path.name}"[-200:],
        }
        assert worker.rest.create(name, config).status == 201
    for name in names:
        worker.rest.await_states(name, "RUNNING", ["RUNNING"], 60)
    return names


def placement(worker: Worker) -> dict[str, tuple[str, str]]:
    """name: (worker of the connector, worker of its task), of everything that runs."""
    found = {}
    for name, row in worker.rest.get("/connectors?expand=status").items():
        status = row.get("status")
        if not status or status["connector"]["state"] != "RUNNING" or len(status["tasks"]) != 1:
            continue
        if status["tasks"][0]["state"] == "RUNNING":
            found[name] = (status["connector"]["worker_id"], status["tasks"][0]["worker_id"])
    return found


def states_said(worker: Worker) -> dict[str, list[tuple[str, str]]]:
    """All that the status topic holds of each connector and task, in order: (state, worker)."""
    topic = worker.properties["status.storage.topic"]
    consumer = Consumer(
        {"bootstrap.servers": worker.properties["bootstrap.servers"], "group.id": "states", "enable.partition.eof": True}
    )  # fmt: skip
    partitions = len(consumer.list_topics(topic, timeout=30).topics[topic].partitions)
    consumer.assign([TopicPartition(topic, partition, 0) for partition in range(partitions)])
    found: dict[str, list[tuple[str, str]]] = {}
    ended = 0
    deadline = time.monotonic() + 60
    while ended < partitions:
        assert time.monotonic() < deadline, f"{ended} of {partitions} partitions were read"
        message = consumer.poll(1)
        if message is None:
            continue
        error = message.error()
        if error is not None:
            ended += error.code() == KafkaError._PARTITION_EOF
        elif message.value() is not None:
            body = json.loads(message.value())
            if "state" in body:
                found.setdefault(message.key().decode(), []).append((body["state"], body["worker_id"]))
    consumer.close()
    return found


def balanced(worker: Worker, workers: list[Worker], count: int) -> dict[str, tuple[str, str]] | None:
    places = placement(worker)
    if len(places) != count:
        return None
    for side in (0, 1):
        shares = [sum(place[side] == w.worker_id for place in places.values()) for w in workers]
        if sum(shares) != count or max(shares) - min(shares) > 1:
            return None
    return places


def await_balance(
    worker: Worker, workers: list[Worker], count: int, timeout_s: float = 60
) -> dict[str, tuple[str, str]]:
    try:
        return wait_until(lambda: balanced(worker, workers, count), "an even share", timeout_s, 0.2)
    except AssertionError as error:
        raise AssertionError(f"{error}: {placement(worker)}") from None


def test_three_workers_share_and_only_move_what_must(start_worker: Start, tmp_path: Path) -> None:
    first = start_worker(PythonWorker)
    create_sources(first, tmp_path, "s", 6)
    second = start_worker(PythonWorker)
    two = await_balance(first, [first, second], 6)
    third = start_worker(PythonWorker, session__timeout__ms="6000")  # It will be missed that long.
    three = await_balance(first, [first, second, third], 6)
    for side in (0, 1):
        moved = [name for name in two if two[name][side] != three[name][side]]
        assert len(moved) == 2, (two, three)
        assert all(three[name][side] == third.worker_id for name in moved)
    # What stayed never stopped: since it began to run where it is, nobody said anything else of it.
    said = states_said(first)
    for side, kind in ((0, "connector"), (1, "task")):
        for name in two:
            if two[name][side] == three[name][side]:
                words = said[f"status-{kind}-{name}{'-0' if kind == 'task' else ''}"]
                since = words.index(("RUNNING", two[name][side]))
                assert words[since:] == [("RUNNING", two[name][side])], (name, words)
    # The departed worker's share waits for it, then moves; the others' stays where it is.
    third.kill()
    gone = [name for name in three if third.worker_id in three[name]]
    wait_until(
        lambda: third.worker_id not in str(placement(first)), "the tasks to be missed or moved", 60, 0.2
    )
    after = await_balance(first, [first, second], 6)
    for side in (0, 1):
        stayed = [name for name in three if three[name][side] != third.worker_id]
        assert all(after[name][side] == three[name][side] for name in stayed), (gone, three, after)


def test_requests_to_a_follower(start_worker: Start, tmp_path: Path) -> None:
    workers = [start_worker(PythonWorker), start_worker(PythonWorker)]
    for number, worker in enumerate(workers):
        name = f"f{number}"
        (tmp_path / f"{name}.txt").write_text("one\n")
        config = {
            "connector.class": "FileStreamSource",
            "file": str(tmp_path / f"{name}.txt"),
            "topic": f"t-{tmp_path.name}"[-200:],
        }
        answer = worker.rest.create(name, config)
        assert answer.status == 201
        assert answer.headers["Location"] == f"{worker.rest.url}/connectors/{name}"
    for worker in workers:
        for name in ("f0", "f1"):
            worker.rest.await_states(name, "RUNNING", ["RUNNING"], 60)
            assert worker.rest.post(f"/connectors/{name}/restart").status == 204
            assert worker.rest.post(f"/connectors/{name}/tasks/0/restart").status == 204
            worker.rest.await_states(name, "RUNNING", ["RUNNING"], 60)
            assert worker.rest.post(f"/connectors/{name}/restart?includeTasks=true").status == 202
            worker.rest.await_states(name, "RUNNING", ["RUNNING"], 60)
            assert worker.rest.patch(f"/connectors/{name}/config", {"x": worker.name}).status == 200
    refused = [
        worker.rest.call("POST", "/connectors?forward=false", {"name": "z", "config": config}).status
        for worker in workers
    ]
    assert sorted(refused) == [201, 409]
    assert workers[0].rest.delete("/connectors/z").status == 204
    for worker in workers:
        assert worker.rest.put("/connectors/f0/stop").status == 204
        worker.rest.await_states("f0", "STOPPED", [])
        assert worker.rest.delete("/connectors/f0/offsets").status == 200
    level = workers[0].rest.put("/admin/loggers/cluster.test?scope=cluster", {"level": "WARN"})
    assert (level.status, level.body) == (204, None)
    for worker in workers:
        wait_until(
            lambda worker=worker: worker.rest.call("GET", "/admin/loggers/cluster.test").status == 200,
            "the level",
            20,
            0.1,
        )


@pytest.mark.parametrize("order", [(JavaWorker, PythonWorker), (PythonWorker, JavaWorker)])
def test_one_cluster_of_both_kinds(
    start_worker: Start, tmp_path: Path, order: tuple[type[Worker], type[Worker]]
) -> None:
    """The second worker joins the first's group, takes its share, and both forward to each other."""
    facilities.require("kafka")
    first = start_worker(order[0])
    create_sources(first, tmp_path, "m", 4)
    second = start_worker(order[1])
    await_balance(second, [first, second], 4, 90)
    assert first.rest.get("/connectors/m0") == second.rest.get("/connectors/m0")
    (tmp_path / "extra.txt").write_text("x\n")
    for number, worker in enumerate((first, second)):
        config = {
            "connector.class": "FileStreamSource",
            "file": str(tmp_path / "extra.txt"),
            "topic": f"x-{tmp_path.name}"[-200:],
        }
        assert worker.rest.create(f"extra{number}", config).status == 201
    for worker in (first, second):
        for number in range(2):
            worker.rest.await_states(f"extra{number}", "RUNNING", ["RUNNING"], 60)
        assert (
            worker.rest.put(
                "/connectors/m0/config", {**worker.rest.get("/connectors/m0/config"), "by": worker.name}
            ).status
            == 200
        )
        worker.rest.await_states("m0", "RUNNING", ["RUNNING"], 60)
    await_balance(second, [first, second], 6, 90)
    for number in range(2):
        assert second.rest.delete(f"/connectors/extra{number}").status == 204
    # The one that led leaves: the other leads on with what the topics say.
    first.stop()
    wait_until(
        lambda: (
            {p for places in placement(second).values() for p in places} == {second.worker_id}
            and len(placement(second)) == 4
        ),
        "everything to run on the second worker",
        90,
        0.2,
    )
    assert second.rest.put("/connectors/m1/stop").status == 204
    second.rest.await_states("m1", "STOPPED", [])


@pytest.mark.parametrize("order", [(JavaWorker, PythonWorker), (PythonWorker, JavaWorker)])
def test_topics_of_the_other(
    start_worker: Start, tmp_path: Path, order: tuple[type[Worker], type[Worker]]
) -> None:
    """One implementation ran alone and ended; the other goes on exactly where it was."""
    facilities.require("kafka")
    writer = start_worker(order[0])
    rest = writer.rest
    create_sources(writer, tmp_path, "w", 3)
    rest.put("/connectors/w1/pause")
    rest.await_states("w1", "PAUSED", ["PAUSED"])
    rest.put("/connectors/w2/stop")
    rest.await_states("w2", "STOPPED", [])
    offsets: dict[str, Any] = {}
    for name in ("w0", "w1", "w2"):
        wait_until(
            lambda name=name: rest.get(f"/connectors/{name}/offsets")["offsets"],
            f"offsets of {name}",
            30,
            0.1,
        )
        offsets[name] = rest.get(f"/connectors/{name}/offsets")
    change = offsets["w2"]["offsets"][0]["partition"]
    assert (
        rest.patch(
            "/connectors/w2/offsets", {"offsets": [{"partition": change, "offset": {"position": 4}}]}
        ).status
        == 200
    )
    offsets["w2"] = rest.get("/connectors/w2/offsets")
    infos = {name: rest.get(f"/connectors/{name}") for name in offsets}
    tasks = {name: rest.get(f"/connectors/{name}/tasks") for name in offsets}
    writer.stop()
    reader = start_worker(order[1]).rest
    reader.await_states("w0", "RUNNING", ["RUNNING"], 60)
    reader.await_states("w1", "PAUSED", ["PAUSED"], 60)
    reader.await_states("w2", "STOPPED", [], 60)
    for name, expected in offsets.items():
        assert reader.get(f"/connectors/{name}/offsets") == expected
        assert reader.get(f"/connectors/{name}") == infos[name]
        assert reader.get(f"/connectors/{name}/tasks") == tasks[name]
    # A tombstone of one finds the key of the other.
    assert reader.delete("/connectors/w2/offsets").status == 200
    assert reader.get("/connectors/w2/offsets") == {"offsets": []}
    with (tmp_path / "w0.txt").open("a") as file:
        file.write("three\n")
    wait_until(
        lambda: reader.get("/connectors/w0/offsets")["offsets"][0]["offset"] == {"position": 14},
        "the source to go on",
        30,
        0.1,
    )


def test_kill_a_worker_in_the_middle(start_worker: Start, tmp_path: Path) -> None:
    """At least once: every line arrives although workers are killed -9 while it flows."""
    properties = {
        "session__timeout__ms": "6000",
        "heartbeat__interval__ms": "1000",
        "scheduled__rebalance__max__delay__ms": "500",
    }
    workers = [start_worker(PythonWorker, **properties) for _ in range(2)]
    topic = f"k-{tmp_path.name}"[-200:]
    file, out = tmp_path / "in.txt", tmp_path / "out.txt"
    file.write_text("")
    config = {"connector.class": "FileStreamSource", "file": str(file), "topic": topic, "batch.size": "100"}
    assert workers[0].rest.create("k", config).status == 201
    workers[0].rest.await_states("k", "RUNNING", ["RUNNING"], 60)
    assert (
        workers[0]
        .rest.create("ks", {"connector.class": "FileStreamSink", "topics": topic, "file": str(out)})
        .status
        == 201
    )
    workers[0].rest.await_states("ks", "RUNNING", ["RUNNING"], 60)
    written = 0

    def write(count: int) -> None:
        nonlocal written
        with file.open("a") as stream:
            stream.writelines(f"{n}\n" for n in range(written, written + count))
        written += count

    for _ in range(2):
        write(5000)
        victim = next(
            w for w in workers if w.worker_id in str(placement(workers[0]).get("k", "")) or w is workers[-1]
        )
        victim.kill()
        write(5000)
        workers[workers.index(victim)] = start_worker(PythonWorker, directory=victim.directory, **properties)
        survivor = next(w for w in workers if w is not victim)
        survivor.rest.await_states("k", "RUNNING", ["RUNNING"], 90)
    expected = {str(n) for n in range(written)}
    deadline = time.monotonic() + 90
    while time.monotonic() < deadline and set(out.read_text().split()) != expected:
        time.sleep(0.5)
    lines = out.read_text().split()
    assert set(lines) == expected, (len(set(lines)), len(expected))


def test_a_java_workers_offset_file_is_read(start_worker: Start, tmp_path: Path) -> None:
    """A standalone worker goes on with the file of Java objects that Apache Kafka's left."""
    facilities.require("kafka")
    before = start_worker(JavaWorker, distributed=False)
    names = create_sources(before, tmp_path, "j", 2)
    for name in names:
        wait_until(
            lambda name=name: before.rest.get(f"/connectors/{name}/offsets")["offsets"], "offsets", 30, 0.1
        )
    stored = {name: before.rest.get(f"/connectors/{name}/offsets") for name in names}
    before.stop()
    assert (before.directory / "offsets").read_bytes().startswith(b"\xac\xed")
    after = start_worker(PythonWorker, distributed=False, directory=before.directory)
    for name, expected in stored.items():
        config = {"connector.class": "FileStreamSource", "file": str(tmp_path / f"{name}.txt"), "topic": "j"}
        assert after.rest.create(name, config).status == 201
        assert after.rest.get(f"/connectors/{name}/offsets") == expected
        assert after.rest.put(f"/connectors/{name}/stop").status == 204
        after.rest.await_states(name, "STOPPED", [])
        assert after.rest.delete(f"/connectors/{name}/offsets").status == 200
    assert not (before.directory / "offsets").read_bytes().startswith(b"\xac\xed")


@pytest.mark.parametrize("protocol", ["eager", "compatible"])
def test_older_protocols(start_worker: Start, tmp_path: Path, protocol: str) -> None:
    """Without signed requests, and in eager rebalances that stop everything."""
    first = start_worker(PythonWorker, connect__protocol=protocol)
    create_sources(first, tmp_path, "o", 4)
    second = start_worker(PythonWorker, connect__protocol=protocol)
    await_balance(first, [first, second], 4)
    assert first.rest.post("/connectors/nope/tasks", []).status == 404  # No signature is asked for.
    for worker in (first, second):
        config = worker.rest.get("/connectors/o0/config")
        assert worker.rest.put("/connectors/o0/config", {**config, "by": worker.worker_id}).status == 200
        worker.rest.await_states("o0", "RUNNING", ["RUNNING"], 60)
    second.stop()
    await_balance(first, [first], 4)

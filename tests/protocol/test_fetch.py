"""Fetch: protocol.md section 10.4 without transactions."""

from __future__ import annotations

import threading
import time
from typing import Any

import pytest

from tests.protocol import raw
from tests.protocol.raw import FETCH, ZERO_UUID, Connection, batch, record


class Filled:
    """A topic with 6 records in 3 batches of 80 bytes."""

    def __init__(self, address: str) -> None:
        self.name, self.id = raw.create_topic(address)
        self.size = 80
        data = batch(record(b"k", b"vv"), record(b"k", b"v", offset_delta=1))
        assert len(data) == self.size
        with Connection(address) as connection:
            for _ in range(3):
                assert raw.produce(connection, self.name, data)["error_code"] == 0

    def key(self, version: int) -> str | bytes:
        return self.id if version >= 13 else self.name


@pytest.fixture(scope="module")
def filled(address: str) -> Filled:
    return Filled(address)


def fetch(
    connection: Connection, filled: Filled, offset: int = 0, version: int = 12, **arguments: Any
) -> Any:
    return raw.fetch(connection, filled.key(version), offset, version=version, **arguments)


@pytest.mark.parametrize("version", range(4, 19))
def test_everything_of_every_version(connection: Connection, filled: Filled, version: int) -> None:
    answer = connection.call(FETCH, version, raw.fetch_values(filled.key(version), version=version))
    assert answer["throttle_time"] == 0
    if version >= 7:
        assert (answer["error_code"], answer["session_id"]) == (0, 0)
    (partition,) = answer["responses"][0]["partitions"]
    records = partition.pop("records")
    assert len(records) == 240
    assert [(b.base_offset, b.count, b.crc_good) for b in raw.parse_batches(records)] == [
        (0, 2, True),
        (2, 2, True),
        (4, 2, True),
    ]
    expected: dict[str, Any] = {
        "partition_index": 0,
        "error_code": 0,
        "high_watermark": 6,
        "last_stable_offset": 6,
        "aborted_transactions": None,
    }
    if version >= 5:
        expected["log_start_offset"] = 0
    if version >= 11:
        expected["preferred_read_replica"] = -1
    if version >= 12:
        expected["diverging_epoch"] = {"epoch": -1, "end_offset": -1}
        expected["current_leader"] = {"leader_id": -1, "leader_epoch": -1}
        expected["snapshot_id"] = {"end_offset": -1, "epoch": -1}
    assert partition == expected


def test_read_committed_has_an_empty_list(connection: Connection, filled: Filled) -> None:
    assert fetch(connection, filled, isolation_level=1)["aborted_transactions"] == []


def test_an_offset_inside_a_batch(connection: Connection, filled: Filled) -> None:
    assert len(fetch(connection, filled, 1)["records"]) == 240
    assert len(fetch(connection, filled, 2)["records"]) == 160
    assert len(fetch(connection, filled, 5)["records"]) == 80


def test_the_end(connection: Connection, filled: Filled) -> None:
    answer = fetch(connection, filled, 6)
    assert (answer["error_code"], answer["high_watermark"], answer["records"]) == (0, 6, b"")


@pytest.mark.parametrize("offset", [7, 10**12, -1, -5])
def test_offsets_out_of_range_come_back_at_once(connection: Connection, filled: Filled, offset: int) -> None:
    started = time.monotonic()
    answer = fetch(connection, filled, offset, max_wait=2000)
    assert time.monotonic() - started < 1
    assert answer["error_code"] == 1
    assert answer["records"] == b""
    assert answer["high_watermark"] == answer["last_stable_offset"] == answer["log_start_offset"] == -1


@pytest.mark.parametrize(
    ("offset", "min_bytes"), [(6, 1), (0, 10_000)], ids=["nothing there", "below min_bytes"]
)
def test_long_poll_ends_after_max_wait(
    connection: Connection, filled: Filled, offset: int, min_bytes: int
) -> None:
    started = time.monotonic()
    answer = fetch(connection, filled, offset, max_wait=700, min_bytes=min_bytes)
    assert 0.65 < time.monotonic() - started < 2
    assert len(answer["records"]) == (0 if offset else 240)


@pytest.mark.parametrize("arguments", [{"min_bytes": 0, "max_wait": 3000}, {"max_wait": -1}, {"max_wait": 0}])
def test_nothing_to_wait_for(connection: Connection, filled: Filled, arguments: dict[str, int]) -> None:
    started = time.monotonic()
    assert fetch(connection, filled, 6, **arguments)["records"] == b""
    assert time.monotonic() - started < 1


def test_an_unknown_topic_beside_an_idle_partition_waits(connection: Connection, filled: Filled) -> None:
    values = raw.fetch_values(filled.name, 6, max_wait=500)
    values["topics"].append({**values["topics"][0], "topic": "does-not-exist-at-all"})
    started = time.monotonic()
    answer = connection.call(FETCH, 12, values)
    assert time.monotonic() - started > 0.45
    errors = {t["topic"]: t["partitions"][0]["error_code"] for t in answer["responses"]}
    assert errors == {filled.name: 0, "does-not-exist-at-all": 3}


def test_a_long_poll_ends_when_data_comes(address: str, topic: str) -> None:
    with Connection(address) as waiting, Connection(address) as writing:
        started = time.monotonic()
        correlation = waiting.send(FETCH, 12, raw.fetch_values(topic, max_wait=8000))
        timer = threading.Timer(0.1, raw.produce, (writing, topic, batch()))
        timer.start()
        answer = waiting.receive(FETCH, 12, correlation)
        timer.join()
        assert time.monotonic() - started < 4
        assert len(answer["responses"][0]["partitions"][0]["records"]) == len(batch())


@pytest.mark.parametrize(
    ("arguments", "size"),
    [
        ({"partition_max_bytes": 0}, 80),
        ({"partition_max_bytes": 1}, 80),
        ({"max_bytes": 1}, 80),
        ({"partition_max_bytes": 100}, 100),
        ({"partition_max_bytes": 160}, 160),
        ({"max_bytes": 0}, 80),
    ],
)
def test_byte_limits(connection: Connection, filled: Filled, arguments: dict[str, int], size: int) -> None:
    for version in (4, 12, 17):
        assert len(fetch(connection, filled, version=version, **arguments)["records"]) == size


def test_a_negative_partition_limit(connection: Connection, filled: Filled) -> None:
    answer = fetch(connection, filled, partition_max_bytes=-1)
    assert (answer["error_code"], answer["high_watermark"], answer["records"]) == (-1, -1, b"")


def test_a_negative_limit_of_the_request(connection: Connection, filled: Filled) -> None:
    """It counts for the first partition only: for all others it is 0."""
    values = raw.fetch_values(filled.name, max_bytes=-5)
    values["topics"].append({**values["topics"][0], "topic": raw.create_topic(connection)[0]})
    values["topics"].reverse()
    raw.produce(connection, values["topics"][0]["topic"], batch())
    answers = {t["topic"]: t["partitions"][0] for t in connection.call(FETCH, 12, values)["responses"]}
    assert answers[values["topics"][0]["topic"]]["error_code"] == -1
    assert (answers[filled.name]["error_code"], len(answers[filled.name]["records"])) == (0, 80)


def test_after_the_first_data_an_incomplete_batch_is_left_out(connection: Connection, filled: Filled) -> None:
    """And with it the list of aborted transactions becomes null."""
    other, _ = raw.create_topic(connection)
    raw.produce(connection, other, raw.simple_batch(1, size=1000))
    values = raw.fetch_values(filled.name, partition_max_bytes=100, isolation_level=1)
    values["topics"].append({**values["topics"][0], "topic": other})
    answers = {t["topic"]: t["partitions"][0] for t in connection.call(FETCH, 12, values)["responses"]}
    assert len(answers[filled.name]["records"]) == 100
    assert (answers[other]["records"], answers[other]["aborted_transactions"]) == (b"", None)


def test_only_the_first_partition_may_exceed_the_limit(connection: Connection) -> None:
    name, _ = raw.create_topic(connection, partitions=3)
    for partition in range(3):
        raw.produce(connection, name, {partition: raw.simple_batch(1, size=1000)})
    values = raw.fetch_values(name, max_bytes=100)
    data = values["topics"][0]["partitions"][0]
    values["topics"][0]["partitions"] = [{**data, "partition": i} for i in range(3)]
    partitions = connection.call(FETCH, 12, values)["responses"][0]["partitions"]
    sizes = [len(p["records"]) for p in partitions]
    assert sizes[0] > 1000
    assert sizes[1:] == [0, 0]
    assert all(p["high_watermark"] == 1 for p in partitions)


@pytest.mark.parametrize("version", [4, 7, 12])
def test_unknown_names(connection: Connection, filled: Filled, version: int) -> None:
    for name, partition in (("does-not-exist-at-all", 0), (filled.name, 9), (filled.name, -1), ("", 0)):
        answer = raw.fetch(connection, name, version=version, partition=partition)
        assert answer["error_code"] == 3
        assert answer["records"] == b""
        assert answer["aborted_transactions"] == []
        assert answer["high_watermark"] == -1


@pytest.mark.parametrize("version", [13, 15, 18])
def test_unknown_ids(connection: Connection, filled: Filled, version: int) -> None:
    for topic_id in (b"\7" * 16, ZERO_UUID):
        answer = raw.fetch(connection, topic_id, version=version)
        assert (answer["error_code"], answer["records"], answer["aborted_transactions"]) == (100, b"", [])
    assert raw.fetch(connection, filled.id, version=version, partition=9)["error_code"] == 3


def test_leader_epochs(connection: Connection, filled: Filled) -> None:
    assert fetch(connection, filled, partition_extra={"current_leader_epoch": 0})["error_code"] == 0
    answer = fetch(connection, filled, partition_extra={"current_leader_epoch": 5})
    assert (answer["error_code"], answer["records"]) == (75, b"")


def test_last_fetched_epoch_of_a_consumer(connection: Connection, filled: Filled) -> None:
    assert fetch(connection, filled, partition_extra={"last_fetched_epoch": 3})["error_code"] == 1


@pytest.mark.parametrize(("replica", "error"), [(5, 6), (1, 6), (-2, 0), (-1, 0)])
def test_replica_ids(connection: Connection, filled: Filled, replica: int, error: int) -> None:
    assert fetch(connection, filled, replica_id=replica)["error_code"] == error


def test_an_unknown_isolation_level(connection: Connection, filled: Filled) -> None:
    answer = connection.call(FETCH, 12, raw.fetch_values(filled.name, isolation_level=7))
    assert answer["error_code"] == -1
    assert [p["error_code"] for t in answer["responses"] for p in t["partitions"]] == [-1]


def test_an_unknown_isolation_level_beside_an_unknown_topic(connection: Connection, filled: Filled) -> None:
    """Every partition of the request gets the error, with an empty list; from version 13 on there is none."""
    values = raw.fetch_values(filled.name, isolation_level=7)
    values["topics"].append({**values["topics"][0], "topic": "does-not-exist-at-all"})
    answer = connection.call(FETCH, 12, values)
    assert (answer["error_code"], answer["session_id"]) == (-1, 0)
    found = [p for t in answer["responses"] for p in t["partitions"]]
    assert [(p["error_code"], p["aborted_transactions"], p["records"]) for p in found] == [(-1, [], b"")] * 2
    answer = connection.call(FETCH, 13, raw.fetch_values(filled.id, version=13, isolation_level=7))
    assert (answer["error_code"], answer["responses"]) == (-1, [])


def test_an_unknown_isolation_level_that_nobody_looks_at(connection: Connection) -> None:
    answer = connection.call(FETCH, 12, raw.fetch_values("does-not-exist-at-all", isolation_level=7))
    assert answer["error_code"] == 0
    assert answer["responses"][0]["partitions"][0]["error_code"] == 3


def test_the_epoch_is_checked_before_the_replica(connection: Connection, filled: Filled) -> None:
    extra = {"current_leader_epoch": 5}
    assert fetch(connection, filled, replica_id=5, partition_extra=extra)["error_code"] == 75


def test_the_same_partition_twice(connection: Connection, filled: Filled) -> None:
    values = raw.fetch_values(filled.name)
    data = values["topics"][0]["partitions"][0]
    values["topics"][0]["partitions"] = [data, {**data, "fetch_offset": 4}]
    partitions = connection.call(FETCH, 12, values)["responses"][0]["partitions"]
    assert {len(p["records"]) for p in partitions} <= {240, 80}


def test_no_topics(connection: Connection) -> None:
    values = {"replica_id": -1, "max_wait": 0, "min_bytes": 0, "max_bytes": 1000, "topics": []}
    answer = connection.call(FETCH, 12, values)
    assert (answer["error_code"], answer["responses"]) == (0, [])


def test_a_large_answer(address: str) -> None:
    """More than one socket buffer, more than one segment read."""
    name, _ = raw.create_topic(address)
    with Connection(address) as connection:
        data = raw.simple_batch(1, size=900_000)
        for _ in range(8):
            assert raw.produce(connection, name, data)["error_code"] == 0
        answer = raw.fetch(connection, name, partition_max_bytes=50 << 20)
        assert [b.base_offset for b in raw.parse_batches(answer["records"])] == list(range(8))
        assert all(b.crc_good for b in raw.parse_batches(answer["records"]))


# Sessions


def session(
    connection: Connection, topic: str, session_id: int, epoch: int, *, offset: int = 0, **extra: Any
) -> Any:
    values = raw.fetch_values(topic, offset, session_id=session_id, session_epoch=epoch, min_bytes=0)
    return connection.call(FETCH, 12, {**values, **extra})


@pytest.mark.parametrize("asked", [0, 77])
def test_a_new_session(connection: Connection, filled: Filled, asked: int) -> None:
    answer = session(connection, filled.name, asked, 0)
    assert answer["error_code"] == 0
    assert answer["session_id"] not in (0, 77)
    assert len(answer["responses"][0]["partitions"][0]["records"]) == 240


def test_closing_a_session_that_is_not_there(connection: Connection, filled: Filled) -> None:
    answer = session(connection, filled.name, 77, -1)
    assert (answer["error_code"], answer["session_id"]) == (0, 0)
    assert len(answer["responses"][0]["partitions"][0]["records"]) == 240


@pytest.mark.parametrize(("session_id", "epoch"), [(12345, 1), (0, 3)])
def test_an_unknown_session(connection: Connection, filled: Filled, session_id: int, epoch: int) -> None:
    answer = session(connection, filled.name, session_id, epoch)
    assert (answer["error_code"], answer["session_id"], answer["responses"]) == (70, 0, [])


def test_a_repeated_epoch(connection: Connection, filled: Filled) -> None:
    session_id = session(connection, filled.name, 0, 0)["session_id"]
    assert session(connection, filled.name, session_id, 1)["error_code"] == 0
    answer = session(connection, filled.name, session_id, 1)
    assert (answer["error_code"], answer["session_id"], answer["responses"]) == (71, 0, [])


def test_incremental_fetches(connection: Connection, topic: str) -> None:
    session_id = session(connection, topic, 0, 0)["session_id"]
    nothing = session(connection, topic, session_id, 1, topics=[])
    assert (nothing["error_code"], nothing["session_id"], nothing["responses"]) == (0, session_id, [])
    raw.produce(connection, topic, batch())
    changed = session(connection, topic, session_id, 2, topics=[])
    assert len(changed["responses"][0]["partitions"][0]["records"]) == len(batch())
    # The session remembers the offset that was asked for, not what was sent.
    moved = session(connection, topic, session_id, 3, offset=1)
    assert moved["responses"] == [] or moved["responses"][0]["partitions"][0]["records"] == b""
    forgotten = [{"topic": topic, "partitions": [0]}]
    assert (
        session(connection, topic, session_id, 4, topics=[], forgotten_topics_data=forgotten)["responses"]
        == []
    )
    raw.produce(connection, topic, batch())
    assert session(connection, topic, session_id, 5, topics=[])["responses"] == []
    closed = session(connection, topic, session_id, -1, topics=[])
    assert (closed["error_code"], closed["session_id"]) == (0, 0)
    assert session(connection, topic, session_id, 6, topics=[])["error_code"] == 70


def test_a_new_session_in_place_of_an_old_one(connection: Connection, filled: Filled) -> None:
    old = session(connection, filled.name, 0, 0)["session_id"]
    new = session(connection, filled.name, old, 0)
    assert (new["error_code"], len(new["responses"])) == (0, 1)
    assert new["session_id"] not in (0, old)
    assert session(connection, filled.name, old, 1)["error_code"] == 70
    # Without partitions it is a session as well.
    empty = session(connection, filled.name, new["session_id"], 0, topics=[])
    assert empty["session_id"] not in (0, old, new["session_id"])
    grown = session(connection, filled.name, empty["session_id"], 1)
    assert len(grown["responses"][0]["partitions"][0]["records"]) == 240


def test_a_session_whose_topic_is_deleted(connection: Connection) -> None:
    """It was asked for by id and is known by name: the error is that of a name."""
    name, topic_id = raw.create_topic(connection)
    values = raw.fetch_values(topic_id, version=13, min_bytes=0, session_id=0, session_epoch=0)
    session_id = connection.call(FETCH, 13, values)["session_id"]
    raw.delete_topic(connection, name)
    values = {**values, "topics": [], "session_id": session_id, "session_epoch": 1}
    (topic,) = connection.call(FETCH, 13, values)["responses"]
    assert topic["topic_id"] == topic_id
    assert topic["partitions"][0]["error_code"] == 3


def test_a_session_by_name_and_then_by_id(connection: Connection, filled: Filled) -> None:
    session_id = session(connection, filled.name, 0, 0)["session_id"]
    values = raw.fetch_values(filled.id, version=13, min_bytes=0, session_id=session_id, session_epoch=1)
    answer = connection.call(FETCH, 13, values)
    assert (answer["error_code"], answer["session_id"], answer["responses"]) == (106, 0, [])

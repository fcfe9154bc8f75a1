"""Rows written by a thread of its own while the task goes on: order, bounds, failures, commits."""

from __future__ import annotations

import threading
from collections.abc import Sequence

import pytest

from connect.api.data import INT64_SCHEMA, OPTIONAL_STRING_SCHEMA
from connect.api.errors import ConnectError, RetriableError
from connect.api.records import SinkRecord
from connect.api.sink import TopicPartition
from connect.jdbc.sink import ahead
from connect.jdbc.sink.ahead import WriteAhead
from tests.connect.jdbc.databases import TestDatabase
from tests.connect.jdbc.harness import Sink, struct
from tests.processes import wait_until

PLACE = TopicPartition("things", 0)


def number(n: int, size: int = 1) -> SinkRecord:
    return SinkRecord("t", 0, None, None, None, "x" * size, n)


class Target:
    """What `write` is: it waits until the test lets it go on, and fails when told to."""

    def __init__(self) -> None:
        self.batches: list[list[int]] = []
        self.failing = False
        self.begun = threading.Semaphore(0)
        self.go_on = threading.Semaphore(0)

    def write(self, records: Sequence[SinkRecord]) -> None:
        self.begun.release()
        assert self.go_on.acquire(timeout=30)
        if self.failing:
            raise ConnectError("no")
        self.batches.append([record.kafka_offset for record in records])


def test_what_waits_is_written_together_and_in_order() -> None:
    target = Target()
    writer = WriteAhead(target.write, "w", 10)
    writer.offer([number(0)])
    assert target.begun.acquire(timeout=30)
    writer.offer([number(1), number(2)])
    writer.offer([number(3)])
    target.go_on.release(2)
    writer.settle()
    assert target.batches == [[0], [1, 2, 3]]
    assert writer.take_back() is None
    writer.close()


def test_a_failure_gives_everything_back_and_nothing_more_is_written() -> None:
    target = Target()
    writer = WriteAhead(target.write, "w", 10)
    target.failing = True
    writer.offer([number(0), number(1)])
    assert target.begun.acquire(timeout=30)
    writer.offer([number(2)])
    target.go_on.release()
    writer.settle()
    writer.offer([number(3)])  # Comes before anybody looked.
    failed = writer.take_back()
    assert failed is not None
    assert [record.kafka_offset for record in failed[0]] == [0, 1, 2, 3]
    assert str(failed[1]) == "no"
    target.failing = False
    writer.offer([number(4)])
    target.go_on.release()
    writer.settle()
    assert target.batches == [[4]]
    writer.close()


@pytest.mark.parametrize(("count", "size"), [(1500, 1), (3, ahead.MOST_BYTES // 4)])
def test_what_waits_is_bounded(count: int, size: int) -> None:
    target = Target()
    writer = WriteAhead(target.write, "w", 10)
    writer.offer([number(0)])
    assert target.begun.acquire(timeout=30)
    writer.offer([number(n, size) for n in range(count)])
    offered = threading.Event()

    def offer_more() -> None:
        writer.offer([number(n, size) for n in range(count + 2)])
        offered.set()

    thread = threading.Thread(target=offer_more, daemon=True)
    thread.start()
    assert not offered.wait(0.1)
    target.go_on.release()
    assert offered.wait(30)
    target.go_on.release(2)
    writer.settle()
    assert [len(batch) for batch in target.batches] == [1, count, count + 2]
    writer.close()
    thread.join()


def things(sink: Sink, *numbers: int, title: str | None = "x") -> list[SinkRecord]:
    return [sink.record(struct(id=(INT64_SCHEMA, n), title=(OPTIONAL_STRING_SCHEMA, title))) for n in numbers]


@pytest.fixture
def sink(postgres: TestDatabase) -> Sink:
    postgres.execute("CREATE TABLE things (id BIGINT PRIMARY KEY, title VARCHAR(5))")
    config = {
        **postgres.config(), "insert.mode": "upsert", "pk.mode": "record_value", "pk.fields": "id",
        "retry.backoff.ms": "1",
    }  # fmt: skip
    return Sink(config, dead_letters=True)


def test_put_does_not_wait_for_the_database_and_a_commit_does(postgres: TestDatabase, sink: Sink) -> None:
    other = postgres.connect()  # type: ignore[attr-defined]
    other.autocommit = False
    other.execute("LOCK TABLE things IN ACCESS EXCLUSIVE MODE")
    sink.task.put(things(sink, *range(10)))
    sink.task.put(things(sink, *range(5, 15), title="y"))
    allowed: dict[TopicPartition, int] = {}
    committing = threading.Thread(target=lambda: allowed.update(sink.task.pre_commit({PLACE: 20})))
    committing.start()
    committing.join(0.1)
    assert committing.is_alive()
    other.rollback()
    committing.join(30)
    assert allowed == {PLACE: 20}
    assert postgres.query("SELECT id, title FROM things ORDER BY id") == [
        (n, "y" if n >= 5 else "x") for n in range(15)
    ]
    other.close()
    sink.stop()


def test_bad_rows_among_those_written_ahead(postgres: TestDatabase, sink: Sink) -> None:
    sink.task.put([*things(sink, 0, 1), *things(sink, 2, title="too long"), *things(sink, 3)])
    sink.task.put(things(sink, 4, 5))
    # Nothing beyond what is written may be committed, whatever else waits behind the bad row.
    assert sink.task.pre_commit({PLACE: 6}) == {PLACE: 0}
    sink.task.put([])
    assert sink.reporter.offsets == [2]
    assert "things-0 offset 2" in str(sink.reporter.reported[0][1])
    assert [row[0] for row in postgres.query("SELECT id FROM things ORDER BY id")] == [0, 1, 3, 4, 5]
    assert sink.task.pre_commit({PLACE: 6}) == {PLACE: 6}
    sink.stop()


def test_a_lost_connection_loses_nothing_that_was_taken(postgres: TestDatabase, sink: Sink) -> None:
    sink.task.put(things(sink, 0))
    sink.task.pre_commit({PLACE: 1})
    postgres.execute(
        "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE pid <> pg_backend_pid() "
        "AND application_name = 'pybroker'"
    )
    sink.task.put(things(sink, *range(1, 10)))
    assert sink.task.pre_commit({PLACE: 10}) == {PLACE: 1}
    more = things(sink, *range(10, 20))
    with pytest.raises(RetriableError):
        sink.task.put(more)
    sink.task.put(more)
    assert sink.task.pre_commit({PLACE: 20}) == {PLACE: 20}
    assert [row[0] for row in postgres.query("SELECT id FROM things ORDER BY id")] == list(range(20))
    sink.stop()


def test_records_of_partitions_that_are_given_up_are_not_written_later(
    postgres: TestDatabase, sink: Sink
) -> None:
    sink.task.put(things(sink, 0, title="too long"))
    assert sink.task.pre_commit({PLACE: 1}) == {PLACE: 0}
    sink.task.close([PLACE])
    sink.task.put([])
    assert sink.reporter.offsets == []
    assert postgres.query("SELECT * FROM things") == []
    sink.stop()


def test_stop_waits_for_what_is_being_written(postgres: TestDatabase, sink: Sink) -> None:
    sink.task.put(things(sink, *range(2000)))
    sink.stop()
    wait_until(lambda: not any(thread.name == "sink-writer" for thread in threading.enumerate()), "the end")
    assert postgres.query("SELECT COUNT(*) FROM things")[0][0] in (0, 2000)

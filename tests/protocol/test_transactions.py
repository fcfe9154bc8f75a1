"""Transactions as raw frames: docs/protocol.md section 10.3, with transaction.version 2."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Any

import pytest

from tests.processes import Server
from tests.protocol import groups, raw
from tests.protocol.raw import FETCH, FIND_COORDINATOR, INIT_PRODUCER_ID, LIST_OFFSETS, Connection
from tests.protocol.test_produce import check_plain, check_validated

ADD_PARTITIONS, ADD_OFFSETS, END_TXN, WRITE_MARKERS, TXN_OFFSET_COMMIT = 24, 25, 26, 27, 28
DESCRIBE_PRODUCERS, DESCRIBE_TRANSACTIONS, LIST_TRANSACTIONS = 61, 65, 66

COORDINATOR_NOT_AVAILABLE, NOT_COORDINATOR, COORDINATOR_LOADING, CONCURRENT = 15, 16, 14, 51
PATIENCE_SECONDS = 20.0


def patiently(call: Any, *errors: int) -> Any:
    """The first answer without one of these errors, which only mean that it is too early."""
    deadline = time.monotonic() + PATIENCE_SECONDS
    while True:
        answer = call()
        if answer["error_code"] not in errors or time.monotonic() > deadline:
            return answer
        time.sleep(0.02)


@pytest.fixture(scope="session", autouse=True)
def coordinator(address: str) -> dict[str, Any]:
    """The transaction coordinator, when its topic is there."""
    with Connection(address) as connection:
        return patiently(
            lambda: connection.call(FIND_COORDINATOR, 4, {"key_type": 1, "coordinator_keys": ["x"]})[
                "coordinators"
            ][0],
            COORDINATOR_NOT_AVAILABLE,
        )


class Producer:
    """A transactional producer made of single requests."""

    def __init__(self, connection: Connection, topic: str, name: str | None = None, **init: Any) -> None:
        self.connection = connection
        self.topic = topic
        self.name = name or raw.unique("txn")
        answer = self.init(**init)
        assert answer["error_code"] == 0, answer
        self.id, self.epoch = answer["producer_id"], answer["producer_epoch"]

    def init(self, version: int = 5, **changes: Any) -> Any:
        values = {"transactional_id": self.name, "transaction_timeout": 60000, **changes}
        early = (COORDINATOR_NOT_AVAILABLE, NOT_COORDINATOR, COORDINATOR_LOADING, CONCURRENT)
        return patiently(lambda: self.connection.call(INIT_PRODUCER_ID, version, values), *early)

    def batch(self, sequence: int = 0, count: int = 1, **changes: Any) -> bytes:
        fields = {
            "producer_id": self.id,
            "producer_epoch": self.epoch,
            "base_sequence": sequence,
            "attributes": 0x10,
            **changes,
        }
        return raw.simple_batch(count, **fields)

    def send(self, sequence: int = 0, *, version: int = 12, name: str | None = None, **changes: Any) -> Any:
        return raw.produce(
            self.connection,
            self.topic,
            self.batch(sequence, **changes),
            version=version,
            transactional_id=name or self.name,
        )

    def add(self, *topics: str, version: int = 3, **changes: Any) -> dict[str, int]:
        values = {
            "v3_and_below_transactional_id": self.name,
            "v3_and_below_producer_id": self.id,
            "v3_and_below_producer_epoch": self.epoch,
            "v3_and_below_topics": [{"name": name, "partitions": [0]} for name in topics or (self.topic,)],
            **changes,
        }
        answer = self.connection.call(ADD_PARTITIONS, version, values)
        return {
            topic["name"]: topic["results_by_partition"][0]["partition_error_code"]
            for topic in answer["results_by_topic_v3_and_below"]
        }

    def add_batched(self, version: int = 5, verify_only: bool = True) -> int:
        values = {
            "transactions": [
                {
                    "transactional_id": self.name,
                    "producer_id": self.id,
                    "producer_epoch": self.epoch,
                    "verify_only": verify_only,
                    "topics": [{"name": self.topic, "partitions": [0]}],
                }
            ]
        }
        answer = self.connection.call(ADD_PARTITIONS, version, values)
        assert answer["error_code"] == 0
        (result,) = answer["results_by_transaction"]
        assert result["transactional_id"] == self.name
        return result["topic_results"][0]["results_by_partition"][0]["partition_error_code"]

    def end(self, committed: bool = True, *, version: int = 5, **changes: Any) -> Any:
        values = {
            "transactional_id": self.name,
            "producer_id": self.id,
            "producer_epoch": self.epoch,
            "committed": committed,
            **changes,
        }
        return self.connection.call(END_TXN, version, values)

    def ended(self, committed: bool = True, **changes: Any) -> Any:
        """End the transaction and take the new id and epoch, when its markers are there."""
        answer = self.end(committed, **changes)
        assert answer["error_code"] == 0
        self.settled()
        if "producer_epoch" in answer:
            self.id, self.epoch = answer["producer_id"], answer["producer_epoch"]
        return answer

    def settled(self) -> None:
        deadline = time.monotonic() + PATIENCE_SECONDS
        while self.describe()["transaction_state"].startswith("Prepare"):
            assert time.monotonic() < deadline
            time.sleep(0.01)

    def describe(self) -> Any:
        values = {"transactional_ids": [self.name]}
        return self.connection.call(DESCRIBE_TRANSACTIONS, 0, values)["transaction_states"][0]


@pytest.fixture
def producer(connection: Connection, topic: str) -> Producer:
    return Producer(connection, topic)


def latest(connection: Connection, topic: str, isolation_level: int) -> int:
    values = {
        "replica_id": -1,
        "isolation_level": isolation_level,
        "topics": [{"name": topic, "partitions": [{"partition_index": 0, "timestamp": -1}]}],
    }
    return connection.call(LIST_OFFSETS, 4, values)["topics"][0]["partitions"][0]["offset"]


# InitProducerId


def test_each_initialization_takes_the_next_epoch(producer: Producer) -> None:
    again = producer.init()
    assert (again["producer_id"], again["producer_epoch"]) == (producer.id, producer.epoch + 1)
    assert producer.epoch == 0


def test_going_on_with_the_own_epoch_can_be_repeated(producer: Producer) -> None:
    for _ in range(2):
        answer = producer.init(producer_id=producer.id, producer_epoch=0)
        assert (answer["error_code"], answer["producer_epoch"]) == (0, 1)
    assert producer.init(producer_id=producer.id, producer_epoch=1)["producer_epoch"] == 2
    assert producer.init(producer_id=producer.id, producer_epoch=0)["error_code"] == 90
    assert producer.init(version=3, producer_id=producer.id, producer_epoch=0)["error_code"] == 47


def test_a_higher_epoch_or_another_id_is_fenced(producer: Producer) -> None:
    for pair in ((producer.id, 7), (producer.id + 1_000_000, 0)):
        answer = producer.init(producer_id=pair[0], producer_epoch=pair[1])
        assert (answer["error_code"], answer["producer_id"], answer["producer_epoch"]) == (90, -1, -1)


def test_an_initialization_aborts_what_is_open(producer: Producer, connection: Connection) -> None:
    assert producer.send()["error_code"] == 0
    values = {"transactional_id": producer.name, "transaction_timeout": 60000}
    first = connection.call(INIT_PRODUCER_ID, 5, values)
    assert first["error_code"] == CONCURRENT
    again = producer.init()
    assert again["error_code"] == 0
    # One epoch for the abort, one for the new producer.
    assert (again["producer_id"], again["producer_epoch"]) == (producer.id, 2)
    check_plain(producer.send(1), 47)
    assert producer.end()["error_code"] == 90


# Produce


def test_a_produce_adds_its_partition(producer: Producer, connection: Connection) -> None:
    assert producer.send()["error_code"] == 0
    state = producer.describe()
    assert (state["error_code"], state["transaction_state"]) == (0, "Ongoing")
    assert state["topics"] == [{"topic": producer.topic, "partitions": [0]}]
    assert (state["producer_id"], state["producer_epoch"]) == (producer.id, 0)
    assert state["transaction_timeout"] == 60000
    assert state["transaction_start_time"] > 0
    assert producer.send(1)["error_code"] == 0
    assert latest(connection, producer.topic, 0) == 2
    assert latest(connection, producer.topic, 1) == 0


@pytest.mark.parametrize(("version", "error"), [(9, 48), (10, 48), (11, 120)])
def test_a_partition_that_was_not_added_before_version_12(
    producer: Producer, version: int, error: int
) -> None:
    answer = producer.send(version=version)
    if error == 48:
        assert answer.pop("error_message") == "Partition was not added to the transaction"
        answer["error_message"] = None
    check_plain(answer, error)


@pytest.mark.parametrize("version", [3, 9, 11])
def test_a_partition_that_was_added(producer: Producer, version: int) -> None:
    assert producer.add() == {producer.topic: 0}
    assert producer.send(version=version)["error_code"] == 0
    assert producer.send(1, version=version)["error_code"] == 0


def test_other_epochs(producer: Producer) -> None:
    check_plain(producer.send(producer_epoch=5), 47)
    producer.init()
    check_plain(producer.send(), 47)


def test_another_transactional_id(producer: Producer) -> None:
    other = Producer(producer.connection, producer.topic)
    check_plain(producer.send(name=other.name), 49)
    check_plain(producer.send(name="never-heard-of"), 49)


def test_a_batch_outside_the_transaction(producer: Producer) -> None:
    assert producer.send()["error_code"] == 0
    check_validated(producer.send(1, attributes=0), 48)
    assert producer.send(1)["error_code"] == 0


def test_the_first_sequence_with_version_12(producer: Producer) -> None:
    check_validated(producer.send(3), 45)
    assert producer.send(0)["error_code"] == 0


def test_two_producers_in_one_request(producer: Producer) -> None:
    other = Producer(producer.connection, producer.topic)
    name, _ = raw.create_topic(producer.connection, partitions=2)
    values = raw.produce_values(name, {0: producer.batch(), 1: other.batch()}, transactional_id=producer.name)
    answer = producer.connection.call(raw.PRODUCE, 12, values)
    for partition in answer["responses"][0]["partition_responses"]:
        assert partition["error_code"] == 49


# Fetch and ListOffsets


def test_read_committed_stops_at_an_open_transaction(producer: Producer, connection: Connection) -> None:
    topic = producer.topic
    producer.send(count=2)
    found = raw.fetch(connection, topic, isolation_level=1)
    assert (found["error_code"], found["high_watermark"], found["last_stable_offset"]) == (0, 2, 0)
    assert (found["aborted_transactions"], found["records"]) == ([], b"")
    found = raw.fetch(connection, topic)
    assert (found["last_stable_offset"], found["aborted_transactions"]) == (0, None)
    assert len(raw.parse_batches(found["records"])) == 1
    producer.ended(False)
    found = raw.fetch(connection, topic, isolation_level=1)
    assert (found["high_watermark"], found["last_stable_offset"]) == (3, 3)
    assert found["aborted_transactions"] == [{"producer_id": producer.id, "first_offset": 0}]
    data, marker = raw.parse_batches(found["records"])
    assert (data.base_offset, data.attributes, marker.base_offset, marker.attributes) == (0, 0x10, 2, 0x30)
    assert latest(connection, topic, 1) == 3


@pytest.mark.parametrize("version", [4, 11, 12, 16])
def test_committed_and_aborted_in_turn(connection: Connection, version: int) -> None:
    topic, topic_id = raw.create_topic(connection)
    producer = Producer(connection, topic)
    for committed in (True, False, True, False):
        producer.send(count=2)
        producer.ended(committed)
    found = raw.fetch(connection, topic_id if version >= 13 else topic, isolation_level=1, version=version)
    assert found["aborted_transactions"] == [
        {"producer_id": producer.id, "first_offset": offset} for offset in (3, 9)
    ]
    assert [b.base_offset for b in raw.parse_batches(found["records"])] == [0, 2, 3, 5, 6, 8, 9, 11]
    later = raw.fetch(connection, topic_id if version >= 13 else topic, 6, isolation_level=1, version=version)
    assert later["aborted_transactions"] == [{"producer_id": producer.id, "first_offset": 9}]


def test_a_waiting_read_committed_fetch_is_woken_by_the_marker(producer: Producer, address: str) -> None:
    producer.send()
    with Connection(address) as other:
        values = raw.fetch_values(producer.topic, isolation_level=1, max_wait=10_000)
        correlation = other.send(FETCH, 12, values)
        start = time.monotonic()
        producer.ended(True)
        answer = other.receive(FETCH, 12, correlation)
        assert time.monotonic() - start < 5
    assert answer["responses"][0]["partitions"][0]["last_stable_offset"] == 2


# EndTxn


def test_the_end_takes_an_epoch_and_the_marker_has_it(producer: Producer, connection: Connection) -> None:
    producer.send()
    answer = producer.end()
    assert (answer["error_code"], answer["producer_id"], answer["producer_epoch"]) == (0, producer.id, 1)
    producer.settled()
    state = producer.describe()
    assert (state["transaction_state"], state["producer_epoch"], state["topics"]) == ("CompleteCommit", 1, [])
    _, marker = raw.parse_batches(raw.fetch(connection, producer.topic)["records"])
    assert (marker.producer_epoch, marker.base_sequence, marker.count) == (1, -1, 1)


@pytest.mark.parametrize("committed", [True, False])
def test_a_repeated_end(producer: Producer, committed: bool) -> None:
    producer.send()
    first = producer.end(committed)
    producer.settled()
    assert producer.end(committed) == first
    assert producer.end(not committed)["error_code"] == 48


def test_an_end_without_a_transaction(producer: Producer) -> None:
    assert producer.end(True)["error_code"] == 48
    answer = producer.end(False)
    assert (answer["error_code"], answer["producer_epoch"]) == (0, 1)
    producer.settled()
    producer.epoch = 1
    assert producer.end(True)["error_code"] == 48
    assert producer.end(False)["producer_epoch"] == 2


def test_ends_of_strangers(producer: Producer) -> None:
    producer.send()
    for changes, error in (
        ({"transactional_id": "never-heard-of"}, 49),
        ({"producer_id": producer.id + 1_000_000}, 49),
        ({"producer_epoch": 9}, 90),
        ({"transactional_id": ""}, 42),
    ):
        answer = producer.end(**changes)
        assert (answer["error_code"], answer["producer_id"], answer["producer_epoch"]) == (error, -1, -1)


@pytest.mark.parametrize("version", range(5))
def test_ends_of_older_versions(producer: Producer, version: int, connection: Connection) -> None:
    assert producer.end(version=version)["error_code"] == 48
    producer.add()
    producer.send(version=11)
    producer.ended(version=version)
    assert producer.describe()["producer_epoch"] == 0
    assert producer.end(version=version)["error_code"] == 0
    assert producer.end(False, version=version)["error_code"] == 48
    _, marker = raw.parse_batches(raw.fetch(connection, producer.topic)["records"])
    assert marker.producer_epoch == 0
    fenced = producer.end(version=version, producer_epoch=4)["error_code"]
    assert fenced == (47 if version < 2 else 90)


def test_kafka_17754_a_late_end_of_an_older_version_ends_the_next_transaction(producer: Producer) -> None:
    # What transactions v2 are for: below, nothing tells the late request from a current one.
    producer.add()
    producer.send(version=11)
    producer.ended(version=4)
    producer.add()
    producer.send(1, version=11)
    late = producer.end(version=4)
    assert late["error_code"] == 0
    producer.settled()
    assert producer.describe()["transaction_state"] == "CompleteCommit"


def test_kafka_17754_a_late_end_of_v2_is_fenced(producer: Producer) -> None:
    producer.send()
    old = producer.epoch
    producer.ended()
    producer.send()
    late = producer.end(producer_epoch=old)
    assert late["error_code"] == 90
    assert producer.describe()["transaction_state"] == "Ongoing"


# AddPartitionsToTxn


@pytest.mark.parametrize("version", range(4))
def test_adding_partitions(producer: Producer, version: int) -> None:
    assert producer.add(version=version) == {producer.topic: 0}
    assert producer.add(version=version) == {producer.topic: 0}
    assert producer.describe()["transaction_state"] == "Ongoing"


def test_adding_an_unknown_topic(producer: Producer) -> None:
    assert producer.add(producer.topic, "does-not-exist-at-all") == {
        producer.topic: 55,
        "does-not-exist-at-all": 3,
    }
    assert producer.describe()["transaction_state"] == "Empty"


def test_adding_as_somebody_else(producer: Producer) -> None:
    assert producer.add(v3_and_below_producer_epoch=5) == {producer.topic: 90}
    assert producer.add(version=1, v3_and_below_producer_epoch=5) == {producer.topic: 47}
    assert producer.add(v3_and_below_producer_id=producer.id + 1_000_000) == {producer.topic: 49}
    assert producer.add(v3_and_below_transactional_id="never-heard-of") == {producer.topic: 49}
    assert producer.add(v3_and_below_transactional_id="") == {producer.topic: 42}


@pytest.mark.parametrize("version", [4, 5])
def test_asking_whether_a_partition_belongs(producer: Producer, version: int) -> None:
    assert producer.add_batched(version) == 120
    assert producer.add_batched(version, verify_only=False) == 0
    assert producer.add_batched(version) == 0
    producer.ended(False)
    assert producer.add_batched(version) == 120


# WriteTxnMarkers, DescribeProducers


def write_marker(connection: Connection, version: int = 1, **changes: Any) -> int:
    marker = {"transaction_result": False, "coordinator_epoch": 0, **changes}
    topic = marker.pop("topic")
    marker["topics"] = [{"name": topic, "partition_indexes": [0]}]
    answer = connection.call(WRITE_MARKERS, version, {"markers": [marker]})
    (result,) = answer["markers"]
    assert result["producer_id"] == marker["producer_id"]
    return result["topics"][0]["partitions"][0]["error_code"]


def producers(connection: Connection, topic: str) -> Any:
    values = {"topics": [{"name": topic, "partition_indexes": [0]}]}
    return connection.call(DESCRIBE_PRODUCERS, 0, values)["topics"][0]["partitions"][0]


def test_markers_of_the_administrator(producer: Producer, connection: Connection) -> None:
    producer.send()
    names = {"topic": producer.topic, "producer_id": producer.id}
    (found,) = producers(connection, producer.topic)["active_producers"]
    assert (found["producer_id"], found["producer_epoch"], found["last_sequence"]) == (producer.id, 0, 0)
    assert (found["coordinator_epoch"], found["current_txn_start_offset"]) == (-1, 0)
    assert found["last_timestamp"] > 0
    assert write_marker(connection, 2, producer_epoch=0, transaction_version=2, **names) == 47
    assert write_marker(connection, producer_epoch=0, **names) == 0
    assert latest(connection, producer.topic, 1) == 2
    (found,) = producers(connection, producer.topic)["active_producers"]
    assert (found["coordinator_epoch"], found["current_txn_start_offset"]) == (0, -1)
    assert write_marker(connection, producer_epoch=0, coordinator_epoch=5, **names) == 0
    assert write_marker(connection, producer_epoch=0, coordinator_epoch=4, **names) == 52


def test_markers_of_v2(producer: Producer, connection: Connection) -> None:
    producer.send()
    names = {"topic": producer.topic, "producer_id": producer.id, "transaction_version": 2}
    assert write_marker(connection, 2, producer_epoch=1, **names) == 0
    # The same again: nothing is open, so the answer to the first one was lost (KAFKA-19999).
    assert write_marker(connection, 2, producer_epoch=1, **names) == 0
    assert write_marker(connection, 2, producer_epoch=0, **names) == 47


def test_markers_for_an_unknown_topic(connection: Connection) -> None:
    names = {"topic": "does-not-exist-at-all", "producer_id": 1, "producer_epoch": 0}
    assert write_marker(connection, **names) == 3
    assert producers(connection, "does-not-exist-at-all")["error_code"] == 3


# DescribeTransactions, ListTransactions


def test_describing_an_unknown_transactional_id(connection: Connection) -> None:
    for name, error in (("never-heard-of", 105), ("", 42)):
        answer = connection.call(DESCRIBE_TRANSACTIONS, 0, {"transactional_ids": [name]})
        assert answer["transaction_states"][0]["error_code"] == error


def test_describing_several(producer: Producer, connection: Connection) -> None:
    answer = connection.call(
        DESCRIBE_TRANSACTIONS, 0, {"transactional_ids": [producer.name, "never-heard-of", producer.name]}
    )
    found = {state["transactional_id"]: state["error_code"] for state in answer["transaction_states"]}
    assert found == {producer.name: 0, "never-heard-of": 105}
    state = producer.describe()
    assert (state["transaction_state"], state["transaction_start_time"]) == ("Empty", -1)


def listed(connection: Connection, version: int = 2, **filters: Any) -> tuple[dict[str, str], list[str]]:
    """(transactional id to state, unknown states)."""
    values = {"state_filters": [], "producer_id_filters": [], **filters}
    answer = patiently(lambda: connection.call(LIST_TRANSACTIONS, version, values), COORDINATOR_LOADING)
    assert answer["error_code"] == 0
    states = {row["transactional_id"]: row["transaction_state"] for row in answer["transaction_states"]}
    return states, answer["unknown_state_filters"]


@pytest.mark.parametrize("version", range(3))
def test_listing(producer: Producer, connection: Connection, version: int) -> None:
    producer.send()
    other = Producer(connection, producer.topic)
    states, unknown = listed(connection, version)
    assert (states[producer.name], states[other.name], unknown) == ("Ongoing", "Empty", [])
    states, unknown = listed(connection, version, state_filters=["Ongoing", "Strange", "Dead"])
    assert states[producer.name] == "Ongoing"
    assert other.name not in states
    assert unknown == ["Strange"]
    assert listed(connection, version, state_filters=["Strange"]) == ({}, ["Strange"])
    states, _ = listed(connection, version, producer_id_filters=[other.id])
    assert states == {other.name: "Empty"}


@pytest.mark.parametrize("version", [1, 2])
def test_listing_by_age(producer: Producer, connection: Connection, version: int) -> None:
    producer.send()
    assert producer.name not in listed(connection, version, duration_filter=3_600_000)[0]
    time.sleep(0.03)
    assert producer.name in listed(connection, version, duration_filter=10)[0]


def test_listing_by_pattern(connection: Connection, topic: str) -> None:
    names = [raw.unique(prefix) for prefix in ("apple", "pear", "größe")]
    for name in names:
        Producer(connection, topic, name)
    mine = set(names)
    for pattern, expected in (
        ("apple-.*", names[:1]),
        ("apple", []),
        (".*", names),
        ("", names),
        (None, names),
        ("(apple|pear)-[0-9a-f]{12}", names[:2]),
    ):
        found, _ = listed(connection, transactional_id_pattern=pattern)
        assert mine & set(found) == set(expected), pattern
    values = {"state_filters": [], "producer_id_filters": [], "transactional_id_pattern": "(["}
    assert connection.call(LIST_TRANSACTIONS, 2, values)["error_code"] == 128


# Offsets


class Offsets:
    """Offsets that a producer commits with its transaction."""

    def __init__(self, producer: Producer) -> None:
        self.producer = producer
        self.connection = producer.connection
        self.group = raw.unique("group")
        patiently(
            lambda: self.connection.call(
                FIND_COORDINATOR, 4, {"key_type": 0, "coordinator_keys": [self.group]}
            )["coordinators"][0],
            COORDINATOR_NOT_AVAILABLE,
        )

    def add(self, version: int = 3) -> int:
        producer = self.producer
        values = {
            "transactional_id": producer.name,
            "producer_id": producer.id,
            "producer_epoch": producer.epoch,
            "group_id": self.group,
        }
        early = (COORDINATOR_NOT_AVAILABLE, COORDINATOR_LOADING)
        return patiently(lambda: self.connection.call(ADD_OFFSETS, version, values), *early)["error_code"]

    def commit(self, offset: int, version: int = 5, topic: str | None = None, **changes: Any) -> int:
        producer = self.producer
        values = {
            "transactional_id": producer.name,
            "group_id": self.group,
            "producer_id": producer.id,
            "producer_epoch": producer.epoch,
            "generation_id": -1,
            "member_id": "",
            "group_instance_id": None,
            "topics": [
                {
                    "name": topic or producer.topic,
                    "partitions": [
                        {
                            "partition_index": 0,
                            "committed_offset": offset,
                            "committed_leader_epoch": -1,
                            "committed_metadata": "m",
                        }
                    ],
                }
            ],
            **changes,
        }

        def once() -> Any:
            answer = groups.call(self.connection, TXN_OFFSET_COMMIT, version, values)
            return answer["topics"][0]["partitions"][0]

        early = (COORDINATOR_LOADING, NOT_COORDINATOR, COORDINATOR_NOT_AVAILABLE)
        return patiently(once, *early)["error_code"]

    def fetch(self, stable: bool = True) -> tuple[int, int]:
        """(error, offset)."""
        values = {
            "groups": [
                {"group_id": self.group, "topics": [{"name": self.producer.topic, "partition_indexes": [0]}]}
            ],
            "require_stable": stable,
        }
        (group,) = self.connection.call(9, 8, values)["groups"]
        assert group["error_code"] == 0, group
        (found,) = group["topics"][0]["partitions"]
        return found["error_code"], found["committed_offset"]


@pytest.fixture
def offsets(producer: Producer) -> Offsets:
    return Offsets(producer)


@pytest.mark.parametrize("committed", [True, False])
def test_offsets_of_a_transaction(offsets: Offsets, committed: bool) -> None:
    assert offsets.commit(5) == 0
    assert offsets.fetch(stable=True) == (88, -1)
    assert offsets.fetch(stable=False) == (0, -1)
    assert "__consumer_offsets" in {entry["topic"] for entry in offsets.producer.describe()["topics"]}
    offsets.producer.ended(committed)
    assert offsets.fetch() == (0, 5 if committed else -1)
    assert offsets.commit(9) == 0
    assert offsets.fetch(stable=False) == (0, 5 if committed else -1)
    offsets.producer.ended(True)
    assert offsets.fetch() == (0, 9)


@pytest.mark.parametrize("version", range(5))
def test_offsets_of_older_clients(offsets: Offsets, version: int) -> None:
    assert offsets.commit(5, version) == (120 if version == 4 else 48)
    assert offsets.add(min(version, 4)) == 0
    assert offsets.commit(5, version) == 0
    offsets.producer.ended(version=min(version, 4))
    assert offsets.fetch() == (0, 5)


def test_offsets_of_strangers(offsets: Offsets) -> None:
    producer = offsets.producer
    assert offsets.commit(5, producer_epoch=7) == 47
    assert offsets.commit(5, producer_id=producer.id + 1_000_000) == 49
    assert offsets.commit(5, topic="does-not-exist-at-all") == 3
    assert offsets.commit(5, generation_id=3) == 22
    assert offsets.commit(5, group_id="") == 24
    assert offsets.fetch() == (0, -1)


def test_adding_the_offsets_of_strangers(offsets: Offsets) -> None:
    producer = offsets.producer
    producer.epoch = 9
    assert offsets.add(3) == 90
    assert offsets.add(1) == 47
    producer.id += 1_000_000
    assert offsets.add() == 49


# FindCoordinator


def test_adding_offsets_before_any_group_was_looked_for(start_broker: Callable[..., Server]) -> None:
    """As kafkajs does: the topic of the offsets is made by the look for the group's coordinator, which comes after."""
    with Connection(start_broker().bootstrap) as connection:
        name = raw.unique("topic")
        raw.create_topic(connection, name)
        find = {"key_type": 1, "coordinator_keys": ["x"]}
        patiently(
            lambda: connection.call(FIND_COORDINATOR, 4, find)["coordinators"][0], COORDINATOR_NOT_AVAILABLE
        )
        producer = Producer(connection, name)
        values = {
            "transactional_id": producer.name,
            "producer_id": producer.id,
            "producer_epoch": producer.epoch,
            "group_id": "g",
        }
        # Only the producer's own last transaction may still be at its end.
        assert patiently(lambda: connection.call(ADD_OFFSETS, 0, values), CONCURRENT)["error_code"] == 0
        # Ended before the topic is there, which leaves nothing behind.
        assert producer.end(version=3)["error_code"] == 0
        assert patiently(lambda: connection.call(ADD_OFFSETS, 0, values), CONCURRENT)["error_code"] == 0
        offsets = Offsets(producer)
        offsets.group = "g"
        assert offsets.commit(5, 2) == 0
        assert producer.end(version=3)["error_code"] == 0


@pytest.mark.parametrize("version", range(1, 7))
def test_finding_the_coordinator(connection: Connection, version: int, address: str) -> None:
    if version >= 4:
        values: dict[str, Any] = {"key_type": 1, "coordinator_keys": ["a", "b"]}
        found = connection.call(FIND_COORDINATOR, version, values)["coordinators"]
        assert [entry["key"] for entry in found] == ["a", "b"]
    else:
        answer = connection.call(FIND_COORDINATOR, version, {"key": "a", "key_type": 1})
        assert answer["error_message"] == "NONE"
        found = [answer]
    for entry in found:
        assert entry["error_code"] == 0
        assert entry["node_id"] >= 0
        assert f"{entry['host']}:{entry['port']}" == address
        if version >= 4:
            assert entry["error_message"] == ""

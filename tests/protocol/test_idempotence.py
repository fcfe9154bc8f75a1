"""InitProducerId and sequence checks: the second table of protocol.md section 10.2."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Any

import pytest

from tests.processes import Server
from tests.protocol import raw
from tests.protocol.raw import INIT_PRODUCER_ID, Connection
from tests.protocol.test_produce import check_plain, check_stored, check_validated


def init_producer_id(connection: Connection, version: int = 5, **changes: Any) -> dict[str, Any]:
    """The first call after a start may be told to try again (14) while the broker fetches a block of ids."""
    values: dict[str, Any] = {"transactional_id": None, "transaction_timeout": 60000, **changes}
    deadline = time.monotonic() + 10
    while True:
        answer: dict[str, Any] = connection.call(INIT_PRODUCER_ID, version, values)
        if answer["error_code"] != 14 or time.monotonic() > deadline:
            return answer
        time.sleep(0.01)


class Producer:
    """One producer id on one topic, with sequence numbers given by the test."""

    def __init__(self, connection: Connection, topic: str) -> None:
        self.connection = connection
        self.topic = topic
        answer = init_producer_id(connection)
        assert answer["error_code"] == 0
        self.id = answer["producer_id"]
        assert answer["producer_epoch"] == 0

    def send(self, sequence: int, count: int = 1, epoch: int = 0, version: int = 9, **fields: Any) -> Any:
        fields = {"producer_id": self.id, "producer_epoch": epoch, "base_sequence": sequence, **fields}
        return raw.produce(self.connection, self.topic, raw.simple_batch(count, **fields), version=version)


@pytest.fixture
def producer(connection: Connection, topic: str) -> Producer:
    return Producer(connection, topic)


@pytest.mark.parametrize("version", range(6))
def test_ids_count_up(connection: Connection, version: int) -> None:
    first, second = (init_producer_id(connection, version) for _ in range(2))
    assert first["error_code"] == second["error_code"] == 0
    assert first["producer_id"] >= 0
    assert second["producer_id"] > first["producer_id"]
    assert first["producer_epoch"] == second["producer_epoch"] == 0


@pytest.mark.parametrize("timeout", [0, -1, 900001])
def test_a_transaction_timeout_out_of_bounds(connection: Connection, timeout: int, is_pybroker: bool) -> None:
    answer = init_producer_id(connection, transactional_id="a-transaction", transaction_timeout=timeout)
    # Before the coordinator topic exists the reference says so first.
    assert answer["error_code"] in (50, 16, 15)
    assert (answer["producer_id"], answer["producer_epoch"]) == (-1, -1)


def test_an_empty_transactional_id(connection: Connection) -> None:
    answer = init_producer_id(connection, transactional_id="")
    assert answer == {"throttle_time": 0, "error_code": 42, "producer_id": -1, "producer_epoch": -1}


def test_an_idempotent_producer_that_names_its_id(connection: Connection) -> None:
    answer = init_producer_id(connection, producer_id=5, producer_epoch=0)
    assert answer["error_code"] == 0
    assert answer["producer_epoch"] == 0
    for pair in ({"producer_id": 5, "producer_epoch": -1}, {"producer_id": -1, "producer_epoch": 3}):
        assert init_producer_id(connection, **pair)["error_code"] == 42


def test_sequences_in_order(producer: Producer) -> None:
    offset = 0
    for count in (1, 3, 2, 5):
        check_stored(producer.send(offset, count), offset)
        offset += count


@pytest.mark.parametrize("sequence", [0, 5, 2**31 - 1])
def test_any_first_sequence_is_good(producer: Producer, sequence: int) -> None:
    check_stored(producer.send(sequence), 0)


def test_ids_that_were_never_given(connection: Connection, topic: str) -> None:
    for offset, producer_id in enumerate((10**15, -2)):
        fields = {"producer_id": producer_id, "producer_epoch": 0, "base_sequence": 0}
        check_stored(raw.produce(connection, topic, raw.simple_batch(**fields)), offset)


def test_repeats_of_the_last_five_batches(producer: Producer, connection: Connection) -> None:
    stamps = [raw.now_ms() + i for i in range(6)]
    for sequence in range(6):
        check_stored(producer.send(sequence, base_timestamp=stamps[sequence]), sequence)
    for sequence in (5, 1, 3, 2, 4):
        answer = producer.send(sequence)
        check_stored(answer, sequence)
        assert answer["log_append_time"] == stamps[sequence]
    check_validated(producer.send(0), 45)
    assert raw.high_watermark(connection, producer.topic) == 6


def test_the_same_sequence_with_another_count_and_a_gap(producer: Producer) -> None:
    check_stored(producer.send(0), 0)
    check_validated(producer.send(0, 2), 45)
    check_validated(producer.send(5), 45)
    check_stored(producer.send(1), 1)


def test_epochs(producer: Producer) -> None:
    check_stored(producer.send(0), 0)
    check_validated(producer.send(3, epoch=1), 45)
    check_stored(producer.send(0, epoch=1), 1)
    for version in (8, 9):
        check_validated(producer.send(1, epoch=0, version=version), 47)
    check_stored(producer.send(1, epoch=1), 2)


def test_an_id_without_a_sequence(producer: Producer) -> None:
    check_validated(producer.send(-1), 87)


def test_the_sequence_wraps(producer: Producer) -> None:
    check_stored(producer.send(2**31 - 2, 2), 0)
    check_stored(producer.send(0), 2)


@pytest.mark.parametrize(
    "fields",
    [
        {"producer_id": -1, "producer_epoch": 3, "base_sequence": 7},
        {"producer_id": 77, "producer_epoch": -1, "base_sequence": 7},
    ],
)
def test_half_an_identity_is_not_checked(connection: Connection, topic: str, fields: dict[str, int]) -> None:
    for offset, sequence in enumerate((7, 40, 3)):
        check_stored(
            raw.produce(connection, topic, raw.simple_batch(**{**fields, "base_sequence": sequence})), offset
        )


def test_producers_of_one_partition_do_not_mix(connection: Connection, topic: str) -> None:
    producers = [Producer(connection, topic) for _ in range(3)]
    for sequence in range(3):
        for producer in producers:
            check_stored(producer.send(sequence))
    check_validated(producers[0].send(7), 45)


def test_sequences_are_kept_per_partition(connection: Connection) -> None:
    name, _ = raw.create_topic(connection, partitions=2)
    producer = Producer(connection, name)
    data = raw.simple_batch(producer_id=producer.id, producer_epoch=0, base_sequence=0)
    for partition in (0, 1):
        check_stored(raw.produce(connection, name, {partition: data}), 0)


def test_acks_0_with_a_gap_closes(connection: Connection, producer: Producer) -> None:
    check_stored(producer.send(0), 0)
    data = raw.simple_batch(producer_id=producer.id, producer_epoch=0, base_sequence=9)
    connection.send(raw.PRODUCE, 9, raw.produce_values(producer.topic, data, acks=0))
    assert connection.read_frame(5) is raw.CLOSED


def test_transactional_data_without_a_transaction(connection: Connection, producer: Producer) -> None:
    data = raw.simple_batch(producer_id=producer.id, producer_epoch=0, base_sequence=0, attributes=0x10)
    check_plain(raw.produce(connection, producer.topic, data), 53)


def test_the_window_after_kill_and_restart(start_broker: Callable[..., Server], is_pybroker: bool) -> None:
    """The reference forgets all but the last batch of a producer; pybroker restores the whole window."""
    server = start_broker()
    with Connection(server.bootstrap) as connection:
        name, _ = raw.create_topic(connection)
        producer = Producer(connection, name)
        for sequence in range(3):
            check_stored(producer.send(sequence), sequence)
    server.kill()
    server.start()
    with Connection(server.bootstrap) as connection:
        raw.wait_for_topic(connection, name)
        producer.connection = connection
        check_stored(producer.send(2), 2)
        if is_pybroker:
            check_stored(producer.send(1), 1)
        else:
            check_validated(producer.send(1), 45)
        check_stored(producer.send(3), 3)
        assert init_producer_id(connection)["producer_id"] > producer.id

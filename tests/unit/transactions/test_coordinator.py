"""The transaction coordinator: decisions, markers, fencing, time, and the historic bugs by their names."""

from __future__ import annotations

import pytest

from pybroker.common.errors import ErrorCode
from pybroker.transactions.records import EPOCH_MAX, Transaction
from pybroker.transactions.transitions import State
from tests.unit.transactions.harness import STATE_TOPIC, Producer, World

E = ErrorCode


def set_epoch(world, name, epoch):
    """As if the producer had used up its epochs below `epoch`."""
    shard = world.coordinator.host.active_shards[0][1]
    shard.transactions[name] = shard.transactions[name]._replace(producer_epoch=epoch)


@pytest.fixture
def world():
    return World()


@pytest.fixture
def producer(world):
    made = Producer(world)
    assert made.init().error == E.NONE
    return made


# ---- the normal course -------------------------------------------------------------------------------


@pytest.mark.parametrize("durability", ["os", "fsync"])
@pytest.mark.parametrize("version", [0, 2])
def test_commit_and_abort(durability, version):
    world = World(durability=durability)
    producer = Producer(world, version=version)
    producer.init()
    for turn, commit in enumerate((True, False, True)):
        if version < 2:
            assert producer.add(0, 1) == E.NONE
        assert producer.send(0) == E.NONE
        assert producer.send(1) == E.NONE
        assert (world.state("a"), world.stable(1)) == ("Ongoing", 2 * turn)
        answer = producer.end(commit)
        assert answer.error == E.NONE
        assert world.state("a") == ("CompleteCommit" if commit else "CompleteAbort")
        assert world.stable(0) == world.end_offset(0) == 2 * turn + 2
        assert producer.epoch == (turn + 1 if version == 2 else 0)
    assert [sequence for _, _, sequence in world.committed(0)] == ([0, 2] if version == 0 else [0, 0])


def test_the_decision_is_committed_before_any_marker():
    world = World(durability="fsync")
    producer = Producer(world)
    producer.init()
    producer.send(0)
    answer = world.coordinator.end("a", producer.id, producer.epoch, commit=True, client_version=2)
    assert not answer.done
    assert world.state("a") == "PrepareCommit"
    assert world.end_offset(0) == 1
    world.flush()
    assert answer.value.error == E.NONE
    assert world.end_offset(0) == 2


def test_a_decided_transaction_is_completed_after_a_crash(world, producer):
    producer.send(0)
    producer.send(3)
    world.markers_paused = True
    producer.end(True)
    assert world.state("a") == "PrepareCommit"
    world.crash()
    assert world.state("a") == "CompleteCommit"
    assert world.stable(0) == world.stable(3) == 2
    assert len(world.committed(0)) == 1


def test_kafka_19999_markers_are_repeated_after_a_crash_that_lost_the_completion(world, producer):
    # The markers of v2 are in the partitions already: a strict check of the epoch would refuse them for ever.
    producer.send(0)
    state = world.partitions[STATE_TOPIC, 0]
    producer.end(True)
    assert world.state("a") == "CompleteCommit"
    state.log.truncate_to(state.log_end_offset - 1)
    state.log.high_watermark = state.log_end_offset
    world.crash()
    assert world.state("a") == "CompleteCommit"
    assert (world.stable(0), world.end_offset(0)) == (3, 3)
    assert len(world.committed(0)) == 1


def test_markers_are_tried_again_until_they_are_taken(world, producer):
    producer.send(0)
    producer.send(1)
    world.refusals["t", 1] = [E.NOT_LEADER_OR_FOLLOWER, E.KAFKA_STORAGE_ERROR]
    assert producer.end(True).error == E.NONE
    assert world.state("a") == "PrepareCommit"
    assert (world.end_offset(0), world.end_offset(1)) == (2, 1)
    world.advance(150)
    assert world.state("a") == "PrepareCommit"
    world.advance(150)
    assert world.state("a") == "CompleteCommit"
    # Nobody got two.
    assert (world.end_offset(0), world.end_offset(1)) == (2, 2)


def test_a_deleted_topic_needs_no_marker(world, producer):
    producer.send(0)
    producer.send(1)
    del world.partitions["t", 1]
    producer.end(True)
    assert world.state("a") == "CompleteCommit"


def test_a_marker_refused_for_good_is_reported_and_not_repeated_at_once(world, producer):
    producer.send(0)
    world.refusals["t", 0] = [E.TRANSACTION_COORDINATOR_FENCED]
    producer.end(True)
    assert world.state("a") == "PrepareCommit"
    assert "TRANSACTION_COORDINATOR_FENCED" in world.reports[0]


def test_kafka_18575_a_new_transaction_waits_for_the_one_that_completes(world, producer):
    producer.send(0)
    world.markers_paused = True
    first = producer.end(True)
    assert first.error == E.NONE
    # The next transaction's first write comes while the markers are on their way.
    added = world.coordinator.add_partitions("a", producer.id, producer.epoch, [("t", 1)], 2)
    assert added.value == E.CONCURRENT_TRANSACTIONS
    admitted = world.coordinator.admit("a", producer.id, producer.epoch, [("t", 1)], implicit=True)
    world.advance(50)
    assert not admitted.done
    world.resume_markers()
    world.advance(50)
    assert admitted.value == {("t", 1): E.NONE}
    transaction = world.transaction("a")
    assert (transaction.state, transaction.partitions) == (State.ONGOING, {("t", 1)})


def test_waiting_for_a_completion_has_an_end(world, producer):
    producer.send(0)
    world.markers_paused = True
    producer.end(True)
    admitted = world.coordinator.admit("a", producer.id, producer.epoch, [("t", 1)], implicit=True)
    world.advance(200)
    assert admitted.value == {("t", 1): E.CONCURRENT_TRANSACTIONS}


def test_a_completion_that_comes_late_leaves_the_next_transaction_alone(world, producer):
    producer.send(0)
    world.markers_paused = True
    producer.end(True)
    (paused,) = world.paused
    world.resume_markers()
    producer.send(1)
    before = world.transaction("a")
    # The answer of the markers arrives a second time.
    paused[2]({("t", 0): E.NONE})
    assert world.transaction("a") == before


# ---- InitProducerId ----------------------------------------------------------------------------------


def test_epochs_of_initializations(producer):
    assert (producer.id, producer.epoch) == (1000, 0)
    producer.init()
    assert (producer.id, producer.epoch) == (1000, 1)


def test_going_on_and_asking_again(world, producer):
    first = producer.init((1000, 0))
    assert first[1:3] == (1000, 1)
    assert producer.init((1000, 0))[1:3] == (1000, 1)
    assert producer.init((1000, 1))[1:3] == (1000, 2)
    assert producer.init((1000, 0)).error == E.PRODUCER_FENCED
    assert producer.init((999, 2)).error == E.PRODUCER_FENCED
    assert producer.init((1000, 7)).error == E.PRODUCER_FENCED


def test_another_instance_fences_the_first(world, producer):
    producer.send(0)
    second = Producer(world)
    assert second.init().error == E.CONCURRENT_TRANSACTIONS
    assert world.state("a") == "CompleteAbort"
    assert second.init().error == E.NONE
    assert second.epoch == 2
    assert producer.send(0) == E.PRODUCER_FENCED
    assert producer.end(True).error == E.PRODUCER_FENCED
    assert producer.init((producer.id, producer.epoch)).error == E.PRODUCER_FENCED
    assert world.committed(0) == []


def test_initialization_while_markers_are_written(world, producer):
    producer.send(0)
    world.markers_paused = True
    producer.end(True)
    assert Producer(world).init().error == E.CONCURRENT_TRANSACTIONS


def test_kafka_19367_a_fencing_initialization_takes_one_epoch(world, producer):
    producer.send(0)
    Producer(world).init()
    assert world.transaction("a").producer_epoch == 1


@pytest.mark.parametrize("level", [0, 2])
def test_kafka_19367_fencing_the_last_epoch_does_not_overflow(level):
    world = World(level=level)
    producer = Producer(world, version=level)
    producer.init()
    set_epoch(world, "a", EPOCH_MAX - 1)
    producer.epoch = EPOCH_MAX - 1
    producer.add(0)
    assert producer.send(0) == E.NONE
    second = Producer(world, version=level)
    assert second.init().error == E.CONCURRENT_TRANSACTIONS
    assert world.stable(0) == 2
    assert second.init().error == E.NONE
    assert second.id != producer.id
    assert second.epoch == (1 if level else 0)
    assert second.send(0) == (E.NONE if level else E.TRANSACTION_ABORTABLE)


def test_a_new_id_when_the_epochs_are_used_up(world, producer):
    set_epoch(world, "a", EPOCH_MAX - 1)
    answer = producer.init()
    assert answer[1:3] == (1001, 0)


def test_a_new_id_for_a_producer_that_goes_on(world, producer):
    set_epoch(world, "a", EPOCH_MAX - 1)
    assert producer.init((1000, EPOCH_MAX - 1))[1:3] == (1001, 0)
    # The answer was lost: the same question again.
    assert producer.init((1000, EPOCH_MAX - 1))[1:3] == (1001, 0)
    assert producer.init((1000, 5)).error == E.PRODUCER_FENCED


def test_no_producer_id_to_be_had(world):
    world.coordinator._take_producer_id = lambda callback: callback(-1)
    assert Producer(world).init().error == E.COORDINATOR_LOAD_IN_PROGRESS
    assert world.transaction("a") is None


# ---- EndTxn: the table of transactions v2 ------------------------------------------------------------

PRODUCER_FENCED, INVALID, BUMP, SAME = E.PRODUCER_FENCED, E.INVALID_TXN_STATE, "bump", "same"


@pytest.mark.parametrize(
    ("state", "commit", "retry", "expected"),
    [
        ("Empty", False, True, PRODUCER_FENCED),
        ("Empty", False, False, BUMP),
        ("Empty", True, True, PRODUCER_FENCED),
        ("Empty", True, False, INVALID),
        ("CompleteAbort", False, True, SAME),
        ("CompleteAbort", False, False, BUMP),
        ("CompleteAbort", True, True, INVALID),
        ("CompleteAbort", True, False, INVALID),
        ("CompleteCommit", False, True, INVALID),
        ("CompleteCommit", False, False, BUMP),
        ("CompleteCommit", True, True, SAME),
        ("CompleteCommit", True, False, INVALID),
    ],
)
def test_ends_in_resting_states(world, producer, state, commit, retry, expected):
    if state == "Empty":
        producer.init()
    else:
        producer.send(0)
        producer.end(state == "CompleteCommit")
    assert world.state("a") == state
    epoch = producer.epoch
    answer = producer.end(commit, epoch=epoch - 1 if retry else epoch)
    if expected == BUMP:
        assert answer[:3] == (E.NONE, producer.id, epoch + 1)
        assert world.state("a") == "CompleteAbort"
    elif expected == SAME:
        assert answer[:3] == (E.NONE, producer.id, epoch)
    else:
        assert answer[:3] == (expected, -1, -1)
        assert world.state("a") == state


@pytest.mark.parametrize("decided", [True, False])
def test_ends_while_markers_are_written(world, producer, decided):
    producer.send(0)
    world.markers_paused = True
    old = producer.epoch
    producer.end(decided)
    assert producer.end(decided, epoch=old).error == E.CONCURRENT_TRANSACTIONS
    assert producer.end(not decided, epoch=old).error == E.INVALID_TXN_STATE
    assert producer.end(decided, epoch=old + 1).error == E.PRODUCER_FENCED


def test_ends_of_strangers(world, producer):
    producer.send(0)
    assert producer.end(producer_id=5).error == E.INVALID_PRODUCER_ID_MAPPING
    assert producer.end(epoch=9).error == E.PRODUCER_FENCED
    assert Producer(world, "unknown").end().error == E.INVALID_PRODUCER_ID_MAPPING
    assert Producer(world, "").end().error == E.INVALID_REQUEST
    assert world.state("a") == "Ongoing"


@pytest.mark.parametrize(
    ("state", "commit", "expected"),
    [
        ("Empty", True, INVALID),
        ("Empty", False, INVALID),
        ("CompleteCommit", True, E.NONE),
        ("CompleteCommit", False, INVALID),
        ("CompleteAbort", False, E.NONE),
        ("CompleteAbort", True, INVALID),
    ],
)
def test_ends_of_older_clients_in_resting_states(world, state, commit, expected):
    producer = Producer(world, version=0)
    producer.init()
    if state != "Empty":
        producer.add(0)
        producer.end(state == "CompleteCommit")
    assert producer.end(commit) == (expected, -1, -1, False)
    assert producer.end(commit, epoch=3).error == E.PRODUCER_FENCED


# ---- KAFKA-17754 -------------------------------------------------------------------------------------


def late_end(world, version):
    """An EndTxn is delayed on its connection. The client's retry on another one gets through; the producer
    goes on with its next transaction; then the first request arrives."""
    producer = Producer(world, version=version)
    producer.init()
    producer.add(0)
    producer.send(0)
    delayed_epoch, delayed_id = producer.epoch, producer.id
    assert producer.end(True).error == E.NONE
    producer.add(0, 1)
    assert producer.send(0) == E.NONE
    assert producer.send(1) == E.NONE
    stale = Producer(world, version=version)
    stale.id, stale.epoch = delayed_id, delayed_epoch
    return producer, stale.end(True)


def test_kafka_17754_late_end_with_transactions_v2(world):
    producer, late = late_end(world, 2)
    assert late.error == E.PRODUCER_FENCED
    assert world.state("a") == "Ongoing"
    assert producer.end(False).error == E.NONE
    assert (len(world.committed(0)), len(world.committed(1))) == (1, 0)


def test_kafka_17754_late_end_with_transactions_v0_is_the_known_anomaly(world):
    # Documented, not wanted: the late request commits what the producer then aborts.
    producer, late = late_end(world, 0)
    assert late.error == E.NONE
    assert world.state("a") == "CompleteCommit"
    assert producer.end(False).error == E.INVALID_TXN_STATE
    assert (len(world.committed(0)), len(world.committed(1))) == (2, 1)


@pytest.mark.parametrize("version", [0, 2])
def test_kafka_17754_late_produce(world, version):
    """A produce of an aborted transaction arrives while the next one is open."""
    producer = Producer(world, version=version)
    producer.init()
    producer.add(0)
    producer.send(0)
    old = producer.epoch
    producer.end(False)
    producer.add(0)
    stale = Producer(world, version=version)
    stale.id, stale.epoch, stale.sequences = producer.id, old, {0: 1}
    error = stale.send(0)
    if version == 2:
        assert error == E.PRODUCER_FENCED
    else:
        # It has joined a transaction that does not know of it.
        assert error == E.NONE
        producer.sequences[0] = 2
    producer.send(0)
    producer.end(True)
    assert len(world.committed(0)) == (1 if version == 2 else 2)


# ---- epochs that are used up -------------------------------------------------------------------------


@pytest.mark.parametrize("commit", [True, False])
def test_kafka_18660_the_end_that_uses_up_the_epochs_gives_the_new_pair(world, producer, commit):
    set_epoch(world, "a", EPOCH_MAX - 1)
    producer.epoch = EPOCH_MAX - 1
    assert producer.send(0) == E.NONE
    world.markers_paused = True
    answer = producer.end(commit)
    assert answer[:3] == (E.NONE, 1001, 0)
    assert world.transaction("a").producer_epoch == EPOCH_MAX
    retry = Producer(world)
    retry.id, retry.epoch = 1000, EPOCH_MAX - 1
    assert retry.end(commit).error == E.CONCURRENT_TRANSACTIONS
    world.resume_markers()
    assert world.transaction("a")[1:3] == (1001, 0)
    retry.id, retry.epoch = 1000, EPOCH_MAX - 1
    assert retry.end(commit)[:3] == (E.NONE, 1001, 0)
    retry.id, retry.epoch = 1000, EPOCH_MAX - 1
    assert retry.end(not commit).error == E.INVALID_TXN_STATE
    assert producer.send(0) == E.NONE
    assert producer.end(True)[:3] == (E.NONE, 1001, 1)
    retry.id, retry.epoch = 1000, EPOCH_MAX - 1
    assert retry.end(commit).error == E.INVALID_PRODUCER_ID_MAPPING


def test_kafka_18660_after_a_crash_in_the_middle(world, producer):
    producer.send(0)
    producer.end(True)
    set_epoch(world, "a", EPOCH_MAX - 1)
    producer.epoch = EPOCH_MAX - 1
    producer.send(0)
    world.markers_paused = True
    producer.end(True)
    world.crash()
    assert world.transaction("a")[1:3] == (1001, 0)
    assert producer.send(0) == E.NONE


@pytest.mark.parametrize("level", [0, 2])
def test_kafka_20090_a_timeout_at_the_last_epoch_leaves_nothing_stuck(level):
    world = World(level=level)
    producer = Producer(world, timeout_ms=1000)
    producer.init()
    set_epoch(world, "a", EPOCH_MAX - 1)
    producer.epoch = EPOCH_MAX - 1
    assert producer.send(0) == E.NONE
    world.advance(20_000)
    assert world.state("a") == "CompleteAbort"
    late = Producer(world)
    late.id, late.epoch = 1000, EPOCH_MAX - 1
    answer = late.end(False)
    # Whatever it is told, it never gets the epoch 32767, with which no transaction could be ended.
    if level == 2:
        assert answer[:3] == (E.NONE, 1001, 0)
        assert late.send(1) == E.NONE
        assert late.end(True).error == E.NONE
    else:
        assert answer.error == E.PRODUCER_FENCED
        assert late.init().error == E.NONE
        assert (late.id, late.epoch) == (1001, 0)
    assert world.stable(1) == world.end_offset(1)


def test_kafka_20090_no_transaction_begins_at_the_last_epoch(world, producer):
    set_epoch(world, "a", EPOCH_MAX)
    producer.epoch = EPOCH_MAX
    assert producer.add(0) == E.PRODUCER_FENCED


# ---- partitions --------------------------------------------------------------------------------------


def test_adding_partitions(world, producer):
    assert producer.add(0) == E.NONE
    before = world.partitions[STATE_TOPIC, 0].log_end_offset
    assert producer.add(0) == E.NONE
    assert world.partitions[STATE_TOPIC, 0].log_end_offset == before
    assert producer.add(1, 2) == E.NONE
    assert world.transaction("a").partitions == {("t", 0), ("t", 1), ("t", 2)}
    stranger = Producer(world, "unknown")
    assert stranger.add(0) == E.INVALID_PRODUCER_ID_MAPPING
    producer.epoch += 1
    assert producer.add(0) == E.PRODUCER_FENCED


def test_verification(world, producer):
    def verify(*indexes):
        names = [("t", index) for index in indexes]
        return world.coordinator.verify_partitions("a", producer.id, producer.epoch, names).value

    assert verify(0) == {("t", 0): E.TRANSACTION_ABORTABLE}
    producer.add(0)
    assert verify(0, 1) == {("t", 0): E.NONE, ("t", 1): E.TRANSACTION_ABORTABLE}
    world.markers_paused = True
    producer.end(True)
    assert verify(0) == {("t", 0): E.CONCURRENT_TRANSACTIONS}
    world.resume_markers()
    assert verify(0) == {("t", 0): E.TRANSACTION_ABORTABLE}


def test_hanging_transaction_a_produce_after_the_end_of_an_older_client(world):
    # KIP-890 part 1: the partition was part of the transaction that ended, and is not of any now.
    producer = Producer(world, version=0)
    producer.init()
    producer.add(0)
    producer.send(0)
    producer.end(False)
    assert producer.send(0) == E.TRANSACTION_ABORTABLE
    assert world.stable(0) == world.end_offset(0)


# ---- time --------------------------------------------------------------------------------------------


@pytest.mark.parametrize("level", [0, 2])
def test_a_timeout_fences_and_aborts(level):
    world = World(level=level)
    producer = Producer(world, version=level, timeout_ms=5000)
    producer.init()
    producer.add(0)
    producer.send(0)
    world.advance(4_000)
    assert world.state("a") == "Ongoing"
    world.advance(12_000)
    assert world.state("a") == "CompleteAbort"
    assert world.transaction("a").producer_epoch == 1
    assert producer.end(True).error == (E.INVALID_TXN_STATE if level else E.PRODUCER_FENCED)
    assert world.committed(0) == []


def test_an_open_transaction_times_out_after_a_crash(world):
    producer = Producer(world, timeout_ms=5000)
    producer.init()
    producer.send(0)
    world.crash()
    assert (world.state("a"), world.stable(0)) == ("Ongoing", 0)
    world.advance(20_000)
    assert (world.state("a"), world.stable(0)) == ("CompleteAbort", 2)


def test_ids_without_use_are_forgotten(world):
    for name in ("a", "b"):
        Producer(world, name).init()
    open_one = Producer(world, "c", timeout_ms=900_000)
    open_one.init()
    world.advance(6 * 86_400_000)
    Producer(world, "b").init()
    world.advance(2 * 86_400_000)
    assert world.transaction("a") is None
    assert world.transaction("b") is not None
    world.crash()
    assert world.transaction("a") is None
    again = Producer(world, "a")
    again.init()
    assert again.epoch == 0


def test_an_answer_that_came_too_late_does_not_stop_the_markers():
    # The decision was written, but not committed in time: the client was told to look for the coordinator.
    world = World(durability="fsync")
    producer = Producer(world)
    producer.init()
    producer.send(0)
    answer = world.coordinator.end("a", producer.id, producer.epoch, commit=True, client_version=2)
    world.timers.advance(world.clock.monotonic_ms() + 6_000)
    assert answer.value.error == E.COORDINATOR_NOT_AVAILABLE
    world.flush()
    assert world.state("a") == "PrepareCommit"
    world.clock.advance(10_000)
    for _ in range(4):
        world.advance(10)
        world.flush()
    assert world.state("a") == "CompleteCommit"


def test_a_completion_overtakes_a_look_for_markers_to_write():
    """Found by a seed of three simulated nodes: markers of a transaction that was complete were sent again when its
    completion was committed, and committed half of the producer's next transaction."""
    world = World(durability="fsync")
    producer = Producer(world, version=0)
    producer.init()
    producer.add(0)
    producer.send(0)
    world.markers_paused = True
    world.coordinator.end("a", producer.id, producer.epoch, commit=True, client_version=0)
    world.flush()
    [(marker, partitions, done)] = world.paused
    # Something else of the shard is not committed yet when it looks for decided transactions.
    world.coordinator.init_producer("b", 60_000, None)
    world.coordinator._look_after()
    done(dict.fromkeys(partitions, E.NONE))
    assert world.state("a") == "CompleteCommit"
    world.flush()
    assert world.paused == [(marker, partitions, done)]


# ---- records -----------------------------------------------------------------------------------------


def test_loading_equals_replaying(world):
    for index, name in enumerate("abcd"):
        producer = Producer(world, name, version=2 if index % 2 else 0)
        producer.init()
        producer.add(index)
        producer.send(index)
        if index > 1:
            producer.end(index == 2)
    shard = world.coordinator.host.active_shards[0][1]
    before = dict(shard.transactions)
    world.crash()
    assert world.coordinator.host.active_shards[0][1].transactions == before


def test_damaged_records_are_skipped(world, producer):
    from pybroker.coordinator.result import CoordinatorRecord, Result

    damaged = [
        CoordinatorRecord(b"", b""),
        CoordinatorRecord(b"\0\7\0\1x", b"\0\0"),
        CoordinatorRecord(b"\0\0\0\1x", b"\0\0"),
        CoordinatorRecord(b"\0\0\0\1x", b"\0\x09"),
        CoordinatorRecord(b"\0\0\0\x7fx", None),
    ]
    world.coordinator.host.write(0, lambda *_: Result(None, damaged, replay=False))
    world.crash()
    assert world.transaction("a") is not None
    assert len(world.reports) == len(damaged)


@pytest.mark.parametrize("level", [0, 1, 2])
def test_the_version_of_values_follows_the_feature(level):
    from pybroker.records.batch import iter_headers, iter_records

    world = World(level=level)
    Producer(world).init()
    data = world.partitions[STATE_TOPIC, 0].read(0, 1 << 20).records
    ((position, _),) = iter_headers(data)
    (record,) = iter_records(data[position:])
    assert record.key == b"\0\0\0\1a"
    assert int.from_bytes(record.value[:2], "big") == (1 if level else 0)


def test_value_bytes_are_those_of_kafka():
    from pybroker.transactions.records import decode_value, encode_value

    transaction = Transaction(
        "a", 7, 3, 60_000, State.ONGOING, frozenset({("t", 1), ("t", 0), ("s", 2)}), 5, 6, 7, -1, 2
    )
    plain = encode_value(transaction, 0)
    assert plain.hex() == (
        "0000"
        "0000000000000007"
        "0003"
        "0000ea60"
        "01"
        "00000002"
        "000173"
        "00000001"
        "00000002"
        "000174"
        "00000002"
        "00000000"
        "00000001"
        "0000000000000006"
        "0000000000000005"
    )
    tagged = encode_value(transaction, 1)
    assert tagged.hex() == (
        "0001"
        "0000000000000007"
        "0003"
        "0000ea60"
        "01"
        "03"
        "0273"
        "02"
        "00000002"
        "00"
        "0274"
        "03"
        "00000000"
        "00000001"
        "00"
        "0000000000000006"
        "0000000000000005"
        "02"
        "00"
        "08"
        "0000000000000007"
        "02"
        "02"
        "0002"
    )
    assert decode_value("a", tagged) == transaction
    assert decode_value("a", plain) == transaction._replace(previous_producer_id=-1, client_version=0)

"""The partition's side of transactions: markers, last stable offset, aborted transactions, verification.

Named after the historic bugs they guard against, where there is one (docs/transactions.md).
"""

from __future__ import annotations

import pytest

from pybroker.common.errors import ErrorCode
from pybroker.records.batch import Record, build_batch, iter_headers
from tests.unit.log.log_helpers import NOW, make_batch, run_rounds
from tests.unit.replication.test_partition import World

E = ErrorCode


class TransactionWorld(World):
    """A partition and transactional producers; the coordinator always says yes."""

    def send(self, sequence, *, producer=7, epoch=0, count=1, verified=True, strict=False, **options):
        verification = (
            self.partition.start_verification(producer, epoch, sequence, strict=strict) if verified else None
        )
        batch = make_batch(
            count,
            producer_id=producer,
            producer_epoch=epoch,
            base_sequence=sequence,
            transactional=True,
            **options,
        )
        return self.partition.append(
            memoryview(bytearray(batch)), version=12, now_ms=NOW, verification=verification
        )

    def end(self, *, producer=7, epoch=0, commit=True, coordinator_epoch=0, version=0):
        return self.partition.append_marker(
            producer,
            epoch,
            commit=commit,
            coordinator_epoch=coordinator_epoch,
            transaction_version=version,
            now_ms=NOW,
        )

    def committed(self, offset=0, max_bytes=100_000):
        """(offsets of data and markers, aborted transactions) that a read_committed fetch is given."""
        outcome = self.partition.read(offset, max_bytes, isolation=1)
        assert outcome.error == E.NONE
        offsets = [header.base_offset for _, header in iter_headers(outcome.records)]
        return offsets, outcome.aborted

    @property
    def stable(self):
        return self.partition.last_stable_offset


def test_an_open_transaction_holds_readers_back():
    world = TransactionWorld()
    world.append(make_batch(1))
    assert world.send(0).error == E.NONE
    assert world.send(1).error == E.NONE
    world.append(make_batch(1))
    assert (world.partition.high_watermark, world.stable) == (4, 1)
    assert world.committed() == ([0], [])
    assert world.partition.list_offset(-1, 1).offset == 1
    assert world.partition.list_offset(-1, 0).offset == 4
    assert world.end().error == E.NONE
    assert world.stable == 5
    assert world.committed() == ([0, 1, 2, 3, 4], [])


def test_an_aborted_transaction_is_named_to_readers():
    world = TransactionWorld()
    world.send(0)
    world.send(0, producer=8)
    world.end(commit=False)
    assert world.stable == 1
    assert world.committed() == ([0], [(7, 0)])
    world.end(producer=8)
    assert world.committed() == ([0, 1, 2, 3], [(7, 0)])
    # Only what the bytes reach into is named, and nothing that ended before them.
    assert world.committed(3) == ([3], [])
    world.send(1)
    world.end(commit=False)
    assert world.committed(0, 200) == ([0, 1], [(7, 0)])
    assert world.committed(3) == ([3, 4, 5], [(7, 4)])


def test_oldest_of_several_transactions_counts():
    world = TransactionWorld()
    for producer in (1, 2, 3):
        world.send(0, producer=producer)
    assert world.stable == 0
    world.end(producer=2)
    assert world.stable == 0
    world.end(producer=1)
    assert world.stable == 2
    world.end(producer=3)
    assert world.stable == 6


def test_a_marker_that_is_not_committed_yet_ends_nothing():
    world = TransactionWorld("fsync")
    world.send(0)
    run_rounds(world.manager)
    assert (world.partition.high_watermark, world.stable) == (1, 0)
    world.end()
    assert (world.partition.high_watermark, world.stable) == (1, 0)
    run_rounds(world.manager)
    assert (world.partition.high_watermark, world.stable) == (2, 2)


@pytest.mark.parametrize("clean", [True, False])
def test_open_and_aborted_transactions_survive_a_restart(clean):
    world = TransactionWorld(segment_bytes=400)
    for sequence in range(5):
        world.send(sequence)
        world.send(0, producer=20 + sequence)
        world.end(producer=20 + sequence, commit=False)
    assert len(world.log.segments) > 2
    before = world.stable, world.committed(), world.log.aborted_between(0, 100)
    assert before[0] == 0
    assert len(before[2]) == 5
    world.restart(clean=clean)
    assert (world.stable, world.committed(), world.log.aborted_between(0, 100)) == before
    # The transaction goes on where it was, with no new verification.
    assert world.send(5, verified=False).error == E.NONE
    world.end(commit=False)
    assert world.stable == world.partition.high_watermark
    world.restart(clean=clean)
    offsets, aborted = world.committed()
    assert offsets
    assert aborted[0] == (7, 0) or (7, 0) in aborted


def test_aborted_transactions_of_older_segments_are_found_after_a_roll():
    # The zoo's "aborted index missing after a roll": the entry lies in the segment of the marker.
    world = TransactionWorld(segment_bytes=300)
    for sequence in range(8):
        world.send(sequence)
    world.end(commit=False)
    assert len(world.log.segments) > 2
    assert [len(segment.txn_index.entries) for segment in world.log.segments][-1] == 1
    assert world.committed(0)[1] == [(7, 0)]
    world.restart(clean=False)
    assert world.committed(0)[1] == [(7, 0)]


def test_a_damaged_transaction_index_is_made_anew():
    world = TransactionWorld(segment_bytes=300)
    for sequence in range(6):
        world.send(sequence)
        world.end(commit=False)
    entries = world.log.aborted_between(0, 100)
    assert len(entries) == 6
    path = next(segment.path(".txnindex") for segment in world.log.segments if segment.txn_index.entries)
    run_rounds(world.manager)
    for clean in (False, True):
        file = world.files.open(path)
        file.truncate(20)
        file.close()
        world.restart(clean=clean)
        assert world.log.aborted_between(0, 100) == entries


def test_truncation_reopens_what_the_marker_had_ended():
    world = TransactionWorld()
    world.send(0)
    world.end(commit=False)
    world.send(1)
    world.end()
    world.log.truncate_to(1)
    assert world.stable == 0
    assert world.log.aborted_between(0, 10) == []
    assert world.end(commit=False).error == E.NONE
    assert world.committed() == ([0, 1], [(7, 0)])


def test_a_refusing_disk_delays_the_index_only():
    world = TransactionWorld()
    world.send(0)
    real_open = world.files.open

    def refuse(path, **options):
        if path.endswith(".txnindex"):
            raise OSError(28, "No space left on device", path)
        return real_open(path, **options)

    world.files.open = refuse
    assert world.end(commit=False).error == E.NONE
    assert world.committed() == ([0, 1], [(7, 0)])
    world.files.open = real_open
    world.log.flush()
    path = world.log.active.path(".txnindex")
    assert world.files.file_size(path) == 34
    world.restart(clean=True)
    assert world.committed() == ([0, 1], [(7, 0)])


# ---- verification (KIP-890 part 1) -------------------------------------------------------------------


def test_hanging_transaction_a_batch_without_verification_opens_nothing():
    world = TransactionWorld()
    assert world.send(0, verified=False).error == E.INVALID_TXN_STATE
    assert (world.log.log_end_offset, world.stable) == (0, 0)


def test_hanging_transaction_a_batch_that_a_marker_overtook():
    # The coordinator said yes, then the transaction timed out and was aborted, then the batch arrived.
    world = TransactionWorld()
    verification = world.partition.start_verification(7, 0, 0, strict=False)
    world.end(commit=False)
    batch = make_batch(1, producer_id=7, producer_epoch=0, base_sequence=0, transactional=True)
    late = world.partition.append(
        memoryview(bytearray(batch)), version=11, now_ms=NOW, verification=verification
    )
    assert late.error == E.INVALID_TXN_STATE
    assert world.stable == 1


def test_a_verification_serves_one_transaction():
    world = TransactionWorld()
    verification = world.partition.start_verification(7, 0, 0, strict=False)
    assert world.send(0).error == E.NONE
    world.end()
    batch = make_batch(1, producer_id=7, producer_epoch=0, base_sequence=1, transactional=True)
    again = world.partition.append(
        memoryview(bytearray(batch)), version=11, now_ms=NOW, verification=verification
    )
    assert again.error == E.INVALID_TXN_STATE


def test_no_verification_while_the_transaction_is_open():
    world = TransactionWorld()
    world.send(0)
    assert world.partition.start_verification(7, 0, 1, strict=False) is None
    assert world.partition.start_verification(7, 1, 0, strict=False) is not None


def test_no_verification_for_an_epoch_that_is_over():
    world = TransactionWorld()
    world.send(0)
    assert world.partition.start_verification(7, -1, 0, strict=False) == E.INVALID_PRODUCER_EPOCH


def test_kafka_19690_the_epoch_is_checked_before_the_verification():
    # A fenced producer must get the error it recovers from, not the fatal one.
    world = TransactionWorld()
    world.send(0)
    world.end(epoch=1, commit=False, version=2)
    assert world.send(1, verified=False).error == E.INVALID_PRODUCER_EPOCH
    assert world.send(0, epoch=1, verified=False).error == E.INVALID_TXN_STATE


def test_batches_that_wait_together_come_in_order():
    world = TransactionWorld()
    world.partition.start_verification(7, 0, 3, strict=False)
    world.partition.start_verification(7, 0, 0, strict=False)
    assert world.send(3).error == E.OUT_OF_ORDER_SEQUENCE_NUMBER
    assert world.send(0).error == E.NONE


def test_a_transactions_v2_producer_starts_at_sequence_0():
    world = TransactionWorld()
    assert world.send(4, strict=True).error == E.OUT_OF_ORDER_SEQUENCE_NUMBER
    assert world.send(4, producer=8).error == E.NONE
    assert world.send(0, strict=True).error == E.NONE


def test_kafka_15653_verification_does_not_depend_on_the_codec():
    world = TransactionWorld()
    for sequence, codec in enumerate((1, 2, 3, 4)):
        assert world.send(0, producer=sequence, codec=codec).error == E.NONE
    assert world.stable == 0


def test_duplicates_need_no_verification():
    world = TransactionWorld()
    world.send(0)
    world.end()
    outcome = world.send(0, verified=False)
    assert (outcome.error, outcome.base_offset) == (E.NONE, 0)


def test_other_batches_of_a_producer_inside_its_transaction():
    world = TransactionWorld()
    world.send(0)
    assert world.produce(1).error == E.INVALID_TXN_STATE
    assert world.produce(0, producer=9).error == E.NONE
    world.end()
    assert world.produce(1).error == E.NONE


def test_verification_can_be_switched_off():
    world = TransactionWorld()
    batch = make_batch(1, producer_id=7, producer_epoch=0, base_sequence=0, transactional=True)
    outcome = world.partition.append(memoryview(bytearray(batch)), version=9, now_ms=NOW, verify=False)
    assert outcome.error == E.NONE


# ---- markers -----------------------------------------------------------------------------------------


def test_markers_of_older_versions_have_the_epoch_of_their_records():
    world = TransactionWorld()
    world.send(0, epoch=3)
    assert world.end(epoch=2).error == E.INVALID_PRODUCER_EPOCH
    assert world.end(epoch=3).error == E.NONE


def test_kip_1228_markers_of_v2_have_a_higher_epoch():
    world = TransactionWorld()
    world.send(0, epoch=3)
    assert world.end(epoch=3, version=2).error == E.INVALID_PRODUCER_EPOCH
    assert world.stable == 0
    assert world.end(epoch=4, version=2).error == E.NONE
    assert world.stable == 2


def test_kafka_19999_a_marker_may_be_repeated_when_nothing_is_open():
    world = TransactionWorld()
    world.send(0, epoch=3)
    assert world.end(epoch=4, version=2).error == E.NONE
    assert world.end(epoch=4, version=2).error == E.NONE
    world.send(0, epoch=4)
    assert world.end(epoch=4, version=2).error == E.INVALID_PRODUCER_EPOCH


def test_kafka_17754_a_late_marker_cannot_end_the_next_transaction_of_v2():
    world = TransactionWorld()
    world.send(0, epoch=0)
    world.end(epoch=1, version=2)
    world.send(0, epoch=1)
    assert world.end(epoch=1, version=2).error == E.INVALID_PRODUCER_EPOCH
    assert world.stable == 2


def test_a_marker_of_an_old_coordinator():
    world = TransactionWorld()
    world.send(0)
    world.end(coordinator_epoch=5)
    world.send(1)
    assert world.end(coordinator_epoch=4).error == E.TRANSACTION_COORDINATOR_FENCED
    assert world.end(coordinator_epoch=5).error == E.NONE
    world.restart(clean=False)
    assert world.end(coordinator_epoch=4).error == E.TRANSACTION_COORDINATOR_FENCED


def test_a_marker_without_a_transaction_changes_no_offsets_but_its_own():
    world = TransactionWorld()
    assert world.end(producer=99, commit=False).error == E.NONE
    assert (world.stable, world.log.log_end_offset) == (1, 1)
    assert world.log.aborted_between(0, 10) == []
    assert not world.files.exists(world.log.active.path(".txnindex"))


def test_clients_cannot_write_control_batches():
    world = TransactionWorld()
    batch = build_batch(
        [Record(0, NOW, b"\0\0\0\1", b"\0\0\0\0\0\0")],
        producer_id=7,
        producer_epoch=0,
        base_sequence=0,
        transactional=True,
        control=True,
    )
    outcome = world.partition.append(memoryview(bytearray(batch)), version=12, now_ms=NOW, verify=False)
    assert outcome.error == E.INVALID_RECORD


def test_a_new_epoch_after_a_v2_marker_starts_at_sequence_0():
    world = TransactionWorld()
    world.send(0)
    world.send(1)
    world.end(epoch=1, version=2)
    assert world.send(2, epoch=1).error == E.OUT_OF_ORDER_SEQUENCE_NUMBER
    assert world.send(0, epoch=1).error == E.NONE


def test_no_leader_no_marker():
    world = TransactionWorld()
    world.partition.become_offline()
    assert world.end().error == E.NOT_LEADER_OR_FOLLOWER
    assert world.partition.start_verification(7, 0, 0, strict=False) == E.NOT_LEADER_OR_FOLLOWER


def test_ended_transactions_are_forgotten_where_nobody_reads():
    """As on followers and in internal partitions, where nobody asks for the last stable offset."""
    world = TransactionWorld()
    for number in range(300):
        world.send(number)
        world.end()
    assert len(world.partition.log.producers._ended) <= 64
    assert world.stable == world.partition.high_watermark

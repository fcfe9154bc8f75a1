"""The idempotence table of docs/protocol.md section 10.2, and the snapshot file."""

from __future__ import annotations

import struct

import pytest

from pybroker.common.errors import CorruptionError, ErrorCode
from pybroker.log.producer_state import EMPTY_SNAPSHOT, ProducerState

PRODUCER = 4000
OUT_OF_ORDER = ErrorCode.OUT_OF_ORDER_SEQUENCE_NUMBER
FENCED = ErrorCode.INVALID_PRODUCER_EPOCH


def add(
    state, sequence, count=1, *, epoch=0, offset=None, timestamp=100, producer=PRODUCER, transactional=False
):
    """Check and add, as a partition does; returns the verdict."""
    verdict = state.check(producer, epoch, sequence, count - 1)
    if verdict is None:
        base = sequence if offset is None else offset
        state.update(producer, epoch, sequence, base, count - 1, timestamp, transactional)
    return verdict


def test_first_batch_may_have_any_sequence():
    assert add(ProducerState(), 12345) is None


def test_repeats_of_the_last_five_are_duplicates_the_sixth_is_not():
    state = ProducerState()
    for sequence in range(0, 12, 2):
        assert add(state, sequence, 2, offset=1000 + sequence, timestamp=sequence) is None
    for sequence in range(2, 12, 2):
        duplicate = state.check(PRODUCER, 0, sequence, 1)
        assert duplicate.base_offset == 1000 + sequence
        assert duplicate.last_offset == 1001 + sequence
        assert duplicate.timestamp == sequence
    assert state.check(PRODUCER, 0, 0, 1) == OUT_OF_ORDER


def test_same_sequence_with_another_count_is_out_of_order():
    state = ProducerState()
    add(state, 0, 2)
    assert state.check(PRODUCER, 0, 0, 0) == OUT_OF_ORDER
    assert state.check(PRODUCER, 0, 0, 2) == OUT_OF_ORDER


def test_gap_is_out_of_order():
    state = ProducerState()
    add(state, 0)
    assert state.check(PRODUCER, 0, 2, 0) == OUT_OF_ORDER
    assert state.check(PRODUCER, 0, 1, 0) is None


def test_epochs():
    state = ProducerState()
    add(state, 0, epoch=3)
    assert state.check(PRODUCER, 4, 1, 0) == OUT_OF_ORDER
    assert state.check(PRODUCER, 4, 0, 0) is None
    assert state.check(PRODUCER, 2, 0, 0) == FENCED
    assert state.check(PRODUCER, 2, 1, 0) == FENCED
    assert add(state, 0, epoch=4, offset=50) is None
    assert state.check(PRODUCER, 4, 0, 0).base_offset == 50
    assert state.check(PRODUCER, 3, 1, 0) == FENCED


def test_sequences_wrap():
    state = ProducerState()
    assert add(state, 2147483646, 2) is None
    assert state.check(PRODUCER, 0, 0, 0) is None
    state = ProducerState()
    assert add(state, 2147483646, 4, offset=0) is None
    assert state.entries[PRODUCER].last_sequence == 1
    assert state.check(PRODUCER, 0, 2, 0) is None
    assert state.check(PRODUCER, 0, 2147483646, 3).base_offset == 0


def test_id_without_epoch_is_not_checked():
    state = ProducerState()
    assert add(state, 5, epoch=-1) is None
    assert add(state, 77, epoch=-1) is None


def test_expiry():
    state = ProducerState(expiration_ms=1000)
    add(state, 0, timestamp=100)
    add(state, 0, timestamp=900, producer=5)
    add(state, 0, timestamp=100, producer=6, transactional=True)
    old = state.start_verification(8, 0, 0, 100, strict=False)
    new = state.start_verification(9, 0, 0, 900, strict=False)
    assert state.expire(1100) == 1
    assert list(state.entries) == [5, 6]
    # What the coordinator was asked and nothing came of is forgotten likewise.
    assert state.check_admitted(8, 0, old) == ErrorCode.INVALID_TXN_STATE
    assert state.check_admitted(9, 0, new) is None


def test_snapshot_layout_and_round_trip():
    state = ProducerState()
    add(state, 0, 3, offset=10, timestamp=500)
    add(state, 3, 2, offset=13, timestamp=600)
    content = state.encode()
    assert len(content) == 10 + 46
    assert struct.unpack_from(">hIi", content)[0::2] == (1, 1)
    assert struct.unpack_from(">qhiqiqiq", content, 10) == (PRODUCER, 0, 4, 14, 1, 600, -1, -1)
    again = ProducerState()
    again.decode(content, 600)
    assert again.check(PRODUCER, 0, 5, 0) is None
    assert again.check(PRODUCER, 0, 3, 1).base_offset == 13
    assert again.check(PRODUCER, 0, 0, 2) == OUT_OF_ORDER
    assert again.is_partial(PRODUCER)
    assert again.encode() == content


def test_empty_snapshot_has_ten_bytes():
    assert len(EMPTY_SNAPSHOT) == 10
    state = ProducerState()
    state.decode(EMPTY_SNAPSHOT, 0)
    assert not state.entries


def test_expired_producers_are_not_loaded():
    state = ProducerState()
    add(state, 0, timestamp=500)
    again = ProducerState(expiration_ms=1000)
    again.decode(state.encode(), 1500)
    assert not again.entries


def test_every_flipped_byte_of_a_snapshot_is_found():
    state = ProducerState()
    add(state, 0, 3)
    content = state.encode()
    for position in range(len(content)):
        damaged = bytearray(content)
        damaged[position] ^= 0x40
        with pytest.raises(CorruptionError):
            ProducerState().decode(bytes(damaged), 0)
    for cut in range(len(content)):
        with pytest.raises(CorruptionError):
            ProducerState().decode(content[:cut], 0)


def test_transactions_hold_the_last_stable_offset():
    state = ProducerState()
    assert state.first_open_offset == -1
    add(state, 0, offset=5, transactional=True)
    add(state, 0, offset=8, producer=9, transactional=True)
    add(state, 1, offset=9, transactional=True)
    assert state.first_open_offset == 5
    assert state.end_transaction(PRODUCER, 0, 1, 200, 10) == 5
    assert state.first_open_offset == 8
    assert state.end_transaction(9, 1, 1, 200, 11) == 8
    assert state.first_open_offset == -1
    assert state.check(9, 1, 1, 0) == OUT_OF_ORDER
    assert state.check(9, 1, 0, 0) is None

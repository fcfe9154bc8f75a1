"""The leader-epoch cache and its file."""

from __future__ import annotations

import pytest

from pybroker.common.errors import CorruptionError
from pybroker.log.leader_epochs import LeaderEpochs


def make(*pairs):
    epochs = LeaderEpochs()
    for epoch, start in pairs:
        epochs.assign(epoch, start)
    return epochs


def test_new_partition_file_is_kafkas():
    assert make((0, 0)).encode() == b"0\n1\n0 0\n"


def test_end_offsets():
    epochs = make((1, 10), (3, 20), (5, 30))
    assert epochs.end_offset_for(5, 44) == (5, 44)
    assert epochs.end_offset_for(3, 44) == (3, 30)
    assert epochs.end_offset_for(2, 44) == (1, 20)
    assert epochs.end_offset_for(4, 44) == (3, 30)
    assert epochs.end_offset_for(0, 44) == (0, 10)
    assert epochs.end_offset_for(6, 44) == (-1, -1)
    assert epochs.end_offset_for(-1, 44) == (-1, -1)
    assert LeaderEpochs().end_offset_for(0, 0) == (-1, -1)


def test_assign_removes_what_contradicts():
    epochs = make((1, 10), (2, 20), (3, 30))
    epochs.assign(4, 15)
    assert epochs.entries == [(1, 10), (4, 15)]
    epochs.assign(4, 99)
    assert epochs.entries == [(1, 10), (4, 15)]


def test_what_was_known_completes_what_compaction_left():
    """A follower with records of epoch 2 up to offset 34 must be told 30, not 35 where epoch 3 has its first record
    now; and a file that is older than a truncation says nothing of what came after."""
    left = make((1, 12), (3, 35))
    left.complete([(1, 10), (2, 20), (3, 30)])
    assert left.entries == [(1, 10), (2, 20), (3, 30)]
    assert left.end_offset_for(2, 44) == (2, 30)
    newer = make((1, 12), (5, 25))
    newer.complete([(1, 10), (2, 20), (3, 30)])
    assert newer.entries == [(1, 10), (5, 25)]
    newer.note_saved()
    newer.complete([])
    newer.complete(newer.entries)
    assert newer.entries == [(1, 10), (5, 25)]
    assert not newer.is_due(99)


def test_truncation_at_both_ends():
    epochs = make((1, 10), (2, 20), (3, 30))
    epochs.truncate_from_end(30)
    assert epochs.entries == [(1, 10), (2, 20)]
    epochs.truncate_from_start(25)
    assert epochs.entries == [(2, 25)]
    epochs.note_saved()
    epochs.truncate_from_start(25)
    epochs.truncate_from_start(3)
    assert not epochs.is_due(99)


def test_an_epoch_is_written_when_it_has_records():
    epochs = make((1, 0))
    assert not epochs.is_due(0)
    assert epochs.is_due(1)
    epochs.note_saved()
    epochs.assign(2, 10)
    epochs.assign(3, 10)
    assert not epochs.is_due(10)
    assert epochs.is_due(11)
    epochs.note_saved()
    # The file has an epoch at 10 that is gone: what comes there may be of epoch 1.
    epochs.truncate_from_end(10)
    assert not epochs.is_due(10)
    assert epochs.is_due(11)
    epochs.note_changed()
    assert epochs.is_due(0)
    epochs.note_saved()
    epochs.clear()
    assert not epochs.is_due(0)
    assert epochs.is_due(5)
    epochs = make((1, 0), (2, 10))
    epochs.note_saved()
    epochs.truncate_from_start(5)
    assert epochs.is_due(5)


def test_epoch_for_offset():
    epochs = make((1, 10), (2, 20))
    assert [epochs.epoch_for_offset(offset) for offset in (9, 10, 19, 20, 99)] == [-1, 1, 1, 2, 2]


def test_file_round_trip():
    epochs = make((1, 10), (2, 20))
    again = LeaderEpochs()
    again.decode(epochs.encode())
    assert again.entries == epochs.entries
    assert not again.is_due(1 << 62)


@pytest.mark.parametrize(
    "content", [b"1\n0\n", b"0\n2\n0 0\n", b"0\n1\nx y\n", b"0\n2\n3 0\n2 5\n", b"\xff", b"0\n"]
)
def test_damaged_file_is_refused(content):
    with pytest.raises(CorruptionError):
        LeaderEpochs().decode(content)

"""Starting on what a stop left behind: docs/storage.md section 6.2."""

from __future__ import annotations

import pytest

from pybroker.log import LogConfig
from pybroker.records.batch import HEADER_SIZE, Record, build_batch
from tests.unit.log.log_helpers import (
    NOW,
    append,
    make_batch,
    make_environment,
    make_log,
    overwrite,
    read_all,
    reopen,
    values_of,
)

SMALL = LogConfig(segment_bytes=1000, index_interval_bytes=100)


def filled(count=20, config=SMALL, **options):
    log = make_log(config=config, **options)
    for number in range(count):
        append(log, make_batch(2, timestamp=NOW + number), leader_epoch=number // 8)
    return log


def damaged(log, position_from_end=0, data=b"", *, cut=0):
    """Change the tail of the newest segment file behind the log's back."""
    path = log.active.path(".log")
    file = log.environment.files.open(path)
    size = file.size()
    if cut:
        file.truncate(size - cut)
    if data:
        file.pwrite([data], size - cut - position_from_end)


def test_kill_loses_nothing():
    log = filled()
    again = reopen(log)
    assert values_of(again) == values_of(log)
    assert again.log_end_offset == 40
    assert again.epochs.entries == [(0, 0), (1, 16), (2, 32)]
    assert again.recovery_point == 0
    assert append(again, make_batch(1)) == 40


def test_indexes_are_rebuilt_as_they_were():
    log = filled()
    again = reopen(log)
    for old, new in zip(log.segments, again.segments, strict=True):
        assert list(old.offset_index._offsets) == list(new.offset_index._offsets)
        assert list(old.offset_index._positions) == list(new.offset_index._positions)
        assert old.largest == new.largest


@pytest.mark.parametrize("cut", [1, 10, HEADER_SIZE, 75])
def test_torn_tail(cut):
    log = filled()
    damaged(log, cut=cut)
    reports = []
    environment = make_environment(log.environment.files, report=reports.append)
    again = reopen(log, environment=environment)
    assert again.log_end_offset == 38
    assert (
        values_of(again) == values_of(log)[:38]
        if cut < 1
        else [v[0] for v in values_of(again)] == list(range(38))
    )
    assert reports
    assert environment.files.file_size(again.active.path(".log")) == again.active.size
    assert append(again, make_batch(1)) == 38


@pytest.mark.parametrize("zeros", [1, 60, 61, 5000])
def test_zero_filled_tail(zeros):
    log = filled()
    damaged(log, data=bytes(zeros))
    again = reopen(log)
    assert again.log_end_offset == 40
    assert again.active.size == log.active.size


def test_zeros_in_place_of_the_last_batch():
    log = filled()
    size = len(make_batch(2))
    damaged(log, size, bytes(size))
    assert reopen(log).log_end_offset == 38


def test_every_flipped_bit_of_the_last_batch_is_found_or_harmless():
    for position in range(len(make_batch(2))):
        log = filled(4)
        path = log.active.path(".log")
        size = len(make_batch(2))
        at = log.active.size - size + position
        byte = read_all(log.environment.files, path)[at]
        overwrite(log.environment.files, path, at, bytes([byte ^ 0x10]))
        again = reopen(log)
        if again.log_end_offset == 8:
            # Only the leader epoch lies outside of checksum and checks, and then only upwards.
            assert 12 <= position < 16
        else:
            # A larger base offset is a gap; everything else is not valid.
            assert again.log_end_offset == 6 or position < 8


def test_mid_log_corruption_costs_everything_after_it():
    log = filled()
    victim = log.segments[2]
    overwrite(log.environment.files, victim.path(".log"), 70, b"\xff")
    again = reopen(log)
    assert again.log_end_offset == victim.base_offset
    names = again.environment.files.list_dir("/data/t-0")
    assert not [name for name in names if name.endswith(".log") and int(name[:20]) > victim.base_offset]


@pytest.mark.parametrize("cleaned", [False, True])
def test_a_hole_between_segments_ends_the_log_unless_compaction_made_it(cleaned):
    """A power loss takes the end of a rolled segment and leaves the next one: what follows would hide it from
    the epochs that replicas compare."""
    log = filled()
    victim = log.segments[1]
    last = [header for _, header in victim.scan(0)][-1]
    file = log.environment.files.open(victim.path(".log"))
    file.truncate(victim.size - last.size)
    again = reopen(log, cleaned=cleaned)
    assert again.log_end_offset == (40 if cleaned else last.base_offset)
    assert append(again, make_batch(1), leader_epoch=9) == again.log_end_offset - 1
    assert reopen(again, cleaned=cleaned).log_end_offset == again.log_end_offset


@pytest.mark.parametrize(("recovery_point", "left"), [(0, 1), (0, 2), (160, 1), (160, 2)])
def test_what_retention_removed_goes_again_where_a_power_loss_brings_some_back(recovery_point, left):
    """It may undo the renaming of one removed segment and keep those of others: what is between them may be the end
    of a transaction."""
    log = filled(80)
    first, *later = log.segments
    assert len(later) > 4
    removed = later[:4]
    back = removed.pop(left)
    for segment in removed:
        path = segment.path(".log")
        log.environment.files.rename(path, path + ".deleted")
    again = reopen(log, recovery_point=recovery_point)
    assert (again.log_start_offset, again.log_end_offset) == (later[4].base_offset, 160)
    for gone in (first, back):
        assert not log.environment.files.exists(gone.path(".log"))
    assert not [name for name in log.environment.files.list_dir(log.directory) if name.endswith(".deleted")]


def test_a_removed_segment_that_ends_where_one_came_back_says_nothing_of_that_one():
    log = filled(40)
    first, second, third = log.segments[:3]
    for segment in (first, second):
        path = segment.path(".log")
        log.environment.files.rename(path, path + ".deleted")
    again = reopen(log)
    assert (again.log_start_offset, again.log_end_offset) == (third.base_offset, 80)


def test_what_was_truncated_is_no_sign_of_retention():
    """The end of a log was cut at the begin of a segment, and written anew; a power loss took one of the new segments,
    which nobody was promised."""
    log = filled(40)
    kept, again_written, lost, later = log.segments[:4]
    log.truncate_to(again_written.base_offset)
    names = log.environment.files.list_dir(log.directory)
    assert f"{lost.base_offset:020d}.log.truncated.deleted" in names
    for _ in range(20):
        append(log, make_batch(2), leader_epoch=9)
    assert [segment.base_offset for segment in log.segments[1:4]] == [
        segment.base_offset for segment in (again_written, lost, later)
    ]
    log.environment.files.remove(log.segments[2].path(".log"))
    again = reopen(log)
    assert (again.log_start_offset, again.log_end_offset) == (kept.base_offset, lost.base_offset)
    assert not [name for name in again.environment.files.list_dir(log.directory) if name.endswith(".deleted")]


def test_a_removed_segment_into_which_another_reaches_is_no_sign_of_retention():
    """Apache Kafka gives the same names to what it truncates."""
    log = filled(20)
    second, third = log.segments[1:]
    path = second.path(".log")
    log.environment.files.rename(path, path + ".deleted")
    batch = second.pread(second.position_of(second.base_offset + 2), 0)
    log.environment.files.open(log.segments[0].path(".log")).pwrite([batch], log.segments[0].size)
    again = reopen(log)
    assert (again.log_start_offset, again.log_end_offset) == (0, second.base_offset + 2)
    assert third.base_offset > again.log_end_offset


def test_compacted_segments_are_no_sign_of_retention():
    """The policy of the log changed right after a pass, and its checkpoint is not there."""
    log = filled(40)
    first, second, third = log.segments[:3]
    files = log.environment.files
    for segment in (first, second):
        files.open(f"{segment.path('.log')}.deleted", create=True).pwrite([segment.pread(segment.size, 0)], 0)
    files.remove(second.path(".log"))
    again = reopen(log, recovery_point=third.base_offset)
    assert (again.log_start_offset, again.log_end_offset) == (0, 80)


def test_below_the_recovery_point_nothing_is_checked():
    log = filled()
    log.flush()
    overwrite(log.environment.files, log.segments[0].path(".log"), 70, b"\xff")
    assert reopen(log, recovery_point=log.active.base_offset).log_end_offset == 40


def test_leader_epoch_going_back_is_invalid():
    log = make_log()
    append(log, make_batch(1), leader_epoch=3)
    bad = build_batch([Record(0, NOW, None, b"x")], base_offset=1, leader_epoch=2)
    overwrite(log.environment.files, log.active.path(".log"), log.active.size, bad)
    assert reopen(log).log_end_offset == 1


def test_offsets_going_back_are_invalid():
    log = make_log()
    append(log, make_batch(2))
    bad = build_batch([Record(0, NOW, None, b"x")], base_offset=1)
    overwrite(log.environment.files, log.active.path(".log"), log.active.size, bad)
    assert reopen(log).log_end_offset == 2


def test_clean_start_reads_little_and_continues():
    log = filled()
    log.close_clean()
    again = reopen(log, clean=True)
    assert again.settled_end_offset == again.log_end_offset == 40
    assert values_of(again) == [(n, NOW + n // 2, bytes([n % 2]) * 10) for n in range(40)]
    assert append(again, make_batch(1, timestamp=NOW + 50), leader_epoch=2) == 40
    assert again.offset_for_timestamp(NOW + 19) == (NOW + 19, 38, 2)
    assert again.offset_of_max_timestamp() == (NOW + 50, 40, 2)


def test_clean_close_trims_the_indexes_and_takes_a_snapshot():
    log = filled()
    log.close_clean()
    files = log.environment.files
    for segment in log.segments:
        assert files.file_size(segment.path(".index")) < 1000
        assert files.file_size(segment.path(".timeindex")) % 12 == 0
    assert files.file_size("/data/t-0/00000000000000000040.snapshot") == 10


@pytest.mark.parametrize("extension", [".index", ".timeindex"])
def test_missing_index_after_a_clean_stop(extension):
    log = filled()
    log.close_clean()
    log.environment.files.remove(log.segments[1].path(extension))
    log.environment.files.remove(log.active.path(extension))
    again = reopen(log, clean=True)
    assert again.log_end_offset == 40
    assert len(values_of(again)) == 40
    assert again.offset_for_timestamp(NOW + 19)[1] == 38


def test_damaged_index_after_a_clean_stop_is_rebuilt_when_used():
    log = filled()
    log.close_clean()
    for segment in log.segments:
        path = segment.path(".index")
        overwrite(log.environment.files, path, 0, b"\x7f" * log.environment.files.file_size(path))
    again = reopen(log, clean=True)
    assert len(values_of(again)) == 40


def test_index_without_log_is_deleted():
    log = filled(2)
    files = log.environment.files
    files.open("/data/t-0/00000000000000000099.index", create=True)
    reopen(log)
    assert not files.exists("/data/t-0/00000000000000000099.index")


def test_deleted_and_temporary_files_go():
    log = filled(2)
    files = log.environment.files
    for name in (
        "00000000000000000000.log.deleted",
        "leader-epoch-checkpoint.tmp",
        "00000000000000000007.log.cleaned",
    ):
        files.open(f"/data/t-0/{name}", create=True)
    reopen(log)
    names = files.list_dir("/data/t-0")
    assert not [name for name in names if name.endswith((".deleted", ".tmp", ".cleaned"))]


def test_finished_compaction_is_completed():
    log = filled(20)
    files = log.environment.files
    log.close()
    first, second = log.segments[:2]
    end = log.segments[2].base_offset
    swap = build_batch([Record(0, NOW, None, b"compacted")], base_offset=end - 1)
    path = first.path(".log.swap")
    files.open(path, create=True).pwrite([swap], 0)
    again = reopen(log)
    assert [segment.base_offset for segment in again.segments][:2] == [0, end]
    assert values_of(again)[0] == (end - 1, NOW, b"compacted")
    assert not files.exists(path)
    assert not files.exists(second.path(".log"))
    assert again.log_end_offset == 40


def test_unfinished_split_is_undone():
    log = filled(20)
    files = log.environment.files
    files.open("/data/t-0/00000000000000000000.log.cleaned", create=True)
    files.open("/data/t-0/00000000000000000000.log.swap", create=True)
    again = reopen(log)
    assert len(values_of(again)) == 40
    assert not [name for name in files.list_dir("/data/t-0") if name.endswith((".swap", ".cleaned"))]


def test_log_end_below_the_log_start_checkpoint_empties_the_log():
    log = filled(5)
    again = reopen(log, log_start=100)
    assert (again.log_start_offset, again.log_end_offset) == (100, 100)
    assert append(again, make_batch(1), leader_epoch=5) == 100


def test_log_start_checkpoint_is_kept():
    log = filled(5)
    again = reopen(log, log_start=3)
    assert again.log_start_offset == 3
    assert again.epochs.entries[0][1] == 3


def test_damaged_epoch_file_is_rebuilt_from_the_batches():
    log = filled(20)
    log.flush()
    log.environment.files.open("/data/t-0/leader-epoch-checkpoint").pwrite([b"junk"], 0)
    again = reopen(log, clean=True)
    assert again.epochs.entries == [(0, 0), (1, 16), (2, 32)]


def produce(log, sequence, producer=7):
    batch = build_batch(
        [Record(0, NOW, None, b"x" * 50)], producer_id=producer, producer_epoch=0, base_sequence=sequence
    )
    log.append_records(batch, assign_offsets=True, leader_epoch=0)


@pytest.mark.parametrize("clean", [True, False])
def test_producer_windows_survive_a_restart(clean):
    log = make_log(config=SMALL)
    for sequence in range(20):
        produce(log, sequence)
    if clean:
        log.close_clean()
    again = reopen(log, clean=clean)
    if again.producers.is_partial(7):
        again.complete_producer_windows()
    for sequence in range(15, 20):
        assert again.producers.check(7, 0, sequence, 0).base_offset == sequence
    assert again.producers.check(7, 0, 14, 0) == 45
    assert again.producers.check(7, 0, 20, 0) is None


def test_damaged_snapshot_is_dropped_and_state_replayed():
    log = make_log(config=SMALL)
    for sequence in range(20):
        produce(log, sequence)
    log.close_clean()
    overwrite(log.environment.files, "/data/t-0/00000000000000000020.snapshot", 12, b"\xff\xff")
    again = reopen(log, clean=True)
    assert again.producers.entries[7].last_sequence == 19


def test_stray_snapshots_are_removed():
    log = make_log(config=SMALL)
    for sequence in range(20):
        produce(log, sequence)
    files = log.environment.files
    files.open("/data/t-0/00000000000000000003.snapshot", create=True).pwrite([log.producers.encode()], 0)
    files.open("/data/t-0/00000000000000000999.snapshot", create=True).pwrite([log.producers.encode()], 0)
    again = reopen(log)
    left = again.snapshot_offsets()
    bases = {segment.base_offset for segment in again.segments}
    assert set(left) <= bases | {20}


def test_recovery_of_a_large_batch():
    log = make_log(config=LogConfig())
    append(log, make_batch(1))
    append(log, make_batch(1, size=5_000_000))
    append(log, make_batch(1))
    assert reopen(log).log_end_offset == 3


def test_unclean_start_with_an_empty_directory_makes_a_log():
    log = make_log()
    log.environment.files.remove(log.active.path(".log"))
    again = reopen(log)
    assert again.log_end_offset == 0
    assert append(again, make_batch(1)) == 0

"""Which segments go, and what becomes of their files."""

from __future__ import annotations

from pybroker.log import LogConfig, retention
from tests.unit.log.log_helpers import NOW, append, make_batch, make_log, reopen

HOUR = 3_600_000


def filled(timestamps, **options):
    """One segment per timestamp, the newest active."""
    log = make_log(config=LogConfig(segment_bytes=100, **options))
    for timestamp in timestamps:
        append(log, make_batch(1, timestamp=timestamp))
    log.high_watermark = log.log_end_offset
    assert len(log.segments) == len(timestamps)
    return log


def bases(log):
    return [segment.base_offset for segment in log.segments]


def test_time_removes_the_oldest_and_stops_at_the_first_that_stays():
    log = filled([NOW - 3 * HOUR, NOW - 2 * HOUR, NOW, NOW - 3 * HOUR, NOW], retention_ms=HOUR)
    assert retention.plan_time(log, NOW).segment_count == 2
    retention.apply(log, NOW)
    assert bases(log) == [2, 3, 4]
    assert log.log_start_offset == 2
    assert log.epochs.entries == [(0, 2)]


def test_one_far_future_timestamp_pins_everything_after_it():
    log = filled([NOW - 3 * HOUR, NOW + 10**12, NOW - 3 * HOUR, NOW - 3 * HOUR], retention_ms=HOUR)
    retention.apply(log, NOW)
    assert bases(log) == [1, 2, 3]


def test_non_empty_active_segment_goes_after_a_roll():
    log = filled([NOW - 3 * HOUR, NOW - 2 * HOUR], retention_ms=HOUR)
    retention.apply(log, NOW)
    assert bases(log) == [2]
    assert (log.log_start_offset, log.log_end_offset, log.size) == (2, 2, 0)
    retention.apply(log, NOW + 100 * HOUR)
    assert bases(log) == [2]
    assert append(log, make_batch(1)) == 2


def test_timestamp_zero_is_deleted_at_once():
    log = filled([0, 0, NOW])
    retention.apply(log, NOW)
    assert bases(log) == [2]


def test_without_timestamps_the_files_own_time_counts():
    log = filled([-1, -1], retention_ms=HOUR)
    for segment in log.segments:
        segment.environment.files._files[segment.path(".log")].modified_ms = NOW
    assert retention.plan_time(log, NOW + HOUR).segment_count == 0
    assert retention.plan_time(log, NOW + HOUR + 1).segment_count == 2


def test_size_removes_whole_segments_only():
    log = filled([NOW] * 5)
    size = log.segments[0].size
    for limit, expected in ((5 * size, 0), (4 * size + 1, 0), (4 * size, 1), (size, 4), (0, 5), (-1, 0)):
        log.config = LogConfig(retention_bytes=limit)
        assert retention.plan_size(log).segment_count == expected


def test_nothing_above_the_high_watermark_goes():
    log = filled([NOW - 3 * HOUR] * 4, retention_ms=HOUR, retention_bytes=0)
    log.high_watermark = 2
    assert retention.plan_time(log, NOW).segment_count == 2
    assert retention.plan_size(log).segment_count == 2


def test_unlimited_time():
    log = filled([0, 0], retention_ms=-1)
    retention.apply(log, NOW)
    assert bases(log) == [0, 1]


def test_log_start_applies_to_compacted_topics_too_the_others_do_not():
    log = filled([0, 0, 0, 0], retention_ms=1, retention_bytes=1, cleanup_policy=("compact",))
    log.increment_log_start(2)
    retention.apply(log, NOW)
    assert bases(log) == [2, 3]


def test_active_segment_stays_when_everything_was_deleted_by_request():
    log = filled([NOW, NOW])
    log.increment_log_start(2)
    retention.apply(log, NOW)
    assert bases(log) == [1]
    assert log.log_start_offset == 2


def test_files_are_renamed_first_and_removed_after_the_delay():
    log = filled([0, 0, NOW], file_delete_delay_ms=60_000)
    log.flush()
    files = log.environment.files
    retention.apply(log, NOW)
    names = files.list_dir("/data/t-0")
    assert "00000000000000000000.log.deleted" in names
    assert "00000000000000000000.index.deleted" in names
    assert "00000000000000000001.snapshot.deleted" in names
    assert "00000000000000000000.log" not in names
    assert log.take_deleted_files(NOW + 59_999) == []
    due = log.take_deleted_files(NOW + 60_000)
    assert len(due) == len([name for name in names if name.endswith(".deleted")])
    assert not log.has_deleted_files
    again = reopen(log)
    assert again.log_start_offset == 2
    assert not [name for name in files.list_dir("/data/t-0") if name.endswith(".deleted")]

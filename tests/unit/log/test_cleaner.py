"""Log compaction: Kafka's rules, its historic bugs by number, and interruption at every file operation."""

from __future__ import annotations

import errno
import re
from itertools import pairwise

import pytest

from pybroker.common.clock import ManualClock
from pybroker.common.memory_files import MemoryFileSystem
from pybroker.log import LogConfig
from pybroker.log.cleaner import cleaning, policy
from pybroker.log.cleaner.cleaner import CleanerSettings
from pybroker.log.cleaner.offset_map import ENTRY_BYTES, OffsetMap, stored_key
from pybroker.records.batch import Record, build_batch, crc_matches, iter_headers
from tests.unit.log.cleaner_helpers import COMPACT, Store
from tests.unit.log.log_helpers import NOW, FaultyFileSystem, make_manager, read_all

HOUR = 3_600_000


@pytest.fixture
def files():
    return MemoryFileSystem()


@pytest.fixture
def store(files):
    return Store(files)


def with_config(**changes):
    values = {name: getattr(COMPACT, name) for name in COMPACT.__dataclass_fields__}
    for derived in ("deletes", "compacts", "log_append_time", "roll_ms"):
        del values[derived]
    return LogConfig(**{**values, **changes})


@pytest.mark.parametrize("codec", [0, 1, 2, 3, 4])
@pytest.mark.parametrize("together", [False, True], ids=["a batch each", "one batch"])
def test_the_textbook_example(store, codec, together):
    keys = ["Alpha", "Sigma", "Beta", "Alpha", "Omega", "Alpha", "Delta", "Delta", "Beta", "Omega", "Omega"]
    pairs = [(key, f"value {number}" * 9) for number, key in enumerate(keys)]
    if together:
        store.append(*pairs, codec=codec)
    else:
        for pair in pairs:
            store.append(pair, codec=codec)
    before = {offset: (key, value) for offset, key, value in store.records()}
    assert store.clean() == 1
    assert store.offsets() == [1, 5, 7, 8, 10]
    assert all(before[offset] == (key, value) for offset, key, value in store.records())
    for header, batch in store.batches():
        assert crc_matches(batch)
        assert header.codec == codec


def test_offsets_and_log_end_never_change(store):
    for number in range(50):
        store.append((f"k{number % 3}", f"v{number}"))
    end = store.log.log_end_offset
    store.clean()
    assert store.log.log_end_offset == end
    assert store.append(("new", "v")) == end
    # Every offset can be asked for; the answer starts at the next record that is there.
    for offset in range(end):
        data = store.log.read(offset, 10_000, min_one_batch=True).records
        assert next(iter_headers(data))[1].last_offset >= offset


def test_a_clean_log_is_left_alone(store):
    for number in range(10):
        store.append((f"k{number % 2}", "v"))
    assert store.clean() == 1
    assert store.clean(roll=False) == 0
    assert store.manager.directory_of("t", 0).clean_offsets == {("t", 0): 10}


def test_how_far_is_clean_survives_a_restart(store):
    for number in range(10):
        store.append((f"k{number % 2}", "v"))
    store.clean()
    assert read_all(store.files, "/data/cleaner-offset-checkpoint") == b"0\n1\nt 0 10\n"
    store.restart()
    assert store.clean(roll=False) == 0


@pytest.mark.parametrize(("checkpoint", "from_start"), [(-5, True), (1000, True), (4, False)])
def test_a_checkpoint_outside_the_log_starts_again(store, checkpoint, from_start):
    for number in range(10):
        store.append((f"k{number % 2}", "v"))
    store.log.roll()
    store.settle()
    found = policy.examine(store.log, checkpoint, NOW)
    assert found.first_dirty_offset == (0 if from_start else checkpoint)


def test_the_active_segment_stays(store):
    for number in range(10):
        store.append(("k", f"v{number}"))
    assert store.clean(roll=False) == 0
    assert len(store.offsets()) == 10


def test_what_is_not_committed_stays(store):
    for number in range(10):
        store.append(("k", f"v{number}"))
    store.log.roll()
    store.log.high_watermark = 5
    assert store.clean(roll=False) == 0
    store.settle()
    assert store.clean(roll=False) == 1
    assert store.offsets() == [9]


def test_min_compaction_lag(files):
    store = Store(files, with_config(min_compaction_lag_ms=HOUR))
    store.append(("k", "old"), timestamp=NOW - 2 * HOUR)
    store.append(("k", "newer"), timestamp=NOW - 2 * HOUR)
    store.log.roll()
    store.append(("k", "young"), timestamp=NOW - HOUR // 2)
    assert store.clean() == 1
    assert [value for _, _, value in store.records()] == [b"newer", b"young"]
    store.clock.advance(HOUR)
    assert store.clean(roll=False) == 1
    assert [value for _, _, value in store.records()] == [b"young"]


def test_max_compaction_lag_beats_the_dirty_ratio(files):
    store = Store(files, with_config(min_cleanable_dirty_ratio=1.0, max_compaction_lag_ms=HOUR))
    store.append(("k", "1"))
    store.append(("k", "2"))
    assert store.clean() == 0
    store.clock.advance(2 * HOUR)
    assert store.clean(roll=False) == 1
    assert store.offsets() == [1]


def test_max_compaction_lag_rolls_the_segment(files):
    store = Store(files, with_config(max_compaction_lag_ms=HOUR))
    store.append(("k", "1"))
    store.append(("k", "2"), timestamp=NOW + HOUR + 1)
    assert len(store.log.segments) == 2


def test_the_dirtiest_log_first(files):
    manager = make_manager(files, defaults=COMPACT)
    manager.open(1)
    logs = [manager.get_or_create("t", number, bytes(range(16)), COMPACT) for number in range(2)]
    for log, count in zip(logs, (1, 5), strict=True):
        for _ in range(count):
            log.append_records(build_batch([Record(0, NOW, b"k", b"v" * 100)]), assign_offsets=True)
        log.roll()
        log.high_watermark = log.log_end_offset
    first, second = (policy.examine(log, 1 if log is logs[1] else 0, NOW) for log in logs)
    assert (first.dirty_ratio, second.dirty_ratio) == (1.0, 1.0)
    logs[1].append_records(build_batch([Record(0, NOW, b"k", b"v" * 100)]), assign_offsets=True)
    logs[1].roll()
    logs[1].high_watermark = logs[1].log_end_offset
    half_clean = policy.examine(logs[1], 5, NOW)
    assert 0 < half_clean.dirty_ratio < 0.5
    assert policy.choose([half_clean, first]) is first
    assert policy.choose([]) is None


# ---- tombstones ----


def test_a_tombstone_goes_when_its_horizon_has_passed(store):
    store.append(("a", "1"), ("b", "1"), timestamp=NOW - 500)
    store.append(("a", None), timestamp=NOW - 400)
    store.clean()
    assert store.records() == [(1, b"b", b"1"), (2, b"a", None)]
    (header, _) = store.batches()[-1]
    # KIP-534: the horizon is in the place of the base timestamp, the record's own time is unchanged.
    assert header.delete_horizon_ms == NOW + 1_000
    assert header.max_timestamp == NOW - 400
    records = [record for _, batch in store.batches() for record in cleaning.iter_records(batch)]
    assert [record.timestamp for record in records] == [NOW - 500, NOW - 400]
    store.append(("c", "1"))
    store.clock.advance(999)
    store.clean()
    assert b"a" in [key for _, key, _ in store.records()]
    store.append(("d", "1"))
    store.clock.advance(1)
    store.clean()
    assert [key for _, key, _ in store.records()] == [b"b", b"c", b"d"]


def test_kafka_4529_a_tombstone_is_kept_while_older_values_may_be(store):
    """The horizon counts from the pass that saw the tombstone, not from the time the segment was last changed."""
    store.append(("a", "1"))
    store.append(("a", None), timestamp=NOW - 100 * HOUR)
    store.clean()
    assert store.records() == [(1, b"a", None)]


def test_a_later_value_ends_a_tombstone(store):
    store.append(("a", None))
    store.append(("a", "2"))
    store.clean()
    assert store.records() == [(1, b"a", b"2")]


# ---- keys ----


def test_records_without_a_key_go_and_are_told(files):
    store = Store(files)
    store.append((None, "nobody"), ("a", "1"), (None, "nobody"))
    store.clean()
    assert store.records() == [(1, b"a", b"1")]
    assert any("2 records without a key" in line for line in store.reports)


def test_long_keys_are_told_apart():
    keys = [b"x" * 31, b"x" * 32, b"x" * 33, b"x" * 34, b"\0" + b"x" * 32]
    assert len({stored_key(key) for key in keys}) == len(keys)
    # A short key cannot pass for the digest of a long one.
    assert all(len(stored_key(key)) == 33 for key in keys if len(key) > 32)


def test_empty_keys_and_empty_values_are_keys_and_values(store):
    store.append(("", "1"), ("", ""), ("a", ""))
    store.clean()
    assert store.records() == [(1, b"", b""), (2, b"a", b"")]


def test_the_map_is_bounded_and_the_next_pass_goes_on(files):
    store = Store(files, settings=CleanerSettings(backoff_ms=0, map_bytes=ENTRY_BYTES * 5))
    for number in range(40):
        store.append((f"k{number % 20}", f"v{number}"))
    assert store.clean() > 2
    assert store.offsets() == list(range(20, 40))
    assert store.manager.directory_of("t", 0).clean_offsets == {("t", 0): 40}


def test_a_map_of_one_entry_makes_progress(files):
    store = Store(files, settings=CleanerSettings(backoff_ms=0, map_bytes=1))
    for number in range(6):
        store.append((f"k{number % 3}", f"v{number}"))
    assert store.clean() == 6
    assert store.offsets() == [3, 4, 5]


def test_a_pass_takes_as_much_as_the_map_can_hold(files):
    """What one pass found out about the keys is known to the next: few passes, and none in vain."""
    store = Store(files, with_config(segment_bytes=3_000))
    store.manager.cleaner.settings = CleanerSettings(backoff_ms=0, map_bytes=ENTRY_BYTES * 50)
    for number in range(600):
        store.append((f"k{number % 300}", f"v{number}"))
    jobs = []
    runner = store.manager.cleaner.runner

    def run(task):
        jobs.append(task.job)
        return runner(task)

    store.manager.cleaner.runner = run
    passes = store.clean()
    assert 12 <= passes <= 20
    assert all(job.window_bytes for job in jobs[1:-1])
    assert store.offsets() == list(range(300, 600))


# ---- producers and transactions ----


def test_the_last_batch_of_a_live_producer_stays_without_records(store):
    for sequence in range(3):
        store.append(("k", f"v{sequence}"), producer_id=7, producer_epoch=2, base_sequence=sequence)
    store.append(("k", "by nobody"))
    store.clean()
    assert store.offsets() == [3]
    (empty,) = [header for header, _ in store.batches() if header.record_count == 0]
    assert (empty.base_offset, empty.producer_id, empty.producer_epoch, empty.base_sequence) == (2, 7, 2, 2)
    # The sequence goes on after a restart without a snapshot.
    store.restart(clean=False)
    entry = store.log.producers.entries[7]
    assert (entry.epoch, entry.last_sequence) == (2, 2)


def test_a_batch_that_is_not_committed_yet_is_no_producers_last(store):
    """A power loss or another leader took the newer batch, and then nobody knew the producer."""
    for sequence in range(2):
        store.append(("k", f"v{sequence}"), producer_id=7, producer_epoch=2, base_sequence=sequence)
    store.append(("k", "by nobody"))
    store.log.roll()
    store.append(("k", "lost"), producer_id=7, producer_epoch=2, base_sequence=2)
    store.log.high_watermark = 3
    store.clean(roll=False)
    assert store.offsets() == [2, 3]
    store.log.truncate_to(3)
    store.restart(clean=False)
    assert store.log.producers.entries[7].last_sequence == 1


def test_an_expired_producer_keeps_nothing(store):
    store.append(("k", "1"), producer_id=7, producer_epoch=0, base_sequence=0, timestamp=NOW)
    store.append(("k", "2"))
    store.clock.advance(25 * HOUR)
    store.clean()
    assert [header.base_offset for header, _ in store.batches()] == [1]


def test_the_last_batch_of_a_pass_keeps_the_end_offset(store):
    store.append(("a", "1"))
    store.append(("a", None))
    store.clean()
    store.clock.advance(2_000)
    store.log.roll()
    store.append(("b", "1"))
    store.log.truncate_to(2)
    store.append(("b", None), ("b", None))
    store.clean()
    store.clock.advance(2_000)
    store.append(("b", None))
    store.clean()
    assert store.batches()[-1][0].next_offset == store.log.log_end_offset
    store.restart(clean=False)
    assert store.log.log_end_offset == 5


def transactional(store, producer_id, *pairs, sequence=0):
    return store.append(
        *pairs, producer_id=producer_id, producer_epoch=0, base_sequence=sequence, transactional=True
    )


def test_aborted_records_go_at_once_and_the_marker_later(store):
    transactional(store, 7, ("a", "aborted"), ("b", "aborted"))
    store.marker(7, commit=False)
    store.append(("a", "1"))
    store.clean()
    assert store.records() == [(3, b"a", b"1")]
    assert store.markers() == [(2, 7, False)]
    assert [entry.first_offset for entry in store.log.aborted_between(0, 4)] == [0]
    # While the producer lives the header of its last batch stays, and with it the marker.
    store.append(("a", "2"))
    store.clean()
    assert store.markers() == [(2, 7, False)]
    store.clock.advance(25 * HOUR)
    store.append(("a", "3"))
    store.clean()
    assert len(store.log.aborted_between(0, 4)) == 1
    # Nothing is left of the transaction: the marker gets a horizon, the index entry goes.
    store.append(("a", "4"))
    store.clean()
    assert store.markers() == [(2, 7, False)]
    assert store.log.aborted_between(0, 4) == []
    store.clock.advance(1_000)
    store.append(("a", "5"))
    store.clean()
    assert store.markers() == []


def test_a_marker_of_a_dead_producer_goes(store):
    transactional(store, 7, ("a", "1"))
    store.marker(7, commit=True)
    store.append(("a", "2"))
    store.clock.advance(25 * HOUR)
    store.clean()
    assert store.markers() == [(1, 7, True)]
    store.append(("a", "3"))
    store.clean()
    assert store.markers() == [(1, 7, True)]
    store.clock.advance(1_000)
    store.append(("a", "4"))
    store.clean()
    assert store.markers() == []


def test_an_aborted_value_does_not_hide_an_older_one(store):
    store.append(("a", "committed"))
    transactional(store, 7, ("a", "aborted"))
    store.marker(7, commit=False)
    store.clean()
    assert store.records() == [(0, b"a", b"committed")]


def test_an_open_transaction_stops_the_cleaner(store):
    store.append(("a", "1"))
    store.append(("a", "2"))
    store.log.roll()
    transactional(store, 7, ("a", "open"))
    store.log.roll()
    store.append(("a", "3"))
    store.clean()
    assert store.offsets() == [1, 2, 3]
    store.marker(7, commit=True)
    store.clean()
    assert store.offsets() == [3]


def test_kafka_14055_a_user_key_like_that_of_a_marker_removes_no_marker(store):
    """Control records take no part in the matching of keys: an abort marker's key is 0 0 0 0."""
    transactional(store, 7, ("a", "aborted"))
    store.marker(7, commit=False)
    transactional(store, 8, ("b", "1"))
    store.marker(8, commit=True)
    store.append((b"\0\0\0\0", "1"), (b"\0\0\0\1", "1"))
    store.clean()
    assert store.markers() == [(1, 7, False), (3, 8, True)]
    assert [key for _, key, _ in store.records()] == [b"b", b"\0\0\0\0", b"\0\0\0\1"]


def test_crabka_528_markers_are_not_the_same_record_for_having_the_same_key(store):
    """Every commit marker has one key and every abort marker another: matched by key, the last of each would be
    left, and readers would wait for, or be shown, what the others ended."""
    for producer_id in range(6):
        transactional(store, producer_id, (f"k{producer_id}", "v"), (f"x{producer_id % 2}", "v"))
        store.marker(producer_id, commit=producer_id % 2 == 0)
    store.append(("k0", "later"))
    before = store.markers()
    assert len(before) == 6
    for _ in range(2):
        store.clean()
        # Of each the data, or its producer's last batch, is there still.
        assert store.markers() == before
        assert [entry.producer_id for entry in store.log.aborted_between(0, 18)] == [1, 3, 5]
        store.append(("other", "v"))
    assert [key for _, key, _ in store.records()][:3] == [b"k2", b"k4", b"x0"]


def test_kafka_8351_a_transaction_over_several_groups_of_segments(files):
    store = Store(files, with_config(segment_bytes=400))
    for sequence in range(6):
        transactional(store, 7, (f"a{sequence}", "aborted" * 20), sequence=sequence)
    store.append(("b", "1" * 100))
    store.marker(7, commit=False)
    assert len(store.log.segments) > 2
    store.clean()
    assert [key for _, key, _ in store.records()] == [b"b"]
    assert store.markers() == [(7, 7, False)]
    assert len(store.log.aborted_between(0, 8)) == 1


def test_kafka_13727_a_partial_pass_keeps_index_entries(files):
    """The map is full between an aborted transaction's records and its marker."""
    store = Store(files, settings=CleanerSettings(backoff_ms=0, map_bytes=ENTRY_BYTES * 2))
    transactional(store, 7, ("x", "aborted"))
    for number in range(6):
        store.append((f"k{number}", "v"))
    transactional(store, 7, ("y", "aborted"), sequence=1)
    store.marker(7, commit=False)
    store.log.roll()
    store.settle()
    cleaner = store.manager.cleaner
    cleaner.tick(store.clock.monotonic_ms())
    store.work(passes=1)
    assert store.manager.directory_of("t", 0).clean_offsets[("t", 0)] < 7
    # Readers still learn that the second record was aborted.
    aborted = store.log.aborted_between(0, 9)
    assert [(entry.producer_id, entry.last_offset) for entry in aborted] == [(7, 8)]
    store.clean(roll=False)
    assert [key for _, key, _ in store.records()] == [b"k%d" % number for number in range(6)]
    assert store.markers() == [(8, 7, False)]


# ---- segments and files ----


def test_small_segments_are_put_together(files):
    store = Store(files, with_config(segment_bytes=1_000))
    for number in range(60):
        store.append((f"k{number % 4}", "v" * 100))
    many = len(store.log.segments)
    store.clean()
    store.append(("k0", "v"))
    store.clean()
    assert len(store.log.segments) < many / 2
    for before, after in pairwise(store.log.segments):
        assert before.base_offset < after.base_offset
        assert before.size <= 1_000
    names = [name for name in files.list_dir("/data/t-0") if name.endswith(".log")]
    assert len(names) == len(store.log.segments)
    assert not [name for name in files.list_dir("/data/t-0") if name.endswith((".cleaned", ".swap"))]


def test_indexes_of_a_cleaned_segment_agree_with_it(files):
    store = Store(files, with_config(segment_bytes=100_000))
    for number in range(300):
        store.append((f"k{number % 200}", "v" * 50), timestamp=NOW + number)
    store.clean()
    segment = store.log.segments[0]
    positions = {header.last_offset: at for at, header in segment.scan(0)}
    for offset in range(100, 300):
        assert segment.position_of(offset) == positions[offset]
    assert store.log.offset_for_timestamp(NOW + 250)[:2] == (NOW + 250, 250)
    assert store.log.offset_for_timestamp(NOW + 50)[:2] == (NOW + 100, 100)


def test_retention_takes_a_source_meanwhile(store):
    for number in range(60):
        store.append((f"k{number % 2}", "v" * 100))
    store.log.roll()
    store.settle()
    cleaner = store.manager.cleaner
    cleaner.tick(store.clock.monotonic_ms())
    (effect,) = cleaner.take_effects()
    effect.run()
    store.log.remove_segments(1, "test")
    effect.complete(None)
    store.work()
    assert not cleaner.busy
    assert len(store.offsets()) > 2
    assert not [name for name in store.files.list_dir("/data/t-0") if name.endswith((".cleaned", ".swap"))]
    assert store.clean(roll=False) == 1


def test_the_topic_is_deleted_meanwhile(store):
    for number in range(20):
        store.append((f"k{number % 2}", "v"))
    store.log.roll()
    store.settle()
    cleaner = store.manager.cleaner
    cleaner.tick(store.clock.monotonic_ms())
    (effect,) = cleaner.take_effects()
    store.manager.delete_topic("t")
    with pytest.raises(FileNotFoundError) as caught:
        effect.run()
    effect.complete(caught.value)
    assert not cleaner.busy
    assert cleaner.uncleanable == {}


@pytest.mark.parametrize("is_clean", [False, True])
def test_a_damaged_log_is_shown_and_left_alone(store, is_clean):
    for number in range(20):
        store.append((f"k{number if is_clean else number % 2}", f"v{number}"))
    store.log.roll()
    store.settle()
    if is_clean:
        assert store.clean(roll=False) == 1
        store.append(("k1", "v20"))
    segment = store.log.segments[0]
    data = segment.pread(segment.size, 0)
    store.files.open(segment.path(".log")).pwrite([bytes([data[100] ^ 1])], 100)
    assert store.clean(roll=is_clean) == 1
    metrics = store.manager.cleaner.metrics()
    assert metrics.failures == 1
    assert store.manager.cleaner.uncleanable_logs() == [store.log]
    found = store.manager.cleaner.uncleanable["t-0"]
    assert re.fullmatch(r"/data/t-0/0{20}\.log: .*checksum at \d\d", found)
    assert any("cannot be cleaned" in line for line in store.reports)
    assert store.clean(roll=False) == 0
    assert len(store.offsets()) == 20 + is_clean


def test_a_full_disk_puts_it_off():
    files = FaultyFileSystem()
    store = Store(files)
    for number in range(20):
        store.append((f"k{number % 2}", f"v{number}"))
    store.log.roll()
    store.settle()
    files.space = 0
    cleaner = store.manager.cleaner
    cleaner.tick(store.clock.monotonic_ms())
    store.work()
    assert cleaner.metrics().failures == 1
    assert len(store.offsets()) == 20
    files.space = None
    assert store.clean(roll=False) == 1
    assert store.offsets() == [18, 19]


def test_in_slices(files):
    store = Store(files)
    store.manager.cleaner.sliced = True
    for number in range(50):
        store.append((f"k{number % 2}", f"{number}" * 10_000))
    store.log.roll()
    store.settle()
    cleaner = store.manager.cleaner
    cleaner.tick(store.clock.monotonic_ms())
    slices = 0
    steps = iter([])

    def one_step():
        return next(steps, True)

    while cleaner.busy:
        slices += 1
        steps = iter([False])
        cleaner.advance(one_step)
        assert cleaner.take_effects() == []
    assert slices > 10
    assert store.offsets() == [48, 49]


def test_stopped_in_the_middle(store):
    for number in range(50):
        store.append((f"k{number % 2}", f"v{number}"))
    store.log.roll()
    store.settle()
    cleaner = store.manager.cleaner
    cleaner.tick(store.clock.monotonic_ms())
    (effect,) = cleaner.take_effects()
    cleaner.stop()
    with pytest.raises(InterruptedError) as caught:
        effect.run()
    effect.complete(caught.value)
    assert cleaner.uncleanable == {}
    store.restart()
    assert len(store.offsets()) == 50


# ---- interruption ----


def test_an_error_nobody_expected_ends_the_cleaner_and_nothing_else(store, monkeypatch):
    for number in range(20):
        store.append((f"k{number % 2}", f"v{number}"))
    cleaner = store.manager.cleaner
    monkeypatch.setattr(cleaner, "candidates", lambda: 1 // 0)
    with pytest.raises(ZeroDivisionError):
        store.clean()
    assert cleaner.metrics().dead == 1
    assert store.clean(roll=False) == 0
    store.append(("k", "v"))


def test_new_settings_start_a_pass_over(store):
    for number in range(20):
        store.append((f"k{number % 2}", f"v{number}"))
    store.log.roll()
    store.settle()
    cleaner = store.manager.cleaner
    cleaner.tick(store.clock.monotonic_ms())
    (task,) = cleaner.take_effects()
    cleaner.configure(cleaner.settings)
    assert not task.cancelled
    cleaner.configure(CleanerSettings(backoff_ms=0, map_bytes=1 << 20))
    assert task.cancelled
    with pytest.raises(InterruptedError) as stopped:
        task.run()
    task.complete(stopped.value)
    assert not cleaner.busy
    assert cleaner.metrics().failures == 0
    assert store.clean(roll=False) == 1


class Killed(BaseException):
    """The process ends here."""


class Mortal:
    """A file system that lets `life` changes through and then ends the process."""

    def __init__(self, inner, life):
        self.inner = inner
        self.life = life

    def _spend(self):
        if self.life <= 0:
            raise Killed
        self.life -= 1

    def __getattr__(self, name):
        function = getattr(self.inner, name)
        if name not in {"rename", "remove", "sync_dir", "make_dirs"}:
            return function

        def changing(*arguments, **options):
            self._spend()
            return function(*arguments, **options)

        return changing

    def open(self, path, *, create=False, read_only=False):
        if create and not self.inner.exists(path):
            self._spend()
        return MortalFile(self, self.inner.open(path, create=create, read_only=read_only))


class MortalFile:
    def __init__(self, system, file):
        self._system = system
        self._file = file

    def __getattr__(self, name):
        return getattr(self._file, name)

    def pwrite(self, buffers, offset):
        if self._system.life <= 0:
            # Torn: half of it arrives.
            data = b"".join(buffers)
            self._file.pwrite([data[: len(data) // 2]], offset)
        self._system._spend()
        return self._file.pwrite(buffers, offset)

    def truncate(self, size):
        self._system._spend()
        self._file.truncate(size)


def filled(files):
    store = Store(files, with_config(segment_bytes=600))
    for number in range(20):
        store.append((f"k{number % 3}", f"v{number}" * 10))
    transactional(store, 7, ("t", "aborted" * 20))
    store.marker(7, commit=False)
    store.log.roll()
    store.settle()
    store.log.flush()
    return store


def test_killed_at_every_change_of_a_pass():
    """Whatever the moment, the next start finds the log before the pass, after it, or with its first segments
    cleaned (older records go first, so that no old value and no aborted one comes back), and goes on."""
    reference = filled(MemoryFileSystem())
    before = reference.records()
    reference.clean(roll=False)
    after = reference.records()
    assert len(after) < len(before)
    life = 0
    outcomes = set()
    while True:
        inner = MemoryFileSystem()
        store = filled(inner)
        mortal = Mortal(inner, life)
        store.manager.environment.files = mortal
        store.manager.cleaner.runner = _runner(mortal)
        try:
            store.clean(roll=False, limit=1)
            died = False
        except Killed:
            died = True
        if not died:
            break
        again = Store.__new__(Store)
        inner.unlock("/data/.lock")
        again.__init__(inner, store.config, clock=ManualClock(NOW))
        found = again.records()
        assert set(after) <= set(found) <= set(before), f"killed after {life} changes"
        gone = [record[0] for record in before if record not in found]
        assert [record for record in found if record[0] <= max(gone, default=-1)] == [
            record for record in after if record[0] <= max(gone, default=-1)
        ]
        outcomes.add(len(found))
        assert again.log.log_end_offset == 22
        again.clean(roll=False)
        assert [entry for entry in again.records() if entry[1] != b"t"] == after
        life += 1
    assert life > 20
    assert outcomes >= {len(before), len(after)}


def _runner(files):
    def run(task):
        steps = cleaning.clean(files, task.job)
        while True:
            try:
                next(steps)
            except StopIteration as end:
                return end.value

    return run


def test_every_operation_of_a_pass_may_fail_for_want_of_space():
    for number in range(0, 60, 3):
        inner = MemoryFileSystem()
        store = filled(inner)
        before = store.records()
        mortal = Failing(inner, number)
        store.manager.environment.files = mortal
        store.manager.cleaner.runner = _runner(mortal)
        store.clean(roll=False, limit=1)
        mortal.life = 1 << 30
        assert store.records() == before or len(store.records()) < len(before)
        store.manager.directory_of("t", 0).full = False
        store.log.blocked = 0
        store.clock.advance(60_000)
        store.clean(roll=False)
        assert len([key for _, key, _ in store.records()]) == 3


class Failing(Mortal):
    def _spend(self):
        if self.life <= 0:
            raise OSError(errno.ENOSPC, "no space")
        self.life -= 1


def test_the_offset_map_sees_what_the_reader_sees():
    data = build_batch(
        [Record(0, NOW, b"a", b"1"), Record(0, NOW + 70_000, b"b" * 40, None), Record(0, NOW, None, b"")]
    )
    offsets = OffsetMap(1 << 20, 100, 103)
    offsets.add_batch(data[61:], 3, 100, dense=True)
    offsets.finish()
    assert offsets.keys == {stored_key(b"a"), stored_key(b"b" * 40)}
    assert list(offsets.survivors(100, 102)) == [100, 101]
    assert offsets.may_have_tombstones(100)

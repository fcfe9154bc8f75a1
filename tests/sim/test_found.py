"""What the explorer found in the broker, each as a small test of its own."""

from __future__ import annotations

import errno
import random

import pytest

from pybroker.common.clock import ManualClock
from pybroker.common.errors import StorageError
from pybroker.log import LogConfig
from pybroker.log.cleaner.cleaning import CLEANED, SWAP
from tests.sim.disk import SimDisk
from tests.sim.flips import Running
from tests.unit.log.cleaner_helpers import COMPACT, Store
from tests.unit.log.log_helpers import (
    NOW,
    append,
    make_batch,
    make_environment,
    make_log,
    make_manager,
    reopen,
    run_rounds,
    values_of,
)

SMALL = LogConfig(segment_bytes=300, index_interval_bytes=100)
TOPIC_ID = bytes(range(16))


def started(disk, clock=None, config=SMALL):
    manager = make_manager(disk, clock=clock, defaults=config)
    manager.open(1)
    manager.load(lambda *_: config)
    return manager


def survivors(disk, count):
    return [disk.after_power_loss(random.Random(number)) for number in range(count)]


def test_a_new_data_directory_survives_a_power_loss():
    disk = SimDisk()
    manager = make_manager(disk, directories=("/a/b/data",))
    manager.open(1)
    for left in survivors(disk, 20):
        assert left.exists("/a/b/data/meta.properties")


def test_a_flushed_log_has_a_directory():
    """The metadata log is flushed at the start, not by a round; only rounds made its directory durable."""
    disk = SimDisk()
    log = started(disk).get_or_create("t", 0, TOPIC_ID, SMALL)
    append(log, make_batch(1))
    log.flush()
    for left in survivors(disk, 20):
        assert started(left).get("t", 0).log_end_offset == 1


def test_what_a_killed_process_had_not_synced_the_next_one_syncs():
    """A log that was made just before a kill had records acknowledged after it, and was a stray after a power loss:
    neither its name nor its topic id had ever been synced."""
    disk = SimDisk()
    started(disk).get_or_create("t", 0, TOPIC_ID, SMALL)
    left = disk.after_kill(random.Random(1))
    manager = started(left)
    log = manager.get("t", 0)
    append(log, make_batch(1))
    log.request_flush()
    run_rounds(manager)
    for later in survivors(left, 40):
        again = started(later).get("t", 0)
        assert again is not None
        assert again.log_end_offset == 1


def test_a_power_loss_after_a_clean_stop_leaves_sound_indexes():
    """A time index that the power loss had emptied made old segments of young ones, for retention to delete."""
    disk = SimDisk()
    manager = started(disk)
    log = manager.get_or_create("t", 0, TOPIC_ID, SMALL)
    for number in range(3):
        append(log, make_batch(1, timestamp=NOW + number))
    manager.close()
    for left in survivors(disk, 40):
        again = started(left)
        assert again.get("t", 0).active.largest == (NOW + 2, 2)


def test_a_log_that_was_closed_cleanly_and_lost_an_index_is_loaded():
    """The recovery removed snapshots that were then read: the directory went offline, at every start again."""
    disk = SimDisk()
    manager = started(disk)
    log = manager.get_or_create("t", 0, TOPIC_ID, SMALL)
    for _ in range(10):
        append(log, make_batch(1))
    manager.close()
    disk.remove(log.active.path(".index"))
    disk.open(log.active.path(".log")).truncate(log.active.size - 1)
    again = started(disk)
    assert again.offline_directories == []
    assert again.get("t", 0).log_end_offset == 9


def test_a_new_topic_has_nothing_of_an_older_one_with_its_name():
    """The checkpoints name topics, not ids: the older one's log start emptied the new log at the next start."""
    disk = SimDisk()
    clock = ManualClock(NOW)
    manager = started(disk, clock)
    log = manager.get_or_create("t", 0, TOPIC_ID, SMALL)
    for _ in range(10):
        append(log, make_batch(1))
    log.high_watermark = 10
    log.increment_log_start(9)
    run_rounds(manager)
    clock.advance(60_000)
    manager.tick(clock.monotonic_ms())
    run_rounds(manager)
    manager.delete_topic("t")
    ready = []
    manager.on_creatable = lambda: ready.append(True)
    with pytest.raises(StorageError, match="earlier t-0"):
        manager.get_or_create("t", 0, bytes(16), SMALL)
    assert not ready
    run_rounds(manager)
    assert ready
    new = manager.get_or_create("t", 0, bytes([7]) * 16, SMALL)
    append(new, make_batch(1))
    again = started(disk.after_kill(random.Random(1)), clock)
    assert len(values_of(again.get("t", 0))) == 1
    directory = again.directories[0]
    assert ("t", 0) not in {**directory.start_offsets, **directory.recovery_points, **directory.watermarks}


def test_a_removed_mark_of_a_clean_stop_does_not_come_back():
    """A start that was killed right after it had removed the mark; the next one works on the logs."""
    disk = SimDisk()
    manager = started(disk)
    append(manager.get_or_create("t", 0, TOPIC_ID, SMALL), make_batch(1))
    manager.close()
    disk.remove("/data/.kafka_cleanshutdown")
    started(disk.after_kill(random.Random(1)))
    left = disk.after_kill(random.Random(1))
    started(left)
    for later in survivors(left, 20):
        assert not later.exists("/data/.kafka_cleanshutdown")


def test_the_recovery_point_waits_for_the_index_of_a_rolled_segment():
    log = make_log(make_environment(SimDisk()), SMALL)
    for _ in range(2):
        append(log, make_batch(1))
    log.roll()
    append(log, make_batch(1))
    work = log.take_sync_work(indexes=False)
    # The index files are among what it syncs or not; before it is done they are not.
    assert not log.segments[0].index_synced
    assert log.sync(work)
    log.synced(work)
    assert log.recovery_point == (3 if log.segments[0].path(".index") in work.paths else 0)


def test_an_index_that_no_round_counts_as_synced_is_in_the_next_one():
    """Otherwise the recovery point stands still and rounds go on without end."""
    log = make_log(make_environment(SimDisk()), SMALL)
    append(log, make_batch(1))
    log.roll()
    append(log, make_batch(1))
    lost = log.take_sync_work()
    index = log.segments[0].path(".index")
    assert index in lost.paths
    log.sync_postponed(lost._replace(paths=()))
    work = log.take_sync_work()
    assert index in work.paths
    assert log.sync(work)
    log.synced(work)
    assert log.recovery_point == 2
    assert not log.needs_sync


def test_a_recovery_point_at_the_start_of_a_segment_vouches_for_no_index():
    """It was reached before the segment was rolled, and the index files were written by the roll."""
    disk = SimDisk()
    log = make_log(make_environment(disk), SMALL)
    for number in range(2):
        append(log, make_batch(1, timestamp=NOW + number))
    log.flush()
    log.roll()
    path = log.segments[0].path(".timeindex")
    disk.open(path).pwrite([b"\x55" * 12], 0)
    again = reopen(log, environment=make_environment(disk), recovery_point=2)
    assert again.segments[0].largest == (NOW + 1, 1)


def test_offsets_go_on_where_only_removed_segments_are_left():
    """Retention removed everything; of the new segment and the removals only these survived."""
    disk = SimDisk()
    log = make_log(make_environment(disk), SMALL)
    for _ in range(3):
        append(log, make_batch(1))
    log.flush()
    log.high_watermark = 3
    log.remove_segments(1, "test")
    disk.remove(log.active.path(".log"))
    for directory in ("/", "/data", log.directory):
        disk.sync_dir(directory)
    assert reopen(log, environment=make_environment(disk)).log_end_offset == 3
    for left in survivors(disk, 20):
        assert reopen(log, environment=make_environment(left)).log_end_offset == 3


def test_offsets_go_on_at_the_recovery_point_where_no_segment_is_left():
    """As above, and a start in between that was interrupted had removed the removed segments already. The
    epochs of what is gone began beyond the end of the new log."""
    disk = SimDisk()
    log = make_log(make_environment(disk), SMALL)
    for epoch in range(3):
        log.epochs.assign(epoch, log.log_end_offset)
        append(log, make_batch(1))
    log.flush()
    for segment in log.segments:
        disk.remove(segment.path(".log"))
    again = reopen(log, environment=make_environment(disk), recovery_point=3, log_start=1)
    assert (again.log_start_offset, again.log_end_offset) == (3, 3)
    assert all(start <= 3 for _, start in again.epochs.entries)
    again = reopen(log, environment=make_environment(disk), recovery_point=0, log_start=1)
    assert all(start <= again.log_end_offset for _, start in again.epochs.entries)


def test_only_the_segment_that_overlaps_is_removed():
    disk = SimDisk()
    log = make_log(make_environment(disk), SMALL)
    for _ in range(12):
        append(log, make_batch(1))
    bases = [segment.base_offset for segment in log.segments]
    assert len(bases) > 3
    # As a cleaning leaves it that put two segments into one, where the second comes back.
    first, second = log.segments[:2]
    disk.open(first.path(".log")).pwrite([second.pread(second.size, 0)], first.size)
    again = reopen(log, environment=make_environment(disk))
    assert [segment.base_offset for segment in again.segments] == [bases[0], *bases[2:]]
    assert len(values_of(again)) == 12


def compacted(disk):
    store = Store(disk, LogConfig(**{**_fields(COMPACT), "segment_bytes": 300}))
    for number in range(30):
        store.append((f"k{number % 7}", f"v{number}" * 8))
    store.log.roll()
    store.settle()
    store.log.flush()
    run_rounds(store.manager)
    return store


def _fields(config):
    return {name: getattr(config, name) for name, field in config.__dataclass_fields__.items() if field.init}


def last_values(store):
    return {key: value for _, key, value in store.records()}


def test_a_pass_survives_power_losses_that_reorder_its_renames():
    """Segments that had their names already were taken for old ones, and removed, if a later one had not. The
    start after it is interrupted too."""
    disk = SimDisk()
    store = compacted(disk)
    wanted = last_values(store)
    images = []
    disk.on_change = lambda kind, path: images.extend(
        disk.after_power_loss(random.Random(f"{len(images)} {n}")) for n in range(2)
    )
    store.clean(roll=False)
    disk.on_change = None
    assert len(store.log.segments) > 3
    assert last_values(store) == wanted
    assert len(images) > 100
    for number, image in enumerate(images):
        rng = random.Random(number)
        with image.dies_after(rng.randrange(30)):
            Store(image, store.config)
        if image.dead:
            assert last_values(Store(image.after_power_loss(rng), store.config)) == wanted


def test_a_finished_pass_leaves_no_swap_files():
    """A start that finds one beside what the next pass has begun to write takes it for unfinished."""
    disk = SimDisk()
    store = compacted(disk)
    cleaner = store.manager.cleaner
    cleaner.wake()
    cleaner.tick(store.clock.monotonic_ms())
    store.work()
    assert cleaner.metrics().passes == 1
    for left in survivors(disk, 30):
        assert not [name for name in left.list_dir("/data/t-0") if name.endswith(SWAP)]


def test_a_pass_that_fails_among_its_renames_leaves_nothing_for_the_next_start():
    disk = SimDisk()
    store = compacted(disk)
    wanted = store.records()
    renames = 0

    def fault(kind, path, number):
        nonlocal renames
        renames += kind == "rename" and path.endswith(CLEANED)
        return errno.ENOSPC if kind == "rename" and renames > 7 else 0

    disk.fault = fault
    store.clean(roll=False, limit=1)
    disk.fault = None
    assert store.manager.cleaner.metrics().failures == 1
    assert store.records() == wanted
    assert not [name for name in disk.list_dir("/data/t-0") if name.endswith((CLEANED, SWAP))]


def refuse(disk, kind, ending, number=errno.ENOSPC):
    """The next operation of this kind on such a path fails; the rest goes well."""

    def fault(operation, path, _):
        if operation != kind or not path.endswith(ending):
            return 0
        disk.fault = None
        return number

    disk.fault = fault


def test_a_roll_that_failed_leaves_no_segment_behind():
    """The segment was made before the snapshot that the disk refused. It stayed, empty, and after the next start it
    hid what had been appended to the segment before it."""
    disk = SimDisk()
    clock = ManualClock(NOW)
    manager = started(disk, clock)
    log = manager.get_or_create("t", 0, TOPIC_ID, SMALL)
    append(log, make_batch(1))
    refuse(disk, "create", ".snapshot")
    with pytest.raises(StorageError):
        log.roll()
    clock.advance(60_000)
    manager.tick(clock.monotonic_ms())
    append(log, make_batch(1))
    log.roll()
    append(log, make_batch(1))
    run_rounds(manager)
    clock.advance(60_000)
    manager.tick(clock.monotonic_ms())
    run_rounds(manager)
    again = started(disk.after_kill(random.Random(1)), clock).get("t", 0)
    assert [offset for offset, _, _ in values_of(again)] == [0, 1, 2]


def test_a_directory_that_could_not_be_put_aside_is_not_the_next_topics():
    """A deleted topic's records came back in a new topic of its name."""
    disk = SimDisk()
    manager = started(disk)
    log = manager.get_or_create("t", 0, TOPIC_ID, SMALL)
    append(log, make_batch(3, size=60))
    refuse(disk, "rename", "/t-0", errno.EACCES)
    manager.delete_topic("t")
    assert disk.exists("/data/t-0")
    run_rounds(manager)
    log = manager.get_or_create("t", 0, bytes([7]) * 16, SMALL)
    append(log, make_batch(1))
    again = started(disk.after_kill(random.Random(1))).get("t", 0)
    assert again.log_end_offset == 1
    assert disk.file_size(log.active.path(".log")) == log.active.size


def test_an_aborted_transaction_that_the_disk_refused_survives_a_clean_stop():
    """The transaction index was written with flush rounds only: readers of committed records got aborted ones."""
    store = Store(SimDisk())
    store.append(("a", "1"), producer_id=7, producer_epoch=0, base_sequence=0, transactional=True)
    refuse(store.files, "create", ".txnindex")
    store.marker(7, commit=False)
    aborted = store.log.aborted_between(0, 2)
    assert [entry.producer_id for entry in aborted] == [7]
    store.restart()
    assert store.log.aborted_between(0, 2) == aborted


def test_a_recovery_point_waits_for_the_transaction_index():
    """A group commit after a roll took the segment for complete; a kill then lost what was aborted in it."""
    disk = SimDisk()
    store = Store(disk)
    store.append(("a", "1"), producer_id=7, producer_epoch=0, base_sequence=0, transactional=True)
    refuse(disk, "create", ".txnindex")
    store.marker(7, commit=False)
    store.log.roll()
    for indexes in (False, False, True):
        work = store.log.take_sync_work(indexes=indexes)
        store.log.sync(work)
        store.log.synced(work)
        assert store.log.recovery_point == (2 if indexes else 0)


def test_what_the_disk_refuses_of_a_compaction_is_done_later():
    """Half of a cleaned segment had its final name, and nothing could be read of it; old segments stayed beside new
    ones."""
    for ending in (".log", ".index", ".timeindex", ".log.swap", ".index.swap", ".timeindex.swap"):
        disk = SimDisk()
        store = Store(disk)
        for number in range(4):
            store.append(("a", f"{number}"), ("b", f"{number}"))
        store.append(("c", "1"))
        wanted = [(6, b"a", b"3"), (7, b"b", b"3"), (8, b"c", b"1")]
        refuse(disk, "rename", f"0{ending}")
        store.clean()
        assert disk.fault is None
        assert store.records() == wanted
        store.manager.tick(store.clock.advance(2_000) or store.clock.monotonic_ms())
        store.manager.cleaner.tick(store.clock.monotonic_ms())
        store.work()
        run_rounds(store.manager)
        assert store.records() == wanted
        assert not store.manager.cleaner.busy
        assert not [name for name in disk.list_dir("/data/t-0") if name.endswith((CLEANED, SWAP))]
        assert not store.manager.full_directories
        store.restart()
        assert store.records() == wanted


def test_a_cleaner_whose_directory_sync_failed_does_not_go_on():
    """The log was left alone, and its directory trusted."""
    disk = SimDisk()
    store = Store(disk)
    for number in range(4):
        store.append(("a", f"{number}"))
    store.log.roll()
    store.settle()
    run_rounds(store.manager)
    refuse(disk, "sync_dir", "/t-0", errno.EIO)
    store.clean(roll=False)
    assert store.manager.offline_directories == ["/data"]


def test_an_error_of_reading_is_an_answer_to_an_append():
    """The first batch is read again for the age of its segment; the error of the disk went past the answer."""
    disk = SimDisk()
    manager = started(disk)
    append(manager.get_or_create("t", 0, TOPIC_ID, SMALL), make_batch(1))
    manager.close()
    manager = started(disk)
    refuse(disk, "read", ".log", errno.EIO)
    with pytest.raises(StorageError):
        append(manager.get("t", 0), make_batch(1))
    assert manager.offline_directories == ["/data"]


def closed(disk, count, config=SMALL):
    manager = started(disk, config=config)
    log = manager.get_or_create("t", 0, TOPIC_ID, config)
    for _ in range(count):
        append(log, make_batch(1))
    return manager, log


def test_a_damaged_index_hides_no_records():
    """An entry with a bit flipped sent readers past records, or to where no batch begins."""
    disk = SimDisk()
    manager, log = closed(disk, 10, LogConfig(segment_bytes=700, index_interval_bytes=100))
    manager.close()
    path = log.segments[0].path(".index")
    for position in range(disk.file_size(path)):
        for bit in range(8):
            left = disk.after_kill(random.Random(1))
            left.flip_bit(path, position, bit)
            again = started(left, config=log.config).get("t", 0)
            for offset in range(10):
                assert values_of(again, offset)[0][0] == offset
            assert len(values_of(again)) == 10


def test_a_damaged_epoch_file_cuts_nothing():
    """Recovery took the batches for older than what comes before them, and the log was empty."""
    disk = SimDisk()
    manager, log = closed(disk, 3)
    run_rounds(manager)
    log.flush()
    path = "/data/t-0/leader-epoch-checkpoint"
    left = disk.after_kill(random.Random(1))
    assert left.contents()[path][0] == b"0\n1\n0 0\n"
    left.flip_bit(path, 4, 3)
    again = started(left).get("t", 0)
    assert again.log_end_offset == 3
    assert again.epochs.entries == [(0, 0)]


def test_an_entry_of_aborted_transactions_that_makes_no_sense_is_found():
    """Only the version, and the order of the last offsets, were looked at."""
    store = Store(SimDisk())
    store.append(("a", "1"), ("a", "2"), producer_id=7, producer_epoch=0, base_sequence=0, transactional=True)
    store.marker(7, commit=False)
    aborted = store.log.aborted_between(0, 3)
    for position in (1, 13, 33):
        store.restart()
        store.manager.close()
        store.files.flip_bit(store.log.active.path(".txnindex"), position, 5)
        store.start()
        assert store.log.aborted_between(0, 3) == aborted


def test_a_checkpoint_that_is_being_written_names_its_logs():
    """A topic was deleted and made again while a round wrote the checkpoints: the new log had the recovery point of
    the old one, and what a power loss left of it below that was not looked at."""
    disk = SimDisk()
    clock = ManualClock(NOW)
    manager = started(disk, clock)
    for _ in range(4):
        append(manager.get_or_create("t", 0, TOPIC_ID, SMALL), make_batch(1))
    run_rounds(manager)
    manager.get("t", 0).flush()
    clock.advance(60_000)
    manager.tick(clock.monotonic_ms())
    work = manager.take_flush_round()
    manager.delete_topic("t")
    with pytest.raises(StorageError, match="earlier t-0"):
        manager.get_or_create("t", 0, bytes([7]) * 16, SMALL)
    work.run()
    with pytest.raises(StorageError, match="earlier t-0"):
        manager.get_or_create("t", 0, bytes([7]) * 16, SMALL)
    work.complete(None)
    run_rounds(manager)
    append(manager.get_or_create("t", 0, bytes([7]) * 16, SMALL), make_batch(1))
    again = started(disk.after_kill(random.Random(1)), clock)
    assert again.directories[0].recovery_points.get(("t", 0), 0) == 0
    assert again.get("t", 0).log_end_offset == 1


def test_a_start_that_removes_segments_again_may_lose_power_too():
    """What tells of a removal must not be gone before what it tells of: the next start cut off acknowledged records."""
    disk = SimDisk()
    manager = started(disk)
    log = manager.get_or_create("t", 0, TOPIC_ID, SMALL)
    for _ in range(12):
        append(log, make_batch(1))
    log.flush()
    run_rounds(manager)
    log.high_watermark = log.log_end_offset
    first = log.segments[0]
    log.remove_segments(2, "test")
    # Of the names only those of the second one reached the disk.
    left = disk.after_kill(random.Random(1))
    for extension in (".log", ".index", ".timeindex"):
        path = first.path(extension)
        if left.exists(f"{path}.deleted"):
            left.rename(f"{path}.deleted", path)
    left.sync_dir(log.directory)
    clock = ManualClock(NOW)
    points = []

    def point(kind, path):
        points.extend(survivors(left, 4))

    left.on_change = point
    started(left, clock)
    points += survivors(left, 20)
    for there in points:
        found = started(there, clock).get("t", 0)
        assert (found.log_start_offset, found.log_end_offset) == (log.log_start_offset, 12)


def test_what_a_start_takes_back_of_a_compaction_does_not_come_back():
    """A power loss brought `.swap` files back whose `.cleaned` companions were gone: they became the indexes of a
    segment that is not theirs."""
    disk = SimDisk()
    store = compacted(disk)
    left = None

    def both_are_there(kind, path):
        nonlocal left
        if left is None and kind == "rename" and path.endswith(CLEANED):
            if any(name.endswith(SWAP) for name in disk.list_dir("/data/t-0")):
                left = disk.after_kill(random.Random(1))

    disk.on_change = both_are_there
    store.clean(roll=False)
    changes = []
    left.on_change = lambda kind, path: changes.append((kind, path[path.rfind(".") :]))
    Store(left, store.config)
    swaps = [at for at, change in enumerate(changes) if change == ("remove", SWAP)]
    cleaned = changes.index(("remove", CLEANED))
    assert swaps
    assert max(swaps) < cleaned
    assert "sync_dir" in [kind for kind, _ in changes[max(swaps) : cleaned]]


@pytest.mark.parametrize(("byte", "bit"), [(7, 3), (1, 0)])
def test_a_wrong_offset_in_a_batch_ends_a_pass(byte, bit):
    """It is not within the checksum. A pass filled its map again and again, for ever, or ended with an overflow, which
    is no answer."""
    running = Running()
    log = running._tell().manager.get("c", 0)
    for segment in log.segments[:-1]:
        positions = [position for position, _ in segment.scan(0)]
        running.flip(segment.path(".log"), positions[min(1, len(positions) - 1)] + byte, bit)

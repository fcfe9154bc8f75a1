"""Log directories: locks, ids, checkpoints, creating and deleting, flush rounds, restarts."""

from __future__ import annotations

from dataclasses import replace

import pytest

from pybroker.common.clock import ManualClock
from pybroker.common.errors import ConfigError, ErrorCode
from pybroker.common.memory_files import MemoryFileSystem
from pybroker.common.steps import run_steps
from pybroker.log import LogConfig, checkpoints
from pybroker.log.partition_log import encode_uuid
from tests.unit.log.log_helpers import NOW, append, make_batch, make_manager, read_all, run_rounds, values_of

CONFIG = LogConfig(segment_bytes=1000, index_interval_bytes=100)


def topic_id(number: int) -> bytes:
    return (number + 1).to_bytes(16, "big")


def known(topic, partition, found):
    return CONFIG


@pytest.fixture
def files():
    return MemoryFileSystem()


def test_first_start_makes_kafkas_files(files):
    manager = make_manager(files)
    cluster_id = manager.open(3)
    assert len(cluster_id) == 22
    names = files.list_dir("/data")
    assert names == sorted([".lock", "meta.properties", *checkpoints.ALL])
    assert all(files.file_size(f"/data/{name}") == 0 for name in checkpoints.ALL)
    lines = read_all(files, "/data/meta.properties").decode().splitlines()
    assert sorted(line.split("=")[0] for line in lines[2:]) == [
        "cluster.id",
        "directory.id",
        "node.id",
        "version",
    ]


def test_ids_are_kept_and_checked(files):
    first = make_manager(files)
    cluster_id = first.open(3)
    directory_id = first.directories[0].directory_id
    first.close()
    second = make_manager(files)
    assert second.open(3) == cluster_id
    assert second.directories[0].directory_id == directory_id
    second.close()
    with pytest.raises(ConfigError, match=r"node\.id is 3"):
        make_manager(files).open(4)


def test_other_cluster_is_refused(files):
    first = make_manager(files)
    first.open(3)
    first.close()
    with pytest.raises(ConfigError, match="cluster"):
        make_manager(files).open(3, "MkU3OEVBNTcwNTJENDM2Qg")


def test_second_use_of_a_directory_is_refused(files):
    make_manager(files).open(1)
    with pytest.raises(ConfigError, match="in use"):
        make_manager(files).open(1)


def test_kafkas_own_meta_properties(files):
    files.make_dirs("/data")
    files.open("/data/meta.properties", create=True).pwrite(
        [
            b"#\n#Fri Nov 21\nnode.id=1\nversion=1\ndirectory.id=AAECAwQFBgcICQoLDA0ODw\n"
            b"cluster.id=MkU3OEVBNTcwNTJENDM2Qg\n"
        ],
        0,
    )
    before = read_all(files, "/data/meta.properties")
    assert make_manager(files).open(1) == "MkU3OEVBNTcwNTJENDM2Qg"
    assert read_all(files, "/data/meta.properties") == before


def test_clean_restart(files):
    manager = make_manager(files)
    manager.open(1)
    logs = [manager.get_or_create("t", number, topic_id(0), CONFIG) for number in range(3)]
    for log in logs:
        for _ in range(10):
            append(log, make_batch(2))
        log.high_watermark = log.log_end_offset
    logs[1].increment_log_start(3)
    expected = [values_of(log) for log in logs]
    manager.close(broker_epoch=7)
    assert read_all(files, "/data/.kafka_cleanshutdown") == b'{"version":0,"brokerEpoch":7}'
    assert checkpoints.decode(read_all(files, "/data/log-start-offset-checkpoint")) == {("t", 1): 3}
    assert checkpoints.decode(read_all(files, "/data/replication-offset-checkpoint")) == {
        ("t", number): 20 for number in range(3)
    }
    again = make_manager(files)
    again.open(1)
    assert again.broker_epoch == 7
    assert not files.exists("/data/.kafka_cleanshutdown")
    loaded = again.load(known)
    assert [values_of(log) for log in loaded] == expected
    assert [log.high_watermark for log in loaded] == [20] * 3
    assert [log.recovery_point for log in loaded] == [20] * 3
    assert [log.log_start_offset for log in loaded] == [0, 3, 0]


def test_logs_are_loaded_one_at_a_time_and_ticks_between_them_forget_none(files):
    """A node of a cluster has other things to do meanwhile, and may be killed then."""
    clock = ManualClock(NOW)
    manager = make_manager(files, clock=clock)
    manager.open(1)
    for number in range(3):
        log = manager.get_or_create("t", number, topic_id(number), CONFIG)
        append(log, make_batch(20))
        log.high_watermark = 20
        log.increment_log_start(3)
    manager.close()
    before = {name: read_all(files, f"/data/{name}") for name in checkpoints.ALL}
    again = make_manager(files, clock=clock)
    again.open(1)
    steps = again.load_steps(known, lambda *_: None)
    while len(again.logs) < 2:
        next(steps)
    # As when one of them is cut, and everything is due.
    directory = again.directories[0]
    directory.wanted_checkpoints.update(dict.fromkeys(checkpoints.ALL))
    clock.advance(600_000)
    looked = []
    again.cleaner.on_idle = lambda: looked.append(len(again.logs))
    again.tick(clock.monotonic_ms())
    again.cleaner.tick(clock.monotonic_ms())
    run_rounds(again)
    assert {name: read_all(files, f"/data/{name}") for name in checkpoints.ALL} == before
    assert len(again.logs) == 2
    assert len(run_steps(steps)) == 3
    again.logs[0].increment_log_start(7)
    again.tick(clock.monotonic_ms())
    again.cleaner.tick(clock.monotonic_ms())
    assert looked == [3]
    run_rounds(again)
    found = checkpoints.decode(read_all(files, "/data/log-start-offset-checkpoint"))
    assert found == {("t", 0): 7, ("t", 1): 3, ("t", 2): 3}


def test_a_large_segment_is_recovered_in_steps(files):
    manager = make_manager(files)
    manager.open(1)
    log = manager.get_or_create("t", 0, topic_id(0), CONFIG)
    for _ in range(3):
        append(log, make_batch(1, size=3 << 20))
    manager.close(clean=False)
    again = make_manager(files)
    again.open(1)
    steps = again.load_steps(known, lambda *_: None)
    assert len(list(zip(range(100), steps, strict=False))) > 3
    assert again.logs[0].log_end_offset == 3


def test_retention_goes_on_in_the_next_tick(files):
    """As long as a round takes, the loop would stand still."""

    class SlowClock(ManualClock):
        def monotonic_ms(self):
            self.advance(20)
            return super().monotonic_ms()

    clock = ManualClock(NOW)
    manager = make_manager(files, clock=clock)
    manager.open(1)
    for number in range(8):
        log = manager.get_or_create("t", number, topic_id(number), replace(CONFIG, retention_ms=1000))
        append(log, make_batch(1, timestamp=NOW))
        log.high_watermark = 1
    clock.advance(60_000)
    manager.environment.clock = slow = SlowClock(NOW)
    slow.advance(60_000)
    left = []
    for _ in range(8):
        manager.tick(clock.monotonic_ms())
        left.append(sum(log.log_start_offset == 0 for log in manager.logs))
    assert 0 < left[0] < 8
    assert left[-1] == 0


def test_untouched_logs_close_and_start_without_a_write(files):
    manager = make_manager(files)
    manager.open(1)
    append(manager.get_or_create("t", 0, topic_id(0), CONFIG), make_batch(1))
    manager.close()
    again = make_manager(files)
    again.open(1)
    log = again.load(known)[0]
    before = {name: read_all(files, f"/data/t-0/{name}") for name in files.list_dir("/data/t-0")}
    assert not log.needs_sync
    again.close()
    assert {name: read_all(files, f"/data/t-0/{name}") for name in files.list_dir("/data/t-0")} == before


@pytest.mark.parametrize("clean", [True, False])
def test_a_node_that_waits_for_the_metadata_leaves_the_marks_alone(files, clean):
    """Its logs are not loaded yet: empty checkpoints would bring deleted records back, and a mark of a clean
    shutdown would let what a kill left behind pass unchecked."""
    clock = ManualClock(NOW)
    manager = make_manager(files, clock=clock)
    manager.open(1)
    log = manager.get_or_create("t", 0, topic_id(0), CONFIG)
    for _ in range(10):
        append(log, make_batch(2))
    log.high_watermark = 20
    log.increment_log_start(3)
    clock.advance(60_000)
    manager.tick(clock.monotonic_ms())
    run_rounds(manager)
    manager.close(clean=clean, broker_epoch=7)
    marks = {name: read_all(files, f"/data/{name}") for name in checkpoints.ALL}
    for kill in (True, False):
        waiting = make_manager(files, clock=clock)
        waiting.open(1)
        for _ in range(3):
            clock.advance(60_000)
            waiting.tick(clock.monotonic_ms())
            run_rounds(waiting)
        assert {name: read_all(files, f"/data/{name}") for name in checkpoints.ALL} == marks
        waiting.close(clean=not kill, broker_epoch=waiting.broker_epoch)
        assert {name: read_all(files, f"/data/{name}") for name in checkpoints.ALL} == marks
    assert not files.exists("/data/.kafka_cleanshutdown")
    again = make_manager(files, clock=clock)
    again.open(1)
    assert again.load(known)[0].log_start_offset == 3


def test_a_wait_between_two_clean_stops_is_one(files):
    manager = make_manager(files)
    manager.open(1)
    append(manager.get_or_create("t", 0, topic_id(0), CONFIG), make_batch(2))
    manager.close(broker_epoch=7)
    waiting = make_manager(files)
    waiting.open(1)
    waiting.close(broker_epoch=waiting.broker_epoch)
    assert read_all(files, "/data/.kafka_cleanshutdown") == b'{"version":0,"brokerEpoch":7}'


def test_unclean_restart(files):
    manager = make_manager(files)
    manager.open(1)
    log = manager.get_or_create("t", 0, topic_id(0), CONFIG)
    for _ in range(10):
        append(log, make_batch(2))
    run_rounds(manager)
    manager.close(clean=False)
    again = make_manager(files)
    again.open(1)
    assert len(values_of(again.load(known)[0])) == 20


def test_a_start_after_a_kill_syncs_nothing_until_something_is_written(files):
    """Ten thousand logs would keep the disk busy for minutes."""
    manager = make_manager(files)
    manager.open(1)
    logs = [manager.get_or_create("t", number, topic_id(0), CONFIG) for number in range(3)]
    for log in logs:
        log.assign_epoch(0)
    append(logs[1], make_batch(2))
    run_rounds(manager)
    append(logs[1], make_batch(2))
    manager.close(clean=False)
    again = make_manager(files)
    again.open(1)
    logs = again.load(known)
    assert [log.log_end_offset for log in logs] == [0, 4, 0]
    for log in logs:
        log.assign_epoch(1)
    assert again.take_flush_round() is None
    append(logs[0], make_batch(1), leader_epoch=1)
    logs[0].request_flush()
    logs[1].request_flush()
    synced = []
    files.sync_dir = synced.append
    run_rounds(again)
    # The names too: whoever was killed may not have synced them.
    assert {"/data", "/data/t-0", "/data/t-1"} <= set(synced)
    assert read_all(files, "/data/t-0/leader-epoch-checkpoint") == b"0\n1\n1 0\n"
    assert read_all(files, "/data/t-1/leader-epoch-checkpoint") == b"0\n1\n0 0\n"
    assert [log.recovery_point for log in logs] == [1, 4, 0]


def test_corrupt_checkpoints_do_not_stop_the_start(files):
    manager = make_manager(files)
    manager.open(1)
    append(manager.get_or_create("t", 0, topic_id(0), CONFIG), make_batch(2))
    manager.close()
    for name in checkpoints.ALL:
        files.open(f"/data/{name}").pwrite([b"rubbish"], 0)
    reports = []
    again = make_manager(files, reports=reports)
    again.open(1)
    log = again.load(known)[0]
    assert (log.log_start_offset, log.log_end_offset, log.high_watermark) == (0, 2, 0)
    assert len([line for line in reports if "dropped" in line]) == 4


def test_strays_are_put_aside(files):
    manager = make_manager(files)
    manager.open(1)
    manager.get_or_create("gone", 0, topic_id(0), CONFIG)
    manager.get_or_create("kept", 0, topic_id(1), CONFIG)
    manager.get_or_create("blank", 0, topic_id(2), CONFIG)
    files.remove("/data/blank-0/partition.metadata")
    manager.close()
    again = make_manager(files)
    again.open(1)
    seen = []

    def lookup(topic, partition, found):
        seen.append((topic, partition, found))
        return None if topic == "gone" else CONFIG

    assert [log.topic for log in again.load(lookup)] == ["kept"]
    assert ("kept", 0, topic_id(1)) in seen
    strays = [name for name in files.list_dir("/data") if name.endswith("-stray")]
    assert sorted(name.split(".")[0] for name in strays) == ["blank-0", "gone-0"]
    assert again.get("gone", 0) is None
    again.close()
    third = make_manager(files)
    third.open(1)
    assert [log.topic for log in third.load(known)] == ["kept"]


def test_deletion_renames_then_removes(files):
    clock = ManualClock(NOW)
    manager = make_manager(files, clock=clock)
    manager.open(1)
    for number in range(2):
        append(manager.get_or_create("t", number, topic_id(0), CONFIG), make_batch(1))
    manager.delete_topic("t")
    assert manager.get("t", 0) is None
    names = [name for name in files.list_dir("/data") if name.endswith("-delete")]
    assert len(names) == 2
    assert all(len(name) == len("t-0.") + 32 + len("-delete") for name in names)
    # The same name can be used again at once.
    log = manager.get_or_create("t", 0, topic_id(5), CONFIG)
    assert append(log, make_batch(1)) == 0
    clock.advance(59_999)
    manager.tick(clock.monotonic_ms())
    run_rounds(manager)
    assert len([name for name in files.list_dir("/data") if name.endswith("-delete")]) == 2
    clock.advance(1)
    manager.tick(clock.monotonic_ms())
    run_rounds(manager)
    assert not [name for name in files.list_dir("/data") if name.endswith("-delete")]
    assert values_of(log)


def test_deletion_of_the_longest_topic_name(files):
    manager = make_manager(files)
    manager.open(1)
    manager.get_or_create("x" * 249, 0, topic_id(0), CONFIG)
    manager.delete_topic("x" * 249)
    name = next(name for name in files.list_dir("/data") if name.endswith("-delete"))
    assert len(name) == 255


def test_unfinished_deletions_go_after_the_restart(files):
    clock = ManualClock(NOW)
    manager = make_manager(files, clock=clock)
    manager.open(1)
    manager.get_or_create("t", 0, topic_id(0), CONFIG)
    manager.delete_topic("t")
    manager.close(clean=False)
    again = make_manager(files, clock=clock)
    again.open(1)
    assert again.load(known) == []
    clock.advance(60_000)
    again.tick(clock.monotonic_ms())
    run_rounds(again)
    assert not [name for name in files.list_dir("/data") if name.endswith("-delete")]


def test_delete_while_a_round_is_under_way(files):
    manager = make_manager(files)
    manager.open(1)
    log = manager.get_or_create("t", 0, topic_id(0), CONFIG)
    append(log, make_batch(1))
    log.request_flush()
    work = manager.take_flush_round()
    manager.delete_topic("t")
    work.run()
    work.complete(None)
    assert not manager.offline_directories
    assert log.active.file is None


def test_a_topic_made_anew_while_a_round_of_the_old_one_is_under_way(files, monkeypatch):
    """The round writes its checkpoint while the directory is renamed and one of the same name is made."""
    manager = make_manager(files)
    manager.open(1)
    old = manager.get_or_create("t", 0, topic_id(0), CONFIG)
    old.assign_epoch(3)
    append(old, make_batch(1), leader_epoch=3)
    old.request_flush()
    round_of_old = manager.take_flush_round()
    rename = type(files).rename
    monkeypatch.setattr(
        type(files), "rename", lambda self, source, target: replace_topic() or rename(self, source, target)
    )

    def replace_topic():
        monkeypatch.undo()
        manager.delete_topic("t")
        manager.get_or_create("t", 0, topic_id(1), CONFIG)

    error = None
    try:
        round_of_old.run()
    except OSError as caught:
        error = caught
    round_of_old.complete(error)
    assert not manager.offline_directories
    # And a round that comes to it after that leaves the new directory alone.
    run_rounds(manager)
    checkpoint = read_all(files, "/data/t-0/leader-epoch-checkpoint")
    again = manager.get_or_create("t", 0, topic_id(1), CONFIG)
    again.assign_epoch(4)
    append(again, make_batch(1), leader_epoch=4)
    again.request_flush()
    late = manager.take_flush_round()
    manager.delete_topic("t")
    manager.get_or_create("t", 0, topic_id(2), CONFIG)
    run_rounds(manager)
    late.run()
    late.complete(None)
    assert read_all(files, "/data/t-0/leader-epoch-checkpoint") == checkpoint


def test_urgent_work_does_not_wait_for_the_background(files):
    manager = make_manager(files)
    manager.open(1)
    logs = [manager.get_or_create("t", number, topic_id(0), CONFIG) for number in range(30)]
    background = manager.take_flush_round()
    assert manager.take_flush_round() is None
    append(logs[25], make_batch(1))
    flushed = []
    logs[25].on_flush = flushed.append
    logs[25].request_flush()
    urgent = manager.take_flush_round()
    assert urgent.queue != background.queue
    assert manager.take_flush_round() is None
    urgent.run()
    assert flushed == []
    urgent.complete(None)
    assert flushed == [1]
    assert logs[0].syncing
    background.run()
    background.complete(None)
    assert not logs[0].syncing
    assert run_rounds(manager) >= 3
    assert not any(log.needs_sync for log in logs)


def test_a_log_is_in_one_round_at_a_time(files):
    manager = make_manager(files)
    manager.open(1)
    log = manager.get_or_create("t", 0, topic_id(0), CONFIG)
    calls = []
    background = manager.take_flush_round()
    append(log, make_batch(1))
    log.request_flush()
    manager.on_work = lambda: calls.append(1)
    assert manager.take_flush_round() is None
    background.run()
    background.complete(None)
    assert calls == [1]
    assert log.recovery_point == 0
    run_rounds(manager)
    assert log.recovery_point == 1


def test_hook_is_called_once_until_the_round_is_taken(files):
    manager = make_manager(files)
    manager.open(1)
    calls = []
    manager.on_work = lambda: calls.append(1)
    log = manager.get_or_create("t", 0, topic_id(0), CONFIG)
    for _ in range(5):
        append(log, make_batch(1))
        log.request_flush()
    assert calls == [1]
    work = manager.take_flush_round()
    append(log, make_batch(1))
    log.request_flush()
    assert calls == [1]
    work.run()
    work.complete(None)
    assert calls == [1, 1]


def test_background_work_survives_without_the_hook(files):
    clock = ManualClock(NOW)
    manager = make_manager(files, clock=clock)
    manager.open(1)
    manager.get_or_create("t", 0, topic_id(0), CONFIG)
    manager.tick(clock.monotonic_ms())
    assert run_rounds(manager) == 1


def test_checkpoints_are_written_when_due_and_changed(files):
    clock = ManualClock(NOW)
    manager = make_manager(files, clock=clock)
    manager.open(1)
    log = manager.get_or_create("t", 0, topic_id(0), CONFIG)
    append(log, make_batch(4))
    log.high_watermark = 4
    log.request_flush()
    run_rounds(manager)
    clock.advance(60_000)
    manager.tick(clock.monotonic_ms())
    run_rounds(manager)
    assert read_all(files, "/data/recovery-point-offset-checkpoint") == b"0\n1\nt 0 4\n"
    assert read_all(files, "/data/replication-offset-checkpoint") == b"0\n1\nt 0 4\n"
    assert read_all(files, "/data/log-start-offset-checkpoint") == b"0\n0\n"
    clock.advance(60_000)
    manager.tick(clock.monotonic_ms())
    assert manager.take_flush_round() is None
    log.increment_log_start(2)
    run_rounds(manager)
    assert read_all(files, "/data/log-start-offset-checkpoint") == b"0\n1\nt 0 2\n"


def test_flush_ms(files):
    clock = ManualClock(NOW)
    manager = make_manager(files, clock=clock)
    manager.open(1)
    log = manager.get_or_create("t", 0, topic_id(0), LogConfig(flush_ms=500))
    run_rounds(manager)
    append(log, make_batch(1))
    clock.advance(499)
    manager.tick(clock.monotonic_ms())
    assert run_rounds(manager) == 0
    clock.advance(1)
    manager.tick(clock.monotonic_ms())
    assert run_rounds(manager) == 1
    assert log.recovery_point == 1


def test_retention_by_tick(files):
    clock = ManualClock(NOW)
    manager = make_manager(files, clock=clock)
    manager.open(1)
    log = manager.get_or_create("t", 0, topic_id(0), LogConfig(retention_ms=1000))
    append(log, make_batch(1, timestamp=NOW))
    log.high_watermark = 1
    clock.advance(30_000)
    manager.tick(clock.monotonic_ms())
    assert log.log_start_offset == 1
    clock.advance(60_000)
    manager.tick(clock.monotonic_ms())
    run_rounds(manager)
    assert not [name for name in files.list_dir("/data/t-0") if name.endswith(".deleted")]


def test_report(files):
    manager = make_manager(files, directories=("/a", "/b"))
    manager.open(1)
    for number in range(4):
        append(manager.get_or_create("t", number, topic_id(0), CONFIG), make_batch(1))
    manager.get_or_create("__cluster_metadata", 0, topic_id(9), CONFIG)
    reports = manager.log_dirs_report()
    assert [report.path for report in reports] == ["/a", "/b"]
    assert all(report.error == ErrorCode.NONE for report in reports)
    assert sorted((size.topic, size.partition) for report in reports for size in report.logs) == [
        ("t", number) for number in range(4)
    ]
    assert {size.size_bytes for report in reports for size in report.logs} == {len(make_batch(1))}
    assert all(len(report.logs) == 2 for report in reports)


def test_metadata_log_is_opened_before_the_others(files):
    manager = make_manager(files)
    manager.open(1)
    log = manager.get_or_create("__cluster_metadata", 0, topic_id(0), CONFIG)
    append(log, make_batch(3))
    manager.close(clean=False)
    again = make_manager(files)
    again.open(1)
    log = again.get_or_create("__cluster_metadata", 0, topic_id(0), CONFIG)
    assert log.log_end_offset == 3
    assert again.load(known) == []


def test_random_uuids_are_version_4_and_usable_as_text(files):
    manager = make_manager(files)
    for _ in range(200):
        value = manager.random_uuid()
        assert value[6] >> 4 == 4
        assert value[8] >> 6 == 2
        assert not encode_uuid(value).startswith("-")


def test_idle_write_descriptors_are_given_back(files):
    clock = ManualClock(NOW)
    manager = make_manager(files, clock=clock, max_open_write_files=3)
    manager.open(1)
    logs = [manager.get_or_create("t", number, topic_id(0), CONFIG) for number in range(10)]
    for log in logs:
        append(log, make_batch(1))
    for _ in range(3):
        clock.advance(1000)
        manager.tick(clock.monotonic_ms())
        run_rounds(manager)
    assert sum(log.active.file is not None for log in logs) <= 3
    for log in logs:
        append(log, make_batch(1))
        assert len(values_of(log)) == 2


def test_config_update_reaches_its_partition(files):
    manager = make_manager(files)
    manager.open(1)
    logs = [manager.get_or_create("t", number, topic_id(0), CONFIG) for number in range(2)]
    other = manager.get_or_create("u", 0, topic_id(1), CONFIG)
    new = LogConfig(retention_ms=5)
    for log in logs:
        manager.update_config(log, new)
    assert all(log.config is new for log in logs)
    assert other.config is CONFIG


def test_a_segment_rolled_right_after_a_restart_is_settled(files):
    """Its indexes are not in memory, but on disk: there must not be rounds for them without end."""
    manager = make_manager(files)
    manager.open(1)
    append(manager.get_or_create("t", 0, topic_id(0), CONFIG), make_batch(2))
    manager.close()
    again = make_manager(files)
    again.open(1)
    log = again.load(known)[0]
    log.roll()
    append(log, make_batch(1))
    assert run_rounds(again, limit=10) > 0
    log.request_flush()
    run_rounds(again, limit=10)
    assert log.recovery_point == log.log_end_offset == 3


def test_files_that_cannot_be_removed_are_removed_later(files, monkeypatch):
    """A segment that was cleaned twice within the delay has one name, and nothing that goes wrong loses the rest."""
    clock = ManualClock(NOW)
    manager = make_manager(files, clock=clock)
    manager.open(1)
    manager.get_or_create("t", 0, topic_id(0), CONFIG)
    run_rounds(manager)
    names = [f"/data/t-0/{number:020d}.log.deleted" for number in range(3)]
    for name in names:
        files.open(name, create=True).close()
    directory = manager.directories[0]
    directory.due_removals += [names[0], *names]
    refused = [names[1]]
    remove = files.remove

    def refuse_once(path):
        if path in refused:
            refused.remove(path)
            raise PermissionError(13, "refused", path)
        remove(path)

    monkeypatch.setattr(files, "remove", refuse_once)
    manager.tick(clock.monotonic_ms())
    run_rounds(manager)
    assert [files.exists(name) for name in names] == [False, True, True]
    clock.advance(6_000)
    manager.tick(clock.monotonic_ms())
    run_rounds(manager)
    assert not any(files.exists(name) for name in names)

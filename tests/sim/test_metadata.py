"""The metadata log of a quorum of one: a part of what `python -m tests.sim metadata` does, and what it found."""

from __future__ import annotations

import errno
import random

import pytest

from pybroker.common.clock import ManualClock
from pybroker.common.errors import ConfigError, CorruptionError
from pybroker.raft.snapshot import list_snapshots
from tests.sim.disk import SimDisk
from tests.sim.failures import steps_of
from tests.sim.flips import explore
from tests.sim.metadata import (
    DIRECTORIES,
    METADATA,
    STORIES,
    MetadataExplorer,
    Node,
    Promises,
    decided,
    fail_all,
)
from tests.sim.world import NOW

CHECKPOINTED = "create:0:2 create:1:2 rounds tick:3 rounds create:2:2 rounds"


def node_on(disk, promises=None):
    return Node(disk, ManualClock(NOW), 1, promises or Promises())


def told(text, disk=None):
    """A node that has lived through a story."""
    node = node_on(disk or SimDisk())
    node.start()
    for step in steps_of(text):
        node.step(step)
    node.settle()
    return node


def after_kill(node):
    return node.disk.after_kill(random.Random(1))


@pytest.mark.parametrize("seed", [3, 4])
def test_crashes(seed):
    counts = MetadataExplorer(seed, length=40, power_losses=2, fraction=0.03).run()
    assert counts.points > 2


def test_failures():
    counts, _ = fail_all(0.003)
    assert counts.failures >= 8


def test_flipped_bits():
    counts, _ = explore(0.0003, DIRECTORIES)
    assert counts.total() > 20


def test_snapshots_trim_the_log():
    """And the newest snapshot is not what everything hangs on."""
    node = told(STORIES["snapshots"])
    snapshots = list_snapshots(node.disk, METADATA)
    assert len(snapshots) == 2
    assert node.log.start_offset == snapshots[0].end_offset > 20
    assert min(name for name in node.disk.list_dir(METADATA) if name.endswith(".log")) > f"{10:020d}"
    expected = decided(node.controller.image)
    disk = after_kill(node)
    disk.remove(f"{METADATA}/{snapshots[-1].file_name}")
    again = node_on(disk)
    again.start()
    assert decided(again.controller.image) == expected


def test_a_data_directory_of_a_killed_process_survives_a_power_loss():
    """It was made and never synced in the directory above it: the next process found it there."""
    disk = SimDisk()
    disk.make_dirs("/data")
    node = told("create:0 rounds", disk)
    for seed in range(10):
        left = disk.after_power_loss(random.Random(seed))
        node.promises.fork().survived(node_on(left).look())


def flip_in(disk, path, position):
    disk.flip_bit(path, position, 0)
    return path


def test_damage_of_synced_metadata_is_not_cut_away():
    """Recovery took it for a torn end, and the topics after it for gone."""
    node = told(CHECKPOINTED)
    disk = after_kill(node)
    path = flip_in(disk, f"{METADATA}/{0:020d}.log", 900)
    size = disk.file_size(path)
    for _ in range(2):
        with pytest.raises(CorruptionError, match=f"{path} is damaged"):
            node_on(disk.after_kill(random.Random(2))).start()
    assert disk.file_size(path) == size


def test_damage_after_a_clean_stop_is_not_replayed():
    """Nobody looked at the checksums of a log that was closed cleanly."""
    node = told(CHECKPOINTED)
    node.stop()
    disk = after_kill(node)
    path = flip_in(disk, f"{METADATA}/{0:020d}.log", 900)
    with pytest.raises(CorruptionError, match=f"{path} is damaged"):
        node_on(disk).start()


def test_a_torn_end_of_the_metadata_log_is_cut():
    node = told(CHECKPOINTED)
    disk = after_kill(node)
    path = node.log.file_of(node.log.end_offset - 1)
    disk.open(path).truncate(disk.file_size(path) - 10)
    again = node_on(disk)
    again.start()
    assert sorted(again.controller.image.topics) == ["topic-00", "topic-01"]
    assert any(path in line for line in again.reports)


def test_the_first_voters_are_in_a_snapshot_that_must_be_whole():
    """Without it the log was replayed as that of a quorum of nobody."""
    node = told("create:0 rounds")
    disk = after_kill(node)
    (snapshot,) = list_snapshots(disk, METADATA)
    path = flip_in(disk, f"{METADATA}/{snapshot.file_name}", 100)
    with pytest.raises(CorruptionError, match=path):
        node_on(disk).start()


def test_a_damaged_snapshot_is_told_of_and_not_counted():
    """It was kept in place of a whole one, and the log was trimmed up to it."""
    node = told("create:0 rounds snapshot rounds create:1 rounds")
    disk = after_kill(node)
    first, damaged = list_snapshots(disk, METADATA)
    path = flip_in(disk, f"{METADATA}/{damaged.file_name}", 100)
    again = node_on(disk)
    again.start()
    assert any(path in line for line in again.reports)
    again.step(("snapshot", 0, 0, 0))
    again.settle()
    found = list_snapshots(disk, METADATA)
    assert found[:2] == [first, damaged]
    assert len(found) == 3
    assert again.log.start_offset == 0


@pytest.mark.parametrize("name", ["quorum-state", "bootstrap.checkpoint", "meta.properties"])
def test_a_refused_start_names_the_file(name):
    disk = SimDisk()
    node = node_on(disk)
    node.format()
    path = f"/data/{name}"
    if name == "quorum-state":
        path = f"{METADATA}/{name}"
        node.start()
    file = disk.open(path)
    file.pwrite([b"x" * file.size()], 0)
    with pytest.raises((CorruptionError, ConfigError), match=path):
        node_on(after_kill(node)).start()


def test_old_snapshots_that_cannot_be_removed_are_no_exception():
    """It ended in the shell, and the log was not trimmed any more."""
    for kind in ("list_dir", "remove"):
        node = told("create:0 rounds snapshot rounds create:1 rounds")
        node.disk.fault = lambda what, path, _, kind=kind: (
            errno.EIO if what == kind and (what == "list_dir" or path.endswith(".checkpoint")) else 0
        )
        node.step(("snapshot", 0, 0, 0))
        node.settle()
        assert any("cannot be removed" in line for line in node.reports)
        node.disk.fault = None
        node.step(("create", 2, 0, 0))
        node.settle()
        node.step(("snapshot", 0, 0, 0))
        node.settle()
        assert len(list_snapshots(node.disk, METADATA)) == 2


def test_a_failed_sync_of_the_metadata_log_is_not_taken_for_durable():
    node = told("create:0 rounds")
    node.disk.fault = lambda kind, path, _: errno.EIO if kind == "sync" and path.endswith(".log") else 0
    acknowledged = node.promises.acknowledged
    node.step(("create", 1, 0, 0))
    node.step(("ids", 0, 0, 0))
    node.settle()
    node.disk.fault = None
    node.step(("create", 2, 0, 0))
    node.settle()
    assert node.failed
    assert node.promises.acknowledged == acknowledged
    assert node.refused == 3


def test_the_ballast_keeps_space_for_metadata():
    """A full disk refuses one request; then there is what the ballast had."""
    node = told("create:0 rounds")
    node.disk.space = 50
    node.step(("create", 1, 2, 0))
    assert node.refused == 1
    acknowledged = node.promises.acknowledged
    node.step(("create", 1, 2, 0))
    node.settle()
    node.step(("resign", 0, 0, 0))
    node.step(("create", 2, 2, 0))
    node.settle()
    assert node.promises.acknowledged == acknowledged + 2
    assert not node.failed
    assert node.logs.full_directories == ["/data"]


@pytest.mark.parametrize("error", [errno.EIO, errno.EMFILE])
def test_a_failed_read_of_the_metadata_log_is_no_exception(error):
    """After a resignation the log is read again: the error ended in the shell, with requests unanswered."""
    node = told("create:0 rounds")
    refused = 7
    for number in range(1, refused + 1):
        # Over a roll, so that the log is to be opened for reading.
        node.step(("create", number, 2, 0))
    failing = {errno.EIO: "read", errno.EMFILE: "open"}[error]
    failed = []

    def fault(kind, path, _):
        if kind != failing or not path.endswith(".log"):
            return 0
        failed.append(path)
        return error

    node.disk.fault = fault
    node.patient = True
    node.step(("resign", 0, 0, 0))
    node.disk.fault = None
    assert failed
    assert node.failed is (error == errno.EIO)
    for _ in range(8):
        node.step(("tick", 1, 0, 0))
        node.settle()
    assert node.controller.active is not node.failed
    assert node.refused == refused


@pytest.mark.parametrize("removed", [False, True])
def test_a_damaged_epoch_file_does_not_empty_the_metadata_log(removed):
    """The log seemed to be of another history than its snapshot: what came after that was dropped."""
    node = told("create:0 rounds snapshot rounds create:1 rounds tick:3 rounds")
    node.stop()
    disk = after_kill(node)
    path = f"{METADATA}/leader-epoch-checkpoint"
    if removed:
        disk.remove(path)
    else:
        flip_in(disk, path, 4)
    again = node_on(disk)
    again.start()
    assert sorted(again.controller.image.topics) == ["topic-00", "topic-01"]
    assert any(path in line for line in again.reports)


def test_a_refusal_for_a_checkpoint_names_it():
    node = told(CHECKPOINTED)
    disk = after_kill(node)
    path = "/data/recovery-point-offset-checkpoint"
    disk.open(path).pwrite([b"0\n1\n__cluster_metadata 0 99\n"], 0)
    with pytest.raises(CorruptionError, match=path):
        node_on(disk).start()

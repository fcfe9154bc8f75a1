"""A small budget of the explorer; `make sim` runs it longer (docs/testing.md)."""

from __future__ import annotations

import random

import pytest

from tests.sim.disk import SimDisk
from tests.sim.explorer import Explorer


@pytest.mark.parametrize("fsync", [True, False], ids=["fsync", "os"])
@pytest.mark.parametrize("seed", [2])
def test_crashes_at_a_part_of_all_changes(seed, fsync):
    counts = Explorer(seed, fsync=fsync, power_losses=3, fraction=0.15).run()
    assert counts.power_losses > 60
    assert counts.kills > 20
    assert counts.interrupted
    assert counts.repeated


def test_the_same_seed_does_the_same():
    explorers = [Explorer(7, power_losses=0, fraction=0.0) for _ in range(2)]
    for explorer in explorers:
        explorer.run()
    assert explorers[0].trace == explorers[1].trace
    other = Explorer(8, power_losses=0, fraction=0.0)
    other.run()
    assert other.trace != explorers[0].trace


def written(disk, path, *parts, sync=True):
    file = disk.open(path, create=True)
    position = 0
    for part in parts:
        file.pwrite([part], position)
        position += len(part)
    if sync:
        file.sync()
    return file


def survivors(disk, count=60):
    return [disk.after_power_loss(random.Random(number)) for number in range(count)]


def test_what_was_synced_survives_and_the_rest_may():
    disk = SimDisk()
    disk.make_dirs("/d")
    file = written(disk, "/d/f", b"a" * 300)
    disk.sync_dir("/d")
    disk.sync_dir("/")
    file.pwrite([b"b" * 500], 300)
    contents = set()
    for left in survivors(disk):
        data, size = left.contents()["/d/f"]
        assert data[:300] == b"a" * 300
        assert 300 <= size <= 800
        contents.add((data, size))
    # Nothing, all, torn, sectors, zeros, rubbish.
    assert (b"a" * 300, 300) in contents
    assert (b"a" * 300 + b"b" * 500, 800) in contents
    assert (b"a" * 300, 800) in contents
    assert len(contents) > 20
    assert disk.after_kill(random.Random(1)).contents()["/d/f"] == (b"a" * 300 + b"b" * 500, 800)


def test_names_survive_a_sync_of_their_directory_only():
    disk = SimDisk()
    disk.make_dirs("/d")
    disk.sync_dir("/")
    written(disk, "/d/old", b"1")
    disk.sync_dir("/d")
    written(disk, "/d/new", b"2")
    disk.rename("/d/old", "/d/renamed")
    seen = {tuple(left.list_dir("/d")) for left in survivors(disk)}
    assert seen == {("old",), ("new", "old"), ("renamed",), ("new", "renamed")}
    disk.sync_dir("/d")
    assert {tuple(left.list_dir("/d")) for left in survivors(disk)} == {("new", "renamed")}


def test_a_failed_sync_is_not_made_good_by_the_next_one():
    disk = SimDisk()
    disk.make_dirs("/d")
    file = written(disk, "/d/f", b"a" * 200)
    disk.sync_dir("/d")
    disk.sync_dir("/")
    file.pwrite([b"b" * 1000], 200)
    disk.fault = lambda kind, path, number: 5 if kind == "sync" else 0
    with pytest.raises(OSError):
        file.sync()
    disk.fault = None
    file.sync()
    assert file.pread(2000, 0) == b"a" * 200 + b"b" * 1000
    left = {left.contents()["/d/f"] for left in survivors(disk, 20)}
    assert len(left) == 1
    # (This seed: some of it had reached the disk.)
    assert left != {(b"a" * 200 + b"b" * 1000, 1200)}


def test_a_full_disk_takes_a_part_first():
    disk = SimDisk()
    disk.space = 100
    file = written(disk, "/f", sync=False)
    assert file.pwrite([b"x" * 80], 0) == 80
    assert file.pwrite([b"x" * 80], 80) == 20
    with pytest.raises(OSError):
        file.pwrite([b"x"], 100)
    disk.remove("/f")
    assert disk.space == 100

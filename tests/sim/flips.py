"""One flipped bit in any file of a data directory, and a start on it.

In: a data directory that a story left, after a clean stop or a kill. Out: what each flip led to, or a `Found`. What
must hold: the start is refused, or the directory offline, with the name of the file; or what can be derived is derived
again; or, where records themselves were hit, the log ends before them (in the part that a start recovers), or their
reader is told, or has a checksum to see it by. No other record is lost or changed.

    python -m tests.sim.flips [FRACTION]       1: every bit of every byte
"""

from __future__ import annotations

import random
import sys
from collections import Counter
from collections.abc import Callable, Sequence
from functools import partial
from typing import Any, Final

from pybroker.common.clock import ManualClock
from pybroker.common.errors import ConfigError, CorruptionError, PybrokerError, StorageError
from pybroker.log.partition_log import PartitionLog
from pybroker.records.batch import crc_matches, iter_headers
from tests.sim.disk import SimDisk
from tests.sim.explorer import Found
from tests.sim.failures import STORIES, steps_of
from tests.sim.world import DATA, NOW, Violation, World

_AFTER = "append:0 append:3 append:5 round roll:0 roll:3 round clean:0:7 round append:3 round tick:3 round append:5"
Batches = list[tuple[int, bytes]]
_STORY = (
    f"{STORIES['snapshot']} {STORIES['compact']} append:5 append:5 delete_records:0 tick:3 round tick:3 round"
)


class Directory:
    """A data directory, and what readers get from it."""

    def __init__(self, ending: str) -> None:
        self.ending = ending
        clock = ManualClock(NOW)
        disk = SimDisk(f"flips {ending}", clock=clock)
        self.world = World(disk, clock, 1, fsync=True)
        self.world.start()
        for step in steps_of(_STORY):
            self.world.step(step)
        self.world.settle()
        if ending == "stop":
            self.world.close()
        self.disk = disk.after_kill(random.Random(1))
        sound = self._start(self._copy())
        self.batches = {name: read_all(sound.manager.get(name, 0)) for name in sound.topics}
        self.aborted = {name: aborted_in(sound.manager.get(name, 0)) for name in sound.topics}
        self.starts = {name: sound.manager.get(name, 0).log_start_offset for name in sound.topics}

    def _copy(self) -> SimDisk:
        disk = self.disk.after_kill(random.Random(1))
        disk.clock = self.world.clock
        return disk

    def _start(self, disk: SimDisk) -> World:
        world = self.world.again(disk, 1)
        world.load()
        return world

    def flip(self, path: str, position: int, bit: int) -> str:
        """What becomes of it. Found."""
        where = f"after a {self.ending}, {path} byte {position} bit {bit}"
        disk = self._copy()
        disk.flip_bit(path, position, bit)
        try:
            return self._outcome(path, disk)
        except (Violation, OSError, CorruptionError, StorageError, AssertionError) as found:
            raise Found(found, where) from found

    def _outcome(self, path: str, disk: SimDisk) -> str:
        try:
            world = self._start(disk)
        except (ConfigError, StorageError) as refusal:
            if path not in str(refusal):
                raise Violation(f"the refusal does not name the file: {refusal}") from refusal
            return "start refused"
        if world.manager.offline_directories:
            if path not in " ".join(world.reports):
                raise Violation(f"offline, and nothing names the file: {world.reports}")
            return "directory offline"
        return self._look(world, path)

    def _look(self, world: World, path: str) -> str:
        """What readers get now."""
        outcomes = []
        for name, expected in self.batches.items():
            log = world.manager.get(name, 0)
            hit = path.startswith(f"/data/{name}-0/")
            if log is None:
                if not (hit and path.endswith("partition.metadata") and "stray" in " ".join(world.reports)):
                    raise Violation(f"{name} is gone: {world.reports}")
                outcomes.append("put aside as a stray")
                continue
            if path.endswith("log-start-offset-checkpoint") and log.log_start_offset != self.starts[name]:
                # A number without a checksum, as in Kafka.
                outcomes.append("another log start")
                continue
            outcomes.append(self._compare(name, log, expected, path if hit else ""))
        return max(outcomes, key=lambda outcome: outcome != "nothing lost")

    def _compare(self, name: str, log: PartitionLog, expected: Batches, hit: str) -> str:
        if log.log_start_offset != self.starts[name] and not hit.endswith(".log"):
            raise Violation(f"{name} starts at {log.log_start_offset}, before at {self.starts[name]}")
        if not hit.endswith(".log"):
            for base, _ in expected:
                if base >= log.log_start_offset:
                    found = log.read(base, 1, min_one_batch=True).records
                    if bytes(found) != dict(expected)[base]:
                        raise Violation(f"{name}: at {base} there is something else")
            if read_all(log) != expected:
                raise Violation(f"{name}: other records are read")
            try:
                aborted = aborted_in(log)
            except CorruptionError as error:
                if hit not in str(error):
                    raise
                return "readers are told"
            if aborted != self.aborted[name]:
                if hit.endswith(".txnindex"):
                    return "transaction index wrong (no checksum)"
                raise Violation(f"{name}: aborted {aborted}, were {self.aborted[name]}")
            return "nothing lost"
        return self._compare_hit(name, log, expected, int(hit[-24:-4]))

    def _compare_hit(self, name: str, log: PartitionLog, expected: Batches, segment: int) -> str:
        """A segment was hit: of its records one batch may be damaged, and what a start recovers is cut there."""
        wrong = 0
        outcome = "nothing lost"
        after = False
        for base, batch in expected:
            if base >= log.log_end_offset:
                return "cut"
            if base < log.log_start_offset:
                continue
            try:
                found = bytes(log.read(base, 1, min_one_batch=True).records)
            except (CorruptionError, StorageError):
                found = b""
            if found == batch:
                after = wrong > 0
                continue
            if base < segment:
                raise Violation(f"{name}: batch {base} is another, before the segment that was hit")
            wrong += 1
            if after and wrong > 2:
                raise Violation(f"{name}: more than one batch is damaged")
            if not found:
                outcome = "readers are told"
            elif not crc_matches(found):
                outcome = "seen by the checksum"
            elif outcome == "nothing lost":
                outcome = "offset, epoch or length wrong (no checksum)"
        return outcome


class Running(Directory):
    """The bit flips while the process runs, with what it has in memory: it goes on, and is started again."""

    def __init__(self) -> None:
        super().__init__("kill")
        self.ending = "running"

    def _tell(self) -> World:
        clock = ManualClock(NOW)
        world = World(SimDisk("flips kill", clock=clock), clock, 1, fsync=True)
        world.start()
        for step in steps_of(_STORY):
            world.step(step)
        world.settle()
        return world

    def flip(self, path: str, position: int, bit: int) -> str:
        """What becomes of it. Found."""
        where = f"in a running process, {path} byte {position} bit {bit}"
        world = self._tell()
        if not world.disk.exists(path):
            return "not there yet"
        world.disk.flip_bit(path, position, bit)
        try:
            outcome = self._look(world, path)
            self._go_on(world, path)
            return outcome
        except (Violation, OSError, PybrokerError, AssertionError) as found:
            raise Found(found, f"{where}, {world.reports[-3:]}") from found

    def _go_on(self, world: World, path: str) -> None:
        """Everything else of a broker, and the next start: other logs have nothing of it."""
        refused = world.refused
        for step in steps_of(_AFTER):
            world.step(step)
            world.settle()
        if world.refused != refused or world.manager.offline_directories:
            raise Violation(f"appends are refused, offline: {world.manager.offline_directories}")
        expected = {}
        for name, partition in world.partitions.items():
            if path.startswith(f"{DATA}/{name}-0/"):
                continue
            if partition.high_watermark != partition.log_end_offset:
                raise Violation(f"{name}: committed up to {partition.high_watermark}")
            expected[name] = read_all(partition.log)
        disk = world.disk.after_kill(random.Random(1))
        disk.clock = world.clock
        try:
            again = world.again(disk, 1)
            again.load()
        except (ConfigError, StorageError) as refusal:
            if path not in str(refusal):
                raise Violation(f"the refusal does not name the file: {refusal}") from refusal
            return
        if again.manager.offline_directories:
            if path not in " ".join(again.reports):
                raise Violation(f"offline, and nothing names the file: {again.reports}")
            return
        for name, batches in expected.items():
            if read_all(again.manager.get(name, 0)) != batches:
                raise Violation(f"{name}: other records are read after a start")


def read_all(log: PartitionLog | None) -> Batches:
    assert log is not None
    found: Batches = []
    offset = log.log_start_offset
    while offset < log.log_end_offset:
        records = bytes(log.read(offset, 400, min_one_batch=True).records)
        if not records:
            break
        for at, header in iter_headers(records):
            found.append((header.base_offset, records[at : at + header.size]))
            offset = header.next_offset
    return found


def aborted_in(log: PartitionLog | None) -> list[tuple[int, int, int]]:
    assert log is not None
    # Where the first records were compacted away, a recovery finds a later beginning.
    return [
        (entry.producer_id, -1 if log.config.compacts else entry.first_offset, entry.last_offset)
        for entry in log.aborted_between(log.log_start_offset, log.log_end_offset)
    ]


def kind_of(path: str) -> str:
    name = path.rpartition("/")[2]
    return f"*.{name.split('.', 1)[1]}" if name[:20].isdigit() else name


DIRECTORIES: Final = (partial(Directory, "stop"), partial(Directory, "kill"), Running)


def explore(
    fraction: float, directories: Sequence[Callable[[], Any]] = DIRECTORIES, *, stop_at_first: bool = True
) -> tuple[Counter[tuple[str, str]], int]:
    """(how often (kind of file, outcome) came, how many were found wrong)."""
    counts: Counter[tuple[str, str]] = Counter()
    bad = 0
    for make in directories:
        directory = make()
        flips = directory.disk.flips()
        if fraction < 1:
            flips = random.Random(directory.ending).sample(flips, int(len(flips) * fraction))
        for flip in flips:
            try:
                counts[kind_of(flip[0]), directory.flip(*flip)] += 1
            except Found as found:
                if stop_at_first:
                    raise
                bad += 1
                print(found, flush=True)
    return counts, bad


def main(
    arguments: list[str], fraction: float = 0.05, directories: Sequence[Callable[[], Any]] = DIRECTORIES
) -> int:
    counts, bad = explore(float(arguments[0]) if arguments else fraction, directories, stop_at_first=False)
    for (kind, outcome), count in sorted(counts.items()):
        print(f"{count:7} {kind}: {outcome}")
    print(f"{counts.total()} flips, {bad} found wrong")
    return 1 if bad else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))

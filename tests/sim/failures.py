"""Every operation of a story on the disk fails once: the first, the second, and so on until the story ends; and from
each that opens a file on, all of them until its end.

In: a story (steps of `world.py`, on a new disk or on what another story left), a durability, what the failing
operation says. Out: counts, or a `Found` with what repeats it. What must hold: nothing but a refusal comes out of the
failure; a log directory is offline where a sync or the device failed, and nowhere else; otherwise everything works
again as soon as the disk does; what was acknowledged is there after the next start, whatever ended the process.

    python -m tests.sim.failures            all of them
    python -m tests.sim.failures roll 17    one operation of one story
"""

from __future__ import annotations

import errno
import random
import sys
from collections import Counter
from dataclasses import dataclass, field

from pybroker.common.clock import ManualClock
from pybroker.common.errors import ConfigError, PybrokerError, StorageError
from tests.sim.check import LogCheck, check_index_files
from tests.sim.disk import SimDisk
from tests.sim.explorer import Found
from tests.sim.lives import bounds_of, next_life
from tests.sim.world import DATA, NOW, Step, Violation, World

# What an operation may say. A disk that is full is not told of by reading, and only opening needs a descriptor.
ERRORS = {
    errno.EIO: (
        "write",
        "truncate",
        "sync",
        "create",
        "rename",
        "remove",
        "make_dir",
        "remove_dir",
        "sync_dir",
        "open",
        "read",
        "list_dir",
        "size",
    ),
    errno.ENOSPC: ("write", "create", "rename", "make_dir", "sync", "sync_dir"),
    errno.EMFILE: ("open",),
}
# A step is its name and up to three numbers; those that are left out are chance. Appends to t, c and x have 0, 3, 5.
STORIES = {
    "append": "append:0 produce:0 round transact:0 append:5 round end_transaction:0 produce:0 round append:3 round",
    "roll": "append:0 append:0 roll:0 round append:0 produce:0 append:0 append:0 round roll:0 tick:2 round append:0",
    "checkpoint": "append:0 append:5 round tick:3 round delete_records:0 round tick:2 round new_epoch round tick:3 round",
    "snapshot": "produce:0 transact:0 roll:0 round produce:0 end_transaction:0:0:1 round restart produce:0 roll:0 round",
    "compact": "append:3 append:3 append:3 transact:3:0 roll:3 round append:3 end_transaction:3:0:1 append:3 roll:3 "
    "round clean:0:7 round round append:3 clean:1:7 round tick:3 round round",
    "delete": "append:0 append:0 append:0 append:5 roll:0 append:0 round wait:3 retention round tick:3 round tick:3 "
    "round recreate round tick:1 round tick:1 round recreate append:5 tick:3 round append:5 round",
    "stop": "append:0 produce:0 append:3 transact:0 round append:5 restart append:0 round restart",
}
# What was there before, and how it ended, for the stories of a start.
STARTS = {
    "start after a kill": ("kill", "roll compact"),
    "start after a power loss": ("power loss", "snapshot compact"),
    "start after a clean stop": ("stop", "append compact"),
}
_START_STEPS = "append:0 round append:3 tick:3 round"


def steps_of(text: str) -> list[Step]:
    rng = random.Random(f"story {text}")
    steps: list[Step] = []
    for word in text.split():
        name, *given = word.split(":")
        numbers = [rng.randrange(1 << 16) for _ in range(3)]
        numbers[: len(given)] = [int(number) for number in given]
        steps.append((name, numbers[0], numbers[1], numbers[2]))
    return steps


@dataclass
class Failures:
    """What was done."""

    stories: int = 0
    failures: int = 0
    by_error: Counter[str] = field(default_factory=Counter)
    # How it went on: the process ended itself, the start was refused, or it was served on.
    halted: int = 0
    refused_starts: int = 0
    went_on: int = 0
    later_lives: int = 0

    def add(self, other: Failures) -> None:
        for name in vars(self):
            setattr(self, name, getattr(self, name) + getattr(other, name))

    def __str__(self) -> str:
        errors = ", ".join(f"{name} {count}" for name, count in sorted(self.by_error.items()))
        return (
            f"{self.stories} stories, {self.failures} failures ({errors}): {self.halted} ended the process, "
            f"{self.refused_starts} refused the start, {self.went_on} were survived; {self.later_lives} later lives"
        )


class Story:
    """One story that can be told again and again."""

    def __init__(self, name: str, *, fsync: bool) -> None:
        self.name = name
        self.fsync = fsync
        self.before: World | None = None
        if name in STARTS:
            self.ending, prelude = STARTS[name]
            self.steps = steps_of(_START_STEPS)
            self.prelude = steps_of(" ".join(STORIES[part] for part in prelude.split()))
        else:
            self.steps, self.prelude = steps_of(STORIES[name]), []

    def world(self) -> World:
        """A world that is about to start."""
        clock = ManualClock(NOW)
        disk = SimDisk(f"{self.name}", clock=clock)
        disk.cold = True
        world = World(disk, clock, self.name, fsync=self.fsync)
        if not self.prelude:
            return world
        world.start()
        for step in self.prelude:
            world.step(step)
        if self.ending == "stop":
            world.close()
        bounds = bounds_of(world, power_loss=self.ending == "power loss")
        left = random.Random(f"left {self.name}")
        image = disk.after_power_loss(left) if self.ending == "power loss" else disk.after_kill(left)
        # A first start brings the ledgers into line with what is left; it leaves no trace on the disk.
        look = image.after_kill(random.Random(0))
        look.clock = clock
        next_life(world, look, 1, bounds)
        disk = image
        disk.clock, disk.cold = clock, True
        return world.again(disk, 2)

    def run(self, world: World) -> None:
        world.start()
        for step in self.steps:
            world.step(step)
        world.settle()

    def operations(self) -> list[str]:
        """The kinds of the operations of a story in which nothing fails, in order."""
        world = self.world()
        kinds: list[str] = []

        def count(kind: str, path: str, number: int) -> int:
            kinds.append(kind)
            return 0

        world.disk.fault = count
        self.run(world)
        if world.refused or world.halted:
            raise Violation(f"{self.name}: refused {world.refused}, {world.reports}")
        return kinds

    def cases(self) -> list[tuple[int, int, bool]]:
        """(number of the operation, error, whether it lasts) of all that can fail."""
        operations = list(enumerate(self.operations()))
        once = [
            (number, error, False)
            for number, kind in operations
            for error, kinds in ERRORS.items()
            if kind in kinds
        ]
        return once + [(number, errno.EMFILE, True) for number, kind in operations if kind == "open"]

    def fail(self, number: int, error: int, lasting: bool, counts: Failures) -> None:
        """Tell it with operation `number` failing, or, `lasting`, everything that opens a file from it on. Found."""
        name = f"{errno.errorcode[error]}{' that lasts' if lasting else ''}"
        where = f"story {self.name!r}, fsync {self.fsync}, operation {number}, {name}"
        world = self.world()
        world.waits_to_be_told = lasting
        failed: list[tuple[str, str]] = []
        seen = 0

        def fault(kind: str, path: str, _: int) -> int:
            nonlocal seen
            seen += 1
            if seen - 1 != number and not (lasting and seen > number and kind == "open"):
                return 0
            failed.append((kind, path))
            if kind == "sync" and path.endswith(".log"):
                world.sync_failed = True
            return error

        world.disk.fault = fault
        try:
            self._live(world, failed, error, counts)
            self._go_on(world, random.Random(where), counts)
        except (Violation, PybrokerError, OSError, AssertionError) as found:
            kind, path = failed[0] if failed else ("", "")
            raise Found(found, f"{where} ({kind} {path}), {world.reports[-3:]}") from found
        counts.failures += 1
        counts.by_error[name] += 1

    def _live(self, world: World, failed: list[tuple[str, str]], error: int, counts: Failures) -> None:
        try:
            self.run(world)
        except (StorageError, ConfigError) as refusal:
            # The start is refused; whoever started it can start it again.
            if world.partitions:
                raise
            if "'/" not in str(refusal) and DATA not in str(refusal):
                raise Violation(f"the refusal does not say where: {refusal}") from refusal
            counts.refused_starts += 1
            world.halted = True
            return
        finally:
            world.disk.fault = None
            world.waits_to_be_told = False
        kind, path = failed[0]
        if world.halted:
            counts.halted += 1
            if any("cannot be loaded" in line for line in world.reports):
                # The only directory cannot be used: as good as no start.
                counts.refused_starts += 1
                return
            if error == errno.EMFILE:
                raise Violation("a missing descriptor was taken for a broken disk")
            if error == errno.ENOSPC and kind not in ("sync", "sync_dir"):
                raise Violation("a full disk was taken for a broken one")
            return
        closing = any("not closed cleanly" in line for line in world.reports)
        if kind == "sync" and path.endswith(".log") and not closing:
            raise Violation("a failed sync did not take the directory offline")
        counts.went_on += 1
        self._works_again(world)

    def _works_again(self, world: World) -> None:
        """The disk is sound: everything is served, with nothing left from the failure."""
        for _ in range(3):
            world.step(("tick", 3, 0, 0))
            world.settle()
        for name in world.topics:
            if name not in world.partitions:
                world._host(name, world.topics[name])
            if name not in world.partitions:
                raise Violation(f"{name} cannot be made")
        refused = world.refused
        for first in (0, 3, 5):
            world.step(("append", first, 1, first))
        for partition in world.partitions.values():
            partition.log.request_flush()
        world.settle()
        if world.refused != refused or world.manager.full_directories:
            raise Violation(f"appends are still refused, full: {world.manager.full_directories}")
        for name, partition in world.partitions.items():
            ledger = world.ledgers[name]
            if ledger.acked != partition.log_end_offset:
                raise Violation(f"{name}: acknowledged up to {ledger.acked} of {partition.log_end_offset}")
            LogCheck(partition.log, ledger, ledger.stored, world.clock.wall_ms()).run()
            if partition.log.recovery_point != partition.log_end_offset:
                raise Violation(f"{name}: recovery point {partition.log.recovery_point} stands still")
        check_index_files(world)

    def _go_on(self, world: World, rng: random.Random, counts: Failures) -> None:
        """The next start, after a clean stop, a kill or a power loss."""
        ending = rng.randrange(3)
        disk = world.disk
        disk.fault = None
        if ending == 0 and not world.halted:
            world.close()
        power_loss = ending == 2
        bounds = bounds_of(world, power_loss=power_loss)
        left = disk.after_power_loss(rng) if power_loss else disk.after_kill(rng)
        world = next_life(world, left, ending, bounds)
        counts.later_lives += 1
        self._works_again(world)


def all_stories() -> list[Story]:
    return [Story(name, fsync=fsync) for name in (*STORIES, *STARTS) for fsync in (True, False)]


def explore(fraction: float = 1.0, stories: list[Story] | None = None) -> Failures:
    """Every failure, or every so manieth. Found."""
    total = Failures()
    for story in all_stories() if stories is None else stories:
        cases = story.cases()
        total.stories += 1
        chosen = (
            cases
            if fraction >= 1
            else random.Random(story.name).sample(cases, max(int(len(cases) * fraction), 1))
        )
        for case in chosen:
            story.fail(*case, total)
    return total


def main() -> int:
    name, number = (sys.argv[1], int(sys.argv[2])) if len(sys.argv) > 2 else ("", -1)
    total = Failures()
    bad: Counter[str] = Counter()
    for story in all_stories():
        if name not in ("", story.name):
            continue
        total.stories += 1
        for at, error, lasting in story.cases():
            if number in (-1, at):
                try:
                    story.fail(at, error, lasting, total)
                except Found as found:
                    bad[story.name] += 1
                    print(found, flush=True)
    print(f"{total}; found {dict(bad)}")
    return 1 if bad else 0


if __name__ == "__main__":
    sys.exit(main())

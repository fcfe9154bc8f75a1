"""Crashes at every change that a schedule makes to the disk.

In: a seed (a schedule and all chances) and how many power losses to try at each point. Out: counts, or a
`Violation` with what is needed to see it again. A schedule runs once; before each change the disk is copied as a
kill or a power loss would leave it, a second broker starts on the copy, and everything is checked.
"""

from __future__ import annotations

import random
from dataclasses import dataclass, field

from pybroker.common.clock import ManualClock
from pybroker.common.errors import PybrokerError
from tests.sim.check import check_index_files, check_loaded, check_readers
from tests.sim.disk import SimDisk
from tests.sim.world import NOW, Step, Violation, World, make_steps


@dataclass
class Counts:
    """What was done."""

    schedules: int = 0
    points: int = 0
    kills: int = 0
    power_losses: int = 0
    # Of the recoveries: second ones, and ones that were themselves interrupted.
    repeated: int = 0
    interrupted: int = 0
    acknowledged: int = 0
    points_by_kind: dict[str, int] = field(default_factory=dict)

    def add(self, other: Counts) -> None:
        for name, value in vars(other).items():
            if name == "points_by_kind":
                for kind, count in value.items():
                    self.points_by_kind[kind] = self.points_by_kind.get(kind, 0) + count
            else:
                setattr(self, name, getattr(self, name) + value)

    @property
    def states(self) -> int:
        return self.kills + self.power_losses + self.interrupted


class Found(Exception):
    """A violation, with where it was found."""

    def __init__(self, violation: BaseException, where: str) -> None:
        super().__init__(f"{where}: {violation.args[0] if violation.args else violation}")
        self.violation = violation
        self.where = where


class Explorer:
    """Explores one schedule. `fraction`: of the points, how many are looked at."""

    def __init__(
        self,
        seed: int,
        *,
        fsync: bool = True,
        steps: list[Step] | None = None,
        length: int = 60,
        power_losses: int = 3,
        fraction: float = 1.0,
    ) -> None:
        self.seed = seed
        self.fsync = fsync
        self.steps = make_steps(seed, length) if steps is None else steps
        self.power_losses = power_losses
        self.fraction = fraction
        self.counts = Counts(schedules=1)
        self._point_rng = random.Random(f"points {seed}")
        self._busy = False
        self._where = "start"

    def run(self) -> Counts:
        """The whole schedule. Found: something is wrong."""
        clock = ManualClock(NOW)
        disk = self.disk = SimDisk(self.seed, clock=clock)
        disk.cold = True
        disk.slow = True
        self.world = World(disk, clock, self.seed, fsync=self.fsync)
        disk.on_change = self._at
        try:
            self.world.on_loaded = self._loaded
            self.world.start()
            for number, step in enumerate(self.steps):
                self._where = f"step {number} {step[0]}"
                self.world.step(step)
            self._where = "end"
            self.world.settle()
            self._explore("end", "")
        except (Violation, PybrokerError, OSError) as error:
            raise Found(error, f"seed {self.seed}, {self._where}, operation {disk.operations}") from error
        self.counts.acknowledged = sum(
            len(sent.records)
            for ledger in self.world.ledgers.values()
            for sent in ledger.batches
            if sent.end <= ledger.acked
        )
        self.trace = disk.trace
        return self.counts

    def _loaded(self, world: World) -> None:
        check_loaded(world, {name: ledger.stored for name, ledger in world.ledgers.items()})

    def _at(self, kind: str, path: str) -> None:
        if self._busy or self._point_rng.random() >= self.fraction:
            return
        self._explore(kind, path)

    def _explore(self, kind: str, path: str) -> None:
        """All that may be left if everything stops here."""
        self._busy = True
        try:
            self.counts.points += 1
            by_kind = self.counts.points_by_kind
            by_kind[kind] = by_kind.get(kind, 0) + 1
            for number in range(self.power_losses + 1):
                rng = random.Random(f"{self.seed} {self.counts.points} {number}")
                disk = self.disk.after_power_loss(rng) if number else self.disk.after_kill(rng)
                if number:
                    self.counts.power_losses += 1
                else:
                    self.counts.kills += 1
                try:
                    self._examine(disk, rng, power_loss=number > 0)
                except (Violation, PybrokerError, OSError, AssertionError) as error:
                    where = f"seed {self.seed}, {self._where} before {kind} {path}, survivor {number}"
                    raise Found(error, where) from error
        finally:
            self._busy = False

    def bounds(self, power_loss: bool) -> dict[str, int]:
        """Below which offsets nothing may be missing."""
        return {
            name: (
                (max(ledger.acked, ledger.exposed) if self.fsync else 0)
                if power_loss or self.world.sync_failed
                else ledger.stored
            )
            for name, ledger in self.world.ledgers.items()
        }

    def _next(self, disk: SimDisk, rng: random.Random) -> World:
        disk.clock = clock = ManualClock(self.world.clock.wall_ms(), self.world.clock.monotonic_ms())
        world = self.world.again(disk, rng.random())
        world.clock = clock
        world.only_looking = True
        world.manager.environment.clock = clock
        return world

    def _examine(self, disk: SimDisk, rng: random.Random, *, power_loss: bool) -> None:
        """Start on what is left and look at everything."""
        bounds = self.bounds(power_loss)
        extra = rng.randrange(4)
        if extra == 0:
            # The recovery is interrupted too, once.
            changes = rng.randrange(40)
            first = self._next(disk, rng)
            with disk.dies_after(changes):
                first.load()
                first.lead()
                first.settle()
            self.counts.interrupted += disk.dead
            if rng.random() < 0.7:
                disk, bounds = disk.after_power_loss(rng), self.bounds(True)
            else:
                disk = disk.after_kill(rng)
        world = self._next(disk, rng)
        world.load()
        checks = check_loaded(world, bounds)
        if extra == 1:
            self.counts.repeated += 1
            before = logs_of(world.disk)
            second = self._next(world.disk.after_kill(rng), rng)
            second.load()
            after = logs_of(second.disk)
            if before != after:
                raise Violation(
                    f"a second recovery changed {sorted(set(before.items()) ^ set(after.items()))[:2]}"
                )
            check_loaded(second, bounds)
        world.lead()
        if self.fsync:
            self._shown_is_durable(world)
        if extra == 2:
            world.settle()
            check_index_files(world)
            check_readers(world, checks, rng.choice((1, 300, 100_000)))

    def _shown_is_durable(self, world: World) -> None:
        """What a reader gets right after the start is not lost by the next power loss."""
        for name, partition in world.partitions.items():
            log = partition.log
            for segment in log.segments:
                node = world.disk._file(segment.path(".log"))
                shown = (
                    segment.position_of(partition.high_watermark)
                    if partition.high_watermark > segment.base_offset
                    else 0
                )
                if node.durable[:shown] != bytes(node.data[:shown]):
                    raise Violation(f"{name}: {partition.high_watermark} is shown and not durable")


def logs_of(disk: SimDisk) -> dict[str, tuple[bytes, int]]:
    """The files that hold data."""
    return {
        name: content
        for name, content in disk.contents().items()
        if name.endswith((".log", ".txnindex", "leader-epoch-checkpoint"))
    }

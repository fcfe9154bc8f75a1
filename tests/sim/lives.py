"""One life of the storage after another, on the same disk: what is left after a crash is loaded, compared with the
ledgers, and used further.

In: a world that has crashed and the disk as it was left. Out: the next world. What must hold: what the crash took
is forgotten by the ledgers, and nothing else.
"""

from __future__ import annotations

from tests.sim.check import LogCheck, check_loaded
from tests.sim.disk import SimDisk
from tests.sim.ledger import Ledger
from tests.sim.world import World


def bounds_of(world: World, *, power_loss: bool) -> dict[str, int]:
    """Below which offsets nothing may be missing after a crash."""
    promised = power_loss or world.sync_failed
    return {
        name: (max(ledger.acked, ledger.exposed) if world.fsync else 0) if promised else ledger.stored
        for name, ledger in world.ledgers.items()
    }


def next_life(world: World, disk: SimDisk, seed: int | str, bounds: dict[str, int]) -> World:
    """Load what is on the disk, check it, lead. Violation."""
    disk.clock = world.clock
    disk.cold, disk.slow = world.disk.cold, world.disk.slow
    again = world.again(disk, seed)
    again.load()
    checks = check_loaded(again, bounds)
    for name, ledger in again.ledgers.items():
        check = checks.get(name)
        if check is None:
            again.ledgers[name] = Ledger()
            continue
        if has_gap(ledger, check):
            del again.topics[name]
        forget(ledger, check, bounds[name])
    again.lead()
    return again


def has_gap(ledger: Ledger, check: LogCheck) -> bool:
    """Whether a power loss took records below ones that are there, none of them promised. Known, and left as in
    Kafka; what readers of such a log should see nobody can say, so the topic is given up."""
    there = {id(sent) for sent in check.sent}
    low = max(ledger.allowed_start, check.log.segments[0].base_offset)
    if check.compacted and check.bound >= ledger.cleaned:
        # Else nobody can say what was cleaned and what was lost.
        low = max(low, ledger.cleaned)
    return any(id(sent) not in there and low < sent.end <= check.log.log_end_offset for sent in ledger.live())


def forget(ledger: Ledger, check: LogCheck, bound: int) -> None:
    """Bring a ledger into line with what a crash left. What was promised is there, or was cleaned; of the rest only
    what can be seen is."""
    there = {id(sent): sent for sent in check.sent}
    known = max(bound, ledger.allowed_start)
    there |= {id(sent): sent for sent in ledger.live() if sent.end <= known}
    ledger.keep(list(there.values()))
    ledger.cut(check.log.log_end_offset)

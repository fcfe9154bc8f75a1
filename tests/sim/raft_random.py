"""Random schedules over a quorum: a seed decides what the quorum is made of, what goes wrong, and when.

In: a seed. Out: `Outcome` with the hash of the trace; the same seed gives the same hash. What must hold: every
choice comes from the seed; the actions taken replay the run by themselves, and a shorter list of them is a
run too, so that a failing one can be shrunk.
"""

from __future__ import annotations

import random
from typing import NamedTuple

from tests.sim.raft_world import Action, Options, Violation, World


class Swarm(NamedTuple):
    """What one seed does, as weights; 0 switches a thing off."""

    options: Options
    steps: int
    deliver: int
    drop: int
    duplicate: int
    fail: int
    storage: int
    time: int
    kill: int
    power: int
    propose: int
    cut: int
    snapshot: int
    voters: int
    resign: int
    time_max_ms: int
    leader: float
    """How often trouble is meant for a leader."""
    install: int | None = None
    """How soon a fetched snapshot is durable; None: as other work of the disk."""
    meddling: int = 1
    """How much more likely trouble is while something delicate is under way."""


class Outcome(NamedTuple):
    """How a run ended."""

    seed: int
    trace: str
    violation: Violation | None
    actions: list[Action]
    options: Options
    world: World


def swarm(seed: int, base: Options) -> tuple[Swarm, random.Random]:
    """The draw of a seed."""
    rng = random.Random(f"raft swarm {seed}")
    voters = rng.choice((1, 2, 3, 3, 3, 3, 3, 4, 5))
    options = base._replace(
        voters=voters,
        observers=rng.choice((0, 0, 1, 2)),
        kraft_version=rng.choice((0, 1, 1)),
        sync_store=rng.random() < 0.3,
        read_batches=rng.choice((1, 2, 3, 50)),
    )

    def weight(most: int, chance: float) -> int:
        return rng.randint(1, most) if rng.random() < chance else 0

    kind = random.Random(f"raft kind {seed}").choice(("mixed", "mixed", "mixed", "reshape", "rebase"))
    if kind == "reshape":
        # Small quorums whose voters change all the time, the leader among them, while leaders come and go.
        return Swarm(
            options._replace(
                voters=rng.choice((1, 2, 3, 4, 4)), observers=rng.choice((1, 2)), kraft_version=1
            ),
            steps=rng.choice((600, 1200)),
            deliver=rng.choice((200, 400)),
            drop=0,
            duplicate=rng.choice((0, 10)),
            fail=rng.choice((0, 10)),
            storage=rng.choice((100, 300)),
            time=rng.choice((30, 60)),
            kill=rng.choice((0, 1, 2)),
            power=rng.choice((0, 1)),
            propose=10,
            cut=rng.choice((2, 6)),
            snapshot=rng.choice((0, 5)),
            voters=rng.choice((10, 30)),
            resign=rng.choice((0, 2)),
            time_max_ms=rng.choice((50, 150, 300)),
            leader=0.9,
            meddling=rng.choice((1, 4, 12)),
        ), rng
    if kind == "rebase":
        # Long logs that nobody else has, and snapshots of what took their place: whoever comes back, again and
        # again under another leader, has to start from one.
        return Swarm(
            options._replace(voters=rng.choice((3, 3, 4, 5)), observers=rng.choice((0, 1)), read_batches=50),
            steps=rng.choice((600, 1200)),
            deliver=rng.choice((200, 400)),
            drop=0,
            duplicate=0,
            fail=rng.choice((0, 10)),
            storage=rng.choice((100, 300)),
            time=rng.choice((30, 60)),
            kill=rng.choice((0, 2)),
            power=rng.choice((0, 1)),
            propose=rng.choice((30, 60)),
            cut=rng.choice((3, 8)),
            snapshot=rng.choice((20, 60)),
            voters=0,
            resign=rng.choice((0, 2)),
            time_max_ms=rng.choice((50, 150, 300)),
            leader=0.9,
            install=rng.choice((1, 10, 100)),
            meddling=rng.choice((1, 4, 12)),
        ), rng
    if rng.random() < 0.4:
        # A feud: leaders are cut off with records that nobody else has, and come back.
        return Swarm(
            options._replace(voters=rng.choice((3, 3, 4, 5)), observers=0, read_batches=1),
            steps=rng.choice((300, 600, 1200)),
            deliver=rng.choice((100, 200)),
            drop=0,
            duplicate=0,
            fail=rng.choice((0, 40)),
            storage=rng.choice((30, 100)),
            time=rng.choice((120, 240)),
            kill=0,
            power=rng.choice((0, 3)),
            propose=60,
            cut=rng.choice((10, 30)),
            snapshot=rng.choice((0, 0, 5)),
            voters=rng.choice((0, 10)) if options.kraft_version else 0,
            resign=0,
            time_max_ms=rng.choice((200, 400, 800)),
            leader=0.9,
        ), rng
    return Swarm(
        options,
        steps=rng.choice((150, 300, 300, 600, 1200)),
        deliver=rng.choice((50, 100, 200, 400)),
        drop=weight(40, 0.5),
        duplicate=weight(40, 0.5),
        fail=weight(40, 0.5),
        storage=rng.choice((30, 100, 300)),
        time=rng.choice((20, 60, 120, 240)),
        kill=weight(8, 0.5),
        power=weight(8, 0.6),
        propose=rng.choice((10, 40)),
        cut=weight(10, 0.5),
        snapshot=weight(15, 0.5),
        voters=weight(15, 0.6) if options.kraft_version else 0,
        resign=weight(5, 0.3),
        time_max_ms=rng.choice((100, 200, 400, 800, 1500)),
        leader=rng.choice((0.0, 0.3, 0.8)),
    ), rng


def choose(world: World, draw: Swarm, rng: random.Random) -> Action | None:
    """The next action."""
    kinds = ("deliver", "drop", "duplicate", "fail", "storage", "time", "kill", "power", "propose", "cut")
    kinds += ("snapshot", "voters", "resign", "start", "install")
    down = [m.node_id for m in world.members.values() if m.node is None]
    packets = list(world.packets)
    busy = [
        (work, m.node_id)
        for m in world.members.values()
        for work, there in (("store", m.stores), ("flush", m.flushes))
        if there
    ]
    installing = [m.node_id for m in world.members.values() if m.install is not None]
    if draw.install is None:
        busy += [("install", node_id) for node_id in installing]
        installing = []
    leaders = [m.node_id for m in world.members.values() if m.node is not None and m.node.is_leader]
    fresh = reshaping = False
    if draw.meddling > 1:
        leading = [world.members[node_id].node for node_id in leaders]
        fresh = any(node.leader.high_watermark < 0 for node in leading if node and node.leader)
        reshaping = any(node.history.voters_offset >= node.high_watermark for node in leading if node)
    meddling = draw.meddling if reshaping or installing else 1
    weights = [
        draw.deliver if packets else 0,
        draw.drop if packets else 0,
        draw.duplicate if packets else 0,
        draw.fail if packets else 0,
        draw.storage if busy else 0,
        draw.time,
        draw.kill,
        draw.power,
        draw.propose if leaders else 0,
        draw.cut * meddling,
        draw.snapshot,
        draw.voters * (draw.meddling if fresh else 1),
        draw.resign * meddling,
        20 if down else 0,
        (draw.install or 0) if installing else 0,
    ]
    (kind,) = rng.choices(kinds, weights)
    node_id = rng.choice(list(world.members))
    if leaders and kind in ("kill", "power", "cut", "resign") and rng.random() < draw.leader:
        node_id = rng.choice(leaders)
    if kind == "deliver":
        # Old packets are rare guests, not the rule.
        index = rng.randrange(len(packets)) if rng.random() < 0.3 else rng.randrange(min(4, len(packets)))
        return ("deliver", packets[index])
    if kind == "drop":
        return ("drop", rng.choice(packets))
    if kind == "duplicate":
        return ("deliver", rng.choice(packets), True)
    if kind == "fail":
        return ("fail", rng.choice(packets))
    if kind == "storage":
        return rng.choice(busy)
    if kind == "time":
        return ("time", node_id, rng.randint(1, draw.time_max_ms))
    if kind == "kill":
        return ("crash", node_id, 0)
    if kind == "power":
        return ("crash", node_id, rng.randint(1, 6))
    if kind == "propose":
        return ("propose", rng.choice(leaders))
    if kind == "cut":
        if world.blocked and rng.random() < 0.5:
            return ("heal",)
        if rng.random() < 0.4:
            return ("isolate", node_id)
        other = rng.choice(list(world.members))
        return ("cut", node_id, other) if rng.random() < 0.5 else ("cut", other, node_id)
    if kind == "snapshot":
        return ("snapshot", node_id, rng.choice((1, 2)))
    if kind == "voters":
        leader = world.leader()
        if leader is None or leader.node is None:
            return None
        if rng.random() < 0.5:
            return ("add", leader.node_id, node_id)
        return ("remove", leader.node_id, node_id) if len(leader.node.voters) > 1 else None
    if kind == "install":
        return ("install", rng.choice(installing))
    if kind == "resign":
        return ("resign", node_id)
    return ("start", rng.choice(down))


def run(seed: int, base: Options = Options(), *, settle: bool = True) -> Outcome:  # noqa: B008
    """One schedule."""
    draw, rng = swarm(seed, base)
    actions: list[Action] = []
    world = World(draw.options, seed)
    violation = None
    try:
        for _ in range(draw.steps):
            action = choose(world, draw, rng)
            if action is not None:
                actions.append(action)
                world.apply(action)
        if settle:
            world.settle()
    except Violation as broken:
        violation = broken
    return Outcome(seed, world.trace.hexdigest(), violation, actions, draw.options, world)


def replay(options: Options, seed: int, actions: list[Action], *, settle: bool = True) -> Violation | None:
    """The same actions again, or some of them."""
    world = World(options, seed)
    try:
        for action in actions:
            world.apply(action)
        if settle:
            world.settle()
    except Violation as broken:
        return broken
    return None


def shrink(outcome: Outcome, *, tries: int = 2_000) -> list[Action]:
    """A shorter list of actions that breaks the same invariant: chunks are left out, ever smaller ones."""
    assert outcome.violation is not None
    invariant = outcome.violation.invariant
    actions = list(outcome.actions)
    # It may have come up only when everything was healed.
    settle = replay(outcome.options, outcome.seed, actions, settle=False) is None
    size = max(1, len(actions) // 2)
    while tries > 0:
        shorter = False
        start = len(actions)
        while start > 0 and tries > 0:
            start = max(0, start - size)
            candidate = actions[:start] + actions[start + size :]
            tries -= 1
            found = replay(outcome.options, outcome.seed, candidate, settle=settle)
            if found is not None and found.invariant == invariant:
                actions, shorter = candidate, True
        if size == 1 and not shorter:
            break
        size = max(1, size // 2)
    return actions

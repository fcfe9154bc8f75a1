"""Every schedule of a small quorum, breadth first: which states are there, and is one of them wrong?

In: bounds. Out: how many states were seen, and the shortest list of actions to a violation. What must hold:
two worlds with the same key behave the same, so that one of them can be left out. Time is abstract: a timeout
moves a member's clock so far that everything that waits for time is due, hence the key needs no clocks.
"""

from __future__ import annotations

import copy
from collections import deque
from collections.abc import Iterator
from typing import Any, NamedTuple

from pybroker.raft.node import Node, QuorumSettings
from tests.sim.raft_world import Action, Member, Options, Violation, World

LONG_MS = 100_000


class Bounds(NamedTuple):
    """What may happen on one path, and how far to look."""

    timeouts: int = 3
    crashes: int = 1
    powers: tuple[int, ...] = (0, 1)
    """Kinds of crashes: 0 a kill, 1 a power cut that leaves what was synced, 2 and more: with some of the rest."""
    proposals: int = 1
    duplicates: int = 0
    failures: int = 0
    resigns: int = 0
    changes: int = 0
    depth: int = 14
    states: int = 1_000_000


class Report(NamedTuple):
    """What was seen. `complete`: everything within the bounds, not only up to the limit of states."""

    states: int
    transitions: int
    depth: int
    complete: bool
    violation: Violation | None
    actions: list[Action]


class NoTrace:
    """Exploration needs no hash of its trace."""

    def update(self, data: bytes) -> None: ...


def fork(world: World, node_id: int) -> World:
    """A copy in which one member may change: an action touches one. The others are shared."""
    made = copy.copy(world)
    for name, value in world.__dict__.items():
        if type(value) is dict:
            made.__dict__[name] = dict(value)
    made.members[node_id] = _fork_member(world.members[node_id], made)
    return made


def _fork_member(member: Member, world: World) -> Member:
    made = copy.copy(member)
    made.state_key = None
    made.clock = copy.copy(member.clock)
    made.log = copy.copy(member.log)
    made.log.world = world
    made.snapshots = copy.copy(member.snapshots)
    made.snapshots.files = dict(member.snapshots.files)
    made.log.snapshots = made.snapshots
    if member.node is not None:
        made.node = _fork_node(member.node, made)
    return made


def _fork_node(node: Node, member: Member) -> Node:
    made = copy.copy(node)
    for name, value in node.__dict__.items():
        # What the containers hold is never changed in place.
        if type(value) is dict or type(value) is list:
            made.__dict__[name] = copy.copy(value)
    made.log, made.snapshots, made.clock = member.log, member.snapshots, member.clock
    made.history = copy.copy(node.history)
    made.history._sets, made.history._levels = list(node.history._sets), list(node.history._levels)
    made.pending_change = copy.copy(node.pending_change)
    if node.leader is not None:
        leader = made.leader = copy.copy(node.leader)
        leader.voters_by_id = {key: copy.copy(replica) for key, replica in leader.voters_by_id.items()}
        leader.observers = {key: copy.copy(replica) for key, replica in leader.observers.items()}
        leader._fetched = dict(leader._fetched)
    return made


def node_key(node: Node) -> tuple[Any, ...]:
    """Everything of a node that decides what it does, apart from times."""
    leader = node.leader
    change = node.pending_change
    return (
        node.role.value,
        node.epoch,
        node.leader_id,
        node.voted,
        tuple(sorted(node.votes.items())),
        node.high_watermark,
        node.persisted_end_offset,
        node.has_fetched,
        node.lost_vote,
        node.download,
        tuple(sorted(node._in_flight)),
        tuple(sorted(node._backoff)),
        tuple(sorted((waiter.key, waiter.partition.fetch_offset) for waiter in node._waiters)),
        tuple(node.history._sets),
        tuple(node.successors),
        tuple(sorted(node.acknowledged)),
        node.shutting_down,
        None if change is None else (change.offset, change.new_voter),
        None
        if leader is None
        else (
            leader.active,
            leader.epoch_start_offset,
            leader.high_watermark,
            leader.resign_requested,
            tuple((key, replica.end_offset) for key, replica in sorted(leader.voters_by_id.items())),
            tuple((key, replica.end_offset) for key, replica in sorted(leader.observers.items())),
            tuple(sorted(leader._fetched)),
        ),
        tuple((version - node._state_stored, repr(message)) for version, message in node._outbox),
    )


def member_key(member: Member) -> int:
    if member.state_key is None:
        member.state_key = hash(_member_state(member))
    return member.state_key


def _member_state(member: Member) -> tuple[Any, ...]:
    return (
        member.hard_state,
        member.log.content,
        member.log.durable,
        tuple(sorted(member.snapshots.files)),
        tuple(state for _, state in member.stores),
        tuple(
            (flush.generation == (member.node.generation if member.node else -1), content)
            for flush, content in member.flushes
        ),
        member.install,
        None if member.node is None else node_key(member.node),
    )


def world_key(world: World, used: tuple[int, ...]) -> int:
    packets = sorted((packet.key, _is_awaited(world, packet)) for packet in world.packets.values())
    return hash((tuple(member_key(member) for member in world.members.values()), tuple(packets), used))


def _is_awaited(world: World, packet: Any) -> bool:
    """Whether an answer still matches the request that is under way."""
    if packet.is_request:
        node = world.members[packet.source].node
        other = packet.target
    else:
        node = world.members[packet.target].node
        other = packet.source
    if node is None:
        return False
    expected = node._in_flight.get(other)
    return expected is not None and expected[0] == packet.correlation_id


def moves(world: World, used: tuple[int, ...], bounds: Bounds) -> Iterator[tuple[Action, tuple[int, ...]]]:
    """What can happen next, with the budget used after it."""
    timeouts, crashes, proposals, duplicates, failures, resigns, changes = used
    for name, packet in world.packets.items():
        target = world.members[packet.target].node
        if target is None or (not packet.is_request and not _is_awaited(world, packet)):
            continue
        yield ("deliver", name), used
        if packet.is_request and duplicates < bounds.duplicates:
            yield (
                ("deliver", name, True),
                (timeouts, crashes, proposals, duplicates + 1, failures, resigns, changes),
            )
        if packet.is_request and failures < bounds.failures:
            yield ("fail", name), (timeouts, crashes, proposals, duplicates, failures + 1, resigns, changes)
    for member in world.members.values():
        node_id, node = member.node_id, member.node
        if node is None:
            yield ("start", node_id), used
            continue
        if member.stores:
            yield ("store", node_id), used
        if member.flushes:
            yield ("flush", node_id), used
        if member.install is not None:
            yield ("install", node_id), used
        if timeouts < bounds.timeouts:
            yield (
                ("time", node_id, LONG_MS),
                (timeouts + 1, crashes, proposals, duplicates, failures, resigns, changes),
            )
        if crashes < bounds.crashes:
            for power in bounds.powers:
                yield (
                    ("crash", node_id, power),
                    (timeouts, crashes + 1, proposals, duplicates, failures, resigns, changes),
                )
        if node.is_leader:
            if proposals < bounds.proposals:
                yield (
                    ("propose", node_id),
                    (timeouts, crashes, proposals + 1, duplicates, failures, resigns, changes),
                )
            if resigns < bounds.resigns:
                yield (
                    ("resign", node_id),
                    (timeouts, crashes, proposals, duplicates, failures, resigns + 1, changes),
                )
            if changes < bounds.changes:
                for voter in world.members:
                    kind = "remove" if node.voters.get(voter) else "add"
                    yield (
                        (kind, node_id, voter),
                        (timeouts, crashes, proposals, duplicates, failures, resigns, changes + 1),
                    )


def touched(world: World, action: Action) -> int:
    """The member that an action changes."""
    if action[0] == "deliver":
        return world.packets[action[1]].target
    if action[0] == "fail":
        return world.packets[action[1]].source
    return int(action[1])


def explore(bounds: Bounds, options: Options, *, prefix: tuple[Action, ...] = ()) -> Report:
    """All schedules within the bounds. `prefix` leads to where the exploration starts."""
    options = options._replace(fixed_random=True, through_wire=False)
    start = World(options)
    start.trace = NoTrace()  # type: ignore[assignment]
    for action in prefix:
        start.apply(action)
    nothing = (0,) * 7
    # How a state was reached: its parent's number and the action.
    origins: list[tuple[int, Action | None]] = [(-1, None)]
    seen = {world_key(start, nothing)}
    queue = deque([(start, nothing, 0, 0)])
    transitions = depth = 0
    while queue:
        world, used, level, number = queue.popleft()
        depth = max(depth, level)
        if level >= bounds.depth:
            continue
        for action, after in list(moves(world, used, bounds)):
            child = fork(world, touched(world, action))
            transitions += 1
            try:
                child.apply(action)
            except Violation as violation:
                path = [action]
                at = number
                while at > 0:
                    at, step = origins[at]
                    if step is not None:
                        path.append(step)
                return Report(len(seen), transitions, level + 1, False, violation, [*prefix, *reversed(path)])
            key = world_key(child, after)
            if key in seen:
                continue
            seen.add(key)
            origins.append((number, action))
            if len(seen) >= bounds.states:
                return Report(len(seen), transitions, level + 1, False, None, [])
            queue.append((child, after, level + 1, len(origins) - 1))
    return Report(len(seen), transitions, depth, True, None, [])


SMALL = QuorumSettings(fetch_max_bytes=10_000)


def elect(node_id: int, others: tuple[int, ...]) -> tuple[Action, ...]:
    """A prefix: `node_id` becomes the leader and everybody knows it."""
    world = World(
        Options(
            sync_store=True, fixed_random=True, through_wire=False, voters=len(others) + 1, settings=SMALL
        )
    )
    actions: list[Action] = [("time", node_id, LONG_MS)]
    world.apply(actions[0])
    for _ in range(60):
        pending: list[Action] = [("flush", m.node_id) for m in world.members.values() if m.flushes]
        if pending:
            action = pending[0]
        elif world.packets:
            action = ("deliver", next(iter(world.packets)))
        else:
            break
        actions.append(action)
        world.apply(action)
    return tuple(actions)

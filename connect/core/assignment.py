"""Who runs what: the leader's decision, eager and incremental (KIP-415).

In: the members with what they run now, what is configured, the time. Out: for each member what is new and
what it gives up, and a delay after which all meet again. What must hold: in the end every connector and
task is assigned exactly once, and shares differ by at most one; what need not move does not move; what a
departed member ran waits for it, up to the maximum delay; nothing is given to one member before another has
given it up.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Collection, Iterable, Mapping
from dataclasses import dataclass, field
from typing import Final, TypeVar

from connect.core.config_state import TaskId

Item = TypeVar("Item", str, TaskId)
_BACKOFF_BASE: Final = 40


@dataclass
class Load:
    """Connectors and tasks, in the order in which they were given."""

    connectors: list[str] = field(default_factory=list)
    tasks: list[TaskId] = field(default_factory=list)

    def __bool__(self) -> bool:
        return bool(self.connectors or self.tasks)

    def copy(self) -> Load:
        return Load(list(self.connectors), list(self.tasks))

    def minus(self, *others: Load) -> Load:
        connectors = {name for other in others for name in other.connectors}
        tasks = {task for other in others for task in other.tasks}
        return Load(
            [name for name in self.connectors if name not in connectors],
            [task for task in self.tasks if task not in tasks],
        )

    def common(self, other: Load) -> Load:
        connectors, tasks = set(other.connectors), set(other.tasks)
        return Load(
            [name for name in self.connectors if name in connectors],
            [task for task in self.tasks if task in tasks],
        )

    def add(self, other: Load) -> None:
        self.connectors += [name for name in other.connectors if name not in self.connectors]
        self.tasks += [task for task in other.tasks if task not in self.tasks]


@dataclass
class Decision:
    """Per member: what is new, what is revoked, and (for the leader) everything that it will then run."""

    assigned: dict[str, Load]
    revoked: dict[str, Load]
    complete: dict[str, Load]
    delay_ms: int = 0


def union(loads: Iterable[Load]) -> Load:
    result = Load()
    for load in loads:
        result.connectors += load.connectors
        result.tasks += load.tasks
    result.connectors = list(dict.fromkeys(result.connectors))
    result.tasks = list(dict.fromkeys(result.tasks))
    return result


def assign_eagerly(members: Collection[str], configured: Load) -> dict[str, Load]:
    """Everything anew, in turn: first all connectors, then all tasks."""
    ordered = sorted(members)
    result = {member: Load() for member in ordered}
    at = 0
    for name in sorted(configured.connectors):
        result[ordered[at % len(ordered)]].connectors.append(name)
        at += 1
    for task in sorted(configured.tasks):
        result[ordered[at % len(ordered)]].tasks.append(task)
        at += 1
    return result


class IncrementalAssignor:
    """Keeps what it has to remember between rounds, as long as the same worker leads."""

    def __init__(self, max_delay_ms: int, now_ms: Callable[[], int]) -> None:
        self._max_delay_ms = max_delay_ms
        self._now_ms = now_ms
        self._previous = Load()
        self._previous_revocation = Load()
        self._previous_generation = -1
        self._previous_members: set[str] = set()
        self._revoked_in_previous = False
        self._revoking_rounds = 0
        self._candidates: dict[str, None] = {}
        self._scheduled_ms = 0
        self.delay_ms = 0

    def assign(
        self,
        members: Mapping[str, Load],
        configured: Load,
        last_completed_generation: int,
        generation: int,
    ) -> Decision:
        """One round. `members` say what they run now."""
        if self._previous_generation != last_completed_generation:
            # The round before did not reach everybody: what it said is worth nothing.
            self._previous = Load()
        active = union(members.values())
        if self._previous_revocation:
            if self._previous_revocation.common(active):
                self._previous = active.copy()  # The revocation did not take effect.
            self._previous_revocation = Load()
        deleted = self._previous.minus(configured)
        deleted.add(active.minus(configured))
        duplicated = _duplicates(members)
        lost = self._previous.minus(active, deleted)
        created = configured.minus(self._previous, active)
        revoked: dict[str, Load] = {}
        complete: dict[str, Load] = {}
        for member, load in members.items():
            gone = load.common(deleted)
            gone.add(load.common(duplicated))
            if gone:
                revoked[member] = gone
            complete[member] = load.minus(gone)
        # Duplicates are nobody's after this round; the next one hands them out.
        to_assign = created.copy()
        to_assign.add(self._lost_to_reassign(lost, complete))
        if self.delay_ms == 0:
            self._balance(configured, complete, revoked)
        else:
            self._revoked_in_previous = False
        _hand_out(complete, to_assign)
        assigned = {member: load.minus(members[member]) for member, load in complete.items()}
        self._remember(complete, revoked, lost, generation, members)
        return Decision(assigned, revoked, complete, self.delay_ms)

    def _remember(
        self,
        complete: Mapping[str, Load],
        revoked: Mapping[str, Load],
        lost: Load,
        generation: int,
        members: Collection[str],
    ) -> None:
        self._previous_revocation = union(revoked.values())
        self._previous = union(complete.values()).minus(self._previous_revocation)
        self._previous.add(lost)
        self._previous_generation = generation
        self._previous_members = set(members)

    def _lost_to_reassign(self, lost: Load, complete: Mapping[str, Load]) -> Load:
        """What departed members ran and is to be given away now; sets the delay for what has to wait."""
        if not lost and not self._revoked_in_previous:
            self._reset_delay()
            return Load()
        now = self._now_ms()
        if self._scheduled_ms <= 0 and self._previous_members <= complete.keys():
            # Nobody left: somebody did not get the last assignment.
            return lost
        if self._max_delay_ms == 0:
            return lost
        if 0 < self._scheduled_ms <= now:
            chosen = [member for member in self._candidates if member in complete]
            given = lost
            if chosen:
                for at, name in enumerate(lost.connectors):
                    complete[chosen[at % len(chosen)]].connectors.append(name)
                for at, task in enumerate(lost.tasks):
                    complete[chosen[at % len(chosen)]].tasks.append(task)
                given = Load()
            self._reset_delay()
            self._revoked_in_previous = False
            return given
        # Members that came while the delay runs, and have nothing yet, are probably the departed ones.
        self._candidates.update({member: None for member, load in complete.items() if not load})
        if now < self._scheduled_ms:
            self.delay_ms = max(0, min(self._scheduled_ms - now, self._max_delay_ms))
        else:
            self.delay_ms = self._max_delay_ms
        self._scheduled_ms = now + self.delay_ms
        return Load()

    def _reset_delay(self) -> None:
        self._candidates.clear()
        self._scheduled_ms = 0
        self.delay_ms = 0

    def _balance(self, configured: Load, complete: dict[str, Load], revoked: dict[str, Load]) -> None:
        wanted = _load_balancing_revocations(configured, complete)
        if not wanted:
            if self._revoked_in_previous:
                self._revoked_in_previous = False
                self._revoking_rounds = 0
            return
        if self._revoked_in_previous:
            self._revoking_rounds += 1
            self.delay_ms = self._revocation_backoff(self._revoking_rounds)
            if self.delay_ms:
                self._scheduled_ms = self._now_ms() + self.delay_ms
                return
        else:
            self._revoked_in_previous = True
        for member, load in wanted.items():
            revoked.setdefault(member, Load()).add(load)
            complete[member] = complete[member].minus(load)

    def _revocation_backoff(self, rounds: int) -> int:
        if self._max_delay_ms == 0:
            return 0
        backoff: int = _BACKOFF_BASE ** min(rounds, 12)
        return min(backoff, self._max_delay_ms)


def _duplicates(members: Mapping[str, Load]) -> Load:
    connectors = Counter(name for load in members.values() for name in load.connectors)
    tasks = Counter(task for load in members.values() for task in load.tasks)
    return Load(
        [name for name, count in connectors.items() if count > 1],
        [task for task, count in tasks.items() if count > 1],
    )


def _load_balancing_revocations(configured: Load, complete: Mapping[str, Load]) -> dict[str, Load]:
    if not any(complete.values()) or not configured:
        return {}
    result: dict[str, Load] = {}
    connectors = {member: load.connectors for member, load in complete.items()}
    for member, names in _excess(len(configured.connectors), connectors).items():
        result.setdefault(member, Load()).connectors += names
    tasks = {member: load.tasks for member, load in complete.items()}
    for member, items in _excess(len(configured.tasks), tasks).items():
        result.setdefault(member, Load()).tasks += items
    return result


def _excess(total: int, held: Mapping[str, list[Item]]) -> dict[str, list[Item]]:
    """What each member has beyond its even share. Nothing when all are even already."""
    least, extras = divmod(total, len(held))
    sizes = [len(items) for items in held.values()]
    if sizes.count(least + 1) == extras and sizes.count(least) + sizes.count(least + 1) == len(held):
        return {}
    result: dict[str, list[Item]] = {}
    given_extras = 0
    for member, items in held.items():
        if len(items) <= least:
            continue
        allowed = least
        if given_extras < extras:
            given_extras += 1
            allowed += 1
        if len(items) > allowed:
            result[member] = items[: len(items) - allowed]
    return result


def _hand_out(complete: dict[str, Load], items: Load) -> None:
    """Gives each item to whoever has the fewest of its kind."""
    for name in sorted(items.connectors):
        member = min(complete, key=lambda m: (len(complete[m].connectors), m))
        complete[member].connectors.append(name)
    for task in sorted(items.tasks):
        member = min(complete, key=lambda m: (len(complete[m].tasks), m))
        complete[member].tasks.append(task)

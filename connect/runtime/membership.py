"""Who does what: the part of a group of workers that one worker sees.

`Membership` is what the herder asks. A standalone worker is alone (`Alone`), distributed ones share a group
(`connect.runtime.group`).
"""

from __future__ import annotations

from collections.abc import Collection
from typing import NamedTuple, Protocol

from connect.core.config_state import ConfigState, TaskId


class Assigned(NamedTuple):
    connectors: Collection[str]
    tasks: Collection[TaskId]


class Membership(Protocol):
    @property
    def is_leader(self) -> bool: ...

    @property
    def leader_url(self) -> str | None:
        """Where the leader's REST API is; None while nobody is known to lead."""

    @property
    def generation(self) -> int: ...

    @property
    def rebalancing(self) -> bool:
        """Whether this worker has no valid assignment right now, or is about to lose it."""

    def assigned(self, state: ConfigState) -> Assigned | None:
        """What this worker is to run; None while that cannot be told, because it has not read the
        configuration that the assignment is about."""

    def owner_of_connector(self, name: str) -> str | None:
        """The URL of the worker that runs it."""

    def owner_of_task(self, task: TaskId) -> str | None: ...

    def request_rejoin(self, reason: str) -> None: ...

    async def settled(self) -> None:
        """Returns when no rebalance is under way."""

    @property
    def sessioned(self) -> bool:
        """Whether requests between workers are signed."""


class Alone:
    """Everything is here."""

    is_leader = True
    generation = 0
    rebalancing = False
    sessioned = False

    def __init__(self, url: str) -> None:
        self.leader_url: str | None = url

    def assigned(self, state: ConfigState) -> Assigned | None:
        names = list(state.connectors)
        return Assigned(names, [task for name in names for task in state.tasks(name)])

    def owner_of_connector(self, name: str) -> str | None:
        return self.leader_url

    def owner_of_task(self, task: TaskId) -> str | None:
        return self.leader_url

    def request_rejoin(self, reason: str) -> None: ...

    async def settled(self) -> None:
        return

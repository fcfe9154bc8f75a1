"""What a worker has to do to get from what runs to what should run; and which parts a restart concerns.

In: the state of the config topic, this worker's assignment, what it runs. Out: a `Plan`. What must hold: a
pure function, so the same inputs give the same plan; what need not move is left alone.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import dataclass, field

from connect.core import status as states
from connect.core.config_state import ConfigState, TaskId
from connect.core.status import Status


@dataclass(frozen=True)
class Running:
    """What a worker has started: connectors with their configuration, tasks with the revision of their
    set."""

    connectors: Mapping[str, Mapping[str, str]]
    tasks: Mapping[TaskId, int]
    targets: Mapping[str, str]


@dataclass
class Plan:
    """In the order of the fields: first what stops, then what starts."""

    stop_connectors: list[str] = field(default_factory=list)
    stop_tasks: list[TaskId] = field(default_factory=list)
    start_connectors: list[str] = field(default_factory=list)
    start_tasks: list[TaskId] = field(default_factory=list)
    retarget: list[str] = field(default_factory=list)

    def __bool__(self) -> bool:
        return any(vars(self).values())


def make_plan(
    state: ConfigState, connectors: Collection[str], tasks: Collection[TaskId], running: Running
) -> Plan:
    plan = Plan()
    for name, config in running.connectors.items():
        if name not in connectors or name not in state.connectors:
            plan.stop_connectors.append(name)
        elif config != state.connectors[name]:
            plan.stop_connectors.append(name)
            plan.start_connectors.append(name)
        elif running.targets.get(name) != state.target_state(name):
            plan.retarget.append(name)
    plan.start_connectors += [
        name for name in sorted(connectors) if name in state.connectors and name not in running.connectors
    ]
    existing = {name: set(state.tasks(name)) for name in {task.connector for task in tasks}}
    wanted = {task for task in tasks if task in existing[task.connector]}
    for task, revision in running.tasks.items():
        if task not in wanted:
            plan.stop_tasks.append(task)
        elif revision != state.task_revisions.get(task.connector, 0):
            plan.stop_tasks.append(task)
            plan.start_tasks.append(task)
        elif (
            task.connector not in running.connectors
            and task.connector not in plan.retarget
            and running.targets.get(task.connector) != state.target_state(task.connector)
        ):
            plan.retarget.append(task.connector)
    plan.start_tasks += sorted(wanted - running.tasks.keys())
    return plan


@dataclass(frozen=True)
class RestartPlan:
    """What a restart with includeTasks or onlyFailed concerns (KIP-745)."""

    connector: bool
    tasks: tuple[TaskId, ...]

    def __bool__(self) -> bool:
        return self.connector or bool(self.tasks)


def restart_plan(
    include_tasks: bool, only_failed: bool, connector: Status, tasks: Mapping[TaskId, Status]
) -> RestartPlan:
    def concerned(status: Status) -> bool:
        return not only_failed or status.state == states.FAILED

    chosen = tuple(task for task, status in tasks.items() if concerned(status)) if include_tasks else ()
    return RestartPlan(concerned(connector), chosen)

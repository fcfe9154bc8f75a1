"""What the config topic says: connectors, their tasks, target states, fencing, session key.

In: the topic's records, one after the other (`apply`), and wishes (functions that make records). Out: the
state after each record, and events that say what changed. What must hold: the same records give the same
state on every worker, Java workers included; unknown keys and fields are tolerated; task configurations
count only once their commit record has been read, and only if all of them are there.
"""

from __future__ import annotations

import copy
import json
import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Final, NamedTuple

from connect.core.java import json_bytes

STARTED: Final = "STARTED"
PAUSED: Final = "PAUSED"
STOPPED: Final = "STOPPED"
_TARGET_STATES: Final = (STARTED, PAUSED, STOPPED)


class TaskId(NamedTuple):
    """A task: its connector and its number."""

    connector: str
    task: int

    def __str__(self) -> str:
        return f"{self.connector}-{self.task}"


class ConfigRecord(NamedTuple):
    key: str
    value: bytes | None


# Events.


class ConnectorUpdated(NamedTuple):
    name: str


class ConnectorRemoved(NamedTuple):
    name: str


class TasksUpdated(NamedTuple):
    name: str


class TargetStateChanged(NamedTuple):
    name: str


class SessionKeyChanged(NamedTuple):
    pass


class RestartRequested(NamedTuple):
    name: str
    include_tasks: bool
    only_failed: bool


class LoggerLevelSet(NamedTuple):
    namespace: str
    level: str


ConfigEvent = (
    ConnectorUpdated
    | ConnectorRemoved
    | TasksUpdated
    | TargetStateChanged
    | SessionKeyChanged
    | RestartRequested
    | LoggerLevelSet
)


@dataclass(frozen=True)
class SessionKey:
    """The secret of the workers of a group."""

    key: str  # Base64.
    algorithm: str
    created_ms: int


@dataclass
class ConfigState:
    """The state at an offset. Readers get a `snapshot`, which never changes."""

    offset: int = -1  # Of the next record; -1 before the first, as Java's workers tell each other.
    session_key: SessionKey | None = None
    connectors: dict[str, dict[str, str]] = field(default_factory=dict)
    target_states: dict[str, str] = field(default_factory=dict)
    task_counts: dict[str, int] = field(default_factory=dict)
    task_configs: dict[TaskId, dict[str, str]] = field(default_factory=dict)
    # How often the tasks of a connector were committed: tasks of an older revision are to be restarted.
    task_revisions: dict[str, int] = field(default_factory=dict)
    # The connector's configuration at the time of its last commit (KAFKA-9228).
    applied_configs: dict[str, dict[str, str]] = field(default_factory=dict)
    inconsistent: set[str] = field(default_factory=set)
    fenced_task_counts: dict[str, int] = field(default_factory=dict)
    pending_fencing: set[str] = field(default_factory=set)
    _deferred: dict[str, dict[TaskId, dict[str, str]]] = field(default_factory=dict)

    def snapshot(self) -> ConfigState:
        copied = copy.copy(self)
        for name, value in vars(self).items():
            if isinstance(value, dict | set):
                setattr(copied, name, value.copy())
        return copied

    def tasks(self, connector: str) -> list[TaskId]:
        """The tasks whose configurations are complete."""
        if connector in self.inconsistent or connector not in self.connectors:
            return []
        return [TaskId(connector, n) for n in range(self.task_counts.get(connector, 0))]

    def target_state(self, connector: str) -> str:
        return self.target_states.get(connector, STARTED)

    def apply(self, key: str, value: bytes | None, offset: int) -> list[ConfigEvent]:
        """Takes the record at this offset. What cannot be read changes nothing."""
        self.offset = offset + 1
        try:
            body = json.loads(value) if value is not None else None
        except (ValueError, RecursionError):
            return []
        if body is not None and not isinstance(body, dict):
            return []
        for prefix, handler in _HANDLERS:
            if key.startswith(prefix):
                return handler(self, key[len(prefix) :], body)
        return []

    def _apply_target_state(self, name: str, body: dict[str, Any] | None) -> list[ConfigEvent]:
        if body is None:
            self.target_states.pop(name, None)
            return []
        state = body.get("state.v2")
        if not isinstance(state, str):
            state = body.get("state")
        if state not in _TARGET_STATES:
            return []
        before = self.target_states.get(name)
        self.target_states[name] = state
        return [TargetStateChanged(name)] if before != state and name in self.connectors else []

    def _apply_connector(self, name: str, body: dict[str, Any] | None) -> list[ConfigEvent]:
        if body is None:
            self.connectors.pop(name, None)
            self.task_counts.pop(name, None)
            self.task_revisions.pop(name, None)
            self.applied_configs.pop(name, None)
            self._deferred.pop(name, None)
            self.inconsistent.discard(name)
            for task in [task for task in self.task_configs if task.connector == name]:
                del self.task_configs[task]
            return [ConnectorRemoved(name)]
        properties = _strings(body.get("properties"))
        if properties is None:
            return []
        self.connectors[name] = properties
        self.target_states.setdefault(name, STARTED)
        return [ConnectorUpdated(name)]

    def _apply_task(self, text: str, body: dict[str, Any] | None) -> list[ConfigEvent]:
        match = re.fullmatch(r"(.+)-(\d{1,9})", text, re.DOTALL)
        properties = _strings((body or {}).get("properties"))
        if match is not None and properties is not None:
            task = TaskId(match[1], int(match[2]))
            self._deferred.setdefault(task.connector, {})[task] = properties
        return []

    def _apply_commit(self, name: str, body: dict[str, Any] | None) -> list[ConfigEvent]:
        count = _integer((body or {}).get("tasks"))
        if count is None:
            return []
        deferred = self._deferred.pop(name, {})
        # Connectors can be deleted and a late leader can still commit their tasks.
        if name not in self.connectors:
            return []
        fresh = {TaskId(name, n) for n in range(count)}
        complete = all(task in deferred for task in fresh)
        if not complete:
            # Compaction took some of the set away: nothing is known about these tasks until they are
            # written again.
            self.inconsistent.add(name)
        else:
            self.inconsistent.discard(name)
            for task in [task for task in self.task_configs if task.connector == name]:
                del self.task_configs[task]
            self.task_configs.update({task: deferred[task] for task in fresh})
            self.applied_configs[name] = self.connectors[name]
        if count > 0 or self.task_counts.get(name):
            self.pending_fencing.add(name)
        self.task_counts[name] = count
        self.task_revisions[name] = self.offset
        return [TasksUpdated(name)]

    def _apply_fencing(self, name: str, body: dict[str, Any] | None) -> list[ConfigEvent]:
        count = _integer((body or {}).get("task-count"))
        if count is not None:
            self.fenced_task_counts[name] = count
            self.pending_fencing.discard(name)
        return []

    def _apply_session_key(self, _: str, body: dict[str, Any] | None) -> list[ConfigEvent]:
        if body is None:
            return []
        key, algorithm = body.get("key"), body.get("algorithm")
        created = _integer(body.get("creation-timestamp"))
        if not isinstance(key, str) or not isinstance(algorithm, str) or created is None:
            return []
        self.session_key = SessionKey(key, algorithm, created)
        return [SessionKeyChanged()]

    def _apply_restart(self, name: str, body: dict[str, Any] | None) -> list[ConfigEvent]:
        if body is None:
            return []
        return [RestartRequested(name, body.get("include-tasks") is True, body.get("only-failed") is True)]

    def _apply_logger(self, namespace: str, body: dict[str, Any] | None) -> list[ConfigEvent]:
        level = (body or {}).get("level")
        return [LoggerLevelSet(namespace, level)] if isinstance(level, str) else []


_Handler = Callable[[ConfigState, str, dict[str, Any] | None], list[ConfigEvent]]
_HANDLERS: Final[tuple[tuple[str, _Handler], ...]] = (
    ("target-state-", ConfigState._apply_target_state),
    ("connector-", ConfigState._apply_connector),
    ("task-", ConfigState._apply_task),
    ("commit-", ConfigState._apply_commit),
    ("restart-connector-", ConfigState._apply_restart),
    ("tasks-fencing-", ConfigState._apply_fencing),
    ("session-key", ConfigState._apply_session_key),
    ("logger-cluster-", ConfigState._apply_logger),
)


def _strings(value: Any) -> dict[str, str] | None:
    if not isinstance(value, dict):
        return None
    # A Java worker stores nulls that it was given; they stay what they are.
    properties: dict[str, Any] = {}
    for key, item in value.items():
        properties[key] = item if isinstance(item, str) or item is None else str(item)
    return properties


def _integer(value: Any) -> int | None:
    return value if isinstance(value, int) and not isinstance(value, bool) else None


def tasks_changed(state: ConfigState, name: str, configs: Sequence[Mapping[str, str]]) -> bool:
    """Whether these task configurations have to be written (again)."""
    known = [state.task_configs.get(task) for task in state.tasks(name)]
    return known != list(configs) or state.applied_configs.get(name) != state.connectors.get(name)


# Records. Values are JSON without spaces.


def connector_record(name: str, properties: Mapping[str, str] | None) -> ConfigRecord:
    value = None if properties is None else json_bytes({"properties": properties})
    return ConfigRecord(f"connector-{name}", value)


def target_state_record(name: str, state: str | None) -> ConfigRecord:
    """Workers before 3.5 know only the first field, and no STOPPED."""
    if state is None:
        return ConfigRecord(f"target-state-{name}", None)
    old = PAUSED if state == STOPPED else state
    return ConfigRecord(f"target-state-{name}", json_bytes({"state": old, "state.v2": state}))


def task_records(name: str, configs: Sequence[Mapping[str, str]]) -> list[ConfigRecord]:
    return [
        ConfigRecord(f"task-{name}-{n}", json_bytes({"properties": properties}))
        for n, properties in enumerate(configs)
    ]


def commit_record(name: str, count: int) -> ConfigRecord:
    return ConfigRecord(f"commit-{name}", json_bytes({"tasks": count}))


def fencing_record(name: str, count: int) -> ConfigRecord:
    return ConfigRecord(f"tasks-fencing-{name}", json_bytes({"task-count": count}))


def session_key_record(key: SessionKey) -> ConfigRecord:
    body = {"key": key.key, "algorithm": key.algorithm, "creation-timestamp": key.created_ms}
    return ConfigRecord("session-key", json_bytes(body))


def restart_record(name: str, include_tasks: bool, only_failed: bool) -> ConfigRecord:
    body = {"include-tasks": include_tasks, "only-failed": only_failed}
    return ConfigRecord(f"restart-connector-{name}", json_bytes(body))


def logger_record(namespace: str, level: str) -> ConfigRecord:
    return ConfigRecord(f"logger-cluster-{namespace}", json_bytes({"level": level}))

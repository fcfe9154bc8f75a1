"""What the status topic says: states of connectors and tasks, and the topics that connectors used.

In: the topic's records (`StatusTable.apply`). Out: the latest status of each connector and task, and
records to write. What must hold: what cannot be read is left out; the status of a connector that has no
configuration any more is for the caller to ignore.
"""

from __future__ import annotations

import json
import re
from dataclasses import dataclass
from typing import Any, Final

from connect.core.config_state import TaskId
from connect.core.java import json_bytes

UNASSIGNED: Final = "UNASSIGNED"
RUNNING: Final = "RUNNING"
PAUSED: Final = "PAUSED"
FAILED: Final = "FAILED"
RESTARTING: Final = "RESTARTING"
STOPPED: Final = "STOPPED"
DESTROYED: Final = "DESTROYED"
_STATES: Final = (UNASSIGNED, RUNNING, PAUSED, FAILED, RESTARTING, STOPPED, DESTROYED)
_TOPIC_KEY: Final = re.compile(r"status-topic-(.+?):connector-(.+)", re.DOTALL)


@dataclass(frozen=True)
class Status:
    state: str
    worker_id: str
    generation: int
    trace: str | None = None
    version: str | None = None

    def to_bytes(self) -> bytes:
        return json_bytes(
            {
                "state": self.state,
                "trace": self.trace,
                "worker_id": self.worker_id,
                "generation": self.generation,
                "version": self.version,
            }
        )


@dataclass(frozen=True)
class TopicStatus:
    """A topic that a connector was seen using."""

    topic: str
    connector: str
    task: int
    discovered_ms: int

    def to_bytes(self) -> bytes:
        body = {
            "name": self.topic,
            "connector": self.connector,
            "task": self.task,
            "discoverTimestamp": self.discovered_ms,
        }
        return json_bytes({"topic": body})


def connector_key(name: str) -> str:
    return f"status-connector-{name}"


def task_key(task: TaskId) -> str:
    return f"status-task-{task.connector}-{task.task}"


def topic_key(connector: str, topic: str) -> str:
    return f"status-topic-{topic}:connector-{connector}"


class StatusTable:
    def __init__(self) -> None:
        self.connectors: dict[str, Status] = {}
        self.tasks: dict[TaskId, Status] = {}
        self.topics: dict[str, dict[str, TopicStatus]] = {}

    def of_tasks(self, connector: str) -> dict[TaskId, Status]:
        return {task: status for task, status in sorted(self.tasks.items()) if task.connector == connector}

    def apply(self, key: str, value: bytes | None) -> None:
        body: Any = None
        if value is not None:
            try:
                body = json.loads(value)
            except (ValueError, RecursionError):
                return
            if not isinstance(body, dict):
                return
        if key.startswith("status-topic-"):
            match = _TOPIC_KEY.fullmatch(key)
            if match is not None:
                self._apply_topic(match[1], match[2], body)
        elif key.startswith("status-connector-"):
            self._put(self.connectors, key.removeprefix("status-connector-"), body)
        elif key.startswith("status-task-"):
            name, _, number = key.removeprefix("status-task-").rpartition("-")
            if name and number.isdecimal():
                self._put(self.tasks, TaskId(name, int(number)), body)

    @staticmethod
    def _put(table: dict[Any, Status], key: Any, body: dict[str, Any] | None) -> None:
        if body is None:
            table.pop(key, None)
            return
        state, worker, generation = body.get("state"), body.get("worker_id"), body.get("generation")
        if state not in _STATES or not isinstance(worker, str) or not isinstance(generation, int):
            return
        if state == DESTROYED:
            table.pop(key, None)
            return
        current = table.get(key)
        succeeded = current is not None and current.worker_id != worker and generation < current.generation
        if state == UNASSIGNED and succeeded:  # By a worker that was slow to give up.
            return
        table[key] = Status(state, worker, generation, body.get("trace") or None, body.get("version"))

    def _apply_topic(self, topic: str, connector: str, body: dict[str, Any] | None) -> None:
        known = self.topics.setdefault(connector, {})
        if body is None:
            known.pop(topic, None)
            return
        described = body.get("topic")
        if isinstance(described, dict) and isinstance(described.get("task"), int):
            seen = described.get("discoverTimestamp")
            known[topic] = TopicStatus(
                topic, connector, described["task"], seen if isinstance(seen, int) else 0
            )

    def may_write(self, current: Status | None, status: Status) -> bool:
        """For safe writes: false when another worker has spoken already in this generation or a newer one. In
        one generation one worker has the task, and it is not the one that gives it up."""
        return current is None or (
            current.worker_id == status.worker_id
            or current.generation < status.generation
            or current.state == UNASSIGNED
        )

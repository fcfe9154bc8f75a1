"""What a connector is: it turns its configuration into the configurations of its tasks.

In: the configuration as strings. Out: the class of its tasks and one map of strings per task. What must hold:
`task_configs` returns at most as many maps as it was allowed. `start` and `stop` are called by one thread,
and may block (the runtime waits in a thread of its own, never on the REST API's loop).

`java_class_name` on a plug-in's class, and `aliases`, are other names under which configurations may refer to
it; without them it is known by its own name and dotted path.
"""

from __future__ import annotations

import abc
import enum
from collections.abc import Mapping
from typing import Any, Protocol

from connect.api.config_def import ConfigDef, ConfigKey, ConfigValue

__all__ = [
    "ConfigKey",
    "Connector",
    "ConnectorContext",
    "ConnectorTransactionBoundaries",
    "ExactlyOnceSupport",
    "Plugin",
    "Task",
    "Versioned",
]


class Versioned:
    """`version` is shown by the REST API and kept in status records."""

    version: str = "undefined"


class Plugin(Versioned):
    """What every plug-in may say about its names."""

    # The full name of the Java class that configurations written for a Java worker use.
    java_class_name: str | None = None
    # Further full names, such as the class of another vendor's connector with the same keys.
    aliases: tuple[str, ...] = ()


class ConnectorContext(Protocol):
    """What the runtime offers to a running connector; callable from any thread."""

    def request_task_reconfiguration(self) -> None:
        """Asks the runtime to call `task_configs` again, because the input has changed."""

    def raise_error(self, error: BaseException) -> None:
        """Makes the connector FAILED with this error."""

    def offset_storage_reader(self) -> Any:
        """An `OffsetStorageReader` (source connectors only)."""


class ExactlyOnceSupport(enum.Enum):
    SUPPORTED = "SUPPORTED"
    UNSUPPORTED = "UNSUPPORTED"


class ConnectorTransactionBoundaries(enum.Enum):
    SUPPORTED = "SUPPORTED"
    UNSUPPORTED = "UNSUPPORTED"


class Task(abc.ABC):
    """The common part of source and sink tasks. A task's methods are called by one thread, its own; only
    `SourceTask.stop` comes from another."""

    version: str = "undefined"
    # The full name of the Java class that a Java worker would write into `task.class`.
    java_class_name: str | None = None

    @abc.abstractmethod
    def start(self, props: dict[str, str]) -> None:
        """Gets ready. An error fails the task."""

    @abc.abstractmethod
    def stop(self) -> None:
        """Gives back what `start` took. Called also when `start` failed."""


class Connector(Plugin, abc.ABC):
    """The base of source and sink connectors; derive from `SourceConnector` or `SinkConnector`.

    The class must be constructible without arguments.
    """

    context: ConnectorContext

    def initialize(self, context: ConnectorContext, task_configs: list[dict[str, str]] | None = None) -> None:
        self.context = context

    @abc.abstractmethod
    def start(self, props: dict[str, str]) -> None:
        """Called once, before anything else but `config_def`, `validate` and the offset methods."""

    @abc.abstractmethod
    def task_class(self) -> type[Task]: ...

    @abc.abstractmethod
    def task_configs(self, max_tasks: int) -> list[dict[str, str]]:
        """At most `max_tasks` maps, one per task."""

    @abc.abstractmethod
    def stop(self) -> None: ...

    @abc.abstractmethod
    def config_def(self) -> ConfigDef:
        """The connector's own keys; the runtime adds those that all connectors have."""

    def validate(self, props: Mapping[str, str]) -> list[ConfigValue]:
        """All keys of `config_def` with their errors. Override to add checks between keys, or against the
        database."""
        return self.config_def().validate(props)

    def reconfigure(self, props: dict[str, str]) -> None:
        """A new configuration for a running connector."""
        self.stop()
        self.start(props)

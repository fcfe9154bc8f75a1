"""What a decision of the controller is made of, and the narrow views of configuration that decisions need.

In: nothing. Out: `Decision`, the protocols `ConfigRules` and `LoggerLevels`. What must hold: deciding
changes nothing; the records do, when they are replayed.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Generic, NamedTuple, Protocol, TypeVar

from pybroker.metadata.image import Configs
from pybroker.wire.message import Message
from pybroker.wire.messages.create_topics import CreatableTopicConfigs

R = TypeVar("R")


class Decision(NamedTuple, Generic[R]):
    """The records to commit as one batch, and the response to give when they are committed."""

    records: list[Message]
    response: R


class ConfigRules(Protocol):
    """What may be configured. Every `check_*` raises ApiError with Kafka's code and message."""

    def is_list(self, resource_type: int, name: str) -> bool | None:
        """Whether the value of a name is a list; None for an unknown name."""

    def default(self, resource_type: int, name: str) -> str | None:
        """The built-in default of a name; None when it has none or is unknown."""

    def check_topic(self, configs: Configs) -> None:
        """All overrides that a topic would have."""

    def check_group(self, name: str, configs: Configs) -> None: ...

    def check_client_metrics(self, name: str, configs: Configs) -> None: ...

    def check_broker(
        self, node_id: int | None, configs: Configs, changed: Mapping[str, str | None], image_configs: Configs
    ) -> None:
        """Overrides of this broker, or of all when `node_id` is None.

        `configs` are all that the level would have, `changed` those that are set (or None: deleted) now,
        `image_configs` those of the other level.
        """

    def describe_topic(
        self, configs: Configs, broker_configs: Configs, cluster_configs: Configs
    ) -> list[CreatableTopicConfigs]:
        """All names of a topic with these overrides, sorted, with value and source."""


class LoggerOperation(NamedTuple):
    """One entry of an IncrementalAlterConfigs of a broker logger."""

    name: str
    operation: int
    value: str | None


class LoggerLevels(Protocol):
    """The log levels of this process."""

    def alter(self, operations: Sequence[LoggerOperation], *, validate_only: bool) -> None:
        """Apply all or none; ApiError in Kafka's words."""

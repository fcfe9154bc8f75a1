"""The questions that the controller asks about configuration, answered from the tables.

In: resource types and names as in requests. Out: `ConfigRules`; `pybroker.handlers.config_rules` adds the one
answer that is a protocol struct.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping

from pybroker.common.config import validation
from pybroker.common.config.broker_config import BrokerConfig
from pybroker.common.config.keys import ConfigKey, ConfigType, ResourceType
from pybroker.common.config.names import ALL_TOPIC_KEYS, GROUP_KEYS, KAFKA_KEYS

_KEYS: dict[int, Mapping[str, ConfigKey]] = {
    ResourceType.TOPIC: ALL_TOPIC_KEYS,
    ResourceType.BROKER: KAFKA_KEYS,
    ResourceType.GROUP: GROUP_KEYS,
}


class ConfigRules:
    """`config` gives the configuration that holds now, with its dynamic overrides."""

    __slots__ = ("_config",)

    def __init__(self, config: Callable[[], BrokerConfig]) -> None:
        self._config = config

    def is_list(self, resource_type: int, name: str) -> bool | None:
        """Whether a list can be appended to under this name; None for an unknown name."""
        if resource_type == ResourceType.CLIENT_METRICS:
            # Kafka's controller does not know these names as lists, so each is only set as a whole.
            return False
        key = _KEYS.get(resource_type, {}).get(name)
        return None if key is None else key.type is ConfigType.LIST

    def default(self, resource_type: int, name: str) -> str | None:
        """The built-in default as text; None when there is none or the name is unknown."""
        key = _KEYS.get(resource_type, {}).get(name)
        return None if key is None else key.default_text

    def check_topic(self, configs: Mapping[str, str]) -> None:
        """ApiError unless a topic may have these overrides."""
        validation.validate_topic_configs(configs)

    def check_group(self, name: str, configs: Mapping[str, str]) -> None:
        """ApiError unless a group may have these overrides."""
        validation.validate_group_configs(configs, self._config())

    def check_client_metrics(self, name: str, configs: Mapping[str, str]) -> None:
        """ApiError unless a subscription may have these overrides."""
        validation.validate_client_metrics_configs(configs)

    def check_broker(
        self,
        node_id: int | None,
        configs: Mapping[str, str],
        changed: Mapping[str, str | None],
        image_configs: Mapping[str, str],
    ) -> None:
        """ApiError unless this broker, or all when `node_id` is None, may have these dynamic overrides.

        `configs` is the whole level as it would be, `image_configs` the other level.
        """
        validation.validate_broker_configs(configs, node_id is not None, self._config())

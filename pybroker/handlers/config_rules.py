"""The rules of configuration as the controller wants them: `ConfigRules` with CreateTopics' structs.

In: overrides. Out: what a CreateTopics v5+ answer lists for a new topic.
"""

from __future__ import annotations

from collections.abc import Mapping

from pybroker.common.config import rules
from pybroker.common.config.describe import describe_created_topic
from pybroker.wire.messages.create_topics import CreatableTopicConfigs


class ConfigRules(rules.ConfigRules):
    """Implements `pybroker.controller.decision.ConfigRules`."""

    __slots__ = ()

    def describe_topic(
        self,
        configs: Mapping[str, str],
        broker_configs: Mapping[str, str],
        cluster_configs: Mapping[str, str],
    ) -> list[CreatableTopicConfigs]:
        """All names of a topic with these overrides, sorted, with value and source."""
        config = self._config().with_dynamic(broker_configs, cluster_configs)
        return [
            CreatableTopicConfigs(
                name=entry.name,
                value=entry.value,
                read_only=entry.read_only,
                config_source=entry.source,
                is_sensitive=entry.sensitive,
            )
            for entry in describe_created_topic(config, configs)
        ]

"""Configuration: every name that Kafka has, its rules, and who wins when it is set in several places.

In: a properties file, dynamic overrides. Out: typed values for the rooms (`BrokerConfig`),
answers for DescribeConfigs (`describe`), refusals of wrong values (`validation`). What must hold: names,
types, defaults, bounds and messages are Kafka's; see docs/configuration.md, which `tools/generate_docs.py`
writes from the tables.
"""

from __future__ import annotations

from pybroker.common.config.broker_config import BrokerConfig, log_config_from
from pybroker.common.config.environment import add_container_listeners, properties_from_environment
from pybroker.common.config.keys import (
    ConfigKey,
    ConfigSource,
    ConfigType,
    ResourceType,
    format_double,
    format_value,
)
from pybroker.common.config.listeners import Listener
from pybroker.common.config.names import (
    ALL_TOPIC_KEYS,
    AUTHORIZER_KEYS,
    BROKER_INTERNAL_KEYS,
    BROKER_KEYS,
    CLIENT_METRICS_KEYS,
    GROUP_KEYS,
    PYBROKER_KEYS,
    TOPIC_INTERNAL_KEYS,
    TOPIC_KEYS,
)
from pybroker.common.config.properties import parse_properties

__all__ = [
    "ALL_TOPIC_KEYS",
    "AUTHORIZER_KEYS",
    "BROKER_INTERNAL_KEYS",
    "BROKER_KEYS",
    "CLIENT_METRICS_KEYS",
    "GROUP_KEYS",
    "PYBROKER_KEYS",
    "TOPIC_INTERNAL_KEYS",
    "TOPIC_KEYS",
    "BrokerConfig",
    "ConfigKey",
    "ConfigSource",
    "ConfigType",
    "Listener",
    "ResourceType",
    "add_container_listeners",
    "format_double",
    "format_value",
    "log_config_from",
    "parse_properties",
    "properties_from_environment",
]

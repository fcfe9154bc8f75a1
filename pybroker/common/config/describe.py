"""What DescribeConfigs and CreateTopics tell about each name: value, source, synonyms.

In: a `BrokerConfig` with the dynamic overrides that hold, and the overrides of the resource. Out: lists of
`ConfigEntry`, sorted by name. What must hold: values are printed as Kafka prints them, in synonyms as they
were written, secrets never; a source is that of the first synonym.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from typing import Any, Final, NamedTuple

from pybroker.common.config.broker_config import BrokerConfig
from pybroker.common.config.keys import ConfigKey, ConfigSource, ConfigType, format_value
from pybroker.common.config.loggers import logger_levels
from pybroker.common.config.names import (
    ALL_TOPIC_KEYS,
    BROKER_KEYS,
    CLIENT_METRICS_KEYS,
    GROUP_KEYS,
    STATIC_KEYS,
    TOPIC_KEYS,
    broker_key,
    broker_synonyms,
    is_dynamic,
)
from pybroker.common.errors import ConfigError


class Synonym(NamedTuple):
    name: str
    value: str | None
    source: ConfigSource


class ConfigEntry(NamedTuple):
    """One name of one resource. `config_type` and `documentation` belong to DescribeConfigs v3+."""

    name: str
    value: str | None
    read_only: bool
    source: ConfigSource
    sensitive: bool
    synonyms: Sequence[Synonym]
    config_type: ConfigType
    documentation: str | None

    @property
    def is_default(self) -> bool:
        return self.source is ConfigSource.DEFAULT


Wanted = Collection[str] | None
"""The names asked for. None, or none at all, asks for every one."""


def describe_topic(
    config: BrokerConfig, overrides: Mapping[str, str], wanted: Wanted = None
) -> list[ConfigEntry]:
    """The names of a topic; the internal one only when it is set."""
    values = config.topic_values(overrides)
    return [
        _resource_entry(
            ALL_TOPIC_KEYS[name],
            values[name],
            name in overrides,
            ConfigSource.TOPIC,
            _topic_synonyms(config, ALL_TOPIC_KEYS[name]),
        )
        for name in _selected(values, wanted)
    ]


def describe_broker(config: BrokerConfig, wanted: Wanted = None) -> list[ConfigEntry]:
    """Every public name of this broker, and whatever else is set."""
    texts = config.effective_texts()
    return [_broker_entry(config, texts, name) for name in _selected({**BROKER_KEYS, **texts}, wanted)]


def describe_cluster(config: BrokerConfig, wanted: Wanted = None) -> list[ConfigEntry]:
    """What is set dynamically for all brokers, as it was written."""
    entries = []
    for name in _selected(config.dynamic_default, wanted):
        key = broker_key(name)
        sensitive = key is None or key.sensitive
        text = None if sensitive else config.dynamic_default[name]
        synonyms = [
            synonym
            for synonym in _broker_level_synonyms(config, name, broker_synonyms(name), sensitive)
            if synonym.source is ConfigSource.DYNAMIC_DEFAULT_BROKER
        ]
        entries.append(_entry_of_broker_name(name, key, text, synonyms))
    return entries


def describe_group(
    config: BrokerConfig, overrides: Mapping[str, str], wanted: Wanted = None
) -> list[ConfigEntry]:
    """The names of a group, existing or not."""
    entries = []
    for name in _selected(GROUP_KEYS, wanted):
        key = GROUP_KEYS[name]
        if key.synonyms:
            value = config[key.synonyms[0]]
            below = _broker_level_synonyms(config, key.synonyms[0], key.synonyms, False)
        else:
            value = key.default
            below = [Synonym(name, key.default_text, ConfigSource.DEFAULT)]
        value, is_set = _overridden(key, value, overrides)
        entries.append(_resource_entry(key, value, is_set, ConfigSource.GROUP, below))
    return entries


def describe_client_metrics(overrides: Mapping[str, str], wanted: Wanted = None) -> list[ConfigEntry]:
    """The names of a client-metrics subscription, existing or not."""
    entries = []
    for name in _selected(CLIENT_METRICS_KEYS, wanted):
        key = CLIENT_METRICS_KEYS[name]
        value, is_set = _overridden(key, key.default, overrides)
        entries.append(_resource_entry(key, value, is_set, ConfigSource.CLIENT_METRICS, []))
    return entries


def describe_broker_loggers(wanted: Wanted = None) -> list[ConfigEntry]:
    """The levels of this process's loggers."""
    levels = logger_levels()
    source = ConfigSource.DYNAMIC_BROKER_LOGGER
    return [
        # Unlike elsewhere, the documentation is empty and not null.
        ConfigEntry(name, levels[name], False, source, False, [], ConfigType.UNKNOWN, "")
        for name in _selected(levels, wanted)
    ]


def describe_created_topic(config: BrokerConfig, overrides: Mapping[str, str]) -> list[ConfigEntry]:
    """The configs of a CreateTopics v5+ answer: all 33 (and the internal one if set), values as written."""
    entries = []
    for name in sorted({*TOPIC_KEYS, *(name for name in overrides if name in ALL_TOPIC_KEYS)}):
        key = ALL_TOPIC_KEYS[name]
        text, source = _created_value(config, overrides, key)
        entries.append(ConfigEntry(name, text, False, source, key.sensitive, [], key.type, None))
    return entries


_HOURS_AND_MINUTES: Final = {
    "log.retention.hours": 3_600_000,
    "log.retention.minutes": 60_000,
    "log.roll.hours": 3_600_000,
    "log.roll.jitter.hours": 3_600_000,
}


def _created_value(
    config: BrokerConfig, overrides: Mapping[str, str], key: ConfigKey
) -> tuple[str | None, ConfigSource]:
    if key.name in overrides:
        return overrides[key.name], ConfigSource.TOPIC
    for level, source in _levels(config):
        for name in key.synonyms:
            if name in level:
                unit = _HOURS_AND_MINUTES.get(name)
                return (level[name] if unit is None else str(int(level[name]) * unit)), source
    return key.default_text, ConfigSource.DEFAULT


def _selected(names: Collection[str], wanted: Wanted) -> list[str]:
    if not wanted:
        return sorted(names)
    return sorted({name for name in wanted if name in names})


def _overridden(key: ConfigKey, value: Any, overrides: Mapping[str, str]) -> tuple[Any, bool]:
    if key.name not in overrides:
        return value, False
    try:
        return key.parse(overrides[key.name]), True
    except ConfigError:
        return value, False


def _resource_entry(
    key: ConfigKey, value: Any, is_set: bool, source: ConfigSource, below: list[Synonym]
) -> ConfigEntry:
    """A name of a topic, a group or a subscription, whose own value stands above the broker's."""
    text = format_value(value)
    synonyms = [Synonym(key.name, text, source), *below] if is_set else below
    return ConfigEntry(
        key.name,
        text,
        False,
        synonyms[0].source if synonyms else ConfigSource.DEFAULT,
        False,
        synonyms,
        key.type,
        key.doc,
    )


def _topic_synonyms(config: BrokerConfig, key: ConfigKey) -> list[Synonym]:
    if not key.synonyms:
        return []
    # Kafka starts from the first broker name only, and takes its synonyms from there.
    first = key.synonyms[0]
    return _broker_level_synonyms(config, first, broker_synonyms(first), False)


def _broker_entry(config: BrokerConfig, texts: Mapping[str, str], name: str) -> ConfigEntry:
    key = broker_key(name)
    sensitive = key is None or key.sensitive
    text: str | None = None
    if not sensitive:
        if name in STATIC_KEYS:
            text = format_value(config["broker.id"] if name == "broker.id" else config.configured(name))
        else:
            text = texts[name]
    return _entry_of_broker_name(
        name, key, text, _broker_level_synonyms(config, name, broker_synonyms(name), sensitive)
    )


def _entry_of_broker_name(
    name: str, key: ConfigKey | None, text: str | None, synonyms: list[Synonym]
) -> ConfigEntry:
    documented = STATIC_KEYS.get(name)
    return ConfigEntry(
        name,
        text,
        not is_dynamic(name),
        synonyms[0].source if synonyms else ConfigSource.DEFAULT,
        # What only a plug-in knows may be a secret.
        key is None or key.sensitive,
        synonyms,
        ConfigType.UNKNOWN if key is None else key.type,
        None if documented is None else documented.doc,
    )


def _levels(config: BrokerConfig) -> tuple[tuple[Mapping[str, str], ConfigSource], ...]:
    return (
        (config.dynamic_broker, ConfigSource.DYNAMIC_BROKER),
        (config.dynamic_default, ConfigSource.DYNAMIC_DEFAULT_BROKER),
        (config.static, ConfigSource.STATIC_BROKER),
    )


def _broker_level_synonyms(
    config: BrokerConfig, name: str, names: Sequence[str], sensitive: bool
) -> list[Synonym]:
    """Each level's value of each of the names, from the first that is about `name` itself downwards."""
    found = [
        Synonym(synonym, None if sensitive else level[synonym], source)
        for level, source in _levels(config)
        for synonym in names
        if synonym in level
    ]
    for synonym in names:
        key = STATIC_KEYS.get(synonym)
        text = _default_text(key)
        if text is not None:
            found.append(Synonym(synonym, None if sensitive else text, ConfigSource.DEFAULT))
    start = next((index for index, synonym in enumerate(found) if synonym.name == name), len(found))
    return found[start:]


def _default_text(key: ConfigKey | None) -> str | None:
    return None if key is None else key.default_text

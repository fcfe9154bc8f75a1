"""Whether configured values are legal.

In: the overrides that a topic, a group, a client-metrics subscription or a broker would have. Out: nothing,
or an ApiError with Kafka's code and message. What must hold: everything that Kafka refuses is refused, in the
order in which Kafka looks, so that of several errors the same one is reported.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, Final

from pybroker.common.config.broker_config import BrokerConfig
from pybroker.common.config.checks import bounds_of, broken_rules
from pybroker.common.config.keys import READ_ONLY, ConfigKey, ConfigType, format_value
from pybroker.common.config.names import (
    ALL_TOPIC_KEYS,
    CLIENT_METRICS_KEYS,
    GROUP_KEYS,
    STATIC_KEYS,
    broker_key,
    is_per_broker_only,
)
from pybroker.common.errors import ApiError, ConfigError, ErrorCode

_TIERING_IS_OFF: Final = (
    "Tiered Storage functionality is disabled in the broker. "
    "Topic cannot be configured with remote log storage."
)

# Kafka lets a thread pool at most double or halve in one step.
_THREAD_COUNTS: Final = (
    "background.threads",
    "num.io.threads",
    "num.network.threads",
    "num.recovery.threads.per.data.dir",
    "num.replica.fetchers",
    "remote.log.manager.copier.thread.pool.size",
    "remote.log.manager.expiration.thread.pool.size",
    "remote.log.manager.follower.thread.pool.size",
    "remote.log.reader.threads",
)

# Dynamic for a listener only.
_KEY_STORE_NAMES: Final = frozenset(
    {
        "ssl.key.password",
        "ssl.keystore.certificate.chain",
        "ssl.keystore.key",
        "ssl.keystore.location",
        "ssl.keystore.password",
        "ssl.keystore.type",
        "ssl.truststore.certificates",
        "ssl.truststore.location",
        "ssl.truststore.password",
        "ssl.truststore.type",
    }
)

_MATCH_KEYS: Final = frozenset(
    {
        "client_id",
        "client_instance_id",
        "client_software_name",
        "client_software_version",
        "client_source_address",
        "client_source_port",
    }
)
_INTERVAL_MS_MIN: Final = 100
_INTERVAL_MS_MAX: Final = 3_600_000


# Topics


def validate_topic_configs(overrides: Mapping[str, str], config: BrokerConfig) -> None:
    """ApiError(INVALID_CONFIG) when these overrides of one topic are not legal, on top of the broker's."""
    typed = _parsed(overrides, ALL_TOPIC_KEYS, "Unknown topic config name")
    low = typed.get("min.compaction.lag.ms", config["log.cleaner.min.compaction.lag.ms"])
    high = typed.get("max.compaction.lag.ms", config["log.cleaner.max.compaction.lag.ms"])
    if low > high:
        raise ApiError(
            ErrorCode.INVALID_CONFIG,
            f"conflict topic config setting min.compaction.lag.ms ({low}) > max.compaction.lag.ms ({high})",
        )
    if typed.get("remote.storage.enable"):
        raise ApiError(ErrorCode.INVALID_CONFIG, _TIERING_IS_OFF)


def _parsed(overrides: Mapping[str, str], keys: Mapping[str, ConfigKey], unknown: str) -> dict[str, Any]:
    """Typed values. Kafka looks for unknown names first and then goes by its own order of names."""
    for name in overrides:
        if name not in keys:
            raise ApiError(ErrorCode.INVALID_CONFIG, f"{unknown}: {name}")
    try:
        return {name: key.parse(overrides[name]) for name, key in keys.items() if name in overrides}
    except ConfigError as error:
        raise ApiError(ErrorCode.INVALID_CONFIG, str(error)) from None


# Groups and client metrics


def validate_group_configs(overrides: Mapping[str, str], config: BrokerConfig) -> None:
    """ApiError(INVALID_CONFIG) when these overrides of one group are not legal; the broker bounds them."""
    typed = _parsed(overrides, GROUP_KEYS, "Unknown group config name")
    for name, value in typed.items():
        broker_names = GROUP_KEYS[name].synonyms
        if not broker_names:
            continue
        low, high = bounds_of(broker_names[0])
        if low is not None and value < config[low]:
            raise ApiError(ErrorCode.INVALID_CONFIG, f"{name} must be greater than or equal to {low}")
        if high is not None and value > config[high]:
            raise ApiError(ErrorCode.INVALID_CONFIG, f"{name} must be less than or equal to {high}")


def validate_client_metrics_configs(overrides: Mapping[str, str]) -> None:
    """ApiError when the overrides of one client-metrics subscription are not legal."""
    for name in overrides:
        if name not in CLIENT_METRICS_KEYS:
            raise ApiError(ErrorCode.INVALID_REQUEST, f"Unknown client metrics configuration: {name}")
    typed = _parsed(overrides, CLIENT_METRICS_KEYS, "")
    interval_ms = typed.get("interval.ms", _INTERVAL_MS_MIN)
    if not _INTERVAL_MS_MIN <= interval_ms <= _INTERVAL_MS_MAX:
        raise ApiError(
            ErrorCode.INVALID_REQUEST,
            f"Invalid value {interval_ms} for interval.ms, "
            f"interval must be between {_INTERVAL_MS_MIN} and {_INTERVAL_MS_MAX} (1 hour)",
        )
    for pattern in typed.get("match", ()):
        if not _is_match_pattern(pattern):
            raise ApiError(ErrorCode.INVALID_CONFIG, f"Illegal client matching pattern: {pattern}")


def _is_match_pattern(text: str) -> bool:
    import re

    parts = text.split("=")
    if len(parts) != 2 or parts[0].strip() not in _MATCH_KEYS or not parts[1]:
        return False
    try:
        re.compile(parts[1].strip())
    except (re.error, RecursionError, OverflowError):
        return False
    return True


# Brokers


def validate_broker_configs(wanted: Mapping[str, str], per_broker: bool, current: BrokerConfig) -> None:
    """ApiError(INVALID_REQUEST) when these dynamic values of one level are not legal.

    `wanted` is the level as it would be, `current` the configuration that holds now.
    """
    try:
        _validate_broker_configs(wanted, per_broker, current)
    except ConfigError as error:
        raise ApiError(ErrorCode.INVALID_REQUEST, str(error)) from None


def _validate_broker_configs(wanted: Mapping[str, str], per_broker: bool, current: BrokerConfig) -> None:
    _refuse_names(wanted, _is_read_only, "Cannot update these configs dynamically")
    _refuse_names(
        wanted,
        _KEY_STORE_NAMES.__contains__,
        "These security configs can be dynamically updated only per-listener using the listener prefix",
    )
    for name, text in wanted.items():
        key = broker_key(name)
        if key is None:
            continue
        key.parse(text)
        if key.type is ConfigType.CLASS and text.strip() != key.default:
            # There is no Java here to load it from.
            raise key.refuse(text, f"Class {text} could not be found.")
    if not per_broker:
        _refuse_names(
            wanted,
            is_per_broker_only,
            "Cannot update these configs at default cluster level, broker id must be specified",
        )
    after = (
        current.with_dynamic(wanted, current.dynamic_default)
        if per_broker
        else current.with_dynamic(current.dynamic_broker, wanted)
    )
    for rule in broken_rules(after.__getitem__):
        raise ConfigError(rule.kafka_message)
    _check_listeners(current, after)
    reason = _step_error(current, after)
    if reason is not None:
        raise ConfigError(
            f"Invalid value org.apache.kafka.common.config.ConfigException: {reason} "
            "for configuration Invalid dynamic configuration"
        )


def _refuse_names(wanted: Mapping[str, str], is_refused: Callable[[str], bool], message: str) -> None:
    refused = [name for name in wanted if is_refused(name)]
    if refused:
        raise ConfigError(f"{message}: [{', '.join(refused)}]")


def _is_read_only(name: str) -> bool:
    key = STATIC_KEYS.get(name)
    return key is not None and key.mode == READ_ONLY


def _check_listeners(current: BrokerConfig, after: BrokerConfig) -> None:
    try:
        after.listeners()
    except ConfigError as error:
        raise ConfigError(
            f"Error creating broker listeners from '[{', '.join(after['listeners'])}]': "
            + str(error).rpartition(": ")[2]
        ) from None
    for name in ("listeners", "listener.security.protocol.map"):
        if after[name] != current[name]:
            raise ConfigError(f"{name} cannot be changed while this broker runs: it must be started again")


def _step_error(current: BrokerConfig, after: BrokerConfig) -> str | None:
    """What Kafka's reconfigurable parts refuse about the step from one configuration to the next."""
    for name in _THREAD_COUNTS:
        old, new = current[name], after[name]
        prefix = f"Dynamic thread count update validation failed for {name}={new}, value should"
        if new < old // 2:
            return f"{prefix} be at least half the current value {old}"
        if new > old * 2:
            return f"{prefix} not be greater than double the current value {old}"
    old, new = current["log.cleaner.threads"], after["log.cleaner.threads"]
    if new < old // 2:
        return f"Log cleaner threads cannot be reduced to less than half the current value {old}"
    if new > old * 2:
        return f"Log cleaner threads cannot be increased to more than double the current value {old}"
    for name in ("max.connections", "max.connection.creation.rate"):
        if after.configured(name) == 0 and current.configured(name) != 0:
            return f"Invalid {name} 0"
    for unit in ("ms", "bytes"):
        reason = _local_retention_error(after, unit)
        if reason is not None:
            return reason
    added = [name for name in after["metric.reporters"] if name not in current["metric.reporters"]]
    if added:
        return (
            "Validation of dynamic config update of Set(metric.reporters) failed with class "
            "class kafka.server.DynamicMetricsReporters"
        )
    return None


def _local_retention_error(after: BrokerConfig, unit: str) -> str | None:
    name, whole_name = f"log.local.retention.{unit}", f"log.retention.{unit}"
    local, whole = after[name], after[whole_name]
    if local == -2 or whole == -1:
        return None
    prefix = f"Invalid value {format_value(local)} for configuration {name}: Value must not be"
    if local == -1:
        return f"{prefix} -1 as {whole_name} value is set as {whole}."
    if local > whole:
        return f"{prefix} more than {whole_name} property value: {whole}"
    return None

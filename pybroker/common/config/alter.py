"""Whether a change of configuration is legal, and what it changes.

In: AlterConfigs and IncrementalAlterConfigs resources as plain tuples, with the overrides that are stored.
Out: one `Outcome` a resource: an error with Kafka's message, or the names to store (None: to remove). What
must hold: the code, the message and the order of the checks are Kafka's, and a refused resource changes nothing.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Collection, Mapping, Sequence
from typing import Any, Final, NamedTuple

from pybroker.common.config.broker_config import BrokerConfig
from pybroker.common.config.checks import bounds_of, broken_rules
from pybroker.common.config.keys import READ_ONLY, ConfigKey, ConfigType, ResourceType, format_value
from pybroker.common.config.loggers import LEVELS, ROOT, logger_levels
from pybroker.common.config.names import (
    ALL_TOPIC_KEYS,
    CLIENT_METRICS_KEYS,
    GROUP_KEYS,
    KAFKA_KEYS,
    STATIC_KEYS,
    TOPIC_KEYS,
    broker_key,
    is_per_broker_only,
)
from pybroker.common.errors import ApiError, ConfigError, ErrorCode

SET: Final = 0
DELETE: Final = 1
APPEND: Final = 2
SUBTRACT: Final = 3
_OPERATION_NAMES: Final = {APPEND: "APPEND", SUBTRACT: "SUBTRACT"}

Operation = tuple[str, int, str | None]
"""(name, operation, value)."""

_MIN_INSYNC: Final = "min.insync.replicas"

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


class ResourceChange(NamedTuple):
    """One resource of a request. For AlterConfigs every operation is SET."""

    resource_type: int
    name: str
    operations: Sequence[Operation]


class Outcome(NamedTuple):
    """`changes` is what to store under (resource_type, name): values, or None to remove. Empty on an error."""

    error: ErrorCode
    message: str | None
    resource_type: int
    name: str
    changes: dict[str, str | None]


class AlterRules(NamedTuple):
    """What the decision depends on besides the request."""

    config: BrokerConfig
    """With the dynamic overrides that hold now."""
    overrides: Callable[[int, str], Mapping[str, str]]
    """(resource type, name) to what is stored for it."""
    topic_exists: Callable[[str], bool]
    eligible_leader_replicas: bool = True
    """Whether feature level 1 of eligible.leader.replicas.version holds."""


def plan_incremental_alter(resources: Sequence[ResourceChange], rules: AlterRules) -> list[Outcome]:
    """IncrementalAlterConfigs: one outcome a resource, in the order of the request."""
    return _plan(resources, rules, replace=False)


def plan_replacement(resources: Sequence[ResourceChange], rules: AlterRules) -> list[Outcome]:
    """AlterConfigs: the overrides given replace all that are stored."""
    return _plan(resources, rules, replace=True)


def _plan(resources: Sequence[ResourceChange], rules: AlterRules, *, replace: bool) -> list[Outcome]:
    times = Counter((resource.resource_type, resource.name) for resource in resources)
    outcomes = []
    for resource in resources:
        kind, name, operations = resource
        try:
            if times[kind, name] > 1:
                raise ApiError(ErrorCode.INVALID_REQUEST, "Each resource must appear at most once.")
            stored_name, changes = _plan_one(kind, name, operations, rules, replace)
            outcomes.append(Outcome(ErrorCode.NONE, None, kind, stored_name, changes))
        except ApiError as error:
            outcomes.append(Outcome(error.code, error.message, kind, name, {}))
        except ConfigError as error:
            # A value that does not fit. Brokers answer it in another way: see validate_broker_configs.
            outcomes.append(Outcome(ErrorCode.INVALID_CONFIG, str(error), kind, name, {}))
    return outcomes


def _plan_one(
    kind: int, name: str, operations: Sequence[Operation], rules: AlterRules, replace: bool
) -> tuple[str, dict[str, str | None]]:
    names = [operation[0] for operation in operations]
    if len(set(names)) != len(names):
        raise ApiError(ErrorCode.INVALID_REQUEST, "Error due to duplicate config keys")
    nulls = [key for key, operation, value in operations if value is None and operation != DELETE]
    if nulls:
        raise ApiError(ErrorCode.INVALID_REQUEST, f"Null value not supported for : {', '.join(nulls)}")
    if kind == ResourceType.BROKER_LOGGER and not replace:
        return name, _plan_loggers(name, operations, rules.config.node_id)
    if kind == ResourceType.BROKER:
        return _plan_broker(name, operations, rules, replace)
    if kind not in (ResourceType.TOPIC, ResourceType.GROUP, ResourceType.CLIENT_METRICS):
        raise ApiError(ErrorCode.INVALID_REQUEST, f"Unknown resource type {kind}")
    current = rules.overrides(kind, name)
    wanted = {key: value or "" for key, _, value in operations} if replace else dict(current)
    if not replace:
        for key, operation, value in operations:
            _apply(_list_key(kind, key), key, operation, value, wanted)
    if kind == ResourceType.TOPIC:
        _check_topic_name(name)
        validate_topic_configs(wanted)
        if not rules.topic_exists(name):
            raise ApiError(ErrorCode.UNKNOWN_TOPIC_OR_PARTITION, f"The topic '{name}' does not exist.")
    elif kind == ResourceType.GROUP:
        if not name:
            raise ApiError(ErrorCode.INVALID_REQUEST, "Default group resources are not allowed.")
        validate_group_configs(wanted, rules.config)
    else:
        if not name:
            raise ApiError(ErrorCode.INVALID_REQUEST, "Subscription name can't be empty")
        validate_client_metrics_configs(wanted)
    return name, _difference(current, wanted)


def _difference(current: Mapping[str, str], wanted: Mapping[str, str]) -> dict[str, str | None]:
    changes: dict[str, str | None] = {
        name: value for name, value in wanted.items() if current.get(name) != value
    }
    changes.update((name, None) for name in current if name not in wanted)
    return changes


def _list_key(kind: int, name: str) -> ConfigKey | None:
    keys = TOPIC_KEYS if kind == ResourceType.TOPIC else GROUP_KEYS if kind == ResourceType.GROUP else {}
    key = keys.get(name)
    return key if key is not None and key.type is ConfigType.LIST else None


def _apply(
    list_key: ConfigKey | None, name: str, operation: int, value: str | None, wanted: dict[str, str]
) -> None:
    """One operation on topic, group or client-metrics overrides."""
    if operation == SET:
        wanted[name] = value or ""
    elif operation == DELETE:
        wanted.pop(name, None)
    elif operation in _OPERATION_NAMES:
        if list_key is None:
            raise ApiError(
                ErrorCode.INVALID_CONFIG,
                f"Can't {_OPERATION_NAMES[operation]} to key {name} because its type is not LIST.",
            )
        wanted[name] = _joined(wanted.get(name, list_key.default_text), operation, value or "")
    else:
        raise ApiError(ErrorCode.UNKNOWN_SERVER_ERROR, None)


def _joined(current: str | None, operation: int, value: str) -> str:
    parts = [part for part in (current or "").split(",") if part]
    given = value.split(",")
    if operation == APPEND:
        parts += dict.fromkeys(part for part in given if part not in parts)
    else:
        parts = [part for part in parts if part not in given]
    return ",".join(parts)


# Topics


def _check_topic_name(name: str) -> None:
    if not name:
        raise ApiError(ErrorCode.INVALID_REQUEST, "Default topic resources are not allowed.")
    reason = topic_name_error(name)
    if reason is not None:
        raise ApiError(ErrorCode.INVALID_TOPIC_EXCEPTION, f"Topic name is invalid: {reason}")


def topic_name_error(name: str) -> str | None:
    """Why Kafka refuses a topic name, in its words after "Topic name is invalid: "; None for a legal one."""
    if not name:
        return "the empty string is not allowed"
    if name in (".", ".."):
        return f"'{name}' is not allowed"
    if len(name) > 249:
        return f"the length of '{name}' is longer than the max allowed length 249"
    if not set(name) <= _TOPIC_CHARACTERS:
        return f"'{name}' contains one or more characters other than ASCII alphanumerics, '.', '_' and '-'"
    return None


_TOPIC_CHARACTERS: Final = frozenset("abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789._-")


def validate_topic_config(name: str, value: str) -> None:
    """ApiError(INVALID_CONFIG) when this one override is not legal."""
    validate_topic_configs({name: value})


def validate_topic_configs(overrides: Mapping[str, str]) -> None:
    """ApiError(INVALID_CONFIG) when these overrides of one topic are not legal together."""
    typed = _parsed(overrides, ALL_TOPIC_KEYS, "Unknown topic config name")
    low = typed.get("min.compaction.lag.ms", TOPIC_KEYS["min.compaction.lag.ms"].default)
    high = typed.get("max.compaction.lag.ms", TOPIC_KEYS["max.compaction.lag.ms"].default)
    if low > high:
        raise ApiError(
            ErrorCode.INVALID_CONFIG,
            f"conflict topic config setting min.compaction.lag.ms ({low}) > max.compaction.lag.ms ({high})",
        )
    if typed.get("remote.storage.enable"):
        raise ApiError(ErrorCode.INVALID_CONFIG, _TIERING_IS_OFF)


def new_topic_configs(configs: Sequence[tuple[str, str | None]]) -> dict[str, str]:
    """The overrides of CreateTopics, checked; the last of two with one name counts. Else ApiError."""
    nulls = [name for name, value in configs if value is None]
    if nulls:
        raise ApiError(
            ErrorCode.INVALID_CONFIG, f"Null value not supported for topic configs: {','.join(nulls)}"
        )
    overrides = {name: value or "" for name, value in configs}
    validate_topic_configs(overrides)
    return overrides


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


def validate_group_config(name: str, value: str, config: BrokerConfig) -> None:
    """ApiError(INVALID_CONFIG) when this one override is not legal."""
    validate_group_configs({name: value}, config)


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


# Loggers


def _plan_loggers(name: str, operations: Sequence[Operation], node_id: int) -> dict[str, str | None]:
    received = _node_number(name)
    if received != node_id:
        raise ApiError(
            ErrorCode.INVALID_REQUEST, f"Unexpected node id. Expected {node_id}, but received {received}"
        )
    known = logger_levels()
    changes: dict[str, str | None] = {}
    for logger, operation, level in operations:
        changes[logger] = _logger_level(logger, operation, level, known)
    return changes


def _logger_level(logger: str, operation: int, level: str | None, known: Collection[str]) -> str | None:
    if operation in _OPERATION_NAMES:
        raise ApiError(
            ErrorCode.INVALID_REQUEST,
            f"{_OPERATION_NAMES[operation]} operation is not allowed for the BROKER_LOGGER resource",
        )
    if operation not in (SET, DELETE):
        raise ApiError(ErrorCode.UNKNOWN_SERVER_ERROR, None)
    if logger not in known:
        raise ApiError(ErrorCode.INVALID_CONFIG, f"Logger {logger} does not exist!")
    if operation == DELETE:
        if logger == ROOT:
            raise ApiError(
                ErrorCode.INVALID_REQUEST, "Removing the log level of the root logger is not allowed"
            )
        return None
    if level not in LEVELS:
        raise ApiError(
            ErrorCode.INVALID_CONFIG,
            f"Cannot set the log level of {logger} to {level} as it is not a supported log level. "
            f"Valid log levels are {', '.join(sorted(LEVELS))}",
        )
    return level


def _node_number(text: str) -> int:
    number = parse_node_id(text)
    if number is None:
        raise ApiError(ErrorCode.INVALID_REQUEST, f"Node id must be an integer, but it is: {text}")
    return number


def parse_node_id(text: str) -> int | None:
    """A resource name as a node id, as Java's Integer.parseInt reads it; None when it is no such number."""
    digits = text[1:] if text[:1] in ("+", "-") else text
    if not (digits.isascii() and digits.isdigit()) or len(digits) > 100:
        return None
    number = int(text)
    return number if -(1 << 31) <= number < 1 << 31 else None


# Brokers


def _plan_broker(
    name: str, operations: Sequence[Operation], rules: AlterRules, replace: bool
) -> tuple[str, dict[str, str | None]]:
    per_broker = bool(name)
    node_id = rules.config.node_id
    if per_broker:
        received = _node_number(name)
        if received != node_id:
            raise ApiError(
                ErrorCode.INVALID_REQUEST,
                f"Unexpected broker id, expected {node_id}, but received {received}",
            )
        name = str(node_id)
    current = rules.overrides(ResourceType.BROKER, name)
    wanted = {key: value or "" for key, _, value in operations} if replace else dict(current)
    if not replace:
        for key, operation, value in operations:
            _apply_to_broker(key, operation, value, wanted)
    validate_broker_configs(wanted, per_broker, rules.config)
    if rules.eligible_leader_replicas:
        _check_min_insync({operation[0] for operation in operations}, current, wanted, per_broker)
    return name, _difference(current, wanted)


def _apply_to_broker(name: str, operation: int, value: str | None, wanted: dict[str, str]) -> None:
    if operation == SET:
        wanted[name] = value or ""
    elif operation == DELETE:
        wanted.pop(name, None)
    elif operation in _OPERATION_NAMES:
        key = KAFKA_KEYS.get(name)
        if key is None:
            raise ApiError(ErrorCode.INVALID_CONFIG, f"Unknown config name: {name}")
        if key.type is not ConfigType.LIST:
            raise ApiError(
                ErrorCode.INVALID_CONFIG,
                f"Config value {_OPERATION_NAMES[operation].lower()} is not allowed for config key: {name}",
            )
        wanted[name] = _joined(wanted.get(name, key.default_text), operation, value or "")
    else:
        raise ApiError(ErrorCode.INVALID_REQUEST, f"Unknown operations type {operation}")


def _check_min_insync(
    altered: Collection[str], current: Mapping[str, str], wanted: Mapping[str, str], per_broker: bool
) -> None:
    """With eligible leader replicas, the cluster-wide value is always set and no broker has its own."""
    touched = _MIN_INSYNC in altered or (_MIN_INSYNC in current and _MIN_INSYNC not in wanted)
    if per_broker and touched:
        raise ApiError(
            ErrorCode.INVALID_CONFIG,
            "Broker-level min.insync.replicas cannot be altered while ELR is enabled.",
        )
    if not per_broker and touched and _MIN_INSYNC not in wanted:
        raise ApiError(
            ErrorCode.INVALID_CONFIG,
            "Cluster-level min.insync.replicas cannot be removed while ELR is enabled.",
        )


def validate_broker_config(name: str, value: str, per_broker: bool, current: BrokerConfig) -> None:
    """ApiError(INVALID_REQUEST) when this dynamic value, on top of those there are, is not legal."""
    level = current.dynamic_broker if per_broker else current.dynamic_default
    validate_broker_configs({**level, name: value}, per_broker, current)


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
        after.listeners(controller=True)
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

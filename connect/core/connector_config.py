"""The keys that every connector has, and the validation of a whole connector configuration.

In: a connector's configuration as strings, and the registry of plug-ins. Out: `ConfigInfos` as the REST API
answers them, or typed values for the worker. What must hold: order, groups and messages are those of a Java
worker, except for the texts of the documentation.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any, Final

from connect.api.config_def import (
    NO_DEFAULT_VALUE,
    ConfigDef,
    ConfigKey,
    ConfigValue,
    Importance,
    Password,
    Type,
    UnparsableError,
    Width,
    at_least,
    case_insensitive_valid_string,
    composite,
    convert_to_text,
    non_empty_string,
    non_empty_string_without_control_chars,
    non_null,
    parse_type,
    valid_string,
)
from connect.api.connector import Connector, ConnectorTransactionBoundaries, ExactlyOnceSupport
from connect.api.errors import ConfigError, ConnectError, value_text
from connect.api.source import SourceConnector
from connect.core import regex, registry, versions
from connect.core.java import map_text
from connect.core.registry import (
    CONVERTER,
    HEADER_CONVERTER,
    PREDICATE,
    SINK,
    SOURCE,
    TRANSFORMATION,
    PluginRegistry,
    PluginVersionError,
)

NAME: Final = "name"
CONNECTOR_CLASS: Final = "connector.class"
CONNECTOR_VERSION: Final = "connector.plugin.version"
TASKS_MAX: Final = "tasks.max"
TASK_CLASS: Final = "task.class"
TOPIC_CREATION: Final = "topic.creation."
DEAD_LETTER_TOPIC: Final = "errors.deadletterqueue.topic.name"
CONVERTER_KEYS: Final = {
    "key.converter": CONVERTER,
    "value.converter": CONVERTER,
    "header.converter": HEADER_CONVERTER,
}
OVERRIDE_PREFIXES: Final = {"producer.override.": "producer", "admin.override.": "admin"}
CONSUMER_OVERRIDES: Final = "consumer.override."
_INTERFACES: Final = {
    CONVERTER: "Converter",
    HEADER_CONVERTER: "HeaderConverter",
    TRANSFORMATION: "Transformation",
    PREDICATE: "Predicate",
}


class BadConfigError(ConnectError):
    """The configuration is such that no validation makes sense: HTTP 400."""


@dataclass
class ConfigInfo:
    """A key's definition (None for keys that nobody defines) and its value."""

    definition: dict[str, Any] | None
    value: dict[str, Any]


@dataclass
class ConfigInfos:
    name: str
    error_count: int = 0
    groups: list[str] = field(default_factory=list)
    configs: list[ConfigInfo] = field(default_factory=list)

    def merge(self, other: ConfigInfos | None) -> None:
        if other is not None:
            self.error_count += other.error_count
            self.groups = list(dict.fromkeys(self.groups + other.groups))
            self.configs += other.configs

    def errors(self) -> list[str]:
        return [message for config in self.configs for message in config.value["errors"]]

    def to_json(self) -> dict[str, Any]:
        return {
            "name": self.name,
            "error_count": self.error_count,
            "groups": self.groups,
            "configs": [{"definition": c.definition, "value": c.value} for c in self.configs],
        }


# Takes the kind of client (producer, consumer, admin) and the overrides without prefix; gives one value per
# override, with an error at those that are not allowed.
OverridePolicy = Callable[[str, Mapping[str, Any]], list[ConfigValue]]


class _Recommend:
    """Recommended values from functions of the parsed configuration."""

    def __init__(
        self,
        values: Callable[[Mapping[str, Any]], list[Any]],
        visible: Callable[[Mapping[str, Any]], bool] = lambda parsed: True,
    ) -> None:
        self._values, self._visible = values, visible

    def valid_values(self, name: str, parsed: Mapping[str, Any]) -> list[Any]:
        return self._values(parsed)

    def visible(self, name: str, parsed: Mapping[str, Any]) -> bool:
        return self._visible(parsed)


def _plugin_class(plugins: PluginRegistry, kind: str) -> Callable[[str, Any], None]:
    """Validator of a CLASS key: a known plug-in of one kind."""

    def check(name: str, value: Any) -> None:
        if value is None or (isinstance(value, str) and plugins.find(kind, value) is not None):
            return
        other = plugins.find_any(value) if isinstance(value, str) else None
        if other is None:
            raise UnparsableError(name=name, value=value, message=f"Class {value} could not be found.")
        raise ConfigError(
            name=name,
            value=f"class {other.class_name}" if kind in (TRANSFORMATION, PREDICATE) else value,
            message=f"Class class {other.class_name} does not implement the {_INTERFACES[kind]} interface"
            if kind in (CONVERTER, HEADER_CONVERTER)
            else f"Not a {_INTERFACES[kind]}",
        )

    return check


def _version_text(name: str, value: Any) -> None:
    try:
        versions.check_requirement(value)
    except ConfigError as error:
        raise ConfigError(name=name, value=value, message=str(error)) from None


def _unique(name: str, value: Any) -> None:
    if value is not None and len(value) > len(set(value)):
        raise ConfigError(name=name, value=value, message="Duplicate alias provided.")


def _java_regex(name: str, value: Any) -> None:
    if value:
        try:
            regex.compile_java(value)
        except regex.JavaRegexError as error:
            raise ConfigError(name=name, value=value, message=f"Invalid regex: {error}") from None


def common_config(
    plugins: PluginRegistry | None = None,
    props: Mapping[str, Any] | None = None,
    worker: Mapping[str, Any] | None = None,
) -> ConfigDef:
    """The keys of every connector; with plug-ins and a worker's configuration also the defaults that the REST
    API shows for this connector."""
    definition = ConfigDef()
    order = iter(range(1, 30))
    common = "Common"

    def define(name: str, type_: Type, default: Any, width: Width, display: str, **more: Any) -> None:
        more.setdefault("group", common)
        definition.define(
            name, type_, default, width=width, display_name=display, order_in_group=next(order), **more
        )

    def version_of(kind: str, name: str | None) -> str | None:
        cls = plugins.find(kind, name) if plugins is not None and name else None
        return str(cls.version) if cls is not None else None

    props = props or {}
    given_class = props.get(CONNECTOR_CLASS)
    version = (version_of(SINK, given_class) or version_of(SOURCE, given_class)) if given_class else None
    define(
        NAME,
        Type.STRING,
        NO_DEFAULT_VALUE,
        Width.MEDIUM,
        "Connector name",
        importance=Importance.HIGH,
        validator=non_empty_string_without_control_chars,
        doc="The connector's name, unique in the cluster.",
    )
    define(
        CONNECTOR_CLASS,
        Type.STRING,
        NO_DEFAULT_VALUE,
        Width.LONG,
        "Connector class",
        importance=Importance.HIGH,
        doc="The connector's class: its full name, its simple name, or that without Connector at the end.",
    )
    define(
        CONNECTOR_VERSION,
        Type.STRING,
        version,
        Width.MEDIUM,
        "Connector version",
        importance=Importance.MEDIUM,
        validator=_version_text,
        doc="The version of the connector: one version, a range, or latest.",
        recommender=_Recommend(
            lambda parsed: [version] if version is not None else [],
            lambda parsed: parsed.get(CONNECTOR_CLASS) is not None,
        ),
    )
    define(
        TASKS_MAX,
        Type.INT,
        1,
        Width.SHORT,
        "Tasks max",
        importance=Importance.HIGH,
        validator=at_least(1),
        doc="The most tasks that the connector may have.",
    )
    define(
        "tasks.max.enforce",
        Type.BOOLEAN,
        True,
        Width.SHORT,
        "Enforce tasks max",
        importance=Importance.LOW,
        doc="(Deprecated) Whether a connector that makes more tasks than tasks.max fails.",
    )
    for key, kind in CONVERTER_KEYS.items():
        words = key.replace(".", " ").capitalize()
        worker_class = (worker or {}).get(key)
        chosen = props.get(key) or worker_class
        converter_version = version_of(kind, chosen)
        validator: Any = None
        recommended: list[str] = []
        shown_default = worker_class
        if plugins is not None:
            validator = _plugin_class(plugins, kind)
            recommended = [info.class_name for info in plugins.listed(kind)]
            default_class = plugins.find(kind, worker_class) if worker_class else None
            shown_default = registry.class_name(default_class) if default_class else None
        define(
            key,
            Type.CLASS,
            shown_default,
            Width.SHORT,
            f"{words} class",
            importance=Importance.LOW,
            validator=validator,
            doc=f"The {words.lower()} of this connector; without it that of the worker.",
            recommender=_Recommend(lambda parsed, listed=recommended: listed),  # type: ignore[misc]
        )
        define(
            f"{key}.plugin.version",
            Type.STRING,
            converter_version,
            Width.SHORT,
            f"{words} version",
            importance=Importance.LOW,
            validator=_version_text,
            doc=f"The version of the {words.lower()}.",
            recommender=_Recommend(
                lambda parsed, found=converter_version: [found] if found else [],  # type: ignore[misc]
                lambda parsed, name=key: parsed.get(name) is not None,  # type: ignore[misc]
            ),
        )
    for key, what in (("transforms", "transforms"), ("predicates", "predicates")):
        define(
            key,
            Type.LIST,
            "",
            Width.LONG,
            key.capitalize(),
            group=key.capitalize(),
            importance=Importance.LOW,
            validator=composite(non_null, _unique),
            doc=f"The aliases of the {what}, in the order of their use.",
        )
    define(
        "config.action.reload",
        Type.STRING,
        "restart",
        Width.MEDIUM,
        "Reload Action",
        importance=Importance.LOW,
        validator=valid_string("none", "restart"),
        doc="What happens when a value from a configuration provider expires: none or restart.",
    )
    order = iter(range(1, 30))
    rows: tuple[tuple[str, Type, Any, Width, str, str], ...] = (
        (
            "errors.retry.timeout",
            Type.LONG,
            0,
            Width.MEDIUM,
            "Retry Timeout for Errors",
            "How long, in milliseconds, a failed operation is tried again. 0 = not at all, -1 = for ever.",
        ),
        (
            "errors.retry.delay.max.ms",
            Type.LONG,
            60000,
            Width.MEDIUM,
            "Maximum Delay Between Retries for Errors",
            "The longest pause between two tries, in milliseconds.",
        ),
        (
            "errors.tolerance",
            Type.STRING,
            "none",
            Width.SHORT,
            "Error Tolerance",
            "none: the first error fails the task; all: records that cause errors are left out.",
        ),
        (
            "errors.log.enable",
            Type.BOOLEAN,
            False,
            Width.SHORT,
            "Log Errors",
            "Whether every error goes to the log, tolerated ones too.",
        ),
        (
            "errors.log.include.messages",
            Type.BOOLEAN,
            False,
            Width.SHORT,
            "Log Error Details",
            "Whether the log also says which record it was.",
        ),
    )
    for name, type_, default, width, display, doc in rows:
        define(
            name,
            type_,
            default,
            width,
            display,
            group="Error Handling",
            importance=Importance.MEDIUM,
            validator=valid_string("none", "all") if name == "errors.tolerance" else None,
            doc=doc,
        )
    return definition


def add_sink_keys(definition: ConfigDef) -> ConfigDef:
    definition.define(
        "topics",
        Type.LIST,
        "",
        importance=Importance.HIGH,
        validator=_topic_list,
        group="Common",
        order_in_group=4,
        width=Width.LONG,
        display_name="Topics",
        doc="The topics to read, separated by commas.",
    )
    definition.define(
        "topics.regex",
        Type.STRING,
        "",
        importance=Importance.HIGH,
        validator=_java_regex,
        group="Common",
        order_in_group=4,
        width=Width.LONG,
        display_name="Topics regex",
        doc="A regular expression that the names of the topics to read match. Either this or topics.",
    )
    definition.define(
        DEAD_LETTER_TOPIC,
        Type.STRING,
        "",
        group="Error Handling",
        order_in_group=6,
        width=Width.MEDIUM,
        display_name="Dead Letter Queue Topic Name",
        doc="The topic for records that cannot be processed; without it they are dropped.",
    )
    definition.define(
        "errors.deadletterqueue.topic.replication.factor",
        Type.SHORT,
        3,
        group="Error Handling",
        order_in_group=7,
        width=Width.MEDIUM,
        display_name="Dead Letter Queue Topic Replication Factor",
        doc="The replication factor with which that topic is created.",
    )
    return definition.define(
        "errors.deadletterqueue.context.headers.enable",
        Type.BOOLEAN,
        False,
        group="Error Handling",
        order_in_group=8,
        width=Width.MEDIUM,
        display_name="Enable Error Context Headers",
        doc="Whether headers that begin with __connect.errors. say what went wrong.",
    )


def _topic_list(name: str, value: Any) -> None:
    if value is not None and len(value) > len(set(value)):
        raise ConfigError(f"Configuration '{name}' values must not be duplicated.")


def add_source_keys(definition: ConfigDef) -> ConfigDef:
    definition.define(
        "topic.creation.groups",
        Type.LIST,
        "",
        importance=Importance.LOW,
        validator=composite(non_null, _unique),
        group="Topic Creation",
        order_in_group=1,
        width=Width.LONG,
        display_name="Topic Creation Groups",
        doc="Names of groups of topics that are created with settings of their own.",
    )
    definition.define(
        "exactly.once.support",
        Type.STRING,
        "requested",
        validator=case_insensitive_valid_string("requested", "required"),
        group="Exactly Once Support",
        order_in_group=2,
        width=Width.SHORT,
        display_name="Exactly once support",
        doc="required: refuse this connector unless it and the worker promise exactly once.",
    )
    definition.define(
        "transaction.boundary",
        Type.STRING,
        "poll",
        validator=case_insensitive_valid_string("poll", "interval", "connector"),
        group="Exactly Once Support",
        order_in_group=3,
        width=Width.SHORT,
        display_name="Transaction Boundary",
        doc="What ends a transaction: every poll, an interval, or the connector.",
    )

    def not_negative(name: str, value: Any) -> None:
        if value is not None:
            at_least(0)(name, value)

    definition.define(
        "transaction.boundary.interval.ms",
        Type.LONG,
        None,
        importance=Importance.LOW,
        validator=not_negative,
        group="Exactly Once Support",
        order_in_group=4,
        width=Width.SHORT,
        display_name="Transaction boundary interval",
        doc="The interval, in milliseconds; without it the worker's offset.flush.interval.ms.",
    )
    return definition.define(
        "offsets.storage.topic",
        Type.STRING,
        None,
        importance=Importance.LOW,
        validator=non_empty_string,
        group="offsets.topic",
        order_in_group=1,
        width=Width.LONG,
        display_name="Offsets topic",
        doc="A topic for this connector's offsets instead of the worker's.",
    )


def add_chain_keys(
    definition: ConfigDef, plugins: PluginRegistry, props: Mapping[str, Any], strict: bool = False
) -> ConfigDef:
    """Adds the keys of the transforms and predicates that a configuration names. With `strict` a plug-in that
    cannot be made is an error; otherwise its own keys are left out, and validation reports the type."""
    enriched = ConfigDef(definition)
    for kind, chain in ((TRANSFORMATION, "transforms"), (PREDICATE, "predicates")):
        aliases = parse_type(chain, props.get(chain), Type.LIST) or []
        for alias in dict.fromkeys(aliases):
            _add_alias(enriched, plugins, props, kind, chain, alias, strict)
    return enriched


def _add_alias(
    enriched: ConfigDef,
    plugins: PluginRegistry,
    props: Mapping[str, Any],
    kind: str,
    chain: str,
    alias: str,
    strict: bool,
) -> None:
    prefix = f"{chain}.{alias}."
    group = f"{chain.capitalize()}: {alias}"
    type_key = prefix + "type"
    words = _INTERFACES[kind]
    cls = plugins.find(kind, str(props.get(type_key)))
    version = str(cls.version) if cls is not None else None
    known = _plugin_class(plugins, kind)
    predicates = parse_type("predicates", props.get("predicates"), Type.LIST) or []

    def check_type(name: str, value: Any) -> None:
        negated = kind == TRANSFORMATION and prefix + "negate" in props
        if negated and prefix + "predicate" not in props:
            raise ConfigError(
                f"Config '{prefix}negate' was provided but there is no config '{prefix}predicate' "
                "defining a predicate to be negated."
            )
        known(name, value)

    def check_version(name: str, value: Any) -> None:
        _version_text(name, value)
        if cls is not None:
            try:
                plugins.require_version(cls, value)
            except PluginVersionError as error:
                raise ConfigError(str(error)) from None

    def check_predicate(name: str, value: Any) -> None:
        # A Java worker finds this only when the task starts.
        if value is not None and value not in predicates:
            raise ConfigError(
                name=name, value=value, message=f"Predicate is not among predicates={','.join(predicates)}"
            )

    enriched.define(
        type_key,
        Type.CLASS,
        importance=Importance.HIGH,
        validator=check_type,
        group=group,
        order_in_group=0,
        width=Width.LONG,
        display_name=f"{words} type for {alias}",
        doc=f"Class for the '{alias}' {words.lower()}.",
        recommender=_Recommend(lambda parsed: [info.class_name for info in plugins.listed(kind)]),
    )
    enriched.define_key(
        ConfigKey(
            prefix + "plugin.version",
            Type.STRING,
            version,
            check_version,
            Importance.HIGH,
            f"Version of the '{alias}' {words.lower()}.",
            group,
            1,
            Width.LONG,
            f"{words} version for {alias}",
            (),
            _Recommend(lambda parsed: [version] if version else []),
        )
    )
    if cls is None:
        if strict:
            check_type(type_key, props.get(type_key))
            raise ConfigError(name=type_key, value=props.get(type_key), message=f"Not a {words}")
        return
    child = ConfigDef()
    for key in cls().config_def().keys.values():
        if kind == PREDICATE or key.name not in ("predicate", "negate"):
            child.define_key(key)
    if kind == TRANSFORMATION:
        child.define("negate", Type.BOOLEAN, False, doc="Whether the predicate is turned round.")
        child.define(
            "predicate",
            Type.STRING,
            None,
            validator=lambda name, value: check_predicate(prefix + "predicate", value),
            doc="The alias of the predicate that says which records this is applied to.",
        )
    enriched.embed(prefix, group, 2, child)


def validate_sink(props: Mapping[str, Any], values: dict[str, ConfigValue]) -> None:
    """What concerns several keys of a sink; errors are added at the keys."""
    topics, pattern = props.get("topics") or "", props.get("topics.regex") or ""
    dead_letters = (props.get(DEAD_LETTER_TOPIC) or "").strip()
    has_topics, has_pattern = bool(topics.strip()), bool(pattern.strip())

    def both(message: str) -> None:
        for key in ("topics", "topics.regex"):
            values.setdefault(key, ConfigValue(key)).add_error_message(message)

    if has_topics and has_pattern:
        both("topics and topics.regex are mutually exclusive options, but both are set.")
    if not has_topics and not has_pattern:
        both("Must configure one of topics or topics.regex")
    if not dead_letters:
        return
    listed = [topic for topic in dict.fromkeys(parse_type("topics", topics, Type.LIST)) if topic]
    if dead_letters in listed:
        values["topics"].add_error_message(
            f"The DLQ topic '{dead_letters}' may not be included in the list of topics "
            f"('topics={value_text(listed)}') consumed by the connector"
        )
    if has_pattern:
        try:
            matched = regex.compile_java(pattern).fullmatch(dead_letters)
        except regex.JavaRegexError:
            return
        if matched:
            values["topics.regex"].add_error_message(
                f"The DLQ topic '{dead_letters}' may not be matched by the regex for the topics "
                f"('topics.regex={pattern}') consumed by the connector"
            )


@dataclass(frozen=True)
class ValidationContext:
    """What validation needs to know of its worker."""

    plugins: PluginRegistry
    worker: Mapping[str, Any]  # The worker's configuration as strings.
    policy: OverridePolicy
    exactly_once_source: bool = False
    distributed: bool = True
    group_id: str | None = None  # The group of the workers, None in standalone mode.


def validate_connector(props: dict[str, str], context: ValidationContext) -> ConfigInfos:
    """All keys with all their errors. BadConfigError when there is no connector to ask."""
    name = props.get(CONNECTOR_CLASS)
    if name is None:
        raise BadConfigError(f"Connector config {map_text(props)} contains no connector type")
    plugins = context.plugins
    requirement = props.get(CONNECTOR_VERSION)
    try:
        versions.check_requirement(requirement)
        connector_class = plugins.connector_class(name, requirement)
    except PluginVersionError as error:
        return _wrong_version(props, name, str(error), context)
    except ConnectError as error:
        raise BadConfigError(str(error)) from error
    connector: Connector = connector_class()
    is_source = isinstance(connector, SourceConnector)
    definition = common_config(plugins, props, context.worker)
    definition = add_source_keys(definition) if is_source else add_sink_keys(definition)
    definition = add_chain_keys(definition, plugins, props)
    values = definition.validate_all(props)
    if is_source:
        assert isinstance(connector, SourceConnector)
        if context.distributed:
            _validate_exactly_once(connector, props, values, context)
    else:
        validate_sink(props, values)
        if context.group_id is not None:
            _validate_consumer_group(props, values, context.group_id)
    for key, value in props.items():
        if value is None:
            values.setdefault(key, ConfigValue(key)).add_error_message(
                "Null value can not be supplied as the configuration value."
            )
    converters = _validate_converters(props, values, plugins)
    overrides = _validate_overrides(name, props, is_source, context.policy)
    own_definition = connector.config_def()
    own_values = connector.validate(props)
    keys = {**definition.keys, **own_definition.keys}
    groups = list(dict.fromkeys(definition.groups() + own_definition.groups()))
    result = _result(name, keys, [*values.values(), *own_values], groups, plugins)
    result.merge(overrides)
    result.merge(converters)
    return result


def _wrong_version(props: dict[str, str], name: str, message: str, context: ValidationContext) -> ConfigInfos:
    definition = common_config(context.plugins, props)
    values = definition.validate_all(props)
    for key in (CONNECTOR_CLASS, CONNECTOR_VERSION):
        values[key].add_error_message(message)
    return _result(name, definition.keys, list(values.values()), definition.groups(), context.plugins)


def _validate_exactly_once(
    connector: SourceConnector,
    props: dict[str, str],
    values: dict[str, ConfigValue],
    context: ValidationContext,
) -> None:
    support = values["exactly.once.support"]
    if not support.error_messages and str(support.value).strip().lower() == "required":
        if not context.exactly_once_source:
            support.add_error_message("This worker does not have exactly-once source support enabled.")
        try:
            declared = connector.exactly_once_support(props)
        except ConfigError:
            declared = ExactlyOnceSupport.SUPPORTED  # The connector's own validation tells what is wrong.
        if declared is not ExactlyOnceSupport.SUPPORTED:
            support.add_error_message(
                "The connector does not support exactly-once delivery guarantees with the provided "
                "configuration."
                if declared is ExactlyOnceSupport.UNSUPPORTED
                else "The connector does not implement the API required for preflight validation of "
                "exactly-once source support. Please consult the documentation for the connector to "
                "determine whether it supports exactly-once semantics, and then consider reconfiguring "
                'the connector to use the value "requested" for this property (which will disable this '
                "preflight check and allow the connector to be created)."
            )
    boundary = values["transaction.boundary"]
    if not boundary.error_messages and str(boundary.value).strip().lower() == "connector":
        if not context.exactly_once_source:
            boundary.add_error_message("This worker does not have exactly-once source support enabled.")
        if connector.can_define_transaction_boundaries(props) is not ConnectorTransactionBoundaries.SUPPORTED:
            boundary.add_error_message(
                "The connector does not support connector-defined transaction boundaries with the given "
                "configuration. Please reconfigure it to use a different transaction boundary definition."
            )


def _validate_consumer_group(props: Mapping[str, Any], values: dict[str, ConfigValue], group_id: str) -> None:
    """A sink that joined the workers' own group would take it apart."""
    override = "consumer.override.group.id"
    if override in props:
        if props[override] == group_id:
            values.setdefault(override, ConfigValue(override)).add_error_message(
                f"Consumer group {group_id} conflicts with Connect worker group {group_id}"
            )
    elif group_id == f"connect-{values[NAME].value}":
        values[NAME].add_error_message(
            f"Consumer group for sink connector named {values[NAME].value} conflicts with Connect worker "
            f"group {group_id}"
        )


def _validate_converters(
    props: Mapping[str, str], values: dict[str, ConfigValue], plugins: PluginRegistry
) -> ConfigInfos:
    result = ConfigInfos("")
    for key in ("header.converter", "key.converter", "value.converter"):
        cls = plugins.find(CONVERTER_KEYS[key], props[key]) if props.get(key) else None
        version_value = values[f"{key}.plugin.version"]
        if cls is None or values[key].error_messages or version_value.error_messages:
            continue
        try:
            plugins.require_version(cls, props.get(f"{key}.plugin.version"))
        except PluginVersionError as error:
            values[key].add_error_message(str(error))
            version_value.add_error_message(str(error))
            continue
        definition = cls().config_def()
        prefix = key + "."
        given = {name[len(prefix) :]: value for name, value in props.items() if name.startswith(prefix)}
        given.setdefault("converter.type", key.partition(".")[0])
        result.merge(_prefixed(definition, definition.validate(given), prefix, plugins))
    return result


def _validate_overrides(
    name: str, props: Mapping[str, str], is_source: bool, policy: OverridePolicy
) -> ConfigInfos:
    result = ConfigInfos(name)
    has_dead_letters = bool((props.get(DEAD_LETTER_TOPIC) or "").strip())
    wanted = []
    if is_source or has_dead_letters:
        wanted.append(("producer", "producer.override."))
    creates_topics = is_source and any(key.startswith(TOPIC_CREATION) for key in props)
    if creates_topics or (not is_source and has_dead_letters):
        wanted.append(("admin", "admin.override."))
    if not is_source:
        wanted.append(("consumer", CONSUMER_OVERRIDES))
    for client, prefix in wanted:
        given = {key[len(prefix) :]: value for key, value in props.items() if key.startswith(prefix)}
        result.merge(_prefixed(ConfigDef(), policy(client, given), prefix, None))
    return result


def _prefixed(
    definition: ConfigDef, values: Sequence[ConfigValue], prefix: str, plugins: PluginRegistry | None
) -> ConfigInfos:
    result = ConfigInfos("")
    for value in values:
        key = definition.keys.get(value.name)
        if key is not None and key.group is not None and key.group not in result.groups:
            result.groups.append(key.group)
        if value.error_messages:
            result.error_count += 1
        info = ConfigInfo(None, _value_json(replace(value, name=prefix + value.name), key, plugins))
        if key is not None:
            info.definition = key_json(replace(key, name=prefix + key.name))
        result.configs.append(info)
    return result


def _result(
    name: str,
    keys: Mapping[str, ConfigKey],
    values: Sequence[ConfigValue],
    groups: list[str],
    plugins: PluginRegistry,
) -> ConfigInfos:
    result = ConfigInfos(name, groups=groups)
    by_name = {value.name: value for value in values}
    for value in values:
        if value.name not in keys:
            result.configs.append(ConfigInfo(None, _value_json(value, None, plugins)))
            result.error_count += len(value.error_messages)
    for key in keys.values():
        known = by_name.get(key.name)
        if known is None:
            known = ConfigValue(key.name, visible=False)
        result.error_count += len(known.error_messages)
        result.configs.append(ConfigInfo(key_json(key), _value_json(known, key, plugins)))
    return result


def key_json(key: ConfigKey) -> dict[str, Any]:
    """A key's definition in the words of the REST API."""
    grouped = key.group is not None
    return {
        "name": key.name,
        "type": key.type.value,
        "required": not key.has_default,
        "default_value": convert_to_text(key.default_value, key.type) if key.has_default else None,
        "importance": key.importance.value,
        "documentation": key.documentation,
        "group": key.group,
        "order_in_group": key.order_in_group if grouped else -1,
        "width": key.width.value if grouped else "NONE",
        "display_name": key.display_name,
        "dependents": list(key.dependents),
    }


def _value_json(value: ConfigValue, key: ConfigKey | None, plugins: PluginRegistry | None) -> dict[str, Any]:
    type_ = key.type if key is not None else None
    shown = value.value
    if type_ is Type.CLASS and isinstance(shown, str) and plugins is not None:
        known = plugins.find_any(shown)
        shown = known.class_name if known is not None else shown
    return {
        "name": value.name,
        "value": convert_to_text(shown, type_),
        "recommended_values": [convert_to_text(item, type_) for item in value.recommended_values],
        "errors": list(value.error_messages),
        "visible": value.visible,
    }


def hide_passwords(props: Mapping[str, Any], definition: ConfigDef) -> dict[str, Any]:
    """The same map with secrets hidden, for the log."""
    secret = {key.name for key in definition.keys.values() if key.type is Type.PASSWORD}
    return {name: Password.HIDDEN if name in secret else value for name, value in props.items()}


_GROUP_KEY: Final = re.compile(r"topic\.creation\.([^.]+)\.(.+)")


@dataclass(frozen=True)
class TopicCreationGroup:
    """How topics of a group are created. Partitions and replication factor -1 = the broker's default."""

    name: str
    partitions: int
    replication_factor: int
    include: tuple[re.Pattern[str], ...] = ()
    exclude: tuple[re.Pattern[str], ...] = ()
    settings: Mapping[str, str] = field(default_factory=dict)

    def matches(self, topic: str) -> bool:
        if self.name == "default":
            return True
        return any(p.fullmatch(topic) for p in self.include) and not any(
            p.fullmatch(topic) for p in self.exclude
        )


def topic_creation_groups(props: Mapping[str, str]) -> list[TopicCreationGroup]:
    """The groups in the order in which they are tried, `default` last; none when the connector creates no
    topics. ConfigError for bad ones (KIP-158)."""
    if not any(key.startswith(TOPIC_CREATION) for key in props):
        return []

    def number(key: str, type_: Type, default: int | None) -> int:
        if key not in props:
            if default is None:
                raise ConfigError(f'Missing required configuration "{key}" which has no default value.')
            return default
        value: int = parse_type(key, props[key], type_)
        if value == 0 or value < -1:
            what = "Replication factor" if type_ is Type.SHORT else "Number of partitions"
            raise ConfigError(
                name=key,
                value=value,
                message=f"{what} must be positive and not larger than the number of "
                "brokers in the Kafka cluster, or -1 to use the broker's default",
            )
        return value

    def settings(group: str) -> dict[str, str]:
        own = ("include", "exclude", "partitions", "replication.factor")
        found = {}
        for key, value in props.items():
            match = _GROUP_KEY.fullmatch(key)
            if match is not None and match[1] == group and match[2] not in own:
                found[match[2]] = value
        return found

    def patterns(key: str) -> tuple[re.Pattern[str], ...]:
        try:
            return tuple(regex.compile_java(p) for p in parse_type(key, props.get(key), Type.LIST) or ())
        except regex.JavaRegexError as error:
            raise ConfigError(name=key, value=props.get(key), message=str(error)) from None

    prefix = f"{TOPIC_CREATION}default."
    factor = number(prefix + "replication.factor", Type.SHORT, None)
    partitions = number(prefix + "partitions", Type.INT, None)
    groups = []
    for name in dict.fromkeys(parse_type("g", props.get("topic.creation.groups"), Type.LIST) or ()):
        if name == "default":
            continue
        own = f"{TOPIC_CREATION}{name}."
        groups.append(
            TopicCreationGroup(
                name,
                number(own + "partitions", Type.INT, partitions),
                number(own + "replication.factor", Type.SHORT, factor),
                patterns(own + "include"),
                patterns(own + "exclude"),
                settings(name),
            )
        )
    groups.append(TopicCreationGroup("default", partitions, factor, settings=settings("default")))
    return groups

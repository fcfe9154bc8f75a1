"""The configuration of one broker: the properties file, and what was set dynamically on top of it.

In: properties; overrides of the broker and of all brokers. Out: `BrokerConfig`, whose
`config["log.roll.ms"]` is typed and derived (what Kafka computes from other names is computed). What must
hold: an object never changes; `with_dynamic` makes another one. A wrong properties file is a ConfigError that
names key, value and bound.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final, NoReturn

from pybroker.common.config.checks import BrokenRule, broken_rules
from pybroker.common.config.keys import format_value
from pybroker.common.config.listeners import Listener, check_ports, parse_listeners, parse_protocol_map
from pybroker.common.config.names import (
    AUTHORIZER_KEYS,
    BROKER_KEYS,
    KAFKA_KEYS,
    LISTENER_PREFIX,
    PLUGIN_PREFIXES,
    STATIC_KEYS,
    TOPIC_INTERNAL_KEYS,
    TOPIC_KEYS,
    broker_key,
    broker_synonyms,
    is_dynamic,
    listener_base_name,
    nearest_name,
)
from pybroker.common.config.quorum import (
    BOOTSTRAP,
    VOTERS,
    broken_quorum_rules,
    is_alone,
    parse_bootstrap_servers,
    parse_voters,
)
from pybroker.common.errors import ConfigError
from pybroker.common.peers import Address

_MINUTE_MS: Final = 60_000
_HOUR_MS: Final = 3_600_000
_ABSENT: Final = object()

# What each listener may have a value of its own for.
_USED_BY_LISTENER: Final = frozenset({"max.connections", "max.connection.creation.rate"})

# What Kafka requires and a single node can do without being told.
_MINIMAL: Final = {
    "process.roles": "broker,controller",
    "node.id": "1",
    "controller.listener.names": "CONTROLLER",
}


class BrokerConfig:
    """Typed, checked configuration. `static`, `dynamic_default` and `dynamic_broker` hold the raw texts."""

    __slots__ = (
        "_derived",
        "_topic_defaults",
        "_values",
        "dynamic_broker",
        "dynamic_default",
        "static",
        "unused",
    )

    static: Mapping[str, str]
    dynamic_default: Mapping[str, str]
    dynamic_broker: Mapping[str, str]
    unused: list[str]
    """Names in the properties file that are known, and have no effect here."""

    def __init__(
        self,
        static: Mapping[str, str],
        dynamic_default: Mapping[str, str],
        dynamic_broker: Mapping[str, str],
        unused: list[str],
    ) -> None:
        """Not for callers: see `from_properties` and `with_dynamic`."""
        self.static = static
        self.dynamic_default = dynamic_default
        self.dynamic_broker = dynamic_broker
        self.unused = unused
        values = dict(_DEFAULTS)
        for name, text in self.effective_texts().items():
            key = STATIC_KEYS.get(name)
            if key is not None:
                values[name] = key.parse(text)
        self._values = values
        self._derived = {**values, **_derive(values)}
        self._topic_defaults: dict[str, Any] | None = None

    @classmethod
    def from_properties(cls, properties: Mapping[str, str]) -> BrokerConfig:
        """From the names and values of a properties file. ConfigError for anything wrong."""
        unused = []
        for name, text in properties.items():
            if not is_known(name):
                raise ConfigError(
                    f"Unknown configuration {_short(name)}={_short(text)}: did you mean {nearest_name(name)}?"
                )
            key = STATIC_KEYS.get(name)
            is_used = key.used if key is not None else listener_base_name(name) in _USED_BY_LISTENER
            if not is_used:
                unused.append(name)
        static = dict(properties)
        if "node.id" not in static and static.get("broker.id", "-1").strip() != "-1":
            static["node.id"] = static["broker.id"]
        for name, text in _MINIMAL.items():
            static.setdefault(name, text)
        static.setdefault("broker.id", static["node.id"])
        _check_prefixed(static)
        config = cls(static, {}, {}, sorted(unused))
        config._check()
        return config

    def with_dynamic(self, per_broker: Mapping[str, str], cluster: Mapping[str, str]) -> BrokerConfig:
        """The same properties with these overrides, which replace earlier ones.

        An override that could not be set now (left by another version) is ignored, as Kafka does.
        """
        cluster, per_broker = _acceptable(cluster), _acceptable(per_broker)
        if cluster == self.dynamic_default and per_broker == self.dynamic_broker:
            return self
        return BrokerConfig(self.static, cluster, per_broker, self.unused)

    def __getitem__(self, name: str) -> Any:
        """The typed value, derived where Kafka derives it; KeyError for a name that is not in the tables."""
        return self._derived[name]

    def get(self, name: str, default: Any = _ABSENT) -> Any:
        """As `config[name]`. A KeyError for an unknown name, unless `default` is given."""
        value = self._derived.get(name, default)
        if value is _ABSENT:
            raise KeyError(name)
        return value

    def configured(self, name: str) -> Any:
        """The typed value as it was set or as its default is, not derived: None when unset."""
        return self._values[name]

    def for_listener(self, listener: str, name: str) -> Any:
        """The typed value of `listener.name.<listener>.<name>`, or that of `name` when it is not set."""
        prefixed = f"{LISTENER_PREFIX}{listener.lower()}.{name}"
        for level in (self.dynamic_broker, self.dynamic_default, self.static):
            if prefixed in level:
                return STATIC_KEYS[name].parse(level[prefixed])
        return self[name]

    @property
    def node_id(self) -> int:
        node_id: int = self["node.id"]
        return node_id

    @property
    def log_dirs(self) -> list[str]:
        log_dirs: list[str] = self["log.dirs"]
        return log_dirs

    def effective_texts(self) -> dict[str, str]:
        """The raw text of every name that is set somewhere, the strongest level winning.

        A dynamic value hides the other names that could give the same value: with log.retention.ms set
        dynamically, log.retention.hours of the properties file counts (and is shown) as not set.
        """
        texts = dict(self.static)
        for level in (self.dynamic_default, self.dynamic_broker):
            for name, text in level.items():
                if not name.startswith(LISTENER_PREFIX):
                    for synonym in broker_synonyms(name):
                        texts.pop(synonym, None)
                texts[name] = text
        return texts

    def security_protocols(self) -> dict[str, str]:
        """Listener name to security protocol."""
        protocols = parse_protocol_map(self["listener.security.protocol.map"])
        if "listener.security.protocol.map" not in self.static:
            # Kafka's rule for a cluster without security: the controller's listener needs no entry.
            names = {entry.partition("://")[0].upper() for entry in self["listeners"]}
            if not any(protocols.get(name, "PLAINTEXT") != "PLAINTEXT" for name in names):
                for name in self["controller.listener.names"]:
                    protocols.setdefault(name.upper(), "PLAINTEXT")
        return protocols

    def listeners(self) -> list[Listener]:
        """Where clients connect, from `listeners`."""
        hidden = self._controller_names()
        return [listener for listener in self._parse_listeners("listeners") if listener.name not in hidden]

    def controller_listeners(self) -> list[Listener]:
        """Where other nodes reach this node's controller, in the order of `listeners`."""
        names = self._controller_names()
        return [listener for listener in self._parse_listeners("listeners") if listener.name in names]

    def advertised_listeners(self) -> list[Listener]:
        """What clients are told, from `advertised.listeners`, or `listeners` when that is not set."""
        hidden = self._controller_names()
        advertised = self._parse_listeners("advertised.listeners")
        return [listener for listener in advertised if listener.name not in hidden]

    def advertised_controller_listeners(self) -> list[Listener]:
        """What other nodes are told, in the order of `controller.listener.names`; from
        `advertised.listeners` where that has the name, else from `listeners`."""
        found = {listener.name: listener for listener in self.controller_listeners()}
        if self._values["advertised.listeners"]:
            for listener in self._parse_listeners("advertised.listeners"):
                if listener.name in found:
                    found[listener.name] = listener
        return [found[name] for name in self._controller_names() if name in found]

    def quorum_voters(self) -> dict[int, Address]:
        """The voters of a static quorum, from `controller.quorum.voters`; empty for a dynamic one."""
        return parse_voters(self[VOTERS])

    def quorum_bootstrap_servers(self) -> list[Address]:
        """Where to ask who leads the quorum: `controller.quorum.bootstrap.servers`, else the voters."""
        return parse_bootstrap_servers(self[BOOTSTRAP]) or list(self.quorum_voters().values())

    @property
    def is_alone(self) -> bool:
        """Whether no other node is named anywhere: then this node may form a quorum of its own."""
        controllers = [*self.controller_listeners(), *self.advertised_controller_listeners()]
        bootstrap = parse_bootstrap_servers(self[BOOTSTRAP])
        return is_alone(self.node_id, self["process.roles"], self.quorum_voters(), bootstrap, controllers)

    def _controller_names(self) -> list[str]:
        return [name.upper() for name in self["controller.listener.names"]]

    def _parse_listeners(self, name: str) -> list[Listener]:
        return parse_listeners(self[name], self.security_protocols(), name)

    def topic_values(self, overrides: Mapping[str, str]) -> dict[str, Any]:
        """Every topic name with its typed value for a topic with these overrides.

        `internal.segment.bytes` is there only when it is set. An override that does not parse is ignored.
        """
        defaults = self._topic_defaults
        if defaults is None:
            defaults = self._topic_defaults = {
                name: self[key.synonyms[0]] if key.synonyms else key.default
                for name, key in TOPIC_KEYS.items()
            }
        values = dict(defaults)
        for name, text in overrides.items():
            key = TOPIC_KEYS.get(name) or TOPIC_INTERNAL_KEYS.get(name)
            if key is not None:
                try:
                    values[name] = key.parse(text)
                except ConfigError:
                    continue
        return values

    def _check(self) -> None:
        """What must hold between the names of the properties file."""
        for rule in broken_rules(self.__getitem__):
            self._refuse(rule)
        if self._values["broker.id"] not in (-1, self["node.id"]):
            raise ConfigError(
                f"Invalid configuration broker.id={self._values['broker.id']}: "
                f"it must be equal to node.id={self['node.id']}"
            )
        self._check_quorum()
        self._check_listeners()

    def _check_quorum(self) -> None:
        every = self._parse_listeners("listeners")
        for rule in broken_quorum_rules(
            self.__getitem__,
            voters=self.quorum_voters(),
            listener_names=[listener.name for listener in every],
            advertised_controllers=self.advertised_controller_listeners(),
            protocols=self.security_protocols(),
            alone=self.is_alone,
        ):
            self._refuse(rule)

    def _refuse(self, rule: BrokenRule) -> NoReturn:
        settings = ", ".join(
            f"{name}={format_value(self._values[name])}"
            for name in rule.names
            if self._values[name] is not None
        )
        message = rule.message if rule.message != "/ by zero" else "Value must be at least 1"
        raise ConfigError(f"Invalid configuration {settings}: {message}")

    def _check_listeners(self) -> None:
        listeners = self.listeners()
        text = ",".join(self["listeners"])
        every = self._parse_listeners("listeners")
        check_ports(every, f"listeners={text}")
        for listener in every:
            if listener.security_protocol != "PLAINTEXT":
                # Serving it as plain text would break the promise that the name makes.
                raise ConfigError(
                    f"Invalid configuration listeners={text}: listener {listener.name} has the security "
                    f"protocol {listener.security_protocol}, and only PLAINTEXT is supported so far"
                )
        if "broker" not in self["process.roles"]:
            return
        if not listeners:
            raise ConfigError(
                f"Invalid configuration listeners={text}: it has no listener for clients: "
                "There must be at least one broker advertised listener. "
                "Perhaps all listeners appear in controller.listener.names?"
            )
        names = {listener.name for listener in listeners}
        for advertised in self.advertised_listeners():
            shown = f"advertised.listeners={','.join(self['advertised.listeners'])}"
            if advertised.name not in names:
                raise ConfigError(
                    f"Invalid configuration {shown}: {advertised.name} is not one of listeners={text}"
                )
            if self._values["advertised.listeners"] and advertised.host in ("0.0.0.0", "::"):
                raise ConfigError(
                    f"Invalid configuration {shown}: the address {advertised.host} cannot be connected to"
                )
        inter_broker = self["inter.broker.listener.name"]
        if inter_broker is not None:
            if "security.inter.broker.protocol" in self.static:
                raise ConfigError(
                    f"Only one of inter.broker.listener.name={inter_broker} and security.inter.broker"
                    f".protocol={self.static['security.inter.broker.protocol']} should be set"
                )
            if inter_broker.upper() not in names:
                raise ConfigError(
                    f"Invalid configuration inter.broker.listener.name={inter_broker}: "
                    f"it is not one of listeners={text}"
                )


def log_config_from(resolved: Mapping[str, Any]) -> dict[str, Any]:
    """Keyword arguments of `pybroker.log.LogConfig` from typed topic values: "_" for ".", lists as tuples."""
    arguments = {name.replace(".", "_"): resolved[name] for name in _LOG_NAMES}
    arguments["cleanup_policy"] = tuple(resolved["cleanup.policy"])
    segment_bytes = resolved.get("internal.segment.bytes")
    if segment_bytes is not None:
        arguments["segment_bytes"] = segment_bytes
    return arguments


_DEFAULTS: Final = {name: key.default for name, key in STATIC_KEYS.items()}
_LOG_NAMES: Final = (
    *(key.name for key in TOPIC_KEYS.values() if key.single_node),
    "unclean.leader.election.enable",
)


def _derive(values: Mapping[str, Any]) -> dict[str, Any]:
    """The names that Kafka computes from others when they are not set."""

    def milliseconds(*names_and_units: tuple[str, int]) -> int:
        return next(int(values[name]) * unit for name, unit in names_and_units if values[name] is not None)

    retention_ms = milliseconds(
        ("log.retention.ms", 1), ("log.retention.minutes", _MINUTE_MS), ("log.retention.hours", _HOUR_MS)
    )
    log_dirs = values["log.dirs"] or values["log.dir"]
    controller_names = {name.upper() for name in values["controller.listener.names"] or ()}
    client_listeners = [
        entry for entry in values["listeners"] if entry.partition("://")[0].upper() not in controller_names
    ]
    moving_threads = values["num.replica.alter.log.dirs.threads"]
    return {
        "log.retention.ms": max(retention_ms, -1),
        "log.roll.ms": milliseconds(("log.roll.ms", 1), ("log.roll.hours", _HOUR_MS)),
        "log.roll.jitter.ms": milliseconds(("log.roll.jitter.ms", 1), ("log.roll.jitter.hours", _HOUR_MS)),
        "log.flush.interval.ms": milliseconds(
            ("log.flush.interval.ms", 1), ("log.flush.scheduler.interval.ms", 1)
        ),
        "log.dirs": log_dirs,
        "metadata.log.dir": values["metadata.log.dir"] or log_dirs[0],
        "advertised.listeners": values["advertised.listeners"] or client_listeners,
        "broker.id": values["node.id"],
        "num.replica.alter.log.dirs.threads": len(log_dirs) if moving_threads is None else moving_threads,
        "max.connections": min(values["max.connections"], values["pybroker.connections.max"]),
        "max.connections.per.ip": min(
            values["max.connections.per.ip"], values["pybroker.connections.max.per.ip"]
        ),
    }


def is_known(name: str) -> bool:
    """Whether a properties file may have this name."""
    if name in STATIC_KEYS or name in AUTHORIZER_KEYS or name.startswith(PLUGIN_PREFIXES):
        return True
    base = listener_base_name(name)
    return base is not None and base in BROKER_KEYS


def _check_prefixed(static: Mapping[str, str]) -> None:
    """Values that `BrokerConfig` does not type: a listener's own ones, and the authorizer's."""
    for name, text in static.items():
        if name in AUTHORIZER_KEYS:
            AUTHORIZER_KEYS[name].parse(text)
        elif name.startswith(LISTENER_PREFIX):
            key = broker_key(name)
            if key is not None:
                try:
                    key.parse(text)
                except ConfigError as error:
                    raise ConfigError(f"{name}={_short(text)}: {error}") from None


def _acceptable(overrides: Mapping[str, str]) -> dict[str, str]:
    accepted = {}
    for name, text in overrides.items():
        key = broker_key(name)
        if key is not None:
            if name in KAFKA_KEYS and not is_dynamic(name):
                continue
            try:
                key.parse(text)
            except ConfigError:
                continue
        accepted[name] = text
    return accepted


def _short(text: str) -> str:
    return text if len(text) <= 200 else text[:200] + "..."

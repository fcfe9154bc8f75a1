"""The configuration of a worker: its keys with types and defaults, and reading it from a properties file.

In: text in the format of Java properties, or a map of strings. Out: `WorkerConfig`, with typed values and
with the strings as they were given (which the prefixes `producer.`, `consumer.`, `config.storage.` and so
on need).
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any, Final
from urllib.parse import urlsplit

from connect.api.config_def import (
    NO_DEFAULT_VALUE,
    ConfigDef,
    Importance,
    Type,
    at_least,
    between,
    case_insensitive_valid_string,
    valid_string,
)
from connect.api.errors import ConfigError

_HIGH, _MEDIUM, _LOW = Importance.HIGH, Importance.MEDIUM, Importance.LOW
_REQUIRED: Final = NO_DEFAULT_VALUE
_STR, _INT, _LONG, _LIST, _BOOL, _CLASS = (
    Type.STRING,
    Type.INT,
    Type.LONG,
    Type.LIST,
    Type.BOOLEAN,
    Type.CLASS,
)


def _partitions(name: str, value: Any) -> None:
    if value < -1 or value == 0:
        raise ConfigError(name=name, value=value, message="Number of partitions must be at least 1 or -1")


def _replication_factor(name: str, value: Any) -> None:
    if value < -1 or value == 0:
        raise ConfigError(
            name=name,
            value=value,
            message="Replication factor must be positive and not larger than the number of brokers in the "
            "Kafka cluster, or -1 to use the broker's default",
        )


def _listener_urls(name: str, value: Any) -> None:
    for listener in value or ():
        if urlsplit(listener).scheme.lower() not in ("http", "https"):
            raise ConfigError(
                name=name, value=value, message=f"listener {listener!r} must begin with http:// or https://"
            )


def _at_least_one(name: str, value: Any) -> None:
    if not value:
        raise ConfigError(name=name, value=value, message="At least one listener is expected.")
    _listener_urls(name, value)


def _no_extensions(name: str, value: Any) -> None:
    # One may be what keeps strangers out: a worker that left it out in silence would be open to them.
    if value:
        raise ConfigError(
            name=name,
            value=value,
            message="REST extensions are not supported; use ssl.client.auth or a proxy",
        )


_HMACS: Final = ("HmacSHA1", "HmacSHA224", "HmacSHA256", "HmacSHA384", "HmacSHA512")


def _known_macs(name: str, value: Any) -> None:
    values = value if isinstance(value, list) else [value]
    if not values:
        raise ConfigError(name=name, value=value, message="At least one algorithm is expected.")
    for item in values:
        if item not in _HMACS:
            raise ConfigError(
                name=name, value=item, message=f"Unknown algorithm; known are {', '.join(_HMACS)}"
            )


# name, type, default, importance, validator, what it is
_Row = tuple[str, Type, Any, Importance, Any, str]
_COMMON: Final[tuple[_Row, ...]] = (
    ("bootstrap.servers", _LIST, _REQUIRED, _HIGH, None, "Brokers to begin with, as host:port."),
    (
        "client.dns.lookup",
        _STR,
        "use_all_dns_ips",
        _MEDIUM,
        valid_string("use_all_dns_ips", "resolve_canonical_bootstrap_servers_only"),
        "How host names are resolved.",
    ),
    ("key.converter", _CLASS, _REQUIRED, _HIGH, None, "The converter of keys."),
    ("key.converter.plugin.version", _STR, None, _LOW, None, "Its version."),
    ("value.converter", _CLASS, _REQUIRED, _HIGH, None, "The converter of values."),
    ("value.converter.plugin.version", _STR, None, _LOW, None, "Its version."),
    (
        "header.converter",
        _CLASS,
        "org.apache.kafka.connect.storage.SimpleHeaderConverter",
        _LOW,
        None,
        "The converter of headers.",
    ),
    ("header.converter.plugin.version", _STR, None, _LOW, None, "Its version."),
    (
        "task.shutdown.graceful.timeout.ms",
        _LONG,
        5000,
        _LOW,
        None,
        "How long all tasks together may take to stop.",
    ),
    ("offset.flush.interval.ms", _LONG, 60000, _LOW, None, "How often offsets are stored."),
    ("offset.flush.timeout.ms", _LONG, 5000, _LOW, None, "How long storing them may take."),
    ("plugin.path", _LIST, None, _LOW, None, "Folders with plug-ins."),
    (
        "plugin.discovery",
        _STR,
        "hybrid_warn",
        _LOW,
        case_insensitive_valid_string("only_scan", "service_load", "hybrid_warn", "hybrid_fail"),
        "Accepted for Java's sake: there is one way of discovery here.",
    ),
    ("metrics.sample.window.ms", _LONG, 30000, _LOW, at_least(0), "The window of rates."),
    ("metrics.num.samples", _INT, 2, _LOW, at_least(1), "The number of windows."),
    (
        "metrics.recording.level",
        _STR,
        "INFO",
        _LOW,
        valid_string("INFO", "DEBUG", "TRACE"),
        "Accepted for Java's sake.",
    ),
    ("metric.reporters", _LIST, "", _LOW, None, "Accepted for Java's sake: metrics are on /metrics."),
    ("config.providers", _LIST, "", _LOW, None, "Aliases of configuration providers."),
    (
        "connector.client.config.override.policy",
        _STR,
        "All",
        _MEDIUM,
        None,
        "Which client settings connectors may override: All, None, Principal, Allowlist or a class.",
    ),
    (
        "connector.client.config.override.allowlist",
        _LIST,
        "",
        _MEDIUM,
        None,
        "The settings that policy Allowlist allows.",
    ),
    ("topic.creation.enable", _BOOL, True, _LOW, None, "Whether source connectors may create topics."),
    ("topic.tracking.enable", _BOOL, True, _LOW, None, "Whether the topics in use are tracked."),
    ("topic.tracking.allow.reset", _BOOL, True, _LOW, None, "Whether that list may be cleared."),
    ("listeners", _LIST, "http://:8083", _LOW, _at_least_one, "Where the REST API listens."),
    ("rest.advertised.host.name", _STR, None, _LOW, None, "The name that other workers use."),
    ("rest.advertised.port", _INT, None, _LOW, None, "The port that other workers use."),
    ("rest.advertised.listener", _STR, None, _LOW, None, "The protocol that other workers use."),
    ("access.control.allow.origin", _STR, "", _LOW, None, "Access-Control-Allow-Origin."),
    ("access.control.allow.methods", _STR, "", _LOW, None, "Access-Control-Allow-Methods."),
    ("response.http.headers.config", _STR, "", _LOW, None, "Headers to set on every answer."),
    ("rest.extension.classes", _LIST, "", _LOW, _no_extensions, "Extensions of the REST API."),
    ("admin.listeners", _LIST, None, _LOW, _listener_urls, "Where /admin listens, if elsewhere."),
    (
        "ssl.client.auth",
        _STR,
        "none",
        _LOW,
        valid_string("required", "requested", "none"),
        "Whether REST clients show a certificate.",
    ),
)
_STANDALONE: Final[tuple[_Row, ...]] = (
    ("offset.storage.file.filename", _STR, _REQUIRED, _HIGH, None, "The file that holds source offsets."),
)
_DISTRIBUTED: Final[tuple[_Row, ...]] = (
    ("group.id", _STR, _REQUIRED, _HIGH, None, "The group of workers."),
    ("session.timeout.ms", _INT, 10000, _HIGH, None, "When a silent worker counts as gone."),
    ("rebalance.timeout.ms", _INT, 60000, _HIGH, None, "How long workers have to rejoin."),
    ("heartbeat.interval.ms", _INT, 3000, _HIGH, None, "How often a worker shows that it is there."),
    (
        "exactly.once.source.support",
        _STR,
        "disabled",
        _HIGH,
        case_insensitive_valid_string("disabled", "preparing", "enabled"),
        "Whether source tasks write records and offsets in transactions.",
    ),
    ("worker.sync.timeout.ms", _INT, 3000, _MEDIUM, None, "How long a worker that is behind may catch up."),
    ("worker.unsync.backoff.ms", _INT, 300000, _MEDIUM, None, "How long one that could not stays away."),
    ("offset.storage.topic", _STR, _REQUIRED, _HIGH, None, "The topic of source offsets."),
    ("offset.storage.partitions", _INT, 25, _LOW, _partitions, "Its partitions."),
    (
        "offset.storage.replication.factor",
        Type.SHORT,
        3,
        _LOW,
        _replication_factor,
        "Its replication factor.",
    ),
    ("config.storage.topic", _STR, _REQUIRED, _HIGH, None, "The topic of configurations."),
    (
        "config.storage.replication.factor",
        Type.SHORT,
        3,
        _LOW,
        _replication_factor,
        "Its replication factor.",
    ),
    ("status.storage.topic", _STR, _REQUIRED, _HIGH, None, "The topic of states."),
    ("status.storage.partitions", _INT, 5, _LOW, _partitions, "Its partitions."),
    (
        "status.storage.replication.factor",
        Type.SHORT,
        3,
        _LOW,
        _replication_factor,
        "Its replication factor.",
    ),
    (
        "connect.protocol",
        _STR,
        "sessioned",
        _LOW,
        valid_string("eager", "compatible", "sessioned"),
        "The protocol of the group.",
    ),
    (
        "scheduled.rebalance.max.delay.ms",
        _INT,
        300000,
        _LOW,
        between(0, 2**31 - 1),
        "How long the tasks of a worker that left wait for it.",
    ),
    ("inter.worker.key.ttl.ms", _INT, 3600000, _LOW, between(0, 2**31 - 1), "The life of a session key."),
    ("inter.worker.key.generation.algorithm", _STR, "HmacSHA256", _LOW, _known_macs, "Its algorithm."),
    ("inter.worker.key.size", _INT, None, _LOW, None, "Its size in bits."),
    ("inter.worker.signature.algorithm", _STR, "HmacSHA256", _LOW, _known_macs, "Signs requests."),
    ("inter.worker.verification.algorithms", _LIST, "HmacSHA256", _LOW, _known_macs, "Signatures taken."),
    ("metadata.max.age.ms", _LONG, 300000, _LOW, at_least(0), "How old metadata may get."),
    ("client.id", _STR, "", _LOW, None, "The name of the group's member."),
    ("reconnect.backoff.ms", _LONG, 50, _LOW, at_least(0), "The first pause before a new connection."),
    ("reconnect.backoff.max.ms", _LONG, 1000, _LOW, at_least(0), "The longest one."),
    ("retry.backoff.ms", _LONG, 100, _LOW, at_least(0), "The first pause before a new try."),
    ("retry.backoff.max.ms", _LONG, 1000, _LOW, at_least(0), "The longest one."),
    ("request.timeout.ms", _INT, 40000, _MEDIUM, at_least(0), "How long a broker may take to answer."),
    ("connections.max.idle.ms", _LONG, 540000, _MEDIUM, None, "When idle connections are closed."),
)


def _definition(*tables: tuple[_Row, ...]) -> ConfigDef:
    definition = ConfigDef()
    for table in tables:
        for name, type_, default, importance, validator, doc in table:
            definition.define(name, type_, default, validator=validator, importance=importance, doc=doc)
    return definition


STANDALONE_CONFIG: Final = _definition(_COMMON, _STANDALONE)
DISTRIBUTED_CONFIG: Final = _definition(_COMMON, _DISTRIBUTED)


class WorkerConfig:
    """`config["listeners"]` is a typed value, `config.strings` what was given."""

    def __init__(self, strings: Mapping[str, str], distributed: bool) -> None:
        self.strings = dict(strings)
        self.distributed = distributed
        self.values = (DISTRIBUTED_CONFIG if distributed else STANDALONE_CONFIG).parse(strings)
        if distributed:
            self._check_distributed()

    def _check_distributed(self) -> None:
        algorithm = self["inter.worker.signature.algorithm"]
        if algorithm not in self["inter.worker.verification.algorithms"]:
            raise ConfigError(
                name="inter.worker.signature.algorithm",
                value=algorithm,
                message="Signature algorithm must be present in inter.worker.verification.algorithms list",
            )
        topics = [self[f"{kind}.storage.topic"] for kind in ("config", "offset", "status")]
        if len(set(topics)) < len(topics):
            raise ConfigError(f"The three storage topics must differ, but are {', '.join(topics)}")

    def __getitem__(self, name: str) -> Any:
        return self.values[name]

    def with_prefix(self, prefix: str) -> dict[str, str]:
        """The strings whose keys begin with the prefix, without it."""
        size = len(prefix)
        return {key[size:]: value for key, value in self.strings.items() if key.startswith(prefix)}

    @property
    def exactly_once_source(self) -> bool:
        return self.distributed and self["exactly.once.source.support"].lower() == "enabled"

    @property
    def transactional_leader(self) -> bool:
        """Whether the leader writes the config topic in transactions."""
        return self.distributed and self["exactly.once.source.support"].lower() != "disabled"

    def topic_settings(self, kind: str) -> dict[str, str]:
        """Settings that the storage topic of a kind (config, offset, status) is created with."""
        own = ("topic", "partitions", "replication.factor", "file.filename")
        settings = {k: v for k, v in self.with_prefix(f"{kind}.storage.").items() if k not in own}
        settings["cleanup.policy"] = "compact"
        return settings


_ESCAPES: Final = {"t": "\t", "n": "\n", "r": "\r", "f": "\f"}


def parse_properties(text: str) -> dict[str, str]:
    """Java's properties format: `key=value`, `key: value` or `key value`, comments with # and !, a
    backslash at the end of a line goes on in the next one, and \\uXXXX escapes."""
    result: dict[str, str] = {}
    lines = iter(re.split(r"\r\n|\n|\r", text))
    for raw in lines:
        line = raw.lstrip(" \t\f")
        if not line or line[0] in "#!":
            continue
        while _continues(line):
            line = line[:-1] + next(lines, "").lstrip(" \t\f")
        key, value = _split_property(line)
        result[_unescape(key)] = _unescape(value)
    return result


def _continues(line: str) -> bool:
    return (len(line) - len(line.rstrip("\\"))) % 2 == 1


def _split_property(line: str) -> tuple[str, str]:
    at = 0
    while at < len(line) and line[at] not in "=: \t\f":
        at += 2 if line[at] == "\\" else 1
    at = min(at, len(line))
    rest = line[at:].lstrip(" \t\f")
    if rest[:1] in ("=", ":"):
        rest = rest[1:].lstrip(" \t\f")
    return line[:at], rest


def _unescape(text: str) -> str:
    if "\\" not in text:
        return text

    def replace(match: re.Match[str]) -> str:
        if match[1] is not None:
            return chr(int(match[1], 16))
        return _ESCAPES.get(match[2], match[2])

    return re.sub(r"\\(?:u([0-9a-fA-F]{4})|(.))", replace, text, flags=re.DOTALL)

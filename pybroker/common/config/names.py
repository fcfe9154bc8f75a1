"""The tables of all names, and how names relate: synonyms, listener prefixes, the nearest known one.

In: the text tables. Out: `BROKER_KEYS`, `TOPIC_KEYS`, `GROUP_KEYS`, `CLIENT_METRICS_KEYS`, `PYBROKER_KEYS`
and their kin, `broker_key`, `broker_synonyms`. What must hold: importing this costs a few milliseconds. To
add a name: one row in its table. When something here begins to honour a name of `_NOT_YET`, drop it there.
"""

from __future__ import annotations

from typing import Final

from pybroker.common.config import broker_table, pybroker_table, resource_tables
from pybroker.common.config.keys import PER_BROKER, READ_ONLY, ConfigKey, parse_table

BROKER_KEYS: Final = parse_table(broker_table.PUBLIC)
BROKER_INTERNAL_KEYS: Final = parse_table(broker_table.INTERNAL, internal=True)
DYNAMIC_ONLY_KEYS: Final = parse_table(broker_table.DYNAMIC_ONLY)
AUTHORIZER_KEYS: Final = parse_table(broker_table.AUTHORIZER)
PYBROKER_KEYS: Final = parse_table(pybroker_table.PYBROKER)
TOPIC_KEYS: Final = parse_table(resource_tables.TOPIC, synonyms=True)
TOPIC_INTERNAL_KEYS: Final = parse_table(resource_tables.TOPIC_INTERNAL, internal=True, synonyms=True)
GROUP_KEYS: Final = parse_table(resource_tables.GROUP, synonyms=True)
CLIENT_METRICS_KEYS: Final = parse_table(resource_tables.CLIENT_METRICS, synonyms=True)

# Kafka's names: what its own definition of the broker's configuration holds.
KAFKA_KEYS: Final = {**BROKER_KEYS, **BROKER_INTERNAL_KEYS}
STATIC_KEYS: Final = {**KAFKA_KEYS, **PYBROKER_KEYS}
ALL_TOPIC_KEYS: Final = {**TOPIC_KEYS, **TOPIC_INTERNAL_KEYS}

# Honoured by a single node of Kafka, and not by this broker so far.
_NOT_YET: Final = (
    "authorizer.",
    "config.providers",
    "connection.failed.authentication.",
    "connections.max.reauth.",
    "controller.quota.",
    "group.coordinator.",
    "group.share.",
    "group.streams.",
    "log.flush.start.",
    "metadata.max.idle.",
    "metadata.max.retention.",
    "num.recovery.",
    "quota.",
    "sasl.",
    "share.",
    "ssl.",
)
# Honoured although the above, or the table, says otherwise.
_USED_TOO: Final = (
    "add.partitions.to.txn.retry.backoff.max.ms",
    "add.partitions.to.txn.retry.backoff.ms",
    "alter.log.dirs.replication.quota.window.num",
    "alter.log.dirs.replication.quota.window.size.seconds",
    "auto.leader.rebalance.enable",
    "broker.heartbeat.interval.ms",
    "broker.rack",
    "broker.session.timeout.ms",
    "controlled.shutdown.enable",
    "controller.quorum.bootstrap.servers",
    "controller.quorum.election.backoff.max.ms",
    "controller.quorum.election.timeout.ms",
    "controller.quorum.fetch.timeout.ms",
    "controller.quorum.request.timeout.ms",
    "controller.quorum.retry.backoff.ms",
    "controller.quorum.voters",
    "cordoned.log.dirs",
    "group.consumer.regex.refresh.interval.ms",
    "group.coordinator.rebalance.protocols",
    "initial.broker.registration.timeout.ms",
    "leader.imbalance.check.interval.seconds",
    "log.initial.task.delay.ms",
    "offsets.topic.compression.codec",
    "internal.metadata.log.segment.bytes",
    "num.replica.fetchers",
    "producer.id.expiration.check.interval.ms",
    "replica.fetch.backoff.ms",
    "replica.fetch.max.bytes",
    "replica.fetch.min.bytes",
    "replica.fetch.response.max.bytes",
    "replica.fetch.wait.max.ms",
    "replica.high.watermark.checkpoint.interval.ms",
    "replica.lag.time.max.ms",
    "replica.selector.class",
    "replica.socket.timeout.ms",
    "replication.quota.window.num",
    "replication.quota.window.size.seconds",
    "request.timeout.ms",
    "security.inter.broker.protocol",
    "unclean.leader.election.enable",
    "unclean.leader.election.interval.ms",
)

for _key in [*BROKER_KEYS.values(), *BROKER_INTERNAL_KEYS.values()]:
    _key.used = _key.name in _USED_TOO or (_key.single_node and not _key.name.startswith(_NOT_YET))

# Names that start like this belong to plug-ins, which read them by themselves.
PLUGIN_PREFIXES: Final = ("config.providers.", "rlmm.config.", "rsm.config.")

LISTENER_PREFIX: Final = "listener.name."

# A listener's own value of these may be set for all brokers at once.
_CLUSTER_WIDE_LISTENER_NAMES: Final = (
    "max.connection.creation.rate",
    "max.connections",
    "num.network.threads",
)

# These follow a mechanism in the name of a listener's setting.
_MECHANISM_NAMES: Final = (
    "connections.max.reauth.ms",
    "sasl.jaas.config",
    "sasl.login.callback.handler.class",
    "sasl.login.class",
    "sasl.server.callback.handler.class",
    "sasl.server.max.receive.size",
)

_SYNONYM_GROUPS: Final = (
    ("log.roll.ms", "log.roll.hours"),
    ("log.roll.jitter.ms", "log.roll.jitter.hours"),
    ("log.retention.ms", "log.retention.minutes", "log.retention.hours"),
)
_SYNONYMS: Final = {
    **{name: group for group in _SYNONYM_GROUPS for name in group},
    "log.flush.interval.ms": ("log.flush.interval.ms", "log.flush.scheduler.interval.ms"),
}


def listener_base_name(name: str) -> str | None:
    """What follows `listener.name.<listener>.` and the mechanism, if any; None without the prefix."""
    if not name.startswith(LISTENER_PREFIX):
        return None
    listener, separator, rest = name[len(LISTENER_PREFIX) :].partition(".")
    if not listener or not separator or not rest:
        return None
    return next((base for base in _MECHANISM_NAMES if rest.endswith("." + base)), rest)


def broker_synonyms(name: str) -> tuple[str, ...]:
    """The names that give the value of a broker name, the strongest first."""
    group = _SYNONYMS.get(name)
    if group is not None:
        return group
    base = listener_base_name(name)
    return (name,) if base is None else (name, base)


def broker_key(name: str) -> ConfigKey | None:
    """The rules of a broker name, also with a listener's prefix; None for what only a plug-in knows."""
    key = STATIC_KEYS.get(name) or DYNAMIC_ONLY_KEYS.get(name)
    if key is None:
        base = listener_base_name(name)
        if base is not None:
            key = STATIC_KEYS.get(base)
    return key


def is_dynamic(name: str) -> bool:
    """Whether DescribeConfigs says that the name can be changed while the broker runs."""
    key = BROKER_KEYS.get(name) or DYNAMIC_ONLY_KEYS.get(name)
    return key is not None and key.mode != READ_ONLY


def is_per_broker_only(name: str) -> bool:
    """Whether a dynamic name can be set for one broker only."""
    base = listener_base_name(name)
    if base is not None:
        return base in STATIC_KEYS and base not in _CLUSTER_WIDE_LISTENER_NAMES
    key = BROKER_KEYS.get(name)
    return key is not None and key.mode == PER_BROKER


def nearest_name(name: str) -> str:
    """The known static name that looks most like `name`."""
    # Only an error needs it, and it is slow to import.
    import difflib

    known = [*STATIC_KEYS, *AUTHORIZER_KEYS]
    # The comparison is quadratic in the length of the name.
    found = difflib.get_close_matches(name[:120], known, n=1, cutoff=0.0)
    return found[0]

"""Kafka clients out of configurations that were written for Java clients.

In: keys of Java's producer, consumer and admin client. Out: clients of librdkafka (confluent-kafka) with the
same behaviour. What must hold: a key that changes what is promised (acks, isolation, security) is carried
over or refused, never dropped; keys without a counterpart that only tune Java's client are left out.
"""

from __future__ import annotations

import logging
import re
from collections.abc import Mapping
from typing import Any, Final

from confluent_kafka import Consumer, Producer
from confluent_kafka.admin import AdminClient

from connect.api.errors import ConfigError

log = logging.getLogger(__name__)

# Java's name: librdkafka's, where they differ.
_RENAMED: Final = {
    "fetch.max.wait.ms": "fetch.wait.max.ms",
    "max.request.size": "message.max.bytes",
    "delivery.timeout.ms": "message.timeout.ms",
    "receive.buffer.bytes": "socket.receive.buffer.bytes",
    "send.buffer.bytes": "socket.send.buffer.bytes",
    "group.instance.id": "group.instance.id",
    "metadata.max.age.ms": "metadata.max.age.ms",
    "socket.connection.setup.timeout.ms": "socket.connection.setup.timeout.ms",
    "sasl.mechanism": "sasl.mechanism",
}
_SAME: Final = frozenset(
    (
        "acks",
        "allow.auto.create.topics",
        "auto.commit.interval.ms",
        "auto.offset.reset",
        "batch.size",
        "bootstrap.servers",
        "check.crcs",
        "client.dns.lookup",
        "client.id",
        "client.rack",
        "compression.type",
        "connections.max.idle.ms",
        "enable.auto.commit",
        "enable.idempotence",
        "fetch.max.bytes",
        "fetch.min.bytes",
        "group.id",
        "heartbeat.interval.ms",
        "isolation.level",
        "linger.ms",
        "max.in.flight.requests.per.connection",
        "max.partition.fetch.bytes",
        "max.poll.interval.ms",
        "metadata.max.age.ms",
        "partition.assignment.strategy",
        "reconnect.backoff.max.ms",
        "reconnect.backoff.ms",
        "request.timeout.ms",
        "retries",
        "retry.backoff.max.ms",
        "retry.backoff.ms",
        "sasl.kerberos.service.name",
        "sasl.mechanism",
        "security.protocol",
        "session.timeout.ms",
        "ssl.cipher.suites",
        "transaction.timeout.ms",
        "transactional.id",
    )
)
# What our own consumers decide themselves, and Java's classes.
_IGNORED: Final = frozenset(
    (
        "key.serializer",
        "value.serializer",
        "key.deserializer",
        "value.deserializer",
        "max.poll.records",
        "max.block.ms",
        "buffer.memory",
        "interceptor.classes",
        "default.api.timeout.ms",
        "group.protocol",
    )
)
_STRATEGIES: Final = {
    "org.apache.kafka.clients.consumer.RangeAssignor": "range",
    "org.apache.kafka.clients.consumer.RoundRobinAssignor": "roundrobin",
    "org.apache.kafka.clients.consumer.CooperativeStickyAssignor": "cooperative-sticky",
}
_PRODUCER_ONLY: Final = frozenset(
    (
        "acks",
        "batch.size",
        "compression.type",
        "enable.idempotence",
        "linger.ms",
        "max.in.flight.requests.per.connection",
        "message.timeout.ms",
        "request.timeout.ms",
        "retries",
        "transaction.timeout.ms",
        "transactional.id",
    )
)
_CONSUMER_ONLY: Final = frozenset(
    (
        "allow.auto.create.topics",
        "auto.commit.interval.ms",
        "auto.offset.reset",
        "check.crcs",
        "enable.auto.commit",
        "fetch.max.bytes",
        "fetch.min.bytes",
        "fetch.wait.max.ms",
        "group.id",
        "group.instance.id",
        "heartbeat.interval.ms",
        "isolation.level",
        "max.partition.fetch.bytes",
        "max.poll.interval.ms",
        "partition.assignment.strategy",
        "session.timeout.ms",
    )
)
_JAAS_OPTION: Final = re.compile(r"""(\w+)\s*=\s*(?:"((?:[^"\\]|\\.)*)"|'([^']*)'|([^\s;]+))""")


def translate(props: Mapping[str, Any], kind: str) -> dict[str, Any]:
    """librdkafka's configuration for a `producer`, `consumer` or `admin` client. ConfigError for a setting
    that has no counterpart and may not be left out."""
    result: dict[str, Any] = {}
    for key, value in props.items():
        if value is None or key in _IGNORED:
            continue
        if key in _SAME or key in _RENAMED:
            result[_RENAMED.get(key, key)] = _value(key, str(value))
        elif key.startswith(("ssl.", "sasl.")):
            continue  # Below, together.
        elif key.startswith("rdkafka."):
            result[key.removeprefix("rdkafka.")] = str(value)
        else:
            log.debug("%s setting %s has no counterpart here and is left out", kind, key)
    if "metadata.max.age.ms" in result:
        # Java looks for new topics and partitions at that age; librdkafka has an interval of its own for it.
        result.setdefault("topic.metadata.refresh.interval.ms", result["metadata.max.age.ms"])
    result.update(security(props))
    foreign = _CONSUMER_ONLY if kind == "producer" else _PRODUCER_ONLY
    if kind == "admin":
        foreign = _CONSUMER_ONLY | _PRODUCER_ONLY
    return {key: value for key, value in result.items() if key not in foreign}


def _value(key: str, text: str) -> str:
    if key == "partition.assignment.strategy":
        names = [_STRATEGIES.get(name.strip(), name.strip()) for name in text.split(",")]
        return ",".join(names)
    if key == "bootstrap.servers":
        return text.replace(" ", "")
    if key == "isolation.level":
        return text.lower()
    return text


def security(props: Mapping[str, Any]) -> dict[str, Any]:
    """TLS and SASL settings. PEM files and texts are carried over, JKS and PKCS12 stores are not readable
    here, but a PKCS12 key store is."""
    result: dict[str, Any] = {}

    def text(key: str) -> str | None:
        value = props.get(key)
        return str(value) if value not in (None, "") else None

    for java, rdkafka in (
        ("ssl.truststore.certificates", "ssl.ca.pem"),
        ("ssl.keystore.certificate.chain", "ssl.certificate.pem"),
        ("ssl.keystore.key", "ssl.key.pem"),
        ("ssl.key.password", "ssl.key.password"),
    ):
        value = text(java)
        if value is not None:
            result[rdkafka] = value
    trust = text("ssl.truststore.location")
    if trust is not None:
        _only_pem("ssl.truststore.type", props)
        result["ssl.ca.location"] = trust
    keys = text("ssl.keystore.location")
    if keys is not None:
        if str(props.get("ssl.keystore.type", "JKS")).upper() == "PKCS12":
            result["ssl.keystore.location"] = keys
            if text("ssl.keystore.password"):
                result["ssl.keystore.password"] = text("ssl.keystore.password")
        else:
            _only_pem("ssl.keystore.type", props)
            result["ssl.certificate.location"] = keys
            result["ssl.key.location"] = keys
    if "ssl.endpoint.identification.algorithm" in props:
        result["ssl.endpoint.identification.algorithm"] = text("ssl.endpoint.identification.algorithm") or (
            "none"
        )
    jaas = text("sasl.jaas.config")
    if jaas is not None:
        options = jaas_options(jaas)
        if "username" in options:
            result["sasl.username"] = options["username"]
        if "password" in options:
            result["sasl.password"] = options["password"]
    return result


def _only_pem(key: str, props: Mapping[str, Any]) -> None:
    type_ = str(props.get(key, "JKS")).upper()
    if type_ != "PEM":
        raise ConfigError(
            name=key, value=type_, message="Only PEM stores can be read here; convert it with keytool/openssl"
        )


def jaas_options(jaas: str) -> dict[str, str]:
    """The options of a JAAS login module line."""
    found = {}
    for match in _JAAS_OPTION.finditer(jaas):
        quoted = match[2]
        value = re.sub(r"\\(.)", r"\1", quoted) if quoted is not None else match[3] or match[4] or ""
        found[match[1]] = value
    return found


def make_producer(props: Mapping[str, Any]) -> Producer:
    """A producer that partitions as Java's does."""
    config = translate(props, "producer")
    config.setdefault("partitioner", "murmur2_random")
    if "transactional.id" in config:
        # librdkafka binds it to transaction.timeout.ms, which decides here.
        config.pop("message.timeout.ms", None)
    # Java's buffer is counted in bytes alone.
    config.setdefault("queue.buffering.max.messages", 0)
    config.setdefault("queue.buffering.max.kbytes", 32768)
    return Producer(config, logger=log)


def make_consumer(props: Mapping[str, Any]) -> Consumer:
    return Consumer(translate(props, "consumer"), logger=log)


def make_admin(props: Mapping[str, Any]) -> AdminClient:
    return AdminClient(translate(props, "admin"), logger=log)


def client_props(
    worker: Mapping[str, str], kind: str, overrides: Mapping[str, str], defaults: Mapping[str, Any]
) -> dict[str, Any]:
    """A task client's settings: ours, then the worker's `producer.` (consumer, admin) keys, then the
    connector's overrides."""
    prefix = kind + "."
    result: dict[str, Any] = dict(defaults)
    result["bootstrap.servers"] = worker["bootstrap.servers"]
    result.update(
        {
            key[len(prefix) :]: value
            for key, value in worker.items()
            if key.startswith(prefix) and not key.startswith(prefix + "override.")
        }
    )
    result.update(overrides)
    return result


_OWN_KEYS: Final = ("security.", "ssl.", "sasl.", "client.dns.lookup", "request.timeout.ms")


def worker_client_props(worker: Mapping[str, str]) -> dict[str, str]:
    """What the clients of the worker itself (internal topics, group) take from its configuration."""
    result = {key: value for key, value in worker.items() if key.startswith(_OWN_KEYS)}
    result["bootstrap.servers"] = worker["bootstrap.servers"]
    return result

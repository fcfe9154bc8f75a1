"""Properties from environment variables, as the container images of Kafka take them.

In: the environment. Out: properties, by the rules of Apache Kafka's own image (KafkaDockerWrapper): without
`KAFKA_`, in lower case, `_` for a dot, `__` for an underscore, `___` for a dash. What must hold: a variable
that another program or an orchestrator has set stops nothing; the caller is told which names are not known.

    KAFKA_LOG_RETENTION_HOURS       log.retention.hours
    KAFKA_PYBROKER_HTTP_LISTENER    pybroker.http.listener
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final, NamedTuple

from pybroker.common.config.broker_config import is_known
from pybroker.common.errors import ConfigError

_PREFIX: Final = "KAFKA_"
# What the images of Kafka give to the JVM and to its logging: no properties.
_NOT_PROPERTIES: Final = frozenset(
    _PREFIX + name
    for name in (
        "VERSION",
        "HOME",
        "DEBUG",
        "OPTS",
        "HEAP_OPTS",
        "GC_LOG_OPTS",
        "JMX_OPTS",
        "JMX_PORT",
        "JMX_HOSTNAME",
        "JVM_PERFORMANCE_OPTS",
        "LOG4J_OPTS",
        "LOG4J_LOGGERS",
        "LOG4J_ROOT_LOGLEVEL",
        "TOOLS_LOG4J_LOGLEVEL",
    )
)

# The listeners of a container: one port that is published to the host, one for other containers. Brokers use
# the one that is called PLAINTEXT.
HOST_LISTENER: Final = "PLAINTEXT_HOST"
HOST_PORT: Final = 9092
NETWORK_LISTENER: Final = "PLAINTEXT"
NETWORK_PORT: Final = 19092


class FromEnvironment(NamedTuple):
    properties: dict[str, str]
    unknown: list[str]
    """Variables that look like properties and are none, in their order."""


def properties_from_environment(environment: Mapping[str, str]) -> FromEnvironment:
    properties: dict[str, str] = {}
    unknown: list[str] = []
    for variable in sorted(environment):
        if not variable.startswith(_PREFIX) or variable in _NOT_PROPERTIES:
            continue
        name = variable.removeprefix(_PREFIX).lower()
        name = name.replace("_", ".").replace("...", "-").replace("..", "_")
        if is_known(name):
            properties[name] = environment[variable]
        else:
            unknown.append(variable)
    return FromEnvironment(properties, unknown)


def add_container_listeners(properties: dict[str, str], host_name: str) -> None:
    """The listeners of a container, where the properties name none.

    Clients on the host are told `localhost`, those in other containers this container's name. With
    `advertised.listeners` alone its first listener gets the port for the host, its second the other one.
    """
    if "listeners" in properties:
        return
    advertised = properties.get("advertised.listeners")
    if advertised is None:
        properties["listeners"] = f"{NETWORK_LISTENER}://:{NETWORK_PORT},{HOST_LISTENER}://:{HOST_PORT}"
        properties["advertised.listeners"] = (
            f"{NETWORK_LISTENER}://{host_name}:{NETWORK_PORT},{HOST_LISTENER}://localhost:{HOST_PORT}"
        )
        properties.setdefault(
            "listener.security.protocol.map",
            f"CONTROLLER:PLAINTEXT,{NETWORK_LISTENER}:PLAINTEXT,{HOST_LISTENER}:PLAINTEXT",
        )
        return
    names = [entry.partition("://")[0].strip() for entry in advertised.split(",")]
    ports = (HOST_PORT, NETWORK_PORT)
    if len(names) > len(ports):
        raise ConfigError(
            f"advertised.listeners={advertised}: a container has {len(ports)} listeners by itself; "
            f"for {len(names)} set listeners too"
        )
    properties["listeners"] = ",".join(f"{name}://:{port}" for name, port in zip(names, ports, strict=False))

"""Listeners: NAME://HOST:PORT entries, and the security protocol that each name speaks.

In: values of `listeners`, `advertised.listeners`, `listener.security.protocol.map`. Out: `Listener`. What
must hold: names are unique and upper case, ports are in range, and every name has a protocol.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import NamedTuple

from pybroker.common.errors import ConfigError

SECURITY_PROTOCOLS = ("PLAINTEXT", "SSL", "SASL_PLAINTEXT", "SASL_SSL")


class Listener(NamedTuple):
    """An address to listen on or to advertise. An empty host means every interface."""

    name: str
    host: str
    port: int
    security_protocol: str


def parse_protocol_map(text: str, key: str = "listener.security.protocol.map") -> dict[str, str]:
    """Listener name (upper case) to protocol; ConfigError for a bad entry."""
    protocols: dict[str, str] = {}
    for entry in filter(None, (part.strip() for part in text.split(","))):
        name, separator, protocol = (part.strip() for part in entry.partition(":"))
        name, protocol = name.upper(), protocol.upper()
        if not separator or not name or protocol not in SECURITY_PROTOCOLS:
            raise ConfigError(
                f"{key}={text}: {entry} is not NAME:PROTOCOL with one of {', '.join(SECURITY_PROTOCOLS)}"
            )
        if name in protocols:
            raise ConfigError(f"{key}={text}: {name} appears twice")
        protocols[name] = protocol
    return protocols


def parse_listeners(entries: Sequence[str], protocols: Mapping[str, str], key: str) -> list[Listener]:
    """The listeners of a list; ConfigError names the key, the value and what is wrong with it."""
    listeners: list[Listener] = []
    value = ",".join(entries)
    for entry in entries:
        name, separator, address = entry.partition("://")
        name = name.upper()
        host, colon, port_text = address.rpartition(":")
        good = separator and colon and name and set(name) <= _NAME_CHARACTERS
        if not good or not port_text.isascii() or not port_text.isdigit() or len(port_text) > 9:
            raise ConfigError(f"{key}={value}: {entry} is not NAME://HOST:PORT")
        port = int(port_text)
        if port > 65_535:
            raise ConfigError(f"{key}={value}: the port of {entry} is not between 0 and 65535")
        if host.startswith("[") and host.endswith("]"):
            host = host[1:-1]
        elif ":" in host:
            raise ConfigError(f"{key}={value}: an IPv6 address stands in brackets, unlike in {entry}")
        if any(character in host for character in "/ []"):
            raise ConfigError(f"{key}={value}: {host} is not a host name or address")
        if name not in protocols:
            raise ConfigError(f"{key}={value}: No security protocol defined for listener {name}")
        listeners.append(Listener(name, host, port, protocols[name]))
    names = [listener.name for listener in listeners]
    if len(set(names)) != len(names):
        raise ConfigError(f"{key}={value}: Each listener must have a different name")
    return listeners


def check_ports(listeners: Sequence[Listener], key: str) -> None:
    """Two listeners must not share a port, unless one has an IPv4 and the other an IPv6 address."""
    seen: dict[int, Listener] = {}
    for listener in listeners:
        if listener.port == 0:
            continue
        other = seen.setdefault(listener.port, listener)
        if other is not listener and (":" in other.host) == (":" in listener.host):
            raise ConfigError(
                f"{key}: Each listener must have a different port, port {listener.port} has two"
            )


_NAME_CHARACTERS = frozenset("ABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789_-.")

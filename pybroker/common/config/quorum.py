"""The quorum as the properties state it: who votes, where to ask for it, and what goes with which role.

In: typed values. Out: addresses, and Kafka's words for each rule that does not hold. What must hold: Kafka's
order of rules, so that of several errors the same one is reported. One thing is easier than in Kafka: a node
with both roles that names no other node is a quorum of one and need not describe itself.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any, Final

from pybroker.common.config.checks import BrokenRule
from pybroker.common.config.listeners import Listener
from pybroker.common.errors import ConfigError
from pybroker.common.peers import Address

VOTERS: Final = "controller.quorum.voters"
BOOTSTRAP: Final = "controller.quorum.bootstrap.servers"
_ROLES: Final = "process.roles"
_NAMES: Final = "controller.listener.names"

_LOCAL_HOSTS: Final = frozenset({"localhost", "127.0.0.1", "::1"})


def parse_voters(entries: Sequence[str]) -> dict[int, Address]:
    """Node id to address, from id@host:port entries."""
    shown = f"{VOTERS}={','.join(entries)}"
    voters: dict[int, Address] = {}
    for entry in entries:
        id_text, at, address = entry.partition("@")
        if not at or "@" in address:
            raise ConfigError(
                f"{shown}: Invalid configuration value for {VOTERS}. "
                "Each entry should be in the form `{id}@{host}:{port}`."
            )
        if not id_text.removeprefix("-").isdecimal() or not id_text.isascii() or len(id_text) > 10:
            raise ConfigError(f"{shown}: Failed to parse voter ID as an integer from {id_text[:100]}")
        voters[int(id_text)] = _parse_address(address, f"{shown}: entry {entry}")
    return voters


def parse_bootstrap_servers(entries: Sequence[str]) -> list[Address]:
    """The addresses of host:port entries, in their order."""
    shown = f"{BOOTSTRAP}={','.join(entries)}"
    return [_parse_address(entry, f"{shown}: entry {entry}") for entry in entries]


def _parse_address(text: str, where: str) -> Address:
    host, colon, port_text = text.rpartition(":")
    if host.startswith("[") and host.endswith("]"):
        host = host[1:-1]
    if not colon or not host or any(character in host for character in "/[] "):
        raise ConfigError(f'{where}: Failed to parse host name. Each entry should be in the form "host:port"')
    good = port_text.isascii() and port_text.isdecimal() and len(port_text) <= 5
    if not good or not 0 < int(port_text) <= 65_535:
        raise ConfigError(f'{where}: Failed to parse host port. Each entry should be in the form "host:port"')
    if host == "0.0.0.0":
        raise ConfigError(f"{where}: Host string ({host}) is not routeable")
    return host, int(port_text)


def is_alone(
    node_id: int,
    roles: Sequence[str],
    voters: Mapping[int, Address],
    bootstrap: Sequence[Address],
    controllers: Sequence[Listener],
) -> bool:
    """Whether the properties name no node but this one, so that it may form a quorum by itself."""
    if set(roles) != {"broker", "controller"} or not set(voters) <= {node_id}:
        return False
    hosts = _LOCAL_HOSTS | {listener.host for listener in controllers}
    ports = {listener.port for listener in controllers}
    return all(host in hosts and port in ports for host, port in bootstrap)


def broken_quorum_rules(
    value_of: Any,
    *,
    voters: Mapping[int, Address],
    listener_names: Sequence[str],
    advertised_controllers: Sequence[Listener],
    protocols: Mapping[str, str],
    alone: bool,
) -> Iterator[BrokenRule]:
    """The rules about roles, voters and the controller's listeners that do not hold; names in upper case."""
    roles = set(value_of(_ROLES))
    node_id: int = value_of("node.id")
    names = [name.upper() for name in value_of(_NAMES)]
    if not voters and not value_of(BOOTSTRAP) and not alone:
        yield BrokenRule(
            f"If using {_ROLES}, either {BOOTSTRAP} must contain the set of bootstrap controllers or "
            f"{VOTERS} must contain a parseable set of controllers.",
            (_ROLES,),
        )
    if "controller" in roles:
        if voters and node_id not in voters:
            yield BrokenRule(
                f"If {_ROLES} contains the 'controller' role, the node id {node_id} must be included in the "
                f"set of voters {VOTERS}={_set(voters)}",
                ("node.id",),
            )
        # Alone it needs no listener: there is nobody to talk to.
        if not advertised_controllers and not alone:
            yield BrokenRule(
                f"{_NAMES} must contain at least one value appearing in the 'listeners' configuration when "
                "running the KRaft controller role",
                (_NAMES, "listeners"),
            )
        if any(name not in listener_names for name in names) and not alone:
            yield BrokenRule(
                f"{_NAMES} must only contain values appearing in the 'listeners' configuration when running "
                "the KRaft controller role",
                (_NAMES, "listeners"),
            )
    else:
        if node_id in voters:
            yield BrokenRule(
                f"If {_ROLES} contains just the 'broker' role, the node id {node_id} must not be included in "
                f"the set of voters {VOTERS}={_set(voters)}",
                ("node.id",),
            )
        if not names:
            yield BrokenRule(
                f"{_NAMES} must contain at least one value when running KRaft with just the broker role",
                (_NAMES,),
            )
        if any(name in listener_names for name in names):
            yield BrokenRule(
                f"{_NAMES} must not contain a value appearing in the 'listeners' configuration when running "
                "KRaft with just the broker role",
                (_NAMES, "listeners"),
            )
        missing = next((name for name in names if name not in protocols), None)
        if missing is not None:
            yield BrokenRule(
                f"Controller listener with name {missing} defined in {_NAMES} not found in "
                "listener.security.protocol.map  (an explicit security mapping for each controller listener "
                "is required if listener.security.protocol.map is non-empty, or if there are security "
                "protocols other than PLAINTEXT in use)",
                (_NAMES,),
            )
        if value_of("controller.quorum.auto.join.enable"):
            yield BrokenRule(
                "controller.quorum.auto.join.enable is only supported when process.roles contains the "
                "'controller' role.",
                ("controller.quorum.auto.join.enable",),
            )
    if "broker" not in roles and any(name not in names for name in listener_names):
        yield BrokenRule(
            f"The listeners config must only contain KRaft controller listeners from {_NAMES} when "
            f"{_ROLES}=controller",
            ("listeners", _NAMES),
        )


def _set(voters: Mapping[int, Address]) -> str:
    return f"Set({', '.join(map(str, sorted(voters)))})"

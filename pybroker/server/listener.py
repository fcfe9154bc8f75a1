"""Bound sockets of a listener, and the connections that they accept.

In: names and addresses. Out: sockets that are bound before the broker starts (so that port 0 has its number)
and accept only once it serves.
"""

from __future__ import annotations

import asyncio
import contextlib
import socket

from pybroker.common.errors import ConfigError
from pybroker.server.connection import Connection
from pybroker.server.gate import Gate

_WILDCARDS = frozenset({"", "0.0.0.0", "::"})


def parse_address(text: str, where: str) -> tuple[str, int]:
    """HOST:PORT, with an IPv6 host in brackets; ConfigError names `where`."""
    host, separator, port_text = text.rpartition(":")
    if not separator or not port_text.isascii() or not port_text.isdigit() or int(port_text) > 65_535:
        raise ConfigError(f"{where}: expected HOST:PORT with a port from 0 to 65535")
    return host.removeprefix("[").removesuffix("]"), int(port_text)


def format_address(host: str, port: int) -> str:
    """HOST:PORT, an IPv6 host in brackets."""
    return f"[{host}]:{port}" if ":" in host else f"{host}:{port}"


def advertised_host(host: str) -> str:
    """The host that clients are told: as configured, or this machine's name when bound to every address."""
    if host not in _WILDCARDS:
        return host
    name = socket.gethostname()
    try:
        socket.getaddrinfo(name, None)
    except OSError:
        # A machine that does not know itself: the only clients that can be served are local ones.
        return "localhost"
    return name


def bind_sockets(host: str, port: int) -> list[socket.socket]:
    """Bound stream sockets for every address of `host`, all on one port. OSError when one cannot be."""
    if host == "" and socket.has_dualstack_ipv6():
        with contextlib.suppress(OSError):
            return [socket.create_server(("::", port), family=socket.AF_INET6, dualstack_ipv6=True)]
    found = socket.getaddrinfo(
        host or "0.0.0.0", port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE | socket.AI_NUMERICSERV
    )
    sockets: list[socket.socket] = []
    seen: list[tuple[object, ...]] = []
    try:
        for family, kind, protocol, _, address in found:
            if (family, address) in seen:
                continue
            seen.append((family, address))
            bound = socket.socket(family, kind, protocol)
            try:
                bound.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
                if family == socket.AF_INET6:
                    bound.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 1)
                bound.bind((address[0], port, *address[2:]))
            except OSError:
                bound.close()
                # Names such as localhost resolve to an IPv6 address even where IPv6 is off.
                if family == socket.AF_INET6 and len(found) > 1:
                    continue
                raise
            sockets.append(bound)
            port = port or int(bound.getsockname()[1])
    except BaseException:
        for bound in sockets:
            bound.close()
        raise
    return sockets


class Listener:
    """The sockets of one listener."""

    def __init__(self, name: str, host: str, port: int) -> None:
        """Binds at once; OSError when the address cannot be had."""
        self.name = name
        self.host = host
        try:
            self._sockets = bind_sockets(host, port)
        except OSError as error:
            address = format_address(host, port)
            raise OSError(error.errno, f"cannot listen on {address}: {error.strerror or error}") from error
        self.port = int(self._sockets[0].getsockname()[1])
        self._servers: list[asyncio.Server] = []

    async def serve(self, gate: Gate) -> None:
        """Accept connections."""
        name = self.name
        receive_buffer_bytes = gate.limits.receive_buffer_bytes
        for bound in self._sockets:
            if receive_buffer_bytes > 0:
                # Accepted sockets inherit it.
                bound.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, receive_buffer_bytes)
            server = await gate.loop.create_server(
                lambda: Connection(gate, name), sock=bound, backlog=gate.limits.listen_backlog
            )
            self._servers.append(server)

    def close(self) -> None:
        """Accept no more."""
        for server in self._servers:
            server.close()
        for bound in self._sockets:
            bound.close()

"""Endpoints and bound sockets."""

from __future__ import annotations

import errno
import socket

import pytest

from pybroker.common.errors import ConfigError
from pybroker.server.listener import (
    Listener,
    advertised_host,
    bind_sockets,
    format_address,
    parse_address,
)


@pytest.mark.parametrize("text", ["h", "h:", "h:x", "h:70000", "h:-1", "h:\u0663"])
def test_bad_addresses(text):
    with pytest.raises(ConfigError, match="the_key"):
        parse_address(text, "the_key")


def test_addresses():
    assert parse_address("[::]:80", "x") == ("::", 80)
    assert format_address("::1", 80) == "[::1]:80"
    assert format_address("h", 80) == "h:80"


def test_advertised_host(monkeypatch):
    assert advertised_host("10.0.0.1") == "10.0.0.1"
    monkeypatch.setattr(socket, "gethostname", lambda: "machine")
    monkeypatch.setattr(socket, "getaddrinfo", lambda *_: [()])
    assert advertised_host("") == advertised_host("0.0.0.0") == advertised_host("::") == "machine"

    def unknown(*_):
        raise socket.gaierror(socket.EAI_NONAME, "unknown")

    monkeypatch.setattr(socket, "getaddrinfo", unknown)
    assert advertised_host("") == "localhost"


@pytest.mark.parametrize("host", ["", "127.0.0.1", "0.0.0.0", "localhost"])
def test_a_free_port_is_the_same_on_every_address(host):
    sockets = bind_sockets(host, 0)
    try:
        ports = {bound.getsockname()[1] for bound in sockets}
        assert len(ports) == 1
        assert ports != {0}
    finally:
        for bound in sockets:
            bound.close()


def test_a_port_in_use_is_named():
    listener = Listener("A", "127.0.0.1", 0)
    # Only a listening socket keeps the port from others.
    listener._sockets[0].listen()
    try:
        with pytest.raises(OSError, match=f"cannot listen on 127.0.0.1:{listener.port}") as caught:
            Listener("B", "127.0.0.1", listener.port)
        assert caught.value.errno == errno.EADDRINUSE
    finally:
        listener.close()

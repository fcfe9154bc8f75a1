"""The asking side of the protocol: a request message out to another node, its response message back.

In: messages and the `Peers` that carry frames. Out: decoded responses. What must hold: `done` is called
exactly once for each call, never within it; whatever bytes the other node answers, the outcome is a message
or None (no connection, no answer in time, an answer to something else, one that cannot be decoded).
"""

from __future__ import annotations

import sys
from collections.abc import Callable
from typing import Any, Final

from pybroker.common.errors import ProtocolError
from pybroker.common.peers import Address, Peers
from pybroker.wire import codec
from pybroker.wire.headers import parse_response_header, request_header
from pybroker.wire.message import Message

_CORRELATION_IDS: Final = 1 << 31

Answer = Callable[[Any], None]
"""Takes the response message, or None."""


class PeerClient:
    """Calls other nodes. One object per role that calls, so that its client id says who called."""

    __slots__ = ("_client_id", "_correlation_id", "_peers", "report")

    def __init__(self, peers: Peers, client_id: str) -> None:
        self._peers = peers
        self._client_id = client_id
        self._correlation_id = 0
        # Told about answers that nothing can be made of; silence by default.
        self.report: Callable[[str], None] = _ignore

    def call(
        self, channel: str, address: Address, message: Message, version: int, timeout_ms: float, done: Answer
    ) -> None:
        """Send `message` as `version` of its API; `done` takes the response, or None.

        ValueError when the message cannot be encoded in that version: nothing is sent then. Fields of type
        bytes and records of a response are views of the frame; they may be written to.
        """
        api_key = api_key_of(message)
        correlation_id = self._correlation_id
        self._correlation_id = (correlation_id + 1) % _CORRELATION_IDS
        frame: list[bytes | bytearray | memoryview] = [
            request_header(api_key, version, correlation_id, self._client_id)
        ]
        codec.encode_into(message, version, frame)

        def answered(response: memoryview | None) -> None:
            if response is None:
                done(None)
                return
            try:
                answer = _decode(response, api_key, version, correlation_id)
            except ProtocolError as error:
                host, port = address
                self.report(f"answer of {host}:{port} on channel {channel} to api key {api_key}: {error}")
                done(None)
            else:
                done(answer)

        self._peers.send(channel, address, frame, timeout_ms, answered)


def api_key_of(message: Message) -> int:
    """The API key of a request or response message."""
    api_key: int = sys.modules[message.__class__.__module__].API_KEY
    return api_key


def _decode(response: memoryview, api_key: int, version: int, correlation_id: int) -> Message:
    found, position = parse_response_header(response, api_key, version)
    if found != correlation_id:
        raise ProtocolError(f"correlation id {found} where {correlation_id} was sent")
    return codec.decode(codec.response_class(api_key), version, response, position)[0]


def _ignore(line: str) -> None:
    """Nobody listens."""

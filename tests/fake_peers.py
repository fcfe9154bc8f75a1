"""Other nodes for unit tests: what a core sends waits here until the test answers it, by hand."""

from __future__ import annotations

from collections import deque
from collections.abc import Sequence
from typing import Any

from pybroker.common.peers import Address, Done
from pybroker.wire import codec
from pybroker.wire.headers import parse_request_header, response_header
from pybroker.wire.message import Message


class SentRequest:
    """One request on its way. Answer it once: `answer`, `answer_bytes` or `fail`."""

    def __init__(self, channel: str, address: Address, frame: bytes, timeout_ms: float, done: Done) -> None:
        self.channel = channel
        self.address = address
        self.frame = frame
        self.timeout_ms = timeout_ms
        self.header = parse_request_header(frame)
        self._done: Done | None = done

    @property
    def message(self) -> Any:
        """The request, decoded as the other node would."""
        return codec.decode_request(
            self.header.api_key, self.header.api_version, self.frame, self.header.body_offset
        )

    def answer(self, response: Message) -> None:
        header = self.header
        body = codec.encode(response, header.api_version)
        self.answer_bytes(response_header(header.api_key, header.api_version, header.correlation_id) + body)

    def answer_bytes(self, frame: bytes) -> None:
        self._finish(memoryview(bytearray(frame)))

    def fail(self) -> None:
        """Refused, closed or timed out: the sender cannot tell."""
        self._finish(None)

    def _finish(self, frame: memoryview | None) -> None:
        done, self._done = self._done, None
        assert done is not None, "a request was answered twice"
        done(frame)


class FakePeers:
    """`Peers` without a network. Requests are in `sent`, oldest first, until taken."""

    def __init__(self) -> None:
        self.sent: deque[SentRequest] = deque()

    def send(
        self,
        channel: str,
        address: Address,
        frame: Sequence[bytes | bytearray | memoryview],
        timeout_ms: float,
        done: Done,
    ) -> None:
        self.sent.append(SentRequest(channel, address, b"".join(frame), timeout_ms, done))

    def take(self) -> SentRequest:
        """The oldest request that was not taken yet."""
        return self.sent.popleft()

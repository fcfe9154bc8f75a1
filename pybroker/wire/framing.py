"""Cuts a byte stream into frames.

In: chunks as they arrive. Out: complete frames without their length prefix. What must hold: memory grows with
the bytes received, never with the length that a peer declares; a negative or too large length is a
ProtocolError before any of its body is kept; a returned frame stays valid and unchanged while referenced.

    frame: length i32 | body of that length
"""

from __future__ import annotations

from pybroker.common.errors import ProtocolError


class FrameSplitter:
    """The receiving side of one connection. `limit` may be raised while it runs (after authentication)."""

    __slots__ = ("_pending", "limit")

    def __init__(self, limit: int) -> None:
        self.limit = limit
        # The beginning of a frame that has not arrived completely; its buffer is handed out with the frame.
        self._pending = bytearray()

    @property
    def pending_bytes(self) -> int:
        """Bytes of an incomplete frame that are held."""
        return len(self._pending)

    def feed(self, data: bytes | bytearray | memoryview) -> list[memoryview]:
        """The frames that `data` completes, in order. `data` is copied unless it is `bytes`."""
        pending = self._pending
        frames: list[memoryview] = []
        pos = 0
        if pending:
            # Complete the started frame alone, so that a large frame is copied once and not shifted.
            pos = max(0, min(4 - len(pending), len(data)))
            pending += data[:pos]
            if len(pending) < 4:
                return frames
            length = self._length(pending, 0)
            missing = length + 4 - len(pending)
            end = pos + missing
            if end > len(data):
                pending += data[pos:]
                return frames
            pending += data[pos:end]
            frames.append(memoryview(pending)[4:])
            # A buffer that is handed out is never written again.
            self._pending = pending = bytearray()
            pos = end
            if pos == len(data):
                return frames
        view = memoryview(data if type(data) is bytes else bytes(data))
        size = len(view)
        while size - pos >= 4:
            end = pos + 4 + self._length(view, pos)
            if end > size:
                break
            frames.append(view[pos + 4 : end])
            pos = end
        if pos < size:
            pending += view[pos:]
        return frames

    def _length(self, buf: bytearray | memoryview, pos: int) -> int:
        length = int.from_bytes(buf[pos : pos + 4], "big", signed=True)
        if length < 0 or length > self.limit:
            raise ProtocolError(f"frame of {length} bytes, the limit is {self.limit}")
        return length

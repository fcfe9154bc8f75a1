"""The boundary to the other nodes of the cluster: one frame out, one frame back, or nothing.

The shell has the sockets (`pybroker.runtime.peers`), the simulation has a network of its own; everything
below sees this protocol only. What every implementation must hold:

- requests of one (channel, address) go over one connection, in the order of the calls, pipelined; channels
  do not wait for each other;
- `done` is called exactly once for each `send`, on the loop thread, never within `send`;
- a failure (refused, closed, a request that timed out, a broken frame) ends all requests that are outstanding
  on its connection, oldest first, each with None: whether the other node has acted on them is not known;
- what is outstanding is bounded: beyond the bound a request fails instead of waiting.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Protocol, TypeAlias

Address: TypeAlias = tuple[str, int]
"""Host name or IP address, and port."""

Done: TypeAlias = Callable[[memoryview | None], None]


class Peers(Protocol):
    """How a node reaches the others."""

    def send(
        self,
        channel: str,
        address: Address,
        frame: Sequence[bytes | bytearray | memoryview],
        timeout_ms: float,
        done: Done,
    ) -> None:
        """Send the buffers of one frame, without its length prefix.

        `done` takes the response frame without its length prefix, in memory that belongs to the caller and
        may be written to, or None. `timeout_ms` counts from now and includes connecting.
        """

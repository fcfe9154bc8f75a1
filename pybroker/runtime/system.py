"""The operating system's clock for the cores, and what it allows this process to have open."""

from __future__ import annotations

import time
from typing import NamedTuple


class SystemClock:
    """`pybroker.common.clock.Clock` over the operating system's clocks."""

    __slots__ = ()

    def wall_ms(self) -> int:
        return time.time_ns() // 1_000_000

    def monotonic_ms(self) -> float:
        return time.monotonic() * 1000.0


class OpenFiles(NamedTuple):
    """How the descriptors of a process are shared out."""

    connections: int
    read: int
    write: int


# For what has no budget of its own: listeners, checkpoints, index files, a roll, the event loop.
_OTHER_FILES = 48
_FEWEST_CONNECTIONS = 16
_FEWEST_FILES = 8


def share_out(limit: int) -> OpenFiles:
    """Half of `limit` descriptors for connections, the rest for segments: most of it for those written to."""
    free = max(limit - _OTHER_FILES, 0)
    connections = max(free // 2, _FEWEST_CONNECTIONS)
    files = max(free - connections, 2 * _FEWEST_FILES)
    read = min(max(files // 4, _FEWEST_FILES), 512)
    return OpenFiles(connections, read, files - read)


def open_file_limit() -> int:
    """How many descriptors this process may have; a large number where the system does not say."""
    try:
        import resource

        soft, _ = resource.getrlimit(resource.RLIMIT_NOFILE)
    except (ImportError, OSError, ValueError):
        return 1 << 20
    return soft if soft >= 0 else 1 << 20

"""Effects: what a core asks the shell to do, because it may block.

A core puts an effect into the broker's list; the shell calls `run` off the loop thread (or inline, in the
simulation) and then `complete` on the loop thread. `run` must not touch anything that the loop thread may
change: it works on what was captured when the effect was made.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Protocol


class Effect(Protocol):
    """One piece of blocking work: a round of file syncs, or a read of bytes that are not in memory."""

    @property
    def queue(self) -> str:
        """Effects of one queue run one after the other; a queue is a log directory, or its reads."""

    def run(self) -> None:
        """Do it. Raises OSError when the disk refuses."""

    def complete(self, error: BaseException | None) -> None:
        """Take the outcome; called exactly once, on the loop thread."""


class BlockingCall:
    """An effect made of two functions: `function` runs off the loop, `done(error)` on the loop thread."""

    __slots__ = ("_done", "_function", "queue")

    def __init__(
        self, queue: str, function: Callable[[], None], done: Callable[[BaseException | None], None]
    ) -> None:
        self.queue = queue
        self._function = function
        self._done = done

    def run(self) -> None:
        self._function()

    def complete(self, error: BaseException | None) -> None:
        self._done(error)

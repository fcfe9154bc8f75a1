"""Time and turns of a simulated cluster: one queue of events, and coroutines that wait for them.

In: calls with the moment they are due. Out: the calls, one after the other, in the order of their moments; and
a trace, a checksum over everything that was noted. What must hold: the same calls in the same order give the
same trace; nothing here reads a real clock.
"""

from __future__ import annotations

import heapq
import zlib
from collections import deque
from collections.abc import Callable, Coroutine
from typing import Any

Call = Callable[[], None]


class Scheduler:
    """Virtual time in milliseconds."""

    def __init__(self) -> None:
        self.now_ms = 0.0
        self.events = 0
        self.trace = 0
        # The end of what was noted, for people.
        self.recent: deque[str] = deque(maxlen=60)
        self.keep_all: list[str] | None = None
        self._queue: list[tuple[float, int, Call]] = []
        self._number = 0

    def after(self, delay_ms: float, call: Call) -> None:
        """Make a call later; calls for the same moment are made in the order they were given."""
        self._number += 1
        heapq.heappush(self._queue, (self.now_ms + delay_ms, self._number, call))

    def run_until(self, end_ms: float) -> None:
        """Make all calls that are due up to a moment, which is then now."""
        queue = self._queue
        while queue and queue[0][0] <= end_ms:
            self.now_ms, _, call = heapq.heappop(queue)
            self.events += 1
            call()
        self.now_ms = end_ms

    def note(self, text: str) -> None:
        """Something happened: part of the trace."""
        line = f"{self.now_ms:.3f} {text}"
        self.trace = zlib.crc32(line.encode(), self.trace)
        self.recent.append(line)
        if self.keep_all is not None:
            self.keep_all.append(line)


class Future:
    """A value that one coroutine waits for. Only the first `set` counts."""

    __slots__ = ("_waiter", "done", "value")

    def __init__(self) -> None:
        self.done = False
        self.value: Any = None
        self._waiter: Call | None = None

    def set(self, value: Any = None) -> None:
        if self.done:
            return
        self.done = True
        self.value = value
        if self._waiter is not None:
            waiter, self._waiter = self._waiter, None
            waiter()

    def wait(self, waiter: Call) -> None:
        """Call when there is a value."""
        self._waiter = waiter

    def __await__(self) -> Any:
        if not self.done:
            yield self
        return self.value


class Task:
    """A coroutine that runs whenever what it waits for is there, until its end or `cancel`."""

    def __init__(self, coroutine: Coroutine[Any, Any, Any]) -> None:
        self._coroutine = coroutine
        self.finished = Future()
        self._step()

    def _step(self) -> None:
        if self.finished.done:
            return
        try:
            future = self._coroutine.send(None)
        except StopIteration as stop:
            self.finished.set(stop.value)
        else:
            future.wait(self._step)

    def cancel(self) -> None:
        """End it where it is, as when its process dies."""
        if not self.finished.done:
            self.finished.set(None)
            self._coroutine.close()


def sleep(scheduler: Scheduler, delay_ms: float) -> Future:
    future = Future()
    scheduler.after(delay_ms, future.set)
    return future


async def gather(futures: list[Future]) -> list[Any]:
    """The values of all."""
    return [await future for future in futures]

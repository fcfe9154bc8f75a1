"""Timers of the cores: a heap that the shell, or the simulation, advances.

Cancelled timers stay in the heap until they come up or until they are more than half of it, so that both
`schedule` and `cancel` stay cheap for the long polls that are nearly always cancelled.
"""

from __future__ import annotations

import heapq
from collections.abc import Callable


class Timer:
    """One scheduled call."""

    __slots__ = ("_queue", "callback", "deadline_ms")

    def __init__(self, queue: TimerQueue, deadline_ms: float, callback: Callable[[], None]) -> None:
        self._queue = queue
        self.deadline_ms = deadline_ms
        self.callback: Callable[[], None] | None = callback

    def cancel(self) -> None:
        """Never call it. Harmless after it fired or was cancelled."""
        if self.callback is not None:
            self.callback = None
            self._queue.note_cancelled()


class TimerQueue:
    """Timers ordered by deadline, then by the order they were scheduled in.

    `on_earlier` is called with a deadline when it becomes the next one; the shell re-arms its own timer
    from it.
    """

    __slots__ = ("_cancelled_count", "_heap", "_sequence", "on_earlier")

    def __init__(self) -> None:
        self._heap: list[tuple[float, int, Timer]] = []
        self._sequence = 0
        self._cancelled_count = 0
        self.on_earlier: Callable[[float], None] | None = None

    def schedule(self, deadline_ms: float, callback: Callable[[], None]) -> Timer:
        """Call `callback` in the first `advance` at or after `deadline_ms` (monotonic milliseconds)."""
        timer = Timer(self, deadline_ms, callback)
        earlier = not self._heap or deadline_ms < self._heap[0][0]
        self._sequence += 1
        heapq.heappush(self._heap, (deadline_ms, self._sequence, timer))
        if earlier and self.on_earlier is not None:
            self.on_earlier(deadline_ms)
        return timer

    def next_deadline_ms(self) -> float | None:
        """The earliest deadline of a timer that is not cancelled, or None."""
        while self._heap and self._heap[0][2].callback is None:
            heapq.heappop(self._heap)
            self._cancelled_count -= 1
        return self._heap[0][0] if self._heap else None

    def is_due(self, now_ms: float) -> bool:
        """Whether `advance` would have something to do: cheap enough to ask before a request."""
        return bool(self._heap) and self._heap[0][0] <= now_ms

    def advance(self, now_ms: float) -> int:
        """Run everything due at `now_ms`; returns how many ran. Timers that they schedule run next time."""
        due: list[Timer] = []
        while self._heap and self._heap[0][0] <= now_ms:
            timer = heapq.heappop(self._heap)[2]
            if timer.callback is None:
                self._cancelled_count -= 1
            else:
                due.append(timer)
        ran = 0
        for timer in due:
            callback = timer.callback
            if callback is None:
                # Cancelled by an earlier callback of this round; it had left the heap already.
                self._cancelled_count -= 1
                continue
            timer.callback = None
            callback()
            ran += 1
        return ran

    def note_cancelled(self) -> None:
        """A timer of this queue was cancelled (called by Timer.cancel only)."""
        self._cancelled_count += 1
        if self._cancelled_count > 64 and self._cancelled_count * 2 > len(self._heap):
            self._heap = [entry for entry in self._heap if entry[2].callback is not None]
            heapq.heapify(self._heap)
            self._cancelled_count = 0

"""Blocking work off the loop: one I/O thread per effect queue, that is, per log directory.

In: effects that a core asked for. Out: `effect.complete(error)` on the loop thread, exactly once each. What
must hold: effects of one queue run one after the other in the order of submission; the queues are bounded:
when they hold too much, `on_full` tells the door to handle nothing new until they drain.
"""

from __future__ import annotations

import asyncio
import queue
import threading
from collections import deque
from collections.abc import Callable
from typing import Final

from pybroker.common.effects import Effect

# Group commit keeps one round per directory in flight, so this many means that a disk hangs.
OUTSTANDING_MAX: Final = 512


class EffectRunner:
    """Runs effects on daemon threads that start with the first effect of their queue."""

    def __init__(
        self,
        loop: asyncio.AbstractEventLoop,
        on_complete: Callable[[Effect, BaseException | None], None],
        on_full: Callable[[bool], None],
    ) -> None:
        self._loop = loop
        self._on_complete = on_complete
        self._on_full = on_full
        self._workers: dict[str, tuple[queue.SimpleQueue[Effect | None], threading.Thread]] = {}
        self._done: deque[tuple[Effect, BaseException | None]] = deque()
        self._notified = False
        self._full = False
        self.outstanding = 0

    def submit(self, effect: Effect) -> None:
        """Run it as soon as those before it in its queue are done. Loop thread only."""
        worker = self._workers.get(effect.queue)
        if worker is None:
            work: queue.SimpleQueue[Effect | None] = queue.SimpleQueue()
            thread = threading.Thread(
                target=self._work, args=(work,), name=f"pybroker-io {effect.queue}", daemon=True
            )
            worker = self._workers[effect.queue] = (work, thread)
            thread.start()
        self.outstanding += 1
        worker[0].put(effect)
        if self.outstanding > OUTSTANDING_MAX and not self._full:
            self._full = True
            self._on_full(True)

    def _work(self, work: queue.SimpleQueue[Effect | None]) -> None:
        while (effect := work.get()) is not None:
            error: BaseException | None = None
            try:
                effect.run()
            except BaseException as caught:
                # Whatever it is, the core that asked decides what it means.
                error = caught
            self._done.append((effect, error))
            if not self._notified:
                self._notified = True
                try:
                    self._loop.call_soon_threadsafe(self.complete_done)
                except RuntimeError:
                    # The loop is closed: nobody waits any more.
                    return

    def complete_done(self) -> None:
        """Hand over what has ended. Loop thread only."""
        # Cleared first: an effect that ends from here on makes its own call.
        self._notified = False
        done = self._done
        while done:
            effect, error = done.popleft()
            self.outstanding -= 1
            self._on_complete(effect, error)
        if self._full and self.outstanding <= OUTSTANDING_MAX // 2:
            self._full = False
            self._on_full(False)

    def stop(self, timeout_seconds: float = 5.0) -> None:
        """Let the threads finish what they have, and hand it over."""
        for work, _ in self._workers.values():
            work.put(None)
        for _, thread in self._workers.values():
            thread.join(timeout_seconds)
        self._workers.clear()
        self.complete_done()

"""Requests that take long, in slices: the broker serves others in between.

In: steps, that is generators of a handler that yield None wherever others may have a turn, or a function to
be run off the loop, or a Deferred whose value they want. Out: Deferreds of the replies. What must hold:

- one such request is worked on at a time, in the order of arrival, so that what it has decoded and built so
  far is in memory once; the others are no more than their frames;
- a slice takes a few milliseconds, whatever the request is, as long as the steps do;
- the steps of a connection that has gone are not taken.

Decoding and encoding are pure functions of what they are given, so they run as effects.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable
from functools import partial
from typing import Any, Final

from pybroker.common.clock import Clock
from pybroker.common.deferred import Deferred
from pybroker.common.errors import ProtocolError
from pybroker.common.timers import TimerQueue
from pybroker.handlers.context import CLOSE, Connection, Steps

QUEUE: Final = "large requests"
"""The effect queue: work for the processor, not for a disk."""
SLICE_MS: Final = 5.0
# The clock is read once in so many steps.
_STEPS: Final = 4

RunBlocking = Callable[[str, Callable[[], None], Callable[[BaseException | None], None]], None]


class LargeReply(Deferred[Any]):
    """The reply of a large request, or the exception that ended it. Nothing behind it may be handled."""

    __slots__ = ()


class _Job:
    __slots__ = ("connection", "reply", "sent", "steps")

    def __init__(self, connection: Connection, steps: Steps[Any], reply: LargeReply) -> None:
        self.connection = connection
        self.steps = steps
        self.reply = reply
        # What the steps get as the value of their yield.
        self.sent: Any = None


class LargeRequests:
    """The queue of one broker."""

    __slots__ = ("_active", "_clock", "_jobs", "_run_blocking", "_timers", "sliced_count")

    def __init__(self, clock: Clock, timers: TimerQueue, run_blocking: RunBlocking) -> None:
        self._clock = clock
        self._timers = timers
        self._run_blocking = run_blocking
        self._jobs: deque[_Job] = deque()
        self._active: _Job | None = None
        self.sliced_count = 0

    def __len__(self) -> int:
        return len(self._jobs) + (self._active is not None)

    def run(
        self, connection: Connection, steps: Steps[Any], finish: Callable[[Any], Steps[Any]]
    ) -> tuple[bool, Any]:
        """Take steps at once: (True, their value) if one slice is enough. Else (False, a LargeReply): they
        are queued, and `finish` of their value with them. These steps yield None only."""
        try:
            for _ in range(_STEPS):
                next(steps)
            deadline_ms = self._clock.monotonic_ms() + SLICE_MS
            while self._clock.monotonic_ms() < deadline_ms:
                for _ in range(_STEPS):
                    next(steps)
        except StopIteration as stop:
            return True, stop.value
        return False, self.queue(connection, _chained(steps, finish))

    def queue(self, connection: Connection, steps: Steps[Any]) -> LargeReply:
        """Take the steps when their turn comes."""
        reply = LargeReply()
        self.sliced_count += 1
        self._jobs.append(_Job(connection, steps, reply))
        if self._active is None:
            self._next()
        return reply

    def _next(self) -> None:
        self._active = None
        while self._jobs:
            job = self._jobs.popleft()
            if job.connection.closed:
                job.steps.close()
                continue
            self._active = job
            self._timers.schedule(0.0, self._advance)
            return

    def _advance(self) -> None:
        """One slice of the active request."""
        job = self._active
        assert job is not None
        if job.connection.closed:
            job.steps.close()
            self._next()
            return
        steps = job.steps
        deadline_ms = self._clock.monotonic_ms() + SLICE_MS
        # Whatever breaks here is met by the loop; the connection is closed and the others go on.
        value: Any = CLOSE
        ended = True
        try:
            wanted, job.sent = steps.send(job.sent), None
            while wanted is None:
                if self._clock.monotonic_ms() >= deadline_ms:
                    ended = False
                    self._timers.schedule(0.0, self._advance)
                    return
                for _ in range(_STEPS):
                    wanted = next(steps)
                    if wanted is not None:
                        break
            ended = False
        except StopIteration as stop:
            value = stop.value
        except ProtocolError as error:
            value = error
        finally:
            if ended:
                self._finished(job, value)
        if not ended:
            if isinstance(wanted, Deferred):
                wanted.then(partial(self._go_on, job))
            else:
                self._off_the_loop(job, wanted)

    def _go_on(self, job: _Job, value: Any) -> None:
        job.sent = value
        # Not from here: whoever resolved the value may be in the middle of something.
        self._timers.schedule(0.0, self._advance)

    def _finished(self, job: _Job, value: Any) -> None:
        self._next()
        if isinstance(value, Deferred):
            value.then(job.reply.resolve)
        else:
            job.reply.resolve(value)

    def _off_the_loop(self, job: _Job, function: Callable[[], Any]) -> None:
        results: list[Any] = []

        def run() -> None:
            results.append(function())

        def done(error: BaseException | None) -> None:
            if error is not None:
                job.steps.close()
                self._finished(job, error)
                return
            job.sent = results.pop()
            self._advance()

        self._run_blocking(QUEUE, run, done)


def _chained(steps: Steps[Any], finish: Callable[[Any], Steps[Any]]) -> Steps[Any]:
    value = yield from steps
    return (yield from finish(value))

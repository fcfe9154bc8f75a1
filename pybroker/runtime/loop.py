"""What drives a broker: its timers, its ticks, its effects, on one asyncio event loop.

In: deadlines and effects of the broker. Out: calls of `timers.advance`, `tick` and `Effect.complete` on the
loop thread. What must hold: an unexpected error in a timer or a completion is logged and counted and does
not end the loop; an InvariantError ends the process.
"""

from __future__ import annotations

import asyncio
import logging
import math
import time
from collections.abc import Callable
from typing import Final, Protocol

from pybroker import large_requests
from pybroker.common.clock import Clock
from pybroker.common.effects import Effect
from pybroker.common.errors import InvariantError
from pybroker.common.timers import TimerQueue
from pybroker.runtime.effects import EffectRunner
from pybroker.runtime.metrics import ServerMetrics

logger = logging.getLogger("pybroker.runtime")

_HEARTBEAT_SECONDS: Final = 0.025
_HEARTBEATS_PER_TICK: Final = 4


class Steppable(Protocol):
    """The part of `pybroker.broker.Broker` that is driven from here."""

    timers: TimerQueue
    on_effects: Callable[[], None] | None
    run_timers: Callable[[], None] | None

    def tick(self, now_ms: float, /) -> None: ...

    def take_effects(self) -> list[Effect]: ...


def call_core(
    what: str, on_fatal: Callable[[BaseException], None], function: Callable[..., object], *arguments: object
) -> None:
    """Call a core from the shell: its errors end neither the loop nor what is to be called after it."""
    try:
        function(*arguments)
    except InvariantError as error:
        on_fatal(error)
    except Exception:
        logger.exception("%s could not be handled", what)


class LoopDriver:
    """Binds one broker to one running loop, from `start` to `stop`."""

    def __init__(
        self,
        loop: asyncio.AbstractEventLoop,
        clock: Clock,
        broker: Steppable,
        metrics: ServerMetrics,
        *,
        on_fatal: Callable[[BaseException], None],
        on_full: Callable[[bool], None],
        inline_effects: bool = False,
    ) -> None:
        """With `inline_effects` (memory only) what could wait for a disk runs on the loop."""
        self._loop = loop
        self._clock = clock
        self._broker = broker
        self._metrics = metrics
        self._on_fatal = on_fatal
        self._inline_effects = inline_effects
        self._runner = EffectRunner(loop, self._complete, on_full)
        self._timer: asyncio.TimerHandle | None = None
        self._timer_deadline_ms = math.inf
        self._heartbeat: asyncio.TimerHandle | None = None
        self._heartbeat_due_ns = 0
        self._heartbeats = 0
        self._pumping = False
        self._running = False

    def start(self) -> None:
        self._running = True
        self._broker.timers.on_earlier = self._arm
        self._broker.on_effects = self._effects_wait
        self._broker.run_timers = self._run_timers
        deadline_ms = self._broker.timers.next_deadline_ms()
        if deadline_ms is not None:
            self._arm(deadline_ms)
        # Effects that the start of the broker left behind.
        self._effects_wait()
        self._beat_later()

    def stop(self) -> None:
        """No more timers; effects that were taken are completed."""
        self._running = False
        self._broker.timers.on_earlier = None
        self._broker.run_timers = None
        for handle in (self._timer, self._heartbeat):
            if handle is not None:
                handle.cancel()
        self._runner.stop()
        self._pump()
        self._broker.on_effects = None
        self._runner.stop()

    @property
    def effects_outstanding(self) -> int:
        return self._runner.outstanding

    # --- timers ---

    def _arm(self, deadline_ms: float) -> None:
        """Have `_fire` called at this deadline, unless it comes earlier anyway."""
        if not self._running or deadline_ms >= self._timer_deadline_ms:
            return
        if self._timer is not None:
            self._timer.cancel()
        self._timer_deadline_ms = deadline_ms
        # Whole milliseconds, rounded up: the loop's own resolution. Early is useless, late by one is not.
        delay_ms = max(0, math.ceil(deadline_ms - self._clock.monotonic_ms()))
        self._timer = self._loop.call_later(delay_ms / 1000.0, self._fire)

    def _fire(self) -> None:
        self._timer = None
        self._timer_deadline_ms = math.inf
        self._run_timers()
        deadline_ms = self._broker.timers.next_deadline_ms()
        if deadline_ms is not None:
            self._arm(deadline_ms)

    def _run_timers(self) -> None:
        try:
            self._broker.timers.advance(self._clock.monotonic_ms())
        except InvariantError as error:
            self._on_fatal(error)
        except Exception:
            self._metrics.timer_errors += 1
            logger.exception("timer failed")

    # --- heartbeat: ticks, and how late the loop is ---

    def _beat_later(self) -> None:
        self._heartbeat_due_ns = time.perf_counter_ns() + int(_HEARTBEAT_SECONDS * 1e9)
        self._heartbeat = self._loop.call_later(_HEARTBEAT_SECONDS, self._beat)

    def _beat(self) -> None:
        late_ns = time.perf_counter_ns() - self._heartbeat_due_ns
        self._metrics.observe_stall(max(0, late_ns))
        self._heartbeats += 1
        if self._heartbeats % _HEARTBEATS_PER_TICK == 0:
            try:
                self._broker.tick(self._clock.monotonic_ms())
            except InvariantError as error:
                self._on_fatal(error)
                return
            except Exception:
                self._metrics.timer_errors += 1
                logger.exception("tick failed")
        if self._running:
            self._beat_later()

    # --- effects ---

    def _effects_wait(self) -> None:
        """The broker has effects: take them when the loop comes round, so that a group commit groups."""
        if not self._pumping:
            self._pumping = True
            self._loop.call_soon(self._pump)

    def _pump(self) -> None:
        self._pumping = False
        for effect in self._broker.take_effects():
            self._metrics.effects += 1
            if self._inline_effects and effect.queue != large_requests.QUEUE:
                self._run_inline(effect)
            else:
                self._runner.submit(effect)

    def _run_inline(self, effect: Effect) -> None:
        error: BaseException | None = None
        try:
            effect.run()
        except Exception as caught:
            error = caught
        self._complete(effect, error)

    def _complete(self, effect: Effect, error: BaseException | None) -> None:
        if error is not None:
            self._metrics.effect_errors += 1
            logger.error('effect failed queue=%s error="%r"', effect.queue, error)
        try:
            effect.complete(error)
        except InvariantError as invariant:
            self._on_fatal(invariant)
        except Exception:
            self._metrics.timer_errors += 1
            logger.exception("completion of an effect failed")

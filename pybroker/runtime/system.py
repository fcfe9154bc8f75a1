"""The real clock: the only place that reads the time of the operating system for the cores."""

from __future__ import annotations

import time


class SystemClock:
    """`pybroker.common.clock.Clock` over the operating system's clocks."""

    __slots__ = ()

    def wall_ms(self) -> int:
        return time.time_ns() // 1_000_000

    def monotonic_ms(self) -> float:
        return time.monotonic() * 1000.0

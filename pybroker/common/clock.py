"""Time as an argument.

Two clocks that must not be confused: wall time stamps records and drives retention, monotonic time
drives timers. Nothing below the shell reads either from the operating system.
"""

from __future__ import annotations

from typing import Protocol


class Clock(Protocol):
    """Source of both times. The real one is `pybroker.runtime.system.SystemClock`."""

    def wall_ms(self) -> int:
        """Milliseconds since 1970-01-01 UTC; may jump either way."""

    def monotonic_ms(self) -> float:
        """Milliseconds since an arbitrary point; never goes back."""


class ManualClock:
    """A clock that stands still until told otherwise, for tests and the simulation."""

    __slots__ = ("_monotonic_ms", "_wall_ms")

    def __init__(self, wall_ms: int = 1_700_000_000_000, monotonic_ms: float = 0.0) -> None:
        self._wall_ms = wall_ms
        self._monotonic_ms = monotonic_ms

    def wall_ms(self) -> int:
        return self._wall_ms

    def monotonic_ms(self) -> float:
        return self._monotonic_ms

    def advance(self, milliseconds: int) -> None:
        """Move both clocks forward by `milliseconds`."""
        self._wall_ms += milliseconds
        self._monotonic_ms += milliseconds

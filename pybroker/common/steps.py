"""Long work on the loop thread as a generator: it yields where something else may have its turn.

In: a generator. Out: what it returns. What must hold: between two yields no step takes more than a small part
of the time for which the loop may stand still.
"""

from __future__ import annotations

from collections.abc import Generator
from typing import TypeAlias, TypeVar

T = TypeVar("T")
Steps: TypeAlias = Generator[None, None, T]


def run_steps(steps: Steps[T]) -> T:
    """All of it at once."""
    while True:
        try:
            next(steps)
        except StopIteration as end:
            result: T = end.value
            return result

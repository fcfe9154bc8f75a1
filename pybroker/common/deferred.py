"""A value that arrives later, without an event loop.

A Deferred is resolved at most once, on the loop thread, by a core. It exists because creating and waking
an asyncio task costs more than a whole produce request (see docs/adr), and because the cores must run
without a loop in the simulation.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Generic, TypeVar, cast

from pybroker.common.errors import InvariantError

T = TypeVar("T")
U = TypeVar("U")

_PENDING = object()


class Deferred(Generic[T]):
    """A promise of one T. Callbacks run inside `resolve`, in the order they were added."""

    __slots__ = ("_callbacks", "_value")

    def __init__(self) -> None:
        self._value: object = _PENDING
        self._callbacks: list[Callable[[T], None]] = []

    @property
    def done(self) -> bool:
        return self._value is not _PENDING

    @property
    def value(self) -> T:
        """The value; InvariantError while there is none."""
        if self._value is _PENDING:
            raise InvariantError("the value of a Deferred was read before it was resolved")
        return cast(T, self._value)

    def resolve(self, value: T) -> None:
        """Give the value and run the callbacks. A second call is our bug: InvariantError."""
        if self._value is not _PENDING:
            raise InvariantError("a Deferred was resolved twice")
        self._value = value
        callbacks, self._callbacks = self._callbacks, []
        for callback in callbacks:
            callback(value)

    def then(self, callback: Callable[[T], None]) -> None:
        """Call `callback(value)` when the value is there; at once if it already is."""
        if self._value is not _PENDING:
            callback(cast(T, self._value))
        else:
            self._callbacks.append(callback)

    def map(self, function: Callable[[T], U]) -> Deferred[U]:
        """A Deferred of `function(value)`."""
        result: Deferred[U] = Deferred()
        self.then(lambda value: result.resolve(function(value)))
        return result


def resolved(value: T) -> Deferred[T]:
    """A Deferred that already has its value."""
    deferred: Deferred[T] = Deferred()
    deferred.resolve(value)
    return deferred


def gather(parts: Sequence[Deferred[T]]) -> Deferred[list[T]]:
    """A Deferred of the values of all parts, in their order."""
    result: Deferred[list[T]] = Deferred()
    missing = len(parts)

    def arrived(value: T) -> None:
        nonlocal missing
        missing -= 1
        if missing == 0:
            result.resolve([part.value for part in parts])

    if not parts:
        result.resolve([])
    for part in parts:
        part.then(arrived)
    return result

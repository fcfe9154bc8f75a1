"""What an operation of a shard gives back: records to append, and the response that waits for them."""

from __future__ import annotations

from collections.abc import Callable
from typing import Generic, NamedTuple, TypeVar

from pybroker.common.deferred import Deferred
from pybroker.common.errors import ApiError

T = TypeVar("T")


class CoordinatorRecord(NamedTuple):
    """One record of an internal topic; a null value is a tombstone."""

    key: bytes
    value: bytes | None


class Result(Generic[T]):
    """The outcome of one operation.

    `response` is released once `records` are committed; it may itself be a Deferred (a parked JoinGroup),
    which is then waited for. `on_append` is called once, before the response is released: with None when the
    records are committed, with the error when they are not; without records it is called with None at once.
    With `replay` False the records are appended and not replayed into this shard, whose operation has
    already changed its state (and takes it back in `on_append` when told so). Without `atomic` the records
    may be spread over several batches.
    """

    __slots__ = ("atomic", "on_append", "records", "replay", "response")

    def __init__(
        self,
        response: T | Deferred[T],
        records: list[CoordinatorRecord] | None = None,
        *,
        replay: bool = True,
        atomic: bool = True,
        on_append: Callable[[ApiError | None], None] | None = None,
    ) -> None:
        self.response = response
        self.records = records if records is not None else []
        self.replay = replay
        self.atomic = atomic
        self.on_append = on_append

"""What a decision of the controller is.

In: nothing. Out: `Decision`. What must hold: deciding changes nothing; the records do, once replayed.
"""

from __future__ import annotations

from typing import Generic, NamedTuple, TypeVar

from pybroker.wire.message import Message

R = TypeVar("R")


class Decision(NamedTuple, Generic[R]):
    """The records to commit as one batch, and the response to give when they are committed."""

    records: list[Message]
    response: R

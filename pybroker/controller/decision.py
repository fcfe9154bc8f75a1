"""What a decision of the controller is.

In: nothing. Out: `Decision`. What must hold: deciding changes nothing; the records do, once replayed.
"""

from __future__ import annotations

from typing import Generic, NamedTuple, TypeVar

from pybroker.wire.message import Message

R = TypeVar("R")


class Decision(NamedTuple, Generic[R]):
    """The records to commit, and the response to give when they are committed."""

    records: list[Message]
    response: R
    atomic: bool = True
    """One batch, or none of it. Else there may be more records than a batch takes (what follows from one
    broker may concern every partition), and the first may be seen before the last."""

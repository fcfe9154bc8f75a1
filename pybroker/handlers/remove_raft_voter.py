"""RemoveRaftVoter (key 81), version 0.

Behaviour: a voter becomes an observer (KIP-853). The last one cannot be removed.
"""

from __future__ import annotations

from pybroker.common.deferred import Deferred
from pybroker.handlers.context import Context, Request
from pybroker.wire.messages.remove_raft_voter import RemoveRaftVoterResponse


def handle(context: Context, request: Request) -> Deferred[RemoveRaftVoterResponse]:
    return context.quorum.handle(request.message)

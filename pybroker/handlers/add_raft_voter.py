"""AddRaftVoter (key 80), versions 0-1.

Behaviour: an observer that has caught up becomes a voter (KIP-853); version 1 can be answered before that is
committed (KIP-1186).
"""

from __future__ import annotations

from pybroker.common.deferred import Deferred
from pybroker.handlers.context import Context, Request
from pybroker.wire.messages.add_raft_voter import AddRaftVoterResponse


def handle(context: Context, request: Request) -> Deferred[AddRaftVoterResponse]:
    return context.quorum.handle(request.message)

"""UpdateRaftVoter (key 82), version 0.

Behaviour: a voter tells its leader where it listens now (KIP-853).
"""

from __future__ import annotations

from pybroker.common.deferred import Deferred
from pybroker.handlers.context import Context, Request
from pybroker.wire.messages.update_raft_voter import UpdateRaftVoterResponse


def handle(context: Context, request: Request) -> Deferred[UpdateRaftVoterResponse]:
    return context.quorum.handle(request.message)

"""Vote (key 52), versions 0-2.

Behaviour: another member asks for a vote, or with PreVote (KIP-996) whether it would get it. Only members of
the quorum send it.
"""

from __future__ import annotations

from pybroker.common.deferred import Deferred
from pybroker.handlers.context import Context, Request
from pybroker.wire.messages.vote import VoteResponse


def handle(context: Context, request: Request) -> Deferred[VoteResponse]:
    return context.quorum.handle(request.message)

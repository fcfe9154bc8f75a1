"""BeginQuorumEpoch (key 53), versions 0-1.

Behaviour: a new leader tells the voters of its epoch, because they are the ones who fetch.
"""

from __future__ import annotations

from pybroker.common.deferred import Deferred
from pybroker.handlers.context import Context, Request
from pybroker.wire.messages.begin_quorum_epoch import BeginQuorumEpochResponse


def handle(context: Context, request: Request) -> Deferred[BeginQuorumEpochResponse]:
    return context.quorum.handle(request.message)

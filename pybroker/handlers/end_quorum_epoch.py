"""EndQuorumEpoch (key 54), versions 0-1.

Behaviour: a leader that ends tells the voters whom it would like to succeed it.
"""

from __future__ import annotations

from pybroker.common.deferred import Deferred
from pybroker.handlers.context import Context, Request
from pybroker.wire.messages.end_quorum_epoch import EndQuorumEpochResponse


def handle(context: Context, request: Request) -> Deferred[EndQuorumEpochResponse]:
    return context.quorum.handle(request.message)

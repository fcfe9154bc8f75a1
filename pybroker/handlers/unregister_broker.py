"""UnregisterBroker (key 64), version 0.

Behaviour: decided by the active controller. The broker leaves every ISR; it stays among the replicas of its
partitions until they are reassigned.
"""

from __future__ import annotations

from pybroker.common.deferred import Deferred
from pybroker.handlers.context import Context, Request
from pybroker.wire.messages.unregister_broker import UnregisterBrokerResponse


def handle(context: Context, request: Request) -> Deferred[UnregisterBrokerResponse]:
    return context.controller.unregister_broker(request.message)

"""BrokerHeartbeat (key 63), versions 0-2.

Behaviour: decided by the active controller, which unfences a broker that has replayed its own registration
and moves the leaders away from one that wants to stop.
"""

from __future__ import annotations

from pybroker.common.deferred import Deferred
from pybroker.handlers.context import Context, Request
from pybroker.wire.messages.broker_heartbeat import BrokerHeartbeatResponse


def handle(context: Context, request: Request) -> Deferred[BrokerHeartbeatResponse]:
    return context.controller.broker_heartbeat(request.message)

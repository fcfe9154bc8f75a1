"""BrokerRegistration (key 62), versions 0-4.

Behaviour: decided by the active controller; another incarnation is refused while the session of the
registered one holds. Before version 3 nothing tells that the incarnation before stopped cleanly, so it did
not.
"""

from __future__ import annotations

from pybroker.common.deferred import Deferred
from pybroker.handlers.context import Context, Request
from pybroker.wire.messages.broker_registration import BrokerRegistrationResponse


def handle(context: Context, request: Request) -> Deferred[BrokerRegistrationResponse]:
    return context.controller.register_broker(request.message, request.version)

"""ElectLeaders (key 43), versions 0-2.

Behaviour: decided by the active controller; the answer is sent when its records are durable and this broker
has applied them. Version 0 knows the preferred election only.
"""

from __future__ import annotations

from pybroker.common.deferred import Deferred
from pybroker.handlers.context import Context, Request
from pybroker.wire.messages.elect_leaders import ElectLeadersResponse


def handle(context: Context, request: Request) -> Deferred[ElectLeadersResponse]:
    return context.controller.elect_leaders(request.message)

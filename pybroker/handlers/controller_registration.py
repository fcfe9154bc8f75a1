"""ControllerRegistration (key 70), version 0.

Behaviour: decided by the active controller; a controller that is not active registers so after each start.
"""

from __future__ import annotations

from pybroker.common.deferred import Deferred
from pybroker.handlers.context import Context, Request
from pybroker.wire.messages.controller_registration import ControllerRegistrationResponse


def handle(context: Context, request: Request) -> Deferred[ControllerRegistrationResponse]:
    return context.controller.register_controller(request.message)

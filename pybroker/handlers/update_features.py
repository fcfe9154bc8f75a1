"""UpdateFeatures (key 57), versions 0-2.

Behaviour: decided by the controller; the answer is sent when its records are durable and this broker has
applied them. Version 0 knows upgrades only: its flag that allows a downgrade has no effect in Kafka either.
"""

from __future__ import annotations

from pybroker.common.deferred import Deferred
from pybroker.handlers.context import Context, Request
from pybroker.wire.messages.update_features import UpdateFeaturesResponse


def handle(context: Context, request: Request) -> Deferred[UpdateFeaturesResponse]:
    return context.controller.update_features(request.message)

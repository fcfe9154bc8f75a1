"""CreateTopics (key 19), versions 2-7.

Behaviour: decided by the controller; the answer is sent when its records are durable and this broker has
applied them.
"""

from __future__ import annotations

from pybroker.common.deferred import Deferred
from pybroker.handlers.context import Context, Request
from pybroker.wire.messages.create_topics import CreateTopicsResponse


def handle(context: Context, request: Request) -> Deferred[CreateTopicsResponse]:
    return context.controller.create_topics(request.message, request.version)

"""AssignReplicasToDirs (key 73), version 0.

Behaviour: decided by the active controller; a replica in a directory that its broker does not have online
leaves the ISR.
"""

from __future__ import annotations

from pybroker.common.deferred import Deferred
from pybroker.handlers.context import Context, Request
from pybroker.wire.messages.assign_replicas_to_dirs import AssignReplicasToDirsResponse


def handle(context: Context, request: Request) -> Deferred[AssignReplicasToDirsResponse]:
    return context.controller.assign_replicas_to_dirs(request.message)

"""FetchSnapshot (key 59), versions 0-1.

Behaviour: a chunk of a metadata snapshot, for a replica that is behind the start of the log. A request
without exactly one partition is refused (CVE-2026-83525).
"""

from __future__ import annotations

from pybroker.common.deferred import Deferred
from pybroker.handlers.context import Context, Request
from pybroker.wire.messages.fetch_snapshot import FetchSnapshotResponse


def handle(context: Context, request: Request) -> Deferred[FetchSnapshotResponse]:
    return context.quorum.handle(request.message)

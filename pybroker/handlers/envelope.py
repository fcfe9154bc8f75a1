"""Envelope (key 58), version 0, on the listeners of a controller.

Behaviour: the request inside is served as if its client had sent it here, in its own version, and the answer
goes back whole, header included. A request that is not Kafka's to forward, or whose body or client address
cannot be read, is INVALID_REQUEST; a header that cannot be read, or a version that is not served, is
UNSUPPORTED_VERSION; a principal that cannot be read is PRINCIPAL_DESERIALIZATION_FAILURE. When the answer
says NOT_CONTROLLER anywhere, so does the envelope, with nothing inside: the broker asks elsewhere.
"""

from __future__ import annotations

from typing import Any, Final

from pybroker.common.deferred import Deferred
from pybroker.common.errors import ErrorCode, ProtocolError
from pybroker.handlers import registry
from pybroker.handlers.context import Context, Request
from pybroker.handlers.forwarding import has_code
from pybroker.wire import codec
from pybroker.wire.api_keys import BY_KEY, FORWARDABLE
from pybroker.wire.headers import parse_request_header, response_header
from pybroker.wire.limits import MAX_WHOLE_REQUEST_OBJECTS
from pybroker.wire.messages.envelope import EnvelopeRequest, EnvelopeResponse
from pybroker.wire.schemas.principal import DefaultPrincipalData

_ADDRESS_SIZES: Final = (4, 16)


def handle(context: Context, request: Request) -> EnvelopeResponse | Deferred[EnvelopeResponse]:
    envelope: EnvelopeRequest = request.message
    if not context.controller.active:
        return EnvelopeResponse(error_code=ErrorCode.NOT_CONTROLLER)
    if not _is_principal(envelope.request_principal):
        return EnvelopeResponse(error_code=ErrorCode.PRINCIPAL_DESERIALIZATION_FAILURE)
    if len(envelope.client_host_address) not in _ADDRESS_SIZES:
        return EnvelopeResponse(error_code=ErrorCode.INVALID_REQUEST)
    frame = memoryview(envelope.request_data)
    try:
        header = parse_request_header(frame)
    except ProtocolError:
        return EnvelopeResponse(error_code=ErrorCode.UNSUPPORTED_VERSION)
    if header.api_key not in BY_KEY:
        return EnvelopeResponse(error_code=ErrorCode.UNSUPPORTED_VERSION)
    if header.api_key not in FORWARDABLE:
        return EnvelopeResponse(error_code=ErrorCode.INVALID_REQUEST)
    route = registry.route(header.api_key, header.api_version, controller=True)
    if route is None:
        return EnvelopeResponse(error_code=ErrorCode.UNSUPPORTED_VERSION)
    try:
        message = route.decode(frame, header.body_offset, MAX_WHOLE_REQUEST_OBJECTS)
    except ProtocolError:
        return EnvelopeResponse(error_code=ErrorCode.INVALID_REQUEST)
    inner = Request(header.api_key, header.api_version, header.client_id, message, request.connection)
    reply: Any = route.handle(context, inner)

    def wrapped(answer: Any) -> EnvelopeResponse:
        if has_code(answer, ErrorCode.NOT_CONTROLLER):
            return EnvelopeResponse(error_code=ErrorCode.NOT_CONTROLLER)
        start = response_header(header.api_key, header.api_version, header.correlation_id)
        return EnvelopeResponse(response_data=b"".join([start, *route.encode(answer)]))

    return reply.map(wrapped) if isinstance(reply, Deferred) else wrapped(reply)


def _is_principal(data: bytes | memoryview | None) -> bool:
    if data is None or len(data) < 2:
        return False
    version = int.from_bytes(data[:2], "big")
    first, last = DefaultPrincipalData.VERSIONS
    try:
        if first <= version <= last:
            codec.decode(DefaultPrincipalData, version, data, 2)
            return True
    except ProtocolError:
        pass
    return False

"""Request and response headers, both directions.

In: a frame without its length prefix. Out: `RequestHeader` with the offset of the body, or header bytes. What
must hold: only ProtocolError leaves the parser; a request of an unsupported key or version is still parsed,
because ApiVersions has to answer one.

    request v1:  api key i16 | api version i16 | correlation id i32 | client id (legacy nullable string)
    request v2:  the same | tagged fields
    response v0: correlation id i32
    response v1: correlation id i32 | tagged fields

The client id stays a legacy string in v2. An ApiVersions response always has header v0, so that a client that
guessed too high a version can read the refusal.
"""

from __future__ import annotations

import struct
from typing import Final, NamedTuple

from pybroker.common.errors import ProtocolError
from pybroker.wire.api_keys import BY_KEY, NEVER
from pybroker.wire.primitives import Buffer, skip_tagged_fields

_FIXED: Final = struct.Struct(">hhih")
_CORRELATION: Final = struct.Struct(">i")
_FLEXIBLE_RESPONSE: Final = struct.Struct(">ix")
_API_VERSIONS: Final = 18

_FIRST_FLEXIBLE: Final[dict[int, int]] = {api.key: api.first_flexible_version for api in BY_KEY.values()}


class RequestHeader(NamedTuple):
    """The header of a request. `body_offset` is where the body starts in the frame."""

    api_key: int
    api_version: int
    correlation_id: int
    client_id: str | None
    body_offset: int


def is_flexible(api_key: int, version: int) -> bool:
    """Whether a request of this version has header v2 (and its response v1, ApiVersions excepted)."""
    return version >= _FIRST_FLEXIBLE.get(api_key, NEVER)


def parse_request_header(frame: Buffer) -> RequestHeader:
    """The header of a frame. For a key that does not exist header v1 is assumed."""
    try:
        api_key, version, correlation_id, length = _FIXED.unpack_from(frame)
        pos = 10
        client_id = None
        if length >= 0:
            pos += length
            if pos > len(frame):
                raise ProtocolError("client id beyond the end of the frame")
            client_id = str(frame[10:pos], "utf-8", "replace")
        if version >= _FIRST_FLEXIBLE.get(api_key, NEVER):
            if frame[pos]:
                pos = skip_tagged_fields(frame, pos, len(frame))
            else:
                pos += 1
    except (struct.error, IndexError) as error:
        raise ProtocolError("frame ends inside its request header") from error
    return RequestHeader(api_key, version, correlation_id, client_id, pos)


def response_header(api_key: int, version: int, correlation_id: int) -> bytes:
    """Header v0 or v1, whichever the request's version asks for."""
    if version >= _FIRST_FLEXIBLE.get(api_key, NEVER) and api_key != _API_VERSIONS:
        return _FLEXIBLE_RESPONSE.pack(correlation_id)
    return _CORRELATION.pack(correlation_id)


def request_header(api_key: int, version: int, correlation_id: int, client_id: str | None = None) -> bytes:
    """What a client sends before the body."""
    encoded = b"" if client_id is None else client_id.encode()
    length = -1 if client_id is None else len(encoded)
    tags = b"\0" if is_flexible(api_key, version) else b""
    return _FIXED.pack(api_key, version, correlation_id, length) + encoded + tags


def parse_response_header(frame: Buffer, api_key: int, version: int) -> tuple[int, int]:
    """(correlation id, offset of the body) of a response, for clients."""
    try:
        (correlation_id,) = _CORRELATION.unpack_from(frame)
        pos = 4
        if is_flexible(api_key, version) and api_key != _API_VERSIONS:
            pos = skip_tagged_fields(frame, pos, len(frame))
    except (struct.error, IndexError) as error:
        raise ProtocolError("frame ends inside its response header") from error
    return correlation_id, pos

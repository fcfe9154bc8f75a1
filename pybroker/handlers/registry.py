"""Dispatch: from (api key, version) to what decodes, handles and encodes it.

A route is made at the first request of its key and version, so that a start pays only for the APIs its
clients use.
"""

from __future__ import annotations

import importlib
from collections.abc import Callable
from typing import Any

from pybroker.common.files import Buffer
from pybroker.wire import codec
from pybroker.wire.api_keys import is_served, module_name

Decode = Callable[[memoryview, int], Any]
Encode = Callable[[Any], list[Buffer]]


class Route:
    """How one version of one API is served."""

    __slots__ = ("api_key", "decode", "encode", "handle", "version")

    def __init__(self, api_key: int, version: int, handle: Any, decode: Decode, encode: Encode) -> None:
        self.api_key = api_key
        self.version = version
        self.handle = handle
        self.decode = decode
        self.encode = encode


def route(api_key: int, version: int) -> Route | None:
    """The route of a key and version, or None when it is not served."""
    if not is_served(api_key, version):
        return None
    handle = importlib.import_module(f"pybroker.handlers.{module_name(api_key)}").handle
    if api_key == 0:
        import pybroker.wire.fast.produce_request as produce_request
        import pybroker.wire.fast.produce_response as produce_response

        return Route(
            api_key,
            version,
            handle,
            lambda frame, position: produce_request.decode(version, frame, position),
            lambda message: [produce_response.encode(message, version)],
        )
    if api_key == 1:
        import pybroker.wire.fast.fetch_request as fetch_request
        import pybroker.wire.fast.fetch_response as fetch_response

        return Route(
            api_key,
            version,
            handle,
            lambda frame, position: fetch_request.decode(version, frame, position),
            lambda message: fetch_response.encode_parts(message, version),
        )
    return Route(
        api_key,
        version,
        handle,
        lambda frame, position: codec.decode_request(api_key, version, frame, position),
        lambda message: [codec.encode_response(message, version)],
    )

"""Dispatch: from (api key, version) to what decodes, handles and encodes it.

A route is made at the first request of its key and version, so that a start pays only for the APIs its
clients use.
"""

from __future__ import annotations

import importlib
from collections.abc import Callable
from typing import Any, Final

from pybroker.common.files import Buffer
from pybroker.wire import codec
from pybroker.wire.api_keys import FORWARDABLE, is_served, module_name

Decode = Callable[[memoryview, int, int], Any]
"""(frame, position of the body, most array elements)"""
Encode = Callable[[Any], list[Buffer]]

_FETCH: Final = 1
# Where a controller's listener does something else under the same key.
_CONTROLLER_MODULES: Final = {_FETCH: "raft_fetch"}


class Route:
    """How one version of one API is served."""

    __slots__ = ("api_key", "decode", "encode", "handle", "large_steps", "steps", "version")

    def __init__(self, api_key: int, version: int, module: Any, decode: Decode, encode: Encode) -> None:
        self.api_key = api_key
        self.version = version
        self.handle = module.handle
        # The same as steps, for all requests and for large ones; None where there are none.
        self.steps = getattr(module.handle, "steps", None)
        self.large_steps = self.steps or getattr(module, "large_steps", None)
        self.decode = decode
        self.encode = encode


class Routes(dict[int, Route]):
    """The routes of one kind of listener, as far as they were asked for: by key << 16 | version."""

    __slots__ = ("controller",)

    def __init__(self, *, controller: bool) -> None:
        super().__init__()
        self.controller = controller
        """Whether these are listeners of a controller."""


def route(api_key: int, version: int, *, controller: bool = False) -> Route | None:
    """The route of a key and version on a listener of a broker or of a `controller`; None when it is not
    served there."""
    if not is_served(api_key, version, controller=controller):
        return None
    name = module_name(api_key)
    if controller:
        name = _CONTROLLER_MODULES.get(api_key, name)
    module = importlib.import_module(f"pybroker.handlers.{name}")
    if api_key == 0:
        import pybroker.wire.fast.produce_request as produce_request
        import pybroker.wire.fast.produce_response as produce_response

        return Route(
            api_key,
            version,
            module,
            lambda frame, position, most: produce_request.decode(version, frame, position, most),
            lambda message: [produce_response.encode(message, version)],
        )
    if api_key == _FETCH and not controller:
        import pybroker.wire.fast.fetch_request as fetch_request
        import pybroker.wire.fast.fetch_response as fetch_response

        return Route(
            api_key,
            version,
            module,
            lambda frame, position, most: fetch_request.decode(version, frame, position, most),
            lambda message: fetch_response.encode_parts(message, version),
        )
    served = Route(
        api_key,
        version,
        module,
        lambda frame, position, most: codec.decode_request(api_key, version, frame, position, most),
        lambda message: [codec.encode_response(message, version)],
    )
    if not controller and api_key in FORWARDABLE:
        from pybroker.handlers.forwarding import with_forwarding

        served.handle = with_forwarding(api_key, module.handle)
    return served

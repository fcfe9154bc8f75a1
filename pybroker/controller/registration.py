"""Registration of controllers (KIP-919): every node with that role tells the active one where it listens and
which features it knows.

In: the latest image and a request; on the asking side the news of images. Out: a `Decision`; requests until
the image has this incarnation. What must hold: the record is the request's content; one request at a time,
and a pause after it.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Final

from pybroker.common.clock import Clock
from pybroker.common.deferred import Deferred
from pybroker.common.errors import ErrorCode
from pybroker.common.timers import TimerQueue
from pybroker.controller.decision import Decision
from pybroker.metadata.features import METADATA_VERSION
from pybroker.metadata.image import ControllerImage, EndpointImage, MetadataImage
from pybroker.metadata.records import controller_record
from pybroker.wire.messages.controller_registration import (
    ControllerRegistrationRequest,
    ControllerRegistrationResponse,
    Feature,
    Listener,
)

METADATA_VERSION_3_7_IV0: Final = 15
"""The first one that has the record."""
_RETRY_MS: Final = 1_000
_TOO_OLD = "The current MetadataVersion is too old to support controller registrations."


def register(
    image: MetadataImage, request: ControllerRegistrationRequest
) -> Decision[ControllerRegistrationResponse]:
    """UNSUPPORTED_VERSION below metadata.version 15."""
    if image.features.get(METADATA_VERSION, 0) < METADATA_VERSION_3_7_IV0:
        return refuse(ErrorCode.UNSUPPORTED_VERSION, _TOO_OLD)
    controller = ControllerImage(
        request.controller_id,
        request.incarnation_id,
        tuple(EndpointImage(e.name, e.host, e.port, e.security_protocol) for e in request.listeners),
        tuple(sorted((f.name, f.min_supported_version, f.max_supported_version) for f in request.features)),
    )
    return Decision([controller_record(controller)], ControllerRegistrationResponse(error_message=""))


def refuse(code: int, message: str | None = None) -> Decision[ControllerRegistrationResponse]:
    return Decision([], ControllerRegistrationResponse(error_code=code, error_message=message))


class ControllerRegistrar:
    """Registers the controller of this node with the active one, whenever the image has it otherwise."""

    def __init__(
        self,
        own: Callable[[], ControllerImage],
        *,
        image: Callable[[], MetadataImage],
        is_active: Callable[[], bool],
        ask: Callable[[ControllerRegistrationRequest, int], Deferred[Any]],
        clock: Clock,
        timers: TimerQueue,
    ) -> None:
        """`ask` gives the active controller's response, or None."""
        self._own = own
        self._image = image
        self._is_active = is_active
        self._ask = ask
        self._clock = clock
        self._timers = timers
        self._asking = False

    def check(self) -> None:
        """There is another image, or the node has caught up with the quorum: ask if need be."""
        # The active controller registers itself when it begins.
        if self._asking or self._is_active():
            return
        image, own = self._image(), self._own()
        if image.features.get(METADATA_VERSION, 0) < METADATA_VERSION_3_7_IV0:
            return
        if image.controllers.get(own.controller_id) != own:
            self._asking = True
            self._ask(_request(own), 0).then(self._answered)

    def _answered(self, response: ControllerRegistrationResponse | None) -> None:
        # The image comes by another way than the answer, perhaps later: not asked again before the pause.
        self._timers.schedule(self._clock.monotonic_ms() + _RETRY_MS, self._check_again)

    def _check_again(self) -> None:
        self._asking = False
        self.check()


def _request(own: ControllerImage) -> ControllerRegistrationRequest:
    return ControllerRegistrationRequest(
        controller_id=own.controller_id,
        incarnation_id=own.incarnation_id,
        listeners=[
            Listener(name=e.name, host=e.host, port=e.port, security_protocol=e.security_protocol)
            for e in own.endpoints
        ],
        features=[
            Feature(name=name, min_supported_version=low, max_supported_version=high)
            for name, low, high in own.features
        ],
    )

"""Clients' requests that only the active controller can answer, on brokers where it is not (KIP-590).

In: a request of a client. Out: the controller's answer to it. What must hold: where the active controller is
in this process nothing is wrapped and nothing waits; elsewhere the request goes to it in an Envelope, in the
version in which the client asked, with the client's principal and address. While nobody leads the quorum, or
its leader does not answer, it is tried again until `request.timeout.ms` is over.
"""

from __future__ import annotations

import ipaddress
from collections.abc import Callable, Sequence
from functools import wraps
from typing import Any, Final

from pybroker.common.deferred import Deferred
from pybroker.common.errors import ErrorCode, ProtocolError
from pybroker.controller import configs, elections, topics
from pybroker.handlers.context import CLOSE, Context, Handler, Request
from pybroker.wire import codec
from pybroker.wire.headers import parse_response_header, request_header
from pybroker.wire.message import Message
from pybroker.wire.messages.alter_configs import AlterConfigsRequest
from pybroker.wire.messages.create_partitions import CreatePartitionsRequest
from pybroker.wire.messages.create_topics import CreateTopicsRequest
from pybroker.wire.messages.delete_topics import DeleteTopicsRequest
from pybroker.wire.messages.elect_leaders import ElectLeadersRequest
from pybroker.wire.messages.envelope import EnvelopeRequest, EnvelopeResponse
from pybroker.wire.messages.incremental_alter_configs import IncrementalAlterConfigsRequest
from pybroker.wire.schemas.principal import DefaultPrincipalData

# What their handlers do by themselves, because a part of the request is the broker's own.
_PARTLY: Final = frozenset({33, 44})
_PRINCIPAL_VERSION: Final = 0


def with_forwarding(api_key: int, handle: Handler[Any]) -> Handler[Any]:
    """The handler of a forwardable key for the listeners of a broker, made from the active controller's."""
    if api_key in _PARTLY:
        return handle

    @wraps(handle)
    def handle_or_forward(context: Context, request: Request) -> Any:
        if context.controller.active:
            return handle(context, request)
        return forward(context, request, request.message)

    return handle_or_forward


def forward(context: Context, request: Request, message: Message) -> Deferred[Any]:
    """The active controller's response to `message`, in the place of that of a client's request; CLOSE when
    the controller does not know the version that was promised to the client."""
    api_key, version = request.api_key, request.version
    envelope = EnvelopeRequest(
        request_data=request_header(api_key, version, 0, request.client_id) + codec.encode(message, version),
        request_principal=_principal(),
        client_host_address=_address(request.connection.peer_host),
    )
    timeout_ms: int = context.config["request.timeout.ms"]
    return context.controller_channel.request(envelope, 0, timeout_ms).map(
        lambda answer: _opened(api_key, version, message, answer)
    )


def forward_rest(context: Context, request: Request, answers: Sequence[Any]) -> Any:
    """The response to a change of configurations of which this broker has answered a part: for the resources
    without an answer (None) the active controller is asked, and its answers take their places."""
    message = request.message
    response_class = codec.response_class(request.api_key)
    asked = [resource for resource, answer in zip(message.resources, answers, strict=True) if answer is None]
    if not asked:
        return response_class(responses=list(answers))  # type: ignore[call-arg]

    def merged(response: Any) -> Any:
        if response is not CLOSE:
            others = iter(response.responses)
            found = [answer or next(others, None) for answer in answers]
            response.responses = [answer for answer in found if answer is not None]
        return response

    rest = type(message)(resources=asked, validate_only=message.validate_only)
    return forward(context, request, rest).map(merged)


def _opened(api_key: int, version: int, message: Message, answer: EnvelopeResponse | None) -> Any:
    if answer is None:
        return refusal(api_key, message, ErrorCode.REQUEST_TIMED_OUT)
    if answer.error_code == ErrorCode.UNSUPPORTED_VERSION:
        # So that the client connects again and learns what is served now.
        return CLOSE
    if answer.error_code or answer.response_data is None:
        return refusal(api_key, message, ErrorCode.UNKNOWN_SERVER_ERROR)
    frame = memoryview(answer.response_data)
    try:
        _, position = parse_response_header(frame, api_key, version)
        return codec.decode(codec.response_class(api_key), version, frame, position)[0]
    except ProtocolError:
        return refusal(api_key, message, ErrorCode.UNKNOWN_SERVER_ERROR)


def _principal() -> bytes:
    """As Kafka's default serde writes it: the version, then the fields. Nobody is authenticated so far."""
    data = DefaultPrincipalData(type_="User", name="ANONYMOUS", token_authenticated=False)
    return _PRINCIPAL_VERSION.to_bytes(2, "big") + codec.encode(data, _PRINCIPAL_VERSION)


def _address(host: str) -> bytes:
    try:
        return ipaddress.ip_address(host.partition("%")[0]).packed
    except ValueError:
        # No socket, or not one of the internet.
        return bytes(4)


def refusal(api_key: int, message: Any, code: int) -> Any:
    """The response that answers a whole request with an error."""
    make = _REFUSALS.get(message.__class__)
    if make is not None:
        return make(message, code).response
    return codec.response_class(api_key)(error_code=code)  # type: ignore[call-arg]


_REFUSALS: Final[dict[type[Message], Callable[[Any, int], Any]]] = {
    CreateTopicsRequest: topics.refuse_create,
    CreatePartitionsRequest: topics.refuse_create_partitions,
    DeleteTopicsRequest: topics.refuse_delete,
    AlterConfigsRequest: configs.refuse_replace,
    IncrementalAlterConfigsRequest: configs.refuse_incremental,
    ElectLeadersRequest: elections.refuse_election,
}


def has_code(value: Any, code: int) -> bool:
    """Whether a response has an error code anywhere."""
    if isinstance(value, list):
        return any(has_code(item, code) for item in value)
    if not isinstance(value, Message):
        return False
    if getattr(value, "error_code", 0) == code:
        return True
    return any(has_code(getattr(value, name), code) for name in value.__slots__)

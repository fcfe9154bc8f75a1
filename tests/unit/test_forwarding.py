"""Requests that a broker forwards to the active controller, and the envelopes that carry them."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import pytest

from pybroker.common.deferred import Deferred, resolved
from pybroker.common.errors import ErrorCode
from pybroker.handlers import envelope, registry
from pybroker.handlers.context import CLOSE, Request
from pybroker.handlers.registry import Routes
from pybroker.wire import codec
from pybroker.wire.api_keys import API_TABLE, FORWARDABLE
from pybroker.wire.headers import parse_request_header, request_header
from pybroker.wire.messages.alter_configs import AlterConfigsRequest
from pybroker.wire.messages.alter_configs import AlterConfigsResource as FullResource
from pybroker.wire.messages.alter_configs import AlterConfigsResourceResponse as FullResult
from pybroker.wire.messages.create_partitions import CreatePartitionsRequest, CreatePartitionsTopic
from pybroker.wire.messages.create_topics import (
    CreatableTopic,
    CreatableTopicResult,
    CreateTopicsRequest,
    CreateTopicsResponse,
)
from pybroker.wire.messages.delete_topics import DeleteTopicsRequest, DeleteTopicState
from pybroker.wire.messages.describe_quorum import DescribeQuorumRequest
from pybroker.wire.messages.envelope import EnvelopeRequest, EnvelopeResponse
from pybroker.wire.messages.incremental_alter_configs import (
    AlterConfigsResource,
    AlterConfigsResourceResponse,
    IncrementalAlterConfigsRequest,
    IncrementalAlterConfigsResponse,
)
from pybroker.wire.messages.update_features import UpdateFeaturesRequest
from pybroker.wire.schemas.principal import DefaultPrincipalData

CREATE = CreateTopicsRequest(
    topics=[CreatableTopic(name="t", num_partitions=3, replication_factor=2)], timeout=5
)
PRINCIPAL = b"\0\0" + codec.encode(DefaultPrincipalData(type_="User", name="ANONYMOUS"), 0)


class Broker:
    """A broker whose controller is elsewhere; the envelopes that it sends wait in `sent`."""

    def __init__(self) -> None:
        self.sent: list[tuple[EnvelopeRequest, float, Deferred[Any]]] = []
        self.context: Any = SimpleNamespace(
            controller=SimpleNamespace(active=False),
            controller_channel=SimpleNamespace(request=self.request),
            config={"request.timeout.ms": 30_000},
            metadata=None,
        )

    def request(self, message: EnvelopeRequest, version: int, timeout_ms: float) -> Deferred[Any]:
        assert version == 0
        answer: Deferred[Any] = Deferred()
        self.sent.append((message, timeout_ms, answer))
        return answer

    def ask(self, api_key: int, version: int, message: Any, peer: str = "10.1.2.3") -> Deferred[Any]:
        route = registry.route(api_key, version)
        assert route is not None
        connection: Any = SimpleNamespace(peer_host=peer, routes=Routes(controller=False))
        reply: Any = route.handle(self.context, Request(api_key, version, "a-client", message, connection))
        return reply if isinstance(reply, Deferred) else resolved(reply)


class Controller:
    """The active controller: answers envelopes, and keeps what was in them."""

    def __init__(self, response: Any = None, active: bool = True) -> None:
        self.asked: list[tuple[Any, int, dict[str, Any]]] = []
        self.response = response
        self.context: Any = SimpleNamespace(controller=self, active=active)
        self.active = active

    def create_topics(self, message: Any, version: int, **extra: Any) -> Deferred[Any]:
        self.asked.append((message, version, extra))
        return resolved(self.response)

    incremental_alter_configs = create_topics

    def open(self, message: EnvelopeRequest) -> EnvelopeResponse:
        # As it comes from the wire.
        message, _ = codec.decode(EnvelopeRequest, 0, codec.encode(message, 0))
        connection: Any = SimpleNamespace(routes=Routes(controller=True), peer_host="10.0.0.9")
        reply = envelope.handle(self.context, Request(58, 0, "broker-2", message, connection))
        return reply.value if isinstance(reply, Deferred) else reply


def test_what_is_forwardable_is_on_the_controller_too():
    assert {api.key for api in API_TABLE if api.controller is not None} > FORWARDABLE


@pytest.mark.parametrize("version", [2, 5, 7])
def test_there_and_back(version):
    broker, controller = Broker(), Controller(CreateTopicsResponse(topics=[CreatableTopicResult(name="t")]))
    answer = broker.ask(19, version, CREATE)
    message, timeout_ms, sent = broker.sent.pop()
    assert timeout_ms == 30_000
    assert message.client_host_address == bytes([10, 1, 2, 3])
    assert message.request_principal == PRINCIPAL
    header = parse_request_header(message.request_data)
    assert (header.api_key, header.api_version, header.client_id) == (19, version, "a-client")
    assert not answer.done
    sent.resolve(controller.open(message))
    assert [(asked.topics[0].name, of) for asked, of, _ in controller.asked] == [("t", version)]
    assert [topic.name for topic in answer.value.topics] == ["t"]
    assert codec.encode(answer.value, version)


def test_where_the_controller_is_here_nothing_is_wrapped():
    broker, controller = Broker(), Controller(CreateTopicsResponse())
    broker.context.controller = controller
    assert broker.ask(19, 7, CREATE).value is controller.response
    assert broker.sent == []


@pytest.mark.parametrize(("peer", "size"), [("::1", 16), ("fe80::1%eth0", 16), ("?", 4)])
def test_addresses_of_clients(peer, size):
    broker = Broker()
    broker.ask(19, 7, CREATE, peer)
    assert len(broker.sent[0][0].client_host_address) == size


WHOLE = [
    (19, 7, CREATE, lambda response: response.topics[0].error_code),
    (
        20,
        6,
        DeleteTopicsRequest(topics=[DeleteTopicState(name="t")]),
        lambda response: response.responses[0].error_code,
    ),
    (
        37,
        3,
        CreatePartitionsRequest(topics=[CreatePartitionsTopic(name="t", count=2, assignments=None)]),
        lambda response: response.results[0].error_code,
    ),
    (55, 2, DescribeQuorumRequest(), lambda response: response.error_code),
    (57, 2, UpdateFeaturesRequest(), lambda response: response.error_code),
]


@pytest.mark.parametrize(("api_key", "version", "message", "code_of"), WHOLE)
@pytest.mark.parametrize(
    ("answer", "code"),
    [
        (None, ErrorCode.REQUEST_TIMED_OUT),
        (EnvelopeResponse(error_code=ErrorCode.CLUSTER_AUTHORIZATION_FAILED), ErrorCode.UNKNOWN_SERVER_ERROR),
        (EnvelopeResponse(response_data=b"\0\0"), ErrorCode.UNKNOWN_SERVER_ERROR),
        (EnvelopeResponse(response_data=None), ErrorCode.UNKNOWN_SERVER_ERROR),
    ],
)
def test_without_an_answer_the_whole_request_is_refused(api_key, version, message, code_of, answer, code):
    broker = Broker()
    reply = broker.ask(api_key, version, message)
    broker.sent[0][2].resolve(answer)
    assert code_of(reply.value) == code
    assert codec.encode(reply.value, version)


def test_a_version_that_the_controller_does_not_know_closes_the_connection():
    broker = Broker()
    reply = broker.ask(19, 7, CREATE)
    broker.sent[0][2].resolve(EnvelopeResponse(error_code=ErrorCode.UNSUPPORTED_VERSION))
    assert reply.value is CLOSE


def test_who_is_not_the_controller_says_so_on_the_envelope():
    refused = CreateTopicsResponse(
        topics=[CreatableTopicResult(name="t", error_code=ErrorCode.NOT_CONTROLLER)]
    )
    data = request_header(19, 7, 3, "c") + codec.encode(CREATE, 7)
    message = EnvelopeRequest(request_data=data, request_principal=PRINCIPAL, client_host_address=bytes(4))
    for controller in (Controller(refused), Controller(active=False)):
        response = controller.open(message)
        assert (response.error_code, response.response_data) == (ErrorCode.NOT_CONTROLLER, None)


def create(version: int = 7) -> bytes:
    return request_header(19, version, 3, "c") + codec.encode(CREATE, min(version, 7))


@pytest.mark.parametrize(
    ("changed", "code"),
    [
        ({"request_principal": None}, ErrorCode.PRINCIPAL_DESERIALIZATION_FAILURE),
        ({"request_principal": b"\0"}, ErrorCode.PRINCIPAL_DESERIALIZATION_FAILURE),
        ({"request_principal": b"\0\x09" + PRINCIPAL[2:]}, ErrorCode.PRINCIPAL_DESERIALIZATION_FAILURE),
        ({"request_principal": PRINCIPAL[:-3]}, ErrorCode.PRINCIPAL_DESERIALIZATION_FAILURE),
        ({"client_host_address": b""}, ErrorCode.INVALID_REQUEST),
        ({"client_host_address": bytes(5)}, ErrorCode.INVALID_REQUEST),
        ({"request_data": b""}, ErrorCode.UNSUPPORTED_VERSION),
        ({"request_data": request_header(999, 0, 1)}, ErrorCode.UNSUPPORTED_VERSION),
        ({"request_data": create(8)}, ErrorCode.UNSUPPORTED_VERSION),
        ({"request_data": request_header(3, 12, 1) + bytes(9)}, ErrorCode.INVALID_REQUEST),
        ({"request_data": request_header(58, 0, 1) + bytes(9)}, ErrorCode.INVALID_REQUEST),
        ({"request_data": create()[:-1]}, ErrorCode.INVALID_REQUEST),
    ],
)
def test_envelopes_that_make_no_sense(changed, code):
    good = {"request_data": create(), "request_principal": PRINCIPAL, "client_host_address": bytes(4)}
    controller = Controller(CreateTopicsResponse())
    assert controller.open(EnvelopeRequest(**good)).error_code == ErrorCode.NONE
    response = controller.open(EnvelopeRequest(**{**good, **changed}))
    assert (response.error_code, response.response_data) == (code, None)
    assert len(controller.asked) == 1


def test_a_broker_answers_its_own_part_of_a_change_of_settings():
    """Log levels are the broker's, the rest is the controller's; the answers keep the order of the request."""
    broker = Broker()
    own = AlterConfigsResourceResponse(resource_type=8, resource_name="2", error_code=0)
    broker.context.controller.configs = SimpleNamespace(answer_here=lambda image, request: [None, own, None])
    resources = [
        AlterConfigsResource(resource_type=2, resource_name="a"),
        AlterConfigsResource(resource_type=8, resource_name="2"),
        AlterConfigsResource(resource_type=2, resource_name="b"),
    ]
    reply = broker.ask(44, 1, IncrementalAlterConfigsRequest(resources=resources, validate_only=True))
    controller = Controller(
        IncrementalAlterConfigsResponse(
            responses=[AlterConfigsResourceResponse(resource_type=2, resource_name=name) for name in "ab"]
        )
    )
    message, _, sent = broker.sent.pop()
    sent.resolve(controller.open(message))
    (asked, _, extra), *_ = controller.asked
    assert [resource.resource_name for resource in asked.resources] == ["a", "b"]
    assert asked.validate_only
    assert extra == {"from_client": False}
    assert [response.resource_name for response in reply.value.responses] == ["a", "2", "b"]


def test_a_change_that_is_the_brokers_alone_needs_no_controller():
    broker = Broker()
    own = FullResult(resource_type=8, resource_name="2", error_code=42)
    broker.context.controller.configs = SimpleNamespace(answer_full_here=lambda image, request: [own])
    resource = FullResource(resource_type=8, resource_name="2")
    assert broker.ask(33, 2, AlterConfigsRequest(resources=[resource])).value.responses == [own]
    assert broker.sent == []

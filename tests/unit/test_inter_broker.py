"""What a broker asks of others: markers for their partitions, coordinators of ids that are not its own."""

from __future__ import annotations

from types import SimpleNamespace

import pytest

from pybroker.common.deferred import resolved
from pybroker.common.errors import ErrorCode
from pybroker.handlers.context import Context
from pybroker.inter_broker import InterBroker
from pybroker.metadata.image import BrokerImage, EndpointImage, PartitionImage, TopicImage, empty_image
from pybroker.transactions.markers import Marker
from pybroker.wire.client import PeerClient
from pybroker.wire.messages.add_partitions_to_txn import (
    AddPartitionsToTxnPartitionResult,
    AddPartitionsToTxnResponse,
    AddPartitionsToTxnResult,
    AddPartitionsToTxnTopicResult,
)
from pybroker.wire.messages.write_txn_markers import (
    WritableTxnMarkerPartitionResult,
    WritableTxnMarkerResult,
    WritableTxnMarkerTopicResult,
    WriteTxnMarkersResponse,
)
from tests.fake_peers import FakePeers

NONE, NOT_LEADER = ErrorCode.NONE, ErrorCode.NOT_LEADER_OR_FOLLOWER
MARKER = Marker(5, 2, True, 9, 2)


def broker(broker_id, *, fenced=False):
    endpoint = EndpointImage("INTERNAL", f"host{broker_id}", 9090 + broker_id, 0)
    return BrokerImage(broker_id, 1, bytes(16), (endpoint,), (), None, fenced, False, ())


def topic(name, *leaders):
    return TopicImage(
        name, name.encode().ljust(16), tuple(PartitionImage((1,), (1,), n, 0, 0) for n in leaders)
    )


class World:
    """Broker 1 of three. Topic t is led by 1, 2, 2, nobody; broker 3 is fenced."""

    def __init__(self):
        self.peers = FakePeers()
        context = self.context = Context()
        context.broker_id = 1
        topics = {t.name: t for t in (topic("t", 1, 2, 2, -1, 3), topic("__transaction_state", 2))}
        context.metadata = empty_image("c")._replace(
            topics=topics, brokers={1: broker(1), 2: broker(2), 3: broker(3, fenced=True)}
        )
        context.topics = {}
        context.clock = SimpleNamespace(wall_ms=lambda: 1)
        self.asked_here = []
        context.transactions = SimpleNamespace(
            host=SimpleNamespace(topic="__transaction_state", partition_for=lambda key: 0), ask=self._ask
        )
        self.inter = InterBroker(context, "INTERNAL", 30_000)
        self.inter.client = PeerClient(self.peers, "broker-1")

    def _ask(self, *arguments):
        self.asked_here.append(arguments)
        return resolved(dict.fromkeys(arguments[3], NONE))


@pytest.fixture
def world():
    return World()


def test_markers_go_to_the_leaders_of_the_image(world):
    outcomes = []
    names = [("t", 1), ("t", 2), ("t", 3), ("t", 4), ("gone", 0), ("t", 9)]
    world.inter.send_markers(MARKER, names, outcomes.append)
    assert not outcomes
    sent = world.peers.take()
    assert (sent.channel, sent.address) == ("markers", ("host2", 9092))
    (marker,) = sent.message.markers
    assert (marker.producer_id, marker.producer_epoch, marker.transaction_result) == (5, 2, True)
    assert (marker.coordinator_epoch, marker.transaction_version) == (9, 2)
    sent.answer(_marked(("t", 1, NONE), ("t", 2, ErrorCode.UNKNOWN_TOPIC_OR_PARTITION)))
    assert outcomes == [
        {
            ("t", 1): NONE,
            # That broker has not heard of it yet.
            ("t", 2): NOT_LEADER,
            ("t", 3): ErrorCode.LEADER_NOT_AVAILABLE,
            ("t", 4): ErrorCode.LEADER_NOT_AVAILABLE,
            ("gone", 0): ErrorCode.UNKNOWN_TOPIC_OR_PARTITION,
            ("t", 9): ErrorCode.UNKNOWN_TOPIC_OR_PARTITION,
        }
    ]


def _marked(*rows):
    return WriteTxnMarkersResponse(
        markers=[
            WritableTxnMarkerResult(
                producer_id=5,
                topics=[
                    WritableTxnMarkerTopicResult(
                        name=name,
                        partitions=[
                            WritableTxnMarkerPartitionResult(partition_index=index, error_code=error)
                        ],
                    )
                    for name, index, error in rows
                ],
            )
        ]
    )


def test_a_partition_that_is_led_here_but_is_not_there_yet_is_tried_again(world):
    outcomes = []
    world.inter.send_markers(MARKER, [("t", 0)], outcomes.append)
    assert outcomes == [{("t", 0): NOT_LEADER}]


@pytest.mark.parametrize("answer", [None, _marked(), _marked(("other", 0, NONE))])
def test_what_is_not_confirmed_is_no_marker(world, answer):
    outcomes = []
    world.inter.send_markers(MARKER, [("t", 1)], outcomes.append)
    sent = world.peers.take()
    sent.fail() if answer is None else sent.answer(answer)
    assert outcomes == [{("t", 1): ErrorCode.NETWORK_EXCEPTION}]


@pytest.mark.parametrize("implicit", [True, False])
def test_the_coordinator_of_an_id_is_asked_where_it_is(world, implicit):
    answer = world.inter.ask_coordinator("x", 5, 2, [("t", 0), ("t", 1)], implicit)
    sent = world.peers.take()
    assert (sent.channel, sent.address) == ("transactions", ("host2", 9092))
    (transaction,) = sent.message.transactions
    assert transaction.verify_only is not implicit
    assert transaction.topics[0].partitions == [0, 1]
    sent.answer(
        AddPartitionsToTxnResponse(
            results_by_transaction=[
                AddPartitionsToTxnResult(
                    transactional_id="x",
                    topic_results=[
                        AddPartitionsToTxnTopicResult(
                            name="t",
                            results_by_partition=[
                                AddPartitionsToTxnPartitionResult(partition_index=0),
                                AddPartitionsToTxnPartitionResult(
                                    partition_index=1, partition_error_code=120
                                ),
                            ],
                        )
                    ],
                )
            ]
        )
    )
    assert answer.value == {("t", 0): NONE, ("t", 1): ErrorCode.TRANSACTION_ABORTABLE}


@pytest.mark.parametrize(
    ("response", "error"),
    [
        (None, ErrorCode.NETWORK_EXCEPTION),
        (AddPartitionsToTxnResponse(), ErrorCode.NETWORK_EXCEPTION),
        (AddPartitionsToTxnResponse(error_code=31), ErrorCode.CLUSTER_AUTHORIZATION_FAILED),
        (AddPartitionsToTxnResponse(error_code=9999), ErrorCode.UNKNOWN_SERVER_ERROR),
    ],
)
def test_a_coordinator_that_does_not_say_has_not_agreed(world, response, error):
    answer = world.inter.ask_coordinator("x", 5, 2, [("t", 0)], True)
    sent = world.peers.take()
    sent.fail() if response is None else sent.answer(response)
    assert answer.value == {("t", 0): error}


def test_the_own_coordinator_is_asked_directly(world):
    image = world.context.metadata
    world.context.metadata = image._replace(
        topics={**image.topics, "__transaction_state": topic("__transaction_state", 1)}
    )
    assert world.inter.ask_coordinator("x", 5, 2, [("t", 0)], True).value == {("t", 0): NONE}
    assert world.asked_here == [("x", 5, 2, [("t", 0)], True)]


def test_a_coordinator_without_leader_is_not_available(world):
    image = world.context.metadata
    world.context.metadata = image._replace(
        topics={**image.topics, "__transaction_state": topic("__transaction_state", -1)}
    )
    answer = world.inter.ask_coordinator("x", 5, 2, [("t", 0)], True)
    assert answer.value == {("t", 0): ErrorCode.COORDINATOR_NOT_AVAILABLE}

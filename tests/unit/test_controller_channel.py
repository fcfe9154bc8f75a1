"""What a broker asks of the active controller: who is asked, how often, and what it is told in the end."""

from __future__ import annotations

from typing import NamedTuple

import pytest

from pybroker.common.clock import ManualClock
from pybroker.common.deferred import Deferred, resolved
from pybroker.common.errors import ErrorCode
from pybroker.common.timers import TimerQueue
from pybroker.controller_channel import ControllerChannel
from pybroker.wire.client import PeerClient
from pybroker.wire.messages.broker_heartbeat import BrokerHeartbeatRequest, BrokerHeartbeatResponse
from pybroker.wire.messages.create_topics import (
    CreatableTopicResult,
    CreateTopicsRequest,
    CreateTopicsResponse,
)
from tests.fake_peers import FakePeers

NOT_CONTROLLER = ErrorCode.NOT_CONTROLLER
REQUEST = BrokerHeartbeatRequest(broker_id=1, broker_epoch=5)


class Leader(NamedTuple):
    node_id: int
    epoch: int
    address: tuple[str, int] | None


class World:
    def __init__(self) -> None:
        self.clock = ManualClock()
        self.timers = TimerQueue()
        self.peers = FakePeers()
        self.leader = Leader(2, 1, ("two", 9))
        self.local = None
        self.served = []
        self.channel = ControllerChannel(
            serve=self._serve,
            leader=lambda: self.leader,
            client=PeerClient(self.peers, "broker-1"),
            clock=self.clock,
            timers=self.timers,
        )

    def _serve(self, message, version):
        if self.local is None:
            return None
        self.served.append(message)
        return self.local

    def pass_time(self, milliseconds) -> None:
        for _ in range(int(milliseconds) // 10):
            self.clock.advance(10)
            self.timers.advance(self.clock.monotonic_ms())


@pytest.fixture
def world():
    return World()


def test_the_controller_of_this_process_is_asked_without_the_network(world):
    world.local = resolved(BrokerHeartbeatResponse(is_fenced=False))
    assert world.channel.request(REQUEST, 1).value.is_fenced is False
    assert not world.peers.sent
    assert world.channel.pending_count == 0


def test_another_node_is_asked_by_its_address(world):
    answer = world.channel.request(REQUEST, 1)
    sent = world.peers.take()
    assert (sent.channel, sent.address, sent.message.broker_epoch) == ("controller", ("two", 9), 5)
    sent.answer(BrokerHeartbeatResponse(is_caught_up=True))
    assert answer.value.is_caught_up


@pytest.mark.parametrize("refuse", [lambda sent: sent.fail(), lambda sent: sent.answer(_not_controller())])
def test_a_failure_and_not_controller_only_make_it_try_again(world, refuse):
    answer = world.channel.request(REQUEST, 1)
    refuse(world.peers.take())
    assert not world.peers.sent
    world.leader = Leader(3, 2, ("three", 9))
    world.pass_time(100)
    sent = world.peers.take()
    assert sent.address == ("three", 9)
    sent.answer(BrokerHeartbeatResponse())
    assert answer.done
    assert not world.peers.sent


def _not_controller():
    return BrokerHeartbeatResponse(error_code=NOT_CONTROLLER)


def test_a_new_leader_is_asked_while_the_old_one_owes_its_answer(world):
    answer = world.channel.request(REQUEST, 1)
    old = world.peers.take()
    world.leader = Leader(3, 2, ("three", 9))
    world.channel.leader_changed()
    new = world.peers.take()
    old.fail()
    new.answer(BrokerHeartbeatResponse(is_caught_up=True))
    assert answer.value.is_caught_up
    world.pass_time(1_000)
    assert not world.peers.sent


def test_the_same_leader_is_asked_once(world):
    world.channel.request(REQUEST, 1)
    world.channel.leader_changed()
    world.pass_time(500)
    assert len(world.peers.sent) == 1


def test_an_answer_of_the_old_leader_counts_too(world):
    answer = world.channel.request(REQUEST, 1)
    old = world.peers.take()
    world.leader = Leader(3, 2, ("three", 9))
    world.channel.leader_changed()
    old.answer(BrokerHeartbeatResponse(is_caught_up=True))
    assert answer.value.is_caught_up
    world.peers.take().answer(BrokerHeartbeatResponse())


def test_an_unknown_leader_is_waited_for_until_the_time_is_over(world):
    world.leader = Leader(-1, 4, None)
    answer = world.channel.request(REQUEST, 1, 1_000)
    world.pass_time(900)
    assert not answer.done
    world.pass_time(200)
    assert answer.value is None
    assert world.channel.pending_count == 0
    world.pass_time(1_000)
    assert world.timers.next_deadline_ms() is None


def test_the_local_controller_is_asked_once_and_again_when_it_lost_the_lead(world):
    world.local = Deferred()
    answer = world.channel.request(REQUEST, 1)
    world.channel.leader_changed()
    assert len(world.served) == 1
    lost, world.local = world.local, None
    lost.resolve(_not_controller())
    world.pass_time(100)
    world.peers.take().answer(BrokerHeartbeatResponse())
    assert answer.done


def test_topics_refused_by_a_former_controller_are_asked_for_again(world):
    answer = world.channel.request(CreateTopicsRequest(), 7)
    world.peers.take().answer(
        CreateTopicsResponse(topics=[CreatableTopicResult(name="t", error_code=NOT_CONTROLLER)])
    )
    world.pass_time(100)
    world.peers.take().answer(CreateTopicsResponse(topics=[CreatableTopicResult(name="t")]))
    assert answer.value.topics[0].error_code == 0


def test_close_answers_what_waits(world):
    answer = world.channel.request(REQUEST, 1)
    world.channel.close()
    assert answer.value is None
    world.peers.take().answer(BrokerHeartbeatResponse())

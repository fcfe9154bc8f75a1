"""The life of a broker: what it tells the controller, when, and what it makes of the answers."""

from __future__ import annotations

import random

import pytest

from pybroker.common.clock import ManualClock
from pybroker.common.config import BrokerConfig
from pybroker.common.deferred import Deferred
from pybroker.common.errors import ErrorCode
from pybroker.common.timers import TimerQueue
from pybroker.lifecycle import BrokerLifecycle, BrokerState
from pybroker.wire.messages.broker_heartbeat import BrokerHeartbeatRequest, BrokerHeartbeatResponse
from pybroker.wire.messages.broker_registration import (
    BrokerRegistrationRequest,
    BrokerRegistrationResponse,
)


class World:
    def __init__(self, **properties) -> None:
        config = BrokerConfig.from_properties({"listeners": "PLAINTEXT://:0", "node.id": "7", **properties})
        self.clock = ManualClock()
        self.timers = TimerQueue()
        self.asked = []
        self.events = []
        self.offset = 10
        life = self.life = BrokerLifecycle(
            config,
            ask=self._ask,
            registration=lambda: BrokerRegistrationRequest(broker_id=7),
            metadata_offset=lambda: self.offset,
            clock=self.clock,
            timers=self.timers,
            rng=random.Random(1),
        )
        life.on_registered = lambda: self.events.append("registered")
        life.on_caught_up = lambda: self.events.append("caught up")
        life.on_unfenced = lambda: self.events.append("unfenced")
        life.on_failed = self.events.append
        life.report = lambda line: None

    def _ask(self, message, version, timeout_ms):
        answer = Deferred()
        self.asked.append((message, answer))
        return answer

    def take(self, kind):
        """The one request that is under way."""
        (message, answer), self.asked = self.asked[0], self.asked[1:]
        assert isinstance(message, kind)
        assert not self.asked, "one at a time"
        return message, answer

    def beat(self, **response):
        message, answer = self.take(BrokerHeartbeatRequest)
        answer.resolve(BrokerHeartbeatResponse(**response))
        return message

    def register(self, epoch=20, **response):
        message, answer = self.take(BrokerRegistrationRequest)
        answer.resolve(BrokerRegistrationResponse(broker_epoch=epoch, **response))
        return message

    def pass_time(self, milliseconds):
        end = self.clock.monotonic_ms() + milliseconds
        while (due := self.timers.next_deadline_ms()) is not None and due <= end:
            self.clock.advance(max(due - self.clock.monotonic_ms(), 0))
            self.timers.advance(self.clock.monotonic_ms())
        self.clock.advance(max(end - self.clock.monotonic_ms(), 0))

    def run(self):
        """Registered, caught up, unfenced."""
        self.life.start()
        self.register()
        self.life.set_ready()
        self.beat(is_caught_up=True, is_fenced=True)
        self.pass_time(10)
        self.beat(is_caught_up=True, is_fenced=False)
        assert self.life.state is BrokerState.RUNNING
        return self


def test_from_the_start_to_the_first_unfencing():
    world = World()
    world.life.start()
    world.register(20)
    message = world.beat(is_caught_up=False)
    assert (message.broker_id, message.broker_epoch, message.current_metadata_offset) == (7, 20, 10)
    assert message.want_fence
    world.pass_time(10)
    world.beat(is_caught_up=True)
    assert world.life.state is BrokerState.RECOVERY
    world.life.set_ready()
    assert not world.beat(is_caught_up=True, is_fenced=False).want_fence
    assert world.life.state is BrokerState.RUNNING
    assert world.events == ["registered", "caught up", "unfenced"]
    world.pass_time(1_999)
    assert not world.asked
    world.pass_time(1)
    world.beat(is_fenced=False)


def test_a_broker_that_is_ready_before_it_registers_needs_one_heartbeat():
    world = World()
    world.life.set_ready()
    world.life.start()
    world.register()
    assert not world.beat(is_caught_up=True, is_fenced=False).want_fence
    assert world.events == ["registered", "caught up", "unfenced"]


def test_readiness_waits_for_the_answer_that_is_under_way():
    world = World()
    world.life.start()
    world.register()
    world.life.set_ready()
    assert world.beat(is_caught_up=True).want_fence
    world.pass_time(10)
    assert not world.beat(is_caught_up=True, is_fenced=False).want_fence


def test_registration_is_tried_until_the_session_of_the_former_incarnation_ends():
    world = World()
    world.life.start()
    for _ in range(5):
        world.register(-1, error_code=ErrorCode.DUPLICATE_BROKER_REGISTRATION)
        world.pass_time(9_300)
    world.register(20)
    assert world.life.epoch == 20


@pytest.mark.parametrize("response", [None, ErrorCode.INCONSISTENT_CLUSTER_ID])
def test_registration_is_given_up_in_the_end(response):
    world = World(**{"initial.broker.registration.timeout.ms": "3000"})
    world.life.start()
    while world.asked:
        _, answer = world.take(BrokerRegistrationRequest)
        answer.resolve(None if response is None else BrokerRegistrationResponse(error_code=response))
        world.pass_time(10_000)
    assert len(world.events) == 1
    assert "initial.broker.registration.timeout.ms=3000" in world.events[0]
    assert world.life.stopped.done


@pytest.mark.parametrize("error", [ErrorCode.STALE_BROKER_EPOCH, ErrorCode.BROKER_ID_NOT_REGISTERED])
def test_a_forgotten_broker_registers_again(error):
    world = World().run()
    world.pass_time(2_000)
    world.beat(error_code=error)
    world.pass_time(110)
    world.register(33)
    assert world.beat(is_caught_up=True, is_fenced=False).broker_epoch == 33


def test_lost_answers_are_followed_by_heartbeats_with_pauses_that_grow():
    world = World().run()
    world.pass_time(2_000)
    pauses = []
    for _ in range(10):
        _, answer = world.take(BrokerHeartbeatRequest)
        answer.resolve(None)
        before = world.clock.monotonic_ms()
        while not world.asked:
            world.pass_time(10)
        pauses.append(world.clock.monotonic_ms() - before)
    assert pauses[0] <= 110
    assert pauses[3] > 4 * pauses[0]
    assert pauses[-1] >= 8_000
    assert max(pauses) <= 9_300


def test_a_controlled_shutdown_waits_for_the_controller():
    world = World().run()
    stopped = world.life.begin_controlled_shutdown()
    assert world.beat(is_fenced=False).want_shut_down
    world.pass_time(50)
    world.beat(is_fenced=False)
    world.pass_time(2_000)
    world.beat(is_fenced=False)
    assert not stopped.done
    world.pass_time(2_000)
    world.beat(should_shut_down=True)
    assert stopped.done
    world.pass_time(100_000)
    assert not world.asked


def test_a_controlled_shutdown_ends_without_a_controller_after_a_session():
    world = World().run()
    stopped = world.life.begin_controlled_shutdown()
    for _ in range(30):
        if stopped.done:
            break
        world.take(BrokerHeartbeatRequest)[1].resolve(None)
        world.pass_time(1_000)
        while not world.asked and not stopped.done:
            world.pass_time(500)
    assert stopped.done
    assert world.clock.monotonic_ms() < 15_000


def test_a_controlled_shutdown_has_a_limit():
    world = World().run()
    stopped = world.life.begin_controlled_shutdown()
    while not stopped.done:
        world.beat(is_fenced=False)
        while not world.asked and not stopped.done:
            world.pass_time(1_000)
    assert 299_000 < world.clock.monotonic_ms() < 303_000


def test_a_broker_that_is_not_registered_needs_no_controlled_shutdown():
    world = World()
    world.life.start()
    assert world.life.begin_controlled_shutdown().done
    world.register(20)
    assert not world.asked


def test_failed_directories_are_told():
    world = World().run()
    world.life.directory_failed(b"d" * 16)
    assert world.beat(is_fenced=False).offline_log_dirs == [b"d" * 16]
    world.pass_time(2_000)
    assert world.beat(is_fenced=False).offline_log_dirs == [b"d" * 16]

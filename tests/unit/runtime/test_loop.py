"""The driver: timers fire when due, effects run off the loop in order, errors end only what they must."""

from __future__ import annotations

import asyncio
import threading

import pytest

from pybroker.common.errors import InvariantError
from pybroker.runtime import effects
from pybroker.runtime.loop import LoopDriver
from pybroker.runtime.metrics import ServerMetrics
from pybroker.runtime.system import SystemClock
from tests.unit.server.fake_broker import FakeBroker
from tests.unit.server.harness import LOOPS, run, until

pytestmark = pytest.mark.parametrize("loop", LOOPS)


class Driven:
    """A driver on the running loop, with everything it reports."""

    def __init__(self, **options):
        self.broker = FakeBroker()
        self.clock = SystemClock()
        self.metrics = ServerMetrics()
        self.fatal = []
        self.full = []
        self.driver = LoopDriver(
            asyncio.get_running_loop(),
            self.clock,
            self.broker,
            self.metrics,
            on_fatal=self.fatal.append,
            on_full=self.full.append,
            **options,
        )

    def __enter__(self):
        self.driver.start()
        return self

    def __exit__(self, *_):
        self.driver.stop()


class Effect:
    def __init__(self, name, log, queue="/data", run=None, complete=None):
        self.queue = queue
        self.name = name
        self._log = log
        self._run = run
        self._complete = complete

    def run(self):
        self._log.append(("run", self.name, threading.current_thread() is threading.main_thread()))
        if self._run is not None:
            self._run()

    def complete(self, error):
        self._log.append(
            ("complete", self.name, error, threading.current_thread() is threading.main_thread())
        )
        if self._complete is not None:
            self._complete()


def test_timers_fire_in_order_and_not_early(loop):
    async def scenario():
        fired = []
        with Driven() as driven:
            start = driven.clock.monotonic_ms()
            for delay in (30, 5, 10, 5.4):
                driven.broker.timers.schedule(
                    start + delay, lambda d=delay: fired.append((d, driven.clock.monotonic_ms() - start))
                )
            await until(lambda: len(fired) == 4)
        assert [delay for delay, _ in fired] == [5, 5.4, 10, 30]
        assert all(at >= delay for delay, at in fired)

    run(scenario(), loop)


def test_timers_from_before_the_start_and_from_timers(loop):
    async def scenario():
        fired = []
        driven = Driven()
        timers = driven.broker.timers
        timers.schedule(0, lambda: timers.schedule(0, lambda: fired.append(1)))
        with driven:
            await until(lambda: fired)

    run(scenario(), loop)


def test_due_timers_can_be_run_before_the_loop_gets_to_them(loop):
    async def scenario():
        fired = []
        with Driven() as driven:
            timers, now = driven.broker.timers, driven.clock.monotonic_ms()
            timers.schedule(now, lambda: fired.append("due"))
            timers.schedule(now + 5, lambda: fired.append("later"))
            while not timers.is_due(driven.clock.monotonic_ms()):
                pass
            driven.broker.run_timers()
            assert fired[0] == "due"
            await until(lambda: fired == ["due", "later"])
        assert driven.broker.run_timers is None

    run(scenario(), loop)


def test_a_failing_timer_is_counted_and_the_next_one_fires(loop):
    async def scenario():
        fired = []
        with Driven() as driven:
            driven.broker.timers.schedule(0, lambda: 1 / 0)
            driven.broker.timers.schedule(driven.clock.monotonic_ms() + 5, lambda: fired.append(1))
            await until(lambda: fired)
            assert driven.metrics.timer_errors == 1
            assert driven.fatal == []

    run(scenario(), loop)


def test_invariant_error_in_a_timer_is_fatal(loop):
    def broken():
        raise InvariantError("broken")

    async def scenario():
        with Driven() as driven:
            driven.broker.timers.schedule(0, broken)
            await until(lambda: driven.fatal)

    run(scenario(), loop)


def test_ticks_and_stalls(loop):
    async def scenario():
        with Driven() as driven:
            await until(lambda: driven.broker.ticks >= 1)
            before = sum(driven.metrics.stall)
            release = threading.Event()
            # Hold the loop for longer than a heartbeat.
            release.wait(0.06)
            await until(lambda: sum(driven.metrics.stall) > before)
            assert driven.metrics.stall_max_ns >= 20_000_000

    run(scenario(), loop)


def test_effects_of_a_queue_run_in_order_off_the_loop(loop):
    async def scenario():
        log = []
        with Driven() as driven:
            for number in range(50):
                driven.broker.add_effect(Effect(number, log))
            await until(lambda: len(log) == 100)
            assert [entry for entry in log if entry[0] == "run"] == [("run", n, False) for n in range(50)]
            assert [entry for entry in log if entry[0] == "complete"] == [
                ("complete", n, None, True) for n in range(50)
            ]
            assert driven.metrics.effects == 50
            assert driven.driver.effects_outstanding == 0

    run(scenario(), loop)


def test_queues_do_not_wait_for_each_other(loop):
    async def scenario():
        log = []
        gate = threading.Event()
        with Driven() as driven:
            driven.broker.add_effect(Effect("slow", log, "/a", run=gate.wait))
            driven.broker.add_effect(Effect("fast", log, "/b"))
            await until(lambda: ("complete", "fast", None, True) in log)
            assert not any(entry[:2] == ("complete", "slow") for entry in log)
            gate.set()
            await until(lambda: ("complete", "slow", None, True) in log)

    run(scenario(), loop)


def test_a_failed_effect_tells_the_core(loop):
    error = OSError(5, "input/output error")

    def fails():
        raise error

    async def scenario():
        log = []
        with Driven() as driven:
            driven.broker.add_effect(Effect("bad", log, run=fails))
            await until(lambda: len(log) == 2)
            assert log[1] == ("complete", "bad", error, True)
            assert driven.metrics.effect_errors == 1

    run(scenario(), loop)


def test_effects_inline_when_nothing_can_block(loop):
    async def scenario():
        log = []
        with Driven(inline_effects=True) as driven:
            driven.broker.add_effect(Effect(1, log))
            await until(lambda: len(log) == 2)
            assert log == [("run", 1, True), ("complete", 1, None, True)]

    run(scenario(), loop)


def test_full_queues_say_so(loop, monkeypatch):
    monkeypatch.setattr(effects, "OUTSTANDING_MAX", 4)

    async def scenario():
        log = []
        gate = threading.Event()
        with Driven() as driven:
            for number in range(6):
                driven.broker.add_effect(Effect(number, log, run=gate.wait))
            await until(lambda: driven.full)
            assert driven.full == [True]
            gate.set()
            await until(lambda: len(driven.full) == 2)
            assert driven.full == [True, False]

    run(scenario(), loop)


def test_stop_completes_what_was_taken_and_what_follows_from_it(loop):
    async def scenario():
        log = []
        with Driven() as driven:
            follow_up = Effect("second", log)
            driven.broker.add_effect(
                Effect("first", log, complete=lambda: driven.broker.add_effect(follow_up))
            )
            await asyncio.sleep(0)
            await asyncio.sleep(0)
        assert [entry[:2] for entry in log] == [
            ("run", "first"),
            ("complete", "first"),
            ("run", "second"),
            ("complete", "second"),
        ]

    run(scenario(), loop)

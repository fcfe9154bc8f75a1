"""The life of a broker in its cluster: registered, fenced, unfenced, in controlled shutdown.

In: that the broker may register, that it has loaded what it serves, the metadata offset that it has reached,
that it wants to stop. Out: BrokerRegistration and BrokerHeartbeat requests, and calls when its state changes.
What must hold:

- one request is outstanding at a time; a heartbeat carries what is true when it leaves;
- a broker asks to be unfenced only after `set_ready`, and with the epoch of its own registration;
- it gives up (`on_failed`) when it was never registered within initial.broker.registration.timeout.ms, and
  `stopped` is always resolved in the end, whether or not a controller answers.

    NOT_RUNNING -> STARTING -> RECOVERY -> RUNNING -> PENDING_CONTROLLED_SHUTDOWN -> SHUTTING_DOWN

Source: KIP-631, Kafka's BrokerLifecycleManager. Unlike there, a broker that the controller does not know any
more, or by another epoch, registers again with the same incarnation instead of waiting for its restart; and a
controlled shutdown ends when no controller has answered for a session timeout, for then it is fenced anyway.
"""

from __future__ import annotations

import random
from collections.abc import Callable
from enum import IntEnum
from typing import Any, Final, Protocol

from pybroker.common.clock import Clock
from pybroker.common.config import BrokerConfig
from pybroker.common.deferred import Deferred
from pybroker.common.errors import ErrorCode
from pybroker.common.timers import Timer, TimerQueue
from pybroker.wire.message import Message
from pybroker.wire.messages.broker_heartbeat import BrokerHeartbeatRequest
from pybroker.wire.messages.broker_registration import BrokerRegistrationRequest

REGISTRATION_VERSION: Final = 4
HEARTBEAT_VERSION: Final = 1
HEARTBEAT_VERSION_WITH_CORDONED: Final = 2
# Heartbeats follow each other this fast while the broker waits for its first unfencing.
_STARTING_MS: Final = 10
_SHUTDOWN_SOON_MS: Final = 50
_BACKOFF_FIRST_MS: Final = 100
_CONTROLLED_SHUTDOWN_MAX_MS: Final = 5 * 60_000
_FORGOTTEN: Final = (ErrorCode.STALE_BROKER_EPOCH, ErrorCode.BROKER_ID_NOT_REGISTERED)


class BrokerState(IntEnum):
    """Kafka's BrokerState, with its numbers."""

    NOT_RUNNING = 0
    STARTING = 1
    RECOVERY = 2
    RUNNING = 3
    PENDING_CONTROLLED_SHUTDOWN = 6
    SHUTTING_DOWN = 7


_ALIVE: Final = (BrokerState.STARTING, BrokerState.RECOVERY, BrokerState.RUNNING)


class Ask(Protocol):
    """`ControllerChannel.request`."""

    def __call__(self, message: Message, version: int, timeout_ms: float, /) -> Deferred[Any]: ...


class BrokerLifecycle:
    """`registration()` makes the request of this incarnation; `metadata_offset()` is that of the image that
    the broker acts on."""

    __slots__ = (
        "_ask",
        "_clock",
        "_config",
        "_deadline_ms",
        "_failures",
        "_fenced_answers",
        "_heard_ms",
        "_last_problem",
        "_metadata_offset",
        "_offline",
        "_outstanding",
        "_ready",
        "_registered",
        "_registration",
        "_rng",
        "_shutdown_answered",
        "_timer",
        "_timers",
        "cordoned",
        "epoch",
        "on_caught_up",
        "on_failed",
        "on_registered",
        "on_unfenced",
        "report",
        "state",
        "stopped",
    )

    def __init__(
        self,
        config: BrokerConfig,
        *,
        ask: Ask,
        registration: Callable[[], BrokerRegistrationRequest],
        metadata_offset: Callable[[], int],
        clock: Clock,
        timers: TimerQueue,
        rng: random.Random,
    ) -> None:
        self._config = config
        self._ask = ask
        self._registration = registration
        self._metadata_offset = metadata_offset
        self._clock = clock
        self._timers = timers
        self._rng = rng
        self.state = BrokerState.NOT_RUNNING
        self.epoch = -1
        """The broker epoch of this incarnation; -1 while it is not registered."""
        self.cordoned: Callable[[], list[bytes] | None] = lambda: None
        """The ids of the directories that get no new replicas; None where the controller need not be told."""
        self.on_registered: Callable[[], None] = _nothing
        self.on_caught_up: Callable[[], None] = _nothing
        self.on_unfenced: Callable[[], None] = _nothing
        self.on_failed: Callable[[str], None] = _ignore
        self.report: Callable[[str], None] = _ignore
        self.stopped: Deferred[None] = Deferred()
        """Resolved when a controlled shutdown may go on: nothing more is to be expected of the controller."""
        self._registered = False
        self._ready = False
        self._outstanding = False
        self._failures = 0
        self._fenced_answers = 0
        self._timer: Timer | None = None
        self._deadline_ms = 0.0
        # When a controller answered last.
        self._heard_ms = 0.0
        self._shutdown_answered = False
        self._last_problem = ""
        self._offline: dict[bytes, None] = {}

    # ---- what the broker does ------------------------------------------------------------------------

    def start(self) -> None:
        """Register, and go on from there."""
        if self.state is not BrokerState.NOT_RUNNING:
            return
        self.state = BrokerState.STARTING
        self._heard_ms = self._clock.monotonic_ms()
        self._deadline_ms = self._heard_ms + self._config["initial.broker.registration.timeout.ms"]
        self._communicate()

    def request(self) -> BrokerRegistrationRequest:
        """The registration of this incarnation."""
        return self._registration()

    def adopt(self, epoch: int) -> None:
        """This broker was registered and unfenced by other means: go on with heartbeats."""
        self.state = BrokerState.RUNNING
        self.epoch = epoch
        self._registered = self._ready = True
        self._heard_ms = self._clock.monotonic_ms()
        self._later(self._config["broker.heartbeat.interval.ms"])

    def set_ready(self) -> None:
        """Everything is loaded: this broker may lead."""
        if not self._ready:
            self._ready = True
            self._soon()

    def begin_controlled_shutdown(self) -> Deferred[None]:
        """Have the controller move the leaders away; the result is `stopped`."""
        if (
            self.state in (BrokerState.STARTING, BrokerState.RECOVERY, BrokerState.RUNNING)
            and self._registered
        ):
            now_ms = self._clock.monotonic_ms()
            self.state = BrokerState.PENDING_CONTROLLED_SHUTDOWN
            self._deadline_ms = now_ms + _CONTROLLED_SHUTDOWN_MAX_MS
            # Somebody has to answer from now on, within the time of a session.
            self._heard_ms = now_ms
            self._soon()
            self._watch_shutdown()
        elif self.state is not BrokerState.PENDING_CONTROLLED_SHUTDOWN:
            self.close()
        return self.stopped

    def close(self) -> None:
        """No more requests."""
        self.state = BrokerState.SHUTTING_DOWN
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
        if not self.stopped.done:
            self.stopped.resolve(None)

    def directory_failed(self, directory_id: bytes) -> None:
        """The controller is told with every heartbeat from now on."""
        self._offline[directory_id] = None
        self._soon()

    @property
    def is_registered(self) -> bool:
        return self._registered

    # ---- communication -------------------------------------------------------------------------------

    def _later(self, delay_ms: float) -> None:
        if self._timer is not None:
            self._timer.cancel()
        self._timer = self._timers.schedule(self._clock.monotonic_ms() + delay_ms, self._due)

    def _soon(self) -> None:
        """Something is to be said: now, or as soon as the request on its way is answered."""
        if self.state in (BrokerState.NOT_RUNNING, BrokerState.SHUTTING_DOWN):
            return
        if not self._outstanding:
            self._communicate()
        elif self._timer is not None:
            self._timer.cancel()
            self._timer = None

    def _due(self) -> None:
        self._timer = None
        if self.state is not BrokerState.SHUTTING_DOWN and not self._outstanding:
            self._communicate()

    def _communicate(self) -> None:
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
        if self._registered:
            self._beat()
        else:
            self._register()

    def _after_failure(self, problem: str) -> None:
        """As Kafka: 100 ms, doubled with each failure up to the session timeout, spread by 2 %."""
        if problem != self._last_problem:
            self._last_problem = problem
            self.report(problem)
        most = max(self._config["broker.session.timeout.ms"], 1)
        delay_ms = min(_BACKOFF_FIRST_MS * 2 ** min(self._failures, 30), most)
        self._failures += 1
        self._later(delay_ms * (0.98 + 0.04 * self._rng.random()))

    def _register(self) -> None:
        timeout_ms: float = self._config["broker.session.timeout.ms"]
        if self.epoch < 0:
            timeout_ms = min(timeout_ms, self._deadline_ms - self._clock.monotonic_ms())
        if timeout_ms <= 0:
            self.on_failed(
                "this broker could not be registered within initial.broker.registration.timeout.ms="
                f"{self._config['initial.broker.registration.timeout.ms']}: {self._last_problem}"
            )
            self.close()
            return
        request = self._registration()
        self._outstanding = True
        self._ask(request, REGISTRATION_VERSION, timeout_ms).then(self._registration_answered)

    def _registration_answered(self, answer: Any) -> None:
        self._outstanding = False
        if self.state is BrokerState.SHUTTING_DOWN:
            return
        if answer is None:
            self._after_failure("registration: no controller has answered")
            return
        self._heard_ms = self._clock.monotonic_ms()
        if answer.error_code:
            self._after_failure(f"registration: refused with {_name(answer.error_code)}")
            return
        self.epoch = answer.broker_epoch
        self._registered = True
        self._failures = 0
        self._last_problem = ""
        self.on_registered()
        self._soon()

    def _beat(self) -> None:
        self._outstanding = True
        cordoned = self.cordoned()
        request = BrokerHeartbeatRequest(
            broker_id=self._config.node_id,
            broker_epoch=self.epoch,
            current_metadata_offset=self._metadata_offset(),
            want_fence=not self._ready,
            want_shut_down=self.state is BrokerState.PENDING_CONTROLLED_SHUTDOWN,
            offline_log_dirs=list(self._offline),
            cordoned_log_dirs=cordoned,
        )
        timeout_ms = max(self._config["broker.session.timeout.ms"] / 2, 1.0)
        version = HEARTBEAT_VERSION if cordoned is None else HEARTBEAT_VERSION_WITH_CORDONED
        self._ask(request, version, timeout_ms).then(self._heartbeat_answered)

    def _heartbeat_answered(self, answer: Any) -> None:
        self._outstanding = False
        if self.state is BrokerState.SHUTTING_DOWN:
            return
        if answer is None:
            self._after_failure("heartbeat: no controller has answered")
            return
        self._heard_ms = self._clock.monotonic_ms()
        if answer.error_code in _FORGOTTEN:
            if self.state is BrokerState.PENDING_CONTROLLED_SHUTDOWN:
                self.close()
                return
            self._registered = False
            self._after_failure(f"heartbeat: refused with {_name(answer.error_code)}; registering again")
            return
        if answer.error_code:
            self._after_failure(f"heartbeat: refused with {_name(answer.error_code)}")
            return
        self._failures = 0
        self._last_problem = ""
        interval_ms: float = self._config["broker.heartbeat.interval.ms"]
        match self.state:
            case BrokerState.STARTING:
                if not answer.is_caught_up:
                    self._later(_STARTING_MS)
                    return
                self.state = BrokerState.RECOVERY
                self.on_caught_up()
                self._recovering(answer.is_fenced, interval_ms)
            case BrokerState.RECOVERY:
                self._recovering(answer.is_fenced, interval_ms)
            case BrokerState.RUNNING:
                self._later(interval_ms)
            case BrokerState.PENDING_CONTROLLED_SHUTDOWN:
                if answer.should_shut_down:
                    self.close()
                    return
                self._later(interval_ms if self._shutdown_answered else _SHUTDOWN_SOON_MS)
                self._shutdown_answered = True

    def _recovering(self, is_fenced: bool, interval_ms: float) -> None:
        if not is_fenced:
            self.state = BrokerState.RUNNING
            self._later(interval_ms)
            self.on_unfenced()
        elif self._ready:
            # Soon again, and then less and less so: something may keep the controller from unfencing it.
            self._later(min(_STARTING_MS * 2 ** min(self._fenced_answers, 30), interval_ms))
            self._fenced_answers += 1
        else:
            self._later(interval_ms)

    def _watch_shutdown(self) -> None:
        """End a controlled shutdown that nobody answers, or that takes too long."""
        if self.state is not BrokerState.PENDING_CONTROLLED_SHUTDOWN:
            return
        now_ms = self._clock.monotonic_ms()
        session_ms: float = self._config["broker.session.timeout.ms"]
        if now_ms >= self._deadline_ms or now_ms - self._heard_ms >= session_ms:
            self.report("controlled shutdown: given up, no controller has moved the leaders away")
            self.close()
            return
        end_ms = min(self._deadline_ms, self._heard_ms + session_ms)
        self._timers.schedule(max(end_ms, now_ms + 1), self._watch_shutdown)


def _name(code: int) -> str:
    try:
        return ErrorCode(code).name
    except ValueError:
        return f"error {code}"


def _nothing() -> None:
    """Nobody listens."""


def _ignore(line: str) -> None:
    """Nobody listens."""

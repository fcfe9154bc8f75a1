"""What this node asks of the active controller: here while that is in this process, else over the network.

In: request messages, who leads the metadata quorum. Out: Deferreds of responses, or of None when the time was
over. What must hold:

- a request is answered exactly once, and by a controller that was active: NOT_CONTROLLER, a lost connection
  and a leader that nobody knows yet only make it try again, until its time is over;
- a new leader is asked at once, also while the old one still owes its answer; whichever answers first counts.
  So a request may be carried out twice: what is asked here has to bear that (compare-and-set by epochs, or an
  answer that says it was done already).

Source: Kafka's NodeToControllerChannelManager (KIP-500, KIP-590).
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Final, Protocol

from pybroker.common.clock import Clock
from pybroker.common.deferred import Deferred
from pybroker.common.errors import ErrorCode
from pybroker.common.peers import Address
from pybroker.common.timers import Timer, TimerQueue
from pybroker.wire.client import PeerClient
from pybroker.wire.message import Message

CHANNEL: Final = "controller"
_RETRY_MS: Final = 50
# An attempt that takes longer is given up, with its connection: the other side may be gone without a word.
_ATTEMPT_MS: Final = 5_000


class QuorumLeader(Protocol):
    """The leader of the metadata quorum as this node knows it; node id -1 when it knows none."""

    @property
    def node_id(self) -> int: ...

    @property
    def epoch(self) -> int: ...

    @property
    def address(self) -> Address | None: ...


class ControllerChannel:
    """`serve` hands a request to the controller of this process; None while that is not the active one."""

    __slots__ = ("_client", "_clock", "_leader", "_pending", "_serve", "_timers")

    def __init__(
        self,
        *,
        serve: Callable[[Message, int], Deferred[Any] | None],
        leader: Callable[[], QuorumLeader],
        client: PeerClient | None,
        clock: Clock,
        timers: TimerQueue,
    ) -> None:
        """`client` None: nobody else can be the controller."""
        self._serve = serve
        self._leader = leader
        self._client = client
        self._clock = clock
        self._timers = timers
        # What has no answer yet, in the order of the requests.
        self._pending: dict[_Asked, None] = {}

    def request(self, message: Message, version: int, timeout_ms: float = 60_000) -> Deferred[Any]:
        """The response of the active controller, or None when there was none within `timeout_ms`."""
        asked = _Asked(message, version, self._clock.monotonic_ms() + timeout_ms)
        self._pending[asked] = None
        self._ask(asked)
        if asked.answer.done:
            return asked.answer
        asked.timeout = self._timers.schedule(asked.deadline_ms, lambda: self._finish(asked, None))
        return asked.answer

    def leader_changed(self) -> None:
        """To be called when the quorum's leader or its epoch changed, also when this node became active."""
        for asked in list(self._pending):
            if asked in self._pending:
                self._ask(asked)

    def close(self) -> None:
        """Answer everything with None."""
        for asked in list(self._pending):
            self._finish(asked, None)

    @property
    def pending_count(self) -> int:
        return len(self._pending)

    def _ask(self, asked: _Asked) -> None:
        """One attempt, if there is somebody to ask who was not asked yet."""
        if asked.is_here:
            # The controller of this process always answers: with NOT_CONTROLLER when it loses the lead.
            return
        served = self._serve(asked.message, asked.version)
        if served is not None:
            asked.attempt += 1
            attempt = asked.attempt
            asked.is_here = True
            asked.asked_leader = None
            served.then(lambda answer: self._answered(asked, attempt, answer))
            return
        leader = self._leader()
        address = leader.address
        if address is None or self._client is None:
            self._retry_later(asked)
            return
        who = leader.node_id, leader.epoch, address
        if who == asked.asked_leader:
            return
        asked.asked_leader = who
        asked.attempt += 1
        attempt = asked.attempt
        left_ms = asked.deadline_ms - self._clock.monotonic_ms()
        self._client.call(
            CHANNEL,
            address,
            asked.message,
            asked.version,
            min(max(left_ms, 1.0), _ATTEMPT_MS),
            lambda answer: self._answered(asked, attempt, answer),
        )

    def _answered(self, asked: _Asked, attempt: int, answer: Any) -> None:
        if asked not in self._pending:
            return
        if answer is not None and not _is_refusal(answer):
            self._finish(asked, answer)
        elif attempt == asked.attempt:
            # The newest attempt failed: nobody is being asked now.
            asked.asked_leader = None
            asked.is_here = False
            self._retry_later(asked)

    def _retry_later(self, asked: _Asked) -> None:
        if asked.retry is None:
            asked.retry = self._timers.schedule(
                self._clock.monotonic_ms() + _RETRY_MS, lambda: self._retry(asked)
            )

    def _retry(self, asked: _Asked) -> None:
        asked.retry = None
        if asked in self._pending:
            self._ask(asked)

    def _finish(self, asked: _Asked, answer: Any) -> None:
        if self._pending.pop(asked, self) is self:
            return
        for timer in (asked.retry, asked.timeout):
            if timer is not None:
                timer.cancel()
        asked.answer.resolve(answer)


class _Asked:
    """One request, and whom it was sent to last."""

    __slots__ = (
        "answer",
        "asked_leader",
        "attempt",
        "deadline_ms",
        "is_here",
        "message",
        "retry",
        "timeout",
        "version",
    )

    def __init__(self, message: Message, version: int, deadline_ms: float) -> None:
        self.message = message
        self.version = version
        self.deadline_ms = deadline_ms
        self.answer: Deferred[Any] = Deferred()
        self.attempt = 0
        # (node id, epoch, address) of the leader whose answer is awaited.
        self.asked_leader: tuple[int, int, Address] | None = None
        # The controller of this process owes the answer.
        self.is_here = False
        self.retry: Timer | None = None
        self.timeout: Timer | None = None


def _is_refusal(answer: Any) -> bool:
    """Whether somebody answered who is not the active controller."""
    code = getattr(answer, "error_code", None)
    if code is None:
        # CreateTopics has a code for each topic only.
        topics = getattr(answer, "topics", ())
        return any(getattr(topic, "error_code", 0) == ErrorCode.NOT_CONTROLLER for topic in topics)
    return bool(code == ErrorCode.NOT_CONTROLLER)

"""The sessions of the brokers: who was heard of when, and how far each one has come.

In: heartbeats, the clock's reading, images. Out: whose session holds, whose is over, how far all brokers are.
What must hold: this is soft state of the active controller: nothing of it is on record, and a new active
controller gives every broker a full session before it takes anything for dead. The broker in the controller's
own process lives and dies with it, so its session never ends by time.
"""

from __future__ import annotations

from pybroker.metadata.image import MetadataImage

_NO_OFFSET = -1
_CHECKS_PER_SESSION = 8


class _Session:
    __slots__ = ("broker_epoch", "controlled_shutdown_offset", "last_contact_ms", "metadata_offset")

    def __init__(self, broker_epoch: int, now_ms: float) -> None:
        self.broker_epoch = broker_epoch
        self.last_contact_ms = now_ms
        self.metadata_offset = _NO_OFFSET
        self.controlled_shutdown_offset = _NO_OFFSET


class BrokerSessions:
    """Times in milliseconds of a monotonic clock. A session belongs to one epoch of a broker."""

    __slots__ = ("_checked_ms", "_local", "_sessions", "_timeout_ms")

    def __init__(self, timeout_ms: int, local: int | None = None) -> None:
        """`local` is the broker of this process, None when there is none."""
        self._timeout_ms = timeout_ms
        self._local = local
        self._sessions: dict[int, _Session] = {}
        self._checked_ms = 0.0

    @property
    def check_interval_ms(self) -> float:
        """How long a check may be put off."""
        return max(1.0, self._timeout_ms / _CHECKS_PER_SESSION)

    def activate(self, image: MetadataImage, now_ms: float) -> None:
        """This controller becomes the active one: all that are not fenced get a full session."""
        self._sessions = {
            broker.broker_id: _Session(broker.epoch, now_ms)
            for broker in image.brokers.values()
            # An incarnation of the own broker from before this process is gone.
            if not broker.fenced and broker.broker_id != self._local
        }
        self._checked_ms = now_ms

    @property
    def watched(self) -> bool:
        """Whether there is a session that may end by time."""
        return len(self._sessions) > (self._local in self._sessions)

    def touch(self, broker_id: int, broker_epoch: int, now_ms: float) -> None:
        """A broker that is registered with this epoch was heard of."""
        session = self._sessions.get(broker_id)
        if session is None or session.broker_epoch != broker_epoch:
            if not self.watched:
                self._checked_ms = now_ms
            self._sessions[broker_id] = _Session(broker_epoch, now_ms)
        else:
            session.last_contact_ms = now_ms

    def end(self, broker_id: int) -> None:
        self._sessions.pop(broker_id, None)

    def is_valid(self, broker_id: int, broker_epoch: int, now_ms: float) -> bool:
        session = self._sessions.get(broker_id)
        if session is None or session.broker_epoch != broker_epoch:
            return False
        return broker_id == self._local or not self._is_over(session, now_ms)

    def _is_over(self, session: _Session, now_ms: float) -> bool:
        return now_ms - session.last_contact_ms > self._timeout_ms

    def take_expired(self, now_ms: float) -> tuple[int, int] | None:
        """(broker id, broker epoch) of a session that is over, the lowest id first; it is forgotten.

        To be called at `next_check_ms`. When that was not done for half of a session's time, because this
        process stood still, nobody could be heard either: what is above it does not count.
        """
        stalled_ms = now_ms - self._checked_ms - self._timeout_ms / 2
        self._checked_ms = now_ms
        if stalled_ms > 0:
            for session in self._sessions.values():
                session.last_contact_ms += stalled_ms
        over = min(
            (
                broker_id
                for broker_id, session in self._sessions.items()
                if broker_id != self._local and self._is_over(session, now_ms)
            ),
            default=None,
        )
        return None if over is None else (over, self._sessions.pop(over).broker_epoch)

    def next_check_ms(self, now_ms: float) -> float:
        """When the next session may be over, and soon enough to notice a stall."""
        ends = (
            session.last_contact_ms + self._timeout_ms + 1
            for broker_id, session in self._sessions.items()
            if broker_id != self._local
        )
        return min(min(ends, default=now_ms + self._timeout_ms), now_ms + self.check_interval_ms)

    # How far the brokers are

    def reached(self, broker_id: int, metadata_offset: int) -> None:
        """A broker says up to which offset it has replayed the metadata."""
        session = self._sessions.get(broker_id)
        if session is not None:
            session.metadata_offset = metadata_offset

    def lowest_offset(self, image: MetadataImage) -> int | None:
        """The least offset that a broker in service has reached; None when there is no such broker."""
        offsets = [
            _NO_OFFSET if session is None else session.metadata_offset
            for broker in image.brokers.values()
            if not broker.fenced
            for session in (self._sessions.get(broker.broker_id),)
            if session is None or session.controlled_shutdown_offset == _NO_OFFSET
        ]
        return min(offsets, default=None)

    def controlled_shutdown_offset(self, broker_id: int) -> int | None:
        """Where its leaders were moved away; None unless this controller moved them."""
        session = self._sessions.get(broker_id)
        if session is None or session.controlled_shutdown_offset == _NO_OFFSET:
            return None
        return session.controlled_shutdown_offset

    def begin_controlled_shutdown(self, broker_id: int, offset: int) -> None:
        """The first time only: later heartbeats move nothing more."""
        session = self._sessions.get(broker_id)
        if session is not None and session.controlled_shutdown_offset == _NO_OFFSET:
            session.controlled_shutdown_offset = offset

"""One member of the metadata quorum, voter or observer, as a state machine without I/O: KRaft.

In: `request`, `response`, `failed`, `tick`, `propose`, and from the shell that storage is done: `stored`,
`flushed`, `snapshot_installed`. Out: `take_ready()`. What must hold:

- what a message says is durable before the message leaves: the epoch and the vote in it, and the log below
  the offset that a Fetch asks for. A message waits here until `stored` and `flushed` have told so;
- one vote in an epoch, one leader in an epoch, and epochs never go back;
- only the leader appends of its own accord; a follower cuts its log only where the leader of a later epoch
  differs, never below the high watermark;
- the high watermark counts what is durable, on the leader too: flush first, count second.

The log is read and appended to (not synced) through `RaftLog`; snapshots through `Snapshots`. Requests are
served in `requests.py`, answers in `responses.py`, changes of the voter set in `voter_changes.py`.

    Unattached -> Prospective (pre-vote, KIP-996) -> Candidate -> Leader -> Resigned
    and from all of these to Follower, when a leader is known, or to Unattached, in a later epoch

Sources: KIP-595, KIP-630, KIP-853, KIP-996, and the answers of Kafka 4.3.
"""

from __future__ import annotations

import random
from collections.abc import Iterable, Sequence
from typing import Final, NamedTuple, Protocol

from pybroker.common.clock import Clock
from pybroker.common.errors import CorruptionError, ErrorCode, InvariantError, StorageError
from pybroker.raft import messages, requests, responses, voter_changes
from pybroker.raft.hard_state import NOBODY, HardState
from pybroker.raft.leader import LeaderState
from pybroker.raft.log import RaftLog, log_contains
from pybroker.raft.messages import Endpoints
from pybroker.raft.role import Role
from pybroker.raft.snapshot import SnapshotId
from pybroker.raft.voter_changes import PendingChange
from pybroker.raft.voters import ReplicaKey, Voter, VoterHistory, VoterSet, voter_records
from pybroker.records.batch import Record, build_batch, crc_matches, iter_headers
from pybroker.records.control import ControlRecord, ControlType, build_control_batch, read_control_batch
from pybroker.wire.message import ZERO_UUID, Message
from pybroker.wire.messages import fetch
from pybroker.wire.schemas.metadata_records import LeaderChangeMessage, LeaderChangeVoter, encode_control

NO_VOTE: Final = ReplicaKey(NOBODY)
CHECK_QUORUM_FACTOR: Final = 1.5
WAITERS_MAX: Final = 1_000
"""Fetches that may wait for new records; more of them are answered at once."""
FOREVER: Final = float("inf")


class QuorumSettings(NamedTuple):
    """Kafka's `controller.quorum.*`, with its defaults; milliseconds and bytes."""

    election_timeout_ms: int = 1_000
    election_backoff_max_ms: int = 1_000
    fetch_timeout_ms: int = 2_000
    request_timeout_ms: int = 2_000
    retry_backoff_ms: int = 20
    fetch_max_wait_ms: int = 500
    fetch_max_bytes: int = 8 * 1024 * 1024
    snapshot_max_bytes: int = 2**31 - 1
    """A bigger snapshot is not fetched: positions are 32 bits in Kafka."""
    listener: str = "CONTROLLER"
    """Where the members of the quorum talk to each other."""


class Snapshots(Protocol):
    """The snapshots beside the log, and the one that is being fetched."""

    def latest(self) -> SnapshotId | None:
        """The newest complete one."""

    def ending_at(self, offset: int) -> SnapshotId | None:
        """The complete one that ends there; None when there is none."""

    def size(self, snapshot: SnapshotId) -> int | None:
        """Bytes; None when there is no such snapshot."""

    def read(self, snapshot: SnapshotId, position: int, max_bytes: int) -> bytes: ...

    def begin(self, snapshot: SnapshotId) -> None:
        """A snapshot is going to be fetched; what is there of an earlier attempt goes. StorageError."""

    def append(self, snapshot: SnapshotId, position: int, data: bytes) -> None:
        """The next bytes of it. StorageError."""


class Send(NamedTuple):
    """A request to a member; its answer goes to `response`, a failure to `failed`."""

    node_id: int
    address: tuple[str, int] | None
    correlation_id: int
    message: Message


class Reply(NamedTuple):
    """The answer to a request that came in with `token`."""

    token: object
    message: Message


class Flush(NamedTuple):
    """Sync the log; then tell `flushed` with the same value."""

    end_offset: int
    generation: int
    """Counts the times the log was cut: a sync from before says nothing of what is there now."""


class Ready(NamedTuple):
    """What the shell must do."""

    hard_state: HardState | None
    """To be stored durably; then `stored(hard_state_version)`."""
    hard_state_version: int
    flush: Flush | None
    install: SnapshotId | None
    """It is fetched: to be checked and made durable; then `snapshot_installed` or `snapshot_refused`."""
    messages: list[Send | Reply]
    """To be sent at once: what they say is durable."""
    high_watermark: int
    """Everything below is committed."""


class _Waiter(NamedTuple):
    """A Fetch that waits for something to fetch."""

    token: object
    key: ReplicaKey
    partition: fetch.FetchPartition
    deadline: float


class Download(NamedTuple):
    """A snapshot on its way from the leader."""

    snapshot: SnapshotId
    position: int
    size: int
    """-1 before the first answer."""
    complete: bool


class Node:
    """A member. To be driven by one thread; the methods named in the module's docstring are its inputs."""

    def __init__(
        self,
        key: ReplicaKey,
        cluster_id: str,
        hard_state: HardState | None,
        voters: VoterHistory,
        *,
        log: RaftLog,
        snapshots: Snapshots,
        clock: Clock,
        rng: random.Random,
        settings: QuorumSettings = QuorumSettings(),  # noqa: B008
        endpoints: Endpoints = (),
        bootstrap: Sequence[tuple[str, int]] = (),
    ) -> None:
        """`hard_state` and `voters` are what the directory holds. `endpoints` are the own listeners,
        `bootstrap` the addresses at which an observer asks for the leader."""
        self.key = key
        self.node_id = key.node_id
        self.cluster_id = cluster_id
        self.history = voters
        self.log = log
        self.snapshots = snapshots
        self.clock = clock
        self.rng = rng
        self.settings = settings
        self.endpoints = endpoints
        self.bootstrap = tuple(bootstrap)

        self.role = Role.UNATTACHED
        self.epoch = 0
        self.leader_id = NOBODY
        self.leader_endpoints: Endpoints = ()
        self.voted = NO_VOTE
        self.votes: dict[int, bool] = {}
        self.leader: LeaderState | None = None
        self.has_fetched = False
        """Whether the leader has answered a Fetch since this node follows it."""
        self.download: Download | None = None
        self.election_deadline = FOREVER
        self.fetch_deadline = FOREVER
        self.update_voter_deadline = FOREVER
        self.successors: list[ReplicaKey] = []
        self.acknowledged: dict[int, None] = {}
        self.shutting_down = False
        self.pending_change: PendingChange | None = None
        """The change of the voter set under way (`voter_changes.py`)."""
        self.faults = 0
        """Messages that contradict the protocol; 0 among healthy members."""
        self.last_fault = ""

        self.high_watermark = max(log.start_offset, self._snapshot_end())
        self.leader_high_watermark = -1
        """As the leader last told it; this log may not reach there yet. -1: not told yet."""
        self.persisted_end_offset = log.start_offset
        self.generation = 0
        self._flush_given: Flush | None = None
        self._install: SnapshotId | None = None
        self._hard_state = hard_state or HardState()
        self._state_version = 0
        self._state_given = 0
        self._state_stored = 0
        self._outbox: list[tuple[int, Send | Reply]] = []
        self._correlation_id = 0
        self._advanced_ms = 0.0
        self._in_flight: dict[int, tuple[int, float]] = {}
        self._backoff: dict[int, float] = {}
        self._waiters: list[_Waiter] = []
        self._finish_installation()
        # A voter that has lost its vote, but not its log, might give it a second time.
        self.lost_vote = hard_state is None and log.end_offset > 0 and not self.is_only_voter
        self._restore()
        self._advance()

    # ------------------------------------------------------------------------------------------ start

    def _snapshot_end(self) -> int:
        latest = self.snapshots.latest()
        return latest.end_offset if latest is not None else 0

    def _finish_installation(self) -> None:
        """A snapshot may have been installed, and the log not cut durably, when the process ended."""
        latest = self.snapshots.latest()
        if latest is not None and not self._log_contains(latest):
            self.log.reset(latest.end_offset)
            self.persisted_end_offset = self.log.start_offset

    def end_offset_for_epoch(self, epoch: int) -> tuple[int, int]:
        """As that of the log; what lies below the log is known by the snapshot that ends where it starts."""
        found = self.log.end_offset_for_epoch(epoch)
        if found[1] == self.log.start_offset and (below := self.snapshots.ending_at(found[1])) is not None:
            return below.epoch, found[1]
        return found

    def _log_contains(self, snapshot: SnapshotId) -> bool:
        return log_contains(self.log, snapshot)

    def _restore(self) -> None:
        """Take up the role that the stored state means."""
        state = self._hard_state
        self.epoch = state.leader_epoch
        if state.voted_id != NOBODY:
            self.voted = ReplicaKey(state.voted_id, state.voted_directory_id)
        self._new_election_deadline()
        if self.last_epoch > self.epoch:
            # A stale or lost quorum-state file must not bring an epoch back that the log has seen.
            self.epoch = self.last_epoch
            self.voted = NO_VOTE
        elif state.leader_id == self.node_id:
            # Whoever led this epoch may have lost records it had appended, so it must not lead it again,
            # nor vote for somebody else in it.
            self.role = Role.RESIGNED
            self.leader_id = self.node_id
            self.leader_endpoints = self.endpoints
        elif self.voted == self.key and self.is_voter:
            self.role = Role.CANDIDATE
            self.votes = {self.node_id: True}
        elif state.leader_id != NOBODY and (known := self.voters.get(state.leader_id)) is not None:
            self._follow(state.leader_id, known.endpoints)
        self._remember()
        if self.is_only_voter:
            # Nobody else could be waited for.
            self.become_candidate()

    # ------------------------------------------------------------------------------------- properties

    @property
    def voters(self) -> VoterSet:
        """The voters that count: the newest set in the log, committed or not."""
        return self.history.voters

    @property
    def is_voter(self) -> bool:
        return self.voters.has(self.key)

    @property
    def is_only_voter(self) -> bool:
        return self.is_voter and len(self.voters) == 1

    @property
    def is_leader(self) -> bool:
        """Whether it may append."""
        return self.role is Role.LEADER and self.leader is not None and self.leader.active

    @property
    def log_end(self) -> tuple[int, int]:
        """(epoch of the last record, end offset): whose is greater has the better log."""
        return self.last_epoch, self.log.end_offset

    @property
    def last_epoch(self) -> int:
        """The epoch of the last record, which may be in the snapshot before an empty log; 0 without one."""
        log = self.log
        if log.end_offset > log.start_offset:
            return log.last_epoch
        below = self.snapshots.ending_at(log.end_offset)
        return log.last_epoch if below is None else max(log.last_epoch, below.epoch)

    def now(self) -> float:
        return self.clock.monotonic_ms()

    def next_deadline(self) -> float:
        """When `tick` has something to do, in monotonic milliseconds; infinity for a leader without others.

        What was due when time last passed has been done, or waits for something that has its own deadline.
        """
        deadlines = [self.election_deadline, self.fetch_deadline, self.update_voter_deadline]
        deadlines += [deadline for _, deadline in self._in_flight.values()]
        deadlines += self._backoff.values()
        deadlines += [waiter.deadline for waiter in self._waiters]
        if self.leader is not None and not self.is_only_voter:
            deadlines += [self.leader.begin_quorum_due_ms, self.leader.check_quorum_deadline]
        if self.pending_change is not None:
            deadlines.append(self.pending_change.deadline)
        return min((deadline for deadline in deadlines if deadline > self._advanced_ms), default=FOREVER)

    @property
    def leader_address(self) -> tuple[str, int] | None:
        """Where the leader listens, as far as that is known."""
        return None if self.leader_id == NOBODY else self._address(self.leader_id)

    # ----------------------------------------------------------------------------------------- inputs

    def tick(self) -> None:
        """Let time pass."""
        self._advance()

    def request(self, token: object, message: Message) -> None:
        """A decoded request; the `Reply` with `token` comes at once or later, exactly once."""
        requests.handle(self, token, message)
        self._advance()

    def response(self, node_id: int, correlation_id: int, message: Message) -> None:
        """The answer of a member; one that nobody waits for any more is dropped."""
        expected = self._in_flight.get(node_id)
        if expected is None or expected[0] != correlation_id:
            return
        del self._in_flight[node_id]
        if not responses.handle(self, node_id, message):
            self._backoff[node_id] = self.now() + self.settings.retry_backoff_ms
        self._advance()

    def failed(self, node_id: int, correlation_id: int) -> None:
        """The request could not be sent, or the connection broke before its answer."""
        expected = self._in_flight.get(node_id)
        if expected is not None and expected[0] == correlation_id:
            del self._in_flight[node_id]
            self._backoff[node_id] = self.now() + self.settings.retry_backoff_ms
            voter_changes.new_voter_failed(self, node_id)
            self._advance()

    def stored(self, version: int) -> None:
        """The hard state of that version is durable."""
        self._state_stored = max(self._state_stored, version)
        if self.leader is not None and not self.leader.active and self._state_stored >= self._state_version:
            self._take_office(self.leader)
        self._advance()

    def flushed(self, flush: Flush) -> None:
        """The sync that was asked for is done."""
        if flush == self._flush_given:
            self._flush_given = None
        if flush.generation == self.generation:
            self.persisted(flush.end_offset)
        self._advance()

    def persisted(self, end_offset: int) -> None:
        if end_offset > self.log.end_offset:
            raise InvariantError(f"offset {end_offset} is persisted, the log ends at {self.log.end_offset}")
        self.persisted_end_offset = max(self.persisted_end_offset, end_offset)
        if self.is_leader and self.leader is not None and self.leader.flushed(self.persisted_end_offset):
            self.high_watermark_moved()

    def propose(self, values: Sequence[bytes]) -> tuple[int, int]:
        """Append one batch of records; (first, last) offset. StorageError: nothing was appended."""
        if not self.is_leader:
            raise InvariantError("only the leader proposes")
        base_offset = self.log.end_offset
        now_ms = self.clock.wall_ms()
        self.log.append(
            build_batch(
                [Record(0, now_ms, None, value) for value in values],
                base_offset=base_offset,
                leader_epoch=self.epoch,
            )
        )
        self._appended()
        self._advance()
        return base_offset, base_offset + len(values) - 1

    def snapshot_installed(self, snapshot: SnapshotId, controls: Iterable[ControlRecord]) -> None:
        """The fetched snapshot is checked and durable; `controls` are its control records.

        What a leader gives away is committed, so it counts even if another leader has come in between.
        """
        self._install = None
        if self.download is not None and self.download.snapshot == snapshot:
            self.download = None
        if not self._log_contains(snapshot):
            if self.role is Role.LEADER:
                raise InvariantError(f"the log of the leader does not contain the snapshot {snapshot}")
            self.log.reset(snapshot.end_offset)
            self.generation += 1
            self._flush_given = None
            self.persisted_end_offset = snapshot.end_offset
            self.history.reset(snapshot.end_offset, controls)
            self.high_watermark = max(self.high_watermark, snapshot.end_offset)
        self._advance()

    @property
    def is_installing(self) -> bool:
        """Whether a fetched snapshot is being made durable."""
        return self._install is not None

    def snapshot_refused(self, snapshot: SnapshotId, reason: str) -> None:
        """What was fetched is damaged, or could not be stored: start over."""
        self._install = None
        self.download = None
        self.fault(f"snapshot {snapshot} is refused: {reason}")
        self._back_off(self.leader_id)
        self._advance()

    def resign(self) -> None:
        """Give the leadership up, in favour of the voter with the longest log."""
        if self.leader is not None:
            self.leader.resign_requested = True
        self._advance()

    def shut_down(self) -> None:
        """Resign when leading, and stand for no election any more."""
        self.shutting_down = True
        self.resign()

    def take_ready(self) -> Ready:
        """What has come up since the last call."""
        hard_state = None
        if self._state_given < self._state_version:
            hard_state, self._state_given = self._hard_state, self._state_version
        flush = None
        if self.persisted_end_offset < self.log.end_offset:
            wanted = Flush(self.log.end_offset, self.generation)
            if wanted != self._flush_given:
                flush = self._flush_given = wanted
        install = None
        if self.download is not None and self.download.complete and self._install is None:
            install = self._install = self.download.snapshot
        sendable = [message for version, message in self._outbox if version <= self._state_stored]
        if sendable:
            self._outbox = [item for item in self._outbox if item[0] > self._state_stored]
        return Ready(hard_state, self._state_version, flush, install, sendable, self.high_watermark)

    # ------------------------------------------------------------------------------------ transitions

    def _new_election_deadline(self) -> None:
        timeout = self.settings.election_timeout_ms
        self.election_deadline = self.now() + timeout + self.rng.randrange(timeout)

    def _remember(self) -> None:
        """Have epoch, leader and vote stored before anything is told of them."""
        state = HardState(self.leader_id, self.epoch, self.voted.node_id, self.voted.directory_id)
        if state != self._hard_state or self._state_version == 0:
            self._hard_state = state
            self._state_version += 1

    def _leave(self) -> None:
        """End what belongs to the present role."""
        self._in_flight.clear()
        self._backoff.clear()
        self.votes = {}
        self.download = None
        self.leader = None
        self.successors = []
        self.acknowledged = {}
        self.election_deadline = self.fetch_deadline = self.update_voter_deadline = FOREVER

    def _left_office(self, was_leader: bool) -> None:
        """Answer those who waited for the leader; to be called in the new role."""
        if was_leader:
            self._complete_waiters()
            change, self.pending_change = self.pending_change, None
            if change is not None:
                change.refuse(self, ErrorCode.NOT_LEADER_OR_FOLLOWER, None)

    def become_unattached(self, epoch: int) -> None:
        """A later epoch, or an election lost, without a known leader."""
        if epoch < self.epoch:
            raise InvariantError(f"epoch {epoch} after {self.epoch}")
        role, deadline = self.role, self.election_deadline
        rejected = role is Role.PROSPECTIVE and self._is_rejected()
        self._leave()
        if epoch > self.epoch:
            self.voted = NO_VOTE
        self.role, self.epoch, self.leader_id, self.leader_endpoints = Role.UNATTACHED, epoch, NOBODY, ()
        # Whoever waited for an election goes on waiting, so that a stream of candidates cannot starve it.
        if role in (Role.LEADER, Role.FOLLOWER) or rejected or deadline == FOREVER:
            self._new_election_deadline()
        else:
            self.election_deadline = deadline
        self._remember()
        self._left_office(role is Role.LEADER)

    def become_follower(self, epoch: int, leader_id: int, endpoints: Endpoints) -> None:
        if epoch < self.epoch or leader_id == self.node_id:
            raise InvariantError(f"cannot follow {leader_id} of epoch {epoch} in epoch {self.epoch}")
        was_leader = self.role is Role.LEADER
        self._leave()
        if epoch > self.epoch:
            self.voted = NO_VOTE
        self.epoch = epoch
        self._follow(leader_id, endpoints)
        self._remember()
        self._left_office(was_leader)

    def _follow(self, leader_id: int, endpoints: Endpoints) -> None:
        self.role, self.leader_id, self.leader_endpoints = Role.FOLLOWER, leader_id, endpoints
        self.has_fetched = False
        self.election_deadline = FOREVER
        self.new_fetch_deadline()
        self.update_voter_deadline = self.now() + 3 * self.settings.fetch_timeout_ms

    def new_fetch_deadline(self) -> None:
        """The leader is there. Up to a tenth later than the timeout: a leader answers its followers at the
        same moment, and if they stood at the same moment, too, they would split the votes and have to wait
        for the election timeout."""
        timeout = self.settings.fetch_timeout_ms
        self.fetch_deadline = self.now() + timeout + self.rng.randrange(timeout // 10 + 1)

    def has_right_to_vote(self) -> bool:
        """Whether this node is a voter, or one until the set without it is committed: it may be the only one
        that has this set and so the only one that can win (a case in which Kafka's quorum stands still)."""
        if self.is_voter:
            return True
        before = self.history.voters_before
        return (
            self.history.voters_offset >= self.high_watermark and before is not None and before.has(self.key)
        )

    def may_stand(self) -> bool:
        """Whether this node may seek votes."""
        return self.has_right_to_vote() and not self.shutting_down and not self.lost_vote

    def become_prospective(self) -> None:
        """Ask whether an election would be won, before disturbing anybody with one."""
        if self.is_only_voter:
            self.become_candidate()
            return
        leader_id, endpoints = self.leader_id, self.leader_endpoints
        self._leave()
        if self.role is Role.RESIGNED:
            leader_id, endpoints = NOBODY, ()
        self.role, self.leader_id, self.leader_endpoints = Role.PROSPECTIVE, leader_id, endpoints
        self.votes = {self.node_id: True}
        self._new_election_deadline()

    def become_candidate(self) -> None:
        """Vote for oneself in a new epoch."""
        self._leave()
        self.role, self.epoch, self.leader_id, self.leader_endpoints = (
            Role.CANDIDATE,
            self.epoch + 1,
            NOBODY,
            (),
        )
        self.voted = self.key
        self.votes = {self.node_id: True}
        self._new_election_deadline()
        if self._is_granted():
            # The only voter: vote and leadership are stored in one step.
            self.voted = NO_VOTE
            self._win()
        else:
            self._remember()

    def _win(self) -> None:
        """Lead, as soon as that is durable."""
        granting = tuple(voter for voter, granted in sorted(self.votes.items()) if granted)
        self._leave()
        self.role, self.leader_id, self.leader_endpoints = Role.LEADER, self.node_id, self.endpoints
        self.leader = LeaderState(
            self.key,
            self.voters,
            granting,
            now_ms=self.now(),
            check_quorum_ms=self.settings.fetch_timeout_ms * CHECK_QUORUM_FACTOR,
        )
        self._remember()

    def _take_office(self, leader: LeaderState) -> None:
        """Begin the epoch with a LeaderChange record, and the quorum itself in an empty log."""
        records = [(int(ControlType.LEADER_CHANGE), encode_control(self._leader_change(leader)))]
        if self.log.end_offset == 0 and self.history.kraft_version > 0:
            records += voter_records(self.voters, self.history.kraft_version)
        leader.active = True
        leader.epoch_start_offset = self.log.end_offset
        try:
            self.append_control(records)
        except StorageError as error:
            self.last_fault = f"the leadership of epoch {self.epoch} cannot begin: {error}"
            leader.active = False
            leader.resign_requested = True
            return
        leader.flushed(self.persisted_end_offset)

    def _leader_change(self, leader: LeaderState) -> LeaderChangeMessage:
        return LeaderChangeMessage(
            leader_id=self.node_id,
            voters=[LeaderChangeVoter(voter_id=voter_id) for voter_id in leader.voters.ids],
            granting_voters=[LeaderChangeVoter(voter_id=voter_id) for voter_id in leader.granting],
        )

    def _become_resigned(self) -> None:
        """Lead no more in this epoch; the others are told to elect somebody else."""
        leader = self.leader
        successors = leader.successors() if leader is not None else []
        self._leave()
        self.role, self.successors = Role.RESIGNED, successors
        self._new_election_deadline()
        self._left_office(was_leader=True)

    # ------------------------------------------------------------------------------- what is due now

    def _advance(self) -> None:
        """Do what the time and the role ask for, until nothing changes any more."""
        self._expire()
        for _ in range(8):
            before = (self.role, self.epoch)
            _POLL[self.role](self)
            if (self.role, self.epoch) == before:
                return

    def _expire(self) -> None:
        now = self._advanced_ms = self.now()
        for node_id in [node for node, (_, deadline) in self._in_flight.items() if deadline <= now]:
            # Its connection may hang: the next request goes elsewhere first.
            del self._in_flight[node_id]
            self._backoff[node_id] = now + self.settings.retry_backoff_ms
        if self._backoff:
            self._backoff = {node: until for node, until in self._backoff.items() if until > now}
        if any(waiter.deadline <= now for waiter in self._waiters):
            self._complete_waiters(only_due=True)

    def _poll_unattached(self) -> None:
        if self.may_stand() and (self.is_only_voter or self.now() >= self.election_deadline):
            self.become_prospective()
        else:
            self._send_fetch(self._somebody())

    def _poll_prospective(self) -> None:
        if not self.may_stand() or self.now() >= self.election_deadline:
            self.election_lost()
        else:
            self._seek_votes(pre_vote=True)

    def _poll_candidate(self) -> None:
        if not self.has_right_to_vote() or self.now() >= self.election_deadline:
            self.become_prospective()
        else:
            self._seek_votes(pre_vote=False)

    def _poll_follower(self) -> None:
        now = self.now()
        if now >= self.fetch_deadline and self.may_stand():
            self.become_prospective()
            return
        if now >= self.update_voter_deadline and self._voter_is_outdated():
            if self.send(self.leader_id, voter_changes.update_request(self)):
                self.update_voter_deadline = now + 3 * self.settings.fetch_timeout_ms
            return
        if self.download is not None:
            if not self.download.complete and not self._in_flight and self._is_idle(self.leader_id):
                self.send(
                    self.leader_id,
                    messages.fetch_snapshot_request(
                        self.cluster_id,
                        self.key,
                        self.epoch,
                        self.download.snapshot,
                        self.download.position,
                        self.settings.fetch_max_bytes,
                    ),
                )
            return
        # When the leader does not answer, another member may know a new one.
        late = now >= self.fetch_deadline
        self._send_fetch(self._somebody() if late or not self._is_idle(self.leader_id) else self.leader_id)

    def _voter_is_outdated(self) -> bool:
        voter = self.voters.get(self.node_id)
        return (
            self.is_voter
            and voter is not None
            and self.history.kraft_version > 0
            and bool(self.endpoints)
            and voter != Voter(self.node_id, self.key.directory_id, self.endpoints)
        )

    def _poll_leader(self) -> None:
        leader = self.leader
        if leader is None:
            raise InvariantError("a leader without its state")
        now = self.now()
        if leader.resign_requested or leader.majority_is_lost(now):
            self._become_resigned()
            return
        if not leader.active:
            return
        if self.pending_change is not None and now >= self.pending_change.deadline:
            change, self.pending_change = self.pending_change, None
            change.refuse(self, ErrorCode.REQUEST_TIMED_OUT, None)
        voter_changes.ask_new_voter(self)
        if now >= leader.begin_quorum_due_ms:
            # Followers pull, so they must be told whom from; those that fetch know it.
            period = self.settings.fetch_timeout_ms / 2
            leader.begin_quorum_due_ms = now + period
            for voter in self.voters:
                replica = leader.voters_by_id.get(voter.voter_id)
                if voter.voter_id == self.node_id:
                    continue
                if replica is not None and replica.fetched_ms >= 0 and now - replica.fetched_ms < period:
                    continue
                self.send(
                    voter.voter_id,
                    messages.begin_quorum_epoch_request(
                        self.cluster_id, voter.key, self.node_id, self.epoch, self.endpoints
                    ),
                )

    def _poll_resigned(self) -> None:
        if self.now() >= self.election_deadline and not self.shutting_down:
            # A new epoch, so that nobody takes this node for the leader any more.
            self.become_unattached(self.epoch + 1)
            return
        for voter in self.voters:
            if voter.voter_id != self.node_id and voter.voter_id not in self.acknowledged:
                self.send(
                    voter.voter_id,
                    messages.end_quorum_epoch_request(
                        self.cluster_id, self.node_id, self.epoch, self.successors
                    ),
                )

    # ------------------------------------------------------------------------------------- elections

    def _seek_votes(self, *, pre_vote: bool) -> None:
        if self._is_rejected():
            return
        for voter in self.voters:
            if voter.voter_id not in self.votes:
                self.send(
                    voter.voter_id,
                    messages.vote_request(
                        self.cluster_id, voter.key, self.key, self.epoch, self.log_end, pre_vote=pre_vote
                    ),
                )

    def _is_granted(self) -> bool:
        granted = sum(self.votes.get(voter_id, False) for voter_id in self.voters.ids)
        return granted >= self.voters.majority

    def _is_rejected(self) -> bool:
        rejected = sum(not self.votes.get(voter_id, True) for voter_id in self.voters.ids)
        return rejected > len(self.voters) - self.voters.majority

    def count_vote(self, voter_id: int, granted: bool) -> None:
        """A voter has answered, in this epoch and to this role."""
        self.votes[voter_id] = granted
        if self._is_granted():
            if self.role is Role.PROSPECTIVE:
                self.become_candidate()
            else:
                self._win()
        elif self._is_rejected() and self.role is Role.PROSPECTIVE:
            # A candidate waits for its timeout instead, which keeps rivals apart.
            self.election_lost()

    def election_lost(self) -> None:
        """After a pre-vote: back to the leader, if one is known."""
        if self.leader_id not in (NOBODY, self.node_id):
            self.become_follower(self.epoch, self.leader_id, self.leader_endpoints)
        else:
            self.become_unattached(self.epoch)

    def log_is_up_to_date(self, last_epoch: int, end_offset: int) -> bool:
        """Whether a log that ends there has everything that may be committed here."""
        return (last_epoch, end_offset) >= self.log_end

    def can_grant(self, candidate: ReplicaKey, up_to_date: bool, *, pre_vote: bool) -> bool:
        """Kafka's rule for a Vote request of the own epoch, by role; another process with this node's id gets
        no vote (Kafka stops)."""
        if candidate.node_id == self.node_id:
            return False
        if pre_vote:
            if self.role is Role.LEADER or self.lost_vote:
                return False
            # A follower whose leader has answered keeps to it until its own timeout.
            return up_to_date and not (self.role is Role.FOLLOWER and self.has_fetched)
        if self.role not in (Role.UNATTACHED, Role.PROSPECTIVE) or self.lost_vote:
            return False
        if self.voted != NO_VOTE:
            return self.voted.node_id == candidate.node_id and self.voted.directory_id in (
                ZERO_UUID,
                candidate.directory_id,
            )
        return self.leader_id == NOBODY and up_to_date

    def grant(self, candidate: ReplicaKey) -> None:
        """Give the vote of this epoch, durably."""
        if self.voted == NO_VOTE:
            self.voted = candidate
            if self.role is Role.UNATTACHED:
                # The candidate has at least as good a chance as this node.
                self._new_election_deadline()
            self._remember()

    # --------------------------------------------------------------------------------------- the log

    def append_control(self, records: Sequence[tuple[int, bytes]]) -> int:
        """Append a control batch as the leader; its last offset. StorageError: nothing was appended."""
        offset = self.log.end_offset
        batch = build_control_batch(
            records, timestamp=self.clock.wall_ms(), base_offset=offset, leader_epoch=self.epoch
        )
        self.log.append(batch)
        self._learn_voters(batch)
        self._appended()
        return offset + len(records) - 1

    def _appended(self) -> None:
        """Whoever waits for records gets them, before they are durable here."""
        self._complete_waiters()

    def _learn_voters(self, batch: bytes | memoryview) -> None:
        """Take the voter set of a control batch just appended; it counts from now on."""
        before = self.history.voters
        for record in read_control_batch(batch):
            self.history.add(record.offset, record)
        if self.leader is not None and self.history.voters != before:
            self.leader.change_voters(self.history.voters)

    def append_fetched(self, records: bytes | memoryview) -> bool:
        """Append what the leader sent, batch by batch; False at the first one that cannot be right."""
        view = memoryview(records)
        try:
            for position, header in iter_headers(view):
                batch = view[position : position + header.size]
                if header.base_offset != self.log.end_offset or header.last_offset_delta < 0:
                    self.fault(
                        f"leader {self.leader_id} sent a batch at offset {header.base_offset}, "
                        f"the log ends at {self.log.end_offset}"
                    )
                    return False
                if not self.last_epoch <= header.leader_epoch <= self.epoch:
                    self.fault(
                        f"leader {self.leader_id} of epoch {self.epoch} sent a batch of epoch "
                        f"{header.leader_epoch} after one of epoch {self.last_epoch}"
                    )
                    return False
                if not crc_matches(batch):
                    self.fault(f"leader {self.leader_id} sent a damaged batch at {header.base_offset}")
                    return False
                self.log.append(bytes(batch))
                if header.is_control:
                    self._learn_voters(batch)
        except (CorruptionError, StorageError) as error:
            self.fault(f"records of leader {self.leader_id} cannot be appended: {error}")
            return False
        return True

    def truncate(self, epoch: int, end_offset: int) -> bool:
        """Cut the log where the leader's differs: its records of `epoch` end at `end_offset`."""
        local_epoch, local_end = self.end_offset_for_epoch(epoch)
        offset = min(local_end, end_offset) if local_epoch == epoch else local_end
        if offset < self.high_watermark:
            self.fault(
                f"leader {self.leader_id} asks for a log that ends at {offset}, "
                f"below the high watermark {self.high_watermark}"
            )
            return False
        try:
            self.log.truncate(offset)
        except StorageError as error:
            self.fault(f"the log cannot be cut at {offset}: {error}")
            return False
        self.generation += 1
        self._flush_given = None
        self.persisted_end_offset = min(self.persisted_end_offset, self.log.end_offset)
        self.history.truncate_from_end(self.log.end_offset)
        return True

    def high_watermark_moved(self) -> None:
        """The leader's high watermark is another one: publish it."""
        leader = self.leader
        if leader is None:
            return
        self.high_watermark = max(self.high_watermark, leader.high_watermark)
        self._complete_waiters()
        change = self.pending_change
        if change is not None and 0 <= change.offset < leader.high_watermark:
            self.pending_change = None
            change.committed(self)
        if 0 <= self.history.voters_offset < leader.high_watermark and not self.is_voter:
            leader.resign_requested = True

    def follower_high_watermark(self, high_watermark: int) -> None:
        """The leader's, as far as the own log goes."""
        self.leader_high_watermark = max(self.leader_high_watermark, high_watermark)
        self.high_watermark = max(self.high_watermark, min(high_watermark, self.log.end_offset))

    # --------------------------------------------------------------------------------------- waiters

    def wait(self, token: object, key: ReplicaKey, partition: fetch.FetchPartition, wait_ms: int) -> bool:
        """Keep a Fetch until there is something; False when it must be answered now."""
        earlier = [waiter for waiter in self._waiters if waiter.key == key]
        if earlier:
            # A member has one Fetch at a time: the older connection is dead.
            self._waiters = [waiter for waiter in self._waiters if waiter.key != key]
            self._answer(earlier)
        if len(self._waiters) >= WAITERS_MAX:
            return False
        self._waiters.append(_Waiter(token, key, partition, self.now() + wait_ms))
        return True

    def _complete_waiters(self, *, only_due: bool = False) -> None:
        if not self._waiters:
            return
        now = self.now()
        due = [waiter for waiter in self._waiters if not only_due or waiter.deadline <= now]
        self._waiters = [waiter for waiter in self._waiters if only_due and waiter.deadline > now]
        self._answer(due)

    def _answer(self, waiters: list[_Waiter]) -> None:
        for waiter in waiters:
            # Not counted as a fetch of now: it was one when it came.
            self.reply(waiter.token, requests.complete_fetch(self, waiter.key, waiter.partition, late=True))

    # ------------------------------------------------------------------------------------- messages

    def reply(self, token: object, message: Message) -> None:
        self._outbox.append((self._state_version, Reply(token, message)))

    def _is_idle(self, node_id: int) -> bool:
        return node_id not in self._in_flight and node_id not in self._backoff

    def _back_off(self, node_id: int) -> None:
        self._backoff[node_id] = self.now() + self.settings.retry_backoff_ms

    def send(self, node_id: int, message: Message, address: tuple[str, int] | None = None) -> bool:
        """Send a request unless one is under way to that member; whether it was sent."""
        if node_id in (self.node_id, NOBODY) or not self._is_idle(node_id):
            return False
        self._correlation_id += 1
        self._in_flight[node_id] = (self._correlation_id, self.now() + self.settings.request_timeout_ms)
        send = Send(node_id, address or self._address(node_id), self._correlation_id, message)
        self._outbox.append((self._state_version, send))
        return True

    def _address(self, node_id: int) -> tuple[str, int] | None:
        """Where the member listens: node ids below -1 count the bootstrap addresses."""
        if node_id < NOBODY:
            return self.bootstrap[-node_id - 2]
        endpoints: Endpoints = ()
        if node_id == self.leader_id:
            endpoints = self.leader_endpoints
        if not endpoints and (voter := self.voters.get(node_id)) is not None:
            endpoints = voter.endpoints
        for name, host, port in endpoints:
            if name == self.settings.listener:
                return host, port
        return (endpoints[0][1], endpoints[0][2]) if endpoints else None

    def _somebody(self) -> int:
        """A member to ask for the leader, other than this node; -1 when everybody is busy."""
        if self._in_flight:
            return NOBODY
        members = [*self.voters.ids, *range(-2, -2 - len(self.bootstrap), -1)]
        idle = [node_id for node_id in members if node_id != self.node_id and self._is_idle(node_id)]
        return self.rng.choice(idle) if idle else NOBODY

    def _send_fetch(self, node_id: int) -> None:
        # What the fetch offset says must be durable: `flushed` comes back here.
        if node_id == NOBODY or self._in_flight or self.persisted_end_offset < self.log.end_offset:
            return
        self.send(
            node_id,
            messages.fetch_request(
                self.cluster_id,
                self.key,
                self.epoch,
                self.log_end,
                high_watermark=self.high_watermark,
                max_wait_ms=self.settings.fetch_max_wait_ms,
                max_bytes=self.settings.fetch_max_bytes,
            ),
        )

    def fault(self, reason: str) -> None:
        """A member does not keep to the protocol, or the disk refuses: noted, and nothing else done."""
        self.faults += 1
        self.last_fault = reason


_POLL: Final = {
    Role.UNATTACHED: Node._poll_unattached,
    Role.PROSPECTIVE: Node._poll_prospective,
    Role.CANDIDATE: Node._poll_candidate,
    Role.FOLLOWER: Node._poll_follower,
    Role.LEADER: Node._poll_leader,
    Role.RESIGNED: Node._poll_resigned,
}

"""The metadata quorum on this node, voter or observer: drives `raft.Node`, and replays what is committed.

In: the Raft requests of other nodes, answers to the own ones, time, and that files are written. Out: requests
and answers, images with deltas to whoever asked for them, and the news of gaining and losing the leadership.
What must hold:

- an image is of committed records only, the same on every node at the same offset;
- the active controller is told that it leads when everything before its epoch is in the image, and that it
  does not before anything of a later epoch is;
- nothing blocks: what is to be stored, synced or checked goes through `run_blocking` and the log's flushes.
  One exception: `start` of the only voter, which leads, durably, when it returns.

The node's own rules (what must be durable before what is sent) are in `raft/node.py`.
"""

from __future__ import annotations

import random
from collections import deque
from collections.abc import Callable, Mapping, Sequence
from typing import Any, Final, NamedTuple, Protocol

from pybroker.common.clock import Clock
from pybroker.common.deferred import Deferred, resolved
from pybroker.common.errors import ConfigError, CorruptionError, ErrorCode, InvariantError, StorageError
from pybroker.common.files import FileSystem
from pybroker.common.timers import Timer, TimerQueue
from pybroker.controller import bootstrap
from pybroker.controller.loader import READ_BYTES, open_start
from pybroker.controller.replay import Replay, snapshot_image
from pybroker.log.environment import DISK_FULL, NO_DESCRIPTORS
from pybroker.metadata.compare import compare
from pybroker.metadata.delta import MetadataDelta
from pybroker.metadata.features import BOOTSTRAP_FEATURES
from pybroker.metadata.image import MetadataImage, empty_image
from pybroker.metadata.records import ImageContent, image_records
from pybroker.raft.hard_state import NOBODY, HardState, load_hard_state, store_hard_state
from pybroker.raft.log import RaftLog
from pybroker.raft.messages import Endpoints
from pybroker.raft.node import FOREVER, Flush, Node, QuorumSettings, Send
from pybroker.raft.snapshot import (
    DirectorySnapshots,
    SnapshotId,
    encode_snapshot,
    list_snapshots,
    remove_partial_snapshots,
    write_snapshot,
)
from pybroker.raft.voters import NO_VOTERS, ReplicaKey, Voter, VoterSet, voter_records
from pybroker.records.batch import HEADER_SIZE
from pybroker.wire.message import Message
from pybroker.wire.messages import (
    add_raft_voter,
    begin_quorum_epoch,
    describe_quorum,
    end_quorum_epoch,
    fetch,
    fetch_snapshot,
    remove_raft_voter,
    update_raft_voter,
    vote,
)
from pybroker.wire.schemas.metadata_records import AbortTransactionRecord

CHANNEL: Final = "raft"
_KEPT_SNAPSHOTS: Final = 2
_RETRY_MS: Final = 1_000
_REPORT_INTERVAL_MS: Final = 1_000

ImageCallback = Callable[[MetadataImage, MetadataDelta], None]
RunBlocking = Callable[[str, Callable[[], None], Callable[[BaseException | None], None]], None]
"""(queue, function, done): `done` is called on the loop thread with the error of the function, or None."""


class Caller(Protocol):
    """What sends requests to other nodes: `pybroker.wire.client.PeerClient`."""

    def call(
        self,
        channel: str,
        address: tuple[str, int],
        message: Message,
        version: int,
        timeout_ms: float,
        done: Callable[[Any], None],
    ) -> None:
        """`done` is called once, later, with the response or None."""


class QuorumOptions(NamedTuple):
    """Who this node is in the quorum, and its settings."""

    node_id: int
    cluster_id: str
    directory_id: bytes
    endpoints: Endpoints = ()
    """(listener, host, port) of this node's controller listeners; none on a node that is a broker only."""
    voters: VoterSet = NO_VOTERS
    """Those of the properties file (kraft.version 0), where the log states none."""
    bootstrap: tuple[tuple[str, int], ...] = ()
    """Where to ask for the leader as long as nobody is known."""
    standalone: bool = False
    """An empty directory becomes that of a quorum of this node alone."""
    features: Mapping[str, int] = BOOTSTRAP_FEATURES
    """Finalized by the first leader of a new cluster."""
    node: QuorumSettings = QuorumSettings()
    snapshot_bytes: int = 20 * 1024 * 1024
    """A snapshot is due after so much log."""
    snapshot_interval_ms: int = 3_600_000
    """And after so long, when there is anything new; 0 for never."""


class Leader(NamedTuple):
    """Who leads; node id -1 when nobody is known to, and no address when that is not known."""

    node_id: int
    epoch: int
    address: tuple[str, int] | None


class LeaderRoom(Protocol):
    """The active controller, as the quorum sees it."""

    def gained(self) -> None:
        """This node leads, and its image has everything before its epoch. StorageError: it cannot."""

    def lost(self, code: ErrorCode) -> None:
        """It does not any more; `code` answers what waits."""

    def committed(self, end_offset: int) -> None:
        """Everything below is committed and in the image."""


class _Prepared(NamedTuple):
    """A batch of this leader, with the image that it makes."""

    base_offset: int
    image: MetadataImage
    delta: MetadataDelta
    size: int
    timestamp_ms: int


class MetadataQuorum:
    """The quorum as one node has it. `start` first; then requests, `timers`, and the log's flushes."""

    def __init__(
        self,
        options: QuorumOptions,
        *,
        files: FileSystem,
        log: RaftLog,
        clock: Clock,
        rng: random.Random,
        timers: TimerQueue,
        run_blocking: RunBlocking,
        client: Caller | None = None,
        report: Callable[[str], None] | None = None,
    ) -> None:
        """Without a `client` the quorum can only be of this node alone."""
        self.options = options
        self.node_id = options.node_id
        self.caught_up = False
        """Whether the image has had everything that the leader had committed, once since the start."""
        self.failure: BaseException | None = None
        """The disk of the metadata log has failed: this node takes no part any more."""
        self.log = log
        self.clock = clock
        self.timers = timers
        self._files = files
        self._rng = rng
        self._run_blocking = run_blocking
        self._client = client
        self._report = report or _ignore
        self._snapshots = DirectorySnapshots(files, log.directory)
        self._node: Node | None = None
        self._replay = Replay(empty_image(options.cluster_id))
        self._image = self._replay.image
        self._room: LeaderRoom | None = None
        self._image_callbacks: list[ImageCallback] = []
        self._leader_callbacks: list[Callable[[], None]] = []
        self._caught_up_callbacks: list[Callable[[], None]] = []
        self._told_leader = Leader(NOBODY, 0, None)
        self._active_epoch: int | None = None
        self._aborted_epoch = -1
        self._prepared: deque[_Prepared] = deque()
        self._blocking = False
        self._pumping = False
        self._again = False
        self._timer: Timer | None = None
        # The newest hard state that is to be stored, and whether one is being stored.
        self._wanted_state: tuple[HardState, int] | None = None
        self._storing = False
        self._snapshot_under_way = False
        self._damaged: dict[SnapshotId, str] = {}
        self._last_snapshot_ms = clock.monotonic_ms()
        self._faults = 0
        self._fault_told_ms = -float(_REPORT_INTERVAL_MS)

    # ----------------------------------------------------------------------------------- start and end

    def start(self) -> None:
        """Load the directory and take part. ConfigError, StorageError, CorruptionError, OSError.

        The only voter leads when this returns, and blocks for that; any other node goes on by itself.
        """
        files, log, options = self._files, self.log, self.options
        files.make_dirs(log.directory)
        remove_partial_snapshots(files, log.directory)
        if options.standalone and log.end_offset == 0:
            voter = Voter(options.node_id, options.directory_id, options.endpoints)
            parent = log_parent(log)
            now_ms = self.clock.wall_ms()
            bootstrap.format_directory(files, parent, log.directory, options.features, [voter], now_ms)
        start = open_start(files, log, options.cluster_id, options.voters)
        self._replay = start.replay
        self._image = start.replay.image
        self._damaged = start.damaged
        for message in start.damaged.values():
            self._report(f"{message}; an older one and the log after it are used")
        self._snapshots.refresh(start.snapshot)
        key, endpoints = self._identity(start.history.voters)
        self._node = Node(
            key,
            options.cluster_id,
            load_hard_state(files, log.directory),
            start.history,
            log=log,
            snapshots=self._snapshots,
            clock=self.clock,
            rng=self._rng,
            settings=options.node,
            endpoints=endpoints,
            bootstrap=options.bootstrap,
        )
        log.on_durable = self._durable
        # The only voter needs nobody else: it leads as soon as that is on record.
        self._blocking = self._node.is_only_voter
        self._pump()
        if self._blocking:
            # Once for the log, and once more when it ended within a transaction.
            for _ in range(2):
                if not self.is_active:
                    log.flush()
            self._blocking = False
            if not self.is_active:
                raise StorageError(self._node.last_fault or "the only voter cannot lead")

    def _identity(self, voters: VoterSet) -> tuple[ReplicaKey, Endpoints]:
        """This replica, and its listeners."""
        options = self.options
        key = ReplicaKey(options.node_id, options.directory_id)
        if self._client is not None:
            return key, options.endpoints
        others = [voter_id for voter_id in voters.ids if voter_id != options.node_id]
        if others or len(voters) != 1:
            raise ConfigError(
                f"the metadata log is that of a quorum with the voters {', '.join(map(str, others))} too; "
                "a quorum of one node only is supported"
            )
        # As the log states it: another broker may count on these endpoints.
        return voters[0].key, voters[0].endpoints

    @property
    def node(self) -> Node:
        if self._node is None:
            raise InvariantError("the metadata quorum was not started")
        return self._node

    def flush(self) -> None:
        """Make everything durable now; blocks. What waited for it is committed before it returns, where
        this node alone decides."""
        self.log.flush()

    def shut_down(self) -> None:
        """Resign when leading, in favour of whoever has the longest log, and stand for no election."""
        if self._node is not None and self.failure is None:
            self._node.shut_down()
            self._pump()

    def close(self) -> None:
        """Do nothing any more, whatever comes."""
        self.failure = self.failure or StorageError("the metadata quorum is closed")
        if self._timer is not None:
            self._timer.cancel()

    def resign(self) -> None:
        """Give the leadership up, in favour of whoever has the longest log."""
        self.node.resign()
        self._pump()

    def storage_failed(self, error: BaseException) -> None:
        """The disk of the metadata log has refused a write: this node takes no part any more, since nobody
        can tell what it still knows. Others go on without it."""
        if self.failure is not None:
            return
        self.failure = error
        self._report(f"the metadata quorum goes on without this node: {error}")
        if self._timer is not None:
            self._timer.cancel()
        self._active_epoch = None
        self._prepared.clear()
        if self._room is not None:
            self._room.lost(ErrorCode.KAFKA_STORAGE_ERROR)

    # ----------------------------------------------------------------------------------------- state

    @property
    def image(self) -> MetadataImage:
        """The newest committed image."""
        return self._image

    @property
    def epoch(self) -> int:
        return self.node.epoch

    @property
    def leader(self) -> Leader:
        """Who leads, as far as this node knows."""
        node = self.node
        return Leader(node.leader_id, node.epoch, node.leader_address)

    @property
    def is_active(self) -> bool:
        """Whether this node leads, and its image has everything before its epoch."""
        return self._active_epoch is not None and self.node.is_leader

    @property
    def next_offset(self) -> int:
        """The offset of the next record that this leader writes."""
        return self.log.end_offset

    def lead_with(self, room: LeaderRoom) -> None:
        """Who is told of the leadership. To be called before `start`."""
        self._room = room

    def on_image(self, callback: ImageCallback) -> None:
        """Call `callback(image, delta)` for every new image, in the order of the callbacks."""
        self._image_callbacks.append(callback)

    def on_leader(self, callback: Callable[[], None]) -> None:
        """Call `callback()` when `leader` is another one, or its epoch or address."""
        self._leader_callbacks.append(callback)

    def on_caught_up(self, callback: Callable[[], None]) -> None:
        """Call `callback()` once, when `caught_up` becomes true; at once if it is."""
        if self.caught_up:
            callback()
        else:
            self._caught_up_callbacks.append(callback)

    # ------------------------------------------------------------------------------------------ inputs

    def handle(self, request: Message) -> Deferred[Any]:
        """A decoded Raft request; the answer comes at once or later."""
        if self.failure is not None:
            return resolved(_RESPONSES[type(request)](error_code=ErrorCode.KAFKA_STORAGE_ERROR))
        answer: Deferred[Any] = Deferred()
        self.node.request(answer, request)
        self._pump()
        return answer

    def propose(
        self, values: Sequence[bytes], apply: Callable[[int, int], tuple[MetadataImage, MetadataDelta]]
    ) -> None:
        """Append one batch of record values as the active controller. StorageError: nothing was appended.

        `apply(last offset, epoch)` makes the image that is published once the batch is committed.
        """
        node = self.node
        if not self.is_active:
            raise InvariantError("only the active controller proposes")
        base_offset, last_offset = node.propose(values)
        image, delta = apply(last_offset, node.epoch)
        size = sum(map(len, values)) + HEADER_SIZE
        self._prepared.append(_Prepared(base_offset, image, delta, size, self.clock.wall_ms()))
        self._pump()

    def tick(self, now_ms: float) -> None:
        """Let time pass for snapshots; elections have timers."""
        interval_ms = self.options.snapshot_interval_ms
        due = interval_ms and now_ms - self._last_snapshot_ms >= interval_ms
        if due and self._replay.bytes_since_snapshot:
            self.maybe_snapshot(force=True)

    def _durable(self, end_offset: int) -> None:
        """The log: everything below `end_offset` is synced."""
        if self._node is not None and self.failure is None:
            self._node.flushed(Flush(end_offset, self._node.generation))
            self._pump()

    def _time_passed(self) -> None:
        self._timer = None
        if self.failure is None:
            self.node.tick()
            self._pump()

    # ------------------------------------------------------------------------------- what the node wants

    def _pump(self) -> None:
        """Carry out what the node wants, until it wants nothing more."""
        self._again = True
        if self._pumping:
            # A callback has put something in: the loop that called it goes on with that.
            return
        self._pumping = True
        try:
            while self._again and self.failure is None:
                self._again = False
                self._step()
        finally:
            self._pumping = False
        self._arm()

    def _step(self) -> None:
        node = self.node
        ready = node.take_ready()
        if ready.hard_state is not None:
            self._wanted_state = (ready.hard_state, ready.hard_state_version)
            self._store()
        if ready.flush is not None:
            self.log.request_flush()
        if ready.install is not None:
            self._install(ready.install)
        for message in ready.messages:
            if isinstance(message, Send):
                self._send(message)
            else:
                deferred: Any = message.token
                deferred.resolve(message.message)
        self.log.note_committed(node.high_watermark)
        self._catch_up(node)
        self._check_leadership(node)
        if node.faults != self._faults:
            self._tell_fault(node)

    def _arm(self) -> None:
        """Have time passed at the node's next deadline."""
        deadline_ms = FOREVER if self.failure is not None else self.node.next_deadline()
        timer = self._timer
        if timer is not None:
            if timer.deadline_ms <= deadline_ms:
                return
            timer.cancel()
        self._timer = None
        if deadline_ms < FOREVER:
            self._timer = self.timers.schedule(deadline_ms, self._time_passed)

    def _tell_fault(self, node: Node) -> None:
        now_ms = self.clock.monotonic_ms()
        self._faults = node.faults
        if now_ms - self._fault_told_ms >= _REPORT_INTERVAL_MS:
            self._fault_told_ms = now_ms
            self._report(f"metadata quorum: {node.last_fault}")

    def _send(self, send: Send) -> None:
        node = self.node
        if self._client is None or send.address is None:
            node.failed(send.node_id, send.correlation_id)
            self._again = True
            return

        def done(answer: Message | None) -> None:
            if self.failure is not None:
                return
            if answer is None:
                node.failed(send.node_id, send.correlation_id)
            else:
                node.response(send.node_id, send.correlation_id, answer)
            self._pump()

        version = type(send.message).VERSIONS[1]
        timeout_ms = self.options.node.request_timeout_ms
        self._client.call(CHANNEL, send.address, send.message, version, timeout_ms, done)

    def _store(self) -> None:
        """Store the newest hard state, unless one is being stored: then that is next."""
        wanted = self._wanted_state
        if wanted is None or self._storing or self.failure is not None:
            return
        state, version = wanted
        self._wanted_state = None
        files, directory, node = self._files, self.log.directory, self.node
        if self._blocking:
            store_hard_state(files, directory, state)
            node.stored(version)
            self._again = True
            return
        self._storing = True

        def done(error: BaseException | None) -> None:
            self._storing = False
            if self.failure is not None:
                return
            if error is None:
                node.stored(version)
            elif isinstance(error, OSError) and error.errno in (*DISK_FULL, *NO_DESCRIPTORS):
                # Nothing of it is there, so it may be tried again; nothing is told meanwhile.
                self._report(f"the state of the metadata quorum cannot be stored yet: {error}")
                self._wanted_state = self._wanted_state or wanted
                self.timers.schedule(self.clock.monotonic_ms() + _RETRY_MS, self._store)
                return
            else:
                self.storage_failed(error)
                return
            self._store()
            self._pump()

        self._run_blocking(f"{directory}#state", lambda: store_hard_state(files, directory, state), done)

    # ---------------------------------------------------------------------------------------- replay

    def _catch_up(self, node: Node) -> None:
        """Replay what is committed."""
        replay, prepared = self._replay, self._prepared
        while replay.end_offset < node.high_watermark:
            end_offset = node.high_watermark
            if prepared:
                first = prepared[0]
                if first.base_offset == replay.end_offset:
                    if first.image.offset >= end_offset:
                        break
                    prepared.popleft()
                    replay.become(first.image, first.size, first.timestamp_ms)
                    self._publish(first.image, first.delta)
                    continue
                end_offset = min(end_offset, first.base_offset)
            if replay.end_offset < self.log.start_offset:
                raise InvariantError(
                    f"the metadata log begins at {self.log.start_offset}, replayed is {replay.end_offset}"
                )
            try:
                images = replay.batches(self.log.read(replay.end_offset, READ_BYTES), end_offset)
            except CorruptionError as error:
                if self._blocking:
                    raise
                # An image without it would not be what the cluster has agreed on.
                raise InvariantError(f"a committed metadata record cannot be replayed: {error}") from error
            except StorageError as error:
                if self._blocking:
                    raise
                if error.errno not in NO_DESCRIPTORS:
                    self.storage_failed(error)
                    return
                self._report(f"the metadata log cannot be read yet: {error}")
                self.timers.schedule(self.clock.monotonic_ms() + _RETRY_MS, self._pump)
                return
            for image, delta in images:
                self._publish(image, delta)
        if not self.caught_up and self._has_caught_up(node):
            self.caught_up = True
            callbacks, self._caught_up_callbacks = self._caught_up_callbacks, []
            for callback in callbacks:
                callback()
        self.maybe_snapshot()

    def _has_caught_up(self, node: Node) -> bool:
        if node.leader is not None:
            told = node.leader.high_watermark
        else:
            told = node.leader_high_watermark
        return 0 <= told <= self._replay.end_offset

    def _publish(self, image: MetadataImage, delta: MetadataDelta) -> None:
        self._image = image
        for callback in self._image_callbacks:
            callback(image, delta)
        if self._room is not None and self._active_epoch is not None:
            self._room.committed(image.offset + 1)

    # ------------------------------------------------------------------------------------- leadership

    def _check_leadership(self, node: Node) -> None:
        if self._active_epoch is not None and not (node.is_leader and node.epoch == self._active_epoch):
            self._active_epoch = None
            self._prepared.clear()
            if self._room is not None:
                self._room.lost(ErrorCode.NOT_CONTROLLER)
        leader = node.leader
        if (
            self._active_epoch is None
            and leader is not None
            and node.is_leader
            and leader.high_watermark > leader.epoch_start_offset
            and self._replay.end_offset >= leader.high_watermark
        ):
            self._take_over(node)
        told = self.leader
        if told != self._told_leader:
            self._told_leader = told
            for callback in self._leader_callbacks:
                callback()

    def _take_over(self, node: Node) -> None:
        """Everything before the own epoch is replayed: the controller of this node becomes the active one."""
        try:
            if self._replay.in_transaction:
                # The former leader's: what it has of it counts for nothing.
                if self._aborted_epoch != node.epoch:
                    self._aborted_epoch = node.epoch
                    node.propose([bootstrap.encode(AbortTransactionRecord(reason="controller failover"))])
                    self._again = True
                return
            self._active_epoch = node.epoch
            if self._room is not None:
                self._room.gained()
        except StorageError as error:
            if self._blocking:
                raise
            self._report(f"the leadership of epoch {node.epoch} is given up: {error}")
            node.resign()
            self._again = True

    # -------------------------------------------------------------------------------------- snapshots

    def _install(self, snapshot: SnapshotId) -> None:
        """Check a fetched snapshot, make it durable, and go on from it."""
        snapshots, cluster_id, node = self._snapshots, self.options.cluster_id, self.node
        found: list[tuple[Any, MetadataImage]] = []

        def work() -> None:
            content = snapshots.install(snapshot)
            found.append((content, snapshot_image(cluster_id, snapshot, content)))

        def done(error: BaseException | None) -> None:
            if self.failure is not None:
                return
            if error is not None:
                node.snapshot_refused(snapshot, str(error))
                self._pump()
                return
            content, image = found[0]
            snapshots.added(snapshot)
            try:
                node.snapshot_installed(snapshot, content.control_records)
            except StorageError as failure:
                self.storage_failed(failure)
                return
            if self._replay.end_offset < self.log.start_offset:
                delta = compare(self._image, image)
                self._replay = Replay(image, timestamp_ms=self.clock.wall_ms())
                self._publish(image, delta)
            self._pump()

        self._run_blocking(f"{self.log.directory}#snapshot", work, done)

    def maybe_snapshot(self, *, force: bool = False) -> None:
        """Write a snapshot of the image when the log has grown, or at once."""
        replay = self._replay
        if self._snapshot_under_way or not (
            force or replay.bytes_since_snapshot > self.options.snapshot_bytes
        ):
            return
        content = ImageContent(self._image)
        snapshot = SnapshotId(content.offset + 1, content.epoch)
        if self._snapshots.ending_at(snapshot.end_offset) is not None:
            return
        self._snapshot_under_way = True
        replay.bytes_since_snapshot = 0
        self._last_snapshot_ms = self.clock.monotonic_ms()
        level, voters = self.node.history.at(snapshot.end_offset)
        batches = encode_snapshot(
            (bootstrap.encode(record) for record in image_records(content)),
            epoch=content.epoch,
            now_ms=self.clock.wall_ms(),
            last_timestamp_ms=replay.timestamp_ms,
            control_records=() if voters is None else voter_records(voters, level),
        )
        files, path = self._files, f"{self.log.directory}/{snapshot.file_name}"

        def work() -> None:
            write_snapshot(files, path, batches)

        # A queue of its own: a flush of the log must not wait for it.
        self._run_blocking(f"{self.log.directory}#snapshot", work, self._snapshot_written)

    def _snapshot_written(self, error: BaseException | None) -> None:
        """After a failure one is due later again."""
        self._snapshot_under_way = False
        if self.failure is not None:
            return
        if error is not None:
            self._report(f"{self.log.directory}: a snapshot cannot be written: {error}")
            return
        try:
            found = [
                snapshot
                for snapshot in list_snapshots(self._files, self.log.directory)
                if snapshot not in self._damaged
            ]
            for old in found[:-_KEPT_SNAPSHOTS]:
                self._files.remove(f"{self.log.directory}/{old.file_name}")
        except OSError as refused:
            # They go with the next one.
            self._report(f"{self.log.directory}: old snapshots cannot be removed: {refused}")
            return
        # Should the newest one turn out to be damaged, the one before and the log after it are there.
        kept = found[-_KEPT_SNAPSHOTS:]
        self.log.trim(kept[0].end_offset)
        self.node.history.truncate_from_start(kept[0].end_offset)
        self._snapshots.changed(kept)


def log_parent(log: RaftLog) -> str:
    """The directory that the metadata log's own is in."""
    return log.directory.rpartition("/")[0] or "."


def _ignore(line: str) -> None:
    """Nobody listens."""


_RESPONSES: Final[dict[type[Message], Callable[..., Message]]] = {
    vote.VoteRequest: vote.VoteResponse,
    begin_quorum_epoch.BeginQuorumEpochRequest: begin_quorum_epoch.BeginQuorumEpochResponse,
    end_quorum_epoch.EndQuorumEpochRequest: end_quorum_epoch.EndQuorumEpochResponse,
    describe_quorum.DescribeQuorumRequest: describe_quorum.DescribeQuorumResponse,
    fetch.FetchRequest: fetch.FetchResponse,
    fetch_snapshot.FetchSnapshotRequest: fetch_snapshot.FetchSnapshotResponse,
    add_raft_voter.AddRaftVoterRequest: add_raft_voter.AddRaftVoterResponse,
    remove_raft_voter.RemoveRaftVoterRequest: remove_raft_voter.RemoveRaftVoterResponse,
    update_raft_voter.UpdateRaftVoterRequest: update_raft_voter.UpdateRaftVoterResponse,
}

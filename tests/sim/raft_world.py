"""A quorum in one process: members, their disks, the network between them, and what must hold of it all.

In: actions, one at a time. Out: the trace of what they did, and a `Violation` as soon as an invariant is
broken. What must hold: an action depends on the state of the world and on nothing else, so that a list of
actions replays; what was not synced may be lost in a power cut, and nothing that was synced may.

An action that makes no sense any more (its message is gone, its member is down) does nothing: a list of
actions stays legal when some of them are left out, which is what shrinking does.
"""

from __future__ import annotations

import functools
import hashlib
import random
from collections.abc import Iterable
from typing import Any, NamedTuple

from pybroker.common.clock import ManualClock
from pybroker.raft.hard_state import HardState, decode_hard_state, encode_hard_state
from pybroker.raft.node import Node, QuorumSettings, Reply, Send
from pybroker.raft.role import Role
from pybroker.raft.snapshot import SnapshotId, decode_snapshot, encode_snapshot
from pybroker.raft.voters import ReplicaKey, Voter, VoterHistory, VoterSet, voter_records
from pybroker.records.batch import iter_records, read_header
from pybroker.records.control import ControlRecord, ControlType, read_control_batch
from pybroker.wire import codec
from pybroker.wire.message import ZERO_UUID, Message
from pybroker.wire.messages.add_raft_voter import AddRaftVoterRequest, Listener
from pybroker.wire.messages.api_versions import ApiVersionsRequest, ApiVersionsResponse, SupportedFeatureKey
from pybroker.wire.messages.fetch import FetchRequest, FetchResponse
from pybroker.wire.messages.remove_raft_voter import RemoveRaftVoterRequest
from pybroker.wire.messages.vote import VoteRequest, VoteResponse

CLUSTER = "simulated-cluster-idAA"
LISTENER = "CONTROLLER"
Action = tuple[Any, ...]


class Violation(AssertionError):
    """An invariant is broken. `invariant` is its name."""

    def __init__(self, invariant: str, message: str) -> None:
        super().__init__(f"{invariant}: {message}")
        self.invariant = invariant


# ------------------------------------------------------------------------------------------------- the disk


class Batch(NamedTuple):
    base: int
    next: int
    epoch: int
    data: bytes


class ModelLog:
    """A log whose content is a tuple of batches: what is there, and what a power cut would leave for sure."""

    on_durable = None
    directory = "model"

    def __init__(self, world: World) -> None:
        self.world = world
        self.start_offset = 0
        self.start_epoch = 0
        self.snapshots = ModelSnapshots()
        self.batches: tuple[Batch, ...] = ()
        self.durable: tuple[int, int, tuple[Batch, ...]] = (0, 0, ())

    @property
    def content(self) -> tuple[int, int, tuple[Batch, ...]]:
        return self.start_offset, self.start_epoch, self.batches

    @property
    def end_offset(self) -> int:
        return self.batches[-1].next if self.batches else self.start_offset

    @property
    def last_epoch(self) -> int:
        return self.batches[-1].epoch if self.batches else 0

    def append(self, batch: bytes) -> None:
        header = read_header(batch)
        assert header.base_offset == self.end_offset
        self.world.check_append(self.last_epoch if self.batches else self.start_epoch, header, batch)
        self.batches += (Batch(header.base_offset, header.next_offset, header.leader_epoch, bytes(batch)),)

    def read(self, offset: int, max_bytes: int) -> bytes:
        found = [batch.data for batch in self.batches if batch.next > offset]
        return b"".join(found[: self.world.read_batches])

    def end_offset_for_epoch(self, epoch: int) -> tuple[int, int]:
        for batch in reversed(self.batches):
            if batch.epoch <= epoch:
                return batch.epoch, batch.next
        return 0, self.start_offset

    def truncate(self, offset: int) -> None:
        self.world.truncations += offset < self.end_offset
        self.batches = tuple(batch for batch in self.batches if batch.next <= offset)

    def reset(self, offset: int) -> None:
        self.start_offset, self.batches = offset, ()
        # For the check above only: the log itself does not know what comes before it.
        self.start_epoch = max(s.epoch for s in self.snapshots.files if s.end_offset == offset)

    def trim(self, offset: int, epoch: int) -> None:
        self.start_offset, self.start_epoch = offset, epoch
        self.batches = tuple(batch for batch in self.batches if batch.base >= offset)

    def request_flush(self) -> None: ...

    def flush(self) -> None: ...

    def note_committed(self, high_watermark: int) -> None: ...

    @property
    def possible(self) -> tuple[tuple[int, int, tuple[Batch, ...]], ...]:
        """What may be found here after a crash: all that was written, or nothing but what was synced."""
        return (self.content, self.durable)

    def crash(self, choice: int) -> None:
        """A power cut: the synced content, or that with some of what was written after it."""
        if choice == 0 or self.durable[0] != self.start_offset:
            self.start_offset, self.start_epoch, self.batches = self.durable
            return
        kept = 0
        synced = self.durable[2]
        while kept < min(len(synced), len(self.batches)) and synced[kept] == self.batches[kept]:
            kept += 1
        self.batches = self.batches[: min(len(self.batches), kept + choice - 1)]
        self.durable = self.content


class ModelSnapshots:
    """Snapshots are small: name -> bytes. All that is here is durable."""

    def __init__(self) -> None:
        self.files: dict[SnapshotId, bytes] = {}
        self.part = b""

    def latest(self) -> SnapshotId | None:
        return max(self.files, default=None)

    def ending_at(self, offset: int) -> SnapshotId | None:
        return next((snapshot for snapshot in self.files if snapshot.end_offset == offset), None)

    def size(self, snapshot: SnapshotId) -> int | None:
        found = self.files.get(snapshot)
        return None if found is None else len(found)

    def read(self, snapshot: SnapshotId, position: int, max_bytes: int) -> bytes:
        return self.files[snapshot][position : position + max_bytes]

    def begin(self, snapshot: SnapshotId) -> None:
        self.part = b""

    def append(self, snapshot: SnapshotId, position: int, data: bytes) -> None:
        assert len(self.part) == position
        self.part += data


class Member:
    """One machine: a disk that outlives crashes, and a node while it runs."""

    def __init__(self, world: World, node_id: int) -> None:
        self.node_id = node_id
        self.key = ReplicaKey(node_id, bytes([node_id]) * 16)
        self.clock = ManualClock(monotonic_ms=0)
        self.hard_state: bytes | None = None
        self.log = ModelLog(world)
        self.snapshots = ModelSnapshots()
        self.node: Node | None = None
        self.life = 0
        self.stores: tuple[tuple[int, HardState], ...] = ()
        self.flushes: tuple[tuple[Any, tuple[int, int, tuple[Batch, ...]]], ...] = ()
        self.install: SnapshotId | None = None
        self.high_watermark = 0
        self.told_epoch = 0
        self.faults = 0
        self.checked: tuple[Any, Any] = (None, None)
        """The log and the snapshot for which the voters were last compared."""
        self.state_key: int | None = None
        """A cache of the exhaustive explorer."""

    @property
    def epoch(self) -> int:
        """The epoch it is in, or comes back in."""
        if self.node is not None:
            return self.node.epoch
        return decode_hard_state(self.hard_state).leader_epoch if self.hard_state is not None else 0

    @property
    def endpoints(self) -> tuple[tuple[str, str, int], ...]:
        return ((LISTENER, f"host{self.node_id}", 9000 + self.node_id),)


class Packet(NamedTuple):
    """A message under way. `token` of a request is what its answer goes to."""

    name: str
    source: int
    target: int
    correlation_id: int
    life: int
    """Of the source when it is a request, of the target when it is an answer: a connection dies with it."""
    message: Message
    is_request: bool
    key: bytes


class Options(NamedTuple):
    """What a run has and does."""

    voters: int = 3
    observers: int = 0
    kraft_version: int = 1
    sync_store: bool = False
    """Hard states are durable at once: fewer states to explore."""
    through_wire: bool = True
    """Every message is encoded and decoded."""
    read_batches: int = 3
    node_class: type[Node] = Node
    log_class: type[ModelLog] = ModelLog
    settings: QuorumSettings = QuorumSettings(fetch_max_bytes=700)
    fixed_random: bool = False


class FirstChoice(random.Random):
    """Randomness without any, for exhaustive exploration."""

    def randrange(self, *args: Any) -> int:
        return 0

    def choice(self, seq: Any) -> Any:
        return seq[0]


# ------------------------------------------------------------------------------------------------ the world


class World:
    """The quorum and its environment."""

    def __init__(self, options: Options, seed: int = 0) -> None:
        self.options = options
        self.seed = seed
        self.read_batches = options.read_batches
        self.trace = hashlib.sha256()
        self.packets: dict[str, Packet] = {}
        self._counters: dict[str, int] = {}
        self.blocked: frozenset[tuple[int, int]] = frozenset()
        self.proposed = 0
        self.acknowledged: dict[int, bytes] = {}
        self.proposals: tuple[tuple[int, int, bytes], ...] = ()
        # What is known for ever.
        self.leaders: dict[int, int] = {}
        self.votes: dict[tuple[int, int], tuple[int, bytes]] = {}
        self.batches: dict[tuple[int, int], tuple[int, bytes]] = {}
        self.ledger: dict[int, Batch] = {}
        self.committed_end = 0
        self.committed_voters: tuple[int, frozenset[ReplicaKey]] | None = None
        self.elections = 0
        self.changes = 0
        self.installed = 0
        self.truncations = 0
        self.initial_voters = VoterSet(
            Voter(
                node_id,
                bytes([node_id]) * 16 if options.kraft_version else ZERO_UUID,
                ((LISTENER, f"host{node_id}", 9000 + node_id),),
            )
            for node_id in range(1, options.voters + 1)
        )
        self.members = {
            node_id: Member(self, node_id) for node_id in range(1, options.voters + options.observers + 1)
        }
        for member in self.members.values():
            member.log = options.log_class(self)
            member.log.snapshots = member.snapshots
            if options.kraft_version:
                content = encode_snapshot(
                    (),
                    epoch=0,
                    now_ms=0,
                    last_timestamp_ms=0,
                    control_records=voter_records(self.initial_voters),
                )
                member.snapshots.files[SnapshotId(0, 0)] = b"".join(content)
            self.start(member)

    # --- members

    def start(self, member: Member) -> None:
        """Make a node from what the disk holds."""
        member.life += 1
        history = VoterHistory(self.initial_voters)
        latest = member.snapshots.latest()
        if latest is not None:
            content = decode_snapshot(member.snapshots.files[latest])
            history.reset(latest.end_offset, content.control_records)
        log = member.log
        for batch in log.batches:
            if read_header(batch.data).is_control and (latest is None or batch.base >= latest.end_offset):
                for record in read_control_batch(batch.data):
                    history.add(record.offset, record)
        rng: random.Random = (
            FirstChoice()
            if self.options.fixed_random
            else random.Random(f"{self.seed}/{member.node_id}/{member.life}")
        )
        member.high_watermark = 0
        member.stores = member.flushes = ()
        member.install = None
        member.node = self.options.node_class(
            member.key,
            CLUSTER,
            decode_hard_state(member.hard_state) if member.hard_state is not None else None,
            history,
            log=log,
            snapshots=member.snapshots,
            clock=member.clock,
            rng=rng,
            settings=self.options.settings,
            endpoints=member.endpoints,
            bootstrap=[("host1", 9001)],
        )
        self.pump(member)

    def crash(self, member: Member, power: int) -> None:
        """`power` 0: the process is killed, the machine goes on. Else a power cut, and what survives of it."""
        if member.node is None:
            return
        member.faults += member.node.faults
        member.node = None
        if member.stores and power % 2:
            # Its rename was done, and perhaps made durable.
            member.hard_state = encode_hard_state(member.stores[0][1])
        if power:
            member.log.crash(power - 1)
        member.stores = member.flushes = ()
        member.install = None

    # --- actions

    def apply(self, action: Action) -> None:
        """Do one action, and check."""
        self.trace.update(repr(action).encode())
        getattr(self, f"_do_{action[0]}")(*action[1:])

    def _running(self, node_id: int) -> Member | None:
        member = self.members[node_id]
        return member if member.node is not None else None

    def _do_deliver(self, name: str, keep: bool = False) -> None:
        packet = self._packet(name)
        if packet is None:
            return
        if not keep:
            del self.packets[packet.name]
        member = self._running(packet.target)
        if (packet.source, packet.target) in self.blocked:
            self._connection_lost(packet)
            return
        if member is None or member.node is None:
            self._connection_lost(packet)
            return
        if packet.is_request:
            token = (packet.source, packet.correlation_id, packet.life)
            if isinstance(packet.message, ApiVersionsRequest):
                answer = ApiVersionsResponse(
                    supported_features=[
                        SupportedFeatureKey(name="kraft.version", min_version=0, max_version=1)
                    ]
                )
                self._send_reply(member, Reply(token, answer))
            else:
                member.node.request(token, packet.message)
                if isinstance(packet.message, FetchRequest):
                    self.check_beliefs(member)
        elif packet.life == member.life:
            member.node.response(packet.source, packet.correlation_id, packet.message)
        self.pump(member)

    def _connection_lost(self, packet: Packet) -> None:
        """Its sender learns of it by and by; here: by its timeout."""

    def _packet(self, name: str) -> Packet | None:
        """The message of that name; in a shortened schedule, where numbers differ, the oldest of its kind."""
        packet = self.packets.get(name)
        if packet is None:
            label = name.rpartition(" ")[0] + " "
            packet = next((found for other, found in self.packets.items() if other.startswith(label)), None)
        return packet

    def _do_drop(self, name: str) -> None:
        packet = self._packet(name)
        if packet is not None:
            del self.packets[packet.name]

    def _do_fail(self, name: str) -> None:
        """The connection of a request breaks, which its sender learns at once."""
        packet = self._packet(name)
        if packet is None or not packet.is_request:
            return
        del self.packets[packet.name]
        member = self._running(packet.source)
        if member is not None and member.node is not None and member.life == packet.life:
            member.node.failed(packet.target, packet.correlation_id)
            self.pump(member)

    def _do_store(self, node_id: int) -> None:
        member = self._running(node_id)
        if member is None or member.node is None or not member.stores:
            return
        (version, state), member.stores = member.stores[0], member.stores[1:]
        member.hard_state = encode_hard_state(state)
        member.node.stored(version)
        self.pump(member)

    def _do_flush(self, node_id: int) -> None:
        member = self._running(node_id)
        if member is None or member.node is None or not member.flushes:
            return
        (flush, content), member.flushes = member.flushes[0], member.flushes[1:]
        member.log.durable = content
        member.node.flushed(flush)
        self.pump(member)

    def _do_install(self, node_id: int) -> None:
        member = self._running(node_id)
        if member is None or member.node is None or member.install is None:
            return
        snapshot, member.install = member.install, None
        data = member.snapshots.files.get(snapshot, member.snapshots.part)
        content = decode_snapshot(data)
        self.check_snapshot(member, snapshot, content.values)
        member.snapshots.files[snapshot] = data
        self.installed += 1
        member.node.snapshot_installed(snapshot, content.control_records)
        log = member.log
        if log.start_offset < snapshot.end_offset and not holds(log.content, snapshot):
            raise Violation(
                "snapshots", f"the log of {node_id} goes on after another history than {snapshot}"
            )
        self.pump(member)

    def _do_time(self, node_id: int, milliseconds: int) -> None:
        member = self.members[node_id]
        member.clock.advance(milliseconds)
        if member.node is not None:
            member.node.tick()
            self.pump(member)

    def _do_crash(self, node_id: int, power: int) -> None:
        self.crash(self.members[node_id], power)

    def _do_start(self, node_id: int) -> None:
        member = self.members[node_id]
        if member.node is None:
            self.start(member)

    def _do_propose(self, node_id: int) -> None:
        member = self._running(node_id)
        if member is None or member.node is None or not member.node.is_leader:
            return
        self.proposed += 1
        value = b"value %d" % self.proposed
        base, _ = member.node.propose([value])
        self.proposals += ((member.node.epoch, base, value),)
        self.pump(member)

    def _do_cut(self, source: int, target: int) -> None:
        self.blocked |= {(source, target)}

    def _do_isolate(self, node_id: int) -> None:
        """Cut off one member, and heal what was cut before."""
        others = [other for other in self.members if other != node_id]
        self.blocked = frozenset(pair for other in others for pair in ((node_id, other), (other, node_id)))

    def _do_heal(self) -> None:
        self.blocked = frozenset()

    def _do_snapshot(self, node_id: int, keep: int = 1) -> None:
        """Write a snapshot of what is committed, and drop the log below it, or below the one before."""
        member = self._running(node_id)
        if member is None or member.node is None:
            return
        node, log = member.node, member.log
        end = node.high_watermark
        ends = [batch for batch in log.batches if batch.next == end]
        if not ends or end <= log.start_offset:
            return
        snapshot = SnapshotId(end, ends[0].epoch)
        if snapshot in member.snapshots.files:
            return
        level, voters = node.history.at(end)
        controls = voter_records(voters, level) if voters is not None else ()
        content = encode_snapshot(
            [b"state %d %s" % (end, self.state_at(end))],
            epoch=snapshot.epoch,
            now_ms=0,
            last_timestamp_ms=0,
            control_records=controls,
        )
        member.snapshots.files[snapshot] = b"".join(content)
        names = sorted(member.snapshots.files)
        for old in names[:-keep]:
            del member.snapshots.files[old]
        first = names[-keep:][0]
        if first.end_offset > log.start_offset:
            log.trim(first.end_offset, first.epoch)
            # Whether the removal of old segments survives a power cut makes no difference here.
            durable_start, _, durable = log.durable
            if durable_start < first.end_offset and self._end_of(log.durable) >= first.end_offset:
                kept = tuple(batch for batch in durable if batch.base >= first.end_offset)
                log.durable = (first.end_offset, first.epoch, kept)
        node.history.truncate_from_start(first.end_offset)
        self.pump(member)

    @staticmethod
    def _end_of(content: tuple[int, int, tuple[Batch, ...]]) -> int:
        return content[2][-1].next if content[2] else content[0]

    def _do_resign(self, node_id: int) -> None:
        member = self._running(node_id)
        if member is not None and member.node is not None:
            member.node.resign()
            self.pump(member)

    def _do_add(self, node_id: int, voter_id: int) -> None:
        """An administrator asks `node_id` to add a voter."""
        member = self._running(node_id)
        if member is None or member.node is None:
            return
        voter = self.members[voter_id]
        request = AddRaftVoterRequest(
            cluster_id=CLUSTER,
            voter_id=voter_id,
            voter_directory_id=voter.key.directory_id,
            listeners=[Listener(name=name, host=host, port=port) for name, host, port in voter.endpoints],
        )
        member.node.request(None, request)
        self.pump(member)

    def _do_remove(self, node_id: int, voter_id: int) -> None:
        member = self._running(node_id)
        if member is None or member.node is None:
            return
        request = RemoveRaftVoterRequest(
            cluster_id=CLUSTER, voter_id=voter_id, voter_directory_id=self.members[voter_id].key.directory_id
        )
        member.node.request(None, request)
        self.pump(member)

    # --- outputs

    def pump(self, member: Member) -> None:
        """Take what the node has to say, and check it."""
        while True:
            node = member.node
            assert node is not None
            ready = node.take_ready()
            if ready.flush is not None:
                member.flushes += ((ready.flush, member.log.content),)
            if ready.install is not None:
                member.install = ready.install
            for message in ready.messages:
                if isinstance(message, Send):
                    self._send_request(member, message)
                else:
                    self._send_reply(member, message)
            self.check_member(member, ready.high_watermark)
            if ready.hard_state is None:
                return
            if not self.options.sync_store:
                member.stores += ((ready.hard_state_version, ready.hard_state),)
                return
            member.hard_state = encode_hard_state(ready.hard_state)
            node.stored(ready.hard_state_version)

    def _send_request(self, member: Member, send: Send) -> None:
        node_id = send.node_id if send.node_id > 0 else 1
        self.check_send(member, send.message)
        # The bootstrap address is that of member 1; its answers are those of the address asked.
        self._put(member.node_id, node_id, send.correlation_id, member.life, send.message, True, send.node_id)

    def _send_reply(self, member: Member, reply: Reply) -> None:
        if reply.token is None:
            return
        source, correlation_id, life = reply.token  # type: ignore[misc]
        self.check_reply(member, source, reply.message)
        self._put(member.node_id, source, correlation_id, life, reply.message, False, member.node_id)

    def _put(
        self,
        source: int,
        target: int,
        correlation_id: int,
        life: int,
        message: Message,
        is_request: bool,
        address: int,
    ) -> None:
        if target not in self.members or source == target:
            return
        kind = type(message).__name__
        encoded = codec.encode(message, type(message).VERSIONS[1])
        if self.options.through_wire:
            message = codec.decode(type(message), type(message).VERSIONS[1], encoded)[0]
        label = f"{source}>{target} {kind}"
        count = self._counters[label] = self._counters.get(label, 0) + 1
        name = f"{label} {count}"
        if isinstance(message, FetchResponse) and address != source:
            source = address
        key = f"{label} {life == self.members[target if not is_request else source].life}".encode() + encoded
        self.packets[name] = Packet(name, source, target, correlation_id, life, message, is_request, key)
        self.trace.update(name.encode() + encoded)

    # --- what must hold

    def check_append(self, previous_epoch: int, header: Any, batch: bytes) -> None:
        """Log matching: an offset and epoch are one batch, after one and the same history."""
        key = (header.base_offset, header.leader_epoch)
        known = self.batches.setdefault(key, (previous_epoch, batch))
        if known[1] != batch:
            raise Violation("log matching", f"two batches at offset {key[0]} in epoch {key[1]}")
        if known[0] != previous_epoch:
            raise Violation(
                "log matching",
                f"the batch at {key[0]} of epoch {key[1]} follows epoch {known[0]} here and {previous_epoch} there",
            )

    def check_send(self, member: Member, message: Message) -> None:
        """What a request promises must be durable, and a vote for oneself is a vote."""
        if isinstance(message, FetchRequest):
            partition = message.topics[0].partitions[0]
            self._check_told(member, partition.current_leader_epoch)
            told = [batch for batch in member.log.batches if batch.next == partition.fetch_offset]
            missing = self._end_of(member.log.durable) < partition.fetch_offset or any(
                batch not in member.log.durable[2] for batch in told
            )
            if missing and not self._replaced(member):
                raise Violation(
                    "durable fetch offset",
                    f"member {member.node_id} fetches from {partition.fetch_offset}, "
                    f"durable is {self._end_of(member.log.durable)}, or others than it has told",
                )
        elif isinstance(message, VoteRequest):
            partition = message.topics[0].partitions[0]
            self._check_told(member, partition.replica_epoch)
            if not partition.pre_vote:
                self._check_vote(member, partition.replica_epoch, member.key)

    def _replaced(self, member: Member) -> bool:
        """Its snapshot holds what the log has lost."""
        latest = member.snapshots.latest()
        return latest is not None and latest.end_offset >= member.log.end_offset

    def check_reply(self, member: Member, target: int, message: Message) -> None:
        if isinstance(message, VoteResponse) and message.topics:
            answer = message.topics[0].partitions[0]
            self._check_told(member, answer.leader_epoch)
            node = member.node
            assert node is not None
            if answer.vote_granted and node.voted.node_id == target and node.epoch == answer.leader_epoch:
                state = decode_hard_state(member.hard_state) if member.hard_state else HardState()
                if (state.voted_id, state.leader_epoch) == (target, answer.leader_epoch):
                    self._check_vote(member, answer.leader_epoch, node.voted)

    def _check_told(self, member: Member, epoch: int) -> None:
        """An epoch that others hear of is durable, and does not go back."""
        state = decode_hard_state(member.hard_state) if member.hard_state else HardState()
        if epoch > max(state.leader_epoch, 0):
            raise Violation(
                "durable epoch",
                f"member {member.node_id} tells epoch {epoch}, stored is {state.leader_epoch}",
            )
        member.told_epoch = max(member.told_epoch, epoch)

    def _check_vote(self, member: Member, epoch: int, candidate: ReplicaKey) -> None:
        state = decode_hard_state(member.hard_state) if member.hard_state else HardState()
        if state.leader_epoch == epoch and state.voted_id != candidate.node_id:
            raise Violation("vote durability", f"member {member.node_id} votes in {epoch}, stored is {state}")
        known = self.votes.setdefault((member.node_id, epoch), (candidate.node_id, candidate.directory_id))
        if known[0] != candidate.node_id:
            raise Violation(
                "vote durability",
                f"member {member.node_id} votes for {known[0]} and for {candidate.node_id} in epoch {epoch}",
            )

    def check_member(self, member: Member, high_watermark: int) -> None:
        """After every step of a node."""
        node = member.node
        assert node is not None
        if node.faults:
            raise Violation("no faults", f"member {member.node_id}: {node.last_fault}")
        if node.epoch < member.told_epoch:
            raise Violation(
                "epochs", f"member {member.node_id} went from {member.told_epoch} to {node.epoch}"
            )
        if node.is_leader:
            first = self.leaders.get(node.epoch)
            if first is None:
                self.leaders[node.epoch] = member.node_id
                self.elections += 1
                self._check_complete(member)
            elif first != member.node_id:
                raise Violation("election safety", f"{first} and {member.node_id} lead epoch {node.epoch}")
        if high_watermark < member.high_watermark:
            raise Violation(
                "high watermark", f"member {member.node_id}: {member.high_watermark} -> {high_watermark}"
            )
        if high_watermark > member.high_watermark:
            committed = len(self.ledger)
            self._check_committed(member, high_watermark)
            member.high_watermark = high_watermark
            if len(self.ledger) > committed:
                self.check_electable()
        now = (member.log.batches, member.snapshots.latest())
        if member.checked[0] is not now[0] or member.checked[1] != now[1]:
            member.checked = now
            stated = self.stated_voters(member, member.log.content)
            if node.voters != stated:
                raise Violation(
                    "voters", f"member {member.node_id} counts {node.voters.ids}, its log says {stated.ids}"
                )

    def stated_voters(self, member: Member, content: tuple[int, int, tuple[Batch, ...]]) -> VoterSet:
        """Who votes, by the newest record in a log, or else in the snapshot before it."""
        latest = member.snapshots.latest()
        end = 0
        if latest is not None:
            end = latest.end_offset
            if content[0] < end and not holds(content, latest):
                content = (end, latest.epoch, ())
        for batch in reversed(content[2]):
            if batch.base >= end and (found := _voters_of(batch.data)) is not None:
                return found
        found = None if latest is None else _voters_of_snapshot(member.snapshots.files[latest])
        return self.initial_voters if found is None else found

    def check_beliefs(self, member: Member) -> None:
        """What a leader counts for a voter is true: the voter has entered the epoch, and while it stays there it
        has everything below the offset durably."""
        node = member.node
        if node is None or node.leader is None or not node.leader.active:
            return
        for replica in node.leader.voters_by_id.values():
            voter = self.members[replica.key.node_id]
            if voter is member or replica.end_offset < 0 or voter.epoch > node.epoch:
                continue
            if voter.epoch < node.epoch:
                raise Violation(
                    "fencing",
                    f"leader {member.node_id} of epoch {node.epoch} counts {voter.node_id}, which is in {voter.epoch}",
                )
            last = next((b for b in reversed(member.log.batches) if b.next <= replica.end_offset), None)
            latest = voter.snapshots.latest()
            covered = max(voter.log.start_offset, latest.end_offset if latest is not None else 0)
            if last is not None and last.next > covered and last not in voter.log.durable[2]:
                raise Violation(
                    "beliefs",
                    f"leader {member.node_id} counts {replica.end_offset} for {voter.node_id}, "
                    f"which has not the batch at {last.base} of epoch {last.epoch}",
                )

    def check_electable(self) -> None:
        """Whoever could win an election now, whatever the next crashes take, has everything that is committed."""
        newest = self.ledger[max(self.ledger)]
        ends = {}
        for member in self.members.values():
            latest = member.snapshots.latest()
            least = (latest.epoch, latest.end_offset) if latest is not None else (0, 0)
            ends[member.node_id] = [max(least, _log_end(content)) for content in member.log.possible]
        for member in self.members.values():
            for content, end in zip(member.log.possible, ends[member.node_id], strict=True):
                if content[0] >= newest.next or newest in content[2] or self._covers(member, newest):
                    continue
                voters = self.stated_voters(member, content)
                granting = sum(id_ == member.node_id or min(ends[id_]) <= end for id_ in voters.ids)
                if voters.has(member.key) and granting >= voters.majority:
                    raise Violation(
                        "electable",
                        f"{member.node_id} can be elected by {granting} of {voters.ids} without the batch at "
                        f"{newest.base} of epoch {newest.epoch}, which is committed",
                    )

    def _covers(self, member: Member, batch: Batch) -> bool:
        latest = member.snapshots.latest()
        return latest is not None and latest.end_offset >= batch.next

    def _check_complete(self, member: Member) -> None:
        """Leader completeness: a leader has everything that was committed in the epochs before its own."""
        node, log = member.node, member.log
        assert node is not None
        there = {batch.base: batch for batch in log.batches}
        for base, batch in self.ledger.items():
            if batch.epoch < node.epoch and base >= log.start_offset and there.get(base) != batch:
                raise Violation(
                    "leader completeness",
                    f"leader {member.node_id} of epoch {node.epoch} lacks the batch at {base} of epoch {batch.epoch}",
                )

    def _check_committed(self, member: Member, high_watermark: int) -> None:
        """State machine safety, and that a majority has it durably when it is told for the first time."""
        node = member.node
        assert node is not None
        if high_watermark > member.log.end_offset:
            raise Violation("high watermark", f"{high_watermark} is above the log of {member.node_id}")
        for batch in member.log.batches:
            if batch.next <= member.high_watermark or batch.base >= high_watermark:
                continue
            known = self.ledger.get(batch.base)
            if known is None:
                self.ledger[batch.base] = batch
                self._check_durable(node, batch)
                self._note_voters(batch)
            elif known != batch:
                raise Violation(
                    "state machine safety",
                    f"offset {batch.base}: epoch {known.epoch} was committed, now epoch {batch.epoch}",
                )
        self.committed_end = max(self.committed_end, high_watermark)
        waiting = []
        for epoch, base, value in self.proposals:
            known = self.ledger.get(base)
            if known is None:
                waiting.append((epoch, base, value))
            elif known.epoch == epoch:
                self.acknowledged[base] = value
        self.proposals = tuple(waiting)

    def _check_durable(self, node: Node, batch: Batch) -> None:
        holders = 0
        for voter in node.voters:
            other = self.members[voter.voter_id]
            latest = other.snapshots.latest()
            covered = other.log.durable[0] >= batch.next or (
                latest is not None and latest.end_offset >= batch.next
            )
            holders += covered or batch in other.log.durable[2]
        if holders < node.voters.majority:
            raise Violation(
                "durable majority",
                f"offset {batch.base} is committed by {node.node_id} with {holders} durable copies "
                f"among the voters {node.voters.ids}",
            )

    def _note_voters(self, batch: Batch) -> None:
        """Committed sets differ by one voter at most."""
        if not read_header(batch.data).is_control:
            return
        for record in read_control_batch(batch.data):
            if record.type == ControlType.KRAFT_VOTERS:
                history = VoterHistory(VoterSet())
                history.add(record.offset, record)
                keys = frozenset(voter.key for voter in history.voters)
                before = self.committed_voters
                if before is not None and len(before[1] ^ keys) > 1 and record.offset > before[0]:
                    raise Violation("voter changes", f"from {sorted(before[1])} to {sorted(keys)}")
                if before is None or record.offset > before[0]:
                    self.committed_voters = (record.offset, keys)
                    self.changes += 1

    def state_at(self, end: int) -> bytes:
        """What the state machine has become by replaying everything below `end`."""
        digest = hashlib.sha256()
        for base in sorted(self.ledger):
            batch = self.ledger[base]
            if batch.next <= end:
                digest.update(batch.data)
        return digest.hexdigest()[:16].encode()

    def check_snapshot(self, member: Member, snapshot: SnapshotId, values: list[bytes]) -> None:
        if values and values[0] != b"state %d %s" % (snapshot.end_offset, self.state_at(snapshot.end_offset)):
            raise Violation("snapshots", f"{snapshot} at member {member.node_id} holds another state")

    # --- the end

    def settle(self, rounds: int = 400) -> None:
        """Heal everything and let fair time pass: a leader must come, and everybody must have the same log."""
        self.blocked = frozenset()
        for member in self.members.values():
            self._do_start(member.node_id)
        wanted = None
        rounds += 6 * max(member.log.end_offset for member in self.members.values())
        for number in range(rounds):
            for node_id in self.members:
                while self.members[node_id].stores or self.members[node_id].flushes:
                    self.apply(("store", node_id))
                    self.apply(("flush", node_id))
                self.apply(("install", node_id))
            for name in list(self.packets):
                self.apply(("deliver", name))
            for node_id in self.members:
                self.apply(("time", node_id, 20 + (number * node_id) % 31))
            leader = self.leader()
            if leader is None:
                continue
            if wanted is None or wanted[0] != leader.node_id:
                self.apply(("propose", leader.node_id))
                wanted = (leader.node_id, leader.log.end_offset)
            if self._caught_up(leader, wanted[1]):
                break
        else:
            raise Violation("liveness", f"no common log after {rounds} rounds: {self.describe()}")
        for member in self.members.values():
            for batch in member.log.batches:
                if self.ledger.get(batch.base, batch) != batch:
                    raise Violation("logs", f"member {member.node_id} has another batch at {batch.base}")
        for base, value in self.acknowledged.items():
            batch = self.ledger.get(base)
            if batch is None or value not in {record.value for record in iter_records(batch.data)}:
                raise Violation("acknowledged", f"the record acknowledged at {base} is gone")

    def leader(self) -> Member | None:
        """The one with the highest epoch."""
        leading = [m for m in self.members.values() if m.node is not None and m.node.is_leader]
        return max(leading, key=lambda m: m.node.epoch, default=None)  # type: ignore[union-attr]

    def _caught_up(self, leader: Member, end: int) -> bool:
        for member in self.members.values():
            assert member.node is not None
            if member.node.high_watermark < end or member.log.end_offset != leader.log.end_offset:
                return False
        return True

    def describe(self) -> str:
        return "; ".join(
            f"{m.node_id}: down"
            if m.node is None
            else f"{m.node_id}: {m.node.role.value} epoch {m.node.epoch} leader {m.node.leader_id} "
            f"end {m.log.end_offset} hw {m.node.high_watermark} voters {m.node.voters.ids}"
            for m in self.members.values()
        )


def holds(content: tuple[int, int, tuple[Batch, ...]], snapshot: SnapshotId) -> bool:
    """Whether a log has what the snapshot ends with."""
    return any(batch.next == snapshot.end_offset and batch.epoch == snapshot.epoch for batch in content[2])


def _log_end(content: tuple[int, int, tuple[Batch, ...]]) -> tuple[int, int]:
    """(epoch of the last batch, end offset)."""
    return (content[2][-1].epoch, content[2][-1].next) if content[2] else (content[1], content[0])


@functools.lru_cache(maxsize=10_000)
def _voters_of(data: bytes) -> VoterSet | None:
    """The set that a batch states."""
    if not read_header(data).is_control:
        return None
    return _newest_set(read_control_batch(data))


@functools.lru_cache(maxsize=1_000)
def _voters_of_snapshot(data: bytes) -> VoterSet | None:
    return _newest_set(decode_snapshot(data).control_records)


def _newest_set(records: Iterable[ControlRecord]) -> VoterSet | None:
    history = VoterHistory(VoterSet())
    for record in records:
        history.add(0, record)
    return history.voters if history.voters_offset >= 0 else None


def control_records(log: ModelLog) -> list[ControlRecord]:
    """All control records of a log."""
    return [r for b in log.batches if read_header(b.data).is_control for r in read_control_batch(b.data)]


__all__ = ["Action", "Member", "Options", "Role", "Violation", "World"]

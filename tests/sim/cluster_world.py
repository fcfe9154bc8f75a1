"""A whole simulated cluster: brokers, clients, what goes wrong, and what must hold all the same.

In: a seed. Out: a `Result`, or `Failure` with what is needed to see it again. The seed draws which features and
faults this run has (a swarm: no run has all of them), then the faults with their moments; each client draws its
own operations. What must hold: the same seed and the same list of faults give the same trace, on every machine.
"""

from __future__ import annotations

import gc
import random
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from typing import Any

from pybroker.coordinator.partitioning import partition_for
from tests.checker.analysis import Analysis
from tests.checker.history import FAIL, INFO, OK, Operation, Poll, Send
from tests.sim.cluster_check import Ledger, Watch, check_rest, memory_of, unsettled
from tests.sim.cluster_classic import PROPERTIES as CLASSIC_PROPERTIES
from tests.sim.cluster_classic import ClassicMember, Generations
from tests.sim.cluster_cleaning import COMPACTED, SHORTENED, Cleaning
from tests.sim.cluster_cleaning import PROPERTIES as CLEANING_PROPERTIES
from tests.sim.cluster_clients import Admin, Consumer, Key, Lost, Producer, Session, Violation
from tests.sim.cluster_groups import PROPERTIES as MEMBER_PROPERTIES
from tests.sim.cluster_groups import Member, Ownership
from tests.sim.cluster_leaks import QUIET_MS, UNANSWERED_MS, check_quiet, check_stopped
from tests.sim.cluster_net import Address, Network, Weather
from tests.sim.cluster_node import CONTROLLER_PORT, PORT, Node, Process
from tests.sim.cluster_time import Scheduler, Task

# (milliseconds, kind, node, how long in milliseconds, a number for chances)
Fault = tuple[int, str, int, int, int]

# What ends a broker without a mark of a clean end.
_UNCLEAN = ("kill", "kill_all", "crash_kill", "power_one", "power", "crash_power", "lose_disk")
# How long a cluster may take to serve everything again after everything is healed; and as long as its clocks differ
# from the latest that one has shown, for transactions time out by them.
LIVENESS_MS = 90_000


@dataclass(frozen=True)
class Options:
    """What one run is made of."""

    seed: int
    nodes: int = 1
    load_ms: int = 4_000
    workers: int = 3
    topics: int = 2
    durability: str = "os"
    transactions: float = 0.5
    transaction_version: int = 2
    offsets_in_transactions: bool = True
    sessions: bool = True
    segment_bytes: int = 0
    compression: int = 0
    churn: bool = False
    client_crashes: bool = False
    shared_id: bool = False
    produce_version: int = 12
    fetch_version: int = 17
    faults: tuple[str, ...] = ("kill",)
    fault_every_ms: int = 1_200
    late_one_in: int = 200
    disk_slow: bool = False
    pause_between_ms: int = 60
    request_ms: int = 4_000
    operation_ms: int = 6_000
    transaction_ms: int = 4_000
    # Somebody moves partitions, elects leaders and changes configurations.
    moves: bool = False
    # Members of one group of the consumer protocol.
    members: int = 0
    # Members of one group of the classic protocol.
    classic_members: int = 0
    # A compacted topic and one that is shortened, with their own clients; internal topics in small segments.
    cleaning: bool = False
    # Bytes of metadata after which a snapshot is taken, 0: hardly ever; who is behind has to fetch it.
    snapshot_bytes: int = 0

    @property
    def voters(self) -> int:
        """How many nodes are controllers too: an even node is a broker only."""
        return self.nodes - (self.nodes > 2 and self.nodes % 2 == 0)


def options_of(seed: int, nodes: int = 1) -> Options:
    """The swarm: what a seed has."""
    rng = random.Random(f"options {seed}")
    durability = rng.choice(("os", "fsync"))
    possible = [
        "kill",
        "kill",
        "crash_kill",
        "pause",
        "cut",
        "cut_one_way",
        "drop",
        "slow_disk",
        "slow_link",
        "clock",
    ]
    if durability == "fsync":
        possible += ["power", "power", "crash_power"]
    faults = tuple(kind for kind in possible if rng.random() < 0.35)
    more = random.Random(f"cluster {seed}")
    if nodes > 1:
        of_clusters = (
            "kill_controller",
            "kill_leader",
            "isolate_controller",
            "isolate_leader",
            "stop",
            "swizzle",
        )
        faults += tuple(kind for kind in (*of_clusters, "kill_all") if more.random() < 0.25)
        if durability == "os" and more.random() < 0.3:
            faults += ("power_one",)
        nodes += more.choice((0, 0, 0, 1))
        if more.random() < 0.2:
            faults += ("lose_disk",)
    # Busy clients have less time: what a seed costs goes by operations, and so does what it sees.
    pause_between_ms, load_ms = rng.choice(((5, 2_500), (40, 3_500), (150, 5_000)))
    return Options(
        seed,
        nodes=nodes,
        load_ms=load_ms,
        workers=rng.randint(1, 4),
        topics=rng.randint(1, 2),
        durability=durability,
        transactions=rng.choice((0.0, 0.5, 1.0)),
        transaction_version=rng.choice((1, 2, 2)),
        offsets_in_transactions=rng.random() < 0.7,
        sessions=rng.random() < 0.7,
        segment_bytes=rng.choice((0, 0, 1_024, 4_096)),
        compression=rng.choice((0, 0, 0, 1, 4)),
        churn=rng.random() < 0.3,
        client_crashes=rng.random() < 0.3,
        shared_id=rng.random() < 0.15,
        produce_version=rng.choice((9, 11, 12, 13)),
        fetch_version=rng.choice((12, 13, 17)),
        faults=faults,
        fault_every_ms=rng.choice((350, 700, 1_400)),
        late_one_in=rng.choice((20, 200, 2_000)),
        disk_slow=rng.random() < 0.2,
        pause_between_ms=pause_between_ms,
        request_ms=rng.choice((600, 1_500, 4_000)),
        operation_ms=rng.choice((2_000, 6_000)),
        transaction_ms=rng.choice((3_000, 10_000)),
        moves=nodes > 1 and more.random() < 0.35,
        members=more.choice((0, 0, 2, 3)),
        classic_members=random.Random(f"classic {seed}").choice((0, 0, 0, 2, 3)),
        cleaning=random.Random(f"cleaning {seed}").random() < 0.2,
        snapshot_bytes=random.Random(f"snapshots {seed}").choice((0, 0, 400, 3_000)),
    )


def faults_of(options: Options) -> list[Fault]:
    """When what goes wrong."""
    rng = random.Random(f"faults {options.seed}")
    found: list[Fault] = []
    if not options.faults:
        return found
    at = 300.0
    while True:
        at += rng.expovariate(1.0) * options.fault_every_ms
        if at >= options.load_ms:
            return found
        kind = rng.choice(options.faults)
        length = rng.choice((60, 400, 1_500))
        found.append((int(at), kind, rng.randint(1, options.nodes), length, rng.getrandbits(30)))


@dataclass
class Result:
    """What was done in one run."""

    trace: int
    virtual_ms: float
    events: int
    steps: int
    operations: dict[str, int]
    faults: dict[str, int]
    acked: int
    read: int
    compared: int
    images: int
    requests: int
    # Partitions that members of the group were given.
    owned: int
    # Of compaction.
    passes: int
    slowest_recovery_ms: float


class Failure(Exception):
    """Something that must not happen has happened."""

    def __init__(
        self, options: Options, faults: list[Fault], error: BaseException, recent: list[str]
    ) -> None:
        super().__init__(f"seed {options.seed}, {options.nodes} nodes: {error}")
        self.options = options
        self.faults = faults
        self.error = error
        self.recent = recent


@dataclass
class _Group:
    """The offsets that one worker committed: the sure ones, and those of which nobody knows."""

    name: str
    sure: dict[Key, int] = field(default_factory=dict)
    maybe: dict[Key, set[int]] = field(default_factory=dict)


class World:
    """One run."""

    def __init__(
        self, options: Options, faults: list[Fault] | None = None, *, keep_all: bool = False
    ) -> None:
        self.options = options
        self.faults = faults_of(options) if faults is None else faults
        self.scheduler = Scheduler()
        if keep_all:
            self.scheduler.keep_all = []
        self.seed = str(options.seed)
        self.network = Network(
            self.scheduler,
            random.Random(f"network {options.seed}"),
            Weather(late_one_in=options.late_one_in),
        )
        self.watch = Watch()
        self.nodes = [
            Node(
                self.scheduler,
                self.network,
                number,
                self._properties(number),
                self.seed,
                self.watch.step,
            )
            for number in range(1, options.nodes + 1)
        ]
        for node in self.nodes:
            node.on_stopped = check_stopped
            node.eager_ticks = options.cleaning
        if options.disk_slow:
            for node in self.nodes:
                node.disk_ms = (2.0, 15.0)
        self.bootstrap: list[Address] = [(node.host, PORT) for node in self.nodes]
        self.keys: list[Key] = [
            (f"t{topic}", partition) for topic in range(options.topics) for partition in (0, 1)
        ]
        self.ledger = Ledger()
        self.ownership = Ownership()
        self.generations = Generations()
        self.operations: list[Operation] = []
        self.counts: dict[str, int] = {}
        self.sessions: list[Session] = []
        self.groups: list[_Group] = []
        self.loading = True
        self._value = 0
        self._worker_number = 0
        self._workers: dict[int, tuple[Session, Task]] = {}
        # Churned topics -> whether they must be there (None: nobody knows).
        self.churned: dict[str, bool | None] = {}
        # How far the clock was wrong that has shown the latest time.
        self._latest_skew_ms = 0
        # A node lost its unsynced bytes and may not have them back yet.
        self._fragile = False
        self._churner: Admin | None = None
        self.cleaning: Cleaning | None = None
        if options.cleaning:
            rng = random.Random(f"cleaning topics {options.seed}")
            self.cleaning = Cleaning(
                rng, transactional=options.transactions > 0, version=options.produce_version
            )

    def _properties(self, number: int) -> dict[str, str]:
        options = self.options
        several: dict[str, str] = {}
        if options.nodes > 1:
            voters = range(1, options.voters + 1)
            several = {
                "listeners": f"PLAINTEXT://10.0.0.{number}:{PORT},CONTROLLER://10.0.0.{number}:{CONTROLLER_PORT}",
                "controller.listener.names": "CONTROLLER",
                "controller.quorum.voters": ",".join(
                    f"{voter}@10.0.0.{voter}:{CONTROLLER_PORT}" for voter in voters
                ),
                "broker.session.timeout.ms": "900",
                "broker.heartbeat.interval.ms": "200",
                "replica.lag.time.max.ms": "900",
                "replica.fetch.wait.max.ms": "200",
                "min.insync.replicas": "2",
                "controller.quorum.election.timeout.ms": "400",
                "controller.quorum.fetch.timeout.ms": "600",
                "controller.quorum.request.timeout.ms": "600",
            }
            if number not in voters:
                several["process.roles"] = "broker"
                several["listeners"] = f"PLAINTEXT://10.0.0.{number}:{PORT}"
        return {
            "node.id": str(number),
            "process.roles": "broker,controller",
            "log.dirs": "/data",
            "listeners": f"PLAINTEXT://10.0.0.{number}:{PORT}",
            "pybroker.durability": options.durability,
            "auto.create.topics.enable": "false",
            "offsets.topic.num.partitions": "2",
            "offsets.topic.replication.factor": str(min(options.nodes, 3)),
            "transaction.state.log.num.partitions": "2",
            "transaction.state.log.replication.factor": str(min(options.nodes, 3)),
            "transaction.state.log.min.isr": str(min(options.nodes, 2)),
            "transaction.abort.timed.out.transaction.cleanup.interval.ms": "1000",
            "log.cleaner.dedupe.buffer.size": "2097152",
            "log.cleaner.backoff.ms": "2000",
            "log.flush.offset.checkpoint.interval.ms": "3000",
            "log.segment.delete.delay.ms": "1000",
            **(MEMBER_PROPERTIES if options.members else {}),
            **(CLASSIC_PROPERTIES if options.classic_members else {}),
            **(CLEANING_PROPERTIES if options.cleaning else {}),
            **(
                {
                    "metadata.log.max.record.bytes.between.snapshots": str(options.snapshot_bytes),
                    "metadata.max.retention.bytes": "1",
                    "internal.metadata.log.segment.bytes": "512",
                }
                if options.snapshot_bytes
                else {}
            ),
            **several,
        }

    # --- running ---

    def run(self) -> Result:
        """All of it. Failure."""
        # A third of the time would go into looking for cycles in objects that are nearly all in use.
        collecting = gc.isenabled()
        gc.disable()
        try:
            return self._run()
        except Exception as error:
            raise Failure(self.options, self.faults, error, list(self.scheduler.recent)) from error
        finally:
            if collecting:
                gc.enable()

    def _run(self) -> Result:
        scheduler = self.scheduler
        for node in self.nodes:
            node.start()
        admin = Admin(self._session("admin"))
        self._drive(self._create_topics(admin), 30_000, "topics cannot be created")
        began_ms = scheduler.now_ms
        for _ in range(self.options.workers):
            self._start_worker()
        churn = None
        if self.options.churn:
            self._churner = Admin(self._session("churn"))
            churn = Task(self._churn(self._churner))
        cleaning = [] if self.cleaning is None else self._start_cleaning(self.cleaning)
        members = [self._start_member(number) for number in range(self.options.members)]
        members += [self._start_classic(number) for number in range(self.options.classic_members)]
        mover = Task(self._move(Admin(self._session("mover")))) if self.options.moves else None
        for fault in self.faults:
            scheduler.after(fault[0], lambda fault=fault: self._fault(fault))  # type: ignore[misc]
        if self.options.client_crashes:
            scheduler.after(700.0, self._crash_client)
        scheduler.run_until(began_ms + self.options.load_ms)
        self.loading = False
        scheduler.note("all is healed")
        self._heal()
        healed_ms = scheduler.now_ms
        put_back_ms = self._latest_skew_ms - min(node.clock.skew_ms for node in self.nodes)
        limit_ms = LIVENESS_MS + put_back_ms
        deadline_ms = healed_ms + limit_ms
        tasks = [task for _, task in self._workers.values()]
        tasks += [task for task in (churn, mover, *members, *cleaning) if task is not None]
        while not all(task.finished.done for task in tasks):
            if scheduler.now_ms > deadline_ms:
                raise Violation("liveness: operations do not end")
            scheduler.run_until(scheduler.now_ms + 50.0)
        # Before that an old leader may believe that its log ends where it did.
        self._settle(deadline_ms)
        self._drive(self._final_phase(), deadline_ms - scheduler.now_ms, "not everything is readable")
        self._settle(deadline_ms)
        recovery_ms = scheduler.now_ms - healed_ms
        self._drive(self._final_groups(admin, limit_ms), limit_ms, "offsets cannot be read")
        # A transaction may have timed out meanwhile.
        self._settle(scheduler.now_ms + limit_ms)
        compared = self._check()
        if self.cleaning is not None:
            reading = self.cleaning.read_all(self._session("read all"), self.options.fetch_version)
            self._drive(reading, limit_ms, "the compacted topic is not readable")
        self._check_leaks(put_back_ms)
        if self.cleaning is not None:
            self.cleaning.check(
                [node.process for node in self.nodes if node.process is not None],
                clean_ends=not any(kind in _UNCLEAN for kind in self.counts),
                clock_jumps="clock" in self.counts,
            )
        scheduler.note(f"disks {[node.disk.trace for node in self.nodes]}")
        return Result(
            trace=scheduler.trace,
            virtual_ms=scheduler.now_ms,
            events=scheduler.events,
            steps=self.watch.steps,
            operations=self._operation_counts(),
            faults=dict(self.counts),
            acked=self.ledger.acked_count,
            read=self.ledger.read_count,
            compared=compared,
            images=self.watch.images,
            requests=sum(session.calls for session in self.sessions),
            owned=self.ownership.taken + self.generations.ownership.taken,
            passes=self.cleaning.passes if self.cleaning is not None else 0,
            slowest_recovery_ms=recovery_ms,
        )

    def _operation_counts(self) -> dict[str, int]:
        found: dict[str, int] = {}
        for operation in self.operations:
            name = f"{operation.kind} {operation.outcome}"
            found[name] = found.get(name, 0) + 1
        return found

    def _drive(self, coroutine: Any, limit_ms: float, problem: str) -> None:
        """Run until a coroutine has ended."""
        task = Task(coroutine)
        end_ms = self.scheduler.now_ms + limit_ms
        while not task.finished.done:
            if self.scheduler.now_ms > end_ms:
                raise Violation(f"liveness: {problem} within {limit_ms:.0f} ms")
            self.scheduler.run_until(self.scheduler.now_ms + 20.0)

    def _session(self, name: str) -> Session:
        session = Session(self.scheduler, self.network, name, self.bootstrap, self.seed)
        session.request_timeout_ms = self.options.request_ms
        self.sessions.append(session)
        return session

    async def _create_topics(self, admin: Admin) -> None:
        options = self.options
        configs = {"min.insync.replicas": str(min(options.nodes, 2))}
        if options.segment_bytes:
            configs["internal.segment.bytes"] = str(options.segment_bytes)
        for topic in range(options.topics):
            if not await admin.create(f"t{topic}", 2, min(options.nodes, 3), 30_000.0, configs):
                raise Violation("liveness: a topic cannot be created")
        if self.cleaning is None:
            return
        for name, partitions in ((COMPACTED, 2), (SHORTENED, 1)):
            own = configs | self.cleaning.configs(name)
            if not await admin.create(name, partitions, min(options.nodes, 3), 30_000.0, own):
                raise Violation("liveness: a topic cannot be created")

    # --- faults ---

    def _fault(self, fault: Fault) -> None:
        _, kind, number, length, chance = fault
        scheduler = self.scheduler
        if kind.endswith("_controller"):
            kind, number = kind.removesuffix("_controller"), self._active_controller() or number
        elif kind.endswith("_leader"):
            kind, number = (
                kind.removesuffix("_leader"),
                self._leader_of(self.keys[chance % len(self.keys)]) or number,
            )
        node = self.nodes[number - 1]
        if self._fragile and kind in _UNCLEAN:
            # A node has lost what it had not synced: until all have it again nothing else may be lost.
            if self._unsettled():
                return
            self._fragile = False
        self.counts[kind] = self.counts.get(kind, 0) + 1
        scheduler.note(f"fault {kind} {number} {length}")
        rng = random.Random(chance)
        if kind in ("kill", "power"):
            if kind == "kill":
                node.kill()
            else:
                node.lose_power()
            scheduler.after(length, node.start)
        elif kind in ("crash_kill", "crash_power"):
            node.crash_within(kind.removeprefix("crash_"), rng.choice((rng.randrange(8), rng.randrange(80))))
            scheduler.after(length + 500.0, node.start)
        elif kind == "pause":
            node.pause()
            scheduler.after(length, node.resume)
        elif kind == "kill_all":
            for other in self.nodes:
                other.kill()
                scheduler.after(length * rng.random(), other.start)
        elif kind == "power_one":
            self._when_at_rest(node, node.lose_power, length)
        elif kind == "lose_disk":
            self._when_at_rest(node, node.lose_disk, length)
        elif kind == "stop":
            node.stop()
            scheduler.after(length + 1_500.0, node.start)
        elif kind in ("isolate", "swizzle"):
            # From the other nodes; its clients reach it. The swizzle: one after the other, and back in another order.
            links = [(other.host, node.host) for other in self.nodes if other is not node]
            links += [(destination, source) for source, destination in links]
            step = 0.0 if kind == "isolate" else 600.0 / len(links)
            for index, (source, destination) in enumerate(links):
                scheduler.after(index * step, lambda a=source, b=destination: self._cut(a, b))  # type: ignore[misc]
            last_ms = len(links) * step
            rng.shuffle(links)
            for index, (source, destination) in enumerate(links):
                scheduler.after(
                    last_ms + 2 * length + index * step,
                    lambda a=source, b=destination: self.network.mend(a, b),  # type: ignore[misc]
                )
        elif kind in ("cut", "cut_one_way"):
            others = [other.host for other in self.nodes if other is not node]
            others += [session.name for session in self.sessions]
            chosen = [other for other in others if rng.random() < 0.6]
            links = [(other, node.host) for other in chosen]
            if kind == "cut":
                links += [(node.host, other) for other in chosen]
            elif rng.random() < 0.5:
                links = [(destination, source) for source, destination in links]
            for source, destination in links:
                self.network.cut(source, destination)
            # Healed one by one, in another order than they were cut.
            rng.shuffle(links)
            for index, (source, destination) in enumerate(links):
                scheduler.after(
                    length + index * 20.0,
                    lambda a=source, b=destination: self.network.mend(a, b),  # type: ignore[misc]
                )
        elif kind == "drop":
            for session, _ in self._workers.values():
                for lane in ("produce", "fetch", "control"):
                    if rng.random() < 0.5:
                        session.drop((node.host, PORT), lane)
        elif kind == "slow_disk":
            before = node.disk_ms
            node.disk_ms = (20.0, 150.0)
            scheduler.after(length, lambda: setattr(node, "disk_ms", before))
        elif kind == "slow_link":
            for session in self.sessions:
                if rng.random() < 0.5:
                    self.network.slow_links[session.name, node.host] = rng.choice((10.0, 200.0))
                    self.network.slow_links[node.host, session.name] = rng.choice((10.0, 200.0))
            scheduler.after(length, self.network.slow_links.clear)
        elif kind == "clock":
            node.clock.skew_ms += rng.choice((-60_000, -500, 500, 5_000, 60_000))
            self._latest_skew_ms = max(self._latest_skew_ms, node.clock.skew_ms)
        else:
            raise AssertionError(f"no such fault: {kind}")

    def _when_at_rest(self, node: Node, lose: Callable[[], None], length: int, tries: int = 60) -> None:
        """Let a node lose what the others all have, as soon as they have it; and start it again."""
        if not self.loading or tries == 0:
            return
        if self._fragile or self._unsettled() or self._quorum_is_uneven():
            self.scheduler.after(10.0, lambda: self._when_at_rest(node, lose, length, tries - 1))
            return
        self._fragile = True
        self.counts["lost at rest"] = self.counts.get("lost at rest", 0) + 1
        lose()
        self.scheduler.after(length, node.start)

    def _quorum_is_uneven(self) -> bool:
        """Whether some voter does not know the leader's epoch, or has not all of its log."""
        ends = set()
        for node in self.nodes[: self.options.voters]:
            if not node.serving or node.process is None:
                return True
            quorum = node.process.broker._context.quorum.node
            ends.add((quorum.epoch, quorum.leader_id, quorum.log_end))
        return len(ends) != 1 or min(ends)[1] < 0

    def _cut(self, source: str, destination: str) -> None:
        """A planned cut, unless all has been healed meanwhile."""
        if self.loading:
            self.network.cut(source, destination)

    def _active_controller(self) -> int | None:
        """The node whose controller is active."""
        for node in self.nodes:
            process = node.process
            if process is not None and process.serving and process.broker._context.controller.active:
                return node.number
        return None

    def _leader_of(self, key: Key) -> int | None:
        for node in self.nodes:
            process = node.process
            if process is not None and process.serving:
                partition = process.broker._context.partition(*key)
                if partition is not None and partition.is_leader:
                    return node.number
        return None

    def _heal(self) -> None:
        self.network.heal()
        for node in self.nodes:
            node._crash = None
            node.resume()
            node.disk_ms = (0.1, 2.0)
            node.start()
        # What was planned as the end of a fault comes later, and finds it ended.

    def _crash_client(self) -> None:
        if not self.loading:
            return
        rng = self.network.rng
        number = rng.choice(sorted(self._workers))
        session, task = self._workers.pop(number)
        self.scheduler.note(f"client {session.name} dies")
        self.counts["client"] = self.counts.get("client", 0) + 1
        session.end()
        task.cancel()
        self._start_worker()
        self.scheduler.after(rng.random() * 2_500.0, self._crash_client)

    # --- the load ---

    def _start_worker(self) -> None:
        self._worker_number += 1
        number = self._worker_number
        session = self._session(f"w{number}")
        self._workers[number] = session, Task(Worker(self, session, number).run())

    def _start_member(self, number: int) -> Task:
        """A member that comes within the first half of the load; it leaves now and then and comes back as another."""
        session = self._session(f"m{number}")
        topics = [f"t{topic}" for topic in range(self.options.topics)]
        member = Member(session, self.ownership, topics, lambda: self.loading)

        async def run() -> None:
            await session.sleep(session.rng.random() * self.options.load_ms / 2)
            while self.loading and not await session.refresh(topics):
                await session.backoff()
            await member.run()

        return Task(run())

    def _start_classic(self, number: int) -> Task:
        session = self._session(f"c{number}")
        member = ClassicMember(
            session, self.generations, self.keys, lambda: self.loading, self._is_coordinator
        )

        async def run() -> None:
            await session.sleep(session.rng.random() * self.options.load_ms / 2)
            await member.run()

        return Task(run())

    def _is_coordinator(self, group: str, address: Address) -> bool:
        """Whether the newest metadata of any node have this broker as the coordinator of a group."""
        topic = None if self.watch.newest is None else self.watch.newest.topics.get("__consumer_offsets")
        if topic is None:
            return False
        leader = topic.partitions[partition_for(group, len(topic.partitions))].leader
        return leader > 0 and self.nodes[leader - 1].host == address[0]

    def _start_cleaning(self, cleaning: Cleaning) -> list[Task]:
        def loading() -> bool:
            return self.loading

        version = self.options.fetch_version
        return [
            Task(cleaning.write(self._session("compacting"), COMPACTED, loading)),
            Task(cleaning.write(self._session("filling"), SHORTENED, loading)),
            Task(cleaning.shrink(self._session("shrinking"), loading)),
            Task(cleaning.delete(self._session("deleting"), loading)),
            Task(cleaning.read(self._session("reading"), version, loading)),
        ]

    def next_value(self) -> int:
        self._value += 1
        return self._value

    async def _churn(self, admin: Admin) -> None:
        """Topics come and go."""
        rng = admin.session.rng
        number = 0
        while self.loading:
            await admin.session.sleep(rng.random() * 600.0)
            name = f"churn-{number}"
            deadline_ms = admin.session.now_ms + 4_000.0
            if self.churned.get(name):
                if rng.random() < 0.5:
                    self.churned[name] = None
                    if await admin.delete(name, deadline_ms):
                        self.churned[name] = False
                        number += 1
            elif name in self.churned:
                number += 1
            else:
                self.churned[name] = None
                if await admin.create(name, rng.randint(1, 3), min(self.options.nodes, 3), deadline_ms):
                    self.churned[name] = True

    async def _move(self, admin: Admin) -> None:
        """Partitions move, leaders are elected, configurations change."""
        rng = admin.session.rng
        numbers = [node.number for node in self.nodes]
        while self.loading:
            await admin.session.sleep(rng.random() * 700.0)
            key = rng.choice(self.keys)
            what = rng.randrange(4)
            if what == 0:
                await admin.elect(key)
            elif what == 1:
                name, value = rng.choice((("index.interval.bytes", "64"), ("max.message.bytes", "1000000")))
                await admin.configure(key[0], name, value)
            elif rng.random() < 0.2:
                await admin.reassign(key, None)
            else:
                await admin.reassign(key, rng.sample(numbers, min(3, len(numbers))))

    # --- the end ---

    async def _final_phase(self) -> None:
        """Read everything from the beginning, until nothing is open and all of it was read."""
        session = self._session("final")
        consumer = Consumer(session, committed=True, version=self.options.fetch_version)
        consumer.assign(dict.fromkeys(self.keys, 0))
        operation = Operation(0, "poll", OK, keys=tuple(range(len(self.keys))), final=True)
        self.operations.append(operation)
        everything: dict[Key, list[tuple[int, int]]] = {key: [] for key in self.keys}
        while True:
            found = await consumer.poll(50)
            for key, values in found.items():
                everything[key] += values
                for offset, value in values:
                    self.ledger.note_read(key, offset, value)
            if all(
                consumer.high_watermarks.get(key, -1)
                == consumer.last_stable.get(key)
                == consumer.positions[key]
                for key in self.keys
            ):
                break
        operation.steps.append(
            Poll({self.keys.index(key): values for key, values in everything.items() if values})
        )
        admin = Admin(session)
        for name, expected in self.churned.items():
            assert self._churner is not None
            if expected is None or name in self._churner.uncertain:
                continue
            # A broker may hear of it later than the client, and may send a request to the controller twice: then a
            # topic may be made again, with another id, after it was deleted.
            made = self._churner.made[name]
            end_ms = self.scheduler.now_ms + 5_000.0
            while ((there := await admin.topic_id(name)) == made) != expected:
                if there is not None and self.scheduler.now_ms > end_ms:
                    raise Violation(f"topic {name}, made as {made.hex()}, is {there.hex()}: not {expected}")
                await session.backoff()

    async def _final_groups(self, admin: Admin, limit_ms: float) -> None:
        for group in self.groups:
            keys = sorted({*group.sure, *group.maybe})
            if not keys:
                continue
            # A transaction may have to time out first.
            found = await admin.group_offsets(group.name, keys, self.scheduler.now_ms + limit_ms)
            if found is None:
                raise Violation(f"liveness: the offsets of {group.name} cannot be read")
            for key in keys:
                allowed = {group.sure.get(key, -1), *group.maybe.get(key, ())}
                if found[key] not in allowed:
                    raise Violation(
                        f"I13: {group.name} has {found[key]} for {key}, not one of {sorted(allowed)}"
                    )

    def _settle(self, deadline_ms: float) -> None:
        """Wait until all replicas are in sync."""
        while problem := self._unsettled():
            if self.scheduler.now_ms > deadline_ms:
                raise Violation(f"liveness: {problem}, long after everything was healed")
            self.scheduler.run_until(self.scheduler.now_ms + 100.0)

    def _unsettled(self) -> str:
        processes = [node.process for node in self.nodes if node.process is not None and node.serving]
        if len(processes) < len(self.nodes):
            return f"{len(processes)} of {len(self.nodes)} nodes serve"
        known = processes[0].broker._context.metadata.topics
        internal = [
            (name, partition)
            for name in ("__consumer_offsets", "__transaction_state")
            if name in known
            for partition in (0, 1)
        ]
        own = [] if self.cleaning is None else self.cleaning.keys
        return unsettled(processes, self.keys + own + internal, min(self.options.nodes, 3))

    def _check(self) -> int:
        processes = [node.process for node in self.nodes if node.process is not None]
        compared = check_rest(processes, self.ledger, self.keys)
        found = Analysis(self.operations, complete=True).run()
        if found:
            raise Violation(f"history: { {name: what[:3] for name, what in found.items()} }")
        if self.options.seed % 2 == 0 and self.options.nodes == 1:
            self._check_restart(processes)
        return compared

    def _check_leaks(self, put_back_ms: float) -> None:
        """What is left when all clients have gone, and (of some seeds) when the nodes have stopped."""
        for session in self.sessions:
            session.end()
        # Transactions of clients that are gone have to time out, and requests to machines that lost power.
        end_ms = self.scheduler.now_ms + self.options.transaction_ms + put_back_ms + UNANSWERED_MS
        while True:
            self.scheduler.run_until(self.scheduler.now_ms + QUIET_MS)
            try:
                for node in self.nodes:
                    assert node.process is not None
                    check_quiet(node.process, len(self.nodes), clock_jumps="clock" in self.counts)
                return
            except Violation:
                if self.scheduler.now_ms > end_ms:
                    raise

    def _check_restart(self, processes: list[Process]) -> None:
        """A broker that starts on a copy of the disk, without what is only a help, knows the same."""
        internal = [
            (topic, index) for topic in ("__consumer_offsets", "__transaction_state") for index in (0, 1)
        ]
        keys = self.keys + internal
        for process in processes:
            node = process.node
            before = memory_of(process, keys)
            disk = node.disk.after_kill(random.Random(self.seed))
            if self.options.seed % 4 == 0:
                for name in disk.contents("/data"):
                    topic_partition = name.split("/")[2]
                    if not topic_partition.startswith("__cluster") and name.endswith(
                        (".snapshot", ".index", ".timeindex")
                    ):
                        disk.remove(name)
            again = Node(
                self.scheduler, self.network, node.number, node.properties, self.seed, lambda _: None
            )
            again.disk = disk
            second = Process(again)
            second.broker.start()
            after = memory_of(second, keys)
            for key in keys:
                for name in ("end", "producers", "epochs", "aborted"):
                    one, other = (found.get(key, {}).get(name) for found in (before, after))
                    if one != other:
                        raise Violation(
                            f"I7-I9: node {node.number} {key}: {name} {one}, after a restart {other}"
                        )


class Worker:
    """One client with a producer and a consumer, after the published workload of Jepsen's Kafka tests."""

    def __init__(self, world: World, session: Session, number: int) -> None:
        self.world = world
        self.session = session
        self.number = number
        self.rng = session.rng
        options = world.options
        self.transactional = self.rng.random() < options.transactions
        identifier = None
        if self.transactional:
            shared = options.shared_id and number % 2 == 0
            identifier = "shared" if shared else f"id{number}"
        self.producer = Producer(
            session,
            transactional_id=identifier,
            transaction_version=options.transaction_version,
            timeout_ms=options.transaction_ms,
            codec_number=options.compression,
            version=options.produce_version,
        )
        self.producer.on_ack = self._acked
        self.consumer = Consumer(session, sessions=options.sessions, version=options.fetch_version)
        self.group = _Group(f"group-{number}")
        world.groups.append(self.group)
        self.assigned: list[Key] = []
        self._ready = False
        # Offsets of sends whose operation has not ended.
        self._sends: dict[int, Send] = {}

    def _acked(self, key: Key, value: int, offset: int, sent_ms: float) -> None:
        self._sends[value].offset = offset
        self.world.ledger.note_acked(key, value, offset)

    def _key(self, key: Key) -> int:
        return self.world.keys.index(key)

    async def run(self) -> None:
        world, rng = self.world, self.rng
        while world.loading:
            await self.session.sleep(rng.expovariate(1.0) * world.options.pause_between_ms)
            if not self._ready:
                try:
                    self._ready = await self.producer.init(self.session.now_ms + 3_000.0)
                except Lost:
                    continue
                if not self._ready:
                    continue
            if not self.assigned or rng.random() < 1 / 64:
                self._assign()
            elif self.transactional:
                await self._transaction()
            elif rng.random() < 0.5:
                await self._send()
            else:
                await self._poll()

    def _operation(self, kind: str, outcome: str) -> Operation:
        operation = Operation(self.number, kind, outcome, start=self.session.now_ms)
        self.world.operations.append(operation)
        return operation

    def _assign(self) -> None:
        rng, world = self.rng, self.world
        chosen = sorted(rng.sample(world.keys, rng.randint(1, len(world.keys))))
        carried = [key for key in chosen if key in self.assigned]
        self.consumer.assign({key: self.consumer.positions[key] if key in carried else 0 for key in chosen})
        self.assigned = chosen
        operation = self._operation("assign", OK)
        operation.keys = tuple(map(self._key, chosen))
        operation.carried = tuple(map(self._key, carried))

    def _wanted(self, operation: Operation) -> list[tuple[Key, list[int]]]:
        """What to send: some batches, with values that nobody else has."""
        rng = self.rng
        wanted = []
        for _ in range(rng.choice((1, 1, 2, 4))):
            key = rng.choice(self.world.keys)
            values = [self.world.next_value() for _ in range(rng.choice((1, 1, 3)))]
            wanted.append((key, values))
            for value in values:
                step = self._sends[value] = Send(self._key(key), value)
                operation.steps.append(step)
        return wanted

    async def _send(self) -> None:
        operation = self._operation("send", INFO)
        try:
            batches = await self.producer.send(
                self._wanted(operation), self.session.now_ms + self.world.options.operation_ms
            )
        except Lost as lost:
            operation.error = str(lost)
            self._ready = False
        else:
            if all(batch.acked for batch in batches):
                operation.outcome = OK
            else:
                # Sequences would have a gap.
                self._ready = False
        operation.end = self.session.now_ms

    async def _poll(self) -> None:
        operation = self._operation("poll", OK)
        operation.steps.append(await self._read())
        operation.end = self.session.now_ms

    async def _read(self) -> Poll:
        found = await self.consumer.poll(self.rng.choice((0, 50, 100)))
        for key, values in found.items():
            for offset, value in values:
                self.world.ledger.note_read(key, offset, value)
        return Poll({self._key(key): values for key, values in found.items() if values})

    async def _transaction(self) -> None:
        # Until the commit is asked for it surely does not happen.
        operation = self._operation("txn", FAIL)
        before = dict(self.consumer.positions)
        deadline_ms = self.session.now_ms + self.world.options.operation_ms
        try:
            await self._transact(operation, deadline_ms)
        except Lost as lost:
            operation.error = str(lost)
            self._ready = False
        operation.end = self.session.now_ms
        if operation.outcome != OK:
            self.consumer.assign(before)

    async def _transact(self, operation: Operation, deadline_ms: float) -> None:
        rng, producer = self.rng, self.producer
        polled = False
        for _ in range(rng.randint(1, 4)):
            if rng.random() < 0.6:
                batches = await producer.send(self._wanted(operation), deadline_ms)
                if not all(batch.acked for batch in batches):
                    self._ready = False
                    return
            else:
                operation.steps.append(await self._read())
                polled = True
        offsets: dict[Key, int] = {}
        if polled and self.world.options.offsets_in_transactions:
            offsets = dict(self.consumer.positions)
            if not await producer.commit_offsets(self.group.name, offsets, deadline_ms):
                self._ready = False
                return
        commit = rng.random() > 1 / 8

        def sent() -> None:
            if commit:
                operation.outcome = INFO
                for key, offset in offsets.items():
                    self.group.maybe.setdefault(key, set()).add(offset)

        try:
            ended = await producer.end(commit, deadline_ms, sent)
        except Lost:
            # The first answer was a refusal.
            operation.outcome = FAIL
            raise
        if not ended or (producer.suspect and producer.transaction_version < 2):
            self._ready = False
        if not ended:
            return
        if commit:
            operation.outcome = OK
            for key, offset in offsets.items():
                self.group.sure[key] = offset
                self.group.maybe[key] = set()


def run(options: Options, faults: list[Fault] | None = None) -> Result:
    return World(options, faults).run()


def fails(options: Options, faults: list[Fault]) -> Failure | None:
    try:
        run(options, faults)
    except Failure as failure:
        return failure
    return None


def shrunk(failure: Failure, tries: int = 200) -> Failure:
    """A shorter list of faults, and fewer features, that still fail."""
    best = failure
    size = max(len(best.faults) // 2, 1)
    while size and tries > 0:
        for start in range(0, len(best.faults), size):
            tries -= 1
            found = fails(best.options, best.faults[:start] + best.faults[start + size :])
            if found is not None:
                best = found
                break
            if tries <= 0:
                return best
        else:
            size //= 2
    simpler: list[dict[str, Any]] = [
        {"workers": 1},
        {"workers": 2},
        {"topics": 1},
        {"client_crashes": False},
        {"churn": False},
        {"segment_bytes": 0},
        {"compression": 0},
        {"shared_id": False},
        {"transactions": 0.0},
        {"load_ms": 4_000},
        {"disk_slow": False},
        {"cleaning": False},
        {"snapshot_bytes": 0},
        {"classic_members": 0},
    ]
    for change in simpler:
        found = fails(replace(best.options, **change), best.faults)
        if found is not None:
            best = found
    return best


__all__ = ["Failure", "Options", "Result", "World", "faults_of", "options_of", "run", "shrunk"]

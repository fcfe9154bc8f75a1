"""The house: all rooms of one broker as one object that can be stepped.

In: frames of connections, ticks of the clock, outcomes of effects. Out: replies (lists of buffers), Deferreds
of them, effects. It has no loop, no socket and no thread, so a test or the simulation drives it the same way
as `pybroker.runtime` does.

What must hold: a reply that promises durability is given only after the effect that made it so; every
request is answered from one metadata image; topics exist here as soon as, and not before, their records are
committed.
"""

from __future__ import annotations

import random
import sys
from collections.abc import Callable, Generator, Iterable, Iterator, Mapping
from functools import partial
from typing import Any, Final

from pybroker.common.clock import Clock
from pybroker.common.config import BrokerConfig, log_config_from
from pybroker.common.deferred import Deferred, resolved
from pybroker.common.effects import BlockingCall, Effect
from pybroker.common.errors import (
    ConfigError,
    ErrorCode,
    InvariantError,
    ProtocolError,
    PybrokerError,
    StorageError,
    TooManyElements,
)
from pybroker.common.files import Buffer, FileSystem
from pybroker.common.peers import Address, Peers
from pybroker.common.steps import run_steps
from pybroker.common.timers import TimerQueue
from pybroker.controller import Controller, ControllerSettings
from pybroker.controller.metadata_log import open_metadata_log
from pybroker.controller.quorum import MetadataQuorum, QuorumOptions
from pybroker.controller.registration import ControllerRegistrar
from pybroker.controller.topic_names import CONSUMER_OFFSETS, TRANSACTION_STATE
from pybroker.controller_channel import ControllerChannel
from pybroker.coordinator.host import CoordinatorHost, HostEnvironment, HostSettings
from pybroker.directory_assignments import DirectoryAssignments
from pybroker.groups.shard import GroupShard
from pybroker.handlers import registry
from pybroker.handlers.context import CLOSE, Connection, Context, LocalTopic, ProducerIds, Request, Steps
from pybroker.handlers.fetch_sessions import FetchSessionCache
from pybroker.handlers.telemetry import ClientTelemetry
from pybroker.inter_broker import InterBroker, inter_broker_listener
from pybroker.large_requests import LargeRequests
from pybroker.lifecycle import BrokerLifecycle, BrokerState
from pybroker.log import LogConfig, LogManager, meta_properties
from pybroker.log.cleaner.cleaner import CleanerSettings, CleaningPass
from pybroker.log.cleaner.cleaning import CleaningResult
from pybroker.log.manager import METADATA_TOPIC, LogDirectory, directory_uuid
from pybroker.log.partition_log import PartitionLog
from pybroker.log.read_ahead import ReadAhead
from pybroker.metadata.compare import compare
from pybroker.metadata.delta import MetadataDelta
from pybroker.metadata.features import (
    METADATA_VERSION,
    METADATA_VERSION_4_3,
    SUPPORTED_FEATURES,
    TRANSACTION_VERSION,
)
from pybroker.metadata.image import (
    BROKER_RESOURCE,
    TOPIC_RESOURCE,
    EndpointImage,
    MetadataImage,
    TopicImage,
)
from pybroker.raft.node import QuorumSettings
from pybroker.raft.voters import Voter, VoterSet
from pybroker.records.validation import WalkPolicy
from pybroker.replication.moves import DirectoryMoves, MoveEnvironment
from pybroker.replication.partition import Partition
from pybroker.replication.replicas import ReplicaEnvironment, ReplicaManager
from pybroker.topic_creation import TopicCreation
from pybroker.transactions.coordinator import TransactionCoordinator
from pybroker.wire import codec
from pybroker.wire.client import PeerClient, api_key_of
from pybroker.wire.headers import RequestHeader, parse_request_header, response_header
from pybroker.wire.limits import MAX_DECODED_OBJECTS, MAX_WHOLE_REQUEST_OBJECTS, SMALL_REQUEST_OBJECTS
from pybroker.wire.message import Message
from pybroker.wire.messages.allocate_producer_ids import (
    AllocateProducerIdsRequest,
    AllocateProducerIdsResponse,
)
from pybroker.wire.messages.broker_registration import (
    BrokerRegistrationRequest,
    Feature,
    Listener,
)

__all__ = ["CLOSE", "Broker"]

_FETCH = 1
_API_VERSIONS = 18
_TICK_INTERVAL_MS = 1_000
_LOG_CONFIGS_MAX = 1_000
# How long a start may load before requests have their turn, and the pause after it.
_LOADING_SLICE_MS = 20
_LOADING_PAUSE_MS = 1
# How long new metadata may be applied before requests have their turn; a few partitions are made in any case.
_APPLYING_SLICE_MS = 5
_APPLYING_SLICE_STEPS = 10
# In memory: how long a slice of compaction may take, and the pause after it.
_CLEANING_SLICE_MS = 2
_CLEANING_PAUSE_MS = 4
_SECURITY_PROTOCOL_NUMBERS = {"PLAINTEXT": 0, "SSL": 1, "SASL_PLAINTEXT": 2, "SASL_SSL": 3}

# name, type, help, samples
MetricFamily = tuple[str, str, str, Iterable[tuple[Mapping[str, object], float]]]
_LOG_GAUGES: Final[tuple[tuple[str, str, Callable[[PartitionLog], int]], ...]] = (
    ("log_size_bytes", "Bytes of all segments.", lambda log: log.size),
    ("log_start_offset", "First offset that can be read.", lambda log: log.log_start_offset),
    ("log_end_offset", "Offset that the next record gets.", lambda log: log.log_end_offset),
    ("log_segments", "Segments.", lambda log: len(log.segments)),
)
_DIRECTORY_GAUGES: Final[tuple[tuple[str, str, Callable[[LogDirectory], int]], ...]] = (
    ("log_directory_offline", "1 after a failed sync or read.", lambda directory: int(directory.offline)),
    ("log_directory_full", "1 while appends wait for space.", lambda directory: int(directory.full)),
    ("log_directory_partitions", "Logs in it.", lambda directory: len(directory.logs)),
)
_UNCLEANABLE_GAUGES: Final[tuple[tuple[str, str, Callable[[list[PartitionLog]], int]], ...]] = (
    ("uncleanable_partitions_count", "Logs that cannot be cleaned.", len),
    ("uncleanable_bytes", "Bytes of these logs.", lambda logs: sum(log.size for log in logs)),
)


class Broker:
    """One broker. `start` loads its directories; `handle` serves frames until `shutdown`."""

    def __init__(
        self,
        config: BrokerConfig,
        files: FileSystem,
        clock: Clock,
        rng: random.Random,
        *,
        open_read_files_max: int = 512,
        open_write_files_max: int = 4096,
    ) -> None:
        """The two maxima are descriptors of segments that are kept open."""
        self.clock = clock
        self.timers = TimerQueue()
        self.on_effects: Callable[[], None] | None = None
        self.run_timers: Callable[[], None] | None = None
        """Set by the shell: runs the timers that are due, as its own timer would."""
        self.on_config: Callable[[BrokerConfig], None] | None = None
        """Called with the configuration whenever dynamic names of this broker may have changed."""
        self.report: Callable[[str], None] = _ignore
        """Called with one line for things an operator should know."""
        self.peers: Peers | None = None
        """How other nodes are reached, None: there are none. To be set before `start`."""
        self.run_cleaning_pass: Callable[[CleaningPass], CleaningResult] | None = None
        """Where compaction is done, None: by the thread that runs its effect. To be set before `start`."""
        self.on_cleaner_idle: Callable[[], None] | None = None
        """Called now and then when there is nothing to compact."""
        self.clean_in_slices = False
        """Compact in small slices between requests, without effects: for files in memory."""
        self._static_config = config
        self._files = files
        self._open_files_max = (open_read_files_max, open_write_files_max)
        self._rng = rng
        self._routes = registry.Routes(controller=False)
        self._controller_routes = registry.Routes(controller=True)
        self._controller_listeners = {name.upper() for name in config["controller.listener.names"]}
        # Listener name -> (host, port) that other nodes are told, the quorum's own listener first.
        self._controller_endpoints: dict[str, tuple[str, int]] = {}
        self._walk_mode: str = config["pybroker.record.validation"]
        self._durability: str = config["pybroker.durability"]
        self._calls: list[Effect] = []
        # What topics with the same overrides share, by their overrides.
        self._log_configs: dict[tuple[tuple[str, str | None], ...], LogConfig] = {}
        self._next_tick_ms = 0.0
        self.loaded: Deferred[Exception | None] = Deferred()
        """Resolved when listeners may be opened to clients, or with what prevented that."""
        self.ready: Deferred[Exception | None] = Deferred()
        """Resolved when this broker was unfenced for the first time, or with what prevented that."""
        self.waits_to_serve = False
        """Whether the owner calls `serving` when its listeners are open; else that is done at once."""
        self._starting = False
        self._is_loaded = False
        # New metadata that this broker is still becoming, and the end of what it is.
        self._applying: Iterator[None] | None = None
        self._applied_end = 0
        self._has_left = False
        # Of the broker role.
        self._replicas: ReplicaManager | None = None
        self._lifecycle: BrokerLifecycle | None = None
        self._assignments: DirectoryAssignments | None = None
        self._moves: DirectoryMoves | None = None
        # What this broker asks of the controller in its own process comes with this.
        self._own_connection = Connection(
            "", 0, "", WalkPolicy(self._walk_mode), clock.wall_ms, self._controller_routes
        )
        context = self._context = Context()
        context.broker_id = config.node_id
        context.clock = clock
        context.config = config
        context.timers = self.timers
        context.topics = {}
        context.topics_by_id = {}
        context.endpoints = {}
        context.run_blocking = self._run_blocking
        context.fetch_sessions = FetchSessionCache(config["max.incremental.fetch.session.cache.slots"], rng)
        context.telemetry = ClientTelemetry()
        context.producer_ids = ProducerIds(self._allocate_producer_ids)
        context.auto_create_topics = self._create_topics
        self._large = LargeRequests(clock, self.timers, self._run_blocking)
        self._creation = TopicCreation(
            config,
            image=lambda: context.metadata,
            is_whole_cluster=lambda: self._is_whole_cluster(context.quorum),
            ask=lambda message, version: context.controller_channel.request(message, version),
            report=lambda line: self.report(line),
        )
        inter_broker = self._inter_broker = InterBroker(
            context, inter_broker_listener(config), config["request.timeout.ms"]
        )
        # Internal topic -> the coordinator that lives in it.
        self._coordinators: dict[str, CoordinatorHost[Any]] = {}
        context.groups = self._coordinators[CONSUMER_OFFSETS] = CoordinatorHost(
            HostSettings(
                CONSUMER_OFFSETS,
                codec=config["offsets.topic.compression.codec"],
                write_timeout_ms=config["offsets.commit.timeout.ms"],
            ),
            self._host_environment(),
            lambda index, timers: GroupShard(
                config, lambda: context.metadata, timers, rng, lambda: context.config
            ),
        )
        context.transactions = TransactionCoordinator(
            HostSettings(TRANSACTION_STATE),
            self._host_environment(),
            config,
            level=lambda: context.metadata.features.get(TRANSACTION_VERSION, 0),
            take_producer_id=context.producer_ids.take,
            send_markers=inter_broker.send_markers,
            ask=inter_broker.ask_coordinator,
        )
        self._coordinators[TRANSACTION_STATE] = context.transactions.host
        context.admit = context.transactions.admit

    def _host_environment(self) -> HostEnvironment:
        context = self._context
        return HostEnvironment(
            clock=self.clock,
            timers=self.timers,
            image=lambda: context.metadata,
            partition=context.partition,
            create_topic=lambda name: self._create_topics([name]),
            run_blocking=self._run_blocking,
            report=lambda line: self.report(line),
        )

    def _soon(self, callback: Callable[[], None]) -> None:
        self.timers.schedule(0.0, callback)

    def _create_topics(self, names: list[str]) -> None:
        self._creation.create(names)

    # --- start and end ---

    def set_listener_port(self, listener: str, host: str, port: int) -> None:
        """Where clients of a listener are told to connect, or other nodes if it is the controller's; to be
        called for each before `start`."""
        if listener in self._controller_listeners:
            self._controller_endpoints[listener] = (host, port)
        else:
            self._context.endpoints[listener] = (host, port)

    @property
    def node_id(self) -> int:
        return self._static_config.node_id

    def stop_cleaning(self) -> None:
        """No more compaction; a pass under way ends soon. To be called before the last effects are run."""
        self._context.logs.cleaner.stop()

    @property
    def cluster_id(self) -> str:
        return self._context.logs.cluster_id

    def start(self) -> None:
        """Lock the directories, take part in the quorum; load, register and serve as soon as the metadata are
        there. Blocks: until all of that is done where this node alone is the cluster.

        ConfigError when a directory is in use or belongs to another node; StorageError when it refuses; then
        nothing stays open or locked. What fails later is the value of `loaded`.
        """
        try:
            self._start()
        except BaseException:
            logs = getattr(self._context, "logs", None)
            if logs is not None:
                logs.close(clean=False)
            raise

    def _start(self) -> None:
        config, context = self._static_config, self._context
        metadata_directory = config["metadata.log.dir"].rstrip("/") or "/"
        if not config.is_alone:
            self._check_formatted([*config.log_dirs, metadata_directory])
        logs = context.logs = LogManager(
            self._files,
            config.log_dirs,
            self.clock,
            self._rng,
            self._log_config({}),
            retention_check_interval_ms=config["log.retention.check.interval.ms"],
            retention_initial_delay_ms=config["log.initial.task.delay.ms"],
            checkpoint_interval_ms=config["log.flush.offset.checkpoint.interval.ms"],
            high_watermark_checkpoint_interval_ms=config["replica.high.watermark.checkpoint.interval.ms"],
            producer_id_expiration_ms=config["producer.id.expiration.ms"],
            producer_id_expiration_check_interval_ms=config["producer.id.expiration.check.interval.ms"],
            max_open_read_files=self._open_files_max[0],
            max_open_write_files=self._open_files_max[1],
            cleaner=self._cleaner_settings(),
            metadata_directory=metadata_directory,
            report=lambda line: self.report(line),
        )
        if self.run_cleaning_pass is not None:
            logs.cleaner.runner = self.run_cleaning_pass
        logs.cleaner.on_idle = self.on_cleaner_idle
        logs.cleaner.sliced = self.clean_in_slices
        cluster_id = logs.open(self.node_id)
        logs.on_work = self._effects_wait
        # Timers that are due run when the replies of this turn of the loop are written.
        logs.environment.read_ahead = ReadAhead(self.clock, self._soon)
        quorum = context.quorum = self._make_quorum(logs, cluster_id)
        context.controller = Controller(
            ControllerSettings(endpoints=self._controller_images()),
            quorum=quorum,
            files=self._files,
            rng=self._rng,
            config=config,
        )
        context.metadata = quorum.image
        channel = context.controller_channel = ControllerChannel(
            serve=self._serve_controller,
            leader=lambda: quorum.leader,
            client=self._client("controller"),
            clock=self.clock,
            timers=self.timers,
        )
        quorum.on_leader(channel.leader_changed)
        quorum.on_image(self._apply)
        if "controller" in config["process.roles"]:
            context.controller.applied_end = lambda: (
                sys.maxsize if self._applying is None else self._applied_end
            )
            self._register_controller(quorum, channel)
        logs.on_directory_failed = self._directory_failed
        if "broker" in config["process.roles"]:
            self._make_broker(logs, cluster_id, channel)
        quorum.start()
        if self._lifecycle is not None and self._is_whole_cluster(quorum):
            self._register_alone(self._lifecycle)
        self._starting = True
        quorum.on_caught_up(self._caught_up)
        self._starting = False
        if not quorum.caught_up:
            self.report("waiting for the metadata quorum")

    def _check_formatted(self, directories: list[str]) -> None:
        """Only a node that is alone may make up a cluster id."""
        names = [f"{path}/{meta_properties.FILE_NAME}" for path in directories]
        if not any(self._files.exists(name) for name in names):
            raise ConfigError(
                f"No readable meta.properties files found in {', '.join(dict.fromkeys(directories))}: "
                "a node of several has to be formatted first, by `pybroker storage format`"
            )

    def _client(self, role: str) -> PeerClient | None:
        if self.peers is None:
            return None
        client = PeerClient(self.peers, f"{role}-{self.node_id}")
        client.report = lambda line: self.report(line)
        return client

    def _register_controller(self, quorum: MetadataQuorum, channel: ControllerChannel) -> None:
        controller = self._context.controller
        registrar = ControllerRegistrar(
            lambda: controller.own_registration,
            image=lambda: quorum.image,
            is_active=lambda: controller.active,
            ask=channel.request,
            clock=self.clock,
            timers=self.timers,
        )

        def changed(image: MetadataImage, delta: MetadataDelta) -> None:
            # While the log is replayed the image is that of earlier incarnations.
            if quorum.caught_up:
                registrar.check()

        quorum.on_image(changed)
        quorum.on_caught_up(registrar.check)

    def _make_quorum(self, logs: LogManager, cluster_id: str) -> MetadataQuorum:
        config = self._static_config
        names = [name.upper() for name in config["controller.listener.names"]]
        alone = config.is_alone and not self._controller_endpoints
        return MetadataQuorum(
            QuorumOptions(
                node_id=self.node_id,
                cluster_id=cluster_id,
                directory_id=directory_uuid(logs.metadata_directory()),
                endpoints=tuple((name, host, port) for name, host, port in self._own_controllers()),
                voters=VoterSet(
                    Voter(voter_id, endpoints=((names[0], host, port),))
                    for voter_id, (host, port) in config.quorum_voters().items()
                ),
                bootstrap=self._bootstrap_servers(),
                standalone=config.is_alone,
                node=QuorumSettings(
                    election_timeout_ms=config["controller.quorum.election.timeout.ms"],
                    election_backoff_max_ms=config["controller.quorum.election.backoff.max.ms"],
                    fetch_timeout_ms=config["controller.quorum.fetch.timeout.ms"],
                    request_timeout_ms=config["controller.quorum.request.timeout.ms"],
                    retry_backoff_ms=config["controller.quorum.retry.backoff.ms"],
                    listener=names[0],
                ),
                snapshot_bytes=config["metadata.log.max.record.bytes.between.snapshots"],
                snapshot_interval_ms=config["metadata.log.max.snapshot.interval.ms"],
            ),
            files=self._files,
            log=open_metadata_log(
                logs,
                segment_bytes=config["internal.metadata.log.segment.bytes"]
                or config["metadata.log.segment.bytes"],
                segment_ms=config["metadata.log.segment.ms"],
                alone=config.is_alone,
            ),
            clock=self.clock,
            rng=self._rng,
            timers=self.timers,
            run_blocking=self._run_blocking,
            client=None if alone else self._client("raft"),
            report=lambda line: self.report(line),
        )

    def _bootstrap_servers(self) -> tuple[Address, ...]:
        """Where others may know who leads; voters of the properties are known anyway."""
        config = self._static_config
        if config.quorum_voters():
            return ()
        own = {(host, port) for _, host, port in self._own_controllers()}
        return tuple(address for address in config.quorum_bootstrap_servers() if address not in own)

    def _own_controllers(self) -> list[tuple[str, str, int]]:
        """(name, host, port) of the controller's listeners, the quorum's own first."""
        endpoints = self._controller_endpoints
        names = [name.upper() for name in self._static_config["controller.listener.names"]]
        return [(name, *endpoints[name]) for name in names if name in endpoints]

    def _controller_images(self) -> tuple[EndpointImage, ...]:
        protocols = self._static_config.security_protocols()
        return tuple(
            EndpointImage(name, host, port, _SECURITY_PROTOCOL_NUMBERS[protocols.get(name, "PLAINTEXT")])
            for name, host, port in self._own_controllers()
        )

    def _make_broker(self, logs: LogManager, cluster_id: str, channel: ControllerChannel) -> None:
        """The rooms of the broker role."""
        config, context = self._static_config, self._context
        client = self._inter_broker.client = self._client("broker")
        self._replicas = ReplicaManager(
            ReplicaEnvironment(
                node_id=self.node_id,
                clock=self.clock,
                timers=self.timers,
                logs=logs,
                config=lambda: context.config,
                log_config=self._topic_log_config,
                broker_epoch=lambda: self.broker_epoch,
                client=client,
                ask_controller=channel.request,
                on_hosted=self._hosted,
                on_role=self._role_changed,
                report=lambda line: self.report(line),
            )
        )
        self._moves = context.moves = DirectoryMoves(
            MoveEnvironment(
                clock=self.clock,
                timers=self.timers,
                logs=logs,
                config=lambda: context.config,
                run_blocking=self._run_blocking,
                stated_directory=self._stated_directory,
                on_directory=self._directory_changed,
                report=lambda line: self.report(line),
            )
        )
        logs.on_creatable = self._replicas.retry_incomplete
        self._assignments = DirectoryAssignments(
            self.node_id,
            broker_epoch=lambda: self.broker_epoch,
            image=lambda: context.metadata,
            directory_of=self._directory_id_of,
            ask=channel.request,
            clock=self.clock,
            timers=self.timers,
        )
        registration = self._registration(
            cluster_id, [directory_uuid(directory) for directory in logs.log_directories], logs.broker_epoch
        )
        life = self._lifecycle = BrokerLifecycle(
            config,
            ask=channel.request,
            registration=lambda: registration,
            metadata_offset=lambda: context.metadata.offset,
            clock=self.clock,
            timers=self.timers,
            rng=self._rng,
        )
        life.report = lambda line: self.report(line)
        life.cordoned = self._cordoned_directories
        life.on_unfenced = self._unfenced
        life.on_failed = lambda problem: self._start_failed(ConfigError(problem))

    def _cordoned_directories(self) -> list[bytes] | None:
        """What the controller is to know of `cordoned.log.dirs` (KIP-1066); None where it does."""
        image, logs = self._context.metadata, self._context.logs
        known = image.brokers.get(self.node_id)
        if known is None or image.features.get(METADATA_VERSION, 0) < METADATA_VERSION_4_3:
            return None
        found = [directory_uuid(d) for d in logs.log_directories if d.path in logs.cordoned]
        return None if set(found) == set(known.cordoned_log_dirs or ()) else found

    def _directory_id_of(self, topic: str, index: int) -> bytes | None:
        """Where the metadata are to have a replica of this broker."""
        target = None if self._moves is None else self._moves.target_of(topic, index)
        if target is not None:
            return target
        directory = self._context.logs.directory_of(topic, index)
        return None if directory is None else directory_uuid(directory)

    def _stated_directory(self, topic_id: bytes, index: int) -> bytes | None:
        """Where the metadata have a replica of this broker."""
        topic = self._context.metadata.topics_by_id.get(topic_id)
        if topic is None or index >= len(topic.partitions):
            return None
        return topic.partitions[index].directory_of(self.node_id)

    def _directory_changed(self, topic_id: bytes, index: int) -> None:
        """A replica is, or is to be, in another directory than before."""
        topic = self._context.metadata.topics_by_id.get(topic_id)
        if topic is not None and index < len(topic.partitions) and self._assignments is not None:
            self._assignments.hosted(topic, index)

    def _is_whole_cluster(self, quorum: MetadataQuorum) -> bool:
        """Whether this node alone is the quorum, and no other broker is known to it."""
        return (
            quorum.is_active
            and quorum.node.is_only_voter
            and not quorum.image.brokers.keys() - {self.node_id}
        )

    def _register_alone(self, life: BrokerLifecycle) -> None:
        """Nobody has to be waited for: registered, unfenced and elected in one batch, durable on return."""
        context = self._context
        registration = context.controller.register_own_broker(life.request())
        context.quorum.flush()
        if registration.value.error_code:
            raise ConfigError(
                "the metadata log cannot be served by this broker: registration was refused with "
                f"{ErrorCode(registration.value.error_code).name}; features of the log: "
                f"{dict(context.quorum.image.features)}, supported: {SUPPORTED_FEATURES}"
            )
        life.adopt(registration.value.broker_epoch)

    def _caught_up(self) -> None:
        """The metadata are what the quorum agreed on: register, or load what this broker has of them.

        Nothing is led before this incarnation's registration is in the image: what the former one led may
        have been longer, and the controller has yet to take the lead from it.
        """
        life = self._lifecycle
        if life is not None and not life.is_registered:
            life.on_caught_up = self._caught_up
            life.start()
            return
        if life is None or self._is_whole_cluster(self._context.quorum):
            try:
                run_steps(self._load())
            except (PybrokerError, OSError) as error:
                if self._starting:
                    raise
                self._start_failed(error)
        else:
            # The quorum and the controller are to hear of this node meanwhile.
            self._load_slice(self._load())

    def _load_slice(self, steps: Iterator[None]) -> None:
        if self._has_left:
            return
        now_ms = self.clock.monotonic_ms
        end_ms = now_ms() + _LOADING_SLICE_MS
        try:
            for _ in steps:
                if now_ms() >= end_ms:
                    self.timers.schedule(now_ms() + _LOADING_PAUSE_MS, lambda: self._load_slice(steps))
                    return
        except (PybrokerError, OSError) as error:
            self._start_failed(error)

    def _load(self) -> Generator[None, None, None]:
        """Become what the image of now says, in steps; what is committed meanwhile comes after them."""
        context = self._context
        image = context.metadata = context.quorum.image
        if image.carried:
            kinds = sorted({type(record).__name__.removesuffix("Record") for record in image.carried})
            self.report(
                f"the metadata log has {len(image.carried)} records that have no effect here and are kept: "
                + ", ".join(kinds)
            )
        self._configure(image)
        replicas = self._replicas
        if replicas is not None:
            yield from context.logs.load_steps(
                lambda *log: replicas.log_config_of(image, *log),
                lambda topic, index: (
                    self._stated_directory(image.topics[topic].topic_id, index)
                    if topic in image.topics
                    else None
                ),
            )
            for topic in image.topics.values():
                self._know_topic(topic)
            yield from replicas.start(image)
            for partition in replicas.partitions:
                context.moves.resume(partition)
        self._is_loaded = True
        if context.metadata is not image:
            self._apply(context.metadata, compare(image, context.metadata))
        if not self.loaded.done:
            self.loaded.resolve(None)
        if self._lifecycle is None or self._lifecycle.state is BrokerState.RUNNING:
            self._unfenced()
        elif not self.waits_to_serve:
            self.serving()

    def serving(self) -> None:
        """Clients and other brokers are answered from now on: this broker may lead."""
        if self._lifecycle is not None:
            self._lifecycle.set_ready()

    def _unfenced(self) -> None:
        if not self.ready.done:
            self.ready.resolve(None)

    def _start_failed(self, error: Exception) -> None:
        for outcome in (self.loaded, self.ready):
            if not outcome.done:
                outcome.resolve(error)

    @property
    def broker_epoch(self) -> int:
        """The epoch of this broker's registration; -1 before, and without the role."""
        return -1 if self._lifecycle is None else self._lifecycle.epoch

    def _registration(
        self, cluster_id: str, directory_ids: list[bytes], previous_epoch: int
    ) -> BrokerRegistrationRequest:
        protocols = self._static_config.security_protocols()
        return BrokerRegistrationRequest(
            broker_id=self.node_id,
            cluster_id=cluster_id,
            incarnation_id=self._context.logs.random_uuid(),
            listeners=[
                Listener(
                    name=name,
                    host=host,
                    port=port,
                    security_protocol=_SECURITY_PROTOCOL_NUMBERS[protocols.get(name, "PLAINTEXT")],
                )
                for name, (host, port) in self._context.endpoints.items()
            ],
            features=[
                Feature(name=name, min_supported_version=low, max_supported_version=high)
                for name, (low, high) in SUPPORTED_FEATURES.items()
            ],
            rack=self._static_config["broker.rack"],
            log_dirs=directory_ids,
            previous_broker_epoch=previous_epoch,
        )

    def _serve_controller(self, message: Message, version: int) -> Deferred[Any] | None:
        """A request of this node to the controller in this process; None while that is not the active one."""
        if not self._context.controller.active:
            return None
        api_key = api_key_of(message)
        routes = self._controller_routes
        route = routes.get(api_key << 16 | version) or self._find_route(routes, api_key, version)
        if route is None:
            raise InvariantError(f"the controller does not serve key {api_key} in version {version}")
        request = Request(api_key, version, f"broker-{self.node_id}", message, self._own_connection)
        reply = route.handle(self._context, request)
        return reply if isinstance(reply, Deferred) else resolved(reply)

    def begin_shutdown(self) -> Deferred[None]:
        """Have the leaders of this broker's partitions moved, then give up the lead of the quorum. To be
        called, and waited for, while everything still serves."""
        life = self._lifecycle
        if life is None or self._is_whole_cluster(self._context.quorum):
            self._leave()
            return resolved(None)
        if not self._static_config["controlled.shutdown.enable"]:
            life.close()
        stopped = life.begin_controlled_shutdown()
        stopped.then(lambda _: self._leave())
        return stopped

    def _leave(self) -> None:
        """No more requests to other nodes."""
        if self._has_left:
            return
        self._has_left = True
        if self._lifecycle is not None:
            self._lifecycle.close()
        if self._replicas is not None:
            self._replicas.stop()
        if self._moves is not None:
            self._moves.stop()
        if not self._is_whole_cluster(self._context.quorum):
            self._context.quorum.shut_down()

    def shutdown(self) -> None:
        """Sync and close everything and leave the clean-shutdown marker. Effects must have been completed."""
        context = self._context
        self._leave()
        if self._is_whole_cluster(context.quorum):
            try:
                context.controller.fence_broker(self.broker_epoch)
            except StorageError as error:
                self.report(f"the end of this broker is not on record: {error}")
        context.controller_channel.close()
        context.quorum.close()
        # Logs that were never loaded are left as they are.
        context.logs.close(clean=self._is_loaded, broker_epoch=self.broker_epoch)

    # --- time and effects ---

    def tick(self, now_ms: float) -> None:
        """Let time pass for what has no deadline of its own; cheap, to be called several times a second."""
        # It has a pause of its own (log.cleaner.backoff.ms), and any configuration may make work for it.
        self._context.logs.cleaner.tick(now_ms)
        if now_ms < self._next_tick_ms:
            return
        self._next_tick_ms = now_ms + _TICK_INTERVAL_MS
        self._context.logs.tick(now_ms)
        self._context.quorum.tick(now_ms)
        if self.clean_in_slices and self._context.logs.cleaner.busy:
            self._clean_slice()
        if self._replicas is not None and self._is_loaded:
            self._replicas.retry_incomplete()

    def take_effects(self) -> list[Effect]:
        """The blocking work to be done now; each is to be run and completed."""
        effects, self._calls = self._calls, []
        while (flush_round := self._context.logs.take_flush_round()) is not None:
            effects.append(flush_round)
        effects += self._context.logs.cleaner.take_effects()
        return effects

    def _effects_wait(self) -> None:
        if self.on_effects is not None:
            self.on_effects()

    def _run_blocking(
        self, queue: str, function: Callable[[], None], done: Callable[[BaseException | None], None]
    ) -> None:
        self._calls.append(BlockingCall(queue, function, done))
        self._effects_wait()

    def _directory_failed(self, path: str, last: bool) -> None:
        logs = self._context.logs
        metadata_log = logs.directory_of(METADATA_TOPIC, 0)
        if metadata_log is not None and path == metadata_log.path:
            self._context.quorum.storage_failed(StorageError(f"{path} is offline"))
            if not self._static_config.is_alone:
                # As Kafka: without the metadata it could only go on with what it knew. Others take over.
                raise InvariantError(f"the directory of the metadata log failed: {path}")
        if self._lifecycle is not None:
            for directory in logs.log_directories:
                if directory.path == path:
                    self._lifecycle.directory_failed(directory_uuid(directory))
                    for topic, index in directory.logs:
                        self._check_directory(topic, index)
        if self._moves is not None:
            self._moves.directory_failed(path)
        for coordinator in self._coordinators.values():
            coordinator.check_leaders()
        if last:
            # As Kafka: a broker without any log directory serves nobody.
            raise InvariantError(f"the last log directory failed: {path}")

    def _allocate_producer_ids(self, callback: Callable[[int, int], None]) -> None:
        def arrived(response: AllocateProducerIdsResponse | None) -> None:
            if response is None or response.error_code:
                callback(-1, 0)
            else:
                callback(response.producer_id_start, response.producer_id_len)

        controller = self._context.controller
        if controller.active:
            controller.allocate_producer_ids().then(lambda block: callback(block.start, block.length))
            return
        request = AllocateProducerIdsRequest(broker_id=self.node_id, broker_epoch=self.broker_epoch)
        self._context.controller_channel.request(request, 0).then(arrived)

    def metrics_snapshot(self) -> Iterator[MetricFamily]:
        """Gauges as (name, "gauge", help, samples); a sample is (labels, value). Read on the loop thread."""
        logs = self._context.logs
        directories = logs.directories
        topics = list(self._context.topics.values())

        def per_log(value: Callable[[PartitionLog], int]) -> Iterator[tuple[dict[str, object], int]]:
            for topic in topics:
                for partition in topic.partitions:
                    if partition is not None:
                        log = partition.log
                        yield {"topic": topic.name, "partition": log.partition}, value(log)

        def per_directory(value: Callable[[LogDirectory], int]) -> Iterator[tuple[dict[str, object], int]]:
            return (({"directory": directory.path}, value(directory)) for directory in directories)

        yield "pybroker_topics", "gauge", "Topics.", [({}, len(topics))]
        count = sum(partition is not None for topic in topics for partition in topic.partitions)
        yield "pybroker_partitions", "gauge", "Partitions with a log here.", [({}, count)]
        yield (
            "pybroker_partitions_missing",
            "gauge",
            "Partitions whose log could not be made yet.",
            [({}, 0 if self._replicas is None else self._replicas.missing_count)],
        )
        for name, text, of_log in _LOG_GAUGES:
            yield f"pybroker_{name}", "gauge", text, per_log(of_log)
        for name, text, of_directory in _DIRECTORY_GAUGES:
            yield f"pybroker_{name}", "gauge", text, per_directory(of_directory)
        yield from self._cleaner_metrics()
        image = self._context.metadata
        yield "pybroker_metadata_offset", "gauge", "Newest committed metadata record.", [({}, image.offset)]

    def _cleaner_metrics(self) -> Iterator[MetricFamily]:
        """Kafka's metrics of LogCleaner and LogCleanerManager, in its units."""
        logs = self._context.logs
        found = logs.cleaner.metrics()
        for name, kind, text, value in (
            ("passes_total", "counter", "Passes that ended well.", found.passes),
            ("failures_total", "counter", "Passes that did not.", found.failures),
            ("bytes_read_total", "counter", "Bytes read by copying.", found.bytes_read),
            ("bytes_written_total", "counter", "Bytes written by copying.", found.bytes_written),
            ("dead_thread_count", "gauge", "1 when nothing is cleaned any more.", found.dead),
            ("max_dirty_percent", "gauge", "Dirty part of the dirtiest log.", found.max_dirty_ratio * 100),
            (
                "max_compaction_delay_secs",
                "gauge",
                "How far a record is beyond max.compaction.lag.ms.",
                found.max_compaction_delay_ms / 1000,
            ),
            ("recopy_percent", "gauge", "Bytes kept by the last pass.", found.recopy_ratio * 100),
            ("max_clean_time_secs", "gauge", "Duration of the last pass.", found.clean_time_ms / 1000),
            (
                "max_buffer_utilization_percent",
                "gauge",
                "How full the map of keys was in the last pass.",
                found.map_ratio * 100,
            ),
            ("time_since_last_run_ms", "gauge", "Since work was looked for.", found.idle_ms),
        ):
            yield f"pybroker_log_cleaner_{name}", kind, text, [({}, value)]
        by_directory: dict[str, list[PartitionLog]] = {directory.path: [] for directory in logs.directories}
        for log in logs.cleaner.uncleanable_logs():
            directory = logs.directory_of(log.topic, log.partition)
            if directory is not None:
                by_directory[directory.path].append(log)
        for name, text, of_logs in _UNCLEANABLE_GAUGES:
            samples = [({"directory": path}, of_logs(some)) for path, some in by_directory.items()]
            yield f"pybroker_log_cleaner_{name}", "gauge", text, samples
        yield (
            "pybroker_log_cleaner_uncleanable",
            "gauge",
            "Logs that are not cleaned until the next start; the log of the broker has the reason.",
            [
                ({"topic": log.topic, "partition": log.partition}, 1)
                for some in by_directory.values()
                for log in some
            ],
        )

    def _cleaner_settings(self) -> CleanerSettings:
        config = self._context.config
        return CleanerSettings(
            enabled=config["log.cleaner.enable"] and config["log.cleaner.threads"] > 0,
            backoff_ms=config["log.cleaner.backoff.ms"],
            map_bytes=config["log.cleaner.dedupe.buffer.size"],
            max_bytes_per_second=config["log.cleaner.io.max.bytes.per.second"],
        )

    def _clean_slice(self) -> None:
        now_ms = self.clock.monotonic_ms
        end_ms = now_ms() + _CLEANING_SLICE_MS
        if self._context.logs.cleaner.advance(lambda: now_ms() >= end_ms):
            self.timers.schedule(now_ms() + _CLEANING_PAUSE_MS, self._clean_slice)

    # --- metadata ---

    def _apply(self, image: MetadataImage, delta: MetadataDelta) -> None:
        """Make this broker what the new image says. Called before the image's requests are answered; those
        that make partitions wait a while for them (`Controller.applied`)."""
        self._context.metadata = image
        if self._is_loaded and self._applying is None:
            self._applying = self._apply_all(image, delta)
            self._apply_slice()

    def _apply_slice(self) -> None:
        """Partitions may come and go by the thousand, and each of them takes a file or two."""
        steps = self._applying
        if steps is None or self._has_left:
            return
        now_ms = self.clock.monotonic_ms
        end_ms = now_ms() + _APPLYING_SLICE_MS
        try:
            for count, _ in enumerate(steps, 1):
                if count >= _APPLYING_SLICE_STEPS and now_ms() >= end_ms:
                    self._soon(self._apply_slice)
                    return
        except BaseException:
            self._applying = None
            raise
        self._applying = None

    def _apply_all(self, image: MetadataImage, delta: MetadataDelta) -> Iterator[None]:
        """Also what is committed meanwhile."""
        while True:
            yield from self._apply_steps(image, delta)
            self._applied_end = image.offset + 1
            self._context.controller.applied()
            newest = self._context.metadata
            if newest is image:
                return
            image, delta = newest, compare(image, newest)

    def _apply_steps(self, image: MetadataImage, delta: MetadataDelta) -> Iterator[None]:
        if any(kind == BROKER_RESOURCE for kind, _ in delta.changed_configs):
            self._configure(image)
        if self._replicas is None:
            return
        for topic in delta.created_topics:
            self._know_topic(topic)
        for change in delta.changed_topics:
            self._know_topic(change.new)
        yield from self._replicas.apply(image, delta)
        if len(self._context.logs.log_directories) > 1:
            for change in delta.changed_topics:
                self._check_directories(change.new)
        for topic in delta.deleted_topics:
            self._forget_topic(topic)
        for kind, name in delta.changed_configs:
            if kind == TOPIC_RESOURCE and name in self._context.topics:
                self._configure_topic(image, self._context.topics[name])
        for coordinator in self._coordinators.values():
            coordinator.on_metadata(image, delta)

    def _check_directories(self, topic: TopicImage) -> None:
        """The metadata of a topic are new: see what they say of directories."""
        if self._moves is not None:
            self._moves.metadata_changed(topic.name)
        for index, partition in enumerate(topic.partitions):
            if self.node_id in partition.replicas:
                self._hosted_in(topic, index)

    def _check_directory(self, topic: str, index: int) -> None:
        known = self._context.metadata.topics.get(topic)
        if known is not None and index < len(known.partitions):
            self._hosted_in(known, index)

    def _hosted_in(self, topic: TopicImage, index: int) -> None:
        # Where a node is the whole cluster there is nobody to move its leaders to.
        if self._assignments is not None and not self._is_whole_cluster(self._context.quorum):
            self._assignments.hosted(topic, index)

    def _configure(self, image: MetadataImage) -> None:
        """Take the dynamic broker configuration of an image, and what topics inherit from it."""
        config = self._static_config.with_dynamic(
            image.config(BROKER_RESOURCE, str(self.node_id)), image.config(BROKER_RESOURCE, "")
        )
        self._context.config = config
        self._log_configs.clear()
        if self.on_config is not None:
            self.on_config(config)
        self._context.logs.cleaner.configure(self._cleaner_settings())
        cordoned = config["cordoned.log.dirs"]
        self._context.logs.cordoned = frozenset(config.log_dirs if "*" in cordoned else cordoned)
        if self._moves is not None:
            self._moves.configure()
        for topic in self._context.topics.values():
            self._configure_topic(image, topic)

    def _configure_topic(self, image: MetadataImage, topic: LocalTopic) -> None:
        config = self._topic_log_config(image, topic.name)
        for partition in topic.partitions:
            if partition is not None:
                self._context.logs.update_config(partition.log, config)
                partition.update_config(config)

    def _topic_log_config(self, image: MetadataImage, topic: str) -> LogConfig:
        return self._log_config(image.config(TOPIC_RESOURCE, topic))

    def _log_config(self, overrides: Any) -> LogConfig:
        """One object for all topics with the same overrides."""
        key = tuple(overrides.items())
        config = self._log_configs.get(key)
        if config is None:
            if len(self._log_configs) >= _LOG_CONFIGS_MAX:
                self._log_configs.clear()
            config = LogConfig(**log_config_from(self._context.config.topic_values(overrides)))
            self._log_configs[key] = config
        return config

    def _know_topic(self, topic: TopicImage) -> None:
        """Have a place for every partition of a topic: what is not held here stays empty."""
        context = self._context
        local = context.topics_by_id.get(topic.topic_id)
        if local is None:
            local = context.topics_by_id[topic.topic_id] = LocalTopic(topic.name, topic.topic_id)
        local.partitions += [None] * (len(topic.partitions) - len(local.partitions))
        context.topics[topic.name] = local

    def _forget_topic(self, topic: TopicImage) -> None:
        context = self._context
        local = context.topics_by_id.pop(topic.topic_id, None)
        if local is not None and context.topics.get(topic.name) is local:
            del context.topics[topic.name]

    def _hosted(self, topic: TopicImage, index: int, partition: Partition | None) -> None:
        """A replica is here, or not any more."""
        local = self._context.topics_by_id.get(topic.topic_id)
        if local is not None:
            local.partitions[index] = partition
        if partition is not None:
            self._hosted_in(topic, index)
        elif self._moves is not None:
            self._moves.cancel(topic.name, index)

    def _role_changed(self, partition: Partition) -> None:
        """A replica leads in a new epoch, or does not lead any more."""
        coordinator = self._coordinators.get(partition.topic)
        if coordinator is None:
            return
        if partition.is_leader:
            coordinator.elect(partition.partition)
        else:
            coordinator.resign(partition.partition)

    # --- connections ---

    def connect(self, peer_host: str, peer_port: int, listener: str) -> Connection:
        """A client connected to a listener; the result goes with all its frames."""
        routes = self._controller_routes if listener in self._controller_listeners else self._routes
        return Connection(
            peer_host, peer_port, listener, WalkPolicy(self._walk_mode), self.clock.wall_ms, routes
        )

    def disconnect(self, connection: Connection) -> None:
        """The connection is gone; what waits on its behalf is released."""
        connection.close()

    def handle(self, connection: Connection, frame: memoryview) -> Any:
        """Serve one frame (without its length prefix; writable, never reused by the caller).

        Returns the reply as a list of buffers without a length prefix, None when there is none, CLOSE to
        close without a reply, or a Deferred of one of these. ProtocolError: close the connection.
        """
        header = parse_request_header(frame)
        api_key, version, correlation_id = header.api_key, header.api_version, header.correlation_id
        route = connection.routes.get(api_key << 16 | (version & 0xFFFF))
        if route is None:
            route = self._find_route(connection.routes, api_key, version)
            if route is None:
                if api_key == _API_VERSIONS:
                    return self._unsupported_api_versions(correlation_id)
                raise ProtocolError(f"request with api key {api_key} and version {version} is not served")
        if api_key > _FETCH and self.timers.is_due(self.clock.monotonic_ms()) and self.run_timers is not None:
            # A session that has ended by the clock has ended for this request too: the loop's own timer comes
            # up to two milliseconds late. Produce and Fetch depend on no timer.
            self.run_timers()
        try:
            message = route.decode(frame, header.body_offset, SMALL_REQUEST_OBJECTS)
        except TooManyElements:
            return self._large.queue(connection, self._serve_large(route, header, connection, frame))
        request = Request(api_key, version, header.client_id, message, connection)
        if route.steps is not None:
            finish = partial(self._finish_large, route, correlation_id)
            ended, reply = self._large.run(connection, route.steps(self._context, request), finish)
            if not ended:
                return reply
        else:
            reply = route.handle(self._context, request)
        if isinstance(reply, Deferred):
            if not reply.done:
                return reply.map(lambda late: self._encoded(route, correlation_id, late))
            reply = reply.value
        return self._encoded(route, correlation_id, reply)

    def _find_route(self, routes: registry.Routes, api_key: int, version: int) -> registry.Route | None:
        """The first request of its key and version; None when it is not served."""
        # It may have to read the handler's code: that takes a descriptor like any other file.
        find = partial(registry.route, api_key, version, controller=routes.controller)
        route = self._context.logs.environment.with_descriptors(find)
        if route is not None:
            routes[api_key << 16 | version] = route
        return route

    def _serve_large(
        self, route: registry.Route, header: RequestHeader, connection: Connection, frame: memoryview
    ) -> Steps[Any]:
        """As `handle`, for a request whose arrays have many elements."""
        most = MAX_WHOLE_REQUEST_OBJECTS if route.large_steps is None else MAX_DECODED_OBJECTS
        message = yield partial(route.decode, frame, header.body_offset, most)
        request = Request(route.api_key, route.version, header.client_id, message, connection)
        if route.large_steps is not None:
            reply = yield from route.large_steps(self._context, request)
        else:
            reply = route.handle(self._context, request)
        return (yield from self._finish_large(route, header.correlation_id, reply))

    def _finish_large(self, route: registry.Route, correlation_id: int, reply: Any) -> Steps[Any]:
        if isinstance(reply, Deferred):
            if not reply.done:
                return reply.map(lambda late: self._encoded(route, correlation_id, late))
            reply = reply.value
        return (yield partial(self._encoded, route, correlation_id, reply))

    def _encoded(self, route: registry.Route, correlation_id: int, reply: Any) -> Any:
        if reply is None or reply is CLOSE:
            return reply
        buffers = route.encode(reply)
        buffers.insert(0, response_header(route.api_key, route.version, correlation_id))
        return buffers

    def _unsupported_api_versions(self, correlation_id: int) -> list[Buffer]:
        from pybroker.handlers import api_versions

        body = codec.encode_response(api_versions.unsupported(), 0)
        return [response_header(_API_VERSIONS, 0, correlation_id), body]


def _ignore(line: str) -> None:
    """Nobody listens."""

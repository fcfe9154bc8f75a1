"""The active controller: takes requests, decides on the latest state, commits records, publishes images.

In: wire requests, and from the log that everything below an offset is durable. Out: Deferreds of responses,
images with deltas to whoever asked for them, and effects (snapshots). What must hold:

- a decision sees every decision before it, also those that are not durable yet; nobody else does;
- a response is given only when the records of its decision, and all that it may have seen, are committed;
- the image is published first, the response given second, so that a client finds what it was promised;
- several decisions before a flush share it.

A new kind of request is a decision function in its own module and a method here.
"""

from __future__ import annotations

import random
from collections import deque
from collections.abc import Callable, Iterable, Mapping
from typing import Final, Generic, NamedTuple, Protocol, TypeVar

from pybroker.common.clock import Clock
from pybroker.common.config import BrokerConfig
from pybroker.common.config.loggers import ProcessLoggers
from pybroker.common.deferred import Deferred, resolved
from pybroker.common.effects import Effect
from pybroker.common.errors import ConfigError, ErrorCode, InvariantError, StorageError
from pybroker.common.files import FileSystem
from pybroker.controller import bootstrap, brokers, configs, features, producer_ids, topics
from pybroker.controller.broker_settings import BrokerSettings
from pybroker.controller.decision import Decision
from pybroker.controller.loader import load
from pybroker.controller.producer_ids import ProducerIdBlock
from pybroker.controller.topics import TOO_MANY_RECORDS, TopicControl, as_creatable, random_id
from pybroker.metadata.delta import MetadataDelta
from pybroker.metadata.features import BOOTSTRAP_FEATURES, KRAFT_VERSION, METADATA_VERSION, SUPPORTED_FEATURES
from pybroker.metadata.image import ControllerImage, EndpointImage, MetadataImage, empty_image
from pybroker.metadata.records import ImageBuilder, ImageContent, controller_record, image_records
from pybroker.raft import requests
from pybroker.raft.hard_state import load_hard_state, store_hard_state
from pybroker.raft.log import RaftLog
from pybroker.raft.node import Node
from pybroker.raft.snapshot import (
    DirectorySnapshots,
    SnapshotId,
    encode_snapshot,
    list_snapshots,
    remove_partial_snapshots,
    write_snapshot,
)
from pybroker.raft.voters import Voter, VoterSet, voter_records
from pybroker.records.batch import HEADER_SIZE
from pybroker.wire.message import Message
from pybroker.wire.messages.alter_configs import AlterConfigsRequest, AlterConfigsResponse
from pybroker.wire.messages.broker_registration import (
    BrokerRegistrationRequest,
    BrokerRegistrationResponse,
)
from pybroker.wire.messages.create_partitions import CreatePartitionsRequest, CreatePartitionsResponse
from pybroker.wire.messages.create_topics import CreateTopicsRequest, CreateTopicsResponse
from pybroker.wire.messages.delete_topics import DeleteTopicsRequest, DeleteTopicsResponse
from pybroker.wire.messages.describe_quorum import DescribeQuorumRequest, DescribeQuorumResponse
from pybroker.wire.messages.incremental_alter_configs import (
    IncrementalAlterConfigsRequest,
    IncrementalAlterConfigsResponse,
)
from pybroker.wire.messages.update_features import UpdateFeaturesRequest, UpdateFeaturesResponse
from pybroker.wire.schemas.metadata_records import (
    AbortTransactionRecord,
    BeginTransactionRecord,
    BrokerRegistrationChangeRecord,
    EndTransactionRecord,
)

R = TypeVar("R")

MAX_ENTRIES: Final = 10_000
"""Kafka's limit for the records of one request, which is what as many entries would become."""
MAX_BATCH_BYTES: Final = 8 * 1024 * 1024
_TRANSACTION_FRAME: Final = (BeginTransactionRecord, EndTransactionRecord, AbortTransactionRecord)
_KEPT_SNAPSHOTS: Final = 2
_AUTO_CREATE_TIMEOUT_MS: Final = 30_000

ImageCallback = Callable[[MetadataImage, MetadataDelta], None]


class ControllerSettings(NamedTuple):
    """What does not change while the controller runs and is not in the properties file."""

    cluster_id: str
    directory_id: bytes
    endpoints: tuple[EndpointImage, ...] = ()
    """The controller's own listeners."""
    features: Mapping[str, int] = BOOTSTRAP_FEATURES
    """Finalized by the first start of a cluster."""
    supported_features: Mapping[str, tuple[int, int]] = SUPPORTED_FEATURES


class _Refuse(Protocol[R]):
    def __call__(self, code: int, message: str | None = None, /) -> Decision[R]: ...


class _Pending(Generic[R]):
    """A decision whose records are appended and not committed, or that has seen such records."""

    __slots__ = ("deferred", "delta", "end_offset", "image", "refuse", "response", "timestamp_ms")

    def __init__(
        self,
        end_offset: int,
        image: MetadataImage | None,
        delta: MetadataDelta | None,
        timestamp_ms: int,
        response: R,
        refuse: Callable[[int], Decision[R]],
    ) -> None:
        self.end_offset = end_offset
        self.image = image
        self.delta = delta
        self.timestamp_ms = timestamp_ms
        self.response = response
        self.refuse = refuse
        self.deferred: Deferred[R] = Deferred()


class SnapshotEffect:
    """Writes a snapshot of one image. `run` works on a copy, so the loop thread may go on."""

    def __init__(
        self, controller: Controller, files: FileSystem, path: str, batches: Iterable[bytes]
    ) -> None:
        self._controller = controller
        self._files = files
        self._path = path
        self._batches = batches

    @property
    def queue(self) -> str:
        """Its own: a flush of the log must not wait for it."""
        return f"{self._path.rpartition('/')[0]}#snapshot"

    def run(self) -> None:
        write_snapshot(self._files, self._path, self._batches)

    def complete(self, error: BaseException | None) -> None:
        self._controller.snapshot_completed(error)


class Controller:
    """The controller of this node. `start` first; then requests, each answered by a Deferred."""

    def __init__(
        self,
        settings: ControllerSettings,
        *,
        files: FileSystem,
        log: RaftLog,
        clock: Clock,
        rng: random.Random,
        config: BrokerConfig,
    ) -> None:
        self.node_id = config.node_id
        self.on_effects: Callable[[], None] | None = None
        """Called when `take_effect` has something to give."""
        self._settings = settings
        self._files = files
        self._log = log
        self._clock = clock
        self._rng = rng
        self._broker_settings = BrokerSettings(config)
        self._topics = TopicControl(self._broker_settings, rng)
        self._configs = configs.ConfigControl(self._broker_settings, ProcessLoggers())
        self._snapshot_bytes: int = config["metadata.log.max.record.bytes.between.snapshots"]
        self._snapshot_interval_ms: int = config["metadata.log.max.snapshot.interval.ms"]
        self._voter = Voter(
            self.node_id,
            settings.directory_id,
            tuple((endpoint.name, endpoint.host, endpoint.port) for endpoint in settings.endpoints),
        )
        self._node: Node | None = None
        self._snapshots = DirectorySnapshots(files, log.directory)
        self._latest = empty_image(settings.cluster_id)
        self._image = self._latest
        self._image_timestamp_ms = 0
        self._pending: deque[_Pending[object]] = deque()
        self._publishing = False
        self._callbacks: list[ImageCallback] = []
        self._failure: BaseException | None = None
        self._bytes_since_snapshot = 0
        self._last_snapshot_ms = clock.monotonic_ms()
        self._snapshot_due = False
        self._snapshot_under_way = False

    # Start and end

    def start(self, registration: BrokerRegistrationRequest | None = None) -> None:
        """Load, take the lead in a new epoch, bootstrap a new cluster, and register if asked to.

        Blocks: what is written here is synced before it returns. StorageError, CorruptionError, OSError.
        """
        files, log = self._files, self._log
        now_ms = self._clock.wall_ms()
        files.make_dirs(log.directory)
        remove_partial_snapshots(files, log.directory)
        if log.end_offset == 0:
            bootstrap.format_directory(
                files, self._log_directory, log.directory, self._settings.features, [self._voter], now_ms
            )
        loaded = load(files, log, self._settings.cluster_id, VoterSet([self._voter]))
        first_start = log.end_offset == 0
        self._take_voters(loaded.history.voters)
        self._latest = loaded.image
        self._bytes_since_snapshot = loaded.bytes_since_snapshot
        self._topics.load(loaded.image)
        self._snapshots.refresh(loaded.snapshot)
        node = self._node = Node(
            self._voter.key,
            self._settings.cluster_id,
            load_hard_state(files, log.directory),
            loaded.history,
            log=log,
            snapshots=self._snapshots,
            clock=self._clock,
            rng=self._rng,
            endpoints=self._voter.endpoints,
        )
        log.on_durable = self._durable
        # The only voter needs nobody else: it leads as soon as that is on record.
        ready = node.take_ready()
        if ready.hard_state is not None:
            store_hard_state(files, log.directory, ready.hard_state)
        node.stored(ready.hard_state_version)
        if not node.is_leader:
            raise StorageError(node.last_fault)
        if first_start:
            # The new control batch says what the loader would have found in it.
            self._latest = self._latest._replace(features={**self._latest.features, KRAFT_VERSION: 1})
        self._latest = self._latest._replace(offset=log.end_offset - 1, epoch=node.epoch)
        self._image_timestamp_ms = now_ms
        if loaded.in_transaction:
            self._commit([AbortTransactionRecord(reason="controller failover")])
        if METADATA_VERSION not in self._latest.features:
            found = bootstrap.load_bootstrap(files, self._log_directory, self._settings.supported_features)
            features, credentials = found or (self._settings.features, [])
            minimum = str(self._broker_settings.static["min.insync.replicas"])
            self._commit(bootstrap.bootstrap_records(features, minimum, credentials))
        self._commit([controller_record(self._own_registration())])
        if registration is not None:
            self.register_broker(registration)
        self.flush()

    def _take_voters(self, voters: VoterSet) -> None:
        """The quorum as the log states it: with the endpoints that another broker may count on."""
        others = [voter_id for voter_id in voters.ids if voter_id != self.node_id]
        if others or len(voters) != 1:
            raise ConfigError(
                f"the metadata log is that of a quorum with the voters {', '.join(map(str, others))} too; "
                "a quorum of one node only is supported"
            )
        self._voter = voters[0]

    @property
    def _log_directory(self) -> str:
        return self._log.directory.rpartition("/")[0] or "."

    def _own_registration(self) -> ControllerImage:
        return ControllerImage(
            self.node_id,
            random_id(self._rng),
            self._settings.endpoints,
            tuple(
                (name, low, high) for name, (low, high) in sorted(self._settings.supported_features.items())
            ),
        )

    def _commit(self, records: list[Message]) -> None:
        """Append records of the controller's own; StorageError when that fails."""
        image, delta = self._append(records)
        self._enqueue(image, delta, None, _refuse_nothing)

    def flush(self) -> None:
        """Make everything durable now; blocks. Responses that waited for it are given before it returns."""
        self._log.flush()

    # State

    @property
    def image(self) -> MetadataImage:
        """The newest committed image."""
        return self._image

    @property
    def epoch(self) -> int:
        """The controller epoch: the leader epoch of the metadata quorum."""
        return self._leader.epoch

    @property
    def _leader(self) -> Node:
        if self._node is None:
            raise InvariantError("the controller was not started")
        return self._node

    def describe_quorum(self, request: DescribeQuorumRequest) -> DescribeQuorumResponse:
        """Who votes and how far everybody is."""
        return requests.describe_quorum(self._leader, request)

    def on_image(self, callback: ImageCallback) -> None:
        """Call `callback(image, delta)` for every commit, before the response that promises it is given."""
        self._callbacks.append(callback)

    # Requests

    def create_topics(self, request: CreateTopicsRequest, version: int) -> Deferred[CreateTopicsResponse]:
        return self._submit(
            lambda image: self._topics.create(image, request, version),
            lambda code, message=None: topics.refuse_create(request, code, message),
        )

    def auto_create_topics(self, names: Iterable[str]) -> Deferred[CreateTopicsResponse]:
        """Create what Metadata was asked for and is missing. A name that cannot be created is left out of
        existence; names on their way are not created twice."""
        brokers = len(self._latest.brokers)
        request = CreateTopicsRequest(
            topics=[
                as_creatable(name, self._broker_settings.topic_settings(name, brokers))
                for name in dict.fromkeys(names)
                if name not in self._latest.topics
            ],
            timeout=_AUTO_CREATE_TIMEOUT_MS,
        )
        return self.create_topics(request, 4)

    def create_partitions(
        self, request: CreatePartitionsRequest, version: int = 3
    ) -> Deferred[CreatePartitionsResponse]:
        return self._submit(
            lambda image: self._topics.create_partitions(image, request),
            lambda code, message=None: topics.refuse_create_partitions(request, code, message),
            entries=len(request.topics),
        )

    def delete_topics(self, request: DeleteTopicsRequest, version: int) -> Deferred[DeleteTopicsResponse]:
        return self._submit(
            lambda image: self._topics.delete(image, request, version),
            lambda code, message=None: topics.refuse_delete(request, code, message),
            entries=len(request.topics) + len(request.topic_names),
        )

    def incremental_alter_configs(
        self, request: IncrementalAlterConfigsRequest, version: int = 1
    ) -> Deferred[IncrementalAlterConfigsResponse]:
        return self._submit(
            lambda image: self._configs.alter_incrementally(image, request),
            lambda code, message=None: configs.refuse_incremental(request, code, message),
            entries=len(request.resources),
        )

    def alter_configs(self, request: AlterConfigsRequest, version: int = 2) -> Deferred[AlterConfigsResponse]:
        return self._submit(
            lambda image: self._configs.replace(image, request),
            lambda code, message=None: configs.refuse_replace(request, code, message),
            entries=len(request.resources),
        )

    def update_features(self, request: UpdateFeaturesRequest) -> Deferred[UpdateFeaturesResponse]:
        return self._submit(
            lambda image: features.update(
                image,
                request,
                supported=self._settings.supported_features,
                node_id=self.node_id,
                min_insync_replicas=str(self._broker_settings.static["min.insync.replicas"]),
            ),
            features.refuse_update,
            entries=len(request.feature_updates),
        )

    def allocate_producer_ids(self) -> Deferred[ProducerIdBlock]:
        """A block of ids that nobody else gets; (-1, 0) when it could not be written."""
        return self._submit(
            lambda image: producer_ids.allocate(image, self.node_id),
            lambda code, message=None: Decision([], ProducerIdBlock(-1, 0)),
        )

    def register_broker(self, request: BrokerRegistrationRequest) -> Deferred[BrokerRegistrationResponse]:
        """Register this broker's new incarnation. `previous_broker_epoch` is that of the clean-shutdown
        marker: without a matching one every partition gets a new leader epoch."""
        return self._submit(
            lambda image: brokers.register_own(
                image,
                request,
                next_offset=self._log.end_offset,
                config=self._broker_settings.of(image),
            ),
            lambda code, message=None: brokers.refuse_registration(code),
        )

    def fence_broker(self, broker_epoch: int) -> None:
        """This broker stops: so that whoever starts next, of whatever make, need not wait for the end of its
        session. Blocks. StorageError."""
        known = self._latest.brokers.get(self.node_id)
        if self._failure is None and known is not None and known.epoch == broker_epoch and not known.fenced:
            self._commit(
                [BrokerRegistrationChangeRecord(broker_id=self.node_id, broker_epoch=broker_epoch, fenced=1)]
            )
            self.flush()

    # Commit

    def _submit(
        self, decide: Callable[[MetadataImage], Decision[R]], refuse: _Refuse[R], entries: int = 1
    ) -> Deferred[R]:
        """`entries` is how many things the request names: each costs microseconds on the loop."""
        if entries > MAX_ENTRIES:
            return resolved(refuse(ErrorCode.POLICY_VIOLATION, TOO_MANY_RECORDS).response)
        if self._failure is not None:
            return resolved(refuse(ErrorCode.KAFKA_STORAGE_ERROR).response)
        decision = decide(self._latest)
        if not decision.records:
            if not self._pending:
                return resolved(decision.response)
            # It may have seen what is not committed yet, so it is given when that is.
            return self._enqueue(None, None, decision.response, refuse)
        try:
            image, delta = self._append(decision.records)
        except StorageError:
            return resolved(refuse(ErrorCode.KAFKA_STORAGE_ERROR).response)
        except _BatchTooLarge as error:
            return resolved(refuse(ErrorCode.POLICY_VIOLATION, str(error)).response)
        return self._enqueue(image, delta, decision.response, refuse)

    def _append(self, records: list[Message]) -> tuple[MetadataImage, MetadataDelta]:
        """Write one batch and make the image after it. Nothing has changed when it raises."""
        values = [bootstrap.encode(record) for record in records]
        size = sum(map(len, values))
        if size > MAX_BATCH_BYTES:
            raise _BatchTooLarge(
                f"The change needs a batch of {size} bytes, more than the limit of {MAX_BATCH_BYTES}."
            )
        node = self._leader
        _, last_offset = node.propose(values)
        self._bytes_since_snapshot += size + HEADER_SIZE
        builder = ImageBuilder(self._latest)
        for record in records:
            # A transaction within one batch is all there at once.
            if not isinstance(record, _TRANSACTION_FRAME):
                builder.replay(record)
        image, delta = builder.build(last_offset, node.epoch)
        self._latest = image
        self._topics.applied(delta)
        return image, delta

    def _enqueue(
        self, image: MetadataImage | None, delta: MetadataDelta | None, response: R, refuse: _Refuse[R]
    ) -> Deferred[R]:
        pending: _Pending[R] = _Pending(
            self._log.end_offset, image, delta, self._clock.wall_ms(), response, refuse
        )
        self._pending.append(pending)  # type: ignore[arg-type]
        self._log.request_flush()
        return pending.deferred

    def _durable(self, end_offset: int) -> None:
        """Everything below `end_offset` is synced."""
        node = self._leader
        node.persisted(end_offset)
        self._log.note_committed(node.high_watermark)
        if self._publishing:
            # A callback made the log flush: the loop that called it goes on with what is new.
            return
        self._publishing = True
        try:
            pending = self._pending
            while pending and pending[0].end_offset <= node.high_watermark:
                self._publish(pending.popleft())
        finally:
            self._publishing = False
        self._maybe_snapshot()

    def _publish(self, committed: _Pending[object]) -> None:
        if committed.image is not None and committed.delta is not None:
            self._image = committed.image
            self._image_timestamp_ms = committed.timestamp_ms
            for callback in self._callbacks:
                callback(committed.image, committed.delta)
        committed.deferred.resolve(committed.response)

    def storage_failed(self, error: BaseException) -> None:
        """The disk of the metadata log refused a sync: what waits is not committed, nor is anything new."""
        self._failure = error
        pending, self._pending = self._pending, deque()
        for entry in pending:
            entry.deferred.resolve(entry.refuse(ErrorCode.KAFKA_STORAGE_ERROR).response)

    # Snapshots

    def tick(self, now_ms: float) -> None:
        """Let time pass: a snapshot may be due."""
        interval_ms = self._snapshot_interval_ms
        if interval_ms and self._bytes_since_snapshot and now_ms - self._last_snapshot_ms >= interval_ms:
            self._maybe_snapshot(force=True)

    def _maybe_snapshot(self, *, force: bool = False) -> None:
        if self._snapshot_due or self._snapshot_under_way:
            return
        if force or self._bytes_since_snapshot > self._snapshot_bytes:
            self._snapshot_due = True
            if self.on_effects is not None:
                self.on_effects()

    @property
    def has_effect(self) -> bool:
        return self._snapshot_due

    def take_effect(self) -> Effect | None:
        """The next piece of blocking work apart from the flush of the log; None when there is none."""
        if not self._snapshot_due:
            return None
        self._snapshot_due = False
        self._snapshot_under_way = True
        self._bytes_since_snapshot = 0
        self._last_snapshot_ms = self._clock.monotonic_ms()
        content = ImageContent(self._image)
        snapshot = SnapshotId(content.offset + 1, content.epoch)
        batches = encode_snapshot(
            (bootstrap.encode(record) for record in image_records(content)),
            epoch=content.epoch,
            now_ms=self._clock.wall_ms(),
            last_timestamp_ms=self._image_timestamp_ms,
            control_records=voter_records([self._voter]) if KRAFT_VERSION in content.features else (),
        )
        return SnapshotEffect(self, self._files, f"{self._log.directory}/{snapshot.file_name}", batches)

    def snapshot_completed(self, error: BaseException | None) -> None:
        """The outcome of a snapshot (called by its effect only). After a failure one is due later again."""
        self._snapshot_under_way = False
        if error is None:
            found = list_snapshots(self._files, self._log.directory)
            for old in found[:-_KEPT_SNAPSHOTS]:
                self._files.remove(f"{self._log.directory}/{old.file_name}")
            # Should the newest one turn out to be damaged, the one before and the log after it are there.
            self._log.trim(found[-_KEPT_SNAPSHOTS:][0].end_offset)
            self._snapshots.refresh(found[-1])


class _BatchTooLarge(Exception):
    """A decision does not fit into one batch, so it cannot be atomic."""


def _refuse_nothing(code: int, message: str | None = None, /) -> Decision[None]:
    return Decision([], None)

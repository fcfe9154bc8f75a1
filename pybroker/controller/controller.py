"""The active controller: takes requests, decides on the latest state, proposes records to the quorum.

In: wire requests, and from the quorum that this node leads, that everything below an offset is committed,
that it does not lead any more. Out: Deferreds of responses. What must hold:

- a decision sees every decision before it, also those that are not committed yet; nobody else does;
- a response is given only when the records of its decision, and all that it may have seen, are committed;
- the image is published first (by the quorum), the response given second, so that a client finds what it was
  promised;
- several decisions before a flush share it;
- while this node does not lead, every request is answered NOT_CONTROLLER. What waits when the leadership is
  lost is answered so too: its records may still be committed, by the next leader, and are not written again.

A new kind of request is a decision function in its own module and a method here.
"""

from __future__ import annotations

import random
import sys
from collections import deque
from collections.abc import Callable, Iterable, Mapping
from functools import partial
from typing import Final, Generic, NamedTuple, Protocol, TypeVar

from pybroker.common.config import BrokerConfig
from pybroker.common.config.loggers import ProcessLoggers
from pybroker.common.deferred import Deferred, resolved
from pybroker.common.errors import ErrorCode, StorageError
from pybroker.common.files import FileSystem
from pybroker.common.timers import Timer
from pybroker.controller import (
    alter_partition,
    bootstrap,
    brokers,
    configs,
    directories,
    elections,
    features,
    producer_ids,
    reassignments,
    registration,
    topics,
)
from pybroker.controller.broker_settings import BrokerSettings
from pybroker.controller.brokers import HeartbeatDecision
from pybroker.controller.cluster_control import ClusterControl
from pybroker.controller.decision import Decision
from pybroker.controller.producer_ids import ProducerIdBlock
from pybroker.controller.quorum import MetadataQuorum, log_parent
from pybroker.controller.topics import TOO_MANY_RECORDS, TopicControl, as_creatable, random_id
from pybroker.metadata.delta import MetadataDelta
from pybroker.metadata.features import BOOTSTRAP_FEATURES, METADATA_VERSION, SUPPORTED_FEATURES
from pybroker.metadata.image import ControllerImage, EndpointImage, MetadataImage, empty_image
from pybroker.metadata.records import ImageBuilder, controller_record
from pybroker.wire.message import Message
from pybroker.wire.messages.allocate_producer_ids import (
    AllocateProducerIdsRequest,
    AllocateProducerIdsResponse,
)
from pybroker.wire.messages.alter_configs import AlterConfigsRequest, AlterConfigsResponse
from pybroker.wire.messages.alter_partition import AlterPartitionRequest, AlterPartitionResponse
from pybroker.wire.messages.alter_partition_reassignments import (
    AlterPartitionReassignmentsRequest,
    AlterPartitionReassignmentsResponse,
)
from pybroker.wire.messages.assign_replicas_to_dirs import (
    AssignReplicasToDirsRequest,
    AssignReplicasToDirsResponse,
)
from pybroker.wire.messages.broker_heartbeat import BrokerHeartbeatRequest, BrokerHeartbeatResponse
from pybroker.wire.messages.broker_registration import (
    BrokerRegistrationRequest,
    BrokerRegistrationResponse,
)
from pybroker.wire.messages.controller_registration import (
    ControllerRegistrationRequest,
    ControllerRegistrationResponse,
)
from pybroker.wire.messages.create_partitions import CreatePartitionsRequest, CreatePartitionsResponse
from pybroker.wire.messages.create_topics import CreateTopicsRequest, CreateTopicsResponse
from pybroker.wire.messages.delete_topics import DeleteTopicsRequest, DeleteTopicsResponse
from pybroker.wire.messages.elect_leaders import ElectLeadersRequest, ElectLeadersResponse
from pybroker.wire.messages.incremental_alter_configs import (
    IncrementalAlterConfigsRequest,
    IncrementalAlterConfigsResponse,
)
from pybroker.wire.messages.list_partition_reassignments import (
    ListPartitionReassignmentsRequest,
    ListPartitionReassignmentsResponse,
)
from pybroker.wire.messages.unregister_broker import UnregisterBrokerRequest, UnregisterBrokerResponse
from pybroker.wire.messages.update_features import UpdateFeaturesRequest, UpdateFeaturesResponse
from pybroker.wire.schemas.metadata_records import (
    AbortTransactionRecord,
    BeginTransactionRecord,
    BrokerRegistrationChangeRecord,
    EndTransactionRecord,
    PartitionRecord,
)

R = TypeVar("R")

MAX_ENTRIES: Final = 10_000
"""Kafka's limit for the records of one request, which is what as many entries would become."""
MAX_BATCH_BYTES: Final = 8 * 1024 * 1024
MAX_BATCH_RECORDS: Final = 5_000
"""Of a decision that need not be atomic."""
_MAKING_MS: Final = 100
"""How long an answer waits for the partitions to be there; Kafka's does not wait at all."""
_TRANSACTION_FRAME: Final = (BeginTransactionRecord, EndTransactionRecord, AbortTransactionRecord)
_AUTO_CREATE_TIMEOUT_MS: Final = 30_000


class ControllerSettings(NamedTuple):
    """What does not change while the controller runs and is not in the properties file."""

    endpoints: tuple[EndpointImage, ...] = ()
    """The controller's own listeners."""
    features: Mapping[str, int] = BOOTSTRAP_FEATURES
    """Finalized by the first start of a cluster."""
    supported_features: Mapping[str, tuple[int, int]] = SUPPORTED_FEATURES


class _Refuse(Protocol[R]):
    def __call__(self, code: int, message: str | None = None, /) -> Decision[R]: ...


class _Pending(Generic[R]):
    """A decision whose records are appended and not committed, or that has seen such records."""

    __slots__ = ("deferred", "end_offset", "makes_partitions", "refuse", "response")

    def __init__(self, end_offset: int, response: R, refuse: Callable[[int], Decision[R]]) -> None:
        self.end_offset = end_offset
        self.makes_partitions = False
        self.response = response
        self.refuse = refuse
        self.deferred: Deferred[R] = Deferred()


class Controller:
    """The controller of this node, active while the quorum says so. Requests are answered by Deferreds."""

    def __init__(
        self,
        settings: ControllerSettings,
        *,
        quorum: MetadataQuorum,
        files: FileSystem,
        rng: random.Random,
        config: BrokerConfig,
    ) -> None:
        """To be made before the quorum is started."""
        self.node_id = config.node_id
        self._settings = settings
        self._quorum = quorum
        self._files = files
        self._rng = rng
        self._broker_settings = BrokerSettings(config)
        self._topics = TopicControl(self._broker_settings, rng)
        self.configs = configs.ConfigControl(self._broker_settings, ProcessLoggers())
        local = self.node_id if "broker" in config["process.roles"] else None
        self._cluster = ClusterControl(self._broker_settings, quorum.clock, local)
        self._tick_timer: Timer | None = None
        self._own: ControllerImage | None = None
        # The state with everything that this leader has appended, committed or not.
        self._latest = empty_image(quorum.options.cluster_id)
        self._pending: deque[_Pending[object]] = deque()
        # Committed, and this node's broker is still making the partitions.
        self._in_the_making: deque[_Pending[object]] = deque()
        self.applied_end: Callable[[], int] = lambda: sys.maxsize
        quorum.lead_with(self)

    # The leadership; called by the quorum only

    def gained(self) -> None:
        """Begin with what is committed; a new cluster gets its first records. StorageError."""
        self._latest = self._quorum.image
        self._topics = TopicControl(self._broker_settings, self._rng)
        self._topics.load(self._latest)
        if METADATA_VERSION not in self._latest.features:
            parent = log_parent(self._quorum.log)
            found = bootstrap.load_bootstrap(self._files, parent, self._settings.supported_features)
            features, credentials = found or (self._settings.features, [])
            minimum = str(self._broker_settings.static["min.insync.replicas"])
            self._commit(bootstrap.bootstrap_records(features, minimum, credentials))
        own = self.own_registration
        if self._latest.controllers.get(self.node_id) != own:
            self._commit([controller_record(own)])
        self._cluster.gained(self._latest)
        self._schedule_tick()

    def lost(self, code: ErrorCode) -> None:
        """Answer what waits with `code`, and forget what is not committed."""
        if self._tick_timer is not None:
            self._tick_timer.cancel()
            self._tick_timer = None
        pending, self._pending = self._pending, deque()
        self._latest = self._quorum.image
        for entry in pending:
            entry.deferred.resolve(entry.refuse(code).response)

    def committed(self, end_offset: int) -> None:
        """Everything below is committed and published."""
        pending = self._pending
        applied_end = self.applied_end()
        while pending and pending[0].end_offset <= end_offset:
            entry = pending.popleft()
            if entry.makes_partitions and entry.end_offset > applied_end:
                self._in_the_making.append(entry)
                due_ms = self._quorum.clock.monotonic_ms() + _MAKING_MS
                self._quorum.timers.schedule(due_ms, partial(self._answer_made, entry.end_offset))
            else:
                entry.deferred.resolve(entry.response)

    def applied(self) -> None:
        """This node's broker has come to `applied_end`: what it made can be used at once."""
        self._answer_made(self.applied_end())

    def _answer_made(self, end_offset: int) -> None:
        waiting = self._in_the_making
        while waiting and waiting[0].end_offset <= end_offset:
            entry = waiting.popleft()
            entry.deferred.resolve(entry.response)

    @property
    def own_registration(self) -> ControllerImage:
        """This controller's incarnation, as it registers."""
        if self._own is None:
            supported = sorted(self._settings.supported_features.items())
            self._own = ControllerImage(
                self.node_id,
                random_id(self._rng),
                self._settings.endpoints,
                tuple((name, low, high) for name, (low, high) in supported),
            )
        return self._own

    # State

    @property
    def active(self) -> bool:
        """Whether this is the controller to ask."""
        return self._quorum.is_active

    @property
    def image(self) -> MetadataImage:
        """The newest committed image."""
        return self._quorum.image

    @property
    def epoch(self) -> int:
        """The controller epoch: the leader epoch of the metadata quorum."""
        return self._quorum.epoch

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
        self, request: IncrementalAlterConfigsRequest, version: int = 1, *, from_client: bool = True
    ) -> Deferred[IncrementalAlterConfigsResponse]:
        """`from_client`: of the broker in this process, which has a say in it."""
        return self._submit(
            lambda image: self.configs.alter_incrementally(image, request, from_client=from_client),
            lambda code, message=None: configs.refuse_incremental(request, code, message),
            entries=len(request.resources),
        )

    def alter_configs(
        self, request: AlterConfigsRequest, version: int = 2, *, from_client: bool = True
    ) -> Deferred[AlterConfigsResponse]:
        return self._submit(
            lambda image: self.configs.replace(image, request, from_client=from_client),
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

    def allocate_producer_ids_for(
        self, request: AllocateProducerIdsRequest
    ) -> Deferred[AllocateProducerIdsResponse]:
        """A block for any broker."""
        return self._submit(lambda image: producer_ids.allocate_for(image, request), producer_ids.refuse)

    # Requests about brokers

    def register_broker(
        self, request: BrokerRegistrationRequest, version: int
    ) -> Deferred[BrokerRegistrationResponse]:
        return self._submit(
            lambda image: self._cluster.register(image, request, version, self._quorum.next_offset),
            brokers.refuse_registration,
        )

    def register_controller(
        self, request: ControllerRegistrationRequest
    ) -> Deferred[ControllerRegistrationResponse]:
        """Of another node: this one has registered itself when it became active."""
        return self._submit(lambda image: registration.register(image, request), registration.refuse)

    def broker_heartbeat(self, request: BrokerHeartbeatRequest) -> Deferred[BrokerHeartbeatResponse]:
        decided: HeartbeatDecision | None = None

        def decide(image: MetadataImage) -> Decision[BrokerHeartbeatResponse]:
            nonlocal decided
            decided = self._cluster.heartbeat(image, request)
            return decided.decision

        answer = self._submit(decide, brokers.refuse_heartbeat)
        if decided is not None and self.active:
            self._cluster.heartbeat_appended(request, decided, self._quorum.next_offset - 1)
            self._schedule_tick()
        return answer

    def unregister_broker(self, request: UnregisterBrokerRequest) -> Deferred[UnregisterBrokerResponse]:
        return self._submit(
            lambda image: self._cluster.unregister(image, request), brokers.refuse_unregistration
        )

    def register_own_broker(self, request: BrokerRegistrationRequest) -> Deferred[BrokerRegistrationResponse]:
        """Register the broker of this process with the controller that is the whole quorum, ready to serve in
        one step. `previous_broker_epoch` is that of the clean-shutdown marker: without a matching one every
        partition gets a new leader epoch."""
        return self._submit(
            lambda image: brokers.register_own(
                image,
                request,
                next_offset=self._quorum.next_offset,
                config=self._broker_settings.of(image),
            ),
            brokers.refuse_registration,
        )

    def fence_broker(self, broker_epoch: int) -> None:
        """This broker stops: so that whoever starts next, of whatever make, need not wait for the end of its
        session. Blocks. StorageError."""
        known = self._latest.brokers.get(self.node_id)
        if self.active and known is not None and known.epoch == broker_epoch and not known.fenced:
            self._commit(
                [BrokerRegistrationChangeRecord(broker_id=self.node_id, broker_epoch=broker_epoch, fenced=1)]
            )
            self._quorum.flush()

    # Requests about partitions

    def alter_partition(
        self, request: AlterPartitionRequest, version: int
    ) -> Deferred[AlterPartitionResponse]:
        return self._submit(
            lambda image: self._cluster.alter_partition(image, request, version), alter_partition.refuse
        )

    def elect_leaders(self, request: ElectLeadersRequest) -> Deferred[ElectLeadersResponse]:
        return self._submit(
            lambda image: self._cluster.elect_leaders(image, request),
            lambda code, message=None: elections.refuse_election(request, code, message),
            entries=sum(len(topic.partitions) for topic in request.topic_partitions or ()),
        )

    def alter_partition_reassignments(
        self, request: AlterPartitionReassignmentsRequest
    ) -> Deferred[AlterPartitionReassignmentsResponse]:
        return self._submit(
            lambda image: self._cluster.alter_reassignments(image, request),
            lambda code, message=None: reassignments.refuse_alter(request, code, message),
            entries=sum(len(topic.partitions) for topic in request.topics),
        )

    def list_partition_reassignments(
        self, request: ListPartitionReassignmentsRequest
    ) -> Deferred[ListPartitionReassignmentsResponse]:
        return self._submit(
            lambda image: reassignments.list_ongoing(image, request), reassignments.refuse_list
        )

    def assign_replicas_to_dirs(
        self, request: AssignReplicasToDirsRequest
    ) -> Deferred[AssignReplicasToDirsResponse]:
        return self._submit(
            lambda image: self._cluster.assign_directories(image, request), directories.refuse
        )

    # Time

    def _schedule_tick(self) -> None:
        due_ms = self._cluster.next_due_ms
        timer = self._tick_timer
        if timer is not None:
            if timer.callback is not None and timer.deadline_ms <= due_ms:
                return
            timer.cancel()
        self._tick_timer = self._quorum.timers.schedule(due_ms, self._tick)

    def _tick(self) -> None:
        """Do what is due by time. What cannot be written now is found due again later."""
        for decide in self._cluster.take_due(self._quorum.clock.monotonic_ms()):
            self._submit(decide, _refuse_nothing)
        if self.active:
            self._schedule_tick()

    # Commit

    def _submit(
        self, decide: Callable[[MetadataImage], Decision[R]], refuse: _Refuse[R], entries: int = 1
    ) -> Deferred[R]:
        """`entries` is how many things the request names: each costs microseconds on the loop."""
        if entries > MAX_ENTRIES:
            return resolved(refuse(ErrorCode.POLICY_VIOLATION, TOO_MANY_RECORDS).response)
        if not self.active:
            # An operator must see that it is the disk, not a matter of asking somebody else.
            failed = self._quorum.failure is not None
            code = ErrorCode.KAFKA_STORAGE_ERROR if failed else ErrorCode.NOT_CONTROLLER
            return resolved(refuse(code).response)
        decision = decide(self._latest)
        if not decision.records and not self._pending:
            return resolved(decision.response)
        pending: _Pending[R] = _Pending(0, decision.response, refuse)
        if decision.records:
            try:
                records = decision.records
                if not decision.atomic:
                    while len(records) > MAX_BATCH_RECORDS:
                        self._commit(records[:MAX_BATCH_RECORDS])
                        records = records[MAX_BATCH_RECORDS:]
                self._append(records, pending)  # type: ignore[arg-type]
            except StorageError:
                return resolved(refuse(ErrorCode.KAFKA_STORAGE_ERROR).response)
            except _BatchTooLarge as error:
                return resolved(refuse(ErrorCode.POLICY_VIOLATION, str(error)).response)
        else:
            # It may have seen what is not committed yet, so it is given when that is.
            self._wait(pending)  # type: ignore[arg-type]
        return pending.deferred

    def _commit(self, records: list[Message]) -> None:
        """Append records of the controller's own; StorageError when that fails."""
        self._append(records, _Pending(0, None, lambda code: Decision([], None)))

    def _append(self, records: list[Message], pending: _Pending[object]) -> None:
        """Write one batch and make the image after it. Nothing has changed when it raises."""
        pending.makes_partitions = any(isinstance(record, PartitionRecord) for record in records)
        values = [bootstrap.encode(record) for record in records]
        size = sum(map(len, values))
        if size > MAX_BATCH_BYTES:
            raise _BatchTooLarge(
                f"The change needs a batch of {size} bytes, more than the limit of {MAX_BATCH_BYTES}."
            )
        builder = ImageBuilder(self._latest)

        def apply(last_offset: int, epoch: int) -> tuple[MetadataImage, MetadataDelta]:
            for record in records:
                # A transaction within one batch is all there at once.
                if not isinstance(record, _TRANSACTION_FRAME):
                    builder.replay(record)
            image, delta = builder.build(last_offset, epoch)
            self._latest = image
            self._topics.applied(delta)
            self._wait(pending)
            return image, delta

        self._quorum.propose(values, apply)

    def _wait(self, pending: _Pending[object]) -> None:
        """Answer it when all that is appended so far is committed."""
        pending.end_offset = self._quorum.next_offset
        self._pending.append(pending)


class _BatchTooLarge(Exception):
    """A decision does not fit into one batch, so it cannot be atomic."""


def _refuse_nothing(code: int, message: str | None = None, /) -> Decision[None]:
    return Decision([], None)

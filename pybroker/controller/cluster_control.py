"""What the active controller decides about brokers and partitions: requests, and what is due by time.

In: the latest image, requests, the clock. Out: decisions. What must hold: all that is here beside the image
is soft state, which a new active controller begins anew (`gained`); what falls due is found out by looking at
the image when it does, so nothing is missed by a change of controllers.

The decisions themselves are functions in the modules that they are called from here.
"""

from __future__ import annotations

from collections.abc import Callable

from pybroker.common.clock import Clock
from pybroker.common.config import BrokerConfig
from pybroker.controller import alter_partition, brokers, directories, elections, reassignments
from pybroker.controller.broker_settings import BrokerSettings
from pybroker.controller.brokers import HeartbeatDecision
from pybroker.controller.decision import Decision
from pybroker.controller.heartbeats import BrokerSessions
from pybroker.metadata.image import MetadataImage
from pybroker.wire.messages.alter_partition import AlterPartitionRequest, AlterPartitionResponse
from pybroker.wire.messages.alter_partition_reassignments import (
    AlterPartitionReassignmentsRequest,
    AlterPartitionReassignmentsResponse,
)
from pybroker.wire.messages.assign_replicas_to_dirs import (
    AssignReplicasToDirsRequest,
    AssignReplicasToDirsResponse,
)
from pybroker.wire.messages.broker_heartbeat import BrokerHeartbeatRequest
from pybroker.wire.messages.broker_registration import (
    BrokerRegistrationRequest,
    BrokerRegistrationResponse,
)
from pybroker.wire.messages.elect_leaders import ElectLeadersRequest, ElectLeadersResponse
from pybroker.wire.messages.unregister_broker import UnregisterBrokerRequest, UnregisterBrokerResponse

Decide = Callable[[MetadataImage], Decision[None]]


class ClusterControl:
    """Times in milliseconds of the monotonic clock."""

    __slots__ = (
        "_balance_interval_ms",
        "_balance_ms",
        "_check_ms",
        "_clock",
        "_settings",
        "_unclean_interval_ms",
        "_unclean_ms",
        "sessions",
    )

    def __init__(self, settings: BrokerSettings, clock: Clock, local: int | None) -> None:
        """`local` is the broker in this process, None when there is none."""
        config = settings.static
        self.sessions = BrokerSessions(config["broker.session.timeout.ms"], local)
        self._settings = settings
        self._clock = clock
        self._balance_interval_ms: int | None = (
            config["leader.imbalance.check.interval.seconds"] * 1000
            if config["auto.leader.rebalance.enable"]
            else None
        )
        self._unclean_interval_ms: int = config["unclean.leader.election.interval.ms"]
        self._check_ms = self._balance_ms = self._unclean_ms = 0.0

    def gained(self, image: MetadataImage) -> None:
        """This controller is the active one now."""
        now_ms = self._clock.monotonic_ms()
        self.sessions.activate(image, now_ms)
        self._check_ms = now_ms + self.sessions.check_interval_ms
        self._balance_ms = now_ms + (self._balance_interval_ms or 0)
        self._unclean_ms = now_ms + self._unclean_interval_ms

    def _config(self, image: MetadataImage) -> BrokerConfig:
        return self._settings.of(image)

    # Brokers

    def register(
        self, image: MetadataImage, request: BrokerRegistrationRequest, version: int, next_offset: int
    ) -> Decision[BrokerRegistrationResponse]:
        known = image.brokers.get(request.broker_id)
        now_ms = self._clock.monotonic_ms()
        return brokers.register(
            image,
            request,
            version,
            next_offset=next_offset,
            session_is_valid=known is not None
            and self.sessions.is_valid(known.broker_id, known.epoch, now_ms),
            config=self._config(image),
        )

    def heartbeat(self, image: MetadataImage, request: BrokerHeartbeatRequest) -> HeartbeatDecision:
        broker = image.brokers.get(request.broker_id)
        if broker is not None and broker.epoch == request.broker_epoch:
            self.sessions.touch(broker.broker_id, broker.epoch, self._clock.monotonic_ms())
            self.sessions.reached(broker.broker_id, request.current_metadata_offset)
        return brokers.heartbeat(image, request, self.sessions, self._config(image))

    def heartbeat_appended(
        self, request: BrokerHeartbeatRequest, decided: HeartbeatDecision, last_offset: int
    ) -> None:
        """What the heartbeat brought about is in the log up to `last_offset`."""
        if decided.in_controlled_shutdown:
            self.sessions.begin_controlled_shutdown(request.broker_id, last_offset)
        elif decided.decision.response.should_shut_down:
            # It takes its leave: the next incarnation need not wait for the end of this session.
            self.sessions.end(request.broker_id)

    def unregister(
        self, image: MetadataImage, request: UnregisterBrokerRequest
    ) -> Decision[UnregisterBrokerResponse]:
        return brokers.unregister(image, request, self._config(image))

    # Partitions

    def alter_partition(
        self, image: MetadataImage, request: AlterPartitionRequest, version: int
    ) -> Decision[AlterPartitionResponse]:
        return alter_partition.alter(image, request, version, self._config(image))

    def elect_leaders(
        self, image: MetadataImage, request: ElectLeadersRequest
    ) -> Decision[ElectLeadersResponse]:
        return elections.elect(image, request, self._config(image))

    def alter_reassignments(
        self, image: MetadataImage, request: AlterPartitionReassignmentsRequest
    ) -> Decision[AlterPartitionReassignmentsResponse]:
        return reassignments.alter(image, request, self._config(image))

    def assign_directories(
        self, image: MetadataImage, request: AssignReplicasToDirsRequest
    ) -> Decision[AssignReplicasToDirsResponse]:
        return directories.assign(image, request, self._config(image))

    # Time

    @property
    def next_due_ms(self) -> float:
        """When `take_due` is to be called next."""
        due_ms = self._unclean_ms
        if self._balance_interval_ms is not None:
            due_ms = min(due_ms, self._balance_ms)
        return min(due_ms, self._check_ms) if self.sessions.watched else due_ms

    def take_due(self, now_ms: float) -> list[Decide]:
        """Decisions to be made now, in this order, each on the image that the one before has left."""
        due: list[Decide] = []
        if now_ms >= self._check_ms:
            # One at a time: it may concern thousands of partitions, and others wait meanwhile.
            over = self.sessions.take_expired(now_ms)
            if over is not None:
                due.append(self._fencing(*over))
            self._check_ms = self.sessions.next_check_ms(now_ms)
        if self._balance_interval_ms is not None and now_ms >= self._balance_ms:
            self._balance_ms = now_ms + self._balance_interval_ms
            due.append(self._balance)
        if now_ms >= self._unclean_ms:
            self._unclean_ms = now_ms + self._unclean_interval_ms
            due.append(self._recover_uncleanly)
        return due

    def _fencing(self, broker_id: int, broker_epoch: int) -> Decide:
        return lambda image: brokers.fence_expired(image, broker_id, broker_epoch, self._config(image))

    def _balance(self, image: MetadataImage) -> Decision[None]:
        records = elections.balance(image, self._config(image))
        if len(records) >= elections.MAX_TIMED_ELECTIONS:
            # There may be more: at the next tick.
            self._balance_ms = 0.0
        return Decision(records, None, atomic=False)

    def _recover_uncleanly(self, image: MetadataImage) -> Decision[None]:
        records = elections.recover_uncleanly(image, self._config(image))
        if len(records) >= elections.MAX_TIMED_ELECTIONS:
            self._unclean_ms = 0.0
        return Decision(records, None, atomic=False)

"""Decisions about brokers: registration, heartbeats, fencing, controlled shutdown, removal.

In: the latest image, a request, what the sessions say. Out: a `Decision`. What must hold: a broker's epoch is
the offset of its registration record; a fenced broker leads nothing and is in sync nowhere (without ELR the
last in-sync replica stays listed); an incarnation that may have lost what it had not flushed is out of the
in-sync and eligible replicas before it may lead again (KIP-966).

The exception is the broker in the process of a controller that is the whole quorum: nobody has to wait for a
session to end, so its new incarnation is registered, unfenced and elected in one batch (`register_own`).
"""

from __future__ import annotations

from typing import NamedTuple

from pybroker.common.config import BrokerConfig
from pybroker.common.errors import ApiError, ErrorCode
from pybroker.controller.decision import Decision
from pybroker.controller.heartbeats import BrokerSessions
from pybroker.controller.partition_changes import (
    PartitionChanges,
    in_sync,
    in_sync_or_eligible,
    led_by,
    without_leader,
)
from pybroker.controller.partitions import RECOVERED
from pybroker.metadata.features import CARRIED_FEATURES, ELIGIBLE_LEADER_REPLICAS, METADATA_VERSION
from pybroker.metadata.image import BrokerImage, EndpointImage, MetadataImage, PartitionImage
from pybroker.metadata.records import broker_record
from pybroker.wire.message import Message
from pybroker.wire.messages.broker_heartbeat import BrokerHeartbeatRequest, BrokerHeartbeatResponse
from pybroker.wire.messages.broker_registration import (
    BrokerRegistrationRequest,
    BrokerRegistrationResponse,
)
from pybroker.wire.messages.unregister_broker import UnregisterBrokerRequest, UnregisterBrokerResponse
from pybroker.wire.schemas.metadata_records import (
    BrokerRegistrationChangeRecord,
    PartitionChangeRecord,
    UnregisterBrokerRecord,
)

_RESERVED_DIRECTORIES = 100
"""Directory ids below this number mean something else than a directory."""
_CLEAN_SHUTDOWN_FROM = 3
"""The version of the request that tells the epoch of the incarnation that stopped cleanly."""


def check_broker_epoch(image: MetadataImage, broker_id: int, broker_epoch: int) -> BrokerImage:
    """The registration a request is made under. ApiError when it is not the present one."""
    broker = image.brokers.get(broker_id)
    if broker is None:
        raise ApiError(
            ErrorCode.STALE_BROKER_EPOCH, f"No broker registration found for broker id {broker_id}"
        )
    if broker.epoch != broker_epoch:
        raise ApiError(
            ErrorCode.STALE_BROKER_EPOCH,
            f"Expected broker epoch {broker.epoch}, but got broker epoch {broker_epoch}",
        )
    return broker


# Registration


def register(
    image: MetadataImage,
    request: BrokerRegistrationRequest,
    version: int,
    *,
    next_offset: int,
    session_is_valid: bool,
    config: BrokerConfig,
) -> Decision[BrokerRegistrationResponse]:
    """`next_offset` is the offset of the decision's first record; `session_is_valid` says whether the
    registered incarnation of this broker was heard of within its session's time."""
    known = image.brokers.get(request.broker_id)
    new_incarnation = known is None or known.incarnation_id != request.incarnation_id
    try:
        if new_incarnation and session_is_valid:
            _check_cluster(image, request)
            raise ApiError(
                ErrorCode.DUPLICATE_BROKER_REGISTRATION, "Another broker is registered with that broker id."
            )
        _check_registration(image, request)
    except ApiError as error:
        return refuse_registration(error.code, error.message)
    if known is not None and not new_incarnation:
        broker = _registered(request, known.epoch)._replace(
            fenced=known.fenced, in_controlled_shutdown=known.in_controlled_shutdown
        )
        return Decision([broker_record(broker)], BrokerRegistrationResponse(broker_epoch=broker.epoch))
    changes = PartitionChanges(image, config)
    clean = (
        known is not None and version >= _CLEAN_SHUTDOWN_FROM and request.previous_broker_epoch == known.epoch
    )
    _leave(image, changes, request.broker_id, clean=clean)
    records = changes.records
    broker = _registered(request, next_offset + len(records))
    records.append(broker_record(broker))
    return Decision(records, BrokerRegistrationResponse(broker_epoch=broker.epoch), atomic=False)


def _check_cluster(image: MetadataImage, request: BrokerRegistrationRequest) -> None:
    if request.cluster_id != image.cluster_id:
        raise ApiError(
            ErrorCode.INCONSISTENT_CLUSTER_ID,
            f"Expected cluster ID {image.cluster_id}, but got cluster ID {request.cluster_id}",
        )


def _check_registration(image: MetadataImage, request: BrokerRegistrationRequest) -> None:
    _check_cluster(image, request)
    if request.is_migrating_zk_broker:
        raise ApiError(
            ErrorCode.BROKER_ID_NOT_REGISTERED, "Controller does not support registering ZK brokers."
        )
    _check_directories(image, request)
    invalid = ErrorCode.INVALID_REGISTRATION
    ranges = {f.name: (f.min_supported_version, f.max_supported_version) for f in request.features}
    for name, (low, high) in ranges.items():
        _check_feature(image, name, low, high)
    if METADATA_VERSION not in ranges:
        raise ApiError(invalid, "Request features do not contain 'metadata.version'")
    for name, level in image.features.items():
        if name not in ranges and level > CARRIED_FEATURES.get(name, 0):
            _check_feature(image, name, 0, 0)


def _check_directories(image: MetadataImage, request: BrokerRegistrationRequest) -> None:
    invalid = ErrorCode.INVALID_REGISTRATION
    if not request.log_dirs:
        raise ApiError(invalid, "No directories specified in request")
    if any(int.from_bytes(directory, "big") < _RESERVED_DIRECTORIES for directory in request.log_dirs):
        raise ApiError(invalid, "Reserved directory ID in request")
    wanted = set(request.log_dirs)
    if len(wanted) < len(request.log_dirs):
        raise ApiError(invalid, "Duplicate directory ID in request")
    for other in image.brokers.values():
        if other.broker_id != request.broker_id and not wanted.isdisjoint(other.log_dirs):
            raise ApiError(
                invalid, f"Broker {other.broker_id} is already registered with a directory of the request"
            )


def _check_feature(image: MetadataImage, name: str, low: int, high: int) -> None:
    level = image.features.get(name, 0)
    if not low <= level <= high:
        raise ApiError(
            ErrorCode.UNSUPPORTED_VERSION,
            f"Unable to register because the broker does not support finalized version {level} of {name}. "
            f"The broker wants a version between {low} and {high}, inclusive.",
        )


def _registered(request: BrokerRegistrationRequest, epoch: int) -> BrokerImage:
    """A new incarnation, fenced until its first heartbeats."""
    return BrokerImage(
        broker_id=request.broker_id,
        epoch=epoch,
        incarnation_id=request.incarnation_id,
        endpoints=tuple(
            EndpointImage(listener.name, listener.host, listener.port, listener.security_protocol)
            for listener in request.listeners
        ),
        features=tuple(
            sorted((f.name, f.min_supported_version, f.max_supported_version) for f in request.features)
        ),
        rack=request.rack,
        fenced=True,
        in_controlled_shutdown=False,
        log_dirs=tuple(request.log_dirs),
    )


def _leave(image: MetadataImage, changes: PartitionChanges, broker_id: int, *, clean: bool) -> None:
    """What the incarnation before leaves behind. Without ELR nothing tells whether it lost anything."""
    if clean or not image.features.get(ELIGIBLE_LEADER_REPLICAS):
        changes.react(changes.partitions(in_sync(broker_id)), gone=broker_id)
    else:
        changes.react(changes.partitions(in_sync_or_eligible(broker_id)), unclean=broker_id)


def refuse_registration(code: int, message: str | None = None) -> Decision[BrokerRegistrationResponse]:
    """The response has no place for the message."""
    return Decision([], BrokerRegistrationResponse(error_code=code))


def register_own(
    image: MetadataImage, request: BrokerRegistrationRequest, *, next_offset: int, config: BrokerConfig
) -> Decision[BrokerRegistrationResponse]:
    """The broker in the process of the only controller, ready to serve in one batch.

    Of a partition that nobody else holds its fencing and its election are one record: only the leader epoch
    tells that it was away, and only when it may have lost records, so that consumers notice (KIP-320).
    """
    try:
        _check_registration(image, request)
    except ApiError as error:
        return refuse_registration(error.code, error.message)
    broker_id = request.broker_id
    known = image.brokers.get(broker_id)
    clean = known is not None and request.previous_broker_epoch == known.epoch
    alone = (broker_id,)
    changes = PartitionChanges(image, config)

    def shared(partition: PartitionImage) -> bool:
        return partition.replicas != alone

    with_others = [
        (topic, index)
        for topic, index in changes.partitions(in_sync_or_eligible(broker_id))
        if shared(topic.partitions[index])
    ]
    if clean or not image.features.get(ELIGIBLE_LEADER_REPLICAS):
        changes.react(with_others, gone=broker_id)
    else:
        changes.react(with_others, unclean=broker_id)
    records = changes.records
    broker = _registered(request, next_offset + len(records))
    records.append(broker_record(broker))
    records.append(
        BrokerRegistrationChangeRecord(broker_id=broker_id, broker_epoch=broker.epoch, cordoned_log_dirs=[])
    )
    records.append(_fencing(broker, -1))
    for topic in image.topics.values():
        for index, partition in enumerate(topic.partitions):
            if partition.replicas != alone:
                continue
            record = _elected_alone(topic.topic_id, index, partition, broker_id, clean=clean)
            if record is not None:
                records.append(record)
    changes.react(
        (
            (topic, index)
            for topic, index in changes.partitions(without_leader)
            if shared(topic.partitions[index])
        ),
        back=broker_id,
    )
    return Decision(records, BrokerRegistrationResponse(broker_epoch=broker.epoch), atomic=False)


def _elected_alone(
    topic_id: bytes, index: int, partition: PartitionImage, broker_id: int, *, clean: bool
) -> PartitionChangeRecord | None:
    if partition.leader == broker_id:
        if clean:
            return None
        return PartitionChangeRecord(partition_id=index, topic_id=topic_id, leader=broker_id)
    return PartitionChangeRecord(
        partition_id=index,
        topic_id=topic_id,
        leader=broker_id,
        isr=[broker_id],
        eligible_leader_replicas=[] if partition.eligible_leader_replicas else None,
        last_known_elr=[] if partition.last_known_elr else None,
        leader_recovery_state=RECOVERED if partition.leader_recovery_state else -1,
    )


# Fencing


def _fencing(broker: BrokerImage, fenced: int) -> BrokerRegistrationChangeRecord:
    """1 fences, -1 lifts it."""
    return BrokerRegistrationChangeRecord(
        broker_id=broker.broker_id, broker_epoch=broker.epoch, fenced=fenced
    )


def fence(image: MetadataImage, broker: BrokerImage, config: BrokerConfig) -> list[Message]:
    """The broker leaves every leadership and every ISR; nothing when it is fenced already."""
    if broker.fenced:
        return []
    changes = PartitionChanges(image, config)
    changes.react(changes.partitions(in_sync(broker.broker_id)), gone=broker.broker_id)
    return [*changes.records, _fencing(broker, 1)]


def fence_expired(
    image: MetadataImage, broker_id: int, broker_epoch: int, config: BrokerConfig
) -> Decision[None]:
    """Fence a broker whose session is over. Nothing when it has registered anew since then, or is gone.

    One at a time: nobody may be elected who is about to be fenced too."""
    broker = image.brokers.get(broker_id)
    if broker is None or broker.epoch != broker_epoch:
        return Decision([], None)
    return Decision(fence(image, broker, config), None, atomic=False)


def _unfence(image: MetadataImage, broker: BrokerImage, config: BrokerConfig) -> list[Message]:
    changes = PartitionChanges(image, config)
    changes.records.append(_fencing(broker, -1))
    changes.react(changes.partitions(without_leader), back=broker.broker_id)
    return changes.records


def _begin_controlled_shutdown(
    image: MetadataImage, broker: BrokerImage, config: BrokerConfig
) -> list[Message]:
    changes = PartitionChanges(image, config)
    if not broker.in_controlled_shutdown:
        changes.records.append(
            BrokerRegistrationChangeRecord(
                broker_id=broker.broker_id, broker_epoch=broker.epoch, in_controlled_shutdown=1
            )
        )
    changes.react(changes.partitions(in_sync(broker.broker_id)), gone=broker.broker_id)
    return changes.records


def unregister(
    image: MetadataImage, request: UnregisterBrokerRequest, config: BrokerConfig
) -> Decision[UnregisterBrokerResponse]:
    """A broker that is not to come back; it stays the replica of its partitions until they are reassigned."""
    broker = image.brokers.get(request.broker_id)
    if broker is None:
        return refuse_unregistration(
            ErrorCode.BROKER_ID_NOT_REGISTERED, f"Broker ID {request.broker_id} is not currently registered"
        )
    changes = PartitionChanges(image, config)
    # Whoever registers with this id next starts anew, so what this one holds is nothing to count on.
    changes.react(changes.partitions(in_sync_or_eligible(broker.broker_id)), unclean=broker.broker_id)
    changes.records.append(UnregisterBrokerRecord(broker_id=broker.broker_id, broker_epoch=broker.epoch))
    return Decision(changes.records, UnregisterBrokerResponse(error_message=""), atomic=False)


def refuse_unregistration(code: int, message: str | None = None) -> Decision[UnregisterBrokerResponse]:
    return Decision([], UnregisterBrokerResponse(error_code=code, error_message=message))


# Heartbeats


class _Next(NamedTuple):
    """What a heartbeat makes of its broker."""

    records: list[Message]
    fenced: bool
    in_controlled_shutdown: bool = False
    should_shut_down: bool = False


class HeartbeatDecision(NamedTuple):
    """The decision, and what the sessions must be told when it was appended."""

    decision: Decision[BrokerHeartbeatResponse]
    in_controlled_shutdown: bool = False


def heartbeat(
    image: MetadataImage, request: BrokerHeartbeatRequest, sessions: BrokerSessions, config: BrokerConfig
) -> HeartbeatDecision:
    """A broker says how far it is and what it wants: to be unfenced, to be fenced, to stop."""
    try:
        broker = check_broker_epoch(image, request.broker_id, request.broker_epoch)
    except ApiError as error:
        return HeartbeatDecision(refuse_heartbeat(error.code, error.message))
    following = _next_state(image, broker, request, sessions, config)
    records = following.records
    records += _directory_changes(image, broker, request, records, config)
    response = BrokerHeartbeatResponse(
        is_caught_up=request.current_metadata_offset >= broker.epoch,
        is_fenced=following.fenced,
        should_shut_down=following.should_shut_down,
    )
    return HeartbeatDecision(Decision(records, response, atomic=False), following.in_controlled_shutdown)


def _next_state(
    image: MetadataImage,
    broker: BrokerImage,
    request: BrokerHeartbeatRequest,
    sessions: BrokerSessions,
    config: BrokerConfig,
) -> _Next:
    shutdown_offset = sessions.controlled_shutdown_offset(broker.broker_id)
    if shutdown_offset is not None:
        if _leads(image, broker):
            # Those that nobody else can lead, or that fell to it since.
            return _Next([], fenced=False, in_controlled_shutdown=True)
        lowest = sessions.lowest_offset(image)
        if lowest is not None and lowest < shutdown_offset:
            return _Next([], fenced=False, in_controlled_shutdown=True)
        return _Next(fence(image, broker, config), fenced=True, should_shut_down=True)
    if broker.fenced:
        if request.want_shut_down:
            return _Next([], fenced=True, should_shut_down=True)
        if request.want_fence or request.current_metadata_offset < broker.epoch:
            return _Next([], fenced=True)
        return _Next(_unfence(image, broker, config), fenced=False)
    if request.want_fence:
        return _Next(fence(image, broker, config), fenced=True, should_shut_down=request.want_shut_down)
    if request.want_shut_down:
        if _leads(image, broker):
            return _Next(
                _begin_controlled_shutdown(image, broker, config), fenced=False, in_controlled_shutdown=True
            )
        return _Next(fence(image, broker, config), fenced=True, should_shut_down=True)
    return _Next([], fenced=False)


def _leads(image: MetadataImage, broker: BrokerImage) -> bool:
    leads = led_by(broker.broker_id)
    return any(leads(partition) for topic in image.topics.values() for partition in topic.partitions)


def _directory_changes(
    image: MetadataImage,
    broker: BrokerImage,
    request: BrokerHeartbeatRequest,
    decided: list[Message],
    config: BrokerConfig,
) -> list[Message]:
    """Failed directories take their replicas out of leadership and ISR; cordoned ones get no new ones."""
    records: list[Message] = []
    offline = set(request.offline_log_dirs).intersection(broker.log_dirs)
    if offline:
        changes = PartitionChanges(image, config)
        changes.assume(decided)

        def affected(partition: PartitionImage) -> bool:
            return any(
                replica == broker.broker_id and directory in offline
                for replica, directory in zip(partition.replicas, partition.directories, strict=False)
            )

        changes.react(changes.partitions(affected), gone=broker.broker_id)
        records += changes.records
        records.append(
            BrokerRegistrationChangeRecord(
                broker_id=broker.broker_id,
                broker_epoch=broker.epoch,
                log_dirs=[directory for directory in broker.log_dirs if directory not in offline],
            )
        )
    cordoned = request.cordoned_log_dirs
    if cordoned is not None and (
        broker.cordoned_log_dirs is None or set(cordoned) != set(broker.cordoned_log_dirs)
    ):
        records.append(
            BrokerRegistrationChangeRecord(
                broker_id=broker.broker_id, broker_epoch=broker.epoch, cordoned_log_dirs=list(cordoned)
            )
        )
    return records


def refuse_heartbeat(code: int, message: str | None = None) -> Decision[BrokerHeartbeatResponse]:
    """The response has no place for the message."""
    return Decision([], BrokerHeartbeatResponse(error_code=code))

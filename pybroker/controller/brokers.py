"""Decisions about brokers: registration.

In: the latest image and a BrokerRegistration request. Out: a `Decision`. What must hold: a broker's epoch is
the offset of its registration record; a broker that lost what it had not synced leads its partitions in a new
leader epoch, so that consumers notice a truncated log (KIP-320).

One node registers with itself, so nobody has to wait for a session to end: the new incarnation is registered,
unfenced and, after an unclean stop, elected again in one batch. Kafka writes the same records one by one, and
two more changes per partition (out of the ISR and in again).
"""

from __future__ import annotations

from collections.abc import Iterator

from pybroker.common.errors import ErrorCode
from pybroker.controller.decision import Decision
from pybroker.metadata.features import CARRIED_FEATURES
from pybroker.metadata.image import NO_LEADER, BrokerImage, EndpointImage, MetadataImage
from pybroker.metadata.records import broker_record
from pybroker.wire.message import Message
from pybroker.wire.messages.broker_registration import (
    BrokerRegistrationRequest,
    BrokerRegistrationResponse,
)
from pybroker.wire.schemas.metadata_records import BrokerRegistrationChangeRecord, PartitionChangeRecord


def register(
    image: MetadataImage, request: BrokerRegistrationRequest, next_offset: int
) -> Decision[BrokerRegistrationResponse]:
    """`next_offset` is the offset that the first record of the decision gets."""
    if request.cluster_id != image.cluster_id:
        return refuse_registration(ErrorCode.INCONSISTENT_CLUSTER_ID)
    if len(set(request.log_dirs)) < len(request.log_dirs) or not request.log_dirs:
        return refuse_registration(ErrorCode.INVALID_REQUEST)
    ranges = {f.name: (f.min_supported_version, f.max_supported_version) for f in request.features}
    for name, level in image.features.items():
        low, high = ranges.get(name, (0, 0))
        if not low <= level <= high and level > CARRIED_FEATURES.get(name, -1):
            return refuse_registration(ErrorCode.UNSUPPORTED_VERSION)
    broker = BrokerImage(
        broker_id=request.broker_id,
        epoch=next_offset,
        incarnation_id=request.incarnation_id,
        endpoints=tuple(
            EndpointImage(listener.name, listener.host, listener.port, listener.security_protocol)
            for listener in request.listeners
        ),
        features=tuple(sorted((name, low, high) for name, (low, high) in ranges.items())),
        rack=request.rack,
        fenced=True,
        in_controlled_shutdown=False,
        log_dirs=tuple(request.log_dirs),
    )
    records: list[Message] = [
        broker_record(broker),
        BrokerRegistrationChangeRecord(
            broker_id=broker.broker_id, broker_epoch=broker.epoch, cordoned_log_dirs=[]
        ),
        BrokerRegistrationChangeRecord(broker_id=broker.broker_id, broker_epoch=broker.epoch, fenced=-1),
    ]
    known = image.brokers.get(broker.broker_id)
    clean = known is None or request.previous_broker_epoch == known.epoch
    records += _elections(image, broker.broker_id, clean=clean)
    return Decision(records, BrokerRegistrationResponse(broker_epoch=broker.epoch))


def _elections(image: MetadataImage, broker_id: int, *, clean: bool) -> Iterator[Message]:
    """What this broker led before an unclean stop, and what lost its leader when Apache Kafka stopped: that
    takes the last replica out of the in-sync ones and keeps it as eligible."""
    for topic in image.topics.values():
        for index, partition in enumerate(topic.partitions):
            if partition.leader == broker_id:
                if not clean:
                    yield PartitionChangeRecord(partition_id=index, topic_id=topic.topic_id, leader=broker_id)
            elif partition.leader == NO_LEADER and partition.replicas == (broker_id,):
                yield PartitionChangeRecord(
                    partition_id=index,
                    topic_id=topic.topic_id,
                    leader=broker_id,
                    isr=[broker_id],
                    eligible_leader_replicas=[] if partition.eligible_leader_replicas else None,
                    last_known_elr=[] if partition.last_known_elr else None,
                    leader_recovery_state=0 if partition.leader_recovery_state else -1,
                )


def refuse_registration(code: int) -> Decision[BrokerRegistrationResponse]:
    return Decision([], BrokerRegistrationResponse(error_code=code))

"""What this broker asks of other brokers: transaction markers for their partitions, and the transaction
coordinators of ids that are not its own.

In: markers and questions of this broker's rooms, the newest image. Out: outcomes for each partition, from
here or over the network. What must hold: every partition has one outcome; what another broker did not confirm
is a retriable error; only the image says that a partition does not exist any more.

Sources: Kafka's TransactionMarkerChannelManager and AddPartitionsToTxnManager (KIP-890).
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from typing import Any, Final

from pybroker.common.config import BrokerConfig
from pybroker.common.deferred import Deferred, resolved
from pybroker.common.errors import ErrorCode
from pybroker.common.peers import Address
from pybroker.handlers.context import Context
from pybroker.handlers.nodes import alive_node
from pybroker.handlers.transaction_markers import append_markers
from pybroker.transactions.markers import Marker, Outcomes
from pybroker.transactions.records import TopicPartition
from pybroker.wire.client import PeerClient
from pybroker.wire.messages.add_partitions_to_txn import (
    AddPartitionsToTxnRequest,
    AddPartitionsToTxnTopic,
    AddPartitionsToTxnTransaction,
)
from pybroker.wire.messages.write_txn_markers import (
    WritableTxnMarker,
    WritableTxnMarkerTopic,
    WriteTxnMarkersRequest,
)

MARKER_CHANNEL: Final = "markers"
VERIFICATION_CHANNEL: Final = "transactions"
_MARKERS_VERSION: Final = 2
_ADD_PARTITIONS_VERSION: Final = 5
_UNKNOWN: Final = ErrorCode.UNKNOWN_TOPIC_OR_PARTITION
_NOT_LEADER: Final = ErrorCode.NOT_LEADER_OR_FOLLOWER


def inter_broker_listener(config: BrokerConfig) -> str:
    """The listener that brokers use among each other: the one named for it, or the first one of
    security.inter.broker.protocol."""
    name = config["inter.broker.listener.name"]
    if name is not None:
        return str(name).upper()
    protocol = config["security.inter.broker.protocol"]
    named = [listener.name for listener in config.listeners() if listener.security_protocol == protocol]
    return named[0] if named else str(protocol)


class InterBroker:
    """`listener` is the one that brokers use among each other."""

    __slots__ = ("_context", "_listener", "_timeout_ms", "client")

    def __init__(self, context: Context, listener: str, request_timeout_ms: float) -> None:
        self.client: PeerClient | None = None
        """None as long as there is no other broker."""
        self._context = context
        self._listener = listener
        self._timeout_ms = request_timeout_ms

    def _address(self, broker_id: int) -> Address | None:
        node = alive_node(self._context.metadata, broker_id, self._listener)
        return None if node is None else (node.host, node.port)

    # ---- markers -------------------------------------------------------------------------------------

    def send_markers(
        self, marker: Marker, partitions: list[TopicPartition], done: Callable[[Outcomes], None]
    ) -> None:
        """Write one marker to the leaders of partitions; `done` takes the outcome of each."""
        outcomes: dict[TopicPartition, ErrorCode] = {}
        by_leader = self._by_leader(partitions, outcomes)
        left = len(by_leader) + 1

        def part(found: Mapping[TopicPartition, ErrorCode]) -> None:
            nonlocal left
            outcomes.update(found)
            left -= 1
            if left == 0:
                done(outcomes)

        for leader, names in by_leader.items():
            if leader == self._context.broker_id:
                append_markers(
                    self._context,
                    marker,
                    names,
                    lambda found: part({name: _or_not_leader(error) for name, error in found.items()}),
                )
            else:
                self._send_marker(leader, marker, names, part)
        part({})

    def _by_leader(
        self, partitions: list[TopicPartition], outcomes: dict[TopicPartition, ErrorCode]
    ) -> dict[int, list[TopicPartition]]:
        topics = self._context.metadata.topics
        by_leader: dict[int, list[TopicPartition]] = {}
        for name in partitions:
            topic = topics.get(name[0])
            if topic is None or not 0 <= name[1] < len(topic.partitions):
                outcomes[name] = _UNKNOWN
                continue
            leader = topic.partitions[name[1]].leader
            if leader < 0:
                outcomes[name] = ErrorCode.LEADER_NOT_AVAILABLE
            else:
                by_leader.setdefault(leader, []).append(name)
        return by_leader

    def _send_marker(
        self,
        leader: int,
        marker: Marker,
        names: list[TopicPartition],
        done: Callable[[Mapping[TopicPartition, ErrorCode]], None],
    ) -> None:
        address = self._address(leader)
        if address is None or self.client is None:
            done(dict.fromkeys(names, ErrorCode.LEADER_NOT_AVAILABLE))
            return
        request = WriteTxnMarkersRequest(
            markers=[
                WritableTxnMarker(
                    producer_id=marker.producer_id,
                    producer_epoch=marker.producer_epoch,
                    transaction_result=marker.commit,
                    coordinator_epoch=marker.coordinator_epoch,
                    transaction_version=marker.transaction_version,
                    topics=[
                        WritableTxnMarkerTopic(name=topic, partition_indexes=indexes)
                        for topic, indexes in _by_topic(names).items()
                    ],
                )
            ]
        )

        def answered(answer: Any) -> None:
            found = dict.fromkeys(names, ErrorCode.NETWORK_EXCEPTION)
            if answer is not None:
                for result in answer.markers:
                    for topic in result.topics:
                        for one in topic.partitions:
                            if (topic.name, one.partition_index) in found:
                                error = _or_not_leader(_known(one.error_code))
                                found[topic.name, one.partition_index] = error
            done(found)

        self.client.call(MARKER_CHANNEL, address, request, _MARKERS_VERSION, self._timeout_ms, answered)

    # ---- coordinators of other ids -------------------------------------------------------------------

    def ask_coordinator(
        self,
        transactional_id: str,
        producer_id: int,
        producer_epoch: int,
        partitions: Iterable[TopicPartition],
        implicit: bool,
    ) -> Deferred[Mapping[TopicPartition, ErrorCode]]:
        """`TransactionCoordinator.ask` of whichever broker coordinates the id."""
        context = self._context
        names = list(partitions)
        coordinator = context.transactions
        topic = context.metadata.topics.get(coordinator.host.topic)
        index = coordinator.host.partition_for(transactional_id)
        leader = -1 if topic is None or index < 0 else topic.partitions[index].leader
        if leader == context.broker_id or topic is None:
            # Without the topic this coordinator has the right answer, too.
            return coordinator.ask(transactional_id, producer_id, producer_epoch, names, implicit)
        address = self._address(leader)
        if address is None or self.client is None:
            return resolved(dict.fromkeys(names, ErrorCode.COORDINATOR_NOT_AVAILABLE))
        request = AddPartitionsToTxnRequest(
            transactions=[
                AddPartitionsToTxnTransaction(
                    transactional_id=transactional_id,
                    producer_id=producer_id,
                    producer_epoch=producer_epoch,
                    verify_only=not implicit,
                    topics=[
                        AddPartitionsToTxnTopic(name=name, partitions=indexes)
                        for name, indexes in _by_topic(names).items()
                    ],
                )
            ]
        )
        found: Deferred[Mapping[TopicPartition, ErrorCode]] = Deferred()

        def answered(answer: Any) -> None:
            if answer is None:
                found.resolve(dict.fromkeys(names, ErrorCode.NETWORK_EXCEPTION))
                return
            if answer.error_code:
                found.resolve(dict.fromkeys(names, _known(answer.error_code)))
                return
            errors = dict.fromkeys(names, ErrorCode.NETWORK_EXCEPTION)
            for result in answer.results_by_transaction:
                for topic in result.topic_results:
                    for one in topic.results_by_partition:
                        errors[topic.name, one.partition_index] = _known(one.partition_error_code)
            found.resolve({name: errors[name] for name in names})

        self.client.call(
            VERIFICATION_CHANNEL, address, request, _ADD_PARTITIONS_VERSION, self._timeout_ms, answered
        )
        return found


def _by_topic(names: Iterable[TopicPartition]) -> dict[str, list[int]]:
    topics: dict[str, list[int]] = {}
    for topic, index in names:
        topics.setdefault(topic, []).append(index)
    return topics


def _known(code: int) -> ErrorCode:
    try:
        return ErrorCode(code)
    except ValueError:
        return ErrorCode.UNKNOWN_SERVER_ERROR


def _or_not_leader(error: ErrorCode) -> ErrorCode:
    """A broker whose metadata are behind does not know the partition yet: it is no proof that it is gone."""
    return _NOT_LEADER if error is _UNKNOWN else error

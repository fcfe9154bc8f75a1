"""All replicas that this broker holds: they follow the metadata, their leaders, and the controller's answers.

In: metadata images with their deltas, ticks of timers, responses of leaders and of the controller. Out: logs
made and taken away, partitions that lead or follow, Fetch requests, AlterPartition requests. What must hold:

- a replica is here as soon as, and not before, the metadata says so; its log goes when the metadata says so;
- a partition has the role of the newest metadata, and is fetched by one fetcher at most, from its leader;
- one AlterPartition request at a time is under way, and each proposal is answered, repeated, or overtaken by
  the metadata.

A log that cannot be made (a full disk, an older log of its name that is not forgotten yet) is tried again.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from functools import partial
from typing import Any, Final, NamedTuple
from zlib import crc32

from pybroker.common.clock import Clock
from pybroker.common.config import BrokerConfig
from pybroker.common.deferred import Deferred
from pybroker.common.errors import ErrorCode, StorageError
from pybroker.common.steps import Steps, run_steps
from pybroker.common.timers import Timer, TimerQueue
from pybroker.log import LogConfig, LogManager
from pybroker.metadata.delta import MetadataDelta
from pybroker.metadata.image import BrokerImage, MetadataImage, PartitionImage, TopicImage
from pybroker.replication.follower import Fetcher, FetcherEnvironment, FetcherSettings, Key
from pybroker.replication.isr import UNKNOWN_BROKER_EPOCH, Proposal, Replication
from pybroker.replication.partition import Partition
from pybroker.replication.throttle import Throttle
from pybroker.wire.client import PeerClient
from pybroker.wire.messages.alter_partition import (
    AlterPartitionRequest,
    AlterPartitionResponse,
    BrokerState,
    RequestPartitionData,
    RequestTopicData,
)

ALTER_PARTITION_VERSION: Final = 3
# After a refusal that does not say what became of a proposal; as Kafka's AlterPartitionManager.
_RETRY_MS: Final = 50
_FETCHER_PARTITIONS_MAX: Final = 5_000
_DEFAULT_LISTENER: Final = "PLAINTEXT"


class ReplicaEnvironment(NamedTuple):
    """What the replicas use of the broker around them."""

    node_id: int
    clock: Clock
    timers: TimerQueue
    logs: LogManager
    # The configuration as it is now, and that of a topic's logs by an image.
    config: Callable[[], BrokerConfig]
    log_config: Callable[[MetadataImage, str], LogConfig]
    # The epoch of this broker's registration, -1 before.
    broker_epoch: Callable[[], int]
    client: PeerClient | None
    # A request to the active controller, and its response; None when none could be had.
    ask_controller: Callable[[Any, int], Deferred[Any]] | None
    # (topic, partition index, replica): it is here now; None: it is not any more.
    on_hosted: Callable[[TopicImage, int, Partition | None], None]
    # It leads, in an epoch that is new, or does not lead any more.
    on_role: Callable[[Partition], None]
    report: Callable[[str], None]


class _Brokers:
    """The other brokers, by the newest image. Implements `isr.BrokerView`."""

    __slots__ = ("known",)

    def __init__(self) -> None:
        self.known: Mapping[int, BrokerImage] = {}

    def may_join(self, broker_id: int, broker_epoch: int) -> bool:
        broker = self.known.get(broker_id)
        return (
            broker is not None
            and not broker.fenced
            and not broker.in_controlled_shutdown
            and broker_epoch in (UNKNOWN_BROKER_EPOCH, broker.epoch)
        )

    def is_alive(self, broker_id: int) -> bool:
        broker = self.known.get(broker_id)
        return broker is not None and not broker.fenced

    def is_stale(self, broker_id: int, broker_epoch: int) -> bool:
        broker = self.known.get(broker_id)
        return broker is not None and not broker.fenced and broker.epoch > broker_epoch


class _Hosted:
    """One replica of this broker."""

    __slots__ = ("fetcher", "partition", "wanted")

    def __init__(self, partition: Partition) -> None:
        self.partition = partition
        # What the metadata says of it, as far as it was carried out.
        self.wanted: PartitionImage | None = None
        self.fetcher: Fetcher | None = None


class ReplicaManager:
    """The replicas of one broker. `start` with the image of the start, then `apply` each new one."""

    __slots__ = (
        "_brokers",
        "_environment",
        "_fetchers",
        "_hosted",
        "_image",
        "_incomplete",
        "_lag_max_ms",
        "_proposals",
        "_proposing",
        "_send_timer",
        "durability",
        "stopped",
        "throttle",
    )

    def __init__(self, environment: ReplicaEnvironment) -> None:
        self._environment = environment
        config = environment.config()
        self.durability: str = config["pybroker.durability"]
        self._lag_max_ms: int = config["replica.lag.time.max.ms"]
        self.stopped = False
        self.throttle = Throttle(environment.clock, environment.node_id)
        self._brokers = _Brokers()
        self._image: MetadataImage | None = None
        self._hosted: dict[Key, _Hosted] = {}
        # (leader, number) -> fetcher.
        self._fetchers: dict[tuple[int, int], Fetcher] = {}
        # Topics some of whose logs could not be made.
        self._incomplete: dict[bytes, TopicImage] = {}
        # Partitions with a proposal to be sent; whether a request is under way.
        self._proposals: dict[Key, Partition] = {}
        self._proposing = False
        self._send_timer: Timer | None = None
        self._schedule_lag_scan()

    # ---- what is here --------------------------------------------------------------------------------

    def log_config_of(
        self, image: MetadataImage, topic: str, index: int, topic_id: bytes | None
    ) -> LogConfig | None:
        """For `LogManager.load`: the configuration of a log found at the start, None when the metadata has no
        replica of it here."""
        known = image.topics.get(topic)
        if known is None or known.topic_id != topic_id or index >= len(known.partitions):
            return None
        if self._environment.node_id not in known.partitions[index].replicas:
            return None
        return self._environment.log_config(image, topic)

    def partition(self, topic_id: bytes, index: int) -> Partition | None:
        hosted = self._hosted.get((topic_id, index))
        return None if hosted is None else hosted.partition

    @property
    def partitions(self) -> list[Partition]:
        return [hosted.partition for hosted in self._hosted.values()]

    @property
    def missing_count(self) -> int:
        """Replicas that should be here and whose log could not be made yet."""
        node_id = self._environment.node_id
        return sum(
            node_id in wanted.replicas and (topic.topic_id, index) not in self._hosted
            for topic in self._incomplete.values()
            for index, wanted in enumerate(topic.partitions)
        )

    # ---- metadata ------------------------------------------------------------------------------------

    def start(self, image: MetadataImage) -> Steps[None]:
        """Host what the image of the start says, in steps."""
        self._know(image)
        for topic in image.topics.values():
            yield from self._host_steps(image, topic)

    def apply(self, image: MetadataImage, delta: MetadataDelta) -> Steps[None]:
        """Make the replicas what a new image says, in steps."""
        self._know(image)
        for topic in delta.deleted_topics:
            self._incomplete.pop(topic.topic_id, None)
            for index in range(len(topic.partitions)):
                self._drop(topic, index, ErrorCode.UNKNOWN_TOPIC_OR_PARTITION)
                yield
        for topic in delta.created_topics:
            yield from self._host_steps(image, topic)
        for change in delta.changed_topics:
            yield from self._host_steps(image, change.new)
        if delta.brokers_changed:
            for hosted in self._hosted.values():
                # Another set of followers may count now.
                if hosted.partition.replication is not None:
                    hosted.partition.raise_high_watermark()
            for fetcher in self._fetchers.values():
                fetcher.retry_now()

    def _know(self, image: MetadataImage) -> None:
        self._image = image
        self._brokers.known = image.brokers
        self.throttle.configure(image, self._environment.config())

    def retry_incomplete(self) -> None:
        """Make the logs that could not be made before."""
        image = self._image
        if image is None:
            return
        for topic_id in list(self._incomplete):
            topic = image.topics_by_id.get(topic_id)
            if topic is None:
                del self._incomplete[topic_id]
            else:
                run_steps(self._host_steps(image, topic))

    def _host_steps(self, image: MetadataImage, topic: TopicImage) -> Steps[None]:
        node_id = self._environment.node_id
        is_news = self._incomplete.pop(topic.topic_id, None) is None
        config: LogConfig | None = None
        for index, wanted in enumerate(topic.partitions):
            hosted = self._hosted.get((topic.topic_id, index))
            if node_id not in wanted.replicas:
                if hosted is not None:
                    self._drop(topic, index, ErrorCode.NOT_LEADER_OR_FOLLOWER)
                continue
            if hosted is None:
                if config is None:
                    config = self._environment.log_config(image, topic.name)
                try:
                    hosted = self._make(topic, index, config)
                except StorageError as error:
                    if is_news:
                        self._environment.report(f"{topic.name}-{index}: {error}")
                    self._incomplete[topic.topic_id] = topic
                    continue
            if hosted.wanted is not wanted:
                self._take_role(hosted, wanted)
            yield

    def _make(self, topic: TopicImage, index: int, config: LogConfig) -> _Hosted:
        environment = self._environment
        log = environment.logs.get_or_create(topic.name, index, topic.topic_id, config)
        partition = Partition(topic.name, index, topic.topic_id, log, self.durability)
        partition.on_proposal = self._propose
        partition.throttle = self.throttle
        hosted = self._hosted[topic.topic_id, index] = _Hosted(partition)
        environment.on_hosted(topic, index, partition)
        return hosted

    def _drop(self, topic: TopicImage, index: int, error: ErrorCode) -> None:
        hosted = self._hosted.pop((topic.topic_id, index), None)
        if hosted is None:
            return
        self._unfollow(hosted)
        led = hosted.partition.is_leader
        hosted.partition.become_offline(error)
        if led:
            self._environment.on_role(hosted.partition)
        self._environment.on_hosted(topic, index, None)
        self._environment.logs.delete(topic.name, index)

    # ---- roles ---------------------------------------------------------------------------------------

    def _take_role(self, hosted: _Hosted, wanted: PartitionImage) -> None:
        known, hosted.wanted = hosted.wanted, wanted
        partition = hosted.partition
        if partition.log.offline:
            return
        same_epoch = known is not None and known.leader_epoch == wanted.leader_epoch
        if wanted.leader == self._environment.node_id:
            if not same_epoch:
                self._unfollow(hosted)
            self._lead(partition, wanted)
            if not same_epoch:
                self._environment.on_role(partition)
            return
        if same_epoch:
            return
        led = partition.is_leader
        self._unfollow(hosted)
        partition.become_follower(wanted.leader_epoch)
        if wanted.leader >= 0:
            hosted.fetcher = self._fetcher(wanted.leader, partition)
            hosted.fetcher.follow(partition)
        if led:
            self._environment.on_role(partition)

    def _lead(self, partition: Partition, wanted: PartitionImage) -> None:
        environment = self._environment
        node_id, epoch = environment.node_id, wanted.leader_epoch
        leads = partition.is_leader and partition.leader_epoch == epoch
        if wanted.replicas == (node_id,):
            if not leads or partition.replication is not None:
                partition.become_leader(epoch)
            return
        log = partition.log
        replication = partition.replication
        if replication is None:
            # Where followers come to a leader that was alone, its epoch has begun before.
            start = log.epochs.entries[-1][1] if leads and log.epochs.latest == epoch else log.log_end_offset
            replication = Replication(
                node_id,
                epoch,
                start,
                lag_max_ms=self._lag_max_ms,
                clock=environment.clock,
                brokers=self._brokers,
            )
        elif not leads:
            replication.begin_epoch(epoch, log.log_end_offset)
        news = replication.assign(wanted.replicas, wanted.isr, wanted.partition_epoch)
        if not leads or partition.replication is not replication:
            partition.become_leader(epoch, replication)
        elif news:
            partition.isr_changed()

    # ---- following -----------------------------------------------------------------------------------

    def _fetcher(self, leader_id: int, partition: Partition) -> Fetcher:
        environment = self._environment
        config = environment.config()
        number = (crc32(partition.topic_id) + partition.partition) % config["num.replica.fetchers"]
        fetcher = self._fetchers.get((leader_id, number))
        while fetcher is not None and len(fetcher) >= _FETCHER_PARTITIONS_MAX:
            # What one session of the leader holds is limited.
            number += config["num.replica.fetchers"]
            fetcher = self._fetchers.get((leader_id, number))
        if fetcher is None:
            fetcher = self._fetchers[leader_id, number] = Fetcher(
                FetcherEnvironment(
                    node_id=environment.node_id,
                    clock=environment.clock,
                    timers=environment.timers,
                    settings=FetcherSettings(
                        wait_max_ms=config["replica.fetch.wait.max.ms"],
                        min_bytes=config["replica.fetch.min.bytes"],
                        max_bytes=config["replica.fetch.response.max.bytes"],
                        partition_max_bytes=config["replica.fetch.max.bytes"],
                        backoff_ms=config["replica.fetch.backoff.ms"],
                        socket_timeout_ms=config["replica.socket.timeout.ms"],
                    ),
                    broker_epoch=environment.broker_epoch,
                    call=partial(self._call, f"fetch-{number}"),
                    report=environment.report,
                    is_throttled=self._is_follower_throttled,
                    note_bytes=self.throttle.note_fetched,
                ),
                leader_id,
            )
        return fetcher

    def _unfollow(self, hosted: _Hosted) -> None:
        fetcher, hosted.fetcher = hosted.fetcher, None
        if fetcher is None:
            return
        fetcher.unfollow((hosted.partition.topic_id, hosted.partition.partition))
        if not len(fetcher):
            fetcher.stop()
            self._fetchers = {key: other for key, other in self._fetchers.items() if other is not fetcher}

    def _is_follower_throttled(self, partition: Partition) -> bool:
        if not self.throttle.is_follower_throttled(partition):
            return False
        hosted = self._hosted.get((partition.topic_id, partition.partition))
        # Those in sync are never held back.
        return (
            hosted is not None
            and hosted.wanted is not None
            and self._environment.node_id not in hosted.wanted.isr
        )

    def _call(
        self,
        channel: str,
        broker_id: int,
        message: Any,
        version: int,
        timeout_ms: float,
        done: Callable[[Any], None],
    ) -> bool:
        environment = self._environment
        address = self._address(broker_id)
        if address is None or environment.client is None:
            return False
        environment.client.call(channel, address, message, version, timeout_ms, done)
        return True

    def _address(self, broker_id: int) -> tuple[str, int] | None:
        """Where a broker listens for the other brokers."""
        broker = self._brokers.known.get(broker_id)
        if broker is None:
            return None
        config = self._environment.config()
        listener = (
            config["inter.broker.listener.name"]
            or config["security.inter.broker.protocol"]
            or _DEFAULT_LISTENER
        )
        for endpoint in broker.endpoints:
            if endpoint.name == listener:
                return endpoint.host, endpoint.port
        return None

    # ---- proposals to the controller -----------------------------------------------------------------

    def _propose(self, partition: Partition) -> None:
        self._proposals[partition.topic_id, partition.partition] = partition
        self._arm(0)

    def _arm(self, delay_ms: int) -> None:
        """What is proposed in one turn of the loop goes into one request."""
        timer = self._send_timer
        if self._proposing or self.stopped or (timer is not None and timer.callback is not None):
            return
        environment = self._environment
        self._send_timer = environment.timers.schedule(
            environment.clock.monotonic_ms() + delay_ms, self._send_proposals
        )

    def _send_proposals(self) -> None:
        environment = self._environment
        if self._proposing or self.stopped or environment.ask_controller is None:
            return
        asked: dict[Key, tuple[Partition, Replication, Proposal]] = {}
        topics: dict[bytes, RequestTopicData] = {}
        proposals, self._proposals = self._proposals, {}
        own_epoch = environment.broker_epoch()
        for key, partition in proposals.items():
            replication = partition.replication
            if replication is None or replication.proposal is None:
                continue
            proposal = replication.proposal
            asked[key] = partition, replication, proposal
            topic = topics.get(key[0])
            if topic is None:
                topic = topics[key[0]] = RequestTopicData(topic_id=key[0], partitions=[])
            topic.partitions.append(
                RequestPartitionData(
                    partition_index=key[1],
                    leader_epoch=proposal.leader_epoch,
                    new_isr_with_epochs=[
                        BrokerState(
                            broker_id=broker_id,
                            broker_epoch=own_epoch if broker_id == environment.node_id else broker_epoch,
                        )
                        for broker_id, broker_epoch in proposal.members
                    ],
                    partition_epoch=proposal.partition_epoch,
                )
            )
        if not asked:
            return
        self._proposing = True
        request = AlterPartitionRequest(
            broker_id=environment.node_id, broker_epoch=own_epoch, topics=list(topics.values())
        )
        environment.ask_controller(request, ALTER_PARTITION_VERSION).then(partial(self._answered, asked))

    def _answered(
        self,
        asked: dict[Key, tuple[Partition, Replication, Proposal]],
        response: AlterPartitionResponse | None,
    ) -> None:
        self._proposing = False
        if self.stopped:
            return
        open_keys = dict(asked)
        if response is not None and not response.error_code:
            for topic in response.topics:
                for answer in topic.partitions:
                    key = topic.topic_id, answer.partition_index
                    if key not in open_keys:
                        continue
                    partition, replication, proposal = open_keys.pop(key)
                    if not answer.error_code:
                        news = replication.accepted(
                            proposal, answer.leader_epoch, tuple(answer.isr), answer.partition_epoch
                        )
                        if news and partition.replication is replication:
                            partition.isr_changed()
                    elif replication.refused(proposal, ErrorCode(answer.error_code)):
                        open_keys[key] = partition, replication, proposal
        again = False
        for key, (partition, replication, proposal) in open_keys.items():
            if partition.replication is replication and replication.proposal is proposal:
                self._proposals[key] = partition
                again = True
        if self._proposals:
            self._arm(_RETRY_MS if again else 0)

    def _schedule_lag_scan(self) -> None:
        environment = self._environment
        environment.timers.schedule(
            environment.clock.monotonic_ms() + max(self._lag_max_ms / 2, 1), self._scan_lag
        )

    def _scan_lag(self) -> None:
        if self.stopped:
            return
        for partition in self._with_followers():
            partition.check_lag()
        self._schedule_lag_scan()

    def _with_followers(self) -> Iterable[Partition]:
        return [
            hosted.partition for hosted in self._hosted.values() if hosted.partition.replication is not None
        ]

    # ---- end -----------------------------------------------------------------------------------------

    def stop(self) -> None:
        """No more requests; logs and roles stay as they are."""
        self.stopped = True
        for fetcher in self._fetchers.values():
            fetcher.stop()
        self._fetchers = {}

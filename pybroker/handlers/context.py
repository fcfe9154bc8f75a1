"""What a handler is given: the broker's rooms, and the request with its connection.

In: nothing. Out: `Context`, `Request`, `Connection`, and the sentinel `CLOSE`. A handler keeps no state
of its own: what lives longer than a request is in one of the rooms that Context names.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Generator, Iterable, Mapping
from functools import wraps
from typing import TYPE_CHECKING, Any, Final, Protocol, TypeVar

from pybroker.common.errors import ErrorCode
from pybroker.controller.topic_names import INTERNAL_TOPICS
from pybroker.handlers.produce_lane import ProduceLane

if TYPE_CHECKING:
    from pybroker.common.clock import Clock
    from pybroker.common.config import BrokerConfig
    from pybroker.common.deferred import Deferred
    from pybroker.common.timers import TimerQueue
    from pybroker.controller import Controller
    from pybroker.controller.quorum import MetadataQuorum
    from pybroker.controller_channel import ControllerChannel
    from pybroker.coordinator.host import CoordinatorHost
    from pybroker.groups.shard import GroupShard
    from pybroker.handlers.fetch_sessions import FetchSessionCache
    from pybroker.handlers.registry import Routes
    from pybroker.handlers.telemetry import ClientTelemetry
    from pybroker.log import LogManager
    from pybroker.metadata.image import MetadataImage
    from pybroker.records.validation import WalkPolicy
    from pybroker.replication.moves import DirectoryMoves
    from pybroker.replication.partition import Partition
    from pybroker.transactions.coordinator import TransactionCoordinator

CLOSE: Final = object()
"""A reply that means: close the connection without answering (Kafka's way with acks=0 errors)."""


class Admit(Protocol):
    def __call__(
        self,
        transactional_id: str,
        producer_id: int,
        producer_epoch: int,
        partitions: Iterable[tuple[str, int]],
        *,
        implicit: bool,
    ) -> Deferred[Mapping[tuple[str, int], ErrorCode]]: ...


R = TypeVar("R")
Steps = Generator[Any, Any, R]
"""A handler's work, cut wherever others may have a turn; the value is the reply."""
Handler = Callable[["Context", "Request"], R]


def in_slices(steps: Callable[[Context, Request], Steps[R]]) -> Handler[R]:
    """Make a handler of a generator function that yields, once for each element it answers, where the state
    of the broker may change. The broker takes `handle.steps` slice by slice; `handle` goes to the end."""

    @wraps(steps)
    def handle(context: Context, request: Request) -> R:
        work = steps(context, request)
        while True:
            try:
                next(work)
            except StopIteration as stop:
                reply: R = stop.value
                return reply

    handle.steps = steps  # type: ignore[attr-defined]
    return handle


class Connection:
    """What the broker remembers of one client connection."""

    __slots__ = (
        "_on_close",
        "client_software_name",
        "client_software_version",
        "closed",
        "lane",
        "listener",
        "peer_host",
        "peer_port",
        "produce_queue",
        "routes",
        "walk_policy",
    )

    def __init__(
        self,
        peer_host: str,
        peer_port: int,
        listener: str,
        walk_policy: WalkPolicy,
        wall_ms: Callable[[], int],
        routes: Routes,
    ) -> None:
        self.peer_host = peer_host
        self.peer_port = peer_port
        self.listener = listener
        self.routes = routes
        self.walk_policy = walk_policy
        # The short way of its plain produce requests.
        self.lane = ProduceLane(wall_ms, walk_policy)
        self.client_software_name = "unknown"
        self.client_software_version = "unknown"
        self.closed = False
        # Transactional produces behind one that waits for the transaction coordinator; None without one.
        self.produce_queue: deque[Callable[[], None]] | None = None
        self._on_close: dict[object, Callable[[], None]] = {}

    def on_close(self, key: object, callback: Callable[[], None]) -> None:
        """Call `callback` when the connection ends, unless `forget(key)` came first."""
        self._on_close[key] = callback

    def forget(self, key: object) -> None:
        self._on_close.pop(key, None)

    def close(self) -> None:
        """The peer is gone: release everything that waits on its behalf."""
        self.closed = True
        callbacks, self._on_close = list(self._on_close.values()), {}
        for callback in callbacks:
            callback()


class Request:
    """One decoded request."""

    __slots__ = ("api_key", "client_id", "connection", "message", "version")

    def __init__(
        self, api_key: int, version: int, client_id: str | None, message: Any, connection: Connection
    ) -> None:
        self.api_key = api_key
        self.version = version
        self.client_id = client_id
        self.message = message
        self.connection = connection


class LocalTopic:
    """A topic and its replicas on this broker, indexed by partition number: None where none is here."""

    __slots__ = ("is_internal", "name", "partitions", "topic_id")

    def __init__(self, name: str, topic_id: bytes) -> None:
        self.name = name
        self.is_internal = name in INTERNAL_TOPICS
        self.topic_id = topic_id
        self.partitions: list[Partition | None] = []


class Context:
    """The rooms that handlers may use. Filled by `pybroker.broker.Broker`."""

    __slots__ = (
        "admit",
        "auto_create_topics",
        "broker_id",
        "clock",
        "config",
        "controller",
        "controller_channel",
        "endpoints",
        "fetch_sessions",
        "groups",
        "logs",
        "metadata",
        "moves",
        "producer_ids",
        "quorum",
        "run_blocking",
        "telemetry",
        "timers",
        "topics",
        "topics_by_id",
        "transactions",
    )

    broker_id: int
    clock: Clock
    config: BrokerConfig
    metadata: MetadataImage
    """The newest image that this broker acts on; a request is answered from one image."""
    controller: Controller
    controller_channel: ControllerChannel
    quorum: MetadataQuorum
    logs: LogManager
    moves: DirectoryMoves
    timers: TimerQueue
    fetch_sessions: FetchSessionCache
    telemetry: ClientTelemetry
    producer_ids: ProducerIds
    groups: CoordinatorHost[GroupShard]
    transactions: TransactionCoordinator
    topics: dict[str, LocalTopic]
    topics_by_id: dict[bytes, LocalTopic]
    run_blocking: Callable[[str, Callable[[], None], Callable[[BaseException | None], None]], None]
    """Effect queue, function to run off the loop, function that takes its outcome on the loop."""
    endpoints: dict[str, tuple[str, int]]
    """Listener name to advertised (host, port)."""
    admit: Admit
    """Make partitions part of a transaction, or see that they are: `TransactionCoordinator.admit`, wherever
    the coordinator of the transactional id is."""
    auto_create_topics: Callable[[list[str]], None]
    """Have topics made that nobody described: what Metadata asks for and misses, and internal ones."""

    @property
    def cluster_id(self) -> str:
        return self.metadata.cluster_id

    def partition(self, topic: str, index: int) -> Partition | None:
        """The local replica, or None when there is none here: see `missing`."""
        local = self.topics.get(topic)
        if local is None or not 0 <= index < len(local.partitions):
            return None
        return local.partitions[index]

    def missing(self, topic: str, index: int) -> ErrorCode:
        """Why a partition without a local replica is refused: it is on other brokers, or nowhere."""
        local = self.topics.get(topic)
        if local is None or not 0 <= index < len(local.partitions):
            return ErrorCode.UNKNOWN_TOPIC_OR_PARTITION
        return ErrorCode.NOT_LEADER_OR_FOLLOWER


class ProducerIds:
    """Hands out producer ids one by one from the blocks that the controller allocates (KIP-730)."""

    __slots__ = ("_allocate", "_end", "_next", "_waiting")

    def __init__(self, allocate: Callable[[Callable[[int, int], None]], None]) -> None:
        self._allocate = allocate
        self._next = 0
        self._end = 0
        self._waiting: deque[Callable[[int], None]] = deque()

    def take(self, callback: Callable[[int], None]) -> None:
        """Call `callback(producer_id)`, at once while the block lasts; with -1 when no block can be had."""
        if self._next < self._end:
            self._next += 1
            callback(self._next - 1)
            return
        self._waiting.append(callback)
        if len(self._waiting) == 1:
            self._allocate(self._block_arrived)

    def _block_arrived(self, first: int, count: int) -> None:
        self._next, self._end = first, first + count
        if count == 0:
            refused, self._waiting = self._waiting, deque()
            for callback in refused:
                callback(-1)
            return
        while self._waiting and self._next < self._end:
            self._next += 1
            self._waiting.popleft()(self._next - 1)
        if self._waiting:
            self._allocate(self._block_arrived)

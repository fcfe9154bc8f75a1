"""All shards of one internal topic on this broker: loading, operations, commits, timers.

In: partitions that this broker starts or stops to lead, operations on the shard of a key, metadata. Out:
Deferreds of the operations' responses. What must hold:

- a response is given only when the records of its operation, and everything that its operation saw, are
  committed (the high watermark passed them);
- records are replayed in log order, each exactly once, after their append;
- an append that fails changes nothing;
- while a shard loads, which happens in slices of a few milliseconds between other work, and when it is not
  here, operations get Kafka's retriable errors.

Sources: KIP-848 (the coordinator runtime), and the mapping of append errors of Kafka 4.3's group coordinator.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING, Any, Final, Generic, Protocol, TypeVar

from pybroker.common.clock import Clock
from pybroker.common.deferred import Deferred, resolved
from pybroker.common.errors import ApiError, CorruptionError, ErrorCode, ProtocolError, StorageError
from pybroker.common.timers import Timer, TimerQueue
from pybroker.coordinator.partitioning import partition_for
from pybroker.coordinator.result import CoordinatorRecord, Result
from pybroker.coordinator.shard import Shard, Timers
from pybroker.log.partition_log import ColdRead, LogRead
from pybroker.log.producer_state import Verification
from pybroker.records.batch import HEADER_SIZE, Record, build_batch, iter_records, read_header
from pybroker.records.control import read_end_transaction

if TYPE_CHECKING:
    from pybroker.metadata.delta import MetadataDelta
    from pybroker.metadata.image import MetadataImage

S = TypeVar("S", bound=Shard)
T = TypeVar("T")

LOADING: Final = "Loading"
ACTIVE: Final = "Active"
FAILED: Final = "Failed"

# Records that one slice of a load replays (a few milliseconds), and bytes that it reads at a time.
_SLICE_RECORDS: Final = 300
_LOAD_BYTES: Final = 256 * 1024
# What a record takes in a batch beyond its key and value, at most.
_RECORD_OVERHEAD: Final = 32
_TIMER_RETRY_MS: Final = 500


class AppendAnswer(Protocol):
    """What the host needs of the outcome of an append."""

    error: ErrorCode
    base_offset: int
    end_offset: int


class InternalPartition(Protocol):
    """What the host needs of `replication.Partition`."""

    is_leader: bool
    leader_epoch: int

    @property
    def high_watermark(self) -> int: ...

    @property
    def log_start_offset(self) -> int: ...

    @property
    def log_end_offset(self) -> int: ...

    @property
    def max_batch_bytes(self) -> int: ...

    def append_internal(
        self,
        batch: bytearray,
        *,
        last_offset_delta: int,
        max_timestamp: int,
        producer_id: int = -1,
        producer_epoch: int = -1,
        verification: Verification | None = None,
    ) -> AppendAnswer: ...

    def read_log(self, offset: int, max_bytes: int, *, may_block: bool) -> LogRead: ...

    def on_high_watermark(self, offset: int, callback: Callable[[ErrorCode], None]) -> None: ...


class HostSettings:
    """What differs between the internal topics."""

    __slots__ = ("codec", "topic", "write_timeout_ms")

    def __init__(self, topic: str, *, codec: int = 0, write_timeout_ms: int = 5_000) -> None:
        self.topic = topic
        self.codec = codec
        self.write_timeout_ms = write_timeout_ms


class HostEnvironment:
    """What the host uses of the broker around it."""

    __slots__ = ("clock", "create_topic", "image", "partition", "report", "run_blocking", "timers")

    def __init__(
        self,
        *,
        clock: Clock,
        timers: TimerQueue,
        image: Callable[[], MetadataImage],
        partition: Callable[[str, int], InternalPartition | None],
        create_topic: Callable[[str], None],
        run_blocking: Callable[[str, Callable[[], None], Callable[[BaseException | None], None]], None],
        report: Callable[[str], None],
    ) -> None:
        self.clock = clock
        self.timers = timers
        self.image = image
        self.partition = partition
        self.create_topic = create_topic
        self.run_blocking = run_blocking
        self.report = report


class _ShardTimers:
    """The timers of one shard; a fired one runs as a write. Implements `Timers`."""

    __slots__ = ("_host", "_index", "_timers", "closed")

    def __init__(self, host: CoordinatorHost[Any], index: int) -> None:
        self._host = host
        self._index = index
        self._timers: dict[str, Timer] = {}
        self.closed = False

    def schedule(self, key: str, delay_ms: float, operation: Callable[[Any, int], Result[Any]]) -> None:
        if self.closed:
            return
        self.cancel(key)
        environment = self._host.environment
        self._timers[key] = environment.timers.schedule(
            environment.clock.monotonic_ms() + delay_ms, lambda: self._fire(key, operation)
        )

    def schedule_if_absent(
        self, key: str, delay_ms: float, operation: Callable[[Any, int], Result[Any]]
    ) -> None:
        if key not in self._timers:
            self.schedule(key, delay_ms, operation)

    def cancel(self, key: str) -> None:
        timer = self._timers.pop(key, None)
        if timer is not None:
            timer.cancel()

    def is_scheduled(self, key: str) -> bool:
        return key in self._timers

    def _fire(self, key: str, operation: Callable[[Any, int], Result[Any]]) -> None:
        self._timers.pop(key, None)

        def done(outcome: Any) -> None:
            if isinstance(outcome, ApiError) and not self.closed and key not in self._timers:
                # The append was refused (a full disk): nothing has changed, so it is to be tried again.
                self.schedule(key, _TIMER_RETRY_MS, operation)

        self._host.write(self._index, operation).then(done)

    def close(self) -> None:
        self.closed = True
        for timer in self._timers.values():
            timer.cancel()
        self._timers.clear()

    def __len__(self) -> int:
        return len(self._timers)


class _Hosted(Generic[S]):
    """One partition: its shard and how far it was loaded."""

    __slots__ = (
        "epoch",
        "index",
        "last_end_offset",
        "partition",
        "pending",
        "position",
        "shard",
        "state",
        "timers",
    )

    def __init__(self, index: int, partition: InternalPartition, shard: S, timers: _ShardTimers) -> None:
        self.index = index
        self.partition = partition
        self.epoch = partition.leader_epoch
        self.state = LOADING
        self.shard = shard
        self.timers = timers
        self.position = partition.log_start_offset
        # What is left of the bytes that were read: replayed step by step, True after each record.
        self.pending: Iterator[None] | None = None
        # Up to here the shard's state comes from: a response must not be released before it is committed.
        self.last_end_offset = 0


class CoordinatorHost(Generic[S]):
    """The coordinator of one internal topic. `make_shard(partition index, timers)` makes an empty shard."""

    __slots__ = (
        "_hosted",
        "_loader_armed",
        "_loading",
        "_make_shard",
        "environment",
        "on_resign",
        "settings",
    )

    def __init__(
        self, settings: HostSettings, environment: HostEnvironment, make_shard: Callable[[int, Timers], S]
    ) -> None:
        self.settings = settings
        self.environment = environment
        self._make_shard = make_shard
        self.on_resign: Callable[[S], None] | None = None
        """Told of each shard whose partition this broker does not lead any more."""
        self._hosted: dict[int, _Hosted[S]] = {}
        self._loading: deque[_Hosted[S]] = deque()
        self._loader_armed = False

    # ---- where a key lives ---------------------------------------------------------------------------

    @property
    def topic(self) -> str:
        return self.settings.topic

    def partition_for(self, key: str) -> int:
        """The partition that owns a key; -1 while the internal topic does not exist."""
        topic = self.environment.image().topics.get(self.topic)
        return -1 if topic is None else partition_for(key, len(topic.partitions))

    def find(self, key: str) -> tuple[ErrorCode, int]:
        """(error, node id of the coordinator) for FindCoordinator. Creates the internal topic if it is not
        there; until it is, COORDINATOR_NOT_AVAILABLE."""
        topic = self.environment.image().topics.get(self.topic)
        if topic is None:
            self.environment.create_topic(self.topic)
            return ErrorCode.COORDINATOR_NOT_AVAILABLE, -1
        leader = topic.partitions[partition_for(key, len(topic.partitions))].leader
        return (ErrorCode.NONE, leader) if leader >= 0 else (ErrorCode.COORDINATOR_NOT_AVAILABLE, -1)

    @property
    def partitions(self) -> list[int]:
        """The partitions that this broker leads, loaded or not."""
        return sorted(self._hosted)

    @property
    def active_shards(self) -> list[tuple[int, S]]:
        """(partition, shard) of everything that is loaded here, in partition order."""
        return [
            (index, hosted.shard) for index, hosted in sorted(self._hosted.items()) if hosted.state is ACTIVE
        ]

    def active_shard(self, index: int) -> S | None:
        """The shard of a partition, if it is loaded here."""
        hosted = self._hosted.get(index)
        return None if hosted is None or hosted.state is not ACTIVE else hosted.shard

    @property
    def loading(self) -> bool:
        """Whether some partition is still being loaded."""
        return any(hosted.state is LOADING for hosted in self._hosted.values())

    # ---- operations ----------------------------------------------------------------------------------

    def write(
        self,
        key: str | int,
        operation: Callable[[S, int], Result[T]],
        *,
        producer_id: int = -1,
        producer_epoch: int = -1,
        verification: Verification | None = None,
    ) -> Deferred[T | ApiError]:
        """Run `operation(shard, now_ms)` on the shard of a key (or of a partition index), append and replay
        its records, and give its response once they are committed; or an ApiError.

        With a producer id the records are a transactional batch of that producer: they are replayed with
        it, and count only when its transaction commits. The transaction is open in the partition, or is
        opened with the `verification`.
        """
        hosted = self._find(key)
        if isinstance(hosted, ApiError):
            return resolved(hosted)
        now_ms = self.environment.clock.wall_ms()
        try:
            result = operation(hosted.shard, now_ms)
        except ApiError as error:
            return resolved(error)
        if result.records:
            failure = self._append(hosted, result, now_ms, producer_id, producer_epoch, verification)
            if failure is not None:
                if result.on_append is not None:
                    result.on_append(failure)
                return resolved(failure)
        return self._when_committed(hosted, result)

    def read(self, key: str | int, operation: Callable[[S, int], T]) -> Deferred[T | ApiError]:
        """Run `operation(shard, now_ms)` and give its answer once all that it saw is committed."""
        hosted = self._find(key)
        if isinstance(hosted, ApiError):
            return resolved(hosted)
        try:
            response = operation(hosted.shard, self.environment.clock.wall_ms())
        except ApiError as error:
            return resolved(error)
        return self._when_committed(hosted, Result(response))

    def _find(self, key: str | int) -> _Hosted[S] | ApiError:
        index = self.partition_for(key) if isinstance(key, str) else key
        if index < 0:
            return ApiError(ErrorCode.NOT_COORDINATOR)
        hosted = self._hosted.get(index)
        if hosted is None or hosted.state is FAILED:
            return ApiError(ErrorCode.NOT_COORDINATOR)
        if hosted.state is LOADING:
            return ApiError(ErrorCode.COORDINATOR_LOAD_IN_PROGRESS)
        if not hosted.partition.is_leader:
            self.resign(index)
            return ApiError(ErrorCode.NOT_COORDINATOR)
        return hosted

    def _append(
        self,
        hosted: _Hosted[S],
        result: Result[Any],
        now_ms: int,
        producer_id: int = -1,
        producer_epoch: int = -1,
        verification: Verification | None = None,
    ) -> ApiError | None:
        """Append the records of a result and replay them."""
        partition = hosted.partition
        batches = self._batches(result, now_ms, partition.max_batch_bytes, producer_id, producer_epoch)
        if batches is None:
            return ApiError(ErrorCode.UNKNOWN_SERVER_ERROR, "The records do not fit into one batch.")
        for records, batch in batches:
            outcome = partition.append_internal(
                batch,
                last_offset_delta=len(records) - 1,
                max_timestamp=now_ms,
                producer_id=producer_id,
                producer_epoch=producer_epoch,
                verification=verification,
            )
            if outcome.error:
                return ApiError(_append_error(outcome.error))
            hosted.last_end_offset = outcome.end_offset
            if not result.replay:
                continue
            replay = hosted.shard.replay
            for offset, record in enumerate(records, outcome.base_offset):
                replay(
                    record.key,
                    record.value,
                    offset=offset,
                    timestamp=now_ms,
                    producer_id=producer_id,
                    producer_epoch=producer_epoch,
                )
        return None

    def _batches(
        self, result: Result[Any], now_ms: int, max_bytes: int, producer_id: int, producer_epoch: int
    ) -> list[tuple[list[CoordinatorRecord], bytearray]] | None:
        """The batches to append; None when the records must be one batch and do not fit."""

        def build(records: list[CoordinatorRecord]) -> bytearray:
            return bytearray(
                build_batch(
                    [Record(0, now_ms, record.key, record.value) for record in records],
                    codec=self.settings.codec,
                    producer_id=producer_id,
                    producer_epoch=producer_epoch,
                    transactional=producer_id >= 0,
                )
            )

        records = result.records
        whole = build(records)
        if len(whole) <= max_bytes:
            return [(records, whole)]
        if result.atomic:
            return None
        batches: list[tuple[list[CoordinatorRecord], bytearray]] = []
        chunk: list[CoordinatorRecord] = []
        size = HEADER_SIZE
        for record in records:
            record_size = len(record.key) + len(record.value or b"") + _RECORD_OVERHEAD
            if chunk and size + record_size > max_bytes:
                batches.append((chunk, build(chunk)))
                chunk, size = [], HEADER_SIZE
            chunk.append(record)
            size += record_size
        batches.append((chunk, build(chunk)))
        return None if any(len(batch) > max_bytes for _, batch in batches) else batches

    def _when_committed(self, hosted: _Hosted[S], result: Result[T]) -> Deferred[T | ApiError]:
        """Release the response of a result once everything up to now is committed."""
        end_offset = hosted.last_end_offset
        released: Deferred[T | ApiError] = Deferred()

        def settle(error: ErrorCode) -> None:
            if released.done:
                return
            failure = ApiError(_append_error(error)) if error else None
            if result.on_append is not None:
                result.on_append(failure)
            if failure is not None:
                released.resolve(failure)
            elif isinstance(result.response, Deferred):
                result.response.then(released.resolve)
            else:
                released.resolve(result.response)

        if hosted.partition.high_watermark >= end_offset:
            settle(ErrorCode.NONE)
            return released
        timers, clock = self.environment.timers, self.environment.clock
        timer = timers.schedule(
            clock.monotonic_ms() + self.settings.write_timeout_ms, lambda: settle(ErrorCode.REQUEST_TIMED_OUT)
        )

        def committed(error: ErrorCode) -> None:
            timer.cancel()
            settle(error)

        hosted.partition.on_high_watermark(end_offset, committed)
        return released

    # ---- leadership ----------------------------------------------------------------------------------

    def elect(self, index: int) -> None:
        """This broker leads a partition, in an epoch that may be new: load it."""
        partition = self.environment.partition(self.topic, index)
        if partition is None or not partition.is_leader:
            self.resign(index)
            return
        known = self._hosted.get(index)
        if known is not None:
            if known.epoch == partition.leader_epoch and known.partition is partition:
                return
            self.resign(index)
        timers = _ShardTimers(self, index)
        hosted = _Hosted(index, partition, self._make_shard(index, timers), timers)
        self._hosted[index] = hosted
        if partition.log_start_offset == partition.log_end_offset:
            # New, or never used: nothing to read.
            self._activate(hosted)
            return
        self._loading.append(hosted)
        self._arm_loader()

    def resign(self, index: int) -> None:
        """This broker does not lead a partition any more (deleted, moved, failed disk)."""
        hosted = self._hosted.pop(index, None)
        if hosted is not None:
            hosted.timers.close()
            if self.on_resign is not None:
                self.on_resign(hosted.shard)
            hosted.shard.become_inactive()

    def check_leaders(self) -> None:
        """A log directory failed: give up what was in it."""
        for index, hosted in list(self._hosted.items()):
            if not hosted.partition.is_leader:
                self.resign(index)

    def on_metadata(self, image: MetadataImage, delta: MetadataDelta) -> None:
        """Topics changed; the shards that are loaded are told."""
        now_ms = self.environment.clock.wall_ms()
        for _, shard in self.active_shards:
            shard.on_metadata(image, delta, now_ms)

    def end_transaction(self, index: int, producer_id: int, producer_epoch: int, committed: bool) -> None:
        """A marker was appended to a partition of the topic. A shard that loads finds it in the log."""
        hosted = self._hosted.get(index)
        if hosted is not None and hosted.state is ACTIVE:
            hosted.last_end_offset = hosted.partition.log_end_offset
            hosted.shard.replay_end_transaction(producer_id, producer_epoch, committed)

    # ---- loading -------------------------------------------------------------------------------------

    def _arm_loader(self) -> None:
        if not self._loader_armed and self._loading:
            self._loader_armed = True
            self.environment.timers.schedule(self.environment.clock.monotonic_ms(), self._load_slice)

    def _load_slice(self) -> None:
        """Replay a bounded number of records of what is to be loaded; the rest with the next round."""
        self._loader_armed = False
        budget = _SLICE_RECORDS
        while self._loading and budget > 0:
            hosted = self._loading[0]
            if self._hosted.get(hosted.index) is not hosted:
                self._loading.popleft()
                continue
            if hosted.pending is not None:
                budget = self._replay_some(hosted, hosted.pending, budget)
                continue
            if hosted.position >= hosted.partition.log_end_offset:
                self._loading.popleft()
                self._loaded(hosted)
                continue
            budget -= 1
            if self._read_more(hosted):
                # Read on when the bytes are there.
                return
        self._arm_loader()

    def _replay_some(self, hosted: _Hosted[S], pending: Iterator[None], budget: int) -> int:
        """Replay at most `budget` of the records that were read; returns what is left of it."""
        try:
            for _ in pending:
                budget -= 1
                if budget <= 0:
                    return 0
        except CorruptionError as error:
            self._load_failed(hosted, error)
            return budget
        hosted.pending = None
        return budget

    def _read_more(self, hosted: _Hosted[S]) -> bool:
        """Read the next bytes of a partition; True when that has to be done off the loop."""
        try:
            found = hosted.partition.read_log(hosted.position, _LOAD_BYTES, may_block=False)
        except (StorageError, CorruptionError) as error:
            self._load_failed(hosted, error)
            return False
        if found.cold is not None:
            self._read_cold(hosted, found.cold)
            return True
        if found.records:
            hosted.pending = self._replayed(hosted, found.records)
        else:
            # Compaction left nothing up to the end.
            hosted.position = hosted.partition.log_end_offset
        return False

    def _read_cold(self, hosted: _Hosted[S], cold: ColdRead) -> None:
        def done(error: BaseException | None) -> None:
            if error is not None:
                self._load_failed(hosted, error)
            self._arm_loader()

        self.environment.run_blocking(f"load {self.topic}", cold.run, done)

    def _load_failed(self, hosted: _Hosted[S], error: BaseException) -> None:
        self.environment.report(
            f"{self.topic}-{hosted.index}: cannot be loaded from offset {hosted.position}: {error}"
        )
        hosted.state = FAILED
        hosted.pending = None
        if self._loading and self._loading[0] is hosted:
            self._loading.popleft()

    def _replayed(self, hosted: _Hosted[S], data: bytes | memoryview) -> Iterator[None]:
        """Replay the whole batches in `data`, one record at a time; moves the position."""
        view = memoryview(data)
        start = 0
        moved = False
        while len(view) - start >= HEADER_SIZE:
            header = read_header(view, start)
            end = start + header.size
            if end > len(view):
                break
            batch = view[start:end]
            if header.next_offset > hosted.position:
                if header.is_control:
                    marker = read_end_transaction(batch)
                    if marker is not None:
                        hosted.shard.replay_end_transaction(
                            marker.producer_id, marker.producer_epoch, marker.commit
                        )
                else:
                    producer_id = header.producer_id if header.is_transactional else -1
                    for record in iter_records(batch, header=header):
                        self._replay_loaded(hosted, record, producer_id, header.producer_epoch)
                        yield
                hosted.position = header.next_offset
                moved = True
            start = end
        if not moved:
            raise CorruptionError(f"no whole batch in {len(data)} bytes")

    def _replay_loaded(
        self, hosted: _Hosted[S], record: Record, producer_id: int, producer_epoch: int
    ) -> None:
        try:
            hosted.shard.replay(
                record.key or b"",
                record.value,
                offset=record.offset,
                timestamp=record.timestamp,
                producer_id=producer_id,
                producer_epoch=producer_epoch,
            )
        except (CorruptionError, ProtocolError) as error:
            self.environment.report(
                f"{self.topic}-{hosted.index}: the record at offset {record.offset} is skipped: {error}"
            )

    def _loaded(self, hosted: _Hosted[S]) -> None:
        """Everything is replayed: serve once it is committed, which the start of a leader makes it soon."""

        def committed(error: ErrorCode) -> None:
            # With too few replicas in sync it is committed all the same.
            committed = error in (ErrorCode.NONE, ErrorCode.NOT_ENOUGH_REPLICAS_AFTER_APPEND)
            if not committed or self._hosted.get(hosted.index) is not hosted:
                return
            if hosted.position < hosted.partition.log_end_offset:
                # A marker came meanwhile.
                self._loading.append(hosted)
                self._arm_loader()
            else:
                self._activate(hosted)

        hosted.partition.on_high_watermark(hosted.position, committed)

    def _activate(self, hosted: _Hosted[S]) -> None:
        hosted.last_end_offset = hosted.partition.log_end_offset
        hosted.state = ACTIVE
        now_ms = self.environment.clock.wall_ms()
        records = hosted.shard.become_active(now_ms)
        if records:
            failure = self._append(hosted, Result(None, records, atomic=False), now_ms)
            if failure is not None:
                self.environment.report(
                    f"{self.topic}-{hosted.index}: {len(records)} records of the load were not written: "
                    f"{failure.code.name}"
                )


def _append_error(error: ErrorCode) -> ErrorCode:
    """What a client is told when the append of a coordinator's records failed."""
    match error:
        case (
            ErrorCode.UNKNOWN_TOPIC_OR_PARTITION
            | ErrorCode.NOT_ENOUGH_REPLICAS
            | ErrorCode.NOT_ENOUGH_REPLICAS_AFTER_APPEND
            | ErrorCode.REQUEST_TIMED_OUT
        ):
            return ErrorCode.COORDINATOR_NOT_AVAILABLE
        case ErrorCode.NOT_LEADER_OR_FOLLOWER | ErrorCode.KAFKA_STORAGE_ERROR:
            return ErrorCode.NOT_COORDINATOR
        case ErrorCode.MESSAGE_TOO_LARGE | ErrorCode.RECORD_LIST_TOO_LARGE | ErrorCode.INVALID_FETCH_SIZE:
            return ErrorCode.UNKNOWN_SERVER_ERROR
        case _:
            return error

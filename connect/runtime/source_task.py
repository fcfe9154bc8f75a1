"""Source tasks: poll, transform, convert, send, and store the offsets behind which all is acknowledged.

In: what a plug-in's task polls. Out: records in topics and their source offsets in the offset store, at least
once (`SourceWorkerTask`), or both in one transaction, exactly once (`ExactlyOnceSourceTask`, KIP-618). What
must hold: an offset is never stored before all records up to it are.
"""

from __future__ import annotations

import contextlib
import logging
import threading
import time
from collections import deque
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from functools import partial
from typing import Any, Final, NamedTuple

from confluent_kafka import KafkaError, KafkaException, Message, Producer
from confluent_kafka.admin import AdminClient, NewTopic

from connect.api.converter import RawHeaders
from connect.api.errors import ConnectError, RetriableError
from connect.api.records import SourceRecord
from connect.api.source import RecordMetadata, SourceTask
from connect.core.config_state import TaskId
from connect.core.connector_config import TopicCreationGroup
from connect.core.error_policy import KAFKA_PRODUCE, ErrorPolicy, ProcessingContext
from connect.core.offsets import canonical
from connect.core.pipeline import SourcePipeline
from connect.core.status import TopicStatus
from connect.core.submitted_records import Submitted, SubmittedRecords
from connect.runtime.stores import OffsetStore, StatusStore
from connect.runtime.tasks import TaskListener, WorkerTask, monotonic_ms, now_ms

log = logging.getLogger(__name__)

_BUFFER_WAIT_S: Final = 0.1
# So many records are handed to the producer at a time: it sends them while the next ones are converted.
_MOST_IN_RUN: Final = 500
_FINAL_FLUSH_S: Final = 30.0


class StoredOffsets:
    """The `OffsetStorageReader` of a connector or task."""

    def __init__(self, store: OffsetStore, connector: str) -> None:
        self._store = store
        self._connector = connector

    def offset(self, partition: Mapping[str, Any]) -> dict[str, Any] | None:
        return self._store.get(self._connector, [partition])[0]

    def offsets(self, partitions: Iterable[Mapping[str, Any]]) -> list[dict[str, Any] | None]:
        return self._store.get(self._connector, list(partitions))


class TransactionBoundaries:
    """The `TransactionContext` of a task that says itself where transactions end."""

    def __init__(self) -> None:
        self.commit_batch = False
        self.abort_batch = False
        self._commit_after: set[int] = set()
        self._abort_after: set[int] = set()

    def commit_transaction(self, record: SourceRecord | None = None) -> None:
        if record is None:
            if self.abort_batch:
                raise ConnectError("Cannot commit and abort the same batch")
            self.commit_batch = True
        else:
            self._commit_after.add(id(record))

    def abort_transaction(self, record: SourceRecord | None = None) -> None:
        if record is None:
            if self.commit_batch:
                raise ConnectError("Cannot commit and abort the same batch")
            self.abort_batch = True
        else:
            self._abort_after.add(id(record))

    def commits_after(self, record: SourceRecord) -> bool:
        return _taken(self._commit_after, id(record))

    def aborts_after(self, record: SourceRecord) -> bool:
        return _taken(self._abort_after, id(record))

    def take_batch_end(self) -> tuple[bool, bool]:
        """(commit, abort) as asked for the batch that ends now."""
        ends = (self.commit_batch, self.abort_batch)
        self.commit_batch = self.abort_batch = False
        self._commit_after.clear()
        self._abort_after.clear()
        return ends


def _taken(values: set[int], value: int) -> bool:
    if value in values:
        values.discard(value)
        return True
    return False


class SourceContext:
    def __init__(
        self,
        configs: Callable[[], dict[str, str]],
        reader: StoredOffsets,
        transactions: TransactionBoundaries | None,
    ) -> None:
        self._configs = configs
        self._reader = reader
        self._transactions = transactions

    def configs(self) -> dict[str, str]:
        return self._configs()

    def offset_storage_reader(self) -> StoredOffsets:
        return self._reader

    def transaction_context(self) -> TransactionBoundaries | None:
        return self._transactions


class TopicCreator:
    """Creates a topic before its first record, if the connector says how."""

    def __init__(self, admin: AdminClient | None, groups: Sequence[TopicCreationGroup]) -> None:
        self._admin = admin
        self._groups = groups
        self._known: set[str] = set()

    def ensure(self, topic: str) -> None:
        if topic in self._known:
            return
        if self._admin is None or not self._groups:
            self._known.add(topic)
            return
        try:
            found = self._admin.list_topics(topic, timeout=30).topics.get(topic)
            if found is None or found.error is not None:
                self._create(topic)
        except KafkaException as error:
            raise ConnectError(f"Task failed to create new topic {topic}: {error}") from error
        self._known.add(topic)

    def _create(self, topic: str) -> None:
        assert self._admin is not None
        group = next(group for group in self._groups if group.matches(topic))
        new = NewTopic(
            topic,
            num_partitions=group.partitions,
            replication_factor=group.replication_factor,
            config=dict(group.settings),
        )
        try:
            self._admin.create_topics([new], operation_timeout=30)[topic].result()
        except KafkaException as error:
            if error.args[0].code() != KafkaError.TOPIC_ALREADY_EXISTS:
                raise


class SourceSettings(NamedTuple):
    """What a source task needs besides its plug-in."""

    props: dict[str, str]
    pipeline: SourcePipeline
    make_producer: Callable[[], Producer]
    topics: TopicCreator
    store: OffsetStore
    flush_interval_ms: int
    flush_timeout_ms: int
    track_topics: bool
    status: StatusStore
    configs: Callable[[], dict[str, str]]


class _Run:
    """Records of one batch that follow each other, have one source partition and go to one topic: they are
    handed to the producer together and share their place among the offsets."""

    __slots__ = (
        "messages",
        "offset",
        "partition",
        "stored_offset",
        "submitted",
        "together",
        "topic",
        "tracked",
    )

    def __init__(self, partition: Mapping[str, Any] | None) -> None:
        self.partition = partition
        self.topic: str | None = None
        # Whether the producer takes the messages as a batch: it knows no headers, times or partitions there.
        self.together = True
        self.messages: list[dict[str, Any]] = []
        # That of the last record; and of the last that had a partition or an offset.
        self.offset: Mapping[str, Any] | None = None
        self.stored_offset: tuple[Mapping[str, Any] | None] | None = None
        self.submitted: Submitted | None = None
        self.tracked = False


class SourceWorkerTask(WorkerTask):
    """At least once."""

    is_source = True

    def __init__(
        self,
        task_id: TaskId,
        task: SourceTask,
        class_name: str,
        policy: ErrorPolicy,
        target_state: str,
        listener: TaskListener,
        settings: SourceSettings,
    ) -> None:
        super().__init__(task_id, task.version, class_name, policy, target_state, listener)
        self.task = task
        self.settings = settings
        self.producer: Producer | None = None
        self._begun = False
        self._send_error: BaseException | None = None
        self._lock = threading.Lock()
        self._submitted = SubmittedRecords()
        # Offsets that may be stored but are not yet, by partition.
        self._pending: dict[Any, tuple[Any, Any]] = {}
        self._next_commit = 0
        self._committed = False
        self._tracked: set[str] = set()
        self._wants_acks = type(task).commit_record is not SourceTask.commit_record
        self._acked: deque[tuple[SourceRecord, RecordMetadata | None]] = deque()
        if policy.log_enable:
            self.errors.reporters.append(self.log_error)

    def request_stop(self) -> None:
        super().request_stop()
        if self._begun:
            try:
                self.task.stop()
            except Exception:
                log.exception("Task %s did not take the request to stop", self.id)

    def boundaries(self) -> TransactionBoundaries | None:
        return None

    def initialize_and_start(self) -> None:
        self.producer = self.settings.make_producer()
        reader = StoredOffsets(self.settings.store, self.id.connector)
        self._begun = True
        self.task.initialize(SourceContext(self.settings.configs, reader, self.boundaries()))
        self.task.start(dict(self.settings.props))
        self._next_commit = monotonic_ms() + self.settings.flush_interval_ms

    def execute(self) -> None:
        try:
            while not self.stopping.is_set():
                self._raise_send_error()
                if self.should_pause():
                    self.on_pause()
                    if self.await_unpause():
                        self.on_resume()
                    continue
                batch = self._poll()
                self._serve_acknowledgements()
                if batch:
                    self._send_batch(batch)
                else:
                    self._batch_done()
        except BaseException:
            if not self.cancelled:
                with contextlib.suppress(Exception):
                    self._final_commit()
            raise
        if not self.cancelled:
            self._final_commit()

    def _poll(self) -> list[SourceRecord] | None:
        begin = time.perf_counter()
        try:
            batch = self.task.poll()
        except RetriableError as error:
            log.warning("Task %s could not poll and will try again: %s", self.id, error)
            self.stopping.wait(_BUFFER_WAIT_S)
            return None
        if batch:
            metrics = self.metrics
            metrics.batch_ms.record((time.perf_counter() - begin) * 1000)
            metrics.polled += len(batch)
            metrics.batch_size.record(len(batch))
        return batch

    def _send_batch(self, batch: list[SourceRecord]) -> None:
        for run in self._runs(batch):
            self._hand_over(run)
            if self.stopping.is_set() and self.cancelled:
                return
        self._batch_done()

    def _runs(self, batch: Sequence[SourceRecord]) -> Iterator[_Run]:
        """The batch, converted. When a record cannot be, those before it still go out."""
        process = self.settings.pipeline.process
        run: _Run | None = None
        try:
            for record in batch:
                outgoing = process(record)
                source = record.source_partition
                if run is None or (source is not run.partition and source != run.partition):
                    if run is not None:
                        yield run
                    run = _Run(source)
                    reported = partial(self._reported, run)
                if outgoing is not None:
                    topic, partition, key, value, headers, timestamp = outgoing
                    together = partition is None and timestamp is None and not headers
                    if (
                        run.topic != topic
                        or run.together is not together
                        or len(run.messages) >= _MOST_IN_RUN
                    ):
                        if run.messages:
                            yield run
                            run = _Run(source)
                            reported = partial(self._reported, run)
                        run.topic, run.together = topic, together
                    message = {"value": value, "key": key, "callback": partial(reported, record)}
                    if not together:
                        message |= _details(partition, headers, timestamp)
                    run.messages.append(message)
                elif self._wants_acks:
                    self._acked.append((record, None))
                run.offset = record.source_offset
                if source is not None or run.offset is not None:
                    run.stored_offset = (run.offset,)
        except Exception:
            if run is not None:
                yield run
            raise
        if run is not None:
            yield run

    def _hand_over(self, run: _Run) -> None:
        with self._lock:
            run.submitted = self._submitted.submit(run.partition, run.offset, len(run.messages))
        if run.messages:
            self._produce_run(run)
            self.metrics.active.record(self.metrics.active_now)
            run.messages = []  # They know the run: a circle.

    def _produce_run(self, run: _Run) -> None:
        topic, waiting = run.topic, run.messages
        assert topic is not None
        assert self.producer is not None
        self.settings.topics.ensure(topic)
        with self._lock:
            self.metrics.active_now += len(waiting)
        if not run.together:
            for message in waiting:
                self._produce(topic, message)
            return
        while True:
            try:
                if self.producer.produce_batch(topic, waiting) == len(waiting):
                    return
            except KafkaException as error:
                raise _cannot_send(topic, waiting[0], error) from error
            refused = [(message, message.pop("_error")) for message in waiting if "_error" in message]
            for message, reason in refused:
                if reason.code() != KafkaError._QUEUE_FULL:
                    raise _cannot_send(topic, message, KafkaException(reason))
            waiting = [message for message, _ in refused]
            self._wait_for_room()

    def _produce(self, topic: str, message: Mapping[str, Any]) -> None:
        producer = self.producer
        assert producer is not None
        while True:
            try:
                producer.produce(topic, **message)
                return
            except BufferError:
                self._wait_for_room()
            except KafkaException as error:
                raise _cannot_send(topic, message, error) from error

    def _wait_for_room(self) -> None:
        """The producer's buffer is full: this is the back-pressure."""
        assert self.producer is not None
        self.producer.poll(_BUFFER_WAIT_S)
        if self.cancelled:
            raise ConnectError("The task was cancelled while it waited for the producer") from None
        self._raise_send_error()

    def _reported(self, run: _Run, record: SourceRecord, error: KafkaError | None, message: Message) -> None:
        """The producer's word on a record, in whichever thread polls it."""
        assert run.submitted is not None
        if error is not None:
            self._not_delivered(record, run.submitted, error)
            return
        metrics = self.metrics
        with self._lock:
            self._submitted.ack(run.submitted)
            metrics.written += 1
            metrics.active_now -= 1
        if self._wants_acks:
            self._acked.append((record, _metadata(message)))
        if not run.tracked:
            run.tracked = True
            self._track(message.topic() or "")

    def _not_delivered(self, record: SourceRecord, submitted: Submitted, error: KafkaError) -> None:
        with self._lock:
            self.metrics.active_now -= 1
        if self.cancelled:
            return
        context = ProcessingContext(record, KAFKA_PRODUCE, "org.apache.kafka.clients.producer.KafkaProducer")
        try:
            self.errors.failed(context, KafkaException(error))
        except ConnectError as refused:
            if self._send_error is None:
                cause = ConnectError(
                    f"Unrecoverable exception from producer send callback for {_place(record)}: {error}"
                )
                cause.__cause__ = refused
                self._send_error = cause
            return
        with self._lock:
            self._submitted.ack(submitted)
        if self._wants_acks:
            self._acked.append((record, None))

    def _track(self, topic: str) -> None:
        if not self.settings.track_topics or topic in self._tracked:
            return
        self._tracked.add(topic)
        if topic not in self.settings.status.topics(self.id.connector):
            self.settings.status.put_topic(TopicStatus(topic, self.id.connector, self.id.task, now_ms()))

    def topics_were_reset(self) -> None:
        self._tracked.clear()

    def _raise_send_error(self) -> None:
        if self._send_error is not None:
            raise self._send_error

    def _batch_done(self) -> None:
        assert self.producer is not None
        self.producer.poll(0)
        self._serve_acknowledgements()

    def _serve_acknowledgements(self) -> None:
        while self._acked:
            self.task.commit_record(*self._acked.popleft())
        if self._committed:
            self._committed = False
            self.task.commit()

    # The committer's thread.

    def serve(self) -> None:
        """Called often by the worker: takes acknowledgements, and stores offsets when that is due."""
        if self.producer is None or not self.started_ok or self.stopping.is_set():
            return
        self.producer.poll(0)
        if monotonic_ms() >= self._next_commit:
            self._next_commit = monotonic_ms() + self.settings.flush_interval_ms
            self.commit_offsets()

    def commit_offsets(self) -> bool:
        """Stores what may be stored. False when it failed: it is tried again the next time."""
        begin = monotonic_ms()
        with self._lock:
            for partition, offset in self._submitted.committable():
                self._pending[canonical(partition)] = (partition, offset)
            taken = dict(self._pending)
        if not taken:
            return True
        finished = threading.Event()
        errors: list[BaseException] = []

        def done(error: BaseException | None) -> None:
            if error is not None:
                errors.append(error)
            finished.set()

        try:
            self.settings.store.write(self.id.connector, list(taken.values()), done)
        except ConnectError as error:
            errors.append(error)
            finished.set()
        if not finished.wait(self.settings.flush_timeout_ms / 1000):
            errors.append(ConnectError(f"no answer in {self.settings.flush_timeout_ms} ms"))
        if errors:
            log.error("Task %s could not store its offsets: %s", self.id, errors[0])
            self.metrics.commit_failures += 1
            return False
        with self._lock:
            for identity, pair in taken.items():
                if self._pending.get(identity) is pair:
                    del self._pending[identity]
        self.metrics.commit_ms.record(monotonic_ms() - begin)
        self.metrics.commit_successes += 1
        self._committed = True
        return True

    def _final_commit(self) -> None:
        assert self.producer is not None
        deadline = time.monotonic() + self.settings.flush_timeout_ms / 1000
        while time.monotonic() < deadline:
            self.producer.poll(0.05)
            with self._lock:
                if self._submitted.unacked == 0:
                    break
        self.commit_offsets()
        self._serve_acknowledgements()

    def close(self) -> None:
        if self._begun:
            if not self.stopping.is_set():
                self.task.stop()
            self.task.close()
        if self.producer is not None:
            if not self.cancelled:
                self.producer.flush(_FINAL_FLUSH_S if self._send_error is None else 1)
            self.producer = None
        self.settings.pipeline.close()


class TransactionSettings(NamedTuple):
    boundary: str  # poll, interval or connector
    interval_ms: int
    offsets_topic: str
    # Called before the first transaction: older tasks are fenced off by then, or an error is raised.
    prepare: Callable[[], None]


class ExactlyOnceSourceTask(SourceWorkerTask):
    """Records and their offsets in one transaction."""

    def __init__(
        self,
        task_id: TaskId,
        task: SourceTask,
        class_name: str,
        policy: ErrorPolicy,
        target_state: str,
        listener: TaskListener,
        settings: SourceSettings,
        transactions: TransactionSettings,
    ) -> None:
        super().__init__(task_id, task, class_name, policy, target_state, listener, settings)
        self._transactions = transactions
        self._boundaries = TransactionBoundaries() if transactions.boundary == "connector" else None
        self._open = False
        self._records_in_transaction = 0
        self._offsets: dict[Any, tuple[Any, Any]] = {}
        self._last_end = 0

    def boundaries(self) -> TransactionBoundaries | None:
        return self._boundaries

    def initialize_and_start(self) -> None:
        self._transactions.prepare()
        super().initialize_and_start()
        assert self.producer is not None
        try:
            self.producer.init_transactions(_FINAL_FLUSH_S)
        except KafkaException as error:
            raise ConnectError(f"Failed to begin using the transactional producer: {error}") from error
        self._last_end = monotonic_ms()

    def _send_batch(self, batch: list[SourceRecord]) -> None:
        if self._boundaries is None:
            for run in self._runs(batch):
                self._hand_over(run)
        else:
            for record in batch:
                for run in self._runs([record]):
                    self._hand_over(run)
                if self._boundaries.commits_after(record):
                    self._commit_transaction()
                elif self._boundaries.aborts_after(record):
                    self._abort_transaction()
        self._batch_done()

    def _hand_over(self, run: _Run) -> None:
        if run.stored_offset is not None:
            self._offsets[canonical(run.partition)] = (run.partition, *run.stored_offset)
        if run.messages:
            self._begin()
            self._produce_run(run)
            self._records_in_transaction += len(run.messages)
            run.messages = []

    def _reported(self, run: _Run, record: SourceRecord, error: KafkaError | None, message: Message) -> None:
        with self._lock:
            self.metrics.active_now -= 1
        if error is not None:
            if error.code() in (KafkaError._PURGE_QUEUE, KafkaError._PURGE_INFLIGHT):
                return  # Dropped with the transaction that was aborted.
            if self._send_error is None and not self.cancelled:
                self._send_error = ConnectError(
                    f"Unrecoverable exception from producer send callback for {_place(record)}: {error}"
                )
            return
        self.metrics.written += 1
        if self._wants_acks:
            self._acked.append((record, _metadata(message)))
        if not run.tracked:
            run.tracked = True
            self._track(message.topic() or "")

    def _batch_done(self) -> None:
        boundary = self._transactions.boundary
        if boundary == "connector":
            assert self._boundaries is not None
            commit, abort = self._boundaries.take_batch_end()
            if commit:
                self._commit_transaction()
            elif abort:
                self._abort_transaction()
        elif boundary == "poll" or monotonic_ms() - self._last_end >= self._transactions.interval_ms:
            self._commit_transaction()
        super()._batch_done()

    def _begin(self) -> None:
        if not self._open:
            assert self.producer is not None
            self.producer.begin_transaction()
            self._open = True

    def _commit_transaction(self) -> None:
        if not self._offsets and not self._open:
            return
        begin = monotonic_ms()
        producer = self.producer
        assert producer is not None
        try:
            self._begin()
            for key, value in self.settings.store.records(self.id.connector, list(self._offsets.values())):
                producer.produce(self._transactions.offsets_topic, value=value, key=key)
            while producer.flush(_FINAL_FLUSH_S):
                self._raise_send_error()
                if self.cancelled:
                    raise ConnectError("The task was cancelled in the middle of a transaction")
            self._raise_send_error()
            producer.commit_transaction(_FINAL_FLUSH_S)
        except KafkaException as error:
            self.metrics.commit_failures += 1
            raise ConnectError(f"Failed to commit a transaction: {error}") from error
        self._open = False
        self._offsets.clear()
        self._last_end = monotonic_ms()
        self.metrics.transaction_size.record(self._records_in_transaction)
        self._records_in_transaction = 0
        self.metrics.commit_ms.record(monotonic_ms() - begin)
        self.metrics.commit_successes += 1
        self._committed = True

    def _abort_transaction(self) -> None:
        """Drops the records, but the source has moved on: its offsets are stored in a transaction of their
        own."""
        if self._open:
            assert self.producer is not None
            self.producer.abort_transaction(_FINAL_FLUSH_S)
            self._open = False
            self._records_in_transaction = 0
        self._commit_transaction()

    def serve(self) -> None:
        """Transactions are committed by the task's own thread."""

    def _final_commit(self) -> None:
        if self._send_error is None and self._boundaries is None:
            self._commit_transaction()
        elif self._open:
            assert self.producer is not None
            self.producer.abort_transaction(_FINAL_FLUSH_S)
            self._open = False
        self._serve_acknowledgements()


def _details(partition: int | None, headers: RawHeaders, timestamp: int | None) -> dict[str, Any]:
    """What a message has besides its key and value."""
    given = {"partition": partition, "headers": headers or None, "timestamp": timestamp}
    return {name: value for name, value in given.items() if value is not None}


def _cannot_send(topic: str, message: Mapping[str, Any], error: KafkaException) -> ConnectError:
    record = message["callback"].args[-1]
    return ConnectError(f"Unrecoverable exception trying to send {_place(record)} to topic {topic}: {error}")


def _place(record: SourceRecord) -> str:
    return f"the record of {record.source_partition} at {record.source_offset}"


def _metadata(message: Message) -> RecordMetadata:
    return RecordMetadata(message.topic() or "", message.partition() or 0, message.offset() or 0)

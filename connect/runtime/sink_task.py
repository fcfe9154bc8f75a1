"""Sink tasks: consume, convert, transform, put, and commit what has reached its target.

In: the records of the partitions that the consumer group gives this task. Out: calls of the plug-in's
`put`, and committed offsets. What must hold: a committed offset is never beyond what `pre_commit` allowed;
when `put` asks for a retry the same records come again; records that cannot be processed go to the dead
letter topic, and their offsets are not committed before they are there.
"""

from __future__ import annotations

import contextlib
import logging
import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from concurrent.futures import Future
from typing import Any, Final, NamedTuple

from confluent_kafka import Consumer, KafkaError, KafkaException, Message, Producer
from confluent_kafka import TopicPartition as KafkaPartition
from confluent_kafka.admin import AdminClient, NewTopic

from connect.api.converter import RawHeaders
from connect.api.errors import ConnectError, IllegalWorkerStateError, RetriableError
from connect.api.records import SinkRecord
from connect.api.sink import SinkTask, TopicPartition
from connect.core import regex
from connect.core.config_state import TaskId
from connect.core.error_policy import TASK_PUT, ErrorPolicy, ProcessingContext, context_headers
from connect.core.pipeline import RawRecord, SinkPipeline, dead_letter_source
from connect.core.status import TopicStatus
from connect.runtime.stores import StatusStore
from connect.runtime.tasks import TaskListener, WorkerTask, monotonic_ms, now_ms

log = logging.getLogger(__name__)

# A tuple of a class without the detour through the class's own function.
_new: Final[Any] = tuple.__new__

_POLL_S: Final = 0.5
_RETRY_WAIT_MS: Final = 5000


class DeadLetterTopic:
    """Keeps records that could not be processed, as they came."""

    def __init__(self, topic: str, with_headers: bool, task: TaskId, producer: Producer) -> None:
        self._topic = topic
        self._with_headers = with_headers
        self._task = task
        self._producer = producer

    def send(
        self, context: ProcessingContext, raw: RawRecord, done: Callable[[KafkaError | None], None]
    ) -> None:
        headers: list[tuple[str, bytes | None]] = list(raw.headers)
        if self._with_headers:
            consumed = (raw.topic, raw.partition, raw.offset)
            headers += context_headers(context, self._task.connector, self._task.task, consumed)
        extra: dict[str, Any] = {"headers": headers} if headers else {}
        if raw.timestamp is not None:
            extra["timestamp"] = raw.timestamp

        def delivered(error: KafkaError | None, _: Message) -> None:
            done(error)

        while True:
            try:
                self._producer.produce(
                    self._topic, value=raw.value, key=raw.key, on_delivery=delivered, **extra
                )
                return
            except BufferError:
                self._producer.poll(0.1)

    def poll(self, timeout_s: float = 0) -> None:
        self._producer.poll(timeout_s)

    def close(self) -> None:
        self._producer.flush(30)


def create_dead_letter_topic(admin: AdminClient, topic: str, replication_factor: int) -> None:
    """Creates it with one partition unless it exists. ConnectError when it cannot be."""
    try:
        found = admin.list_topics(topic, timeout=30).topics.get(topic)
        if found is not None and found.error is None:
            return
        new = NewTopic(topic, num_partitions=1, replication_factor=replication_factor)
        admin.create_topics([new], operation_timeout=30)[topic].result()
    except KafkaException as error:
        if error.args[0].code() != KafkaError.TOPIC_ALREADY_EXISTS:
            raise ConnectError(
                f"Could not initialize errant record reporter with topic = {topic}: {error}"
            ) from error


class SinkSettings(NamedTuple):
    """What a sink task needs besides its plug-in."""

    props: dict[str, str]
    pipeline: SinkPipeline
    make_consumer: Callable[[], Consumer]
    make_dead_letters: Callable[[], DeadLetterTopic] | None
    topics: Sequence[str]
    topics_regex: str
    flush_interval_ms: int
    max_poll_records: int
    track_topics: bool
    status: StatusStore
    configs: Callable[[], dict[str, str]]


class SinkContext:
    """The `SinkTaskContext` of a task."""

    def __init__(self, task: SinkWorkerTask) -> None:
        self._task = task
        self.offsets: dict[TopicPartition, int] = {}
        self.timeout_ms = -1
        self.paused: set[TopicPartition] = set()
        self.commit_requested = False

    def configs(self) -> dict[str, str]:
        return self._task.settings.configs()

    def offset(self, offsets: Mapping[TopicPartition, int]) -> None:
        self.offsets.update({TopicPartition(*partition): offset for partition, offset in offsets.items()})

    def timeout(self, timeout_ms: int) -> None:
        self.timeout_ms = timeout_ms

    def assignment(self) -> set[TopicPartition]:
        if self._task.consumer is None:
            raise IllegalWorkerStateError("SinkTaskContext may not be used before the task is started")
        return set(self._task.assigned)

    def pause(self, *partitions: TopicPartition) -> None:
        self._check(partitions)
        self.paused.update(partitions)
        self._task.pause_partitions(partitions)

    def resume(self, *partitions: TopicPartition) -> None:
        self._check(partitions)
        self.paused.difference_update(partitions)
        self._task.resume_partitions(partitions)

    def _check(self, partitions: Iterable[TopicPartition]) -> None:
        foreign = set(partitions) - self._task.assigned
        if foreign:
            raise IllegalWorkerStateError(f"Partitions {sorted(foreign)} are not assigned to this task")

    def request_commit(self) -> None:
        self.commit_requested = True

    def errant_record_reporter(self) -> Reporter | None:
        return self._task.reporter


class Reporter:
    """The `ErrantRecordReporter` of a task."""

    def __init__(self, task: SinkWorkerTask) -> None:
        self._task = task
        self.pending: dict[TopicPartition, list[Future[None]]] = {}

    def report(self, record: SinkRecord, error: BaseException) -> Future[None]:
        raw = dead_letter_source(record)
        future: Future[None] = Future()
        context = ProcessingContext(raw or record, TASK_PUT, self._task.class_name)
        self._task.reporting = future
        try:
            self._task.errors.failed(context, error)
        finally:
            self._task.reporting = None
        if self._task.dead_letters is None or raw is None:
            if not future.done():
                future.set_result(None)
            return future
        partition = TopicPartition(raw.topic, raw.partition)
        self.pending.setdefault(partition, []).append(future)
        return future

    def await_all(self, partitions: Iterable[TopicPartition], timeout_s: float) -> None:
        deadline = time.monotonic() + timeout_s
        for partition in partitions:
            for future in self.pending.pop(partition, ()):
                while not future.done() and time.monotonic() < deadline:
                    assert self._task.dead_letters is not None
                    self._task.dead_letters.poll(0.05)
                if not future.done():
                    raise ConnectError("Dead letters were not stored in time")
                future.result()


class SinkWorkerTask(WorkerTask):
    is_source = False

    def __init__(
        self,
        task_id: TaskId,
        task: SinkTask,
        class_name: str,
        policy: ErrorPolicy,
        target_state: str,
        listener: TaskListener,
        settings: SinkSettings,
    ) -> None:
        super().__init__(task_id, task.version, class_name, policy, target_state, listener)
        self.task = task
        self.settings = settings
        self.consumer: Consumer | None = None
        self.assigned: set[TopicPartition] = set()
        self.dead_letters: DeadLetterTopic | None = None
        self.reporter: Reporter | None = None
        self.reporting: Future[None] | None = None
        self.context = SinkContext(self)
        self._begun = False
        self._opened: set[TopicPartition] = set()
        self._batch: list[SinkRecord] = []
        self._held: list[Message] = []
        # The next offset to read: of what was put, of what was read (with the current batch), and committed.
        self._current: dict[TopicPartition, int] = {}
        self._read: dict[TopicPartition, int] = {}
        self._last_committed: dict[TopicPartition, int] = {}
        # Where reading began in partitions without a committed offset.
        self._began_at: dict[TopicPartition, int] = {}
        self._retrying = False
        self._retry_at = 0
        self._paused = False
        self._rebalance_error: BaseException | None = None
        self._next_commit = 0
        self._tracked: set[str] = set()
        if policy.log_enable:
            self.errors.reporters.append(self.log_error)
        if settings.make_dead_letters is not None:
            self.errors.reporters.append(self._report_dead_letter)
        if policy.log_enable or settings.make_dead_letters is not None:
            self.reporter = Reporter(self)

    def initialize_and_start(self) -> None:
        settings = self.settings
        if settings.make_dead_letters is not None:
            self.dead_letters = settings.make_dead_letters()
        self.consumer = settings.make_consumer()
        topics = list(settings.topics)
        if not topics:
            topics = ["^" + _anchored(settings.topics_regex)]
        self._next_commit = monotonic_ms() + settings.flush_interval_ms
        self._begun = True
        self.task.initialize(self.context)
        self.task.start(dict(settings.props))
        self.consumer.subscribe(
            topics, on_assign=self._on_assign, on_revoke=self._on_revoke, on_lost=self._on_lost
        )

    def execute(self) -> None:
        try:
            while not self.stopping.is_set():
                self._iterate()
        except BaseException:
            self._close_partitions(self._opened, commit=False)
            raise
        self._close_partitions(self._opened, commit=not self.cancelled)

    def _iterate(self) -> None:
        now = monotonic_ms()
        if self.context.commit_requested or now >= self._next_commit:
            self._commit(self.assigned, closing=False)
            self._next_commit = now + self.settings.flush_interval_ms
            self.context.commit_requested = False
        self._follow_target_state()
        self._rewind()
        messages = self._consume(max(0, self._next_commit - now))
        if self._rebalance_error is not None:
            error, self._rebalance_error = self._rebalance_error, None
            raise error
        self._held += messages
        if self._retrying:
            # All is paused, but a task may have resumed a partition: what comes has to wait its turn.
            if monotonic_ms() < self._retry_at:
                return
        else:
            self._convert(self._held)
            self._held = []
        self._deliver()

    def _consume(self, until_commit_ms: int) -> list[Message]:
        assert self.consumer is not None
        wait_s = min(_POLL_S, until_commit_ms / 1000)
        if self._retrying:
            wait_s = min(wait_s, max(0, self._retry_at - monotonic_ms()) / 1000)
        if self.context.timeout_ms > 0 and not self._retrying:
            wait_s = min(wait_s, self.context.timeout_ms / 1000)
            self.context.timeout_ms = -1
        first = self.consumer.poll(wait_s)
        if self.dead_letters is not None:
            self.dead_letters.poll()
        if first is None:
            return []
        messages = [first]
        if self.settings.max_poll_records > 1:
            messages += self.consumer.consume(self.settings.max_poll_records - 1, 0)
        return [message for message in messages if (error := message.error()) is None or self._passes(error)]

    def _passes(self, error: KafkaError) -> bool:
        """False: it is no record. ConnectError when the consumer cannot go on."""
        code = error.code()
        if code in (
            KafkaError.TOPIC_AUTHORIZATION_FAILED,
            KafkaError.GROUP_AUTHORIZATION_FAILED,
            KafkaError._MAX_POLL_EXCEEDED,
            KafkaError._AUTO_OFFSET_RESET,
        ) or (error.fatal()):
            raise ConnectError(f"The consumer failed: {error}")
        if code not in (KafkaError._PARTITION_EOF, KafkaError.UNKNOWN_TOPIC_OR_PART):
            log.warning("Task %s: %s", self.id, error)
        return False

    def _convert(self, messages: Sequence[Message]) -> None:
        if not messages:
            return
        process = self.settings.pipeline.process
        self.metrics.polled += len(messages)
        batch, tracked = self._batch, self._tracked
        place: TopicPartition | None = None
        read = 0
        for message in messages:
            raw = _raw(message)
            record = process(raw)
            topic, partition, offset, _, _, _, _, _ = raw
            if place is None or partition != place.partition or topic != place.topic:
                if place is not None:
                    self._read[place] = read
                place = TopicPartition(topic, partition)
                self._began_at.setdefault(place, offset)
            read = offset + 1
            if record is not None:
                batch.append(record)
                if topic not in tracked:
                    self._track(topic)
        if place is not None:
            self._read[place] = read
        self._count_active()

    def _count_active(self) -> None:
        """Records that were read, and behind which nothing is committed yet."""
        active = 0
        for place, read in self._read.items():
            committed = self._last_committed.get(place, self._began_at.get(place, read))
            active += max(0, read - committed)
        self.metrics.active_now = active
        self.metrics.active.record(active)

    def _track(self, topic: str) -> None:
        if not self.settings.track_topics or topic in self._tracked:
            return
        self._tracked.add(topic)
        if topic not in self.settings.status.topics(self.id.connector):
            self.settings.status.put_topic(TopicStatus(topic, self.id.connector, self.id.task, now_ms()))

    def topics_were_reset(self) -> None:
        self._tracked.clear()

    def _deliver(self) -> None:
        begin = time.perf_counter()
        try:
            self.task.put(list(self._batch))
        except RetriableError as error:
            log.info("Task %s asks for its records again: %s", self.id, error)
            wait = self.context.timeout_ms if self.context.timeout_ms > 0 else _RETRY_WAIT_MS
            self.context.timeout_ms = -1
            self._retry_at = monotonic_ms() + wait
            if not self._retrying:
                self._retrying = True
                self.pause_partitions(self.assigned)
            return
        except Exception as error:
            raise ConnectError("Exiting WorkerSinkTask due to unrecoverable exception.") from error
        if self._batch:
            self.metrics.batch_ms.record((time.perf_counter() - begin) * 1000)
            self.metrics.batch_size.record(len(self._batch))
            self.metrics.written += len(self._batch)
        self._batch.clear()
        self._current.update(self._read)
        if self._retrying:
            self._retrying = False
            if not self._paused:
                self.resume_partitions(self.assigned - self.context.paused)

    def _follow_target_state(self) -> None:
        if self.should_pause() and not self._paused:
            self._paused = True
            self.pause_partitions(self.assigned)
            self.on_pause()
            self.context.commit_requested = True
        elif not self.should_pause() and self._paused:
            self._paused = False
            if not self._retrying:
                self.resume_partitions(self.assigned - self.context.paused)
            self.on_resume()

    def pause_partitions(self, partitions: Iterable[TopicPartition]) -> None:
        chosen = [KafkaPartition(*partition) for partition in partitions]
        if self.consumer is not None and chosen:
            # Before the consumer fetches them it does not know them; `_on_assign` comes back to that.
            with contextlib.suppress(KafkaException):
                self.consumer.pause(chosen)

    def resume_partitions(self, partitions: Iterable[TopicPartition]) -> None:
        if self.consumer is not None:
            self.consumer.resume([KafkaPartition(*partition) for partition in partitions])

    def _rewind(self) -> None:
        """Goes to the offsets that the task asked for."""
        if not self.context.offsets:
            return
        assert self.consumer is not None
        later = {}
        for partition, offset in self.context.offsets.items():
            if partition not in self.assigned:
                continue
            try:
                self.consumer.seek(KafkaPartition(partition.topic, partition.partition, offset))
            except KafkaException as error:
                # Not being fetched yet: tried again before the next poll. What comes meanwhile is read twice.
                log.debug("Task %s cannot go to %s@%s yet: %s", self.id, partition, offset, error)
                later[partition] = offset
                continue
            for known in (self._current, self._read, self._last_committed):
                known[partition] = offset
            self._forget({partition})
        self.context.offsets = later

    def _forget(self, partitions: set[TopicPartition]) -> None:
        """Drops records that were read but not put."""
        self._batch = [
            record
            for record in self._batch
            if (record.original_topic, record.original_kafka_partition) not in partitions
        ]
        self._held = [
            message for message in self._held if (message.topic(), message.partition()) not in partitions
        ]

    def _commit(self, partitions: Iterable[TopicPartition], closing: bool) -> None:
        wanted = {p: self._current[p] for p in partitions if p in self._current and p in self._opened}
        if self.reporter is not None:
            self.reporter.await_all(list(self.reporter.pending), 30)
        if not wanted:
            return
        begin = monotonic_ms()
        self.metrics.commit_sequence += 1
        try:
            allowed = self.task.pre_commit(dict(wanted))
        except Exception as error:
            if closing:
                log.warning("Task %s: offsets are not committed, pre_commit failed: %s", self.id, error)
                return
            log.error("Task %s: pre_commit failed, going back to the last commit: %s", self.id, error)
            for partition, offset in self._last_committed.items():
                if partition in wanted:
                    self.context.offsets.setdefault(partition, offset)
            self.metrics.commit_failures += 1
            return
        offsets = []
        for partition, offset in (allowed or {}).items():
            partition = TopicPartition(*partition)
            if partition not in wanted:
                log.warning("Task %s: pre_commit returned %s, which is not its", self.id, partition)
            elif offset > wanted[partition]:
                log.warning(
                    "Task %s: pre_commit returned %s for %s, beyond %s",
                    self.id,
                    offset,
                    partition,
                    wanted[partition],
                )
            elif offset != self._last_committed.get(partition):
                offsets.append(KafkaPartition(partition.topic, partition.partition, offset))
        if not offsets:
            self.metrics.commit_skips += 1
            return
        assert self.consumer is not None
        try:
            answered = self.consumer.commit(offsets=offsets, asynchronous=False) or []
        except KafkaException as error:
            log.error("Task %s could not commit its offsets: %s", self.id, error)
            self.metrics.commit_failures += 1
            return
        refused = {(o.topic, o.partition): o.error for o in answered if o.error is not None}
        if refused:
            log.error("Task %s: offsets were not committed: %s", self.id, refused)
            self.metrics.commit_failures += 1
        for done in offsets:
            if (done.topic, done.partition) not in refused:
                self._last_committed[TopicPartition(done.topic, done.partition)] = done.offset
        self._count_active()
        if refused:
            return
        self.metrics.commit_ms.record(monotonic_ms() - begin)
        self.metrics.commit_successes += 1

    # Called by the consumer in `poll`, so in this thread.

    def _on_assign(self, consumer: Consumer, partitions: list[KafkaPartition]) -> None:
        fresh = {TopicPartition(p.topic, p.partition) for p in partitions}
        try:
            for position in consumer.committed(partitions, timeout=30):
                if position.offset >= 0:
                    key = TopicPartition(position.topic, position.partition)
                    self._last_committed[key] = self._current[key] = self._read[key] = position.offset
            self.assigned |= fresh
            self.metrics.partitions = len(self.assigned)
            if fresh:
                self.task.open(sorted(fresh))
                self._opened |= fresh
            # A task that keeps its own offsets says in `open` where to begin.
            for partition in partitions:
                key = TopicPartition(partition.topic, partition.partition)
                wanted = self.context.offsets.pop(key, None)
                if wanted is not None:
                    partition.offset = wanted
                    for known in (self._current, self._read, self._last_committed):
                        known[key] = wanted
            consumer.assign(partitions)
            if self._paused or self._retrying:
                self.pause_partitions(fresh)
            else:
                self.pause_partitions(fresh & self.context.paused)
        except Exception as error:
            self._rebalance_error = error

    def _on_revoke(self, consumer: Consumer, partitions: list[KafkaPartition]) -> None:
        self._give_up(partitions, commit=True)

    def _on_lost(self, consumer: Consumer, partitions: list[KafkaPartition]) -> None:
        self._give_up(partitions, commit=False)

    def _give_up(self, partitions: list[KafkaPartition], commit: bool) -> None:
        gone = {TopicPartition(p.topic, p.partition) for p in partitions}
        try:
            self._close_partitions(gone, commit)
        except Exception as error:
            self._rebalance_error = error
        self.assigned -= gone
        self.metrics.partitions = len(self.assigned)
        for known in (self._current, self._read, self._last_committed, self._began_at):
            for partition in gone:
                known.pop(partition, None)
        self._count_active()
        self.context.paused -= gone
        self._forget(gone)

    def _close_partitions(self, partitions: Iterable[TopicPartition], commit: bool) -> None:
        closing = {partition for partition in partitions if partition in self._opened}
        if not closing:
            return
        try:
            if commit and self._begun:
                self._commit(closing, closing=True)
        finally:
            self._opened -= closing
            self.task.close(sorted(closing))

    def _report_dead_letter(self, context: ProcessingContext) -> None:
        raw = context.original
        if self.dead_letters is None or not isinstance(raw, RawRecord):
            return
        future = self.reporting or Future()
        metrics = self.errors.metrics
        metrics.dead_letter_requests += 1

        def done(error: KafkaError | None) -> None:
            if error is None:
                future.set_result(None)
            else:
                metrics.dead_letter_failures += 1
                future.set_exception(ConnectError(f"A dead letter could not be stored: {error}"))

        self.dead_letters.send(context, raw, done)
        if self.reporting is None and self.reporter is not None:
            partition = TopicPartition(raw.topic, raw.partition)
            self.reporter.pending.setdefault(partition, []).append(future)

    def close(self) -> None:
        if self._begun:
            try:
                self.task.stop()
            except Exception:
                log.exception("Task %s did not stop cleanly", self.id)
        if self.consumer is not None:
            self.consumer.close()
            self.consumer = None
        if self.dead_letters is not None:
            self.dead_letters.close()
        self.settings.pipeline.close()


def _raw(message: Message) -> RawRecord:
    kind, timestamp = message.timestamp()
    headers = message.headers()
    key: Any = message.key()
    value: Any = message.value()
    found: RawRecord = _new(
        RawRecord,
        (
            message.topic(),
            message.partition(),
            message.offset(),
            timestamp if kind else None,
            # librdkafka: 0 = none, 1 = create time, 2 = log append time.
            kind - 1,
            key,
            value,
            _raw_headers(headers) if headers else [],
        ),
    )
    return found


def _raw_headers(headers: Any) -> RawHeaders:
    return list(headers.items() if isinstance(headers, dict) else headers)


def _anchored(pattern: str) -> str:
    """A Java regex for librdkafka, which knows POSIX-like ones and searches instead of matching."""
    regex.compile_java(pattern)
    return f"({pattern})$"

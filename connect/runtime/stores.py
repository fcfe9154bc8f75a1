"""Where a worker keeps configurations, states and source offsets: in three Kafka topics, or in memory and a
file.

In: what the herder and the tasks want to write. Out: the state after reading it back, and events. What must
hold: a write that returned can be read by every worker; the record formats are a Java worker's. All methods
may be called by any thread and block, so the herder calls them through threads of their own.
"""

from __future__ import annotations

import concurrent.futures
import logging
import os
import struct
import threading
from collections.abc import Callable, Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any, Final

import msgpack
from confluent_kafka import KafkaError, KafkaException, Message, Producer
from confluent_kafka.admin import AdminClient

from connect.api.errors import ConnectError
from connect.core import config_state, status
from connect.core.config_state import ConfigEvent, ConfigRecord, ConfigState, SessionKey, TaskId
from connect.core.offsets import Offset, OffsetRecord, OffsetTable, Partition
from connect.core.status import Status, StatusTable, TopicStatus
from connect.core.worker_config import WorkerConfig
from connect.runtime.clients import make_producer, worker_client_props
from connect.runtime.kafka_log import KafkaLog, ensure_topic

log = logging.getLogger(__name__)

WRITE_TIMEOUT_S: Final = 30.0
_STATUS_FLUSH_S: Final = 5.0
Events = Callable[[list[ConfigEvent]], None]


class ConfigStore:
    """In memory, for standalone workers; `KafkaConfigStore` is the same on a topic."""

    def __init__(self, on_events: Events) -> None:
        self._state = ConfigState()
        self._lock = threading.Lock()
        self._on_events = on_events

    def start(self) -> None: ...

    def stop(self) -> None: ...

    def snapshot(self) -> ConfigState:
        with self._lock:
            return self._state.snapshot()

    def refresh(self, timeout_s: float) -> None:
        """Returns when everything that is in the topic now has been read."""

    def _write(self, *batches: Sequence[ConfigRecord], fenced: bool = True) -> None:
        """Each batch is one batch of the topic, and with exactly-once one transaction."""
        for batch in batches:
            for record in batch:
                self._take(record.key, record.value, self._state.offset)

    def _take(self, key: str, value: bytes | None, offset: int) -> None:
        with self._lock:
            events = self._state.apply(key, value, offset)
        if events:
            self._on_events(events)

    def put_connector(self, name: str, config: Mapping[str, str], target_state: str | None) -> None:
        records = [] if target_state is None else [config_state.target_state_record(name, target_state)]
        self._write([*records, config_state.connector_record(name, config)])

    def remove_connector(self, name: str) -> None:
        self._write([config_state.connector_record(name, None), config_state.target_state_record(name, None)])

    def put_tasks(self, name: str, configs: Sequence[Mapping[str, str]]) -> None:
        records = config_state.task_records(name, configs)
        commit = [config_state.commit_record(name, len(configs))]
        self._write(*([records] if records else []), commit)

    def put_target_state(self, name: str, state: str) -> None:
        self._write([config_state.target_state_record(name, state)], fenced=False)

    def put_fencing(self, name: str, count: int) -> None:
        self._write([config_state.fencing_record(name, count)])

    def put_session_key(self, key: SessionKey) -> None:
        self._write([config_state.session_key_record(key)])

    def put_restart(self, name: str, include_tasks: bool, only_failed: bool) -> None:
        self._write([config_state.restart_record(name, include_tasks, only_failed)])

    def put_logger_level(self, namespace: str, level: str) -> None:
        self._write([config_state.logger_record(namespace, level)], fenced=False)

    def claim_write_privileges(self) -> None:
        """Called when this worker becomes leader: older leaders can write no more (exactly-once only)."""


class FencedError(ConnectError):
    """Another worker has become leader and writes the config topic now."""


class KafkaConfigStore(ConfigStore):
    def __init__(self, config: WorkerConfig, admin: AdminClient, on_events: Events) -> None:
        super().__init__(on_events)
        self._config = config
        self._admin = admin
        self._started = False
        self._leader_producer: Producer | None = None
        group = config["group.id"]
        base = worker_client_props(config.strings)
        consumer = {**base, "client.id": f"{group}-configs", "group.id": group}
        if config.transactional_leader or config.exactly_once_source:
            consumer["isolation.level"] = "read_committed"
        producer = {**base, **_STORE_PRODUCER, "client.id": f"{group}-configs"}
        self.topic = config["config.storage.topic"]
        self._log = KafkaLog(self.topic, consumer, producer, admin, self._take_message)

    def start(self) -> None:
        ensure_topic(
            self._admin,
            self.topic,
            1,
            self._config["config.storage.replication.factor"],
            self._config.topic_settings("config"),
            "config.storage.topic",
            single_partition=True,
        )
        self._log.start()
        self._started = True

    def stop(self) -> None:
        self._log.stop()

    def refresh(self, timeout_s: float) -> None:
        self._log.read_to_end(timeout_s)

    def _take_message(self, message: Message) -> None:
        key, offset = message.key(), message.offset()
        if key is None or offset is None:
            return
        text = key.decode("utf-8", "replace") if isinstance(key, bytes) else str(key)
        self._take(text, _bytes(message.value()), offset)

    def _take(self, key: str, value: bytes | None, offset: int) -> None:
        with self._lock:
            events = self._state.apply(key, value, offset)
        # What was said before this worker started is state, not news.
        if events and self._started:
            self._on_events(events)

    def _write(self, *batches: Sequence[ConfigRecord], fenced: bool = True) -> None:
        for batch in batches:
            records = [(record.key.encode(), record.value) for record in batch]
            if fenced and self._config.transactional_leader:
                self._write_in_transaction(records)
            else:
                self._log.write(records, WRITE_TIMEOUT_S)
        self._log.read_to_end(WRITE_TIMEOUT_S)

    def claim_write_privileges(self) -> None:
        if not self._config.transactional_leader:
            return
        group = self._config["group.id"]
        props = {
            **worker_client_props(self._config.strings),
            "client.id": f"{group}-configs-leader",
            "transactional.id": f"connect-cluster-{group}",
            "enable.idempotence": "true",
            "acks": "all",
        }
        producer = make_producer(props)
        try:
            producer.init_transactions(WRITE_TIMEOUT_S)
        except KafkaException as error:
            raise ConnectError(f"The config topic cannot be claimed: {error}") from error
        self._leader_producer = producer

    def _write_in_transaction(self, records: Sequence[tuple[bytes, bytes | None]]) -> None:
        if self._leader_producer is None:
            self.claim_write_privileges()
        producer = self._leader_producer
        assert producer is not None
        try:
            producer.begin_transaction()
            for key, value in records:
                producer.produce(self.topic, value=value, key=key, partition=0)
            producer.commit_transaction(WRITE_TIMEOUT_S)
        except KafkaException as error:
            code = error.args[0]
            if code.code() in (KafkaError._FENCED, KafkaError.INVALID_PRODUCER_EPOCH) or code.fatal():
                self._leader_producer = None
                raise FencedError(f"Another worker writes the config topic now: {error}") from error
            try:
                producer.abort_transaction(WRITE_TIMEOUT_S)
            except KafkaException:
                self._leader_producer = None
            raise ConnectError(f"Writing to {self.topic} failed: {error}") from error


_STORE_PRODUCER: Final = {
    "acks": "all",
    "enable.idempotence": "false",
    "max.in.flight.requests.per.connection": "1",
    "delivery.timeout.ms": "2147483647",
    "linger.ms": "0",
}


def _bytes(value: Any) -> bytes | None:
    return value if value is None or isinstance(value, bytes) else str(value).encode()


class StatusStore:
    """In memory; `KafkaStatusStore` is the same on a topic."""

    def __init__(self) -> None:
        self._table = StatusTable()
        self._lock = threading.Lock()

    def start(self) -> None: ...

    def stop(self) -> None: ...

    def connector(self, name: str) -> Status | None:
        with self._lock:
            return self._table.connectors.get(name)

    def task(self, task: TaskId) -> Status | None:
        with self._lock:
            return self._table.tasks.get(task)

    def tasks(self, connector: str) -> dict[TaskId, Status]:
        with self._lock:
            return self._table.of_tasks(connector)

    def topics(self, connector: str) -> dict[str, TopicStatus]:
        with self._lock:
            return dict(self._table.topics.get(connector, {}))

    def known(self) -> tuple[list[str], list[TaskId]]:
        """Everything that has a status, whether it still exists or not."""
        with self._lock:
            return list(self._table.connectors), list(self._table.tasks)

    def flush(self) -> None:
        """Returns when what was written has been acknowledged, or after some seconds."""

    def put_connector(self, name: str, value: Status | None, *, safe: bool = False) -> None:
        if not safe or value is None or self._table.may_write(self.connector(name), value):
            self._write(status.connector_key(name), value.to_bytes() if value is not None else None)

    def put_task(self, task: TaskId, value: Status | None, *, safe: bool = False) -> None:
        if not safe or value is None or self._table.may_write(self.task(task), value):
            self._write(status.task_key(task), value.to_bytes() if value is not None else None)

    def put_topic(self, value: TopicStatus) -> None:
        self._write(status.topic_key(value.connector, value.topic), value.to_bytes())

    def remove_topic(self, connector: str, topic: str) -> None:
        self._write(status.topic_key(connector, topic), None)

    def _write(self, key: str, value: bytes | None) -> None:
        with self._lock:
            self._table.apply(key, value)


class KafkaStatusStore(StatusStore):
    def __init__(self, config: WorkerConfig, admin: AdminClient) -> None:
        super().__init__()
        self._config = config
        self._admin = admin
        self.topic = config["status.storage.topic"]
        group = config["group.id"]
        base = {**worker_client_props(config.strings), "client.id": f"{group}-statuses"}
        consumer = {**base, "group.id": group}
        producer = {**base, **_STORE_PRODUCER, "retries": "0", "delivery.timeout.ms": "120000"}
        self._log = KafkaLog(self.topic, consumer, producer, admin, self._take)

    def start(self) -> None:
        ensure_topic(
            self._admin,
            self.topic,
            self._config["status.storage.partitions"],
            self._config["status.storage.replication.factor"],
            self._config.topic_settings("status"),
            "status.storage.topic",
        )
        self._log.start()

    def stop(self) -> None:
        self._log.stop()

    def flush(self) -> None:
        if self._log.producer is not None:
            self._log.producer.flush(_STATUS_FLUSH_S)

    def _take(self, message: Message) -> None:
        key = message.key()
        if key is not None:
            text = key.decode("utf-8", "replace") if isinstance(key, bytes) else str(key)
            with self._lock:
                self._table.apply(text, _bytes(message.value()))

    def _write(self, key: str, value: bytes | None) -> None:
        # Deletions are seen at once here, without waiting for the topic.
        if value is None:
            with self._lock:
                self._table.apply(key, None)
        self._send(key, value, attempts=5)

    def _send(self, key: str, value: bytes | None, attempts: int) -> None:
        def done(error: BaseException | None) -> None:
            if error is None:
                return
            if attempts > 1:
                self._send(key, value, attempts - 1)
            else:
                log.error("Status record %s could not be written: %s", key, error)

        try:
            self._log.produce([(key.encode(), value)], done)
        except (KafkaException, BufferError) as error:
            log.error("Status record %s could not be written: %s", key, error)


OffsetsDone = Callable[[BaseException | None], None]


class OffsetStore:
    """Source offsets: reading and writing. This base keeps them in memory."""

    def __init__(self) -> None:
        self._table = OffsetTable()
        self._lock = threading.Lock()

    def start(self) -> None: ...

    def stop(self) -> None: ...

    def get(self, connector: str, partitions: Iterable[Partition]) -> list[dict[str, Any] | None]:
        self.refresh()
        with self._lock:
            return [self._table.get(connector, partition) for partition in partitions]

    def all(self, connector: str) -> list[tuple[dict[str, Any] | None, dict[str, Any]]]:
        self.refresh()
        with self._lock:
            return self._table.all(connector)

    def refresh(self) -> None:
        """Returns when everything that was written before can be read."""

    def write(self, connector: str, offsets: Sequence[tuple[Partition, Offset]], done: OffsetsDone) -> None:
        """Stores offsets; `done` is called once, by any thread. DataError for what cannot be stored."""
        records = self.records(connector, offsets)
        with self._lock:
            for key, value in records:
                self._table.apply(key, value)
        try:
            self._persist()
        except OSError as error:
            done(error)
        else:
            done(None)

    def records(self, connector: str, offsets: Sequence[tuple[Partition, Offset]]) -> list[OffsetRecord]:
        with self._lock:
            return [self._table.record(connector, *pair) for pair in offsets]

    def write_and_wait(self, connector: str, offsets: Sequence[tuple[Partition, Offset]]) -> None:
        """The same, until it is stored. ConnectError when it is not."""
        finished: concurrent.futures.Future[None] = concurrent.futures.Future()
        self.write(
            connector,
            offsets,
            lambda error: finished.set_exception(error) if error else finished.set_result(None),
        )
        try:
            finished.result(WRITE_TIMEOUT_S)
        except (KafkaException, OSError, concurrent.futures.TimeoutError) as error:
            raise ConnectError(f"Offsets could not be stored: {error}") from error

    def _persist(self) -> None: ...


class FileOffsetStore(OffsetStore):
    """A msgpack map of the bytes that the topic would hold. A file of a Java worker is read, too, and
    replaced by one of ours at the first write."""

    def __init__(self, path: Path) -> None:
        super().__init__()
        self._path = path

    def start(self) -> None:
        try:
            content = self._path.read_bytes()
        except FileNotFoundError:
            return
        if not content:
            return
        for key, value in read_offset_file(content, str(self._path)).items():
            self._table.apply(key, value)

    def _persist(self) -> None:
        with self._lock:
            content = msgpack.packb(self._table.dump(), use_bin_type=True)
            temporary = self._path.with_name(self._path.name + ".tmp")
            with temporary.open("wb") as file:
                file.write(content)
                file.flush()
                os.fsync(file.fileno())
            temporary.replace(self._path)
            directory = os.open(self._path.parent, os.O_RDONLY)
            try:
                os.fsync(directory)
            finally:
                os.close(directory)


_JAVA_STREAM: Final = b"\xac\xed\x00\x05"


def read_offset_file(content: bytes, name: str) -> dict[bytes | None, bytes | None]:
    """What an offset file holds, ours or a Java worker's. ConnectError for anything else."""
    if content.startswith(_JAVA_STREAM):
        return _read_java_map(content, name)
    try:
        loaded = msgpack.unpackb(content, raw=True)
    except ValueError as error:
        raise ConnectError(f"{name} is no offset file: {error}") from error
    if not isinstance(loaded, dict):
        raise ConnectError(f"{name} is no offset file: it holds a {type(loaded).__name__}")
    return loaded


def _read_java_map(content: bytes, name: str) -> dict[bytes | None, bytes | None]:
    """A serialised java.util.HashMap of byte arrays: class descriptions are skipped, the entries taken."""
    marker = content.find(b"\x77\x08")  # Block data of 8 bytes: capacity and size.
    if b"java.util.HashMap" not in content[:64] or marker < 0:
        raise ConnectError(f"{name} is a Java stream, but no HashMap")
    (size,) = struct.unpack_from(">i", content, marker + 6)
    at = marker + 10
    values: list[bytes | None] = []
    try:
        for _ in range(2 * size):
            kind = content[at]
            if kind == 0x70:  # null
                values.append(None)
                at += 1
                continue
            if kind != 0x75:  # An array.
                raise ConnectError(f"{name}: unexpected element {kind:#x} at {at}")
            at = _skip_class(content, at + 1, name)
            (length,) = struct.unpack_from(">i", content, at)
            if not 0 <= length <= len(content) - at - 4:
                raise ConnectError(f"{name}: an array of {length} bytes at {at}")
            values.append(content[at + 4 : at + 4 + length])
            at += 4 + length
    except (IndexError, struct.error) as error:
        raise ConnectError(f"{name} is cut off at {at}") from error
    return dict(zip(values[::2], values[1::2], strict=True))


def _skip_class(content: bytes, at: int, name: str) -> int:
    """A class description of `byte[]`, in full at its first use and a reference later."""
    kind = content[at]
    if kind == 0x71:  # A reference: 4 bytes of handle.
        return at + 5
    if kind != 0x72:
        raise ConnectError(f"{name}: unexpected class description {kind:#x} at {at}")
    length: int = struct.unpack_from(">H", content, at + 1)[0]
    # Name, serial number (8), flags (1), no fields (2), end of annotations (1), no superclass (1).
    return at + 3 + length + 8 + 1 + 2 + 1 + 1


class KafkaOffsetStore(OffsetStore):
    """Offsets in a topic: the worker's, or a connector's own (`offsets.storage.topic`)."""

    def __init__(
        self,
        topic: str,
        admin: AdminClient,
        consumer_props: Mapping[str, Any],
        producer_props: Mapping[str, Any] | None,
        creation: tuple[int, int, Mapping[str, str]] | None = None,
    ) -> None:
        super().__init__()
        self.topic = topic
        self._admin = admin
        self._creation = creation  # Partitions, replication factor, settings.
        self._log = KafkaLog(topic, consumer_props, producer_props, admin, self._take)

    @staticmethod
    def of_worker(config: WorkerConfig, admin: AdminClient) -> KafkaOffsetStore:
        group = config["group.id"]
        base = {**worker_client_props(config.strings), "client.id": f"{group}-offsets"}
        consumer = {**base, "group.id": group}
        if config.exactly_once_source:
            consumer["isolation.level"] = "read_committed"
        return KafkaOffsetStore(
            config["offset.storage.topic"],
            admin,
            consumer,
            {**base, **_STORE_PRODUCER},
            (
                config["offset.storage.partitions"],
                config["offset.storage.replication.factor"],
                config.topic_settings("offset"),
            ),
        )

    def start(self) -> None:
        if self._creation is not None:
            ensure_topic(self._admin, self.topic, *self._creation, "offset.storage.topic")
        self._log.start()

    def stop(self) -> None:
        self._log.stop()

    def _take(self, message: Message) -> None:
        with self._lock:
            self._table.apply(_bytes(message.key()), _bytes(message.value()))

    def refresh(self) -> None:
        self._log.read_to_end()

    def write(self, connector: str, offsets: Sequence[tuple[Partition, Offset]], done: OffsetsDone) -> None:
        records = self.records(connector, offsets)
        if not records:
            done(None)
            return
        try:
            self._log.produce(records, done)
        except (KafkaException, BufferError) as error:
            done(error)

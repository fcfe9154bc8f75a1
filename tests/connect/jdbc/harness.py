"""Connectors without a worker: what the runtime would call, called by the test."""

from __future__ import annotations

import json
import time
from collections.abc import Iterable, Mapping
from concurrent.futures import Future
from typing import Any

from connect.api.data import Schema, SchemaBuilder, Struct
from connect.api.errors import RetriableError
from connect.api.records import SinkRecord, SourceRecord
from connect.api.sink import TopicPartition
from connect.jdbc.sink.connector import JdbcSinkConnector, JdbcSinkTask
from connect.jdbc.source.connector import JdbcSourceConnector
from connect.jdbc.source.task import JdbcSourceTask


class Reporter:
    """The dead letter topic."""

    def __init__(self) -> None:
        self.reported: list[tuple[SinkRecord, BaseException]] = []

    def report(self, record: SinkRecord, error: BaseException) -> Future[None]:
        self.reported.append((record, error))
        done: Future[None] = Future()
        done.set_result(None)
        return done

    @property
    def offsets(self) -> list[int]:
        return [record.kafka_offset for record, _ in self.reported]


class SinkContext:
    def __init__(self, configs: dict[str, str], reporter: Reporter | None) -> None:
        self._configs = configs
        self._reporter = reporter
        self.timeouts: list[int] = []
        self.sought: dict[TopicPartition, int] = {}

    def configs(self) -> dict[str, str]:
        return self._configs

    def offset(self, offsets: Mapping[TopicPartition, int]) -> None:
        self.sought.update(offsets)

    def timeout(self, timeout_ms: int) -> None:
        self.timeouts.append(timeout_ms)

    def assignment(self) -> set[TopicPartition]:
        return set()

    def pause(self, *partitions: TopicPartition) -> None: ...

    def resume(self, *partitions: TopicPartition) -> None: ...

    def request_commit(self) -> None: ...

    def errant_record_reporter(self) -> Reporter | None:
        return self._reporter


class Sink:
    """A sink task that is running. Records get offsets of their own, in order."""

    def __init__(self, config: dict[str, str], *, dead_letters: bool = False, topic: str = "things") -> None:
        self.reporter = Reporter()
        self.topic = topic
        self.config = {"name": "sink", "connector.class": "JdbcSink", "topics": topic, **config}
        connector = JdbcSinkConnector()
        connector.start(self.config)
        (task_config,) = connector.task_configs(1)
        self.context = SinkContext(task_config, self.reporter if dead_letters else None)
        self.task = JdbcSinkTask()
        self.task.initialize(self.context)
        self.next_offset = 0
        self._accepted: list[SinkRecord] | None = None
        self.task.start(task_config)
        self.task.open([TopicPartition(topic, 0)])

    def record(
        self, value: Any, key: Any = None, *, schema: Schema | None = None, key_schema: Schema | None = None,
        topic: str | None = None,
    ) -> SinkRecord:  # fmt: skip
        if isinstance(value, Struct):
            schema = value.schema
        if isinstance(key, Struct):
            key_schema = key.schema
        record = SinkRecord(topic or self.topic, 0, key_schema, key, schema, value, self.next_offset)
        self.next_offset += 1
        return record

    def put(self, *records: SinkRecord) -> None:
        """Returns when they are written, or raises why they are not."""
        self._put(list(records))

    def _put(self, records: list[SinkRecord]) -> None:
        if records != self._accepted:
            self.task.put(records)
            self._accepted = records
        self.task.pre_commit({})
        self.task.put([])  # Which is where a failure of what was written ahead shows.
        self._accepted = None

    def put_again(self, records: list[SinkRecord], attempts: int = 5) -> None:
        """As the runtime does after a RetriableError."""
        for _ in range(attempts):
            try:
                self._put(records)
                return
            except RetriableError:
                continue
        raise AssertionError(f"still refused after {attempts} attempts")

    def stop(self) -> None:
        self.task.stop()


class OffsetReader:
    def __init__(self, stored: Mapping[str, Any]) -> None:
        self._stored = stored

    def offset(self, partition: Mapping[str, Any]) -> dict[str, Any] | None:
        found: dict[str, Any] | None = self._stored.get(json.dumps(dict(partition), sort_keys=True))
        return found

    def offsets(self, partitions: Iterable[Mapping[str, Any]]) -> list[dict[str, Any] | None]:
        return [self.offset(partition) for partition in partitions]


class SourceContext:
    def __init__(self, stored: Mapping[str, Any]) -> None:
        self._reader = OffsetReader(stored)

    def configs(self) -> dict[str, str]:
        return {}

    def offset_storage_reader(self) -> OffsetReader:
        return self._reader

    def transaction_context(self) -> None:
        return None


class ConnectorContext:
    def __init__(self) -> None:
        self.reconfigurations = 0
        self.errors: list[BaseException] = []

    def request_task_reconfiguration(self) -> None:
        self.reconfigurations += 1

    def raise_error(self, error: BaseException) -> None:
        self.errors.append(error)

    def offset_storage_reader(self) -> None:
        return None


class Source:
    """A source connector with one running task. `stored` are the offsets as a worker would keep them; a
    record's offset is stored when the test says that it was acknowledged (`acknowledge`)."""

    def __init__(self, config: dict[str, str], stored: dict[str, Any] | None = None) -> None:
        self.config = {
            "name": "source", "connector.class": "JdbcSource", "topic.prefix": "t-", "poll.interval.ms": "10", **config,
        }  # fmt: skip
        self.stored: dict[str, Any] = stored if stored is not None else {}
        self.connector = JdbcSourceConnector()
        self.connector_context = ConnectorContext()
        self.connector.initialize(self.connector_context)
        self.connector.start(self.config)
        self.task_configs = self.connector.task_configs(int(self.config.get("tasks.max", "1")))
        self.task = JdbcSourceTask()
        self.task.initialize(SourceContext(self.stored))
        self.task.start(self.task_configs[0] if self.task_configs else {**self.config, "tables": "[]"})

    def poll(self) -> list[SourceRecord]:
        return self.task.poll() or []

    def acknowledge(self, records: Iterable[SourceRecord]) -> None:
        for record in records:
            if record.source_partition is not None:
                self.stored[json.dumps(dict(record.source_partition), sort_keys=True)] = (
                    dict(record.source_offset) if record.source_offset is not None else None
                )

    def read(self, count: int, timeout_s: float = 15) -> list[SourceRecord]:
        """At least `count` records; AssertionError when they do not come."""
        found: list[SourceRecord] = []
        deadline = time.monotonic() + timeout_s
        while len(found) < count:
            assert time.monotonic() < deadline, f"{len(found)} of {count} records came: {values(found)}"
            batch = self.poll()
            self.acknowledge(batch)
            found += batch
        return found

    def nothing(self) -> None:
        """Asserts that a whole turn brings nothing."""
        assert values(self.poll()) == []

    def stop(self) -> None:
        self.task.stop()
        self.task.close()
        self.connector.stop()


def values(records: Iterable[SourceRecord]) -> list[dict[str, Any]]:
    return [
        {field.name: record.value.get(field) for field in record.value.schema.fields} for record in records
    ]


def column(records: Iterable[SourceRecord], name: str) -> list[Any]:
    return [record.value.get(name) for record in records]


def struct(name: str | None = None, **fields: tuple[Schema, Any]) -> Struct:
    """`struct(id=(INT32_SCHEMA, 1))`."""
    builder = SchemaBuilder.struct().name(name)
    for field, (schema, _) in fields.items():
        builder.field(field, schema)
    made = Struct(builder.build())
    for field, (_, value) in fields.items():
        made.put(field, value)
    return made

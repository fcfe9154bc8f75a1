"""The JDBC sink connector. Its task writes whole puts, one or several in a transaction (`writer.py`).

Where the database is another process, writing goes on in a thread of its own while the next records are read
(`ahead.py`). That thread only ever does what succeeds at once: whatever else happens, errors, retries and
rows for the dead letter topic, is done again in the task's thread.
"""

from __future__ import annotations

import logging
import threading
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from connect.api.config_def import ConfigDef, ConfigValue
from connect.api.errors import ConfigError, ConnectError, RetriableError
from connect.api.records import SinkRecord
from connect.api.sink import SinkConnector, SinkTask, TopicPartition
from connect.jdbc.common import VERSION, Database, check_driver
from connect.jdbc.sink.ahead import WriteAhead
from connect.jdbc.sink.binding import Binder
from connect.jdbc.sink.config import SinkSettings, sink_config
from connect.jdbc.sink.offsets import OffsetTable
from connect.jdbc.sink.writer import Writer
from connect.jdbc.types import DatabaseError, ErrorKind

log = logging.getLogger(__name__)


class JdbcSinkConnector(SinkConnector):
    version = VERSION
    java_class_name: str | None = None

    def start(self, props: dict[str, str]) -> None:
        values = self.config_def().parse(props)
        problems = SinkSettings.of(values).problems()
        if problems:
            raise ConfigError("; ".join(f"{key}: {text}" for key, text in problems))
        self._props = props

    def task_class(self) -> type[SinkTask]:
        return JdbcSinkTask

    def task_configs(self, max_tasks: int) -> list[dict[str, str]]:
        return [dict(self._props) for _ in range(max_tasks)]

    def stop(self) -> None:
        pass

    def config_def(self) -> ConfigDef:
        return sink_config()

    def validate(self, props: Mapping[str, str]) -> list[ConfigValue]:
        config = self.config_def()
        results = config.validate_all(props)
        if not any(result.error_messages for result in results.values()):
            for key, text in SinkSettings.of(config.parse(props)).problems():
                results[key].add_error_message(
                    f"Invalid value {props.get(key)} for configuration {key}: {text}"
                )
        check_driver(results, props, config)
        return list(results.values())

    def alter_offsets(self, props: dict[str, str], offsets: dict[TopicPartition, int | None]) -> bool:
        values = self.config_def().parse(props)
        settings = SinkSettings.of(values)
        if not settings.exactly_once:
            return True
        database = Database(values, props)
        try:
            table = OffsetTable(database.connection(), props.get("name", ""), settings.exactly_once_table)
            table.create()
            table.alter(offsets)
        except DatabaseError as error:
            raise ConnectError(f"the offsets in the table {settings.exactly_once_table}: {error}") from None
        finally:
            database.close()
        return True


class AivenJdbcSinkConnector(JdbcSinkConnector):
    java_class_name = "io.aiven.connect.jdbc.JdbcSinkConnector"


class ConfluentJdbcSinkConnector(JdbcSinkConnector):
    java_class_name = "io.confluent.connect.jdbc.JdbcSinkConnector"


class JdbcSinkTask(SinkTask):
    version = VERSION

    def start(self, props: dict[str, str]) -> None:
        values: dict[str, Any] = sink_config().parse(props)
        self._settings = SinkSettings.of(values)
        self._name = props.get("name", "")
        self._database = Database(values, props)
        self._binder = Binder(
            self._database.url.driver,
            self._database.zone,
            replace_null_with_default=self._settings.replace_null_with_default,
        )
        self._writer: Writer | None = None
        self._offsets: OffsetTable | None = None
        self._opened: set[TopicPartition] = set()
        self._retries_left = self._settings.max_retries
        self._stopping = threading.Event()
        self._ahead: WriteAhead | None = None
        # Records that were taken and could not be written ahead.
        self._backlog: list[SinkRecord] = []
        self._connect()

    def stop(self) -> None:
        database = getattr(self, "_database", None)
        if database is not None:
            self._stopping.set()
            if self._ahead is not None:
                self._ahead.close()
            database.close()

    def _connect(self) -> Writer:
        if self._writer is None:
            connection = self._database.connection(self._stopping)
            if self._settings.exactly_once:
                self._offsets = OffsetTable(connection, self._name, self._settings.exactly_once_table)
                self._offsets.create()
            self._writer = Writer(connection, self._settings, self._binder, self._offsets)
        return self._writer

    def _disconnect(self) -> None:
        self._writer = None
        self._offsets = None
        self._database.close()

    def open(self, partitions: Iterable[TopicPartition]) -> None:
        self._settle()  # The connection is used here.
        partitions = list(partitions)
        self._opened.update(partitions)
        if not self._settings.exactly_once:
            return
        self._connect()
        assert self._offsets is not None
        try:
            self._seek(self._offsets.open(partitions))
        except DatabaseError as error:
            self._disconnect()
            raise ConnectError(f"the table {self._settings.exactly_once_table}: {error}") from None

    def _seek(self, offsets: dict[TopicPartition, int]) -> None:
        if offsets:
            self.context.offset(offsets)

    def close(self, partitions: Iterable[TopicPartition]) -> None:
        self._settle()
        partitions = list(partitions)
        self._opened.difference_update(partitions)
        # Their new owner reads them again.
        self._backlog = [record for record in self._backlog if _place(record) not in partitions]
        if self._offsets is not None:
            self._offsets.close(partitions)

    def put(self, records: list[SinkRecord]) -> None:
        """Takes records; those of an earlier call that could not be written come first."""
        self._look_behind()
        if self._backlog:
            self._write(self._backlog)
            self._backlog = []
        if not records:
            return
        if self._connect().connection.overlaps:
            if self._ahead is None:
                self._ahead = WriteAhead(self._write_ahead, f"{self._name}-writer", self._settings.batch_size)
            self._ahead.offer(records)
        else:
            self._write(records)

    def pre_commit(self, offsets: dict[TopicPartition, int]) -> dict[TopicPartition, int]:
        """Offsets up to the first record that is not written."""
        self._settle()
        allowed = dict(offsets)
        for record in self._backlog:
            place = _place(record)
            if place in allowed:
                allowed[place] = min(allowed[place], record.original_kafka_offset)
        return allowed

    def _settle(self) -> None:
        """Afterwards nothing is being written, and the connection is free."""
        if self._ahead is not None:
            self._ahead.settle()
            self._look_behind()

    def _look_behind(self) -> None:
        failed = self._ahead.take_back() if self._ahead is not None else None
        if failed is not None:
            self._backlog += failed[0]
            log.debug("%d records are written again one batch at a time: %s", len(failed[0]), failed[1])

    def _write_ahead(self, records: Sequence[SinkRecord]) -> None:
        assert self._writer is not None
        self._writer.write(records, _refuse, careful=False)

    def _write(self, records: list[SinkRecord]) -> None:
        try:
            writer = self._connect()
            if self._offsets is not None and not self._opened <= self._offsets.opened:
                self._offsets.open(self._opened)  # After a new connection.
            writer.write(records, self._report)
        except DatabaseError as error:
            self._after(error, records)
        self._retries_left = self._settings.max_retries

    def _report(self, bad: Sequence[tuple[SinkRecord, Exception]]) -> None:
        """To the dead letter topic; ConnectError, which rolls the put back, where there is none."""
        reporter = self.context.errant_record_reporter()
        futures = []
        for record, reason in bad:
            error = ConnectError(describe(record, reason))
            if reporter is None:
                raise error from reason
            futures.append(reporter.report(record, error))
        if self._settings.exactly_once:  # Its offset is about to be committed beside the rows.
            for future in futures:
                future.result()

    def _after(self, error: DatabaseError, records: list[SinkRecord]) -> None:
        """Asks for another try; when none is left, finds the rows that are to blame."""
        if error.kind is ErrorKind.CREDENTIALS:
            self._disconnect()
            raise ConnectError(str(error)) from error
        if self._retries_left > 0:
            self._retries_left -= 1
            log.warning(
                "Writing %d records failed, %d retries left: %s", len(records), self._retries_left, error
            )
            self._disconnect()
            self.context.timeout(self._settings.retry_backoff_ms)
            raise RetriableError(f"writing {len(records)} records: {error}") from error
        if error.kind is not ErrorKind.CONNECTION:
            try:
                self._connect().write(records, self._report, every_error_is_a_rows=True)
                return
            except DatabaseError as again:
                error = again
        self._disconnect()
        raise ConnectError(
            f"writing {len(records)} records ({_range(records)}) failed "
            f"{self._settings.max_retries + 1} times: "
            f"{error}"
        ) from error


def _refuse(bad: Sequence[tuple[SinkRecord, Exception]]) -> None:
    """Ahead of the task's thread nobody may be told of bad records."""
    raise bad[0][1]


def _place(record: SinkRecord) -> TopicPartition:
    return TopicPartition(record.original_topic, record.original_kafka_partition)


def describe(record: SinkRecord, reason: Exception) -> str:
    return (
        f"the record at {record.original_topic}-{record.original_kafka_partition} offset "
        f"{record.original_kafka_offset} cannot be written: {reason}"
    )


def _range(records: list[SinkRecord]) -> str:
    first, last = records[0], records[-1]
    return (
        f"{first.original_topic}-{first.original_kafka_partition} offset {first.original_kafka_offset} to "
        f"{last.original_topic}-{last.original_kafka_partition} offset {last.original_kafka_offset}"
    )

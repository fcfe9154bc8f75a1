"""The JDBC source's task: takes its tables in turns.

In: the tables it was given. Out: batches of records. What must hold: a table that is being read is read to
its end before the next one; a table without news rests for poll.interval.ms; a lost connection is made
again and the turn begins anew after the last record handed out.
"""

from __future__ import annotations

import json
import logging
import threading
import time

from connect.api.errors import ConnectError
from connect.api.source import SourceRecord, SourceTask
from connect.jdbc.common import VERSION, Database
from connect.jdbc.source.config import TABLES, SourceSettings, source_config
from connect.jdbc.source.offsets import QUERY_PARTITION, Position, partitions_of
from connect.jdbc.source.querier import WAIT_FOR_WRITERS_MS, Querier
from connect.jdbc.types import DatabaseError, ErrorKind, TableId

log = logging.getLogger(__name__)

# poll comes back at least this often, so that pause and commit are not held up.
MAX_WAIT_S = 1.0


class JdbcSourceTask(SourceTask):
    version = VERSION

    def __init__(self) -> None:
        self._stopping = threading.Event()
        self._database: Database | None = None
        self._queriers: list[tuple[float, Querier]] = []
        self._failures = 0

    def start(self, props: dict[str, str]) -> None:
        values = source_config().parse(props)
        self._settings = SourceSettings.of(values)
        self._database = Database(values, props)
        tables = [TableId(*parts) for parts in json.loads(props.get(TABLES, "[]"))]
        reader = self.context.offset_storage_reader()
        if self._settings.query:
            position = Position.of(reader.offset(QUERY_PARTITION))
            self._add(Querier(None, self._settings, self._database.zone, QUERY_PARTITION, position))
        for table in tables:
            places = partitions_of(table, qualify=self._settings.qualify)
            stored = next((offset for offset in reader.offsets(places) if offset), None)
            if stored is not None and self._settings.mode == "bulk":
                stored = None
            self._add(Querier(table, self._settings, self._database.zone, places[0], Position.of(stored)))
        self._open()

    def _add(self, querier: Querier) -> None:
        self._queriers.append((0.0, querier))

    def _open(self) -> None:
        assert self._database is not None
        fresh = not self._database.is_open
        connection = self._database.connection(self._stopping)
        if fresh and self._settings.isolation != "DEFAULT":
            level = {"SQL_SERVER_SNAPSHOT": "SNAPSHOT"}.get(
                self._settings.isolation, self._settings.isolation
            )
            statement = connection.dialect.set_isolation(level.replace("_", " "))
            if statement is not None:
                connection.execute(statement)
                connection.commit()

    def stop(self) -> None:
        self._stopping.set()

    def close(self) -> None:
        for _, querier in self._queriers:
            querier.reset()
        if self._database is not None:
            self._database.close()

    def poll(self) -> list[SourceRecord] | None:
        deadline = time.monotonic() + MAX_WAIT_S
        while not self._stopping.is_set() and self._queriers:
            due, querier = self._queriers[0]
            wait = due - time.monotonic()
            if wait > 0:
                if self._stopping.wait(max(0.0, min(wait, deadline - time.monotonic()))):
                    return None
                if time.monotonic() < due:
                    return None
            try:
                records = self._read(querier)
                self._failures = 0
            except DatabaseError as error:
                self._recover(querier, error)
                records = []
            if records:
                return records
            if time.monotonic() >= deadline:
                return None
        if not self._queriers:
            self._stopping.wait(MAX_WAIT_S)
        return None

    def _read(self, querier: Querier) -> list[SourceRecord]:
        assert self._database is not None
        self._open()
        connection = self._database.connection(self._stopping)
        records: list[SourceRecord] = []
        if querier.is_reading or querier.begin(connection):
            records = querier.next_batch(connection)
        if not querier.is_reading:
            connection.rollback()  # Ends the transaction that the reading began.
            rest_ms = self._settings.poll_interval_ms
            if querier.waits_for_writers:
                rest_ms = min(rest_ms, WAIT_FOR_WRITERS_MS)
            self._turn(querier, rest_ms)
        return records

    def _turn(self, querier: Querier, rest_ms: int) -> None:
        self._queriers.pop(0)
        self._queriers.append((time.monotonic() + rest_ms / 1000, querier))
        self._queriers.sort(key=lambda item: item[0])

    def _recover(self, querier: Querier, error: DatabaseError) -> None:
        """Sets up the next try; ConnectError when there is none."""
        assert self._database is not None
        querier.reset()
        self._failures += 1
        attempts = self._settings.query_retry_attempts
        may_pass = error.kind in (ErrorKind.CONNECTION, ErrorKind.TRANSIENT)
        if not may_pass or 0 <= attempts < self._failures:
            self._database.close()
            raise ConnectError(f"reading {querier}: {error}") from error
        log.warning("Reading %s failed, trying again: %s", querier, error)
        for _, other in self._queriers:
            other.reset()
        self._database.close()
        self._turn(querier, min(self._settings.poll_interval_ms, 1000))

"""The JDBC source connector: finds the tables, shares them out over the tasks, and watches for new ones."""

from __future__ import annotations

import json
import logging
import re
import threading
from collections.abc import Mapping
from typing import Any

from connect.api.config_def import ConfigDef, ConfigValue
from connect.api.connector import ExactlyOnceSupport
from connect.api.errors import ConfigError, ConnectError
from connect.api.source import SourceConnector, SourceTask
from connect.jdbc.common import VERSION, Database, check_driver
from connect.jdbc.source.config import TABLES, SourceSettings, source_config
from connect.jdbc.source.offsets import check_altered
from connect.jdbc.source.task import JdbcSourceTask
from connect.jdbc.types import DatabaseError, TableId

log = logging.getLogger(__name__)


class JdbcSourceConnector(SourceConnector):
    version = VERSION
    java_class_name: str | None = None
    default_batch_max_rows = 1000

    def __init__(self) -> None:
        self._stopping = threading.Event()
        self._monitor: threading.Thread | None = None
        self._tables: list[TableId] = []
        self._lock = threading.Lock()

    def start(self, props: dict[str, str]) -> None:
        values = self.config_def().parse(props)
        self._settings = SourceSettings.of(values)
        problems = self._settings.problems()
        if problems:
            raise ConfigError("; ".join(f"{key}: {text}" for key, text in problems))
        self._props = props
        self._stopping = threading.Event()
        self._database = Database(values, props)
        # An unreachable database or a refused password makes the connector fail, with the reason.
        self._database.connection(self._stopping)
        if self._settings.query:
            self._database.close()
            return
        self._tables = self._find_tables()
        self._database.close()
        if not self._tables:
            log.warning("No table matches; the connector waits for one (table.poll.interval.ms)")
        self._monitor = threading.Thread(
            target=self._watch,
            args=(self._stopping,),
            name=f"jdbc-tables-{props.get('name', '')}",
            daemon=True,
        )
        self._monitor.start()

    def stop(self) -> None:
        self._stopping.set()
        if self._monitor is not None:
            self._monitor.join(10)
            self._monitor = None

    def task_class(self) -> type[SourceTask]:
        return JdbcSourceTask

    def task_configs(self, max_tasks: int) -> list[dict[str, str]]:
        base = {**self._props, "batch.max.rows": str(self._settings.batch_max_rows)}
        if self._settings.query:
            return [base]
        with self._lock:
            tables = list(self._tables)
        count = min(max_tasks, len(tables))
        # One group after the other, the first ones a table longer, as Kafka's helper shares lists out.
        groups = []
        start = 0
        for at in range(count):
            size = len(tables) // count + (1 if at < len(tables) % count else 0)
            groups.append(tables[start : start + size])
            start += size
        return [{**base, TABLES: json.dumps(group)} for group in groups]

    def config_def(self) -> ConfigDef:
        return source_config(batch_max_rows=self.default_batch_max_rows)

    def validate(self, props: Mapping[str, str]) -> list[ConfigValue]:
        config = self.config_def()
        results = config.validate_all(props)
        if not any(result.error_messages for result in results.values()):
            for key, text in SourceSettings.of(config.parse(props)).problems():
                shown = "[hidden]" if key == "query" else props.get(key)
                results[key].add_error_message(f"Invalid value {shown} for configuration {key}: {text}")
        check_driver(results, props, config)
        return list(results.values())

    def exactly_once_support(self, props: dict[str, str]) -> ExactlyOnceSupport | None:
        if props.get("mode") in ("incrementing", "timestamp", "timestamp+incrementing"):
            return ExactlyOnceSupport.SUPPORTED
        return ExactlyOnceSupport.UNSUPPORTED

    def alter_offsets(self, props: dict[str, str], offsets: dict[Any, dict[str, Any] | None]) -> bool:
        for partition, offset in offsets.items():
            check_altered(dict(partition), offset)
        return True

    # ---- tables ----

    def _find_tables(self) -> list[TableId]:
        settings = self._settings
        try:
            connection = self._database.connection(self._stopping)
            found = connection.tables(settings.table_types, settings.catalog_pattern, settings.schema_pattern)
            connection.rollback()
        except DatabaseError as error:
            self._database.close()
            raise ConnectError(f"listing the tables: {error}") from None
        return chosen_tables(found, settings, self._database.dialect.parse_table)

    def _watch(self, stopping: threading.Event) -> None:
        while not stopping.wait(self._settings.table_poll_interval_ms / 1000):
            try:
                tables = self._find_tables()
                self._database.close()
            except ConnectError as error:
                log.warning("Looking for new tables: %s", error)
                continue
            with self._lock:
                changed = tables != self._tables
                self._tables = tables
            if changed:
                log.info("The tables have changed: %s", ", ".join(map(str, tables)) or "none is left")
                self.context.request_task_reconfiguration()
        self._database.close()


class AivenJdbcSourceConnector(JdbcSourceConnector):
    java_class_name = "io.aiven.connect.jdbc.JdbcSourceConnector"
    default_batch_max_rows = 100


class ConfluentJdbcSourceConnector(JdbcSourceConnector):
    java_class_name = "io.confluent.connect.jdbc.JdbcSourceConnector"


def chosen_tables(found: list[TableId], settings: SourceSettings, parse: Any) -> list[TableId]:
    """The tables that the lists of the configuration let through, in the order found."""
    if settings.include or settings.exclude:
        names = {table: str(table) for table in found}
        kept = [
            table
            for table in found
            if not settings.include
            or any(_matches(pattern, names[table], table) for pattern in settings.include)
        ]
        return [
            table
            for table in kept
            if not any(_matches(pattern, names[table], table) for pattern in settings.exclude)
        ]
    if settings.whitelist:
        chosen = set()
        for entry in settings.whitelist:
            matches = [table for table in found if _named(entry, table, parse, fold=False)]
            matches = matches or [table for table in found if _named(entry, table, parse, fold=True)]
            if not matches:
                log.warning("table.whitelist names %s, and there is no such table", entry)
            chosen.update(matches)
        return [table for table in found if table in chosen]
    return [
        table
        for table in found
        if not any(_named(entry, table, parse, fold=True) for entry in settings.blacklist)
    ]


def _matches(pattern: str, name: str, table: TableId) -> bool:
    return re.fullmatch(pattern, name) is not None or re.fullmatch(pattern, table.table) is not None


def _named(entry: str, table: TableId, parse: Any, *, fold: bool) -> bool:
    """Whether a list's entry, which may leave out the first parts of the name, names this table."""
    change = str.casefold if fold else str
    if change(entry) == change(table.table) or change(entry) == change(str(table)):
        return True
    try:
        wanted = [change(part) for part in parse(entry) if part is not None]
    except ValueError:
        return False
    parts = [change(part) for part in table if part is not None]
    return bool(wanted) and parts[-len(wanted) :] == wanted

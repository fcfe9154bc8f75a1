"""The keys of the JDBC source: those of the Aiven and of the Confluent connector, and ours."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from connect.api.config_def import (
    NO_DEFAULT_VALUE,
    ConfigDef,
    Importance,
    Type,
    at_least,
    case_insensitive_valid_string,
)
from connect.api.errors import ConfigError
from connect.jdbc.common import NO_EFFECT, define_connection

MODES = ("bulk", "incrementing", "timestamp", "timestamp+incrementing")
GRANULARITIES = (
    "connect_logical", "micros_long", "micros_string", "micros_iso_datetime_string", "nanos_long",
    "nanos_string",
    "nanos_iso_datetime_string",
)  # fmt: skip

# Given to a task by the connector.
TABLES = "tables"


def _mode(name: str, value: Any) -> None:
    if value not in MODES:
        raise ConfigError(name=name, value=value, message="String must be one of: " + ", ".join(MODES))


def _regex_list(name: str, value: Any) -> None:
    for item in value or ():
        try:
            re.compile(item)
        except re.error as error:
            raise ConfigError(name=name, value=item, message=f"not a regular expression: {error}") from None


def _column_mapping(name: str, value: Any) -> None:
    for item in value or ():
        pattern, colon, column = item.rpartition(":")
        if not colon or not pattern or not column:
            raise ConfigError(name=name, value=item, message="expected regex:column")
        _regex_list(name, [pattern])


def source_config(*, batch_max_rows: int = 1000) -> ConfigDef:
    config = define_connection(ConfigDef())
    high, medium, low = Importance.HIGH, Importance.MEDIUM, Importance.LOW
    database, mode, connector = "Database", "Mode", "Connector"
    config.define(
        "mode", Type.STRING, NO_DEFAULT_VALUE, validator=_mode, importance=high, group=mode, order_in_group=1,
        doc="bulk (the whole table at each poll), incrementing (new rows, by a rising column), timestamp "
        "(new "
        "and changed rows, by a time of change) or timestamp+incrementing.",
    )  # fmt: skip
    config.define(
        "incrementing.column.name", Type.STRING, "", importance=medium, group=mode, order_in_group=2,
        doc="The rising column; empty = the table's only auto-increment column.",
    )  # fmt: skip
    config.define(
        "incrementing.column.mapping", Type.LIST, "", validator=_column_mapping, importance=medium,
        group=mode,
        order_in_group=3, doc="regex:column pairs; the first regex that matches a table's name decides.",
    )  # fmt: skip
    config.define(
        "incrementing.initial", Type.LONG, None, importance=low, group=mode, order_in_group=4,
        doc="Rows above this value at the first start; unset = all rows.",
    )  # fmt: skip
    config.define(
        "timestamp.column.name", Type.LIST, "", importance=medium, group=mode, order_in_group=5,
        doc="The columns that hold the time of change; the first that is not null counts.",
    )  # fmt: skip
    config.define(
        "timestamp.columns.mapping", Type.LIST, "", validator=_column_mapping, importance=medium, group=mode,
        order_in_group=6, doc="regex:[column|column] pairs.",
    )  # fmt: skip
    config.define(
        "timestamp.initial", Type.LONG, None, importance=low, group=mode, order_in_group=7,
        doc="Milliseconds since 1970 to begin after; -1 = now; unset = all rows.",
    )  # fmt: skip
    config.define(
        "timestamp.initial.ms", Type.LONG, None, importance=low, group=mode, order_in_group=8,
        doc="The same in the words of the Aiven connector.",
    )  # fmt: skip
    config.define(
        "timestamp.delay.interval.ms", Type.LONG, 0, validator=at_least(0), importance=high, group=mode,
        order_in_group=9, doc="How long rows with a timestamp wait, for transactions that end late.",
    )  # fmt: skip
    config.define(
        "validate.non.null", Type.BOOLEAN, True, importance=low, group=mode, order_in_group=10,
        doc="Demands that the rising column and one timestamp column be NOT NULL.",
    )  # fmt: skip
    config.define(
        "query", Type.STRING, "", importance=medium, group=mode, order_in_group=11,
        doc="A SELECT to read instead of tables; its rows go to the topic named by topic.prefix.",
    )  # fmt: skip
    config.define(
        "query.masked", Type.PASSWORD, "", importance=medium, group=mode, order_in_group=12,
        doc="The same, hidden in logs and answers.",
    )  # fmt: skip
    config.define(
        "query.suffix", Type.STRING, "", importance=low, group=mode, order_in_group=13,
        doc="Text put behind the statement.",
    )  # fmt: skip
    config.define(
        "query.retry.attempts", Type.INT, -1, importance=low, group=mode, order_in_group=14,
        doc="How often a statement that fails is tried again; -1 = for ever.",
    )  # fmt: skip
    config.define(
        "transaction.isolation.mode", Type.STRING, "DEFAULT", importance=low, group=mode, order_in_group=15,
        validator=case_insensitive_valid_string(
            "DEFAULT", "READ_UNCOMMITTED", "READ_COMMITTED", "REPEATABLE_READ", "SERIALIZABLE",
            "SQL_SERVER_SNAPSHOT"
        ),
        doc="The isolation of the reads.",
    )  # fmt: skip
    config.define(
        "wait.for.open.transactions", Type.BOOLEAN, True, importance=low, group=mode, order_in_group=16,
        doc="Rows wait until the transactions that were open when they were seen have ended, so that a "
        "row which "
        "is committed late is not passed over. PostgreSQL, and MySQL with the privilege PROCESS.",
    )  # fmt: skip
    config.define(
        "table.whitelist", Type.LIST, "", importance=medium, group=database, order_in_group=20,
        doc="Tables to read.",
    )  # fmt: skip
    config.define(
        "table.blacklist", Type.LIST, "", importance=medium, group=database, order_in_group=21,
        doc="Tables not to read.",
    )  # fmt: skip
    config.define(
        "table.include.list", Type.LIST, "", validator=_regex_list, importance=medium, group=database,
        order_in_group=22, doc="Regular expressions of full names of tables to read.",
    )  # fmt: skip
    config.define(
        "table.exclude.list", Type.LIST, "", validator=_regex_list, importance=medium, group=database,
        order_in_group=23, doc="Regular expressions of full names of tables not to read.",
    )  # fmt: skip
    config.define(
        "table.types", Type.LIST, "TABLE", importance=low, group=database, order_in_group=24,
        doc="TABLE, PARTITIONED TABLE, VIEW and what else the database has.",
    )  # fmt: skip
    config.define(
        "catalog.pattern", Type.STRING, None, importance=medium, group=database, order_in_group=25,
        doc="Catalogs to look for tables in, with % and _.",
    )  # fmt: skip
    config.define(
        "schema.pattern", Type.STRING, None, importance=high, group=database, order_in_group=26,
        doc="Schemas to look for tables in, with % and _.",
    )  # fmt: skip
    config.define(
        "table.names.qualify", Type.BOOLEAN, True, importance=low, group=database, order_in_group=27,
        doc="Whether the source partition and the statements name a table with its schema.",
    )  # fmt: skip
    config.define(
        "numeric.precision.mapping", Type.BOOLEAN, False, importance=low, group=database, order_in_group=28,
        doc="Old name of numeric.mapping=precision_only.",
    )  # fmt: skip
    config.define(
        "numeric.mapping", Type.STRING, None, importance=low, group=database, order_in_group=29,
        validator=case_insensitive_valid_string_or_none("none", "precision_only", "best_fit",
        "best_fit_eager_double"),
        doc="What NUMERIC columns become: none (Decimal), precision_only (integers where the scale is 0), "
        "best_fit (integers and doubles where they fit).",
    )  # fmt: skip
    config.define(
        "timestamp.granularity", Type.STRING, "connect_logical", importance=low, group=database,
        order_in_group=30, validator=case_insensitive_valid_string(*GRANULARITIES),
        doc="What timestamp columns become: the logical type, in milliseconds, or finer units.",
    )  # fmt: skip
    config.define(
        "other.types", Type.STRING, "text", importance=low, group=database, order_in_group=31,
        validator=case_insensitive_valid_string("text", "skip"),
        doc="Columns of arrays, uuid, json and the like: text reads them, skip leaves them out, as the Java "
        "connectors do.",
    )  # fmt: skip
    config.define(
        "topic.prefix", Type.STRING, NO_DEFAULT_VALUE, importance=high, group=connector, order_in_group=1,
        validator=_topic_prefix,
        doc="What a table's name is put behind to give its topic; with a query, the topic.",
    )  # fmt: skip
    config.define(
        "key.columns", Type.LIST, "", importance=medium, group=connector, order_in_group=2,
        doc="Columns for the records' keys; primary-key = those of the table's primary key; empty = no key.",
    )  # fmt: skip
    config.define(
        "poll.interval.ms", Type.INT, 5000, validator=at_least(0), importance=high, group=connector,
        order_in_group=3, doc="How long to wait before a table without new rows is asked again.",
    )  # fmt: skip
    config.define(
        "batch.max.rows", Type.INT, batch_max_rows, validator=at_least(1), importance=low, group=connector,
        order_in_group=4, doc="The most rows in one batch.",
    )  # fmt: skip
    config.define(
        "table.poll.interval.ms", Type.LONG, 60000, validator=at_least(1), importance=low, group=connector,
        order_in_group=5, doc="How often to look for new and removed tables.",
    )  # fmt: skip
    config.define(
        "table.monitoring.startup.polling.limit.ms", Type.LONG, 10000, importance=low, group=connector,
        order_in_group=6, doc="How long the start may take to list the tables" + NO_EFFECT + ".",
    )  # fmt: skip
    config.define(
        "max.buffer.size", Type.INT, 0, importance=low, group=connector, order_in_group=7,
        doc="Rows kept ahead of the producer" + NO_EFFECT + ".",
    )  # fmt: skip
    config.define(
        "poll.linger.ms", Type.LONG, 5000, importance=low, group=connector, order_in_group=8,
        doc="How long to wait for a fuller batch" + NO_EFFECT + ".",
    )  # fmt: skip
    return config


def case_insensitive_valid_string_or_none(*allowed: str) -> Any:
    check = case_insensitive_valid_string(*allowed)
    return lambda name, value: None if value is None else check(name, value)


def _topic_prefix(name: str, value: Any) -> None:
    if not re.fullmatch(r"[a-zA-Z0-9._\-]*", value or ""):
        raise ConfigError(
            name=name, value=value, message="a topic's name is made of letters, digits, ., _ and -"
        )
    if len(value or "") > 249:
        raise ConfigError(name=name, value=value, message="a topic's name has at most 249 characters")


@dataclass(frozen=True)
class SourceSettings:
    """The typed values, checked against each other."""

    mode: str
    incrementing_column: str
    incrementing_mapping: tuple[tuple[str, str], ...]
    incrementing_initial: int | None
    timestamp_columns: tuple[str, ...]
    timestamp_mapping: tuple[tuple[str, str], ...]
    timestamp_initial: int | None
    timestamp_delay_ms: int
    validate_non_null: bool
    query: str
    query_suffix: str
    query_retry_attempts: int
    isolation: str
    waits_for_writers: bool
    whitelist: tuple[str, ...]
    blacklist: tuple[str, ...]
    include: tuple[str, ...]
    exclude: tuple[str, ...]
    table_types: tuple[str, ...]
    catalog_pattern: str | None
    schema_pattern: str | None
    qualify: bool
    numeric_mapping: str
    granularity: str
    skip_other_types: bool
    topic_prefix: str
    key_columns: tuple[str, ...]
    poll_interval_ms: int
    batch_max_rows: int
    table_poll_interval_ms: int

    @classmethod
    def of(cls, values: Mapping[str, Any]) -> SourceSettings:
        def names(key: str) -> tuple[str, ...]:
            return tuple(item.strip() for item in values[key] or () if item.strip())

        def pairs(key: str) -> tuple[tuple[str, str], ...]:
            found = [item.rpartition(":") for item in names(key)]
            return tuple((pattern, column) for pattern, _, column in found)

        initial = values["timestamp.initial"]
        mapping = values["numeric.mapping"]
        return cls(
            mode=values["mode"],
            incrementing_column=values["incrementing.column.name"].strip(),
            incrementing_mapping=pairs("incrementing.column.mapping"),
            incrementing_initial=values["incrementing.initial"],
            timestamp_columns=names("timestamp.column.name"),
            timestamp_mapping=pairs("timestamp.columns.mapping"),
            timestamp_initial=initial if initial is not None else values["timestamp.initial.ms"],
            timestamp_delay_ms=values["timestamp.delay.interval.ms"],
            validate_non_null=values["validate.non.null"],
            query=values["query"].strip()
            or (values["query.masked"].value.strip() if values["query.masked"] else ""),
            query_suffix=values["query.suffix"].strip(),
            query_retry_attempts=values["query.retry.attempts"],
            isolation=values["transaction.isolation.mode"].upper(),
            waits_for_writers=values["wait.for.open.transactions"],
            whitelist=names("table.whitelist"),
            blacklist=names("table.blacklist"),
            include=names("table.include.list"),
            exclude=names("table.exclude.list"),
            table_types=names("table.types"),
            catalog_pattern=values["catalog.pattern"] or None,
            schema_pattern=values["schema.pattern"] or None,
            qualify=values["table.names.qualify"],
            numeric_mapping=(
                mapping.lower()
                if mapping
                else "precision_only"
                if values["numeric.precision.mapping"]
                else "none"
            ),
            granularity=values["timestamp.granularity"].lower(),
            skip_other_types=values["other.types"].lower() == "skip",
            topic_prefix=values["topic.prefix"],
            key_columns=names("key.columns"),
            poll_interval_ms=values["poll.interval.ms"],
            batch_max_rows=values["batch.max.rows"],
            table_poll_interval_ms=values["table.poll.interval.ms"],
        )

    @property
    def uses_incrementing(self) -> bool:
        return "incrementing" in self.mode

    @property
    def uses_timestamp(self) -> bool:
        return "timestamp" in self.mode

    def problems(self) -> list[tuple[str, str]]:
        """Keys with what is wrong between them."""
        found = []
        lists = [
            (key, value)
            for key, value in (
                ("table.whitelist", self.whitelist), ("table.blacklist", self.blacklist),
                ("table.include.list", self.include), ("table.exclude.list", self.exclude),
            )
            if value
        ]  # fmt: skip
        if self.whitelist and self.blacklist:
            found.append(("table.blacklist", "table.whitelist and table.blacklist are exclusive"))
        if (self.include or self.exclude) and (self.whitelist or self.blacklist):
            found.append((lists[-1][0], "regex lists and plain lists of tables are exclusive"))
        if self.query and lists:
            found.append(("query", f"query and {lists[0][0]} are exclusive"))
        if self.uses_timestamp and not self.timestamp_columns and not self.timestamp_mapping:
            found.append(("timestamp.column.name", f"mode={self.mode} needs at least one timestamp column"))
        if (
            self.query
            and self.mode in ("incrementing", "timestamp+incrementing")
            and not self.incrementing_column
        ):
            found.append(
                ("incrementing.column.name", f"mode={self.mode} with a query needs the column's name")
            )
        if self.mode == "bulk" and (self.incrementing_column or self.timestamp_columns):
            key = "incrementing.column.name" if self.incrementing_column else "timestamp.column.name"
            found.append((key, "mode=bulk reads everything each time and has no use for this column"))
        if self.query and not self.topic_prefix:
            found.append(("topic.prefix", "with a query this is the topic, which has to have a name"))
        return found

    def incrementing_column_of(self, table: str) -> str:
        for pattern, column in self.incrementing_mapping:
            if re.fullmatch(pattern, table):
                return column
        return self.incrementing_column

    def timestamp_columns_of(self, table: str) -> tuple[str, ...]:
        for pattern, columns in self.timestamp_mapping:
            if re.fullmatch(pattern, table):
                return tuple(name.strip() for name in columns.strip("[]").split("|") if name.strip())
        return self.timestamp_columns

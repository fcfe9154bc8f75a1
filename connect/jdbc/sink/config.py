"""The keys of the JDBC sink: those of the Aiven and of the Confluent connector, and ours."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from connect.api.config_def import (
    ConfigDef,
    Importance,
    Type,
    at_least,
    case_insensitive_valid_string,
    non_empty_string,
)
from connect.api.errors import ConfigError
from connect.jdbc.common import NO_EFFECT, define_connection

KAFKA_COLUMNS = ("__connect_topic", "__connect_partition", "__connect_offset")


def _table_mapping(name: str, value: Any) -> None:
    for item in value or ():
        if item.count(":") < 1:
            raise ConfigError(name=name, value=item, message="expected topic:table")


def sink_config() -> ConfigDef:
    config = define_connection(ConfigDef(), password_group="Connection")
    medium, low, high = Importance.MEDIUM, Importance.LOW, Importance.HIGH
    writes, mapping, ddl, retries = "Writes", "Data Mapping", "DDL Support", "Retries"
    config.define(
        "insert.mode", Type.STRING, "insert", importance=high, group=writes, order_in_group=1,
        validator=case_insensitive_valid_string("INSERT", "MULTI", "UPSERT", "UPDATE"),
        doc="insert, upsert (insert or change by primary key) or update. multi is insert: it is written "
        "in bulk "
        "in any case.",
    )  # fmt: skip
    config.define(
        "batch.size", Type.INT, 3000, validator=at_least(1), importance=medium, group=writes,
        order_in_group=2,
        doc="The most records in one statement, when as many are there.",
    )  # fmt: skip
    config.define(
        "delete.enabled", Type.BOOLEAN, False, importance=medium, group=writes, order_in_group=3,
        doc="Records with a null value delete the row of their key. Needs pk.mode=record_key.",
    )  # fmt: skip
    config.define(
        "exactly.once", Type.BOOLEAN, False, importance=medium, group=writes, order_in_group=4,
        doc="Keeps the offsets in a table, in the transaction of the rows: nothing is written twice.",
    )  # fmt: skip
    config.define(
        "exactly.once.table", Type.STRING, "_connect_offsets", validator=non_empty_string, importance=low,
        group=writes, order_in_group=5, doc="The name of that table; it is created when it is missing.",
    )  # fmt: skip
    config.define(
        "table.name.format", Type.STRING, "${topic}", validator=non_empty_string, importance=medium,
        group=mapping, order_in_group=1,
        doc="The table of a record, with ${topic} in it for the topic; schema.table is possible.",
    )  # fmt: skip
    config.define(
        "table.name.normalize", Type.BOOLEAN, False, importance=medium, group=mapping, order_in_group=2,
        doc="Replaces every character of the topic other than letters, digits and _ by _.",
    )  # fmt: skip
    config.define(
        "topics.to.tables.mapping", Type.LIST, None, validator=_table_mapping, importance=medium,
        group=mapping,
        order_in_group=3, doc="topic:table pairs, stronger than table.name.format.",
    )  # fmt: skip
    config.define(
        "pk.mode", Type.STRING, "none", importance=high, group=mapping, order_in_group=4,
        validator=case_insensitive_valid_string("NONE", "KAFKA", "RECORD_KEY", "RECORD_VALUE"),
        doc="Where the primary key comes from: none, kafka (topic, partition, offset), record_key, "
        "record_value.",
    )  # fmt: skip
    config.define(
        "pk.fields", Type.LIST, "", importance=medium, group=mapping, order_in_group=5,
        doc="The fields of the primary key; for kafka the names of its three columns; empty = all fields, or "
        + ", ".join(KAFKA_COLUMNS) + ".",
    )  # fmt: skip
    config.define(
        "fields.whitelist", Type.LIST, "", importance=medium, group=mapping, order_in_group=6,
        doc="The fields of the value to write; empty = all.",
    )  # fmt: skip
    config.define(
        "string.output.value.column.name", Type.STRING, "record_value", importance=low, group=mapping,
        order_in_group=7, doc="The column for values that are a single string.",
    )  # fmt: skip
    config.define(
        "timestamp.fields.list", Type.LIST, "", importance=low, group=mapping, order_in_group=8,
        doc="Fields whose numbers or texts are instants: auto.create gives them timestamp columns.",
    )  # fmt: skip
    config.define(
        "timestamp.precision.mode", Type.STRING, "microseconds", importance=low, group=mapping,
        order_in_group=9,
        validator=case_insensitive_valid_string("MILLISECONDS", "MICROSECONDS", "NANOSECONDS"),
        doc="The unit of those numbers when they are integers.",
    )  # fmt: skip
    config.define(
        "replace.null.with.default", Type.BOOLEAN, True, importance=low, group=mapping, order_in_group=10,
        doc="Writes a field's default where its value is null.",
    )  # fmt: skip
    config.define(
        "date.timezone", Type.STRING, "DB_TIMEZONE", importance=low, group=mapping, order_in_group=11,
        validator=case_insensitive_valid_string("DB_TIMEZONE", "UTC"),
        doc="A date is a day without zone here" + NO_EFFECT + ".",
    )  # fmt: skip
    config.define(
        "table.types", Type.LIST, "TABLE,PARTITIONED TABLE,VIEW", importance=low, group=mapping,
        order_in_group=12, doc="What may be written to" + NO_EFFECT + ".",
    )  # fmt: skip
    config.define(
        "auto.create", Type.BOOLEAN, False, importance=medium, group=ddl, order_in_group=1,
        doc="Creates a table that is missing.",
    )  # fmt: skip
    config.define(
        "auto.evolve", Type.BOOLEAN, False, importance=medium, group=ddl, order_in_group=2,
        doc="Adds columns that are missing; they are optional or have a default. Nothing is changed or "
        "dropped.",
    )  # fmt: skip
    config.define(
        "max.retries", Type.INT, 10, validator=at_least(0), importance=medium, group=retries,
        order_in_group=1,
        doc="How often a failed batch is written again before the task fails.",
    )  # fmt: skip
    config.define(
        "retry.backoff.ms", Type.INT, 3000, validator=at_least(0), importance=medium, group=retries,
        order_in_group=2, doc="How long to wait before that.",
    )  # fmt: skip
    config.define(
        "mssql.use.merge.holdlock", Type.BOOLEAN, True, importance=low, group=writes, order_in_group=6,
        doc="SQL Server's MERGE always has WITH (HOLDLOCK) here" + NO_EFFECT + ".",
    )  # fmt: skip
    config.define(
        "trim.sensitive.log", Type.BOOLEAN, False, importance=low, group=writes, order_in_group=7,
        doc="Values of rows are never logged here" + NO_EFFECT + ".",
    )  # fmt: skip
    return config


@dataclass(frozen=True)
class SinkSettings:
    """The typed values, checked against each other."""

    insert_mode: str
    batch_size: int
    delete_enabled: bool
    pk_mode: str
    pk_fields: tuple[str, ...]
    fields_whitelist: frozenset[str]
    table_name_format: str
    table_name_normalize: bool
    tables_by_topic: dict[str, str]
    auto_create: bool
    auto_evolve: bool
    max_retries: int
    retry_backoff_ms: int
    exactly_once: bool
    exactly_once_table: str
    replace_null_with_default: bool
    timestamp_fields: frozenset[str]
    timestamp_unit: str
    string_column: str

    @classmethod
    def of(cls, values: dict[str, Any]) -> SinkSettings:
        mode = values["insert.mode"].lower()
        return cls(
            insert_mode="insert" if mode == "multi" else mode,
            batch_size=values["batch.size"],
            delete_enabled=values["delete.enabled"],
            pk_mode=values["pk.mode"].lower(),
            pk_fields=tuple(name.strip() for name in values["pk.fields"] if name.strip()),
            fields_whitelist=frozenset(name.strip() for name in values["fields.whitelist"] if name.strip()),
            table_name_format=values["table.name.format"].strip(),
            table_name_normalize=values["table.name.normalize"],
            tables_by_topic=dict(item.split(":", 1) for item in values["topics.to.tables.mapping"] or ()),
            auto_create=values["auto.create"],
            auto_evolve=values["auto.evolve"],
            max_retries=values["max.retries"],
            retry_backoff_ms=values["retry.backoff.ms"],
            exactly_once=values["exactly.once"],
            exactly_once_table=values["exactly.once.table"],
            replace_null_with_default=values["replace.null.with.default"],
            timestamp_fields=frozenset(values["timestamp.fields.list"]),
            timestamp_unit=values["timestamp.precision.mode"].lower(),
            string_column=values["string.output.value.column.name"],
        )

    def problems(self) -> list[tuple[str, str]]:
        """Keys with what is wrong between them."""
        found = []
        if self.delete_enabled and self.pk_mode != "record_key":
            found.append(("delete.enabled", "Deletes are only supported for pk.mode record_key"))
        if self.insert_mode in ("upsert", "update") and self.pk_mode == "none":
            found.append(
                (
                    "pk.mode",
                    f"insert.mode={self.insert_mode} needs a primary key: record_key, record_value or kafka",
                )
            )
        if self.pk_mode == "kafka" and self.pk_fields and len(self.pk_fields) != 3:
            found.append(
                ("pk.fields", "for pk.mode kafka name no columns, or three: topic, partition, offset")
            )
        if len(set(self.pk_fields)) != len(self.pk_fields):
            found.append(("pk.fields", "a field is named twice"))
        return found

"""Kafka's single message transforms and predicates."""

from __future__ import annotations

from connect.transforms import cast, fields, predicates, records, timestamp_converter

PLUGINS: tuple[type, ...] = (
    *cast.PLUGINS,
    *fields.PLUGINS,
    *records.PLUGINS,
    *timestamp_converter.PLUGINS,
    *predicates.PLUGINS,
)

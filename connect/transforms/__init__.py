"""Kafka's single message transforms and predicates."""

from __future__ import annotations

PLUGINS: tuple[type, ...] = ()

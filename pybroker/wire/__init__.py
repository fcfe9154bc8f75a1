"""Kafka's wire protocol: framing, headers, and the codecs of every message."""

from __future__ import annotations

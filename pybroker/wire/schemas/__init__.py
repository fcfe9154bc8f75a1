"""Structs that are not requests: metadata records, control records, the consumer protocol."""

from __future__ import annotations

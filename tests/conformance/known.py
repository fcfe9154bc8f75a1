"""The differences from Apache Kafka that are meant, each with its reason. Everything else the test reports
fails it.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, NamedTuple


class Known(NamedTuple):
    reason: str
    matches: Callable[[Any], bool]


KNOWN: tuple[Known, ...] = ()

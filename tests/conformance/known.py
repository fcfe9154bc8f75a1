"""The differences from Apache Kafka that are meant, each with its reason. Everything else the test reports
fails it.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import NamedTuple

from tests.conformance.run import Difference


class Known(NamedTuple):
    reason: str
    matches: Callable[[Difference], bool]


KNOWN: tuple[Known, ...] = ()

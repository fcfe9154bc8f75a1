"""The differences from Apache Kafka that are meant, each with its reason. Everything else the test reports
fails it.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import NamedTuple

from tests.conformance.run import Difference
from tests.protocol import raw


class Known(NamedTuple):
    reason: str
    matches: Callable[[Difference], bool]


def _makes_a_part(difference: Difference) -> bool:
    return difference.step.key == raw.CREATE_PARTITIONS and any(
        path.endswith("error_code") and (first, second) == (-1, 44)
        for path, first, second in difference.found
    )


KNOWN: tuple[Known, ...] = (
    Known(
        "CreatePartitions that would need more than 10,000 metadata records: the reference answers -1 and "
        "makes a part of the partitions; pybroker makes none and answers POLICY_VIOLATION, as CreateTopics does",
        _makes_a_part,
    ),
)

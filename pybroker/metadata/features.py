"""The features of the cluster that are finalized in the metadata log, and the levels this code supports.

In: nothing. Out: names and ranges. What must hold: a feature stands here with a maximum above 0 only when the
code behind it works, because clients and other brokers act on it.
"""

from __future__ import annotations

from typing import Final

METADATA_VERSION: Final = "metadata.version"
KRAFT_VERSION: Final = "kraft.version"
ELIGIBLE_LEADER_REPLICAS: Final = "eligible.leader.replicas.version"
TRANSACTION_VERSION: Final = "transaction.version"
GROUP_VERSION: Final = "group.version"

METADATA_VERSION_4_3: Final = 30
"""4.3-IV0."""

SUPPORTED_FEATURES: Final[dict[str, tuple[int, int]]] = {
    METADATA_VERSION: (7, METADATA_VERSION_4_3),
    KRAFT_VERSION: (0, 1),
    ELIGIBLE_LEADER_REPLICAS: (0, 1),
    TRANSACTION_VERSION: (0, 2),
    GROUP_VERSION: (0, 1),
}
"""Name to (lowest, highest) level."""

CARRIED_FEATURES: Final[dict[str, int]] = {"share.version": 1, "streams.version": 1}
"""Levels that a log of Apache Kafka may finalize although nothing here stands behind them: they stay on
record and are not shown to clients. What their records say is kept."""

BOOTSTRAP_FEATURES: Final[dict[str, int]] = {
    METADATA_VERSION: METADATA_VERSION_4_3,
    ELIGIBLE_LEADER_REPLICAS: 1,
    TRANSACTION_VERSION: 2,
    GROUP_VERSION: 1,
}
"""What a new cluster finalizes. `kraft.version` is stated by the quorum's own control record."""

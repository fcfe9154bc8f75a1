"""The configuration of one log: Kafka's topic keys with "_" for ".", typed, with Kafka's defaults.

In: values that are validated already (`from_values`). Out: a frozen object that many logs share. What must
hold: no value here is looked up by name on a hot path, so what is derived is computed once.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, fields
from typing import Any, Final

LONG_MAX: Final = (1 << 63) - 1


@dataclass(frozen=True, slots=True)
class LogConfig:
    """Topic configuration as the log, the partition and the cleaner need it. Times are milliseconds."""

    cleanup_policy: tuple[str, ...] = ("delete",)
    compression_gzip_level: int = -1
    compression_lz4_level: int = 9
    compression_type: str = "producer"
    compression_zstd_level: int = 3
    delete_retention_ms: int = 86_400_000
    file_delete_delay_ms: int = 60_000
    flush_messages: int = LONG_MAX
    flush_ms: int = LONG_MAX
    index_interval_bytes: int = 4096
    max_compaction_lag_ms: int = LONG_MAX
    max_message_bytes: int = 1_048_588
    message_timestamp_after_max_ms: int = 3_600_000
    message_timestamp_before_max_ms: int = LONG_MAX
    message_timestamp_type: str = "CreateTime"
    min_cleanable_dirty_ratio: float = 0.5
    min_compaction_lag_ms: int = 0
    min_insync_replicas: int = 1
    preallocate: bool = False
    retention_bytes: int = -1
    retention_ms: int = 604_800_000
    segment_bytes: int = 1_073_741_824
    segment_index_bytes: int = 10_485_760
    segment_jitter_ms: int = 0
    segment_ms: int = 604_800_000
    unclean_leader_election_enable: bool = False
    # Derived.
    deletes: bool = field(init=False, default=True)
    compacts: bool = field(init=False, default=False)
    log_append_time: bool = field(init=False, default=False)
    # segment.ms, or the compaction lag where that is shorter: what is not rolled cannot be cleaned.
    roll_ms: int = field(init=False, default=604_800_000)

    def __post_init__(self) -> None:
        object.__setattr__(self, "deletes", "delete" in self.cleanup_policy)
        object.__setattr__(self, "compacts", "compact" in self.cleanup_policy)
        roll_ms = min(self.segment_ms, self.max_compaction_lag_ms) if self.compacts else self.segment_ms
        object.__setattr__(self, "roll_ms", roll_ms)
        object.__setattr__(self, "log_append_time", self.message_timestamp_type == "LogAppendTime")

    @classmethod
    def from_values(cls, values: Mapping[str, Any]) -> LogConfig:
        """From topic keys as Kafka spells them ("segment.bytes"); keys without a use here are ignored.

        `internal.segment.bytes`, Kafka's way around the lower bound of segment.bytes, wins when it is set.
        """
        known: dict[str, Any] = {}
        for entry in fields(cls):
            if not entry.init:
                continue
            key = entry.name.replace("_", ".")
            if key in values:
                known[entry.name] = values[key]
        if values.get("internal.segment.bytes") is not None:
            known["segment_bytes"] = values["internal.segment.bytes"]
        policy = known.get("cleanup_policy")
        if isinstance(policy, str):
            known["cleanup_policy"] = tuple(part.strip() for part in policy.split(",") if part.strip())
        elif policy is not None:
            known["cleanup_policy"] = tuple(policy)
        return cls(**known)

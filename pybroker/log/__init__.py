"""The vault: one partition's segments on disk in Kafka's formats, and the manager of all of them."""

from __future__ import annotations

from pybroker.log.config import LogConfig
from pybroker.log.manager import FlushRound, LogManager
from pybroker.log.partition_log import PartitionLog

__all__ = ["FlushRound", "LogConfig", "LogManager", "PartitionLog"]

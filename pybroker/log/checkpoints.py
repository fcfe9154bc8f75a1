"""The text checkpoints of a log directory and the small property files beside them.

    0                      version
    2                      count
    topic partition offset one line each

In and out: dicts keyed by (topic, partition). An empty file is an empty checkpoint. A file that cannot be
read is dropped by `read_or_drop`: everything in these files can be computed again, at some cost.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from typing import Final

from pybroker.common.errors import CorruptionError
from pybroker.common.files import FileSystem, read_file

RECOVERY_POINT: Final = "recovery-point-offset-checkpoint"
LOG_START: Final = "log-start-offset-checkpoint"
HIGH_WATERMARK: Final = "replication-offset-checkpoint"
CLEANER: Final = "cleaner-offset-checkpoint"
ALL: Final = (RECOVERY_POINT, LOG_START, HIGH_WATERMARK, CLEANER)
CLEAN_SHUTDOWN: Final = ".kafka_cleanshutdown"

Offsets = dict[tuple[str, int], int]


def encode(offsets: Mapping[tuple[str, int], int]) -> bytes:
    """The content of a checkpoint file."""
    lines = [f"{topic} {partition} {offset}\n" for (topic, partition), offset in offsets.items()]
    return f"0\n{len(lines)}\n{''.join(lines)}".encode()


def decode(content: bytes) -> Offsets:
    """The offsets in a checkpoint file. CorruptionError when it makes no sense."""
    if not content:
        return {}
    try:
        lines = content.decode("utf-8").splitlines()
        if int(lines[0]) != 0 or int(lines[1]) != len(lines) - 2:
            raise ValueError("wrong version or count")
        offsets: Offsets = {}
        for line in lines[2:]:
            topic, partition, offset = line.split(" ")
            offsets[topic, int(partition)] = int(offset)
    except (ValueError, IndexError, UnicodeDecodeError) as error:
        raise CorruptionError(f"checkpoint cannot be read: {error}") from error
    return offsets


def read_or_drop(files: FileSystem, path: str, report: Callable[[str], None]) -> Offsets:
    """The offsets of a file; empty when it is missing or corrupt (the latter is reported)."""
    if not files.exists(path):
        return {}
    try:
        return decode(read_file(files, path))
    except CorruptionError as error:
        report(f"{path}: {error}; dropped")
        return {}


def encode_clean_shutdown(broker_epoch: int) -> bytes:
    return b'{"version":0,"brokerEpoch":%d}' % broker_epoch


def decode_clean_shutdown(content: bytes) -> int:
    """The broker epoch in the clean-shutdown marker, -1 when it says none."""
    try:
        value = json.loads(content)
        return int(value["brokerEpoch"]) if value.get("version") == 0 else -1
    except (ValueError, KeyError, TypeError, AttributeError):
        return -1

"""The first records of a cluster, and the files that formatting leaves for the first start.

In: the features to finalize. Out: the bootstrap transaction; `bootstrap.checkpoint` beside the metadata
log and the snapshot 0-0 in it, as `kafka-storage format --standalone` writes them. What must hold: the
records are one transaction in one batch, so that a cluster never starts with half of them.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Final

from pybroker.common.errors import CorruptionError
from pybroker.common.files import FileSystem
from pybroker.metadata.features import CARRIED_FEATURES, ELIGIBLE_LEADER_REPLICAS, METADATA_VERSION
from pybroker.metadata.image import BROKER_RESOURCE
from pybroker.metadata.records import write_version
from pybroker.raft.snapshot import SnapshotId, encode_snapshot, read_snapshot, write_snapshot
from pybroker.raft.voters import Voter, voter_records
from pybroker.wire.message import Message
from pybroker.wire.schemas.metadata_records import (
    BeginTransactionRecord,
    ConfigRecord,
    EndTransactionRecord,
    FeatureLevelRecord,
    UserScramCredentialRecord,
    decode_record,
    encode_record,
)

BOOTSTRAP_FILE: Final = "bootstrap.checkpoint"


def encode(record: Message) -> bytes:
    """The value of a record, in the version that Kafka 4.3 writes."""
    return encode_record(record, write_version(record))


def feature_records(features: Mapping[str, int]) -> list[FeatureLevelRecord]:
    """metadata.version first, because a reader needs it for the rest."""
    names = sorted(features, key=lambda name: (name != METADATA_VERSION, name))
    return [FeatureLevelRecord(name=name, feature_level=features[name]) for name in names]


def bootstrap_records(
    features: Mapping[str, int], min_insync_replicas: str, others: Sequence[Message] = ()
) -> list[Message]:
    """The transaction that the first leader of a cluster commits."""
    records: list[Message] = [BeginTransactionRecord(name="Bootstrap records"), *feature_records(features)]
    records += others
    if features.get(ELIGIBLE_LEADER_REPLICAS):
        # With ELR the cluster-wide minimum is always on record: elections count on it.
        records.append(
            ConfigRecord(
                resource_type=BROKER_RESOURCE,
                resource_name="",
                name="min.insync.replicas",
                value=min_insync_replicas,
            )
        )
    return [*records, EndTransactionRecord()]


def format_directory(
    files: FileSystem,
    log_directory: str,
    metadata_directory: str,
    features: Mapping[str, int],
    voters: Sequence[Voter],
    now_ms: int,
) -> None:
    """Write the files of a formatted directory that are not there yet."""
    path = f"{log_directory}/{BOOTSTRAP_FILE}"
    if not files.exists(path):
        values = [encode(record) for record in feature_records(features)]
        write_snapshot(files, path, encode_snapshot(values, epoch=0, now_ms=now_ms, last_timestamp_ms=0))
    path = f"{metadata_directory}/{SnapshotId(0, 0).file_name}"
    if not files.exists(path):
        batches = encode_snapshot(
            (), epoch=0, now_ms=now_ms, last_timestamp_ms=now_ms, control_records=voter_records(voters)
        )
        write_snapshot(files, path, batches)


def load_bootstrap(
    files: FileSystem, log_directory: str, supported: Mapping[str, tuple[int, int]]
) -> tuple[dict[str, int], list[Message]] | None:
    """The levels that the directory was formatted with, as far as they are supported or carried, and the
    credentials that formatting put beside them; None without a file."""
    path = f"{log_directory}/{BOOTSTRAP_FILE}"
    if not files.exists(path):
        return None
    features: dict[str, int] = {}
    others: list[Message] = []
    for value in read_snapshot(files, path).values:
        record = decode_record(value)
        if isinstance(record, UserScramCredentialRecord):
            others.append(record)
            continue
        if not isinstance(record, FeatureLevelRecord):
            raise CorruptionError(f"{path} has a {type(record).__name__}, which is not supported")
        low, high = supported.get(record.name, (0, CARRIED_FEATURES.get(record.name, 0)))
        level = min(record.feature_level, high)
        if level >= max(low, 1):
            features[record.name] = level
    return (features, others) if METADATA_VERSION in features else None

"""Formats log directories for a new node, as `kafka-storage format` does.

In: a file system, ids, features, voters. Out: meta.properties and bootstrap.checkpoint in each directory, and
the snapshot 0-0 of the metadata log that states the voters of a dynamic quorum. What must hold: what was
formatted is never formatted again; meta.properties comes last, so that a directory that was half formatted
when the power went counts as not formatted.
"""

from __future__ import annotations

import random
from collections.abc import Iterator, Mapping, Sequence
from typing import Final, NamedTuple

from pybroker.common.errors import ConfigError
from pybroker.common.files import FileSystem, make_dirs_durable, read_file, write_file
from pybroker.controller.bootstrap import BOOTSTRAP_FILE, encode, feature_records
from pybroker.log import meta_properties
from pybroker.log.meta_properties import MetaProperties
from pybroker.log.partition_log import decode_uuid, encode_uuid
from pybroker.metadata.features import METADATA_VERSION
from pybroker.metadata.releases import release_name
from pybroker.raft.snapshot import SnapshotId, encode_snapshot, write_snapshot
from pybroker.raft.voters import Voter, voter_records

_METADATA_LOG: Final = "__cluster_metadata-0"


class Format(NamedTuple):
    """What to format, and how."""

    cluster_id: str
    node_id: int
    directories: Sequence[str]
    """All log directories, the one of the metadata log among them."""
    metadata_directory: str
    features: Mapping[str, int]
    voters: Sequence[Voter] = ()
    """The first voters of a dynamic quorum; empty for a static one, and for a node that only joins."""
    ignore_formatted: bool = False


def format_directories(files: FileSystem, rng: random.Random, now_ms: int, wanted: Format) -> Iterator[str]:
    """Do it; yields Kafka's words for each step. ConfigError when it may not be done, OSError."""
    if not wanted.cluster_id:
        raise ConfigError("You must specify the cluster id.")
    empty: list[str] = []
    for directory in sorted(set(wanted.directories)):
        path = f"{directory}/{meta_properties.FILE_NAME}"
        if not files.exists(path):
            empty.append(directory)
            continue
        if not wanted.ignore_formatted:
            raise ConfigError(
                f"Log directory {directory} is already formatted. Use --ignore-formatted to ignore this "
                "directory and format the others."
            )
        _check(meta_properties.decode(read_file(files, path), path), path, wanted)
    if not empty:
        yield "All of the log directories are already formatted."
        return
    yield _describe(wanted.features)
    for directory in empty:
        is_metadata = directory == wanted.metadata_directory
        own = next((voter for voter in wanted.voters if voter.voter_id == wanted.node_id), None)
        kind = "data directory"
        if is_metadata:
            kind = "metadata directory"
            if wanted.voters:
                kind = "dynamic metadata voter directory" if own else "dynamic metadata directory"
        yield (
            f"Formatting {kind} {directory} with {METADATA_VERSION} "
            f"{release_name(wanted.features[METADATA_VERSION])}."
        )
        make_dirs_durable(files, directory)
        values = [encode(record) for record in feature_records(wanted.features)]
        batches = encode_snapshot(values, epoch=0, now_ms=now_ms, last_timestamp_ms=0)
        write_snapshot(files, f"{directory}/{BOOTSTRAP_FILE}", batches)
        if is_metadata and wanted.voters:
            metadata_log = f"{directory}/{_METADATA_LOG}"
            make_dirs_durable(files, metadata_log)
            batches = encode_snapshot(
                (),
                epoch=0,
                now_ms=now_ms,
                last_timestamp_ms=now_ms,
                control_records=voter_records(wanted.voters),
            )
            write_snapshot(files, f"{metadata_log}/{SnapshotId(0, 0).file_name}", batches)
        directory_id = own.directory_id if is_metadata and own else random_uuid(rng)
        properties = MetaProperties(1, wanted.cluster_id, wanted.node_id, encode_uuid(directory_id))
        content = meta_properties.encode(properties, now_ms)
        write_file(files, f"{directory}/{meta_properties.FILE_NAME}", content)


def _check(found: MetaProperties, path: str, wanted: Format) -> None:
    if found.cluster_id is not None and found.cluster_id != wanted.cluster_id:
        raise ConfigError(
            f"Invalid cluster.id in: {path}. Expected {wanted.cluster_id}, but read {found.cluster_id}"
        )
    if found.node_id != wanted.node_id:
        raise ConfigError(
            f"Stored node id {found.node_id} doesn't match previous node id {wanted.node_id} in {path}. If "
            "you moved your data, make sure your configured node id matches. If you intend to create a new "
            "node, you should remove all data in your data directories."
        )


def _describe(features: Mapping[str, int]) -> str:
    records = ", ".join(
        f"ApiMessageAndVersion(FeatureLevelRecord(name='{record.name}', featureLevel={record.feature_level}) "
        "at version 0)"
        for record in feature_records(features)
    )
    return (
        f"Bootstrap metadata: BootstrapMetadata(records=[{records}], "
        f"metadataVersionLevel={features[METADATA_VERSION]}, source=format command)"
    )


def parse_initial_controllers(text: str, listener: str) -> list[Voter]:
    """Voters from id@host:port:directory entries with commas between. ConfigError with Kafka's words."""
    voters: list[Voter] = []
    for entry in filter(None, (part.strip() for part in text.split(","))):
        voter = _parse_voter(entry, listener)
        if any(other.voter_id == voter.voter_id for other in voters):
            raise ConfigError(f"Node id {voter.voter_id} was specified more than once.")
        voters.append(voter)
    if not voters:
        raise ConfigError("No voters given.")
    return voters


def _parse_voter(text: str, listener: str) -> Voter:
    suffix = " dynamic voter string."
    id_text, at, rest = text.partition("@")
    if not at:
        raise ConfigError(f"No @ found in{suffix}")
    if not id_text:
        raise ConfigError(f"Invalid @ at beginning of{suffix}")
    voter_id = _number(id_text)
    if voter_id is None:
        raise ConfigError(f"Failed to parse node id in{suffix}")
    if voter_id < 0:
        raise ConfigError(f"Invalid negative node id {voter_id} in{suffix}")
    if not rest:
        raise ConfigError("No hostname found after node id.")
    if rest.startswith("["):
        host, bracket, rest = rest[1:].partition("]")
        if not bracket:
            raise ConfigError("Hostname began with left bracket, but no right bracket was found.")
        if not rest.startswith(":"):
            raise ConfigError("Port section must start with a colon.")
        rest = rest[1:]
    else:
        host, colon, rest = rest.partition(":")
        if not colon:
            raise ConfigError("No colon following hostname could be found.")
    if not host:
        raise ConfigError("No hostname found after node id.")
    port_text, colon, directory_text = rest.partition(":")
    if not colon:
        raise ConfigError("No colon following port could be found.")
    port = _number(port_text)
    if port is None:
        raise ConfigError(f"Failed to parse port in{suffix}")
    if not 0 < port <= 65_535:
        raise ConfigError(f"Invalid port {port} in{suffix}")
    directory_id = decode_uuid(directory_text) if directory_text.isascii() else None
    if directory_id is None:
        raise ConfigError(f"Failed to parse directory ID in{suffix}")
    return Voter(voter_id, directory_id, ((listener, host, port),))


def _number(text: str) -> int | None:
    digits = text.removeprefix("-")
    return int(text) if digits.isascii() and digits.isdecimal() and len(digits) <= 10 else None


def parse_features(settings: Sequence[str]) -> dict[str, int]:
    """Feature to level from feature=level entries. ConfigError with Kafka's words."""
    features: dict[str, int] = {}
    for setting in settings:
        name, equals, level_text = setting.partition("=")
        if not equals:
            raise ConfigError(f"Can't parse feature=level string {setting}: equals sign not found.")
        level = _number(level_text.strip())
        if level is None or not -(1 << 15) <= level < 1 << 15:
            shown = level_text.strip()
            raise ConfigError(
                f"Can't parse feature=level string {setting}: unable to parse {shown} as a short."
            )
        features[name.strip()] = level
    return features


def random_uuid(rng: random.Random) -> bytes:
    """A version 4 uuid whose text form does not start with a dash."""
    while True:
        value = bytearray(rng.randbytes(16))
        value[6] = value[6] & 0x0F | 0x40
        value[8] = value[8] & 0x3F | 0x80
        if not encode_uuid(bytes(value)).startswith("-"):
            return bytes(value)

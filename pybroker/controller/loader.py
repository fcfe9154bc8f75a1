"""What a directory holds at start: the newest snapshot, the voters, and the log after it.

In: a directory with snapshots and the log. Out: `Start`, or with the whole log replayed `Loaded`. What must
hold: a log that does not go on after its newest snapshot is of a history that the snapshot has replaced, and
is dropped; the voters are those of the whole log, committed or not.
"""

from __future__ import annotations

from typing import Final, NamedTuple

from pybroker.common.errors import CorruptionError
from pybroker.common.files import FileSystem
from pybroker.controller.replay import Replay, snapshot_image
from pybroker.metadata.image import MetadataImage, empty_image
from pybroker.raft.log import RaftLog, log_contains
from pybroker.raft.snapshot import SnapshotId, load_latest_snapshot
from pybroker.raft.voters import NO_VOTERS, VoterHistory, VoterSet
from pybroker.records.batch import crc_matches, iter_headers, read_header
from pybroker.records.control import read_control_batch

READ_BYTES: Final = 4 * 1024 * 1024


class Start(NamedTuple):
    """Where replay begins. `history`: who votes in the quorum, as snapshot and log state it."""

    snapshot: SnapshotId | None
    history: VoterHistory
    replay: Replay
    damaged: dict[SnapshotId, str]
    """Newer snapshots that are not used, and why not: the log has what is in them."""


class Loaded(NamedTuple):
    """The state at the end of the log. `in_transaction`: it ends within one, to be aborted by the leader."""

    image: MetadataImage
    in_transaction: bool
    history: VoterHistory
    snapshot: SnapshotId | None


def open_start(files: FileSystem, log: RaftLog, cluster_id: str, voters: VoterSet = NO_VOTERS) -> Start:
    """Read the snapshot, and who votes. CorruptionError when the snapshot and the log do not meet.

    `voters` vote as long as the log states nobody (kraft.version 0).
    """
    history = VoterHistory(voters)
    image = empty_image(cluster_id)
    snapshot, content, damaged = load_latest_snapshot(files, log.directory)
    if snapshot is not None:
        history.reset(snapshot.end_offset, content.control_records)
        image = snapshot_image(cluster_id, snapshot, content)
        if not log_contains(log, snapshot) and _epoch_at(log, snapshot.end_offset - 1) == snapshot.epoch:
            log.rebuild_epochs()
        if not log_contains(log, snapshot):
            # Installed, and then the process ended before the log was cut.
            log.reset(snapshot.end_offset)
    offset = image.offset + 1
    if log.start_offset > offset:
        missing = f"{log.directory}: the records from offset {offset} to {log.start_offset} are missing"
        raise CorruptionError("; ".join([missing, *damaged.values()]))
    while offset < log.end_offset:
        before = offset
        chunk = log.read(offset, READ_BYTES)
        for position, header in iter_headers(chunk):
            # The first batch may begin below the snapshot's end. Later ones leave nothing out, as nobody ever
            # removes single records; and a start after a clean stop is the first to read them.
            gap = header.base_offset != offset if offset != before else header.base_offset > offset
            if gap or header.next_offset <= offset or not crc_matches(chunk, position):
                raise CorruptionError(f"{log.file_of(offset)} is damaged at offset {offset}")
            if header.is_control:
                for control in read_control_batch(memoryview(chunk)[position : position + header.size]):
                    if control.offset >= image.offset + 1:
                        history.add(control.offset, control)
            offset = header.next_offset
        if offset == before:
            raise CorruptionError(f"{log.file_of(offset)} cannot be read at offset {offset}")
    return Start(snapshot, history, Replay(image), damaged)


def _epoch_at(log: RaftLog, offset: int) -> int | None:
    """The epoch that the batch with `offset` has itself; the log's other notes of epochs may be damaged."""
    if not log.start_offset <= offset < log.end_offset:
        return None
    return read_header(log.read(offset, 1)).leader_epoch


def load(files: FileSystem, log: RaftLog, cluster_id: str, voters: VoterSet = NO_VOTERS) -> Loaded:
    """Replay everything, committed or not. CorruptionError."""
    snapshot, history, replay, _ = open_start(files, log, cluster_id, voters)
    while replay.end_offset < log.end_offset:
        replay.batches(log.read(replay.end_offset, READ_BYTES), log.end_offset)
    return Loaded(replay.image, replay.in_transaction, history, snapshot)

"""The bug zoo of the log: storage bugs, each put back by a patch from outside, which the explorer must catch.

python -m tests.sim.zoo        catches each and prints the score
"""

# The methods that take the places of sound ones take and give what those do.
# mypy: allow-untyped-defs

from __future__ import annotations

import sys
from collections.abc import Callable

import pytest

from pybroker.common import files as file_functions
from pybroker.common.errors import CorruptionError
from pybroker.common.files import write_fully
from pybroker.log import manager, partition_log, recovery
from pybroker.log.cleaner import cleaning, filtering, offset_map
from pybroker.log.cleaner.offset_map import stored_key
from pybroker.log.partition_log import PartitionLog
from pybroker.log.segment import Segment
from pybroker.records.batch import iter_records
from pybroker.replication.partition import Partition
from tests.sim.explorer import Explorer, Found
from tests.sim.world import make_compacting_steps

# Schedules that a bug may need to be seen.
RUNS_MAX = 10


def ack_before_fsync(patch: pytest.MonkeyPatch) -> None:
    patch.setattr(Partition, "_appended", lambda self, end_offset: self._advance(end_offset))


def data_is_not_synced(patch: pytest.MonkeyPatch) -> None:
    original = PartitionLog.sync
    patch.setattr(PartitionLog, "sync", lambda self, work: original(self, work._replace(segments=())))


def directory_is_not_synced(patch: pytest.MonkeyPatch) -> None:
    original = PartitionLog.sync
    patch.setattr(
        PartitionLog, "sync", lambda self, work: original(self, work._replace(sync_directory=False))
    )


def round_counts_what_came_after_it(patch: pytest.MonkeyPatch) -> None:
    original = PartitionLog.synced
    patch.setattr(
        PartitionLog,
        "synced",
        lambda self, work: original(self, work._replace(end_offset=self.log_end_offset)),
    )


def rename_before_sync(patch: pytest.MonkeyPatch) -> None:
    """KAFKA-16541, for every small file."""

    def write_file(files, path, content):
        file = files.open(path + ".tmp", create=True)
        file.truncate(0)
        write_fully(file, [content], 0)
        file.close()
        files.rename(path + ".tmp", path)
        files.sync_dir(path.rpartition("/")[0])

    for module in (file_functions, manager, partition_log):
        patch.setattr(module, "write_file", write_file)


def checksums_are_not_checked(patch: pytest.MonkeyPatch) -> None:
    class Any(int):
        def __ne__(self, other: object) -> bool:
            return False

        __hash__ = int.__hash__

    patch.setattr(recovery, "crc32c", lambda data: Any(0))


def recovery_leaves_the_torn_tail(patch: pytest.MonkeyPatch) -> None:
    original = recovery.recover_segment

    def recover_segment(log, segment, **options):
        _, end = yield from original(log, segment, **options)
        return segment.size, end

    patch.setattr(recovery, "recover_segment", recover_segment)


def recovery_forgets_producers(patch: pytest.MonkeyPatch) -> None:
    def note_recovered(self, segment, header, batch):
        if header.leader_epoch > self.epochs.latest:
            self.epochs.assign(header.leader_epoch, header.base_offset)

    patch.setattr(PartitionLog, "note_recovered", note_recovered)


def duplicate_window_is_lost(patch: pytest.MonkeyPatch) -> None:
    patch.setattr(PartitionLog, "complete_producer_windows", lambda self: None)


def recovery_keeps_the_indexes(patch: pytest.MonkeyPatch) -> None:
    def new_indexes(self):
        try:
            self.load_indexes()
        except (OSError, CorruptionError):
            original(self)

    original = Segment.new_indexes
    patch.setattr(Segment, "new_indexes", new_indexes)


def clean_mark_stays(patch: pytest.MonkeyPatch) -> None:
    original = manager.LogManager._read_marks

    def read_marks(self, directory):
        files = self.environment.files
        path = f"{directory.path}/.kafka_cleanshutdown"
        had = files.exists(path)
        original(self, directory)
        if had:
            files.open(path, create=True).close()

    patch.setattr(manager.LogManager, "_read_marks", read_marks)


def markers_are_matched_by_key(patch: pytest.MonkeyPatch) -> None:
    """KAFKA-14055 and crabka#528: a marker goes for a later record, or marker, with its key."""
    original = cleaning._Filter._kept

    def kept(self, header, batch):
        found = original(self, header, batch)
        if header.is_control and header.record_count:
            key = stored_key(next(iter_records(batch, header=header)).key)
            if key in self._offsets.keys:
                return b""
        return found

    patch.setattr(cleaning._Filter, "_kept", kept)


def index_entries_beyond_the_pass_are_lost(patch: pytest.MonkeyPatch) -> None:
    """KAFKA-13727: a partial pass forgets aborts that come after its end."""
    original = cleaning._write

    def write(environment, job, segments, offsets, window_bytes):
        aborted = tuple(entry for entry in job.aborted if entry.last_offset < offsets.end_offset)
        return original(environment, job._replace(aborted=aborted), segments, offsets, window_bytes)

    patch.setattr(cleaning, "_write", write)


def transactions_end_with_their_group_of_segments(patch: pytest.MonkeyPatch) -> None:
    """KAFKA-8351: what was seen of a transaction is forgotten with each new segment that is written."""
    original = cleaning._Writer.__init__
    filters = []
    make = cleaning.TransactionFilter.__init__

    def remember(self, aborted):
        make(self, aborted)
        filters.append(self)

    def init(self, *arguments):
        original(self, *arguments)
        filters[-1]._ongoing_aborted.clear()
        filters[-1]._ongoing_committed.clear()

    patch.setattr(cleaning.TransactionFilter, "__init__", remember)
    patch.setattr(cleaning._Writer, "__init__", init)


def tombstones_go_at_once(patch: pytest.MonkeyPatch) -> None:
    """KAFKA-4529."""
    original = filtering.survivors
    patch.setattr(
        filtering,
        "survivors",
        lambda *arguments, keep_tombstones: original(*arguments, keep_tombstones=False),
    )


def keys_collide(patch: pytest.MonkeyPatch) -> None:
    for module in (offset_map, filtering):
        patch.setattr(module, "plain_keys", lambda *_, **__: None)
        patch.setattr(module, "stored_key", lambda key: key[:3])


def aborted_values_hide_older_ones(patch: pytest.MonkeyPatch) -> None:
    patch.setattr(cleaning._AbortedRanges, "has", lambda self, producer_id, offset: False)


def the_last_batch_of_a_producer_goes(patch: pytest.MonkeyPatch) -> None:
    original = cleaning._Filter._shell
    patch.setattr(
        cleaning._Filter,
        "_shell",
        lambda self, header: (
            original(self, header) if header.next_offset == self._offsets.end_offset else b""
        ),
    )


def the_cleaner_goes_beyond_open_transactions(patch: pytest.MonkeyPatch) -> None:
    patch.setattr(PartitionLog, "last_stable_offset", property(lambda self: self.high_watermark))


ZOO: dict[str, Callable[[pytest.MonkeyPatch], None]] = {
    function.__name__: function
    for function in (
        ack_before_fsync,
        data_is_not_synced,
        directory_is_not_synced,
        round_counts_what_came_after_it,
        rename_before_sync,
        checksums_are_not_checked,
        recovery_leaves_the_torn_tail,
        recovery_forgets_producers,
        duplicate_window_is_lost,
        recovery_keeps_the_indexes,
        clean_mark_stays,
    )
}
# Those of compaction, for which a schedule does little else: `make zoo` runs them.
COMPACTION: dict[str, Callable[[pytest.MonkeyPatch], None]] = {
    function.__name__: function
    for function in (
        markers_are_matched_by_key,
        index_entries_beyond_the_pass_are_lost,
        transactions_end_with_their_group_of_segments,
        tombstones_go_at_once,
        keys_collide,
        aborted_values_hide_older_ones,
        the_last_batch_of_a_producer_goes,
        the_cleaner_goes_beyond_open_transactions,
    )
}


def _explorer(name: str, seed: int) -> Explorer:
    if name in COMPACTION:
        # What is wrong shows at the end at the latest: longer lives, and fewer crashes in each.
        return Explorer(seed, power_losses=1, fraction=0.02, steps=make_compacting_steps(seed))
    return Explorer(seed, power_losses=3, fraction=0.2)


def runs_to_catch(name: str, first_seed: int = 0) -> int | None:
    """How many schedules it takes; None if `RUNS_MAX` are too few."""
    with pytest.MonkeyPatch.context() as patch:
        (ZOO | COMPACTION)[name](patch)
        for count in range(1, RUNS_MAX + 1):
            explorer = _explorer(name, first_seed + count - 1)
            try:
                explorer.run()
            except Found as found:
                print(f"{name}: {count} ({explorer.counts.states} states) {str(found)[:150]}", flush=True)
                return count
            except TypeError:
                # The patch does not fit the broker any more.
                raise
            except Exception as error:
                print(f"{name}: {count} {error!r}", flush=True)
                return count
    print(f"{name}: not caught", flush=True)
    return None


if __name__ == "__main__":
    for chosen in sys.argv[1:] or ZOO | COMPACTION:
        runs_to_catch(chosen)

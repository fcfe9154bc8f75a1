"""The bug zoo of the log: storage bugs, each put back by a patch from outside, which the explorer must catch.

python -m tests.sim.zoo        catches each and prints the score
"""

from __future__ import annotations

import sys
from collections.abc import Callable

import pytest

from pybroker.common import files as file_functions
from pybroker.common.errors import CorruptionError
from pybroker.common.files import write_fully
from pybroker.log import manager, partition_log, recovery
from pybroker.log.partition_log import PartitionLog
from pybroker.log.segment import Segment
from pybroker.replication.partition import Partition
from tests.sim.explorer import Explorer, Found

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

    def write_file(files, path, content):  # type: ignore[no-untyped-def]
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

    def recover_segment(log, segment):  # type: ignore[no-untyped-def]
        _, end = original(log, segment)
        return segment.size, end

    patch.setattr(recovery, "recover_segment", recover_segment)


def recovery_forgets_producers(patch: pytest.MonkeyPatch) -> None:
    def note_recovered(self, segment, header, batch):  # type: ignore[no-untyped-def]
        if header.leader_epoch > self.epochs.latest:
            self.epochs.assign(header.leader_epoch, header.base_offset)

    patch.setattr(PartitionLog, "note_recovered", note_recovered)


def duplicate_window_is_lost(patch: pytest.MonkeyPatch) -> None:
    patch.setattr(PartitionLog, "complete_producer_windows", lambda self: None)


def recovery_keeps_the_indexes(patch: pytest.MonkeyPatch) -> None:
    def new_indexes(self):  # type: ignore[no-untyped-def]
        try:
            self.load_indexes()
        except (OSError, CorruptionError):
            original(self)

    original = Segment.new_indexes
    patch.setattr(Segment, "new_indexes", new_indexes)


def clean_mark_stays(patch: pytest.MonkeyPatch) -> None:
    original = manager.LogManager._read_marks

    def read_marks(self, directory):  # type: ignore[no-untyped-def]
        files = self.environment.files
        path = f"{directory.path}/.kafka_cleanshutdown"
        had = files.exists(path)
        original(self, directory)
        if had:
            files.open(path, create=True).close()

    patch.setattr(manager.LogManager, "_read_marks", read_marks)


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


def runs_to_catch(name: str, first_seed: int = 0) -> int | None:
    """How many schedules it takes; None if `RUNS_MAX` are too few."""
    with pytest.MonkeyPatch.context() as patch:
        ZOO[name](patch)
        for count in range(1, RUNS_MAX + 1):
            explorer = Explorer(first_seed + count - 1, power_losses=3, fraction=0.2)
            try:
                explorer.run()
            except Found as found:
                print(f"{name}: {count} ({explorer.counts.states} states) {str(found)[:150]}", flush=True)
                return count
            except Exception as error:
                print(f"{name}: {count} {error!r}", flush=True)
                return count
    print(f"{name}: not caught", flush=True)
    return None


if __name__ == "__main__":
    for chosen in sys.argv[1:] or ZOO:
        runs_to_catch(chosen)

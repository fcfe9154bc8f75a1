"""What must be true of a log that was just loaded, compared with its ledger.

In: a `PartitionLog`, a `Ledger`, the offset below which nothing may be missing, the time. Out: nothing, or a
`Violation` that says what is wrong. The log's files are walked here by the plain codec, never by its indexes.
"""

from __future__ import annotations

from itertools import pairwise

from pybroker.log.cleaner.cleaning import SWAP
from pybroker.log.partition_log import PartitionLog
from pybroker.log.producer_state import WINDOW
from pybroker.log.segment import Segment
from pybroker.records.batch import BatchHeader, Record, crc_matches, iter_headers, iter_records
from pybroker.records.control import read_end_transaction
from tests.sim.ledger import Ledger, Sent, transactions_of
from tests.sim.world import CONFIGS, TOMBSTONE_MS, Violation, World

Batch = tuple[BatchHeader, bytes, int, Segment]


class LogCheck:
    """One check of one log."""

    def __init__(self, log: PartitionLog, ledger: Ledger, bound: int, now_ms: int) -> None:
        self.log = log
        self.ledger = ledger
        self.bound = bound
        self.now_ms = now_ms
        self.compacted = log.config.compacts
        self.batches: list[Batch] = []
        # Those of the ledger that are in the log; and those that are or were, until the cleaner or retention.
        self.sent: list[Sent] = []
        self.history: list[Sent] = []
        # There is something that had been cut.
        self.is_revived = False

    def fail(self, what: str) -> None:
        raise Violation(f"{self.log.name}: {what}", self.log)

    def require(self, condition: bool, what: str) -> None:
        if not condition:
            self.fail(what)

    def run(self) -> None:
        self.walk()
        self.contents()
        self.offsets()
        self.epochs()
        self.indexes()
        self.timestamps()
        if self.compacted and (self.is_revived or self.bound < self.ledger.cleaned):
            # Nothing was promised of what the cleaner may have been in, so nobody knows what it found.
            return
        if self.compacted:
            self.compaction()
        self.transactions()
        self.producers()

    # ---- what is there -----------------------------------------------------------------------------------

    def walk(self) -> None:
        log = self.log
        end = None
        for left, right in pairwise(log.segments):
            self.require(left.base_offset < right.base_offset, "segments are not in order")
            self.require(left.sealed, f"segment {left.base_offset} is not closed")
        self.require(not log.active.sealed, "the active segment is closed")
        for index, segment in enumerate(log.segments):
            size = log.environment.files.file_size(segment.path(".log"))
            self.require(
                size == segment.size, f"{segment.path('.log')} has {size} bytes, {segment.size} are known"
            )
            data = segment.pread(segment.size, 0)
            position = 0
            limit = (
                log.segments[index + 1].base_offset if index + 1 < len(log.segments) else log.log_end_offset
            )
            for at, header in iter_headers(data):
                batch = data[at : at + header.size]
                self.require(crc_matches(batch), f"wrong checksum at offset {header.base_offset}")
                self.require(header.base_offset >= segment.base_offset, "batch below its segment")
                self.require(
                    end is None or header.base_offset >= end, f"offset {header.base_offset} after {end}"
                )
                self.require(header.next_offset <= limit, f"batch beyond {limit}")
                end = header.next_offset
                position = at + header.size
                self.batches.append((header, batch, at, segment))
            self.require(position == len(data), f"{len(data) - position} bytes of no batch")
        last = max(end or 0, log.active.base_offset)
        self.require(log.log_end_offset == last, f"log end is {log.log_end_offset}, batches end at {last}")

    def contents(self) -> None:
        """Nothing that was never sent; in a log that is not compacted the same bytes, and no gaps."""
        for header, batch, _, _ in self.batches:
            candidates = self.ledger.candidates(header.base_offset)
            same = next((sent for sent in candidates if sent.data == batch), None)
            if same is not None:
                self.sent.append(same)
            elif not self.compacted:
                self.fail(f"batch at {header.base_offset} was never sent ({len(batch)} bytes)")
            else:
                self._part_of(header, batch, candidates)
        # What is missing was cleaned, deleted, or lost. A power loss may lose the end of one segment and not the
        # next one, as with Kafka: nothing tells such a gap from those that the cleaner makes, and from a removed
        # segment that comes back.
        there = {id(sent) for sent in self.sent}
        gone_below = self.ledger.cleaned if self.compacted else self.log.segments[0].base_offset
        self.history = []
        for sent in self.ledger.live():
            if id(sent) in there or sent.end <= gone_below:
                self.history.append(sent)
            if id(sent) in there or (self.compacted and sent.end <= gone_below):
                continue
            if self.ledger.allowed_start < sent.end <= self.bound:
                self.fail(f"batch at {sent.base} is missing, {self.bound} was promised")
        # What was cut before a power loss may have come back.
        live = {id(sent) for sent in self.ledger.live()}
        revived = [sent for sent in self.sent if id(sent) not in live]
        self.is_revived = bool(revived)
        self.history += revived
        self.history.sort(key=lambda sent: sent.base)

    def _part_of(self, header: BatchHeader, batch: bytes, candidates: list[Sent]) -> None:
        """What the cleaner left of one of the candidates."""
        for sent in candidates:
            if (
                header.last_offset != sent.last
                or header.producer_id != sent.producer_id
                or header.producer_epoch != sent.producer_epoch
                or header.base_sequence != sent.sequence
                or header.is_transactional != sent.transactional
                or header.is_control != (sent.marker is not None)
            ):
                continue
            if header.is_control:
                marker = read_end_transaction(batch)
                if header.record_count == 0 or (marker is not None and marker.commit == sent.marker):
                    self.sent.append(sent)
                    return
                continue
            known = {record.offset: record for record in sent.records}
            if all(known.get(record.offset) == record for record in iter_records(batch)):
                self.sent.append(sent)
                return
        self.fail(f"batch at {header.base_offset} is no part of one that was sent")

    def offsets(self) -> None:
        log, ledger = self.log, self.ledger
        end = log.log_end_offset
        start = log.log_start_offset
        # Where all of it was deleted, old segments may come back without the new one that follows them: only
        # where a file system makes later changes of a directory durable before earlier ones.
        self.require(
            end >= self.bound or self.bound <= ledger.allowed_start,
            f"ends at {end}, {self.bound} was promised",
        )
        ends = (
            {sent.end for sent in (*ledger.batches, *ledger.ghosts)} | ledger.starts | {ledger.allowed_start}
        )
        self.require(end in ends, f"ends at {end}, within a batch")
        self.require(start <= end, f"starts at {start}, ends at {end}")
        self.require(
            start <= max(ledger.allowed_start, log.segments[0].base_offset),
            f"starts at {start}, only {ledger.allowed_start} was allowed",
        )
        self.require(log.segments[0].base_offset <= start, "starts before its first segment")
        self.require(
            0 <= log.recovery_point <= end, f"recovery point {log.recovery_point} of a log that ends at {end}"
        )
        self.require(
            start <= log.high_watermark <= end, f"high watermark {log.high_watermark} not in {start}..{end}"
        )
        self.require(
            log.high_watermark <= max(ledger.exposed, start),
            f"high watermark {log.high_watermark} was never reached, only {ledger.exposed}",
        )

    def compaction(self) -> None:
        """The last committed value of each key is there; a tombstone for as long as it must be."""
        log = self.log
        end = log.log_end_offset
        transactions = transactions_of(self.history)
        stable = min((t.first for t in transactions if t.committed is None), default=end)
        found: dict[bytes, Record] = {}
        data_of: set[int] = set()
        aborted = log.aborted_between(log.segments[0].base_offset, end)
        present = {header.base_offset for header, _, _, _ in self.batches if header.record_count}
        for header, batch, _, _ in self.batches:
            if header.is_control:
                continue
            for record in iter_records(batch):
                transaction = self._transaction_of(transactions, header, record.offset)
                if transaction is not None:
                    data_of.add(id(transaction))
                if record.offset >= stable:
                    continue
                hidden = header.is_transactional and any(
                    entry.producer_id == header.producer_id
                    and entry.first_offset <= record.offset <= entry.last_offset
                    for entry in aborted
                )
                wanted = transaction is not None and transaction.committed is False
                self.require(
                    hidden == wanted,
                    f"record {record.offset} is {'hidden' if hidden else 'shown'}, of transaction {transaction}",
                )
                if not hidden and record.key is not None:
                    found[record.key] = record
        for transaction in transactions:
            if id(transaction) in data_of and transaction.end >= 0:
                self.require(
                    transaction.end - 1 in present,
                    f"marker {transaction.end - 1} went before the data of {transaction}",
                )
        last: dict[bytes, tuple[Record, int]] = {}
        for sent in self.history:
            if sent.marker is not None:
                continue
            transaction = self._transaction_of(transactions, sent, sent.base)
            for record in sent.records:
                if record.offset < stable and record.key is not None:
                    if transaction is None or transaction.committed:
                        last[record.key] = (record, sent.sent_ms)
        for key, (record, sent_ms) in last.items():
            there = found.get(key)
            if record.value is not None:
                self.require(
                    there is not None and there.offset == record.offset,
                    f"last value of {key!r} is at {record.offset}, found {there}",
                )
                continue
            self.require(
                there is None or there.value is None, f"tombstone {record.offset} hides {there} no more"
            )
            if there is None or there.offset != record.offset:
                self.require(
                    self.now_ms >= sent_ms + TOMBSTONE_MS,
                    f"tombstone {record.offset} of {key!r} lived {self.now_ms - sent_ms} ms",
                )

    @staticmethod
    def _transaction_of(transactions, batch, offset):  # type: ignore[no-untyped-def]
        if batch.producer_id < 0 or not (
            batch.transactional if isinstance(batch, Sent) else batch.is_transactional
        ):
            return None
        return next(
            (
                t
                for t in transactions
                if t.producer_id == batch.producer_id and t.first <= offset and (t.end < 0 or offset < t.end)
            ),
            None,
        )

    # ---- what follows from it ----------------------------------------------------------------------------

    def transactions(self) -> None:
        log = self.log
        end = log.log_end_offset
        base = log.segments[0].base_offset
        transactions = transactions_of(self.history)
        open_ones = [t.first for t in transactions if t.committed is None]
        # Of what was deleted a part may come back.
        known_from = max(base, self.ledger.allowed_start)
        first_open = log.producers.first_open_offset
        if not 0 <= first_open < known_from and all(first >= known_from for first in open_ones):
            expected = min(open_ones, default=-1)
            self.require(
                first_open == expected, f"first open transaction is at {first_open}, should be {expected}"
            )
        if self.compacted:
            return
        all_aborted = {(t.producer_id, t.end - 1) for t in transactions if t.committed is False}
        # One whose data was all deleted need not be known.
        wanted = {
            (t.producer_id, t.end - 1)
            for t in transactions
            if t.committed is False
            and t.end > known_from
            and any(
                sent.producer_id == t.producer_id and t.first <= sent.base < t.end - 1 for sent in self.sent
            )
        }
        found = {(entry.producer_id, entry.last_offset) for entry in log.aborted_between(base, end)}
        self.require(
            wanted <= found <= all_aborted | {pair for pair in found if pair[1] < known_from},
            f"aborted transactions are {found}, should be {wanted}",
        )

    def epochs(self) -> None:
        log = self.log
        entries = log.epochs.entries
        for (epoch, start), (next_epoch, next_start) in pairwise(entries):
            self.require(epoch < next_epoch and start < next_start, f"epochs do not increase: {entries}")
        if entries:
            self.require(
                entries[-1][1] <= log.log_end_offset, f"epoch beyond {log.log_end_offset}: {entries}"
            )
        # Both follow the log start, each in its own time.
        known_from = entries[0][1] if entries else log.log_end_offset
        self.require(
            not self.batches
            or known_from
            <= max(self.ledger.allowed_start, log.log_start_offset, self.batches[0][0].base_offset),
            f"no epochs below {known_from}",
        )
        for header, _, _, _ in self.batches:
            if header.base_offset >= max(known_from, log.log_start_offset):
                self.require(
                    log.epochs.epoch_for_offset(header.base_offset) == header.leader_epoch,
                    f"offset {header.base_offset} is of epoch {header.leader_epoch}, known are {entries}",
                )

    def indexes(self) -> None:
        for segment in self.log.segments:
            self.index_of(segment, [entry for entry in self.batches if entry[3] is segment])

    def index_of(self, segment: Segment, batches: list[Batch]) -> None:
        name = segment.path(".index")
        positions = {at: header for header, _, at, _ in batches}
        index = segment.offset_index
        for relative, position in zip(index._offsets, index._positions, strict=True):
            header = positions.get(position)
            self.require(
                header is not None and header.last_offset == segment.base_offset + relative,
                f"{name}: entry ({relative}, {position}) is wrong",
            )
        largest: list[tuple[int, int]] = []
        for header, _, _, _ in batches:
            top = max(header.max_timestamp, largest[-1][0]) if largest else header.max_timestamp
            largest.append((top, header.last_offset))
        times = segment.time_index
        for timestamp, relative in zip(times._timestamps, times._offsets, strict=True):
            offset = segment.base_offset + relative
            before = [top for top, last in largest if last <= offset]
            self.require(
                bool(before) and before[-1] == timestamp,
                f"{segment.path('.timeindex')}: entry ({timestamp}, {offset}) is wrong",
            )
        if batches:
            self.require(
                segment.largest[0] == largest[-1][0],
                f"{name}: largest timestamp {segment.largest[0]}, should be {largest[-1][0]}",
            )
        for header, _, at, _ in batches:
            for offset in (header.base_offset, header.last_offset):
                if offset > segment.base_offset or at == 0:
                    self.require(segment.position_of(offset) == at, f"{name}: {offset} is not found at {at}")

    def producers(self) -> None:
        log = self.log
        base = log.segments[0].base_offset
        expected: dict[int, list[Sent]] = {}
        for sent in self.history:
            if sent.producer_id >= 0 and sent.marker is None:
                expected.setdefault(sent.producer_id, []).append(sent)
        if any(entry.partial for entry in log.producers.entries.values()):
            log.complete_producer_windows()
        deleted = [sent for sent in self.ledger.live() if sent.end <= self.ledger.allowed_start]
        # What a crash took may have been cleaned before, or was the start of the log.
        cleaned = [sent for sent in self.ledger.ghosts if self.compacted or sent.end <= base]
        for producer_id, entry in log.producers.entries.items():
            known = {
                (sent.base, sent.sequence, sent.last)
                for sent in (*cleaned, *deleted, *expected.get(producer_id, []))
            }
            for batch in entry.batches:
                self.require(
                    (batch.base_offset, batch.base_sequence, batch.last_offset) in known,
                    f"producer {producer_id} knows {batch}, which is not in the log",
                )
        in_log = {sent.base for sent in self.sent}
        for producer_id, batches in expected.items():
            last = batches[-1]
            if last.base < base:
                continue
            found = log.producers.entries.get(producer_id)
            self.require(found is not None, f"producer {producer_id} is forgotten, last batch at {last.base}")
            assert found is not None
            self.require(
                bool(found.batches)
                and (
                    found.batches[-1].base_offset == last.base
                    or last.base < found.batches[-1].base_offset < self.ledger.allowed_start
                ),
                f"producer {producer_id}: last batch is at {last.base}, known are {found.batches}",
            )
            window = [sent.base for sent in batches[-WINDOW:] if sent.base in in_log]
            have = {batch.base_offset for batch in found.batches}
            self.require(
                set(window) <= have, f"producer {producer_id}: repeats of {window} are not known, only {have}"
            )

    def timestamps(self) -> None:
        log = self.log
        records = [
            record
            for header, batch, _, _ in self.batches
            if header.record_count
            for record in iter_records(batch)
            if record.offset >= log.log_start_offset
        ]
        for record in records[:: max(len(records) // 4, 1)]:
            first = next(r for r in records if r.timestamp >= record.timestamp)
            found = log.offset_for_timestamp(record.timestamp)
            self.require(
                found is not None and found[:2] == (first.timestamp, first.offset),
                f"timestamp {record.timestamp} is at {first.offset}, found {found}",
            )


def check_loaded(world: World, bounds: dict[str, int]) -> dict[str, LogCheck]:
    """All topics of a world that has just loaded and where nobody leads yet."""
    if world.manager.offline_directories:
        raise Violation(f"nothing could be loaded: {world.reports[-3:]}")
    found: dict[str, LogCheck] = {}
    for name in world.topics:
        log = world.manager.get(name, 0)
        ledger = world.ledgers[name]
        if log is None:
            if bounds[name] > ledger.allowed_start:
                raise Violation(
                    f"{name}: the log is gone, {bounds[name]} records were promised; {world.reports[-3:]}"
                )
            continue
        found[name] = LogCheck(log, ledger, bounds[name], world.clock.wall_ms())
        found[name].run()
    return found


def check_readers(world: World, checks: dict[str, LogCheck], max_bytes: int) -> None:
    """A reader from start to end gets the bytes that are in the files. Everything must be committed."""
    for name, check in checks.items():
        partition = world.partitions[name]
        offset = partition.log_start_offset
        got: list[bytes] = []
        while offset < partition.log_end_offset:
            outcome = partition.read(offset, max_bytes, min_one_batch=True)
            if outcome.error:
                raise Violation(f"{name}: read at {offset}: {outcome.error.name}")
            if not outcome.records:
                # The end of a compacted log may have no batch.
                break
            for at, header in iter_headers(outcome.records):
                got.append(outcome.records[at : at + header.size])
                offset = header.next_offset
        wanted = [
            batch for header, batch, _, _ in check.batches if header.last_offset >= partition.log_start_offset
        ]
        if got != wanted:
            raise Violation(f"{name}: {len(got)} batches were read, {len(wanted)} are there")


def check_index_files(world: World) -> None:
    """After all blocking work: the index files of closed segments say what the batches say."""
    for name in world.topics:
        log = world.manager.get(name, 0)
        if log is None:
            continue
        check = LogCheck(log, world.ledgers[name], 0, 0)
        check.walk()
        for segment in log.segments[:-1]:
            fresh = Segment(
                log.environment, log.directory, segment.base_offset, size=segment.size, sealed=True
            )
            fresh.suffix = segment.suffix
            fresh.load_indexes()
            check.index_of(fresh, [entry for entry in check.batches if entry[3] is segment])
            fresh.close_file()
        left = [n for n in world.disk.list_dir(log.directory) if n.endswith((".cleaned", SWAP))]
        if left and not world.manager.cleaner.busy:
            raise Violation(f"{name}: {left} are left behind")


__all__ = ["CONFIGS", "LogCheck", "check_index_files", "check_loaded", "check_readers"]

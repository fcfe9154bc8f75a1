"""Logs for the cleaner's tests: keyed batches, transactions, a pass from start to end, a reader of what is there."""

from __future__ import annotations

from pybroker.common.clock import ManualClock
from pybroker.log import LogConfig
from pybroker.log.cleaner.cleaner import CleanerSettings
from pybroker.records.batch import Record, build_batch, iter_headers, iter_records
from pybroker.records.control import build_end_transaction, read_end_transaction
from tests.unit.log.log_helpers import NOW, make_manager, run_rounds

COMPACT = LogConfig(
    cleanup_policy=("compact",),
    segment_bytes=2_000,
    index_interval_bytes=100,
    segment_index_bytes=4096,
    min_cleanable_dirty_ratio=0.0,
    delete_retention_ms=1_000,
    file_delete_delay_ms=0,
)


class Store:
    """One compacted log in a manager, with the clock in hand."""

    def __init__(self, files, config=COMPACT, *, reports=None, settings=None, clock=None):
        self.files = files
        self.config = config
        self.clock = clock or ManualClock(NOW)
        self.reports = [] if reports is None else reports
        self.settings = settings or CleanerSettings(backoff_ms=0)
        self.manager = self.log = None
        self.start()

    def start(self):
        self.manager = make_manager(
            self.files, clock=self.clock, reports=self.reports, cleaner=self.settings, defaults=self.config
        )
        self.manager.open(1)
        self.manager.load(lambda topic, partition, topic_id: self.config)
        self.log = self.manager.get_or_create("t", 0, bytes(range(16)), self.config)
        self.settle()

    def restart(self, *, clean=True):
        self.manager.close(clean=clean)
        if not clean:
            # As after kill -9: nobody holds the lock any more.
            self.manager.environment.files.unlock("/data/.lock")
        self.start()

    def settle(self):
        """All is committed."""
        self.log.high_watermark = self.log.log_end_offset

    def append(self, *pairs, codec=0, timestamp=None, **options):
        """One batch of (key, value) pairs; the base offset."""
        records = [
            Record(0, NOW if timestamp is None else timestamp, _bytes(key), _bytes(value))
            for key, value in pairs
        ]
        return self.raw(build_batch(records, codec=codec, **options))

    def raw(self, batch):
        base = self.log.append_records(batch, assign_offsets=True, leader_epoch=0).base_offset
        self.settle()
        return base

    def marker(self, producer_id, *, commit, epoch=0):
        return self.raw(build_end_transaction(producer_id, epoch, commit=commit, timestamp=NOW))

    def clean(self, *, roll=True, limit=100):
        """Passes until nothing is due; how many there were."""
        if roll:
            self.log.roll()
            self.settle()
        cleaner = self.manager.cleaner
        before = cleaner.metrics().passes + cleaner.metrics().failures
        for _ in range(limit):
            cleaner.wake()
            cleaner.tick(self.clock.monotonic_ms())
            if not self.work():
                break
        run_rounds(self.manager)
        return cleaner.metrics().passes + cleaner.metrics().failures - before

    def work(self, passes=None):
        """Do the cleaner's effects until it is idle (or until it has done so many passes); whether there were
        any."""
        worked = False
        cleaner = self.manager.cleaner
        end = None if passes is None else cleaner.metrics().passes + passes
        while cleaner.metrics().passes != end and (effects := cleaner.take_effects()):
            worked = True
            for effect in effects:
                error = None
                try:
                    effect.run()
                except Exception as caught:
                    error = caught
                effect.complete(error)
        return worked

    # ---- reading ----

    def batches(self):
        """(header, bytes) of every batch of the log, gaps and all."""
        found = []
        for segment in self.log.segments:
            data = segment.pread(segment.size, 0)
            found += [(header, data[at : at + header.size]) for at, header in iter_headers(data)]
        return found

    def records(self):
        """(offset, key, value) of the data records."""
        return [
            (record.offset, record.key, record.value)
            for header, batch in self.batches()
            if not header.is_control
            for record in iter_records(batch)
        ]

    def offsets(self):
        return [offset for offset, _, _ in self.records()]

    def markers(self):
        """(offset, producer id, commit) of the end-transaction markers."""
        found = []
        for header, batch in self.batches():
            if header.is_control and header.record_count:
                marker = read_end_transaction(batch)
                found.append((header.base_offset, marker.producer_id, marker.commit))
        return found


def _bytes(value):
    return value.encode() if isinstance(value, str) else value

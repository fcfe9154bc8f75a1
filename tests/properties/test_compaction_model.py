"""A compacted log against a plain list: whatever is appended, rolled, cleaned, stopped or killed, a reader of
committed records finds the last value of each key, and nothing that was not written."""

from __future__ import annotations

from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, rule

from pybroker.common.clock import ManualClock
from pybroker.common.memory_files import MemoryFileSystem
from pybroker.log import LogConfig
from pybroker.log.cleaner.cleaner import CleanerSettings
from pybroker.log.cleaner.offset_map import ENTRY_BYTES
from pybroker.records.batch import iter_records
from tests.unit.log.cleaner_helpers import Store
from tests.unit.log.log_helpers import NOW

CONFIG = LogConfig(
    cleanup_policy=("compact",),
    segment_bytes=500,
    index_interval_bytes=100,
    segment_index_bytes=400,
    min_cleanable_dirty_ratio=0.0,
    delete_retention_ms=1_000,
    file_delete_delay_ms=0,
)
KEYS = [b"a", b"b", b"c", b"d", b"e" * 40, None]
PRODUCERS = [1, 2, 3]


class CompactedLog(RuleBasedStateMachine):
    """The model: every record ever written, with its producer's transaction; what each transaction became."""

    @initialize(entries=st.sampled_from([1, 3, 1000]))
    def open(self, entries):
        self.clock = ManualClock(NOW)
        self.store = Store(
            MemoryFileSystem(),
            CONFIG,
            clock=self.clock,
            settings=CleanerSettings(backoff_ms=0, map_bytes=ENTRY_BYTES * entries),
        )
        # offset -> (key, value, transaction or None).
        self.written = {}
        self.sequences = dict.fromkeys(PRODUCERS, 0)
        self.open_transactions = {}
        # transaction -> whether it was committed.
        self.ended = {}
        self.number = 0

    def _pairs(self, keys, tombstones):
        pairs = []
        for key, tombstone in zip(keys, tombstones, strict=False):
            self.number += 1
            pairs.append((key, None if tombstone else b"%d" % self.number * 6))
        return pairs

    def _note(self, base, pairs, transaction):
        for index, (key, value) in enumerate(pairs):
            self.written[base + index] = (key, value, transaction)

    @rule(
        keys=st.lists(st.sampled_from(KEYS), min_size=1, max_size=4),
        tombstones=st.lists(st.sampled_from([False, False, True]), min_size=4, max_size=4),
        codec=st.sampled_from([0, 0, 3]),
    )
    def append(self, keys, tombstones, codec):
        pairs = self._pairs(keys, tombstones)
        self._note(self.store.append(*pairs, codec=codec, timestamp=self.clock.wall_ms()), pairs, None)

    @rule(
        producer=st.sampled_from(PRODUCERS), keys=st.lists(st.sampled_from(KEYS[:4]), min_size=1, max_size=3)
    )
    def append_in_a_transaction(self, producer, keys):
        transaction = self.open_transactions.setdefault(producer, (producer, len(self.ended)))
        pairs = self._pairs(keys, [False] * len(keys))
        base = self.store.append(
            *pairs,
            timestamp=self.clock.wall_ms(),
            producer_id=producer,
            producer_epoch=0,
            base_sequence=self.sequences[producer],
            transactional=True,
        )
        self.sequences[producer] += len(pairs)
        self._note(base, pairs, transaction)

    @rule(producer=st.sampled_from(PRODUCERS), commit=st.booleans())
    def end_transaction(self, producer, commit):
        transaction = self.open_transactions.pop(producer, None)
        if transaction is not None:
            self.store.marker(producer, commit=commit)
            self.ended[transaction] = commit

    @rule()
    def roll(self):
        self.store.log.roll()

    @rule(milliseconds=st.sampled_from([10, 600, 2_000]))
    def wait(self, milliseconds):
        self.clock.advance(milliseconds)

    @rule()
    def clean(self):
        self.store.clean(roll=False, limit=200)
        assert not self.store.manager.cleaner.uncleanable

    @rule(clean=st.booleans())
    def restart(self, clean):
        self.store.log.flush()
        self.store.restart(clean=clean)

    @invariant()
    def readers_find_the_last_values(self):
        log = self.store.log
        bound = log.last_stable_offset
        aborted = log.aborted_between(0, log.log_end_offset)
        last = {}
        for header, batch in self.store.batches():
            if header.is_control:
                continue
            for record in iter_records(batch):
                key, value, transaction = self.written[record.offset]
                assert (record.key, record.value) == (key, value)
                if record.offset >= bound:
                    continue
                hidden = transaction is not None and any(
                    entry.producer_id == header.producer_id
                    and entry.first_offset <= record.offset <= entry.last_offset
                    for entry in aborted
                )
                assert hidden == (transaction is not None and not self.ended[transaction])
                if not hidden and record.key is not None:
                    last[record.key] = record.value
        wanted = {}
        for offset in sorted(self.written):
            key, value, transaction = self.written[offset]
            if offset < bound and key is not None and (transaction is None or self.ended[transaction]):
                wanted[key] = value
        assert {key: value for key, value in last.items() if value is not None} == {
            key: value for key, value in wanted.items() if value is not None
        }

    @invariant()
    def the_end_stays(self):
        end = max(self.written, default=-1) + 1
        assert self.store.log.log_end_offset >= end


TestCompactedLog = CompactedLog.TestCase
TestCompactedLog.settings = settings(
    max_examples=40,
    stateful_step_count=25,
    deadline=None,
    suppress_health_check=[HealthCheck.too_slow],
)

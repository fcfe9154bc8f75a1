"""Reading on behind a consumer: what is read in advance, what is not, and when it is dropped."""

from __future__ import annotations

import errno
import random

import pytest

from pybroker.common.clock import ManualClock
from pybroker.log import LogConfig
from pybroker.log.read_ahead import LEAST_BYTES, ReadAhead
from pybroker.records.batch import iter_headers
from tests.unit.log.log_helpers import NOW, FaultyFileSystem, append, make_batch, make_environment, make_log

FETCH = 2 * LEAST_BYTES
BATCH = 10_000


class Reader:
    """A log of sealed segments, and consumers that fetch from it without waiting for a disk."""

    def __init__(self, monkeypatch):
        monkeypatch.setattr("pybroker.log.partition_log._HOT_BYTES", -1)
        self.files = FaultyFileSystem()
        self.clock = ManualClock()
        self.calls = []
        self.environment = make_environment(self.files, self.clock)
        self.environment.read_ahead = ReadAhead(self.clock, self.calls.append)
        self.log = make_log(self.environment, LogConfig(segment_bytes=100 * BATCH))
        self.append(150)
        self.log.high_watermark = self.log.log_end_offset
        self.log.flush()
        self.reads = []
        original = self.files.inner.open("/data/t-0/00000000000000000000.log").__class__.pread_cached

        def pread_cached(file, count, offset):
            if self.files.read_error:
                raise OSError(self.files.read_error, "read")
            self.reads.append((count, offset))
            return original(file, count, offset)

        monkeypatch.setattr("pybroker.common.memory_files.MemoryFile.pread_cached", pread_cached)

    def fetch(self, offset, count=FETCH, late=False):
        """One fetch and what follows it; returns (the next offset, the reads before the answer)."""
        self.reads.clear()
        found = self.log.read(offset, count, min_one_batch=True, may_block=False)
        assert found.cold is None
        plain = self.log.read(offset, count, min_one_batch=True)
        assert bytes(found.records) == bytes(plain.records)
        waited_for = len(self.reads)
        if not late:
            self.run()
        return [header for _, header in iter_headers(found.records)][-1].next_offset, waited_for

    def fetch_in_order(self, times):
        """From the start of the log; returns where it goes on."""
        offset = 0
        for _ in range(times):
            offset, _ = self.fetch(offset)
        return offset

    def answer(self, offset, **bounds):
        """A fetch alone; what follows it is for `run`. Returns the next offset."""
        found = self.log.read(offset, FETCH, min_one_batch=True, may_block=False, **bounds)
        return [header for _, header in iter_headers(found.records)][-1].next_offset

    def append(self, count, timestamp=NOW):
        for number in range(count):
            append(self.log, make_batch(1, size=BATCH + number, timestamp=timestamp))

    def run(self):
        calls, self.calls[:] = list(self.calls), []
        for call in calls:
            call()


@pytest.fixture
def reader(monkeypatch):
    return Reader(monkeypatch)


def test_who_reads_in_order_finds_the_next_piece_ready(reader):
    offset, waits = 0, []
    while offset < 80:
        offset, waited_for = reader.fetch(offset)
        waits.append(waited_for)
    # Twice as expected makes an order.
    assert waits[:2] == [1, 1]
    assert set(waits[2:]) == {0}


def test_who_jumps_about_costs_no_second_read(reader):
    for offset in (40, 3, 60, 22, 5, 47):
        reader.fetch(offset)
        assert len(reader.reads) == 1


def test_small_and_very_large_fetches_are_not_followed(reader):
    for count in (LEAST_BYTES - 1, (1 << 20) + 1):
        offset = 0
        for _ in range(4):
            offset, _ = reader.fetch(offset, count)
            assert not reader.calls
            if offset >= 90:
                break


def test_the_end_of_what_may_be_read_is_not_passed(reader):
    offset = reader.fetch_in_order(3)
    # Ready for the next, but a consumer may have less of it now.
    bound = offset + 2
    assert reader.answer(offset, end_offset=bound) == bound
    assert not reader.calls


def test_shorter_and_longer_fetches_than_what_is_ready(reader):
    offset = reader.fetch_in_order(3)
    offset, waited_for = reader.fetch(offset, FETCH - 20_000)
    assert waited_for == 0
    offset, waited_for = reader.fetch(offset, FETCH + 20_000)
    assert waited_for == 1
    _, waited_for = reader.fetch(offset, FETCH + 20_000)
    assert waited_for == 0


def test_what_was_cut_off_is_not_given_out(reader):
    offset = reader.fetch_in_order(3)
    reader.log.truncate_to(offset)
    reader.append(60, NOW + 1)
    # `fetch` compares with a plain read.
    _, waited_for = reader.fetch(offset)
    assert waited_for == 1


def test_a_cut_between_answer_and_reading_on(reader):
    offset = reader.answer(reader.fetch_in_order(2))
    reader.log.truncate_to(offset - 1)
    reader.run()
    append(reader.log, make_batch(1, size=5))
    reader.append(60)
    reader.fetch(offset)


def test_removed_segments_leave_nothing(reader):
    reader.fetch_in_order(3)
    ahead = reader.environment.read_ahead
    assert ahead._ready
    reader.log.remove_segments(1, "test")
    assert not ahead._ready
    assert not ahead._expected


def test_a_disk_that_refuses_is_met_by_the_read_itself(reader):
    offset = reader.answer(reader.fetch_in_order(2))
    reader.files.read_error = errno.EIO
    reader.run()
    reader.files.read_error = 0
    assert reader.fetch(offset)[1] == 1


def test_memory_is_bounded_and_passes_on(reader):
    """Six that read in order: four are served in advance, and others when these have stopped."""
    offsets = [0, 10, 20, 30, 40, 50]

    def turn(who):
        waits = []
        for number in who:
            offsets[number], waited_for = reader.fetch(offsets[number], LEAST_BYTES)
            waits.append(waited_for)
        return waits

    everyone = range(6)
    turn(everyone)
    turn(everyone)
    assert sorted(turn(everyone)) == [0, 0, 0, 0, 1, 1]
    assert len(reader.environment.read_ahead._ready) == 4
    served = turn(everyone)
    assert sorted(served) == [0, 0, 0, 0, 1, 1]
    left_out = [number for number in everyone if served[number]]
    reader.clock.advance(1001)
    turn(left_out)
    assert turn(left_out) == [0, 0]


def test_expectations_are_bounded(reader):
    for offset in list(range(90)) * 2:
        reader.fetch(offset, LEAST_BYTES)
    assert len(reader.environment.read_ahead._expected) <= 64


def test_expectations_of_batches_that_do_not_fit_are_bounded(reader):
    """Each was read for in advance, and then cut by a fetch that does not get its first batch whole."""
    log = reader.log
    for size in [LEAST_BYTES // 2] * 3 + [LEAST_BYTES + 10] * 100:
        append(log, make_batch(1, size=size))
    log.high_watermark = log.log_end_offset
    log.flush()
    ahead = reader.environment.read_ahead
    for offset in range(150, 250):
        segment = log.segments[log.segment_for(offset)]
        ahead._ready[segment, segment.position_of(offset)] = bytes(LEAST_BYTES), 0.0
        log.read(offset, LEAST_BYTES, may_block=False)
    assert len(ahead._expected) <= 64


@pytest.mark.parametrize("seed", range(5))
def test_any_order_of_events_gives_the_bytes_of_the_log(reader, seed):
    """Consumers, cuts, appends and removals; every fetch is compared with a plain read."""
    rng = random.Random(seed)
    log, served = reader.log, 0
    offsets = [0] * 3
    for _ in range(400):
        who = rng.randrange(len(offsets))
        event = rng.random()
        if not log.log_start_offset <= offsets[who] < log.log_end_offset:
            offsets[who] = log.log_start_offset
        if event < 0.8:
            # Now and then what follows an answer comes late.
            if log.log_end_offset > log.log_start_offset:
                late = rng.random() < 0.1
                offsets[who], waited_for = reader.fetch(
                    offsets[who], rng.choice([FETCH, FETCH, LEAST_BYTES]), late
                )
                served += not waited_for
        elif event < 0.85:
            log.truncate_to(rng.choice([offsets[who], log.log_end_offset - rng.randrange(40)]))
        elif event < 0.98:
            for _ in range(rng.randrange(40)):
                append(log, make_batch(1, size=BATCH + rng.randrange(3), timestamp=NOW + rng.randrange(1000)))
            log.high_watermark = log.log_end_offset
        elif len(log.segments) > 2:
            log.remove_segments(1, "test")
        else:
            log.flush()
    assert served > 50

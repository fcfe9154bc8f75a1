"""The quick ways of the cleaner against the slow ones, on batches of every form and on damaged ones."""

from __future__ import annotations

from hypothesis import HealthCheck, assume, example, given, settings
from hypothesis import strategies as st

from pybroker.log.cleaner import filtering
from pybroker.log.cleaner.keys import plain_keys
from pybroker.log.cleaner.offset_map import OffsetMap
from pybroker.records.batch import Record, batch_body, build_batch, iter_records, read_header

NOW = 1_700_000_000_000
LENGTHS = st.sampled_from([1, 2, 8, 8, 8, 33, 63, 64, 200])
FEW = settings(max_examples=40, deadline=None, suppress_health_check=list(HealthCheck))


@st.composite
def batches(draw):
    """Runs of like records between others, with small and large deltas."""
    records = []
    timestamp = NOW
    number = 0
    for _ in range(draw(st.integers(1, 6))):
        key_length = draw(LENGTHS)
        value_length = draw(st.sampled_from([0, 5, 5, 40, 300, None]))
        step = draw(st.sampled_from([0, 0, 1, 70, 9000, -5]))
        for _ in range(draw(st.sampled_from([1, 3, 20, 40, 90]))):
            number += 1
            timestamp += step
            key = (b"%d" % (number % 37)).rjust(key_length, b"k")[:key_length]
            if draw(st.integers(0, 200)) == 0:
                key = draw(st.sampled_from([None, b""]))
            value = None if value_length is None else bytes(value_length)
            headers = ((b"h", b"1"),) if draw(st.integers(0, 100)) == 0 else ()
            records.append(Record(number - 1, timestamp, key, value, headers))
    if draw(st.booleans()):
        dropped = draw(st.sets(st.integers(0, len(records) - 1)))
        last = records[-1].offset
        records = [record for place, record in enumerate(records) if place not in dropped]
        assume(records)
        return build_batch(records, keep_offsets=True, last_offset_delta=last)
    return build_batch(records, codec=draw(st.sampled_from([0, 0, 4])))


@FEW
@given(batches())
def test_the_keys_are_those_of_the_records(batch):
    header = read_header(batch)
    records = list(iter_records(batch))
    for dense in (True, False):
        found = plain_keys(batch_body(batch, header), header.record_count, dense=dense)
        if found is None:
            follow = [record.offset for record in records] == list(range(len(records)))
            assert (dense and not follow) or any(r.key is None or len(r.key) > 63 for r in records)
        else:
            assert found.keys == [record.key for record in records]
            assert found.longest == max(len(record.key) for record in records)
            assert found.has_tombstones == any(record.value is None for record in records)
            if dense:
                assert [record.offset for record in records] == list(range(len(records)))


@FEW
@given(batches(), st.data())
@example(build_batch([Record(0, NOW, b"k%02d" % (n % 9), b"v") for n in range(90)]), None)
def test_damage_is_no_plain_batch_or_reads_the_same(batch, data):
    """A changed byte: the quick way gives up, or says what the slow one says."""
    header = read_header(batch)
    body = bytearray(batch_body(batch, header))
    changes = (
        [(5, 0xFF)]
        if data is None
        else [(data.draw(st.integers(0, len(body) - 1)), data.draw(st.integers(0, 255))) for _ in range(2)]
    )
    for at, value in changes:
        body[at] = value
    found = plain_keys(bytes(body), header.record_count, dense=True)
    if found is None:
        return
    slow = OffsetMap(1 << 20)
    slow._add_slowly(bytes(body), header.record_count, 0)
    quick = OffsetMap(1 << 20)
    quick.add_batch(bytes(body), header.record_count, 0, dense=True)
    assert quick.entries == slow.entries


@FEW
@given(batches(), st.data())
def test_picking_by_place_gives_what_looking_at_each_record_gives(batch, data):
    header = read_header(batch)
    body = batch_body(batch, header)
    plain = plain_keys(body, header.record_count, dense=False)
    assume(plain is not None and not plain.has_tombstones)
    gone = data.draw(st.sets(st.sampled_from(plain.keys)))
    offsets = OffsetMap(1 << 20)
    for key in gone:
        later = build_batch([Record(0, NOW, key, b"later")])
        offsets.add_batch(
            batch_body(later, read_header(later)), 1, header.next_offset + len(offsets.entries), dense=True
        )
    offsets.latest_offset = header.next_offset + len(gone)
    places = filtering.not_superseded(body, header, offsets)
    slow = filtering.survivors(body, header, offsets, keep_tombstones=True)
    assert len(places) == len(slow.ranges)
    assume(places)
    assert filtering.with_only(header, body, places) == filtering.rebuilt(header, body, slow.ranges, None)

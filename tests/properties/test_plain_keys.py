"""The quick ways of the cleaner against the slow ones, on batches of every form and on damaged ones."""

from __future__ import annotations

from hypothesis import HealthCheck, assume, example, given, settings
from hypothesis import strategies as st

from pybroker.log.cleaner import filtering
from pybroker.log.cleaner.keys import plain_keys
from pybroker.log.cleaner.offset_map import OffsetMap, _slow_keys, stored_key, stored_keys
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
            assert found.keys == [bytes([len(record.key) * 2]) + record.key for record in records]
            assert found.longest >= max(len(record.key) for record in records)
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
    keys, offsets = _slow_keys(bytes(body), header.record_count, 0)
    assert list(stored_keys(found.keys, found.longest)) == keys
    assert offsets == list(range(header.record_count))


@FEW
@given(batches(), st.data())
def test_picking_by_place_gives_what_looking_at_each_record_gives(batch, data):
    header = read_header(batch)
    body = batch_body(batch, header)
    plain = plain_keys(body, header.record_count, dense=False)
    assume(plain is not None and not plain.has_tombstones)
    offsets = OffsetMap(1 << 20, header.next_offset, header.next_offset + 1)
    offsets.keys |= {stored_key(key[1:]) for key in data.draw(st.sets(st.sampled_from(plain.keys)))}
    places = filtering.not_superseded(body, header, offsets)
    slow = filtering.survivors(body, header, offsets, keep_tombstones=True)
    assert len(places) == len(slow.ranges)
    assume(places)
    assert filtering.with_only(header, body, places) == filtering.rebuilt(header, body, slow.ranges, None)


@st.composite
def logs(draw):
    """Batches one after the other, with gaps, keys of all kinds, records without a key or a value."""
    found = []
    offset = draw(st.integers(0, 1 << 40))
    key = st.one_of(
        st.sampled_from([None, b"", b"a", b"b", b"c" * 32, b"c" * 33, b"d" * 70]), st.binary(max_size=2)
    )
    value = st.sampled_from([None, b"", b"v", b"v" * 100])
    for _ in range(draw(st.integers(1, 8))):
        records = draw(st.lists(st.tuples(key, value), min_size=1, max_size=12))
        step = draw(st.sampled_from([1, 1, 3]))
        batch = build_batch(
            [Record(offset + step * n, NOW, k, v) for n, (k, v) in enumerate(records)],
            base_offset=offset,
            keep_offsets=True,
            last_offset_delta=step * len(records),
            codec=draw(st.sampled_from([0, 0, 3])),
        )
        if step == 1 and draw(st.booleans()):
            batch = build_batch([Record(0, NOW, k, v) for k, v in records], base_offset=offset)
        found.append(batch)
        offset = read_header(batch).next_offset + draw(st.sampled_from([0, 0, 5]))
    return found


@FEW
@given(logs(), st.data())
def test_all_walks_over_records_agree(log, data):
    """The reader, the map that is filled backwards, and both ways to pick what stays."""
    headers = [read_header(batch) for batch in log]
    first = data.draw(st.integers(0, len(log) - 1))
    budget = data.draw(st.sampled_from([1 << 10, 1 << 14, 1 << 20]))
    offsets = OffsetMap(budget, headers[first].base_offset, headers[-1].next_offset)
    for header, batch in reversed(list(zip(headers, log, strict=True))[first:]):
        offsets.add_batch(
            batch_body(batch, header),
            header.record_count,
            header.base_offset,
            dense=header.last_offset_delta == header.record_count - 1,
        )
    offsets.finish()
    last = {
        record.key: record.offset
        for batch in log[first:]
        for record in iter_records(batch)
        if record.key is not None
    }
    for place, (header, batch) in enumerate(zip(headers, log, strict=True)):
        body = batch_body(batch, header)
        for keep_tombstones in (True, False):
            wanted = [
                record.offset
                for record in iter_records(batch)
                if record.key is not None
                and last.get(record.key, record.offset) == record.offset
                and (keep_tombstones or record.value is not None)
            ]
            found = filtering.survivors(body, header, offsets, keep_tombstones=keep_tombstones)
            kept = filtering.rebuilt(header, body, found.ranges, None)
            assert [record.offset for record in iter_records(kept)] == wanted
            assert found.keyless_count == sum(record.key is None for record in iter_records(batch))
        if place >= first and not offsets.may_have_tombstones(header.base_offset):
            assert list(offsets.survivors(header.base_offset, header.last_offset)) == wanted
        places = filtering.not_superseded(body, header, offsets) if place < first else None
        if places:
            kept = filtering.with_only(header, body, places)
            assert [record.offset for record in iter_records(kept)] == wanted

"""The walk checks records that are laid out alike together: the same answers as one by one, good and bad."""

from __future__ import annotations

import random

import pytest

from pybroker.common.errors import CorruptionError
from pybroker.records import validation
from pybroker.records.batch import Record, build_batch
from pybroker.records.validation import walk_records

NOW = 1_700_000_000_000


def one_by_one(monkeypatch, data, count):
    with monkeypatch.context() as patch:
        patch.setattr(validation, "_ALIKE_MIN", 1 << 60)
        return outcome(data, count)


def outcome(data, count):
    try:
        return walk_records(data, count)
    except CorruptionError as error:
        return type(error).__name__


def content_of(generator):
    """The records of a batch: runs of one shape, with now and then another one between them."""
    records = []
    timestamp = NOW
    step = generator.choice((0, 0, 1, 40))
    wanted = generator.choice((40, 150, 500, 9000))
    while len(records) < wanted:
        size = generator.choice((0, 5, 61, 62, 63, 64, 200))
        keyed = generator.choice((None, 0, 3, 8))
        headers = ((b"name", b"value"),) if generator.random() < 0.1 else ()
        for _ in range(generator.choice((1, 3, 40, 100, wanted))):
            if generator.random() < 0.01:
                timestamp += generator.choice((step, step, -1))
            key = None if keyed is None else generator.randbytes(keyed)
            records.append(Record(0, timestamp, key, generator.randbytes(size), headers))
    return build_batch(records)[61:], len(records)


@pytest.mark.parametrize("seed", range(60))
def test_alike_or_one_by_one(seed, monkeypatch):
    generator = random.Random(seed)
    data, count = content_of(generator)
    expected = one_by_one(monkeypatch, data, count)
    assert not isinstance(expected, str)
    assert walk_records(data, count) == expected
    # Within a larger buffer.
    assert walk_records(b"\1" * 7 + data + b"\2" * 9, count, 7, 7 + len(data)) == expected
    for _ in range(25):
        damaged = bytearray(data)
        for _ in range(generator.choice((1, 1, 2))):
            damaged[generator.randrange(len(data))] ^= 1 << generator.randrange(8)
        if generator.random() < 0.1:
            del damaged[generator.randrange(len(damaged)) :]
        wrong = count + generator.choice((0, 0, 0, 0, -1, 1))
        assert outcome(damaged, wrong) == one_by_one(monkeypatch, damaged, wrong)


def test_every_byte_of_alike_records_counts(monkeypatch):
    data = build_batch([Record(0, NOW + n // 30, b"key", bytes(2)) for n in range(130)])[61:]
    walked = walk_records(data, 130)
    assert walked == one_by_one(monkeypatch, data, 130)
    for position in range(len(data)):
        for bit in (0, 1, 6, 7):
            damaged = bytearray(data)
            damaged[position] ^= 1 << bit
            assert outcome(damaged, 130) == one_by_one(monkeypatch, damaged, 130), (position, bit)


@pytest.mark.parametrize("size", [0, 1, 56, 57, 63, 64, 100, 8185, 8186, 8200, 70_000])
@pytest.mark.parametrize("key", [None, b"", b"k", b"k" * 63, b"k" * 64])
def test_the_only_record_is_taken_as_the_walk_takes_it(size, key):
    taken = 0
    for delta in (-1, 0, 1, 63, 64, 9000):
        first = Record(0, NOW, None, b"")
        second = Record(0, NOW + delta, key, bytes(size))
        both = build_batch([first, second])[61:]
        # The second one of two, with the number of an only one.
        data = bytearray(both[len(build_batch([first])) - 61 :])
        at = 1 if data[0] < 0x80 else 2 if data[1] < 0x80 else 3
        at += 2 if data[at + 1] < 0x80 else 3
        data[at] = 0
        places = [*range(min(len(data), 80)), *range(max(len(data) - 8, 0), len(data))]
        for place, bit in [(0, None)] + [(place, bit) for place in places for bit in range(8)]:
            damaged = bytearray(data)
            if bit is not None:
                damaged[place] ^= 1 << bit
            found = validation.only_record(b"\1\2" + damaged + b"\3" * 99, 2, 2 + len(damaged))
            if found >= 0:
                taken += 1
                assert walk_records(damaged, 1)[:3] == (found, 0, found)
    assert taken > 3 or (key is not None and len(key) > 63)

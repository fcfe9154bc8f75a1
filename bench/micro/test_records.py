"""Costs of the record rooms: header path, walk, reading, building and the codecs.

python -m pytest bench/micro/test_records.py --benchmark-only
"""

from __future__ import annotations

import pytest

from pybroker.records import compression
from pybroker.records.batch import Record, build_batch, iter_records, read_header, stamp
from pybroker.records.validation import ProduceRules, ValidatedBatch, validate_produce

NOW = 1_700_000_000_000
RULES = ProduceRules("topic", 0)
CODECS = dict(enumerate(compression.CODEC_NAMES))


def records_of(count: int, value_size: int) -> list[Record]:
    text = b'{"user":%d,"name":"somebody","amount":%d,"currency":"EUR","note":"thanks"}'
    return [
        Record(0, NOW + index // 3, b"key-%d" % index, (text % (index, index * 7) * 9)[:value_size])
        for index in range(count)
    ]


# 16 KiB, as a producer with default settings sends.
USUAL = records_of(140, 100)


def validate(batch: memoryview, walk: bool) -> None:
    result = validate_produce(batch, version=9, rules=RULES, now_ms=NOW, walk=walk)
    assert isinstance(result, ValidatedBatch)


@pytest.mark.parametrize("writable", [True, False], ids=["in place", "copied"])
def test_header_path_16_kib(benchmark, writable):
    batch = build_batch(USUAL)
    benchmark(validate, memoryview(bytearray(batch) if writable else batch), False)


@pytest.mark.parametrize("count", [1, 140, 2000])
def test_walk(benchmark, count):
    benchmark(validate, memoryview(bytearray(build_batch(records_of(count, 100)))), True)


@pytest.mark.parametrize("codec", range(5), ids=CODECS.get)
def test_walk_16_kib_compressed(benchmark, codec):
    benchmark(validate, memoryview(bytearray(build_batch(USUAL, codec=codec))), True)


def test_iterate_140_records(benchmark):
    batch = memoryview(build_batch(USUAL))
    benchmark(lambda: list(iter_records(batch)))


def test_build_140_records(benchmark):
    benchmark(build_batch, USUAL)


def test_read_header(benchmark):
    benchmark(read_header, memoryview(build_batch(USUAL)))


def test_stamp(benchmark):
    benchmark(stamp, bytearray(build_batch(USUAL)), 12345, 1)


@pytest.mark.parametrize("codec", range(1, 5), ids=CODECS.get)
def test_compress_16_kib(benchmark, codec):
    benchmark(compression.compress, codec, build_batch(USUAL)[61:])


@pytest.mark.parametrize("codec", range(1, 5), ids=CODECS.get)
def test_decompress_16_kib(benchmark, codec):
    benchmark(compression.decompress, codec, compression.compress(codec, build_batch(USUAL)[61:]))

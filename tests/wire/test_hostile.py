"""Bytes from an enemy: only ProtocolError leaves a decoder, and memory stays in proportion to the bytes."""

from __future__ import annotations

import random
import struct
import tracemalloc

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pybroker.common.errors import ProtocolError
from pybroker.wire import codec
from pybroker.wire.api_keys import ApiKey
from pybroker.wire.fast import fetch_request, produce_request
from pybroker.wire.headers import parse_request_header
from pybroker.wire.limits import MAX_ARRAY_ELEMENTS, MAX_TAGGED_FIELDS
from pybroker.wire.primitives import encode_unsigned_varint
from tests.wire.samples import class_versions, sample

LEGACY = [struct.pack(">I", value) for value in (0x7FFFFFFF, 0xFFFFFFFF, 0xFFFFFFFE, 0x80000000)]
COMPACT = [encode_unsigned_varint(value) for value in (0x7FFFFFFF, 0x80000000, 0xFFFFFFFF, 0xFFFFFFFE)]
LENGTHS = [*LEGACY, *COMPACT, b"\x7f\xff", b"\xff\xff", b"\xff\xfe", b"\xff" * 10]
REQUESTS = [
    (key, version)
    for key in ApiKey
    for version in range(codec.request_class(key).VERSIONS[0], codec.request_class(key).VERSIONS[1] + 1)
]


def attempt(decode, *arguments):
    try:
        return decode(*arguments)
    except ProtocolError:
        return None


def test_truncation_at_every_byte():
    rng = random.Random(4)
    for cls, version in class_versions():
        encoded = codec.encode(sample(cls, version, rng), version)[:400]
        whole = attempt(codec.decode, cls, version, encoded)
        for size in range(len(encoded) if whole is None else whole[1]):
            with pytest.raises(ProtocolError):
                codec.decode(cls, version, encoded[:size])


def test_hostile_lengths_at_every_place():
    rng = random.Random(5)
    for cls, version in class_versions():
        encoded = codec.encode(sample(cls, version, rng), version)[:120]
        for place in range(len(encoded)):
            hostile = LENGTHS[rng.randrange(len(LENGTHS))]
            attempt(codec.decode, cls, version, encoded[:place] + hostile + encoded[place + len(hostile) :])
            attempt(codec.decode, cls, version, encoded[:place] + hostile)


@pytest.mark.parametrize("length", LENGTHS, ids=bytes.hex)
def test_a_length_as_the_whole_body_allocates_nothing(length):
    for key, version in REQUESTS:
        attempt(codec.decode_request, key, version, length)
    tracemalloc.start()
    try:
        for key, version in REQUESTS:
            attempt(codec.decode_request, key, version, length)
            attempt(codec.decode_request, key, version, length + b"\x01" * 40)
        peak = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
    assert peak < 2_000_000


@settings(max_examples=400, deadline=None)
@given(st.sampled_from(REQUESTS), st.binary(max_size=200))
def test_random_bytes(request, body):
    attempt(codec.decode_request, *request, body)


@settings(max_examples=400, deadline=None)
@given(st.sampled_from(REQUESTS), st.randoms(use_true_random=False), st.data())
def test_flipped_bytes(request, rng, data):
    key, version = request
    cls = codec.request_class(key)
    encoded = bytearray(codec.encode(sample(cls, version, random.Random(rng.getrandbits(64))), version))
    for _ in range(data.draw(st.integers(1, 4))):
        if encoded:
            encoded[data.draw(st.integers(0, len(encoded) - 1))] = data.draw(st.integers(0, 255))
    attempt(codec.decode_request, key, version, memoryview(encoded))


def tagged(body: bytes) -> bytes:
    """A Metadata v12 request with this section of tagged fields at its end."""
    return b"\x00\x01\x00" + body


@pytest.mark.parametrize(
    "section",
    [
        encode_unsigned_varint(0xFFFFFFFF),
        encode_unsigned_varint(MAX_TAGGED_FIELDS + 1) + b"\x05\x00" * (MAX_TAGGED_FIELDS + 1),
        b"\x01\x05\xff\xff\xff\xff\x0f",
        b"\x01\x05\x02\x00",
        b"\x02\x05\x00",
        b"\xff\xff\xff\xff\xff\x01",
        b"\x80" * 30,
    ],
)
def test_tag_bombs(section):
    with pytest.raises(ProtocolError):
        codec.decode_request(3, 12, tagged(section))


def test_as_many_tags_as_allowed():
    section = encode_unsigned_varint(MAX_TAGGED_FIELDS) + b"\x05\x00" * MAX_TAGGED_FIELDS
    assert codec.decode_request(3, 12, tagged(section)).topics is None


@pytest.mark.parametrize("size", [0, 1, 3, 5, 200])
def test_declared_size_of_a_known_tag_must_be_its_content(size):
    # Fetch v12, tag 0 is the cluster id: here one character, so two bytes.
    body = b"\0" * 25 + b"\x01\x01\x01" + b"\x01\x00" + encode_unsigned_varint(size) + b"\x02c" + b"\0" * 10
    with pytest.raises(ProtocolError):
        codec.decode_request(1, 12, body)
    with pytest.raises(ProtocolError):
        fetch_request.decode(12, body)


def test_array_limit():
    body = struct.pack(">i", MAX_ARRAY_ELEMENTS + 1) + b"\0" * (2 * (MAX_ARRAY_ELEMENTS + 1))
    with pytest.raises(ProtocolError, match="elements"):
        codec.decode_request(3, 0, body)


def test_objects_of_all_arrays_together_are_limited():
    # DeleteTopics and the like have one array; here two arrays of partitions share the limit.
    half = struct.pack(">i", 150_000) + bytes(4 * 150_000)
    topic = struct.pack(">h", 1) + b"t" + half
    one = struct.pack(">i", 1) + topic
    two = struct.pack(">i", 2) + topic + topic
    prefix = struct.pack(">h", 1) + b"g"
    assert len(codec.decode_request(9, 1, prefix + one).topics[0].partition_indexes) == 150_000
    with pytest.raises(ProtocolError, match="array elements"):
        codec.decode_request(9, 1, prefix + two)


def test_null_where_null_is_not_allowed():
    for body in (b"\xff\xff\xff\xff", b"\x80\0\0\0"):
        with pytest.raises(ProtocolError):
            codec.decode_request(3, 0, body)
    with pytest.raises(ProtocolError):
        codec.decode_request(3, 9, b"\x02\x00\x00\x00\x00\x00")
    for version in (9, 13):
        with pytest.raises(ProtocolError):
            produce_request.decode(version, b"\x00" + b"\0" * 6 + b"\x00\x00")


@settings(max_examples=300, deadline=None)
@given(st.binary(max_size=40))
def test_headers(frame):
    attempt(parse_request_header, frame)

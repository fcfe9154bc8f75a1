"""Differential test: what kio writes is read to the same values here, and written to the same bytes."""

from __future__ import annotations

import dataclasses
import datetime
import importlib
import io
import random
import types
import typing
import uuid

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from kio.schema.errors import ErrorCode
from kio.serial import entity_reader, entity_writer
from kio.static.primitive import i32Timedelta

from pybroker.wire import codec
from pybroker.wire.api_keys import ApiKey, module_name
from tests.wire.samples import ALPHABET, INTEGERS

EPOCH = datetime.datetime(1970, 1, 1, tzinfo=datetime.UTC)
MS = datetime.timedelta(milliseconds=1)
CASES = [
    (key, kind, version)
    for key in ApiKey
    for kind in ("request", "response")
    for version in range(codec.request_class(key).VERSIONS[0], codec.request_class(key).VERSIONS[1] + 1)
]


def kio_class(key: int, kind: str, version: int) -> type:
    module = importlib.import_module(f"kio.schema.{module_name(key)}.v{version}.{kind}")
    cls = codec.request_class(key) if kind == "request" else codec.response_class(key)
    return getattr(module, cls.__name__)


def primitive(kafka_type: str, rng: random.Random):
    if kafka_type in INTEGERS:
        low, high = INTEGERS[kafka_type]
        return rng.choice((low, high, rng.randint(low, high), rng.randint(0, 127)))
    match kafka_type:
        case "error_code":
            return rng.choice(list(ErrorCode))
        case "timedelta_i32":
            return i32Timedelta.parse(MS * rng.randint(-(2**31), 2**31 - 1))
        case "timedelta_i64":
            return MS * rng.randint(-(2**40), 2**40)
        case "datetime_i64":
            return EPOCH + MS * rng.randint(0, 2**42)
        case "bool":
            return rng.random() < 0.5
        case "float64":
            return rng.uniform(-1e9, 1e9)
        case "uuid":
            return rng.choice((None, uuid.UUID(bytes=rng.randbytes(16))))
        case "string":
            return "".join(rng.choices(ALPHABET, k=rng.choice((0, 1, 6, 127, 300))))
        case "bytes" | "records":
            return rng.randbytes(rng.choice((0, 1, 127, 300)))
    raise AssertionError(kafka_type)


def build(cls: type, rng: random.Random):
    values = {}
    hints = typing.get_type_hints(cls)
    for field in dataclasses.fields(cls):
        annotation = hints[field.name]
        nullable = typing.get_origin(annotation) in (types.UnionType, typing.Union)
        if nullable:
            (annotation,) = [a for a in typing.get_args(annotation) if a is not types.NoneType]
        tagged = "tag" in field.metadata
        if tagged and field.default is not dataclasses.MISSING and rng.random() < 0.4:
            continue
        kafka_type = field.metadata.get("kafka_type")
        if nullable and not tagged and kafka_type != "uuid" and rng.random() < 0.25:
            values[field.name] = None
        elif typing.get_origin(annotation) is tuple:
            element = typing.get_args(annotation)[0]
            values[field.name] = tuple(
                build(element, rng) if dataclasses.is_dataclass(element) else primitive(kafka_type, rng)
                for _ in range(rng.choice((0, 1, 2, 3)))
            )
        elif dataclasses.is_dataclass(annotation):
            values[field.name] = build(annotation, rng)
        else:
            values[field.name] = primitive(kafka_type, rng)
    return cls(**values)


def raw(value, kafka_type: str | None):
    """kio's value as this code has it."""
    if kafka_type == "uuid" and value is None:
        return bytes(16)
    if kafka_type == "datetime_i64" and value is None:
        return -1
    if isinstance(value, tuple):
        return [raw(item, kafka_type) for item in value]
    if isinstance(value, ErrorCode):
        return value.value
    if isinstance(value, datetime.timedelta):
        return round(value / MS)
    if isinstance(value, datetime.datetime):
        return round((value - EPOCH) / MS)
    if isinstance(value, uuid.UUID):
        return value.bytes
    return value


def assert_same(ours, theirs) -> None:
    if isinstance(theirs, tuple) and theirs and dataclasses.is_dataclass(theirs[0]):
        assert len(ours) == len(theirs)
        for one, other in zip(ours, theirs, strict=True):
            assert_same(one, other)
        return
    for field in dataclasses.fields(theirs):
        value = getattr(theirs, field.name)
        mine = getattr(ours, field.name)
        nested = isinstance(value, tuple) and value and dataclasses.is_dataclass(value[0])
        if nested or dataclasses.is_dataclass(value):
            assert_same(mine, value)
        else:
            null_array = value is None and "tuple[" in str(field.type)
            expected = None if null_array else raw(value, field.metadata.get("kafka_type"))
            assert (list(mine) if isinstance(expected, list) else mine) == expected, field.name


def check(key: int, kind: str, version: int, rng: random.Random) -> None:
    cls = kio_class(key, kind, version)
    entity = build(cls, rng)
    buffer = io.BytesIO()
    entity_writer(cls)(buffer, entity)
    written = buffer.getvalue()
    ours = codec.request_class(key) if kind == "request" else codec.response_class(key)
    decoded, end = codec.decode(ours, version, written)
    assert end == len(written)
    assert_same(decoded, entity)
    encoded = codec.encode(decoded, version)
    assert encoded == written
    read, size = entity_reader(cls)(encoded, 0)
    assert size == len(encoded)
    assert read == entity


def test_every_message_and_version():
    rng = random.Random(2)
    for key, kind, version in CASES:
        check(key, kind, version, rng)


@settings(max_examples=150, deadline=None)
@given(st.sampled_from(CASES), st.randoms(use_true_random=False))
def test_random_messages(case, rng):
    check(*case, random.Random(rng.getrandbits(64)))


@pytest.mark.parametrize("name", ["consumer_protocol_subscription", "consumer_protocol_assignment"])
def test_consumer_protocol(name):
    from pybroker.wire.schemas import consumer_protocol

    ours = getattr(consumer_protocol, "".join(word.title() for word in name.split("_")))
    rng = random.Random(3)
    for version in range(ours.VERSIONS[0], ours.VERSIONS[1] + 1):
        module = importlib.import_module(f"kio.schema.{name}.v{version}.data")
        cls = getattr(module, ours.__name__)
        for _ in range(10):
            entity = build(cls, rng)
            buffer = io.BytesIO()
            entity_writer(cls)(buffer, entity)
            decoded, end = codec.decode(ours, version, buffer.getvalue())
            assert end == len(buffer.getvalue())
            assert_same(decoded, entity)
            assert codec.encode(decoded, version) == buffer.getvalue()

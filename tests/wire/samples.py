"""Every message class and version, and random objects of them."""

from __future__ import annotations

import importlib
import random
from collections.abc import Iterator
from functools import cache
from typing import Any

from pybroker.wire import codec
from pybroker.wire.api_keys import ApiKey
from pybroker.wire.message import Message
from pybroker.wire.schemas.metadata_record_types import RECORD_TYPES

DATA_MODULES = ("control_records", "consumer_protocol", "principal")

INTEGERS = {
    "int8": (-(2**7), 2**7 - 1),
    "int16": (-(2**15), 2**15 - 1),
    "int32": (-(2**31), 2**31 - 1),
    "int64": (-(2**63), 2**63 - 1),
    "uint16": (0, 2**16 - 1),
    "uint32": (0, 2**32 - 1),
}
ALPHABET = "aZ09._-é€\U0001f600\0"


@cache
def message_classes() -> list[type[Message]]:
    classes: list[type[Message]] = []
    for key in ApiKey:
        classes += [codec.request_class(key), codec.response_class(key)]
    classes += RECORD_TYPES.values()
    for name in DATA_MODULES:
        module = importlib.import_module(f"pybroker.wire.schemas.{name}")
        classes += [
            value
            for value in vars(module).values()
            if isinstance(value, type) and issubclass(value, Message) and value is not Message
        ]
    return classes


def class_versions() -> Iterator[tuple[type[Message], int]]:
    for cls in message_classes():
        first, last = cls.VERSIONS
        for version in range(first, last + 1):
            yield cls, version


def sample(cls: type[Message], version: int, rng: random.Random) -> Message:
    """An object with random values in the fields that `version` has, and defaults in the others."""
    result = cls()
    for name, kind, _, _, nullable_from, tag, _ in codec.fields_of(cls, version):
        if tag >= 0 and rng.random() < 0.3:
            continue
        if 0 <= nullable_from <= version and rng.random() < 0.25:
            setattr(result, name, None)
        else:
            setattr(result, name, _value(cls, kind, version, rng))
    return result


def _value(cls: type[Message], kind: str, version: int, rng: random.Random) -> Any:
    if kind.startswith("[]"):
        return [_value(cls, kind[2:], version, rng) for _ in range(rng.choice((0, 1, 1, 2, 3)))]
    if kind in INTEGERS:
        low, high = INTEGERS[kind]
        return rng.choice((rng.randint(low, high), rng.randint(0, 100), low, high))
    if kind == "bool":
        return rng.random() < 0.5
    if kind == "float64":
        return rng.choice((0.0, -1.5, rng.random() * 1e9))
    if kind == "uuid":
        return rng.randbytes(16)
    if kind == "string":
        return "".join(rng.choices(ALPHABET, k=rng.choice((0, 1, 5, 40, 130))))
    if kind in ("bytes", "records"):
        return rng.randbytes(rng.choice((0, 1, 7, 130, 20_000 if rng.random() < 0.05 else 3)))
    return sample(getattr(importlib.import_module(cls.__module__), kind), version, rng)

"""The tables: as many names as Kafka has, and each row in order."""

from __future__ import annotations

import subprocess
import sys

import pytest

from pybroker.common.config import (
    AUTHORIZER_KEYS,
    BROKER_INTERNAL_KEYS,
    BROKER_KEYS,
    CLIENT_METRICS_KEYS,
    GROUP_KEYS,
    PYBROKER_KEYS,
    TOPIC_INTERNAL_KEYS,
    TOPIC_KEYS,
    ConfigType,
    broker_table,
    resource_tables,
)

EVERY_TABLE = {
    "broker": BROKER_KEYS,
    "internal": BROKER_INTERNAL_KEYS,
    "authorizer": AUTHORIZER_KEYS,
    "pybroker": PYBROKER_KEYS,
    "topic": TOPIC_KEYS,
    "topic internal": TOPIC_INTERNAL_KEYS,
    "group": GROUP_KEYS,
    "client metrics": CLIENT_METRICS_KEYS,
}
EVERY_KEY = [
    pytest.param(key, id=f"{table}:{key.name}")
    for table, keys in EVERY_TABLE.items()
    for key in keys.values()
]


def test_there_are_as_many_names_as_kafka_has():
    assert {table: len(keys) for table, keys in EVERY_TABLE.items() if table != "pybroker"} == {
        "broker": 340,
        "internal": 20,
        "authorizer": 2,
        "topic": 33,
        "topic internal": 1,
        "group": 17,
        "client metrics": 3,
    }


def test_no_row_is_lost_to_an_equal_name():
    for table, keys in (
        (broker_table.PUBLIC, BROKER_KEYS),
        (broker_table.INTERNAL, BROKER_INTERNAL_KEYS),
        (resource_tables.TOPIC, TOPIC_KEYS),
        (resource_tables.GROUP, GROUP_KEYS),
    ):
        names = [line.split()[0] for line in table.splitlines() if not line.startswith(" ")]
        assert len(set(names)) == len(names)
        assert names == list(keys)


def test_broker_names_are_sorted():
    assert list(BROKER_KEYS) == sorted(BROKER_KEYS)


@pytest.mark.parametrize("key", EVERY_KEY)
def test_a_default_is_a_legal_value_and_the_documentation_a_sentence(key):
    assert key.doc.endswith(".")
    assert key.doc[0].isupper() or key.doc.startswith(("`", "HOST:PORT"))
    if key.default is None:
        return
    # Kafka itself has defaults that its own checks would refuse: "" where a value must not be empty.
    assert key.parse(key.default_text) == key.default
    expected = {
        ConfigType.BOOLEAN: bool,
        ConfigType.DOUBLE: float,
        ConfigType.LIST: list,
        ConfigType.INT: int,
        ConfigType.SHORT: int,
        ConfigType.LONG: int,
    }.get(key.type, str)
    assert type(key.default) is expected


@pytest.mark.parametrize("keys", [TOPIC_KEYS, GROUP_KEYS], ids=["topic", "group"])
def test_synonyms_are_broker_names_with_the_same_default(keys):
    for key in keys.values():
        for name in key.synonyms:
            assert name in BROKER_KEYS
        if key.synonyms and BROKER_KEYS[key.synonyms[0]].default is not None:
            broker_key = BROKER_KEYS[key.synonyms[0]]
            assert (broker_key.default, broker_key.type) == (key.default, key.type)


def test_some_rows_are_what_kafka_says():
    segment_bytes = TOPIC_KEYS["segment.bytes"]
    assert (segment_bytes.type, segment_bytes.default, segment_bytes.low) == (
        ConfigType.INT,
        1 << 30,
        1 << 20,
    )
    assert BROKER_KEYS["log.cleaner.io.max.bytes.per.second"].default_text == "1.7976931348623157E308"
    assert BROKER_KEYS["group.consumer.assignors"].default == ["uniform", "range"]
    assert BROKER_KEYS["log.retention.ms"].default is None
    assert BROKER_KEYS["ssl.key.password"].sensitive
    assert not BROKER_KEYS["node.id"].has_default
    assert (BROKER_KEYS["listeners"].mode, BROKER_KEYS["log.dirs"].mode) == ("broker", "ro")


def test_our_own_settings_have_their_defaults():
    assert PYBROKER_KEYS["pybroker.durability"].default == "os"
    assert PYBROKER_KEYS["pybroker.record.validation"].default == "adaptive"
    assert PYBROKER_KEYS["pybroker.http.listener"].default == ""
    assert PYBROKER_KEYS["pybroker.connections.max"].default == 10_000


def test_importing_loads_nothing_slow():
    slow = ("difflib", "logging", "asyncio", "socket", "kio", "click")
    code = (
        f"import sys; import pybroker.common.config; print([name for name in {slow} if name in sys.modules])"
    )
    output = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert output.stdout.strip() == "[]"

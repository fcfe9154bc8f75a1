"""Which partition owns a key: values seen on Apache Kafka 4.3.0."""

from __future__ import annotations

import pytest

from pybroker.coordinator import java_hash_order, java_string_hash, partition_for


@pytest.mark.parametrize(
    ("key", "partition"),
    [("polygenelubricants", 0), ("grüße", 23), ("a😀b", 44), ("x", 20), ("zzzz", 48), ("", 0)],
)
def test_partition_of_a_key(key, partition):
    assert partition_for(key, 50) == partition


def test_hash_of_java():
    assert java_string_hash("polygenelubricants") == -(1 << 31)
    assert java_string_hash("abc") == 96354
    assert java_string_hash("\ud800") == 0xD800


def test_order_of_a_hash_map():
    assert java_hash_order(["roundrobin", "range"]) == ["range", "roundrobin"]
    assert java_hash_order([f"name-{i}" for i in range(14)])[:3] == ["name-11", "name-12", "name-10"]

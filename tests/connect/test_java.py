"""Texts and orders that must equal Java's, byte for byte."""

from __future__ import annotations

import pytest

from connect.api.errors import ConfigError
from connect.core import regex, versions
from connect.core.java import double_text, hash_map_order, json_bytes, string_hash
from connect.core.offsets import OffsetTable
from connect.core.worker_config import parse_properties


@pytest.mark.parametrize(
    ("inserted", "written"),
    [
        ("zeta filename a cluster topic partition b f", "zeta a cluster b filename partition f topic"),
        ("position extra", "extra position"),
        ("topic partition cluster", "cluster partition topic"),
        ("table protocol", "protocol table"),
        ("incrementing timestamp timestamp_nanos", "timestamp_nanos incrementing timestamp"),
    ],
)
def test_hash_map_order(inserted: str, written: str) -> None:
    assert hash_map_order(inserted.split()) == written.split()


def test_string_hash() -> None:
    assert string_hash("hello") == 99162322
    assert string_hash("polygenelubricants") == -(1 << 31)
    assert string_hash("\U0001f600") == 1772899


@pytest.mark.parametrize(
    ("value", "text"),
    [
        (1.0, "1.0"), (1000.0, "1000.0"), (1e7, "1.0E7"), (1.5e-5, "1.5E-5"), (0.001, "0.001"),
        (-12345678.9, "-1.23456789E7"), (0.1, "0.1"), (1e300, "1.0E300"), (-0.0, "-0.0"),
    ],
)  # fmt: skip
def test_double(value: float, text: str) -> None:
    assert double_text(value) == text


def test_json() -> None:
    body = {"a": 1.0, "b": None, "c": 'x"\\\n\x01é\u2028', "d": [True, 2]}
    assert json_bytes(body) == '{"a":1.0,"b":null,"c":"x\\"\\\\\\n\\u0001é\u2028","d":[true,2]}'.encode()


def test_offset_keys_are_used_again() -> None:
    table = OffsetTable()
    foreign = b'["c", {"topic":"t","partition":1}]'
    table.apply(foreign, b'{"position":5}')
    assert table.record("c", {"partition": 1, "topic": "t"}, None).key == foreign
    assert table.record("c", {"topic": "t", "partition": 2}, {"position": 1, "extra": 2}) == (
        b'["c",{"partition":2,"topic":"t"}]',
        b'{"extra":2,"position":1}',
    )
    assert table.record("c", None, {"o": 1}).key == b'["c",null]'
    assert table.get("c", {"partition": 1, "topic": "t"}) == {"position": 5}
    assert table.get("c", {"partition": True, "topic": "t"}) is None
    table.apply(foreign, None)
    assert table.all("c") == []


@pytest.mark.parametrize("broken", [b"{", b"[]", b'["c"]', b"[1,{}]", b'["c",5]', b"\xff", b'["c",{"a":{}}]'])
def test_offset_table_tolerates(broken: bytes) -> None:
    table = OffsetTable()
    table.apply(broken, b"{}")
    table.apply(b'["c",{}]', broken)
    table.apply(None, None)


@pytest.mark.parametrize(
    ("requirement", "met"),
    [
        (None, True), ("latest", True), ("4.3.0", True), ("4.3", True), ("4.2.0", False), ("[4.0,5.0)", True),
        ("(,4.2)", False), ("(,4.3]", True), ("[4.3.0]", True), ("(4.3,)", False), ("[1,2],[4,5]", True),
    ],
)  # fmt: skip
def test_versions(requirement: str | None, met: bool) -> None:
    assert versions.meets("4.3.0", requirement) is met


@pytest.mark.parametrize("broken", ["[4.0", "(4.3)", "[1,2", "[1,2]x"])
def test_broken_requirements(broken: str) -> None:
    with pytest.raises(ConfigError, match="Invalid version range"):
        versions.check_requirement(broken)


@pytest.mark.parametrize(
    ("pattern", "matching", "other"),
    [
        (r"\p{Alpha}+", "abC", "ab1"), (r"(?<year>\d{4})-\k<year>", "2024-2024", "2024-2025"),
        (r"\Qa.b\E", "a.b", "axb"), (r"[\p{Digit}_]+", "1_2", "a"), (r"a++b", "aab", "b"), (r"\w+", "ab", "é"),
    ],
)  # fmt: skip
def test_java_regex(pattern: str, matching: str, other: str) -> None:
    compiled = regex.compile_java(pattern)
    assert compiled.fullmatch(matching)
    assert not compiled.fullmatch(other)


@pytest.mark.parametrize("pattern", ["[a-z&&[^b]]", r"\p{IsGreek}", "(", "[a", "a\\"])
def test_java_regex_refused(pattern: str) -> None:
    with pytest.raises(regex.JavaRegexError):
        regex.compile_java(pattern)


def test_replacement() -> None:
    match = regex.compile_java(r"(?<a>\w+)-(\w+)").fullmatch("x-y")
    assert match is not None
    assert regex.expand(r"$2_${a}\$", match) == "y_x$"
    with pytest.raises(regex.JavaRegexError):
        regex.expand("$3", match)


def test_properties() -> None:
    text = "# c\n! c\na=1\nb : x y\nc\\ d=\\u00e9\\t|\nlong=one,\\\n   two\nempty=\nword value\n\\#k=v\\\\n"
    assert parse_properties(text) == {
        "a": "1", "b": "x y", "c d": "é\t|", "long": "one,two", "empty": "", "word": "value", "#k": "v\\n",
    }  # fmt: skip

"""Java's properties format."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pybroker.common.config import parse_properties
from pybroker.common.errors import ConfigError


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("", {}),
        ("a=b", {"a": "b"}),
        ("a = b ", {"a": "b "}),
        ("a:b", {"a": "b"}),
        ("a b", {"a": "b"}),
        ("a\tb", {"a": "b"}),
        ("a", {"a": ""}),
        ("a=", {"a": ""}),
        ("a==b", {"a": "=b"}),
        ("a = = b", {"a": "= b"}),
        ("=b", {"": "b"}),
        ("# c\n! d\n  # e\na=b", {"a": "b"}),
        ("a=b#c", {"a": "b#c"}),
        ("a=b\r\nc=d\re=f", {"a": "b", "c": "d", "e": "f"}),
        ("a=one,\\\n   two,\\\n\tthree", {"a": "one,two,three"}),
        ("a=b\\", {"a": "b"}),
        ("a=b\\\\\nc=d", {"a": "b\\", "c": "d"}),
        ("a=b\\\n#c=d", {"a": "b#c=d"}),
        ("a=b\n\n\n  \nc=d", {"a": "b", "c": "d"}),
        ("a\\=b=c", {"a=b": "c"}),
        ("a\\ b=c", {"a b": "c"}),
        ("a\\:b:c", {"a:b": "c"}),
        ("a=\\t\\n\\r\\f\\z", {"a": "\t\n\r\fz"}),
        ("a=\\u0041\\u00e4", {"a": "Aä"}),
        ("a=\\uD83D\\uDE00", {"a": "\U0001f600"}),
        ("a=\\uD83D", {"a": "�"}),
        ("a=1\na=2", {"a": "2"}),
        ("a=x\x0by\u2028z", {"a": "x\x0by\u2028z"}),
        (
            "listeners=PLAINTEXT://:9092,CONTROLLER://:9093",
            {"listeners": "PLAINTEXT://:9092,CONTROLLER://:9093"},
        ),
    ],
)
def test_what_java_reads(text, expected):
    assert parse_properties(text) == expected


@pytest.mark.parametrize("text", ["a=1\nb=\\u12", "a=1\nb=\\u12g4", "a=1\n\\u=b"])
def test_a_malformed_escape_is_named_with_its_line(text):
    with pytest.raises(ConfigError, match="line 2"):
        parse_properties(text)


def escape(text: str, is_key: bool) -> str:
    """As java.util.Properties.store writes it."""
    result = []
    for index, character in enumerate(text):
        if character == " " and (is_key or index == 0):
            result.append("\\ ")
        elif character in "\t\n\r\f":
            result.append({"\t": "\\t", "\n": "\\n", "\r": "\\r", "\f": "\\f"}[character])
        elif character in "=:#!\\":
            result.append("\\" + character)
        elif not " " <= character <= "~":
            encoded = character.encode("utf-16-be")
            result += [f"\\u{encoded[i]:02x}{encoded[i + 1]:02x}" for i in range(0, len(encoded), 2)]
        else:
            result.append(character)
    return "".join(result)


TEXTS = st.text(st.characters(exclude_categories=["Cs"]), max_size=20)


@given(st.dictionaries(TEXTS, TEXTS, max_size=8))
def test_what_java_writes_reads_back(properties):
    text = "".join(f"{escape(key, True)}={escape(value, False)}\n" for key, value in properties.items())
    assert parse_properties(text) == properties


@given(st.text(max_size=200))
def test_any_text_is_properties_or_a_config_error(text):
    try:
        properties = parse_properties(text)
    except ConfigError:
        return
    assert all(isinstance(part, str) for item in properties.items() for part in item)


def test_a_long_continuation_is_read_in_linear_time():
    lines = 20_000
    assert len(parse_properties("a=" + "b\\\n" * lines)["a"]) == lines

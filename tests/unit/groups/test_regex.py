"""Regular expressions of subscriptions: what RE2/J 1.8 (Kafka 4.3.0) says of the same patterns and names.

The tables were recorded with that library; the property test compares with Python's own engine on the part of
the syntax that both share.
"""

from __future__ import annotations

import re

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pybroker.groups.regex import MAX_NESTING, Regex, RegexError

MATCHES = [
    ("foo.*", "foobar", True),
    ("foo.*", "foo", True),
    ("foo.*", "afoo", False),
    ("foo", "foobar", False),
    ("", "", True),
    ("a|bc|", "bc", True),
    ("(a|b)*c", "ababc", True),
    ("a{2,3}", "aaa", True),
    ("a{2,3}", "aaaa", False),
    ("a{,3}", "a", False),
    ("a{0}b", "b", True),
    ("(?:a*)*b", "aab", True),
    (r"\bfoo\b-x", "foo-x", True),
    (r"foo\Bbar", "foobar", True),
    (r"\Afoo\z", "foo", True),
    ("^foo$", "foo", True),
    ("(?i)FOO", "foo", True),
    ("(?i:F)oo", "foo", True),
    ("(?i:F)oo", "fOO", False),
    ("((?i)a)b", "Ab", True),
    ("((?i)a)b", "AB", False),
    ("(?i)K", "k", True),  # the Kelvin sign
    ("(?i)ſ", "S", True),  # the long s
    ("[^x]+", "abc", True),
    ("[]a]+", "a", True),
    ("[a-]+", "a-", True),
    (r"[\w.-]+", "a.b-c_d", True),
    ("[[:alpha:]_]+", "ab_", True),
    ("[[:^alpha:]]+", "12", True),
    ("[[:word:]]+", "a_1", True),
    (r"\p{Lu}+", "AB", True),
    (r"\p{Latin}+", "AbZ", True),
    (r"\p{Common}+", "1.-", True),
    (r"\P{Greek}+", "ab", True),
    (r"\p{^Lu}", "a", True),
    (r"\pN\pL", "1a", True),
    (r"\x61\x{62}\143", "abc", True),
    (r"\Qa.b\E.", "a.bx", True),
    (r"\Qa.b\E.", "axbx", False),
    (r"(?P<name>a)(?<other>b)", "ab", True),
    ("é|a", "a", True),
    ("orders-(eu|us)-[0-9]+", "orders-eu-17", True),
]

REFUSED = [
    ("[", "missing closing ]"),
    ("[a", "missing closing ]"),
    ("(", "missing closing )"),
    ("(?i:a", "missing closing )"),
    (")", "regexp/syntax: internal error"),
    ("a**", "invalid nested repetition operator"),
    ("a{2}{3}", "invalid nested repetition operator"),
    ("*", "missing argument to repetition operator"),
    ("a|+", "missing argument to repetition operator"),
    ("(*)", "missing argument to repetition operator"),
    ("a{1001}", "invalid repeat count"),
    ("a{3,1}", "invalid repeat count"),
    ("a{1,123456789}", "invalid repeat count"),
    ("\\", "trailing backslash at end of expression"),
    (r"\Z", "invalid escape sequence"),
    (r"\C", "invalid escape sequence"),
    (r"\1", "invalid escape sequence"),
    (r"\x4", "invalid escape sequence"),
    (r"\x{110000}", "invalid escape sequence"),
    ("(?P<n", "invalid named capture"),
    ("(?P<a-b>x)", "invalid named capture"),
    ("(?P<n>a)(?<n>b)", "duplicate capture group name"),
    ("(?z)", "invalid or unsupported Perl syntax"),
    ("(?i-)a", "invalid or unsupported Perl syntax"),
    ("(?=a)", "invalid or unsupported Perl syntax"),
    ("(?!a)", "invalid or unsupported Perl syntax"),
    ("(?<=a)b", "invalid named capture"),
    ("[b-a]", "invalid character class range"),
    ("[[:foo:]]", "invalid character class range"),
    (r"\pX", "invalid character class range"),
    (r"\p{Klingon}", "invalid character class range"),
    (r"\p", "invalid character class range"),
]


@pytest.mark.parametrize(("pattern", "name", "expected"), MATCHES)
def test_matches_as_re2j(pattern, name, expected):
    assert Regex(pattern).matches(name) is expected


@pytest.mark.parametrize(("pattern", "message"), REFUSED)
def test_refuses_with_the_words_of_re2j(pattern, message):
    with pytest.raises(RegexError) as refused:
        Regex(pattern)
    assert str(refused.value) == message


@pytest.mark.parametrize(
    "pattern",
    [
        "(a*)*b",
        "(a|aa)*b",
        "(a+)+b",
        "(.*)*(.*)*(.*)*b",
        "(a|b|ab)*c",
        "(?:a?){50}a{50}b",
        "(a|b)*a(a|b){12}c",
    ],
)
def test_hostile_patterns_cost_no_more_than_name_times_program(pattern):
    regex = Regex(pattern)
    name = "a" * 249
    assert not regex.matches(name)
    assert regex.work <= len(name) * (len(regex._program) + 2)


@pytest.mark.parametrize(
    "pattern",
    [
        "((a{1000}){1000}){1000}",
        "(((){1000}){1000}){1000}",
        "a{0,1000}" * 11,
        "a" * 20_000,
        "(" * 300 + ")" * 300,
    ],
)
def test_programs_are_bounded(pattern):
    with pytest.raises(RegexError, match=r"expression (too large|nests too deeply)"):
        Regex(pattern)


def test_deep_nesting_is_served():
    depth = MAX_NESTING
    assert Regex("(" * depth + "a" + ")*" * depth).matches("aaa")


def test_remembered_states_are_bounded():
    regex = Regex("(a|b)*a(a|b){14}")
    for number in range(300):
        name = format(number * 2_654_435_761 % 2**40, "040b").replace("0", "a").replace("1", "b")
        assert regex.matches(name) is (name[-15] == "a")
    assert sum(len(pending) + 1 for pending, _ in regex._states) <= 100_000


_ATOMS = st.sampled_from(["a", "b", "c", "-", r"\.", ".", "[ab]", "[^a]", "[a-c]", r"\d", r"\w"])
_PATTERNS = st.recursive(
    _ATOMS,
    lambda inner: st.one_of(
        st.lists(inner, min_size=1, max_size=3).map("".join),
        st.lists(inner, min_size=1, max_size=3).map(lambda parts: f"(?:{'|'.join(parts)})"),
        st.tuples(inner, st.sampled_from(["*", "+", "?", "{2}", "{1,2}", "{0,}"])).map(
            lambda pair: f"(?:{pair[0]}){pair[1]}"
        ),
    ),
    max_leaves=8,
)


@settings(max_examples=200, deadline=None)
@given(_PATTERNS, st.lists(st.text("abc-.1", max_size=6), max_size=8))
def test_agrees_with_a_backtracking_engine(pattern, names):
    regex = Regex(pattern)
    for name in names:
        assert regex.matches(name) is (re.fullmatch(pattern, name) is not None)

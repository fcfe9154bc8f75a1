"""One key: text to value, bounds, and the way back."""

from __future__ import annotations

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pybroker.common.config import BROKER_KEYS, GROUP_KEYS, TOPIC_KEYS, ConfigKey, format_double, format_value
from pybroker.common.config.keys import parse_duration_ms
from pybroker.common.errors import ConfigError

INT = BROKER_KEYS["broker.id"]
LONG = BROKER_KEYS["log.retention.bytes"]
DOUBLE = BROKER_KEYS["log.cleaner.io.buffer.load.factor"]


def refusal(key: ConfigKey, text: str) -> str:
    with pytest.raises(ConfigError) as caught:
        key.parse(text)
    return str(caught.value)


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("0", 0),
        (" 7 ", 7),
        ("+5", 5),
        ("-5", -5),
        ("007", 7),
        ("-2147483648", -(1 << 31)),
        ("\t1\n", 1),
        ("٣", 3),
    ],
)
def test_integers_as_java_reads_them(text, value):
    assert INT.parse(text) == value


@pytest.mark.parametrize(
    "text", ["", " ", "abc", "1.0", "1_000", "0x10", "2147483648", "1e3", "²", "𝟑", "--1", "9" * 5000]
)
def test_what_java_does_not_read_as_an_integer(text):
    assert refusal(INT, text).endswith(": Not a number of type INT")


def test_longs_reach_further():
    assert LONG.parse("9223372036854775807") == (1 << 63) - 1
    assert refusal(LONG, "9223372036854775808").endswith("Not a number of type LONG")


@pytest.mark.parametrize(
    ("text", "value"),
    [("1e3", 1000.0), (".25", 0.25), ("5.", 5.0), ("1f", 1.0), ("2D", 2.0), ("-Infinity", -math.inf)],
)
def test_doubles_as_java_reads_them(text, value):
    assert DOUBLE.parse(text) == value


@pytest.mark.parametrize("text", ["", "inf", "nan", "1_0", "1e", "e5", "0x10", "1ff", "1" * 500])
def test_what_java_does_not_read_as_a_double(text):
    assert refusal(DOUBLE, text).endswith("Not a number of type DOUBLE")


@pytest.mark.parametrize(
    ("value", "text"),
    [
        (0.5, "0.5"),
        (0.0, "0.0"),
        (-0.0, "-0.0"),
        (1.0, "1.0"),
        (100.0, "100.0"),
        (9999999.0, "9999999.0"),
        (1e7, "1.0E7"),
        (12345678.9, "1.23456789E7"),
        (0.001, "0.001"),
        (0.00099, "9.9E-4"),
        (1e-5, "1.0E-5"),
        (1e20, "1.0E20"),
        (-2.5e22, "-2.5E22"),
        (1.7976931348623157e308, "1.7976931348623157E308"),
        (5e-324, "5.0E-324"),
        (math.inf, "Infinity"),
        (-math.inf, "-Infinity"),
        (math.nan, "NaN"),
    ],
)
def test_doubles_as_java_prints_them(value, text):
    # Java prints the smallest double as 4.9E-324: the shortest digits differ there only.
    assert format_double(value) == text


@given(st.floats(allow_nan=False))
def test_printed_doubles_read_back(value):
    assert DOUBLE.convert(format_double(value)) == value


@given(st.integers(-(1 << 63), (1 << 63) - 1))
def test_printed_longs_read_back(value):
    assert LONG.parse(format_value(value)) == value


@given(st.text(max_size=40))
def test_any_text_is_a_value_or_a_config_error(text):
    for key in (
        INT,
        LONG,
        DOUBLE,
        TOPIC_KEYS["preallocate"],
        TOPIC_KEYS["cleanup.policy"],
        TOPIC_KEYS["compression.type"],
    ):
        try:
            value = key.parse(text)
        except ConfigError:
            continue
        # What is accepted prints in a form that is accepted again and means the same.
        again = key.parse(format_value(value))
        assert again == value or (value != value and again != again)


def test_lists_lose_duplicates_and_blanks_and_refuse_empty_parts():
    policy = TOPIC_KEYS["cleanup.policy"]
    assert policy.parse(" compact , delete,delete") == ["compact", "delete"]
    assert policy.parse("") == []
    assert refusal(policy, ",delete") == "Configuration 'cleanup.policy' values must not be empty."
    assert format_value(["a", "b"]) == "a,b"


@pytest.mark.parametrize("text", ["", "*", "*,", "0:1", "0:1,", ",", "0:1,1:2"])
def test_throttled_replicas(text):
    TOPIC_KEYS["leader.replication.throttled.replicas"].parse(text)


@pytest.mark.parametrize("text", ["0", "a:b", "*,0:1", "-1:2", "0:1:2"])
def test_what_is_no_list_of_throttled_replicas(text):
    message = refusal(TOPIC_KEYS["leader.replication.throttled.replicas"], text)
    assert "must be the literal '*' or a list of replicas" in message


def test_choices_in_any_case():
    policy = BROKER_KEYS["group.consumer.migration.policy"]
    assert policy.parse("Upgrade") == "Upgrade"
    assert "(case insensitive)" in refusal(policy, "sideways")


@pytest.mark.parametrize(
    ("text", "milliseconds"),
    [
        ("PT1H", 3_600_000),
        ("P1D", 86_400_000),
        ("P1DT2H3M4.5S", 93_784_500),
        ("pt0.001s", 1),
        ("PT5S", 5000),
        ("P", None),
        ("PT", None),
        ("P1DT", None),
        ("PT-1H", None),
        ("-PT1H", None),
        ("1H", None),
        ("PT" + "9" * 100 + "S", None),
    ],
)
def test_durations(text, milliseconds):
    assert parse_duration_ms(text) == milliseconds


@pytest.mark.parametrize("text", ["earliest", "latest", "by_duration:PT1H"])
def test_offset_reset(text):
    assert GROUP_KEYS["share.auto.offset.reset"].parse(text) == text

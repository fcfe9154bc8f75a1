"""Java's SimpleDateFormat, in UTC and English: formatting and parsing.

In: a pattern such as `yyyy-MM-dd'T'HH:mm:ss.SSSZ`. Out: texts for moments and moments for texts. What must
hold: letters mean what they mean in Java; letters without a twin here (weeks) are refused when the pattern
is read.
"""

from __future__ import annotations

import datetime
import re
from typing import Final

from connect.api.errors import ConfigError, DataError

_MONTHS: Final = (
    "January", "February", "March", "April", "May", "June", "July", "August", "September", "October",
    "November", "December",
)  # fmt: skip
_DAYS: Final = ("Monday", "Tuesday", "Wednesday", "Thursday", "Friday", "Saturday", "Sunday")
_TOKEN: Final = re.compile(r"'((?:[^']|'')*)'|([a-zA-Z])\2*|([^a-zA-Z']+)", re.DOTALL)
_LETTERS: Final = "GyuMLdDEaHkKhmsSzZX"


class DateFormat:
    """ConfigError for a pattern that cannot be used."""

    def __init__(self, pattern: str) -> None:
        self.pattern = pattern
        # (letter, how often), or ("", text)
        self._parts: list[tuple[str, int | str]] = []
        at = 0
        while at < len(pattern):
            match = _TOKEN.match(pattern, at)
            if match is None:
                raise ConfigError(f"Unterminated quote in date format {pattern!r} at position {at}")
            if match[1] is not None:
                self._parts.append(("", match[1].replace("''", "'") or "'"))
            elif match[2] is not None:
                if match[2] not in _LETTERS:
                    raise ConfigError(
                        f"Illegal or unsupported pattern character '{match[2]}' in date format {pattern!r}"
                    )
                self._parts.append((match[2], len(match[0])))
            else:
                self._parts.append(("", match[3]))
            at = match.end()

    def format(self, moment: datetime.datetime) -> str:
        return "".join(
            str(count) if not letter else _format(letter, int(count), moment) for letter, count in self._parts
        )

    def parse(self, text: str) -> datetime.datetime:
        """An aware moment. DataError when the text does not follow the pattern."""
        fields: dict[str, int] = {}
        at = 0
        for index, (letter, count) in enumerate(self._parts):
            if not letter:
                literal = str(count)
                if not text.startswith(literal, at):
                    raise self._no_match(text, at)
                at += len(literal)
                continue
            # Numbers that touch the next number have exactly as many digits as the pattern says.
            touching = (
                index + 1 < len(self._parts)
                and self._parts[index + 1][0] in "yuMdDHkKhmsS"
                and (self._parts[index + 1][0] != "")
            )
            at = self._parse_one(letter, int(count), text, at, touching, fields)
        # Like Java, what comes after the pattern's end is not looked at.
        try:
            return _moment(fields)
        except (ValueError, OverflowError) as error:
            raise DataError(f"Could not parse timestamp: value ({text}) {error}") from error

    def _no_match(self, text: str, at: int) -> DataError:
        return DataError(
            f"Could not parse timestamp: value ({text}) does not match pattern ({self.pattern}) at {at}"
        )

    def _parse_one(
        self, letter: str, count: int, text: str, at: int, touching: bool, fields: dict[str, int]
    ) -> int:
        if letter in "ML" and count >= 3:
            return self._parse_name(_MONTHS, "M", 1, text, at, fields)
        if letter == "E":
            return self._parse_name(_DAYS, "E", 0, text, at, fields)
        if letter == "a":
            half = text[at : at + 2].upper()
            if half not in ("AM", "PM"):
                raise self._no_match(text, at)
            fields["a"] = half == "PM"
            return at + 2
        if letter == "G":
            if text[at : at + 2].upper() not in ("AD", "BC"):
                raise self._no_match(text, at)
            return at + 2
        if letter in "zZX":
            return self._parse_zone(text, at, fields)
        digits = re.compile(rf"[+-]?\d{{{count}}}" if touching else r"[+-]?\d{1,18}").match(text, at)
        if digits is None:
            raise self._no_match(text, at)
        value = int(digits[0])
        if letter == "y" and count <= 2 and len(digits[0]) == 2:
            value = _two_digit_year(value)
        fields[{"L": "M", "u": "y"}.get(letter, letter)] = value
        return digits.end()

    def _parse_name(
        self, names: tuple[str, ...], letter: str, first: int, text: str, at: int, fields: dict[str, int]
    ) -> int:
        lowered = text[at:].lower()
        for number, name in enumerate(names, first):
            for form in (name, name[:3]):
                if lowered.startswith(form.lower()):
                    fields[letter] = number
                    return at + len(form)
        raise self._no_match(text, at)

    def _parse_zone(self, text: str, at: int, fields: dict[str, int]) -> int:
        match = re.compile(r"(?:GMT|UTC)?([+-])(\d\d):?(\d\d)?|Z|GMT|UTC").match(text, at)
        if match is None:
            raise self._no_match(text, at)
        if match[1]:
            minutes = int(match[2]) * 60 + int(match[3] or 0)
            fields["zone"] = minutes if match[1] == "+" else -minutes
        else:
            fields["zone"] = 0
        return match.end()


def _two_digit_year(value: int) -> int:
    """Within 80 years before and 20 years after today, as Java has it."""
    year = datetime.datetime.now(datetime.UTC).year
    start = year - 80
    candidate = start - start % 100 + value
    return candidate if candidate >= start else candidate + 100


def _moment(fields: dict[str, int]) -> datetime.datetime:
    hour = fields.get("H")
    if hour is None and "k" in fields:
        hour = fields["k"] % 24
    if hour is None and ("h" in fields or "K" in fields):
        hour = fields["h"] % 12 if "h" in fields else fields["K"]
        hour += 12 * fields.get("a", 0)
    year = fields.get("y", 1970)
    month = fields.get("M", 1)
    # Java is lenient: the 32nd of January is the 1st of February.
    years, month_index = divmod(month - 1, 12)
    moment = datetime.datetime(year + years, month_index + 1, 1, tzinfo=datetime.UTC)
    day = fields["D"] - 1 if "D" in fields and "d" not in fields else fields.get("d", 1) - 1
    return moment + datetime.timedelta(
        days=day,
        hours=hour or 0,
        minutes=fields.get("m", 0) - fields.get("zone", 0),
        seconds=fields.get("s", 0),
        milliseconds=fields.get("S", 0),
    )


def _format(letter: str, count: int, moment: datetime.datetime) -> str:
    if letter in "yu" and letter == "y":
        return f"{moment.year % 100:02d}" if count == 2 else f"{moment.year:0{count}d}"
    if letter in "ML":
        if count >= 4:
            return _MONTHS[moment.month - 1]
        return _MONTHS[moment.month - 1][:3] if count == 3 else f"{moment.month:0{count}d}"
    if letter == "E":
        name = _DAYS[moment.weekday()]
        return name if count >= 4 else name[:3]
    if letter == "a":
        return "PM" if moment.hour >= 12 else "AM"
    if letter == "G":
        return "AD"
    if letter == "z":
        return "UTC"
    if letter == "Z":
        return "+0000"
    if letter == "X":
        return "Z"
    number = {
        "d": moment.day,
        "D": moment.timetuple().tm_yday,
        "u": moment.isoweekday(),
        "H": moment.hour,
        "k": moment.hour or 24,
        "K": moment.hour % 12,
        "h": moment.hour % 12 or 12,
        "m": moment.minute,
        "s": moment.second,
        "S": moment.microsecond // 1000,
    }[letter]
    return f"{number:0{count}d}"

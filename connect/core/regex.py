"""Java's regular expressions in Python's: translated where they differ, refused where they cannot be.

In: the text of a java.util.regex pattern or replacement. Out: a compiled pattern, or the replacement as a
function of the match. What must hold: a pattern that is accepted means what it means in Java; what has no
twin in Python is a `JavaRegexError` with its position.
"""

from __future__ import annotations

import re
from typing import Final

_POSIX: Final = {
    "Alpha": "a-zA-Z",
    "Digit": "0-9",
    "Alnum": "a-zA-Z0-9",
    "Upper": "A-Z",
    "Lower": "a-z",
    "Punct": "!-/:-@\\[-`{-~",
    "Space": " \\t\\n\\x0b\\f\\r",
    "XDigit": "0-9a-fA-F",
    "Blank": " \\t",
    "Cntrl": "\\x00-\\x1f\\x7f",
    "Graph": "!-~",
    "Print": " -~",
    "ASCII": "\\x00-\\x7f",
}
# Java's \d, \w and \s know ASCII only; \h is horizontal white space, \R any line break.
_PLAIN: Final = {"d": "0-9", "w": "a-zA-Z0-9_", "s": " \\t\\n\\x0b\\f\\r", "h": " \\t\\xa0"}


class JavaRegexError(ValueError):
    """The pattern is broken, or cannot be expressed here."""


def compile_java(pattern: str) -> re.Pattern[str]:
    try:
        return re.compile(translate(pattern))
    except (re.error, OverflowError, RecursionError) as error:
        raise JavaRegexError(f"{error} in {pattern!r}") from None


def translate(pattern: str) -> str:
    """The pattern in Python's notation. JavaRegexError with the position of what has no twin."""
    result: list[str] = []
    at = 0
    in_class = 0
    while at < len(pattern):
        char = pattern[at]
        if char == "\\":
            text, at = _escape(pattern, at, in_class > 0)
            result.append(text)
            continue
        if in_class:
            if char == "[":
                raise JavaRegexError(f"Unions of character classes are not supported, near index {at}")
            if pattern.startswith("&&", at):
                raise JavaRegexError(f"Intersections of character classes are not supported, near index {at}")
            if char == "]":
                in_class -= 1
        elif char == "[":
            in_class += 1
            if pattern.startswith("[^", at):
                result.append("[^")
                at += 2
                continue
        elif pattern.startswith("(?<", at) and pattern[at + 3 : at + 4] not in ("=", "!", ""):
            result.append("(?P<")
            at += 3
            continue
        result.append(char)
        at += 1
    if in_class:
        raise JavaRegexError(f"Unclosed character class near index {len(pattern) - 1}")
    return "".join(result)


def _escape(pattern: str, at: int, in_class: bool) -> tuple[str, int]:
    """What the escape at a position becomes, and where it ends."""
    if at + 1 >= len(pattern):
        raise JavaRegexError(f"Unexpected internal error near index {at}: the pattern ends with a backslash")
    char = pattern[at + 1]
    if char == "Q":
        end = pattern.find("\\E", at + 2)
        quoted = pattern[at + 2 : end if end >= 0 else len(pattern)]
        return re.escape(quoted), end + 2 if end >= 0 else len(pattern)
    if char in "pP":
        match = re.compile(r"\\[pP](?:\{(\w+)\}|(\w))").match(pattern, at)
        inner = _POSIX.get(match[1] or match[2]) if match is not None else None
        if match is None or inner is None:
            raise JavaRegexError(f"Unknown or unsupported character property near index {at}")
        if in_class:
            if char == "P":
                raise JavaRegexError(f"Negated properties inside a class are not supported, near index {at}")
            return inner, match.end()
        return f"[{'^' if char == 'P' else ''}{inner}]", match.end()
    if char in _PLAIN:
        return (_PLAIN[char] if in_class else f"[{_PLAIN[char]}]"), at + 2
    if char.lower() in _PLAIN and char.isupper():
        if in_class:
            raise JavaRegexError(f"Negated classes inside a class are not supported, near index {at}")
        return f"[^{_PLAIN[char.lower()]}]", at + 2
    if char == "k":
        match = re.compile(r"\\k<(\w+)>").match(pattern, at)
        if match is None:
            raise JavaRegexError(f"\\k is not followed by '<' for named capturing group near index {at}")
        return f"(?P={match[1]})", match.end()
    if char == "z":
        return "\\Z", at + 2
    if char == "Z":
        return "(?=\\n?\\Z)", at + 2
    if char == "R":
        return "(?:\\r\\n|[\\n\\x0b\\f\\r\\x85\\u2028\\u2029])", at + 2
    if char == "e":
        return "\\x1b", at + 2
    if char.isalpha() and char not in "tnrfabBAxu":
        raise JavaRegexError(f"Illegal/unsupported escape sequence near index {at}")
    return pattern[at : at + 2], at + 2


_REFERENCE: Final = re.compile(r"\\(.)|\$\{(\w+)\}|\$(\d)|([\\$])", re.DOTALL)


def expand(replacement: str, match: re.Match[str]) -> str:
    """A Java replacement (`$1`, `${name}`, `\\$`) filled from a match. JavaRegexError for a bad reference."""
    groups = match.re.groups

    def fill(part: re.Match[str]) -> str:
        if part[1] is not None:
            return part[1]
        if part[4] is not None:
            raise JavaRegexError(f"Illegal group reference in {replacement!r} at {part.start()}")
        try:
            return match[part[2] if part[2] is not None else int(part[3])] or ""
        except IndexError:
            raise JavaRegexError(
                f"No group {part[2] or part[3]} in the pattern, which has {groups}"
            ) from None

    return _REFERENCE.sub(fill, replacement)

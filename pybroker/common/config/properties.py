"""Java's properties format, as `server.properties` is written.

In: text. Out: names and values in the order of the file; a later line wins. What must hold: the same result
as java.util.Properties.load for any text, except that a malformed \\uXXXX is a ConfigError with its line.
"""

from __future__ import annotations

from collections.abc import Iterator

from pybroker.common.errors import ConfigError

_BLANK = " \t\f"
_ESCAPES = {"t": "\t", "n": "\n", "r": "\r", "f": "\f"}


def parse_properties(text: str) -> dict[str, str]:
    """Names and values. Values keep trailing blanks, as in Java; leading ones are dropped."""
    properties: dict[str, str] = {}
    for number, line in _logical_lines(text):
        key, value = _split(line)
        properties[_unescape(key, number)] = _unescape(value, number)
    return properties


def _logical_lines(text: str) -> Iterator[tuple[int, str]]:
    """Lines without comments and blank ones, continuations joined; with the number of their first line."""
    # Only these end a line for Java: str.splitlines knows many more.
    lines = iter(enumerate(text.replace("\r\n", "\n").replace("\r", "\n").split("\n"), 1))
    for number, line in lines:
        line = line.lstrip(_BLANK)
        if not line or line[0] in "#!":
            continue
        parts = []
        while _is_continued(line):
            parts.append(line[:-1])
            following = next(lines, None)
            if following is None:
                line = ""
                break
            line = following[1].lstrip(_BLANK)
        parts.append(line)
        yield number, "".join(parts)


def _is_continued(line: str) -> bool:
    """Whether the line ends in an odd number of backslashes."""
    return (len(line) - len(line.rstrip("\\"))) % 2 == 1


def _split(line: str) -> tuple[str, str]:
    """Key and value, still escaped: the key ends at the first bare "=", ":" or blank."""
    position = 0
    while position < len(line) and line[position] not in "=: \t\f":
        position += 2 if line[position] == "\\" else 1
    position = min(position, len(line))
    key, rest = line[:position], line[position:].lstrip(_BLANK)
    if rest[:1] in ("=", ":"):
        rest = rest[1:].lstrip(_BLANK)
    return key, rest


def _unescape(text: str, line_number: int) -> str:
    if "\\" not in text:
        return text
    result = []
    position = 0
    while position < len(text):
        character = text[position]
        position += 1
        if character != "\\":
            result.append(character)
            continue
        if position == len(text):
            break
        character = text[position]
        position += 1
        if character == "u":
            digits = text[position : position + 4]
            if len(digits) != 4 or not set(digits) <= set("0123456789abcdefABCDEF"):
                raise ConfigError(f"line {line_number}: \\u must be followed by four hexadecimal digits")
            result.append(chr(int(digits, 16)))
            position += 4
        else:
            result.append(_ESCAPES.get(character, character))
    return _join_surrogates("".join(result))


def _join_surrogates(text: str) -> str:
    """Java writes a character beyond 16 bits as two escapes; a lone half becomes a replacement character."""
    if not any("\ud800" <= character <= "\udfff" for character in text):
        return text
    return text.encode("utf-16", "surrogatepass").decode("utf-16", "replace")

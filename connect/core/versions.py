"""Versions of plug-ins and the requirements that configurations state about them (KIP-891).

In: a version such as `4.3.0` and a requirement: a version (meaning exactly that one), a range in Maven's
notation (`[4.0,5.0)`, `(,4.2)`) or `latest`. Out: whether the one meets the other.
"""

from __future__ import annotations

import re

from connect.api.errors import ConfigError

_RANGE = re.compile(r"([\[(])\s*([^,\[\]()]*?)\s*(?:(,)\s*([^,\[\]()]*?)\s*)?([\])])")


def _key(version: str) -> list[tuple[int, int, str]]:
    parts = re.findall(r"\d+|[a-zA-Z]+", version)
    numbers = [(1, int(part), "") if part.isdigit() else (0, 0, part.lower()) for part in parts]
    while numbers and numbers[-1] == (1, 0, ""):
        numbers.pop()
    return numbers


def check_requirement(requirement: str | None) -> None:
    """ConfigError when the requirement cannot be read."""
    meets("0", requirement)


def meets(version: str, requirement: str | None) -> bool:
    if requirement is None or requirement.strip() in ("", "latest"):
        return True
    text = requirement.strip()
    if text[0] not in "[(":
        return _key(version) == _key(text)
    at = 0
    met = False
    while at < len(text):
        match = _RANGE.match(text, at)
        if match is None or (match[3] is None and (match[1], match[5]) != ("[", "]")):
            raise ConfigError(f"Invalid version range {requirement!r} at position {at}")
        low, high = match[2], match[4] if match[3] else match[2]
        known = _key(version)
        above = not low or (known >= _key(low) if match[1] == "[" else known > _key(low))
        below = not high or (known <= _key(high) if match[5] == "]" else known < _key(high))
        met = met or (above and below)
        at = match.end()
        if at < len(text):
            if text[at] != ",":
                raise ConfigError(f"Invalid version range {requirement!r} at position {at}")
            at += 1
    return met

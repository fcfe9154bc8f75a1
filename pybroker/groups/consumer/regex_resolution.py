"""Finding the topics that regular expressions match, a bounded piece at a time.

In: patterns and the names of all topics as of one metadata image. Out: `ResolvedRegex` for each pattern, once
`advance` says so. What must hold: one call does a bounded amount of work; a pattern that costs more than
`MAX_WORK` keeps what it had matched before, so that a hostile one cannot keep the broker busy.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Final

from pybroker.groups.consumer.records import NEVER_RESOLVED, ResolvedRegex
from pybroker.groups.regex import Regex, RegexError

MAX_WORK: Final = 20_000_000
"""Instructions and characters of all names for one pattern: seconds, in pieces."""
_SLICE_WORK: Final = 20_000
"""The same for one piece: a few milliseconds."""


class Resolution:
    """One refresh of the regular expressions of one group."""

    __slots__ = (
        "_before",
        "_matched",
        "_name_index",
        "_names",
        "_pending",
        "_regex",
        "_timestamp",
        "_version",
    )

    def __init__(
        self,
        before: Mapping[str, ResolvedRegex],
        patterns: Iterable[str],
        names: list[str],
        version: int,
        timestamp: int,
    ) -> None:
        """`before`: what patterns matched last time; `version`: the offset of the image that has `names`."""
        self._before = before
        self._pending = list(patterns)
        self._names = names
        self._version = version
        self._timestamp = timestamp
        self._matched: dict[str, list[str]] = {pattern: [] for pattern in self._pending}
        self._regex: Regex | None = None
        self._name_index = 0

    def advance(self) -> bool:
        """Do a piece of the work; whether all is done."""
        budget = _SLICE_WORK
        while self._pending and budget > 0:
            pattern = self._pending[-1]
            if self._regex is None:
                try:
                    self._regex = Regex(pattern)
                except RegexError:
                    # From a record of a broker with another engine: it matches nothing, as in Kafka.
                    self._pending.pop()
                    continue
                self._name_index = 0
                budget -= len(pattern)
            budget = self._match_some(self._regex, pattern, budget)
            if self._name_index >= len(self._names):
                self._pending.pop()
                self._regex = None
        return not self._pending

    def _match_some(self, regex: Regex, pattern: str, budget: int) -> int:
        names, matched, index = self._names, self._matched[pattern], self._name_index
        while index < len(names) and budget > 0:
            before = regex.work
            if regex.matches(names[index]):
                matched.append(names[index])
            budget -= regex.work - before
            index += 1
            if regex.work > MAX_WORK:
                matched[:] = self._before.get(pattern, NEVER_RESOLVED).topics
                index = len(names)
        self._name_index = index
        return budget

    def result(self) -> dict[str, ResolvedRegex]:
        """What every pattern matches."""
        return {
            pattern: ResolvedRegex(frozenset(matched), self._version, self._timestamp)
            for pattern, matched in self._matched.items()
        }

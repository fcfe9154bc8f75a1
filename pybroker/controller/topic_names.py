"""Names of topics: which are legal, which are internal, which collide.

In: a name. Out: what is wrong with it, in Kafka's words. What must hold: a name that passes here is safe as
part of a directory name.
"""

from __future__ import annotations

import re
from typing import Final

CLUSTER_METADATA: Final = "__cluster_metadata"
CONSUMER_OFFSETS: Final = "__consumer_offsets"
TRANSACTION_STATE: Final = "__transaction_state"
SHARE_GROUP_STATE: Final = "__share_group_state"

INTERNAL_TOPICS: Final = frozenset({CONSUMER_OFFSETS, TRANSACTION_STATE, SHARE_GROUP_STATE})
"""Topics that Metadata marks as internal."""

MAX_NAME_LENGTH: Final = 249
_LEGAL: Final = re.compile(r"[a-zA-Z0-9._-]+", re.ASCII)


def topic_name_problem(name: str) -> str | None:
    """Why a name is illegal, as Kafka says it; None for a legal one."""
    if _LEGAL.fullmatch(name) and len(name) <= MAX_NAME_LENGTH and name not in (".", ".."):
        return None
    if not name:
        problem = "the empty string is not allowed"
    elif name in (".", ".."):
        problem = f"'{name}' is not allowed"
    elif len(name) > MAX_NAME_LENGTH:
        problem = f"the length of '{name}' is longer than the max allowed length {MAX_NAME_LENGTH}"
    else:
        problem = f"'{name}' contains one or more characters other than ASCII alphanumerics, '.', '_' and '-'"
    return f"Topic name is invalid: {problem}"


def collision_key(name: str) -> str | None:
    """What names must not share, because metric names hold both "." and "_" as "_"; None: cannot collide."""
    if "." in name:
        return name.replace(".", "_")
    return name if "_" in name else None


class CollisionIndex:
    """The topics that could collide with a new one, by collision key."""

    __slots__ = ("_names",)

    def __init__(self) -> None:
        self._names: dict[str, dict[str, None]] = {}

    def add(self, name: str) -> None:
        key = collision_key(name)
        if key is not None:
            self._names.setdefault(key, {})[name] = None

    def discard(self, name: str) -> None:
        key = collision_key(name)
        if key is not None and (names := self._names.get(key)) is not None:
            names.pop(name, None)
            if not names:
                del self._names[key]

    def colliding(self, name: str) -> str | None:
        """An existing topic that forbids the name; None when it is free, or is itself an existing topic."""
        key = collision_key(name)
        names = self._names.get(key) if key is not None else None
        return None if not names or name in names else next(iter(names))

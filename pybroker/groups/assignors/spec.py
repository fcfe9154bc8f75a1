"""What an assignor is given.

In: nothing. Out: `MemberSpec`, `GroupSpec`. What must hold: topics are ids (16 bytes) that exist, so each has
a partition count; nobody changes a spec or the mappings in it.
"""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType
from typing import Final, NamedTuple

Target = Mapping[bytes, frozenset[int]]
"""Topic id to partitions. Topics without partitions do not appear."""


NO_PARTITIONS: Final[Target] = MappingProxyType({})


class MemberSpec(NamedTuple):
    """A member as the assignors see it."""

    topics: frozenset[bytes]
    """Ids of the topics it subscribes to, by name or by regular expression."""
    target: Target = NO_PARTITIONS
    """What it was given by the last assignment; may hold topics that it no longer subscribes to."""
    instance_id: str | None = None


class GroupSpec(NamedTuple):
    """A group as the assignors see it."""

    members: Mapping[str, MemberSpec]
    """By member id."""
    partition_counts: Mapping[bytes, int]
    """Of every topic that a member subscribes to."""

    @property
    def homogeneous(self) -> bool:
        """Whether all members subscribe to the same topics."""
        topics: frozenset[bytes] | None = None
        for member in self.members.values():
            if topics is None:
                topics = member.topics
            elif member.topics is not topics and member.topics != topics:
                return False
        return True

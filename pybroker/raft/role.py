"""The roles of a member of the quorum, with Kafka's names."""

from __future__ import annotations

from enum import Enum


class Role(Enum):
    """An observer is UNATTACHED or FOLLOWER, unless it leads until its removal is committed."""

    UNATTACHED = "unattached"
    PROSPECTIVE = "prospective"
    CANDIDATE = "candidate"
    FOLLOWER = "follower"
    LEADER = "leader"
    RESIGNED = "resigned"

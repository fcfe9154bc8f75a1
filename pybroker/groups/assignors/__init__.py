"""The server-side assignors of KIP-848: who of a group gets which partitions.

In: a `GroupSpec` (members with subscriptions and their present target, partition counts). Out: the new target
of every member. What must hold: pure functions of their argument; every partition of a subscribed topic has
exactly one owner, who subscribes to the topic; the order of nothing depends on a hash.

As in Kafka 4.3.0, neither assignor looks at racks: a member's rack is kept and shown, and racks of partitions
count in the metadata hash, but they do not move partitions.

A further assignor is a module with one function and a row in `ASSIGNORS`; `group.consumer.assignors` names
the ones a broker offers.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Final

from pybroker.groups.assignors.range import assign_range
from pybroker.groups.assignors.spec import GroupSpec, MemberSpec, Target
from pybroker.groups.assignors.uniform import assign_uniform

__all__ = ["ASSIGNORS", "Assignor", "GroupSpec", "MemberSpec", "Target"]

Assignor = Callable[[GroupSpec], dict[str, Target]]

ASSIGNORS: Final[dict[str, Assignor]] = {"uniform": assign_uniform, "range": assign_range}
"""Name, as in `group.consumer.assignors`, to function."""

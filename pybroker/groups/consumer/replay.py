"""From the records of consumer groups to their state.

In: keys and values of record types 3 to 8 and 16, in log order. Out: changed `ConsumerGroup`s in the shard's
table. What must hold: the only place where hard state of a consumer group changes; a record that contradicts
what is there is refused with CorruptionError, which skips it while loading.
"""

from __future__ import annotations

from typing import Any, Final

from pybroker.common.errors import CorruptionError
from pybroker.groups.classic.group import ClassicGroup
from pybroker.groups.consumer import records
from pybroker.groups.consumer.group import ConsumerGroup
from pybroker.groups.consumer.member import LEAVING, NO_EPOCHS, ConsumerMember
from pybroker.groups.group import Group
from pybroker.wire.schemas import coordinator_record_types as types

Groups = dict[str, Group]

GROUP_EPOCH: Final = 3
PARTITION_METADATA: Final = 4
SUBSCRIPTION: Final = 5
TARGET_EPOCH: Final = 6
TARGET: Final = 7
CURRENT: Final = 8
REGEX: Final = 16
RECORD_TYPES: Final = (GROUP_EPOCH, PARTITION_METADATA, SUBSCRIPTION, TARGET_EPOCH, TARGET, CURRENT, REGEX)


def replay(groups: Groups, number: int, key: Any, value: Any) -> None:
    """Apply one record of a consumer group; a value of None is a tombstone."""
    group = _group(groups, key.group_id, create=value is not None)
    if group is not None:
        _REPLAY[number](groups, group, key, value)


def _group(groups: Groups, group_id: str, *, create: bool) -> ConsumerGroup | None:
    group = groups.get(group_id)
    if isinstance(group, ConsumerGroup):
        return group
    if group is None or (isinstance(group, ClassicGroup) and group.is_simple):
        if not create:
            return None
        # Offsets may come before the group that committed them.
        made = groups[group_id] = ConsumerGroup(group_id)
        return made
    raise CorruptionError(f"group {group_id} is not a consumer group")


def _group_epoch(
    groups: Groups, group: ConsumerGroup, key: object, value: types.ConsumerGroupMetadataValue | None
) -> None:
    if value is None:
        del groups[group.group_id]
    else:
        group.epoch, group.metadata_hash = value.epoch, value.metadata_hash


def _partition_metadata(groups: Groups, group: ConsumerGroup, key: object, value: object | None) -> None:
    group.has_partition_metadata_record = value is not None


def _subscription(
    groups: Groups,
    group: ConsumerGroup,
    key: types.ConsumerGroupMemberMetadataKey,
    value: types.ConsumerGroupMemberMetadataValue | None,
) -> None:
    if value is None:
        group.drop_member(key.member_id)
    else:
        group.put_member(records.with_subscription(_member(group, key.member_id), value))


def _target_epoch(
    groups: Groups,
    group: ConsumerGroup,
    key: object,
    value: types.ConsumerGroupTargetAssignmentMetadataValue | None,
) -> None:
    if value is None:
        group.target_epoch, group.target_timestamp = -1, 0
    else:
        group.target_epoch, group.target_timestamp = value.assignment_epoch, value.assignment_timestamp


def _target(
    groups: Groups,
    group: ConsumerGroup,
    key: types.ConsumerGroupTargetAssignmentMemberKey,
    value: types.ConsumerGroupTargetAssignmentMemberValue | None,
) -> None:
    if value is None:
        group.targets.pop(key.member_id, None)
    else:
        group.targets[key.member_id] = records.read_target(value)


def _current(
    groups: Groups,
    group: ConsumerGroup,
    key: types.ConsumerGroupCurrentMemberAssignmentKey,
    value: types.ConsumerGroupCurrentMemberAssignmentValue | None,
) -> None:
    if value is not None:
        group.put_member(records.with_current(_member(group, key.member_id), value))
        return
    member = group.members.get(key.member_id)
    if member is not None:
        group.put_member(
            member._replace(
                member_epoch=LEAVING, previous_member_epoch=LEAVING, assigned=NO_EPOCHS, revoking=NO_EPOCHS
            )
        )


def _regex(
    groups: Groups,
    group: ConsumerGroup,
    key: types.ConsumerGroupRegularExpressionKey,
    value: types.ConsumerGroupRegularExpressionValue | None,
) -> None:
    group.put_regex(key.regular_expression, None if value is None else records.read_regex(value))


def _member(group: ConsumerGroup, member_id: str) -> ConsumerMember:
    return group.members.get(member_id) or ConsumerMember(member_id)


_REPLAY: Final[dict[int, Any]] = {
    GROUP_EPOCH: _group_epoch,
    PARTITION_METADATA: _partition_metadata,
    SUBSCRIPTION: _subscription,
    TARGET_EPOCH: _target_epoch,
    TARGET: _target,
    CURRENT: _current,
    REGEX: _regex,
}

"""The hand-written encoder of offset commits against the compiled codec."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pybroker.wire.fast import offset_commit_record as fast
from pybroker.wire.message import ZERO_UUID
from pybroker.wire.schemas.coordinator_record_types import OffsetCommitKey, OffsetCommitValue
from pybroker.wire.schemas.coordinator_records import decode_key, decode_value, encode_key, encode_value

NAMES = st.text(st.characters(exclude_categories=["Cs"]), max_size=300)
INT64 = st.integers(-(2**63), 2**63 - 1)
INT32 = st.integers(-(2**31), 2**31 - 1)


@given(NAMES, NAMES, INT32)
def test_keys(group, topic, partition):
    key = fast.encode_key(fast.key_prefix(group, topic), partition)
    assert key == encode_key(OffsetCommitKey(group=group, topic=topic, partition=partition))
    decoded = decode_key(key)
    assert (decoded.group, decoded.topic, decoded.partition) == (group, topic, partition)


@given(INT64, INT32, NAMES, INT64, st.one_of(st.just(ZERO_UUID), st.binary(min_size=16, max_size=16)))
def test_values(offset, epoch, metadata, timestamp, topic_id):
    value = fast.encode_value(offset, epoch, metadata, timestamp, topic_id)
    assert value == encode_value(
        OffsetCommitValue(
            offset=offset,
            leader_epoch=epoch,
            metadata=metadata,
            commit_timestamp=timestamp,
            topic_id=topic_id,
        )
    )
    decoded = decode_value(1, value)
    assert (decoded.offset, decoded.leader_epoch, decoded.metadata) == (offset, epoch, metadata)
    assert (decoded.commit_timestamp, decoded.topic_id) == (timestamp, topic_id)


def test_names_that_do_not_fit():
    with pytest.raises(ValueError, match="32768 bytes"):
        fast.key_prefix("x" * 32768, "t")

"""SharedMap: every version reads as if it had a dict of its own, whatever was derived from it."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pybroker.metadata.shared_map import REMOVED, SharedMap

changes = st.dictionaries(st.integers(0, 6), st.one_of(st.integers(0, 99), st.just(REMOVED)), max_size=4)


def apply(model, change):
    result = dict(model)
    for key, value in change.items():
        if value is REMOVED:
            result.pop(key, None)
        else:
            result[key] = value
    return result


@given(
    st.dictionaries(st.integers(0, 6), st.integers(0, 99)),
    st.lists(st.tuples(st.integers(0, 20), changes), max_size=12),
    st.randoms(use_true_random=False),
)
def test_all_versions_read_like_dicts(start, steps, rng):
    versions = [(SharedMap(start), dict(start))]
    for parent, change in steps:
        # Mostly from the newest, sometimes a branch from an old one.
        shared, model = versions[-1] if parent < 15 else versions[parent % len(versions)]
        versions.append((shared.changed(change), apply(model, change)))
        rng.shuffle(probes := list(versions))
        for some, expected in probes[:3]:
            key = rng.randrange(8)
            assert some.get(key) == expected.get(key)
    for shared, model in versions:
        assert dict(shared.items()) == model
        assert len(shared) == len(model)
        assert sorted(shared) == sorted(model)
        for key in range(8):
            assert (key in shared) == (key in model)
            assert shared.get(key, "no") == model.get(key, "no")
        assert shared == model


def test_missing_key():
    old = SharedMap({"a": 1})
    new = old.changed({"a": REMOVED, "b": 2})
    assert old["a"] == 1
    assert new["b"] == 2
    for shared, key in ((old, "b"), (new, "a")):
        with pytest.raises(KeyError):
            shared[key]


def test_newest_keeps_insertion_order_and_no_change_is_the_same_object():
    shared = SharedMap({"b": 1}).changed({"a": 2}).changed({"c": 3})
    assert list(shared) == ["b", "a", "c"]
    assert shared.changed({}) is shared


def test_old_versions_do_not_hold_up_new_ones():
    """Old versions point to newer ones and never the other way, so dropping them frees them."""
    newest = SharedMap({0: 0})
    for number in range(1000):
        newest = newest.changed({number: number})
    assert newest._newer is None
    oldest = SharedMap({0: "x"})
    version = oldest
    for number in range(50):
        version = version.changed({number: number})
    assert oldest[0] == "x"
    assert oldest._newer is version  # the path to the newest was shortened by the read

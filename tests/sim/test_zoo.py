"""Every bug of the zoo is caught by a few schedules of the explorer."""

from __future__ import annotations

import pytest

from tests.sim import cluster_zoo, replication_zoo
from tests.sim.zoo import COMPACTION, RUNS_MAX, ZOO, runs_to_catch


@pytest.mark.parametrize("name", ZOO)
def test_it_is_caught(name):
    runs = runs_to_catch(name)
    assert runs is not None
    assert runs <= RUNS_MAX


def test_what_the_other_bugs_replace_is_there():
    """`make zoo` runs them."""
    patches = [*COMPACTION.values(), *replication_zoo.ZOO.values()]
    patches += [bug.patch for bug in cluster_zoo.ZOO.values()]
    for put_in in patches:
        with pytest.MonkeyPatch.context() as patch:
            put_in(patch)

"""Every bug of the zoo is caught by a few schedules of the explorer."""

from __future__ import annotations

import pytest

from tests.sim.zoo import RUNS_MAX, ZOO, runs_to_catch


@pytest.mark.parametrize("name", ZOO)
def test_it_is_caught(name):
    runs = runs_to_catch(name)
    assert runs is not None
    assert runs <= RUNS_MAX

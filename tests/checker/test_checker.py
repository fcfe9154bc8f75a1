"""Public seeds of the checker, each for a short time; `make checker SEED=... MINUTES=...` runs longer ones.

Seeds that are divisible by three run with `pybroker.durability=fsync`.
"""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from tests.checker.__main__ import check

SECONDS = float(os.environ.get("PYBROKER_CHECKER_SECONDS", "10"))


@pytest.mark.slow
@pytest.mark.timeout(SECONDS + 260)
@pytest.mark.parametrize(("seed", "transactional"), [(1, True), (2, False), (3, True)])
def test_no_anomaly(tmp_path: Path, seed: int, transactional: bool) -> None:
    assert check(tmp_path, seed, SECONDS, transactional=transactional) == {}

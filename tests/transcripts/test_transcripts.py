"""Every transcript brings what stands in it."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.transcripts.script import play

TRANSCRIPTS = sorted(Path(__file__).parent.glob("*.txt"))


@pytest.mark.parametrize("path", TRANSCRIPTS, ids=lambda path: path.stem)
def test_transcript(path: Path) -> None:
    expected = path.read_text()
    assert play(expected) == expected

"""Write what the commands of all transcripts bring today into the files."""

from __future__ import annotations

from pathlib import Path

from tests.transcripts.script import play

for path in sorted(Path(__file__).parent.glob("*.txt")):
    path.write_text(play(path.read_text()))

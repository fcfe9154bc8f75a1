"""`python -m connect` is `pybroker-connect`."""

from __future__ import annotations

from connect.cli import main

main()

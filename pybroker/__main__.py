"""`python -m pybroker`: the command line."""

from __future__ import annotations

from pybroker.cli import main

main(prog_name="pybroker")

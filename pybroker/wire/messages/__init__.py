"""One module per API, written by `tools/generate_wire.py`: typed classes with their field tables."""

from __future__ import annotations

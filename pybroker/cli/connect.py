"""`pybroker connect standalone|distributed`: the Connect worker, the same as `pybroker-connect`."""

from __future__ import annotations

from connect.cli import main as connect

__all__ = ["connect"]

"""The default principal, as Envelope requests carry it.

Written by `tools/generate_wire.py`: change that, not this.
"""

# ruff: noqa: RUF023 (slots are in wire order)
from __future__ import annotations

from pybroker.wire.message import Message


class DefaultPrincipalData(Message):
    """Version 0, flexible from 0."""

    __slots__ = ("type_", "name", "token_authenticated")
    VERSIONS = (0, 0)
    FLEXIBLE_FROM = 0
    FIELDS = (
        ("type_", "string", 0, 0, -1, -1, ""),
        ("name", "string", 0, 0, -1, -1, ""),
        ("token_authenticated", "bool", 0, 0, -1, -1, False),
    )

    def __init__(
        self,
        *,
        type_: str = "",
        name: str = "",
        token_authenticated: bool = False,
    ) -> None:
        self.type_ = type_
        self.name = name
        self.token_authenticated = token_authenticated

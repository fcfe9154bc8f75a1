"""The mayor: decides every change of the cluster's metadata. Decisions go out as records."""

from __future__ import annotations

from pybroker.controller.controller import Controller, ControllerSettings

__all__ = ["Controller", "ControllerSettings"]

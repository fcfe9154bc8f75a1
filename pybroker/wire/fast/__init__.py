"""Hand-written codecs of Produce and Fetch. Each has the generated codec as its plain twin."""

from __future__ import annotations

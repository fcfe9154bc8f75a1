"""docs/configuration.md follows from the tables."""

from __future__ import annotations

from pathlib import Path

from pybroker.common.config import BROKER_KEYS, GROUP_KEYS, PYBROKER_KEYS, TOPIC_KEYS
from tools.generate_docs import configuration_page, protocol_page

DOCS = Path(__file__).resolve().parents[3] / "docs"


def test_the_committed_page_is_fresh():
    assert (DOCS / "configuration.md").read_text(encoding="utf-8") == configuration_page(), "run `make docs`"


def test_every_name_has_a_row():
    page = configuration_page()
    for name in (*BROKER_KEYS, *TOPIC_KEYS, *GROUP_KEYS, *PYBROKER_KEYS):
        assert f"\n| {name} |" in page


def test_every_served_api_has_a_section():
    page = protocol_page()
    assert "## DescribeConfigs" in page
    assert "| 32 | DescribeConfigs | 1-4 | 4 | yes |" in page

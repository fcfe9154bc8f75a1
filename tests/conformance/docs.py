"""Writes the score table of the differential test into docs/conformance.md, between its two marks."""

from __future__ import annotations

import datetime
from pathlib import Path

from tests.conformance.known import KNOWN
from tests.conformance.run import Difference, Report

PAGE = Path(__file__).resolve().parents[2] / "docs" / "conformance.md"
BEGIN, END = "<!-- score begins -->", "<!-- score ends -->"


def write(report: Report, requests: int, seed: int) -> None:
    today = datetime.datetime.now(tz=datetime.UTC).date().isoformat()
    lines = [
        BEGIN,
        f"{requests} generated requests, seed {seed}, {len(report.versions)} of the keys' versions, {today}, "
        "Apache Kafka 4.3.0.",
        "",
        report.table(),
        "",
    ]
    counts: dict[str, int] = {}
    for difference in report.found:
        counts.setdefault(reason(difference), 0)
        counts[reason(difference)] += 1
    if counts:
        lines += ["Differences:", "", "| count | reason |", "|---|---|"]
        lines += [
            f"| {count} | {text} |" for text, count in sorted(counts.items(), key=lambda item: -item[1])
        ]
    else:
        lines.append("No difference.")
    lines.append(END)
    text = PAGE.read_text()
    before, _, rest = text.partition(BEGIN)
    _, _, after = rest.partition(END)
    PAGE.write_text(before + "\n".join(lines) + after)


def reason(difference: Difference) -> str:
    for known in KNOWN:
        if known.matches(difference):
            return known.reason
    return "not explained yet"
